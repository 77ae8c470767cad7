/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reads.c - which variables one entry of an expression depends on, for messages. Depth first and left to right, so that they come in the
 * order in which the user wrote them; bounded, because a message has room for a few only. Invariant: no entry is listed twice.
 */
#include "expr/graph.h"

enum { READS_STACK = 256, READS_VISITS = 1000 };

typedef struct {
    expr_id node;
    int64_t entry; /* -1: all */
} place;

typedef struct {
    const expr_graph *g;
    place stack[READS_STACK];
    int64_t depth, most, n;
    int64_t *x;
} walk;

static void push(walk *w, expr_id node, int64_t entry)
{
    if (node >= 0 && w->depth < READS_STACK)
        w->stack[w->depth++] = (place){node, entry};
}

static void note(walk *w, int64_t x)
{
    for (int64_t k = 0; k < w->n; k++)
        if (w->x[k] == x)
            return;
    if (w->n < w->most)
        w->x[w->n++] = x;
}

static void read_input(walk *w, const expr_node *node, int64_t entry, int64_t size)
{
    if (node->class_ != EXPR_IN_X)
        return;
    for (int64_t k = 0; k < size && w->n < w->most; k++)
        if (entry < 0 || k == entry)
            note(w, node->ref + k);
}

/* A gather of few entries is followed entry by entry. */
static void read_gather(walk *w, const expr_node *node, int64_t entry, int64_t size)
{
    const expr_id from = node->arg[0];
    if (entry >= 0)
        push(w, from, expr_gather_at(w->g, node, entry));
    else if (size <= READS_STACK / 2)
        for (int64_t k = size - 1; k >= 0; k--)
            push(w, from, expr_gather_at(w->g, node, k));
    else
        push(w, from, -1);
}

static void read_node(walk *w, place at)
{
    const expr_graph *g = w->g;
    const expr_node *node = expr_at(g, at.node);
    const int64_t size = expr_size(g, at.node);
    const expr_id *list;
    const int op = node->op;
    if (op == PERI_OP_CONST)
        return;
    if (op == PERI_OP_INPUT) {
        read_input(w, node, at.entry, size);
        return;
    }
    if (op == PERI_OP_GATHER) {
        read_gather(w, node, at.entry, size);
        return;
    }
    const int32_t n = expr_args(g, at.node, &list);
    const bool same = expr_is_elementwise(op) || op == PERI_OP_MARK;
    for (int32_t k = n - 1; k >= 0; k--)
        push(w, list[k], same && at.entry >= 0 ? (expr_size(g, list[k]) > 1 ? at.entry : 0) : -1);
}

int64_t expr_reads(const expr_graph *g, expr_id e, int64_t entry, int64_t most, int64_t *x)
{
    walk w = {.g = g, .most = most, .x = x};
    push(&w, e, entry);
    for (int64_t visits = 0; w.depth > 0 && visits < READS_VISITS && w.n < most; visits++)
        read_node(&w, w.stack[--w.depth]);
    return w.n;
}
