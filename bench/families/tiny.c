/* SPDX-License-Identifier: Apache-2.0 */
/* tiny - two functions of ten variables; data: 0, the chained Rosenbrock function, or 1, a sum of ten different terms. */
#include "family.h"

enum { N = 10 };

static bool open(const family_data *data, family *p)
{
    static const bool which[2] = {false, true};
    if (data->count != 1)
        return false;
    *p = (family){.n = N, .own = (void *)&which[data->at[0][0] != 0.0]};
    return true;
}

static void shut(family *p)
{
    (void)p;
}

static real rosenbrock(const real *restrict x, real *restrict g)
{
    real f = 0.0, carry = 0.0;
    for (int i = 0; i + 1 < N; i++) {
        const real a = x[i + 1] - x[i] * x[i], b = 1.0 - x[i];
        f += 100.0 * a * a + b * b;
        g[i] = carry - 400.0 * a * x[i] - 2.0 * b;
        carry = 200.0 * a;
    }
    g[N - 1] = carry;
    return f;
}

static real ten_terms(const real *restrict x, real *restrict g)
{
    const real e = exp(x[0] - x[1]), cp = cos(x[1] * x[2]), r = x[2] - x[3] * x[3], l = 1.0 + x[3] * x[3], q = sqrt(1.0 + x[5] * x[5]);
    const real c6 = cos(x[6]), v = x[7] - 1.0, h = exp(-x[8] * x[8]), d = 1.0 / (1.0 + x[8] * x[8]), z = x[9] * x[9] * d;
    g[0] = e;
    g[1] = x[2] * cp - e;
    g[2] = x[1] * cp + 2.0 * r;
    g[3] = -4.0 * r * x[3] + 2.0 * x[3] / l;
    g[4] = x[5] * x[6];
    g[5] = x[4] * x[6] + x[5] / q;
    g[6] = x[4] * x[5] - sin(x[6]) * x[7];
    g[7] = c6 + 4.0 * v * v * v;
    g[8] = -2.0 * x[8] * (h + z * d);
    g[9] = 2.0 * x[9] * d;
    return e + sin(x[1] * x[2]) + r * r + log(l) + x[4] * x[5] * x[6] + q + c6 * x[7] + v * v * v * v + h + z;
}

static real gradient(const family *p, const real *x, real *g)
{
    return *(const bool *)p->own ? ten_terms(x, g) : rosenbrock(x, g);
}

static real value(const family *p, const real *x)
{
    real g[N];
    return gradient(p, x, g);
}

const family_functions family_exported = {.open = open, .close = shut, .value = value, .gradient = gradient};
