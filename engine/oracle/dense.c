/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dense.c - a dense Hessian by products. Column j of the Hessian H of sigma f + w'c is H e_j, the derivative of the Lagrangian's gradient in the
 * direction e_j; products exist for all operations that have derivatives, so that determinants, exponentials of matrices and implicit functions have
 * Hessians too. Some directions are differentiated in one program, which computes what depends on the point alone once for all of them. Invariant:
 * variables whose column is zero because the gradient does not read them have no row and no column in the pattern.
 */
#include "oracle/dense.h"
#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 16 };

/* ---- variables that enter nonlinearly ------------------------------------------------------------------------------------ */

static bool is_variables(const expr_node *node)
{
    return node->op == PERI_OP_INPUT && node->class_ == EXPR_IN_X;
}

static void mark_range(const expr_graph *g, expr_id input, unsigned char *used)
{
    memset(used + expr_at(g, input)->ref, 1, (size_t)expr_size(g, input));
}

/* What node e reads of the variables themselves: of a gather its entries, else all of the input. */
static void mark_read(const expr_graph *g, expr_id e, unsigned char *used)
{
    const expr_id *args;
    const expr_node node = *expr_at(g, e);
    const int32_t n = expr_args(g, e, &args);
    for (int32_t k = 0; k < n; k++) {
        const expr_node source = *expr_at(g, args[k]);
        if (!is_variables(&source))
            continue;
        if (node.op != PERI_OP_GATHER) {
            mark_range(g, args[k], used);
            continue;
        }
        const int64_t size = expr_size(g, e);
        for (int64_t i = 0; i < size; i++)
            used[source.ref + expr_gather_at(g, &node, i)] = 1;
    }
}

/* used [n]: the gradient reads the variable */
static peri_status find_used(const nlp *p, unsigned char *used)
{
    const expr_graph *g = p->g;
    const expr_id top = p->lagrangian_gradient;
    unsigned char *reach = mem_array(g->m, (size_t)top + 1, 1);
    if (reach == NULL)
        return FAIL_NOMEM(p->ctx);
    expr_reach(g, 1, &top, reach);
    if (is_variables(expr_at(g, top)))
        mark_range(g, top, used);
    for (expr_id e = 0; e <= top; e++)
        if (reach[e])
            mark_read(g, e, used);
    mem_array_free(g->m, reach);
    return PERI_OK;
}

/* ---- making --------------------------------------------------------------------------------------------------------------- */

static bool make_arrays(nlp *p, struct nlp_dense *d)
{
    mem *m = &p->ctx->mem;
    const int64_t runs = (d->n + AT_ONCE - 1) / AT_ONCE;
    d->at_once = runs > 0 ? (d->n + runs - 1) / runs : 0;
    d->products = runs * d->at_once;
    d->variable = mem_array(m, (size_t)d->n, sizeof *d->variable);
    d->v = mem_array(m, (size_t)(d->n * d->at_once), sizeof *d->v);
    d->hv = mem_array(m, (size_t)(d->n * d->at_once), sizeof *d->hv);
    p->hess.start = mem_array(m, (size_t)p->n + 1, sizeof *p->hess.start);
    p->hess.index = mem_array(m, (size_t)(d->n * (d->n + 1) / 2), sizeof *p->hess.index);
    return d->variable != NULL && d->v != NULL && d->hv != NULL && p->hess.start != NULL && p->hess.index != NULL;
}

/* The lower triangle, by columns. */
static void make_pattern(nlp *p, const struct nlp_dense *d)
{
    diff_sparse *h = &p->hess;
    int64_t next = 0;
    h->rows = h->cols = p->n;
    h->nnz = 0;
    for (int64_t j = 0; j < p->n; j++) {
        h->start[j] = h->nnz;
        if (next == d->n || d->variable[next] != j)
            continue;
        for (int64_t k = next; k < d->n; k++)
            h->index[h->nnz++] = d->variable[k];
        next++;
    }
    h->start[p->n] = h->nnz;
}

static peri_status make(nlp *p, const char *why, const unsigned char *used)
{
    struct nlp_dense *d = p->dense;
    expr_id product;
    snprintf(d->why, sizeof d->why, "%s", why);
    for (int64_t j = 0; j < p->n; j++)
        d->n += used[j];
    if (d->n > NLP_LARGEST_DENSE)
        return FAIL(p->ctx, PERI_E_UNSUPPORTED, "%s; a dense one is made by products for up to %d variables that enter nonlinearly, here are %lld",
                    d->why, (int)NLP_LARGEST_DENSE, (long long)d->n);
    TRY(nlp_direction(p, p->lagrangian_gradient, &product)); /* is there such a thing? */
    if (!make_arrays(p, d))
        return FAIL_NOMEM(p->ctx);
    for (int64_t j = 0, k = 0; j < p->n; j++)
        if (used[j])
            d->variable[k++] = (int32_t)j;
    make_pattern(p, d);
    return PERI_OK;
}

peri_status nlp_dense_make(nlp *p, const char *why)
{
    unsigned char *used = mem_array(&p->ctx->mem, (size_t)p->n, 1);
    memset(&p->hess, 0, sizeof p->hess);
    p->hess.values = PERI_NO_EXPR;
    p->dense = mem_alloc(&p->ctx->mem, sizeof *p->dense);
    peri_status status = used != NULL && p->dense != NULL ? find_used(p, used) : FAIL_NOMEM(p->ctx);
    if (status == PERI_OK)
        status = make(p, why, used);
    mem_array_free(&p->ctx->mem, used);
    if (status != PERI_OK) {
        nlp_dense_free(p);
        diff_sparse_free(p->g, &p->hess);
    }
    return status;
}

void nlp_dense_free(nlp *p)
{
    mem *m = &p->ctx->mem;
    struct nlp_dense *d = p->dense;
    if (d == NULL)
        return;
    mem_array_free(m, d->variable);
    mem_array_free(m, d->v);
    mem_array_free(m, d->hv);
    mem_free(m, d, sizeof *d);
    p->dense = NULL;
}

/* ---- products --------------------------------------------------------------------------------------------------------------- */

/* Direction k, of all variables, whose nonlinear entries the program reads. */
static peri_status direction(nlp *p, int64_t k, expr_id *out)
{
    const struct nlp_dense *d = p->dense;
    const int32_t *const list = d->variable;
    TRY(expr_input(p->g, EXPR_IN_V, k * d->n, d->n, 1, out));
    return expr_scatter_sum(p->g, p->n, 1, 1, out, &list, out);
}

static peri_status product(nlp *p, int64_t k, expr_id *out)
{
    expr_id v;
    TRY(direction(p, k, &v));
    TRY(diff_tangent(p->g, 1, &p->lagrangian_gradient, 1, &p->x, &v, out));
    return expr_gather_list(p->g, *out, p->dense->n, 1, p->dense->n, p->dense->variable, out);
}

peri_status nlp_dense_products(nlp *p, expr_id *out)
{
    expr_id at[AT_ONCE];
    for (int64_t k = 0; k < p->dense->at_once; k++)
        TRY(product(p, k, &at[k]));
    return expr_stack(p->g, p->dense->at_once, at, out);
}

peri_status nlp_dense_values(nlp *p, const nlp_point *at, double *val)
{
    struct nlp_dense *d = p->dense;
    nlp_point with = *at;
    double *next = val;
    with.v = d->v;
    for (int64_t first = 0; first < d->n; first += d->at_once) {
        int64_t *count = first == 0 ? &p->count.hessian : &(int64_t){0};
        const int64_t end = first + d->at_once < d->n ? first + d->at_once : d->n;
        if (first > 0 && activity_beat(p->ctx))
            return FAIL(p->ctx, PERI_E_CANCELLED, "hessian: stopped between products with vectors");
        memset(d->v, 0, (size_t)(d->at_once * d->n) * sizeof *d->v);
        for (int64_t j = first; j < end; j++)
            d->v[(j - first) * d->n + j] = 1;
        TRY(nlp_run(p, NLP_HESS, &with, &d->hv, count, &p->seconds.hessian));
        for (int64_t j = first; j < end; j++) {
            memcpy(next, d->hv + (j - first) * d->n + j, (size_t)(d->n - j) * sizeof *next);
            next += d->n - j;
        }
    }
    return nlp_guard(p, NLP_HESS, p->hess.nnz, val);
}
