/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_levels.c - problems with lower models for plugins in Lua: who owns what, a level's view, a level solved, samples of a level's sum. Levels have the
 * engine's numbers, 0 for the problem itself; places of variables and rows are counted from 1, as everywhere in Lua.
 */
#include "plugin.h"

static const peri_level *levels_of(lua_State *L, dsl_run *r, int64_t *count)
{
    const peri_level *levels;
    const peri_status status = peri_host_functions()->levels(r->run, count, &levels);
    if (status != PERI_OK)
        run_raise(L, r, status);
    return levels;
}

static void put_places(lua_State *L, const char *key, const int64_t *place, int64_t n)
{
    lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_pushinteger(L, place[i] + 1);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, key);
}

/* run:levels() */
static int l_levels(lua_State *L)
{
    int64_t count;
    dsl_run *r = check_run(L, 1);
    const peri_level *levels = levels_of(L, r, &count);
    lua_newtable(L);
    for (int64_t k = 0; k < count; k++) {
        lua_createtable(L, 0, 5);
        lua_pushstring(L, levels[k].name);
        lua_setfield(L, -2, "name");
        lua_pushboolean(L, levels[k].convex);
        lua_setfield(L, -2, "convex");
        if (k > 0) {
            lua_pushinteger(L, levels[k].parent);
            lua_setfield(L, -2, "parent");
        }
        put_places(L, "variables", levels[k].variable, levels[k].n);
        put_places(L, "rows", levels[k].row, levels[k].m);
        lua_rawseti(L, -2, k);
    }
    return 1;
}

/* run:level(k): closed with the run */
static int l_level(lua_State *L)
{
    dsl_call call;
    dsl_run *r = check_run(L, 1);
    const int64_t level = check_integer(L, 2, "level");
    lua_settop(L, 2);
    dsl_run *view = run_new(L);
    view->owner = r->owner;
    lua_newtable(L);
    lua_setiuservalue(L, -2, RUN_CACHE);
    lua_pushvalue(L, 1); /* its owner's box lives as long */
    lua_setiuservalue(L, -2, RUN_STATE);
    call_enter(&call, L, NULL, 0);
    const peri_status status = peri_host_functions()->level_view(r->run, level, &view->run);
    if (!run_leave(L, r, &call, status))
        run_raise(L, r, status);
    view->n = peri_host_functions()->n(view->run);
    view->m = peri_host_functions()->m(view->run);
    return 1;
}

/* run:solve_level(k, x, request) */
static int l_solve_level(lua_State *L)
{
    dsl_call call;
    peri_inner_request q = {.size = (uint32_t)sizeof q};
    const peri_inner_result *result = NULL;
    int64_t count;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 4);
    luaL_checkstack(L, 30, "solve_level");
    const int64_t level = check_integer(L, 2, "solve_level: the level");
    const peri_level *levels = levels_of(L, r, &count);
    if (level < 1 || level >= count)
        dsl_raise(L, "solve_level: level %lld is outside 1 .. %lld", (long long)level, (long long)count - 1);
    const double *x = run_vector(L, 3, r->n, "solve_level: x");
    lua_pushvalue(L, 4);
    lua_replace(L, 2); /* where requests are read */
    run_read_request(L, levels[level].n, levels[level].m, &q);
    call_enter(&call, L, NULL, 0);
    const peri_status status = peri_host_functions()->level_solve(r->run, level, x, &q, &result);
    if (!run_leave(L, r, &call, status))
        run_raise(L, r, status); /* undefined at its start */
    run_push_result(L, result, levels[level].n, levels[level].m);
    return 1;
}

/* ---- samples of a view's sum ------------------------------------------------------------------------------------------------- */

/* view:sample_rows() */
static int l_sample_rows(lua_State *L)
{
    lua_pushinteger(L, peri_host_functions()->sample_rows(check_run(L, 1)->run));
    return 1;
}

/* view:sample(key, rows) */
static int l_sample(lua_State *L)
{
    dsl_call call;
    dsl_run *r = check_run(L, 1);
    const int64_t key = check_integer(L, 2, "sample: the key"), rows = check_integer(L, 3, "sample: the number of rows");
    call_enter(&call, L, NULL, 0);
    (void)run_leave(L, r, &call, peri_host_functions()->sample(r->run, (uint64_t)key, rows));
    r->sampled = rows;
    return 0;
}

/* view:sample_set(rows), a table or array of their numbers */
static int l_sample_set(lua_State *L)
{
    dsl_call call;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 2);
    const int64_t n = luaL_len(L, 2), most = peri_host_functions()->sample_rows(r->run);
    int64_t *rows = lua_newuserdatauv(L, (size_t)(n > 0 ? n : 1) * sizeof *rows, 0);
    for (int64_t k = 0; k < n; k++) {
        lua_geti(L, 2, k + 1);
        rows[k] = check_integer(L, -1, "sample_set: a row") - 1;
        if (rows[k] < 0 || rows[k] >= most)
            dsl_raise(L, "sample_set: row %lld is outside 1 .. %lld", (long long)rows[k] + 1, (long long)most);
        lua_pop(L, 1);
    }
    call_enter(&call, L, NULL, 0);
    (void)run_leave(L, r, &call, peri_host_functions()->sample_set(r->run, n, rows));
    r->sampled = n;
    return 0;
}

/* view:terms(x): values and gradients of the sample's rows, one a row; nil where they are undefined */
static int l_terms(lua_State *L)
{
    dsl_call call;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 2);
    const double *x = run_vector(L, 2, r->n, "terms: x");
    double *f = run_output(L, 3, r->sampled, 1, "terms: the values"), *g = run_output(L, 4, r->sampled, r->n, "terms: the gradients");
    call_enter(&call, L, NULL, 0);
    if (run_leave(L, r, &call, peri_host_functions()->eval_terms(r->run, x, f, g)))
        return 2;
    lua_pushnil(L);
    return 1;
}

const luaL_Reg run_levels_methods[] = {{"levels", l_levels}, {"level", l_level}, {"solve_level", l_solve_level}, {"sample_rows", l_sample_rows},
                                       {"sample", l_sample}, {"sample_set", l_sample_set}, {"terms", l_terms}, {NULL, NULL}};
