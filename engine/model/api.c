/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.c - the public doors for expressions: arguments checked, indices narrowed, and messages that name the operands; the work is in the folder expr.
 */
#include "eval/nuclear.h"
#include "expr/bilinear.h"
#include "model/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- operations ------------------------------------------------------------------------------------------------------------- */

static const char *verb_of(peri_op op)
{
    switch (op) {
    case PERI_OP_ADD: return "added";
    case PERI_OP_SUB: return "subtracted";
    case PERI_OP_MUL:
    case PERI_OP_MATMUL: return "multiplied";
    case PERI_OP_DIV: return "divided";
    default: return NULL;
    }
}

/* "x (vector 3) and b (vector 4) cannot be added" in place of the builder's message */
static peri_status name_operands(peri_model *m, peri_op op, const peri_expr *args)
{
    char a[160], b[160];
    model_describe(m, args[0], a, sizeof a);
    model_describe(m, args[1], b, sizeof b);
    if (op == PERI_OP_MATMUL)
        return FAIL(m->ctx, PERI_E_SHAPE, "%s and %s cannot be multiplied: %d columns and %d rows", a, b,
                    (int)expr_at(m->g, args[0])->cols, (int)expr_at(m->g, args[1])->rows);
    if (verb_of(op) != NULL)
        return FAIL(m->ctx, PERI_E_SHAPE, "%s and %s cannot be %s", a, b, verb_of(op));
    return FAIL(m->ctx, PERI_E_SHAPE, "%s: %s and %s do not fit", peri_op_name(op), a, b);
}

peri_status peri_expr_op(peri_model *m, peri_op op, int n_args, const peri_expr *args, peri_expr *out)
{
    peri_expr own[3] = {PERI_NO_EXPR, PERI_NO_EXPR, PERI_NO_EXPR}, result = PERI_NO_EXPR; /* out may be one of args */
    for (int k = 0; k < n_args && k < 3; k++)
        own[k] = args[k];
    *out = PERI_NO_EXPR;
    const peri_status status = expr_op(m->g, op, n_args, own, &result);
    if (status == PERI_E_SHAPE && n_args == 2 && op != PERI_OP_CONV2D)
        return name_operands(m, op, own);
    if (status == PERI_OK)
        *out = result;
    return status;
}

/* ---- constants ---------------------------------------------------------------------------------------------------------------- */

static peri_status check_numbers(peri_model *m, int64_t n, const double *data)
{
    for (int64_t k = 0; k < n; k++)
        if (isnan(data[k]))
            return FAIL(m->ctx, PERI_E_ARGUMENT, "array: entry %lld is NaN", (long long)k + 1);
    return PERI_OK;
}

static peri_status check_rows(peri_model *m, const peri_array *v)
{
    bool ok = v->row_start[0] == 0 && v->row_start[v->rows] == v->nnz;
    for (int64_t i = 0; i < v->rows && ok; i++)
        ok = v->row_start[i] <= v->row_start[i + 1];
    return ok ? PERI_OK : FAIL(m->ctx, PERI_E_ARGUMENT, "sparse array: row starts do not ascend from 0 to %lld", (long long)v->nnz);
}

peri_status peri_expr_const(peri_model *m, const peri_array *v, peri_expr *out)
{
    char shape[48];
    *out = PERI_NO_EXPR;
    model_shape_text(v->rows, v->cols, shape, sizeof shape);
    const bool dense = v->nnz < 0;
    if (v->rows < 1 || v->cols < 1 || v->rows > INT32_MAX / (dense ? v->cols : 1) || v->cols > INT32_MAX || v->nnz > INT32_MAX)
        return FAIL(m->ctx, PERI_E_SHAPE, "array: a %s is not possible", shape);
    TRY(check_numbers(m, dense ? v->rows * v->cols : v->nnz, v->data));
    if (dense)
        return expr_dense(m->g, v->rows, v->cols, v->data, out);
    TRY(check_rows(m, v));
    return expr_sparse(m->g, v->rows, v->cols, v->nnz, v->row_start, v->col, v->data, out);
}

peri_status peri_expr_number(peri_model *m, double value, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    if (isnan(value))
        return FAIL(m->ctx, PERI_E_ARGUMENT, "number: NaN is not a constant");
    return expr_number(m->g, value, out);
}

/* ---- entries -------------------------------------------------------------------------------------------------------------------- */

static peri_status index_error(peri_model *m, peri_expr e, int64_t index)
{
    char text[160];
    model_describe(m, e, text, sizeof text);
    return FAIL(m->ctx, PERI_E_INDEX, "%s: index %lld is outside 1 .. %lld", text, (long long)index + 1,
                (long long)expr_size(m->g, e));
}

/* Indices as the graph keeps them, each in 0 .. size - 1 of e;  own: mem_array_free */
static peri_status narrow(peri_model *m, peri_expr e, int64_t size, int64_t n, const int64_t *index, int32_t **out)
{
    *out = mem_array(m->g->m, (size_t)n, sizeof **out);
    if (*out == NULL)
        return FAIL_NOMEM(m->ctx);
    for (int64_t k = 0; k < n; k++) {
        if (index[k] < 0 || index[k] >= size) {
            mem_array_free(m->g->m, *out);
            *out = NULL;
            return index_error(m, e, index[k]);
        }
        (*out)[k] = (int32_t)index[k];
    }
    return PERI_OK;
}

peri_status peri_expr_gather(peri_model *m, peri_expr e, int64_t rows, int64_t cols, const int64_t *index, peri_expr *out)
{
    int32_t *list;
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "gather", e));
    TRY(model_check_shape(m, "array", "gather", rows, cols));
    TRY(narrow(m, e, expr_size(m->g, e), rows * cols, index, &list));
    const peri_status status = expr_gather_list(m->g, e, rows, cols, rows * cols, list, out);
    mem_array_free(m->g->m, list);
    return status;
}

peri_status peri_expr_range(peri_model *m, peri_expr e, int64_t rows, int64_t cols, int64_t first, int64_t stride,
                            peri_expr *out)
{
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "range", e));
    TRY(model_check_shape(m, "array", "range", rows, cols));
    const int64_t size = expr_size(m->g, e);
    if (first < 0 || first >= size)
        return index_error(m, e, first);
    if (stride > INT32_MAX || stride < -INT32_MAX)
        return index_error(m, e, stride);
    const int64_t last = first + (rows * cols - 1) * stride;
    if (last < 0 || last >= size)
        return index_error(m, e, last);
    return expr_gather_affine(m->g, e, rows, cols, first, stride, out);
}

peri_status peri_expr_along(peri_model *m, peri_op op, peri_expr e, int dim, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, (int)op >= 0 && op < PERI_OP_COUNT ? peri_op_name(op) : "along", e));
    return expr_along(m->g, op, e, dim, out);
}

peri_status peri_expr_scatter(peri_model *m, peri_expr e, int64_t rows, int64_t cols, const int64_t *index, peri_expr *out)
{
    int32_t *list;
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "scatter", e));
    TRY(model_check_shape(m, "array", "scatter", rows, cols));
    const int64_t n = expr_size(m->g, e);
    for (int64_t k = 0; k < n; k++)
        if (index[k] < 0 || index[k] >= rows * cols)
            return FAIL(m->ctx, PERI_E_INDEX, "scatter: index %lld is outside 1 .. %lld", (long long)index[k] + 1,
                        (long long)(rows * cols));
    TRY(narrow(m, e, rows * cols, n, index, &list));
    const int32_t *lists[1] = {list};
    const peri_status status = expr_scatter_sum(m->g, rows, cols, 1, &e, lists, out);
    mem_array_free(m->g->m, list);
    return status;
}

peri_status peri_expr_bmm(peri_model *m, peri_expr a, peri_expr b, int64_t count, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "bmm", a));
    TRY(model_check_expr(m, "bmm", b));
    if (count < 1 || count > INT32_MAX)
        return FAIL(m->ctx, PERI_E_ARGUMENT, "bmm: %lld products: there must be at least one", (long long)count);
    const expr_bmm_spec spec = {(int32_t)count, 0, 0};
    return expr_bmm(m->g, a, b, &spec, out);
}

static bool is_size(int64_t n)
{
    return n >= 0 && n <= INT32_MAX / 4;
}

peri_status peri_expr_conv2d(peri_model *m, peri_expr image, peri_expr kernel, const peri_conv2d *o, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "conv2d", image));
    TRY(model_check_expr(m, "conv2d", kernel));
    const bool matrix = o->size[0] == 0;
    const int32_t rows[2] = {expr_at(m->g, image)->rows, expr_at(m->g, kernel)->rows};
    const int32_t cols[2] = {expr_at(m->g, image)->cols, expr_at(m->g, kernel)->cols};
    for (int d = 0; d < 2; d++)
        if (!is_size(o->size[d]) || !is_size(o->kernel[d]) || !is_size(o->stride[d]) || !is_size(o->padding[d]) || !is_size(o->channels))
            return FAIL(m->ctx, PERI_E_ARGUMENT, "conv2d: a size, stride or padding is negative or too large");
    expr_conv_spec s = {EXPR_CONV_OUTPUT, rows[0], (int32_t)o->channels, (int32_t)o->size[0], (int32_t)o->size[1], rows[1], (int32_t)o->kernel[0],
                        (int32_t)o->kernel[1], {(int32_t)o->stride[0], (int32_t)o->stride[1]}, {(int32_t)o->padding[0], (int32_t)o->padding[1]}};
    if (!matrix)
        return expr_conv(m->g, image, kernel, &s, out);
    s.images = s.channels = s.filters = 1;
    s.height = rows[0];
    s.width = cols[0];
    s.rows = rows[1];
    s.cols = cols[1];
    TRY(expr_reshape(m->g, image, 1, (int64_t)s.height * s.width, &image));
    TRY(expr_reshape(m->g, kernel, 1, (int64_t)s.rows * s.cols, &kernel));
    TRY(expr_conv(m->g, image, kernel, &s, &image));
    return expr_reshape(m->g, image, expr_conv_height(&s), expr_conv_width(&s), out);
}

peri_status peri_expr_stack(peri_model *m, int64_t n, const peri_expr *args, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    for (int64_t k = 0; k < n; k++)
        TRY(model_check_expr(m, "stack", args[k]));
    return expr_stack(m->g, n, args, out);
}

peri_status peri_expr_hstack(peri_model *m, int64_t n, const peri_expr *args, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    if (n < 1)
        return FAIL(m->ctx, PERI_E_ARGUMENT, "hstack: nothing to stack");
    for (int64_t k = 0; k < n; k++) {
        TRY(model_check_expr(m, "hstack", args[k]));
        if (expr_at(m->g, args[k])->rows != expr_at(m->g, args[0])->rows)
            return FAIL(m->ctx, PERI_E_SHAPE, "hstack: argument %lld has %d rows, the first has %d", (long long)k + 1,
                        (int)expr_at(m->g, args[k])->rows, (int)expr_at(m->g, args[0])->rows);
    }
    expr_id *turned = mem_array(m->g->m, (size_t)n, sizeof *turned);
    peri_status status = turned != NULL ? PERI_OK : FAIL_NOMEM(m->ctx);
    for (int64_t k = 0; k < n && status == PERI_OK; k++)
        status = expr_op(m->g, PERI_OP_TRANSPOSE, 1, &args[k], &turned[k]);
    if (status == PERI_OK)
        status = expr_stack(m->g, n, turned, &turned[0]);
    if (status == PERI_OK)
        status = expr_op(m->g, PERI_OP_TRANSPOSE, 1, &turned[0], out);
    mem_array_free(m->g->m, turned);
    return status;
}

/* Entry of A (outer) or B (inner) that each entry of the Kronecker product is made of, gathered. */
static peri_status spread_over(peri_model *m, peri_expr a, peri_expr b, bool outer, peri_expr *out)
{
    const expr_node x = *expr_at(m->g, a), y = *expr_at(m->g, b);
    const int64_t rows = (int64_t)x.rows * y.rows, cols = (int64_t)x.cols * y.cols;
    int32_t *index = mem_array(m->g->m, (size_t)(rows * cols), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(m->ctx);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            index[i * cols + j] = (int32_t)(outer ? i / y.rows * x.cols + j / y.cols : i % y.rows * y.cols + j % y.cols);
    const peri_status status = expr_gather_list(m->g, outer ? a : b, rows, cols, rows * cols, index, out);
    mem_array_free(m->g->m, index);
    return status;
}

peri_status peri_expr_kron(peri_model *m, peri_expr a, peri_expr b, peri_expr *out)
{
    peri_expr part[2];
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "kron", a));
    TRY(model_check_expr(m, "kron", b));
    const expr_node x = *expr_at(m->g, a), y = *expr_at(m->g, b);
    const int64_t rows = (int64_t)x.rows * y.rows, cols = (int64_t)x.cols * y.cols;
    if (rows > INT32_MAX / cols)
        return FAIL(m->ctx, PERI_E_SHAPE, "kron: a matrix of %lld x %lld is too large", (long long)rows, (long long)cols);
    TRY(spread_over(m, a, b, true, &part[0]));
    TRY(spread_over(m, a, b, false, &part[1]));
    return expr_op(m->g, PERI_OP_MUL, 2, part, out);
}

peri_status peri_expr_reshape(peri_model *m, peri_expr e, int64_t rows, int64_t cols, peri_expr *out)
{
    char text[160], shape[48];
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "reshape", e));
    TRY(model_check_shape(m, "array", "reshape", rows, cols));
    if (rows * cols != expr_size(m->g, e)) {
        model_describe(m, e, text, sizeof text);
        model_shape_text(rows, cols, shape, sizeof shape);
        return FAIL(m->ctx, PERI_E_SHAPE, "%s cannot be reshaped to a %s", text, shape);
    }
    return expr_reshape(m->g, e, rows, cols, out);
}

peri_status peri_expr_mark(peri_model *m, peri_expr e, const char *name, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "mark", e));
    if (name == NULL || name[0] == '\0')
        return FAIL(m->ctx, PERI_E_NAME, "mark: a marked expression needs a name");
    return expr_mark(m->g, e, name, out);
}

peri_status peri_expr_call(peri_model *m, const peri_function *fn, peri_expr x, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, fn->name != NULL ? fn->name : "call", x));
    return expr_call(m->g, fn, x, out);
}

peri_status peri_expr_norm_nuclear(peri_model *m, peri_expr e, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "norm_nuclear", e));
    return eval_norm_nuclear(m->g, e, out);
}

/* ---- looking ---------------------------------------------------------------------------------------------------------------------- */

void peri_expr_shape(const peri_model *m, peri_expr e, int64_t *rows, int64_t *cols)
{
    const bool known = e >= 0 && e < m->g->nodes.n;
    *rows = known ? expr_at(m->g, e)->rows : 0;
    *cols = known ? expr_at(m->g, e)->cols : 0;
}

bool peri_expr_is_const(const peri_model *m, peri_expr e)
{
    double value;
    return e >= 0 && e < m->g->nodes.n && (expr_at(m->g, e)->op == PERI_OP_CONST || expr_constant_value(m->g, e, &value));
}

bool peri_expr_has_variables(const peri_model *m, peri_expr e)
{
    enum { LOOKED_AT = 500 };
    expr_id open[LOOKED_AT]; /* nodes [next, n) are still to be looked at */
    int n = 0;
    if (e < 0 || e >= m->g->nodes.n)
        return false;
    open[n++] = e;
    for (int next = 0; next < n; next++) {
        const expr_node *node = expr_at(m->g, open[next]);
        if (node->op == PERI_OP_INPUT && node->class_ != EXPR_IN_PARAM)
            return true;
        const expr_id *args;
        const int32_t count = expr_args(m->g, open[next], &args);
        if (count > LOOKED_AT - n)
            return true;
        for (int32_t k = 0; k < count; k++)
            open[n++] = args[k];
    }
    return false;
}

peri_op peri_expr_get_op(const peri_model *m, peri_expr e)
{
    return e >= 0 && e < m->g->nodes.n ? (peri_op)expr_at(m->g, e)->op : PERI_OP_COUNT;
}

peri_status peri_expr_text(peri_model *m, peri_expr e, size_t limit, char **out)
{
    *out = NULL;
    TRY(model_check_expr(m, "text", e));
    return expr_text(m->g, e, limit, out);
}
