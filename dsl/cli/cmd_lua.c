/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_lua.c - commands that are written in Lua (perigee/command/NAME.lua): each is a module with `main`, which gets one table: what was
 * typed, the tables of commands and plugins, and `write`. Invariant: what such a command raises is one line that names the file in hand.
 */
#include "cli.h"

#include <lauxlib.h>
#include <string.h>

/* ---- what a command finds ------------------------------------------------------------------------------------------- */

static void put_text(lua_State *L, const char *key, const char *text)
{
    if (text == NULL)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

static void put_switch(lua_State *L, const char *key, bool on)
{
    lua_pushboolean(L, on);
    lua_setfield(L, -2, key);
}

static void push_options(lua_State *L, const cli_option *options)
{
    lua_newtable(L);
    for (lua_Integer k = 1; options->name != NULL; options++, k++) {
        lua_createtable(L, 0, 4);
        put_text(L, "name", options->name);
        put_text(L, "value", options->value);
        put_text(L, "help", options->help);
        if (options->letter != 0)
            put_text(L, "letter", (char[]){options->letter, '\0'});
        lua_rawseti(L, -2, k);
    }
}

static void push_command(lua_State *L, const cli_command *k)
{
    lua_createtable(L, 0, 8);
    put_text(L, "name", k->name);
    put_text(L, "words", k->words);
    put_text(L, "summary", k->summary);
    put_text(L, "text", k->text);
    put_switch(L, "script", k->script);
    put_switch(L, "hidden", k->hidden);
    push_options(L, k->options);
    lua_setfield(L, -2, "options");
    lua_newtable(L);
    for (int i = 0; i < 2; i++) {
        lua_createtable(L, 2, 0);
        for (int j = 0; j < 2; j++) {
            lua_pushstring(L, k->examples[i][j]);
            lua_rawseti(L, -2, j + 1);
        }
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "examples");
}

/* commands(): a list in the order of the overview, then the options of all of them */
static int l_commands(lua_State *L)
{
    lua_newtable(L);
    for (lua_Integer i = 0; cli_commands[i].name != NULL; i++) {
        push_command(L, &cli_commands[i]);
        lua_rawseti(L, -2, i + 1);
    }
    push_options(L, cli_global_options);
    return 2;
}

/* plugins(): from the index, nothing is loaded */
static int l_plugins(lua_State *L)
{
    cli *c = world_cli(L);
    int64_t n = 0;
    const peri_plugin_entry *entries = NULL;
    if (peri_plugins_list(c->ctx, &n, &entries) != PERI_OK)
        return luaL_error(L, "%s", peri_error(c->ctx));
    lua_newtable(L);
    for (int64_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 4);
        put_text(L, "name", entries[i].name);
        put_text(L, "kind", entries[i].kind);
        put_text(L, "family", entries[i].family);
        put_text(L, "summary", entries[i].summary);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* page(name): a plugin's page as JSON text, or nil and why there is none */
static int l_page(lua_State *L)
{
    cli *c = world_cli(L);
    char *text = NULL;
    if (peri_plugin_page(c->ctx, luaL_checkstring(L, 1), true, &text) != PERI_OK) {
        lua_pushnil(L);
        lua_pushstring(L, peri_error(c->ctx));
        return 2;
    }
    lua_pushstring(L, text); /* out of memory: the text goes with the process */
    peri_free_text(c->ctx, text);
    return 1;
}

/* write(path, text): whole or not at all; a failure has printed its line and is the exit status */
static int l_write(lua_State *L)
{
    size_t size;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &size);
    const int status = output_file(path, text, size);
    if (status != EXIT_SOLVED)
        world_cli(L)->status = status;
    return 0;
}

void cli_push_command(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"commands", l_commands}, {"plugins", l_plugins}, {"page", l_page}, {"write", l_write}, {NULL, NULL}};
    const cli_args *a = &world_cli(L)->args;
    luaL_newlib(L, functions);
    put_text(L, "version", peri_version());
    put_text(L, "out", a->out);
    lua_createtable(L, a->n_words, 0);
    for (int i = 0; i < a->n_words; i++) {
        lua_pushstring(L, a->words[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "words");
}

/* ---- running one --------------------------------------------------------------------------------------------------------- */

void cli_push_module(lua_State *L, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushfstring(L, "perigee.command.%s", name);
    lua_call(L, 1, 1);
}

static void call_main(lua_State *L, const char *name)
{
    cli_push_module(L, name);
    lua_getfield(L, -1, "main");
    cli_push_command(L);
    lua_call(L, 1, 0);
}

static int run_report(lua_State *L)
{
    call_main(L, "report");
    return 0;
}

static int run_complete(lua_State *L)
{
    call_main(L, "complete");
    return 0;
}

static int run_pages(lua_State *L)
{
    call_main(L, "pages");
    return 0;
}

static int run(cli *c, int (*fn)(lua_State *L), const char *name)
{
    int status = world_open(c);
    if (status == EXIT_SOLVED)
        status = world_call(c, fn, name);
    const int logged = log_close(c);
    world_close(c);
    return status != EXIT_SOLVED ? status : c->status != EXIT_SOLVED ? c->status : logged;
}

int cmd_report(cli *c)
{
    return run(c, run_report, c->args.words[0]);
}

int cmd_complete(cli *c)
{
    return run(c, run_complete, "perigee complete");
}

int cmd_pages(cli *c)
{
    return run(c, run_pages, "perigee pages");
}
