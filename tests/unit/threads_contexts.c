/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads_contexts - a context a thread, at once: each loads its plugins, builds another model and solves it, by all linear solvers in turn, so that
 * several threads are inside OpenBLAS, CHOLMOD, MUMPS and the others at the same time. Each must get what it gets alone. Also run under the
 * thread sanitizer (make check-threads).
 */
#define _POSIX_C_SOURCE 200809L
#include "tap/tap.h"
#include <math.h>
#include <perigee/perigee.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 6, LARGEST = 120 };

static const char *const SOLVERS[] = {"lapack", "cholmod", "mumps", ""};
enum { N_SOLVERS = sizeof SOLVERS / sizeof SOLVERS[0] };

typedef struct {
    int number;
    int64_t n;
    double x[N_SOLVERS][LARGEST];
    peri_outcome outcome[N_SOLVERS];
    peri_status status;
    char error[256];
} job;

static peri_expr op(peri_model *m, peri_op code, peri_expr a, peri_expr b)
{
    peri_expr e = PERI_NO_EXPR;
    if (peri_expr_op(m, code, b >= 0 ? 2 : 1, (peri_expr[]){a, b}, &e) != PERI_OK)
        exit(2);
    return e;
}

static peri_expr number(peri_model *m, double v)
{
    peri_expr e = PERI_NO_EXPR;
    if (peri_expr_number(m, v, &e) != PERI_OK)
        exit(2);
    return e;
}

/* sum of (x_k - c)^2 + exp(x_k x_{k+1} / 8), neighbours' differences at most 1 / 2, x_1 + x_n = 3: sizes and constants by thread */
static peri_model *build(peri_context *ctx, const job *j, peri_expr *x)
{
    peri_model *m = peri_model_new(ctx, "chain");
    peri_expr a, b, first, last;
    peri_constraint handle;
    const double lower = -0.5, upper = 0.5, three = 3;
    if (m == NULL || peri_model_var(m, "x", j->n, 1, x) != PERI_OK || peri_expr_range(m, *x, j->n - 1, 1, 0, 1, &a) != PERI_OK ||
        peri_expr_range(m, *x, j->n - 1, 1, 1, 1, &b) != PERI_OK || peri_expr_range(m, *x, 1, 1, 0, 1, &first) != PERI_OK ||
        peri_expr_range(m, *x, 1, 1, j->n - 1, 1, &last) != PERI_OK)
        exit(2);
    const peri_expr near = op(m, PERI_OP_SQUARE, op(m, PERI_OP_SUB, *x, number(m, 0.3 + 0.1 * j->number)), -1);
    const peri_expr bend = op(m, PERI_OP_EXP, op(m, PERI_OP_DIV, op(m, PERI_OP_MUL, a, b), number(m, 8)), -1);
    if (peri_model_minimize(m, op(m, PERI_OP_ADD, op(m, PERI_OP_SUM, near, -1), op(m, PERI_OP_SUM, bend, -1))) != PERI_OK ||
        peri_model_constrain(m, "steps", op(m, PERI_OP_SUB, b, a), 1, &lower, &upper, &handle) != PERI_OK ||
        peri_model_constrain(m, "ends", op(m, PERI_OP_ADD, first, last), 1, &three, &three, &handle) != PERI_OK)
        exit(2);
    return m;
}

static void *work(void *ud)
{
    job *j = ud;
    const peri_config config = {.threads = 1};
    peri_context *ctx = peri_context_new(&config);
    peri_expr x;
    peri_model *m = build(ctx, j, &x);
    peri_solution *s = NULL;
    for (int k = 0; k < N_SOLVERS && j->status == PERI_OK; k++) {
        const int solver = (k + j->number) % N_SOLVERS; /* each thread another one first */
        const peri_setting setting = {"linear_solver", PERI_VALUE_TEXT, 0, SOLVERS[solver]};
        const peri_solve_args args = {.plan = "ipm", .n_settings = 1, .settings = &setting};
        j->status = peri_model_resolve(m, &args, &s);
        if (j->status == PERI_OK)
            j->status = peri_solution_value(s, x, j->x[solver]);
        if (j->status == PERI_OK)
            j->outcome[solver] = peri_solution_outcome(s);
        else
            strncpy(j->error, peri_error(ctx), sizeof j->error - 1);
    }
    peri_solution_free(s);
    peri_model_free(m);
    peri_context_free(ctx);
    return NULL;
}

static job *make_jobs(void)
{
    job *jobs = calloc(THREADS, sizeof *jobs);
    for (int k = 0; jobs != NULL && k < THREADS; k++) {
        jobs[k].number = k;
        jobs[k].n = 60 + 11 * k;
    }
    return jobs;
}

int main(void)
{
    plan_later();
    job *alone = make_jobs(), *together = make_jobs();
    pthread_t thread[THREADS];
    if (alone == NULL || together == NULL)
        return 1;
    for (int k = 0; k < THREADS; k++)
        ok(pthread_create(&thread[k], NULL, work, &together[k]) == 0, "thread %d", k + 1);
    for (int k = 0; k < THREADS; k++)
        pthread_join(thread[k], NULL);
    for (int k = 0; k < THREADS; k++) {
        work(&alone[k]);
        if (!ok(together[k].status == PERI_OK && alone[k].status == PERI_OK, "model %d is solved by all linear solvers", k + 1))
            diag("%s; %s", together[k].error, alone[k].error);
        for (int i = 0; i < N_SOLVERS && alone[k].status == PERI_OK; i++) {
            is_int(together[k].outcome[i], PERI_LOCALLY_OPTIMAL, "model %d with \"%s\"", k + 1, SOLVERS[i]);
            all_close(alone[k].n, together[k].x[i], alone[k].x[i], 0, 1e-9, "to the point that it has alone");
        }
    }
    free(alone);
    free(together);
    return tap_done();
}
