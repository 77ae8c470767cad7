/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certify_levels - a method claims that a point solves a problem with lower models; what the engine says of it: right points, lower levels that are not
 * optimal, points that are not stationary, weakly active rows, lower levels that are infeasible, unbounded or without a constraint
 * qualification. Answers by closed forms.
 */
#include "run/internal.h"
#include "run/signed_fit.h"
#include "tap/tap.h"
#include "unit/installed.h"
#include "unit/text_model.h"
#include <math.h>

/* ---- a method that claims ------------------------------------------------------------------------------------------------ */

static const double *claimed; /* of the test, which has one thread */

typedef struct {
    int32_t unused;
} options;

static const peri_option LIST[] = {PERI_BOOL("unused", options, unused, 0, "nothing")};

static peri_status init(void *self, peri_run *run, const void *given)
{
    (void)self;
    (void)run;
    (void)given;
    return PERI_OK;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    double f;
    (void)self;
    TRY(peri_eval_f(run, claimed, &f));
    TRY(peri_accept(run, claimed, NULL, NULL, &(peri_row){.objective = f}, next));
    return peri_finish(run, PERI_WHY_CONVERGED, next);
}

static const peri_solver_ops OPS = {.init = init, .step = step};
static const peri_plugin CLAIM = {
    PERI_SOLVER(int, options, LIST),
    .ops = &OPS,
    .name = "claim",
    .family = "test",
    .summary = "claims a point",
    .page = "claims a point",
    .version = "1",
    .license = "Apache-2.0",
    .reference = "none",
    .needs = {PERI_BIT(PERI_TRAIT_LEVELS)},
};

/* ---- problems: x1 .. above, then those below ------------------------------------------------------------------------------ */

typedef struct {
    const char *F, *f;
    const char *upper_row, *lower_row; /* NULL: none */
    double side[2][2];                 /* of these */
    int n_upper, n_lower;
    double bounds[2]; /* of the lower variables */
} problem;

static text_model make(peri_context *ctx, const problem *q)
{
    text_model t = text_new(ctx, q->n_upper, NULL);
    peri_model *up = t.m, *low = t.failed ? NULL : peri_model_lower(up, "below");
    peri_expr part[2] = {t.x, PERI_NO_EXPR}, y;
    t.failed = t.failed || low == NULL;
    if (t.failed)
        return t;
    text_check(&t, peri_model_var(low, "y", q->n_lower, 1, &y));
    if (t.failed)
        return t;
    text_check(&t, peri_model_set_lower(low, y, 1, &q->bounds[0]));
    text_check(&t, peri_model_set_upper(low, y, 1, &q->bounds[1]));
    part[1] = y;
    text_check(&t, peri_expr_stack(up, 2, part, &t.x));
    if (q->upper_row != NULL)
        text_constrain(&t, "above", q->side[0][0], q->upper_row, q->side[0][1]);
    text_minimize(&t, q->F);
    t.m = low;
    if (q->lower_row != NULL)
        text_constrain(&t, "row", q->side[1][0], q->lower_row, q->side[1][1]);
    text_minimize(&t, q->f);
    t.m = up;
    return t;
}

static peri_solution *claim(text_model *t, const double *x)
{
    peri_solution *s = NULL;
    claimed = x;
    const peri_solve_args args = {.plan = "claim"};
    const peri_status status = peri_model_solve(t->m, &args, &s);
    ok(status == PERI_OK, "a solution: %s", status == PERI_OK ? "" : peri_error(t->ctx));
    return s;
}

typedef struct {
    const char *name;
    problem q;
    double x[4];
    peri_outcome outcome;
    double gap;          /* of the lower level; NAN: infinite */
    const char *message; /* a part of it, or NULL */
} test;

#define INF INFINITY
#define FREE_Y {-INF, INF}
static const test TESTS[] = {
    {"y = x", {"(x1-1)^2+x2^2", "(x2-x1)^2", NULL, NULL, {{0}}, 1, 1, FREE_Y}, {0.5, 0.5}, PERI_LOCALLY_OPTIMAL, 0, NULL},
    {"not stationary", {"(x1-1)^2+x2^2", "(x2-x1)^2", NULL, NULL, {{0}}, 1, 1, FREE_Y}, {1, 1}, PERI_FEASIBLE, 0, "kkt"},
    /* without the lower level's part in it, x = 1, y = 0 would be the optimum */
    {"not optimal below", {"(x1-1)^2+x2^2", "(x2-x1)^2", NULL, NULL, {{0}}, 1, 1, FREE_Y}, {1, 0}, PERI_NUMERICAL_ERROR, 1,
     "lower model \"below\" is not optimal at the point: its objective is 1"},
    {"strongly active", {"(x1-3)^2+(x2-5)^2", "(x2-2*x1)^2", NULL, "x2", {{0}, {-INF, 1}}, 1, 1, FREE_Y}, {3, 1}, PERI_LOCALLY_OPTIMAL, 0,
     NULL},
    {"strongly active bound", {"(x1-3)^2+(x2-5)^2", "(x2-2*x1)^2", NULL, NULL, {{0}}, 1, 1, {-INF, 1}}, {3, 1}, PERI_LOCALLY_OPTIMAL, 0, NULL},
    {"a row that is held", {"(x1-3)^2+(x2-5)^2", "(x2-2*x1)^2", NULL, "x2", {{0}, {-INF, 1}}, 1, 1, FREE_Y}, {2, 1}, PERI_FEASIBLE, 0, "kkt"},
    /* y = max(x, 0); F = x^2 + max(x, 0): least at the kink */
    {"weakly active", {"x1^2+x2", "(x2-x1)^2", NULL, "x2", {{0}, {0, INF}}, 1, 1, FREE_Y}, {0, 0}, PERI_LOCALLY_OPTIMAL, 0, NULL},
    /* F = (x - 1)^2 + max(x, 0): falls to the right of the kink */
    {"weakly active, not stationary", {"(x1-1)^2+x2", "(x2-x1)^2", NULL, "x2", {{0}, {0, INF}}, 1, 1, FREE_Y}, {0, 0}, PERI_FEASIBLE, 0, "kkt"},
    /* F = (x - y)^2 - y falls to the right of the kink, though with mu = 0 and w = -1 Mordukhovich's conditions hold in it */
    {"weakly active, one branch falls", {"(x1-x2)^2-x2", "(x2-x1)^2", NULL, "x2", {{0}, {0, INF}}, 1, 1, FREE_Y}, {0, 0}, PERI_FEASIBLE, 0, "kkt"},
    /* min y, y >= x, y >= 0: l1 + l2 = 1 at 0. F = x^2 - x + y / 2 falls to the right, though with l1, l2 > 0 both are held and 0 is alone */
    {"many multipliers below, one falls", {"x1^2-x1+0.5*x2", "x2", NULL, "x2-x1", {{0}, {0, INF}}, 1, 1, {0, INF}}, {0, 0}, PERI_FEASIBLE, 0, NULL},
    {"many multipliers below, an optimum", {"x1^2-0.5*x1+2*x2", "x2", NULL, "x2-x1", {{0}, {0, INF}}, 1, 1, {0, INF}}, {0, 0}, PERI_LOCALLY_OPTIMAL, 0, NULL},
    {"its optimum", {"(x1-1)^2+x2", "(x2-x1)^2", NULL, "x2", {{0}, {0, INF}}, 1, 1, FREE_Y}, {0.5, 0.5}, PERI_LOCALLY_OPTIMAL, 0, NULL},
    /* coupled rows: x + y <= 1 above, y >= x - 1 below; y = max(0, x - 1), F = (x - 4)^2 + y^2: x = 1 */
    {"a coupled row above", {"(x1-4)^2+x2^2", "x2^2", "x1+x2", "x2-x1", {{-INF, 1}, {-1, INF}}, 1, 1, FREE_Y}, {1, 0}, PERI_LOCALLY_OPTIMAL, 0,
     NULL},
    {"the row above is violated", {"(x1-4)^2+x2^2", "x2^2", "x1+x2", "x2-x1", {{-INF, 1}, {-1, INF}}, 1, 1, FREE_Y}, {4, 3},
     PERI_NUMERICAL_ERROR, 0, "violation"},
    /* linear: min -x - 2y above; below min y, y >= x - 1, y >= -x: at x = 1/2, y = -1/2 the vertex; best upper side x <= 2: y = 1 */
    {"linear", {"0-x1-2*x2", "x2", "x1", "x2-x1", {{-INF, 2}, {-1, INF}}, 1, 1, FREE_Y}, {2, 1}, PERI_LOCALLY_OPTIMAL, 0, NULL},
    /* a local minimum below, near 0.96; the global one near -1.04 is 0.6 better */
    {"a local optimum below", {"x1^2", "(x2^2-1)^2+0.3*x2+0*x1", NULL, NULL, {{0}}, 1, 1, {-2, 2}}, {0, 0.96013}, PERI_NUMERICAL_ERROR, 0.6,
     "not optimal"},
    {"infeasible below", {"(x1-1)^2+x2^2", "x2^2", NULL, "x2-x1", {{0}, {0, INF}}, 1, 1, {-INF, 1}}, {2, 1.5}, PERI_INFEASIBLE, NAN,
     "lower model \"below\" has no feasible point where the variables around it are"},
    {"unbounded below", {"(x1-1)^2", "x1*x2", NULL, NULL, {{0}}, 1, 1, FREE_Y}, {1, 0}, PERI_UNBOUNDED, NAN,
     "lower model \"below\" is unbounded where the variables around it are"},
};

static void test_one(peri_context *ctx, const test *q)
{
    text_model t = make(ctx, &q->q);
    peri_solution *s = claim(&t, q->x);
    if (s == NULL)
        return;
    const peri_certificate c = peri_solution_certificate(s);
    peri_lower_result r;
    if (!is_text(peri_outcome_name(peri_solution_outcome(s)), peri_outcome_name(q->outcome), "%s: the status", q->name))
        diag("%s; primal %g dual %g compl %g gap %g", peri_solution_message(s), c.primal, c.dual, c.complementarity, c.lower_gap);
    if (isnan(q->gap))
        ok(isinf(c.lower_gap), "%s: no gap is known", q->name);
    else
        is_close(c.lower_gap, q->gap, 0.05, 1e-6, "%s: the gap", q->name);
    if (q->message != NULL)
        has_text(peri_solution_message(s), q->message, "%s: why", q->name);
    ok(peri_solution_lower(s, 0, &r) && !peri_solution_lower(s, 1, &r), "%s: one lower level is told", q->name);
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* No qualification: y^2 <= 0 has y = 0 alone, and no multiplier. */
static void test_no_qualification(peri_context *ctx)
{
    static const problem q = {"x1^2", "x2+0*x1", NULL, "x2^2", {{0}, {-INF, 0}}, 1, 1, FREE_Y};
    static const double x[2] = {0, 0};
    text_model t = make(ctx, &q);
    peri_solution *s = claim(&t, x);
    if (s == NULL)
        return;
    const peri_outcome outcome = peri_solution_outcome(s);
    ok(outcome == PERI_FEASIBLE || outcome == PERI_NUMERICAL_ERROR, "without a qualification nothing is called optimal: %s",
       peri_outcome_name(outcome));
    ok(strstr(peri_solution_message(s), "below") != NULL, "and the level is named: %s", peri_solution_message(s));
    ok(peri_solution_certificate(s).kkt > 0.1, "the residual is not hidden");
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* dF/dside by differences of the solution in closed form: y = side, F = (x - 3)^2 + (side - 5)^2 */
static void test_duals(peri_context *ctx)
{
    static const problem q = {"(x1-3)^2+(x2-5)^2", "(x2-2*x1)^2", NULL, "x2", {{0}, {-INF, 1}}, 1, 1, FREE_Y};
    static const double x[2] = {3, 1};
    text_model t = make(ctx, &q);
    peri_solution *s = claim(&t, x);
    double y = NAN;
    is_int(peri_solution_dual(s, peri_model_find_constraint(t.m, "row"), &y), PERI_OK, "a multiplier of a lower row");
    is_close(y, 2 * (1 - 5), 1e-7, 0, "is the derivative of the objective above with respect to its side");
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* Maximizations on both levels are told in the user's sense. */
static void test_maximize(peri_context *ctx)
{
    static const problem q = {"(x1-1)^2+x2^2", "(x2-x1)^2", NULL, NULL, {{0}}, 1, 1, FREE_Y};
    static const double x[2] = {0.5, 0.75};
    text_model t = make(ctx, &q);
    peri_lower_result r = {0};
    peri_model *up = t.m;
    text_maximize(&t, "0-(x1-1)^2-x2^2");
    t.m = peri_model_lower_at(up, 0);
    text_maximize(&t, "3-(x2-x1)^2");
    t.m = up;
    peri_solution *s = claim(&t, x);
    ok(peri_solution_lower(s, 0, &r), "told");
    is_close(r.objective, 3 - 0.0625, 1e-12, 0, "the lower objective, as it was stated");
    is_close(r.best, 3, 1e-9, 0, "and the best");
    is_close(r.gap, 0.0625 / 3, 1e-6, 0, "the gap");
    ok(r.convex && r.solves == 1, "of a convex level one solve is enough");
    peri_solution_free(s);
    peri_model_free(up);
}

/* A level inside a level: b + c = 5 with c = a + 2 b, so that b = (5 - a) / 3. The inner level is looked at alone. */
static void test_nested(peri_context *ctx)
{
    static const double wrong[3] = {2, 1, 3};
    text_model t = text_new(ctx, 1, NULL);
    peri_model *up = t.m, *mid = peri_model_lower(up, "mid"), *deep = peri_model_lower(mid, "deep");
    peri_expr part[3] = {t.x, PERI_NO_EXPR, PERI_NO_EXPR};
    text_check(&t, peri_model_var(mid, "b", 1, 1, &part[1]));
    text_check(&t, peri_model_var(deep, "c", 1, 1, &part[2]));
    text_check(&t, peri_expr_stack(up, 3, part, &t.x));
    t.m = deep;
    text_minimize(&t, "(x3-x1-2*x2)^2");
    t.m = mid;
    text_minimize(&t, "(x2+x3-5)^2");
    t.m = up;
    text_minimize(&t, "x1^2");
    peri_solution *s = claim(&t, wrong); /* c is 3, not 4 */
    peri_lower_result r = {0};
    ok(s != NULL && peri_solution_outcome(s) == PERI_NUMERICAL_ERROR, "a deep level that is not optimal");
    ok(peri_solution_lower(s, 1, &r) && fabs(r.gap - 1) < 1e-6, "is told");
    peri_solution_free(s);
    peri_model_free(up);
}

static void test_report(peri_context *ctx)
{
    static const double x[2] = {0.5, 0.5};
    text_model t = make(ctx, &TESTS[0].q);
    peri_solution *s = claim(&t, x);
    char *text = NULL;
    is_int(peri_solution_report(s, &text), PERI_OK, "a report");
    has_text(text, "lower gap", "with the gap");
    has_text(text, "optimistic", "and the form");
    peri_free_text(ctx, text);
    is_int(peri_solution_json(s, &text), PERI_OK, "as JSON");
    has_text(text, "\"lower_gap\"", "too");
    has_text(text, "\"form\":\"optimistic\"", "too");
    has_text(text, "\"below\"", "by name");
    peri_free_text(ctx, text);
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* Conditions of optimality of signed least squares with random columns, some of them multiples of others. */
static void test_fit(peri_context *ctx)
{
    enum { ROWS = 7, COLS = 9 };
    double worst = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        double b[ROWS * COLS], target[ROWS], q[COLS], residual[ROWS];
        signed char sign[COLS];
        for (int k = 0; k < ROWS * COLS; k++)
            b[k] = peri_draw_normal(seed, 1, (uint64_t)k);
        for (int k = 0; k < ROWS; k++) {
            target[k] = peri_draw_normal(seed, 2, (uint64_t)k);
            b[8 * ROWS + k] = -2 * b[7 * ROWS + k]; /* dependent */
        }
        for (int j = 0; j < COLS; j++)
            sign[j] = (signed char)(j % 3 == 0 ? 0 : peri_draw_uniform(seed, 3, (uint64_t)j) < 0.5 ? 1 : -1);
        sign[0] = 0;
        sign[3] = 1;
        sign[6] = -1;
        signed_fit f = {ROWS, COLS, b, target, sign, q, residual};
        if (!signed_fit_solve(&ctx->mem, &f))
            worst = INFINITY;
        for (int j = 0; j < COLS; j++) {
            double slope = 0;
            for (int k = 0; k < ROWS; k++)
                slope += b[j * ROWS + k] * residual[k];
            worst = fmax(worst, sign[j] == 0 || fabs(q[j]) > 0 ? fabs(slope) : sign[j] * slope);
            worst = fmax(worst, -sign[j] * q[j]);
        }
    }
    is_close(worst, 0, 0, 1e-10, "signs and slopes of forty fits");
}

static void test_memory(peri_context *ctx)
{
    const test *q = &TESTS[3];
    int64_t k = 1, wrong = 0, leaks = 0, tried = 0;
    for (bool done = false; !done; k += tap_long() ? 1 : 1 + k / 8, tried++) {
        int64_t before = 0, after = 0;
        peri_solution *s = NULL;
        peri_memory(ctx, NULL, NULL, &before);
        text_model t = make(ctx, &q->q);
        claimed = q->x;
        peri_memory_fail_at(ctx, k, k % 2 == 0);
        const peri_solve_args args = {.plan = "claim"};
        const peri_status status = t.failed ? PERI_E_NOMEM : peri_model_solve(t.m, &args, &s);
        done = ctx->mem.countdown > 0;
        peri_memory_fail_at(ctx, 0, false);
        wrong += status != PERI_OK && status != PERI_E_NOMEM;
        peri_solution_free(s);
        peri_model_free(t.m);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += before != after;
    }
    is_int(wrong, 0, "out of memory at each of %lld places is that or nothing", (long long)tried);
    is_int(leaks, 0, "and leaks nothing");
}

int main(void)
{
    peri_context *ctx = installed_context();
    is_int(peri_context_register(ctx, &CLAIM, NULL), PERI_OK, "registered");
    for (size_t k = 0; k < sizeof TESTS / sizeof TESTS[0]; k++)
        test_one(ctx, &TESTS[k]);
    test_no_qualification(ctx);
    test_duals(ctx);
    test_maximize(ctx);
    test_nested(ctx);
    test_fit(ctx);
    test_report(ctx);
    test_memory(ctx);
    peri_context_free(ctx);
    return tap_done();
}
