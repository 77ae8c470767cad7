/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - arrays that are not wanted at the same time share memory. An array is wanted from the first step that has a pointer into it to the
 * last: whatever a step reads or writes, it reaches by a pointer that was asked for with eval_point. The largest come first, each to the
 * lowest address that is free while it is wanted. Small arrays are not worth it.
 */
#include "eval/plan.h"
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 64, MOST_SHARED = 2048 }; /* numbers; arrays, since the work grows with the square */

typedef struct {
    int64_t from, size, to;    /* planned address; address after sharing */
    int32_t first_step, last_step; /* -1: nothing points to it */
    int32_t number;
} array;

static int64_t array_at(const eval_compiler *c, int64_t offset)
{
    int64_t low = 0, high = c->buffers.n - 1;
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (c->buffers.at[middle] <= offset)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static void find_lives(const eval_compiler *c, array *arrays)
{
    const eval_program *p = c->program;
    for (int64_t k = 0; k < c->buffers.n; k++) {
        const int64_t end = k + 1 < c->buffers.n ? c->buffers.at[k + 1] : c->memory;
        arrays[k] = (array){.from = c->buffers.at[k], .size = end - c->buffers.at[k], .first_step = -1, .last_step = -1, .number = (int32_t)k};
    }
    for (int64_t s = 0; s < p->n_steps; s++) {
        const int64_t unit = p->steps[s].at + (p->steps[s].is_array ? p->n_kernels : 0);
        for (int64_t j = c->patch_start[unit]; j < c->patch_start[unit + 1]; j++) {
            if (c->patches.at[j].base != BASE_MEMORY)
                continue;
            array *a = &arrays[array_at(c, c->patches.at[j].offset)];
            a->first_step = a->first_step < 0 ? (int32_t)s : a->first_step;
            a->last_step = (int32_t)s;
        }
    }
}

static int largest_first(const void *a, const void *b)
{
    const array *x = a, *y = b;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return x->number - y->number;
}

static int by_address(const void *a, const void *b)
{
    const array *x = *(array *const *)a, *y = *(array *const *)b;
    return (x->to > y->to) - (x->to < y->to);
}

/* placed [n]: by address; a is put among them */
static void place(array *a, int64_t n, array **placed)
{
    int64_t to = 0, k;
    for (k = 0; k < n; k++) {
        const array *other = placed[k];
        if (other->last_step < a->first_step || a->last_step < other->first_step)
            continue;
        if (other->to >= to + a->size)
            break;
        to = other->to + other->size > to ? other->to + other->size : to;
    }
    a->to = to;
    placed[n] = a;
    for (k = n; k > 0 && by_address(&placed[k - 1], &placed[k]) > 0; k--) {
        array *const moved = placed[k];
        placed[k] = placed[k - 1];
        placed[k - 1] = moved;
    }
}

/* Returns the numbers that all together take. */
static int64_t place_all(int64_t n, array *arrays, array **placed)
{
    int64_t shared = 0, end = 0;
    qsort(arrays, (size_t)n, sizeof *arrays, largest_first);
    for (int64_t k = 0; k < n; k++) {
        array *a = &arrays[k];
        if (a->first_step < 0)
            continue;
        if (a->size < SMALLEST || shared == MOST_SHARED) {
            a->to = end;
            end += a->size;
            continue;
        }
        place(a, shared, placed);
        shared++;
        end = a->to + a->size > end ? a->to + a->size : end;
    }
    return end;
}

peri_status eval_share_memory(eval_compiler *c)
{
    const int64_t n = c->buffers.n;
    array *arrays = arena_array(&c->data, (size_t)n, sizeof *arrays), **placed = arena_array(&c->data, (size_t)n, sizeof *placed);
    int64_t *to = arena_array(&c->data, (size_t)n, sizeof *to);
    if (arrays == NULL || placed == NULL || to == NULL)
        return FAIL_NOMEM(c->g->ctx);
    find_lives(c, arrays);
    const int64_t memory = place_all(n, arrays, placed);
    for (int64_t k = 0; k < n; k++)
        to[arrays[k].number] = arrays[k].to;
    for (int64_t j = 0; j < c->patches.n; j++) {
        struct eval_patch *patch = &c->patches.at[j];
        if (patch->base != BASE_MEMORY)
            continue;
        const int64_t k = array_at(c, patch->offset);
        patch->offset += to[k] - c->buffers.at[k];
    }
    c->memory = memory;
    return PERI_OK;
}
