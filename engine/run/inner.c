/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inner.c - the life and the solving of inner problems: an inner solve is a run of its own, by the links of the plan behind the one
 * that asks, within what is left of the outer run's limits; its evaluations, seconds and iterations are added to the outer run's.
 * Invariant: what an inner solve could not do for want of time, evaluations or quiet is a result, so that the reformulation can
 * still hand back what it has; and nothing of an inner problem outlives the run that made it.
 */
#include "run/inner.h"
#include "base/clock.h"
#include "run/factor.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEEPEST = 16 }; /* runs inside each other: a plan of its own may lead back to the one who asks */

/* ---- what it cost
 * ---------------------------------------------------------------------------------------------------------------- */

void inner_add_count(peri_evaluations *to, const peri_evaluations *more)
{
    to->objective += more->objective;
    to->gradient += more->gradient;
    to->constraints += more->constraints;
    to->jacobian += more->jacobian;
    to->hessian += more->hessian;
    to->products += more->products;
}

void inner_add_times(peri_times *to, const peri_times *more)
{
    to->building += more->building;
    to->objective += more->objective;
    to->gradient += more->gradient;
    to->constraints += more->constraints;
    to->jacobian += more->jacobian;
    to->hessian += more->hessian;
    to->products += more->products;
    to->linear_algebra += more->linear_algebra;
}

static void add_solution(peri_run *run, const peri_solution *s)
{
    inner_add_count(&run->inner_count, &s->evaluations);
    inner_add_times(&run->inner_times, &s->times);
    run->inner_iterations += s->iterations;
}

/* What was evaluated outside a solve: by the view, and by a solve that ended in an error. */
static void collect(peri_inner *inner)
{
    nlp *p = inner->model->nlp;
    if (p == NULL)
        return;
    inner_add_count(&inner->run->inner_count, &p->count);
    inner_add_times(&inner->run->inner_times, &p->seconds);
    nlp_reset_counts(p);
}

void inner_collect_all(peri_run *run)
{
    for (peri_inner *inner = run->inners; inner != NULL; inner = inner->next)
        collect(inner);
}

/* ---- life
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status inner_make(peri_run *run, const char *name, peri_inner **out)
{
    peri_inner *inner = mem_alloc(&run->ctx->mem, sizeof *inner);
    *out = NULL;
    if (inner == NULL)
        return FAIL_NOMEM(run->ctx);
    inner->model = peri_model_new(run->ctx, name);
    if (inner->model == NULL) {
        mem_free(&run->ctx->mem, inner, sizeof *inner);
        return PERI_E_NOMEM;
    }
    inner->run = run;
    inner->outer_params = PERI_NO_EXPR;
    inner->next = run->inners;
    run->inners = inner;
    *out = inner;
    return PERI_OK;
}

static void close_view(peri_inner *inner)
{
    if (inner->view == NULL)
        return;
    factor_close_all(inner->view);
    inner_close_all(inner->view); /* of projections */
    inner_add_count(&inner->run->inner_count, &inner->view->inner_count);
    inner_add_times(&inner->run->inner_times, &inner->view->inner_times);
    arena memory = inner->view->memory; /* the view itself lies in it */
    inner->view = NULL;
    arena_release(&memory);
}

static void forget_plan(peri_inner *inner)
{
    if (inner->own_plan != NULL)
        chain_release(&inner->own);
    mem_array_free(&inner->run->ctx->mem, inner->own_plan);
    inner->own_plan = NULL;
}

void inner_close_all(peri_run *run)
{
    run->level = NULL; /* what it points to goes */
    while (run->inners != NULL) {
        peri_inner *inner = run->inners;
        run->inners = inner->next;
        collect(inner);
        close_view(inner);
        forget_plan(inner);
        peri_solution_free(inner->last);
        peri_model_free(inner->model);
        mem_free(&run->ctx->mem, inner, sizeof *inner);
    }
}

/* ---- a run that only evaluates
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status make_view(peri_inner *inner, nlp *p)
{
    peri_run *run = inner->run;
    arena memory;
    arena_init(&memory, &run->ctx->mem);
    peri_run *view = arena_alloc(&memory, sizeof *view);
    double *undefined_at = arena_array(&memory, (size_t)p->n, sizeof *undefined_at);
    if (view == NULL || undefined_at == NULL) {
        arena_release(&memory);
        return FAIL_NOMEM(run->ctx);
    }
    *view = (peri_run){.ctx = run->ctx,
                       .model = inner->model,
                       .p = p,
                       .chain = run->chain,
                       .link = run->link,
                       .plugin = run->plugin,
                       .args = run->args,
                       .limits = run->limits,
                       .started = run->started,
                       .linear_solver = run->linear_solver,
                       .undefined_at = undefined_at,
                       .last = -1,
                       .best = -1};
    view->memory = memory;
    inner->view = view;
    inner->view_structure = inner->model->structure;
    return PERI_OK;
}

static peri_status inner_view(peri_inner *inner, peri_run **out)
{
    nlp *p;
    *out = NULL;
    if (inner->view != NULL && inner->view_structure != inner->model->structure)
        close_view(inner);
    TRY(nlp_of(inner->model, &p));
    if (inner->view == NULL)
        TRY(make_view(inner, p));
    inner->view->p = p;
    TRY(nlp_traits(p, 0, &inner->view->traits));
    *out = inner->view;
    return PERI_OK;
}

/* ---- solving
 * ---------------------------------------------------------------------------------------------------------------- */

/* Fields that the plugin's header did not have are zero. */
peri_inner_request inner_read_request(const peri_inner_request *given)
{
    peri_inner_request q = {.size = (uint32_t)sizeof q};
    if (given != NULL)
        memcpy(&q, given, given->size < sizeof q ? given->size : sizeof q);
    return q;
}

/* Seconds and evaluations that the outer run has left. */
static void set_what_is_left(const peri_run *run, run_request *q)
{
    const peri_limits *l = &run->limits;
    const int64_t used = run->p->count.objective + run->inner_count.objective;
    q->time_limit = INFINITY;
    if (isfinite(l->time_limit))
        q->time_limit = fmax(0, l->time_limit - (clock_seconds() - run->started));
    q->evaluations = l->evaluations > used ? l->evaluations - used : 0;
}

/* The problem as it is against the link that is to take it, as set_up would, but told as whose work it is. */
static peri_status accepts(const peri_run *run, const peri_plugin *next, nlp *p)
{
    char why[512];
    uint64_t traits;
    TRY(nlp_traits(p, next->needs[0] | next->refuses[0], &traits));
    if (match_traits(traits, next->needs[0], next->refuses[0], why, sizeof why))
        return PERI_OK;
    return FAIL(run->ctx, PERI_E_UNSUPPORTED, "%s: %s, and %s has made a %s", next->name, why, run->plugin->name,
                p->class_.class_name);
}

/* Other data may have taken a trait away that the choice rested on: convexity, say. */
static peri_status still_fits(const peri_inner *inner, nlp *p, bool *good)
{
    const peri_plugin *first = inner->own.link[0].plugin;
    uint64_t traits;
    TRY(nlp_traits(p, first->needs[0] | first->refuses[0], &traits));
    *good = match_traits(traits, first->needs[0], first->refuses[0], NULL, 0);
    return PERI_OK;
}

static peri_status find_chain(peri_inner *inner, const char *plan, nlp *p, const run_chain **chain, int64_t *link)
{
    static const peri_solve_args none;
    peri_run *run = inner->run;
    if (plan == NULL && run->link + 1 >= run->chain->n)
        return FAIL(run->ctx, PERI_E_UNSUPPORTED, "%s: no solver stands behind it in the plan", run->plugin->name);
    if (plan == NULL) {
        *chain = run->chain;
        *link = run->link + 1;
        return accepts(run, (*chain)->link[*link].plugin, p);
    }
    bool good = false;
    if (inner->own_plan != NULL && strcmp(inner->own_plan, plan) == 0)
        TRY(still_fits(inner, p, &good));
    if (!good) {
        forget_plan(inner);
        inner->own_plan = mem_string(&run->ctx->mem, plan);
        if (inner->own_plan == NULL)
            return FAIL_NOMEM(run->ctx);
        const peri_status status = chain_choose(&inner->own, p, plan, &none);
        if (status != PERI_OK) {
            forget_plan(inner); /* nothing was chosen */
            return status;
        }
    }
    *chain = &inner->own;
    *link = 0;
    return PERI_OK;
}

static peri_why why_of(const peri_solution *s)
{
    switch (s->outcome) {
    case PERI_OPTIMAL:
    case PERI_LOCALLY_OPTIMAL:
        return PERI_WHY_CONVERGED;
    case PERI_FEASIBLE: /* of an integer problem that is all there is to say */
        return s->why == PERI_WHY_CONVERGED && s->certificate.kkt <= 1e-6 ? PERI_WHY_CONVERGED : PERI_WHY_STALLED;
    case PERI_INFEASIBLE:
        return PERI_WHY_INFEASIBLE;
    case PERI_UNBOUNDED:
        return PERI_WHY_UNBOUNDED;
    case PERI_ITERATION_LIMIT:
    case PERI_TIME_LIMIT:
    case PERI_INTERRUPTED:
        return PERI_WHY_LIMIT;
    default:
        return PERI_WHY_FAILED;
    }
}

static void tell(peri_inner *inner)
{
    const peri_solution *s = inner->last;
    inner->result = (peri_inner_result){
        .why = why_of(s),
        .objective = s->objective,
        .primal = s->certificate.primal,
        .dual = s->certificate.dual,
        .complementarity = s->certificate.complementarity,
        .kkt = s->certificate.kkt,
        .iterations = s->iterations,
        .x = s->x,
        .y = s->y,
        .z = s->z,
        .message = s->message,
    };
}

static peri_status inner_solve(peri_inner *inner, const peri_inner_request *given, const peri_inner_result **result)
{
    peri_run *run = inner->run;
    const peri_inner_request r = inner_read_request(given);
    const peri_solve_args args = {.n_settings = run->args->n_settings, .settings = run->args->settings};
    peri_solution *s, *last = inner->last;
    nlp *p;
    *result = NULL;
    if (run->depth >= DEEPEST)
        return FAIL(run->ctx, PERI_E_UNSUPPORTED, "%s: problems inside each other are %d deep, that is too deep", run->plugin->name,
                    DEEPEST + 1);
    collect(inner);
    TRY(nlp_of(inner->model, &p));
    run_request q = {.model = inner->model, .args = &args, .is_inner = true, .depth = run->depth + 1,
                     .iterations = r.iterations};
    TRY(find_chain(inner, r.plan, p, &q.chain, &q.link));
    if (r.x == NULL && last != NULL && last->n == p->n) {
        q.x = last->x;
        if (last->m == p->m) {
            q.y = last->y;
            q.z = last->z;
        }
    } else if (r.x != NULL) {
        q.x = r.x;
        q.y = r.y != NULL && r.z != NULL ? r.y : NULL;
        q.z = q.y != NULL ? r.z : NULL;
    }
    q.tolerance = r.tolerance > 0 ? r.tolerance : run->limits.tolerance;
    set_what_is_left(run, &q);
    TRY(run_request_solve(&q, &s));
    add_solution(run, s);
    peri_solution_free(last); /* only now: the start lay in it */
    inner->last = s;
    tell(inner);
    *result = &inner->result;
    return PERI_OK;
}

/* ---- several optima
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status inner_keep(peri_run *run, const double *x, double objective)
{
    peri_solution *s = run->solution;
    if (!nlp_is_finite(run->p->n, x) || !isfinite(objective))
        return FAIL(run->ctx, PERI_E_NUMERIC, "%s: an optimum to be kept is not finite", run->plugin->name);
    solution_optimum o = {mem_array(&run->ctx->mem, (size_t)s->n, sizeof(double)), run->model->maximize ? -objective : objective};
    if (o.x == NULL || !vec_push(&run->ctx->mem, &s->optima, o)) {
        mem_array_free(&run->ctx->mem, o.x);
        return FAIL_NOMEM(run->ctx);
    }
    memcpy(o.x, x, (size_t)s->n * sizeof *x);
    int64_t k = s->optima.n - 1;
    for (; k > 0; k--) { /* best first */
        const double before = s->optima.at[k - 1].objective;
        if (run->model->maximize ? before >= o.objective : before <= o.objective)
            break;
        s->optima.at[k] = s->optima.at[k - 1];
    }
    s->optima.at[k] = o;
    return PERI_OK;
}

/* Of the run: it is freed with the inner problem. */
static peri_model *inner_model(peri_inner *inner)
{
    return inner->model;
}

const peri_inner_table INNER_TABLE = {
    .size = (uint32_t)sizeof(peri_inner_table),
    .make = inner_make,
    .variables = inner_variables,
    .problem = inner_problem,
    .var = inner_var,
    .set_bounds = inner_set_bounds,
    .set_start = inner_set_start,
    .param = inner_param,
    .set_param = inner_set_param,
    .minimize = inner_minimize,
    .constrain = inner_constrain,
    .solve = inner_solve,
    .view = inner_view,
    .x_array = inner_x_array,
    .x_op = inner_x_op,
    .x_gather = inner_x_gather,
    .x_scatter = inner_x_scatter,
    .x_stack = inner_x_stack,
    .x_reshape = inner_x_reshape,
    .x_gradient = inner_x_gradient,
    .x_jacobian = inner_x_jacobian,
    .x_substitute = inner_x_substitute,
    .x_call = inner_x_call,
    .x_shape = inner_x_shape,
    .keep = inner_keep,
    .model = inner_model,
};
