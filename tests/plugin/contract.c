/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract.c - what every plugin promises, as a list of parts: known optima with multipliers and certificate, problems it does not
 * take refused with the reason, limits, the same seed twice, two runs at once and one inside the other, steps that allocate
 * nothing (a solver's), options at and beyond their bounds, a complete page; and, in contract_faults.c, failures at the k-th
 * place. A reformulation is asked the same with the solver that the engine puts behind it. Two programs ask: contract_all.c of
 * every installed plugin, tools/check-plugin of one file.
 */
#define _GNU_SOURCE
#include "contract.h"
#include "run/internal.h"
#include "tap/tap.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_solved(peri_outcome o)
{
    return o == PERI_OPTIMAL || o == PERI_LOCALLY_OPTIMAL;
}

static peri_solve_args args_for(const registry_entry *e)
{
    return (peri_solve_args){.plan = e->name};
}

/* Does the solver take it? NULL where it does, else the reason. */
static const char *refusal_of(peri_model *m, const registry_entry *e)
{
    static char why[512];
    nlp *p = NULL;
    uint64_t traits = 0;
    if (e->kind == PERI_KIND_REFORMULATION) { /* some solver must take what it makes, too */
        plan_chain chain;
        return nlp_of(m, &p) == PERI_OK && plan_choose(p, e->name, NULL, &chain) == PERI_OK ? NULL
                                                                                           : peri_error(peri_model_context(m));
    }
    if (nlp_of(m, &p) != PERI_OK || nlp_traits(p, e->needs | e->refuses, &traits) != PERI_OK)
        return peri_error(peri_model_context(m));
    return match_traits(traits, e->needs, e->refuses, why, sizeof why) ? NULL : why;
}

/* ---- known ends
 * ------------------------------------------------------------------------------------------------------------ */

static int64_t solved_problems; /* of the catalogue, in this part; of the test, which has one thread here */

/* One that the engine chooses by itself solves all that it takes; another one may be too slow, but must not be wrong. */
static void check_solved(const contract_problem *p, const char *name, bool automatic, peri_model *m, peri_solution *s)
{
    double x[CONTRACT_MOST], y = NAN;
    const double f = peri_solution_objective(s), kkt = peri_solution_certificate(s).kkt;
    const peri_outcome o = peri_solution_outcome(s);
    if (!contract_strict && !automatic && !is_solved(o)) {
        skip(1, "%s: %s: not solved, and says so: %s after %lld iterations, kkt %.1e", name, p->name, peri_outcome_name(o),
             (long long)peri_solution_iterations(s), kkt);
        return;
    }
    solved_problems++;
    if (!ok(is_solved(o), "%s: %s: is solved", name, p->name))
        diag("%s after %lld iterations, kkt %g, objective %.15g: %s", peri_outcome_name(o),
             (long long)peri_solution_iterations(s), kkt, f, peri_solution_message(s));
    ok(kkt <= 1e-6, "%s: %s: kkt %.1e", name, p->name, kkt);
    is_close(f, p->objective, p->accuracy, p->accuracy, "%s: %s: objective", name, p->name);
    is_int(peri_solution_value(s, m->vars.at[0].node, x), PERI_OK, "%s: %s: the point", name, p->name);
    /* an error e of a point costs a multiple of e^2 in the objective, or of e at a vertex */
    for (int64_t j = 0; j < p->n && !isnan(p->x[j]); j++)
        is_close(x[j], p->x[j], 1e-5, 1e-5, "%s: %s: x%lld", name, p->name, (long long)j + 1);
    if (isnan(p->dual))
        return;
    is_int(peri_solution_dual(s, 0, &y), PERI_OK, "%s: %s: the multiplier", name, p->name);
    is_close(y, p->dual, 1e-5, 1e-5, "%s: %s: its value", name, p->name);
}

/* A general method may be asked for a graph, but its constraint has no multiplier at any solution. */
static bool concerns(const registry_entry *e, const contract_problem *p)
{
    return !contract_is_graph(p) || (e->needs & PERI_BIT(PERI_TRAIT_ACYCLIC)) != 0;
}

static void test_problem(peri_context *ctx, const registry_entry *e, const contract_problem *p)
{
    if (!concerns(e, p))
        return;
    const peri_solve_args args = args_for(e);
    peri_model *m = contract_model(ctx, p);
    peri_solution *s = NULL;
    const char *refused = refusal_of(m, e);
    contract_at("%s", p->name);
    const peri_status status = peri_model_solve(m, &args, &s);
    if (refused != NULL) {
        is_int(status, PERI_E_UNSUPPORTED, "%s: %s: refused", e->name, p->name);
        has_text(peri_error(ctx), refused, "%s: %s: because it %s", e->name, p->name, refused);
    } else if (!is_int(status, PERI_OK, "%s: %s: ends in a result", e->name, p->name)) {
        diag("%s", peri_error(ctx));
    } else if (p->outcome == PERI_LOCALLY_OPTIMAL) {
        check_solved(p, e->name, (e->flags & PERI_FLAG_AUTOMATIC) != 0, m, s);
    } else {
        const peri_outcome o = peri_solution_outcome(s);
        ok(o == p->outcome || (!is_solved(o) && (e->flags & PERI_FLAG_AUTOMATIC) == 0), "%s: %s: the status is %s",
           e->name, p->name, peri_outcome_name(o));
    }
    peri_solution_free(s);
    peri_model_free(m);
}

/* The first catalogue problem that the solver takes, from `first` on; NULL: none. */
static const contract_problem *accepted(peri_context *ctx, const registry_entry *e, int64_t first)
{
    for (int64_t k = 0; k < contract_n_problems; k++) {
        const contract_problem *p = &contract_problems[(first + k) % contract_n_problems];
        if (p->outcome != PERI_LOCALLY_OPTIMAL || !concerns(e, p))
            continue;
        peri_model *m = contract_model(ctx, p);
        const bool fits = refusal_of(m, e) == NULL;
        peri_model_free(m);
        if (fits)
            return p;
    }
    return NULL;
}

static int64_t index_of(const char *name)
{
    for (int64_t k = 0; k < contract_n_problems; k++)
        if (strcmp(contract_problems[k].name, name) == 0)
            return k;
    return 0;
}

/* Of a loop: shared objects free what they take each time; a collector keeps something of the last run, but not of every one. */
int64_t contract_leaks(const registry_entry *e, int64_t uneven, int64_t grown)
{
    return contract_is_shared_object(e) ? uneven : grown > 2 ? grown : 0;
}

/* ---- limits
 * ---------------------------------------------------------------------------------------------------------------- */

static void test_limit(peri_context *ctx, const registry_entry *e, const contract_problem *p, const char *key,
                       double value, peri_outcome wanted)
{
    const peri_setting setting = {.key = key, .type = PERI_VALUE_NUMBER, .number = value};
    const peri_solve_args args = {.plan = e->name, .n_settings = 1, .settings = &setting};
    peri_model *m = contract_model(ctx, p);
    peri_solution *s = NULL;
    contract_at("%s with %s = %g", p->name, key, value);
    if (is_int(peri_model_solve(m, &args, &s), PERI_OK, "%s: %s = %g ends in a result", e->name, key, value)) {
        const peri_outcome o = peri_solution_outcome(s);
        /* with lower levels a schedule that is over may end in a point that is optimal below, and no more is claimed */
        ok(o == wanted || is_solved(o) || (o == PERI_FEASIBLE && p->below != NULL), "%s: %s = %g: %s", e->name, key, value,
           peri_outcome_name(o));
        if (strcmp(key, "iterations") == 0)
            ok(peri_solution_iterations(s) <= (int64_t)value, "%s: %s = %g: after %lld", e->name, key, value,
               (long long)peri_solution_iterations(s));
        ok(isfinite(peri_solution_objective(s)), "%s: %s = %g: with a point", e->name, key, value);
    }
    peri_solution_free(s);
    peri_model_free(m);
}

static void test_limits(peri_context *ctx, const registry_entry *e, const contract_problem *p)
{
    test_limit(ctx, e, p, "iterations", 0, PERI_ITERATION_LIMIT);
    test_limit(ctx, e, p, "iterations", 1, PERI_ITERATION_LIMIT);
    test_limit(ctx, e, p, "evaluations", 0, PERI_ITERATION_LIMIT);
    test_limit(ctx, e, p, "evaluations", 1, PERI_ITERATION_LIMIT);
    test_limit(ctx, e, p, "time_limit", 0, PERI_TIME_LIMIT);
}

/* ---- the same run, twice, inside another one, beside another one
 * -------------------------------------------------------------- */

typedef struct {
    peri_context *ctx;
    const contract_problem *p;
    const char *solver;
    contract_result result;
    int64_t events;
} companion;

static void run_companion(companion *c)
{
    const peri_solve_args args = {.plan = c->solver};
    peri_model *m = contract_model(c->ctx, c->p);
    c->result = contract_solve(m, &args);
    peri_model_free(m);
}

static int solve_inside(void *ud, const peri_event *event)
{
    companion *c = ud;
    (void)event;
    if (c->events++ < 2) /* some methods end with the first */
        run_companion(c);
    return 0;
}

static void *solve_beside(void *ud)
{
    for (int k = 0; k < 5; k++)
        run_companion(ud);
    return NULL;
}

static void test_repeats(peri_context *ctx, const registry_entry *e, const contract_problem *p)
{
    const peri_setting seed = {.key = "seed", .type = PERI_VALUE_NUMBER, .number = 7};
    peri_solve_args args = {.plan = e->name, .n_settings = 1, .settings = &seed};
    peri_context *other = contract_context(NULL);
    companion inside = {.ctx = other, .p = p, .solver = e->name}, a = inside, b = inside;
    peri_model *m = contract_model(ctx, p);
    contract_at("%s, with the same seed, inside another run, beside another run", p->name);
    const contract_result first = contract_solve(m, &args), second = contract_solve(m, &args);
    ok(contract_same(&first, &second), "%s: the same seed twice is the same run to the last bit", e->name);
    args = (peri_solve_args){.plan = e->name, .event = solve_inside, .event_ud = &inside};
    const contract_result around = contract_solve(m, &args);
    args = args_for(e);
    const contract_result alone = contract_solve(m, &args);
    ok(inside.events > 0, "%s: %lld events", e->name, (long long)inside.events);
    ok(contract_same(&around, &alone), "%s: a run with another one inside is the run alone", e->name);
    ok(contract_same(&inside.result, &alone), "%s: and so is the one inside", e->name);
    peri_context_free(other);
    pthread_t threads[2];
    a.ctx = contract_context(NULL);
    b.ctx = contract_context(NULL);
    if (pthread_create(&threads[0], NULL, solve_beside, &a) == 0 &&
        pthread_create(&threads[1], NULL, solve_beside, &b) == 0) {
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
        ok(contract_same(&a.result, &alone) && contract_same(&b.result, &alone),
           "%s: two runs at once are the run alone", e->name);
    }
    peri_context_free(a.ctx);
    peri_context_free(b.ctx);
    peri_model_free(m);
}

/* ---- steps allocate nothing
 * ------------------------------------------------------------------------------------------------- */

/* Counts allocations while armed; the ops around the solver's own arm it for each step. Of the test, which has one
 * thread here. */
static int64_t armed_allocations;
static bool armed;
static const peri_solver_ops *watched;

static void *counting_alloc(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    (void)ud;
    (void)old_size;
    armed_allocations += armed && new_size > 0;
    if (new_size > 0)
        return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

static peri_status watched_step(void *state, peri_run *run, peri_step *next)
{
    armed = true;
    const peri_status status = watched->step(state, run, next);
    armed = false;
    return status;
}

static void test_allocations(const registry_entry *e, const peri_plugin *plugin, const contract_problem *p)
{
    const peri_config config = {.alloc = counting_alloc};
    peri_context *ctx = contract_context(&config);
    peri_solver_ops ops = *(const peri_solver_ops *)plugin->ops;
    peri_plugin copy = *plugin;
    watched = plugin->ops;
    ops.step = watched_step;
    copy.ops = &ops;
    peri_model *m = contract_model(ctx, p);
    peri_solution *s = NULL;
    armed_allocations = 0;
    contract_at("%s, steps watched", p->name);
    is_int(run_with(m, &copy, e->name, NULL, &s), PERI_OK, "%s: %s: a watched run", e->name, p->name);
    if (p->below != NULL) /* peri_level_solve is an inner solve, which may */
        skip(1, "%s: steps that solve a lower level allocate", e->name);
    else
        is_int(armed_allocations, 0, "%s: %s: no step allocates", e->name, p->name);
    peri_solution_free(s);
    peri_model_free(m);
    peri_context_free(ctx);
}

/* ---- memory that runs out
 * ------------------------------------------------------------------------------------------------- */

static void test_memory(peri_context *ctx, const registry_entry *e, const contract_problem *p)
{
    const peri_solve_args args = args_for(e);
    int64_t wrong = 0, leaks = 0, grown = 0, tried = 0, differs = 0;
    peri_model *whole = contract_model(ctx, p);
    const contract_result undisturbed = contract_solve(whole, &args);
    peri_model_free(whole);
    for (int64_t k = 1, done = 0; !done; k += tap_long() ? 1 : 1 + k / 12) {
        int64_t before = 0, after = 0;
        before = contract_blocks(ctx);
        peri_model *m = contract_model(ctx, p);
        contract_at("%s, allocation %lld fails", p->name, (long long)k);
        peri_memory_fail_at(ctx, k, tried % 2 == 1);
        const contract_result r = contract_solve(m, &args);
        done = ctx->mem.countdown > 0; /* it did not come to that */
        peri_memory_fail_at(ctx, 0, false);
        wrong += r.status != PERI_OK && r.status != PERI_E_NOMEM;
        if (!done && tried % 8 == 0) {
            const contract_result again = contract_solve(m, &args);
            differs += !contract_same(&again, &undisturbed);
        }
        peri_model_free(m);
        after = contract_blocks(ctx);
        leaks += before != after;
        grown += after - before;
        tried++;
    }
    is_int(wrong, 0, "%s: %s: out of memory at %lld places is that or nothing", e->name, p->name, (long long)tried);
    is_int(contract_leaks(e, leaks, grown), 0, "%s: %s: and leaks nothing", e->name, p->name);
    is_int(differs, 0, "%s: %s: and the next run is the undisturbed one", e->name, p->name);
}

/* ---- tables
 * --------------------------------------------------------------------------------------------------------------- */

static bool set_number(peri_context *ctx, const peri_plugin *p, const peri_option *o, double value, void *out,
                       arena *strings)
{
    const peri_setting s = {.key = o->name, .type = PERI_VALUE_NUMBER, .number = value};
    return option_set(ctx, p, &s, out, strings) == PERI_OK;
}

static void test_option(peri_context *ctx, const peri_plugin *p, const peri_option *o, void *out, arena *strings)
{
    if (o->type == PERI_OPTION_REAL || o->type == PERI_OPTION_INT) {
        const bool whole = o->type == PERI_OPTION_INT;
        const double below = whole ? o->lower - 1 : nextafter(o->lower, -INFINITY);
        const double above = whole ? o->upper + 1 : nextafter(o->upper, INFINITY);
        ok(set_number(ctx, p, o, o->lower, out, strings) && set_number(ctx, p, o, o->upper, out, strings),
           "%s: %s: the bounds [%g, %g] are accepted", p->name, o->name, o->lower, o->upper);
        ok((isinf(o->lower) || !(below < o->lower) || !set_number(ctx, p, o, below, out, strings)) &&
               (isinf(o->upper) || !(above > o->upper) || !set_number(ctx, p, o, above, out, strings)),
           "%s: %s: and nothing beyond", p->name, o->name);
    }
    ok(o->type == PERI_OPTION_STRING || !set_number(ctx, p, o, NAN, out, strings), "%s: %s: nor NaN", p->name, o->name);
    for (int64_t i = 0; o->type == PERI_OPTION_ENUM && o->choices[i] != NULL; i++) {
        const peri_setting s = {.key = o->name, .type = PERI_VALUE_TEXT, .text = o->choices[i]};
        is_int(option_set(ctx, p, &s, out, strings), PERI_OK, "%s: %s: %s", p->name, o->name, o->choices[i]);
    }
}

static bool is_filled(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* A licence as SPDX writes it: words, AND, OR, WITH, parentheses. */
static bool is_license(const char *text)
{
    return is_filled(text) &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-+() ") == strlen(text);
}

/* As lists show it: some words, not a sentence. */
static bool is_line(const char *text, size_t longest)
{
    const size_t n = text != NULL ? strlen(text) : 0;
    return n > 0 && n <= longest && text[n - 1] != '.' && text[n - 1] != ' ' && text[0] != ' ';
}

static void test_texts(const peri_plugin *p)
{
    ok(is_line(p->summary, 120), "%s: its summary is one line of at most 120 characters without a full stop", p->name);
    ok(is_filled(p->page) && strlen(p->page) >= 60, "%s: its page says what the method does, for what, and how it ends", p->name);
    ok(is_license(p->license), "%s: its licence is an SPDX expression", p->name);
    for (uint32_t i = 0; i < p->n_options; i++) {
        const peri_option *o = &p->options[i];
        ok(is_line(o->help, 200) && strncmp(o->help, "the ", 4) != 0, "%s: %s: its help is a line without \"the\" at its beginning",
           p->name, o->name);
        ok(is_filled(o->unit) || o->type == PERI_OPTION_STRING, "%s: %s: has a unit, or \"1\"", p->name, o->name);
    }
}

static void test_table(peri_context *ctx, const registry_entry *e, const peri_plugin *p)
{
    contract_at("its table");
    test_texts(p);
    arena strings;
    char *page = NULL;
    arena_init(&strings, &ctx->mem);
    void *out = arena_array(&strings, 1, p->size_options);
    is_int(option_defaults(ctx, p, out), PERI_OK, "%s: defaults", p->name);
    for (uint32_t i = 0; i < p->n_options; i++)
        test_option(ctx, p, &p->options[i], out, &strings);
    arena_release(&strings);
    ok(is_filled(p->page) && is_filled(p->reference) && is_filled(p->version) && is_filled(p->license) &&
           is_filled(p->family),
       "%s: has page, reference, version, licence and family", p->name);
    is_text(e->summary, p->summary, "%s: the index tells its summary", p->name);
    ok(e->needs == p->needs[0] && e->refuses == p->refuses[0] && e->gives == p->gives && e->flags == p->flags &&
           e->rank == p->rank,
       "%s: and its traits", p->name);
    is_int(option_page(ctx, e, p, false, &page), PERI_OK, "%s: its page", p->name);
    for (uint32_t i = 0; i < p->n_options; i++)
        has_text(page, p->options[i].name, "%s: tells of %s", p->name, p->options[i].name);
    peri_free_text(ctx, page);
}

/* ---- options' ends: whatever a user sets within the ranges, a run ends in a result or an error that says why
 * --------------------------- */

static void try_value(peri_context *ctx, const registry_entry *e, const contract_problem *p, const peri_setting *tried)
{
    const peri_setting settings[] = {*tried, {.key = "iterations", .type = PERI_VALUE_NUMBER, .number = 50},
                                     {.key = "time_limit", .type = PERI_VALUE_NUMBER, .number = 5}};
    const peri_solve_args args = {.plan = e->name, .n_settings = 3, .settings = settings};
    int64_t before = 0, after = 0;
    char value[64];
    if (tried->type == PERI_VALUE_TEXT)
        snprintf(value, sizeof value, "%s", tried->text);
    else
        snprintf(value, sizeof value, "%g", tried->number);
    before = contract_blocks(ctx);
    peri_model *m = contract_model(ctx, p);
    contract_at("%s with %s = %s", p->name, tried->key, value);
    const contract_result r = contract_solve(m, &args);
    const bool told = r.status == PERI_OK || r.status == PERI_E_NOMEM || r.status == PERI_E_UNSUPPORTED ||
                      r.status == PERI_E_OPTION || r.status == PERI_E_NUMERIC;
    if (!ok(told, "%s: %s = %s ends in a result or says why not", e->name, tried->key, value))
        diag("%s: %s", peri_status_name(r.status), peri_error(ctx));
    bool finite = isfinite(r.objective);
    for (int64_t j = 0; j < r.n; j++)
        finite = finite && isfinite(r.x[j]);
    ok(r.status != PERI_OK || finite, "%s: %s = %s: with a point", e->name, tried->key, value);
    peri_model_free(m);
    after = contract_blocks(ctx);
    is_int(contract_leaks(e, after != before, after - before), 0, "%s: %s = %s: leaks nothing", e->name, tried->key, value);
}

static void test_option_ends(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin, const contract_problem *p)
{
    const peri_config config = {.memory_limit = (size_t)256 << 20, .plugin_path = ctx->plugin_path};
    peri_context *small = contract_context(&config); /* the upper end of a size may ask for more than there is */
    const peri_setting nothing = {.key = "iterations", .type = PERI_VALUE_NUMBER, .number = 50};
    const peri_solve_args args = {.plan = e->name, .n_settings = 1, .settings = &nothing};
    peri_model *m = contract_model(small, p);
    contract_at("%s with the defaults", p->name);
    is_int(contract_solve(m, &args).status, PERI_OK, "%s: defaults", e->name); /* loads what stays loaded */
    peri_model_free(m);
    for (uint32_t i = 0; i < plugin->n_options; i++) {
        const peri_option *o = &plugin->options[i];
        peri_setting s = {.key = o->name, .type = PERI_VALUE_NUMBER};
        for (int end = 0; end < 2 && o->type <= PERI_OPTION_BOOL; end++) {
            s.number = end == 0 ? o->lower : o->upper;
            if (isfinite(s.number))
                try_value(small, e, p, &s);
        }
        s.type = PERI_VALUE_TEXT;
        for (int64_t k = 0; o->type == PERI_OPTION_ENUM && o->choices[k] != NULL; k++) {
            s.text = o->choices[k];
            try_value(small, e, p, &s);
        }
    }
    peri_context_free(small);
}

/* ---- the parts
 * --------------------------------------------------------------------------------------------------------- */

static const contract_problem *small_problem(peri_context *ctx, const registry_entry *e)
{
    return accepted(ctx, e, index_of("Rosenbrock's function"));
}

static const contract_problem *large_problem(peri_context *ctx, const registry_entry *e)
{
    return accepted(ctx, e, index_of("HS 71"));
}

static void part_problems(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin)
{
    (void)plugin;
    solved_problems = 0;
    for (int64_t k = 0; k < contract_n_problems; k++)
        test_problem(ctx, e, &contract_problems[k]);
    ok(solved_problems > 0, "%s: solves some of those that it takes", e->name);
    ok(small_problem(ctx, e) != NULL, "%s: takes some problem of the catalogue", e->name);
}

static void part_limits(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin)
{
    (void)plugin;
    test_limits(ctx, e, small_problem(ctx, e));
    test_limits(ctx, e, large_problem(ctx, e));
}

static void part_repeats(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin)
{
    (void)plugin; /* one that takes several steps */
    test_repeats(ctx, e, e->kind == PERI_KIND_REFORMULATION ? large_problem(ctx, e) : small_problem(ctx, e));
}

bool contract_is_shared_object(const registry_entry *e)
{
    const size_t n = strlen(e->file);
    return n > 3 && strcmp(e->file + n - 3, ".so") == 0;
}

static void part_steps(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin)
{
    if (!contract_is_shared_object(e)) {
        skip(1, "%s: in Lua, arrays come and go", e->name);
        return;
    }
    test_allocations(e, plugin, small_problem(ctx, e));
    test_allocations(e, plugin, large_problem(ctx, e));
}

static void part_options(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin)
{
    test_option_ends(ctx, e, plugin, large_problem(ctx, e));
}

static void part_memory(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin)
{
    (void)plugin;
    test_memory(ctx, e, large_problem(ctx, e));
}

static void part_user_faults(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin)
{
    (void)plugin;
    contract_user_faults(ctx, e);
}

static void part_faults(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin)
{
    (void)plugin;
    const contract_problem *p = small_problem(ctx, e), *q = large_problem(ctx, e);
    contract_faults(ctx, e, p);
    if (q != p)
        contract_faults(ctx, e, q);
}

static void part_linear(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin)
{
    (void)plugin;
    contract_linear(ctx, e);
}

enum { SOLVER = 1 << PERI_KIND_SOLVER, REFORMULATION = 1 << PERI_KIND_REFORMULATION, LINEAR = 1 << PERI_KIND_LINEAR_SOLVER };

const contract_part contract_parts[] = {
    {"table, options and page", SOLVER | REFORMULATION | LINEAR, false, test_table},
    {"known problems", SOLVER | REFORMULATION, false, part_problems},
    {"limits", SOLVER | REFORMULATION, true, part_limits},
    {"repeated, nested and parallel runs", SOLVER | REFORMULATION, true, part_repeats},
    {"steps allocate nothing", SOLVER, true, part_steps},
    {"options at their ends", SOLVER | REFORMULATION, true, part_options},
    {"memory that runs out", SOLVER | REFORMULATION, true, part_memory},
    {"functions that fail", SOLVER | REFORMULATION, true, part_user_faults},
    {"evaluations that fail, interruption", SOLVER | REFORMULATION, true, part_faults},
    {"linear systems", LINEAR, false, part_linear},
};
const int64_t contract_n_parts = (int64_t)(sizeof contract_parts / sizeof contract_parts[0]);

bool contract_run_part(peri_context *ctx, const contract_part *part, registry_entry *e, const peri_plugin *p)
{
    if ((part->kinds & (1 << e->kind)) == 0 || (part->on_problems && small_problem(ctx, e) == NULL))
        return false;
    part->run(ctx, e, p);
    return true;
}
