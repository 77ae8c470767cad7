/* SPDX-License-Identifier: Apache-2.0 */
/* acyclic.c - graphs without cycles: the constraint on a matrix of weights, and the function that it holds at zero. */
#include "internal.h"
#include <string.h>

static const char *text_option(lua_State *L, const char *what, const char *key, const char *otherwise)
{
    char text[200];
    const int type = lua_getfield(L, 2, key);
    if (type == LUA_TNIL)
        return otherwise;
    if (type == LUA_TSTRING)
        return lua_tostring(L, -1); /* the table keeps it */
    describe(L, -1, text, sizeof text);
    dsl_raise(L, "%s: %s must be a string, not %s", what, key, text);
}

static bool is_absolute(lua_State *L, const char *what)
{
    const char *of = text_option(L, what, "of", "square");
    if (strcmp(of, "square") != 0 && strcmp(of, "abs") != 0)
        dsl_raise(L, "%s: of is \"%s\"; it is \"square\" (W o W) or \"abs\" (|W|)", what, of);
    return strcmp(of, "abs") == 0;
}

static double number_option(lua_State *L, const char *what, const char *key, double otherwise)
{
    char text[200];
    const int type = lua_getfield(L, 2, key);
    if (type != LUA_TNIL && type != LUA_TNUMBER) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "%s: %s must be a number, not %s", what, key, text);
    }
    return type == LUA_TNIL ? otherwise : lua_tonumber(L, -1);
}

/* Pushes the function of the weights at 1 with the options at 2; gives the model, NULL for numbers alone. */
static dsl_model_ud *push_acyclicity(lua_State *L, const char *what)
{
    static const char *const names[] = {"form", "of", "s", NULL};
    operand w;
    peri_expr node;
    char text[200];
    if (lua_gettop(L) > 2)
        dsl_raise(L, "%s takes a matrix of weights and a table of options, not %d arguments", what, lua_gettop(L));
    lua_settop(L, 2);
    if (lua_isnil(L, 2))
        lua_newtable(L), lua_replace(L, 2);
    if (!lua_istable(L, 2)) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "%s: options are a table, as in { form = \"polynomial\" }, not %s", what, text);
    }
    check_options(L, 2, what, names);
    check_operand(L, 1, what, &w);
    if (w.frame != 0) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "%s: %s cannot be used inside peri.map", what, text);
    }
    const char *form = text_option(L, what, "form", "exponential");
    const bool absolute = is_absolute(L, what);
    const double s = number_option(L, what, "s", 1);
    peri_model *m = model_or_scratch(L, w.model);
    check_status(L, peri_expr_acyclicity(m, node_of(L, m, &w), form, absolute, s, &node));
    push_node(L, w.model, w.kind == OPERAND_EXPR ? 1 : 0, node, FORM_SCALAR);
    return w.model;
}

static int l_acyclicity(lua_State *L)
{
    push_acyclicity(L, "acyclicity");
    return 1;
}

static int l_acyclic(lua_State *L)
{
    char where[sizeof((dsl_constraint *)0)->where], text[200];
    if (push_acyclicity(L, "acyclic") == NULL) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "acyclic: %s has no variables; its value is peri.acyclicity(W)", text);
    }
    const int h = lua_gettop(L);
    lua_pushinteger(L, 0);
    user_line(L, where, sizeof where);
    push_constraint(L, CONSTRAINT_EQ, where, h, h + 1, 0);
    return 1;
}

const luaL_Reg acyclic_functions[] = {{"acyclic", l_acyclic}, {"acyclicity", l_acyclicity}, {NULL, NULL}};
