/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_model.c - `perigee explain FILE` and `perigee check FILE`: what the engine says about a model that it does not solve. */
#include "cli.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

/* Central differences of a well-scaled function are right to about 1e-7; a wrong derivative is wrong in its first digits. */
static const double WRONG = 1e-4;

static int print_text(lua_State *L, cli *c, peri_status status, char *text)
{
    if (status != PERI_OK)
        return luaL_error(L, "%s", peri_error(c->ctx));
    const size_t n = strlen(text);
    fwrite(text, 1, n, stdout);
    if (n == 0 || text[n - 1] != '\n')
        fputc('\n', stdout);
    peri_free_text(c->ctx, text);
    return 0;
}

static int explain_file(lua_State *L)
{
    cli *c = world_cli(L);
    char *text = NULL;
    peri_model *m = cli_push_model(L, c->args.words[0]);
    const peri_status status = peri_model_explain(m, c->args.solver, &text);
    return print_text(L, c, status, text);
}

static int check_file(lua_State *L)
{
    cli *c = world_cli(L);
    char *text = NULL;
    peri_derivative_check k;
    peri_model *m = cli_push_model(L, c->args.words[0]);
    const peri_status status = peri_model_check(m, &k, &text);
    print_text(L, c, status, text);
    const double worst = fmax(k.gradient, fmax(k.jacobian, k.hessian)); /* NaN: not there */
    if (worst > WRONG)
        return luaL_error(L, "derivatives differ from finite differences by up to %f", worst);
    return 0;
}

static int on_model(cli *c, int (*fn)(lua_State *L))
{
    int status = world_open(c);
    if (status == EXIT_SOLVED)
        status = world_call(c, fn, c->args.words[0]);
    const int logged = log_close(c);
    world_close(c);
    return status != EXIT_SOLVED ? status : logged;
}

int cmd_explain(cli *c)
{
    return on_model(c, explain_file);
}

int cmd_check(cli *c)
{
    return on_model(c, check_file);
}
