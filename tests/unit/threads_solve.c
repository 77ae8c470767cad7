/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads_solve - whole solves with several threads: the same iterates for any number of them, two solves in two threads at once, a solve that another
 * thread interrupts, and a context that goes while its threads are asleep. Also run under the thread sanitizer (make check-threads).
 */
#define _POSIX_C_SOURCE 200809L
#include "base/context.h"
#include "tap/tap.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N = 40000, ITERATIONS = 12 };

static void check(peri_status status)
{
    if (status == PERI_OK)
        return;
    diag("status %d", (int)status);
    exit(1);
}

static peri_expr op(peri_model *m, peri_op code, peri_expr a, peri_expr b)
{
    const peri_expr args[2] = {a, b};
    peri_expr e;
    check(peri_expr_op(m, code, b >= 0 ? 2 : 1, args, &e));
    return e;
}

static peri_expr number(peri_model *m, double v)
{
    peri_expr e;
    check(peri_expr_number(m, v, &e));
    return e;
}

/* sum of 100 (x[k + 1] - x[k]^2)^2 + (1 - x[k])^2 + exp(-x[k]^2 / 9) */
static peri_model *chain(peri_context *ctx, peri_expr *x)
{
    static const double start[] = {-0.7};
    peri_model *m = peri_model_new(ctx, "chain");
    peri_expr a, b;
    check(peri_model_var(m, "x", N, 1, x));
    check(peri_model_set_start(m, *x, 1, start));
    check(peri_expr_range(m, *x, N - 1, 1, 0, 1, &a));
    check(peri_expr_range(m, *x, N - 1, 1, 1, 1, &b));
    const peri_expr square = op(m, PERI_OP_SQUARE, a, -1);
    const peri_expr steep = op(m, PERI_OP_MUL, op(m, PERI_OP_SQUARE, op(m, PERI_OP_SUB, b, square), -1), number(m, 100));
    const peri_expr bump = op(m, PERI_OP_EXP, op(m, PERI_OP_MUL, square, number(m, -1.0 / 9)), -1);
    const peri_expr flat = op(m, PERI_OP_SQUARE, op(m, PERI_OP_SUB, number(m, 1), a), -1);
    check(peri_model_minimize(m, op(m, PERI_OP_SUM, op(m, PERI_OP_ADD, op(m, PERI_OP_ADD, steep, flat), bump), -1)));
    return m;
}

/* The point after some steps. threads: of the context; wanted: the option of the solve, or 0 */
static void solve(int32_t threads, double wanted, double *out)
{
    const peri_config config = {.threads = threads};
    peri_context *ctx = peri_context_new(&config);
    peri_expr x;
    peri_model *m = chain(ctx, &x);
    const peri_setting settings[] = {{"iterations", PERI_VALUE_NUMBER, ITERATIONS, NULL}, {"threads", PERI_VALUE_NUMBER, wanted, NULL}};
    const peri_solve_args args = {.plan = "lbfgs", .n_settings = 2, .settings = settings};
    peri_solution *s;
    const peri_status status = peri_model_solve(m, &args, &s);
    if (status != PERI_OK)
        diag("%s", peri_error(ctx));
    check(status);
    check(peri_solution_value(s, x, out));
    peri_solution_free(s);
    peri_model_free(m);
    peri_context_free(ctx);
}

typedef struct {
    const double *want;
    bool same;
} visitor;

static void *visit(void *ud)
{
    visitor *v = ud;
    double *x = calloc(N, sizeof *x);
    solve(2, 0, x);
    v->same = memcmp(x, v->want, N * sizeof *x) == 0;
    free(x);
    return NULL;
}

static void test_same(const double *want)
{
    static const struct {
        int32_t threads;
        double wanted;
    } ways[] = {{2, 0}, {3, 0}, {8, 0}, {8, 2}, {2, 1}, {2, 64}};
    double *x = calloc(N, sizeof *x);
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        solve(ways[k].threads, ways[k].wanted, x);
        ok(memcmp(x, want, N * sizeof *x) == 0, "%d threads, %g wanted: the same point to the last bit", (int)ways[k].threads, ways[k].wanted);
    }
    free(x);
}

static void test_side_by_side(const double *want)
{
    visitor v[2] = {{want, false}, {want, false}};
    pthread_t id[2];
    for (int k = 0; k < 2; k++)
        if (pthread_create(&id[k], NULL, visit, &v[k]) != 0)
            exit(1);
    for (int k = 0; k < 2; k++)
        pthread_join(id[k], NULL);
    ok(v[0].same && v[1].same, "two contexts in two threads at once: each has that point");
}

static void *interrupt(void *ud)
{
    const struct timespec moment = {0, 30000000};
    nanosleep(&moment, NULL);
    peri_interrupt(ud);
    return NULL;
}

static void test_interruption(void)
{
    const peri_config config = {.threads = 3};
    peri_context *ctx = peri_context_new(&config);
    peri_expr x;
    peri_model *m = chain(ctx, &x);
    const peri_setting settings[] = {{"tolerance", PERI_VALUE_NUMBER, 0, NULL}, {"iterations", PERI_VALUE_NUMBER, 1e9, NULL}};
    const peri_solve_args args = {.plan = "lbfgs", .n_settings = 2, .settings = settings};
    peri_solution *s;
    pthread_t id;
    if (pthread_create(&id, NULL, interrupt, ctx) != 0)
        exit(1);
    check(peri_model_solve(m, &args, &s));
    pthread_join(id, NULL);
    is_text(peri_outcome_name(peri_solution_outcome(s)), "interrupted", "another thread interrupts a solve");
    peri_solution_free(s);
    peri_clear_interrupt(ctx);
    const struct timespec moment = {0, 20000000};
    nanosleep(&moment, NULL); /* the pool sleeps now */
    peri_model_free(m);
    peri_context_free(ctx);
    ok(true, "and the context goes with its threads");
}

int main(void)
{
    double *want = calloc(N, sizeof *want);
    plan_later();
    solve(1, 0, want);
    ok(isfinite(want[0]) && fabs(want[0] + 0.7) > 1e-3, "a solve of %d variables by one thread", N);
    test_same(want);
    test_side_by_side(want);
    test_interruption();
    free(want);
    return tap_done();
}
