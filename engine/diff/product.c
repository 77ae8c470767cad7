/* SPDX-License-Identifier: Apache-2.0 */
/*
 * product.c - products as derivatives need them: scalar factors are brought together, so that of (u s)(v t) with scalars s, t two products
 * over all entries are left, not three. Invariant: never more operations than as written, up to those on scalars.
 */
#include "diff/internal.h"

/* e = vector * scalar, or its negative; size > 1 */
typedef struct {
    expr_id vector, scalar;
    bool minus;
} scaled;

static bool is_scaled(const expr_graph *g, expr_id e, scaled *out)
{
    const expr_node *node = expr_at(g, e);
    out->minus = node->op == PERI_OP_NEG;
    if (out->minus)
        node = expr_at(g, node->arg[0]);
    if (node->op != PERI_OP_MUL || expr_size(g, e) == 1)
        return false;
    const int k = expr_size(g, node->arg[0]) == 1 ? 0 : 1;
    out->scalar = node->arg[k];
    out->vector = node->arg[1 - k];
    return expr_size(g, out->scalar) == 1;
}

static peri_status joined(expr_graph *g, const scaled *x, expr_id more, bool minus, expr_id *out)
{
    expr_id scalar = x->scalar;
    if (more >= 0)
        TRY(expr_binary(g, PERI_OP_MUL, scalar, more, &scalar));
    if (x->minus != minus)
        TRY(expr_unary(g, PERI_OP_NEG, scalar, &scalar));
    return expr_binary(g, PERI_OP_MUL, x->vector, scalar, out);
}

peri_status diff_times(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    scaled x, y;
    const bool is_x = is_scaled(g, a, &x), is_y = is_scaled(g, b, &y);
    if (is_x && expr_size(g, b) == 1)
        return joined(g, &x, b, false, out);
    if (is_y && expr_size(g, a) == 1)
        return joined(g, &y, a, false, out);
    if (is_x && x.vector == b) /* (u s) u: the square may be there already */
        y = (scaled){b, -1, false};
    else if (is_y && y.vector == a) {
        x = y;
        y = (scaled){a, -1, false};
    } else if (!is_x || !is_y)
        return expr_binary(g, PERI_OP_MUL, a, b, out);
    TRY(expr_binary(g, PERI_OP_MUL, x.vector, y.vector, &x.vector));
    return joined(g, &x, y.scalar, y.minus, out);
}
