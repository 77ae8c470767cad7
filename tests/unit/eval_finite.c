/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_finite - whether watched entries of outputs are finite, as kernels see it, against a look at each: every way in which outputs are written, alone and
 * several at once; with one entry of the input infinite, NaN or huge, with sums of finite values that overflow, constants that are not finite; by the
 * interpreter and by machine code, all sets of instructions, one thread and three. Values are those of a program that watches nothing.
 */
#include "base/context.h"
#include "eval/plan.h"
#include "eval/program.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include "unit/eval_random.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const levels[] = {"portable", "sse2", "avx2", "avx512"};
enum { N_LEVELS = 4, OUTPUTS = 4, MARGIN = 64 };

static void open_fixture(fixture *f, const char *simd, bool machine, uint64_t seed, int64_t n, int32_t threads)
{
    fixture_init(f, simd, seed, n, 2 * n + MARGIN, threads);
    eval_allow_machine_code(f->ctx, machine);
}

/* ---- ways to write an output ------------------------------------------------------------------------------------------- */

static expr_id x_from(fixture *f, int64_t first)
{
    return affine(f->g, f->x, f->n, first, 1);
}

/* A value of neighbours of the instance; 0 times it is NaN where one is not finite. */
static expr_id value(fixture *f, int64_t k)
{
    const expr_id product = two(f->g, PERI_OP_MUL, x_from(f, k % 7), x_from(f, k % 5 + 1));
    return two(f->g, k % 2 == 0 ? PERI_OP_ADD : PERI_OP_SUB, product, number(f->g, 0.5 + (double)k));
}

static expr_id sum_at(fixture *f, int64_t size, int32_t n, const expr_id *args, int32_t *const *lists)
{
    expr_id e;
    check(expr_scatter_sum(f->g, size, 1, n, args, (const int32_t *const *)lists, &e));
    for (int32_t k = 0; k < n; k++)
        free(lists[k]);
    return e;
}

static int32_t *steps(int64_t n, int64_t first, int64_t stride)
{
    int32_t *list = calloc(n > 0 ? (size_t)n : 1, sizeof *list);
    for (int64_t i = 0; i < n; i++)
        list[i] = (int32_t)(first + i * stride);
    return list;
}

/* count values to first[k] + i stride */
static expr_id strided(fixture *f, int64_t stride, int32_t count, const int64_t *first)
{
    expr_id args[4];
    int32_t *lists[4];
    for (int32_t k = 0; k < count; k++) {
        args[k] = value(f, k);
        lists[k] = steps(f->n, first[k], stride);
    }
    return sum_at(f, f->n * stride + MARGIN, count, args, lists);
}

static expr_id plain(fixture *f)
{
    return value(f, 0);
}

/* Infinite where what is behind the last instance is taken for 0 */
static expr_id of_quotients(fixture *f)
{
    const expr_id a = one(f->g, PERI_OP_RECIP, two(f->g, PERI_OP_MUL, x_from(f, 1), x_from(f, 2))), b = two(f->g, PERI_OP_DIV, value(f, 1), x_from(f, 3));
    const expr_id args[3] = {a, b, two(f->g, PERI_OP_SUB, a, b)};
    int32_t *lists[3] = {steps(f->n, 1, 1), steps(f->n, 0, 1), steps(f->n, f->n + 8, 1)};
    return sum_at(f, 2 * f->n + MARGIN, 3, args, lists);
}

static expr_id of_function(fixture *f)
{
    return one(f->g, PERI_OP_EXP, value(f, 1));
}

static expr_id of_sine_and_cosine(fixture *f)
{
    const expr_id a = value(f, 2), both[2] = {one(f->g, PERI_OP_SIN, a), one(f->g, PERI_OP_COS, a)};
    expr_id e;
    check(expr_stack(f->g, 2, both, &e));
    return e;
}

static expr_id in_steps(fixture *f)
{
    return strided(f, 3, 1, (const int64_t[]){1});
}

static expr_id in_pairs(fixture *f)
{
    return strided(f, 3, 2, (const int64_t[]){1, 2});
}

static expr_id in_fours(fixture *f)
{
    return strided(f, 5, 4, (const int64_t[]){0, 1, 2, 3});
}

static expr_id added_in_steps(fixture *f)
{
    return strided(f, 3, 3, (const int64_t[]){1, 4, 10});
}

static expr_id shifted(fixture *f)
{
    return strided(f, 1, 3, (const int64_t[]){0, 1, 3});
}

/* Of one entry of x alone, so that a number which is too large in the second is seen in one place, which two threads may reach */
static expr_id shifted_unequally(fixture *f)
{
    const expr_id x = x_from(f, 0), args[2] = {two(f->g, PERI_OP_MUL, x, number(f->g, 1e-30)), two(f->g, PERI_OP_MUL, x, number(f->g, 10))};
    int32_t *lists[2] = {steps(f->n, 0, 1), steps(f->n, 1, 1)};
    return sum_at(f, f->n + MARGIN, 2, args, lists);
}

static expr_id far_apart(fixture *f)
{
    return strided(f, 1, 2, (const int64_t[]){0, 40});
}

static expr_id woven(fixture *f)
{
    return strided(f, 2, 3, (const int64_t[]){0, 1, 2});
}

static expr_id woven_of_four(fixture *f)
{
    return strided(f, 2, 4, (const int64_t[]){0, 1, 2, 3});
}

static expr_id by_list(fixture *f)
{
    expr_id args[3];
    int32_t *lists[3];
    for (int k = 0; k < 3; k++) {
        args[k] = value(f, k);
        lists[k] = calloc((size_t)f->n, sizeof **lists);
        for (int64_t i = 0; i < f->n; i++)
            lists[k][i] = (int32_t)(k == 0 ? 2 * f->n - 1 - 2 * i : below(f, 2 * f->n));
    }
    return sum_at(f, 2 * f->n, 3, args, lists);
}

/* Two lists that share places with each other */
static expr_id by_two_lists(fixture *f)
{
    expr_id args[2];
    int32_t *lists[2];
    for (int k = 0; k < 2; k++) {
        args[k] = value(f, k);
        lists[k] = calloc((size_t)f->n, sizeof **lists);
        for (int64_t i = 0; i < f->n; i++)
            lists[k][i] = (int32_t)below(f, f->n);
    }
    return sum_at(f, f->n, 2, args, lists);
}

static expr_id in_runs(fixture *f)
{
    const expr_id a = value(f, 3);
    int32_t *list = calloc((size_t)f->n, sizeof *list);
    for (int64_t i = 0; i < f->n; i++)
        list[i] = (int32_t)(i / (9 + i % 5) % (f->n / 16));
    return sum_at(f, f->n, 1, &a, &list);
}

/* Columns of a matrix with rows of 50 are added up, or what is in its rows. */
static expr_id of_grid(fixture *f)
{
    const expr_id a[2] = {value(f, 4), value(f, 5)};
    int32_t *lists[2] = {steps(f->n, 0, 1), steps(f->n, 0, 1)};
    for (int64_t i = 0; i < f->n; i++) {
        lists[0][i] %= 50;
        lists[1][i] = 50 + lists[1][i] / 50;
    }
    return sum_at(f, f->n + 100, 2, a, lists);
}

/* Rows of 60 with gaps, and their four corners */
static expr_id in_rows(fixture *f)
{
    expr_id args[4];
    int32_t *lists[4];
    for (int k = 0; k < 4; k++) {
        expr_id corner;
        lists[k] = calloc((size_t)f->n, sizeof **lists);
        for (int64_t i = 0; i < f->n; i++)
            lists[k][i] = (int32_t)((i / 60 + k / 2) * 61 + i % 60 + k % 2);
        check(expr_gather_list(f->g, f->x, f->n, 1, f->n, lists[k], &corner));
        args[k] = two(f->g, PERI_OP_MUL, corner, corner);
    }
    for (int k = 0; k < 4; k++)
        args[k] = two(f->g, PERI_OP_SUB, args[k], one(f->g, PERI_OP_SQUARE, two(f->g, PERI_OP_ADD, args[0], args[3])));
    return sum_at(f, 2 * f->n + MARGIN, 4, args, lists);
}

/* Gathers that go to the output as they are */
static expr_id of_views(fixture *f)
{
    expr_id views[3], e;
    int32_t *list = calloc((size_t)f->n, sizeof *list);
    for (int64_t i = 0; i < f->n; i++)
        list[i] = (int32_t)below(f, f->size);
    check(expr_gather_list(f->g, f->x, f->n, 1, f->n, list, &views[0]));
    views[1] = affine(f->g, f->x, f->n, 1, 2);
    views[2] = x_from(f, 5);
    check(expr_stack(f->g, 3, views, &e));
    free(list);
    return e;
}

/* Between rows of constants; `bad` is one of those. */
static expr_id between_constants(fixture *f, double bad)
{
    expr_id args[3];
    int32_t *lists[3];
    double *data = calloc((size_t)f->n, sizeof *data);
    for (int k = 0; k < 3; k++) {
        for (int64_t i = 0; i < f->n; i++)
            data[i] = k == 1 ? bad : (double)(i % 3);
        if (k < 2)
            check(expr_dense(f->g, f->n, 1, data, &args[k]));
        else
            args[k] = value(f, k);
        lists[k] = steps(f->n, k, 4);
    }
    free(data);
    return sum_at(f, 4 * f->n, 3, args, lists);
}

static expr_id filled(fixture *f)
{
    return between_constants(f, 2);
}

static expr_id filled_with_infinite(fixture *f)
{
    return between_constants(f, INFINITY);
}

static expr_id filled_with_huge(fixture *f)
{
    return between_constants(f, 1e308);
}

/* Kernels of several sizes that add to the same entries, a small one among them */
static expr_id of_several(fixture *f)
{
    const expr_id few = affine(f->g, f->x, 100, 3, 2), less = affine(f->g, f->x, f->n - 7, 2, 1);
    const expr_id args[3] = {value(f, 0), two(f->g, PERI_OP_MUL, less, less), two(f->g, PERI_OP_MUL, few, few)};
    int32_t *lists[3] = {steps(f->n, 0, 1), steps(f->n - 7, 7, 1), steps(100, 11, 13)};
    return sum_at(f, f->n + 1400, 3, args, lists);
}

static expr_id of_array_operation(fixture *f)
{
    const expr_id parts[2] = {value(f, 1), affine(f->g, f->x, 12, f->size - 12, 1)};
    double data[144];
    expr_id matrix, part, both[2], e;
    for (int k = 0; k < 144; k++)
        data[k] = k % 7 - 3;
    check(expr_dense(f->g, 12, 12, data, &matrix));
    check(expr_binary(f->g, PERI_OP_MATMUL, matrix, parts[1], &part));
    both[0] = parts[0];
    both[1] = part;
    check(expr_stack(f->g, 2, both, &e));
    return e;
}

static expr_id of_reductions(fixture *f)
{
    const expr_id last = affine(f->g, f->x, 40, f->size - 40, 1);
    const expr_id parts[3] = {one(f->g, PERI_OP_SUM, two(f->g, PERI_OP_MUL, last, last)), one(f->g, PERI_OP_MAX, last), value(f, 1)};
    expr_id e;
    check(expr_stack(f->g, 3, parts, &e));
    return e;
}

/* The same value in several places, and products with a number that is computed */
static expr_id of_shared(fixture *f)
{
    expr_id scalar, parts[3], e;
    check(expr_unary(f->g, PERI_OP_SUM, affine(f->g, f->x, 30, 0, 1), &scalar));
    parts[0] = value(f, 1);
    parts[1] = two(f->g, PERI_OP_MUL, parts[0], scalar);
    check(expr_broadcast(f->g, scalar, f->n, 1, &parts[2]));
    int32_t *lists[3] = {steps(f->n, 0, 4), steps(f->n, 2, 4), steps(f->n, 3, 4)};
    const expr_id args[3] = {parts[0], parts[0], parts[2]};
    const expr_id places = sum_at(f, 4 * f->n, 3, args, lists), all[2] = {places, parts[1]};
    check(expr_stack(f->g, 2, all, &e));
    return e;
}

static const struct {
    const char *name;
    expr_id (*make)(fixture *);
    bool vouches; /* most entries need not be read again */
} ways[] = {
    {"plain", plain, true},
    {"quotients", of_quotients, true},
    {"a function", of_function, true},
    {"sine and cosine", of_sine_and_cosine, true},
    {"in steps", in_steps, true},
    {"pairs", in_pairs, true},
    {"fours", in_fours, true},
    {"added in steps", added_in_steps, true},
    {"shifted", shifted, true},
    {"shifted unequally", shifted_unequally, true},
    {"far apart", far_apart, true},
    {"woven", woven, true},
    {"woven, four", woven_of_four, true},
    {"by lists", by_list, true},
    {"by two lists", by_two_lists, true},
    {"runs", in_runs, true},
    {"a grid", of_grid, true},
    {"rows", in_rows, true},
    {"views", of_views, true},
    {"constants between", filled, true},
    {"infinite constants", filled_with_infinite, false},
    {"huge constants", filled_with_huge, false},
    {"several kernels", of_several, true},
    {"an array operation", of_array_operation, true},
    {"reductions", of_reductions, true},
    {"shared values", of_shared, true},
};
enum { N_WAYS = sizeof ways / sizeof ways[0] };

/* ---- comparison ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    eval_program *program;
    double *x, *out[MOST_OUTPUTS], *expected[MOST_OUTPUTS];
    eval_program *unwatched;
    eval_range watched[2 * MOST_OUTPUTS];
    int64_t n_watched;
} trial;

static void trial_init(trial *t, fixture *f, bool parts)
{
    memset(t, 0, sizeof *t);
    for (int k = 0; k < f->n_outputs; k++) {
        const int64_t n = f->length[k], a = parts ? below(f, n / 2) : 0, b = parts ? a + 1 + below(f, n / 3) : n;
        t->watched[t->n_watched++] = (eval_range){k, a, b};
        if (parts && b + 1 < n)
            t->watched[t->n_watched++] = (eval_range){k, b + 1, b + 1 + below(f, n - b - 1)};
        t->out[k] = calloc((size_t)n, sizeof *t->out[k]);
        t->expected[k] = calloc((size_t)n, sizeof *t->expected[k]);
    }
    t->x = calloc((size_t)f->size, sizeof *t->x);
    check(eval_compile_watched(f->g, f->n_outputs, f->output, t->n_watched, t->watched, &t->program));
    check(eval_compile(f->g, f->n_outputs, f->output, &t->unwatched));
}

static void trial_release(trial *t, fixture *f)
{
    eval_free(t->program);
    eval_free(t->unwatched);
    for (int k = 0; k < f->n_outputs; k++) {
        free(t->out[k]);
        free(t->expected[k]);
    }
    free(t->x);
}

static bool same_bits(int64_t n, const double *a, const double *b)
{
    for (int64_t k = 0; k < n; k++)
        if (!(isnan(a[k]) && isnan(b[k])) && memcmp(&a[k], &b[k], sizeof *a) != 0)
            return false;
    return true;
}

enum { USUAL, ONE_NAN, ONE_INFINITE, ONE_HUGE, ONE_LARGEST, TWO_LARGE, MANY_LARGE, KINDS_OF_X };

/* Between chunks is where threads meet; behind the last instance few read. */
static int64_t position(trial *t, fixture *f)
{
    const eval_kernel *k = &t->program->kernels[below(f, t->program->n_kernels)];
    const int64_t near[5] = {0, f->n, f->size, (1 + below(f, k->n_chunks)) * k->chunk, below(f, f->size)};
    const int64_t at = near[below(f, 5)] + 4 - below(f, 12);
    return at < 0 ? 0 : at < f->size ? at : f->size - 1;
}

static void fill_x(trial *t, fixture *f, int kind)
{
    static const double bad[KINDS_OF_X] = {0, NAN, -INFINITY, 1e200, 1e308, 1.2e154, 1.2e154};
    for (int64_t k = 0; k < f->size; k++)
        t->x[k] = uniform(&f->seed, 0.1, 2);
    const int64_t at = position(t, f), n = kind == MANY_LARGE ? f->size : kind == TWO_LARGE ? 3 : 1;
    for (int64_t k = at; kind != USUAL && k < at + n; k++)
        t->x[k % f->size] = bad[kind];
}

/* 1: right that all is finite, 0: right that it is not, -1: wrong */
static int compare(trial *t, fixture *f)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = t->x};
    bool finite = true, same = true;
    check(eval_run(t->program, inputs, t->out));
    const bool seen = eval_watched_is_finite(t->program, t->out);
    check(eval_run(t->unwatched, inputs, t->expected));
    for (int k = 0; k < f->n_outputs; k++)
        same = same && same_bits(f->length[k], t->out[k], t->expected[k]);
    for (int64_t k = 0; k < t->n_watched; k++)
        for (int64_t i = t->watched[k].begin; i < t->watched[k].end; i++)
            finite = finite && isfinite(t->out[t->watched[k].slot][i]);
    if (!same || seen != finite)
        diag("%s%s", same ? "" : "other values; ", seen == finite ? "" : seen ? "not seen" : "a false alarm");
    return !same || seen != finite ? -1 : finite;
}

static int64_t entries(int64_t n, const eval_range *range)
{
    int64_t sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += range[k].end - range[k].begin;
    return sum;
}

typedef struct {
    int finite, not_finite, alarms;
    bool good, vouches;
} tally;

static void try_all(fixture *f, bool parts, int rounds, tally *sum)
{
    trial t;
    trial_init(&t, f, parts);
    sum->vouches = sum->vouches && 2 * entries(t.program->finite->n_left, t.program->finite->left) < entries(t.n_watched, t.watched);
    for (int round = 0; round < rounds && sum->good; round++)
        for (int kind = 0; kind < KINDS_OF_X && sum->good; kind++) {
            fill_x(&t, f, kind);
            const int result = compare(&t, f);
            sum->alarms += kind == USUAL && atomic_load(&t.program->finite->alarm);
            sum->finite += result == 1;
            sum->not_finite += result == 0;
            sum->good = result >= 0;
            if (!sum->good)
                diag("x of kind %d", kind);
        }
    trial_release(&t, f);
}

static void test_ways(const char *simd, bool machine, int32_t threads)
{
    for (int way = 0; way < N_WAYS; way++) {
        fixture f;
        tally sum = {0, 0, 0, true, true};
        open_fixture(&f, simd, machine, (uint64_t)way + 40, threads > 1 ? 60011 : 2003, threads);
        add_output(&f, ways[way].make(&f));
        try_all(&f, false, threads > 1 ? 6 : 24, &sum);
        const bool both = sum.not_finite > 0 && (sum.finite > 0 || ways[way].make == filled_with_infinite);
        ok(sum.good && sum.alarms == 0 && both && (sum.vouches || !ways[way].vouches), "%s, %s, %d threads, %s: %d finite, %d not, %d false alarms%s", simd,
           machine ? "machine code" : "interpreter", (int)threads, ways[way].name, sum.finite, sum.not_finite, sum.alarms,
           sum.vouches ? "" : ", read again");
        fixture_release(&f);
    }
}

/* Several outputs of random ways, of which parts are watched, of all lengths */
static void test_random(const char *simd, int32_t threads, int rounds)
{
    tally sum = {0, 0, 0, true, true};
    for (int round = 0; round < rounds && sum.good; round++) {
        fixture f;
        uint64_t seed = (uint64_t)round + 77;
        open_fixture(&f, simd, round % 4 != 0, (uint64_t)round + 900, (int64_t)uniform(&seed, 300, threads > 1 ? 30000 : 1500), threads);
        for (int k = 0; k < OUTPUTS; k++)
            add_output(&f, ways[below(&f, N_WAYS)].make(&f));
        try_all(&f, round % 2 == 0, 2, &sum);
        if (!sum.good)
            diag("round %d", round);
        fixture_release(&f);
    }
    ok(sum.good && sum.alarms == 0 && sum.finite > 0 && sum.not_finite > 0, "%s, %d threads, random outputs: %d finite, %d not", simd, (int)threads, sum.finite,
       sum.not_finite);
}

/* A few constants of a large matrix, two to a place, that are written with its zeros */
static void test_few_constants(bool machine)
{
    static const double values[] = {1, 1e308, INFINITY, NAN};
    enum { N = 2000, APART = 70, FEW = 50 };
    for (int k = 0; k < 4; k++) {
        fixture f;
        trial t;
        double data[FEW];
        open_fixture(&f, NULL, machine, 5, N, 1);
        expr_id args[3] = {value(&f, 0)};
        int32_t *lists[3] = {steps(N, 0, APART), steps(FEW, 33, 7 * APART), steps(FEW, 33, 7 * APART)};
        for (int i = 0; i < FEW; i++)
            data[i] = i == 20 ? values[k] : 1 + i;
        for (int q = 1; q < 3; q++)
            check(expr_dense(f.g, FEW, 1, data, &args[q]));
        add_output(&f, sum_at(&f, N * APART, 3, args, lists));
        trial_init(&t, &f, false);
        fill_x(&t, &f, USUAL);
        is_int(compare(&t, &f), k == 0, "%s: a few constants, one of them twice %g", machine ? "machine code" : "interpreter", values[k]);
        trial_release(&t, &f);
        fixture_release(&f);
    }
}

/* Nothing is watched: nothing is looked at. */
static void test_nothing(void)
{
    fixture f;
    double out[4000], x[4100];
    double *const outs[1] = {out};
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    eval_program *p;
    open_fixture(&f, NULL, true, 1, 1000, 1);
    add_output(&f, plain(&f));
    for (int k = 0; k < 4100; k++)
        x[k] = NAN;
    check(eval_compile(f.g, 1, f.output, &p));
    check(eval_run(p, inputs, outs));
    ok(isnan(out[3]) && eval_watched_is_finite(p, outs), "what nobody watches may be anything");
    eval_free(p);
    fixture_release(&f);
}

static void test_memory(void)
{
    fixture f;
    size_t before, after;
    int64_t blocks, blocks_after, failures = 0;
    bool clean = true;
    open_fixture(&f, NULL, true, 11, 2000, 1);
    add_output(&f, in_fours(&f));
    const eval_range all = {0, 0, f.length[0]};
    peri_memory(f.ctx, &before, NULL, &blocks);
    for (int64_t k = 1;; k++, failures++) {
        eval_program *p;
        peri_memory_fail_at(f.ctx, k, true);
        const peri_status status = eval_compile_watched(f.g, 1, f.output, 1, &all, &p);
        peri_memory_fail_at(f.ctx, 0, false);
        eval_free(p);
        if (status == PERI_OK)
            break;
        peri_memory(f.ctx, &after, NULL, &blocks_after);
        clean = clean && status == PERI_E_NOMEM && before == after && blocks == blocks_after;
    }
    ok(clean && failures > 10, "%d allocations failed, nothing lost", (int)failures);
    fixture_release(&f);
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? atoi(argv[1]) : 24;
    plan_later();
    for (int v = 0; v < N_LEVELS; v++) {
        peri_context *ctx = peri_context_new(NULL);
        const bool is_there = eval_force_simd(ctx, levels[v]);
        peri_context_free(ctx);
        if (!is_there) {
            skip(1, "no %s here", levels[v]);
            continue;
        }
        test_ways(levels[v], false, 1);
        if (v >= 2) {
            test_ways(levels[v], true, 1);
            test_ways(levels[v], true, 3);
        }
        test_random(levels[v], 1, rounds);
        test_random(levels[v], 3, rounds / 4);
    }
    test_ways("sse2", false, 3);
    test_few_constants(false);
    test_few_constants(true);
    test_nothing();
    test_memory();
    return tap_done();
}
