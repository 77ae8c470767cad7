/* SPDX-License-Identifier: Apache-2.0 */
/* patterns.c - compositions seen as one: the builder's logsumexp, and single rows of blocks that mix several kinds of expression. */
#include "model/curvature.h"

static bool is_op(const expr_graph *g, expr_id e, int op)
{
    return expr_at(g, e)->op == op;
}

/* log(sum(exp(a - top))) for this top */
static bool is_shifted_log(const expr_graph *g, expr_id e, expr_id top, expr_id a)
{
    static const int chain[] = {PERI_OP_LOG, PERI_OP_SUM, PERI_OP_EXP};
    for (int k = 0; k < 3; k++) {
        if (!is_op(g, e, chain[k]))
            return false;
        e = expr_at(g, e)->arg[0];
    }
    return is_op(g, e, PERI_OP_SUB) && expr_at(g, e)->arg[0] == a && expr_at(g, e)->arg[1] == top;
}

/* The same along a dimension: log(sums of groups of exp(a - tops spread over their groups)). Holds whatever is subtracted and added again. */
static bool is_shifted_log_of_groups(const expr_graph *g, expr_id e, expr_id top, expr_id *a)
{
    if (!is_op(g, e, PERI_OP_LOG) || !is_op(g, expr_at(g, e)->arg[0], PERI_OP_SCATTER))
        return false;
    const expr_node *sum = expr_at(g, expr_at(g, e)->arg[0]);
    const expr_id *terms = g->args.at + sum->many.list;
    if (sum->many.n != 1 || !is_op(g, terms[0], PERI_OP_EXP) || !is_op(g, expr_at(g, terms[0])->arg[0], PERI_OP_SUB))
        return false;
    const expr_node *shifted = expr_at(g, expr_at(g, terms[0])->arg[0]), *spread = expr_at(g, shifted->arg[1]);
    *a = shifted->arg[0];
    return spread->op == PERI_OP_GATHER && spread->arg[0] == top && !(spread->flags & EXPR_AFFINE) && spread->index == terms[1];
}

bool curvature_is_logsumexp(const expr_graph *g, expr_id e, expr_id *a)
{
    for (int k = 0; k < 2; k++) {
        const expr_id top = expr_at(g, e)->arg[k], rest = expr_at(g, e)->arg[1 - k];
        if (!is_op(g, top, PERI_OP_STOP))
            continue;
        if (is_shifted_log_of_groups(g, rest, top, a))
            return true;
        if (!is_op(g, expr_at(g, top)->arg[0], PERI_OP_MAX))
            continue;
        *a = expr_at(g, expr_at(g, top)->arg[0])->arg[0];
        if (is_shifted_log(g, rest, top, *a))
            return true;
    }
    return false;
}

/* ---- one entry --------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    expr_id e;
    int64_t k;
    bool negated;
} place;

static void into_stack(curvature_table *t, place *p)
{
    const expr_node *node = expr_at(t->g, p->e);
    if (t->cursor.stack != p->e || p->k < t->cursor.begin) {
        t->cursor.stack = p->e;
        t->cursor.part = 0;
        t->cursor.begin = 0;
    }
    const expr_id *args = t->g->args.at + node->many.list;
    while (p->k >= t->cursor.begin + expr_size(t->g, args[t->cursor.part]))
        t->cursor.begin += expr_size(t->g, args[t->cursor.part++]);
    p->e = args[t->cursor.part];
    p->k -= t->cursor.begin;
}

static void into_argument(const curvature_table *t, place *p, int k, bool negate)
{
    p->e = expr_at(t->g, p->e)->arg[k];
    p->k = expr_size(t->g, p->e) > 1 ? p->k : 0;
    p->negated = p->negated != negate;
}

/* One step towards the entry's own expression; false: this is it. */
static bool descend(curvature_table *t, place *p)
{
    const expr_node *node = expr_at(t->g, p->e);
    switch (node->op) {
    case PERI_OP_STACK:
        into_stack(t, p);
        return true;
    case PERI_OP_GATHER:
        p->k = expr_gather_at(t->g, node, p->k);
        p->e = node->arg[0];
        return true;
    case PERI_OP_NEG:
    case PERI_OP_MARK:
        into_argument(t, p, 0, node->op == PERI_OP_NEG);
        return true;
    case PERI_OP_ADD:
    case PERI_OP_SUB:
        if (curvature_at(t, node->arg[0]).degree > 0 && curvature_at(t, node->arg[1]).degree > 0)
            return false;
        into_argument(t, p, curvature_at(t, node->arg[0]).degree == 0, node->op == PERI_OP_SUB && curvature_at(t, node->arg[0]).degree == 0);
        return true;
    case PERI_OP_MUL:
        for (int k = 0; k < 2; k++) {
            const curvature c = curvature_at(t, node->arg[k]);
            if (c.degree == 0 && (c.range.lo > 0 || c.range.hi < 0)) {
                into_argument(t, p, 1 - k, c.range.hi < 0);
                return true;
            }
        }
        return false;
    default:
        return false;
    }
}

curvature curvature_of_entry(curvature_table *t, expr_id e, int64_t k)
{
    place p = {e, k, false};
    while (curvature_at(t, p.e).degree > 1 && descend(t, &p)) {
    }
    curvature c = p.negated ? curvature_negated(curvature_at(t, p.e)) : curvature_at(t, p.e);
    c.marks &= CURV_AFFINE;
    c.range = interval_all();
    return c;
}
