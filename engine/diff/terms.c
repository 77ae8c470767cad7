/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terms.c - a function taken apart into what has no weights in it and a sum that is linear in them: sums are followed down to where each entry of an
 * array belongs to one weight. Invariant: every path from f to a weight is linear, so that a row's term is its share whatever
 * the other rows are.
 */
#include "diff/terms.h"
#include "expr/bilinear.h"
#include <string.h>

enum { FEW_PLACES = 4, MOST_LONE = 16 }; /* of a row in a sum that few rows have a part in; such sums, each of which costs all rows a term */

typedef struct {
    expr_id rest, total; /* in `from`, in `to`; PERI_NO_EXPR: none */
} parts;

static const parts NOTHING = {PERI_NO_EXPR, PERI_NO_EXPR};

peri_status terms_unclear(const terms_builder *b, expr_id e)
{
    return FAIL(b->t->to->ctx, PERI_E_UNSUPPORTED, "weighted sum: %s of the weights is not linear in them, or its terms cannot be told apart",
                peri_op_name((peri_op)expr_at(b->t->from, e)->op));
}

/* ---- which nodes have weights in them --------------------------------------------------------------------------------------------- */

static bool reads_weights(const diff_terms *t, const expr_node *source, int64_t entry)
{
    return source->class_ == EXPR_IN_PARAM && source->ref + entry >= t->first && source->ref + entry < t->first + t->n;
}

static bool gather_reads_weights(const diff_terms *t, expr_id e)
{
    const expr_node node = *expr_at(t->from, e);
    const expr_node source = *expr_at(t->from, node.arg[0]);
    const int64_t n = expr_size(t->from, e);
    for (int64_t k = 0; k < n; k++)
        if (reads_weights(t, &source, expr_gather_at(t->from, &node, k)))
            return true;
    return false;
}

static bool node_depends(const terms_builder *b, expr_id e)
{
    const diff_terms *t = b->t;
    const expr_id *list;
    const expr_node *node = expr_at(t->from, e);
    if (node->op == PERI_OP_INPUT) {
        const int64_t end = node->ref + (int64_t)node->rows * node->cols;
        return node->class_ == EXPR_IN_PARAM && node->ref < t->first + t->n && t->first < end;
    }
    if (node->op == PERI_OP_GATHER && expr_at(t->from, node->arg[0])->op == PERI_OP_INPUT)
        return gather_reads_weights(t, e);
    const int32_t n = expr_args(t->from, e, &list);
    for (int32_t k = 0; k < n; k++)
        if (b->depends[list[k]])
            return true;
    return false;
}

static peri_status find_dependent(terms_builder *b, expr_id f)
{
    const int64_t n = (int64_t)f + 1;
    unsigned char *reach = mem_array(b->t->from->m, (size_t)b->t->from->nodes.n, 1);
    b->depends = mem_array(b->t->from->m, (size_t)n, 1);
    b->n_depends = n;
    if (reach == NULL || b->depends == NULL) {
        mem_array_free(b->t->from->m, reach);
        return FAIL_NOMEM(b->t->from->ctx);
    }
    expr_reach(b->t->from, 1, &f, reach);
    for (expr_id e = 0; e < n; e++)
        b->depends[e] = reach[e] && node_depends(b, e);
    mem_array_free(b->t->from->m, reach);
    return PERI_OK;
}

/* ---- parts --------------------------------------------------------------------------------------------------------------------------- */

static peri_status join(expr_graph *g, peri_op op, expr_id a, expr_id b, expr_id *out)
{
    *out = a != PERI_NO_EXPR ? a : b;
    if (a != PERI_NO_EXPR && b != PERI_NO_EXPR)
        return expr_binary(g, op, a, b, out);
    return b != PERI_NO_EXPR && op == PERI_OP_SUB ? expr_unary(g, PERI_OP_NEG, b, out) : PERI_OK;
}

static peri_status join_parts(const terms_builder *b, peri_op op, const parts *left, const parts *right, parts *out)
{
    parts both;
    TRY(join(b->t->from, op, left->rest, right->rest, &both.rest));
    TRY(join(b->t->to, op, left->total, right->total, &both.total));
    *out = both;
    return PERI_OK;
}

/* p op by, where `by` is a scalar without weights */
static peri_status scale(terms_builder *b, peri_op op, expr_id by, parts *p)
{
    if (p->rest != PERI_NO_EXPR)
        TRY(expr_binary(b->t->from, op, p->rest, by, &p->rest));
    if (p->total == PERI_NO_EXPR)
        return PERI_OK;
    expr_id copy;
    TRY(terms_plain(b, by, &copy));
    return expr_binary(b->t->to, op, p->total, copy, &p->total);
}

/* ---- the weight of each entry ----------------------------------------------------------------------------------------------------------- */

/* Factors: of `e`, the one with weights, where there is exactly one. */
static bool only_dependent(const terms_builder *b, expr_id e, expr_id *with, expr_id *without)
{
    const expr_node node = *expr_at(b->t->from, e);
    const bool first = terms_depends(b, node.arg[0]);
    if (first == terms_depends(b, node.arg[1]) || (!first && node.op == PERI_OP_DIV))
        return false;
    *with = node.arg[first ? 0 : 1];
    *without = node.arg[first ? 1 : 0];
    return true;
}

/* Entries at[k] of a stack, in one of its parts */
static bool enter_part(const terms_builder *b, expr_id *e, int64_t n, int32_t *at)
{
    const expr_id *list;
    const int32_t parts_ = expr_args(b->t->from, *e, &list);
    int64_t before = 0;
    for (int32_t k = 0; k < parts_; before += expr_size(b->t->from, list[k]), k++) {
        const int64_t size = expr_size(b->t->from, list[k]);
        if (at[0] < before || at[0] >= before + size)
            continue;
        for (int64_t i = 0; i < n; i++)
            if (at[i] < before || at[i] >= before + size)
                return false;
        for (int64_t i = 0; i < n; i++)
            at[i] -= (int32_t)before;
        *e = list[k];
        return true;
    }
    return false;
}

/* at[k]: an entry of e; becomes the number of the weight that it is a multiple of */
static peri_status rows_of(terms_builder *b, expr_id e, int64_t n, int32_t *at)
{
    const diff_terms *t = b->t;
    expr_id with, without;
    for (;;) {
        const expr_node node = *expr_at(t->from, e);
        switch (node.op) {
        case PERI_OP_NEG:
        case PERI_OP_MARK:
            e = node.arg[0];
            break;
        case PERI_OP_MUL:
        case PERI_OP_DIV:
            if (!only_dependent(b, e, &with, &without))
                return terms_unclear(b, e);
            if (expr_size(t->from, with) == 1)
                memset(at, 0, (size_t)n * sizeof *at);
            e = with;
            break;
        case PERI_OP_GATHER:
            for (int64_t k = 0; k < n; k++)
                at[k] = (int32_t)expr_gather_at(t->from, &node, at[k]);
            e = node.arg[0];
            break;
        case PERI_OP_STACK:
            if (!enter_part(b, &e, n, at))
                return terms_unclear(b, e);
            break;
        case PERI_OP_INPUT:
            for (int64_t k = 0; k < n; k++) {
                if (!reads_weights(t, &node, at[k]))
                    return terms_unclear(b, e);
                at[k] = (int32_t)(node.ref + at[k] - t->first);
            }
            return PERI_OK;
        default:
            return terms_unclear(b, e);
        }
    }
}

/* ---- layouts and totals ---------------------------------------------------------------------------------------------------------------- */

/* Entries by rows: of those that belong to one weight the k-th is its k-th place. */
static peri_status lay_out(terms_builder *b, expr_id e, int64_t n, const int32_t *entry, const int32_t *row, terms_layout *out)
{
    diff_terms *t = b->t;
    int32_t *count = terms_list(t, t->n);
    int64_t s = 0;
    if (count == NULL)
        return PERI_E_NOMEM;
    for (int64_t k = 0; k < n; k++) {
        count[row[k]]++;
        s = count[row[k]] > s ? count[row[k]] : s;
    }
    if (s * t->n > 64 * n + 1024 && (s > FEW_PLACES || ++b->n_lone > MOST_LONE)) /* one row has nearly all, or too many stand alone */
        return terms_unclear(b, e);
    int32_t *list = terms_list(t, t->n * s);
    if (list == NULL)
        return PERI_E_NOMEM;
    memset(count, 0, (size_t)t->n * sizeof *count);
    memset(list, 0xff, (size_t)(t->n * s) * sizeof *list);
    for (int64_t k = 0; k < n; k++)
        list[row[k] * s + count[row[k]]++] = entry != NULL ? entry[k] : (int32_t)k;
    *out = (terms_layout){.n = t->n, .s = s, .at = list, .some = entry != NULL ? entry[0] : 0};
    terms_settle(t, out);
    return PERI_OK;
}

static int32_t *counted(terms_builder *b, int64_t n, const int32_t *entry)
{
    int32_t *list = terms_list(b->t, n);
    for (int64_t k = 0; list != NULL && k < n; k++)
        list[k] = entry != NULL ? entry[k] : (int32_t)k;
    return list;
}

static peri_status add_up(terms_builder *b, expr_id image, parts *out)
{
    *out = NOTHING;
    return expr_unary(b->t->to, PERI_OP_SUM, image, &out->total);
}

/* The sum of some entries of e, each a multiple of one weight */
static peri_status weighted(terms_builder *b, expr_id e, int64_t n, const int32_t *entry, parts *out)
{
    terms_layout at;
    expr_id image;
    int32_t *row = counted(b, n, entry);
    if (row == NULL)
        return PERI_E_NOMEM;
    TRY(rows_of(b, e, n, row));
    TRY(lay_out(b, e, n, entry, row, &at));
    TRY(terms_image_of(b, e, &at, &image));
    return add_up(b, image, out);
}

/* 1 x n times n x 1: entries of one number belong together */
static peri_status inner_product(terms_builder *b, expr_id e, parts *out)
{
    expr_id with, without, left, right;
    terms_layout at;
    if (!only_dependent(b, e, &with, &without))
        return terms_unclear(b, e);
    const int64_t n = expr_size(b->t->from, with);
    int32_t *row = counted(b, n, NULL);
    if (row == NULL)
        return PERI_E_NOMEM;
    TRY(rows_of(b, with, n, row));
    TRY(lay_out(b, e, n, NULL, row, &at));
    TRY(terms_image_of(b, with, &at, &left));
    TRY(terms_image_of(b, without, &at, &right));
    TRY(expr_binary(b->t->to, PERI_OP_MUL, left, right, &left));
    return add_up(b, left, out);
}

static peri_status sum_of(terms_builder *b, expr_id e, int64_t n, const int32_t *entry, parts *out);

/* Of each argument the entries that go where a share of the sum comes from */
static peri_status sum_of_scatter(terms_builder *b, expr_id e, int64_t n, const int32_t *entry, parts *out)
{
    diff_terms *t = b->t;
    const expr_node node = *expr_at(t->from, e);
    int32_t *times = terms_list(t, expr_size(t->from, e));
    if (times == NULL)
        return PERI_E_NOMEM;
    for (int64_t k = 0; k < n; k++)
        times[entry != NULL ? entry[k] : k]++;
    *out = NOTHING;
    for (int32_t a = 0; a < node.many.n; a++) {
        const expr_list list = t->from->lists.at[expr_scatter_ref(t->from, &node, a)];
        int64_t count = 0;
        for (int64_t k = 0; k < list.n; k++)
            count += times[expr_list_at(&list, k)];
        int32_t *of = terms_list(t, count);
        parts more;
        if (of == NULL)
            return PERI_E_NOMEM;
        count = 0;
        for (int64_t k = 0; k < list.n; k++)
            for (int32_t r = 0; r < times[expr_list_at(&list, k)]; r++)
                of[count++] = (int32_t)k;
        TRY(sum_of(b, t->from->args.at[node.many.list + a], count, of, &more));
        TRY(join_parts(b, PERI_OP_ADD, out, &more, out));
    }
    return PERI_OK;
}

static peri_status sum_of_stack(terms_builder *b, expr_id e, int64_t n, const int32_t *entry, parts *out)
{
    diff_terms *t = b->t;
    const expr_node node = *expr_at(t->from, e);
    int64_t before = 0;
    *out = NOTHING;
    for (int32_t a = 0; a < node.many.n; a++) {
        const expr_id arg = t->from->args.at[node.many.list + a];
        const int64_t size = expr_size(t->from, arg);
        int32_t *of = terms_list(t, n);
        int64_t count = 0;
        parts more;
        if (of == NULL)
            return PERI_E_NOMEM;
        for (int64_t k = 0; k < n; k++) {
            const int64_t at = entry != NULL ? entry[k] : k;
            if (at >= before && at < before + size)
                of[count++] = (int32_t)(at - before);
        }
        before += size;
        TRY(sum_of(b, arg, count, of, &more));
        TRY(join_parts(b, PERI_OP_ADD, out, &more, out));
    }
    return PERI_OK;
}

static peri_status sum_of_gather(terms_builder *b, expr_id e, int64_t n, const int32_t *entry, parts *out)
{
    const expr_node node = *expr_at(b->t->from, e);
    int32_t *at = counted(b, n, entry);
    if (at == NULL)
        return PERI_E_NOMEM;
    if (expr_at(b->t->from, node.arg[0])->op == PERI_OP_INPUT)
        return weighted(b, e, n, entry, out);
    for (int64_t k = 0; k < n; k++)
        at[k] = (int32_t)expr_gather_at(b->t->from, &node, at[k]);
    return sum_of(b, node.arg[0], n, at, out);
}

/* The same entries of an argument; of a scalar its only one. */
static peri_status sum_of_argument(terms_builder *b, expr_id e, expr_id arg, int64_t n, const int32_t *entry, parts *out)
{
    if (expr_size(b->t->from, arg) == expr_size(b->t->from, e))
        return sum_of(b, arg, n, entry, out);
    int32_t *zeros = terms_list(b->t, n);
    return zeros != NULL ? sum_of(b, arg, n, zeros, out) : PERI_E_NOMEM;
}

static peri_status free_sum(terms_builder *b, expr_id e, int64_t n, const int32_t *entry, parts *out)
{
    expr_graph *g = b->t->from;
    *out = NOTHING;
    if (entry != NULL)
        TRY(expr_gather_list(g, e, n, 1, n, entry, &e));
    return expr_unary(g, PERI_OP_SUM, e, &out->rest);
}

/* The sum of some entries of e, with repetitions; entry NULL: of all */
static peri_status sum_of(terms_builder *b, expr_id e, int64_t n, const int32_t *entry, parts *out)
{
    const expr_node node = *expr_at(b->t->from, e);
    expr_id with, without;
    parts right;
    *out = NOTHING;
    if (n == 0)
        return PERI_OK;
    if (!terms_depends(b, e))
        return free_sum(b, e, n, entry, out);
    switch (node.op) {
    case PERI_OP_ADD:
    case PERI_OP_SUB:
        TRY(sum_of_argument(b, e, node.arg[0], n, entry, out));
        TRY(sum_of_argument(b, e, node.arg[1], n, entry, &right));
        return join_parts(b, (peri_op)node.op, out, &right, out);
    case PERI_OP_NEG:
        TRY(sum_of(b, node.arg[0], n, entry, &right));
        return join_parts(b, PERI_OP_SUB, out, &right, out);
    case PERI_OP_MARK:
        return sum_of(b, node.arg[0], n, entry, out);
    case PERI_OP_MUL:
    case PERI_OP_DIV:
        if (!only_dependent(b, e, &with, &without))
            return terms_unclear(b, e);
        if (expr_size(b->t->from, without) > 1)
            return weighted(b, e, n, entry, out);
        TRY(sum_of(b, with, n, entry, out));
        return scale(b, (peri_op)node.op, without, out);
    case PERI_OP_SUM:
        if (n > 1) /* of one entry */
            return terms_unclear(b, e);
        return sum_of(b, node.arg[0], expr_size(b->t->from, node.arg[0]), NULL, out);
    case PERI_OP_MATMUL:
        return expr_size(b->t->from, e) == 1 && n == 1 ? inner_product(b, e, out) : terms_unclear(b, e);
    case PERI_OP_SCATTER:
        return sum_of_scatter(b, e, n, entry, out);
    case PERI_OP_STACK:
        return sum_of_stack(b, e, n, entry, out);
    case PERI_OP_GATHER:
        return sum_of_gather(b, e, n, entry, out);
    default:
        return weighted(b, e, n, entry, out);
    }
}

/* ---- making ------------------------------------------------------------------------------------------------------------------------------- */

static peri_status build(terms_builder *b, expr_id f, int64_t n_x)
{
    diff_terms *t = b->t;
    parts all;
    for (int c = 0; c < EXPR_IN_COUNT; c++)
        b->input[c] = PERI_NO_EXPR;
    TRY(expr_input(t->to, EXPR_IN_X, 0, n_x, 1, &t->x));
    b->input[EXPR_IN_X] = t->x;
    TRY(expr_input(t->to, EXPR_IN_PARAM, 0, t->first + t->n > t->from->n_param ? t->first + t->n : t->from->n_param, 1,
                   &b->input[EXPR_IN_PARAM]));
    TRY(find_dependent(b, f));
    TRY(sum_of(b, f, 1, NULL, &all));
    t->rest = all.rest;
    t->total = all.total;
    return t->total != PERI_NO_EXPR ? PERI_OK : FAIL(t->to->ctx, PERI_E_ARGUMENT, "weighted sum: the weights do not occur in it");
}

peri_status diff_terms_make(expr_graph *from, expr_id f, int64_t first, int64_t n, int64_t n_x, int64_t K, diff_terms **out)
{
    diff_terms *t = mem_alloc(from->m, sizeof *t);
    *out = NULL;
    if (t == NULL)
        return FAIL_NOMEM(from->ctx);
    *t = (diff_terms){.from = from, .first = first, .n = n, .K = K, .rest = PERI_NO_EXPR, .total = PERI_NO_EXPR};
    arena_init(&t->data, from->m);
    terms_builder b = {.t = t};
    hash_init(&b.of, from->m);
    hash_init(&b.plain, from->m);
    t->to = expr_graph_new(from->ctx);
    const peri_status status = t->to != NULL ? build(&b, f, n_x) : FAIL_NOMEM(from->ctx);
    hash_release(&b.of);
    hash_release(&b.plain);
    vec_free(from->m, &b.images);
    mem_array_free(from->m, b.depends);
    if (status == PERI_OK)
        *out = t;
    else
        diff_terms_free(t);
    return status;
}

void diff_terms_free(diff_terms *t)
{
    if (t == NULL)
        return;
    mem *a = t->from->m;
    if (t->to != NULL)
        expr_graph_free(t->to);
    for (int64_t k = 0; k < t->lists.n; k++)
        mem_array_free(a, t->lists.at[k]);
    vec_free(a, &t->lists);
    vec_free(a, &t->columns);
    arena_release(&t->data);
    mem_free(a, t, sizeof *t);
}

/* ---- data ------------------------------------------------------------------------------------------------------------------------------------ */

static void fill_row(const terms_column *c, int64_t row, const double *from, double factor, double *out)
{
    const terms_layout *at = &c->at;
    if (at->at == NULL && at->step == 1 && !c->is_weight) {
        memcpy(out, from + at->first + row * at->row_step, (size_t)at->s * sizeof *out);
        return;
    }
    for (int64_t j = 0; j < at->s; j++) {
        const int64_t k = terms_entry(at, row, j);
        out[j] = c->is_weight ? (k < 0 ? 0 : factor * from[k]) : from[k < 0 ? at->some : k];
    }
}

void diff_terms_fill(const diff_terms *t, const double *params, double factor, double *data)
{
    for (int64_t q = 0; q < t->columns.n; q++) {
        const terms_column *c = &t->columns.at[q];
        for (int64_t k = 0; k < t->K; k++)
            fill_row(c, t->rows[k], c->from != NULL ? c->from : params, factor, data + t->K * c->place + k * c->at.s);
    }
}
