/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rosenbrock - f = sum 100 a_i^2 + b_i^2 with a_i = x_{i+1} - x_i^2, b_i = 1 - x_i. Each gradient entry is written once, from both terms that
 * it is in; sums have LANES parts, so that the compiler may use vectors.
 */
#include "family.h"

enum { LANES = 16 };

static bool open(const family_data *data, family *p)
{
    const int64_t n = data->count == 1 ? (int64_t)data->at[0][0] : 0;
    int64_t *start = malloc((size_t)(n + 1) * sizeof *start), *index = malloc((size_t)(2 * n) * sizeof *index);
    if (n < 2 || start == NULL || index == NULL)
        return false;
    for (int64_t j = 0; j < n; j++) {
        start[j] = 2 * j;
        index[2 * j] = j;
        index[2 * j + 1] = j + 1;
    }
    start[n] = 2 * n - 1;
    *p = (family){.n = n, .hess_start = start, .hess_index = index};
    return true;
}

static void shut(family *p)
{
    free((void *)p->hess_start);
    free((void *)p->hess_index);
}

static inline real term(const real *x, int64_t i)
{
    const real a = x[i + 1] - x[i] * x[i], b = 1.0 - x[i];
    return 100.0 * a * a + b * b;
}

static real total(const real *part)
{
    real sum = 0.0;
    for (int k = 0; k < LANES; k++)
        sum += part[k];
    return sum;
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
    return total(part);
}

/* g_i and term i, for 0 < i < n - 1 */
static inline real inner(const real *x, int64_t i, real *g)
{
    const real before = x[i] - x[i - 1] * x[i - 1], a = x[i + 1] - x[i] * x[i], b = 1.0 - x[i];
    *g = 200.0 * before - 400.0 * a * x[i] - 2.0 * b;
    return 100.0 * a * a + b * b;
}

static real gradient(const family *p, const real *restrict x, real *restrict g)
{
    const int64_t n = p->n;
    real part[LANES] = {0.0};
    int64_t i = 1;
    part[0] = term(x, 0);
    g[0] = -400.0 * (x[1] - x[0] * x[0]) * x[0] - 2.0 * (1.0 - x[0]);
    for (; i + LANES < n; i += LANES)
        for (int k = 0; k < LANES; k++)
            part[k] += inner(x, i + k, &g[i + k]);
    for (; i + 1 < n; i++)
        part[0] += inner(x, i, &g[i]);
    g[n - 1] = 200.0 * (x[n - 1] - x[n - 2] * x[n - 2]);
    return total(part);
}

static void hessian(const family *p, const double *restrict x, double sigma, const double *w, double *restrict val)
{
    (void)w;
    const int64_t n = p->n;
    const double c1200 = 1200.0 * sigma, c400 = 400.0 * sigma, c202 = 202.0 * sigma;
    for (int64_t i = 0; i + 1 < n; i++) {
        val[2 * i] = c1200 * x[i] * x[i] - c400 * x[i + 1] + c202;
        val[2 * i + 1] = -c400 * x[i];
    }
    val[0] -= 200.0 * sigma;
    val[2 * n - 2] = 200.0 * sigma;
}

static void hv(const family *p, const double *restrict x, double sigma, const double *w, const double *restrict v, double *restrict out)
{
    (void)w;
    const int64_t n = p->n;
    const double c1200 = 1200.0 * sigma, c400 = 400.0 * sigma, c202 = 202.0 * sigma;
    for (int64_t i = 1; i + 1 < n; i++)
        out[i] = (c1200 * x[i] * x[i] - c400 * x[i + 1] + c202) * v[i] - c400 * (x[i] * v[i + 1] + x[i - 1] * v[i - 1]);
    out[0] = (c1200 * x[0] * x[0] - c400 * x[1] + 2.0 * sigma) * v[0] - c400 * x[0] * v[1];
    out[n - 1] = 200.0 * sigma * v[n - 1] - c400 * x[n - 2] * v[n - 2];
}

const family_functions family_exported = {
    .open = open, .close = shut, .value = value, .gradient = gradient, .hessian = hessian, .hv = hv};
