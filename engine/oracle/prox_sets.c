/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prox_sets.c - proximal operators and projections of single blocks. Sources: Parikh and Boyd 2014, Foundations and Trends in Optimization 1:127;
 * Duchi, Shalev-Shwartz, Singer and Chandra 2008 (simplex and l1 ball, by sorting); Cai, Candes and Shen 2010 (singular values).
 */
#include "eval/blas.h"
#include "oracle/prox.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void prox_soften_group(double w, int64_t n, double *x)
{
    double norm = 0;
    for (int64_t i = 0; i < n; i++)
        norm = hypot(norm, x[i]);
    const double factor = norm > w ? 1 - w / norm : 0;
    for (int64_t i = 0; i < n; i++)
        x[i] = factor > 0 ? factor * x[i] : 0;
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The theta with sum max(v_i - theta, 0) = sum; v sorted downwards. */
static double threshold(double sum, int64_t n, const double *v)
{
    double total = 0, theta = 0;
    for (int64_t k = 0; k < n; k++) {
        total += v[k];
        const double candidate = (total - sum) / (double)(k + 1);
        if (v[k] <= candidate)
            break;
        theta = candidate;
    }
    return theta;
}

void prox_to_simplex(double sum, int64_t n, double *x, double *work)
{
    memcpy(work, x, (size_t)n * sizeof *x);
    qsort(work, (size_t)n, sizeof *work, descending);
    const double theta = threshold(sum, n, work);
    for (int64_t i = 0; i < n; i++)
        x[i] = fmax(x[i] - theta, 0);
}

void prox_to_ball1(double radius, int64_t n, double *x, double *work)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += work[i] = fabs(x[i]);
    if (total <= radius)
        return;
    qsort(work, (size_t)n, sizeof *work, descending);
    const double theta = threshold(radius, n, work);
    for (int64_t i = 0; i < n; i++)
        x[i] = copysign(fmax(fabs(x[i]) - theta, 0), x[i]);
}

/* ---- matrices by their singular values ---------------------------------------------------------------------------------- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* dgesdd's workspace for jobz = 'S', generously, with the factors and the integers. */
int64_t prox_svd_work(int64_t rows, int64_t cols)
{
    const int64_t k = least(rows, cols), most = rows > cols ? rows : cols;
    return k * (rows + cols + 3) + 4 * k * k + 7 * k + most + 8 * k + 64;
}

typedef struct {
    int m, n, k; /* of the matrix by columns, which is x transposed: m = cols */
    double *s, *u, *vt, *work;
} svd;

/* x (by rows) = sum_i s_i v_i u_i'; x itself is destroyed. */
static peri_status decompose(peri_context *ctx, int64_t rows, int64_t cols, double *x, double *work, svd *d)
{
    eval_blas blas;
    int info = 0;
    if (!eval_blas_open(ctx, &blas))
        return FAIL(ctx, PERI_E_UNSUPPORTED, "singular values need the library OpenBLAS, which is not installed");
    d->m = (int)cols;
    d->n = (int)rows;
    d->k = (int)least(rows, cols);
    const size_t k = (size_t)d->k;
    d->s = work;
    d->u = d->s + k;
    d->vt = d->u + k * (size_t)d->m;
    int *const integers = (int *)(void *)(d->vt + k * (size_t)d->n); /* [8k], room for 8k doubles */
    d->work = d->vt + k * (size_t)d->n + 8 * k;
    const int size = (int)(4 * d->k * d->k + 7 * d->k + (d->m > d->n ? d->m : d->n));
    blas.gesdd("S", &d->m, &d->n, x, &d->m, d->s, d->u, &d->m, d->vt, &d->k, d->work, &size, integers, &info, 1);
    return info == 0 ? PERI_OK : FAIL(ctx, PERI_E_NUMERIC, "the singular values of a %lld x %lld matrix were not found", (long long)rows,
                                      (long long)cols);
}

static void compose(const svd *d, double *x)
{
    for (int j = 0; j < d->n; j++) /* column j of x', row j of x */
        for (int i = 0; i < d->m; i++) {
            double sum = 0;
            for (int l = 0; l < d->k && d->s[l] != 0; l++)
                sum += d->s[l] * d->u[(size_t)l * (size_t)d->m + (size_t)i] * d->vt[(size_t)j * (size_t)d->k + (size_t)l];
            x[(size_t)j * (size_t)d->m + (size_t)i] = sum;
        }
}

peri_status prox_nuclear(peri_context *ctx, double w, double radius, int64_t rows, int64_t cols, double *x, double *sum, double *work)
{
    svd d;
    TRY(decompose(ctx, rows, cols, x, work, &d));
    if (w < 0)
        prox_to_ball1(radius, d.k, d.s, d.work);
    *sum = 0;
    for (int l = 0; l < d.k; l++) {
        d.s[l] = w < 0 ? d.s[l] : fmax(d.s[l] - w, 0);
        *sum += d.s[l];
    }
    compose(&d, x);
    return PERI_OK;
}

peri_status prox_leading(peri_context *ctx, double radius, int64_t rows, int64_t cols, double *x, double *work)
{
    svd d;
    TRY(decompose(ctx, rows, cols, x, work, &d));
    for (int l = 0; l < d.k; l++)
        d.s[l] = l == 0 ? -radius : 0;
    compose(&d, x);
    return PERI_OK;
}
