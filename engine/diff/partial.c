/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partial.c - first derivatives of the elementwise operations: seed times d e / d argument, as a node. The one table of rules that adjoints, tangents
 * and sparse derivatives share.
 */
#include "diff/internal.h"

static peri_status times(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    return diff_times(g, a, b, out);
}

/* By one number: its reciprocal, taken once, is a factor. */
static peri_status over(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    if (expr_size(g, b) > 1 || expr_size(g, a) == 1)
        return expr_binary(g, PERI_OP_DIV, a, b, out);
    TRY(expr_unary(g, PERI_OP_RECIP, b, &b));
    return times(g, a, b, out);
}

static peri_status scaled(expr_graph *g, expr_id a, double factor, expr_id *out)
{
    expr_id k;
    TRY(expr_number(g, factor, &k));
    return times(g, a, k, out);
}

/* 1 + sign * a^2 */
static peri_status one_plus_square(expr_graph *g, expr_id a, bool minus, expr_id *out)
{
    expr_id one, square;
    TRY(expr_number(g, 1, &one));
    TRY(expr_unary(g, PERI_OP_SQUARE, a, &square));
    return expr_binary(g, minus ? PERI_OP_SUB : PERI_OP_ADD, one, square, out);
}

static peri_status times_of(expr_graph *g, expr_id seed, peri_op op, expr_id a, expr_id *out)
{
    TRY(expr_unary(g, op, a, out));
    return times(g, seed, *out, out);
}

/* ---- choices ---------------------------------------------------------------------------------------------------------------

 * The derivative of a branch that is not taken may be undefined, and 0 times it is not 0. So a seed of a branch is made a choice, "inner where test > 0,
 * else 0" or the other way round, and the choice stays the outermost operation: every rule here is linear in its seed, is applied to `inner`, and the
 * result is chosen again.
 */
typedef struct {
    expr_id test, inner;
    bool positive;
} choice;

static bool is_choice(const expr_graph *g, expr_id e, choice *out)
{
    const expr_id from = expr_at(g, e)->arg[0];
    const bool spread = expr_at(g, e)->op == PERI_OP_GATHER && expr_size(g, from) == 1; /* a scalar */
    const expr_node *node = expr_at(g, spread ? from : e);
    if (node->op != PERI_OP_WHERE)
        return false;
    out->positive = diff_is_zero(g, node->arg[2]);
    out->test = node->arg[0];
    out->inner = node->arg[out->positive ? 1 : 2];
    return out->positive || diff_is_zero(g, node->arg[1]);
}

static peri_status choose(expr_graph *g, choice c, expr_id *out)
{
    expr_id zero;
    TRY(expr_number(g, 0, &zero));
    const expr_id args[3] = {c.test, c.positive ? c.inner : zero, c.positive ? zero : c.inner};
    return expr_op(g, PERI_OP_WHERE, 3, args, out);
}

/* A test that is positive where c's inner is chosen. */
static peri_status positive_test(expr_graph *g, choice c, expr_id *out)
{
    expr_id half;
    *out = c.test;
    if (c.positive)
        return PERI_OK;
    TRY(expr_number(g, 0.5, &half));
    TRY(expr_unary(g, PERI_OP_STEP, c.test, out));
    return expr_binary(g, PERI_OP_SUB, half, *out, out);
}

/* seed where `test` > 0, else 0; or the other way round. A choice of a choice is one of both tests. */
static peri_status chosen(expr_graph *g, expr_id test, expr_id seed, bool when_positive, expr_id *out)
{
    choice c = {test, seed, when_positive}, before;
    expr_id t;
    if (is_choice(g, seed, &before)) {
        TRY(positive_test(g, before, &t));
        TRY(positive_test(g, c, &c.test));
        TRY(expr_binary(g, PERI_OP_MIN2, t, c.test, &c.test));
        c.inner = before.inner;
        c.positive = true;
    }
    return choose(g, c, out);
}

peri_status diff_plus(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    choice x, y, both = {.positive = true};
    expr_id t;
    if (!is_choice(g, a, &x) || !is_choice(g, b, &y) || (x.test == y.test && x.positive != y.positive))
        return diff_sum(g, a, b, out);
    if (x.test == y.test) {
        TRY(expr_binary(g, PERI_OP_ADD, x.inner, y.inner, &x.inner));
        return choose(g, x, out);
    }
    TRY(positive_test(g, x, &t));
    TRY(positive_test(g, y, &both.test));
    TRY(expr_binary(g, PERI_OP_MAX2, t, both.test, &both.test));
    TRY(expr_binary(g, PERI_OP_ADD, a, b, &both.inner));
    return choose(g, both, out);
}

/* ---- the root of squares ---------------------------------------------------------------------------------------------------- */

/* Squares, their sums and sums of those: roots of them are norms, whose derivative at 0 is taken as 0, the subgradient of least length. */
static bool is_squares(const expr_graph *g, expr_id e, int depth)
{
    const expr_node *node = expr_at(g, e);
    if (node->op == PERI_OP_ADD && depth < 8)
        return is_squares(g, node->arg[0], depth + 1) && is_squares(g, node->arg[1], depth + 1);
    return node->op == PERI_OP_SQUARE || (node->op == PERI_OP_SUM && depth < 8 && is_squares(g, node->arg[0], depth + 1));
}

static peri_status sqrt_partial(expr_graph *g, expr_id e, expr_id x, expr_id seed, expr_id *out)
{
    TRY(scaled(g, seed, 0.5, &seed));
    TRY(over(g, seed, e, out));
    return is_squares(g, x, 0) ? chosen(g, x, *out, true, out) : PERI_OK;
}

static peri_status unary_partial(expr_graph *g, peri_op op, expr_id e, expr_id x, expr_id seed, expr_id *out)
{
    expr_id t;
    switch (op) {
    case PERI_OP_NEG:
        return expr_unary(g, PERI_OP_NEG, seed, out);
    case PERI_OP_ABS:
        return times_of(g, seed, PERI_OP_SIGN, x, out);
    case PERI_OP_SQUARE:
        TRY(scaled(g, seed, 2, &t)); /* the seed, which several squares may share */
        return times(g, t, x, out);
    case PERI_OP_RECIP:
        TRY(times_of(g, seed, PERI_OP_SQUARE, e, out));
        return expr_unary(g, PERI_OP_NEG, *out, out);
    case PERI_OP_SQRT:
        return sqrt_partial(g, e, x, seed, out);
    case PERI_OP_EXP:
        return times(g, seed, e, out);
    case PERI_OP_EXPM1:
        return times_of(g, seed, PERI_OP_EXP, x, out);
    case PERI_OP_LOG:
        return over(g, seed, x, out);
    case PERI_OP_LOG1P:
        TRY(expr_number(g, 1, &t));
        TRY(expr_binary(g, PERI_OP_ADD, x, t, &t));
        return over(g, seed, t, out);
    case PERI_OP_SIN:
        return times_of(g, seed, PERI_OP_COS, x, out);
    case PERI_OP_COS:
        TRY(times_of(g, seed, PERI_OP_SIN, x, out));
        return expr_unary(g, PERI_OP_NEG, *out, out);
    case PERI_OP_TAN:
        TRY(one_plus_square(g, e, false, &t));
        return times(g, seed, t, out);
    case PERI_OP_ASIN:
    case PERI_OP_ACOS:
        TRY(one_plus_square(g, x, true, &t));
        TRY(expr_unary(g, PERI_OP_SQRT, t, &t));
        TRY(over(g, seed, t, out));
        return op == PERI_OP_ASIN ? PERI_OK : expr_unary(g, PERI_OP_NEG, *out, out);
    case PERI_OP_ATAN:
        TRY(one_plus_square(g, x, false, &t));
        return over(g, seed, t, out);
    case PERI_OP_SINH:
        return times_of(g, seed, PERI_OP_COSH, x, out);
    case PERI_OP_COSH:
        return times_of(g, seed, PERI_OP_SINH, x, out);
    case PERI_OP_TANH:
        TRY(one_plus_square(g, e, true, &t));
        return times(g, seed, t, out);
    case PERI_OP_SIGMOID: /* s (1 - s), as s(x) s(-x): no cancellation */
        TRY(expr_unary(g, PERI_OP_NEG, x, &t));
        TRY(expr_unary(g, PERI_OP_SIGMOID, t, &t));
        TRY(times(g, e, t, &t));
        return times(g, seed, t, out);
    case PERI_OP_SOFTPLUS:
        return times_of(g, seed, PERI_OP_SIGMOID, x, out);
    case PERI_OP_RELU:
        return times_of(g, seed, PERI_OP_STEP, x, out);
    default: /* SIGN, STEP */
        return expr_number(g, 0, out);
    }
}

static bool is_reciprocal_root(const expr_graph *g, expr_id exponent)
{
    double value;
    return expr_constant_value(g, exponent, &value) && !(value < -0.5) && !(value > -0.5);
}

static peri_status pow_partial(expr_graph *g, expr_id e, const expr_id *arg, int k, expr_id seed, expr_id *out)
{
    expr_id t, one;
    if (k == 1)
        return times_of(g, seed, PERI_OP_LOG, arg[0], &t) == PERI_OK ? times(g, t, e, out) : PERI_E_NOMEM;
    if (is_reciprocal_root(g, arg[1])) { /* -1/2 x^(-3/2), by products instead of another root and quotient */
        TRY(times_of(g, e, PERI_OP_SQUARE, e, &t));
    } else {
        TRY(expr_number(g, 1, &one));
        TRY(expr_binary(g, PERI_OP_SUB, arg[1], one, &t));
        TRY(expr_binary(g, PERI_OP_POW, arg[0], t, &t));
    }
    TRY(times(g, t, arg[1], &t));
    return times(g, seed, t, out);
}

static peri_status atan2_partial(expr_graph *g, const expr_id *arg, int k, expr_id seed, expr_id *out)
{
    expr_id a, b;
    TRY(expr_unary(g, PERI_OP_SQUARE, arg[0], &a));
    TRY(expr_unary(g, PERI_OP_SQUARE, arg[1], &b));
    TRY(expr_binary(g, PERI_OP_ADD, a, b, &a));
    TRY(over(g, arg[1 - k], a, &a));
    TRY(times(g, seed, a, out));
    return k == 0 ? PERI_OK : expr_unary(g, PERI_OP_NEG, *out, out);
}

static peri_status partial(expr_graph *g, expr_id e, int k, expr_id seed, expr_id *out)
{
    const expr_node node = *expr_at(g, e);
    const expr_id *arg = node.arg;
    expr_id t;
    switch (node.op) {
    case PERI_OP_ADD:
        *out = seed;
        return PERI_OK;
    case PERI_OP_SUB:
        *out = seed;
        return k == 0 ? PERI_OK : expr_unary(g, PERI_OP_NEG, seed, out);
    case PERI_OP_MUL:
        return times(g, seed, arg[1 - k], out);
    case PERI_OP_DIV:
        TRY(over(g, seed, arg[1], out));
        if (k == 0)
            return PERI_OK;
        TRY(times(g, *out, e, out));
        return expr_unary(g, PERI_OP_NEG, *out, out);
    case PERI_OP_POW:
        return pow_partial(g, e, arg, k, seed, out);
    case PERI_OP_ATAN2:
        return atan2_partial(g, arg, k, seed, out);
    case PERI_OP_MIN2:
    case PERI_OP_MAX2:
        TRY(expr_binary(g, PERI_OP_SUB, arg[0], arg[1], &t));
        return chosen(g, t, seed, (node.op == PERI_OP_MAX2) == (k == 0), out);
    case PERI_OP_FMA:
        if (k < 2)
            return times(g, seed, arg[1 - k], out);
        *out = seed;
        return PERI_OK;
    case PERI_OP_WHERE:
        return k == 0 ? expr_number(g, 0, out) : chosen(g, arg[0], seed, k == 1, out);
    default:
        return unary_partial(g, (peri_op)node.op, e, arg[0], seed, out);
    }
}

peri_status diff_partial(expr_graph *g, expr_id e, int k, expr_id seed, expr_id *out)
{
    choice c;
    if (expr_at(g, e)->op == PERI_OP_WHERE || !is_choice(g, seed, &c))
        return partial(g, e, k, seed, out);
    TRY(partial(g, e, k, c.inner, out));
    return chosen(g, c.test, *out, c.positive, out);
}
