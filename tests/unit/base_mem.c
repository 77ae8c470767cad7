/* SPDX-License-Identifier: Apache-2.0 */
/* base_mem - allocator, its limit, its injected failures; arenas; growing arrays and texts; the context. */
#include "base/context.h"
#include "base/text.h"
#include "tap/tap.h"

#include <stdlib.h>
#include <string.h>

static void test_statistics(void)
{
    mem m;
    mem_init(&m, NULL, NULL);
    unsigned char *p = mem_alloc(&m, 100);
    ok(p != NULL && p[0] == 0 && p[99] == 0, "a new block is zero");
    memset(p, 7, 100);
    p = mem_resize(&m, p, 100, 300);
    ok(p != NULL && p[99] == 7 && p[100] == 0 && p[299] == 0, "a grown block keeps its bytes and gains zeros");
    is_int((int64_t)m.used, 300, "used");
    is_int((int64_t)m.peak, 300, "peak");
    p = mem_resize(&m, p, 300, 10);
    is_int((int64_t)m.used, 10, "used after shrinking");
    mem_free(&m, p, 10);
    mem_free(&m, NULL, 5);
    is_int((int64_t)m.used, 0, "used after freeing");
    is_int(m.live, 0, "no block lives");
    void *none = mem_alloc(&m, 0);
    ok(none != NULL, "zero bytes are a block too");
    mem_free(&m, none, 0);
    is_int(m.live, 0, "and can be freed");
}

static void test_limit(void)
{
    mem m;
    mem_init(&m, NULL, NULL);
    m.limit = 1000;
    void *p = mem_alloc(&m, 900);
    ok(p != NULL, "below the limit");
    ok(mem_alloc(&m, 101) == NULL, "above the limit");
    ok(mem_resize(&m, p, 900, 1001) == NULL, "growing above the limit");
    is_int((int64_t)m.used, 900, "a refused request changes nothing");
    void *q = mem_alloc(&m, 100);
    ok(q != NULL, "up to the limit");
    mem_free(&m, p, 900);
    mem_free(&m, q, 100);
    size_t bytes = 0;
    ok(!mem_mul(SIZE_MAX / 2, 3, &bytes), "mem_mul tells overflow");
    ok(mem_mul(7, 6, &bytes) && bytes == 42, "mem_mul");
    ok(mem_array(&m, SIZE_MAX / 4, 8) == NULL && mem_array(&m, SIZE_MAX - 10, 1) == NULL, "arrays beyond all memory");
}

static void test_countdown(void)
{
    mem m;
    mem_init(&m, NULL, NULL);
    m.countdown = 3;
    void *p[4];
    for (int k = 0; k < 4; k++)
        p[k] = mem_alloc(&m, 8);
    ok(p[0] != NULL && p[1] != NULL && p[2] == NULL && p[3] != NULL, "the third request fails once");
    for (int k = 0; k < 4; k++)
        mem_free(&m, p[k], 8);
    m.countdown = 2;
    m.persistent = true;
    for (int k = 0; k < 4; k++)
        p[k] = mem_alloc(&m, 8);
    ok(p[0] != NULL && p[1] == NULL && p[2] == NULL && p[3] == NULL, "the second and all later ones fail");
    p[0] = mem_resize(&m, p[0], 8, 4);
    ok(p[0] != NULL, "shrinking does not count");
    mem_free(&m, p[0], 4);
    is_int(m.live, 0, "nothing is left");
}

/* Asks the host, and counts what is asked for and not yet given back. */
static void *asked(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    int64_t *n = ud; /* requests, blocks outside */
    (void)old_size;
    n[0] += new_size != 0;
    n[1] += (new_size != 0) - (ptr != NULL);
    if (new_size != 0)
        return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

static void repeat(mem *m, int round)
{
    struct { double *at; int64_t n, cap; } list = {0};
    arena a;
    arena_init(&a, m);
    char *name = mem_string(m, "a name of some length");
    bool zero = true, pushed = true;
    for (int k = 0; k < 20; k++) {
        unsigned char *p = arena_alloc(&a, (size_t)(700 * k + 3));
        for (int j = 0; p != NULL && j < 700 * k + 3; j++)
            zero = zero && p[j] == 0;
        if (p != NULL)
            memset(p, 0xff, (size_t)(700 * k + 3));
        pushed = vec_push(m, &list, k) && pushed;
    }
    ok(zero && pushed && name != NULL && list.n == 20 && list.at[19] == 19, "work %d, in memory that is zero", round);
    vec_free(m, &list);
    mem_array_free(m, name);
    arena_release(&a);
}

static void test_kept(void)
{
    mem m;
    int64_t n[2] = {0, 0};
    mem_init(&m, asked, n);
    mem_keep(&m, 1 << 20);
    repeat(&m, 1);
    const int64_t first = n[0];
    repeat(&m, 2);
    repeat(&m, 3);
    is_int(n[0], first, "work that is repeated asks the host for nothing");
    ok(m.used == 0 && m.live == 0 && n[1] > 1, "what is kept counts as returned");
    m.limit = 300000;
    void *large = mem_alloc(&m, 299000);
    ok(large != NULL && n[1] == 2, "and makes room below the limit");
    mem_free(&m, large, 299000);
    m.countdown = 1;
    ok(mem_alloc(&m, 299000) == NULL, "a failure ordered by a test comes for kept blocks too");
    mem_keep_none(&m);
    is_int(n[1], 0, "all of it goes back");
    mem_keep(&m, 100);
    large = mem_alloc(&m, 200);
    mem_free(&m, large, 200);
    is_int(n[1], 1, "no more is kept than the limit says");
    mem_keep_none(&m);
}

static void test_arrays(void)
{
    mem m;
    mem_init(&m, NULL, NULL);
    double *a = mem_array(&m, 1001, sizeof *a);
    ok(a != NULL && (uintptr_t)a % 64 == 0 && a[1000] == 0.0, "arrays are aligned and zero");
    int64_t *none = mem_array(&m, 0, sizeof *none);
    ok(none != NULL, "an array of nothing is valid");
    char *text = mem_string(&m, "perihelion");
    is_text(text, "perihelion", "a copied text");
    mem_array_free(&m, a);
    mem_array_free(&m, none);
    mem_array_free(&m, text);
    mem_array_free(&m, NULL);
    is_int((int64_t)m.used, 0, "all bytes came back");

    VEC(int64_t) v = {0};
    bool pushed = true;
    for (int64_t i = 0; i < 1000; i++)
        pushed = vec_push(&m, &v, i * i) && pushed;
    ok(pushed && v.n == 1000 && v.at[999] == 998001, "a growing array");
    m.countdown = -1;
    pushed = true;
    while (pushed && v.n < 100000)
        pushed = vec_push(&m, &v, 1);
    ok(!pushed && v.n == v.cap && v.at[999] == 998001, "a refused push leaves the array as it was");
    m.countdown = 0;
    vec_free(&m, &v);
    ok(m.live == 0 && v.at == NULL && v.cap == 0, "is freed");
}

static bool fill_arena(arena *a)
{
    for (size_t k = 1; k < 300; k++) {
        unsigned char *p = arena_alloc(a, k), *q = arena_array(a, k, 9);
        if (p == NULL || q == NULL || (uintptr_t)p % 16 != 0 || (uintptr_t)q % 64 != 0)
            return false;
        for (size_t i = 0; i < k; i++)
            if (p[i] != 0 || q[9 * i + 8] != 0)
                return false;
        memset(p, 0xFF, k);
        memset(q, 0xFF, 9 * k);
    }
    return true;
}

static void test_arena(void)
{
    mem m;
    mem_init(&m, NULL, NULL);
    arena a;
    arena_init(&a, &m);
    ok(fill_arena(&a), "objects are aligned, zero and apart");
    char *large = arena_array(&a, 3 << 20, 1), *small = arena_string(&a, "apsis");
    ok(large != NULL && large[(3 << 20) - 1] == 0, "an object larger than a block");
    is_text(small, "apsis", "a text behind it");
    ok(arena_array(&a, SIZE_MAX / 2, 4) == NULL, "overflow is told");
    const int64_t blocks = m.live;
    ok(blocks < 20, "few blocks hold many objects");
    arena_release(&a);
    is_int((int64_t)m.used, 0, "released");
    ok(fill_arena(&a), "and used again");
    arena_release(&a);
    m.countdown = -1;
    ok(arena_alloc(&a, 1) == NULL && arena_string(&a, "x") == NULL, "out of memory");
}

static void test_text(void)
{
    mem m;
    mem_init(&m, NULL, NULL);
    text_buffer t;
    text_init(&t, &m);
    text_add(&t, "%s %d", "bus", 14);
    for (int k = 0; k < 200; k++)
        text_put(&t, "....", 4);
    text_put(&t, "0.1", 3);
    text_add(&t, "%0500d", 7);
    char *text = text_take(&t);
    ok(text != NULL && strlen(text) == 6 + 800 + 3 + 500 && memcmp(text, "bus 14..", 8) == 0, "a text grows");
    is_text(text + strlen(text) - 3, "007", "a long piece is whole");
    mem_array_free(&m, text);
    text = text_take(&t);
    is_text(text, "", "nothing is the empty text");
    mem_array_free(&m, text);
    for (int64_t k = 1; k < 4; k++) {
        m.countdown = k;
        for (int i = 0; i < 200; i++)
            text_add(&t, "%d ", i);
        ok(text_take(&t) == NULL && m.live == 0, "failure %d is kept until the text is taken", (int)k);
        m.countdown = 0;
    }
}

typedef struct {
    int64_t calls, live;
} counter;

static void *counting(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    counter *c = ud;
    (void)old_size;
    c->calls++;
    c->live += (ptr == NULL && new_size > 0) - (ptr != NULL && new_size == 0);
    if (new_size > 0)
        return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

static int logged;

static void count_log(void *ud, int level, const char *text)
{
    (void)ud;
    logged += level == 1 && strcmp(text, "iteration 3") == 0;
}

static void test_context(void)
{
    counter c = {0, 0};
    const peri_config config = {.alloc = counting, .alloc_ud = &c, .plugin_path = "a:b", .log = count_log, .verbosity = 1};
    peri_context *ctx = peri_context_new(&config);
    ok(ctx != NULL && c.live == 2, "a context uses the allocator it is given");
    int64_t blocks = 0;
    size_t used = 0, peak = 0;
    peri_memory(ctx, &used, &peak, &blocks);
    ok(blocks == 2 && used > sizeof(peri_context) && peak >= used, "and counts itself");
    log_write(ctx, 1, "iteration %d", 3);
    log_write(ctx, 2, "iteration %d", 3);
    is_int(logged, 1, "log lines up to the verbosity");
    peri_memory_fail_at(ctx, 1, false);
    ok(mem_alloc(&ctx->mem, 1) == NULL, "peri_memory_fail_at");
    context_retain(ctx);
    context_retain(ctx);
    peri_context_free(ctx);
    ok(c.live == 2, "lives while a model does");
    context_release(ctx);
    ok(c.live == 2, "and another");
    context_release(ctx);
    ok(c.live == 0, "and goes with the last");
    peri_context_free(NULL);
    for (size_t limit = 1; limit < 2 * sizeof(peri_context); limit += sizeof(peri_context) / 2) {
        peri_config tight = config;
        tight.memory_limit = limit;
        ctx = peri_context_new(&tight);
        peri_context_free(ctx);
    }
    ok(c.live == 0, "whatever the limit, nothing is left");
}

int main(void)
{
    plan_later();
    test_statistics();
    test_limit();
    test_countdown();
    test_kept();
    test_arrays();
    test_arena();
    test_text();
    test_context();
    return tap_done();
}
