/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads [N [THREADS [REPEATS]]] - value and gradient of sums over a chain of N variables by one thread and by several, in turn; the copy bandwidth of
 * as many stands beside it, since what streams through memory cannot be faster than that. Prints the least times and their ratios. Exit status 1
 * when a bit differs.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/clock.h"
#include "base/pool.h"
#include "diff/diff.h"
#include "eval/program.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(peri_context *ctx, peri_status status)
{
    if (status == PERI_OK)
        return;
    fprintf(stderr, "threads: %s\n", peri_error(ctx));
    exit(2);
}

typedef struct {
    peri_context *ctx;
    expr_graph *g, *to;
    eval_program *p;
    double f, *gradient, least;
} side;

static expr_id one(side *s, peri_op op, expr_id a)
{
    expr_id e;
    check(s->ctx, expr_unary(s->g, op, a, &e));
    return e;
}

static expr_id two(side *s, peri_op op, expr_id a, expr_id b)
{
    expr_id e;
    check(s->ctx, expr_binary(s->g, op, a, b, &e));
    return e;
}

static expr_id number(side *s, double v)
{
    expr_id e;
    check(s->ctx, expr_number(s->g, v, &e));
    return e;
}

typedef expr_id (*term_fn)(side *s, expr_id x, expr_id next);

/* 100 (y - x^2)^2 + (1 - x)^2 */
static expr_id rosenbrock(side *s, expr_id x, expr_id next)
{
    const expr_id a = two(s, PERI_OP_SUB, next, one(s, PERI_OP_SQUARE, x));
    const expr_id steep = two(s, PERI_OP_MUL, number(s, 100), one(s, PERI_OP_SQUARE, a));
    return two(s, PERI_OP_ADD, steep, one(s, PERI_OP_SQUARE, two(s, PERI_OP_SUB, number(s, 1), x)));
}

/* exp(-x^2) sin(y) + cos(x y) */
static expr_id waves(side *s, expr_id x, expr_id next)
{
    const expr_id e = one(s, PERI_OP_EXP, one(s, PERI_OP_NEG, one(s, PERI_OP_SQUARE, x)));
    return two(s, PERI_OP_ADD, two(s, PERI_OP_MUL, e, one(s, PERI_OP_SIN, next)), one(s, PERI_OP_COS, two(s, PERI_OP_MUL, x, next)));
}

static void open_side(side *s, int32_t threads, term_fn term, int64_t n)
{
    const peri_config config = {.threads = threads};
    expr_id x, a, b, root, f, seed, whole, gradient;
    *s = (side){.ctx = peri_context_new(&config), .gradient = calloc((size_t)n, sizeof(double)), .least = INFINITY};
    s->g = expr_graph_new(s->ctx);
    s->to = expr_graph_new(s->ctx);
    check(s->ctx, expr_new_var(s->g, "x", n, 1, &x));
    check(s->ctx, expr_gather_affine(s->g, x, n - 1, 1, 0, 1, &a));
    check(s->ctx, expr_gather_affine(s->g, x, n - 1, 1, 1, 1, &b));
    root = one(s, PERI_OP_SUM, term(s, a, b));
    check(s->ctx, diff_roll(s->g, 1, &root, s->to, &f));
    check(s->ctx, expr_number(s->to, 1, &seed));
    check(s->ctx, expr_input(s->to, EXPR_IN_X, 0, n, 1, &whole));
    check(s->ctx, diff_adjoint(s->to, 1, &f, &seed, 1, &whole, &gradient));
    const eval_output outputs[2] = {{f, 0, 0}, {gradient, 1, 0}};
    check(s->ctx, eval_compile(s->to, 2, outputs, &s->p));
}

static void close_side(side *s)
{
    eval_free(s->p);
    expr_graph_free(s->to);
    expr_graph_free(s->g);
    peri_context_free(s->ctx);
    free(s->gradient);
}

static void run(side *s, const double *x)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    double *const outputs[2] = {&s->f, s->gradient};
    const double start = clock_seconds();
    check(s->ctx, eval_run(s->p, inputs, outputs));
    s->least = fmin(s->least, clock_seconds() - start);
}

static bool family(const char *name, term_fn term, int64_t n, int32_t threads, int64_t repeats, const double *x)
{
    side few, many;
    open_side(&few, 1, term, n);
    open_side(&many, threads, term, n);
    for (int64_t k = 0; k < repeats; k++) {
        run(&few, x);
        run(&many, x);
    }
    const bool same = few.f >= many.f && few.f <= many.f && memcmp(few.gradient, many.gradient, (size_t)n * sizeof *x) == 0;
    printf("%-26s n = %lld: 1 thread %9.1f us, %d threads %9.1f us, %.2f times as fast, %s\n", name, (long long)n, 1e6 * few.least, (int)threads,
           1e6 * many.least, few.least / many.least, same ? "the same bits" : "DIFFERENT BITS");
    close_side(&few);
    close_side(&many);
    return same;
}

enum { PIECES = 64 };

typedef struct {
    int64_t n;
    const double *from;
    double *to;
} copy;

static void copy_piece(void *ud, int32_t thread, int64_t k)
{
    const copy *c = ud;
    const int64_t begin = k * c->n / PIECES, end = (k + 1) * c->n / PIECES;
    (void)thread;
    memcpy(c->to + begin, c->from + begin, (size_t)(end - begin) * sizeof *c->to);
}

/* Bytes read and written a second, in arrays that no cache holds. */
static double bandwidth(thread_pool *pool, int32_t threads, copy *c)
{
    double least = INFINITY;
    for (int k = 0; k < 7; k++) {
        const double start = clock_seconds();
        pool_run(pool, threads, PIECES, copy_piece, c);
        least = fmin(least, clock_seconds() - start);
    }
    return 2.0 * (double)c->n * sizeof *c->to / least;
}

static void print_bandwidth(int32_t threads)
{
    mem m;
    mem_init(&m, NULL, NULL);
    thread_pool *pool = pool_new(&m, threads);
    const int64_t n = 1 << 24;
    double *from = malloc((size_t)n * sizeof *from), *to = malloc((size_t)n * sizeof *to);
    if (pool == NULL || from == NULL || to == NULL)
        exit(2);
    memset(from, 1, (size_t)n * sizeof *from);
    memset(to, 1, (size_t)n * sizeof *to);
    copy c = {n, from, to};
    pool_start(pool, threads);
    const double alone = bandwidth(pool, 1, &c), all = bandwidth(pool, threads, &c);
    printf("%-26s 1 thread %.1f GB/s, %d threads %.1f GB/s, %.2f times as fast\n", "copying, read and written", 1e-9 * alone, (int)threads, 1e-9 * all,
           all / alone);
    free(from);
    free(to);
    pool_free(pool);
}

int main(int argc, char **argv)
{
    const int64_t n = argc > 1 ? strtoll(argv[1], NULL, 10) : 1000000;
    const int64_t threads = argc > 2 ? strtoll(argv[2], NULL, 10) : pool_cores(), repeats = argc > 3 ? strtoll(argv[3], NULL, 10) : 41;
    double *x = calloc((size_t)(n > 0 ? n : 1), sizeof *x);
    if (n < 3 || threads < 1 || threads > POOL_MOST_THREADS || repeats < 1 || x == NULL)
        return 2;
    for (int64_t k = 0; k < n; k++)
        x[k] = sin(0.7 * (double)k) + 0.3;
    bool same = family("rosenbrock", rosenbrock, n, (int32_t)threads, repeats, x);
    same = family("exponentials and sines", waves, n, (int32_t)threads, repeats, x) && same;
    print_bandwidth((int32_t)threads);
    free(x);
    return same ? 0 : 1;
}
