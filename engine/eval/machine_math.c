/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_math.c - tiles and powers as single operations, in the interpreter's order.
 */
#include "eval/machine_math.h"
#include "eval/plan.h"

int32_t math_arithmetic(const math_writer *w, int o, int32_t a, int32_t b)
{
    if (o == EVAL_RSUB)
        return w->operation(w->to, MATH_SUB, w->lanes, b, a);
    return w->operation(w->to, o == EVAL_ADD ? MATH_ADD : o == EVAL_SUB ? MATH_SUB : MATH_MUL, w->lanes, a, b);
}

int32_t math_inverse(const math_writer *w, int32_t a)
{
    return w->operation(w->to, MATH_DIV, w->lanes, w->number(w->to, 1, w->lanes), a);
}

static int32_t times_itself(const math_writer *w, int32_t a, uint32_t times)
{
    int32_t result = -1;
    for (uint32_t k = times; k != 0; k >>= 1) {
        if (k & 1)
            result = result < 0 ? a : w->operation(w->to, MATH_MUL, w->lanes, result, a);
        if (k > 1)
            a = w->operation(w->to, MATH_MUL, w->lanes, a, a);
    }
    return result;
}

int32_t math_power(const math_writer *w, int32_t a, int32_t exponent)
{
    const int32_t p = times_itself(w, a, (uint32_t)(exponent < 0 ? -exponent : exponent));
    return exponent < 0 ? math_inverse(w, p) : p;
}

int32_t math_half_power(const math_writer *w, int32_t a, int32_t twice)
{
    const int32_t b = w->operation(w->to, MATH_ADD, w->lanes, a, w->number(w->to, 0, w->lanes)); /* -0 becomes 0 */
    const int32_t whole = ((twice < 0 ? -twice : twice) - 1) / 2, root = w->operation(w->to, MATH_SQRT, w->lanes, b, -1);
    const int32_t p = whole > 0 ? w->operation(w->to, MATH_MUL, w->lanes, times_itself(w, b, (uint32_t)whole), root) : root;
    return twice < 0 ? math_inverse(w, p) : p;
}

int math_tile_operands(int code)
{
    return code < EVAL_T2 ? 2 : code < EVAL_T3 ? 3 : 4;
}

int32_t math_tile(const math_writer *w, int code, const int32_t operand[4])
{
    const int32_t a = operand[0], b = operand[1], e = operand[2], f = operand[3];
    if (code < EVAL_T2)
        return math_arithmetic(w, code - EVAL_T1, a, b);
    if (code < EVAL_T3)
        return math_arithmetic(w, (code - EVAL_T2) % 4, math_arithmetic(w, (code - EVAL_T2) / 4, a, b), e);
    if (code < EVAL_T4) {
        const int k = code - EVAL_T3;
        return math_arithmetic(w, k % 4, math_arithmetic(w, k / 4 % 4, math_arithmetic(w, k / 16, a, b), e), f);
    }
    const int k = code - EVAL_T4;
    const int32_t left = math_arithmetic(w, k / 9, a, b);
    return math_arithmetic(w, k / 3 % 3, left, math_arithmetic(w, k % 3, e, f));
}
