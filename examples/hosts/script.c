/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.c - a service that solves problems which strangers send as Lua scripts. The script runs sandboxed, with limits on memory, time and
 * instructions, in a child process that the system limits besides and that is killed when it is late; the parent gets the result as JSON,
 * or one line that says why there is none. The script returns a solution.
 *
 *   cc -std=c11 script.c -o script $(pkg-config --cflags --libs perigee-lua) && ./script FILE.lua
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <perigee/lua.h>
#include <perigee/perigee.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MEGABYTE = 1 << 20, SECONDS = 2, LONGEST = MEGABYTE };

/* ---- the child */

static void limit(int resource, rlim_t most)
{
    const struct rlimit l = {most, most};
    setrlimit(resource, &l);
}

static void say(int out, const char *kind, const char *text)
{
    if (dprintf(out, "%s %s\n", kind, text) < 0)
        _exit(1);
}

static void answer(int out, peri_context *ctx, peri_lua *l, int results)
{
    peri_solution *s = results > 0 ? peri_lua_to_solution(peri_lua_state(l), -results) : NULL;
    char *json;
    if (s == NULL)
        say(out, "error", "the script must return a solution");
    else if (peri_solution_json(s, &json) != PERI_OK)
        say(out, "error", peri_error(ctx));
    else {
        say(out, "result", json);
        peri_free_text(ctx, json);
    }
}

static void child(int out, const char *name, const char *text, size_t size)
{
    const peri_config engine = {.memory_limit = 256 * MEGABYTE, .threads = 1};
    const peri_lua_config config = {.memory_limit = 64 * MEGABYTE, .sandboxed = true};
    const peri_lua_limits limits = {.time_limit = SECONDS, .instruction_limit = 1000000000};
    int results = 0;
    limit(RLIMIT_AS, (rlim_t)1 << 30);
    limit(RLIMIT_CPU, SECONDS + 1);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_CORE, 0);
    peri_context *ctx = peri_context_new(&engine);
    peri_lua *l = ctx != NULL ? peri_lua_new(ctx, &config) : NULL;
    if (l == NULL)
        say(out, "error", "out of memory");
    else if (peri_lua_run(l, name, text, size, &limits, &results) != PERI_OK)
        say(out, "error", peri_lua_error(l));
    else
        answer(out, ctx, l, results);
    peri_lua_free(l);
    peri_context_free(ctx);
    _exit(0);
}

/* ---- the parent */

/* What the child says until it ends, or for so many seconds; ret bytes, -1: it was late */
static long listen_to(int in, char *text, int seconds)
{
    struct pollfd ready = {.fd = in, .events = POLLIN};
    long n = 0;
    while (n < LONGEST - 1) {
        const int got = poll(&ready, 1, seconds * 1000);
        if (got == 0)
            return -1;
        if (got < 0 && errno == EINTR)
            continue;
        const long more = read(in, text + n, (size_t)(LONGEST - 1 - n));
        if (more <= 0)
            break;
        n += more;
    }
    text[n] = '\0';
    return n;
}

static int serve(const char *name, const char *script, size_t size)
{
    static const char late[] = "error the script did not end in time and was killed\n", died[] = "error the script's process died\n";
    char *text = malloc(LONGEST);
    int ends[2], status = 0;
    if (text == NULL || pipe(ends) != 0)
        return 1;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(ends[1], name, script, size);
    }
    close(ends[1]);
    const long n = pid > 0 ? listen_to(ends[0], text, SECONDS + 2) : 0;
    close(ends[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    fputs(n < 0 ? late : n == 0 ? died : text, stdout);
    const int failed = n <= 0 || strncmp(text, "result ", 7) != 0;
    free(text);
    return failed;
}

static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *text = malloc(LONGEST);
    *size = f != NULL && text != NULL ? fread(text, 1, LONGEST, f) : 0;
    const int whole = f != NULL && feof(f);
    if (f != NULL)
        fclose(f);
    if (whole)
        return text;
    free(text);
    return NULL;
}

int main(int argc, char **argv)
{
    size_t size;
    char *script = argc == 2 ? read_file(argv[1], &size) : NULL;
    if (script == NULL) {
        fprintf(stderr, "usage: script FILE.lua (of a megabyte at most)\n");
        return 2;
    }
    const int failed = serve(argv[1], script, size);
    free(script);
    return failed;
}
