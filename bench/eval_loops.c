/* SPDX-License-Identifier: Apache-2.0 */
/* eval_loops.c - the plain loops that eval_rosenbrock is measured against: compiled with -O3 -march=native, mathematics from the C library. */
#include "eval_loops.h"
#include <math.h>
#include <string.h>

/* f = sum 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 */
double loop_rosenbrock(size_t n, const double *restrict x, double *restrict g)
{
    double f = 0.0;
    memset(g, 0, n * sizeof *g);
    for (size_t i = 0; i + 1 < n; i++) {
        const double a = x[i + 1] - x[i] * x[i], b = 1.0 - x[i];
        f += 100.0 * a * a + b * b;
        g[i] += -400.0 * a * x[i] - 2.0 * b;
        g[i + 1] += 200.0 * a;
    }
    return f;
}

/* f = sum exp(-x[i]^2) sin(x[i+1]) + cos(x[i] x[i+1]) */
double loop_waves(size_t n, const double *restrict x, double *restrict g)
{
    double f = 0.0;
    memset(g, 0, n * sizeof *g);
    for (size_t i = 0; i + 1 < n; i++) {
        const double a = x[i], b = x[i + 1], e = exp(-a * a), s = sin(b), c = cos(b), p = sin(a * b);
        f += e * s + cos(a * b);
        g[i] += -2.0 * a * e * s - b * p;
        g[i + 1] += e * c - a * p;
    }
    return f;
}
