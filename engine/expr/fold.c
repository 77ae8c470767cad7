/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fold.c - algebra done while building: constants are folded, neutral elements vanish, signs and scalar factors move outwards.
 * Every rule holds exactly in real arithmetic wherever both sides are finite; none reorders sums.
 */
#include "expr/node.h"
#include <math.h>
#include <string.h>

bool expr_is_const(const expr_graph *g, expr_id e)
{
    double value;
    return (expr_code(g, e) & ~EXPR_WIDE) == PERI_OP_CONST || expr_constant_value(g, e, &value);
}

bool expr_is_sparse(const expr_graph *g, expr_id e)
{
    return expr_code(g, e) == (PERI_OP_CONST | EXPR_WIDE) && g->consts.at[expr_at(g, e)->ref].col != NULL;
}

peri_status expr_densify(expr_graph *g, expr_id e, expr_id *out)
{
    *out = e;
    if (!expr_is_sparse(g, e))
        return PERI_OK;
    const expr_const c = g->consts.at[expr_at(g, e)->ref];
    if (c.rows > INT32_MAX / c.cols)
        return FAIL(g->ctx, PERI_E_SHAPE, "a sparse array of %lld x %lld is too large to be written out", (long long)c.rows,
                    (long long)c.cols);
    double *dense = mem_array(g->m, (size_t)c.rows * (size_t)c.cols, sizeof *dense);
    if (dense == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int32_t i = 0; i < c.rows; i++)
        for (int32_t k = c.row_start[i]; k < c.row_start[i + 1]; k++)
            dense[(int64_t)i * c.cols + c.col[k]] += expr_sparse_at(&c, k);
    const peri_status status = expr_dense(g, c.rows, c.cols, dense, out);
    mem_array_free(g->m, dense);
    return status;
}

/* Entries of a constant argument, spread to a buffer where it is a broadcast; NULL when out of memory. */
static const double *const_entries(expr_graph *g, expr_id e, double **own)
{
    double value;
    *own = NULL;
    if (expr_at(g, e)->op == PERI_OP_CONST)
        return expr_const_data(g, e);
    const int64_t size = expr_size(g, e);
    *own = mem_array(g->m, (size_t)size, sizeof **own);
    if (*own == NULL || !expr_constant_value(g, e, &value))
        return NULL;
    for (int64_t k = 0; k < size; k++)
        (*own)[k] = value;
    return *own;
}

static bool all_finite(int64_t n, const double *v)
{
    for (int64_t k = 0; k < n; k++)
        if (!isfinite(v[k]))
            return false;
    return true;
}

/* Values of `node` (interned for the moment of the computation) from constant arguments. */
peri_status expr_fold(expr_graph *g, const expr_node *node, expr_id *out)
{
    const int64_t size = (int64_t)node->rows * node->cols;
    expr_id id;
    TRY(expr_intern(g, node, &id));
    const expr_id *list;
    const int32_t n = expr_args(g, id, &list);
    const double **values = mem_array(g->m, (size_t)n, sizeof *values);
    double **own = mem_array(g->m, (size_t)n, sizeof *own);
    double *result = mem_array(g->m, (size_t)size, sizeof *result);
    peri_status status = values != NULL && own != NULL && result != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int32_t k = 0; k < n && status == PERI_OK; k++) {
        values[k] = const_entries(g, list[k], &own[k]);
        status = values[k] != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    }
    if (status == PERI_OK)
        status = expr_apply(g, id, values, result);
    if (status == PERI_OK && all_finite(size, result))
        status = expr_dense(g, node->rows, node->cols, result, out);
    else
        *out = id; /* log(-1): stays an operation, so that the message can name it */
    for (int32_t k = 0; own != NULL && k < n; k++)
        mem_array_free(g->m, own[k]);
    mem_array_free(g->m, own);
    mem_array_free(g->m, values);
    mem_array_free(g->m, result);
    return status;
}

/* ---- rules ---------------------------------------------------------------------------------------------------------- */

static bool is_value(const expr_graph *g, expr_id e, double value)
{
    double v;
    return expr_constant_value(g, e, &v) && !(v < value) && !(v > value);
}

static bool is_op(const expr_graph *g, expr_id e, peri_op op)
{
    return (expr_code(g, e) & ~EXPR_WIDE) == (int)op;
}

static expr_id arg(const expr_graph *g, expr_id e, int k)
{
    return expr_at(g, e)->arg[k];
}

/* e shaped as rows x cols: it is, or it is a scalar to be spread. */
static peri_status shaped(expr_graph *g, expr_id e, int64_t rows, int64_t cols, expr_id *out)
{
    return expr_broadcast(g, e, rows, cols, out);
}

/* w where e is 1 + exp(w); else -1 */
static expr_id one_and_exp_of(const expr_graph *g, expr_id e)
{
    for (int k = 0; k < 2 && is_op(g, e, PERI_OP_ADD); k++)
        if (is_value(g, arg(g, e, k), 1) && is_op(g, arg(g, e, 1 - k), PERI_OP_EXP))
            return arg(g, arg(g, e, 1 - k), 0);
    return -1;
}

/* log(1 + exp(w)) is finite where exp(w) is not, and costs less as one function; so does 1 / (1 + exp(w)), whose derivatives stay finite too. */
static peri_status rule_logistic(expr_graph *g, peri_op op, expr_id a, expr_id w, expr_id *out)
{
    const int64_t rows = expr_at(g, a)->rows, cols = expr_at(g, a)->cols;
    if (op == PERI_OP_RECIP)
        TRY(expr_unary(g, PERI_OP_NEG, w, &w));
    TRY(expr_unary(g, op == PERI_OP_RECIP ? PERI_OP_SIGMOID : PERI_OP_SOFTPLUS, w, out));
    return shaped(g, *out, rows, cols, out);
}

static peri_status rule_unary(expr_graph *g, peri_op op, expr_id a, expr_id *out)
{
    const expr_id w = op == PERI_OP_LOG1P && is_op(g, a, PERI_OP_EXP) ? arg(g, a, 0)
                      : op == PERI_OP_LOG || op == PERI_OP_RECIP      ? one_and_exp_of(g, a)
                                                                      : -1;
    if (w >= 0)
        return rule_logistic(g, op, a, w, out);
    if (op == PERI_OP_NEG && is_op(g, a, PERI_OP_NEG))
        *out = arg(g, a, 0);
    else if (op == PERI_OP_NEG && is_op(g, a, PERI_OP_SUB))
        return expr_binary(g, PERI_OP_SUB, arg(g, a, 1), arg(g, a, 0), out);
    else if (op == PERI_OP_SQUARE && (is_op(g, a, PERI_OP_NEG) || is_op(g, a, PERI_OP_ABS)))
        return expr_unary(g, PERI_OP_SQUARE, arg(g, a, 0), out);
    else if (op == PERI_OP_ABS && (is_op(g, a, PERI_OP_NEG) || is_op(g, a, PERI_OP_ABS)))
        return expr_unary(g, PERI_OP_ABS, arg(g, a, 0), out);
    else if (op == PERI_OP_ABS && (is_op(g, a, PERI_OP_SQUARE) || is_op(g, a, PERI_OP_EXP)))
        *out = a;
    else if (op == PERI_OP_RECIP && is_op(g, a, PERI_OP_RECIP))
        *out = arg(g, a, 0);
    return PERI_OK;
}

static peri_status rule_add(expr_graph *g, expr_id a, expr_id b, int64_t r, int64_t c, expr_id *out)
{
    expr_id two;
    if (is_value(g, a, 0))
        return shaped(g, b, r, c, out);
    if (is_value(g, b, 0))
        return shaped(g, a, r, c, out);
    if (is_op(g, b, PERI_OP_NEG))
        return expr_binary(g, PERI_OP_SUB, a, arg(g, b, 0), out);
    if (is_op(g, a, PERI_OP_NEG))
        return expr_binary(g, PERI_OP_SUB, b, arg(g, a, 0), out);
    if (a == b) {
        TRY(expr_number(g, 2, &two));
        return expr_binary(g, PERI_OP_MUL, a, two, out);
    }
    return PERI_OK;
}

static peri_status rule_sub(expr_graph *g, expr_id a, expr_id b, int64_t r, int64_t c, expr_id *out)
{
    if (a == b)
        return expr_full(g, r, c, 0, out);
    if (is_value(g, b, 0))
        return shaped(g, a, r, c, out);
    if (is_value(g, a, 0)) {
        TRY(expr_unary(g, PERI_OP_NEG, b, out));
        return shaped(g, *out, r, c, out);
    }
    if (is_op(g, b, PERI_OP_NEG))
        return expr_binary(g, PERI_OP_ADD, a, arg(g, b, 0), out);
    return PERI_OK;
}

static peri_status negated(expr_graph *g, peri_op op, expr_id a, expr_id b, int64_t r, int64_t c, expr_id *out)
{
    TRY(expr_binary(g, op, a, b, out));
    TRY(expr_unary(g, PERI_OP_NEG, *out, out));
    return shaped(g, *out, r, c, out);
}

/* (k1 x) k2 -> (k1 k2) x for scalar constants */
static peri_status merge_factor(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    double k1, k2;
    expr_id k;
    if (!is_op(g, a, PERI_OP_MUL) || !expr_constant_value(g, b, &k2) || !expr_constant_value(g, arg(g, a, 1), &k1) ||
        expr_size(g, arg(g, a, 1)) != 1)
        return PERI_OK;
    const expr_id x = arg(g, a, 0);
    TRY(expr_number(g, k1 * k2, &k));
    return expr_binary(g, PERI_OP_MUL, x, k, out);
}

static peri_status rule_mul(expr_graph *g, expr_id a, expr_id b, int64_t r, int64_t c, expr_id *out)
{
    if (is_value(g, a, 0) || is_value(g, b, 0))
        return expr_full(g, r, c, 0, out);
    if (is_value(g, a, 1))
        return shaped(g, b, r, c, out);
    if (is_value(g, b, 1))
        return shaped(g, a, r, c, out);
    if (is_value(g, a, -1) || is_value(g, b, -1)) {
        TRY(expr_unary(g, PERI_OP_NEG, is_value(g, a, -1) ? b : a, out));
        return shaped(g, *out, r, c, out);
    }
    if (a == b)
        return expr_unary(g, PERI_OP_SQUARE, a, out);
    if (is_op(g, a, PERI_OP_NEG))
        return negated(g, PERI_OP_MUL, arg(g, a, 0), b, r, c, out);
    if (is_op(g, b, PERI_OP_NEG))
        return negated(g, PERI_OP_MUL, a, arg(g, b, 0), r, c, out);
    TRY(merge_factor(g, a, b, out));
    if (*out >= 0)
        return shaped(g, *out, r, c, out);
    return PERI_OK;
}

static peri_status rule_div(expr_graph *g, expr_id a, expr_id b, int64_t r, int64_t c, expr_id *out)
{
    double value;
    expr_id k;
    int exponent;
    if (is_value(g, b, 1))
        return shaped(g, a, r, c, out);
    if (is_value(g, a, 0) && !is_value(g, b, 0))
        return expr_full(g, r, c, 0, out);
    if (is_value(g, a, 1)) {
        TRY(expr_unary(g, PERI_OP_RECIP, b, out));
        return shaped(g, *out, r, c, out);
    }
    if (expr_constant_value(g, b, &value) && isnormal(value) && fabs(frexp(value, &exponent)) <= 0.5) {
        TRY(expr_number(g, 1 / value, &k)); /* a power of two: exact */
        return expr_binary(g, PERI_OP_MUL, a, k, out);
    }
    if (is_op(g, a, PERI_OP_NEG))
        return negated(g, PERI_OP_DIV, arg(g, a, 0), b, r, c, out);
    if (is_op(g, b, PERI_OP_NEG))
        return negated(g, PERI_OP_DIV, a, arg(g, b, 0), r, c, out);
    return PERI_OK;
}

static peri_status rule_pow(expr_graph *g, expr_id a, expr_id b, int64_t r, int64_t c, expr_id *out)
{
    if (is_value(g, b, 0))
        return expr_full(g, r, c, 1, out);
    if (is_value(g, b, 1))
        return shaped(g, a, r, c, out);
    const peri_op op = is_value(g, b, 2)     ? PERI_OP_SQUARE
                       : is_value(g, b, -1)  ? PERI_OP_RECIP
                       : is_value(g, b, 0.5) ? PERI_OP_SQRT
                                             : PERI_OP_COUNT;
    if (op == PERI_OP_COUNT)
        return PERI_OK;
    TRY(expr_unary(g, op, a, out));
    return shaped(g, *out, r, c, out);
}

peri_status expr_simplify(expr_graph *g, peri_op op, int n_args, const expr_id *args, expr_id *out)
{
    *out = -1;
    if (n_args == 1)
        return rule_unary(g, op, args[0], out);
    if (n_args != 2)
        return PERI_OK;
    int64_t r = 1, c = 1;
    if ((expr_code(g, args[0]) | expr_code(g, args[1])) & EXPR_WIDE) {
        const expr_node *a = expr_at(g, args[0]), *b = expr_at(g, args[1]);
        r = a->rows > b->rows ? a->rows : b->rows;
        c = a->cols > b->cols ? a->cols : b->cols;
    }
    switch (op) {
    case PERI_OP_ADD: return rule_add(g, args[0], args[1], r, c, out);
    case PERI_OP_SUB: return rule_sub(g, args[0], args[1], r, c, out);
    case PERI_OP_MUL: return rule_mul(g, args[0], args[1], r, c, out);
    case PERI_OP_DIV: return rule_div(g, args[0], args[1], r, c, out);
    case PERI_OP_POW: return rule_pow(g, args[0], args[1], r, c, out);
    default: return PERI_OK;
    }
}
