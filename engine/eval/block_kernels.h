/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block_kernels.h - the instructions, written once over a vector type and included by block_*.c, which define
 *     V, W            vector type, its length; W divides EVAL_LANES
 *     load store load_part store_part spread    (entries behind the first k of a part are read as 0 and not written)
 *     load_rest           as load_part, but with ones behind: where the functions below are fast
 *     root magnitude above is_nan any pick multiply_add
 *     fused               a * b + c, rounded once; multiply_add may round twice
 *     every_other         the even entries of two vectors, one after the other
 *     interleave          of two vectors, into the lower and the upper half of the result
 *     put_pairs put_fours (d, stride, v): entries of v, two or four at a time, stored at d, d + stride, ...
 *     MATH(name)      the vector mathematics function: exp, log, ...
 *     TABLE           the table's name
 *     FETCH_TARGET    attribute of the function that fetches cache lines, or nothing
 * Invariant: entries outside [start, start + n) are neither read (but inside scalars' cells) nor written.
 */
#include "eval/block.h"
#include "eval/block_tiles.h"
#include <math.h>

#define MASK(bit) (-(int64_t)(c->flags >> (bit) & 1))
#define TARGET double *const d = c->dst + (start & MASK(4))

/* Operand k in two vectors, v0 and v1: a scalar is read once, an array in the loop, unless it is the same as an earlier operand. */
#define OPERAND(k, v)                                                                                                  \
    const double *const p##k = c->p[k] + (start & MASK(k));                                                            \
    const bool is_array##k = (c->flags >> (8 + (k)) & 1) != 0;                                                         \
    V v##0 = spread(0), v##1 = v##0;                                                                                   \
    if (!is_array##k)                                                                                                  \
        v##0 = v##1 = load(p##k)
#define OPERANDS1 OPERAND(0, a)
#define OPERANDS2                                                                                                      \
    OPERANDS1;                                                                                                         \
    OPERAND(1, b);                                                                                                     \
    const bool same1 = (c->flags >> 12 & 1) != 0
#define OPERANDS3                                                                                                      \
    OPERANDS2;                                                                                                         \
    OPERAND(2, e);                                                                                                     \
    const bool same2 = (c->flags >> 13 & 1) != 0
#define OPERANDS4                                                                                                      \
    OPERANDS3;                                                                                                         \
    OPERAND(3, f);                                                                                                     \
    const bool same3 = (c->flags >> 14 & 1) != 0

#define READ(k, v, at)                                                                                                 \
    if (is_array##k) {                                                                                                 \
        v##0 = load(p##k + (at));                                                                                      \
        v##1 = load(p##k + (at) + W);                                                                                  \
    }
#define READ_OR(k, v, at, w)                                                                                           \
    if (same##k) {                                                                                                     \
        v##0 = w##0;                                                                                                   \
        v##1 = w##1;                                                                                                   \
    } else                                                                                                             \
        READ(k, v, at)
#define READS1(at) READ(0, a, at)
#define READS2(at) READS1(at) READ_OR(1, b, at, a)
#define READS3(at) READS2(at) READ_OR(2, e, at, a)
#define READS4(at) READS3(at) READ_OR(3, f, at, e)

/* One vector, or part of one */
#define ONE(k, v, L)                                                                                                   \
    if (is_array##k)                                                                                                   \
        v##0 = L(p##k + i);
#define ONE1(L) ONE(0, a, L)
#define ONE2(L) ONE1(L) ONE(1, b, L)
#define ONE3(L) ONE2(L) ONE(2, e, L)
#define ONE4(L) ONE3(L) ONE(3, f, L)
#define REST_LOAD(p) load_part((p), n - i)
#define REST_LOAD_1(p) load_rest((p), n - i)

#define ARGS1(j) (a##j)
#define ARGS2(j) (a##j, b##j)
#define ARGS3(j) (a##j, b##j, e##j)
#define ARGS4(j) (a##j, b##j, e##j, f##j)
#define APPLY(F, args) F args

/* dst = F(operands): pairs of vectors, a vector, part of a vector */
#define MAP(NAME, N, F)                                                                                                \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERANDS##N;                                                                                                   \
        TARGET;                                                                                                        \
        int64_t i = 0;                                                                                                 \
        for (; i + 2 * W <= n; i += 2 * W) {                                                                           \
            READS##N(i) store(d + i, APPLY(F, ARGS##N(0)));                                                            \
            store(d + i + W, APPLY(F, ARGS##N(1)));                                                                    \
        }                                                                                                              \
        for (; i + W <= n; i += W) {                                                                                   \
            ONE##N(load) store(d + i, APPLY(F, ARGS##N(0)));                                                           \
        }                                                                                                              \
        if (W > 1 && i < n) {                                                                                          \
            ONE##N(REST_LOAD) store_part(d + i, APPLY(F, ARGS##N(0)), n - i);                                          \
        }                                                                                                              \
    }

/* ---- tiles ------------------------------------------------------------------------------------------------------------- */

#define T2(o1, o2)                                                                                                     \
    static inline V do2_##o1##_##o2(V a, V b, V e)                                                                     \
    {                                                                                                                  \
        return DO_2(o1, o2, a, b, e);                                                                                  \
    }                                                                                                                  \
    MAP(t2_##o1##_##o2, 3, do2_##o1##_##o2)
#define T3(o1, o2, o3)                                                                                                 \
    static inline V do3_##o1##_##o2##_##o3(V a, V b, V e, V f)                                                         \
    {                                                                                                                  \
        return DO_3(o1, o2, o3, a, b, e, f);                                                                           \
    }                                                                                                                  \
    MAP(t3_##o1##_##o2##_##o3, 4, do3_##o1##_##o2##_##o3)
#define T4(o1, o2, o3)                                                                                                 \
    static inline V do4_##o1##_##o2##_##o3(V a, V b, V e, V f)                                                         \
    {                                                                                                                  \
        return DO_4(o1, o2, o3, a, b, e, f);                                                                           \
    }                                                                                                                  \
    MAP(t4_##o1##_##o2##_##o3, 4, do4_##o1##_##o2##_##o3)

MAP(t1_ADD, 2, DO_ADD)
MAP(t1_SUB, 2, DO_SUB)
MAP(t1_MUL, 2, DO_MUL)
T_ALL

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
    const V large = spread(1e300), r = MATH(log1p)(pick(above(a, large), a * spread(0x1p-200), a));
    return pick(above(a, large), r + spread(200 * 0.69314718055994530942), r); /* adding 0 would lose the sign of -0 */
}

/* The faster functions reduce large angles less exactly: beyond 2^20 they come to 2.2 units. */
static inline V sine_of(V a)
{
    const V r = MATH(sin)(a), size = magnitude(a), large = spread(0x1p20);
    return any(above(size, large)) ? pick(above(size, large), MATH(sin_large)(a), r) : r;
}

static inline V cosine_of(V a)
{
    const V r = MATH(cos)(a), size = magnitude(a), large = spread(0x1p20);
    return any(above(size, large)) ? pick(above(size, large), MATH(cos_large)(a), r) : r;
}

static inline void sine_cosine_of(V a, V *s, V *c)
{
    sine_cosine(a, s, c);
    if (any(above(magnitude(a), spread(0x1p20)))) {
        *s = sine_of(a);
        *c = cosine_of(a);
    }
}

/* exp(a) / 2 for a from 700 on, where exp itself overflows before: with c = 64 log 2 = hi + lo, a - hi without rounding, exp(a) = exp(a - c) 2^64. */
static inline V half_exp(V a)
{
    const V most = spread(720), e = MATH(exp)(pick(above(a, most), most, a) - spread(0x1.62e42fefa39e0p+5));
    return (e - e * spread(0x1.e6af278ece601p-44)) * spread(0x1p63);
}

/* SLEEF's functions are infinite from the logarithm of the largest number on. */
static inline V sinh_of(V a)
{
    const V r = MATH(sinh)(a), size = magnitude(a), large = spread(700);
    if (!any(above(size, large)))
        return r;
    const V h = half_exp(size);
    return pick(above(size, large), pick(above(a, spread(0)), h, -h), r);
}

static inline V cosh_of(V a)
{
    const V r = MATH(cosh)(a), size = magnitude(a), large = spread(700);
    return any(above(size, large)) ? pick(above(size, large), half_exp(size), r) : r;
}

static inline V sigmoid_of(V a)
{
    const V e = MATH(exp)(-magnitude(a));
    return pick(above(spread(0), a), e, spread(1)) / (spread(1) + e);
}

static inline V softplus_of(V a)
{
    const V e = MATH(exp)(-magnitude(a));
    return pick(above(a, spread(0)), a, spread(0)) + MATH(log1p_near)(e); /* e <= 1, and has an error of its own already */
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

/* Powers with half exponents: -0 is taken as 0. */
static inline V half_power_of(V a, int32_t twice)
{
    a = a + spread(0);
    V r = power_of(a, ((twice < 0 ? -twice : twice) - 1) / 2) * root(a);
    if (twice < 0)
        r = spread(1) / r;
    return r;
}

#define DO_COPY(a) (a)
#define DO_NEG(a) (-(a))
#define DO_STEP(a) chosen(a, spread(1), spread(0))
#define DO_SQUARE(a) ((a) * (a))
#define DO_RECIP(a) (spread(1) / (a))
#define DO_RELU(a) chosen(a, a, spread(0))
#define DO_DIV(a, b) ((a) / (b))
#define DO_POWI(a) power_of(a, c->imm)
#define DO_POWH(a) half_power_of(a, c->imm)
MAP(copy, 1, DO_COPY)
MAP(op_neg, 1, DO_NEG)
MAP(op_abs, 1, magnitude)
MAP(op_sign, 1, sign_of)
MAP(op_step, 1, DO_STEP)
MAP(op_square, 1, DO_SQUARE)
MAP(op_recip, 1, DO_RECIP)
MAP(op_sqrt, 1, root)
MAP(op_relu, 1, DO_RELU)
MAP(op_div, 2, DO_DIV)
MAP(op_min2, 2, smaller_of)
MAP(op_max2, 2, larger_of)
MAP(op_where, 3, chosen)
MAP(op_fma, 3, fused)
MAP(op_powi, 1, DO_POWI)
MAP(op_powh, 1, DO_POWH)

/* Longer functions: one vector at a time. */
#define CALL(NAME, N, F)                                                                                               \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERANDS##N;                                                                                                   \
        TARGET;                                                                                                        \
        int64_t i = 0;                                                                                                 \
        for (; i + W <= n; i += W) {                                                                                   \
            ONE##N(load) store(d + i, APPLY(F, ARGS##N(0)));                                                           \
        }                                                                                                              \
        if (W > 1 && i < n) {                                                                                          \
            ONE##N(REST_LOAD_1) store_part(d + i, APPLY(F, ARGS##N(0)), n - i);                                          \
        }                                                                                                              \
        UNUSED##N;                                                                                                     \
    }
#define UNUSED1 (void)a1
#define UNUSED2 (void)a1, (void)b1, (void)same1
#define UNUSED4 UNUSED2, (void)e1, (void)same2, (void)f1, (void)same3
CALL(op_exp, 1, MATH(exp))
CALL(op_expm1, 1, MATH(expm1))
CALL(op_log, 1, MATH(log))
CALL(op_log1p, 1, log1p_of)
CALL(op_sin, 1, sine_of)
CALL(op_cos, 1, cosine_of)
CALL(op_tan, 1, MATH(tan))
CALL(op_asin, 1, MATH(asin))
CALL(op_acos, 1, MATH(acos))
CALL(op_atan, 1, MATH(atan))
CALL(op_sinh, 1, sinh_of)
CALL(op_cosh, 1, cosh_of)
CALL(op_tanh, 1, MATH(tanh))
CALL(op_sigmoid, 1, sigmoid_of)
CALL(op_softplus, 1, softplus_of)
CALL(op_pow, 2, MATH(pow))
CALL(op_atan2, 2, MATH(atan2))

static void op_sincos(const eval_ins *c, int64_t start, int64_t n)
{
    OPERANDS1;
    TARGET;
    double *const d2 = (double *)(uintptr_t)c->p[3] + (start & MASK(5));
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        V sine, cosine;
        ONE1(load)
        sine_cosine_of(a0, &sine, &cosine);
        store(d + i, sine);
        store(d2 + i, cosine);
    }
    if (W > 1 && i < n) {
        V sine, cosine;
        ONE1(REST_LOAD_1)
        sine_cosine_of(a0, &sine, &cosine);
        store_part(d + i, sine, n - i);
        store_part(d2 + i, cosine, n - i);
    }
    UNUSED1;
}

/* ---- sums and extremes: EVAL_LANES partial results; instance i of a block goes to lane i modulo EVAL_LANES ------------------ */

#define REDUCE(NAME, N, F, JOIN)                                                                                       \
    static void NAME(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        OPERANDS##N;                                                                                                   \
        double *rest = c->dst;                                                                                         \
        V acc[EVAL_LANES / W];                                                                                         \
        for (int u = 0; u < EVAL_LANES / W; u++)                                                                       \
            acc[u] = load(c->dst + u * W);                                                                             \
        int64_t i = 0;                                                                                                 \
        for (; i + EVAL_LANES <= n; i += EVAL_LANES)                                                                   \
            for (int u = 0; u < EVAL_LANES / W; u += 2) {                                                              \
                READS##N(i + u * W) acc[u] = JOIN(acc[u], APPLY(F, ARGS##N(0)));                                       \
                acc[u + 1] = JOIN(acc[u + 1], APPLY(F, ARGS##N(1)));                                                   \
            }                                                                                                          \
        for (int u = 0; u < EVAL_LANES / W; u++)                                                                       \
            store(c->dst + u * W, acc[u]);                                                                             \
        for (; i + W <= n; i += W, rest += W) {                                                                        \
            ONE##N(load) store(rest, JOIN(load(rest), APPLY(F, ARGS##N(0))));                                          \
        }                                                                                                              \
        if (W > 1 && i < n) {                                                                                          \
            ONE##N(REST_LOAD) store_part(rest, JOIN(load_part(rest, n - i), APPLY(F, ARGS##N(0))), n - i);             \
        }                                                                                                              \
    }

#define SUMS(o1)                                                                                                       \
    REDUCE(sum1_##o1, 2, DO_##o1, DO_ADD)                                                                              \
    REDUCE(sum2_##o1##_ADD, 3, do2_##o1##_ADD, DO_ADD)                                                                 \
    REDUCE(sum2_##o1##_SUB, 3, do2_##o1##_SUB, DO_ADD)                                                                 \
    REDUCE(sum2_##o1##_MUL, 3, do2_##o1##_MUL, DO_ADD)                                                                 \
    REDUCE(sum2_##o1##_RSUB, 3, do2_##o1##_RSUB, DO_ADD)
REDUCE(sum_acc, 1, DO_COPY, DO_ADD)
REDUCE(max_acc, 1, DO_COPY, larger_of)
REDUCE(min_acc, 1, DO_COPY, smaller_of)

/* Which lane a value goes to does not matter; neither does how often it is rounded. */
static void watch(const eval_ins *c, int64_t start, int64_t n)
{
    V acc[2] = {load(c->dst), spread(0)};
    const V large = spread(EVAL_VOUCHED);
    for (int k = 0; k < c->imm; k++) {
        const double *const p = c->p[k] + (start & MASK(k));
        const bool is_array = (c->flags >> (8 + k) & 1) != 0;
        int64_t i = 0;
        if (!is_array)
            acc[0] = multiply_add(load(p), large, acc[0]);
        for (; is_array && i + 2 * W <= n; i += 2 * W) {
            acc[0] = multiply_add(load(p + i), large, acc[0]);
            acc[1] = multiply_add(load(p + i + W), large, acc[1]);
        }
        for (; is_array && i + W <= n; i += W)
            acc[0] = multiply_add(load(p + i), large, acc[0]);
        if (W > 1 && is_array && i < n)
            acc[1] = multiply_add(load_part(p + i, n - i), large, acc[1]);
    }
    store(c->dst, acc[0] + acc[1]);
}

SUMS(ADD)
SUMS(SUB)
SUMS(MUL)

#define SCALED(name, sum)                                                                                              \
    static void name(const eval_ins *c, int64_t start, int64_t n)                                                      \
    {                                                                                                                  \
        double lanes[EVAL_LANES] = {0};                                                                                \
        eval_ins plain = *c;                                                                                           \
        plain.dst = lanes;                                                                                             \
        sum(&plain, start, n);                                                                                         \
        for (int u = 0; u < EVAL_LANES; u += W)                                                                        \
            store(c->dst + u, load(c->dst + u) + spread(c->p[3][0]) * load(lanes + u));                                \
    }
SCALED(scaled_acc, sum_acc)
SCALED(scaled_ADD, sum1_ADD)
SCALED(scaled_SUB, sum1_SUB)
SCALED(scaled_MUL, sum1_MUL)

/* ---- moving data ------------------------------------------------------------------------------------------------------------ */

static void load_strided(const eval_ins *c, int64_t start, int64_t n)
{
    const int64_t stride = c->imm;
    const double *const p = c->p[0] + start * stride;
    TARGET;
    int64_t i = 0;
    for (; stride == 2 && i + W < n; i += W) /* the last vector would read behind the last entry */
        store(d + i, every_other(load(p + 2 * i), load(p + 2 * i + W)));
    for (; i < n; i++)
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

/* The part of a row of a grid: p[j * imm] for j < m. */
static void load_row(const double *p, int64_t stride, int64_t m, double *d)
{
    int64_t j = 0;
    if (stride == 1) {
        for (; j + W <= m; j += W)
            store(d + j, load(p + j));
        if (W > 1 && j < m)
            store_part(d + j, load_part(p + j, m - j), m - j);
        return;
    }
    if (stride == 0) {
        const V same = spread(*p);
        for (; j + W <= m; j += W)
            store(d + j, same);
        if (W > 1 && j < m)
            store_part(d + j, same, m - j);
        return;
    }
    for (; j < m; j++)
        d[j] = p[j * stride];
}

static void load_grid(const eval_ins *c, int64_t start, int64_t n)
{
    const int64_t period = c->index[0], outer = c->index[1], stride = c->imm;
    int64_t row = start / period, column = start % period;
    TARGET;
    for (int64_t i = 0; i < n; row++, column = 0) {
        const int64_t m = period - column < n - i ? period - column : n - i;
        load_row(c->p[0] + row * outer + column * stride, stride, m, d + i);
        i += m;
    }
}

#define VALUES                                                                                                         \
    const double *const v = c->p[0] + (start & MASK(0));                                                               \
    const int64_t step = MASK(8)

static void store_strided(const eval_ins *c, int64_t start, int64_t n)
{
    VALUES;
    const int64_t stride = c->imm;
    double *const d = c->dst + start * stride;
    for (int64_t i = 0; i < n; i++)
        d[i * stride] = v[i & step];
}

static void add_strided(const eval_ins *c, int64_t start, int64_t n)
{
    VALUES;
    const int64_t stride = c->imm;
    double *const d = c->dst + start * stride;
    for (int64_t i = 0; i < n; i++)
        d[i * stride] += v[i & step];
}

static void store_list(const eval_ins *c, int64_t start, int64_t n)
{
    VALUES;
    const int32_t *const index = c->index + start;
    double *const d = c->dst;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const double v0 = v[i & step], v1 = v[(i + 1) & step], v2 = v[(i + 2) & step], v3 = v[(i + 3) & step];
        const int32_t i0 = index[i], i1 = index[i + 1], i2 = index[i + 2], i3 = index[i + 3];
        d[i0] = v0;
        d[i1] = v1;
        d[i2] = v2;
        d[i3] = v3;
    }
    for (; i < n; i++)
        d[index[i]] = v[i & step];
}

static void add_list(const eval_ins *c, int64_t start, int64_t n)
{
    VALUES;
    const int32_t *const index = c->index + start;
    double *const d = c->dst;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const double v0 = v[i & step], v1 = v[(i + 1) & step], v2 = v[(i + 2) & step], v3 = v[(i + 3) & step];
        const int32_t i0 = index[i], i1 = index[i + 1], i2 = index[i + 2], i3 = index[i + 3];
        d[i0] += v0;
        d[i1] += v1;
        d[i2] += v2;
        d[i3] += v3;
    }
    for (; i < n; i++)
        d[index[i]] += v[i & step];
}

static void add_pairs(const eval_ins *c, int64_t start, int64_t n)
{
    const double *const a = c->p[0] + (start & MASK(0)), *const b = c->p[1] + (start & MASK(1));
    const int64_t step_a = MASK(8), step_b = MASK(9);
    const int32_t *const index = c->index + 2 * start;
    double *const d = c->dst;
    for (int64_t i = 0; i < n; i++) {
        d[index[2 * i]] += a[i & step_a];
        d[index[2 * i + 1]] += b[i & step_b];
    }
}

/* So many partial sums, whatever the width of vectors. */
static double sum_of_row(const double *v, int64_t step, int64_t m)
{
    V sum[EVAL_ROW_LANES / W];
    double s[EVAL_ROW_LANES];
    int64_t j = 0;
    for (int k = 0; k < EVAL_ROW_LANES / W; k++)
        sum[k] = spread(0);
    for (; j + EVAL_ROW_LANES <= m; j += EVAL_ROW_LANES)
        for (int k = 0; k < EVAL_ROW_LANES / W; k++)
            sum[k] += load(v + ((j + k * W) & step));
    for (int k = 0; k < EVAL_ROW_LANES / W; k++, j += W)
        if (j < m)
            sum[k] += m - j >= W ? load(v + (j & step)) : load_part(v + (j & step), m - j);
    for (int k = 0; k < EVAL_ROW_LANES / W; k++)
        store(s + k * W, sum[k]);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* As add_list, where equal indices follow each other. */
static void add_runs(const eval_ins *c, int64_t start, int64_t n)
{
    VALUES;
    const int32_t *const index = c->index + start;
    double *const d = c->dst;
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && index[end] == index[i];)
            end++;
        d[index[i]] += sum_of_row(v + (i & step), step, end - i);
    }
}

static void add_row(const double *v, int64_t step, int64_t m, double *d, int64_t stride)
{
    int64_t j = 0;
    if (stride == 0) {
        *d += sum_of_row(v, step, m);
        return;
    }
    if (stride == 1 && step != 0) {
        for (; j + W <= m; j += W)
            store(d + j, load(d + j) + load(v + j));
        if (W > 1 && j < m)
            store_part(d + j, load_part(d + j, m - j) + load_part(v + j, m - j), m - j);
        return;
    }
    for (; j < m; j++)
        d[j * stride] += v[j & step];
}

static void add_grid(const eval_ins *c, int64_t start, int64_t n)
{
    VALUES;
    const int64_t period = c->index[0], outer = c->index[1], stride = c->imm;
    int64_t row = start / period, column = start % period;
    for (int64_t i = 0; i < n; row++, column = 0) {
        const int64_t m = period - column < n - i ? period - column : n - i;
        add_row(v + (i & step), step, m, c->dst + row * outer + column * stride, stride);
        i += m;
    }
}

#include "eval/product_kernels.h"
#include "eval/weave_kernels.h"
#include "eval/lane_kernels.h"

/* ---- the table ---------------------------------------------------------------------------------------------------------------- */

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
    [PERI_OP_FMA] = op_fma,
    [EVAL_COPY] = copy,
    [EVAL_POWI] = op_powi,
    [EVAL_POWH] = op_powh,
    [EVAL_SINCOS] = op_sincos,
    [EVAL_LOAD_STRIDED] = load_strided,
    [EVAL_LOAD_LIST] = load_list,
    [EVAL_LOAD_GRID] = load_grid,
    [EVAL_STORE_STRIDED] = store_strided,
    [EVAL_ADD_STRIDED] = add_strided,
    [EVAL_STORE_LIST] = store_list,
    [EVAL_ADD_LIST] = add_list,
    [EVAL_ADD_RUNS] = add_runs,
    [EVAL_ADD_PAIRS] = add_pairs,
    [EVAL_WEAVE] = weave,
    [EVAL_WEAVE_REST] = weave_rest,
    [EVAL_STORE_PAIRS] = store_pairs,
    [EVAL_STORE_FOURS] = store_fours,
    [EVAL_FILL] = fill_rows,
    [EVAL_ADD_GRID] = add_grid,
    [EVAL_MAX_ACC] = max_acc,
    [EVAL_MIN_ACC] = min_acc,
    [EVAL_WATCH] = watch,
    [EVAL_SUM_ACC] = sum_acc,
    [EVAL_SUM_T1 + EVAL_ADD] = sum1_ADD,
    [EVAL_SUM_T1 + EVAL_SUB] = sum1_SUB,
    [EVAL_SUM_T1 + EVAL_MUL] = sum1_MUL,
    T2_ENTRIES(0, sum2, EVAL_SUM_T2, ADD),
    T2_ENTRIES(1, sum2, EVAL_SUM_T2, SUB),
    T2_ENTRIES(2, sum2, EVAL_SUM_T2, MUL),
    [EVAL_SCALED_ACC] = scaled_acc,
    [EVAL_SCALED_T1 + EVAL_ADD] = scaled_ADD,
    [EVAL_SCALED_T1 + EVAL_SUB] = scaled_SUB,
    [EVAL_SCALED_T1 + EVAL_MUL] = scaled_MUL,
    T_TABLE,
};

/* Lines that will be written are fetched for that: otherwise each is asked for twice. */
FETCH_TARGET static void fetch(const double *at, int64_t lines, bool writes)
{
    enum { LINE = 8 };
    if (writes)
        for (int64_t k = 0; k < lines; k++)
            __builtin_prefetch(at + k * LINE, 1);
    else
        for (int64_t k = 0; k < lines; k++)
            __builtin_prefetch(at + k * LINE, 0);
}

/* ---- one vector ---------------------------------------------------------------------------------------------------------------- */

#if W >= 4
#define VECTOR1(NAME, F)                                                                                               \
    static V NAME(V a)                                                                                                 \
    {                                                                                                                  \
        return F(a);                                                                                                   \
    }
VECTOR1(vector_exp, MATH(exp))
VECTOR1(vector_expm1, MATH(expm1))
VECTOR1(vector_log, MATH(log))
VECTOR1(vector_log1p, log1p_of)
VECTOR1(vector_sin, sine_of)
VECTOR1(vector_cos, cosine_of)
VECTOR1(vector_tan, MATH(tan))
VECTOR1(vector_asin, MATH(asin))
VECTOR1(vector_acos, MATH(acos))
VECTOR1(vector_atan, MATH(atan))
VECTOR1(vector_sinh, sinh_of)
VECTOR1(vector_cosh, cosh_of)
VECTOR1(vector_tanh, MATH(tanh))
VECTOR1(vector_sigmoid, sigmoid_of)
VECTOR1(vector_softplus, softplus_of)
VECTOR1(vector_sign, sign_of)
VECTOR1(vector_step, DO_STEP)
VECTOR1(vector_relu, DO_RELU)

static V vector_pow(V a, V b)
{
    return MATH(pow)(a, b);
}

static V vector_atan2(V a, V b)
{
    return MATH(atan2)(a, b);
}

static V vector_min(V a, V b)
{
    return smaller_of(a, b);
}

static V vector_max(V a, V b)
{
    return larger_of(a, b);
}

static V vector_where(V c, V a, V b)
{
    return chosen(c, a, b);
}

static V vector_sincos(V a, V *cosine)
{
    V sine;
    sine_cosine_of(a, &sine, cosine);
    return sine;
}

static const eval_vector_fn vectors[EVAL_CODES] = {
    [PERI_OP_EXP] = (eval_vector_fn)vector_exp,
    [PERI_OP_EXPM1] = (eval_vector_fn)vector_expm1,
    [PERI_OP_LOG] = (eval_vector_fn)vector_log,
    [PERI_OP_LOG1P] = (eval_vector_fn)vector_log1p,
    [PERI_OP_SIN] = (eval_vector_fn)vector_sin,
    [PERI_OP_COS] = (eval_vector_fn)vector_cos,
    [PERI_OP_TAN] = (eval_vector_fn)vector_tan,
    [PERI_OP_ASIN] = (eval_vector_fn)vector_asin,
    [PERI_OP_ACOS] = (eval_vector_fn)vector_acos,
    [PERI_OP_ATAN] = (eval_vector_fn)vector_atan,
    [PERI_OP_SINH] = (eval_vector_fn)vector_sinh,
    [PERI_OP_COSH] = (eval_vector_fn)vector_cosh,
    [PERI_OP_TANH] = (eval_vector_fn)vector_tanh,
    [PERI_OP_SIGMOID] = (eval_vector_fn)vector_sigmoid,
    [PERI_OP_SOFTPLUS] = (eval_vector_fn)vector_softplus,
    [PERI_OP_SIGN] = (eval_vector_fn)vector_sign,
    [PERI_OP_STEP] = (eval_vector_fn)vector_step,
    [PERI_OP_RELU] = (eval_vector_fn)vector_relu,
    [PERI_OP_POW] = (eval_vector_fn)vector_pow,
    [PERI_OP_ATAN2] = (eval_vector_fn)vector_atan2,
    [PERI_OP_MIN2] = (eval_vector_fn)vector_min,
    [PERI_OP_MAX2] = (eval_vector_fn)vector_max,
    [PERI_OP_WHERE] = (eval_vector_fn)vector_where,
    [EVAL_SINCOS] = (eval_vector_fn)vector_sincos,
};
#define VECTORS vectors
#else
#define VECTORS NULL
#endif

/* The sum of 0 v[i]: 0, or NaN when an entry is not finite. */
static bool is_finite(int64_t n, const double *v)
{
    enum { AT_ONCE = 4 };
    V sum[AT_ONCE], zero = spread(0);
    int64_t i = 0;
    for (int u = 0; u < AT_ONCE; u++)
        sum[u] = zero;
    for (; i + AT_ONCE * W <= n; i += AT_ONCE * W)
        for (int u = 0; u < AT_ONCE; u++)
            sum[u] = multiply_add(load(v + i + u * W), zero, sum[u]);
    for (; i + W <= n; i += W)
        sum[0] = multiply_add(load(v + i), zero, sum[0]);
    if (W > 1 && i < n)
        sum[1] = multiply_add(load_part(v + i, n - i), zero, sum[1]);
    return !any(is_nan((sum[0] + sum[1]) + (sum[2] + sum[3])));
}

const eval_simd TABLE = {NAME, is_there, functions, fetch, product, dot, is_finite, rows_product, VECTORS};
