/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve FILE.so NAME [SOLVES] - a model of ten variables solved again and again by peri_model_resolve, another parameter each time, warm from
 * the last solution, by the solver NAME of the plugin FILE. Prints, in medians over all solves after the first: seconds of a whole solve, and
 * how many of them are not the method's own; then requests of memory that reached the host after the first solve, and iterations a solve.
 *
 * The method's own is the time inside init, step and fini, but for what these ask of the engine for the run's sake (memory, the start point,
 * accepting points, limits); evaluations of functions and linear systems are the method's arithmetic. The plugin is opened once more for that,
 * as a copy of the file, with a table of the host in which those functions are timed.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/clock.h"
#include "plugin/registry.h"
#include "unit/text_model.h"
#include <dlfcn.h>
#include <perigee/plugin.h>

enum { N = 10 };

/* This program's one run. */
static struct {
    const peri_host *host;
    const peri_solver_ops *ops;
    double inside, engine; /* seconds of this solve: in the plugin, and of these for the engine */
    int64_t requests;
} now;

static void fail(const char *what)
{
    fprintf(stderr, "resolve: %s\n", what);
    exit(2);
}

/* ---- the engine's functions, timed ------------------------------------------------------------------------------------- */

#define TIMED(type, call)                                                                                                \
    const double began = clock_seconds();                                                                              \
    const type out = now.host->call;                                                                                   \
    now.engine += clock_seconds() - began;                                                                             \
    return out

static void *timed_alloc(peri_run *run, size_t count, size_t size)
{
    const double began = clock_seconds();
    void *out = now.host->alloc(run, count, size);
    now.engine += clock_seconds() - began;
    return out;
}

static peri_status timed_start(peri_run *run, double *x)
{
    TIMED(peri_status, start(run, x));
}

static bool timed_start_duals(peri_run *run, double *y, double *z)
{
    TIMED(bool, start_duals(run, y, z));
}

static bool timed_should_stop(peri_run *run)
{
    TIMED(bool, should_stop(run));
}

static peri_status timed_accept(peri_run *run, const double *x, const double *y, const double *z, const peri_row *row, peri_step *next)
{
    TIMED(peri_status, accept(run, x, y, z, row, next));
}

static peri_status timed_factor_open(peri_run *run, const char *solver, const peri_pattern *pattern, uint64_t needs, peri_factor **out)
{
    const double began = clock_seconds();
    const peri_status status = now.host->factor_open(run, solver, pattern, needs, out);
    now.engine += clock_seconds() - began;
    return status;
}

static const peri_host *timed_host(void)
{
    static peri_host host;
    host = *host_table();
    host.alloc = timed_alloc;
    host.start = timed_start;
    host.start_duals = timed_start_duals;
    host.should_stop = timed_should_stop;
    host.accept = timed_accept;
    host.factor_open = timed_factor_open;
    return &host;
}

/* ---- the plugin's, timed ---------------------------------------------------------------------------------------------------- */

static peri_status timed_init(void *self, peri_run *run, const void *options)
{
    const double began = clock_seconds();
    const peri_status status = now.ops->init(self, run, options);
    now.inside += clock_seconds() - began;
    return status;
}

static peri_status timed_step(void *self, peri_run *run, peri_step *next)
{
    const double began = clock_seconds();
    const peri_status status = now.ops->step(self, run, next);
    now.inside += clock_seconds() - began;
    return status;
}

static void timed_fini(void *self, peri_run *run)
{
    const double began = clock_seconds();
    if (now.ops->fini != NULL)
        now.ops->fini(self, run);
    now.inside += clock_seconds() - began;
}

static void register_timed(peri_context *ctx, const char *file, const char *name)
{
    static const peri_solver_ops ops = {.init = timed_init, .step = timed_step, .fini = timed_fini};
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    peri_entry_fn entry = NULL;
    if (library == NULL)
        fail(dlerror());
    *(void **)&entry = dlsym(library, "peri_plugins");
    now.host = host_table();
    for (const peri_plugin *const *p = entry != NULL ? entry(timed_host()) : NULL; p != NULL && *p != NULL; p++)
        if (strcmp((*p)->name, name) == 0) {
            peri_plugin timed = **p;
            now.ops = timed.ops;
            timed.name = "timed";
            timed.ops = &ops;
            if (peri_context_register(ctx, &timed, "resolve.c") != PERI_OK)
                fail(peri_error(ctx));
            return;
        }
    fail("the file has no such solver");
}

/* ---- the solves ------------------------------------------------------------------------------------------------------------------ */

static void *counting(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    (void)ud;
    (void)old_size;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    now.requests++;
    return realloc(ptr, new_size);
}

/* sum (x_i - p)^2 + 10 (x_{i+1} - x_i^2)^2 within bounds; for a method that takes constraints, with two of them */
static text_model make_model(peri_context *ctx, bool constrained)
{
    static const double start[N] = {0};
    char text[1000] = "0";
    for (int i = 1; i < N; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), " + (x%d - p)^2 + 10*(x%d - x%d^2)^2", i, i + 1, i);
    text_model t = text_new(ctx, N, start);
    text_param(&t, 1);
    text_bounds(&t, -2, 2);
    text_minimize(&t, text);
    if (constrained) {
        (void)text_constrain(&t, "sum", -INFINITY, "x1 + x2 + x3", 2.4);
        (void)text_constrain(&t, "tie", 0, "x4 - x9", 0.25);
    }
    return t;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

static void solve(text_model *t, int64_t k, peri_solution **s)
{
    const double p = 0.9 + 0.1 * sin(0.3 * (double)k);
    const peri_solve_args args = {.plan = "timed", .warm_start = *s};
    if (peri_model_set_param(t->m, t->p, 1, &p) != PERI_OK || peri_model_resolve(t->m, &args, s) != PERI_OK)
        fail(peri_error(t->ctx));
    if (peri_outcome_exit_status(peri_solution_outcome(*s)) != 0)
        fail(peri_solution_message(*s));
}

static void measure(text_model *t, int64_t solves)
{
    peri_solution *s = NULL;
    int64_t iterations = 0;
    double *whole = calloc((size_t)solves, sizeof *whole), *beyond = calloc((size_t)solves, sizeof *beyond);
    if (whole == NULL || beyond == NULL)
        fail("no memory");
    solve(t, -1, &s);
    const int64_t requests = now.requests;
    for (int64_t k = 0; k < solves; k++) {
        now.inside = now.engine = 0;
        const double began = clock_seconds();
        solve(t, k, &s);
        whole[k] = clock_seconds() - began;
        beyond[k] = whole[k] - (now.inside - now.engine);
        iterations += peri_solution_iterations(s);
    }
    printf("%.9f %.9f %lld %.1f\n", median(whole, solves), median(beyond, solves), (long long)(now.requests - requests),
           (double)iterations / (double)solves);
    free(whole);
    free(beyond);
    peri_solution_free(s);
}

int main(int argc, char **argv)
{
    const int64_t solves = argc > 3 ? strtoll(argv[3], NULL, 10) : 2000;
    if (argc < 3 || solves < 1)
        fail("usage: resolve FILE.so NAME [SOLVES]");
    const peri_config config = {.alloc = counting, .threads = 1};
    peri_context *ctx = peri_context_new(&config);
    if (ctx == NULL)
        fail("no memory");
    register_timed(ctx, argv[1], argv[2]);
    text_model t = make_model(ctx, strcmp(argv[2], "ipm") == 0);
    measure(&t, solves);
    peri_model_free(t.m);
    peri_context_free(ctx);
    return 0;
}
