/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dense.c - log-determinant, inverse and exponential of a small dense matrix by plain loops: Gaussian elimination with partial pivoting; the
 * exponential by scaling, a Taylor sum and squaring. Independent of the kernels in eval/ so that each can check the other.
 */
#include "expr/dense.h"
#include <math.h>
#include <string.h>

static void swap_rows(int64_t n, double *a, int64_t i, int64_t j)
{
    for (int64_t k = 0; k < n; k++) {
        const double t = a[i * n + k];
        a[i * n + k] = a[j * n + k];
        a[j * n + k] = t;
    }
}

static int64_t pivot_row(int64_t n, const double *a, int64_t k)
{
    int64_t best = k;
    for (int64_t i = k + 1; i < n; i++)
        if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
            best = i;
    return best;
}

/* b [n x m], may be NULL */
static void eliminate(int64_t n, int64_t m, double *a, double *b, int64_t k, int64_t from)
{
    for (int64_t i = from; i < n; i++) {
        if (i == k)
            continue;
        const double factor = a[i * n + k] / a[k * n + k];
        for (int64_t j = 0; j < n; j++)
            a[i * n + j] -= factor * a[k * n + j];
        for (int64_t j = 0; j < m; j++)
            b[i * m + j] -= factor * b[k * m + j];
    }
}

peri_status dense_logdet(peri_context *ctx, int64_t n, const double *a, double *out)
{
    double *lu = mem_array(&ctx->mem, (size_t)(n * n), sizeof *lu);
    if (lu == NULL)
        return FAIL_NOMEM(ctx);
    memcpy(lu, a, (size_t)(n * n) * sizeof *lu);
    double sum = 0;
    int sign = 1;
    for (int64_t k = 0; k < n; k++) {
        const int64_t p = pivot_row(n, lu, k);
        if (p != k) {
            swap_rows(n, lu, k, p);
            sign = -sign;
        }
        if (lu[k * n + k] < 0)
            sign = -sign;
        sum += log(fabs(lu[k * n + k]));
        eliminate(n, 0, lu, NULL, k, k + 1);
    }
    mem_array_free(&ctx->mem, lu);
    *out = sign > 0 && isfinite(sum) ? sum : NAN;
    return PERI_OK;
}

peri_status dense_solve(peri_context *ctx, int64_t n, int64_t m, const double *a, const double *b, double *out)
{
    double *lu = mem_array(&ctx->mem, (size_t)(n * n), sizeof *lu);
    if (lu == NULL)
        return FAIL_NOMEM(ctx);
    memcpy(lu, a, (size_t)(n * n) * sizeof *lu);
    memcpy(out, b, (size_t)(n * m) * sizeof *out);
    bool singular = false;
    for (int64_t k = 0; k < n; k++) {
        const int64_t p = pivot_row(n, lu, k);
        swap_rows(n, lu, k, p);
        swap_rows(m, out, k, p);
        singular = singular || !(fabs(lu[k * n + k]) > 0);
        eliminate(n, m, lu, out, k, 0);
    }
    for (int64_t i = 0; i < n * m; i++)
        out[i] = singular ? NAN : out[i] / lu[i / m * n + i / m];
    mem_array_free(&ctx->mem, lu);
    return PERI_OK;
}

peri_status dense_inverse(peri_context *ctx, int64_t n, const double *a, double *out)
{
    double *identity = mem_array(&ctx->mem, (size_t)(n * n), sizeof *identity);
    if (identity == NULL)
        return FAIL_NOMEM(ctx);
    for (int64_t i = 0; i < n; i++)
        identity[i * n + i] = 1;
    const peri_status status = dense_solve(ctx, n, n, a, identity, out);
    mem_array_free(&ctx->mem, identity);
    return status;
}

static void multiply(int64_t n, const double *a, const double *b, double *c)
{
    memset(c, 0, (size_t)(n * n) * sizeof *c);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] += a[i * n + k] * b[k * n + j];
}

static double norm_inf(int64_t n, const double *a)
{
    double top = 0;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += fabs(a[i * n + j]);
        top = sum > top || isnan(sum) ? sum : top;
    }
    return top;
}

peri_status dense_expm(peri_context *ctx, int64_t n, const double *a, double *out)
{
    const size_t size = (size_t)(n * n);
    double *work = mem_array(&ctx->mem, 3 * size, sizeof *work);
    if (work == NULL)
        return FAIL_NOMEM(ctx);
    double *scaled = work, *term = work + size, *next = work + 2 * size;
    const double norm = norm_inf(n, a);
    int squarings = 0;
    if (norm > 0.25 && isfinite(norm))
        squarings = (int)ceil(log2(norm) + 2); /* norm / 0.25 may be too large for a number */
    for (size_t k = 0; k < size; k++)
        scaled[k] = ldexp(a[k], -squarings);
    for (size_t k = 0; k < size; k++)
        out[k] = term[k] = k % (size_t)(n + 1) == 0 ? 1 : 0;
    for (int j = 1; j <= 18; j++) { /* 0.25^18 / 18! is far below the rounding unit */
        multiply(n, term, scaled, next);
        for (size_t k = 0; k < size; k++) {
            term[k] = next[k] / j;
            out[k] += term[k];
        }
    }
    for (int j = 0; j < squarings; j++) {
        multiply(n, out, out, next);
        memcpy(out, next, size * sizeof *out);
    }
    mem_array_free(&ctx->mem, work);
    return PERI_OK;
}
