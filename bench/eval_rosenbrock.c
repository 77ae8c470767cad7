/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_rosenbrock [N [REPEATS]] - value and gradient of sums over a chain of N variables: the engine's programs, from vector expressions and
 * from N scalar expressions as a loop in a script makes them, against a plain C loop in the same run. Prints the median times and the
 * ratio to the loop (below 1: faster); exit status 1 when values differ.
 */
#include "base/clock.h"
#include "diff/diff.h"
#include "eval/program.h"
#include "eval_loops.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check(peri_context *ctx, peri_status status)
{
    if (status == PERI_OK)
        return;
    fprintf(stderr, "eval_rosenbrock: %s\n", peri_error(ctx));
    exit(2);
}

typedef struct {
    peri_context *ctx;
    expr_graph *g;
} builder;

static expr_id one(builder *b, peri_op op, expr_id a)
{
    expr_id e;
    check(b->ctx, expr_unary(b->g, op, a, &e));
    return e;
}

static expr_id two(builder *b, peri_op op, expr_id a, expr_id c)
{
    expr_id e;
    check(b->ctx, expr_binary(b->g, op, a, c, &e));
    return e;
}

static expr_id number(builder *b, double v)
{
    expr_id e;
    check(b->ctx, expr_number(b->g, v, &e));
    return e;
}

static expr_id slice(builder *b, expr_id x, int64_t n, int64_t first)
{
    expr_id e;
    check(b->ctx, expr_gather_affine(b->g, x, n, 1, first, 1, &e));
    return e;
}

typedef expr_id (*term_fn)(builder *b, expr_id x, expr_id next);

static expr_id rosenbrock_term(builder *b, expr_id x, expr_id next)
{
    const expr_id a = two(b, PERI_OP_SUB, next, one(b, PERI_OP_SQUARE, x));
    const expr_id steep = two(b, PERI_OP_MUL, number(b, 100), one(b, PERI_OP_SQUARE, a));
    return two(b, PERI_OP_ADD, steep, one(b, PERI_OP_SQUARE, two(b, PERI_OP_SUB, number(b, 1), x)));
}

static expr_id waves_term(builder *b, expr_id x, expr_id next)
{
    const expr_id e = one(b, PERI_OP_EXP, one(b, PERI_OP_NEG, one(b, PERI_OP_SQUARE, x)));
    return two(b, PERI_OP_ADD, two(b, PERI_OP_MUL, e, one(b, PERI_OP_SIN, next)), one(b, PERI_OP_COS, two(b, PERI_OP_MUL, x, next)));
}

static expr_id chain(builder *b, term_fn term, expr_id x, int64_t n, bool scalars)
{
    if (!scalars)
        return one(b, PERI_OP_SUM, term(b, slice(b, x, n - 1, 0), slice(b, x, n - 1, 1)));
    expr_id sum = number(b, 0);
    for (int64_t k = 0; k + 1 < n; k++)
        sum = two(b, PERI_OP_ADD, sum, term(b, slice(b, x, 1, k), slice(b, x, 1, k + 1)));
    return sum;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(int64_t n, double *seconds)
{
    qsort(seconds, (size_t)n, sizeof *seconds, ascending);
    return seconds[n / 2];
}

typedef struct {
    int64_t n, repeats;
    double *x, *g, *g_loop, *seconds, *seconds_loop;
    int differences;
} bench;

static void compare(bench *t, double f, double f_loop)
{
    bool same = fabs(f - f_loop) <= 1e-9 * fabs(f_loop);
    for (int64_t k = 0; k < t->n && same; k++)
        same = fabs(t->g[k] - t->g_loop[k]) <= 1e-11 * (1 + fabs(t->g_loop[k]));
    if (!same) {
        printf("    values differ\n");
        t->differences++;
    }
}

static eval_program *compile(builder *b, term_fn term, int64_t n, bool scalars, expr_graph *to)
{
    expr_id x, root, f, seed, whole, gradient;
    eval_program *p;
    char *text;
    const double start = clock_seconds();
    check(b->ctx, expr_new_var(b->g, "x", n, 1, &x));
    root = chain(b, term, x, n, scalars);
    const double built = clock_seconds();
    check(b->ctx, diff_roll(b->g, 1, &root, to, &f));
    check(b->ctx, expr_number(to, 1, &seed));
    check(b->ctx, expr_input(to, EXPR_IN_X, 0, n, 1, &whole));
    check(b->ctx, diff_adjoint(to, 1, &f, &seed, 1, &whole, &gradient));
    const double derived = clock_seconds();
    const eval_output outputs[2] = {{f, 0, 0}, {gradient, 1, 0}};
    check(b->ctx, eval_compile(to, 2, outputs, &p));
    printf("    built %.3f s, derived %.3f s, compiled %.3f s\n", built - start, derived - built, clock_seconds() - derived);
    check(b->ctx, eval_describe(p, &text));
    printf("    %s", text);
    peri_free_text(b->ctx, text);
    return p;
}

typedef double (*loop_fn)(size_t, const double *restrict, double *restrict);

/* Both in turn, so that what else the machine does meets both alike. */
static void measure(bench *t, const char *name, term_fn term, bool scalars, loop_fn loop)
{
    builder b = {peri_context_new(NULL), NULL};
    b.g = expr_graph_new(b.ctx);
    expr_graph *to = expr_graph_new(b.ctx);
    double f = 0, f_loop = 0;
    eval_program *p = compile(&b, term, t->n, scalars, to);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = t->x};
    double *const outputs[2] = {&f, t->g};
    for (int64_t k = 0; k < t->repeats; k++) {
        const double start = clock_seconds();
        f_loop = loop((size_t)t->n, t->x, t->g_loop);
        const double middle = clock_seconds();
        check(b.ctx, eval_run(p, inputs, outputs));
        t->seconds[k] = clock_seconds() - middle;
        t->seconds_loop[k] = middle - start;
    }
    const double s = median(t->repeats, t->seconds), s_loop = median(t->repeats, t->seconds_loop);
    printf("%-11s %-7s n = %lld: %9.3f us, loop %9.3f us, ratio %.3f (%s)\n", name, scalars ? "scalars" : "vector", (long long)t->n, 1e6 * s,
           1e6 * s_loop, s / s_loop, eval_simd_name(b.ctx));
    compare(t, f, f_loop);
    eval_free(p);
    expr_graph_free(to);
    expr_graph_free(b.g);
    peri_context_free(b.ctx);
}

static void family(bench *t, const char *name, term_fn term, loop_fn loop)
{
    measure(t, name, term, false, loop);
    measure(t, name, term, true, loop);
}

int main(int argc, char **argv)
{
    bench t = {.n = argc > 1 ? strtoll(argv[1], NULL, 10) : 1000000, .repeats = argc > 2 ? strtoll(argv[2], NULL, 10) : 51};
    t.x = calloc((size_t)t.n, sizeof *t.x);
    t.g = calloc((size_t)t.n, sizeof *t.g);
    t.g_loop = calloc((size_t)t.n, sizeof *t.g);
    t.seconds = calloc((size_t)t.repeats, sizeof *t.seconds);
    t.seconds_loop = calloc((size_t)t.repeats, sizeof *t.seconds_loop);
    if (t.n < 3 || t.repeats < 1 || t.x == NULL || t.g == NULL || t.g_loop == NULL || t.seconds == NULL || t.seconds_loop == NULL)
        return 2;
    for (int64_t k = 0; k < t.n; k++)
        t.x[k] = sin(0.7 * (double)k) + 0.3;
    family(&t, "rosenbrock", rosenbrock_term, loop_rosenbrock);
    family(&t, "waves", waves_term, loop_waves);
    free(t.x);
    free(t.g);
    free(t.g_loop);
    free(t.seconds);
    free(t.seconds_loop);
    return t.differences != 0;
}
