/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_math.h - inside engine/eval only: what the interpreter's compound operations are made of, tiles and powers, for whatever writes machine code. The
 * order of the operations is the interpreter's, so that the bits are.
 */
#ifndef PERI_EVAL_MACHINE_MATH_H
#define PERI_EVAL_MACHINE_MATH_H

#include <stdint.h>

enum { MATH_ADD, MATH_SUB, MATH_MUL, MATH_DIV, MATH_SQRT };

/* Writes one operation down and returns its value's number. b -1: none. v: 0 or 1 */
typedef struct {
    void *to;
    int32_t lanes;
    int32_t (*operation)(void *to, int op, int32_t lanes, int32_t a, int32_t b);
    int32_t (*number)(void *to, double v, int32_t lanes);
} math_writer;

int32_t math_arithmetic(const math_writer *w, int o, int32_t a, int32_t b); /* o: EVAL_ADD, EVAL_SUB, EVAL_MUL, EVAL_RSUB */
int32_t math_inverse(const math_writer *w, int32_t a);                      /* 1 / a */
int32_t math_power(const math_writer *w, int32_t a, int32_t exponent);      /* not 0 */
int32_t math_half_power(const math_writer *w, int32_t a, int32_t twice);    /* a^(twice / 2), twice odd */
/* Tiles of EVAL_T1 and behind: how many operands they have, and their value. */
int math_tile_operands(int code);
int32_t math_tile(const math_writer *w, int code, const int32_t operand[4]);

#endif
