/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coo.c - sparse Jacobians with symbolic values. For each node a list of groups: a node of values with their rows and columns as numbers, so that the
 * pattern is known when the model is compiled and the values are one vector computation. Elementwise nodes are differentiated as a whole, between
 * their outputs and the nearest nodes that are not elementwise, entry by entry.
 */
#include "diff/internal.h"
#include "expr/bilinear.h"
#include <stdlib.h>
#include <string.h>

/* ---- set-up ---------------------------------------------------------------------------------------------------------------- */

bool coo_is_direct(const expr_graph *g, expr_id e)
{
    const bool gathered = expr_at(g, e)->op == PERI_OP_GATHER;
    const expr_node *node = expr_at(g, gathered ? expr_at(g, e)->arg[0] : e);
    return node->op == PERI_OP_INPUT && node->class_ == EXPR_IN_X;
}

static bool in_range(const coo_builder *b, const expr_node *node)
{
    return node->op == PERI_OP_INPUT && node->class_ == EXPR_IN_X && node->ref < b->x0 + b->n_x &&
           b->x0 < node->ref + (int64_t)node->rows * node->cols;
}

peri_status coo_init(coo_builder *b, expr_graph *g, expr_id root, int64_t x0, int64_t n_x, int64_t limit)
{
    memset(b, 0, sizeof *b);
    b->g = g;
    b->x0 = x0;
    b->n_x = n_x;
    b->limit = limit;
    b->n_known = (int64_t)root + 1;
    arena_init(&b->data, g->m);
    b->depends = arena_array(&b->data, (size_t)b->n_known, 1);
    b->jac = arena_array(&b->data, (size_t)b->n_known, sizeof *b->jac);
    if (b->depends == NULL || b->jac == NULL)
        return FAIL_NOMEM(g->ctx);
    for (expr_id e = 0; e <= root; e++) {
        const expr_id *args;
        const expr_node *node = expr_at(g, e);
        const int32_t n = node->op == PERI_OP_STOP ? 0 : expr_args(g, e, &args);
        b->depends[e] = in_range(b, node);
        for (int32_t k = 0; k < n; k++)
            b->depends[e] |= b->depends[args[k]];
    }
    return PERI_OK;
}

void coo_release(coo_builder *b)
{
    arena_release(&b->data);
}

/* ---- groups ------------------------------------------------------------------------------------------------------------------ */

static peri_status new_group(coo_builder *b, expr_id e, int64_t n, coo_group **out)
{
    struct coo *c = &b->jac[e];
    b->entries += n;
    if (b->entries > b->limit)
        return FAIL(b->g->ctx, PERI_E_UNSUPPORTED, "sparse derivatives: more than %lld entries", (long long)b->limit);
    if (c->n == c->cap) {
        const int64_t cap = c->cap == 0 ? 4 : 2 * c->cap;
        coo_group *at = arena_array(&b->data, (size_t)cap, sizeof *at);
        if (at == NULL)
            return FAIL_NOMEM(b->g->ctx);
        if (c->n > 0)
            memcpy(at, c->at, (size_t)c->n * sizeof *at);
        c->at = at;
        c->cap = cap;
    }
    coo_group *group = &c->at[c->n];
    group->n = n;
    group->row = arena_array(&b->data, (size_t)n, sizeof *group->row);
    group->col = arena_array(&b->data, (size_t)n, sizeof *group->col);
    if (group->row == NULL || group->col == NULL)
        return FAIL_NOMEM(b->g->ctx);
    c->n++;
    *out = group;
    return PERI_OK;
}

static bool is_identity(int64_t n, const int32_t *list, int64_t size)
{
    if (n != size)
        return false;
    for (int64_t k = 0; k < n; k++)
        if (list[k] != k)
            return false;
    return true;
}

peri_status coo_pick(expr_graph *g, expr_id v, int64_t n, const int32_t *list, expr_id *out)
{
    *out = v;
    if (expr_size(g, v) == 1 || (list != NULL && is_identity(n, list, expr_size(g, v))) || list == NULL)
        return PERI_OK;
    return expr_gather_list(g, v, n, 1, n, list, out);
}

/* Values as a column, so that products of any two of the same length fit. */
static peri_status as_column(expr_graph *g, expr_id v, expr_id *out)
{
    return expr_reshape(g, v, expr_size(g, v), 1, out);
}

static peri_status times(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    return diff_times(g, a, b, out);
}

/* ---- leaves --------------------------------------------------------------------------------------------------------------------- */

static peri_status direct(coo_builder *b, expr_id e)
{
    expr_graph *g = b->g;
    const expr_node node = *expr_at(g, e);
    const expr_node input = node.op == PERI_OP_INPUT ? node : *expr_at(g, node.arg[0]);
    const int64_t n = expr_size(g, e);
    coo_group *group;
    TRY(new_group(b, e, n, &group));
    int64_t kept = 0;
    for (int64_t k = 0; k < n; k++) {
        const int64_t at = input.ref + (node.op == PERI_OP_INPUT ? k : expr_gather_at(g, &node, k)) - b->x0;
        if (at < 0 || at >= b->n_x)
            continue;
        group->row[kept] = (int32_t)k;
        group->col[kept++] = (int32_t)at;
    }
    group->n = kept;
    return expr_number(g, 1, &group->value);
}

/* ---- linear maps given by rows ----------------------------------------------------------------------------------------------------- */

peri_status coo_sort_by(coo_builder *b, int64_t n, const int32_t *key, int64_t keys, coo_sorted *out)
{
    out->start = arena_array(&b->data, (size_t)keys + 2, sizeof *out->start);
    out->order = arena_array(&b->data, (size_t)n, sizeof *out->order);
    if (out->start == NULL || out->order == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t k = 0; k < n; k++)
        out->start[key[k] + 2]++;
    for (int64_t r = 0; r < keys; r++)
        out->start[r + 2] += out->start[r + 1];
    for (int64_t k = 0; k < n; k++)
        out->order[out->start[key[k] + 1]++] = (int32_t)k;
    return PERI_OK;
}

/* ---- many groups as one ------------------------------------------------------------------------------------------------------------ */

/*
 * A vector that is put together from parts of many forms has groups for each; what reads a little of each part would have them all again. So they
 * become one group, whose values are side by side in memory; entries of one place are added up on the way.
 */
enum { MANY_GROUPS = 32, FEW_READ = 16 };

/* Numbers of the entries' places, which are counted by row; *n: how many there are. place [entries of all groups] */
static peri_status number_places(coo_builder *b, const struct coo *c, int64_t rows, int32_t *place, int64_t *n)
{
    int64_t total = 0;
    for (int64_t k = 0; k < c->n; k++)
        total += c->at[k].n;
    int32_t *row = mem_array(b->g->m, (size_t)total, 2 * sizeof *row), *col = row + total;
    int64_t *last = mem_array(b->g->m, (size_t)b->n_x, sizeof *last); /* of a column: its row + 1 and place of the latest entry */
    coo_sorted sorted;
    peri_status status = row != NULL && last != NULL ? PERI_OK : FAIL_NOMEM(b->g->ctx);
    for (int64_t k = 0, at = 0; k < c->n && status == PERI_OK; at += c->at[k].n, k++) {
        memcpy(row + at, c->at[k].row, (size_t)c->at[k].n * sizeof *row);
        memcpy(col + at, c->at[k].col, (size_t)c->at[k].n * sizeof *col);
    }
    if (status == PERI_OK)
        status = coo_sort_by(b, total, row, rows, &sorted);
    *n = 0;
    for (int64_t i = 0; i < total && status == PERI_OK; i++) {
        const int32_t k = sorted.order[i];
        int64_t *before = &last[col[k]];
        if (*before >> 32 != row[k] + 1)
            *before = (int64_t)(row[k] + 1) << 32 | (*n)++;
        place[k] = (int32_t)*before;
    }
    mem_array_free(b->g->m, row);
    mem_array_free(b->g->m, last);
    return status;
}

/* All values at their places: node *out [n]. */
static peri_status merged_values(coo_builder *b, const struct coo *c, const int32_t *place, int64_t n, expr_id *out)
{
    expr_graph *g = b->g;
    expr_id *args = mem_array(g->m, (size_t)c->n, sizeof *args);
    const int32_t **lists = mem_array(g->m, (size_t)c->n, sizeof *lists);
    peri_status status = args != NULL && lists != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    int64_t kept = 0;
    for (int64_t k = 0, at = 0; k < c->n && status == PERI_OK; at += c->at[k].n, k++) {
        const coo_group *group = &c->at[k];
        if (group->n == 0)
            continue;
        status = as_column(g, group->value, &args[kept]);
        if (status == PERI_OK)
            status = expr_broadcast(g, args[kept], group->n, 1, &args[kept]);
        lists[kept++] = place + at;
    }
    if (status == PERI_OK)
        status = expr_scatter_sum(g, n, 1, kept, args, lists, out);
    mem_array_free(g->m, args);
    mem_array_free(g->m, lists);
    return status;
}

/* Where the rows of e's only group begin. */
static peri_status note_rows(coo_builder *b, expr_id e, int64_t rows)
{
    struct coo *c = &b->jac[e];
    c->start = arena_array(&b->data, (size_t)rows + 1, sizeof *c->start);
    if (c->start == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t k = 0; k < c->at->n; k++)
        c->start[c->at->row[k] + 1]++;
    for (int64_t r = 0; r < rows; r++)
        c->start[r + 1] += c->start[r];
    return PERI_OK;
}

static peri_status merge(coo_builder *b, expr_id e)
{
    const struct coo old = b->jac[e];
    coo_group *group;
    int64_t total = 0, n = 0;
    for (int64_t k = 0; k < old.n; k++)
        total += old.at[k].n;
    if (total == 0)
        return PERI_OK;
    int32_t *place = mem_array(b->g->m, (size_t)total, sizeof *place);
    peri_status status = place != NULL ? number_places(b, &old, expr_size(b->g, e), place, &n) : FAIL_NOMEM(b->g->ctx);
    b->jac[e] = (struct coo){.done = old.done};
    if (status == PERI_OK)
        status = new_group(b, e, n, &group);
    for (int64_t k = 0, at = 0; k < old.n && status == PERI_OK; k++)
        for (int64_t i = 0; i < old.at[k].n; i++, at++) {
            group->row[place[at]] = old.at[k].row[i];
            group->col[place[at]] = old.at[k].col[i];
        }
    if (status == PERI_OK)
        status = merged_values(b, &old, place, n, &group->value);
    if (status == PERI_OK)
        status = note_rows(b, e, expr_size(b->g, e));
    mem_array_free(b->g->m, place);
    return status;
}

/* Entries of a linear image: row[k] of the result takes `factor[k]` (NULL: 1) times row source[k] of the argument. */
typedef struct {
    int64_t n;
    const int32_t *row, *source;
    expr_id factor; /* [n] entries, or a scalar; -1: 1 */
} linear_map;

/* Entries that take each source once at the most, by source: the values are then read as they are, not permuted. */
static peri_status in_source_order(coo_builder *b, int64_t n_sources, coo_group *group, int32_t *pick, int32_t *which)
{
    const int64_t n = group->n;
    int32_t *at = mem_array(b->g->m, (size_t)n_sources, sizeof *at); /* 1 + the entry that takes a source; 0: none */
    int32_t *copy = mem_array(b->g->m, (size_t)n, 3 * sizeof *copy);
    bool once = at != NULL && copy != NULL;
    const peri_status status = once ? PERI_OK : FAIL_NOMEM(b->g->ctx);
    for (int64_t k = 0; k < n && once; k++) {
        once = at[pick[k]] == 0;
        at[pick[k]] = (int32_t)k + 1;
        copy[3 * k] = group->row[k];
        copy[3 * k + 1] = group->col[k];
        copy[3 * k + 2] = which[k];
    }
    int64_t kept = 0;
    for (int64_t j = 0; j < n_sources && once; j++) {
        const int64_t k = (int64_t)at[j] - 1;
        if (k < 0)
            continue;
        group->row[kept] = copy[3 * k];
        group->col[kept] = copy[3 * k + 1];
        which[kept] = copy[3 * k + 2];
        pick[kept++] = (int32_t)j;
    }
    mem_array_free(b->g->m, at);
    mem_array_free(b->g->m, copy);
    return status;
}

/* Image entry: entry `which` of the map applied to entry `pick` of the group. */
typedef struct {
    int32_t which, pick;
} image_entry;

static int by_which(const void *a, const void *b)
{
    const image_entry *x = a, *y = b;
    return x->which != y->which ? (x->which > y->which) - (x->which < y->which) : (x->pick > y->pick) - (x->pick < y->pick);
}

/* Entries of the group's image in the order of the map, found from the map's side: for groups that have entries in most rows. */
static peri_status image_of_many(coo_builder *b, const coo_group *from, int64_t rows, const linear_map *map, int64_t *n, image_entry **out)
{
    coo_sorted sorted;
    TRY(coo_sort_by(b, from->n, from->row, rows, &sorted));
    *n = 0;
    for (int64_t k = 0; k < map->n; k++)
        *n += sorted.start[map->source[k] + 1] - sorted.start[map->source[k]];
    *out = mem_array(b->g->m, (size_t)*n, sizeof **out);
    if (*out == NULL)
        return FAIL_NOMEM(b->g->ctx);
    int64_t at = 0;
    for (int64_t k = 0; k < map->n; k++)
        for (int64_t p = sorted.start[map->source[k]]; p < sorted.start[map->source[k] + 1]; p++)
            (*out)[at++] = (image_entry){(int32_t)k, sorted.order[p]};
    return PERI_OK;
}

/* The same from the group's side: its cost does not depend on the number of rows, of which many small groups share one large vector. */
static peri_status image_of_few(coo_builder *b, const coo_group *from, const coo_sorted *source, int64_t *n, image_entry **out)
{
    *n = 0;
    for (int64_t k = 0; k < from->n; k++)
        *n += source->start[from->row[k] + 1] - source->start[from->row[k]];
    *out = mem_array(b->g->m, (size_t)*n, sizeof **out);
    if (*out == NULL)
        return FAIL_NOMEM(b->g->ctx);
    int64_t at = 0;
    for (int64_t k = 0; k < from->n; k++)
        for (int64_t p = source->start[from->row[k]]; p < source->start[from->row[k] + 1]; p++)
            (*out)[at++] = (image_entry){source->order[p], (int32_t)k};
    qsort(*out, (size_t)*n, sizeof **out, by_which);
    return PERI_OK;
}

/* The same from a group in order of rows, which begin at start[row]: takes time for what is read of it alone. */
static peri_status image_of_sorted(coo_builder *b, const int32_t *start, const linear_map *map, int64_t *n, image_entry **out)
{
    *n = 0;
    for (int64_t k = 0; k < map->n; k++)
        *n += start[map->source[k] + 1] - start[map->source[k]];
    *out = mem_array(b->g->m, (size_t)*n, sizeof **out);
    if (*out == NULL)
        return FAIL_NOMEM(b->g->ctx);
    int64_t at = 0;
    for (int64_t k = 0; k < map->n; k++)
        for (int32_t p = start[map->source[k]]; p < start[map->source[k] + 1]; p++)
            (*out)[at++] = (image_entry){(int32_t)k, p};
    return PERI_OK;
}

/* The image's entries as a group of e. pick, which [n] */
static peri_status image_group(coo_builder *b, expr_id e, const coo_group *old, const linear_map *map, int64_t n, const image_entry *image,
                               int32_t *pick, int32_t *which)
{
    expr_graph *g = b->g;
    coo_group *group;
    TRY(new_group(b, e, n, &group));
    for (int64_t k = 0; k < n; k++) {
        group->row[k] = map->row[image[k].which];
        group->col[k] = old->col[image[k].pick];
        which[k] = image[k].which;
        pick[k] = image[k].pick;
    }
    if (old->n <= FEW_READ * n)
        TRY(in_source_order(b, old->n, group, pick, which));
    TRY(coo_pick(g, old->value, n, pick, &group->value));
    if (map->factor < 0)
        return PERI_OK;
    expr_id factor;
    TRY(coo_pick(g, map->factor, n, which, &factor));
    return times(g, factor, group->value, &group->value);
}

/* `source`: the map's entries by source row, or NULL; start: as in struct coo */
static peri_status map_group(coo_builder *b, expr_id e, const coo_group *from, int64_t rows, const linear_map *map, const coo_sorted *source,
                             const int32_t *start)
{
    const coo_group old = *from; /* new_group may move the array */
    int64_t n = 0;
    image_entry *image = NULL;
    if (start != NULL)
        TRY(image_of_sorted(b, start, map, &n, &image));
    else if (source != NULL && old.n < rows / 16)
        TRY(image_of_few(b, &old, source, &n, &image));
    else
        TRY(image_of_many(b, &old, rows, map, &n, &image));
    int32_t *pick = mem_array(b->g->m, (size_t)n, sizeof *pick), *which = mem_array(b->g->m, (size_t)n, sizeof *which);
    peri_status status = pick != NULL && which != NULL ? PERI_OK : FAIL_NOMEM(b->g->ctx);
    if (status == PERI_OK && n > 0)
        status = image_group(b, e, &old, map, n, image, pick, which);
    mem_array_free(b->g->m, image);
    mem_array_free(b->g->m, pick);
    mem_array_free(b->g->m, which);
    return status;
}

static peri_status map_linear(coo_builder *b, expr_id e, expr_id arg, const linear_map *map)
{
    if (b->jac[arg].n > MANY_GROUPS)
        TRY(merge(b, arg));
    const struct coo from = b->jac[arg];
    const int64_t rows = expr_size(b->g, arg);
    coo_sorted source;
    if (from.n > 1)
        TRY(coo_sort_by(b, map->n, map->source, rows, &source));
    for (int64_t k = 0; k < from.n; k++)
        TRY(map_group(b, e, &from.at[k], rows, map, from.n > 1 ? &source : NULL, from.start));
    return PERI_OK;
}

static peri_status index_arrays(coo_builder *b, int64_t n, int32_t **row, int32_t **source)
{
    *row = arena_array(&b->data, (size_t)n, sizeof **row);
    *source = arena_array(&b->data, (size_t)n, sizeof **source);
    return *row != NULL && *source != NULL ? PERI_OK : FAIL_NOMEM(b->g->ctx);
}

static peri_status gather(coo_builder *b, expr_id e, const expr_node *node)
{
    const int64_t n = expr_size(b->g, e);
    int32_t *row, *source;
    TRY(index_arrays(b, n, &row, &source));
    for (int64_t k = 0; k < n; k++) {
        row[k] = (int32_t)k;
        source[k] = (int32_t)expr_gather_at(b->g, node, k);
    }
    const linear_map map = {n, row, source, -1};
    return map_linear(b, e, node->arg[0], &map);
}

/* The argument's rows moved to to[row]; no new values. */
static peri_status relabel(coo_builder *b, expr_id e, expr_id arg, const expr_list *to, int64_t shift)
{
    const struct coo from = b->jac[arg];
    for (int64_t k = 0; k < from.n; k++) {
        coo_group *group;
        TRY(new_group(b, e, from.at[k].n, &group));
        group->value = from.at[k].value;
        for (int64_t i = 0; i < from.at[k].n; i++) {
            group->row[i] = to != NULL ? expr_list_at(to, from.at[k].row[i]) : (int32_t)(from.at[k].row[i] * (shift >= 0) + (shift > 0 ? shift : 0));
            group->col[i] = from.at[k].col[i];
        }
    }
    return PERI_OK;
}

static peri_status listed(coo_builder *b, expr_id e, const expr_node *node)
{
    expr_graph *g = b->g;
    int64_t at = 0;
    for (int32_t k = 0; k < node->many.n; k++) {
        const expr_id arg = g->args.at[node->many.list + k];
        const bool scatter = node->op == PERI_OP_SCATTER;
        const expr_list to = scatter ? g->lists.at[expr_scatter_ref(g, node, k)] : (expr_list){.n = 0};
        if (b->depends[arg])
            TRY(relabel(b, e, arg, scatter ? &to : NULL, at));
        at += expr_size(g, arg);
    }
    return PERI_OK;
}

static peri_status cumsum(coo_builder *b, expr_id e, const expr_node *node)
{
    const int64_t rows = node->rows, cols = node->cols;
    if (rows * (rows + 1) / 2 * cols > b->limit)
        return FAIL(b->g->ctx, PERI_E_UNSUPPORTED, "sparse derivatives: cumsum of %lld rows has too many entries", (long long)rows);
    const int64_t n = rows * (rows + 1) / 2 * cols;
    int32_t *row, *source;
    TRY(index_arrays(b, n, &row, &source));
    int64_t at = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t p = 0; p <= i; p++)
            for (int64_t j = 0; j < cols; j++, at++) {
                row[at] = (int32_t)(i * cols + j);
                source[at] = (int32_t)(p * cols + j);
            }
    const linear_map map = {n, row, source, -1};
    return map_linear(b, e, node->arg[0], &map);
}

/* ---- matrix products ------------------------------------------------------------------------------------------------------------------ */

/* C = A B with A (r x k) held fixed: C[i][j] takes A[i][p] times B[p][j]. Sparse A: its entries only. */
static peri_status product_right(coo_builder *b, expr_id e, const expr_node *node)
{
    expr_graph *g = b->g;
    const expr_id a = node->arg[0];
    const int64_t rows = node->rows, cols = node->cols, inner = expr_at(g, a)->cols;
    const bool sparse = expr_is_sparse(g, a);
    const expr_const *s = sparse ? &g->consts.at[expr_at(g, a)->ref] : NULL;
    const int64_t n = (sparse ? s->nnz : rows * inner) * cols;
    int32_t *row, *source, *which;
    if (n == 0) /* a matrix without entries: no derivatives */
        return PERI_OK;
    if (n > b->limit)
        return FAIL(g->ctx, PERI_E_UNSUPPORTED, "sparse derivatives: a matrix product has %lld entries", (long long)n);
    TRY(index_arrays(b, n, &row, &source));
    which = arena_array(&b->data, (size_t)n, sizeof *which);
    if (which == NULL)
        return FAIL_NOMEM(g->ctx);
    int64_t at = 0;
    for (int64_t i = 0; i < rows; i++) {
        const int64_t begin = sparse ? s->row_start[i] : i * inner, end = sparse ? s->row_start[i + 1] : (i + 1) * inner;
        for (int64_t p = begin; p < end; p++)
            for (int64_t j = 0; j < cols; j++, at++) {
                row[at] = (int32_t)(i * cols + j);
                source[at] = (int32_t)((sparse ? s->col[p] : p - i * inner) * cols + j);
                which[at] = (int32_t)p;
            }
    }
    linear_map map = {n, row, source, -1};
    expr_id values = a;
    if (sparse)
        TRY(s->same ? expr_full(g, s->nnz, 1, s->data[0], &values) : expr_dense(g, s->nnz, 1, s->data, &values));
    TRY(as_column(g, values, &values));
    TRY(coo_pick(g, values, n, which, &map.factor));
    return map_linear(b, e, node->arg[1], &map);
}

/* C = A B with B (k x c) held fixed: C[i][j] takes B[p][j] times A[i][p]. */
static peri_status product_left(coo_builder *b, expr_id e, const expr_node *node)
{
    expr_graph *g = b->g;
    const int64_t rows = node->rows, cols = node->cols, inner = expr_at(g, node->arg[0])->cols, n = rows * cols * inner;
    int32_t *row, *source, *which;
    if (n > b->limit)
        return FAIL(g->ctx, PERI_E_UNSUPPORTED, "sparse derivatives: a matrix product has %lld entries", (long long)n);
    TRY(index_arrays(b, n, &row, &source));
    which = arena_array(&b->data, (size_t)n, sizeof *which);
    if (which == NULL)
        return FAIL_NOMEM(g->ctx);
    int64_t at = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            for (int64_t p = 0; p < inner; p++, at++) {
                row[at] = (int32_t)(i * cols + j);
                source[at] = (int32_t)(i * inner + p);
                which[at] = (int32_t)(p * cols + j);
            }
    linear_map map = {n, row, source, -1};
    expr_id values;
    TRY(as_column(g, node->arg[1], &values));
    TRY(coo_pick(g, values, n, which, &map.factor));
    return map_linear(b, e, node->arg[0], &map);
}

/* ---- batches of products, convolutions -------------------------------------------------------------------------------------------------- */

static void count_term(void *ud, int64_t out, int64_t left, int64_t right)
{
    (void)out;
    (void)left;
    (void)right;
    ++*(int64_t *)ud;
}

static void list_term(void *ud, int64_t out, int64_t left, int64_t right)
{
    diff_terms *t = ud;
    t->out[t->n] = (int32_t)out;
    t->left[t->n] = (int32_t)left;
    t->right[t->n++] = (int32_t)right;
}

peri_status diff_terms_of(expr_graph *g, expr_id e, int64_t limit, arena *memory, diff_terms *t)
{
    int64_t n = 0;
    expr_each_term(g, e, count_term, &n);
    if (n > limit)
        return FAIL(g->ctx, PERI_E_UNSUPPORTED, "sparse derivatives: %s has %lld terms", peri_op_name((peri_op)expr_at(g, e)->op), (long long)n);
    t->n = 0;
    t->out = arena_array(memory, (size_t)n, sizeof *t->out);
    t->left = arena_array(memory, (size_t)n, sizeof *t->left);
    t->right = arena_array(memory, (size_t)n, sizeof *t->right);
    if (t->out == NULL || t->left == NULL || t->right == NULL)
        return FAIL_NOMEM(g->ctx);
    expr_each_term(g, e, list_term, t);
    return PERI_OK;
}

static peri_status bilinear(coo_builder *b, expr_id e, const expr_node *node)
{
    diff_terms t;
    TRY(diff_terms_of(b->g, e, b->limit, &b->data, &t));
    for (int k = 0; k < 2; k++) {
        linear_map map = {t.n, t.out, k == 0 ? t.left : t.right, -1};
        expr_id values;
        if (!b->depends[node->arg[k]])
            continue;
        TRY(as_column(b->g, node->arg[1 - k], &values));
        TRY(coo_pick(b->g, values, t.n, k == 0 ? t.right : t.left, &map.factor));
        TRY(map_linear(b, e, node->arg[k], &map));
    }
    return PERI_OK;
}

/* ---- nonlinear nodes --------------------------------------------------------------------------------------------------------------------- */

/* The scalar e with the gradient `gradient` with respect to all of arg. */
static peri_status scalar_of(coo_builder *b, expr_id e, expr_id arg, expr_id gradient)
{
    const int64_t n = expr_size(b->g, arg);
    linear_map map = {n, NULL, NULL, -1};
    int32_t *row, *source;
    TRY(index_arrays(b, n, &row, &source));
    for (int64_t k = 0; k < n; k++)
        source[k] = (int32_t)k;
    map.row = row;
    map.source = source;
    TRY(as_column(b->g, gradient, &map.factor));
    return map_linear(b, e, arg, &map);
}

static peri_status scalar_node(coo_builder *b, expr_id e, const expr_node *node)
{
    expr_id one, gradient;
    TRY(expr_number(b->g, 1, &one));
    TRY(diff_scalar_gradient(b->g, e, one, &gradient));
    return scalar_of(b, e, node->arg[0], gradient);
}

/* A sum of entries of a function of whole matrices, tr(A A) or tr(exp A), say: its gradient is one dense array for each matrix below, whereas the
 * entries' own derivatives would be as many as entries times variables, or are not known. */
static bool is_dense_sum(const coo_builder *b, expr_id e)
{
    const expr_graph *g = b->g;
    if (expr_at(g, e)->op != PERI_OP_SUM)
        return false;
    e = expr_at(g, e)->arg[0];
    while (expr_at(g, e)->op == PERI_OP_GATHER || expr_at(g, e)->op == PERI_OP_MARK)
        e = expr_at(g, e)->arg[0];
    const expr_node node = *expr_at(g, e);
    if (node.op == PERI_OP_MATMUL)
        return b->depends[node.arg[0]] && b->depends[node.arg[1]];
    return node.op == PERI_OP_EXPM || node.op == PERI_OP_INV || node.op == PERI_OP_SOLVE;
}

/* Row i of the result takes its weights times the rows of row i's entries. */
static peri_status row_max(coo_builder *b, expr_id e, const expr_node *node)
{
    expr_graph *g = b->g;
    const int64_t n = expr_size(g, node->arg[0]), cols = expr_at(g, node->arg[0])->cols;
    linear_map map = {n, NULL, NULL, -1};
    int32_t *row, *source;
    TRY(index_arrays(b, n, &row, &source));
    for (int64_t k = 0; k < n; k++) {
        row[k] = (int32_t)(k / cols);
        source[k] = (int32_t)k;
    }
    map.row = row;
    map.source = source;
    TRY(diff_row_weights(g, e, &map.factor));
    TRY(as_column(g, map.factor, &map.factor));
    return map_linear(b, e, node->arg[0], &map);
}

/* Where e stops being made entry by entry, or (by_entry false) of whole arrays: the leaves, by number in their list. */
static peri_status find_leaves(coo_builder *b, expr_id e, bool by_entry, hash_map *leaves, expr_id_list *list)
{
    expr_graph *g = b->g;
    expr_id_list todo = {0};
    hash_map seen;
    hash_init(&seen, g->m);
    bool ok = vec_push(g->m, &todo, e) && hash_put(&seen, (uint64_t)e, 0);
    const int64_t size = expr_size(g, e);
    while (ok && todo.n > 0) {
        const expr_id top = todo.at[--todo.n];
        const expr_id *args;
        const int32_t n = expr_args(g, top, &args);
        int64_t mark;
        for (int32_t k = 0; k < n && ok; k++) {
            const expr_id a = args[k];
            if (!b->depends[a] || hash_get(&seen, (uint64_t)a, &mark))
                continue;
            ok = hash_put(&seen, (uint64_t)a, 0);
            const bool each = expr_is_elementwise(expr_at(g, a)->op);
            if (by_entry ? each && expr_size(g, a) == size : !each && !coo_is_direct(g, a))
                ok = ok && vec_push(g->m, &todo, a);
            else
                ok = ok && hash_put(leaves, (uint64_t)a, list->n) && vec_push(g->m, list, a);
        }
    }
    vec_free(g->m, &todo);
    hash_release(&seen);
    return ok ? PERI_OK : FAIL_NOMEM(g->ctx);
}

/* Row i of the result takes d[i] times row i of the leaf (row 0 of a scalar leaf). */
static peri_status chain(coo_builder *b, expr_id e, expr_id leaf, expr_id d)
{
    const int64_t n = expr_size(b->g, e);
    const bool scalar = expr_size(b->g, leaf) == 1;
    int32_t *row, *source;
    TRY(index_arrays(b, n, &row, &source));
    for (int64_t k = 0; k < n; k++) {
        row[k] = (int32_t)k;
        source[k] = scalar ? 0 : (int32_t)k;
    }
    linear_map map = {n, row, source, -1};
    TRY(as_column(b->g, d, &map.factor));
    return map_linear(b, e, leaf, &map);
}

static peri_status chain_all(coo_builder *b, expr_id e, const expr_id_list *leaves, const diff_found_list *found)
{
    for (int64_t k = 0; k < found->n; k++) {
        const struct coo *below;
        const expr_id leaf = leaves->at[found->at[k].leaf];
        if (diff_is_zero(b->g, found->at[k].adjoint))
            continue;
        TRY(coo_jacobian(b, leaf, &below));
        TRY(chain(b, e, leaf, found->at[k].adjoint));
    }
    return PERI_OK;
}

static peri_status elementwise(coo_builder *b, expr_id e)
{
    expr_graph *g = b->g;
    hash_map leaves;
    expr_id_list list = {0};
    diff_found_list found = {0};
    expr_id one;
    hash_init(&leaves, g->m);
    peri_status status = find_leaves(b, e, true, &leaves, &list);
    if (status == PERI_OK)
        status = expr_number(g, 1, &one);
    if (status == PERI_OK)
        status = diff_adjoint_local(g, 1, &e, &one, &leaves, 0, &found);
    if (status == PERI_OK)
        status = chain_all(b, e, &list, &found);
    hash_release(&leaves);
    vec_free(g->m, &list);
    vec_free(g->m, &found);
    return status;
}

static peri_status dense_sum(coo_builder *b, expr_id e)
{
    expr_graph *g = b->g;
    hash_map leaves;
    expr_id_list list = {0};
    expr_id one;
    hash_init(&leaves, g->m);
    peri_status status = find_leaves(b, e, false, &leaves, &list);
    expr_id *gradient = mem_array(g->m, (size_t)list.n, sizeof *gradient);
    if (status == PERI_OK && gradient == NULL)
        status = FAIL_NOMEM(g->ctx);
    if (status == PERI_OK)
        status = expr_number(g, 1, &one);
    if (status == PERI_OK)
        status = diff_adjoint(g, 1, &e, &one, list.n, list.at, gradient);
    for (int64_t k = 0; k < list.n && status == PERI_OK; k++) {
        const struct coo *below;
        status = coo_jacobian(b, list.at[k], &below);
        if (status == PERI_OK)
            status = scalar_of(b, e, list.at[k], gradient[k]);
    }
    mem_array_free(g->m, gradient);
    hash_release(&leaves);
    vec_free(g->m, &list);
    return status;
}

/* As the product of the rule's dense Jacobian with its argument, which are both columns. */
static peri_status applied_rule(coo_builder *b, expr_id e, const expr_node *node)
{
    expr_rule *rule = b->g->rules.at[node->ref];
    expr_node product = {.rows = (int32_t)expr_size(b->g, e), .cols = 1, .arg = {-1, node->arg[0], -1}};
    if (rule->jacobian == NULL)
        return diff_unsupported(b->g, e, "sparse derivative");
    if (rule->size * product.rows > b->limit)
        return FAIL(b->g->ctx, PERI_E_UNSUPPORTED, "sparse derivatives: the Jacobian of %s has %lld entries", rule->name,
                    (long long)(rule->size * product.rows));
    TRY(rule->jacobian(rule, b->g, e, &product.arg[0]));
    return product_right(b, e, &product);
}

/* ---- scalars that many entries come together in ----------------------------------------------------------------------------------------------- */

enum { MANY_TOGETHER = 1024, TIMES_MET = 4 };

/* The columns of e's entries, ascending: *n of them, in arena memory. */
static peri_status list_columns(coo_builder *b, expr_id e, int64_t *n, int32_t **cols)
{
    const struct coo *c = &b->jac[e];
    unsigned char *met = mem_array(b->g->m, (size_t)b->n_x, 1);
    *n = 0;
    if (met == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t k = 0; k < c->n; k++)
        for (int64_t i = 0; i < c->at[k].n; i++) {
            *n += met[c->at[k].col[i]] == 0;
            met[c->at[k].col[i]] = 1;
        }
    *cols = arena_array(&b->data, (size_t)*n, sizeof **cols);
    for (int64_t j = 0, k = 0; j < b->n_x && *cols != NULL; j++)
        if (met[j])
            (*cols)[k++] = (int32_t)j;
    mem_array_free(b->g->m, met);
    return *cols != NULL ? PERI_OK : FAIL_NOMEM(b->g->ctx);
}

/*
 * Where a scalar has each variable many times, a sum over dense data say, its derivatives are the gradient that one reverse sweep makes. That is an array of
 * all variables: no longer than the entries that it replaces, so that many scalars of few variables each take no more memory than their entries.
 */
static peri_status as_gradient(coo_builder *b, expr_id e)
{
    expr_graph *g = b->g;
    const struct coo *c = &b->jac[e];
    expr_id x, one, gradient;
    coo_group *group;
    int32_t *cols = NULL;
    int64_t total = 0, n;
    for (int64_t k = 0; k < c->n; k++)
        total += c->at[k].n;
    if (expr_size(g, e) > 1 || total < MANY_TOGETHER || total < b->n_x)
        return PERI_OK;
    TRY(list_columns(b, e, &n, &cols));
    if (total < TIMES_MET * n)
        return PERI_OK;
    TRY(expr_input(g, EXPR_IN_X, b->x0, b->n_x, 1, &x));
    TRY(expr_full(g, expr_at(g, e)->rows, expr_at(g, e)->cols, 1, &one));
    TRY(diff_adjoint(g, 1, &e, &one, 1, &x, &gradient));
    b->jac[e] = (struct coo){.n = 0};
    b->entries -= total;
    TRY(new_group(b, e, n, &group));
    memcpy(group->col, cols, (size_t)n * sizeof *cols);
    return coo_pick(g, gradient, n, cols, &group->value);
}

/* ---- the rules together ---------------------------------------------------------------------------------------------------------------------- */

static peri_status make(coo_builder *b, expr_id e)
{
    expr_graph *g = b->g;
    const expr_node node = *expr_at(g, e);
    if (coo_is_direct(g, e))
        return direct(b, e);
    if (expr_is_elementwise(node.op))
        return elementwise(b, e);
    switch (node.op) {
    case PERI_OP_GATHER:
        return gather(b, e, &node);
    case PERI_OP_SCATTER:
    case PERI_OP_STACK:
        return listed(b, e, &node);
    case PERI_OP_SUM:
        return is_dense_sum(b, e) ? dense_sum(b, e) : relabel(b, e, node.arg[0], NULL, -1);
    case PERI_OP_MARK:
        return relabel(b, e, node.arg[0], NULL, 0);
    case PERI_OP_CUMSUM:
        return cumsum(b, e, &node);
    case PERI_OP_MATMUL:
        if (b->depends[node.arg[0]])
            TRY(product_left(b, e, &node));
        return b->depends[node.arg[1]] ? product_right(b, e, &node) : PERI_OK;
    case PERI_OP_BMM:
    case PERI_OP_CONV:
        return bilinear(b, e, &node);
    case PERI_OP_ROWMAX:
        return row_max(b, e, &node);
    case PERI_OP_RULE:
        return applied_rule(b, e, &node);
    case PERI_OP_MAX:
    case PERI_OP_MIN:
    case PERI_OP_LOGDET:
    case PERI_OP_CALL:
        return scalar_node(b, e, &node);
    default:
        return diff_unsupported(g, e, "sparse derivative");
    }
}

/* Nodes whose Jacobian e needs first, all of smaller number: marked in one downward sweep, then made upwards. */
/* Nodes whose Jacobians are made from those of their arguments, and are not yet. */
static bool is_open(const expr_graph *g, expr_id e, const void *builder)
{
    const coo_builder *b = builder;
    return b->depends[e] && !b->jac[e].done && !coo_is_direct(g, e);
}

/* need[k] of part's node k, its last being e: 1 its Jacobian, 2 it is inside an elementwise chain and only passed through; 0: for nobody here */
static void find_needs(const coo_builder *b, const expr_part *part, unsigned char *need)
{
    const expr_graph *g = b->g;
    need[part->nodes.n - 1] = 1;
    for (int64_t k = part->nodes.n; k-- > 0;) {
        const expr_id e = part->nodes.at[k];
        const expr_id *args;
        const bool below = need[k] && is_open(g, e, b) && !is_dense_sum(b, e); /* the leaves of those are asked for where they are used */
        const int32_t n = below ? expr_args(g, e, &args) : 0;
        for (int32_t i = 0; i < n; i++) {
            const expr_id a = args[i];
            const bool inside = expr_is_elementwise(expr_at(g, e)->op) && expr_is_elementwise(expr_at(g, a)->op) &&
                                expr_size(g, a) == expr_size(g, e);
            const int64_t at = expr_part_at(part, a);
            need[at] = (unsigned char)(need[at] | (b->depends[a] ? inside ? 2 : 1 : 0));
        }
    }
}

peri_status coo_jacobian(coo_builder *b, expr_id e, const struct coo **out)
{
    expr_graph *g = b->g;
    expr_part part;
    *out = &b->jac[e];
    if (b->jac[e].done || !b->depends[e])
        return PERI_OK;
    TRY(expr_part_make(&part, g, 1, &e, is_open, b));
    unsigned char *need = mem_array(g->m, (size_t)part.nodes.n, 1);
    peri_status status = need != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    if (status == PERI_OK)
        find_needs(b, &part, need);
    for (int64_t k = 0; k < part.nodes.n && status == PERI_OK; k++) {
        const expr_id node = part.nodes.at[k];
        if ((need[k] & 1) && !b->jac[node].done) {
            status = make(b, node);
            if (status == PERI_OK)
                status = as_gradient(b, node);
            b->jac[node].done = true;
        }
    }
    mem_array_free(g->m, need);
    expr_part_release(&part);
    return status;
}

void diff_sparse_free(expr_graph *g, diff_sparse *s)
{
    mem_array_free(g->m, s->start);
    mem_array_free(g->m, s->index);
    memset(s, 0, sizeof *s);
    s->values = PERI_NO_EXPR;
}

enum { ENTRY_LIMIT = 200 * 1000 * 1000 };

peri_status diff_jacobian(expr_graph *g, expr_id root, int64_t x0, int64_t n, diff_sparse *out)
{
    coo_builder b;
    const struct coo *jac = NULL;
    memset(out, 0, sizeof *out);
    peri_status status = coo_init(&b, g, root, x0, n, ENTRY_LIMIT);
    if (status == PERI_OK)
        status = coo_jacobian(&b, root, &jac);
    if (status == PERI_OK)
        status = coo_assemble(g, expr_size(g, root), n, jac->n, jac->at, out);
    coo_release(&b);
    return status;
}
