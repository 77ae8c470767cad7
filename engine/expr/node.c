/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.c - the table of nodes: storage, sharing (hash consing) of nodes, constants and index lists, and the names of inputs. Invariant: no two
 * nodes are equal, and a node's arguments have smaller numbers than the node.
 */
#include "expr/node.h"
#include <string.h>

enum { FIRST_TABLE = 1024 };

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
    vec_free(g->m, &g->nodes);
    vec_free(g->m, &g->args);
    vec_free(g->m, &g->consts);
    vec_free(g->m, &g->lists);
    vec_free(g->m, &g->calls);
    vec_free(g->m, &g->names);
    vec_free(g->m, &g->param_value);
    mem_free(g->m, g->table, (size_t)g->table_size * sizeof *g->table);
    hash_release(&g->const_map);
    hash_release(&g->list_map);
    arena_release(&g->data);
    mem_free(g->m, g, sizeof *g);
}

/* ---- hash consing ------------------------------------------------------------------------------------------------ */

static bool has_list(int op)
{
    return op == PERI_OP_STACK || op == PERI_OP_SCATTER;
}

static int64_t list_length(const expr_node *node)
{
    return node->op == PERI_OP_SCATTER ? 2 * (int64_t)node->many.n : node->many.n;
}

static uint64_t node_hash(const expr_graph *g, const expr_node *node)
{
    uint64_t word[4];
    memcpy(word, node, sizeof word);
    if (has_list(node->op)) {
        const uint64_t h = hash_bytes(g->args.at + node->many.list, (size_t)list_length(node) * sizeof(expr_id));
        return hash_join(hash_join(h, word[0]), (uint64_t)node->rows);
    }
    uint64_t h = word[0] * UINT64_C(0x9e3779b97f4a7c15) + word[1];
    h = (h ^ (h >> 29)) * UINT64_C(0xbf58476d1ce4e5b9) + word[2];
    h = (h ^ (h >> 32)) * UINT64_C(0x94d049bb133111eb) + word[3];
    h = (h ^ (h >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
    return h ^ (h >> 32);
}

static bool node_equal(const expr_graph *g, const expr_node *a, const expr_node *b)
{
    if (!has_list(a->op))
        return memcmp(a, b, sizeof *a) == 0;
    return a->op == b->op && a->rows == b->rows && a->cols == b->cols && a->many.n == b->many.n &&
           memcmp(g->args.at + a->many.list, g->args.at + b->many.list,
                  (size_t)list_length(a) * sizeof(expr_id)) == 0;
}

/*
 * A slot holds a node's number plus one below and its hash above, so that a look-up reads a node only when the hashes agree. Where a node goes follows
 * from its newest argument (a gather's: its first index): what is built one after the other lies side by side, and a loop that builds millions of nodes
 * stays in the caches. When the NEAR slots there are taken, slots all over the table are tried: the neighbourhood can be full for a long way.
 */
enum { NEAR = 8 };

static uint64_t slot_entry(uint32_t hash, int64_t id)
{
    return (uint64_t)hash << 32 | (uint64_t)(id + 1);
}

static uint64_t near_slot(const expr_node *node, uint64_t hash)
{
    if (node->op == PERI_OP_CONST || node->op == PERI_OP_INPUT || has_list(node->op))
        return hash >> 7;
    if (node->op == PERI_OP_GATHER && (node->flags & EXPR_AFFINE))
        return hash_mix((uint64_t)node->arg[0]) + (uint64_t)(uint32_t)node->first * NEAR;
    const expr_id a = node->arg[0] > node->arg[1] ? node->arg[0] : node->arg[1];
    const uint64_t newest = (uint64_t)(uint32_t)(a > node->arg[2] ? a : node->arg[2]);
    return newest + newest / 2; /* a table is filled to two thirds */
}

/* Probe k of the node's slots in a table with this mask. */
static uint64_t probe(uint64_t near, uint64_t hash, uint64_t k, uint64_t mask)
{
    return (k < NEAR ? near + k : hash_mix(hash + k)) & mask;
}

static bool table_grow(expr_graph *g)
{
    const int64_t size = g->table_size == 0 ? FIRST_TABLE : 2 * g->table_size;
    const uint64_t mask = (uint64_t)size - 1;
    uint64_t *table = mem_alloc(g->m, (size_t)size * sizeof *table);
    if (table == NULL)
        return false;
    for (int64_t i = 0; i < g->nodes.n; i++) {
        const expr_node *node = &g->nodes.at[i];
        const uint64_t hash = node_hash(g, node), near = near_slot(node, hash);
        uint64_t k = 0;
        while (table[probe(near, hash, k, mask)] != 0)
            k++;
        table[probe(near, hash, k, mask)] = slot_entry((uint32_t)(hash >> 32), i);
    }
    mem_free(g->m, g->table, (size_t)g->table_size * sizeof *table);
    g->table = table;
    g->table_size = size;
    return true;
}

peri_status expr_intern(expr_graph *g, const expr_node *node, expr_id *out)
{
    if (3 * (g->nodes.n + 1) > 2 * g->table_size && !table_grow(g))
        return FAIL_NOMEM(g->ctx);
    const uint64_t mask = (uint64_t)(g->table_size - 1), hash = node_hash(g, node), near = near_slot(node, hash);
    uint64_t slot = probe(near, hash, 0, mask);
    for (uint64_t k = 1; g->table[slot] != 0; slot = probe(near, hash, k++, mask)) {
        const expr_id old = (expr_id)((uint32_t)g->table[slot] - 1);
        if ((uint32_t)(g->table[slot] >> 32) == (uint32_t)(hash >> 32) && node_equal(g, &g->nodes.at[old], node)) {
            *out = old;
            return PERI_OK;
        }
    }
    if (g->nodes.n >= INT32_MAX - 1)
        return FAIL(g->ctx, PERI_E_NOMEM, "expression graph: more than 2^31 nodes");
    if (!vec_push(g->m, &g->nodes, *node))
        return FAIL_NOMEM(g->ctx);
    *out = (expr_id)(g->nodes.n - 1);
    g->table[slot] = slot_entry((uint32_t)(hash >> 32), *out);
    return PERI_OK;
}

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

static bool const_equal(const expr_const *a, const expr_const *b)
{
    if (a->rows != b->rows || a->cols != b->cols || a->nnz != b->nnz || (a->col == NULL) != (b->col == NULL))
        return false;
    if (memcmp(a->data, b->data, (size_t)a->nnz * sizeof *a->data) != 0)
        return false;
    return a->col == NULL || (memcmp(a->col, b->col, (size_t)a->nnz * sizeof *a->col) == 0 &&
                              memcmp(a->row_start, b->row_start, ((size_t)a->rows + 1) * sizeof *a->row_start) == 0);
}

peri_status expr_intern_const(expr_graph *g, expr_const value, int64_t *ref)
{
    uint64_t h = hash_join(hash_bytes(value.data, (size_t)value.nnz * sizeof *value.data), (uint64_t)value.rows);
    if (value.col != NULL)
        h = hash_join(h, hash_bytes(value.col, (size_t)value.nnz * sizeof *value.col));
    value.hash = h = hash_join(h, (uint64_t)value.cols);
    if (hash_get(&g->const_map, h, ref) && const_equal(&g->consts.at[*ref], &value))
        return PERI_OK;
    double *data = arena_array(&g->data, (size_t)value.nnz, sizeof *data);
    if (data == NULL)
        return FAIL_NOMEM(g->ctx);
    memcpy(data, value.data, (size_t)value.nnz * sizeof *data);
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
    if (!vec_push(g->m, &g->consts, value) || !hash_put(&g->const_map, h, g->consts.n - 1))
        return FAIL_NOMEM(g->ctx);
    *ref = g->consts.n - 1;
    return PERI_OK;
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
    if (hash_get(&g->list_map, h, ref) && g->lists.at[*ref].n == n &&
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

/* ---- looking ------------------------------------------------------------------------------------------------------------ */

int32_t expr_args(const expr_graph *g, expr_id e, const expr_id **list)
{
    const expr_node *node = &g->nodes.at[e];
    if (has_list(node->op)) {
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
        return true;
    default:
        return false;
    }
}

bool expr_constant_value(const expr_graph *g, expr_id e, double *value)
{
    const expr_node *node = expr_at(g, e);
    if (node->op == PERI_OP_GATHER) /* a broadcast scalar */
        node = expr_at(g, node->arg[0]);
    if (node->op != PERI_OP_CONST || node->rows != 1 || node->cols != 1)
        return false;
    *value = node->value;
    return true;
}

const double *expr_const_data(const expr_graph *g, expr_id e)
{
    const expr_node *node = expr_at(g, e);
    if (node->rows == 1 && node->cols == 1)
        return &node->value;
    return g->consts.at[node->ref].data;
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
