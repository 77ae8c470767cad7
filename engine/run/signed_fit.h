/* SPDX-License-Identifier: Apache-2.0 */
/* signed_fit.h - inside engine/run only: small dense least squares with signs. */
#ifndef PERI_RUN_SIGNED_FIT_H
#define PERI_RUN_SIGNED_FIT_H

#include "base/mem.h"
#include <stdint.h>

/* minimize |target - B q|_2, sign_j q_j >= 0 where sign_j is not 0 */
typedef struct {
    int64_t rows, cols;
    const double *b;      /* [rows * cols] column after column */
    const double *target; /* [rows] */
    const signed char *sign; /* [cols] */
    double *q, *residual; /* [cols], [rows] out */
} signed_fit;

/* signed_fit_solve - false: out of memory. Where columns depend on each other, one of the solutions. */
bool signed_fit_solve(mem *m, signed_fit *f);

#endif
