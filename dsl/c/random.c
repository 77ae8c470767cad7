/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.c - peri.random: arrays of random numbers from the engine's counter-based streams. A call with a seed gives
 * the same numbers whenever it is made; one without takes the next numbers of the state's own stream, so a script
 * repeats too.
 */
#include "internal.h"
#include <math.h>
#include <stdio.h>

typedef struct {
    uint64_t seed, counter; /* entry k is the draw at counter + k */
    int64_t rows, cols;
} stream;

enum { STREAM = 1 }; /* which of a seed's streams scripts draw from */

static double number_option(lua_State *L, const char *what, const char *key, double absent)
{
    char text[200];
    if (lua_getfield(L, 1, key) == LUA_TNIL) {
        lua_pop(L, 1);
        return absent;
    }
    const double value = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !isfinite(value)) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "%s: %s must be a finite number, not %s", what, key, text);
    }
    lua_pop(L, 1);
    return value;
}

static int64_t integer_option(lua_State *L, const char *what, const char *key, int64_t absent)
{
    char text[100];
    snprintf(text, sizeof text, "%s: %s", what, key);
    if (lua_getfield(L, 1, key) == LUA_TNIL) {
        lua_pop(L, 1);
        return absent;
    }
    const int64_t value = check_integer(L, -1, text);
    lua_pop(L, 1);
    return value;
}

/* The table at 1: rows, cols, n, seed. */
static stream read_stream(lua_State *L, const char *what, const char *const *names)
{
    dsl_state *s = state_of(L);
    char text[200];
    if (!lua_istable(L, 1)) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "%s: a table { n = ... } or { rows =, cols = } is needed, not %s", what, text);
    }
    lua_settop(L, 1);
    check_options(L, 1, what, names);
    const int64_t n = integer_option(L, what, "n", 0);
    stream r = {.rows = integer_option(L, what, "rows", n), .cols = integer_option(L, what, "cols", 1)};
    if (r.rows < 1 || r.cols < 1 || (n != 0 && n != r.rows))
        dsl_raise(L, "%s: n, or rows and cols, must be given and at least 1", what);
    if (lua_getfield(L, 1, "seed") != LUA_TNIL) {
        r.seed = (uint64_t)integer_option(L, what, "seed", 0);
    } else {
        r.seed = s->random_seed;
        r.counter = s->random_counter;
    }
    const bool own = lua_isnil(L, -1);
    lua_pop(L, 1);
    array_new(L, r.rows, r.cols);
    if (own)
        s->random_counter += (uint64_t)(r.rows * r.cols);
    return r;
}

static double *entries(lua_State *L)
{
    return ((dsl_array *)lua_touserdata(L, -1))->data;
}

static int l_normal(lua_State *L)
{
    static const char *const names[] = {"n", "rows", "cols", "seed", "mean", "sd", NULL};
    const stream r = read_stream(L, "random.normal", names);
    const double mean = number_option(L, "random.normal", "mean", 0), sd = number_option(L, "random.normal", "sd", 1);
    if (sd < 0)
        dsl_raise(L, "random.normal: sd must not be negative, not %.14g", sd);
    double *x = entries(L);
    for (int64_t k = 0; k < r.rows * r.cols; k++)
        x[k] = mean + sd * peri_draw_normal(r.seed, STREAM, r.counter + (uint64_t)k);
    return 1;
}

static int l_uniform(lua_State *L)
{
    static const char *const names[] = {"n", "rows", "cols", "seed", "lower", "upper", NULL};
    const stream r = read_stream(L, "random.uniform", names);
    const double lo = number_option(L, "random.uniform", "lower", 0),
                 up = number_option(L, "random.uniform", "upper", 1);
    if (lo > up)
        dsl_raise(L, "random.uniform: lower %.14g is above upper %.14g", lo, up);
    double *x = entries(L);
    for (int64_t k = 0; k < r.rows * r.cols; k++)
        x[k] = lo + (up - lo) * peri_draw_uniform(r.seed, STREAM, r.counter + (uint64_t)k);
    return 1;
}

/* lower .. upper, both included */
static int l_integers(lua_State *L)
{
    static const char *const names[] = {"n", "rows", "cols", "seed", "lower", "upper", NULL};
    const stream r = read_stream(L, "random.integers", names);
    const int64_t lo = integer_option(L, "random.integers", "lower", 1),
                  up = integer_option(L, "random.integers", "upper", 0);
    const int64_t most = INT64_C(1) << 53; /* integers that doubles hold */
    if (lo > up || lo < -most || up > most)
        dsl_raise(L, "random.integers: lower (1 where absent) and upper must give a range, not %lld .. %lld", (long long)lo,
              (long long)up);
    double *x = entries(L);
    for (int64_t k = 0; k < r.rows * r.cols; k++)
        x[k] = (double)(lo + peri_draw_below(r.seed, STREAM, r.counter + (uint64_t)k, up - lo + 1));
    return 1;
}

/* The seed of the calls without one; the stream begins anew. */
static int l_seed(lua_State *L)
{
    dsl_state *s = state_of(L);
    s->random_seed = (uint64_t)check_integer(L, 1, "random.seed: the seed");
    s->random_counter = 0;
    return 0;
}

const luaL_Reg random_functions[] = {
    {"normal", l_normal}, {"uniform", l_uniform}, {"integers", l_integers}, {"seed", l_seed}, {NULL, NULL}};
