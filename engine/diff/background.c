/* SPDX-License-Identifier: Apache-2.0 */
/*
 * background.c - what of a scatter is constant, or constants times one number: layers over all places, one for each such number. In matrices of
 * collocation most entries are of that kind, a few that repeat along the grid. Where lanes that vary are computed place by place (align.c), what all their
 * rows have in common is added to them, or becomes a lane beside them; long stretches that repeat are read from a few hundred numbers
 * that are computed once; the rest stays constants times the number, place by place.
 * Invariant: lanes, stretches and the rest add up to what the arguments were.
 */
#include "diff/background.h"
#include <stdlib.h>
#include <string.h>

enum { LONGEST_PERIOD = 256, SHORTEST_STRETCH = 2048, WINDOW = 256, REPEATED = 512, SKIPPED = 8 };

/* value = root times the constants; PERI_NO_EXPR: they stand alone. entries: a node of constants, or one number */
typedef struct {
    expr_id root, column;
    double factor;
} multiple;

static void split_scalar(const expr_graph *g, expr_id e, multiple *m)
{
    const expr_node node = *expr_at(g, e);
    double c;
    m->root = e;
    for (int k = 0; k < 2 && node.op == PERI_OP_MUL; k++)
        if (expr_constant_value(g, node.arg[k], &c)) {
            m->factor = c;
            m->root = node.arg[1 - k];
        }
}

static bool find_multiple(const expr_graph *g, expr_id e, multiple *m)
{
    const expr_node node = *expr_at(g, e);
    *m = (multiple){PERI_NO_EXPR, PERI_NO_EXPR, 1};
    if (expr_constant_value(g, e, &m->factor))
        return true;
    if (node.op == PERI_OP_CONST) {
        m->column = e;
        return !expr_is_sparse(g, e);
    }
    if (node.op == PERI_OP_GATHER && expr_size(g, node.arg[0]) == 1) {
        split_scalar(g, node.arg[0], m);
        return true;
    }
    for (int k = 0; k < 2 && node.op == PERI_OP_MUL; k++) {
        const expr_id constants = node.arg[k], root = node.arg[1 - k];
        if (expr_size(g, root) != 1 || expr_at(g, constants)->op != PERI_OP_CONST || expr_size(g, constants) == 1)
            continue;
        split_scalar(g, root, m);
        m->column = constants;
        return !expr_is_sparse(g, constants);
    }
    return false;
}

bool background_is_part(const expr_graph *g, expr_id value)
{
    multiple m;
    return find_multiple(g, value, &m);
}

/* ---- layers ------------------------------------------------------------------------------------------------------------- */

void background_init(background *b, expr_graph *g, int64_t size)
{
    *b = (background){.g = g, .size = size};
    arena_init(&b->data, g->m);
}

void background_release(background *b)
{
    arena_release(&b->data);
}

static background_layer *layer_of(background *b, expr_id root)
{
    for (int32_t q = 0; q < b->n_layers; q++)
        if (b->layers[q].root == root)
            return &b->layers[q];
    if (b->n_layers == BACKGROUND_LAYERS)
        return NULL;
    background_layer *l = &b->layers[b->n_layers];
    *l = (background_layer){root, arena_array(&b->data, (size_t)b->size, sizeof *l->value), arena_array(&b->data, (size_t)b->size, 1)};
    if (l->value == NULL || l->has == NULL)
        return NULL;
    b->n_layers++;
    return l;
}

bool background_add(background *b, expr_id value, const expr_list *list)
{
    multiple m;
    if (!find_multiple(b->g, value, &m))
        return false;
    background_layer *l = layer_of(b, m.root);
    if (l == NULL)
        return false;
    const double *data = m.column != PERI_NO_EXPR ? expr_const_data(b->g, m.column) : NULL;
    for (int64_t k = 0; k < list->n; k++) {
        const int64_t at = expr_list_at(list, k);
        l->value[at] += data != NULL ? m.factor * data[k] : m.factor;
        l->has[at] = 1;
    }
    return true;
}

bool background_reach(background *b, const expr_list *list)
{
    if (b->reach == NULL)
        b->reach = arena_array(&b->data, (size_t)b->size, 1);
    for (int64_t k = 0; k < list->n && b->reach != NULL; k++)
        b->reach[expr_list_at(list, k)] = 1;
    return b->reach != NULL;
}

bool background_same(const background *b, int64_t i, int64_t j)
{
    for (int32_t q = 0; q < b->n_layers; q++) {
        const background_layer *l = &b->layers[q];
        if (l->has[i] != l->has[j] || memcmp(&l->value[i], &l->value[j], sizeof *l->value) != 0)
            return false;
    }
    return true;
}

static bool has_any(const background *b, int64_t i)
{
    bool any = false;
    for (int32_t q = 0; q < b->n_layers; q++)
        any = any || b->layers[q].has[i];
    return any;
}

static bool has_multiple(const background *b, int64_t i)
{
    bool any = false;
    for (int32_t q = 0; q < b->n_layers; q++)
        any = any || (b->layers[q].has[i] && b->layers[q].root != PERI_NO_EXPR);
    return any;
}

static void clear(background *b, int64_t i)
{
    for (int32_t q = 0; q < b->n_layers; q++) {
        b->layers[q].has[i] = 0;
        b->layers[q].value[i] = 0;
    }
}

static peri_status times_root(expr_graph *g, expr_id constants, expr_id root, expr_id *out)
{
    *out = constants;
    return root == PERI_NO_EXPR ? PERI_OK : expr_binary(g, PERI_OP_MUL, constants, root, out);
}

/* ---- lanes -------------------------------------------------------------------------------------------------------------- */

static bool is_uniform(const background *b, int64_t first, int64_t stride, int64_t n)
{
    if (first < 0 || first + (n - 1) * stride >= b->size)
        return false;
    for (int64_t i = 1; i < n; i++)
        if (!background_same(b, first, first + i * stride))
            return false;
    return true;
}

/* The layers' numbers there, which are the same all along, into *value. */
static peri_status take_lane(background *b, int64_t first, int64_t stride, int64_t n, expr_id *value)
{
    expr_graph *g = b->g;
    for (int32_t q = 0; q < b->n_layers; q++) {
        expr_id part;
        if (!b->layers[q].has[first])
            continue;
        TRY(expr_number(g, b->layers[q].value[first], &part));
        TRY(times_root(g, part, b->layers[q].root, &part));
        TRY(diff_add(g, *value, part, value));
    }
    for (int64_t i = 0; i < n; i++)
        clear(b, first + i * stride);
    b->changed = true;
    return PERI_OK;
}

peri_status background_lane(background *b, int64_t first, int64_t stride, int64_t n, expr_id *value)
{
    if (b->n_layers == 0 || !is_uniform(b, first, stride, n) || !has_any(b, first))
        return PERI_OK;
    return take_lane(b, first, stride, n, value);
}

peri_status background_gap(background *b, int64_t first, int64_t stride, int64_t n, expr_id *value)
{
    *value = PERI_NO_EXPR;
    if (b->n_layers == 0 || !is_uniform(b, first, stride, n) || !has_multiple(b, first))
        return PERI_OK;
    for (int64_t i = 0; i < n && b->reach != NULL; i++)
        if (b->reach[first + i * stride])
            return PERI_OK;
    return take_lane(b, first, stride, n, value);
}

/* ---- stretches that repeat ------------------------------------------------------------------------------------------------ */

static bool is_open(const background *b, int64_t i)
{
    return i < b->size && has_any(b, i) && (b->reach == NULL || !b->reach[i]);
}

/* The stretch from `at` on whose entries are the same `period` further on: where it ends */
static int64_t end_of_stretch(const background *b, int64_t at, int64_t period)
{
    int64_t j = at;
    for (int64_t k = at; k < at + period; k++)
        if (!is_open(b, k))
            return at;
    while (is_open(b, j + period) && background_same(b, j, j + period))
        j++;
    return j + period;
}

static int64_t find_stretch(const background *b, int64_t at, int64_t *period)
{
    for (*period = 1; *period <= LONGEST_PERIOD; ++*period) {
        bool same = true;
        for (int64_t j = at; j < at + WINDOW && same; j++)
            same = is_open(b, j) && is_open(b, j + *period) && background_same(b, j, j + *period);
        if (same)
            return end_of_stretch(b, at, *period);
    }
    return at;
}

/* A few hundred entries, computed, from which the stretch [at, end) is read. */
static peri_status make_stretch(background *b, int64_t at, int64_t end, int64_t period, expr_id *value)
{
    expr_graph *g = b->g;
    const int64_t few = (REPEATED + period - 1) / period * period, n = end - at;
    expr_id sum = PERI_NO_EXPR, part;
    for (int32_t q = 0; q < b->n_layers; q++) {
        bool any = false;
        for (int64_t j = at; j < at + period; j++)
            any = any || b->layers[q].has[j];
        if (!any)
            continue;
        TRY(expr_dense(g, few, 1, b->layers[q].value + at, &part));
        TRY(times_root(g, part, b->layers[q].root, &part));
        TRY(diff_add(g, sum, part, &sum));
    }
    TRY(expr_broadcast(g, sum, few, 1, &sum));
    int32_t *index = mem_array(g->m, (size_t)n, sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n; k++)
        index[k] = (int32_t)(k % few);
    const peri_status status = expr_gather_list(g, sum, n, 1, n, index, value);
    mem_array_free(g->m, index);
    return status;
}

static bool repeats_multiple(const background *b, int64_t at, int64_t period)
{
    bool any = false;
    for (int64_t j = at; j < at + period; j++)
        any = any || has_multiple(b, j);
    return any;
}

peri_status background_stretch(background *b, int64_t *at, expr_id *value, int64_t *first, int64_t *n)
{
    *value = PERI_NO_EXPR;
    while (*at < b->size && b->n_layers > 0) {
        int64_t period;
        const int64_t begin = *at, end = is_open(b, begin) ? find_stretch(b, begin, &period) : begin;
        *at = end - begin >= SHORTEST_STRETCH ? end : begin + SKIPPED;
        if (end - begin < SHORTEST_STRETCH || !repeats_multiple(b, begin, period))
            continue; /* constants alone are a program's own business */
        TRY(make_stretch(b, begin, end, period, value));
        for (int64_t j = begin; j < end; j++)
            clear(b, j);
        b->changed = true;
        *first = begin;
        *n = end - begin;
        return PERI_OK;
    }
    return PERI_OK;
}

/* ---- the rest --------------------------------------------------------------------------------------------------------------- */

peri_status background_rest(background *b, int32_t layer, expr_id *value, int32_t **list)
{
    expr_graph *g = b->g;
    const background_layer *l = &b->layers[layer];
    int64_t n = 0, kept = 0;
    *value = PERI_NO_EXPR;
    for (int64_t j = 0; j < b->size; j++)
        n += l->has[j];
    if (n == 0)
        return PERI_OK;
    double *data = mem_array(g->m, (size_t)n, sizeof *data);
    *list = mem_array(g->m, (size_t)n, sizeof **list);
    peri_status status = data != NULL && *list != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int64_t j = 0; j < b->size && status == PERI_OK; j++)
        if (l->has[j]) {
            data[kept] = l->value[j];
            (*list)[kept++] = (int32_t)j;
        }
    if (status == PERI_OK)
        status = expr_dense(g, n, 1, data, value);
    if (status == PERI_OK)
        status = times_root(g, *value, l->root, value);
    if (status == PERI_OK)
        status = expr_broadcast(g, *value, n, 1, value);
    mem_array_free(g->m, data);
    if (status != PERI_OK)
        mem_array_free(g->m, *list);
    return status;
}
