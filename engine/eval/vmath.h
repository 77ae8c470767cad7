/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmath.h - which library's function a block_*.c takes for each mathematical function: the fastest of those that stay within two units of the last
 * place, by bench/vmath (its table is in bench/vmath.md) and tests/unit/eval_accuracy. Included after
 *     SLEEF_U10(name) SLEEF_U35(name)    SLEEF's names, errors up to 1.0 and, by its documentation, 3.5 units
 *     MVEC1(name) MVEC2(name)            those of glibc's libmvec, of one and two arguments; errors up to 4 units by its documentation
 *     V                                  the vector type
 *     FUSED_MATH                         where products and sums can be fused: exp and tan of our own, and what vmath_kernels.h asks for
 * What stays with u10 is there because both others were beyond two units: exp and tan without FUSED_MATH, expm1, asin, tanh.
 */
#ifdef PERI_HAVE_MVEC
V MVEC1(log)(V);
V MVEC1(log1p)(V);
V MVEC1(atan)(V);
V MVEC1(sinh)(V);
V MVEC1(cosh)(V);
V MVEC2(pow)(V, V);
#define V_log MVEC1(log)
#define V_log1p MVEC1(log1p)
#define V_atan MVEC1(atan)
#ifdef SINH_U10 /* without fused operations libmvec's comes to 2.02 */
#define V_sinh SLEEF_U10(sinh)
#else
#define V_sinh MVEC1(sinh)
#endif
#define V_cosh MVEC1(cosh)
#define V_pow MVEC2(pow)
#else
#define V_log SLEEF_U10(log)
#define V_log1p SLEEF_U10(log1p)
#define V_atan SLEEF_U35(atan)
#define V_sinh SLEEF_U10(sinh)
#define V_cosh SLEEF_U10(cosh)
#define V_pow SLEEF_U10(pow)
#endif
#ifdef FUSED_MATH
#include "eval/vmath_kernels.h"
#define V_exp exp_near
#define V_tan tan_near
#else
#define V_exp SLEEF_U10(exp)
#define V_tan SLEEF_U10(tan)
#endif
#define V_expm1 SLEEF_U10(expm1)
#define V_sin SLEEF_U35(sin)
#define V_cos SLEEF_U35(cos)
#define V_sin_large SLEEF_U10(sin)
#define V_cos_large SLEEF_U10(cos)
#define V_sincos SLEEF_U35(sincos)
#define V_asin SLEEF_U10(asin)
#define V_acos SLEEF_U35(acos)
#define V_tanh SLEEF_U10(tanh)
#define V_atan2 SLEEF_U35(atan2)
#ifdef one_of
#define V_log1p_near log1p_unit
#else
#define V_log1p_near SLEEF_U10(log1p)
#endif
#define MATH(name) V_##name
