/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partial.c - derivatives of the elementwise operations: seed times d e / d argument, and second partial derivatives, as nodes. The one table of rules that
 * adjoints, tangents and sparse derivatives share.
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

/* seed / (2 e), e a root: its reciprocal is a factor, which all derivatives of the root share. */
static peri_status sqrt_partial(expr_graph *g, expr_id e, expr_id x, expr_id seed, expr_id *out)
{
    TRY(scaled(g, seed, 0.5, &seed));
    TRY(times_of(g, seed, PERI_OP_RECIP, e, out));
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

/* ---- second partial derivatives -------------------------------------------------------------------------------------------- */

static bool is_constant(const expr_graph *g, expr_id e, double *value)
{
    return expr_size(g, e) == 1 && expr_constant_value(g, e, value);
}

bool diff_has_second_partial(const expr_graph *g, expr_id e)
{
    double exponent;
    const expr_node *node = expr_at(g, e);
    return node->op != PERI_OP_ATAN2 && (node->op != PERI_OP_POW || is_constant(g, node->arg[1], &exponent));
}

static peri_status second_power(expr_graph *g, const expr_node *node, expr_id seed, expr_id *out)
{
    double exponent = 0;
    expr_id less;
    if (!is_constant(g, node->arg[1], &exponent))
        return diff_unsupported(g, node->arg[0], "second derivative");
    TRY(expr_number(g, exponent - 2, &less));
    TRY(expr_binary(g, PERI_OP_POW, node->arg[0], less, &less));
    TRY(scaled(g, less, exponent * (exponent - 1), &less));
    return times(g, seed, less, out);
}

/* First derivatives f' that are a factor of the second: of `first` = seed f', or of an entry of it that is chosen. */
static peri_status second_unary(expr_graph *g, expr_id e, expr_id x, expr_id first, expr_id *out)
{
    expr_id t, one;
    switch (expr_at(g, e)->op) {
    case PERI_OP_EXP:
    case PERI_OP_EXPM1: /* f'' = f' */
        *out = first;
        return PERI_OK;
    case PERI_OP_RECIP: /* -2 e f' */
    case PERI_OP_TANH:
        TRY(scaled(g, first, -2, out));
        return times(g, *out, e, out);
    case PERI_OP_TAN: /* 2 e f' */
        TRY(scaled(g, first, 2, out));
        return times(g, *out, e, out);
    case PERI_OP_SQRT: /* -f' / (2 e^2) */
        TRY(scaled(g, first, -0.5, out));
        TRY(expr_unary(g, PERI_OP_RECIP, e, &t));
        return times_of(g, *out, PERI_OP_SQUARE, t, out);
    case PERI_OP_LOG: /* -f' / x */
        TRY(over(g, first, x, out));
        return expr_unary(g, PERI_OP_NEG, *out, out);
    case PERI_OP_LOG1P:
        TRY(expr_number(g, 1, &one));
        TRY(expr_binary(g, PERI_OP_ADD, x, one, &t));
        TRY(over(g, first, t, out));
        return expr_unary(g, PERI_OP_NEG, *out, out);
    case PERI_OP_ASIN: /* x f' / (1 - x^2) */
    case PERI_OP_ACOS:
    case PERI_OP_ATAN: { /* -2 x f' / (1 + x^2) */
        const bool is_atan = expr_at(g, e)->op == PERI_OP_ATAN;
        TRY(one_plus_square(g, x, !is_atan, &t));
        TRY(scaled(g, first, is_atan ? -2 : 1, out));
        TRY(times(g, *out, x, out));
        return over(g, *out, t, out);
    }
    case PERI_OP_SIGMOID: /* (1 - 2 e) f' */
        TRY(expr_number(g, 1, &one));
        TRY(scaled(g, e, 2, &t));
        TRY(expr_binary(g, PERI_OP_SUB, one, t, &t));
        return times(g, first, t, out);
    default:
        *out = -1;
        return PERI_OK;
    }
}

static peri_status second_partial(expr_graph *g, expr_id e, int i, int j, expr_id seed, expr_id *out)
{
    const expr_node node = *expr_at(g, e);
    expr_id first;
    choice c;
    *out = -1;
    switch (node.op) {
    case PERI_OP_NEG:
    case PERI_OP_ADD:
    case PERI_OP_SUB:
    case PERI_OP_ABS:
    case PERI_OP_SIGN:
    case PERI_OP_STEP:
    case PERI_OP_RELU:
    case PERI_OP_MIN2:
    case PERI_OP_MAX2:
    case PERI_OP_WHERE: return PERI_OK;
    case PERI_OP_MUL:
    case PERI_OP_FMA:
        if (i == 0 && j == 1)
            *out = seed;
        return PERI_OK;
    case PERI_OP_DIV: /* -1/b^2, 2 e/b^2 */
        if (j == 0)
            return PERI_OK;
        TRY(partial(g, e, i, seed, out)); /* over b, or by -e/b */
        TRY(over(g, *out, node.arg[1], out));
        return scaled(g, *out, i == 0 ? -1 : -2, out);
    case PERI_OP_SQUARE: return scaled(g, seed, 2, out);
    case PERI_OP_SIN:
    case PERI_OP_COS:
        TRY(times(g, seed, e, out));
        return expr_unary(g, PERI_OP_NEG, *out, out);
    case PERI_OP_SINH:
    case PERI_OP_COSH: return times(g, seed, e, out);
    case PERI_OP_SOFTPLUS: /* the derivative of sigmoid */
        TRY(expr_unary(g, PERI_OP_SIGMOID, node.arg[0], &first));
        return partial(g, first, 0, seed, out);
    case PERI_OP_POW: return second_power(g, &node, seed, out);
    default: break;
    }
    TRY(partial(g, e, 0, seed, &first));
    if (!is_choice(g, first, &c))
        return second_unary(g, e, node.arg[0], first, out);
    TRY(second_unary(g, e, node.arg[0], c.inner, out)); /* the root of a sum of squares */
    return *out >= 0 ? chosen(g, c.test, *out, c.positive, out) : PERI_OK;
}

peri_status diff_second_partial(expr_graph *g, expr_id e, int i, int j, expr_id seed, expr_id *out)
{
    choice c;
    if (!is_choice(g, seed, &c))
        return second_partial(g, e, i, j, seed, out);
    TRY(second_partial(g, e, i, j, c.inner, out));
    return *out >= 0 ? chosen(g, c.test, *out, c.positive, out) : PERI_OK;
}

peri_status diff_twice(expr_graph *g, expr_id seed, expr_id *out)
{
    choice c;
    if (!is_choice(g, seed, &c))
        return scaled(g, seed, 2, out);
    TRY(scaled(g, c.inner, 2, out));
    return chosen(g, c.test, *out, c.positive, out);
}
