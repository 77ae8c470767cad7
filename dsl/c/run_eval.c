/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_eval.c - evaluations for plugins in Lua. Each gives nil where a function is undefined or not finite at the point, so that
 * `run:f(x) or math.huge` is a value to compare with; other troubles are raised. Results go to new arrays, or to those that are given
 * after the arguments, so that an iteration need not leave garbage.
 */
#include "plugin.h"

/* A call of the engine below which Lua callbacks may run. */
#define EVALUATE(r, expr)                                                                                              \
    do {                                                                                                               \
        dsl_call call_;                                                                                                \
        call_enter(&call_, L, NULL, 0);                                                                                \
        const peri_status status_ = (expr);                                                                            \
        if (!run_leave(L, (r), &call_, status_)) {                                                                     \
            lua_pushnil(L);                                                                                            \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

static const peri_host *host(void)
{
    return peri_host_functions();
}

static int l_f(lua_State *L)
{
    double f;
    dsl_run *r = check_run(L, 1);
    const double *x = run_vector(L, 2, r->n, "f: x");
    EVALUATE(r, host()->eval_f(r->run, x, &f));
    lua_pushnumber(L, f);
    return 1;
}

typedef peri_status (*map_fn)(peri_run *, const double *x, double *out);
typedef peri_status (*value_fn)(peri_run *, const double *x, double *f, double *g);

/* Of the vector at 2, m numbers to the output at 3; `x` and `out`: what they are called in messages. */
static int give_map(lua_State *L, dsl_run *r, map_fn map, int64_t m, const char *x, const char *out)
{
    lua_settop(L, 3);
    const double *from = run_vector(L, 2, r->n, x);
    double *to = run_output(L, 3, m, 1, out);
    if (to != NULL)
        EVALUATE(r, map(r->run, from, to));
    return 1;
}

/* A value and its gradient, or the gradient alone. */
static int give_value(lua_State *L, value_fn value, bool alone, const char *x, const char *out)
{
    double f;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 3);
    const double *from = run_vector(L, 2, r->n, x);
    double *g = run_output(L, 3, r->n, 1, out);
    EVALUATE(r, value(r->run, from, &f, g));
    if (alone)
        return 1;
    lua_pushnumber(L, f);
    lua_insert(L, -2);
    return 2;
}

/* run:fg(x, g): f and the gradient */
static int l_fg(lua_State *L)
{
    return give_value(L, host()->eval_fg, false, "fg: x", "fg: g");
}

static int l_gradient(lua_State *L)
{
    return give_value(L, host()->eval_fg, true, "gradient: x", "gradient: g");
}

static int l_constraints(lua_State *L)
{
    dsl_run *r = check_run(L, 1);
    return give_map(L, r, host()->eval_c, r->m, "constraints: x", "constraints: c");
}

/* ---- products ------------------------------------------------------------------------------------------------------ */

/* run:jv(x, v): J v */
static int l_jv(lua_State *L)
{
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 4);
    const double *x = run_vector(L, 2, r->n, "jv: x"), *v = run_vector(L, 3, r->n, "jv: v");
    double *out = run_output(L, 4, r->m, 1, "jv: the result");
    if (out != NULL)
        EVALUATE(r, host()->eval_jv(r->run, x, v, out));
    return 1;
}

/* run:vj(x, w): J' w */
static int l_vj(lua_State *L)
{
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 4);
    const double *x = run_vector(L, 2, r->n, "vj: x"), *w = run_vector(L, 3, r->m, "vj: w");
    double *out = run_output(L, 4, r->n, 1, "vj: the result");
    EVALUATE(r, host()->eval_vj(r->run, x, w, out));
    return 1;
}

static double read_number(lua_State *L, int i, const char *what)
{
    char text[200];
    if (lua_type(L, i) == LUA_TNUMBER)
        return lua_tonumber(L, i);
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s must be a number, not %s", what, text);
}

/* run:hv(x, sigma, w, v): (sigma hess f + sum of w_i hess c_i) v */
static int l_hv(lua_State *L)
{
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 6);
    const double *x = run_vector(L, 2, r->n, "hv: x");
    const double sigma = read_number(L, 3, "hv: sigma");
    const double *w = run_vector(L, 4, r->m, "hv: w"), *v = run_vector(L, 5, r->n, "hv: v");
    double *out = run_output(L, 6, r->n, 1, "hv: the result");
    EVALUATE(r, host()->eval_hv(r->run, x, sigma, w, v, out));
    return 1;
}

/* ---- least squares, proximal operators ----------------------------------------------------------------------------- */

static int64_t count_residuals(lua_State *L, dsl_run *r)
{
    int64_t count = 0;
    const peri_status status = host()->residual_count(r->run, &count);
    if (status != PERI_OK)
        run_raise(L, r, status);
    return count;
}

static int l_residual_count(lua_State *L)
{
    lua_pushinteger(L, count_residuals(L, check_run(L, 1)));
    return 1;
}

static int l_residuals(lua_State *L)
{
    dsl_run *r = check_run(L, 1);
    return give_map(L, r, host()->eval_residuals, count_residuals(L, r), "residuals: x", "residuals: r");
}

/* run:smooth(x, g): the smooth part's value and gradient */
static int l_smooth(lua_State *L)
{
    return give_value(L, host()->prox_smooth, false, "smooth: x", "smooth: g");
}

/* run:prox(t, v, x): argmin of h(u) + |u - v|^2 / (2 t), and the norms' value there */
static int l_prox(lua_State *L)
{
    double h;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 4);
    const double t = read_number(L, 2, "prox: t");
    if (!(t > 0))
        dsl_raise(L, "prox: t must be positive");
    const double *v = run_vector(L, 3, r->n, "prox: v");
    double *x = run_output(L, 4, r->n, 1, "prox: x");
    EVALUATE(r, host()->prox_apply(r->run, t, v, x, &h));
    lua_pushnumber(L, h);
    return 2;
}

static int l_prox_linear(lua_State *L)
{
    dsl_run *r = check_run(L, 1);
    return give_map(L, r, host()->prox_linear, r->n, "prox_linear: g", "prox_linear: x");
}

/* ---- many points --------------------------------------------------------------------------------------------------- */

/* Points as the rows of the matrix at index 2. */
static const double *read_points(lua_State *L, const dsl_run *r, const char *what, int64_t *points)
{
    char text[200];
    const dsl_array *a = to_array(L, 2);
    if (a == NULL && lua_istable(L, 2)) {
        a = array_from_table(L, 2, what);
        lua_replace(L, 2);
    }
    if (a == NULL || a->nnz >= 0 || a->cols != r->n) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "%s: the points must be the rows of a matrix with %lld columns, not %s", what, (long long)r->n, text);
    }
    *points = a->rows;
    return a->data;
}

static int l_f_batch(lua_State *L)
{
    int64_t points;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 3);
    const double *x = read_points(L, r, "f_batch", &points);
    double *f = run_output(L, 3, points, 1, "f_batch: f");
    EVALUATE(r, host()->eval_f_batch(r->run, points, x, f));
    return 1;
}

/* run:fg_batch(X, f, G) */
static int l_fg_batch(lua_State *L)
{
    int64_t points;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 4);
    const double *x = read_points(L, r, "fg_batch", &points);
    double *f = run_output(L, 3, points, 1, "fg_batch: f");
    double *g = run_output(L, 4, points, r->n, "fg_batch: G");
    EVALUATE(r, host()->eval_fg_batch(r->run, points, x, f, g));
    return 2;
}

static int l_c_batch(lua_State *L)
{
    int64_t points;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 3);
    const double *x = read_points(L, r, "constraints_batch", &points);
    double *c = run_output(L, 3, points, r->m, "constraints_batch: C");
    if (c != NULL)
        EVALUATE(r, host()->eval_c_batch(r->run, points, x, c));
    return 1;
}

const luaL_Reg run_eval_methods[] = {{"f", l_f},
                                     {"fg", l_fg},
                                     {"gradient", l_gradient},
                                     {"constraints", l_constraints},
                                     {"jv", l_jv},
                                     {"vj", l_vj},
                                     {"hv", l_hv},
                                     {"residual_count", l_residual_count},
                                     {"residuals", l_residuals},
                                     {"smooth", l_smooth},
                                     {"prox", l_prox},
                                     {"prox_linear", l_prox_linear},
                                     {"f_batch", l_f_batch},
                                     {"fg_batch", l_fg_batch},
                                     {"constraints_batch", l_c_batch},
                                     {NULL, NULL}};
