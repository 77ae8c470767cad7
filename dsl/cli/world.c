/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.c - the context and the Lua state of one call of the command: one allocator with one limit for both, the libraries, where the
 * standard library lies, how an error becomes a line. Invariant: Lua code runs inside world_call only, so that no error, memory
 * included, leaves it but as a line on standard error and an exit status.
 */
#define _GNU_SOURCE
#include "cli.h"

#include "../c/host.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- memory ----------------------------------------------------------------------------------------------------------- */

/* lua_Alloc and peri_alloc_fn: for a new block Lua gives its kind as old_size. */
static void *budget_alloc(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    cli_budget *b = ud;
    const size_t old = ptr != NULL ? old_size : 0;
    if (new_size == 0) {
        free(ptr);
        b->used -= old;
        return NULL;
    }
    if (b->limit != 0 && new_size > old && (b->used > b->limit || new_size - old > b->limit - b->used))
        return NULL;
    void *new = realloc(ptr, new_size);
    if (new != NULL)
        b->used += new_size - old;
    return new;
}

/* The engine's: what it is refused once, memory was exceeded. */
static void *engine_alloc(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    cli_budget *b = ud;
    const bool grows = new_size > (ptr != NULL ? old_size : 0);
    void *new = grows && b->strict && b->exceeded ? NULL : budget_alloc(ud, ptr, old_size, new_size);
    b->exceeded = b->exceeded || (grows && new == NULL);
    return new;
}

/* Lua's: it collects garbage after a refusal and asks again, which is vain for more than the whole. */
static void *lua_alloc(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    cli_budget *b = ud;
    const bool grows = new_size > (ptr != NULL ? old_size : 0);
    void *new = budget_alloc(ud, ptr, old_size, new_size);
    if (grows && new == NULL) {
        b->exceeded = b->exceeded || b->refused == new_size || new_size > b->limit;
        b->refused = new_size;
    } else if (grows) {
        b->refused = 0;
    }
    return new;
}

/* ---- where things lie --------------------------------------------------------------------------------------------------- */

/* The folder of the running program, without a final slash. */
static bool program_folder(char *out, size_t size)
{
    const ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n <= 0 || (size_t)n >= size - 1)
        return false;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

/* `to` as it lies from the folder of programs: both were configured under one prefix, which may have been moved since. */
static bool beside_program(const char *folder, const char *to, char *out, size_t size)
{
    const char *from = PERI_BIN_DIR;
    size_t common = 0;
    for (size_t i = 0;; i++) {
        const bool end_from = from[i] == '/' || from[i] == '\0', end_to = to[i] == '/' || to[i] == '\0';
        if (end_from && end_to)
            common = i;
        if (from[i] != to[i] || from[i] == '\0')
            break;
    }
    char up[PATH_MAX] = "";
    for (const char *p = from + common; *p != '\0'; p++) {
        if (*p == '/' && p[1] != '\0' && strlen(up) + 4 < sizeof up)
            strcat(up, "/..");
    }
    const int n = snprintf(out, size, "%s%s%s", folder, up, to + common);
    return n > 0 && (size_t)n < size;
}

/* Not by dladdr, which knows the program by argv[0] only. */
void world_folder(const char *here, const char *installed, char *out, size_t size)
{
    char folder[PATH_MAX];
    if (program_folder(folder, sizeof folder)) {
        const int n = snprintf(out, size, "%s/plugins/index", folder);
        if (n > 0 && (size_t)n < size && access(out, R_OK) == 0) {
            snprintf(out, size, "%s/%s", folder, here);
            return;
        }
        if (beside_program(folder, installed, out, size) && access(out, R_OK) == 0)
            return;
    }
    snprintf(out, size, "%s", installed);
}

/* NULL: by PERIGEE_PLUGIN_PATH or, for a folder that a path of several cannot hold, where it looks itself. */
const char *world_plugin_path(char *out, size_t size)
{
    const char *set = getenv("PERIGEE_PLUGIN_PATH");
    if (set != NULL && set[0] != '\0')
        return NULL;
    world_folder("plugins", PERI_PLUGIN_DIR, out, size);
    return strchr(out, ':') == NULL ? out : NULL;
}

/* ---- plugins in Lua -------------------------------------------------------------------------------------------------------- */

static int set_up(lua_State *L);

/* A state for commands that run no script, made when a plugin in Lua is needed. */
static bool open_state(cli *c)
{
    c->L = lua_newstate(budget_alloc, &c->budget);
    if (c->L == NULL)
        return false;
    memcpy(lua_getextraspace(c->L), &c, sizeof c);
    lua_pushcfunction(c->L, set_up);
    const bool fine = lua_pcall(c->L, 0, 0, 0) == LUA_OK;
    lua_settop(c->L, 0);
    return fine;
}

/* The context's loader of .lua files until the binding is opened, which then is. */
static peri_status load_plugin(void *ud, const char *path, peri_loading *to)
{
    cli *c = ud;
    if (c->L == NULL && !open_state(c))
        return peri_error_set(c->ctx, PERI_E_NOMEM, "out of memory");
    return dsl_load_plugin(c->L, path, to);
}

/* ---- context --------------------------------------------------------------------------------------------------------------- */

int world_open_context(cli *c)
{
    char path[PATH_MAX + 64];
    c->budget.limit = c->args.memory;
    c->budget.strict = c->args.sandbox;
    watch_open(c);
    const peri_config config = {
        .alloc = engine_alloc,
        .alloc_ud = &c->budget,
        .log = watch_note,
        .log_ud = c,
        .verbosity = c->args.verbose ? 1 : 0,
        .plugin_path = world_plugin_path(path, sizeof path),
        .threads = c->args.threads,
        .blas_threads = c->args.blas_threads,
        .no_machine_code = c->args.no_machine_code,
    };
    c->ctx = peri_context_new(&config);
    const bool ready = c->ctx != NULL && peri_context_set_loader(c->ctx, ".lua", load_plugin, c) == PERI_OK;
    if (ready && c->watch.progress)
        peri_context_set_progress(c->ctx, watch_progress, c);
    return ready ? EXIT_SOLVED : cli_say("perigee: out of memory");
}

/* ---- errors ------------------------------------------------------------------------------------------------------------------ */

cli *world_cli(lua_State *L)
{
    cli *c;
    memcpy(&c, lua_getextraspace(L), sizeof c);
    return c;
}

/* Error objects become texts; --verbose adds where the error came from. */
static int on_error(lua_State *L)
{
    const cli *c = world_cli(L);
    const char *text = lua_tostring(L, 1);
    if (text == NULL) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
            text = lua_tostring(L, -1);
        else
            text = lua_pushfstring(L, "error object is a %s value", luaL_typename(L, 1));
    }
    if (c->args.verbose)
        luaL_traceback(L, L, text, 1);
    else
        lua_pushstring(L, text);
    return 1;
}

/* Does the text begin with "file:line:"? */
static bool has_position(const char *text)
{
    for (const char *p = strchr(text, ':'); p != NULL; p = strchr(p + 1, ':')) {
        const size_t digits = strspn(p + 1, "0123456789");
        if (digits > 0 && p[1 + digits] == ':')
            return true;
        if (p[1] == ' ')
            return false; /* the file's name has ended */
    }
    return false;
}

/* require's own error goes on for a line per place searched; these are for --verbose. What a module's file is wrong in stands on a
 * line of its own. */
static void shorten(const cli *c, char *text)
{
    char *found = strstr(text, "' not found:\n");
    if (!c->args.verbose && found != NULL && strstr(text, "module '") != NULL)
        strcpy(found, "' not found");
    char *line = strstr(text, "error loading module '") != NULL ? strstr(text, ":\n\t") : NULL;
    if (line != NULL) {
        memmove(line + 1, line + 2, strlen(line + 2) + 1);
        line[1] = ' ';
    }
}

enum { LINE_MOST = 800 }; /* bytes of an error's line; a script can make any */

static int report(cli *c, const char *name, int code)
{
    if (code == LUA_ERRMEM) {
        if (c->budget.limit != 0)
            return cli_say("%s: out of memory; --memory-limit allows %zu bytes", name, c->budget.limit);
        return cli_say("%s: out of memory", name);
    }
    char *text = strdup(lua_tostring(c->L, -1) != NULL ? lua_tostring(c->L, -1) : "failed without a message");
    if (text == NULL)
        return cli_say("%s: out of memory", name);
    shorten(c, text);
    if (strlen(text) > LINE_MOST && !c->args.verbose)
        memcpy(text + LINE_MOST, " ...", 5);
    if (has_position(text) || (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == ':'))
        cli_say("%s", text);
    else
        cli_say("%s: %s", name, text);
    free(text);
    return signals_timed_out() ? EXIT_LIMIT : signals_interrupted() ? EXIT_INTERRUPTED : EXIT_ERROR;
}

/* ---- the state ------------------------------------------------------------------------------------------------------------------ */

/* As Lua's own print, but a line that cannot be written is an error of the script, not lost. */
static int l_print(lua_State *L)
{
    const int n = lua_gettop(L);
    watch_clear(world_cli(L));
    for (int i = 1; i <= n; i++) {
        size_t size;
        const char *text = luaL_tolstring(L, i, &size);
        if (i > 1)
            fputc('\t', stdout);
        fwrite(text, 1, size, stdout);
        lua_pop(L, 1);
    }
    fputc('\n', stdout);
    if (ferror(stdout))
        return luaL_error(L, "writing to standard output failed: %s", strerror(errno));
    return 0;
}

/* os.exit, once what the script wrote has arrived. The upvalue is the original. */
static int l_exit(lua_State *L)
{
    cli *c = world_cli(L);
    watch_close(c);
    if (output_finish(EXIT_SOLVED) != EXIT_SOLVED || log_close(c) != EXIT_SOLVED)
        exit(EXIT_ERROR);
    signals_forget();
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

static void replace_output(lua_State *L)
{
    lua_pushcfunction(L, l_print);
    lua_setglobal(L, "print");
    lua_getglobal(L, "os");
    lua_getfield(L, -1, "exit");
    lua_pushcclosure(L, l_exit, 1);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

static int set_up(lua_State *L)
{
    cli *c = world_cli(L);
    luaL_openlibs(L);
    replace_output(L);

    dsl_host *host = lua_newuserdatauv(L, sizeof *host, 0);
    *host = (dsl_host){.ctx = c->ctx, .ud = c, .begin = watch_begin, .event = watch_event, .end = watch_end,
                       .isolate = c->args.isolate,
                       .memory_limit = c->args.memory,
                       .sandboxed = c->args.sandbox};
    lua_pushlightuserdata(L, host);
    lua_setfield(L, LUA_REGISTRYINDEX, DSL_HOST_KEY);
    lua_rawsetp(L, LUA_REGISTRYINDEX, c); /* keeps the record alive */

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_perigee);
    lua_setfield(L, -2, "perigee");

    char folder[PATH_MAX + 64];
    world_folder("lua", PERI_LUA_DIR, folder, sizeof folder);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", folder, folder, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    return 0;
}

int world_open(cli *c)
{
    int status = log_open(c);
    if (status == EXIT_SOLVED)
        status = world_open_context(c);
    if (status != EXIT_SOLVED)
        return status;
    c->L = lua_newstate(lua_alloc, &c->budget);
    if (c->L == NULL)
        return cli_say("perigee: out of memory");
    memcpy(lua_getextraspace(c->L), &c, sizeof c);
    signals_install(c->ctx, c->L);
    return world_call(c, set_up, "perigee");
}

void world_close(cli *c)
{
    watch_close(c);
    signals_forget();
    if (c->L != NULL)
        lua_close(c->L);
    c->L = NULL;
    peri_context_free(c->ctx);
    c->ctx = NULL;
}

int world_call(cli *c, int (*fn)(lua_State *L), const char *name)
{
    lua_State *L = c->L;
    lua_settop(L, 0);
    lua_pushcfunction(L, on_error); /* before lua_pcall nothing may allocate */
    lua_pushcfunction(L, fn);
    const int code = lua_pcall(L, 0, 0, 1);
    watch_clear(c);
    const int status = code != LUA_OK ? report(c, name, code) : EXIT_SOLVED;
    lua_settop(L, 0);
    return status;
}

/* ---- files ------------------------------------------------------------------------------------------------------------------------- */

/* Lua would say "cannot open FILE", and read a folder as an empty file. */
static void check_file(lua_State *L, const char *path)
{
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        luaL_error(L, "%s: opening failed: %s", path, strerror(errno));
    const bool folder = fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
    close(fd);
    if (folder)
        luaL_error(L, "%s: reading failed: it is a folder", path);
}

void world_set_words(lua_State *L, int n, const char *const *words)
{
    lua_createtable(L, n, 1);
    for (int i = 0; i < n; i++) {
        lua_pushstring(L, words[i]);
        lua_rawseti(L, -2, i);
    }
    lua_setglobal(L, "arg");
}

void world_load(lua_State *L, const char *path)
{
    const bool input = strcmp(path, "-") == 0;
    if (!input)
        check_file(L, path);
    if (luaL_loadfilex(L, input ? NULL : path, world_cli(L)->args.sandbox ? "t" : NULL) != LUA_OK)
        lua_error(L);
}
