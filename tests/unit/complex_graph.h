/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complex_graph.h - expressions evaluated with complex numbers of extended precision, by definitions of its own. With x + i h v for variables, h tiny,
 * the real parts are values to more digits than the engine's, and the imaginary parts divided by h are derivatives in direction v without
 * a difference being taken (complex steps: Squire and Trapp 1998), so exact to rounding.
 */
#ifndef TESTS_UNIT_COMPLEX_GRAPH_H
#define TESTS_UNIT_COMPLEX_GRAPH_H

#include "expr/graph.h"
#include <complex.h>

typedef long double _Complex complex_number;

/*
 * complex_eval - root of g at x + i h v;  x, v [n_x], v NULL: 0
 *   out  value       [size of root]
 *   out  derivative  [size of root] in direction v; NULL: not wanted
 *   ret  NULL, or the name of an operation that is not known here
 */
const char *complex_eval(expr_graph *g, expr_id root, const double *x, const double *v, long double *value, long double *derivative);

#endif
