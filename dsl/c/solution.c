/* SPDX-License-Identifier: Apache-2.0 */
/*
 * solution.c - what m:solve gives: fields made when first asked for and kept, values of expressions, multipliers, the
 * JSON text. A solution keeps its model's Lua value alive; the engine's object keeps the engine's model.
 */
#include "internal.h"
#include <stdio.h>
#include <math.h>
#include <string.h>

/* ---- values and multipliers -------------------------------------------------------------------------------------- */

/* A place for rows x cols numbers: an array on the stack, or for a scalar `number`. */
static double *room(lua_State *L, int64_t rows, int64_t cols, bool list, double *number)
{
    return rows == 1 && cols == 1 && !list ? number : array_new(L, rows, cols)->data;
}

static int done(lua_State *L, const double *where, const double *number)
{
    if (where == number)
        lua_pushnumber(L, *number);
    return 1;
}

static void check_own_expr(lua_State *L, const dsl_solution *sol, int i, const char *what, operand *e)
{
    char text[200];
    if (!read_operand(L, i, e) || e->kind != OPERAND_EXPR || e->frame != 0) {
        describe(L, i, text, sizeof text);
        dsl_raise(L, "%s: %s is not an expression", what, text);
    }
    if (e->model != sol->model) {
        describe(L, i, text, sizeof text);
        dsl_raise(L, "%s: %s belongs to model \"%s\", the solution to model \"%s\"", what, text, e->model->name,
              sol->model->name);
    }
}

/* sol[e] and sol:value(e); optimum: number of one of sol.optima, -1: at the solution itself */
static int value_of(lua_State *L, dsl_solution *sol, int i, int64_t optimum)
{
    operand e;
    double number;
    dsl_call call;
    if (read_operand(L, i, &e) && e.kind == OPERAND_NUMBER) {
        lua_pushvalue(L, i);
        return 1;
    }
    check_own_expr(L, sol, i, "value", &e);
    (void)model_or_scratch(L, sol->model);
    double *out = room(L, e.rows, e.cols, e.list, &number);
    call_enter(&call, L, sol->model, 0);
    call_finish(L, &call, optimum < 0 ? peri_solution_value(sol->obj, e.node, out)
                                      : peri_solution_optimum_value(sol->obj, optimum, e.node, out));
    if (out != &number)
        ((dsl_array *)lua_touserdata(L, -1))->row = e.row;
    return done(L, out, &number);
}

static int l_value(lua_State *L)
{
    dsl_solution *sol = check_solution(L, 1);
    lua_settop(L, 3);
    pending_check(L);
    if (lua_isnil(L, 3))
        return value_of(L, sol, 2, -1);
    const int64_t n = peri_solution_optima(sol->obj);
    if (!lua_isinteger(L, 3) || lua_tointeger(L, 3) < 1 || lua_tointeger(L, 3) > n)
        dsl_raise(L, "value: the number of an optimum must be in 1 .. %d, the length of sol.optima", (int)n);
    return value_of(L, sol, 2, lua_tointeger(L, 3) - 1);
}

/* A constraint of two blocks (between with expressions) has the sum of their multipliers. */
static void add_duals(lua_State *L, dsl_solution *sol, const struct dsl_part *part, double *out)
{
    const int64_t n = part->rows * part->cols;
    check_status(L, peri_solution_dual(sol->obj, part->block, out));
    if (part->block2 < 0)
        return;
    double *more = temporary(L, (size_t)n, sizeof *more);
    check_status(L, peri_solution_dual(sol->obj, part->block2, more));
    for (int64_t k = 0; k < n; k++)
        out[k] += more[k];
    lua_pop(L, 1);
}

static int l_dual(lua_State *L)
{
    char text[200];
    double number;
    dsl_solution *sol = check_solution(L, 1);
    lua_settop(L, 2);
    if (type_of(L, state_of(L), 2) != TYPE_HANDLE) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "dual: %s is not what subject_to returned", text);
    }
    const dsl_handle *h = lua_touserdata(L, 2);
    lua_getiuservalue(L, 2, UV_PARENT);
    if (lua_touserdata(L, -1) != sol->model)
        dsl_raise(L, "dual: the constraint is not of model \"%s\"", sol->model->name);
    int64_t rows = 0, at = 0;
    for (int64_t k = 0; k < h->n; k++)
        rows += h->part[k].rows * h->part[k].cols;
    const bool one = h->n == 1;
    double *out = room(L, one ? h->part[0].rows : rows, one ? h->part[0].cols : 1, !one || h->part[0].list, &number);
    for (int64_t k = 0; k < h->n; k++) {
        add_duals(L, sol, &h->part[k], out + at);
        at += h->part[k].rows * h->part[k].cols;
    }
    return done(L, out, &number);
}

static int l_reduced_cost(lua_State *L)
{
    operand x;
    double number;
    char text[200];
    dsl_solution *sol = check_solution(L, 1);
    lua_settop(L, 2);
    check_own_expr(L, sol, 2, "reduced_cost", &x);
    if (peri_expr_get_op(model_or_scratch(L, sol->model), x.node) != PERI_OP_INPUT) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "reduced_cost: %s is not a variable", text);
    }
    double *out = room(L, x.rows, x.cols, x.list, &number);
    check_status(L, peri_solution_reduced_cost(sol->obj, x.node, out));
    return done(L, out, &number);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* The texts have the diagnosis, which may call the model's functions. */
static void diagnose(lua_State *L, dsl_solution *sol)
{
    dsl_call call;
    const peri_diagnosis *d;
    call_enter(&call, L, sol->model, 0);
    const peri_status status = peri_solution_diagnosis(sol->obj, &d, NULL);
    call_finish(L, &call, status == PERI_E_STATE ? PERI_OK : status); /* the texts then leave it out */
}

static peri_status make_json(void *ud, char **text)
{
    return peri_solution_json(ud, text);
}

static peri_status make_report(void *ud, char **text)
{
    return peri_solution_report(ud, text);
}

static int l_json(lua_State *L)
{
    dsl_solution *sol = check_solution(L, 1);
    diagnose(L, sol);
    push_text(L, state_of(L)->ctx, make_json, sol->obj);
    return 1;
}

static int l_tostring(lua_State *L)
{
    dsl_solution *sol = check_solution(L, 1);
    diagnose(L, sol);
    push_text(L, state_of(L)->ctx, make_report, sol->obj);
    return 1;
}

static int l_save(lua_State *L)
{
    char text[200];
    dsl_solution *sol = check_solution(L, 1);
    refuse_sandboxed(L, "save");
    lua_settop(L, 2);
    if (lua_type(L, 2) != LUA_TSTRING) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "save: a file's path is needed, not %s", text);
    }
    diagnose(L, sol);
    check_status(L, peri_solution_save(sol->obj, lua_tostring(L, 2)));
    return 0;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static void push_status(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    lua_pushstring(L, peri_outcome_name(peri_solution_outcome(s)));
}

static void push_objective(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    lua_pushnumber(L, peri_solution_objective(s));
}

static void push_message(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    lua_pushstring(L, peri_solution_message(s));
}

static void push_solver(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    lua_pushstring(L, peri_solution_solver(s));
}

static void push_plan(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    lua_pushstring(L, peri_solution_plan(s));
}

static void push_iterations(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    lua_pushinteger(L, peri_solution_iterations(s));
}

static void push_seconds(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    lua_pushnumber(L, peri_solution_times(s).total);
}

static void push_certificate(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    const peri_certificate c = peri_solution_certificate(s);
    lua_createtable(L, 0, 4);
    put_number(L, "primal", c.primal);
    put_number(L, "dual", c.dual);
    put_number(L, "complementarity", c.complementarity);
    put_number(L, "kkt", c.kkt);
    if (!isnan(c.lower_gap))
        put_number(L, "lower_gap", c.lower_gap);
}

/* Which of several minima below is meant; nil without lower models. */
static void push_form(lua_State *L, dsl_solution *sol)
{
    peri_lower_result r;
    if (peri_solution_lower(sol->obj, 0, &r))
        lua_pushliteral(L, "optimistic");
    else
        lua_pushnil(L);
}

/* One table a lower level; an empty list without. */
static void push_levels(lua_State *L, dsl_solution *sol)
{
    peri_lower_result r;
    lua_newtable(L);
    for (int64_t k = 0; peri_solution_lower(sol->obj, k, &r); k++) {
        lua_createtable(L, 0, 8);
        lua_pushstring(L, r.name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, peri_lower_state_name(r.state));
        lua_setfield(L, -2, "state");
        lua_pushboolean(L, r.convex);
        lua_setfield(L, -2, "convex");
        put_integer(L, "solves", r.solves);
        put_number(L, "objective", r.objective);
        put_number(L, "best", r.best);
        put_number(L, "gap", r.gap);
        put_number(L, "residual", r.residual);
        lua_rawseti(L, -2, k + 1);
    }
}

static void push_evaluations(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    const peri_evaluations e = peri_solution_evaluations(s);
    lua_createtable(L, 0, 6);
    put_integer(L, "objective", e.objective);
    put_integer(L, "gradient", e.gradient);
    put_integer(L, "constraints", e.constraints);
    put_integer(L, "jacobian", e.jacobian);
    put_integer(L, "hessian", e.hessian);
    put_integer(L, "products", e.products);
}

static void push_times(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    const peri_times t = peri_solution_times(s);
    lua_createtable(L, 0, 10);
    put_number(L, "building", t.building);
    put_number(L, "objective", t.objective);
    put_number(L, "gradient", t.gradient);
    put_number(L, "constraints", t.constraints);
    put_number(L, "jacobian", t.jacobian);
    put_number(L, "hessian", t.hessian);
    put_number(L, "products", t.products);
    put_number(L, "linear_algebra", t.linear_algebra);
    put_number(L, "method", t.method);
    put_number(L, "total", t.total);
}

static void push_history(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    const int64_t n = peri_solution_history_rows(s);
    const peri_event *rows = peri_solution_history(s);
    lua_createtable(L, (int)n, 0);
    for (int64_t k = 0; k < n; k++) {
        push_event(L, &rows[k]);
        lua_rawseti(L, -2, k + 1);
    }
}

/* { { x1, x2 }, ... } of a model with two variables, a point for each row of the history */
static void push_path(lua_State *L, dsl_solution *sol)
{
    const peri_solution *s = sol->obj;
    const double *path = peri_solution_path(s);
    const int64_t n = path != NULL ? peri_solution_history_rows(s) : 0;
    lua_createtable(L, (int)n, 0);
    for (int64_t k = 0; k < n; k++) {
        lua_createtable(L, 2, 0);
        for (int j = 0; j < 2; j++) {
            lua_pushnumber(L, path[2 * k + j]);
            lua_rawseti(L, -2, j + 1);
        }
        lua_rawseti(L, -2, k + 1);
    }
}

/* { { objective = ... }, ... }, best first; their points are asked for by sol:value(e, k). */
static void push_optima(lua_State *L, dsl_solution *sol)
{
    peri_solution *s = sol->obj;
    const int64_t n = peri_solution_optima(s);
    lua_createtable(L, (int)n, 0);
    for (int64_t k = 0; k < n; k++) {
        lua_createtable(L, 0, 1);
        put_number(L, "objective", peri_solution_optimum(s, k));
        lua_rawseti(L, -2, k + 1);
    }
}

static const struct {
    const char *name;
    void (*push)(lua_State *L, dsl_solution *sol);
} fields[] = {
    {"status", push_status},
    {"objective", push_objective},
    {"message", push_message},
    {"solver", push_solver},
    {"plan", push_plan},
    {"iterations", push_iterations},
    {"seconds", push_seconds},
    {"certificate", push_certificate},
    {"form", push_form},
    {"levels", push_levels},
    {"evaluations", push_evaluations},
    {"times", push_times},
    {"history", push_history},
    {"optima", push_optima},
    {"path", push_path},
    {"diagnosis", push_diagnosis},
};

/* The table of fields made so far, on the stack. */
static void push_cache(lua_State *L)
{
    if (lua_getiuservalue(L, 1, 2) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 2);
}

static bool push_field(lua_State *L, dsl_solution *sol)
{
    const char *name = lua_tostring(L, 2);
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
        if (strcmp(fields[k].name, name) != 0)
            continue;
        push_cache(L);
        lua_pushvalue(L, 2);
        if (lua_rawget(L, -2) == LUA_TNIL) {
            lua_pop(L, 1);
            fields[k].push(L, sol);
            lua_pushvalue(L, 2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -4);
        }
        return true;
    }
    return false;
}

void solution_names(lua_State *L)
{
    lua_newtable(L);
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, fields[k].name);
    }
}

static noreturn void raise_no_field(lua_State *L)
{
    solution_names(L);
    lua_pushvalue(L, lua_upvalueindex(2));
    put_all(L);
    raise_unknown(L, -1, "a solution", lua_tostring(L, 2));
}

/* sol[x], fields, methods (the second upvalue: see module.c) */
static int l_index(lua_State *L)
{
    dsl_solution *sol = check_solution(L, 1);
    lua_settop(L, 2);
    if (lua_type(L, 2) == LUA_TNUMBER)
        dsl_raise(L, "a solution has no entry %.14g; write sol[x] or sol:value(e)", lua_tonumber(L, 2));
    if (lua_type(L, 2) != LUA_TSTRING)
        return value_of(L, sol, 2, -1);
    if (push_field(L, sol))
        return 1;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL)
        return 1;
    lua_pop(L, 2);
    raise_no_field(L);
}

static int l_gc(lua_State *L)
{
    dsl_solution *sol = lua_touserdata(L, 1);
    peri_solution *obj = sol->obj;
    sol->obj = NULL;
    peri_solution_free(obj);
    return 0;
}

/* sol:sample(points): the objective and the largest violation at points, each a list of numbers */
static int l_sample(lua_State *L)
{
    dsl_solution *sol = check_solution(L, 1);
    double *x = NULL;
    lua_settop(L, 2);
    const lua_Integer n = lua_istable(L, 2) ? luaL_len(L, 2) : 0;
    const int64_t width = peri_solution_variables(sol->obj);
    if (n == 0)
        dsl_raise(L, "sample: a list of points is needed, each a list of %lld numbers", (long long)width);
    x = temporary(L, (size_t)(n * width + 1), sizeof *x);
    for (lua_Integer k = 0; k < n; k++) {
        if (lua_rawgeti(L, 2, k + 1) != LUA_TTABLE || (int64_t)lua_rawlen(L, -1) != width)
            dsl_raise(L, "sample: point %lld is not a list of %lld numbers", (long long)k + 1, (long long)width);
        for (int64_t j = 0; j < width; j++) {
            lua_rawgeti(L, -1, j + 1);
            x[k * width + j] = lua_tonumber(L, -1);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    double *f = array_new(L, n, 1)->data, *v = array_new(L, n, 1)->data;
    check_status(L, peri_solution_sample(sol->obj, n, x, f, v));
    return 2;
}

/* sol:plot(path), in Lua: see perigee/plots.lua */
static int l_plot(lua_State *L)
{
    check_solution(L, 1);
    lua_settop(L, 3);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perigee.plots");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "solution");
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_call(L, 3, 2);
    return 2;
}

const luaL_Reg solution_methods[] = {{"value", l_value}, {"dual", l_dual}, {"reduced_cost", l_reduced_cost},
                                     {"json", l_json},   {"save", l_save}, {"warm_start", l_solution_warm_start},
                                     {"plot", l_plot}, {"sample", l_sample},   {NULL, NULL}};
const luaL_Reg solution_metamethods[] = {
    {"__gc", l_gc}, {"__close", l_gc}, {"__index", l_index}, {"__tostring", l_tostring}, {NULL, NULL}};
