/* SPDX-License-Identifier: Apache-2.0 */
/* points.h - points that fill the unit cube: Sobol's sequence, Latin hypercubes, uniform. All from the run's seed. */
#ifndef PERI_PLUGIN_POINTS_H
#define PERI_PLUGIN_POINTS_H

#define PERI_PLUGIN_PARTS
#include <perigee/plugin.h>

typedef enum { POINTS_SOBOL, POINTS_LATIN, POINTS_UNIFORM } points_kind;

/*
 * points_fill - count points in [0, 1)^n, the rows of u [count x n]. In init: takes memory.
 * Sobol's sequence has direction numbers for SOBOL_DIMENSIONS dimensions; those behind are filled as Latin hypercubes.
 */
peri_status points_fill(peri_run *run, points_kind kind, int64_t count, int64_t n, double *u);

#endif
