/* SPDX-License-Identifier: Apache-2.0 */
/* nan - a solver whose third iterate holds a NaN. */
#include "bad.h"

typedef struct {
    double *x;
    int64_t steps;
} state;

static peri_status nan_step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    peri_row row = peri_empty_row();
    s->steps++;
    s->x[0] = s->steps == 3 ? __builtin_nan("") : s->x[0] * 0.5;
    row.objective = 1.0;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static const peri_solver_ops ops = {.init = bad_init, .step = nan_step, .fini = bad_fini};
BAD_CHANGED("nan", {
    p->ops = &ops;
    p->size_state = (uint32_t)sizeof(state);
})
