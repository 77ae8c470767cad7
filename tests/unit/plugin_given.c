/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_given - plugins that no shared object holds: registered by the program, copied whole, solved with, taken away; and files that a loader of
 * the program's reads, with their index and without, before and after the registry was made.
 */
#include "plugin/registry.h"
#include "plugin_folder.h"
#include "tap/tap.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- a plugin that goes to where its initial state says ------------------------------------------------------------- */

typedef struct {
    double goal;
    int steps;
} state;

typedef struct {
    double shift;
    int32_t rule;
} options;

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    const options *o = opt;
    (void)run;
    s->goal += o->shift + o->rule;
    return PERI_OK;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const peri_host *h = peri_host_functions();
    const peri_row row = peri_empty_row();
    if (s->steps++ > 0)
        return h->finish(run, PERI_WHY_STALLED, next);
    return h->accept(run, &s->goal, NULL, NULL, &row, next);
}

static const peri_solver_ops ops = {.init = init, .step = step};

/* A table whose texts are gone when this returns. */
static peri_status give(peri_context *ctx, peri_loading *to, const char *name, double goal)
{
    char own[32], summary[32] = "goes there", help[32] = "a number", first[8] = "zero", second[8] = "one";
    const char *choices[] = {first, second, NULL};
    const peri_option list[] = {PERI_REAL("shift", options, shift, 0, -10, 10, "1", help),
                                PERI_ENUM("rule", options, rule, 0, choices, help)};
    const state start = {.goal = goal};
    snprintf(own, sizeof own, "%s", name);
    peri_plugin p = {PERI_SOLVER(state, options, list), .ops = &ops, .name = own, .summary = summary, .initial_state = &start};
    const peri_status status = to != NULL ? peri_loading_add(to, &p) : peri_context_register(ctx, &p, "a test");
    memset(own, 'x', sizeof own);
    memset(summary, 'x', sizeof summary);
    memset(help, 'x', sizeof help);
    memset(first, 'x', sizeof first);
    return status;
}

static peri_model *model(peri_context *ctx)
{
    peri_expr x, f;
    peri_model *m = peri_model_new(ctx, "a square");
    if (peri_model_var(m, "x", 1, 1, &x) == PERI_OK && peri_expr_op(m, PERI_OP_SQUARE, 1, &x, &f) == PERI_OK &&
        peri_model_minimize(m, f) == PERI_OK)
        return m;
    peri_model_free(m);
    return NULL;
}

/* The objective where that solver goes; NaN: an error */
static double reached(peri_model *m, const char *solver, const char *rule)
{
    peri_solution *s = NULL;
    const peri_setting settings[] = {{.key = "rule", .type = PERI_VALUE_TEXT, .text = rule}};
    const peri_solve_args args = {.plan = solver, .n_settings = rule != NULL, .settings = settings};
    const double f = peri_model_solve(m, &args, &s) == PERI_OK ? peri_solution_objective(s) : NAN;
    peri_solution_free(s);
    return f;
}

static void test_register(void)
{
    peri_context *ctx = context_for(built("plugins"), NULL, 0);
    peri_model *m = model(ctx);
    char *page = NULL;
    is_int(give(ctx, NULL, "there", 3), PERI_OK, "a plugin is registered");
    is_close(reached(m, "there", NULL), 9, 0, 0, "and solved with");
    is_close(reached(m, "there", "one"), 16, 0, 0, "with options, though the texts are gone");
    is_int(peri_plugin_page(ctx, "there", false, &page), PERI_OK, "its page");
    has_text(page, "goes there", "has its summary");
    has_text(page, "a test", "and its origin");
    peri_free_text(ctx, page);
    is_int(give(ctx, NULL, "there", 4), PERI_E_PLUGIN, "its name is taken");
    has_text(peri_error(ctx), "already that of a plugin in a test", "which is said");
    is_int(give(ctx, NULL, "lbfgs", 4), PERI_E_PLUGIN, "so is a file's");
    is_int(give(ctx, NULL, "No Name", 4), PERI_E_PLUGIN, "a bad table is refused");
    has_text(peri_error(ctx), "lower-case", "with the reason");
    is_int(peri_context_register(ctx, NULL, NULL), PERI_E_ARGUMENT, "no table at all");
    is_int(peri_context_unregister(ctx, "lbfgs"), PERI_E_NAME, "a file's plugin cannot be taken away");
    is_int(peri_context_unregister(ctx, "there"), PERI_OK, "the program's own can");
    ok(isnan(reached(m, "there", NULL)), "then it is not there");
    is_int(give(ctx, NULL, "there", 5), PERI_OK, "and may come again");
    is_close(reached(m, "there", NULL), 25, 0, 0, "as another one, for a model that was solved by the first");
    peri_model_free(m);
    peri_context_free(ctx);
}

/* The registry's memory comes in blocks: plugins are registered until the next one is asked for, and it is not there. */
static void test_memory(void)
{
    peri_context *ctx = context_for(built("plugins"), NULL, 0);
    const peri_plugin_entry *entries;
    char name[32];
    int64_t n, before, made = 0, failures = 0, wrong = 0;
    is_int(peri_plugins_list(ctx, &before, &entries), PERI_OK, "the registry is made");
    while (failures < 5 && made < 5000) {
        snprintf(name, sizeof name, "there-%d", (int)made);
        peri_memory_fail_at(ctx, 1, true);
        peri_status status = give(ctx, NULL, name, 3);
        peri_memory_fail_at(ctx, 0, false);
        if (status != PERI_OK) {
            failures++;
            wrong += status != PERI_E_NOMEM || peri_plugins_list(ctx, &n, &entries) != PERI_OK || n != before + made;
            status = give(ctx, NULL, name, 3);
        }
        wrong += status != PERI_OK;
        made++;
    }
    is_int(failures, 5, "memory was out five times");
    is_int(wrong, 0, "then nothing was registered, and the next call works");
    peri_context_free(ctx);
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static int loads; /* of the loader's, in this test */

static peri_status load(void *ud, const char *path, peri_loading *to)
{
    loads++;
    if (strstr(path, "empty") != NULL)
        return PERI_OK;
    const peri_status status = give(NULL, to, strstr(path, "second") != NULL ? "second" : "first", 2);
    return strstr(path, "failing") != NULL ? peri_error_set(ud, PERI_E_PLUGIN, "it fails") : status;
}

static peri_context *loading_context(const char *path)
{
    peri_context *ctx = context_for(path, NULL, 0);
    is_int(peri_context_set_loader(ctx, ".txt", load, ctx), PERI_OK, "a loader");
    return ctx;
}

static void test_loader(void)
{
    folder f;
    int64_t n = 0;
    const peri_plugin_entry *entries;
    const char *const *lines;
    f = folder_new();
    folder_write(&f, "first.txt", "1", 1);
    folder_write(&f, "empty.txt", "2", 1);
    folder_write(&f, "failing.txt", "3", 1);
    peri_context *ctx = loading_context(f.path);
    is_int(peri_plugins_list(ctx, &n, &entries), PERI_OK, "files of a loader are looked for");
    is_int(n, 1, "one has a plugin");
    is_int(loads, 3, "all were loaded");
    ok(peri_plugins_refused(ctx, &n, &lines) == PERI_OK && n == 1, "one is refused");
    has_text(lines[0], "failing.txt: it fails", "with the loader's reason");
    peri_context_free(ctx);
    ctx = loading_context(f.path);
    is_int(peri_plugins_write_index(ctx, f.path), PERI_OK, "an index");
    peri_context_free(ctx);
    loads = 0;
    ctx = loading_context(f.path);
    is_int(peri_plugins_list(ctx, &n, &entries), PERI_OK, "with it");
    is_int(loads, 1, "only what has no plugin is looked at");
    peri_model *m = model(ctx);
    is_close(reached(m, "first", NULL), 4, 0, 0, "a file's plugin is solved with");
    is_int(loads, 2, "and loaded for that");
    is_int(peri_context_set_loader(ctx, NULL, NULL, NULL), PERI_OK, "another's loader is not taken away");
    is_close(reached(m, "first", NULL), 4, 0, 0, "as it seems");
    is_int(peri_context_set_loader(ctx, NULL, NULL, ctx), PERI_OK, "the loader goes");
    ok(isnan(reached(m, "first", NULL)), "its plugins have no code then");
    has_text(peri_error(ctx), "nothing in this program reads .txt files", "which is said");
    is_int(peri_context_set_loader(ctx, ".so", load, ctx), PERI_E_ARGUMENT, "not for shared objects");
    peri_model_free(m);
    peri_context_free(ctx);
    ctx = context_for(f.path, NULL, 0);
    ok(peri_plugins_list(ctx, &n, &entries) == PERI_OK && n == 0, "without a loader the files are not there");
    is_int(peri_context_set_loader(ctx, ".txt", load, ctx), PERI_OK, "a loader that comes late");
    ok(peri_plugins_list(ctx, &n, &entries) == PERI_OK && n == 1, "finds them");
    peri_context_free(ctx);
    folder_remove(&f);
}

int main(void)
{
    plan_later();
    test_register();
    test_memory();
    test_loader();
    return tap_done();
}
