/* SPDX-License-Identifier: Apache-2.0 */
/* roll.h - inside engine/diff only: what the two halves of the grouping share. roll.c decides what is grouped when, group.c groups. */
#ifndef PERI_DIFF_ROLL_H
#define PERI_DIFF_ROLL_H

#include "diff/internal.h"

enum {
    ROLL_REACH = 1,    /* reachable from the roots */
    ROLL_SCALAR = 2,   /* an elementwise operation on scalars: to be grouped */
    ROLL_CHAIN = 4,    /* part of a long sum: ADD, SUB or NEG of more than ROLL_LONG terms */
    ROLL_MATERIAL = 8, /* a scalar whose value is needed by itself: an entry of some group's vector */
    ROLL_LONG = 32,    /* terms of a sum above which it is a reduction, not part of a template */
    ROLL_SEVERAL = 3,  /* the same for a sum with more than ROLL_LARGE operations in all */
    ROLL_SHARED = 12,  /* operations above which a scalar used more than once is computed once */
    ROLL_RARE = 16,    /* instances below which a form is rare */
    ROLL_FORMS = 12,   /* rare forms of sums above which they are split into their terms */
    ROLL_LARGE = 200   /* operations of a template at the most, roughly */
};

/* How the nodes of the old graph are seen in the new one. Arrays are [from->nodes.n]. */
typedef struct {
    expr_graph *from, *to;
    unsigned char *flags;
    int32_t *uses, *weight, *terms, *depth;
    expr_id *image;     /* array nodes: their node in `to`; material scalars: the vector that has them */
    int32_t *place;     /* material scalars: which entry of it */
    int32_t *local;     /* group.c: number within the instance at hand, valid where stamp is the instance's */
    int64_t *stamp;
    int64_t instance;
    expr_id whole[EXPR_IN_COUNT]; /* the whole classes in `to`, or -1 */
    arena data;
} roller;

bool roll_is_sum(int op); /* ADD, SUB, NEG: what long sums are made of */
bool roll_is_chain(const roller *r, expr_id e);
/* One depth's scalars, [n] node numbers in ascending order: their groups are built, image and place set. */
peri_status roll_group(roller *r, int64_t n, const expr_id *scalars);
/* A size-1 node of `to` with the value of old scalar or array node e (already imaged). */
peri_status roll_value(roller *r, expr_id e, expr_id *out);

#endif
