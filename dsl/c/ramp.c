/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ramp.c - indices of a peri.map that run in equal steps, as i, i + 1 and 2 * i - 1 do: first + k * step for instance k, without the numbers. Entries of
 * an expression that such an index reads are one range. Invariant: first, step and all values are whole numbers that doubles hold exactly; the numbers
 * are written out when anything else asks for them.
 */
#include "internal.h"
#include <math.h>

static const double LARGEST = 1e12; /* of a value or step: sums and products stay exact */

/* The ramp at i; NULL: no index, or one without equal steps. */
static dsl_array *ramp_at(lua_State *L, int i)
{
    dsl_array *a = type_of(L, state_of(L), i) == TYPE_INDEX ? lua_touserdata(L, i) : NULL;
    return a != NULL && a->ramp ? a : NULL;
}

void push_ramp(lua_State *L, uint32_t frame, int64_t n, double first, double step)
{
    dsl_array *a = box_new(L, TYPE_INDEX, sizeof *a, 1);
    a->rows = n;
    a->cols = 1;
    a->nnz = -1;
    a->frame = frame & 0x3fffffff;
    a->item_rows = a->item_cols = 1;
    a->ramp = true;
    a->first = first;
    a->step = step;
}

void write_ramp(lua_State *L, int i, dsl_array *a)
{
    if (a->data != NULL)
        return;
    i = lua_absindex(L, i);
    double *data = temporary(L, (size_t)a->rows, sizeof *data);
    for (int64_t k = 0; k < a->rows; k++)
        data[k] = a->first + a->step * (double)k;
    lua_setiuservalue(L, i, UV_PARENT);
    a->data = data;
}

static bool is_whole(double v)
{
    return fabs(v) <= LARGEST && !(floor(v) < v);
}

/* op of 1 and 2, a ramp and a whole number or two ramps of one map; false: not for this way, nothing is pushed */
bool apply_ramp(lua_State *L, peri_op op)
{
    double first[2], step[2];
    const dsl_array *ramp = NULL;
    for (int k = 0; k < 2; k++) {
        const dsl_array *a = ramp_at(L, k + 1);
        if (a == NULL && lua_type(L, k + 1) != LUA_TNUMBER)
            return false;
        first[k] = a != NULL ? a->first : lua_tonumber(L, k + 1);
        step[k] = a != NULL ? a->step : 0;
        if (a != NULL && ramp != NULL && (a->frame != ramp->frame || op == PERI_OP_MUL))
            return false;
        ramp = a != NULL ? a : ramp;
    }
    if (ramp == NULL || !is_whole(first[0]) || !is_whole(first[1]) || frame_of(L, ramp->frame)->total != ramp->rows)
        return false;
    const double sign = op == PERI_OP_SUB ? -1 : 1;
    double f = first[0] + sign * first[1], s = step[0] + sign * step[1];
    if (op == PERI_OP_MUL) {
        f = first[0] * first[1];
        s = step[0] * first[1] + step[1] * first[0];
    }
    if ((op != PERI_OP_ADD && op != PERI_OP_SUB && op != PERI_OP_MUL) || !is_whole(f) || !is_whole(s) || !is_whole(f + s * (double)ramp->rows))
        return false;
    push_ramp(L, ramp->frame, ramp->rows, f, s);
    return true;
}

/* Entries of the plain vector, or rows of the plain matrix, at 1 by the ramp at 2; false as above */
bool index_ramp(lua_State *L, const operand *a)
{
    const dsl_array *key = ramp_at(L, 2);
    if (key == NULL || a->kind != OPERAND_EXPR || a->frame != 0)
        return false;
    const bool entry = a->cols == 1 || a->row;
    const int64_t length = a->row ? a->cols : a->rows, width = entry ? 1 : a->cols;
    const double last = key->first + key->step * (double)(key->rows - 1);
    if (fmin(key->first, last) < 1 || fmax(key->first, last) > (double)length || (width > 1 && !(fabs(key->step - 1) < 0.5)))
        return false;
    peri_expr e;
    peri_model *m = model_or_scratch(L, a->model);
    const int64_t first = ((int64_t)key->first - 1) * width, step = width > 1 ? 1 : (int64_t)key->step;
    check_status(L, peri_expr_range(m, a->node, key->rows, width, first, step, &e));
    push_lifted(L, a->model, a->at, e, key->frame, 1, width, !entry);
    return true;
}
