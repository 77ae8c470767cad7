/* SPDX-License-Identifier: Apache-2.0 */
/*
 * finite.c - which entries of outputs are finite, without reading them again. A kernel looks at what it stores to a watched entry, or adds there, while it is
 * in a register or the first cache: EVAL_WATCH adds up the values times 2^64, so that its sum is finite only if each value is below 2^961. A sum of fewer
 * than 2^31 of those is finite too. What array operations, reductions and small kernels write is left, and read behind the run. Where a watched value
 * is larger, all watched entries are.
 * Invariant: an entry that is not left is a sum of values each of which is watched, or part of a sum that is watched, or a constant below LARGE.
 */
#include "eval/kernel.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LARGE 1e280

/* ---- after a run ------------------------------------------------------------------------------------------------------- */

bool eval_is_finite(int64_t n, const double *v)
{
    return eval_simd_best()->is_finite(n, v);
}

static bool are_finite(const eval_simd *simd, double *const *outputs, int64_t n, const eval_range *range)
{
    bool all = true;
    for (int64_t k = 0; k < n && all; k++)
        all = simd->is_finite(range[k].end - range[k].begin, outputs[range[k].slot] + range[k].begin);
    return all;
}

/* What is left may lie on both sides of entries that nobody watches. */
bool eval_watched_is_finite(const eval_program *p, double *const *outputs)
{
    const eval_finite *f = p->finite;
    const bool alarm = atomic_load_explicit(&p->finite->alarm, memory_order_relaxed);
    return (!alarm && are_finite(p->simd, outputs, f->n_left, f->left)) || are_finite(p->simd, outputs, f->n_watched, f->watched);
}

/* ---- what is left ---------------------------------------------------------------------------------------------------------- */

static eval_range common(const eval_range *a, const eval_range *b)
{
    return (eval_range){a->slot, a->begin > b->begin ? a->begin : b->begin, a->end < b->end ? a->end : b->end};
}

static bool is_before(const eval_range *a, const eval_range *b)
{
    return a->slot != b->slot ? a->slot < b->slot : a->begin < b->begin;
}

/* Number k and the next one become one. */
static void join(eval_finite *f, int64_t k)
{
    if (f->left[k + 1].end > f->left[k].end)
        f->left[k].end = f->left[k + 1].end;
    for (int64_t j = k + 1; j + 1 < f->n_left; j++)
        f->left[j] = f->left[j + 1];
    f->n_left--;
}

/* INT64_MAX: in different outputs */
static int64_t gap_behind(const eval_finite *f, int64_t k)
{
    const eval_range *a = &f->left[k], *b = &f->left[k + 1];
    return a->slot == b->slot ? b->begin - a->end : INT64_MAX;
}

/* In order, apart, and where there are too many the nearest two of one output together. */
static void add_left(eval_finite *f, eval_range r)
{
    int64_t k = f->n_left++, best = 0;
    for (; k > 0 && is_before(&r, &f->left[k - 1]); k--)
        f->left[k] = f->left[k - 1];
    f->left[k] = r;
    for (k = 0; k + 1 < f->n_left;) {
        if (gap_behind(f, k) <= 0)
            join(f, k);
        else
            k++;
    }
    if (f->n_left <= f->n_watched + EVAL_MOST_LEFT)
        return;
    for (k = 1; k + 1 < f->n_left; k++)
        if (gap_behind(f, k) < gap_behind(f, best))
            best = k;
    join(f, best);
}

void eval_leave(eval_compiler *c, eval_place place, int64_t n)
{
    eval_finite *f = c->program->finite;
    const eval_range range = {place.base - BASE_OUTPUT, place.offset, place.offset + n};
    for (int64_t k = 0; k < f->n_watched; k++) {
        const eval_range both = common(&f->watched[k], &range);
        if (f->watched[k].slot == range.slot && both.begin < both.end)
            add_left(f, both);
    }
}

static bool is_small(int64_t n, const double *v)
{
    for (int64_t k = 0; k < n; k++)
        if (!(fabs(v[k]) <= LARGE))
            return false;
    return true;
}

void eval_leave_constants(eval_compiler *c, eval_place place, int64_t n, int64_t n_from, const double *from)
{
    if (!is_small(n_from, from))
        eval_leave(c, place, n);
}

/* ---- a kernel's instructions ------------------------------------------------------------------------------------------------- */

enum { FEWEST = 512, FEW = 128, LONG = 256, MANY = 4096, NEAR = 16, LAST_SEEN = 16 }; /* instances or entries; places; operands that are remembered */

typedef struct {
    kernel *k;
    int64_t n, entries;           /* entries: watched ones among those that the instructions may reach */
    const instruction *code;      /* [n] as they were */
    bool *seen;                   /* [n_regs] registers that are watched already */
    operand array[LAST_SEEN];     /* so are these, n_arrays in all */
    int64_t n_arrays;
} watcher;

static bool is_in_output(const operand *o)
{
    return o->form == FORM_ARRAY && o->place.base >= BASE_OUTPUT;
}

static bool is_slot_watched(const kernel *k, int32_t slot)
{
    const eval_finite *f = k->c->program->finite;
    bool is = false;
    for (int64_t j = 0; j < f->n_watched; j++)
        is = is || f->watched[j].slot == slot;
    return is;
}

static eval_range reach_of_list(int32_t slot, int64_t at, int64_t n, const int32_t *index)
{
    int32_t lo = index[0], hi = lo;
    for (int64_t j = 1; j < n; j++) {
        lo = index[j] < lo ? index[j] : lo;
        hi = index[j] > hi ? index[j] : hi;
    }
    return (eval_range){slot, at + lo, at + hi + 1};
}

/* Of the places that the instruction writes, from the lowest to the highest. */
static eval_range reach_of(const kernel *k, const instruction *i)
{
    const int32_t slot = i->dst.place.base - BASE_OUTPUT;
    const int64_t at = i->dst.place.offset;
    switch (i->code) {
    case EVAL_WEAVE: return (eval_range){slot, at, at + 2 * (k->n + i->index[WEAVE_REACH])};
    case EVAL_STORE_PAIRS: return (eval_range){slot, at, at + (k->n - 1) * i->imm + 2};
    case EVAL_STORE_FOURS: return (eval_range){slot, at, at + (k->n - 1) * i->imm + 4};
    case EVAL_FILL: return (eval_range){slot, at, at + k->n * i->imm};
    default: break;
    }
    if (i->scatter == NULL)
        return (eval_range){slot, at, at + k->n};
    if (i->code == EVAL_ADD_PAIRS)
        return reach_of_list(slot, at, 2 * k->n, i->index);
    const expr_list *list = eval_sink_list(k->c, i->scatter);
    return (eval_range){slot, i->scatter->place.offset + list->lo, i->scatter->place.offset + list->hi + 1};
}

static int64_t count_watched(const kernel *k, const eval_range *range)
{
    const eval_finite *f = k->c->program->finite;
    int64_t n = 0;
    for (int64_t j = 0; j < f->n_watched; j++) {
        const eval_range both = common(&f->watched[j], range);
        n += f->watched[j].slot == range->slot && both.begin < both.end ? both.end - both.begin : 0;
    }
    return n;
}

static void leave(const kernel *k, const eval_range *range)
{
    eval_leave(k->c, (eval_place){BASE_OUTPUT + range->slot, range->begin, NULL}, range->end - range->begin);
}

/* To one place an instance, neighbours */
static bool is_direct(const instruction *i)
{
    return !i->stays && is_in_output(&i->dst) && i->dst.slide == 0;
}

/*
 * Does a later instruction add to the same places, but for a few? Then it is the sums that are watched, and those few are left. A place's sum is looked at by
 * the last one that adds there.
 */
static bool is_covered(const watcher *w, int64_t j)
{
    const instruction *i = &w->code[j];
    if (!is_direct(i) || i->scatter == NULL)
        return false;
    for (int64_t l = j + 1; l < w->n; l++) {
        const instruction *later = &w->code[l];
        const int64_t ahead = i->dst.place.offset - later->dst.place.offset;
        if (!is_direct(later) || later->scatter == NULL || later->scatter->node != i->scatter->node || later->there == 0 || llabs(ahead) > NEAR)
            continue;
        eval_place rest = i->dst.place;
        rest.offset += ahead > 0 ? w->k->n - ahead : 0;
        eval_leave(w->k->c, rest, llabs(ahead));
        return true;
    }
    return false;
}

static bool is_small_constant(const kernel *k, const operand *o)
{
    if (o->form == FORM_CELL)
        return k->cells.at[o->at].constant && is_small(1, &k->cells.at[o->at].value);
    return o->form == FORM_ARRAY && o->slide == 0 && o->place.base == BASE_FIXED && is_small(k->n, o->place.fixed);
}

static bool is_seen(watcher *w, const operand *o)
{
    if (o->form == FORM_REG) {
        const bool before = w->seen[o->at];
        w->seen[o->at] = true;
        return before;
    }
    if (o->form != FORM_ARRAY || (o->place.base >= BASE_MEMORY && o->place.base != BASE_FIXED)) /* those may change */
        return false;
    for (int64_t j = 0; j < w->n_arrays && j < LAST_SEEN; j++)
        if (w->array[j].slide == o->slide && eval_same_place(&w->array[j].place, &o->place))
            return true;
    w->array[w->n_arrays++ % LAST_SEEN] = *o;
    return false;
}

static peri_status put(watcher *w, const instruction *i)
{
    return vec_push(w->k->c->m, &w->k->code, *i) ? PERI_OK : kernel_nomem(w->k);
}

static peri_status put_watch(watcher *w, instruction *watch)
{
    if (watch->imm == 0)
        return PERI_OK;
    w->k->watches = true;
    return put(w, watch);
}

/* The values that it stores or adds, before it; a weave is the last to read its registers. */
static peri_status watch_values(watcher *w, const instruction *i)
{
    instruction watch = {.code = EVAL_WATCH, .stays = true};
    for (int q = 0; q < 4; q++)
        if (i->p[q].form != FORM_NONE && !is_small_constant(w->k, &i->p[q]) && !is_seen(w, &i->p[q]))
            watch.p[watch.imm++] = i->p[q];
    TRY(put_watch(w, &watch));
    return put(w, i);
}

/* What it has stored, behind it. */
static peri_status watch_places(watcher *w, const instruction *i)
{
    instruction watch = {.code = EVAL_WATCH, .stays = true, .behind = i->scatter != NULL};
    TRY(put(w, i));
    if (is_in_output(&i->dst))
        watch.p[watch.imm++] = i->dst;
    if (is_in_output(&i->dst2))
        watch.p[watch.imm++] = i->dst2;
    return put_watch(w, &watch);
}

static eval_range second_reach(const kernel *k, const instruction *i)
{
    return (eval_range){i->dst2.place.base - BASE_OUTPUT, i->dst2.place.offset, i->dst2.place.offset + k->n};
}

/* Watched ones among those that the instruction may reach. */
static int64_t entries_of(const kernel *k, const instruction *i)
{
    int64_t entries = 0;
    if (i->code != EVAL_FILL && is_in_output(&i->dst)) {
        const eval_range reach = reach_of(k, i);
        entries += count_watched(k, &reach);
    }
    if (is_in_output(&i->dst2)) {
        const eval_range reach = second_reach(k, i);
        entries += count_watched(k, &reach);
    }
    return entries;
}

/* Is reading the instruction's entries again less work than to watch the instances? */
static bool is_left(const watcher *w, int64_t entries)
{
    const int64_t n = w->k->n;
    const bool few = entries < FEWEST && (entries < n || w->entries < FEWEST);
    return n == 1 || few || (n < FEW && entries < MANY) || (n < LONG && entries <= 4 * n);
}

static peri_status watch_one(watcher *w, int64_t j)
{
    kernel *k = w->k;
    const instruction *i = &w->code[j];
    if (i->code == EVAL_FILL && is_in_output(&i->dst))
        eval_leave_constants(k->c, i->dst.place, k->n * i->imm, (i->index[0] > 0 ? i->index[0] : k->n) * i->imm, i->p[0].place.fixed);
    if (i->code == EVAL_FILL || (!is_in_output(&i->dst) && !is_in_output(&i->dst2)))
        return put(w, i);
    const eval_range reach = reach_of(k, i), second = second_reach(k, i);
    const int64_t entries = entries_of(k, i);
    if (entries == 0)
        return put(w, i);
    if (is_left(w, entries)) {
        if (is_in_output(&i->dst))
            leave(k, &reach);
        if (is_in_output(&i->dst2))
            leave(k, &second);
        return put(w, i);
    }
    if (is_covered(w, j))
        return put(w, i);
    const bool copies = i->code == EVAL_COPY && i->p[0].form != FORM_ARRAY;
    return i->stays || copies ? watch_values(w, i) : watch_places(w, i);
}

static bool stores_watched(const kernel *k, const operand *o)
{
    return is_in_output(o) && is_slot_watched(k, o->place.base - BASE_OUTPUT);
}

static peri_status watch_all(watcher *w)
{
    const eval_finite *f = w->k->c->program->finite;
    int64_t all = 0;
    for (int64_t j = 0; j < w->n; j++)
        w->entries += entries_of(w->k, &w->code[j]);
    for (int64_t j = 0; j < f->n_watched; j++)
        all += f->watched[j].end - f->watched[j].begin;
    w->entries = w->entries < all ? w->entries : all; /* several instructions may reach one */
    for (int64_t j = 0; j < w->n; j++)
        TRY(watch_one(w, j));
    return PERI_OK;
}

peri_status eval_watch_kernel(kernel *k)
{
    mem *const m = k->c->m;
    watcher w = {.k = k, .n = k->code.n};
    bool any = false;
    for (int64_t j = 0; j < w.n; j++)
        any = any || stores_watched(k, &k->code.at[j].dst) || stores_watched(k, &k->code.at[j].dst2);
    if (!any)
        return PERI_OK;
    instruction *code = mem_array(m, (size_t)w.n, sizeof *code);
    w.seen = mem_array(m, (size_t)k->n_regs + 1, sizeof *w.seen);
    if (code != NULL)
        memcpy(code, k->code.at, (size_t)w.n * sizeof *code);
    w.code = code;
    k->code.n = 0;
    const peri_status status = code != NULL && w.seen != NULL ? watch_all(&w) : kernel_nomem(k);
    mem_array_free(m, code);
    mem_array_free(m, w.seen);
    return status;
}
