/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_bands - what kernels do specially, against the plain interpreter and for every set of instructions: powers with half exponents, divisions by one
 * number, every other entry, runs of equal indices; sums of scatters to arithmetic sequences with a common stride, as the columns of banded
 * matrices are, around the lengths of vectors and blocks; alone, after others, before others.
 */
#include "base/context.h"
#include "eval/program.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 5, LONGEST = 1200 };

typedef struct {
    const char *name;
    int32_t stride, n, first[MOST];
    uint32_t scalars; /* bit k: argument k is one number for all instances */
    int32_t extra;    /* 1: another scatter of half the size comes first; 2: after */
} shape;

static const shape shapes[] = {
    {"two side by side", 2, 2, {0, 1}, 0, 0},
    {"tridiagonal", 2, 3, {0, 1, 2}, 0, 0},
    {"tridiagonal, one number", 2, 3, {0, 2, 1}, 2, 0},
    {"pentadiagonal by pairs", 2, 4, {0, 1, 2, 4}, 0, 0},
    {"far apart", 2, 3, {7, 0, 4}, 0, 0},
    {"odd sums", 2, 4, {1, 3, 5, 0}, 4, 0},
    {"twice the same places", 2, 3, {0, 0, 1}, 0, 0},
    {"only even places", 2, 2, {0, 4}, 0, 0},
    {"five", 2, 5, {0, 1, 2, 3, 4}, 0, 0},
    {"stride 3", 3, 3, {0, 1, 2}, 0, 0},
    {"added to others", 2, 3, {0, 1, 2}, 0, 1},
    {"others added", 2, 3, {0, 1, 2}, 2, 2},
};

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id x, root;
    int64_t size;
} fixture;

static expr_id value(fixture *f, int64_t n, int32_t k, bool scalar)
{
    expr_id a, b;
    check(expr_gather_affine(f->g, f->x, scalar ? 1 : n, 1, k, 1, &a));
    check(expr_gather_affine(f->g, f->x, scalar ? 1 : n, 1, k + 1, 1, &b));
    a = two(f->g, PERI_OP_MUL, a, b);
    check(expr_unary(f->g, PERI_OP_EXP, a, &b));
    a = two(f->g, PERI_OP_ADD, b, a);
    check(expr_broadcast(f->g, a, n, 1, &a));
    return a;
}

static void build(fixture *f, const shape *s, int64_t n)
{
    expr_id args[MOST + 1];
    int32_t *lists[MOST + 1], count = 0;
    int64_t last = 0;
    const int64_t half = n / 2 + 1;
    for (int32_t k = 0; k <= s->n; k++) {
        const bool other = k == (s->extra == 1 ? 0 : s->n);
        const int32_t j = s->extra == 1 ? k - 1 : k;
        if (other && s->extra == 0)
            continue;
        const int64_t m = other ? half : n;
        lists[count] = calloc((size_t)m, sizeof **lists);
        for (int64_t i = 0; i < m; i++) {
            lists[count][i] = (int32_t)(other ? 3 * i / 2 : s->first[j] + i * s->stride);
            last = lists[count][i] > last ? lists[count][i] : last;
        }
        args[count++] = value(f, m, other ? 5 : j, !other && (s->scalars >> j & 1) != 0);
    }
    f->size = last + 3;
    check(expr_scatter_sum(f->g, f->size, 1, count, args, (const int32_t *const *)lists, &f->root));
    for (int32_t k = 0; k < count; k++)
        free(lists[k]);
}

static void run(fixture *f, const double *in, double *out)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = in};
    const eval_output output = {f->root, 0, 0};
    eval_program *p;
    check(eval_compile(f->g, 1, &output, &p));
    for (int64_t k = 0; k < f->size; k++)
        out[k] = NAN; /* nothing of it may stay */
    check(eval_run(p, inputs, &out));
    eval_free(p);
}

static bool agrees(int64_t n, const double *got, const double *want)
{
    for (int64_t k = 0; k < n; k++)
        if (!(fabs(got[k] - want[k]) <= 1e-13 * (1 + fabs(want[k]))))
            return false;
    return true;
}

static void all_versions(const shape *s, int64_t n, const double *in)
{
    static const char *const names[] = {"portable", "sse2", "avx2", "avx512"};
    fixture f = {.ctx = peri_context_new(NULL)};
    f.g = expr_graph_new(f.ctx);
    check(expr_new_var(f.g, "x", LONGEST + 8, 1, &f.x));
    build(&f, s, n);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = in};
    double *want = calloc((size_t)f.size, sizeof *want), *got = calloc((size_t)f.size + 1, sizeof *got);
    check(expr_interpret(f.g, 1, &f.root, inputs, &want));
    bool same = true;
    for (size_t v = 0; v < sizeof names / sizeof names[0]; v++)
        for (int offset = 0; offset < 2 && eval_force_simd(f.ctx, names[v]); offset++) { /* aligned, and not */
            run(&f, in, got + offset);
            same = same && agrees(f.size, got + offset, want);
        }
    ok(same, "%s, %d instances", s->name, (int)n);
    free(want);
    free(got);
    expr_graph_free(f.g);
    peri_context_free(f.ctx);
}

static void compare_root(fixture *f, const double *in, double tolerance, const char *name, int number)
{
    static const char *const names[] = {"portable", "sse2", "avx2", "avx512"};
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = in};
    f->size = expr_size(f->g, f->root);
    double *want = calloc((size_t)f->size, sizeof *want), *got = calloc((size_t)f->size, sizeof *got);
    check(expr_interpret(f->g, 1, &f->root, inputs, &want));
    bool same = true;
    for (size_t v = 0; v < sizeof names / sizeof names[0]; v++) {
        if (!eval_force_simd(f->ctx, names[v]))
            continue;
        run(f, in, got);
        for (int64_t k = 0; k < f->size; k++)
            same = same && (isfinite(want[k]) ? fabs(got[k] - want[k]) <= tolerance * fabs(want[k])
                                              : isnan(want[k]) ? isnan(got[k]) : isinf(got[k]) && got[k] * want[k] > 0);
    }
    eval_force_simd(f->ctx, NULL);
    ok(same, "%s, %d", name, number);
    free(want);
    free(got);
}

static fixture fresh(void)
{
    fixture f = {.ctx = peri_context_new(NULL)};
    f.g = expr_graph_new(f.ctx);
    check(expr_new_var(f.g, "x", LONGEST + 8, 1, &f.x));
    return f;
}

static void release(fixture *f)
{
    expr_graph_free(f->g);
    peri_context_free(f->ctx);
}

/* twice: of the exponent */
static void half_power(int twice, const double *in)
{
    fixture f = fresh();
    expr_id exponent;
    double special[LONGEST + 8];
    memcpy(special, in, sizeof special);
    special[3] = 0;
    special[4] = -0.0;
    special[5] = INFINITY;
    special[6] = 1e-200;
    special[7] = 1e200;
    check(expr_number(f.g, 0.5 * twice, &exponent));
    f.root = two(f.g, PERI_OP_POW, f.x, exponent);
    compare_root(&f, special, 4e-15, "half power", twice);
    release(&f);
}

static void divided(double by, const double *in)
{
    fixture f = fresh();
    expr_id number, part;
    check(expr_number(f.g, by, &number));
    check(expr_gather_affine(f.g, f.x, LONGEST, 1, 3, 1, &part));
    f.root = two(f.g, PERI_OP_DIV, two(f.g, PERI_OP_MUL, part, part), number);
    compare_root(&f, in, 4e-16, "divided by a number", (int)by);
    release(&f);
}

static void every_other(int64_t n, int64_t first, const double *in)
{
    fixture f = fresh();
    expr_id a, b;
    check(expr_gather_affine(f.g, f.x, n, 1, first, 2, &a));
    check(expr_gather_affine(f.g, f.x, n, 1, first + 1, 1, &b));
    f.root = two(f.g, PERI_OP_MUL, a, b);
    compare_root(&f, in, 0, "every other entry", (int)n);
    release(&f);
}

static void runs(int64_t n, int32_t length, const double *in)
{
    fixture f = fresh();
    int32_t *list = calloc((size_t)n, sizeof *list);
    for (int64_t k = 0; k < n; k++)
        list[k] = (int32_t)(k / length * 7 % 13);
    const int32_t *const lists[1] = {list};
    expr_id part;
    check(expr_gather_affine(f.g, f.x, n, 1, 0, 1, &part));
    part = two(f.g, PERI_OP_MUL, part, part);
    check(expr_scatter_sum(f.g, 13, 1, 1, &part, lists, &f.root));
    compare_root(&f, in, 1e-14, "runs of equal indices", (int)n);
    free(list);
    release(&f);
}

int main(void)
{
    static const int64_t lengths[] = {2, 3, 7, 8, 9, 16, 31, 383, 384, 385, 392, 800, LONGEST};
    double in[LONGEST + 8];
    for (int k = 0; k < LONGEST + 8; k++)
        in[k] = sin(1.7 * k);
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++)
            all_versions(&shapes[k], lengths[j], in);
    for (int twice = -33; twice <= 33; twice += 2)
        half_power(twice, in);
    divided(3, in);
    divided(1e-310, in);
    divided(-7e5, in);
    for (int64_t n = 1; n < 40; n++)
        every_other(n, n % 3, in);
    every_other((LONGEST + 8) / 2, 0, in);
    every_other((LONGEST + 8) / 2, 1, in);
    for (int32_t length = 1; length < 60; length += 7)
        runs(LONGEST - length, length, in);
    return tap_done();
}
