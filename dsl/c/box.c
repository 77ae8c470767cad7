/* SPDX-License-Identifier: Apache-2.0 */
/*
 * box.c - the types of userdata and the state that they share. Invariant: a userdata has its metatable and is zeroed,
 * hence closed, before it owns anything; a type is recognised by the address of its metatable, which the state keeps.
 */
#include "internal.h"
#include <string.h>

const char *const dsl_type_name[TYPE_COUNT] = {
    "perigee.expr",       "perigee.array",  "perigee.index",    "perigee.item",     "perigee.model",
    "perigee.constraint", "perigee.handle", "perigee.solution", "perigee.blackbox", "perigee.foreign",
    "perigee.callback",   "perigee.pointer", "perigee.plugin", "perigee.run", "perigee.factor", "perigee.text",
    "perigee.warm_start",
};

static const char state_key[] = "perigee.state";

dsl_type type_of(lua_State *L, const dsl_state *s, int i)
{
    if (lua_type(L, i) != LUA_TUSERDATA || !lua_getmetatable(L, i))
        return TYPE_NONE;
    const void *meta = lua_topointer(L, -1);
    lua_pop(L, 1);
    int type = 0;
    while (type < TYPE_COUNT && s->type[type] != meta)
        type++;
    return (dsl_type)type;
}

void *box_new(lua_State *L, dsl_type type, size_t size, int user_values)
{
    void *box = lua_newuserdatauv(L, size, user_values);
    memset(box, 0, size);
    lua_getiuservalue(L, lua_upvalueindex(1), 1 + (int)type);
    lua_setmetatable(L, -2);
    return box;
}

void *temporary(lua_State *L, size_t count, size_t size)
{
    if (size != 0 && count > (SIZE_MAX / 2) / size)
        dsl_raise(L, "out of memory");
    void *block = lua_newuserdatauv(L, count * size + 1, 0);
    memset(block, 0, count * size + 1);
    return block;
}

void put_number(lua_State *L, const char *key, double v)
{
    lua_pushnumber(L, v);
    lua_setfield(L, -2, key);
}

void put_integer(lua_State *L, const char *key, int64_t v)
{
    lua_pushinteger(L, v);
    lua_setfield(L, -2, key);
}

void put_text(lua_State *L, const char *key, const char *v)
{
    lua_pushstring(L, v);
    lua_setfield(L, -2, key);
}

void put_flag(lua_State *L, const char *key, bool v)
{
    lua_pushboolean(L, v);
    lua_setfield(L, -2, key);
}

void put_all(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
}

dsl_model_ud *check_model(lua_State *L, int i)
{
    dsl_state *s = state_of(L);
    char text[160];
    if (type_of(L, s, i) != TYPE_MODEL) {
        describe(L, i, text, sizeof text);
        dsl_raise(L, "%s is not a model; methods are called as m:method(...)", text);
    }
    dsl_model_ud *m = lua_touserdata(L, i);
    if (m->obj == NULL || m->root->obj == NULL)
        dsl_raise(L, "model \"%s\" is closed", m->obj == NULL ? m->name : m->root->name);
    if (m->root->busy > 0)
        dsl_raise(L, "model \"%s\" is being evaluated: a callback cannot work on it", m->name);
    return m;
}

dsl_solution *check_solution(lua_State *L, int i)
{
    dsl_state *s = state_of(L);
    char text[160];
    if (type_of(L, s, i) != TYPE_SOLUTION) {
        describe(L, i, text, sizeof text);
        dsl_raise(L, "%s is not a solution; methods are called as sol:method(...)", text);
    }
    dsl_solution *sol = lua_touserdata(L, i);
    if (sol->obj == NULL)
        dsl_raise(L, "this solution is closed");
    return sol;
}

/* ---- texts of the engine's --------------------------------------------------------------------------------------- */

typedef struct {
    char *text;
    peri_context *ctx;
} text_box;

int text_gc(lua_State *L)
{
    text_box *b = lua_touserdata(L, 1);
    if (b->text != NULL)
        peri_free_text(b->ctx, b->text);
    b->text = NULL;
    return 0;
}

/* The box is made before the text, by whoever asks the engine for one: see push_text. */
void push_text(lua_State *L, peri_context *ctx, peri_status (*make)(void *ud, char **text), void *ud)
{
    text_box *b = box_new(L, TYPE_TEXT, sizeof *b, 0);
    b->ctx = ctx;
    check_status(L, make(ud, &b->text));
    lua_pushstring(L, b->text);
    peri_free_text(ctx, b->text);
    b->text = NULL;
    lua_remove(L, -2);
}

/* ---- memory that the collector does not see ---------------------------------------------------------------------- */

/* Models hold their memory in the engine; when that has grown by more than a tenth and a mebibyte, collect as if Lua
 * had allocated it. */
void collector_hint(lua_State *L, dsl_state *s)
{
    size_t used;
    peri_memory(s->ctx, &used, NULL, NULL);
    if (used < s->memory_seen) {
        s->memory_seen = used;
        return;
    }
    const size_t grown = used - s->memory_seen;
    if (grown < 1u << 20 || grown < s->memory_seen / 10)
        return;
    lua_gc(L, LUA_GCSTEP, (int)(grown / 1024 > 1 << 20 ? 1 << 20 : grown / 1024));
    peri_memory(s->ctx, &s->memory_seen, NULL, NULL);
}

/* ---- the state --------------------------------------------------------------------------------------------------- */

static int state_gc(lua_State *L)
{
    dsl_state *s = lua_touserdata(L, 1);
    plugin_forget_all(L, 1);
    peri_model_free(s->scratch);
    s->scratch = NULL;
    if (s->owns_context)
        peri_context_free(s->ctx); /* freed with the last model that is still there */
    s->owns_context = false;
    return 0;
}

static const dsl_host *host_of(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, DSL_HOST_KEY);
    const dsl_host *host = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return host;
}

static void make_types(lua_State *L, int state)
{
    dsl_state *s = lua_touserdata(L, state);
    for (int type = 0; type < TYPE_COUNT; type++) {
        lua_createtable(L, 0, 24);
        lua_pushstring(L, dsl_type_name[type]);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "__name");
        lua_setfield(L, -2, "__metatable");
        s->type[type] = lua_topointer(L, -1);
        lua_setiuservalue(L, state, 1 + type);
    }
    for (int at = UV_METHODS; at <= UV_CALLEES; at++) {
        lua_newtable(L);
        lua_setiuservalue(L, state, at);
    }
    lua_getiuservalue(L, state, UV_CALLEES);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

/* Pushes the state; made, with its types still without methods, where there is none. *fresh: it was. */
dsl_state *state_push(lua_State *L, bool *fresh)
{
    *fresh = false;
    if (lua_getfield(L, LUA_REGISTRYINDEX, state_key) == LUA_TUSERDATA)
        return lua_touserdata(L, -1);
    lua_pop(L, 1);
    *fresh = true;
    dsl_state *s = lua_newuserdatauv(L, sizeof *s, UV_STATE_COUNT);
    memset(s, 0, sizeof *s);
    const int at = lua_gettop(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, state_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, at);
    s->host = host_of(L);
    s->ctx = s->host != NULL && s->host->ctx != NULL ? s->host->ctx : peri_context_new(NULL);
    s->owns_context = s->host == NULL || s->host->ctx == NULL;
    if (s->ctx == NULL)
        luaL_error(L, "out of memory");
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    s->main = lua_tothread(L, -1);
    lua_pop(L, 1);
    make_types(L, at);
    return s;
}
