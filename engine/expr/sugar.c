/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sugar.c - operations that are built from others at once, so that derivatives and evaluation meet few kinds of node: norms, log-sum-exp,
 * softmax, transposition, diagonals, convolution, and the matrix product's special cases.
 */
#include "expr/bilinear.h"
#include "expr/node.h"
#include <stdio.h>

static peri_status gather_by(expr_graph *g, expr_id e, int64_t rows, int64_t cols, int64_t (*at)(int64_t, int64_t, const int64_t *),
                             const int64_t *data, expr_id *out)
{
    int32_t *index = mem_array(g->m, (size_t)(rows * cols), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            index[i * cols + j] = (int32_t)at(i, j, data);
    const peri_status status = expr_gather_list(g, e, rows, cols, rows * cols, index, out);
    mem_array_free(g->m, index);
    return status;
}

static int64_t at_transposed(int64_t i, int64_t j, const int64_t *data)
{
    return j * data[0] + i;
}

/* Compressed rows of the transpose of a sparse constant. */
static peri_status transpose_sparse(expr_graph *g, expr_id e, expr_id *out)
{
    const expr_const c = g->consts.at[expr_at(g, e)->ref];
    int32_t *start = mem_array(g->m, (size_t)c.cols + 2, sizeof *start), *col = mem_array(g->m, (size_t)c.nnz, sizeof *col);
    double *data = mem_array(g->m, c.same ? 1 : (size_t)c.nnz, sizeof *data);
    peri_status status = start != NULL && col != NULL && data != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    if (status == PERI_OK) {
        for (int64_t k = 0; k < c.nnz; k++)
            start[c.col[k] + 2]++;
        for (int64_t j = 0; j < c.cols; j++)
            start[j + 2] += start[j + 1];
        for (int32_t i = 0; i < c.rows; i++)
            for (int32_t k = c.row_start[i]; k < c.row_start[i + 1]; k++) {
                const int32_t to = start[c.col[k] + 1]++;
                col[to] = i;
                data[c.same ? 0 : to] = expr_sparse_at(&c, k);
            }
        status = expr_sparse_rows(g, c.cols, c.rows, start, col, data, c.same, out);
    }
    mem_array_free(g->m, start);
    mem_array_free(g->m, col);
    mem_array_free(g->m, data);
    return status;
}

static peri_status transpose(expr_graph *g, expr_id a, expr_id *out)
{
    const int64_t rows = expr_at(g, a)->rows, cols = expr_at(g, a)->cols;
    if (expr_is_sparse(g, a))
        return transpose_sparse(g, a, out);
    if (rows == 1 || cols == 1)
        return expr_reshape(g, a, cols, rows, out);
    return gather_by(g, a, cols, rows, at_transposed, &cols, out);
}

static peri_status diag(expr_graph *g, expr_id a, expr_id *out)
{
    const int64_t rows = expr_at(g, a)->rows, cols = expr_at(g, a)->cols;
    if (cols > 1 || rows == 1) { /* matrix -> its diagonal */
        const int64_t n = rows < cols ? rows : cols;
        return expr_gather_affine(g, a, n, 1, 0, cols + 1, out);
    }
    int32_t *index = mem_array(g->m, (size_t)rows, sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t i = 0; i < rows; i++)
        index[i] = (int32_t)(i * (rows + 1));
    const int32_t *lists[1] = {index};
    const peri_status status = rows > 46340 ? FAIL(g->ctx, PERI_E_SHAPE, "diag: a %lld x %lld matrix is too large",
                                                   (long long)rows, (long long)rows)
                                            : expr_scatter_sum(g, rows, rows, 1, &a, lists, out);
    mem_array_free(g->m, index);
    return status;
}

static peri_status trace(expr_graph *g, expr_id a, expr_id *out)
{
    if (expr_at(g, a)->rows != expr_at(g, a)->cols)
        return FAIL(g->ctx, PERI_E_SHAPE, "trace: needs a square matrix, not %d x %d", (int)expr_at(g, a)->rows,
                    (int)expr_at(g, a)->cols);
    TRY(expr_gather_affine(g, a, expr_at(g, a)->rows, 1, 0, (int64_t)expr_at(g, a)->cols + 1, &a));
    return expr_unary(g, PERI_OP_SUM, a, out);
}

static peri_status sum_of(expr_graph *g, peri_op op, expr_id a, expr_id *out)
{
    TRY(expr_unary(g, op, a, &a));
    return expr_unary(g, PERI_OP_SUM, a, out);
}

/* max(a) as a number without derivative: the shift that keeps exp from overflowing */
static peri_status shifted_exp(expr_graph *g, expr_id a, expr_id *top, expr_id *e)
{
    TRY(expr_unary(g, PERI_OP_MAX, a, top));
    TRY(expr_unary(g, PERI_OP_STOP, *top, top));
    TRY(expr_binary(g, PERI_OP_SUB, a, *top, e));
    return expr_unary(g, PERI_OP_EXP, *e, e);
}

static peri_status logsumexp(expr_graph *g, expr_id a, expr_id *out)
{
    expr_id top, e;
    if (expr_size(g, a) == 1) {
        *out = a;
        return PERI_OK;
    }
    TRY(shifted_exp(g, a, &top, &e));
    TRY(expr_unary(g, PERI_OP_SUM, e, &e));
    TRY(expr_unary(g, PERI_OP_LOG, e, &e));
    return expr_binary(g, PERI_OP_ADD, e, top, out);
}

static peri_status softmax(expr_graph *g, expr_id a, expr_id *out)
{
    expr_id top, e, sum;
    if (expr_at(g, a)->rows != 1 && expr_at(g, a)->cols != 1)
        return FAIL(g->ctx, PERI_E_SHAPE, "softmax: needs a vector, not %d x %d", (int)expr_at(g, a)->rows,
                    (int)expr_at(g, a)->cols);
    TRY(shifted_exp(g, a, &top, &e));
    TRY(expr_unary(g, PERI_OP_SUM, e, &sum));
    return expr_binary(g, PERI_OP_DIV, e, sum, out);
}

static peri_status dot(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    if (expr_size(g, a) != expr_size(g, b))
        return FAIL(g->ctx, PERI_E_SHAPE, "dot: %lld and %lld entries", (long long)expr_size(g, a), (long long)expr_size(g, b));
    TRY(expr_reshape(g, b, expr_at(g, a)->rows, expr_at(g, a)->cols, &b));
    TRY(expr_binary(g, PERI_OP_MUL, a, b, out));
    return expr_unary(g, PERI_OP_SUM, *out, out);
}

static peri_status conv2d(expr_graph *g, expr_id a, expr_id k, expr_id *out)
{
    const expr_node image = *expr_at(g, a), kernel = *expr_at(g, k);
    const expr_conv_spec s = {EXPR_CONV_OUTPUT, 1, 1, image.rows, image.cols, 1, kernel.rows, kernel.cols, {1, 1}, {0, 0}};
    TRY(expr_reshape(g, a, 1, expr_size(g, a), &a));
    TRY(expr_reshape(g, k, 1, expr_size(g, k), &k));
    TRY(expr_conv(g, a, k, &s, out));
    return expr_reshape(g, *out, expr_conv_height(&s), expr_conv_width(&s), out);
}

peri_status expr_sugar(expr_graph *g, peri_op op, const expr_id *args, expr_id *out)
{
    expr_id a, n;
    TRY(op == PERI_OP_TRANSPOSE ? (a = args[0], PERI_OK) : expr_densify(g, args[0], &a));
    switch (op) {
    case PERI_OP_MEAN:
        TRY(expr_number(g, (double)expr_size(g, a), &n));
        TRY(expr_unary(g, PERI_OP_SUM, a, out));
        return expr_binary(g, PERI_OP_DIV, *out, n, out);
    case PERI_OP_DOT:
        TRY(expr_densify(g, args[1], &n));
        return dot(g, a, n, out);
    case PERI_OP_NORM1:
        return sum_of(g, PERI_OP_ABS, a, out);
    case PERI_OP_NORM2:
        TRY(sum_of(g, PERI_OP_SQUARE, a, out));
        return expr_unary(g, PERI_OP_SQRT, *out, out);
    case PERI_OP_NORMINF:
        TRY(expr_unary(g, PERI_OP_ABS, a, &a));
        return expr_unary(g, PERI_OP_MAX, a, out);
    case PERI_OP_LOGSUMEXP:
        return logsumexp(g, a, out);
    case PERI_OP_SOFTMAX:
        return softmax(g, a, out);
    case PERI_OP_TRACE:
        return trace(g, a, out);
    case PERI_OP_TRANSPOSE:
        return transpose(g, a, out);
    case PERI_OP_DIAG:
        return diag(g, a, out);
    case PERI_OP_CONV2D:
        TRY(expr_densify(g, args[1], &n));
        return conv2d(g, a, n, out);
    default:
        return FAIL(g->ctx, PERI_E_INTERNAL, "operation %s is not known to the builder", peri_op_name(op));
    }
}

/* ---- the matrix product ----------------------------------------------------------------------------------------------- */

static peri_status outer(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    const int64_t rows = expr_at(g, a)->rows, cols = expr_at(g, b)->cols;
    TRY(expr_broadcast(g, a, rows, cols, &a));
    TRY(expr_broadcast(g, b, rows, cols, &b));
    return expr_binary(g, PERI_OP_MUL, a, b, out);
}

peri_status expr_matmul(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    const expr_node x = *expr_at(g, a), y = *expr_at(g, b);
    double value;
    if (x.cols != y.rows)
        return FAIL(g->ctx, PERI_E_SHAPE, "matmul: %d x %d and %d x %d do not fit: %d columns and %d rows", (int)x.rows,
                    (int)x.cols, (int)y.rows, (int)y.cols, (int)x.cols, (int)y.rows);
    if ((expr_constant_value(g, a, &value) || expr_constant_value(g, b, &value)) && !(value < 0) && !(value > 0))
        return expr_full(g, x.rows, y.cols, 0, out);
    if (expr_is_sparse(g, b)) { /* (B' A')' keeps the sparse factor on the left */
        TRY(transpose(g, a, &a));
        TRY(transpose(g, b, &b));
        if (expr_is_sparse(g, a))
            TRY(expr_densify(g, a, &a));
        TRY(expr_matmul(g, b, a, out));
        return transpose(g, *out, out);
    }
    if (x.rows == 1 && y.cols == 1) {
        TRY(expr_densify(g, a, &a));
        return dot(g, a, b, out);
    }
    if (x.cols == 1) {
        TRY(expr_densify(g, a, &a));
        return outer(g, a, b, out);
    }
    expr_node node = expr_blank(PERI_OP_MATMUL, x.rows, y.cols);
    node.arg[0] = a;
    node.arg[1] = b;
    return expr_is_const(g, a) && expr_is_const(g, b) ? expr_fold(g, &node, out) : expr_intern(g, &node, out);
}
