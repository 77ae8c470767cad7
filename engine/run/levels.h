/* SPDX-License-Identifier: Apache-2.0 */
/* levels.h - inside engine/run only: the levels of a run's problem as the host table offers them. */
#ifndef PERI_RUN_LEVELS_H
#define PERI_RUN_LEVELS_H

#include "run/inner.h"

/* What a run has made for one level. */
typedef struct run_level {
    peri_inner *view;  /* over the variables of all levels; NULL: not asked for */
    peri_inner *solve; /* over the level's own and those inside it; NULL: not asked for */
    expr_id held;      /* in `solve`: the others, a parameter with the entries of all; PERI_NO_EXPR: there are none */
    double *x, *y, *z; /* [n, m, n of `solve`] a request's */
    int64_t n, m;      /* of `solve` */
} run_level;

/* As plugin.h has them. */
peri_status levels_get(peri_run *run, int64_t *count, const peri_level **levels);
peri_status levels_view(peri_run *run, int64_t level, peri_run **out);
peri_status levels_solve(peri_run *run, int64_t level, const double *x, const peri_inner_request *request, const peri_inner_result **result);

#endif
