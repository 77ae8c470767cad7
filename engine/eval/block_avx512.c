/* SPDX-License-Identifier: Apache-2.0 */
/* block_avx512.c - the instructions for processors with AVX-512: eight numbers a vector. Compiled with flags of its own. */
#include "eval/block.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>
#include <sleef.h>

#define W 8
typedef __m512d V;
#define load(p) _mm512_loadu_pd(p)
#define store(p, v) _mm512_storeu_pd((p), (v))
#define load_part(p, k) _mm512_maskz_loadu_pd((__mmask8)((1u << (k)) - 1), (p))
#define load_rest(p, k) _mm512_mask_loadu_pd(spread(1), (__mmask8)((1u << (k)) - 1), (p))
#define store_part(p, v, k) _mm512_mask_storeu_pd((p), (__mmask8)((1u << (k)) - 1), (v))
#define spread(x) _mm512_set1_pd(x)
#define multiply_add(a, b, c) _mm512_fmadd_pd((a), (b), (c))
#define fused(a, b, c) multiply_add((a), (b), (c))
#define root(a) _mm512_sqrt_pd(a)
#define magnitude(a) _mm512_andnot_pd(_mm512_set1_pd(-0.0), (a))
#define above(a, b) _mm512_cmp_pd_mask((a), (b), _CMP_GT_OQ)
#define is_nan(a) _mm512_cmp_pd_mask((a), (a), _CMP_UNORD_Q)
#define any(m) ((m) != 0)
#define pick(m, a, b) _mm512_mask_blend_pd((m), (b), (a))
#define SLEEF_U10(name) Sleef_##name##d8_u10avx512f
#define SLEEF_U35(name) Sleef_##name##d8_u35avx512f
#define MVEC1(name) _ZGVeN8v_##name
#define MVEC2(name) _ZGVeN8vv_##name

#define FUSED_MATH
#define exp_parts 16
#define exp_argument(a) _mm512_min_pd(spread(800), _mm512_max_pd(spread(-800), (a))) /* of a number and NaN, NaN */
#define exp_result(r, a) (r)
#define is_odd(m) _mm512_test_epi64_mask(_mm512_castpd_si512(m), _mm512_set1_epi64(1))
#define signed_as(r, a) _mm512_xor_pd((r), _mm512_and_pd((a), spread(-0.0)))

#define one_of(table, n) _mm512_permutex2var_pd(load(table), _mm512_castpd_si512(n), load((table) + 8))
#define exp_power(n, k, w) _mm512_scalef_pd(multiply_add(one_of(exp_powers, (n)), (w), one_of(exp_powers, (n))), (k) * spread(1.0 / exp_parts))

static inline V near_reciprocal(V d)
{
    const V y = _mm512_rcp14_pd(d);
    return multiply_add(multiply_add(-d, y, spread(1)), y, y);
}

#include "eval/vmath.h"

#define every_other(a, b) _mm512_permutex2var_pd((a), _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), (b))

static inline void interleave(V a, V b, V *lo, V *hi)
{
    *lo = _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
    *hi = _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
}

static inline void put_pairs(double *d, int64_t stride, V v)
{
    _mm_storeu_pd(d, _mm512_castpd512_pd128(v));
    _mm_storeu_pd(d + stride, _mm512_extractf64x2_pd(v, 1));
    _mm_storeu_pd(d + 2 * stride, _mm512_extractf64x2_pd(v, 2));
    _mm_storeu_pd(d + 3 * stride, _mm512_extractf64x2_pd(v, 3));
}

static inline void put_fours(double *d, int64_t stride, V v)
{
    _mm256_storeu_pd(d, _mm512_castpd512_pd256(v));
    _mm256_storeu_pd(d + stride, _mm512_extractf64x4_pd(v, 1));
}

static inline void sine_cosine(V a, V *s, V *c)
{
    const Sleef___m512d_2 r = V_sincos(a);
    *s = r.x;
    *c = r.y;
}

static bool is_there(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
}

#define FETCH_TARGET __attribute__((target("prfchw"))) /* every processor with AVX2 takes it, as no operation if need be */
#define NAME "avx512"
#define TABLE eval_avx512
#include "eval/block_kernels.h"
#else
static bool is_there(void)
{
    return false;
}

const eval_simd eval_avx512 = {"avx512", is_there, NULL, NULL, NULL, NULL, NULL, NULL};
#endif
