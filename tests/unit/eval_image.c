/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scatters of which much is constant: rows that constants and computed lanes share, long stretches that repeat, constants that differ, single entries that
 * meet a row's end, what is added to a constant. Each against sums made one by one, for every set of instructions, with one thread and with three.
 */
#include "base/context.h"
#include "diff/diff.h"
#include "eval/program.h"
#include "eval_graph.h"
#include "tap/tap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 24 };

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id x, scale, args[MOST];
    int32_t *lists[MOST];
    double *values[MOST]; /* what each argument is, one by one */
    int64_t n_x, n, size;
    double *point;
    uint64_t seed;
    eval_stats stats; /* of the last program that ran */
} fixture;

static int64_t whole(fixture *t, int64_t end)
{
    return (int64_t)uniform(&t->seed, 0, (double)end);
}

static void push(fixture *t, expr_id e, int64_t n, int64_t first, int64_t stride)
{
    int32_t *list = calloc((size_t)n, sizeof *list);
    for (int64_t i = 0; i < n; i++)
        list[i] = (int32_t)(first + i * stride);
    t->args[t->n] = e;
    t->values[t->n] = calloc((size_t)n, sizeof(double));
    t->lists[t->n++] = list;
}

/* What varies: a product of neighbours */
static void push_varying(fixture *t, int64_t n, int64_t first, int64_t stride)
{
    const int64_t a = whole(t, 9), b = whole(t, 9);
    push(t, two(t->g, PERI_OP_MUL, affine(t->g, t->x, n, a, 1), affine(t->g, t->x, n, b, 1)), n, first, stride);
    for (int64_t i = 0; i < n; i++)
        t->values[t->n - 1][i] = t->point[a + i] * t->point[b + i];
}

/* Constants, the same for all or not, once or times the entry of x that is the scale. */
static void push_constants(fixture *t, int64_t n, int64_t first, int64_t stride, bool scaled, bool same)
{
    double *data = calloc((size_t)n, sizeof *data), value = uniform(&t->seed, 1, 2);
    expr_id e;
    for (int64_t i = 0; i < n; i++)
        data[i] = same ? value : uniform(&t->seed, 1, 2);
    check(expr_dense(t->g, n, 1, data, &e));
    if (scaled)
        e = two(t->g, PERI_OP_MUL, e, t->scale);
    check(expr_broadcast(t->g, e, n, 1, &e));
    push(t, e, n, first, stride);
    for (int64_t i = 0; i < n; i++)
        t->values[t->n - 1][i] = scaled ? data[i] * t->point[0] : data[i];
    free(data);
}

static void fixture_init(fixture *t, int32_t threads, uint64_t seed, int64_t rows)
{
    const peri_config config = {.threads = threads};
    *t = (fixture){.ctx = peri_context_new(&config), .seed = seed, .n_x = rows + 16};
    t->g = expr_graph_new(t->ctx);
    check(expr_new_var(t->g, "x", t->n_x, 1, &t->x));
    t->scale = affine(t->g, t->x, 1, 0, 1);
    t->point = calloc((size_t)t->n_x, sizeof *t->point);
    for (int64_t i = 0; i < t->n_x; i++)
        t->point[i] = uniform(&t->seed, -1, 1);
    const int64_t stride = whole(t, 3) == 0 ? 8 + whole(t, 9) : 3 + whole(t, 5), head = whole(t, 4), varying = 1 + whole(t, stride - 2),
                  one_lane = whole(t, stride);
    for (int64_t lane = 0; lane < stride; lane++) { /* rows of both, a stretch that repeats, one that does not */
        const int64_t at = head + (one_lane + lane) % stride;
        if (lane < varying)
            push_varying(t, rows, at, stride);
        else
            push_constants(t, rows, at, stride, whole(t, 3) == 0, whole(t, 4) != 0);
    }
    if (whole(t, 2) == 0) /* beside a varying lane's own: added */
        push_constants(t, rows, head + one_lane % stride, stride, whole(t, 2) == 0, whole(t, 2) == 0);
    const int64_t behind = head + (rows + 1) * stride;
    push_constants(t, rows, behind, 2, false, true);
    push_constants(t, rows, behind + 1, 2, whole(t, 2) == 0, true);
    push_constants(t, rows, behind + 2 * rows, 1, whole(t, 2) == 0, false);
    t->size = behind + 3 * rows + 5; /* the last ones are zeros */
    for (int k = 0; k < 2; k++) /* single entries, anywhere */
        push_varying(t, 1, whole(t, 2) == 0 ? whole(t, t->size) : behind - whole(t, 2 * stride), 1);
}

static void fixture_release(fixture *t)
{
    for (int64_t k = 0; k < t->n; k++) {
        free(t->lists[k]);
        free(t->values[k]);
    }
    free(t->point);
    expr_graph_free(t->g);
    peri_context_free(t->ctx);
}

static double *wanted(const fixture *t)
{
    double *out = calloc((size_t)t->size, sizeof *out);
    for (int64_t k = 0; k < t->n; k++)
        for (int64_t i = 0; i < expr_size(t->g, t->args[k]); i++)
            out[t->lists[k][i]] += t->values[k][i];
    return out;
}

/* Twice into one array, other numbers in between, so that nothing is left from the first time. */
static double *run(fixture *t, expr_id e)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = t->point};
    const eval_output output = {e, 0, 0};
    double *out = calloc((size_t)t->size, sizeof *out);
    eval_program *p;
    check(eval_compile(t->g, 1, &output, &p));
    for (int round = 0; round < 2; round++) {
        for (int64_t k = 0; k < t->size; k++)
            out[k] = NAN;
        check(eval_run(p, inputs, &out));
    }
    eval_get_stats(p, &t->stats);
    eval_free(p);
    return out;
}

static bool is_near(const fixture *t, const double *got, const double *want)
{
    for (int64_t k = 0; k < t->size; k++)
        if (!(fabs(got[k] - want[k]) <= 1e-14 * (1 + fabs(want[k]))))
            return false;
    return true;
}

static expr_id scatter(fixture *t, bool align)
{
    expr_id e;
    check(expr_scatter_sum(t->g, t->size, 1, t->n, t->args, (const int32_t *const *)t->lists, &e));
    if (align)
        check(diff_align(t->g, 1, &e, &e));
    return e;
}

/* code: instructions of the best set, and those of them that were machine code, are added to it */
static bool agrees(uint64_t seed, int64_t rows, bool align, int64_t code[2])
{
    static const char *const names[] = {"portable", "sse2", "avx2", "avx512"};
    fixture t;
    bool good = true;
    fixture_init(&t, 1, seed, rows);
    const expr_id e = scatter(&t, align);
    double *want = wanted(&t);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (!eval_force_simd(t.ctx, names[k]))
            continue;
        double *got = run(&t, e);
        good = good && is_near(&t, got, want);
        free(got);
    }
    code[0] += t.stats.instructions;
    code[1] += t.stats.in_machine_code;
    free(want);
    fixture_release(&t);
    return good;
}

/* Each allocation fails in turn, of rewriting and of compiling. */
static void test_memory(uint64_t seed)
{
    fixture t;
    int64_t k = 0;
    bool refused = true;
    fixture_init(&t, 1, seed, 1100);
    const expr_id e = scatter(&t, false);
    for (bool done = false; !done && k < 3000;) {
        const eval_output output = {e, 0, 0};
        eval_program *p = NULL;
        expr_id other;
        t.ctx->mem.countdown = ++k;
        peri_status status = diff_align(t.g, 1, &e, &other);
        if (status == PERI_OK)
            status = eval_compile(t.g, 1, &(eval_output){other, 0, 0}, &p);
        eval_free(p);
        p = NULL;
        if (status == PERI_OK)
            status = eval_compile(t.g, 1, &output, &p);
        eval_free(p);
        done = t.ctx->mem.countdown > 0;
        t.ctx->mem.countdown = 0;
        refused = refused && (status == PERI_OK || status == PERI_E_NOMEM);
    }
    ok(refused && k > 20 && k < 3000, "memory that is out at each of %d places is an error, %d", (int)k, (int)seed);
    fixture_release(&t);
}

static bool same_for_threads(uint64_t seed, bool align)
{
    double *got[2];
    int64_t size = 0;
    for (int k = 0; k < 2; k++) {
        fixture t;
        fixture_init(&t, k == 0 ? 1 : 3, seed, 30000);
        got[k] = run(&t, scatter(&t, align));
        size = t.size;
        fixture_release(&t);
    }
    const bool same = memcmp(got[0], got[1], (size_t)size * sizeof *got[0]) == 0;
    free(got[0]);
    free(got[1]);
    return same;
}

int main(void)
{
    enum { CASES = 60, THREADED = 8 };
    int64_t code[2] = {0, 0};
    for (uint64_t seed = 1; seed <= CASES; seed++) {
        ok(agrees(seed, 1100 + (int64_t)seed, false, code), "constants and what varies, %d", (int)seed);
        ok(agrees(seed, 1100 + (int64_t)seed, true, code), "the same, place by place, %d", (int)seed);
    }
    ok(code[1] == 0 || 2 * code[1] > code[0], "%d of %d instructions were machine code", (int)code[1], (int)code[0]);
    for (uint64_t seed = 1; seed <= 3; seed++)
        test_memory(seed);
    bool same = true;
    for (uint64_t seed = 1; seed <= THREADED; seed++)
        same = same && same_for_threads(seed, false) && same_for_threads(seed, true);
    ok(same, "the same bits with one thread and with three");
    return tap_done();
}
