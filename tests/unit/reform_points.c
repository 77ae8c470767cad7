/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reform_points - points that fill the cube. Sobol's first 2^k points have one point in each of 2^k equal slices of every axis, which a
 * digital shift keeps, and in dimensions 1 and 2 one in every elementary box of volume 2^-k; Latin hypercubes have one a slice.
 */
#include "../../plugins/reform/points.c"
#include "base/rng.h"
#include "tap/tap.h"
#include <stdlib.h>

const peri_host *peri_host_table;

enum { DIMENSIONS = SOBOL_DIMENSIONS + 5, COUNT = 256 };

static uint64_t seed = 1;
static void *taken[4];
static int n_taken;

static void *fake_alloc(peri_run *run, size_t count, size_t size)
{
    (void)run;
    return n_taken < 4 ? taken[n_taken++] = calloc(count, size) : NULL;
}

static uint64_t fake_bits(peri_run *run, uint64_t stream, uint64_t counter)
{
    (void)run;
    return rng_bits(seed, stream, counter);
}

static double *fill(points_kind kind, int64_t count, int64_t n)
{
    double *u = calloc((size_t)(count * n), sizeof *u);
    is_int(points_fill(NULL, kind, count, n, u), PERI_OK, "points");
    while (n_taken > 0)
        free(taken[--n_taken]);
    return u;
}

/* Slices of axis j that do not have exactly one of the first `count` points. */
static int64_t bad_slices(const double *u, int64_t count, int64_t n, int64_t j)
{
    int64_t hits[COUNT] = {0}, bad = 0;
    for (int64_t i = 0; i < count; i++)
        hits[(int64_t)(u[i * n + j] * (double)count)]++;
    for (int64_t i = 0; i < count; i++)
        bad += hits[i] != 1;
    return bad;
}

/* Of the 2^a x 2^(k - a) boxes in dimensions 1 and 2, those without exactly one of the first 2^k points. */
static int64_t bad_boxes(const double *u, int k, int64_t n)
{
    int64_t bad = 0;
    for (int a = 0; a <= k; a++) {
        int64_t hits[COUNT] = {0};
        for (int64_t i = 0; i < (1 << k); i++)
            hits[((int64_t)(u[i * n] * (1 << a)) << (k - a)) + (int64_t)(u[i * n + 1] * (1 << (k - a)))]++;
        for (int64_t i = 0; i < (1 << k); i++)
            bad += hits[i] != 1;
    }
    return bad;
}

static void test_sobol(void)
{
    double *u = fill(POINTS_SOBOL, COUNT, DIMENSIONS);
    int64_t bad = 0, outside = 0;
    for (int64_t k = 0; k < COUNT * DIMENSIONS; k++)
        outside += !(u[k] > 0 && u[k] < 1);
    is_int(outside, 0, "all inside the cube");
    for (int64_t count = 2; count <= COUNT; count *= 2)
        for (int64_t j = 0; j < SOBOL_DIMENSIONS; j++)
            bad += bad_slices(u, count, DIMENSIONS, j);
    is_int(bad, 0, "one point a slice, of each power of two, in all %d dimensions", SOBOL_DIMENSIONS);
    bad = 0;
    for (int64_t j = SOBOL_DIMENSIONS; j < DIMENSIONS; j++)
        bad += bad_slices(u, COUNT, DIMENSIONS, j);
    is_int(bad, 0, "those behind are Latin");
    bad = 0;
    for (int k = 1; k <= 8; k++)
        bad += bad_boxes(u, k, DIMENSIONS);
    is_int(bad, 0, "one point in every elementary box of dimensions 1 and 2");
    double *again = fill(POINTS_SOBOL, COUNT, DIMENSIONS);
    bad = 0;
    for (int64_t k = 0; k < COUNT * DIMENSIONS; k++)
        bad += !(again[k] >= u[k] && again[k] <= u[k]);
    is_int(bad, 0, "the same seed, the same points");
    seed = 2;
    double *other = fill(POINTS_SOBOL, COUNT, DIMENSIONS);
    bad = 0;
    for (int64_t k = 0; k < COUNT * DIMENSIONS; k++)
        bad += other[k] >= u[k] && other[k] <= u[k];
    ok(bad < COUNT, "another seed, others");
    free(u);
    free(again);
    free(other);
}

static void test_latin(void)
{
    double *u = fill(POINTS_LATIN, 100, 7);
    int64_t bad = 0;
    for (int64_t j = 0; j < 7; j++)
        bad += bad_slices(u, 100, 7, j);
    is_int(bad, 0, "a Latin hypercube has one point a slice");
    free(u);
}

/* Two columns of direction numbers that are equal, or a wrong one, show in the products' means: 1/4 up to log(N)^2 / N. */
static void test_pairs(void)
{
    enum { N = 4096, D = 60 };
    double *u = fill(POINTS_SOBOL, N, D), worst = 0;
    for (int64_t a = 0; a < D; a++)
        for (int64_t b = 0; b < a; b++) {
            double sum = 0;
            for (int64_t i = 0; i < N; i++)
                sum += u[i * D + a] * u[i * D + b];
            worst = sum / N - 0.25 > worst ? sum / N - 0.25 : 0.25 - sum / N > worst ? 0.25 - sum / N : worst;
        }
    ok(worst < 2e-3, "all pairs of 60 dimensions are uncorrelated: %.1e", worst);
    free(u);
}

int main(void)
{
    static const peri_host host = {.size = (uint32_t)sizeof(peri_host), .alloc = fake_alloc, .random_bits = fake_bits};
    plan_later();
    peri_host_table = &host;
    test_sobol();
    test_latin();
    test_pairs();
    return tap_done();
}
