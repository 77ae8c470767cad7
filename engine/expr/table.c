/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - the table of nodes: storage in chunks that never move, and sharing (hash consing). Invariant: no two nodes are equal, a node's arguments have
 * smaller numbers than the node, and whether a node is wide follows from the node.
 */
#include "expr/node.h"
#include <string.h>

enum { FIRST_TABLE = 1024, LARGE_TABLE = 1 << 18 };

/* ---- storage ------------------------------------------------------------------------------------------------------------------ */

bool expr_has_list(int op)
{
    return op == PERI_OP_STACK || op == PERI_OP_SCATTER;
}

int64_t expr_list_length(const expr_node *node)
{
    return node->op == PERI_OP_SCATTER ? 2 * (int64_t)node->many.n : node->many.n;
}

/* The node as a cell; false: it is wide. */
static bool pack(const expr_node *node, expr_cell *cell)
{
    if (node->rows != 1 || node->cols != 1)
        return false;
    if (node->op == PERI_OP_CONST) {
        cell->value = node->value;
        return true;
    }
    cell->arg[0] = node->arg[0];
    cell->arg[1] = node->op == PERI_OP_GATHER ? node->first : node->arg[1];
    if (node->op == PERI_OP_GATHER)
        return (node->flags & EXPR_AFFINE) && node->stride == 1;
    return node->arg[2] < 0 && expr_is_elementwise(node->op);
}

static bool add_chunk(expr_graph *g)
{
    expr_chunk *chunk = mem_alloc(g->m, sizeof *chunk);
    if (chunk == NULL)
        return false;
    if (vec_push(g->m, &g->nodes.chunks, chunk))
        return true;
    mem_free(g->m, chunk, sizeof *chunk);
    return false;
}

/* The next node; where it is wide, `node` stands in g->wide and the cell holds its number there. */
static bool store(expr_graph *g, int code, expr_cell cell, const expr_node *node)
{
    const int64_t e = g->nodes.n;
    if (e == g->nodes.chunks.n * EXPR_CHUNK && !add_chunk(g))
        return false;
    if (node != NULL) {
        if (!vec_push(g->m, &g->wide, *node))
            return false;
        cell.arg[0] = (expr_id)(g->wide.n - 1);
        cell.arg[1] = -1;
    }
    expr_chunk *chunk = g->nodes.chunks.at[e / EXPR_CHUNK];
    chunk->op[e % EXPR_CHUNK] = (uint8_t)code;
    chunk->cell[e % EXPR_CHUNK] = cell;
    g->nodes.n++;
    return true;
}

static void free_table(expr_graph *g)
{
    mem_free(g->m, g->table, (size_t)g->table_size * sizeof *g->table);
    g->table = NULL;
    g->table_size = 0;
}

void expr_forget_table(expr_graph *g)
{
    if (g->table_size >= LARGE_TABLE)
        free_table(g);
}

void expr_release_nodes(expr_graph *g)
{
    free_table(g);
    for (int64_t k = 0; k < g->nodes.chunks.n; k++)
        mem_free(g->m, g->nodes.chunks.at[k], sizeof **g->nodes.chunks.at);
    vec_free(g->m, &g->nodes.chunks);
    vec_free(g->m, &g->wide);
}

/* ---- hash consing ------------------------------------------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t h, uint64_t word)
{
    h = (h ^ (h >> 29)) * UINT64_C(0xbf58476d1ce4e5b9) + word;
    return h ^ (h >> 32);
}

static uint64_t cell_hash(int op, expr_cell cell)
{
    uint64_t word;
    memcpy(&word, &cell, sizeof word);
    return hash_mix(word + (uint64_t)op * UINT64_C(0x9e3779b97f4a7c15));
}

static uint64_t wide_hash(const expr_graph *g, const expr_node *node)
{
    uint64_t word[4];
    memcpy(word, node, sizeof word);
    if (expr_has_list(node->op)) {
        const uint64_t h = hash_bytes(g->args.at + node->many.list, (size_t)expr_list_length(node) * sizeof(expr_id));
        return hash_join(hash_join(h, word[0]), (uint64_t)node->rows);
    }
    uint64_t h = word[0] * UINT64_C(0x9e3779b97f4a7c15) + word[1];
    for (int k = 2; k < 4; k++)
        h = mixed(h, word[k]);
    return mixed(h, 0);
}

static bool wide_equal(const expr_graph *g, const expr_node *a, const expr_node *b)
{
    if (!expr_has_list(a->op))
        return memcmp(a, b, sizeof *a) == 0;
    return a->op == b->op && a->rows == b->rows && a->cols == b->cols && a->many.n == b->many.n &&
           memcmp(g->args.at + a->many.list, g->args.at + b->many.list, (size_t)expr_list_length(a) * sizeof(expr_id)) == 0;
}

/*
 * Where a node goes follows from its newest argument (a gather's: its first index): what is built one after the other lies side by side, and a loop that
 * builds millions of nodes stays in the caches. When the NEAR slots there are taken, slots all over the table are tried: the neighbourhood can be full for
 * a long way.
 */
enum { NEAR = 32, SPREAD = 8 };

static uint64_t near_newest(expr_id a, expr_id b)
{
    const uint64_t newest = (uint64_t)(uint32_t)(a > b ? a : b);
    return newest + newest / 3; /* a table is filled to three quarters */
}

static uint64_t near_gather(expr_id source, int32_t first)
{
    return hash_mix((uint64_t)source) + (uint64_t)(uint32_t)first * SPREAD;
}

typedef struct {
    uint64_t hash, near;
} where;

static where where_of_cell(int op, expr_cell cell)
{
    const uint64_t hash = cell_hash(op, cell);
    if (op == PERI_OP_CONST)
        return (where){hash, hash >> 7};
    return (where){hash, op == PERI_OP_GATHER ? near_gather(cell.arg[0], cell.arg[1]) : near_newest(cell.arg[0], cell.arg[1])};
}

static where where_of_wide(const expr_graph *g, const expr_node *node)
{
    const uint64_t hash = wide_hash(g, node);
    if (node->op == PERI_OP_CONST || node->op == PERI_OP_INPUT || expr_has_list(node->op))
        return (where){hash, hash >> 7};
    if (node->op == PERI_OP_GATHER && (node->flags & EXPR_AFFINE))
        return (where){hash, near_gather(node->arg[0], node->first)};
    return (where){hash, near_newest(node->arg[0] > node->arg[1] ? node->arg[0] : node->arg[1], node->arg[2])};
}

/* Probe k of the node's slots in a table with this mask. */
static uint64_t probe(uint64_t near, uint64_t hash, uint64_t k, uint64_t mask)
{
    return (k < NEAR ? near + k : hash_mix(hash + k)) & mask;
}

/* A slot: a node's number plus one, which is within the mask, and above it as much of the hash as there is room for: nodes are read only when that agrees. */
static uint32_t tag_of(uint64_t hash, uint64_t mask)
{
    return (uint32_t)(hash >> 32) & ~(uint32_t)mask;
}

static where where_of(const expr_graph *g, expr_id e)
{
    const int code = expr_code(g, e);
    const expr_cell cell = *expr_cell_of(g, e);
    return code & EXPR_WIDE ? where_of_wide(g, &g->wide.at[cell.arg[0]]) : where_of_cell(code, cell);
}

/* All nodes into a new table; each one's first slot is fetched a while before it is needed. */
static void enter_all(const expr_graph *g, uint32_t *table, uint64_t mask)
{
    enum { AHEAD = 16 };
    where queue[AHEAD] = {{0, 0}};
    for (int64_t i = 0; i < g->nodes.n + AHEAD; i++) {
        const where w = queue[i % AHEAD];
        if (i < g->nodes.n) {
            queue[i % AHEAD] = where_of(g, (expr_id)i);
            __builtin_prefetch(&table[queue[i % AHEAD].near & mask], 1);
        }
        if (i < AHEAD)
            continue;
        uint64_t k = 0;
        while (table[probe(w.near, w.hash, k, mask)] != 0)
            k++;
        table[probe(w.near, w.hash, k, mask)] = tag_of(w.hash, mask) | (uint32_t)(i - AHEAD + 1);
    }
}

static bool table_grow(expr_graph *g)
{
    int64_t size = FIRST_TABLE;
    while (4 * (g->nodes.n + 1) > 3 * size)
        size *= 2;
    uint32_t *table = mem_alloc(g->m, (size_t)size * sizeof *table);
    if (table == NULL)
        return false;
    context_tell(g->ctx, "building", g->nodes.n);
    enter_all(g, table, (uint64_t)size - 1);
    free_table(g);
    g->table = table;
    g->table_size = size;
    return true;
}

/* node NULL: the cell is all there is */
static bool is_same(const expr_graph *g, expr_id old, int code, const expr_cell *cell, const expr_node *node)
{
    if (expr_code(g, old) != code)
        return false;
    if (node == NULL)
        return memcmp(expr_cell_of(g, old), cell, sizeof *cell) == 0;
    return wide_equal(g, &g->wide.at[expr_cell_of(g, old)->arg[0]], node);
}

static peri_status intern(expr_graph *g, int code, expr_cell cell, const expr_node *node, where w, expr_id *out)
{
    if (4 * (g->nodes.n + 1) > 3 * g->table_size && !table_grow(g))
        return FAIL_NOMEM(g->ctx);
    const uint64_t mask = (uint64_t)(g->table_size - 1);
    const uint32_t tag = tag_of(w.hash, mask);
    uint64_t slot = probe(w.near, w.hash, 0, mask);
    for (uint64_t k = 1; g->table[slot] != 0; slot = probe(w.near, w.hash, k++, mask)) {
        const expr_id old = (expr_id)(g->table[slot] & (uint32_t)mask) - 1;
        if ((g->table[slot] & ~(uint32_t)mask) == tag && is_same(g, old, code, &cell, node)) {
            *out = old;
            return PERI_OK;
        }
    }
    if (g->nodes.n >= INT32_MAX - 1)
        return FAIL(g->ctx, PERI_E_NOMEM, "expression graph: more than 2^31 nodes");
    if (!store(g, code, cell, node))
        return FAIL_NOMEM(g->ctx);
    *out = (expr_id)(g->nodes.n - 1);
    g->table[slot] = tag | (uint32_t)(*out + 1);
    return PERI_OK;
}

peri_status expr_intern(expr_graph *g, const expr_node *node, expr_id *out)
{
    expr_cell cell = {{-1, -1}};
    if (pack(node, &cell))
        return expr_intern_cell(g, (peri_op)node->op, cell, out);
    return intern(g, node->op | EXPR_WIDE, cell, node, where_of_wide(g, node), out);
}

peri_status expr_intern_cell(expr_graph *g, peri_op op, expr_cell cell, expr_id *out)
{
    return intern(g, (int)op, cell, NULL, where_of_cell((int)op, cell), out);
}
