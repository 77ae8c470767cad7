/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.h - what is installed. The index (one text file per plugin folder, written by `perigee index` at build and install time,
 * refreshed in memory when a file's size or time differs) tells names, kinds, traits and options' names without loading anything;
 * a shared object is loaded when a run uses one of its plugins.
 */
#ifndef PERI_PLUGIN_REGISTRY_H
#define PERI_PLUGIN_REGISTRY_H

#include "base/context.h"
#include <perigee/plugin.h>

typedef struct registry registry;

typedef struct {
    char *name, *kind_name, *family, *summary, *license, *file;
    uint32_t kind;
    int32_t rank;
    uint64_t needs, refuses, gives, flags;
    const peri_plugin *plugin; /* NULL until loaded */
    uint64_t file_size;
    int64_t file_time; /* nanoseconds */
} registry_entry;

peri_status registry_get(peri_context *ctx, registry **out); /* makes it at the first use */
int64_t registry_count(const registry *r);
registry_entry *registry_at(registry *r, int64_t i); /* sorted by kind, then name */
/* PERI_E_NAME with the nearest names when absent; kind 0: any */
peri_status registry_find(registry *r, const char *name, uint32_t kind, registry_entry **out);
/* Loads the entry's file if it is not yet loaded; checks stamp, tables, options; one clear line when refused. */
peri_status registry_load(registry *r, registry_entry *e, const peri_plugin **out);
/* Writes the index of one folder (`perigee index DIR`). Loads every plugin there. */
peri_status registry_write_index(peri_context *ctx, const char *folder);
const peri_host *host_table(void); /* plugin/host.c, filled by run/ */

/* options.c: one table, all uses. `out` has size_options bytes. */
peri_status option_defaults(peri_context *ctx, const peri_plugin *p, void *out);
peri_status option_set(peri_context *ctx, const peri_plugin *p, const peri_setting *setting, void *out, arena *strings);
peri_status option_page(peri_context *ctx, const registry_entry *e, const peri_plugin *p, bool json, char **out);

/* match.c: does the problem with these traits fit the plugin? false: the reason, one line, e.g. "refuses constraints". */
bool match_traits(uint64_t traits, uint64_t needs, uint64_t refuses, char *why, size_t size);

#endif
