/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - accounting, limits and injected failures around one allocation function. Not responsible for where memory comes from:
 * that is the function the host gave. Invariant: `used` and `live` describe exactly the blocks handed out and not yet returned,
 * and a refused request changes neither the statistics nor the block it wanted to grow. Kept blocks count as returned, but for the
 * limit, for which they make room.
 */
#define _DEFAULT_SOURCE
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ARRAY_ALIGN = 64, POISON = 0xA5, KEPT_LISTS = 64, HUGE_PAGE = 1 << 21 };

/* A freed block that waits for a request of its size. */
typedef struct kept_block {
    struct kept_block *next;
    size_t size;
} kept_block;

struct mem_kept {
    size_t bytes, limit;
    kept_block *list[KEPT_LISTS]; /* by size */
};

/* In front of every mem_array: the block as it was allocated. */
typedef struct {
    void *block;
    size_t bytes;
} array_header;

static void *library_alloc(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    (void)ud;
    (void)old_size;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, new_size);
}

void mem_init(mem *m, peri_alloc_fn alloc, void *ud)
{
    *m = (mem){.alloc = alloc != NULL ? alloc : library_alloc, .ud = alloc != NULL ? ud : NULL};
}

bool mem_mul(size_t count, size_t size, size_t *bytes)
{
    return !__builtin_mul_overflow(count, size, bytes);
}

/* ---- kept blocks ---------------------------------------------------------------------------------------------- */

/* Every block can hold a kept_block. */
static size_t block_size(size_t bytes)
{
    return bytes > sizeof(kept_block) ? bytes : sizeof(kept_block);
}

static kept_block **kept_list(const mem *m, size_t size)
{
    return &m->kept->list[(size >> 4 ^ size >> 10) % KEPT_LISTS];
}

static void *take_kept(mem *m, size_t size)
{
    if (m->kept == NULL)
        return NULL;
    for (kept_block **at = kept_list(m, size); *at != NULL; at = &(*at)->next)
        if ((*at)->size == size) {
            kept_block *b = *at;
            *at = b->next;
            m->kept->bytes -= size;
            return b;
        }
    return NULL;
}

static bool put_kept(mem *m, void *ptr, size_t size)
{
    if (m->kept == NULL || size > m->kept->limit - m->kept->bytes)
        return false;
    kept_block **list = kept_list(m, size), *b = ptr;
    *b = (kept_block){*list, size};
    *list = b;
    m->kept->bytes += size;
    return true;
}

static void empty_kept(mem *m)
{
    for (int k = 0; k < KEPT_LISTS && m->kept != NULL; k++)
        while (m->kept->list[k] != NULL) {
            kept_block *b = m->kept->list[k];
            m->kept->list[k] = b->next;
            m->alloc(m->ud, b, b->size, 0);
        }
    if (m->kept != NULL)
        m->kept->bytes = 0;
}

void mem_keep(mem *m, size_t limit)
{
    if (m->kept == NULL) {
        m->kept = m->alloc(m->ud, NULL, 0, sizeof *m->kept);
        if (m->kept == NULL)
            return;
        *m->kept = (struct mem_kept){0};
    }
    m->kept->limit = limit > m->kept->bytes ? limit : m->kept->bytes;
}

void mem_keep_none(mem *m)
{
    empty_kept(m);
    if (m->kept != NULL)
        m->alloc(m->ud, m->kept, sizeof *m->kept, 0);
    m->kept = NULL;
}

/* ---- blocks ----------------------------------------------------------------------------------------------------- */

static bool passes_limit(const mem *m, size_t more)
{
    const size_t used = m->used + (m->kept != NULL ? m->kept->bytes : 0);
    return m->limit != 0 && (more > m->limit || used > m->limit - more);
}

/* True when this request must be refused: the countdown has reached it, or it would pass the limit. */
static bool is_refused(mem *m, size_t more)
{
    if (m->countdown == -1)
        return true;
    if (m->countdown > 0 && --m->countdown == 0) {
        m->countdown = m->persistent ? -1 : 0;
        return true;
    }
    if (passes_limit(m, more) && m->kept != NULL)
        empty_kept(m);
    return passes_limit(m, more);
}

static void note_growth(mem *m, size_t more)
{
    m->used += more;
    if (m->used > m->peak)
        m->peak = m->used;
}

static void poison(void *ptr, size_t bytes)
{
#ifdef PERI_DEBUG
    memset(ptr, POISON, bytes);
#else
    (void)ptr;
    (void)bytes;
#endif
}

/*
 * Large blocks on pages of 2 MB, where the system has them for those who ask: a fault for each 4 kB takes longer than filling them,
 * and what is read and written in no order then needs few entries of the table of pages. Only pages that lie in the block as a whole.
 */
static void ask_huge_pages(void *ptr, size_t size)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t begin = ((uintptr_t)ptr + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, end = ((uintptr_t)ptr + size) / HUGE_PAGE * HUGE_PAGE;
    if (begin < end)
        (void)madvise((unsigned char *)ptr + (begin - (uintptr_t)ptr), end - begin, MADV_HUGEPAGE); /* a wish; refused is as before */
#else
    (void)ptr;
    (void)size;
#endif
}

void *mem_alloc(mem *m, size_t bytes)
{
    const size_t size = bytes != 0 ? bytes : 1;
    if (is_refused(m, size))
        return NULL;
    void *ptr = take_kept(m, block_size(size));
    const bool old = ptr != NULL, library = m->alloc == library_alloc;
    if (!old) /* the system's zero pages are cheaper than our own zeros */
        ptr = library ? calloc(1, block_size(size)) : m->alloc(m->ud, NULL, 0, block_size(size));
    if (ptr == NULL && m->kept != NULL && m->kept->bytes > 0) { /* what is kept may be what is missing */
        empty_kept(m);
        ptr = m->alloc(m->ud, NULL, 0, block_size(size));
    }
    if (ptr == NULL)
        return NULL;
    if (!old)
        ask_huge_pages(ptr, size);
    if (old || !library || m->kept != NULL)
        memset(ptr, 0, size);
    note_growth(m, size);
    m->live++;
    return ptr;
}

void mem_free(mem *m, void *ptr, size_t bytes)
{
    if (ptr == NULL)
        return;
    const size_t size = bytes != 0 ? bytes : 1;
    poison(ptr, size);
    if (!put_kept(m, ptr, block_size(size)))
        m->alloc(m->ud, ptr, block_size(size), 0);
    m->used -= size;
    m->live--;
}

/* Another block with the bytes of this one, through what is kept. */
static void *move_kept(mem *m, void *ptr, size_t old_size, size_t new_size)
{
    void *moved = take_kept(m, block_size(new_size));
    if (moved == NULL)
        moved = m->alloc(m->ud, NULL, 0, block_size(new_size));
    if (moved == NULL)
        return NULL;
    memcpy(moved, ptr, old_size < new_size ? old_size : new_size);
    if (!put_kept(m, ptr, block_size(old_size)))
        m->alloc(m->ud, ptr, block_size(old_size), 0);
    return moved;
}

void *mem_resize(mem *m, void *ptr, size_t old_bytes, size_t new_bytes)
{
    if (ptr == NULL)
        return mem_alloc(m, new_bytes);
    if (new_bytes == 0) {
        mem_free(m, ptr, old_bytes);
        return NULL;
    }
    const size_t old_size = old_bytes != 0 ? old_bytes : 1;
    if (new_bytes > old_size && is_refused(m, new_bytes - old_size))
        return NULL;
    unsigned char *moved = m->kept != NULL ? move_kept(m, ptr, old_size, new_bytes)
                                           : m->alloc(m->ud, ptr, block_size(old_size), block_size(new_bytes));
    if (moved == NULL)
        return NULL;
    if (new_bytes > old_bytes)
        memset(moved + old_bytes, 0, new_bytes - old_bytes);
    m->used -= old_size;
    note_growth(m, new_bytes);
    return moved;
}

void *mem_array(mem *m, size_t count, size_t size)
{
    const size_t extra = sizeof(array_header) + ARRAY_ALIGN - 1;
    size_t bytes = 0;
    if (!mem_mul(count, size, &bytes) || bytes > SIZE_MAX / 2 - extra)
        return NULL;
    unsigned char *block = mem_alloc(m, bytes + extra);
    if (block == NULL)
        return NULL;
    const size_t shift = ((uintptr_t)block + sizeof(array_header)) % ARRAY_ALIGN;
    unsigned char *array = block + sizeof(array_header) + (shift != 0 ? ARRAY_ALIGN - shift : 0);
    const array_header header = {block, bytes + extra};
    memcpy(array - sizeof header, &header, sizeof header);
    return array;
}

void mem_array_free(mem *m, void *ptr)
{
    if (ptr == NULL)
        return;
    array_header header;
    memcpy(&header, (unsigned char *)ptr - sizeof header, sizeof header);
    mem_free(m, header.block, header.bytes);
}

char *mem_string(mem *m, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = mem_array(m, size, 1);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

bool vec_grow_(mem *m, void **at, int64_t *cap, int64_t need, size_t size)
{
    if (need <= *cap)
        return true;
    const int64_t doubled = *cap <= INT64_MAX / 2 ? *cap * 2 : INT64_MAX;
    int64_t new_cap = need > doubled ? need : doubled;
    if (new_cap < 8)
        new_cap = 8;
    size_t new_bytes = 0;
    if (!mem_mul((size_t)new_cap, size, &new_bytes) || new_bytes > SIZE_MAX / 2)
        return false;
    void *old = NULL; /* the caller's pointer has another type: copy its bytes */
    memcpy(&old, (const void *)at, sizeof old);
    void *moved = mem_resize(m, old, (size_t)*cap * size, new_bytes);
    if (moved == NULL)
        return false;
    memcpy((void *)at, &moved, sizeof moved);
    *cap = new_cap;
    return true;
}
