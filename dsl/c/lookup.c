/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.c - Lua tables looked up by the index of a peri.map: t[i] for all instances at once. Numbers become values of
 * the map, expressions a gather from their stack, tables an item: a list with one table an instance, whose fields are
 * looked up in the same way.
 */
#include "internal.h"
#include <math.h>

typedef struct {
    uint32_t frame;
    int64_t n;
} item;

/* ---- from a list of values, one an instance, at stack index `list` ----------------------------------------------- */

static void as_index(lua_State *L, dsl_array *a, const dsl_frame *f)
{
    a->frame = f->id & 0x3fffffff;
    a->item_rows = a->item_cols = 1;
    lua_getiuservalue(L, lua_upvalueindex(1), 1 + TYPE_INDEX);
    lua_setmetatable(L, -2);
}

static int numbers(lua_State *L, int list, const dsl_frame *f)
{
    dsl_array *a = array_new(L, f->total, 1);
    for (int64_t k = 0; k < f->total; k++) {
        lua_rawgeti(L, list, k + 1);
        a->data[k] = lua_tonumber(L, -1);
        if (isnan(a->data[k]))
            dsl_raise(L, "peri.map: the table's entry for index %lld is NaN", (long long)(k % f->n) + 1);
        lua_pop(L, 1);
    }
    as_index(L, a, f);
    return 1;
}

static int items(lua_State *L, int list, const dsl_frame *f)
{
    item *it = box_new(L, TYPE_ITEM, sizeof *it, 1);
    it->frame = f->id;
    it->n = f->total;
    lua_pushvalue(L, list);
    lua_setiuservalue(L, -2, UV_PARENT);
    return 1;
}

/* Scalars, expressions among them: stacked, each value once, and gathered. */
static int expressions(lua_State *L, int list, const dsl_frame *f)
{
    operand *a = temporary(L, 2, sizeof *a);
    int64_t *index = temporary(L, (size_t)f->total, sizeof *index), n = 0;
    peri_expr *node = temporary(L, (size_t)f->total, sizeof *node), out;
    lua_newtable(L);
    const int seen = lua_gettop(L);
    for (int64_t k = 0; k < f->total; k++) {
        lua_rawgeti(L, list, k + 1);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, seen) == LUA_TNUMBER) {
            index[k] = lua_tointeger(L, -1);
            lua_pop(L, 2);
            continue;
        }
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushinteger(L, n);
        lua_rawset(L, seen);
        index[k] = n++;
        lua_pop(L, 1);
    }
    int64_t at = -1;
    for (int64_t k = 0; k < f->total; k++) { /* one that is an expression gives the model */
        lua_rawgeti(L, list, k + 1);
        const bool is_expr = type_of(L, state_of(L), -1) == TYPE_EXPR;
        lua_pop(L, 1);
        if (is_expr)
            at = k;
    }
    lua_rawgeti(L, list, at + 1);
    const int witness = lua_gettop(L);
    check_operand(L, witness, "peri.map", &a[0]);
    peri_model *m = model_or_scratch(L, a[0].model);
    for (int64_t k = 0; k < f->total; k++) {
        lua_rawgeti(L, list, k + 1);
        check_operand(L, -1, "peri.map", &a[1]);
        if (a[1].rows != 1 || a[1].cols != 1 || a[1].frame != 0)
            dsl_raise(L, "peri.map: a table of expressions that is looked up by the index must hold scalars");
        common_model(L, 2, a);
        node[index[k]] = node_of(L, m, &a[1]);
        lua_pop(L, 1);
    }
    check_status(L, peri_expr_stack(m, n, node, &out));
    check_status(L, peri_expr_gather(m, out, f->total, 1, index, &out));
    return push_lifted(L, a[0].model, witness, out, f->id, 1, 1, false);
}

typedef enum { KIND_NUMBER, KIND_TABLE, KIND_EXPR, KIND_OTHER } kind;

static kind kind_of(lua_State *L, int i)
{
    const int type = lua_type(L, i);
    if (type == LUA_TNUMBER)
        return KIND_NUMBER;
    if (type == LUA_TTABLE)
        return KIND_TABLE;
    return type_of(L, state_of(L), i) == TYPE_EXPR ? KIND_EXPR : KIND_OTHER;
}

/* The value for the list on the top. */
static int from_list(lua_State *L, const dsl_frame *f, const char *what)
{
    const int list = lua_gettop(L);
    int64_t count[4] = {0, 0, 0, 0}, same = 0;
    lua_rawgeti(L, list, 1);
    for (int64_t k = 0; k < f->total; k++) {
        lua_rawgeti(L, list, k + 1);
        count[kind_of(L, -1)]++;
        same += lua_rawequal(L, -1, list + 1);
        lua_pop(L, 1);
    }
    if (same == f->total && count[KIND_NUMBER] == 0)
        return 1; /* one and the same for all, whatever it is */
    lua_pop(L, 1);
    if (count[KIND_NUMBER] == f->total)
        return numbers(L, list, f);
    if (count[KIND_TABLE] == f->total)
        return items(L, list, f);
    if (count[KIND_NUMBER] + count[KIND_EXPR] == f->total)
        return expressions(L, list, f);
    dsl_raise(L,
          "peri.map: %s is not a number, an expression or a table for every index; what depends on a condition needs a "
          "plain loop",
          what);
}

static noreturn void raise_missing(lua_State *L, double at, const dsl_frame *f, int64_t k)
{
    dsl_raise(L, "peri.map: a table that is looked up by the index has no entry %.14g (for index %lld)", at,
          (long long)(k % f->n) + 1);
}

/* ---- t[i] -------------------------------------------------------------------------------------------------------- */

/* __index of Lua tables while a map is traced: only for keys that they do not have. */
static int l_table_index(lua_State *L)
{
    lua_settop(L, 2);
    if (type_of(L, state_of(L), 2) != TYPE_INDEX) {
        lua_pushnil(L);
        return 1;
    }
    dsl_array *key = lua_touserdata(L, 2);
    write_ramp(L, 2, key);
    const dsl_frame *f = frame_of(L, key->frame);
    lua_createtable(L, (int)f->total, 0);
    for (int64_t k = 0; k < f->total; k++) {
        const double at = key->data[k];
        if (floor(at) < at || !(fabs(at) < 9e15) || lua_rawgeti(L, 1, (lua_Integer)at) == LUA_TNIL)
            raise_missing(L, at, f, k);
        lua_rawseti(L, 3, k + 1);
    }
    return from_list(L, f, "an entry of a table");
}

/* ---- t[i].field, t[i][j] ----------------------------------------------------------------------------------------- */

static int item_key(lua_State *L, const item *it, const dsl_frame *f)
{
    lua_createtable(L, (int)f->total, 0);
    for (int64_t k = 0; k < it->n; k++) {
        lua_rawgeti(L, 3, k + 1);
        lua_pushvalue(L, 2);
        if (lua_rawget(L, -2) == LUA_TNIL) {
            if (lua_type(L, 2) == LUA_TSTRING)
                dsl_raise(L, "peri.map: the table for index %lld has no field \"%s\"", (long long)(k % f->n) + 1,
                      lua_tostring(L, 2));
            raise_missing(L, lua_tonumber(L, 2), f, k);
        }
        lua_rawseti(L, 4, k + 1);
        lua_pop(L, 1);
    }
    return from_list(L, f, lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "an entry of a table");
}

static int item_lifted_key(lua_State *L, const item *it, const dsl_frame *own)
{
    dsl_array *key = lua_touserdata(L, 2);
    write_ramp(L, 2, key);
    const dsl_frame *other = frame_of(L, key->frame), *f = other->total > own->total ? other : own;
    lua_createtable(L, (int)f->total, 0);
    for (int64_t k = 0; k < f->total; k++) {
        const double at = key->data[k / (f->total / other->total)];
        lua_rawgeti(L, 3, k / (f->total / it->n) + 1);
        if (floor(at) < at || !(fabs(at) < 9e15) || lua_rawgeti(L, -1, (lua_Integer)at) == LUA_TNIL)
            raise_missing(L, at, f, k);
        lua_rawseti(L, 4, k + 1);
        lua_pop(L, 1);
    }
    return from_list(L, f, "an entry of a table");
}

static int l_item_index(lua_State *L)
{
    char text[200];
    const item *it = lua_touserdata(L, 1);
    lua_settop(L, 2);
    const dsl_frame *f = frame_of(L, it->frame);
    lua_getiuservalue(L, 1, UV_PARENT);
    if (type_of(L, state_of(L), 2) == TYPE_INDEX)
        return item_lifted_key(L, it, f);
    if (lua_type(L, 2) == LUA_TSTRING || lua_type(L, 2) == LUA_TNUMBER)
        return item_key(L, it, f);
    describe(L, 2, text, sizeof text);
    dsl_raise(L, "peri.map: a table looked up by the index cannot be indexed by %s", text);
}

static int l_item_len(lua_State *L)
{
    const item *it = lua_touserdata(L, 1);
    lua_Unsigned n = 0;
    lua_getiuservalue(L, 1, UV_PARENT);
    for (int64_t k = 0; k < it->n; k++) {
        lua_rawgeti(L, -1, k + 1);
        if (k > 0 && lua_rawlen(L, -1) != n)
            dsl_raise(L, "peri.map: the tables looked up by the index have different lengths; use a plain loop");
        n = lua_rawlen(L, -1);
        lua_pop(L, 1);
    }
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
}

const luaL_Reg table_metamethods[] = {{"__index", l_table_index}, {NULL, NULL}};
const luaL_Reg item_metamethods[] = {{"__index", l_item_index}, {"__len", l_item_len}, {NULL, NULL}};
