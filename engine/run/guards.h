/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guards.h - arrays for plugins with guard words before and behind them, and copies of the engine's arrays that a plugin may only read. Used in
 * debug builds and in isolated runs; looked at after each call of a plugin.
 */
#ifndef PERI_RUN_GUARDS_H
#define PERI_RUN_GUARDS_H

#include "run/internal.h"

/* A zeroed array of the run's memory; `what` is borrowed: how messages name it. NULL: out of memory */
void *guards_array(peri_run *run, size_t count, size_t size, const char *what);
/* A copy of n numbers that must stay as they are. */
double *guards_copy(peri_run *run, int64_t n, const double *original, const char *what);
/* False where something was written that must not be: then the run is to end, with a message that names it. Told once. */
bool guards_check(peri_run *run);

#endif
