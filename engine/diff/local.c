/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - reverse mode within one set of instances: the elementwise nodes between some roots and some leaves, and no others. A model with many
 * different expressions has many such sets, so none may cost more than it has nodes.
 */
#include "diff/internal.h"
#include <stdlib.h>

typedef struct {
    expr_part part;
    expr_id *sum;           /* [part.nodes.n] adjoint so far, -1: none */
    unsigned char *depends; /* [part.nodes.n] on a leaf that counts */
    int64_t *leaf;          /* [part.nodes.n] its number, -1: none */
} sweep;

/* Elementwise nodes are passed through, but for leaves. */
static bool is_between(const expr_graph *g, expr_id e, const void *leaves)
{
    int64_t k;
    return expr_is_elementwise(expr_at(g, e)->op) && !hash_get(leaves, (uint64_t)e, &k);
}

static peri_status mark(sweep *s, const hash_map *leaves, int64_t least)
{
    expr_graph *g = s->part.g;
    const int64_t n = s->part.nodes.n;
    s->sum = mem_array(g->m, (size_t)n, sizeof *s->sum);
    s->depends = mem_array(g->m, (size_t)n, 1);
    s->leaf = mem_array(g->m, (size_t)n, sizeof *s->leaf);
    if (s->sum == NULL || s->depends == NULL || s->leaf == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n; k++) {
        const expr_id e = s->part.nodes.at[k];
        const expr_node *node = expr_at(g, e);
        s->sum[k] = PERI_NO_EXPR;
        if (!hash_get(leaves, (uint64_t)e, &s->leaf[k]))
            s->leaf[k] = -1;
        s->depends[k] = s->leaf[k] >= least && s->leaf[k] >= 0;
        for (int j = 0; j < 3 && s->leaf[k] < 0 && expr_is_elementwise(node->op) && node->arg[j] >= 0; j++)
            s->depends[k] |= s->depends[expr_part_at(&s->part, node->arg[j])];
    }
    return PERI_OK;
}

static peri_status add(sweep *s, int64_t at, expr_id value)
{
    if (!s->depends[at] || diff_is_zero(s->part.g, value))
        return PERI_OK;
    if (s->sum[at] >= 0 && s->leaf[at] < 0)
        return diff_plus(s->part.g, s->sum[at], value, &s->sum[at]);
    if (s->sum[at] >= 0)
        return diff_sum(s->part.g, s->sum[at], value, &s->sum[at]);
    s->sum[at] = value;
    return PERI_OK;
}

static peri_status back(sweep *s, int64_t k)
{
    expr_graph *g = s->part.g;
    const expr_id e = s->part.nodes.at[k];
    const expr_node node = *expr_at(g, e);
    for (int j = 0; j < 3 && node.arg[j] >= 0; j++) {
        const int64_t at = expr_part_at(&s->part, node.arg[j]);
        expr_id value;
        if (!s->depends[at])
            continue;
        TRY(diff_partial(g, e, j, s->sum[k], &value));
        TRY(add(s, at, value));
    }
    return PERI_OK;
}

static peri_status run(sweep *s, int64_t n_roots, const expr_id *roots, const expr_id *seeds)
{
    for (int64_t k = 0; k < n_roots; k++)
        TRY(add(s, expr_part_at(&s->part, roots[k]), seeds[k]));
    for (int64_t k = s->part.nodes.n; k-- > 0;)
        if (s->sum[k] >= 0 && s->leaf[k] < 0)
            TRY(back(s, k));
    return PERI_OK;
}

static int by_leaf(const void *a, const void *b)
{
    const int64_t x = ((const diff_found *)a)->leaf, y = ((const diff_found *)b)->leaf;
    return (x > y) - (x < y);
}

static peri_status collect(const sweep *s, diff_found_list *found)
{
    mem *m = s->part.g->m;
    found->n = 0;
    for (int64_t k = 0; k < s->part.nodes.n; k++) {
        const diff_found item = {s->leaf[k], s->sum[k]};
        if (s->leaf[k] >= 0 && s->sum[k] >= 0 && !vec_push(m, found, item))
            return FAIL_NOMEM(s->part.g->ctx);
    }
    if (found->n > 1)
        qsort(found->at, (size_t)found->n, sizeof *found->at, by_leaf);
    return PERI_OK;
}

peri_status diff_adjoint_local(expr_graph *g, int64_t n_roots, const expr_id *roots, const expr_id *seeds, const hash_map *leaves,
                               int64_t least, diff_found_list *found)
{
    sweep s = {.sum = NULL};
    TRY(expr_part_make(&s.part, g, n_roots, roots, is_between, leaves));
    peri_status status = mark(&s, leaves, least);
    if (status == PERI_OK)
        status = run(&s, n_roots, roots, seeds);
    if (status == PERI_OK)
        status = collect(&s, found);
    mem_array_free(g->m, s.sum);
    mem_array_free(g->m, s.depends);
    mem_array_free(g->m, s.leaf);
    expr_part_release(&s.part);
    return status;
}
