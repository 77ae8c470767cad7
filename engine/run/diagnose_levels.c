/* SPDX-License-Identifier: Apache-2.0 */
/* diagnose_levels.c - what is wrong with lower levels, one note each, from what the certificate found out about them. */
#include "base/num.h"
#include "run/diagnose.h"
#include <math.h>

static void tell(diagnose_work *w, const peri_lower_result *r)
{
    char a[NUM_SIZE], b[NUM_SIZE];
    if (r->state == PERI_LOWER_INFEASIBLE)
        diagnose_note(w, "lower model \"%s\" has no feasible point where the variables around it are", r->name);
    else if (r->state == PERI_LOWER_UNBOUNDED)
        diagnose_note(w, "lower model \"%s\" is unbounded where the variables around it are", r->name);
    else if (r->state != PERI_LOWER_SOLVED)
        diagnose_note(w, "lower model \"%s\": none of %lld independent solves came to an end, so that nothing is known of its optimum", r->name,
                      (long long)r->solves);
    else if (r->gap > outcome_lower_threshold(w->trail->tolerance))
        diagnose_note(w, "lower model \"%s\" is not optimal at the point: its objective is %s, and %s was found with the variables around it held",
                      r->name, num_print_digits(r->objective, 6, a), num_print_digits(r->best, 6, b));
    else if (isfinite(r->residual) && r->residual > outcome_threshold(w->trail->tolerance))
        diagnose_note(w, "lower model \"%s\": its own conditions of optimality have the residual %s at the point", r->name,
                      num_print_digits(r->residual, 3, a));
}

void diagnose_levels(diagnose_work *w)
{
    const solution_levels *l = &w->s->levels;
    for (int32_t k = 0; k < l->n; k++)
        tell(w, &l->at[k]);
    if (l->n > 0 && l->answered && !l->stationarity)
        diagnose_note(w, "%s", l->why);
}
