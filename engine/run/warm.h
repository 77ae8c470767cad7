/* SPDX-License-Identifier: Apache-2.0 */
/* warm.h - inside engine/run only: a portable start, values by the names of variables and constraints. */
#ifndef PERI_RUN_WARM_H
#define PERI_RUN_WARM_H

#include "run/internal.h"

/*
 * warm_apply - the run's start from `ws`, or where that is NULL from a solution of another model: by names; the rest begins as the model says.
 * What did not fit is told in the log.
 *   out  x [n], y [m], z [n]; *has_duals: some constraint or bound has a multiplier in it
 *   err  PERI_E_ARGUMENT: no variable fits; PERI_E_NOMEM
 */
peri_status warm_apply(peri_run *run, const peri_warm_start *ws, peri_solution *from, double *x, double *y, double *z, bool *has_duals);

#endif
