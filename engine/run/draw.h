/* SPDX-License-Identifier: Apache-2.0 */
/* draw.h - inside engine/run only: samples of a level's sum, as plugin.h has them. */
#ifndef PERI_RUN_DRAW_H
#define PERI_RUN_DRAW_H

#include "run/internal.h"

int64_t draw_rows(const peri_run *view);
peri_status draw_sample(peri_run *view, uint64_t key, int64_t rows);
peri_status draw_choose(peri_run *view, int64_t rows, const int64_t *index);
peri_status draw_terms(peri_run *view, const double *x, double *f, double *g);
/* A sample is at hand whose value and gradient draw_fg evaluates. */
bool draw_is_active(const peri_run *view);
peri_status draw_fg(peri_run *view, const double *x, double *f, double *g);
/* What draw_fg does not do reads the sample's weights: they are put in place. */
void draw_settle(peri_run *view);

#endif
