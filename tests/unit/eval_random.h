/* SPDX-License-Identifier: Apache-2.0 */
/* eval_random.h - a graph of one variable whose nodes tests make with random numbers, and its outputs, one a slot. */
#ifndef PERI_TESTS_EVAL_RANDOM_H
#define PERI_TESTS_EVAL_RANDOM_H

#include "eval/program.h"

enum { MOST_OUTPUTS = 6 };

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    uint64_t seed;
    int64_t n, size; /* instances; of x */
    expr_id x;
    int n_outputs;
    eval_output output[MOST_OUTPUTS];
    int64_t length[MOST_OUTPUTS];
} fixture;

void fixture_init(fixture *f, const char *simd, uint64_t seed, int64_t n, int64_t size, int32_t threads); /* simd NULL: the best */
void fixture_release(fixture *f);
int64_t below(fixture *f, int64_t n); /* 0 .. n - 1 */
void add_output(fixture *f, expr_id e);

#endif
