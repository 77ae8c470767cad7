/* SPDX-License-Identifier: Apache-2.0 */
/*
 * product.c - products and sums as derivatives need them: scalar factors are brought together, so that of (u s)(v t) with scalars s, t two products
 * over all entries are left, not three; common factors of two terms are taken out. Invariant: never more operations than as written, up to those on
 * scalars.
 */
#include "diff/internal.h"

/* e = vector * scalar, or its negative; size > 1 */
typedef struct {
    expr_id vector, scalar;
    bool minus;
} scaled;

static bool is_scaled(const expr_graph *g, expr_id e, scaled *out)
{
    const expr_node *top = expr_at(g, e);
    out->minus = top->op == PERI_OP_NEG;
    const expr_node *node = expr_at(g, out->minus ? top->arg[0] : e);
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

/* ---- sums --------------------------------------------------------------------------------------------------------------------- */

enum { MOST_FACTORS = 5 };

typedef struct {
    expr_id at[MOST_FACTORS];
    int n;
    bool minus;
} factors;

static expr_id unsigned_of(const expr_graph *g, expr_id e, bool *minus)
{
    for (; expr_at(g, e)->op == PERI_OP_NEG; e = expr_at(g, e)->arg[0])
        *minus = !*minus;
    return e;
}

/* e as a product, ascending; factors that are products are taken apart while there is room. */
static factors factors_of(const expr_graph *g, expr_id e)
{
    factors f = {.n = 1};
    f.at[0] = unsigned_of(g, e, &f.minus);
    for (int k = 0; k < f.n;) {
        const expr_node *node = expr_at(g, f.at[k]);
        if (node->op != PERI_OP_MUL || f.n == MOST_FACTORS) {
            k++;
            continue;
        }
        const expr_id second = unsigned_of(g, node->arg[1], &f.minus);
        f.at[k] = unsigned_of(g, node->arg[0], &f.minus);
        f.at[f.n++] = second;
    }
    for (int k = 1; k < f.n; k++)
        for (int j = k; j > 0 && f.at[j] < f.at[j - 1]; j--) {
            const expr_id t = f.at[j];
            f.at[j] = f.at[j - 1];
            f.at[j - 1] = t;
        }
    return f;
}

/* Moves what both have to `common`; at most all but one factor of each. */
static void take_common(factors *a, factors *b, factors *common)
{
    for (int i = a->n; i-- > 0 && a->n > 1 && b->n > 1;) {
        int j = b->n - 1;
        while (j >= 0 && b->at[j] != a->at[i])
            j--;
        if (j < 0)
            continue;
        common->at[common->n++] = a->at[i];
        for (int k = i; k + 1 < a->n; k++)
            a->at[k] = a->at[k + 1];
        for (int k = j; k + 1 < b->n; k++)
            b->at[k] = b->at[k + 1];
        a->n--;
        b->n--;
    }
}

static peri_status product_of(expr_graph *g, const factors *f, expr_id *out)
{
    *out = f->at[0];
    for (int k = 1; k < f->n; k++)
        TRY(diff_times(g, *out, f->at[k], out));
    return PERI_OK;
}

bool diff_share_factor(const expr_graph *g, expr_id a, expr_id b)
{
    factors x = factors_of(g, a), y = factors_of(g, b), common = {.n = 0};
    take_common(&x, &y, &common);
    return common.n > 0 && expr_size(g, a) == expr_size(g, b);
}

/* u a + u b is u (a + b): adjoints are made by products from above, so their terms often share a factor. */
peri_status diff_sum(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    factors x = factors_of(g, a), y = factors_of(g, b), common = {.n = 0};
    expr_id u, v;
    take_common(&x, &y, &common);
    if (common.n == 0 || expr_size(g, a) != expr_size(g, b))
        return expr_binary(g, PERI_OP_ADD, a, b, out);
    TRY(product_of(g, &x, &u));
    TRY(product_of(g, &y, &v));
    if (x.minus == y.minus)
        TRY(expr_binary(g, PERI_OP_ADD, u, v, &u));
    else
        TRY(expr_binary(g, PERI_OP_SUB, x.minus ? v : u, x.minus ? u : v, &u));
    TRY(product_of(g, &common, &v));
    TRY(diff_times(g, u, v, out));
    return x.minus && y.minus ? expr_unary(g, PERI_OP_NEG, *out, out) : PERI_OK;
}
