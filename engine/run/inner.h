/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inner.h - inside engine/run only: the problems that a reformulation makes. Each is a model with a graph of its own, into which the
 * functions of the run's problem are copied, so that nothing is left behind in the user's model.
 */
#ifndef PERI_RUN_INNER_H
#define PERI_RUN_INNER_H

#include "run/internal.h"

struct peri_inner {
    peri_run *run; /* the one that made it */
    peri_inner *next;
    peri_model *model;
    expr_id outer_params; /* the parameters of the run's problem, a column; PERI_NO_EXPR: not there yet */
    peri_solution *last;  /* of the last solve, or NULL */
    peri_inner_result result;
    run_chain own; /* another plan than the run's: own.n > 0 */
    char *own_plan;
    peri_run *view; /* evaluates; NULL until asked for */
    uint64_t view_structure;
};

extern const peri_inner_table INNER_TABLE; /* the host table's */
/* Frees all that the run made; what they evaluated is added to the run's counts. */
void inner_close_all(peri_run *run);
void inner_collect_all(peri_run *run); /* counts of what was evaluated outside solves, into the run's */
void inner_add_count(peri_evaluations *to, const peri_evaluations *more);
void inner_add_times(peri_times *to, const peri_times *more); /* but for method and total */

peri_inner_request inner_read_request(const peri_inner_request *given); /* as this host knows it; NULL: all of its defaults */
/* inner->outer_params is there afterwards, where the run's problem has parameters */
peri_status inner_need_parameters(peri_inner *inner);

/* inner_expr.c: the table's slots for variables, functions and expressions */
peri_status inner_variables(peri_inner *inner, peri_x *x);
peri_status inner_problem(peri_inner *inner, int64_t level, peri_x x, peri_x *f, peri_x *c);
peri_status inner_var(peri_inner *inner, const char *name, int64_t rows, int64_t cols, peri_x *x);
peri_status inner_set_bounds(peri_inner *inner, peri_x x, const double *lower, const double *upper);
peri_status inner_set_start(peri_inner *inner, peri_x x, const double *start);
peri_status inner_param(peri_inner *inner, const char *name, int64_t rows, int64_t cols, const double *value, peri_x *p);
peri_status inner_set_param(peri_inner *inner, peri_x p, const double *value);
peri_status inner_minimize(peri_inner *inner, peri_x f);
peri_status inner_constrain(peri_inner *inner, const char *name, peri_x c, const double *lower, const double *upper, int64_t *row);
peri_status inner_x_array(peri_inner *inner, int64_t rows, int64_t cols, const double *value, peri_x *out);
peri_status inner_x_op(peri_inner *inner, const char *op, int n, const peri_x *args, peri_x *out);
peri_status inner_x_gather(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, const int64_t *index, peri_x *out);
peri_status inner_x_scatter(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, const int64_t *index, peri_x *out);
peri_status inner_x_stack(peri_inner *inner, int64_t n, const peri_x *args, peri_x *out);
peri_status inner_x_reshape(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, peri_x *out);
peri_status inner_x_gradient(peri_inner *inner, peri_x e, peri_x x, peri_x *out);
peri_status inner_x_jacobian(peri_inner *inner, peri_x e, peri_x x, peri_x *out);
peri_status inner_x_substitute(peri_inner *inner, peri_x e, int64_t n, const peri_x *from, const peri_x *to, peri_x *out);
peri_status inner_x_call(peri_inner *inner, const peri_call *fn, peri_x x, peri_x *out);
void inner_x_shape(const peri_inner *inner, peri_x e, int64_t *rows, int64_t *cols);

#endif
