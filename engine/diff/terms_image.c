/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terms_image.c - what K rows read of an array, as a K x s array of their graph: found from the top down, so that only what the rows need is
 * computed. Constants and parameters end in columns of data, variables in entries taken by the rows' numbers. An operation whose rows cannot be told
 * apart is evaluated for all rows and read from (t->whole). Invariant: nothing here that depends on the weights is evaluated for all rows.
 */
#include "diff/terms.h"
#include "expr/bilinear.h"
#include <string.h>

enum { WALK_MOST = 64 }; /* parts of a stack */

int32_t *terms_list(diff_terms *t, int64_t n)
{
    int32_t *list = mem_array(t->to->m, (size_t)n, sizeof *list);
    if (list != NULL && !vec_push(t->to->m, &t->lists, list)) {
        mem_array_free(t->to->m, list);
        list = NULL;
    }
    if (list == NULL)
        (void)FAIL_NOMEM(t->to->ctx);
    return list;
}

void terms_settle(diff_terms *t, terms_layout *at)
{
    if (at->at == NULL)
        return;
    terms_layout even = {.n = at->n, .s = at->s, .first = at->at[0], .some = at->some};
    even.row_step = at->n > 1 ? at->at[at->s] - even.first : 0;
    even.step = at->s > 1 ? at->at[1] - even.first : 0;
    for (int64_t i = 0; i < at->n; i++)
        for (int64_t j = 0; j < at->s; j++)
            if (at->at[i * at->s + j] < 0 || at->at[i * at->s + j] != terms_entry(&even, i, j))
                return;
    if (t->lists.n > 0 && t->lists.at[t->lists.n - 1] == at->at)
        mem_array_free(t->to->m, t->lists.at[--t->lists.n]);
    *at = even;
}

static peri_status unsupported(const terms_builder *b, expr_id e)
{
    return FAIL(b->t->to->ctx, PERI_E_UNSUPPORTED, "weighted sum: %s of the weights is not linear in them, or its terms cannot be told apart",
                peri_op_name((peri_op)expr_at(b->t->from, e)->op));
}

/* ---- copies ------------------------------------------------------------------------------------------------------------------ */

peri_status terms_plain(terms_builder *b, expr_id e, expr_id *out)
{
    int64_t there;
    if (terms_depends(b, e))
        return unsupported(b, e);
    if (hash_get(&b->plain, (uint64_t)e, &there)) {
        *out = (expr_id)there;
        return PERI_OK;
    }
    TRY(expr_transplant(b->t->from, 1, &e, b->t->to, b->input, out));
    return hash_put(&b->plain, (uint64_t)e, *out) ? PERI_OK : FAIL_NOMEM(b->t->to->ctx);
}

static bool is_fixed(const terms_layout *at)
{
    if (at->at == NULL)
        return at->n == 1 || at->row_step == 0;
    for (int64_t i = 1; i < at->n; i++)
        if (memcmp(at->at, at->at + i * at->s, (size_t)at->s * sizeof *at->at) != 0)
            return false;
    return at->at[0] >= 0;
}

/* What does not depend on the row. */
static peri_status fixed_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    const int64_t K = b->t->K, n = K * at->s;
    expr_id plain;
    TRY(terms_plain(b, e, &plain));
    if (expr_size(b->t->to, plain) == 1)
        return expr_gather_affine(b->t->to, plain, K, at->s, 0, 0, out);
    int32_t *index = mem_array(b->t->to->m, (size_t)n, sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(b->t->to->ctx);
    for (int64_t k = 0; k < n; k++)
        index[k] = (int32_t)terms_entry(at, 0, k % at->s);
    const peri_status status = expr_gather_list(b->t->to, plain, K, at->s, n, index, out);
    mem_array_free(b->t->to->m, index);
    return status;
}

/* ---- data -------------------------------------------------------------------------------------------------------------------- */

static peri_status column(terms_builder *b, const terms_layout *at, const double *from, bool is_weight, expr_id *out)
{
    diff_terms *t = b->t;
    if (!vec_push(t->to->m, &t->columns, ((terms_column){.at = *at, .place = t->width, .from = from, .is_weight = is_weight})))
        return FAIL_NOMEM(t->to->ctx);
    const int64_t place = t->K * t->width;
    t->width += at->s;
    return expr_input(t->to, EXPR_IN_W, place, t->K, at->s, out);
}

static const expr_const *sparse_of(const expr_graph *g, expr_id e)
{
    const expr_node *node = expr_at(g, e);
    if (node->op != PERI_OP_CONST || (node->rows == 1 && node->cols == 1))
        return NULL;
    const expr_const *c = &g->consts.at[node->ref];
    return c->col != NULL ? c : NULL;
}

static peri_status constant(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    double value;
    if (sparse_of(b->t->from, e) != NULL)
        return unsupported(b, e);
    if (expr_constant_value(b->t->from, e, &value))
        return expr_full(b->t->to, b->t->K, at->s, value, out);
    return column(b, at, expr_const_data(b->t->from, e), false, out);
}

/* The layout in a range's class. */
static peri_status shifted(diff_terms *t, const terms_layout *at, int64_t by, terms_layout *out)
{
    *out = *at;
    out->some += by;
    out->first += by;
    if (at->at == NULL || by == 0)
        return PERI_OK;
    int32_t *list = terms_list(t, at->n * at->s);
    if (list == NULL)
        return PERI_E_NOMEM;
    for (int64_t k = 0; k < at->n * at->s; k++)
        list[k] = at->at[k] < 0 ? -1 : (int32_t)(at->at[k] + by);
    out->at = list;
    return PERI_OK;
}

/* 1: all entries are weights, 0: none is, -1: some are */
static int are_weights(const diff_terms *t, const terms_layout *at)
{
    int64_t in = 0, out = 0;
    for (int64_t i = 0; i < at->n; i++)
        for (int64_t j = 0; j < at->s; j++) {
            const int64_t k = terms_entry(at, i, j);
            in += k >= t->first && k < t->first + t->n;
            out += k >= 0 && (k < t->first || k >= t->first + t->n);
        }
    return in > 0 && out > 0 ? -1 : in > 0;
}

static peri_status input_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    const expr_node node = *expr_at(b->t->from, e);
    terms_layout in_class;
    if (node.class_ != EXPR_IN_PARAM) {
        expr_id plain;
        TRY(terms_plain(b, e, &plain));
        return terms_take(b->t, plain, at, out);
    }
    TRY(shifted(b->t, at, node.ref, &in_class));
    const int weights = are_weights(b->t, &in_class);
    return weights < 0 ? unsupported(b, e) : column(b, &in_class, NULL, weights == 1, out);
}

/* ---- arrays ------------------------------------------------------------------------------------------------------------------ */

static peri_status gather_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    const expr_graph *g = b->t->from;
    const expr_node node = *expr_at(g, e);
    terms_layout below = *at;
    below.some = expr_gather_at(g, &node, at->some);
    if (at->at == NULL && (node.flags & EXPR_AFFINE)) {
        below.first = expr_gather_at(g, &node, at->first);
        below.row_step *= node.stride;
        below.step *= node.stride;
        return terms_image_of(b, node.arg[0], &below, out);
    }
    int32_t *list = terms_list(b->t, at->n * at->s);
    if (list == NULL)
        return PERI_E_NOMEM;
    for (int64_t i = 0; i < at->n; i++)
        for (int64_t j = 0; j < at->s; j++) {
            const int64_t k = terms_entry(at, i, j);
            list[i * at->s + j] = k < 0 ? -1 : (int32_t)expr_gather_at(g, &node, k);
        }
    below.at = list;
    terms_settle(b->t, &below);
    return terms_image_of(b, node.arg[0], &below, out);
}

static peri_status elementwise_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    const expr_id *list;
    expr_id args[3];
    const int32_t n = expr_args(b->t->from, e, &list);
    for (int32_t k = 0; k < n; k++)
        TRY(expr_size(b->t->from, list[k]) == 1 && !terms_depends(b, list[k]) ? terms_plain(b, list[k], &args[k])
                                                                              : terms_image_of(b, list[k], at, &args[k]));
    TRY(expr_op(b->t->to, (peri_op)expr_at(b->t->from, e)->op, n, args, out));
    return expr_size(b->t->to, *out) == b->t->K * at->s ? PERI_OK : expr_gather_affine(b->t->to, *out, b->t->K, at->s, 0, 0, out);
}

static peri_status for_all(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    expr_id plain;
    TRY(terms_plain(b, e, &plain));
    b->t->whole = true;
    return terms_take(b->t, plain, at, out);
}

/* Place j of every row lies in one part: each part's places together, then into their order. */
static peri_status stack_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    diff_terms *t = b->t;
    const expr_id *list;
    expr_id part[WALK_MOST], piece[WALK_MOST];
    int64_t end[WALK_MOST], place_of[WALK_MOST];
    int32_t n_pieces = 0, n = expr_args(t->from, e, &list);
    if (n > WALK_MOST || at->s > WALK_MOST)
        return terms_depends(b, e) ? unsupported(b, e) : for_all(b, e, at, out);
    for (int32_t k = 0; k < n; k++) {
        part[k] = list[k];
        end[k] = (k > 0 ? end[k - 1] : 0) + expr_size(t->from, list[k]);
    }
    for (int64_t j = 0; j < at->s; j++) { /* each place is a piece of its own */
        int32_t in = -1;
        for (int64_t i = 0; i < at->n; i++) {
            const int64_t entry = terms_entry(at, i, j);
            int32_t k = 0;
            while (entry >= end[k])
                k++;
            if (entry >= 0 && in >= 0 && k != in)
                return terms_depends(b, e) ? unsupported(b, e) : for_all(b, e, at, out);
            in = entry >= 0 ? k : in;
        }
        in = in < 0 ? 0 : in;
        const int64_t before = in > 0 ? end[in - 1] : 0;
        int32_t *entries = terms_list(t, at->n);
        if (entries == NULL)
            return PERI_E_NOMEM;
        terms_layout below = {.n = at->n, .s = 1, .at = entries};
        for (int64_t i = 0; i < at->n; i++) {
            const int64_t entry = terms_entry(at, i, j);
            entries[i] = entry < 0 ? -1 : (int32_t)(entry - before);
            below.some = entry < 0 ? below.some : entry - before;
        }
        terms_settle(t, &below);
        TRY(terms_image_of(b, part[in], &below, &piece[n_pieces++]));
        place_of[j] = n_pieces - 1;
    }
    if (at->s == 1) {
        *out = piece[0];
        return PERI_OK;
    }
    expr_id all;
    TRY(expr_stack(t->to, n_pieces, piece, &all));
    int32_t *index = mem_array(t->to->m, (size_t)(t->K * at->s), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(t->to->ctx);
    for (int64_t k = 0; k < t->K * at->s; k++)
        index[k] = (int32_t)(place_of[k % at->s] * t->K + k / at->s);
    const peri_status status = expr_gather_list(t->to, all, t->K, at->s, t->K * at->s, index, out);
    mem_array_free(t->to->m, index);
    return status;
}

/* ---- sums by places ------------------------------------------------------------------------------------------------------------- */

/* Argument a's entries by the place they are added to: those of entry e are by[start[e]] .. */
typedef struct {
    int32_t *start, *by;
} targets;

static peri_status find_targets(diff_terms *t, const expr_list *list, int64_t size, targets *out)
{
    out->start = terms_list(t, size + 1);
    out->by = terms_list(t, list->n);
    if (out->start == NULL || out->by == NULL)
        return PERI_E_NOMEM;
    for (int64_t k = 0; k < list->n; k++)
        out->start[list->at[k] + 1]++;
    for (int64_t e = 0; e < size; e++)
        out->start[e + 1] += out->start[e];
    for (int64_t k = list->n; k-- > 0;)
        out->by[--out->start[list->at[k] + 1]] = (int32_t)k;
    for (int64_t e = 0; e < size; e++) /* they were moved to the beginnings */
        out->start[e] = out->start[e + 1];
    out->start[size] = (int32_t)list->n;
    return PERI_OK;
}

/* How many entries of an argument each place of a row gets; -1: not the same for all rows */
static int64_t count_of(const targets *by, const terms_layout *at, int64_t j)
{
    int64_t count = -1;
    for (int64_t i = 0; i < at->n; i++) {
        const int64_t entry = terms_entry(at, i, j);
        const int64_t here = entry < 0 ? count : by->start[entry + 1] - by->start[entry];
        if (count >= 0 && here != count)
            return -1;
        count = here;
    }
    return count < 0 ? 0 : count;
}

static peri_status scatter_part(terms_builder *b, expr_id arg, const targets *by, const terms_layout *at, int64_t each, const int64_t *count,
                                expr_id *image, const int32_t **where)
{
    diff_terms *t = b->t;
    int32_t *list = terms_list(t, at->n * each);
    terms_layout below = {.n = at->n, .s = each, .at = list};
    if (list == NULL)
        return PERI_E_NOMEM;
    for (int64_t i = 0; i < at->n; i++)
        for (int64_t j = 0; j < at->s; j++) {
            const int64_t entry = terms_entry(at, i, j);
            for (int64_t k = 0; k < count[j]; k++) {
                *list = entry < 0 ? -1 : by->by[by->start[entry] + k];
                below.some = *list < 0 ? below.some : *list;
                list++;
            }
        }
    terms_settle(t, &below);
    int32_t *to = terms_list(t, t->K * each);
    if (to == NULL)
        return PERI_E_NOMEM;
    *where = to;
    for (int64_t i = 0; i < t->K; i++)
        for (int64_t j = 0; j < at->s; j++)
            for (int64_t k = 0; k < count[j]; k++)
                *to++ = (int32_t)(i * at->s + j);
    return terms_image_of(b, arg, &below, image);
}

static peri_status scatter_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    diff_terms *t = b->t;
    const expr_node node = *expr_at(t->from, e);
    expr_id image[WALK_MOST];
    const int32_t *where[WALK_MOST];
    int32_t n = 0;
    bool even = node.many.n <= WALK_MOST;
    int64_t *count = arena_array(&t->data, (size_t)at->s, sizeof *count);
    if (count == NULL)
        return FAIL_NOMEM(t->to->ctx);
    for (int32_t k = 0; k < node.many.n && even; k++) {
        const expr_id arg = t->from->args.at[node.many.list + k];
        const expr_list list = t->from->lists.at[t->from->args.at[node.many.list + node.many.n + k]];
        targets by;
        int64_t each = 0;
        TRY(find_targets(t, &list, expr_size(t->from, e), &by));
        for (int64_t j = 0; j < at->s && even; j++) {
            count[j] = count_of(&by, at, j);
            even = count[j] >= 0;
            each += count[j];
        }
        if (!even || each == 0)
            continue;
        TRY(scatter_part(b, arg, &by, at, each, count, &image[n], &where[n]));
        n++;
    }
    if (!even)
        return terms_depends(b, e) ? unsupported(b, e) : for_all(b, e, at, out);
    return n > 0 ? expr_scatter_sum(t->to, t->K, at->s, n, image, where, out) : expr_full(t->to, t->K, at->s, 0, out);
}

/* ---- products ----------------------------------------------------------------------------------------------------------------------- */

/* A row's entries of a product A B as a block: rows u[i][.] of A, columns v[.] of B. */
typedef struct {
    int64_t r, p, c;   /* A is r x p, B p x c */
    int64_t rows, cols; /* of the block */
} block;

/* A row all of whose entries are there */
static int64_t full_row(const terms_layout *at)
{
    for (int64_t i = 0; at->at != NULL && i < at->n; i++) {
        int64_t j = 0;
        while (j < at->s && at->at[i * at->s + j] >= 0)
            j++;
        if (j == at->s)
            return i;
    }
    return 0;
}

/* Whether every row's entries are so many rows of A by the same columns of B. */
static bool is_by_rows(const terms_layout *at, block *k)
{
    const int64_t model = full_row(at);
    k->cols = 1;
    while (k->cols < at->s && terms_entry(at, model, k->cols) / k->c == terms_entry(at, model, 0) / k->c)
        k->cols++;
    k->rows = at->s / k->cols;
    if (at->s % k->cols != 0)
        return false;
    for (int64_t i = 0; i < at->n; i++)
        for (int64_t j = 0; j < at->s; j++) {
            const int64_t entry = terms_entry(at, i, j), head = terms_entry(at, i, j - j % k->cols);
            if (entry < 0)
                continue;
            if (head < 0 || entry / k->c != head / k->c || entry % k->c != terms_entry(at, model, j % k->cols) % k->c)
                return false;
        }
    return true;
}

/* ... are one column of B by the same rows of A */
static bool is_by_columns(const terms_layout *at, const block *k)
{
    const int64_t model = full_row(at);
    for (int64_t i = 0; i < at->n; i++)
        for (int64_t j = 0; j < at->s; j++) {
            const int64_t entry = terms_entry(at, i, j), head = terms_entry(at, i, 0);
            if (entry < 0)
                continue;
            if (head < 0 || entry % k->c != head % k->c || entry / k->c != terms_entry(at, model, j) / k->c)
                return false;
        }
    return true;
}

/* The rows of A (or with `step` the columns of B) that the entries need, whole: head entries are every cols-th of the layout. */
static peri_status factor_layout(diff_terms *t, const terms_layout *at, const block *k, bool by_rows, terms_layout *out)
{
    const int64_t heads = by_rows ? k->rows : 1, each = by_rows ? k->cols : at->s;
    const int64_t factor = by_rows ? k->p : 1, step = by_rows ? 1 : k->c;
    *out = (terms_layout){.n = at->n, .s = heads * k->p, .some = by_rows ? at->some / k->c * k->p : at->some % k->c};
    if (at->at == NULL && heads == 1) {
        const int64_t first = by_rows ? at->first / k->c : at->first % k->c;
        const int64_t next = at->first + (at->n > 1 ? at->row_step : 0);
        const int64_t moves = (by_rows ? next / k->c : next % k->c) - first;
        bool even = true;
        for (int64_t i = 0; i < at->n && even; i++) {
            const int64_t entry = terms_entry(at, i, 0);
            even = (by_rows ? entry / k->c : entry % k->c) == first + i * moves;
        }
        out->first = first * factor;
        out->row_step = moves * factor;
        out->step = step;
        if (even)
            return PERI_OK;
    }
    int32_t *list = terms_list(t, at->n * out->s);
    if (list == NULL)
        return PERI_E_NOMEM;
    out->at = list;
    for (int64_t i = 0; i < at->n; i++)
        for (int64_t h = 0; h < heads; h++) {
            const int64_t entry = terms_entry(at, i, h * each), head = (by_rows ? entry / k->c : entry % k->c) * factor;
            for (int64_t q = 0; q < k->p; q++)
                *list++ = entry < 0 ? -1 : (int32_t)(head + q * step);
        }
    terms_settle(t, out);
    return PERI_OK;
}

/* Some columns of B (by_rows), or some rows of A, transposed: p x n */
static peri_status part_of_factor(terms_builder *b, expr_id e, const terms_layout *at, const block *k, bool by_rows, expr_id *out)
{
    const int64_t n = by_rows ? k->cols : at->s, model = full_row(at);
    expr_id plain;
    TRY(terms_plain(b, e, &plain));
    *out = plain;
    bool all = by_rows && n == k->c;
    for (int64_t j = 0; j < n && all; j++)
        all = terms_entry(at, model, j) % k->c == j;
    if (all)
        return PERI_OK;
    int32_t *index = mem_array(b->t->to->m, (size_t)(k->p * n), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(b->t->to->ctx);
    for (int64_t q = 0; q < k->p; q++)
        for (int64_t j = 0; j < n; j++) {
            const int64_t entry = terms_entry(at, model, j);
            index[q * n + j] = (int32_t)(by_rows ? q * k->c + entry % k->c : entry / k->c * k->p + q);
        }
    const peri_status status = expr_gather_list(b->t->to, plain, k->p, n, k->p * n, index, out);
    mem_array_free(b->t->to->m, index);
    return status;
}

static peri_status sparse_image(terms_builder *b, const expr_const *a, expr_id v, const terms_layout *at, const block *k, expr_id *out)
{
    expr_id by;
    terms_layout rows = {.n = at->n, .s = k->rows, .some = at->some / k->c};
    int32_t *list = terms_list(b->t, at->n * k->rows);
    if (list == NULL)
        return PERI_E_NOMEM;
    rows.at = list;
    for (int64_t i = 0; i < at->n; i++)
        for (int64_t h = 0; h < k->rows; h++) {
            const int64_t entry = terms_entry(at, i, h * k->cols);
            *list++ = entry < 0 ? -1 : (int32_t)(entry / k->c);
        }
    terms_settle(b->t, &rows);
    TRY(part_of_factor(b, v, at, k, true, &by));
    TRY(terms_sparse(b->t, a, &rows, by, out));
    return expr_reshape(b->t->to, *out, b->t->K, at->s, out);
}

static peri_status product_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    diff_terms *t = b->t;
    const expr_node node = *expr_at(t->from, e);
    const expr_id a = node.arg[0], v = node.arg[1];
    block k = {expr_at(t->from, a)->rows, expr_at(t->from, a)->cols, expr_at(t->from, v)->cols, 0, 0};
    const expr_const *sparse = sparse_of(t->from, a);
    terms_layout below;
    expr_id image, other;
    const bool by_rows = !terms_depends(b, v) && sparse_of(t->from, v) == NULL && is_by_rows(at, &k);
    if (by_rows && sparse != NULL)
        return sparse_image(b, sparse, v, at, &k, out);
    if (!by_rows && (terms_depends(b, a) || sparse != NULL || sparse_of(t->from, v) != NULL || !is_by_columns(at, &k)))
        return terms_depends(b, e) ? unsupported(b, e) : for_all(b, e, at, out);
    TRY(factor_layout(t, at, &k, by_rows, &below));
    TRY(terms_image_of(b, by_rows ? a : v, &below, &image));
    TRY(part_of_factor(b, by_rows ? v : a, at, &k, by_rows, &other));
    TRY(expr_reshape(t->to, image, by_rows ? t->K * k.rows : t->K, k.p, &image));
    TRY(expr_binary(t->to, PERI_OP_MATMUL, image, other, out));
    return expr_reshape(t->to, *out, t->K, at->s, out);
}

/* Largest entries of whole rows */
static peri_status row_max_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    diff_terms *t = b->t;
    const expr_id arg = expr_at(t->from, e)->arg[0];
    const block k = {.p = expr_at(t->from, arg)->cols, .c = 1, .rows = at->s, .cols = 1};
    terms_layout below;
    expr_id image;
    TRY(factor_layout(t, at, &k, true, &below));
    TRY(terms_image_of(b, arg, &below, &image));
    TRY(expr_reshape(t->to, image, t->K * at->s, k.p, &image));
    TRY(expr_unary(t->to, PERI_OP_ROWMAX, image, out));
    return expr_reshape(t->to, *out, t->K, at->s, out);
}

/* ---- one node --------------------------------------------------------------------------------------------------------------------------- */

static peri_status make_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    const expr_node node = *expr_at(b->t->from, e);
    if (!terms_depends(b, e) && is_fixed(at))
        return fixed_image(b, e, at, out);
    if (expr_is_elementwise(node.op))
        return elementwise_image(b, e, at, out);
    switch (node.op) {
    case PERI_OP_CONST:
        return constant(b, e, at, out);
    case PERI_OP_INPUT:
        return input_image(b, e, at, out);
    case PERI_OP_GATHER:
        return gather_image(b, e, at, out);
    case PERI_OP_STACK:
        return stack_image(b, e, at, out);
    case PERI_OP_SCATTER:
        return scatter_image(b, e, at, out);
    case PERI_OP_MATMUL:
        return product_image(b, e, at, out);
    case PERI_OP_ROWMAX:
        return row_max_image(b, e, at, out);
    case PERI_OP_MARK:
        return terms_image_of(b, node.arg[0], at, out);
    case PERI_OP_STOP:
        TRY(terms_image_of(b, node.arg[0], at, out));
        return expr_unary(b->t->to, PERI_OP_STOP, *out, out);
    default:
        return terms_depends(b, e) ? unsupported(b, e) : for_all(b, e, at, out);
    }
}

static bool same_layout(const terms_layout *a, const terms_layout *b)
{
    if (a->n != b->n || a->s != b->s || (a->at == NULL) != (b->at == NULL))
        return false;
    if (a->at == NULL)
        return a->first == b->first && a->row_step == b->row_step && a->step == b->step;
    return a->at == b->at || memcmp(a->at, b->at, (size_t)(a->n * a->s) * sizeof *a->at) == 0;
}

peri_status terms_image_of(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    int64_t last = 0;
    mem *a = b->t->to->m;
    (void)hash_get(&b->of, (uint64_t)e, &last);
    for (int64_t k = last; k > 0; k = b->images.at[k - 1].next)
        if (same_layout(at, &b->images.at[k - 1].at)) {
            *out = b->images.at[k - 1].image;
            return PERI_OK;
        }
    TRY(make_image(b, e, at, out));
    (void)hash_get(&b->of, (uint64_t)e, &last);
    if (!vec_push(a, &b->images, ((struct terms_image){e, *at, *out, last})) || !hash_put(&b->of, (uint64_t)e, b->images.n))
        return FAIL_NOMEM(b->t->to->ctx);
    return PERI_OK;
}
