/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block_kernels.h - the instructions, written once over a vector type and included by block_*.c, which define
 *     V, W            vector type, its length; W divides EVAL_LANES
 *     load store load_part store_part spread    (entries behind the first k of a part are read as 0 and not written)
 *     root magnitude above is_nan pick negate_where
 *     MATH(name)      the vector mathematics function: exp, log, ...
 *     TABLE           the table's name
 * Invariant: entries outside [start, start + n) are neither read (but inside scalars' cells) nor written.
 */
#include "eval/block.h"
#include <math.h>

#define MASK(bit) (-(int64_t)(c->flags >> (bit) & 1))
#define OPERAND(k)                                                                                                     \
    const double *const p##k = c->p[k] + (start & MASK(k));                                                            \
    const int64_t s##k = MASK(8 + (k))
#define TARGET double *const d = c->dst + (start & MASK(4))

#define REST_LOAD(p) load_part((p), n - i)
#define REST_STORE(p, v) store_part((p), (v), n - i)

/* The three loops of an instruction: whole groups of lanes, whole vectors, the rest. */
#define LOOPS(READ, EXPR)                                                                                              \
    int64_t i = 0;                                                                                                     \
    for (; i + EVAL_LANES <= n; i += EVAL_LANES)                                                                       \
        for (int u = 0; u < EVAL_LANES; u += W) {                                                                      \
            READ(u, load);                                                                                             \
            store(d + i + u, EXPR);                                                                                    \
        }                                                                                                              \
    for (; i + W <= n; i += W) {                                                                                       \
        READ(0, load);                                                                                                 \
        store(d + i, EXPR);                                                                                            \
    }                                                                                                                  \
    if (W > 1 && i < n) {                                                                                              \
        READ(0, REST_LOAD);                                                                                            \
        REST_STORE(d + i, EXPR);                                                                                       \
    }

#define READ1(u, L) const V a = L(p0 + (i & s0) + (u))
#define READ2(u, L)                                                                                                    \
    READ1(u, L);                                                                                                       \
    const V b = L(p1 + (i & s1) + (u))
#define READ3(u, L)                                                                                                    \
    READ2(u, L);                                                                                                       \
    const V e = L(p2 + (i & s2) + (u))
#define READ4(u, L)                                                                                                    \
    READ3(u, L);                                                                                                       \
    const V f = L(p3 + (i & s3) + (u))

#define MAP1(NAME, EXPR)                                                                                               \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        TARGET;                                                                                                        \
        LOOPS(READ1, EXPR)                                                                                             \
    }
#define MAP2(NAME, EXPR)                                                                                               \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        OPERAND(1);                                                                                                    \
        TARGET;                                                                                                        \
        LOOPS(READ2, EXPR)                                                                                             \
    }
#define MAP3(NAME, EXPR)                                                                                               \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        OPERAND(1);                                                                                                    \
        OPERAND(2);                                                                                                    \
        TARGET;                                                                                                        \
        LOOPS(READ3, EXPR)                                                                                             \
    }
#define MAP4(NAME, EXPR)                                                                                               \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        OPERAND(1);                                                                                                    \
        OPERAND(2);                                                                                                    \
        OPERAND(3);                                                                                                    \
        TARGET;                                                                                                        \
        LOOPS(READ4, EXPR)                                                                                             \
    }

/* ---- tiles ------------------------------------------------------------------------------------------------------------- */

#define DO_ADD(x, y) ((x) + (y))
#define DO_SUB(x, y) ((x) - (y))
#define DO_MUL(x, y) ((x) * (y))
#define DO_RSUB(x, y) ((y) - (x))

#define TILES_2(o1)                                                                                                    \
    MAP2(t1_##o1, DO_##o1(a, b))                                                                                       \
    MAP3(t2_##o1##_ADD, DO_ADD(DO_##o1(a, b), e))                                                                      \
    MAP3(t2_##o1##_SUB, DO_SUB(DO_##o1(a, b), e))                                                                      \
    MAP3(t2_##o1##_MUL, DO_MUL(DO_##o1(a, b), e))                                                                      \
    MAP3(t2_##o1##_RSUB, DO_RSUB(DO_##o1(a, b), e))
TILES_2(ADD)
TILES_2(SUB)
TILES_2(MUL)

#define TILES_3(o1, o2)                                                                                                \
    MAP4(t3_##o1##_##o2##_ADD, DO_ADD(DO_##o2(DO_##o1(a, b), e), f))                                                   \
    MAP4(t3_##o1##_##o2##_SUB, DO_SUB(DO_##o2(DO_##o1(a, b), e), f))                                                   \
    MAP4(t3_##o1##_##o2##_MUL, DO_MUL(DO_##o2(DO_##o1(a, b), e), f))                                                   \
    MAP4(t3_##o1##_##o2##_RSUB, DO_RSUB(DO_##o2(DO_##o1(a, b), e), f))
#define TILES_3_ALL(o1) TILES_3(o1, ADD) TILES_3(o1, SUB) TILES_3(o1, MUL) TILES_3(o1, RSUB)
TILES_3_ALL(ADD)
TILES_3_ALL(SUB)
TILES_3_ALL(MUL)

#define TILES_4(o1, o2)                                                                                                \
    MAP4(t4_##o1##_##o2##_ADD, DO_##o2(DO_##o1(a, b), DO_ADD(e, f)))                                                   \
    MAP4(t4_##o1##_##o2##_SUB, DO_##o2(DO_##o1(a, b), DO_SUB(e, f)))                                                   \
    MAP4(t4_##o1##_##o2##_MUL, DO_##o2(DO_##o1(a, b), DO_MUL(e, f)))
#define TILES_4_ALL(o1) TILES_4(o1, ADD) TILES_4(o1, SUB) TILES_4(o1, MUL)
TILES_4_ALL(ADD)
TILES_4_ALL(SUB)
TILES_4_ALL(MUL)

/* ---- elementwise --------------------------------------------------------------------------------------------------------- */

static inline V smaller_of(V a, V b)
{
    return pick(is_nan(a), a, pick(is_nan(b), b, pick(above(b, a), a, b)));
}

static inline V larger_of(V a, V b)
{
    return pick(is_nan(a), a, pick(is_nan(b), b, pick(above(a, b), a, b)));
}

static inline V sign_of(V a)
{
    const V zero = spread(0);
    return pick(above(a, zero), spread(1), pick(above(zero, a), spread(-1), a * zero + zero)); /* NaN * 0 = NaN */
}

static inline V chosen(V c, V a, V b)
{
    return pick(is_nan(c), c, pick(above(c, spread(0)), a, b));
}

/* The library's function overflows above 2^1020 or so: log(1 + a) = log(a / 2^200) + 200 log 2 there, to the last bit. */
static inline V log1p_of(V a)
{
    const V large = spread(1e300);
    return MATH(log1p)(pick(above(a, large), a * spread(0x1p-200), a)) +
           pick(above(a, large), spread(200 * 0.69314718055994530942), spread(0));
}

static inline V sigmoid_of(V a)
{
    const V e = MATH(exp)(-magnitude(a));
    return pick(above(spread(0), a), e, spread(1)) / (spread(1) + e);
}

static inline V softplus_of(V a)
{
    const V e = MATH(exp)(-magnitude(a));
    return pick(above(a, spread(0)), a, spread(0)) + MATH(log1p)(e);
}

static inline V power_of(V a, int32_t exponent)
{
    uint32_t k = exponent < 0 ? (uint32_t)-exponent : (uint32_t)exponent;
    V r = spread(1);
    for (; k != 0; k >>= 1, a *= a)
        if (k & 1)
            r *= a;
    if (exponent < 0)
        r = spread(1) / r;
    return r;
}

MAP1(copy, a)
MAP1(op_neg, -a)
MAP1(op_abs, magnitude(a))
MAP1(op_sign, sign_of(a))
MAP1(op_step, chosen(a, spread(1), spread(0)))
MAP1(op_square, a *a)
MAP1(op_recip, spread(1) / a)
MAP1(op_sqrt, root(a))
MAP1(op_relu, chosen(a, a, spread(0)))
MAP2(op_div, a / b)
MAP2(op_min2, smaller_of(a, b))
MAP2(op_max2, larger_of(a, b))
MAP3(op_where, chosen(a, b, e))
MAP1(op_powi, power_of(a, c->imm))

/* Longer functions: one vector at a time. */
#define CALLS(READ, EXPR)                                                                                              \
    int64_t i = 0;                                                                                                     \
    for (; i + W <= n; i += W) {                                                                                       \
        READ(0, load);                                                                                                 \
        store(d + i, EXPR);                                                                                            \
    }                                                                                                                  \
    if (W > 1 && i < n) {                                                                                              \
        READ(0, REST_LOAD);                                                                                            \
        REST_STORE(d + i, EXPR);                                                                                       \
    }
#define CALL1(NAME, EXPR)                                                                                              \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        TARGET;                                                                                                        \
        CALLS(READ1, EXPR)                                                                                             \
    }
#define CALL2(NAME, EXPR)                                                                                              \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        OPERAND(1);                                                                                                    \
        TARGET;                                                                                                        \
        CALLS(READ2, EXPR)                                                                                             \
    }

CALL1(op_exp, MATH(exp)(a))
CALL1(op_expm1, MATH(expm1)(a))
CALL1(op_log, MATH(log)(a))
CALL1(op_log1p, log1p_of(a))
CALL1(op_sin, MATH(sin)(a))
CALL1(op_cos, MATH(cos)(a))
CALL1(op_tan, MATH(tan)(a))
CALL1(op_asin, MATH(asin)(a))
CALL1(op_acos, MATH(acos)(a))
CALL1(op_atan, MATH(atan)(a))
CALL1(op_sinh, MATH(sinh)(a))
CALL1(op_cosh, MATH(cosh)(a))
CALL1(op_tanh, MATH(tanh)(a))
CALL1(op_sigmoid, sigmoid_of(a))
CALL1(op_softplus, softplus_of(a))
CALL2(op_pow, MATH(pow)(a, b))
CALL2(op_atan2, MATH(atan2)(a, b))

static void op_sincos(const eval_ins *c, int64_t start, int64_t n)
{
    OPERAND(0);
    TARGET;
    double *const d2 = (double *)(uintptr_t)c->p[3] + (start & MASK(5));
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        V sine, cosine;
        sine_cosine(load(p0 + (i & s0)), &sine, &cosine);
        store(d + i, sine);
        store(d2 + i, cosine);
    }
    if (W > 1 && i < n) {
        V sine, cosine;
        sine_cosine(REST_LOAD(p0 + (i & s0)), &sine, &cosine);
        REST_STORE(d + i, sine);
        REST_STORE(d2 + i, cosine);
    }
}

/* ---- sums and extremes: EVAL_LANES partial results; instance i of a block goes to lane i modulo EVAL_LANES ------------------ */

#define ACCUMULATE(READ, EXPR)                                                                                         \
    V acc[EVAL_LANES / W];                                                                                             \
    for (int u = 0; u < EVAL_LANES / W; u++)                                                                           \
        acc[u] = load(d + u * W);                                                                                      \
    int64_t i = 0;                                                                                                     \
    for (; i + EVAL_LANES <= n; i += EVAL_LANES)                                                                       \
        for (int u = 0; u < EVAL_LANES; u += W) {                                                                      \
            READ(u, load);                                                                                             \
            acc[u / W] += EXPR;                                                                                        \
        }                                                                                                              \
    for (int u = 0; u < EVAL_LANES / W; u++)                                                                           \
        store(d + u * W, acc[u]);                                                                                      \
    double *rest = d;                                                                                                  \
    for (; i + W <= n; i += W, rest += W) {                                                                            \
        READ(0, load);                                                                                                 \
        store(rest, load(rest) + EXPR);                                                                                \
    }                                                                                                                  \
    if (W > 1 && i < n) {                                                                                              \
        READ(0, REST_LOAD);                                                                                            \
        REST_STORE(rest, REST_LOAD(rest) + EXPR);                                                                      \
    }

#define SUM1(NAME, EXPR)                                                                                               \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        double *const d = c->dst;                                                                                      \
        ACCUMULATE(READ1, EXPR)                                                                                        \
    }
#define SUM2(NAME, EXPR)                                                                                               \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        OPERAND(1);                                                                                                    \
        double *const d = c->dst;                                                                                      \
        ACCUMULATE(READ2, EXPR)                                                                                        \
    }
#define SUM3(NAME, EXPR)                                                                                               \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        OPERAND(1);                                                                                                    \
        OPERAND(2);                                                                                                    \
        double *const d = c->dst;                                                                                      \
        ACCUMULATE(READ3, EXPR)                                                                                        \
    }
#define SUMS(o1)                                                                                                       \
    SUM2(sum1_##o1, DO_##o1(a, b))                                                                                     \
    SUM3(sum2_##o1##_ADD, DO_ADD(DO_##o1(a, b), e))                                                                    \
    SUM3(sum2_##o1##_SUB, DO_SUB(DO_##o1(a, b), e))                                                                    \
    SUM3(sum2_##o1##_MUL, DO_MUL(DO_##o1(a, b), e))                                                                    \
    SUM3(sum2_##o1##_RSUB, DO_RSUB(DO_##o1(a, b), e))
SUM1(sum_acc, a)
SUMS(ADD)
SUMS(SUB)
SUMS(MUL)

#define EXTREME(NAME, BETTER)                                                                                          \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERAND(0);                                                                                                    \
        double *const d = c->dst;                                                                                      \
        int64_t i = 0;                                                                                                 \
        for (; i + EVAL_LANES <= n; i += EVAL_LANES)                                                                   \
            for (int u = 0; u < EVAL_LANES; u += W)                                                                    \
                store(d + u, BETTER(load(d + u), load(p0 + (i & s0) + u)));                                            \
        double *rest = d;                                                                                              \
        for (; i + W <= n; i += W, rest += W)                                                                          \
            store(rest, BETTER(load(rest), load(p0 + (i & s0))));                                                      \
        if (W > 1 && i < n)                                                                                            \
            REST_STORE(rest, BETTER(REST_LOAD(rest), REST_LOAD(p0 + (i & s0))));                                       \
    }
EXTREME(max_acc, larger_of)
EXTREME(min_acc, smaller_of)

/* ---- moving data ------------------------------------------------------------------------------------------------------------ */

static void load_strided(const eval_ins *c, int64_t start, int64_t n)
{
    const int64_t stride = c->imm;
    const double *const p = c->p[0] + start * stride;
    TARGET;
    for (int64_t i = 0; i < n; i++)
        d[i] = p[i * stride];
}

static void load_list(const eval_ins *c, int64_t start, int64_t n)
{
    const int32_t *const index = c->index + start;
    const double *const p = c->p[0];
    TARGET;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const double a0 = p[index[i]], a1 = p[index[i + 1]], a2 = p[index[i + 2]], a3 = p[index[i + 3]];
        d[i] = a0;
        d[i + 1] = a1;
        d[i + 2] = a2;
        d[i + 3] = a3;
    }
    for (; i < n; i++)
        d[i] = p[index[i]];
}

static void store_strided(const eval_ins *c, int64_t start, int64_t n)
{
    OPERAND(0);
    const int64_t stride = c->imm;
    double *const d = c->dst + start * stride;
    for (int64_t i = 0; i < n; i++)
        d[i * stride] = p0[i & s0];
}

static void add_strided(const eval_ins *c, int64_t start, int64_t n)
{
    OPERAND(0);
    const int64_t stride = c->imm;
    double *const d = c->dst + start * stride;
    for (int64_t i = 0; i < n; i++)
        d[i * stride] += p0[i & s0];
}

static void store_list(const eval_ins *c, int64_t start, int64_t n)
{
    OPERAND(0);
    const int32_t *const index = c->index + start;
    double *const d = c->dst;
    for (int64_t i = 0; i < n; i++)
        d[index[i]] = p0[i & s0];
}

static void add_list(const eval_ins *c, int64_t start, int64_t n)
{
    OPERAND(0);
    const int32_t *const index = c->index + start;
    double *const d = c->dst;
    for (int64_t i = 0; i < n; i++)
        d[index[i]] += p0[i & s0];
}

/* ---- the table ---------------------------------------------------------------------------------------------------------------- */

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

static const eval_fn functions[EVAL_CODES] = {
    [PERI_OP_NEG] = op_neg,
    [PERI_OP_ABS] = op_abs,
    [PERI_OP_SIGN] = op_sign,
    [PERI_OP_STEP] = op_step,
    [PERI_OP_SQUARE] = op_square,
    [PERI_OP_RECIP] = op_recip,
    [PERI_OP_SQRT] = op_sqrt,
    [PERI_OP_EXP] = op_exp,
    [PERI_OP_EXPM1] = op_expm1,
    [PERI_OP_LOG] = op_log,
    [PERI_OP_LOG1P] = op_log1p,
    [PERI_OP_SIN] = op_sin,
    [PERI_OP_COS] = op_cos,
    [PERI_OP_TAN] = op_tan,
    [PERI_OP_ASIN] = op_asin,
    [PERI_OP_ACOS] = op_acos,
    [PERI_OP_ATAN] = op_atan,
    [PERI_OP_SINH] = op_sinh,
    [PERI_OP_COSH] = op_cosh,
    [PERI_OP_TANH] = op_tanh,
    [PERI_OP_SIGMOID] = op_sigmoid,
    [PERI_OP_SOFTPLUS] = op_softplus,
    [PERI_OP_RELU] = op_relu,
    [PERI_OP_DIV] = op_div,
    [PERI_OP_POW] = op_pow,
    [PERI_OP_ATAN2] = op_atan2,
    [PERI_OP_MIN2] = op_min2,
    [PERI_OP_MAX2] = op_max2,
    [PERI_OP_WHERE] = op_where,
    [EVAL_COPY] = copy,
    [EVAL_POWI] = op_powi,
    [EVAL_SINCOS] = op_sincos,
    [EVAL_LOAD_STRIDED] = load_strided,
    [EVAL_LOAD_LIST] = load_list,
    [EVAL_STORE_STRIDED] = store_strided,
    [EVAL_ADD_STRIDED] = add_strided,
    [EVAL_STORE_LIST] = store_list,
    [EVAL_ADD_LIST] = add_list,
    [EVAL_MAX_ACC] = max_acc,
    [EVAL_MIN_ACC] = min_acc,
    [EVAL_SUM_ACC] = sum_acc,
    [EVAL_SUM_T1 + EVAL_ADD] = sum1_ADD,
    [EVAL_SUM_T1 + EVAL_SUB] = sum1_SUB,
    [EVAL_SUM_T1 + EVAL_MUL] = sum1_MUL,
    T2_ENTRIES(0, sum2, EVAL_SUM_T2, ADD),
    T2_ENTRIES(1, sum2, EVAL_SUM_T2, SUB),
    T2_ENTRIES(2, sum2, EVAL_SUM_T2, MUL),
    [EVAL_T1 + EVAL_ADD] = t1_ADD,
    [EVAL_T1 + EVAL_SUB] = t1_SUB,
    [EVAL_T1 + EVAL_MUL] = t1_MUL,
    T2_ENTRIES(0, t2, EVAL_T2, ADD),
    T2_ENTRIES(1, t2, EVAL_T2, SUB),
    T2_ENTRIES(2, t2, EVAL_T2, MUL),
    T3_ENTRIES(0, ADD),
    T3_ENTRIES(1, SUB),
    T3_ENTRIES(2, MUL),
    T4_ENTRIES(0, ADD),
    T4_ENTRIES(1, SUB),
    T4_ENTRIES(2, MUL),
};

const eval_simd TABLE = {NAME, is_there, functions};
