/* SPDX-License-Identifier: Apache-2.0 */
/* draw.h - inside engine/run only: samples of a level's sum, as plugin.h has them. */
#ifndef PERI_RUN_DRAW_H
#define PERI_RUN_DRAW_H

#include "run/internal.h"

int64_t draw_rows(const peri_run *view);
peri_status draw_sample(peri_run *view, uint64_t key, int64_t rows);

#endif
