/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - perigee-check-plugin, which `perigee check-plugin` runs: the contract (tests/plugin/contract.c) asked of the plugins of
 * one file. The file is never loaded here: each part of the contract has a process of its own, so that a crash, an endless loop
 * or an exit costs that part and is told with the place. The file is seen through a folder of its own, before the installed
 * plugins, which reformulations and methods with linear systems need; so its names are its own even where others are installed.
 *
 * Exit status: 0 all checks passed; 1 some did not, or the file was refused; 2 wrong usage, or there is no such file.
 */
#define _GNU_SOURCE
#include "in_lua.h"
#include "plugin/contract.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PASSED = 0, FAILED = 1, USAGE = 2 };

const bool contract_strict = false;

typedef struct {
    bool tap, every_place, here; /* --tap, --every, --no-fork */
    double patience;             /* seconds that a part may take */
    const char *only;            /* the parts whose names contain it; NULL: all */
    const char *file;
} asked;

typedef struct {
    asked ask;
    char folder[PATH_MAX], link[PATH_MAX + 300], path[2 * PATH_MAX]; /* the folder, the file in it, the plugin path */
    report_page *page;
    int64_t checks, failed, broken; /* of all parts */
} checker;

static int say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("perigee check-plugin: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return USAGE;
}

/* ---- in the process that checks
 * --------------------------------------------------------------------------------------- */

typedef struct {
    checker *c;
    const contract_part *part; /* NULL: loading */
    int64_t plugin;            /* which of the file's */
} job;

/* Entries of the file are those whose file is the link. */
static registry_entry *entry_of(registry *r, const char *file, int64_t k)
{
    for (int64_t i = 0; i < registry_count(r); i++)
        if (strcmp(registry_at(r, i)->file, file) == 0 && k-- == 0)
            return registry_at(r, i);
    return NULL;
}

/* What the loader says of the file, its own folder left out. */
static void report_refusals(registry *r, const checker *c, report_page *page)
{
    const char *const *lines = NULL;
    const int64_t n = registry_refused(r, &lines);
    for (int64_t i = 0; i < n; i++) {
        if (strncmp(lines[i], c->link, strlen(c->link)) != 0)
            continue;
        page->failed++;
        page->checks++;
        report_line("refused%s", lines[i] + strlen(c->link));
    }
}

static void load(const checker *c, report_page *page)
{
    registry *r = NULL;
    contract_at("loading it");
    peri_context *ctx = contract_context(NULL);
    if (ctx == NULL || registry_get(ctx, &r) != PERI_OK) {
        page->failed++;
        report_line("%s", ctx != NULL ? peri_error(ctx) : "out of memory");
        return;
    }
    report_refusals(r, c, page);
    for (registry_entry *e; page->n_plugins < REPORT_PLUGINS && (e = entry_of(r, c->link, page->n_plugins)) != NULL;
         page->n_plugins++) {
        report_plugin *p = &page->plugin[page->n_plugins];
        snprintf(p->name, sizeof p->name, "%s", e->name);
        snprintf(p->kind, sizeof p->kind, "%s", e->kind_name);
        page->checks++;
    }
    peri_context_free(ctx);
}

static void run_part(const job *j)
{
    registry *r = NULL;
    const peri_plugin *p = NULL;
    contract_at("the beginning");
    peri_context *ctx = contract_context(NULL);
    registry_entry *e = ctx != NULL && registry_get(ctx, &r) == PERI_OK ? entry_of(r, j->c->link, j->plugin) : NULL;
    if (e == NULL || registry_load(r, e, &p) != PERI_OK) {
        j->c->page->failed++;
        report_line("%s", ctx != NULL ? peri_error(ctx) : "out of memory");
    } else {
        contract_run_part(ctx, j->part, e, p);
    }
    peri_context_free(ctx);
}

static void run_job(const job *j, int fd)
{
    checker *c = j->c;
    report_open(c->page, fd, c->ask.tap, c->ask.every_place);
    if (j->part == NULL)
        load(c, c->page);
    else
        run_part(j);
    c->page->done = true;
}

/* ---- in the process that reports
 * -------------------------------------------------------------------------------------- */

typedef struct {
    char *at;
    size_t n, size;
} lines;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What there is in the pipe; false at its end. Beyond a megabyte it is read and dropped. */
static bool read_lines(int fd, lines *l)
{
    char block[4096];
    const ssize_t n = read(fd, block, sizeof block);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0)
        return false;
    if (l->n + (size_t)n > l->size && l->size < 1 << 20) {
        const size_t size = l->size == 0 ? 16384 : 2 * l->size;
        char *more = realloc(l->at, size);
        if (more == NULL)
            return true;
        l->at = more;
        l->size = size;
    }
    if (l->n + (size_t)n <= l->size) {
        memcpy(l->at + l->n, block, (size_t)n);
        l->n += (size_t)n;
    }
    return true;
}

/* Reads until the process ends or patience does; *status as waitpid's. false: it was killed for taking too long. */
static bool attend(const checker *c, pid_t child, int fd, lines *l, int *status)
{
    const double end = now() + c->ask.patience;
    bool open = true;
    for (;;) {
        struct pollfd p = {.fd = open ? fd : -1, .events = POLLIN};
        poll(&p, 1, 50);
        if (open && p.revents != 0)
            open = read_lines(fd, l);
        const pid_t ended = waitpid(child, status, open ? WNOHANG : 0);
        if (ended == child || (ended < 0 && errno != EINTR)) {
            while (open && poll(&p, 1, 0) > 0)
                open = read_lines(fd, l);
            return true;
        }
        if (now() > end) {
            kill(child, SIGKILL);
            waitpid(child, status, 0);
            return false;
        }
    }
}

/* How the process ended before the part did, or "". */
static void describe_end(const checker *c, bool in_time, int status, char *text, size_t size)
{
    const char *place = c->page->place;
    text[0] = '\0';
    if (!in_time)
        snprintf(text, size, "took more than %g s and was stopped at: %s", c->ask.patience, place);
    else if (WIFSIGNALED(status))
        snprintf(text, size, "crashed (%s) at: %s", strsignal(WTERMSIG(status)), place);
    else if (!c->page->done)
        snprintf(text, size, "ended the process (exit status %d) at: %s", WEXITSTATUS(status), place);
}

static void print_lines(const lines *l)
{
    if (l->n > 0)
        fwrite(l->at, 1, l->n, stdout);
}

static void print_part(checker *c, const char *name, const char *end, const lines *l)
{
    const report_page *p = c->page;
    if (c->ask.tap) {
        print_lines(l);
        if (end[0] != '\0')
            printf("not ok %lld - %s: %s\n", (long long)++c->page->number, name, end);
        return;
    }
    if (end[0] != '\0')
        printf("  %-38s %s\n", name, end);
    else if (p->failed > 0)
        printf("  %-38s FAILED, %lld of %lld checks\n", name, (long long)p->failed, (long long)p->checks);
    else
        printf("  %-38s ok, checks: %lld\n", name, (long long)p->checks);
    print_lines(l);
}

static bool run(checker *c, const char *name, const job *j)
{
    int fd[2], status = 0;
    char end[512] = "";
    lines l = {0};
    c->page->checks = c->page->failed = c->page->skipped = 0;
    c->page->done = false;
    c->page->place[0] = '\0';
    fflush(stdout);
    if (pipe2(fd, O_CLOEXEC) != 0) {
        say("no pipe: %s", strerror(errno));
        return false;
    }
    const pid_t child = c->ask.here ? 0 : fork();
    if (child < 0) {
        say("no process: %s", strerror(errno));
        return false;
    }
    if (c->ask.here) { /* lines may be more than a pipe holds */
        run_job(j, STDOUT_FILENO);
    } else if (child == 0) {
        close(fd[0]);
        run_job(j, fd[1]);
        fflush(NULL);
        _exit(0);
    }
    close(fd[1]);
    if (!c->ask.here) {
        const bool in_time = attend(c, child, fd[0], &l, &status);
        describe_end(c, in_time, status, end, sizeof end);
    }
    close(fd[0]);
    const bool any = j->part != NULL && (c->page->checks > 0 || c->page->skipped > 0);
    if (any || end[0] != '\0' || c->page->failed > 0)
        print_part(c, name, end, &l);
    free(l.at);
    c->checks += c->page->checks;
    c->failed += c->page->failed;
    c->broken += end[0] != '\0';
    return true;
}

static bool check_plugin(checker *c, int64_t k)
{
    const report_plugin p = c->page->plugin[k];
    bool good = true;
    printf(c->ask.tap ? "# %s (%s)\n" : "%s (%s)\n", p.name, p.kind);
    for (int64_t i = 0; i < contract_n_parts && good; i++) {
        const job j = {c, &contract_parts[i], k};
        if (c->ask.only == NULL || strstr(contract_parts[i].name, c->ask.only) != NULL)
            good = run(c, contract_parts[i].name, &j);
    }
    return good;
}

static int check(checker *c)
{
    const job first = {c, NULL, 0};
    if (!run(c, "loading", &first))
        return USAGE;
    const int64_t n = c->page->n_plugins;
    if (n == 0 && c->failed + c->broken == 0) {
        c->failed++;
        printf(c->ask.tap ? "not ok 1 - %s holds a plugin\n" : "  %s holds no plugin\n", c->ask.file);
        c->page->number++;
    }
    for (int64_t k = 0; k < n; k++)
        if (!check_plugin(c, k))
            return USAGE;
    if (c->ask.tap)
        printf("1..%lld\n", (long long)c->page->number);
    else if (c->failed + c->broken == 0)
        printf("%s: all %lld checks passed\n", c->ask.file, (long long)c->checks);
    else
        printf("%s: %lld of %lld checks failed%s%s\n", c->ask.file, (long long)c->failed, (long long)c->checks,
               c->broken > 0 ? ", parts did not come to their end" : "", n == 0 ? "; it cannot be used" : "");
    return c->failed + c->broken == 0 ? PASSED : FAILED;
}

/* ---- what was typed
 * --------------------------------------------------------------------------------------------------- */

static bool read_arguments(int argc, char **argv, asked *a)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--tap") == 0)
            a->tap = true;
        else if (strcmp(word, "--every") == 0)
            a->every_place = true;
        else if (strcmp(word, "--no-fork") == 0)
            a->here = true;
        else if (strncmp(word, "--only=", 7) == 0)
            a->only = word + 7;
        else if (strncmp(word, "--patience=", 11) == 0)
            a->patience = strtod(word + 11, NULL);
        else if (word[0] != '-' && a->file == NULL)
            a->file = word;
        else
            return false;
    }
    return a->file != NULL && a->patience > 0;
}

static bool has_ending(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

/* The folder with the link; false: the line was printed. */
static bool make_folder(checker *c)
{
    const char *tmp = getenv("TMPDIR"), *slash = strrchr(c->ask.file, '/'), *name = slash != NULL ? slash + 1 : c->ask.file;
    const char *installed = getenv("PERIGEE_PLUGIN_PATH");
    char *real = realpath(c->ask.file, NULL);
    if (real == NULL) {
        say("%s: %s", c->ask.file, strerror(errno));
        return false;
    }
    if (!has_ending(name, ".so") && !has_ending(name, ".lua")) {
        say("%s: is no plugin file; its name must end in .so or .lua", c->ask.file);
        free(real);
        return false;
    }
    snprintf(c->folder, sizeof c->folder, "%s/perigee-check-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    const bool made = mkdtemp(c->folder) != NULL;
    snprintf(c->link, sizeof c->link, "%s/%.255s", c->folder, name);
    if (!made || symlink(real, c->link) != 0) {
        say("%s: %s", c->folder, strerror(errno));
        if (made)
            rmdir(c->folder);
        free(real);
        return false;
    }
    free(real);
    snprintf(c->path, sizeof c->path, "%s%s%.4000s", c->folder, installed != NULL && installed[0] != '\0' ? ":" : "",
             installed != NULL ? installed : "");
    if (setenv("PERIGEE_PLUGIN_PATH", c->path, 1) == 0)
        return true;
    say("out of memory");
    return false;
}

int main(int argc, char **argv)
{
    checker c = {.ask = {.patience = 120}};
    if (!read_arguments(argc, argv, &c.ask))
        return say("is run by `perigee check-plugin`; its words are [--tap] [--every] [--no-fork] [--only=PART] [--patience=SECONDS] FILE");
    c.page = mmap(NULL, sizeof *c.page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.page == MAP_FAILED)
        return say("out of memory");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, as it may be inherited, it would hide how a process ended */
    if (!make_folder(&c))
        return USAGE;
    int status = check(&c);
    unlink(c.link);
    rmdir(c.folder);
    if (fflush(stdout) != 0 || ferror(stdout))
        status = say("writing to standard output failed");
    return status;
}
