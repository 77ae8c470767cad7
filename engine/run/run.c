/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - one solve from its arguments to a certified solution: the start point, the solver's memory, the loop, and
 * what an error in it means. Invariant: once init was called, fini is; the floating-point environment is the host's
 * again after every call of a plugin; whatever happened, all that the run allocated is freed, and a result carries the
 * best or last point that was accepted, or the start point.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/vector.h"
#include "base/clock.h"
#include "base/fence.h"
#include "oracle/prox.h"
#include "run/checkpoint.h"
#include "run/diagnose.h"
#include "run/factor.h"
#include "run/inner.h"
#include "run/guards.h"
#include "run/isolate.h"
#include "run/warm.h"
#include <dirent.h>
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#ifdef PERI_DEBUG
enum { GUARDED = true };
#else
enum { GUARDED = false };
#endif

/* ---- set-up
 * ---------------------------------------------------------------------------------------------------------------------
 */

/* Copies of the bounds where what the plugin does to them is watched. */
static bool guard_bounds(peri_run *run)
{
    const nlp *p = run->p;
    if (!run->guarded)
        return true;
    run->bounds[0] = guards_copy(run, p->n, p->xl, "the lower bounds of the variables");
    run->bounds[1] = guards_copy(run, p->n, p->xu, "the upper bounds of the variables");
    run->bounds[2] = guards_copy(run, p->m, p->cl, "the lower bounds of the constraints");
    run->bounds[3] = guards_copy(run, p->m, p->cu, "the upper bounds of the constraints");
    return run->bounds[0] != NULL && run->bounds[1] != NULL && run->bounds[2] != NULL && run->bounds[3] != NULL;
}

static bool allocate(peri_run *run)
{
    arena *a = &run->memory;
    const size_t n = (size_t)run->p->n, m = (size_t)run->p->m;
    run->state = run->guarded ? guards_array(run, 1, run->plugin->size_state, "its state")
                              : arena_array(a, 1, run->plugin->size_state);
    run->options = arena_array(a, 1, run->plugin->size_options); /* its own, as a plugin may write into it */
    run->start = arena_array(a, n, sizeof(double));
    run->rows = arena_array(a, m, sizeof(double));
    run->undefined_at = arena_array(a, n, sizeof(double));
    bool ok = run->state != NULL && run->options != NULL && run->start != NULL && run->rows != NULL &&
              run->undefined_at != NULL;
    for (int k = 0; k < 2; k++) {
        run_point *point = &run->point[k];
        point->x = arena_array(a, n, sizeof(double));
        point->y = arena_array(a, m, sizeof(double));
        point->z = arena_array(a, n, sizeof(double));
        ok = ok && point->x != NULL && point->y != NULL && point->z != NULL;
    }
    if (ok && run->plugin->initial_state != NULL)
        memcpy(run->state, run->plugin->initial_state, run->plugin->size_state);
    return ok && guard_bounds(run);
}

static void set_limits(peri_run *run, const run_request *q)
{
    const run_link *link = &q->chain->link[q->link];
    const run_options *o = &link->engine;
    memcpy(run->options, link->options, run->plugin->size_options);
    run->limits = (peri_limits){
        .tolerance = o->tolerance,
        .time_limit = o->time_limit,
        .iterations = o->iterations,
        .evaluations = o->evaluations,
        .seed = (uint64_t)o->seed,
        .warm_start = o->warm_start && (run->args->warm_start != NULL || run->args->portable_start != NULL || q->y != NULL),
        .verbosity = run->ctx->verbosity,
    };
    run->grace = o->grace;
    run->memory_limit = o->memory_limit;
    run->linear_solver = o->linear_solver != NULL ? o->linear_solver : "";
    if (o->threads > 0)
        run->ctx->threads_wanted = (int32_t)o->threads;
    if (!q->is_inner)
        return;
    if (q->tolerance > 0 && !link->has_tolerance)
        run->limits.tolerance = q->tolerance;
    if (q->iterations > 0 && !link->has_iterations)
        run->limits.iterations = q->iterations;
    run->limits.time_limit = fmin(run->limits.time_limit, q->time_limit);
    run->limits.evaluations = q->evaluations < run->limits.evaluations ? q->evaluations : run->limits.evaluations;
}

/* A warm start that is told by names. */
static bool is_portable(const peri_run *run)
{
    const peri_solve_args *a = run->args;
    return a->portable_start != NULL || (a->warm_start != NULL && a->warm_start->model != run->model);
}

static peri_status set_portable_start(peri_run *run)
{
    const nlp *p = run->p;
    const peri_solve_args *a = run->args;
    bool has_duals = false;
    double *y = arena_array(&run->memory, (size_t)p->m, sizeof *y), *z = arena_array(&run->memory, (size_t)p->n, sizeof *z);
    if (y == NULL || z == NULL)
        return FAIL_NOMEM(run->ctx);
    TRY(warm_apply(run, a->portable_start, (peri_solution *)(uintptr_t)a->warm_start, run->start, y, z, &has_duals));
    run->limits.warm_start = run->limits.warm_start && has_duals;
    if (run->limits.warm_start) {
        run->start_y = y;
        run->start_z = z;
    }
    return PERI_OK;
}

static peri_status set_start(peri_run *run, const run_request *q)
{
    const nlp *p = run->p;
    const bool portable = q->x == NULL && is_portable(run);
    const peri_solution *warm = portable ? NULL : run->args->warm_start;
    const double *x = q->x != NULL ? q->x : warm != NULL ? warm->x : NULL;
    if (x != NULL)
        memcpy(run->start, x, (size_t)p->n * sizeof *run->start);
    else
        model_gather(run->model, run->model->start.at, run->start);
    if (portable)
        TRY(set_portable_start(run));
    for (int64_t j = 0; j < p->n; j++)
        run->start[j] = fmin(fmax(run->start[j], p->xl[j]), p->xu[j]);
    if (run->limits.warm_start && !portable) {
        run->start_y = q->y != NULL ? q->y : warm->y; /* both or neither */
        run->start_z = q->y != NULL ? q->z : warm->z;
    }
    return PERI_OK;
}

static peri_status check_warm_start(const peri_run *run)
{
    const peri_solution *warm = run->args->warm_start;
    if (warm == NULL || is_portable(run) || (warm->n == run->p->n && warm->m == run->p->m))
        return PERI_OK;
    return FAIL(run->ctx, PERI_E_STATE,
                "warm start: model \"%s\" has gained variables or constraints since that solution", run->model->name);
}

/* Programs that a step may call, so that steps do not allocate; patterns are compiled when init asks for them. */
static peri_status compile(peri_run *run)
{
    nlp *p = run->p;
    const uint64_t needs = run->plugin->needs[0];
    if (needs & (PERI_BIT(PERI_TRAIT_PROX) | PERI_BIT(PERI_TRAIT_COMPACT))) {
        struct nlp_prox *prox;
        TRY(nlp_prox_of(p, &prox)); /* weights, radii and bounds as of now */
    }
    TRY(nlp_compile(p, NLP_F));
    TRY(nlp_compile(p, NLP_C));
    if (run->traits & PERI_BIT(PERI_TRAIT_GRADIENT))
        TRY(nlp_compile(p, NLP_FG));
    if ((needs & PERI_NEEDS_HESSIAN) && !(needs & PERI_NEEDS_SPARSE_HESSIAN))
        TRY(nlp_compile(p, NLP_HV));
    if (run->isolate == NULL)
        return PERI_OK;
    if (needs & PERI_NEEDS_SPARSE_HESSIAN) /* what a child compiled would be lost */
        TRY(nlp_compile(p, NLP_HESS));
    const peri_status status = p->m > 0 && (needs & PERI_NEEDS_GRADIENT) ? nlp_compile(p, NLP_JAC) : PERI_OK;
    return status == PERI_E_UNSUPPORTED ? PERI_OK : status;
}

/* No method here answers another question than the optimistic one: it is not answered in the place of what was asked. */
static peri_status check_form(const peri_run *run, const run_options *o)
{
    const char *name = run->model->name;
    if (o->form == 0)
        return PERI_OK;
    if ((run->traits & PERI_BIT(PERI_TRAIT_LEVELS)) == 0)
        return FAIL(run->ctx, PERI_E_OPTION, "form: model \"%s\" has no lower models; the form is of problems that have some", name);
    return FAIL(run->ctx, PERI_E_UNSUPPORTED, "form: %s solves the optimistic form of model \"%s\", as all methods do here: of several minima below, the best "
                "above is meant; where lower answers are unique, the pessimistic form is the same", run->plugin->name, name);
}

static peri_status set_up(peri_run *run, const run_request *q)
{
    char why[256];
    TRY(nlp_traits(run->p, run->plugin->needs[0], &run->traits));
    if (!match_traits(run->traits, run->plugin->needs[0], run->plugin->refuses[0], why, sizeof why))
        return FAIL(run->ctx, PERI_E_UNSUPPORTED, "%s: %s", run->plugin->name, why);
    if (!q->is_inner)
        TRY(check_form(run, &q->chain->link[q->link].engine));
    TRY(check_warm_start(run));
    if (!allocate(run))
        return FAIL_NOMEM(run->ctx);
    set_limits(run, q);
    TRY(set_start(run, q));
    if (!q->is_inner)
        TRY(checkpoint_open(run, &q->chain->link[q->link].engine));
    if (q->chain->link[q->link].engine.isolate && !q->is_inner && run->ctx->activity == NULL)
        TRY(isolate_open(run));
    return compile(run);
}

/* ---- calls of the plugin
 * ------------------------------------------------------------------------------------------------------------- */

static const peri_solver_ops *ops_of(const peri_run *run)
{
    return run->plugin->ops;
}

/* Plugins run with the default floating-point modes; what they change of these and of the locale (in debug builds and isolated runs of the signal
 * mask and the buffering of standard output too) is put back, and told once. */
typedef struct {
    fenv_t host;
    fence plain;
    activity_mark mark;
} passage;

static void enter(peri_run *run, passage *p, int64_t step)
{
    activity_enter(run->ctx, &p->mark, run->plugin->name, step);
    fegetenv(&p->host);
    fesetenv(FE_DFL_ENV);
    fence_take(&p->plain, run->isolate != NULL ? FENCE_ALL : FENCE_CALL);
}

static void leave(peri_run *run, const passage *p)
{
    char what[160];
    const unsigned changed = fence_restore(&p->plain);
    fesetenv(&p->host);
    activity_leave(run->ctx, &p->mark);
    if (changed != 0 && !run->warned) {
        fence_text(changed, what, sizeof what);
        log_write(run->ctx, 0, "%s: changed %s; restored", run->plugin->name, what);
    }
    run->warned = run->warned || changed != 0;
    if (run->guarded)
        (void)guards_check(run);
}

static peri_status call_init(peri_run *run)
{
    passage p;
    enter(run, &p, ACTIVITY_INIT);
    run->in_init = true;
    const peri_status status = ops_of(run)->init(run->state, run, run->options);
    leave(run, &p);
    run->in_init = false;
    return status;
}

static peri_status call_step(peri_run *run, peri_step *next)
{
    passage p;
    enter(run, &p, run->steps + 1);
    const peri_status status = ops_of(run)->step(run->state, run, next);
    leave(run, &p);
    return status;
}

static void call_fini(peri_run *run)
{
    passage p;
    enter(run, &p, ACTIVITY_FINI);
    if (ops_of(run)->fini != NULL)
        ops_of(run)->fini(run->state, run);
    factor_close_all(run);
    inner_close_all(run);
    leave(run, &p);
}

/* ---- the loop
 * ---------------------------------------------------------------------------------------------------------------------------
 */

/* Room for the rows of the next steps, so that ending an iteration allocates nothing. */
static peri_status reserve_history(peri_run *run)
{
    peri_solution *s = run->solution;
    if (run->p->n == 2 && run->depth == 0 && !vec_reserve(&run->ctx->mem, &s->path, s->path.n + 4))
        return FAIL_NOMEM(run->ctx);
    return vec_reserve(&run->ctx->mem, &s->history, s->history.n + 2) ? PERI_OK : FAIL_NOMEM(run->ctx);
}

static bool is_finding(peri_why why)
{
    return why == PERI_WHY_CONVERGED || why == PERI_WHY_INFEASIBLE || why == PERI_WHY_UNBOUNDED;
}

static peri_status one_step(peri_run *run)
{
    peri_step next = {PERI_WHY_CONTINUE, false};
    TRY(reserve_history(run));
    const peri_status status = call_step(run, &next);
    run->steps++; /* only now: a step that polls has not yet used up the limit */
    if (status != PERI_OK)
        return status;
    if (next.why != PERI_WHY_CONTINUE)
        run->why = next.why;
    if (is_finding(run->why) && (run->stopped_by == PERI_ITERATION_LIMIT || run->stopped_by == PERI_TIME_LIMIT))
        run->stopped_by = PERI_OPTIMAL; /* it polled at the limit, but came to its end */
    return PERI_OK;
}

static peri_status loop(peri_run *run)
{
    TRY(reserve_history(run));
    run->resuming = checkpoint_resumes(run);
    TRY(call_init(run));
    run->resuming = false;
    TRY(checkpoint_resume(run));
    while (run->why == PERI_WHY_CONTINUE && !limits_reached(run)) {
        const peri_status status = one_step(run);
        if (status == PERI_E_CANCELLED)
            (void)checkpoint_keep(run);
        if (status != PERI_OK)
            return status;
        run->stopped_inside = run->stopped_by != PERI_OPTIMAL;
        if (run->why == PERI_WHY_CONTINUE && !run->stopped_inside)
            TRY(checkpoint_offer(run, false));
    }
    if (run->why != PERI_WHY_CONTINUE)
        return PERI_OK;
    return run->stopped_inside ? checkpoint_keep(run) : checkpoint_offer(run, true);
}

static void breakdown(peri_run *run, const char *text)
{
    run->stopped_by = PERI_NUMERICAL_ERROR;
    snprintf(run->message, sizeof run->message, "%.255s", text);
}

/* What an error of the loop means: some are results. */
static peri_status judge(peri_run *run, peri_status status)
{
    if (status == PERI_OK || run->stopped_by == PERI_ERROR)
        return PERI_OK;
    if (status == PERI_E_NUMERIC) {
        if (run->stopped_by != PERI_NUMERICAL_ERROR)
            breakdown(run, peri_error_code(run->ctx) == status ? peri_error(run->ctx) : "numerical breakdown");
        return PERI_OK;
    }
    if (status == PERI_E_CANCELLED) {
        if (!limits_reached(run))
            run->stopped_by = PERI_INTERRUPTED;
        return PERI_OK;
    }
    if (status != PERI_E_DOMAIN)
        return peri_error_code(run->ctx) == status
                   ? status
                   : FAIL(run->ctx, status, "%s: %s", run->plugin->name, peri_status_text(status));
    status = nlp_explain_domain(run->p, run->was_undefined ? run->undefined_at : run->start);
    if (status != PERI_E_DOMAIN || run->last < 0)
        return status;
    breakdown(run, peri_error(run->ctx));
    return PERI_OK;
}

/* ---- the answer
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static peri_status take_point(peri_run *run)
{
    peri_solution *s = run->solution;
    nlp *p = run->p;
    const bool claimed = (is_finding(run->why) || run->why == PERI_WHY_STALLED) && run->stopped_by == PERI_OPTIMAL;
    const int slot = claimed ? run->last : run->best;
    if (slot < 0) {
        memcpy(s->x, run->start, (size_t)p->n * sizeof *s->x);
        return certify_estimate(p, s->x, NULL, s->y, s->z);
    }
    const run_point *point = &run->point[slot];
    memcpy(s->x, point->x, (size_t)p->n * sizeof *s->x);
    const bool has_y = point->has_y || p->m == 0;
    if (!has_y || !point->has_z)
        return certify_estimate(p, s->x, has_y ? point->y : NULL, s->y, s->z);
    memcpy(s->y, point->y, (size_t)p->m * sizeof *s->y);
    memcpy(s->z, point->z, (size_t)p->n * sizeof *s->z);
    return PERI_OK;
}

peri_status run_conclude(peri_run *run)
{
    peri_solution *s = run->solution;
    nlp *p = run->p;
    double f;
    outcome_evidence e = {.why = run->why,
                          .stopped_by = run->stopped_by,
                          .tolerance = run->limits.tolerance,
                          .traits = run->traits,
                          .flags = run->plugin->flags,
                          .violation_slope = NAN,
                          .relative = NAN};
    TRY(take_point(run));
    TRY(certify(p, s->x, s->y, s->z, &s->certificate));
    if (run->traits & PERI_BIT(PERI_TRAIT_LEVELS)) {
        TRY(certify_levels(run, s->x, s->y, s->z, &s->certificate, &s->levels));
        e.levels = &s->levels;
        e.breakdown = run->message;
    }
    peri_status status = nlp_f(p, s->x, &f);
    if (status == PERI_E_DOMAIN)
        f = NAN;
    else
        TRY(status);
    e.certificate = s->certificate;
    e.objective = f;
    e.largest_x = vector_largest(p->n, s->x);
    if (run->why != PERI_WHY_CONTINUE && s->certificate.primal > outcome_threshold(e.tolerance))
        TRY(certify_violation(p, s->x, &e.violation_slope));
    if (e.levels != NULL && e.levels->violation_slope < e.violation_slope)
        e.violation_slope = e.levels->violation_slope;
    if (run->why == PERI_WHY_UNBOUNDED)
        TRY(certify_relative(p, s->x, &e.relative));
    s->objective = run->model->maximize ? -f : f;
    s->why = run->why;
    s->outcome = outcome_from(&e, s->message, sizeof s->message);
    if (s->message[0] == '\0' && s->outcome != PERI_OPTIMAL && s->outcome != PERI_LOCALLY_OPTIMAL)
        snprintf(s->message, sizeof s->message, "%s", run->message);
    return PERI_OK;
}

static double evaluating(const peri_times *t)
{
    return t->objective + t->gradient + t->constraints + t->jacobian + t->hessian + t->products;
}

/* Short evaluations are timed by samples, one of which may stand for more seconds than there were. */
static void fit_evaluations(peri_times *t, double room)
{
    const double sum = evaluating(t), share = sum > room ? fmax(room, 0) / sum : 1;
    double *const each[] = {&t->objective, &t->gradient, &t->constraints, &t->jacobian, &t->hessian, &t->products};
    for (size_t k = 0; k < sizeof each / sizeof each[0]; k++)
        *each[k] *= share;
}

/* The method's own costs, before the engine adds those of the certificate; those of inner problems are in. */
static void account(peri_run *run)
{
    peri_solution *s = run->solution;
    peri_times t = run->p->seconds;
    t.linear_algebra = run->times.linear_algebra;
    inner_add_times(&t, &run->inner_times);
    s->evaluations = run->p->count;
    inner_add_count(&s->evaluations, &run->inner_count);
    t.total = run->built + clock_seconds() - run->started;
    fit_evaluations(&t, t.total - t.building - t.linear_algebra);
    t.method = fmax(0, t.total - evaluating(&t) - t.building - t.linear_algebra);
    s->times = t;
    s->iterations = run->iterations;
}

/* Threads of this process; 0: not known */
static int count_threads(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *e = NULL; folder != NULL && (e = readdir(folder)) != NULL;)
        n += e->d_name[0] != '.';
    if (folder != NULL)
        closedir(folder);
    return n;
}

/* Threads that a plugin has left behind run its code while the next one works. A library that it loads may keep a pool of its own. */
static void tell_threads(peri_run *run, int before)
{
    const int now = count_threads();
    if (now > before)
        log_write(run->ctx, 1, "%s: %d more thread%s than before %s left running", run->plugin->name, now - before,
                  now - before == 1 ? "" : "s", now - before == 1 ? "is" : "are");
}

peri_status run_work(peri_run *run)
{
    const int threads = run->guarded && run->depth == 0 ? count_threads() : 0;
    const peri_status status = loop(run);
    call_fini(run);
    if (threads > 0)
        tell_threads(run, threads);
    account(run);
    return judge(run, status);
}

static peri_status perform(peri_run *run, const run_request *q)
{
    TRY(set_up(run, q));
    run->solution = q->into;
    TRY(q->into != NULL ? solution_reset(q->into) : solution_new(run->model, &run->solution));
    if (run->isolate == NULL) {
        TRY(run_work(run));
        TRY(run_conclude(run));
    } else {
        TRY(isolate_work(run));
        TRY(isolate_conclude(run));
    }
    const peri_outcome outcome = run->solution->outcome;
    return q->is_inner || outcome == PERI_OPTIMAL || outcome == PERI_LOCALLY_OPTIMAL ? PERI_OK : diagnose_keep(run);
}

peri_status run_request_solve(const run_request *q, peri_solution **out)
{
    peri_model *m = q->model;
    peri_run run = {.ctx = m->ctx,
                    .model = m,
                    .chain = q->chain,
                    .link = q->link,
                    .depth = q->depth,
                    .plugin = q->chain->link[q->link].plugin,
                    .args = q->args,
                    .last = -1,
                    .best = -1,
                    .why = PERI_WHY_CONTINUE,
                    .stopped_by = PERI_OPTIMAL,
                    .linear_solver = "",
                    .guarded = GUARDED || q->chain->link[q->link].engine.isolate || m->ctx->activity != NULL,
                    .started = clock_seconds()};
    *out = NULL;
    if (m->nlp != NULL && m->nlp->in_use > 0)
        return FAIL(m->ctx, PERI_E_STATE, "model \"%s\" is being solved", m->name);
    run.built = m->nlp != NULL ? m->nlp->seconds.building : 0;
    TRY(nlp_of(m, &run.p));
    arena_init(&run.memory, &m->ctx->mem);
    const int32_t threads = m->ctx->threads_wanted;
    run.p->in_use++;
    const peri_status status = perform(&run, q);
    isolate_close(&run);
    checkpoint_close(&run);
    run.p->in_use--;
    m->ctx->threads_wanted = threads;
    nlp_reset_counts(run.p);
    arena_release(&run.memory);
    if (status != PERI_OK) {
        if (q->into == NULL)
            peri_solution_free(run.solution);
        return status;
    }
    peri_solution *s = run.solution;
    snprintf(s->solver, sizeof s->solver, "%s", q->chain->link[q->chain->n - 1].plugin->name);
    snprintf(s->plan, sizeof s->plan, "%s", q->chain->text);
    *out = s;
    return PERI_OK;
}

/* ---- doors
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static const peri_solve_args NO_ARGS;

peri_status run_with(peri_model *m, const peri_plugin *plugin, const char *plan, const peri_solve_args *args,
                     peri_solution **out)
{
    nlp *p;
    run_chain chain = {.n = 1, .link[0].plugin = plugin};
    const run_request q = {.model = m, .chain = &chain, .args = args != NULL ? args : &NO_ARGS};
    *out = NULL;
    if (m->nlp == NULL || m->nlp->in_use == 0)
        TRY(nlp_of(m, &p)); /* a model that cannot be solved is the first thing to tell */
    snprintf(chain.text, sizeof chain.text, "%s", plan);
    peri_status status = chain_read(&chain, m->ctx, q.args);
    if (status == PERI_OK)
        status = run_request_solve(&q, out);
    chain_release(&chain);
    return status;
}

/* Does some setting ask for a child process? Before the settings are read, as what they belong to is loaded by then. */
static bool is_isolated(const peri_solve_args *args)
{
    bool yes = false;
    for (int64_t k = 0; k < args->n_settings; k++) {
        const peri_setting *s = &args->settings[k];
        if (strcmp(s->key, "isolate") == 0)
            yes = s->type == PERI_VALUE_TEXT ? strcmp(s->text, "false") != 0 && strcmp(s->text, "0") != 0 && strcmp(s->text, "no") != 0
                                             : s->number != 0;
    }
    return yes;
}

peri_status run_solve(peri_model *m, const peri_solve_args *args, peri_solution *into, peri_solution **out)
{
    nlp *p;
    run_request q = {.model = m, .args = args != NULL ? args : &NO_ARGS, .into = into};
    *out = NULL;
    TRY(nlp_of(m, &p));
    if (p->in_use > 0)
        return FAIL(m->ctx, PERI_E_STATE, "model \"%s\" is being solved", m->name);
    const bool cautious = m->ctx->cautious;
    m->ctx->cautious = cautious || is_isolated(q.args);
    const peri_status status = chain_again(p, q.args, &q.chain);
    m->ctx->cautious = cautious;
    return status == PERI_OK ? run_request_solve(&q, out) : status;
}

peri_status peri_model_solve(peri_model *m, const peri_solve_args *args, peri_solution **solution)
{
    return run_solve(m, args, NULL, solution);
}
