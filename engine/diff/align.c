/* SPDX-License-Identifier: Apache-2.0 */
/*
 * align.c - scatters whose instances walk in step. Families of instances of a chain, a band, a grid of collocation points add to places that lie a fixed
 * distance apart: instance i of argument k to place first_k + i stride. Where several of them do so with one stride, all but the ends is computed
 * for the places instead: row r, the places base + r stride + lane, gets in each lane the sum over k of v_k at instance r - shift_k, which is v_k
 * with all that it reads shifted. So what several families compute alike at different shifts is one expression, nothing is added in
 * memory, and lanes that are neighbours are written together. The ends, a few instances each, stay scatters of their own; so do arguments
 * that do not walk. A value that is dear to compute is computed for each shift where that costs no more than to store it and to read it shifted: mostly
 * because what is dear in it is wanted at one shift only.
 * Invariant: the sum at each place is what it was, up to the order of additions.
 */
#include "diff/background.h"
#include "diff/condense.h"
#include <stdlib.h>
#include <string.h>

enum {
    SHORTEST_WALK = 1024, /* instances: with fewer, the ends would cost as much */
    FARTHEST = 64,       /* rows between the first places of arguments that are taken together */
    MOST_WOVEN = 4,
    MOST_TRIMMED = 8,    /* rows at each end */
    MOST_OPERATIONS = 8, /* of a value that is computed for each shift in any case */
    MOST_COMPARED = 64,  /* values and lanes of which the dear ones are looked at */
    STORING = 8          /* what storing a value and reading it again costs, in additions */
};

/* Instances [begin, end) of argument k go to places first + (i - begin) stride. */
typedef struct {
    int32_t k, stride;
    int64_t begin, end, first, row, lane;
} walk;

typedef struct {
    expr_graph *g;
    VEC(expr_id) args;    /* of the new scatter */
    VEC(int32_t *) lists; /* owned */
    background constants; /* of what is not varying */
    bool changed;
    bool opens;           /* dear values too are computed for each shift */
} aligned;

/* ---- walks -------------------------------------------------------------------------------------------------------- */

/* Operations of e for one instance on top of so_far; more than MOST_OPERATIONS where it reads what cannot be shifted without a copy. */
static int64_t operations(const expr_graph *g, expr_id e, int64_t so_far)
{
    const expr_node node = *expr_at(g, e);
    double value;
    if (expr_size(g, e) == 1 || expr_constant_value(g, e, &value))
        return so_far;
    switch (node.op) {
    case PERI_OP_CONST: return MOST_OPERATIONS + 1;
    case PERI_OP_GATHER: return node.flags & EXPR_AFFINE ? so_far : MOST_OPERATIONS + 1;
    case PERI_OP_MARK: return operations(g, node.arg[0], so_far);
    case PERI_OP_ADD:
    case PERI_OP_SUB:
    case PERI_OP_MUL:
    case PERI_OP_SQUARE:
    case PERI_OP_NEG:
        so_far++;
        for (int q = 0; q < 2 && node.arg[q] >= 0 && so_far <= MOST_OPERATIONS; q++)
            so_far = operations(g, node.arg[q], so_far);
        return so_far;
    default: return expr_is_elementwise(node.op) ? MOST_OPERATIONS + 1 : so_far;
    }
}

static bool is_cheap(const expr_graph *g, expr_id e)
{
    return operations(g, e, 0) <= MOST_OPERATIONS;
}

/* The stretch around the middle whose places are a fixed distance apart; false: it is not most of the list. */
static bool find_walk(const expr_list *list, walk *w)
{
    const int64_t middle = list->n / 2;
    if (list->n < SHORTEST_WALK)
        return false;
    if (list->stride != 0) {
        *w = (walk){.k = w->k, .stride = list->stride, .first = list->first, .end = list->n};
        return list->stride > 0;
    }
    w->stride = list->at[middle + 1] - list->at[middle];
    for (w->begin = middle; w->begin > 0 && list->at[w->begin] - list->at[w->begin - 1] == w->stride;)
        w->begin--;
    for (w->end = middle + 1; w->end < list->n && list->at[w->end] - list->at[w->end - 1] == w->stride;)
        w->end++;
    w->first = list->at[w->begin];
    return w->stride > 0 && 4 * (w->end - w->begin) >= 3 * list->n;
}

static int by_stride_and_place(const void *a, const void *b)
{
    const walk *x = a, *y = b;
    if (x->stride != y->stride)
        return x->stride < y->stride ? -1 : 1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->k > y->k) - (x->k < y->k);
}

/* The lane behind the widest gap between the lanes that are taken, so that neighbours stay together. lane [n] 0 .. stride - 1 */
static int64_t first_lane(int64_t n, const walk *w)
{
    int64_t best = w[0].lane, widest = 0;
    for (int64_t j = 0; j < n; j++) {
        int64_t gap = w[0].stride;
        for (int64_t i = 0; i < n; i++) {
            const int64_t before = (w[j].lane - w[i].lane + w[0].stride) % w[0].stride;
            gap = before > 0 && before < gap ? before : gap;
        }
        if (gap > widest || (gap == widest && w[j].lane < best)) {
            widest = gap;
            best = w[j].lane;
        }
    }
    return best;
}

/* ---- the new arguments ---------------------------------------------------------------------------------------------- */

/* value and list [expr_size of value], which the new scatter owns from now on */
static peri_status push(aligned *t, expr_id value, int32_t *list)
{
    mem *const m = t->g->m;
    if (list != NULL && vec_push(m, &t->lists, list) && vec_push(m, &t->args, value))
        return PERI_OK;
    if (t->lists.n == t->args.n) /* not taken over */
        mem_array_free(m, list);
    return FAIL_NOMEM(t->g->ctx);
}

static int32_t *walking_list(const aligned *t, int64_t n, int64_t first, int64_t stride)
{
    int32_t *list = mem_array(t->g->m, (size_t)n, sizeof *list);
    for (int64_t i = 0; i < n && list != NULL; i++)
        list[i] = (int32_t)(first + i * stride);
    return list;
}

static int32_t *part_of_list(const aligned *t, const expr_list *from, int64_t begin, int64_t n)
{
    int32_t *list = mem_array(t->g->m, (size_t)n, sizeof *list);
    for (int64_t k = 0; k < n && list != NULL; k++)
        list[k] = expr_list_at(from, begin + k);
    return list;
}

/* e at n instances from `first` on, a column: computed there when e is cheap, otherwise read. A scalar is what it is. */
static peri_status shifted_if_cheap(expr_graph *g, expr_id e, int64_t first, int64_t n, expr_id *out)
{
    const expr_node node = *expr_at(g, e);
    double value;
    if (expr_size(g, e) == 1) {
        *out = e;
        return PERI_OK;
    }
    if (expr_constant_value(g, e, &value))
        return expr_number(g, value, out);
    if (node.op == PERI_OP_MARK)
        return shifted_if_cheap(g, node.arg[0], first, n, out);
    if (!expr_is_elementwise(node.op) || !is_cheap(g, e))
        return expr_gather_affine(g, e, n, 1, first, 1, out);
    expr_id args[3];
    int n_args = 0;
    for (; n_args < 3 && node.arg[n_args] >= 0; n_args++)
        TRY(shifted_if_cheap(g, node.arg[n_args], first, n, &args[n_args]));
    return expr_op(g, (peri_op)node.op, n_args, args, out);
}

static peri_status shifted(const aligned *t, expr_id e, int64_t first, int64_t n, expr_id *out)
{
    return t->opens ? diff_restrict(t->g, e, &(diff_instances){.n = n, .first = first, .stride = 1}, out)
                    : shifted_if_cheap(t->g, e, first, n, out);
}

/* As one entry an instance, whatever became of it. */
static peri_status spread(expr_graph *g, expr_id e, int64_t n, expr_id *out)
{
    return expr_broadcast(g, e, n, 1, out);
}

/* Instances [begin, end) of argument k of `node` as they were. */
static peri_status keep_part(aligned *t, const expr_node *node, int32_t k, int64_t begin, int64_t end)
{
    const int64_t ref = expr_scatter_ref(t->g, node, k);
    expr_id value = t->g->args.at[node->many.list + k];
    if (begin >= end)
        return PERI_OK;
    if (begin > 0 || end < expr_size(t->g, value)) {
        TRY(shifted(t, value, begin, end - begin, &value));
        TRY(spread(t->g, value, end - begin, &value));
    }
    return push(t, value, part_of_list(t, &t->g->lists.at[ref], begin, end - begin));
}

/* The sum of what the walks bring to one lane in rows [row, row + n). */
static peri_status lane_sum(const aligned *t, const expr_node *node, int64_t n_walks, const walk *w, int64_t lane, int64_t row, int64_t n, expr_id *out)
{
    *out = PERI_NO_EXPR;
    for (int64_t j = 0; j < n_walks; j++) {
        expr_id value;
        if (w[j].lane != lane)
            continue;
        TRY(shifted(t, t->g->args.at[node->many.list + w[j].k], w[j].begin + row - w[j].row, n, &value));
        TRY(diff_add(t->g, *out, value, out));
    }
    return *out == PERI_NO_EXPR ? PERI_OK : spread(t->g, *out, n, out);
}

/* Rows and lanes of walks that belong together; base: the place of lane 0 in row 0. */
static int64_t place_walks(int64_t n, walk *w)
{
    const int64_t stride = w[0].stride;
    for (int64_t j = 0; j < n; j++)
        w[j].lane = (w[j].first - w[0].first) % stride;
    const int64_t base = w[0].first + first_lane(n, w) - stride;
    for (int64_t j = 0; j < n; j++) {
        w[j].row = (w[j].first - base) / stride;
        w[j].lane = (w[j].first - base) % stride;
    }
    return base;
}

/* Rows that all walks reach: from *row on; their number, at most 0: none. */
static int64_t common_rows(int64_t n, const walk *w, int64_t *row)
{
    int64_t end = INT64_MAX;
    *row = 0;
    for (int64_t j = 0; j < n; j++) {
        const int64_t last = w[j].row + w[j].end - w[j].begin;
        *row = w[j].row > *row ? w[j].row : *row;
        end = last < end ? last : end;
    }
    return end - *row;
}

static bool enters(const expr_graph *g, expr_id e, const void *ud)
{
    (void)ud;
    return expr_size(g, e) > 1 && (expr_is_elementwise(expr_at(g, e)->op) || expr_at(g, e)->op == PERI_OP_MARK);
}

/* All that the values [n] read can be read shifted, without a copy of constants or lists. */
static peri_status can_be_opened(expr_graph *g, int64_t n, const expr_id *values, bool *can)
{
    expr_part part;
    TRY(expr_part_make(&part, g, n, values, enters, NULL));
    *can = true;
    for (int64_t k = 0; k < part.nodes.n && *can; k++) {
        const expr_id e = part.nodes.at[k];
        const expr_node *node = expr_at(g, e);
        double value;
        *can = expr_size(g, e) == 1 || enters(g, e, NULL) || expr_constant_value(g, e, &value) || node->op == PERI_OP_INPUT ||
               (node->op == PERI_OP_GATHER && (node->flags & EXPR_AFFINE) != 0);
    }
    expr_part_release(&part);
    return PERI_OK;
}

/* Are dear values better computed for each shift? */
static peri_status decide_on_dear(aligned *t, const expr_node *node, int64_t n, const walk *w, int64_t row, int64_t rows)
{
    expr_id values[MOST_COMPARED], lanes[MOST_COMPARED + 1];
    int64_t dear = 0, n_lanes = 0;
    t->opens = false;
    if (n > MOST_COMPARED)
        return PERI_OK;
    for (int64_t j = 0; j < n; j++) {
        values[j] = t->g->args.at[node->many.list + w[j].k];
        dear += !is_cheap(t->g, values[j]);
    }
    if (dear == 0)
        return PERI_OK;
    TRY(can_be_opened(t->g, n, values, &t->opens));
    for (int64_t lane = 0; lane < w[0].stride && t->opens; lane++) {
        TRY(lane_sum(t, node, n, w, lane, row, rows, &lanes[n_lanes]));
        n_lanes += lanes[n_lanes] != PERI_NO_EXPR;
    }
    if (!t->opens)
        return PERI_OK;
    const int64_t opened = diff_cost(t->g, n_lanes, lanes), once = diff_cost(t->g, n, values);
    t->opens = opened <= once + dear * STORING;
    return opened >= 0 && once >= 0 ? PERI_OK : FAIL_NOMEM(t->g->ctx);
}

/* Up to MOST_WOVEN arguments that go to every place are added up as fast where they come to pass (scatter.c). */
static bool is_worth_it(const expr_graph *g, const expr_node *node, int64_t n, const walk *w, int64_t rows, bool opens)
{
    bool cheap = true;
    for (int64_t j = 0; j < n; j++) {
        const expr_id value = g->args.at[node->many.list + w[j].k];
        if (4 * rows < 3 * (w[j].end - w[j].begin))
            return false;
        cheap = cheap && (opens || is_cheap(g, value));
    }
    return n > 1 ? w[0].stride > 1 || (cheap && n > MOST_WOVEN) : w[0].end - w[0].begin < expr_size(g, g->args.at[node->many.list + w[0].k]);
}

/* Are the constants at the row's lanes those of the other row? */
static bool has_same_constants(const aligned *t, int64_t n, const walk *w, int64_t base, int64_t row, int64_t other)
{
    for (int64_t j = 0; j < n; j++) {
        const int64_t place = base + w[j].lane;
        if (!background_same(&t->constants, place + row * w[j].stride, place + other * w[j].stride))
            return false;
    }
    return true;
}

/* Rows at the ends whose constants are others than those in the middle are left out, so that these can be added to the lanes. */
static void trim_rows(const aligned *t, int64_t n, const walk *w, int64_t base, int64_t *row, int64_t *rows)
{
    const int64_t middle = *row + *rows / 2;
    for (int k = 0; k < MOST_TRIMMED && *rows > SHORTEST_WALK && !has_same_constants(t, n, w, base, *row, middle); k++) {
        ++*row;
        --*rows;
    }
    for (int k = 0; k < MOST_TRIMMED && *rows > SHORTEST_WALK && !has_same_constants(t, n, w, base, *row + *rows - 1, middle); k++)
        --*rows;
}

static peri_status align_walks(aligned *t, const expr_node *node, int64_t n, walk *w)
{
    const int64_t base = place_walks(n, w);
    int64_t row, rows = common_rows(n, w, &row);
    if (t->constants.n_layers > 0)
        trim_rows(t, n, w, base, &row, &rows);
    t->opens = false;
    if (rows >= SHORTEST_WALK)
        TRY(decide_on_dear(t, node, n, w, row, rows));
    if (rows < SHORTEST_WALK || !is_worth_it(t->g, node, n, w, rows, t->opens)) {
        for (int64_t j = 0; j < n; j++)
            TRY(keep_part(t, node, w[j].k, 0, expr_size(t->g, t->g->args.at[node->many.list + w[j].k])));
        return PERI_OK;
    }
    t->changed = true;
    for (int64_t lane = 0; lane < w[0].stride; lane++) {
        const int64_t first = base + row * w[0].stride + lane;
        expr_id value;
        int64_t at = first;
        TRY(lane_sum(t, node, n, w, lane, row, rows, &value));
        if (value != PERI_NO_EXPR)
            TRY(background_lane(&t->constants, first, w[0].stride, rows, &value));
        for (int before = 0; before < 2 && value == PERI_NO_EXPR; before++) {
            at = first - before * (int64_t)w[0].stride; /* a lane behind the others of its row, or before those of the next one */
            TRY(background_gap(&t->constants, at, w[0].stride, rows, &value));
        }
        if (value == PERI_NO_EXPR)
            continue;
        TRY(spread(t->g, value, rows, &value));
        TRY(push(t, value, walking_list(t, rows, at, w[0].stride)));
    }
    for (int64_t j = 0; j < n; j++) {
        const int64_t from = w[j].begin + row - w[j].row;
        TRY(keep_part(t, node, w[j].k, 0, from));
        TRY(keep_part(t, node, w[j].k, from + rows, expr_size(t->g, t->g->args.at[node->many.list + w[j].k])));
    }
    return PERI_OK;
}

/* ---- a scatter ------------------------------------------------------------------------------------------------------ */

/* Walks of one stride whose first places are near each other, from `begin` on. */
static int64_t end_of_group(const walk *w, int64_t n, int64_t begin)
{
    int64_t end = begin + 1;
    while (end < n && w[end].stride == w[begin].stride && w[end].first - w[begin].first < FARTHEST * (int64_t)w[begin].stride)
        end++;
    return end;
}

static const expr_list *list_of(const aligned *t, const expr_node *node, int32_t k)
{
    return &t->g->lists.at[expr_scatter_ref(t->g, node, k)];
}

/* in_layers [arguments]: those that are taken to the background. One that nothing is done with costs memory for nothing: short ones stay. */
static peri_status find_background(aligned *t, const expr_node *node, bool *in_layers)
{
    int64_t entries = 0;
    for (int32_t k = 0; k < node->many.n; k++)
        entries += background_is_part(t->g, t->g->args.at[node->many.list + k]) ? list_of(t, node, k)->n : 0;
    for (int32_t k = 0; k < node->many.n && entries >= SHORTEST_WALK; k++)
        in_layers[k] = background_add(&t->constants, t->g->args.at[node->many.list + k], list_of(t, node, k));
    for (int32_t k = 0; k < node->many.n && t->constants.n_layers > 0; k++)
        if (!in_layers[k] && !background_reach(&t->constants, list_of(t, node, k)))
            return FAIL_NOMEM(t->g->ctx);
    return PERI_OK;
}

static peri_status align_varying(aligned *t, const expr_node *node, const bool *in_layers, walk *w)
{
    int64_t n = 0;
    for (int32_t k = 0; k < node->many.n; k++) {
        const expr_id value = t->g->args.at[node->many.list + k];
        const bool constant = expr_is_const(t->g, value);
        w[n].k = k;
        if (in_layers[k])
            continue;
        if (!constant && find_walk(list_of(t, node, k), &w[n]))
            n++;
        else
            TRY(keep_part(t, node, k, 0, expr_size(t->g, value)));
    }
    qsort(w, (size_t)n, sizeof *w, by_stride_and_place);
    for (int64_t begin = 0, end; begin < n; begin = end) {
        end = end_of_group(w, n, begin);
        TRY(align_walks(t, node, end - begin, w + begin));
    }
    return PERI_OK;
}

/* What lanes have not taken; the arguments as they were, where that is all. */
static peri_status keep_background(aligned *t, const expr_node *node, const bool *in_layers)
{
    background *b = &t->constants;
    expr_id value = PERI_NO_EXPR;
    int64_t at = 0, first = 0, n = 0;
    do {
        TRY(background_stretch(b, &at, &value, &first, &n));
        if (value != PERI_NO_EXPR)
            TRY(push(t, value, walking_list(t, n, first, 1)));
    } while (value != PERI_NO_EXPR);
    for (int32_t k = 0; k < node->many.n && !b->changed; k++)
        if (in_layers[k])
            TRY(keep_part(t, node, k, 0, expr_size(t->g, t->g->args.at[node->many.list + k])));
    for (int32_t q = 0; q < b->n_layers && b->changed; q++) {
        int32_t *list = NULL;
        TRY(background_rest(b, q, &value, &list));
        if (value != PERI_NO_EXPR)
            TRY(push(t, value, list));
    }
    t->changed = t->changed || b->changed;
    return PERI_OK;
}

static peri_status align_arguments(aligned *t, const expr_node *node)
{
    walk *w = mem_array(t->g->m, (size_t)node->many.n, sizeof *w);
    bool *in_layers = mem_array(t->g->m, (size_t)node->many.n, sizeof *in_layers);
    peri_status status = w != NULL && in_layers != NULL ? find_background(t, node, in_layers) : FAIL_NOMEM(t->g->ctx);
    if (status == PERI_OK)
        status = align_varying(t, node, in_layers, w);
    if (status == PERI_OK)
        status = keep_background(t, node, in_layers);
    mem_array_free(t->g->m, w);
    mem_array_free(t->g->m, in_layers);
    return status;
}

static peri_status align_scatter(expr_graph *g, expr_id e, expr_id *out)
{
    aligned t = {.g = g};
    TRY(condense_scatter(g, e, &e));
    const expr_node node = *expr_at(g, e);
    *out = e;
    if (node.op != PERI_OP_SCATTER)
        return PERI_OK;
    background_init(&t.constants, g, expr_size(g, e));
    peri_status status = align_arguments(&t, &node);
    if (status == PERI_OK && t.changed)
        status = expr_scatter_sum(g, node.rows, node.cols, t.args.n, t.args.at, (const int32_t *const *)t.lists.at, out);
    for (int64_t k = 0; k < t.lists.n; k++)
        mem_array_free(g->m, t.lists.at[k]);
    vec_free(g->m, &t.lists);
    vec_free(g->m, &t.args);
    background_release(&t.constants);
    return status;
}

/* out [n]: the roots, with scatters aligned; a scatter below another one stays as it is. */
peri_status diff_align(expr_graph *g, int64_t n, const expr_id *roots, expr_id *out)
{
    expr_part part;
    expr_id_list from = {0}, to = {0};
    TRY(expr_part_make(&part, g, n, roots, NULL, NULL));
    peri_status status = PERI_OK;
    for (int64_t k = 0; k < part.nodes.n && status == PERI_OK; k++) {
        expr_id other;
        if (expr_at(g, part.nodes.at[k])->op != PERI_OP_SCATTER)
            continue;
        status = align_scatter(g, part.nodes.at[k], &other);
        if (status == PERI_OK && other != part.nodes.at[k] && (!vec_push(g->m, &from, part.nodes.at[k]) || !vec_push(g->m, &to, other)))
            status = FAIL_NOMEM(g->ctx);
    }
    if (status == PERI_OK)
        status = expr_substitute(g, n, roots, from.n, from.at, to.at, out);
    vec_free(g->m, &from);
    vec_free(g->m, &to);
    expr_part_release(&part);
    return status;
}
