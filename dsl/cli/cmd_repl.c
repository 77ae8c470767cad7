/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_repl.c - `perigee repl`: lines become chunks, chunks are run, what they return is printed. What a chunk is, how values are shown
 * and names completed is in perigee/command/repl.lua. Invariant: whatever a chunk does, short of ending the process, the prompt comes back.
 */
#include "cli.h"

#include "../c/host.h"

#include <lauxlib.h>
#include <stdlib.h>

static const char KEY[] = "perigee.command.repl"; /* of the module, in the registry */

static void push_function(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, KEY);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

static int l_names(lua_State *L)
{
    luaL_checkany(L, 1);
    dsl_push_names(L, 1);
    return 1;
}

static int begin(lua_State *L)
{
    cli_push_module(L, "repl");
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, KEY);
    lua_getfield(L, -1, "begin");
    cli_push_command(L);
    lua_pushcfunction(L, l_names);
    lua_setfield(L, -2, "names");
    lua_call(L, 1, 0);
    return 0;
}

/* The line joins the chunk; a complete chunk is run and its results are shown. */
static int take_line(lua_State *L)
{
    cli *c = world_cli(L);
    push_function(L, "feed");
    lua_pushstring(L, c->session.line);
    lua_call(L, 1, 2);
    c->session.more = lua_toboolean(L, 1);
    if (lua_isnil(L, 2))
        return 0;
    lua_remove(L, 1);
    lua_call(L, 0, LUA_MULTRET);
    dsl_check_unused(L);
    push_function(L, "show");
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

static int forget_chunk(lua_State *L)
{
    push_function(L, "forget");
    lua_call(L, 0, 0);
    return 0;
}

static int drop_comparisons(lua_State *L)
{
    dsl_check_unused(L);
    return 0;
}

/* A comparison that an error left behind is not the next chunk's. */
static void clean_up(lua_State *L)
{
    lua_pushcfunction(L, drop_comparisons);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        lua_pop(L, 1);
}

/* ---- completion --------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *before;
    int width;
} place;

/* place -> what to insert, what to show; both stay on the stack, so that the texts live */
static int propose(lua_State *L)
{
    const place *p = lua_touserdata(L, 1);
    push_function(L, "complete");
    lua_pushstring(L, p->before);
    lua_pushinteger(L, p->width);
    lua_call(L, 2, 2);
    return 2;
}

static void complete(void *ud, const char *before, int width, const char **insert, const char **show)
{
    lua_State *L = ((cli *)ud)->L;
    place p = {before, width};
    lua_settop(L, 0);
    lua_pushcfunction(L, propose);
    lua_pushlightuserdata(L, &p);
    if (lua_pcall(L, 1, 2, 0) == LUA_OK && lua_type(L, 1) == LUA_TSTRING && lua_type(L, 2) == LUA_TSTRING) {
        *insert = lua_tostring(L, 1);
        *show = lua_tostring(L, 2);
    }
}

/* ---- the session ---------------------------------------------------------------------------------------------------------- */

static void run_line(cli *c, bool terminal)
{
    c->session.more = false;
    const int status = world_call(c, take_line, "stdin");
    fflush(stdout);
    if (status == EXIT_SOLVED)
        return;
    if (!c->session.more)
        clean_up(c->L);
    c->session.failed = c->session.failed || !terminal;
}

static void interrupted(cli *c)
{
    signals_reset();
    c->session.more = false;
    (void)world_call(c, forget_chunk, "stdin");
}

static int session(cli *c, edit *e)
{
    const bool terminal = edit_is_terminal(e);
    signals_interactive();
    if (terminal && !c->args.quiet)
        printf("perigee %s, %s: peri is there, _ is the last result, Tab completes, Control-D ends\n", peri_version(), LUA_VERSION);
    while (!signals_terminated()) {
        const edit_result result = edit_read(e, c->session.more ? ">> " : "> ", &c->session.line);
        if (result == EDIT_END)
            break;
        if (result == EDIT_LINE) {
            run_line(c, terminal);
            if (signals_interrupted() && !terminal)
                return EXIT_INTERRUPTED;
        }
        if (result == EDIT_INTERRUPTED || signals_interrupted())
            interrupted(c);
    }
    if (c->session.more && !terminal) { /* says what is missing */
        c->session.line = NULL;
        run_line(c, terminal);
    }
    return signals_terminated() ? EXIT_INTERRUPTED : c->session.failed ? EXIT_ERROR : EXIT_SOLVED;
}

int cmd_repl(cli *c)
{
    int status = world_open(c);
    if (status == EXIT_SOLVED)
        status = world_call(c, begin, "perigee repl");
    edit *e = status == EXIT_SOLVED ? edit_open(complete, c) : NULL;
    if (status == EXIT_SOLVED)
        status = e != NULL ? session(c, e) : cli_say("perigee: out of memory");
    edit_close(e);
    const int logged = log_close(c);
    world_close(c);
    return status != EXIT_SOLVED ? status : logged;
}
