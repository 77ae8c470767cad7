/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff_rows - reductions of vectors made in loops become a few operations, short and long rows, in any order: how many are left, and values, gradients
 * and Hessians of the grouped graph against complex steps through the graph as it was written; few of them stay as they are; out of memory.
 */
#include "base/context.h"
#include "diff/diff.h"
#include "tap/tap.h"
#include "unit/complex_graph.h"
#include "unit/eval_graph.h"
#include <math.h>
#include <stdlib.h>

enum { ROWS = 40, LONGEST = 20, MOST = 2 * ROWS * LONGEST + LONGEST };
enum { CHAIN, DENSE, RADIAL, LOGSUMEXP, SCALARS, NESTED, PIECES, SHARED, POWERS, LARGEST_ENTRY, ORDERS, SOFTMAX, SPREAD, FORMS };

/* `left`: reductions of the grouped graph at the most, the sum of all terms among them */
static const struct { const char *name; int left; } form[FORMS] = {
    {"squares of differences", 1},       {"data times variables", 1},     {"distances to data", 1},        {"logsumexp", 2},
    {"norms with scalars of loops", 1},  {"each with the last one", ROWS}, {"pieces of a vector", 1},       {"two sums of one vector", 2},
    {"other exponents", 2},              {"largest entries", 2},          {"factors in either order", 1},  {"shares of exponentials", 2},
    {"what does not vary in a row", 1},
};

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    int n; /* entries of a row */
    expr_id X, x, w; /* ROWS x n, ROWS n x 1, n x 1 */
    double data[ROWS * LONGEST];
    expr_id last, vector; /* what rows have in common */
} fixture;

static expr_id row_of(const fixture *t, expr_id e, int k)
{
    return affine(t->g, e, t->n, (int64_t)k * t->n, 1);
}

static expr_id entry(const fixture *t, expr_id e, int k)
{
    return affine(t->g, e, 1, k, 1);
}

static expr_id data_of(const fixture *t, int k)
{
    expr_id e;
    check(expr_dense(t->g, t->n, 1, t->data + k * t->n, &e));
    return e;
}

static expr_id sum_of_square(const fixture *t, expr_id e)
{
    return one(t->g, PERI_OP_SUM, one(t->g, PERI_OP_SQUARE, e));
}

static expr_id term(fixture *t, int which, int k)
{
    expr_graph *g = t->g;
    const expr_id Xk = row_of(t, t->X, k), xk = row_of(t, t->x, k), A = data_of(t, k), b = number(g, t->data[k] + 1.5);
    switch (which) {
    case CHAIN: return sum_of_square(t, two(g, PERI_OP_SUB, row_of(t, t->X, (k + 1) % ROWS), Xk));
    case DENSE: return one(g, PERI_OP_SQUARE, two(g, PERI_OP_SUB, one(g, PERI_OP_SUM, two(g, PERI_OP_MUL, A, t->w)), b));
    case RADIAL: return one(g, PERI_OP_EXP, two(g, PERI_OP_MUL, number(g, -0.1 - 0.01 * k), sum_of_square(t, two(g, PERI_OP_SUB, A, t->w))));
    case LOGSUMEXP: return one(g, PERI_OP_LOGSUMEXP, Xk);
    case SCALARS: {
        const expr_id s = one(g, PERI_OP_SIN, entry(t, t->x, k));
        return one(g, PERI_OP_NORM2, two(g, PERI_OP_SUB, Xk, two(g, PERI_OP_MUL, s, A)));
    }
    case NESTED: {
        const expr_id before = k > 0 ? t->last : entry(t, t->w, 0);
        return t->last = one(g, PERI_OP_TANH, one(g, PERI_OP_SUM, two(g, PERI_OP_MUL, Xk, one(g, PERI_OP_SIN, two(g, PERI_OP_MUL, xk, before)))));
    }
    case PIECES: return one(g, PERI_OP_SQUARE, one(g, PERI_OP_SUM, row_of(t, t->vector, k)));
    case SHARED: {
        const expr_id d = two(g, PERI_OP_SUB, Xk, A);
        return two(g, PERI_OP_MUL, entry(t, d, 1), two(g, PERI_OP_MUL, sum_of_square(t, d), one(g, PERI_OP_SUM, d)));
    }
    case POWERS: {
        const expr_id e = two(g, PERI_OP_ADD, one(g, PERI_OP_EXP, Xk), b);
        return one(g, PERI_OP_SUM, two(g, PERI_OP_POW, e, number(g, k % 2 == 0 ? 1.5 : 2.5)));
    }
    case LARGEST_ENTRY: return two(g, PERI_OP_MUL, b, one(g, PERI_OP_MAX, two(g, PERI_OP_MUL, Xk, xk)));
    case ORDERS: {
        const expr_id e = one(g, PERI_OP_SIN, xk), d = two(g, PERI_OP_ADD, Xk, b);
        return one(g, PERI_OP_SUM, k % 2 == 0 ? two(g, PERI_OP_MUL, two(g, PERI_OP_MUL, e, A), d)
                                              : two(g, PERI_OP_MUL, d, two(g, PERI_OP_MUL, A, e)));
    }
    case SPREAD: {
        expr_id column;
        check(expr_broadcast(g, one(g, PERI_OP_EXP, entry(t, t->x, k)), t->n, 1, &column));
        return one(g, PERI_OP_SUM, two(g, PERI_OP_MUL, one(g, PERI_OP_COS, column), two(g, PERI_OP_ADD, t->w, A)));
    }
    default: return one(g, PERI_OP_SUM, two(g, PERI_OP_MUL, A, one(g, PERI_OP_SOFTMAX, Xk)));
    }
}

/* In order, or out of it. */
static expr_id objective(fixture *t, int which, int rows, bool ordered)
{
    expr_id f = number(t->g, 0);
    t->vector = one(t->g, PERI_OP_EXP, t->x);
    for (int k = 0; k < rows; k++) {
        const expr_id e = term(t, which, ordered ? k : (k * 17) % rows);
        f = two(t->g, PERI_OP_ADD, f, e);
    }
    return f;
}

static void fixture_init(fixture *t, int n)
{
    uint64_t seed = 20 + (uint64_t)n;
    t->ctx = peri_context_new(NULL);
    t->g = expr_graph_new(t->ctx);
    t->n = n;
    check(expr_new_var(t->g, "X", ROWS, n, &t->X));
    check(expr_new_var(t->g, "x", ROWS * n, 1, &t->x));
    check(expr_new_var(t->g, "w", n, 1, &t->w));
    for (int k = 0; k < ROWS * n; k++)
        t->data[k] = uniform(&seed, -1, 1);
}

static void fixture_release(fixture *t)
{
    expr_graph_free(t->g);
    peri_context_free(t->ctx);
}

static int reductions(expr_graph *g, expr_id root)
{
    unsigned char *reach = calloc((size_t)g->nodes.n, 1);
    int n = 0;
    if (reach == NULL)
        exit(1);
    expr_reach(g, 1, &root, reach);
    for (expr_id e = 0; e < g->nodes.n; e++)
        n += reach[e] && (expr_at(g, e)->op == PERI_OP_SUM || expr_at(g, e)->op == PERI_OP_MAX || expr_at(g, e)->op == PERI_OP_ROWMAX);
    free(reach);
    return n;
}

/* Gradient of the graph as it was written, a column. */
static expr_id written_gradient(const fixture *t, expr_id f)
{
    const expr_id wrt[3] = {t->X, t->x, t->w}, seed = number(t->g, 1);
    expr_id parts[3], all;
    check(diff_adjoint(t->g, 1, &f, &seed, 3, wrt, parts));
    for (int k = 0; k < 3; k++)
        check(expr_reshape(t->g, parts[k], expr_size(t->g, parts[k]), 1, &parts[k]));
    check(expr_stack(t->g, 3, parts, &all));
    return all;
}

static double farthest(int64_t n, const double *got, const long double *want)
{
    double top = 1, worst = 0;
    for (int64_t k = 0; k < n; k++) {
        const double error = fabs(got[k] - (double)want[k]);
        top = fmax(top, fabs((double)want[k]));
        worst = error <= worst ? worst : error;
    }
    return worst / top;
}

static void interpret(expr_graph *g, expr_id e, const double *x, double *out)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    check(expr_interpret(g, 1, &e, inputs, &out));
}

/* The sparse Hessian of the grouped graph times v */
static void hessian_times(expr_graph *to, expr_id f, const double *x, const double *v, double *out)
{
    diff_sparse h;
    check(diff_hessian(to, f, 0, to->n_x, 10000000, &h));
    double *values = calloc((size_t)h.nnz + 1, sizeof *values);
    if (values == NULL)
        exit(1);
    if (h.nnz > 0)
        interpret(to, h.values, x, values);
    for (int64_t j = 0; j < h.cols; j++)
        for (int64_t k = h.start[j]; k < h.start[j + 1]; k++) {
            out[h.index[k]] += values[k] * v[j];
            if (h.index[k] != j)
                out[j] += values[k] * v[h.index[k]];
        }
    free(values);
    diff_sparse_free(to, &h);
}

static void test_form(int which, int n, bool ordered)
{
    static double x[MOST], v[MOST], gradient[MOST], product[MOST], value;
    static long double exact[MOST], second[MOST], f_exact, slope;
    fixture t;
    uint64_t seed = 7;
    expr_id rolled, whole, g, k;
    fixture_init(&t, n);
    const int64_t n_x = t.g->n_x;
    for (int64_t i = 0; i < n_x; i++) {
        x[i] = uniform(&seed, -1, 1);
        v[i] = uniform(&seed, -1, 1);
        product[i] = 0;
    }
    const expr_id f = objective(&t, which, ROWS, ordered);
    expr_graph *to = expr_graph_new(t.ctx);
    check(diff_roll(t.g, 1, &f, to, &rolled));
    const int left = reductions(to, rolled);
    ok(left <= form[which].left, "%s, %d entries%s: %d reductions, %d at the most", form[which].name, n, ordered ? "" : ", out of order", left,
       form[which].left);
    interpret(to, rolled, x, &value);
    ok(complex_eval(t.g, f, x, v, &f_exact, &slope) == NULL, "evaluated as it was written");
    is_close(value, (double)f_exact, 1e-12, 1e-12, "value");

    check(expr_input(to, EXPR_IN_X, 0, n_x, 1, &whole));
    check(expr_number(to, 1, &k));
    check(diff_adjoint(to, 1, &rolled, &k, 1, &whole, &g));
    interpret(to, g, x, gradient);
    double along = 0;
    for (int64_t i = 0; i < n_x; i++)
        along += gradient[i] * v[i];
    is_close(along, (double)slope, 1e-11, 1e-11, "gradient against a complex step");
    ok(complex_eval(t.g, written_gradient(&t, f), x, v, exact, second) == NULL, "gradient as it was written");
    ok(farthest(n_x, gradient, exact) < 1e-11, "gradient entry by entry: %.1e", farthest(n_x, gradient, exact));
    hessian_times(to, rolled, x, v, product);
    ok(farthest(n_x, product, second) < 1e-10, "Hessian times a direction: %.1e", farthest(n_x, product, second));
    expr_graph_free(to);
    fixture_release(&t);
}

/* Fewer than sixteen are nothing that a loop makes; rows that are roots, arguments of arrays, of several roots. */
static void test_few_and_roots(void)
{
    fixture t;
    fixture_init(&t, 5);
    static double x[MOST], got[ROWS], want[ROWS];
    uint64_t seed = 3;
    for (int64_t i = 0; i < t.g->n_x; i++)
        x[i] = uniform(&seed, -1, 1);
    expr_id rolled, rows[ROWS], images[ROWS], stack;
    expr_graph *to = expr_graph_new(t.ctx);
    const expr_id f = objective(&t, CHAIN, 15, true);
    check(diff_roll(t.g, 1, &f, to, &rolled));
    is_int(reductions(to, rolled), reductions(t.g, f), "fifteen sums stay as they are");
    expr_graph_free(to);

    for (int k = 0; k < ROWS; k++) {
        rows[k] = sum_of_square(&t, row_of(&t, t.X, k));
        interpret(t.g, rows[k], x, &want[k]);
    }
    to = expr_graph_new(t.ctx);
    check(diff_roll(t.g, ROWS, rows, to, images));
    double worst = 0;
    for (int k = 0; k < ROWS; k++) {
        interpret(to, images[k], x, &got[k]);
        worst = fmax(worst, fabs(got[k] - want[k]));
    }
    ok(worst < 1e-14, "rows as roots: %.1e", worst);
    expr_graph_free(to);

    check(expr_stack(t.g, ROWS, rows, &stack));
    to = expr_graph_new(t.ctx);
    check(diff_roll(t.g, 1, &stack, to, &rolled));
    interpret(to, rolled, x, got);
    worst = 0;
    for (int k = 0; k < ROWS; k++)
        worst = fmax(worst, fabs(got[k] - want[k]));
    ok(worst < 1e-14 && reductions(to, rolled) == 0, "and as a column, which has no reduction any more: %.1e", worst);
    expr_graph_free(to);
    fixture_release(&t);
}

static void test_memory(int which, int n)
{
    int64_t before, after, leaks = 0, failures = 0;
    peri_status status;
    int64_t k = 1;
    bool others = false;
    fixture t;
    fixture_init(&t, n);
    const expr_id f = objective(&t, which, ROWS, true);
    do {
        expr_id rolled;
        expr_graph *to = expr_graph_new(t.ctx);
        peri_memory(t.ctx, NULL, NULL, &before);
        expr_graph_free(to);
        to = expr_graph_new(t.ctx);
        peri_memory_fail_at(t.ctx, k, false);
        status = diff_roll(t.g, 1, &f, to, &rolled);
        peri_memory_fail_at(t.ctx, 0, false);
        expr_graph_free(to);
        to = expr_graph_new(t.ctx);
        peri_memory(t.ctx, NULL, NULL, &after);
        expr_graph_free(to);
        leaks += after != before;
        others = others || (status != PERI_OK && status != PERI_E_NOMEM);
        failures += status == PERI_E_NOMEM;
        k++;
    } while (status != PERI_OK && k < 100000);
    ok(status == PERI_OK && failures > 30 && !others, "%s: out of memory at %d places", form[which].name, (int)failures);
    is_int(leaks, 0, "and nothing leaks");
    fixture_release(&t);
}

int main(void)
{
    for (int which = 0; which < FORMS; which++) {
        test_form(which, 3, which % 2 == 0 || which == NESTED);
        test_form(which, LONGEST, which % 2 == 1 || which == NESTED);
    }
    test_few_and_roots();
    test_memory(DENSE, LONGEST);
    test_memory(LOGSUMEXP, 3);
    test_memory(SCALARS, LONGEST);
    test_memory(SHARED, 3);
    return tap_done();
}
