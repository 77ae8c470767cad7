/* SPDX-License-Identifier: Apache-2.0 */
/*
 * two_level.h - what the methods for two levels share: the level below with its variables and rows among the run's, estimates of the
 * curvature, sums over vectors, and the last step, in which the lower level is solved where the method has come to.
 */
#ifndef PERI_PLUGIN_TWO_LEVEL_H
#define PERI_PLUGIN_TWO_LEVEL_H

#define PERI_PLUGIN_PARTS
#include <math.h>
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    int64_t n;            /* variables of the run */
    int64_t n_own, m_own; /* variables and rows of the lower level */
    const int64_t *own;   /* [n_own] places among the run's variables, ascending */
    unsigned char *is_own; /* [n] */
    peri_run *lower;       /* evaluates it, over all n variables */
    const double *xl, *xu; /* [n] */
    const double *cl, *cu; /* [m_own] */
    double *spare, *rows;  /* [n], [m of the run] */
    double start;          /* length of the lower variables at the start */
} two_level;

peri_status two_level_open(two_level *t, peri_run *run);

double two_level_dot(int64_t n, const double *a, const double *b);
double two_level_norm(int64_t n, const double *v);

typedef enum { TWO_LEVEL_ALL, TWO_LEVEL_OWN } two_level_part;
/*
 * two_level_curvature - about the largest eigenvalue of the objective's Hessian at x, of all variables or of the lower level's own, by differences of
 * gradients; of `view`, the run or the lower level's
 *   in  work  [4 n]
 */
peri_status two_level_curvature(const two_level *t, peri_run *view, two_level_part part, const double *x, double *work, double *out);

/*
 * two_level_polish - the lower level solved at x from its part of w: where the point is within `radius` of that (relative) and the run's rows hold
 * there (to 1e-8, or as well as before), w takes it. Nothing happens where the lower level cannot be solved.
 *   out  moved  whether it did
 */
peri_status two_level_polish(const two_level *t, peri_run *run, double radius, double *w, bool *moved);

/* The lower variables in v have grown out of all proportion: a lower level that is unbounded, or steps too long for it. Says so. */
bool two_level_ran_away(const two_level *t, peri_run *run, const double *v);

/* v clipped to the bounds of all variables */
void two_level_clip(const two_level *t, double *v);

#endif
