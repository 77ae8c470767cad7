/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.h - expressions at many points at once. A node of s entries becomes one of s * points, the point's number running fastest, so that
 * a small model fills vectors and blocks with points where it has too few entries for that.
 */
#ifndef PERI_DIFF_BATCH_H
#define PERI_DIFF_BATCH_H

#include "expr/graph.h"

/*
 * diff_batch - roots of graph `from` at `points` points, into graph `to`
 *   in   varying  bit c: inputs of class c differ from point to point; others are the same for all
 *   in   to       an empty graph of the same context
 *   out  out      [n] nodes of `to`, (size * points) x 1: entry i at point k is entry i * points + k. So are the varying inputs: the class of n
 *                 entries becomes one of n * points
 *   err  PERI_E_SHAPE  more than 2^31 - 1 entries
 */
peri_status diff_batch(expr_graph *from, int64_t n, const expr_id *roots, int64_t points, unsigned varying, expr_graph *to, expr_id *out);
/* diff_batch_entries - numbers a point that differ from point to point, all nodes together: what a batch takes of the cache */
peri_status diff_batch_entries(expr_graph *from, int64_t n, const expr_id *roots, unsigned varying, int64_t *entries);
/* diff_batch_expands - of a product of two matrices that both vary: are all its multiplications done side by side? Otherwise point by point */
bool diff_batch_expands(const expr_graph *g, const expr_node *matmul);
/*
 * diff_batch_cost - about how many nanoseconds diff_batch's `points` points take together; 1: a point alone, in the graph as it is. Counted in the graph, so
 * that it is the same on all machines, for all numbers of threads, and with or without machine code
 */
peri_status diff_batch_cost(expr_graph *from, int64_t n, const expr_id *roots, unsigned varying, int64_t points, double *cost);

/*
 * Evaluation of some nodes at any number of points, in chunks of a few fixed lengths. Programs and buffers of a length are made when first
 * needed and kept; evaluation allocates nothing beyond that. Points are rows: x of K points is K x n, results are K x size.
 */
typedef struct batch batch;

enum { BATCH_ROOTS = 2 };

/* batch_new - for n <= BATCH_ROOTS nodes of g, which must outlive it; compiles nothing. watched: batch_is_finite will be asked. NULL: out of memory */
batch *batch_new(expr_graph *g, int64_t n, const expr_id *roots, unsigned varying, bool watched);
void batch_free(batch *b);
/*
 * batch_run - values at `points` points
 *   in   inputs  by class: [points x entries of the class] where it varies, else [entries]; NULL where not read
 *   out  outs    [n], each [points x size of the root]. A point at which a foreign function is undefined has NaN in all of them
 *   err  PERI_E_NOMEM, PERI_E_CALLBACK
 */
peri_status batch_run(batch *b, int64_t points, const double *const inputs[EXPR_IN_COUNT], double *const *outs);
/* batch_is_finite - no result of the last batch_run, of a watched batch, is infinite or NaN */
bool batch_is_finite(const batch *b);

#endif
