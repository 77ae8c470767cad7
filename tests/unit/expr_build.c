/* SPDX-License-Identifier: Apache-2.0 */
/* The expression builder: sharing, algebra while building, shapes and their messages, substitution, printing. */
#include "expr/graph.h"
#include "model/model.h"
#include "tap/tap.h"
#include <math.h>
#include <string.h>

typedef struct {
    peri_context *ctx;
    peri_model *m;
    peri_expr s, x, y, row, A; /* scalar, vectors 3 and 4, row 1 x 4, matrix 3 x 4 */
} fixture;

static fixture setup(void)
{
    fixture f = {.ctx = peri_context_new(NULL)};
    f.m = peri_model_new(f.ctx, "builder");
    const bool made = peri_model_var(f.m, "s", 1, 1, &f.s) == PERI_OK && peri_model_var(f.m, "x", 3, 1, &f.x) == PERI_OK &&
                      peri_model_var(f.m, "y", 4, 1, &f.y) == PERI_OK && peri_model_var(f.m, "row", 1, 4, &f.row) == PERI_OK &&
                      peri_model_var(f.m, "A", 3, 4, &f.A) == PERI_OK;
    ok(made, "variables are made");
    return f;
}

static peri_expr op1(const fixture *f, peri_op op, peri_expr a)
{
    peri_expr out;
    return peri_expr_op(f->m, op, 1, &a, &out) == PERI_OK ? out : PERI_NO_EXPR;
}

static peri_expr op2(const fixture *f, peri_op op, peri_expr a, peri_expr b)
{
    const peri_expr args[2] = {a, b};
    peri_expr out;
    return peri_expr_op(f->m, op, 2, args, &out) == PERI_OK ? out : PERI_NO_EXPR;
}

static peri_expr num(const fixture *f, double v)
{
    peri_expr out;
    return peri_expr_number(f->m, v, &out) == PERI_OK ? out : PERI_NO_EXPR;
}

static void test_sharing(const fixture *f)
{
    const peri_expr a = op2(f, PERI_OP_ADD, f->x, f->s), b = op2(f, PERI_OP_ADD, f->s, f->x);
    is_int(a, b, "x + s and s + x are one node");
    is_int(op1(f, PERI_OP_SIN, a), op1(f, PERI_OP_SIN, b), "and so is what is built on them");
    ok(op2(f, PERI_OP_SUB, f->x, f->s) != op2(f, PERI_OP_SUB, f->s, f->x), "x - s and s - x are not");
    const double data[3] = {2.385, -0.7193, 4};
    const peri_array value = {3, 1, data, -1, NULL, NULL};
    peri_expr c, d;
    ok(peri_expr_const(f->m, &value, &c) == PERI_OK && peri_expr_const(f->m, &value, &d) == PERI_OK && c == d, "equal constants are one node");
}

static void test_algebra(const fixture *f)
{
    is_int(op2(f, PERI_OP_ADD, f->x, num(f, 0)), f->x, "x + 0 is x");
    is_int(op2(f, PERI_OP_MUL, num(f, 1), f->x), f->x, "1 x is x");
    is_int(op1(f, PERI_OP_NEG, op1(f, PERI_OP_NEG, f->x)), f->x, "--x is x");
    is_int(op2(f, PERI_OP_POW, f->x, num(f, 2)), op1(f, PERI_OP_SQUARE, f->x), "x^2 is square");
    is_int(op2(f, PERI_OP_MUL, f->x, f->x), op1(f, PERI_OP_SQUARE, f->x), "x x is square");
    is_int(op2(f, PERI_OP_POW, f->x, num(f, 0.5)), op1(f, PERI_OP_SQRT, f->x), "x^0.5 is sqrt");
    is_int(op2(f, PERI_OP_DIV, num(f, 1), f->x), op1(f, PERI_OP_RECIP, f->x), "1 / x is recip");
    is_int(op2(f, PERI_OP_ADD, num(f, 2.385), num(f, -0.7193)), num(f, 2.385 + -0.7193), "constants are folded");
    const peri_expr e = op1(f, PERI_OP_EXP, f->x), sum = op2(f, PERI_OP_ADD, num(f, 1), e);
    const peri_expr decay = op1(f, PERI_OP_EXP, op1(f, PERI_OP_NEG, f->x));
    is_int(op1(f, PERI_OP_LOG1P, e), op1(f, PERI_OP_SOFTPLUS, f->x), "log1p(exp(x)) is softplus");
    is_int(op1(f, PERI_OP_LOG, sum), op1(f, PERI_OP_SOFTPLUS, f->x), "log(1 + exp(x)) is softplus");
    is_int(op2(f, PERI_OP_DIV, num(f, 1), op2(f, PERI_OP_ADD, decay, num(f, 1))), op1(f, PERI_OP_SIGMOID, f->x), "1 / (exp(-x) + 1) is sigmoid");
    is_int(peri_expr_get_op(f->m, op1(f, PERI_OP_LOG, op2(f, PERI_OP_ADD, num(f, 2), e))), PERI_OP_LOG, "log(2 + exp(x)) stays");
    const peri_expr zero = op2(f, PERI_OP_SUB, f->x, f->x);
    int64_t rows, cols;
    peri_expr_shape(f->m, zero, &rows, &cols);
    ok(peri_expr_is_const(f->m, zero) && rows == 3 && cols == 1, "x - x is a constant of x's shape");
    const peri_expr bad = op1(f, PERI_OP_LOG, num(f, -1));
    is_int(peri_expr_get_op(f->m, bad), PERI_OP_LOG, "log(-1) stays an operation, so that a message can name it");
}

static void shape_is(const fixture *f, peri_expr e, int64_t want_rows, int64_t want_cols, const char *name)
{
    int64_t rows, cols;
    peri_expr_shape(f->m, e, &rows, &cols);
    ok(rows == want_rows && cols == want_cols, "%s is %d x %d", name, (int)rows, (int)cols);
}

static void test_shapes(const fixture *f)
{
    shape_is(f, op2(f, PERI_OP_ADD, f->x, f->row), 3, 4, "column + row");
    shape_is(f, op2(f, PERI_OP_MUL, f->A, f->x), 3, 4, "matrix times column, entry by entry");
    shape_is(f, op2(f, PERI_OP_MATMUL, f->A, f->y), 3, 1, "A % y");
    shape_is(f, op2(f, PERI_OP_MATMUL, f->row, f->y), 1, 1, "row % y");
    shape_is(f, op1(f, PERI_OP_TRANSPOSE, f->A), 4, 3, "A:t()");
    shape_is(f, op1(f, PERI_OP_DIAG, f->x), 3, 3, "diag(x)");
    shape_is(f, op1(f, PERI_OP_DIAG, f->A), 3, 1, "diag(A)");
    is_int(op2(f, PERI_OP_ADD, f->x, f->y), PERI_NO_EXPR, "x + y is refused");
    is_text(peri_error(f->ctx), "x (vector 3) and y (vector 4) cannot be added", "with both names and shapes");
    is_int(peri_error_code(f->ctx), PERI_E_SHAPE, "as a shape error");
    is_int(op2(f, PERI_OP_MATMUL, f->A, f->x), PERI_NO_EXPR, "A times x is refused");
    is_text(peri_error(f->ctx), "A (matrix 3 x 4) and x (vector 3) cannot be multiplied: 4 columns and 3 rows", "with the counts");
    is_int(op1(f, PERI_OP_TRACE, f->A), PERI_NO_EXPR, "trace of a 3 x 4 matrix is refused");
    has_text(peri_error(f->ctx), "square", "needs a square matrix");
    peri_expr out;
    ok(peri_expr_range(f->m, f->x, 1, 1, 3, 1, &out) == PERI_E_INDEX, "entry 4 of x is refused");
    is_text(peri_error(f->ctx), "x (vector 3): index 4 is outside 1 .. 3", "with name, shape and range");
    ok(peri_expr_reshape(f->m, f->A, 5, 2, &out) == PERI_E_SHAPE, "12 entries are not 5 x 2");
    is_text(peri_error(f->ctx), "A (matrix 3 x 4) cannot be reshaped to a matrix 5 x 2", "and the message says so");
    ok(peri_expr_op(f->m, PERI_OP_ADD, 1, &f->x, &out) == PERI_E_ARGUMENT, "add with one argument is refused");
    ok(peri_expr_number(f->m, NAN, &out) == PERI_E_ARGUMENT, "NaN is no constant");
    const peri_expr wrong[2] = {f->x, 100000};
    ok(peri_expr_op(f->m, PERI_OP_ADD, 2, wrong, &out) != PERI_OK, "a number that names no node is refused");
}

static void test_gathers(const fixture *f)
{
    peri_expr a, b, c;
    const int64_t index[4] = {2, 0, 1, 2}, again[2] = {3, 0}, straight[3] = {2, 1, 0};
    ok(peri_expr_gather(f->m, f->x, 4, 1, index, &a) == PERI_OK && peri_expr_gather(f->m, a, 2, 1, again, &b) == PERI_OK, "gathers are made");
    const int64_t direct[2] = {2, 2};
    ok(peri_expr_gather(f->m, f->x, 2, 1, direct, &c) == PERI_OK && c == b, "a gather of a gather is one gather");
    ok(peri_expr_gather(f->m, f->x, 3, 1, straight, &a) == PERI_OK && peri_expr_range(f->m, f->x, 3, 1, 2, -1, &b) == PERI_OK && a == b,
       "an affine list is a range");
    const peri_expr both[2] = {f->x, f->y};
    ok(peri_expr_stack(f->m, 2, both, &a) == PERI_OK && peri_expr_range(f->m, a, 4, 1, 3, 1, &b) == PERI_OK && b == f->y,
       "a part of a stack is the part itself");
}

static void test_substitute(const fixture *f)
{
    const peri_expr e = op2(f, PERI_OP_MUL, op1(f, PERI_OP_SIN, f->x), f->s), two = num(f, 2);
    peri_expr out;
    ok(peri_expr_substitute(f->m, e, 1, &f->s, &two, &out) == PERI_OK && out == op2(f, PERI_OP_MUL, op1(f, PERI_OP_SIN, f->x), two),
       "s becomes 2");
    ok(peri_expr_substitute(f->m, e, 1, &f->x, &f->y, &out) == PERI_E_SHAPE, "x cannot become y: other shapes");
    peri_expr marked, image;
    ok(peri_expr_mark(f->m, op1(f, PERI_OP_SQUARE, f->x), "target", &marked) == PERI_OK, "a mark is made");
    const peri_expr outer = op1(f, PERI_OP_SUM, marked);
    ok(peri_expr_substitute(f->m, outer, 1, &marked, &f->x, &image) == PERI_OK && image == op1(f, PERI_OP_SUM, f->x), "a marked node can be replaced");
}

static void text_is(const fixture *f, peri_expr e, const char *want)
{
    char *text;
    if (!ok(peri_expr_text(f->m, e, 200, &text) == PERI_OK, "%s is printed", want))
        return;
    is_text(text, want, "as the user wrote it");
    peri_free_text(f->ctx, text);
}

static void test_text(const fixture *f)
{
    peri_expr x2;
    ok(peri_expr_range(f->m, f->x, 1, 1, 1, 1, &x2) == PERI_OK, "x[2]");
    text_is(f, op2(f, PERI_OP_MUL, op2(f, PERI_OP_SUB, num(f, 1), x2), f->s), "s * (1 - x[2])");
    text_is(f, op1(f, PERI_OP_NEG, op1(f, PERI_OP_SQUARE, f->s)), "-s^2");
    text_is(f, op1(f, PERI_OP_SQUARE, op1(f, PERI_OP_NEG, op2(f, PERI_OP_SUB, f->s, x2))), "(x[2] - s)^2");
    text_is(f, op2(f, PERI_OP_MATMUL, f->A, f->y), "A % y");
    text_is(f, op1(f, PERI_OP_TRANSPOSE, f->A), "A:t()");
    text_is(f, op2(f, PERI_OP_SUB, f->A, f->row), "A - row");
    text_is(f, op2(f, PERI_OP_ADD, f->x, f->row), "x + row");
    peri_expr part;
    const int64_t two[2] = {2, 0};
    ok(peri_expr_range(f->m, f->A, 1, 4, 4, 1, &part) == PERI_OK, "row 2 of A");
    text_is(f, part, "A[2]");
    ok(peri_expr_gather(f->m, f->x, 2, 1, two, &part) == PERI_OK, "two entries");
    text_is(f, part, "x[{3, 1}]");
    ok(peri_expr_range(f->m, f->y, 2, 1, 1, 1, &part) == PERI_OK, "a slice");
    text_is(f, part, "y:slice(2, 3)");
    peri_expr long_sum = f->s;
    for (int k = 0; k < 2000; k++)
        long_sum = op1(f, PERI_OP_SIN, op2(f, PERI_OP_ADD, long_sum, x2));
    char *text;
    ok(peri_expr_text(f->m, long_sum, 100, &text) == PERI_OK && strlen(text) < 300, "a long expression is cut");
    peri_free_text(f->ctx, text);
}

static void test_stop(const fixture *f)
{
    peri_expr gradient;
    const peri_expr e = op1(f, PERI_OP_SUM, op2(f, PERI_OP_MUL, op1(f, PERI_OP_STOP, f->x), f->x));
    double got[3], at[3] = {2.385, -0.7193, 1.41};
    const double *values[1] = {at};
    ok(peri_expr_gradient(f->m, e, f->x, &gradient) == PERI_OK && peri_expr_value(f->m, gradient, 1, &f->x, values, got) == PERI_OK,
       "the gradient of stop(x)' x is made");
    all_close(3, got, at, 1e-15, 0, "and is x, not 2 x");
}

/* A million additions deep: no recursion may depend on it. */
static void test_depth(const fixture *f)
{
    peri_expr e = f->s, g;
    double value;
    for (int k = 0; k < 1000000; k++)
        e = op1(f, PERI_OP_SIN, e);
    ok(peri_expr_value(f->m, e, 0, NULL, NULL, &value) == PERI_OK && value >= 0, "a chain of a million operations is evaluated");
    ok(peri_expr_gradient(f->m, e, f->s, &g) == PERI_OK, "and differentiated");
}

int main(void)
{
    plan_later();
    const fixture f = setup();
    test_sharing(&f);
    test_algebra(&f);
    test_shapes(&f);
    test_gathers(&f);
    test_substitute(&f);
    test_text(&f);
    test_stop(&f);
    test_depth(&f);
    peri_model_free(f.m);
    peri_context_free(f.ctx);
    return tap_done();
}
