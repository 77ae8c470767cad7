/* SPDX-License-Identifier: Apache-2.0 */
/* base_rng - Philox against the published known answers; uniform, normal and integer deviates against their distributions. */
#include "base/rng.h"
#include "tap/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Random123, file kat_vectors, "philox4x32 10" */
static const struct {
    uint32_t counter[4], key[2], out[4];
} known[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

enum { SAMPLES = 200000 };

/* Distribution function of the normal: the C library's erfc is the independent reference. */
static double normal_cdf(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

static void test_normal(void)
{
    double sum = 0.0, squares = 0.0, fourths = 0.0, worst = 0.0;
    for (uint64_t k = 0; k < SAMPLES; k++) {
        const double z = rng_normal(42, 7, k);
        const double p = ((double)(rng_bits(42, 7, k) >> 12) + 0.5) * 0x1.0p-52;
        const double error = fabs(normal_cdf(z) - p) / (p < 0.5 ? p : 1.0 - p);
        worst = error > worst ? error : worst;
        sum += z;
        squares += z * z;
        fourths += z * z * z * z;
    }
    /* 4.5 standard errors of each moment: sqrt(1/N), sqrt(2/N), sqrt(96/N) */
    is_close(sum / SAMPLES, 0.0, 0.0, 4.5 * sqrt(1.0 / SAMPLES), "mean");
    is_close(squares / SAMPLES, 1.0, 0.0, 4.5 * sqrt(2.0 / SAMPLES), "variance");
    is_close(fourths / SAMPLES, 3.0, 0.0, 4.5 * sqrt(96.0 / SAMPLES), "fourth moment");
    /* the relative condition of the tail probability is about x^2 + 1, at most 30 here, times some ulp */
    ok(worst < 1e-14, "the inverse of the distribution function: worst relative error %.1e", worst);
}

static void test_uniform(void)
{
    int64_t bins[10] = {0}, outside = 0;
    for (uint64_t k = 0; k < SAMPLES; k++) {
        const double u = rng_uniform(42, 8, k);
        outside += !(u >= 0.0 && u < 1.0);
        bins[(int)(u * 10.0)]++;
    }
    is_int(outside, 0, "uniforms lie in [0, 1)");
    double chi2 = 0.0;
    for (int b = 0; b < 10; b++)
        chi2 += pow((double)bins[b] - SAMPLES / 10.0, 2) / (SAMPLES / 10.0);
    ok(chi2 < 33.7, "chi-squared with 9 degrees of freedom is %.2f, below its 1e-4 quantile", chi2);
}

static void test_below(void)
{
    int64_t count[7] = {0}, outside = 0;
    for (uint64_t k = 0; k < 70000; k++) {
        const int64_t i = rng_below(42, 9, k, 7);
        outside += i < 0 || i >= 7;
        if (i >= 0 && i < 7)
            count[i]++;
    }
    is_int(outside, 0, "integers lie below n");
    int64_t most = 0;
    for (int b = 0; b < 7; b++)
        most = llabs(count[b] - 10000) > most ? llabs(count[b] - 10000) : most;
    ok(most < 450, "each comes up about as often: off by at most %lld of 10000", (long long)most);
    ok(rng_below(1, 2, 3, 1) == 0 && rng_below(1, 2, 3, 0) == 0, "n of 1 and 0");
    bool large = true;
    for (uint64_t k = 0; k < 1000; k++) {
        const int64_t i = rng_below(42, 10, k, INT64_MAX);
        large = large && i >= 0 && i < INT64_MAX;
    }
    ok(large, "n of 2^63 - 1");
}

int main(void)
{
    plan_later();
    for (size_t k = 0; k < 3; k++) {
        uint32_t out[4];
        rng_philox(known[k].counter, known[k].key, out);
        ok(memcmp(out, known[k].out, sizeof out) == 0, "known answer %zu", k + 1);
    }
    ok(rng_bits(1, 2, 3) == rng_bits(1, 2, 3), "the same place gives the same bits");
    ok(rng_bits(1, 2, 3) != rng_bits(1, 2, 4) && rng_bits(1, 2, 3) != rng_bits(1, 3, 3) &&
           rng_bits(1, 2, 3) != rng_bits(2, 2, 3),
       "seed, stream and counter all matter");
    test_uniform();
    test_normal();
    test_below();
    return tap_done();
}
