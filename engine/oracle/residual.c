/* SPDX-License-Identifier: Apache-2.0 */
/*
 * residual.c - the view of a least-squares problem: residuals and their sparse Jacobian beside the objective. Invariant: as for every other
 * evaluation of the view, values are finite or the status is PERI_E_DOMAIN.
 */
#include "oracle/nlp.h"

peri_status nlp_r(nlp *p, const double *x, double *r)
{
    const nlp_point at = {.x = x};
    int64_t count;
    TRY(nlp_find_residuals(p, &count));
    TRY(nlp_run(p, NLP_R, &at, &r, &p->count.objective, &p->seconds.objective));
    return nlp_guard(p, NLP_R, count, r);
}

peri_status nlp_r_jac_pattern(nlp *p, peri_pattern *pattern)
{
    TRY(nlp_compile(p, NLP_RJ));
    const diff_sparse *s = &p->residual_jac;
    *pattern = (peri_pattern){s->rows, s->cols, s->nnz, s->start, s->index};
    return PERI_OK;
}

peri_status nlp_r_jac(nlp *p, const double *x, double *val)
{
    const nlp_point at = {.x = x};
    TRY(nlp_compile(p, NLP_RJ));
    if (p->residual_jac.nnz == 0)
        return PERI_OK;
    TRY(nlp_run(p, NLP_RJ, &at, &val, &p->count.jacobian, &p->seconds.jacobian));
    return nlp_guard(p, NLP_RJ, p->residual_jac.nnz, val);
}
