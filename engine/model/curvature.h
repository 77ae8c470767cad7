/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curvature.h - what can be proven of each node as a function of the variables, by composition rules: disciplined convex programming
 * (Grant, Boyd, Ye 2006), with ranges of values instead of signs. A mark speaks of every entry of the node. Parameters count with their
 * present values.
 */
#ifndef PERI_MODEL_CURVATURE_H
#define PERI_MODEL_CURVATURE_H

#include "model/interval.h"
#include "model/model.h"

enum {
    CURV_CONVEX = 1,
    CURV_CONCAVE = 2,
    CURV_AFFINE = 3,
    CURV_LOG_CONVEX = 4,       /* positive, its logarithm convex */
    CURV_SQUARES = 8,          /* a sum of squares (with weights >= 0) of anything */
    CURV_NEG_SQUARES = 16,
    CURV_SQUARES_AFFINE = 32,  /* a sum of squares of affine terms, plus a constant >= 0 */
};
enum { CURV_NONLINEAR = 3 }; /* degree: 0 constant, 1 affine, 2 quadratic, 3 anything else */

typedef struct {
    interval range;
    uint8_t degree, marks;
} curvature;

typedef struct {
    const expr_graph *g;
    const unsigned char *held; /* [entries of the class X] variables that count as data of unknown value; NULL: none do */
    expr_id top;
    bool same_bounds;      /* of all variables */
    bool has_special;      /* an operation that is not smooth, or a function of the host's */
    bool has_norm;         /* the root of a sum of squares, which has no derivative where they vanish */
    VEC(curvature) kinds;  /* few differ: each once */
    int32_t *slots;        /* of a hash table over `kinds`: number + 1 */
    int64_t n_slots;
    int32_t *kind;         /* [top + 1] number in `kinds`, meaningful where reach is set and the node is no scalar constant */
    unsigned char *reach;
    struct curvature_memo *memo; /* while the nodes are swept; NULL: few nodes */
    struct { expr_id stack; int32_t part; int64_t begin; } cursor; /* where the last entry of a STACK was found */
} curvature_table;

/* All nodes below the roots; x ranges from the model's bounds. Entries of one variable are all held or none is; held NULL: none. */
peri_status curvature_init(curvature_table *t, const peri_model *m, const unsigned char *held, int64_t n_roots, const expr_id *roots);
void curvature_release(curvature_table *t);
curvature curvature_at(const curvature_table *t, expr_id e);
/* Entry k of node e: follows stacks, gathers, signs and constant shifts, so that rows of a mixed block are told apart.
 * Only the degree and the marks CONVEX and CONCAVE are kept. */
curvature curvature_of_entry(curvature_table *t, expr_id e, int64_t k);
curvature curvature_negated(curvature c); /* of -e */
/* patterns.c: the sum log(sum(exp(a - stop(max(a))))) + stop(max(a)) that the builder makes of logsumexp(a); *a on true */
bool curvature_is_logsumexp(const expr_graph *g, expr_id e, expr_id *a);

#endif
