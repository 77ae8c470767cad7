/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h - what the bound-constrained methods share: sums over long vectors at memory speed, the box, and the measure
 * of optimality that the engine's certificate uses. Sums are kept in several partial sums of fixed association, so they
 * do not depend on the processor.
 */
#ifndef PERI_PLUGIN_LOCAL_H
#define PERI_PLUGIN_LOCAL_H

#include <math.h>
#include <perigee/plugin.h>
#include <string.h>

/* Two doubles side by side, the width that every processor of the family has; memory need not be aligned for it. */
typedef double local_two __attribute__((vector_size(16)));
typedef double local_two_unaligned __attribute__((vector_size(16), aligned(8), may_alias));
#define LOCAL_LOAD(v, k) (*(const local_two_unaligned *)((v) + (k)))

PERI_MAYBE_UNUSED static double local_dot(int64_t n, const double *a, const double *b)
{
    local_two s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    int64_t k = 0;
    for (; k + 8 <= n; k += 8) {
        s0 += LOCAL_LOAD(a, k) * LOCAL_LOAD(b, k);
        s1 += LOCAL_LOAD(a, k + 2) * LOCAL_LOAD(b, k + 2);
        s2 += LOCAL_LOAD(a, k + 4) * LOCAL_LOAD(b, k + 4);
        s3 += LOCAL_LOAD(a, k + 6) * LOCAL_LOAD(b, k + 6);
    }
    s0 = (s0 + s1) + (s2 + s3);
    double sum = s0[0] + s0[1];
    for (; k < n; k++)
        sum += a[k] * b[k];
    return sum;
}

/* Largest magnitude; infinite when an entry is not a number. */
PERI_MAYBE_UNUSED static double local_largest(int64_t n, const double *v)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++) {
        const double size = fabs(v[k]);
        if (!(size <= most))
            most = size;
    }
    return most == most ? most : INFINITY;
}

typedef struct {
    int64_t n;
    const double *lower, *upper; /* [n] */
    bool bounded;                /* some bound is finite */
} local_box;

PERI_MAYBE_UNUSED static local_box local_box_of(const peri_run *run)
{
    local_box box = {.n = peri_n(run), .bounded = peri_has_trait(run, PERI_TRAIT_BOUNDS)};
    peri_bounds(run, &box.lower, &box.upper, NULL, NULL);
    return box;
}

PERI_INLINE double local_clamp(const local_box *box, int64_t i, double v)
{
    return v < box->lower[i] ? box->lower[i] : v > box->upper[i] ? box->upper[i] : v;
}

/* How far x_i may go against the gradient's entry g: 0 on a bound. */
PERI_INLINE double local_room(const local_box *box, int64_t i, double x, double g)
{
    return g > 0 ? x - box->lower[i] : g < 0 ? box->upper[i] - x : 0;
}

/*
 * The certificate's residual for x with the best multipliers of the bounds: the largest |g_i| min(1, room_i), over
 * max(1, |g|_inf). An entry counts as dual residual where it is far from the bound it pushes to, as complementarity
 * near it.
 */
PERI_MAYBE_UNUSED static double local_residual(const local_box *box, const double *x, const double *g)
{
    const double scale = fmax(1, local_largest(box->n, g));
    if (!box->bounded)
        return local_largest(box->n, g) / scale;
    double most = 0;
    for (int64_t i = 0; i < box->n; i++) {
        const double room = local_room(box, i, x[i], g[i]), size = fabs(g[i]) * (room < 1 ? room : 1);
        if (!(size <= most))
            most = size;
    }
    return most / scale;
}

/* Whether objective or residual still get better; NOISE: relative changes of the objective that may be rounding alone.
 */
#define LOCAL_NOISE 1e-13

typedef struct {
    double f, residual; /* the marks to be beaten */
    int64_t idle;       /* iterations since one was */
} local_progress;

/* ret false: 25 iterations without progress */
PERI_MAYBE_UNUSED static bool local_progresses(local_progress *p, double f, double residual)
{
    const bool lower = f < p->f - LOCAL_NOISE * fabs(p->f), flatter = residual < 0.9 * p->residual;
    if (lower)
        p->f = f;
    if (flatter)
        p->residual = residual;
    p->idle = lower || flatter ? 0 : p->idle + 1;
    return p->idle < 25;
}

#endif
