/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_bands - sums of scatters to arithmetic sequences with a common stride, as the columns of banded matrices are: against the plain interpreter,
 * for every set of instructions, around the lengths of vectors and blocks; alone, after others, before others.
 */
#include "base/context.h"
#include "eval/program.h"
#include "tap/tap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 5, LONGEST = 1200 };

static void check(peri_status status)
{
    if (status == PERI_OK)
        return;
    diag("status %d", (int)status);
    exit(1);
}

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

static expr_id two(fixture *f, peri_op op, expr_id a, expr_id b)
{
    expr_id e;
    check(expr_binary(f->g, op, a, b, &e));
    return e;
}

static expr_id value(fixture *f, int64_t n, int32_t k, bool scalar)
{
    expr_id a, b;
    check(expr_gather_affine(f->g, f->x, scalar ? 1 : n, 1, k, 1, &a));
    check(expr_gather_affine(f->g, f->x, scalar ? 1 : n, 1, k + 1, 1, &b));
    a = two(f, PERI_OP_MUL, a, b);
    check(expr_unary(f->g, PERI_OP_EXP, a, &b));
    a = two(f, PERI_OP_ADD, b, a);
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
        for (int offset = 0; offset < 2 && eval_force_simd(names[v]); offset++) { /* aligned, and not */
            run(&f, in, got + offset);
            same = same && agrees(f.size, got + offset, want);
        }
    eval_force_simd(NULL);
    ok(same, "%s, %d instances", s->name, (int)n);
    free(want);
    free(got);
    expr_graph_free(f.g);
    peri_context_free(f.ctx);
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
    return tap_done();
}
