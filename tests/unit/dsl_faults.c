/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dsl_faults.c - the k-th allocation fails, of Lua and of the engine counted together, for every k until a whole script runs through: each run
 * ends in an error or in the right result, never in a crash, and leaves no block behind once the state is closed.
 */
#include "fault/memory.h"
#include "tap/tap.h"
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char script[] =
    "local peri = require 'perigee'\n"
    "local m = peri.model 'faults'\n"
    "local x = m:var('x', 3, { lower = { -1, -2, -3 }, start = peri.array { 0.5, 0.25, 2 } })\n"
    "local X = m:var('X', { 2, 2 })\n"
    "local p = m:param('p', { 1, 2, 3 })\n"
    "local order = { 3, 1, 2 }\n"
    "local S = peri.sparse { rows = 2, cols = 3, i = { 1, 2 }, j = { 3, 1 }, v = { 2, 0.5 } }\n"
    "local f = ((x - p)^2):sum() + peri.map(3, function(i) return x[order[i]] * i end):sum()\n"
    "f = f + (S % x):norm2() + X:dot(X) + peri.stack(x[1], 2, x:slice(2, 3)):mean()\n"
    "m:minimize(f)\n"
    "local b = peri.blackbox(function(a) return a[1] end, x)\n"
    "local h = m:subject_to('c', x:sum() <= 4, { x[1]:ge(-1) }, peri.between(-5, x, { 5, 6, 7 }))\n"
    "local bad, why = pcall(function() return x + peri.zeros(4) end)\n"
    "if not why:find 'cannot be added' then error(why, 0) end\n"
    "local g = peri.grad(f, x):value { [x] = { 1, 2, 3 } }\n"
    "local v = peri.substitute(f, { [x] = p }):value()\n"
    "local text = tostring(f) .. tostring(g) .. tostring(x[1]:le(2))\n"
    "p:set(2)\n"
    "return g[1] + g[2] + v + b:value() + #h + #text + (bad and 1 or 0)\n";

/* A plugin of each kind, one inside the other: what their runs make is given back wherever memory ends. */
static const char plugins[] =
    "local peri = require 'perigee'\n"
    "peri.plugin { name = 'walk', summary = 'gradient steps', needs = 'gradient',\n"
    "  options = { { name = 'rule', type = 'enum', default = 'b', choices = { 'a', 'b' }, help = 'a choice' } },\n"
    "  init = function(s, run) s.x = run:start(); s.f, s.g = run:fg(s.x); s.left = 3 end,\n"
    "  step = function(s, run)\n"
    "    local H = run:hessian(s.x, 1)\n"
    "    local F = run:factor(H, { needs = 'definite', solver = 'plain' })\n"
    "    F:values(H, 4)\n"
    "    s.x = s.x - F:solve(s.g)\n"
    "    s.f, s.g = run:fg(s.x)\n"
    "    run:accept { x = s.x, objective = s.f }\n"
    "    s.left = s.left - 1\n"
    "    if s.left == 0 then return 'stalled' end\n"
    "  end }\n"
    "peri.plugin { name = 'plain', kind = 'linear_solver', summary = 'diagonal', solves = 'definite',\n"
    "  factor = function(s, run, A) s.A = A; return true, 2, 0, 0 end,\n"
    "  solve = function(s, run, b) for i = 1, #b do b[i] = b[i] / s.A[i][i] end return b end }\n"
    "local pass = peri.plugin { name = 'pass', kind = 'reformulation', summary = 'hands it on', removes = { 'constraints' },\n"
    "  init = function(s, run)\n"
    "    s.inner = run:inner 'inner'\n"
    "    local x = s.inner:variables()\n"
    "    local f, c = s.inner:problem(x)\n"
    "    s.p = s.inner:param('p', 1)\n"
    "    s.inner:minimize(f + s.p * (c^2):sum())\n"
    "  end,\n"
    "  step = function(s, run)\n"
    "    s.p:set(2)\n"
    "    local r = s.inner:solve { x = run:start() }\n"
    "    run:accept { x = r.x, objective = s.inner:view():f(r.x) }\n"
    "    return 'stalled'\n"
    "  end }\n"
    "local m = peri.model 'faults'\n"
    "local x = m:var('x', 2, { start = { 1, 2 } })\n"
    "m:minimize((x - 3):dot(x - 3))\n"
    "m:subject_to(x[1] <= 1)\n"
    "local sol = m:solve(pass .. ' > walk', { ['walk.rule'] = 'a' })\n"
    "return sol[x][1] + 10 * sol[x][2]\n";

/* Under lua_pcall. 1: the context's record (light), 2: the script (light) */
static int run_script(lua_State *L)
{
    memory_open_libraries(L);
    if (luaL_loadstring(L, lua_touserdata(L, 2)) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    return 1;
}

/* ret  1: the right result, 0: an error, -1: a wrong result */
static int attempt(memory *m, const char *text, double *result, char *message, size_t size)
{
    int outcome = 0;
    const peri_config config = {.alloc = memory_allocate, .alloc_ud = m};
    peri_context *ctx = peri_context_new(&config);
    lua_State *L = ctx != NULL ? lua_newstate(memory_allocate, m) : NULL;
    dsl_host host = {.ctx = ctx};
    message[0] = '\0';
    if (L != NULL) {
        lua_pushcfunction(L, run_script);
        lua_pushlightuserdata(L, &host);
        lua_pushlightuserdata(L, (void *)(uintptr_t)text);
        if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
            const char *error = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(no text)";
            strncpy(message, error, size - 1);
            message[size - 1] = '\0';
        } else {
            *result = lua_tonumber(L, -1);
            outcome = 1;
        }
        m->countdown = 0;
        lua_close(L);
    }
    peri_context_free(ctx);
    return outcome;
}

static void inject(const char *text, bool persistent, double want, int64_t calls, int64_t stride)
{
    const char *name = persistent ? "from then on" : "once";
    int64_t failures = 0, leaks = 0, wrong = 0, other = 0;
    char message[400], first[400] = "";
    for (int64_t k = 1; k <= calls; k += stride) {
        memory m = {.countdown = k, .persistent = persistent};
        double result = 0;
        const int outcome = attempt(&m, text, &result, message, sizeof message);
        failures += m.failed;
        leaks += m.blocks != 0;
        wrong += outcome == 1 && fabs(result - want) > 1e-9 * fabs(want);
        if (outcome == 0 && message[0] != '\0' && strstr(message, "memory") == NULL && other++ == 0)
            memcpy(first, message, sizeof first);
    }
    ok(failures > 500, "%s: %lld failures injected", name, (long long)failures);
    is_int(leaks, 0, "%s: no block is left", name);
    is_int(wrong, 0, "%s: no wrong result", name);
    if (!is_int(other, 0, "%s: every error says that memory is out", name))
        diag("%s", first);
}

static void test_script(const char *text, int64_t stride)
{
    memory m = {0};
    double want = 0;
    char message[400];
    ok(attempt(&m, text, &want, message, sizeof message) == 1, "the script runs");
    if (message[0] != '\0')
        diag("%s", message);
    is_int(m.blocks, 0, "and leaves no block");
    const int64_t calls = m.calls;
    inject(text, false, want, calls, stride);
    inject(text, true, want, calls, stride);
    memory again = {0};
    double result = 0;
    ok(attempt(&again, text, &result, message, sizeof message) == 1 && fabs(result - want) < 1e-12 * fabs(want), "it still runs");
}

int main(void)
{
    plan(22);
    test_script(script, 1);
    test_script(plugins, tap_long() ? 1 : 3);
    return tap_done();
}
