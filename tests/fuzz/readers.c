/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readers.c - the standard library's readers of data files: the first byte chooses the reader, the rest is what io.open gives for the file. A
 * reader returns something or raises one line that begins with the file's name; Lua's own messages begin with that of the reader's.
 * The readers are Lua, which libFuzzer does not see: the lines that run are counted for it.
 */
#include "../../dsl/c/host.h"
#include "fuzz.h"
#include "io/json_read.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

/* What libFuzzer looks at beside its own counters, one a line. */
enum { COUNTERS = 4096 };
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

static const char setup[] =
    "local data_of, json = require 'perigee.data', require 'perigee.json'\n"
    "local text\n"
    "io.open = function() return { read = function() return text end, close = function() return true end,\n"
    "  lines = function() return text:gmatch '[^\\n]*' end, seek = function() return #text end } end\n"
    "local names = { 'csv', 'libsvm', 'matpower', 'matrix_market', 'nist', 'json' }\n"
    "return function(choice, data)\n"
    "  text = data\n"
    "  local name = names[choice % #names + 1]\n"
    "  local ok, out = pcall(name == 'json' and json.file or data_of[name], 'the-file')\n"
    "  local taken\n"
    "  if name == 'json' then taken = ok end\n"
    "  if ok then return type(out) == 'table' or type(out) == 'userdata' or name == 'json' or 'gave a ' .. type(out), taken end\n"
    "  if type(out) ~= 'string' then return 'raised a ' .. type(out) end\n"
    "  if out:sub(1, 8) ~= 'the-file' or out:find('\\n', 1, true) then return out end\n"
    "  return true, taken\n"
    "end\n";

static void count_line(lua_State *L, lua_Debug *ar)
{
    lua_getinfo(L, "S", ar);
    counters[((uintptr_t)ar->source / 16 * 31 + (uintptr_t)ar->currentline) % COUNTERS]++;
}

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
    lua_sethook(L, count_line, LUA_MASKLINE, 0);
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

/* The engine's reader of JSON takes what the library's does, but for what each is known to refuse alone: depth, surrogates, a zero in a text. */
static void compare_json(const char *text, size_t size, bool accepted)
{
    arena memory;
    const json_value *v = NULL;
    peri_context *ctx = peri_context_new(NULL);
    arena_init(&memory, &ctx->mem);
    const peri_status status = json_parse(ctx, &memory, "the-file", text, size, &v);
    FUZZ_CHECK(status == PERI_OK || (status == PERI_E_PARSE && strchr(peri_error(ctx), '\n') == NULL), "%s", peri_error(ctx));
    const char *why = status == PERI_OK ? "" : peri_error(ctx);
    const bool known = strstr(why, "levels") != NULL || strstr(why, "hexadecimal") != NULL || strstr(why, "second half") != NULL;
    FUZZ_CHECK(known || accepted == (status == PERI_OK), "only one of two readers takes it: %s", why);
    arena_release(&memory);
    peri_context_free(ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    lua_State *L = state();
    const char *text = (const char *)data + 1;
    lua_getfield(L, LUA_REGISTRYINDEX, "target");
    lua_pushinteger(L, data[0]);
    lua_pushlstring(L, text, size - 1);
    const int status = lua_pcall(L, 2, 2, 0);
    FUZZ_CHECK(status == LUA_OK && lua_isboolean(L, -2), "%s", lua_tostring(L, -2));
    if (lua_isboolean(L, -1))
        compare_json(text, size - 1, lua_toboolean(L, -1));
    lua_settop(L, 0);
    lua_gc(L, LUA_GCSTEP, 100);
    return 0;
}
