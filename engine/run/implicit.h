/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit.h - inside engine/run only: functions y*(theta) that are known by an equation F(y, theta) = 0 and a solver of it. F has a graph of its own:
 * the class X is the unknown and, behind it, q more numbers of the solver's that F needs and that count as fixed (the active set); the class PARAM is
 * theta. Derivatives come from linear systems with A = -dF/dy, and are nodes:
 *   y* is a rule of theta;  A^-1 r and A'^-1 r are rules of (y, theta, r), whose own derivatives need second derivatives of F and these rules again.
 * Invariant: rules outlive all graphs that have them; the root model owns them.
 * Source: Blondel et al. 2022, Efficient and modular implicit differentiation, NeurIPS 35.
 */
#ifndef PERI_RUN_IMPLICIT_H
#define PERI_RUN_IMPLICIT_H

#include "run/internal.h"

typedef struct implicit implicit;

/* A^-1 r or A'^-1 r; or all of dy / dtheta, which is for sparse Jacobians only. */
typedef struct {
    expr_rule rule;
    implicit *of;
    bool transposed;
} implicit_rule;

/* How linear systems are solved. */
enum { LINEAR_DENSE, LINEAR_FORMED, LINEAR_OPERATOR, LINEAR_NORMAL };

typedef struct {
    int kind;
    bool ready, symmetric;   /* ready: factors, or the point, of `at` */
    double *at;              /* [d + q + p] */
    diff_sparse jac;         /* of F in y: d x d, by columns; of LINEAR_DENSE and LINEAR_FORMED */
    eval_program *values, *jv, *vj; /* entries of jac; F_y v, w'F_y */
    double *val, *lu, *work; /* [nnz + d], [d x d], [4 d] */
    int64_t *place;          /* LINEAR_FORMED: of jac's entry k in the matrix that also has its diagonal */
    peri_pattern pattern;    /* that matrix */
    int32_t *pivot;
    double condition;        /* estimate, of the last factors */
    peri_run *run;           /* that lends linear-solver plugins its memory */
    peri_factor *factor, *factor_transposed, *factor_rough;
    struct nlp idle;         /* what the run looks at for its limits */
    peri_solve_args args;
    peri_setting settings[2];
    char keys[2][80];
    int64_t systems, factorisations; /* solved so far */
} implicit_linear;

typedef struct implicit_batch implicit_batch; /* implicit_batch.h */

/* y* from theta; err PERI_E_DOMAIN: there is none, and the message says why, without the name */
typedef peri_status (*implicit_solver)(implicit *f, const double *theta, double *y);

struct implicit {
    expr_rule rule; /* theta -> (y, more) */
    implicit_rule forward, backward, all, curvature;
    peri_context *ctx;
    arena data; /* names, arrays; the implicit itself */
    char *name;
    expr_graph *g;
    expr_id y, theta, F;
    int64_t d, q, p;
    bool is_fixed_point; /* F = T(y) - y */
    /* nodes of g, made when first needed: F_theta u, F_theta' w, and derivatives of w'F_y s and of F_y s, F_y' w; see implicit_rules.c */
    expr_id theta_tangent, theta_adjoint, y_tangent, y_adjoint, bend_y, bend_theta, y_tangent_turned, y_adjoint_turned,
        second;
    /* solving */
    implicit_solver solve;
    double *theta_at, *y_at; /* [p], [d + q] the last solution */
    bool solved, warm;
    double *start;           /* [d] */
    int64_t start_at;        /* in theta; -1: `start` */
    double tolerance;
    int64_t iterations;
    eval_program *residual;
    double *work; /* [5 d + q] */
    int64_t n_arguments, *argument_at, *argument_size; /* what the host's solver is given: parts of theta */
    const double **arguments;                     /* [n_arguments] */
    int (*host_solve)(void *ud, const double *const *arguments, const double *start, double *y);
    void *ud;
    peri_model *inner; /* min 1/2 |F|^2, or the problem of an argmin */
    peri_solution *last;
    char *plan;
    peri_solve_args args;
    struct implicit_problem *problem; /* implicit_argmin.c; NULL: no argmin */
    char why_singular[192];           /* what its solver knows of a singular Jacobian, behind the message, or "" */
    /* systems */
    char *linear_solver;
    double linear_tolerance, ridge;
    int64_t linear_iterations;
    implicit_linear linear;
    bool linear_made;
    eval_program *columns, *rows, *seconds; /* F_theta u, w'F_theta, `second` */
    implicit_batch *batch;                  /* this is one of several instances, and its rules are not used; or NULL */
};

/* implicit.c: an empty one with its graph's inputs; owned by the root model of m once implicit_keep was called */
peri_status implicit_new(peri_context *ctx, const char *name, int64_t d, int64_t q, int64_t p, implicit **out);
void implicit_free(implicit *f);
/* The residual is there: sets the rules up. */
peri_status implicit_finish(implicit *f, expr_id F);
peri_status implicit_keep(peri_model *m, implicit *f);
/* What the roots in g read of the world outside `n_own` nodes: own[] depends on nothing. theta: [p] x 1, PERI_NO_EXPR where there is nothing. */
typedef struct {
    VEC(expr_id) leaf; /* maximal nodes of g that do not depend on own, and vary */
    expr_id theta;     /* all of them below each other: p x 1; a zero where there are none */
    int64_t p;
} implicit_frontier;
peri_status implicit_find_frontier(expr_graph *g, int64_t n_roots, const expr_id *roots, int64_t n_own, const expr_id *own, int64_t n_first,
                                   const expr_id *first, implicit_frontier *out);
/* roots made again in `to`, the unknowns own[k] becoming own_image[k] and the frontier parts of `theta`, a column there */
peri_status implicit_transplant(expr_graph *g, const implicit_frontier *frontier, int64_t n_roots, const expr_id *roots, int64_t n_own,
                                const expr_id *own, const expr_id *own_image, expr_graph *to, expr_id theta, expr_id *out);
peri_status implicit_read_options(implicit *f, const peri_implicit *given);
bool implicit_has_kinks(const expr_graph *g);
peri_status implicit_read_settings(implicit *f, int64_t n, const peri_setting *given, const char *plan);

/* implicit_rules.c */
void implicit_set_rules(implicit *f);
peri_status implicit_need_theta_tangent(implicit *f);
peri_status implicit_need_theta_adjoint(implicit *f);
peri_status implicit_need_bend(implicit *f);
peri_status implicit_need_turned(implicit *f, bool transposed, expr_id *out);
/* Node e of f's graph in g, at y and theta there; v and w stand for the classes V and W, PERI_NO_EXPR where they do not occur. */
peri_status implicit_plant(implicit *f, expr_id e, expr_graph *g, expr_id y, expr_id theta, expr_id v, expr_id w, expr_id *out);
peri_status implicit_need_y_tangent(implicit *f); /* F_y v, v in the class V */
peri_status implicit_need_y_adjoint(implicit *f); /* F_y' w, w in the class W */

/* implicit_linear.c. r and s [d] may be the same; err PERI_E_DOMAIN: singular, with the reason and without the name */
peri_status implicit_linear_check(implicit *f); /* whether its solver exists */
peri_status implicit_linear_at(implicit *f, const double *y, const double *theta);
peri_status implicit_linear_solve(implicit *f, bool transposed, const double *r, double *s);
peri_status implicit_linear_step(implicit *f, const double *r, double *s); /* a Newton step: iterative solvers stop early */
void implicit_linear_release(implicit *f);

/* implicit_root.c */
peri_status implicit_residual(implicit *f, const double *y, const double *theta, double *r);
peri_status implicit_newton_from(implicit *f, const double *theta, double *y);
peri_status implicit_by_newton(implicit *f, const double *theta, double *y);
peri_status implicit_by_iteration(implicit *f, const double *theta, double *y);
peri_status implicit_by_plan(implicit *f, const double *theta, double *y);
peri_status implicit_by_host(implicit *f, const double *theta, double *y);
peri_status implicit_solve_inner(implicit *f); /* f->inner by f->args, into f->last; f->inner's data are set */
peri_status implicit_by_default(implicit *f, const double *theta, double *y);

#endif
