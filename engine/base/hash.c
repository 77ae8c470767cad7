/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.c - byte strings to 64 bits, and a map from 64-bit keys by linear probing. Invariant: the capacity is a power of two, at
 * most three quarters of it are in use, and nothing is ever removed, so a probe ends at the first free slot.
 */
#include "base/hash.h"

#include <string.h>

uint64_t hash_bytes(const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t h = hash_mix(size + UINT64_C(0x9e3779b97f4a7c15));
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word = 0;
        memcpy(&word, at, 8);
        h = hash_join(h, word);
    }
    uint64_t tail = 0;
    if (size > 0)
        memcpy(&tail, at, size);
    return hash_join(h, tail);
}

void hash_init(hash_map *h, mem *m)
{
    *h = (hash_map){.m = m};
}

/* The slot that holds key, or the free one where it belongs; needs cap > 0. */
static int64_t find_slot(const hash_map *h, uint64_t key)
{
    const uint64_t mask = (uint64_t)h->cap - 1;
    uint64_t i = hash_mix(key) & mask;
    while (h->used[i] && h->keys[i] != key)
        i = (i + 1) & mask;
    return (int64_t)i;
}

static void free_tables(hash_map *h)
{
    const size_t cap = (size_t)h->cap;
    mem_free(h->m, h->keys, cap * sizeof *h->keys);
    mem_free(h->m, h->values, cap * sizeof *h->values);
    mem_free(h->m, h->used, cap);
}

static bool grow(hash_map *h)
{
    hash_map bigger = {.m = h->m, .cap = h->cap != 0 ? h->cap * 2 : 16};
    const size_t cap = (size_t)bigger.cap;
    bigger.keys = mem_alloc(h->m, cap * sizeof *bigger.keys);
    bigger.values = mem_alloc(h->m, cap * sizeof *bigger.values);
    bigger.used = mem_alloc(h->m, cap);
    if (bigger.keys == NULL || bigger.values == NULL || bigger.used == NULL) {
        free_tables(&bigger);
        return false;
    }
    for (int64_t i = 0; i < h->cap; i++) {
        if (!h->used[i])
            continue;
        const int64_t slot = find_slot(&bigger, h->keys[i]);
        bigger.keys[slot] = h->keys[i];
        bigger.values[slot] = h->values[i];
        bigger.used[slot] = 1;
    }
    bigger.n = h->n;
    free_tables(h);
    *h = bigger;
    return true;
}

bool hash_put(hash_map *h, uint64_t key, int64_t value)
{
    if (h->cap > 0) {
        const int64_t slot = find_slot(h, key);
        if (h->used[slot]) {
            h->values[slot] = value;
            return true;
        }
    }
    if (h->n + 1 > h->cap / 4 * 3 && !grow(h))
        return false;
    const int64_t slot = find_slot(h, key);
    h->keys[slot] = key;
    h->values[slot] = value;
    h->used[slot] = 1;
    h->n++;
    return true;
}

bool hash_get(const hash_map *h, uint64_t key, int64_t *value)
{
    if (h->cap == 0)
        return false;
    const int64_t slot = find_slot(h, key);
    if (!h->used[slot])
        return false;
    *value = h->values[slot];
    return true;
}

void hash_release(hash_map *h)
{
    free_tables(h);
    *h = (hash_map){.m = h->m};
}
