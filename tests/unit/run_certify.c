/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate: known Karush-Kuhn-Tucker points pass, with given and with estimated multipliers; the same points
 * moved, or with multipliers changed in size or sign, do not. Problems of Hock and Schittkowski (Test Examples for
 * Nonlinear Programming Codes, 1981), whose multipliers follow from their solutions by hand.
 */
#include "run/internal.h"
#include "tap/tap.h"
#include "unit/text_model.h"

typedef struct {
    const char *name, *f;
    int64_t n;
    double lower, upper;

    struct {
        double lower;
        const char *c;
        double upper;
    } rows[3];

    double x[4], y[3], z[4]; /* solution */
} problem;

#define FREE -INFINITY, INFINITY
static const problem PROBLEMS[] = {
    {"rosenbrock", "(1-x1)^2+100*(x2-x1^2)^2", 2, FREE, {{0, NULL, 0}}, {1, 1}, {0}, {0}},
    {"bounded quadratic", "(x1+1)^2+(x2-3)^2+(x3-0.5)^2", 3, 0, 2, {{0, NULL, 0}}, {0, 2, 0.5}, {0}, {2, -2, 0}},
    {"hs6", "(1-x1)^2", 2, FREE, {{0, "10*(x2-x1^2)", 0}}, {1, 1}, {0}, {0}},
    {"hs7",
     "log(1+x1^2)-x2",
     2,
     FREE,
     {{4, "(1+x1^2)^2+x2^2", 4}},
     {0, 1.7320508075688772},
     {-0.28867513459481287},
     {0}},
    {"hs12", "0.5*x1^2+x2^2-x1*x2-7*x1-7*x2", 2, FREE, {{-INFINITY, "4*x1^2+x2^2", 25}}, {2, 3}, {-0.5}, {0}},
    {"hs28", "(x1+x2)^2+(x2+x3)^2", 3, FREE, {{1, "x1+2*x2+3*x3", 1}}, {0.5, -0.5, 0.5}, {0}, {0}},
    {"hs35",
     "9-8*x1-6*x2-4*x3+2*x1^2+2*x2^2+x3^2+2*x1*x2+2*x1*x3",
     3,
     0,
     INFINITY,
     {{-INFINITY, "x1+x2+2*x3", 3}},
     {4.0 / 3, 7.0 / 9, 4.0 / 9},
     {-2.0 / 9},
     {0}},
    {"hs43",
     "x1^2+x2^2+2*x3^2+x4^2-5*x1-5*x2-21*x3+7*x4",
     4,
     FREE,
     {{-INFINITY, "x1^2+x2^2+x3^2+x4^2+x1-x2+x3-x4", 8},
      {-INFINITY, "x1^2+2*x2^2+x3^2+2*x4^2-x1-x4", 10},
      {-INFINITY, "2*x1^2+x2^2+x3^2+2*x1-x2-x4", 5}},
     {0, 1, 2, -1},
     {-1, 0, -2},
     {0}},
    {"hs76",
     "x1^2+0.5*x2^2+x3^2+0.5*x4^2-x1*x3+x3*x4-x1-3*x2+x3-x4",
     4,
     0,
     INFINITY,
     {{-INFINITY, "x1+2*x2+x3+x4", 5}, {-INFINITY, "3*x1+x2+2*x3-x4", 4}, {1.5, "x2+4*x3", INFINITY}},
     {3.0 / 11, 23.0 / 11, 0, 6.0 / 11},
     {-5.0 / 11, 0, 0},
     {0, 0, 19.0 / 11, 0}},
    {"interval row", "(x1-3)^2+(x2-3)^2", 2, FREE, {{1, "x1+x2", 4}}, {2, 2}, {-2}, {0}},
};

enum { N_PROBLEMS = sizeof PROBLEMS / sizeof PROBLEMS[0] };

static text_model build(peri_context *ctx, const problem *q)
{
    text_model t = text_new(ctx, q->n, NULL);
    text_bounds(&t, q->lower, q->upper);
    text_minimize(&t, q->f);
    for (int i = 0; i < 3 && q->rows[i].c != NULL; i++)
        text_constrain(&t, "c", q->rows[i].lower, q->rows[i].c, q->rows[i].upper);
    return t;
}

static double kkt(nlp *p, const double *x, const double *y, const double *z)
{
    peri_certificate c;
    ok(certify(p, x, y, z, &c) == PERI_OK && c.kkt >= c.primal && c.kkt >= c.dual && c.kkt >= c.complementarity,
       "certified");
    return c.kkt;
}

static void test_given(nlp *p, const problem *q)
{
    ok(kkt(p, q->x, q->y, q->z) < 1e-12, "%s: its solution is one", q->name);
    for (int64_t j = 0; j < p->n; j++) {
        double x[4], z[4];
        memcpy(x, q->x, sizeof x);
        memcpy(z, q->z, sizeof z);
        x[j] += 0.01;
        ok(kkt(p, x, q->y, q->z) > 1e-4, "%s: x%d moved is none", q->name, (int)j + 1);
        z[j] += 0.01;
        ok(kkt(p, q->x, q->y, z) > 1e-4, "%s: z%d changed is none", q->name, (int)j + 1);
        z[j] = -q->z[j];
        if (z[j] < 0 || z[j] > 0)
            ok(kkt(p, q->x, q->y, z) > 0.1, "%s: z%d with the wrong sign is none", q->name, (int)j + 1);
    }
    for (int64_t i = 0; i < p->m; i++) {
        double y[3];
        memcpy(y, q->y, sizeof y);
        y[i] += 0.01;
        ok(kkt(p, q->x, y, q->z) > 1e-4, "%s: y%d changed is none", q->name, (int)i + 1);
        y[i] = -q->y[i];
        if (y[i] < 0 || y[i] > 0)
            ok(kkt(p, q->x, y, q->z) > 0.05, "%s: y%d with the wrong sign is none", q->name, (int)i + 1);
    }
}

static void test_estimated(nlp *p, const problem *q)
{
    double y[3] = {9, 9, 9}, z[4] = {9, 9, 9, 9}, x[4];
    ok(certify_estimate(p, q->x, NULL, y, z) == PERI_OK, "%s: multipliers estimated", q->name);
    all_close(p->m, y, q->y, 1e-8, 1e-9, "%s: y", q->name);
    all_close(p->n, z, q->z, 1e-8, 1e-9, "%s: z", q->name);
    ok(certify_estimate(p, q->x, q->y, y, z) == PERI_OK, "%s: bounds' multipliers from the others", q->name);
    all_close(p->n, z, q->z, 1e-8, 1e-9, "%s: z", q->name);
    ok(kkt(p, q->x, NULL, NULL) < 1e-8, "%s: certified without any given", q->name);
    memcpy(x, q->x, sizeof x);
    x[0] += 0.02;
    ok(kkt(p, x, NULL, NULL) > 1e-4, "%s: the moved point is not, whatever the multipliers", q->name);
}

/* The estimate must not invent a multiplier with the wrong sign: the constraint could be left for a better point. */
static void test_signs(peri_context *ctx)
{
    const double x[2] = {2, 2}, two[2] = {-1, 5};
    nlp *p;
    peri_certificate c;
    double y = NAN, z[2];
    text_model t = text_new(ctx, 2, NULL);
    text_minimize(&t, "(x1-1)^2+(x2-1)^2");
    text_constrain(&t, "c", -INFINITY, "x1+x2", 4); /* active at x, but the objective falls inwards */
    ok(nlp_of(t.m, &p) == PERI_OK && certify_estimate(p, x, NULL, &y, z) == PERI_OK,
       "an active constraint that does not hold back");
    ok(y == 0, "has no multiplier");
    ok(certify(p, x, NULL, NULL, &c) == PERI_OK && c.dual > 0.5, "and the point is not certified");
    y = 2;
    z[0] = z[1] = 0;
    ok(certify(p, x, &y, z, &c) == PERI_OK && c.dual > 0.5,
       "not even with the multiplier that makes the gradient vanish");
    peri_model_free(t.m);
    t = text_new(ctx, 2, NULL);
    text_bounds(&t, -1, INFINITY);
    text_minimize(&t, "0-x1+(x2-5)^2");
    z[0] = -1;
    z[1] = 0;
    ok(nlp_of(t.m, &p) == PERI_OK && certify(p, two, NULL, z, &c) == PERI_OK && c.dual >= 1,
       "a multiplier without a side counts as dual residual");
    peri_model_free(t.m);
}

static void test_definitions(peri_context *ctx)
{
    const double x[2] = {3, 0.25}, z[2] = {0, 0}, y = 400;
    nlp *p;
    peri_certificate c;
    text_model t = text_new(ctx, 2, NULL);
    text_bounds(&t, 0, 2.5);
    text_minimize(&t, "100*x1");
    text_constrain(&t, "c", 1, "x2", INFINITY);
    ok(nlp_of(t.m, &p) == PERI_OK && certify(p, x, &y, z, &c) == PERI_OK, "a certificate by hand");
    is_close(c.primal, 0.75, 1e-15, 0, "primal is the largest violation, of a constraint here");
    is_close(c.dual, 400 / 133.33333333333334, 1e-12, 0, "dual is relative to the mean multiplier, if that is largest");
    is_close(c.complementarity, 400 * 0.75 / 133.33333333333334, 1e-12, 0, "complementarity too");
    is_close(c.kkt, 3, 1e-12, 0, "kkt is the largest");
    const double half[2] = {1.5, 1}, zero = 0, z_right[2] = {100, 0};
    ok(peri_model_set_integer(t.m, t.x) == PERI_OK && nlp_of(t.m, &p) == PERI_OK &&
           certify(p, half, &zero, z_right, &c) == PERI_OK,
       "integer variables");
    is_close(c.primal, 0.5, 1e-15, 0, "must be integer");
    is_close(c.dual, 0, 0, 1e-15, "and count as fixed otherwise");
    peri_model_free(t.m);
}

static void test_undefined(peri_context *ctx)
{
    const double x[1] = {-1}, nan_x[1] = {NAN}, fine[1] = {1}, z[1] = {0}, bad[1] = {NAN};
    nlp *p;
    peri_certificate c;
    text_model t = text_new(ctx, 1, NULL);
    text_minimize(&t, "log(x1)-x1");
    ok(nlp_of(t.m, &p) == PERI_OK && certify(p, x, NULL, z, &c) == PERI_OK && isinf(c.kkt), "undefined: infinite");
    ok(certify(p, nan_x, NULL, z, &c) == PERI_OK && isinf(c.kkt) && isinf(c.primal), "not a number: infinite");
    ok(certify(p, fine, NULL, bad, &c) == PERI_OK && isinf(c.kkt), "a multiplier that is none: infinite");
    ok(certify(p, fine, NULL, z, &c) == PERI_OK && c.kkt == 0, "and the optimum is exact");
    peri_model_free(t.m);
}

static void test_violation(peri_context *ctx)
{
    const double middle[2] = {0, 0.5}, off[2] = {0.3, 0.5}, outside[2] = {2, 0}, inside[2] = {0.5, 0};
    nlp *p;
    double slope;
    text_model t = text_new(ctx, 2, NULL);
    text_constrain(&t, "a", 1, "x1", INFINITY);
    text_constrain(&t, "b", -INFINITY, "x1", -1);
    ok(nlp_of(t.m, &p) == PERI_OK && certify_violation(p, middle, &slope) == PERI_OK && slope < 1e-12,
       "contradicting rows");
    ok(certify_violation(p, off, &slope) == PERI_OK && slope < 1e-12, "the sum of violations is the same between them");
    ok(certify_violation(p, outside, &slope) == PERI_OK && slope > 0.5, "and can be reduced outside");
    peri_model_free(t.m);
    t = text_new(ctx, 2, NULL);
    text_constrain(&t, "disc", -INFINITY, "x1^2+x2^2", -1);
    const double zero[2] = {0, 0}, almost[2] = {1e-11, 0}, near[2] = {0.1, 0};
    ok(nlp_of(t.m, &p) == PERI_OK && certify_violation(p, zero, &slope) == PERI_OK && slope < 1e-12,
       "a disc of negative radius");
    ok(certify_violation(p, almost, &slope) == PERI_OK && slope < 1e-4, "a disc of negative radius, up to rounding");
    ok(certify_violation(p, near, &slope) == PERI_OK && slope > 0.5, "not at other points");
    peri_model_free(t.m);
    t = text_new(ctx, 2, NULL);
    text_bounds(&t, 0, 0.9);
    text_constrain(&t, "a", 2, "x1+x2", INFINITY);
    const double corner[2] = {0.9, 0.9}, interior[2] = {0.4, 0.5};
    ok(nlp_of(t.m, &p) == PERI_OK && certify_violation(p, corner, &slope) == PERI_OK && slope < 1e-12,
       "bounds against a row");
    ok(certify_violation(p, interior, &slope) == PERI_OK && slope > 0.1, "but not inside the bounds");
    ok(certify_violation(p, inside, &slope) == PERI_OK, "asked anywhere");
    peri_model_free(t.m);
    t = text_new(ctx, 2, NULL);
    text_constrain(&t, "a", 0, "x1", 1);
    ok(nlp_of(t.m, &p) == PERI_OK && certify_violation(p, inside, &slope) == PERI_OK && isinf(slope),
       "a feasible point is no evidence");
    peri_model_free(t.m);
}

/* Many rows, most of them inactive, multipliers known by construction. */
static void test_large(peri_context *ctx)
{
    enum { N = 60 };

    double x[N], y_want[N], y[N], z[N], grad[N];
    text_model t = text_new(ctx, N, NULL);
    peri_expr sum = text_expr(&t, "0*x1");
    for (int i = 0; i < N; i++) {
        x[i] = sin(i);
        y_want[i] = 0;
        grad[i] = 0;
    }
    char text[128];
    for (int i = 0; i < N; i++) {
        const int j = (i + 1) % N;
        const double c = x[i] * x[i] + 2 * x[j], slack = i % 3 == 0 ? 0 : 1;
        y_want[i] = slack > 0 ? 0 : 1 + i % 5;
        grad[i] += 2 * x[i] * y_want[i];
        grad[j] += 2 * y_want[i];
        snprintf(text, sizeof text, "x%d^2+2*x%d", i + 1, j + 1);
        text_constrain(&t, "row", c - slack, text, INFINITY);
    }
    for (int i = 0; i < N; i++) {
        peri_expr g, xi = PERI_NO_EXPR, args[2];
        ok(peri_expr_number(t.m, grad[i], &g) == PERI_OK && peri_expr_range(t.m, t.x, 1, 1, i, 1, &xi) == PERI_OK,
           "a term");
        args[0] = g;
        args[1] = xi;
        ok(peri_expr_op(t.m, PERI_OP_MUL, 2, args, &g) == PERI_OK, "of the objective");
        args[0] = sum;
        args[1] = g;
        ok(peri_expr_op(t.m, PERI_OP_ADD, 2, args, &sum) == PERI_OK, "added");
    }
    nlp *p = NULL;
    peri_certificate c;
    ok(peri_model_minimize(t.m, sum) == PERI_OK && nlp_of(t.m, &p) == PERI_OK, "a larger problem");
    ok(certify_estimate(p, x, NULL, y, z) == PERI_OK && all_close(N, y, y_want, 1e-8, 1e-8, "its multipliers"),
       "estimated");
    ok(certify(p, x, y, z, &c) == PERI_OK && c.kkt < 1e-8, "and certified");
    peri_model_free(t.m);
}

static void test_memory(void)
{
    peri_context *ctx = peri_context_new(NULL);
    text_model t = build(ctx, &PROBLEMS[8]);
    nlp *p;
    peri_certificate c;
    int64_t before, after, leaks = 0, others = 0, failures = 0;
    double slope;
    ok(nlp_of(t.m, &p) == PERI_OK && certify(p, PROBLEMS[8].x, NULL, NULL, &c) == PERI_OK, "compiled");
    peri_memory(ctx, NULL, NULL, &before);
    peri_status status = PERI_E_NOMEM;
    for (int64_t k = 1; status != PERI_OK && k < 1000; k++) {
        peri_memory_fail_at(ctx, k, false);
        status = certify(p, PROBLEMS[8].x, NULL, NULL, &c);
        if (status == PERI_OK)
            status = certify_violation(p, PROBLEMS[8].x, &slope);
        peri_memory_fail_at(ctx, 0, false);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += after != before;
        failures += status == PERI_E_NOMEM;
        others += status != PERI_OK && status != PERI_E_NOMEM;
    }
    ok(failures > 5 && others == 0 && leaks == 0, "%d failures of an allocation, no leak", (int)failures);
    peri_model_free(t.m);
    peri_context_free(ctx);
}

int main(void)
{
    plan_later();
    peri_context *ctx = peri_context_new(NULL);
    for (int k = 0; k < N_PROBLEMS; k++) {
        nlp *p;
        text_model t = build(ctx, &PROBLEMS[k]);
        ok(nlp_of(t.m, &p) == PERI_OK, "%s", PROBLEMS[k].name);
        test_given(p, &PROBLEMS[k]);
        test_estimated(p, &PROBLEMS[k]);
        peri_model_free(t.m);
    }
    test_signs(ctx);
    test_definitions(ctx);
    test_undefined(ctx);
    test_violation(ctx);
    test_large(ctx);
    peri_context_free(ctx);
    test_memory();
    return tap_done();
}
