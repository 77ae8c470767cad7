/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_registry - what is installed: folders, the index and when it is believed, what is loaded and what is not. */
#define _GNU_SOURCE
#include "plugin/registry.h"
#include "plugin_folder.h"
#include "tap/tap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COPIES = 120 };

/* Copies of one plugin, each with a name of its own written over copy_000. */
static void write_copies(const folder *f, int first, int count, const char *stem)
{
    size_t size = 0;
    char *data = file_bytes(built("tests/bad/copy.so"), &size);
    for (int k = first; k < first + count; k++) {
        char name[32], digits[16];
        snprintf(name, sizeof name, "%s%d.so", stem, k);
        snprintf(digits, sizeof digits, "%03d", k);
        for (char *at = data; (at = memmem(at, size - (size_t)(at - data), "copy_", 5)) != NULL; at += 5)
            if (at[8] == '\0')
                memcpy(at + 5, digits, 3);
        folder_write(f, name, data, size);
    }
    free(data);
}

/* In a child, so that the plugins it loads are not loaded here; the child's status. */
static int write_index_apart(const char *path)
{
    const pid_t pid = fork();
    if (pid == 0) {
        peri_context *ctx = peri_context_new(NULL);
        const peri_status status = peri_plugins_write_index(ctx, path);
        peri_context_free(ctx);
        _exit(status == PERI_OK ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

static int64_t count_of(const char *path)
{
    int64_t n = -1;
    const peri_plugin_entry *entries = NULL;
    peri_context *ctx = context_for(path, NULL, 0);
    if (peri_plugins_list(ctx, &n, &entries) != PERI_OK)
        n = -1;
    peri_context_free(ctx);
    return n;
}

static void test_many(void)
{
    const folder f = folder_new();
    write_copies(&f, 0, COPIES, "c");
    is_int(write_index_apart(f.path), 0, "an index of %d plugins is written", COPIES);
    int64_t n = 0;
    const peri_plugin_entry *e = NULL;
    char log[4096];
    peri_context *ctx = context_for(f.path, log, sizeof log);
    is_int(peri_plugins_list(ctx, &n, &e), PERI_OK, "the plugins are listed");
    is_int(n, COPIES, "all of them");
    ok(!is_mapped(f.path), "and none was loaded");
    is_text(log, "", "nothing is logged");
    is_text(n > 7 ? e[7].name : "", "copy_007", "sorted by name");
    is_text(e[7].kind, "solver", "with the kind");
    is_text(e[7].family, "test", "with the family");
    is_text(e[7].license, "Apache-2.0", "with the licence");
    is_text(e[7].summary, "accepts its start point and stops", "with the summary");
    registry *r = NULL;
    registry_entry *entry = NULL;
    const peri_plugin *p = NULL;
    is_int(registry_get(ctx, &r), PERI_OK, "the registry");
    is_int(registry_find(r, "copy_050", PERI_KIND_SOLVER, &entry), PERI_OK, "one is found");
    is_text(entry->options, "first,second", "with its options' names");
    ok(!is_mapped(f.path), "still nothing is loaded");
    is_int(registry_load(r, entry, &p), PERI_OK, "it is loaded when used");
    ok(p != NULL && strcmp(p->name, "copy_050") == 0 && p->n_options == 2, "and it is the right one");
    ok(is_mapped("/c50.so") && !is_mapped("/c51.so"), "and no other one");
    peri_context_free(ctx);
    folder_remove(&f);
}

/* The entries are the same whether they come from an index or from loading. */
static void test_round_trip(void)
{
    const folder f = folder_new();
    char path[600];
    folder_link(&f, "good.so", built("tests/bad/good.so"));
    folder_link(&f, "magic.so", built("tests/bad/magic.so"));
    peri_context *loaded = context_for(f.path, NULL, 0);
    registry *a = NULL, *b = NULL;
    is_int(registry_get(loaded, &a), PERI_OK, "a folder without an index is loaded");
    is_int(write_index_apart(f.path), 0, "the index");
    peri_context *indexed = context_for(f.path, NULL, 0);
    is_int(registry_get(indexed, &b), PERI_OK, "a folder with an index is read");
    const registry_entry *x = registry_at(a, 0), *y = registry_at(b, 0);
    ok(registry_count(a) == 1 && registry_count(b) == 1, "one plugin either way");
    ok(x->plugin != NULL && y->plugin == NULL, "loaded the one, known the other");
    is_text(y->name, x->name, "name");
    is_text(y->kind_name, x->kind_name, "kind");
    is_text(y->family, x->family, "family");
    is_text(y->summary, x->summary, "summary");
    is_text(y->license, x->license, "licence");
    is_text(y->options, x->options, "options");
    is_text(y->file, x->file, "file");
    ok(x->kind == y->kind && x->rank == y->rank && x->needs == y->needs && x->refuses == y->refuses &&
           x->gives == y->gives && x->flags == y->flags && x->file_size == y->file_size && x->file_time == y->file_time,
       "and all numbers");
    const char *const *lines_a = NULL, *const *lines_b = NULL;
    is_int(registry_refused(a, &lines_a), 1, "one refusal when loading");
    is_int(registry_refused(b, &lines_b), 1, "one refusal from the index");
    is_text(lines_b[0], lines_a[0], "and it is the same line");
    snprintf(path, sizeof path, "%s/index.new", f.path);
    ok(access(path, F_OK) != 0, "writing leaves nothing behind");
    peri_context_free(loaded);
    peri_context_free(indexed);
    folder_remove(&f);
}

static void set_time(const char *path, int64_t seconds, int64_t nanoseconds)
{
    const struct timespec t[2] = {{.tv_sec = seconds, .tv_nsec = nanoseconds},
                                  {.tv_sec = seconds, .tv_nsec = nanoseconds}};
    utimensat(AT_FDCWD, path, t, 0);
}

static void test_stale(void)
{
    const folder f = folder_new();
    char path[600];
    write_copies(&f, 200, 4, "s");
    snprintf(path, sizeof path, "%s/s201.so", f.path);
    set_time(path, 1700000000, 123456789);
    is_int(write_index_apart(f.path), 0, "an index of four");
    set_time(path, 1700000000, 0);
    is_int(count_of(f.path), 4, "a time that lost its fraction");
    ok(!is_mapped(f.path), "is still the same file");
    set_time(path, 1700000001, 0);
    is_int(count_of(f.path), 4, "another time");
    ok(is_mapped("/s201.so") && !is_mapped("/s202.so"), "makes that file be loaded, and no other");
    write_copies(&f, 204, 1, "s");
    is_int(count_of(f.path), 5, "a new file is found");
    ok(is_mapped("/s204.so") && !is_mapped("/s203.so"), "by loading it alone");
    snprintf(path, sizeof path, "%s/s203.so", f.path);
    unlink(path);
    is_int(count_of(f.path), 4, "a file that is gone is dropped");
    snprintf(path, sizeof path, "%s/s200.so", f.path);
    folder_write(&f, "s200.so", "not a plugin any more", 21);
    is_int(count_of(f.path), 3, "a file that changed its contents is looked at anew");
    folder_remove(&f);
}

static void test_malformed(void)
{
    const folder f = folder_new();
    char path[600];
    size_t size = 0;
    folder_link(&f, "good.so", built("tests/bad/good.so"));
    is_int(write_index_apart(f.path), 0, "an index to be spoilt");
    snprintf(path, sizeof path, "%s/index", f.path);
    char *data = file_bytes(path, &size);
    int wrong = 0;
    for (size_t n = 0; n < size; n++) {
        folder_write(&f, "index", data, n);
        wrong += count_of(f.path) != 1;
    }
    is_int(wrong, 0, "cut after any of its %zu bytes it is no error", size);
    wrong = 0;
    for (size_t n = 0; n < size; n++) {
        const char kept = data[n];
        data[n] = kept == '\t' ? ' ' : kept == '\n' ? '\t' : '\0';
        folder_write(&f, "index", data, size);
        wrong += count_of(f.path) != 1;
        data[n] = kept;
    }
    is_int(wrong, 0, "nor with any byte spoilt");
    static const char other[] = "perigee-plugins\t2\t77.0\nend\t0\n";
    folder_write(&f, "index", other, sizeof other - 1);
    is_int(count_of(f.path), 1, "one of another interface is not believed");
    unlink(path);
    mkdir(path, 0777);
    is_int(count_of(f.path), 1, "nor is a folder of that name");
    free(data);
    folder_remove(&f);
}

static void test_folders(void)
{
    const folder f = folder_new(), g = folder_new();
    char inner[600], both[2048];
    snprintf(inner, sizeof inner, "%s/family", f.path);
    mkdir(inner, 0777);
    snprintf(inner, sizeof inner, "%s/family/deeper", f.path);
    mkdir(inner, 0777);
    folder_link(&f, "family/good.so", built("tests/bad/good.so"));
    folder_link(&f, "family/deeper/longer.so", built("tests/bad/longer.so"));
    folder_link(&f, "ignored.txt", built("tests/bad/longer.so"));
    folder_link(&f, ".hidden.so", built("tests/bad/longer.so"));
    folder_link(&g, "duplicate.so", built("tests/bad/duplicate.so"));
    is_int(count_of(f.path), 1, "a folder is searched with the folders in it, but no deeper");
    is_int(write_index_apart(f.path), 0, "one index holds both");
    is_int(count_of(f.path), 1, "and is read");
    snprintf(both, sizeof both, "/nowhere:%s/:%s:%s::", f.path, f.path, g.path);
    char log[4096];
    int64_t n = 0;
    const char *const *lines = NULL;
    peri_context *ctx = context_for(both, log, sizeof log);
    is_int(peri_plugins_refused(ctx, &n, &lines), PERI_OK, "several folders");
    is_int(n, 1, "the one given twice is searched once");
    has_text(lines[0], "duplicate.so: the name \"good\" is already that of a plugin in ",
             "a name taken names the file");
    has_text(lines[0], "/family/good.so", "and the file that had it");
    has_text(log, "0 plugin refused: ", "as a warning in the log");
    has_text(log, "1 plugin folder /nowhere: no such folder", "a missing folder is told");
    peri_context_free(ctx);
    setenv("PERIGEE_PLUGIN_PATH", g.path, 1);
    is_int(count_of(NULL), 1, "PERIGEE_PLUGIN_PATH serves where the host names none");
    folder_remove(&f);
    folder_remove(&g);
}

static void test_unknown(void)
{
    const folder f = folder_new();
    registry *r = NULL;
    registry_entry *e = NULL;
    folder_link(&f, "good.so", built("tests/bad/good.so"));
    folder_link(&f, "minor.so", built("tests/bad/minor.so"));
    peri_context *ctx = context_for(f.path, NULL, 0);
    is_int(registry_get(ctx, &r), PERI_OK, "a registry");
    is_int(registry_find(r, "goood", 0, &e), PERI_E_NAME, "an unknown name");
    is_text(peri_error(ctx), "no plugin \"goood\" (did you mean \"good\"?)", "tells the nearest");
    is_int(registry_find(r, "good", PERI_KIND_LINEAR_SOLVER, &e), PERI_E_NAME, "another kind");
    is_text(peri_error(ctx), "\"good\" is a solver, not a linear solver", "tells which it is");
    is_int(registry_find(r, "minor", 0, &e), PERI_E_NAME, "a refused plugin");
    has_text(peri_error(ctx), "no plugin \"minor\": refused: ", "says that it was refused");
    has_text(peri_error(ctx), "stamp.min_host_minor is 4, this host has ABI " HOST_ABI, "and why");
    char *page = NULL;
    is_int(peri_plugin_page(ctx, "goood", false, &page), PERI_E_NAME, "no page of an unknown one");
    peri_context_free(ctx);
    ctx = context_for("/nowhere", NULL, 0);
    is_int(registry_get(ctx, &r), PERI_OK, "no folder at all");
    is_int(registry_find(r, "good", PERI_KIND_SOLVER, &e), PERI_E_NAME, "then nothing is found");
    has_text(peri_error(ctx), "no plugin folder was found, set PERIGEE_PLUGIN_PATH", "and what to do is told");
    peri_context_free(ctx);
    folder_remove(&f);
}

/* An index that calls a file refused is asked again when its plugin is wanted; one that promises too much is found out.
 */
static void test_index_wrong(void)
{
    const folder f = folder_new();
    char text[2048];
    struct stat st;
    registry *r = NULL;
    registry_entry *e = NULL;
    const peri_plugin *p = NULL;
    folder_link(&f, "good.so", built("tests/bad/good.so"));
    stat(built("tests/bad/good.so"), &st);
    const long long size = (long long)st.st_size, ns = (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    int n = snprintf(text, sizeof text,
                     "perigee-plugins\t2\t" HOST_ABI "\nrefused\tgood.so\t%lld\t%lld\tneeds a library\nend\t1\n", size, ns);
    folder_write(&f, "index", text, (size_t)n);
    is_int(count_of(f.path), 0, "what the index refuses is not there");
    peri_context *ctx = context_for(f.path, NULL, 0);
    is_int(registry_get(ctx, &r), PERI_OK, "a registry");
    is_int(registry_find(r, "good", 0, &e), PERI_OK, "but it is tried again before it is given up");
    peri_context_free(ctx);
    n = snprintf(text, sizeof text,
                 "perigee-plugins\t2\t" HOST_ABI "\nplugin\tgood.so\t%lld\t%lld\t1\tbetter\ttest\tMIT\t1\t0\t0\t0\t0\t0\t0\t\tno "
                 "such\nend\t1\n",
                 size, ns);
    folder_write(&f, "index", text, (size_t)n);
    ctx = context_for(f.path, NULL, 0);
    is_int(registry_get(ctx, &r), PERI_OK, "a registry");
    is_int(registry_find(r, "better", 0, &e), PERI_OK, "a plugin that the index promises");
    is_int(registry_load(r, e, &p), PERI_E_PLUGIN, "and the file does not hold");
    has_text(peri_error(ctx), "good.so no longer holds it", "is told");
    peri_context_free(ctx);
    folder_remove(&f);
}

static void test_memory(void)
{
    const folder f = folder_new();
    folder_link(&f, "good.so", built("tests/bad/good.so"));
    folder_link(&f, "range.so", built("tests/bad/range.so"));
    for (int with_index = 0; with_index < 2; with_index++) {
        int64_t k = 1, before = 0, after = 0, n = 0, leaks = 0, other = 0;
        const peri_plugin_entry *e = NULL;
        char *page = NULL;
        if (with_index)
            is_int(write_index_apart(f.path), 0, "an index");
        for (;; k++) {
            peri_context *ctx = context_for(f.path, NULL, 0);
            peri_memory(ctx, NULL, NULL, &before);
            peri_memory_fail_at(ctx, k, k % 2 == 0);
            peri_status status = peri_plugins_list(ctx, &n, &e);
            if (status == PERI_OK)
                status = peri_plugin_page(ctx, "good", k % 3 == 0, &page);
            peri_memory_fail_at(ctx, 0, false);
            other += status != PERI_OK && status != PERI_E_NOMEM;
            if (ctx->registry == NULL) {
                peri_memory(ctx, NULL, NULL, &after);
                leaks += after != before;
            }
            if (status != PERI_OK)
                leaks += peri_plugin_page(ctx, "good", false, &page) != PERI_OK;
            peri_free_text(ctx, page);
            page = NULL;
            peri_context_free(ctx);
            if (status == PERI_OK)
                break;
        }
        ok(k > 5, "out of memory at each of %lld allocations", (long long)k - 1);
        is_int(other, 0, "is that and nothing else");
        is_int(leaks, 0, "leaves nothing behind and the next call works");
    }
    folder_remove(&f);
}

static void test_index_errors(void)
{
    peri_context *ctx = peri_context_new(NULL);
    is_int(peri_plugins_write_index(ctx, "/nowhere/at/all"), PERI_E_IO, "an index of no folder");
    is_text(peri_error(ctx), "/nowhere/at/all: no such folder", "is refused");
    is_int(peri_plugins_write_index(ctx, "/proc/self/fdinfo"), PERI_E_IO, "an index that cannot be written");
    has_text(peri_error(ctx), "/proc/self/fdinfo/index.new: opening failed", "names the file");
    peri_context_free(ctx);
}

int main(void)
{
    plan_later();
    test_many();
    test_round_trip();
    test_stale();
    test_malformed();
    test_folders();
    test_unknown();
    test_index_wrong();
    test_memory();
    test_index_errors();
    return tap_done();
}
