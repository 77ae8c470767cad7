/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proximal.h - what the methods of this folder share: sums over vectors, the residual that the engine's certificate uses for kinks, and when a
 * sequence of steps ends.
 */
#ifndef PERI_PLUGIN_PROXIMAL_H
#define PERI_PLUGIN_PROXIMAL_H

#include <float.h>
#include <math.h>
#include <perigee/plugin.h>
#include <string.h>

PERI_MAYBE_UNUSED static double prox_dot(int64_t n, const double *a, const double *b)
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int64_t k = 0;
    for (; k + 4 <= n; k += 4) {
        s0 += a[k] * b[k];
        s1 += a[k + 1] * b[k + 1];
        s2 += a[k + 2] * b[k + 2];
        s3 += a[k + 3] * b[k + 3];
    }
    for (; k < n; k++)
        s0 += a[k] * b[k];
    return (s0 + s1) + (s2 + s3);
}

PERI_MAYBE_UNUSED static double prox_largest(int64_t n, const double *v)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++)
        most = fmax(most, fabs(v[k]));
    return most;
}

/* |x - prox_t(x - t g)|_inf with t = 1 / max(1, |g|_inf); work [n] */
PERI_MAYBE_UNUSED static peri_status prox_residual(peri_run *run, int64_t n, const double *x, const double *g, double *work, double *out)
{
    const double scale = fmax(1, prox_largest(n, g));
    double h;
    for (int64_t i = 0; i < n; i++)
        work[i] = x[i] - g[i] / scale;
    TRY(peri_prox_apply(run, 1 / scale, work, work, &h));
    *out = 0;
    for (int64_t i = 0; i < n; i++)
        *out = fmax(*out, fabs(x[i] - work[i]));
    return PERI_OK;
}

typedef struct {
    double best;  /* the least value */
    int64_t idle; /* steps since it fell by more than rounding */
} prox_progress;

#define PROX_RUNAWAY (-1e100)

/* After a step to `value`: does the run end? It does where it has converged, where the value runs away, or after `most` idle steps. */
PERI_MAYBE_UNUSED static peri_status prox_end(prox_progress *p, peri_run *run, bool converged, double value, int64_t most, peri_step *next)
{
    if (converged)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    if (value < PROX_RUNAWAY)
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    p->idle = value < p->best - 1e-15 * fabs(p->best) ? 0 : p->idle + 1;
    p->best = fmin(p->best, value);
    return p->idle < most ? PERI_OK : peri_finish(run, PERI_WHY_STALLED, next);
}

#define PROX_NEEDS (PERI_NEEDS_GRADIENT | PERI_BIT(PERI_TRAIT_PROX))

#endif
