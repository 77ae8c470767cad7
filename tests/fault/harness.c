/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const problem_names[] = {"lp",      "qp",      "nlp",        "least_squares", "composite", "black_box",
                                     "search",  "foreign", "chain",      "penalty",       "multistart", "batch",
                                     "again",   "maps",    "matrices",   "undecided", "implicit", "instances", NULL};

/* Under lua_pcall. 1: the host's record (light) */
static int open_all(lua_State *L)
{
    memory_open_libraries(L);
    return 0;
}

void world_open(world *w)
{
    const peri_config config = {.alloc = memory_allocate, .alloc_ud = &w->mem};
    w->host = (dsl_host){.ctx = peri_context_new(&config)};
    w->L = w->host.ctx != NULL ? lua_newstate(memory_allocate, &w->mem) : NULL;
    if (w->L == NULL)
        return;
    lua_pushcfunction(w->L, open_all);
    lua_pushlightuserdata(w->L, &w->host);
    if (lua_pcall(w->L, 1, 0, 0) != LUA_OK) {
        lua_close(w->L);
        w->L = NULL;
    }
}

void world_close(world *w)
{
    w->mem.countdown = 0;
    if (w->L != NULL)
        lua_close(w->L);
    peri_context_free(w->host.ctx);
    w->L = NULL;
}

/* Under lua_pcall. 1: the problem's name (light) */
static int run_problem(lua_State *L)
{
    const char *source = getenv("PERIGEE_SOURCE");
    if (lua_getfield(L, LUA_REGISTRYINDEX, "problems") != LUA_TTABLE) {
        lua_pushfstring(L, "%s/tests/fault/problems.lua", source != NULL ? source : ".");
        if (luaL_loadfile(L, lua_tostring(L, -1)) != LUA_OK)
            return lua_error(L);
        lua_call(L, 0, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, "problems");
    }
    lua_getfield(L, -1, lua_touserdata(L, 1));
    lua_call(L, 0, 1);
    return 1;
}

run_end world_run(world *w, const char *problem, double want, double *result, char *message, size_t size)
{
    run_end end = RUN_ERROR;
    message[0] = '\0';
    if (w->L == NULL)
        return RUN_ERROR;
    lua_pushcfunction(w->L, run_problem);
    lua_pushlightuserdata(w->L, (void *)(uintptr_t)problem);
    if (lua_pcall(w->L, 1, 1, 0) != LUA_OK) {
        snprintf(message, size, "%s", lua_type(w->L, -1) == LUA_TSTRING ? lua_tostring(w->L, -1) : "(no text)");
    } else {
        *result = lua_tonumber(w->L, -1);
        end = fabs(*result - want) <= 1e-9 * fabs(want) ? RUN_RIGHT : RUN_WRONG;
    }
    lua_settop(w->L, 0);
    return end;
}

static int end_script(lua_State *L)
{
    dsl_check_unused(L);
    return 0;
}

void world_end_script(world *w)
{
    if (w->L == NULL)
        return;
    lua_pushcfunction(w->L, end_script);
    lua_pcall(w->L, 0, 0, 0);
    lua_settop(w->L, 0);
}
