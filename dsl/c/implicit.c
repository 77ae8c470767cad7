/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit.c - peri.implicit{...}: a function that an equation defines. Its Lua function is traced once with the unknown and the arguments; a solver
 * written in Lua is called back under protection, as black boxes are, with the arguments' values.
 */
#include "internal.h"
#include <string.h>

/* A solver written in Lua. User value 1: the function; kept by the model. */
typedef struct {
    dsl_state *state;
    lua_State *main;
    int64_t n;
    int64_t rows, cols; /* of the unknown */
    bool list;
    struct implicit_argument { int64_t rows, cols; bool list; } *argument; /* in a block of user value 2 */
    /* of the call under way */
    const double *const *values;
    const double *start;
    double *y;
    bool none;
} lua_solver;

/* Pushes numbers as Lua has them: a number where there is one that is no list. */
static void push_numbers(lua_State *L, int64_t rows, int64_t cols, bool list, const double *v)
{
    if (rows == 1 && cols == 1 && !list) {
        lua_pushnumber(L, v[0]);
        return;
    }
    memcpy(array_new(L, rows, cols)->data, v, (size_t)(rows * cols) * sizeof *v);
}

/* Under lua_pcall. 1: the solver (light). It gives the solution, or nil and perhaps why there is none. */
static int protected_solve(lua_State *L)
{
    char text[200];
    int64_t rows, cols;
    lua_solver *s = lua_touserdata(L, 1);
    luaL_checkstack(L, (int)s->n + 10, "implicit: too many arguments");
    lua_getiuservalue(L, lua_upvalueindex(1), UV_CALLEES);
    lua_rawgetp(L, -1, s);
    lua_getiuservalue(L, -1, UV_PARENT);
    push_numbers(L, s->rows, s->cols, s->list, s->start);
    for (int64_t k = 0; k < s->n; k++)
        push_numbers(L, s->argument[k].rows, s->argument[k].cols, s->argument[k].list, s->values[k]);
    lua_call(L, (int)s->n + 1, 1);
    s->none = lua_isnil(L, -1);
    if (s->none)
        return 0;
    const double *from = read_numbers(L, lua_gettop(L), "implicit: what its solver returns", &rows, &cols);
    if (rows * cols != s->rows * s->cols) {
        shape_text(rows, cols, text, sizeof text);
        dsl_raise(L, "implicit: its solver returned a %s, and the unknown has %lld entries", text, (long long)(s->rows * s->cols));
    }
    memcpy(s->y, from, (size_t)(rows * cols) * sizeof *from);
    return 0;
}

static int solve_in_lua(void *ud, const double *const *arguments, const double *start, double *y)
{
    lua_solver *s = ud;
    s->values = arguments;
    s->start = start;
    s->y = y;
    if (!callback_call(s->state, s->main, protected_solve, s))
        return -1;
    return s->none ? 1 : 0;
}

/* ---- reading --------------------------------------------------------------------------------------------------------------------------- */

enum { OPTIONS = 1 };

static const char *const NAMES[] = {"residual", "fixed_point", "start", "solver", "arguments", "name", "tolerance", "iterations", "warm",
                                    "linear_solver", "linear_tolerance", "linear_iterations", "ridge", "options", "model", "unroll", "least_squares", "batch",
                                    "mode", "polish", NULL};

typedef struct {
    peri_implicit o;
    dsl_model_ud *model;
    peri_model *m;
    int model_at;    /* stack index of the model, 0: constants alone */
    operand *argument;
    operand start;
    bool list;
    int64_t rows, cols;
} reading;

static double number_option(lua_State *L, const char *key, double least, double otherwise)
{
    char text[200];
    if (lua_getfield(L, OPTIONS, key) == LUA_TNIL) {
        lua_pop(L, 1);
        return otherwise;
    }
    if (lua_type(L, -1) != LUA_TNUMBER || !(lua_tonumber(L, -1) >= least)) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "implicit: %s must be a number of at least %g, not %s", key, least, text);
    }
    const double value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

/* The string stays on the stack. */
static const char *text_option(lua_State *L, const char *key)
{
    char text[200];
    const int type = lua_getfield(L, OPTIONS, key);
    if (type == LUA_TSTRING)
        return lua_tostring(L, -1);
    if (type != LUA_TNIL) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "implicit: %s must be a name, not %s", key, text);
    }
    return NULL;
}

static void read_numbers_of(lua_State *L, peri_implicit *o)
{
    o->tolerance = number_option(L, "tolerance", 0, 0);
    o->iterations = (int64_t)number_option(L, "iterations", 1, 0);
    o->linear_tolerance = number_option(L, "linear_tolerance", 0, 0);
    o->linear_iterations = (int64_t)number_option(L, "linear_iterations", 1, 0);
    o->ridge = number_option(L, "ridge", 0, 0);
    o->name = text_option(L, "name");
    o->linear_solver = text_option(L, "linear_solver");
    lua_getfield(L, OPTIONS, "warm");
    o->warm = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

/* ---- which model ------------------------------------------------------------------------------------------------------------------------- */

static bool find_model(lua_State *L, int at, int depth);

/* Variables that a function has captured, and what is in tables. */
static bool find_in_upvalues(lua_State *L, int at, int depth)
{
    for (int k = 1; lua_getupvalue(L, at, k) != NULL; k++) {
        if (find_model(L, lua_gettop(L), depth))
            return true;
        lua_pop(L, 1);
    }
    return false;
}

static bool find_in_table(lua_State *L, int at, int depth)
{
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1))
        if (find_model(L, lua_gettop(L), depth))
            return true;
    return false;
}

/* Leaves on the top of the stack an expression or a model that is at, or in what is at, index `at`. */
static bool find_model(lua_State *L, int at, int depth)
{
    const dsl_type type = type_of(L, state_of(L), at);
    luaL_checkstack(L, 10, "implicit");
    if (type == TYPE_EXPR || type == TYPE_MODEL) {
        lua_pushvalue(L, at);
        return true;
    }
    if (depth == 0)
        return false;
    if (lua_type(L, at) == LUA_TFUNCTION && !lua_iscfunction(L, at))
        return find_in_upvalues(L, at, depth - 1);
    return lua_istable(L, at) && find_in_table(L, at, depth - 1);
}

/* From the option, the arguments, the start values, what the function has captured; the model, or an expression of it, stays on the stack. */
static void choose_model(lua_State *L, int function, reading *r)
{
    static const char *const keys[] = {"model", "arguments", "start"};
    const int top = lua_gettop(L);
    bool found = false;
    for (size_t k = 0; k < sizeof keys / sizeof keys[0] && !found; k++) {
        lua_settop(L, top);
        lua_getfield(L, OPTIONS, keys[k]);
        found = find_model(L, top + 1, 1);
    }
    if (!found) {
        lua_settop(L, top);
        found = find_model(L, function, 4);
    }
    if (!found)
        dsl_raise(L, "implicit: its equations read no variable or parameter: give the model, as in { model = m, ... }");
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    r->model_at = top + 1;
    push_root(L, r->model_at);
    lua_replace(L, r->model_at);
    r->model = check_model(L, r->model_at);
}

/* ---- the parts ----------------------------------------------------------------------------------------------------------------------------- */

static void check_own(lua_State *L, const reading *r, const operand *a, const char *what)
{
    char text[200];
    if (a->frame != 0)
        dsl_raise(L, "implicit: %s of a peri.map's index", what);
    if (a->kind != OPERAND_EXPR || a->model == r->model)
        return;
    describe(L, a->at, text, sizeof text);
    dsl_raise(L, "implicit: %s %s belongs to model \"%s\", not to model \"%s\"", what, text, a->model->name, r->model->name);
}

static void read_start(lua_State *L, reading *r)
{
    char text[200];
    lua_getfield(L, OPTIONS, "start");
    if (!read_operand(L, lua_gettop(L), &r->start)) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "implicit: start must be the start values, which tell the shape of the unknown too, not %s", text);
    }
    check_own(L, r, &r->start, "start");
    r->rows = r->start.rows;
    r->cols = r->start.cols;
    r->list = r->start.list;
    r->o.start = node_of(L, r->m, &r->start);
}

/* The arguments stay on the stack, one after another. */
static void read_arguments(lua_State *L, reading *r)
{
    char text[200];
    const int type = lua_getfield(L, OPTIONS, "arguments"), list = lua_gettop(L);
    if (type == LUA_TNIL)
        return;
    if (type != LUA_TTABLE) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "implicit: arguments must be a list of expressions, not %s", text);
    }
    const int64_t n = (int64_t)lua_rawlen(L, list);
    luaL_checkstack(L, (int)(n < 10000 ? n : 10000) + 20, "implicit: too many arguments");
    r->argument = temporary(L, (size_t)n, sizeof *r->argument);
    peri_expr *node = temporary(L, (size_t)n, sizeof *node);
    for (int64_t k = 0; k < n; k++) {
        lua_rawgeti(L, list, k + 1);
        check_operand(L, lua_gettop(L), "implicit: an argument", &r->argument[k]);
        check_own(L, r, &r->argument[k], "argument");
        node[k] = node_of(L, r->m, &r->argument[k]);
    }
    r->o.n_arguments = n;
    r->o.arguments = node;
}

/* What the function is given for argument k: of a batch what stands for one instance's part, rows of the whole. */
static void push_argument(lua_State *L, reading *r, int64_t k, peri_expr *placeholder)
{
    const operand *a = &r->argument[k];
    if (r->o.batch == 0 && !r->o.squares) {
        lua_pushvalue(L, a->at);
        return;
    }
    const int64_t n = r->o.batch > 0 ? r->o.batch : 1;
    if (a->rows % n != 0)
        dsl_raise(L, "implicit: argument %lld has %lld rows, which %lld instances do not divide", (long long)(k + 1), (long long)a->rows, (long long)n);
    check_status(L, peri_expr_unknown(r->m, a->rows / n, a->cols, placeholder));
    push_node(L, r->model, r->model_at, *placeholder, a->rows / n * a->cols > 1 || (a->list && n == 1) ? FORM_LIST : FORM_SCALAR);
}

/* Calls the function at `function` with the unknown and the arguments; the result's node. */
static peri_expr trace(lua_State *L, int function, reading *r)
{
    operand result;
    peri_expr *placeholder = temporary(L, (size_t)r->o.n_arguments + 1, sizeof *placeholder);
    r->o.placeholders = placeholder;
    check_status(L, peri_expr_unknown(r->m, r->rows, r->cols, &r->o.unknown));
    lua_pushvalue(L, function);
    push_node(L, r->model, r->model_at, r->o.unknown, r->list ? FORM_LIST : FORM_SCALAR);
    for (int64_t k = 0; k < r->o.n_arguments; k++)
        push_argument(L, r, k, &placeholder[k]);
    lua_call(L, (int)r->o.n_arguments + 1, 1);
    pending_check(L);
    check_operand(L, lua_gettop(L), "implicit: what its function returns", &result);
    check_own(L, r, &result, "what its function returns");
    if (!r->o.squares && result.rows * result.cols != r->rows * r->cols)
        dsl_raise(L, "implicit: %lld equations for %lld unknowns", (long long)(result.rows * result.cols), (long long)(r->rows * r->cols));
    return node_of(L, r->m, &result);
}

static void keep_solver(lua_State *L, reading *r, int function)
{
    lua_solver *s = box_new(L, TYPE_BLACKBOX, sizeof *s, 2);
    const int box = lua_gettop(L);
    s->state = state_of(L);
    s->n = r->o.n_arguments;
    s->rows = r->rows;
    s->cols = r->cols;
    s->list = r->list;
    s->main = callback_bind(L, function);
    s->argument = temporary(L, (size_t)s->n, sizeof *s->argument);
    lua_setiuservalue(L, box, 2);
    for (int64_t k = 0; k < s->n; k++) {
        s->argument[k].rows = r->argument[k].rows;
        s->argument[k].cols = r->argument[k].cols;
        s->argument[k].list = r->argument[k].list;
    }
    callback_keep(L, r->model_at, box);
    r->o.solve = solve_in_lua;
    r->o.ud = s;
}

static void read_solver(lua_State *L, reading *r)
{
    char text[200];
    switch (lua_getfield(L, OPTIONS, "solver")) {
    case LUA_TNIL:
        return;
    case LUA_TSTRING:
        r->o.solver = lua_tostring(L, -1);
        return;
    case LUA_TFUNCTION:
        keep_solver(L, r, lua_gettop(L));
        return;
    default:
        if (type_of(L, state_of(L), -1) == TYPE_PLUGIN) {
            plugin_name_of(L, lua_gettop(L));
            r->o.solver = lua_tostring(L, -1);
            return;
        }
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "implicit: solver must be a name or a function of the start values and the arguments, not %s", text);
    }
}

/* The plan's own options. */
static void read_plan_options(lua_State *L, peri_implicit *o)
{
    char text[200];
    const int type = lua_getfield(L, OPTIONS, "options");
    if (type == LUA_TNIL)
        return;
    if (type != LUA_TTABLE) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "implicit: options must be a table of the solver's options, not %s", text);
    }
    o->n_settings = read_engine_settings(L, lua_gettop(L), "implicit", &o->settings);
}

/* batch: how many instances, or their names, which stay on the stack; mode and polish of least squares */
static void read_batch(lua_State *L, peri_implicit *o)
{
    char text[200];
    const int type = lua_getfield(L, OPTIONS, "batch"), at = lua_gettop(L);
    const bool named = type == LUA_TTABLE && lua_rawlen(L, at) > 0;
    o->batch = named ? (int64_t)lua_rawlen(L, at) : lua_isinteger(L, at) ? lua_tointeger(L, at) : 0;
    if (type != LUA_TNIL && o->batch < 1) {
        describe(L, at, text, sizeof text);
        dsl_raise(L, "implicit: batch must be the number of instances or a list of their names, not %s", text);
    }
    if (named) {
        const char **names = temporary(L, (size_t)o->batch, sizeof *names);
        luaL_checkstack(L, (int)(o->batch < 100000 ? o->batch : 100000) + 20, "implicit: too many instances");
        for (int64_t k = 0; k < o->batch; k++) {
            if (lua_rawgeti(L, at, k + 1) != LUA_TSTRING)
                dsl_raise(L, "implicit: name %lld of batch is a %s", (long long)(k + 1), luaL_typename(L, -1));
            names[k] = lua_tostring(L, -1);
        }
        o->instances = names;
    }
    const char *mode = text_option(L, "mode");
    o->root_form = mode != NULL && strcmp(mode, "root") == 0;
    if (mode != NULL && !o->root_form && strcmp(mode, "exact") != 0)
        dsl_raise(L, "implicit: mode \"%s\" is neither \"exact\" nor \"root\"", mode);
    o->unpolished = lua_getfield(L, OPTIONS, "polish") == LUA_TBOOLEAN && !lua_toboolean(L, -1);
    if ((mode != NULL || o->unpolished) && !o->squares)
        dsl_raise(L, "implicit: mode and polish are for least_squares");
}

/* K times y = T(y, ...), as so many copies in the graph: what derivatives of an iteration's steps are, not of its limit. */
static int unroll(lua_State *L, int function, const reading *r, int64_t steps)
{
    operand y;
    const int base = lua_gettop(L);
    push_node(L, r->model, r->model_at, r->o.start, r->list ? FORM_LIST : FORM_SCALAR);
    for (int64_t k = 0; k < steps; k++) {
        lua_pushvalue(L, function);
        lua_insert(L, base + 1);
        for (int64_t i = 0; i < r->o.n_arguments; i++)
            lua_pushvalue(L, r->argument[i].at);
        lua_call(L, (int)r->o.n_arguments + 1, 1);
        check_operand(L, base + 1, "implicit: what its function returns", &y);
        check_own(L, r, &y, "what its function returns");
        if (y.rows != r->rows || y.cols != r->cols)
            dsl_raise(L, "implicit: its function returns %lld entries for %lld unknowns", (long long)(y.rows * y.cols), (long long)(r->rows * r->cols));
    }
    pending_check(L);
    return 1;
}

/* The function that is given, and of which kind it is: it stays on the stack. */
static int read_function(lua_State *L, const char **kind)
{
    static const char *const kinds[] = {"residual", "fixed_point", "least_squares"};
    char text[200];
    int found = 0;
    for (int k = 0; k < 3; k++) {
        if (lua_getfield(L, OPTIONS, kinds[k]) == LUA_TNIL)
            continue;
        *kind = kinds[k];
        found = found == 0 ? lua_gettop(L) : -1;
    }
    if (found <= 0)
        dsl_raise(L, "implicit: %s is needed: residual, fixed_point or least_squares = function(y, ...)", found < 0 ? "one of the three" : "one");
    if (lua_type(L, found) != LUA_TFUNCTION) {
        describe(L, found, text, sizeof text);
        dsl_raise(L, "implicit: %s must be a function of the unknown, not %s", *kind, text);
    }
    return found;
}

/* peri.implicit{ residual = function(y, ...) end or fixed_point = or least_squares = , start = , ... } */
static int l_implicit(lua_State *L)
{
    reading r = {.o = {.unknown = PERI_NO_EXPR, .residual = PERI_NO_EXPR, .fixed_point = PERI_NO_EXPR, .start = PERI_NO_EXPR}};
    char text[200];
    peri_expr out;
    lua_settop(L, 1);
    if (!lua_istable(L, OPTIONS)) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "implicit: a table is needed, as in { residual = function(y) return ... end, start = 1 }, not %s", text);
    }
    if (state_of(L)->frame != NULL)
        dsl_raise(L, "implicit cannot be called inside the function of a peri.map, which runs only once");
    check_options(L, OPTIONS, "implicit", NAMES);
    const char *kind = NULL;
    const int function = read_function(L, &kind);
    const bool fixed = strcmp(kind, "fixed_point") == 0;
    r.o.squares = strcmp(kind, "least_squares") == 0;
    choose_model(L, function, &r);
    r.m = r.model->obj;
    read_numbers_of(L, &r.o);
    read_start(L, &r);
    read_arguments(L, &r);
    read_batch(L, &r.o);
    const int64_t steps = (int64_t)number_option(L, "unroll", 1, 0);
    if (steps > 0 && !fixed)
        dsl_raise(L, "implicit: unroll is for a fixed_point, whose steps are repeated");
    if (steps > 0)
        return unroll(L, function, &r, steps);
    read_solver(L, &r);
    read_plan_options(L, &r.o);
    *(fixed ? &r.o.fixed_point : &r.o.residual) = trace(L, function, &r);
    check_status(L, peri_expr_implicit(r.m, &r.o, &out));
    return push_node(L, r.model, r.model_at, out, r.list || r.o.batch > 1 ? FORM_LIST : FORM_SCALAR);
}

/* ---- low:argmin{} -------------------------------------------------------------------------------------------------------------------------- */

static const char *const ARGMIN_NAMES[] = {"solver", "mapping", "fixed_point", "residual", "name", "tolerance", "iterations", "warm", "linear_solver",
                                           "linear_tolerance", "linear_iterations", "ridge", "options", "unroll", "step", NULL};

/* The function at `field`, called with the lower model's variables; PERI_NO_EXPR: there is none. */
static peri_expr own_equations(lua_State *L, const char *field, reading *r, int64_t n, const peri_expr *vars)
{
    char text[200];
    operand result;
    int64_t rows, cols;
    if (lua_getfield(L, OPTIONS, field) == LUA_TNIL)
        return PERI_NO_EXPR;
    if (lua_type(L, -1) != LUA_TFUNCTION) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "argmin: %s must be a function of the model's variables, not %s", field, text);
    }
    luaL_checkstack(L, (int)n + 10, "argmin: too many variables");
    for (int64_t k = 0; k < n; k++) {
        peri_expr_shape(r->m, vars[k], &rows, &cols);
        push_node(L, r->model, r->model_at, vars[k], rows * cols > 1 ? FORM_LIST : FORM_SCALAR);
    }
    lua_call(L, (int)n, 1);
    pending_check(L);
    check_operand(L, lua_gettop(L), "argmin: what its function returns", &result);
    check_own(L, r, &result, "what its function returns");
    return node_of(L, r->m, &result);
}

/* low:argmin{...}: the solution of each of its variables, in order */
static int l_argmin(lua_State *L)
{
    reading r = {.o = {.unknown = PERI_NO_EXPR, .residual = PERI_NO_EXPR, .fixed_point = PERI_NO_EXPR, .start = PERI_NO_EXPR}};
    char text[200];
    dsl_model_ud *low = check_model(L, 1);
    lua_settop(L, 2);
    lua_insert(L, OPTIONS);
    if (lua_isnil(L, OPTIONS)) {
        lua_newtable(L);
        lua_replace(L, OPTIONS);
    }
    if (!lua_istable(L, OPTIONS)) {
        describe(L, OPTIONS, text, sizeof text);
        dsl_raise(L, "argmin: options must be a table, not %s", text);
    }
    if (state_of(L)->frame != NULL)
        dsl_raise(L, "argmin cannot be called inside the function of a peri.map, which runs only once");
    pending_check(L);
    check_options(L, OPTIONS, "argmin", ARGMIN_NAMES);
    push_root(L, 2);
    r.model_at = lua_gettop(L);
    r.model = low->root;
    r.m = low->root->obj;
    const int64_t n = peri_model_own_vars(low->obj, 0, NULL);
    peri_expr *vars = temporary(L, (size_t)n + 1, sizeof *vars), *out = temporary(L, (size_t)n + 1, sizeof *out);
    (void)peri_model_own_vars(low->obj, n, vars);
    read_numbers_of(L, &r.o);
    r.o.mapping = text_option(L, "mapping");
    r.o.solver = text_option(L, "solver");
    r.o.unroll = (int64_t)number_option(L, "unroll", 1, 0);
    r.o.step = number_option(L, "step", 0, 0);
    read_plan_options(L, &r.o);
    r.o.residual = own_equations(L, "residual", &r, n, vars);
    r.o.fixed_point = own_equations(L, "fixed_point", &r, n, vars);
    check_status(L, peri_model_argmin(low->obj, &r.o, out));
    luaL_checkstack(L, (int)n + 5, "argmin: too many variables");
    for (int64_t k = 0; k < n; k++) {
        int64_t rows, cols;
        peri_expr_shape(r.m, out[k], &rows, &cols);
        push_node(L, r.model, r.model_at, out[k], rows * cols > 1 ? FORM_LIST : FORM_SCALAR);
    }
    return (int)n;
}

/* peri.instances(e): what became of each instance of a batch */
static int l_instances(lua_State *L)
{
    operand a;
    check_operand(L, 1, "instances: the batch", &a);
    const peri_model *m = a.kind == OPERAND_EXPR ? a.model->obj : NULL;
    const int64_t n = m != NULL ? peri_expr_instances(m, a.node, 0, NULL) : 0;
    if (n == 0)
        dsl_raise(L, "instances: the expression is no batch of peri.implicit");
    peri_instance *list = temporary(L, (size_t)n, sizeof *list);
    (void)peri_expr_instances(m, a.node, n, list);
    lua_createtable(L, (int)(n < 100000 ? n : 100000), 0);
    for (int64_t k = 0; k < n; k++) {
        lua_createtable(L, 0, 6);
        lua_pushstring(L, list[k].name);
        lua_setfield(L, -2, "name");
        lua_pushboolean(L, list[k].solved);
        lua_setfield(L, -2, "solved");
        lua_pushinteger(L, list[k].iterations);
        lua_setfield(L, -2, "iterations");
        lua_pushinteger(L, list[k].polished);
        lua_setfield(L, -2, "polished");
        lua_pushnumber(L, list[k].objective);
        lua_setfield(L, -2, "objective");
        lua_pushnumber(L, list[k].residual);
        lua_setfield(L, -2, "residual");
        lua_rawseti(L, -2, k + 1);
    }
    return 1;
}

const luaL_Reg argmin_methods[] = {{"argmin", l_argmin}, {NULL, NULL}};
const luaL_Reg implicit_functions[] = {{"implicit", l_implicit}, {"instances", l_instances}, {NULL, NULL}};
