/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.c - the index of a plugin folder: what a start of the engine has to know of each file, so that it loads none.
 * One line per plugin or refused file, fields separated by tabs, a first line with the version and a last line with the
 * number of lines, so that a file that was cut is seen as such. Invariant: an index is believed as a whole or not at
 * all; what it says of a file holds only while the file's size and time are the ones it gives.
 *
 *   perigee-plugins <tab> 2 <tab> ABI major.minor
 *   plugin  file size time kind name family license rank needs refuses gives flags removes adds options summary
 *   refused file size time reason
 *   end <tab> lines between
 */
#define _POSIX_C_SOURCE 200809L
#include "io/token.h"
#include "plugin/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIELDS_MOST = 18, PLUGIN_FIELDS = 17, REFUSED_FIELDS = 5 };

/* ---- reading
 * -------------------------------------------------------------------------------------------------------------- */

/* Cuts the line at its tabs; the number of fields, FIELDS_MOST + 1 when there are more. */
static int cut_fields(char *line, char *field[FIELDS_MOST])
{
    int n = 0;
    for (char *at = line; at != NULL; n++) {
        if (n == FIELDS_MOST)
            return n + 1;
        field[n] = at;
        at = strchr(at, '\t');
        if (at != NULL)
            *at++ = '\0';
    }
    return n;
}

static bool read_unsigned(const char *text, int base, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoull(text, &end, base);
    return end != text && *end == '\0' && errno == 0 && text[0] != '-';
}

static bool read_signed(const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0;
}

static bool read_head(char *const *f, index_row *row)
{
    row->file = f[1];
    return f[1][0] != '\0' && f[1][0] != '/' && read_unsigned(f[2], 10, &row->size) && read_signed(f[3], &row->time);
}

/* All texts point into the index's own text, which lives in the registry's arena. */
static bool read_plugin(char *const *f, index_row *row, registry_entry *e)
{
    int64_t rank = 0;
    uint64_t kind = 0;
    if (!read_head(f, row) || !read_unsigned(f[4], 10, &kind) || kind == 0 || kind > PERI_KIND_FORMAT ||
        f[5][0] == '\0' || !read_signed(f[8], &rank) || rank < INT32_MIN || rank > INT32_MAX ||
        !read_unsigned(f[9], 16, &e->needs) || !read_unsigned(f[10], 16, &e->refuses) ||
        !read_unsigned(f[11], 16, &e->gives) || !read_unsigned(f[12], 16, &e->flags) ||
        !read_unsigned(f[13], 16, &e->removes) || !read_unsigned(f[14], 16, &e->adds))
        return false;
    e->kind = (uint32_t)kind;
    e->name = f[5];
    e->family = f[6];
    e->license = f[7];
    e->rank = (int32_t)rank;
    e->options = f[15];
    e->summary = f[16];
    e->file_size = row->size;
    e->file_time = row->time;
    row->entry = e;
    return true;
}

/* false: malformed. `failed` true: out of memory. */
static bool read_line(registry *r, char *line, index_rows *rows, bool *failed)
{
    char *field[FIELDS_MOST];
    const int n = cut_fields(line, field);
    index_row row = {0};
    if (strcmp(field[0], "refused") == 0) {
        if (n != REFUSED_FIELDS || !read_head(field, &row))
            return false;
        row.refusal = field[4];
    } else {
        if (n != PLUGIN_FIELDS || strcmp(field[0], "plugin") != 0)
            return false;
        registry_entry *e = arena_alloc(&r->memory, sizeof *e);
        if (e == NULL) {
            *failed = true;
            return false;
        }
        if (!read_plugin(field, &row, e))
            return false;
    }
    *failed = !vec_push(&r->ctx->mem, rows, row);
    return !*failed;
}

/* The next line without its end, or NULL when no whole line is left. */
static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (end == NULL)
        return NULL;
    *end = '\0';
    *at = end + 1;
    return line;
}

static bool parse(registry *r, char *text, index_rows *rows, bool *failed)
{
    char first[64], last[64], *at = text, *line = next_line(&at);
    snprintf(first, sizeof first, "perigee-plugins\t2\t%d.%d", PERI_ABI_MAJOR, PERI_ABI_MINOR);
    if (line == NULL || strcmp(line, first) != 0)
        return false;
    while ((line = next_line(&at)) != NULL) {
        if (strncmp(line, "end\t", 4) == 0) {
            snprintf(last, sizeof last, "end\t%" PRId64, rows->n);
            return strcmp(line, last) == 0 && *at == '\0';
        }
        if (!read_line(r, line, rows, failed))
            return false;
    }
    return false;
}

static char *index_path(registry *r, const char *folder, const char *name)
{
    const size_t size = strlen(folder) + strlen(name) + 2;
    char *path = arena_alloc(&r->memory, size);
    if (path != NULL)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

peri_status index_read(registry *r, const char *folder, index_rows *rows)
{
    char *path = index_path(r, folder, "index"), *data = NULL, *text = NULL;
    size_t size = 0;
    rows->n = 0;
    if (path == NULL)
        return FAIL_NOMEM(r->ctx);
    if (access(path, R_OK) != 0)
        return PERI_OK;
    const fail_record before = r->ctx->error;
    const peri_status status = io_read_all(r->ctx, NULL, path, &data, &size);
    if (status != PERI_OK && status != PERI_E_NOMEM)
        r->ctx->error = before; /* an index that cannot be read is no error: the folder is then scanned */
    if (status != PERI_OK)
        return status == PERI_E_NOMEM ? status : PERI_OK;
    if (strlen(data) == size)
        text = arena_string(&r->memory, data);
    const bool contains_zero = strlen(data) != size;
    mem_array_free(&r->ctx->mem, data);
    if (text == NULL && !contains_zero)
        return FAIL_NOMEM(r->ctx);
    bool failed = false;
    if (contains_zero || !parse(r, text, rows, &failed)) {
        rows->n = 0;
        if (!failed)
            log_write(r->ctx, 1, "%s: malformed or of another version; the plugins are loaded instead", path);
    }
    return failed ? FAIL_NOMEM(r->ctx) : PERI_OK;
}

/* ---- writing
 * -------------------------------------------------------------------------------------------------------------- */

/* A field: what would end it becomes a blank. */
static void put_field(text_buffer *t, const char *text)
{
    text_put(t, "\t", 1);
    for (; *text != '\0'; text++) {
        const char c = (unsigned char)*text < ' ' ? ' ' : *text;
        text_put(t, &c, 1);
    }
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ')
            return true;
    return false;
}

/* The file's name inside the folder, NULL where it is not there or cannot be a field. */
static const char *inside(const char *folder, const char *file)
{
    const size_t n = strlen(folder);
    if (strncmp(file, folder, n) != 0 || file[n] != '/' || has_control(file + n))
        return NULL;
    return file + n + 1;
}

static void put_plugin(text_buffer *t, const char *file, const registry_entry *e)
{
    text_add(t, "plugin");
    put_field(t, file);
    text_add(t, "\t%" PRIu64 "\t%" PRId64 "\t%" PRIu32, e->file_size, e->file_time, e->kind);
    put_field(t, e->name);
    put_field(t, e->family);
    put_field(t, e->license);
    text_add(t, "\t%" PRId32 "\t%" PRIx64 "\t%" PRIx64 "\t%" PRIx64 "\t%" PRIx64 "\t%" PRIx64 "\t%" PRIx64, e->rank,
             e->needs, e->refuses, e->gives, e->flags, e->removes, e->adds);
    put_field(t, e->options);
    put_field(t, e->summary);
    text_add(t, "\n");
}

static void put_refusal(text_buffer *t, const char *file, uint64_t size, int64_t time, const char *reason)
{
    text_add(t, "refused");
    put_field(t, file);
    text_add(t, "\t%" PRIu64 "\t%" PRId64, size, time);
    put_field(t, reason);
    text_add(t, "\n");
}

static int64_t put_lines(registry *r, const char *folder, text_buffer *t)
{
    int64_t lines = 0;
    for (int64_t i = 0; i < r->entries.n; i++) {
        const char *file = inside(folder, r->entries.at[i]->file);
        if (file == NULL)
            continue;
        put_plugin(t, file, r->entries.at[i]);
        lines++;
    }
    for (int64_t i = 0; i < r->refused.n; i++) {
        const refusal *f = &r->refused.at[i];
        const char *file = inside(folder, f->file);
        uint64_t size = 0;
        int64_t time = 0;
        if (file == NULL || !file_stamp(f->file, &size, &time))
            continue;
        put_refusal(t, file, size, time, f->reason);
        lines++;
    }
    return lines;
}

peri_status index_write(registry *r, const char *folder)
{
    text_buffer t;
    char *path = index_path(r, folder, "index"), *fresh = index_path(r, folder, "index.new");
    text_init(&t, &r->ctx->mem);
    text_add(&t, "perigee-plugins\t2\t%d.%d\n", PERI_ABI_MAJOR, PERI_ABI_MINOR);
    const int64_t lines = put_lines(r, folder, &t);
    text_add(&t, "end\t%" PRId64 "\n", lines);
    char *text = text_take(&t);
    peri_status status = text == NULL || path == NULL || fresh == NULL ? FAIL_NOMEM(r->ctx) : PERI_OK;
    if (status == PERI_OK)
        status = io_write_all(r->ctx, NULL, fresh, text, strlen(text));
    if (status == PERI_OK && rename(fresh, path) != 0) { /* a reader sees the old index or the new one, never a part */
        char reason[128];
        io_reason(errno, reason, sizeof reason);
        status = FAIL(r->ctx, PERI_E_IO, "%s: cannot replace it: %s", path, reason);
    }
    if (status != PERI_OK && fresh != NULL)
        unlink(fresh);
    mem_array_free(&r->ctx->mem, text);
    return status;
}
