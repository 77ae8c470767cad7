/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse_layout.c - how a sparse constant is laid out for its products. Values are not stored where they say nothing: rows of equal entries have one
 * factor (ones and zeros as in categories, sums over data, weighted or not); where rows differ, columns of equal entries are scales of
 * the vector, and only what is left of a row keeps its values. Invariant: every entry is in one part, once.
 */
#include "eval/sparse.h"
#include <string.h>

enum {
    WINDOW = 4096,      /* rows that may be put in order of their lengths: not more, so that what they read of the vector stays near */
    FIXED_LENGTHS = 17, /* 0 .. 16; longer rows stay in order */
    FAR_ENTRIES = 16,   /* of a far row in each piece, on average */
    SHARE = 1 << 16,    /* entries of far rows that a thread takes at once, at least */
    COLUMN_ENTRIES = 4  /* fewer are equal by chance */
};

enum { EVEN, UNEVEN, MIXED }; /* rows */

typedef struct {
    expr_graph *g;
    const expr_const *c;
    eval_sparse *a;
    unsigned char *kind;  /* [rows] */
    unsigned char *equal; /* [cols] entries of the column are equal, and a scale: even in mixed rows; NULL: none are */
    int64_t *length;      /* [rows] entries of the part at hand, -1: the row is not in it */
    int32_t *number;      /* [rows] of a far row among those */
} builder;

/* ---- which entries are alike ------------------------------------------------------------------------------------------------------------ */

static bool is_even_row(const expr_const *c, int64_t i)
{
    for (int32_t k = c->row_start[i] + 1; k < c->row_start[i + 1]; k++)
        if (c->data[k] != c->data[c->row_start[i]])
            return false;
    return true;
}

static bool all_rows_even(const expr_const *c)
{
    for (int64_t i = 0; i < c->rows; i++)
        if (!is_even_row(c, i))
            return false;
    return true;
}

/* equal, and the scales: where the entries of such columns are enough of all. seen [cols] */
static peri_status find_equal_columns(builder *b, int32_t *seen)
{
    const expr_const *c = b->c;
    int64_t entries = 0;
    bool any = false;
    double *scale = arena_array(&b->g->data, (size_t)c->cols, sizeof *scale);
    if (scale == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t k = 0; k < c->nnz; k++) {
        const int32_t j = c->col[k];
        if (seen[j] == 0)
            scale[j] = c->data[k];
        seen[j] = seen[j] < 0 || scale[j] != c->data[k] ? -1 : seen[j] + 1;
    }
    for (int32_t j = 0; j < c->cols; j++) {
        b->equal[j] = seen[j] >= COLUMN_ENTRIES;
        entries += b->equal[j] ? seen[j] : 0;
        scale[j] = b->equal[j] ? scale[j] : 1;
        any = any || scale[j] != 1;
    }
    if (4 * entries < c->nnz)
        memset(b->equal, 0, (size_t)c->cols);
    else if (any)
        b->a->scale = scale;
    return PERI_OK;
}

static peri_status find_kinds(builder *b)
{
    const expr_const *c = b->c;
    if (!all_rows_even(c)) {
        int32_t *seen = mem_array(b->g->m, (size_t)c->cols, sizeof *seen);
        const peri_status status = seen != NULL ? find_equal_columns(b, seen) : FAIL_NOMEM(b->g->ctx);
        mem_array_free(b->g->m, seen);
        TRY(status);
    }
    for (int64_t i = 0; i < c->rows; i++) {
        int64_t equal = 0;
        const int64_t n = c->row_start[i + 1] - c->row_start[i];
        for (int32_t k = c->row_start[i]; k < c->row_start[i + 1]; k++)
            equal += b->equal[c->col[k]];
        b->kind[i] = equal == n || (equal == 0 && is_even_row(c, i)) ? EVEN : equal == 0 ? UNEVEN : MIXED;
    }
    return PERI_OK;
}

/* ---- a part ----------------------------------------------------------------------------------------------------------------------------- */

static bool has_row(const builder *b, bool even, int64_t i)
{
    return b->kind[i] == MIXED || (b->kind[i] == EVEN) == even;
}

static bool has_entry(const builder *b, bool even, int64_t i, int32_t k)
{
    return b->kind[i] == MIXED ? (b->equal[b->c->col[k]] != 0) == even : (b->kind[i] == EVEN) == even;
}

static void find_lengths(const builder *b, bool even)
{
    for (int64_t i = 0; i < b->c->rows; i++) {
        b->length[i] = has_row(b, even, i) ? 0 : -1;
        for (int32_t k = b->c->row_start[i]; k < b->c->row_start[i + 1]; k++)
            b->length[i] += has_entry(b, even, i, k);
    }
}

static bool is_far(const builder *b, const sparse_part *p, int64_t i)
{
    return p->n_pieces > 1 && b->length[i] >= FAR_ENTRIES * p->n_pieces;
}

static peri_status allocate(builder *b, sparse_part *p, bool even)
{
    arena *const data = &b->g->data;
    int64_t rows = 0, far_entries = 0;
    p->n_pieces = (b->c->cols + SPARSE_PIECE - 1) / SPARSE_PIECE;
    for (int64_t i = 0; i < b->c->rows; i++) {
        const bool far = is_far(b, p, i);
        rows += b->length[i] >= 0;
        p->n_far += far;
        far_entries += far ? b->length[i] : 0;
        p->near_entries += far || b->length[i] < 0 ? 0 : b->length[i];
    }
    p->n_near = rows - p->n_far;
    p->n_windows = p->n_near > 0 ? (b->c->rows + WINDOW - 1) / WINDOW : 0;
    p->runs = arena_array(data, (size_t)p->n_near, sizeof *p->runs);
    p->window = arena_array(data, (size_t)p->n_windows + 1, sizeof *p->window);
    p->row = arena_array(data, (size_t)rows, sizeof *p->row);
    p->far = arena_array(data, (size_t)far_entries, sizeof *p->far);
    p->start = arena_array(data, (size_t)(p->n_pieces * p->n_far) + 1, sizeof *p->start);
    p->share = arena_array(data, (size_t)p->n_far + 1, sizeof *p->share);
    bool all = p->runs != NULL && p->window != NULL && p->row != NULL && p->far != NULL && p->start != NULL && p->share != NULL;
    if (b->c->cols <= UINT16_MAX + 1)
        all = (p->narrow = arena_array(data, (size_t)p->near_entries, sizeof *p->narrow)) != NULL && all;
    else
        all = (p->wide = arena_array(data, (size_t)p->near_entries, sizeof *p->wide)) != NULL && all;
    if (!even)
        all = (p->value = arena_array(data, (size_t)(p->near_entries + far_entries), sizeof *p->value)) != NULL && all;
    return all ? PERI_OK : FAIL_NOMEM(b->g->ctx);
}

/* ---- near rows -------------------------------------------------------------------------------------------------------------------------- */

static int64_t copy_row(const builder *b, sparse_part *p, bool even, int64_t i, int64_t at)
{
    for (int32_t k = b->c->row_start[i]; k < b->c->row_start[i + 1]; k++) {
        if (!has_entry(b, even, i, k))
            continue;
        if (p->narrow != NULL)
            p->narrow[at] = (uint16_t)b->c->col[k];
        else
            p->wide[at] = b->c->col[k];
        if (p->value != NULL)
            p->value[at] = b->c->data[k];
        at++;
    }
    return at;
}

/* Rows of [begin, end) whose length is of the kind: 0 .. 16, FIXED_LENGTHS for all longer ones */
static void fill_rows(const builder *b, sparse_part *p, bool even, int64_t begin, int64_t end, int64_t kind, int64_t *row, int64_t *at)
{
    for (int64_t i = begin; i < end; i++) {
        const int64_t length = b->length[i];
        if (length < 0 || is_far(b, p, i) || (length < FIXED_LENGTHS ? length : FIXED_LENGTHS) != kind)
            continue;
        sparse_run *last = p->n_runs > 0 ? &p->runs[p->n_runs - 1] : NULL;
        if (last == NULL || last->length != length)
            p->runs[p->n_runs++] = (sparse_run){*at, (int32_t)*row, 1, length};
        else
            last->n++;
        p->row[(*row)++] = (int32_t)i;
        *at = copy_row(b, p, even, i, *at);
    }
}

static void fill_window(const builder *b, sparse_part *p, bool even, int64_t begin, int64_t end, int64_t *row, int64_t *at)
{
    bool has[FIXED_LENGTHS + 1] = {false};
    for (int64_t i = begin; i < end; i++)
        if (b->length[i] >= 0)
            has[b->length[i] < FIXED_LENGTHS ? b->length[i] : FIXED_LENGTHS] = true;
    for (int64_t kind = 0; kind <= FIXED_LENGTHS; kind++)
        if (has[kind])
            fill_rows(b, p, even, begin, end, kind, row, at);
}

/* A run does not go on into the next window, which another thread may take. */
static void fill_near(const builder *b, sparse_part *p, bool even)
{
    int64_t row = 0, at = 0;
    for (int64_t w = 0; w < p->n_windows; w++) {
        const int64_t begin = w * WINDOW, end = begin + WINDOW < b->c->rows ? begin + WINDOW : b->c->rows;
        sparse_part own = *p;
        own.runs = p->runs + p->n_runs;
        own.n_runs = 0;
        fill_window(b, &own, even, begin, end, &row, &at);
        p->n_runs += own.n_runs;
        p->window[w + 1] = (int32_t)p->n_runs;
    }
}

/* ---- far rows --------------------------------------------------------------------------------------------------------------------------- */

static void number_far(const builder *b, sparse_part *p)
{
    int32_t n = 0;
    int64_t entries = 0;
    for (int64_t i = 0; i < b->c->rows; i++) {
        if (!is_far(b, p, i))
            continue;
        p->row[p->n_near + n] = (int32_t)i;
        b->number[i] = n++;
        entries += b->length[i];
        if (entries >= SHARE || n == p->n_far) {
            p->share[++p->n_shares] = n;
            entries = 0;
        }
    }
}

/* By pieces, in each by rows: a counting sort, which keeps the order of a row's entries. */
static peri_status fill_far(const builder *b, sparse_part *p, bool even)
{
    const expr_const *c = b->c;
    const int64_t lists = p->n_pieces * p->n_far;
    int32_t *next = mem_array(b->g->m, (size_t)lists, sizeof *next);
    if (next == NULL)
        return FAIL_NOMEM(b->g->ctx);
    number_far(b, p);
    for (int64_t k = 0; k < p->n_far; k++)
        for (int32_t q = c->row_start[p->row[p->n_near + k]]; q < c->row_start[p->row[p->n_near + k] + 1]; q++)
            if (has_entry(b, even, p->row[p->n_near + k], q))
                p->start[c->col[q] / SPARSE_PIECE * p->n_far + k + 1]++;
    for (int64_t k = 0; k < lists; k++) {
        next[k] = p->start[k];
        p->start[k + 1] += p->start[k];
    }
    for (int64_t k = 0; k < p->n_far; k++)
        for (int32_t q = c->row_start[p->row[p->n_near + k]]; q < c->row_start[p->row[p->n_near + k] + 1]; q++) {
            if (!has_entry(b, even, p->row[p->n_near + k], q))
                continue;
            const int32_t to = next[c->col[q] / SPARSE_PIECE * p->n_far + k]++;
            p->far[to] = (uint16_t)(c->col[q] % SPARSE_PIECE);
            if (p->value != NULL)
                p->value[p->near_entries + to] = c->data[q];
        }
    mem_array_free(b->g->m, next);
    return PERI_OK;
}

/* ---- together --------------------------------------------------------------------------------------------------------------------------- */

/* Of rows of equal entries that are no scales. */
static peri_status find_factors(const builder *b, sparse_part *p)
{
    const expr_const *c = b->c;
    double *factor = arena_array(&b->g->data, (size_t)(p->n_near + p->n_far), sizeof *factor);
    bool any = false;
    if (factor == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t k = 0; k < p->n_near + p->n_far; k++) {
        const int32_t first = c->row_start[p->row[k]];
        const bool own = b->kind[p->row[k]] == EVEN && first < c->row_start[p->row[k] + 1] && !b->equal[c->col[first]];
        factor[k] = own ? c->data[first] : 1;
        any = any || factor[k] != 1;
    }
    p->factor = any ? factor : NULL;
    return PERI_OK;
}

static peri_status build_part(builder *b, sparse_part *p, bool even)
{
    find_lengths(b, even);
    TRY(allocate(b, p, even));
    fill_near(b, p, even);
    if (p->n_far > 0)
        TRY(fill_far(b, p, even));
    return even ? find_factors(b, p) : PERI_OK;
}

static peri_status note_mixed(builder *b)
{
    bool any = false;
    for (int64_t i = 0; i < b->c->rows; i++)
        any = any || b->kind[i] == MIXED;
    if (!any)
        return PERI_OK;
    b->a->adds = arena_array(&b->g->data, (size_t)b->c->rows, 1);
    if (b->a->adds == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t i = 0; i < b->c->rows; i++)
        b->a->adds[i] = b->kind[i] == MIXED;
    return PERI_OK;
}

static peri_status build(builder *b)
{
    const size_t rows = (size_t)b->c->rows;
    mem *const m = b->g->m;
    b->kind = mem_array(m, rows, 1);
    b->equal = mem_array(m, (size_t)b->c->cols, 1);
    b->length = mem_array(m, rows, sizeof *b->length);
    b->number = mem_array(m, rows, sizeof *b->number);
    const bool all = b->kind != NULL && b->equal != NULL && b->length != NULL && b->number != NULL;
    peri_status status = all ? find_kinds(b) : FAIL_NOMEM(b->g->ctx);
    if (status == PERI_OK)
        status = note_mixed(b);
    if (status == PERI_OK)
        status = build_part(b, &b->a->even, true);
    if (status == PERI_OK)
        status = build_part(b, &b->a->uneven, false);
    mem_array_free(m, b->kind);
    mem_array_free(m, b->equal);
    mem_array_free(m, b->length);
    mem_array_free(m, b->number);
    return status;
}

peri_status eval_sparse_of(expr_graph *g, int64_t ref, const eval_sparse **out)
{
    const expr_const *c = &g->consts.at[ref];
    *out = c->layout;
    if (c->layout != NULL)
        return PERI_OK;
    builder b = {.g = g, .c = c, .a = arena_alloc(&g->data, sizeof *b.a)};
    if (b.a == NULL)
        return FAIL_NOMEM(g->ctx);
    b.a->rows = c->rows;
    b.a->cols = c->cols;
    b.a->nnz = c->nnz;
    TRY(build(&b));
    g->consts.at[ref].layout = b.a;
    *out = b.a;
    return PERI_OK;
}
