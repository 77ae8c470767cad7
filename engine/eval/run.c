/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - running a program: pointers to the caller's arrays are set, then the steps follow each other; a kernel that is cut into chunks is shared
 * out to the context's threads. Nothing is allocated.
 */
#include "base/context.h"
#include "eval/plan.h"
#include <math.h>
#include <string.h>

static peri_status check_inputs(const eval_program *p, const double *const inputs[EXPR_IN_COUNT])
{
    bool all = true;
    for (int32_t j = 0; j < p->n_read; j++)
        all = all && inputs[p->read[j]] != NULL;
    return all ? PERI_OK : FAIL(p->g->ctx, PERI_E_INTERNAL, "an input class has no values");
}

/* Pointers are set anew only when one of the caller's arrays is elsewhere than last time. */
static peri_status set_bases(eval_program *p, const double *const inputs[EXPR_IN_COUNT], double *const *outputs)
{
    const int64_t n_patches = p->n_patches + p->n_split_patches;
    bool moved = false;
    if (p->base_used[EXPR_IN_Y])
        return FAIL(p->g->ctx, PERI_E_STATE, "the unknown of an implicit function has no value outside its equations");
    TRY(check_inputs(p, inputs));
    for (int32_t j = 0; j < p->n_read; j++) {
        const int32_t k = p->read[j];
        moved = moved || p->bases[k] != inputs[k];
        p->bases[k] = (double *)(uintptr_t)inputs[k];
    }
    for (int64_t k = 0; k < p->n_slots; k++) {
        moved = moved || p->bases[BASE_OUTPUT + k] != outputs[k];
        p->bases[BASE_OUTPUT + k] = outputs[k];
    }
    for (int64_t k = 0; k < n_patches && moved; k++) {
        const struct eval_patch *patch = &p->patches[k];
        double *const to = p->bases[patch->base] + patch->offset;
        memcpy(patch->where, &to, sizeof to);
    }
    return PERI_OK;
}

static void spread(double *lanes, double value)
{
    for (int l = 0; l < EVAL_LANES; l++)
        lanes[l] = value;
}

static double first_partial(int32_t op)
{
    return op == PERI_OP_SUM ? 0.0 : op == PERI_OP_MAX ? -INFINITY : INFINITY;
}

static double chosen(int32_t op, double a, double b)
{
    if (isnan(a) || isnan(b))
        return NAN;
    return (op == PERI_OP_MAX) == (a > b) ? a : b;
}

/* Pairwise, always in the same order. */
static double added_up(double *lanes)
{
    for (int k = 0; k < 8; k++)
        lanes[k] += lanes[k + 8];
    for (int k = 0; k < 4; k++)
        lanes[k] += lanes[k + 4];
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

static double joined_lanes(int32_t op, double *lanes)
{
    _Static_assert(EVAL_LANES == 16, "the sum is written out for sixteen");
    if (op == PERI_OP_SUM)
        return added_up(lanes);
    for (int width = EVAL_LANES / 2; width > 0; width /= 2)
        for (int k = 0; k < width; k++)
            lanes[k] = chosen(op, lanes[k], lanes[k + width]);
    return lanes[0];
}

/* The same for the chunks' results, which are lost. */
static double joined_partials(int32_t op, int64_t n, double *partials)
{
    for (; n > 1; n = (n + 1) / 2) {
        for (int64_t k = 0; k < n / 2; k++)
            partials[k] = op == PERI_OP_SUM ? partials[2 * k] + partials[2 * k + 1] : chosen(op, partials[2 * k], partials[2 * k + 1]);
        if (n % 2 == 1)
            partials[n / 2] = partials[n - 1];
    }
    return partials[0];
}

static double scaled(const struct eval_acc *a, double result)
{
    return a->scale != NULL ? result * *a->scale : result;
}

/* ---- one chunk ----------------------------------------------------------------------------------------------------- */

enum { CACHE_LINE = 8 }; /* numbers */

/* Part j of `parts` of what the block of n instances that starts at `at` will read and write: the processor's own prefetching does not look across blocks. */
static void fetch(const eval_simd *simd, const eval_kernel *k, int64_t at, int64_t n, int64_t j, int64_t parts)
{
    if (at + n > k->n)
        return;
    for (int64_t s = 0; s < k->n_streams; s++) {
        const struct eval_stream *t = &k->streams[s];
        const int64_t lines = n * t->stride / CACHE_LINE, from = j * lines / parts, to = (j + 1) * lines / parts;
        simd->fetch(t->at + at * t->stride + from * CACHE_LINE, to - from, t->writes);
    }
}

/* Where a chunk's blocks are: code and scratch memory of the thread, and the row that its pointers are set for, -1 for none. */
typedef struct {
    eval_ins *code;
    int64_t scratch, row, n_slides;
    const struct eval_slide *slides;
} walk;

static void move_pointers(const walk *w, int64_t to)
{
    for (int64_t j = 0; j < w->n_slides; j++) {
        const struct eval_slide *s = &w->slides[j];
        eval_ins *ins = &w->code[s->ins];
        const int64_t by = (to < 0 ? 0 : s->by[to]) - (w->row < 0 ? 0 : s->by[w->row]);
        if (s->operand == SLIDE_DST)
            ins->dst += by;
        else
            ins->p[s->operand] += by;
    }
}

static void enter_row(const eval_kernel *k, walk *w, int64_t row)
{
    const eval_rows *r = k->rows;
    move_pointers(w, row);
    for (int64_t j = 0; j < r->n_cells; j++) {
        const double value = r->cells[j].from[r->cells[j].at[row]];
        spread(r->cells[j].cell + w->scratch, value);
    }
    w->row = row;
}

/* The end of the block that begins at `at`, once its row, if there are rows, has been entered. */
static int64_t begin_block(const eval_kernel *k, walk *w, int64_t at, int64_t end)
{
    if (k->rows != NULL && w->row < 0)
        enter_row(k, w, eval_row_at(k->rows, at));
    else if (k->rows != NULL && at >= k->rows->start[w->row + 1])
        enter_row(k, w, w->row + 1);
    return eval_block_end(k, w->row, at, end);
}

/* Instances [at, next) by the calls of the kernel. */
static void run_calls(const eval_simd *simd, const eval_kernel *k, const eval_ins *code, int64_t at, int64_t next)
{
    for (int64_t j = 0; j < k->n_calls; j++) {
        if (k->n_streams > 0)
            fetch(simd, k, next, next - at, j, k->n_calls);
        k->calls[j].fn(&code[k->calls[j].ins], at, next - at);
    }
}

static void run_single_rows(const eval_kernel *k, const eval_ins *code, int64_t row, int64_t at, int64_t end)
{
    if (at < end)
        k->rows->whole(code, at, end - at, row, eval_block_end(k, row, at, end));
}

/* Instances [at, end), rows and all; pointers are as they are outside of rows. */
static void run_rows(const eval_kernel *k, const eval_ins *code, int64_t at, int64_t end)
{
    const eval_rows *r = k->rows;
    int64_t row = eval_row_at(r, at);
    if (r->pairs != NULL && at > r->start[row] && r->start[row + 1] < end) {
        run_single_rows(k, code, row, at, r->start[row + 1]);
        at = r->start[++row];
    }
    const int64_t many = r->pairs != NULL && at == r->start[row] ? (end - at) / (2 * r->period) * 2 : 0;
    if (many > 0)
        r->pairs(code, at, many * r->period, row, eval_block_end(k, row, at, end));
    run_single_rows(k, code, row + many, at + many * r->period, end);
}

static void run_blocks(const eval_simd *simd, const eval_kernel *k, walk *w, int64_t begin, int64_t end)
{
    if (k->is_whole && k->rows != NULL)
        run_rows(k, k->ins, begin, end);
    else if (k->is_whole)
        run_calls(simd, k, k->ins, begin, end);
    if (k->is_whole)
        return;
    for (int64_t at = begin, next; at < end; at = next) {
        next = begin_block(k, w, at, end);
        if (k->n_calls > 0) {
            run_calls(simd, k, k->ins, at, next);
            continue;
        }
        for (int64_t j = 0; j < k->n_ins; j++) {
            if (k->n_streams > 0)
                fetch(simd, k, next, next - at, j, k->n_ins);
            k->ins[j].fn(&k->ins[j], at, next - at);
        }
    }
}

/* Instances [from, to) of the block at `at`, whose registers begin with the block. */
static void run_part(eval_ins ins, int64_t at, int64_t from, int64_t to)
{
    for (int q = 0; q < 4; q++)
        if ((ins.flags >> (8 + q) & 1) != 0 && (ins.flags >> q & 1) == 0)
            ins.p[q] += from - at;
    ins.fn(&ins, from, to - from);
}

/*
 * A scatter's instruction on [at, end): what meets other chunks goes aside, the rest where it belongs. Or what watches it, which sees the latter; the former
 * are watched when they are joined.
 */
static void run_border(const eval_kernel *k, const eval_ins *code, int64_t border, bool watches, int64_t chunk, int64_t at, int64_t end)
{
    const eval_border *b = &k->split->borders[border];
    const eval_ins *const own = &code[b->ins + watches];
    int64_t done = at;
    for (int64_t r = b->first[chunk]; r < b->first[chunk + 1]; r++) {
        const eval_aside *a = &b->aside[r];
        const int64_t from = a->begin > at ? a->begin : at, to = a->end < end ? a->end : end;
        if (from >= to)
            continue;
        if (from > done)
            run_part(*own, at, done, from);
        done = to;
        if (watches)
            continue;
        eval_ins aside = code[k->n_ins + border];
        aside.dst = k->split->aside + a->slot + (aside.code == EVAL_ADD_GRID ? 0 : from - a->begin);
        if (aside.code == EVAL_STORE_PAIRS) /* whose destination moves by itself */
            aside.dst += (from - a->begin) - 2 * from;
        if (aside.code == EVAL_ADD_GRID)
            *aside.dst = -0.0;
        run_part(aside, at, from, to);
    }
    if (done < end)
        run_part(*own, at, done, end);
}

/* The first block of a chunk but the first: its places are filled in apart; what goes to the first ones is set aside. */
static void run_head(const eval_kernel *k, const eval_ins *code, const eval_border *b, int32_t thread, int64_t chunk, int64_t at, int64_t n)
{
    eval_ins apart = code[b->ins];
    double *const to = apart.dst + 2 * at, *const row = b->row[thread];
    const int64_t left = b->places - 2 * at - b->head, more = left < 2 * n ? left : 2 * n;
    const size_t rest = more > 0 ? (size_t)more * sizeof *row : 0; /* with the places that the next block reaches as well */
    for (int64_t j = 0; j < b->head; j++)
        row[j] = -0.0;
    memcpy(row + b->head, to + b->head, rest);
    for (int q = 0; q < 4; q++)
        if (apart.p[q] != NULL && (apart.flags >> q & 1) != 0)
            apart.p[q] += at;
    apart.dst = row;
    apart.fn(&apart, 0, n);
    memcpy(k->split->aside + b->slot + (chunk - 1) * b->head, row, (size_t)b->head * sizeof *row);
    memcpy(to + b->head, row + b->head, rest);
}

/* Does a part of the chunk's block [at, end) go aside, so that instructions must be run one by one? */
static bool is_at_border(const eval_kernel *k, int64_t chunk, int64_t begin, int64_t at, int64_t end)
{
    for (int64_t j = 0; j < k->split->n_borders; j++) {
        const eval_border *b = &k->split->borders[j];
        if (b->head > 0 && chunk > 0 && at == begin)
            return true;
        for (int64_t s = b->head == 0 ? b->first[chunk] : 0; b->head == 0 && s < b->first[chunk + 1]; s++)
            if (b->aside[s].begin < end && b->aside[s].end > at)
                return true;
    }
    return false;
}

/* The first block from `at` on, or the end, that is at a border. */
static int64_t next_border(const eval_kernel *k, int64_t chunk, int64_t begin, int64_t at, int64_t end)
{
    for (int64_t row = eval_row_at(k->rows, at), next; at < end; at = next) {
        row += at >= k->rows->start[row + 1];
        next = eval_block_end(k, row, at, end);
        if (is_at_border(k, chunk, begin, at, next))
            return at;
    }
    return end;
}

static void run_split_blocks(const eval_simd *simd, const eval_kernel *k, walk *w, int32_t thread, int64_t chunk, int64_t begin, int64_t end)
{
    const int32_t *const border_of = k->split->border_of;
    const eval_ins *const code = w->code;
    for (int64_t at = begin, next; at < end; at = next) {
        const bool by_rows = k->is_whole && k->rows != NULL;
        next = by_rows ? next_border(k, chunk, begin, at, end) : at;
        if (next > at) {
            move_pointers(w, -1);
            w->row = -1;
            run_rows(k, code, at, next);
            continue;
        }
        next = begin_block(k, w, at, end);
        if (k->n_calls > 0 && !by_rows && !is_at_border(k, chunk, begin, at, next)) {
            run_calls(simd, k, code, at, next);
            continue;
        }
        for (int64_t j = 0; j < k->n_ins; j++) {
            if (k->n_streams > 0)
                fetch(simd, k, next, next - at, j, k->n_ins);
            const bool watches = border_of[j] < 0;
            const int32_t border = (watches ? -border_of[j] : border_of[j]) - 1;
            const eval_border *b = border >= 0 ? &k->split->borders[border] : NULL;
            if (b == NULL || (b->head > 0 && (chunk == 0 || at > begin)))
                code[j].fn(&code[j], at, next - at);
            else if (b->head > 0)
                run_head(k, code, b, thread, chunk, at, next - at);
            else
                run_border(k, code, border, watches, chunk, at, next);
        }
    }
}

static void raise_alarm(const eval_program *p)
{
    atomic_store_explicit(&p->finite->alarm, true, memory_order_relaxed);
}

static void begin_lanes(const eval_kernel *k, int64_t scratch)
{
    for (int64_t j = 0; j < k->n_accs; j++)
        spread(k->accs[j].lanes + scratch, first_partial(k->accs[j].op));
    if (k->watch != NULL)
        spread(k->watch + scratch, 0);
}

static void end_lanes(const eval_program *p, const eval_kernel *k, int64_t scratch, int64_t chunk)
{
    for (int64_t j = 0; j < k->n_accs; j++) {
        const double result = joined_lanes(k->accs[j].op, k->accs[j].lanes + scratch);
        if (k->n_chunks > 1)
            k->partials[j * k->n_chunks + chunk] = result;
        else
            *k->accs[j].out = scaled(&k->accs[j], result);
    }
    if (k->watch != NULL && !eval_vouches(added_up(k->watch + scratch)))
        raise_alarm(p);
}

/* thread -1: with the kernel's own code */
static void run_chunk(const eval_program *p, const eval_kernel *k, int32_t thread, int64_t chunk)
{
    const int64_t begin = chunk * k->chunk, end = begin + k->chunk < k->n ? begin + k->chunk : k->n;
    const int64_t scratch = thread > 0 ? thread * p->per_thread : 0;
    begin_lanes(k, scratch);
    walk w = {k->ins, scratch, -1, 0, NULL};
    if (thread >= 0)
        w.code = k->split->code[thread];
    if (k->rows != NULL) {
        w.slides = thread >= 0 ? k->split->slides : k->n_calls > 0 ? k->rows->read : k->rows->slides;
        w.n_slides = thread >= 0 ? k->split->n_slides : k->n_calls > 0 ? k->rows->n_read : k->rows->n_slides;
    }
    if (thread < 0)
        run_blocks(p->simd, k, &w, begin, end);
    else
        run_split_blocks(p->simd, k, &w, thread, chunk, begin, end);
    move_pointers(&w, -1); /* as they were */
    end_lanes(p, k, scratch, chunk);
}

/* ---- a kernel on several threads ----------------------------------------------------------------------------------- */

typedef struct {
    const eval_program *p;
    const eval_kernel *k;
    const eval_seam *seam;
} job;

static void chunk_task(void *ud, int32_t thread, int64_t task)
{
    const job *t = ud;
    run_chunk(t->p, t->k, thread, task);
}

enum { SEAM_PIECE = 4096, ZERO_PIECE = 1 << 15, LARGE_ZERO = 1 << 17 };

/* Returns what a WATCH would make of the sums. */
static double join_seam(const eval_seam *m, const double *aside, int64_t begin, int64_t end)
{
    double watch = 0;
    for (int64_t q = begin; q < end; q++) {
        const bool stores = m->place[q] >= 0;
        const int32_t j = stores ? m->place[q] : -1 - m->place[q];
        int64_t r = m->start[q];
        double sum = stores ? aside[m->from[r]] : m->dst[j] + aside[m->from[r]];
        for (r++; r < m->start[q + 1]; r++)
            sum += aside[m->from[r]];
        m->dst[j] = sum;
        watch += sum * EVAL_VOUCHED;
    }
    return watch;
}

static void seam_task(void *ud, int32_t thread, int64_t task)
{
    const job *t = ud;
    const int64_t begin = task * SEAM_PIECE, end = begin + SEAM_PIECE < t->seam->n ? begin + SEAM_PIECE : t->seam->n;
    (void)thread;
    if (!eval_vouches(join_seam(t->seam, t->k->split->aside, begin, end)))
        raise_alarm(t->p);
}

static void run_split(const eval_program *p, const eval_kernel *k, thread_pool *threads, int32_t n)
{
    job t = {p, k, NULL};
    pool_run(threads, n, k->n_chunks, chunk_task, &t);
    for (int64_t s = 0; s < k->split->n_seams; s++) {
        t.seam = &k->split->seams[s];
        pool_run(threads, n, (t.seam->n + SEAM_PIECE - 1) / SEAM_PIECE, seam_task, &t);
    }
}

/* Of a grid's borders there are many short ones. */
static void write_set(const struct eval_zero *z, int64_t begin, int64_t end)
{
    const struct eval_set *s = &z->set;
    int64_t low = 0, high = s->n;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (s->place[middle] - s->first < begin)
            low = middle + 1;
        else
            high = middle;
    }
    for (int64_t k = low; k < s->n && s->place[k] - s->first < end; k++)
        z->at[s->place[k] - s->first] = s->value[k];
}

static void zero(const struct eval_zero *z, int64_t begin, int64_t end)
{
    if (z->from == NULL && end - begin == 2)
        z->at[begin] = z->at[begin + 1] = 0;
    else if (z->from == NULL)
        memset(z->at + begin, 0, (size_t)(end - begin) * sizeof *z->at);
    for (int64_t at = begin, n; z->from != NULL && at < end; at += n) {
        const int64_t from = z->period > 0 ? at % z->period : at, last = z->period > 0 ? at - from + z->period : end;
        n = (last < end ? last : end) - at;
        memcpy(z->at + at, z->from + from, (size_t)n * sizeof *z->at);
    }
    if (z->set.n > 0)
        write_set(z, begin, end);
}

static void zero_task(void *ud, int32_t thread, int64_t task)
{
    const struct eval_zero *z = ud;
    (void)thread;
    zero(z, task * ZERO_PIECE, (task + 1) * ZERO_PIECE < z->n ? (task + 1) * ZERO_PIECE : z->n);
}

/* ---- kernels ------------------------------------------------------------------------------------------------------- */

/* Are there pieces still to be filled, before their chunks? */
static bool start_kernel(const eval_kernel *k, thread_pool *threads, int32_t n)
{
    bool pieces = false;
    for (int64_t j = 0; j < k->n_zeros; j++) {
        if (n > 1 && k->zeros[j].n >= LARGE_ZERO)
            pool_run(threads, n, (k->zeros[j].n + ZERO_PIECE - 1) / ZERO_PIECE, zero_task, &k->zeros[j]);
        else if (n > 1 || k->zeros[j].piece == NULL)
            zero(&k->zeros[j], 0, k->zeros[j].n);
        else
            pieces = true;
    }
    for (int64_t j = 0; j < k->n_cells; j++)
        if (k->cells[j].from != NULL)
            spread(k->cells[j].cell, *k->cells[j].from);
    return pieces;
}

/* By one thread. */
static void fill_pieces(const eval_kernel *k, int64_t chunk)
{
    for (const struct eval_zero *z = k->zeros; z < k->zeros + k->n_zeros; z++)
        for (int32_t q = z->piece != NULL ? z->upto[chunk] : 0; z->piece != NULL && q < z->upto[chunk + 1]; q++) {
            const int64_t begin = (int64_t)z->piece[q] * EVAL_PIECE;
            zero(z, begin, begin + EVAL_PIECE < z->n ? begin + EVAL_PIECE : z->n);
        }
}

static void end_kernel(const eval_kernel *k)
{
    for (int64_t j = 0; j < k->n_accs && k->n_chunks > 1; j++)
        *k->accs[j].out = scaled(&k->accs[j], joined_partials(k->accs[j].op, k->n_chunks, k->partials + j * k->n_chunks));
}

static void run_kernel(const eval_program *p, const eval_kernel *k, thread_pool *threads, int32_t n)
{
    const bool pieces = start_kernel(k, threads, n);
    if (k->is_plain && !pieces) {
        begin_lanes(k, 0);
        k->calls[0].fn(k->ins, 0, k->n);
        end_lanes(p, k, 0, 0);
        return;
    }
    if (n > 1 && k->split != NULL)
        run_split(p, k, threads, n);
    else
        for (int64_t chunk = 0; chunk < k->n_chunks; chunk++) {
            if (pieces)
                fill_pieces(k, chunk);
            run_chunk(p, k, -1, chunk);
        }
    end_kernel(k);
}

/* Kernels chunk by chunk, on the calling thread. */
static void run_chain(const eval_program *p, const struct eval_chain *c)
{
    for (int64_t t = 0; t < c->n_turns; t++) {
        const eval_kernel *k = &p->kernels[c->turns[t].kernel];
        if (c->turns[t].chunk == 0)
            start_kernel(k, NULL, 1);
        fill_pieces(k, c->turns[t].chunk);
        run_chunk(p, k, -1, c->turns[t].chunk);
        if (c->turns[t].chunk == k->n_chunks - 1)
            end_kernel(k);
    }
}

static peri_status run_straight(const eval_program *p, const double *const inputs[EXPR_IN_COUNT], double *const *outputs)
{
    TRY(check_inputs(p, inputs));
    const double watch = p->straight[0].fn(inputs, outputs);
    atomic_store_explicit(&p->finite->alarm, isnan(watch), memory_order_relaxed);
    return PERI_OK;
}

static peri_status run_steps(eval_program *p, int32_t threads, const double *const inputs[EXPR_IN_COUNT], double *const *outputs)
{
    int64_t stretch = 0, chain = 0;
    TRY(set_bases(p, inputs, outputs));
    atomic_store_explicit(&p->finite->alarm, false, memory_order_relaxed);
    for (int64_t k = 0; k < p->n_factors; k++)
        p->factors[k].ready = false;
    for (int64_t k = 0; k < p->n_steps; k++) {
        if (stretch < p->n_straight && p->straight[stretch].first == k) {
            p->straight[stretch].fn(inputs, outputs);
            k = p->straight[stretch++].end - 1;
        } else if (threads == 1 && chain < p->n_chains && p->chains[chain].first == k) {
            run_chain(p, &p->chains[chain]);
            k += p->chains[chain++].n_steps - 1;
        } else if (p->steps[k].is_array)
            TRY(eval_run_array(p, &p->arrays[p->steps[k].at], threads));
        else
            run_kernel(p, &p->kernels[p->steps[k].at], p->g->ctx->pool, threads);
    }
    return PERI_OK;
}

static peri_status run_program(eval_program *p, int32_t threads, const double *const inputs[EXPR_IN_COUNT], double *const *outputs)
{
    return p->is_straight ? run_straight(p, inputs, outputs) : run_steps(p, threads, inputs, outputs);
}

peri_status eval_run(eval_program *p, const double *const inputs[EXPR_IN_COUNT], double *const *outputs)
{
    return run_program(p, p->threads > 1 ? context_threads_now(p->g->ctx, p->threads) : 1, inputs, outputs);
}

peri_status eval_run_alone(eval_program *p, const double *const inputs[EXPR_IN_COUNT], double *const *outputs)
{
    return run_program(p, 1, inputs, outputs);
}

bool eval_is_self_contained(const eval_program *p)
{
    bool alone = p->blas == NULL;
    for (int64_t k = 0; k < p->n_arrays && alone; k++)
        alone = p->arrays[k].op != PERI_OP_CALL && p->arrays[k].op != PERI_OP_CALLGRAD && p->arrays[k].op != PERI_OP_RULE;
    return alone;
}
