/* SPDX-License-Identifier: Apache-2.0 */
/* liar - claims to have converged at the start point, wherever that is. */
#include "bad.h"

static peri_status lying_step(void *self, peri_run *run, peri_step *next)
{
    bad_state *s = self;
    peri_row row = peri_empty_row();
    row.objective = -1e30;
    row.primal = row.dual = row.complementarity = 0;
    TRY(peri_accept(run, s->x, NULL, NULL, &row, next));
    return peri_finish(run, PERI_WHY_CONVERGED, next);
}

static const peri_solver_ops ops = {.init = bad_init, .step = lying_step, .fini = bad_fini};
BAD_CHANGED("liar", {
    p->ops = &ops;
    p->flags = PERI_FLAG_GLOBAL;
})
