/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scripts.c - scripts of calls of the binding: whatever is passed to whatever function, method or operator, the answer is a value or one line of
 * text. What the bytes mean is in calls.lua.
 */
#include "../../dsl/c/host.h"
#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>

enum { MEMORY = 64 << 20 };

/* 1: the context's record (light), 2: the input */
static int run_all(lua_State *L)
{
    const char *source = getenv("PERIGEE_SOURCE");
    lua_pushvalue(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, DSL_HOST_KEY);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_perigee);
    lua_setfield(L, -2, "perigee");
    lua_pushfstring(L, "%s/tests/fuzz/calls.lua", source != NULL ? source : ".");
    if (luaL_loadfile(L, lua_tostring(L, -1)) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const peri_config config = {.memory_limit = MEMORY};
    dsl_host host = {.ctx = peri_context_new(&config)};
    lua_State *L = luaL_newstate();
    FUZZ_CHECK(host.ctx != NULL && L != NULL, "no memory");
    lua_pushcfunction(L, run_all);
    lua_pushlightuserdata(L, &host);
    lua_pushlstring(L, (const char *)data, size);
    const int status = lua_pcall(L, 2, 1, 0);
    FUZZ_CHECK(status == LUA_OK && lua_isboolean(L, -1), "%s", lua_tostring(L, -1));
    lua_close(L);
    peri_context_free(host.ctx);
    return 0;
}
