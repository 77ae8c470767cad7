/* SPDX-License-Identifier: Apache-2.0 */
/*
 * luksan_vlcek_2 - with pairs (p, q) = (x_{2i}, x_{2i+1}), i = 0 .. h - 1:
 *     f = sum_i K_i (p^2 - q)^2 + L_i (p - 1)^2  +  sum_{i < h - 1} 10 (q + q' - 2)^2 + (q - q')^2 / 10,
 * K_i = 100 [i < h - 1] + 90 [i > 0], L_i = [i < h - 1] + [i > 0]; and for k = 0 .. n - 8
 *     c_k = (2 + 5 x_{k+5}^2) x_{k+5} + 1 + sum over i = max(k - 5, 0) .. k + 1 of x_i (1 + x_i).
 * Column j of the Jacobian: 2 + 15 x_j^2 in row j - 5, 1 + 2 x_j in rows j - 1 .. j + 5. Hessian: (p, p), (p, q), (q, q), (q, q').
 */
#include "family.h"

enum { LANES = 8 };

static void shut(family *p)
{
    free((void *)p->jac_start);
    free((void *)p->jac_index);
    free((void *)p->hess_start);
    free((void *)p->hess_index);
}

static void column(int64_t j, int64_t m, int64_t *index, int64_t *nnz)
{
    if (j >= 5 && j - 5 < m)
        index[(*nnz)++] = j - 5;
    for (int64_t row = j > 0 ? j - 1 : 0; row <= j + 5 && row < m; row++)
        index[(*nnz)++] = row;
}

static bool patterns(family *p)
{
    const int64_t n = p->n;
    int64_t *jac_start = malloc((size_t)(n + 1) * sizeof(int64_t)), *jac_index = malloc((size_t)(8 * n) * sizeof(int64_t));
    int64_t *hess_start = malloc((size_t)(n + 1) * sizeof(int64_t)), *hess_index = malloc((size_t)(2 * n) * sizeof(int64_t));
    p->jac_start = jac_start;
    p->jac_index = jac_index;
    p->hess_start = hess_start;
    p->hess_index = hess_index;
    if (jac_start == NULL || jac_index == NULL || hess_start == NULL || hess_index == NULL)
        return false;
    int64_t nnz = 0;
    for (int64_t j = 0; j < n; j++) {
        jac_start[j] = nnz;
        column(j, p->m, jac_index, &nnz);
        hess_start[j] = 2 * j;
        hess_index[2 * j] = j;
        hess_index[2 * j + 1] = j % 2 == 0 ? j + 1 : j + 2;
    }
    jac_start[n] = nnz;
    hess_start[n] = 2 * n - 1;
    return true;
}

static bool open(const family_data *data, family *p)
{
    const int64_t n = data->count == 1 ? (int64_t)data->at[0][0] : 0;
    *p = (family){.n = n, .m = n - 7};
    if (n >= 20 && n % 2 == 0 && patterns(p))
        return true;
    shut(p);
    return false;
}

static inline real total(const real *part)
{
    real sum = 0.0;
    for (int k = 0; k < LANES; k++)
        sum += part[k];
    return sum;
}

static inline real pair(const real *x, double big, double small)
{
    const real u = x[0] * x[0] - x[1], v = x[0] - 1.0;
    return big * u * u + small * v * v;
}

static inline real coupling(const real *x)
{
    const real s = x[1] + x[3] - 2.0, d = x[1] - x[3];
    return 10.0 * s * s + 0.1 * d * d;
}

static real value(const family *p, const real *restrict x)
{
    const int64_t h = p->n / 2;
    real part[LANES] = {0.0};
    part[0] = pair(x, 100.0, 1.0) + coupling(x) + pair(x + 2 * h - 2, 90.0, 1.0);
    int64_t i = 1;
    for (; i + LANES < h; i += LANES)
        for (int k = 0; k < LANES; k++)
            part[k] += pair(x + 2 * (i + k), 190.0, 2.0) + coupling(x + 2 * (i + k));
    for (; i < h - 1; i++)
        part[0] += pair(x + 2 * i, 190.0, 2.0) + coupling(x + 2 * i);
    return total(part);
}

/* Of the pair i, in its first and second variable, without coupling. */
static inline real both(const real *x, real *g, double big, double small)
{
    const real u = x[0] * x[0] - x[1], v = x[0] - 1.0;
    g[0] = 4.0 * big * u * x[0] + 2.0 * small * v;
    g[1] = -2.0 * big * u;
    return big * u * u + small * v * v;
}

static inline real inner(const real *x, real *g)
{
    const real f = both(x, g, 190.0, 2.0) + coupling(x);
    g[1] += 40.4 * x[1] + 19.8 * (x[3] + x[-1]) - 80.0;
    return f;
}

static real gradient(const family *p, const real *restrict x, real *restrict g)
{
    const int64_t h = p->n / 2, n = p->n;
    real part[LANES] = {0.0};
    part[0] = both(x, g, 100.0, 1.0) + coupling(x) + both(x + n - 2, g + n - 2, 90.0, 1.0);
    g[1] += 20.2 * x[1] + 19.8 * x[3] - 40.0;
    g[n - 1] += 20.2 * x[n - 1] + 19.8 * x[n - 3] - 40.0;
    int64_t i = 1;
    for (; i + LANES < h; i += LANES)
        for (int k = 0; k < LANES; k++)
            part[k] += inner(x + 2 * (i + k), g + 2 * (i + k));
    for (; i < h - 1; i++)
        part[0] += inner(x + 2 * i, g + 2 * i);
    return total(part);
}

static inline real banded(const real *x, int64_t k, int64_t first)
{
    real sum = (2.0 + 5.0 * x[k + 5] * x[k + 5]) * x[k + 5] + 1.0;
    for (int64_t i = first; i <= k + 1; i++)
        sum += x[i] * (1.0 + x[i]);
    return sum;
}

static void constraints(const family *p, const real *restrict x, real *restrict c)
{
    for (int64_t k = 0; k < 5; k++)
        c[k] = banded(x, k, 0);
    for (int64_t k = 5; k < p->m; k++) {
        real sum = (2.0 + 5.0 * x[k + 5] * x[k + 5]) * x[k + 5] + 1.0;
        for (int d = -5; d <= 1; d++)
            sum += x[k + d] * (1.0 + x[k + d]);
        c[k] = sum;
    }
}

static void edge_column(const family *p, int64_t j, const real *x, real *val)
{
    for (int64_t k = p->jac_start[j]; k < p->jac_start[j + 1]; k++)
        val[k] = p->jac_index[k] == j - 5 ? 2.0 + 15.0 * x[j] * x[j] : 1.0 + 2.0 * x[j];
}

static void jacobian(const family *p, const real *restrict x, real *restrict val)
{
    const int64_t last = p->m - 6; /* columns 5 .. last have all eight entries */
    for (int64_t j = 0; j < 5; j++)
        edge_column(p, j, x, val);
    real *restrict at = val + p->jac_start[5];
    for (int64_t j = 5; j <= last; j++, at += 8) {
        const real slope = 1.0 + 2.0 * x[j];
        at[0] = 2.0 + 15.0 * x[j] * x[j];
        for (int k = 1; k < 8; k++)
            at[k] = slope;
    }
    for (int64_t j = last + 1; j < p->n; j++)
        edge_column(p, j, x, val);
}

/* What the constraints add to the diagonal at j, near the ends. */
static double edge_diagonal(const family *p, int64_t j, const double *x, const double *w)
{
    double sum = 0.0;
    for (int64_t k = p->jac_start[j]; k < p->jac_start[j + 1]; k++)
        sum += w[p->jac_index[k]] * (p->jac_index[k] == j - 5 ? 30.0 * x[j] : 2.0);
    return sum;
}

static inline double diagonal(const double *x, int64_t j, const double *w)
{
    const double *v = w + j;
    return 30.0 * x[j] * v[-5] + 2.0 * (v[-1] + v[0] + v[1] + v[2] + v[3] + v[4] + v[5]);
}

static void hessian(const family *p, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    const int64_t n = p->n, last = p->m - 6;
    for (int64_t i = 0; i < n / 2; i++) {
        const double big = sigma * ((i < n / 2 - 1 ? 100.0 : 0.0) + (i > 0 ? 90.0 : 0.0)), ends = (i < n / 2 - 1) + (i > 0);
        val[4 * i] = big * (12.0 * x[2 * i] * x[2 * i] - 4.0 * x[2 * i + 1]) + 2.0 * sigma * ends;
        val[4 * i + 1] = -4.0 * big * x[2 * i];
        val[4 * i + 2] = 2.0 * big + 20.2 * sigma * ends;
        if (i < n / 2 - 1)
            val[4 * i + 3] = 19.8 * sigma;
    }
    for (int64_t j = 0; j < 6; j++)
        val[2 * j] += edge_diagonal(p, j, x, w);
    for (int64_t j = 6; j <= last; j++)
        val[2 * j] += diagonal(x, j, w);
    for (int64_t j = last + 1; j < n; j++)
        val[2 * j] += edge_diagonal(p, j, x, w);
}

const family_functions family_exported = {.open = open,
                                          .close = shut,
                                          .value = value,
                                          .gradient = gradient,
                                          .constraints = constraints,
                                          .jacobian = jacobian,
                                          .hessian = hessian};
