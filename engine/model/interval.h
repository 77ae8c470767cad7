/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interval.h - ranges of values, rounded outwards, so that a sign read from one is a proof. An empty or unknown range is the whole line.
 */
#ifndef PERI_MODEL_INTERVAL_H
#define PERI_MODEL_INTERVAL_H

#include <math.h>

typedef struct {
    double lo, hi;
} interval;

static inline interval interval_all(void)
{
    return (interval){-INFINITY, INFINITY};
}

static inline interval interval_point(double v)
{
    return isnan(v) ? interval_all() : (interval){v, v};
}

/* One step outwards; an exact zero stays, because sums and products with a zero result are exact or handled by the caller. */
static inline double interval_down(double v)
{
    return v < 0 || v > 0 ? nextafter(v, -INFINITY) : v;
}

static inline double interval_up(double v)
{
    return v < 0 || v > 0 ? nextafter(v, INFINITY) : v;
}

static inline interval interval_join(interval a, interval b)
{
    return (interval){a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}

static inline interval interval_neg(interval a)
{
    return (interval){-a.hi, -a.lo};
}

interval interval_add(interval a, interval b);
interval interval_mul(interval a, interval b);
interval interval_scale(interval a, double count); /* the sum of `count` entries of a, exact count >= 0 */
interval interval_recip(interval a);
interval interval_square(interval a);
interval interval_unary(int op, interval a); /* of an elementwise operation with one argument */
interval interval_pow(interval a, double p);

#endif
