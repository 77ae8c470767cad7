/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c - every reader and writer of the engine and the binding with the k-th operation on a file failing, for k = 1, 2, ... until all of them are
 * through: the linker puts the functions below in the place of the system's. Reads and writes may be short or interrupted, which nobody
 * may notice; what fails is told with the file's name and the system's reason, and what was there before stays. The readers of the
 * standard library get such files from io.open.
 */
#define _GNU_SOURCE
#include "harness.h"
#include "plugin/registry.h"
#include "tap/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum { OP_OPEN = 1, OP_READ = 2, OP_WRITE = 4, OP_SYNC = 8, OP_CLOSE = 16, OP_RENAME = 32 } file_op;

/* Operations on files in `folder` are counted; the k-th of the set `ops` strikes. Of the test alone, which has one thread. */
static struct {
    const char *folder;
    int ops, error; /* error 0: reads and writes are short; EINTR: they are interrupted */
    int64_t at, count;
    bool fired, watched[64];
} planned;

static bool strikes(file_op op)
{
    if ((planned.ops & (int)op) == 0 || planned.at == 0 || ++planned.count != planned.at)
        return false;
    planned.fired = true;
    errno = planned.error;
    return true;
}

static bool is_watched(int fd)
{
    return fd >= 0 && fd < 64 && planned.watched[fd];
}

int __real_open(const char *path, int flags, ...);
ssize_t __real_read(int fd, void *data, size_t n);
ssize_t __real_write(int fd, const void *data, size_t n);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);

static bool inside(const char *path)
{
    return planned.folder != NULL && strncmp(path, planned.folder, strlen(planned.folder)) == 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(args, unsigned) : 0;
    va_end(args);
    if (inside(path) && strikes(OP_OPEN))
        return -1;
    const int fd = __real_open(path, flags, mode);
    if (fd >= 0 && fd < 64)
        planned.watched[fd] = inside(path);
    return fd;
}

ssize_t __wrap_read(int fd, void *data, size_t n)
{
    const bool hit = is_watched(fd) && strikes(OP_READ);
    return hit && planned.error != 0 ? -1 : __real_read(fd, data, hit && n > 3 ? 3 : n);
}

ssize_t __wrap_write(int fd, const void *data, size_t n)
{
    const bool hit = is_watched(fd) && strikes(OP_WRITE);
    return hit && planned.error != 0 ? -1 : __real_write(fd, data, hit && n > 3 ? 3 : n);
}

int __wrap_fsync(int fd)
{
    return is_watched(fd) && strikes(OP_SYNC) ? -1 : __real_fsync(fd);
}

int __wrap_close(int fd)
{
    const bool hit = is_watched(fd) && strikes(OP_CLOSE);
    if (fd >= 0 && fd < 64)
        planned.watched[fd] = false;
    const int status = __real_close(fd);
    if (hit)
        errno = planned.error;
    return hit ? -1 : status;
}

int __wrap_rename(const char *from, const char *to)
{
    return inside(from) && strikes(OP_RENAME) ? -1 : __real_rename(from, to);
}

/* ---- what is asked of each ------------------------------------------------------------------------------------------ */

typedef struct {
    world w;
    char folder[64], file[96], index[96], before[4096];
} fixture;

typedef bool (*subject_fn)(fixture *f, char *message, size_t size); /* true: it says that it did its work */

static const struct {
    const char *name;
    int ops, error;
    bool harmless;
} faults[] = {
    {"a short read or write", OP_READ | OP_WRITE, 0, true},
    {"an interrupted read or write", OP_READ | OP_WRITE, EINTR, true},
    {"an I/O error", OP_OPEN | OP_READ | OP_WRITE | OP_SYNC | OP_CLOSE | OP_RENAME, EIO, false},
    {"a full disk", OP_OPEN | OP_WRITE | OP_SYNC | OP_CLOSE, ENOSPC, false},
    {"no more files", OP_OPEN, EMFILE, false},
};

static size_t slurp(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    const size_t n = file != NULL ? fread(text, 1, size - 1, file) : 0;
    text[n] = '\0';
    if (file != NULL)
        fclose(file);
    return n;
}

/* The fault at the k-th operation, for every k. */
static void inject(fixture *f, const char *what, subject_fn subject, bool (*is_good)(fixture *f, bool done))
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        int64_t tried = 0, unsaid = 0, wordless = 0, bad = 0, disturbed = 0;
        char message[400], example[440] = "";
        for (int64_t k = 1; k < 1000; k++) {
            planned.folder = f->folder;
            planned.ops = faults[i].ops;
            planned.error = faults[i].error;
            planned.at = k;
            planned.count = 0;
            planned.fired = false;
            message[0] = '\0';
            const bool done = subject(f, message, sizeof message);
            planned.at = 0;
            if (!planned.fired)
                break;
            tried++;
            bad += !is_good(f, done);
            unsaid += faults[i].harmless && !done;
            if (!done && (strstr(message, f->folder) == NULL || strstr(message, strerror(faults[i].error)) == NULL)) {
                wordless++;
                snprintf(example, sizeof example, "k = %lld: %s", (long long)k, message);
            }
            message[0] = '\0';
            if (!subject(f, message, sizeof message) || !is_good(f, true)) {
                disturbed++;
                snprintf(example, sizeof example, "k = %lld, afterwards: %.300s", (long long)k, message);
            }
        }
        if (tried == 0)
            continue;
        is_int(unsaid, 0, "%s: %s at %lld places: what nobody may notice is not noticed", what, faults[i].name, (long long)tried);
        is_int(wordless, 0, "%s: %s: an error names file and reason", what, faults[i].name);
        is_int(bad, 0, "%s: %s: files are whole, or as they were where it was said that they are not", what, faults[i].name);
        if (!is_int(disturbed, 0, "%s: %s: the next time works", what, faults[i].name) || example[0] != '\0')
            diag("%s", example);
    }
}

static bool keep_error(fixture *f, peri_status status, char *message, size_t size)
{
    snprintf(message, size, "%s", status == PERI_OK ? "" : peri_error(f->w.host.ctx));
    return status == PERI_OK;
}

/* ---- the index of a folder */

static bool write_index(fixture *f, char *message, size_t size)
{
    return keep_error(f, registry_write_index(f->w.host.ctx, f->folder), message, size);
}

/* The old index or the new one; the latter may say that the plugin could not be read, which is asked again when it is wanted. */
static bool index_is_whole(fixture *f, bool done)
{
    char now[4096], fresh[128];
    const size_t n = slurp(f->index, now, sizeof now);
    snprintf(fresh, sizeof fresh, "%s.new", f->index);
    const bool whole = n > 20 && strncmp(now, "perigee-plugins\t", 16) == 0 && strcmp(now + n - 6, "end\t1\n") == 0;
    return whole && (done || strcmp(now, f->before) == 0) && access(fresh, F_OK) != 0;
}

/* ---- an index that cannot be read is as none: the plugins are found all the same */

static bool read_index(fixture *f, char *message, size_t size)
{
    registry *r = NULL;
    registry_entry *e = NULL;
    const peri_config config = {.plugin_path = f->folder};
    peri_context *ctx = peri_context_new(&config);
    bool found = ctx != NULL && registry_get(ctx, &r) == PERI_OK && registry_find(r, "good", 0, &e) == PERI_OK;
    (void)message;
    (void)size;
    peri_context_free(ctx);
    return found || planned.fired; /* where the plugin itself could not be opened */
}

static bool nothing_more(fixture *f, bool done)
{
    (void)f;
    return done;
}

/* ---- files of the binding and the standard library */

static bool run_lua(fixture *f, const char *text, char *message, size_t size)
{
    lua_State *L = f->w.L;
    const bool good = luaL_loadstring(L, text) == LUA_OK && (lua_pushstring(L, f->file), lua_pcall(L, 1, 0, 0)) == LUA_OK;
    if (!good)
        snprintf(message, size, "%s", lua_tostring(L, -1));
    lua_settop(L, 0);
    return good;
}

static bool save(fixture *f, char *message, size_t size)
{
    static const char text[] = "local peri, path = require 'perigee', ...\n"
                               "local m = peri.model 'saved'\n"
                               "local x = m:var('x', 400)\n"
                               "m:minimize(((x - 1)^2):sum())\n"
                               "m:solve('ipm'):save(path)\n";
    return run_lua(f, text, message, size);
}

static bool is_json(fixture *f, bool done)
{
    static char text[200000];
    const size_t n = slurp(f->file, text, sizeof text);
    (void)done; /* whole in any case: the new one or the one of before */
    return n > 1000 && text[0] == '{' && strcmp(text + n - 2, "}\n") == 0;
}

static void make_index(fixture *f)
{
    char from[300], to[128], message[200], command[700];
    const char *build = getenv("PERIGEE_BUILD");
    snprintf(from, sizeof from, "%s/tests/bad/good.so", build != NULL ? build : ".");
    snprintf(to, sizeof to, "%s/good.so", f->folder);
    snprintf(command, sizeof command, "cp -p '%s' '%s'", from, to);
    ok(system(command) == 0 && write_index(f, message, sizeof message), "an index");
    slurp(f->index, f->before, sizeof f->before);
    has_text(f->before, "good", "names the plugin");
}

int main(void)
{
    fixture f = {.folder = "/tmp/perigee-io-XXXXXX"};
    plan_later();
    if (!ok(mkdtemp(f.folder) != NULL, "a folder"))
        return tap_done();
    snprintf(f.file, sizeof f.file, "%s/result.json", f.folder);
    snprintf(f.index, sizeof f.index, "%s/index", f.folder);
    world_open(&f.w);
    make_index(&f);
    inject(&f, "writing an index", write_index, index_is_whole);
    inject(&f, "reading an index", read_index, nothing_more);
    char message[300];
    ok(save(&f, message, sizeof message), "a solution");
    inject(&f, "saving another", save, is_json);
    world_close(&f.w);
    is_int(f.w.mem.blocks, 0, "nothing is left in memory");
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", f.folder);
    ok(system(command) == 0, "nor on the disk");
    return tap_done();
}
