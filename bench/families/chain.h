/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - patterns of problems on a chain of n variables: tridiagonal Hessians, and Jacobians whose row k has the columns k, k + 1, k + 2,
 * k = 0 .. n - 3. Values of the Hessian: 2 j for (j, j), 2 j + 1 for (j + 1, j).
 */
#ifndef PERI_BENCH_CHAIN_H
#define PERI_BENCH_CHAIN_H

#include "family.h"

enum { LANES = 16 }; /* parts of a sum, so that the compiler may use vectors */

static inline real chain_total(const real *part)
{
    real sum = 0.0;
    for (int k = 0; k < LANES; k++)
        sum += part[k];
    return sum;
}

/* Where the Jacobian has row k's entry of column k, k + 1, k + 2. */
static inline int64_t chain_first(int64_t k)
{
    return k > 0 ? 3 * k - 1 : 0;
}

static inline int64_t chain_second(int64_t k)
{
    return 3 * k + 1;
}

static inline int64_t chain_third(int64_t k, int64_t n)
{
    return k < n - 3 ? 3 * k + 3 : 3 * n - 7;
}

static inline bool chain_hessian(family *p)
{
    const int64_t n = p->n;
    int64_t *start = malloc((size_t)(n + 1) * sizeof *start), *index = malloc((size_t)(2 * n) * sizeof *index);
    p->hess_start = start;
    p->hess_index = index;
    if (start == NULL || index == NULL)
        return false;
    for (int64_t j = 0; j < n; j++) {
        start[j] = 2 * j;
        index[2 * j] = j;
        index[2 * j + 1] = j + 1;
    }
    start[n] = 2 * n - 1;
    return true;
}

static inline bool chain_jacobian(family *p)
{
    const int64_t n = p->n;
    int64_t *start = malloc((size_t)(n + 1) * sizeof *start), *index = malloc((size_t)(3 * n) * sizeof *index);
    int64_t nnz = 0;
    p->jac_start = start;
    p->jac_index = index;
    if (start == NULL || index == NULL)
        return false;
    for (int64_t j = 0; j < n; j++) {
        start[j] = nnz;
        for (int64_t row = j - 2; row <= j; row++)
            if (row >= 0 && row < n - 2)
                index[nnz++] = row;
    }
    start[n] = nnz;
    return true;
}

static inline void chain_close(family *p)
{
    free((void *)p->jac_start);
    free((void *)p->jac_index);
    free((void *)p->hess_start);
    free((void *)p->hess_index);
}

/* For problems whose data are n alone: n - 2 constraints, or none. */
static inline bool chain_open(const family_data *data, family *p, bool constrained)
{
    const int64_t n = data->count == 1 ? (int64_t)data->at[0][0] : 0;
    *p = (family){.n = n, .m = constrained ? n - 2 : 0};
    if (n >= 6 && chain_hessian(p) && (!constrained || chain_jacobian(p)))
        return true;
    chain_close(p);
    return false;
}

#endif
