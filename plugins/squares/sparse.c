/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse.c - damped least squares with a sparse Jacobian, in a linear solver of the engine: by the normal equations (J'J + mu D^2) s = -J'r, or
 * by a QR of J with sqrt(mu) D below it. Invariant: gram and values are J'J (lower triangle) or that taller matrix at the last point, columns
 * and rows of fixed variables zero, without the damping.
 */
#include "squares.h"

struct squares_sparse {
    peri_pattern jac;                                   /* m x n, columns */
    int64_t *row_start, *row_col, *row_at;              /* the same by rows: column and place in the values */
    peri_pattern gram;                                  /* n x n, lower, its diagonal first in each column; or (m + n) x n, D's entry last */
    double *values, *damped, *column;                   /* [nnz of gram], the same, [n] or [m + n] */
    bool qr;
    const unsigned char *fixed; /* borrowed from the last take, as r */
    const double *r;
    peri_factor *factor;
};

static peri_status transpose(squares_sparse *s, peri_run *run)
{
    const peri_pattern *p = &s->jac;
    int64_t *next;
    TRY(peri_alloc_index(run, p->rows + 1, &s->row_start));
    TRY(peri_alloc_index(run, p->rows + 1, &next));
    TRY(peri_alloc_index(run, p->nnz, &s->row_col));
    TRY(peri_alloc_index(run, p->nnz, &s->row_at));
    for (int64_t k = 0; k < p->nnz; k++)
        s->row_start[p->index[k] + 1]++;
    for (int64_t i = 0; i < p->rows; i++)
        next[i + 1] = s->row_start[i + 1] += s->row_start[i];
    for (int64_t j = 0; j < p->cols; j++)
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
            const int64_t to = next[p->index[k]]++;
            s->row_col[to] = j;
            s->row_at[to] = k;
        }
    return PERI_OK;
}

/* Rows of column j of the Gram matrix from the diagonal on, those not yet stamped with j; index NULL: only counted. */
static int64_t gram_column(const squares_sparse *s, int64_t j, int64_t *stamp, int64_t *index)
{
    int64_t count = 0;
    stamp[j] = j + 1;
    if (index != NULL)
        index[count] = j;
    count++;
    for (int64_t k = s->jac.start[j]; k < s->jac.start[j + 1]; k++) {
        const int64_t row = s->jac.index[k];
        for (int64_t q = s->row_start[row]; q < s->row_start[row + 1]; q++) {
            const int64_t i = s->row_col[q];
            if (i < j || stamp[i] == j + 1)
                continue;
            stamp[i] = j + 1;
            if (index != NULL)
                index[count] = i;
            count++;
        }
    }
    return count;
}

static int ascending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static peri_status gram_pattern(squares_sparse *s, peri_run *run)
{
    const int64_t n = s->jac.cols;
    int64_t *start, *index, *stamp;
    TRY(peri_alloc_index(run, n + 1, &start));
    TRY(peri_alloc_index(run, n, &stamp));
    for (int64_t j = 0; j < n; j++)
        start[j + 1] = start[j] + gram_column(s, j, stamp, NULL);
    TRY(peri_alloc_index(run, start[n], &index));
    memset(stamp, 0, (size_t)n * sizeof *stamp);
    for (int64_t j = 0; j < n; j++) {
        const int64_t count = gram_column(s, j, stamp, index + start[j]);
        qsort(index + start[j], (size_t)count, sizeof *index, ascending);
    }
    s->gram = (peri_pattern){n, n, start[n], start, index};
    return PERI_OK;
}

/* J with a diagonal below it. */
static peri_status tall_pattern(squares_sparse *s, peri_run *run)
{
    const peri_pattern *p = &s->jac;
    int64_t *start, *index;
    TRY(peri_alloc_index(run, p->cols + 1, &start));
    TRY(peri_alloc_index(run, p->nnz + p->cols, &index));
    for (int64_t j = 0; j < p->cols; j++) {
        const int64_t count = p->start[j + 1] - p->start[j];
        start[j] = p->start[j] + j;
        memcpy(index + start[j], p->index + p->start[j], (size_t)count * sizeof *index);
        index[start[j] + count] = p->rows + j;
    }
    start[p->cols] = p->nnz + p->cols;
    s->gram = (peri_pattern){p->rows + p->cols, p->cols, p->nnz + p->cols, start, index};
    return PERI_OK;
}

peri_status squares_sparse_open(peri_run *run, const peri_pattern *pattern, bool qr, squares_sparse **out)
{
    squares_sparse *s = peri_alloc_bytes(run, 1, sizeof *s);
    if (s == NULL)
        return PERI_E_NOMEM;
    s->jac = *pattern;
    s->qr = qr;
    if (!qr)
        TRY(transpose(s, run));
    TRY(qr ? tall_pattern(s, run) : gram_pattern(s, run));
    TRY(peri_alloc(run, s->gram.nnz, &s->values));
    TRY(peri_alloc(run, s->gram.nnz, &s->damped));
    TRY(peri_alloc(run, s->gram.rows, &s->column));
    *out = s;
    return peri_factor_open(run, qr ? "spqr" : NULL, &s->gram, qr ? PERI_FLAG_LEAST_SQUARES : PERI_FLAG_DEFINITE, &s->factor);
}

static void take_tall(squares_sparse *s, const double *jac)
{
    for (int64_t j = 0; j < s->jac.cols; j++)
        for (int64_t k = s->jac.start[j]; k < s->jac.start[j + 1]; k++)
            s->values[k + j] = s->fixed[j] ? 0 : jac[k];
}

void squares_sparse_take(squares_sparse *s, const double *jac, const double *r, const unsigned char *fixed)
{
    s->fixed = fixed;
    s->r = r;
    if (s->qr) {
        take_tall(s, jac);
        return;
    }
    for (int64_t j = 0; j < s->jac.cols; j++) {
        for (int64_t k = s->jac.start[j]; k < s->jac.start[j + 1] && !fixed[j]; k++) {
            const int64_t row = s->jac.index[k];
            for (int64_t q = s->row_start[row]; q < s->row_start[row + 1]; q++)
                if (s->row_col[q] >= j && !fixed[s->row_col[q]])
                    s->column[s->row_col[q]] += jac[k] * jac[s->row_at[q]];
        }
        for (int64_t k = s->gram.start[j]; k < s->gram.start[j + 1]; k++) {
            s->values[k] = s->column[s->gram.index[k]];
            s->column[s->gram.index[k]] = 0;
        }
    }
}

static peri_status solve_tall(squares_sparse *s, double mu, const double *scale, double *step)
{
    const int64_t m = s->jac.rows, n = s->jac.cols;
    memcpy(s->damped, s->values, (size_t)s->gram.nnz * sizeof *s->damped);
    for (int64_t j = 0; j < n; j++)
        s->damped[s->gram.start[j + 1] - 1] = s->fixed[j] || scale[j] == 0 ? 1 : sqrt(mu) * scale[j];
    for (int64_t i = 0; i < m; i++)
        s->column[i] = -s->r[i];
    memset(s->column + m, 0, (size_t)n * sizeof *s->column);
    TRY(peri_factor_values(s->factor, s->damped, NULL));
    TRY(peri_factor_solve(s->factor, s->column));
    memcpy(step, s->column, (size_t)n * sizeof *step);
    return PERI_OK;
}

peri_status squares_sparse_solve(squares_sparse *s, double mu, const double *scale, const double *g, double *step)
{
    const int64_t n = s->jac.cols;
    if (s->qr)
        return solve_tall(s, mu, scale, step);
    memcpy(s->damped, s->values, (size_t)s->gram.nnz * sizeof *s->damped);
    for (int64_t j = 0; j < n; j++)
        s->damped[s->gram.start[j]] += s->fixed[j] || scale[j] == 0 ? 1 : mu * scale[j] * scale[j];
    for (int64_t j = 0; j < n; j++)
        step[j] = s->fixed[j] ? 0 : -g[j];
    TRY(peri_factor_values(s->factor, s->damped, NULL));
    return peri_factor_solve(s->factor, step);
}
