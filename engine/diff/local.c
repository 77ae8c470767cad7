/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - reverse mode within one set of instances: the elementwise nodes between some roots and the nodes in wrt, and no others. A model with many
 * different expressions has many such sets, so none may cost more than it has nodes.
 */
#include "diff/internal.h"

typedef struct {
    expr_part part;
    expr_id *sum;            /* [part.nodes.n] adjoint so far, -1: none */
    unsigned char *depends;  /* [part.nodes.n] on a node of wrt */
    unsigned char *is_wrt;   /* [part.nodes.n] */
} sweep;

typedef struct {
    const hash_map *wrt;
} border;

/* Elementwise nodes are passed through, but for those of wrt. */
static bool is_between(const expr_graph *g, expr_id e, const void *ud)
{
    int64_t k;
    return expr_is_elementwise(expr_at(g, e)->op) && !hash_get(((const border *)ud)->wrt, (uint64_t)e, &k);
}

static peri_status find_part(sweep *s, expr_graph *g, int64_t n_roots, const expr_id *roots, int64_t n_wrt, const expr_id *wrt)
{
    hash_map set;
    hash_init(&set, g->m);
    bool ok = true;
    for (int64_t k = 0; k < n_wrt && ok; k++)
        ok = hash_put(&set, (uint64_t)wrt[k], k);
    const border b = {&set};
    const peri_status status = ok ? expr_part_make(&s->part, g, n_roots, roots, is_between, &b) : FAIL_NOMEM(g->ctx);
    hash_release(&set);
    return status;
}

static peri_status mark(sweep *s, int64_t n_wrt, const expr_id *wrt)
{
    expr_graph *g = s->part.g;
    const int64_t n = s->part.nodes.n;
    s->sum = mem_array(g->m, (size_t)n, sizeof *s->sum);
    s->depends = mem_array(g->m, (size_t)n, 1);
    s->is_wrt = mem_array(g->m, (size_t)n, 1);
    if (s->sum == NULL || s->depends == NULL || s->is_wrt == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n_wrt; k++) {
        const int64_t at = expr_part_at(&s->part, wrt[k]);
        if (at >= 0)
            s->depends[at] = s->is_wrt[at] = 1;
    }
    for (int64_t k = 0; k < n; k++) {
        const expr_node *node = expr_at(g, s->part.nodes.at[k]);
        s->sum[k] = PERI_NO_EXPR;
        for (int j = 0; j < 3 && !s->is_wrt[k] && expr_is_elementwise(node->op) && node->arg[j] >= 0; j++)
            s->depends[k] |= s->depends[expr_part_at(&s->part, node->arg[j])];
    }
    return PERI_OK;
}

static peri_status add(sweep *s, int64_t at, expr_id value)
{
    if (!s->depends[at] || diff_is_zero(s->part.g, value))
        return PERI_OK;
    if (s->sum[at] >= 0)
        return expr_binary(s->part.g, PERI_OP_ADD, s->sum[at], value, &s->sum[at]);
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
        if (s->sum[k] >= 0 && !s->is_wrt[k])
            TRY(back(s, k));
    return PERI_OK;
}

peri_status diff_adjoint_local(expr_graph *g, int64_t n_roots, const expr_id *roots, const expr_id *seeds, int64_t n_wrt,
                               const expr_id *wrt, expr_id *out)
{
    sweep s = {.sum = NULL};
    TRY(find_part(&s, g, n_roots, roots, n_wrt, wrt));
    peri_status status = mark(&s, n_wrt, wrt);
    if (status == PERI_OK)
        status = run(&s, n_roots, roots, seeds);
    for (int64_t k = 0; k < n_wrt && status == PERI_OK; k++) {
        const int64_t at = expr_part_at(&s.part, wrt[k]);
        out[k] = at >= 0 ? s.sum[at] : PERI_NO_EXPR;
    }
    mem_array_free(g->m, s.sum);
    mem_array_free(g->m, s.depends);
    mem_array_free(g->m, s.is_wrt);
    expr_part_release(&s.part);
    return status;
}
