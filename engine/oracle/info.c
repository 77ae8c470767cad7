/* SPDX-License-Identifier: Apache-2.0 */
/* info.c - what a model is, for hosts: sizes, sparsity and class. */
#include "oracle/nlp.h"

static peri_status count_nonzeros(nlp *p, peri_model_info *info)
{
    peri_pattern pattern;
    if (info->traits & PERI_BIT(PERI_TRAIT_GRADIENT)) {
        TRY(nlp_jac_pattern(p, &pattern));
        info->nonzeros_jacobian = pattern.nnz;
    }
    if (info->traits & PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN)) {
        TRY(nlp_hess_pattern(p, &pattern));
        info->nonzeros_hessian = pattern.nnz;
    }
    return PERI_OK;
}

peri_status peri_model_get_info(peri_model *m, peri_model_info *info)
{
    nlp *p;
    *info = (peri_model_info){.nonzeros_jacobian = -1, .nonzeros_hessian = -1};
    TRY(nlp_of(m, &p));
    info->variables = p->n;
    info->constraints = p->m;
    info->parameters = m->g->n_param;
    info->integers = p->class_.integers;
    info->fixed = p->class_.fixed;
    info->equalities = p->class_.equalities;
    info->linear_rows = p->class_.linear_rows;
    info->class_name = p->class_.class_name;
    TRY(nlp_traits(p, UINT64_MAX, &info->traits));
    return count_nonzeros(p, info);
}
