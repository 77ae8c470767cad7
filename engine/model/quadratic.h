/* SPDX-License-Identifier: Apache-2.0 */
/* quadratic.h - inside engine/model only: convexity of quadratic functions from their constant Hessian. */
#ifndef PERI_MODEL_QUADRATIC_H
#define PERI_MODEL_QUADRATIC_H

#include "model/model.h"

/* A function in some of the variables, the others held; level NUMBER tells one such choice from others. */
typedef struct {
    int32_t number;            /* -1: all of them */
    const unsigned char *held; /* [entries of the class X]; NULL: none is */
} quadratic_part;
/*
 * quadratic_is_convex - whether sign * (entry k of e) is proven convex; e is of degree two in the variables that are not held
 *   out  convex  false also where the Hessian is too large to look at, or depends on the values of those that are held
 *   err  PERI_E_NOMEM
 */
peri_status quadratic_is_convex(peri_model *m, expr_id e, int64_t k, double sign, const quadratic_part *part, bool *convex);
/* What the model keeps of earlier questions is freed. */
void quadratic_forget(peri_model *m);

#endif
