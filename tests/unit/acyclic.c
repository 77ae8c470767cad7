/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs without cycles in the engine: derivatives of the constraint's functions against differences, which models are such problems, and
 * what the certificate says of points whose graphs have no cycle.
 */
#include "oracle/acyclic.h"
#include "run/run.h"
#include "tap/tap.h"
#include "unit/text_model.h"

enum { D = 4, N = D * D };

/* A model with the variables x = W by rows, f a sum of squares around `target`, and the constraint. */
typedef struct {
    peri_context *ctx;
    peri_model *m;
    peri_expr w, h;
} graph_model;

static void must(peri_context *ctx, peri_status status)
{
    if (status == PERI_OK)
        return;
    diag("%s", peri_error(ctx));
    exit(1);
}

static graph_model graph_new(const double *start, const double *target, const char *form, bool absolute)
{
    const peri_array numbers = {D, D, target, -1, NULL, NULL};
    const double zero = 0;
    graph_model g = {.ctx = peri_context_new(NULL)};
    peri_expr e, pair[2];
    peri_constraint handle;
    g.m = peri_model_new(g.ctx, "graph");
    must(g.ctx, peri_model_var(g.m, "W", D, D, &g.w));
    must(g.ctx, peri_model_set_start(g.m, g.w, N, start));
    must(g.ctx, peri_expr_const(g.m, &numbers, &e));
    pair[0] = g.w;
    pair[1] = e;
    must(g.ctx, peri_expr_op(g.m, PERI_OP_SUB, 2, pair, &e));
    must(g.ctx, peri_expr_op(g.m, PERI_OP_SQUARE, 1, &e, &e));
    must(g.ctx, peri_expr_op(g.m, PERI_OP_SUM, 1, &e, &e));
    must(g.ctx, peri_model_minimize(g.m, e));
    must(g.ctx, peri_expr_acyclicity(g.m, g.w, form, absolute, 2, &g.h));
    must(g.ctx, peri_model_constrain(g.m, "acyclic", g.h, 1, &zero, &zero, &handle));
    return g;
}

static void graph_free(graph_model *g)
{
    peri_model_free(g->m);
    peri_context_free(g->ctx);
}

static const double CYCLIC[N] = {0.1, 0.5, -0.2, 0.3, 0.4, 0.15, 0.7, 0.2, -0.1, 0.6, 0.05, 0.3, 0.25, -0.2, 0.1, 0.02};

static void test_derivatives(void)
{
    static const char *const forms[] = {"exponential", "log-determinant", "polynomial"};
    for (int k = 0; k < 6; k++) {
        graph_model g = graph_new(CYCLIC, CYCLIC, forms[k / 2], k % 2 == 1);
        peri_derivative_check check;
        char *report = NULL;
        is_int(peri_model_check(g.m, &check, &report), PERI_OK, "%s, %s: is checked", forms[k / 2], k % 2 ? "|W|" : "W o W");
        ok(check.gradient < 1e-6 && check.jacobian < 1e-6, "%s: gradient %.1e, jacobian %.1e", forms[k / 2], check.gradient, check.jacobian);
        peri_free_text(g.ctx, report);
        graph_free(&g);
    }
}

/* h by its definition: traces of powers. */
static double by_powers(int form, double s, const double *a)
{
    double power[N], next[N], sum = 0, weight = 1;
    for (int i = 0; i < N; i++)
        power[i] = i % (D + 1) == 0;
    for (int k = 1; k <= 400; k++) {
        double trace = 0;
        for (int i = 0; i < N; i++) {
            next[i] = 0;
            for (int j = 0; j < D; j++)
                next[i] += power[i / D * D + j] * a[j * D + i % D];
        }
        for (int i = 0; i < N; i++)
            power[i] = next[i];
        for (int i = 0; i < D; i++)
            trace += power[i * (D + 1)];
        weight = form == 0 ? weight / k : form == 1 ? pow(s, -k) / k : k <= D ? weight * (D - k + 1) / k / D : 0;
        sum += weight * trace;
    }
    return sum;
}

static void test_values(void)
{
    static const char *const forms[] = {"exponential", "log-determinant", "polynomial"};
    for (int k = 0; k < 6; k++) {
        double a[N], h;
        graph_model g = graph_new(CYCLIC, CYCLIC, forms[k / 2], k % 2 == 1);
        for (int i = 0; i < N; i++)
            a[i] = k % 2 == 1 ? fabs(CYCLIC[i]) : CYCLIC[i] * CYCLIC[i];
        must(g.ctx, peri_expr_value(g.m, g.h, 0, NULL, NULL, &h));
        is_close(h, by_powers(k / 2, 2, a), 1e-10, 1e-13, "%s, %s: the sum of traces", forms[k / 2], k % 2 ? "|W|" : "W o W");
        graph_free(&g);
    }
}

/* Edges 1 -> 2 -> 4 and 1 -> 3; 4 has no way back, 3 and 4 are free to each other. */
static const double CHAIN[N] = {0, 1.5, -0.7, 0, 0, 0, 0, 2.385, 0, 0, 0, 0, 0, 0, 0, 0};

static double dual_at(const double *x, const double *target)
{
    graph_model g = graph_new(CYCLIC, target, "exponential", false);
    nlp *p;
    peri_certificate c;
    must(g.ctx, nlp_of(g.m, &p));
    const double y = 0;
    double z[N] = {0};
    must(g.ctx, certify(p, x, &y, z, &c));
    ok(c.primal <= 0 || c.dual > 0, "the certificate has numbers");
    graph_free(&g);
    return c.primal > 1e-12 ? INFINITY : c.dual;
}

static void test_certificate(void)
{
    double target[N], x[N];
    memcpy(target, CHAIN, sizeof target);
    ok(dual_at(CHAIN, target) <= 1e-12, "the minimiser itself is certified");
    target[3 * D + 0] = 0.9; /* wants 4 -> 1, which would close a cycle */
    target[1 * D + 1] = 0.4; /* and a loop */
    ok(dual_at(CHAIN, target) <= 1e-12, "and where edges that close cycles are wanted");
    target[2 * D + 3] = 0.6; /* wants 3 -> 4, which closes none */
    ok(dual_at(CHAIN, target) > 0.1, "but not where an edge is wanted that may be");
    memcpy(x, CHAIN, sizeof x);
    x[2 * D + 3] = 0.6;
    ok(dual_at(x, target) <= 1e-12, "which certifies the point that has it");
    x[3 * D + 0] = 0.9;
    ok(isinf(dual_at(x, target)), "a cycle violates the constraint");
}

/* A triangular matrix of large weights, its nodes mixed: elimination in another order than theirs rounds. */
static void test_rounding(void)
{
    enum { BIG = 40 };
    peri_context *ctx = peri_context_new(NULL);
    peri_model *m = peri_model_new(ctx, "big");
    peri_expr w, h, f;
    peri_constraint handle;
    const double zero = 0;
    static double x[BIG * BIG];
    double c;
    nlp *p;
    nlp_acyclic *a;
    for (int i = 0; i < BIG; i++)
        for (int j = 0; j < i; j++)
            x[i * 17 % BIG * BIG + j * 17 % BIG] = 1.5 + 0.01 * (i % 7);
    must(ctx, peri_model_var(m, "W", BIG, BIG, &w));
    must(ctx, peri_expr_op(m, PERI_OP_SUM, 1, &w, &f));
    must(ctx, peri_model_minimize(m, f));
    must(ctx, peri_expr_acyclicity(m, w, "log-determinant", false, 1, &h));
    must(ctx, peri_model_constrain(m, NULL, h, 1, &zero, &zero, &handle));
    must(ctx, nlp_of(m, &p));
    must(ctx, nlp_c(p, x, &c));
    ok(fabs(c) > 1e-12, "rounding alone makes h %.1e", c);
    must(ctx, nlp_acyclic_of(p, &a));
    must(ctx, nlp_c(p, x, &c));
    is_close(c, 0, 0, 0, "where the graph is known h is zero");
    x[0] = 1e-3;
    must(ctx, nlp_c(p, x, &c));
    ok(fabs(c) > 0, "and is not once there is a cycle");
    peri_model_free(m);
    peri_context_free(ctx);
}

static void test_closures(void)
{
    unsigned char closes[N];
    graph_model g = graph_new(CYCLIC, CYCLIC, "polynomial", false);
    nlp *p;
    nlp_acyclic *a;
    static const unsigned char want[N] = {1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1}; /* 2->1 3->1 4->1 4->2 and loops */
    must(g.ctx, nlp_of(g.m, &p));
    must(g.ctx, nlp_acyclic_of(p, &a));
    ok(nlp_weights_are_acyclic(a, CHAIN) && !nlp_weights_are_acyclic(a, CYCLIC), "cycles are seen");
    nlp_acyclic_closures(a, CHAIN, closes);
    ok(memcmp(closes, want, sizeof want) == 0, "edges that would close one");
    is_int(a->block.d, D, "nodes");
    is_int(a->entry[5], 5, "a variable's weight");
    is_int(a->block.form, PERI_ACYCLIC_POLYNOMIAL, "the form");
    ok(a->block.linear && !a->block.absolute, "linear, of W o W");
    graph_free(&g);
}

/* W_ij = P_ij - N_ij with N >= 0, P >= 0 and weights of both: the multiplier of a weight that is held has an interval, or none. */
static void test_split(void)
{
    for (int k = 0; k < 2; k++) {
        text_model t = text_new(peri_context_new(NULL), 4, (double[]){0, 0, 0, 0});
        const double zero = 0, lower[4] = {0, 0, 0, 0}, sign[4] = {1, -1, 1, -1};
        const peri_array signs = {4, 1, sign, -1, NULL, NULL};
        peri_expr n, w, h;
        peri_constraint handle;
        peri_certificate c;
        nlp *view;
        must(t.ctx, peri_model_set_lower(t.m, t.x, 4, lower));
        must(t.ctx, peri_expr_const(t.m, &signs, &n));
        must(t.ctx, peri_expr_op(t.m, PERI_OP_MUL, 2, (peri_expr[]){t.x, n}, &w));
        must(t.ctx, peri_expr_scatter(t.m, w, 2, 2, (int64_t[]){1, 1, 2, 2}, &w)); /* x1 - x2 for 1 -> 2, x3 - x4 for 2 -> 1 */
        must(t.ctx, peri_expr_acyclicity(t.m, w, "exponential", false, 1, &h));
        must(t.ctx, peri_model_constrain(t.m, NULL, h, 1, &zero, &zero, &handle));
        text_minimize(&t, k == 0 ? "(x1-x2-1.5)^2 + (x3-x4-0.5)^2 + 0.1*(x1+x2+x3+x4)"   /* l1: the interval is not empty */
                                 : "(x1-x2-1.5)^2 + (x3-x4-0.5)^2 + 0.1*(x1+x2-x3-x4)"); /* rewards x3 + x4, which W does not see */
        must(t.ctx, nlp_of(t.m, &view));
        must(t.ctx, certify(view, (double[]){1.45, 0, 0, 0}, &zero, (double[]){0, 0.2, 0, 0}, &c));
        ok(k == 0 ? c.dual <= 1e-9 : c.dual > 0.01, "%s: dual residual %.1e", k == 0 ? "split weights with an l1 norm" : "and with a reward", c.dual);
        peri_model_free(t.m);
        peri_context_free(t.ctx);
    }
}

static bool is_graph(peri_model *m)
{
    nlp *p;
    uint64_t traits = 0;
    must(peri_model_context(m), nlp_of(m, &p));
    must(peri_model_context(m), nlp_traits(p, PERI_BIT(PERI_TRAIT_ACYCLIC), &traits));
    return (traits & PERI_BIT(PERI_TRAIT_ACYCLIC)) != 0;
}

static void test_trait(void)
{
    const double zero = 0, small = 1e-3, none = -INFINITY;
    peri_constraint handle;
    peri_expr w, h;
    graph_model g = graph_new(CYCLIC, CYCLIC, "exponential", false);
    ok(is_graph(g.m), "h = 0 makes it a problem of graphs");
    must(g.ctx, peri_model_constrain(g.m, NULL, g.h, 1, &zero, &zero, &handle));
    ok(!is_graph(g.m), "two constraints on graphs are none to be recognised");
    graph_free(&g);
    for (int k = 0; k < 3; k++) {
        text_model t = text_new(peri_context_new(NULL), 4, (double[]){0, 0.1, 0.2, 0});
        text_minimize(&t, "(x2-1)^2 + (x3-1)^2");
        must(t.ctx, peri_expr_scatter(t.m, t.x, 2, 2, k == 0 ? (int64_t[]){0, 1, 2, 3} : (int64_t[]){0, 1, 1, 2}, &w));
        if (k == 2) { /* x2 and x3 in both weights */
            peri_expr other;
            must(t.ctx, peri_expr_reshape(t.m, t.x, 2, 2, &other));
            must(t.ctx, peri_expr_op(t.m, PERI_OP_MATMUL, 2, (peri_expr[]){other, w}, &w));
        }
        must(t.ctx, peri_expr_acyclicity(t.m, w, "exponential", false, 1, &h));
        must(t.ctx, peri_model_constrain(t.m, NULL, h, 1, &none, k == 0 ? &small : &zero, &handle));
        ok(is_graph(t.m) == (k == 1), "%s", k == 0 ? "h <= 0.001 is another constraint" : k == 1 ? "h <= 0 is the same as h = 0"
                                                                                      : "weights that share variables are no graph to be seen");
        peri_model_free(t.m);
        peri_context_free(t.ctx);
    }
}

static void test_refusals(void)
{
    peri_context *ctx = peri_context_new(NULL);
    peri_model *m = peri_model_new(ctx, "m");
    peri_expr w, v, out;
    must(ctx, peri_model_var(m, "W", 3, 3, &w));
    must(ctx, peri_model_var(m, "V", 3, 4, &v));
    is_int(peri_expr_acyclicity(m, v, "exponential", false, 1, &out), PERI_E_SHAPE, "a matrix that is not square");
    is_text(peri_error(ctx), "acyclic: V (matrix 3 x 4) is not square: entry [i][j] is the weight of the edge from i to j", "and why");
    is_int(peri_expr_acyclicity(m, w, "exp", false, 1, &out), PERI_E_ARGUMENT, "a form that there is not");
    is_int(peri_expr_acyclicity(m, w, "log-determinant", false, 0, &out), PERI_E_ARGUMENT, "s = 0");
    is_int(peri_expr_acyclicity(m, w, "log-determinant", false, NAN, &out), PERI_E_ARGUMENT, "s = NaN");
    is_int(peri_expr_acyclicity(m, 4711, "exponential", false, 1, &out), PERI_E_ARGUMENT, "no expression");
    peri_model_free(m);
    peri_context_free(ctx);
}

/* Every allocation fails once, with the trait asked for and a point certified. */
static void test_memory(void)
{
    int64_t k = 0;
    for (bool done = false; !done; k++) {
        graph_model g = graph_new(CYCLIC, CYCLIC, "exponential", false);
        peri_certificate c;
        nlp *p;
        uint64_t traits;
        const double y = 0;
        double z[N] = {0};
        peri_memory_fail_at(g.ctx, k + 1, false);
        peri_status status = nlp_of(g.m, &p);
        if (status == PERI_OK)
            status = nlp_traits(p, PERI_BIT(PERI_TRAIT_ACYCLIC), &traits);
        if (status == PERI_OK)
            status = certify(p, CHAIN, &y, z, &c);
        peri_memory_fail_at(g.ctx, 0, false);
        done = status == PERI_OK;
        if (!done && status != PERI_E_NOMEM) {
            ok(false, "allocation %lld: %s", (long long)k + 1, peri_error(g.ctx));
            done = true;
        }
        if (!is_graph(g.m))
            ok(false, "after allocation %lld the model is what it was", (long long)k + 1);
        graph_free(&g);
    }
    ok(k > 100, "%lld allocations failed, one after the other", (long long)k - 1);
}

int main(void)
{
    plan_later();
    test_derivatives();
    test_values();
    test_closures();
    test_certificate();
    test_rounding();
    test_split();
    test_trait();
    test_refusals();
    test_memory();
    return tap_done();
}
