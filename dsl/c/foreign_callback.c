/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign_callback.c - the other way round: C code that calls a Lua function or evaluates an expression. A closure of libffi is owned by a userdata and
 * freed with it, after the last call has returned. Invariant: no Lua error leaves through a C frame; the first one is kept and raised when the
 * foreign call is over, and until then closures return zeros.
 */
#include "foreign.h"
#include <string.h>

typedef struct {
    void *code; /* first: see foreign_pointer */
    ffi_closure *closure;
    dsl_state *state;
    lua_State *main;
    const foreign_signature *signature;
    foreign_prototype own; /* where it has no owner */
    /* the call under way */
    void **args;
    foreign_value result;
    bool failed; /* in this foreign call something was raised already */
} callback;

/* ---- being called -------------------------------------------------------------------------------------------------------- */

/* Is argument k an array whose length is the argument before it? */
static bool length_of(const callback *c, int k, int64_t *n)
{
    const foreign_signature *s = c->signature;
    for (int q = k; q-- > 0;) {
        const foreign_type *t = &s->arg[q];
        if (t->pointer)
            continue; /* f(n, x, g): both have n entries */
        if (t->base != BASE_SIZE && t->base != BASE_INT && t->base != BASE_INT64)
            return false;
        *n = (int64_t)foreign_load(t->base, c->args[q]);
        return *n >= 0;
    }
    return false;
}

static void push_argument(lua_State *L, const callback *c, int k)
{
    const foreign_type *t = &c->signature->arg[k];
    foreign_value v = {0};
    int64_t n;
    memcpy(&v, c->args[k], t->pointer ? sizeof v.p : foreign_size(t->base));
    if (t->pointer && t->base == BASE_DOUBLE && v.p != NULL && length_of(c, k, &n)) {
        dsl_array *a = array_new(L, n, 1);
        memcpy(a->data, v.p, (size_t)n * sizeof(double));
    } else {
        if (t->base == BASE_INT && !t->pointer)
            v.word = (ffi_arg)v.i;
        foreign_push(L, t, &v);
    }
}

/* What the function wrote into an array that C handed out for that. */
static void write_back(lua_State *L, const callback *c, int k, int i)
{
    const foreign_type *t = &c->signature->arg[k];
    const dsl_array *a = to_array(L, i);
    void *p;
    if (!t->pointer || t->is_const || a == NULL)
        return;
    memcpy(&p, c->args[k], sizeof p);
    memcpy(p, a->data, (size_t)(a->rows * a->cols) * sizeof(double));
}

/* Under lua_pcall. 1: the callback (light). */
static int protected_callback(lua_State *L)
{
    char text[200];
    callback *c = lua_touserdata(L, 1);
    const foreign_signature *s = c->signature;
    const bool returns = s->result.base != BASE_VOID || s->result.pointer;
    luaL_checkstack(L, 2 * s->n + 10, "callback");
    lua_getiuservalue(L, lua_upvalueindex(1), UV_CALLEES);
    if (lua_rawgetp(L, -1, c) != LUA_TUSERDATA)
        dsl_raise(L, "callback: called after it was collected; keep what peri.callback returns as long as C may call it");
    lua_getiuservalue(L, -1, UV_PARENT);
    const int f = lua_gettop(L);
    for (int k = 0; k < s->n; k++)
        push_argument(L, c, k);
    lua_pushvalue(L, f);
    for (int k = 0; k < s->n; k++)
        lua_pushvalue(L, f + 1 + k);
    lua_call(L, s->n, returns ? 1 : 0);
    for (int k = 0; k < s->n; k++)
        write_back(L, c, k, f + 1 + k);
    if (!returns)
        return 0;
    bool is_pointer = false;
    if (s->result.pointer && !lua_isnil(L, -1))
        c->result.p = foreign_pointer(L, -1, &is_pointer);
    else if (!s->result.pointer && !foreign_store(L, -1, s->result.base, &c->result)) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "callback: the function must return a number of the type's result, not %s", text);
    }
    return 0;
}

static void called(ffi_cif *cif, void *result, void **args, void *ud)
{
    callback *c = ud;
    const foreign_type *t = &c->signature->result;
    void **const outer = c->args;
    (void)cif;
    c->args = args;
    memset(&c->result, 0, sizeof c->result);
    if (c->state->call == NULL || !c->state->call->failed)
        (void)callback_call(c->state, c->main, protected_callback, c);
    c->args = outer;
    if (t->pointer)
        memcpy(result, &c->result.p, sizeof c->result.p);
    else if (t->base == BASE_INT) {
        const ffi_arg word = (ffi_arg)c->result.i;
        memcpy(result, &word, sizeof word);
    } else if (t->base != BASE_VOID)
        memcpy(result, &c->result, foreign_size(t->base));
}

/* ---- making ------------------------------------------------------------------------------------------------------------------ */

int foreign_callback_gc(lua_State *L)
{
    callback *c = lua_touserdata(L, 1);
    if (c->closure != NULL)
        ffi_closure_free(c->closure);
    c->closure = NULL;
    return 0;
}

static void open_closure(lua_State *L, callback *c, const foreign_signature *s)
{
    c->state = state_of(L);
    c->signature = s;
    c->closure = ffi_closure_alloc(sizeof *c->closure, &c->code);
    if (c->closure == NULL ||
        ffi_prep_closure_loc(c->closure, (ffi_cif *)(uintptr_t)&s->cif, called, c, c->code) != FFI_OK)
        dsl_raise(L, "callback: this system does not permit functions made at run time");
}

void *foreign_callback(lua_State *L, int owner, const foreign_signature *s, int f)
{
    callback *c = box_new(L, TYPE_CALLBACK, sizeof *c, 2);
    lua_pushvalue(L, owner);
    lua_setiuservalue(L, -2, 2);
    open_closure(L, c, s);
    c->main = callback_bind(L, f);
    return c->code;
}

/* An expression as a function of one variable: f(x) its value, f(x, g) its entries into g. Upvalues: state, expression, variable. */
static int expression_function(lua_State *L)
{
    const foreign_signature *s = lua_touserdata(L, lua_upvalueindex(4));
    const bool fills = foreign_is_gradient(s), plain = s->n == 1;
    lua_getfield(L, lua_upvalueindex(2), "value");
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, lua_upvalueindex(3));
    lua_pushvalue(L, plain ? 1 : 2);
    lua_settable(L, -3);
    lua_call(L, 2, 1);
    if (!fills)
        return 1;
    const dsl_array *from = to_array(L, -1);
    dsl_array *to = to_array(L, 3);
    if (from == NULL || to == NULL || from->rows * from->cols != to->rows * to->cols || from->nnz >= 0)
        dsl_raise(L, "callback: the expression must have as many entries as the array that it fills");
    memcpy(to->data, from->data, (size_t)(to->rows * to->cols) * sizeof *to->data);
    return 0;
}

static void make_expression_function(lua_State *L, const foreign_signature *s)
{
    const bool scalar = s->n == 1 && s->arg[0].base == BASE_DOUBLE && !s->arg[0].pointer && s->result.base == BASE_DOUBLE;
    if (!foreign_is_function(s) && !foreign_is_gradient(s) && !scalar)
        dsl_raise(L, "callback: an expression stands for double(size_t, const double *), void(size_t, const double *, double *) or double(double)");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_pushlightuserdata(L, (void *)(uintptr_t)s);
    lua_pushcclosure(L, expression_function, 4);
}

/* peri.callback(type, function) or peri.callback(type, expression, variable) */
int l_callback(lua_State *L)
{
    char text[200];
    operand e, x;
    lua_settop(L, 3);
    if (lua_type(L, 1) != LUA_TSTRING) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "callback: a C function type such as \"double(double)\" is needed, not %s", text);
    }
    const bool expression = !lua_isfunction(L, 2) && read_operand(L, 2, &e) && e.kind == OPERAND_EXPR && read_operand(L, 3, &x) &&
                            x.kind == OPERAND_EXPR;
    if (!lua_isfunction(L, 2) && !expression) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "callback: a function, or an expression and its variable, are needed, not %s", text);
    }
    callback *c = box_new(L, TYPE_CALLBACK, sizeof *c, 2);
    foreign_parse(L, "callback", lua_tostring(L, 1), &c->own);
    if (c->own.n_nested > 0)
        dsl_raise(L, "callback: type \"%s\": a callback cannot take callbacks", lua_tostring(L, 1));
    open_closure(L, c, &c->own.main);
    if (expression) {
        make_expression_function(L, &c->own.main);
        lua_insert(L, -2);
        c->main = callback_bind(L, lua_gettop(L) - 1);
    } else {
        c->main = callback_bind(L, 2);
    }
    return 1;
}

void foreign_raise_kept(lua_State *L, dsl_call *c)
{
    call_finish(L, c, PERI_OK);
}
