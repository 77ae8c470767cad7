/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inner.c - inner problems for reformulations in Lua: models whose variables, functions and solving are the run's. To everything else in the
 * binding they are models like others, so that their expressions are written as scripts write them. Invariant: the engine's run owns
 * the model; when the run ends, the box is closed.
 */
#include "plugin.h"
#include <stdio.h>
#include <string.h>

enum { UV_VIEW = UV_BLACKBOXES + 1 }; /* the last view's box */

static const peri_inner_table *table(void)
{
    return peri_host_functions()->inner;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

/* run:inner(name): an empty problem, for the rest of the plan to solve */
static int l_inner(lua_State *L)
{
    dsl_run *r = check_run(L, 1);
    const char *name = optional_text(L, 2, "inner: the name", "inner");
    if (r->owner != r)
        dsl_raise(L, "inner: a view of an inner problem only evaluates");
    dsl_model_ud *m = box_new(L, TYPE_MODEL, sizeof *m, UV_VIEW);
    m->state = state_of(L);
    m->root = m;
    snprintf(m->name, sizeof m->name, "%s", name);
    lua_getiuservalue(L, 1, RUN_CACHE); /* as long as the run's box, which lists it */
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
    const peri_status status = table()->make(r->run, name, &m->inner);
    if (status != PERI_OK)
        run_raise(L, r, status);
    m->run = r;
    m->next_inner = r->inners;
    r->inners = m;
    m->obj = table()->model(m->inner);
    return 1;
}

static dsl_model_ud *check_inner(lua_State *L, const char *what)
{
    dsl_model_ud *m = check_model(L, 1);
    if (m->inner == NULL)
        dsl_raise(L, "%s: model \"%s\" is not an inner problem of a reformulation", what, m->name);
    return m;
}

static void checked(lua_State *L, const dsl_model_ud *m, peri_status status)
{
    if (status != PERI_OK)
        run_raise(L, m->run, status);
}

/* ---- the run's problem in it --------------------------------------------------------------------------------------- */

static int l_variables(lua_State *L)
{
    peri_x x;
    dsl_model_ud *m = check_inner(L, "variables");
    checked(L, m, table()->variables(m->inner, &x));
    return push_node(L, m, 1, x, FORM_LIST);
}

/* The expression of the inner problem at index i. */
static peri_expr expression(lua_State *L, const dsl_model_ud *m, int i, const char *what, int64_t *size)
{
    operand a;
    char text[200];
    if (!read_operand(L, i, &a) || a.kind != OPERAND_EXPR || a.frame != 0 || a.model != m) {
        describe(L, i, text, sizeof text);
        dsl_raise(L, "%s: %s is not an expression of the inner problem \"%s\"", what, text, m->name);
    }
    *size = a.rows * a.cols;
    return a.node;
}

/* inner:problem(x, level): objective and constraints at x; no constraints: nil */
static int l_problem(lua_State *L)
{
    peri_x f, c = PERI_NO_X;
    int64_t size;
    lua_settop(L, 3);
    dsl_model_ud *m = check_inner(L, "problem");
    const peri_expr x = expression(L, m, 2, "problem", &size);
    const int64_t level = lua_isnil(L, 3) ? 0 : check_integer(L, 3, "problem: the level");
    checked(L, m, table()->problem(m->inner, level, x, &f, &c));
    (void)push_node(L, m, 1, f, FORM_SCALAR);
    if (c == PERI_NO_X)
        return 1;
    (void)push_node(L, m, 1, c, FORM_LIST);
    return 2;
}

static const double *optional(lua_State *L, int i, int64_t n, const char *what)
{
    return lua_isnil(L, i) ? NULL : run_vector(L, i, n, what);
}

/* inner:set_bounds(x, lower, upper); nil: as they are */
static int l_set_bounds(lua_State *L)
{
    int64_t size;
    lua_settop(L, 4);
    dsl_model_ud *m = check_inner(L, "set_bounds");
    const peri_expr x = expression(L, m, 2, "set_bounds", &size);
    const double *lower = optional(L, 3, size, "set_bounds: lower"), *upper = optional(L, 4, size, "set_bounds: upper");
    checked(L, m, table()->set_bounds(m->inner, x, lower, upper));
    return 0;
}

static int l_set_start(lua_State *L)
{
    int64_t size;
    lua_settop(L, 3);
    dsl_model_ud *m = check_inner(L, "set_start");
    const peri_expr x = expression(L, m, 2, "set_start", &size);
    checked(L, m, table()->set_start(m->inner, x, run_vector(L, 3, size, "set_start: start")));
    return 0;
}

/* ---- evaluating ---------------------------------------------------------------------------------------------------- */

/* inner:view(): a run that evaluates it as it is now. An earlier view is over. */
static int l_view(lua_State *L)
{
    dsl_call call;
    dsl_model_ud *m = check_inner(L, "view");
    lua_settop(L, 1);
    dsl_run *r = run_new(L);
    r->owner = m->run;
    lua_newtable(L);
    lua_setiuservalue(L, -2, RUN_CACHE);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, UV_VIEW); /* the model's box points to it */
    if (m->view != NULL)
        m->view->run = NULL;
    m->view = NULL;
    call_enter(&call, L, m, 0);
    const peri_status status = table()->view(m->inner, &r->run);
    if (status != PERI_OK)
        r->run = NULL;
    m->busy--;
    (void)run_leave(L, m->run, &call, status);
    r->n = peri_host_functions()->n(r->run);
    r->m = peri_host_functions()->m(r->run);
    m->view = r;
    return 1;
}

/* ---- solving ------------------------------------------------------------------------------------------------------- */

static double option_number(lua_State *L, const char *key, double absent)
{
    char text[200];
    const int type = lua_getfield(L, 2, key);
    const double value = type == LUA_TNUMBER ? lua_tonumber(L, -1) : absent;
    if (type != LUA_TNUMBER && type != LUA_TNIL) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "solve: %s must be a number, not %s", key, text);
    }
    lua_pop(L, 1);
    return value;
}

void run_read_request(lua_State *L, int64_t n, int64_t m, peri_inner_request *q)
{
    static const char *const keys[] = {"x", "y", "z", "tolerance", "iterations", "plan", NULL};
    if (lua_isnil(L, 2))
        return;
    if (!lua_istable(L, 2))
        dsl_raise(L, "solve: the options of an inner problem are a table; the rest of the plan solves it");
    check_options(L, 2, "solve", keys);
    q->x = run_field(L, "solve", "x", n);
    q->y = run_field(L, "solve", "y", m);
    q->z = run_field(L, "solve", "z", n);
    q->tolerance = option_number(L, "tolerance", 0);
    q->iterations = (int64_t)option_number(L, "iterations", 0);
    if (lua_getfield(L, 2, "plan") == LUA_TSTRING)
        q->plan = lua_tostring(L, -1);
}

void run_push_result(lua_State *L, const peri_inner_result *r, int64_t n, int64_t m)
{
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"objective", r->objective},
                   {"primal", r->primal},
                   {"dual", r->dual},
                   {"complementarity", r->complementarity},
                   {"kkt", r->kkt}};
    lua_createtable(L, 0, 12);
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
        lua_pushnumber(L, numbers[k].value);
        lua_setfield(L, -2, numbers[k].key);
    }
    lua_pushinteger(L, r->iterations);
    lua_setfield(L, -2, "iterations");
    lua_pushstring(L, run_why_name(r->why));
    lua_setfield(L, -2, "why");
    lua_pushstring(L, r->message);
    lua_setfield(L, -2, "message");
    run_push_copy(L, r->x, n);
    lua_setfield(L, -2, "x");
    run_push_copy(L, r->y, m);
    lua_setfield(L, -2, "y");
    run_push_copy(L, r->z, n);
    lua_setfield(L, -2, "z");
}

/* inner:solve { x =, y =, z =, tolerance =, iterations =, plan = } */
int inner_solve(lua_State *L)
{
    dsl_call call;
    peri_inner_request q = {.size = (uint32_t)sizeof q};
    const peri_inner_result *result = NULL;
    peri_model_info info;
    dsl_model_ud *m = check_inner(L, "solve");
    lua_settop(L, 2);
    luaL_checkstack(L, 30, "solve");
    pending_check(L);
    check_status(L, peri_model_get_info(m->obj, &info));
    run_read_request(L, info.variables, info.constraints, &q);
    call_enter(&call, L, m, 0);
    const peri_status status = table()->solve(m->inner, &q, &result);
    m->busy--;
    if (!run_leave(L, m->run, &call, status))
        run_raise(L, m->run, status); /* undefined at its start */
    run_push_result(L, result, info.variables, info.constraints);
    return 1;
}

const luaL_Reg run_inner_methods[] = {{"inner", l_inner}, {NULL, NULL}};
const luaL_Reg inner_methods[] = {{"variables", l_variables}, {"problem", l_problem}, {"set_bounds", l_set_bounds},
                                  {"set_start", l_set_start}, {"view", l_view},       {NULL, NULL}};
