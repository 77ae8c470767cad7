/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.h - counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011). A value is a function of (seed, stream,
 * counter) alone, so runs repeat whatever the number of threads. Normal deviates by our own inverse transform, so that they do
 * not depend on the C library.
 */
#ifndef PERI_BASE_RNG_H
#define PERI_BASE_RNG_H

#include <stdint.h>

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
uint64_t rng_bits(uint64_t seed, uint64_t stream, uint64_t counter);
double rng_uniform(uint64_t seed, uint64_t stream, uint64_t counter); /* [0, 1) */
double rng_normal(uint64_t seed, uint64_t stream, uint64_t counter);
int64_t rng_below(uint64_t seed, uint64_t stream, uint64_t counter, int64_t n); /* 0 .. n-1 */

#endif
