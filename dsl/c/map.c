/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.c - peri.map(n, f): f is called once, with an index that stands for 1 .. n. Invariant: while f runs the frame is
 * on the state's list, and every table that f can see and that has no metatable has one of ours, so that a look-up by
 * the index is ours to answer; both are undone however f ends.
 */
#include "internal.h"

/* ---- tables that f can see --------------------------------------------------------------------------------------- */

enum { MOST_TABLES = 20000, MOST_ENTRIES = 2000 };

/* A walk over upvalues and fields. Stack: todo (a list), seen (a set), marked (a list of those given our metatable). */
typedef struct {
    int todo, seen, marked;
    lua_Integer n_todo, n_marked;
} walk;

/* Notes the value on the top for the walk, if it is worth one; pops it. */
static void visit(lua_State *L, walk *w)
{
    const bool wanted = lua_istable(L, -1) || (lua_isfunction(L, -1) && !lua_iscfunction(L, -1));
    if (wanted && w->n_todo < MOST_TABLES) {
        lua_pushvalue(L, -1);
        const bool fresh = lua_rawget(L, w->seen) == LUA_TNIL;
        lua_pop(L, 1);
        if (fresh) {
            lua_pushvalue(L, -1);
            lua_pushboolean(L, 1);
            lua_rawset(L, w->seen);
            lua_pushvalue(L, -1);
            lua_rawseti(L, w->todo, ++w->n_todo);
        }
    }
    lua_pop(L, 1);
}

/* Fields of the table on the top: the named ones, and the entries of its list if they are tables themselves. */
static void visit_fields(lua_State *L, walk *w)
{
    const lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    const bool nested = n > 0 && lua_rawgeti(L, -1, 1) == LUA_TTABLE;
    if (n > 0)
        lua_pop(L, 1);
    for (lua_Integer k = 1; nested && k <= n && k <= MOST_ENTRIES; k++) {
        lua_rawgeti(L, -1, k);
        visit(L, w);
    }
    if (n > 0)
        lua_pushinteger(L, n); /* the rest of the table begins after its list */
    else
        lua_pushnil(L);
    for (int k = 0; lua_next(L, -2) != 0; k++) {
        if (k >= MOST_ENTRIES) {
            lua_pop(L, 2);
            break;
        }
        visit(L, w);
    }
}

static void mark_table(lua_State *L, walk *w)
{
    if (lua_getmetatable(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    lua_pushvalue(L, -1); /* on the list first: what is marked is always unmarked */
    lua_rawseti(L, w->marked, w->n_marked + 1);
    w->n_marked++;
    lua_getiuservalue(L, lua_upvalueindex(1), UV_TABLE_META);
    lua_setmetatable(L, -2);
}

static void mark_visible(lua_State *L, walk *w, int f)
{
    lua_newtable(L);
    lua_newtable(L);
    w->todo = lua_gettop(L) - 1;
    w->seen = w->todo + 1;
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE); /* modules are not data */
    lua_pushboolean(L, 1);
    lua_rawset(L, w->seen);
    lua_pushvalue(L, f);
    visit(L, w);
    for (lua_Integer k = 1; k <= w->n_todo; k++) {
        lua_rawgeti(L, w->todo, k);
        if (lua_istable(L, -1)) {
            mark_table(L, w);
            visit_fields(L, w);
        } else {
            for (int u = 1; lua_getupvalue(L, -1, u) != NULL; u++)
                visit(L, w);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
}

static void unmark(lua_State *L, walk *w)
{
    for (lua_Integer k = 1; k <= w->n_marked; k++) {
        lua_rawgeti(L, w->marked, k);
        lua_pushnil(L);
        lua_setmetatable(L, -2);
        lua_pop(L, 1);
    }
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static void push_index(lua_State *L, const dsl_frame *f)
{
    if (f->up == NULL) {
        push_ramp(L, f->id, f->n, 1, 1);
        return;
    }
    dsl_array *a = array_new(L, f->total, 1);
    for (int64_t k = 0; k < f->total; k++)
        a->data[k] = (double)(k % f->n + 1);
    a->frame = f->id & 0x3fffffff;
    a->item_rows = a->item_cols = 1;
    lua_getiuservalue(L, lua_upvalueindex(1), 1 + TYPE_INDEX);
    lua_setmetatable(L, -2);
}

/* What f returned, on the top, as the vector of the map: plain, or an item of the frame above. */
static void finish(lua_State *L, const dsl_frame *f)
{
    operand a;
    char text[200], shape[64];
    if (!read_operand(L, -1, &a)) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "peri.map: the function must return a number or a scalar expression, not %s", text);
    }
    if (a.rows != 1 || a.cols != 1) {
        shape_text(a.rows, a.cols, shape, sizeof shape);
        dsl_raise(L, "peri.map: the function must return a scalar for each index, not a %s", shape);
    }
    const lift_ctx c = {model_or_scratch(L, a.model), f, state_of(L)};
    const lift_value v = lift_all(L, &c, lift_read(L, &c, &a));
    peri_expr node = v.node;
    if (f->up == NULL) {
        push_node(L, a.model, a.at, node, FORM_LIST);
        return;
    }
    check_status(L, peri_expr_reshape(c.m, node, f->up->total, f->n, &node));
    push_lifted(L, a.model, a.at, node, f->up->id, f->n, 1, false);
}

/* Protected part. 1: the function, 2: the walk (light), 3: the frame (light), 4: the list of marked tables */
static int trace(lua_State *L)
{
    walk *w = lua_touserdata(L, 2);
    const dsl_frame *f = lua_touserdata(L, 3);
    w->marked = 4;
    mark_visible(L, w, 1);
    lua_pushvalue(L, 1);
    push_index(L, f);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1))
        dsl_raise(L, "peri.map: the function returned nothing");
    finish(L, f);
    return 1;
}

static int64_t read_count(lua_State *L)
{
    char text[200];
    operand a;
    if (type_of(L, state_of(L), 1) == TYPE_INDEX && read_operand(L, 1, &a)) {
        for (int64_t k = 1; k < a.array->rows; k++)
            if (a.array->data[k] > a.array->data[0] || a.array->data[k] < a.array->data[0])
                dsl_raise(L, "peri.map: an inner map needs the same number of entries for every index; use a plain loop");
        lua_pushnumber(L, a.array->data[0]);
        lua_replace(L, 1);
    }
    const int64_t n = check_integer(L, 1, "peri.map: the number of entries");
    if (n >= 1 && n <= INT32_MAX)
        return n;
    describe(L, 1, text, sizeof text);
    dsl_raise(L, "peri.map: the number of entries must be at least 1, not %s", text);
}

static int l_map(lua_State *L)
{
    dsl_state *s = state_of(L);
    char text[200];
    lua_settop(L, 2);
    const int64_t n = read_count(L);
    if (!lua_isfunction(L, 2)) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "peri.map: a function of the index is needed, not %s", text);
    }
    dsl_frame f = {s->frame, s->last_frame % 0x3ffffffe + 1, n, n * (s->frame != NULL ? s->frame->total : 1)};
    if (f.total > INT32_MAX)
        dsl_raise(L, "peri.map: %lld instances in all are too many", (long long)f.total);
    walk w = {0};
    lua_newtable(L); /* 3: the marked tables */
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, trace, 1);
    lua_pushvalue(L, 2);
    lua_pushlightuserdata(L, &w);
    lua_pushlightuserdata(L, &f);
    lua_pushvalue(L, 3);
    s->last_frame = f.id;
    s->frame = &f;
    const int code = lua_pcall(L, 4, 1, 0);
    s->frame = f.up;
    w.marked = 3;
    unmark(L, &w);
    if (code != LUA_OK)
        lua_error(L); /* the error object as it came */
    return 1;
}

const luaL_Reg map_functions[] = {{"map", l_map}, {NULL, NULL}};
