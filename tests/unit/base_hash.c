/* SPDX-License-Identifier: Apache-2.0 */
/* base_hash - the map against a plain array; strings; running out of memory. */
#include "base/hash.h"
#include "base/rng.h"
#include "tap/tap.h"

#include <string.h>

enum { KEYS = 5000 };

int main(void)
{
    plan(9);
    mem m;
    mem_init(&m, NULL, NULL);
    hash_map h;
    hash_init(&h, &m);
    int64_t value = -1;
    ok(!hash_get(&h, 17, &value), "nothing in an empty map");

    /* keys that collide in their low bits, put twice, the second value stays */
    bool fine = true;
    for (uint64_t i = 0; i < 2 * KEYS; i++)
        fine = hash_put(&h, (i % KEYS) << 32, (int64_t)(3 * i)) && fine;
    ok(fine, "put");
    is_int(h.n, KEYS, "a key counts once");
    fine = true;
    for (uint64_t i = 0; i < KEYS; i++)
        fine = hash_get(&h, i << 32, &value) && value == (int64_t)(3 * (i + KEYS)) && fine;
    ok(fine, "get finds the last value");
    ok(!hash_get(&h, 1, &value), "an absent key");

    m.countdown = -1;
    uint64_t key = 1;
    while (hash_put(&h, key, 1) && key < 100 * KEYS)
        key += 2;
    const int64_t n = h.n;
    ok(key < 100 * KEYS && hash_get(&h, 0, &value) && n > KEYS, "out of memory leaves the map whole");
    m.countdown = 0;
    hash_release(&h);
    is_int(m.live, 0, "released");

    ok(hash_bytes("abc", 3) == hash_bytes("abc", 3) && hash_bytes("abc", 3) != hash_bytes("abd", 3), "texts");
    unsigned char bytes[33];
    memset(bytes, 0, sizeof bytes);
    int same = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        for (size_t j = 0; j < i; j++)
            same += hash_bytes(bytes, i) == hash_bytes(bytes, j);
    is_int(same, 0, "the length counts");
    return tap_done();
}
