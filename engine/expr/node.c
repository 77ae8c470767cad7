/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.c - a graph's life, sharing of argument lists, constants and index lists, the names of inputs, and looking at nodes. The nodes themselves are in
 * table.c. Invariant: no two constants and no two index lists are equal.
 */
#include "expr/node.h"
#include <string.h>

expr_graph *expr_graph_new(peri_context *ctx)
{
    expr_graph *g = mem_alloc(&ctx->mem, sizeof *g);
    if (g == NULL)
        return NULL;
    g->ctx = ctx;
    g->m = &ctx->mem;
    arena_init(&g->data, g->m);
    hash_init(&g->const_map, g->m);
    hash_init(&g->list_map, g->m);
    return g;
}

static void free_names(expr_graph *g, struct expr_name *names, int64_t n, int64_t cap)
{
    for (int64_t i = 0; i < n; i++)
        mem_array_free(g->m, names[i].name);
    mem_free(g->m, names, (size_t)cap * sizeof *names);
}

void expr_graph_free(expr_graph *g)
{
    if (g == NULL)
        return;
    free_names(g, g->x_name, g->n_x_name, g->cap_x_name);
    free_names(g, g->param_name, g->n_param_name, g->cap_param_name);
    expr_release_nodes(g);
    vec_free(g->m, &g->args);
    vec_free(g->m, &g->consts);
    vec_free(g->m, &g->lists);
    vec_free(g->m, &g->calls);
    vec_free(g->m, &g->rules);
    vec_free(g->m, &g->names);
    vec_free(g->m, &g->param_value);
    hash_release(&g->const_map);
    hash_release(&g->list_map);
    arena_release(&g->data);
    mem_free(g->m, g, sizeof *g);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

expr_node expr_blank(peri_op op, int64_t rows, int64_t cols)
{
    expr_node node;
    memset(&node, 0, sizeof node);
    node.op = (uint8_t)op;
    node.rows = (int32_t)rows;
    node.cols = (int32_t)cols;
    node.arg[0] = node.arg[1] = node.arg[2] = -1;
    return node;
}

/* Interns a node with an argument list; the list is dropped again when the node is already there. */
peri_status expr_intern_list(expr_graph *g, expr_node node, int64_t n, int64_t length, const expr_id *list, expr_id *out)
{
    const int64_t before = g->args.n;
    if (before + length > INT32_MAX || !vec_reserve(g->m, &g->args, before + length))
        return FAIL_NOMEM(g->ctx);
    if (length > 0)
        memcpy(g->args.at + before, list, (size_t)length * sizeof *list);
    g->args.n += length;
    node.many.list = (int32_t)before;
    node.many.n = (int32_t)n;
    node.many.unused = 0;
    const int64_t nodes = g->nodes.n;
    const peri_status status = expr_intern(g, &node, out);
    if (status != PERI_OK || g->nodes.n == nodes)
        g->args.n = before;
    return status;
}

/* ---- constants and index lists -------------------------------------------------------------------------------------- */

static size_t numbers_of(const expr_const *c)
{
    return c->same ? 1 : (size_t)c->nnz;
}

static bool const_equal(const expr_const *a, const expr_const *b)
{
    if (a->rows != b->rows || a->cols != b->cols || a->nnz != b->nnz || (a->col == NULL) != (b->col == NULL) || a->same != b->same)
        return false;
    if (memcmp(a->data, b->data, numbers_of(a) * sizeof *a->data) != 0)
        return false;
    return a->col == NULL || (memcmp(a->col, b->col, (size_t)a->nnz * sizeof *a->col) == 0 &&
                              memcmp(a->row_start, b->row_start, ((size_t)a->rows + 1) * sizeof *a->row_start) == 0);
}

static uint64_t const_hash(const expr_const *value)
{
    uint64_t h = hash_join(hash_bytes(value->data, numbers_of(value) * sizeof *value->data), (uint64_t)value->rows);
    if (value->col != NULL)
        h = hash_join(h, hash_bytes(value->col, (size_t)value->nnz * sizeof *value->col));
    return hash_join(h, (uint64_t)value->cols);
}

static bool find_const(const expr_graph *g, const expr_const *value, int64_t *ref)
{
    return hash_get(&g->const_map, value->hash, ref) && const_equal(&g->consts.at[*ref], value);
}

static peri_status add_const(expr_graph *g, const expr_const *value, int64_t *ref)
{
    if (!vec_push(g->m, &g->consts, *value) || !hash_put(&g->const_map, value->hash, g->consts.n - 1))
        return FAIL_NOMEM(g->ctx);
    *ref = g->consts.n - 1;
    return PERI_OK;
}

peri_status expr_intern_part(expr_graph *g, expr_const value, int64_t *ref)
{
    value.hash = const_hash(&value);
    return find_const(g, &value, ref) ? PERI_OK : add_const(g, &value, ref);
}

peri_status expr_intern_const(expr_graph *g, expr_const value, int64_t *ref)
{
    value.hash = const_hash(&value);
    if (find_const(g, &value, ref))
        return PERI_OK;
    double *data = arena_array(&g->data, numbers_of(&value), sizeof *data);
    if (data == NULL)
        return FAIL_NOMEM(g->ctx);
    memcpy(data, value.data, numbers_of(&value) * sizeof *data);
    value.data = data;
    if (value.col != NULL) {
        int32_t *col = arena_array(&g->data, (size_t)value.nnz, sizeof *col);
        int32_t *start = arena_array(&g->data, (size_t)value.rows + 1, sizeof *start);
        if (col == NULL || start == NULL)
            return FAIL_NOMEM(g->ctx);
        memcpy(col, value.col, (size_t)value.nnz * sizeof *col);
        memcpy(start, value.row_start, ((size_t)value.rows + 1) * sizeof *start);
        value.col = col;
        value.row_start = start;
    }
    return add_const(g, &value, ref);
}

static bool list_is_unique(expr_graph *g, const expr_list *list, bool *unique)
{
    const int64_t span = (int64_t)list->hi - list->lo + 1;
    *unique = false;
    if (span < list->n)
        return true;
    if (list->n < 2) {
        *unique = true;
        return true;
    }
    if (span > 64 * list->n + 1024) { /* wide and sparse: not worth a bit map; strictly increasing lists still count */
        for (int64_t k = 1; k < list->n; k++)
            if (list->at[k] <= list->at[k - 1])
                return true;
        *unique = true;
        return true;
    }
    const size_t bytes = (size_t)span / 8 + 1;
    unsigned char *seen = mem_alloc(g->m, bytes);
    if (seen == NULL)
        return false;
    *unique = true;
    for (int64_t k = 0; k < list->n && *unique; k++) {
        const int64_t at = list->at[k] - list->lo;
        *unique = !(seen[at / 8] & (1u << (at % 8)));
        seen[at / 8] = (unsigned char)(seen[at / 8] | (1u << (at % 8)));
    }
    mem_free(g->m, seen, bytes);
    return true;
}

peri_status expr_intern_list_data(expr_graph *g, int64_t n, const int32_t *index, int64_t *ref)
{
    const uint64_t h = hash_join(hash_bytes(index, (size_t)n * sizeof *index), (uint64_t)n);
    if (hash_get(&g->list_map, h, ref) && g->lists.at[*ref].n == n && g->lists.at[*ref].stride == 0 &&
        memcmp(g->lists.at[*ref].at, index, (size_t)n * sizeof *index) == 0)
        return PERI_OK;
    expr_list list = {.n = n, .hash = h, .lo = INT32_MAX, .hi = -1};
    list.at = arena_array(&g->data, (size_t)n, sizeof *list.at);
    if (list.at == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n; k++) {
        list.at[k] = index[k];
        list.lo = index[k] < list.lo ? index[k] : list.lo;
        list.hi = index[k] > list.hi ? index[k] : list.hi;
    }
    if (!list_is_unique(g, &list, &list.unique) || !vec_push(g->m, &g->lists, list) ||
        !hash_put(&g->list_map, h, g->lists.n - 1))
        return FAIL_NOMEM(g->ctx);
    *ref = g->lists.n - 1;
    return PERI_OK;
}

peri_status expr_list_steps(expr_graph *g, int64_t n, int64_t first, int64_t stride, int64_t *ref)
{
    const int32_t step = n > 1 ? (int32_t)stride : 1, last = (int32_t)(first + (n - 1) * step);
    const uint64_t h = hash_join(hash_join(UINT64_C(0x9ddfea08eb382d69) + (uint64_t)n, (uint64_t)first), (uint64_t)step);
    if (hash_get(&g->list_map, h, ref) && g->lists.at[*ref].n == n && g->lists.at[*ref].first == first && g->lists.at[*ref].stride == step)
        return PERI_OK;
    const expr_list list = {.n = n, .first = (int32_t)first, .stride = step, .hash = h, .unique = true,
                            .lo = step > 0 ? (int32_t)first : last, .hi = step > 0 ? last : (int32_t)first};
    if (!vec_push(g->m, &g->lists, list) || !hash_put(&g->list_map, h, g->lists.n - 1))
        return FAIL_NOMEM(g->ctx);
    *ref = g->lists.n - 1;
    return PERI_OK;
}

peri_status expr_list_ref(expr_graph *g, int64_t n, const int32_t *index, int64_t *ref)
{
    const int64_t stride = n > 1 ? (int64_t)index[1] - index[0] : 1;
    bool steps = stride != 0 && stride >= -INT32_MAX && stride <= INT32_MAX;
    for (int64_t k = 2; k < n && steps; k++)
        steps = (int64_t)index[k] - index[k - 1] == stride;
    return steps ? expr_list_steps(g, n, index[0], stride, ref) : expr_intern_list_data(g, n, index, ref);
}

const int32_t *expr_list_data(expr_graph *g, int64_t ref)
{
    expr_list *list = &g->lists.at[ref];
    if (list->at != NULL)
        return list->at;
    int32_t *at = arena_array(&g->data, (size_t)list->n, sizeof *at);
    for (int64_t k = 0; k < list->n && at != NULL; k++)
        at[k] = (int32_t)(list->first + k * list->stride);
    list->at = at;
    return at;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------------ */

static peri_status add_name(expr_graph *g, struct expr_name **names, int64_t *n, int64_t *cap, const char *name,
                            const struct expr_name *entry)
{
    if (*n == *cap && !vec_grow_(g->m, (void **)names, cap, *n + 1, sizeof **names))
        return FAIL_NOMEM(g->ctx);
    char *copy = mem_string(g->m, name);
    if (copy == NULL)
        return FAIL_NOMEM(g->ctx);
    (*names)[*n] = *entry;
    (*names)[*n].name = copy;
    (*n)++;
    return PERI_OK;
}

peri_status expr_input(expr_graph *g, int class_, int64_t offset, int64_t rows, int64_t cols, expr_id *out)
{
    expr_node node = expr_blank(PERI_OP_INPUT, rows, cols);
    node.class_ = (uint16_t)class_;
    node.ref = offset;
    return expr_intern(g, &node, out);
}

static peri_status check_input_size(expr_graph *g, const char *name, int64_t rows, int64_t cols, int64_t before)
{
    if (rows < 1 || cols < 1)
        return FAIL(g->ctx, PERI_E_SHAPE, "%s: shape %lld x %lld is empty; rows and columns start at 1", name,
                    (long long)rows, (long long)cols);
    if (rows > INT32_MAX / cols || before > INT32_MAX - rows * cols)
        return FAIL(g->ctx, PERI_E_SHAPE, "%s: shape %lld x %lld is too large; 2^31 - 1 entries at most", name,
                    (long long)rows, (long long)cols);
    return PERI_OK;
}

peri_status expr_new_var(expr_graph *g, const char *name, int64_t rows, int64_t cols, expr_id *out)
{
    TRY(check_input_size(g, name, rows, cols, g->n_x));
    struct expr_name entry = {NULL, g->n_x, (int32_t)rows, (int32_t)cols, -1};
    TRY(expr_input(g, EXPR_IN_X, g->n_x, rows, cols, out));
    entry.node = *out;
    TRY(add_name(g, &g->x_name, &g->n_x_name, &g->cap_x_name, name, &entry));
    g->n_x += rows * cols;
    return PERI_OK;
}

peri_status expr_new_param(expr_graph *g, const char *name, int64_t rows, int64_t cols, const double *value, expr_id *out)
{
    TRY(check_input_size(g, name, rows, cols, g->n_param));
    struct expr_name entry = {NULL, g->n_param, (int32_t)rows, (int32_t)cols, -1};
    TRY(expr_input(g, EXPR_IN_PARAM, g->n_param, rows, cols, out));
    entry.node = *out;
    if (!vec_reserve(g->m, &g->param_value, g->n_param + rows * cols))
        return FAIL_NOMEM(g->ctx);
    TRY(add_name(g, &g->param_name, &g->n_param_name, &g->cap_param_name, name, &entry));
    memcpy(g->param_value.at + g->n_param, value, (size_t)(rows * cols) * sizeof *value);
    g->n_param += rows * cols;
    g->param_value.n = g->n_param;
    return PERI_OK;
}

peri_status expr_new_unknown(expr_graph *g, int64_t rows, int64_t cols, expr_id *out)
{
    TRY(check_input_size(g, "an unknown", rows, cols, g->n_y));
    TRY(expr_input(g, EXPR_IN_Y, g->n_y, rows, cols, out));
    g->n_y += rows * cols;
    return PERI_OK;
}

/* ---- looking ------------------------------------------------------------------------------------------------------------ */

int32_t expr_wide_args(const expr_graph *g, const expr_node *node, const expr_id **list)
{
    if (expr_has_list(node->op)) {
        *list = g->args.at + node->many.list;
        return node->many.n;
    }
    *list = node->arg;
    return (node->arg[0] >= 0) + (node->arg[1] >= 0) + (node->arg[2] >= 0);
}

static const char op_kind[] = {
#define PERI_OP(constant, name, args, kind) (#kind)[0],
#include <perigee/op.def>
#undef PERI_OP
};

bool expr_is_elementwise(int op)
{
    return op_kind[op] == 'E';
}

bool expr_is_nonsmooth(int op)
{
    switch (op) {
    case PERI_OP_ABS:
    case PERI_OP_SIGN:
    case PERI_OP_STEP:
    case PERI_OP_RELU:
    case PERI_OP_MIN2:
    case PERI_OP_MAX2:
    case PERI_OP_WHERE:
    case PERI_OP_MAX:
    case PERI_OP_MIN:
    case PERI_OP_ROWMAX:
        return true;
    default:
        return false;
    }
}

bool expr_constant_value(const expr_graph *g, expr_id e, double *value)
{
    if ((expr_code(g, e) & ~EXPR_WIDE) == PERI_OP_GATHER) /* a broadcast scalar */
        e = expr_at(g, e)->arg[0];
    if (expr_code(g, e) != PERI_OP_CONST) /* scalars are not wide */
        return false;
    *value = expr_cell_of(g, e)->value;
    return true;
}

const double *expr_const_data(const expr_graph *g, expr_id e)
{
    if (expr_code(g, e) == PERI_OP_CONST)
        return &expr_cell_of(g, e)->value;
    return g->consts.at[expr_at(g, e)->ref].data;
}

void expr_reach(const expr_graph *g, int64_t n_roots, const expr_id *roots, unsigned char *reach)
{
    expr_id top = -1;
    for (int64_t k = 0; k < n_roots; k++) {
        reach[roots[k]] = 1;
        top = roots[k] > top ? roots[k] : top;
    }
    for (expr_id e = top; e >= 0; e--) { /* arguments come before their node: one sweep suffices */
        if (!reach[e])
            continue;
        const expr_id *args;
        const int32_t n = expr_args(g, e, &args);
        for (int32_t k = 0; k < n; k++)
            reach[args[k]] = 1;
    }
}

void expr_mark_varying(const expr_graph *g, expr_id top, const unsigned char *reach, unsigned classes, unsigned char *varies)
{
    for (expr_id e = 0; e <= top; e++) {
        if (reach != NULL && !reach[e])
            continue;
        const expr_id *args;
        const expr_node *node = expr_at(g, e);
        const int32_t n = expr_args(g, e, &args);
        varies[e] = node->op == PERI_OP_INPUT && (classes >> node->class_ & 1) != 0;
        for (int32_t k = 0; k < n && !varies[e]; k++)
            varies[e] = varies[args[k]];
    }
}
