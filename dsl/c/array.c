/* SPDX-License-Identifier: Apache-2.0 */
/*
 * array.c - numeric arrays: dense or sparse by rows, doubles. Their memory is that of their userdata, so the collector
 * sees it and nothing has to be freed. A row of a matrix is a view: it shares the matrix's numbers and keeps it alive.
 * Entries written by users are never NaN.
 */
#include "internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- making ------------------------------------------------------------------------------------------------------ */

static void check_size(lua_State *L, int64_t rows, int64_t cols)
{
    if (rows < 1 || cols < 1 || rows > INT32_MAX / cols)
        dsl_raise(L, "array: %lld x %lld is not a possible shape", (long long)rows, (long long)cols);
}

dsl_array *array_new(lua_State *L, int64_t rows, int64_t cols)
{
    check_size(L, rows, cols);
    dsl_array *a = box_new(L, TYPE_ARRAY, sizeof *a + (size_t)(rows * cols) * sizeof(double), 1);
    a->rows = rows;
    a->cols = cols;
    a->nnz = -1;
    a->data = (double *)(a + 1);
    return a;
}

dsl_array *array_new_sparse(lua_State *L, int64_t rows, int64_t cols, int64_t nnz)
{
    if (rows < 1 || cols < 1 || rows > INT32_MAX || cols > INT32_MAX) /* what is not stored needs no memory */
        dsl_raise(L, "array: %lld x %lld is not a possible shape", (long long)rows, (long long)cols);
    const size_t words = (size_t)nnz * 2 + (size_t)rows + 1;
    dsl_array *a = box_new(L, TYPE_ARRAY, sizeof *a + words * sizeof(double), 1);
    a->rows = rows;
    a->cols = cols;
    a->nnz = nnz;
    a->data = (double *)(a + 1);
    a->row_start = (int64_t *)(a->data + nnz);
    a->col = a->row_start + rows + 1;
    return a;
}

dsl_array *array_view(lua_State *L, int parent, double *data, int64_t rows, int64_t cols)
{
    parent = lua_absindex(L, parent);
    dsl_array *a = box_new(L, TYPE_ARRAY, sizeof *a, 1);
    lua_pushvalue(L, parent);
    lua_setiuservalue(L, -2, UV_PARENT);
    a->rows = rows;
    a->cols = cols;
    a->nnz = -1;
    a->data = data;
    return a;
}

dsl_array *to_array(lua_State *L, int i)
{
    return type_of(L, state_of(L), i) == TYPE_ARRAY ? lua_touserdata(L, i) : NULL;
}

double array_entry(const dsl_array *a, int64_t i, int64_t j)
{
    double sum = 0;
    if (a->nnz < 0)
        return a->data[i * a->cols + j];
    for (int64_t k = a->row_start[i]; k < a->row_start[i + 1]; k++)
        sum += a->col[k] == j ? a->data[k] : 0;
    return sum;
}

peri_array array_image(const dsl_array *a)
{
    return (peri_array){a->rows, a->cols, a->data, a->nnz, a->row_start, a->col};
}

/* ---- operations that keep sparsity ------------------------------------------------------------------------------- */

static dsl_array *sparse_copy(lua_State *L, const dsl_array *a)
{
    dsl_array *out = array_new_sparse(L, a->rows, a->cols, a->nnz);
    memcpy(out->data, a->data, (size_t)a->nnz * sizeof *a->data);
    memcpy(out->row_start, a->row_start, (size_t)(a->rows + 1) * sizeof *a->row_start);
    memcpy(out->col, a->col, (size_t)a->nnz * sizeof *a->col);
    return out;
}

static void sparse_transpose(lua_State *L, const dsl_array *a)
{
    dsl_array *out = array_new_sparse(L, a->cols, a->rows, a->nnz);
    int64_t *next = temporary(L, (size_t)a->cols + 1, sizeof *next);
    for (int64_t k = 0; k < a->nnz; k++)
        out->row_start[a->col[k] + 1]++;
    for (int64_t j = 0; j < a->cols; j++) {
        out->row_start[j + 1] += out->row_start[j];
        next[j] = out->row_start[j];
    }
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t k = a->row_start[i]; k < a->row_start[i + 1]; k++) {
            const int64_t to = next[a->col[k]]++;
            out->col[to] = i;
            out->data[to] = a->data[k];
        }
    lua_pop(L, 1);
}

static bool is_number(const operand *a)
{
    return a->kind == OPERAND_NUMBER && isfinite(a->number);
}

bool array_sparse_op(lua_State *L, peri_op op, int n, const operand *a)
{
    const bool first = a[0].kind == OPERAND_ARRAY && a[0].array->nnz >= 0;
    const bool second = n == 2 && a[1].kind == OPERAND_ARRAY && a[1].array->nnz >= 0;
    double factor = 1;
    if (first && op == PERI_OP_TRANSPOSE) {
        sparse_transpose(L, a[0].array);
        return true;
    }
    if (first && op == PERI_OP_NEG)
        factor = -1;
    else if (first && n == 2 && is_number(&a[1]) && op == PERI_OP_MUL)
        factor = a[1].number;
    else if (first && n == 2 && is_number(&a[1]) && op == PERI_OP_DIV && fabs(a[1].number) > 0)
        factor = 0; /* divided below, for the last bit */
    else if (second && is_number(&a[0]) && op == PERI_OP_MUL)
        factor = a[0].number;
    else
        return false;
    dsl_array *out = sparse_copy(L, first ? a[0].array : a[1].array);
    for (int64_t k = 0; k < out->nnz; k++)
        out->data[k] = op == PERI_OP_DIV ? out->data[k] / a[1].number : out->data[k] * factor;
    return true;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static noreturn void raise_write(lua_State *L, const char *why)
{
    char text[200];
    describe(L, 1, text, sizeof text);
    dsl_raise(L, "%s: %s", text, why);
}

static void write_row(lua_State *L, dsl_array *a, int64_t i)
{
    int64_t rows, cols;
    const double *from = read_numbers(L, 3, "array: a row", &rows, &cols);
    if (rows * cols != a->cols && rows * cols != 1)
        raise_write(L, "a row needs as many numbers as the matrix has columns");
    for (int64_t j = 0; j < a->cols; j++)
        a->data[i * a->cols + j] = from[rows * cols == 1 ? 0 : j];
}

int l_newindex(lua_State *L)
{
    char text[200], value[200];
    dsl_array *a = to_array(L, 1);
    lua_settop(L, 3);
    if (a == NULL)
        raise_write(L, "its entries cannot be assigned; build a new expression instead");
    if (a->nnz >= 0)
        raise_write(L, "entries of a sparse array cannot be assigned");
    const bool entry = a->cols == 1 || a->row;
    const int64_t n = a->row ? a->cols : a->rows;
    if (lua_type(L, 2) == LUA_TSTRING) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "%s: \"%s\" is not an index", text, lua_tostring(L, 2));
    }
    const int64_t i = check_integer(L, 2, "array: the index");
    if (i < 1 || i > n) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "%s: %s %lld is outside 1 .. %lld", text, entry ? "index" : "row", (long long)i, (long long)n);
    }
    if (!entry) {
        write_row(L, a, i - 1);
        return 0;
    }
    if (lua_type(L, 3) != LUA_TNUMBER || isnan(lua_tonumber(L, 3))) {
        describe(L, 1, text, sizeof text);
        describe(L, 3, value, sizeof value);
        dsl_raise(L, "%s: an entry must be a number, not %s", text, value);
    }
    a->data[i - 1] = lua_tonumber(L, 3);
    return 0;
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

static void check_value(lua_State *L, const char *what, operand *a)
{
    check_operand(L, 1, what, a);
}

static int l_rows(lua_State *L)
{
    operand a;
    check_value(L, "rows", &a);
    lua_pushinteger(L, a.rows);
    return 1;
}

static int l_cols(lua_State *L)
{
    operand a;
    check_value(L, "cols", &a);
    lua_pushinteger(L, a.cols);
    return 1;
}

static const dsl_array *check_array(lua_State *L, const char *what)
{
    char text[200];
    const dsl_array *a = to_array(L, 1);
    if (a != NULL)
        return a;
    describe(L, 1, text, sizeof text);
    dsl_raise(L, "%s: %s is not an array", what, text);
}

static void push_row(lua_State *L, const dsl_array *a, int64_t i)
{
    lua_createtable(L, a->cols < 1 << 24 ? (int)a->cols : 0, 0);
    for (int64_t j = 0; j < a->cols; j++) {
        lua_pushnumber(L, a->nnz < 0 ? a->data[i * a->cols + j] : 0);
        lua_rawseti(L, -2, j + 1);
    }
    for (int64_t k = a->nnz < 0 ? 0 : a->row_start[i]; a->nnz >= 0 && k < a->row_start[i + 1]; k++) {
        lua_rawgeti(L, -1, a->col[k] + 1);
        lua_pushnumber(L, lua_tonumber(L, -1) + a->data[k]);
        lua_rawseti(L, -3, a->col[k] + 1);
        lua_pop(L, 1);
    }
}

/* A list of numbers for a vector or a row, a list of lists for a matrix. */
static int l_totable(lua_State *L)
{
    const dsl_array *a = check_array(L, "totable");
    if (a->row) {
        push_row(L, a, 0);
        return 1;
    }
    lua_createtable(L, a->rows < 1 << 24 ? (int)a->rows : 0, 0);
    for (int64_t i = 0; i < a->rows; i++) {
        if (a->cols == 1)
            lua_pushnumber(L, array_entry(a, i, 0));
        else
            push_row(L, a, i);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int l_nnz(lua_State *L)
{
    const dsl_array *a = check_array(L, "nnz");
    lua_pushinteger(L, a->nnz < 0 ? a->rows * a->cols : a->nnz);
    return 1;
}

static int l_array_value(lua_State *L)
{
    lua_settop(L, 1);
    return 1;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

enum { SHOWN_ROWS = 12, SHOWN_COLS = 8 };

static void add_number(luaL_Buffer *b, double x, bool pad)
{
    char text[40];
    snprintf(text, sizeof text, pad ? "%12.6g" : "%.6g", x);
    luaL_addstring(b, text);
}

static void add_row(luaL_Buffer *b, const dsl_array *a, int64_t i)
{
    luaL_addstring(b, "\n ");
    for (int64_t j = 0; j < a->cols && j < SHOWN_COLS; j++)
        add_number(b, array_entry(a, i, j), true);
    if (a->cols > SHOWN_COLS)
        luaL_addstring(b, " ...");
}

/* "{ 1, 2.5, 3 }" for a vector, lines for a matrix; long ones are cut */
int l_array_tostring(lua_State *L)
{
    const dsl_array *a = lua_touserdata(L, 1);
    luaL_Buffer b;
    char head[96], shape[64];
    const int64_t n = a->rows * a->cols;
    shape_text(a->rows, a->cols, shape, sizeof shape);
    luaL_buffinit(L, &b);
    if (a->frame != 0) {
        luaL_addstring(&b, "index of peri.map");
    } else if (a->nnz >= 0 || (a->cols > 1 && !a->row)) {
        snprintf(head, sizeof head, a->nnz >= 0 ? "sparse %s, %lld entries" : "%s", shape, (long long)a->nnz);
        luaL_addstring(&b, head);
        for (int64_t i = 0; i < a->rows && i < SHOWN_ROWS; i++)
            add_row(&b, a, i);
        if (a->rows > SHOWN_ROWS)
            luaL_addstring(&b, "\n  ...");
    } else {
        luaL_addstring(&b, "{ ");
        for (int64_t k = 0; k < n && k < 100; k++) {
            luaL_addstring(&b, k > 0 ? ", " : "");
            add_number(&b, a->data[k], false);
        }
        luaL_addstring(&b, n > 100 ? ", ... }" : " }");
    }
    luaL_pushresult(&b);
    return 1;
}

const luaL_Reg shape_functions[] = {{"rows", l_rows}, {"cols", l_cols}, {"slice", l_slice}, {NULL, NULL}};
const luaL_Reg array_methods[] = {{"totable", l_totable}, {"nnz", l_nnz}, {"value", l_array_value}, {NULL, NULL}};
