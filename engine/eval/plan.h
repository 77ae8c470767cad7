/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - inside engine/eval only: a compiled program, and what its compilation is made of.
 *
 * Nodes fall into kinds. VALUEs are elementwise and belong to one kernel: all VALUEs of one size and one level. VIEWs are gathers: read in place by the
 * kernels that use them. A level is the number of kernels that must have ended before: reductions, scatters and gathers of computed values
 * raise it. What leaves a kernel does so through its sinks: a store, a reduction, one argument of a scatter.
 */
#ifndef PERI_EVAL_PLAN_H
#define PERI_EVAL_PLAN_H

#include "eval/block.h"
#include "eval/program.h"
#include "expr/bilinear.h"

/* ---- the program --------------------------------------------------------------------------------------------------------- */

enum { BASE_NONE = -1, BASE_MEMORY = EXPR_IN_COUNT, BASE_FIXED, BASE_OUTPUT }; /* below: input classes; BASE_OUTPUT + slot */

/* Where an array is: offset counted in numbers from what is known when the program runs, or a fixed address. */
typedef struct {
    int32_t base;
    int64_t offset;
    const double *fixed;
} eval_place;

typedef struct {
    int64_t n, block;
    int32_t level;
    int64_t n_ins;
    eval_ins *ins;
    int64_t n_cells, n_accs, n_zeros, n_regs;
    struct eval_cell { double *cell; const double *from; } *cells; /* scalars to be spread before it starts */
    struct eval_acc { double *lanes; double *out; int32_t op; } *accs;
    struct eval_zero { double *at; int64_t n; const double *from; } *zeros; /* filled before it starts: from constants, or with 0 */
    int64_t n_streams;             /* arrays too large for the cache: the next block of each is fetched while one is worked on; else 0 */
    struct eval_stream { const double *at; bool writes; } *streams;
    double bytes;                                                  /* read and written outside of registers, an estimate */
} eval_kernel;

/*
 * An argument of an array operation: entries from `first` on of a node in memory, rows `ld` apart; or, with flip, columns. A whole array is
 * {e, 0, its columns, false}; parts, columns and transposes of matrices are read in place.
 */
typedef struct {
    expr_id source;
    int64_t first, ld;
    bool flip;
} eval_matrix;

typedef struct {
    expr_id node;
    int32_t op;
    int64_t rows, inner, cols;   /* of a product; others: rows x cols of the argument */
    const double *a, *b;
    double *out, *work;          /* work: see array.c */
    int32_t *pivots;
    eval_matrix va, vb;          /* product: how the arguments lie in memory */
    bool is_sparse, adds;        /* product: with a sparse left argument; added to what is in `out` */
    const eval_simd *simd;
    expr_const sparse;           /* product: the left argument */
    const expr_bmm_spec *bmm;
    const expr_conv_spec *conv;
    double *patches;             /* convolution: of one image */
    peri_function fn;
    struct eval_factor *factor;  /* logdet, inv, solve */
    const struct eval_blas *blas; /* NULL: own loops */
} eval_array;

/* The triangular factors of one matrix, for all operations that need them; made by the first one in each run. */
typedef struct eval_factor {
    const struct eval_blas *blas;
    int64_t n;
    const double *a;
    double *lu;      /* [n x n] */
    int32_t *pivots; /* [n] */
    eval_place place;
    bool ready;
} eval_factor;

typedef struct {
    bool is_array;
    int32_t at; /* in kernels or arrays */
} eval_step;

struct eval_program {
    expr_graph *g;
    mem *m;
    arena data;
    const eval_simd *simd;
    int64_t n_kernels, n_arrays, n_steps, n_slots, n_patches, memory;
    eval_kernel *kernels;
    eval_array *arrays;
    eval_step *steps;
    double **bases;              /* [BASE_OUTPUT + n_slots] */
    bool *base_used;
    struct eval_patch { void *where; int64_t offset; int32_t base; } *patches; /* pointers that depend on the caller's arrays */
    double *work;                /* [memory] values, then the registers' block */
    int64_t n_factors;
    eval_factor *factors;        /* [n_arrays] room */
    struct eval_blas *blas;      /* NULL until an array operation is large enough */
    bool has_blas;
};

/* ---- compilation ------------------------------------------------------------------------------------------------------------ */

enum { KIND_SOURCE = 1, KIND_VALUE, KIND_VIEW, KIND_STACK, KIND_SCATTER, KIND_REDUCED, KIND_ARRAY };
enum { FLAG_NEED = 1, FLAG_DEMAND = 2, FLAG_OUTSIDE = 4 }; /* needed; in memory; used by other than VALUEs of its size */

enum { SINK_STORE, SINK_REDUCE, SINK_SCATTER, SINK_NONE };
typedef struct {
    int32_t kind, kernel;
    expr_id value;
    expr_id node;     /* REDUCE, SCATTER */
    eval_place place; /* STORE; SCATTER: of the node */
    int32_t arg;      /* SCATTER: which of its arguments */
    bool stores;      /* SCATTER: first to reach its places */
    bool affine;      /* SCATTER: to first + i stride */
    int32_t first, stride;
    int32_t rank;     /* order among the kernel's sinks */
    int32_t order;    /* SCATTER: of its kernel among all */
    int32_t woven;    /* SCATTER: written by one instruction together with the next ones: how many in all; of those: -1 */
} eval_sink;

typedef struct {
    int64_t size;
    int32_t level, order; /* order: position in the program's kernels */
    VEC(struct eval_zero_range { eval_place place; int64_t n; const double *from; }) zeros;
} eval_group;

typedef struct {
    expr_graph *g;
    mem *m;
    eval_program *program;
    arena data;
    expr_id top;
    expr_id *alias;        /* [top + 1] the node that has the same entries */
    unsigned char *kind, *flags;
    int32_t *level, *uses, *home;
    int32_t *sine, *cosine; /* of a node: the VALUE that is its sine, or -1 */
    eval_place *place;
    VEC(eval_group) groups;
    hash_map group_of;
    VEC(eval_sink) sinks;
    VEC(struct eval_direct { int64_t first; int64_t n; expr_id scatter; }) direct; /* entries of a scatter that an array operation writes */
    VEC(expr_id) arrays;
    VEC(struct eval_patch) patches;
    int64_t memory, registers; /* numbers wanted so far; for the registers of the largest kernel */
    /* kernel.c */
    int64_t *stamp;        /* [top + 1] the kernel that `reg` is valid in */
    int32_t *reg;
} eval_compiler;

static inline int64_t eval_size(const eval_compiler *c, expr_id e)
{
    return expr_size(c->g, e);
}

/* Arguments are seen through aliases. */
static inline expr_id eval_arg(const eval_compiler *c, expr_id a)
{
    return c->alias[a];
}

bool eval_is_contiguous(const eval_compiler *c, expr_id view); /* a VIEW of neighbouring entries */
int32_t eval_sink_level(const eval_compiler *c, expr_id value); /* of the kernel that can hand it to a sink */
int32_t eval_located_level(const eval_compiler *c, expr_id e);  /* after which e is in memory */

peri_status eval_analyse(eval_compiler *c, int64_t n, const eval_output *outputs);  /* levels.c: kinds, levels, groups */
peri_status eval_place_all(eval_compiler *c, int64_t n, const eval_output *outputs); /* place.c: places and sinks */
peri_status eval_plan_scatters(eval_compiler *c);                                   /* scatter.c: who stores, who adds, what is zeroed */
peri_status eval_group_at(eval_compiler *c, int64_t size, int32_t level, int32_t *out);
eval_place eval_new_memory(eval_compiler *c, int64_t n);
/* A pointer of the program that must hold the address of `place` whenever it runs. `where` points to a pointer. */
peri_status eval_point(eval_compiler *c, void *where, eval_place place);
peri_status eval_compile_kernel(eval_compiler *c, int32_t group, int64_t n_sinks, const eval_sink *sinks, eval_kernel *out);
peri_status eval_compile_array(eval_compiler *c, expr_id e, eval_array *out); /* array.c */
peri_status eval_run_array(eval_program *p, const eval_array *a);
enum { EVAL_LARGE_MATRIX = 24 }; /* rows from which LAPACK factorizes */
peri_status eval_compile_factored(eval_compiler *c, expr_id e, eval_array *out); /* factor.c */
void eval_run_factored(const eval_array *t);
void eval_factorize(const struct eval_blas *blas, int64_t n, double *a, int32_t *pivots);
/* b = Q^-1 b for the factors of Q, where b [n x n] commutes with Q */
void eval_solve_commuting(const struct eval_blas *blas, int64_t n, const double *lu, const int32_t *pivots, double *b);
peri_status eval_compile_bilinear(eval_compiler *c, expr_id e, eval_array *out); /* bilinear.c */
void eval_run_bilinear(const eval_array *t);
peri_status eval_compile_product(eval_compiler *c, expr_id e, eval_array *out); /* product.c */
void eval_run_product(const eval_array *t);
void eval_square_product(const eval_array *t, int64_t n, const double *a, const double *b, double *out); /* n x n; BLAS as t has it */
/* Argument k of an array operation, as it is to be in memory. */
eval_matrix eval_array_arg(const eval_compiler *c, expr_id e, int32_t k);
peri_status eval_point_matrix(eval_compiler *c, const double **where, const eval_matrix *m);
peri_status eval_open_blas(eval_compiler *c, eval_array *out);

#endif
