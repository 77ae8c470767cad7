/* SPDX-License-Identifier: Apache-2.0 */
/* derive.c - derivatives, substitution and values of expressions. */
#include "internal.h"

/* The plain expression at stack index i. */
static void check_expr(lua_State *L, int i, const char *what, operand *a)
{
    char text[200];
    if (read_operand(L, i, a) && a->kind == OPERAND_EXPR && a->frame == 0)
        return;
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s: %s is not an expression%s", what, text, a->frame != 0 ? " outside peri.map" : "");
}

static int derivative(lua_State *L, const char *what,
                      peri_status (*derive)(peri_model *m, peri_expr e, peri_expr x, peri_expr *out))
{
    operand a[2];
    char text[200];
    peri_expr out;
    lua_settop(L, 2);
    if (!read_operand(L, 1, &a[0]) || a[0].frame != 0) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "%s: %s is not an expression%s", what, text, a[0].frame != 0 ? " outside peri.map" : "");
    }
    check_expr(L, 2, what, &a[1]);
    common_model(L, 2, a);
    peri_model *m = model_or_scratch(L, a[1].model);
    check_status(L, derive(m, node_of(L, m, &a[0]), a[1].node, &out));
    return push_node(L, a[1].model, 2, out, a[1].list ? FORM_LIST : FORM_SCALAR);
}

static int l_grad(lua_State *L)
{
    return derivative(L, "grad", peri_expr_gradient);
}

static int l_jacobian(lua_State *L)
{
    return derivative(L, "jacobian", peri_expr_jacobian);
}

static int l_hessian(lua_State *L)
{
    return derivative(L, "hessian", peri_expr_hessian);
}

/* derivative of e by x along v, or weighted by w: e, x, v */
static int product(lua_State *L, const char *what,
                   peri_status (*derive)(peri_model *m, peri_expr e, peri_expr x, peri_expr v, peri_expr *out), int like)
{
    operand a[3];
    char text[200];
    peri_expr out;
    lua_settop(L, 3);
    for (int i = 0; i < 3; i += 2)
        if (!read_operand(L, 1 + i, &a[i]) || a[i].frame != 0) {
            describe(L, 1 + i, text, sizeof text);
            dsl_raise(L, "%s: %s is not an expression%s", what, text, a[i].frame != 0 ? " outside peri.map" : "");
        }
    check_expr(L, 2, what, &a[1]);
    common_model(L, 3, a);
    peri_model *m = model_or_scratch(L, a[1].model);
    check_status(L, derive(m, node_of(L, m, &a[0]), a[1].node, node_of(L, m, &a[2]), &out));
    return push_node(L, a[1].model, 2, out, a[like].rows * a[like].cols > 1 || a[like].list ? FORM_LIST : FORM_SCALAR);
}

static int l_jv(lua_State *L)
{
    return product(L, "jv", peri_expr_jv, 0);
}

static int l_vj(lua_State *L)
{
    return product(L, "vj", peri_expr_vj, 1);
}

/* ---- a table from expressions to something ----------------------------------------------------------------------- */

static int64_t count_pairs(lua_State *L, int i)
{
    int64_t n = 0;
    lua_pushnil(L);
    while (lua_next(L, i)) {
        n++;
        lua_pop(L, 1);
    }
    return n;
}

static void check_table(lua_State *L, int i, const char *what)
{
    char text[200];
    if (lua_istable(L, i))
        return;
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s: a table { [x] = ... } is needed, not %s", what, text);
}

static int l_substitute(lua_State *L)
{
    operand e, pair[2];
    lua_settop(L, 2);
    check_expr(L, 1, "substitute", &e);
    check_table(L, 2, "substitute");
    const int64_t n = count_pairs(L, 2);
    peri_expr *from = temporary(L, (size_t)n, sizeof *from), *to = temporary(L, (size_t)n, sizeof *to), out;
    peri_model *m = model_or_scratch(L, e.model);
    int64_t k = 0;
    lua_pushnil(L);
    while (k < n && lua_next(L, 2)) {
        lua_pushvalue(L, -2); /* a copy: reading may replace what it reads */
        check_expr(L, -1, "substitute", &pair[0]);
        check_operand(L, -2, "substitute", &pair[1]);
        if (pair[0].model != e.model || pair[1].frame != 0)
            dsl_raise(L, "substitute: all expressions must be of model \"%s\" and outside peri.map", e.model->name);
        common_model(L, 2, pair);
        from[k] = pair[0].node;
        to[k] = node_of(L, m, &pair[1]);
        int64_t rows, cols;
        peri_expr_shape(m, to[k], &rows, &cols);
        if (rows * cols == 1 && pair[0].rows * pair[0].cols > 1) { /* a number for all entries */
            int64_t *zeros = temporary(L, (size_t)(pair[0].rows * pair[0].cols), sizeof *zeros);
            check_status(L, peri_expr_gather(m, to[k], pair[0].rows, pair[0].cols, zeros, &to[k]));
            lua_pop(L, 1);
        }
        k++;
        lua_pop(L, 2);
    }
    check_status(L, peri_expr_substitute(m, e.node, n, from, to, &out));
    return push_node(L, e.model, 1, out, (e.row ? FORM_ROW : 0) | (e.list ? FORM_LIST : 0));
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* The number or array of what the engine fills in. */
static int fill_value(lua_State *L, const operand *e, int64_t n, const peri_expr *vars, const double *const *values)
{
    dsl_call call;
    double number;
    const bool scalar = e->rows == 1 && e->cols == 1 && !e->list;
    dsl_array *out = NULL;
    if (!scalar) {
        out = array_new(L, e->rows, e->cols);
        out->row = e->row;
    }
    peri_model *m = model_or_scratch(L, e->model);
    call_enter(&call, L, e->model, 0);
    call_finish(L, &call, peri_expr_value(m, e->node, n, vars, values, scalar ? &number : out->data));
    if (scalar)
        lua_pushnumber(L, number);
    return 1;
}

static void read_setting(lua_State *L, const operand *e, const operand *var, const double **value)
{
    int64_t rows, cols;
    char text[200];
    const int64_t size = var->rows * var->cols;
    const double *from = read_numbers(L, lua_gettop(L) - 1, "value", &rows, &cols);
    if (var->model != e->model)
        dsl_raise(L, "value: all expressions must be of model \"%s\"", e->model->name);
    if (rows * cols != size && rows * cols != 1) {
        describe(L, var->at, text, sizeof text);
        dsl_raise(L, "value: %lld numbers for %s", (long long)(rows * cols), text);
    }
    if (rows * cols == size) {
        *value = from;
        return;
    }
    double *all = temporary(L, (size_t)size, sizeof *all);
    for (int64_t k = 0; k < size; k++)
        all[k] = from[0];
    *value = all;
}

static int l_value(lua_State *L)
{
    operand e, var;
    lua_settop(L, 2);
    pending_check(L);
    if (lua_type(L, 1) == LUA_TNUMBER) {
        lua_settop(L, 1);
        return 1;
    }
    check_expr(L, 1, "value", &e);
    if (lua_isnil(L, 2))
        return fill_value(L, &e, 0, NULL, NULL);
    check_table(L, 2, "value");
    const int64_t n = count_pairs(L, 2);
    luaL_checkstack(L, 20, "value");
    peri_expr *vars = temporary(L, (size_t)n, sizeof *vars);
    const double **values = temporary(L, (size_t)n, sizeof *values);
    lua_createtable(L, (int)(2 * n), 0); /* keeps the numbers while they are borrowed */
    const int keep = lua_gettop(L);
    int64_t k = 0;
    lua_pushnil(L);
    while (k < n && lua_next(L, 2)) {
        const int at = lua_gettop(L);
        lua_pushvalue(L, at - 1);
        check_expr(L, at + 1, "value", &var);
        vars[k] = var.node;
        read_setting(L, &e, &var, &values[k]);
        while (lua_gettop(L) > at + 1) {
            lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
        }
        lua_settop(L, at - 1);
        k++;
    }
    return fill_value(L, &e, n, vars, (const double *const *)values);
}

/* ---- values at many points ---------------------------------------------------------------------------------------- */

typedef struct {
    peri_expr node;
    int64_t size, given; /* entries of the variable, and numbers given */
    const double *from;
} setting;

/* The settings of the table at 2; their numbers stay on the stack. */
static setting *read_settings(lua_State *L, const operand *e, int64_t n)
{
    operand var;
    setting *s = temporary(L, (size_t)n, sizeof *s);
    lua_createtable(L, (int)(2 * n), 0); /* keeps the numbers while they are borrowed */
    const int keep = lua_gettop(L);
    int64_t k = 0;
    lua_pushnil(L);
    while (k < n && lua_next(L, 2)) {
        const int at = lua_gettop(L);
        int64_t rows, cols;
        lua_pushvalue(L, at - 1);
        check_expr(L, at + 1, "values", &var);
        if (var.model != e->model)
            dsl_raise(L, "values: all expressions must be of model \"%s\"", e->model->name);
        s[k].from = read_numbers(L, at, "values", &rows, &cols);
        s[k].node = var.node;
        s[k].size = var.rows * var.cols;
        s[k].given = rows * cols;
        while (lua_gettop(L) > at + 1)
            lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
        lua_settop(L, at - 1);
        k++;
    }
    return s;
}

/* How many points the settings are for: numbers for all of them, for one, or one number for all entries. */
static int64_t count_points(lua_State *L, int64_t n, const setting *s)
{
    int64_t points = 1;
    for (int64_t k = 0; k < n; k++)
        if (s[k].given > s[k].size && s[k].given % s[k].size == 0 && s[k].given / s[k].size > points)
            points = s[k].given / s[k].size;
    for (int64_t k = 0; k < n; k++)
        if (s[k].given != 1 && s[k].given != s[k].size && s[k].given != points * s[k].size)
            dsl_raise(L, "values: %lld numbers for a variable of %lld entries at %lld points", (long long)s[k].given,
                      (long long)s[k].size, (long long)points);
    return points;
}

static const double *at_all_points(lua_State *L, const setting *s, int64_t points)
{
    if (s->given == points * s->size)
        return s->from;
    double *all = temporary(L, (size_t)(points * s->size), sizeof *all);
    for (int64_t k = 0; k < points * s->size; k++)
        all[k] = s->from[s->given == 1 ? 0 : k % s->size];
    return all;
}

static int l_values(lua_State *L)
{
    operand e;
    dsl_call call;
    lua_settop(L, 2);
    pending_check(L);
    check_expr(L, 1, "values", &e);
    check_table(L, 2, "values");
    const int64_t n = count_pairs(L, 2);
    luaL_checkstack(L, (int)n + 20, "values");
    peri_expr *vars = temporary(L, (size_t)n, sizeof *vars);
    const double **values = temporary(L, (size_t)n, sizeof *values);
    const setting *s = read_settings(L, &e, n);
    const int64_t points = count_points(L, n, s);
    for (int64_t k = 0; k < n; k++) {
        vars[k] = s[k].node;
        values[k] = at_all_points(L, &s[k], points);
    }
    dsl_array *out = array_new(L, points, e.rows * e.cols);
    peri_model *m = model_or_scratch(L, e.model);
    call_enter(&call, L, e.model, 0);
    call_finish(L, &call, peri_expr_value_batch(m, e.node, points, n, vars, values, out->data));
    return 1;
}

const luaL_Reg derive_functions[] = {{"grad", l_grad},       {"jacobian", l_jacobian},
                                     {"hessian", l_hessian}, {"jv", l_jv},
                                     {"vj", l_vj},           {"substitute", l_substitute},
                                     {"value", l_value},     {"values", l_values},
                                     {NULL, NULL}};
