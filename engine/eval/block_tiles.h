/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block_tiles.h - the shapes of tiles (block.h) spelled out once: what each computes, the list of all, and their places in a table of functions. Who
 * includes it defines T2(o1, o2), T3(o1, o2, o3), T4(o1, o2, o3), each a function t2_o1_o2 and so on, and t1_ADD, t1_SUB, t1_MUL.
 */
#ifndef PERI_EVAL_BLOCK_TILES_H
#define PERI_EVAL_BLOCK_TILES_H

#define DO_ADD(x, y) ((x) + (y))
#define DO_SUB(x, y) ((x) - (y))
#define DO_MUL(x, y) ((x) * (y))
#define DO_RSUB(x, y) ((y) - (x))

#define DO_2(o1, o2, a, b, e) DO_##o2(DO_##o1(a, b), e)
#define DO_3(o1, o2, o3, a, b, e, f) DO_##o3(DO_2(o1, o2, a, b, e), f)
#define DO_4(o1, o2, o3, a, b, e, f) DO_##o2(DO_##o1(a, b), DO_##o3(e, f))

#define T2_ALL(o1) T2(o1, ADD) T2(o1, SUB) T2(o1, MUL) T2(o1, RSUB)
#define T3_SOME(o1, o2) T3(o1, o2, ADD) T3(o1, o2, SUB) T3(o1, o2, MUL) T3(o1, o2, RSUB)
#define T3_ALL(o1) T3_SOME(o1, ADD) T3_SOME(o1, SUB) T3_SOME(o1, MUL) T3_SOME(o1, RSUB)
#define T4_SOME(o1, o2) T4(o1, o2, ADD) T4(o1, o2, SUB) T4(o1, o2, MUL)
#define T4_ALL(o1) T4_SOME(o1, ADD) T4_SOME(o1, SUB) T4_SOME(o1, MUL)

#define T_ALL                                                                                                          \
    T2_ALL(ADD) T2_ALL(SUB) T2_ALL(MUL) T3_ALL(ADD) T3_ALL(SUB) T3_ALL(MUL) T4_ALL(ADD) T4_ALL(SUB) T4_ALL(MUL)

#define T2_ENTRIES(k, prefix, base, o1)                                                                                \
    [base + 4 * (k)] = prefix##_##o1##_ADD, [base + 4 * (k) + 1] = prefix##_##o1##_SUB,                                \
    [base + 4 * (k) + 2] = prefix##_##o1##_MUL, [base + 4 * (k) + 3] = prefix##_##o1##_RSUB
#define T3_ROW(k, l, o1, o2)                                                                                           \
    [EVAL_T3 + 16 * (k) + 4 * (l)] = t3_##o1##_##o2##_ADD, [EVAL_T3 + 16 * (k) + 4 * (l) + 1] = t3_##o1##_##o2##_SUB,  \
    [EVAL_T3 + 16 * (k) + 4 * (l) + 2] = t3_##o1##_##o2##_MUL, [EVAL_T3 + 16 * (k) + 4 * (l) + 3] = t3_##o1##_##o2##_RSUB
#define T3_ENTRIES(k, o1) T3_ROW(k, 0, o1, ADD), T3_ROW(k, 1, o1, SUB), T3_ROW(k, 2, o1, MUL), T3_ROW(k, 3, o1, RSUB)
#define T4_ROW(k, l, o1, o2)                                                                                           \
    [EVAL_T4 + 9 * (k) + 3 * (l)] = t4_##o1##_##o2##_ADD, [EVAL_T4 + 9 * (k) + 3 * (l) + 1] = t4_##o1##_##o2##_SUB,    \
    [EVAL_T4 + 9 * (k) + 3 * (l) + 2] = t4_##o1##_##o2##_MUL
#define T4_ENTRIES(k, o1) T4_ROW(k, 0, o1, ADD), T4_ROW(k, 1, o1, SUB), T4_ROW(k, 2, o1, MUL)

#define T_TABLE                                                                                                        \
    [EVAL_T1 + EVAL_ADD] = t1_ADD, [EVAL_T1 + EVAL_SUB] = t1_SUB, [EVAL_T1 + EVAL_MUL] = t1_MUL,                       \
    T2_ENTRIES(0, t2, EVAL_T2, ADD), T2_ENTRIES(1, t2, EVAL_T2, SUB), T2_ENTRIES(2, t2, EVAL_T2, MUL),                 \
    T3_ENTRIES(0, ADD), T3_ENTRIES(1, SUB), T3_ENTRIES(2, MUL),                                                        \
    T4_ENTRIES(0, ADD), T4_ENTRIES(1, SUB), T4_ENTRIES(2, MUL)

#endif
