/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lift.c - values inside a peri.map. The function is traced once; a value that depends on the index is held for all
 * instances at once, as a matrix with one row an instance and one column an entry of the item (row-major). So the
 * number of nodes does not depend on the number of instances, and everything the engine knows about arrays holds for
 * what was traced.
 */
#include "internal.h"

static peri_expr gather(lua_State *L, const lift_ctx *c, peri_expr e, int64_t rows, int64_t cols, const int64_t *index)
{
    peri_expr out;
    c->s->scratch_load += rows * cols;
    check_status(L, peri_expr_gather(c->m, e, rows, cols, index, &out));
    return out;
}

/* Rows of an outer frame's value repeated for the instances of the inner one. */
static peri_expr repeat_rows(lua_State *L, const lift_ctx *c, peri_expr node, const dsl_frame *from)
{
    int64_t total, size;
    peri_expr_shape(c->m, node, &total, &size);
    const int64_t share = c->frame->total / from->total;
    if (share == 1)
        return node;
    int64_t *index = temporary(L, (size_t)(c->frame->total * size), sizeof *index);
    for (int64_t k = 0; k < c->frame->total; k++)
        for (int64_t q = 0; q < size; q++)
            index[k * size + q] = k / share * size + q;
    node = gather(L, c, node, c->frame->total, size, index);
    lua_pop(L, 1);
    return node;
}

lift_value lift_read(lua_State *L, const lift_ctx *c, const operand *a)
{
    lift_value v = {node_of(L, c->m, a), a->frame != 0, a->rows, a->cols};
    if (v.lifted)
        v.node = repeat_rows(L, c, v.node, frame_of(L, a->frame));
    return v;
}

lift_value lift_all(lua_State *L, const lift_ctx *c, lift_value v)
{
    const int64_t size = v.rows * v.cols;
    if (v.lifted)
        return v;
    int64_t *index = temporary(L, (size_t)(c->frame->total * size), sizeof *index);
    for (int64_t k = 0; k < c->frame->total; k++)
        for (int64_t q = 0; q < size; q++)
            index[k * size + q] = q;
    v.node = gather(L, c, v.node, c->frame->total, size, index);
    v.lifted = true;
    lua_pop(L, 1);
    return v;
}

/* Items of rows x cols, entry q being the item's entry at(q, data). */
lift_value lift_gather(lua_State *L, const lift_ctx *c, lift_value v, int64_t rows, int64_t cols,
                       int64_t (*at)(int64_t q, const int64_t *data), const int64_t *data)
{
    const int64_t instances = v.lifted ? c->frame->total : 1, from = v.rows * v.cols, size = rows * cols;
    int64_t *index = temporary(L, (size_t)(instances * size), sizeof *index);
    for (int64_t k = 0; k < instances; k++)
        for (int64_t q = 0; q < size; q++)
            index[k * size + q] = k * from + at(q, data);
    v.node = gather(L, c, v.node, v.lifted ? instances : rows, v.lifted ? size : cols, index);
    v.rows = rows;
    v.cols = cols;
    lua_pop(L, 1);
    return v;
}

/* ---- element by element ------------------------------------------------------------------------------------------ */

static int64_t of_column(int64_t q, const int64_t *cols)
{
    return q / *cols;
}

static int64_t of_row(int64_t q, const int64_t *cols)
{
    return q % *cols;
}

static int64_t same(int64_t q, const int64_t *data)
{
    (void)data;
    return q;
}

/* As columns of a node that broadcasts against instances x (rows * cols). */
static peri_expr spread(lua_State *L, const lift_ctx *c, lift_value v, int64_t rows, int64_t cols)
{
    if (v.rows == 1 && v.cols == 1)
        return v.node;
    if (v.rows != rows || v.cols != cols)
        v = lift_gather(L, c, v, rows, cols, v.cols == 1 ? of_column : of_row, &cols);
    if (!v.lifted)
        check_status(L, peri_expr_reshape(c->m, v.node, 1, rows * cols, &v.node));
    return v.node;
}

lift_value lift_elementwise(lua_State *L, const lift_ctx *c, peri_op op, int n, const lift_value *args)
{
    lift_value r = {PERI_NO_EXPR, false, 1, 1};
    peri_expr node[3];
    for (int k = 0; k < n; k++) {
        r.rows = args[k].rows > r.rows ? args[k].rows : r.rows;
        r.cols = args[k].cols > r.cols ? args[k].cols : r.cols;
        r.lifted = r.lifted || args[k].lifted;
    }
    if (!r.lifted) {
        for (int k = 0; k < n; k++)
            node[k] = args[k].node;
        check_status(L, peri_expr_op(c->m, op, n, node, &r.node));
        return r;
    }
    for (int k = 0; k < n; k++)
        node[k] = spread(L, c, args[k], r.rows, r.cols);
    check_status(L, peri_expr_op(c->m, op, n, node, &r.node));
    return r;
}

/* ---- stacking ---------------------------------------------------------------------------------------------------- */

/* Items below each other: instances x (sizes' sum), gathered from all the nodes' entries in a line. */
lift_value lift_stack(lua_State *L, const lift_ctx *c, int64_t n, const lift_value *args)
{
    const int64_t total = c->frame->total;
    lift_value r = {PERI_NO_EXPR, true, 0, args[0].cols};
    peri_expr *line = temporary(L, (size_t)n, sizeof *line);
    for (int64_t k = 0; k < n; k++) {
        if (args[k].cols != r.cols)
            dsl_raise(L, "stack: argument %lld has %lld columns, the first has %lld", (long long)k + 1,
                  (long long)args[k].cols, (long long)r.cols);
        const lift_value v = lift_all(L, c, args[k]);
        check_status(L, peri_expr_reshape(c->m, v.node, total * v.rows * v.cols, 1, &line[k]));
        r.rows += v.rows;
    }
    const int64_t size = r.rows * r.cols;
    check_status(L, peri_expr_stack(c->m, n, line, &r.node));
    int64_t *index = temporary(L, (size_t)(total * size), sizeof *index), begin = 0, column = 0;
    for (int64_t k = 0; k < n; k++) {
        const int64_t own = args[k].rows * args[k].cols;
        for (int64_t i = 0; i < total; i++)
            for (int64_t q = 0; q < own; q++)
                index[i * size + column + q] = begin + i * own + q;
        begin += total * own;
        column += own;
    }
    r.node = gather(L, c, r.node, total, size, index);
    lua_pop(L, 2);
    return r;
}

/* ---- reductions of items and what is built from them ------------------------------------------------------------- */

static lift_value unary(lua_State *L, const lift_ctx *c, peri_op op, lift_value v)
{
    return lift_elementwise(L, c, op, 1, &v);
}

static lift_value binary(lua_State *L, const lift_ctx *c, peri_op op, lift_value a, lift_value b)
{
    const lift_value args[2] = {a, b};
    return lift_elementwise(L, c, op, 2, args);
}

static lift_value number(lua_State *L, const lift_ctx *c, double value)
{
    lift_value v = {PERI_NO_EXPR, false, 1, 1};
    check_status(L, peri_expr_number(c->m, value, &v.node));
    return v;
}

/* Instances x size times size x out with constant weights. */
static peri_expr weighted(lua_State *L, const lift_ctx *c, peri_expr node, int64_t size, int64_t out,
                          double (*weight)(int64_t i, int64_t j, int64_t cols), int64_t cols)
{
    double *w = temporary(L, (size_t)(size * out), sizeof *w);
    peri_expr factors[2] = {node, PERI_NO_EXPR};
    for (int64_t i = 0; i < size; i++)
        for (int64_t j = 0; j < out; j++)
            w[i * out + j] = weight(i, j, cols);
    const peri_array image = {.rows = size, .cols = out, .data = w, .nnz = -1};
    check_status(L, peri_expr_const(c->m, &image, &factors[1]));
    check_status(L, peri_expr_op(c->m, PERI_OP_MATMUL, 2, factors, &node));
    lua_pop(L, 1);
    return node;
}

static double one(int64_t i, int64_t j, int64_t cols)
{
    (void)i;
    (void)j;
    (void)cols;
    return 1;
}

/* Entry j of the running sums down the columns takes the entries i above it in its column. */
static double above(int64_t i, int64_t j, int64_t cols)
{
    return i % cols == j % cols && i <= j ? 1 : 0;
}

static lift_value sum(lua_State *L, const lift_ctx *c, lift_value v)
{
    if (v.rows * v.cols > 1)
        v.node = weighted(L, c, v.node, v.rows * v.cols, 1, one, 0);
    v.rows = v.cols = 1;
    return v;
}

static int64_t entry(int64_t q, const int64_t *data)
{
    return q + *data;
}

/* max or min by comparing column after column */
static lift_value extreme(lua_State *L, const lift_ctx *c, peri_op two, lift_value v)
{
    const int64_t size = v.rows * v.cols;
    int64_t k = 0;
    lift_value best = lift_gather(L, c, v, 1, 1, entry, &k);
    for (k = 1; k < size; k++)
        best = binary(L, c, two, best, lift_gather(L, c, v, 1, 1, entry, &k));
    return best;
}

static lift_value shifted_exp(lua_State *L, const lift_ctx *c, lift_value v, lift_value *top)
{
    *top = extreme(L, c, PERI_OP_MAX2, v);
    check_status(L, peri_expr_op(c->m, PERI_OP_STOP, 1, &top->node, &top->node));
    return unary(L, c, PERI_OP_EXP, binary(L, c, PERI_OP_SUB, v, *top));
}

static int64_t transposed(int64_t q, const int64_t *d) /* d: rows and columns of the argument */
{
    return q % d[0] * d[1] + q / d[0];
}

static int64_t on_diagonal(int64_t q, const int64_t *d)
{
    return q * (d[1] + 1);
}

static lift_value diagonal(lua_State *L, const lift_ctx *c, lift_value v)
{
    const int64_t shape[2] = {v.rows, v.cols};
    return lift_gather(L, c, v, v.rows < v.cols ? v.rows : v.cols, 1, on_diagonal, shape);
}

/* Vector to diagonal matrix: times the constant matrix that puts entry i into column i * (n + 1). */
static double to_diagonal(int64_t i, int64_t j, int64_t n)
{
    return j == i * (n + 1) ? 1 : 0;
}

/* ---- the matrix product ------------------------------------------------------------------------------------------ */

static int64_t left_entry(int64_t q, const int64_t *d) /* q over r x c x k: A[i][l]; d: k, c */
{
    return q / (d[0] * d[1]) * d[0] + q % d[0];
}

static int64_t right_entry(int64_t q, const int64_t *d) /* B[l][j] */
{
    return q % d[0] * d[1] + q / d[0] % d[1];
}

static double in_group(int64_t i, int64_t j, int64_t k)
{
    return i / k == j ? 1 : 0;
}

/* Both depend on the index: all the products, summed in groups of k. */
static lift_value product(lua_State *L, const lift_ctx *c, lift_value a, lift_value b)
{
    const int64_t d[2] = {a.cols, b.cols}, rows = a.rows, cols = b.cols, k = a.cols;
    a = lift_gather(L, c, a, rows * cols, k, left_entry, d);
    b = lift_gather(L, c, b, rows * cols, k, right_entry, d);
    lift_value r = binary(L, c, PERI_OP_MUL, a, b);
    if (k > 1)
        r.node = weighted(L, c, r.node, rows * cols * k, rows * cols, in_group, k);
    r.rows = rows;
    r.cols = cols;
    return r;
}

/* A % v with v a vector that depends on the index and A one that does not: all instances in one product, V % A'. */
static lift_value matmul(lua_State *L, const lift_ctx *c, lift_value a, lift_value b)
{
    peri_expr factors[2];
    if (!a.lifted && b.cols == 1) {
        factors[0] = b.node;
        check_status(L, peri_expr_op(c->m, PERI_OP_TRANSPOSE, 1, &a.node, &factors[1]));
    } else if (a.rows == 1 && !b.lifted) {
        factors[0] = a.node;
        factors[1] = b.node;
    } else {
        return product(L, c, lift_all(L, c, a), lift_all(L, c, b));
    }
    lift_value r = {PERI_NO_EXPR, true, a.rows, b.cols};
    check_status(L, peri_expr_op(c->m, PERI_OP_MATMUL, 2, factors, &r.node));
    return r;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static noreturn void raise_not_offered(lua_State *L, peri_op op)
{
    dsl_raise(L, "%s is not offered for a value that depends on the index of a peri.map; use a plain loop",
          peri_op_name(op));
}

static lift_value square_needed(lua_State *L, peri_op op, lift_value v)
{
    if (v.rows != v.cols)
        dsl_raise(L, "%s: needs a square matrix, not %lld x %lld", peri_op_name(op), (long long)v.rows, (long long)v.cols);
    return v;
}

static lift_value softmax(lua_State *L, const lift_ctx *c, lift_value v)
{
    lift_value top;
    if (v.rows != 1 && v.cols != 1)
        dsl_raise(L, "softmax: needs a vector, not %lld x %lld", (long long)v.rows, (long long)v.cols);
    v = shifted_exp(L, c, v, &top);
    return binary(L, c, PERI_OP_DIV, v, sum(L, c, v));
}

static lift_value logsumexp(lua_State *L, const lift_ctx *c, lift_value v)
{
    lift_value top;
    v = shifted_exp(L, c, v, &top);
    return binary(L, c, PERI_OP_ADD, unary(L, c, PERI_OP_LOG, sum(L, c, v)), top);
}

static lift_value diag(lua_State *L, const lift_ctx *c, lift_value v)
{
    if (v.cols != 1 && v.rows != 1)
        return diagonal(L, c, v);
    const int64_t n = v.rows * v.cols;
    if (n > 1)
        v.node = weighted(L, c, v.node, n, n * n, to_diagonal, n);
    v.rows = v.cols = n;
    return v;
}

static lift_value dot(lua_State *L, const lift_ctx *c, lift_value a, lift_value b)
{
    const int64_t rows = a.rows, cols = a.cols;
    b = lift_gather(L, c, b, rows, cols, same, NULL);
    return sum(L, c, binary(L, c, PERI_OP_MUL, a, b));
}

lift_value lift_op(lua_State *L, const lift_ctx *c, peri_op op, int n, const lift_value *args)
{
    lift_value v = args[0];
    const int64_t shape[2] = {v.rows, v.cols}, size = v.rows * v.cols;
    switch (op) {
    case PERI_OP_SUM:
        return sum(L, c, v);
    case PERI_OP_MEAN:
        return binary(L, c, PERI_OP_DIV, sum(L, c, v), number(L, c, (double)size));
    case PERI_OP_MAX:
        return extreme(L, c, PERI_OP_MAX2, v);
    case PERI_OP_MIN:
        return extreme(L, c, PERI_OP_MIN2, v);
    case PERI_OP_DOT:
        return dot(L, c, v, args[1]);
    case PERI_OP_NORM1:
        return sum(L, c, unary(L, c, PERI_OP_ABS, v));
    case PERI_OP_NORM2:
        return unary(L, c, PERI_OP_SQRT, sum(L, c, unary(L, c, PERI_OP_SQUARE, v)));
    case PERI_OP_NORMINF:
        return extreme(L, c, PERI_OP_MAX2, unary(L, c, PERI_OP_ABS, v));
    case PERI_OP_LOGSUMEXP:
        return logsumexp(L, c, v);
    case PERI_OP_SOFTMAX:
        return softmax(L, c, v);
    case PERI_OP_TRACE:
        return sum(L, c, diagonal(L, c, square_needed(L, op, v)));
    case PERI_OP_TRANSPOSE:
        return lift_gather(L, c, v, v.cols, v.rows, transposed, shape);
    case PERI_OP_DIAG:
        return diag(L, c, v);
    case PERI_OP_MATMUL:
        return matmul(L, c, v, args[1]);
    case PERI_OP_CUMSUM:
        if (v.rows > 1)
            v.node = weighted(L, c, v.node, size, size, above, v.cols);
        return v;
    case PERI_OP_LOGDET:
    case PERI_OP_INV:
    case PERI_OP_EXPM:
    case PERI_OP_CONV2D:
    case PERI_OP_ROWMAX:
    case PERI_OP_SOLVE:
        raise_not_offered(L, op);
    default:
        return lift_elementwise(L, c, op, n, args); /* STOP too */
    }
}

/* Entry i of an item goes to column i % cols of a row, or row i / cols of a column. */
static double of_its_column(int64_t i, int64_t j, int64_t cols)
{
    return i % cols == j ? 1 : 0;
}

static double of_its_row(int64_t i, int64_t j, int64_t cols)
{
    return i / cols == j ? 1 : 0;
}

lift_value lift_along(lua_State *L, const lift_ctx *c, peri_op op, int dim, lift_value v)
{
    const int64_t length = dim == 1 ? v.rows : v.cols, left = dim == 1 ? v.cols : v.rows;
    if (op != PERI_OP_SUM && op != PERI_OP_MEAN)
        raise_not_offered(L, op);
    if (length > 1)
        v.node = weighted(L, c, v.node, v.rows * v.cols, left, dim == 1 ? of_its_column : of_its_row, v.cols);
    v.rows = dim == 1 ? 1 : v.rows;
    v.cols = dim == 1 ? v.cols : 1;
    return op == PERI_OP_MEAN ? binary(L, c, PERI_OP_DIV, v, number(L, c, (double)length)) : v;
}
