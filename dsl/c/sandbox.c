/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - what a script from somebody else finds. Two environments: the libraries as the standard library's files see them, without what reads or
 * writes files, starts programs or loads code; and the script's own, made of names that are listed here. Invariant: no function of the second leads
 * to one that was taken out of the first, and no code of the script runs while a hook does, so that a hook can end it.
 */
#include "sandbox.h"
#include "internal.h"

#include <lualib.h>
#include <stdbool.h>
#include <string.h>

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

/* xpcall, but the handler runs when the error has unwound the stack: one that is raised by a hook would otherwise run with hooks off, and
 * nothing could end it. 1: the handler; above it the results, or the error object at the top */
static int after_xpcall(lua_State *L, int status, lua_KContext unused)
{
    (void)unused;
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_pushboolean(L, 1);
        lua_replace(L, 1);
        return lua_gettop(L);
    }
    lua_settop(L, 2);
    lua_call(L, 1, 1);
    lua_pushboolean(L, 0);
    lua_insert(L, 1);
    return 2;
}

static int l_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 1);
    lua_copy(L, 2, 1);
    lua_replace(L, 2); /* handler, function, arguments */
    return after_xpcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, after_xpcall), 0);
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
    put_all(L);
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
                                       "rawget",   "rawlen", "rawset",       "select",   "tonumber", "tostring", "type", "_VERSION", "arg", NULL};
    static const char *const libraries[] = {"string", "table", "math", "utf8", "coroutine", NULL};
    lock_metatable_of_strings(L);
    strip_searchers(L);
    strip(L);
    lua_newtable(L);
    for (int k = 0; base[k] != NULL; k++)
        copy_function(L, base[k], NULL);
    copy_function(L, "setmetatable", l_setmetatable);
    copy_function(L, "require", l_require);
    copy_function(L, "xpcall", l_xpcall);
    for (int k = 0; libraries[k] != NULL; k++)
        copy_library(L, libraries[k]);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
}
