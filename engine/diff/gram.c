/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gram.c - sums over data in second derivatives: of sum_i w_i a_i b_i', where a_i and b_i are rows of constants, each entry of the lower triangle is a sum
 * of some weights, times constants. All of them together are one sparse constant times w, of which an entry costs two bytes or so and no
 * store (eval/sparse.h), where a scatter reads two indices and adds to memory for each. Invariant: the entries are those that `join` in hessian.c makes,
 * added up by place, found column by column without a list of all terms.
 */
#include "diff/internal.h"
#include <stdlib.h>
#include <string.h>

/* Fewer are left to a scatter, which fuses with what makes the weights, and takes less memory where values differ. */
enum { TERMS_A_ROW = 2, TERMS_A_PLACE = 4, VALUES_A_PLACE = 8, FEWEST_TERMS = 4096 };

/* The entries of one factor by rows, in each by columns, and by columns; and their numbers. */
typedef struct {
    const coo_group *group;
    coo_sorted rows, cols;
    int32_t *col, *at;  /* [n] columns of the entries by rows; where an entry stands among those */
    const double *data; /* of each; NULL: all are `value` */
    double value;
} factor;

typedef struct {
    coo_builder *b;
    expr_graph *g;
    factor left, right; /* the same where `same` */
    bool same, twice;   /* twice: some terms stand for both triangles */
    int64_t terms;
    int32_t *slot;      /* [variables] of a row of the column at hand: 1 + its place; 0: not there */
    VEC(struct place { int32_t row; int32_t col; int64_t n; }) places; /* by columns, then rows; n: terms */
    int64_t *start;     /* [places + 1] */
    int64_t *next;      /* [places] */
    int32_t *instance;  /* [terms] by places; NULL: w is one number */
    double *value;      /* [terms], or [1] where all are the same; w one number: [places] sums */
    bool uniform;
} gram;

typedef bool (*term_fn)(gram *t, int32_t row, int32_t col, int32_t i, double value);

/* ---- terms, column by column ---------------------------------------------------------------------------------------------------------------- */

static double value_of(const factor *f, int32_t k)
{
    return f->data != NULL ? f->data[k] : f->value;
}

/* Terms whose smaller index is an entry of `one` in column c, the other one of `other`; of those on the diagonal `diagonal` says whose they are. */
static bool column_terms(gram *t, int32_t c, const factor *one, const factor *other, bool diagonal, term_fn fn)
{
    for (int64_t k = one->cols.start[c]; k < one->cols.start[c + 1]; k++) {
        const int32_t e = one->cols.order[k], i = one->group->row[e];
        const double value = value_of(one, e);
        int64_t q = t->same ? one->at[e] : other->rows.start[i];
        while (q < other->rows.start[i + 1] && (other->col[q] < c || (other->col[q] == c && !diagonal)))
            q++;
        for (; q < other->rows.start[i + 1]; q++) {
            const bool both = other->col[q] == c && !(t->same && q == one->at[e]);
            t->twice = t->twice || both;
            if (!fn(t, other->col[q], c, i, (both ? 2 : 1) * value * value_of(other, other->rows.order[q])))
                return false;
        }
    }
    return true;
}

static bool each_term(gram *t, int32_t c, term_fn fn)
{
    return column_terms(t, c, &t->left, &t->right, true, fn) && (t->same || column_terms(t, c, &t->right, &t->left, false, fn));
}

static bool count_term(gram *t, int32_t row, int32_t col, int32_t i, double value)
{
    (void)i;
    (void)value;
    t->terms++;
    if (t->slot[row] == 0) {
        const struct place fresh = {row, col, 0};
        if (!vec_push(t->g->m, &t->places, fresh))
            return false;
        t->slot[row] = (int32_t)t->places.n;
    }
    t->places.at[t->slot[row] - 1].n++;
    return true;
}

static bool keep_term(gram *t, int32_t row, int32_t col, int32_t i, double value)
{
    const int64_t place = t->slot[row] - 1;
    (void)col;
    if (t->instance == NULL) {
        t->value[place] += value;
        return true;
    }
    t->instance[t->next[place]] = i;
    t->value[t->uniform ? 0 : t->next[place]] = value;
    t->next[place]++;
    return true;
}

static int by_row(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

static void set_slots(gram *t, int64_t from, int64_t to, bool clear)
{
    for (int64_t k = from; k < to; k++)
        t->slot[t->places.at[k].row] = clear ? 0 : (int32_t)k + 1;
}

static peri_status find_places(gram *t)
{
    for (int32_t c = 0; c < t->b->n_x; c++) {
        const int64_t before = t->places.n;
        if (!each_term(t, c, count_term))
            return FAIL_NOMEM(t->g->ctx);
        set_slots(t, before, t->places.n, true);
        if (t->places.n > before)
            qsort(t->places.at + before, (size_t)(t->places.n - before), sizeof *t->places.at, by_row);
    }
    return PERI_OK;
}

static void find_terms(gram *t)
{
    for (int64_t k = 0, end; k < t->places.n; k = end) {
        const int32_t c = t->places.at[k].col;
        for (end = k; end < t->places.n && t->places.at[end].col == c;)
            end++;
        set_slots(t, k, end, false);
        each_term(t, c, keep_term);
        set_slots(t, k, end, true);
    }
}

/* ---- set-up ------------------------------------------------------------------------------------------------------------------------------------- */

/* By columns first, then by rows: both sorts are stable. */
static peri_status sort_factor(gram *t, const coo_group *group, int64_t n, factor *f)
{
    arena *const data = &t->b->data;
    int32_t *row = arena_array(data, (size_t)group->n, sizeof *row);
    f->group = group;
    f->data = expr_constant_value(t->g, group->value, &f->value) ? NULL : expr_const_data(t->g, group->value);
    f->col = arena_array(data, (size_t)group->n, sizeof *f->col);
    f->at = arena_array(data, (size_t)group->n, sizeof *f->at);
    if (row == NULL || f->col == NULL || f->at == NULL)
        return FAIL_NOMEM(t->g->ctx);
    TRY(coo_sort_by(t->b, group->n, group->col, t->b->n_x, &f->cols));
    for (int64_t k = 0; k < group->n; k++)
        row[k] = group->row[f->cols.order[k]];
    TRY(coo_sort_by(t->b, group->n, row, n, &f->rows));
    for (int64_t q = 0; q < group->n; q++) {
        f->rows.order[q] = f->cols.order[f->rows.order[q]];
        f->col[q] = group->col[f->rows.order[q]];
        f->at[f->rows.order[q]] = (int32_t)q;
    }
    return PERI_OK;
}

/*
 * Terms, before those above the diagonal are known: are they enough, and not too many? No fewer than variables, by which both factors are sorted, so that
 * many sums of few variables each take no more than their terms. Rows that couple too much are refused by `join`.
 */
static peri_status has_many_terms(const gram *t, int64_t n, const coo_group *ga, const coo_group *gb, bool *many)
{
    int32_t *left = mem_array(t->g->m, (size_t)n, 2 * sizeof *left), *right = left + n;
    double all = 0, most = 0;
    if (left == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int64_t k = 0; k < ga->n; k++)
        left[ga->row[k]]++;
    for (int64_t k = 0; k < gb->n; k++)
        right[gb->row[k]]++;
    for (int64_t i = 0; i < n; i++) {
        const double pairs = (double)left[i] * (double)right[i];
        most = pairs > most ? pairs : most;
        all += t->same ? pairs / 2 : pairs;
    }
    mem_array_free(t->g->m, left);
    *many = most <= (double)DIFF_LARGEST_DENSE * DIFF_LARGEST_DENSE && all >= FEWEST_TERMS && all >= TERMS_A_ROW * (double)n &&
            all >= (double)t->b->n_x && all <= (double)t->b->limit;
    return PERI_OK;
}

/* ---- the product ------------------------------------------------------------------------------------------------------------------------------ */

static peri_status allocate(gram *t, bool weighted)
{
    mem *const m = t->g->m;
    const size_t terms = (size_t)t->terms, places = (size_t)t->places.n;
    t->start = mem_array(m, places + 1, sizeof *t->start);
    t->next = mem_array(m, places, sizeof *t->next);
    t->instance = weighted ? mem_array(m, terms, sizeof *t->instance) : NULL;
    t->value = mem_array(m, !weighted ? places : t->uniform ? 1 : terms, sizeof *t->value);
    if (t->start == NULL || t->next == NULL || t->value == NULL || (weighted && t->instance == NULL))
        return FAIL_NOMEM(t->g->ctx);
    for (int64_t k = 0; k < t->places.n; k++) {
        t->next[k] = t->start[k];
        t->start[k + 1] = t->start[k] + t->places.at[k].n;
    }
    return PERI_OK;
}

static peri_status multiply(gram *t, expr_id w, int64_t n, expr_id *out)
{
    expr_graph *g = t->g;
    expr_id matrix;
    if (t->instance == NULL) {
        TRY(expr_dense(g, t->places.n, 1, t->value, &matrix));
        return diff_times(g, matrix, w, out);
    }
    int32_t *start = mem_array(g->m, (size_t)t->places.n + 1, sizeof *start);
    if (start == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k <= t->places.n; k++)
        start[k] = (int32_t)t->start[k];
    peri_status status = expr_sparse_rows(g, t->places.n, n, start, t->instance, t->value, t->uniform, &matrix);
    mem_array_free(g->m, start);
    if (status == PERI_OK)
        status = expr_reshape(g, w, n, 1, &w);
    return status == PERI_OK ? expr_binary(g, PERI_OP_MATMUL, matrix, w, out) : status;
}

static peri_status make_group(gram *t, expr_id w, int64_t n, coo_group *out)
{
    TRY(allocate(t, expr_size(t->g, w) > 1));
    find_terms(t);
    out->n = t->places.n;
    out->row = arena_array(&t->b->data, (size_t)out->n, sizeof *out->row);
    out->col = arena_array(&t->b->data, (size_t)out->n, sizeof *out->col);
    if (out->row == NULL || out->col == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int64_t k = 0; k < out->n; k++) {
        out->row[k] = t->places.at[k].row;
        out->col[k] = t->places.at[k].col;
    }
    return multiply(t, w, n, &out->value);
}

static peri_status try_gram(gram *t, expr_id w, int64_t n, const coo_group *ga, const coo_group *gb, coo_group *out, bool *made)
{
    bool many = false;
    TRY(has_many_terms(t, n, ga, gb, &many));
    if (!many)
        return PERI_OK;
    TRY(sort_factor(t, ga, n, &t->left));
    TRY(sort_factor(t, gb, n, &t->right));
    t->slot = mem_array(t->g->m, (size_t)t->b->n_x, sizeof *t->slot);
    if (t->slot == NULL)
        return FAIL_NOMEM(t->g->ctx);
    TRY(find_places(t));
    t->uniform = expr_size(t->g, w) > 1 && !t->twice && t->left.data == NULL && t->right.data == NULL;
    if (t->terms < (t->uniform ? TERMS_A_PLACE : VALUES_A_PLACE) * t->places.n || t->terms > INT32_MAX)
        return PERI_OK;
    *made = true;
    return make_group(t, w, n, out);
}

peri_status diff_gram(coo_builder *b, expr_id w, int64_t n, const coo_group *ga, const coo_group *gb, bool same, coo_group *out, bool *made)
{
    mem *const m = b->g->m;
    gram t = {.b = b, .g = b->g, .same = same};
    *made = false;
    if ((ga->n <= n && gb->n <= n) || !coo_is_numbers(b->g, ga->value) || !coo_is_numbers(b->g, gb->value)) /* rows of one entry: no matrix */
        return PERI_OK;
    const peri_status status = try_gram(&t, w, n, ga, gb, out, made);
    vec_free(m, &t.places);
    mem_array_free(m, t.slot);
    mem_array_free(m, t.start);
    mem_array_free(m, t.next);
    mem_array_free(m, t.instance);
    mem_array_free(m, t.value);
    return status;
}
