/* SPDX-License-Identifier: Apache-2.0 */
/* shapes.c - stack, reshape and mark: operations of the engine that have a constructor of their own. */
#include "internal.h"

enum { PIECE = 100000 }; /* values that Lua's stack takes at once without trouble */

static int l_stack(lua_State *L);

/* The list at stack index 1 in pieces that are stacked for themselves, in a list of their own that takes its place. */
static void shorten_list(lua_State *L, lua_Integer n)
{
    lua_createtable(L, (int)((n + PIECE - 1) / PIECE), 0);
    luaL_checkstack(L, PIECE + 20, "stack: too many arguments");
    for (lua_Integer from = 1, piece = 1; from <= n; from += PIECE, piece++) {
        const lua_Integer to = from + PIECE - 1 < n ? from + PIECE - 1 : n;
        lua_pushvalue(L, lua_upvalueindex(1)); /* the state, as every function of the binding has it */
        lua_pushcclosure(L, l_stack, 1);
        for (lua_Integer k = from; k <= to; k++)
            lua_rawgeti(L, 1, k);
        lua_call(L, (int)(to - from + 1), 1);
        lua_rawseti(L, 2, piece);
    }
    lua_remove(L, 1);
}

/* stack(a, b, ...) and stack{ a, b, ... }: the arguments, from stack index 1 on */
static int spread_list(lua_State *L)
{
    if (lua_gettop(L) != 1 || !lua_istable(L, 1))
        return lua_gettop(L);
    while ((lua_Integer)lua_rawlen(L, 1) > PIECE)
        shorten_list(L, (lua_Integer)lua_rawlen(L, 1));
    const lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
    luaL_checkstack(L, (int)n + 20, "stack: too many arguments");
    for (lua_Integer k = 1; k <= n; k++)
        lua_rawgeti(L, 1, k);
    lua_remove(L, 1);
    return lua_gettop(L);
}

static int stack_lifted(lua_State *L, int n, const operand *a, dsl_model_ud *model, int at, const dsl_frame *frame)
{
    const lift_ctx c = {model_or_scratch(L, model), frame, state_of(L)};
    lift_value *v = temporary(L, (size_t)n, sizeof *v);
    for (int k = 0; k < n; k++)
        v[k] = lift_read(L, &c, &a[k]);
    const lift_value r = lift_stack(L, &c, n, v);
    return push_lifted(L, model, at, r.node, frame->id, r.rows, r.cols, false);
}

static int l_stack(lua_State *L)
{
    const int n = spread_list(L);
    if (n < 1)
        dsl_raise(L, "stack: nothing to stack");
    luaL_checkstack(L, 20, "stack: too many arguments");
    operand *a = temporary(L, (size_t)n, sizeof *a);
    const int at = check_operands(L, n, "stack", a);
    dsl_model_ud *model = common_model(L, n, a);
    const dsl_frame *frame = common_frame(L, n, a);
    if (frame != NULL)
        return stack_lifted(L, n, a, model, at, frame);
    peri_model *m = model_or_scratch(L, model);
    peri_expr out;
    check_status(L, peri_expr_stack(m, n, nodes_of(L, m, n, a), &out));
    return push_node(L, model, at, out, FORM_LIST);
}

static int l_reshape(lua_State *L)
{
    operand a;
    int64_t rows, cols;
    char text[200], shape[64];
    lua_settop(L, 3);
    check_operand(L, 1, "reshape", &a);
    read_shape(L, 2, "reshape", &rows, &cols);
    if (rows * cols != a.rows * a.cols) {
        describe(L, 1, text, sizeof text);
        shape_text(rows, cols, shape, sizeof shape);
        dsl_raise(L, "%s cannot be reshaped to a %s", text, shape);
    }
    peri_model *m = model_or_scratch(L, a.model);
    peri_expr node;
    if (a.frame != 0) { /* an item's entries keep their order */
        const lift_ctx c = {m, frame_of(L, a.frame), state_of(L)};
        return push_lifted(L, a.model, 1, lift_read(L, &c, &a).node, a.frame, rows, cols, false);
    }
    check_status(L, peri_expr_reshape(m, node_of(L, m, &a), rows, cols, &node));
    return push_node(L, a.model, 1, node, FORM_LIST);
}

static int l_mark(lua_State *L)
{
    operand a;
    char text[200];
    lua_settop(L, 2);
    check_operand(L, 1, "mark", &a);
    if (lua_type(L, 2) != LUA_TSTRING) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "mark: the name must be a string, not %s", text);
    }
    if (a.kind != OPERAND_EXPR || a.frame != 0) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "mark: %s is not an expression%s", text, a.frame != 0 ? " outside peri.map" : "");
    }
    peri_expr node;
    check_status(L, peri_expr_mark(model_or_scratch(L, a.model), a.node, lua_tostring(L, 2), &node));
    return push_node(L, a.model, 1, node, (a.row ? FORM_ROW : 0) | (a.list ? FORM_LIST : 0));
}

static int l_norm_nuclear(lua_State *L)
{
    operand a;
    char text[200];
    lua_settop(L, 1);
    check_operand(L, 1, "norm_nuclear", &a);
    if (a.frame != 0) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "norm_nuclear: %s cannot be used inside peri.map", text);
    }
    peri_model *m = model_or_scratch(L, a.model);
    peri_expr node;
    check_status(L, peri_expr_norm_nuclear(m, node_of(L, m, &a), &node));
    return push_node(L, a.model, a.kind == OPERAND_EXPR ? 1 : 0, node, FORM_SCALAR);
}

const luaL_Reg expr_functions[] = {
    {"stack", l_stack}, {"reshape", l_reshape}, {"mark", l_mark}, {"norm_nuclear", l_norm_nuclear}, {NULL, NULL}};
