/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terms_image.c - what K rows read of an array, as a K x s array of their graph: found from the top down, so that only what the rows need is
 * computed. Constants and parameters end in columns of data, variables in entries taken by the rows' numbers. An operation whose rows cannot be told
 * apart is evaluated for all rows and read from (t->whole). Invariant: nothing here that depends on the weights is evaluated for all rows.
 * Products are in terms_product.c.
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

/* ---- copies ------------------------------------------------------------------------------------------------------------------ */

peri_status terms_plain(terms_builder *b, expr_id e, expr_id *out)
{
    int64_t there;
    if (terms_depends(b, e))
        return terms_unclear(b, e);
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

static peri_status constant(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    double value;
    if (terms_sparse_of(b->t->from, e) != NULL)
        return terms_unclear(b, e);
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
    return weights < 0 ? terms_unclear(b, e) : column(b, &in_class, NULL, weights == 1, out);
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

peri_status terms_for_all(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    expr_id plain;
    TRY(terms_plain(b, e, &plain));
    b->t->whole = true;
    return terms_take(b->t, plain, at, out);
}

/* The part of a stack that the rows' entries at place j lie in, and where; -1: in several */
static int32_t part_of(int32_t n, const int64_t *end, const terms_layout *at, int64_t j, int32_t *entries, int64_t *some)
{
    int32_t in = -1;
    for (int64_t i = 0; i < at->n; i++) {
        const int64_t entry = terms_entry(at, i, j);
        int32_t k = 0;
        while (k < n - 1 && entry >= end[k])
            k++;
        if (entry >= 0 && in >= 0 && k != in)
            return -1;
        in = entry >= 0 ? k : in;
        entries[i] = entry < 0 ? -1 : (int32_t)(entry - (k > 0 ? end[k - 1] : 0));
        *some = entry < 0 ? *some : entries[i];
    }
    return in < 0 ? 0 : in;
}

/* K x s from the s columns below each other */
static peri_status beside(diff_terms *t, int64_t s, const expr_id *piece, expr_id *out)
{
    expr_id all;
    if (s == 1) {
        *out = piece[0];
        return PERI_OK;
    }
    TRY(expr_stack(t->to, s, piece, &all));
    int32_t *index = mem_array(t->to->m, (size_t)(t->K * s), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(t->to->ctx);
    for (int64_t k = 0; k < t->K * s; k++)
        index[k] = (int32_t)(k % s * t->K + k / s);
    const peri_status status = expr_gather_list(t->to, all, t->K, s, t->K * s, index, out);
    mem_array_free(t->to->m, index);
    return status;
}

/* Where each place lies in one part for all rows, place by place. */
static peri_status stack_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    diff_terms *t = b->t;
    const expr_node node = *expr_at(t->from, e);
    expr_id piece[WALK_MOST];
    int64_t end[WALK_MOST];
    if (node.many.n > WALK_MOST || at->s > WALK_MOST)
        return terms_for_all(b, e, at, out);
    for (int32_t k = 0; k < node.many.n; k++)
        end[k] = (k > 0 ? end[k - 1] : 0) + expr_size(t->from, t->from->args.at[node.many.list + k]);
    for (int64_t j = 0; j < at->s; j++) {
        int32_t *entries = terms_list(t, at->n);
        if (entries == NULL)
            return PERI_E_NOMEM;
        terms_layout below = {.n = at->n, .s = 1, .at = entries};
        const int32_t in = part_of(node.many.n, end, at, j, entries, &below.some);
        if (in < 0)
            return terms_for_all(b, e, at, out);
        terms_settle(t, &below);
        TRY(terms_image_of(b, t->from->args.at[node.many.list + in], &below, &piece[j]));
    }
    return beside(t, at->s, piece, out);
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
        out->start[expr_list_at(list, k) + 1]++;
    for (int64_t e = 0; e < size; e++)
        out->start[e + 1] += out->start[e];
    for (int64_t k = list->n; k-- > 0;)
        out->by[--out->start[expr_list_at(list, k) + 1]] = (int32_t)k;
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
        const expr_list list = t->from->lists.at[expr_scatter_ref(t->from, &node, k)];
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
        return terms_for_all(b, e, at, out);
    return n > 0 ? expr_scatter_sum(t->to, t->K, at->s, n, image, where, out) : expr_full(t->to, t->K, at->s, 0, out);
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
        return terms_product_image(b, e, at, out);
    case PERI_OP_CONV:
        return terms_convolution_image(b, e, at, out);
    case PERI_OP_ROWMAX:
        return terms_row_max_image(b, e, at, out);
    case PERI_OP_MARK:
        return terms_image_of(b, node.arg[0], at, out);
    case PERI_OP_STOP:
        TRY(terms_image_of(b, node.arg[0], at, out));
        return expr_unary(b->t->to, PERI_OP_STOP, *out, out);
    default:
        return terms_for_all(b, e, at, out);
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
