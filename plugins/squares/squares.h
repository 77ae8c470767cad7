/* SPDX-License-Identifier: Apache-2.0 */
/*
 * squares.h - inside plugins/squares only: two ways to minimise |r + J s|^2 + mu |D s|^2 over the variables that are not fixed.
 * Both are opened once for a pattern, take J and r of a point, and then solve for any number of mu.
 */
#ifndef PERI_PLUGIN_SQUARES_H
#define PERI_PLUGIN_SQUARES_H

#define PERI_PLUGIN_PARTS
#include <math.h>
#include <perigee/plugin.h>
#include <stdlib.h>
#include <string.h>

/* dense.c: QR of J, then of its triangle with the damping below */
typedef struct squares_dense squares_dense;
peri_status squares_dense_open(peri_run *run, const peri_pattern *pattern, squares_dense **out);
/* jac [nnz], r [m], fixed [n]: columns of fixed variables count as zero */
peri_status squares_dense_take(squares_dense *d, peri_run *run, const double *jac, const double *r, const unsigned char *fixed);
/* s [n]: the minimiser, 0 for fixed variables; scale [n]: D */
peri_status squares_dense_solve(squares_dense *d, peri_run *run, double mu, const double *scale, double *s);

/* sparse.c: in a linear solver, (J'J + mu D^2) s = -J'r, or QR of the taller matrix */
typedef struct squares_sparse squares_sparse;
peri_status squares_sparse_open(peri_run *run, const peri_pattern *pattern, bool qr, squares_sparse **out);
/* r and fixed are borrowed until the next take */
void squares_sparse_take(squares_sparse *s, const double *jac, const double *r, const unsigned char *fixed);
/* g [n] = J'r;  err PERI_E_NUMERIC: not positive definite in rounding, more damping is needed */
peri_status squares_sparse_solve(squares_sparse *p, double mu, const double *scale, const double *g, double *s);

#endif
