/* SPDX-License-Identifier: Apache-2.0 */
/* interval.c - ranges of the operations' values, for the proofs of convexity. Everything not known to be narrower is the whole line. */
#include "model/interval.h"
#include <float.h>
#include <perigee/perigee.h>

interval interval_add(interval a, interval b)
{
    const double lo = a.lo + b.lo, hi = a.hi + b.hi;
    return (interval){isnan(lo) ? -INFINITY : interval_down(lo), isnan(hi) ? INFINITY : interval_up(hi)};
}

/* A product of two factors, with 0 * infinity = 0 (a bound is approached, not met) and underflow kept on its side of 0. */
static double product(double a, double b)
{
    if (!(a < 0 || a > 0) || !(b < 0 || b > 0))
        return 0;
    const double p = a * b;
    if (p < 0 || p > 0)
        return p;
    return (a < 0) == (b < 0) ? DBL_MIN : -DBL_MIN;
}

interval interval_mul(interval a, interval b)
{
    const double p[4] = {product(a.lo, b.lo), product(a.lo, b.hi), product(a.hi, b.lo), product(a.hi, b.hi)};
    interval r = {p[0], p[0]};
    for (int k = 1; k < 4; k++)
        r = interval_join(r, (interval){p[k], p[k]});
    return (interval){interval_down(r.lo), interval_up(r.hi)};
}

interval interval_scale(interval a, double count)
{
    /* a sum of n equal signs loses up to n roundings: the product with n covers the exact sum of n real numbers in a */
    return interval_mul(a, interval_point(count));
}

interval interval_recip(interval a)
{
    if (a.lo > 0 || a.hi < 0)
        return (interval){interval_down(1 / a.hi), interval_up(1 / a.lo)};
    if (!(a.lo < 0))
        return (interval){a.hi < INFINITY ? interval_down(1 / a.hi) : 0, INFINITY};
    if (!(a.hi > 0))
        return (interval){-INFINITY, a.lo > -INFINITY ? interval_up(1 / a.lo) : 0};
    return interval_all();
}

interval interval_square(interval a)
{
    interval r = interval_mul(a, a);
    r.lo = a.lo > 0 ? interval_down(product(a.lo, a.lo)) : a.hi < 0 ? interval_down(product(a.hi, a.hi)) : 0;
    r.lo = r.lo > 0 ? r.lo : 0;
    return r;
}

/* A library function's value, a few units in the last place wide. */
static double below(double v)
{
    return isnan(v) ? -INFINITY : isinf(v) ? v : v - 8 * DBL_EPSILON * fabs(v) - DBL_MIN;
}

static double above(double v)
{
    return isnan(v) ? INFINITY : isinf(v) ? v : v + 8 * DBL_EPSILON * fabs(v) + DBL_MIN;
}

static interval increasing(double (*f)(double), interval a)
{
    return (interval){below(f(a.lo)), above(f(a.hi))};
}

static interval clip(interval a, double lo, double hi)
{
    return (interval){a.lo > lo ? a.lo : lo, a.hi < hi ? a.hi : hi};
}

static interval interval_abs(interval a)
{
    const double hi = fabs(a.lo) > fabs(a.hi) ? fabs(a.lo) : fabs(a.hi);
    return (interval){a.lo > 0 ? a.lo : a.hi < 0 ? -a.hi : 0, hi};
}

static interval interval_cosh(interval a)
{
    const interval b = interval_abs(a);
    return clip(increasing(cosh, b), 1, INFINITY);
}

interval interval_unary(int op, interval a)
{
    const double none = INFINITY;
    switch (op) {
    case PERI_OP_NEG: return interval_neg(a);
    case PERI_OP_ABS: return interval_abs(a);
    case PERI_OP_SIGN: return (interval){a.lo > 0 ? 1 : a.lo < 0 ? -1 : 0, a.hi < 0 ? -1 : a.hi > 0 ? 1 : 0};
    case PERI_OP_STEP: return (interval){a.lo > 0 ? 1 : 0, a.hi > 0 ? 1 : 0};
    case PERI_OP_SQUARE: return interval_square(a);
    case PERI_OP_RECIP: return interval_recip(a);
    case PERI_OP_SQRT: return clip(increasing(sqrt, clip(a, 0, none)), 0, none);
    case PERI_OP_EXP: return clip(increasing(exp, a), 0, none);
    case PERI_OP_EXPM1: return clip(increasing(expm1, a), -1, none);
    case PERI_OP_LOG: return increasing(log, clip(a, 0, none));
    case PERI_OP_LOG1P: return increasing(log1p, clip(a, -1, none));
    case PERI_OP_SIN:
    case PERI_OP_COS: return (interval){-1, 1};
    case PERI_OP_ASIN: return (interval){-1.6, 1.6};
    case PERI_OP_ACOS: return (interval){0, 3.2};
    case PERI_OP_ATAN: return increasing(atan, a);
    case PERI_OP_SINH: return increasing(sinh, a);
    case PERI_OP_COSH: return interval_cosh(a);
    case PERI_OP_TANH: return clip(increasing(tanh, a), -1, 1);
    case PERI_OP_SIGMOID: return (interval){0, 1};
    case PERI_OP_SOFTPLUS: return (interval){0, a.hi < INFINITY ? above((a.hi > 0 ? a.hi : 0) + 0.7) : INFINITY};
    case PERI_OP_RELU: return (interval){a.lo > 0 ? a.lo : 0, a.hi > 0 ? a.hi : 0};
    default: return interval_all();
    }
}

interval interval_pow(interval a, double p)
{
    if (!(a.lo < 0)) { /* monotone on the non-negative side */
        const double x = pow(a.lo, p), y = pow(a.hi, p);
        const interval r = p < 0 ? (interval){below(y), above(x)} : (interval){below(x), above(y)};
        return clip(r, 0, INFINITY);
    }
    if (fmod(p, 2) == 0 || fabs(p - floor(p)) > 0) /* even, or defined for a >= 0 only */
        return (interval){0, INFINITY};
    return interval_all();
}
