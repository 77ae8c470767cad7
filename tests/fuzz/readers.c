/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readers.c - the standard library's readers of data files: the first byte chooses the reader, the rest is what io.open gives for the file. A
 * reader returns something or raises one line that begins with the file's name; Lua's own messages ("attempt to ...") are mistakes in a reader.
 */
#include "../../dsl/c/host.h"
#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

static const char setup[] =
    "local data_of = require 'perigee.data'\n"
    "local text\n"
    "io.open = function() return { read = function() return text end, close = function() return true end,\n"
    "  lines = function() return text:gmatch '[^\\n]*' end, seek = function() return #text end } end\n"
    "local names = { 'csv', 'libsvm', 'matpower', 'matrix_market', 'nist' }\n"
    "return function(choice, data)\n"
    "  text = data\n"
    "  local ok, out = pcall(data_of[names[choice % #names + 1]], 'the-file')\n"
    "  if ok then return type(out) == 'table' or type(out) == 'userdata' or 'gave a ' .. type(out) end\n"
    "  if type(out) ~= 'string' then return 'raised a ' .. type(out) end\n"
    "  if out:find 'attempt to' or out:find('\\n', 1, true) or out:find 'stack traceback' or out:find 'bad argument' then return out end\n"
    "  return true\n"
    "end\n";

static int open_all(lua_State *L)
{
    const char *source = getenv("PERIGEE_SOURCE");
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/stdlib/?.lua", source != NULL ? source : ".");
    lua_setfield(L, -2, "path");
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_perigee);
    lua_setfield(L, -2, "perigee");
    if (luaL_loadstring(L, setup) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "target");
    return 0;
}

/* One state for all inputs: opening one takes longer than reading a file. */
static lua_State *state(void)
{
    static lua_State *L;
    if (L == NULL) {
        L = luaL_newstate();
        lua_pushcfunction(L, open_all);
        FUZZ_CHECK(lua_pcall(L, 0, 0, 0) == LUA_OK, "%s", lua_tostring(L, -1));
    }
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lua_State *L = state();
    if (size == 0)
        return 0;
    lua_getfield(L, LUA_REGISTRYINDEX, "target");
    lua_pushinteger(L, data[0]);
    lua_pushlstring(L, (const char *)data + 1, size - 1);
    const int status = lua_pcall(L, 2, 1, 0);
    FUZZ_CHECK(status == LUA_OK && lua_isboolean(L, -1), "%s", lua_tostring(L, -1));
    lua_settop(L, 0);
    lua_gc(L, LUA_GCSTEP, 100);
    return 0;
}
