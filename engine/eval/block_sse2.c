/* SPDX-License-Identifier: Apache-2.0 */
/* block_sse2.c - the instructions for every 64-bit x86 processor: two numbers a vector. */
#include "eval/block.h"

#ifdef __SSE2__
#include <immintrin.h>
#include <math.h>
#include <sleef.h>

#define W 2
typedef __m128d V;
#define load(p) _mm_loadu_pd(p)
#define store(p, v) _mm_storeu_pd((p), (v))
#define load_part(p, k) ((void)(k), _mm_load_sd(p))
#define load_rest(p, k) ((void)(k), _mm_loadl_pd(spread(1), (p)))
#define store_part(p, v, k) ((void)(k), _mm_store_sd((p), (v)))
#define spread(x) _mm_set1_pd(x)
#define multiply_add(a, b, c) ((a) * (b) + (c))
#define root(a) _mm_sqrt_pd(a)
#define magnitude(a) _mm_andnot_pd(_mm_set1_pd(-0.0), (a))
#define above(a, b) _mm_cmpgt_pd((a), (b))
#define is_nan(a) _mm_cmpunord_pd((a), (a))
#define any(m) (_mm_movemask_pd(m) != 0)

static inline V pick(V m, V a, V b)
{
    return _mm_or_pd(_mm_and_pd(m, a), _mm_andnot_pd(m, b));
}

#define SLEEF_U10(name) Sleef_##name##d2_u10sse2
#define SLEEF_U35(name) Sleef_##name##d2_u35sse2
#define SINH_U10
#define MVEC1(name) _ZGVbN2v_##name
#define MVEC2(name) _ZGVbN2vv_##name
#include "eval/vmath.h"

static inline V fused(V a, V b, V c)
{
    return _mm_set_pd(fma(a[1], b[1], c[1]), fma(a[0], b[0], c[0]));
}

#define every_other(a, b) _mm_unpacklo_pd((a), (b))

static inline void interleave(V a, V b, V *lo, V *hi)
{
    *lo = _mm_unpacklo_pd(a, b);
    *hi = _mm_unpackhi_pd(a, b);
}

#define put_pairs(d, stride, v) ((void)(stride), store((d), (v)))
#define put_fours(d, stride, v) put_pairs(d, stride, v) /* never: rows of four are two vectors */

static inline void sine_cosine(V a, V *s, V *c)
{
    const Sleef___m128d_2 r = V_sincos(a);
    *s = r.x;
    *c = r.y;
}

static bool is_there(void)
{
    return true;
}

#define FETCH_TARGET
#define NAME "sse2"
#define TABLE eval_sse2
#include "eval/block_kernels.h"
#else
static bool is_there(void)
{
    return false;
}

const eval_simd eval_sse2 = {"sse2", is_there, NULL, NULL, NULL, NULL, NULL, NULL};
#endif
