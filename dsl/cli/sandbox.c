/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - the end of a sandboxed script: memory and time are watched by a hook that raises its error again at every instruction, so that no
 * pcall survives it; what a hook cannot interrupt, confine.c ends.
 */
#include "cli.h"

#include <lauxlib.h>

enum { HOOK_EVERY = 1000 };

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
