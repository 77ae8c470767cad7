/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr.c - operators of expressions, arrays and indices of peri.map, and the functions and methods of the operations'
 * names: one closure an operation, with the operation as its second upvalue.
 */
#include "internal.h"
#include <math.h>

/* ---- operators --------------------------------------------------------------------------------------------------- */

static noreturn void raise_operands(lua_State *L, const char *verb)
{
    char x[200], y[200];
    describe(L, 1, x, sizeof x);
    describe(L, 2, y, sizeof y);
    dsl_raise(L, "%s and %s cannot be %s", x, y, verb);
}

static int arithmetic(lua_State *L, peri_op op, const char *verb)
{
    operand a[2];
    if (apply_plain(L, op) || apply_ramp(L, op))
        return 1;
    lua_settop(L, 2);
    if (!read_operand(L, 1, &a[0]) || !read_operand(L, 2, &a[1]))
        raise_operands(L, verb);
    return apply(L, op, 2, a);
}

static int l_add(lua_State *L)
{
    return arithmetic(L, PERI_OP_ADD, "added");
}

static int l_sub(lua_State *L)
{
    return arithmetic(L, PERI_OP_SUB, "subtracted");
}

static int l_mul(lua_State *L)
{
    return arithmetic(L, PERI_OP_MUL, "multiplied");
}

static int l_div(lua_State *L)
{
    return arithmetic(L, PERI_OP_DIV, "divided");
}

static int l_pow(lua_State *L)
{
    return arithmetic(L, PERI_OP_POW, "raised to a power");
}

static int l_mod(lua_State *L)
{
    return arithmetic(L, PERI_OP_MATMUL, "multiplied as matrices");
}

static int l_unm(lua_State *L)
{
    operand a;
    lua_settop(L, 1);
    check_operand(L, 1, "-", &a);
    return apply(L, PERI_OP_NEG, 1, &a);
}

static int l_idiv(lua_State *L)
{
    raise_operands(L, "divided with //: use /");
}

static int l_len(lua_State *L)
{
    operand a;
    check_operand(L, 1, "#", &a);
    lua_pushinteger(L, a.row ? a.cols : a.rows);
    return 1;
}

/* i % n and i // n of indices are Lua's, so that (i - 1) % n + 1 walks around. */
static int index_arithmetic(lua_State *L, bool modulo)
{
    operand a[2];
    lua_settop(L, 2);
    if (!read_operand(L, 1, &a[0]) || !read_operand(L, 2, &a[1]))
        raise_operands(L, modulo ? "divided with %" : "divided with //");
    const bool scalars = a[0].rows == 1 && a[0].cols == 1 && a[1].rows == 1 && a[1].cols == 1;
    if (a[0].kind == OPERAND_EXPR || a[1].kind == OPERAND_EXPR || !scalars) {
        if (!modulo)
            raise_operands(L, "divided with //: use /");
        return apply(L, PERI_OP_MATMUL, 2, a);
    }
    const dsl_frame *frame = common_frame(L, 2, a);
    int64_t share[2];
    for (int k = 0; k < 2; k++)
        share[k] = a[k].frame != 0 ? frame->total / frame_of(L, a[k].frame)->total : 0;
    dsl_array *out = array_new(L, frame->total, 1);
    for (int64_t k = 0; k < frame->total; k++) {
        double v[2];
        for (int j = 0; j < 2; j++)
            v[j] = a[j].kind == OPERAND_NUMBER ? a[j].number
                   : share[j] > 0              ? a[j].array->data[k / share[j]]
                                               : a[j].array->data[0];
        const double quotient = floor(v[0] / v[1]);
        out->data[k] = modulo ? v[0] - quotient * v[1] : quotient;
    }
    out->frame = frame->id & 0x3fffffff;
    out->item_rows = out->item_cols = 1;
    lua_getiuservalue(L, lua_upvalueindex(1), 1 + TYPE_INDEX);
    lua_setmetatable(L, -2);
    return 1;
}

static int l_index_mod(lua_State *L)
{
    return index_arithmetic(L, true);
}

static int l_index_idiv(lua_State *L)
{
    return index_arithmetic(L, false);
}

/* ---- comparisons ------------------------------------------------------------------------------------------------- */

static bool traced(lua_State *L, int i)
{
    operand a;
    return read_operand(L, i, &a) && a.frame != 0;
}

static void refuse_traced(lua_State *L)
{
    if (traced(L, 1) || traced(L, 2))
        dsl_raise(L, "peri.map traces its function once: a condition on its index is not possible there (use peri.where, "
                 "or a plain loop)");
}

static int l_le(lua_State *L)
{
    operand a[2];
    lua_settop(L, 2);
    refuse_traced(L);
    if (!read_operand(L, 1, &a[0]) || !read_operand(L, 2, &a[1]))
        raise_operands(L, "compared");
    if (a[0].kind != OPERAND_EXPR && a[1].kind != OPERAND_EXPR)
        raise_operands(L, "compared: neither is an expression");
    pending_push(L);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_lt(lua_State *L)
{
    lua_settop(L, 2);
    refuse_traced(L);
    char x[200], y[200];
    describe(L, 1, x, sizeof x);
    describe(L, 2, y, sizeof y);
    dsl_raise(L, "%s < %s: strict inequalities are not constraints; use <= or >=", x, y);
}

static int l_eq(lua_State *L)
{
    char x[200], y[200];
    lua_settop(L, 2);
    refuse_traced(L);
    describe(L, 1, x, sizeof x);
    describe(L, 2, y, sizeof y);
    dsl_raise(L, "%s == %s: Lua's == cannot make a constraint; use a:eq(b)", x, y);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static peri_status make_text(void *ud, char **text)
{
    const dsl_expr *e = ud;
    return peri_expr_text(e->model->obj, e->node, 400, text);
}

static int l_tostring(lua_State *L)
{
    dsl_expr *e = lua_touserdata(L, 1);
    char text[200];
    if (e->model->obj == NULL || e->frame != 0) {
        describe(L, 1, text, sizeof text);
        lua_pushstring(L, text);
        return 1;
    }
    push_text(L, peri_model_context(e->model->obj), make_text, e);
    return 1;
}

static int l_concat(lua_State *L)
{
    char text[200];
    const int i = lua_type(L, 1) == LUA_TUSERDATA ? 1 : 2;
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s cannot be joined to a string: use tostring(e) or e:value()", text);
}

/* ---- functions and methods --------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    peri_op op;
    int args;
} operation;

static const operation operations[] = {
    {"sum", PERI_OP_SUM, 1},         {"mean", PERI_OP_MEAN, 1},         {"max", PERI_OP_MAX, 1},
    {"min", PERI_OP_MIN, 1},         {"dot", PERI_OP_DOT, 2},           {"norm1", PERI_OP_NORM1, 1},
    {"norm2", PERI_OP_NORM2, 1},     {"norminf", PERI_OP_NORMINF, 1},   {"logsumexp", PERI_OP_LOGSUMEXP, 1},
    {"exp", PERI_OP_EXP, 1},         {"log", PERI_OP_LOG, 1},           {"log1p", PERI_OP_LOG1P, 1},
    {"expm1", PERI_OP_EXPM1, 1},     {"sqrt", PERI_OP_SQRT, 1},         {"abs", PERI_OP_ABS, 1},
    {"sin", PERI_OP_SIN, 1},         {"cos", PERI_OP_COS, 1},           {"tan", PERI_OP_TAN, 1},
    {"asin", PERI_OP_ASIN, 1},       {"acos", PERI_OP_ACOS, 1},         {"atan", PERI_OP_ATAN, 1},
    {"sinh", PERI_OP_SINH, 1},       {"cosh", PERI_OP_COSH, 1},         {"tanh", PERI_OP_TANH, 1},
    {"sigmoid", PERI_OP_SIGMOID, 1}, {"softplus", PERI_OP_SOFTPLUS, 1}, {"relu", PERI_OP_RELU, 1},
    {"softmax", PERI_OP_SOFTMAX, 1}, {"pow", PERI_OP_POW, 2},           {"atan2", PERI_OP_ATAN2, 2},
    {"min2", PERI_OP_MIN2, 2},       {"max2", PERI_OP_MAX2, 2},         {"where", PERI_OP_WHERE, 3},
    {"fma", PERI_OP_FMA, 3},
    {"diag", PERI_OP_DIAG, 1},       {"trace", PERI_OP_TRACE, 1},       {"logdet", PERI_OP_LOGDET, 1},
    {"expm", PERI_OP_EXPM, 1},       {"solve", PERI_OP_SOLVE, 2},       {"cumsum", PERI_OP_CUMSUM, 1},
    {"stop", PERI_OP_STOP, 1},       {"t", PERI_OP_TRANSPOSE, 1},
};

/* e:sum(1), e:sum(2): along one dimension of a matrix; not so for a number, whose peri.max(x, 1) is a mistaken max2 */
static bool along_dimension(lua_State *L, const operation *f, operand *a)
{
    if (lua_gettop(L) != 2 || !can_go_along(f->op) || lua_type(L, 2) != LUA_TNUMBER || !read_operand(L, 1, a))
        return false;
    return a->rows > 1 || a->cols > 1 || a->list;
}

static const char *hint_of(peri_op op)
{
    return op == PERI_OP_MAX ? " (max2 compares two)" : op == PERI_OP_MIN ? " (min2 compares two)" : "";
}

static int dimension_of(lua_State *L, const operation *f)
{
    int is_integer;
    const lua_Integer dim = lua_tointegerx(L, 2, &is_integer);
    if (!is_integer || dim < 1 || dim > 2)
        dsl_raise(L, "%s: dimension %s is neither 1 (down the columns) nor 2 (along the rows)%s", f->name, luaL_tolstring(L, 2, NULL),
                  hint_of(f->op));
    return (int)dim;
}

/* Elementwise, with one argument: what loops are made of. */
static bool is_function(peri_op op)
{
    return op >= PERI_OP_NEG && op <= PERI_OP_RELU;
}

static int l_operation(lua_State *L)
{
    const operation *f = lua_touserdata(L, lua_upvalueindex(2));
    operand a[3];
    char text[200];
    const int given = lua_gettop(L);
    if (along_dimension(L, f, &a[0]))
        return apply_along(L, f->op, dimension_of(L, f), &a[0]);
    if (given > f->args)
        dsl_raise(L, "%s takes %d argument%s, not %d%s", f->name, f->args, f->args == 1 ? "" : "s", given, given == 2 ? hint_of(f->op) : "");
    if (given == 1 && is_function(f->op) && apply_plain_unary(L, f->op))
        return 1;
    lua_settop(L, f->args);
    for (int k = 0; k < f->args; k++) {
        if (read_operand(L, k + 1, &a[k]))
            continue;
        describe(L, k + 1, text, sizeof text);
        if (f->op == PERI_OP_WHERE && k == 0 && lua_isboolean(L, 1)) {
            pending_clear(L);
            dsl_raise(L, "where: a comparison is no condition; where(e, a, b) is a where e > 0 and b elsewhere, so x >= y is "
                     "written x - y");
        }
        if (k == 0)
            dsl_raise(L, "%s: %s is not a number, an array or an expression; write peri.%s(e) or e:%s()", f->name, text,
                  f->name, f->name);
        dsl_raise(L, "%s: argument %d is %s, not a number, an array or an expression", f->name, k + 1, text);
    }
    return apply(L, f->op, f->args, a);
}

void add_operations(lua_State *L, int table)
{
    table = lua_absindex(L, table);
    for (size_t k = 0; k < sizeof operations / sizeof operations[0]; k++) {
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushlightuserdata(L, (void *)(uintptr_t)&operations[k]);
        lua_pushcclosure(L, l_operation, 2);
        lua_setfield(L, table, operations[k].name);
    }
}

const luaL_Reg expr_metamethods[] = {
    {"__add", l_add},
    {"__sub", l_sub},
    {"__mul", l_mul},
    {"__div", l_div},
    {"__pow", l_pow},
    {"__mod", l_mod},
    {"__unm", l_unm},
    {"__idiv", l_idiv},
    {"__len", l_len},
    {"__le", l_le},
    {"__lt", l_lt},
    {"__eq", l_eq},
    {"__index", index_value},
    {"__concat", l_concat},
    {"__tostring", l_tostring},
    {"__newindex", l_newindex},
    {NULL, NULL},
};

const luaL_Reg array_metamethods[] = {
    {"__add", l_add},
    {"__sub", l_sub},
    {"__mul", l_mul},
    {"__div", l_div},
    {"__pow", l_pow},
    {"__mod", l_mod},
    {"__unm", l_unm},
    {"__idiv", l_idiv},
    {"__len", l_len},
    {"__le", l_le},
    {"__lt", l_lt},
    {"__index", index_value},
    {"__newindex", l_newindex},
    {"__concat", l_concat},
    {"__tostring", l_array_tostring},
    {NULL, NULL},
};

const luaL_Reg index_metamethods[] = {
    {"__add", l_add},
    {"__sub", l_sub},
    {"__mul", l_mul},
    {"__div", l_div},
    {"__pow", l_pow},
    {"__mod", l_index_mod},
    {"__unm", l_unm},
    {"__idiv", l_index_idiv},
    {"__len", l_len},
    {"__le", l_le},
    {"__lt", l_lt},
    {"__eq", l_eq},
    {"__index", index_value},
    {"__newindex", l_newindex},
    {"__concat", l_concat},
    {"__tostring", l_array_tostring},
    {NULL, NULL},
};
