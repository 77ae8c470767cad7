/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - see memory.h. */
#include "memory.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

void *memory_allocate(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    memory *m = ud;
    if (new_size == 0) {
        m->blocks -= ptr != NULL;
        free(ptr);
        return NULL;
    }
    m->calls++;
    if (m->countdown > 0 && m->calls >= m->countdown && (m->persistent || m->calls == m->countdown) &&
        (ptr == NULL || new_size > old_size)) { /* Lua relies on shrinking */
        m->failed = true;
        return NULL;
    }
    void *out = realloc(ptr, new_size);
    m->blocks += ptr == NULL && out != NULL;
    return out;
}

void memory_open_libraries(lua_State *L)
{
    lua_pushvalue(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, DSL_HOST_KEY);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_perigee);
    lua_setfield(L, -2, "perigee");
    lua_pop(L, 1);
}
