/* SPDX-License-Identifier: Apache-2.0 */
/* scalar.c - what each elementwise operation computes, one entry at a time: the definition that everything else is tested against. */
#include "expr/node.h"
#include <math.h>

static double sigmoid(double a)
{
    if (a >= 0)
        return 1.0 / (1.0 + exp(-a));
    const double e = exp(a);
    return e / (1.0 + e);
}

static double softplus(double a)
{
    return a > 0 ? a + log1p(exp(-a)) : log1p(exp(a));
}

static double scalar_unary(int op, double a)
{
    switch (op) {
    case PERI_OP_NEG: return -a;
    case PERI_OP_ABS: return fabs(a);
    case PERI_OP_SIGN: return isnan(a) ? a : (double)((a > 0) - (a < 0));
    case PERI_OP_STEP: return isnan(a) ? a : (a > 0 ? 1.0 : 0.0);
    case PERI_OP_SQUARE: return a * a;
    case PERI_OP_RECIP: return 1.0 / a;
    case PERI_OP_SQRT: return sqrt(a);
    case PERI_OP_EXP: return exp(a);
    case PERI_OP_EXPM1: return expm1(a);
    case PERI_OP_LOG: return log(a);
    case PERI_OP_LOG1P: return log1p(a);
    case PERI_OP_SIN: return sin(a);
    case PERI_OP_COS: return cos(a);
    case PERI_OP_TAN: return tan(a);
    case PERI_OP_ASIN: return asin(a);
    case PERI_OP_ACOS: return acos(a);
    case PERI_OP_ATAN: return atan(a);
    case PERI_OP_SINH: return sinh(a);
    case PERI_OP_COSH: return cosh(a);
    case PERI_OP_TANH: return tanh(a);
    case PERI_OP_SIGMOID: return sigmoid(a);
    case PERI_OP_SOFTPLUS: return softplus(a);
    case PERI_OP_RELU: return isnan(a) ? a : (a > 0 ? a : 0.0);
    default: return NAN;
    }
}

double expr_scalar(int op, double a, double b, double c)
{
    switch (op) {
    case PERI_OP_ADD: return a + b;
    case PERI_OP_SUB: return a - b;
    case PERI_OP_MUL: return a * b;
    case PERI_OP_DIV: return a / b;
    case PERI_OP_POW: return pow(a, b);
    case PERI_OP_ATAN2: return atan2(a, b);
    case PERI_OP_MIN2: return isnan(a) || isnan(b) ? NAN : (a < b ? a : b);
    case PERI_OP_MAX2: return isnan(a) || isnan(b) ? NAN : (a > b ? a : b);
    case PERI_OP_FMA: return fma(a, b, c);
    case PERI_OP_WHERE: return isnan(a) ? a : (a > 0 ? b : c);
    default: return scalar_unary(op, a);
    }
}
