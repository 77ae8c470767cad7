/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_ops - compiled programs against the plain interpreter: every operation, every way of reading and scattering, with every version of the
 * instructions that this processor has; sizes around the lengths of vectors and blocks.
 */
#include "base/context.h"
#include "eval/program.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t sizes[] = {1, 2, 7, 8, 9, 63, 64, 65, 1000, 4097};
enum { N_SIZES = sizeof sizes / sizeof sizes[0], MOST_OUTPUTS = 16 };

static uint64_t seed = 20211;

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id x, p;
    double *in, *param;
    int64_t n;
    expr_id out[MOST_OUTPUTS];
    int64_t n_out;
} fixture;

static const char *simd; /* the instructions that all fixtures' programs use */

static void fixture_init(fixture *f, int64_t n, double lo, double hi)
{
    memset(f, 0, sizeof *f);
    f->ctx = peri_context_new(NULL);
    check(eval_force_simd(f->ctx, simd) ? PERI_OK : PERI_E_INTERNAL);
    f->g = expr_graph_new(f->ctx);
    f->n = n;
    check(expr_new_var(f->g, "x", 2 * n, 1, &f->x));
    f->in = calloc((size_t)(2 * n), sizeof *f->in);
    f->param = calloc((size_t)n, sizeof *f->param);
    for (int64_t k = 0; k < 2 * n; k++)
        f->in[k] = uniform(&seed, lo, hi);
    for (int64_t k = 0; k < n; k++)
        f->param[k] = uniform(&seed, lo, hi);
    check(expr_new_param(f->g, "p", n, 1, f->param, &f->p));
}

static void fixture_release(fixture *f)
{
    free(f->in);
    free(f->param);
    expr_graph_free(f->g);
    peri_context_free(f->ctx);
}

static void want(fixture *f, expr_id e)
{
    f->out[f->n_out++] = e;
}

static expr_id indexed(fixture *f, expr_id a, int64_t n)
{
    expr_id e;
    int32_t *index = calloc((size_t)n, sizeof *index);
    const int64_t size = expr_size(f->g, a);
    for (int64_t k = 0; k < n; k++)
        index[k] = (int32_t)uniform(&seed, 0, (double)size);
    check(expr_gather_list(f->g, a, n, 1, n, index, &e));
    free(index);
    return e;
}

/* |got - want| relative to the largest |want|: sums are added in another order */
static bool agree(int64_t n, const double *got, const double *want_, double tolerance)
{
    double top = 0;
    for (int64_t k = 0; k < n; k++)
        if (isfinite(want_[k]) && fabs(want_[k]) > top)
            top = fabs(want_[k]);
    for (int64_t k = 0; k < n; k++) {
        const double slack = tolerance * (top + fabs(want_[k])) + 0x1p-1073; /* two units of the smallest number */
        if (isnan(want_[k]) ? isnan(got[k]) : isinf(want_[k]) ? got[k] == want_[k] : fabs(got[k] - want_[k]) <= slack)
            continue;
        diag("entry %lld of %lld: got %.17g, want %.17g", (long long)k, (long long)n, got[k], want_[k]);
        return false;
    }
    return true;
}

/* Compiles the outputs with the present instructions, runs twice, compares with the interpreter and with itself. */
static bool same_as_interpreter(fixture *f, double tolerance)
{
    double *reference[MOST_OUTPUTS], *got[MOST_OUTPUTS], *again[MOST_OUTPUTS];
    eval_output outputs[MOST_OUTPUTS];
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = f->in, [EXPR_IN_PARAM] = f->param};
    for (int64_t k = 0; k < f->n_out; k++) {
        const size_t size = (size_t)expr_size(f->g, f->out[k]);
        reference[k] = calloc(size, sizeof(double));
        got[k] = malloc(size * sizeof(double));
        again[k] = malloc(size * sizeof(double));
        memset(got[k], 0x7b, size * sizeof(double));
        memset(again[k], 0x5c, size * sizeof(double));
        outputs[k] = (eval_output){f->out[k], (int32_t)k, 0};
    }
    check(expr_interpret(f->g, f->n_out, f->out, inputs, reference));
    eval_program *program;
    check(eval_compile(f->g, f->n_out, outputs, &program));
    check(eval_run(program, inputs, got));
    size_t before, after, peak;
    int64_t blocks_before, blocks_after;
    peri_memory(f->ctx, &before, &peak, &blocks_before);
    peri_memory_fail_at(f->ctx, 1, true);
    check(eval_run(program, inputs, again));
    peri_memory_fail_at(f->ctx, 0, false);
    peri_memory(f->ctx, &after, &peak, &blocks_after);
    bool good = before == after && blocks_before == blocks_after;
    for (int64_t k = 0; k < f->n_out; k++) {
        const int64_t size = expr_size(f->g, f->out[k]);
        if (!agree(size, got[k], reference[k], tolerance)) {
            diag("output %lld", (long long)k);
            good = false;
        }
        if (memcmp(got[k], again[k], (size_t)size * sizeof(double)) != 0) {
            diag("output %lld differs when run again", (long long)k);
            good = false;
        }
        free(reference[k]);
        free(got[k]);
        free(again[k]);
    }
    eval_free(program);
    return good;
}

/* ---- operations ------------------------------------------------------------------------------------------------------------------ */

static const struct {
    peri_op op;
    double lo, hi;
} unaries[] = {{PERI_OP_NEG, -3, 3},    {PERI_OP_ABS, -3, 3},     {PERI_OP_SIGN, -3, 3},   {PERI_OP_STEP, -3, 3},     {PERI_OP_SQUARE, -3, 3},
               {PERI_OP_RECIP, 0.1, 3}, {PERI_OP_SQRT, 0, 9},     {PERI_OP_EXP, -20, 20},  {PERI_OP_EXPM1, -2, 2},    {PERI_OP_LOG, 1e-3, 9},
               {PERI_OP_LOG1P, -0.9, 2}, {PERI_OP_SIN, -30, 30},  {PERI_OP_COS, -30, 30},  {PERI_OP_TAN, -1.4, 1.4},  {PERI_OP_ASIN, -1, 1},
               {PERI_OP_ACOS, -1, 1},   {PERI_OP_ATAN, -9, 9},    {PERI_OP_SINH, -9, 9},   {PERI_OP_COSH, -9, 9},     {PERI_OP_TANH, -9, 9},
               {PERI_OP_SIGMOID, -50, 50}, {PERI_OP_SOFTPLUS, -50, 50}, {PERI_OP_RELU, -3, 3}};
static const peri_op binaries[] = {PERI_OP_ADD, PERI_OP_SUB, PERI_OP_MUL, PERI_OP_DIV, PERI_OP_POW, PERI_OP_ATAN2, PERI_OP_MIN2, PERI_OP_MAX2};
enum { N_UNARIES = sizeof unaries / sizeof unaries[0], N_BINARIES = sizeof binaries / sizeof binaries[0] };

static bool test_unaries(int64_t n)
{
    bool good = true;
    for (int k = 0; k < N_UNARIES; k++) {
        fixture f;
        fixture_init(&f, n, unaries[k].lo, unaries[k].hi);
        want(&f, one(f.g, unaries[k].op, f.x));
        if (!same_as_interpreter(&f, 1e-15)) {
            diag("%s", peri_op_name(unaries[k].op));
            good = false;
        }
        fixture_release(&f);
    }
    return good;
}

static bool test_binaries(int64_t n)
{
    bool good = true;
    for (int k = 0; k < N_BINARIES; k++) {
        fixture f;
        fixture_init(&f, n, 0.2, 3);
        const expr_id a = affine(f.g, f.x, n, 0, 1), b = affine(f.g, f.x, n, n, 1), s = affine(f.g, f.x, 1, n, 1);
        want(&f, two(f.g, binaries[k], a, b));
        want(&f, two(f.g, binaries[k], a, s));
        want(&f, two(f.g, binaries[k], s, b));
        want(&f, two(f.g, binaries[k], number(f.g, 1.7), b));
        want(&f, two(f.g, binaries[k], b, number(f.g, 2.3)));
        want(&f, two(f.g, binaries[k], b, f.p));
        if (!same_as_interpreter(&f, 1e-15)) {
            diag("%s", peri_op_name(binaries[k]));
            good = false;
        }
        fixture_release(&f);
    }
    return good;
}

static bool test_powers(int64_t n)
{
    fixture f;
    fixture_init(&f, n, -2, 2);
    static const double exponents[] = {3, 4, 5, -2, -3, 7, 16, 17, -5, 1.5, -0.5};
    for (int k = 0; k < 11; k++)
        want(&f, two(f.g, PERI_OP_POW, k < 9 ? f.x : one(f.g, PERI_OP_ABS, f.x), number(f.g, exponents[k])));
    const bool good = same_as_interpreter(&f, 4e-15);
    fixture_release(&f);
    return good;
}

/* Rounded once, with every set of instructions: (1 + t)(1 - t) - 1 is -t^2. */
static bool test_fma(int64_t n)
{
    fixture f;
    fixture_init(&f, n, -2, 2);
    const expr_id a = affine(f.g, f.x, n, 0, 1), b = affine(f.g, f.x, n, n, 1), s = affine(f.g, f.x, 1, 0, 1);
    const expr_id args[4][3] = {{a, b, f.p}, {a, s, b}, {a, b, s}, {a, a, b}};
    for (int k = 0; k < 4; k++) {
        expr_id e;
        check(expr_op(f.g, PERI_OP_FMA, 3, args[k], &e));
        want(&f, e);
    }
    bool good = same_as_interpreter(&f, 0);
    expr_id c[3], e;
    double value;
    check(expr_number(f.g, 1 + 0x1p-30, &c[0]));
    check(expr_number(f.g, 1 - 0x1p-30, &c[1]));
    check(expr_number(f.g, -1, &c[2]));
    check(expr_op(f.g, PERI_OP_FMA, 3, c, &e));
    good = good && expr_constant_value(f.g, e, &value) && value == -0x1p-60;
    fixture_release(&f);
    return good;
}

static bool test_where(int64_t n)
{
    fixture f;
    fixture_init(&f, n, -2, 2);
    const expr_id a = affine(f.g, f.x, n, 0, 1), b = affine(f.g, f.x, n, n, 1), s = affine(f.g, f.x, 1, 0, 1);
    const expr_id args[4][3] = {{a, b, f.p}, {a, s, b}, {a, b, s}, {s, a, b}};
    for (int k = 0; k < 4; k++) {
        expr_id e;
        check(expr_op(f.g, PERI_OP_WHERE, 3, args[k], &e));
        want(&f, e);
    }
    const bool good = same_as_interpreter(&f, 0);
    fixture_release(&f);
    return good;
}

static bool test_special(int64_t n)
{
    static const double special[] = {INFINITY, -INFINITY, NAN, 0.0, -0.0, 5e-324, 1e-310, 1.7e308, -1.0, 1.0, -745.2, 709.9};
    bool good = true;
    for (int k = 0; k < N_UNARIES + N_BINARIES; k++) {
        fixture f;
        fixture_init(&f, n, -1, 1);
        for (int64_t i = 0; i < 2 * n; i++)
            f.in[i] = special[(i < n ? i : i / 12 + i) % 12];
        const expr_id a = affine(f.g, f.x, n, 0, 1), b = affine(f.g, f.x, n, n, 1);
        want(&f, k < N_UNARIES ? one(f.g, unaries[k].op, a) : two(f.g, binaries[k - N_UNARIES], a, b));
        if (!same_as_interpreter(&f, 1e-15)) {
            diag("%s", peri_op_name(k < N_UNARIES ? unaries[k].op : binaries[k - N_UNARIES]));
            good = false;
        }
        fixture_release(&f);
    }
    return good;
}

/* ---- reading, reductions, scatters ---------------------------------------------------------------------------------------------------- */

static bool test_gathers(int64_t n)
{
    fixture f;
    fixture_init(&f, n, -2, 2);
    const expr_id a = affine(f.g, f.x, n, 0, 2), b = affine(f.g, f.x, n, 2 * n - 1, -1), c = indexed(&f, f.x, n), d = indexed(&f, f.p, n);
    const expr_id t = two(f.g, PERI_OP_MUL, a, b), u = one(f.g, PERI_OP_SIN, t);
    want(&f, a);
    want(&f, b);
    want(&f, c);
    want(&f, two(f.g, PERI_OP_ADD, t, c));
    want(&f, indexed(&f, u, n));                                   /* of a computed array */
    want(&f, two(f.g, PERI_OP_SUB, indexed(&f, u, n), d));
    want(&f, two(f.g, PERI_OP_MUL, affine(f.g, u, n, n - 1, -1), u));
    want(&f, affine(f.g, u, n, n / 2, 0));
    want(&f, two(f.g, PERI_OP_MUL, affine(f.g, u, 1, n / 2, 1), c));
    want(&f, u);
    want(&f, u);
    want(&f, f.x);
    const bool good = same_as_interpreter(&f, 1e-15);
    fixture_release(&f);
    return good;
}

static bool test_reductions(int64_t n)
{
    fixture f;
    fixture_init(&f, n, -2, 2);
    const expr_id a = affine(f.g, f.x, n, 0, 1), b = affine(f.g, f.x, n, n, 1), s = affine(f.g, f.x, 1, 0, 1);
    const expr_id sum = one(f.g, PERI_OP_SUM, two(f.g, PERI_OP_MUL, a, b));
    want(&f, sum);
    want(&f, one(f.g, PERI_OP_SUM, f.x));
    want(&f, one(f.g, PERI_OP_MAX, f.x));
    want(&f, one(f.g, PERI_OP_MIN, one(f.g, PERI_OP_SQUARE, two(f.g, PERI_OP_SUB, a, s))));
    want(&f, one(f.g, PERI_OP_SUM, one(f.g, PERI_OP_SQUARE, two(f.g, PERI_OP_SUB, a, s))));
    want(&f, one(f.g, PERI_OP_SUM, two(f.g, PERI_OP_SUB, two(f.g, PERI_OP_MUL, a, f.p), b)));
    want(&f, one(f.g, PERI_OP_SUM, two(f.g, PERI_OP_SUB, b, two(f.g, PERI_OP_ADD, a, f.p))));
    want(&f, one(f.g, PERI_OP_SUM, one(f.g, PERI_OP_EXP, indexed(&f, f.x, n))));
    want(&f, two(f.g, PERI_OP_MUL, two(f.g, PERI_OP_SUB, a, sum), one(f.g, PERI_OP_EXP, b))); /* after a reduction */
    want(&f, two(f.g, PERI_OP_ADD, one(f.g, PERI_OP_SQRT, one(f.g, PERI_OP_ABS, sum)), s));
    const bool good = same_as_interpreter(&f, 1e-13);
    fixture_release(&f);
    return good;
}

static void scatter(fixture *f, int64_t size, int64_t n_args, const expr_id *args, int kind)
{
    int32_t *lists[4] = {0};
    expr_id e;
    for (int64_t k = 0; k < n_args; k++) {
        const int64_t n = expr_size(f->g, args[k]);
        lists[k] = calloc((size_t)n, sizeof **lists);
        for (int64_t i = 0; i < n; i++)
            lists[k][i] = (int32_t)(kind == 0   ? i + k                           /* overlapping ranges */
                                    : kind == 1 ? n_args * i + k                  /* interleaved */
                                    : kind == 2 ? (int64_t)uniform(&seed, 0, (double)size) /* anywhere, with repetitions */
                                    : kind == 3 ? size - 1 - i - k                /* backwards */
                                                : (i * 2 + k * n) % size);
    }
    check(expr_scatter_sum(f->g, size, 1, n_args, args, (const int32_t *const *)lists, &e));
    want(f, e);
    for (int64_t k = 0; k < n_args; k++)
        free(lists[k]);
}

static bool test_scatters(int64_t n)
{
    bool good = true;
    for (int kind = 0; kind < 5; kind++) {
        fixture f;
        fixture_init(&f, n, -2, 2);
        const expr_id a = affine(f.g, f.x, n, 0, 1), b = affine(f.g, f.x, n, n, 1);
        const expr_id t = two(f.g, PERI_OP_MUL, a, b), sum = one(f.g, PERI_OP_SUM, t);
        const expr_id u = two(f.g, PERI_OP_MUL, b, two(f.g, PERI_OP_SUB, f.p, a)), v = indexed(&f, one(f.g, PERI_OP_COS, t), n);
        const expr_id late = two(f.g, PERI_OP_MUL, a, sum), parts[4] = {t, u, v, late}, same[2] = {a, a};
        expr_id spread;
        check(expr_broadcast(f.g, sum, n, 1, &spread));
        const expr_id others[3] = {spread, f.p, v};
        scatter(&f, 4 * n + 3, 1, parts, kind);
        scatter(&f, 4 * n + 3, 2, parts, kind);
        scatter(&f, 4 * n + 3, 4, parts, kind);
        scatter(&f, 4 * n + 3, 2, same, kind);
        scatter(&f, 4 * n + 3, 3, others, kind);
        want(&f, u);
        want(&f, one(f.g, PERI_OP_SUM, one(f.g, PERI_OP_SQUARE, f.out[2]))); /* read again */
        want(&f, two(f.g, PERI_OP_ADD, f.out[2], f.out[1]));
        if (!same_as_interpreter(&f, 1e-13)) {
            diag("scatter of kind %d", kind);
            good = false;
        }
        fixture_release(&f);
    }
    return good;
}

static bool test_stacks(int64_t n)
{
    fixture f;
    fixture_init(&f, n, -2, 2);
    const expr_id a = affine(f.g, f.x, n, 0, 1), b = one(f.g, PERI_OP_EXP, affine(f.g, f.x, n, n, 1)), sum = one(f.g, PERI_OP_SUM, b);
    const expr_id twice = two(f.g, PERI_OP_MUL, sum, number(f.g, 2));
    const expr_id parts[7] = {a, b, sum, b, twice, number(f.g, 3.25), indexed(&f, f.x, n)};
    expr_id e, again;
    check(expr_stack(f.g, 7, parts, &e));
    want(&f, e);
    want(&f, b);
    check(expr_stack(f.g, 2, (expr_id[2]){e, twice}, &again));
    want(&f, again);
    want(&f, one(f.g, PERI_OP_SUM, one(f.g, PERI_OP_SIN, again)));
    want(&f, indexed(&f, again, n));
    const bool good = same_as_interpreter(&f, 1e-13);
    fixture_release(&f);
    return good;
}

static bool test_finite(int64_t n)
{
    bool good = true;
    double *v = calloc((size_t)n, sizeof *v);
    for (int64_t k = 0; k < n; k++)
        v[k] = k % 3 == 0 ? 1.7e308 : uniform(&seed, -1, 1);
    good = good && eval_is_finite(n, v) && eval_is_finite(0, v);
    for (int64_t k = 0; k < n; k += 1 + n / 50) {
        const double old = v[k];
        v[k] = k % 2 == 0 ? NAN : -INFINITY;
        good = good && !eval_is_finite(n, v) && eval_is_finite(k, v);
        v[k] = old;
    }
    free(v);
    return good;
}

/* ---- random graphs -------------------------------------------------------------------------------------------------------------------------- */

static expr_id pick(const expr_id *pool, int n)
{
    return pool[(int)uniform(&seed, 0, n)];
}

static bool test_random(int64_t n, int rounds)
{
    static const peri_op smooth[] = {PERI_OP_SIN, PERI_OP_COS, PERI_OP_TANH, PERI_OP_SQUARE, PERI_OP_NEG, PERI_OP_SIGMOID, PERI_OP_ATAN};
    static const peri_op arithmetic[] = {PERI_OP_ADD, PERI_OP_SUB, PERI_OP_MUL, PERI_OP_MUL, PERI_OP_SUB};
    bool good = true;
    for (int round = 0; round < rounds && good; round++) {
        fixture f;
        expr_id pool[64];
        int size = 4;
        fixture_init(&f, n, -1, 1);
        pool[0] = affine(f.g, f.x, n, 0, 1);
        pool[1] = affine(f.g, f.x, n, n, 1);
        pool[2] = f.p;
        pool[3] = affine(f.g, f.x, 1, n, 1);
        while (size < 60) {
            const double what = uniform(&seed, 0, 10);
            expr_id e = pick(pool, size);
            if (what < 6)
                e = two(f.g, arithmetic[(int)uniform(&seed, 0, 5)], e, pick(pool, size));
            else if (what < 8.5)
                e = one(f.g, smooth[(int)uniform(&seed, 0, 7)], e);
            else if (what < 9)
                e = two(f.g, PERI_OP_MUL, one(f.g, PERI_OP_SUM, e), number(f.g, 1.3 / (double)n));
            else if (what < 9.6)
                e = expr_size(f.g, e) == n ? indexed(&f, e, n) : e;
            else
                e = one(f.g, PERI_OP_TANH, e); /* keeps products small */
            pool[size++] = e;
        }
        for (int k = 0; k < 8; k++)
            want(&f, pool[size - 1 - 3 * k]);
        good = same_as_interpreter(&f, 1e-11);
        if (!good)
            diag("random graph %d", round);
        fixture_release(&f);
    }
    return good;
}

int main(void)
{
    static const char *const names[] = {"portable", "sse2", "avx2", "avx512"};
    diag("seed %llu", (unsigned long long)seed);
    plan(4 * N_SIZES * 12);
    for (int v = 0; v < 4; v++) {
        peri_context *ctx = peri_context_new(NULL);
        const bool is_there = eval_force_simd(ctx, names[v]);
        if (is_there)
            is_text(eval_simd_name(ctx), names[v], "forced");
        peri_context_free(ctx);
        if (!is_there) {
            skip(N_SIZES * 12, "no %s here", names[v]);
            continue;
        }
        simd = names[v];
        for (int k = 0; k < N_SIZES; k++) {
            const int64_t n = sizes[k];
            if (k > 0)
                ok(test_special(n), "%s, %lld: infinities, NaN, small and large numbers", names[v], (long long)n);
            ok(test_unaries(n), "%s, %lld: one argument", names[v], (long long)n);
            ok(test_binaries(n), "%s, %lld: two arguments", names[v], (long long)n);
            ok(test_powers(n), "%s, %lld: constant exponents", names[v], (long long)n);
            ok(test_where(n), "%s, %lld: where", names[v], (long long)n);
            ok(test_fma(n), "%s, %lld: fma", names[v], (long long)n);
            ok(test_gathers(n), "%s, %lld: gathers", names[v], (long long)n);
            ok(test_reductions(n), "%s, %lld: reductions", names[v], (long long)n);
            ok(test_scatters(n), "%s, %lld: scatters", names[v], (long long)n);
            ok(test_stacks(n), "%s, %lld: stacks", names[v], (long long)n);
            ok(test_finite(n), "%s, %lld: finite or not", names[v], (long long)n);
            ok(test_random(n, n > 500 ? 3 : 12), "%s, %lld: random graphs", names[v], (long long)n);
        }
    }
    return tap_done();
}
