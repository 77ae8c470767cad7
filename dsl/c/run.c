/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - a run as a plugin in Lua sees it: what it knows of the problem, the end of an iteration and of the run, random numbers. Invariant: a
 * box whose run is over answers no call; nothing here outlives the engine's run that it speaks of.
 */
#include "plugin.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- life ---------------------------------------------------------------------------------------------------------- */

dsl_run *run_new(lua_State *L)
{
    return box_new(L, TYPE_RUN, sizeof(dsl_run), RUN_USER_VALUES);
}

dsl_run *check_run(lua_State *L, int i)
{
    char text[200];
    if (type_of(L, state_of(L), i) != TYPE_RUN) {
        describe(L, i, text, sizeof text);
        dsl_raise(L, "%s is not a run; methods are called as run:method(...)", text);
    }
    dsl_run *r = lua_touserdata(L, i);
    if (r->run == NULL || r->owner->run == NULL)
        dsl_raise(L, "this run is over");
    return r;
}

void run_over(dsl_run *r)
{
    for (dsl_model_ud *m = r->inners; m != NULL; m = m->next_inner) {
        m->obj = NULL;
        if (m->view != NULL)
            m->view->run = NULL;
        m->view = NULL;
    }
    r->inners = NULL;
    r->run = NULL;
    r->next = NULL;
}

void run_raise(lua_State *L, dsl_run *r, peri_status status)
{
    char text[1100], where[LUA_IDSIZE + 16];
    if (status == PERI_E_CANCELLED) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)&plugin_cancelled);
        lua_error(L);
    }
    snprintf(text, sizeof text, "%s", peri_error(state_of(L)->ctx));
    user_line(L, where, sizeof where);
    lua_pushfstring(L, "%s%s%s", where, where[0] != '\0' ? " " : "", text);
    r->owner->raised = status;
    snprintf(r->owner->raised_text, sizeof r->owner->raised_text, "%s", lua_tostring(L, -1));
    for (;;)
        lua_error(L); /* does not return */
}

bool run_leave(lua_State *L, dsl_run *r, dsl_call *call, peri_status status)
{
    if (call->failed || status == PERI_OK)
        call_finish(L, call, PERI_OK); /* raises what a callback raised */
    else
        state_of(L)->call = call->up;
    if (status != PERI_OK && status != PERI_E_DOMAIN)
        run_raise(L, r, status);
    return status == PERI_OK;
}

/* ---- vectors ------------------------------------------------------------------------------------------------------- */

const double *run_vector(lua_State *L, int i, int64_t n, const char *what)
{
    char text[200];
    dsl_array *a = to_array(L, i);
    if (n == 0)
        return NULL;
    if (a == NULL && lua_istable(L, i)) {
        a = array_from_table(L, i, what);
        lua_replace(L, i);
    } else if (a == NULL && n == 1 && lua_type(L, i) == LUA_TNUMBER) {
        const double value = lua_tonumber(L, i);
        a = array_new(L, 1, 1);
        a->data[0] = value;
        lua_replace(L, i);
    }
    if (a != NULL && a->nnz < 0 && a->rows * a->cols == n)
        return a->data;
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s must be an array of %lld number%s, not %s", what, (long long)n, n == 1 ? "" : "s", text);
}

const double *run_field(lua_State *L, const char *what, const char *key, int64_t n)
{
    char text[60];
    if (lua_getfield(L, 2, key) == LUA_TNIL)
        return NULL;
    snprintf(text, sizeof text, "%s: %s", what, key);
    return run_vector(L, lua_gettop(L), n, text);
}

double *run_output(lua_State *L, int i, int64_t rows, int64_t cols, const char *what)
{
    char text[200];
    if (rows * cols == 0) {
        lua_pushnil(L);
        return NULL;
    }
    if (lua_isnoneornil(L, i))
        return array_new(L, rows, cols)->data;
    dsl_array *a = to_array(L, i);
    if (a == NULL || a->nnz >= 0 || a->rows * a->cols != rows * cols) {
        describe(L, i, text, sizeof text);
        dsl_raise(L, "%s must be an array of %lld numbers to write to, not %s", what, (long long)(rows * cols), text);
    }
    lua_pushvalue(L, i);
    return a->data;
}

void run_push_copy(lua_State *L, const double *v, int64_t n)
{
    double *copy = run_output(L, lua_gettop(L) + 1, n, 1, "");
    if (copy != NULL)
        memcpy(copy, v, (size_t)n * sizeof *v);
}

/* ---- fields -------------------------------------------------------------------------------------------------------- */

static void set_array(lua_State *L, const char *key, const double *v, int64_t n)
{
    run_push_copy(L, v, n);
    lua_setfield(L, -2, key);
}

static void add_limits(lua_State *L, const peri_limits *l)
{
    put_number(L, "tolerance", l->tolerance);
    lua_createtable(L, 0, 8);
    put_number(L, "tolerance", l->tolerance);
    put_number(L, "time", l->time_limit);
    put_integer(L, "iterations", l->iterations);
    put_integer(L, "evaluations", l->evaluations);
    put_integer(L, "seed", (int64_t)l->seed);
    put_flag(L, "warm_start", l->warm_start);
    lua_setfield(L, -2, "limits");
}

/* The table of fields, made when one is first asked for, pushed. */
static void push_fields(lua_State *L, const dsl_run *r)
{
    const peri_host *h = peri_host_functions();
    const double *xl, *xu, *cl, *cu;
    lua_getiuservalue(L, 1, RUN_CACHE);
    if (lua_getfield(L, -1, "fields") == LUA_TTABLE) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    lua_createtable(L, 0, 12);
    h->bounds(r->run, &xl, &xu, &cl, &cu);
    put_integer(L, "n", r->n);
    put_integer(L, "m", r->m);
    set_array(L, "xl", xl, r->n);
    set_array(L, "xu", xu, r->n);
    set_array(L, "cl", cl, r->m);
    set_array(L, "cu", cu, r->m);
    add_limits(L, h->limits(r->run));
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "fields");
    lua_remove(L, -2);
}

/* run.n, run.xl ...; run:method. The second upvalue has the methods. */
static int l_index(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL)
        return 1;
    const dsl_run *r = check_run(L, 1);
    push_fields(L, r);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL)
        return 1;
    if (r->m == 0 && lua_type(L, 2) == LUA_TSTRING && (strcmp(lua_tostring(L, 2), "cl") == 0 || strcmp(lua_tostring(L, 2), "cu") == 0))
        return 1; /* no constraints: nil */
    if (lua_type(L, 2) != LUA_TSTRING)
        dsl_raise(L, "run: its fields and methods have names");
    raise_unknown(L, lua_upvalueindex(2), "run", lua_tostring(L, 2));
}

static int l_tostring(lua_State *L)
{
    const dsl_run *r = lua_touserdata(L, 1);
    if (r->run == NULL || r->owner->run == NULL)
        lua_pushliteral(L, "run (over)");
    else
        lua_pushfstring(L, "run of %s: %I variables, %I constraints", r->plugin != NULL ? r->plugin->name : "an inner problem",
                        (LUAI_UACINT)r->n, (LUAI_UACINT)r->m);
    return 1;
}

/* run:has "convex" */
static int l_has(lua_State *L)
{
    const dsl_run *r = check_run(L, 1);
    const peri_trait trait = plugin_trait(L, 2);
    lua_pushboolean(L, peri_host_functions()->has_trait(r->run, trait));
    return 1;
}

/* run:linear_rows(): true for each row that is linear in x; nil where there are none */
static int l_linear_rows(lua_State *L)
{
    const dsl_run *r = check_run(L, 1);
    const unsigned char *rows = r->m > 0 ? peri_host_functions()->linear_rows(r->run) : NULL;
    if (rows == NULL)
        return 0;
    lua_createtable(L, (int)r->m, 0);
    for (int64_t i = 0; i < r->m; i++) {
        lua_pushboolean(L, rows[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

static dsl_run *check_own(lua_State *L, const char *what)
{
    dsl_run *r = check_run(L, 1);
    if (r->owner != r)
        dsl_raise(L, "%s: a view of an inner problem only evaluates", what);
    return r;
}

static int l_start(lua_State *L)
{
    dsl_run *r = check_own(L, "start");
    lua_settop(L, 2);
    double *x = run_output(L, 2, r->n, 1, "start: x");
    const peri_status status = x != NULL ? peri_host_functions()->start(r->run, x) : PERI_OK;
    if (status != PERI_OK)
        run_raise(L, r, status);
    return 1;
}

/* run:start_duals(): y and z of a warm start, or nothing */
static int l_start_duals(lua_State *L)
{
    dsl_run *r = check_own(L, "start_duals");
    lua_settop(L, 1);
    double *y = run_output(L, 2, r->m, 1, ""); /* at index 2 then */
    double *z = run_output(L, 3, r->n, 1, "");
    if (!peri_host_functions()->start_duals(r->run, y, z))
        return 0;
    return 2;
}

/* ---- iterations ---------------------------------------------------------------------------------------------------- */

static void read_row(lua_State *L, peri_row *row)
{
    const struct {
        const char *key;
        double *to;
    } numbers[] = {{"objective", &row->objective},
                   {"primal", &row->primal},
                   {"dual", &row->dual},
                   {"complementarity", &row->complementarity},
                   {"step", &row->step},
                   {"trust_radius", &row->trust_radius},
                   {"barrier", &row->barrier},
                   {"regularization", &row->regularization}};
    char text[200];
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
        const int type = lua_getfield(L, 2, numbers[k].key);
        if (type == LUA_TNUMBER) {
            *numbers[k].to = lua_tonumber(L, -1);
        } else if (type != LUA_TNIL) {
            describe(L, -1, text, sizeof text);
            dsl_raise(L, "accept: %s must be a number, not %s", numbers[k].key, text);
        }
        lua_pop(L, 1);
    }
    if (lua_getfield(L, 2, "tag") == LUA_TSTRING && lua_rawlen(L, -1) == 1)
        row->tag = lua_tostring(L, -1)[0];
    else if (!lua_isnil(L, -1))
        dsl_raise(L, "accept: tag must be a string of one letter");
    lua_pop(L, 1);
}

/* run:accept { x =, y =, z =, objective =, step =, ... } */
static int l_accept(lua_State *L)
{
    static const char *const keys[] = {"x", "y", "z", "objective", "primal", "dual", "complementarity", "step", "trust_radius",
                                       "barrier", "regularization", "tag", NULL};
    peri_row row = peri_empty_row();
    dsl_run *r = check_own(L, "accept");
    lua_settop(L, 2);
    if (!lua_istable(L, 2))
        dsl_raise(L, "accept: a table is needed, as in run:accept { x = x, objective = f }");
    check_options(L, 2, "accept", keys);
    read_row(L, &row);
    const double *x = run_field(L, "accept", "x", r->n), *y = run_field(L, "accept", "y", r->m), *z = run_field(L, "accept", "z", r->n);
    if (x == NULL && r->n > 0)
        dsl_raise(L, "accept: x is missing, the new point");
    const peri_status status = peri_host_functions()->accept(r->run, x, y, z, &row, r->next);
    if (status != PERI_OK)
        run_raise(L, r, status);
    return 0;
}

static const char *const why_names[] = {[PERI_WHY_CONTINUE] = "continue",   [PERI_WHY_CONVERGED] = "converged",
                                        [PERI_WHY_STALLED] = "stalled",     [PERI_WHY_INFEASIBLE] = "infeasible",
                                        [PERI_WHY_UNBOUNDED] = "unbounded", [PERI_WHY_LIMIT] = "limit",
                                        [PERI_WHY_FAILED] = "failed"};

const char *run_why_name(peri_why why)
{
    return why_names[why];
}

peri_why run_why(lua_State *L, int i, const char *what)
{
    char text[200];
    for (int w = PERI_WHY_CONVERGED; lua_type(L, i) == LUA_TSTRING && w <= PERI_WHY_FAILED; w++)
        if (strcmp(why_names[w], lua_tostring(L, i)) == 0)
            return (peri_why)w;
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s: a run ends as \"converged\", \"stalled\", \"infeasible\", \"unbounded\", \"limit\" or \"failed\", not as %s", what,
              text);
}

static int l_finish(lua_State *L)
{
    dsl_run *r = check_own(L, "finish");
    const peri_status status = peri_host_functions()->finish(r->run, run_why(L, 2, "finish"), r->next);
    if (status != PERI_OK)
        run_raise(L, r, status);
    return 0;
}

static int l_should_stop(lua_State *L)
{
    lua_pushboolean(L, peri_host_functions()->should_stop(check_own(L, "should_stop")->run));
    return 1;
}

/* run:note(text) or run:note(level, text) */
static int l_note(lua_State *L)
{
    const dsl_run *r = check_run(L, 1);
    const bool levelled = lua_type(L, 2) == LUA_TNUMBER;
    const int64_t level = levelled ? check_integer(L, 2, "note: the level") : 1;
    if (lua_type(L, levelled ? 3 : 2) != LUA_TSTRING)
        dsl_raise(L, "note: a text is needed, as in run:note(\"restarted\")");
    peri_host_functions()->note(r->run, level < 0 ? 0 : level > 2 ? 2 : (int)level, lua_tostring(L, levelled ? 3 : 2));
    return 0;
}

/* run:fail(text): the run ends as a numerical breakdown, with the best point so far */
static int l_fail(lua_State *L)
{
    dsl_run *r = check_run(L, 1);
    if (lua_type(L, 2) != LUA_TSTRING)
        dsl_raise(L, "fail: a text is needed that says what went wrong");
    run_raise(L, r, peri_host_functions()->fail(r->run, PERI_E_NUMERIC, lua_tostring(L, 2)));
}

/* run:undefined(): the run ends because a function is undefined where it is needed; the engine says which */
static int l_undefined(lua_State *L)
{
    dsl_run *r = check_run(L, 1);
    run_raise(L, r, peri_host_functions()->fail(r->run, PERI_E_DOMAIN, "a function is undefined"));
}

/* run:keep(x, f): one of several optima */
static int l_keep(lua_State *L)
{
    dsl_run *r = check_own(L, "keep");
    char text[200];
    const double *x = run_vector(L, 2, r->n, "keep: x");
    if (lua_type(L, 3) != LUA_TNUMBER) {
        describe(L, 3, text, sizeof text);
        dsl_raise(L, "keep: the objective must be a number, not %s", text);
    }
    const peri_status status = peri_host_functions()->inner->keep(r->run, x, lua_tonumber(L, 3));
    if (status != PERI_OK)
        run_raise(L, r, status);
    return 0;
}

/* ---- random numbers, time ------------------------------------------------------------------------------------------ */

static int draw(lua_State *L, const char *what, double (*from)(uint64_t, uint64_t, uint64_t))
{
    const dsl_run *r = check_run(L, 1);
    char text[80];
    snprintf(text, sizeof text, "%s: the stream", what);
    const uint64_t stream = (uint64_t)check_integer(L, 2, text);
    snprintf(text, sizeof text, "%s: the counter", what);
    const uint64_t counter = (uint64_t)check_integer(L, 3, text);
    lua_pushnumber(L, from(peri_host_functions()->limits(r->run)->seed, stream, counter));
    return 1;
}

static int l_uniform(lua_State *L)
{
    return draw(L, "uniform", peri_draw_uniform);
}

static int l_normal(lua_State *L)
{
    return draw(L, "normal", peri_draw_normal);
}

static int l_clock(lua_State *L)
{
    (void)check_run(L, 1);
    lua_pushnumber(L, peri_host_functions()->clock());
    return 1;
}

const luaL_Reg run_methods[] = {{"has", l_has},
                                {"linear_rows", l_linear_rows},
                                {"start", l_start},
                                {"start_duals", l_start_duals},
                                {"accept", l_accept},
                                {"finish", l_finish},
                                {"should_stop", l_should_stop},
                                {"note", l_note},
                                {"fail", l_fail},
                                {"undefined", l_undefined},
                                {"keep", l_keep},
                                {"uniform", l_uniform},
                                {"normal", l_normal},
                                {"clock", l_clock},
                                {NULL, NULL}};
const luaL_Reg run_metamethods[] = {{"__index", l_index}, {"__tostring", l_tostring}, {NULL, NULL}};
