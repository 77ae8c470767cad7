/* SPDX-License-Identifier: Apache-2.0 */
/* vector.h - numbers of short vectors, by plain loops in order. */
#ifndef PERI_BASE_VECTOR_H
#define PERI_BASE_VECTOR_H

#include <math.h>
#include <stdint.h>

static inline double vector_dot(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += a[k] * b[k];
    return sum;
}

/* The largest magnitude; NaN where an entry is. */
static inline double vector_norm_inf(int64_t n, const double *v)
{
    double top = 0;
    for (int64_t k = 0; k < n; k++)
        top = fabs(v[k]) > top || isnan(v[k]) ? fabs(v[k]) : top;
    return top;
}

/* The largest magnitude of the entries that are numbers. */
static inline double vector_largest(int64_t n, const double *v)
{
    double top = 0;
    for (int64_t k = 0; k < n; k++)
        top = fmax(top, fabs(v[k]));
    return top;
}

#endif
