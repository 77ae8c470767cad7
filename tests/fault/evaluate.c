/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate.c - the k-th call of a user's function gives NaN, an infinity, raises an error or interrupts, once or it and all later ones, for
 * k = 1, 2, ... until the script makes fewer calls: black boxes in methods and chains that take them. Each run
 * ends as it should, and the next one in the same state is the undisturbed one.
 */
#include "harness.h"
#include "tap/tap.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum { GIVE_NAN, GIVE_INFINITY, GIVE_MINUS_INFINITY, GIVE_TEXT, RAISE, RAISE_TABLE, INTERRUPT, N_KINDS } fault_kind;

static const char *const kinds[] = {"NaN", "an infinity", "minus infinity", "a text", "an error", "an error object", "an interruption"};

static const char *const plans[] = {"nelder-mead", "pattern-search", "multistart > nelder-mead", "penalty > nelder-mead",
                                    "augmented-lagrangian > pattern-search"};

typedef struct {
    fault_kind kind;
    int64_t at, calls;
    bool persistent;
    peri_context *ctx;
} planned_fault;

/* fault(value): the value, or what is planned for this call. Upvalue 1: the plan (light) */
static int l_fault(lua_State *L)
{
    planned_fault *f = lua_touserdata(L, lua_upvalueindex(1));
    const int64_t k = ++f->calls;
    const bool hit = f->at > 0 && (f->persistent ? k >= f->at : k == f->at);
    lua_settop(L, 1);
    if (!hit)
        return 1;
    switch (f->kind) {
    case GIVE_NAN:
        lua_pushnumber(L, NAN);
        return 1;
    case GIVE_INFINITY:
        lua_pushnumber(L, INFINITY);
        return 1;
    case GIVE_MINUS_INFINITY:
        lua_pushnumber(L, -INFINITY);
        return 1;
    case GIVE_TEXT:
        lua_pushliteral(L, "no number");
        return 1;
    case RAISE:
        return luaL_error(L, "the planned error");
    case RAISE_TABLE:
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "the planned error");
        lua_setfield(L, -2, "text");
        return lua_error(L);
    default:
        peri_interrupt(f->ctx);
        return 1;
    }
}

static const char script[] =
    "local peri, plan = require 'perigee', ...\n"
    "local m = peri.model 'faults'\n"
    "local x = m:var('x', 2, { lower = -2, upper = 2, start = { 1, 0.5 } })\n"
    "m:minimize(peri.blackbox(function(v) return fault((v[1] - 0.3)^2 + 2 * (v[2] + 0.6)^2 + 0.5 * v[1] * v[2]) end, x))\n"
    "if plan:find '^penalty' or plan:find '^augmented' then m:subject_to(x:sum() >= 0) end\n"
    "local ok, sol = pcall(m.solve, m, plan, { iterations = 60 })\n"
    "if not ok then return 'error', type(sol) == 'table' and sol.text or sol end\n"
    "local v = sol[x]\n"
    "if v[1] ~= v[1] or v[2] ~= v[2] or math.abs(v[1]) > 3 or math.abs(v[2]) > 3 then return 'bad point', tostring(v) end\n"
    "return sol.status, ('%.17g %.17g %.17g'):format(sol.objective, v[1], v[2])\n";

typedef struct {
    char status[32], text[300];
} ending;

static ending run(world *w, planned_fault *f, const char *name)
{
    ending e = {"error", ""};
    f->calls = 0;
    lua_State *L = w->L;
    lua_pushlightuserdata(L, f);
    lua_pushcclosure(L, l_fault, 1);
    lua_setglobal(L, "fault");
    if (luaL_loadstring(L, script) == LUA_OK) {
        lua_pushstring(L, name);
        if (lua_pcall(L, 1, 2, 0) == LUA_OK) {
            snprintf(e.status, sizeof e.status, "%s", lua_tostring(L, -2));
            snprintf(e.text, sizeof e.text, "%s", luaL_tolstring(L, -1, NULL));
        } else {
            snprintf(e.text, sizeof e.text, "%s", luaL_tolstring(L, -1, NULL));
        }
    }
    peri_clear_interrupt(w->host.ctx);
    lua_settop(L, 0);
    return e;
}

/* What may come of a fault: the caller's mistakes are errors with his own words, the rest are results. */
static bool is_right(fault_kind kind, const ending *e, const ending *undisturbed)
{
    const bool error = strcmp(e->status, "error") == 0;
    switch (kind) {
    case GIVE_TEXT:
        return error && strstr(e->text, "number") != NULL;
    case RAISE:
    case RAISE_TABLE:
        return error && strstr(e->text, "the planned error") != NULL;
    case INTERRUPT:
        return strcmp(e->status, "interrupted") == 0 || strcmp(e->status, undisturbed->status) == 0;
    default: /* undefined there: another point is tried, or it is said that there is none */
        if (strcmp(e->status, "numerical_error") == 0 || strcmp(e->status, "iteration_limit") == 0)
            return true;
        return error ? strstr(e->text, "finite") != NULL || strstr(e->text, "nan") != NULL || strstr(e->text, "inf") != NULL ||
                           strstr(e->text, "defined") != NULL
                     : strcmp(e->status, "bad point") != 0 && strstr(e->text, "nan") == NULL && strstr(e->text, "inf") == NULL;
    }
}

static void inject(world *w, const char *name, fault_kind kind, bool persistent, const ending *undisturbed)
{
    int64_t tried = 0, wrong = 0, differs = 0;
    char example[400] = "";
    for (int64_t k = 1, more = 1; more; k += tap_long() ? 1 : 1 + k / 2) {
        planned_fault f = {.kind = kind, .at = k, .persistent = persistent, .ctx = w->host.ctx};
        const ending e = run(w, &f, name);
        more = f.calls >= k;
        if (!more)
            break;
        tried++;
        if (!is_right(kind, &e, undisturbed) && wrong++ == 0)
            snprintf(example, sizeof example, "k = %lld: %s, %s", (long long)k, e.status, e.text);
        f.at = 0;
        const ending again = run(w, &f, name);
        differs += strcmp(again.status, undisturbed->status) != 0 || strcmp(again.text, undisturbed->text) != 0;
    }
    const char *when = persistent ? "from then on" : "once";
    ok(tried > 5, "%s: %s %s, at %lld calls", name, kinds[kind], when, (long long)tried);
    if (!is_int(wrong, 0, "%s: %s %s: ends as it should", name, kinds[kind], when))
        diag("%s", example);
    is_int(differs, 0, "%s: %s %s: the next run is the undisturbed one", name, kinds[kind], when);
}

int main(void)
{
    world w = {0};
    plan_later();
    world_open(&w);
    for (size_t p = 0; w.L != NULL && p < sizeof plans / sizeof plans[0]; p++) {
        planned_fault none = {.ctx = w.host.ctx};
        const ending undisturbed = run(&w, &none, plans[p]);
        if (!ok(strcmp(undisturbed.status, "error") != 0, "%s runs", plans[p])) {
            diag("%s", undisturbed.text);
            continue;
        }
        for (fault_kind kind = GIVE_NAN; kind < N_KINDS; kind++) {
            inject(&w, plans[p], kind, false, &undisturbed);
            inject(&w, plans[p], kind, true, &undisturbed);
        }
    }
    world_close(&w);
    is_int(w.mem.blocks, 0, "nothing is left");
    return tap_done();
}
