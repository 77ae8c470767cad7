/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - inside engine/plugin only. */
#ifndef PERI_PLUGIN_INTERNAL_H
#define PERI_PLUGIN_INTERNAL_H

#include "plugin/registry.h"

typedef VEC(const peri_plugin *) plugin_list;

/* What an index says of one plugin (entry) or of a refused file or plugin (refusal, the reason). */
typedef struct {
    char *file; /* relative to the folder */
    uint64_t size;
    int64_t time;
    registry_entry *entry;
    char *refusal;
} index_row;

typedef VEC(index_row) index_rows;

typedef struct {
    char *file, *line;  /* line: "file: reason" */
    const char *reason; /* inside line */
    bool from_index;    /* not tried in this process yet */
} refusal;

struct registry {
    peri_context *ctx;
    arena memory; /* entries, tables, texts: all that lives as long as the registry */
    VEC(char *) folders;
    VEC(registry_entry *) entries;
    VEC(refusal) refused;
    const char **refused_lines; /* what registry_refused hands out; made anew when there are more */
    int64_t n_refused_lines;
    int64_t changes;
    bool indexing;             /* of one folder, named for that: its path may be relative */
    peri_plugin_entry *listed; /* what peri_plugins_list hands out; NULL until asked for, and after a change */
};

/* registry.c */
registry *registry_new(peri_context *ctx); /* empty; NULL: out of memory */
void registry_free(registry *r);
/* Keep "file: REASON" and log it as a warning, or, when an index said so, as information. PERI_E_NOMEM or PERI_OK. */
peri_status registry_refuse(registry *r, bool from_index, const char *file, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The file's plugins become entries; a name that is taken is refused, naming both files. */
peri_status registry_add(registry *r, registry_entry *e);
void registry_sort(registry *r);
const char *kind_name(uint32_t kind);  /* "linear_solver"; "unknown" */
const char *kind_words(uint32_t kind); /* "linear solver" */

/* scan.c */
peri_status
scan_default_folders(registry *r); /* r->folders from the context, the environment, or where the engine lies */
peri_status scan_add_folder(registry *r, const char *path, size_t length);
peri_status scan_folder(registry *r, const char *folder, bool use_index);
peri_status scan_load(registry *r, const char *path);             /* its plugins become entries */
peri_status scan_loader_files(registry *r); /* files of the context's loader, which has come after the registry */
registry_entry *scan_entry(registry *r, const char *origin, const peri_plugin *p); /* NULL: out of memory */
bool file_stamp(const char *path, uint64_t *size, int64_t *time); /* false: not a regular file */

/* load.c */
/* load_file - open the file and add its good tables to `found`; the rest is refused. Only PERI_E_NOMEM ends it. */
peri_status load_file(registry *r, const char *path, plugin_list *found);

/* trial.c: does the loading of this file come back, in a child process? false: `why` */
bool trial_load(const char *path, char *why, size_t size);

/* stamp.c */
/* stamp_copy - a table of another minor version as one of ours: missing fields are zero, those that we do not know are
 * left out. NULL with `why` filled: refused; why "" : out of memory. */
const peri_plugin *stamp_copy(arena *a, const peri_plugin *theirs, char *why, size_t size);
bool table_check(const peri_plugin *p, char *why, size_t size);        /* kind, callbacks, texts, traits */
bool option_table_check(const peri_plugin *p, char *why, size_t size); /* option_check.c */

/* given.c: tables that no shared object holds, copied whole. NULL with `why` filled: refused; why "": out of memory. */
const peri_plugin *given_table(arena *a, const peri_plugin *theirs, char *why, size_t size);
bool given_is_file(const peri_context *ctx, const char *path); /* one for the context's loader */
peri_status given_load(registry *r, const char *path, plugin_list *found);

/* index.c */
/* Rows of FOLDER/index; none where the file is missing, malformed, cut or of another ABI. */
peri_status index_read(registry *r, const char *folder, index_rows *rows);
peri_status index_write(registry *r, const char *folder);

#endif
