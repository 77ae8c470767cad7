/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.h - what is installed. The index (one text file per plugin folder, written by `perigee index` at build and
 * install time, refreshed in memory when a file's size or time differs) tells names, kinds, traits and options' names without
 * loading anything; a shared object is loaded when a run uses one of its plugins.
 */
#ifndef PERI_PLUGIN_REGISTRY_H
#define PERI_PLUGIN_REGISTRY_H

#include "base/context.h"
#include "base/text.h"
#include "oracle/nlp.h"
#include <perigee/plugin.h>

typedef struct registry registry;

typedef struct {
    const char *name, *kind_name, *family, *summary, *license, *file;
    uint32_t kind;
    int32_t rank;
    uint64_t needs, refuses, gives, flags, removes, adds;
    const peri_plugin *plugin; /* NULL until loaded */
    uint64_t file_size;
    int64_t file_time; /* nanoseconds */
    const char *options; /* their names, joined by ',' */
    bool registered; /* by the program: no file holds it */
} registry_entry;

peri_status registry_get(peri_context *ctx, registry **out); /* makes it at the first use */
int64_t registry_count(const registry *r);
int64_t registry_changes(const registry *r); /* counts plugins that came, went or lost their code: a plan that was made holds for one value */
registry_entry *registry_at(registry *r, int64_t i); /* sorted by kind, then name */
/* PERI_E_NAME with the nearest names when absent; kind 0: any */
peri_status registry_find(registry *r, const char *name, uint32_t kind, registry_entry **out);
/* Loads the entry's file if it is not yet loaded; checks stamp, tables, options; one clear line when refused. */
peri_status registry_load(registry *r, registry_entry *e, const peri_plugin **out);
/* The page of an installed plugin, as peri_plugin_page. */
peri_status registry_page(peri_context *ctx, const char *name, bool json, char **out);
/* Writes the index of one folder (`perigee index DIR`, peri_plugins_write_index). Loads every plugin there. */
peri_status registry_write_index(peri_context *ctx, const char *folder);
/* One line for each file or plugin that was refused; borrowed while the context lives. -1: out of memory */
int64_t registry_refused(registry *r, const char *const **lines);
const peri_host *host_table(void); /* run/host.c */

/*
 * option.c: one table, all uses. `out` has size_options bytes. option_set's errors are PERI_E_OPTION with one line,
 * "lbfgs: option "memory" is 0, must be in [1, 1000]"; an unknown key is told with the nearest of the plugin's and the
 * engine's names.
 */
peri_status option_defaults(peri_context *ctx, const peri_plugin *p, void *out);
peri_status option_set(peri_context *ctx, const peri_plugin *p, const peri_setting *setting, void *out, arena *strings);
peri_status option_page(peri_context *ctx, const registry_entry *e, const peri_plugin *p, bool json, char **out);

/* match.c: does a problem with these traits fit the plugin? false: why, one line, e.g. "refuses constraints" */
bool match_traits(uint64_t traits, uint64_t needs, uint64_t refuses, char *why, size_t size);

/* The names of the engine's own options, which no plugin may use. */
extern const char *const option_engine_names[];
extern const int64_t option_n_engine_names;

/* What solves a problem: link 0 gets it, every reformulation hands the problem that it makes to the next, the last is a solver. */
enum { PLAN_LONGEST = 6 };
typedef struct {
    int64_t n;
    registry_entry *link[PLAN_LONGEST];
} plan_chain;

/*
 * plan_choose - the plan for a problem
 *   in   plan     NULL or "": the shortest chain of automatic plugins that fits, of those the one of highest rank; "ipm";
 *                 "penalty > lbfgs"; a chain that ends with a reformulation is completed by the engine's choice
 *   in   reasons  NULL, or the text to which one line per candidate is added: "lbfgs: fits, rank 40; chosen"
 *   out  chosen   links loaded or not: registry_load them
 *   err  PERI_E_NAME: unknown, with the nearest names; PERI_E_UNSUPPORTED: it, or nothing, fits, with the reasons
 */
peri_status plan_choose(nlp *p, const char *plan, text_buffer *reasons, plan_chain *chosen);
void plan_text(const plan_chain *chain, char *out, size_t size); /* "penalty > lbfgs" */
/* plan_explain - the plan that solve would use for the model and why, several lines; own: mem_array memory */
peri_status plan_explain(peri_model *m, const char *plan, char **text);

#endif
