/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - the binding as a host program that has its own Lua state sees it: the `perigee` command, or an application that embeds
 * both. The host leaves one record in the state's registry before the binding is opened; without one (plain `lua5.4`) the binding
 * makes a context of its own and is silent. Not responsible for how a host shows progress or meets signals.
 */
#ifndef PERI_DSL_HOST_H
#define PERI_DSL_HOST_H

#include <lua.h>
#include <perigee/perigee.h>

/*
 * What a host gives. Any function may be NULL. None of them may raise a Lua error: engine frames can be on the stack.
 * Every solve, whoever starts it, is enclosed by `begin` and `end`; between them `event` sees each iteration before the script's
 * own callback does, and non-zero from it stops the solve.
 */
typedef struct {
    peri_context *ctx; /* used for all models of the state instead of a context of the binding's own; borrowed, outlives it */
    void *ud;
    void (*begin)(void *ud, peri_model *m);
    int (*event)(void *ud, const peri_event *event);
    void (*end)(void *ud, peri_solution *s); /* s NULL: the solve ended in an error */
    bool sandboxed; /* nothing reads or writes a file or loads code for the script */
    bool isolate; /* solves whose options do not say otherwise run in a child process */
    size_t memory_limit; /* bytes for that process, where the options do not say; 0: the context's limit */
} dsl_host;

/* The record is a light userdata under this string in the registry; borrowed until the state is closed. */
#define DSL_HOST_KEY "perigee.host"

/* The binding: `require "perigee"`. The command puts it into package.preload. */
PERI_API int luaopen_perigee(lua_State *L);

/* The engine's object in stack slot i, borrowed while the Lua value lives; NULL where it is something else. Never raises. */
peri_model *dsl_to_model(lua_State *L, int i);
peri_solution *dsl_to_solution(lua_State *L, int i);

/*
 * dsl_load_plugin - the plugins of a Lua file, for a context whose loader of ".lua" files a host has set before there was a Lua state; opens the
 * binding in L, which from then on loads them itself. Never raises: an error is the context's (peri_error).
 */
peri_status dsl_load_plugin(lua_State *L, const char *path, peri_loading *to);

/* At the end of a script: raises the error for a comparison that was never passed to subject_to. Call it under lua_pcall. */
void dsl_check_unused(lua_State *L);

/* A table with the names that the binding's object in slot i has behind a dot or a colon as keys; empty for other values. Under lua_pcall. */
void dsl_push_names(lua_State *L, int i);

#endif
