/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logistic - f = sum over rows of log(1 + exp(z_i)) / N + 5e-4 w'w, z_i = -y_i a_i'w: sparse rows, each read once for its product and once, while it
 * is in the cache, for the gradient. The Hessian, sum of s (1 - s) / N a_i a_i', is dense.
 */
#include "family.h"

#ifdef FAMILY_COMPLEX
#define LOG1P(e) log(1.0 + (e))
#else
#define LOG1P(e) log1p(e)
#endif

typedef struct {
    int64_t rows;
    int32_t *start, *col; /* [rows + 1], [nnz] */
    double *val;          /* [nnz], times -y of the row */
} rows_of;

static void shut(family *p)
{
    rows_of *a = p->own;
    if (a != NULL) {
        free(a->start);
        free(a->col);
        free(a->val);
    }
    free(a);
    free((void *)p->hess_start);
    free((void *)p->hess_index);
}

static bool dense_pattern(family *p)
{
    const int64_t n = p->n;
    int64_t *start = malloc((size_t)(n + 1) * sizeof *start), *index = malloc((size_t)(n * (n + 1) / 2) * sizeof *index);
    int64_t nnz = 0;
    p->hess_start = start;
    p->hess_index = index;
    if (start == NULL || index == NULL)
        return false;
    for (int64_t j = 0; j < n; j++) {
        start[j] = nnz;
        for (int64_t i = j; i < n; i++)
            index[nnz++] = i;
    }
    start[n] = nnz;
    return true;
}

/* Entries come row by row, columns ascending. */
static bool fill(rows_of *a, int64_t nnz, const double *i, const double *j, const double *v, const double *y)
{
    a->start = calloc((size_t)a->rows + 1, sizeof *a->start);
    a->col = malloc((size_t)nnz * sizeof *a->col);
    a->val = malloc((size_t)nnz * sizeof *a->val);
    if (a->start == NULL || a->col == NULL || a->val == NULL)
        return false;
    for (int64_t k = 0; k < nnz; k++) {
        const int64_t row = (int64_t)i[k] - 1;
        a->start[row + 1]++;
        a->col[k] = (int32_t)j[k] - 1;
        a->val[k] = -y[row] * v[k];
    }
    for (int64_t row = 0; row < a->rows; row++)
        a->start[row + 1] += a->start[row];
    return true;
}

static bool open(const family_data *data, family *p)
{
    if (data->count != 6)
        return false;
    rows_of *a = calloc(1, sizeof *a);
    *p = (family){.n = (int64_t)data->at[1][0], .own = a};
    if (a != NULL)
        a->rows = (int64_t)data->at[0][0];
    if (a != NULL && fill(a, data->length[2], data->at[2], data->at[3], data->at[4], data->at[5]) && dense_pattern(p))
        return true;
    shut(p);
    return false;
}

static inline real product(const rows_of *a, int64_t row, const real *w)
{
    real z = 0.0;
    for (int32_t k = a->start[row]; k < a->start[row + 1]; k++)
        z += a->val[k] * w[a->col[k]];
    return z;
}

/* log(1 + exp(z)), and its derivative */
static inline real softplus(real z, real *slope)
{
    const bool positive = REAL_PART(z) > 0.0;
    const real e = exp(positive ? -z : z);
    *slope = (positive ? 1.0 : e) / (1.0 + e);
    return (positive ? z : 0.0) + LOG1P(e);
}

static real value(const family *p, const real *restrict w)
{
    const rows_of *a = p->own;
    real f = 0.0, norm = 0.0, slope;
    for (int64_t row = 0; row < a->rows; row++)
        f += softplus(product(a, row, w), &slope);
    for (int64_t j = 0; j < p->n; j++)
        norm += w[j] * w[j];
    return f / (double)a->rows + 5e-4 * norm;
}

static real gradient(const family *p, const real *restrict w, real *restrict g)
{
    const rows_of *a = p->own;
    const double scale = 1.0 / (double)a->rows;
    real f = 0.0, norm = 0.0, slope;
    for (int64_t j = 0; j < p->n; j++) {
        norm += w[j] * w[j];
        g[j] = 1e-3 * w[j];
    }
    for (int64_t row = 0; row < a->rows; row++) {
        f += softplus(product(a, row, w), &slope);
        slope *= scale;
        for (int32_t k = a->start[row]; k < a->start[row + 1]; k++)
            g[a->col[k]] += slope * a->val[k];
    }
    return f * scale + 5e-4 * norm;
}

static void hessian(const family *p, const double *restrict w, double sigma, const double *v, double *restrict val)
{
    (void)v;
    const rows_of *a = p->own;
    const double scale = sigma / (double)a->rows;
    for (int64_t k = 0; k < p->hess_start[p->n]; k++)
        val[k] = 0.0;
    for (int64_t j = 0; j < p->n; j++)
        val[p->hess_start[j]] = 1e-3 * sigma;
    for (int64_t row = 0; row < a->rows; row++) {
        double z = 0.0;
        for (int32_t k = a->start[row]; k < a->start[row + 1]; k++)
            z += a->val[k] * w[a->col[k]];
        const double s = 1.0 / (1.0 + exp(-z));
        for (int32_t k = a->start[row]; k < a->start[row + 1]; k++) {
            const double t = s * (1.0 - s) * scale * a->val[k];
            double *const column = val + p->hess_start[a->col[k]] - a->col[k];
            for (int32_t l = k; l < a->start[row + 1]; l++)
                column[a->col[l]] += t * a->val[l];
        }
    }
}

static void hv(const family *p, const double *restrict w, double sigma, const double *u, const double *restrict v, double *restrict out)
{
    (void)u;
    const rows_of *a = p->own;
    const double scale = sigma / (double)a->rows;
    for (int64_t j = 0; j < p->n; j++)
        out[j] = 1e-3 * sigma * v[j];
    for (int64_t row = 0; row < a->rows; row++) {
        double z = 0.0, d = 0.0;
        for (int32_t k = a->start[row]; k < a->start[row + 1]; k++) {
            z += a->val[k] * w[a->col[k]];
            d += a->val[k] * v[a->col[k]];
        }
        const double s = 1.0 / (1.0 + exp(-z)), t = s * (1.0 - s) * scale * d;
        for (int32_t k = a->start[row]; k < a->start[row + 1]; k++)
            out[a->col[k]] += t * a->val[k];
    }
}

const family_functions family_exported = {
    .open = open, .close = shut, .value = value, .gradient = gradient, .hessian = hessian, .hv = hv};
