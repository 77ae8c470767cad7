/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmath - the vector mathematics libraries compared: SLEEF's functions to 1 ulp (u10), those to 3.5 ulp (u35) where there are any, and glibc's libmvec,
 * for vectors of two, four and eight numbers. Nanoseconds a number on arguments in the cache (the smallest of interleaved runs), and the largest error
 * in ulps of random arguments against MPFR. Which library block_*.c take, function by function, is decided by this table.
 */
#include <immintrin.h>
#include <math.h>
#include <mpfr.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N = 1024, ROUNDS = 60, CHECKED = 60000, BITS = 160 };

typedef void (*map_fn)(const double *a, const double *b, double *out, int n);
typedef int (*exact_fn)(mpfr_t, const mpfr_t, mpfr_rnd_t);

#define T2 __attribute__((target("sse2")))
#define T4 __attribute__((target("avx2,fma")))
#define T8 __attribute__((target("avx512f")))

#define MAP1(name, isa, V, W, load, store, call)                                                                       \
    isa static void name(const double *a, const double *b, double *out, int n)                                         \
    {                                                                                                                  \
        (void)b;                                                                                                       \
        for (int i = 0; i < n; i += W)                                                                                 \
            store(out + i, call(load(a + i)));                                                                         \
    }
#define MAP2(name, isa, V, W, load, store, call)                                                                       \
    isa static void name(const double *a, const double *b, double *out, int n)                                         \
    {                                                                                                                  \
        for (int i = 0; i < n; i += W)                                                                                 \
            store(out + i, call(load(a + i), load(b + i)));                                                            \
    }

/* The maps of one function: three widths of SLEEF u10 and libmvec; OTHER: also SLEEF u35. */
#define WIDTHS(M, name, tag, s2, s4, s8)                                                                               \
    M(name##_##tag##_2, T2, __m128d, 2, _mm_loadu_pd, _mm_storeu_pd, s2)                                               \
    M(name##_##tag##_4, T4, __m256d, 4, _mm256_loadu_pd, _mm256_storeu_pd, s4)                                         \
    M(name##_##tag##_8, T8, __m512d, 8, _mm512_loadu_pd, _mm512_storeu_pd, s8)

#define V1 (__m128d)
#define V2 (__m128d, __m128d)
#define W1 (__m256d)
#define W2 (__m256d, __m256d)
#define X1 (__m512d)
#define X2 (__m512d, __m512d)
#define DECLARE(name, tag, p2, p4, p8) /* sleef.h has only those of the flags that a file is compiled with */          \
    __m128d Sleef_##name##d2_##tag##sse2 p2;                                                                           \
    T4 __m256d Sleef_##name##d4_##tag##avx2 p4;                                                                        \
    T8 __m512d Sleef_##name##d8_##tag##avx512f p8;
#define FUNCTION(name, args, p2, p4, p8, mask)                                                                         \
    DECLARE(name, u10, p2, p4, p8)                                                                                     \
    __m128d _ZGVbN2##mask##_##name p2;                                                                                 \
    T4 __m256d _ZGVdN4##mask##_##name p4;                                                                              \
    T8 __m512d _ZGVeN8##mask##_##name p8;                                                                              \
    WIDTHS(MAP##args, name, u10, Sleef_##name##d2_u10sse2, Sleef_##name##d4_u10avx2, Sleef_##name##d8_u10avx512f)      \
    WIDTHS(MAP##args, name, mvec, _ZGVbN2##mask##_##name, _ZGVdN4##mask##_##name, _ZGVeN8##mask##_##name)
#define FUNCTION1(name) FUNCTION(name, 1, V1, W1, X1, v)
#define FUNCTION2(name) FUNCTION(name, 2, V2, W2, X2, vv)
#define FASTER1(name) FASTER(name, 1, V1, W1, X1)
#define FASTER2(name) FASTER(name, 2, V2, W2, X2)
#define FASTER(name, args, p2, p4, p8)                                                                                 \
    DECLARE(name, u35, p2, p4, p8)                                                                                     \
    WIDTHS(MAP##args, name, u35, Sleef_##name##d2_u35sse2, Sleef_##name##d4_u35avx2, Sleef_##name##d8_u35avx512f)

FUNCTION1(exp)
FUNCTION1(expm1)
FUNCTION1(log)
FUNCTION1(log1p)
FUNCTION1(sin)
FUNCTION1(cos)
FUNCTION1(tan)
FUNCTION1(asin)
FUNCTION1(acos)
FUNCTION1(atan)
FUNCTION1(sinh)
FUNCTION1(cosh)
FUNCTION1(tanh)
FUNCTION2(pow)
FUNCTION2(atan2)
FASTER1(log)
FASTER1(sin)
FASTER1(cos)
FASTER1(tan)
FASTER1(asin)
FASTER1(acos)
FASTER1(atan)
FASTER1(sinh)
FASTER1(cosh)
FASTER1(tanh)
FASTER2(atan2)

typedef struct {
    const char *name;
    exact_fn exact;
    int (*exact2)(mpfr_t, const mpfr_t, const mpfr_t, mpfr_rnd_t);
    double lo, hi; /* uniform in value; magnitudes spread over some powers of two as well */
    map_fn map[3][3]; /* u10, u35, libmvec by width */
} function;

#define ROW(name, lo, hi)                                                                                              \
    {#name, mpfr_##name, NULL, lo, hi,                                                                                 \
     {{name##_u10_2, name##_u10_4, name##_u10_8}, {NULL, NULL, NULL}, {name##_mvec_2, name##_mvec_4, name##_mvec_8}}}
#define ROW3(name, lo, hi)                                                                                             \
    {#name, mpfr_##name, NULL, lo, hi,                                                                                 \
     {{name##_u10_2, name##_u10_4, name##_u10_8},                                                                      \
      {name##_u35_2, name##_u35_4, name##_u35_8},                                                                      \
      {name##_mvec_2, name##_mvec_4, name##_mvec_8}}}

static const function functions[] = {
    ROW(exp, -30, 30),
    ROW(expm1, -3, 3),
    ROW3(log, 1e-6, 20),
    ROW(log1p, -0.99, 9),
    ROW3(sin, -30, 30),
    ROW3(cos, -30, 30),
    ROW3(tan, -30, 30),
    ROW3(asin, -1, 1),
    ROW3(acos, -1, 1),
    ROW3(atan, -9, 9),
    ROW3(sinh, -9, 9),
    ROW3(cosh, -9, 9),
    ROW3(tanh, -9, 9),
    {"pow", NULL, mpfr_pow, 0.01, 20, {{pow_u10_2, pow_u10_4, pow_u10_8}, {NULL, NULL, NULL}, {pow_mvec_2, pow_mvec_4, pow_mvec_8}}},
    {"atan2", NULL, mpfr_atan2, -9, 9,
     {{atan2_u10_2, atan2_u10_4, atan2_u10_8}, {atan2_u35_2, atan2_u35_4, atan2_u35_8}, {atan2_mvec_2, atan2_mvec_4, atan2_mvec_8}}},
};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

static uint64_t state = 88172645463325252u;

static double uniform(double lo, double hi)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return lo + (hi - lo) * (double)(state >> 11) * 0x1p-53;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Error of `got` in units of the last place of the exact value. */
static double ulps(double got, const mpfr_t exact, mpfr_t work)
{
    const double near = mpfr_get_d(exact, MPFR_RNDN);
    const double unit = nextafter(fabs(near), INFINITY) - fabs(near);
    if (!isfinite(near) || !isfinite(got))
        return got == near ? 0 : INFINITY;
    mpfr_sub_d(work, exact, got, MPFR_RNDN);
    return fabs(mpfr_get_d(work, MPFR_RNDN) / unit);
}

static void check_chunk(const function *f, const double *a, const double *b, double worst[3][3], const bool *there)
{
    static double out[N];
    mpfr_t x, y, exact[N], work;
    mpfr_inits2(BITS, x, y, work, (mpfr_ptr)NULL);
    for (int i = 0; i < N; i++) {
        mpfr_init2(exact[i], BITS);
        mpfr_set_d(x, a[i], MPFR_RNDN);
        mpfr_set_d(y, b[i], MPFR_RNDN);
        if (f->exact != NULL)
            f->exact(exact[i], x, MPFR_RNDN);
        else
            f->exact2(exact[i], x, y, MPFR_RNDN);
    }
    for (int lib = 0; lib < 3; lib++)
        for (int w = 0; w < 3; w++) {
            if (f->map[lib][w] == NULL || !there[w])
                continue;
            f->map[lib][w](a, b, out, N);
            for (int i = 0; i < N; i++) {
                const double error = ulps(out[i], exact[i], work);
                worst[lib][w] = error > worst[lib][w] ? error : worst[lib][w];
            }
        }
    for (int i = 0; i < N; i++)
        mpfr_clear(exact[i]);
    mpfr_clears(x, y, work, (mpfr_ptr)NULL);
}

static void measure(const function *f, const double *a, const double *b, double best[3][3], const bool *there)
{
    static double out[N];
    for (int round = 0; round < ROUNDS; round++)
        for (int lib = 0; lib < 3; lib++)
            for (int w = 0; w < 3; w++) {
                if (f->map[lib][w] == NULL || !there[w])
                    continue;
                const double start = seconds();
                for (int k = 0; k < 4; k++)
                    f->map[lib][w](a, b, out, N);
                const double time = (seconds() - start) / (4 * N) * 1e9;
                best[lib][w] = time < best[lib][w] ? time : best[lib][w];
            }
}

static void fill(const function *f, double *a, double *b)
{
    for (int i = 0; i < N; i++) {
        a[i] = uniform(f->lo, f->hi);
        b[i] = f->exact2 == mpfr_pow ? uniform(-6, 6) : uniform(-9, 9);
    }
}

static void print_row(const function *f, double best[3][3], double worst[3][3], const bool *there)
{
    static const char *const levels[] = {"sse2", "avx2", "avx512"};
    for (int w = 0; w < 3; w++) {
        if (!there[w])
            continue;
        printf("%-6s %-7s", f->name, levels[w]);
        for (int lib = 0; lib < 3; lib++)
            if (f->map[lib][w] != NULL)
                printf("  %6.2f %5.2f", best[lib][w], worst[lib][w]);
            else
                printf("  %6s %5s", "-", "-");
        printf("   %.2f\n", best[2][w] / best[0][w]);
    }
}

int main(void)
{
    static double a[N], b[N];
    const bool there[3] = {true, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), __builtin_cpu_supports("avx512f") != 0};
    printf("%-6s %-7s  %-12s  %-12s  %-12s   %s\n", "", "", "SLEEF u10", "SLEEF u35", "libmvec", "libmvec / u10");
    printf("%-6s %-7s  %6s %5s  %6s %5s  %6s %5s\n", "", "", "ns", "ulp", "ns", "ulp", "ns", "ulp");
    for (int k = 0; k < FUNCTIONS; k++) {
        double best[3][3], worst[3][3];
        for (int i = 0; i < 9; i++) {
            best[i / 3][i % 3] = INFINITY;
            worst[i / 3][i % 3] = 0;
        }
        for (int n = 0; n < CHECKED; n += N) {
            fill(&functions[k], a, b);
            check_chunk(&functions[k], a, b, worst, there);
        }
        measure(&functions[k], a, b, best, there);
        print_row(&functions[k], best, worst, there);
    }
    mpfr_free_cache();
    return 0;
}
