/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - which folders hold plugins and which files are in them. A folder is searched with the folders directly
 * inside it; a file that the folder's index knows with its present size and time becomes entries without being opened,
 * any other one is loaded.
 */
#define _GNU_SOURCE
#include "plugin/internal.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef PERI_PLUGIN_DIR
#error "PERI_PLUGIN_DIR, the installed plugins' folder, comes from the build"
#endif

/* ---- folders
 * -------------------------------------------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_same_folder(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* "a\\ b" as "a b": pkg-config tells folders so, and a path made of what it tells has them so. */
static void drop_backslashes(char *folder)
{
    char *to = folder;
    for (const char *from = folder; *from != '\0'; from++)
        if (from[0] != '\\' || from[1] != ' ')
            *to++ = *from;
    *to = '\0';
}

peri_status scan_add_folder(registry *r, const char *path, size_t length)
{
    while (length > 1 && path[length - 1] == '/')
        length--;
    char *folder = arena_alloc(&r->memory, length + 1);
    if (folder == NULL)
        return FAIL_NOMEM(r->ctx);
    memcpy(folder, path, length);
    if (!is_folder(folder))
        drop_backslashes(folder);
    if (!is_folder(folder)) {
        log_write(r->ctx, 1, "plugin folder %.*s: no such folder", (int)length, path);
        return PERI_OK;
    }
    for (int64_t i = 0; i < r->folders.n; i++)
        if (is_same_folder(r->folders.at[i], folder))
            return PERI_OK;
    return vec_push(&r->ctx->mem, &r->folders, folder) ? PERI_OK : FAIL_NOMEM(r->ctx);
}

static peri_status add_path(registry *r, const char *path)
{
    while (*path != '\0') {
        const size_t n = strcspn(path, ":");
        if (n > 0)
            TRY(scan_add_folder(r, path, n));
        path += n + (path[n] == ':');
    }
    return PERI_OK;
}

/* The folder of the object that holds the engine, without a slash at its end; false: unknown. */
static bool own_folder(char folder[PATH_MAX])
{
    Dl_info info;
    static const char anchor = 0; /* an address inside this object */
    if (dladdr(&anchor, &info) == 0 || info.dli_fname == NULL || realpath(info.dli_fname, folder) == NULL)
        return false;
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

static peri_status add_installed(registry *r)
{
    static const char *const beside[] = {"perigee/plugins", "plugins"};
    char own[PATH_MAX], path[PATH_MAX + 32];
    for (size_t i = 0; own_folder(own) && i < sizeof beside / sizeof beside[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", own, beside[i]);
        if (is_folder(path))
            return scan_add_folder(r, path, strlen(path));
    }
    return scan_add_folder(r, PERI_PLUGIN_DIR, strlen(PERI_PLUGIN_DIR));
}

peri_status scan_default_folders(registry *r)
{
    const char *path = r->ctx->plugin_path;
    if (path == NULL)
        path = secure_getenv("PERIGEE_PLUGIN_PATH"); /* not believed by a program with elevated privileges */
    return path != NULL && path[0] != '\0' ? add_path(r, path) : add_installed(r);
}

/* ---- files
 * ---------------------------------------------------------------------------------------------------------------- */

bool file_stamp(const char *path, uint64_t *size, int64_t *time)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *size = (uint64_t)st.st_size;
    *time = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return true;
}

typedef VEC(char *) path_list;

static bool is_plugin_name(const registry *r, const char *name)
{
    const size_t n = strlen(name);
    return name[0] != '.' && ((n > 3 && strcmp(name + n - 3, ".so") == 0) || given_is_file(r->ctx, name));
}

/* Names in `path` that are a plugin's, and with depth > 0 those in its folders, as full paths. A folder that cannot be read
 * is empty. */
static peri_status list_files(registry *r, const char *path, int depth, path_list *files)
{
    DIR *d = opendir(path);
    peri_status status = d != NULL || errno != ENOMEM ? PERI_OK : FAIL_NOMEM(r->ctx);
    for (const struct dirent *e = NULL; status == PERI_OK && d != NULL && (e = readdir(d)) != NULL;) {
        const bool plugin = is_plugin_name(r, e->d_name);
        const bool inner =
            depth > 0 && e->d_name[0] != '.' && (e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN);
        if (!plugin && !inner)
            continue;
        const size_t size = strlen(path) + strlen(e->d_name) + 2;
        char *full = arena_alloc(&r->memory, size);
        if (full == NULL) {
            status = FAIL_NOMEM(r->ctx);
            break;
        }
        snprintf(full, size, "%s/%s", path, e->d_name);
        if (inner && is_folder(full))
            status = list_files(r, full, depth - 1, files);
        else if (plugin && !vec_push(&r->ctx->mem, files, full))
            status = FAIL_NOMEM(r->ctx);
    }
    if (d != NULL)
        closedir(d);
    return status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The file is the one that the row describes. Packages keep whole seconds only, so a time without a fraction matches
 * its second. */
static bool is_current(const index_row *row, uint64_t size, int64_t time)
{
    const int64_t second = 1000000000;
    return row->size == size && (row->time == time || (time % second == 0 && row->time / second == time / second));
}

/* Entries and refusals from the index's rows for this file; *known false: none, or they are stale. */
static peri_status add_indexed(registry *r, const char *folder, char *path, const index_rows *rows, uint64_t size,
                               int64_t time, bool *known)
{
    const char *name = path + strlen(folder) + 1;
    *known = false;
    for (int64_t i = 0; i < rows->n; i++) {
        const index_row *row = &rows->at[i];
        if (!is_current(row, size, time) || strcmp(row->file, name) != 0)
            continue;
        *known = true;
        if (row->entry == NULL) {
            TRY(registry_refuse(r, true, path, "%s", row->refusal));
            continue;
        }
        row->entry->file = path;
        row->entry->file_time = time;
        TRY(registry_add(r, row->entry));
    }
    return PERI_OK;
}

static peri_status scan_files(registry *r, const char *folder, bool use_index, bool of_loader_only)
{
    path_list files = {0};
    index_rows rows = {0};
    peri_status status = list_files(r, folder, 1, &files);
    if (status == PERI_OK && use_index)
        status = index_read(r, folder, &rows);
    if (files.n > 1)
        qsort(files.at, (size_t)files.n, sizeof files.at[0], by_text);
    for (int64_t i = 0; status == PERI_OK && i < files.n; i++) {
        uint64_t size = 0;
        int64_t time = 0;
        bool known = false;
        if ((of_loader_only && !given_is_file(r->ctx, files.at[i])) || !file_stamp(files.at[i], &size, &time))
            continue;
        status = add_indexed(r, folder, files.at[i], &rows, size, time, &known);
        if (status == PERI_OK && !known)
            status = scan_load(r, files.at[i]);
    }
    vec_free(&r->ctx->mem, &files);
    vec_free(&r->ctx->mem, &rows);
    return status;
}

peri_status scan_folder(registry *r, const char *folder, bool use_index)
{
    return scan_files(r, folder, use_index, false);
}

peri_status scan_loader_files(registry *r)
{
    for (int64_t i = 0; i < r->folders.n; i++)
        TRY(scan_files(r, r->folders.at[i], true, true));
    registry_sort(r);
    return PERI_OK;
}

/* ---- an entry from a loaded table
 * ----------------------------------------------------------------------------------------- */

static char *copy_or_empty(registry *r, const char *text)
{
    return arena_string(&r->memory, text != NULL ? text : "");
}

static char *join_options(registry *r, const peri_plugin *p)
{
    size_t size = 1, at = 0;
    for (uint32_t i = 0; i < p->n_options; i++)
        size += strlen(p->options[i].name) + 1;
    char *text = arena_alloc(&r->memory, size);
    for (uint32_t i = 0; text != NULL && i < p->n_options; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", i > 0 ? "," : "", p->options[i].name);
    return text;
}

registry_entry *scan_entry(registry *r, const char *path, const peri_plugin *p)
{
    registry_entry *e = arena_alloc(&r->memory, sizeof *e);
    if (e == NULL)
        return NULL;
    e->name = copy_or_empty(r, p->name);
    e->family = copy_or_empty(r, p->family);
    e->summary = copy_or_empty(r, p->summary);
    e->license = copy_or_empty(r, p->license != NULL ? p->license : "unknown");
    e->options = join_options(r, p);
    e->file = path;
    e->kind = p->kind;
    e->rank = p->rank;
    e->needs = p->needs[0];
    e->removes = p->removes[0];
    e->adds = p->adds[0];
    e->refuses = p->refuses[0];
    e->gives = p->gives;
    e->flags = p->flags;
    e->plugin = p;
    const bool whole =
        e->name != NULL && e->family != NULL && e->summary != NULL && e->license != NULL && e->options != NULL;
    return whole ? e : NULL;
}

peri_status scan_load(registry *r, const char *path)
{
    plugin_list found = {0};
    uint64_t size = 0;
    int64_t time = 0;
    char *kept = arena_string(&r->memory, path);
    if (kept == NULL)
        return FAIL_NOMEM(r->ctx);
    file_stamp(path, &size,
               &time); /* before loading: a file replaced meanwhile is then seen as changed the next time */
    peri_status status = load_file(r, path, &found);
    for (int64_t i = 0; status == PERI_OK && i < found.n; i++) {
        registry_entry *e = scan_entry(r, kept, found.at[i]);
        if (e == NULL) {
            status = FAIL_NOMEM(r->ctx);
            break;
        }
        e->file_size = size;
        e->file_time = time;
        status = registry_add(r, e);
    }
    vec_free(&r->ctx->mem, &found);
    return status;
}
