/* SPDX-License-Identifier: Apache-2.0 */
/* array_make.c - arrays from Lua tables and from descriptions. NaN is refused, with the entry's place. */
#include "internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- from tables ------------------------------------------------------------------------------------------------- */

/* The number on the top, popped; i and j (0: none) say where it stood. */
static double take_number(lua_State *L, const char *what, int64_t i, int64_t j)
{
    char place[64], text[200];
    const double value = lua_tonumber(L, -1);
    const bool ok = lua_type(L, -1) == LUA_TNUMBER && !isnan(value);
    if (!ok) {
        if (j > 0)
            snprintf(place, sizeof place, "[%lld][%lld]", (long long)i, (long long)j);
        else
            snprintf(place, sizeof place, "[%lld]", (long long)i);
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "%s: entry %s is %s, not a number", what, place, text);
    }
    lua_pop(L, 1);
    return value;
}

/* Row i of a nested table: a table or an array on the top, popped. */
static void take_row(lua_State *L, dsl_array *out, int64_t i, const char *what)
{
    char text[200];
    const dsl_array *row = to_array(L, -1);
    const int64_t n = row != NULL ? row->rows * row->cols : lua_istable(L, -1) ? (int64_t)lua_rawlen(L, -1) : -1;
    if (n < 0) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "%s: row %lld is %s, the first row is a table", what, (long long)i + 1, text);
    }
    if (n != out->cols)
        dsl_raise(L, "%s: row %lld has %lld entries, the first has %lld", what, (long long)i + 1, (long long)n,
              (long long)out->cols);
    for (int64_t j = 0; j < n; j++) {
        if (row != NULL) {
            out->data[i * n + j] =
                row->cols == 1 ? array_entry(row, j, 0) : array_entry(row, j / row->cols, j % row->cols);
            continue;
        }
        lua_rawgeti(L, -1, j + 1);
        out->data[i * n + j] = take_number(L, what, i + 1, j + 1);
    }
    lua_pop(L, 1);
}

dsl_array *array_from_table(lua_State *L, int i, const char *what)
{
    i = lua_absindex(L, i);
    const int64_t rows = (int64_t)lua_rawlen(L, i);
    int64_t cols = 1;
    if (rows == 0)
        dsl_raise(L, "%s: the table is empty", what);
    lua_rawgeti(L, i, 1);
    const dsl_array *first = to_array(L, -1);
    const bool nested = first != NULL || lua_istable(L, -1);
    if (nested)
        cols = first != NULL ? first->rows * first->cols : (int64_t)lua_rawlen(L, -1);
    lua_pop(L, 1);
    if (cols == 0)
        dsl_raise(L, "%s: row 1 is empty", what);
    dsl_array *out = array_new(L, rows, cols);
    for (int64_t k = 0; k < rows; k++) {
        const bool plain = lua_rawgeti(L, i, k + 1) == LUA_TNUMBER && !nested;
        const double value = plain ? lua_tonumber(L, -1) : NAN;
        if (plain && !isnan(value)) { /* most tables are long lists of numbers */
            out->data[k] = value;
            lua_pop(L, 1);
        } else if (nested) {
            take_row(L, out, k, what);
        } else {
            out->data[k] = take_number(L, what, k + 1, 0);
        }
    }
    return out;
}

const double *read_numbers(lua_State *L, int i, const char *what, int64_t *rows, int64_t *cols)
{
    char text[200];
    const dsl_array *a = to_array(L, i);
    *rows = *cols = 1;
    if (lua_type(L, i) == LUA_TNUMBER && !isnan(lua_tonumber(L, i))) {
        double *value = temporary(L, 1, sizeof *value);
        *value = lua_tonumber(L, i);
        return value;
    }
    if (a == NULL && lua_istable(L, i)) {
        a = array_from_table(L, i, what);
    } else if (a != NULL && a->nnz >= 0) { /* spread out */
        const dsl_array *sparse = a;
        dsl_array *dense = array_new(L, a->rows, a->cols);
        for (int64_t r = 0; r < a->rows; r++)
            for (int64_t k = sparse->row_start[r]; k < sparse->row_start[r + 1]; k++)
                dense->data[r * a->cols + sparse->col[k]] += sparse->data[k];
        a = dense;
    } else if (a != NULL) {
        lua_pushvalue(L, i);
    }
    if (a == NULL) {
        describe(L, i, text, sizeof text);
        dsl_raise(L, "%s must be a number, a table of numbers or an array, not %s", what, text);
    }
    *rows = a->rows;
    *cols = a->cols;
    return a->data;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static int64_t check_length(lua_State *L, int i, const char *what)
{
    const int64_t n = check_integer(L, i, what);
    if (n < 1)
        dsl_raise(L, "%s must be at least 1, not %lld", what, (long long)n);
    return n;
}

/* n; r, c; or { r, c } from stack index `first` on. */
static void read_sizes(lua_State *L, int first, const char *what, int64_t *rows, int64_t *cols)
{
    char text[200];
    snprintf(text, sizeof text, "%s: a size", what);
    *cols = 1;
    if (lua_istable(L, first)) {
        const size_t n = lua_rawlen(L, first);
        if (n < 1 || n > 2)
            dsl_raise(L, "%s: a shape is n or { rows, columns }", what);
        lua_rawgeti(L, first, 1);
        lua_rawgeti(L, first, n == 2 ? 2 : 1);
        *rows = check_length(L, -2, text);
        *cols = n == 2 ? check_length(L, -1, text) : 1;
        lua_pop(L, 2);
        return;
    }
    *rows = check_length(L, first, text);
    if (!lua_isnoneornil(L, first + 1))
        *cols = check_length(L, first + 1, text);
}

void read_shape(lua_State *L, int first, const char *what, int64_t *rows, int64_t *cols)
{
    char shape[64];
    read_sizes(L, first, what, rows, cols);
    if (*rows <= INT32_MAX / *cols)
        return;
    shape_text(*rows, *cols, shape, sizeof shape);
    dsl_raise(L, "%s: a %s is not possible", what, shape);
}

/* ---- constructors ------------------------------------------------------------------------------------------------ */

static int l_array(lua_State *L)
{
    int64_t rows, cols;
    if (lua_gettop(L) != 1)
        dsl_raise(L, "array: one table of numbers, or of rows of numbers, is needed");
    const double *from = read_numbers(L, 1, "array", &rows, &cols);
    dsl_array *out = array_new(L, rows, cols);
    memcpy(out->data, from, (size_t)(rows * cols) * sizeof *from);
    const dsl_array *source = to_array(L, 1);
    out->row = source != NULL && source->row;
    return 1;
}

static dsl_array *filled(lua_State *L, const char *what, double value)
{
    int64_t rows, cols;
    read_shape(L, 1, what, &rows, &cols);
    dsl_array *out = array_new(L, rows, cols);
    for (int64_t k = 0; k < rows * cols; k++)
        out->data[k] = value;
    return out;
}

static int l_zeros(lua_State *L)
{
    filled(L, "zeros", 0);
    return 1;
}

static int l_ones(lua_State *L)
{
    filled(L, "ones", 1);
    return 1;
}

static int l_eye(lua_State *L)
{
    const int64_t n = check_length(L, 1, "eye: the size");
    dsl_array *out = array_new(L, n, n);
    for (int64_t i = 0; i < n; i++)
        out->data[i * n + i] = 1;
    return 1;
}

static double check_finite(lua_State *L, int i, const char *what)
{
    char text[200];
    if (lua_type(L, i) == LUA_TNUMBER && isfinite(lua_tonumber(L, i)))
        return lua_tonumber(L, i);
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s must be a finite number, not %s", what, text);
}

static int l_linspace(lua_State *L)
{
    const double a = check_finite(L, 1, "linspace: the first end"), b = check_finite(L, 2, "linspace: the last end");
    const int64_t n = check_length(L, 3, "linspace: the number of points");
    dsl_array *out = array_new(L, n, 1);
    for (int64_t k = 0; k < n; k++)
        out->data[k] = k == n - 1 && n > 1 ? b : a + (b - a) * ((double)k / (double)(n > 1 ? n - 1 : 1));
    return 1;
}

/* ---- sparse ------------------------------------------------------------------------------------------------------ */

/* Field `key` of the table at 1 as a list of numbers, left on the stack. */
static const double *field_numbers(lua_State *L, const char *key, int64_t *n)
{
    char what[64];
    int64_t rows, cols;
    snprintf(what, sizeof what, "sparse: %s", key);
    lua_getfield(L, 1, key);
    if (lua_istable(L, -1) && lua_rawlen(L, -1) == 0) {
        *n = 0;
        return NULL;
    }
    const double *list = read_numbers(L, lua_gettop(L), what, &rows, &cols);
    *n = rows * cols;
    return list;
}

static int64_t field_size(lua_State *L, const char *key)
{
    char what[64];
    snprintf(what, sizeof what, "sparse: %s", key);
    lua_getfield(L, 1, key);
    const int64_t n = check_length(L, -1, what);
    lua_pop(L, 1);
    return n;
}

static void check_place(lua_State *L, const char *key, int64_t k, double value, int64_t n)
{
    if (!(value >= 1 && value <= (double)n) || floor(value) < value)
        dsl_raise(L, "sparse: %s[%lld] is %.14g, not an integer in 1 .. %lld", key, (long long)k + 1, value, (long long)n);
}

/* Entries in the order given, a row at a time. */
static void fill_sparse(lua_State *L, dsl_array *out, const double *i, const double *j, const double *v)
{
    int64_t *next = temporary(L, (size_t)out->rows + 1, sizeof *next);
    for (int64_t k = 0; k < out->nnz; k++)
        out->row_start[(int64_t)i[k]]++;
    for (int64_t r = 0; r < out->rows; r++) {
        out->row_start[r + 1] += out->row_start[r];
        next[r] = out->row_start[r];
    }
    for (int64_t k = 0; k < out->nnz; k++) {
        const int64_t to = next[(int64_t)i[k] - 1]++;
        out->col[to] = (int64_t)j[k] - 1;
        out->data[to] = v[k];
    }
    lua_pop(L, 1);
}

static int l_sparse(lua_State *L)
{
    static const char *const names[] = {"rows", "cols", "i", "j", "v", NULL};
    int64_t n[3];
    lua_settop(L, 1);
    if (!lua_istable(L, 1))
        dsl_raise(L, "sparse: a table { rows =, cols =, i =, j =, v = } is needed");
    check_options(L, 1, "sparse", names);
    const int64_t rows = field_size(L, "rows"), cols = field_size(L, "cols");
    const double *i = field_numbers(L, "i", &n[0]), *j = field_numbers(L, "j", &n[1]),
                 *v = field_numbers(L, "v", &n[2]);
    if (n[0] != n[1] || n[0] != n[2])
        dsl_raise(L, "sparse: i, j and v have %lld, %lld and %lld entries", (long long)n[0], (long long)n[1],
              (long long)n[2]);
    for (int64_t k = 0; k < n[0]; k++) {
        check_place(L, "i", k, i[k], rows);
        check_place(L, "j", k, j[k], cols);
    }
    fill_sparse(L, array_new_sparse(L, rows, cols, n[0]), i, j, v);
    return 1;
}

const luaL_Reg array_makers[] = {{"array", l_array},       {"zeros", l_zeros},   {"ones", l_ones}, {"eye", l_eye},
                                 {"linspace", l_linspace}, {"sparse", l_sparse}, {NULL, NULL}};
