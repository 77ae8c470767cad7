/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch_eval.c - evaluation at many points. The points are cut into chunks of a few lengths, each with a program of its own, so that a small population
 * wastes little of its last chunk and a large one pays little a chunk. Invariant: the program of length 1 is that of the graph itself, which
 * also serves where a foreign function was undefined at some point of a chunk, where a point alone fills the cache, and where it fills vectors
 * by itself (batch_cost.c).
 *
 * Full chunks of the greatest length, of which there are GROUP points if that is 1, are shared out to the context's threads, each with a program and
 * buffers of its own, when they take long enough. Which points are together depends on the graph and on their number alone, so that the bits do too.
 */
#include "base/clock.h"
#include "base/pool.h"
#include "diff/batch.h"
#include "eval/program.h"
#include <math.h>
#include <string.h>

static const int64_t lengths[] = {1, 16, 64, 256};
enum {
    LENGTHS = sizeof lengths / sizeof lengths[0],
    CACHE = 1 << 17,       /* numbers that a chunk should not exceed, of which most are never stored */
    FEW = 3,               /* points that are done one by one */
    GROUP = 64,            /* points that a thread does one by one */
    TILE = 16              /* of the transpositions */
};

static const double WORTH_SHARING = 5e-5; /* seconds of what is shared out: several times what waking a thread takes */

typedef struct {
    expr_graph *g;                  /* NULL for length 1, and for chunks of other threads, which have the first one's */
    expr_id roots[BATCH_ROOTS];     /* as they are in g */
    eval_program *program;          /* NULL until first used */
    double *in[EXPR_IN_COUNT];      /* [entries x length] where the class varies */
    double *out[BATCH_ROOTS];       /* [size x length] */
    bool spoilt;                    /* since the beginning of the run something was not finite; of watched batches */
} chunk;

struct batch {
    expr_graph *g;
    int64_t n;
    expr_id roots[BATCH_ROOTS];
    unsigned varying;
    bool watched;
    double cost[LENGTHS]; /* of a chunk, up to the longest */
    int longest;    /* in lengths; -1: not known yet */
    int64_t task;   /* points that a thread does at a time; 0: nothing is shared out, because points are large */
    chunk chunks[LENGTHS];
    double seconds;   /* of the last `task` points that the caller did alone; 0: none were */
    int32_t n_crew;   /* chunks of the greatest length for the other threads */
    chunk *crew;
};

batch *batch_new(expr_graph *g, int64_t n, const expr_id *roots, unsigned varying, bool watched)
{
    batch *b = mem_alloc(g->m, sizeof *b);
    if (b == NULL)
        return NULL;
    b->g = g;
    b->n = n;
    b->varying = varying;
    b->watched = watched;
    b->longest = -1;
    memcpy(b->roots, roots, (size_t)n * sizeof *roots);
    return b;
}

static void release(batch *b, chunk *c)
{
    if (c->program != NULL)
        eval_free(c->program);
    if (c->g != NULL)
        expr_graph_free(c->g);
    for (int k = 0; k < EXPR_IN_COUNT; k++)
        mem_array_free(b->g->m, c->in[k]);
    for (int k = 0; k < BATCH_ROOTS; k++)
        mem_array_free(b->g->m, c->out[k]);
    memset(c, 0, sizeof *c);
}

void batch_free(batch *b)
{
    if (b == NULL)
        return;
    for (int32_t t = 0; t < b->n_crew; t++)
        release(b, &b->crew[t]);
    mem_array_free(b->g->m, b->crew);
    for (int k = 0; k < LENGTHS; k++)
        release(b, &b->chunks[k]);
    mem_free(b->g->m, b, sizeof *b);
}

/* ---- making ------------------------------------------------------------------------------------------------------------------- */

static int64_t entries_of(const batch *b, int class_)
{
    return class_ == EXPR_IN_X ? b->g->n_x : class_ == EXPR_IN_PARAM ? b->g->n_param : 0;
}

static bool is_varying(const batch *b, int class_)
{
    return (b->varying >> class_ & 1) != 0;
}

static bool make_buffers(batch *b, chunk *c, int64_t length)
{
    bool ok = true;
    if (length == 1)
        return true;
    for (int k = 0; k < EXPR_IN_COUNT && ok; k++)
        if (is_varying(b, k))
            ok = (c->in[k] = mem_array(b->g->m, (size_t)(entries_of(b, k) * length), sizeof **c->in)) != NULL;
    for (int64_t k = 0; k < b->n && ok; k++)
        ok = (c->out[k] = mem_array(b->g->m, (size_t)(expr_size(b->g, b->roots[k]) * length), sizeof **c->out)) != NULL;
    return ok;
}

static peri_status compile(const batch *b, expr_graph *g, chunk *c)
{
    eval_output outputs[BATCH_ROOTS];
    eval_range all[BATCH_ROOTS];
    for (int64_t k = 0; k < b->n; k++) {
        outputs[k] = (eval_output){c->roots[k], (int32_t)k, 0};
        all[k] = (eval_range){(int32_t)k, 0, expr_size(g, c->roots[k])};
    }
    return b->watched ? eval_compile_watched(g, b->n, outputs, b->n, all, &c->program) : eval_compile(g, b->n, outputs, &c->program);
}

static peri_status make(batch *b, chunk *c, int64_t length)
{
    memcpy(c->roots, b->roots, sizeof c->roots);
    if (length == 1)
        return compile(b, b->g, c);
    c->g = expr_graph_new(b->g->ctx);
    if (c->g == NULL || !make_buffers(b, c, length))
        return FAIL_NOMEM(b->g->ctx);
    TRY(diff_batch(b->g, b->n, b->roots, length, b->varying, c->g, c->roots));
    return compile(b, c->g, c);
}

static peri_status program_of(batch *b, int which, chunk **out)
{
    chunk *c = *out = &b->chunks[which];
    if (c->program != NULL)
        return PERI_OK;
    const peri_status status = make(b, c, lengths[which]);
    if (status != PERI_OK)
        release(b, c);
    return status;
}

static peri_status find_longest(batch *b)
{
    int64_t entries;
    if (b->longest >= 0)
        return PERI_OK;
    TRY(diff_batch_entries(b->g, b->n, b->roots, b->varying, &entries));
    int longest = 0;
    for (int k = 0; k < LENGTHS && (k == 0 || entries <= CACHE / lengths[k]); k++) {
        TRY(diff_batch_cost(b->g, b->n, b->roots, b->varying, lengths[k], &b->cost[k]));
        longest = b->cost[k] / (double)lengths[k] <= b->cost[longest] / (double)lengths[longest] ? k : longest;
    }
    b->task = longest > 0 ? lengths[longest] : entries <= CACHE ? GROUP : 0;
    b->longest = longest;
    return PERI_OK;
}

/* Programs and buffers for `threads` threads, the caller among them, who are started; the system may give fewer. */
static peri_status make_crew(batch *b, int32_t threads)
{
    const chunk *first = &b->chunks[b->longest];
    expr_graph *g = first->g != NULL ? first->g : b->g;
    if (b->crew == NULL)
        b->crew = mem_array(b->g->m, (size_t)context_threads(b->g->ctx) - 1, sizeof *b->crew);
    if (b->crew == NULL)
        return FAIL_NOMEM(b->g->ctx);
    while (b->n_crew < threads - 1) {
        chunk *c = &b->crew[b->n_crew];
        memcpy(c->roots, first->roots, sizeof c->roots);
        const peri_status status = make_buffers(b, c, lengths[b->longest]) ? compile(b, g, c) : FAIL_NOMEM(b->g->ctx);
        if (status != PERI_OK) {
            release(b, c);
            return status;
        }
        b->n_crew++;
    }
    return context_start_threads(b->g->ctx, threads);
}

/* The length of which a point costs least, where a chunk that is not full costs as much as a full one. */
static int chunk_for(const batch *b, int64_t points)
{
    int which = 0;
    double least = b->cost[0];
    for (int k = 1; k <= b->longest && points > FEW; k++) {
        const double each = b->cost[k] / (double)(points < lengths[k] ? points : lengths[k]);
        which = each <= least ? k : which;
        least = each <= least ? each : least;
    }
    return which;
}

/* ---- running ------------------------------------------------------------------------------------------------------------------- */

/* to [cols x stride], column i of from [rows x cols] in row i; the rest of each row repeats the last point, which is as harmless as any other. */
static void turn_in(int64_t rows, int64_t cols, const double *from, int64_t stride, double *to)
{
    for (int64_t first = 0; first < cols; first += TILE)
        for (int64_t k = 0; k < stride; k++) {
            const double *const row = from + (k < rows ? k : rows - 1) * cols;
            for (int64_t i = first; i < first + TILE && i < cols; i++)
                to[i * stride + k] = row[i];
        }
}

static void turn_out(int64_t rows, int64_t cols, int64_t stride, const double *from, double *to)
{
    for (int64_t first = 0; first < cols; first += TILE)
        for (int64_t k = 0; k < rows; k++)
            for (int64_t i = first; i < first + TILE && i < cols; i++)
                to[k * cols + i] = from[i * stride + k];
}

static peri_status run_program(const batch *b, chunk *c, bool alone, const double *const inputs[EXPR_IN_COUNT], double *const *outs)
{
    TRY(alone ? eval_run_alone(c->program, inputs, outs) : eval_run(c->program, inputs, outs));
    if (b->watched && !eval_watched_is_finite(c->program, outs))
        c->spoilt = true;
    return PERI_OK;
}

static peri_status run_chunk(const batch *b, chunk *c, int64_t length, int64_t points, bool alone, const double *const inputs[EXPR_IN_COUNT],
                             double *const *outs)
{
    const double *in[EXPR_IN_COUNT];
    for (int k = 0; k < EXPR_IN_COUNT; k++) {
        in[k] = inputs[k];
        if (is_varying(b, k) && inputs[k] != NULL) {
            turn_in(points, entries_of(b, k), inputs[k], length, c->in[k]);
            in[k] = c->in[k];
        }
    }
    TRY(run_program(b, c, alone, in, c->out));
    for (int64_t k = 0; k < b->n; k++)
        turn_out(points, expr_size(b->g, b->roots[k]), length, c->out[k], outs[k]);
    return PERI_OK;
}

static void advance(const batch *b, int64_t points, const double **inputs, double **outs)
{
    for (int k = 0; k < EXPR_IN_COUNT; k++)
        if (is_varying(b, k) && inputs[k] != NULL)
            inputs[k] += points * entries_of(b, k);
    for (int64_t k = 0; k < b->n; k++)
        outs[k] += points * expr_size(b->g, b->roots[k]);
}

static peri_status run_single(const batch *b, chunk *c, bool alone, const double *const inputs[EXPR_IN_COUNT], double *const *outs)
{
    const peri_status status = run_program(b, c, alone, inputs, outs);
    for (int64_t k = 0; k < b->n && status == PERI_E_DOMAIN; k++)
        for (int64_t i = 0; i < expr_size(b->g, b->roots[k]); i++)
            outs[k][i] = NAN;
    c->spoilt = c->spoilt || status == PERI_E_DOMAIN;
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

static peri_status run_singles(const batch *b, chunk *c, int64_t points, bool alone, const double *const inputs[EXPR_IN_COUNT], double *const *outs)
{
    const double *in[EXPR_IN_COUNT];
    double *out[BATCH_ROOTS];
    memcpy(in, inputs, sizeof in);
    memcpy(out, outs, (size_t)b->n * sizeof *out);
    for (int64_t k = 0; k < points; k++) {
        TRY(run_single(b, c, alone, in, out));
        advance(b, 1, in, out);
    }
    return PERI_OK;
}

/* `points` <= length, with the program of that length. */
static peri_status run_points(const batch *b, chunk *c, int64_t length, int64_t points, bool alone, const double *const inputs[EXPR_IN_COUNT],
                              double *const *outs)
{
    return length == 1 ? run_singles(b, c, points, alone, inputs, outs) : run_chunk(b, c, length, points, alone, inputs, outs);
}

/* Full tasks that the threads share. */
typedef struct {
    const batch *b;
    chunk *own; /* the caller's */
    const double *const *inputs;
    double *const *outs;
} shared_chunks;

static void chunk_task(void *ud, int32_t thread, int64_t task)
{
    const shared_chunks *t = ud;
    const batch *b = t->b;
    const double *in[EXPR_IN_COUNT];
    double *out[BATCH_ROOTS];
    memcpy(in, t->inputs, sizeof in);
    memcpy(out, t->outs, (size_t)b->n * sizeof *out);
    advance(b, task * b->task, in, out);
    chunk *const c = thread == 0 ? t->own : &b->crew[thread - 1];
    (void)run_points(b, c, lengths[b->longest], b->task, true, in, out); /* cannot fail: no calls */
}

/* *points: of the full tasks that the threads have shared out: all that are left, or 0, when that is not worth it. */
static peri_status run_shared(batch *b, int64_t left, const double *const inputs[EXPR_IN_COUNT], double *const *outs, int64_t *points)
{
    peri_context *ctx = b->g->ctx;
    *points = 0;
    if (b->seconds <= 0)
        return PERI_OK;
    const int64_t n = left / b->task;
    const int32_t threads = context_threads_for(ctx, n);
    if (threads < 2 || (double)n * b->seconds < WORTH_SHARING || !eval_is_self_contained(b->chunks[b->longest].program))
        return PERI_OK;
    TRY(make_crew(b, threads));
    shared_chunks t = {b, &b->chunks[b->longest], inputs, outs};
    pool_run(ctx->pool, threads, n, chunk_task, &t);
    *points = n * b->task;
    return PERI_OK;
}

/* The next points, *done of them, on the calling thread unless programs use several. */
static peri_status run_next(batch *b, int64_t left, const double *const inputs[EXPR_IN_COUNT], double *const *outs, int64_t *done)
{
    const int which = chunk_for(b, left);
    const int64_t most = which == b->longest && b->task > 0 ? b->task : which > 0 ? lengths[which] : left; /* fewer are no better off together */
    const int64_t now = left < most ? left : most;
    const bool timed = which == b->longest && now == b->task;
    chunk *c;
    *done = now;
    TRY(program_of(b, which, &c));
    const double started = timed ? clock_seconds() : 0;
    const peri_status status = run_points(b, c, lengths[which], now, false, inputs, outs);
    if (timed)
        b->seconds = clock_seconds() - started;
    if (status != PERI_E_DOMAIN)
        return status;
    TRY(program_of(b, 0, &c));
    return run_singles(b, c, now, false, inputs, outs);
}

peri_status batch_run(batch *b, int64_t points, const double *const inputs[EXPR_IN_COUNT], double *const *outs)
{
    const double *in[EXPR_IN_COUNT];
    double *out[BATCH_ROOTS];
    memcpy(in, inputs, sizeof in);
    memcpy(out, outs, (size_t)b->n * sizeof *out);
    TRY(find_longest(b));
    for (int k = 0; k < LENGTHS; k++)
        b->chunks[k].spoilt = false;
    for (int32_t t = 0; t < b->n_crew; t++)
        b->crew[t].spoilt = false;
    for (int64_t done; points > 0; points -= done) {
        TRY(run_shared(b, points, in, out, &done));
        if (done == 0)
            TRY(run_next(b, points, in, out, &done));
        advance(b, done, in, out);
    }
    return PERI_OK;
}

bool batch_is_finite(const batch *b)
{
    bool spoilt = false;
    for (int k = 0; k < LENGTHS; k++)
        spoilt = spoilt || b->chunks[k].spoilt;
    for (int32_t t = 0; t < b->n_crew; t++)
        spoilt = spoilt || b->crew[t].spoilt;
    return !spoilt;
}
