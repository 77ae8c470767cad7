/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - one shared object: is it whole, does it load, what does its entry function offer. A faulty file or table is
 * one line among the registry's refusals and nothing else. Invariant: a file once mapped stays mapped (RTLD_NODELETE,
 * no dlclose), so a table that passed is valid as long as the process; the state of the process around loading is
 * restored whatever a constructor does.
 */
#define _GNU_SOURCE
#include "base/fence.h"
#include "io/token.h"
#include "plugin/internal.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- before loading: mapping a file that was cut ends in SIGBUS, not in an error
 * ------------------------------------------- */

static bool read_at(int fd, void *data, size_t n, uint64_t at)
{
    return pread(fd, data, n, (off_t)at) == (ssize_t)n;
}

/* Every segment lies inside the file. */
static bool is_whole(int fd, uint64_t size, char *why, size_t why_size)
{
    ElfW(Ehdr) head;
    if (size < sizeof head || !read_at(fd, &head, sizeof head, 0) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) {
        snprintf(why, why_size, "not a shared object (no ELF header)");
        return false;
    }
    for (unsigned i = 0; i < head.e_phnum && head.e_phentsize == sizeof(ElfW(Phdr)); i++) {
        ElfW(Phdr) segment;
        uint64_t end = 0;
        if (!read_at(fd, &segment, sizeof segment, head.e_phoff + (uint64_t)i * sizeof segment)) {
            snprintf(why, why_size, "cut short: its program headers are missing");
            return false;
        }
        if (__builtin_add_overflow((uint64_t)segment.p_offset, (uint64_t)segment.p_filesz, &end) || end > size) {
            snprintf(why, why_size, "cut short: a segment ends at byte %llu, the file has %llu",
                     (unsigned long long)end, (unsigned long long)size);
            return false;
        }
    }
    return true;
}

static bool check_file(const char *path, char *why, size_t size)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        char reason[128];
        io_reason(errno, reason, sizeof reason);
        snprintf(why, size, "cannot be read: %s", reason);
        if (fd >= 0)
            close(fd);
        return false;
    }
    const bool good = is_whole(fd, (uint64_t)st.st_size, why, size);
    close(fd);
    return good;
}

/* ---- loading
 * ---------------------------------------------------------------------------------------------------------------- */

/* dlerror's text as a reason: without the path that the line begins with anyway, and a missing library said plainly. */
static void explain_dlerror(const char *path, const char *text, char *why, size_t size)
{
    static const char absent[] = ": cannot open shared object file: No such file or directory";
    const size_t prefix = strlen(path);
    if (text == NULL)
        text = "no reason given";
    if (strncmp(text, path, prefix) == 0 && strncmp(text + prefix, ": ", 2) == 0)
        text += prefix + 2;
    const char *end = strstr(text, absent);
    if (end != NULL)
        snprintf(why, size, "needs the library %.*s, which is not installed", (int)(end - text), text);
    else
        snprintf(why, size, "cannot be loaded: %s", text);
}

/* The entry function, or NULL with `why`. */
static peri_entry_fn open_entry(const char *path, char *why, size_t size)
{
    if (!check_file(path, why, size))
        return NULL;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        explain_dlerror(path, dlerror(), why, size);
        return NULL;
    }
    void *symbol = dlsym(handle, "peri_plugins");
    if (symbol == NULL)
        snprintf(why, size, "does not export peri_plugins, so it is not a plugin");
    peri_entry_fn entry = NULL;
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from an object pointer to a function pointer */
    return entry;
}

/* One table of the list: into `found`, or refused. */
static peri_status take_table(registry *r, const char *path, const peri_plugin *theirs, plugin_list *found)
{
    char why[512] = "";
    const peri_plugin *p = stamp_copy(&r->memory, theirs, why, sizeof why);
    if (p == NULL && why[0] == '\0')
        return FAIL_NOMEM(r->ctx);
    if (p == NULL || !table_check(p, why, sizeof why))
        return registry_refuse(r, false, path, "%s", why);
    return vec_push(&r->ctx->mem, found, p) ? PERI_OK : FAIL_NOMEM(r->ctx);
}

/*
 * What a library does when it is loaded belongs to the process, as its host pointer and the locale do: contexts in several threads load one after the
 * other.
 */
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

static peri_entry_fn enter(const char *path, const peri_plugin *const **list, unsigned *changed, char *why, size_t size)
{
    fence before;
    pthread_mutex_lock(&loading);
    fence_take(&before, FENCE_ALL);
    const peri_entry_fn entry = open_entry(path, why, size);
    *list = entry != NULL ? entry(host_table()) : NULL;
    *changed = fence_restore(&before);
    pthread_mutex_unlock(&loading);
    return entry;
}

/* May others than its owner and root change what would run here? `why` says how. */
static bool is_exposed(const registry *r, const char *path, char *why, size_t size)
{
    struct stat st;
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1, slash != NULL ? path : ".");
    if (path[0] != '/' && !r->indexing)
        snprintf(why, size, "its path is relative, so the working directory decides what is loaded");
    else if (stat(path, &st) == 0 && (st.st_mode & S_IWOTH))
        snprintf(why, size, "anyone can write to it");
    else if (stat(folder, &st) == 0 && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        snprintf(why, size, "anyone can write to its folder");
    else
        return false;
    return true;
}

peri_status load_file(registry *r, const char *path, plugin_list *found)
{
    char exposed[128];
    if (is_exposed(r, path, exposed, sizeof exposed)) {
        if (getauxval(AT_SECURE) != 0)
            return registry_refuse(r, false, path, "%s: not with the privileges of this program", exposed);
        log_write(r->ctx, 0, "%s: %s", path, exposed);
    }
    if (given_is_file(r->ctx, path))
        return given_load(r, path, found);
    char why[1024] = "", what[160];
    const peri_plugin *const *list;
    unsigned changed;
    if (r->ctx->cautious && !trial_load(path, why, sizeof why))
        return registry_refuse(r, false, path, "%s", why);
    const peri_entry_fn entry = enter(path, &list, &changed, why, sizeof why);
    if (changed != 0) {
        fence_text(changed, what, sizeof what);
        log_write(r->ctx, 0, "%s: loading changed %s; restored", path, what);
    }
    if (entry == NULL)
        return registry_refuse(r, false, path, "%s", why);
    if (list == NULL || list[0] == NULL)
        return registry_refuse(r, false, path, "peri_plugins returned no plugin");
    for (; *list != NULL; list++)
        TRY(take_table(r, path, *list, found));
    return PERI_OK;
}
