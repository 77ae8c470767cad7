/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_solve.c - `perigee solve FILE`: the model of a file, solved through the binding as a script would. The exit status tells what
 * came out. Also the way from a file to a model that `explain` and `check` share.
 */
#include "cli.h"

#include "../c/host.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

/* ---- from a file to a model --------------------------------------------------------------------------------------------- */

typedef struct {
    const char *suffix;
    void (*push)(lua_State *L, const char *path); /* what the file describes */
} file_type;

static void push_returned(lua_State *L, const char *path)
{
    world_load(L, path);
    world_set_words(L, 1, &path);
    lua_pushstring(L, path);
    lua_call(L, 1, 1);
}

static void push_power_flow(lua_State *L, const char *path)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perigee.power");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "acopf");
    lua_getfield(L, -2, "read");
    lua_pushstring(L, path);
    lua_call(L, 1, 1);
    lua_call(L, 1, 1);
}

static const file_type file_types[] = {{".lua", push_returned}, {".m", push_power_flow}};

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n > k && strcmp(text + n - k, end) == 0;
}

static const file_type *type_of(lua_State *L, const char *path)
{
    for (size_t i = 0; i < sizeof file_types / sizeof file_types[0]; i++) {
        if (ends_with(path, file_types[i].suffix))
            return &file_types[i];
    }
    luaL_error(L, "%s: not a file that can be solved; these are: a .lua script that returns a model, a MATPOWER .m case", path);
    return NULL;
}

peri_model *cli_push_model(lua_State *L, const char *path)
{
    type_of(L, path)->push(L, path);
    peri_model *m = dsl_to_model(L, -1);
    if (m == NULL)
        luaL_error(L, "%s: has to return a model (return m), not a %s value", path, luaL_typename(L, -1));
    return m;
}

/* ---- solving ---------------------------------------------------------------------------------------------------------------- */

/* The options as a table of texts, which the engine reads by each option's own type. */
static void push_options(lua_State *L, const cli_args *a)
{
    const char *const own[][2] = {{"checkpoint", a->checkpoint}, {"checkpoint_every", a->checkpoint_every}, {"resume", a->resume}};
    lua_createtable(L, 0, a->n_settings + 5);
    for (size_t k = 0; k < sizeof own / sizeof own[0]; k++)
        if (own[k][1] != NULL) {
            lua_pushstring(L, own[k][1]);
            lua_setfield(L, -2, own[k][0]);
        }
    if (a->warm_start != NULL) {
        lua_getglobal(L, "require");
        lua_pushliteral(L, "perigee");
        lua_call(L, 1, 1);
        lua_getfield(L, -1, "warm_start");
        lua_pushstring(L, a->warm_start);
        lua_call(L, 1, 1);
        lua_setfield(L, -3, "warm_start");
        lua_pop(L, 1);
    }
    for (int i = 0; i < a->n_settings; i++) {
        const char *equals = strchr(a->settings[i], '=');
        lua_pushlstring(L, a->settings[i], (size_t)(equals - a->settings[i]));
        lua_pushstring(L, equals + 1);
        lua_rawset(L, -3);
    }
    if (isfinite(a->seconds)) {
        lua_pushnumber(L, a->seconds);
        lua_setfield(L, -2, "time_limit");
    }
}

/* Pushes m:solve(solver, options) of the model on top. */
static void push_solution(lua_State *L, const cli_args *a)
{
    lua_getfield(L, -1, "solve");
    lua_pushvalue(L, -2);
    if (a->solver != NULL)
        lua_pushstring(L, a->solver);
    else
        lua_pushnil(L);
    push_options(L, a);
    lua_call(L, 3, 1);
}

static void print_line(FILE *to, const char *text, size_t n)
{
    fwrite(text, 1, n, to);
    if (n == 0 || text[n - 1] != '\n')
        fputc('\n', to);
}

/* Calls the method of the object on top that gives a text, and writes that. */
static int write_json(lua_State *L, const char *path)
{
    size_t n;
    lua_getfield(L, -1, "json");
    lua_pushvalue(L, -2);
    lua_call(L, 1, 1);
    lua_pushliteral(L, "\n");
    lua_concat(L, 2);
    const char *text = luaL_checklstring(L, -1, &n);
    if (n > 1 && text[n - 2] == '\n')
        n--;
    return output_file(path, text, n);
}

static int solve_file(lua_State *L)
{
    cli *c = world_cli(L);
    const char *out = c->args.out;
    cli_push_model(L, c->args.words[0]);
    c->solving = true;
    push_solution(L, &c->args);
    c->solving = false;
    if (out == NULL || strcmp(out, "-") != 0) {
        size_t n;
        const char *report = luaL_tolstring(L, -1, &n);
        print_line(stdout, report, n);
        lua_pop(L, 1);
    }
    const int top = lua_gettop(L);
    int written = out != NULL ? write_json(L, out) : EXIT_SOLVED;
    lua_settop(L, top);
    if (written == EXIT_SOLVED && c->args.save_warm_start != NULL) {
        lua_getfield(L, -1, "warm_start");
        lua_pushvalue(L, -2);
        lua_call(L, 1, 1);
        written = write_json(L, c->args.save_warm_start);
    }
    if (written != EXIT_SOLVED)
        c->status = written;
    return 0;
}

/* An option or solver that does not exist was typed wrong; anything else went wrong. */
static int status_of_error(const cli *c, int status)
{
    const peri_status code = peri_error_code(c->ctx);
    if (status == EXIT_ERROR && c->solving && (code == PERI_E_OPTION || code == PERI_E_NAME))
        return EXIT_USAGE;
    return status;
}

int cmd_solve(cli *c)
{
    int status = world_open(c);
    confine_files(&c->args);
    if (status == EXIT_SOLVED) {
        status = world_call(c, solve_file, c->args.words[0]);
        status = status == EXIT_SOLVED ? c->status : status_of_error(c, status);
    }
    const int logged = log_close(c);
    world_close(c);
    return status != EXIT_SOLVED ? status : logged;
}
