/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c - memory that dies together: a list of blocks that grow by doubling, carved from the front. Invariant: everything behind
 * `used` of a block is zero and, under the address sanitizer, poisoned, so that a read behind an object is seen.
 */
#include "base/mem.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON_REGION(ptr, bytes) ASAN_POISON_MEMORY_REGION((ptr), (bytes))
#define UNPOISON_REGION(ptr, bytes) ASAN_UNPOISON_MEMORY_REGION((ptr), (bytes))
enum { RED_ZONE = 16 };
#else
#define POISON_REGION(ptr, bytes) ((void)(ptr), (void)(bytes))
#define UNPOISON_REGION(ptr, bytes) ((void)(ptr), (void)(bytes))
enum { RED_ZONE = 0 };
#endif

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20, SMALL_ALIGN = 16, ARRAY_ALIGN = 64 };

struct arena_block {
    struct arena_block *next;
    size_t size, used; /* of data, in bytes */
};

static unsigned char *block_data(struct arena_block *b)
{
    return (unsigned char *)(b + 1);
}

void arena_init(arena *a, mem *m)
{
    *a = (arena){.m = m};
}

/* Where the next object of this alignment starts in b. */
static size_t aligned_offset(struct arena_block *b, size_t align)
{
    const uintptr_t free_at = (uintptr_t)block_data(b) + b->used;
    return b->used + (align - free_at % align) % align;
}

static bool fits(struct arena_block *b, size_t bytes, size_t align)
{
    const size_t offset = aligned_offset(b, align);
    return offset <= b->size && bytes <= b->size - offset;
}

/* A block that holds `bytes` at least. One made for a single large object goes behind the head, which stays in use. */
static struct arena_block *add_block(arena *a, size_t bytes)
{
    const size_t wanted = a->next_block != 0 ? a->next_block : FIRST_BLOCK;
    const size_t size = bytes > wanted ? bytes : wanted;
    struct arena_block *b = mem_alloc(a->m, sizeof *b + size);
    if (b == NULL)
        return NULL;
    b->size = size;
    POISON_REGION(block_data(b), size);
    if (a->head != NULL && bytes > wanted) {
        b->next = a->head->next;
        a->head->next = b;
        return b;
    }
    b->next = a->head;
    a->head = b;
    a->next_block = wanted < LARGEST_BLOCK ? wanted * 2 : wanted;
    return b;
}

static void *carve(arena *a, size_t bytes, size_t align)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    const size_t size = (bytes != 0 ? bytes : 1) + RED_ZONE;
    struct arena_block *b = a->head;
    if (b == NULL || !fits(b, size, align)) {
        b = add_block(a, size + align);
        if (b == NULL)
            return NULL;
    }
    const size_t offset = aligned_offset(b, align);
    b->used = offset + size;
    unsigned char *ptr = block_data(b) + offset;
    UNPOISON_REGION(ptr, bytes);
    return ptr;
}

void *arena_alloc(arena *a, size_t bytes)
{
    return carve(a, bytes, SMALL_ALIGN);
}

void *arena_array(arena *a, size_t count, size_t size)
{
    size_t bytes = 0;
    return mem_mul(count, size, &bytes) ? carve(a, bytes, ARRAY_ALIGN) : NULL;
}

char *arena_string(arena *a, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = carve(a, size, 1);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

void arena_release(arena *a)
{
    while (a->head != NULL) {
        struct arena_block *b = a->head;
        a->head = b->next;
        UNPOISON_REGION(block_data(b), b->size);
        mem_free(a->m, b, sizeof *b + b->size);
    }
    a->next_block = 0;
}
