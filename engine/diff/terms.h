/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terms.h - a sum over data taken apart: f(x) = rest(x) + sum_i w_i L_i(x), where the weights w are a range of the parameters, and the graph of some K
 * of its terms, whose numbers are known only when it is evaluated. What a term reads of constants and parameters becomes a column of data, an
 * input of the class W that is filled for the rows at hand; what it reads of the variables by its number is a rule that looks at the rows then.
 * So the cost of K terms depends on K, not on how many terms there are.
 */
#ifndef PERI_DIFF_TERMS_H
#define PERI_DIFF_TERMS_H

#include "expr/graph.h"

/* Which entries of an array belong to a row: the j-th of row i is first + i row_step + j step, or stands in a list. */
typedef struct {
    int64_t n, s; /* rows; entries a row */
    int64_t first, row_step, step;
    const int32_t *at; /* [n s] instead; -1: none there, which the row's weight of 0 hides. NULL: as above */
    int64_t some;      /* an entry that is there */
} terms_layout;

static inline int64_t terms_entry(const terms_layout *l, int64_t i, int64_t j)
{
    return l->at != NULL ? l->at[i * l->s + j] : l->first + i * l->row_step + j * l->step;
}

/* Data of the rows: entries K place .. K (place + at.s) of the class W, row by row. */
typedef struct {
    terms_layout at;
    int64_t place;
    const double *from; /* a constant's entries; NULL: parameters */
    bool is_weight;     /* the weights: 0 where there is no entry, and multiplied by the sample's factor */
} terms_column;

struct terms_builder;

typedef struct diff_terms {
    expr_graph *from, *to; /* the sum's; of K terms, its own */
    int64_t first, n, K;   /* weights: entries first .. first + n of PARAM */
    expr_id x, total;      /* in `to`: all variables, the K terms' sum */
    expr_id rest;          /* in `from`: what has no weights; PERI_NO_EXPR: nothing */
    bool whole;            /* something is evaluated for all rows */
    VEC(terms_column) columns;
    int64_t width;         /* data a row */
    const int64_t *rows;   /* [K] to be set before an evaluation, 0 .. n-1 */
    arena data;
    VEC(void *) lists;
} diff_terms;

/*
 * diff_terms_make - the graph of K terms of f
 *   in   from      a grouped graph (diff_roll): classes are read as a whole. Nodes for `rest` are made in it
 *   in   first, n  the weights
 *   in   n_x       variables
 *   err  PERI_E_UNSUPPORTED  f is not linear in the weights, or which term belongs to which weight is not seen; the message says where
 *        PERI_E_ARGUMENT     there are no weights in it
 */
peri_status diff_terms_make(expr_graph *from, expr_id f, int64_t first, int64_t n, int64_t n_x, int64_t K, diff_terms **out);
void diff_terms_free(diff_terms *t);
/* diff_terms_fill - the data of t->rows; data [K width], of the class W */
void diff_terms_fill(const diff_terms *t, const double *params, double factor, double *data);

/* ---- inside engine/diff: terms_image.c, terms_product.c, terms_rules.c ------------------------------------------------------------------------ */

typedef struct terms_builder {
    diff_terms *t;
    unsigned char *depends; /* [nodes of `from` at the start] on the weights */
    int64_t n_depends;
    VEC(struct terms_image { expr_id e; terms_layout at; expr_id image; int64_t next; }) images;
    hash_map of; /* node -> its last image's number + 1 */
    hash_map plain; /* node -> its copy */
    expr_id input[EXPR_IN_COUNT];
    int32_t n_lone; /* layouts for all rows of which few have entries */
} terms_builder;

static inline bool terms_depends(const terms_builder *b, expr_id e)
{
    return e < b->n_depends && b->depends[e];
}

/* PERI_E_UNSUPPORTED: e has the weights in it, in another way than a sum of multiples */
peri_status terms_unclear(const terms_builder *b, expr_id e);
/* a copy of e, which has no weights in it */
peri_status terms_plain(terms_builder *b, expr_id e, expr_id *out);
/* the rows' entries of e, K x at->s */
peri_status terms_image_of(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out);
/* the same read from e evaluated for all rows, where it has no weights in it */
peri_status terms_for_all(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out);
/* terms_product.c: of products, convolutions, and largest entries of rows */
peri_status terms_product_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out);
peri_status terms_convolution_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out);
peri_status terms_row_max_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out);
const expr_const *terms_sparse_of(const expr_graph *g, expr_id e); /* NULL: e is no sparse constant */
/* a list that goes with the terms; NULL: out of memory */
int32_t *terms_list(diff_terms *t, int64_t n);
/* lists that walk evenly need no list */
void terms_settle(diff_terms *t, terms_layout *at);
/* entries of e, an array of `to` that does not depend on the row, by the rows' numbers; K x at->s */
peri_status terms_take(diff_terms *t, expr_id e, const terms_layout *at, expr_id *out);
/* rows at->s a term of the sparse constant `a` of `from` times v [p x c] of `to`; (K at->s) x c */
peri_status terms_sparse(diff_terms *t, const expr_const *a, const terms_layout *at, expr_id v, expr_id *out);

#endif
