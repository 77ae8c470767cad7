/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instances.c - an expression of many instances at some of them: all that it reads is read there, and constants are picked out beforehand. Invariant:
 * entry k of the result has the operations of entry which[k], in the same order.
 */
#include "diff/internal.h"

enum { PLAIN = 1, QUOTIENT = 3, ROOT = 5, FUNCTION = 12 }; /* what an operation costs, in additions */

peri_status diff_pick_instances(expr_graph *g, expr_id e, const diff_instances *w, expr_id *out)
{
    if (w->at == NULL)
        return expr_gather_affine(g, e, w->n, 1, w->first, w->stride, out);
    return expr_gather_list(g, e, w->n, 1, w->n, w->at, out);
}

diff_instances diff_instances_of(int64_t n, const int32_t *at)
{
    const int64_t stride = n > 1 ? (int64_t)at[1] - at[0] : 1;
    for (int64_t k = 1; k < n; k++)
        if ((int64_t)at[k] - at[k - 1] != stride)
            return (diff_instances){.n = n, .at = at};
    return (diff_instances){.n = n, .first = n > 0 ? at[0] : 0, .stride = stride};
}

static bool is_opened(const expr_graph *g, expr_id e)
{
    const int op = expr_at(g, e)->op;
    return expr_size(g, e) > 1 && !expr_is_const(g, e) && (expr_is_elementwise(op) || op == PERI_OP_MARK);
}

static peri_status restricted(expr_graph *g, expr_id e, const diff_instances *w, hash_map *known, expr_id *out);

static peri_status restrict_operation(expr_graph *g, expr_id e, const diff_instances *w, hash_map *known, expr_id *out)
{
    const expr_node node = *expr_at(g, e);
    expr_id args[3];
    int n = 0;
    if (node.op == PERI_OP_MARK)
        return restricted(g, node.arg[0], w, known, out);
    for (; n < 3 && node.arg[n] >= 0; n++)
        TRY(restricted(g, node.arg[n], w, known, &args[n]));
    return expr_op(g, (peri_op)node.op, n, args, out);
}

static peri_status restricted(expr_graph *g, expr_id e, const diff_instances *w, hash_map *known, expr_id *out)
{
    int64_t old;
    double value;
    *out = e;
    if (expr_size(g, e) == 1)
        return PERI_OK;
    if (expr_constant_value(g, e, &value))
        return expr_number(g, value, out);
    if (!is_opened(g, e)) {
        TRY(diff_pick_instances(g, e, w, out));
        return expr_constant_value(g, *out, &value) ? expr_number(g, value, out) : PERI_OK; /* the same for all that were picked */
    }
    if (hash_get(known, (uint64_t)e, &old)) {
        *out = (expr_id)old;
        return PERI_OK;
    }
    TRY(restrict_operation(g, e, w, known, out));
    return hash_put(known, (uint64_t)e, *out) ? PERI_OK : FAIL_NOMEM(g->ctx);
}

peri_status diff_restrict(expr_graph *g, expr_id e, const diff_instances *w, expr_id *out)
{
    hash_map known;
    hash_init(&known, g->m);
    const peri_status status = restricted(g, e, w, &known, out);
    hash_release(&known);
    return status;
}

/* ---- costs ---------------------------------------------------------------------------------------------------------- */

static bool enters(const expr_graph *g, expr_id e, const void *ud)
{
    (void)ud;
    return is_opened(g, e);
}

static int64_t cost_of(const expr_graph *g, expr_id e)
{
    switch (expr_at(g, e)->op) {
    case PERI_OP_NEG:
    case PERI_OP_MARK: return 0;
    case PERI_OP_ADD:
    case PERI_OP_SUB:
    case PERI_OP_MUL:
    case PERI_OP_SQUARE: return PLAIN;
    case PERI_OP_DIV: return expr_is_const(g, expr_at(g, e)->arg[1]) ? PLAIN : QUOTIENT;
    case PERI_OP_SQRT: return ROOT;
    default: return FUNCTION;
    }
}

int64_t diff_cost(expr_graph *g, int64_t n, const expr_id *roots)
{
    expr_part part;
    int64_t cost = 0;
    if (expr_part_make(&part, g, n, roots, enters, NULL) != PERI_OK)
        return -1;
    for (int64_t k = 0; k < part.nodes.n; k++)
        cost += is_opened(g, part.nodes.at[k]) ? cost_of(g, part.nodes.at[k]) : 0;
    expr_part_release(&part);
    return cost;
}
