/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.c - `perigee run SCRIPT [ARGS]`: a script with its words, from its first line to its exit status. */
#include "cli.h"

#include <lauxlib.h>
#include <string.h>

/* `arg` as the stand-alone interpreter has it: arg[0] the script, from 1 on its words; those words are left on the stack. */
static int push_words(lua_State *L, const cli_args *a)
{
    const int n = a->n_words - 1;
    lua_createtable(L, n, 1);
    for (int i = 0; i <= n; i++) {
        lua_pushstring(L, a->words[i]);
        lua_rawseti(L, -2, i);
    }
    lua_setglobal(L, "arg");
    luaL_checkstack(L, n + 1, "too many words for the script");
    for (int i = 1; i <= n; i++)
        lua_pushstring(L, a->words[i]);
    return n;
}

static int run_script(lua_State *L)
{
    const cli *c = world_cli(L);
    world_load(L, c->args.words[0]);
    const int n = push_words(L, &c->args);
    lua_call(L, n, 0);
    return 0;
}

int cmd_run(cli *c)
{
    const char *script = c->args.words[0];
    int status = world_open(c);
    if (status == EXIT_SOLVED)
        status = world_call(c, run_script, strcmp(script, "-") == 0 ? "stdin" : script);
    if (status == EXIT_SOLVED && (c->watch.any_interrupted || signals_interrupted()))
        status = EXIT_INTERRUPTED;
    const int logged = log_close(c);
    world_close(c);
    return status != EXIT_SOLVED ? status : logged;
}
