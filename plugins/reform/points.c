/* SPDX-License-Identifier: Apache-2.0 */
/*
 * points.c - see points.h. Sobol's sequence in Gray-code order (Antonov and Saleev 1979; Bratley and Fox 1988, ACM TOMS 14:88) with a
 * random digital shift, so that seeds differ and no point lies on the cube's corner; Latin hypercubes (McKay, Beckman and Conover 1979).
 */
#include "points.h"
#include "sobol_numbers.h"

enum { BITS = 32, STREAM = 7 };

/* A whole number below `below`, number k of stream s. */
static int64_t draw(peri_run *run, uint64_t s, uint64_t k, int64_t below)
{
    const int64_t v = (int64_t)(peri_random_uniform(run, s, k) * (double)below);
    return v < below ? v : below - 1;
}

/* ---- Latin hypercubes: every one of `count` slices of dimension j has one point
 * ---------------------------------------------------------------------------------------------------------------- */

static void fill_latin(peri_run *run, int64_t count, int64_t n, int64_t j, int64_t *order, double *u)
{
    const uint64_t stream = STREAM + 2 * (uint64_t)j;
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t i = count - 1; i > 0; i--) {
        const int64_t k = draw(run, stream, (uint64_t)i, i + 1), kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
    for (int64_t i = 0; i < count; i++)
        u[i * n + j] = ((double)order[i] + peri_random_uniform(run, stream + 1, (uint64_t)i)) / (double)count;
}

/* ---- Sobol's sequence
 * ---------------------------------------------------------------------------------------------------------------- */

/* The direction numbers of one dimension: v_k = m_k 2^(32 - k), m_k = sum_i 2^i a_i m_(k-i) + 2^s m_(k-s) + m_(k-s), sums without carry;
 * `polynomial` has the bits 1 a_1 ... a_(s-1) 1. ret: what was read of the table. */
static int64_t directions(const uint16_t *table, uint32_t v[BITS])
{
    const uint32_t polynomial = table[0];
    int s = 0;
    while ((polynomial >> (s + 1)) != 0)
        s++;
    for (int k = 0; k < BITS; k++) {
        if (k < s) {
            v[k] = (uint32_t)table[1 + k] << (BITS - 1 - k);
            continue;
        }
        v[k] = v[k - s] ^ (v[k - s] >> s);
        for (int i = 1; i < s; i++)
            if ((polynomial >> (s - i)) & 1)
                v[k] ^= v[k - i];
    }
    return 1 + s;
}

static int trailing_ones(uint64_t k)
{
    int c = 0;
    for (; (k & 1) != 0; k >>= 1)
        c++;
    return c;
}

static void fill_sobol(peri_run *run, int64_t count, int64_t n, int64_t j, const uint32_t v[BITS], double *u)
{
    uint32_t x = (uint32_t)(peri_random_uniform(run, STREAM + 2 * (uint64_t)j, 0) * 4294967296.0);
    for (int64_t i = 0; i < count; i++) {
        u[i * n + j] = ((double)x + 0.5) / 4294967296.0;
        x ^= v[trailing_ones((uint64_t)i) % BITS];
    }
}

peri_status points_fill(peri_run *run, points_kind kind, int64_t count, int64_t n, double *u)
{
    uint32_t v[BITS];
    int64_t at = 0, *order;
    TRY(peri_alloc_index(run, count, &order));
    for (int k = 0; k < BITS; k++)
        v[k] = UINT32_C(1) << (BITS - 1 - k);
    for (int64_t j = 0; j < n; j++) {
        if (kind == POINTS_UNIFORM)
            for (int64_t i = 0; i < count; i++)
                u[i * n + j] = peri_random_uniform(run, STREAM + (uint64_t)j, (uint64_t)i);
        else if (kind == POINTS_LATIN || j >= SOBOL_DIMENSIONS)
            fill_latin(run, count, n, j, order, u);
        else {
            if (j > 0)
                at += directions(SOBOL_NUMBERS + at, v);
            fill_sobol(run, count, n, j, v, u);
        }
    }
    return PERI_OK;
}
