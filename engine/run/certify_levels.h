/* SPDX-License-Identifier: Apache-2.0 */
/* certify_levels.h - inside engine/run only: what the two parts of the certificate of problems with lower levels share. */
#ifndef PERI_RUN_CERTIFY_LEVELS_H
#define PERI_RUN_CERTIFY_LEVELS_H

#include "run/levels.h"

/* A lower level at the point. */
typedef struct {
    nlp *view;       /* its objective and rows over all variables */
    double *y, *z;   /* [m, n of the level] multipliers of its own problem, of the minimization */
    double residual, complementarity; /* of its conditions of optimality with them; INFINITY: there are none */
} certify_lower;

typedef struct {
    peri_run *run;
    const double *x; /* [n] */
    const nlp_levels *all;
    certify_lower *low; /* [levels]; number 0 unused */
    double tolerance; /* the user's */
    arena memory;
} certify_work;

/* Stationarity of the whole: multipliers y, z in the sense of the minimization, and what is left. */
typedef struct {
    double *y, *z; /* [m], [n] out */
    double dual, complementarity;
    char why[200]; /* not "": it was not computed, and why */
} certify_stationarity;

/* PERI_E_NOMEM and errors of the host's functions; what cannot be computed is told in `why` */
peri_status certify_stationary(certify_work *w, certify_stationarity *out);

#endif
