/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_linear.c - linear solvers in Lua. A matrix reaches them as a sparse array with all its entries, symmetric or not; one array and one
 * vector serve a system from its first factorisation to its end. An operator is a table of functions, which end with the run's box.
 */
#include "plugin.h"
#include <stdio.h>
#include <string.h>

typedef struct {
    plugin_state *key;
    peri_run *run;
    const void *options;
    const peri_pattern *pattern;
    uint64_t needs; /* 0: symmetric */
    const peri_operator *op;
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

/* ---- operators --------------------------------------------------------------------------------------------------------- */

typedef peri_status (*product_fn)(void *ud, const double *v, double *av);

enum { OPERATOR_RUN = 2, OPERATOR_POINTER, OPERATOR_WHICH }; /* upvalues of the functions */
static const char *const product_names[] = {"apply", "apply_transposed", "precondition"};

static product_fn product_of(const peri_operator *op, int which)
{
    return which == 0 ? op->apply : which == 1 ? op->apply_transposed : op->precondition;
}

/* op.apply(v, out): the product, in `out` where that is given */
static int l_product(lua_State *L)
{
    dsl_call call;
    char what[60];
    lua_settop(L, 2);
    dsl_run *r = lua_touserdata(L, lua_upvalueindex(OPERATOR_RUN));
    const int which = (int)lua_tointeger(L, lua_upvalueindex(OPERATOR_WHICH));
    if (r->run == NULL)
        dsl_raise(L, "%s: the system that this operator belongs to is closed", product_names[which]);
    const peri_operator *op = lua_touserdata(L, lua_upvalueindex(OPERATOR_POINTER));
    snprintf(what, sizeof what, "%s: v", product_names[which]);
    const double *v = run_vector(L, 1, op->n, what);
    snprintf(what, sizeof what, "%s: the array", product_names[which]);
    if (!lua_isnil(L, 2) && lua_rawequal(L, 1, 2))
        dsl_raise(L, "%s: the product cannot be written to v itself", product_names[which]);
    double *av = run_output(L, 2, op->n, 1, what);
    call_enter(&call, L, NULL, 0);
    if (!run_leave(L, r, &call, product_of(op, which)(op->ud, v, av)))
        lua_pushnil(L);
    return 1;
}

/* { n =, apply =, ... } for the run at index i */
static void push_operator(lua_State *L, int i, const peri_operator *op)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, op->n);
    lua_setfield(L, -2, "n");
    for (int which = 0; which < 3; which++) {
        if (product_of(op, which) == NULL)
            continue;
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushvalue(L, i);
        lua_pushlightuserdata(L, (void *)(uintptr_t)op);
        lua_pushinteger(L, which);
        lua_pushcclosure(L, l_product, OPERATOR_WHICH);
        lua_setfield(L, -2, product_names[which]);
    }
}

/* Under lua_pcall. 1: the call (light). attach(state, run, options, op) */
static int protected_attach(lua_State *L)
{
    linear_call *c = lua_touserdata(L, 1);
    (void)plugin_open(L, c->key->plugin, c->run, c->key);
    const int run = lua_gettop(L);
    (void)array_new(L, c->op->n, 1);
    set_cached(L, run, "b");
    if (!plugin_push_function(L, c->key, "attach"))
        dsl_raise(L, "%s: takes no operators: it has no function attach", c->key->plugin->name);
    lua_getiuservalue(L, run, RUN_STATE);
    lua_pushvalue(L, run);
    plugin_push_options(L, c->key->plugin, c->options);
    push_operator(L, run, c->op);
    lua_call(L, 4, 0);
    return 0;
}

static peri_status plugin_attach(void *state, peri_run *run, const void *options, const peri_operator *op)
{
    linear_call c = {.key = state, .run = run, .options = options, .op = op};
    return plugin_protect(state, run, protected_attach, &c);
}

static int64_t plugin_iterations(const void *state)
{
    return ((const plugin_state *)state)->iterations;
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

/* Under lua_pcall. 1: the call (light). solve(state, run, b): the solution and, if it likes, iterations; nil: there is none */
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
    lua_call(L, 3, 2);
    const int x = lua_gettop(L) - 1;
    const int64_t n = a != NULL ? a->cols : b->rows;
    c->key->iterations = lua_isnil(L, -1) ? 0 : check_integer(L, -1, "solve: the number of iterations");
    c->singular = lua_isnil(L, x);
    if (!c->singular)
        memcpy(c->b, run_vector(L, x, n, "solve: the solution"), (size_t)n * sizeof *c->b);
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
                                                  .solve_transposed = plugin_solve_transposed,
                                                  .attach = plugin_attach,
                                                  .iterations = plugin_iterations};
