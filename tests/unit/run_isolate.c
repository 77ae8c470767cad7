/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_isolate - solves in a child process: the same result as without where nothing goes wrong; where the plugin or a function of the user's crashes,
 * hangs, leaves or spoils the process, a result that says so, with the best point so far and its certificate; and afterwards no process, file or
 * memory is left, and the next solve works.
 */
#define _GNU_SOURCE
#include "plugin_folder.h"
#include "tap/crash.h"
#include "tap/tap.h"
#include "unit/text_model.h"

#include <dirent.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n;
}

static bool has_child(void)
{
    return waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD;
}

/* ---- one problem, solved in many ways ------------------------------------------------------------------------------------------- */

typedef struct {
    folder f;
    char log[8192];
    peri_context *ctx;
    text_model t;
    peri_constraint budget;
} world;

/* From (8, 4), a half of it in each step; feasible after the fourth. */
static void open_world(world *w)
{
    const double start[2] = {8, 4};
    w->f = folder_new();
    folder_link(&w->f, "dies.so", built("tests/bad/dies.so"));
    w->ctx = context_for(w->f.path, w->log, sizeof w->log);
    w->t = text_new(w->ctx, 2, start);
    text_minimize(&w->t, "(x1-0.25)^2 + (x2-1)^2");
    text_constrain(&w->t, "budget", -INFINITY, "x1 + x2", 1);
}

static void close_world(world *w)
{
    peri_model_free(w->t.m);
    peri_context_free(w->ctx);
    folder_remove(&w->f);
}

typedef struct {
    const char *how;
    int64_t at;
    bool in_process;
    double time_limit, grace;
    peri_event_fn event;
    void *event_ud;
} order;

static peri_status solve(world *w, const order *o, peri_solution **s)
{
    const peri_setting settings[] = {
        {.key = "how", .type = PERI_VALUE_TEXT, .text = o->how},
        {.key = "at", .type = PERI_VALUE_NUMBER, .number = o->at > 0 ? (double)o->at : 5},
        {.key = "isolate", .type = PERI_VALUE_BOOL, .number = !o->in_process},
        {.key = "grace", .type = PERI_VALUE_NUMBER, .number = o->grace > 0 ? o->grace : 1},
        {.key = "time_limit", .type = PERI_VALUE_NUMBER, .number = o->time_limit > 0 ? o->time_limit : INFINITY},
    };
    const peri_solve_args args = {
        .plan = "dies", .n_settings = 5, .settings = settings, .event = o->event, .event_ud = o->event_ud};
    *s = NULL;
    return peri_model_solve(w->t.m, &args, s);
}

static peri_solution *solved(world *w, const order *o)
{
    peri_solution *s;
    if (!is_int(solve(w, o, &s), PERI_OK, "%s: the solve ends in a result", o->how))
        diag("%s", peri_error(w->ctx));
    return s;
}

/* ---- nothing goes wrong ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    int64_t rows, stop_at;
    double last;
} seen;

static int on_event(void *ud, const peri_event *e)
{
    seen *s = ud;
    s->rows++;
    s->last = e->objective;
    return e->iteration == s->stop_at;
}

static void same(const peri_solution *a, const peri_solution *b, const char *what)
{
    if (a == NULL || b == NULL)
        return;
    double xa[2], xb[2], ya, yb;
    is_int(peri_solution_outcome(a), peri_solution_outcome(b), "%s: the status", what);
    is_text(peri_solution_message(a), peri_solution_message(b), "%s: the message", what);
    ok(peri_solution_objective(a) == peri_solution_objective(b), "%s: the objective", what);
    is_int(peri_solution_iterations(a), peri_solution_iterations(b), "%s: the iterations", what);
    is_int(peri_solution_history_rows(a), peri_solution_history_rows(b), "%s: the rows of the history", what);
    is_int(peri_solution_evaluations(a).objective, peri_solution_evaluations(b).objective, "%s: the evaluations", what);
    const peri_certificate ca = peri_solution_certificate(a), cb = peri_solution_certificate(b);
    ok(ca.primal == cb.primal && ca.dual == cb.dual && ca.complementarity == cb.complementarity, "%s: the certificate", what);
    peri_model *m = peri_solution_model(a);
    const peri_expr x = m->vars.at[0].node;
    bool values = peri_solution_value((peri_solution *)(uintptr_t)a, x, xa) == PERI_OK &&
                  peri_solution_value((peri_solution *)(uintptr_t)b, x, xb) == PERI_OK;
    ok(values && xa[0] == xb[0] && xa[1] == xb[1], "%s: the point", what);
    values = peri_solution_dual((peri_solution *)(uintptr_t)a, 0, &ya) == PERI_OK &&
             peri_solution_dual((peri_solution *)(uintptr_t)b, 0, &yb) == PERI_OK;
    ok(values && ya == yb, "%s: the multiplier", what);
}

static void test_same(void)
{
    world w;
    open_world(&w);
    for (int64_t stop_at = 0; stop_at <= 7; stop_at += 7) {
        seen here = {.stop_at = stop_at}, there = {.stop_at = stop_at};
        const order in = {.how = "not", .in_process = true, .event = on_event, .event_ud = &here};
        const order out = {.how = "not", .event = on_event, .event_ud = &there};
        peri_solution *a = solved(&w, &in), *b = solved(&w, &out);
        same(a, b, stop_at == 0 ? "to its end" : "stopped by the event function");
        is_int(there.rows, here.rows, "the event function is called in this process");
        ok(there.last == here.last, "with the same rows");
        if (b != NULL && stop_at == 7)
            is_int(peri_solution_iterations(b), 7, "it stops at once");
        peri_solution_free(a);
        peri_solution_free(b);
    }
    close_world(&w);
}

/* ---- rows 13 to 18 of the table of faults ---------------------------------------------------------------------------------------------- */

typedef struct {
    const char *how, *message; /* part of it */
    peri_outcome outcome;
    int64_t halvings; /* of the point that is handed back; after the fourth they are worse */
    int64_t rows;
} death;

static const death deaths[] = {
    {"crash", "plugin dies crashed (SIGSEGV) in step 5", PERI_ERROR, 4, 4},
    {"init", "plugin dies crashed (SIGSEGV) at its start", PERI_ERROR, 0, 0},
    {"abort", "plugin dies crashed (SIGABRT) in step 5", PERI_ERROR, 4, 4},
    {"exit", "plugin dies ended its process (exit status 0) in step 5", PERI_ERROR, 4, 4},
    {"kill", "plugin dies was killed (SIGKILL, as the system does when memory is out) in step 5", PERI_ERROR, 4, 4},
    {"past", "plugin dies wrote past the end of an array of peri_alloc (16 bytes, or 2 numbers) in step 5", PERI_ERROR, 4, 5},
    {"before", "plugin dies wrote before the beginning of an array of peri_alloc (16 bytes, or 2 numbers) in step 5", PERI_ERROR, 4, 5},
    {"state", "plugin dies wrote past the end of its state in step 5", PERI_ERROR, 4, 5},
    {"bounds", "plugin dies wrote into the lower bounds of the variables in step 5", PERI_ERROR, 4, 5},
};

static void point_is(world *w, peri_solution *s, const char *how, int64_t halvings)
{
    double x[2] = {NAN, NAN};
    const double f = ldexp(1, -(int)halvings), want[2] = {8 * f, 4 * f};
    is_int(peri_solution_value(s, w->t.x, x), PERI_OK, "%s: the best point", how);
    all_close(2, x, want, 0, 0, "%s: is the one before", how);
    is_close(peri_solution_certificate(s).primal, fmax(0, 12 * f - 1), 1e-15, 0, "%s: its certificate is that of the model", how);
    is_close(peri_solution_objective(s), (8 * f - 0.25) * (8 * f - 0.25) + (4 * f - 1) * (4 * f - 1), 1e-14, 0, "%s: its objective", how);
}

static void test_death(const death *d)
{
    world w;
    open_world(&w);
    const order o = {.how = d->how}, good = {.how = "not"};
    peri_solution_free(solved(&w, &good)); /* all that is made once is made */
    size_t before, after;
    const int files = open_files();
    peri_memory(w.ctx, &before, NULL, NULL);
    w.log[0] = '\0';
    peri_solution *s = solved(&w, &o);
    if (s != NULL) {
        is_text(peri_outcome_name(peri_solution_outcome(s)), peri_outcome_name(d->outcome), "%s: the status", d->how);
        has_text(peri_solution_message(s), d->message, "%s: the message", d->how);
        is_int(peri_outcome_exit_status(peri_solution_outcome(s)), 1, "%s: the exit status", d->how);
        point_is(&w, s, d->how, d->halvings);
        is_int(peri_solution_history_rows(s), d->rows, "%s: the history", d->how);
    }
    peri_solution_free(s);
    peri_memory(w.ctx, &after, NULL, NULL);
    is_int((int64_t)after, (int64_t)before, "%s: no memory is left", d->how);
    is_int(open_files(), files, "%s: no file", d->how);
    ok(!has_child(), "%s: no process", d->how);
    s = solved(&w, &good);
    is_int(s != NULL ? peri_solution_iterations(s) : -1, 40, "%s: the next solve works", d->how);
    peri_solution_free(s);
    close_world(&w);
}

/* Hangs, with and without a sign of life: killed after the limit and the grace. */
static void test_hang(const char *how, double longest)
{
    world w;
    open_world(&w);
    const order o = {.how = how, .time_limit = 0.15, .grace = 0.1};
    const double began = now();
    peri_solution *s = solved(&w, &o);
    const double took = now() - began;
    ok(took > 0.15 && took < longest, "%s: ended after %.2f s", how, took);
    if (s != NULL) {
        is_text(peri_outcome_name(peri_solution_outcome(s)), "time_limit", "%s: the status", how);
        has_text(peri_solution_message(s), "plugin dies did not stop at the time limit and was killed in step 5", "%s: the message", how);
        point_is(&w, s, how, 4);
    }
    peri_solution_free(s);
    ok(!has_child(), "%s: no process is left", how);
    close_world(&w);
}

static peri_context *interrupted;

static void on_alarm(int number)
{
    (void)number;
    peri_interrupt(interrupted);
}

static void test_interrupted(void)
{
    world w;
    open_world(&w);
    const struct itimerval soon = {.it_value = {0, 100000}};
    const order o = {.how = "hang", .grace = 0.1};
    interrupted = w.ctx;
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &soon, NULL);
    const double began = now();
    peri_solution *s = solved(&w, &o);
    ok(now() - began < 2, "an interruption reaches a plugin that hangs");
    if (s != NULL) {
        is_text(peri_outcome_name(peri_solution_outcome(s)), "interrupted", "the status");
        has_text(peri_solution_message(s), "plugin dies did not stop when interrupted and was killed in step 5", "the message");
        point_is(&w, s, "hang", 4);
    }
    peri_solution_free(s);
    peri_clear_interrupt(w.ctx);
    close_world(&w);
}

static void test_memory(void)
{
    world w;
    open_world(&w);
    w.ctx->mem.limit = (size_t)256 << 20;
    const order o = {.how = "memory"};
    peri_solution *s = solved(&w, &o);
    if (s != NULL) {
        is_text(peri_outcome_name(peri_solution_outcome(s)), "error", "memory: the status");
        has_text(peri_solution_message(s), "plugin dies ", "memory: the message names it (%s)", peri_solution_message(s));
        has_text(peri_solution_message(s), "in step 5", "memory: and the step");
        point_is(&w, s, "memory", 4);
    }
    peri_solution_free(s);
    close_world(&w);
}

/* Rounding, locale, signal mask and buffering: put back and told, in the child too. */
static void test_change(void)
{
    world w;
    open_world(&w);
    const order o = {.how = "change"};
    peri_solution *s = solved(&w, &o);
    has_text(w.log, "dies: changed the floating-point modes, the locale, the signal mask and the buffering of standard output; restored",
             "what a step changes in its process is told");
    is_int(s != NULL ? peri_solution_iterations(s) : -1, 40, "and the solve goes on");
    peri_solution_free(s);
    const order here = {.how = "locale", .in_process = true};
    w.log[0] = '\0';
    setlocale(LC_ALL, "C");
    s = solved(&w, &here);
    is_text(setlocale(LC_ALL, NULL), "C", "without a child a step's locale does not outlive it");
    has_text(w.log, "dies: changed the locale; restored", "in any build, which is told");
    peri_solution_free(s);
    close_world(&w);
}

/* ---- functions of the user's ------------------------------------------------------------------------------------------------------------- */

/* (x1 + x2)^2; crashes where x1 is below a number, fails below another */
static int fragile(void *ud, int64_t n, const double *x, double *f)
{
    const double *below = ud;
    (void)n;
    if (x[0] < below[0])
        crash();
    *f = (x[0] + x[1]) * (x[0] + x[1]);
    return x[0] < below[1] ? -1 : 0;
}

static void test_function(double crash_below, double fail_below, const char *message, int64_t halvings)
{
    world w;
    open_world(&w);
    double below[2] = {crash_below, fail_below};
    const peri_function fn = {.name = "fragile", .ud = below, .value = fragile};
    const order o = {.how = "not"};
    peri_expr e;
    peri_solution *s = NULL;
    is_int(peri_expr_call(w.t.m, &fn, w.t.x, &e), PERI_OK, "a function of the user's");
    is_int(peri_model_minimize(w.t.m, e), PERI_OK, "as the objective");
    const peri_status status = solve(&w, &o, &s);
    if (fail_below > -INFINITY) {
        is_int(status, PERI_E_CALLBACK, "its failure is an error as without a child");
        is_text(peri_error(w.ctx), message, "with the same words");
    } else if (s != NULL) {
        double x[2];
        is_text(peri_outcome_name(peri_solution_outcome(s)), "error", "its crash ends the solve");
        has_text(peri_solution_message(s), message, "and is told as its own (%s)", peri_solution_message(s));
        is_int(peri_solution_value(s, w.t.x, x), PERI_OK, "the point");
        is_close(x[0], ldexp(8, -(int)halvings), 0, 0, "is the best so far");
        is_close(peri_solution_certificate(s).primal, crash_below > 8 ? INFINITY : 0.5, 1e-15, 0, "the certificate, where it can be computed");
        is_close(peri_solution_objective(s), crash_below > 8 ? NAN : 2.25, 1e-15, 0, "and the objective");
    }
    ok(!has_child(), "no process is left");
    peri_solution_free(s);
    close_world(&w);
}

/* ---- plugins that die while they are loaded -------------------------------------------------------------------------------------- */

static void test_fall(const char *how, const char *message, bool last)
{
    char log[4096] = "", command[900];
    const double start[2] = {8, 4};
    const folder f = folder_new();
    folder_link(&f, "falls.so", built("tests/bad/falls.so"));
    folder_link(&f, "dies.so", built("tests/bad/dies.so"));
    snprintf(command, sizeof command, "'%s' index '%s'", built("perigee"), f.path); /* what is loaded here once stays */
    unsetenv("PERIGEE_TEST_FALL");
    is_int(system(command), 0, "%s: an index", how);
    setenv("PERIGEE_TEST_FALL", how, 1);
    peri_context *ctx = context_for(f.path, log, sizeof log);
    text_model t = text_new(ctx, 2, start);
    text_minimize(&t, "(x1-0.25)^2 + (x2-1)^2");
    const peri_setting settings[] = {{.key = "isolate", .type = PERI_VALUE_BOOL, .number = 1}};
    const peri_solve_args falls = {.plan = "falls", .n_settings = 1, .settings = settings};
    const peri_solve_args dies = {.plan = "dies", .n_settings = 1, .settings = settings};
    const int files = open_files();
    peri_solution *s = NULL;
    is_int(peri_model_solve(t.m, &falls, &s), PERI_E_PLUGIN, "%s while it is loaded: an error", how);
    has_text(peri_error(ctx), message, "%s: says what happened", how);
    ok(!has_child() && open_files() == files, "%s: no process and no file is left", how);
    is_int(peri_model_solve(t.m, &dies, &s), PERI_OK, "%s: the next solve works", how);
    peri_solution_free(s);
    unsetenv("PERIGEE_TEST_FALL");
    if (last)
        is_int(peri_model_solve(t.m, &falls, &s), PERI_OK, "%s: it too, when its fault is gone", how);
    if (last)
        peri_solution_free(s);
    peri_model_free(t.m);
    peri_context_free(ctx);
    folder_remove(&f);
}

int main(void)
{
    plan_later();
    test_fall("crash", "falls.so: crashed (SIGSEGV) while it was loaded", false);
    test_fall("exit", "falls.so: ended its process while it was loaded", false);
    test_fall("entry", "falls.so: crashed (SIGABRT) while it was loaded", true);
    test_same();
    for (size_t k = 0; k < sizeof deaths / sizeof deaths[0]; k++)
        test_death(&deaths[k]);
    test_hang("hang", 1);
    test_hang("deaf", 3);
    test_interrupted();
    test_memory();
    test_change();
    test_function(0.9, -INFINITY, "function \"fragile\" crashed (SIGSEGV) in step 4 of dies", 3);
    test_function(9, -INFINITY, "function \"fragile\" crashed (SIGSEGV) in step 1 of dies", 0);
    test_function(-INFINITY, 0.9, "function \"fragile\" failed", 3);
    return tap_done();
}
