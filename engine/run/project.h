/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project.h - projections onto the feasible set of a run's or view's problem: the host table's slots of the same names (see plugin.h).
 * They live in the run's memory, their linear systems and inner problems among the run's, so that nothing is closed by hand.
 */
#ifndef PERI_RUN_PROJECT_H
#define PERI_RUN_PROJECT_H

#include "run/internal.h"

/* lower <= A x <= upper with rows of length 1, and bounds on x */
typedef struct {
    int64_t n, m;
    peri_pattern pattern; /* of A */
    double *value;        /* [nnz] */
    double *lower, *upper; /* [m] */
    double *scale;         /* [m] what the rows were divided by */
    const double *xl, *xu; /* [n] borrowed */
} projection_rows;

/* project_system.c: (A_WF A_WF' + delta I) d = e for rows W and columns F of A, by one of three forms of the same matrix. */
typedef struct {
    peri_run *run;
    const projection_rows *a;
    enum { PROJECTION_ONE_ROW, PROJECTION_NORMAL, PROJECTION_AUGMENTED } form;
    peri_pattern pattern;
    peri_factor *factor;
    double *value, *work; /* [nnz of the pattern]; [m] or [n + m] */
    double pivot;         /* of one row */
    const int64_t *by_row, *by_row_column, *by_row_entry; /* A row by row: starts [m + 1], columns and places in value [nnz] */
    unsigned char *free, *working; /* [n], [m]: as factorised last */
    double delta;
    bool factorised;
} projection_system;

peri_status projection_system_open(projection_system *s, peri_run *run, const projection_rows *a);
/* The factor of before where nothing has changed. PERI_E_NUMERIC: singular, a larger delta may help */
peri_status projection_system_factor(projection_system *s, const unsigned char *free, const unsigned char *working, double delta);
peri_status projection_system_solve(projection_system *s, const double *e, double *d); /* [m]; d is 0 outside W */

/* project_polyhedron.c: onto a polyhedron by its dual */
typedef struct {
    projection_rows a;
    projection_system system;
    double *y, *trial, *d, *e, *e_trial; /* [m]: multipliers, kept for the next projection; directions and residuals */
    double *x, *at, *r; /* [n], [n], [m]: x = clip(v + at), at = A'y, r = A x */
    unsigned char *free, *working; /* [n], [m] */
    double delta;
    int64_t culprit; /* of an empty set: a row that cannot hold with the others */
} projection_polyhedron;

enum { PROJECTION_FOUND, PROJECTION_EMPTY, PROJECTION_LOST }; /* LOST: no accurate point was reached */

peri_status projection_polyhedron_open(projection_polyhedron *q, peri_run *run);
/* out how  one of the above; x [n] is written where FOUND, with x - v = A'y + z, z of the bounds */
peri_status projection_polyhedron_apply(projection_polyhedron *q, const double *v, double *x, int *how);

peri_status projection_open(peri_run *run, peri_projection **out);
peri_status projection_apply(peri_projection *set, const double *v, double *x);

#endif
