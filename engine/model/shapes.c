/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shapes.c - curvature and monotonicity of the operations with one argument, over a range of it. "Increasing" speaks of the function extended by
 * +infinity (a convex one) or -infinity (a concave one) outside its domain, as the composition rule needs (Boyd, Vandenberghe 2004, 3.2.4).
 */
#include "model/shapes.h"

static const double pi = 3.141592653589793; /* below the number itself */

static shape odd(interval r, bool convex_right) /* odd increasing functions, curved one way on each side of 0 */
{
    const bool right = !(r.lo < 0), left = !(r.hi > 0);
    return (shape){convex_right ? right : left, convex_right ? left : right, true, false};
}

static shape even(interval r)
{
    return (shape){true, false, !(r.lo < 0), !(r.hi > 0)};
}

shape shape_of(int op, interval r)
{
    const shape none = {false, false, false, false};
    const bool right = !(r.lo < 0), left = !(r.hi > 0);
    switch (op) {
    case PERI_OP_EXP:
    case PERI_OP_EXPM1:
    case PERI_OP_SOFTPLUS:
    case PERI_OP_RELU: return (shape){true, false, true, false};
    case PERI_OP_LOG:
    case PERI_OP_LOG1P:
    case PERI_OP_SQRT: return (shape){false, true, true, false};
    case PERI_OP_SQUARE:
    case PERI_OP_ABS:
    case PERI_OP_COSH: return even(r);
    case PERI_OP_RECIP: return (shape){right, left, false, right || left};
    case PERI_OP_SIN: return (shape){r.lo >= -pi && left, right && r.hi <= pi, false, false};
    case PERI_OP_COS: return (shape){false, r.lo >= -pi / 2 && r.hi <= pi / 2, false, false};
    case PERI_OP_TAN:
        return (shape){right && r.hi < pi / 2, left && r.lo > -pi / 2, r.lo > -pi / 2 && r.hi < pi / 2, false};
    case PERI_OP_ASIN:
    case PERI_OP_SINH: return odd(r, true);
    case PERI_OP_ACOS: return (shape){left, right, false, true};
    case PERI_OP_ATAN:
    case PERI_OP_TANH:
    case PERI_OP_SIGMOID: return odd(r, false);
    default: return none;
    }
}

shape shape_of_power(double p, interval r)
{
    const bool right = !(r.lo < 0), left = !(r.hi > 0);
    const bool whole = p == floor(p), even_p = whole && fmod(p, 2) == 0;
    if (p > 1 && even_p)
        return even(r);
    if (p > 1 && whole)
        return odd(r, true);
    if (p > 1)
        return (shape){true, false, right, false};
    if (p > 0)
        return (shape){false, true, true, false};
    if (!whole)
        return (shape){true, false, false, true};
    return (shape){right || (even_p && left), left && !even_p, left && even_p, right || (left && !even_p)};
}

shape shape_of_exponential(double base)
{
    return (shape){base > 0, false, base >= 1, base > 0 && base <= 1};
}
