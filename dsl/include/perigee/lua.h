/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perigee/lua.h - Lua scripts inside a host program that has perigee.h and links liblua 5.4: `pkg-config --cflags --libs perigee-lua`.
 *
 * Conventions
 *   A peri_lua is one Lua state with perigee in it, whose models all belong to the host's context; it is used by the context's thread alone
 *   and freed before the context. Its limits hold for scripts and for the solves that they start. What a script makes stays: the next one
 *   finds it, and the host gets models and solutions from the state's stack.
 *   Limits are kept by counting instructions. A single call of a library function, and a single iteration of a solve, is not cut short:
 *   scripts that nobody trusts belong into a process of their own besides (docs/hosts.md has one).
 */
#ifndef PERIGEE_LUA_H
#define PERIGEE_LUA_H

#include <lua.h>
#include <perigee/perigee.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a state of the host's own ------------------------------------------------------------------------------------------------ */

/*
 * peri_lua_open - `require "perigee"` in this state gives the module, with all models in ctx; the module is the global perigee too
 *   in   ctx  outlives the state; a state keeps the first one it got
 *   ret  LUA_OK, or what lua_pcall gives, with its message on the stack. Never raises.
 */
PERI_API int peri_lua_open(lua_State *L, peri_context *ctx);

/* The engine's object at stack index i, borrowed while the Lua value lives; NULL: something else. Never raise. */
PERI_API peri_model *peri_lua_to_model(lua_State *L, int i);
PERI_API peri_solution *peri_lua_to_solution(lua_State *L, int i);

/* ---- a state with limits ------------------------------------------------------------------------------------------------------- */

typedef struct peri_lua peri_lua;

typedef struct {
    peri_alloc_fn alloc; /* NULL: the C library's */
    void *alloc_ud;
    size_t memory_limit; /* bytes of the Lua state; 0: none. The engine's are limited by peri_config */
    bool sandboxed;      /* scripts find perigee and what cannot touch files, programs or other scripts' libraries; text chunks only */
    void (*write)(void *ud, const char *text, size_t size); /* what print prints, a line a call; NULL: nothing is printed */
    void *write_ud;
} peri_lua_config;

/* peri_lua_new - config may be NULL;  ret NULL: out of memory */
PERI_API peri_lua *peri_lua_new(peri_context *ctx, const peri_lua_config *config);
PERI_API void peri_lua_free(peri_lua *l); /* NULL allowed; the models and solutions of the state go with it */
PERI_API lua_State *peri_lua_state(peri_lua *l);
/* peri_lua_error - the last error's line; "" where there was none. Borrowed until the next call. */
PERI_API const char *peri_lua_error(const peri_lua *l);

typedef struct {
    double time_limit;         /* seconds of the clock; 0: none */
    int64_t instruction_limit; /* Lua instructions, counted by the thousand; 0: none */
} peri_lua_limits;

/*
 * peri_lua_run - run a script
 *   in   name    for messages, as "model.lua"
 *   in   text    [size] the script
 *   in   limits  NULL: none
 *   out  results what the script returned is on the stack, this many values; NULL: it is dropped. None on an error
 *   err  PERI_E_PARSE      no Lua
 *        PERI_E_CALLBACK   the script raised an error, also one of the engine's: "model.lua:3: ..."
 *        PERI_E_CANCELLED  a limit, or peri_interrupt; cleared by peri_clear_interrupt. No pcall of the script's catches it for long
 *        PERI_E_NOMEM
 */
PERI_MUST_CHECK PERI_API peri_status peri_lua_run(peri_lua *l, const char *name, const char *text, size_t size,
                                                  const peri_lua_limits *limits, int *results);
/* peri_lua_call - lua_call under the same protection: n values and below them the function are taken from the stack */
PERI_MUST_CHECK PERI_API peri_status peri_lua_call(peri_lua *l, int n, const peri_lua_limits *limits, int *results);

#ifdef __cplusplus
}
#endif
#endif
