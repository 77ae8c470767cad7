/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff_gram - sparse Hessians of sums over data, f(x) = sum over rows of phi(A x, B x), against A' D A and so on by plain loops: random matrices with
 * empty rows and columns, repeated entries, ones and general values, one column, more columns than rows; weights that are vectors, one number, and
 * constants; columns that are full; which of them become products with the weights; out of memory.
 */
#include "base/context.h"
#include "diff/diff.h"
#include "eval/program.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 4711;

typedef struct {
    int64_t rows, cols, nnz, *start, *col;
    double *data;
} matrix;

static int64_t below(int64_t n)
{
    const int64_t k = (int64_t)uniform(&seed, 0, (double)n);
    return k < n ? k : n - 1;
}

/* The last `full` columns have an entry in most rows: the very last, ones in all, the others, numbers, in all but every seventh or so. */
static matrix random_matrix(int64_t rows, int64_t cols, int64_t each, bool ones, int64_t full)
{
    matrix a = {.rows = rows, .cols = cols, .start = calloc((size_t)rows + 1, sizeof(int64_t))};
    a.col = calloc((size_t)(rows * (2 * each + full)), sizeof *a.col);
    a.data = calloc((size_t)(rows * (2 * each + full)), sizeof *a.data);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = cols - full; j < cols; j++)
            if (j == cols - 1 || (i + j) % 7 != 0) {
                a.col[a.nnz] = j;
                a.data[a.nnz++] = j == cols - 1 ? 1 : uniform(&seed, -1, 1);
            }
        for (int64_t k = 0, n = i % 7 == 3 || cols == full ? 0 : below(2 * each) + 1; k < n; k++) {
            const int64_t j = below(cols - full);
            if (cols > 9 && j % 9 == 8)
                continue;
            a.col[a.nnz] = j;
            a.data[a.nnz++] = ones ? 1 : uniform(&seed, -1, 1);
        }
        a.start[i + 1] = a.nnz;
    }
    return a;
}

static void matrix_free(matrix *a)
{
    free(a->start);
    free(a->col);
    free(a->data);
}

static void times(const matrix *a, const double *x, double *out)
{
    for (int64_t i = 0; i < a->rows; i++) {
        out[i] = 0;
        for (int64_t k = a->start[i]; k < a->start[i + 1]; k++)
            out[i] += a->data[k] * x[a->col[k]];
    }
}

/* h += a' diag(w) b */
static void add_product(const matrix *a, const double *w, const matrix *b, double *h)
{
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t k = a->start[i]; k < a->start[i + 1]; k++)
            for (int64_t l = b->start[i]; l < b->start[i + 1]; l++)
                h[a->col[k] * a->cols + b->col[l]] += a->data[k] * w[i] * b->data[l];
}

enum { CURVED, COUPLED, SQUARES, WEIGHTED, FORMS };
static const char *const form_name[FORMS] = {"exp(u)", "u sin(v)", "u^2", "c u^2"};

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id x, f;
} fixture;

static expr_id product(expr_graph *g, const matrix *a, expr_id x)
{
    expr_id s;
    check(expr_sparse(g, a->rows, a->cols, a->nnz, a->start, a->col, a->data, &s));
    return two(g, PERI_OP_MATMUL, s, x);
}

static void fixture_init(fixture *t, int form, const matrix *a, const matrix *b, const double *c)
{
    t->ctx = peri_context_new(NULL);
    t->g = expr_graph_new(t->ctx);
    check(expr_new_var(t->g, "x", a->cols, 1, &t->x));
    const expr_id u = product(t->g, a, t->x);
    expr_id e, weights;
    check(expr_dense(t->g, a->rows, 1, c, &weights));
    switch (form) {
    case CURVED: e = one(t->g, PERI_OP_EXP, u); break;
    case COUPLED: e = two(t->g, PERI_OP_MUL, u, one(t->g, PERI_OP_SIN, product(t->g, b, t->x))); break;
    case SQUARES: e = one(t->g, PERI_OP_SQUARE, u); break;
    default: e = two(t->g, PERI_OP_MUL, weights, one(t->g, PERI_OP_SQUARE, u)); break;
    }
    t->f = one(t->g, PERI_OP_SUM, e);
}

static void fixture_release(fixture *t)
{
    expr_graph_free(t->g);
    peri_context_free(t->ctx);
}

/* h [cols x cols] by plain loops */
static void wanted(int form, const matrix *a, const matrix *b, const double *c, const double *x, double *h)
{
    double *u = calloc((size_t)a->rows, sizeof *u), *v = calloc((size_t)a->rows, sizeof *v), *w = calloc((size_t)a->rows, sizeof *w);
    times(a, x, u);
    times(b, x, v);
    for (int64_t i = 0; i < a->rows; i++)
        w[i] = form == CURVED ? exp(u[i]) : form == COUPLED ? cos(v[i]) : form == SQUARES ? 2 : 2 * c[i];
    add_product(a, w, form == COUPLED ? b : a, h);
    if (form == COUPLED) {
        add_product(b, w, a, h);
        for (int64_t i = 0; i < a->rows; i++)
            w[i] = -u[i] * sin(v[i]);
        add_product(b, w, b, h);
    }
    free(u);
    free(v);
    free(w);
}

static void test(int form, int64_t rows, int64_t cols, int64_t each, bool ones, int64_t full, int64_t calls)
{
    matrix a = random_matrix(rows, cols, each, ones, full), b = random_matrix(rows, cols, each, false, 0);
    double *x = calloc((size_t)cols, sizeof *x), *c = calloc((size_t)rows, sizeof *c), *want = calloc((size_t)(cols * cols), sizeof *want);
    for (int64_t j = 0; j < cols; j++)
        x[j] = uniform(&seed, -1, 1);
    for (int64_t i = 0; i < rows; i++)
        c[i] = uniform(&seed, 0.5, 2);
    fixture t;
    fixture_init(&t, form, &a, &b, c);
    diff_sparse h;
    check(diff_hessian(t.g, t.f, 0, cols, 10 * 1000 * 1000, &h));
    double *got = calloc((size_t)h.nnz, sizeof *got), top = 0, error = 0;
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    const eval_output output = {h.values, 0, 0};
    eval_program *p;
    eval_stats stats;
    check(eval_compile(t.g, 1, &output, &p));
    check(eval_run(p, inputs, &got));
    eval_get_stats(p, &stats);
    wanted(form, &a, &b, c, x, want);
    for (int64_t k = 0; k < cols * cols; k++)
        top = fmax(top, fabs(want[k]));
    bool lower = true;
    for (int64_t j = 0; j < cols; j++)
        for (int64_t k = h.start[j]; k < h.start[j + 1]; k++) {
            lower = lower && h.index[k] >= j && (k == h.start[j] || h.index[k] > h.index[k - 1]);
            error = fmax(error, fabs(got[k] - want[h.index[k] * cols + j]));
            want[h.index[k] * cols + j] = 0;
        }
    for (int64_t i = 0; i < cols; i++)
        for (int64_t j = 0; j <= i; j++)
            error = fmax(error, fabs(want[i * cols + j])); /* what the pattern lacks */
    ok(lower && error <= 1e-12 * top, "%s, %lld x %lld, %s, %lld full: error %.1e of %.1e", form_name[form], (long long)rows, (long long)cols,
       ones ? "ones" : "general", (long long)full, error, top);
    is_int(stats.array_calls, calls, "products with vectors");
    eval_free(p);
    diff_sparse_free(t.g, &h);
    fixture_release(&t);
    free(x);
    free(c);
    free(want);
    free(got);
    matrix_free(&a);
    matrix_free(&b);
}

/* A dense matrix of so many rows and columns: its terms would be more than a list may have. */
static void test_dense(int64_t rows, int64_t cols)
{
    fixture t = {.ctx = peri_context_new(NULL)};
    double *a = calloc((size_t)(rows * cols), sizeof *a), *x = calloc((size_t)cols, sizeof *x), *u = calloc((size_t)rows, sizeof *u), error = 0, top = 0;
    expr_id d;
    diff_sparse h;
    t.g = expr_graph_new(t.ctx);
    for (int64_t k = 0; k < rows * cols; k++)
        a[k] = uniform(&seed, -1, 1);
    for (int64_t j = 0; j < cols; j++)
        x[j] = uniform(&seed, -0.1, 0.1);
    check(expr_new_var(t.g, "x", cols, 1, &t.x));
    check(expr_dense(t.g, rows, cols, a, &d));
    t.f = one(t.g, PERI_OP_SUM, one(t.g, PERI_OP_EXP, two(t.g, PERI_OP_MATMUL, d, t.x)));
    check(diff_hessian(t.g, t.f, 0, cols, cols * cols, &h));
    is_int(h.nnz, cols * (cols + 1) / 2, "dense, %lld x %lld: entries", (long long)rows, (long long)cols);
    double *got = calloc((size_t)h.nnz, sizeof *got);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    const eval_output output = {h.values, 0, 0};
    eval_program *p;
    check(eval_compile(t.g, 1, &output, &p));
    check(eval_run(p, inputs, &got));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            u[i] += a[i * cols + j] * x[j];
    for (int64_t j = 0; j < cols; j++)
        for (int64_t k = h.start[j]; k < h.start[j + 1]; k++) {
            double want = 0;
            for (int64_t i = 0; i < rows; i++)
                want += exp(u[i]) * a[i * cols + h.index[k]] * a[i * cols + j];
            top = fmax(top, fabs(want));
            error = fmax(error, fabs(got[k] - want));
        }
    ok(error <= 1e-12 * top, "error %.1e of %.1e", error, top);
    eval_free(p);
    diff_sparse_free(t.g, &h);
    fixture_release(&t);
    free(a);
    free(x);
    free(u);
    free(got);
}

static void test_memory(int form)
{
    matrix a = random_matrix(400, 12, 5, false, 2), b = random_matrix(400, 12, 5, false, 0);
    double c[400];
    bool clean = true;
    int64_t failures = 0;
    for (int64_t i = 0; i < 400; i++)
        c[i] = 1;
    for (int64_t k = 1; k < 100000; k++) {
        fixture t;
        diff_sparse h;
        fixture_init(&t, form, &a, &b, c);
        peri_memory_fail_at(t.ctx, k, false);
        const peri_status status = diff_hessian(t.g, t.f, 0, 12, 1000000, &h);
        peri_memory_fail_at(t.ctx, 0, false);
        clean = clean && (status == PERI_OK || status == PERI_E_NOMEM);
        if (status == PERI_OK)
            diff_sparse_free(t.g, &h);
        else
            clean = clean && diff_hessian(t.g, t.f, 0, 12, 1000000, &h) == PERI_OK && (diff_sparse_free(t.g, &h), true);
        fixture_release(&t);
        if (status == PERI_OK)
            break;
        failures++;
    }
    ok(clean && failures > 50, "%s: out of memory at %lld places, and the next call works", form_name[form], (long long)failures);
    matrix_free(&a);
    matrix_free(&b);
}

int main(void)
{
    diag("seed %llu", (unsigned long long)seed);
    for (int ones = 0; ones < 2; ones++) {
        test(CURVED, 3000, 40, 6, ones != 0, 0, 2);  /* A x, and all entries */
        test(CURVED, 2000, 1, 2, ones != 0, 0, 0);   /* x is one number: A x is elementwise */
        test(CURVED, 2000, 2, 2, ones != 0, 0, 2);
        test(CURVED, 900, 150, 30, ones != 0, 0, 2);
        test(CURVED, 60, 20, 4, ones != 0, 0, 1);    /* too few terms */
        test(CURVED, 3000, 900, 4, ones != 0, 0, 1); /* too few in each place */
        test(COUPLED, 3000, 40, 6, ones != 0, 0, 4);
        test(COUPLED, 1500, 3, 4, ones != 0, 0, 4);
        test(CURVED, 3000, 40, 6, ones != 0, 1, 2); /* an intercept alone is no dense column */
        test(CURVED, 3000, 40, 6, ones != 0, 4, 4);
        test(CURVED, 3000, 900, 4, ones != 0, 3, 3); /* the others are scattered */
        test(CURVED, 700, 12, 1, ones != 0, 12, 2);  /* nothing else */
        test(CURVED, 80, 9, 2, ones != 0, 2, 1);     /* too few */
        test(SQUARES, 3000, 40, 6, ones != 0, 4, 0);
        test(WEIGHTED, 3000, 40, 6, ones != 0, 4, 0);
        test(COUPLED, 3000, 40, 6, ones != 0, 2, 4);
        test(SQUARES, 3000, 40, 6, ones != 0, 0, 0);
        test(WEIGHTED, 3000, 40, 6, ones != 0, 0, 0);
    }
    test_dense(70, 40);
    test_dense(3000, 60); /* 5.5 million terms; a list may have a million */
    for (int form = 0; form < FORMS; form++)
        test_memory(form);
    return tap_done();
}
