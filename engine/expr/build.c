/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.c - making nodes: shapes, broadcasting, simplification. Invariant: arguments of a stored elementwise node have the node's own
 * size or are scalars, sugar is never stored, sparse constants appear under MATMUL only.
 */
#include "expr/bilinear.h"
#include "expr/node.h"
#include <stdio.h>
#include <string.h>

/* ---- constants -------------------------------------------------------------------------------------------------------- */

peri_status expr_number(expr_graph *g, double value, expr_id *out)
{
    return expr_intern_cell(g, PERI_OP_CONST, (expr_cell){.value = value}, out);
}

peri_status expr_full(expr_graph *g, int64_t rows, int64_t cols, double value, expr_id *out)
{
    TRY(expr_number(g, value, out));
    return expr_broadcast(g, *out, rows, cols, out);
}

static bool all_equal(int64_t n, const double *data)
{
    for (int64_t k = 1; k < n; k++)
        if (memcmp(&data[k], &data[0], sizeof *data) != 0)
            return false;
    return true;
}

static peri_status check_size(expr_graph *g, int64_t rows, int64_t cols)
{
    if (rows < 1 || cols < 1)
        return FAIL(g->ctx, PERI_E_SHAPE, "an array of %lld x %lld has no entries", (long long)rows, (long long)cols);
    if (rows > INT32_MAX / cols)
        return FAIL(g->ctx, PERI_E_SHAPE, "an array of %lld x %lld has more than 2^31 - 1 entries", (long long)rows,
                    (long long)cols);
    return PERI_OK;
}

peri_status expr_dense(expr_graph *g, int64_t rows, int64_t cols, const double *data, expr_id *out)
{
    TRY(check_size(g, rows, cols));
    if (all_equal(rows * cols, data))
        return expr_full(g, rows, cols, data[0], out);
    expr_node node = expr_blank(PERI_OP_CONST, rows, cols);
    const expr_const value = {.rows = (int32_t)rows, .cols = (int32_t)cols, .data = (double *)(uintptr_t)data, .nnz = rows * cols};
    TRY(expr_intern_const(g, value, &node.ref));
    return expr_intern(g, &node, out);
}

peri_status expr_sparse_rows(expr_graph *g, int64_t rows, int64_t cols, const int32_t *row_start, const int32_t *col, const double *data, bool same,
                             expr_id *out)
{
    const int64_t nnz = row_start[rows];
    expr_const value = {.rows = (int32_t)rows, .cols = (int32_t)cols, .data = (double *)(uintptr_t)data, .row_start = (int32_t *)(uintptr_t)row_start,
                        .col = (int32_t *)(uintptr_t)col, .nnz = nnz};
    TRY(check_size(g, rows, 1));
    TRY(check_size(g, 1, cols));
    value.same = nnz > 1 && (same || all_equal(nnz, data));
    if (rows == 1 && cols == 1) {
        double sum = 0;
        for (int64_t k = 0; k < nnz; k++)
            sum += expr_sparse_at(&value, k);
        return expr_number(g, sum, out);
    }
    expr_node node = expr_blank(PERI_OP_CONST, rows, cols);
    TRY(expr_intern_const(g, value, &node.ref));
    return expr_intern(g, &node, out);
}

peri_status expr_sparse(expr_graph *g, int64_t rows, int64_t cols, int64_t nnz, const int64_t *row_start,
                        const int64_t *col, const double *data, expr_id *out)
{
    TRY(check_size(g, rows, 1));
    TRY(check_size(g, 1, cols));
    int32_t *start = mem_array(g->m, (size_t)rows + 1, sizeof *start), *at = mem_array(g->m, (size_t)nnz, sizeof *at);
    peri_status status = start != NULL && at != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int64_t i = 0; i <= rows && status == PERI_OK; i++)
        start[i] = (int32_t)row_start[i];
    for (int64_t k = 0; k < nnz && status == PERI_OK; k++) {
        if (col[k] < 0 || col[k] >= cols)
            status = FAIL(g->ctx, PERI_E_INDEX, "sparse array: column %lld is outside 1 .. %lld", (long long)col[k] + 1,
                          (long long)cols);
        at[k] = (int32_t)col[k];
    }
    if (status == PERI_OK)
        status = expr_sparse_rows(g, rows, cols, start, at, data, false, out);
    mem_array_free(g->m, start);
    mem_array_free(g->m, at);
    return status;
}

/* ---- gathers -------------------------------------------------------------------------------------------------------------- */

static bool is_identity(const expr_graph *g, expr_id e, int64_t rows, int64_t cols, int64_t first, int64_t stride)
{
    return first == 0 && expr_size(g, e) == rows * cols && (stride == 1 || rows * cols == 1) &&
           expr_at(g, e)->rows == rows && expr_at(g, e)->cols == cols;
}

static peri_status check_range(expr_graph *g, expr_id e, int64_t lowest, int64_t highest)
{
    if (lowest < 0 || highest >= expr_size(g, e))
        return FAIL(g->ctx, PERI_E_INDEX, "index %lld is outside 1 .. %lld",
                    (long long)(lowest < 0 ? lowest : highest) + 1, (long long)expr_size(g, e));
    return PERI_OK;
}

static peri_status gather_const(expr_graph *g, const expr_node *node, expr_id *out)
{
    const int64_t n = (int64_t)node->rows * node->cols;
    const double *from = expr_const_data(g, node->arg[0]);
    if (n == 1)
        return expr_number(g, from[expr_gather_at(g, node, 0)], out);
    if ((node->flags & EXPR_AFFINE) && node->stride == 1 && !all_equal(n, from + node->first)) { /* a part is where it is */
        expr_node part = expr_blank(PERI_OP_CONST, node->rows, node->cols);
        const expr_const value = {.rows = node->rows, .cols = node->cols, .data = (double *)(uintptr_t)(from + node->first), .nnz = n};
        TRY(expr_intern_part(g, value, &part.ref));
        return expr_intern(g, &part, out);
    }
    double *data = mem_array(g->m, (size_t)n, sizeof *data);
    if (data == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n; k++)
        data[k] = from[expr_gather_at(g, node, k)];
    const peri_status status = expr_dense(g, node->rows, node->cols, data, out);
    mem_array_free(g->m, data);
    return status;
}

static bool is_dense_const(const expr_graph *g, expr_id e)
{
    return expr_at(g, e)->op == PERI_OP_CONST && expr_size(g, e) > 1;
}

/* The argument of a STACK that holds entries [lo, hi], and where it begins; -1 when they span several. */
static expr_id stack_part(const expr_graph *g, const expr_node *stack, int64_t lo, int64_t hi, int64_t *begin)
{
    int64_t at = 0;
    for (int32_t k = 0; k < stack->many.n; k++) {
        const expr_id part = g->args.at[stack->many.list + k];
        const int64_t size = expr_size(g, part);
        if (lo < at + size) {
            *begin = at;
            return hi < at + size ? part : -1;
        }
        at += size;
    }
    return -1;
}

peri_status expr_gather_affine(expr_graph *g, expr_id e, int64_t rows, int64_t cols, int64_t first, int64_t stride,
                               expr_id *out)
{
    TRY(check_size(g, rows, cols));
    const int64_t n = rows * cols, last = first + (n - 1) * stride;
    const int64_t lo = last < first ? last : first, hi = last < first ? first : last;
    TRY(check_range(g, e, lo, hi));
    if (n == 1 && expr_code(g, e) == (PERI_OP_INPUT | EXPR_WIDE) && expr_size(g, e) > 1) /* what loops read */
        return expr_intern_cell(g, PERI_OP_GATHER, (expr_cell){.arg = {e, (int32_t)first}}, out);
    TRY(expr_densify(g, e, &e));
    if (n == 1)
        stride = 1;
    if (expr_size(g, e) == 1) {
        first = 0;
        stride = n == 1 ? 1 : 0;
    }
    for (;;) { /* through gathers below */
        const expr_node *below = expr_at(g, e);
        int64_t begin;
        if (below->op == PERI_OP_GATHER && (below->flags & EXPR_AFFINE)) {
            first = below->first + first * below->stride;
            stride *= below->stride;
            e = below->arg[0];
        } else if (below->op == PERI_OP_STACK && stack_part(g, below, first < first + (n - 1) * stride ? first : first + (n - 1) * stride,
                                                            first < first + (n - 1) * stride ? first + (n - 1) * stride : first, &begin) >= 0) {
            const int64_t end = first + (n - 1) * stride;
            e = stack_part(g, below, first < end ? first : end, first < end ? end : first, &begin);
            first -= begin;
        } else {
            break;
        }
        if (n == 1)
            stride = 1;
    }
    if (is_identity(g, e, rows, cols, first, stride)) {
        *out = e;
        return PERI_OK;
    }
    expr_node node = expr_blank(PERI_OP_GATHER, rows, cols);
    node.arg[0] = e;
    if (expr_at(g, e)->op == PERI_OP_GATHER) { /* of a list: a shorter list, or one entry of it */
        const expr_node below = *expr_at(g, e);
        if (n == 1)
            return expr_gather_affine(g, below.arg[0], rows, cols, expr_gather_at(g, &below, first), 1, out);
        int32_t *index = mem_array(g->m, (size_t)n, sizeof *index);
        if (index == NULL)
            return FAIL_NOMEM(g->ctx);
        for (int64_t k = 0; k < n; k++)
            index[k] = (int32_t)expr_gather_at(g, &below, first + k * stride);
        const peri_status status = expr_gather_list(g, below.arg[0], rows, cols, n, index, out);
        mem_array_free(g->m, index);
        return status;
    }
    node.flags = EXPR_AFFINE;
    node.first = (int32_t)first;
    node.stride = (int32_t)stride;
    if (is_dense_const(g, e))
        return gather_const(g, &node, out);
    return expr_intern(g, &node, out);
}

static bool is_affine(int64_t n, const int32_t *index)
{
    for (int64_t k = 2; k < n; k++)
        if (index[k] - index[k - 1] != index[1] - index[0])
            return false;
    return true;
}

static peri_status gather_composed(expr_graph *g, expr_id e, int64_t rows, int64_t cols, int64_t n, const int32_t *index,
                                   expr_id *out)
{
    const expr_node below = *expr_at(g, e);
    int32_t *list = mem_array(g->m, (size_t)n, sizeof *list);
    if (list == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n; k++)
        list[k] = (int32_t)expr_gather_at(g, &below, index[k]);
    const peri_status status = expr_gather_list(g, below.arg[0], rows, cols, n, list, out);
    mem_array_free(g->m, list);
    return status;
}

peri_status expr_gather_list(expr_graph *g, expr_id e, int64_t rows, int64_t cols, int64_t n, const int32_t *index,
                             expr_id *out)
{
    TRY(check_size(g, rows, cols));
    if (n != rows * cols)
        return FAIL(g->ctx, PERI_E_SHAPE, "gather: %lld indices for %lld x %lld entries", (long long)n, (long long)rows,
                    (long long)cols);
    int32_t lo = index[0], hi = index[0];
    for (int64_t k = 1; k < n; k++) {
        lo = index[k] < lo ? index[k] : lo;
        hi = index[k] > hi ? index[k] : hi;
    }
    TRY(check_range(g, e, lo, hi));
    if (is_affine(n, index))
        return expr_gather_affine(g, e, rows, cols, index[0], n > 1 ? (int64_t)index[1] - index[0] : 1, out);
    TRY(expr_densify(g, e, &e));
    if (expr_at(g, e)->op == PERI_OP_GATHER)
        return gather_composed(g, e, rows, cols, n, index, out);
    expr_node node = expr_blank(PERI_OP_GATHER, rows, cols);
    node.arg[0] = e;
    TRY(expr_intern_list_data(g, n, index, &node.index));
    if (is_dense_const(g, e))
        return gather_const(g, &node, out);
    return expr_intern(g, &node, out);
}

peri_status expr_reshape(expr_graph *g, expr_id e, int64_t rows, int64_t cols, expr_id *out)
{
    if (rows * cols != expr_size(g, e))
        return FAIL(g->ctx, PERI_E_SHAPE, "%lld entries cannot be reshaped to %lld x %lld", (long long)expr_size(g, e),
                    (long long)rows, (long long)cols);
    return expr_gather_affine(g, e, rows, cols, 0, 1, out);
}

peri_status expr_broadcast(expr_graph *g, expr_id e, int64_t rows, int64_t cols, expr_id *out)
{
    const int64_t r = expr_at(g, e)->rows, c = expr_at(g, e)->cols;
    if (r == rows && c == cols) {
        *out = e;
        return PERI_OK;
    }
    if (r == 1 && c == 1)
        return expr_gather_affine(g, e, rows, cols, 0, 0, out);
    if (!((r == rows && c == 1) || (c == cols && r == 1)))
        return FAIL(g->ctx, PERI_E_SHAPE, "%lld x %lld cannot be spread to %lld x %lld", (long long)r, (long long)c,
                    (long long)rows, (long long)cols);
    TRY(check_size(g, rows, cols));
    int32_t *index = mem_array(g->m, (size_t)(rows * cols), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < rows * cols; k++)
        index[k] = (int32_t)(c == 1 ? k / cols : k % cols);
    const peri_status status = expr_gather_list(g, e, rows, cols, rows * cols, index, out);
    mem_array_free(g->m, index);
    return status;
}

/* ---- elementwise ----------------------------------------------------------------------------------------------------------- */

static peri_status shape_error(expr_graph *g, peri_op op, int n, const expr_id *args)
{
    char text[3][48] = {"", "", ""};
    for (int k = 0; k < n; k++)
        snprintf(text[k], sizeof text[k], "%s%d x %d", k == 0 ? "" : " and ", (int)expr_at(g, args[k])->rows,
                 (int)expr_at(g, args[k])->cols);
    return FAIL(g->ctx, PERI_E_SHAPE, "%s: shapes %s%s%s do not fit", peri_op_name(op), text[0], text[1], text[2]);
}

static peri_status common_shape(expr_graph *g, peri_op op, int n, const expr_id *args, int64_t *rows, int64_t *cols)
{
    *rows = *cols = 1;
    for (int k = 0; k < n; k++) {
        const int64_t r = expr_at(g, args[k])->rows, c = expr_at(g, args[k])->cols;
        if ((r != 1 && *rows != 1 && r != *rows) || (c != 1 && *cols != 1 && c != *cols))
            return shape_error(g, op, n, args);
        *rows = r > *rows ? r : *rows;
        *cols = c > *cols ? c : *cols;
    }
    return PERI_OK;
}

/* A scalar spread to an array, as the scalar it is. */
static expr_id unspread(const expr_graph *g, expr_id e)
{
    if ((expr_code(g, e) & ~EXPR_WIDE) != PERI_OP_GATHER)
        return e;
    const expr_id source = expr_at(g, e)->arg[0];
    return expr_size(g, source) == 1 ? source : e;
}

/* Order of commutative arguments: constants last, then by operation, source and number. */
static bool in_order(const expr_graph *g, expr_id a, expr_id b)
{
    const bool ka = expr_is_const(g, a), kb = expr_is_const(g, b);
    if (ka != kb)
        return kb;
    const int op_a = expr_code(g, a) & ~EXPR_WIDE, op_b = expr_code(g, b) & ~EXPR_WIDE;
    if (op_a != op_b)
        return op_a < op_b;
    const expr_id x = op_a == PERI_OP_GATHER ? expr_at(g, a)->arg[0] : 0, y = op_b == PERI_OP_GATHER ? expr_at(g, b)->arg[0] : 0;
    return x != y ? x < y : a < b;
}

static peri_status make_elementwise(expr_graph *g, peri_op op, int n, const expr_id *args, int64_t rows, int64_t cols,
                                    expr_id *out)
{
    expr_node node = expr_blank(op, rows, cols);
    bool all_const = true;
    for (int k = 0; k < n; k++) {
        node.arg[k] = args[k];
        all_const = all_const && expr_is_const(g, args[k]);
    }
    if ((op == PERI_OP_ADD || op == PERI_OP_MUL || op == PERI_OP_MIN2 || op == PERI_OP_MAX2) &&
        !in_order(g, node.arg[0], node.arg[1])) {
        node.arg[0] = args[1];
        node.arg[1] = args[0];
    }
    if (all_const)
        return expr_fold(g, &node, out);
    return expr_intern(g, &node, out);
}

static bool is_commutative(peri_op op)
{
    return op == PERI_OP_ADD || op == PERI_OP_MUL || op == PERI_OP_MIN2 || op == PERI_OP_MAX2;
}

static void swap(expr_id *args)
{
    const expr_id a = args[0];
    args[0] = args[1];
    args[1] = a;
}

/* The same on one or two scalars that are cells, which is what loops make: nothing to spread, one probe of the table. */
static peri_status on_cells(expr_graph *g, peri_op op, int n, const expr_id *given, expr_id *out)
{
    expr_id args[2] = {-1, -1};
    bool all_const = true;
    for (int k = 0; k < n; k++) {
        args[k] = unspread(g, given[k]);
        all_const = all_const && expr_is_const(g, args[k]);
    }
    if (all_const)
        return make_elementwise(g, op, n, args, 1, 1, out);
    if ((op == PERI_OP_ADD || op == PERI_OP_MUL) && expr_is_const(g, args[0])) /* constants to the right, for the rules */
        swap(args);
    TRY(expr_simplify(g, op, n, args, out));
    if (*out >= 0)
        return expr_broadcast(g, *out, 1, 1, out);
    if (is_commutative(op) && !in_order(g, args[0], args[1]))
        swap(args);
    return expr_intern_cell(g, op, (expr_cell){.arg = {args[0], args[1]}}, out);
}

static bool are_cells(const expr_graph *g, int n, const expr_id *args)
{
    bool all = n <= 2;
    for (int k = 0; k < n && all; k++)
        all = (expr_code(g, args[k]) & EXPR_WIDE) == 0;
    return all;
}

static peri_status elementwise(expr_graph *g, peri_op op, int n, const expr_id *given, expr_id *out)
{
    int64_t rows, cols;
    expr_id args[3];
    bool all_scalar = true;
    if (are_cells(g, n, given))
        return on_cells(g, op, n, given, out);
    TRY(common_shape(g, op, n, given, &rows, &cols));
    for (int k = 0; k < n; k++) {
        TRY(expr_densify(g, given[k], &args[k]));
        args[k] = unspread(g, args[k]);
        if (expr_size(g, args[k]) != 1) {
            TRY(expr_broadcast(g, args[k], rows, cols, &args[k]));
            all_scalar = false;
        }
    }
    if (all_scalar && rows * cols > 1) { /* spread scalars only: compute once, then spread */
        TRY(elementwise(g, op, n, args, out));
        return expr_broadcast(g, *out, rows, cols, out);
    }
    if (op == PERI_OP_ADD || op == PERI_OP_MUL) /* scalar constants to the right, for the rules */
        if (expr_is_const(g, args[0]) && !expr_is_const(g, args[1])) {
            const expr_id a = args[0];
            args[0] = args[1];
            args[1] = a;
        }
    bool all_const = true;
    for (int k = 0; k < n; k++)
        all_const = all_const && expr_is_const(g, args[k]);
    if (!all_const) {
        TRY(expr_simplify(g, op, n, args, out));
        if (*out >= 0)
            return expr_broadcast(g, *out, rows, cols, out);
    }
    return make_elementwise(g, op, n, args, rows, cols, out);
}

peri_status expr_unary(expr_graph *g, peri_op op, expr_id a, expr_id *out)
{
    return expr_op(g, op, 1, &a, out);
}

peri_status expr_binary(expr_graph *g, peri_op op, expr_id a, expr_id b, expr_id *out)
{
    const expr_id args[2] = {a, b};
    return expr_op(g, op, 2, args, out);
}

/* ---- stacks and scatters ------------------------------------------------------------------------------------------------------ */

/* All arguments gathers of one source: the stack is one gather. */
static peri_status stack_gathers(expr_graph *g, int64_t n, const expr_id *args, int64_t rows, int64_t cols, expr_id *out)
{
    *out = -1;
    for (int64_t k = 0; k < n; k++)
        if (expr_at(g, args[k])->op != PERI_OP_GATHER || expr_at(g, args[k])->arg[0] != expr_at(g, args[0])->arg[0])
            return PERI_OK;
    int32_t *index = mem_array(g->m, (size_t)(rows * cols), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    int64_t at = 0;
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < expr_size(g, args[k]); i++)
            index[at++] = (int32_t)expr_gather_at(g, expr_at(g, args[k]), i);
    const peri_status status = expr_gather_list(g, expr_at(g, args[0])->arg[0], rows, cols, rows * cols, index, out);
    mem_array_free(g->m, index);
    return status;
}

static peri_status stack_consts(expr_graph *g, int64_t n, const expr_id *args, int64_t rows, int64_t cols, expr_id *out)
{
    double *data = mem_array(g->m, (size_t)(rows * cols), sizeof *data), value;
    if (data == NULL)
        return FAIL_NOMEM(g->ctx);
    int64_t at = 0;
    for (int64_t k = 0; k < n; k++) {
        const bool spread = expr_constant_value(g, args[k], &value);
        for (int64_t i = 0; i < expr_size(g, args[k]); i++)
            data[at++] = spread ? value : expr_const_data(g, args[k])[i];
    }
    const peri_status status = expr_dense(g, rows, cols, data, out);
    mem_array_free(g->m, data);
    return status;
}

peri_status expr_stack(expr_graph *g, int64_t n, const expr_id *given, expr_id *out)
{
    if (n < 1)
        return FAIL(g->ctx, PERI_E_ARGUMENT, "stack: nothing to stack");
    int64_t rows = 0;
    const int64_t cols = expr_at(g, given[0])->cols;
    bool all_const = true;
    expr_id *args = mem_array(g->m, (size_t)n, sizeof *args);
    peri_status status = args != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n && status == PERI_OK; k++) {
        if (expr_at(g, given[k])->cols != cols)
            status = FAIL(g->ctx, PERI_E_SHAPE, "stack: argument %lld has %d columns, the first has %lld", (long long)k + 1,
                          (int)expr_at(g, given[k])->cols, (long long)cols);
        rows += expr_at(g, given[k])->rows;
        all_const = all_const && expr_is_const(g, given[k]);
        if (status == PERI_OK)
            status = expr_densify(g, given[k], &args[k]);
    }
    *out = -1;
    if (status == PERI_OK)
        status = check_size(g, rows, cols);
    if (status == PERI_OK && n == 1)
        *out = args[0];
    else if (status == PERI_OK && all_const)
        status = stack_consts(g, n, args, rows, cols, out);
    else if (status == PERI_OK)
        status = stack_gathers(g, n, args, rows, cols, out);
    if (status == PERI_OK && *out < 0)
        status = expr_intern_list(g, expr_blank(PERI_OP_STACK, rows, cols), n, n, args, out);
    mem_array_free(g->m, args);
    return status;
}

enum { MOST_RANGES = 64 };

/* Where the list is neighbours: its first entry, otherwise -1. */
static int64_t range_begin(const expr_list *list)
{
    return list->stride == 1 ? list->first : -1;
}

/* A scatter of n arguments to ranges that lie side by side is a stack: *out = -1 where they do not. list: as SCATTER's */
static peri_status scatter_as_stack(expr_graph *g, int64_t rows, int64_t cols, int64_t n, const expr_id *list, expr_id *out)
{
    expr_id sorted[MOST_RANGES];
    *out = -1;
    if (n > MOST_RANGES)
        return PERI_OK;
    int64_t at = 0;
    for (int64_t k = 0; k < n; k++) { /* the one that begins at `at` */
        int64_t j = 0;
        while (j < n && expr_list_at(&g->lists.at[list[n + j]], 0) != at)
            j++;
        if (j == n || range_begin(&g->lists.at[list[n + j]]) < 0)
            return PERI_OK;
        sorted[k] = list[j];
        at += g->lists.at[list[n + j]].n;
    }
    if (at != rows * cols)
        return PERI_OK;
    for (int64_t k = 0; k < n; k++)
        TRY(expr_reshape(g, sorted[k], expr_size(g, sorted[k]), 1, &sorted[k]));
    TRY(expr_stack(g, n, sorted, out));
    return expr_reshape(g, *out, rows, cols, out);
}

/* Arguments that are not zero, and behind them as many list numbers. */
static peri_status scatter_arguments(expr_graph *g, int64_t places, int64_t n, const expr_id *args, const int64_t *ref, expr_id *list, int64_t *kept)
{
    *kept = 0;
    for (int64_t k = 0; k < n; k++) {
        const expr_list *index = &g->lists.at[ref[k]];
        double value;
        if (expr_constant_value(g, args[k], &value) && !(value < 0) && !(value > 0))
            continue;
        if (index->lo < 0 || index->hi >= places)
            return FAIL(g->ctx, PERI_E_INDEX, "scatter: index %d is outside 1 .. %lld", (int)(index->lo < 0 ? index->lo : index->hi) + 1,
                        (long long)places);
        TRY(expr_densify(g, args[k], &list[*kept]));
        list[n + (*kept)++] = (expr_id)ref[k];
    }
    memmove(list + *kept, list + n, (size_t)*kept * sizeof *list);
    return PERI_OK;
}

peri_status expr_scatter_lists(expr_graph *g, int64_t rows, int64_t cols, int64_t n, const expr_id *args, const int64_t *ref, expr_id *out)
{
    TRY(check_size(g, rows, cols));
    expr_id *list = mem_array(g->m, (size_t)(2 * n), sizeof *list);
    int64_t kept = 0;
    peri_status status = list != NULL ? scatter_arguments(g, rows * cols, n, args, ref, list, &kept) : FAIL_NOMEM(g->ctx);
    if (status == PERI_OK)
        status = kept == 0 ? expr_full(g, rows, cols, 0, out) : scatter_as_stack(g, rows, cols, kept, list, out);
    if (status == PERI_OK && kept > 0 && *out < 0)
        status = expr_intern_list(g, expr_blank(PERI_OP_SCATTER, rows, cols), kept, 2 * kept, list, out);
    mem_array_free(g->m, list);
    return status;
}

peri_status expr_scatter_sum(expr_graph *g, int64_t rows, int64_t cols, int64_t n, const expr_id *args,
                             const int32_t *const *index, expr_id *out)
{
    int64_t *ref = mem_array(g->m, (size_t)n, sizeof *ref);
    peri_status status = ref != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n && status == PERI_OK; k++)
        status = expr_list_ref(g, expr_size(g, args[k]), index[k], &ref[k]);
    if (status == PERI_OK)
        status = expr_scatter_lists(g, rows, cols, n, args, ref, out);
    mem_array_free(g->m, ref);
    return status;
}

/* ---- the door for all operations -------------------------------------------------------------------------------------------------- */

static peri_status reduction(expr_graph *g, peri_op op, expr_id a, expr_id *out)
{
    TRY(expr_densify(g, a, &a));
    if (expr_size(g, a) == 1) {
        *out = a;
        return PERI_OK;
    }
    const expr_node *node = expr_at(g, a);
    if (op == PERI_OP_SUM && node->op == PERI_OP_GATHER && expr_size(g, node->arg[0]) == 1) { /* spread scalar */
        const int64_t size = expr_size(g, a);
        expr_id factor;
        const expr_id scalar = node->arg[0];
        TRY(expr_number(g, (double)size, &factor));
        return expr_binary(g, PERI_OP_MUL, scalar, factor, out);
    }
    expr_node sum = expr_blank(op, 1, 1);
    sum.arg[0] = a;
    return expr_is_const(g, a) ? expr_fold(g, &sum, out) : expr_intern(g, &sum, out);
}

static peri_status square_matrix(expr_graph *g, peri_op op, expr_id a, expr_id *out)
{
    if (expr_at(g, a)->rows != expr_at(g, a)->cols)
        return FAIL(g->ctx, PERI_E_SHAPE, "%s: needs a square matrix, not %d x %d", peri_op_name(op),
                    (int)expr_at(g, a)->rows, (int)expr_at(g, a)->cols);
    TRY(expr_densify(g, a, &a));
    expr_node node = expr_blank(op, op == PERI_OP_LOGDET ? 1 : expr_at(g, a)->rows, op == PERI_OP_LOGDET ? 1 : expr_at(g, a)->cols);
    node.arg[0] = a;
    return expr_is_const(g, a) ? expr_fold(g, &node, out) : expr_intern(g, &node, out);
}

static peri_status linear_solve(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    const int64_t n = expr_at(g, a)->rows;
    TRY(expr_densify(g, a, &a));
    TRY(expr_densify(g, b, &b));
    if (expr_at(g, a)->cols != n || expr_at(g, b)->rows != n)
        return FAIL(g->ctx, PERI_E_SHAPE, "solve: %d x %d and %d x %d do not fit: a square matrix and as many rows on the right are needed",
                    (int)n, (int)expr_at(g, a)->cols, (int)expr_at(g, b)->rows, (int)expr_at(g, b)->cols);
    if (n == 1)
        return expr_binary(g, PERI_OP_DIV, b, a, out);
    expr_node node = expr_blank(PERI_OP_SOLVE, n, expr_at(g, b)->cols);
    node.arg[0] = a;
    node.arg[1] = b;
    return expr_is_const(g, a) && expr_is_const(g, b) ? expr_fold(g, &node, out) : expr_intern(g, &node, out);
}

static peri_status row_max(expr_graph *g, expr_id a, expr_id *out)
{
    TRY(expr_densify(g, a, &a));
    expr_node node = expr_blank(PERI_OP_ROWMAX, expr_at(g, a)->rows, 1);
    node.arg[0] = a;
    if (expr_at(g, a)->cols == 1) {
        *out = a;
        return PERI_OK;
    }
    return expr_is_const(g, a) ? expr_fold(g, &node, out) : expr_intern(g, &node, out);
}

static peri_status cumsum(expr_graph *g, expr_id a, expr_id *out)
{
    TRY(expr_densify(g, a, &a));
    expr_node node = expr_blank(PERI_OP_CUMSUM, expr_at(g, a)->rows, expr_at(g, a)->cols);
    node.arg[0] = a;
    if (node.rows == 1) {
        *out = a;
        return PERI_OK;
    }
    return expr_is_const(g, a) ? expr_fold(g, &node, out) : expr_intern(g, &node, out);
}

static peri_status stop(expr_graph *g, expr_id a, expr_id *out)
{
    TRY(expr_densify(g, a, &a));
    expr_node node = expr_blank(PERI_OP_STOP, expr_at(g, a)->rows, expr_at(g, a)->cols);
    node.arg[0] = a;
    *out = a;
    return expr_is_const(g, a) || expr_at(g, a)->op == PERI_OP_STOP ? PERI_OK : expr_intern(g, &node, out);
}

static peri_status make_op(expr_graph *g, peri_op op, int n_args, const expr_id *args, expr_id *out)
{
    if (expr_is_elementwise((int)op))
        return elementwise(g, op, n_args, args, out);
    switch (op) {
    case PERI_OP_SUM:
    case PERI_OP_MAX:
    case PERI_OP_MIN:
        return reduction(g, op, args[0], out);
    case PERI_OP_LOGDET:
    case PERI_OP_INV:
    case PERI_OP_EXPM:
        return square_matrix(g, op, args[0], out);
    case PERI_OP_CUMSUM:
        return cumsum(g, args[0], out);
    case PERI_OP_SOLVE:
        return linear_solve(g, args[0], args[1], out);
    case PERI_OP_ROWMAX:
        return row_max(g, args[0], out);
    case PERI_OP_STOP:
        return stop(g, args[0], out);
    case PERI_OP_MATMUL:
        return expr_matmul(g, args[0], args[1], out);
    default:
        return expr_sugar(g, op, args, out);
    }
}

static const int op_args[] = {
#define PERI_OP(constant, name, args, kind) (args),
#include <perigee/op.def>
#undef PERI_OP
};

peri_status expr_op(expr_graph *g, peri_op op, int n_args, const expr_id *args, expr_id *out)
{
    expr_id own[3];
    const bool special = op == PERI_OP_CONST || op == PERI_OP_INPUT || op == PERI_OP_GATHER || op == PERI_OP_SCATTER ||
                         op == PERI_OP_STACK || op == PERI_OP_MARK || op == PERI_OP_CALL || op == PERI_OP_CALLGRAD || op == PERI_OP_RULE ||
                         expr_is_bilinear((int)op);
    if ((int)op < 0 || op >= PERI_OP_COUNT || special)
        return FAIL(g->ctx, PERI_E_ARGUMENT, "operation %d has a constructor of its own", (int)op);
    if (n_args != op_args[op])
        return FAIL(g->ctx, PERI_E_ARGUMENT, "%s takes %d argument%s, not %d", peri_op_name(op), op_args[op],
                    op_args[op] == 1 ? "" : "s", n_args);
    for (int k = 0; k < n_args; k++) {
        if (args[k] < 0 || args[k] >= g->nodes.n)
            return FAIL(g->ctx, PERI_E_ARGUMENT, "%s: argument %d is not an expression of this model", peri_op_name(op), k + 1);
        own[k] = args[k];
    }
    return make_op(g, op, n_args, own, out);
}

/* ---- names and calls ------------------------------------------------------------------------------------------------------------------ */

peri_status expr_mark(expr_graph *g, expr_id e, const char *name, expr_id *out)
{
    TRY(expr_densify(g, e, &e));
    expr_node node = expr_blank(PERI_OP_MARK, expr_at(g, e)->rows, expr_at(g, e)->cols);
    node.arg[0] = e;
    for (node.ref = 0; node.ref < g->names.n && strcmp(g->names.at[node.ref], name) != 0;)
        node.ref++;
    if (node.ref == g->names.n) {
        char *copy = arena_string(&g->data, name);
        if (copy == NULL || !vec_push(g->m, &g->names, copy))
            return FAIL_NOMEM(g->ctx);
    }
    return expr_intern(g, &node, out);
}

peri_status expr_call(expr_graph *g, const peri_function *fn, expr_id x, expr_id *out)
{
    if (fn->value == NULL)
        return FAIL(g->ctx, PERI_E_ARGUMENT, "function \"%s\" has no value callback", fn->name != NULL ? fn->name : "");
    TRY(expr_densify(g, x, &x));
    expr_node node = expr_blank(PERI_OP_CALL, 1, 1);
    node.arg[0] = x;
    for (node.ref = 0; node.ref < g->calls.n; node.ref++)
        if (g->calls.at[node.ref].ud == fn->ud && g->calls.at[node.ref].value == fn->value)
            return expr_intern(g, &node, out);
    peri_function copy = *fn;
    copy.name = arena_string(&g->data, fn->name != NULL ? fn->name : "function");
    if (copy.name == NULL || !vec_push(g->m, &g->calls, copy))
        return FAIL_NOMEM(g->ctx);
    return expr_intern(g, &node, out);
}

peri_status expr_callgrad(expr_graph *g, expr_id call, expr_id *out)
{
    const expr_node from = *expr_at(g, call);
    expr_node node = expr_blank(PERI_OP_CALLGRAD, expr_at(g, from.arg[0])->rows, expr_at(g, from.arg[0])->cols);
    node.arg[0] = from.arg[0];
    node.ref = from.ref;
    return expr_intern(g, &node, out);
}

peri_status expr_apply_rule(expr_graph *g, expr_rule *rule, expr_id x, expr_id *out)
{
    if (expr_size(g, x) != rule->size)
        return FAIL(g->ctx, PERI_E_SHAPE, "%s: %lld entries where %lld are needed", rule->name, (long long)expr_size(g, x),
                    (long long)rule->size);
    expr_node node = expr_blank(PERI_OP_RULE, rule->rows, rule->cols);
    TRY(expr_densify(g, x, &x));
    TRY(expr_reshape(g, x, rule->size, 1, &node.arg[0]));
    for (node.ref = 0; node.ref < g->rules.n && g->rules.at[node.ref] != rule;)
        node.ref++;
    if (node.ref == g->rules.n && !vec_push(g->m, &g->rules, rule))
        return FAIL_NOMEM(g->ctx);
    return expr_intern(g, &node, out);
}
