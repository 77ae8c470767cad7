/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.c - `perigee run SCRIPT [ARGS]`: a script with its words, from its first line to its exit status. */
#include "../c/sandbox.h"
#include "cli.h"
#include "../c/host.h"

#include <lauxlib.h>
#include <string.h>

static int run_script(lua_State *L)
{
    const cli_args *a = &world_cli(L)->args;
    world_load(L, a->words[0]);
    world_set_words(L, a->n_words, a->words);
    if (a->sandbox) {
        sandbox_push(L);
        lua_setupvalue(L, -2, 1);
        sandbox_watch(L);
    }
    luaL_checkstack(L, a->n_words, "too many words for the script");
    for (int i = 1; i < a->n_words; i++)
        lua_pushstring(L, a->words[i]);
    lua_call(L, a->n_words - 1, 0);
    dsl_check_unused(L);
    return 0;
}

int cmd_run(cli *c)
{
    const char *script = c->args.words[0];
    int status;
    if (c->args.sandbox) {
        confine_defaults(&c->args);
        if (!confine_fork(c, &status))
            return status;
    }
    status = world_open(c);
    confine_files(&c->args);
    if (c->args.sandbox)
        confine_self(c);
    signals_deadline(c->args.seconds);
    if (status == EXIT_SOLVED)
        status = world_call(c, run_script, strcmp(script, "-") == 0 ? "stdin" : script);
    if (status == EXIT_SOLVED && (c->watch.any_interrupted || signals_interrupted()))
        status = EXIT_INTERRUPTED;
    const int logged = log_close(c);
    world_close(c);
    return status != EXIT_SOLVED ? status : logged;
}
