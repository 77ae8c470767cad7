/* SPDX-License-Identifier: Apache-2.0 */
/*
 * split.c - how several threads run a kernel together. It is cut into chunks by its size and its instructions alone. Each thread has code of its
 * own, whose registers lie in its scratch memory. A scatter's place that several chunks reach is a seam: what they would add there is
 * set aside, and added after the last chunk in the order in which one thread would have done it. So the bits of a result do not depend on the
 * number of threads: one thread runs the kernel's own code, without seams.
 */
#include "base/context.h"
#include "eval/plan.h"
#include "eval/sparse.h"
#include <string.h>

/* ---- chunks -------------------------------------------------------------------------------------------------------- */

static bool is_function(int code)
{
    return (code >= PERI_OP_EXP && code <= PERI_OP_SOFTPLUS) || code == PERI_OP_ATAN2;
}

/* Of one instance, in fifths of a nanosecond or so. */
static int64_t cost_of(const eval_ins *i)
{
    int64_t cost = 1;
    if (i->code == EVAL_WATCH) /* chunks are the same with it */
        return 0;
    for (int bit = 0; bit < 6; bit++)
        cost += i->flags >> bit & 1;
    switch (i->code) {
    case EVAL_LOAD_LIST:
    case EVAL_STORE_LIST:
    case EVAL_ADD_LIST:
    case EVAL_ADD_RUNS:
    case EVAL_ADD_PAIRS:
    case EVAL_STORE_FOURS:
    case EVAL_WEAVE: return cost + 4;
    case EVAL_SINCOS:
    case PERI_OP_POW: return cost + 24;
    case PERI_OP_DIV:
    case PERI_OP_RECIP:
    case PERI_OP_SQRT:
    case EVAL_POWH: return cost + 4;
    default: return cost + (is_function(i->code) ? 10 : 0);
    }
}

enum { CHUNK_COST = 1 << 16, FEWEST_CHUNKS = 4, MOST_CHUNKS = 256 };

static int64_t instance_cost(const eval_kernel *k)
{
    int64_t cost = 0;
    for (int64_t j = 0; j < k->n_ins; j++)
        cost += cost_of(&k->ins[j]);
    return cost;
}

/* Chunks of a few microseconds; a kernel that gives fewer than FEWEST_CHUNKS is done before other threads have begun. */
peri_status eval_cut_kernel(eval_compiler *c, eval_kernel *k)
{
    const int64_t cost = instance_cost(k);
    const int64_t unit = k->rows != NULL && k->rows->period > 0 ? 2 * k->rows->period : k->block, blocks = (k->n + unit - 1) / unit;
    int64_t chunks = cost < INT64_MAX / k->n ? cost * k->n / CHUNK_COST : MOST_CHUNKS;
    chunks = chunks > MOST_CHUNKS ? MOST_CHUNKS : chunks;
    chunks = chunks > blocks ? blocks : chunks;
    if (chunks < FEWEST_CHUNKS)
        chunks = 1;
    k->chunk = (blocks + chunks - 1) / chunks * unit;
    k->n_chunks = (k->n + k->chunk - 1) / k->chunk;
    if (k->n_chunks == 1)
        return PERI_OK;
    k->partials = arena_array(&c->program->data, (size_t)(k->n_accs * k->n_chunks), sizeof *k->partials);
    return k->partials != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

/* ---- seams --------------------------------------------------------------------------------------------------------- */

typedef struct {
    eval_compiler *c;
    eval_kernel *k;
    eval_split *s;
    int64_t n, size;                      /* scatters of one node, and its places */
    const struct eval_scatter **scatter;  /* [n] in the order of their instructions */
    eval_border *border;                  /* [n] of those */
    int32_t *met;                         /* [n_met] 0: by none, 1 + chunk: by that one only, -1: by several; see met_at */
    int64_t n_met;
    int64_t first, step, reach;           /* step > 0: all go in this step, from `first` on at the lowest, `reach` more at the highest */
    bool *whole;                          /* [n] set aside altogether */
    int64_t runs;                         /* neighbouring instances of one scatter and chunk that are set aside */
    int64_t *slots;                       /* so far, of all nodes */
} seam_planner;

static peri_status nomem(const seam_planner *t)
{
    return FAIL_NOMEM(t->c->g->ctx);
}

static int32_t place_at(const struct eval_scatter *s, int64_t i)
{
    return expr_list_at(&s->list, i * s->width);
}

/* Number k of instance i's places. */
static int32_t one_place(const struct eval_scatter *s, int64_t i, int32_t k)
{
    return expr_list_at(&s->list, i * s->width + k);
}

static int64_t chunk_end(const eval_kernel *k, int64_t chunk)
{
    return (chunk + 1) * k->chunk < k->n ? (chunk + 1) * k->chunk : k->n;
}

/* Of the block that holds instance `at`; end: of the chunk */
static int64_t block_end(const eval_kernel *k, int64_t at, int64_t end)
{
    if (k->rows != NULL)
        return eval_block_end(k, eval_row_at(k->rows, at), at, end);
    return (at / k->block + 1) * k->block < end ? (at / k->block + 1) * k->block : end;
}

/*
 * By which chunks a place is met. Where all scatters walk in one step, those of two chunks meet in the first places behind the border between them only,
 * and only those are noted; NULL: another place, which one chunk meets at the most.
 */
static int32_t *met_at(const seam_planner *t, int64_t place)
{
    if (t->step == 0)
        return &t->met[place];
    const int64_t span = t->k->chunk * t->step, border = (place - t->first) / span, behind = (place - t->first) % span;
    return border == 0 || border >= t->k->n_chunks || behind > t->reach ? NULL : &t->met[(border - 1) * (t->reach + 1) + behind];
}

static bool is_seam(const seam_planner *t, int64_t place)
{
    const int32_t *met = met_at(t, place);
    return met != NULL && *met < 0;
}

/* Has the instance a place that is a seam? */
static bool has_seam(const seam_planner *t, const struct eval_scatter *s, int64_t i)
{
    bool any = false;
    for (int32_t k = 0; k < s->width; k++)
        any = any || is_seam(t, one_place(s, i, k));
    return any;
}

/* The first instance from i on with a place that is noted, at most `end`. */
static int64_t next_noted(const seam_planner *t, const struct eval_scatter *s, int64_t i, int64_t end)
{
    if (t->step == 0 || i >= end || met_at(t, place_at(s, i)) != NULL)
        return i;
    const int64_t span = t->k->chunk * t->step, border = (place_at(s, i) - t->first) / span + 1;
    if (border >= t->k->n_chunks)
        return end;
    const int64_t next = (border * span - (s->list.first - t->first) + t->step - 1) / t->step;
    return next < end ? next : end;
}

static bool find_meetings(const seam_planner *t)
{
    bool any = false;
    for (int64_t s = 0; s < t->n; s++)
        for (int64_t chunk = 0; chunk < t->k->n_chunks; chunk++) {
            const int64_t end = chunk_end(t->k, chunk);
            for (int64_t i = next_noted(t, t->scatter[s], chunk * t->k->chunk, end); i < end; i = next_noted(t, t->scatter[s], i + 1, end)) {
                for (int32_t k = 0; k < t->scatter[s]->width; k++) {
                    int32_t *met = met_at(t, one_place(t->scatter[s], i, k));
                    any = any || (*met != 0 && *met != chunk + 1);
                    *met = *met == 0 || *met == chunk + 1 ? (int32_t)chunk + 1 : -1;
                }
            }
        }
    return any;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/*
 * Neighbouring instances with a seam's place, in one chunk of one scatter; those from `begin` on that come next. Where neighbours are added up
 * first: those.
 */
static bool next_run(const seam_planner *t, const struct eval_scatter *s, int64_t end, int64_t *begin, int64_t *run_end)
{
    *begin = next_noted(t, s, *begin, end);
    while (*begin < end && !has_seam(t, s, *begin))
        *begin = next_noted(t, s, *begin + 1, end);
    if (s->period > 0)
        end = least(end, least((*begin / s->period + 1) * s->period, block_end(t->k, *begin, end)));
    *run_end = *begin;
    while (*run_end < end && has_seam(t, s, *run_end) && (s->period == 0 || place_at(s, *run_end) == place_at(s, *begin)))
        (*run_end)++;
    return *begin < *run_end;
}

static int64_t count_runs(const seam_planner *t, const struct eval_scatter *s)
{
    int64_t n = 0, end;
    for (int64_t chunk = 0; chunk < t->k->n_chunks; chunk++)
        for (int64_t i = chunk * t->k->chunk; next_run(t, s, chunk_end(t->k, chunk), &i, &end); i = end)
            n++;
    return n;
}

enum { MANY_RUNS = 8 }; /* of a chunk: with more, cutting an instruction into pieces costs more than setting all of it aside */

/* Scatters with many runs, or with several places an instance, are set aside altogether; then so is what others bring to their places. */
static void settle_runs(seam_planner *t)
{
    bool again = true;
    while (again) {
        again = false;
        t->runs = 0;
        for (int64_t s = 0; s < t->n; s++) {
            const int64_t runs = count_runs(t, t->scatter[s]);
            t->runs += runs;
            if (t->whole[s] || (t->scatter[s]->width == 1 ? runs <= MANY_RUNS * t->k->n_chunks : runs == 0))
                continue;
            t->whole[s] = again = true;
            for (int64_t i = 0; i < t->k->n * t->scatter[s]->width; i++)
                *met_at(t, expr_list_at(&t->scatter[s]->list, i)) = -1;
        }
    }
}

static peri_status make_borders(const seam_planner *t)
{
    arena *const a = &t->c->program->data;
    eval_aside *aside = arena_array(a, (size_t)t->runs, sizeof *aside);
    int64_t n = 0, end;
    for (int64_t s = 0; s < t->n; s++) {
        eval_border *b = &t->border[s];
        b->ins = t->scatter[s]->ins;
        b->first = arena_array(a, (size_t)t->k->n_chunks + 1, sizeof *b->first);
        b->aside = aside;
        if (aside == NULL || b->first == NULL)
            return nomem(t);
        for (int64_t chunk = 0; chunk < t->k->n_chunks; chunk++) {
            b->first[chunk] = n;
            for (int64_t i = chunk * t->k->chunk; next_run(t, t->scatter[s], chunk_end(t->k, chunk), &i, &end); i = end) {
                aside[n++] = (eval_aside){i, end, *t->slots};
                *t->slots += t->scatter[s]->period > 0 ? 1 : (end - i) * t->scatter[s]->width;
            }
        }
        b->first[t->k->n_chunks] = n;
    }
    return PERI_OK;
}

/* The part of [at, end) that the run holds, if any. */
static bool cut_out(const eval_aside *a, int64_t at, int64_t end, int64_t *from, int64_t *to)
{
    *from = a->begin > at ? a->begin : at;
    *to = a->end < end ? a->end : end;
    return *from < *to;
}

/* Values of the block in the order of one thread: of each scatter in turn. `used`: how many of a place there are so far */
static void fill_block(const seam_planner *t, eval_seam *m, int64_t chunk, int64_t at, int64_t end, int32_t *used)
{
    int64_t from, to;
    for (int64_t s = 0; s < t->n; s++) {
        const eval_border *b = &t->border[s];
        for (int64_t r = b->first[chunk]; r < b->first[chunk + 1]; r++) {
            const eval_aside *a = &b->aside[r];
            if (!cut_out(a, at, end, &from, &to))
                continue;
            const int32_t width = t->scatter[s]->width;
            const int64_t last = t->scatter[s]->period > 0 ? from + 1 : to * width;
            for (int64_t i = from * width; i < last; i++) {
                const int32_t j = expr_list_at(&t->scatter[s]->list, i), q = -2 - *met_at(t, j);
                if (used[q] == 0)
                    m->place[q] = t->scatter[s]->stores ? j : -1 - j;
                m->from[m->start[q] + used[q]++] = (int32_t)(a->slot + i - a->begin * width);
            }
        }
    }
}

static void fill_seam(const seam_planner *t, eval_seam *m, int32_t *used)
{
    const eval_kernel *k = t->k;
    for (int64_t chunk = 0; chunk < k->n_chunks; chunk++)
        for (int64_t at = chunk * k->chunk, end = chunk_end(k, chunk), next; at < end; at = next) {
            next = block_end(k, at, end);
            fill_block(t, m, chunk, at, next, used);
        }
}

/* Seams are numbered by place: met becomes -2 - number. */
static int64_t number_seams(const seam_planner *t)
{
    int64_t n = 0;
    for (int64_t j = 0; j < t->n_met; j++)
        if (t->met[j] < 0)
            t->met[j] = (int32_t)(-2 - n++);
    return n;
}

static peri_status make_seam(const seam_planner *t, eval_seam *m)
{
    arena *const a = &t->c->program->data;
    const int64_t n = number_seams(t), before = *t->slots;
    TRY(make_borders(t));
    m->n = n;
    m->place = arena_array(a, (size_t)n, sizeof *m->place);
    m->start = arena_array(a, (size_t)n + 1, sizeof *m->start);
    m->from = arena_array(a, (size_t)(*t->slots - before), sizeof *m->from);
    int32_t *used = mem_array(t->c->m, (size_t)n, sizeof *used);
    const bool all = m->place != NULL && m->start != NULL && m->from != NULL && used != NULL;
    if (all) {
        for (int64_t s = 0; s < t->n; s++)
            for (int64_t r = t->border[s].first[0]; r < t->border[s].first[t->k->n_chunks]; r++) {
                const eval_aside *one = &t->border[s].aside[r];
                const int64_t width = t->scatter[s]->width, end = t->scatter[s]->period > 0 ? one->begin + 1 : one->end;
                for (int64_t i = one->begin * width; i < end * width; i++)
                    m->start[-2 - *met_at(t, expr_list_at(&t->scatter[s]->list, i)) + 1]++;
            }
        for (int64_t q = 0; q < n; q++)
            m->start[q + 1] += m->start[q];
        fill_seam(t, m, used);
    }
    mem_array_free(t->c->m, used);
    return all ? eval_point(t->c, &m->dst, t->scatter[0]->place) : nomem(t);
}

/* Room for what is met. Few instances of one scatter are then in a border's places, so that none is set aside altogether. */
static void make_room(seam_planner *t)
{
    int64_t low = INT64_MAX, high = 0;
    t->step = t->scatter[0]->list.stride;
    for (int64_t s = 0; s < t->n; s++) {
        const expr_list *list = &t->scatter[s]->list;
        low = list->first < low ? list->first : low;
        high = list->first > high ? list->first : high;
        if (list->stride != t->step || t->step < 0 || t->scatter[s]->period > 0)
            t->step = 0;
    }
    t->first = low;
    t->reach = high - low;
    if (t->step > 0 && (t->reach >= MANY_RUNS * t->step || t->reach >= t->k->chunk * t->step))
        t->step = 0;
    t->n_met = t->step > 0 ? (t->k->n_chunks - 1) * (t->reach + 1) : t->size;
    t->whole = arena_array(&t->c->data, (size_t)t->n, sizeof *t->whole);
    t->met = mem_array(t->c->m, (size_t)t->n_met, sizeof *t->met);
}

/* The scatters of one node, which `t` knows. */
static peri_status plan_node(seam_planner *t)
{
    make_room(t);
    if (t->met == NULL || t->whole == NULL) {
        mem_array_free(t->c->m, t->met);
        return nomem(t);
    }
    peri_status status = PERI_OK;
    if (find_meetings(t)) {
        settle_runs(t);
        t->border = &t->s->borders[t->s->n_borders];
        status = make_seam(t, &t->s->seams[t->s->n_seams++]);
        for (int64_t s = 0; s < t->n && status == PERI_OK; s++)
            t->s->border_of[t->border[s].ins] = (int32_t)(++t->s->n_borders);
    }
    mem_array_free(t->c->m, t->met);
    return status;
}

/* ---- weaves -------------------------------------------------------------------------------------------------------- */

/* Does the chunk that begins here reach place r of the given lane; and does who comes before reach it too? */
static bool reaches(const int32_t *weave, int64_t n, int64_t r, int lane, bool *before)
{
    bool any = false;
    *before = weave[WEAVE_ADDS] != 0;
    for (int32_t k = lane == 0 ? 0 : weave[WEAVE_EVEN]; k < (lane == 0 ? weave[WEAVE_EVEN] : weave[WEAVE_TERMS]); k++) {
        const int64_t i = r - weave[WEAVE_SHIFT + k];
        *before = *before || i < 0;
        any = any || (i >= 0 && i < n);
    }
    return any;
}

/* What all chunks but the first add to their first places. */
static void fill_heads(const eval_kernel *k, const struct eval_scatter *s, const eval_border *b, eval_seam *m)
{
    bool before;
    for (int64_t chunk = 1; chunk < k->n_chunks; chunk++)
        for (int64_t j = 0; j < b->head; j++) {
            const int64_t begin = chunk * k->chunk, place = s->low + 2 * begin + j;
            if (!reaches(s->weave, chunk_end(k, chunk) - begin, j / 2, (int)(j % 2), &before))
                continue;
            m->place[m->n] = (int32_t)(before ? -1 - place : place);
            m->from[m->n] = (int32_t)(b->slot + (chunk - 1) * b->head + j);
            m->start[m->n + 1] = m->n + 1;
            m->n++;
        }
}

static peri_status plan_weave(seam_planner *t)
{
    const struct eval_scatter *s = t->scatter[0];
    arena *const a = &t->c->program->data;
    const int32_t threads = t->c->program->threads;
    if (s->weave[WEAVE_REACH] == 0)
        return PERI_OK;
    eval_border *b = &t->s->borders[t->s->n_borders++];
    eval_seam *m = &t->s->seams[t->s->n_seams++];
    *b = (eval_border){.ins = s->ins, .head = 2 * s->weave[WEAVE_REACH], .slot = *t->slots, .places = t->size - s->low};
    const int64_t most = (t->k->n_chunks - 1) * b->head;
    *t->slots += most;
    t->s->border_of[s->ins] = (int32_t)t->s->n_borders;
    m->place = arena_array(a, (size_t)most, sizeof *m->place);
    m->start = arena_array(a, (size_t)most + 1, sizeof *m->start);
    m->from = arena_array(a, (size_t)most, sizeof *m->from);
    b->row = arena_array(a, (size_t)threads, sizeof *b->row);
    if (m->place == NULL || m->start == NULL || m->from == NULL || b->row == NULL)
        return nomem(t);
    for (int32_t k = 0; k < threads; k++) {
        b->row[k] = arena_array(a, (size_t)(2 * t->k->block + b->head), sizeof **b->row);
        if (b->row[k] == NULL)
            return nomem(t);
    }
    fill_heads(t->k, s, b, m);
    return eval_point(t->c, &m->dst, s->place);
}

/* ---- a kernel's seams ---------------------------------------------------------------------------------------------- */

/* The scatters of the same node as number j, unless they were taken before. */
static void take_node(eval_compiler *c, const eval_group *group, int64_t j, bool *done, seam_planner *t)
{
    t->n = 0;
    for (int64_t i = j; i < group->n_scatters && !done[j]; i++)
        if (group->scatters[i].node == group->scatters[j].node)
            t->scatter[t->n++] = &group->scatters[i];
    for (int64_t i = 0; i < t->n; i++)
        done[t->scatter[i] - group->scatters] = true;
    t->size = eval_size(c, group->scatters[j].node);
}

/* Numbers that would be set aside for one node. */
static peri_status count_aside(seam_planner *t, int64_t *count)
{
    make_room(t);
    const bool all = t->met != NULL && t->whole != NULL;
    if (all && find_meetings(t)) {
        settle_runs(t);
        for (int64_t s = 0; s < t->n; s++)
            for (int64_t chunk = 0, end; chunk < t->k->n_chunks; chunk++)
                for (int64_t i = chunk * t->k->chunk; next_run(t, t->scatter[s], chunk_end(t->k, chunk), &i, &end); i = end)
                    *count += t->scatter[s]->period > 0 ? 1 : (end - i) * t->scatter[s]->width;
    }
    mem_array_free(t->c->m, t->met);
    return all ? PERI_OK : nomem(t);
}

enum { ASIDE_COST = 10, SHARING_COST = 92000 }; /* of a number, of waking threads and waiting for them; in the units of cost_of, measured on AC-OPF */

/*
 * Setting aside and adding later is work that one thread does not have. Where it is more than a tenth of the kernel's, two threads have to be faster by a
 * quarter even so, W >= 1.25 ((W + A) / 2 + S); else one does it all.
 */
static peri_status is_worth_splitting(eval_compiler *c, const eval_group *group, eval_kernel *k, bool *worth)
{
    int64_t count = 0;
    seam_planner t = {.c = c, .k = k};
    bool *done = arena_array(&c->data, (size_t)group->n_scatters, sizeof *done);
    t.scatter = arena_array(&c->data, (size_t)group->n_scatters, sizeof *t.scatter);
    if (done == NULL || t.scatter == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t j = 0; j < group->n_scatters; j++) {
        take_node(c, group, j, done, &t);
        if (t.n > 0 && t.scatter[0]->weave == NULL)
            TRY(count_aside(&t, &count));
    }
    const double work = (double)instance_cost(k) * (double)k->n, more = (double)ASIDE_COST * (double)count;
    *worth = 10 * more <= work || work >= 1.25 * (0.5 * (work + more) + SHARING_COST);
    return PERI_OK;
}

static peri_status plan_seams(eval_compiler *c, const eval_group *group, eval_kernel *k)
{
    eval_split *s = k->split;
    int64_t slots = 0;
    seam_planner t = {.c = c, .k = k, .s = s, .slots = &slots};
    arena *const a = &c->program->data;
    bool *done = arena_array(&c->data, (size_t)group->n_scatters, sizeof *done);
    t.scatter = arena_array(&c->data, (size_t)group->n_scatters, sizeof *t.scatter);
    s->border_of = arena_array(a, (size_t)k->n_ins, sizeof *s->border_of);
    s->borders = arena_array(a, (size_t)group->n_scatters, sizeof *s->borders);
    s->seams = arena_array(a, (size_t)group->n_scatters, sizeof *s->seams);
    if (done == NULL || t.scatter == NULL || s->border_of == NULL || s->borders == NULL || s->seams == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t j = 0; j < group->n_scatters; j++) {
        take_node(c, group, j, done, &t);
        if (t.n > 0)
            TRY(t.scatter[0]->weave != NULL ? plan_weave(&t) : plan_node(&t));
    }
    for (int64_t j = 0; j < group->n_scatters; j++)
        if (group->scatters[j].watched)
            s->border_of[group->scatters[j].ins + 1] = -s->border_of[group->scatters[j].ins];
    s->aside = arena_array(a, (size_t)slots, sizeof *s->aside);
    return s->aside != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

/* ---- code ---------------------------------------------------------------------------------------------------------- */

/* Where an instruction writes aside, the operand that it would add to is -0, which changes no value; a row's sum is added to a slot that holds -0. */
static void write_aside(const eval_simd *simd, const struct eval_scatter *scatter, const double *minus_zero, eval_ins *ins)
{
    static const int32_t one_row[2] = {INT32_MAX, 0};
    if (scatter->weave != NULL)
        return;
    if (scatter->period > 0) {
        ins->code = EVAL_ADD_GRID;
        ins->fn = simd->fn[EVAL_ADD_GRID];
        ins->imm = 0;
        ins->index = one_row;
        return;
    }
    if (scatter->width == 2) {
        ins->code = EVAL_STORE_PAIRS;
        ins->fn = simd->fn[EVAL_STORE_PAIRS];
        ins->imm = 2;
        return;
    }
    if ((ins->flags & 1u << 4) == 0) { /* strided or by a list: the value as it is */
        ins->code = EVAL_COPY;
        ins->fn = simd->fn[EVAL_COPY];
    }
    ins->flags = (uint16_t)(ins->flags & ~(1u << 4));
    if (scatter->there == 0)
        return;
    const int q = scatter->there - 1;
    ins->flags = (uint16_t)(ins->flags & ~(1u << q | 1u << (8 + q)));
    ins->p[q] = minus_zero;
}

static const struct eval_scatter *scatter_at(const eval_group *group, int32_t ins)
{
    const struct eval_scatter *s = group->scatters;
    while (s->ins != ins)
        s++;
    return s;
}

/* A pointer of the kernel's own code, in a thread's code at `to`; not the one that was replaced. */
static peri_status copy_patch(eval_compiler *c, const struct eval_patch *patch, const eval_ins *own, eval_ins *to, int32_t thread, int32_t there)
{
    const int64_t offset = (char *)patch->where - (const char *)own;
    struct eval_patch copy = *patch;
    copy.where = (char *)to + offset;
    copy.thread = thread;
    if (there > 0 && copy.where == (void *)&to->p[there - 1])
        return PERI_OK;
    return vec_push(c->m, &c->patches, copy) ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

static bool is_inside(const struct eval_patch *patch, const eval_ins *ins, int64_t n)
{
    return (uintptr_t)patch->where >= (uintptr_t)ins && (uintptr_t)patch->where < (uintptr_t)(ins + n);
}

static peri_status copy_code(eval_compiler *c, const eval_group *group, const eval_kernel *k, int64_t first, int64_t last, int32_t thread,
                             const double *minus_zero)
{
    const eval_split *s = k->split;
    eval_ins *code = arena_array(&c->program->data, (size_t)(k->n_ins + s->n_borders), sizeof *code);
    if (code == NULL)
        return FAIL_NOMEM(c->g->ctx);
    memcpy(code, k->ins, (size_t)k->n_ins * sizeof *code);
    for (int64_t b = 0; b < s->n_borders; b++) {
        code[k->n_ins + b] = k->ins[s->borders[b].ins];
        write_aside(c->program->simd, scatter_at(group, s->borders[b].ins), minus_zero, &code[k->n_ins + b]);
    }
    for (int64_t j = first; j < last; j++) {
        const struct eval_patch patch = c->patches.at[j]; /* the list may move */
        if (!is_inside(&patch, k->ins, k->n_ins))
            continue;
        TRY(copy_patch(c, &patch, k->ins, code, thread, 0));
        const int64_t at = ((char *)patch.where - (char *)k->ins) / (int64_t)sizeof *code;
        const int32_t b = s->border_of[at] - 1;
        if (b >= 0 && patch.where != (void *)&k->ins[at].dst)
            TRY(copy_patch(c, &patch, &k->ins[at], &code[k->n_ins + b], thread, scatter_at(group, (int32_t)at)->there));
    }
    s->code[thread] = code;
    return PERI_OK;
}

/* The kernel's slides, and those of the code that writes aside, but for its destination and the operand that is -0. */
static peri_status copy_slides(eval_compiler *c, const eval_group *group, const eval_kernel *k)
{
    eval_split *s = k->split;
    const eval_rows *r = k->rows;
    if (r == NULL)
        return PERI_OK;
    s->slides = arena_array(&c->program->data, (size_t)(2 * r->n_slides), sizeof *s->slides);
    if (s->slides == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t j = 0; j < r->n_slides; j++) {
        struct eval_slide slide = r->slides[j];
        const int32_t b = s->border_of[slide.ins] - 1;
        s->slides[s->n_slides++] = slide;
        if (b < 0 || slide.operand == SLIDE_DST || slide.operand == scatter_at(group, slide.ins)->there - 1)
            continue;
        slide.ins = (int32_t)k->n_ins + b;
        s->slides[s->n_slides++] = slide;
    }
    return PERI_OK;
}

static peri_status split_kernel(eval_compiler *c, int64_t number, const double *minus_zero)
{
    eval_program *p = c->program;
    eval_kernel *k = &p->kernels[number];
    const eval_group *group = &c->groups.at[number];
    int64_t values = 0; /* of an instance */
    for (int64_t j = 0; j < group->n_scatters; j++)
        values += group->scatters[j].width;
    if (values > INT32_MAX / k->n) /* more than slots can be numbered */
        return PERI_OK;
    bool worth = false;
    TRY(is_worth_splitting(c, group, k, &worth));
    if (!worth)
        return PERI_OK;
    k->split = arena_alloc(&p->data, sizeof *k->split);
    if (k->split == NULL)
        return FAIL_NOMEM(c->g->ctx);
    k->split->code = arena_array(&p->data, (size_t)p->threads, sizeof *k->split->code);
    if (k->split->code == NULL)
        return FAIL_NOMEM(c->g->ctx);
    TRY(plan_seams(c, group, k));
    TRY(copy_slides(c, group, k));
    for (int32_t t = 0; t < p->threads; t++)
        TRY(copy_code(c, group, k, c->patch_start[number], c->patch_start[number + 1], t, minus_zero));
    return PERI_OK;
}

peri_status eval_plan_threads(eval_compiler *c)
{
    eval_program *p = c->program;
    int64_t most = 1;
    for (int64_t k = 0; k < p->n_kernels; k++)
        most = p->kernels[k].n_chunks > most ? p->kernels[k].n_chunks : most;
    for (int64_t k = 0; k < p->n_arrays; k++)
        if (p->arrays[k].layout != NULL && eval_sparse_tasks(p->arrays[k].layout) > most)
            most = eval_sparse_tasks(p->arrays[k].layout);
    if (most == 1)
        return PERI_OK;
    const int32_t threads = c->alone ? 1 : context_threads(c->g->ctx);
    p->threads = (int32_t)(threads < most ? threads : most);
    if (p->threads == 1)
        return PERI_OK;
    double *minus_zero = arena_array(&p->data, EVAL_LANES, sizeof *minus_zero);
    if (minus_zero == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int l = 0; l < EVAL_LANES; l++)
        minus_zero[l] = -0.0;
    for (int64_t k = 0; k < p->n_kernels; k++)
        if (p->kernels[k].n_chunks > 1)
            TRY(split_kernel(c, k, minus_zero));
    return context_start_threads(c->g->ctx, p->threads);
}
