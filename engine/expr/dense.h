/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dense.h - functions of a square matrix, row-major, with workspace of their own (for folding and the interpreter). Results are NaN where
 * the function is undefined. The compiled counterparts in eval/ use OpenBLAS with planned workspace.
 */
#ifndef PERI_EXPR_DENSE_H
#define PERI_EXPR_DENSE_H

#include "base/context.h"

peri_status dense_logdet(peri_context *ctx, int64_t n, const double *a, double *out);  /* det <= 0: NaN */
peri_status dense_inverse(peri_context *ctx, int64_t n, const double *a, double *out); /* singular: NaN */
peri_status dense_solve(peri_context *ctx, int64_t n, int64_t m, const double *a, const double *b, double *out); /* singular: NaN; b [n x m] */
peri_status dense_expm(peri_context *ctx, int64_t n, const double *a, double *out);

#endif
