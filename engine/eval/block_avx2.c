/* SPDX-License-Identifier: Apache-2.0 */
/* block_avx2.c - the instructions for processors with AVX2: four numbers a vector. Compiled with flags of its own. */
#include "eval/block.h"

#ifdef __AVX2__
#include <immintrin.h>
#include <sleef.h>

#define W 4
typedef __m256d V;
#define load(p) _mm256_loadu_pd(p)
#define store(p, v) _mm256_storeu_pd((p), (v))

static inline __m256i first(int64_t k)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(k), _mm256_setr_epi64x(0, 1, 2, 3));
}

#define load_part(p, k) _mm256_maskload_pd((p), first(k))
#define load_rest(p, k) _mm256_blendv_pd(spread(1), load_part((p), (k)), _mm256_castsi256_pd(first(k)))
#define store_part(p, v, k) _mm256_maskstore_pd((p), first(k), (v))
#define spread(x) _mm256_set1_pd(x)
#define multiply_add(a, b, c) _mm256_fmadd_pd((a), (b), (c))
#define fused(a, b, c) multiply_add((a), (b), (c))
#define root(a) _mm256_sqrt_pd(a)
#define magnitude(a) _mm256_andnot_pd(_mm256_set1_pd(-0.0), (a))
#define above(a, b) _mm256_cmp_pd((a), (b), _CMP_GT_OQ)
#define is_nan(a) _mm256_cmp_pd((a), (a), _CMP_UNORD_Q)
#define any(m) (_mm256_movemask_pd(m) != 0)
#define pick(m, a, b) _mm256_blendv_pd((b), (a), (m))
#define SLEEF_U10(name) Sleef_##name##d4_u10avx2
#define SLEEF_U35(name) Sleef_##name##d4_u35avx2
#define MVEC1(name) _ZGVdN4v_##name
#define MVEC2(name) _ZGVdN4vv_##name

#define FUSED_MATH
#define exp_parts 1
#define exp_argument(a) (a)
#define exp_power(n, k, w) ((void)(k), _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(spread(1) + (w)), \
                                                                          _mm256_slli_epi64(_mm256_castpd_si256(n), 52))))
#define is_odd(m) _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(m), 63))
#define signed_as(r, a) _mm256_xor_pd((r), _mm256_and_pd((a), spread(-0.0)))
#define near_reciprocal(d) (spread(1) / (d))

static inline V exp_result(V r, V a)
{
    const V inside = _mm256_cmp_pd(spread(708), magnitude(a), _CMP_GT_OQ);
    return _mm256_movemask_pd(inside) == 15 ? r : pick(inside, r, SLEEF_U10(exp)(a));
}

#include "eval/vmath.h"

#define every_other(a, b) _mm256_permute4x64_pd(_mm256_unpacklo_pd((a), (b)), 0xd8)

static inline void interleave(V a, V b, V *lo, V *hi)
{
    const V even = _mm256_unpacklo_pd(a, b), odd = _mm256_unpackhi_pd(a, b);
    *lo = _mm256_permute2f128_pd(even, odd, 0x20);
    *hi = _mm256_permute2f128_pd(even, odd, 0x31);
}

static inline void put_pairs(double *d, int64_t stride, V v)
{
    _mm_storeu_pd(d, _mm256_castpd256_pd128(v));
    _mm_storeu_pd(d + stride, _mm256_extractf128_pd(v, 1));
}

#define put_fours(d, stride, v) ((void)(stride), store((d), (v)))

static inline void sine_cosine(V a, V *s, V *c)
{
    const Sleef___m256d_2 r = V_sincos(a);
    *s = r.x;
    *c = r.y;
}

static bool is_there(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#define FETCH_TARGET __attribute__((target("prfchw"))) /* every processor with AVX2 takes it, as no operation if need be */
#define NAME "avx2"
#define TABLE eval_avx2
#include "eval/block_kernels.h"
#else
static bool is_there(void)
{
    return false;
}

const eval_simd eval_avx2 = {"avx2", is_there, NULL, NULL, NULL, NULL, NULL, NULL};
#endif
