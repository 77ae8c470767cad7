/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.c - the end of an iteration: the new point is guarded, kept, compared with the best, and told to history, log
 * and host. Invariant: a point with a value that is not finite is never kept. The better of two points violates less,
 * as far as that exceeds the tolerance, then has the lower objective (with lower models: came later); the row's own numbers decide, because they only
 * choose which point is returned: the certificate is computed anew.
 */
#include "base/clock.h"
#include "base/num.h"
#include "run/isolate.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the wall
 * ----------------------------------------------------------------------------------------------------------------- */

static int64_t first_bad(int64_t n, const double *v)
{
    if (v == NULL || nlp_is_finite(n, v))
        return -1;
    for (int64_t k = 0; k < n; k++)
        if (!isfinite(v[k]))
            return k;
    return -1; /* finite, but large enough to overflow in the test: it multiplies by zero, so never here */
}

static peri_status refuse(peri_run *run, const char *of, const char *name, double value)
{
    char number[NUM_SIZE];
    run->stopped_by = PERI_NUMERICAL_ERROR;
    snprintf(run->message, sizeof run->message, "%s%s is %s after step %lld of %s", of, name, num_print(value, number),
             (long long)run->steps + (run->in_init ? 0 : 1), run->plugin->name);
    return FAIL(run->ctx, PERI_E_NUMERIC, "%s", run->message);
}

static peri_status guard(peri_run *run, const double *x, const double *y, const double *z)
{
    char name[128];
    int64_t k = first_bad(run->p->n, x);
    if (k >= 0) {
        model_variable_name(run->model, k, name, sizeof name);
        return refuse(run, "", name, x[k]);
    }
    k = first_bad(run->p->m, y);
    if (k >= 0) {
        model_row_name(run->model, k, name, sizeof name);
        return refuse(run, "multiplier of constraint ", name, y[k]);
    }
    k = first_bad(run->p->n, z);
    if (k >= 0) {
        model_variable_name(run->model, k, name, sizeof name);
        return refuse(run, "bound multiplier of ", name, z[k]);
    }
    return PERI_OK;
}

/* ---- what it is worth
 * -------------------------------------------------------------------------------------------------------------- */

static double worse(double a, double b)
{
    return a > b ? a : b;
}

static double violation_of(int64_t n, const double *v, const double *lower, const double *upper)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++) {
        const double below = lower[k] - v[k], above = v[k] - upper[k];
        most = worse(most, worse(below, above));
    }
    return most;
}

/* The row's objective and primal where given; evaluated otherwise. */
static void measure(peri_run *run, const double *x, const peri_row *row, double *objective, double *violation)
{
    nlp *p = run->p;
    *violation = 0;
    if (run->traits & PERI_BIT(PERI_TRAIT_BOUNDS))
        *violation = violation_of(p->n, x, p->xl, p->xu);
    if (p->m > 0 && isfinite(row->primal))
        *violation = worse(*violation, row->primal);
    else if (p->m > 0)
        *violation = nlp_c(p, x, run->rows) == PERI_OK ? worse(*violation, violation_of(p->m, run->rows, p->cl, p->cu))
                                                       : INFINITY;
    *objective = row->objective;
    if (!isfinite(row->objective) && nlp_f(p, x, objective) != PERI_OK)
        *objective = INFINITY;
}

static bool is_better(const peri_run *run, const run_point *a, const run_point *b)
{
    const double va = a->violation > run->limits.tolerance ? a->violation : 0;
    const double vb = b->violation > run->limits.tolerance ? b->violation : 0;
    if (run->traits & PERI_BIT(PERI_TRAIT_LEVELS)) /* a lower objective may be bought with the lower models' optimality */
        return va <= vb;
    return va < vb || (va <= vb && a->objective <= b->objective);
}

/* ---- keeping
 * ------------------------------------------------------------------------------------------------------------------------
 */

/* The slot of the last point unless the best lies there. */
static int free_slot(const peri_run *run)
{
    if (run->last < 0)
        return 0;
    return run->last == run->best ? 1 - run->last : run->last;
}

static bool keep(peri_run *run, const double *x, const double *y, const double *z, const peri_row *row)
{
    const int slot = free_slot(run);
    const size_t n = (size_t)run->p->n * sizeof *x, m = (size_t)run->p->m * sizeof *y;
    run_point *to = &run->point[slot];
    memcpy(to->x, x, n);
    to->has_y = y != NULL;
    to->has_z = z != NULL;
    if (y != NULL && m > 0)
        memcpy(to->y, y, m);
    if (z != NULL)
        memcpy(to->z, z, n);
    measure(run, x, row, &to->objective, &to->violation);
    run->last = slot;
    const bool best = run->best < 0 || is_better(run, to, &run->point[run->best]);
    if (best)
        run->best = slot;
    return best;
}

/* ---- telling
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static void write_log(const peri_run *run, const peri_event *e)
{
    char f[NUM_SIZE], primal[NUM_SIZE], dual[NUM_SIZE], step[NUM_SIZE];
    if (run->ctx->log == NULL || run->ctx->verbosity < 2)
        return;
    log_write(run->ctx, 2, "%s: iteration %lld objective %s primal %s dual %s step %s%s%c", run->plugin->name,
              (long long)e->iteration, num_print_digits(e->objective, 10, f), num_print_digits(e->primal, 3, primal),
              num_print_digits(e->dual, 3, dual), num_print_digits(e->step, 3, step), e->tag != 0 ? " " : "",
              e->tag != 0 ? e->tag : ' ');
}

static void fill_event(const peri_run *run, const peri_row *row, bool best, peri_event *e)
{
    const double f = run->point[run->last].objective;
    memset(e, 0, sizeof *e); /* what lies between the fields too: events go to files and other processes as they are */
    e->iteration = run->iterations;
    e->seconds = clock_seconds() - run->started;
    e->objective = run->model->maximize ? -f : f;
    e->primal = row->primal;
    e->dual = row->dual;
    e->complementarity = row->complementarity;
    e->step = row->step;
    e->trust_radius = row->trust_radius;
    e->barrier = row->barrier;
    e->regularization = row->regularization;
    e->tag = row->tag;
    e->best = best;
    e->inner_iterations = run->inner_iterations;
    e->restoration = row->phase == PERI_PHASE_RESTORATION;
}

/* The points themselves, where they can be drawn. */
static peri_status keep_path(peri_run *run, const double *x)
{
    if (run->p->n != 2 || run->depth > 0)
        return PERI_OK;
    if (!vec_push(&run->ctx->mem, &run->solution->path, x[0]) || !vec_push(&run->ctx->mem, &run->solution->path, x[1]))
        return FAIL_NOMEM(run->ctx);
    return PERI_OK;
}

static void tell_inner(const peri_run *run, double objective)
{
    const peri_context *ctx = run->ctx;
    if (ctx->progress != NULL && run->depth > 0)
        ctx->progress(ctx->progress_ud, &(peri_progress){.phase = "solving", .solver = run->plugin->name, .depth = run->depth,
                                                         .count = run->iterations, .objective = objective});
}

peri_status event_accept(peri_run *run, const double *x, const double *y, const double *z, const peri_row *row)
{
    if (run->resuming)
        return PERI_OK;
    TRY(guard(run, x, y, z));
    const bool best = keep(run, x, y, z, row);
    if (!run->in_init)
        run->iterations++;
    peri_event event;
    fill_event(run, row, best, &event);
    run->inner_iterations = 0;
    isolate_publish(run);
    if (!vec_push(&run->ctx->mem, &run->solution->history, event))
        return FAIL_NOMEM(run->ctx);
    TRY(keep_path(run, x));
    tell_inner(run, event.objective);
    write_log(run, &event);
    if (run->args->event != NULL && run->args->event(run->args->event_ud, &event) != 0)
        run->user_stop = true;
    return PERI_OK;
}
