/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prox.h - the composite view of a problem: minimize s(x) + h(x), where s is what is left of the objective when the terms with a known proximal
 * operator are taken away, and h is those terms plus the indicator of the bounds and constraints, all of which must be sets with a known
 * projection. Terms: weighted |x_i - c_i|, weighted Euclidean norms of disjoint groups, nuclear norms. Sets: boxes, scaled simplices, balls of the
 * Euclidean, the sum and the nuclear norm, halfspaces and hyperplanes; each over variables that no other term or set has.
 */
#ifndef PERI_ORACLE_PROX_H
#define PERI_ORACLE_PROX_H

#include "oracle/nlp.h"

typedef enum { PROX_GROUP, PROX_NUCLEAR, PROX_SIMPLEX, PROX_BALL2, PROX_BALL1, PROX_NUCLEAR_BALL, PROX_HALFSPACE } prox_kind;

/* A term or set over the variables at[0 .. n-1] (places in x), in matrices by rows. */
typedef struct {
    prox_kind kind;
    int64_t n, rows, cols;
    int64_t *at;
    expr_id weight;      /* of a norm, a scalar without variables; PERI_NO_EXPR: 1 */
    int64_t constraint;  /* of a set: the row of its constraint */
    double *a;           /* HALFSPACE: [n] coefficients */
    double size, offset; /* refreshed: weight, radius, or the simplex's sum; HALFSPACE: the body's constant */
} prox_block;

/* weight |x_at - center|, entry by entry. */
typedef struct {
    int64_t n;
    int64_t *at;
    expr_id weight, center; /* without variables, one entry or n; PERI_NO_EXPR: 1; 0 */
} prox_l1;

typedef struct nlp_prox {
    nlp *p;
    arena data;
    VEC(prox_block) blocks;
    VEC(prox_l1) l1;
    double *weight, *center; /* [n] refreshed: of |x_i - c_i|; 0 where there is none */
    unsigned char *taken;    /* [n] 1: of an l1 term, 2: of a block */
    double *v, *u, *work;    /* [n], [n]; [work_size] of singular values */
    int64_t work_size;
    expr_graph *g;           /* of the smooth part */
    eval_program *smooth;    /* value and gradient */
    bool compact;            /* every variable lies in a bounded set, and h has no norm: linear minimisation is defined */
} nlp_prox;

/*
 * nlp_prox_of - the view's composite form, made at the first call; weights, radii and bounds are as of now
 *   err  PERI_E_UNSUPPORTED  some non-smooth term or constraint has no known operator; the message names it
 */
peri_status nlp_prox_of(nlp *p, nlp_prox **out);
void nlp_prox_free(nlp_prox *c);

/* value and gradient of s; counted as the objective's */
peri_status nlp_prox_smooth(nlp_prox *c, const double *x, double *f, double *g);
/* out = argmin_x h(x) + |x - v|^2 / (2 t), t > 0; *h: the norms' part of h there. out may be v. */
peri_status nlp_prox_apply(nlp_prox *c, double t, const double *v, double *out, double *h);
/* out = argmin of g'x over the sets;  err PERI_E_UNSUPPORTED: not compact */
peri_status nlp_prox_linear(nlp_prox *c, const double *g, double *out);

/* terms.c: taking the objective and the constraints apart; *smooth the rest of the objective in the model's graph */
peri_status prox_take_apart(nlp_prox *c, expr_id *smooth);
/* sets.c: projections and operators of one block; x [n] gathered, in place */
void prox_soften_group(double w, int64_t n, double *x);
void prox_to_simplex(double sum, int64_t n, double *x, double *work);  /* work [n] */
void prox_to_ball1(double radius, int64_t n, double *x, double *work); /* work [2n] */
/* Singular values of x [rows x cols] shrunk by w, or projected onto the ball of radius `radius` (w < 0). work: prox_svd_work */
peri_status prox_nuclear(peri_context *ctx, double w, double radius, int64_t rows, int64_t cols, double *x, double *sum, double *work);
peri_status prox_leading(peri_context *ctx, double radius, int64_t rows, int64_t cols, double *x, double *work); /* x := -radius u v' */
int64_t prox_svd_work(int64_t rows, int64_t cols);

#endif
