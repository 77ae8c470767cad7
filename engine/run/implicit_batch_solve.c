/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_batch_solve.c - the instances of a batch shared out to the context's threads, where that is worth it, and what is said of one that has no
 * solution. Invariant: an instance whose data are those of its last solution is not solved again, nor its system factorised.
 */
#include "base/clock.h"
#include "base/pool.h"
#include "eval/lu.h"
#include "run/implicit_batch.h"
#include <stdio.h>
#include <string.h>

static const double WORTH_SHARING = 5e-5; /* seconds of what is shared out */

static bool has_theta(const implicit_batch *b, const double *theta, const double *other, int64_t k)
{
    bool same = true;
    for (int64_t i = 0; i < b->n_arguments && same; i++) {
        const int64_t from = b->at[i] + k * b->size[i];
        same = memcmp(theta + from, other + from, (size_t)b->size[i] * sizeof *theta) == 0;
    }
    return same;
}

typedef struct {
    implicit_batch *b;
    const int64_t *which; /* instances, one a task */
    int *code;            /* of each task */
    bool systems;         /* to be factorised, else instances to be solved */
} job;

static void run_task(void *ud, int32_t thread, int64_t at)
{
    const job *j = ud;
    const int64_t k = j->which[at];
    j->code[at] = (j->systems ? implicit_batch_factorise_one : implicit_batch_solve_one)(j->b, &j->b->workers[thread], k);
}

static peri_status compile(expr_graph *g, bool alone, int64_t n, const expr_id *nodes, eval_program **program)
{
    eval_output outs[3];
    for (int64_t k = 0; k < n; k++)
        outs[k] = (eval_output){.node = nodes[k], .slot = (int32_t)k};
    if (*program != NULL)
        return PERI_OK;
    return (alone ? eval_compile_alone : eval_compile)(g, n, outs, program);
}

static peri_status compile_all(implicit_batch *b, batch_worker *w, bool alone)
{
    const expr_id model[3] = {b->r, b->normal, b->projected};
    if (b->squares)
        TRY(compile(b->one->g, alone, 3, model, &w->model));
    TRY(compile(b->one->g, alone, 1, &b->equations, &w->equations));
    TRY(compile(b->wide, alone, 1, &b->wide_product, &w->columns));
    if (b->root_form)
        TRY(compile(b->wide, alone, 1, &b->wide_slope, &w->slope));
    w->alone = alone;
    return PERI_OK;
}

static bool is_self_contained(const batch_worker *w)
{
    return (w->model == NULL || eval_is_self_contained(w->model)) && eval_is_self_contained(w->equations) && eval_is_self_contained(w->columns) &&
           (w->slope == NULL || eval_is_self_contained(w->slope));
}

void implicit_batch_release_worker(batch_worker *w)
{
    eval_program **const all[4] = {&w->model, &w->equations, &w->columns, &w->slope};
    for (int k = 0; k < 4; k++) {
        eval_free(*all[k]);
        *all[k] = NULL;
    }
}

static peri_status make_buffers(implicit_batch *b, batch_worker *w)
{
    arena *data = &b->one->data;
    const size_t d = (size_t)b->one->d, m = (size_t)b->m;
    double **const vectors[6] = {&w->y, &w->g, &w->trial, &w->tg, &w->step, &w->kept}, **const squares[5] = {&w->a, &w->ta, &w->chol, &w->lu, &w->unit};
    bool ok = (w->theta = arena_array(data, (size_t)b->one->p, sizeof *w->theta)) != NULL;
    for (int k = 0; k < 6 && ok; k++)
        ok = (*vectors[k] = arena_array(data, d, sizeof(double))) != NULL;
    for (int k = 0; k < 5 && ok; k++)
        ok = (*squares[k] = arena_array(data, d * d, sizeof(double))) != NULL;
    ok = ok && (w->r = arena_array(data, m + 1, sizeof *w->r)) != NULL && (w->tr = arena_array(data, m + 1, sizeof *w->tr)) != NULL;
    const size_t wide = d * (size_t)b->width;
    ok = ok && (w->directions = arena_array(data, wide, sizeof *w->directions)) != NULL && (w->images = arena_array(data, wide, sizeof *w->images)) != NULL;
    ok = ok && (w->pivot = arena_array(data, d, sizeof *w->pivot)) != NULL;
    for (size_t j = 0; j < d && ok; j++)
        w->unit[j * d + j] = 1;
    return ok ? PERI_OK : FAIL_NOMEM(b->one->ctx);
}

/* Programs that call a user's function run on the caller's thread, one instance after another. */
static peri_status need_workers(implicit_batch *b, int32_t threads)
{
    if (b->workers == NULL)
        b->workers = arena_array(&b->one->data, (size_t)context_threads(b->one->ctx), sizeof *b->workers);
    if (b->workers == NULL)
        return FAIL_NOMEM(b->one->ctx);
    while (b->n_workers < threads) {
        batch_worker *w = &b->workers[b->n_workers];
        if (w->theta == NULL || w->pivot == NULL)
            TRY(make_buffers(b, w));
        peri_status status = compile_all(b, w, true);
        if (status == PERI_OK && !is_self_contained(w)) {
            implicit_batch_release_worker(w);
            status = compile_all(b, w, false);
        }
        if (status != PERI_OK) {
            implicit_batch_release_worker(w);
            return status;
        }
        b->n_workers++;
    }
    return PERI_OK;
}

static peri_status share(implicit_batch *b, job *j, int64_t n)
{
    peri_context *ctx = b->one->ctx;
    int32_t threads = context_threads_for(ctx, n);
    TRY(need_workers(b, 1));
    if (threads < 2 || (double)n * b->seconds < WORTH_SHARING || !b->workers[0].alone) {
        const double started = clock_seconds();
        for (int64_t k = 0; k < n; k++)
            run_task(j, 0, k);
        if (n > 0 && !j->systems)
            b->seconds = (clock_seconds() - started) / (double)n;
        return PERI_OK;
    }
    TRY(need_workers(b, threads));
    TRY(context_start_threads(ctx, threads));
    pool_run(ctx->pool, threads, n, run_task, j);
    return PERI_OK;
}

/* ---- what went wrong ----------------------------------------------------------------------------------------------- */

static peri_status explain_undefined(const implicit_batch *b, int64_t k, const double *y, const double *theta, char *text, size_t size)
{
    const implicit *f = b->one;
    char where[200];
    double *const own = mem_array(&f->ctx->mem, (size_t)f->p, sizeof *own);
    if (own == NULL)
        return FAIL_NOMEM(f->ctx);
    implicit_batch_take_theta(b, theta, k, own);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = y + k * f->d, [EXPR_IN_PARAM] = own};
    const bool found = expr_explain_nonfinite(f->g, b->squares ? b->r : f->F, inputs, where, sizeof where);
    mem_array_free(&f->ctx->mem, own);
    snprintf(text, size, "its equations are undefined%s%s", found ? ": " : " where its solver has come to", found ? where : "");
    return PERI_OK;
}

static void explain_steps(const implicit_batch *b, const batch_instance *at, int code, char *text, size_t size)
{
    const char *const how = !b->squares ? "newton" : b->polish ? "levenberg-marquardt and newton" : "levenberg-marquardt";
    const long long steps = (long long)(at->iterations + at->polished);
    if (code == BATCH_SADDLE)
        snprintf(text, size, "no minimum was found: after %lld iterations newton has come to a stationary point that is none", steps);
    else
        snprintf(text, size, "%s %.1e after %lld iterations of %s", b->squares ? "no minimum was found: the gradient of the squares is" :
                 "no root was found: residual", at->length, steps, how);
}

/* Of instance k, at its part of y and theta. err PERI_E_DOMAIN or what ended it */
static peri_status explain(implicit_batch *b, int64_t k, int code, const double *y, const double *theta)
{
    const implicit *f = b->one;
    const batch_instance *at = &b->instance[k];
    char text[400], name[40];
    snprintf(name, sizeof name, "instance %lld", (long long)(k + 1));
    const char *const who = b->names != NULL ? b->names[k] : name;
    if (code == BATCH_STOPPED)
        return FAIL(f->ctx, PERI_E_CANCELLED, "%s: stopped inside it", f->name);
    if (code == BATCH_FAILED) /* of a function that it calls, which has left its message */
        return at->status == PERI_E_DOMAIN ? fail_prefix(f->ctx, "%s, %s", f->name, who) : at->status;
    if (code == BATCH_UNDEFINED)
        TRY(explain_undefined(b, k, y, theta, text, sizeof text));
    else if (code == BATCH_NO_PIVOT)
        snprintf(text, sizeof text, "the Jacobian of its equations is singular (a pivot is zero)");
    else if (code == BATCH_BAD_CONDITION)
        snprintf(text, sizeof text, "the Jacobian of its equations is singular (condition number %.1e); the solution is no function of what it depends "
                 "on here, or not a smooth one", at->condition);
    else if (code == BATCH_BAD_MATRIX)
        snprintf(text, sizeof text, "the Jacobian of its equations is not finite");
    else
        explain_steps(b, at, code, text, sizeof text);
    return FAIL(f->ctx, PERI_E_DOMAIN, "%s, %s: %s", f->name, who, text);
}

/* The instances of the job by the threads; the first that failed is told of. */
static peri_status work(implicit_batch *b, bool systems, int64_t n, const int64_t *which, int *code, const double *y, const double *theta)
{
    job j = {b, which, code, systems};
    TRY(share(b, &j, n));
    for (int64_t k = 0; k < n; k++)
        if (code[k] != BATCH_FINE)
            return explain(b, which[k], code[k], y, theta);
    return PERI_OK;
}

/* ---- together ------------------------------------------------------------------------------------------------------ */

peri_status implicit_batch_value(implicit_batch *b, const double *theta, double *y)
{
    const bool same = memcmp(theta, b->theta_at, (size_t)b->shared * sizeof *theta) == 0;
    int64_t n = 0;
    for (int64_t k = 0; k < b->n; k++) {
        b->instance[k].solved = b->instance[k].solved && same && has_theta(b, theta, b->theta_at, k);
        if (!b->instance[k].solved)
            b->which[n++] = k;
    }
    memcpy(b->theta_at, theta, (size_t)b->p * sizeof *theta);
    TRY(work(b, false, n, b->which, b->code, b->y_at, theta));
    memcpy(y, b->y_at, (size_t)(b->n * b->one->d) * sizeof *y);
    return PERI_OK;
}

peri_status implicit_batch_systems(implicit_batch *b, bool transposed, const double *x, double *r)
{
    const implicit *f = b->one;
    const int64_t d = f->d, all = b->n * d;
    const double *const theta = x + all, *const theta_at = b->system_at + all;
    const bool same = memcmp(theta, theta_at, (size_t)b->shared * sizeof *theta) == 0;
    int64_t n = 0;
    if (!eval_is_finite(all + b->p, x))
        return FAIL(f->ctx, PERI_E_DOMAIN, "%s: its linear systems are asked for at a point that is not finite", f->name);
    if (!eval_is_finite(all, r))
        return FAIL(f->ctx, PERI_E_DOMAIN, "%s: the right-hand side of its linear systems is not finite", f->name);
    for (int64_t k = 0; k < b->n; k++) {
        b->instance[k].factorised = b->instance[k].factorised && same && has_theta(b, theta, theta_at, k) &&
                                    memcmp(x + k * d, b->system_at + k * d, (size_t)d * sizeof *x) == 0;
        if (!b->instance[k].factorised)
            b->which[n++] = k;
    }
    memcpy(b->system_at, x, (size_t)(all + b->p) * sizeof *x);
    TRY(work(b, true, n, b->which, b->code, x, theta));
    for (int64_t i = 0; i < all; i++)
        r[i] = -r[i];
    for (int64_t k = 0; k < b->n; k++)
        (transposed ? eval_lu_solve_turned : eval_lu_solve)(d, 1, b->lu + k * d * d, b->pivot + k * d, r + k * d);
    return PERI_OK;
}
