/* SPDX-License-Identifier: Apache-2.0 */
/*
 * factor.h - linear systems as a service of the run: the host table's slots of the same names (see plugin.h). Seconds
 * are added to run->times.linear_algebra; what is still open at the end of the run is closed by factor_close_all.
 */
#ifndef PERI_RUN_FACTOR_H
#define PERI_RUN_FACTOR_H

#include <perigee/perigee.h>
#include <perigee/plugin.h>

/*
 * factor_open - see peri_factor_open
 *   in   solver  NULL or "": the run's linear_solver option, and where that is "" too the engine's choice
 *   err  PERI_E_NAME (no such linear solver, with the nearest names), PERI_E_UNSUPPORTED (none is installed that has `needs`),
 *        PERI_E_ARGUMENT (pattern not a lower triangle with its diagonal), and what loading and analysing give
 */
peri_status factor_open(peri_run *run, const char *solver, const peri_pattern *pattern, uint64_t needs,
                        peri_factor **out);
peri_status factor_values(peri_factor *factor, const double *val, peri_inertia *inertia);
peri_status factor_solve(peri_factor *factor, double *b);
peri_status factor_strengthen(peri_factor *factor);
peri_status factor_solve_transposed(peri_factor *factor, double *b);
peri_status factor_open_operator(peri_run *run, const char *solver, const peri_operator *op, uint64_t needs, peri_factor **out);
int64_t factor_iterations(const peri_factor *factor);
const char *factor_name(const peri_factor *factor);
uint64_t factor_flags(const peri_factor *factor);
void factor_close(peri_factor *factor); /* unlinks it from run->factors */
void factor_close_all(peri_run *run);
/*
 * factor_check_setting - is `key` an option of a linear solver, such as "mumps.ordering"? Asks the index; loads nothing.
 *   err  PERI_E_OPTION: the linear solver has no such option
 */
peri_status factor_check_setting(peri_context *ctx, const char *key, bool *ours);

#endif
