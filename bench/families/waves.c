/* SPDX-License-Identifier: Apache-2.0 */
/* waves - f = sum e_i sin x_{i+1} + cos(x_i x_{i+1}), e_i = exp(-x_i^2); mathematics from the C library. */
#include "chain.h"

static bool open(const family_data *data, family *p)
{
    return chain_open(data, p, false);
}

static real value(const family *p, const real *restrict x)
{
    real f = 0.0;
    for (int64_t i = 0; i + 1 < p->n; i++)
        f += exp(-x[i] * x[i]) * sin(x[i + 1]) + cos(x[i] * x[i + 1]);
    return f;
}

static real gradient(const family *p, const real *restrict x, real *restrict g)
{
    real f = 0.0, carry = 0.0;
    for (int64_t i = 0; i + 1 < p->n; i++) {
        const real a = x[i], b = x[i + 1], e = exp(-a * a), s = sin(b), c = cos(b), sp = sin(a * b), cp = cos(a * b);
        f += e * s + cp;
        g[i] = carry - 2.0 * a * e * s - b * sp;
        carry = e * c - a * sp;
    }
    g[p->n - 1] = carry;
    return f;
}

static void hessian(const family *p, const double *restrict x, double sigma, const double *w, double *restrict val)
{
    (void)w;
    double carry = 0.0;
    for (int64_t i = 0; i + 1 < p->n; i++) {
        const double a = x[i], b = x[i + 1], e = exp(-a * a), s = sin(b), c = cos(b), sp = sin(a * b), cp = cos(a * b);
        val[2 * i] = sigma * (carry + (4.0 * a * a - 2.0) * e * s - b * b * cp);
        val[2 * i + 1] = sigma * (-2.0 * a * e * c - sp - a * b * cp);
        carry = -e * s - a * a * cp;
    }
    val[2 * p->n - 2] = sigma * carry;
}

const family_functions family_exported = {
    .open = open, .close = chain_close, .value = value, .gradient = gradient, .hessian = hessian};
