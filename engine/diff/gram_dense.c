/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gram_dense.c - columns of data that most rows have an entry in: numbers among categories, with an intercept, say. Their part of
 * sum_i w_i a_i a_i' is A' (diag(w) D), D being those columns: products of matrices, which read each entry of the data once for all of D and need no list of
 * terms. What is left is a group of the other columns. Invariant: both together have the terms of the whole, each once.
 */
#include "diff/internal.h"
#include <string.h>

enum { FEWEST_ROWS = 64, FEWEST_TERMS = 4096, ENTRIES_A_ROW = 2, VARIABLES_AN_ENTRY = 64 /* at most: all variables are looked through */ };

typedef struct {
    coo_builder *b;
    expr_graph *g;
    const coo_group *a;
    const double *data; /* [a->n] NULL: all are `value` */
    double value;
    int64_t n, k, s;    /* rows; dense columns; others with entries */
    int32_t *number;    /* [variables] of a dense column from 0 on, of another -1 - number */
    int32_t *variable;  /* [k + s] */
    double *d;          /* [n k] */
    unsigned char *met; /* [n k] where the dense columns have entries; then [s k] which columns meet in a row */
} dense;

static double value_of(const dense *t, int64_t e)
{
    return t->data != NULL ? t->data[e] : t->value;
}

/* ---- which columns --------------------------------------------------------------------------------------------------------------------------- */

/* Terms of a column of equal entries cost a list little: it has to be nearly full, and is one more beside others. */
static bool is_worth(int64_t entries, bool uniform, int64_t n)
{
    return uniform ? 5 * entries > 4 * n : 2 * entries > n;
}

static peri_status dense_columns(coo_builder *b, const coo_group *a, int64_t n, int64_t *k, unsigned char **flags)
{
    expr_graph *g = b->g;
    double value = 0;
    *k = 0;
    *flags = NULL;
    if (n < FEWEST_ROWS || a->n < ENTRIES_A_ROW * n || b->n_x > VARIABLES_AN_ENTRY * a->n || !coo_is_numbers(g, a->value))
        return PERI_OK;
    const double *data = expr_constant_value(g, a->value, &value) ? NULL : expr_const_data(g, a->value);
    int64_t *count = mem_array(g->m, (size_t)b->n_x, sizeof *count);
    int32_t *first = mem_array(g->m, (size_t)b->n_x, sizeof *first); /* 1 + a column's first entry; -1: others differ from it */
    *flags = mem_array(g->m, (size_t)b->n_x, 1);
    const bool all = count != NULL && first != NULL && *flags != NULL;
    for (int64_t e = 0; e < a->n && all; e++) {
        const int32_t j = a->col[e];
        count[j]++;
        if (first[j] == 0)
            first[j] = (int32_t)e + 1;
        else if (first[j] > 0 && data != NULL && data[e] != data[first[j] - 1])
            first[j] = -1;
    }
    bool any = false;
    for (int64_t j = 0; j < b->n_x && all; j++) {
        (*flags)[j] = is_worth(count[j], first[j] >= 0, n);
        *k += (*flags)[j];
        any = any || ((*flags)[j] && first[j] < 0);
    }
    mem_array_free(g->m, count);
    mem_array_free(g->m, first);
    if (!any || *k > DIFF_LARGEST_DENSE || (double)*k * (double)a->n < FEWEST_TERMS)
        *k = 0;
    return all ? PERI_OK : FAIL_NOMEM(g->ctx);
}

/* ---- the matrices ------------------------------------------------------------------------------------------------------------------------------ */

static peri_status number_columns(dense *t, unsigned char *flags)
{
    enum { IS_DENSE = 1, HAS_ENTRIES = 2 };
    t->number = mem_array(t->g->m, (size_t)t->b->n_x, sizeof *t->number);
    t->variable = mem_array(t->g->m, (size_t)t->b->n_x, sizeof *t->variable);
    if (t->number == NULL || t->variable == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int64_t e = 0; e < t->a->n; e++)
        flags[t->a->col[e]] |= HAS_ENTRIES;
    for (int64_t j = 0, dense_at = 0; j < t->b->n_x; j++)
        if (flags[j] & IS_DENSE) {
            t->variable[dense_at] = (int32_t)j;
            t->number[j] = (int32_t)dense_at++;
        } else if (flags[j]) {
            t->variable[t->k + t->s] = (int32_t)j;
            t->number[j] = (int32_t)(-1 - t->s++);
        }
    return PERI_OK;
}

static void fill(dense *t)
{
    for (int64_t e = 0; e < t->a->n; e++) {
        const int32_t j = t->number[t->a->col[e]];
        if (j < 0)
            continue;
        t->d[t->a->row[e] * t->k + j] += value_of(t, e);
        t->met[t->a->row[e] * t->k + j] = 1;
    }
    unsigned char *const met = t->met + t->n * t->k;
    for (int64_t e = 0; e < t->a->n; e++) {
        const int32_t j = t->number[t->a->col[e]];
        for (int64_t q = 0; q < t->k && j < 0; q++)
            met[(-1 - j) * t->k + q] |= t->met[t->a->row[e] * t->k + q];
    }
}

/* Entries of the other columns: as a group, and as compressed rows of their transpose. */
static peri_status rest_of(dense *t, coo_group *rest, expr_id *transposed)
{
    const int64_t n = rest->n;
    int32_t *start = mem_array(t->g->m, (size_t)t->s + 2, sizeof *start), *row = mem_array(t->g->m, (size_t)n, sizeof *row);
    double *value = mem_array(t->g->m, (size_t)n, sizeof *value), *by_row = mem_array(t->g->m, (size_t)n, sizeof *by_row);
    rest->row = arena_array(&t->b->data, (size_t)n, sizeof *rest->row);
    rest->col = arena_array(&t->b->data, (size_t)n, sizeof *rest->col);
    const bool all = start != NULL && row != NULL && value != NULL && by_row != NULL && rest->row != NULL && rest->col != NULL;
    peri_status status = all ? PERI_OK : FAIL_NOMEM(t->g->ctx);
    int64_t kept = 0;
    for (int64_t e = 0; e < t->a->n && all; e++)
        if (t->number[t->a->col[e]] < 0)
            start[1 - t->number[t->a->col[e]]]++;
    for (int64_t j = 0; j < t->s && all; j++)
        start[j + 2] += start[j + 1];
    for (int64_t e = 0; e < t->a->n && all; e++) {
        const int32_t j = -1 - t->number[t->a->col[e]];
        if (j < 0)
            continue;
        rest->row[kept] = t->a->row[e];
        rest->col[kept] = t->a->col[e];
        by_row[kept++] = value_of(t, e);
        row[start[j + 1]] = t->a->row[e];
        value[start[j + 1]++] = value_of(t, e);
    }
    if (status == PERI_OK)
        status = expr_dense(t->g, n, 1, by_row, &rest->value);
    if (status == PERI_OK)
        status = expr_sparse_rows(t->g, t->s, t->n, start, row, value, false, transposed);
    mem_array_free(t->g->m, start);
    mem_array_free(t->g->m, row);
    mem_array_free(t->g->m, value);
    mem_array_free(t->g->m, by_row);
    return status;
}

/* diag(w) D; of one number w: D, which w multiplies at the end */
static peri_status weigh(dense *t, expr_id w, expr_id d, expr_id *out)
{
    *out = d;
    if (expr_size(t->g, w) == 1)
        return PERI_OK;
    TRY(expr_reshape(t->g, w, t->n, 1, &w));
    TRY(expr_broadcast(t->g, w, t->n, t->k, &w));
    return expr_binary(t->g, PERI_OP_MUL, d, w, out);
}

/* ---- groups ------------------------------------------------------------------------------------------------------------------------------------ */

/* Entries of `product`, rows x k, of the columns from `first` on with the dense ones: those that meet, or (met NULL) the lower triangle. */
static peri_status group_of(dense *t, expr_id w, expr_id product, int64_t first, int64_t rows, const unsigned char *met, coo_group *out)
{
    const size_t most = (size_t)(rows * t->k);
    int32_t *pick = mem_array(t->g->m, most, sizeof *pick);
    out->row = arena_array(&t->b->data, most, sizeof *out->row);
    out->col = arena_array(&t->b->data, most, sizeof *out->col);
    out->n = 0;
    peri_status status = pick != NULL && out->row != NULL && out->col != NULL ? PERI_OK : FAIL_NOMEM(t->g->ctx);
    for (int64_t i = 0; i < rows && status == PERI_OK; i++)
        for (int64_t j = 0; j < t->k; j++) {
            const int32_t p = t->variable[first + i], q = t->variable[j];
            if (met != NULL ? !met[i * t->k + j] : j > i)
                continue;
            out->row[out->n] = p > q ? p : q;
            out->col[out->n] = p > q ? q : p;
            pick[out->n++] = (int32_t)(i * t->k + j);
        }
    if (status == PERI_OK)
        status = expr_reshape(t->g, product, rows * t->k, 1, &product);
    if (status == PERI_OK)
        status = coo_pick(t->g, product, out->n, pick, &out->value);
    if (status == PERI_OK && expr_size(t->g, w) == 1)
        status = diff_times(t->g, out->value, w, &out->value);
    mem_array_free(t->g->m, pick);
    return status;
}

static peri_status make(dense *t, expr_id w, coo_group *rest, coo_group out[2])
{
    expr_id d, turned, weighed, product;
    fill(t);
    TRY(expr_dense(t->g, t->n, t->k, t->d, &d));
    TRY(expr_unary(t->g, PERI_OP_TRANSPOSE, d, &turned));
    TRY(weigh(t, w, d, &weighed));
    TRY(expr_binary(t->g, PERI_OP_MATMUL, turned, weighed, &product));
    TRY(group_of(t, w, product, 0, t->k, NULL, &out[0]));
    for (int64_t e = 0; e < t->a->n; e++)
        rest->n += t->number[t->a->col[e]] < 0;
    if (rest->n == 0)
        return PERI_OK;
    TRY(rest_of(t, rest, &turned));
    TRY(expr_binary(t->g, PERI_OP_MATMUL, turned, weighed, &product));
    return group_of(t, w, product, t->k, t->s, t->met + t->n * t->k, &out[1]);
}

static peri_status make_of(dense *t, unsigned char *flags, expr_id w, coo_group *rest, coo_group out[2])
{
    TRY(number_columns(t, flags));
    t->d = mem_array(t->g->m, (size_t)(t->n * t->k), sizeof *t->d);
    t->met = mem_array(t->g->m, (size_t)((t->n + t->s) * t->k), 1);
    return t->d != NULL && t->met != NULL ? make(t, w, rest, out) : FAIL_NOMEM(t->g->ctx);
}

peri_status diff_gram_dense(coo_builder *b, expr_id w, int64_t n, const coo_group *a, coo_group *rest, coo_group out[2])
{
    mem *const m = b->g->m;
    unsigned char *flags;
    dense t = {.b = b, .g = b->g, .a = a, .n = n};
    out[0] = out[1] = (coo_group){.n = 0};
    *rest = *a;
    peri_status status = dense_columns(b, a, n, &t.k, &flags);
    if (status == PERI_OK && t.k > 0) {
        *rest = (coo_group){.n = 0};
        t.data = expr_constant_value(b->g, a->value, &t.value) ? NULL : expr_const_data(b->g, a->value);
        status = make_of(&t, flags, w, rest, out);
    }
    mem_array_free(m, flags);
    mem_array_free(m, t.number);
    mem_array_free(m, t.variable);
    mem_array_free(m, t.d);
    mem_array_free(m, t.met);
    return status;
}
