/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_bad - a host survives bad plugins: one by one, each with a good plugin beside it, the faulty ones under
 * tests/bad are refused by one line that names file, field and both values, or put right with a warning; a solve that
 * one of them spoils ends in a result that says so. After each of them the good plugin works.
 */
#define _GNU_SOURCE
#include "plugin/registry.h"
#include "plugin_folder.h"
#include "tap/tap.h"
#include "unit/text_model.h"

#include <fenv.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    const char *file, *reason; /* reason NULL: loads all the same */
} fault;

static const fault faults[] = {
    {"undefined", "cannot be loaded: undefined symbol: nowhere_to_be_found"},
    {"absent", "needs the library libperigee-absent.so.3, which is not installed"},
    {"no_entry", "does not export peri_plugins, so it is not a plugin"},
    {"empty", "peri_plugins returned no plugin"},
    {"magic", "stamp.magic is 0x0badcafe, must be 0x49524550"},
    {"major", "stamp.major is 2, this host has ABI " HOST_ABI},
    {"minor", "stamp.min_host_minor is 4, this host has ABI " HOST_ABI},
    {"int_size", "stamp.size_int is 2, must be 4"},
    {"real_size", "stamp.size_real is 4, must be 8"},
    {"pointer_size", "stamp.size_ptr is 4, must be 8"},
    {"table_size", "stamp.size_plugin is 24, must be a multiple of 8 in [80, 65536]"},
    {"option_size", "stamp.size_option is 8, must be a multiple of 8 in [72, 65536]"},
    {"shorter", NULL},
    {"longer", NULL},
    {"callback", "callback: ops.step is missing"},
    {"no_ops", "no_ops: ops is missing"},
    {"nameless", "name is missing"},
    {"misnamed", "name is \"Mis > named\", must be at most 63 lower-case letters, digits, - and _"},
    {"summary", "summary: summary is missing"},
    {"kind", "kind: kind is 99 (unknown), this host takes 1 (solver), 2 (reformulation) and 3 (linear solver)"},
    {"traits", "traits: needs holds traits that this host does not know (0x200000, known are 0x1fffff)"}, /* the first unknown bit */
    {"no_options", "no_options: n_options is 2, options is missing"},
    {"range", "range: option \"first\" has the default 2.5 outside [0, 1]"},
    {"twice", "twice: option \"first\" is there twice, as number 1 and 2"},
    {"offset", "offset: option \"second\" ends at byte 16, size_options is 12"},
    {"type", "type: option \"first\" has type 17, must be in [0, 4]"},
};

/* One folder with the good plugin and NAME.so; the context that has looked at it. */
static peri_context *with_plugin(const folder *f, const char *name, char *log, size_t size)
{
    char from[64], to[64];
    int64_t n = 0;
    const peri_plugin_entry *entries = NULL;
    snprintf(from, sizeof from, "tests/bad/%s.so", name);
    snprintf(to, sizeof to, "%s.so", name);
    folder_link(f, "good.so", built("tests/bad/good.so"));
    folder_link(f, to, built(from));
    peri_context *ctx = context_for(f->path, log, size);
    is_int(peri_plugins_list(ctx, &n, &entries), PERI_OK, "%s: the folder is read", name);
    return ctx;
}

static bool has_plugin(peri_context *ctx, const char *name)
{
    registry *r = NULL;
    registry_entry *e = NULL;
    const peri_plugin *p = NULL;
    return registry_get(ctx, &r) == PERI_OK && registry_find(r, name, PERI_KIND_SOLVER, &e) == PERI_OK &&
           registry_load(r, e, &p) == PERI_OK && p != NULL;
}

static void test_fault(const fault *t)
{
    const folder f = folder_new();
    char log[4096], want[1024];
    int64_t n = 0;
    const char *const *lines = NULL;
    peri_context *ctx = with_plugin(&f, t->file, log, sizeof log);
    is_int(peri_plugins_refused(ctx, &n, &lines), PERI_OK, "%s: the refusals", t->file);
    is_int(n, t->reason != NULL, "%s: is %s", t->file, t->reason != NULL ? "refused in one line" : "not refused");
    if (t->reason != NULL && n == 1) {
        snprintf(want, sizeof want, "%s/%s.so: %s", f.path, t->file, t->reason);
        is_text(lines[0], want, "%s: that names file, field and values", t->file);
        has_text(log, want, "%s: and is in the log", t->file);
    } else {
        ok(has_plugin(ctx, t->file), "%s: works", t->file);
    }
    ok(has_plugin(ctx, "good"), "%s: the others go on", t->file);
    peri_context_free(ctx);
    folder_remove(&f);
}

/* What is left of a field that a table is too short to have. */
static void test_shorter(void)
{
    const folder f = folder_new();
    registry *r = NULL;
    registry_entry *e = NULL;
    const peri_plugin *p = NULL;
    peri_context *ctx = with_plugin(&f, "shorter", NULL, 0);
    is_int(registry_get(ctx, &r), PERI_OK, "a registry");
    is_int(registry_find(r, "shorter", 0, &e), PERI_OK, "a table of an older version");
    is_int(registry_load(r, e, &p), PERI_OK, "is taken");
    ok(p->page == NULL && p->n_options == 0 && p->size_state == 0 && p->flags == 0, "what it does not have is zero");
    peri_context_free(ctx);
    folder_remove(&f);
}

static void refused_bytes(const char *data, size_t size, const char *reason)
{
    const folder f = folder_new();
    int64_t n = 0;
    const char *const *lines = NULL;
    folder_write(&f, "file.so", data, size);
    peri_context *ctx = context_for(f.path, NULL, 0);
    is_int(peri_plugins_refused(ctx, &n, &lines), PERI_OK, "a file of %zu bytes", size);
    if (is_int(n, 1, "is refused"))
        has_text(lines[0], reason, "%s", reason);
    peri_context_free(ctx);
    folder_remove(&f);
}

static void test_files(void)
{
    size_t size = 0;
    char *data = file_bytes(built("tests/bad/good.so"), &size);
    refused_bytes("", 0, "file.so: not a shared object (no ELF header)");
    refused_bytes("#!/bin/sh\necho a script that is longer than an ELF header would be, with some more words\n", 88,
                  "file.so: not a shared object (no ELF header)");
    refused_bytes(data, 40, "file.so: not a shared object (no ELF header)");
    refused_bytes(data, 100, "file.so: cut short: ");
    refused_bytes(data, 4000, "file.so: cut short: a segment ends at byte ");
    refused_bytes(data, size / 3, "file.so: cut short: a segment ends at byte ");
    memset(data, 0, size);
    memcpy(data, "\177ELF", 4);
    refused_bytes(data, 4096, "file.so: ");
    free(data);
}

/* ---- what loading or a step changes in the process
 * ------------------------------------------------------------------------ */

static bool flushes_to_zero(void)
{
    volatile double tiny = 2.2250738585072014e-308; /* the smallest normal number */
    volatile double half = tiny * 0.5;
    return !(half > 0);
}

static void test_fp_mode(void)
{
    const folder f = folder_new();
    char log[4096];
    const int rounding = fegetround();
    peri_context *ctx = with_plugin(&f, "fp_mode", log, sizeof log);
    is_int(fegetround(), rounding, "fp_mode: the rounding is what it was");
    ok(!flushes_to_zero(), "fp_mode: small numbers are not flushed to zero");
    has_text(log, "/fp_mode.so: loading changed the floating-point modes; restored\n", "fp_mode: a warning names it");
    ok(log[0] == '0' && strstr(strstr(log, "fp_mode") + 7, "fp_mode") == NULL, "fp_mode: once");
    ok(has_plugin(ctx, "fp_mode"), "fp_mode: it works all the same");
    peri_context_free(ctx);
    folder_remove(&f);
}

static void test_process(void)
{
    const folder f = folder_new();
    char log[4096];
    sigset_t mask;
    setlocale(LC_ALL, "C");
    peri_context *ctx = with_plugin(&f, "process", log, sizeof log);
    is_text(setlocale(LC_ALL, NULL), "C", "process: the locale is what it was");
    sigprocmask(SIG_SETMASK, NULL, &mask);
    ok(!sigismember(&mask, SIGUSR1), "process: so is the signal mask");
    has_text(log, "/process.so: loading changed ", "process: a warning names it");
    has_text(log, "the signal mask; restored", "process: and what it changed");
    peri_context_free(ctx);
    folder_remove(&f);
}

/* ---- a file that others may change
 * ------------------------------------------------------------------------ */

static void test_exposed(void)
{
    const folder f = folder_new();
    char log[4096] = "", here[512], path[600];
    size_t size;
    char *data = file_bytes(built("tests/bad/good.so"), &size);
    folder_write(&f, "good.so", data, size);
    free(data);
    snprintf(path, sizeof path, "%s/good.so", f.path);
    peri_context *ctx = context_for(f.path, log, sizeof log);
    ok(has_plugin(ctx, "good") && log[0] == '\0', "a file that only its owner can write to: no warning");
    peri_context_free(ctx);

    chmod(path, 0666);
    ctx = context_for(f.path, log, sizeof log);
    ok(has_plugin(ctx, "good"), "a file that anyone can write to is loaded");
    has_text(log, "/good.so: anyone can write to it", "with a warning");
    peri_context_free(ctx);

    chmod(path, 0644);
    chmod(f.path, 0777);
    log[0] = '\0';
    ctx = context_for(f.path, log, sizeof log);
    ok(has_plugin(ctx, "good"), "so is one in a folder that anyone can write to");
    has_text(log, "/good.so: anyone can write to its folder", "with a warning");
    peri_context_free(ctx);

    chmod(f.path, 0700);
    log[0] = '\0';
    ok(getcwd(here, sizeof here) != NULL && chdir(f.path) == 0, "from the folder itself");
    ctx = context_for(".", log, sizeof log);
    ok(has_plugin(ctx, "good"), "a relative path works");
    has_text(log, "good.so: its path is relative", "with a warning");
    peri_context_free(ctx);
    ok(chdir(here) == 0, "and back");
    folder_remove(&f);
}

/* ---- solves
 * --------------------------------------------------------------------------------------------------------------- */

/* From (8, 4): infeasible by 11, the objective 52. */
static peri_model *problem(peri_context *ctx)
{
    const double start[2] = {8, 4};
    text_model t = text_new(ctx, 2, start);
    text_minimize(&t, "(x1-2)^2 + x2^2");
    text_constrain(&t, "budget", -INFINITY, "x1 + x2", 1);
    return t.m;
}

static peri_solution *solve_with(peri_model *m, const char *solver)
{
    const peri_solve_args args = {.plan = solver};
    peri_solution *s = NULL;
    is_int(peri_model_solve(m, &args, &s), PERI_OK, "%s: the solve ends in a result", solver);
    if (s == NULL)
        diag("%s", peri_error(peri_model_context(m)));
    return s;
}

static void test_nan(void)
{
    const folder f = folder_new();
    char log[4096];
    double x[2] = {0, 0};
    const double start[2] = {8, 4};
    peri_context *ctx = with_plugin(&f, "nan", log, sizeof log);
    text_model t = text_new(ctx, 2, start);
    text_minimize(&t, "x1 + x2");
    peri_model *m = t.m;
    peri_solution *s = solve_with(m, "nan");
    if (s != NULL) {
        is_text(peri_outcome_name(peri_solution_outcome(s)), "numerical_error", "nan: the status");
        has_text(peri_solution_message(s), "x[1]", "nan: the component is named");
        is_int(peri_solution_value(s, t.x, x), PERI_OK, "nan: the point");
        is_close(x[0], 2, 1e-15, 0, "nan: is the last finite one");
    }
    peri_solution_free(s);
    peri_model_free(m);
    peri_context_free(ctx);
    folder_remove(&f);
}

static void test_liar(void)
{
    const folder f = folder_new();
    peri_context *ctx = with_plugin(&f, "liar", NULL, 0);
    peri_model *m = problem(ctx);
    peri_solution *s = solve_with(m, "liar");
    if (s != NULL) {
        const peri_outcome o = peri_solution_outcome(s);
        ok(o != PERI_OPTIMAL && o != PERI_LOCALLY_OPTIMAL && o != PERI_FEASIBLE, "liar: is not believed (%s)",
           peri_outcome_name(o));
        is_close(peri_solution_certificate(s).primal, 11, 1e-12, 0, "liar: the violation is computed");
        is_close(peri_solution_objective(s), 52, 1e-14, 0, "liar: so is the objective");
        has_text(peri_solution_message(s), "conver", "liar: the claim is noted (%s)", peri_solution_message(s));
    }
    peri_solution_free(s);
    peri_model_free(m);
    peri_context_free(ctx);
    folder_remove(&f);
}

static void test_step_changes(void)
{
    const folder f = folder_new();
    const int rounding = fegetround();
    char log[8192];
    peri_context *ctx = with_plugin(&f, "process", log, sizeof log);
    log[0] = '\0'; /* what loading changed has been seen to */
    peri_model *m = problem(ctx);
    peri_solution *s = solve_with(m, "process");
    is_int(fegetround(), rounding, "process: a step's rounding does not outlive it");
    fesetround(rounding);
#ifdef PERI_DEBUG
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    ok(!sigismember(&mask, SIGUSR2), "process: nor does its signal mask, in debug builds");
    has_text(log, "0 process: changed the floating-point modes and the signal mask; restored\n",
             "process: a warning tells");
#else
    has_text(log, "0 process: changed the floating-point modes; restored\n", "process: a warning tells");
#endif
    peri_solution_free(s);
    peri_model_free(m);
    peri_context_free(ctx);
    folder_remove(&f);
}

int main(void)
{
    plan_later();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        test_fault(&faults[i]);
    test_shorter();
    test_files();
    test_fp_mode();
    test_process();
    test_exposed();
    test_nan();
    test_liar();
    test_step_changes();
    return tap_done();
}
