/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_program - array operations of compiled programs against the plain interpreter, small and large (own loops and OpenBLAS); foreign functions and
 * their failures; outputs in parts of the caller's arrays; out of memory at every allocation; what a program says of itself.
 */
#include "base/context.h"
#include "diff/diff.h"
#include "eval/plan.h"
#include "eval/program.h"
#include "expr/bilinear.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 77003;

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id x;
    double *in;
} fixture;

static void fixture_init(fixture *f, int64_t n)
{
    f->ctx = peri_context_new(NULL);
    f->g = expr_graph_new(f->ctx);
    check(expr_new_var(f->g, "x", n, 1, &f->x));
    f->in = calloc((size_t)n, sizeof *f->in);
    for (int64_t k = 0; k < n; k++)
        f->in[k] = uniform(&seed, -1, 1);
}

static void fixture_release(fixture *f)
{
    free(f->in);
    expr_graph_free(f->g);
    peri_context_free(f->ctx);
}

static expr_id part(fixture *f, int64_t rows, int64_t cols, int64_t first)
{
    expr_id e;
    check(expr_gather_affine(f->g, f->x, rows, cols, first, 1, &e));
    return e;
}

static void against_interpreter(fixture *f, expr_id e, double tolerance, const char *name, int64_t n)
{
    const int64_t size = expr_size(f->g, e);
    double *want = calloc((size_t)size, sizeof *want), *got = calloc((size_t)size, sizeof *got);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = f->in};
    const eval_output output = {e, 0, 0};
    eval_program *p;
    for (int64_t k = 0; k < size; k++)
        got[k] = 77; /* what is there before makes no difference */
    check(expr_interpret(f->g, 1, &e, inputs, &want));
    check(eval_compile(f->g, 1, &output, &p));
    peri_memory_fail_at(f->ctx, 1, true);
    check(eval_run(p, inputs, &got));
    peri_memory_fail_at(f->ctx, 0, false);
    double top = 0;
    for (int64_t k = 0; k < size; k++)
        top = fmax(top, fabs(want[k]));
    all_close(size, got, want, tolerance, tolerance * top, "%s, %lld", name, (long long)n);
    eval_free(p);
    free(want);
    free(got);
}

/* ---- array operations ------------------------------------------------------------------------------------------------------------ */

static void test_products(int64_t n)
{
    fixture f;
    fixture_init(&f, 4 * n * n);
    const expr_id a = part(&f, n, n + 1, 0), b = part(&f, n + 1, n, n * (n + 1)), v = part(&f, n + 1, 1, 3);
    const expr_id t = one(f.g, PERI_OP_TRANSPOSE, a), u = one(f.g, PERI_OP_TRANSPOSE, b);
    against_interpreter(&f, two(f.g, PERI_OP_MATMUL, a, b), 1e-13, "product", n);
    against_interpreter(&f, two(f.g, PERI_OP_MATMUL, a, t), 1e-13, "product with the own transpose", n);
    against_interpreter(&f, two(f.g, PERI_OP_MATMUL, u, t), 1e-13, "product of transposes", n);
    against_interpreter(&f, two(f.g, PERI_OP_MATMUL, t, a), 1e-13, "transpose first", n);
    against_interpreter(&f, two(f.g, PERI_OP_MATMUL, a, v), 1e-13, "matrix and vector", n);
    const expr_id computed = one(f.g, PERI_OP_SIN, b);
    against_interpreter(&f, two(f.g, PERI_OP_MATMUL, one(f.g, PERI_OP_TRANSPOSE, computed), one(f.g, PERI_OP_TANH, t)), 1e-13,
                        "product of computed matrices", n);
    const expr_id chained = two(f.g, PERI_OP_MATMUL, two(f.g, PERI_OP_MATMUL, a, computed), two(f.g, PERI_OP_MATMUL, a, b));
    against_interpreter(&f, one(f.g, PERI_OP_SUM, one(f.g, PERI_OP_COS, chained)), 1e-11, "sum over a chain of products", n);
    fixture_release(&f);
}

static expr_id listed(fixture *f, int64_t rows, int64_t cols, int64_t first, int64_t row, int64_t col)
{
    int32_t *index = calloc((size_t)(rows * cols), sizeof *index);
    expr_id e;
    for (int64_t k = 0; k < rows * cols; k++)
        index[k] = (int32_t)(first + k / cols * row + k % cols * col);
    check(expr_gather_list(f->g, f->x, rows, cols, rows * cols, index, &e));
    free(index);
    return e;
}

/* Parts, columns and transposes of matrices, which products read in place. */
static void test_views(int64_t n)
{
    fixture f;
    fixture_init(&f, 6 * n * n + 10);
    const int64_t ld = n + 2;
    const expr_id a = listed(&f, n, n, 3, ld, 1), at = listed(&f, n, n, 5, 1, ld), b = listed(&f, n, n + 1, 1, ld, 1);
    const expr_id bt = listed(&f, n, n + 1, 0, 1, ld + 1), column = listed(&f, n, 1, 2, ld, 1), row = listed(&f, 1, n, 4, 1, ld);
    const expr_id reversed = listed(&f, n, n, n * n, -1, 1), every = listed(&f, n, n, 0, 2 * ld, 2);
    const expr_id wide = listed(&f, n, n, 7, 1, 1); /* rows overlap */
    const expr_id left[] = {a, at, row, reversed, every, wide}, right[] = {b, bt, column, a, at, wide};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++)
            if (expr_at(f.g, left[i])->rows > 1 || expr_at(f.g, right[j])->cols > 1)
                against_interpreter(&f, two(f.g, PERI_OP_MATMUL, left[i], right[j]), 1e-13, "product of parts of matrices", 10 * i + j);
    fixture_release(&f);
}

/* Products that end in parts of a gradient are made there; the entries between them stay 0, those that others reach are summed. */
static void test_direct(int64_t n)
{
    fixture f;
    fixture_init(&f, 3 * n * n);
    const expr_id p = two(f.g, PERI_OP_MATMUL, part(&f, n, n, 0), part(&f, n, n, n * n)), q = two(f.g, PERI_OP_MATMUL, p, part(&f, n, n, 3));
    const expr_id v = one(f.g, PERI_OP_SIN, part(&f, n, 1, 0)), w = one(f.g, PERI_OP_COS, part(&f, n, 1, 1));
    int32_t *lists[4];
    for (int k = 0; k < 4; k++)
        lists[k] = calloc((size_t)(n * n), sizeof **lists);
    for (int64_t k = 0; k < n * n; k++) {
        lists[0][k] = (int32_t)(k + 2);
        lists[1][k] = (int32_t)(n * n + 5 + k);
        lists[2][k] = (int32_t)(2 * n * n + 10 + k % n / 2);
        lists[3][k] = (int32_t)(n * n + 3 + k % n);
    }
    expr_id e;
    const expr_id free_[3] = {p, q, v}, hit[4] = {p, q, v, w};
    check(expr_scatter_sum(f.g, 3 * n * n + 20, 1, 3, free_, (const int32_t *const *)lists, &e));
    against_interpreter(&f, e, 1e-12, "products into a scatter", n);
    check(expr_scatter_sum(f.g, 3 * n * n + 20, 1, 2, free_, (const int32_t *const *)lists, &e));
    against_interpreter(&f, e, 1e-12, "products alone into a scatter", n);
    check(expr_scatter_sum(f.g, 3 * n * n + 20, 1, 4, hit, (const int32_t *const *)lists, &e));
    against_interpreter(&f, e, 1e-12, "products into a scatter, one met by others", n);
    against_interpreter(&f, two(f.g, PERI_OP_ADD, one(f.g, PERI_OP_SUM, p), one(f.g, PERI_OP_SUM, e)), 1e-12, "and read by others", n);
    for (int k = 0; k < 4; k++)
        free(lists[k]);
    fixture_release(&f);
}

/* A product that is there before a later kernel fills the many gaps between its own entries. */
static void test_direct_and_gaps(int64_t n)
{
    fixture f;
    fixture_init(&f, 2 * n * n);
    const expr_id p = two(f.g, PERI_OP_MATMUL, part(&f, n, n, 0), part(&f, n, n, n * n)), x = part(&f, n * n, 1, 0);
    const expr_id args[2] = {p, two(f.g, PERI_OP_MUL, x, one(f.g, PERI_OP_SUM, one(f.g, PERI_OP_EXP, x)))};
    int32_t *lists[2];
    expr_id e;
    for (int k = 0; k < 2; k++)
        lists[k] = calloc((size_t)(n * n), sizeof **lists);
    for (int64_t k = 0; k < n * n; k++) {
        lists[0][k] = (int32_t)(n * n + 2 + k);
        lists[1][k] = (int32_t)(k < n * n / 2 ? 2 * k : 2 * k + n * n + 5);
    }
    check(expr_scatter_sum(f.g, 3 * n * n + 20, 1, 2, args, (const int32_t *const *)lists, &e));
    against_interpreter(&f, e, 1e-12, "a product among many gaps", n);
    for (int64_t k = 0; k < n * n; k++) {
        lists[0][k] = (int32_t)(2 * n * n + 3 + k);
        lists[1][k] = (int32_t)(2 * k);
    }
    check(expr_scatter_sum(f.g, 3 * n * n + 20, 1, 2, args, (const int32_t *const *)lists, &e));
    against_interpreter(&f, e, 1e-12, "a product behind many gaps", n);
    for (int k = 0; k < 2; k++)
        free(lists[k]);
    fixture_release(&f);
}

/* Systems with one matrix and its transpose, its inverse and determinant: all from the same factors. */
static void test_solve(int64_t n)
{
    fixture f;
    expr_id eye, seven;
    fixture_init(&f, n * n + 4 * n);
    double *identity = calloc((size_t)(n * n), sizeof *identity);
    for (int64_t k = 0; k < n; k++)
        identity[k * n + k] = (double)n;
    check(expr_dense(f.g, n, n, identity, &eye));
    const expr_id a = two(f.g, PERI_OP_ADD, part(&f, n, n, 0), eye), at = one(f.g, PERI_OP_TRANSPOSE, a);
    const expr_id b = part(&f, n, 3, n * n), v = part(&f, n, 1, n * n + 1);
    const expr_id all[] = {two(f.g, PERI_OP_SOLVE, a, b), two(f.g, PERI_OP_SOLVE, at, b), two(f.g, PERI_OP_SOLVE, a, v), two(f.g, PERI_OP_SOLVE, at, v),
                           one(f.g, PERI_OP_INV, a), one(f.g, PERI_OP_LOGDET, a)};
    expr_id sum = one(f.g, PERI_OP_SUM, all[0]);
    check(expr_number(f.g, 7, &seven));
    for (int k = 0; k < 6; k++) {
        against_interpreter(&f, all[k], 1e-11, "system of equations", 10 * n + k);
        sum = two(f.g, PERI_OP_ADD, two(f.g, PERI_OP_MUL, sum, seven), one(f.g, PERI_OP_SUM, all[k]));
    }
    against_interpreter(&f, sum, 1e-11, "systems that share their factors", n);
    const expr_id direct = two(f.g, PERI_OP_SOLVE, one(f.g, PERI_OP_TRANSPOSE, part(&f, n, n, 0)), v);
    against_interpreter(&f, direct, 1e-8, "system with the transpose of variables", n);
    const expr_id singular = two(f.g, PERI_OP_SOLVE, two(f.g, PERI_OP_SUB, a, two(f.g, PERI_OP_MUL, a, one(f.g, PERI_OP_EXP, two(f.g, PERI_OP_SUB, v, v)))), v);
    against_interpreter(&f, singular, 1e-11, "singular system", n);
    free(identity);
    fixture_release(&f);
}

static void test_batches(int64_t n)
{
    fixture f;
    const int32_t count = 3;
    fixture_init(&f, count * n * (n + 2) + 2 * count * n * (n + 1));
    for (int flips = 0; flips < 4; flips++) {
        const expr_bmm_spec spec = {count, flips & 1, flips >> 1};
        const expr_id a = spec.flip_a ? part(&f, count * (n + 2), n, 1) : part(&f, count * n, n + 2, 1);
        const expr_id b = spec.flip_b ? part(&f, count * (n + 1), n + 2, 7) : part(&f, count * (n + 2), n + 1, 7);
        expr_id e;
        check(expr_bmm(f.g, a, one(f.g, PERI_OP_SIN, b), &spec, &e));
        against_interpreter(&f, e, 1e-13, "products at once", 10 * n + flips);
    }
    fixture_release(&f);
}

/* The convolution and both adjoints of it, with strides and padding. */
static void test_convolution(int32_t images, int32_t side, int32_t filters, int32_t taps)
{
    fixture f;
    for (int32_t stride = 1; stride <= 3; stride++)
        for (int32_t padding = 0; padding <= 2; padding++) {
            expr_conv_spec s = {EXPR_CONV_OUTPUT, images, 2, side, side + 3, filters, taps, taps + 1, {stride, 4 - stride}, {padding, 2 - padding}};
            const int64_t outs = filters * expr_conv_height(&s) * expr_conv_width(&s), pixels = 2 * (int64_t)side * (side + 3);
            const int64_t weights = 2 * (int64_t)taps * (taps + 1);
            fixture_init(&f, images * (pixels + outs) + filters * weights);
            const expr_id image = part(&f, images, pixels, 0), kernel = part(&f, filters, weights, images * pixels);
            const expr_id output = part(&f, images, outs, images * pixels + filters * weights);
            const expr_id left[] = {kernel, image, image}, right[] = {output, output, kernel};
            for (s.result = 0; s.result < 3; s.result++) {
                expr_id e;
                check(expr_conv(f.g, left[s.result], right[s.result], &s, &e));
                against_interpreter(&f, e, 1e-12, "convolution", 100 * stride + 10 * padding + s.result);
            }
            fixture_release(&f);
        }
}

static void test_sparse(int64_t n)
{
    fixture f;
    fixture_init(&f, 3 * n);
    int64_t *start = calloc((size_t)n + 1, sizeof *start), *col = calloc((size_t)(2 * n), sizeof *col), nnz = 0;
    double *data = calloc((size_t)(2 * n), sizeof *data);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < i % 3; k++, nnz++) {
            col[nnz] = (int64_t)uniform(&seed, 0, (double)n);
            data[nnz] = uniform(&seed, -2, 2);
        }
        start[i + 1] = nnz;
    }
    expr_id s;
    check(expr_sparse(f.g, n, n, nnz, start, col, data, &s));
    against_interpreter(&f, two(f.g, PERI_OP_MATMUL, s, part(&f, n, 1, 1)), 1e-14, "sparse matrix and vector", n);
    against_interpreter(&f, two(f.g, PERI_OP_MATMUL, s, one(f.g, PERI_OP_EXP, part(&f, n, 3, 0))), 1e-14, "sparse and dense matrix", n);
    against_interpreter(&f, two(f.g, PERI_OP_MATMUL, part(&f, 3, n, 0), s), 1e-14, "dense and sparse matrix", n);
    free(start);
    free(col);
    free(data);
    fixture_release(&f);
}

static void test_square(int64_t n)
{
    fixture f;
    expr_id identity;
    fixture_init(&f, n * n);
    double *eye = calloc((size_t)(n * n), sizeof *eye);
    for (int64_t k = 0; k < n; k++)
        eye[k * n + k] = 2.0 + (double)n / 3;
    check(expr_dense(f.g, n, n, eye, &identity));
    free(eye);
    const expr_id a = part(&f, n, n, 0), regular = two(f.g, PERI_OP_ADD, a, identity);
    const expr_id flipped = one(f.g, PERI_OP_NEG, part(&f, n, n, 0));
    against_interpreter(&f, one(f.g, PERI_OP_INV, regular), 1e-11, "inverse", n);
    against_interpreter(&f, one(f.g, PERI_OP_LOGDET, regular), 1e-12, "log-determinant", n);
    against_interpreter(&f, one(f.g, PERI_OP_LOGDET, a), 1e-9, "log-determinant of any sign", n);
    against_interpreter(&f, one(f.g, PERI_OP_LOGDET, flipped), 1e-9, "log-determinant of the other sign", n);
    against_interpreter(&f, one(f.g, PERI_OP_EXPM, a), 1e-12, "exponential", n);
    expr_id factor;
    check(expr_number(f.g, 7.0 / sqrt((double)n), &factor));
    against_interpreter(&f, one(f.g, PERI_OP_EXPM, two(f.g, PERI_OP_MUL, a, factor)), 1e-11, "exponential by squaring", n);
    const expr_id outer = two(f.g, PERI_OP_MATMUL, part(&f, n, 1, 0), part(&f, 1, n, 0)); /* rank 1 */
    against_interpreter(&f, two(f.g, PERI_OP_MUL, one(f.g, PERI_OP_INV, two(f.g, PERI_OP_SUB, outer, outer)), outer), 1e-12,
                        "inverse of a singular matrix", n);
    fixture_release(&f);
}

static void test_running_sums(int64_t n)
{
    fixture f;
    fixture_init(&f, 3 * n);
    against_interpreter(&f, one(f.g, PERI_OP_CUMSUM, part(&f, n, 1, 2)), 1e-13, "running sum", n);
    against_interpreter(&f, one(f.g, PERI_OP_CUMSUM, one(f.g, PERI_OP_SIN, part(&f, n, 3, 0))), 1e-13, "running sums of columns", n);
    expr_id marked;
    check(expr_mark(f.g, part(&f, n, 1, 0), "inner", &marked));
    const expr_id stopped = one(f.g, PERI_OP_STOP, two(f.g, PERI_OP_MUL, marked, part(&f, n, 1, n)));
    against_interpreter(&f, two(f.g, PERI_OP_ADD, stopped, marked), 1e-15, "marks and stops", n);
    fixture_release(&f);
}

/* ---- incidence matrices: diff_roll makes gathers and scatters of their products ------------------------------------------------ */

/* kind 0: one entry a row; 1: one a column, some columns empty; 2: a permutation; 3: none of these */
static expr_id incidence(fixture *f, int64_t rows, int64_t cols, int kind)
{
    int64_t *start = calloc((size_t)rows + 1, sizeof *start), *col = calloc((size_t)(rows + cols), sizeof *col), nnz = 0;
    double *data = calloc((size_t)(rows + cols), sizeof *data);
    expr_id s;
    for (int64_t i = 0; i < rows; i++) {
        if (kind == 0 || kind == 2)
            col[nnz++] = kind == 2 ? (i * 3 + 1) % cols : (i * i + 2) % cols;
        for (int64_t j = i; kind == 1 && j < cols; j += rows)
            if (j % 5 != 4)
                col[nnz++] = j;
        for (int64_t j = 0; kind == 3 && j < i % 3; j++)
            col[nnz++] = (i / 2 + j) % cols;
        start[i + 1] = nnz;
    }
    for (int64_t k = 0; k < nnz; k++)
        data[k] = uniform(&seed, -2, 2);
    check(expr_sparse(f->g, rows, cols, nnz, start, col, data, &s));
    free(start);
    free(col);
    free(data);
    return s;
}

static void test_incidence(int64_t rows, int64_t cols, int kind)
{
    fixture f;
    diff_sparse jac;
    expr_id rolled, x;
    fixture_init(&f, cols);
    const expr_id e = two(f.g, PERI_OP_MATMUL, incidence(&f, rows, cols, kind), one(f.g, PERI_OP_SIN, f.x));
    expr_graph *to = expr_graph_new(f.ctx);
    double *want = calloc((size_t)rows, sizeof *want), *got = calloc((size_t)rows, sizeof *got);
    double *entries = calloc((size_t)(rows + cols), sizeof *entries), *product = calloc((size_t)rows, sizeof *product);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = f.in};
    double *const outputs[2] = {got, entries};
    eval_program *p;
    check(expr_interpret(f.g, 1, &e, inputs, &want));
    check(diff_roll(f.g, 1, &e, to, &rolled));
    check(expr_input(to, EXPR_IN_X, 0, cols, 1, &x));
    check(diff_jacobian(to, rolled, 0, cols, &jac));
    const eval_output wanted[2] = {{rolled, 0, 0}, {jac.values, 1, 0}};
    check(eval_compile(to, 2, wanted, &p));
    eval_stats stats;
    eval_get_stats(p, &stats);
    is_int(stats.array_calls, kind == 3, "array calls for an incidence matrix of kind %d, %lld x %lld", kind, (long long)rows, (long long)cols);
    check(eval_run(p, inputs, outputs));
    all_close(rows, got, want, 1e-14, 1e-14, "its product");
    for (int64_t j = 0; j < cols; j++) /* J diag(1 / cos x) sin x = A sin x */
        for (int64_t k = jac.start[j]; k < jac.start[j + 1]; k++)
            product[jac.index[k]] += entries[k] / cos(f.in[j]) * sin(f.in[j]);
    all_close(rows, product, want, 1e-13, 1e-13, "and Jacobian");
    eval_free(p);
    diff_sparse_free(to, &jac);
    expr_graph_free(to);
    free(want);
    free(got);
    free(entries);
    free(product);
    fixture_release(&f);
}

/* ---- scatters of constants ----------------------------------------------------------------------------------------------------------- */

static void test_constant_scatter(int64_t n, bool also_variable)
{
    fixture f;
    fixture_init(&f, n);
    double *data = calloc((size_t)n, sizeof *data);
    int32_t *even = calloc((size_t)n, sizeof *even), *third = calloc((size_t)n, sizeof *third);
    expr_id constant, same, e;
    for (int64_t k = 0; k < n; k++) {
        data[k] = uniform(&seed, -1, 1);
        even[k] = (int32_t)(2 * k);
        third[k] = (int32_t)(3 * k % (2 * n));
    }
    check(expr_dense(f.g, n, 1, data, &constant));
    check(expr_full(f.g, n, 1, 2.5, &same));
    const expr_id args[4] = {constant, one(f.g, PERI_OP_EXP, f.x), same, one(f.g, PERI_OP_SIN, f.x)};
    const int32_t *const lists[4] = {even, third, third, even};
    const expr_id fixed[2] = {constant, same};
    const int32_t *const fixed_lists[2] = {even, third};
    check(also_variable ? expr_scatter_sum(f.g, 2 * n, 1, 4, args, lists, &e) : expr_scatter_sum(f.g, 2 * n, 1, 2, fixed, fixed_lists, &e));
    against_interpreter(&f, e, 1e-14, also_variable ? "scatter of constants and others" : "scatter of constants only", n);
    free(data);
    free(even);
    free(third);
    fixture_release(&f);
}

/* ---- large scatters -------------------------------------------------------------------------------------------------------------- */

enum { WALK = 60000, FIELD = 400000, TOP = 50 };
enum { NO_CONSTANTS, FEW_CONSTANTS, MANY_CONSTANTS }; /* some of which meet */

/* Places that two arguments reach on their ways up and down, others that none reaches, and the last ones, where a kernel of a few instances stores. */
static void test_pieces(int constants)
{
    static const char *const names[] = {"a large scatter", "a large scatter with a few constants", "a large scatter with many"};
    const int64_t n = constants == FEW_CONSTANTS ? WALK / 8 : WALK;
    fixture f;
    fixture_init(&f, WALK);
    int32_t *lists[4];
    double *data = calloc((size_t)n, sizeof *data);
    for (int q = 0; q < 4; q++)
        lists[q] = calloc(WALK, sizeof *lists[q]);
    for (int32_t k = 0; k < WALK; k++) {
        lists[0][k] = 5 * k + k % 7 + 9;
        lists[1][k] = 5 * (WALK - 1 - k) + k % 11;
        lists[2][k] = 3 * (k - k % 2) + k % 3;
        lists[3][k] = FIELD - TOP + k % TOP;
    }
    for (int64_t k = 0; k < n; k++)
        data[k] = uniform(&seed, -1, 1);
    expr_id constant, e;
    check(expr_dense(f.g, n, 1, data, &constant));
    const expr_id args[4] = {one(f.g, PERI_OP_EXP, f.x), one(f.g, PERI_OP_SIN, f.x), constants == NO_CONSTANTS ? one(f.g, PERI_OP_COS, f.x) : constant,
                             one(f.g, PERI_OP_TANH, part(&f, TOP, 1, 3))};
    check(expr_scatter_sum(f.g, FIELD, 1, 4, args, (const int32_t *const *)lists, &e));
    against_interpreter(&f, e, 1e-14, names[constants], WALK);
    const eval_output output = {e, 0, 0};
    eval_program *p;
    check(eval_compile(f.g, 1, &output, &p));
    int64_t pieces = 0, set = 0;
    for (int64_t k = 0; k < p->n_kernels; k++)
        for (int64_t j = 0; j < p->kernels[k].n_zeros; j++) {
            pieces += p->kernels[k].zeros[j].piece != NULL;
            set += p->kernels[k].zeros[j].set.n;
        }
    ok(pieces == (constants == MANY_CONSTANTS ? pieces : 1), "it is filled piece by piece");
    ok((set > 0) == (constants == FEW_CONSTANTS), "%d constants are written behind the zeros", (int)set);
    eval_free(p);
    for (int q = 0; q < 4; q++)
        free(lists[q]);
    free(data);
    fixture_release(&f);
}

/* ---- foreign functions --------------------------------------------------------------------------------------------------------------- */

static int sum_of_squares(void *ud, int64_t n, const double *x, double *out)
{
    *out = 0;
    for (int64_t k = 0; k < n; k++)
        *out += x[k] * x[k];
    return *(const int *)ud;
}

static int twice(void *ud, int64_t n, const double *x, double *out)
{
    for (int64_t k = 0; k < n; k++)
        out[k] = 2 * x[k];
    return *(const int *)ud;
}

static void test_calls(void)
{
    fixture f;
    int code = 0;
    const peri_function fn = {.name = "squares", .ud = &code, .value = sum_of_squares, .gradient = twice};
    expr_id call, gradient;
    fixture_init(&f, 50);
    const expr_id inner = one(f.g, PERI_OP_EXP, part(&f, 20, 1, 7));
    check(expr_call(f.g, &fn, inner, &call));
    check(expr_callgrad(f.g, call, &gradient));
    against_interpreter(&f, two(f.g, PERI_OP_MUL, call, part(&f, 5, 1, 0)), 1e-14, "foreign value", 20);
    against_interpreter(&f, two(f.g, PERI_OP_MUL, gradient, inner), 1e-14, "foreign gradient", 20);
    const eval_output outputs[2] = {{call, 0, 0}, {gradient, 0, 1}};
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = f.in};
    double got[21], *slots[1] = {got};
    eval_program *p;
    check(eval_compile(f.g, 2, outputs, &p));
    code = 1;
    is_int(eval_run(p, inputs, slots), PERI_OK, "not defined here: no error");
    ok(isnan(got[0]) && isnan(got[20]), "but NaN");
    code = -3;
    is_int(eval_run(p, inputs, slots), PERI_E_CALLBACK, "a failure is an error");
    has_text(peri_error(f.ctx), "\"squares\"", "that names the function");
    code = 0;
    is_int(eval_run(p, inputs, slots), PERI_OK, "and the program can be run again");
    ok(!isnan(got[0]) && !isnan(got[20]), "with values");
    eval_free(p);
    fixture_release(&f);
}

/* ---- outputs ---------------------------------------------------------------------------------------------------------------------------- */

static void test_outputs(void)
{
    fixture f;
    fixture_init(&f, 100);
    const expr_id a = part(&f, 40, 1, 0), e = one(f.g, PERI_OP_EXP, a), s = one(f.g, PERI_OP_SUM, e);
    const eval_output outputs[6] = {{e, 1, 5}, {s, 0, 2}, {e, 1, 45}, {a, 1, 85}, {s, 0, 0}, {f.x, 2, 0}};
    double scalar[3] = {-7, -7, -7}, vector[126], copy[100], *slots[3] = {scalar, vector, copy}, sum = 0;
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = f.in};
    eval_program *p;
    for (int k = 0; k < 126; k++)
        vector[k] = -7;
    check(eval_compile(f.g, 6, outputs, &p));
    check(eval_run(p, inputs, slots));
    bool same = true;
    for (int k = 0; k < 40; k++) {
        const double want = exp(f.in[k]);
        sum += want;
        same = same && fabs(vector[5 + k] - want) <= 1e-15 * want && vector[45 + k] == vector[5 + k] && vector[85 + k] == f.in[k];
    }
    ok(same, "a node in two places, an input as output");
    ok(vector[4] == -7 && vector[125] == -7 && scalar[1] == -7, "nothing beside them is written");
    is_close(scalar[0], sum, 1e-14, 0, "a sum in two places");
    ok(scalar[2] == scalar[0] && memcmp(copy, f.in, sizeof copy) == 0, "both the same; a whole input");
    eval_stats stats;
    eval_get_stats(p, &stats);
    ok(stats.kernels >= 1 && stats.instructions >= 3 && stats.instances >= 40 && stats.array_calls == 0, "statistics");
    char *text;
    check(eval_describe(p, &text));
    has_text(text, "40 instances", "description");
    peri_free_text(f.ctx, text);
    const double *const none[EXPR_IN_COUNT] = {NULL};
    is_int(eval_run(p, none, slots), PERI_E_INTERNAL, "a missing input is refused");
    eval_free(p);
    fixture_release(&f);
}

/* ---- out of memory ------------------------------------------------------------------------------------------------------------------------ */

static void test_memory(bool persistent)
{
    fixture f;
    fixture_init(&f, 900);
    const expr_id a = part(&f, 30, 30, 0), b = one(f.g, PERI_OP_EXP, a), inverse = one(f.g, PERI_OP_INV, b);
    const expr_id mixed = two(f.g, PERI_OP_MATMUL, inverse, one(f.g, PERI_OP_TRANSPOSE, b));
    int32_t index[900];
    for (int32_t k = 0; k < 900; k++)
        index[k] = (k * 7) % 450;
    expr_id spread, sum;
    const int32_t *const lists[1] = {index};
    check(expr_scatter_sum(f.g, 450, 1, 1, &mixed, lists, &spread));
    sum = one(f.g, PERI_OP_SUM, two(f.g, PERI_OP_MUL, spread, spread));
    const eval_output outputs[2] = {{sum, 0, 0}, {spread, 1, 0}};
    size_t before, after, peak;
    int64_t blocks_before, blocks_after, failures = 0;
    bool clean = true;
    peri_memory(f.ctx, &before, &peak, &blocks_before);
    for (int64_t k = 1;; k++) {
        eval_program *p;
        peri_memory_fail_at(f.ctx, k, persistent);
        const peri_status status = eval_compile(f.g, 2, outputs, &p);
        peri_memory_fail_at(f.ctx, 0, false);
        if (status == PERI_OK) {
            eval_free(p);
            break;
        }
        failures++;
        peri_memory(f.ctx, &after, &peak, &blocks_after);
        clean = clean && status == PERI_E_NOMEM && p == NULL && before == after && blocks_before == blocks_after;
    }
    ok(failures > 10, "allocations that failed: %lld", (long long)failures);
    ok(clean, "each is reported and leaks nothing%s", persistent ? ", all later ones failing too" : "");
    peri_memory(f.ctx, &after, &peak, &blocks_after);
    ok(before == after && blocks_before == blocks_after, "nor does the program");
    fixture_release(&f);
}

int main(void)
{
    static const int64_t sizes[] = {2, 5, 17, 40};
    diag("seed %llu", (unsigned long long)seed);
    plan_later();
    for (int k = 0; k < 4; k++) {
        test_products(sizes[k]);
        test_views(sizes[k]);
        test_direct(sizes[k]);
        test_direct_and_gaps(sizes[k]);
        test_solve(sizes[k]);
        test_batches(sizes[k]);
        test_square(sizes[k]);
        test_sparse(sizes[k]);
        test_running_sums(sizes[k]);
    }
    test_convolution(1, 4, 1, 2);
    test_convolution(3, 5, 4, 3);
    test_convolution(2, 12, 30, 4);
    for (int kind = 0; kind < 4; kind++) {
        test_incidence(40, 40, kind);
        test_incidence(31, 77, kind == 2 ? 1 : kind);
        test_incidence(100, 13, kind == 2 ? 0 : kind == 1 ? 3 : kind);
    }
    for (int64_t n = 1; n < 1000; n = 7 * n + 1) {
        test_constant_scatter(n, true);
        test_constant_scatter(n, false);
    }
    for (int constants = 0; constants < 3; constants++)
        test_pieces(constants);
    test_calls();
    test_outputs();
    test_memory(false);
    test_memory(true);
    return tap_done();
}
