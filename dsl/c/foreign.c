/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign.c - compiled functions from shared libraries, called through libffi: with numbers and arrays from scripts, and as expressions where they are
 * functions of an array. A library stays open for the life of the process. Invariant: whatever a script passes is checked against the type; that
 * the type is the function's own is the script's promise.
 */
#include "foreign.h"
#include <dlfcn.h>
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef void (*foreign_code)(void);

typedef struct {
    dsl_state *state;
    foreign_code code, gradient; /* NULL: a black box */
    foreign_prototype type;
    char name[64];
    bool check;     /* the gradient is still to be compared with differences */
    dsl_call *call; /* kept only while a message is on its way */
} foreign;

/* ---- finding --------------------------------------------------------------------------------------------------------------- */

/* A library's start-up code may change the rounding or flush small numbers to zero: not for us. */
static void *open_library(lua_State *L, const char *path)
{
    fenv_t environment;
    fegetenv(&environment);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    fesetenv(&environment);
    if (library == NULL)
        dsl_raise(L, "foreign: library \"%s\" cannot be opened: %s", path != NULL ? path : "", dlerror());
    return library;
}

static foreign_code find_symbol(lua_State *L, void *library, const char *path, const char *symbol)
{
    foreign_code code;
    void *const address = dlsym(library, symbol);
    if (address == NULL)
        dsl_raise(L, "foreign: %s%s%s has no symbol \"%s\"", path != NULL ? "library \"" : "the program", path != NULL ? path : "",
                  path != NULL ? "\"" : "", symbol);
    memcpy(&code, &address, sizeof code);
    return code;
}

/* The field's string, or NULL where it is absent and may be. */
static const char *field(lua_State *L, const char *key, bool needed)
{
    char text[200];
    const int type = lua_getfield(L, 1, key);
    if (type == LUA_TSTRING)
        return lua_tostring(L, -1); /* the table keeps it */
    if (type == LUA_TNIL && !needed)
        return NULL;
    describe(L, -1, text, sizeof text);
    dsl_raise(L, "foreign: %s must be a string, not %s", key, text);
}

static int l_foreign(lua_State *L)
{
    static const char *const keys[] = {"library", "symbol", "type", "gradient", "check", NULL};
    refuse_sandboxed(L, "foreign");
    lua_settop(L, 1);
    if (!lua_istable(L, 1)) {
        char text[200];
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "foreign: a table { library = , symbol = , type = , gradient = } is needed, not %s", text);
    }
    check_options(L, 1, "foreign", keys);
    const char *path = field(L, "library", false), *symbol = field(L, "symbol", true), *type = field(L, "type", false);
    const char *gradient = field(L, "gradient", false);
    lua_getfield(L, 1, "check");
    const bool check = lua_isnil(L, -1) || lua_toboolean(L, -1);
    foreign *f = box_new(L, TYPE_FOREIGN, sizeof *f, 1);
    f->state = state_of(L);
    f->check = check;
    snprintf(f->name, sizeof f->name, "%s", symbol);
    foreign_parse(L, "foreign", type != NULL ? type : "double(size_t, const double *)", &f->type);
    if (gradient != NULL && !foreign_is_function(&f->type.main))
        dsl_raise(L, "foreign: only a function of type \"double(size_t, const double *)\" can have a gradient, \"%s\" has type \"%s\"", symbol, type);
    void *library = open_library(L, path);
    f->code = find_symbol(L, library, path, symbol);
    if (gradient != NULL)
        f->gradient = find_symbol(L, library, path, gradient);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_CALLEES);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, f);
    lua_pop(L, 1);
    return 1;
}

/* ---- calls with numbers and arrays ------------------------------------------------------------------------------------------------ */

/* What an argument becomes: a value, or memory that is copied back. */
typedef struct {
    foreign_value value;
    void *copy;          /* converted numbers; NULL: the array's own */
    double *back;        /* where they go after the call; NULL: nowhere */
    int64_t n;
    foreign_base base;
} passed;

static noreturn void refuse_argument(lua_State *L, const foreign *f, int k, const char *wants)
{
    char text[200];
    describe(L, k + 2, text, sizeof text);
    dsl_raise(L, "foreign: argument %d of %s must be %s, not %s", k + 1, f->name, wants, text);
}

static const char *const base_words[BASE_COUNT] = {"nothing", "a number", "a number", "an int", "an int64", "a size_t (an integer from 0)"};

static void pass_array(lua_State *L, const foreign *f, int k, const foreign_type *t, passed *out)
{
    operand a;
    const int i = k + 2;
    const bool table = lua_istable(L, i);
    if (!read_operand(L, i, &a) || a.kind != OPERAND_ARRAY || a.frame != 0 || a.array->nnz >= 0)
        refuse_argument(L, f, k, "a dense array, a pointer or nil");
    if (table && !t->is_const)
        dsl_raise(L, "foreign: argument %d of %s is written to, so it must be an array, not a table", k + 1, f->name);
    out->n = a.rows * a.cols;
    out->value.p = a.array->data;
    out->base = t->base;
    if (t->base == BASE_DOUBLE || t->base == BASE_VOID)
        return;
    out->copy = temporary(L, (size_t)out->n, foreign_size(t->base));
    out->value.p = out->copy;
    out->back = t->is_const ? NULL : a.array->data;
    for (int64_t q = 0; q < out->n; q++) {
        lua_pushnumber(L, a.array->data[q]);
        if (!foreign_store(L, -1, t->base, (char *)out->copy + (size_t)q * foreign_size(t->base)))
            dsl_raise(L, "foreign: argument %d of %s: entry %lld is %.17g, must be %s", k + 1, f->name, (long long)q + 1, a.array->data[q],
                      base_words[t->base]);
        lua_pop(L, 1);
    }
}

static void pass_pointer(lua_State *L, const foreign *f, int k, const foreign_type *t, passed *out)
{
    bool is_pointer;
    const int i = k + 2;
    out->value.p = NULL;
    if (lua_isnil(L, i))
        return;
    void *const p = foreign_pointer(L, i, &is_pointer);
    if (is_pointer) {
        out->value.p = p;
        return;
    }
    if (t->nested < 0) {
        pass_array(L, f, k, t, out);
        return;
    }
    if (!lua_isfunction(L, i))
        refuse_argument(L, f, k, "a function, a callback or nil");
    out->value.p = foreign_callback(L, 1, &f->type.nested[t->nested], i);
    lua_replace(L, i); /* lives until the call is over */
}

static void pass(lua_State *L, const foreign *f, int k, passed *out)
{
    const foreign_type *t = &f->type.main.arg[k];
    memset(out, 0, sizeof *out);
    if (t->pointer)
        pass_pointer(L, f, k, t, out);
    else if (!foreign_store(L, k + 2, t->base, &out->value))
        refuse_argument(L, f, k, base_words[t->base]);
}

static void copy_back(const passed *a)
{
    for (int64_t q = 0; q < a->n && a->back != NULL; q++)
        a->back[q] = foreign_load(a->base, (const char *)a->copy + (size_t)q * foreign_size(a->base));
}

static int call_plain(lua_State *L, foreign *f)
{
    const foreign_signature *s = &f->type.main;
    passed args[FOREIGN_ARGS];
    void *values[FOREIGN_ARGS];
    foreign_value result = {0};
    const int given = lua_gettop(L) - 1;
    if (given != s->n)
        dsl_raise(L, "foreign: %s takes %d argument%s, got %d", f->name, s->n, s->n == 1 ? "" : "s", given);
    luaL_checkstack(L, 40, "foreign: too many arguments");
    for (int k = 0; k < s->n; k++) {
        pass(L, f, k, &args[k]);
        values[k] = &args[k].value;
    }
    dsl_call c;
    call_enter(&c, L, NULL, 0);
    ffi_call((ffi_cif *)(uintptr_t)&s->cif, f->code, &result, values);
    foreign_raise_kept(L, &c);
    for (int k = 0; k < s->n; k++)
        copy_back(&args[k]);
    if (s->result.base == BASE_VOID && !s->result.pointer)
        return 0;
    foreign_push(L, &s->result, &result);
    return 1;
}

/* ---- as an expression ------------------------------------------------------------------------------------------------------------------ */

static double value_at(const foreign *f, int64_t n, const double *x)
{
    size_t size = (size_t)n;
    double result = 0;
    void *values[2] = {&size, &x};
    ffi_call((ffi_cif *)(uintptr_t)&f->type.main.cif, f->code, &result, values);
    return result;
}

static int foreign_value_of(void *ud, int64_t n, const double *x, double *out)
{
    const foreign *f = ud;
    *out = value_at(f, n, x);
    return isnan(*out) ? 1 : 0;
}

/* The first entry of g that differences on both sides of x contradict, or -1; *want what they say. */
static int64_t wrong_entry(foreign *f, int64_t n, const double *x, const double *g, double *want)
{
    double scale = 0;
    double *moved = (double *)(uintptr_t)x; /* put back at once */
    for (int64_t i = 0; i < n; i++)
        scale = fmax(scale, fabs(g[i]));
    const double middle = value_at(f, n, x);
    const int64_t stride = n > 64 ? n / 64 : 1; /* of a long gradient some entries */
    for (int64_t i = 0; i < n; i += stride) {
        const double at = x[i], h = cbrt(DBL_EPSILON) * fmax(1, fabs(at));
        moved[i] = at + h;
        const double up = value_at(f, n, x);
        moved[i] = at - h;
        const double down = value_at(f, n, x);
        moved[i] = at;
        const double right = (up - middle) / h, left = (middle - down) / h, central = (up - down) / (2 * h);
        const double noise = DBL_EPSILON * fmax(fabs(middle), 1) / h * 10, allowed = 1e-4 * fmax(scale, fabs(central)) + noise;
        const bool kink = fabs(right - left) > 0.1 * fmax(fabs(right), fabs(left));
        const double low = fmin(right, left) - allowed, high = fmax(right, left) + allowed;
        const bool good = kink ? g[i] >= low && g[i] <= high : fabs(g[i] - central) <= allowed;
        if (isfinite(central) && !good) {
            *want = central;
            return i;
        }
    }
    return -1;
}

/* Under lua_pcall: an error with the text at 2. */
static int raise_text(lua_State *L)
{
    dsl_raise(L, "%s", (const char *)lua_touserdata(L, 1));
}

static int foreign_gradient_of(void *ud, int64_t n, const double *x, double *g)
{
    foreign *f = ud;
    size_t size = (size_t)n;
    void (*gradient)(size_t, const double *, double *);
    memcpy(&gradient, &f->gradient, sizeof gradient);
    gradient(size, x, g);
    for (int64_t i = 0; i < n; i++)
        if (isnan(g[i]))
            return 1;
    if (!f->check)
        return 0;
    double want = 0;
    const int64_t wrong = wrong_entry(f, n, x, g, &want);
    f->check = wrong >= 0;
    if (wrong < 0)
        return 0;
    char text[240];
    snprintf(text, sizeof text, "foreign: the gradient of %s is wrong: entry %lld is %g where differences give %g", f->name, (long long)wrong + 1,
             g[wrong], want);
    callback_fail(f->state, raise_text, text);
    return -1;
}

static int call_expression(lua_State *L, foreign *f, const operand *x)
{
    peri_expr out;
    peri_model *m = model_or_scratch(L, x->model);
    const peri_function fn = {.name = f->name, .ud = f, .value = foreign_value_of, .gradient = f->gradient != NULL ? foreign_gradient_of : NULL};
    lua_getiuservalue(L, 2, UV_PARENT);
    callback_keep(L, 3, 1);
    lua_settop(L, 2);
    check_status(L, peri_expr_call(m, &fn, x->node, &out));
    return push_node(L, x->model, 2, out, FORM_SCALAR);
}

static int l_foreign_call(lua_State *L)
{
    operand x;
    foreign *f = lua_touserdata(L, 1);
    if (lua_gettop(L) == 2 && foreign_is_function(&f->type.main) && read_operand(L, 2, &x)) {
        if (x.frame != 0)
            dsl_raise(L, "foreign: %s cannot be called inside peri.map", f->name);
        if (x.kind == OPERAND_EXPR)
            return call_expression(L, f, &x);
        if (x.kind == OPERAND_ARRAY && x.array->nnz >= 0)
            dsl_raise(L, "foreign: %s takes a dense array, not a sparse one", f->name);
        lua_pushnumber(L, value_at(f, x.rows * x.cols, x.kind == OPERAND_ARRAY ? x.array->data : &x.number));
        return 1;
    }
    for (int i = 2; i <= lua_gettop(L); i++)
        if (lua_type(L, i) == LUA_TUSERDATA && type_of(L, state_of(L), i) == TYPE_EXPR) {
            char text[200];
            describe(L, i, text, sizeof text);
            dsl_raise(L, "foreign: %s is called with numbers and arrays, not with %s: only functions of type \"double(size_t, const double *)\" are "
                         "expressions", f->name, text);
        }
    return call_plain(L, f);
}

static int l_foreign_tostring(lua_State *L)
{
    const foreign *f = lua_touserdata(L, 1);
    lua_pushfstring(L, "foreign function %s", f->name);
    return 1;
}

/* ---- pointers ----------------------------------------------------------------------------------------------------------------------------- */

void *foreign_pointer(lua_State *L, int i, bool *is_pointer)
{
    const dsl_type type = lua_type(L, i) == LUA_TUSERDATA ? type_of(L, state_of(L), i) : TYPE_NONE;
    void *p = NULL;
    *is_pointer = type == TYPE_POINTER || type == TYPE_CALLBACK || type == TYPE_FOREIGN;
    if (type == TYPE_FOREIGN)
        memcpy(&p, &((const foreign *)lua_touserdata(L, i))->code, sizeof p);
    else if (*is_pointer)
        p = *(void **)lua_touserdata(L, i); /* both begin with it */
    return p;
}

void foreign_push(lua_State *L, const foreign_type *t, const foreign_value *v)
{
    if (t->pointer && v->p == NULL) {
        lua_pushnil(L);
    } else if (t->pointer) {
        void **p = box_new(L, TYPE_POINTER, sizeof *p, 0);
        *p = v->p;
    } else if (t->base == BASE_INT) {
        lua_pushinteger(L, (int)v->word);
    } else if (t->base == BASE_INT64) {
        lua_pushinteger(L, v->l);
    } else if (t->base == BASE_SIZE) {
        if (v->z <= (size_t)LUA_MAXINTEGER)
            lua_pushinteger(L, (lua_Integer)v->z);
        else
            lua_pushnumber(L, (double)v->z);
    } else {
        lua_pushnumber(L, t->base == BASE_FLOAT ? (double)v->f : v->d);
    }
}

int l_foreign_pointer_tostring(lua_State *L)
{
    lua_pushfstring(L, "pointer %p", *(void **)lua_touserdata(L, 1));
    return 1;
}

const luaL_Reg foreign_functions[] = {{"foreign", l_foreign}, {"callback", l_callback}, {NULL, NULL}};
const luaL_Reg foreign_metamethods[] = {{"__call", l_foreign_call}, {"__tostring", l_foreign_tostring}, {NULL, NULL}};
const luaL_Reg pointer_metamethods[] = {{"__tostring", l_foreign_pointer_tostring}, {NULL, NULL}};
const luaL_Reg callback_metamethods[] = {{"__gc", foreign_callback_gc}, {"__tostring", l_foreign_pointer_tostring}, {NULL, NULL}};
