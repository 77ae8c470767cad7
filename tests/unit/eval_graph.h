/* SPDX-License-Identifier: Apache-2.0 */
/* eval_graph.h - what the tests of evaluation make graphs with: each function ends the program where the engine refuses. */
#ifndef PERI_TESTS_EVAL_GRAPH_H
#define PERI_TESTS_EVAL_GRAPH_H

#include "expr/graph.h"

void check(peri_status status);
double uniform(uint64_t *seed, double lo, double hi); /* the next number of a stream */
expr_id one(expr_graph *g, peri_op op, expr_id a);
expr_id two(expr_graph *g, peri_op op, expr_id a, expr_id b);
expr_id number(expr_graph *g, double v);
expr_id affine(expr_graph *g, expr_id a, int64_t n, int64_t first, int64_t stride); /* n x 1 */

/* Of x alone: the `size` numbers of e, by the plain interpreter, and by a program, which must write all of them. To be freed. */
double *interpreted_at(expr_graph *g, expr_id e, int64_t size, const double *x);
double *run_at(expr_graph *g, expr_id e, int64_t size, const double *x);

#endif
