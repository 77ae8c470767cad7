/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - inside engine/diff only. */
#ifndef PERI_DIFF_INTERNAL_H
#define PERI_DIFF_INTERNAL_H

#include "diff/diff.h"

/* partial.c: seed * d e / d argument k, for elementwise e; the size of e, or a scalar where it is the same for all entries */
peri_status diff_partial(expr_graph *g, expr_id e, int k, expr_id seed, expr_id *out);
/* seed * d2 e / d argument i d argument j, i <= j; -1: zero. Only where there is a rule. */
peri_status diff_second_partial(expr_graph *g, expr_id e, int i, int j, expr_id seed, expr_id *out);
bool diff_has_second_partial(const expr_graph *g, expr_id e);
peri_status diff_twice(expr_graph *g, expr_id seed, expr_id *out); /* 2 seed */
/* a + b, of two adjoints of a node that partials are still taken of; what branches that are not taken contribute stays harmless */
peri_status diff_plus(expr_graph *g, expr_id a, expr_id b, expr_id *out);

/* product.c: a * b, with scalar factors brought together */
peri_status diff_times(expr_graph *g, expr_id a, expr_id b, expr_id *out);
/* a + b, a common factor taken out */
peri_status diff_sum(expr_graph *g, expr_id a, expr_id b, expr_id *out);
bool diff_share_factor(const expr_graph *g, expr_id a, expr_id b); /* is there one? */

/* adjoint.c: one reverse sweep, in the steps that the Hessian needs separately */
typedef struct {
    expr_id source; /* an adjoint with one entry an index */
    int64_t n;
    int64_t list;   /* the graph's index list: where they go */
    int64_t next;   /* in sweep->scatters; -1: last */
} diff_scatter;

typedef struct {
    expr_graph *g;
    expr_id top;            /* nodes above it are new and never visited */
    unsigned char *depends; /* [top + 1] */
    unsigned char *leaf;    /* [top + 1] */
    expr_id *sum;           /* [top + 1] sum of the contributions so far, -1: none */
    int64_t *first;         /* [top + 1] first of its scatters, -1: none */
    VEC(diff_scatter) scatters;
    arena data;
} diff_sweep;

peri_status diff_sweep_init(diff_sweep *s, expr_graph *g, int64_t n_roots, const expr_id *roots);
void diff_sweep_release(diff_sweep *s);
void diff_sweep_mark(diff_sweep *s, int64_t n_wrt, const expr_id *wrt);
peri_status diff_sweep_add(diff_sweep *s, expr_id to, expr_id value);
peri_status diff_sweep_total(diff_sweep *s, expr_id e, expr_id *out); /* the whole adjoint of e, shaped as e; -1: none */
peri_status diff_sweep_back(diff_sweep *s, expr_id e, expr_id adj);  /* to e's arguments */

/*
 * local.c: as diff_adjoint, entry by entry: every node between roots and leaves is elementwise over one set of instances, and scalars' adjoints are not
 * summed over the instances. Takes time for the nodes between, not for the graph or for all leaves.
 *   in   leaves  node -> its number; leaves with a number below `least` count as constants
 *   out  found   the leaves that the roots depend on, by number ascending, with their adjoints: the instances' shape or a scalar (the same for all)
 */
typedef struct {
    int64_t leaf;
    expr_id adjoint;
} diff_found;
typedef VEC(diff_found) diff_found_list;
peri_status diff_adjoint_local(expr_graph *g, int64_t n_roots, const expr_id *roots, const expr_id *seeds, const hash_map *leaves,
                               int64_t least, diff_found_list *found);
/*
 * The same with second derivatives, where all operations have rules for them; else *done is false and nothing found.
 *   out  gradient  as `found` above
 *   out  second    by pairs of leaves a <= b, ascending: the entry of the matrix of second derivatives at (a, b), which is that at (b, a)
 */
typedef struct {
    int64_t a, b;
    expr_id weight;
} diff_pair;
typedef VEC(diff_pair) diff_pair_list;
peri_status diff_second_local(expr_graph *g, int64_t n_roots, const expr_id *roots, const expr_id *seeds, const hash_map *leaves,
                              diff_found_list *gradient, diff_pair_list *second, bool *done);
/* How many operations some nodes take from the leaves on, signs not counted; -1: memory is out. */
int64_t diff_operations(expr_graph *g, int64_t n, const expr_id *roots, const hash_map *leaves);
bool diff_is_zero(const expr_graph *g, expr_id e);
peri_status diff_unsupported(expr_graph *g, expr_id e, const char *what);
/* Gradient of a scalar node (MAX, MIN, LOGDET, CALL) with respect to its argument, shaped as the argument, times seed. */
peri_status diff_scalar_gradient(expr_graph *g, expr_id e, expr_id seed, expr_id *out);
/* The terms of a BMM or CONV node as lists: entry out[k] takes left[k] of the first argument times right[k] of the second (arena memory). */
typedef struct {
    int64_t n;
    int32_t *out, *left, *right;
} diff_terms;
peri_status diff_terms_of(expr_graph *g, expr_id e, int64_t limit, arena *memory, diff_terms *t); /* coo.c; beyond limit: PERI_E_UNSUPPORTED */
/* The subgradient of a ROWMAX node with respect to its argument, row by row. */
peri_status diff_row_weights(expr_graph *g, expr_id e, expr_id *out);
/* d exp(a) in direction d */
peri_status diff_expm_direction(expr_graph *g, expr_id a, expr_id d, expr_id *out);
/* a + b, of which either may be none (PERI_NO_EXPR): the other one */
peri_status diff_add(expr_graph *g, expr_id a, expr_id b, expr_id *out);
peri_status diff_transpose(expr_graph *g, expr_id a, expr_id *out);

/* instances.c: which of many instances, ascending or not: at[k], or first + k stride where `at` is NULL */
typedef struct {
    int64_t n;
    const int32_t *at;
    int64_t first, stride;
} diff_instances;
diff_instances diff_instances_of(int64_t n, const int32_t *at);
peri_status diff_pick_instances(expr_graph *g, expr_id e, const diff_instances *w, expr_id *out); /* as they are */
/* e, of which each entry is an instance, at some of them, what it reads picked out: a column, or a scalar where it is the same for all */
peri_status diff_restrict(expr_graph *g, expr_id e, const diff_instances *w, expr_id *out);
/* What the nodes between some roots and what they read cost for one instance, in additions; -1: memory is out. */
int64_t diff_cost(expr_graph *g, int64_t n, const expr_id *roots);

/* coo.c: a sparse Jacobian in pieces: entry k of a group is value[k] (a node; size 1: the same for all) at (row[k], col[k]). */
typedef struct {
    expr_id value;
    int64_t n;
    int32_t *row, *col; /* [n]; arena memory */
} coo_group;

typedef struct {
    expr_graph *g;
    arena data;
    int64_t x0, n_x;      /* the variables: entries [x0, x0 + n_x) of the class X */
    int64_t n_known;      /* nodes covered by the arrays below; later nodes have no Jacobian */
    unsigned char *depends; /* [n_known] on the variables */
    struct coo { int64_t n, cap; coo_group *at; bool done; int32_t *start; } *jac; /* [n_known]; start: of its only group's rows, or NULL */
    int64_t entries, limit; /* entries made so far; PERI_E_UNSUPPORTED beyond the limit */
} coo_builder;

peri_status coo_init(coo_builder *b, expr_graph *g, expr_id root, int64_t x0, int64_t n_x, int64_t limit);
void coo_release(coo_builder *b);
/* The groups of node e's Jacobian, made (with all those below) at the first call; valid until release. */
peri_status coo_jacobian(coo_builder *b, expr_id e, const struct coo **out);
bool coo_is_direct(const expr_graph *g, expr_id e); /* INPUT of class X, or a gather of one */
/* d[k] for k in list (a scalar stays a scalar; identity lists gather nothing) */
peri_status coo_pick(expr_graph *g, expr_id v, int64_t n, const int32_t *list, expr_id *out);
/* A stable counting sort: start[r] .. start[r + 1] of `order` are the positions of the entries with key r, ascending. Memory of the builder's arena */
typedef struct {
    int64_t *start; /* [keys + 1] */
    int32_t *order; /* [n] */
} coo_sorted;
peri_status coo_sort_by(coo_builder *b, int64_t n, const int32_t *key, int64_t keys, coo_sorted *out);
/*
 * gram.c: the lower triangle of sum_i w_i a_i b_i', with the rows of ga and gb for a_i and b_i (`same`: ga is gb, pairs of one row's entries stand for both
 * orders), as one group whose values are a product with w. *made is false where factors vary or few terms share a place. w [n] or a scalar
 */
peri_status diff_gram(coo_builder *b, expr_id w, int64_t n, const coo_group *ga, const coo_group *gb, bool same, coo_group *out, bool *made);
/*
 * gram_dense.c: the same for sum_i w_i a_i a_i' and the columns that most rows have: out[0] among those, out[1] with the others, of which either may have no
 * entries; rest: the group of the others' entries, all of a where there are no such columns
 */
peri_status diff_gram_dense(coo_builder *b, expr_id w, int64_t n, const coo_group *a, coo_group *rest, coo_group out[2]);
/* assemble.c: is e constants of size 1 or more, not sparse; and the k-th of them */
bool coo_is_numbers(const expr_graph *g, expr_id e);
double coo_number_at(const expr_graph *g, expr_id e, int64_t k);
/* assemble.c: entries to CSC; duplicates are summed by the scatter, or here, where they are constants or multiples of one scalar. */
peri_status coo_assemble(expr_graph *g, int64_t rows, int64_t cols, int64_t n, const coo_group *groups, diff_sparse *out);
/* e = coef * root with coef [size of e] constants and root a scalar; root -1 before, or else the one that it has to be. false: not seen to be so */
bool coo_factor_out(expr_graph *g, expr_id e, expr_id *root, double *coef);

/*
 * blocks.c: of the second derivatives sum_i w_i a_i' b_i, where a_i and b_i are rows of two leaves' Jacobians, all that is dense as products of matrices
 *   in   terms  how many terms they are, entry by entry
 */
typedef struct {
    expr_id w, a, b; /* w [n] or a scalar; leaves of n entries or one, which then stands for all. a = b: each unordered pair of a row's entries once */
    int64_t n;
} diff_pair_terms;
enum { DIFF_MOST_BLOCKS = 64 };
/* diff_has_blocks - are products cheaper? widest: variables that one of them couples */
peri_status diff_has_blocks(coo_builder *b, const diff_pair_terms *p, double terms, int64_t *widest, bool *has);
/* diff_make_blocks - where it has: n groups of the Hessian */
peri_status diff_make_blocks(coo_builder *b, const diff_pair_terms *p, double terms, coo_group groups[DIFF_MOST_BLOCKS], int64_t *n);

#endif
