/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module.c - require "perigee": the metatables are filled, the module's table is made. Invariant: the state enters the
 * registry when all of it stands, so an opening that fails leaves nothing behind. Lua files are loaded when a name that
 * they define is first used.
 */
#include "internal.h"
#include <string.h>

/* Adds functions with the state (first upvalue here) as their first upvalue to the table on the top. */
static void add(lua_State *L, const luaL_Reg *list)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    luaL_setfuncs(L, list, 1);
}

/* ---- names that are not there yet -------------------------------------------------------------------------------- */

/* The file perigee/NAME.lua, kept in the module's table once loaded. */
static bool load_part(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushfstring(L, "perigee.%s", name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL)
        return true; /* required by someone else */
    lua_pop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, l_searcher, 1);
    lua_pushvalue(L, -2);
    lua_call(L, 1, 2);
    if (!lua_isfunction(L, -2))
        return false;
    lua_pop(L, 2);
    lua_getglobal(L, "require");
    lua_pushvalue(L, -2);
    lua_call(L, 1, 1);
    return true;
}

static int l_module_index(lua_State *L)
{
    char text[200];
    lua_settop(L, 2);
    if (lua_type(L, 2) != LUA_TSTRING) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "perigee: %s is not a name", text);
    }
    const char *name = lua_tostring(L, 2);
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(name) && load_part(L, name)) {
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 1);
        return 1;
    }
    library_names(L);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushboolean(L, 1);
        lua_rawset(L, -4);
    }
    raise_unknown(L, -1, "perigee", name);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void fill_type(lua_State *L, dsl_type type, const luaL_Reg *list)
{
    lua_getiuservalue(L, lua_upvalueindex(1), 1 + (int)type);
    add(L, list);
    lua_pop(L, 1);
}

/* __index with the table of methods as its second upvalue; `at`: index of the methods */
static void set_index(lua_State *L, dsl_type type, const luaL_Reg *list, int at)
{
    while (strcmp(list->name, "__index") != 0)
        list++;
    lua_getiuservalue(L, lua_upvalueindex(1), 1 + (int)type);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, at);
    lua_pushcclosure(L, list->func, 2);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

static void fill_types(lua_State *L)
{
    static const luaL_Reg text_metamethods[] = {{"__gc", text_gc}, {NULL, NULL}};
    fill_type(L, TYPE_EXPR, expr_metamethods);
    fill_type(L, TYPE_ARRAY, array_metamethods);
    fill_type(L, TYPE_INDEX, index_metamethods);
    fill_type(L, TYPE_ITEM, item_metamethods);
    fill_type(L, TYPE_MODEL, model_metamethods);
    fill_type(L, TYPE_CONSTRAINT, constraint_metamethods);
    fill_type(L, TYPE_HANDLE, handle_metamethods);
    fill_type(L, TYPE_SOLUTION, solution_metamethods);
    fill_type(L, TYPE_FOREIGN, foreign_metamethods);
    fill_type(L, TYPE_CALLBACK, callback_metamethods);
    fill_type(L, TYPE_POINTER, pointer_metamethods);
    fill_type(L, TYPE_TEXT, text_metamethods);
    fill_type(L, TYPE_PLUGIN, plugin_metamethods);
    fill_type(L, TYPE_RUN, run_metamethods);
    fill_type(L, TYPE_FACTOR, factor_metamethods);
    fill_type(L, TYPE_WARM, warm_metamethods);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_TABLE_META);
    add(L, table_metamethods);
    lua_newtable(L);
    add(L, model_methods);
    add(L, solve_methods);
    add(L, argmin_methods);
    add(L, inner_methods);
    set_index(L, TYPE_MODEL, model_metamethods, lua_gettop(L));
    lua_newtable(L);
    add(L, solution_methods);
    set_index(L, TYPE_SOLUTION, solution_metamethods, lua_gettop(L));
    lua_newtable(L);
    add(L, run_methods);
    add(L, run_eval_methods);
    add(L, run_matrix_methods);
    add(L, run_inner_methods);
    add(L, run_levels_methods);
    set_index(L, TYPE_RUN, run_metamethods, lua_gettop(L));
    lua_newtable(L);
    add(L, factor_methods);
    set_index(L, TYPE_FACTOR, factor_metamethods, lua_gettop(L));
    lua_pop(L, 5);
}

static void add_methods(lua_State *L, int at, const luaL_Reg *own)
{
    lua_getiuservalue(L, lua_upvalueindex(1), at);
    add_operations(L, -1);
    add(L, expr_functions);
    add(L, product_functions);
    add(L, shape_functions);
    add(L, constraint_functions);
    add(L, derive_functions);
    add(L, own);
    lua_pop(L, 1);
}

static void push_module(lua_State *L)
{
    lua_createtable(L, 0, 100);
    add_operations(L, -1);
    add(L, expr_functions);
    add(L, product_functions);
    add(L, acyclic_functions);
    add(L, shape_functions);
    add(L, derive_functions);
    add(L, constraint_functions);
    add(L, map_functions);
    add(L, array_makers);
    add(L, model_makers);
    add(L, blackbox_functions);
    add(L, implicit_functions);
    add(L, foreign_functions);
    add(L, plugin_makers);
    add(L, warm_functions);
    lua_createtable(L, 0, 4);
    add(L, random_functions);
    lua_setfield(L, -2, "random");
    lua_createtable(L, 0, 3);
    add(L, debug_functions);
    lua_setfield(L, -2, "debug");
    lua_pushstring(L, peri_version());
    lua_setfield(L, -2, "version");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, l_module_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "perigee");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

/* After preload, before the path: our files belong to this version of the binding. */
static void add_searcher(lua_State *L)
{
    if (lua_getglobal(L, "package") != LUA_TTABLE || lua_getfield(L, -1, "searchers") != LUA_TTABLE)
        return; /* a host without the package library */
    for (lua_Integer k = (lua_Integer)lua_rawlen(L, -1); k >= 2; k--) {
        lua_rawgeti(L, -1, k);
        lua_rawseti(L, -2, k + 1);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, l_searcher, 1);
    lua_rawseti(L, -2, 2);
}

/* The state is the upvalue. */
static int open(lua_State *L)
{
    lua_settop(L, 0);
    fill_types(L);
    add_methods(L, UV_METHODS, param_methods);
    add_methods(L, UV_ARRAY_METHODS, array_methods);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_ARRAY_METHODS);
    add(L, array_inplace_methods);
    lua_pop(L, 1);
    add_searcher(L);
    lua_settop(L, 0);
    boolean_hint(L);
    push_module(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setfield(L, LUA_REGISTRYINDEX, "perigee.state");
    plugin_install(L);
    return 1;
}

int luaopen_perigee(lua_State *L)
{
    bool fresh;
    (void)state_push(L, &fresh);
    lua_pushcclosure(L, open, 1);
    lua_call(L, 0, 1);
    return 1;
}

/* ---- for hosts --------------------------------------------------------------------------------------------------- */

static int check_unused(lua_State *L)
{
    pending_check(L);
    return 0;
}

void dsl_check_unused(lua_State *L)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, "perigee.state") != LUA_TUSERDATA) {
        lua_pop(L, 1);
        return; /* the script has not used the binding */
    }
    lua_pushcclosure(L, check_unused, 1);
    lua_call(L, 0, 0);
}

/* The userdata of that type; told by the metatable, without a jump. */
static void *object(lua_State *L, int i, dsl_type type)
{
    void *found = NULL;
    const int at = lua_absindex(L, i);
    if (lua_type(L, at) != LUA_TUSERDATA || !lua_checkstack(L, 3) || !lua_getmetatable(L, at))
        return NULL;
    if (lua_getfield(L, LUA_REGISTRYINDEX, "perigee.state") == LUA_TUSERDATA) {
        const dsl_state *s = lua_touserdata(L, -1);
        if (s->type[type] == lua_topointer(L, -2))
            found = lua_touserdata(L, at);
    }
    lua_pop(L, 2);
    return found;
}

peri_model *dsl_to_model(lua_State *L, int i)
{
    const dsl_model_ud *m = object(L, i, TYPE_MODEL);
    return m != NULL ? m->obj : NULL;
}

peri_solution *dsl_to_solution(lua_State *L, int i)
{
    const dsl_solution *s = object(L, i, TYPE_SOLUTION);
    return s != NULL ? s->obj : NULL;
}

/* The keys of the table on the top, which is popped, go to the table at `to`. */
static void take_names(lua_State *L, int to)
{
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushboolean(L, 1);
        lua_rawset(L, to);
    }
    lua_pop(L, 1);
}

/* Methods of models and solutions are an upvalue of their __index, see set_index. */
static void take_methods(lua_State *L, int at, int to)
{
    if (luaL_getmetafield(L, at, "__index") == LUA_TNIL)
        return;
    if (lua_getupvalue(L, -1, 2) != NULL)
        take_names(L, to);
    lua_pop(L, 1);
}

void dsl_push_names(lua_State *L, int i)
{
    const int at = lua_absindex(L, i);
    luaL_checkstack(L, 8, NULL);
    lua_newtable(L);
    const int to = lua_gettop(L);
    if (lua_getfield(L, LUA_REGISTRYINDEX, "perigee.state") == LUA_TUSERDATA) {
        const bool array = object(L, at, TYPE_ARRAY) != NULL;
        if (array || object(L, at, TYPE_EXPR) != NULL) {
            lua_getiuservalue(L, -1, array ? UV_ARRAY_METHODS : UV_METHODS);
            take_names(L, to);
        } else if (object(L, at, TYPE_MODEL) != NULL || object(L, at, TYPE_SOLUTION) != NULL) {
            take_methods(L, at, to);
        }
        if (object(L, at, TYPE_SOLUTION) != NULL) {
            solution_names(L);
            take_names(L, to);
        }
    }
    lua_settop(L, to);
}
