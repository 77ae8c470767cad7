/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_threads - programs that several threads run: the same bits for 1, 2, 3 and 8 threads with every set of instructions, on random graphs large
 * enough to be cut, with reductions, gathers and scatters that meet in the same places; right values, by the plain interpreter; the pool by itself;
 * contexts side by side; memory that runs out.
 */
#include "base/context.h"
#include "diff/diff.h"
#include "eval/plan.h"
#include "eval/program.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- the pool ---------------------------------------------------------------------------------------------------------- */

enum { TASKS = 1000 };

typedef struct {
    atomic_int times[TASKS], busy[8];
    atomic_int faults;
} tally;

static void count(void *ud, int32_t thread, int64_t task)
{
    tally *t = ud;
    if (thread < 0 || thread >= 8 || atomic_fetch_add(&t->busy[thread], 1) != 0)
        atomic_fetch_add(&t->faults, 1);
    atomic_fetch_add(&t->times[task], 1);
    atomic_fetch_sub(&t->busy[thread], 1);
}

static bool all_once(tally *t, int64_t n, int times)
{
    bool good = atomic_load(&t->faults) == 0;
    for (int64_t k = 0; k < TASKS; k++)
        good = good && atomic_load(&t->times[k]) == (k < n ? times : 0);
    return good;
}

static void test_pool(void)
{
    static const int64_t sizes[] = {0, 1, 2, 7, 8, 9, TASKS};
    static tally t;
    mem m;
    mem_init(&m, NULL, NULL);
    for (int32_t threads = 1; threads <= 8; threads += 1 + threads / 4) {
        bool good = true;
        thread_pool *p = pool_new(&m, threads);
        const int32_t started = pool_start(p, threads);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            memset(&t, 0, sizeof t);
            for (int round = 0; round < 50; round++)
                pool_run(p, threads, sizes[k], count, &t);
            good = good && all_once(&t, sizes[k], 50);
        }
        ok(good && started == threads, "%d threads: every task once, no thread in two at a time", (int)threads);
        pool_free(p);
    }
    ok(m.used == 0 && m.live == 0, "nothing is left of the pools");
    thread_pool *unused = pool_new(&m, 4);
    pool_free(unused);
    ok(m.used == 0, "nor of one that was never started");
    ok(pool_cores() >= 1, "cores: %d", (int)pool_cores());
}

/* ---- random graphs ------------------------------------------------------------------------------------------------------- */

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    uint64_t seed;
    int64_t n;
    expr_id x;
    double *in;
} fixture;

static int64_t below(fixture *f, int64_t n)
{
    return (int64_t)uniform(&f->seed, 0, (double)n);
}

static void fixture_init(fixture *f, int32_t threads, const char *simd, uint64_t seed, int64_t n)
{
    const peri_config config = {.threads = threads};
    *f = (fixture){.ctx = peri_context_new(&config), .seed = seed, .n = n};
    eval_force_simd(f->ctx, simd);
    f->g = expr_graph_new(f->ctx);
    check(expr_new_var(f->g, "x", 2 * n, 1, &f->x));
    f->in = calloc((size_t)(2 * n), sizeof *f->in);
    for (int64_t k = 0; k < 2 * n; k++)
        f->in[k] = uniform(&f->seed, -1, 1);
}

static void fixture_release(fixture *f)
{
    free(f->in);
    expr_graph_free(f->g);
    peri_context_free(f->ctx);
}

enum { NEAR, FAR, FEW, SHIFTED, STRIDED, ROWS, COLUMNS, GRID, FIRST, SECOND, LISTS };

/*
 * Where n entries go to, or come from, among `size`: near their own number, anywhere, a few places only, an arithmetic sequence, one of a row, points of
 * a grid within another, first and second of pairs.
 */
static void fill_list(fixture *f, int kind, int64_t n, int64_t size, int32_t *list)
{
    static const int64_t lengths[] = {10, 50, 500, 5000};
    const int64_t shift = below(f, 3), length = lengths[below(f, 4)];
    int64_t first = 0, second = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t j = k;
        switch (kind) {
        case NEAR: j = k + below(f, 7) - 3; break;
        case FAR: j = below(f, size); break;
        case FEW: j = below(f, 5); break;
        case SHIFTED: j = k + shift; break;
        case ROWS: j = k / length; break;
        case COLUMNS: j = k % length; break;
        case GRID: j = k + k / length + shift * length; break;
        case FIRST: j = first; break;
        case SECOND: j = second + shift; break;
        default: j = 2 * k + shift; break;
        }
        list[k] = (int32_t)((j + size) % size);
        if (++second == 130)
            second = ++first;
    }
}

static expr_id gathered(fixture *f, expr_id a)
{
    int32_t *list = calloc((size_t)f->n, sizeof *list);
    expr_id e;
    fill_list(f, below(f, 2) == 0 ? (int)below(f, 2) : ROWS + (int)below(f, LISTS - ROWS), f->n, f->n, list);
    check(expr_gather_list(f->g, a, f->n, 1, f->n, list, &e));
    free(list);
    return e;
}

/* The sum of some scatters into 2 n + 3 places; of that, n neighbours. */
static expr_id scattered(fixture *f, const expr_id *pool, int64_t n_pool)
{
    const int64_t size = 2 * f->n + 3, n = 1 + below(f, 4);
    const bool alike = below(f, 2) == 0;
    const int like = (int)below(f, LISTS);
    const expr_id base = pool[below(f, n_pool)];
    int32_t *lists[4];
    expr_id args[4], e;
    for (int64_t k = 0; k < n; k++) {
        lists[k] = calloc((size_t)f->n, sizeof *lists[k]);
        fill_list(f, alike ? like : (int)below(f, LISTS), f->n, size, lists[k]);
        args[k] = alike ? two(f->g, PERI_OP_MUL, one(f->g, PERI_OP_SIN, base), number(f->g, 0.3 + (double)k)) : pool[below(f, n_pool)];
    }
    check(expr_scatter_sum(f->g, size, 1, n, args, (const int32_t *const *)lists, &e));
    for (int64_t k = 0; k < n; k++)
        free(lists[k]);
    return affine(f->g, one(f->g, PERI_OP_TANH, e), f->n, below(f, 4), 1 + below(f, 2));
}

/* The columns of a banded matrix, where neighbours of three scatters lie side by side; of that, n. */
static expr_id banded(fixture *f, expr_id a)
{
    const expr_id args[3] = {one(f->g, PERI_OP_SIN, a), one(f->g, PERI_OP_COS, a), two(f->g, PERI_OP_MUL, a, number(f->g, 0.3))};
    const int32_t *lists[3];
    int32_t *list = calloc((size_t)(3 * f->n), sizeof *list);
    expr_id e;
    for (int64_t k = 0; k < f->n; k++)
        for (int64_t j = 0; j < 3; j++)
            list[j * f->n + k] = (int32_t)(2 * k + j);
    for (int64_t j = 0; j < 3; j++)
        lists[j] = list + j * f->n;
    check(expr_scatter_sum(f->g, 2 * f->n + 1, 1, 3, args, lists, &e));
    free(list);
    return affine(f->g, one(f->g, PERI_OP_TANH, e), f->n, below(f, 2), 2);
}

/* What the two ends of a network's branches, of which most are near each other, add to its points; of that, n. */
static expr_id network(fixture *f, expr_id a, expr_id b)
{
    const expr_id args[2] = {one(f->g, PERI_OP_SIN, two(f->g, PERI_OP_SUB, a, b)), one(f->g, PERI_OP_COS, two(f->g, PERI_OP_MUL, a, b))};
    int32_t *ends[2];
    expr_id e;
    for (int k = 0; k < 2; k++) {
        ends[k] = calloc((size_t)f->n, sizeof *ends[k]);
        fill_list(f, NEAR, f->n, f->n, ends[k]);
    }
    check(expr_scatter_sum(f->g, f->n, 1, 2, args, (const int32_t *const *)ends, &e));
    free(ends[0]);
    free(ends[1]);
    return one(f->g, PERI_OP_TANH, e);
}

/* A total of all entries of a: by sum, or by largest or smallest, small enough to go on with. */
static expr_id reduced(fixture *f, expr_id a)
{
    const int64_t kind = below(f, 3);
    if (kind > 0)
        return one(f->g, kind == 1 ? PERI_OP_MAX : PERI_OP_MIN, a);
    return two(f->g, PERI_OP_MUL, one(f->g, PERI_OP_SUM, a), number(f->g, 1.7 / (double)f->n));
}

enum { POOL = 40, OUTPUTS = 6 };

static void random_outputs(fixture *f, eval_output *outputs, int64_t *size)
{
    static const peri_op unary[] = {PERI_OP_SIN, PERI_OP_COS, PERI_OP_TANH, PERI_OP_SQUARE, PERI_OP_NEG, PERI_OP_ATAN, PERI_OP_EXP};
    static const peri_op binary[] = {PERI_OP_ADD, PERI_OP_SUB, PERI_OP_MUL, PERI_OP_MUL, PERI_OP_ATAN2, PERI_OP_MAX2};
    expr_id pool[POOL] = {affine(f->g, f->x, f->n, 0, 1), affine(f->g, f->x, f->n, f->n, 1), affine(f->g, f->x, f->n, 1, 2)}, all;
    int64_t n = 3;
    pool[n++] = banded(f, pool[0]);
    pool[n++] = network(f, pool[0], pool[1]);
    while (n < POOL) {
        const double what = uniform(&f->seed, 0, 10);
        expr_id e = pool[below(f, n)];
        if (what < 4)
            e = two(f->g, binary[below(f, 6)], e, pool[below(f, n)]);
        else if (what < 6.5)
            e = one(f->g, PERI_OP_TANH, one(f->g, unary[below(f, 7)], e));
        else if (what < 7.5)
            e = gathered(f, e);
        else if (what < 9)
            e = scattered(f, pool, n);
        else
            e = two(f->g, PERI_OP_ADD, e, reduced(f, e));
        pool[n++] = e;
    }
    check(expr_stack(f->g, 3, pool + n - 3, &all));
    outputs[0] = (eval_output){all, 0, 0};
    size[0] = expr_size(f->g, all);
    for (int32_t k = 1; k < OUTPUTS; k++) {
        const expr_id e = k % 2 == 0 ? pool[n - 3 * k] : one(f->g, PERI_OP_SUM, one(f->g, PERI_OP_SIN, pool[n - 2 * k]));
        outputs[k] = (eval_output){e, k, 0};
        size[k] = expr_size(f->g, e);
    }
}

typedef struct {
    double *out[OUTPUTS];
    int64_t size[OUTPUTS];
    int64_t cut, seams, aside; /* kernels cut; seams; instructions that write aside */
    int64_t sums, weaves;      /* of those: that add up neighbours, that write pairs */
    int64_t pairs;             /* that add two values an instance by lists */
    int64_t rows;              /* kernels with rows */
    int64_t returns;           /* to a kernel, after the turn of another one */
    int32_t threads;
} results;

/* How often a kernel that has begun has its turn again after another one's. */
static int64_t count_returns(const eval_program *p)
{
    int64_t n = 0;
    for (int64_t k = 0; k < p->n_chains; k++)
        for (int64_t t = 1; t < p->chains[k].n_turns; t++)
            n += p->chains[k].turns[t].chunk > 0 && p->chains[k].turns[t].kernel != p->chains[k].turns[t - 1].kernel;
    return n;
}

static void look_at(const eval_program *p, results *r)
{
    r->threads = p->threads;
    r->returns += count_returns(p);
    for (int64_t k = 0; k < p->n_kernels; k++) {
        r->cut += p->kernels[k].n_chunks > 1;
        r->rows += p->kernels[k].rows != NULL;
        r->seams += p->kernels[k].split != NULL ? p->kernels[k].split->n_seams : 0;
        r->aside += p->kernels[k].split != NULL ? p->kernels[k].split->n_borders : 0;
        for (int64_t b = 0; p->kernels[k].split != NULL && b < p->kernels[k].split->n_borders; b++) {
            const int code = p->kernels[k].ins[p->kernels[k].split->borders[b].ins].code;
            r->sums += code == EVAL_ADD_RUNS || (code == EVAL_ADD_GRID && p->kernels[k].ins[p->kernels[k].split->borders[b].ins].imm == 0);
            r->weaves += code == EVAL_WEAVE;
            r->pairs += code == EVAL_ADD_PAIRS;
        }
    }
}

/* Twice, without an allocation: a second run finds what the first one left. */
static void run(fixture *f, const eval_output *outputs, results *r)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = f->in};
    eval_program *p;
    check(eval_compile(f->g, OUTPUTS, outputs, &p));
    for (int k = 0; k < OUTPUTS; k++)
        r->out[k] = calloc((size_t)r->size[k], sizeof *r->out[k]);
    peri_memory_fail_at(f->ctx, 1, true);
    for (int k = 0; k < 2; k++)
        check(eval_run(p, inputs, r->out));
    peri_memory_fail_at(f->ctx, 0, false);
    look_at(p, r);
    eval_free(p);
}

static void results_of(int32_t threads, const char *simd, uint64_t seed, int64_t n, results *r)
{
    fixture f;
    eval_output outputs[OUTPUTS];
    *r = (results){.threads = 0};
    fixture_init(&f, threads, simd, seed, n);
    random_outputs(&f, outputs, r->size);
    run(&f, outputs, r);
    fixture_release(&f);
}

static void results_release(results *r)
{
    for (int k = 0; k < OUTPUTS; k++)
        free(r->out[k]);
}

static bool same_bits(const results *a, const results *b)
{
    for (int k = 0; k < OUTPUTS; k++)
        if (a->size[k] != b->size[k] || memcmp(a->out[k], b->out[k], (size_t)a->size[k] * sizeof *a->out[k]) != 0)
            return false;
    return true;
}

static bool close_to_interpreter(uint64_t seed, int64_t n, const results *r)
{
    fixture f;
    eval_output outputs[OUTPUTS];
    int64_t size[OUTPUTS];
    expr_id e[OUTPUTS];
    double *want[OUTPUTS];
    bool good = true;
    fixture_init(&f, 1, NULL, seed, n);
    random_outputs(&f, outputs, size);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = f.in};
    for (int k = 0; k < OUTPUTS; k++) {
        e[k] = outputs[k].node;
        want[k] = calloc((size_t)size[k], sizeof *want[k]);
    }
    check(expr_interpret(f.g, OUTPUTS, e, inputs, want));
    for (int k = 0; k < OUTPUTS; k++) {
        for (int64_t i = 0; i < size[k] && good; i++)
            good = fabs(r->out[k][i] - want[k][i]) <= 1e-9 * (1 + fabs(want[k][i]));
        free(want[k]);
    }
    fixture_release(&f);
    return good;
}

static void test_random(const char *simd, int rounds, int64_t n)
{
    static const int32_t threads[] = {2, 3, 8};
    results total = {.cut = 0};
    bool same = true, near = true, used = true;
    for (int round = 0; round < rounds && same; round++) {
        const uint64_t seed = UINT64_C(9241) * (uint64_t)(round + 1) + 17;
        results alone, many;
        results_of(1, simd, seed, n, &alone);
        near = near && close_to_interpreter(seed, n, &alone);
        total.returns += alone.returns;
        for (size_t k = 0; k < sizeof threads / sizeof *threads && same; k++) {
            results_of(threads[k], simd, seed, n, &many);
            same = same_bits(&alone, &many);
            used = used && many.threads == threads[k];
            total.cut += many.cut;
            total.seams += many.seams;
            total.aside += many.aside;
            total.sums += many.sums;
            total.weaves += many.weaves;
            total.pairs += many.pairs;
            total.rows += many.rows;
            if (!same)
                diag("round %d, %d threads", round, (int)threads[k]);
            results_release(&many);
        }
        results_release(&alone);
    }
    ok(same, "%s: the same bits for 1, 2, 3 and 8 threads", simd);
    ok(near, "%s: as the interpreter has them", simd);
    ok(total.returns > 10 * rounds, "%s: one thread goes from kernel to kernel, and back to one %lld times", simd, (long long)total.returns);
    ok(used && total.cut > 5 * rounds && total.seams > rounds && total.aside > total.seams,
       "%s: %lld kernels were cut, with %lld seams of %lld scatters", simd, (long long)total.cut, (long long)total.seams,
       (long long)total.aside);
    ok(total.rows > 2 * rounds, "%s: %lld have rows", simd, (long long)total.rows);
    ok(total.sums > 3 && total.weaves > 3 && total.pairs > 3,
       "%s: among them %lld that add up neighbours, %lld that write pairs and %lld that add two values", simd, (long long)total.sums,
       (long long)total.weaves, (long long)total.pairs);
}

/* ---- contexts side by side ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const results *want;
    uint64_t seed;
    int64_t n;
    bool good;
} visitor;

static void *visit(void *ud)
{
    visitor *v = ud;
    v->good = true;
    for (int k = 0; k < 3; k++) {
        results r;
        results_of(2, NULL, v->seed, v->n, &r);
        v->good = v->good && same_bits(v->want, &r);
        results_release(&r);
    }
    return NULL;
}

static void test_contexts(void)
{
    enum { VISITORS = 3 };
    results want[VISITORS];
    visitor v[VISITORS];
    pthread_t id[VISITORS];
    bool good = true;
    for (int k = 0; k < VISITORS; k++) {
        v[k] = (visitor){&want[k], (uint64_t)(411 + k), 9000, false};
        results_of(1, NULL, v[k].seed, v[k].n, &want[k]);
    }
    for (int k = 0; k < VISITORS; k++)
        if (pthread_create(&id[k], NULL, visit, &v[k]) != 0)
            exit(1);
    for (int k = 0; k < VISITORS; k++) {
        pthread_join(id[k], NULL);
        good = good && v[k].good;
        results_release(&want[k]);
    }
    ok(good, "three contexts in three threads, each with two of its own");
}

/* ---- limits --------------------------------------------------------------------------------------------------------------------- */

static void test_fewer(void)
{
    fixture f;
    eval_output outputs[OUTPUTS];
    results all = {.threads = 0}, few = {.threads = 0};
    fixture_init(&f, 3, NULL, 99, 20000);
    random_outputs(&f, outputs, all.size);
    memcpy(few.size, all.size, sizeof few.size);
    run(&f, outputs, &all);
    f.ctx->threads_wanted = 1;
    run(&f, outputs, &few);
    ok(same_bits(&all, &few), "fewer threads for a while change nothing");
    results_release(&all);
    results_release(&few);
    fixture_release(&f);
}

static void test_small(void)
{
    fixture f;
    eval_output outputs[OUTPUTS];
    results r = {.threads = 0};
    fixture_init(&f, 8, NULL, 5, 100);
    random_outputs(&f, outputs, r.size);
    run(&f, outputs, &r);
    ok(f.ctx->pool == NULL && r.cut == 0 && r.threads == 1, "a small program makes no pool");
    results_release(&r);
    fixture_release(&f);
}

static void test_memory(bool persistent)
{
    eval_output outputs[OUTPUTS];
    fixture f;
    int64_t size[OUTPUTS], failures = 0, blocks_before, blocks_after;
    size_t before, after;
    bool clean = true;
    fixture_init(&f, 2, NULL, 31, 9000);
    random_outputs(&f, outputs, size);
    peri_memory(f.ctx, &before, NULL, &blocks_before);
    for (int64_t k = 1;; k++) {
        eval_program *p;
        peri_memory_fail_at(f.ctx, k, persistent);
        const peri_status status = eval_compile(f.g, OUTPUTS, outputs, &p);
        peri_memory_fail_at(f.ctx, 0, false);
        eval_free(p);
        if (status == PERI_OK)
            break;
        failures++;
        clean = clean && status == PERI_E_NOMEM && p == NULL && (f.ctx->pool == NULL || failures > 10);
        if (f.ctx->pool == NULL) {
            peri_memory(f.ctx, &after, NULL, &blocks_after);
            clean = clean && before == after && blocks_before == blocks_after;
        }
    }
    ok(failures > 10 && clean, "%lld allocations failed: reported, nothing lost%s", (long long)failures,
       persistent ? ", all later ones failing too" : "");
    ok(f.ctx->pool != NULL, "and in the end there is a pool");
    fixture_release(&f);
}

int main(void)
{
    static const char *const names[] = {"portable", "sse2", "avx2", "avx512"};
    plan_later();
    test_pool();
    for (int v = 0; v < 4; v++) {
        peri_context *ctx = peri_context_new(NULL);
        if (eval_force_simd(ctx, names[v]))
            test_random(names[v], 8, 20000);
        else
            skip(6, "no %s here", names[v]);
        peri_context_free(ctx);
    }
    test_contexts();
    test_fewer();
    test_small();
    test_memory(false);
    test_memory(true);
    return tap_done();
}
