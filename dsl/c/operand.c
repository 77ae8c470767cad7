/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operand.c - operations on whatever Lua gives: numbers, arrays and expressions, plain or in a peri.map. Numbers and
 * arrays alone are computed at once, in a scratch model that is thrown away when it has grown; as soon as an expression
 * takes part they enter its model as constants.
 */
#include "internal.h"
#include <math.h>
#include <string.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void read_expr(lua_State *L, int i, operand *a)
{
    const dsl_expr *e = lua_touserdata(L, i);
    a->kind = OPERAND_EXPR;
    a->model = e->model;
    a->node = e->node;
    a->frame = e->frame;
    a->row = e->row;
    a->list = e->list;
    if (e->model->obj == NULL)
        dsl_raise(L, "model \"%s\" is closed: its expressions are gone", e->model->name);
    if (e->frame != 0) {
        a->rows = e->rows;
        a->cols = e->cols;
    } else {
        peri_expr_shape(e->model->obj, e->node, &a->rows, &a->cols);
    }
}

static void read_array(lua_State *L, int i, dsl_array *array, operand *a)
{
    if (array->ramp)
        write_ramp(L, i, array);
    a->kind = OPERAND_ARRAY;
    a->array = array;
    a->frame = array->frame;
    a->row = array->row;
    a->list = true;
    a->rows = array->frame != 0 ? array->item_rows : array->rows;
    a->cols = array->frame != 0 ? array->item_cols : array->cols;
}

bool read_operand(lua_State *L, int i, operand *a)
{
    memset(a, 0, sizeof *a);
    a->at = i = lua_absindex(L, i);
    switch (lua_type(L, i)) {
    case LUA_TNUMBER:
        a->kind = OPERAND_NUMBER;
        a->number = lua_tonumber(L, i);
        a->rows = a->cols = 1;
        return !isnan(a->number);
    case LUA_TUSERDATA: {
        const dsl_type type = type_of(L, state_of(L), i);
        if (type == TYPE_EXPR)
            read_expr(L, i, a);
        else if (type == TYPE_ARRAY || type == TYPE_INDEX)
            read_array(L, i, lua_touserdata(L, i), a);
        else
            return false;
        return true;
    }
    case LUA_TTABLE:
        if (lua_rawlen(L, i) == 0)
            return false;
        read_array(L, -1, array_from_table(L, i, "table"), a);
        lua_replace(L, i);
        return true;
    default:
        return false;
    }
}

void check_operand(lua_State *L, int i, const char *what, operand *a)
{
    char text[200];
    if (read_operand(L, i, a))
        return;
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s: %s is not a number, an array or an expression", what, text);
}

int check_operands(lua_State *L, int n, const char *what, operand *a)
{
    int last = 0;
    for (int k = 0; k < n; k++) {
        check_operand(L, k + 1, what, &a[k]);
        last = a[k].kind == OPERAND_EXPR ? k + 1 : last;
    }
    return last;
}

int64_t check_integer(lua_State *L, int i, const char *what)
{
    int fits;
    char text[200];
    const lua_Integer value = lua_tointegerx(L, i, &fits);
    if (fits && lua_type(L, i) == LUA_TNUMBER)
        return value;
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s must be an integer, not %s", what, text);
}

const char *optional_text(lua_State *L, int i, const char *what, const char *absent)
{
    char text[200];
    if (lua_isnoneornil(L, i))
        return absent;
    if (lua_type(L, i) == LUA_TSTRING)
        return lua_tostring(L, i);
    describe(L, i, text, sizeof text);
    dsl_raise(L, "%s must be a string, not %s", what, text);
}

/* ---- which model, which frame ------------------------------------------------------------------------------------ */

dsl_model_ud *common_model(lua_State *L, int n, const operand *a)
{
    char x[200], y[200];
    const operand *first = NULL;
    for (int k = 0; k < n; k++) {
        if (a[k].kind != OPERAND_EXPR)
            continue;
        if (first == NULL)
            first = &a[k];
        else if (a[k].model != first->model) {
            describe(L, first->at, x, sizeof x);
            describe(L, a[k].at, y, sizeof y);
            dsl_raise(L, "%s belongs to model \"%s\" and %s to model \"%s\": they cannot be combined", x,
                  first->model->name, y, a[k].model->name);
        }
    }
    return first != NULL ? first->model : NULL;
}

dsl_frame *frame_of(lua_State *L, uint32_t id)
{
    dsl_frame *f = state_of(L)->frame;
    while (f != NULL && f->id != id)
        f = f->up;
    if (f == NULL)
        dsl_raise(L, "peri.map: a value that depends on the index is used after its peri.map has ended");
    return f;
}

dsl_frame *common_frame(lua_State *L, int n, const operand *a)
{
    dsl_frame *deepest = NULL;
    for (int k = 0; k < n; k++) {
        if (a[k].frame == 0)
            continue;
        dsl_frame *f = frame_of(L, a[k].frame);
        if (deepest == NULL || f->total > deepest->total || (f->total == deepest->total && f->id > deepest->id))
            deepest = f;
    }
    return deepest;
}

enum { SCRATCH_LIMIT = 1 << 16, SCRATCH_STEP = 256 };

peri_model *model_or_scratch(lua_State *L, dsl_model_ud *model)
{
    dsl_state *s = state_of(L);
    if (model != NULL && model->busy > 0)
        dsl_raise(L, "model \"%s\" is being evaluated: a callback cannot work on its expressions", model->name);
    if (model != NULL)
        return model->obj;
    if (s->scratch != NULL && s->scratch_load > SCRATCH_LIMIT) {
        peri_model_free(s->scratch);
        s->scratch = NULL;
    }
    if (s->scratch == NULL) {
        s->scratch_load = 0;
        s->scratch = peri_model_new(s->ctx, "arrays");
        if (s->scratch == NULL)
            dsl_raise(L, "out of memory");
    }
    s->scratch_load += SCRATCH_STEP; /* a cost of each operation, so that the graph stays small */
    return s->scratch;
}

/* An array or number as a constant of m. Not for lifted values: see lift_read. */
peri_expr node_of(lua_State *L, peri_model *m, const operand *a)
{
    dsl_state *s = state_of(L);
    peri_expr node = a->node;
    if (a->kind == OPERAND_NUMBER) {
        check_status(L, peri_expr_number(m, a->number, &node));
    } else if (a->kind == OPERAND_ARRAY) {
        const peri_array image = array_image(a->array);
        s->scratch_load += image.nnz < 0 ? image.rows * image.cols : image.nnz + image.rows;
        check_status(L, peri_expr_const(m, &image, &node));
    }
    return node;
}

peri_expr *nodes_of(lua_State *L, peri_model *m, int n, const operand *a)
{
    peri_expr *node = temporary(L, (size_t)n, sizeof *node);
    for (int k = 0; k < n; k++)
        node[k] = node_of(L, m, &a[k]);
    return node;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

void push_root(lua_State *L, int at)
{
    const dsl_model_ud *m = type_of(L, state_of(L), at) == TYPE_MODEL ? lua_touserdata(L, at) : NULL;
    if (m != NULL && m->root == m)
        lua_pushvalue(L, at);
    else
        lua_getiuservalue(L, at, UV_PARENT);
}

/* A plain expression whose node is still to be set, of the same root model as the model or expression at `at`. */
static dsl_expr *push_expr(lua_State *L, dsl_model_ud *model, int at)
{
    dsl_expr *e = lua_newuserdatauv(L, sizeof *e, 1);
    *e = (dsl_expr){.model = model, .node = PERI_NO_EXPR};
    push_root(L, at < 0 ? at - 1 : at);
    lua_setiuservalue(L, -2, UV_PARENT);
    lua_getiuservalue(L, lua_upvalueindex(1), 1 + TYPE_EXPR);
    lua_setmetatable(L, -2);
    return e;
}

/* The same as the expression at `at`, which is plain, has its metatable and its root model. */
static dsl_expr *push_alike(lua_State *L, dsl_model_ud *model, int at)
{
    dsl_expr *e = lua_newuserdatauv(L, sizeof *e, 1);
    *e = (dsl_expr){.model = model, .node = PERI_NO_EXPR};
    lua_getiuservalue(L, at, UV_PARENT);
    lua_setiuservalue(L, -2, UV_PARENT);
    lua_getmetatable(L, at);
    lua_setmetatable(L, -2);
    return e;
}

/* ---- the short way, for what loops are made of: plain expressions and numbers ------------------------------------ */

/* The plain expression at index i of a model that is there and idle; NULL: the long way. */
static const dsl_expr *plain_expr(lua_State *L, const dsl_state *s, int i)
{
    const dsl_expr *e = lua_touserdata(L, i);
    if (e == NULL || !lua_getmetatable(L, i))
        return NULL;
    const bool is_expr = lua_topointer(L, -1) == s->type[TYPE_EXPR];
    lua_pop(L, 1);
    return is_expr && e->frame == 0 && !e->row && e->model->obj != NULL && e->model->busy == 0 ? e : NULL;
}

/* op of two operands at 1 and 2; false: not for the short way, nothing is pushed */
bool apply_plain(lua_State *L, peri_op op)
{
    const dsl_state *s = state_of(L);
    peri_expr node[2];
    dsl_model_ud *model = NULL;
    bool list[2] = {false, false};
    int at = 0;
    for (int k = 0; k < 2; k++) {
        const dsl_expr *e = plain_expr(L, s, k + 1);
        if (e == NULL)
            continue;
        if (model != NULL && e->model != model)
            return false;
        model = e->model;
        node[k] = e->node;
        list[k] = e->list;
        at = at * 2 + k + 1; /* 1, 2 or, for both, 4 */
    }
    if (at == 0)
        return false;
    if (at != 4) { /* the other one must be a number */
        const int other = 3 - at;
        if (lua_type(L, other) != LUA_TNUMBER ||
            peri_expr_number(model->obj, lua_tonumber(L, other), &node[other - 1]) != PERI_OK)
            return false;
    }
    if (peri_expr_op(model->obj, op, 2, node, &node[0]) != PERI_OK)
        return false;
    dsl_expr *e = push_alike(L, model, at == 4 ? 1 : at);
    e->node = node[0];
    e->list = list[0] || (list[1] && op != PERI_OP_MATMUL);
    return true;
}

/* op, which is elementwise, of the operand at 1; false as above */
bool apply_plain_unary(lua_State *L, peri_op op)
{
    const dsl_expr *a = plain_expr(L, state_of(L), 1);
    peri_expr node;
    if (a == NULL || peri_expr_op(a->model->obj, op, 1, &a->node, &node) != PERI_OK)
        return false;
    dsl_expr *e = push_alike(L, a->model, 1);
    e->node = node;
    e->list = a->list;
    return true;
}

/* The entry of a vector at 1 whose number is the integer at 2; false as above */
bool index_plain(lua_State *L)
{
    int fits;
    int64_t rows, cols;
    const lua_Integer i = lua_tointegerx(L, 2, &fits);
    const dsl_expr *e = fits ? plain_expr(L, state_of(L), 1) : NULL;
    peri_expr node;
    if (e == NULL)
        return false;
    peri_expr_shape(e->model->obj, e->node, &rows, &cols);
    if (cols != 1 || i < 1 || i > rows || peri_expr_range(e->model->obj, e->node, 1, 1, i - 1, 1, &node) != PERI_OK)
        return false;
    push_alike(L, e->model, 1)->node = node;
    return true;
}

static void push_value(lua_State *L, peri_model *m, peri_expr node, unsigned form)
{
    int64_t rows, cols;
    double number;
    peri_expr_shape(m, node, &rows, &cols);
    if (rows == 1 && cols == 1 && (form & FORM_LIST) == 0) {
        check_status(L, peri_expr_value(m, node, 0, NULL, NULL, &number));
        lua_pushnumber(L, number);
        return;
    }
    dsl_array *a = array_new(L, rows, cols);
    state_of(L)->scratch_load += rows * cols;
    a->row = (form & FORM_ROW) != 0 && rows == 1;
    check_status(L, peri_expr_value(m, node, 0, NULL, NULL, a->data));
}

int push_node(lua_State *L, dsl_model_ud *model, int at, peri_expr node, unsigned form)
{
    int64_t rows, cols;
    if (model == NULL) {
        push_value(L, state_of(L)->scratch, node, form);
        return 1;
    }
    dsl_expr *e = push_expr(L, model, at);
    e->node = node;
    e->list = (form & FORM_LIST) != 0;
    if ((form & FORM_ROW) != 0) {
        peri_expr_shape(model->obj, node, &rows, &cols);
        e->row = rows == 1 && (cols > 1 || e->list);
    }
    return 1;
}

static void push_index_value(lua_State *L, peri_model *m, peri_expr node, uint32_t frame, int64_t rows, int64_t cols,
                             bool row)
{
    int64_t total, size;
    peri_expr_shape(m, node, &total, &size);
    dsl_array *a = array_new(L, total, size);
    lua_getiuservalue(L, lua_upvalueindex(1), 1 + TYPE_INDEX);
    lua_setmetatable(L, -2);
    a->frame = frame & 0x3fffffff;
    a->item_rows = (int32_t)rows;
    a->item_cols = (int32_t)cols;
    a->row = row && rows == 1 && cols > 1;
    state_of(L)->scratch_load += total * size;
    check_status(L, peri_expr_value(m, node, 0, NULL, NULL, a->data));
}

int push_lifted(lua_State *L, dsl_model_ud *model, int at, peri_expr node, uint32_t frame, int64_t rows, int64_t cols,
                bool row)
{
    if (model == NULL) {
        push_index_value(L, state_of(L)->scratch, node, frame, rows, cols, row);
        return 1;
    }
    dsl_expr *e = push_expr(L, model, at);
    e->node = node;
    e->frame = frame & 0x3fffffff;
    e->rows = (int32_t)rows;
    e->cols = (int32_t)cols;
    e->row = row && rows == 1 && cols > 1;
    return 1;
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static const char *verb_of(peri_op op)
{
    switch (op) {
    case PERI_OP_ADD:
        return "added";
    case PERI_OP_SUB:
        return "subtracted";
    case PERI_OP_MUL:
    case PERI_OP_MATMUL:
        return "multiplied";
    case PERI_OP_DIV:
        return "divided";
    default:
        return NULL;
    }
}

/* Shapes that do not fit, said with the names of the script. */
static noreturn void raise_shapes(lua_State *L, peri_op op, const operand *a)
{
    char x[200], y[200];
    describe(L, a[0].at, x, sizeof x);
    describe(L, a[1].at, y, sizeof y);
    if (op == PERI_OP_MATMUL)
        dsl_raise(L, "%s and %s cannot be multiplied: %lld column%s and %lld row%s", x, y, (long long)a[0].cols,
              a[0].cols == 1 ? "" : "s", (long long)a[1].rows, a[1].rows == 1 ? "" : "s");
    if (verb_of(op) != NULL)
        dsl_raise(L, "%s and %s cannot be %s", x, y, verb_of(op));
    if (op == PERI_OP_DOT)
        dsl_raise(L, "dot: %s and %s have different numbers of entries", x, y);
    dsl_raise(L, "%s: %s and %s do not fit", peri_op_name(op), x, y);
}

static bool fits(int64_t a, int64_t b)
{
    return a == b || a == 1 || b == 1;
}

static void check_shapes(lua_State *L, peri_op op, int n, const operand *a)
{
    bool ok = true;
    if (op == PERI_OP_MATMUL)
        ok = a[0].cols == a[1].rows;
    else if (op == PERI_OP_DOT)
        ok = a[0].rows * a[0].cols == a[1].rows * a[1].cols;
    else if (n == 2 && op == PERI_OP_SOLVE)
        ok = a[0].rows == a[0].cols && a[1].rows == a[0].rows;
    else if (n == 2)
        ok = fits(a[0].rows, a[1].rows) && fits(a[0].cols, a[1].cols);
    if (!ok)
        raise_shapes(L, op, a);
}

/* A product with a number on one side is the elementwise one. */
static bool scales(peri_op op, const operand *a)
{
    return op == PERI_OP_MATMUL && ((a[0].rows == 1 && a[0].cols == 1) || (a[1].rows == 1 && a[1].cols == 1)) &&
           a[0].cols != a[1].rows;
}

static int apply_lifted(lua_State *L, peri_op op, int n, operand *a, dsl_model_ud *model, const dsl_frame *frame,
                        bool row)
{
    const lift_ctx c = {model_or_scratch(L, model), frame, state_of(L)};
    lift_value v[3];
    int at = 0;
    for (int k = 0; k < n; k++) {
        v[k] = lift_read(L, &c, &a[k]);
        at = a[k].kind == OPERAND_EXPR ? a[k].at : at;
    }
    const lift_value r = lift_op(L, &c, op, n, v);
    return push_lifted(L, model, at, r.node, frame->id, r.rows, r.cols, row);
}

/* A result with one entry is a scalar where all operands are, and where the operation makes one number of many. */
static bool gives_list(peri_op op, int n, const operand *a)
{
    switch (op) {
    case PERI_OP_SUM:
    case PERI_OP_MEAN:
    case PERI_OP_MAX:
    case PERI_OP_MIN:
    case PERI_OP_DOT:
    case PERI_OP_NORM1:
    case PERI_OP_NORM2:
    case PERI_OP_NORMINF:
    case PERI_OP_LOGSUMEXP:
    case PERI_OP_TRACE:
    case PERI_OP_LOGDET:
        return false;
    case PERI_OP_MATMUL: /* of a row: the inner product */
        return a[0].list && !a[0].row;
    default:
        return a[0].list || (n > 1 && a[1].list) || (n > 2 && a[2].list);
    }
}

int apply(lua_State *L, peri_op op, int n, operand *a)
{
    peri_expr node[3];
    bool row = false;
    int at = 0;
    for (int k = 0; k < n; k++) {
        row = row || a[k].row;
        at = a[k].kind == OPERAND_EXPR ? a[k].at : at;
    }
    dsl_model_ud *model = common_model(L, n, a);
    if (scales(op, a))
        op = PERI_OP_MUL;
    check_shapes(L, op, n, a);
    if (model == NULL && array_sparse_op(L, op, n, a))
        return 1;
    row = op == PERI_OP_TRANSPOSE ? a[0].cols == 1 : row;
    const dsl_frame *frame = common_frame(L, n, a);
    if (frame != NULL)
        return apply_lifted(L, op, n, a, model, frame, row);
    peri_model *m = model_or_scratch(L, model);
    for (int k = 0; k < n; k++)
        node[k] = node_of(L, m, &a[k]);
    check_status(L, peri_expr_op(m, op, n, node, &node[0]));
    return push_node(L, model, at, node[0], (row ? FORM_ROW : 0) | (gives_list(op, n, a) ? FORM_LIST : 0));
}

/* ---- along a dimension ------------------------------------------------------------------------------------------- */

bool can_go_along(peri_op op)
{
    switch (op) {
    case PERI_OP_SUM:
    case PERI_OP_MEAN:
    case PERI_OP_MAX:
    case PERI_OP_MIN:
    case PERI_OP_NORM1:
    case PERI_OP_NORM2:
    case PERI_OP_NORMINF:
    case PERI_OP_LOGSUMEXP:
    case PERI_OP_SOFTMAX:
    case PERI_OP_CUMSUM:
        return true;
    default:
        return false;
    }
}

int apply_along(lua_State *L, peri_op op, int dim, operand *a)
{
    dsl_model_ud *model = a->kind == OPERAND_EXPR ? a->model : NULL;
    peri_model *m = model_or_scratch(L, model);
    peri_expr node;
    if (a->frame != 0) {
        const lift_ctx c = {m, frame_of(L, a->frame), state_of(L)};
        const lift_value r = lift_along(L, &c, op, dim, lift_read(L, &c, a));
        return push_lifted(L, model, a->at, r.node, a->frame, r.rows, r.cols, r.rows == 1);
    }
    const bool keeps = op == PERI_OP_SOFTMAX || op == PERI_OP_CUMSUM;
    check_status(L, peri_expr_along(m, op, node_of(L, m, a), dim, &node));
    return push_node(L, model, a->at, node, FORM_LIST | ((keeps ? a->row : dim == 1) ? FORM_ROW : 0));
}
