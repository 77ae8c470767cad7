/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate.c - the view's evaluations: each runs one program, is counted and timed, and passes the finite-value guard.
 * Nothing is allocated once the program exists. Invariant: PERI_E_DOMAIN is the only failure a solver is expected to
 * survive, and it leaves a message without a search for the cause, because solvers provoke it often.
 */
#include "base/clock.h"
#include "oracle/acyclic.h"
#include "oracle/dense.h"
#include <math.h>
#include <string.h>

static const char *const WHAT[NLP_PROGRAMS] = {
    "objective", "objective or its gradient", "constraints",           "jacobian",
    "hessian",   "jacobian times a vector",   "vector times jacobian", "hessian times a vector",
    "residuals", "jacobian of the residuals"};

/*
 * Below SHORT_CALL a look at the clock is felt: a call that is timed stands for as many that follow as together take CLOCK_EVERY, at most MOST_UNTIMED.
 * One that took much longer than the one before stands for itself alone, because the process may have been interrupted.
 */
#define SHORT_CALL 4e-6
#define CLOCK_EVERY 32e-6
#define MUCH_LONGER 4
enum { MOST_UNTIMED = 511 };

static int32_t untimed_calls(double seconds, double before)
{
    if (seconds >= SHORT_CALL || seconds > MUCH_LONGER * before)
        return 0;
    return seconds > CLOCK_EVERY / MOST_UNTIMED ? (int32_t)(CLOCK_EVERY / seconds) : MOST_UNTIMED;
}

static peri_status timed_run(nlp *p, int program, const double *const *inputs, double *const *outs, double *seconds)
{
    struct nlp_pace *pace = &p->pace[program];
    if (pace->untimed > 0) {
        pace->untimed--;
        *seconds += pace->seconds;
        return eval_run(p->program[program], inputs, outs);
    }
    const double started = clock_seconds();
    const peri_status status = eval_run(p->program[program], inputs, outs);
    const double before = pace->seconds;
    pace->seconds = clock_seconds() - started;
    pace->untimed = untimed_calls(pace->seconds, before);
    *seconds += pace->seconds;
    return status;
}

peri_status nlp_run(nlp *p, int program, const nlp_point *at, double *const *outs, int64_t *count, double *seconds)
{
    if (p->program[program] == NULL)
        TRY(nlp_compile(p, program));
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = at->x,
                                                 [EXPR_IN_PARAM] = p->model->g->param_value.at,
                                                 [EXPR_IN_W] = at->w,
                                                 [EXPR_IN_SIGMA] = &at->sigma,
                                                 [EXPR_IN_V] = at->v};
    (*count)++;
    return timed_run(p, program, inputs, outs, seconds);
}

static peri_status guarded(nlp *p, int program, bool is_finite)
{
    return is_finite ? PERI_OK : FAIL(p->ctx, PERI_E_DOMAIN, "%s: a value is not finite", WHAT[program]);
}

peri_status nlp_guard(nlp *p, int program, int64_t n, const double *v)
{
    return guarded(p, program, nlp_is_finite(n, v));
}

peri_status nlp_guard_watched(nlp *p, int program, double *const *outs)
{
    return guarded(p, program, eval_watched_is_finite(p->program[program], outs));
}

peri_status nlp_f(nlp *p, const double *x, double *f)
{
    const nlp_point at = {.x = x};
    TRY(nlp_run(p, NLP_F, &at, &f, &p->count.objective, &p->seconds.objective));
    return guarded(p, NLP_F, isfinite(*f));
}

peri_status nlp_fg(nlp *p, const double *x, double *f, double *g)
{
    const nlp_point at = {.x = x};
    double *const outs[2] = {f, g};
    TRY(nlp_run(p, NLP_FG, &at, outs, &p->count.gradient, &p->seconds.gradient));
    p->count.objective++;
    return nlp_guard_watched(p, NLP_FG, outs);
}

/* No cycle: zero, which rounding hides where walks are many. */
static peri_status settle_graph(nlp *p, const double *x, double *c)
{
    nlp_acyclic *graph = p->acyclic;
    if (graph == NULL || (c[graph->block.row] >= 0 && c[graph->block.row] <= 0))
        return PERI_OK;
    const peri_status status = nlp_weights(graph, x, graph->w);
    if (status == PERI_OK && nlp_weights_are_acyclic(graph, graph->w))
        c[graph->block.row] = 0;
    return status == PERI_E_DOMAIN ? PERI_OK : status; /* the row itself says so */
}

peri_status nlp_c(nlp *p, const double *x, double *c)
{
    const nlp_point at = {.x = x};
    if (p->m == 0)
        return PERI_OK;
    TRY(nlp_run(p, NLP_C, &at, &c, &p->count.constraints, &p->seconds.constraints));
    TRY(settle_graph(p, x, c));
    return nlp_guard_watched(p, NLP_C, &c);
}

static peri_pattern pattern_of(const diff_sparse *s)
{
    return (peri_pattern){s->rows, s->cols, s->nnz, s->start, s->index};
}

peri_status nlp_jac_pattern(nlp *p, peri_pattern *pattern)
{
    TRY(nlp_compile(p, NLP_JAC));
    *pattern = pattern_of(&p->jac);
    return PERI_OK;
}

peri_status nlp_jac(nlp *p, const double *x, double *val)
{
    const nlp_point at = {.x = x};
    TRY(nlp_compile(p, NLP_JAC));
    if (p->jac.nnz == 0)
        return PERI_OK;
    TRY(nlp_run(p, NLP_JAC, &at, &val, &p->count.jacobian, &p->seconds.jacobian));
    return nlp_guard_watched(p, NLP_JAC, &val);
}

peri_status nlp_hess_pattern(nlp *p, peri_pattern *pattern)
{
    TRY(nlp_compile(p, NLP_HESS));
    *pattern = pattern_of(&p->hess);
    return PERI_OK;
}

peri_status nlp_hess(nlp *p, const double *x, double sigma, const double *w, double *val)
{
    const nlp_point at = {.x = x, .w = w, .sigma = sigma};
    TRY(nlp_compile(p, NLP_HESS));
    if (p->hess.nnz == 0)
        return PERI_OK;
    if (p->dense != NULL)
        return nlp_dense_values(p, &at, val);
    TRY(nlp_run(p, NLP_HESS, &at, &val, &p->count.hessian, &p->seconds.hessian));
    return nlp_guard_watched(p, NLP_HESS, &val);
}

peri_status nlp_jv(nlp *p, const double *x, const double *v, double *jv)
{
    const nlp_point at = {.x = x, .v = v};
    if (p->m == 0)
        return PERI_OK;
    TRY(nlp_run(p, NLP_JV, &at, &jv, &p->count.products, &p->seconds.products));
    return nlp_guard_watched(p, NLP_JV, &jv);
}

peri_status nlp_vj(nlp *p, const double *x, const double *w, double *vj)
{
    const nlp_point at = {.x = x, .w = w};
    if (p->m == 0) {
        memset(vj, 0, (size_t)p->n * sizeof *vj);
        return PERI_OK;
    }
    TRY(nlp_run(p, NLP_VJ, &at, &vj, &p->count.products, &p->seconds.products));
    return nlp_guard_watched(p, NLP_VJ, &vj);
}

peri_status nlp_hv(nlp *p, const double *x, double sigma, const double *w, const double *v, double *hv)
{
    const nlp_point at = {.x = x, .w = w, .v = v, .sigma = sigma};
    TRY(nlp_run(p, NLP_HV, &at, &hv, &p->count.products, &p->seconds.products));
    return nlp_guard_watched(p, NLP_HV, &hv);
}
