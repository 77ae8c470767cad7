/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop that the engine owns, exercised by small solvers linked into the test: limits, interruption, values that are
 * not numbers, domain errors, warm starts, results, and an allocation failure at every place.
 */
#include "io/json.h"
#include "run/internal.h"
#include "tap/tap.h"
#include "unit/text_model.h"
#include <fenv.h>
#include <stdarg.h>

/* ---- a projected gradient method with faults to order
 * ---------------------------------------------------------------------------- */

enum {
    FAULT_NONE,
    FAULT_NAN,
    FAULT_ENDLESS,
    FAULT_LIES,
    FAULT_DOMAIN,
    FAULT_WORSE,
    FAULT_CANCELLED,
    FAULT_OWN,
    FAULT_NUMERIC,
    FAULT_ROUNDING,
    FAULT_SILENT
};

static const char *const FAULTS[] = {"none",      "nan", "endless", "lies",     "domain", "worse",
                                     "cancelled", "own", "numeric", "rounding", "silent", NULL};

typedef struct {
    int32_t fault;
    int64_t at; /* the step that has it */
} options;

static const peri_option LIST[] = {
    PERI_ENUM("fault", options, fault, FAULT_NONE, FAULTS, "what goes wrong"),
    PERI_INT("at", options, at, 2, 0, 1000000, "1", "step at which it does"),
};

typedef struct {
    const options *o;
    int64_t n, steps;
    double *x, *g, *trial, f, length;
    const double *xl, *xu;
} state;

static int64_t finished; /* of the test, not of a plugin: calls of fini */

static peri_status gradient_init(void *memory, peri_run *run, const void *o)
{
    state *s = memory;
    peri_row row = peri_empty_row();
    s->o = o;
    s->n = peri_n(run);
    s->length = 1;
    peri_bounds(run, &s->xl, &s->xu, NULL, NULL);
    TRY(peri_alloc(run, s->n, &s->x));
    TRY(peri_alloc(run, s->n, &s->g));
    TRY(peri_alloc(run, s->n, &s->trial));
    TRY(peri_start(run, s->x));
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    row.objective = s->f;
    return peri_accept(run, s->x, NULL, NULL, &row, NULL);
}

static double clamp(double v, double lower, double upper)
{
    return v < lower ? lower : v > upper ? upper : v;
}

static peri_status faulty(state *s, peri_run *run, peri_step *next, bool *done)
{
    const peri_row row = peri_empty_row();
    *done = true;
    switch (s->o->fault) {
    case FAULT_NAN:
        s->x[s->n - 1] = NAN;
        return peri_accept(run, s->x, NULL, NULL, &row, next);
    case FAULT_ENDLESS:
        while (!peri_should_stop(run)) {
        }
        return PERI_OK;
    case FAULT_LIES:
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    case FAULT_DOMAIN:
        return PERI_E_DOMAIN;
    case FAULT_WORSE:
        s->x[0] += 3;
        TRY(peri_accept(run, s->x, NULL, NULL, &row, next));
        return peri_finish(run, PERI_WHY_FAILED, next);
    case FAULT_CANCELLED:
        return PERI_E_CANCELLED;
    case FAULT_OWN:
        return peri_fail(run, PERI_E_PLUGIN, "no room for the left foot");
    case FAULT_NUMERIC:
        return PERI_E_NUMERIC;
    case FAULT_ROUNDING:
        fesetround(FE_UPWARD);
        *done = false;
        return PERI_OK;
    case FAULT_SILENT:
        return PERI_OK; /* neither accepts nor finishes */
    default:
        *done = false;
        return PERI_OK;
    }
}

static peri_status gradient_step(void *memory, peri_run *run, peri_step *next)
{
    state *s = memory;
    bool done = false;
    if (++s->steps >= s->o->at)
        TRY(faulty(s, run, next, &done));
    if (done)
        return PERI_OK;
    double best = s->f, moved = 0;
    for (s->length *= 4; s->length > 1e-20; s->length /= 2) {
        moved = 0;
        double slope = 0;
        for (int64_t j = 0; j < s->n; j++) {
            s->trial[j] = clamp(s->x[j] - s->length * s->g[j], s->xl[j], s->xu[j]);
            moved = fmax(moved, fabs(s->trial[j] - s->x[j]) / s->length);
            slope += s->g[j] * (s->trial[j] - s->x[j]);
        }
        const peri_status status = peri_eval_f(run, s->trial, &best);
        if (status != PERI_OK && status != PERI_E_DOMAIN)
            return status;
        if (status == PERI_OK && best <= s->f + 1e-4 * slope)
            break;
    }
    if (moved < 1e-9)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    memcpy(s->x, s->trial, (size_t)s->n * sizeof *s->x);
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.step = s->length;
    row.dual = moved;
    row.tag = 'g';
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static void gradient_fini(void *memory, peri_run *run)
{
    (void)memory;
    (void)run;
    finished++;
}

static const peri_solver_ops GRADIENT_OPS = {.init = gradient_init, .step = gradient_step, .fini = gradient_fini};
static const peri_plugin GRADIENT = {
    PERI_SOLVER(state, options, LIST),
    .ops = &GRADIENT_OPS,
    .name = "slope",
    .family = "test",
    .summary = "projected gradient",
    .needs = {PERI_NEEDS_GRADIENT},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_INTEGER},
};

/* ---- a solver that was told the answer
 * ------------------------------------------------------------------------------------------------ */

typedef struct {
    const double *x, *y, *z; /* NULL: none */
    peri_why why;
} answer;

static const answer *told; /* what the next run says */

typedef struct {
    double y[8], z[8];
    bool warm;
} teller;

static teller heard; /* the warm start that the last run saw */

static peri_status teller_init(void *memory, peri_run *run, const void *o)
{
    teller *s = memory;
    (void)o;
    s->warm = peri_start_duals(run, s->y, s->z);
    heard = *s;
    return PERI_OK;
}

static peri_status teller_step(void *memory, peri_run *run, peri_step *next)
{
    const peri_row row = peri_empty_row();
    (void)memory;
    TRY(peri_accept(run, told->x, told->y, told->z, &row, next));
    return peri_finish(run, told->why, next);
}

static const peri_option NO_OPTIONS[] = {PERI_BOOL("unused", options, fault, 0, "nothing")};
static const peri_solver_ops TELLER_OPS = {.init = teller_init, .step = teller_step, .fini = gradient_fini};
static const peri_plugin TELLER = {
    PERI_SOLVER(teller, options, NO_OPTIONS), .ops = &TELLER_OPS,        .name = "teller", .family = "test",
    .summary = "says what it was told",       .gives = PERI_GIVES_DUALS,
};

/* ---- runs
 * --------------------------------------------------------------------------------------------------------------------------------
 */

enum { MOST_SETTINGS = 4 };

static peri_status solve(text_model *t, const peri_plugin *plugin, peri_solution **s, ...)
{
    peri_setting settings[MOST_SETTINGS];
    int64_t n = 0;
    va_list args;
    va_start(args, s);
    for (const char *key = va_arg(args, const char *); key != NULL && n < MOST_SETTINGS;
         key = va_arg(args, const char *))
        settings[n++] = (peri_setting){key, PERI_VALUE_TEXT, 0, va_arg(args, const char *)};
    va_end(args);
    const peri_solve_args a = {.n_settings = n, .settings = settings};
    return run_with(t->m, plugin, plugin->name, &a, s);
}

static text_model bowl(peri_context *ctx)
{
    static const double start[] = {2, 1, 0};
    text_model t = text_new(ctx, 3, start);
    text_minimize(&t, "(x1-1)^2+4*(x2+2)^2+(x3-x1)^2");
    return t;
}

static void test_solve(peri_context *ctx)
{
    text_model t = bowl(ctx);
    peri_solution *s;
    double x[3];
    const double want[3] = {1, -2, 1};
    finished = 0;
    ok(solve(&t, &GRADIENT, &s, NULL) == PERI_OK, "a bowl: %s", peri_error(ctx));
    is_text(peri_outcome_name(peri_solution_outcome(s)), "optimal", "is convex, so the solution is optimal");
    ok(peri_solution_value(s, t.x, x) == PERI_OK && all_close(3, x, want, 0, 1e-8, "the minimizer"), "its point");
    is_close(peri_solution_objective(s), 0, 0, 1e-14, "its value");
    ok(peri_solution_certificate(s).kkt < 1e-8, "certified");
    is_text(peri_solution_solver(s), "slope", "solver");
    is_int(finished, 1, "fini was called once");
    const int64_t rows = peri_solution_history_rows(s), iterations = peri_solution_iterations(s);
    is_int(rows, iterations + 1, "history: the start and a row an iteration");
    const peri_event *e = peri_solution_history(s);
    ok(e[0].iteration == 0 && e[rows - 1].iteration == iterations && e[rows - 1].best, "in order");
    ok(e[0].objective == 1 + 36 + 4 && isnan(e[0].step) && e[1].tag == 'g' && e[1].step > 0,
       "with the numbers that were given");
    const peri_evaluations n = peri_solution_evaluations(s);
    ok(n.gradient == iterations + 1 && n.objective >= 2 * iterations, "evaluations are the method's own");
    const peri_times times = peri_solution_times(s);
    ok(times.total > 0 && times.total >= times.gradient + times.objective + times.building + times.method - 1e-9,
       "times add up");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, NULL) == PERI_OK && peri_solution_iterations(s) == iterations, "again: the same run");
    ok(peri_solution_times(s).building == 0, "and nothing is compiled again");
    peri_model_free(t.m);
    ok(peri_solution_value(s, t.x, x) == PERI_OK, "a solution outlives its model");
    peri_solution_free(s);
}

static void test_bounds(peri_context *ctx)
{
    text_model t = bowl(ctx);
    peri_solution *s;
    double x[3], z[3];
    const double lower = 1.5, want[3] = {1.5, 1.5, 1.5}, duals[3] = {1, 28, 0};
    text_bounds(&t, lower, INFINITY);
    ok(solve(&t, &GRADIENT, &s, NULL) == PERI_OK, "with bounds");
    ok(peri_solution_value(s, t.x, x) == PERI_OK && all_close(3, x, want, 0, 1e-8, "the minimizer"), "at the bounds");
    ok(peri_solution_reduced_cost(s, t.x, z) == PERI_OK &&
           all_close(3, z, duals, 1e-8, 1e-7, "multipliers of the bounds"),
       "are found by the engine");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "optimal", "certified with them");
    ok(peri_solution_history(s)[0].objective >= 0 && x[1] >= lower, "the start was projected onto the bounds");
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* ---- limits
 * ------------------------------------------------------------------------------------------------------------------------------
 */

static void test_limits(peri_context *ctx)
{
    text_model t = bowl(ctx);
    peri_solution *s;
    double x[3];
    const double start[3] = {2, 1, 0};
    ok(solve(&t, &GRADIENT, &s, "iterations", "0", NULL) == PERI_OK, "no iterations");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "iteration_limit", "is a limit");
    ok(peri_solution_iterations(s) == 0 && peri_solution_value(s, t.x, x) == PERI_OK &&
           all_close(3, x, start, 0, 0, "start"),
       "the point is the start");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "iterations", "1", NULL) == PERI_OK && peri_solution_iterations(s) == 1,
       "one iteration");
    ok(peri_solution_objective(s) < 41, "is better than none");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "time_limit", "0", NULL) == PERI_OK, "no time");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "time_limit", "is a limit");
    is_int(peri_solution_iterations(s), 0, "before the first step");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "time_limit", "20ms", "fault", "endless", NULL) == PERI_OK, "a step that polls");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "time_limit", "ends in time");
    ok(peri_solution_times(s).total < 2, "or about so");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "time_limit", "20ms", "iterations", "1", "fault", "endless", "at", "1", NULL) ==
               PERI_OK &&
           peri_solution_outcome(s) == PERI_TIME_LIMIT,
       "the last step that is allowed may poll without being told to stop");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "evaluations", "4", NULL) == PERI_OK, "few evaluations");
    is_text(peri_solution_message(s), "limit of objective evaluations reached", "are a limit");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "iteration_limit", "of the same kind");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "fault", "silent", "at", "1", "iterations", "50", NULL) == PERI_OK,
       "a solver that never accepts a point");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "iteration_limit", "ends at the limit as well");
    peri_solution_free(s);
    peri_model_free(t.m);
}

static void test_options(peri_context *ctx)
{
    text_model t = bowl(ctx);
    peri_solution *s;
    is_int(solve(&t, &GRADIENT, &s, "iteration", "5", NULL), PERI_E_OPTION, "an unknown option is refused");
    has_text(peri_error(ctx), "slope: no option \"iteration\" (did you mean \"iterations\"",
             "with the engine's nearest");
    is_int(solve(&t, &GRADIENT, &s, "falt", "nan", NULL), PERI_E_OPTION, "an unknown option is refused");
    has_text(peri_error(ctx), "did you mean \"fault\"", "with the solver's nearest");
    is_int(solve(&t, &GRADIENT, &s, "iterations", "-1", NULL), PERI_E_OPTION, "a limit below 0 is refused");
    has_text(peri_error(ctx), "option \"iterations\" is \"-1\", must be ", "and said");
    is_int(solve(&t, &GRADIENT, &s, "tolerance", "nan", NULL), PERI_E_OPTION, "so is no number");
    ok(s == NULL, "and there is no solution");
    ok(solve(&t, &GRADIENT, &s, "tol", "0.5", "seed", "7", NULL) == PERI_OK, "tol is tolerance");
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* ---- interruption
 * ------------------------------------------------------------------------------------------------------------------------
 */

typedef struct {
    peri_context *ctx;
    int64_t at, seen;
    bool interrupt;
    text_model *t;
    peri_status nested;
} watcher;

static int watch(void *ud, const peri_event *event)
{
    watcher *w = ud;
    w->seen++;
    if (w->t != NULL && event->iteration == 1) {
        peri_solution *s = NULL;
        w->nested = run_with(w->t->m, &GRADIENT, "slope", NULL, &s);
    }
    if (event->iteration < w->at)
        return 0;
    if (w->interrupt)
        peri_interrupt(w->ctx);
    return !w->interrupt;
}

static void test_interrupt(peri_context *ctx)
{
    text_model t = bowl(ctx);
    peri_solution *s;
    for (int by_flag = 0; by_flag < 2; by_flag++) {
        watcher w = {ctx, 3, 0, by_flag == 1, NULL, PERI_OK};
        const peri_solve_args a = {.event = watch, .event_ud = &w};
        ok(run_with(t.m, &GRADIENT, "slope", &a, &s) == PERI_OK, "%s",
           by_flag ? "an interruption" : "an event function that says stop");
        is_text(peri_outcome_name(peri_solution_outcome(s)), "interrupted", "ends as interrupted");
        ok(peri_solution_iterations(s) == 3 && w.seen == 4, "after the iteration in hand");
        is_close(peri_solution_objective(s), peri_solution_history(s)[3].objective, 0, 0, "with the best point so far");
        peri_solution_free(s);
    }
    ok(solve(&t, &GRADIENT, &s, NULL) == PERI_OK && peri_solution_iterations(s) == 0, "it stands until it is cleared");
    peri_solution_free(s);
    peri_clear_interrupt(ctx);
    ok(solve(&t, &GRADIENT, &s, NULL) == PERI_OK && peri_solution_outcome(s) == PERI_OPTIMAL, "and then all is well");
    peri_solution_free(s);
    watcher w = {ctx, 1000, 0, false, &t, PERI_OK};
    const peri_solve_args a = {.event = watch, .event_ud = &w};
    ok(run_with(t.m, &GRADIENT, "slope", &a, &s) == PERI_OK, "a solve inside a solve of the same model");
    is_int(w.nested, PERI_E_STATE, "is refused");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "optimal", "and does the outer one no harm");
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* ---- faults
 * ---------------------------------------------------------------------------------------------------------------------------------
 */

static void test_faults(peri_context *ctx)
{
    text_model t = bowl(ctx);
    peri_solution *s;
    ok(solve(&t, &GRADIENT, &s, "fault", "nan", "at", "4", NULL) == PERI_OK, "a step that gives no number");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "numerical_error", "ends the run");
    is_text(peri_solution_message(s), "x[3] is nan after step 4 of slope", "by name");
    ok(peri_solution_iterations(s) == 3 && peri_solution_objective(s) < 41, "with the best point before");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "fault", "lies", NULL) == PERI_OK, "a lie");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "feasible", "is not believed");
    has_text(peri_solution_message(s), "the method claims to have converged, but kkt is", "and told");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "fault", "worse", NULL) == PERI_OK, "a breakdown at a bad point");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "numerical_error", "is one");
    ok(peri_solution_objective(s) < 41, "the best point is returned");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "fault", "cancelled", NULL) == PERI_OK && peri_solution_outcome(s) == PERI_INTERRUPTED,
       "cancelled");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "fault", "numeric", NULL) == PERI_OK &&
           peri_solution_outcome(s) == PERI_NUMERICAL_ERROR,
       "a numerical breakdown is a result");
    peri_solution_free(s);
    is_int(solve(&t, &GRADIENT, &s, "fault", "own", NULL), PERI_E_PLUGIN, "an error of the plugin's own is an error");
    is_text(peri_error(ctx), "slope: no room for the left foot", "in its words");
    ok(solve(&t, &GRADIENT, &s, "fault", "rounding", NULL) == PERI_OK && fegetround() == FE_TONEAREST,
       "the rounding mode is ours again");
    peri_solution_free(s);
    peri_model_free(t.m);
}

static void test_domain(peri_context *ctx)
{
    const double bad[1] = {-3}, good[1] = {5};
    peri_solution *s;
    text_model t = text_new(ctx, 1, bad);
    text_minimize(&t, "x1-log(x1)");
    finished = 0;
    is_int(solve(&t, &GRADIENT, &s, NULL), PERI_E_DOMAIN, "undefined at the start point");
    is_text(peri_error(ctx), "objective: log(-3) is not defined", "names the objective and the operation");
    is_int(finished, 1, "and fini is called");
    ok(s == NULL, "there is no solution");
    ok(peri_model_set_start(t.m, t.x, 1, good) == PERI_OK && solve(&t, &GRADIENT, &s, NULL) == PERI_OK,
       "from elsewhere");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "optimal", "steps into the undefined are shortened");
    peri_solution_free(s);
    ok(solve(&t, &GRADIENT, &s, "fault", "domain", NULL) == PERI_OK && peri_solution_outcome(s) == PERI_NUMERICAL_ERROR,
       "a domain error that the method gives up on is a result once there is a point");
    peri_solution_free(s);
    peri_model_free(t.m);
}

static void test_refused(peri_context *ctx)
{
    peri_solution *s;
    text_model t = bowl(ctx);
    ok(peri_model_set_integer(t.m, t.x) == PERI_OK, "integer variables");
    is_int(solve(&t, &GRADIENT, &s, NULL), PERI_E_UNSUPPORTED, "are refused");
    is_text(peri_error(ctx), "slope: refuses integer variables", "with the reason");
    peri_model_free(t.m);
    t = bowl(ctx);
    text_bounds(&t, 2, 1);
    is_int(solve(&t, &GRADIENT, &s, NULL), PERI_E_STATE, "crossed bounds are refused");
    has_text(peri_error(ctx), "x[1]: lower bound 2 is above upper bound 1", "by name");
    peri_model_free(t.m);
    t = text_new(ctx, 2, NULL);
    is_int(solve(&t, &GRADIENT, &s, NULL), PERI_E_STATE, "so is a model of nothing");
    peri_model_free(t.m);
}

/* ---- results
 * ----------------------------------------------------------------------------------------------------------------------------------
 */

static void test_duals(peri_context *ctx)
{
    const double x[2] = {3, 1}, y[2] = {-2, 0}, z[2] = {-1, 0};
    const answer right = {x, y, z, PERI_WHY_CONVERGED};
    peri_solution *s;
    double dual[2], reduced[2];
    text_model t = text_new(ctx, 2, NULL);
    text_bounds(&t, 0, 3);
    text_maximize(&t, "3*x1+2*x2");
    const peri_constraint first = text_constrain(&t, "first", -INFINITY, "x1+x2", 4);
    const peri_constraint second = text_constrain(&t, "second", -INFINITY, "x1+3*x2", 8);
    told = &right;
    ok(solve(&t, &TELLER, &s, NULL) == PERI_OK, "a linear program, maximized");
    is_text(peri_outcome_name(peri_solution_outcome(s)), "optimal", "its vertex is optimal");
    is_close(peri_solution_objective(s), 11, 0, 1e-14, "objective in the user's sense");
    ok(peri_solution_dual(s, first, dual) == PERI_OK && dual[0] == 2, "a unit more of the first resource is worth 2");
    ok(peri_solution_dual(s, second, dual) == PERI_OK && dual[0] == 0 && !signbit(dual[0]), "of the second, nothing");
    ok(peri_solution_reduced_cost(s, t.x, reduced) == PERI_OK && reduced[0] == 1 && reduced[1] == 0, "of the bound, 1");
    is_int(peri_solution_dual(s, 7, dual), PERI_E_ARGUMENT, "an unknown constraint is refused");
    const peri_constraint later = text_constrain(&t, "later", 0, "x1", 1);
    is_int(peri_solution_dual(s, later, dual), PERI_E_STATE, "and one that came later");
    peri_solution_free(s);
    peri_model_free(t.m);
}

static void test_unsure(peri_context *ctx)
{
    const double x[2] = {3, 1}, inside[2] = {1, 1}, outside[2] = {2, 2.5};
    answer a = {x, NULL, NULL, PERI_WHY_CONVERGED};
    peri_solution *s;
    double dual;
    text_model t = text_new(ctx, 2, NULL);
    text_bounds(&t, 0, 3);
    text_maximize(&t, "3*x1+2*x2");
    const peri_constraint first = text_constrain(&t, "first", -INFINITY, "x1+x2", 4);
    told = &a;
    ok(solve(&t, &TELLER, &s, NULL) == PERI_OK && peri_solution_outcome(s) == PERI_OPTIMAL,
       "without multipliers they are estimated");
    ok(peri_solution_dual(s, first, &dual) == PERI_OK && is_close(dual, 2, 1e-9, 0, "dual"), "in the user's sense");
    peri_solution_free(s);
    a.x = inside;
    ok(solve(&t, &TELLER, &s, NULL) == PERI_OK && peri_solution_outcome(s) == PERI_FEASIBLE,
       "an inner point is feasible, no more");
    peri_solution_free(s);
    a.x = outside;
    a.why = PERI_WHY_INFEASIBLE;
    ok(solve(&t, &TELLER, &s, NULL) == PERI_OK && peri_solution_outcome(s) == PERI_NUMERICAL_ERROR,
       "a claim of infeasibility where the violation can be reduced is not believed");
    peri_solution_free(s);
    a.x = inside;
    ok(solve(&t, &TELLER, &s, NULL) == PERI_OK && peri_solution_outcome(s) == PERI_FEASIBLE, "nor at a feasible point");
    peri_solution_free(s);
    text_constrain(&t, "against", 6, "x1+x2", INFINITY);
    const double between[2] = {2.5, 2.5};
    a.x = between;
    ok(solve(&t, &TELLER, &s, NULL) == PERI_OK && peri_solution_outcome(s) == PERI_INFEASIBLE,
       "where it cannot, it is");
    peri_solution_free(s);
    peri_model_free(t.m);
}

static void test_warm_start(peri_context *ctx)
{
    const double x[2] = {3, 1}, y[1] = {-2}, z[2] = {-1, 0};
    const answer right = {x, y, z, PERI_WHY_CONVERGED};
    peri_solution *s, *again, *other;
    text_model t = text_new(ctx, 2, NULL), u = bowl(ctx);
    text_bounds(&t, 0, 3);
    text_param(&t, 3);
    text_maximize(&t, "p*x1+2*x2");
    text_constrain(&t, "first", -INFINITY, "x1+x2", 4);
    told = &right;
    ok(solve(&t, &TELLER, &s, NULL) == PERI_OK && !heard.warm, "a cold start has no multipliers");
    const double more = 3.5, less = 2.5;
    ok(peri_model_set_param(t.m, t.p, 1, &more) == PERI_OK && peri_model_set_upper(t.m, t.x, 1, &less) == PERI_OK,
       "data change");
    peri_setting off = {"warm_start", PERI_VALUE_BOOL, 0, NULL};
    peri_solve_args a = {.warm_start = s};
    ok(run_with(t.m, &TELLER, "teller", &a, &again) == PERI_OK && heard.warm && heard.y[0] == -2 && heard.z[0] == -1,
       "a warm start hands over multipliers");
    peri_solution_free(again);
    a.n_settings = 1;
    a.settings = &off;
    ok(run_with(t.m, &TELLER, "teller", &a, &again) == PERI_OK && !heard.warm, "unless that is switched off");
    peri_solution_free(again);
    a.n_settings = 0;
    is_int(run_with(u.m, &TELLER, "teller", &a, &other), PERI_E_ARGUMENT, "a solution of another model is refused");
    text_constrain(&t, "more", 0, "x1", 1);
    is_int(run_with(t.m, &TELLER, "teller", &a, &other), PERI_E_STATE, "and one from before the model grew");
    double value;
    const double now = 7;
    const peri_expr e = text_expr(&t, "p*x1");
    ok(peri_model_set_param(t.m, t.p, 1, &now) == PERI_OK && peri_solution_value(s, e, &value) == PERI_OK && value == 9,
       "a solution's values are with the parameters of its solve");
    peri_solution_free(s);
    peri_model_free(t.m);
    peri_model_free(u.m);
    t = bowl(ctx);
    ok(solve(&t, &GRADIENT, &s, NULL) == PERI_OK, "solved");
    a = (peri_solve_args){.warm_start = s};
    ok(run_with(t.m, &GRADIENT, "slope", &a, &again) == PERI_OK && peri_solution_iterations(again) <= 1,
       "a warm start at the optimum is short");
    peri_solution_free(again);
    peri_solution_free(s);
    peri_model_free(t.m);
}

static void test_texts(peri_context *ctx)
{
    const double third = 1.0 / 3, x[2] = {third, 3}, y[1] = {0.25};
    const answer a = {x, y, NULL, PERI_WHY_STALLED};
    peri_solution *s;
    char *json, *report, number[NUM_SIZE], part[64];
    text_model t = text_new(ctx, 2, NULL);
    text_minimize(&t, "x1+x2");
    text_constrain(&t, "cap \"1\"", 0, "x1*x2", INFINITY);
    told = &a;
    ok(solve(&t, &TELLER, &s, NULL) == PERI_OK, "solved");
    ok(peri_solution_json(s, &json) == PERI_OK, "as JSON");
    static const char *const keys[] = {"\"status\":",
                                       "\"objective\":",
                                       "\"solver\":\"teller\"",
                                       "\"plan\":\"teller\"",
                                       "\"iterations\":1",
                                       "\"evaluations\":{",
                                       "\"seconds\":",
                                       "\"certificate\":{\"primal\":",
                                       "\"variables\":{\"x\":[",
                                       "\"duals\":{\"cap \\\"1\\\"\":0.25}",
                                       "\"front\":null",
                                       "\"history\":[{\"iteration\":1"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
        has_text(json, keys[k], "has %s", keys[k]);
    snprintf(part, sizeof part, "[%s,3]", num_print(third, number));
    has_text(json, part, "numbers read back to the same bits");
    peri_free_text(ctx, json);
    ok(peri_solution_report(s, &report) == PERI_OK, "as a report");
    has_text(report, "status        feasible (", "status");
    has_text(report, "objective     3.33333333333", "objective");
    has_text(report, "complementarity", "certificate");
    ok(strlen(report) < 800, "short");
    peri_free_text(ctx, report);
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* ---- memory
 * -------------------------------------------------------------------------------------------------------------------------------------
 */

static peri_status thrifty_step(void *memory, peri_run *run, peri_step *next)
{
    peri_memory_fail_at(run->ctx, 1, true);
    const peri_status status = gradient_step(memory, run, next);
    peri_memory_fail_at(run->ctx, 0, false);
    return status;
}

static void test_no_allocation(peri_context *ctx)
{
    const peri_solver_ops ops = {.init = gradient_init, .step = thrifty_step, .fini = gradient_fini};
    peri_plugin plugin = GRADIENT;
    peri_solution *s;
    text_model t = bowl(ctx);
    plugin.ops = &ops;
    ok(solve(&t, &plugin, &s, NULL) == PERI_OK && peri_solution_outcome(s) == PERI_OPTIMAL &&
           peri_solution_iterations(s) > 3,
       "steps, evaluations and events allocate nothing");
    peri_solution_free(s);
    peri_model_free(t.m);
}

static peri_status whole(peri_context *ctx, int64_t k, bool persistent)
{
    peri_solution *s = NULL;
    char *json = NULL, *report = NULL;
    double x[3];
    text_model t = bowl(ctx);
    peri_memory_fail_at(ctx, k, persistent);
    peri_status status = solve(&t, &GRADIENT, &s, "fault", "none", "linear_solver", "x", NULL);
    if (status == PERI_OK)
        status = peri_solution_json(s, &json);
    if (status == PERI_OK)
        status = peri_solution_report(s, &report);
    if (status == PERI_OK)
        status = peri_solution_value(s, t.x, x);
    peri_memory_fail_at(ctx, 0, false);
    peri_free_text(ctx, json);
    peri_free_text(ctx, report);
    peri_solution_free(s);
    if (status == PERI_E_NOMEM && solve(&t, &GRADIENT, &s, NULL) != PERI_OK)
        status = PERI_E_INTERNAL; /* the next call works */
    else if (status == PERI_E_NOMEM)
        peri_solution_free(s);
    peri_model_free(t.m);
    return status;
}

static void test_memory(bool persistent)
{
    peri_context *ctx = peri_context_new(NULL);
    int64_t before, after, k = 0, others = 0, leaks = 0;
    peri_memory(ctx, NULL, NULL, &before);
    peri_status status;
    do {
        status = whole(ctx, ++k, persistent);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += after != before;
        others += status != PERI_OK && status != PERI_E_NOMEM;
    } while (status != PERI_OK && k < 100000);
    ok(status == PERI_OK && k > 50, "%d %s failures of an allocation, then success", (int)k - 1,
       persistent ? "persistent" : "single");
    is_int(others, 0, "each is reported as out of memory, and the next call works");
    is_int(leaks, 0, "and leaks nothing");
    peri_context_free(ctx);
}

int main(void)
{
    plan_later();
    peri_host_table = host_table();
    peri_context *ctx = peri_context_new(NULL);
    test_solve(ctx);
    test_bounds(ctx);
    test_limits(ctx);
    test_options(ctx);
    test_interrupt(ctx);
    test_faults(ctx);
    test_domain(ctx);
    test_refused(ctx);
    test_duals(ctx);
    test_unsure(ctx);
    test_warm_start(ctx);
    test_texts(ctx);
    test_no_allocation(ctx);
    peri_context_free(ctx);
    test_memory(false);
    test_memory(true);
    return tap_done();
}
