/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block_one.c - the cheap instructions for kernels of a single instance, where reading the flags would take longer than computing. Invariant: the same
 * bits as the vector versions, so nothing here but operations that are rounded once.
 */
#include "eval/block.h"
#include "eval/block_tiles.h"
#include <math.h>

#define A (*c->p[0])
#define B (*c->p[1])
#define E (*c->p[2])
#define F (*c->p[3])

#define ONE(NAME, VALUE)                                                                                               \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        (void)start;                                                                                                   \
        (void)n;                                                                                                       \
        *c->dst = (VALUE);                                                                                             \
    }
#define T2(o1, o2) ONE(t2_##o1##_##o2, DO_2(o1, o2, A, B, E))
#define T3(o1, o2, o3) ONE(t3_##o1##_##o2##_##o3, DO_3(o1, o2, o3, A, B, E, F))
#define T4(o1, o2, o3) ONE(t4_##o1##_##o2##_##o3, DO_4(o1, o2, o3, A, B, E, F))

ONE(t1_ADD, DO_ADD(A, B))
ONE(t1_SUB, DO_SUB(A, B))
ONE(t1_MUL, DO_MUL(A, B))
T_ALL
ONE(copy, A)
ONE(op_neg, -A)
ONE(op_abs, fabs(A))
ONE(op_square, A * A)
ONE(op_recip, 1 / A)
ONE(op_sqrt, sqrt(A))
ONE(op_div, A / B)

const eval_fn eval_one[EVAL_CODES] = {
    [PERI_OP_NEG] = op_neg,
    [PERI_OP_ABS] = op_abs,
    [PERI_OP_SQUARE] = op_square,
    [PERI_OP_RECIP] = op_recip,
    [PERI_OP_SQRT] = op_sqrt,
    [PERI_OP_DIV] = op_div,
    [EVAL_COPY] = copy,
    T_TABLE,
};
