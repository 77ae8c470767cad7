/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse.c - products of sparse constants and vectors, by rows. Near rows of up to a few entries have code of their own for each length, so that the
 * processor mispredicts nothing; far rows are sums over pieces of the vector. Invariant: a row's entries are added up in one order.
 */
#include "eval/sparse.h"
#include <string.h>

enum { LONGEST_FIXED = 16, SHARED_ENTRIES = 1 << 17 }; /* entries that several threads are worth it for */

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

/* ---- near rows ----------------------------------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void put(const product *t, int64_t k, double sum)
{
    const sparse_part *p = t->part;
    const int32_t row = p->row[k];
    const double value = p->factor != NULL ? p->factor[k] * sum : sum;
    t->out[row] = t->adds != NULL && t->adds[row] ? t->out[row] + value : value;
}

/* All rows of a run; `length` is a number that the compiler knows, or the run's. */
#define NEAR_ROWS(name, sum, columns)                                                                                                      \
    static inline __attribute__((always_inline)) void name##_of(const product *t, const sparse_run *r, const int64_t length)               \
    {                                                                                                                                      \
        const sparse_part *p = t->part;                                                                                                    \
        for (int64_t k = 0; k < r->n; k++) {                                                                                               \
            const int64_t at = r->at + k * length;                                                                                         \
            put(t, r->first + k, sum(p->columns + at, p->value != NULL ? p->value + at : NULL, length, t->x));                             \
        }                                                                                                                                  \
    }                                                                                                                                      \
    static void name(const product *t, const sparse_run *r)                                                                                \
    {                                                                                                                                      \
        _Static_assert(LONGEST_FIXED == 16, "one case for each length");                                                                   \
        switch (r->length) {                                                                                                               \
        case 0: name##_of(t, r, 0); break;                                                                                                 \
        case 1: name##_of(t, r, 1); break;                                                                                                 \
        case 2: name##_of(t, r, 2); break;                                                                                                 \
        case 3: name##_of(t, r, 3); break;                                                                                                 \
        case 4: name##_of(t, r, 4); break;                                                                                                 \
        case 5: name##_of(t, r, 5); break;                                                                                                 \
        case 6: name##_of(t, r, 6); break;                                                                                                 \
        case 7: name##_of(t, r, 7); break;                                                                                                 \
        case 8: name##_of(t, r, 8); break;                                                                                                 \
        case 9: name##_of(t, r, 9); break;                                                                                                 \
        case 10: name##_of(t, r, 10); break;                                                                                               \
        case 11: name##_of(t, r, 11); break;                                                                                               \
        case 12: name##_of(t, r, 12); break;                                                                                               \
        case 13: name##_of(t, r, 13); break;                                                                                               \
        case 14: name##_of(t, r, 14); break;                                                                                               \
        case 15: name##_of(t, r, 15); break;                                                                                               \
        case 16: name##_of(t, r, 16); break;                                                                                               \
        default: name##_of(t, r, r->length); break;                                                                                        \
        }                                                                                                                                  \
    }
NEAR_ROWS(narrow_sums, narrow_sum, narrow)
NEAR_ROWS(narrow_dots, narrow_dot, narrow)
NEAR_ROWS(wide_sums, wide_sum, wide)
NEAR_ROWS(wide_dots, wide_dot, wide)

static void near_window(void *ud, int32_t thread, int64_t window)
{
    const product *t = ud;
    const sparse_part *p = t->part;
    (void)thread;
    for (int32_t r = p->window[window]; r < p->window[window + 1]; r++)
        if (p->narrow != NULL)
            (p->value != NULL ? narrow_dots : narrow_sums)(t, &p->runs[r]);
        else
            (p->value != NULL ? wide_dots : wide_sums)(t, &p->runs[r]);
}

/* ---- far rows ------------------------------------------------------------------------------------------------------------------------- */

static void add_piece(const product *t, int64_t piece, int64_t from, int64_t to)
{
    const sparse_part *p = t->part;
    const int32_t *const start = p->start + piece * p->n_far, *const row = p->row + p->n_near;
    const double *const x = t->x + piece * SPARSE_PIECE, *const value = p->value != NULL ? p->value + p->near_entries : NULL;
    for (int64_t k = from; k < to; k++) {
        const int64_t n = start[k + 1] - start[k];
        if (value != NULL)
            t->out[row[k]] += narrow_dot(p->far + start[k], value + start[k], n, x);
        else
            t->out[row[k]] += narrow_sum(p->far + start[k], NULL, n, x);
    }
}

static void far_share(void *ud, int32_t thread, int64_t share)
{
    const product *t = ud;
    const sparse_part *p = t->part;
    const int64_t from = p->share[share], to = thread < 0 ? p->n_far : p->share[share + 1]; /* one thread takes all at once */
    for (int64_t k = from; k < to; k++)
        if (t->adds == NULL || !t->adds[p->row[p->n_near + k]])
            t->out[p->row[p->n_near + k]] = 0;
    for (int64_t piece = 0; piece < p->n_pieces; piece++)
        add_piece(t, piece, from, to);
    for (int64_t k = from; k < to && p->factor != NULL; k++)
        t->out[p->row[p->n_near + k]] *= p->factor[p->n_near + k];
}

/* ---- together -------------------------------------------------------------------------------------------------------------------------- */

static int64_t entries_of(const sparse_part *p)
{
    return p->near_entries + (p->n_far > 0 ? p->start[p->n_pieces * p->n_far] : 0);
}

static void run_part(const product *t, thread_pool *pool, int32_t threads)
{
    const sparse_part *p = t->part;
    const bool shared = threads > 1 && entries_of(p) >= SHARED_ENTRIES;
    if (shared && p->n_windows > 1)
        pool_run(pool, threads, p->n_windows, near_window, (void *)(uintptr_t)t);
    else
        for (int64_t k = 0; k < p->n_windows; k++)
            near_window((void *)(uintptr_t)t, 0, k);
    if (shared && p->n_shares > 1)
        pool_run(pool, threads, p->n_shares, far_share, (void *)(uintptr_t)t);
    else if (p->n_far > 0)
        far_share((void *)(uintptr_t)t, -1, 0);
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

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t eval_sparse_tasks(const eval_sparse *a)
{
    if (entries_of(&a->even) < SHARED_ENTRIES && entries_of(&a->uneven) < SHARED_ENTRIES)
        return 1;
    return most(most(a->even.n_windows, a->even.n_shares), most(a->uneven.n_windows, a->uneven.n_shares));
}
