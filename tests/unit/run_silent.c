/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library writes nothing to standard output and standard error, whatever goes well or wrong: both are files here while every installed method
 * solves a problem, and others are refused, interrupted or fail. What there is to say goes to the host's log.
 */
#define _POSIX_C_SOURCE 200809L
#include "tap/tap.h"
#include <perigee/perigee.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void count_line(void *ud, int level, const char *text)
{
    int64_t *lines = ud;
    (void)level;
    *lines += text[0] != '\0';
}

static int stop_at_once(void *ud, const peri_event *event)
{
    (void)ud;
    return event->iteration >= 1;
}

static int undefined(void *ud, int64_t n, const double *x, double *f)
{
    (void)ud;
    *f = n > 0 ? x[0] : 0;
    return x[0] > 0.5; /* undefined there */
}

/* kind 0: squares; 1: a logarithm that is undefined at the start; 2: no minimum; 3: no feasible point; 4: a black box */
static peri_status build(peri_model *m, int kind)
{
    static const peri_op ops[] = {PERI_OP_SQUARE, PERI_OP_LOG, PERI_OP_NEG, PERI_OP_SQUARE};
    static const peri_function box = {"box", NULL, undefined, NULL, false};
    const double six = 6, start = 0.3;
    peri_expr x, e;
    peri_constraint handle;
    peri_status status = peri_model_var(m, "x", 4, 1, &x);
    if (status == PERI_OK && kind != 1)
        status = peri_model_set_start(m, x, 1, &start);
    if (status == PERI_OK)
        status = kind == 4 ? peri_expr_call(m, &box, x, &e) : peri_expr_op(m, ops[kind], 1, &x, &e);
    if (status == PERI_OK && kind != 4)
        status = peri_expr_op(m, PERI_OP_SUM, 1, &e, &e);
    if (status == PERI_OK)
        status = peri_model_minimize(m, e);
    if (status == PERI_OK && kind == 3)
        status = peri_model_constrain(m, "cap", e, 1, &(double){-2}, &(double){-1}, &handle);
    if (status == PERI_OK && kind == 0)
        status = peri_model_set_upper(m, x, 1, &six);
    return status;
}

static void attempt(peri_context *ctx, int kind, const char *plan, const char *linear_solver, peri_event_fn event)
{
    const peri_setting settings[] = {{"iterations", PERI_VALUE_NUMBER, 50, NULL}, {"linear_solver", PERI_VALUE_TEXT, 0, linear_solver}};
    const peri_solve_args args = {.plan = plan, .n_settings = linear_solver != NULL ? 2 : 1, .settings = settings, .event = event};
    peri_model *m = peri_model_new(ctx, "quiet");
    peri_solution *s = NULL;
    char *text = NULL;
    if (build(m, kind) == PERI_OK && peri_model_explain(m, plan, &text) == PERI_OK)
        peri_free_text(ctx, text);
    if (peri_model_solve(m, &args, &s) == PERI_OK && peri_solution_report(s, &text) == PERI_OK)
        peri_free_text(ctx, text);
    peri_solution_free(s);
    peri_model_free(m);
}

static int64_t all_of_it(peri_context *ctx)
{
    int64_t n = 0;
    const peri_plugin_entry *list = NULL;
    char *text;
    if (peri_plugins_list(ctx, &n, &list) != PERI_OK)
        return 0;
    for (int64_t k = 0; k < n; k++) {
        const bool linear = strcmp(list[k].kind, "linear_solver") == 0 || strcmp(list[k].kind, "linear solver") == 0;
        if (peri_plugin_page(ctx, list[k].name, false, &text) == PERI_OK)
            peri_free_text(ctx, text);
        for (int kind = 0; kind < 5; kind++)
            attempt(ctx, kind, linear ? "ipm" : list[k].name, linear ? list[k].name : NULL, NULL);
        attempt(ctx, 0, linear ? "ipm" : list[k].name, NULL, stop_at_once);
    }
    attempt(ctx, 0, "nothing", NULL, NULL);
    return n;
}

/* fd is a file of its own; ret what it was */
static int redirect(int fd, const char *path)
{
    const int kept = dup(fd), file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dup2(file, fd);
    close(file);
    return kept;
}

static int64_t restore(int fd, int kept, const char *path)
{
    struct stat info = {0};
    fflush(NULL);
    dup2(kept, fd);
    close(kept);
    const int64_t size = stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
    unlink(path);
    return size;
}

int main(void)
{
    char out[64], err[64];
    int64_t lines = 0;
    const peri_config config = {.log = count_line, .log_ud = &lines, .verbosity = 2, .threads = 1};
    snprintf(out, sizeof out, "/tmp/perigee-silent-%d.out", (int)getpid());
    snprintf(err, sizeof err, "/tmp/perigee-silent-%d.err", (int)getpid());
    plan(4);
    fflush(NULL);
    const int kept_out = redirect(1, out), kept_err = redirect(2, err);
    peri_context *ctx = peri_context_new(&config);
    const int64_t plugins = all_of_it(ctx);
    peri_context_free(ctx);
    const int64_t written = restore(1, kept_out, out), told = restore(2, kept_err, err);
    ok(plugins > 15, "%d plugins at work", (int)plugins);
    is_int(written, 0, "bytes on standard output");
    is_int(told, 0, "bytes on standard error");
    ok(lines > 100, "%d lines in the log", (int)lines);
    return tap_done();
}
