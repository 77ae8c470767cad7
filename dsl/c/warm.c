/* SPDX-License-Identifier: Apache-2.0 */
/*
 * warm.c - portable warm starts in Lua: sol:warm_start(), peri.warm_start(path), and what m:solve takes them for. An object of its own memory,
 * which needs neither the solution nor the model that it came from.
 */
#include "internal.h"
#include <string.h>

dsl_warm *to_warm(lua_State *L, int i)
{
    return type_of(L, state_of(L), i) == TYPE_WARM ? lua_touserdata(L, i) : NULL;
}

static dsl_warm *check_warm(lua_State *L, int i)
{
    char text[200];
    dsl_warm *w = to_warm(L, i);
    if (w != NULL && w->obj != NULL)
        return w;
    describe(L, i, text, sizeof text);
    dsl_raise(L, "a warm start is needed, not %s", text);
}

/* ---- made ------------------------------------------------------------------------------------------------------------------ */

int l_solution_warm_start(lua_State *L)
{
    dsl_solution *sol = check_solution(L, 1);
    if (lua_gettop(L) > 1)
        dsl_raise(L, "warm_start: takes no arguments; solve again with m:solve(solver, { warm_start = sol })");
    dsl_warm *w = box_new(L, TYPE_WARM, sizeof *w, 0);
    check_status(L, peri_solution_warm_start(sol->obj, &w->obj));
    return 1;
}

static int l_read(lua_State *L)
{
    char text[200];
    lua_settop(L, 1);
    if (lua_type(L, 1) != LUA_TSTRING) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "warm_start: a file's path is needed, not %s", text);
    }
    dsl_warm *w = box_new(L, TYPE_WARM, sizeof *w, 0);
    check_status(L, peri_warm_start_read(state_of(L)->ctx, lua_tostring(L, 1), &w->obj));
    return 1;
}

/* ---- asked ------------------------------------------------------------------------------------------------------------------- */

static peri_status make_json(void *ud, char **text)
{
    return peri_warm_start_json(ud, text);
}

static int l_json(lua_State *L)
{
    push_text(L, state_of(L)->ctx, make_json, check_warm(L, 1)->obj);
    return 1;
}

static int l_save(lua_State *L)
{
    char text[200];
    dsl_warm *w = check_warm(L, 1);
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_settop(L, 2);
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "save: a file's path is needed, not %s", text);
    }
    check_status(L, peri_warm_start_save(w->obj, lua_tostring(L, 2)));
    return 0;
}

/* { name = number or array } */
static void push_part(lua_State *L, const peri_warm_start *ws, peri_warm_part part)
{
    const int64_t n = peri_warm_start_count(ws, part);
    peri_array value = {.rows = 0};
    lua_newtable(L);
    for (int64_t k = 0; k < n; k++) {
        const char *name = peri_warm_start_get(ws, part, k, &value);
        const int64_t size = value.rows * value.cols;
        if (size == 1)
            lua_pushnumber(L, value.data[0]);
        else
            memcpy(array_new(L, value.rows, value.cols)->data, value.data, (size_t)size * sizeof(double));
        lua_setfield(L, -2, name);
    }
}

static int l_index(lua_State *L)
{
    static const char *const parts[] = {"variables", "duals", "reduced_costs"};
    static const luaL_Reg methods[] = {{"save", l_save}, {"json", l_json}};
    dsl_warm *w = check_warm(L, 1);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (int k = 0; k < 3; k++)
        if (strcmp(name, parts[k]) == 0) {
            push_part(L, w->obj, (peri_warm_part)k);
            return 1;
        }
    for (size_t k = 0; k < sizeof methods / sizeof methods[0]; k++)
        if (strcmp(name, methods[k].name) == 0) {
            lua_pushvalue(L, lua_upvalueindex(1));
            lua_pushcclosure(L, methods[k].func, 1);
            return 1;
        }
    if (strcmp(name, "model") != 0)
        dsl_raise(L, "a warm start has no \"%.60s\": it has variables, duals, reduced_costs, model, save, json", name);
    lua_pushstring(L, peri_warm_start_model(w->obj));
    return 1;
}

static int l_tostring(lua_State *L)
{
    const dsl_warm *w = check_warm(L, 1);
    lua_pushfstring(L, "warm start: %d variables, %d constraints of model \"%s\"",
                    (int)peri_warm_start_count(w->obj, PERI_WARM_VARIABLES), (int)peri_warm_start_count(w->obj, PERI_WARM_DUALS),
                    peri_warm_start_model(w->obj));
    return 1;
}

static int l_gc(lua_State *L)
{
    dsl_warm *w = lua_touserdata(L, 1);
    peri_warm_start *obj = w->obj;
    w->obj = NULL;
    peri_warm_start_free(obj);
    return 0;
}

const luaL_Reg warm_metamethods[] = {{"__index", l_index}, {"__tostring", l_tostring}, {"__gc", l_gc}, {"__close", l_gc}, {NULL, NULL}};
const luaL_Reg warm_functions[] = {{"warm_start", l_read}, {NULL, NULL}};
