/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_straight - small kernels as straight code against the same programs interpreted, bit by bit: every function on all numbers of lanes, with
 * arguments for which libraries go other ways; more outputs than there are registers for, more values than registers between calls, kernels with an array
 * operation between them, all classes of inputs, arrays that move from run to run.
 */
#include "base/context.h"
#include "eval/program.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const levels[] = {"avx2", "avx512"};
enum { N_LEVELS = 2, MOST_OUTPUTS = 40, MOST_NUMBERS = 4096 };

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id in[EXPR_IN_COUNT];
    int64_t n; /* of each class */
    int n_outputs;
    eval_output output[MOST_OUTPUTS];
} fixture;

static bool fixture_init(fixture *f, const char *simd, int64_t n)
{
    *f = (fixture){.ctx = peri_context_new(NULL), .n = n};
    f->g = expr_graph_new(f->ctx);
    static const int classes[] = {EXPR_IN_X, EXPR_IN_PARAM, EXPR_IN_W, EXPR_IN_SIGMA, EXPR_IN_V};
    for (size_t k = 0; k < sizeof classes / sizeof classes[0]; k++)
        check(expr_input(f->g, classes[k], 0, classes[k] == EXPR_IN_SIGMA ? 1 : n, 1, &f->in[classes[k]]));
    return eval_force_simd(f->ctx, simd);
}

static void fixture_release(fixture *f)
{
    expr_graph_free(f->g);
    peri_context_free(f->ctx);
}

static void want(fixture *f, expr_id e)
{
    f->output[f->n_outputs] = (eval_output){e, f->n_outputs, 0};
    f->n_outputs++;
}

/* ---- comparison -------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    double *out[MOST_OUTPUTS];
    char *text;
} result;

static void evaluate(fixture *f, bool machine, const double *const *inputs, result *r)
{
    eval_program *p;
    eval_allow_machine_code(f->ctx, machine);
    check(eval_compile(f->g, f->n_outputs, f->output, &p));
    check(eval_describe(p, &r->text));
    for (int run = 0; run < 2; run++) { /* the second time to other arrays, from others */
        double *moved[EXPR_IN_COUNT];
        const double *from[EXPR_IN_COUNT];
        for (int k = 0; k < EXPR_IN_COUNT; k++) {
            moved[k] = inputs[k] != NULL ? malloc((size_t)f->n * sizeof **inputs) : NULL;
            from[k] = moved[k];
            if (moved[k] != NULL)
                memcpy(moved[k], inputs[k], (size_t)(k == EXPR_IN_SIGMA ? 1 : f->n) * sizeof **inputs);
        }
        for (int k = 0; k < f->n_outputs; k++) {
            if (run == 1)
                free(r->out[k]);
            const size_t size = (size_t)expr_size(f->g, f->output[k].node);
            r->out[k] = malloc(size * sizeof **r->out);
            memset(r->out[k], 0x7b, size * sizeof **r->out);
        }
        check(run == 0 ? eval_run(p, from, r->out) : eval_run_alone(p, from, r->out));
        for (int k = 0; k < EXPR_IN_COUNT; k++)
            free(moved[k]);
    }
    eval_free(p);
}

static bool same_bits(int64_t n, const double *a, const double *b)
{
    for (int64_t k = 0; k < n; k++)
        if (!(isnan(a[k]) && isnan(b[k])) && memcmp(&a[k], &b[k], sizeof *a) != 0) {
            diag("entry %d: %.17g, interpreted %.17g", (int)k, a[k], b[k]);
            return false;
        }
    return true;
}

/* all: are all kernels straight code? */
static bool agree(fixture *f, const double *const *inputs, bool all)
{
    result a, b;
    bool good = true;
    evaluate(f, true, inputs, &a);
    evaluate(f, false, inputs, &b);
    for (int k = 0; k < f->n_outputs; k++) {
        if (good && !same_bits(expr_size(f->g, f->output[k].node), a.out[k], b.out[k])) {
            diag("output %d", k);
            good = false;
        }
        free(a.out[k]);
        free(b.out[k]);
    }
    int kernels = 0, straight = 0;
    for (const char *at = a.text; (at = strstr(at, "kernel, level")) != NULL; at++)
        kernels++;
    for (const char *at = a.text; (at = strstr(at, "straight code")) != NULL; at++)
        straight++;
    if (straight == 0 || (all && straight < kernels) || strstr(b.text, "straight code") != NULL) {
        diag("%d of %d kernels are straight code", straight, kernels);
        good = false;
    }
    peri_free_text(f->ctx, a.text);
    peri_free_text(f->ctx, b.text);
    return good;
}

static void fill(double *v, int64_t n, uint64_t seed, double lo, double hi)
{
    for (int64_t k = 0; k < n; k++)
        v[k] = uniform(&seed, lo, hi);
}

/* ---- functions ----------------------------------------------------------------------------------------------------------------------- */

static const double strange[] = {0.3, -0.0, 1e-310, 40, 1e6, -3e15, 1e300, -720, 0, 715};
enum { N_STRANGE = sizeof strange / sizeof strange[0] };

static bool is_function_right(const char *simd, peri_op op, int args, int64_t n, uint64_t seed)
{
    double v[3][64];
    fixture f;
    bool good = fixture_init(&f, simd, 3 * n);
    for (int q = 0; q < 3; q++)
        for (int64_t k = 0; k < n; k++)
            v[q][k] = uniform(&seed, 0, 3) < 1 ? strange[(int)uniform(&seed, 0, N_STRANGE)] : uniform(&seed, -1, 1);
    v[0][n / 2] = uniform(&seed, 0, 4) < 1 ? NAN : uniform(&seed, 0, 3) < 1 ? INFINITY : v[0][n / 2];
    double x[192];
    for (int q = 0; q < 3; q++)
        memcpy(x + q * n, v[q], (size_t)n * sizeof *x);
    expr_id arg[3], e;
    for (int q = 0; q < 3; q++)
        arg[q] = affine(f.g, f.in[EXPR_IN_X], n, q * n, 1);
    check(expr_op(f.g, op, args, arg, &e));
    want(&f, e);
    want(&f, two(f.g, PERI_OP_MUL, e, arg[0])); /* wanted behind the call too */
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    good = good && agree(&f, inputs, true);
    fixture_release(&f);
    return good;
}

static void test_functions(const char *simd, int64_t most)
{
    static const struct { peri_op op; int args; } all[] = {
        {PERI_OP_NEG, 1}, {PERI_OP_ABS, 1}, {PERI_OP_SIGN, 1}, {PERI_OP_STEP, 1}, {PERI_OP_SQUARE, 1}, {PERI_OP_RECIP, 1}, {PERI_OP_SQRT, 1},
        {PERI_OP_EXP, 1}, {PERI_OP_EXPM1, 1}, {PERI_OP_LOG, 1}, {PERI_OP_LOG1P, 1}, {PERI_OP_SIN, 1}, {PERI_OP_COS, 1}, {PERI_OP_TAN, 1},
        {PERI_OP_ASIN, 1}, {PERI_OP_ACOS, 1}, {PERI_OP_ATAN, 1}, {PERI_OP_SINH, 1}, {PERI_OP_COSH, 1}, {PERI_OP_TANH, 1}, {PERI_OP_SIGMOID, 1},
        {PERI_OP_SOFTPLUS, 1}, {PERI_OP_RELU, 1}, {PERI_OP_DIV, 2}, {PERI_OP_POW, 2}, {PERI_OP_ATAN2, 2}, {PERI_OP_MIN2, 2}, {PERI_OP_MAX2, 2},
        {PERI_OP_WHERE, 3}, {PERI_OP_FMA, 3}};
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        bool good = true;
        for (int64_t n = 1; n <= most && good; n++)
            for (uint64_t seed = 1; seed < 5 && good; seed++)
                good = is_function_right(simd, all[k].op, all[k].args, n, seed * 1000 + (uint64_t)n);
        ok(good, "%s: %s of 1 to %d numbers", simd, peri_op_name(all[k].op), (int)most);
    }
}

/* Sine and cosine of one argument, in one call, with values that must outlive it. */
static void test_pressure(const char *simd)
{
    bool good = true;
    for (int64_t n = 1; n < 12 && good; n++) {
        double x[MOST_NUMBERS];
        fixture f;
        fixture_init(&f, simd, 64 + n);
        fill(x, f.n, 7, -2, 2);
        expr_id kept[40], sum = number(f.g, 0.25);
        for (int k = 0; k < 40; k++)
            kept[k] = two(f.g, PERI_OP_MUL, affine(f.g, f.in[EXPR_IN_X], n, k, 1), affine(f.g, f.in[EXPR_IN_X], n, k + 3, 1));
        for (int k = 0; k < 40; k++) {
            const expr_id a = two(f.g, PERI_OP_SUB, kept[k], kept[(k + 17) % 40]);
            const expr_id both = two(f.g, PERI_OP_MUL, one(f.g, PERI_OP_SIN, a), one(f.g, PERI_OP_COS, a));
            sum = two(f.g, PERI_OP_ADD, two(f.g, PERI_OP_MUL, sum, kept[(5 * k) % 40]), k % 3 == 0 ? two(f.g, PERI_OP_ATAN2, both, kept[k]) : both);
        }
        want(&f, sum);
        want(&f, one(f.g, PERI_OP_SUM, sum));
        const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
        good = agree(&f, inputs, n <= 3 * (strcmp(simd, "avx2") == 0 ? 4 : 8));
        fixture_release(&f);
    }
    ok(good, "%s: values that outlive calls", simd);
}

/* ---- where values are ------------------------------------------------------------------------------------------------------------------ */

/* Every class, scalars of each, more outputs than registers; with calls and without. */
static void test_classes(const char *simd)
{
    bool good = true;
    for (int calls = 0; calls < 2; calls++)
        for (int64_t n = 2; n < 12 && good; n++) {
            double v[EXPR_IN_COUNT][32];
            const double *inputs[EXPR_IN_COUNT] = {NULL};
            fixture f;
            fixture_init(&f, simd, n + 1);
            for (int k = 0; k < EXPR_IN_COUNT; k++) {
                fill(v[k], n + 1, (uint64_t)k + 3, -1, 1);
                inputs[k] = k == EXPR_IN_Y ? NULL : v[k];
            }
            for (int k = 0; k < 12; k++) {
                static const int classes[] = {EXPR_IN_X, EXPR_IN_PARAM, EXPR_IN_W, EXPR_IN_V};
                const expr_id a = affine(f.g, f.in[classes[k % 4]], n, k % 2, 1), s = affine(f.g, f.in[classes[(k + 1) % 4]], 1, k % (int)n, 1);
                const expr_id e = two(f.g, PERI_OP_ADD, two(f.g, PERI_OP_MUL, a, s), two(f.g, PERI_OP_MUL, a, f.in[EXPR_IN_SIGMA]));
                want(&f, calls ? one(f.g, PERI_OP_SIN, e) : e);
            }
            good = agree(&f, inputs, true);
            fixture_release(&f);
        }
    ok(good, "%s: all classes of inputs, many outputs", simd);
}

/* Stored in one kernel, read from the next ones at other places: whole, shifted, every other, one by one; sums of scatters over them. */
static void test_memory(const char *simd)
{
    bool good = true;
    for (int64_t n = 9; n < 20 && good; n++) {
        double x[64];
        fixture f;
        fixture_init(&f, simd, 2 * n);
        fill(x, f.n, (uint64_t)n, -1, 1);
        const int64_t vectors = strcmp(simd, "avx2") == 0 ? 12 : 24;
        expr_id parts[3], array, scattered, args[3];
        for (int k = 0; k < 3; k++)
            parts[k] = one(f.g, PERI_OP_EXP, affine(f.g, f.in[EXPR_IN_X], k == 0 ? 1 : n / 3, k, 1));
        check(expr_stack(f.g, 3, parts, &array));
        const int64_t size = expr_size(f.g, array), m = size - 2;
        int32_t places[3][32];
        const int32_t *lists[3] = {places[0], places[1], places[2]};
        for (int k = 0; k < 3; k++) {
            args[k] = two(f.g, PERI_OP_MUL, affine(f.g, array, m, k, 1), affine(f.g, f.in[EXPR_IN_X], m, k, 1));
            for (int64_t i = 0; i < m; i++)
                places[k][i] = (int32_t)(k == 2 ? (7 * i) % (m + 3) : i + k);
        }
        check(expr_scatter_sum(f.g, m + 3, 1, 3, args, lists, &scattered));
        want(&f, scattered);
        want(&f, one(f.g, PERI_OP_SQUARE, affine(f.g, scattered, m / 2, 1, 2)));
        want(&f, one(f.g, PERI_OP_SUM, one(f.g, PERI_OP_SQUARE, scattered)));
        const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
        good = agree(&f, inputs, m + 3 <= vectors);
        fixture_release(&f);
    }
    ok(good, "%s: what one kernel stores and another reads", simd);
}

/* A product of matrices between two stretches of small kernels, and a kernel too long for them. */
static void test_stretches(const char *simd)
{
    double x[500];
    fixture f;
    fixture_init(&f, simd, 400);
    fill(x, f.n, 5, -1, 1);
    expr_id a, b, c;
    check(expr_reshape(f.g, one(f.g, PERI_OP_SIN, affine(f.g, f.in[EXPR_IN_X], 9, 0, 1)), 3, 3, &a));
    check(expr_reshape(f.g, one(f.g, PERI_OP_EXP, affine(f.g, f.in[EXPR_IN_X], 9, 9, 1)), 3, 3, &b));
    c = two(f.g, PERI_OP_MATMUL, a, b);
    want(&f, one(f.g, PERI_OP_SQUARE, c));
    want(&f, one(f.g, PERI_OP_SUM, c));
    want(&f, one(f.g, PERI_OP_SQUARE, f.in[EXPR_IN_X]));
    want(&f, one(f.g, PERI_OP_SUM, one(f.g, PERI_OP_COS, f.in[EXPR_IN_X])));
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    ok(agree(&f, inputs, false), "%s: stretches between other steps", simd);
    fixture_release(&f);
}

/* A stored number that is not finite is noticed, whichever, and none that is only large. */
static void test_watch(const char *simd)
{
    static const double bad[] = {INFINITY, -INFINITY, NAN};
    bool good = true;
    for (int64_t n = 1; n < 60 && good; n++) {
        double x[128], sum, out[128], *outs[2] = {&sum, out};
        int32_t places[64];
        const int32_t *lists[1] = {places};
        const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
        fixture f;
        expr_id doubled, scattered;
        eval_program *p;
        fixture_init(&f, simd, 2 * n);
        const expr_id a = affine(f.g, f.in[EXPR_IN_X], n, 0, 1), b = affine(f.g, f.in[EXPR_IN_X], n, n, 1);
        for (int64_t i = 0; i < n; i++)
            places[i] = (int32_t)(2 * n - 1 - 2 * i);
        check(expr_op(f.g, PERI_OP_NEG, 1, &a, &doubled));
        check(expr_scatter_sum(f.g, 2 * n, 1, 1, &doubled, lists, &scattered));
        want(&f, one(f.g, PERI_OP_SUM, two(f.g, PERI_OP_SUB, number(f.g, 1), two(f.g, PERI_OP_MUL, b, number(f.g, 1e-10)))));
        want(&f, scattered);
        const eval_range ranges[2] = {{0, 0, 1}, {1, 0, 2 * n}};
        check(eval_compile_watched(f.g, 2, f.output, 2, ranges, &p));
        fill(x, 2 * n, (uint64_t)n, -1, 1);
        for (int64_t k = 0; k < 2 * n && good; k++) {
            const double before = x[k];
            for (int q = 0; q < 4 && good; q++) {
                x[k] = q < 3 ? bad[q] : 1.5e308;
                check(q % 2 == 0 ? eval_run(p, inputs, outs) : eval_run_alone(p, inputs, outs));
                good = eval_watched_is_finite(p, outs) == (q == 3);
            }
            x[k] = before;
        }
        for (int64_t k = 0; k < n; k++) /* whose sum overflows */
            x[k] = 1e308;
        check(eval_run(p, inputs, outs));
        good = good && eval_watched_is_finite(p, outs);
        eval_free(p);
        fixture_release(&f);
        if (!good)
            diag("%d numbers", (int)n);
    }
    ok(good, "%s: what is not finite is noticed", simd);
}

static void test_missing(const char *simd)
{
    double out, *outs[1] = {&out};
    const double *const none[EXPR_IN_COUNT] = {NULL};
    fixture f;
    eval_program *p;
    fixture_init(&f, simd, 4);
    want(&f, one(f.g, PERI_OP_SUM, f.in[EXPR_IN_W]));
    check(eval_compile(f.g, 1, f.output, &p));
    is_int(eval_run(p, none, outs), PERI_E_INTERNAL, "%s: an input that is not there is refused", simd);
    eval_free(p);
    fixture_release(&f);
}

/* One kernel from list to list, then others: at every failure of an allocation, alone or with all later ones. */
static void test_failures(const char *simd, bool persistent)
{
    static const int32_t from[3] = {4, 0, 2}, to[3] = {1, 5, 3};
    const int32_t *const lists[1] = {to};
    fixture f;
    expr_id gathered, scattered;
    int64_t failures = 0, blocks, blocks_before;
    size_t before, after, peak;
    bool clean = true;
    fixture_init(&f, simd, 6);
    check(expr_gather_list(f.g, f.in[EXPR_IN_X], 3, 1, 3, from, &gathered));
    check(expr_scatter_sum(f.g, 6, 1, 1, &gathered, lists, &scattered));
    want(&f, scattered);
    want(&f, one(f.g, PERI_OP_SUM, two(f.g, PERI_OP_MUL, affine(f.g, scattered, 4, 1, 1), affine(f.g, scattered, 4, 2, 1))));
    peri_memory(f.ctx, &before, &peak, &blocks_before);
    for (int64_t k = 1;; k++) {
        eval_program *p;
        peri_memory_fail_at(f.ctx, k, persistent);
        const peri_status status = eval_compile(f.g, f.n_outputs, f.output, &p);
        peri_memory_fail_at(f.ctx, 0, false);
        eval_free(p);
        if (status == PERI_OK)
            break;
        failures++;
        peri_memory(f.ctx, &after, &peak, &blocks);
        clean = clean && status == PERI_E_NOMEM && before == after && blocks == blocks_before;
    }
    ok(clean && failures > 10, "%s: %d allocations failed%s, nothing lost", simd, (int)failures, persistent ? " with all later ones" : "");
    fixture_release(&f);
}

int main(void)
{
    plan_later();
    for (int k = 0; k < N_LEVELS; k++) {
        fixture f;
        const bool there = fixture_init(&f, levels[k], 1);
        fixture_release(&f);
        if (!there) {
            skip(1, "this processor has no %s", levels[k]);
            continue;
        }
        test_functions(levels[k], k == 0 ? 12 : 24);
        test_pressure(levels[k]);
        test_classes(levels[k]);
        test_memory(levels[k]);
        test_stretches(levels[k]);
        test_watch(levels[k]);
        test_missing(levels[k]);
        test_failures(levels[k], false);
        test_failures(levels[k], true);
    }
    return tap_done();
}
