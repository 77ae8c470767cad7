/* SPDX-License-Identifier: Apache-2.0 */
/* debug.c - peri.debug: the engine's memory as tests and curious users see it, and allocations that fail on demand. */
#include "internal.h"

/* bytes in use, peak, blocks */
static int l_memory(lua_State *L)
{
    size_t used, peak;
    int64_t blocks;
    dsl_state *s = state_of(L);
    peri_memory(s->ctx, &used, &peak, &blocks);
    lua_pushinteger(L, (lua_Integer)used);
    lua_pushinteger(L, (lua_Integer)peak);
    lua_pushinteger(L, blocks);
    return 3;
}

/* The scratch model of arrays is thrown away: what is left belongs to models and solutions. */
static int l_forget(lua_State *L)
{
    dsl_state *s = state_of(L);
    peri_model_free(s->scratch);
    s->scratch = NULL;
    return 0;
}

/* fail_at(k, persistent): the k-th allocation of the engine from now fails; 0: none */
static int l_fail_at(lua_State *L)
{
    peri_memory_fail_at(state_of(L)->ctx, check_integer(L, 1, "fail_at: k"), lua_toboolean(L, 2));
    return 0;
}

const luaL_Reg debug_functions[] = {{"memory", l_memory}, {"forget", l_forget}, {"fail_at", l_fail_at}, {NULL, NULL}};
