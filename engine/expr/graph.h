/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph.h - the expression graph. Immutable, hash-consed array nodes in one growing table; a node's arguments come before it,
 * so the table is in topological order. The graph of a root model is shared by its lower models. Scalars take 9 bytes of it.
 *
 * Every node is a dense row-major array of rows x cols doubles (sparse constants keep their compressed rows and appear only as
 * an argument of MATMUL or through expr_densify). Elementwise nodes have arguments of their own size or scalars (size 1): the
 * builder inserts GATHERs for column and row broadcasting. Size 1 is "scalar" whatever it came from.
 */
#ifndef PERI_EXPR_GRAPH_H
#define PERI_EXPR_GRAPH_H

#include "base/context.h"
#include "base/hash.h"

typedef int32_t expr_id; /* = peri_expr */
typedef struct expr_graph expr_graph;
typedef VEC(expr_id) expr_id_list;

/* Input classes: INPUT nodes are ranges [offset, offset + size) of one of these arrays. */
enum {
    EXPR_IN_X,     /* variables, of all levels, in order of creation */
    EXPR_IN_PARAM, /* parameters: graph->param_value */
    EXPR_IN_W,     /* one weight a constraint row */
    EXPR_IN_SIGMA, /* weight of the objective: size 1 */
    EXPR_IN_V,     /* direction, as EXPR_IN_X */
    EXPR_IN_Y,     /* unknowns of implicit functions, in order of creation: replaced before anything is evaluated */
    EXPR_IN_COUNT
};

enum { EXPR_AFFINE = 1 }; /* flag of GATHER: index is first + k * stride (no index list) */

typedef struct {
    uint8_t op, flags;
    uint16_t class_; /* INPUT: its class */
    int32_t rows, cols;
    union {
        expr_id arg[3];                         /* unused: -1 */
        struct { int32_t list, n, unused; } many; /* STACK, SCATTER: args at graph->args.at[list .. list+n-1] */
    };
    union {
        double value;                      /* CONST with size 1 */
        int64_t ref;                       /* CONST size > 1: index into consts; INPUT: offset; MARK: into names; CALL,
                                              CALLGRAD: into calls; RULE: into rules; SCATTER: into scatters' index lists (see below) */
        struct { int32_t first, stride; }; /* GATHER, affine */
        int64_t index;                     /* GATHER otherwise: into graph->lists */
    };
} expr_node;

typedef struct {
    int32_t rows, cols;
    double *data;        /* dense row-major [rows*cols]; sparse: [nnz], or [1] where all are the same */
    int32_t *row_start, *col; /* sparse: compressed rows; NULL: dense */
    int64_t nnz;
    uint64_t hash;
    bool same;           /* sparse: see data */
    const struct eval_sparse *layout; /* sparse: for products with vectors, made when first wanted; the graph's memory */
} expr_const;

/* Entry k of a sparse constant. */
static inline double expr_sparse_at(const expr_const *c, int64_t k)
{
    return c->data[c->same ? 0 : k];
}

/* Of a SCATTER, equal steps are kept as such; a GATHER that has them has no list. */
typedef struct {
    int64_t n;
    int32_t *at; /* [n]; NULL: entry k is first + k * stride, stride not 0 */
    int32_t first, stride;
    uint64_t hash;
    int32_t lo, hi; /* smallest and largest entry */
    bool unique;    /* no entry twice */
} expr_list;

/*
 * A function of a column whose values and derivatives somebody else knows, who stands above this folder: the solution of an inner problem, say.
 * Its derivatives are nodes again, made when they are asked for, so that they nest. The functions find their data behind the struct.
 */
typedef struct expr_rule expr_rule;
struct expr_rule {
    const char *name;   /* for messages */
    int64_t size;       /* entries of the argument */
    int64_t rows, cols; /* of the value */
    bool nonsmooth;
    /* err PERI_E_DOMAIN: undefined at x, and the message says why; other codes end the evaluation */
    peri_status (*value)(expr_rule *r, const double *x, double *out);
    /* of node e of g: in direction t, a column as the argument; out shaped as e */
    peri_status (*tangent)(expr_rule *r, expr_graph *g, expr_id e, expr_id t, expr_id *out);
    /* the argument's share of the adjoint adj, shaped as e; out a column */
    peri_status (*adjoint)(expr_rule *r, expr_graph *g, expr_id e, expr_id adj, expr_id *out);
    /* d e / d argument, (entries of e) x size; NULL: none */
    peri_status (*jacobian)(expr_rule *r, expr_graph *g, expr_id e, expr_id *out);
    /* second derivatives of the sum of adj e by the argument, size x size, symmetric; adj shaped as e; NULL: none */
    peri_status (*hessian)(expr_rule *r, expr_graph *g, expr_id e, expr_id adj, expr_id *out);
};

/*
 * How nodes are stored. What loops make millions of - scalar constants, scalar entries of arrays, elementwise operations on one or two scalars - is
 * an operation and 8 bytes: arguments, a gather's source and index, or the value. Any other node stands in `wide`, and the cell holds its number there.
 */
enum { EXPR_CHUNK = 1024, EXPR_WIDE = 128 /* added to the operation */ };

typedef union {
    expr_id arg[2];
    double value;
} expr_cell;

typedef struct {
    expr_cell cell[EXPR_CHUNK];
    uint8_t op[EXPR_CHUNK];
} expr_chunk;

struct expr_graph {
    peri_context *ctx;
    mem *m;
    struct { int64_t n; VEC(expr_chunk *) chunks; } nodes;
    VEC(expr_node) wide;
    VEC(expr_id) args;           /* argument lists of STACK and SCATTER */
    VEC(expr_const) consts;
    VEC(expr_list) lists;        /* index lists, shared */
    VEC(peri_function) calls;    /* name owned by the arena */
    VEC(expr_rule *) rules;      /* borrowed: they outlive the graph */
    VEC(char *) names;           /* of marks */
    arena data;                  /* constants' and lists' memory */
    uint32_t *table;             /* hash consing: open addressing; made again when needed */
    int64_t table_size;          /* power of two */
    hash_map const_map, list_map;
    int64_t n_x, n_param, n_y;   /* sizes of the classes so far */
    VEC(double) param_value;     /* [n_param] */
    /* how a variable or parameter is called, for messages: sorted by offset, in order of creation */
    struct expr_name { char *name; int64_t offset; int32_t rows, cols; expr_id node; } *x_name, *param_name;
    int64_t n_x_name, n_param_name, cap_x_name, cap_param_name;
};

/* SCATTER: arg k's index list is lists.at[args.at[list + n + k]]: the argument list is followed by the list numbers. */

expr_graph *expr_graph_new(peri_context *ctx);
void expr_graph_free(expr_graph *g);
void expr_forget_table(expr_graph *g); /* a large one: gives back what only making nodes needs; the next node makes it again */

static inline const expr_cell *expr_cell_of(const expr_graph *g, expr_id e)
{
    return &g->nodes.chunks.at[(uint32_t)e / EXPR_CHUNK]->cell[(uint32_t)e % EXPR_CHUNK];
}

static inline int expr_code(const expr_graph *g, expr_id e) /* the operation, with EXPR_WIDE */
{
    return g->nodes.chunks.at[(uint32_t)e / EXPR_CHUNK]->op[(uint32_t)e % EXPR_CHUNK];
}

static inline const expr_node *expr_unpack(const expr_graph *g, expr_id e, expr_node *to)
{
    const expr_cell *cell = expr_cell_of(g, e);
    const int code = expr_code(g, e);
    if (code & EXPR_WIDE)
        return &g->wide.at[cell->arg[0]];
    *to = (expr_node){.op = (uint8_t)code, .rows = 1, .cols = 1, .arg = {-1, -1, -1}};
    if (code == PERI_OP_CONST) {
        to->value = cell->value;
    } else if (code == PERI_OP_GATHER) {
        to->flags = EXPR_AFFINE;
        to->arg[0] = cell->arg[0];
        to->first = cell->arg[1];
        to->stride = 1;
    } else {
        to->arg[0] = cell->arg[0];
        to->arg[1] = cell->arg[1];
    }
    return to;
}

/* Node e. Valid in the block that it is asked for in (an `if` without braces is one), and until the next node is made. */
#define expr_at(g, e) expr_unpack((g), (e), &(expr_node){.op = 0})

static inline int64_t expr_size(const expr_graph *g, expr_id e)
{
    if (!(expr_code(g, e) & EXPR_WIDE))
        return 1;
    const expr_node *node = &g->wide.at[expr_cell_of(g, e)->arg[0]];
    return (int64_t)node->rows * node->cols;
}

/* Arguments of any node, whatever its op:  n = expr_args(g, e, &list). Valid as long as expr_at's answer. */
#define expr_args(g, e, list) expr_list_args((g), (e), (list), (expr_id[2]){-1, -1})
int32_t expr_wide_args(const expr_graph *g, const expr_node *node, const expr_id **list);
static inline int32_t expr_list_args(const expr_graph *g, expr_id e, const expr_id **list, expr_id few[2])
{
    const expr_cell *cell = expr_cell_of(g, e);
    const int code = expr_code(g, e);
    if (code & EXPR_WIDE)
        return expr_wide_args(g, &g->wide.at[cell->arg[0]], list);
    *list = few;
    if (code == PERI_OP_CONST)
        return 0;
    few[0] = cell->arg[0];
    few[1] = code == PERI_OP_GATHER ? -1 : cell->arg[1];
    return few[1] >= 0 ? 2 : 1;
}

bool expr_is_elementwise(int op);
bool expr_is_nonsmooth(int op);

/* ---- building (build.c): all simplify, share, and check shapes --------------------------------------------------------- */
peri_status expr_number(expr_graph *g, double value, expr_id *out);
peri_status expr_full(expr_graph *g, int64_t rows, int64_t cols, double value, expr_id *out); /* constant array */
peri_status expr_dense(expr_graph *g, int64_t rows, int64_t cols, const double *data, expr_id *out);
peri_status expr_sparse(expr_graph *g, int64_t rows, int64_t cols, int64_t nnz, const int64_t *row_start,
                        const int64_t *col, const double *data, expr_id *out);
/* The same with indices as constants keep them, known to be right; same: data has one number, all entries' */
peri_status expr_sparse_rows(expr_graph *g, int64_t rows, int64_t cols, const int32_t *row_start, const int32_t *col, const double *data, bool same,
                             expr_id *out);
peri_status expr_input(expr_graph *g, int class_, int64_t offset, int64_t rows, int64_t cols, expr_id *out);
peri_status expr_new_var(expr_graph *g, const char *name, int64_t rows, int64_t cols, expr_id *out);
peri_status expr_new_param(expr_graph *g, const char *name, int64_t rows, int64_t cols, const double *value, expr_id *out);
peri_status expr_op(expr_graph *g, peri_op op, int n_args, const expr_id *args, expr_id *out);
peri_status expr_unary(expr_graph *g, peri_op op, expr_id a, expr_id *out);
peri_status expr_binary(expr_graph *g, peri_op op, expr_id a, expr_id b, expr_id *out);
/* sum, mean, max, min, norms, logsumexp, softmax, cumsum along dimension 1 (down the columns) or 2 (along the rows); along.c */
peri_status expr_along(expr_graph *g, peri_op op, expr_id a, int dim, expr_id *out);
bool expr_has_along(peri_op op);
peri_status expr_gather_list(expr_graph *g, expr_id e, int64_t rows, int64_t cols, int64_t n, const int32_t *index,
                             expr_id *out); /* n = rows*cols; recognises affine patterns, composes with a GATHER below */
peri_status expr_gather_affine(expr_graph *g, expr_id e, int64_t rows, int64_t cols, int64_t first, int64_t stride,
                               expr_id *out);
peri_status expr_scatter_sum(expr_graph *g, int64_t rows, int64_t cols, int64_t n, const expr_id *args,
                             const int32_t *const *index, expr_id *out); /* index[k]: [size of args[k]] */
/* The same with index lists that the graph has: ref[k], of which expr_list_steps makes those in equal steps without an array. */
peri_status expr_scatter_lists(expr_graph *g, int64_t rows, int64_t cols, int64_t n, const expr_id *args, const int64_t *ref, expr_id *out);
peri_status expr_list_ref(expr_graph *g, int64_t n, const int32_t *index, int64_t *ref);
peri_status expr_list_steps(expr_graph *g, int64_t n, int64_t first, int64_t stride, int64_t *ref); /* n > 1: stride not 0 */
/* args scattered as node does, a SCATTER of `from` */
peri_status expr_scatter_like(expr_graph *g, const expr_graph *from, const expr_node *node, const expr_id *args, expr_id *out);
const int32_t *expr_list_data(expr_graph *g, int64_t ref); /* a list's entries, written out if they are not yet; NULL: memory is out */
peri_status expr_stack(expr_graph *g, int64_t n, const expr_id *args, expr_id *out);
peri_status expr_reshape(expr_graph *g, expr_id e, int64_t rows, int64_t cols, expr_id *out);
peri_status expr_broadcast(expr_graph *g, expr_id e, int64_t rows, int64_t cols, expr_id *out); /* scalar, column or row */
peri_status expr_mark(expr_graph *g, expr_id e, const char *name, expr_id *out);
peri_status expr_call(expr_graph *g, const peri_function *fn, expr_id x, expr_id *out);
peri_status expr_callgrad(expr_graph *g, expr_id call, expr_id *out); /* gradient of a CALL node, shaped as its argument */
peri_status expr_apply_rule(expr_graph *g, expr_rule *rule, expr_id x, expr_id *out); /* x: rule->size entries; rules are told apart by address */
peri_status expr_new_unknown(expr_graph *g, int64_t rows, int64_t cols, expr_id *out); /* of the class Y */
peri_status expr_remake(expr_graph *g, expr_id e, const expr_id *args, expr_id *out); /* e's operation on other arguments */
/* e's operation in another graph, on arguments of that graph (shaped as e's); inputs keep class and place */
peri_status expr_copy(const expr_graph *from, expr_id e, const expr_id *args, expr_graph *to, expr_id *out);
peri_status expr_substitute(expr_graph *g, int64_t n_roots, const expr_id *roots, int64_t n, const expr_id *from,
                            const expr_id *to, expr_id *out); /* out [n_roots] */

/* transplant.c: roots of one graph made again in another, input[class] standing there for the whole class, a column (PERI_NO_EXPR: does
 * not occur); out [n_roots] */
peri_status expr_transplant(expr_graph *from, int64_t n_roots, const expr_id *roots, expr_graph *to, const expr_id *input, expr_id *out);
/* The same with nodes leaf[k] of `from` becoming image[k] of `to`; input NULL: no other input is reached. */
peri_status expr_transplant_leaves(expr_graph *from, int64_t n_roots, const expr_id *roots, expr_graph *to, const expr_id *input, int64_t n,
                                   const expr_id *leaf, const expr_id *image, expr_id *out);

bool expr_is_const(const expr_graph *g, expr_id e);   /* CONST, or a broadcast of a scalar CONST */
bool expr_is_sparse(const expr_graph *g, expr_id e);  /* CONST with compressed rows */

static inline int32_t expr_list_at(const expr_list *list, int64_t k)
{
    return list->at != NULL ? list->at[k] : (int32_t)(list->first + k * list->stride);
}

/* Index list of argument k of a SCATTER. */
static inline int64_t expr_scatter_ref(const expr_graph *g, const expr_node *node, int64_t k)
{
    return g->args.at[node->many.list + node->many.n + k];
}

/* Index k of a GATHER's entry in its source. */
static inline int64_t expr_gather_at(const expr_graph *g, const expr_node *node, int64_t k)
{
    return (node->flags & EXPR_AFFINE) ? node->first + k * node->stride : g->lists.at[node->index].at[k];
}

/* True and *value where e is a constant all of whose entries are equal. */
bool expr_constant_value(const expr_graph *g, expr_id e, double *value);
const double *expr_const_data(const expr_graph *g, expr_id e); /* CONST, dense: its entries */

/* ---- the plain interpreter (interp.c): node by node, no fusion; the reference, and constant folding ------------------------ */
/* Values of one node from its arguments' values. args[k] [size of argument k]; out [size of e]. Sparse arguments: see const. */
peri_status expr_apply(const expr_graph *g, expr_id e, const double *const *args, double *out);
/* A compiled function at x [n]: out [1], or [n] its gradient; NaN where it is undefined. An error that a function of the engine recorded inside it, and
 * that it hands on, keeps its code and message; others become PERI_E_CALLBACK. */
peri_status expr_call_function(peri_context *ctx, const peri_function *fn, bool value, int64_t n, const double *x, double *out);

/* Values of roots; inputs[class] may be NULL where unused. outs[k]: [size of roots[k]]. */
peri_status expr_interpret(expr_graph *g, int64_t n_roots, const expr_id *roots, const double *const inputs[EXPR_IN_COUNT],
                           double *const *outs);
/* First operation below root, in topological order, whose result is not finite although its arguments are;
 * writes "log(-0.5)" style text with the entry. False: all finite. */
bool expr_explain_nonfinite(expr_graph *g, expr_id root, const double *const inputs[EXPR_IN_COUNT], char *text, size_t size);
/* The same, with the node, its entry and its value. */
typedef struct {
    expr_id node;
    int64_t entry;
    double value;
    char text[256];
} expr_fault;
bool expr_find_nonfinite(expr_graph *g, expr_id root, const double *const inputs[EXPR_IN_COUNT], expr_fault *out);
/* reads.c: entries of the class X that entry `entry` of e reads, in order of first visit, at most `most`; gives their number. A node that is not
 * elementwise counts as reading all entries of its arguments; the search ends after a thousand entries. */
int64_t expr_reads(const expr_graph *g, expr_id e, int64_t entry, int64_t most, int64_t *x);

/* ---- walking and printing ------------------------------------------------------------------------------------------------- */
/* Marks reachable nodes: reach[id] = 1; reach [nodes.n] zeroed by the caller. Iterative. */
void expr_reach(const expr_graph *g, int64_t n_roots, const expr_id *roots, unsigned char *reach);
/* varies [top + 1]: whether a node depends on an input of the classes (1 << class); of the reached ones, all where reach is NULL */
void expr_mark_varying(const expr_graph *g, expr_id top, const unsigned char *reach, unsigned classes, unsigned char *varies);
/* A part: the roots and what they need, ascending; `enter` tells whether a node's arguments belong to it too; NULL: all do. */
typedef struct {
    expr_graph *g;
    VEC(expr_id) nodes;
    hash_map place; /* node -> its number in `nodes` */
} expr_part;
typedef bool (*expr_part_filter)(const expr_graph *g, expr_id e, const void *ud);
peri_status expr_part_make(expr_part *p, expr_graph *g, int64_t n, const expr_id *roots, expr_part_filter enter, const void *ud);
int64_t expr_part_at(const expr_part *p, expr_id e); /* -1: not in it */
void expr_part_release(expr_part *p);
int expr_ascending(const void *a, const void *b); /* of two expr_id, for qsort */
peri_status expr_text(expr_graph *g, expr_id e, size_t limit, char **out); /* mem_array memory */
/* One entry of an elementwise node, its inputs called as in `names`: the graph that g was made from. */
peri_status expr_entry_text(expr_graph *g, const expr_graph *names, expr_id e, int64_t entry, size_t limit, char **out);
/* "x[3]" for entry k of the class X or PARAM, counted from 1 as users do; matrices "X[2][3]". */
void expr_entry_name(const expr_graph *g, int class_, int64_t k, char *text, size_t size);

#endif
