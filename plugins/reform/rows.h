/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.h - what reformulations that take constraints away share: rows sorted by their sides, distances from the feasible interval as
 * expressions and as numbers, the residuals that the engine's certificate uses.
 *
 *     t_i = c_i(x) - s_i,    d_i = t_i - (t_i moved into [cl_i, cu_i])
 *
 * d is the signed distance of the shifted row from its interval: negative below, positive above, 0 inside.
 */
#ifndef PERI_PLUGIN_ROWS_H
#define PERI_PLUGIN_ROWS_H

#define PERI_PLUGIN_PARTS
#include <perigee/plugin.h>

typedef struct {
    int64_t n, m;
    const double *xl, *xu, *cl, *cu;
    int64_t n_equal, n_lower, n_upper;
    int64_t *equal, *lower, *upper; /* [m] each: rows with equal sides, with a lower and with an upper side */
    double *side;                   /* [m] scratch */
} rows_of;

peri_status rows_init(rows_of *r, peri_run *run);

/* How a distance counts: half its square, its size, or its size with the corner rounded off within `smoothing` (a parameter, scalar). */
typedef enum { ROWS_SQUARE, ROWS_SIZE, ROWS_ROUNDED } rows_measure;
/* out: sum_i weight_i measure(d_i); shift s and weight are m x 1, shift PERI_NO_X for none; 0 where m = 0 */
peri_status rows_sum(rows_of *r, peri_inner *inner, peri_x c, peri_x shift, peri_x weight, rows_measure measure, peri_x smoothing,
                     peri_x *out);

/* A new inner problem over the run's variables, with its objective and rows. */
peri_status rows_inner(peri_run *run, const char *name, peri_inner **inner, peri_x *f, peri_x *c);
/* Solves it; unless it is unbounded, x [n] and c [m] become its solution and c there. */
peri_status rows_solve(const rows_of *r, peri_run *run, peri_inner *inner, const peri_inner_request *request, double *x, double *c,
                       const peri_inner_result **result);
/* The end where no penalty holds the inner objective: at its point x. */
peri_status rows_unbounded(peri_run *run, const double *x, peri_step *next);

/* An objective below minus this, where no solver finds an end, has run away. */
#define ROWS_FAR 1e10

double rows_move(const rows_of *r, int64_t i, double t); /* t moved into row i's interval */
/* The largest entry of the objective's gradient at x; g [n] scratch */
peri_status rows_gradient_size(const rows_of *r, peri_run *run, const double *x, double *g, double *size);
/* scale [m]: 1 / max(1, largest entry of the row's gradient) at x; 1 where there are no derivatives */
peri_status rows_scale(const rows_of *r, peri_run *run, const double *x, double *scale);

/* The certificate's residuals at x with c = c(x), y, z; g, jy [n] scratch. Without derivatives the dual residual is not known:
 * 0 where the inner solve came to its end, INFINITY where it did not. */
typedef struct {
    double f, primal, dual, complementarity, kkt;
} rows_residuals;
peri_status rows_residual(const rows_of *r, peri_run *run, const double *x, const double *c, const double *y, const double *z,
                          peri_why inner, double *g, double *jy, rows_residuals *out);
/* How far x is from a stationary point of the sum of squared distances (shift 0) of the scaled rows, relative to the largest; v [m],
 * g [n] scratch; INFINITY without derivatives */
peri_status rows_slope(const rows_of *r, peri_run *run, const double *x, const double *c, const double *scale, double *v, double *g,
                       double *slope);
/* The point of smallest kkt so far: rounding makes the last one of a long sequence a worse one. */
typedef struct {
    double *x, *y, *z; /* [n], [m], [n] */
    peri_row row;
    double kkt;
} rows_best;
peri_status rows_best_init(rows_best *b, const rows_of *r, peri_run *run);
/* true: it is the best, and was kept */
bool rows_best_keep(rows_best *b, const rows_of *r, const double *x, const double *y, const double *z, const peri_row *row, double kkt);

/* Does the violation shrink? `infeasible`: for three solves it has not, and x is a stationary point of it. */
typedef struct {
    double smallest;
    int64_t stuck; /* solves since it last shrank by a tenth */
} rows_watch;
peri_status rows_watch_violation(rows_watch *w, const rows_of *r, peri_run *run, const double *x, const double *c, const double *scale,
                                 double primal, double *v, double *g, bool *infeasible);

#endif
