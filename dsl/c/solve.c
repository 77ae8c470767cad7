/* SPDX-License-Identifier: Apache-2.0 */
/* solve.c - m:solve(name, options): options from Lua as the engine's settings, callbacks, the solution's box. */
#include "internal.h"
#include <string.h>

typedef struct {
    peri_setting *list;
    int64_t n;
    bool says_isolate, says_memory;
    int callback;                    /* stack index, 0: none */
    const peri_solution *warm_start; /* NULL: none */
    const peri_warm_start *portable_start;
} settings;

static void read_warm_start(lua_State *L, int i, settings *s)
{
    char text[200];
    const dsl_warm *w = to_warm(L, i);
    if (w == NULL && type_of(L, state_of(L), i) != TYPE_SOLUTION) {
        describe(L, i, text, sizeof text);
        dsl_raise(L, "solve: warm_start must be a solution or a warm start, not %s", text);
    }
    s->portable_start = w != NULL ? w->obj : NULL;
    s->warm_start = w != NULL ? NULL : check_solution(L, i)->obj;
}

static const char *option_key(lua_State *L, const char *what)
{
    if (lua_type(L, -2) != LUA_TSTRING)
        dsl_raise(L, "%s: options are named, as in { tolerance = 1e-8 }", what);
    return lua_tostring(L, -2);
}

/* The value at -1, which stays on the stack as long as the setting is used. */
static void read_value(lua_State *L, const char *what, const char *key, peri_setting *o)
{
    char text[200];
    o->key = strcmp(key, "tol") == 0 ? "tolerance" : key;
    if (lua_type(L, -1) == LUA_TNUMBER) {
        o->type = PERI_VALUE_NUMBER;
        o->number = lua_tonumber(L, -1);
    } else if (lua_isboolean(L, -1)) {
        o->type = PERI_VALUE_BOOL;
        o->number = lua_toboolean(L, -1);
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        o->type = PERI_VALUE_TEXT;
        o->text = lua_tostring(L, -1);
    } else {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "%s: option \"%.60s\" must be a number, a string or a boolean, not %s", what, key, text);
    }
}

/* One option: the key at -2, the value at -1, both on the stack until the solve is over. */
static void read_setting(lua_State *L, settings *s)
{
    char text[200];
    const char *key = option_key(L, "solve");
    if (strcmp(key, "callback") == 0) {
        if (!lua_isfunction(L, -1)) {
            describe(L, -1, text, sizeof text);
            dsl_raise(L, "solve: callback must be a function of the iteration's row, not %s", text);
        }
        s->callback = lua_gettop(L);
        return;
    }
    if (strcmp(key, "warm_start") == 0) {
        read_warm_start(L, -1, s);
        return;
    }
    s->says_isolate = s->says_isolate || strcmp(key, "isolate") == 0;
    s->says_memory = s->says_memory || strcmp(key, "memory_limit") == 0;
    read_value(L, "solve", key, &s->list[s->n++]);
}

static int64_t count_options(lua_State *L, int i)
{
    int64_t n = 0;
    lua_pushnil(L);
    while (lua_next(L, i)) {
        n++;
        lua_pop(L, 1);
    }
    return n;
}

int64_t read_engine_settings(lua_State *L, int i, const char *what, const peri_setting **out)
{
    const int64_t n = count_options(L, i);
    int64_t k = 0;
    luaL_checkstack(L, (int)(n < 100000 ? n * 2 + 20 : 200000), "too many options");
    peri_setting *list = temporary(L, (size_t)n + 1, sizeof *list);
    for (lua_pushnil(L); lua_next(L, i); lua_pushvalue(L, -2))
        read_value(L, what, option_key(L, what), &list[k++]);
    *out = list;
    return n;
}

/* The options of the table at 3, where there is one; strings stay alive on the stack. */
static void read_settings(lua_State *L, settings *s)
{
    const dsl_host *host = state_of(L)->host;
    const bool any = lua_istable(L, 3);
    const int64_t n = any ? count_options(L, 3) : 0;
    luaL_checkstack(L, (int)(n < 100000 ? n * 2 + 20 : 200000), "solve: too many options");
    s->list = temporary(L, (size_t)n + 2, sizeof *s->list);
    for (lua_pushnil(L); any && lua_next(L, 3); lua_pushvalue(L, -2))
        read_setting(L, s);
    if (host != NULL && host->isolate && !s->says_isolate)
        s->list[s->n++] = (peri_setting){.key = "isolate", .type = PERI_VALUE_BOOL, .number = 1};
    if (host != NULL && host->memory_limit > 0 && !s->says_memory)
        s->list[s->n++] = (peri_setting){.key = "memory_limit", .type = PERI_VALUE_NUMBER, .number = (double)host->memory_limit};
}

/* Options have no functions of these names. */
static bool is_definition(lua_State *L, int i)
{
    const bool yes = lua_getfield(L, i, "step") == LUA_TFUNCTION;
    lua_pop(L, 1);
    return yes;
}

/* 1: model, 2: solver, 3: options */
static void read_arguments(lua_State *L)
{
    char text[200];
    lua_settop(L, 3);
    if (lua_istable(L, 2) && lua_isnil(L, 3) && !is_definition(L, 2))
        lua_rotate(L, 2, 1);
    if (lua_istable(L, 2) || type_of(L, state_of(L), 2) == TYPE_PLUGIN)
        plugin_name_of(L, 2);
    if (!lua_isnil(L, 2) && lua_type(L, 2) != LUA_TSTRING) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "solve: the solver must be a name or a plugin, not %s", text);
    }
    if (!lua_isnil(L, 3) && !lua_istable(L, 3)) {
        describe(L, 3, text, sizeof text);
        dsl_raise(L, "solve: options must be a table, not %s", text);
    }
}

static int l_solve(lua_State *L)
{
    if (type_of(L, state_of(L), 1) == TYPE_MODEL && check_model(L, 1)->inner != NULL)
        return inner_solve(L);
    dsl_state *s = state_of(L);
    settings given = {0};
    dsl_call call;
    dsl_model_ud *m = check_model(L, 1);
    if (m->root != m)
        dsl_raise(L, "solve: model \"%s\" lies inside model \"%s\" and is solved with it: call solve of that one", m->name, m->root->name);
    if (s->frame != NULL)
        dsl_raise(L, "m:solve cannot be called inside the function of a peri.map");
    pending_check(L);
    read_arguments(L);
    collector_hint(L, s);
    read_settings(L, &given);
    dsl_solution *sol = box_new(L, TYPE_SOLUTION, sizeof *sol, 2);
    sol->model = m;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, UV_PARENT);
    const peri_solve_args args = {.plan = lua_tostring(L, 2),
                                  .n_settings = given.n,
                                  .settings = given.list,
                                  .event = call_event,
                                  .event_ud = s,
                                  .warm_start = given.warm_start,
                                  .portable_start = given.portable_start};
    luaL_checkstack(L, 20, "solve");
    if (s->host != NULL && s->host->begin != NULL)
        s->host->begin(s->host->ud, m->obj);
    call_enter(&call, L, m, given.callback);
    const peri_status status = peri_model_solve(m->obj, &args, &sol->obj);
    if (s->host != NULL && s->host->end != NULL)
        s->host->end(s->host->ud, status == PERI_OK && !call.failed ? sol->obj : NULL);
    call_finish(L, &call, status);
    return 1;
}

const luaL_Reg solve_methods[] = {{"solve", l_solve}, {NULL, NULL}};
