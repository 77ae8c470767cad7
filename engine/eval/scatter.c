/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scatter.c - sums of scatters: which argument may store because it is the first to reach its places, which must add, and what has to be zero
 * beforehand. Kernels run one after the other, and within a kernel all sinks work block by block. So an argument stores when no earlier kernel reaches
 * its places, it reaches none twice, and the other arguments of its kernel either never reach them, or only after it: all reach the same
 * ascending places, shifted, and it is the one furthest ahead. Constant arguments are an image that is copied before.
 */
#include "eval/plan.h"
#include <stdlib.h>
#include <string.h>

const expr_list *eval_sink_list(const eval_compiler *c, const eval_sink *s)
{
    const expr_node *node = expr_at(c->g, s->node);
    return &c->g->lists.at[c->g->args.at[node->many.list + node->many.n + s->arg]];
}

static void find_stride(const eval_compiler *c, eval_sink *s)
{
    const expr_list *list = eval_sink_list(c, s);
    s->first = list->at[0];
    s->stride = list->n > 1 ? list->at[1] - list->at[0] : 1;
    s->affine = s->stride > 0;
    for (int64_t k = 2; k < list->n && s->affine; k++)
        s->affine = list->at[k] - list->at[k - 1] == s->stride;
}

/* touched[j]: 255 by earlier kernels, else how many times in this one, at most 2 */
static void count_touches(const eval_compiler *c, int64_t n, eval_sink *const *sinks, unsigned char *touched)
{
    for (int64_t k = 0; k < n; k++) {
        const expr_list *list = eval_sink_list(c, sinks[k]);
        for (int64_t i = 0; i < list->n; i++)
            if (touched[list->at[i]] < 2)
                touched[list->at[i]]++;
    }
}

static bool reaches_first(const expr_list *list, const unsigned char *touched, unsigned char most)
{
    for (int64_t i = 0; i < list->n; i++)
        if (touched[list->at[i]] > most)
            return false;
    return true;
}

/* Ascending places, and those of the first one moved by a number. */
static bool is_shifted(const expr_list *list, const expr_list *first)
{
    const int32_t by = list->at[0] - first->at[0];
    bool is = list->n == first->n;
    for (int64_t i = 0; i < list->n && is; i++)
        is = list->at[i] - first->at[i] == by && (i == 0 || list->at[i] > list->at[i - 1]);
    return is;
}

static void find_shifts(const eval_compiler *c, int64_t n, eval_sink *const *sinks)
{
    bool all = true;
    for (int64_t k = 0; k < n && all; k++)
        all = is_shifted(eval_sink_list(c, sinks[k]), eval_sink_list(c, sinks[0]));
    for (int64_t k = 0; k < n; k++)
        sinks[k]->shifted = all;
}

/* The one furthest ahead, when all are shifted; -1: none. */
static int64_t leading(int64_t n, eval_sink *const *sinks)
{
    int64_t best = 0;
    for (int64_t k = 0; k < n; k++) {
        if (!sinks[k]->shifted)
            return -1;
        if (sinks[k]->first > sinks[best]->first)
            best = k;
    }
    return best;
}

static int further_ahead(const void *a, const void *b)
{
    const eval_sink *x = *(eval_sink *const *)a, *y = *(eval_sink *const *)b;
    const bool ahead_x = x->affine || x->shifted, ahead_y = y->affine || y->shifted;
    if (ahead_x != ahead_y)
        return ahead_x ? -1 : 1;
    if (ahead_x && x->first != y->first)
        return x->first > y->first ? -1 : 1;
    return (x->arg > y->arg) - (x->arg < y->arg);
}

/* Those that are further ahead come first in the kernel, so that the one that stores is the very first at a place. Reorders the sinks. */
static void rank_sinks(int64_t n, eval_sink **sinks)
{
    qsort(sinks, (size_t)n, sizeof *sinks, further_ahead);
    for (int64_t k = 0; k < n; k++)
        sinks[k]->rank = sinks[k]->affine || sinks[k]->shifted ? (int32_t)k + 1 : 1;
}

/* ---- pairs of neighbouring places --------------------------------------------------------------------------------------------- */

enum { MOST_WOVEN = 4, FARTHEST = 8 };

/* Sequences with stride 2 that fall on even and on odd places alike: banded matrices by columns. */
static bool is_weave(const eval_compiler *c, int64_t n, eval_sink *const *sinks)
{
    int32_t lo = sinks[0]->first, hi = lo;
    bool odd = false;
    for (int64_t k = 0; k < n; k++) {
        if (n > MOST_WOVEN || !sinks[k]->affine || sinks[k]->stride != 2 || eval_sink_list(c, sinks[k])->n < 2)
            return false;
        odd = odd || (sinks[k]->first - sinks[0]->first) % 2 != 0;
        lo = sinks[k]->first < lo ? sinks[k]->first : lo;
        hi = sinks[k]->first > hi ? sinks[k]->first : hi;
    }
    return odd && hi - lo <= FARTHEST;
}

/* All of them store, who comes first where, or all add. */
static void plan_weave(const eval_compiler *c, int64_t n, eval_sink **sinks, unsigned char *touched, unsigned char *stored)
{
    bool stores = true;
    for (int64_t k = 0; k < n; k++)
        stores = stores && reaches_first(eval_sink_list(c, sinks[k]), touched, 2);
    for (int64_t k = 0; k < n; k++) {
        const expr_list *list = eval_sink_list(c, sinks[k]);
        sinks[k]->stores = stores;
        sinks[k]->rank = 1;
        for (int64_t i = 0; i < list->n; i++) {
            touched[list->at[i]] = 255;
            stored[list->at[i]] |= stores;
        }
    }
    sinks[0]->woven = (int32_t)n;
    for (int64_t k = 1; k < n; k++)
        sinks[k]->woven = -1;
}

static void plan_kernel(const eval_compiler *c, int64_t n, eval_sink **sinks, unsigned char *touched, unsigned char *stored)
{
    count_touches(c, n, sinks, touched);
    if (n > 1 && is_weave(c, n, sinks)) {
        plan_weave(c, n, sinks, touched, stored);
        return;
    }
    find_shifts(c, n, sinks);
    const int64_t lead = leading(n, sinks);
    for (int64_t k = 0; k < n; k++) {
        const expr_list *list = eval_sink_list(c, sinks[k]);
        sinks[k]->stores = reaches_first(list, touched, k == lead ? 2 : 1);
        sinks[k]->alone = sinks[k]->stores && (k != lead || reaches_first(list, touched, 1));
        for (int64_t i = 0; i < list->n && sinks[k]->stores; i++)
            stored[list->at[i]] = 1;
    }
    rank_sinks(n, sinks);
    for (int64_t k = 0; k < n; k++) {
        const expr_list *list = eval_sink_list(c, sinks[k]);
        for (int64_t i = 0; i < list->n; i++)
            touched[list->at[i]] = 255;
    }
}

enum { MOST_RANGES = 8, ENTRIES_A_RANGE = 64 }; /* more are kept when they are rare */

static int64_t count_ranges(int64_t size, const unsigned char *stored)
{
    int64_t n = 0;
    for (int64_t j = 0; j < size; j++)
        n += !stored[j] && (j == 0 || stored[j - 1]);
    return n;
}

/* The places that nothing stores to; the last range goes on to the end where there are too many. */
static peri_status zero_rest(eval_compiler *c, expr_id e, eval_group *first, const unsigned char *stored)
{
    const int64_t size = eval_size(c, e), all = count_ranges(size, stored);
    const int64_t most = all * ENTRIES_A_RANGE <= size ? all : MOST_RANGES;
    int64_t ranges = 0, last = size;
    while (last > 0 && stored[last - 1])
        last--;
    for (int64_t j = 0, end; j < last; j = end) {
        if (stored[j]) {
            end = j + 1;
            continue;
        }
        for (end = j + 1; end < last && !stored[end];)
            end++;
        if (++ranges == most)
            end = last;
        struct eval_zero_range range = {c->place[e], end - j, NULL};
        range.place.offset += j;
        if (!vec_push(c->m, &first->zeros, range))
            return FAIL_NOMEM(c->g->ctx);
    }
    return PERI_OK;
}

/* ---- constants -------------------------------------------------------------------------------------------------------------- */

static bool is_constant(const eval_compiler *c, const eval_sink *s)
{
    double value;
    return expr_at(c->g, s->value)->op == PERI_OP_CONST || expr_constant_value(c->g, s->value, &value);
}

static void add_to_image(const eval_compiler *c, const eval_sink *s, double *image)
{
    const expr_list *list = eval_sink_list(c, s);
    double value = 0;
    const bool same = expr_constant_value(c->g, s->value, &value);
    for (int64_t i = 0; i < list->n; i++)
        image[list->at[i]] += same ? value : expr_const_data(c->g, s->value)[i];
}

/* Constants are summed up now, when they are more than a few: the scatter starts from a copy. Removes their sinks. */
static peri_status make_image(eval_compiler *c, expr_id e, int64_t n, eval_sink **sinks, bool *made)
{
    const int64_t size = eval_size(c, e);
    int64_t entries = 0;
    for (int64_t k = 0; k < n; k++)
        entries += is_constant(c, sinks[k]) ? eval_sink_list(c, sinks[k])->n : 0;
    *made = 4 * entries > size;
    if (!*made)
        return PERI_OK;
    struct eval_zero_range range = {c->place[e], size, NULL};
    double *image = arena_array(&c->program->data, (size_t)size, sizeof *image);
    range.from = image;
    if (image == NULL || !vec_push(c->m, &c->groups.at[sinks[0]->kernel].zeros, range))
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t k = 0; k < n; k++)
        if (is_constant(c, sinks[k])) {
            add_to_image(c, sinks[k], image);
            sinks[k]->kind = SINK_NONE;
        }
    return PERI_OK;
}

/* The others may store where no constant is. */
static int64_t drop_constants(const eval_compiler *c, int64_t n, eval_sink **sinks, unsigned char *touched)
{
    int64_t kept = 0;
    for (int64_t k = 0; k < n; k++) {
        const expr_list *list = eval_sink_list(c, sinks[k]);
        for (int64_t i = 0; i < list->n && sinks[k]->kind == SINK_NONE; i++)
            touched[list->at[i]] = 255;
        if (sinks[k]->kind != SINK_NONE)
            sinks[kept++] = sinks[k];
    }
    return kept;
}

static peri_status plan_node(eval_compiler *c, expr_id e, int64_t n, eval_sink **sinks)
{
    const size_t size = (size_t)eval_size(c, e);
    unsigned char *touched = mem_array(c->m, size, 1), *stored = mem_array(c->m, size, 1);
    peri_status status = touched != NULL && stored != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
    eval_group *first = &c->groups.at[sinks[0]->kernel];
    for (int64_t k = 0; k < c->direct.n && status == PERI_OK; k++)
        if (c->direct.at[k].scatter == e)
            memset(stored + c->direct.at[k].first, 1, (size_t)c->direct.at[k].n);
    bool image = false;
    if (status == PERI_OK)
        status = make_image(c, e, n, sinks, &image);
    if (status == PERI_OK && image)
        n = drop_constants(c, n, sinks, touched);
    for (int64_t begin = 0, end = 0; status == PERI_OK && begin < n; begin = end) {
        while (end < n && sinks[end]->kernel == sinks[begin]->kernel)
            find_stride(c, sinks[end++]);
        plan_kernel(c, end - begin, sinks + begin, touched, stored);
    }
    if (status == PERI_OK && !image)
        status = zero_rest(c, e, first, stored);
    mem_array_free(c->m, touched);
    mem_array_free(c->m, stored);
    return status;
}

static int by_kernel(const void *a, const void *b)
{
    const eval_sink *x = *(eval_sink *const *)a, *y = *(eval_sink *const *)b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return (x->arg > y->arg) - (x->arg < y->arg);
}

static void sort_by_kernel(const eval_compiler *c, int64_t n, eval_sink **sinks)
{
    for (int64_t k = 0; k < n; k++)
        sinks[k]->order = c->groups.at[sinks[k]->kernel].order;
    qsort(sinks, (size_t)n, sizeof *sinks, by_kernel);
}

peri_status eval_plan_scatters(eval_compiler *c)
{
    eval_sink **some = arena_array(&c->data, (size_t)c->sinks.n, sizeof *some);
    if (some == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t k = 0; k < c->sinks.n;) { /* the sinks of one scatter are neighbours */
        int64_t n = 0;
        const expr_id node = c->sinks.at[k].node;
        if (c->sinks.at[k].kind != SINK_SCATTER) {
            k++;
            continue;
        }
        while (k < c->sinks.n && c->sinks.at[k].kind == SINK_SCATTER && c->sinks.at[k].node == node)
            some[n++] = &c->sinks.at[k++];
        sort_by_kernel(c, n, some);
        TRY(plan_node(c, node, n, some));
    }
    return PERI_OK;
}
