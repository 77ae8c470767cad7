/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - what a script from somebody else finds. Two environments: the libraries as the standard library's files see them, without what reads or
 * writes files, starts programs or loads code; and the script's own, made of names that are listed here. Invariant: no function of the second leads
 * to one that was taken out of the first. Memory and time are watched by a hook that raises its error again at every instruction, so that no pcall
 * survives it; what a hook cannot interrupt, confine.c ends.
 */
#include "cli.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

enum { HOOK_EVERY = 1000 };

/* ---- refusals ------------------------------------------------------------------------------------------------------------------------ */

static int l_refuse(lua_State *L)
{
    return luaL_error(L, "%s is not available in a sandbox", lua_tostring(L, lua_upvalueindex(1)));
}

/* Functions of the table at the top but for those in `keep` refuse with their name. */
static void refuse_others(lua_State *L, const char *library, const char *const *keep)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        bool kept = !lua_isfunction(L, -1) && !lua_isuserdata(L, -1);
        for (int k = 0; keep[k] != NULL && !kept; k++)
            kept = strcmp(name, keep[k]) == 0;
        lua_pop(L, 1);
        if (kept)
            continue;
        lua_pushvalue(L, -1);
        lua_pushfstring(L, "%s.%s", library, name);
        lua_pushcclosure(L, l_refuse, 1);
        lua_rawset(L, -4);
    }
}

static void refuse_in(lua_State *L, const char *library, const char *const *keep)
{
    lua_getglobal(L, library);
    refuse_others(L, library, keep);
    lua_pop(L, 1);
}

/* ---- what the standard library's files keep ---------------------------------------------------------------------------------------------- */

static void strip(lua_State *L)
{
    static const char *const none[] = {NULL}, *const os[] = {"clock", "date", "difftime", "time", NULL},
                             *const debug[] = {"getinfo", "traceback", NULL}, *const gone[] = {"dofile", "loadfile", "load", NULL};
    refuse_in(L, "io", none);
    refuse_in(L, "os", os);
    refuse_in(L, "debug", debug);
    refuse_in(L, "package", none);
    for (int k = 0; gone[k] != NULL; k++) {
        lua_pushnil(L);
        lua_setglobal(L, gone[k]);
    }
    lua_getglobal(L, "string"); /* every string's methods */
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_getglobal(L, "package"); /* modules come from `preload` and, once it is there, the binding's own searcher */
    lua_createtable(L, 1, 0);
    lua_getfield(L, -2, "searchers");
    lua_rawgeti(L, -1, 1);
    lua_rawseti(L, -3, 1);
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "searchers"); /* for the binding, which adds its own */
    lua_pop(L, 3);
}

/* `require` reads the list from its upvalue: what it holds is replaced. */
static void strip_searchers(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    for (lua_Integer k = (lua_Integer)lua_rawlen(L, -1); k >= 2; k--) {
        lua_pushnil(L);
        lua_rawseti(L, -2, k);
    }
    lua_pop(L, 2);
}

/* ---- what the script has -------------------------------------------------------------------------------------------------------------------- */

static int l_setmetatable(lua_State *L)
{
    static const char *const keys[] = {"__gc", "__mode"};
    luaL_argexpected(L, lua_isnoneornil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    for (int k = 0; k < 2 && lua_istable(L, 2); k++) {
        lua_pushstring(L, keys[k]);
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "setmetatable: %s is not available in a sandbox", keys[k]);
        lua_pop(L, 1);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* perigee, and perigee.NAME with dots between names of the standard library */
static bool is_ours(const char *name)
{
    return strcmp(name, "perigee") == 0 ||
           (strncmp(name, "perigee.", 8) == 0 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") == strlen(name) &&
            strstr(name, "..") == NULL);
}

static int l_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    if (!is_ours(name))
        return luaL_error(L, "require: module '%s' is not available in a sandbox; perigee and its parts are", name);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

/* A copy of a library in the script's environment (at the top): what the script does to it stays there. */
static void copy_library(lua_State *L, const char *name)
{
    lua_newtable(L);
    lua_getglobal(L, name);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
    lua_setfield(L, -2, name);
}

static void copy_function(lua_State *L, const char *name, lua_CFunction wrapper)
{
    lua_getglobal(L, name);
    if (wrapper != NULL)
        lua_pushcclosure(L, wrapper, 1);
    lua_setfield(L, -2, name);
}

static void lock_metatable_of_strings(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

void sandbox_push(lua_State *L)
{
    static const char *const base[] = {"assert",   "error",  "getmetatable", "ipairs",   "next",     "pairs", "pcall",  "print",    "rawequal",
                                       "rawget",   "rawlen", "rawset",       "select",   "tonumber", "tostring", "type", "xpcall", "_VERSION", "arg", NULL};
    static const char *const libraries[] = {"string", "table", "math", "utf8", "coroutine", NULL};
    lock_metatable_of_strings(L);
    strip_searchers(L);
    strip(L);
    lua_newtable(L);
    for (int k = 0; base[k] != NULL; k++)
        copy_function(L, base[k], NULL);
    copy_function(L, "setmetatable", l_setmetatable);
    copy_function(L, "require", l_require);
    for (int k = 0; libraries[k] != NULL; k++)
        copy_library(L, libraries[k]);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
}

/* ---- the hook ------------------------------------------------------------------------------------------------------------------------------------ */

/* Coroutines inherit it; each that meets it after the end has come sets it to every instruction. */
static void watch(lua_State *L, lua_Debug *where)
{
    const cli *c = world_cli(L);
    if (!c->budget.exceeded && !signals_ending())
        return;
    lua_sethook(L, watch, LUA_MASKCOUNT, 1);
    if (!c->budget.exceeded) {
        signals_end_script(L, where);
        return;
    }
    lua_getinfo(L, "Sl", where);
    luaL_error(L, "%s:%d: out of memory; --memory-limit allows %d MiB", where->short_src, where->currentline, (int)(c->budget.limit >> 20));
}

void sandbox_watch(lua_State *L)
{
    lua_sethook(L, watch, LUA_MASKCOUNT, HOOK_EVERY);
}
