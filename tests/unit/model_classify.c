/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a problem is said to be: a table of problems with the class and the traits that can be proven of them. What is
 * convex but not proven so must not be in the table as convex; what is not convex must never come out as convex.
 */
#include "oracle/nlp.h"
#include "tap/tap.h"
#include "unit/text_model.h"

#define CONVEX    PERI_BIT(PERI_TRAIT_CONVEX)
#define SQUARES   PERI_BIT(PERI_TRAIT_LEAST_SQUARES)
#define LINEAR    PERI_BIT(PERI_TRAIT_LINEAR_OBJECTIVE)
#define QUADRATIC PERI_BIT(PERI_TRAIT_QUADRATIC_OBJECTIVE)
#define NONLINEAR PERI_BIT(PERI_TRAIT_NONLINEAR_OBJECTIVE)
#define CURVED    PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS)
#define ROUGH     PERI_BIT(PERI_TRAIT_NONSMOOTH)
#define ASKED     (CONVEX | SQUARES | LINEAR | QUADRATIC | NONLINEAR | CURVED | ROUGH)

typedef struct {
    const char *f;       /* "max: ..." maximizes; NULL: none */
    double lower, upper; /* of all variables */
    double cl, cu;
    const char *c; /* NULL: none */
    const char *class_name;
    uint64_t traits; /* among ASKED */
} problem;

static const double INF = INFINITY;

static const problem PROBLEMS[] = {
    {"x1+2*x2", 0, INFINITY, -INFINITY, 1, "x1+x2", "linear program", LINEAR | CONVEX},
    {"max: x1+2*x2", 0, 1, -INFINITY, 1, "x1+x2", "linear program", LINEAR | CONVEX},
    {"x1^2+x2^2", -INFINITY, INFINITY, 1, INFINITY, "x1+x2", "convex quadratic program", QUADRATIC | CONVEX | SQUARES},
    {"x1^2+x1*x2+x2^2-x3", -1, 1, 1, 1, "x1+x2", "convex quadratic program", QUADRATIC | CONVEX},
    {"x1^2+3*x1*x2+x2^2", -1, 1, 1, 1, "x1+x2", "quadratic program", QUADRATIC},
    {"max: x1*x2-x1^2-x2^2", -1, 1, 1, 1, "x1+x2", "convex quadratic program", QUADRATIC | CONVEX},
    {"max: x1^2", -1, 1, 1, 1, "x1+x2", "quadratic program", QUADRATIC},
    {"x1*x2", -1, 1, 1, 1, "x1+x2", "quadratic program", QUADRATIC},
    {"4*x1^2+4*x1*x2+x2^2+x3^2", -INFINITY, INFINITY, 1, 1, "x1+x3", "convex quadratic program", QUADRATIC | CONVEX},
    {"x1*x1-2*x1*x2+x2*x2+x3*x3-x3*x4+x4*x4", -INFINITY, INFINITY, 1, 1, "x1+x3", "convex quadratic program",
     QUADRATIC | CONVEX},
    {"x1+x2", -INFINITY, INFINITY, -INFINITY, 1, "x1^2+x2^2", "convex quadratically constrained program",
     LINEAR | CURVED | CONVEX},
    {"x1+x2", -INFINITY, INFINITY, 1, INFINITY, "x1^2+x2^2", "quadratically constrained program", LINEAR | CURVED},
    {"x1+x2", -INFINITY, INFINITY, 1, 1, "x1^2+x2^2", "quadratically constrained program", LINEAR | CURVED},
    {"x1+x2", -INFINITY, INFINITY, -INFINITY, 1, "x1^2+x1*x2+x2^2", "convex quadratically constrained program",
     LINEAR | CURVED | CONVEX},
    {"x1+x2", -INFINITY, INFINITY, -INFINITY, 1, "x1^2+3*x1*x2+x2^2", "quadratically constrained program",
     LINEAR | CURVED},
    {"x1+x2", -INFINITY, INFINITY, -1, INFINITY, "x1*x2-x1^2-x2^2", "convex quadratically constrained program",
     LINEAR | CURVED | CONVEX},
    {"(1-x1)^2+100*(x2-x1^2)^2", -INFINITY, INFINITY, 0, 0, NULL, "unconstrained least-squares problem",
     NONLINEAR | SQUARES},
    {"(1-x1)^2+(x2-x1)^2", -INFINITY, INFINITY, 0, 0, NULL, "unconstrained linear least-squares problem",
     QUADRATIC | SQUARES | CONVEX},
    {"exp(x1)+exp(-x1)-x2", 0, 1, 0, 0, NULL, "bound-constrained convex program", NONLINEAR | CONVEX},
    {"exp(x1)-exp(x2)", 0, 1, 0, 0, NULL, "bound-constrained nonlinear program", NONLINEAR},
    {"-log(x1)-log(1-x1)", -INFINITY, INFINITY, 0, 0, NULL, "unconstrained convex program", NONLINEAR | CONVEX},
    {"max: log(x1)", 0, 5, 0, 0, NULL, "bound-constrained convex program", NONLINEAR | CONVEX},
    {"x1^3", 0, 5, 0, 0, NULL, "bound-constrained convex program", NONLINEAR | CONVEX},
    {"x1^3", -1, 5, 0, 0, NULL, "bound-constrained nonlinear program", NONLINEAR},
    {"abs(x1)+x2^2", -INFINITY, INFINITY, 0, 0, NULL, "unconstrained convex non-smooth program",
     NONLINEAR | ROUGH | CONVEX},
    {"abs(x1)*sin(x2)", -INFINITY, INFINITY, 0, 0, NULL, "unconstrained non-smooth program", NONLINEAR | ROUGH},
    {NULL, -INFINITY, INFINITY, 0, 1, "x1+x2", "linear feasibility problem", LINEAR | CONVEX},
    {NULL, -INFINITY, INFINITY, 0, 1, "x1*x2", "nonlinear feasibility problem", LINEAR | CURVED},
    {"x1*x4*(x1+x2+x3)+x3", 1, 5, 25, INFINITY, "x1*x2*x3*x4", "nonlinear program", NONLINEAR | CURVED},
    {"p*x1^2+x2", -1, 1, 1, 1, "x1+x2", "convex quadratic program", QUADRATIC | CONVEX},
    {"0-p*x1^2+x2", -1, 1, 1, 1, "x1+x2", "quadratic program", QUADRATIC},
    {"p*x1+x2", -1, 1, 1, 1, "exp(p)*x1+x2", "linear program", LINEAR | CONVEX},
};

static text_model build(peri_context *ctx, const problem *q)
{
    text_model t = text_new(ctx, 4, NULL);
    text_param(&t, 2);
    text_bounds(&t, q->lower, q->upper);
    if (q->f != NULL && strncmp(q->f, "max: ", 5) == 0)
        text_maximize(&t, q->f + 5);
    else if (q->f != NULL)
        text_minimize(&t, q->f);
    if (q->c != NULL)
        text_constrain(&t, "c", q->cl, q->c, q->cu);
    return t;
}

static void test_table(peri_context *ctx)
{
    for (size_t k = 0; k < sizeof PROBLEMS / sizeof PROBLEMS[0]; k++) {
        const problem *q = &PROBLEMS[k];
        text_model t = build(ctx, q);
        model_class c;
    unsigned char linear[16];
        const char *f = q->f != NULL ? q->f : "no objective";
        ok(model_classify(t.m, linear, &c) == PERI_OK, "%s, %s", f, q->c != NULL ? q->c : "");
        is_text(c.class_name, q->class_name, "class of %s", f);
        is_int((int64_t)(c.traits & ASKED), (int64_t)q->traits, "traits of %s", f);
        peri_model_free(t.m);
    }
}

static void test_rows(peri_context *ctx)
{
    text_model t = text_new(ctx, 2, NULL);
    model_class c;
    unsigned char linear[16];
    text_bounds(&t, 0, INF);
    text_minimize(&t, "x1");
    const peri_expr parts[3] = {text_expr(&t, "x1+x2"), text_expr(&t, "x1*x2"), text_expr(&t, "3*x1-1")};
    const double lower = 0, one = 1;
    peri_expr stack;
    peri_constraint handle;
    ok(peri_expr_stack(t.m, 3, parts, &stack) == PERI_OK &&
           peri_model_constrain(t.m, "mixed", stack, 1, &lower, &lower, &handle) == PERI_OK,
       "a block of mixed rows");
    text_constrain(&t, "last", 0, "x2", 1);
    ok(model_classify(t.m, linear, &c) == PERI_OK, "classified");
    ok(c.linear_row[0] == 1 && c.linear_row[1] == 0 && c.linear_row[2] == 1 && c.linear_row[3] == 1,
       "rows are told apart");
    is_int(c.linear_rows, 3, "linear rows");
    is_int(c.equalities, 3, "equalities");
    ok(peri_model_set_upper(t.m, t.x, 1, &lower) == PERI_OK && model_classify(t.m, linear, &c) == PERI_OK, "bounds that meet");
    is_int(c.fixed, 2, "fix the variables");
    ok(peri_model_set_upper(t.m, t.x, 1, &one) == PERI_OK && peri_model_set_integer(t.m, t.x) == PERI_OK &&
           model_classify(t.m, linear, &c) == PERI_OK,
       "integers");
    is_int(c.integers, 2, "are counted");
    is_text(c.class_name, "integer quadratically constrained program", "and in the name");
    ok((c.traits & CONVEX) == 0 && (c.traits & PERI_BIT(PERI_TRAIT_INTEGER)), "never convex");
    peri_model_free(t.m);
}

static int value(void *ud, int64_t n, const double *x, double *f)
{
    (void)ud;
    *f = n > 0 ? x[0] : 0;
    return 0;
}

static void test_reasons(peri_context *ctx)
{
    text_model t = text_new(ctx, 2, NULL);
    model_class c;
    unsigned char linear[16];
    peri_expr call;
    const peri_function fn = {.name = "simulator", .value = value};
    text_minimize(&t, "x1");
    text_constrain(&t, "kink", 0, "abs(x2)", 1);
    ok(model_classify(t.m, linear, &c) == PERI_OK, "a kink");
    is_text(c.why_nonsmooth, "abs in constraint \"kink\"", "is named with its place");
    ok((c.traits & PERI_BIT(PERI_TRAIT_GRADIENT)) != 0, "and has derivatives almost everywhere");
    ok(peri_expr_call(t.m, &fn, t.x, &call) == PERI_OK && peri_model_minimize(t.m, call) == PERI_OK, "a black box");
    ok(model_classify(t.m, linear, &c) == PERI_OK, "classified");
    is_text(c.why_blackbox, "function \"simulator\" without a gradient in the objective", "is named with its place");
    ok((c.traits & PERI_BIT(PERI_TRAIT_BLACKBOX)) != 0 && (c.traits & PERI_BIT(PERI_TRAIT_GRADIENT)) == 0,
       "and has no gradient");
    peri_model_free(t.m);
    t = text_new(ctx, 3, NULL);
    peri_expr args[2] = {t.x, t.x}, e;
    ok(peri_expr_op(t.m, PERI_OP_LOGSUMEXP, 1, args, &e) == PERI_OK && peri_model_minimize(t.m, e) == PERI_OK,
       "logsumexp");
    ok(model_classify(t.m, linear, &c) == PERI_OK && (c.traits & ASKED) == (NONLINEAR | CONVEX), "is smooth and convex");
    peri_model_free(t.m);
}

/* (A x)'(A x) written as x'(A'A)x by matrix products: no rule sees it, the factorisation does; with the sign of one
 * entry changed enough it is no longer convex. */
static void test_form(peri_context *ctx)
{
    enum { N = 12 };

    double q[N * N] = {0};
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N - 3; k++) /* rank N - 3: semidefinite */
                q[i * N + j] += sin(1.0 + i * 3 + k * k) * sin(1.0 + j * 3 + k * k);
    for (int bad = 0; bad < 2; bad++) {
        text_model t = text_new(ctx, N, NULL);
        const peri_array data = {.rows = N, .cols = N, .data = q, .nnz = -1};
        model_class c;
    unsigned char linear[16];
        peri_expr a, ax, args[2], f;
        q[0] -= bad * 0.5;
        ok(peri_expr_const(t.m, &data, &a) == PERI_OK, "a matrix");
        args[0] = a;
        args[1] = t.x;
        ok(peri_expr_op(t.m, PERI_OP_MATMUL, 2, args, &ax) == PERI_OK, "A x");
        args[0] = t.x;
        args[1] = ax;
        ok(peri_expr_op(t.m, PERI_OP_DOT, 2, args, &f) == PERI_OK && peri_model_minimize(t.m, f) == PERI_OK, "x'A x");
        ok(model_classify(t.m, linear, &c) == PERI_OK, "classified");
        is_int((c.traits & CONVEX) != 0, !bad,
               bad ? "an indefinite form is not convex" : "a semidefinite form is convex");
        peri_model_free(t.m);
    }
}

/* Answers are kept between questions, but not those that a parameter can change. */
static void test_again(peri_context *ctx)
{
    static const double values[] = {1, -1, 3, 2.4, -2.6, 0};
    model_class c;
    unsigned char linear[16];
    text_model t = text_new(ctx, 2, NULL);
    text_param(&t, 1);
    text_minimize(&t, "x1^2+1.5625*x2^2+p*x1*x2"); /* convex where p^2 <= 4 * 1.5625 */
    for (int round = 0; round < 2; round++)
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
            ok(peri_model_set_param(t.m, t.p, 1, &values[k]) == PERI_OK && model_classify(t.m, linear, &c) == PERI_OK, "p = %g", values[k]);
            is_int((c.traits & CONVEX) != 0, fabs(values[k]) <= 2.5, "convex up to 2.5");
        }
    peri_model_free(t.m);
}

static void test_memory(void)
{
    peri_context *ctx = peri_context_new(NULL);
    int64_t before, after, leaks = 0, others = 0, failures = 0;
    for (size_t q = 0; q < 16; q++) {
        peri_memory(ctx, NULL, NULL, &before);
        text_model t = build(ctx, &PROBLEMS[q]);
        peri_status status = PERI_E_NOMEM;
        for (int64_t k = 1; status != PERI_OK && k < 10000; k++) {
            model_class c;
    unsigned char linear[16];
            peri_memory_fail_at(ctx, k, false);
            status = model_classify(t.m, linear, &c);
            peri_memory_fail_at(ctx, 0, false);
            failures += status == PERI_E_NOMEM;
            others += status != PERI_OK && status != PERI_E_NOMEM;
        }
        others += status != PERI_OK;
        peri_model_free(t.m);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += after != before;
    }
    ok(failures > 50 && others == 0, "%d failures of an allocation are told as such", (int)failures);
    is_int(leaks, 0, "and leak nothing");
    peri_context_free(ctx);
}

int main(void)
{
    plan_later();
    peri_context *ctx = peri_context_new(NULL);
    test_table(ctx);
    test_rows(ctx);
    test_reasons(ctx);
    test_form(ctx);
    test_again(ctx);
    peri_context_free(ctx);
    test_memory();
    return tap_done();
}
