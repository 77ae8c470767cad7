/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guards.c - guard words. A block lies in the run's arena as: its record, GUARD bytes of the pattern, the array, GUARD bytes of the pattern. The list
 * of blocks belongs to the arena: who lends the run another arena lends it another list. Invariant: a block that was found written over is put
 * right, so that it is told once.
 */
#include "run/guards.h"
#include <stdio.h>
#include <string.h>

enum { GUARD = 64, PATTERN = 0xA5 };

struct run_guard {
    struct run_guard *next;
    unsigned char *at; /* the array */
    size_t size;       /* bytes of it */
    const char *what;
    const double *original; /* what it must be equal to; NULL: anything */
};

static struct run_guard *new_block(peri_run *run, size_t bytes, const char *what)
{
    size_t whole;
    struct run_guard *b = arena_alloc(&run->memory, sizeof *b);
    if (b == NULL || __builtin_add_overflow(bytes, (size_t)2 * GUARD, &whole))
        return NULL;
    unsigned char *memory = arena_array(&run->memory, whole, 1);
    if (memory == NULL)
        return NULL;
    memset(memory, PATTERN, GUARD);
    memset(memory + GUARD + bytes, PATTERN, GUARD);
    *b = (struct run_guard){.next = run->guards, .at = memory + GUARD, .size = bytes, .what = what};
    run->guards = b;
    return b;
}

void *guards_array(peri_run *run, size_t count, size_t size, const char *what)
{
    size_t bytes;
    struct run_guard *b = mem_mul(count, size, &bytes) ? new_block(run, bytes, what) : NULL;
    return b != NULL ? b->at : NULL;
}

double *guards_copy(peri_run *run, int64_t n, const double *original, const char *what)
{
    double *copy = guards_array(run, (size_t)n, sizeof *copy, what);
    if (copy == NULL)
        return NULL;
    if (n > 0)
        memcpy(copy, original, (size_t)n * sizeof *copy);
    run->guards->original = original;
    return copy;
}

static bool is_pattern(const unsigned char *at)
{
    for (int k = 0; k < GUARD; k++)
        if (at[k] != PATTERN)
            return false;
    return true;
}

/* What was done to the block, or NULL; it is put right. */
static const char *damage(struct run_guard *b)
{
    unsigned char *before = b->at - GUARD, *behind = b->at + b->size;
    const char *what = NULL;
    if (!is_pattern(before))
        what = "before the beginning of";
    if (!is_pattern(behind))
        what = "past the end of";
    if (b->original != NULL && b->size > 0 && memcmp(b->at, b->original, b->size) != 0) {
        memcpy(b->at, b->original, b->size);
        what = what != NULL ? what : "into";
    }
    memset(before, PATTERN, GUARD);
    memset(behind, PATTERN, GUARD);
    return what;
}

static void tell(peri_run *run, const struct run_guard *b, const char *where)
{
    char size[64] = "", when[48];
    if (b->original == NULL && strcmp(b->what, "its state") != 0)
        snprintf(size, sizeof size, " (%zu bytes, or %zu numbers)", b->size, b->size / sizeof(double));
    snprintf(when, sizeof when, "in step %lld", (long long)run->steps + 1);
    run->stopped_by = PERI_ERROR;
    snprintf(run->message, sizeof run->message, "plugin %s wrote %s %s%s %s", run->plugin->name, where, b->what, size,
             run->in_init ? "at its start" : when);
}

bool guards_check(peri_run *run)
{
    bool whole = true;
    for (struct run_guard *b = run->guards; b != NULL; b = b->next) {
        const char *where = damage(b);
        if (where != NULL && whole)
            tell(run, b, where);
        whole = whole && where == NULL;
    }
    return whole;
}
