/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_batch.h - inside engine/run only: one implicit function at several data at once. The K instances have one graph; theta is what all of them read
 * and, behind it, each argument as K parts below each other. An instance is solved by itself, by one thread from beginning to end, and its system is
 * factorised so too; derivatives are the instance's nodes, planted K times around one rule for all systems.
 * Invariant: nothing of an instance depends on another, so that bits depend neither on the threads nor on what else is in the batch.
 */
#ifndef PERI_RUN_IMPLICIT_BATCH_H
#define PERI_RUN_IMPLICIT_BATCH_H

#include "run/implicit.h"

enum { BATCH_JAXOPT, BATCH_OPTIMISTIX };

/* Why an instance has no solution, or no factors */
enum {
    BATCH_FINE,
    BATCH_UNDEFINED,
    BATCH_LIMIT,
    BATCH_STALLED,
    BATCH_SADDLE,
    BATCH_NO_PIVOT,
    BATCH_BAD_CONDITION,
    BATCH_BAD_MATRIX,
    BATCH_STOPPED,
    BATCH_FAILED /* a function that it calls */
};

/* What one thread needs for one instance. */
typedef struct {
    bool alone;               /* its programs may run on any thread */
    eval_program *model;      /* r, J'J, J'r */
    eval_program *equations;  /* F */
    eval_program *columns;    /* F_y V, of so many columns at once */
    eval_program *slope;      /* the same of what is differentiated; NULL: `columns` */
    double *theta;            /* [p] of the instance */
    double *y, *r, *g, *a;    /* [d], [m], [d], [d x d] at the point */
    double *trial, *tr, *tg, *ta;
    double *step, *kept, *chol, *lu; /* [d], [d], [d x d], [d x d] */
    double *unit, *directions, *images; /* [d x d] ones on the diagonal; V, F_y V [d x width] */
    int32_t *pivot;           /* [d] */
} batch_worker;

/* What is known of the solution of an instance. */
typedef struct {
    bool solved, found, factorised; /* at the data kept; at the last ones; at the point kept */
    peri_status status;             /* of the last evaluation */
    int64_t iterations, polished; /* steps of the solver, and of Newton behind it */
    double cost, length;          /* 1/2 |r|^2, the largest entry of F */
    double condition;             /* of a matrix that is singular */
} batch_instance;

typedef struct {
    expr_rule rule;
    implicit_batch *of;
    bool transposed;
} batch_rule;

struct implicit_batch {
    expr_rule rule; /* theta -> y of all instances */
    batch_rule forward, backward;
    implicit *one;
    int64_t n, shared, p;               /* instances; entries of theta that all have; of theta */
    int64_t n_arguments, *size, *at;    /* of an instance's part of each; where the whole begins in theta */
    char **names;                       /* [n] or NULL */
    bool squares, root_form, polish;
    int64_t m;                          /* residuals of an instance */
    expr_id r, normal, projected;       /* of squares: residuals, J'J, J'r; PERI_NO_EXPR where J has no sparse form */
    expr_id equations, product;         /* F and F_y v as they are solved; those that are differentiated are the instance's */
    int64_t width;                      /* columns of V */
    expr_graph *wide;                   /* F_y V: as it is solved, as it is differentiated */
    expr_id wide_product, wide_slope;
    int rule_of_steps;                  /* BATCH_... */
    double tolerance;                   /* of the steps */
    int64_t iterations;
    batch_instance *instance;           /* [n] */
    double *theta_at, *y_at;            /* [p], [n d] of the solution */
    double *system_at, *lu;             /* [n d + p] (y, theta), [n x d x d] of the factors */
    int32_t *pivot;                     /* [n d] */
    int64_t *which;                     /* [n] the instances of a job */
    int *code;                          /* [n] what became of them */
    int32_t n_workers;
    batch_worker *workers;              /* [threads] */
    double seconds;                     /* that the last solution took on one thread, an instance */
};

/* implicit_batch.c */
void implicit_batch_release(implicit_batch *b);
peri_status implicit_batch_expr(peri_model *m, const peri_implicit *options, expr_id *out);

/* implicit_batch_steps.c: an instance on a worker; ret BATCH_... The data are those in b. */
int implicit_batch_solve_one(implicit_batch *b, batch_worker *w, int64_t k);
int implicit_batch_factorise_one(implicit_batch *b, batch_worker *w, int64_t k);
void implicit_batch_take_theta(const implicit_batch *b, const double *theta, int64_t k, double *to);

/* implicit_batch_solve.c: by the threads */
void implicit_batch_release_worker(batch_worker *w);
peri_status implicit_batch_value(implicit_batch *b, const double *theta, double *y);
/* A^-1 r or A'^-1 r of all instances, in place; x is (y, theta) */
peri_status implicit_batch_systems(implicit_batch *b, bool transposed, const double *x, double *r);

/* implicit_batch_rules.c */
void implicit_batch_set_rules(implicit_batch *b);
const implicit_batch *implicit_batch_from(const expr_rule *rule); /* whose solutions the rule gives; NULL: none */

#endif
