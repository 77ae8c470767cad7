/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse_layout.c - how a sparse constant is laid out for its products. Values are not stored where they say nothing: rows of equal entries have one
 * factor (ones and zeros as in categories, sums over data, weighted or not); where rows differ, columns of equal entries are scales of
 * the vector, and only what is left of a row keeps its values. Invariant: every entry is in one part, once.
 */
#include "eval/sparse.h"
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 4096,      /* rows that may be put in order of their lengths: not more, so that what they read of the vector stays near */
    FAR_ENTRIES = 8,    /* of a far row in each piece, on average */
    SHARE = 1 << 18,    /* entries of far rows that a thread takes at once, at least */
    COLUMN_ENTRIES = 4  /* fewer are equal by chance */
};

enum { EVEN, UNEVEN, MIXED }; /* rows */

typedef struct {
    expr_graph *g;
    const expr_const *c;
    eval_sparse *a;
    unsigned char *kind;  /* [rows] */
    unsigned char *equal; /* [cols] entries of the column are equal, and a scale: even in mixed rows */
    int64_t *length;      /* [rows] entries of the part at hand, -1: the row is not in it */
} builder;

/* ---- which entries are alike ------------------------------------------------------------------------------------------------------------ */

static bool is_even_row(const expr_const *c, int64_t i)
{
    for (int32_t k = c->row_start[i] + 1; k < c->row_start[i + 1]; k++)
        if (expr_sparse_at(c, k) != expr_sparse_at(c, c->row_start[i]))
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
            scale[j] = expr_sparse_at(c, k);
        seen[j] = seen[j] < 0 || scale[j] != expr_sparse_at(c, k) ? -1 : seen[j] + 1;
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

static bool is_near(const builder *b, const sparse_part *p, int64_t i)
{
    return b->length[i] >= 0 && !is_far(b, p, i);
}

/* ---- runs ------------------------------------------------------------------------------------------------------------------------------- */

static peri_status new_runs(builder *b, sparse_runs *r, int64_t n_blocks, int64_t n_rows, int64_t n, bool wide, bool even)
{
    arena *const data = &b->g->data;
    r->n = n;
    r->n_blocks = n_blocks;
    r->block = arena_array(data, (size_t)n_blocks + 1, sizeof *r->block);
    r->row = arena_array(data, (size_t)n_rows, sizeof *r->row);
    bool all = r->block != NULL && r->row != NULL;
    if (wide)
        all = (r->wide = arena_array(data, (size_t)n, sizeof *r->wide)) != NULL && all;
    else
        all = (r->narrow = arena_array(data, (size_t)n, sizeof *r->narrow)) != NULL && all;
    if (!even)
        all = (r->value = arena_array(data, (size_t)n, sizeof *r->value)) != NULL && all;
    return all ? PERI_OK : FAIL_NOMEM(b->g->ctx);
}

static int by_length(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Rows of a block by their lengths, then as they came: items length << 32 | row. Returns how many runs they are. */
static int64_t sort_block(int64_t n, uint64_t *item)
{
    int64_t runs = 0;
    if (n > 1)
        qsort(item, (size_t)n, sizeof *item, by_length);
    for (int64_t k = 0; k < n; k++)
        runs += k == 0 || item[k] >> 32 != item[k - 1] >> 32;
    return runs;
}

/* All blocks' runs: items of block k, sorted, are start[k] .. start[k + 1] of `item`, and get their places in `row` and of their entries. */
static peri_status make_runs(builder *b, sparse_runs *r, int64_t n_runs, const int64_t *start, const uint64_t *item)
{
    int64_t at = 0;
    r->runs = arena_array(&b->g->data, (size_t)n_runs, sizeof *r->runs);
    if (r->runs == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t block = 0; block < r->n_blocks; block++) {
        for (int64_t k = start[block]; k < start[block + 1]; k++) {
            const int64_t length = (int64_t)(item[k] >> 32);
            if (k == start[block] || length != r->runs[r->n_runs - 1].length)
                r->runs[r->n_runs++] = (sparse_run){at, (int32_t)r->n_rows, 0, length};
            r->runs[r->n_runs - 1].n++;
            r->row[r->n_rows++] = (int32_t)(item[k] & UINT32_MAX);
            at += length;
        }
        r->block[block + 1] = (int32_t)r->n_runs;
    }
    return PERI_OK;
}

static void put_entry(const builder *b, sparse_runs *r, int64_t at, int32_t k, int32_t first)
{
    if (r->narrow != NULL)
        r->narrow[at] = (uint16_t)(b->c->col[k] - first);
    else
        r->wide[at] = b->c->col[k] - first;
    if (r->value != NULL)
        r->value[at] = expr_sparse_at(b->c, k);
}

/* ---- near rows -------------------------------------------------------------------------------------------------------------------------- */

static void fill_near(const builder *b, sparse_runs *r, bool even)
{
    int64_t at = 0;
    for (int64_t q = 0; q < r->n_rows; q++)
        for (int32_t k = b->c->row_start[r->row[q]]; k < b->c->row_start[r->row[q] + 1]; k++)
            if (has_entry(b, even, r->row[q], k))
                put_entry(b, r, at++, k, 0);
}

static peri_status sort_near(builder *b, sparse_part *p, int64_t n_rows, int64_t n, bool even, int64_t *start, uint64_t *item)
{
    const int64_t blocks = n_rows > 0 ? (b->c->rows + WINDOW - 1) / WINDOW : 0;
    int64_t runs = 0, kept = 0;
    for (int64_t w = 0; w < blocks; w++) {
        const int64_t end = (w + 1) * WINDOW < b->c->rows ? (w + 1) * WINDOW : b->c->rows;
        for (int64_t i = w * WINDOW; i < end; i++)
            if (is_near(b, p, i))
                item[kept++] = (uint64_t)b->length[i] << 32 | (uint64_t)i;
        start[w + 1] = kept;
        runs += sort_block(kept - start[w], item + start[w]);
    }
    TRY(new_runs(b, &p->near, blocks, n_rows, n, b->c->cols > UINT16_MAX + 1, even));
    return make_runs(b, &p->near, runs, start, item);
}

static peri_status build_near(builder *b, sparse_part *p, bool even)
{
    int64_t rows = 0, entries = 0;
    for (int64_t i = 0; i < b->c->rows; i++) {
        rows += is_near(b, p, i);
        entries += is_near(b, p, i) ? b->length[i] : 0;
    }
    int64_t *start = mem_array(b->g->m, (size_t)b->c->rows / WINDOW + 2, sizeof *start);
    uint64_t *item = mem_array(b->g->m, (size_t)rows, sizeof *item);
    const bool all = start != NULL && item != NULL;
    const peri_status status = all ? sort_near(b, p, rows, entries, even, start, item) : FAIL_NOMEM(b->g->ctx);
    mem_array_free(b->g->m, start);
    mem_array_free(b->g->m, item);
    if (status == PERI_OK)
        fill_near(b, &p->near, even);
    return status;
}

/* ---- far rows --------------------------------------------------------------------------------------------------------------------------- */

static peri_status share_out(builder *b, sparse_part *p, int64_t *n)
{
    int64_t entries = 0, k = 0;
    *n = 0;
    for (int64_t i = 0; i < b->c->rows; i++)
        p->n_far += is_far(b, p, i);
    p->far_row = arena_array(&b->g->data, (size_t)p->n_far, sizeof *p->far_row);
    p->share = arena_array(&b->g->data, (size_t)p->n_far + 1, sizeof *p->share);
    if (p->far_row == NULL || p->share == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t i = 0; i < b->c->rows; i++) {
        if (!is_far(b, p, i))
            continue;
        p->far_row[k++] = (int32_t)i;
        *n += b->length[i];
        entries += b->length[i];
        if (entries >= SHARE || k == p->n_far) {
            p->share[++p->n_shares] = (int32_t)k;
            entries = 0;
        }
    }
    return PERI_OK;
}

/* count [n_far n_pieces]: entries of each far row in each piece */
static void count_pieces(const builder *b, const sparse_part *p, bool even, int32_t *count)
{
    for (int64_t k = 0; k < p->n_far; k++)
        for (int32_t q = b->c->row_start[p->far_row[k]]; q < b->c->row_start[p->far_row[k] + 1]; q++)
            if (has_entry(b, even, p->far_row[k], q))
                count[k * p->n_pieces + b->c->col[q] / SPARSE_PIECE]++;
}

/* Items are first numbers of far rows, then rows. */
static peri_status sort_far(builder *b, sparse_part *p, int64_t n, bool even, const int32_t *count, int64_t *start, uint64_t *item)
{
    int64_t runs = 0, kept = 0;
    for (int64_t block = 0; block < p->n_shares * p->n_pieces; block++) {
        const int64_t share = block / p->n_pieces, piece = block % p->n_pieces;
        for (int64_t k = p->share[share]; k < p->share[share + 1]; k++)
            if (count[k * p->n_pieces + piece] > 0)
                item[kept++] = (uint64_t)count[k * p->n_pieces + piece] << 32 | (uint64_t)k;
        start[block + 1] = kept;
        runs += sort_block(kept - start[block], item + start[block]);
    }
    TRY(new_runs(b, &p->far, p->n_shares * p->n_pieces, kept, n, false, even));
    return make_runs(b, &p->far, runs, start, item);
}

/* at [n_far n_pieces]: where the next entry of a row in a piece goes */
static void fill_far(const builder *b, sparse_part *p, bool even, int32_t *at)
{
    sparse_runs *f = &p->far;
    for (int64_t block = 0; block < f->n_blocks; block++)
        for (int32_t r = f->block[block]; r < f->block[block + 1]; r++)
            for (int64_t q = 0; q < f->runs[r].n; q++)
                at[f->row[f->runs[r].first + q] * p->n_pieces + block % p->n_pieces] = (int32_t)(f->runs[r].at + q * f->runs[r].length);
    for (int64_t k = 0; k < p->n_far; k++)
        for (int32_t q = b->c->row_start[p->far_row[k]]; q < b->c->row_start[p->far_row[k] + 1]; q++) {
            const int32_t piece = b->c->col[q] / SPARSE_PIECE;
            if (has_entry(b, even, p->far_row[k], q))
                put_entry(b, f, at[k * p->n_pieces + piece]++, q, piece * SPARSE_PIECE);
        }
    for (int64_t q = 0; q < f->n_rows; q++)
        f->row[q] = p->far_row[f->row[q]];
}

static peri_status build_far(builder *b, sparse_part *p, bool even)
{
    int64_t n;
    TRY(share_out(b, p, &n));
    const size_t all = (size_t)(p->n_far * p->n_pieces);
    int32_t *count = mem_array(b->g->m, all, sizeof *count);
    int64_t *start = mem_array(b->g->m, (size_t)(p->n_shares * p->n_pieces) + 1, sizeof *start);
    uint64_t *item = mem_array(b->g->m, all, sizeof *item);
    peri_status status = count != NULL && start != NULL && item != NULL ? PERI_OK : FAIL_NOMEM(b->g->ctx);
    if (status == PERI_OK) {
        count_pieces(b, p, even, count);
        status = sort_far(b, p, n, even, count, start, item);
    }
    if (status == PERI_OK)
        fill_far(b, p, even, count);
    mem_array_free(b->g->m, count);
    mem_array_free(b->g->m, start);
    mem_array_free(b->g->m, item);
    return status;
}

/* ---- together --------------------------------------------------------------------------------------------------------------------------- */

/* Of n rows of equal entries that are no scales; *out NULL: all are 1 */
static peri_status find_factors(const builder *b, int64_t n, const int32_t *row, double **out)
{
    const expr_const *c = b->c;
    double *factor = arena_array(&b->g->data, (size_t)n, sizeof *factor);
    bool any = false;
    if (factor == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t k = 0; k < n; k++) {
        const int32_t first = c->row_start[row[k]];
        const bool own = b->kind[row[k]] == EVEN && first < c->row_start[row[k] + 1] && !b->equal[c->col[first]];
        factor[k] = own ? expr_sparse_at(c, first) : 1;
        any = any || factor[k] != 1;
    }
    *out = any ? factor : NULL;
    return PERI_OK;
}

static peri_status build_part(builder *b, sparse_part *p, bool even)
{
    find_lengths(b, even);
    p->n_pieces = (b->c->cols + SPARSE_PIECE - 1) / SPARSE_PIECE;
    TRY(build_near(b, p, even));
    TRY(build_far(b, p, even));
    if (!even)
        return PERI_OK;
    TRY(find_factors(b, p->near.n_rows, p->near.row, &p->near_factor));
    return find_factors(b, p->n_far, p->far_row, &p->far_factor);
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
    const bool all = b->kind != NULL && b->equal != NULL && b->length != NULL;
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
