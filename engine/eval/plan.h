/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - inside engine/eval only: a compiled program, and what its compilation is made of.
 *
 * Nodes fall into kinds. VALUEs are elementwise and belong to one kernel: all VALUEs of one size and one level. VIEWs are gathers: read in place by the
 * kernels that use them. A level is the number of kernels that must have ended before, -1 for scalars that come first: reductions, scatters and
 * gathers of computed values raise it. What leaves a kernel does so through its sinks: a store, a reduction, one argument of a scatter.
 */
#ifndef PERI_EVAL_PLAN_H
#define PERI_EVAL_PLAN_H

#include "eval/block.h"
#include "eval/program.h"
#include "expr/bilinear.h"
#include <float.h>
#include <stdatomic.h>

enum { EVAL_PIECE = 2048 }; /* numbers of a piece of a range that is filled by and by */
enum { EVAL_REGISTER_GAP = 8 }; /* numbers between a kernel's registers: it keeps them from sharing cache sets */

/* ---- the program --------------------------------------------------------------------------------------------------------- */

/* below: input classes; SCRATCH: registers and partial results, each thread has its own; BASE_OUTPUT + slot */
enum { BASE_NONE = -1, BASE_MEMORY = EXPR_IN_COUNT, BASE_SCRATCH, BASE_FIXED, BASE_OUTPUT };

/* Where an array is: offset counted in numbers from what is known when the program runs, or a fixed address. */
typedef struct {
    int32_t base;
    int64_t offset;
    const double *fixed;
} eval_place;

/*
 * Instances in rows, which no block crosses. Operands that a slide moves are at pointer + by[row] + instance, or for a destination of sums by rows at
 * pointer + by[row]; a cell has the number from[at[row]], as often as a scalar.
 */
/* Instances from `at` on, n of them, of which `row` has the first, whose block ends at `end`; all pointers as they are outside of rows. */
typedef void (*eval_rows_fn)(const eval_ins *code, int64_t at, int64_t n, int64_t row, int64_t end);

typedef struct eval_rows {
    int64_t n, period;     /* rows; instances of each (the last may have fewer), 0: they differ */
    const int32_t *start;  /* [n + 1] */
    int64_t n_slides, n_cells;
    struct eval_slide { int32_t ins, operand; const int32_t *by; } *slides; /* operand 0 .. 3, SLIDE_DST */
    struct eval_row_cell { double *cell; const double *from; const int32_t *at; } *cells; /* cell: in the first thread's scratch memory */
    int64_t n_read;        /* slides of the pointers that the kernel's calls read, where it has calls */
    struct eval_slide *read;
    eval_rows_fn whole;    /* NULL: a call has one block */
    eval_rows_fn pairs;    /* an even number of rows, from the beginning of one, two at once; or NULL */
    int64_t pairs_at;      /* in the machine code */
} eval_rows;
enum { SLIDE_DST = 4 };

/* Constants that are written over a range once it is filled: value[k] at place[k] - first, places ascending. */
struct eval_set {
    int64_t n, first;
    const int32_t *place;
    const double *value;
};

/*
 * A kernel that is worth it is cut into chunks, by its size and its instructions only. Each chunk's reductions have a partial result of their own, so
 * that the sum is the same whoever computes which chunk.
 */
typedef struct {
    int64_t n, block;
    int64_t chunk, n_chunks;       /* instances, whole blocks; 1 chunk: not cut */
    int32_t level;
    int64_t n_ins;
    eval_ins *ins;
    int64_t n_calls;               /* 0: each instruction is one */
    struct eval_call { eval_fn fn; int32_t ins, at; } *calls; /* of runs, by their first instruction, and of others; at: in the machine code, or -1 */
    bool is_whole;                 /* the calls may have a chunk at once, whose blocks make no difference */
    int64_t n_cells, n_accs, n_zeros, n_regs;
    int64_t lanes_at;              /* in the scratch memory: EVAL_LANES numbers for each of accs */
    double *partials;              /* [n_accs x n_chunks], when it is cut */
    struct eval_split *split;      /* for several threads; NULL: always one */
    struct eval_cell { double *cell; const double *from; } *cells; /* scalars to be spread before it starts */
    struct eval_acc { double *lanes; double *out; int32_t op; const double *scale; } *accs; /* scale: of the result, or NULL */
    struct eval_zero { double *at; int64_t n, period; const double *from; int32_t *piece, *upto; struct eval_set set; } *zeros;
                                   /* filled before it starts: from constants, or with 0; piece: by one thread, numbers upto[chunk] .. upto[chunk + 1] - 1
                                      before each chunk (zero.c); period > 0: so many constants, again and again */
    double *watch;                 /* [EVAL_LANES] in the first thread's scratch memory, of EVAL_WATCH; NULL: it has none */
    int64_t n_streams;             /* arrays too large for the cache: the next block of each is fetched while one is worked on; else 0 */
    struct eval_stream { const double *at; bool writes; int32_t stride; } *streams;
    eval_rows *rows;               /* NULL: blocks follow each other without regard to instances */
    double bytes;                                                  /* read and written outside of registers, an estimate */
    bool is_straight;              /* part of one of the program's stretches of straight code */
    bool takes_turns;              /* part of one of its chains */
    bool is_plain;                 /* one chunk, one call of machine code, which wants nothing else */
} eval_kernel;

/* Instances of one scatter in one chunk whose values are set aside, from `slot` on. */
typedef struct {
    int64_t begin, end, slot;
} eval_aside;

/*
 * A scatter's instruction whose places are met by other chunks too. Of a WEAVE, only what a chunk adds to the first places is set aside, `head` numbers
 * of each chunk from the second on: they are the last places of the chunk before.
 */
typedef struct {
    int32_t ins;
    int64_t *first;    /* [n_chunks + 1] in `aside`, whose entries are in order */
    eval_aside *aside;
    int64_t head, slot; /* of a WEAVE, else 0; slot: of the second chunk */
    int64_t places;     /* of a WEAVE: from the first one on */
    double **row;       /* [threads] of a WEAVE: the places of a block */
} eval_border;

/* What was set aside, by places; of one place in the order in which one thread would have come to it. */
typedef struct {
    double *dst;
    int64_t n;
    int32_t *place;  /* [n] j: its first value is stored there; -1 - j: all are added to what is there */
    int64_t *start;  /* [n + 1] in `from` */
    int32_t *from;   /* slots */
} eval_seam;

/* How several threads run a kernel: code with the registers of each; what a scatter would add where other chunks do as well is set aside and added
 * afterwards. */
typedef struct eval_split {
    eval_ins **code;      /* [threads] [n_ins + n_borders]: behind the kernel's, those that write aside */
    int32_t *border_of;   /* [n_ins] 1 + number of the border, its negative for what watches that; 0: an ordinary instruction */
    int64_t n_borders, n_seams;
    eval_border *borders;
    eval_seam *seams;
    double *aside;
    int64_t n_slides;
    struct eval_slide *slides; /* the kernel's, and of what writes aside */
} eval_split;

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
    const struct eval_sparse *layout; /* the same, for a product with a vector; else NULL */
    const expr_bmm_spec *bmm;
    const expr_conv_spec *conv;
    double *patches;             /* convolution: of one image */
    peri_function fn;
    expr_rule *rule;
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

/* Which entries of outputs are to be finite, and who sees to that: see finite.c. */
enum { EVAL_MOST_LEFT = 16 };
typedef struct eval_finite {
    int64_t n_watched, n_left;
    eval_range *watched;              /* [n_watched] */
    eval_range *left;                 /* [n_watched + EVAL_MOST_LEFT + 1] of those, what no kernel vouches for; there is room for one more */
    atomic_bool alarm;                /* in this run something is not vouched for that should be */
} eval_finite;

struct eval_program {
    expr_graph *g;
    mem *m;
    arena data;
    const eval_simd *simd;
    int64_t n_kernels, n_arrays, n_steps, n_slots, n_patches, memory;
    eval_kernel *kernels;
    eval_array *arrays;
    eval_step *steps;
    int64_t n_chains;
    struct eval_chain {
        int64_t first, n_steps, n_turns;
        struct eval_turn { int32_t kernel, chunk; } *turns;
    } *chains;                   /* of steps that one thread runs in turns, ascending */
    double **bases;              /* [BASE_OUTPUT + n_slots] */
    bool *base_used;
    struct eval_patch { void *where; int64_t offset; int32_t base, thread; } *patches; /* pointers that depend on the caller's arrays */
    int64_t n_split_patches;     /* behind those: of the code for several threads */
    double *work;                /* [memory] values */
    double *scratch;             /* [threads x per_thread] */
    int64_t per_thread;
    int32_t threads;             /* that it is planned for; 1: no kernel is cut, or the context has one */
    int64_t n_factors;
    eval_factor *factors;        /* [n_arrays] room */
    struct eval_blas *blas;      /* NULL until an array operation is large enough */
    bool has_blas;
    int32_t n_read, read[EXPR_IN_COUNT]; /* input classes */
    /* Small kernels that follow each other as one function, straight.h; is_straight: they are all of the program */
    int64_t n_straight;
    struct eval_straight { double (*fn)(const double *const *inputs, double *const *outputs); int64_t at; int32_t first, end; } *straight;
    bool is_straight;
    eval_finite *finite;
    struct eval_machine { unsigned char *code; size_t size; int64_t bytes; bool refused; } machine; /* pages with the kernels' machine code */
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
    bool alone;       /* SCATTER: nothing else in its kernel reaches its places, nothing before has; none of them twice */
    bool apart;       /* SCATTER: by a list; nothing else in its kernel reaches its places */
    int32_t partner;  /* SCATTER: by lists; 1 + the only argument in its kernel that reaches some of its places; 0: none, or several */
    bool shifted;     /* SCATTER: to ascending places, and the kernel's other arguments of it to the same ones, shifted */
    int32_t first, stride;
    int32_t rank;     /* order among the kernel's sinks */
    int32_t order;    /* SCATTER: of its kernel among all */
    int32_t woven;    /* SCATTER: written by one instruction together with the next ones: how many in all; of those: -1 */
} eval_sink;

typedef struct {
    int64_t size;
    int32_t level, order; /* order: position in the program's kernels */
    VEC(struct eval_zero_range { eval_place place; int64_t n; int64_t period; const double *from; expr_id node; struct eval_set set; }) zeros;
    VEC(struct eval_fill { eval_place place; int32_t stride; int32_t rows; const double *from; }) fills; /* see EVAL_FILL */
    int64_t n_scatters;
    struct eval_scatter {
        int32_t ins, there;        /* there: 1 + the operand that is added to, or 0 */
        bool stores;
        expr_id node;
        eval_place place;          /* of the node */
        expr_list list;            /* of its places, `width` of each instance side by side */
        int32_t width;
        int64_t period;            /* > 0: neighbours with one place, of one row of so many and one block, are added up first; 0: each by itself */
        const int32_t *weave;      /* of a WEAVE: its index; else NULL */
        int64_t low;               /* of a WEAVE: the first place of all */
        bool watched;              /* the next instruction is a WATCH of what it stored */
    } *scatters;                   /* by instruction */
} eval_group;

typedef struct {
    expr_graph *g;
    mem *m;
    eval_program *program;
    bool alone;            /* for one thread, which need not be the caller's: no kernel is cut, no BLAS */
    arena data;
    expr_id top;
    expr_id *alias;        /* [top + 1] the node that has the same entries */
    unsigned char *kind, *flags;
    bool *early;           /* of a scalar: computed before all else */
    int32_t *level, *uses, *home;
    int32_t *sine, *cosine; /* of a node: the VALUE that is its sine, or -1 */
    eval_place *place;
    VEC(eval_group) groups;
    hash_map group_of;
    VEC(eval_sink) sinks;
    VEC(struct eval_direct { int64_t first; int64_t n; expr_id scatter; }) direct; /* entries of a scatter that an array operation writes */
    VEC(expr_id) arrays;
    VEC(struct eval_patch) patches;
    int64_t *patch_start;      /* [n_kernels + n_arrays + 1] of each, arrays behind kernels */
    VEC(int64_t) buffers;      /* where each begins that eval_new_memory gave */
    int64_t memory, scratch;   /* numbers wanted so far; of a thread, for the largest kernel */
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

const expr_list *eval_sink_list(const eval_compiler *c, const eval_sink *s); /* SCATTER: of its places */
int64_t eval_row_at(const eval_rows *r, int64_t instance); /* rows.c: the row that holds it */
/* The end of the block that holds instance `at`, of which `row` is the row where there are rows. */
static inline int64_t eval_block_end(const eval_kernel *k, int64_t row, int64_t at, int64_t end)
{
    int64_t begin = at, to = end;
    if (k->rows != NULL) {
        begin = k->rows->start[row] + (at - k->rows->start[row]) / k->block * k->block;
        to = k->rows->start[row + 1] < end ? k->rows->start[row + 1] : end;
    }
    return begin + k->block < to ? begin + k->block : to;
}

/* finite.c: entries [n] from `place` on may become what nobody vouches for: looked at behind the run, if they are watched */
void eval_leave(eval_compiler *c, eval_place place, int64_t n);
void eval_leave_constants(eval_compiler *c, eval_place place, int64_t n, int64_t n_from, const double *from); /* the same, if some are large */
static inline bool eval_vouches(double sum) /* of a WATCH */
{
    return sum >= -DBL_MAX && sum <= DBL_MAX;
}

bool eval_is_contiguous(const eval_compiler *c, expr_id view); /* a VIEW of neighbouring entries */
int32_t eval_sink_level(const eval_compiler *c, expr_id value); /* of the kernel that can hand it to a sink */
int32_t eval_located_level(const eval_compiler *c, expr_id e);  /* after which e is in memory */

peri_status eval_analyse(eval_compiler *c, int64_t n, const eval_output *outputs);  /* levels.c: kinds, levels, groups */
peri_status eval_place_all(eval_compiler *c, int64_t n, const eval_output *outputs); /* place.c: places and sinks */
peri_status eval_plan_scatters(eval_compiler *c);                                   /* scatter.c: who stores, who adds, what is zeroed */
/* image.c: rows of a scatter's constants that the kernels of the sinks [n], which are in the kernels' order, write themselves, and which count as stored */
peri_status eval_plan_fills(eval_compiler *c, expr_id node, int64_t n, eval_sink *const *sinks, const double *image, unsigned char *stored);
/* The length of the first piece of v [n]. repeated: how many of its entries are enough to write it by repeating them, whole periods; 0: all */
int64_t eval_image_piece(const double *v, int64_t n, int64_t *repeated);
peri_status eval_group_at(eval_compiler *c, int64_t size, int32_t level, int32_t *out);
peri_status eval_new_memory(eval_compiler *c, int64_t n, eval_place *place);
/* A pointer of the program that must hold the address of `place` whenever it runs. `where` points to a pointer. */
peri_status eval_point(eval_compiler *c, void *where, eval_place place);
peri_status eval_compile_kernel(eval_compiler *c, int32_t group, int64_t n_sinks, const eval_sink *sinks, eval_kernel *out);
/* split.c: chunks of a kernel, and room for their partial results; code and seams for several threads, of all kernels that are cut, as many as there
 * are chunks for: sets program->threads */
peri_status eval_cut_kernel(eval_compiler *c, eval_kernel *k);
peri_status eval_plan_threads(eval_compiler *c);
/* chain.c: the turns of kernels that touch the same, for one thread; after all pointers are known */
peri_status eval_plan_chains(eval_compiler *c);
/* machine.c: machine code for what kernels can have it for, where the context and the system allow it; after all pointers are set */
peri_status eval_emit_machine(eval_compiler *c);
void eval_free_machine(eval_program *p);
/* memory.c: arrays that are not wanted at the same time share memory; shortens c->memory, moves the patches */
peri_status eval_share_memory(eval_compiler *c);
peri_status eval_compile_array(eval_compiler *c, expr_id e, eval_array *out); /* array.c */
peri_status eval_run_array(eval_program *p, const eval_array *a, int32_t threads);
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
