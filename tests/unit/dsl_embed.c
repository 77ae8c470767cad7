/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dsl_embed - scripts inside a host program (perigee/lua.h): what they return, what they may not do, limits that no pcall survives, interruption
 * by another thread, memory, and a model that a script made and the host solves again.
 */
#define _POSIX_C_SOURCE 200809L
#include "tap/tap.h"
#include <lauxlib.h>
#include <lualib.h>
#include <perigee/lua.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    size_t bytes;
    int64_t blocks, requests, fail_at; /* the request that fails; 0: none */
} counter;

static void *counting(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    counter *c = ud;
    if (new_size == 0) {
        c->blocks -= ptr != NULL;
        c->bytes -= ptr != NULL ? old_size : 0;
        free(ptr);
        return NULL;
    }
    if (++c->requests == c->fail_at && (ptr == NULL || new_size > old_size))
        return NULL;
    void *new = realloc(ptr, new_size);
    if (new != NULL) {
        c->blocks += ptr == NULL;
        c->bytes += new_size - (ptr != NULL ? old_size : 0);
    }
    return new;
}

static peri_status run(peri_lua *l, const char *script, const peri_lua_limits *limits, int *results)
{
    return peri_lua_run(l, "script", script, strlen(script), limits, results);
}

/* ---- what scripts give back */

static void keep_text(void *ud, const char *text, size_t size)
{
    char *all = ud;
    const size_t n = strlen(all);
    if (n + size < 200) {
        memcpy(all + n, text, size);
        all[n + size] = '\0';
    }
}

static void test_results(peri_context *ctx)
{
    char printed[200] = "";
    int n = -1;
    const peri_lua_config config = {.write = keep_text, .write_ud = printed};
    peri_lua *l = peri_lua_new(ctx, &config);
    lua_State *L = peri_lua_state(l);
    ok(run(l, "print('a', 1) x = 7 return x, 'two', nil", NULL, &n) == PERI_OK && n == 3, "a script returns its values");
    ok(lua_gettop(L) == 3 && lua_tointeger(L, 1) == 7 && strcmp(lua_tostring(L, 2), "two") == 0, "on the stack");
    is_text(printed, "a\t1\n", "what it prints goes to the host");
    lua_settop(L, 0);
    ok(run(l, "return x", NULL, NULL) == PERI_OK && lua_gettop(L) == 0, "nothing is left where nobody asks");
    lua_getglobal(L, "x");
    is_int(lua_tointeger(L, -1), 7, "what it made is still there");
    lua_settop(L, 0);
    ok(run(l, "function twice(v) return 2 * v end", NULL, NULL) == PERI_OK, "a function");
    lua_getglobal(L, "twice");
    lua_pushinteger(L, 21);
    ok(peri_lua_call(l, 1, NULL, &n) == PERI_OK && n == 1 && lua_tointeger(L, -1) == 42, "is called by the host");
    lua_settop(L, 0);
    is_int(run(l, "x = = 1", NULL, &n), PERI_E_PARSE, "no Lua");
    has_text(peri_lua_error(l), "script:1:", "is told with its line");
    is_int(run(l, "\nerror 'gone'", NULL, &n), PERI_E_CALLBACK, "an error");
    is_text(peri_lua_error(l), "script:2: gone", "with its own");
    is_int(run(l, "error(setmetatable({}, { __tostring = function() return 'own' end }))", NULL, &n), PERI_E_CALLBACK, "an error object");
    is_text(peri_lua_error(l), "own", "says what it is");
    is_int(run(l, "local x = perigee.model 'm':var 'x' local c = x <= 1", NULL, &n), PERI_E_CALLBACK, "a lost comparison");
    has_text(peri_lua_error(l), "subject_to", "is an error");
    ok(n == 0 && lua_gettop(L) == 0, "errors leave nothing on the stack");
    peri_lua_free(l);
}

/* The model of a script, solved again by the host with other data. */
static void test_model(peri_context *ctx)
{
    static const char script[] = "local m = perigee.model 'fit' local x = m:var('x', 3) local p = m:param('p', { 1, 2, 3 })\n"
                                 "m:minimize(perigee.sum((x - p)^2)) m:subject_to('cap', perigee.sum(x) <= 4) return m, m:solve()";
    const double p[3] = {2, 1, 0.5};
    double x[3], dual;
    int n;
    peri_lua *l = peri_lua_new(ctx, NULL);
    lua_State *L = peri_lua_state(l);
    ok(run(l, script, NULL, &n) == PERI_OK && n == 2, "a script with a model") || (diag("%s", peri_lua_error(l)), 0);
    peri_model *m = peri_lua_to_model(L, 1);
    peri_solution *s = peri_lua_to_solution(L, 2), *own = NULL;
    ok(m != NULL && s != NULL && peri_lua_to_model(L, 2) == NULL && peri_lua_to_solution(L, 1) == NULL, "hands them to the host");
    ok(peri_solution_value(s, peri_model_find(m, "x"), x) == PERI_OK && x[2] - x[0] > 1.99 && x[2] - x[0] < 2.01, "with values");
    ok(peri_model_find(m, "y") == PERI_NO_EXPR && peri_model_find_constraint(m, "cup") == -1, "other names are not there");
    ok(peri_model_set_param(m, peri_model_find(m, "p"), 3, p) == PERI_OK && peri_model_resolve(m, NULL, &own) == PERI_OK, "solved again");
    ok(peri_solution_value(own, peri_model_find(m, "x"), x) == PERI_OK && all_close(3, x, p, 0, 1e-6, "with other data"), "in C");
    ok(peri_solution_dual(own, peri_model_find_constraint(m, "cap"), &dual) == PERI_OK && dual > -1e-6 && dual < 1e-6, "and its multiplier");
    peri_solution_free(own);
    peri_lua_free(l);
}

static void test_own_state(peri_context *ctx)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    ok(peri_lua_open(L, ctx) == LUA_OK && lua_gettop(L) == 0, "a state of the host's");
    ok(luaL_dostring(L, "local p = require 'perigee' return p.model 'm'") == LUA_OK, "has the module");
    ok(peri_lua_to_model(L, -1) != NULL && peri_model_context(peri_lua_to_model(L, -1)) == ctx, "whose models are the context's");
    lua_close(L);
}

/* ---- limits */

static void test_limits(peri_context *ctx)
{
    static const char *const endless[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() while true do pcall(f) end end f()",
        "coroutine.wrap(function() while true do pcall(error) end end)()",
        "xpcall(function() while true do end end, function() while true do end end) while true do end",
        "local m = perigee.model 'm' local x = m:var('x', 3) m:minimize(perigee.sum((x - 1)^2)) while true do m:solve() end",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
        "local t <close> = setmetatable({}, { __close = function() while true do end end }) while true do end"};
    const peri_lua_config config = {.sandboxed = true};
    int n;
    for (size_t k = 0; k < sizeof endless / sizeof endless[0]; k++) {
        peri_lua *l = peri_lua_new(ctx, &config);
        const peri_lua_limits time = {.time_limit = 0.02}, work = {.instruction_limit = 300000};
        is_int(run(l, endless[k], &time, &n), PERI_E_CANCELLED, "script %d ends in time", (int)k + 1);
        has_text(peri_lua_error(l), "time limit reached", "and says why");
        is_int(run(l, endless[k], &work, &n), PERI_E_CANCELLED, "or with its instructions");
        has_text(peri_lua_error(l), "instruction limit reached", "and says so");
        ok(run(l, "return 1", &time, &n) == PERI_OK && n == 1, "the next one runs");
        peri_lua_free(l);
    }
}

static void test_sandbox(peri_context *ctx)
{
    static const char *const attacks[] = {"io.open('/etc/passwd')",         "os.execute('true')",       "os.exit(1)",
                                          "dofile('/etc/passwd')",          "loadfile('/etc/passwd')",  "load('return 1')()",
                                          "debug.sethook()",                "package.loadlib('x', '*')", "require 'os'.execute('true')",
                                          "string.dump(print)",             "collectgarbage('stop')",   "setmetatable({}, { __gc = print })",
                                          "getmetatable('').__index = {}",  "perigee.foreign{ symbol = 'getpid', type = 'int(void)' }",
                                          "require('perigee').foreign{ symbol = 'getpid', type = 'int(void)' }", "('x'):dump()"};
    const peri_lua_config config = {.sandboxed = true};
    static const char binary[] = "\033Lua";
    int n;
    for (size_t k = 0; k < sizeof attacks / sizeof attacks[0]; k++) {
        peri_lua *l = peri_lua_new(ctx, &config);
        is_int(run(l, attacks[k], NULL, &n), PERI_E_CALLBACK, "refused: %s", attacks[k]);
        peri_lua_free(l);
    }
    peri_lua *l = peri_lua_new(ctx, &config);
    ok(run(l, "local ok, e, n = xpcall(function(a) error(a .. '!', 0) end, function(e) return e .. '?', 1 end, 'x')\n"
              "local co = coroutine.wrap(function() return select('#', xpcall(function() return coroutine.yield(1), 2 end, print)) end)\n"
              "return tostring(ok) .. e, select(2, xpcall(math.max, print, 1, 5)), co() + co(7)",
           NULL, &n) == PERI_OK && n == 3,
       "xpcall") ||
        (diag("%s", peri_lua_error(l)), 0);
    is_text(lua_tostring(peri_lua_state(l), 1), "falsex!?", "with its handler");
    ok(lua_tointeger(peri_lua_state(l), 2) == 5 && lua_tointeger(peri_lua_state(l), 3) == 4, "its results, and yields inside it");
    lua_settop(peri_lua_state(l), 0);
    is_int(peri_lua_run(l, "binary", binary, 4, NULL, &n), PERI_E_PARSE, "a binary chunk is refused");
    ok(run(l, "local peri = require 'perigee' return peri.random.uniform{ n = 2, seed = 1 }, math.floor(1.5), ('x'):rep(3)", NULL, &n) == PERI_OK && n == 3,
       "what is harmless is there") ||
        (diag("%s", peri_lua_error(l)), 0);
    peri_lua_free(l);
}

static void *interrupt_soon(void *ud)
{
    const struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
    peri_interrupt(ud);
    return NULL;
}

static void test_interrupt(peri_context *ctx)
{
    static const char *const scripts[] = {"while true do pcall(function() while true do end end) end",
                                          "local m = perigee.model 'm' local x = m:var('x', 2, { start = { -1.2, 1 } })\n"
                                          "m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2) while true do m:solve() end"};
    peri_lua *l = peri_lua_new(ctx, NULL);
    for (int k = 0; k < 2; k++) {
        pthread_t thread;
        pthread_create(&thread, NULL, interrupt_soon, ctx);
        is_int(run(l, scripts[k], NULL, NULL), PERI_E_CANCELLED, "another thread interrupts script %d", k + 1);
        pthread_join(thread, NULL);
        ok(peri_interrupted(ctx), "which can be seen");
        peri_clear_interrupt(ctx);
        ok(run(l, "return 1", NULL, NULL) == PERI_OK, "and the next one runs");
    }
    peri_lua_free(l);
}

/* ---- memory */

static void test_memory(void)
{
    counter c = {0};
    const peri_config engine = {.alloc = counting, .alloc_ud = &c};
    peri_context *ctx = peri_context_new(&engine);
    const peri_lua_config config = {.alloc = counting, .alloc_ud = &c, .memory_limit = 4 << 20};
    peri_lua *l = peri_lua_new(ctx, &config);
    is_int(run(l, "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", NULL, NULL), PERI_E_NOMEM, "a script that is too large");
    ok(c.bytes < 6 << 20, "stays below its limit");
    ok(run(l, "collectgarbage() return perigee.sum(perigee.array{ 1, 2 })", NULL, NULL) == PERI_OK, "the next one runs");
    peri_lua_free(l);
    peri_context_free(ctx);
    ok(c.blocks == 0 && c.bytes == 0, "all memory was the host's and has gone back");
}

/* The k-th request fails, for every k until none is left. */
static void test_faults(void)
{
    static const char script[] = "local m = perigee.model 'm' local x = m:var('x', 2) m:minimize(perigee.sum((x - 1)^2)) return m";
    int64_t others = 0, leaks = 0, k = 0, failures = 0;
    peri_status status = PERI_E_NOMEM;
    while (status != PERI_OK && k < 20000) {
        counter c = {.fail_at = ++k};
        const peri_config engine = {.alloc = counting, .alloc_ud = &c};
        const peri_lua_config config = {.alloc = counting, .alloc_ud = &c};
        peri_context *ctx = peri_context_new(&engine);
        peri_lua *l = ctx != NULL ? peri_lua_new(ctx, &config) : NULL;
        status = l != NULL ? run(l, script, NULL, NULL) : PERI_E_NOMEM;
        failures += status == PERI_E_NOMEM;
        others += status != PERI_OK && status != PERI_E_NOMEM && strstr(peri_lua_error(l), "memory") == NULL;
        peri_lua_free(l);
        peri_context_free(ctx);
        leaks += c.blocks != 0;
        k += c.requests > k && status == PERI_OK ? 7 : 0; /* Lua collected and went on: that was no failure */
        status = c.requests >= k ? PERI_E_NOMEM : status;
    }
    ok(failures > 20 && k < 20000, "%d failures of a request in %d", (int)failures, (int)k);
    is_int(others, 0, "each is told as such");
    is_int(leaks, 0, "and leaks nothing");
}

int main(void)
{
    plan_later();
    const peri_config config = {.threads = 1};
    peri_context *ctx = peri_context_new(&config);
    test_results(ctx);
    test_model(ctx);
    test_own_state(ctx);
    test_limits(ctx);
    test_sandbox(ctx);
    test_interrupt(ctx);
    peri_context_free(ctx);
    test_memory();
    test_faults();
    return tap_done();
}
