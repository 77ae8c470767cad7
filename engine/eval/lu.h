/* SPDX-License-Identifier: Apache-2.0 */
/* lu.h - triangular factors of small matrices, row-major: Gaussian elimination with partial pivoting; pivots count from 1 as LAPACK's. */
#ifndef PERI_EVAL_LU_H
#define PERI_EVAL_LU_H

#include <stdint.h>

/* a [n x n] becomes its factors; where a pivot is zero, that entry of their diagonal is, and what follows need not be finite */
void eval_lu_factor(int64_t n, double *a, int32_t *pivots);
void eval_lu_solve(int64_t n, int64_t m, const double *lu, const int32_t *pivots, double *b);        /* A X = B, B [n x m] in place */
void eval_lu_solve_turned(int64_t n, int64_t m, const double *lu, const int32_t *pivots, double *b); /* A' X = B */

#endif
