/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - which entries of a program's result can fail to be finite, found once when it is compiled: constants cannot, and of constants times one
 * scalar the largest tells of all. So the guard does not read again what a linear or quadratic function's derivatives are mostly made of.
 * Invariant: if the entries watched are finite, all are.
 */
#include "oracle/nlp.h"
#include <math.h>

/* Adding a constant below this to any finite number does not overflow. */
#define HARMLESS 1e290

static void watch(nlp_watched *w, int64_t begin, int64_t end)
{
    for (int32_t k = 0; k < w->n; k++)
        if (begin <= w->at[k].end && w->at[k].begin <= end) { /* overlap, or neighbours */
            begin = begin < w->at[k].begin ? begin : w->at[k].begin;
            end = end > w->at[k].end ? end : w->at[k].end;
            w->at[k--] = w->at[--w->n];
        }
    if (w->n == NLP_MOST_WATCHED) { /* one range from the first to the last */
        for (int32_t k = 0; k < w->n; k++) {
            begin = begin < w->at[k].begin ? begin : w->at[k].begin;
            end = end > w->at[k].end ? end : w->at[k].end;
        }
        w->n = 0;
    }
    w->at[w->n].begin = begin;
    w->at[w->n++].end = end;
}

/* The largest magnitude of a constant's n entries, and where; infinite where one is not finite, or where e is no dense constant. */
static double largest(const expr_graph *g, expr_id e, int64_t n, int64_t *where)
{
    double size = 0, value;
    const expr_node *node = expr_at(g, e);
    *where = 0;
    if (expr_constant_value(g, e, &value))
        return isfinite(value) ? fabs(value) : INFINITY;
    if (node->op != PERI_OP_CONST || g->consts.at[node->ref].col != NULL)
        return INFINITY;
    const double *v = expr_const_data(g, e);
    for (int64_t k = 0; k < n; k++) {
        if (!isfinite(v[k]))
            return INFINITY;
        if (fabs(v[k]) > size) {
            size = fabs(v[k]);
            *where = k;
        }
    }
    return size;
}

enum { HARMLESS_CONSTANT, MULTIPLE, ANY };

/* MULTIPLE: constants times one scalar, the largest at `where` */
static int sort_of(const expr_graph *g, expr_id e, int64_t *where)
{
    const expr_node node = *expr_at(g, e);
    const int64_t n = expr_size(g, e);
    if (largest(g, e, n, where) < HARMLESS)
        return HARMLESS_CONSTANT;
    for (int k = 0; k < 2 && node.op == PERI_OP_MUL && n > 1; k++)
        if (expr_size(g, node.arg[1 - k]) == 1 && expr_size(g, node.arg[k]) == n && largest(g, node.arg[k], n, where) < HARMLESS)
            return MULTIPLE;
    return ANY;
}

static void watch_scatter(const expr_graph *g, const expr_node *node, nlp_watched *w)
{
    bool one = false;
    for (int32_t k = 0; k < node->many.n; k++) {
        const expr_list *list = &g->lists.at[g->args.at[node->many.list + node->many.n + k]];
        int64_t where;
        const int sort = sort_of(g, g->args.at[node->many.list + k], &where);
        if (sort == HARMLESS_CONSTANT)
            continue;
        if (sort == MULTIPLE && list->unique && !one)
            watch(w, expr_list_at(list, where), expr_list_at(list, where) + 1);
        else
            watch(w, list->lo, list->hi + 1);
        one = one || sort == MULTIPLE;
    }
}

static void watch_stack(const expr_graph *g, const expr_node *node, nlp_watched *w)
{
    int64_t at = 0;
    for (int32_t k = 0; k < node->many.n; k++) {
        const expr_id arg = g->args.at[node->many.list + k];
        int64_t where;
        const int sort = sort_of(g, arg, &where);
        if (sort == MULTIPLE)
            watch(w, at + where, at + where + 1);
        if (sort == ANY)
            watch(w, at, at + expr_size(g, arg));
        at += expr_size(g, arg);
    }
}

void nlp_watch(const nlp *p, expr_id e, nlp_watched *w)
{
    const expr_graph *g = p->g;
    const expr_node node = *expr_at(g, e);
    int64_t where;
    w->n = 0;
    const int sort = sort_of(g, e, &where);
    if (sort == MULTIPLE)
        watch(w, where, where + 1);
    else if (sort == ANY && node.op == PERI_OP_SCATTER)
        watch_scatter(g, &node, w);
    else if (sort == ANY && node.op == PERI_OP_STACK)
        watch_stack(g, &node, w);
    else if (sort == ANY)
        watch(w, 0, expr_size(g, e));
}
