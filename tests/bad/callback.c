/* SPDX-License-Identifier: Apache-2.0 */
/* callback - a solver without its step. */
#include "bad.h"

static const peri_solver_ops stepless = {.init = bad_init, .fini = bad_fini};
BAD_CHANGED("callback", p->ops = &stepless;)
