/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h - 64-bit mixing, and an open-addressing map from 64-bit keys (or strings) to int64 values. */
#ifndef PERI_BASE_HASH_H
#define PERI_BASE_HASH_H

#include "base/mem.h"

static inline uint64_t hash_mix(uint64_t x) /* splitmix64's finalizer: Steele, Lea, Flood 2014 */
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint64_t hash_join(uint64_t h, uint64_t x)
{
    return hash_mix(h * UINT64_C(0x9e3779b97f4a7c15) + x + 1);
}

uint64_t hash_bytes(const void *data, size_t size);

typedef struct {
    mem *m;
    uint64_t *keys;
    int64_t *values;
    unsigned char *used;
    int64_t n, cap;
} hash_map;

void hash_init(hash_map *h, mem *m);
bool hash_put(hash_map *h, uint64_t key, int64_t value); /* replaces; false: out of memory */
bool hash_get(const hash_map *h, uint64_t key, int64_t *value); /* false: absent */
void hash_release(hash_map *h);

#endif
