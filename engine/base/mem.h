/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h - the one way to memory. Every allocation of a context goes through its `mem`: a table in Lua's shape plus a limit,
 * statistics and a countdown that makes the k-th allocation fail (once, or it and all later ones). NULL means out of memory. A mem
 * that is told to keep blocks gives what is freed to the next request of the same size, so that work that is repeated asks the
 * host for nothing.
 */
#ifndef PERI_BASE_MEM_H
#define PERI_BASE_MEM_H

#include <perigee/perigee.h>

typedef struct mem {
    peri_alloc_fn alloc; /* (ud, ptr, old_size, new_size) as lua_Alloc */
    void *ud;
    size_t used, peak, limit; /* bytes; limit 0: none */
    int64_t live;             /* blocks now allocated */
    int64_t countdown;        /* > 0: allocations until one fails; 0: off; -1: every one fails */
    bool persistent;          /* after the countdown has run out, all later ones fail too */
    struct mem_kept *kept;    /* freed blocks for the next request; NULL: they go back at once */
} mem;

void mem_init(mem *m, peri_alloc_fn alloc, void *ud); /* alloc NULL: the C library's */

/* Small objects: caller knows the size again when freeing. mem_alloc zeroes. mem_resize(NULL, 0, n) allocates (new part zeroed). */
void *mem_alloc(mem *m, size_t bytes);
void *mem_resize(mem *m, void *ptr, size_t old_bytes, size_t new_bytes);
void mem_free(mem *m, void *ptr, size_t bytes);
/* From now on freed blocks are kept, up to `limit` bytes of them; without memory for the list of them they are not. */
void mem_keep(mem *m, size_t limit);
void mem_keep_none(mem *m); /* what was kept goes back */
bool mem_mul(size_t count, size_t size, size_t *bytes); /* false on overflow */

/* Arrays: zeroed, 64-byte aligned, size remembered. count 0 gives a valid pointer. */
void *mem_array(mem *m, size_t count, size_t size);
void mem_array_free(mem *m, void *ptr); /* NULL allowed */
char *mem_string(mem *m, const char *text); /* a copy; free with mem_array_free */

/* Arena: memory that dies together. Zeroed, 16-byte aligned (arena_array: 64). */
typedef struct arena {
    mem *m;
    struct arena_block *head;
    size_t next_block;
} arena;

void arena_init(arena *a, mem *m);
void *arena_alloc(arena *a, size_t bytes);
void *arena_array(arena *a, size_t count, size_t size);
char *arena_string(arena *a, const char *text);
void arena_release(arena *a); /* frees everything; the arena can be used again */

/* Growable typed array: VEC(type) v = {0}; vec_push(m, &v, value) -> bool (false: out of memory). */
#define VEC(type)                                                                                                      \
    struct {                                                                                                           \
        type *at;                                                                                                      \
        int64_t n, cap;                                                                                                \
    }
bool vec_grow_(mem *m, void **at, int64_t *cap, int64_t need, size_t size);
#define vec_reserve(m, v, need)                                                                                        \
    ((need) <= (v)->cap || vec_grow_((m), (void **)&(v)->at, &(v)->cap, (need), sizeof *(v)->at))
#define vec_push(m, v, value) (vec_reserve((m), (v), (v)->n + 1) && ((v)->at[(v)->n++] = (value), true))
#define vec_free(m, v)                                                                                                 \
    (mem_free((m), (v)->at, (size_t)(v)->cap * sizeof *(v)->at), (v)->at = NULL, (v)->n = 0, (v)->cap = 0)

#endif
