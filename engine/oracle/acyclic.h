/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acyclic.h - the graph of a problem with one acyclicity constraint: which variables each weight W_ij is made of. Offered where every variable
 * belongs to one weight at the most and a weight vanishes where all its variables do: W_ij a variable, a difference of two, a norm of a group.
 */
#ifndef PERI_ORACLE_ACYCLIC_H
#define PERI_ORACLE_ACYCLIC_H

#include "oracle/nlp.h"

typedef struct nlp_acyclic {
    nlp *p;
    peri_acyclic block;   /* as plugins see it */
    int64_t *entry;       /* [n] its entry[] */
    expr_graph *g;        /* of the weights alone */
    diff_sparse jac;      /* [d d x n], one entry a column at the most */
    bool has_jac;
    eval_program *weights, *slopes; /* W; d W / d x in the order of jac; slopes NULL: constant, in `slope` */
    double *slope;        /* [n] d W_entry[j] / d x_j where linear, else 0 */
    double *w;            /* [d d] scratch */
    int64_t *stack;       /* [2 d] scratch */
} nlp_acyclic;

/* nlp_acyclic_of - made at the first call;  err PERI_E_UNSUPPORTED: there is no such constraint, or its weights share variables */
peri_status nlp_acyclic_of(nlp *p, nlp_acyclic **out);
void nlp_acyclic_free(nlp_acyclic *c);
/* nlp_weights - out w [d d] by rows */
peri_status nlp_weights(nlp_acyclic *c, const double *x, double *w);
/* True where the graph of the entries that are not zero has no cycle;  w [d d] */
bool nlp_weights_are_acyclic(const nlp_acyclic *c, const double *w);
/* closes [d d] := 1 for (i, j) where an edge i -> j would close a cycle (there is a walk from j to i, or i = j); w without cycles */
void nlp_acyclic_closures(const nlp_acyclic *c, const double *w, unsigned char *closes);

#endif
