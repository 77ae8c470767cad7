/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.c - a solved model at other points than the solution: for pictures of the landscape. It goes by the model's view, so what is
 * compiled is compiled already.
 */
#include "oracle/nlp.h"
#include "run/run.h"
#include <math.h>

static double larger(double a, double b)
{
    return isnan(a) || isnan(b) ? NAN : a > b ? a : b;
}

static double violation_of(int64_t n, const double *v, const double *lower, const double *upper, double most)
{
    for (int64_t k = 0; k < n; k++)
        most = larger(most, larger(lower[k] - v[k], v[k] - upper[k]));
    return most;
}

/* Undefined is an answer, anything else that fails an error. */
static peri_status at_point(nlp *p, const double *x, double *rows, double *objective, double *violation)
{
    peri_status status = nlp_f(p, x, objective);
    if (status == PERI_E_DOMAIN)
        *objective = NAN;
    else
        TRY(status);
    *violation = violation_of(p->n, x, p->xl, p->xu, -INFINITY);
    if (p->m == 0)
        return PERI_OK;
    status = nlp_c(p, x, rows);
    if (status == PERI_E_DOMAIN)
        *violation = NAN;
    else
        TRY(status);
    if (status == PERI_OK)
        *violation = violation_of(p->m, rows, p->cl, p->cu, *violation);
    return PERI_OK;
}

peri_status peri_solution_sample(peri_solution *s, int64_t n, const double *points, double *objective, double *violation)
{
    nlp *p = NULL;
    TRY(nlp_of(s->model, &p));
    if (p->n != s->n)
        return FAIL(s->ctx, PERI_E_STATE, "sample: model \"%s\" has got variables since it was solved", s->model->name);
    double *rows = mem_array(&s->ctx->mem, (size_t)(p->m > 0 ? p->m : 1), sizeof *rows);
    peri_status status = rows != NULL ? PERI_OK : FAIL_NOMEM(s->ctx);
    for (int64_t k = 0; k < n && status == PERI_OK; k++) {
        status = at_point(p, points + k * p->n, rows, &objective[k], &violation[k]);
        if (s->model->maximize)
            objective[k] = -objective[k];
    }
    mem_array_free(&s->ctx->mem, rows);
    return status;
}
