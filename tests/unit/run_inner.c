/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_inner - inner problems as a reformulation uses them: the problem copied, new variables, derivatives as expressions, a view that
 * evaluates, functions of the plugin's own that solve a problem in turn, plans of their own; what is refused; memory that runs out.
 */
#include "run/internal.h"
#include "tap/tap.h"
#include "unit/installed.h"
#include "unit/text_model.h"
#include <math.h>

enum { SLACKS, CONDITIONS, VALUE, REFUSED };

static const char *const WAYS[] = {"slacks", "conditions", "value", "refused", NULL};

typedef struct {
    int32_t way;
} options;

static const peri_option LIST[] = {PERI_ENUM("way", options, way, SLACKS, WAYS, "what is made of the problem")};

typedef struct {
    int64_t n, m;
    int32_t way;
    peri_inner *inner, *lower;
    peri_x at; /* parameter of the lower problem */
    peri_x x;
    peri_run *run;
} state;

/* What the last run found out; of the test, which has one thread. */
static struct {
    double f_difference, g_difference, view_jacobian;
    int64_t refused, lower_solves;
    char message[256];
} seen;

/* c(x) - s = 0, cl <= s <= cu */
static peri_status make_slacks(state *s, peri_run *run)
{
    const double *cl, *cu;
    double zero[8] = {0};
    peri_x f, c, slack;
    peri_bounds(run, NULL, NULL, &cl, &cu);
    TRY(peri_inner_problem(s->inner, 0, s->x, &f, &c));
    TRY(peri_inner_var(s->inner, "x", s->m, 1, &slack)); /* a name that is taken gets a number */
    TRY(peri_inner_set_bounds(s->inner, slack, cl, cu));
    TRY(peri_x_binary(s->inner, "sub", c, slack, &c));
    TRY(peri_inner_constrain(s->inner, "slacks", c, zero, zero, NULL));
    return peri_inner_minimize(s->inner, f);
}

/* grad f - J'y = 0, c = 0, in x and y: for equations only */
static peri_status make_conditions(state *s, peri_run *run)
{
    const double *cl;
    double zero[8] = {0};
    peri_x f, c, y, term, g;
    peri_bounds(run, NULL, NULL, &cl, NULL);
    TRY(peri_inner_problem(s->inner, 0, s->x, &f, &c));
    TRY(peri_inner_var(s->inner, "y", s->m, 1, &y));
    TRY(peri_x_binary(s->inner, "dot", y, c, &term));
    TRY(peri_x_binary(s->inner, "sub", f, term, &term));
    TRY(peri_x_gradient(s->inner, term, s->x, &g));
    TRY(peri_inner_constrain(s->inner, "stationary", g, zero, zero, NULL));
    return peri_inner_constrain(s->inner, "rows", c, cl, cl, NULL);
}

/* v(x) = min over y of (y - sum x)^2 + y^4: an own plan inside an evaluation */
static int lower_value(void *ud, int64_t n, const double *x, double *v)
{
    state *s = ud;
    const peri_inner_request request = {.size = (uint32_t)sizeof request, .plan = "trust-ncg"};
    const peri_inner_result *r;
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        sum += x[j];
    if (peri_inner_set_param(s->lower, s->at, &sum) != PERI_OK || peri_inner_solve(s->lower, &request, &r) != PERI_OK)
        return -1;
    seen.lower_solves++;
    *v = r->objective;
    return r->why == PERI_WHY_CONVERGED ? 0 : 1;
}

/* By the envelope theorem: dv/dx_j = -2 (y - sum x) */
static int lower_gradient(void *ud, int64_t n, const double *x, double *g)
{
    state *s = ud;
    const peri_inner_request request = {.size = (uint32_t)sizeof request, .plan = "trust-ncg"};
    const peri_inner_result *r;
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        sum += x[j];
    if (peri_inner_set_param(s->lower, s->at, &sum) != PERI_OK || peri_inner_solve(s->lower, &request, &r) != PERI_OK)
        return -1;
    for (int64_t j = 0; j < n; j++)
        g[j] = -2 * (r->x[0] - sum);
    return 0;
}

static peri_status make_value(state *s, peri_run *run)
{
    const peri_call fn = {.name = "value", .ud = s, .value = lower_value, .gradient = lower_gradient};
    const double one = 1, start = 0.5;
    peri_x y, d, f, v;
    TRY(peri_inner_new(run, "lower", &s->lower));
    TRY(peri_inner_var(s->lower, "y", 1, 1, &y));
    TRY(peri_inner_set_start(s->lower, y, &start));
    TRY(peri_inner_param(s->lower, "at", 1, 1, &one, &s->at));
    TRY(peri_x_binary(s->lower, "sub", y, s->at, &d));
    TRY(peri_x_unary(s->lower, "square", d, &d));
    TRY(peri_x_unary(s->lower, "square", y, &f));
    TRY(peri_x_unary(s->lower, "square", f, &f));
    TRY(peri_x_binary(s->lower, "add", d, f, &f));
    TRY(peri_inner_minimize(s->lower, f));
    TRY(peri_inner_problem(s->inner, 0, s->x, &f, NULL));
    TRY(peri_x_call(s->inner, &fn, s->x, &v));
    TRY(peri_x_binary(s->inner, "add", f, v, &f));
    return peri_inner_minimize(s->inner, f);
}

static void expect(peri_run *run, peri_status got, peri_status want)
{
    (void)run;
    seen.refused += got == want;
}

/* Nine things that a plugin may get wrong. */
static peri_status try_refused(state *s, peri_run *run)
{
    const double nan_value[2] = {NAN, NAN};
    peri_x f, c, x, two;
    expect(run, peri_inner_variables(s->inner, &x), PERI_E_STATE);
    expect(run, peri_inner_problem(s->inner, 1, s->x, &f, &c), PERI_E_ARGUMENT);
    TRY(peri_x_array(s->inner, 1, 2, (const double[]){1, 2}, &two));
    expect(run, peri_inner_problem(s->inner, 0, two, &f, &c), PERI_E_SHAPE);
    expect(run, peri_x_unary(s->inner, "squar", s->x, &f), PERI_E_NAME);
    expect(run, peri_x_binary(s->inner, "matmul", s->x, s->x, &f), PERI_E_SHAPE);
    expect(run, peri_x_unary(s->inner, "neg", 100000, &f), PERI_E_ARGUMENT);
    expect(run, peri_inner_set_bounds(s->inner, two, nan_value, NULL), PERI_E_ARGUMENT);
    expect(run, peri_inner_set_bounds(s->inner, s->x, nan_value, NULL), PERI_E_ARGUMENT);
    expect(run, peri_inner_set_param(s->inner, s->x, nan_value), PERI_E_ARGUMENT);
    return make_slacks(s, run);
}

/* The view's objective and gradient against the run's own, where the problem is only copied. */
static peri_status compare_view(state *s, peri_run *run)
{
    peri_run *view;
    peri_pattern a;
    double x[16] = {0.3, -0.2, 0.7, 0.1}, g[16], h[16], f, e;
    if (s->way != SLACKS)
        return PERI_OK;
    TRY(peri_inner_view(s->inner, &view));
    TRY(peri_eval_fg(run, x, &f, g));
    TRY(peri_eval_fg(view, x, &e, h));
    seen.f_difference = fabs(f - e);
    seen.g_difference = 0;
    for (int64_t j = 0; j < s->n; j++)
        seen.g_difference = fmax(seen.g_difference, fabs(g[j] - h[j]));
    TRY(peri_jac_pattern(view, &a));
    seen.view_jacobian = (double)a.nnz;
    return PERI_OK;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->way = ((const options *)opt)->way;
    s->n = peri_n(run);
    s->m = peri_m(run);
    s->run = run;
    TRY(peri_inner_new(run, "inner", &s->inner));
    TRY(peri_inner_variables(s->inner, &s->x));
    TRY(s->way == SLACKS       ? make_slacks(s, run)
        : s->way == CONDITIONS ? make_conditions(s, run)
        : s->way == VALUE      ? make_value(s, run)
                               : try_refused(s, run));
    return compare_view(s, run);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const peri_inner_result *r;
    peri_row row = peri_empty_row();
    double y[8];
    TRY(peri_inner_solve(s->inner, NULL, &r));
    for (int64_t i = 0; i < s->m; i++) /* of the conditions, the variables y */
        y[i] = s->way == CONDITIONS ? r->x[s->n + i] : r->y[i];
    TRY(peri_accept(run, r->x, y, NULL, &row, next));
    return peri_finish(run, PERI_WHY_CONVERGED, next);
}

static const peri_reformulation_ops OPS = {.init = init, .step = step};
static const peri_plugin PROBE = {PERI_REFORMULATION(state, options, LIST), .ops = &OPS, .name = "probe"};

/* "probe > solver" */
static peri_status solve(peri_model *m, const char *way, const char *solver, peri_solution **out)
{
    const peri_setting setting = {.key = "way", .type = PERI_VALUE_TEXT, .text = way};
    const peri_solve_args args = {.n_settings = 1, .settings = &setting};
    run_chain chain = {.n = 2, .link[0].plugin = &PROBE};
    const run_request q = {.model = m, .chain = &chain, .args = &args};
    registry *r;
    registry_entry *e;
    *out = NULL;
    TRY(registry_get(m->ctx, &r));
    TRY(registry_find(r, solver, PERI_KIND_SOLVER, &e));
    TRY(registry_load(r, e, &chain.link[1].plugin));
    peri_status status = chain_read(&chain, m->ctx, &args);
    if (status == PERI_OK)
        status = run_request_solve(&q, out);
    chain_release(&chain);
    return status;
}

static text_model equations(peri_context *ctx)
{
    static const double start[] = {0.7, 0.4, 0.2};
    text_model t = text_new(ctx, 3, start);
    text_param(&t, 2);
    text_minimize(&t, "(x1-1)^2+p*x2^2+x3^4+x1*x3");
    text_constrain(&t, "c", 1, "x1+x2+x3", 1);
    text_constrain(&t, "d", 0.25, "x1*x2", 0.25);
    return t;
}

static void compare(peri_solution *got, peri_solution *want, const char *name)
{
    double y[2] = {NAN, NAN}, z[2] = {0, 0};
    ok(got != NULL && peri_solution_certificate(got).kkt <= 1e-6, "%s: certified in the problem itself", name);
    if (got == NULL)
        return;
    is_close(peri_solution_objective(got), peri_solution_objective(want), 1e-6, 1e-6, "%s: the objective", name);
    for (int i = 0; i < 2; i++) {
        is_int(peri_solution_dual(got, i, &y[i]), PERI_OK, "%s: a multiplier", name);
        is_int(peri_solution_dual(want, i, &z[i]), PERI_OK, "%s: and the other plan's", name);
        is_close(y[i], z[i], 1e-5, 1e-6, "%s: are one", name);
    }
}

static void test_ways(peri_context *ctx)
{
    text_model t = equations(ctx);
    const peri_solve_args args = {.plan = "ipm"};
    peri_solution *want = NULL, *s = NULL;
    is_int(peri_model_solve(t.m, &args, &want), PERI_OK, "solved directly");
    const uint64_t structure = t.m->structure;
    const int64_t nodes = t.m->g->nodes.n;
    is_int(solve(t.m, "slacks", "ipm", &s), PERI_OK, "with slacks");
    compare(s, want, "slacks");
    is_close(seen.f_difference, 0, 0, 1e-15, "the view's objective is the problem's");
    is_close(seen.g_difference, 0, 0, 1e-14, "so is its gradient");
    is_close(seen.view_jacobian, 7, 0, 0, "and its rows have the slacks too");
    ok(peri_solution_evaluations(s).hessian > 0, "evaluations of the inner problem count");
    ok(peri_solution_history(s)[0].inner_iterations > 1, "and its iterations are told");
    peri_solution_free(s);
    is_int(solve(t.m, "conditions", "ipm", &s), PERI_OK, "by its conditions of optimality");
    compare(s, want, "conditions");
    peri_solution_free(s);
    ok(t.m->structure == structure && t.m->g->nodes.n == nodes, "nothing is left behind in the model");
    peri_solution_free(want);
    peri_model_free(t.m);
}

/* f = (x1 - 2)^2 + x2^2 + v(x1 + x2); with y of the lower level: 2(x1 - 2) = 2 x2 = 2(y - x1 - x2), 2(y - x1 - x2) + 4y^3 = 0 */
static void test_value(peri_context *ctx)
{
    static const double start[] = {1, 1};
    text_model t = text_new(ctx, 2, start);
    peri_solution *s = NULL;
    double x[2] = {0, 0};
    text_minimize(&t, "(x1-2)^2+x2^2");
    seen.lower_solves = 0;
    is_int(solve(t.m, "value", "lbfgs", &s), PERI_OK, "a function that solves a problem");
    ok(seen.lower_solves > 3, "is solved again and again: %lld times", (long long)seen.lower_solves);
    ok(s != NULL && peri_solution_value(s, t.x, x) == PERI_OK, "it has a point");
    const double d = x[0] - 2, y = d + x[0] + x[1]; /* from the first equation */
    is_close(x[1], d, 1e-6, 1e-6, "where both variables share");
    is_close(2 * d + 4 * y * y * y, 0, 0, 1e-5, "what the lower level takes");
    peri_solution_free(s);
    peri_model_free(t.m);
}

static void test_refused(peri_context *ctx)
{
    text_model t = equations(ctx);
    peri_solution *s = NULL;
    seen.refused = 0;
    is_int(solve(t.m, "refused", "ipm", &s), PERI_OK, "after mistakes that were refused the run goes on");
    is_int(seen.refused, 9, "each with its code");
    peri_solution_free(s);
    is_int(solve(t.m, "slacks", "lbfgs", &s), PERI_E_UNSUPPORTED, "a solver that does not take what was made");
    has_text(peri_error(ctx), "lbfgs: refuses constraints, and probe has made a ", "says so");
    is_int(run_with(t.m, &PROBE, "probe", NULL, &s), PERI_E_UNSUPPORTED, "a reformulation alone");
    has_text(peri_error(ctx), "probe: no solver stands behind it in the plan", "lacks a solver");
    peri_model_free(t.m);
}

static void test_memory(peri_context *ctx, const char *way, const char *solver)
{
    int64_t k = 1, wrong = 0, leaks = 0, tried = 0;
    for (bool done = false; !done; k += tap_long() ? 1 : 1 + k / 10, tried++) {
        int64_t before = 0, after = 0;
        peri_solution *s = NULL;
        peri_memory(ctx, NULL, NULL, &before);
        text_model t = equations(ctx);
        peri_memory_fail_at(ctx, k, k % 2 == 0);
        const peri_status status = solve(t.m, way, solver, &s);
        done = ctx->mem.countdown > 0;
        peri_memory_fail_at(ctx, 0, false);
        wrong += status != PERI_OK && status != PERI_E_NOMEM;
        peri_solution_free(s);
        peri_model_free(t.m);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += before != after;
    }
    is_int(wrong, 0, "%s: out of memory at each of %lld places is that or nothing", way, (long long)tried);
    is_int(leaks, 0, "%s: and leaks nothing", way);
}

int main(void)
{
    peri_context *ctx = installed_context();
    test_ways(ctx);
    test_value(ctx);
    test_refused(ctx);
    test_memory(ctx, "slacks", "ipm");
    test_memory(ctx, "conditions", "ipm");
    peri_context_free(ctx);
    return tap_done();
}
