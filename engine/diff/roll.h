/* SPDX-License-Identifier: Apache-2.0 */
/* roll.h - inside engine/diff only: what the parts of the grouping share. roll.c decides what is grouped when, group.c groups scalars, rows.c reductions. */
#ifndef PERI_DIFF_ROLL_H
#define PERI_DIFF_ROLL_H

#include "diff/internal.h"

enum {
    ROLL_REACH = 1,    /* reachable from the roots */
    ROLL_SCALAR = 2,   /* an elementwise operation on scalars: to be grouped */
    ROLL_CHAIN = 4,    /* part of a long sum: ADD, SUB or NEG of more than ROLL_LONG terms */
    ROLL_MATERIAL = 8, /* a scalar whose value is needed by itself: an entry of some group's vector; or a row */
    ROLL_LEAF = 16,    /* a scalar that is read: a constant, an entry of an array, a variable of one entry */
    ROLL_USED = 32,
    ROLL_REUSED = 64,  /* used more than once */
    ROLL_INSIDE = 128  /* an array that only rows need: not made */
};

enum {
    ROLL_LONG = 32,    /* terms of a sum above which it is a reduction, not part of a template */
    ROLL_SEVERAL = 3,  /* the same for a sum with more than ROLL_LARGE operations in all */
    ROLL_ALIKE = 3,    /* terms of one form that make a shorter sum part of the longer one that it is in */
    ROLL_SHARED = 12,  /* operations above which a scalar used more than once is computed once */
    ROLL_RARE = 16,    /* instances below which a form is rare */
    ROLL_FORMS = 12,   /* rare forms of sums above which they are split into their terms */
    ROLL_LARGE = 200,  /* operations of a template at the most, roughly */
    ROLL_MANY = 255    /* terms and operations are counted up to here */
};

/* An array, or a scalar that is needed by itself: in the order in which they are made. */
typedef struct {
    expr_id e;
    expr_id image; /* its node in `to`; scalars and rows: the vector that has them */
    int32_t place; /* scalars and rows: which entry of it */
    int32_t local; /* group.c: as the slot of other nodes */
} roll_made;

/* A reduction of an array that is made together with others of its form (rows.c): an entry of a vector, as MATERIAL scalars are. */
typedef struct {
    expr_id e;
    int32_t form;
} roll_row;

/* How the nodes of the old graph are seen in the new one. Arrays are [from->nodes.n]. */
typedef struct {
    expr_graph *from, *to;
    unsigned char *flags;
    unsigned char *weight, *terms; /* of scalars: operations that are not computed elsewhere, terms as a sum; ROLL_MANY: that or more */
    uint16_t *shape;               /* of scalars: a hash of the form, by which arguments are ordered */
    int32_t *slot;                 /* made nodes: their number in `made`; others: group.c's number within an instance. At first the depth */
    roll_made *made;
    int64_t n_made;
    bool cut;                      /* expressions are made in pieces: the vectors of one depth are parts of one */
    expr_id whole[EXPR_IN_COUNT];  /* the whole classes in `to`, or -1 */
    struct roll_form *forms;       /* rows.c */
    roll_row *rows;                /* [n_rows] ascending */
    int64_t n_rows;
    arena data;
} roller;

bool roll_is_sum(int op); /* ADD, SUB, NEG: what long sums are made of */
bool roll_is_commutative(int op);
bool roll_is_chain(const roller *r, expr_id e);
/* Arrays, and scalars that are needed by themselves. */
static inline bool roll_is_made(const roller *r, expr_id e)
{
    return (r->flags[e] & (ROLL_SCALAR | ROLL_LEAF | ROLL_INSIDE)) == 0 || (r->flags[e] & ROLL_MATERIAL);
}
static inline bool roll_is_row(const roller *r, expr_id e)
{
    return (r->flags[e] & (ROLL_SCALAR | ROLL_MATERIAL)) == ROLL_MATERIAL;
}
/* rows.c: marks the rows and what only they need, after what is reached */
peri_status roll_find_rows(roller *r, int64_t n, const expr_id *roots);
/* One depth's nodes, of which those that are rows are made: image and place set. */
peri_status roll_rows(roller *r, int64_t n, const roll_made *made);
/* cut.c: marks scalars inside of expressions of rare forms as needed by themselves; *cut: it did. After it weights, shapes and depths are to be found again */
peri_status roll_cut(roller *r, bool *cut);
/* One depth's scalars, [n] node numbers in ascending order: their groups are built, image and place set. */
peri_status roll_group(roller *r, int64_t n, const expr_id *scalars);
/* The array of `to` that has the old scalar e's value, and where. Not for constants. */
void roll_locate(const roller *r, expr_id e, expr_id *array, int32_t *place);
/* A size-1 node of `to` with the value of old scalar, or the old array's node. */
peri_status roll_value(roller *r, expr_id e, expr_id *out);

#endif
