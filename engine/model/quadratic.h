/* SPDX-License-Identifier: Apache-2.0 */
/* quadratic.h - inside engine/model only: convexity of quadratic functions from their constant Hessian. */
#ifndef PERI_MODEL_QUADRATIC_H
#define PERI_MODEL_QUADRATIC_H

#include "model/model.h"

/*
 * quadratic_is_convex - whether sign * (entry k of e) is proven convex; e is of degree two in the variables
 *   out  convex  false also where the Hessian is too large to look at
 *   err  PERI_E_NOMEM
 */
peri_status quadratic_is_convex(peri_model *m, expr_id e, int64_t k, double sign, bool *convex);
/* What the model keeps of earlier questions is freed. */
void quadratic_forget(peri_model *m);

#endif
