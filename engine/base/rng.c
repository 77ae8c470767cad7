/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.c - Philox4x32-10: ten rounds of a keyed bijection on 128-bit counters (Salmon, Moraes, Dror, Shaw 2011, sec. 3.3). The key
 * is the seed; the counter is (counter, stream). Normal deviates by the inverse of the distribution function (Wichura 1988,
 * AS 241, PPND16), with a logarithm of our own: only + - * / sqrt are used, so every machine gives the same bits.
 */
#include "base/rng.h"

#include <math.h>
#include <perigee/perigee.h>

enum { ROUNDS = 10 };

static uint32_t multiply(uint32_t a, uint32_t b, uint32_t *high)
{
    const uint64_t product = (uint64_t)a * b;
    *high = (uint32_t)(product >> 32);
    return (uint32_t)product;
}

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t high0 = 0, high1 = 0;
        const uint32_t low0 = multiply(UINT32_C(0xD2511F53), c0, &high0);
        const uint32_t low1 = multiply(UINT32_C(0xCD9E8D57), c2, &high1);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* The 128 bits that belong to (seed, stream, counter), as two words. */
static void words(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t out[2])
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t at[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)};
    uint32_t bits[4];
    rng_philox(at, key, bits);
    out[0] = (uint64_t)bits[1] << 32 | bits[0];
    out[1] = (uint64_t)bits[3] << 32 | bits[2];
}

uint64_t rng_bits(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint64_t w[2];
    words(seed, stream, counter, w);
    return w[0];
}

double rng_uniform(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return (double)(rng_bits(seed, stream, counter) >> 11) * 0x1.0p-53;
}

__extension__ typedef unsigned __int128 uint128;

/* floor(n * w / 2^128) with w of 128 bits: the bias is below n / 2^128, and one counter gives one value. */
int64_t rng_below(uint64_t seed, uint64_t stream, uint64_t counter, int64_t n)
{
    if (n <= 1)
        return 0;
    uint64_t w[2];
    words(seed, stream, counter, w);
    const uint128 low = (uint128)w[0] * (uint64_t)n;
    const uint128 high = (uint128)w[1] * (uint64_t)n + (uint64_t)(low >> 64);
    return (int64_t)(uint64_t)(high >> 64);
}

/* ---- normal deviates ------------------------------------------------------------------------------------------------ */

/* Natural logarithm, x > 0 and normal: x = m 2^e with m in [sqrt(1/2), sqrt 2), log m = 2 artanh((m - 1) / (m + 1)). */
static double own_log(double x)
{
    int e = 0;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752440) {
        m *= 2.0;
        e--;
    }
    const double s = (m - 1.0) / (m + 1.0), s2 = s * s;
    double sum = 0.0;
    for (int k = 25; k >= 3; k -= 2) /* |s| < 0.172: the first term left out is below 1e-20 */
        sum = (sum + 1.0 / k) * s2;
    return (double)e * 0.69314718055994530942 + 2.0 * s * (1.0 + sum);
}

static double polynomial(const double c[8], double x)
{
    double value = c[7];
    for (int k = 6; k >= 0; k--)
        value = value * x + c[k];
    return value;
}

/* Wichura's rational approximations: numerators and denominators, by powers of the argument. */
static const double centre_p[8] = {
    3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
    4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3};
static const double centre_q[8] = {
    1.0, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3,
    2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3};
static const double near_p[8] = {
    1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
    1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
static const double near_q[8] = {
    1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9};
static const double far_p[8] = {
    6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
    2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
static const double far_q[8] = {
    1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15};

/* x with P(N < x) = p, 0 < p < 1; AS 241. */
static double inverse_normal(double p)
{
    const double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        const double r = 0.180625 - q * q;
        return q * polynomial(centre_p, r) / polynomial(centre_q, r);
    }
    const double tail = q < 0.0 ? p : 1.0 - p;
    const double r = sqrt(-own_log(tail));
    const double x = r <= 5.0 ? polynomial(near_p, r - 1.6) / polynomial(near_q, r - 1.6)
                              : polynomial(far_p, r - 5.0) / polynomial(far_q, r - 5.0);
    return q < 0.0 ? -x : x;
}

double rng_normal(uint64_t seed, uint64_t stream, uint64_t counter)
{
    /* the middle of one of 2^52 equal parts: never 0 or 1, and 1 - p is exact */
    return inverse_normal(((double)(rng_bits(seed, stream, counter) >> 12) + 0.5) * 0x1.0p-52);
}

/* ---- for hosts ---------------------------------------------------------------------------------------------------------- */

double peri_draw_uniform(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return rng_uniform(seed, stream, counter);
}

double peri_draw_normal(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return rng_normal(seed, stream, counter);
}

int64_t peri_draw_below(uint64_t seed, uint64_t stream, uint64_t counter, int64_t n)
{
    return rng_below(seed, stream, counter, n);
}
