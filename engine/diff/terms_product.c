/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terms_product.c - what K rows read of a product A B: rows of A times all of B, where data stand in rows, or all of A times columns of B, where they
 * stand in columns; of a sparse A by a rule. Invariant: the factor that the rows share is evaluated once and has no weights in it.
 */
#include "diff/terms.h"
#include "expr/bilinear.h"

const expr_const *terms_sparse_of(const expr_graph *g, expr_id e)
{
    return expr_is_sparse(g, e) ? &g->consts.at[expr_at(g, e)->ref] : NULL;
}

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

peri_status terms_product_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    diff_terms *t = b->t;
    const expr_node node = *expr_at(t->from, e);
    const expr_id a = node.arg[0], v = node.arg[1];
    block k = {expr_at(t->from, a)->rows, expr_at(t->from, a)->cols, expr_at(t->from, v)->cols, 0, 0};
    const expr_const *sparse = terms_sparse_of(t->from, a);
    terms_layout below;
    expr_id image, other;
    const bool by_rows = !terms_depends(b, v) && terms_sparse_of(t->from, v) == NULL && is_by_rows(at, &k);
    if (by_rows && sparse != NULL)
        return sparse_image(b, sparse, v, at, &k, out);
    if (!by_rows && (terms_depends(b, a) || sparse != NULL || terms_sparse_of(t->from, v) != NULL || !is_by_columns(at, &k)))
        return terms_for_all(b, e, at, out);
    TRY(factor_layout(t, at, &k, by_rows, &below));
    TRY(terms_image_of(b, by_rows ? a : v, &below, &image));
    TRY(part_of_factor(b, by_rows ? v : a, at, &k, by_rows, &other));
    TRY(expr_reshape(t->to, image, by_rows ? t->K * k.rows : t->K, k.p, &image));
    TRY(expr_binary(t->to, PERI_OP_MATMUL, image, other, out));
    return expr_reshape(t->to, *out, t->K, at->s, out);
}

/* Some columns of whole results: e has k->c of them a row, in the order of the layout */
static peri_status some_columns(diff_terms *t, expr_id e, const terms_layout *at, const block *k, expr_id *out)
{
    const int64_t model = full_row(at), n = t->K * at->s;
    int32_t *index = mem_array(t->to->m, (size_t)n, sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(t->to->ctx);
    for (int64_t i = 0; i < n; i++)
        index[i] = (int32_t)(i / k->cols * k->c + terms_entry(at, model, i % k->cols) % k->c);
    const peri_status status = expr_gather_list(t->to, e, t->K, at->s, n, index, out);
    mem_array_free(t->to->m, index);
    return status;
}

/* Of a convolution of images that are rows */
peri_status terms_convolution_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
{
    diff_terms *t = b->t;
    const expr_node node = *expr_at(t->from, e);
    expr_conv_spec spec = *expr_conv_of(t->from, &node);
    const expr_node images = *expr_at(t->from, node.arg[0]);
    block k = {.r = images.rows, .p = images.cols, .c = node.cols};
    terms_layout below;
    expr_id image, kernel;
    if (spec.result != EXPR_CONV_OUTPUT || terms_depends(b, node.arg[1]) || !is_by_rows(at, &k))
        return terms_for_all(b, e, at, out);
    TRY(factor_layout(t, at, &k, true, &below));
    TRY(terms_image_of(b, node.arg[0], &below, &image));
    TRY(terms_plain(b, node.arg[1], &kernel));
    spec.images = (int32_t)(t->K * k.rows);
    TRY(expr_reshape(t->to, image, spec.images, k.p, &image));
    TRY(expr_conv(t->to, image, kernel, &spec, &image));
    return some_columns(t, image, at, &k, out);
}

/* Largest entries of whole rows */
peri_status terms_row_max_image(terms_builder *b, expr_id e, const terms_layout *at, expr_id *out)
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
