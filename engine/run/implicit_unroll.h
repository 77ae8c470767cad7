/* SPDX-License-Identifier: Apache-2.0 */
/* implicit_unroll.h - inside engine/run only: a lower model's solution as steps written out. */
#ifndef PERI_RUN_IMPLICIT_UNROLL_H
#define PERI_RUN_IMPLICIT_UNROLL_H

#include "run/internal.h"

/* out [n]: the lower model's variables after given->unroll steps; has_rows: it has constraints */
peri_status implicit_unroll(peri_model *low, const peri_implicit *given, int64_t n, const expr_id *vars, bool has_rows, peri_expr *out);

#endif
