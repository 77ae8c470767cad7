/* SPDX-License-Identifier: Apache-2.0 */
/* lu.c - triangular factors of small matrices, by rows, and systems with them. Plain loops: up to some dozen rows they are as fast as a library. */
#include "eval/lu.h"
#include <math.h>

static void swap_rows(int64_t n, double *a, int64_t i, int64_t k)
{
    for (int64_t j = 0; j < n; j++) {
        const double t = a[i * n + j];
        a[i * n + j] = a[k * n + j];
        a[k * n + j] = t;
    }
}

void eval_lu_factor(int64_t n, double *a, int32_t *pivots)
{
    for (int64_t k = 0; k < n; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
                best = i;
        pivots[k] = (int32_t)best + 1;
        if (best != k)
            swap_rows(n, a, k, best);
        for (int64_t i = k + 1; i < n; i++) {
            const double factor = a[i * n + k] /= a[k * n + k];
            for (int64_t j = k + 1; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
        }
    }
}

/* row i of b -= factor * row k; b [n x m] */
static void subtract_row(int64_t m, double factor, double *b, int64_t i, int64_t k)
{
    for (int64_t j = 0; j < m; j++)
        b[i * m + j] -= factor * b[k * m + j];
}

static void divide_row(int64_t m, double divisor, double *b, int64_t i)
{
    for (int64_t j = 0; j < m; j++)
        b[i * m + j] /= divisor;
}

void eval_lu_solve(int64_t n, int64_t m, const double *lu, const int32_t *pivots, double *b)
{
    for (int64_t k = 0; k < n; k++)
        if (pivots[k] != k + 1)
            swap_rows(m, b, k, pivots[k] - 1);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++)
            subtract_row(m, lu[i * n + k], b, i, k);
    for (int64_t i = n - 1; i >= 0; i--) {
        for (int64_t k = i + 1; k < n; k++)
            subtract_row(m, lu[i * n + k], b, i, k);
        divide_row(m, lu[i * n + i], b, i);
    }
}

/* U' L' P x = b */
void eval_lu_solve_turned(int64_t n, int64_t m, const double *lu, const int32_t *pivots, double *b)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < i; k++)
            subtract_row(m, lu[k * n + i], b, i, k);
        divide_row(m, lu[i * n + i], b, i);
    }
    for (int64_t i = n - 1; i >= 0; i--)
        for (int64_t k = i + 1; k < n; k++)
            subtract_row(m, lu[k * n + i], b, i, k);
    for (int64_t k = n - 1; k >= 0; k--)
        if (pivots[k] != k + 1)
            swap_rows(m, b, k, pivots[k] - 1);
}
