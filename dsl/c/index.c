/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.c - what stands in brackets after an expression, an array or a value of a peri.map: a method's name, an
 * integer, a list of integers, or an index of a peri.map. All but the commonest case make a list of entries and one
 * gather. Indices run from 1 here and from 0 below.
 */
#include "internal.h"
#include <math.h>

/* ---- mistakes ---------------------------------------------------------------------------------------------------- */

static bool by_entry(const operand *a)
{
    return a->cols == 1 || a->row;
}

static int64_t length_of(const operand *a)
{
    return a->row ? a->cols : a->rows;
}

static noreturn void raise_outside(lua_State *L, const operand *a, double index)
{
    char text[200];
    describe(L, a->at, text, sizeof text);
    dsl_raise(L, "%s: %s %.14g is outside 1 .. %lld", text, by_entry(a) ? "index" : "row", index, (long long)length_of(a));
}

static noreturn void raise_key(lua_State *L, const operand *a, int key)
{
    char text[200], what[200];
    const char *hint = "";
    describe(L, a->at, text, sizeof text);
    describe(L, key, what, sizeof what);
    if (lua_type(L, key) == LUA_TNIL && state_of(L)->frame != NULL)
        hint = " (inside peri.map, look-up tables made in the function itself are not seen: make them outside, or as "
               "arrays)";
    dsl_raise(L, "%s: an index must be an integer or a list of integers, not %s%s", text, what, hint);
}

/* A whole number in 1 .. the length, as an offset from 0. */
static int64_t offset_of(lua_State *L, const operand *a, double index)
{
    char text[200];
    if (!(index >= 1 && index <= (double)length_of(a))) {
        if (isnan(index)) {
            describe(L, a->at, text, sizeof text);
            dsl_raise(L, "%s: the index is NaN", text);
        }
        raise_outside(L, a, index);
    }
    if (floor(index) < index) {
        describe(L, a->at, text, sizeof text);
        dsl_raise(L, "%s: index %.14g is not whole", text, index);
    }
    return (int64_t)index - 1;
}

/* ---- gathers ----------------------------------------------------------------------------------------------------- */

/* What comes out: rows x cols plain, or items of that shape in a frame. */
typedef struct {
    const dsl_frame *frame; /* NULL: plain */
    int64_t rows, cols;
    bool row, list;
} target;

static int64_t target_size(const target *t)
{
    return (t->frame != NULL ? t->frame->total : 1) * t->rows * t->cols;
}

static int gather_array(lua_State *L, const operand *a, const target *t, const int64_t *index)
{
    const int64_t size = target_size(t);
    if (t->frame == NULL && size == 1 && !t->list) {
        lua_pushnumber(L, a->array->data[index[0]]);
        return 1;
    }
    dsl_array *out =
        array_new(L, t->frame != NULL ? t->frame->total : t->rows, t->frame != NULL ? t->rows * t->cols : t->cols);
    for (int64_t k = 0; k < size; k++)
        out->data[k] = a->array->data[index[k]];
    out->row = t->row && (t->cols > 1 || t->list);
    if (t->frame != NULL) {
        out->frame = t->frame->id & 0x3fffffff;
        out->item_rows = (int32_t)t->rows;
        out->item_cols = (int32_t)t->cols;
        lua_getiuservalue(L, lua_upvalueindex(1), 1 + TYPE_INDEX);
        lua_setmetatable(L, -2);
    }
    return 1;
}

static int gather(lua_State *L, const operand *a, const target *t, const int64_t *index)
{
    if (a->kind == OPERAND_ARRAY && a->array->nnz < 0)
        return gather_array(L, a, t, index);
    peri_model *m = model_or_scratch(L, a->model);
    peri_expr e = node_of(L, m, a);
    if (t->frame == NULL) {
        check_status(L, peri_expr_gather(m, e, t->rows, t->cols, index, &e));
        return push_node(L, a->model, a->at, e, (t->row ? FORM_ROW : 0) | (t->list ? FORM_LIST : 0));
    }
    check_status(L, peri_expr_gather(m, e, t->frame->total, t->rows * t->cols, index, &e));
    return push_lifted(L, a->model, a->at, e, t->frame->id, t->rows, t->cols, t->row);
}

/* ---- one integer ------------------------------------------------------------------------------------------------- */

/* Entry or row number `at` of a's item, for all instances. */
static int lifted_integer(lua_State *L, const operand *a, int64_t at)
{
    const bool entry = by_entry(a);
    const target t = {frame_of(L, a->frame), 1, entry ? 1 : a->cols, !entry, false};
    const int64_t size = t.cols, from = a->rows * a->cols, first = entry ? at : at * a->cols;
    int64_t *index = temporary(L, (size_t)(t.frame->total * size), sizeof *index);
    for (int64_t k = 0; k < t.frame->total; k++)
        for (int64_t q = 0; q < size; q++)
            index[k * size + q] = k * from + first + q;
    return gather(L, a, &t, index);
}

static int array_integer(lua_State *L, const operand *a, int64_t at)
{
    dsl_array *x = a->array;
    if (by_entry(a)) {
        lua_pushnumber(L, x->nnz < 0 ? x->data[at] : x->cols == 1 ? array_entry(x, at, 0) : array_entry(x, 0, at));
        return 1;
    }
    if (x->nnz < 0) {
        array_view(L, a->at, x->data + at * x->cols, 1, x->cols)->row = 1;
        return 1;
    }
    dsl_array *out = array_new(L, 1, x->cols);
    for (int64_t k = x->row_start[at]; k < x->row_start[at + 1]; k++)
        out->data[x->col[k]] += x->data[k];
    out->row = 1;
    return 1;
}

static int integer_index(lua_State *L, const operand *a, int64_t at)
{
    peri_expr e;
    if (a->frame != 0)
        return lifted_integer(L, a, at);
    if (a->kind == OPERAND_ARRAY)
        return array_integer(L, a, at);
    const bool entry = by_entry(a);
    peri_model *m = model_or_scratch(L, a->model);
    check_status(L, peri_expr_range(m, a->node, 1, entry ? 1 : a->cols, entry ? at : at * a->cols, 1, &e));
    return push_node(L, a->model, a->at, e, entry ? FORM_SCALAR : FORM_ROW | FORM_LIST);
}

/* ---- an index of a peri.map -------------------------------------------------------------------------------------- */

static noreturn void raise_instance(lua_State *L, const operand *a, double index, const dsl_frame *f, int64_t k)
{
    char text[200];
    describe(L, a->at, text, sizeof text);
    dsl_raise(L, "%s: %s %.14g, for index %lld of peri.map, is outside 1 .. %lld", text, by_entry(a) ? "index" : "row",
          index, (long long)(k % f->n) + 1, (long long)length_of(a));
}

static int lifted_index(lua_State *L, const operand *a, const operand *key)
{
    const operand both[2] = {*a, *key};
    const bool entry = by_entry(a);
    const target t = {common_frame(L, 2, both), 1, entry ? 1 : a->cols, !entry, false};
    const int64_t total = t.frame->total, key_share = total / frame_of(L, key->frame)->total;
    const int64_t share = a->frame != 0 ? total / frame_of(L, a->frame)->total : total;
    const int64_t size = t.cols, from = a->frame != 0 ? a->rows * a->cols : 0;
    int64_t *index = temporary(L, (size_t)(total * size), sizeof *index);
    for (int64_t k = 0; k < total; k++) {
        const double value = key->array->data[k / key_share];
        if (!(value >= 1 && value <= (double)length_of(a)))
            raise_instance(L, a, value, t.frame, k);
        const int64_t at = offset_of(L, a, value);
        for (int64_t q = 0; q < size; q++)
            index[k * size + q] = k / share * from + (entry ? at : at * a->cols) + q;
    }
    return gather(L, a, &t, index);
}

/* ---- a list of integers ------------------------------------------------------------------------------------------ */

/* Entries (or rows) list[0 .. n-1] of a. */
static int gather_many(lua_State *L, const operand *a, int64_t n, const int64_t *list)
{
    const bool entry = by_entry(a);
    target t = {a->frame != 0 ? frame_of(L, a->frame) : NULL, n, entry ? 1 : a->cols, false, true};
    if (a->row) {
        t.rows = 1;
        t.cols = n;
        t.row = true;
    }
    const int64_t width = entry ? 1 : a->cols, size = n * width, from = a->rows * a->cols;
    int64_t *index = temporary(L, (size_t)target_size(&t), sizeof *index);
    for (int64_t k = 0; k < target_size(&t) / size; k++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t q = 0; q < width; q++)
                index[k * size + i * width + q] = k * from + list[i] * width + q;
    return gather(L, a, &t, index);
}

static int list_index(lua_State *L, const operand *a, int key)
{
    char text[200];
    const dsl_array *list = to_array(L, key);
    if (list == NULL) {
        if (lua_rawlen(L, key) == 0) {
            describe(L, a->at, text, sizeof text);
            dsl_raise(L, "%s: the list of indices is empty", text);
        }
        list = array_from_table(L, key, "list of indices");
    }
    if (list->nnz >= 0 || (list->rows != 1 && list->cols != 1)) {
        describe(L, a->at, text, sizeof text);
        dsl_raise(L, "%s: a list of indices must be a vector", text);
    }
    const int64_t n = list->rows * list->cols;
    int64_t *index = temporary(L, (size_t)n, sizeof *index);
    for (int64_t k = 0; k < n; k++)
        index[k] = offset_of(L, a, list->data[k]);
    return gather_many(L, a, n, index);
}

int l_slice(lua_State *L)
{
    operand a;
    char text[200];
    lua_settop(L, 3);
    check_operand(L, 1, "slice", &a);
    const int64_t first = check_integer(L, 2, "slice: the first index"),
                  last = check_integer(L, 3, "slice: the last index");
    const int64_t lo = offset_of(L, &a, (double)first), hi = offset_of(L, &a, (double)last);
    if (hi < lo) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "%s: slice(%lld, %lld) is empty", text, (long long)first, (long long)last);
    }
    int64_t *index = temporary(L, (size_t)(hi - lo + 1), sizeof *index);
    for (int64_t k = lo; k <= hi; k++)
        index[k - lo] = k;
    return gather_many(L, &a, hi - lo + 1, index);
}

/* ---- the door ---------------------------------------------------------------------------------------------------- */

static int method(lua_State *L)
{
    char text[260];
    const bool is_expr = type_of(L, state_of(L), 1) == TYPE_EXPR;
    lua_getiuservalue(L, lua_upvalueindex(1), is_expr ? UV_METHODS : UV_ARRAY_METHODS);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL)
        return 1;
    lua_pop(L, 1);
    describe(L, 1, text, sizeof text);
    raise_unknown(L, -1, text, lua_tostring(L, 2));
}

int index_value(lua_State *L)
{
    operand a, key;
    const int type = lua_type(L, 2);
    if (type == LUA_TNUMBER && index_plain(L))
        return 1;
    lua_settop(L, 2);
    if (type == LUA_TSTRING)
        return method(L);
    if (!read_operand(L, 1, &a))
        return 0;
    if (type == LUA_TNUMBER)
        return integer_index(L, &a, offset_of(L, &a, lua_tonumber(L, 2)));
    if (index_ramp(L, &a))
        return 1;
    const dsl_type kind = type_of(L, state_of(L), 2);
    if (kind == TYPE_INDEX && read_operand(L, 2, &key)) {
        if (key.rows * key.cols == 1)
            return lifted_index(L, &a, &key);
        raise_key(L, &a, 2);
    }
    if (type == LUA_TTABLE || kind == TYPE_ARRAY)
        return list_index(L, &a, 2);
    raise_key(L, &a, 2);
}
