/* SPDX-License-Identifier: Apache-2.0 */
/*
 * array_inplace.c - arithmetic that writes to the array it is called on, for methods whose iterations are to leave no garbage. Sums run from the
 * first entry to the last, so that a loop in C has the same bits.
 */
#include "internal.h"
#include <math.h>
#include <string.h>

/* The dense array at 1. */
static dsl_array *target(lua_State *L, const char *what)
{
    char text[200];
    dsl_array *a = to_array(L, 1);
    if (a != NULL && a->nnz < 0)
        return a;
    describe(L, 1, text, sizeof text);
    dsl_raise(L, "%s: %s is not a dense array", what, text);
}

/* The entries of the array, or table, at index i, as many as a has. */
static const double *source(lua_State *L, int i, const dsl_array *a, const char *what)
{
    char text[200], own[64];
    const dsl_array *b = to_array(L, i);
    if (b == NULL && lua_istable(L, i)) {
        b = array_from_table(L, i, what);
        lua_replace(L, i);
    }
    if (b != NULL && b->nnz < 0 && b->rows * b->cols == a->rows * a->cols)
        return b->data;
    describe(L, i, text, sizeof text);
    shape_text(a->rows, a->cols, own, sizeof own);
    dsl_raise(L, "%s: %s does not have the entries of a %s", what, text, own);
}

static double number(lua_State *L, int i, const char *what)
{
    char text[200];
    const double t = lua_tonumber(L, i);
    if (lua_type(L, i) == LUA_TNUMBER && !isnan(t))
        return t;
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s: a number is needed, not %s", what, text);
}

static int give(lua_State *L)
{
    lua_settop(L, 1);
    return 1;
}

/* y:assign(x) */
static int l_assign(lua_State *L)
{
    dsl_array *y = target(L, "assign");
    const double *x = source(L, 2, y, "assign");
    memmove(y->data, x, (size_t)(y->rows * y->cols) * sizeof *x);
    return give(L);
}

/* y:axpy(t, x): y = y + t x */
static int l_axpy(lua_State *L)
{
    dsl_array *y = target(L, "axpy");
    const double t = number(L, 2, "axpy"), *x = source(L, 3, y, "axpy");
    for (int64_t k = 0; k < y->rows * y->cols; k++)
        y->data[k] += t * x[k];
    return give(L);
}

/* y:scale(t) */
static int l_scale(lua_State *L)
{
    dsl_array *y = target(L, "scale");
    const double t = number(L, 2, "scale");
    for (int64_t k = 0; k < y->rows * y->cols; k++)
        y->data[k] *= t;
    return give(L);
}

/* y:fill(t) */
static int l_fill(lua_State *L)
{
    dsl_array *y = target(L, "fill");
    const double t = number(L, 2, "fill");
    for (int64_t k = 0; k < y->rows * y->cols; k++)
        y->data[k] = t;
    return give(L);
}

/* y:clip(lower, upper): into the box */
static int l_clip(lua_State *L)
{
    dsl_array *y = target(L, "clip");
    const double *lower = source(L, 2, y, "clip"), *upper = source(L, 3, y, "clip");
    for (int64_t k = 0; k < y->rows * y->cols; k++)
        y->data[k] = fmin(fmax(y->data[k], lower[k]), upper[k]);
    return give(L);
}

/* x:inner(y): the sum of the products, from the first to the last */
static int l_inner(lua_State *L)
{
    const dsl_array *x = target(L, "inner");
    const double *y = source(L, 2, x, "inner");
    double sum = 0;
    for (int64_t k = 0; k < x->rows * x->cols; k++)
        sum += x->data[k] * y[k];
    lua_pushnumber(L, sum);
    return 1;
}

const luaL_Reg array_inplace_methods[] = {{"assign", l_assign}, {"axpy", l_axpy}, {"scale", l_scale},
                                          {"fill", l_fill},     {"clip", l_clip}, {"inner", l_inner},
                                          {NULL, NULL}};
