/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_folder.c - temporary plugin folders for the tests of the registry. */
#define _GNU_SOURCE
#include "plugin_folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(1);
}

folder folder_new(void)
{
    folder f;
    const char *tmp = getenv("TMPDIR");
    snprintf(f.path, sizeof f.path, "%s/perigee-test-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    if (mkdtemp(f.path) == NULL)
        die("no temporary folder");
    return f;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void folder_remove(const folder *f)
{
    nftw(f->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *built(const char *name)
{
    static char path[1024];
    const char *build = getenv("PERIGEE_BUILD");
    snprintf(path, sizeof path, "%s/%s", build != NULL ? build : ".", name);
    return path;
}

void folder_link(const folder *f, const char *name, const char *target)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    if (access(target, R_OK) != 0 || symlink(target, path) != 0)
        die(target);
}

char *file_bytes(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL || fseek(in, 0, SEEK_END) != 0)
        die(path);
    const long n = ftell(in);
    rewind(in);
    char *data = malloc((size_t)n + 1);
    if (data == NULL || fread(data, 1, (size_t)n, in) != (size_t)n)
        die(path);
    fclose(in);
    data[n] = '\0';
    *size = (size_t)n;
    return data;
}

void folder_write(const folder *f, const char *name, const char *data, size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    FILE *out = fopen(path, "wb");
    if (out == NULL || fwrite(data, 1, size, out) != size || fclose(out) != 0)
        die(path);
}

typedef struct {
    char *text;
    size_t size;
} log_sink;

static void collect(void *ud, int level, const char *text)
{
    const log_sink *sink = ud;
    const size_t at = strlen(sink->text);
    snprintf(sink->text + at, sink->size - at, "%d %s\n", level, text);
}

peri_context *context_for(const char *path, char *log, size_t size)
{
    static log_sink sink;
    peri_config config = {.plugin_path = path, .verbosity = 2};
    if (log != NULL) {
        sink = (log_sink){log, size};
        log[0] = '\0';
        config.log = collect;
        config.log_ud = &sink;
    }
    peri_context *ctx = peri_context_new(&config);
    if (ctx == NULL)
        die("no context");
    return ctx;
}

bool is_mapped(const char *part)
{
    char line[2048];
    bool found = false;
    FILE *in = fopen("/proc/self/maps", "r");
    if (in == NULL)
        die("/proc/self/maps");
    while (!found && fgets(line, sizeof line, in) != NULL)
        found = strstr(line, part) != NULL;
    fclose(in);
    return found;
}
