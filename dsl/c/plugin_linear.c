/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_linear.c - linear solvers in Lua. The matrix reaches them as a sparse array with all its entries, symmetric or not; one array and one
 * vector serve a system from its first factorisation to its end.
 */
#include "plugin.h"
#include <string.h>

typedef struct {
    plugin_state *key;
    peri_run *run;
    const void *options;
    const peri_pattern *pattern;
    uint64_t needs; /* 0: symmetric */
    const double *values;
    peri_inertia *inertia;
    double *b;
    const char *name;
    bool singular;
} linear_call;

/* Field `key` of the run's cache; the run is at index i. */
static void push_cached(lua_State *L, int i, const char *key)
{
    lua_getiuservalue(L, i, RUN_CACHE);
    lua_getfield(L, -1, key);
    lua_remove(L, -2);
}

/* ---- analysing ----------------------------------------------------------------------------------------------------- */

/* The value on the top becomes field `key` of the cache of the run at index i. */
static void set_cached(lua_State *L, int i, const char *key)
{
    lua_getiuservalue(L, i, RUN_CACHE);
    lua_insert(L, -2);
    lua_setfield(L, -2, key);
    lua_pop(L, 1);
}

/* Under lua_pcall. 1: the call (light). analyse(state, run, options, A, needs) */
static int protected_analyse(lua_State *L)
{
    linear_call *c = lua_touserdata(L, 1);
    const peri_pattern *p = c->pattern;
    const int64_t *place;
    (void)plugin_open(L, c->key->plugin, c->run, c->key);
    const int run = lua_gettop(L);
    (void)matrix_from_csc(L, p, c->needs == 0, &place);
    set_cached(L, run, "place");
    set_cached(L, run, "A");
    (void)array_new(L, c->needs & PERI_FLAG_LEAST_SQUARES ? p->rows : p->cols, 1);
    set_cached(L, run, "b");
    plugin_push_options(L, c->key->plugin, c->options);
    const int options = lua_gettop(L);
    if (!plugin_push_function(L, c->key, "analyse"))
        return 0;
    lua_getiuservalue(L, run, RUN_STATE);
    lua_pushvalue(L, run);
    lua_pushvalue(L, options);
    push_cached(L, run, "A");
    lua_pushstring(L, c->needs & PERI_FLAG_LEAST_SQUARES ? "least_squares" : c->needs & PERI_FLAG_GENERAL ? "general" : "symmetric");
    lua_call(L, 5, 0);
    return 0;
}

static peri_status plugin_analyse_general(void *state, peri_run *run, const void *options, const peri_pattern *pattern, uint64_t needs)
{
    linear_call c = {.key = state, .run = run, .options = options, .pattern = pattern, .needs = needs};
    return plugin_protect(state, run, protected_analyse, &c);
}

static peri_status plugin_analyse(void *state, peri_run *run, const void *options, const peri_pattern *pattern)
{
    return plugin_analyse_general(state, run, options, pattern, 0);
}

/* ---- factorising and solving --------------------------------------------------------------------------------------- */

static int64_t count_at(lua_State *L, int i)
{
    return lua_isnoneornil(L, i) ? 0 : check_integer(L, i, "factor: a number of eigenvalues");
}

/* Under lua_pcall. 1: the call (light). factor(state, run, A): false: singular; true and the counts of eigenvalues */
static int protected_factor(lua_State *L)
{
    linear_call *c = lua_touserdata(L, 1);
    if (!plugin_push_function(L, c->key, "factor"))
        return 0;
    const int function = lua_gettop(L), run = function - 1;
    push_cached(L, run, "place");
    push_cached(L, run, "A");
    const int64_t *place = lua_touserdata(L, -2);
    dsl_array *a = lua_touserdata(L, -1);
    for (int64_t k = 0; k < a->nnz; k++)
        a->data[k] = c->values[place[k]];
    lua_pushvalue(L, function);
    lua_getiuservalue(L, run, RUN_STATE);
    lua_pushvalue(L, run);
    lua_pushvalue(L, -4);
    lua_call(L, 3, 4);
    c->singular = lua_isboolean(L, -4) && !lua_toboolean(L, -4);
    if (c->inertia != NULL && !lua_isnil(L, -3))
        *c->inertia = (peri_inertia){count_at(L, -3), count_at(L, -2), count_at(L, -1)};
    return 0;
}

static peri_status judged(const linear_call *c, peri_status status)
{
    if (status != PERI_OK || !c->singular)
        return status;
    return peri_host_functions()->fail(c->run, PERI_E_NUMERIC, "the matrix is singular");
}

static peri_status plugin_factor(void *state, peri_run *run, const double *values, peri_inertia *inertia)
{
    linear_call c = {.key = state, .run = run, .values = values, .inertia = inertia};
    if (inertia != NULL)
        *inertia = (peri_inertia){0, -1, 0};
    return judged(&c, plugin_protect(state, run, protected_factor, &c));
}

/* Under lua_pcall. 1: the call (light). solve(state, run, b): the solution, or nil: there is none */
static int protected_solve(lua_State *L)
{
    linear_call *c = lua_touserdata(L, 1);
    if (!plugin_push_function(L, c->key, c->name))
        return 0;
    const int function = lua_gettop(L), run = function - 1;
    push_cached(L, run, "A");
    push_cached(L, run, "b");
    const dsl_array *a = lua_touserdata(L, -2);
    dsl_array *b = lua_touserdata(L, -1);
    memcpy(b->data, c->b, (size_t)(b->rows * b->cols) * sizeof *c->b);
    lua_pushvalue(L, function);
    lua_getiuservalue(L, run, RUN_STATE);
    lua_pushvalue(L, run);
    lua_pushvalue(L, -4);
    lua_call(L, 3, 1);
    c->singular = lua_isnil(L, -1);
    if (!c->singular)
        memcpy(c->b, run_vector(L, lua_gettop(L), a->cols, "solve: the solution"), (size_t)a->cols * sizeof *c->b);
    return 0;
}

static peri_status solve_by(void *state, peri_run *run, double *b, const char *name)
{
    linear_call c = {.key = state, .run = run, .b = b, .name = name};
    return judged(&c, plugin_protect(state, run, protected_solve, &c));
}

static peri_status plugin_solve(void *state, peri_run *run, double *b)
{
    return solve_by(state, run, b, "solve");
}

static bool has_function(const plugin_state *key, const char *name);

static peri_status plugin_solve_transposed(void *state, peri_run *run, double *b)
{
    return has_function(state, "solve_transposed") ? solve_by(state, run, b, "solve_transposed") : PERI_E_UNSUPPORTED;
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

typedef struct {
    const plugin_state *key;
    const char *name;
    bool found;
} question;

static int protected_question(lua_State *L)
{
    question *q = lua_touserdata(L, 1);
    q->found = plugin_push_function(L, q->key, q->name);
    return 0;
}

static bool has_function(const plugin_state *key, const char *name)
{
    question q = {key, name, false};
    dsl_state *s = key->plugin->state;
    lua_State *L = s->call != NULL ? s->call->L : s->main;
    if (callback_protect(L, protected_question, &q) > LUA_OK)
        lua_pop(L, 1);
    return q.found;
}

static int protected_fini(lua_State *L)
{
    const linear_call *c = lua_touserdata(L, 1);
    if (!plugin_push_function(L, c->key, "fini"))
        return 0;
    lua_getiuservalue(L, -2, RUN_STATE);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 0);
    return 0;
}

static void plugin_fini(void *state, peri_run *run)
{
    linear_call c = {.key = state, .run = run};
    if (c.key->run == NULL)
        return;
    (void)plugin_protect(state, run, protected_fini, &c);
    plugin_close(c.key);
}

const peri_linear_solver_ops plugin_linear_ops = {.analyse = plugin_analyse,
                                                  .factor = plugin_factor,
                                                  .solve = plugin_solve,
                                                  .fini = plugin_fini,
                                                  .analyse_general = plugin_analyse_general,
                                                  .solve_transposed = plugin_solve_transposed};
