/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values and derivatives of random expressions over every operation and every broadcast shape: against loops of the test's own, against difference
 * quotients of fourth order, and against each other (reverse, forward, sparse, dense, before and after grouping).
 */
#include "diff/diff.h"
#include "tap/tap.h"
#include "unit/random_graph.h"
#include <math.h>
#include <string.h>

enum { GRAPHS = 60, STEPS = 220, N = 28 }; /* N: entries of the variables in all */

typedef struct {
    double value, gradient, gradient_forward, hessian, jacobian, products, rolled; /* largest errors */
    double checked; /* entries of gradients and Hessians that differences could judge */
} errors;

static void larger(double *worst, double error)
{
    if (!(error <= *worst)) /* a NaN counts */
        *worst = isnan(error) ? INFINITY : error;
}

static double relative(double got, double want)
{
    const double scale = fabs(want) > 1 ? fabs(want) : 1;
    return fabs(got - want) / scale;
}

static double eval(expr_graph *g, expr_id root, const double *x)
{
    double f = NAN, *outs[1] = {&f};
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    return expr_interpret(g, 1, &root, inputs, outs) == PERI_OK ? f : NAN;
}

static bool eval_array(expr_graph *g, expr_id root, const double *x, const double *v, double *out)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_V] = v};
    return expr_interpret(g, 1, &root, inputs, &out) == PERI_OK;
}

/* Fourth-order central difference of a function of x along direction j. */
static double difference(expr_graph *g, expr_id root, const double *x, int j, double h)
{
    double at[N], f[4];
    static const double steps[4] = {-2, -1, 1, 2};
    memcpy(at, x, sizeof at);
    for (int k = 0; k < 4; k++) {
        at[j] = x[j] + steps[k] * h;
        f[k] = eval(g, root, at);
    }
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
}

static bool check_gradient(random_graph *r, expr_id root, const double *x, errors *e)
{
    expr_graph *g = r->m->g;
    expr_id whole, one, gradient, direction, tangent;
    double got[N], jv, v[N], dot = 0;
    if (expr_input(g, EXPR_IN_X, 0, N, 1, &whole) != PERI_OK || expr_number(g, 1, &one) != PERI_OK ||
        diff_adjoint(g, 1, &root, &one, 1, &whole, &gradient) != PERI_OK || !eval_array(g, gradient, x, NULL, got))
        return false;
    int trusted = 0;
    for (int j = 0; j < N; j++) {
        const double want = difference(g, root, x, j, 1e-3);
        if (!(relative(difference(g, root, x, j, 3e-3), want) < 2e-7))
            continue; /* a kink or a sharp bend within the stencil: two step lengths disagree */
        trusted++;
        larger(&e->gradient, relative(got[j], want));
    }
    e->checked += trusted;
    for (int j = 0; j < N; j++) {
        v[j] = random_number(r, -1, 1);
        dot += v[j] * got[j];
    }
    if (expr_input(g, EXPR_IN_V, 0, N, 1, &direction) != PERI_OK ||
        diff_tangent(g, 1, &root, 1, &whole, &direction, &tangent) != PERI_OK || !eval_array(g, tangent, x, v, &jv))
        return false;
    larger(&e->gradient_forward, relative(jv, dot));
    return true;
}

/* Column j of the Hessian, column[i * N], from differences of the gradient; NaN where two step lengths disagree. */
static bool hessian_column(expr_graph *g, expr_id gradient, const double *x, int j, double *column)
{
    static const double steps[2] = {1e-3, 3e-3};
    double at[N], value[4][N], estimate[2][N];
    memcpy(at, x, sizeof at);
    for (int k = 0; k < 2; k++) {
        for (int p = 0; p < 4; p++) {
            at[j] = x[j] + (p < 2 ? p - 2 : p - 1) * steps[k];
            if (!eval_array(g, gradient, at, NULL, value[p]))
                return false;
        }
        for (int i = 0; i < N; i++)
            estimate[k][i] = (value[0][i] - 8 * value[1][i] + 8 * value[2][i] - value[3][i]) / (12 * steps[k]);
    }
    for (int i = 0; i < N; i++)
        column[i * N] = relative(estimate[1][i], estimate[0][i]) < 1e-6 ? estimate[0][i] : NAN;
    return true;
}

/* Dense Hessian by reverse over reverse, sparse Hessian, Hessian times vector by forward over reverse, and differences of the gradient. */
static bool check_hessian(random_graph *r, expr_id root, const double *x, errors *e)
{
    expr_graph *g = r->m->g;
    expr_id whole, one, gradient, direction, product;
    double dense[N * N], v[N], hv[N];
    diff_sparse s;
    if (expr_input(g, EXPR_IN_X, 0, N, 1, &whole) != PERI_OK || expr_number(g, 1, &one) != PERI_OK ||
        diff_adjoint(g, 1, &root, &one, 1, &whole, &gradient) != PERI_OK)
        return false;
    for (int j = 0; j < N; j++)
        if (!hessian_column(g, gradient, x, j, &dense[j]))
            return false;
    for (int j = 0; j < N; j++)
        v[j] = random_number(r, -1, 1);
    if (expr_input(g, EXPR_IN_V, 0, N, 1, &direction) != PERI_OK ||
        diff_tangent(g, 1, &gradient, 1, &whole, &direction, &product) != PERI_OK || !eval_array(g, product, x, v, hv))
        return false;
    for (int i = 0; i < N; i++) {
        double want = 0;
        for (int j = 0; j < N; j++)
            want += dense[i * N + j] * v[j];
        if (!isnan(want))
            larger(&e->products, relative(hv[i], want));
    }
    const peri_status status = diff_hessian(g, root, 0, N, 100000, &s);
    if (status == PERI_E_UNSUPPORTED)
        return true; /* logdet, inv, expm: products only */
    if (status != PERI_OK)
        return false;
    double value[N * N], lower[N * N] = {0};
    bool ok = s.nnz == 0 || eval_array(g, s.values, x, NULL, value);
    for (int j = 0; j < N; j++)
        for (int64_t k = s.start[j]; k < s.start[j + 1]; k++) {
            ok = ok && s.index[k] >= j && (k == s.start[j] || s.index[k] > s.index[k - 1]);
            lower[s.index[k] * N + j] = value[k];
        }
    for (int j = 0; j < N; j++)
        for (int i = j; i < N; i++)
            if (!isnan(dense[i * N + j])) {
                larger(&e->hessian, relative(lower[i * N + j], dense[i * N + j]));
                e->checked++;
            }
    diff_sparse_free(g, &s);
    return ok;
}

/* The sparse Jacobian of a vector against reverse sweeps, one a row. */
static bool check_jacobian(random_graph *r, const double *x, errors *e)
{
    expr_graph *g = r->m->g;
    expr_id parts[8], root, whole, one;
    int n = 0;
    for (int k = r->n - 1; k >= 0 && n < 8; k--)
        if (r->item[k].smooth && expr_reshape(g, r->item[k].e, r->item[k].rows * r->item[k].cols, 1, &parts[n]) == PERI_OK)
            n++;
    if (expr_stack(g, n, parts, &root) != PERI_OK || expr_input(g, EXPR_IN_X, 0, N, 1, &whole) != PERI_OK || expr_number(g, 1, &one) != PERI_OK)
        return false;
    diff_sparse s;
    const int64_t rows = expr_size(g, root);
    const peri_status status = diff_jacobian(g, root, 0, N, &s);
    if (status == PERI_E_UNSUPPORTED)
        return true;
    double value[8 * RANDOM_SIZE * N], row[N];
    if (status != PERI_OK)
        return false;
    bool ok = s.rows == rows && s.cols == N && (s.nnz == 0 || eval_array(g, s.values, x, NULL, value));
    for (int64_t i = 0; i < rows && ok; i++) {
        expr_id entry, gradient;
        double got[N] = {0};
        ok = expr_gather_affine(g, root, 1, 1, i, 1, &entry) == PERI_OK && diff_adjoint(g, 1, &entry, &one, 1, &whole, &gradient) == PERI_OK &&
             eval_array(g, gradient, x, NULL, row);
        for (int j = 0; j < N; j++)
            for (int64_t k = s.start[j]; k < s.start[j + 1]; k++)
                if (s.index[k] == i)
                    got[j] = value[k];
        for (int j = 0; j < N && ok; j++)
            larger(&e->jacobian, relative(got[j], row[j]));
    }
    diff_sparse_free(g, &s);
    return ok;
}

static bool check_rolled(random_graph *r, expr_id root, const double *x, double want, errors *e)
{
    expr_graph *to = expr_graph_new(r->ctx);
    expr_id rolled;
    const bool ok = to != NULL && diff_roll(r->m->g, 1, &root, to, &rolled) == PERI_OK;
    if (ok)
        larger(&e->rolled, relative(eval(to, rolled, x), want));
    if (to != NULL)
        expr_graph_free(to);
    return ok;
}

static bool check_graph(peri_context *ctx, uint64_t seed, errors *e, int made[PERI_OP_COUNT])
{
    random_graph r;
    expr_id root;
    double x[N], value;
    bool ok = random_graph_make(&r, ctx, seed, STEPS);
    int at = 0;
    for (int k = 0; k < r.n_vars; k++) {
        memcpy(x + at, r.item[k].value, sizeof *x * (size_t)(r.item[k].rows * r.item[k].cols));
        at += r.item[k].rows * r.item[k].cols;
    }
    for (int k = r.n_vars; k < r.n && ok; k++) {
        double got[RANDOM_SIZE];
        ok = peri_expr_value(r.m, r.item[k].e, 0, NULL, NULL, got) == PERI_OK;
        for (int i = 0; i < r.item[k].rows * r.item[k].cols && ok; i++)
            larger(&e->value, relative(got[i], r.item[k].value[i]));
    }
    ok = ok && random_graph_root(&r, false, &root, &value) && check_gradient(&r, root, x, e) && check_rolled(&r, root, x, value, e);
    ok = ok && random_graph_root(&r, true, &root, &value) && check_hessian(&r, root, x, e) && check_jacobian(&r, x, e);
    if (!ok)
        diag("graph %d: %s", (int)seed, peri_error(ctx));
    for (int k = 0; k < PERI_OP_COUNT; k++)
        made[k] += r.made[k];
    random_graph_free(&r);
    return ok;
}

int main(void)
{
    peri_context *ctx = peri_context_new(NULL);
    errors e = {0};
    int made[PERI_OP_COUNT] = {0};
    bool all = true;
    plan_later();
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        errors one = {0};
        all = check_graph(ctx, seed, &one, made) && all;
        if (one.value > 1e-10 || one.gradient > 1e-6 || one.hessian > 1e-5 || one.products > 1e-5 || one.jacobian > 1e-9 ||
            one.gradient_forward > 1e-9 || one.rolled > 1e-10)
            diag("graph %d: value %g gradient %g forward %g hessian %g products %g jacobian %g rolled %g", (int)seed, one.value, one.gradient,
                 one.gradient_forward, one.hessian, one.products, one.jacobian, one.rolled);
        const double *from = &one.value;
        double *to = &e.value;
        for (size_t k = 0; k < sizeof e / sizeof(double) - 1; k++)
            larger(&to[k], from[k]);
        e.checked += one.checked;
    }
    ok(all, "%d random graphs of %d operations are built and differentiated", (int)GRAPHS, (int)STEPS);
    ok(e.value <= 1e-10, "values agree with plain loops: %.1e", e.value);
    ok(e.rolled <= 1e-10, "grouping repeated structure changes no value: %.1e", e.rolled);
    ok(e.checked > 0.8 * GRAPHS * (N + N * (N + 1) / 2) * 0.8, "differences can judge %.0f entries", e.checked);
    ok(e.gradient <= 1e-6, "gradients agree with differences: %.1e", e.gradient); /* stencil error h^4 */
    ok(e.gradient_forward <= 1e-9, "forward and reverse mode agree: %.1e", e.gradient_forward);
    ok(e.products <= 1e-5, "Hessian times vector agrees with differences of the gradient: %.1e", e.products);
    ok(e.hessian <= 1e-5, "the sparse Hessian agrees with differences of the gradient: %.1e", e.hessian);
    ok(e.jacobian <= 1e-9, "the sparse Jacobian agrees with reverse sweeps: %.1e", e.jacobian);
    for (int op = 0; op < PERI_OP_COUNT; op++)
        if (op != PERI_OP_CONST && op != PERI_OP_INPUT && op != PERI_OP_STOP && op != PERI_OP_CALLGRAD && op != PERI_OP_RULE)
            ok(made[op] > 0, "%s was among them %d times", peri_op_name((peri_op)op), made[op]);
    peri_context_free(ctx);
    return tap_done();
}
