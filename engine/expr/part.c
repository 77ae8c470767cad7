/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part.c - a part of the graph: the nodes that some roots need, listed in topological order. Work on a part takes time for the part, not for the graph,
 * however many parts there are.
 */
#include "expr/node.h"
#include <stdlib.h>

int expr_ascending(const void *a, const void *b)
{
    const expr_id x = *(const expr_id *)a, y = *(const expr_id *)b;
    return (x > y) - (x < y);
}

static bool visit(expr_part *p, expr_graph *g, expr_id e)
{
    int64_t seen;
    if (hash_get(&p->place, (uint64_t)e, &seen))
        return true;
    return hash_put(&p->place, (uint64_t)e, 0) && vec_push(g->m, &p->nodes, e);
}

peri_status expr_part_make(expr_part *p, expr_graph *g, int64_t n, const expr_id *roots, expr_part_filter enter, const void *ud)
{
    *p = (expr_part){.g = g};
    hash_init(&p->place, g->m);
    bool ok = true;
    for (int64_t k = 0; k < n && ok; k++)
        ok = visit(p, g, roots[k]);
    for (int64_t k = 0; k < p->nodes.n && ok; k++) { /* the list is the queue */
        const expr_id *args;
        const expr_id e = p->nodes.at[k];
        const int32_t n_args = enter == NULL || enter(g, e, ud) ? expr_args(g, e, &args) : 0;
        for (int32_t j = 0; j < n_args && ok; j++)
            ok = visit(p, g, args[j]);
    }
    if (p->nodes.n > 1)
        qsort(p->nodes.at, (size_t)p->nodes.n, sizeof *p->nodes.at, expr_ascending);
    for (int64_t k = 0; k < p->nodes.n && ok; k++)
        ok = hash_put(&p->place, (uint64_t)p->nodes.at[k], k);
    if (ok)
        return PERI_OK;
    expr_part_release(p);
    return FAIL_NOMEM(g->ctx);
}

int64_t expr_part_at(const expr_part *p, expr_id e)
{
    int64_t at;
    return hash_get(&p->place, (uint64_t)e, &at) ? at : -1;
}

void expr_part_release(expr_part *p)
{
    vec_free(p->g->m, &p->nodes);
    hash_release(&p->place);
}
