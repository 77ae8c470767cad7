/* SPDX-License-Identifier: Apache-2.0 */
/*
 * callback.c - from the engine into Lua. An error in a Lua function is caught here, its object is kept in the state,
 * and the engine ends by return codes; the binding's function that called the engine raises the object again. Nothing
 * here jumps: what may, runs under lua_pcall.
 */
#include "internal.h"
#include <math.h>
#include <string.h>

void call_enter(dsl_call *c, lua_State *L, dsl_model_ud *model, int event)
{
    dsl_state *s = state_of(L);
    *c = (dsl_call){.up = s->call, .L = L, .model = model, .event = event};
    s->call = c;
    if (model != NULL)
        model->busy++;
}

void call_finish(lua_State *L, dsl_call *c, peri_status status)
{
    dsl_state *s = state_of(L);
    s->call = c->up;
    if (c->model != NULL)
        c->model->busy--;
    if (c->failed) {
        lua_getiuservalue(L, lua_upvalueindex(1), UV_ERROR);
        lua_pushnil(L);
        lua_setiuservalue(L, lua_upvalueindex(1), UV_ERROR);
        lua_error(L);
    }
    if (status != PERI_OK)
        raise_engine(L, s);
}

/* ---- black boxes ------------------------------------------------------------------------------------------------- */

typedef struct {
    dsl_state *state;
    lua_State *main; /* where no call is under way: a host evaluates the model by itself */
    int64_t rows, cols;
    bool list;
    /* of the evaluation under way */
    const double *x;
    double value;
} blackbox;

/* Under lua_pcall. 1: the black box (light). */
static int protected_value(lua_State *L)
{
    char text[200];
    blackbox *b = lua_touserdata(L, 1);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_CALLEES);
    lua_rawgetp(L, -1, b);
    lua_getiuservalue(L, -1, UV_PARENT);
    dsl_array *x = array_new(L, b->rows, b->cols);
    memcpy(x->data, b->x, (size_t)(b->rows * b->cols) * sizeof *b->x);
    if (b->rows == 1 && b->cols == 1 && !b->list) {
        lua_pop(L, 1);
        lua_pushnumber(L, b->x[0]);
    }
    lua_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TNUMBER) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "blackbox: the function must return a number, not %s", text);
    }
    b->value = lua_tonumber(L, -1);
    return 0;
}

/* Pops the error object and keeps the first one for call_finish. */
void callback_keep_error(lua_State *L, dsl_state *s)
{
    bool fresh;
    if (lua_type(L, -1) == LUA_TSTRING) /* for a process that cannot see the object */
        peri_callback_text(s->ctx, lua_tostring(L, -1));
    if (s->call != NULL && !s->call->failed) {
        s->call->failed = true;
        (void)state_push(L, &fresh); /* it exists: no allocation, no jump */
        lua_insert(L, -2);
        lua_setiuservalue(L, -2, UV_ERROR);
    }
    lua_pop(L, 1);
}

typedef struct {
    lua_CFunction f;
    void *ud;
} protected_call;

/* A C function without upvalues, so that pushing it cannot fail; gives f its state. 1: the call (light), 2: a value for
 * f. */
static int with_state(lua_State *L)
{
    bool fresh;
    const protected_call *c = lua_touserdata(L, 1);
    (void)state_push(L, &fresh);
    lua_pushcclosure(L, c->f, 1);
    lua_pushlightuserdata(L, c->ud);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 0);
    return 0;
}

/* f(ud, the value at index `value` or nil); false: an error was raised and is kept. The stack is as before. */
static bool call_protected(lua_State *L, dsl_state *s, lua_CFunction f, void *ud, int value)
{
    protected_call c = {f, ud};
    if (!lua_checkstack(L, 10))
        return false;
    lua_pushcfunction(L, with_state);
    lua_pushlightuserdata(L, &c);
    if (value != 0)
        lua_pushvalue(L, value);
    else
        lua_pushnil(L);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK)
        return true;
    callback_keep_error(L, s);
    return false;
}

int callback_protect(lua_State *L, lua_CFunction f, void *ud)
{
    protected_call c = {f, ud};
    if (!lua_checkstack(L, 10))
        return -1;
    lua_pushcfunction(L, with_state);
    lua_pushlightuserdata(L, &c);
    lua_pushnil(L);
    return lua_pcall(L, 2, 0, 0);
}

bool callback_call(dsl_state *s, lua_State *main, lua_CFunction f, void *ud)
{
    return call_protected(s->call != NULL ? s->call->L : main, s, f, ud, 0);
}

void callback_fail(dsl_state *s, lua_CFunction f, void *ud)
{
    if (s->call != NULL)
        (void)call_protected(s->call->L, s, f, ud, 0);
}

void callback_keep(lua_State *L, int model, int object)
{
    if (lua_getiuservalue(L, model, UV_BLACKBOXES) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, model, UV_BLACKBOXES);
    }
    lua_pushvalue(L, object);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

lua_State *callback_bind(lua_State *L, int f)
{
    lua_pushvalue(L, f);
    lua_setiuservalue(L, -2, UV_PARENT);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_CALLEES);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, lua_touserdata(L, -3));
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *const thread = lua_tothread(L, -1);
    lua_pop(L, 2);
    return thread;
}

static int blackbox_value(void *ud, int64_t n, const double *x, double *f)
{
    blackbox *b = ud;
    dsl_state *s = b->state;
    lua_State *L = s->call != NULL ? s->call->L : b->main;
    (void)n;
    b->x = x;
    if (!call_protected(L, s, protected_value, b, 0))
        return -1;
    *f = b->value;
    return isnan(b->value) ? 1 : 0;
}

/* The model keeps the black box alive, the black box its function; the list of callees only finds it. */
static blackbox *new_blackbox(lua_State *L, int model, int f)
{
    blackbox *b = box_new(L, TYPE_BLACKBOX, sizeof *b, 1);
    b->state = state_of(L);
    b->main = callback_bind(L, f);
    callback_keep(L, model, lua_gettop(L));
    lua_pop(L, 1);
    return b;
}

static int l_blackbox(lua_State *L)
{
    operand x;
    char text[200];
    peri_expr out;
    lua_settop(L, 2);
    if (!lua_isfunction(L, 1)) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "blackbox: a function of an array is needed, not %s", text);
    }
    if (!read_operand(L, 2, &x) || x.kind != OPERAND_EXPR || x.frame != 0) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "blackbox: %s is not an expression%s", text, x.frame != 0 ? " outside peri.map" : "");
    }
    peri_model *m = model_or_scratch(L, x.model);
    lua_getiuservalue(L, 2, UV_PARENT);
    blackbox *b = new_blackbox(L, 3, 1);
    b->rows = x.rows;
    b->cols = x.cols;
    b->list = x.list;
    const peri_function fn = {.name = "blackbox", .ud = b, .value = blackbox_value};
    check_status(L, peri_expr_call(m, &fn, x.node, &out));
    return push_node(L, x.model, 2, out, FORM_SCALAR);
}

/* ---- projections ------------------------------------------------------------------------------------------------- */

typedef struct {
    dsl_state *state;
    lua_State *main;
    /* of the call under way */
    int64_t n;
    const double *v;
    double *x;
    bool none;
} projection;

/* Under lua_pcall. 1: the projection (light). The function gives the point, or nil where there is none. */
static int protected_project(lua_State *L)
{
    int64_t rows, cols;
    projection *p = lua_touserdata(L, 1);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_CALLEES);
    lua_rawgetp(L, -1, p);
    lua_getiuservalue(L, -1, UV_PARENT);
    memcpy(array_new(L, p->n, 1)->data, p->v, (size_t)p->n * sizeof *p->v);
    lua_call(L, 1, 1);
    p->none = lua_isnil(L, -1);
    if (p->none)
        return 0;
    const double *from = read_numbers(L, lua_gettop(L), "projection: what its function returns", &rows, &cols);
    if (rows * cols != p->n)
        dsl_raise(L, "projection: its function returned %d numbers, and there are %d variables", (int)(rows * cols), (int)p->n);
    memcpy(p->x, from, (size_t)p->n * sizeof *from);
    return 0;
}

static int project_in_lua(void *ud, int64_t n, const double *v, double *x)
{
    projection *p = ud;
    p->n = n;
    p->v = v;
    p->x = x;
    if (!callback_call(p->state, p->main, protected_project, p))
        return -1;
    return p->none ? 1 : 0;
}

/* m:projection(function(v) return x end) */
int model_projection_method(lua_State *L)
{
    dsl_model_ud *m = check_model(L, 1);
    char text[200];
    lua_settop(L, 2);
    if (!lua_isfunction(L, 2)) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "projection: a function of an array is needed, not %s", text);
    }
    push_root(L, 1);
    projection *p = box_new(L, TYPE_BLACKBOX, sizeof *p, 1);
    p->state = state_of(L);
    p->main = callback_bind(L, 2);
    callback_keep(L, 3, 4);
    peri_model_project(m->obj, project_in_lua, p);
    return 0;
}

/* ---- iterations -------------------------------------------------------------------------------------------------- */

void push_event(lua_State *L, const peri_event *e)
{
    const struct {
        const char *name;
        double value;
    } columns[] = {{"seconds", e->seconds},
                   {"objective", e->objective},
                   {"primal", e->primal},
                   {"dual", e->dual},
                   {"complementarity", e->complementarity},
                   {"step", e->step},
                   {"trust_radius", e->trust_radius},
                   {"barrier", e->barrier},
                   {"regularization", e->regularization}};

    lua_createtable(L, 0, 12);
    lua_pushinteger(L, e->iteration);
    lua_setfield(L, -2, "iteration");
    for (size_t k = 0; k < sizeof columns / sizeof columns[0]; k++)
        if (!isnan(columns[k].value)) {
            lua_pushnumber(L, columns[k].value);
            lua_setfield(L, -2, columns[k].name);
        }
    if (e->inner_iterations > 0) {
        lua_pushinteger(L, e->inner_iterations);
        lua_setfield(L, -2, "inner_iterations");
    }
    if (e->tag != '\0' && e->tag != ' ') {
        lua_pushlstring(L, &e->tag, 1);
        lua_setfield(L, -2, "tag");
    }
    lua_pushboolean(L, e->best);
    lua_setfield(L, -2, "best");
}

typedef struct {
    const peri_event *event;
    bool stop;
} event_call;

/* Under lua_pcall. 1: the event (light), 2: the callback */
static int protected_event(lua_State *L)
{
    event_call *e = lua_touserdata(L, 1);
    push_event(L, e->event);
    lua_call(L, 1, 1);
    e->stop = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
    return 0;
}

int call_event(void *state, const peri_event *event)
{
    dsl_state *s = state;
    event_call e = {event, false};
    if (s->host != NULL && s->host->event != NULL && s->host->event(s->host->ud, event) != 0)
        return 1;
    if (s->call == NULL || s->call->event == 0)
        return 0;
    if (!call_protected(s->call->L, s, protected_event, &e, s->call->event)) {
        peri_callback_text(s->ctx, NULL);
        return 1;
    }
    return e.stop;
}

const luaL_Reg blackbox_functions[] = {{"blackbox", l_blackbox}, {NULL, NULL}};
