/* SPDX-License-Identifier: Apache-2.0 */
/*
 * luksan_vlcek_4 - with a, b, c, d = x_{2j} .. x_{2j+3}, j = 0 .. n/2 - 2
 *     f = sum (exp(a) - b)^4 + 100 (b - c)^6 + tan(c - d)^4 + a^8 + (d - 1)^2,
 * and with u, a, b = x_k, x_{k+1}, x_{k+2}:  c_k = 8 a (a^2 - u) - 2 (1 - a) + 4 (a - b^2). Mathematics from the C library.
 */
#include "chain.h"

static bool open(const family_data *data, family *p)
{
    return chain_open(data, p, true) && p->n % 2 == 0;
}

/* Sums go by blocks, so that rounding does not grow with n. */
enum { BLOCK = 1024 };

static real value(const family *p, const real *restrict x)
{
    real f = 0.0, whole = 0.0;
    for (int64_t i = 0; i < p->n - 2; i += 2) {
        if (i % BLOCK == 0) {
            whole += f;
            f = 0.0;
        }
        const real *q = x + i;
        const real r = exp(q[0]) - q[1], s = q[1] - q[2], t = tan(q[2] - q[3]), v = q[3] - 1.0;
        const real r2 = r * r, s2 = s * s, t2 = t * t, a2 = q[0] * q[0], a4 = a2 * a2;
        f += r2 * r2 + 100.0 * s2 * s2 * s2 + t2 * t2 + a4 * a4 + v * v;
    }
    return whole + f;
}

static real gradient(const family *p, const real *restrict x, real *restrict g)
{
    real f = 0.0, whole = 0.0, first = 0.0, second = 0.0; /* first, second: the previous term's derivatives in c and d */
    for (int64_t i = 0; i < p->n - 2; i += 2) {
        if (i % BLOCK == 0) {
            whole += f;
            f = 0.0;
        }
        const real *q = x + i, e = exp(q[0]), r = e - q[1], s = q[1] - q[2], t = tan(q[2] - q[3]), v = q[3] - 1.0;
        const real r2 = r * r, r3 = 4.0 * r2 * r, s2 = s * s, s5 = 600.0 * s2 * s2 * s, t2 = t * t, dt = 4.0 * t2 * t * (1.0 + t2);
        const real a2 = q[0] * q[0], a4 = a2 * a2;
        f += r2 * r2 + 100.0 * s2 * s2 * s2 + t2 * t2 + a4 * a4 + v * v;
        g[i] = first + r3 * e + 8.0 * a4 * a2 * q[0];
        g[i + 1] = second - r3 + s5;
        first = dt - s5;
        second = 2.0 * v - dt;
    }
    g[p->n - 2] = first;
    g[p->n - 1] = second;
    return whole + f;
}

static void constraints(const family *p, const real *restrict x, real *restrict c)
{
    for (int64_t k = 0; k < p->m; k++) {
        const real u = x[k], a = x[k + 1], b = x[k + 2];
        c[k] = 8.0 * a * (a * a - u) - 2.0 + 6.0 * a - 4.0 * b * b;
    }
}

static void jacobian(const family *p, const real *restrict x, real *restrict val)
{
    const int64_t n = p->n;
    val[0] = -8.0 * x[1];
    for (int64_t k = 1; k < p->m; k++)
        val[3 * k - 1] = -8.0 * x[k + 1];
    for (int64_t k = 0; k < p->m; k++)
        val[3 * k + 1] = 24.0 * x[k + 1] * x[k + 1] - 8.0 * x[k] + 6.0;
    for (int64_t k = 0; k < p->m - 1; k++)
        val[3 * k + 3] = -8.0 * x[k + 2];
    val[3 * n - 7] = -8.0 * x[n - 1];
}

static void objective_hessian(const family *p, const double *restrict x, double sigma, double *restrict val)
{
    double first = 0.0, second = 0.0, mixed = 0.0; /* the previous term's derivatives in (c, c), (d, d), (c, d) */
    for (int64_t i = 0; i < p->n - 2; i += 2) {
        const double *q = x + i, e = exp(q[0]), r = e - q[1], s = q[1] - q[2], t = tan(q[2] - q[3]);
        const double r2 = 12.0 * r * r, s2 = s * s, s4 = 3000.0 * s2 * s2, t2 = t * t, c2 = 1.0 + t2;
        const double dt = 12.0 * t2 * c2 * c2 + 8.0 * t2 * t2 * c2, a2 = q[0] * q[0];
        val[2 * i] = sigma * (first + r2 * e * e + 4.0 * r * r * r * e + 56.0 * a2 * a2 * a2);
        val[2 * i + 1] = sigma * (mixed - r2 * e);
        val[2 * i + 2] = sigma * (second + r2 + s4);
        val[2 * i + 3] = -sigma * s4;
        first = s4 + dt;
        second = dt + 2.0;
        mixed = -dt;
    }
    val[2 * p->n - 4] = sigma * first;
    val[2 * p->n - 3] = sigma * mixed;
    val[2 * p->n - 2] = sigma * second;
}

static void hessian(const family *p, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    objective_hessian(p, x, sigma, val);
    for (int64_t k = 0; k < p->m; k++) {
        val[2 * k + 1] -= 8.0 * w[k];
        val[2 * k + 2] += 48.0 * w[k] * x[k + 1];
    }
    for (int64_t k = 0; k < p->m; k++)
        val[2 * k + 4] -= 8.0 * w[k];
}

const family_functions family_exported = {.open = open,
                                          .close = chain_close,
                                          .value = value,
                                          .gradient = gradient,
                                          .constraints = constraints,
                                          .jacobian = jacobian,
                                          .hessian = hessian};
