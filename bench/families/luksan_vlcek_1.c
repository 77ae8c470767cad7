/* SPDX-License-Identifier: Apache-2.0 */
/*
 * luksan_vlcek_1 - f = sum 100 (x_i^2 - x_{i+1})^2 + (x_i - 1)^2; with u, a, b = x_k, x_{k+1}, x_{k+2}
 *     c_k = 3 a^3 + 2 b - 5 + sin(a - b) sin(a + b) + 4 a - u exp(u - a) - 3.
 * The mixed derivative of the product of sines vanishes; mathematics from the C library.
 */
#include "chain.h"

static bool open(const family_data *data, family *p)
{
    return chain_open(data, p, true);
}

static inline real term(const real *x, int64_t i)
{
    const real a = x[i] * x[i] - x[i + 1], b = x[i] - 1.0;
    return 100.0 * a * a + b * b;
}

static real value(const family *p, const real *restrict x)
{
    const int64_t n = p->n;
    real part[LANES] = {0.0};
    int64_t i = 0;
    for (; i + LANES < n; i += LANES)
        for (int k = 0; k < LANES; k++)
            part[k] += term(x, i + k);
    for (; i + 1 < n; i++)
        part[0] += term(x, i);
    return chain_total(part);
}

/* g_i and term i, for 0 < i < n - 1 */
static inline real inner(const real *x, int64_t i, real *g)
{
    const real before = x[i - 1] * x[i - 1] - x[i], a = x[i] * x[i] - x[i + 1], b = x[i] - 1.0;
    *g = 400.0 * a * x[i] + 2.0 * b - 200.0 * before;
    return 100.0 * a * a + b * b;
}

static real gradient(const family *p, const real *restrict x, real *restrict g)
{
    const int64_t n = p->n;
    real part[LANES] = {0.0};
    int64_t i = 1;
    part[0] = term(x, 0);
    g[0] = 400.0 * (x[0] * x[0] - x[1]) * x[0] + 2.0 * (x[0] - 1.0);
    for (; i + LANES < n; i += LANES)
        for (int k = 0; k < LANES; k++)
            part[k] += inner(x, i + k, &g[i + k]);
    for (; i + 1 < n; i++)
        part[0] += inner(x, i, &g[i]);
    g[n - 1] = -200.0 * (x[n - 2] * x[n - 2] - x[n - 1]);
    return chain_total(part);
}

static void constraints(const family *p, const real *restrict x, real *restrict c)
{
    for (int64_t k = 0; k < p->m; k++) {
        const real u = x[k], a = x[k + 1], b = x[k + 2];
        c[k] = a * (3.0 * a * a + 4.0) + 2.0 * b - 8.0 + sin(a - b) * sin(a + b) - u * exp(u - a);
    }
}

static void jacobian(const family *p, const real *restrict x, real *restrict val)
{
    for (int64_t k = 0; k < p->m; k++) {
        const real u = x[k], a = x[k + 1], b = x[k + 2], e = exp(u - a);
        const real s = sin(a - b), cs = cos(a - b), t = sin(a + b), ct = cos(a + b);
        val[chain_first(k)] = -(1.0 + u) * e;
        val[chain_second(k)] = 9.0 * a * a + 4.0 + cs * t + s * ct + u * e;
        val[chain_third(k, p->n)] = 2.0 - cs * t + s * ct;
    }
}

static void hessian(const family *p, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    const int64_t n = p->n;
    double second = 0.0, third = 0.0, ahead = 0.0; /* what rows before add to the diagonal at j, at j, at j + 1 */
    for (int64_t j = 0; j < n; j++) {
        double diagonal = second + third;
        third = ahead;
        second = ahead = 0.0;
        double below = 0.0;
        if (j < n - 2) {
            const double u = x[j], a = x[j + 1], b = x[j + 2], e = w[j] * exp(u - a);
            const double ss = w[j] * sin(a - b) * sin(a + b), cc = w[j] * cos(a - b) * cos(a + b);
            diagonal -= (2.0 + u) * e;
            below = (1.0 + u) * e;
            second = 18.0 * w[j] * a + 2.0 * (cc - ss) - u * e;
            ahead = -2.0 * (cc + ss);
        }
        if (j < n - 1) {
            diagonal += sigma * (1200.0 * x[j] * x[j] - 400.0 * x[j + 1] + 2.0);
            val[2 * j + 1] = below - 400.0 * sigma * x[j];
        }
        val[2 * j] = diagonal + (j > 0 ? 200.0 * sigma : 0.0);
    }
}

static void jv(const family *p, const double *restrict x, const double *restrict v, double *restrict out)
{
    for (int64_t k = 0; k < p->m; k++) {
        const double u = x[k], a = x[k + 1], b = x[k + 2], e = exp(u - a);
        const double s = sin(a - b), cs = cos(a - b), t = sin(a + b), ct = cos(a + b);
        out[k] = -(1.0 + u) * e * v[k] + (9.0 * a * a + 4.0 + cs * t + s * ct + u * e) * v[k + 1] + (2.0 - cs * t + s * ct) * v[k + 2];
    }
}

static void vj(const family *p, const double *restrict x, const double *restrict w, double *restrict out)
{
    double second = 0.0, third = 0.0;
    for (int64_t k = 0; k < p->m; k++) {
        const double u = x[k], a = x[k + 1], b = x[k + 2], e = exp(u - a);
        const double s = sin(a - b), cs = cos(a - b), t = sin(a + b), ct = cos(a + b);
        out[k] = second - w[k] * (1.0 + u) * e;
        second = third + w[k] * (9.0 * a * a + 4.0 + cs * t + s * ct + u * e);
        third = w[k] * (2.0 - cs * t + s * ct);
    }
    out[p->n - 2] = second;
    out[p->n - 1] = third;
}

const family_functions family_exported = {.open = open,
                                          .close = chain_close,
                                          .value = value,
                                          .gradient = gradient,
                                          .constraints = constraints,
                                          .jacobian = jacobian,
                                          .hessian = hessian,
                                          .jv = jv,
                                          .vj = vj};
