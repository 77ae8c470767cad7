/* SPDX-License-Identifier: Apache-2.0 */
/* block_portable.c - the instructions in plain C: for processors that have no version of their own. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define W 1
typedef double V;

static inline V load(const double *p)
{
    return *p;
}

static inline void store(double *p, V v)
{
    *p = v;
}

#define load_part(p, k) ((void)(k), *(p))
#define load_rest(p, k) load_part((p), (k))
#define store_part(p, v, k) ((void)(k), (void)(*(p) = (v)))
#define spread(x) ((double)(x))
#define multiply_add(a, b, c) ((a) * (b) + (c))
#define fused(a, b, c) fma((a), (b), (c))
#define root(a) sqrt(a)
#define magnitude(a) fabs(a)
#define above(a, b) ((a) > (b))
#define is_nan(a) ((a) != (a))
#define any(m) (m)
#define pick(m, a, b) ((m) ? (a) : (b))
#define MATH(name) name
#define log1p_near(x) log1p(x)
#define sin_large(x) sin(x)
#define cos_large(x) cos(x)

#define every_other(a, b) ((void)(b), (a))

static inline void interleave(V a, V b, V *lo, V *hi)
{
    *lo = a;
    *hi = b;
}

#define put_pairs(d, stride, v) ((void)(stride), store((d), (v)))
#define put_fours(d, stride, v) put_pairs(d, stride, v) /* never: rows of four are two vectors */

static inline void sine_cosine(V a, V *s, V *c)
{
    *s = sin(a);
    *c = cos(a);
}

static bool is_there(void)
{
    return true;
}

#define FETCH_TARGET
#define NAME "portable"
#define TABLE eval_portable
#include "eval/block_kernels.h"
