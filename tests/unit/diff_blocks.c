/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff_blocks - Hessians over dense data as products of matrices: f(x) of A x with dense A against A' W A by plain loops, for W diagonal, constant, of
 * rank one; which of them are products and which are constants; data with holes have the pattern of the terms; out of memory.
 */
#include "base/context.h"
#include "diff/diff.h"
#include "eval/program.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 80, COLS = 70 };
enum { CURVED, SQUARES, INNER, LOGSUMEXP, FORMS };
static const char *const form_name[FORMS] = {"sum of exp(u)", "sum of c u^2", "u'u", "log of the sum of exp(u)"};

static uint64_t seed = 4712;

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id x, f;
} fixture;

static void fixture_init(fixture *t, int form, const double *a, const double *c)
{
    expr_id data, weights, row;
    t->ctx = peri_context_new(NULL);
    t->g = expr_graph_new(t->ctx);
    check(expr_new_var(t->g, "x", COLS, 1, &t->x));
    check(expr_dense(t->g, ROWS, COLS, a, &data));
    check(expr_dense(t->g, ROWS, 1, c, &weights));
    const expr_id u = two(t->g, PERI_OP_MATMUL, data, t->x);
    switch (form) {
    case CURVED: t->f = one(t->g, PERI_OP_SUM, one(t->g, PERI_OP_EXP, u)); break;
    case SQUARES: t->f = one(t->g, PERI_OP_SUM, two(t->g, PERI_OP_MUL, weights, one(t->g, PERI_OP_SQUARE, u))); break;
    case INNER:
        check(expr_reshape(t->g, u, 1, ROWS, &row));
        t->f = two(t->g, PERI_OP_MATMUL, row, u);
        break;
    default: t->f = one(t->g, PERI_OP_LOG, one(t->g, PERI_OP_SUM, one(t->g, PERI_OP_EXP, u))); break;
    }
}

static void fixture_release(fixture *t)
{
    expr_graph_free(t->g);
    peri_context_free(t->ctx);
}

/* h [COLS x COLS] = A' W A */
static void wanted(int form, const double *a, const double *c, const double *x, double *h)
{
    double e[ROWS], total = 0, gradient[COLS] = {0};
    for (int i = 0; i < ROWS; i++) {
        double u = 0;
        for (int j = 0; j < COLS; j++)
            u += a[i * COLS + j] * x[j];
        e[i] = exp(u);
        total += e[i];
    }
    for (int i = 0; i < ROWS; i++) {
        const double w = form == CURVED ? e[i] : form == SQUARES ? 2 * c[i] : form == INNER ? 2 : e[i] / total;
        for (int j = 0; j < COLS; j++)
            gradient[j] += w * a[i * COLS + j];
        for (int j = 0; j < COLS; j++)
            for (int k = 0; k < COLS; k++)
                h[j * COLS + k] += w * a[i * COLS + j] * a[i * COLS + k];
    }
    for (int j = 0; j < COLS && form == LOGSUMEXP; j++)
        for (int k = 0; k < COLS; k++)
            h[j * COLS + k] -= gradient[j] * gradient[k];
}

static void random_data(double *a, double *c, double *x)
{
    for (int k = 0; k < ROWS * COLS; k++)
        a[k] = uniform(&seed, -1, 1);
    for (int i = 0; i < ROWS; i++)
        c[i] = uniform(&seed, 0.5, 2);
    for (int j = 0; j < COLS; j++)
        x[j] = uniform(&seed, -0.3, 0.3);
}

/* calls: array operations of the program, none where the Hessian is constants */
static void test(int form, int64_t least, int64_t most)
{
    static double a[ROWS * COLS], want[COLS * COLS], got[COLS * COLS];
    double c[ROWS], x[COLS], worst = 0, top = 0;
    double *out = got;
    random_data(a, c, x);
    memset(want, 0, sizeof want);
    fixture t;
    fixture_init(&t, form, a, c);
    diff_sparse h;
    check(diff_hessian(t.g, t.f, 0, COLS, 1000000, &h));
    is_int(h.nnz, COLS * (COLS + 1) / 2, "all of the lower triangle");
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    const eval_output output = {h.values, 0, 0};
    eval_program *p;
    eval_stats stats;
    check(eval_compile(t.g, 1, &output, &p));
    check(eval_run(p, inputs, &out));
    eval_get_stats(p, &stats);
    wanted(form, a, c, x, want);
    for (int j = 0; j < COLS; j++)
        for (int64_t k = h.start[j]; k < h.start[j + 1]; k++) {
            worst = fmax(worst, fabs(got[k] - want[h.index[k] * COLS + j]));
            top = fmax(top, fabs(want[h.index[k] * COLS + j]));
        }
    ok(worst <= 1e-13 * top, "%s: error %.1e of %.1e", form_name[form], worst, top);
    ok(stats.array_calls >= least && stats.array_calls <= most, "by products: %d", (int)stats.array_calls);
    ok(stats.bytes < 400000, "without lists of terms: %d bytes", (int)stats.bytes);
    eval_free(p);
    diff_sparse_free(t.g, &h);
    fixture_release(&t);
}

/* Rows of 58 to 70 of 70 columns: one block with zeros, in which columns 0 and 1 never meet. */
static void test_holes(void)
{
    static double data[ROWS * COLS], want[COLS * COLS], got[COLS * COLS];
    static int64_t start[ROWS + 1], col[ROWS * COLS];
    double x[COLS], c[ROWS], worst = 0, *out = got;
    static double a[ROWS * COLS];
    int64_t n = 0;
    random_data(a, c, x);
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < COLS; j++) {
            const bool hole = j == i % 2 || (j > 1 && uniform(&seed, 0, 1) < 0.1);
            a[i * COLS + j] *= hole ? 0 : 1;
            if (hole)
                continue;
            col[n] = j;
            data[n++] = a[i * COLS + j];
        }
        start[i + 1] = n;
    }
    memset(want, 0, sizeof want);
    wanted(CURVED, a, c, x, want);
    fixture t;
    fixture_init(&t, CURVED, a, c);
    expr_id sparse;
    diff_sparse h;
    check(expr_sparse(t.g, ROWS, COLS, n, start, col, data, &sparse));
    const expr_id f = one(t.g, PERI_OP_SUM, one(t.g, PERI_OP_EXP, two(t.g, PERI_OP_MATMUL, sparse, t.x)));
    check(diff_hessian(t.g, f, 0, COLS, 1000000, &h));
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    check(expr_interpret(t.g, 1, &h.values, inputs, &out));
    bool meets = false;
    for (int j = 0; j < COLS; j++)
        for (int64_t k = h.start[j]; k < h.start[j + 1]; k++) {
            meets = meets || (j == 0 && h.index[k] == 1);
            worst = fmax(worst, fabs(got[k] - want[h.index[k] * COLS + j]));
        }
    ok(!meets && h.nnz == COLS * (COLS + 1) / 2 - 1, "columns that never meet have no entry: %d entries", (int)h.nnz);
    ok(worst < 1e-12, "rows with holes: error %.1e", worst);
    diff_sparse_free(t.g, &h);
    fixture_release(&t);
}

static void test_memory(int form)
{
    static double a[ROWS * COLS];
    double c[ROWS], x[COLS];
    bool clean = true;
    int64_t failures = 0;
    random_data(a, c, x);
    for (int64_t k = 1; k < 100000; k++) {
        fixture t;
        diff_sparse h;
        fixture_init(&t, form, a, c);
        peri_memory_fail_at(t.ctx, k, false);
        const peri_status status = diff_hessian(t.g, t.f, 0, COLS, 1000000, &h);
        peri_memory_fail_at(t.ctx, 0, false);
        clean = clean && (status == PERI_OK || status == PERI_E_NOMEM);
        if (status == PERI_OK)
            diff_sparse_free(t.g, &h);
        else
            clean = clean && diff_hessian(t.g, t.f, 0, COLS, 1000000, &h) == PERI_OK && (diff_sparse_free(t.g, &h), true);
        fixture_release(&t);
        if (status == PERI_OK)
            break;
        failures++;
    }
    ok(clean && failures > 30, "%s: out of memory at %d places, and the next call works", form_name[form], (int)failures);
}

int main(void)
{
    diag("seed %llu", (unsigned long long)seed);
    test(CURVED, 2, 5);
    test(SQUARES, 0, 0);
    test(INNER, 0, 0);
    test(LOGSUMEXP, 3, 6);
    test_holes();
    for (int form = 0; form < FORMS; form++)
        test_memory(form);
    return tap_done();
}
