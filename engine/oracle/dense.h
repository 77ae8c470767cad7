/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dense.h - the view's Hessian where it cannot be derived as a sparse matrix: the dense lower triangle of the variables that enter nonlinearly, made
 * by products with unit vectors, several in one program.
 */
#ifndef PERI_ORACLE_DENSE_H
#define PERI_ORACLE_DENSE_H

#include "oracle/nlp.h"

/* Variables that enter nonlinearly, so many products at the most. */
enum { NLP_LARGEST_DENSE = 1000 };

struct nlp_dense {
    int64_t n, at_once, products; /* nonlinear variables; directions a run of the program; products a Hessian: n, rounded up to whole runs */
    int32_t *variable;            /* [n] ascending */
    double *v, *hv;               /* [at_once x n] directions, and the Hessian's rows times them */
    char why[160];                /* no sparse matrix */
};

/*
 * nlp_dense_make - p->dense and the pattern p->hess; `why` there is no sparse Hessian
 * err PERI_E_UNSUPPORTED  there are no products, or too many variables; the message has `why` in it
 */
peri_status nlp_dense_make(nlp *p, const char *why);
void nlp_dense_free(nlp *p);
/* The program's result: hv as one column. */
peri_status nlp_dense_products(nlp *p, expr_id *out);
/* nlp_dense_values - the pattern's values; counted as one Hessian. Finite or PERI_E_DOMAIN; PERI_E_CANCELLED where a stop is asked for meanwhile */
peri_status nlp_dense_values(nlp *p, const nlp_point *at, double *val);

#endif
