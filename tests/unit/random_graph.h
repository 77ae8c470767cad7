/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random_graph.h - random expressions over every operation and every broadcast shape, each with a value computed here, by loops that share nothing
 * with the engine. Arguments are chosen so that functions are defined and values stay moderate.
 */
#ifndef TESTS_UNIT_RANDOM_GRAPH_H
#define TESTS_UNIT_RANDOM_GRAPH_H

#include "base/rng.h"
#include "expr/graph.h"
#include "model/model.h"

enum { RANDOM_POOL = 400, RANDOM_SIZE = 64 };

typedef struct {
    expr_id e;
    int rows, cols;
    bool smooth;                /* no operation with a kink in it */
    double value[RANDOM_SIZE];  /* [rows * cols] */
} random_item;

typedef struct {
    peri_context *ctx;
    peri_model *m;
    uint64_t seed, counter;
    int n, n_vars;              /* items; the first n_vars are the variables */
    int made[PERI_OP_COUNT];    /* how often each operation was asked for */
    random_item item[RANDOM_POOL];
} random_graph;

double random_number(random_graph *r, double lo, double hi);
int random_below(random_graph *r, int n);
/* Variables of all shapes at random points, then `steps` random operations. False: an engine call failed (see peri_error). */
bool random_graph_make(random_graph *r, peri_context *ctx, uint64_t seed, int steps);
void random_graph_free(random_graph *r);
/* A scalar that depends on the last items: the sum of their entries, each squashed; its value in *value. */
bool random_graph_root(random_graph *r, bool smooth_only, expr_id *root, double *value);

#endif
