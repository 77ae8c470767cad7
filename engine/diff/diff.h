/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.h - derivatives as graphs. Reverse mode, tangents, and the sparse Jacobian and Hessian whose values are nodes. All results
 * are ordinary nodes, so derivatives nest.
 */
#ifndef PERI_DIFF_DIFF_H
#define PERI_DIFF_DIFF_H

#include "expr/graph.h"

/*
 * diff_adjoint - out[k] = sum_r (d roots[r] / d wrt[k])' seeds[r]
 *   in   seeds  [n_roots] nodes shaped as the roots
 *   out  out    [n_wrt] nodes shaped as wrt[k] (any nodes; a constant zero where independent)
 *   err  PERI_E_UNSUPPORTED  through a black box; the message names it
 */
peri_status diff_adjoint(expr_graph *g, int64_t n_roots, const expr_id *roots, const expr_id *seeds, int64_t n_wrt,
                         const expr_id *wrt, expr_id *out);

/* diff_tangent - out[r] = (d roots[r] / d wrt) direction, direction[k] shaped as wrt[k] */
peri_status diff_tangent(expr_graph *g, int64_t n_roots, const expr_id *roots, int64_t n_wrt, const expr_id *wrt,
                         const expr_id *direction, expr_id *out);

typedef struct {
    int64_t rows, cols, nnz;
    int64_t *start, *index; /* CSC, rows ascending; mem_array memory */
    expr_id values;         /* node with nnz entries in CSC order; PERI_NO_EXPR when nnz = 0 */
} diff_sparse;
void diff_sparse_free(expr_graph *g, diff_sparse *s);

/* diff_jacobian - of `root` with respect to the input class X entries [x0, x0 + n). */
peri_status diff_jacobian(expr_graph *g, expr_id root, int64_t x0, int64_t n, diff_sparse *out);
/* Of norms, logsumexp and the like, which couple all their variables, the Hessian is formed as a matrix up to so many variables. */
enum { DIFF_LARGEST_DENSE = 2000 };
/* diff_hessian - lower triangle of the Hessian of the scalar `root` with respect to the same;  PERI_E_UNSUPPORTED when it would
 * have more than `limit` non-zeros, when one term is dense in more than DIFF_LARGEST_DENSE variables, or when it goes through an
 * operation without second derivatives. */
peri_status diff_hessian(expr_graph *g, expr_id root, int64_t x0, int64_t n, int64_t limit, diff_sparse *out);

/*
 * diff_align - the roots with scatters rewritten so that what comes to one place from several families of instances is computed for the place, where
 * these walk through memory with one stride: for matrices' values and products, not for what shares its computation with a function's value
 *   out  out  [n] nodes shaped as the roots; sums may be added up in another order
 */
peri_status diff_align(expr_graph *g, int64_t n, const expr_id *roots, expr_id *out);

/*
 * diff_merge - the scalar f with sums whose terms are partly the same, at other instances, computed once; f itself where there is nothing to gain.
 * For its value and gradient: the derivatives that are sparse matrices do not gain by it.
 */
peri_status diff_merge(expr_graph *g, expr_id f, expr_id *out);
/*
 * diff_gather - f and its gradient, a column, rewritten so that most of the gradient's entries are computed entry by entry, and f's sums in the same
 * pass; as they were where that is not cheaper
 */
peri_status diff_gather(expr_graph *g, expr_id f, expr_id gradient, expr_id *f_out, expr_id *gradient_out);

/*
 * diff_squares - the residuals of a sum of squares: f - r'r does not depend on the variables
 *   in   f  a scalar: sums, differences without variables, weighted by constants and parameters, of squares, even powers, and products and
 *           quotients of such
 *   out  r  a column, as many rows as there are residuals
 *   err  PERI_E_UNSUPPORTED  f is not seen to be such a sum. Weights of parameters that become negative make r NaN.
 */
peri_status diff_squares(expr_graph *g, expr_id f, expr_id *r);
peri_status diff_has_squares(expr_graph *g, expr_id f, bool *has); /* whether it would find some; makes nothing unless signs of constants do not tell */

/*
 * diff_roll - roots of graph `from` rewritten into graph `to` with isomorphic scalar expressions grouped into vectors (repeated
 * structure), however they were written. All inputs of a class become gathers of the whole class, [extent] x 1.
 *   in   to   an empty graph of the same context (expr_graph_new); parameters' values stay in `from`
 *   out  out  [n] nodes of `to`, shaped as the roots
 */
peri_status diff_roll(expr_graph *from, int64_t n, const expr_id *roots, expr_graph *to, expr_id *out);

#endif
