/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_levels - problems with lower models as a method sees them: who owns what, each level evaluated against closed forms and differences, one
 * level solved with the others held, levels inside levels, what is refused; memory that runs out.
 */
#include "run/internal.h"
#include "tap/tap.h"
#include "unit/installed.h"
#include "unit/text_model.h"
#include <math.h>

/* The probe asks at `at`, solves level `level` there, and takes what came out for the answer. */
typedef struct {
    int32_t unused;
} options;

static const peri_option LIST[] = {PERI_BOOL("unused", options, unused, 0, "nothing")};

typedef struct {
    double *x;
} state;

enum { MOST = 8 };

/* What to ask for, and what came; of the test, which has one thread. */
static struct {
    int64_t level;
    const char *plan;
    const double *at, *start, *later; /* later: where it is solved the second time, or NULL */
    int64_t count, parent[4], convex[4], n[4], m[4], variable[4][MOST], row[4][MOST];
    char name[4][32];
    double f[4], g[4][MOST], c[4][MOST], jac_error[4], hess_error[4];
    double cross[MOST]; /* of level 1's Hessian times a step in level 0's variables */
    peri_why why;
    double objective, x[MOST], y[MOST], z[MOST];
    peri_status wrong[4];
} seen;

static void note_levels(int64_t count, const peri_level *levels)
{
    seen.count = count;
    for (int64_t k = 0; k < count; k++) {
        snprintf(seen.name[k], sizeof seen.name[k], "%s", levels[k].name);
        seen.parent[k] = levels[k].parent;
        seen.convex[k] = levels[k].convex;
        seen.n[k] = levels[k].n;
        seen.m[k] = levels[k].m;
        memcpy(seen.variable[k], levels[k].variable, (size_t)levels[k].n * sizeof seen.variable[k][0]);
        memcpy(seen.row[k], levels[k].row, (size_t)levels[k].m * sizeof seen.row[k][0]);
    }
}

static peri_status lagrangian_gradient(peri_run *v, const double *x, const double *w, double *g)
{
    double f, gc[MOST] = {0};
    TRY(peri_eval_fg(v, x, &f, g));
    if (peri_m(v) > 0)
        TRY(peri_eval_vj(v, x, w, gc));
    for (int64_t j = 0; j < peri_n(v); j++)
        g[j] += gc[j];
    return PERI_OK;
}

/* Products of the Jacobian and the Hessian against central differences along every axis. */
static peri_status differences(peri_run *v, const double *at, int64_t k)
{
    const double w[MOST] = {0.7, -1.3, 0.4, 0.9}, h = 1e-5;
    for (int64_t j = 0; j < peri_n(v); j++) {
        double x[MOST], e[MOST] = {0}, c[2][MOST], jv[MOST] = {0}, g[2][MOST], hv[MOST];
        memcpy(x, at, (size_t)peri_n(v) * sizeof *x);
        e[j] = 1;
        for (int side = 0; side < 2; side++) {
            x[j] = at[j] + (side == 0 ? -h : h);
            if (peri_m(v) > 0)
                TRY(peri_eval_c(v, x, c[side]));
            TRY(lagrangian_gradient(v, x, w, g[side]));
        }
        if (peri_m(v) > 0)
            TRY(peri_eval_jv(v, at, e, jv));
        TRY(peri_eval_hv(v, at, 1, w, e, hv));
        for (int64_t i = 0; i < peri_m(v); i++)
            seen.jac_error[k] = fmax(seen.jac_error[k], fabs((c[1][i] - c[0][i]) / (2 * h) - jv[i]));
        for (int64_t i = 0; i < peri_n(v); i++)
            seen.hess_error[k] = fmax(seen.hess_error[k], fabs((g[1][i] - g[0][i]) / (2 * h) - hv[i]));
    }
    return PERI_OK;
}

static peri_status look_at_views(peri_run *run, int64_t count)
{
    for (int64_t k = 0; k < count; k++) {
        peri_run *v;
        TRY(peri_level_view(run, k, &v));
        TRY(peri_eval_fg(v, seen.at, &seen.f[k], seen.g[k]));
        if (peri_m(v) > 0)
            TRY(peri_eval_c(v, seen.at, seen.c[k]));
        seen.jac_error[k] = seen.hess_error[k] = 0;
        TRY(differences(v, seen.at, k));
    }
    return PERI_OK;
}

static peri_status init(void *self, peri_run *run, const void *given)
{
    state *s = self;
    const peri_level *levels;
    int64_t count;
    peri_run *v;
    (void)given;
    TRY(peri_levels(run, &count, &levels));
    note_levels(count, levels);
    TRY(peri_alloc(run, peri_n(run), &s->x));
    seen.wrong[0] = peri_level_view(run, count, &v);
    seen.wrong[1] = peri_level_view(run, -1, &v);
    return look_at_views(run, count);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const peri_level *levels;
    const peri_inner_result *r;
    const peri_inner_request q = {.size = (uint32_t)sizeof q, .plan = seen.plan, .x = seen.start, .tolerance = 1e-10};
    int64_t count;
    TRY(peri_levels(run, &count, &levels));
    const peri_level *own = &levels[seen.level];
    memcpy(s->x, seen.at, (size_t)peri_n(run) * sizeof *s->x);
    seen.wrong[2] = peri_level_solve(run, 0, s->x, NULL, &r);
    seen.wrong[3] = peri_level_solve(run, count, s->x, NULL, &r);
    TRY(peri_level_solve(run, seen.level, s->x, &q, &r));
    if (seen.later != NULL)
        memcpy(s->x, seen.later, (size_t)peri_n(run) * sizeof *s->x);
    TRY(peri_level_solve(run, seen.level, s->x, &q, &r)); /* the second time nothing is made */
    seen.why = r->why;
    seen.objective = r->objective;
    for (int64_t j = 0; j < own->n; j++) {
        s->x[own->variable[j]] = seen.x[j] = r->x[j];
        seen.z[j] = r->z[j];
    }
    memcpy(seen.y, r->y, (size_t)own->m * sizeof *seen.y);
    double f;
    TRY(peri_eval_f(run, s->x, &f));
    TRY(peri_accept(run, s->x, NULL, NULL, &(peri_row){.objective = f}, next));
    return peri_finish(run, PERI_WHY_CONVERGED, next);
}

static void fini(void *self, peri_run *run)
{
    (void)self;
    (void)run;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .fini = fini};
static const peri_plugin PROBE = {
    PERI_SOLVER(state, options, LIST),
    .ops = &OPS,
    .name = "probe",
    .family = "test",
    .summary = "asks about levels",
    .page = "asks about levels",
    .version = "1",
    .license = "Apache-2.0",
    .reference = "none",
    .needs = {PERI_BIT(PERI_TRAIT_LEVELS)},
};

/* ---- problems ---------------------------------------------------------------------------------------------------------- */

/* x1, x2 above, x3, x4 below; rows in the order below, above, below. */
static text_model two_levels(peri_context *ctx, peri_model **lower)
{
    static const double start[2] = {1.25, -0.5};
    text_model t = text_new(ctx, 2, start);
    peri_model *up = t.m, *low = t.failed ? NULL : peri_model_lower(up, "users");
    const double lo = -2, hi = 5;
    peri_expr parts[2] = {t.x, PERI_NO_EXPR}, y;
    t.failed = t.failed || low == NULL;
    if (t.failed)
        return t;
    text_check(&t, peri_model_var(low, "y", 2, 1, &y));
    if (t.failed)
        return t;
    text_check(&t, peri_model_set_lower(low, y, 1, &lo));
    text_check(&t, peri_model_set_upper(up, y, 1, &hi)); /* by either */
    parts[1] = y;
    text_check(&t, peri_expr_stack(up, 2, parts, &t.x)); /* x3 and x4 are y */
    t.m = low;
    text_constrain(&t, "cap", -INFINITY, "x3+x4*x1", 4);
    t.m = up;
    text_constrain(&t, "above", -3, "x1+x2", INFINITY);
    t.m = low;
    text_constrain(&t, "ball", -INFINITY, "x3^2+x4^2", 9);
    text_minimize(&t, "(x3-x1)^2+2*(x4-x2)^2+x1*x2*x3");
    t.m = up;
    text_minimize(&t, "(x1-1)^2+x2*x3+x4^2");
    *lower = low;
    return t;
}

/* x1 above; x2 of "mid"; x3 of "deep", inside mid; x4 of "beside" */
static text_model nested(peri_context *ctx)
{
    text_model t = text_new(ctx, 1, NULL);
    peri_model *up = t.m, *mid = peri_model_lower(up, "mid"), *deep = mid != NULL ? peri_model_lower(mid, "deep") : NULL;
    peri_model *beside = deep != NULL ? peri_model_lower(up, "beside") : NULL;
    peri_expr part[4] = {t.x, PERI_NO_EXPR, PERI_NO_EXPR, PERI_NO_EXPR};
    t.failed = t.failed || beside == NULL;
    if (t.failed)
        return t;
    text_check(&t, peri_model_var(mid, "b", 1, 1, &part[1]));
    text_check(&t, t.failed ? PERI_E_NOMEM : peri_model_var(deep, "c", 1, 1, &part[2]));
    text_check(&t, t.failed ? PERI_E_NOMEM : peri_model_var(beside, "d", 1, 1, &part[3]));
    if (t.failed)
        return t;
    text_check(&t, peri_expr_stack(up, 4, part, &t.x));
    t.m = deep;
    text_maximize(&t, "-(x3-x1-2*x2)^2"); /* c = a + 2 b */
    t.m = mid;
    text_minimize(&t, "(x2+x3-5)^2"); /* b + c = 5 */
    t.m = beside;
    text_minimize(&t, "exp(x4)-x1*x4"); /* d = log a */
    t.m = up;
    text_minimize(&t, "x1^2+x2^2+x3^2+x4^2");
    return t;
}

static peri_status probe(text_model *t, int64_t level, const char *plan, const double *at, const double *start, peri_solution **s)
{
    seen.level = level;
    seen.plan = plan;
    seen.at = at;
    seen.start = start;
    return run_with(t->m, &PROBE, "probe", NULL, s);
}

/* ---- tests --------------------------------------------------------------------------------------------------------------- */

static void test_lists(void)
{
    static const int64_t row[2] = {0, 2};
    is_int(seen.count, 2, "two levels");
    is_text(seen.name[0], "test", "the model itself");
    is_text(seen.name[1], "users", "and its lower model");
    ok(seen.parent[0] == -1 && seen.parent[1] == 0, "which lies in it");
    ok(seen.n[0] == 2 && seen.variable[0][0] == 0 && seen.variable[0][1] == 1, "variables above");
    ok(seen.n[1] == 2 && seen.variable[1][0] == 2 && seen.variable[1][1] == 3, "variables below");
    ok(seen.m[0] == 1 && seen.row[0][0] == 1, "the row above lies between");
    ok(seen.m[1] == 2 && memcmp(seen.row[1], row, sizeof row) == 0, "the rows below");
    ok(seen.convex[0] == 1, "above: convex in its own variables");
    ok(seen.convex[1] == 1, "below: convex in its own, whatever those above are");
    for (int k = 0; k < 4; k++)
        is_int(seen.wrong[k], PERI_E_ARGUMENT, "a level that is not there, or not to be solved alone: %d", k);
}

static void test_two(peri_context *ctx)
{
    static const double at[4] = {1.3, -0.7, 0.4, 2.1};
    const double a = at[0], b = at[1], c = at[2], d = at[3];
    const double g1[4] = {-2 * (c - a) + b * c, -4 * (d - b) + a * c, 2 * (c - a) + a * b, 4 * (d - b)};
    peri_model *low = NULL;
    text_model t = two_levels(ctx, &low);
    peri_solution *s = NULL;
    is_int(probe(&t, 1, NULL, at, NULL, &s), PERI_OK, "solved: %s", peri_error(ctx));
    test_lists();
    is_close(seen.f[0], (a - 1) * (a - 1) + b * c + d * d, 1e-14, 0, "the objective above");
    is_close(seen.f[1], (c - a) * (c - a) + 2 * (d - b) * (d - b) + a * b * c, 1e-14, 0, "the objective below");
    all_close(4, seen.g[1], g1, 1e-13, 1e-14, "its gradient over all variables");
    is_close(seen.c[0][0], a + b, 1e-15, 0, "the row above");
    is_close(seen.c[1][0], c + d * a, 1e-15, 0, "rows below");
    is_close(seen.c[1][1], c * c + d * d, 1e-15, 0, "in their order");
    for (int k = 0; k < 2; k++)
        ok(seen.jac_error[k] < 1e-8 && seen.hess_error[k] < 1e-7, "level %d: products agree with differences", k);
    is_int(seen.why, PERI_WHY_CONVERGED, "the lower level is solved");
    is_close(seen.x[0], a - a * b / 2, 1e-7, 0, "its own optimum");
    is_close(seen.x[1], b, 1e-7, 0, "where no row is met");
    peri_solution_free(s);
    static const double other[4] = {6, 2, 0, 0}; /* y1 + 6 y2 <= 4, y1^2 + y2^2 <= 9, bounds */
    is_int(probe(&t, 1, "ipm", other, NULL, &s), PERI_OK, "solved elsewhere");
    is_int(seen.why, PERI_WHY_CONVERGED, "too");
    const double y = seen.y[0]; /* f_y + multipliers: 2 (y1 - 6) + 12 = y + ..., with the bound y1 >= -2 not met */
    is_close(seen.x[0] + 6 * seen.x[1], 4, 1e-7, 0, "the row is met");
    is_close(2 * (seen.x[0] - 6) + 12, y, 1e-6, 1e-6, "with its multiplier");
    is_close(4 * (seen.x[1] - 2), 6 * y, 1e-6, 1e-6, "that balances both");
    ok(y < 0, "and the sign of an upper side");
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* Convex below where x1 > 0 only: the method that was chosen for the first solve may refuse the second problem. */
static void test_convexity(peri_context *ctx)
{
    static const double convex[2] = {1, 0.25}, concave[2] = {-1, 0.25};
    text_model t = text_new(ctx, 1, NULL);
    peri_model *up = t.m, *low = peri_model_lower(up, "bent");
    peri_expr part[2] = {t.x, PERI_NO_EXPR};
    const double lo = -1, hi = 2;
    peri_solution *s = NULL;
    text_check(&t, peri_model_var(low, "y", 1, 1, &part[1]));
    text_check(&t, peri_model_set_lower(low, part[1], 1, &lo));
    text_check(&t, peri_model_set_upper(low, part[1], 1, &hi));
    text_check(&t, peri_expr_stack(up, 2, part, &t.x));
    t.m = low;
    text_minimize(&t, "x1*x2^2-0.1*x2");
    t.m = up;
    text_minimize(&t, "(x1+1)^2");
    seen.later = concave;
    is_int(probe(&t, 1, NULL, convex, NULL, &s), PERI_OK, "convex, then not: %s", peri_error(ctx));
    seen.later = NULL;
    ok(seen.convex[1] == 0, "nothing is proven for all values above");
    is_close(seen.x[0], 2, 1e-7, 0, "another method is chosen: the bound");
    peri_solution_free(s);
    peri_model_free(up);
}

static void test_nested(peri_context *ctx)
{
    static const double at[4] = {2, 0.5, 7, -1};
    text_model t = nested(ctx);
    peri_solution *s = NULL;
    is_int(probe(&t, 2, NULL, at, NULL, &s), PERI_OK, "the deepest: %s", peri_error(ctx));
    ok(seen.count == 4 && seen.parent[1] == 0 && seen.parent[2] == 1 && seen.parent[3] == 0, "four levels, one inside another");
    is_close(seen.x[0], 3, 1e-7, 0, "with all others held");
    is_close(seen.f[2], (7 - 2 - 1) * (7 - 2 - 1), 1e-14, 0, "a maximization arrives negated");
    is_close(seen.objective, 0, 0, 1e-10, "and its optimum");
    peri_solution_free(s);
    is_int(probe(&t, 3, NULL, at, NULL, &s), PERI_OK, "the one beside");
    is_close(seen.x[0], log(2), 1e-7, 0, "takes no part in it");
    peri_solution_free(s);
    is_int(probe(&t, 1, "lbfgs", at, NULL, &s), PERI_E_UNSUPPORTED, "a level with levels inside is no problem for other methods");
    has_text(peri_error(ctx), "lower models", "as is said");
    peri_model_free(t.m);
}

static void test_refused(peri_context *ctx)
{
    peri_model *low = NULL;
    text_model t = two_levels(ctx, &low);
    peri_solution *s = NULL;
    const peri_solve_args ipm = {.plan = "ipm"};
    peri_model_info info;
    char *text = NULL;
    is_int(peri_model_solve(t.m, &ipm, &s), PERI_E_UNSUPPORTED, "no method is taken that would ignore the lower model");
    has_text(peri_error(ctx), "ipm: refuses lower models", "and the reason is told");
    is_int(peri_model_solve(low, NULL, &s), PERI_E_STATE, "a lower model is not solved");
    has_text(peri_error(ctx), "\"users\"", "and named");
    is_int(peri_model_get_info(t.m, &info), PERI_OK, "it is described");
    is_text(info.class_name, "two-level program", "as what it is");
    ok((info.traits & PERI_BIT(PERI_TRAIT_LEVELS)) && !(info.traits & (PERI_BIT(PERI_TRAIT_MULTILEVEL) | PERI_BIT(PERI_TRAIT_CONVEX))),
       "its traits");
    is_int(peri_model_explain(t.m, NULL, &text), PERI_OK, "explained");
    has_text(text, "users", "with its levels");
    peri_free_text(ctx, text);
    ok(peri_model_lower(t.m, "users") == NULL && peri_model_lower(low, "test") == NULL && peri_model_lower(low, "") == NULL,
       "names of models that are taken or empty");
    ok(peri_model_upper(low) == t.m && peri_model_upper(t.m) == NULL, "who lies in whom");
    peri_model_free(low); /* its root has it */
    peri_model_free(t.m);
}

/* A model that is solved inside leaves the problem: its variables lie between the others', its row before theirs. */
static void test_inside(peri_context *ctx)
{
    static const double start = 0.3;
    text_model t = text_new(ctx, 1, &start);
    peri_model *up = t.m, *low = peri_model_lower(up, "inside");
    peri_expr part[3] = {t.x, PERI_NO_EXPR, PERI_NO_EXPR};
    const double six = 6;
    double value[2] = {0, 0};
    peri_solution *s = NULL;
    peri_model_info info;
    const peri_solve_args args = {.plan = "ipm"};
    text_check(&t, peri_model_var(low, "y", 2, 1, &part[1]));
    text_check(&t, peri_model_var(up, "u", 1, 1, &part[2]));
    text_check(&t, peri_model_set_upper(up, part[2], 1, &six));
    text_check(&t, peri_model_set_start(up, part[2], 1, &six));
    text_check(&t, peri_expr_stack(up, 3, part, &t.x)); /* x1 = x, x2 and x3 = y, x4 = u */
    t.m = low;
    text_minimize(&t, "(x2-x1)^2+x3^2");
    text_constrain(&t, "lower row", -1, "x2", 1);
    t.m = up;
    text_minimize(&t, "(x1-1)^2+log(x4)^2+(x1-x4)^2");
    const peri_constraint row = text_constrain(&t, "row", 5, "x1+x4", INFINITY);
    is_int(model_solve_inside(up), PERI_E_ARGUMENT, "the outermost model lies in none");
    is_int(model_solve_inside(low), PERI_OK, "a lower model is solved inside");
    is_int(peri_model_get_info(up, &info), PERI_OK, "what is left");
    ok(info.variables == 2 && info.constraints == 1 && (info.traits & PERI_BIT(PERI_TRAIT_LEVELS)) == 0, "has no lower level");
    is_int(peri_model_solve(up, &args, &s), PERI_OK, "and is solved by any method: %s", peri_error(ctx));
    is_int(peri_solution_outcome(s), PERI_LOCALLY_OPTIMAL, "to an optimum");
    is_int(peri_solution_value(s, part[0], &value[0]), PERI_OK, "with values");
    is_int(peri_solution_value(s, part[2], &value[1]), PERI_OK, "for both variables");
    is_close(value[0] + value[1], 5, 1e-7, 0, "on the row that is left");
    double y = 0;
    is_int(peri_solution_dual(s, row, &y), PERI_OK, "which has a multiplier");
    is_close(y, 2 * (value[0] - 1) + 2 * (value[0] - value[1]), 1e-6, 1e-6, "of the first variable's equation");
    is_int(peri_solution_dual(s, peri_model_find_constraint(up, "lower row"), &y), PERI_E_ARGUMENT, "the other has none");
    char *text = NULL;
    is_int(peri_solution_json(s, &text), PERI_OK, "as JSON");
    is_int(peri_solution_value(s, part[1], value), PERI_E_ARGUMENT, "nor has its variable a value");
    ok(strstr(text, "\"y\"") == NULL && strstr(text, "lower row") == NULL && strstr(text, "\"u\"") != NULL, "without what takes no part");
    peri_free_text(ctx, text);
    peri_solution_free(s);
    is_int(peri_model_var(low, "late", 1, 1, &part[1]), PERI_E_STATE, "nothing more is added to it");
    text_minimize(&t, "(x1-1)^2+x2^2");
    is_int(peri_model_solve(up, &args, &s), PERI_E_STATE, "its variables are used no more");
    has_text(peri_error(ctx), "uses y, a variable of model \"inside\"", "by name");
    text_minimize(&t, "(x1-1)^2+log(x4-9)");
    is_int(peri_model_solve(up, &args, &s), PERI_E_DOMAIN, "where it is undefined");
    has_text(peri_error(ctx), "log(", "the operation is told: %s", peri_error(ctx));
    peri_model_free(up);
}

static void test_memory(peri_context *ctx)
{
    static const double at[4] = {1.3, -0.7, 0.4, 2.1};
    int64_t k = 1, wrong = 0, leaks = 0, tried = 0;
    for (bool done = false; !done; k += tap_long() ? 1 : 1 + k / 10, tried++) {
        int64_t before = 0, after = 0;
        peri_solution *s = NULL;
        peri_model *low = NULL;
        peri_memory(ctx, NULL, NULL, &before);
        peri_memory_fail_at(ctx, k, k % 2 == 0);
        text_model t = two_levels(ctx, &low);
        const peri_status status = t.failed ? PERI_E_NOMEM : probe(&t, 1, "ipm", at, NULL, &s);
        done = ctx->mem.countdown > 0;
        peri_memory_fail_at(ctx, 0, false);
        wrong += status != PERI_OK && status != PERI_E_NOMEM;
        peri_solution_free(s);
        peri_model_free(t.m != NULL && peri_model_upper(t.m) != NULL ? peri_model_upper(t.m) : t.m);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += before != after;
    }
    is_int(wrong, 0, "out of memory at each of %lld places is that or nothing", (long long)tried);
    is_int(leaks, 0, "and leaks nothing");
}

int main(void)
{
    peri_context *ctx = installed_context();
    test_two(ctx);
    test_convexity(ctx);
    test_nested(ctx);
    test_refused(ctx);
    test_inside(ctx);
    test_memory(ctx);
    peri_context_free(ctx);
    return tap_done();
}
