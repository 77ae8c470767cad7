/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_table.c - a definition in Lua as the table that the registry takes. What is wrong with a field's form is said here, with the
 * script's line; what is wrong with its value is said by the registry's own check, as for every plugin.
 */
#include "plugin.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OPTIONS_MOST = 1000 };

typedef struct {
    const char *name;
    uint64_t bit;
} word;

static const word traits[] = {
    {"bounds", PERI_BIT(PERI_TRAIT_BOUNDS)},
    {"integer", PERI_BIT(PERI_TRAIT_INTEGER)},
    {"constraints", PERI_BIT(PERI_TRAIT_CONSTRAINTS)},
    {"equalities", PERI_BIT(PERI_TRAIT_EQUALITIES)},
    {"nonlinear_constraints", PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS)},
    {"linear_objective", PERI_BIT(PERI_TRAIT_LINEAR_OBJECTIVE)},
    {"quadratic_objective", PERI_BIT(PERI_TRAIT_QUADRATIC_OBJECTIVE)},
    {"nonlinear_objective", PERI_BIT(PERI_TRAIT_NONLINEAR_OBJECTIVE)},
    {"convex", PERI_BIT(PERI_TRAIT_CONVEX)},
    {"least_squares", PERI_BIT(PERI_TRAIT_LEAST_SQUARES)},
    {"nonsmooth", PERI_BIT(PERI_TRAIT_NONSMOOTH)},
    {"blackbox", PERI_BIT(PERI_TRAIT_BLACKBOX)},
    {"gradient", PERI_BIT(PERI_TRAIT_GRADIENT)},
    {"hessian", PERI_BIT(PERI_TRAIT_HESSIAN)},
    {"sparse_hessian", PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN)},
    {"objective", PERI_BIT(PERI_TRAIT_OBJECTIVE)},
    {"prox", PERI_BIT(PERI_TRAIT_PROX)},
    {"compact", PERI_BIT(PERI_TRAIT_COMPACT)},
    {"levels", PERI_BIT(PERI_TRAIT_LEVELS)},
    {"multilevel", PERI_BIT(PERI_TRAIT_MULTILEVEL)},
    {"acyclic", PERI_BIT(PERI_TRAIT_ACYCLIC)},
    {NULL, 0},
};
static const word gifts[] = {{"duals", PERI_GIVES_DUALS}, {NULL, 0}};
static const word linear_gifts[] = {{"inertia", PERI_GIVES_INERTIA}, {NULL, 0}};
static const word flags[] = {{"automatic", PERI_FLAG_AUTOMATIC},
                             {"random", PERI_FLAG_RANDOM},
                             {"global", PERI_FLAG_GLOBAL},
                             {"whole_run", PERI_FLAG_WHOLE_RUN},
                             {NULL, 0}};
static const word systems[] = {{"definite", PERI_FLAG_DEFINITE},
                               {"quasidefinite", PERI_FLAG_QUASIDEFINITE},
                               {"indefinite", PERI_FLAG_INDEFINITE},
                               {"general", PERI_FLAG_GENERAL},
                               {"least_squares", PERI_FLAG_LEAST_SQUARES},
                               {"dense", PERI_FLAG_DENSE},
                               {"iterative", PERI_FLAG_ITERATIVE},
                               {NULL, 0}};
static const word kinds[] = {{"solver", PERI_KIND_SOLVER},
                             {"reformulation", PERI_KIND_REFORMULATION},
                             {"linear_solver", PERI_KIND_LINEAR_SOLVER},
                             {NULL, 0}};

/* ---- words --------------------------------------------------------------------------------------------------------- */

/* The bit of the string on the top, popped. */
static uint64_t read_word(lua_State *L, const word *list, const char *what)
{
    char text[400];
    for (const word *w = list; lua_type(L, -1) == LUA_TSTRING && w->name != NULL; w++)
        if (strcmp(w->name, lua_tostring(L, -1)) == 0) {
            lua_pop(L, 1);
            return w->bit;
        }
    describe(L, -1, text, 200);
    size_t n = strlen(text);
    for (const word *w = list; w->name != NULL && n < sizeof text; w++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", w == list ? "; it can be " : ", ", w->name);
    dsl_raise(L, "%s: %s is not known here: %s", what, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "this", text);
}

peri_trait plugin_trait(lua_State *L, int i)
{
    lua_pushvalue(L, i);
    const uint64_t bit = read_word(L, traits, "has");
    int trait = 0;
    while (PERI_BIT(trait) != bit)
        trait++;
    return (peri_trait)trait;
}

/* Field `key` of the definition at i: one word or a list of them. */
static uint64_t read_words(lua_State *L, int i, const char *name, const char *key, const word *list)
{
    char what[160];
    uint64_t set = 0;
    snprintf(what, sizeof what, "plugin \"%.64s\": %s", name, key);
    if (lua_getfield(L, i, key) == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    if (lua_type(L, -1) == LUA_TSTRING)
        return read_word(L, list, what);
    if (!lua_istable(L, -1))
        dsl_raise(L, "%s must be a word or a list of words", what);
    const lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer k = 1; k <= n; k++) {
        lua_rawgeti(L, -1, k);
        set |= read_word(L, list, what);
    }
    lua_pop(L, 1);
    return set;
}

/* Field `key` as a text, left on the stack so that it lives; `absent` where it is nil. */
static const char *read_text(lua_State *L, int i, const char *what, const char *key, const char *absent)
{
    char text[200];
    const int type = lua_getfield(L, i, key);
    if (type == LUA_TNIL)
        return absent;
    if (type == LUA_TSTRING)
        return lua_tostring(L, -1);
    describe(L, -1, text, sizeof text);
    dsl_raise(L, "%s: %s must be a string, not %s", what, key, text);
}

static double read_real(lua_State *L, int i, const char *what, const char *key, double absent)
{
    char text[200];
    double value = absent;
    const int type = lua_getfield(L, i, key);
    if (type == LUA_TBOOLEAN)
        value = lua_toboolean(L, -1);
    else if (type == LUA_TNUMBER)
        value = lua_tonumber(L, -1);
    else if (type != LUA_TNIL) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "%s: %s must be a number, not %s", what, key, text);
    }
    lua_pop(L, 1);
    return value;
}

/* ---- options ------------------------------------------------------------------------------------------------------- */

/* The names of an enum and its default; the list of names is a block left on the stack. */
static void read_choices(lua_State *L, int i, const char *what, peri_option *o)
{
    if (lua_getfield(L, i, "choices") != LUA_TTABLE)
        dsl_raise(L, "%s: choices must be a list of names", what);
    const int list = lua_gettop(L);
    const lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    const char **names = temporary(L, (size_t)n + 1, sizeof *names);
    const char *chosen = read_text(L, i, what, "default", NULL);
    for (lua_Integer k = 0; k < n; k++) {
        if (lua_rawgeti(L, list, k + 1) != LUA_TSTRING)
            dsl_raise(L, "%s: choices must be a list of names", what);
        names[k] = lua_tostring(L, -1); /* kept by the list */
        lua_pop(L, 1);
        if (chosen != NULL && strcmp(chosen, names[k]) == 0)
            o->value = (double)k;
        else if (chosen != NULL && k == n - 1 && strcmp(names[(size_t)o->value], chosen) != 0)
            dsl_raise(L, "%s: default \"%.60s\" is not one of the choices", what, chosen);
    }
    o->choices = names;
}

/* The option's table at index i. What it points to stays on the stack. */
static void read_option(lua_State *L, int i, const char *plugin, uint32_t k, peri_option *o)
{
    static const char *const keys[] = {"name", "type", "default", "lower", "upper", "unit", "choices", "help", NULL};
    static const word types[] = {{"real", PERI_OPTION_REAL}, {"int", PERI_OPTION_INT},       {"bool", PERI_OPTION_BOOL},
                                 {"enum", PERI_OPTION_ENUM}, {"string", PERI_OPTION_STRING}, {NULL, 0}};
    const double largest = 9007199254740992.0; /* 2^53 */
    char what[200];
    snprintf(what, sizeof what, "plugin \"%.64s\": option %u", plugin, k + 1);
    check_options(L, i, what, keys);
    o->name = read_text(L, i, what, "name", NULL);
    if (o->name != NULL)
        snprintf(what, sizeof what, "plugin \"%.64s\": option \"%.64s\"", plugin, o->name);
    lua_getfield(L, i, "type");
    o->type = (uint32_t)read_word(L, types, what);
    o->unit = read_text(L, i, what, "unit", "1");
    o->help = read_text(L, i, what, "help", NULL);
    o->offset = k * 8;
    const bool whole = o->type == PERI_OPTION_INT;
    o->lower = whole ? -largest : -HUGE_VAL;
    o->upper = whole ? largest : HUGE_VAL;
    if (o->type == PERI_OPTION_STRING)
        o->text = read_text(L, i, what, "default", NULL);
    else if (o->type == PERI_OPTION_ENUM)
        read_choices(L, i, what, o);
    else
        o->value = read_real(L, i, what, "default", 0);
    if (o->type == PERI_OPTION_REAL || whole) {
        o->lower = read_real(L, i, what, "lower", o->lower);
        o->upper = read_real(L, i, what, "upper", o->upper);
    }
}

/* The block of options, kept by the box at index `box`, with all that it points to. */
static void read_options(lua_State *L, int i, dsl_plugin *p, int box)
{
    if (lua_getfield(L, i, "options") == LUA_TNIL)
        return;
    if (!lua_istable(L, -1))
        dsl_raise(L, "plugin \"%s\": options must be a list of tables", p->name);
    const int list = lua_gettop(L);
    const size_t n = lua_rawlen(L, list);
    if (n > OPTIONS_MOST)
        dsl_raise(L, "plugin \"%s\": %d options, there may be %d", p->name, (int)n, OPTIONS_MOST);
    peri_option *options = temporary(L, n, sizeof *options);
    lua_newtable(L); /* keeps what the options point to */
    const int keep = lua_gettop(L);
    lua_pushvalue(L, keep - 1);
    lua_rawseti(L, keep, 1);
    for (size_t k = 0; k < n; k++) {
        luaL_checkstack(L, 20, "plugin");
        if (lua_rawgeti(L, list, (lua_Integer)k + 1) != LUA_TTABLE)
            dsl_raise(L, "plugin \"%s\": option %d must be a table, as { name =, type =, default =, help = }", p->name, (int)k + 1);
        read_option(L, lua_gettop(L), p->name, (uint32_t)k, &options[k]);
        while (lua_gettop(L) > keep)
            lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
    }
    lua_setiuservalue(L, box, PLUGIN_BLOCK);
    p->options = options;
    p->n_options = (uint32_t)n;
}

/* ---- the table ----------------------------------------------------------------------------------------------------- */

static bool is_function(lua_State *L, int i, const char *key)
{
    const bool yes = lua_getfield(L, i, key) == LUA_TFUNCTION;
    lua_pop(L, 1);
    return yes;
}

static void check_functions(lua_State *L, int i, const dsl_plugin *p)
{
    static const char *const all[] = {"init", "step", "fini", "save", "load", "analyse", "attach", "factor", "solve", "solve_transposed",
                                      NULL};
    const char *const needed[] = {p->kind == PERI_KIND_LINEAR_SOLVER ? "factor" : "step",
                                  p->kind == PERI_KIND_LINEAR_SOLVER ? "solve" : "step"};
    char text[200];
    for (int k = 0; all[k] != NULL; k++) {
        const int type = lua_getfield(L, i, all[k]);
        if (type != LUA_TNIL && type != LUA_TFUNCTION) {
            describe(L, -1, text, sizeof text);
            dsl_raise(L, "plugin \"%s\": %s must be a function, not %s", p->name, all[k], text);
        }
        lua_pop(L, 1);
    }
    for (int k = 0; k < 2; k++)
        if (!is_function(L, i, needed[k]))
            dsl_raise(L, "plugin \"%s\": %s is missing, a function", p->name, needed[k]);
}

static void read_kind(lua_State *L, int i, dsl_plugin *p)
{
    char what[100];
    snprintf(what, sizeof what, "plugin \"%s\": kind", p->name);
    if (lua_getfield(L, i, "kind") == LUA_TNIL)
        lua_pushliteral(L, "solver");
    else
        lua_pushvalue(L, -1);
    p->kind = (uint32_t)read_word(L, kinds, what);
    lua_pop(L, 1);
}

static const char *const solver_keys[] = {"name", "kind", "family", "version", "license", "summary", "page", "reference", "needs",
                                          "refuses", "gives", "flags", "rank", "options", "init", "step", "fini", "save", "load", NULL};
static const char *const reformulation_keys[] = {"name", "kind", "family", "version", "license", "summary", "page", "reference", "needs",
                                                 "refuses", "gives", "flags", "rank", "removes", "adds", "options", "init", "step",
                                                 "fini", "save", "load", NULL};
static const char *const linear_keys[] = {"name", "kind", "family", "version", "license", "summary", "page", "reference", "gives",
                                          "solves", "rank", "options", "analyse", "attach", "factor", "solve", "solve_transposed", "fini",
                                          NULL};

static void read_texts(lua_State *L, int i, const char *what, peri_plugin *out)
{
    out->family = read_text(L, i, what, "family", "lua");
    out->version = read_text(L, i, what, "version", "1");
    out->license = read_text(L, i, what, "license", NULL);
    out->summary = read_text(L, i, what, "summary", NULL);
    out->page = read_text(L, i, what, "page", NULL);
    out->reference = read_text(L, i, what, "reference", NULL);
}

void plugin_read(lua_State *L, int i, dsl_plugin *p, int box, peri_plugin *out)
{
    char what[100];
    luaL_checkstack(L, 40, "plugin");
    snprintf(p->name, sizeof p->name, "%s", read_text(L, i, "plugin", "name", ""));
    if (p->name[0] == '\0')
        dsl_raise(L, "plugin: a name is needed, as in peri.plugin { name = \"my-method\", ... }");
    read_kind(L, i, p);
    snprintf(what, sizeof what, "plugin \"%s\"", p->name);
    const bool linear = p->kind == PERI_KIND_LINEAR_SOLVER, reformulation = p->kind == PERI_KIND_REFORMULATION;
    check_options(L, i, what, linear ? linear_keys : reformulation ? reformulation_keys : solver_keys);
    check_functions(L, i, p);
    *out = (peri_plugin){.stamp = PERI_STAMP,
                         .kind = p->kind,
                         .size_ops = (uint32_t)(linear ? sizeof plugin_linear_ops : sizeof plugin_solver_ops),
                         .ops = linear ? (const void *)&plugin_linear_ops : &plugin_solver_ops,
                         .size_state = (uint32_t)sizeof(plugin_state)};
    read_texts(L, i, what, out);
    out->name = read_text(L, i, what, "name", NULL);
    out->needs[0] = read_words(L, i, p->name, "needs", traits);
    out->refuses[0] = read_words(L, i, p->name, "refuses", traits);
    out->removes[0] = read_words(L, i, p->name, "removes", traits);
    out->adds[0] = read_words(L, i, p->name, "adds", traits);
    out->gives = read_words(L, i, p->name, "gives", linear ? linear_gifts : gifts);
    out->flags = linear ? read_words(L, i, p->name, "solves", systems) : read_words(L, i, p->name, "flags", flags);
    const double rank = read_real(L, i, what, "rank", 0);
    if (!(fabs(rank) <= 1e6) || floor(rank) < rank)
        dsl_raise(L, "%s: rank must be an integer up to 1000000", what);
    out->rank = (int32_t)rank;
    if (linear && (out->flags & PERI_FLAG_ITERATIVE) && !is_function(L, i, "attach"))
        dsl_raise(L, "%s: attach is missing, a function: what solves iterative systems takes operators", what);
    read_options(L, i, p, box);
    out->options = p->options;
    out->n_options = p->n_options;
    out->size_options = p->n_options * 8;
}
