/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - models, their variables, parameters and objective. */
#include "internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *check_name(lua_State *L, int i, const char *what)
{
    char text[200];
    if (lua_type(L, i) == LUA_TSTRING && lua_rawlen(L, i) > 0)
        return lua_tostring(L, i);
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s: a name is needed, not %s", what, lua_type(L, i) == LUA_TSTRING ? "an empty string" : text);
}

static void refuse_in_map(lua_State *L, const char *what)
{
    if (state_of(L)->frame != NULL)
        dsl_raise(L, "%s cannot be called inside the function of a peri.map, which runs only once", what);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int l_model(lua_State *L)
{
    dsl_state *s = state_of(L);
    const char *name = lua_isnoneornil(L, 1) ? "model" : check_name(L, 1, "model");
    collector_hint(L, s);
    dsl_model_ud *m = box_new(L, TYPE_MODEL, sizeof *m, 2);
    m->state = s;
    m->root = m;
    snprintf(m->name, sizeof m->name, "%s", name);
    m->obj = peri_model_new(s->ctx, name);
    if (m->obj == NULL)
        dsl_raise(L, "out of memory");
    return 1;
}

/* up:lower(name): a model inside a model. Its box keeps the outermost model's, which owns it. */
static int l_lower(lua_State *L)
{
    dsl_model_ud *up = check_model(L, 1);
    char text[200];
    refuse_in_map(L, "m:lower");
    if (type_of(L, state_of(L), 2) == TYPE_MODEL) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "lower: a name is needed, not %s: a lower model is made by the model that it lies in, and lies in no other", text);
    }
    const char *name = check_name(L, 2, "lower model");
    dsl_model_ud *m = box_new(L, TYPE_MODEL, sizeof *m, 2);
    m->state = up->state;
    m->root = up->root;
    snprintf(m->name, sizeof m->name, "%s", name);
    push_root(L, 1);
    lua_setiuservalue(L, -2, UV_PARENT);
    m->obj = peri_model_lower(up->obj, name);
    if (m->obj == NULL)
        raise_engine(L, up->state);
    return 1;
}

/* __gc, __close and close(): safe to call twice. A lower model lives on in the outermost one. */
static int l_close(lua_State *L)
{
    dsl_model_ud *m = lua_touserdata(L, 1);
    if (m->busy > 0)
        return 0; /* a callback's attempt; close() says so */
    peri_model *obj = m->obj;
    if (m->inner != NULL)
        return 0; /* the run's */
    m->obj = NULL;
    if (m->root == m) /* else it may be gone already */
        peri_model_free(obj);
    return 0;
}

static int l_close_method(lua_State *L)
{
    char text[200];
    if (type_of(L, state_of(L), 1) != TYPE_MODEL) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "close: %s is not a model", text);
    }
    if (((const dsl_model_ud *)lua_touserdata(L, 1))->busy > 0)
        (void)check_model(L, 1); /* raises */
    return l_close(L);
}

static int l_tostring(lua_State *L)
{
    const dsl_model_ud *m = lua_touserdata(L, 1);
    const int top = lua_gettop(L);
    if (m->obj == NULL || m->root->obj == NULL) {
        lua_pushfstring(L, "model \"%s\" (closed)", m->name);
        return 1;
    }
    lua_pushfstring(L, "model \"%s\"", m->name);
    if (m->root != m)
        lua_pushfstring(L, " inside \"%s\"", peri_model_name(peri_model_upper(m->obj)));
    for (int64_t k = 0; m->root == m && peri_model_lower_at(m->obj, k) != NULL; k++) {
        const peri_model *lower = peri_model_lower_at(m->obj, k);
        luaL_checkstack(L, 4, "model");
        lua_pushfstring(L, "%s\"%s\" inside \"%s\"", k == 0 ? ": " : ", ", peri_model_name(lower), peri_model_name(peri_model_upper(lower)));
    }
    lua_concat(L, lua_gettop(L) - top);
    return 1;
}

static int l_index(lua_State *L)
{
    char text[200];
    const dsl_model_ud *m = lua_touserdata(L, 1);
    lua_settop(L, 2);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "name") == 0) {
        lua_pushstring(L, m->obj != NULL ? peri_model_name(m->obj) : m->name);
        return 1;
    }
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL)
        return 1;
    lua_pop(L, 1);
    snprintf(text, sizeof text, "model \"%s\"", m->name);
    if (lua_type(L, 2) == LUA_TSTRING)
        raise_unknown(L, -1, text, lua_tostring(L, 2));
    dsl_raise(L, "%s: its methods have names", text);
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

enum { LOWER, UPPER, START, KINDS };

/* Options of a variable, read before it is made; the numbers stay on the stack. */
typedef struct {
    const double *value[KINDS]; /* NULL: not given */
    int64_t n[KINDS];
    bool integer, binary;
} var_options;

static bool flag(lua_State *L, const char *name, const char *key)
{
    char text[200];
    lua_getfield(L, 4, key);
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1)) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "%s: %s must be true or false, not %s", name, key, text);
    }
    const bool on = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return on;
}

static double value_at(const var_options *o, int kind, int64_t j, double absent)
{
    return o->value[kind] == NULL ? absent : o->value[kind][o->n[kind] == 1 ? 0 : j];
}

/* All that the engine would refuse once the variable is there. */
static void check_values(lua_State *L, const char *name, const int64_t shape[2], const var_options *o)
{
    char entry[64] = "";
    for (int64_t j = 0; j < shape[0] * shape[1]; j++) {
        const double lower = value_at(o, LOWER, j, -HUGE_VAL), upper = value_at(o, UPPER, j, HUGE_VAL);
        const bool low = isinf(lower) && lower > 0, high = isinf(upper) && upper < 0;
        const bool nowhere = isinf(value_at(o, START, j, 0));
        if (!(lower > upper) && !low && !high && !nowhere)
            continue;
        if (shape[1] > 1)
            snprintf(entry, sizeof entry, "[%lld][%lld]", (long long)(j / shape[1]) + 1, (long long)(j % shape[1]) + 1);
        else if (shape[0] > 1)
            snprintf(entry, sizeof entry, "[%lld]", (long long)j + 1);
        if (low || high)
            dsl_raise(L, "%s%s: %s bound is %cinfinity", name, entry, low ? "lower" : "upper", low ? '+' : '-');
        if (nowhere)
            dsl_raise(L, "%s%s: start value is infinite", name, entry);
        dsl_raise(L, "%s%s: lower bound %.14g is above upper bound %.14g", name, entry, lower, upper);
    }
}

static var_options read_options(lua_State *L, const char *name, const int64_t shape[2])
{
    static const char *const keys[KINDS] = {"lower", "upper", "start"};
    static const char *const words[KINDS] = {"lower bounds", "upper bounds", "start values"};
    var_options o = {.integer = flag(L, name, "integer"), .binary = flag(L, name, "binary")};
    char what[160], wanted[64];
    const int64_t size = shape[0] * shape[1];
    int64_t rows, cols;
    shape_text(shape[0], shape[1], wanted, sizeof wanted);
    for (int k = 0; k < KINDS; k++) {
        if (lua_getfield(L, 4, keys[k]) == LUA_TNIL)
            continue;
        snprintf(what, sizeof what, "%.100s: %s", name, keys[k]);
        const int number = lua_gettop(L);
        o.value[k] = read_numbers(L, number, what, &rows, &cols);
        o.n[k] = rows * cols;
        if (o.n[k] != size && lua_type(L, number) != LUA_TNUMBER)
            dsl_raise(L, "%s: %lld %s for %lld entr%s", name, (long long)o.n[k], words[k], (long long)size,
                  size == 1 ? "y" : "ies");
        if (rows > 1 && cols > 1 && (rows != shape[0] || cols != shape[1]))
            dsl_raise(L, "%s: %s as a matrix %lld x %lld for a %s", name, words[k], (long long)rows, (long long)cols,
                  wanted);
    }
    check_values(L, name, shape, &o);
    return o;
}

/* Bounds of a binary variable: those given, cut to 0 .. 1. */
static void cut_bounds(lua_State *L, var_options *o)
{
    static const double whole[2] = {0, 1};
    for (int k = LOWER; k <= UPPER; k++) {
        if (o->value[k] == NULL) {
            o->value[k] = &whole[k];
            o->n[k] = 1;
            continue;
        }
        double *cut = temporary(L, (size_t)o->n[k], sizeof *cut);
        for (int64_t j = 0; j < o->n[k]; j++)
            cut[j] = k == LOWER ? fmax(o->value[k][j], 0) : fmin(o->value[k][j], 1);
        o->value[k] = cut;
    }
}

static void set_options(lua_State *L, peri_model *m, peri_expr x, const var_options *o)
{
    static peri_status (*const set[KINDS])(peri_model *, peri_expr, int64_t, const double *) = {
        peri_model_set_lower, peri_model_set_upper, peri_model_set_start};
    for (int k = 0; k < KINDS; k++)
        if (o->value[k] != NULL)
            check_status(L, set[k](m, x, o->n[k], o->value[k]));
    if (o->integer || o->binary)
        check_status(L, peri_model_set_integer(m, x));
}

static void check_var_options(lua_State *L, const char *name)
{
    static const char *const names[] = {"lower", "upper", "start", "integer", "binary", "manifold", NULL};
    char what[160], text[200];
    if (!lua_istable(L, 4)) {
        describe(L, 4, text, sizeof text);
        dsl_raise(L, "variable \"%s\": options must be a table, not %s", name, text);
    }
    snprintf(what, sizeof what, "variable \"%.100s\"", name);
    check_options(L, 4, what, names);
    if (lua_getfield(L, 4, "manifold") != LUA_TNIL)
        dsl_raise(L, "%s: manifolds are not offered yet", what);
    lua_pop(L, 1);
}

/* m:var(name, shape, opts); without a shape the options may come second. 1: model, 2: name, 3: shape, 4: options */
static int l_var(lua_State *L)
{
    int64_t rows = 1, cols = 1;
    char what[160];
    peri_expr x;
    var_options o = {.integer = false};
    lua_settop(L, 4);
    dsl_model_ud *m = check_model(L, 1);
    refuse_in_map(L, "m:var");
    const char *name = check_name(L, 2, "variable");
    if (lua_istable(L, 3) && lua_rawlen(L, 3) == 0 && lua_isnil(L, 4))
        lua_rotate(L, 3, 1);
    snprintf(what, sizeof what, "variable \"%.100s\"", name);
    const bool shaped = !lua_isnil(L, 3);
    if (shaped) {
        lua_pushvalue(L, 3);
        lua_pushnil(L);
        read_shape(L, 5, what, &rows, &cols);
        lua_settop(L, 4);
    }
    if (!lua_isnil(L, 4)) {
        check_var_options(L, name);
        const int64_t shape[2] = {rows, cols};
        o = read_options(L, name, shape);
        if (o.binary)
            cut_bounds(L, &o);
    }
    check_status(L, peri_model_var(m->obj, name, rows, cols, &x));
    set_options(L, m->obj, x, &o);
    return push_node(L, m->root, 1, x, shaped ? FORM_LIST : FORM_SCALAR);
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

static int l_param(lua_State *L)
{
    int64_t rows, cols;
    char what[160];
    peri_expr p;
    lua_settop(L, 3);
    dsl_model_ud *m = check_model(L, 1);
    refuse_in_map(L, "m:param");
    const char *name = check_name(L, 2, "parameter");
    snprintf(what, sizeof what, "parameter \"%.100s\": its value", name);
    const double *value = read_numbers(L, 3, what, &rows, &cols);
    check_status(L, peri_model_param(m->obj, name, rows, cols, rows * cols, value, &p));
    return push_node(L, m->root, 1, p, lua_type(L, 3) == LUA_TNUMBER ? FORM_SCALAR : FORM_LIST);
}

/* p:set(v) */
static int l_set(lua_State *L)
{
    operand p;
    int64_t rows, cols;
    char text[200], given[64];
    lua_settop(L, 2);
    if (!read_operand(L, 1, &p) || p.kind != OPERAND_EXPR || p.frame != 0) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "set: %s is not a parameter", text);
    }
    describe(L, 1, text, sizeof text);
    const double *value = read_numbers(L, 2, text, &rows, &cols);
    if (rows * cols != 1 && (rows != p.rows || cols != p.cols)) {
        shape_text(rows, cols, given, sizeof given);
        dsl_raise(L, "%s cannot be set to a %s", text, given);
    }
    check_status(L, peri_model_set_param(model_or_scratch(L, p.model), p.node, rows * cols, value));
    return 0;
}

/* ---- objectives -------------------------------------------------------------------------------------------------- */

static int objective(lua_State *L, const char *what, peri_status (*set)(peri_model *m, peri_expr f))
{
    operand f;
    char text[200];
    lua_settop(L, 2);
    dsl_model_ud *m = check_model(L, 1);
    refuse_in_map(L, what);
    pending_check(L);
    if (lua_istable(L, 2))
        dsl_raise(L, "%s: several objectives are not offered yet; give one scalar expression", what);
    check_operand(L, 2, what, &f);
    if (f.kind == OPERAND_EXPR && f.model != m->root) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "%s: %s belongs to model \"%s\", not to model \"%s\"", what, text, f.model->name, m->name);
    }
    if (f.rows != 1 || f.cols != 1) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "%s: %s is not a scalar", what, text);
    }
    check_status(L, set(m->obj, node_of(L, m->obj, &f)));
    return 0;
}

static int l_minimize(lua_State *L)
{
    return objective(L, "minimize", peri_model_minimize);
}

static int l_maximize(lua_State *L)
{
    return objective(L, "maximize", peri_model_maximize);
}

/* m:sampled(w): the objective's terms are weighted by parameter w */
static int l_sampled(lua_State *L)
{
    dsl_model_ud *m = check_model(L, 1);
    operand w;
    check_operand(L, 2, "sampled", &w);
    if (w.kind != OPERAND_EXPR || w.model != m->root)
        dsl_raise(L, "sampled: the parameter of model \"%s\" that weights the terms is needed", m->name);
    check_status(L, peri_model_sampled(m->obj, w.node));
    return 0;
}

typedef struct {
    peri_model *m;
    const char *plan;
} explanation;

static peri_status make_explanation(void *ud, char **text)
{
    const explanation *e = ud;
    return peri_model_explain(e->m, e->plan, text);
}

static int l_explain(lua_State *L)
{
    dsl_model_ud *m = check_model(L, 1);
    explanation e = {m->obj, optional_text(L, 2, "explain: the plan", NULL)};
    push_text(L, peri_model_context(m->obj), make_explanation, &e);
    return 1;
}

const luaL_Reg model_makers[] = {{"model", l_model}, {NULL, NULL}};
const luaL_Reg param_methods[] = {{"set", l_set}, {NULL, NULL}};
const luaL_Reg model_methods[] = {{"var", l_var},
                                  {"param", l_param},
                                  {"minimize", l_minimize},
                                  {"maximize", l_maximize},
                                  {"lower", l_lower},
                                  {"sampled", l_sampled},
                                  {"projection", model_projection_method},
                                  {"explain", l_explain},
                                  {"close", l_close_method},
                                  {"subject_to", subject_to},
                                  {NULL, NULL}};
/* __index has the methods as its second upvalue: see module.c */
const luaL_Reg model_metamethods[] = {
    {"__gc", l_close}, {"__close", l_close}, {"__tostring", l_tostring}, {"__index", l_index}, {NULL, NULL}};
