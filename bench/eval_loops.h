/* SPDX-License-Identifier: Apache-2.0 */
/* eval_loops.h - the functions of eval_rosenbrock as one would write them in C. Each returns the value and fills the gradient [n]. */
#ifndef PERI_BENCH_EVAL_LOOPS_H
#define PERI_BENCH_EVAL_LOOPS_H

#include <stddef.h>

double loop_rosenbrock(size_t n, const double *restrict x, double *restrict g);
double loop_waves(size_t n, const double *restrict x, double *restrict g);

#endif
