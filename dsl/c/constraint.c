/* SPDX-License-Identifier: Apache-2.0 */
/*
 * constraint.c - constraints and the queue of comparisons. Lua turns the result of <= into a boolean, so __le leaves
 * what was compared in a queue and subject_to matches the queue one to one with its arguments that are true. What is
 * left in the queue when the model is used is a comparison in the wrong place, and is reported with the line where it
 * was written. A constraint with a side of numbers keeps them as bounds; with expressions on both sides it is their
 * difference against 0.
 */
#include "internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

void push_constraint(lua_State *L, int kind, const char *where, int a, int b, int c)
{
    const int operands[3] = {a, b, c};
    dsl_constraint *con = box_new(L, TYPE_CONSTRAINT, sizeof *con, 3);
    con->kind = kind;
    snprintf(con->where, sizeof con->where, "%s", where);
    for (int k = 0; k < 3 && operands[k] != 0; k++) {
        lua_pushvalue(L, operands[k]);
        lua_setiuservalue(L, -2, k + 1);
    }
}

static int compare(lua_State *L, int kind, const char *what, int n)
{
    char where[sizeof((dsl_constraint *)0)->where], text[200];
    operand a;
    if (lua_gettop(L) != n)
        dsl_raise(L, "%s takes %d arguments, not %d", what, n, lua_gettop(L));
    for (int k = 1; k <= n; k++) {
        if (read_operand(L, k, &a) && a.frame == 0)
            continue;
        describe(L, k, text, sizeof text);
        dsl_raise(L, "%s: %s is not a number, an array or an expression%s", what, text,
              a.frame != 0 ? " outside peri.map: compare the whole map instead" : "");
    }
    user_line(L, where, sizeof where);
    push_constraint(L, kind, where, 1, 2, n == 3 ? 3 : 0);
    return 1;
}

static int l_le(lua_State *L)
{
    return compare(L, CONSTRAINT_LE, "le", 2);
}

static int l_ge(lua_State *L)
{
    return compare(L, CONSTRAINT_GE, "ge", 2);
}

static int l_eq(lua_State *L)
{
    return compare(L, CONSTRAINT_EQ, "eq", 2);
}

static int l_between(lua_State *L)
{
    return compare(L, CONSTRAINT_BETWEEN, "between", 3);
}

static int l_constraint_tostring(lua_State *L)
{
    static const char *const sign[] = {"<=", ">=", "==", "<="};
    const dsl_constraint *c = lua_touserdata(L, 1);
    const int n = c->kind == CONSTRAINT_BETWEEN ? 3 : 2;
    lua_settop(L, 1);
    lua_pushstring(L, "");
    for (int k = 1; k <= n; k++) {
        lua_getiuservalue(L, 1, k);
        luaL_tolstring(L, -1, NULL);
        lua_remove(L, -2);
        lua_pushfstring(L, "%s%s%s%s", k > 1 ? " " : "", k > 1 ? sign[c->kind] : "", k > 1 ? " " : "",
                        lua_tostring(L, -1));
        lua_remove(L, -2);
        lua_concat(L, 2);
    }
    return 1;
}

static int l_compare_constraints(lua_State *L)
{
    dsl_raise(L, "a constraint cannot be compared; for lo <= e <= hi write peri.between(lo, e, hi)");
}

/* ---- the queue --------------------------------------------------------------------------------------------------- */

/* 1 <= 2 on the stack */
void pending_push(lua_State *L)
{
    char where[sizeof((dsl_constraint *)0)->where];
    dsl_state *s = state_of(L);
    user_line(L, where, sizeof where);
    push_constraint(L, CONSTRAINT_LE, where, 1, 2, 0);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_PENDING);
    lua_insert(L, -2);
    lua_rawseti(L, -2, s->pending + 1);
    lua_pop(L, 1);
    s->pending++;
}

void pending_clear(lua_State *L)
{
    dsl_state *s = state_of(L);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_PENDING);
    for (; s->pending > 0; s->pending--) {
        lua_pushnil(L);
        lua_rawseti(L, -2, s->pending);
    }
    lua_pop(L, 1);
}

void pending_take(lua_State *L, int64_t k)
{
    lua_getiuservalue(L, lua_upvalueindex(1), UV_PENDING);
    lua_rawgeti(L, -1, k);
    lua_remove(L, -2);
}

/* The line of the first entry, and an empty queue. */
static void pending_line(lua_State *L, char *where, size_t size)
{
    pending_take(L, 1);
    snprintf(where, size, "%s", ((dsl_constraint *)lua_touserdata(L, -1))->where);
    lua_pop(L, 1);
    pending_clear(L);
}

void pending_check(lua_State *L)
{
    char where[sizeof((dsl_constraint *)0)->where];
    if (state_of(L)->pending == 0)
        return;
    pending_line(L, where, sizeof where);
    raise_at(L, where,
             "this comparison of expressions was not passed to subject_to; it is a constraint, not a condition");
}

/* ---- booleans: 1 <= x <= 2 is true <= 2 -------------------------------------------------------------------------- */

static int l_boolean_compare(lua_State *L)
{
    if (state_of(L)->pending > 0) {
        pending_clear(L);
        dsl_raise(L, "a comparison cannot be chained; for lo <= e <= hi write peri.between(lo, e, hi)");
    }
    const char *a = luaL_typename(L, 1), *b = luaL_typename(L, 2);
    if (strcmp(a, b) == 0)
        dsl_raise(L, "attempt to compare two %s values", a);
    dsl_raise(L, "attempt to compare %s with %s", a, b);
}

/* Only where nobody else has given booleans a metatable. */
void boolean_hint(lua_State *L)
{
    static const char *const names[] = {"__le", "__lt"};
    lua_pushboolean(L, 1);
    if (lua_getmetatable(L, -1)) {
        lua_pop(L, 2);
        return;
    }
    lua_createtable(L, 0, 2);
    for (int k = 0; k < 2; k++) {
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushcclosure(L, l_boolean_compare, 1);
        lua_setfield(L, -2, names[k]);
    }
    lua_pushliteral(L, "boolean");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

/* ---- subject_to: the arguments as a flat list of constraints ----------------------------------------------------- */

typedef struct {
    int list;     /* stack index of the list being made */
    int64_t n;    /* its length */
    int64_t used; /* comparisons taken from the queue */
} gathering;

static noreturn void raise_no_constraint(lua_State *L, int i)
{
    char text[200];
    pending_clear(L);
    if (lua_isboolean(L, i) && !lua_toboolean(L, i))
        dsl_raise(L, "subject_to: false is not a constraint; an equality is a:eq(b), because Lua's == compares the objects "
                 "themselves");
    if (lua_isboolean(L, i))
        dsl_raise(L, "subject_to: true is not a constraint; there is no comparison of expressions that belongs to it");
    describe(L, i, text, sizeof text);
    dsl_raise(L, "subject_to: %s is not a constraint; write a <= b, a >= b, a:eq(b) or peri.between(lo, e, hi)", text);
}

static void collect(lua_State *L, gathering *g, int i, int depth)
{
    dsl_state *s = state_of(L);
    luaL_checkstack(L, 10, "subject_to");
    if (lua_isboolean(L, i) && lua_toboolean(L, i) && g->used < s->pending) {
        pending_take(L, ++g->used);
        lua_rawseti(L, g->list, ++g->n);
    } else if (type_of(L, s, i) == TYPE_CONSTRAINT) {
        lua_pushvalue(L, i);
        lua_rawseti(L, g->list, ++g->n);
    } else if (lua_istable(L, i) && depth < 50) {
        const lua_Integer n = (lua_Integer)lua_rawlen(L, i);
        lua_pushnil(L);
        if (lua_next(L, i) == 0) /* empty: no constraints */
            return;
        lua_pop(L, 2);
        if (n == 0)
            dsl_raise(L, "subject_to: a table of constraints must be a list");
        for (lua_Integer k = 1; k <= n; k++) {
            lua_rawgeti(L, i, k);
            collect(L, g, lua_gettop(L), depth + 1);
            lua_pop(L, 1);
        }
    } else {
        raise_no_constraint(L, i);
    }
}

static void check_queue_used(lua_State *L, int64_t used)
{
    char where[sizeof((dsl_constraint *)0)->where];
    dsl_state *s = state_of(L);
    if (used == s->pending)
        return;
    const int64_t found = s->pending;
    pending_line(L, where, sizeof where);
    raise_at(L, where,
             "%lld comparison%s of expressions from here on, but subject_to was given %lld; each must be an argument "
             "of its own "
             "(not joined by and/or, not in a condition)",
             (long long)found, found == 1 ? "" : "s", (long long)used);
}

/* ---- one constraint ---------------------------------------------------------------------------------------------- */

static peri_expr subtract(lua_State *L, peri_model *m, operand *a, operand *b)
{
    peri_expr pair[2] = {node_of(L, m, a), node_of(L, m, b)}, out;
    char x[200], y[200];
    const bool fit =
        (a->rows == b->rows || a->rows == 1 || b->rows == 1) && (a->cols == b->cols || a->cols == 1 || b->cols == 1);
    if (!fit) {
        describe(L, a->at, x, sizeof x);
        describe(L, b->at, y, sizeof y);
        dsl_raise(L, "%s and %s cannot be compared", x, y);
    }
    check_status(L, peri_expr_op(m, PERI_OP_SUB, 2, pair, &out));
    return out;
}

/* The side's numbers, where they can be bounds of e; NULL: a difference is needed. */
static const double *side(lua_State *L, const operand *e, const operand *b, int64_t *n)
{
    *n = 1;
    if (b->kind == OPERAND_NUMBER)
        return &b->number;
    if (b->kind != OPERAND_ARRAY ||
        (b->array->rows * b->array->cols != 1 && (b->rows != e->rows || b->cols != e->cols)))
        return NULL;
    int64_t rows, cols;
    const double *data =
        read_numbers(L, b->at, "subject_to", &rows, &cols); /* what it pushes stays until subject_to returns */
    *n = rows * cols;
    return data;
}

static const double *repeated(lua_State *L, int64_t n, double value)
{
    double *out = temporary(L, (size_t)n, sizeof *out);
    for (int64_t k = 0; k < n; k++)
        out[k] = value;
    return out;
}

typedef struct {
    dsl_model_ud *m;
    const char *name; /* NULL: the engine's */
    struct dsl_part *part;
} adding;

static peri_constraint add(lua_State *L, const adding *to, peri_expr e, int64_t n, const double *lower,
                           const double *upper)
{
    peri_constraint handle;
    check_status(L, peri_model_constrain(to->m->obj, to->name, e, n, lower, upper, &handle));
    peri_expr_shape(to->m->obj, e, &to->part->rows, &to->part->cols);
    return handle;
}

static peri_constraint add_sided(lua_State *L, const adding *to, int kind, peri_expr e, int64_t n, const double *b)
{
    const double *lower = kind == CONSTRAINT_LE ? repeated(L, n, -HUGE_VAL) : b;
    const double *upper = kind == CONSTRAINT_GE ? repeated(L, n, HUGE_VAL) : b;
    return add(L, to, e, n, lower, upper);
}

static int mirrored(int kind)
{
    return kind == CONSTRAINT_LE ? CONSTRAINT_GE : kind == CONSTRAINT_GE ? CONSTRAINT_LE : kind;
}

static bool has_variables(lua_State *L, peri_model *m, operand *a)
{
    return a->kind == OPERAND_EXPR && peri_expr_has_variables(m, node_of(L, m, a));
}

/* a <= b, a >= b, a == b. The side without variables counts as the right-hand side, wherever it was written: a >= b reaches us as
 * b <= a, and the multiplier's sign must not depend on that. */
static peri_constraint add_pair(lua_State *L, const adding *to, int kind, operand *a, operand *b)
{
    const double zero = 0, *numbers = NULL;
    int64_t n;
    if (a->kind == OPERAND_EXPR && (numbers = side(L, a, b, &n)) != NULL)
        return add_sided(L, to, kind, a->node, n, numbers);
    if (b->kind == OPERAND_EXPR && (numbers = side(L, b, a, &n)) != NULL)
        return add_sided(L, to, mirrored(kind), b->node, n, numbers);
    if (!has_variables(L, to->m->obj, a) && has_variables(L, to->m->obj, b))
        return add_sided(L, to, mirrored(kind), subtract(L, to->m->obj, b, a), 1, &zero);
    return add_sided(L, to, kind, subtract(L, to->m->obj, a, b), 1, &zero);
}

static void add_between(lua_State *L, const adding *to, operand *lo, operand *e, operand *hi)
{
    int64_t n, k;
    to->part->block2 = -1;
    if (e->kind == OPERAND_EXPR) {
        const double *lower = side(L, e, lo, &n), *upper = side(L, e, hi, &k);
        if (lower != NULL && upper != NULL && n != k) { /* a number beside an array */
            lower = n < k ? repeated(L, k, lower[0]) : lower;
            upper = k < n ? repeated(L, n, upper[0]) : upper;
            n = n > k ? n : k;
        }
        if (lower != NULL && upper != NULL) {
            to->part->block = add(L, to, e->node, n, lower, upper);
            return;
        }
    }
    to->part->block = add_pair(L, to, CONSTRAINT_GE, e, lo);
    const int64_t rows = to->part->rows, cols = to->part->cols;
    to->part->block2 = add_pair(L, to, CONSTRAINT_LE, e, hi);
    if (rows != to->part->rows || cols != to->part->cols)
        dsl_raise(L, "between: both sides must give the same number of rows");
}

/* The constraint at stack index i, into to->part. Its operands and what is made of them stay on the stack above. */
static void add_constraint(lua_State *L, const adding *to, int i)
{
    const dsl_constraint *c = lua_touserdata(L, i);
    const int n = c->kind == CONSTRAINT_BETWEEN ? 3 : 2;
    operand a[3];
    for (int k = 0; k < n; k++) {
        lua_getiuservalue(L, i, k + 1);
        check_operand(L, -1, "subject_to", &a[k]);
    }
    const dsl_model_ud *model = common_model(L, n, a);
    if (model == NULL)
        raise_at(L, c->where, "subject_to: a comparison of numbers alone is not a constraint");
    if (model != to->m->root)
        raise_at(L, c->where, "subject_to: a constraint on model \"%s\" was given to model \"%s\"", model->name,
                 to->m->name);
    to->part->block2 = -1;
    to->part->list = a[0].list || a[1].list || (n == 3 && a[2].list);
    if (n == 3)
        add_between(L, to, &a[0], &a[1], &a[2]);
    else
        to->part->block = add_pair(L, to, c->kind, &a[0], &a[1]);
}

/* The model at 1; where it cannot take constraints, those that were written for it are forgotten. */
static dsl_model_ud *constrained_model(lua_State *L)
{
    const dsl_state *s = state_of(L);
    const dsl_model_ud *m = type_of(L, s, 1) == TYPE_MODEL ? lua_touserdata(L, 1) : NULL;
    if (m == NULL || m->obj == NULL || m->root->obj == NULL || m->root->busy > 0 || s->frame != NULL)
        pending_clear(L);
    if (s->frame != NULL)
        dsl_raise(L, "subject_to cannot be called inside the function of a peri.map; constrain the whole map instead");
    return check_model(L, 1);
}

int subject_to(lua_State *L)
{
    luaL_checkstack(L, 60, "subject_to");
    dsl_model_ud *m = constrained_model(L);
    int first = 2;
    const int last = lua_gettop(L);
    adding to = {m, NULL, NULL};
    if (last >= 2 && lua_type(L, 2) == LUA_TSTRING) {
        to.name = lua_tostring(L, 2);
        first = 3;
    }
    lua_newtable(L);
    gathering g = {lua_gettop(L), 0, 0};
    for (int i = first; i <= last; i++)
        collect(L, &g, i, 0);
    check_queue_used(L, g.used);
    pending_clear(L);
    if (g.n == 0)
        dsl_raise(L, "subject_to: no constraint was given");
    dsl_handle *h = box_new(L, TYPE_HANDLE, sizeof *h + (size_t)g.n * sizeof h->part[0], 1);
    push_root(L, 1);
    lua_setiuservalue(L, -2, UV_PARENT);
    const int top = lua_gettop(L);
    for (int64_t k = 0; k < g.n; k++) {
        to.part = &h->part[k];
        lua_rawgeti(L, g.list, k + 1);
        add_constraint(L, &to, top + 1);
        h->n = k + 1;
        lua_settop(L, top);
    }
    return 1;
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

/* h[k]: the handle of the k-th constraint of the call */
static int l_handle_index(lua_State *L)
{
    const dsl_handle *h = lua_touserdata(L, 1);
    const int64_t k = check_integer(L, 2, "handle: the index");
    if (k < 1 || k > h->n)
        dsl_raise(L, "handle: index %lld is outside 1 .. %lld", (long long)k, (long long)h->n);
    dsl_handle *one = box_new(L, TYPE_HANDLE, sizeof *one + sizeof one->part[0], 1);
    lua_getiuservalue(L, 1, UV_PARENT);
    lua_setiuservalue(L, -2, UV_PARENT);
    one->part[0] = h->part[k - 1];
    one->n = 1;
    return 1;
}

static int l_handle_len(lua_State *L)
{
    lua_pushinteger(L, ((const dsl_handle *)lua_touserdata(L, 1))->n);
    return 1;
}

const luaL_Reg constraint_functions[] = {
    {"le", l_le}, {"ge", l_ge}, {"eq", l_eq}, {"between", l_between}, {NULL, NULL}};
const luaL_Reg constraint_metamethods[] = {{"__tostring", l_constraint_tostring},
                                           {"__le", l_compare_constraints},
                                           {"__lt", l_compare_constraints},
                                           {NULL, NULL}};
const luaL_Reg handle_metamethods[] = {{"__index", l_handle_index}, {"__len", l_handle_len}, {NULL, NULL}};
