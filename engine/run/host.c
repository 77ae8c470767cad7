/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.c - the table through which plugins reach the engine: thin functions over the view, the loop and the
 * linear-solver service. The table is constant; all state is in the run.
 */
#include "base/clock.h"
#include "base/rng.h"
#include "run/checkpoint.h"
#include "run/draw.h"
#include "run/factor.h"
#include "run/guards.h"
#include "run/levels.h"
#include "oracle/acyclic.h"
#include "oracle/prox.h"
#include "run/internal.h"
#include "run/project.h"
#include <math.h>
#include <string.h>

/* ---- the problem
 * ------------------------------------------------------------------------------------------------------------ */

static int64_t host_n(const peri_run *run)
{
    return run->p->n;
}

static int64_t host_m(const peri_run *run)
{
    return run->p->m;
}

static void host_bounds(const peri_run *run, const double **xl, const double **xu, const double **cl, const double **cu)
{
    const nlp *p = run->p;
    const bool own = run->bounds[0] != NULL; /* guarded copies */
    if (xl != NULL)
        *xl = own ? run->bounds[0] : p->xl;
    if (xu != NULL)
        *xu = own ? run->bounds[1] : p->xu;
    if (cl != NULL)
        *cl = own ? run->bounds[2] : p->cl;
    if (cu != NULL)
        *cu = own ? run->bounds[3] : p->cu;
}

static bool host_has_trait(const peri_run *run, peri_trait trait)
{
    return (run->traits & PERI_BIT(trait)) != 0;
}

static const unsigned char *host_linear_rows(const peri_run *run)
{
    return run->p->class_.linear_row;
}

static void *host_alloc(peri_run *run, size_t count, size_t size)
{
    void *memory = run->guarded ? guards_array(run, count, size, "an array of peri_alloc") : arena_array(&run->memory, count, size);
    if (memory == NULL)
        (void)FAIL_NOMEM(run->ctx);
    return memory;
}

static peri_status host_start(peri_run *run, double *x)
{
    memcpy(x, run->start, (size_t)run->p->n * sizeof *x);
    return PERI_OK;
}

static bool host_start_duals(peri_run *run, double *y, double *z)
{
    if (run->start_y == NULL)
        return false;
    if (run->p->m > 0)
        memcpy(y, run->start_y, (size_t)run->p->m * sizeof *y);
    memcpy(z, run->start_z, (size_t)run->p->n * sizeof *z);
    return true;
}

/* ---- evaluation: where it was undefined is remembered, for the message if that was final
 * ---------------------------------------------- */

static void note(peri_run *run, const double *x)
{
    peri_run *const both[] = {run, run->outer}; /* a view of one level has the variables of all */
    for (int k = 0; k < 2; k++)
        if (both[k] != NULL) {
            memcpy(both[k]->undefined_at, x, (size_t)run->p->n * sizeof *x);
            both[k]->was_undefined = true;
        }
}

static peri_status noted(peri_run *run, const double *x, peri_status status)
{
    if (status == PERI_E_DOMAIN)
        note(run, x);
    return status;
}

/* What does not know of samples reads their weights: they are put in place. */
static inline void settle(peri_run *run)
{
    if (run->draw != NULL)
        draw_settle(run);
}

static peri_status host_eval_f(peri_run *run, const double *x, double *f)
{
    settle(run);
    return noted(run, x, nlp_f(run->p, x, f));
}

static peri_status host_eval_fg(peri_run *run, const double *x, double *f, double *g)
{
    return noted(run, x, run->draw != NULL && draw_is_active(run) ? draw_fg(run, x, f, g) : nlp_fg(run->p, x, f, g));
}

static peri_status host_eval_c(peri_run *run, const double *x, double *c)
{
    return noted(run, x, nlp_c(run->p, x, c));
}

static peri_status host_jac_pattern(peri_run *run, peri_pattern *pattern)
{
    return nlp_jac_pattern(run->p, pattern);
}

static peri_status host_eval_jac(peri_run *run, const double *x, double *val)
{
    return noted(run, x, nlp_jac(run->p, x, val));
}

static peri_status host_hess_pattern(peri_run *run, peri_pattern *pattern)
{
    return nlp_hess_pattern(run->p, pattern);
}

static peri_status host_eval_hess(peri_run *run, const double *x, double sigma, const double *w, double *val)
{
    settle(run);
    return noted(run, x, nlp_hess(run->p, x, sigma, w, val));
}

static peri_status host_eval_jv(peri_run *run, const double *x, const double *v, double *jv)
{
    return noted(run, x, nlp_jv(run->p, x, v, jv));
}

static peri_status host_eval_vj(peri_run *run, const double *x, const double *w, double *vj)
{
    return noted(run, x, nlp_vj(run->p, x, w, vj));
}

static peri_status host_eval_hv(peri_run *run, const double *x, double sigma, const double *w, const double *v,
                                double *hv)
{
    settle(run);
    return noted(run, x, nlp_hv(run->p, x, sigma, w, v, hv));
}

static peri_status host_residual_count(peri_run *run, int64_t *count)
{
    return nlp_find_residuals(run->p, count);
}

static peri_status host_eval_residuals(peri_run *run, const double *x, double *r)
{
    settle(run);
    return noted(run, x, nlp_r(run->p, x, r));
}

static peri_status host_residual_jac_pattern(peri_run *run, peri_pattern *pattern)
{
    return nlp_r_jac_pattern(run->p, pattern);
}

static peri_status host_eval_residual_jac(peri_run *run, const double *x, double *val)
{
    settle(run);
    return noted(run, x, nlp_r_jac(run->p, x, val));
}

static int32_t host_threads(peri_run *run)
{
    return context_threads(run->ctx);
}

static peri_status host_parallel(peri_run *run, int64_t tasks, peri_task task, void *ud)
{
    peri_context *ctx = run->ctx;
    const int32_t threads = context_threads_for(ctx, tasks);
    if (tasks > INT32_MAX)
        return FAIL(ctx, PERI_E_ARGUMENT, "%s: %lld tasks are too many", run->plugin->name, (long long)tasks);
    if (threads > 1) {
        TRY(context_start_threads(ctx, threads));
        pool_run(ctx->pool, threads, tasks, task, ud);
        return PERI_OK;
    }
    for (int64_t k = 0; k < tasks; k++)
        task(ud, 0, k);
    return PERI_OK;
}

static peri_status host_eval_terms(peri_run *view, const double *x, double *f, double *g)
{
    return noted(view, x, draw_terms(view, x, f, g));
}

/* A point that is undefined is no failure of the others, but remembered like one. */
static peri_status noted_batch(peri_run *run, int64_t points, const double *x, int64_t width, const double *v, peri_status status)
{
    for (int64_t k = 0; k < points * width && status == PERI_OK; k++)
        if (isnan(v[k])) {
            (void)noted(run, x + k / width * run->p->n, PERI_E_DOMAIN);
            break;
        }
    return status;
}

static peri_status host_eval_f_batch(peri_run *run, int64_t points, const double *x, double *f)
{
    settle(run);
    return noted_batch(run, points, x, 1, f, nlp_f_batch(run->p, points, x, f));
}

static peri_status host_eval_fg_batch(peri_run *run, int64_t points, const double *x, double *f, double *g)
{
    settle(run);
    return noted_batch(run, points, x, 1, f, nlp_fg_batch(run->p, points, x, f, g));
}

static peri_status host_eval_c_batch(peri_run *run, int64_t points, const double *x, double *c)
{
    return noted_batch(run, points, x, run->p->m, c, nlp_c_batch(run->p, points, x, c));
}

/* The run made the composite form before init, where the solver's table needs it. */
static peri_status prox_of(peri_run *run)
{
    if (run->p->prox != NULL)
        return PERI_OK;
    return FAIL(run->ctx, PERI_E_UNSUPPORTED, "%s: calls a proximal operator without needing PERI_TRAIT_PROX", run->plugin->name);
}

static peri_status host_prox_smooth(peri_run *run, const double *x, double *f, double *g)
{
    TRY(prox_of(run));
    return noted(run, x, nlp_prox_smooth(run->p->prox, x, f, g));
}

static peri_status host_prox_apply(peri_run *run, double t, const double *v, double *x, double *h)
{
    TRY(prox_of(run));
    return nlp_prox_apply(run->p->prox, t, v, x, h);
}

static peri_status host_prox_linear(peri_run *run, const double *g, double *x)
{
    TRY(prox_of(run));
    return nlp_prox_linear(run->p->prox, g, x);
}

/* The run made it before init, where the solver's table needs it. */
static peri_status acyclic_of(peri_run *run)
{
    if (run->p->acyclic != NULL)
        return PERI_OK;
    return FAIL(run->ctx, PERI_E_UNSUPPORTED, "%s: asks for the graph without needing PERI_TRAIT_ACYCLIC", run->plugin->name);
}

static peri_status host_acyclic(peri_run *run, const peri_acyclic **out)
{
    *out = NULL;
    TRY(acyclic_of(run));
    *out = &run->p->acyclic->block;
    return PERI_OK;
}

static peri_status host_eval_weights(peri_run *run, const double *x, double *w)
{
    TRY(acyclic_of(run));
    return noted(run, x, nlp_weights(run->p->acyclic, x, w));
}

/* ---- running
 * --------------------------------------------------------------------------------------------------------------------------
 */

static const peri_limits *host_limits(const peri_run *run)
{
    return &run->limits;
}

static bool host_should_stop(peri_run *run)
{
    return limits_reached(run);
}

static peri_status host_accept(peri_run *run, const double *x, const double *y, const double *z, const peri_row *row,
                               peri_step *next)
{
    TRY(event_accept(run, x, y, z, row));
    if (next != NULL)
        *next = (peri_step){PERI_WHY_CONTINUE, true};
    return PERI_OK;
}

static peri_status host_finish(peri_run *run, peri_why why, peri_step *next)
{
    run->why = why;
    if (next != NULL)
        next->why = why;
    return PERI_OK;
}

static void host_note(peri_run *run, int level, const char *text)
{
    log_write(run->ctx, level, "%s: %s", run->plugin->name, text);
}

static peri_status host_fail(peri_run *run, peri_status code, const char *text)
{
    return FAIL(run->ctx, code, "%s: %s", run->plugin->name, text);
}

static uint64_t host_random_bits(peri_run *run, uint64_t stream, uint64_t counter)
{
    return rng_bits(run->limits.seed, stream, counter);
}

const peri_host *host_table(void)
{
    static const peri_host table = {
        .size = (uint32_t)sizeof(peri_host),
        .major = PERI_ABI_MAJOR,
        .minor = PERI_ABI_MINOR,
        .n = host_n,
        .m = host_m,
        .bounds = host_bounds,
        .has_trait = host_has_trait,
        .linear_rows = host_linear_rows,
        .alloc = host_alloc,
        .start = host_start,
        .start_duals = host_start_duals,
        .eval_f = host_eval_f,
        .eval_fg = host_eval_fg,
        .eval_c = host_eval_c,
        .jac_pattern = host_jac_pattern,
        .eval_jac = host_eval_jac,
        .hess_pattern = host_hess_pattern,
        .eval_hess = host_eval_hess,
        .eval_jv = host_eval_jv,
        .eval_vj = host_eval_vj,
        .eval_hv = host_eval_hv,
        .limits = host_limits,
        .should_stop = host_should_stop,
        .accept = host_accept,
        .finish = host_finish,
        .note = host_note,
        .fail = host_fail,
        .random_bits = host_random_bits,
        .clock = clock_seconds,
        .factor_open = factor_open,
        .factor_values = factor_values,
        .factor_solve = factor_solve,
        .factor_strengthen = factor_strengthen,
        .factor_name = factor_name,
        .factor_flags = factor_flags,
        .factor_close = factor_close,
        .inner = &INNER_TABLE,
        .residual_count = host_residual_count,
        .eval_residuals = host_eval_residuals,
        .residual_jac_pattern = host_residual_jac_pattern,
        .eval_residual_jac = host_eval_residual_jac,
        .eval_f_batch = host_eval_f_batch,
        .eval_fg_batch = host_eval_fg_batch,
        .eval_c_batch = host_eval_c_batch,
        .factor_solve_transposed = factor_solve_transposed,
        .factor_open_operator = factor_open_operator,
        .factor_iterations = factor_iterations,
        .prox_smooth = host_prox_smooth,
        .prox_apply = host_prox_apply,
        .prox_linear = host_prox_linear,
        .transfer = checkpoint_transfer,
        .projection_open = projection_open,
        .projection_apply = projection_apply,
        .sample_rows = draw_rows,
        .sample = draw_sample,
        .sample_set = draw_choose,
        .eval_terms = host_eval_terms,
        .threads = host_threads,
        .parallel = host_parallel,
        .levels = levels_get,
        .level_view = levels_view,
        .level_solve = levels_solve,
        .acyclic = host_acyclic,
        .eval_weights = host_eval_weights,
    };
    return &table;
}
