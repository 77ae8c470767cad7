/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - what a running solve shows on standard error: on a terminal one line that overwrites itself, at most ten times a second,
 * and is gone at the end; with --verbose a table with a row for each iteration; in a pipe nothing. Invariant: between two solves no
 * progress line stands on the terminal.
 */
#define _GNU_SOURCE
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_EVERY = 20, LINE_MAX_WIDTH = 160 };
static const double SHOW_EVERY = 0.1; /* seconds */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void watch_open(cli *c)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    cli_watch *w = &c->watch;
    w->table = c->args.verbose;
    w->progress = !c->args.quiet && !w->table && isatty(STDERR_FILENO);
    w->colour = w->progress && (plain == NULL || plain[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
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

static void show_line(cli_watch *w, const peri_event *e)
{
    char text[LINE_MAX_WIDTH + 1];
    const double t = now();
    if (t - w->last_shown < SHOW_EVERY)
        return;
    erase(w);
    w->last_shown = t;
    w->width = terminal_width();
    int n = snprintf(text, sizeof text, "%s: iteration %lld  objective %.7g", w->problem, (long long)e->iteration,
                     e->objective);
    if (!isnan(e->primal) && n < LINE_MAX_WIDTH)
        n += snprintf(text + n, sizeof text - (size_t)n, "  feas %.1e", e->primal);
    if (!isnan(e->dual) && n < LINE_MAX_WIDTH)
        n += snprintf(text + n, sizeof text - (size_t)n, "  opt %.1e", e->dual);
    if (n < LINE_MAX_WIDTH)
        snprintf(text + n, sizeof text - (size_t)n, "  %.1fs", e->seconds);
    fprintf(stderr, "%s%.*s%s", w->colour ? "\033[2m" : "", w->width - 1, text, w->colour ? "\033[0m" : "");
    w->line_shown = true;
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
    signals_solving(true);
    c->watch.problem = peri_model_name(m);
    c->watch.rows = 0;
    c->watch.last_shown = now(); /* a short solve shows nothing */
    if (c->watch.table)
        fprintf(stderr, "%s\n", c->watch.problem);
    log_start(c, m);
}

int watch_event(void *ud, const peri_event *e)
{
    cli *c = ud;
    cli_watch *w = &c->watch;
    log_iteration(c, e);
    if (w->table) {
        if (w->rows++ % HEADER_EVERY == 0)
            show_header();
        show_row(e);
    } else if (signals_row_wanted()) {
        erase(w);
        show_header();
        show_row(e);
    } else if (w->progress) {
        show_line(w, e);
    }
    return 0;
}

void watch_end(void *ud, peri_solution *s)
{
    cli *c = ud;
    c->status = s != NULL ? peri_outcome_exit_status(peri_solution_outcome(s)) : EXIT_ERROR;
    erase(&c->watch);
    if (c->watch.table)
        show_end(c, s);
    log_end(c, s);
    if (s != NULL && peri_solution_outcome(s) == PERI_INTERRUPTED && signals_interrupted())
        c->watch.any_interrupted = true;
    signals_solving(false);
}

void watch_note(void *ud, int level, const char *text)
{
    cli *c = ud;
    log_warning(c, level, text);
    if (c->args.quiet)
        return;
    erase(&c->watch);
    fprintf(stderr, "%s%s\n", level == 0 ? "warning: " : "", text);
}
