/* SPDX-License-Identifier: Apache-2.0 */
/*
 * phase_one.h - can linear rows and bounds hold together? Answered with evidence: a point, or a combination of rows that contradicts the
 * bounds (Farkas). For explanations of small systems, not for solving: the basis' inverse is dense.
 */
#ifndef PERI_RUN_PHASE_ONE_H
#define PERI_RUN_PHASE_ONE_H

#include "base/context.h"

/* r = A x, A m x n by columns; lower <= (x, r) <= upper, [n + m] */
typedef struct {
    int64_t m, n;
    const int64_t *start, *index;
    const double *value;
    const double *lower, *upper;
} phase_one_system;

typedef enum { PHASE_ONE_FEASIBLE, PHASE_ONE_INFEASIBLE, PHASE_ONE_UNDECIDED } phase_one_answer;

/*
 * phase_one - as clock_seconds passes `deadline`, or numerical trouble makes the evidence fail its check, the answer is UNDECIDED
 *   out  proof  [n + m], for INFEASIBLE: sum_k proof_k v_k = 0 for all v = (x, A x), but < 0 within the bounds. proof_k > 0 uses the upper
 *               side of v_k, < 0 the lower one, 0 neither
 *   err  PERI_E_NOMEM
 */
peri_status phase_one(peri_context *ctx, const phase_one_system *system, double deadline, phase_one_answer *answer, double *proof);

#endif
