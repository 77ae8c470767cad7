/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse.c - products of sparse constants and vectors, by runs of rows of one length; up to a few entries, each length has code of its own. Far rows are
 * sums over pieces of the vector. Invariant: a row's entries are added up in one order.
 */
#include "eval/sparse.h"
#include <string.h>

enum { SHARED_ENTRIES = 1 << 17, AHEAD = 2048, LINE = 64 }; /* entries that several threads are worth it for; bytes */

/* What a function that runs some rows has to know. */
typedef struct {
    const eval_sparse *a;
    const sparse_part *part;
    const unsigned char *adds;
    const double *x;
    double *out;
} product;

/* ---- sums of one row -------------------------------------------------------------------------------------------------------------- */

/* Entry k goes to partial sum k mod 4. */
#define ROW_SUM(name, column, term)                                                                                                        \
    static inline __attribute__((always_inline)) double name(const column *restrict c, const double *restrict v, int64_t n,                \
                                                             const double *restrict x)                                                    \
    {                                                                                                                                      \
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;                                                                                             \
        int64_t k = 0;                                                                                                                     \
        (void)v;                                                                                                                           \
        for (; k + 4 <= n; k += 4) {                                                                                                       \
            s0 += term(k);                                                                                                                 \
            s1 += term(k + 1);                                                                                                             \
            s2 += term(k + 2);                                                                                                             \
            s3 += term(k + 3);                                                                                                             \
        }                                                                                                                                  \
        if (k < n)                                                                                                                         \
            s0 += term(k);                                                                                                                 \
        if (k + 1 < n)                                                                                                                     \
            s1 += term(k + 1);                                                                                                             \
        if (k + 2 < n)                                                                                                                     \
            s2 += term(k + 2);                                                                                                             \
        return (s0 + s2) + (s1 + s3);                                                                                                      \
    }
#define ENTRY(k) x[c[k]]
#define MULTIPLE(k) (v[k] * x[c[k]])
ROW_SUM(narrow_sum, uint16_t, ENTRY)
ROW_SUM(narrow_dot, uint16_t, MULTIPLE)
ROW_SUM(wide_sum, int32_t, ENTRY)
ROW_SUM(wide_dot, int32_t, MULTIPLE)

/* ---- runs ------------------------------------------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void put_near(const product *t, const sparse_runs *p, int64_t k, double sum)
{
    const int32_t row = p->row[k];
    const double value = t->part->near_factor != NULL ? t->part->near_factor[k] * sum : sum;
    t->out[row] = t->adds != NULL && t->adds[row] ? t->out[row] + value : value;
}

static inline __attribute__((always_inline)) void put_far(const product *t, const sparse_runs *p, int64_t k, double sum)
{
    t->out[p->row[k]] += sum;
}

/* What comes some rows later, of which there are too few at a time for the processor to see a stream in them. */
static inline __attribute__((always_inline)) void fetch(const void *at, int64_t bytes)
{
    for (int64_t q = 0; q < bytes; q += LINE)
        __builtin_prefetch((const void *)((uintptr_t)at + AHEAD + (uintptr_t)q));
}

/* All rows of a run; `length` is a number that the compiler knows, or the run's. */
#define RUN_ROWS(name, sum, columns, put)                                                                                                  \
    static inline __attribute__((always_inline)) void name##_of(const product *t, const sparse_runs *p, const sparse_run *r,               \
                                                                const double *x, const int64_t length)                                    \
    {                                                                                                                                      \
        for (int64_t k = 0; k < r->n; k++) {                                                                                               \
            const int64_t at = r->at + k * length;                                                                                         \
            fetch(p->columns + at, length * (int64_t)sizeof *p->columns);                                                                  \
            if (p->value != NULL)                                                                                                          \
                fetch(p->value + at, length * (int64_t)sizeof *p->value);                                                                  \
            put(t, p, r->first + k, sum(p->columns + at, p->value != NULL ? p->value + at : NULL, length, x));                             \
        }                                                                                                                                  \
    }                                                                                                                                      \
    static void name(const product *t, const sparse_runs *p, const sparse_run *r, const double *x)                                         \
    {                                                                                                                                      \
        switch (r->length) {                                                                                                               \
        case 0: name##_of(t, p, r, x, 0); break;                                                                                           \
        case 1: name##_of(t, p, r, x, 1); break;                                                                                           \
        case 2: name##_of(t, p, r, x, 2); break;                                                                                           \
        case 3: name##_of(t, p, r, x, 3); break;                                                                                           \
        case 4: name##_of(t, p, r, x, 4); break;                                                                                           \
        case 5: name##_of(t, p, r, x, 5); break;                                                                                           \
        case 6: name##_of(t, p, r, x, 6); break;                                                                                           \
        case 7: name##_of(t, p, r, x, 7); break;                                                                                           \
        case 8: name##_of(t, p, r, x, 8); break;                                                                                           \
        case 9: name##_of(t, p, r, x, 9); break;                                                                                           \
        case 10: name##_of(t, p, r, x, 10); break;                                                                                         \
        case 11: name##_of(t, p, r, x, 11); break;                                                                                         \
        case 12: name##_of(t, p, r, x, 12); break;                                                                                         \
        case 13: name##_of(t, p, r, x, 13); break;                                                                                         \
        case 14: name##_of(t, p, r, x, 14); break;                                                                                         \
        case 15: name##_of(t, p, r, x, 15); break;                                                                                         \
        case 16: name##_of(t, p, r, x, 16); break;                                                                                         \
        default: name##_of(t, p, r, x, r->length); break;                                                                                  \
        }                                                                                                                                  \
    }
RUN_ROWS(near_narrow_sums, narrow_sum, narrow, put_near)
RUN_ROWS(near_narrow_dots, narrow_dot, narrow, put_near)
RUN_ROWS(near_wide_sums, wide_sum, wide, put_near)
RUN_ROWS(near_wide_dots, wide_dot, wide, put_near)
RUN_ROWS(far_sums, narrow_sum, narrow, put_far)
RUN_ROWS(far_dots, narrow_dot, narrow, put_far)

typedef void (*run_fn)(const product *t, const sparse_runs *p, const sparse_run *r, const double *x);

static void run_block(const product *t, const sparse_runs *p, int64_t block, const double *x, run_fn fn)
{
    for (int32_t r = p->block[block]; r < p->block[block + 1]; r++)
        fn(t, p, &p->runs[r], x);
}

static void near_block(void *ud, int32_t thread, int64_t block)
{
    const product *t = ud;
    const sparse_runs *p = &t->part->near;
    (void)thread;
    if (p->narrow != NULL)
        run_block(t, p, block, t->x, p->value != NULL ? near_narrow_dots : near_narrow_sums);
    else
        run_block(t, p, block, t->x, p->value != NULL ? near_wide_dots : near_wide_sums);
}

/* ---- far rows ------------------------------------------------------------------------------------------------------------------------- */

static void begin_far(const product *t, int64_t from, int64_t to)
{
    const int32_t *const row = t->part->far_row;
    for (int64_t k = from; k < to; k++)
        if (t->adds == NULL || !t->adds[row[k]])
            t->out[row[k]] = 0;
}

static void end_far(const product *t, int64_t from, int64_t to)
{
    const sparse_part *p = t->part;
    for (int64_t k = from; k < to && p->far_factor != NULL; k++)
        t->out[p->far_row[k]] *= p->far_factor[k];
}

static void far_block(const product *t, int64_t share, int64_t piece)
{
    const sparse_part *p = t->part;
    run_block(t, &p->far, share * p->n_pieces + piece, t->x + piece * SPARSE_PIECE, p->far.value != NULL ? far_dots : far_sums);
}

static void far_share(void *ud, int32_t thread, int64_t share)
{
    const product *t = ud;
    const sparse_part *p = t->part;
    (void)thread;
    begin_far(t, p->share[share], p->share[share + 1]);
    for (int64_t piece = 0; piece < p->n_pieces; piece++)
        far_block(t, share, piece);
    end_far(t, p->share[share], p->share[share + 1]);
}

/* All shares in one piece, then in the next: the piece is read from further away only once. */
static void all_far(const product *t)
{
    const sparse_part *p = t->part;
    begin_far(t, 0, p->n_far);
    for (int64_t piece = 0; piece < p->n_pieces; piece++)
        for (int64_t share = 0; share < p->n_shares; share++)
            far_block(t, share, piece);
    end_far(t, 0, p->n_far);
}

/* ---- together -------------------------------------------------------------------------------------------------------------------------- */

static bool is_shared(const sparse_part *p)
{
    return p->near.n + p->far.n >= SHARED_ENTRIES;
}

static void run_part(const product *t, thread_pool *pool, int32_t threads)
{
    const sparse_part *p = t->part;
    const bool shared = threads > 1 && is_shared(p);
    void *const ud = (void *)(uintptr_t)t;
    if (shared && p->near.n_blocks > 1)
        pool_run(pool, threads, p->near.n_blocks, near_block, ud);
    else
        for (int64_t k = 0; k < p->near.n_blocks; k++)
            near_block(ud, 0, k);
    if (shared && p->n_shares > 1)
        pool_run(pool, threads, p->n_shares, far_share, ud);
    else
        all_far(t);
}

void eval_sparse_times(const eval_sparse *a, const double *x, double *work, double *out, thread_pool *pool, int32_t threads)
{
    product t = {a, &a->even, NULL, x, out};
    if (a->scale != NULL) {
        for (int64_t j = 0; j < a->cols; j++)
            work[j] = a->scale[j] * x[j];
        t.x = work;
    }
    run_part(&t, pool, threads);
    t = (product){a, &a->uneven, a->adds, x, out};
    run_part(&t, pool, threads);
}

static int64_t tasks_of(const sparse_part *p)
{
    return !is_shared(p) ? 1 : p->near.n_blocks > p->n_shares ? p->near.n_blocks : p->n_shares;
}

int64_t eval_sparse_tasks(const eval_sparse *a)
{
    const int64_t even = tasks_of(&a->even), uneven = tasks_of(&a->uneven);
    return even > uneven ? even : uneven;
}
