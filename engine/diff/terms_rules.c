/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terms_rules.c - the two linear maps that look at the rows of a sample while they are evaluated: entries of an array by the rows' numbers, and the
 * rows of a sparse matrix times an array. Each is a pair of rules, the map and its adjoint, which are one another's derivatives.
 */
#include "diff/terms.h"
#include <string.h>

typedef struct pair pair;
typedef struct {
    expr_rule rule; /* first: the graph has its address */
    pair *of;
    bool is_adjoint;
} half;

struct pair {
    half forward, backward;
    const diff_terms *t;
    terms_layout at;
    bool is_sparse;      /* rows of `a`; false: entries are taken */
    expr_const a;        /* of a graph that stays */
    int64_t c;           /* columns of what a is multiplied by */
};

static half *half_of(expr_rule *r)
{
    return (half *)(void *)r;
}

/* The entry of row k's j-th place; of those that are not there some other. */
static int64_t entry_of(const pair *p, int64_t k, int64_t j)
{
    const int64_t at = terms_entry(&p->at, p->t->rows[k], j);
    return at >= 0 ? at : p->at.some;
}

static void take(const pair *p, const double *x, double *out)
{
    for (int64_t k = 0; k < p->t->K; k++)
        for (int64_t j = 0; j < p->at.s; j++)
            *out++ = x[entry_of(p, k, j)];
}

static void put(const pair *p, const double *v, double *out)
{
    for (int64_t k = 0; k < p->t->K; k++)
        for (int64_t j = 0; j < p->at.s; j++)
            out[entry_of(p, k, j)] += *v++;
}

/* out := rows of a times v */
static void multiply(const pair *p, const double *v, double *out)
{
    for (int64_t k = 0; k < p->t->K; k++)
        for (int64_t j = 0; j < p->at.s; j++, out += p->c) {
            const int64_t row = entry_of(p, k, j);
            memset(out, 0, (size_t)p->c * sizeof *out);
            for (int64_t i = p->a.row_start[row]; i < p->a.row_start[row + 1]; i++)
                for (int64_t q = 0; q < p->c; q++)
                    out[q] += expr_sparse_at(&p->a, i) * v[p->a.col[i] * p->c + q];
        }
}

static void multiply_back(const pair *p, const double *r, double *out)
{
    for (int64_t k = 0; k < p->t->K; k++)
        for (int64_t j = 0; j < p->at.s; j++, r += p->c) {
            const int64_t row = entry_of(p, k, j);
            for (int64_t i = p->a.row_start[row]; i < p->a.row_start[row + 1]; i++)
                for (int64_t q = 0; q < p->c; q++)
                    out[p->a.col[i] * p->c + q] += expr_sparse_at(&p->a, i) * r[q];
        }
}

static peri_status value(expr_rule *r, const double *x, double *out)
{
    const half *h = half_of(r);
    if (!h->is_adjoint) {
        (h->of->is_sparse ? multiply : take)(h->of, x, out);
        return PERI_OK;
    }
    memset(out, 0, (size_t)h->rule.rows * sizeof *out);
    (h->of->is_sparse ? multiply_back : put)(h->of, x, out);
    return PERI_OK;
}

static peri_status tangent(expr_rule *r, expr_graph *g, expr_id e, expr_id t, expr_id *out)
{
    (void)e;
    return expr_apply_rule(g, r, t, out);
}

static peri_status adjoint(expr_rule *r, expr_graph *g, expr_id e, expr_id adj, expr_id *out)
{
    half *h = half_of(r);
    (void)e;
    TRY(expr_apply_rule(g, h->is_adjoint ? &h->of->forward.rule : &h->of->backward.rule, adj, out));
    return expr_reshape(g, *out, r->size, 1, out);
}

static peri_status apply(diff_terms *t, const pair *given, int64_t rows, int64_t cols, expr_id e, expr_id *out)
{
    pair *p = arena_alloc(&t->data, sizeof *p);
    if (p == NULL)
        return FAIL_NOMEM(t->to->ctx);
    *p = *given;
    p->t = t;
    const int64_t size = expr_size(t->to, e);
    p->forward = (half){.rule = {.name = "rows of a sample", .size = size, .rows = rows, .cols = cols, .value = value, .tangent = tangent,
                                 .adjoint = adjoint}, .of = p};
    p->backward = (half){.rule = p->forward.rule, .of = p, .is_adjoint = true};
    p->backward.rule.size = rows * cols;
    p->backward.rule.rows = size;
    p->backward.rule.cols = 1;
    return expr_apply_rule(t->to, &p->forward.rule, e, out);
}

peri_status terms_take(diff_terms *t, expr_id e, const terms_layout *at, expr_id *out)
{
    return apply(t, &(pair){.at = *at}, t->K, at->s, e, out);
}

peri_status terms_sparse(diff_terms *t, const expr_const *a, const terms_layout *at, expr_id v, expr_id *out)
{
    const int64_t c = expr_at(t->to, v)->cols;
    return apply(t, &(pair){.at = *at, .is_sparse = true, .a = *a, .c = c}, t->K * at->s, c, v, out);
}
