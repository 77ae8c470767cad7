/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - what a running solve shows on standard error: on a terminal one line that overwrites itself, at most ten times a second,
 * and is gone at the end; what takes a second without an iteration, building and compiling too, is told by a thread; with --verbose a
 * table with a row for each iteration; in a pipe nothing, and no thread. Invariant: between two solves no progress line of one stands on
 * the terminal, and two threads never write to it at once.
 */
#define _GNU_SOURCE
#include "cli.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_EVERY = 20, LINE_MAX_WIDTH = 160 };
static const double SHOW_EVERY = 0.1, SILENCE = 1; /* seconds */
static const int64_t MANY = 50000;                 /* expressions: a script that builds fewer is doing something else */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the line ------------------------------------------------------------------------------------------------------------ */

static int terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2)
        return 80;
    return size.ws_col < LINE_MAX_WIDTH ? size.ws_col : LINE_MAX_WIDTH;
}

static void erase(cli_watch *w)
{
    if (!w->line_shown)
        return;
    fprintf(stderr, "\r%*s\r", w->width - 1, "");
    w->line_shown = false;
}

/* A line in parts: where it is too long for the terminal, the parts with the highest rank are left out. */
enum { PARTS = 10 };
typedef struct {
    char text[PARTS][64];
    int rank[PARTS], n;
} line_parts;

static void add_part(line_parts *l, int rank, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add_part(line_parts *l, int rank, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(l->text[l->n], sizeof l->text[0], format, args);
    va_end(args);
    l->rank[l->n++] = rank;
}

static int length_of(const line_parts *l)
{
    int length = -2;
    for (int k = 0; k < l->n; k++)
        length += l->rank[k] >= 0 ? (int)strlen(l->text[k]) + 2 : 0;
    return length;
}

static void fit(line_parts *l, int width)
{
    while (length_of(l) > width) {
        int worst = 0;
        for (int k = 1; k < l->n; k++)
            worst = l->rank[k] > l->rank[worst] ? k : worst;
        if (l->rank[worst] <= 0)
            return; /* what is left is cut off */
        l->rank[worst] = -1;
    }
}

static void put_line(cli_watch *w, line_parts *l)
{
    char text[PARTS * 66] = "";
    erase(w);
    w->last_shown = now();
    w->width = terminal_width();
    fit(l, w->width - 1);
    for (int k = 0; k < l->n; k++) {
        const size_t at = strlen(text);
        if (l->rank[k] >= 0)
            snprintf(text + at, sizeof text - at, "%s%s", at > 0 ? "  " : "", l->text[k]);
    }
    fprintf(stderr, "%s%.*s%s", w->colour ? "\033[2m" : "", w->width - 1, text, w->colour ? "\033[0m" : "");
    w->line_shown = true;
}

/* The factor by which the largest residual has changed in each of the last iterations; NaN while there are too few. */
static double rate(const cli_watch *w)
{
    enum { N = (int)(sizeof w->residual / sizeof w->residual[0]) };
    const int64_t steps = w->events - 1 < N - 1 ? w->events - 1 : N - 1;
    if (steps < 3)
        return NAN;
    const double last = w->residual[(w->events - 1) % N], first = w->residual[(w->events - 1 - steps) % N];
    return pow(last / first, 1.0 / (double)steps);
}

/* The last event, its seconds as they are now. */
static void show_event(cli_watch *w)
{
    const peri_event *e = &w->event;
    line_parts l = {.n = 0};
    const double r = rate(w);
    add_part(&l, 3, "%.40s: iteration %lld", w->problem, (long long)e->iteration);
    add_part(&l, 0, "objective %.7g", e->objective);
    if (e->restoration)
        add_part(&l, 2, "restoration");
    if (w->inner != NULL && isfinite(w->inner_objective))
        add_part(&l, 2, "%.20s: %lld, %.5g", w->inner, (long long)w->inner_iteration, w->inner_objective);
    if (!isnan(e->primal))
        add_part(&l, 4, "feas %.1e", e->primal);
    if (!isnan(e->dual))
        add_part(&l, 5, "opt %.1e", e->dual);
    if (isfinite(r) && r > 0)
        add_part(&l, 6, "rate %.2g", r);
    add_part(&l, 1, "%.1fs", e->seconds + (now() - w->event_at));
    put_line(w, &l);
}

static void show_phase(cli_watch *w, double t)
{
    line_parts l = {.n = 0};
    if (w->problem != NULL)
        add_part(&l, 1, "%.40s:", w->problem);
    add_part(&l, 0, "%s", w->phase);
    if (w->problem == NULL)
        add_part(&l, 2, "%lld expressions", (long long)w->expressions);
    if (w->problem != NULL && w->inner != NULL)
        add_part(&l, 2, "%.20s: iteration %lld", w->inner, (long long)w->inner_iteration);
    add_part(&l, 1, "%.1fs", t - w->phase_since);
    put_line(w, &l);
}

/* ---- the thread ---------------------------------------------------------------------------------------------------------------- */

static void tick(cli_watch *w)
{
    const double t = now();
    if (t - w->last_shown < (w->line_shown ? 0.5 : SILENCE))
        return;
    if (w->problem != NULL && w->any_event)
        show_event(w);
    else if (w->phase != NULL && t - w->phase_since > SILENCE && (w->problem != NULL || w->expressions >= MANY))
        show_phase(w, t);
}

static void *run_ticker(void *ud)
{
    cli_watch *w = ud;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 200000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
        if (!w->stop)
            tick(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals go to the thread that solves. Without a thread there is a line at each iteration, and that is all. */
static void start_ticker(cli_watch *w)
{
    sigset_t all, before;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->owner = getpid();
    w->ticking = pthread_create(&w->ticker, NULL, run_ticker, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* In a child process, as an isolated solve has one, there is no thread, and its lock may have been held. */
static bool is_shared(const cli_watch *w)
{
    return w->ticking && w->owner == getpid();
}

static void enter(cli_watch *w)
{
    if (is_shared(w))
        pthread_mutex_lock(&w->lock);
}

static void leave(cli_watch *w)
{
    if (is_shared(w))
        pthread_mutex_unlock(&w->lock);
}

void watch_open(cli *c)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    cli_watch *w = &c->watch;
    w->table = c->args.verbose;
    w->progress = !c->args.quiet && !w->table && isatty(STDERR_FILENO);
    w->colour = w->progress && (plain == NULL || plain[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
    w->last_shown = now();
    if (w->progress)
        start_ticker(w);
}

void watch_clear(cli *c)
{
    cli_watch *w = &c->watch;
    enter(w);
    erase(w);
    if (w->problem == NULL)
        w->phase = NULL; /* the script has moved on */
    leave(w);
}

void watch_close(cli *c)
{
    cli_watch *w = &c->watch;
    if (is_shared(w)) {
        enter(w);
        w->stop = true;
        pthread_cond_signal(&w->wake);
        leave(w);
        pthread_join(w->ticker, NULL);
        w->ticking = false;
    }
    erase(w);
}

void watch_progress(void *ud, const peri_progress *p)
{
    cli_watch *w = &((cli *)ud)->watch;
    enter(w);
    const bool building = strcmp(p->phase, "building") == 0;
    if (p->depth > 0) {
        w->inner = p->solver;
        w->inner_iteration = p->count;
        w->inner_objective = p->objective;
    } else if (!building || w->problem == NULL) { /* while solving, graphs grow in every phase */
        if (w->phase == NULL || strcmp(w->phase, p->phase) != 0)
            w->phase_since = now();
        w->phase = p->phase;
        w->expressions = p->count;
    }
    if (p->depth > 0 && w->any_event && now() - w->last_shown >= SHOW_EVERY)
        show_event(w);
    leave(w);
}

/* ---- the table -------------------------------------------------------------------------------------------------------------- */

static const char *small(double x, char out[16])
{
    if (isnan(x))
        return "-";
    snprintf(out, 16, "%.1e", x);
    return out;
}

static void show_header(void)
{
    fprintf(stderr, " iter     objective         feas     opt      compl    step     time\n");
}

/* * a new best point; then the method's own letter, which its page explains */
static void show_row(const peri_event *e)
{
    char a[16], b[16], d[16], s[16];
    fprintf(stderr, "%5lld %c%c %15.8e  %-8s %-8s %-8s %-8s %.1fs", (long long)e->iteration, e->best ? '*' : ' ',
            e->tag != 0 ? e->tag : ' ', e->objective, small(e->primal, a), small(e->dual, b),
            small(e->complementarity, d), small(e->step, s), e->seconds);
    if (e->inner_iterations > 0)
        fprintf(stderr, "  %lld inside", (long long)e->inner_iterations);
    if (e->restoration)
        fputs("  restoration", stderr);
    fputc('\n', stderr);
}

static void show_end(cli *c, peri_solution *s)
{
    if (s == NULL) {
        fprintf(stderr, " error  %s\n", peri_error(c->ctx));
        return;
    }
    const char *message = peri_solution_message(s);
    fprintf(stderr, " %s  f = %.9g  kkt = %.1e  %lld iterations  %lld evaluations  %.3f s   %s\n",
            peri_outcome_name(peri_solution_outcome(s)), peri_solution_objective(s), peri_solution_certificate(s).kkt,
            (long long)peri_solution_iterations(s), (long long)peri_solution_evaluations(s).objective,
            peri_solution_times(s).total, peri_solution_solver(s));
    if (message[0] != '\0')
        fprintf(stderr, " %s\n", message);
}

/* ---- the calls ----------------------------------------------------------------------------------------------------------------- */

void watch_begin(void *ud, peri_model *m)
{
    cli *c = ud;
    cli_watch *w = &c->watch;
    signals_solving(true);
    enter(w);
    erase(w);
    w->problem = peri_model_name(m);
    w->phase = "preparing";
    w->inner = NULL;
    w->any_event = false;
    w->events = 0;
    w->rows = 0;
    w->last_shown = w->phase_since = now(); /* a short solve shows nothing */
    leave(w);
    if (w->table)
        fprintf(stderr, "%s\n", w->problem);
    log_start(c, m);
}

static double worse(double a, double b)
{
    return isnan(a) || b > a ? b : a;
}

static void keep_event(cli_watch *w, const peri_event *e)
{
    const size_t size = sizeof w->residual / sizeof w->residual[0];
    w->event = *e;
    w->event_at = now();
    w->any_event = true;
    w->inner = NULL;
    w->residual[(size_t)w->events++ % size] = worse(worse(e->primal, e->dual), e->complementarity);
}

int watch_event(void *ud, const peri_event *e)
{
    cli *c = ud;
    cli_watch *w = &c->watch;
    log_iteration(c, e);
    enter(w);
    keep_event(w, e);
    if (w->table) {
        if (w->rows++ % HEADER_EVERY == 0)
            show_header();
        show_row(e);
    } else if (signals_row_wanted()) {
        erase(w);
        show_header();
        show_row(e);
    } else if (w->progress && w->event_at - w->last_shown >= SHOW_EVERY) {
        show_event(w);
    }
    leave(w);
    return 0;
}

void watch_end(void *ud, peri_solution *s)
{
    cli *c = ud;
    cli_watch *w = &c->watch;
    c->status = s != NULL ? peri_outcome_exit_status(peri_solution_outcome(s)) : EXIT_ERROR;
    enter(w);
    erase(w);
    w->problem = w->phase = NULL;
    w->any_event = false;
    leave(w);
    if (w->table)
        show_end(c, s);
    log_end(c, s);
    if (s != NULL && peri_solution_outcome(s) == PERI_INTERRUPTED && signals_interrupted())
        w->any_interrupted = true;
    signals_solving(false);
}

void watch_note(void *ud, int level, const char *text)
{
    cli *c = ud;
    log_warning(c, level, text);
    if (c->args.quiet)
        return;
    enter(&c->watch);
    erase(&c->watch);
    fprintf(stderr, "%s%s\n", level == 0 ? "warning: " : "", text);
    leave(&c->watch);
}
