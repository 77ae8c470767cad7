/* SPDX-License-Identifier: Apache-2.0 */
/* certify_levels.h - inside engine/run only: what the two parts of the certificate of problems with lower levels share. */
#ifndef PERI_RUN_CERTIFY_LEVELS_H
#define PERI_RUN_CERTIFY_LEVELS_H

#include "run/levels.h"
#include <math.h>

/* A lower level at the point. */
typedef struct {
    nlp *view;       /* its objective and rows over all variables */
    double *y, *z;   /* [m, n of the level] multipliers of its own problem, of the minimization */
    double residual, complementarity; /* of its conditions of optimality with them; INFINITY: there are none */
    /* of a level with levels inside it (certify_held.c) */
    double *inside;  /* multipliers of their conditions */
    bool several;    /* there are other multipliers */
    char why[200];   /* why there are none, or "" */
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
/* The same where levels lie inside lower levels, or for a problem of many unknowns; violation: of that of level 0's rows in place of the objective. */
peri_status certify_held(certify_work *w, bool violation, certify_stationarity *out);
/* Multipliers and residual of a level with levels inside it, which must have theirs, into w->low; residual INFINITY: there are none. */
peri_status certify_held_level(certify_work *w, int32_t level);
/* Residuals are relative to the mean multiplier too, which must not hide that none exist: what to multiply them by. */
peri_status certify_factor(certify_work *w, nlp *p, const double *x, const double *y, const double *z, double *factor);

/* A multiplier of a lower level beyond this, relative to its largest, is one. */
static const double CERTIFY_STRONG = 1e-5;

/* Which side a value is on: 1 lower, -1 upper, 0 both, 2 none */
static inline int certify_side(double v, double lower, double upper)
{
    const double active = 1e-5;
    const bool on_lower = isfinite(lower) && fabs(v - lower) <= active * (1 + fabs(lower));
    const bool on_upper = isfinite(upper) && fabs(v - upper) <= active * (1 + fabs(upper));
    return on_lower && on_upper ? 0 : on_lower ? 1 : on_upper ? -1 : 2;
}

static inline double certify_largest(int64_t n, const double *v)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++)
        most = fmax(most, fabs(v[k]));
    return most;
}

static inline bool certify_has_inside(const certify_work *w, int32_t level)
{
    for (int32_t k = level + 1; k < w->all->of.n; k++)
        if (w->all->of.parent[k] == level)
            return true;
    return false;
}

#endif
