/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_sparse - products of sparse constants and vectors: random matrices of all shapes and kinds of values against sums in plain loops, with the same
 * bits for any number of threads and any instructions; which values are stored; what is not finite; out of memory.
 */
#include "base/context.h"
#include "eval/plan.h"
#include "eval/sparse.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 90210;

enum { ONES, GENERAL, BY_ROW, BY_COLUMN, ROW_AND_COLUMN, SOME_COLUMNS, KINDS };
static const char *const kind_name[KINDS] = {"ones", "general", "by row", "by column", "by row and column", "some columns general"};

typedef struct {
    int64_t rows, cols, nnz, *start, *col;
    double *data, *x;
} matrix;

static int64_t below(int64_t n)
{
    const int64_t k = (int64_t)uniform(&seed, 0, (double)n);
    return k < n ? k : n - 1;
}

static double value_at(int kind, int64_t i, int64_t j)
{
    switch (kind) {
    case ONES: return 1;
    case BY_ROW: return i % 3 == 0 ? -1 : 0.25 * (double)(i % 7) + 0.1;
    case BY_COLUMN: return j % 5 == 0 ? 1 : -0.3 * (double)(j % 11) + 0.2;
    case ROW_AND_COLUMN: return (i % 2 == 0 ? -1 : 1) * (0.1 + (double)(j % 13));
    case SOME_COLUMNS: return j % 9 == 4 ? uniform(&seed, -2, 2) : 1;
    default: return uniform(&seed, -2, 2);
    }
}

/* About `each` entries a row, unordered, some twice; every fifth row and column have none, every `dense`th row many. */
static void make(matrix *a, int64_t rows, int64_t cols, int64_t each, int64_t dense, int kind)
{
    a->rows = rows;
    a->cols = cols;
    a->nnz = 0;
    a->start = calloc((size_t)rows + 1, sizeof *a->start);
    a->x = calloc((size_t)cols, sizeof *a->x);
    const int64_t many = dense > 0 ? cols / 2 + 1 : 0, room = rows * 2 * each + (dense > 0 ? rows / dense + 1 : 0) * many + 1;
    a->col = calloc((size_t)room, sizeof *a->col);
    a->data = calloc((size_t)room, sizeof *a->data);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t wanted = dense > 0 && i % dense == 0 ? many : i % 5 == 4 && rows > 4 ? 0 : below(2 * each) + 1;
        for (int64_t k = 0; k < wanted; k++) {
            const int64_t j = below(cols);
            if (j % 5 == 3 && cols > 4)
                continue;
            a->col[a->nnz] = j;
            a->data[a->nnz++] = value_at(kind, i, j);
        }
        a->start[i + 1] = a->nnz;
    }
    for (int64_t j = 0; j < cols; j++)
        a->x[j] = uniform(&seed, -1, 1);
}

static void release(matrix *a)
{
    free(a->start);
    free(a->col);
    free(a->data);
    free(a->x);
}

/* The product by a program of its own context. layout: a copy, or NULL */
static void times(const matrix *a, int32_t threads, const char *simd, double *out, eval_sparse *layout)
{
    const peri_config config = {.threads = threads};
    peri_context *ctx = peri_context_new(&config);
    expr_graph *g = expr_graph_new(ctx);
    expr_id x, s;
    eval_program *p;
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = a->x};
    eval_force_simd(ctx, simd);
    check(expr_new_var(g, "x", a->cols, 1, &x));
    check(expr_sparse(g, a->rows, a->cols, a->nnz, a->start, a->col, a->data, &s));
    const eval_output output = {two(g, PERI_OP_MATMUL, s, x), 0, 0};
    check(eval_compile(g, 1, &output, &p));
    check(eval_run(p, inputs, &out));
    if (layout != NULL && p->n_arrays > 0 && p->arrays[0].layout != NULL)
        *layout = *p->arrays[0].layout;
    eval_free(p);
    expr_graph_free(g);
    peri_context_free(ctx);
}

/* Each row within what rounding may do: the bound of its sum of absolute values. */
static bool is_product(const matrix *a, const double *got)
{
    for (int64_t i = 0; i < a->rows; i++) {
        long double sum = 0, size = 0;
        for (int64_t k = a->start[i]; k < a->start[i + 1]; k++) {
            const long double term = (long double)a->data[k] * a->x[a->col[k]];
            sum += term;
            size += fabsl(term);
        }
        const double n = (double)(a->start[i + 1] - a->start[i]);
        if (!(fabsl((long double)got[i] - sum) <= (n + 4) * DBL_EPSILON * size)) {
            diag("row %lld of %g entries: %.17g instead of %.17Lg", (long long)i, n, got[i], sum);
            return false;
        }
    }
    return true;
}

static void test_shape(int64_t rows, int64_t cols, int64_t each, int64_t dense)
{
    for (int kind = 0; kind < KINDS; kind++) {
        static const char *const simd[] = {"portable", "sse2", "avx2", "avx512"};
        matrix a;
        eval_sparse layout = {.rows = 0};
        make(&a, rows, cols, each, dense, kind);
        double *one_thread = calloc((size_t)rows, sizeof *one_thread), *other = calloc((size_t)rows, sizeof *other);
        bool same = true;
        for (int64_t i = 0; i < rows; i++)
            one_thread[i] = other[i] = NAN;
        times(&a, 1, NULL, one_thread, &layout);
        ok(is_product(&a, one_thread), "%lld x %lld, %lld entries, %s: the product", (long long)rows, (long long)cols, (long long)a.nnz, kind_name[kind]);
        for (int32_t threads = 2; threads <= 3; threads++) {
            times(&a, threads, NULL, other, NULL);
            same = same && memcmp(one_thread, other, (size_t)rows * sizeof *other) == 0;
        }
        for (int k = 0; k < 4; k++) {
            times(&a, 1, simd[k], other, NULL);
            same = same && memcmp(one_thread, other, (size_t)rows * sizeof *other) == 0;
        }
        ok(same, "and its bits for three threads and all instructions");
        free(one_thread);
        free(other);
        release(&a);
    }
}

/* Which values a layout has. */
static void test_layout(int kind, bool stores_all, bool stores_some, bool scales)
{
    matrix a;
    eval_sparse layout = {.rows = 0};
    make(&a, 300, 20000, 30, 10, kind);
    double *out = calloc((size_t)a.rows, sizeof *out);
    times(&a, 1, NULL, out, &layout);
    const sparse_part *even = &layout.even, *uneven = &layout.uneven;
    const int64_t n_even = even->near.n + even->far.n, n_uneven = uneven->near.n + uneven->far.n;
    is_int(n_even + n_uneven, a.nnz, "%s: every entry is somewhere", kind_name[kind]);
    ok(even->near.value == NULL && even->far.value == NULL, "even entries have no values");
    const bool few = 1000 * n_uneven < a.nnz; /* those of columns with hardly any entries */
    ok(stores_all ? n_uneven > a.nnz / 2 : stores_some ? !few && n_uneven < a.nnz / 4 : few, "entries with values: %lld", (long long)n_uneven);
    ok((layout.scale != NULL) == scales, "the vector is %sscaled first", scales ? "" : "not ");
    ok(even->n_far + uneven->n_far > 0 && even->near.n_rows + uneven->near.n_rows > 0, "near and far rows");
    free(out);
    release(&a);
}

/* With a dense matrix of so many columns on the right: the bits of plain sums in order. */
static void test_columns(int64_t cols, int kind)
{
    static const char *const simd[] = {"portable", "sse2", "avx2", "avx512"};
    matrix a;
    make(&a, 60, 50, 6, 20, kind);
    double *x = calloc((size_t)(a.cols * cols), sizeof *x), *want = calloc((size_t)(a.rows * cols), sizeof *want);
    double *got = calloc((size_t)(a.rows * cols), sizeof *got);
    bool same = true;
    for (int64_t k = 0; k < a.cols * cols; k++)
        x[k] = uniform(&seed, -1, 1);
    for (int64_t i = 0; i < a.rows; i++)
        for (int64_t k = a.start[i]; k < a.start[i + 1]; k++)
            for (int64_t j = 0; j < cols; j++)
                want[i * cols + j] += a.data[k] * x[a.col[k] * cols + j];
    for (int k = 0; k < 4; k++) {
        peri_context *ctx = peri_context_new(NULL);
        expr_graph *g = expr_graph_new(ctx);
        expr_id e, s;
        eval_program *p;
        const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
        eval_force_simd(ctx, simd[k]);
        check(expr_new_var(g, "x", a.cols, cols, &e));
        check(expr_sparse(g, a.rows, a.cols, a.nnz, a.start, a.col, a.data, &s));
        const eval_output output = {two(g, PERI_OP_MATMUL, s, e), 0, 0};
        check(eval_compile(g, 1, &output, &p));
        check(eval_run(p, inputs, &got));
        same = same && memcmp(got, want, (size_t)(a.rows * cols) * sizeof *got) == 0;
        eval_free(p);
        expr_graph_free(g);
        peri_context_free(ctx);
    }
    ok(same, "%lld columns, %s: the bits of plain loops with all instructions", (long long)cols, kind_name[kind]);
    free(x);
    free(want);
    free(got);
    release(&a);
}

static void test_not_finite(void)
{
    matrix a;
    make(&a, 40, 9000, 20, 10, SOME_COLUMNS);
    double out[40];
    a.x[a.col[0]] = INFINITY;
    a.x[a.col[1]] = NAN;
    times(&a, 1, NULL, out, NULL);
    bool good = true;
    for (int64_t i = 0; i < a.rows; i++) {
        double sum = 0;
        for (int64_t k = a.start[i]; k < a.start[i + 1]; k++)
            sum += a.data[k] * a.x[a.col[k]];
        good = good && isfinite(sum) == isfinite(out[i]) && isnan(sum) == isnan(out[i]);
    }
    ok(good && isnan(out[0]), "what is not finite reaches the rows that read it, and no others");
    release(&a);
}

static void test_memory(int kind)
{
    matrix a;
    make(&a, 50, 9000, 20, 10, kind);
    bool clean = true;
    int64_t failures = 0;
    for (int64_t k = 1; k < 1000; k++) {
        peri_context *ctx = peri_context_new(NULL);
        expr_graph *g = expr_graph_new(ctx);
        expr_id x, s;
        eval_program *p = NULL;
        check(expr_new_var(g, "x", a.cols, 1, &x));
        check(expr_sparse(g, a.rows, a.cols, a.nnz, a.start, a.col, a.data, &s));
        const eval_output output = {two(g, PERI_OP_MATMUL, s, x), 0, 0};
        peri_memory_fail_at(ctx, k, false);
        const peri_status status = eval_compile(g, 1, &output, &p);
        peri_memory_fail_at(ctx, 0, false);
        const bool done = status == PERI_OK;
        clean = clean && (done || (status == PERI_E_NOMEM && p == NULL));
        eval_free(p);
        p = NULL;
        clean = clean && eval_compile(g, 1, &output, &p) == PERI_OK; /* the next call works */
        eval_free(p);
        expr_graph_free(g);
        peri_context_free(ctx);
        if (done)
            break;
        failures++;
    }
    ok(clean && failures > 10, "%s: out of memory at %lld places", kind_name[kind], (long long)failures);
    release(&a);
}

int main(void)
{
    diag("seed %llu", (unsigned long long)seed);
    test_shape(1, 50, 8, 0);
    test_shape(60, 1, 1, 0);
    test_shape(200, 7, 3, 0);
    test_shape(500, 300, 12, 50);    /* rows of all lengths up to 24 and beyond */
    test_shape(9000, 40, 10, 0);     /* several windows */
    test_shape(30, 20000, 40, 3);    /* far rows in pieces */
    test_shape(40, 70000, 60, 4);    /* more columns than two bytes count */
    test_shape(30000, 9000, 4, 900); /* worth several threads */
    test_shape(100, 33000, 2000, 2);
    test_layout(ONES, false, false, false);
    test_layout(BY_ROW, false, false, false);
    test_layout(GENERAL, true, false, false);
    test_layout(BY_COLUMN, false, false, true);
    test_layout(SOME_COLUMNS, false, true, false);
    for (int64_t cols = 2; cols < 40; cols += cols / 3 + 1) {
        test_columns(cols, GENERAL);
        test_columns(cols, ONES);
    }
    test_not_finite();
    test_memory(ONES);
    test_memory(SOME_COLUMNS);
    return tap_done();
}
