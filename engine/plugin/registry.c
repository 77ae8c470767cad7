/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - what is installed, by name. Made at the first use from the folders' indices; a shared object is loaded
 * when one of its plugins is asked for. Invariant: names are unique among all kinds, entries are sorted by kind and
 * name and stay where they are until the context goes; what was refused is kept with the reason.
 */
#include "plugin/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- kinds
 * ------------------------------------------------------------------------------------------------------------------ */

const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"unknown",   "solver",    "reformulation", "linear_solver",
                                        "estimator", "curvature", "format"};
    return names[kind <= PERI_KIND_FORMAT ? kind : 0];
}

const char *kind_words(uint32_t kind)
{
    static const char *const words[] = {"unknown",   "solver", "reformulation", "linear solver", "gradient estimator",
                                        "curvature", "format"};
    return words[kind <= PERI_KIND_FORMAT ? kind : 0];
}

/* ---- life
 * -------------------------------------------------------------------------------------------------------------------
 */

registry *registry_new(peri_context *ctx)
{
    registry *r = mem_alloc(&ctx->mem, sizeof *r);
    if (r == NULL)
        return NULL;
    r->ctx = ctx;
    arena_init(&r->memory, &ctx->mem);
    return r;
}

void registry_free(registry *r)
{
    mem *m = &r->ctx->mem;
    vec_free(m, &r->folders);
    vec_free(m, &r->entries);
    vec_free(m, &r->refused);
    arena_release(&r->memory);
    mem_free(m, r, sizeof *r);
}

peri_status registry_get(peri_context *ctx, registry **out)
{
    *out = ctx->registry;
    if (ctx->registry != NULL)
        return PERI_OK;
    registry *r = registry_new(ctx);
    if (r == NULL)
        return FAIL_NOMEM(ctx);
    peri_status status = scan_default_folders(r);
    for (int64_t i = 0; status == PERI_OK && i < r->folders.n; i++)
        status = scan_folder(r, r->folders.at[i], true);
    if (status != PERI_OK) {
        registry_free(r);
        return status;
    }
    registry_sort(r);
    ctx->registry = r;
    ctx->registry_free = registry_free;
    *out = r;
    return PERI_OK;
}

peri_status registry_write_index(peri_context *ctx, const char *folder)
{
    registry *r = registry_new(ctx);
    if (r == NULL)
        return FAIL_NOMEM(ctx);
    r->indexing = true;
    peri_status status = scan_add_folder(r, folder, strlen(folder));
    if (status == PERI_OK && r->folders.n == 0)
        status = FAIL(ctx, PERI_E_IO, "%s: no such folder", folder);
    if (status == PERI_OK)
        status = scan_folder(r, r->folders.at[0], false);
    if (status == PERI_OK) {
        registry_sort(r);
        status = index_write(r, r->folders.at[0]);
    }
    registry_free(r);
    return status;
}

/* ---- adding
 * ----------------------------------------------------------------------------------------------------------------- */

peri_status registry_refuse(registry *r, bool from_index, const char *file, const char *format, ...)
{
    char reason[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    const size_t prefix = strlen(file) + 2, size = prefix + strlen(reason) + 1;
    refusal f = {
        .file = arena_string(&r->memory, file), .line = arena_alloc(&r->memory, size), .from_index = from_index};
    if (f.file == NULL || f.line == NULL)
        return FAIL_NOMEM(r->ctx);
    snprintf(f.line, size, "%s: %s", file, reason);
    f.reason = f.line + prefix;
    log_write(r->ctx, from_index ? 1 : 0, "plugin refused: %s", f.line);
    return vec_push(&r->ctx->mem, &r->refused, f) ? PERI_OK : FAIL_NOMEM(r->ctx);
}

static registry_entry *entry_named(const registry *r, const char *name)
{
    for (int64_t i = 0; i < r->entries.n; i++)
        if (strcmp(r->entries.at[i]->name, name) == 0)
            return r->entries.at[i];
    return NULL;
}

peri_status registry_add(registry *r, registry_entry *e)
{
    const registry_entry *taken = entry_named(r, e->name);
    if (taken != NULL)
        return registry_refuse(r, false, e->file, "the name \"%s\" is already that of a plugin in %s", e->name,
                               taken->file);
    e->kind_name = kind_name(e->kind);
    r->listed = NULL;
    r->changes++;
    return vec_push(&r->ctx->mem, &r->entries, e) ? PERI_OK : FAIL_NOMEM(r->ctx);
}

static int by_kind_and_name(const void *a, const void *b)
{
    const registry_entry *x = *(registry_entry *const *)a, *y = *(registry_entry *const *)b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return strcmp(x->name, y->name);
}

void registry_sort(registry *r)
{
    if (r->entries.n > 1)
        qsort(r->entries.at, (size_t)r->entries.n, sizeof r->entries.at[0], by_kind_and_name);
}

/* ---- looking up
 * ------------------------------------------------------------------------------------------------------------- */

int64_t registry_count(const registry *r)
{
    return r->entries.n;
}

int64_t registry_changes(const registry *r)
{
    return r->changes;
}

registry_entry *registry_at(registry *r, int64_t i)
{
    return r->entries.at[i];
}

/* What an index calls refused is tried once more before a name is given up: the library that was missing may be there
 * by now. */
static peri_status retry_refused(registry *r)
{
    const int64_t n = r->refused.n;
    int64_t kept = 0;
    peri_status status = PERI_OK;
    VEC(char *) again = {0};
    for (int64_t i = 0; status == PERI_OK && i < n; i++)
        if (r->refused.at[i].from_index && !vec_push(&r->ctx->mem, &again, r->refused.at[i].file))
            status = FAIL_NOMEM(r->ctx);
    for (int64_t i = 0; status == PERI_OK && i < n; i++)
        if (!r->refused.at[i].from_index)
            r->refused.at[kept++] = r->refused.at[i];
    if (status == PERI_OK)
        r->refused.n = kept;
    for (int64_t i = 0; status == PERI_OK && i < again.n; i++)
        status = scan_load(r, again.at[i]);
    registry_sort(r);
    vec_free(&r->ctx->mem, &again);
    return status;
}

/* " (did you mean ...?)" among the names of that kind. */
static peri_status nearest_names(const registry *r, const char *name, uint32_t kind, char *out, size_t size)
{
    int64_t n = 0;
    const char **names = mem_array(&r->ctx->mem, (size_t)r->entries.n, sizeof *names);
    if (names == NULL)
        return FAIL_NOMEM(r->ctx);
    for (int64_t i = 0; i < r->entries.n; i++)
        if (kind == 0 || r->entries.at[i]->kind == kind)
            names[n++] = r->entries.at[i]->name;
    fail_nearest(name, names, n, out, size);
    mem_array_free(&r->ctx->mem, names);
    return PERI_OK;
}

/* The refusal that speaks of the name, or NULL. */
static const char *refusal_of(const registry *r, const char *name)
{
    for (int64_t i = 0; i < r->refused.n; i++) {
        const refusal *f = &r->refused.at[i];
        const char *slash = strrchr(f->file, '/'), *file = slash != NULL ? slash + 1 : f->file;
        const size_t n = strlen(name);
        if ((strncmp(file, name, n) == 0 && (strcmp(file + n, ".so") == 0 || (file[n] == '.' && given_is_file(r->ctx, file)))) ||
            (strncmp(f->reason, name, n) == 0 && f->reason[n] == ':'))
            return f->line;
    }
    return NULL;
}

static peri_status fail_unknown(const registry *r, const char *name, uint32_t kind)
{
    char near[160];
    const char *what = kind == 0 ? "plugin" : kind_words(kind), *refused = refusal_of(r, name);
    const registry_entry *other = entry_named(r, name);
    if (other != NULL)
        return FAIL(r->ctx, PERI_E_NAME, "\"%s\" is a %s, not a %s", name, kind_words(other->kind), what);
    if (refused != NULL)
        return FAIL(r->ctx, PERI_E_NAME, "no %s \"%s\": refused: %s", what, name, refused);
    if (r->folders.n == 0)
        return FAIL(r->ctx, PERI_E_NAME, "no %s \"%s\": no plugin folder was found, set PERIGEE_PLUGIN_PATH", what,
                    name);
    TRY(nearest_names(r, name, kind, near, sizeof near));
    return FAIL(r->ctx, PERI_E_NAME, "no %s \"%s\"%s", what, name, near);
}

peri_status registry_find(registry *r, const char *name, uint32_t kind, registry_entry **out)
{
    *out = entry_named(r, name);
    if (*out == NULL) {
        TRY(retry_refused(r));
        *out = entry_named(r, name);
    }
    if (*out != NULL && (kind == 0 || (*out)->kind == kind))
        return PERI_OK;
    *out = NULL;
    return fail_unknown(r, name, kind);
}

/* ---- loading
 * ---------------------------------------------------------------------------------------------------------------- */

/* All entries of the file get their tables; one that is no longer offered stays without. */
static void give_tables(registry *r, const char *file, const plugin_list *found)
{
    for (int64_t i = 0; i < r->entries.n; i++) {
        registry_entry *e = r->entries.at[i];
        for (int64_t k = 0; k < found->n && strcmp(e->file, file) == 0; k++)
            if (found->at[k]->kind == e->kind && strcmp(found->at[k]->name, e->name) == 0)
                e->plugin = found->at[k];
    }
}

peri_status registry_load(registry *r, registry_entry *e, const peri_plugin **out)
{
    *out = e->plugin;
    if (e->plugin != NULL)
        return PERI_OK;
    plugin_list found = {0};
    const int64_t refused = r->refused.n;
    const peri_status status = load_file(r, e->file, &found);
    if (status == PERI_OK)
        give_tables(r, e->file, &found);
    vec_free(&r->ctx->mem, &found);
    if (status != PERI_OK)
        return status;
    *out = e->plugin;
    if (e->plugin != NULL)
        return PERI_OK;
    if (r->refused.n > refused)
        return FAIL(r->ctx, PERI_E_PLUGIN, "%s: refused: %s", e->name, r->refused.at[r->refused.n - 1].line);
    return FAIL(r->ctx, PERI_E_PLUGIN, "%s: %s no longer holds it; write its folder's index anew", e->name, e->file);
}

/* ---- what the public interface shows
 * ---------------------------------------------------------------------------------------- */

int64_t registry_refused(registry *r, const char *const **lines)
{
    if (r->n_refused_lines != r->refused.n || r->refused_lines == NULL) {
        const char **fresh = arena_array(&r->memory, (size_t)r->refused.n, sizeof *fresh);
        if (fresh == NULL)
            return -1;
        r->refused_lines = fresh;
        r->n_refused_lines = r->refused.n;
    }
    for (int64_t i = 0; i < r->refused.n; i++)
        r->refused_lines[i] = r->refused.at[i].line;
    *lines = r->refused_lines;
    return r->refused.n;
}

peri_status peri_plugins_refused(peri_context *ctx, int64_t *n, const char *const **lines)
{
    registry *r = NULL;
    *n = 0;
    *lines = NULL;
    TRY(registry_get(ctx, &r));
    const int64_t count = registry_refused(r, lines);
    if (count < 0)
        return FAIL_NOMEM(ctx);
    *n = count;
    return PERI_OK;
}

peri_status peri_plugins_write_index(peri_context *ctx, const char *folder)
{
    return registry_write_index(ctx, folder);
}

static peri_plugin_entry *list_entries(registry *r)
{
    peri_plugin_entry *list = arena_array(&r->memory, (size_t)r->entries.n, sizeof *list);
    for (int64_t i = 0; list != NULL && i < r->entries.n; i++) {
        const registry_entry *e = r->entries.at[i];
        list[i] = (peri_plugin_entry){e->name, e->kind_name, e->family, e->summary, e->license, e->file};
    }
    return list;
}

peri_status peri_plugins_list(peri_context *ctx, int64_t *n, const peri_plugin_entry **entries)
{
    registry *r = NULL;
    *n = 0;
    *entries = NULL;
    TRY(registry_get(ctx, &r));
    if (r->listed == NULL)
        r->listed = list_entries(r);
    if (r->listed == NULL)
        return FAIL_NOMEM(ctx);
    *n = r->entries.n;
    *entries = r->listed;
    return PERI_OK;
}

peri_status registry_page(peri_context *ctx, const char *name, bool json, char **out)
{
    registry *r = NULL;
    registry_entry *e = NULL;
    const peri_plugin *p = NULL;
    *out = NULL;
    TRY(registry_get(ctx, &r));
    TRY(registry_find(r, name, 0, &e));
    TRY(registry_load(r, e, &p));
    return option_page(ctx, e, p, json, out);
}
