/* SPDX-License-Identifier: Apache-2.0 */
/*
 * along.c - operations along one dimension of a matrix: 1 goes down the columns and leaves a row, 2 goes along the rows and leaves a column. Sums are
 * scatters, so that they are part of the kernel that computes what is summed and their derivatives are spread rows and columns; only the extreme
 * values are an operation of their own.
 */
#include "expr/node.h"
#include <string.h>

typedef struct {
    int64_t rows, cols, out_rows, out_cols, length; /* length: entries that become one */
    int dim;
} shape;

static shape shape_along(const expr_graph *g, expr_id a, int dim)
{
    const int64_t rows = expr_at(g, a)->rows, cols = expr_at(g, a)->cols;
    return (shape){rows, cols, dim == 1 ? 1 : rows, dim == 1 ? cols : 1, dim == 1 ? rows : cols, dim};
}

static peri_status sum_of_const(expr_graph *g, expr_id a, const shape *s, expr_id *out)
{
    const double *v = expr_const_data(g, a);
    double *sum = mem_array(g->m, (size_t)(s->out_rows * s->out_cols), sizeof *sum);
    if (sum == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < s->rows * s->cols; k++)
        sum[s->dim == 1 ? k % s->cols : k / s->cols] += v[k];
    const peri_status status = expr_dense(g, s->out_rows, s->out_cols, sum, out);
    mem_array_free(g->m, sum);
    return status;
}

static peri_status sum_along(expr_graph *g, expr_id a, int dim, expr_id *out)
{
    const shape s = shape_along(g, a, dim);
    const expr_node *node = expr_at(g, a);
    if (s.length == 1) {
        *out = a;
        return PERI_OK;
    }
    if (s.out_rows * s.out_cols == 1)
        return expr_unary(g, PERI_OP_SUM, a, out);
    if (node->op == PERI_OP_GATHER && expr_size(g, node->arg[0]) == 1) { /* a spread scalar */
        const expr_id scalar = node->arg[0];
        TRY(expr_number(g, (double)s.length, out));
        TRY(expr_binary(g, PERI_OP_MUL, scalar, *out, out));
        return expr_broadcast(g, *out, s.out_rows, s.out_cols, out);
    }
    if (node->op == PERI_OP_CONST)
        return sum_of_const(g, a, &s, out);
    int32_t *index = mem_array(g->m, (size_t)(s.rows * s.cols), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < s.rows * s.cols; k++)
        index[k] = (int32_t)(dim == 1 ? k % s.cols : k / s.cols);
    const int32_t *lists[1] = {index};
    const peri_status status = expr_scatter_sum(g, s.out_rows, s.out_cols, 1, &a, lists, out);
    mem_array_free(g->m, index);
    return status;
}

static peri_status max_along(expr_graph *g, expr_id a, int dim, expr_id *out)
{
    const shape s = shape_along(g, a, dim);
    if (s.length == 1) {
        *out = a;
        return PERI_OK;
    }
    if (s.out_rows * s.out_cols == 1)
        return expr_unary(g, PERI_OP_MAX, a, out);
    if (dim == 1)
        TRY(expr_unary(g, PERI_OP_TRANSPOSE, a, &a));
    TRY(expr_unary(g, PERI_OP_ROWMAX, a, out));
    return expr_reshape(g, *out, s.out_rows, s.out_cols, out);
}

static peri_status min_along(expr_graph *g, expr_id a, int dim, expr_id *out)
{
    const shape s = shape_along(g, a, dim);
    if (s.out_rows * s.out_cols == 1)
        return expr_unary(g, PERI_OP_MIN, a, out);
    TRY(expr_unary(g, PERI_OP_NEG, a, &a));
    TRY(max_along(g, a, dim, out));
    return expr_unary(g, PERI_OP_NEG, *out, out);
}

/* exp(a - top) with top the largest entries, a shift that keeps exp from overflowing and has no derivative */
static peri_status shifted_exp(expr_graph *g, expr_id a, int dim, expr_id *top, expr_id *e)
{
    TRY(max_along(g, a, dim, top));
    TRY(expr_unary(g, PERI_OP_STOP, *top, top));
    TRY(expr_binary(g, PERI_OP_SUB, a, *top, e));
    return expr_unary(g, PERI_OP_EXP, *e, e);
}

static peri_status logsumexp_along(expr_graph *g, expr_id a, int dim, expr_id *out)
{
    expr_id top;
    if (shape_along(g, a, dim).length == 1) {
        *out = a;
        return PERI_OK;
    }
    TRY(shifted_exp(g, a, dim, &top, out));
    TRY(sum_along(g, *out, dim, out));
    TRY(expr_unary(g, PERI_OP_LOG, *out, out));
    return expr_binary(g, PERI_OP_ADD, *out, top, out);
}

static peri_status softmax_along(expr_graph *g, expr_id a, int dim, expr_id *out)
{
    const shape s = shape_along(g, a, dim);
    expr_id top, e, sum;
    if (s.length == 1)
        return expr_full(g, s.rows, s.cols, 1, out);
    TRY(shifted_exp(g, a, dim, &top, &e));
    TRY(sum_along(g, e, dim, &sum));
    return expr_binary(g, PERI_OP_DIV, e, sum, out);
}

static peri_status cumsum_along(expr_graph *g, expr_id a, int dim, expr_id *out)
{
    if (dim == 1)
        return expr_unary(g, PERI_OP_CUMSUM, a, out);
    TRY(expr_unary(g, PERI_OP_TRANSPOSE, a, &a));
    TRY(expr_unary(g, PERI_OP_CUMSUM, a, out));
    return expr_unary(g, PERI_OP_TRANSPOSE, *out, out);
}

static peri_status sum_of(expr_graph *g, peri_op op, expr_id a, int dim, expr_id *out)
{
    TRY(expr_unary(g, op, a, &a));
    return sum_along(g, a, dim, out);
}

bool expr_has_along(peri_op op)
{
    switch (op) {
    case PERI_OP_SUM:
    case PERI_OP_MEAN:
    case PERI_OP_MAX:
    case PERI_OP_MIN:
    case PERI_OP_NORM1:
    case PERI_OP_NORM2:
    case PERI_OP_NORMINF:
    case PERI_OP_LOGSUMEXP:
    case PERI_OP_SOFTMAX:
    case PERI_OP_CUMSUM: return true;
    default: return false;
    }
}

peri_status expr_along(expr_graph *g, peri_op op, expr_id a, int dim, expr_id *out)
{
    if (!expr_has_along(op))
        return FAIL(g->ctx, PERI_E_ARGUMENT, "%s does not go along a dimension", peri_op_name(op));
    if (dim != 1 && dim != 2)
        return FAIL(g->ctx, PERI_E_ARGUMENT, "%s: dimension %d is neither 1 (down the columns) nor 2 (along the rows)", peri_op_name(op),
                    dim);
    TRY(expr_densify(g, a, &a));
    switch (op) {
    case PERI_OP_SUM: return sum_along(g, a, dim, out);
    case PERI_OP_MEAN: {
        expr_id n;
        TRY(expr_number(g, (double)shape_along(g, a, dim).length, &n));
        TRY(sum_along(g, a, dim, out));
        return expr_binary(g, PERI_OP_DIV, *out, n, out);
    }
    case PERI_OP_MAX: return max_along(g, a, dim, out);
    case PERI_OP_MIN: return min_along(g, a, dim, out);
    case PERI_OP_NORM1: return sum_of(g, PERI_OP_ABS, a, dim, out);
    case PERI_OP_NORM2:
        TRY(sum_of(g, PERI_OP_SQUARE, a, dim, out));
        return expr_unary(g, PERI_OP_SQRT, *out, out);
    case PERI_OP_NORMINF:
        TRY(expr_unary(g, PERI_OP_ABS, a, &a));
        return max_along(g, a, dim, out);
    case PERI_OP_LOGSUMEXP: return logsumexp_along(g, a, dim, out);
    case PERI_OP_SOFTMAX: return softmax_along(g, a, dim, out);
    default: return cumsum_along(g, a, dim, out);
    }
}
