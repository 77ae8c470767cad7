/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.h - sparse patterns for the hand-written families: by columns, where a loop meets the entries in order; or from pairs in any order, with
 * the place of each pair in the values. A failed allocation is remembered and reported once, at the end.
 */
#ifndef PERI_BENCH_PATTERN_H
#define PERI_BENCH_PATTERN_H

#include "family.h"
#include <string.h>

typedef struct {
    int64_t *start, *index; /* CSC; freed by pattern_free */
    int64_t cols, used, room;
    bool failed;
} pattern;

static inline void pattern_room(pattern *p, int64_t cols)
{
    memset(p, 0, sizeof *p);
    p->start = calloc((size_t)cols + 1, sizeof *p->start);
    p->failed = p->start == NULL;
}

static inline void pattern_row(pattern *p, int64_t row)
{
    if (p->used == p->room && !p->failed) {
        const int64_t room = 2 * p->room + 64;
        int64_t *index = realloc(p->index, (size_t)room * sizeof *index);
        p->failed = index == NULL;
        if (p->failed)
            return;
        p->index = index;
        p->room = room;
    }
    if (!p->failed)
        p->index[p->used++] = row;
}

/* Rows `before` and `after` of a block of nh rows that starts at `first`, for point k of a trajectory: its steps k - 1 and k. */
static inline void pattern_steps(pattern *p, int64_t first, int64_t nh, int64_t k)
{
    if (k > 0)
        pattern_row(p, first + k - 1);
    if (k < nh)
        pattern_row(p, first + k);
}

static inline void pattern_column_ends(pattern *p)
{
    p->cols++;
    if (!p->failed)
        p->start[p->cols] = p->used;
}

static inline void pattern_free(pattern *p)
{
    free(p->start);
    free(p->index);
}

/* ---- from pairs ------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t row, col;
    int64_t at; /* in the order of arrival */
} pattern_pair;

static inline int pattern_pair_order(const void *a, const void *b)
{
    const pattern_pair *x = a, *y = b;
    if (x->col != y->col)
        return x->col < y->col ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Sorts the pairs, makes the pattern, and writes for the pair that arrived as number k its place into at[k]. */
static inline void pattern_from_pairs(pattern *p, int64_t cols, int64_t count, pattern_pair *pairs, int32_t *at)
{
    pattern_room(p, cols);
    qsort(pairs, (size_t)count, sizeof *pairs, pattern_pair_order);
    int64_t col = 0;
    for (int64_t k = 0; k < count; k++) {
        for (; col < pairs[k].col; col++)
            pattern_column_ends(p);
        if (k == 0 || pattern_pair_order(&pairs[k - 1], &pairs[k]) != 0)
            pattern_row(p, pairs[k].row);
        at[pairs[k].at] = (int32_t)(p->used - 1);
    }
    for (; col < cols; col++)
        pattern_column_ends(p);
}

#endif
