/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dense.c - damped least squares by QR (LAPACK). J = Q R is factorised once at each point; each mu then costs the QR of the triangle R with
 * sqrt(mu) D below it, 2n rows (More 1978). Invariant: after take, r holds R above the diagonal and qtr the first n entries of Q'(-r).
 */
#include "squares.h"

#include "../linear/blas.h"
#include <lapack.h>

struct squares_dense {
    peri_pattern pattern;
    lapack_int m, n, rows;         /* rows: max(m, n), J padded with zero rows */
    double *jac, *tau, *work;      /* [rows * n] column-major; [n]; [work_size] */
    double *qtr, *r, *stack, *rhs; /* [rows]; [n * n]; [2n * n]; [2n] */
    unsigned char *fixed;          /* [n] */
    lapack_int work_size;
};

enum { PANEL = 32 };

peri_status squares_dense_open(peri_run *run, const peri_pattern *pattern, squares_dense **out)
{
    squares_dense *d = peri_alloc_bytes(run, 1, sizeof *d);
    if (d == NULL)
        return PERI_E_NOMEM;
    const int64_t n = pattern->cols, rows = pattern->rows > n ? pattern->rows : n;
    if (rows > INT32_MAX / 2)
        return peri_fail(run, PERI_E_UNSUPPORTED, "too many residuals for a dense QR, set linear = \"normal\" or \"sparse_qr\"");
    *d = (squares_dense){.pattern = *pattern, .m = (lapack_int)pattern->rows, .n = (lapack_int)n, .rows = (lapack_int)rows};
    d->work_size = (lapack_int)(PANEL * (n + 1));
    if (n > 0 && rows > INT64_MAX / n / 2)
        return PERI_E_NOMEM;
    TRY(peri_alloc(run, rows * n, &d->jac));
    TRY(peri_alloc(run, n, &d->tau));
    TRY(peri_alloc(run, d->work_size, &d->work));
    TRY(peri_alloc(run, rows, &d->qtr));
    TRY(peri_alloc(run, n * n, &d->r));
    TRY(peri_alloc(run, 2 * n * n, &d->stack));
    TRY(peri_alloc(run, 2 * n, &d->rhs));
    d->fixed = peri_alloc_bytes(run, (size_t)n, 1);
    if (d->fixed == NULL)
        return PERI_E_NOMEM;
    *out = d;
    return PERI_OK;
}

static void spread(squares_dense *d, const double *jac, const double *r)
{
    const peri_pattern *p = &d->pattern;
    memset(d->jac, 0, (size_t)d->rows * (size_t)d->n * sizeof *d->jac);
    for (int64_t j = 0; j < p->cols; j++)
        for (int64_t k = p->start[j]; k < p->start[j + 1] && !d->fixed[j]; k++)
            d->jac[j * d->rows + p->index[k]] = jac[k];
    memset(d->qtr, 0, (size_t)d->rows * sizeof *d->qtr);
    for (int64_t k = 0; k < d->m; k++)
        d->qtr[k] = -r[k];
}

/* a [rows x n] := its QR, b [rows] := Q'b */
static bool factorise(const squares_dense *d, lapack_int rows, double *a, double *b)
{
    const int threads = blas_enter();
    const lapack_int one = 1;
    lapack_int info = 0;
    LAPACK_dgeqrf(&rows, &d->n, a, &rows, d->tau, d->work, &d->work_size, &info);
    if (info == 0)
        LAPACK_dormqr("L", "T", &rows, &one, &d->n, a, &rows, d->tau, b, &rows, d->work, &d->work_size, &info);
    blas_leave(threads);
    return info == 0;
}

peri_status squares_dense_take(squares_dense *d, peri_run *run, const double *jac, const double *r, const unsigned char *fixed)
{
    const size_t n = (size_t)d->n;
    memcpy(d->fixed, fixed, n);
    spread(d, jac, r);
    if (n > 0 && !factorise(d, d->rows, d->jac, d->qtr))
        return peri_fail(run, PERI_E_NUMERIC, "the QR factorisation of the Jacobian failed");
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < n; i++)
            d->r[j * n + i] = i <= j ? d->jac[j * (size_t)d->rows + i] : 0;
    return PERI_OK;
}

peri_status squares_dense_solve(squares_dense *d, peri_run *run, double mu, const double *scale, double *s)
{
    const size_t n = (size_t)d->n;
    const double root = sqrt(mu);
    memset(d->stack, 0, 2 * n * n * sizeof *d->stack);
    for (size_t j = 0; j < n; j++) {
        memcpy(d->stack + 2 * n * j, d->r + n * j, (j + 1) * sizeof *d->r);
        d->stack[2 * n * j + n + j] = d->fixed[j] || scale[j] == 0 ? 1 : root * scale[j];
    }
    memcpy(d->rhs, d->qtr, n * sizeof *d->rhs);
    memset(d->rhs + n, 0, n * sizeof *d->rhs);
    if (n > 0 && !factorise(d, 2 * d->n, d->stack, d->rhs))
        return peri_fail(run, PERI_E_NUMERIC, "the QR factorisation of the damped Jacobian failed");
    for (size_t j = n; j-- > 0;) {
        double sum = d->rhs[j];
        for (size_t k = j + 1; k < n; k++)
            sum -= d->stack[2 * n * k + j] * s[k];
        const double pivot = d->stack[2 * n * j + j];
        s[j] = d->fixed[j] || pivot == 0 ? 0 : sum / pivot;
    }
    return PERI_OK;
}
