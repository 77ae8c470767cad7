/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad.h - a solver without fault that accepts its start point and stops, for plugins that are to have one fault each.
 * GOOD(name) are the fields of its table; a fault is a field given again or a field of the stamp changed in the copy
 * that the entry hands out.
 */
#ifndef PERI_TESTS_BAD_H
#define PERI_TESTS_BAD_H

#include <perigee/plugin.h>

typedef struct {
    double *x;
} bad_state;

typedef struct {
    double first;
    int64_t second;
} bad_options;

PERI_MAYBE_UNUSED static peri_status bad_init(void *self, peri_run *run, const void *options)
{
    bad_state *s = (bad_state *)self;
    (void)options;
    TRY(peri_alloc(run, peri_n(run), &s->x));
    return peri_start(run, s->x);
}

PERI_MAYBE_UNUSED static peri_status bad_step(void *self, peri_run *run, peri_step *next)
{
    bad_state *s = (bad_state *)self;
    peri_row row = peri_empty_row();
    TRY(peri_eval_f(run, s->x, &row.objective));
    TRY(peri_accept(run, s->x, NULL, NULL, &row, next));
    return peri_finish(run, PERI_WHY_STALLED, next);
}

PERI_MAYBE_UNUSED static void bad_fini(void *self, peri_run *run)
{
    (void)self;
    (void)run;
}

PERI_MAYBE_UNUSED static const peri_option bad_list[] = {
    PERI_REAL("first", bad_options, first, 0.25, 0, 1, "1", "a number"),
    PERI_INT("second", bad_options, second, 7, 1, 9, "steps", "a whole number"),
};

static const peri_solver_ops bad_ops = {.init = bad_init, .step = bad_step, .fini = bad_fini};

#define GOOD_WITH(plugin_name, option_array)                                                                           \
    PERI_SOLVER(bad_state, bad_options, option_array), .ops = &bad_ops, .name = (plugin_name), .family = "test",       \
                                                       .version = "1", .license = "Apache-2.0",                        \
                                                       .summary = "accepts its start point and stops"
#define GOOD(plugin_name) GOOD_WITH(plugin_name, bad_list)

/* Exports one plugin whose table is the solver above, changed by `change` (statements on `p`). */
#define BAD_CHANGED(plugin_name, change)                                                                               \
    PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host);                                         \
    PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host)                                          \
    {                                                                                                                  \
        static peri_plugin table;                                                                                      \
        static const peri_plugin good = {GOOD(plugin_name)};                                                           \
        static const peri_plugin *list[2];                                                                             \
        peri_plugin *p = &table;                                                                                       \
        peri_host_table = host;                                                                                        \
        *p = good;                                                                                                     \
        change list[0] = p;                                                                                            \
        return list;                                                                                                   \
    }

#endif
