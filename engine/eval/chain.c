/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.c - kernels that run chunk by chunk in turns, so that what one writes is still in the second cache when another reads it or adds to it. Of kernels
 * that follow each other, each chunk's turn comes as soon as the chunks that it has to wait for are done, those that lag behind first; the
 * order is found when the program is made. Several threads share out one kernel after the other instead.
 * Invariant: of two kernels that touch a place, one of them to write, the earlier one has done all its instances that touch it before the later one's
 * do; and a chunk is what it is without turns, so that the bits are the same.
 */
#include "eval/plan.h"
#include <stdlib.h>
#include <string.h>

enum {
    FEWEST_BYTES = 1 << 20, /* of all kernels: less stays in the cache anyway */
    MOST_KERNELS = 32,      /* of a chain */
    MOST_TOUCHES = 48,      /* of a kernel */
    NEAR = 64               /* numbers between places that are taken together */
};

/* Places base + from + i stride + [0, width) for instance i; whole: anywhere; at_start: before the first instance, for none of them. */
typedef struct {
    int64_t from, stride, width;
    int32_t base;
    bool writes, whole, at_start;
} touch;

typedef struct {
    eval_kernel *k;
    int64_t n, done, next;       /* touches; instances that are done, and those that are with the next chunk */
    int64_t wants[MOST_KERNELS]; /* instances of earlier kernels that the next chunk has to wait for */
    bool meets[MOST_KERNELS];    /* is there a place that both touch? */
    touch at[MOST_TOUCHES];
} link;

/* ---- what a kernel touches ---------------------------------------------------------------------------------------------- */

static bool is_beside(const touch *a, const touch *b)
{
    return a->base == b->base && a->stride == b->stride && a->whole == b->whole && a->at_start == b->at_start && !a->whole && a->stride > 0 &&
           a->from - b->from < NEAR && b->from - a->from < NEAR;
}

/* false: there are too many */
static bool note(link *l, const touch *t)
{
    for (int64_t j = 0; j < l->n; j++) {
        touch *a = &l->at[j];
        if (!is_beside(a, t))
            continue;
        const int64_t from = a->from < t->from ? a->from : t->from;
        const int64_t end = a->from + a->width > t->from + t->width ? a->from + a->width : t->from + t->width;
        a->from = from;
        a->width = end - from;
        a->writes = a->writes || t->writes;
        return true;
    }
    if (l->n == MOST_TOUCHES)
        return false;
    l->at[l->n++] = *t;
    return true;
}

static void set_steps(touch *t, int64_t stride, int64_t width)
{
    t->stride = stride;
    t->width = width;
    t->whole = stride <= 0;
}

static void touch_destination(const eval_ins *ins, touch *t)
{
    t->writes = true;
    switch (ins->code) {
    case EVAL_STORE_STRIDED:
    case EVAL_ADD_STRIDED: set_steps(t, ins->imm, 1); break;
    case EVAL_STORE_PAIRS: set_steps(t, ins->imm, 2); break;
    case EVAL_STORE_FOURS: set_steps(t, ins->imm, 4); break;
    case EVAL_FILL: set_steps(t, ins->imm, ins->imm); break;
    case EVAL_WEAVE: set_steps(t, 2, 2 * (ins->index[WEAVE_REACH] + 1)); break;
    default: set_steps(t, ins->flags >> 4 & 1, 1);
    }
}

static void touch_operand(const eval_ins *ins, int q, touch *t)
{
    const bool second = ins->code == EVAL_SINCOS && q == 3;
    t->writes = second;
    if (ins->code == EVAL_LOAD_STRIDED)
        set_steps(t, ins->imm, 1);
    else
        set_steps(t, second ? ins->flags >> 5 & 1 : ins->flags >> q & 1, 1);
}

static bool is_in(const void *where, const void *array, int64_t n, size_t size)
{
    return (uintptr_t)where >= (uintptr_t)array && (uintptr_t)where < (uintptr_t)array + (size_t)n * size;
}

/* What is at the other end of a pointer of the kernel's; false: it is not known. */
static bool touch_of(const eval_kernel *k, const struct eval_patch *patch, touch *t)
{
    const void *const at = patch->where;
    *t = (touch){.from = patch->offset, .width = 1, .base = patch->base};
    if (is_in(at, k->ins, k->n_ins, sizeof *k->ins)) {
        const eval_ins *ins = &k->ins[((const char *)at - (const char *)k->ins) / (int64_t)sizeof *ins];
        for (int q = 0; q < 4; q++)
            if (at == (const void *)&ins->p[q])
                touch_operand(ins, q, t);
        if (at == (const void *)&ins->dst)
            touch_destination(ins, t);
        t->whole = t->whole || k->rows != NULL;
        return true;
    }
    if (is_in(at, k->cells, k->n_cells, sizeof *k->cells)) {
        t->at_start = true;
        return true;
    }
    if (is_in(at, k->zeros, k->n_zeros, sizeof *k->zeros)) {
        const struct eval_zero *z = &k->zeros[((const char *)at - (const char *)k->zeros) / (int64_t)sizeof *z];
        t->width = z->n;
        t->at_start = z->piece == NULL; /* else by and by */
        t->writes = true;
        return true;
    }
    t->writes = true; /* a sum's result, when all is done; whatever rows read */
    t->whole = !is_in(at, k->accs, k->n_accs, sizeof *k->accs);
    return !t->whole || k->rows != NULL;
}

static bool find_touches(const eval_compiler *c, int64_t number, link *l)
{
    eval_kernel *k = &c->program->kernels[number];
    *l = (link){.k = k};
    for (int64_t j = c->patch_start[number]; j < c->patch_start[number + 1]; j++) {
        const struct eval_patch *patch = &c->patches.at[j];
        touch t;
        const bool read_only = patch->base < BASE_MEMORY, own = patch->base == BASE_SCRATCH;
        if (read_only || own || is_in(patch->where, k->streams, k->n_streams, sizeof *k->streams))
            continue;
        if (!touch_of(k, patch, &t) || !note(l, &t))
            return false;
    }
    return true;
}

/* ---- who waits for whom --------------------------------------------------------------------------------------------------- */

/* Instances of the earlier kernel that have to be done before the later one's first `end`. */
static int64_t wanted_by(const touch *a, int64_t n, const touch *b, int64_t end)
{
    const int64_t a_end = a->from + a->stride * (n - 1) + a->width, b_end = b->from + b->stride * (end - 1) + b->width;
    if (a->base != b->base || (!a->writes && !b->writes))
        return 0;
    if (!a->whole && !b->whole && (b_end <= a->from || a_end <= b->from))
        return 0;
    if (a->at_start)
        return 1;
    if (a->whole || b->whole || a->stride == 0)
        return n;
    const int64_t last = ((b_end < a_end ? b_end : a_end) - 1 - a->from) / a->stride;
    return last + 1 < n ? last + 1 : n;
}

static int64_t wanted(const link *a, const link *b, int64_t end)
{
    int64_t most = 0;
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t j = 0; j < b->n; j++) {
            const int64_t n = wanted_by(&a->at[i], a->k->n, &b->at[j], end);
            most = n > most ? n : most;
        }
    return most;
}

static void prepare_next(link *links, int64_t number)
{
    link *l = &links[number];
    l->next = l->done + l->k->chunk < l->k->n ? l->done + l->k->chunk : l->k->n;
    for (int64_t j = 0; j < number; j++) {
        if (l->done == 0)
            l->meets[j] = wanted(&links[j], l, l->k->n) > 0;
        if (l->meets[j] && l->wants[j] < links[j].k->n)
            l->wants[j] = wanted(&links[j], l, l->next);
    }
}

static bool is_ready(const link *links, int64_t number)
{
    const link *l = &links[number];
    bool ready = l->done < l->k->n;
    for (int64_t j = 0; j < number && ready; j++)
        ready = links[j].done >= l->wants[j];
    return ready;
}

/* Has a done less of itself than b? */
static bool lags(const link *a, const link *b)
{
    return (double)a->done * (double)b->k->n < (double)b->done * (double)a->k->n;
}

static void find_turns(int64_t n, link *links, struct eval_turn *turns)
{
    int64_t count = 0;
    for (int64_t k = 0; k < n; k++)
        prepare_next(links, k);
    for (;;) {
        int64_t best = -1;
        for (int64_t k = n - 1; k >= 0; k--)
            if (is_ready(links, k) && (best < 0 || lags(&links[k], &links[best])))
                best = k;
        if (best < 0)
            return; /* all is done: the first that is not would be ready */
        link *l = &links[best];
        turns[count++] = (struct eval_turn){(int32_t)(l->k - links[0].k), (int32_t)(l->done / l->k->chunk)};
        l->done = l->next;
        prepare_next(links, best);
    }
}

/* ---- chains ---------------------------------------------------------------------------------------------------------------- */

/* Do two kernels of several chunks touch the same? Otherwise turns gain nothing. */
static bool is_worth_it(int64_t n, const link *links)
{
    double bytes = 0;
    bool meet = false;
    for (int64_t k = 0; k < n; k++) {
        bytes += links[k].k->bytes;
        for (int64_t j = 0; j < k; j++)
            meet = meet || (links[k].k->n_chunks > 1 && links[j].k->n_chunks > 1 && wanted(&links[j], &links[k], links[k].k->n) > 0);
    }
    return meet && bytes >= FEWEST_BYTES;
}

static peri_status add_chain(eval_compiler *c, int64_t first, int64_t n, link *links)
{
    eval_program *p = c->program;
    for (; n > 0 && links[0].k->n_chunks == 1; n--, first++) /* nothing to take turns with yet, or any more */
        links++;
    while (n > 0 && links[n - 1].k->n_chunks == 1)
        n--;
    struct eval_chain chain = {.first = first, .n_steps = n};
    if (!is_worth_it(n, links))
        return PERI_OK;
    for (int64_t k = 0; k < n; k++)
        chain.n_turns += links[k].k->n_chunks;
    chain.turns = arena_array(&p->data, (size_t)chain.n_turns, sizeof *chain.turns);
    if (chain.turns == NULL)
        return FAIL_NOMEM(c->g->ctx);
    find_turns(n, links, chain.turns);
    for (int64_t t = 0; t < chain.n_turns; t++)
        chain.turns[t].kernel += (int32_t)(links[0].k - p->kernels);
    for (int64_t k = 0; k < n; k++)
        links[k].k->takes_turns = true;
    p->chains[p->n_chains++] = chain;
    return PERI_OK;
}

peri_status eval_plan_chains(eval_compiler *c)
{
    eval_program *p = c->program;
    link *links = arena_array(&c->data, MOST_KERNELS, sizeof *links);
    p->chains = arena_array(&p->data, (size_t)p->n_steps / 2 + 1, sizeof *p->chains);
    if (links == NULL || p->chains == NULL)
        return FAIL_NOMEM(c->g->ctx);
    int64_t n = 0;
    for (int64_t s = 0; s <= p->n_steps; s++) {
        const bool fits = s < p->n_steps && !p->steps[s].is_array && n < MOST_KERNELS && find_touches(c, p->steps[s].at, &links[n]);
        if (!fits && n > 1)
            TRY(add_chain(c, s - n, n, links));
        n = fits ? n + 1 : 0;
    }
    return PERI_OK;
}
