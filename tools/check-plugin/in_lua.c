/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_lua.c - plugins in Lua for the contract: each context gets a loader with a Lua state of its own, made when a file in Lua is first
 * loaded. Such plugins reach the engine through the binding, which asks peri_host_functions for the table; the linker's --wrap puts
 * ours there, so that evaluations fail at the k-th call for them too. States live as long as the process, a part of the contract.
 */
#include "in_lua.h"
#include "host.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

typedef struct world {
    struct world *next;
    peri_context *ctx;
    lua_State *L;
    dsl_host host;
} world;

/* The worlds of this process; contexts are made by one thread. */
static world *worlds;
static const peri_host *given; /* NULL: the engine's own */

const struct peri_host *__wrap_peri_host_functions(void)
{
    return given != NULL ? given : __real_peri_host_functions();
}

bool contract_give_host(const registry_entry *e, const peri_host *host)
{
    (void)e;
    given = host;
    return true;
}

static int set_up(lua_State *L)
{
    luaL_openlibs(L);
    lua_pushvalue(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, DSL_HOST_KEY);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_perigee);
    lua_setfield(L, -2, "perigee");
    return 0;
}

static peri_status load(void *ud, const char *path, peri_loading *to)
{
    world *w = ud;
    if (w->L == NULL) {
        w->L = luaL_newstate();
        if (w->L == NULL)
            return peri_error_set(w->ctx, PERI_E_NOMEM, "out of memory");
        w->host.ctx = w->ctx;
        lua_pushcfunction(w->L, set_up);
        lua_pushlightuserdata(w->L, &w->host);
        if (lua_pcall(w->L, 1, 0, 0) != LUA_OK)
            return peri_error_set(w->ctx, PERI_E_NOMEM, "the Lua state could not be made");
    }
    return dsl_load_plugin(w->L, path, to);
}

/* PERIGEE_PLUGIN_PATH is the file's folder and what is installed. */
peri_context *contract_context(const peri_config *config)
{
    peri_context *ctx = peri_context_new(config);
    world *w = calloc(1, sizeof *w);
    if (ctx == NULL || w == NULL || peri_context_set_loader(ctx, ".lua", load, w) != PERI_OK) {
        peri_context_free(ctx);
        free(w);
        return NULL;
    }
    w->ctx = ctx;
    w->next = worlds;
    worlds = w;
    return ctx;
}

int64_t contract_blocks(peri_context *ctx)
{
    int64_t blocks = 0;
    for (const world *w = worlds; w != NULL; w = w->next)
        if (w->ctx == ctx && w->L != NULL) {
            lua_gc(w->L, LUA_GCCOLLECT);
            lua_gc(w->L, LUA_GCCOLLECT); /* what finalizers left */
            break;
        }
    peri_memory(ctx, NULL, NULL, &blocks);
    return blocks;
}
