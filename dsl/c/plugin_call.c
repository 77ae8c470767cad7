/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_call.c - the engine calls a plugin that is written in Lua. Each operation runs under lua_pcall; an error becomes a status, and its
 * object is kept for whoever called the engine, which raises it again with its position. Invariant: when an operation returns, nothing
 * of it is left on Lua's stack; when a run ends, what Lua has of it is closed, even where memory is out.
 */
#include "plugin.h"
#include <stdio.h>
#include <string.h>

const char plugin_cancelled = 0;

enum { WATCH_PERIOD = 100000 }; /* virtual instructions between looks at limits: some milliseconds */

/* ---- errors -------------------------------------------------------------------------------------------------------- */

static const char *error_text(lua_State *L, char *other, size_t size)
{
    if (lua_type(L, -1) == LUA_TSTRING)
        return lua_tostring(L, -1);
    snprintf(other, size, "error object is a %s value", luaL_typename(L, -1));
    return other;
}

/* Arrays that cannot be allocated are raised as texts with a position, by the binding. */
static bool is_out_of_memory(int code, const char *text)
{
    static const char end[] = "out of memory";
    const size_t n = strlen(text), m = sizeof end - 1;
    return code == LUA_ERRMEM || (n >= m && strcmp(text + n - m, end) == 0);
}

/* The error object on the top, popped, as a status. Those that stand for results of the run are not kept. */
static peri_status judge(lua_State *L, dsl_state *s, const dsl_run *r, peri_run *run, int code)
{
    char other[80], text[400];
    if (lua_touserdata(L, -1) == (const void *)&plugin_cancelled && lua_islightuserdata(L, -1)) {
        lua_pop(L, 1);
        return PERI_E_CANCELLED;
    }
    snprintf(text, sizeof text, "%s", error_text(L, other, sizeof other));
    const bool engines = r != NULL && r->raised != PERI_OK && strncmp(text, r->raised_text, sizeof r->raised_text - 1) == 0;
    const peri_status status = engines ? r->raised : is_out_of_memory(code, text) ? PERI_E_NOMEM : PERI_E_CALLBACK;
    if (status == PERI_E_NUMERIC || status == PERI_E_DOMAIN)
        lua_pop(L, 1);
    else
        callback_keep_error(L, s);
    if (!engines)
        (void)peri_host_functions()->fail(run, status, text);
    return status;
}

/* A step that goes on and on sees interruption and limits here. */
static void watch(lua_State *L, lua_Debug *ar)
{
    bool fresh;
    const dsl_state *s = state_push(L, &fresh);
    (void)ar;
    lua_pop(L, 1);
    if (s->running == NULL || !peri_host_functions()->should_stop(s->running))
        return;
    lua_pushlightuserdata(L, (void *)(uintptr_t)&plugin_cancelled);
    lua_error(L);
}

peri_status plugin_protect(plugin_state *key, peri_run *run, lua_CFunction f, void *args)
{
    dsl_state *s = key->plugin->state;
    lua_State *L = s->call != NULL ? s->call->L : s->main;
    peri_run *before = s->running;
    const bool hooked = lua_gethook(L) == NULL;
    if (key->run != NULL)
        key->run->raised = PERI_OK;
    s->running = run;
    if (hooked)
        lua_sethook(L, watch, LUA_MASKCOUNT, WATCH_PERIOD);
    const int code = callback_protect(L, f, args);
    if (hooked && lua_gethook(L) == watch)
        lua_sethook(L, NULL, 0, 0);
    s->running = before;
    if (code == LUA_OK)
        return PERI_OK;
    if (code < 0) /* no room on Lua's stack for the call itself */
        return peri_host_functions()->fail(run, PERI_E_NOMEM, "out of memory");
    return judge(L, s, key->run, run, code);
}

/* ---- a run's life in Lua ------------------------------------------------------------------------------------------- */

static void push_option(lua_State *L, const peri_option *o, const char *field)
{
    double real;
    int64_t whole;
    int32_t small;
    const char *text;
    switch (o->type) {
    case PERI_OPTION_REAL:
        memcpy(&real, field, sizeof real);
        lua_pushnumber(L, real);
        return;
    case PERI_OPTION_INT:
        memcpy(&whole, field, sizeof whole);
        lua_pushinteger(L, whole);
        return;
    case PERI_OPTION_STRING:
        memcpy(&text, field, sizeof text);
        lua_pushstring(L, text);
        return;
    default:
        memcpy(&small, field, sizeof small);
        if (o->type == PERI_OPTION_BOOL)
            lua_pushboolean(L, small);
        else
            lua_pushstring(L, o->choices[small]);
    }
}

void plugin_push_options(lua_State *L, const dsl_plugin *p, const void *options)
{
    lua_createtable(L, 0, (int)p->n_options);
    for (uint32_t k = 0; k < p->n_options; k++) {
        push_option(L, &p->options[k], (const char *)options + p->options[k].offset);
        lua_setfield(L, -2, p->options[k].name);
    }
}

dsl_run *plugin_open(lua_State *L, dsl_plugin *p, peri_run *run, plugin_state *key)
{
    dsl_run *r = run_new(L);
    r->plugin = p;
    r->owner = r;
    r->n = peri_host_functions()->n(run);
    r->m = peri_host_functions()->m(run);
    lua_newtable(L);
    lua_setiuservalue(L, -2, RUN_STATE);
    lua_newtable(L);
    lua_setiuservalue(L, -2, RUN_CACHE);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_PLUGINS);
    lua_rawgetp(L, -1, p);
    lua_getiuservalue(L, -1, PLUGIN_DEFINITION);
    lua_setiuservalue(L, -4, RUN_DEFINITION);
    lua_pop(L, 2);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_RUNS);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, key);
    lua_pop(L, 1);
    r->run = run;
    key->run = r;
    p->runs++;
    return r;
}

bool plugin_push_function(lua_State *L, const plugin_state *key, const char *name)
{
    lua_getiuservalue(L, lua_upvalueindex(1), UV_RUNS);
    lua_rawgetp(L, -1, key);
    lua_remove(L, -2);
    lua_getiuservalue(L, -1, RUN_DEFINITION);
    if (lua_getfield(L, -1, name) == LUA_TFUNCTION) {
        lua_remove(L, -2);
        return true;
    }
    lua_pop(L, 3);
    return false;
}

/* Under lua_pcall. 1: the state (light). The run's box is let go of. */
static int forget_run(lua_State *L)
{
    lua_getiuservalue(L, lua_upvalueindex(1), UV_RUNS);
    lua_pushnil(L);
    lua_rawsetp(L, -2, lua_touserdata(L, 1));
    return 0;
}

void plugin_close(plugin_state *key)
{
    dsl_run *r = key->run;
    if (r == NULL)
        return;
    run_over(r);
    key->run = NULL;
    key->plugin->runs--;
    dsl_state *s = key->plugin->state;
    lua_State *L = s->call != NULL ? s->call->L : s->main;
    const int code = callback_protect(L, forget_run, key);
    if (code > LUA_OK)
        lua_pop(L, 1);
}

/* ---- solvers and reformulations ------------------------------------------------------------------------------------ */

typedef struct {
    plugin_state *key;
    peri_run *run;
    const void *options;
    peri_step *next;
    const char *name; /* of the function */
} operation;

/* Pushes run, function, the state's table and the run: NAME(state, run), to be called. false: the plugin has no such function */
static bool push_call(lua_State *L, const operation *o)
{
    if (!plugin_push_function(L, o->key, o->name))
        return false;
    lua_getiuservalue(L, -2, RUN_STATE);
    lua_pushvalue(L, -3);
    return true;
}

/* Under lua_pcall. 1: the operation (light) */
static int protected_init(lua_State *L)
{
    operation *o = lua_touserdata(L, 1);
    (void)plugin_open(L, o->key->plugin, o->run, o->key);
    plugin_push_options(L, o->key->plugin, o->options);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, RUN_OPTIONS);
    if (!push_call(L, o))
        return 0;
    lua_getiuservalue(L, -1, RUN_OPTIONS);
    lua_call(L, 3, 0);
    return 0;
}

static int protected_operation(lua_State *L)
{
    operation *o = lua_touserdata(L, 1);
    if (push_call(L, o))
        lua_call(L, 2, 0);
    return 0;
}

/* A step may end the run by what it returns, too. */
static int protected_step(lua_State *L)
{
    operation *o = lua_touserdata(L, 1);
    if (!push_call(L, o))
        return 0;
    lua_call(L, 2, 1);
    if (!lua_isnil(L, -1))
        check_status(L, peri_host_functions()->finish(o->run, run_why(L, -1, "step"), o->next));
    return 0;
}

static peri_status plugin_init(void *state, peri_run *run, const void *options)
{
    operation o = {.key = state, .run = run, .options = options, .name = "init"};
    return plugin_protect(o.key, run, protected_init, &o);
}

static peri_status plugin_step(void *state, peri_run *run, peri_step *next)
{
    operation o = {.key = state, .run = run, .next = next, .name = "step"};
    dsl_run *r = o.key->run;
    r->next = next;
    const peri_status status = plugin_protect(o.key, run, protected_step, &o);
    r->next = NULL;
    return status;
}

/* Also after an init that failed. An error in it does not change the result, but is raised by who called the engine. */
static void plugin_fini(void *state, peri_run *run)
{
    operation o = {.key = state, .run = run, .name = "fini"};
    if (o.key->run == NULL)
        return;
    (void)plugin_protect(o.key, run, protected_operation, &o);
    plugin_close(o.key);
}

static peri_status plugin_save(void *state, peri_run *run)
{
    operation o = {.key = state, .run = run, .name = "save"};
    return plugin_protect(o.key, run, protected_operation, &o);
}

static peri_status plugin_load(void *state, peri_run *run)
{
    operation o = {.key = state, .run = run, .name = "load"};
    return plugin_protect(o.key, run, protected_operation, &o);
}

const peri_solver_ops plugin_solver_ops = {plugin_init, plugin_step, plugin_fini, plugin_save, plugin_load};
