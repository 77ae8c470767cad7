/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed.c - Lua inside a host program (perigee/lua.h): the state, its memory, limits on instructions and time. Invariant: no Lua error leaves
 * these functions; while a script is past a limit its hook raises at every instruction, so that no pcall survives it.
 */
#define _POSIX_C_SOURCE 200809L
#include "internal.h"
#include "sandbox.h"
#include <lualib.h>
#include <perigee/lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOOK_EVERY = 1000 };

struct peri_lua {
    lua_State *L;
    peri_context *ctx;
    peri_lua_config config;
    dsl_host host;
    size_t used;               /* bytes of the state */
    int environment;           /* registry reference: the globals of scripts; LUA_NOREF: the state's */
    double until;              /* of the clock; 0: no limit */
    int64_t instructions_left; /* -1: no limit */
    const char *ended;         /* why the script has to end, or NULL */
    char error[1024];
};

/* ---- memory and time
 * ----------------------------------------------------------------------------------------------------------------- */

static void *library_alloc(void *ptr, size_t new_size)
{
    if (new_size != 0)
        return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

/* For a new block Lua gives its kind as old_size. */
static void *limited_alloc(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    peri_lua *l = ud;
    const size_t old = ptr != NULL ? old_size : 0, limit = l->config.memory_limit;
    if (new_size > old && limit != 0 && (l->used > limit || new_size - old > limit - l->used))
        return NULL;
    void *new = l->config.alloc != NULL ? l->config.alloc(l->config.alloc_ud, ptr, old, new_size) : library_alloc(ptr, new_size);
    if (new != NULL || new_size == 0)
        l->used = l->used - old + new_size;
    return new;
}

static double seconds(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool is_over(peri_lua *l)
{
    if (l->ended != NULL)
        return true;
    if (peri_interrupted(l->ctx))
        l->ended = "interrupted";
    else if (l->instructions_left == 0)
        l->ended = "instruction limit reached";
    else if (l->until > 0 && seconds() >= l->until)
        l->ended = "time limit reached";
    return l->ended != NULL;
}

/* ---- the hook
 * ----------------------------------------------------------------------------------------------------------------- */

static peri_lua *self(lua_State *L)
{
    peri_lua *l;
    memcpy(&l, lua_getextraspace(L), sizeof l);
    return l;
}

/* Coroutines inherit it. */
static void watch(lua_State *L, lua_Debug *where)
{
    peri_lua *l = self(L);
    if (l->instructions_left > 0)
        l->instructions_left -= l->instructions_left < HOOK_EVERY ? l->instructions_left : HOOK_EVERY;
    if (!is_over(l))
        return;
    lua_sethook(L, watch, LUA_MASKCOUNT, 1);
    lua_getinfo(L, "Sl", where);
    luaL_error(L, "%s:%d: %s", where->short_src, where->currentline, l->ended);
}

/* Between two iterations of a solve. */
static int on_event(void *ud, const peri_event *event)
{
    (void)event;
    return is_over(ud);
}

/* ---- opening
 * ----------------------------------------------------------------------------------------------------------------- */

static int print(lua_State *L)
{
    peri_lua *l = self(L);
    const int n = lua_gettop(L);
    if (l->config.write == NULL)
        return 0;
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&text, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&text);
    }
    luaL_addchar(&text, '\n');
    luaL_pushresult(&text);
    size_t size;
    const char *all = lua_tolstring(L, -1, &size);
    l->config.write(l->config.write_ud, all, size);
    return 0;
}

/* 1: light userdata, the record of the host */
static int open_in(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_perigee);
    lua_setfield(L, -2, "perigee");
    if (lua_getfield(L, LUA_REGISTRYINDEX, DSL_HOST_KEY) == LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, DSL_HOST_KEY);
    }
    luaL_requiref(L, "perigee", luaopen_perigee, 1);
    return 0;
}

/* The record of a state that is the host's lives in it. */
static int open_hosted(lua_State *L)
{
    dsl_host *host = lua_newuserdatauv(L, sizeof *host, 0);
    *host = (dsl_host){.ctx = lua_touserdata(L, 1)};
    lua_rawsetp(L, LUA_REGISTRYINDEX, host);
    lua_pushcfunction(L, open_in);
    lua_pushlightuserdata(L, host);
    lua_call(L, 1, 0);
    return 0;
}

int peri_lua_open(lua_State *L, peri_context *ctx)
{
    if (!lua_checkstack(L, 3)) {
        lua_settop(L, lua_gettop(L) > 0 ? lua_gettop(L) - 1 : 0);
        lua_pushnil(L);
        return LUA_ERRMEM;
    }
    lua_pushcfunction(L, open_hosted);
    lua_pushlightuserdata(L, ctx);
    return lua_pcall(L, 1, 0, 0);
}

/* The sandbox first: the binding adds its own way to the standard library to what that leaves. */
static int open_limited(lua_State *L)
{
    peri_lua *l = self(L);
    luaL_openlibs(L);
    lua_pushcfunction(L, print);
    lua_setglobal(L, "print");
    if (l->config.sandboxed)
        sandbox_push(L);
    lua_pushcfunction(L, open_in);
    lua_pushlightuserdata(L, &l->host);
    lua_call(L, 1, 0);
    if (l->config.sandboxed) {
        lua_getglobal(L, "perigee");
        lua_setfield(L, -2, "perigee");
        l->environment = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return 0;
}

peri_lua *peri_lua_new(peri_context *ctx, const peri_lua_config *config)
{
    const peri_lua_config c = config != NULL ? *config : (peri_lua_config){0};
    peri_lua *l = c.alloc != NULL ? c.alloc(c.alloc_ud, NULL, 0, sizeof *l) : malloc(sizeof *l);
    if (l == NULL)
        return NULL;
    *l = (peri_lua){.ctx = ctx, .config = c, .environment = LUA_NOREF, .instructions_left = -1};
    l->host = (dsl_host){.ctx = ctx, .ud = l, .event = on_event, .sandboxed = c.sandboxed};
    l->L = lua_newstate(limited_alloc, l);
    if (l->L != NULL) {
        memcpy(lua_getextraspace(l->L), &l, sizeof l);
        lua_pushcfunction(l->L, open_limited);
        if (lua_pcall(l->L, 0, 0, 0) == LUA_OK)
            return l;
    }
    peri_lua_free(l);
    return NULL;
}

void peri_lua_free(peri_lua *l)
{
    if (l == NULL)
        return;
    if (l->L != NULL) {
        lua_sethook(l->L, NULL, 0, 0);
        lua_close(l->L);
    }
    if (l->config.alloc != NULL)
        l->config.alloc(l->config.alloc_ud, l, sizeof *l, 0);
    else
        free(l);
}

lua_State *peri_lua_state(peri_lua *l)
{
    return l->L;
}

const char *peri_lua_error(const peri_lua *l)
{
    return l->error;
}

peri_model *peri_lua_to_model(lua_State *L, int i)
{
    return dsl_to_model(L, i);
}

peri_solution *peri_lua_to_solution(lua_State *L, int i)
{
    return dsl_to_solution(L, i);
}

/* ---- running
 * ----------------------------------------------------------------------------------------------------------------- */

/* Error objects become texts. */
static int on_error(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING && !luaL_callmeta(L, 1, "__tostring"))
        lua_pushfstring(L, "error object is a %s value", luaL_typename(L, 1));
    return 1;
}

static int check_unused(lua_State *L)
{
    dsl_check_unused(L);
    return 0;
}

/* The message at the top is taken off and kept. */
static peri_status failed(peri_lua *l, peri_status status)
{
    const char *text = lua_type(l->L, -1) == LUA_TSTRING ? lua_tostring(l->L, -1) : "failed without a message";
    snprintf(l->error, sizeof l->error, "%s", text);
    for (char *c = l->error; *c != '\0'; c++)
        *c = *c == '\n' ? ' ' : *c;
    lua_pop(l->L, 1);
    return status;
}

static peri_status status_of(const peri_lua *l, int code)
{
    return l->ended != NULL ? PERI_E_CANCELLED : code == LUA_ERRMEM ? PERI_E_NOMEM : code == LUA_ERRSYNTAX ? PERI_E_PARSE : PERI_E_CALLBACK;
}

typedef struct {
    double until;
    int64_t instructions_left;
    const char *ended;
} allowance;

/* Limits of this call, but never beyond those of a call around it. */
static allowance begin(peri_lua *l, const peri_lua_limits *limits)
{
    const allowance before = {l->until, l->instructions_left, l->ended};
    if (limits != NULL && limits->time_limit > 0) {
        const double until = seconds() + limits->time_limit;
        l->until = l->until > 0 && l->until < until ? l->until : until;
    }
    if (limits != NULL && limits->instruction_limit > 0 && (l->instructions_left < 0 || limits->instruction_limit < l->instructions_left))
        l->instructions_left = limits->instruction_limit;
    l->error[0] = '\0';
    lua_sethook(l->L, watch, LUA_MASKCOUNT, HOOK_EVERY);
    return before;
}

static void end(peri_lua *l, const allowance *before)
{
    l->until = before->until;
    l->instructions_left = before->instructions_left;
    l->ended = before->ended;
    lua_sethook(l->L, watch, LUA_MASKCOUNT, HOOK_EVERY);
}

/* Function and n arguments are at the top. */
static peri_status call(peri_lua *l, int n, int *results)
{
    lua_State *L = l->L;
    const int at = lua_gettop(L) - n;
    lua_pushcfunction(L, on_error);
    lua_insert(L, at);
    int code = lua_pcall(L, n, LUA_MULTRET, at);
    if (code == LUA_OK && l->ended == NULL) {
        lua_pushcfunction(L, check_unused);
        code = lua_pcall(L, 0, 0, at);
    }
    if (code == LUA_OK && l->ended != NULL) { /* a solve was its last act */
        lua_pushstring(L, l->ended);
        code = LUA_ERRRUN;
    }
    if (code != LUA_OK) {
        lua_replace(L, at);
        lua_settop(L, at);
        return failed(l, status_of(l, code));
    }
    lua_remove(L, at);
    const int got = lua_gettop(L) - at + 1;
    if (results != NULL)
        *results = got;
    else
        lua_settop(L, at - 1);
    return PERI_OK;
}

peri_status peri_lua_call(peri_lua *l, int n, const peri_lua_limits *limits, int *results)
{
    if (results != NULL)
        *results = 0;
    if (!lua_checkstack(l->L, 10)) {
        lua_pop(l->L, n + 1);
        snprintf(l->error, sizeof l->error, "out of memory");
        return PERI_E_NOMEM;
    }
    const allowance before = begin(l, limits);
    const peri_status status = call(l, n, results);
    end(l, &before);
    return status;
}

peri_status peri_lua_run(peri_lua *l, const char *name, const char *text, size_t size, const peri_lua_limits *limits, int *results)
{
    lua_State *L = l->L;
    char chunk[200];
    if (results != NULL)
        *results = 0;
    if (!lua_checkstack(L, 10)) {
        snprintf(l->error, sizeof l->error, "out of memory");
        return PERI_E_NOMEM;
    }
    snprintf(chunk, sizeof chunk, "@%s", name);
    const int code = luaL_loadbufferx(L, text, size, chunk, l->config.sandboxed ? "t" : NULL);
    if (code != LUA_OK)
        return failed(l, status_of(l, code));
    if (l->environment != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, l->environment);
        if (lua_setupvalue(L, -2, 1) == NULL)
            lua_pop(L, 1);
    }
    return peri_lua_call(l, 0, limits, results);
}
