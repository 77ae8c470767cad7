/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - the view's evaluations at many points at once, for populations and many starts. What is not finite is no failure here: the point's
 * value says so, since the other points are as good as before.
 */
#include "base/clock.h"
#include "diff/batch.h"
#include "oracle/nlp.h"
#include <math.h>

static peri_status batch_of(nlp *p, int which, batch **out)
{
    *out = p->batch[which];
    if (*out != NULL)
        return PERI_OK;
    expr_id roots[BATCH_ROOTS] = {which == NLP_BATCH_C ? p->c : p->f, -1};
    if (which == NLP_BATCH_FG) {
        TRY(nlp_derive_gradient(p));
        roots[1] = p->gradient;
    }
    *out = p->batch[which] = batch_new(p->g, which == NLP_BATCH_FG ? 2 : 1, roots, 1u << EXPR_IN_X,
                                      which != NLP_BATCH_F);
    return *out != NULL ? PERI_OK : FAIL_NOMEM(p->ctx);
}

/* *finite: all of the results are, of batches that are watched; NULL: of f alone, which is read anyway. */
static peri_status run(nlp *p, int which, int64_t points, const double *x, double *const *outs, int64_t *count, double *seconds, bool *finite)
{
    batch *b;
    const double started = clock_seconds();
    TRY(batch_of(p, which, &b));
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = p->model->g->param_value.at};
    const peri_status status = batch_run(b, points, inputs, outs);
    if (finite != NULL)
        *finite = batch_is_finite(b);
    *count += points;
    *seconds += clock_seconds() - started;
    return status;
}

static void mark(int64_t n, double *v)
{
    for (int64_t k = 0; k < n; k++)
        if (!isfinite(v[k]))
            v[k] = NAN;
}

peri_status nlp_f_batch(nlp *p, int64_t points, const double *x, double *f)
{
    TRY(run(p, NLP_BATCH_F, points, x, &f, &p->count.objective, &p->seconds.objective, NULL));
    mark(points, f);
    return PERI_OK;
}

peri_status nlp_fg_batch(nlp *p, int64_t points, const double *x, double *f, double *g)
{
    double *const outs[2] = {f, g};
    bool finite;
    TRY(run(p, NLP_BATCH_FG, points, x, outs, &p->count.gradient, &p->seconds.gradient, &finite));
    p->count.objective += points;
    for (int64_t k = 0; k < points && !finite; k++)
        if (!isfinite(f[k]) || !nlp_is_finite(p->n, g + k * p->n))
            f[k] = NAN;
    return PERI_OK;
}

peri_status nlp_c_batch(nlp *p, int64_t points, const double *x, double *c)
{
    bool finite;
    if (p->m == 0)
        return PERI_OK;
    TRY(run(p, NLP_BATCH_C, points, x, &c, &p->count.constraints, &p->seconds.constraints, &finite));
    if (!finite)
        mark(points * p->m, c);
    return PERI_OK;
}
