/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project_system.c - the linear systems of projections. With rows W and columns F of A, d solves (A_WF A_WF' + delta I) d = e: directly
 * where A has one row; by the normal matrix A A' where that is sparse or small; otherwise by
 *   [ I     A_WF'  ] [p]   [ 0 ]
 *   [ A_WF  -delta ] [d] = [-e ],
 * whose factor stays sparse where single columns are dense. The pattern is that of all rows and columns; only values change with W
 * and F, so that the analysis is made once. Invariant: delta > 0, so that either matrix can be factorised whatever W and F are.
 */
#include "run/project.h"
#include "run/factor.h"
#include <string.h>

enum { NORMAL_SMALL = 64, NORMAL_GROWTH = 4 }; /* rows up to which the normal matrix is taken; its entries, relative to what A has */

/* ---- patterns ------------------------------------------------------------------------------------------------------------------ */

static peri_status by_rows(projection_system *s)
{
    const peri_pattern *p = &s->a->pattern;
    arena *memory = &s->run->memory;
    int64_t *start = arena_array(memory, (size_t)s->a->m + 1, sizeof *start);
    int64_t *column = arena_array(memory, (size_t)p->nnz, sizeof *column);
    int64_t *entry = arena_array(memory, (size_t)p->nnz, sizeof *entry);
    if (start == NULL || column == NULL || entry == NULL)
        return FAIL_NOMEM(s->run->ctx);
    for (int64_t k = 0; k < p->nnz; k++)
        start[p->index[k] + 1]++;
    for (int64_t i = 0; i < s->a->m; i++)
        start[i + 1] += start[i];
    for (int64_t j = 0; j < p->cols; j++)
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
            const int64_t at = start[p->index[k]]++;
            column[at] = j;
            entry[at] = k;
        }
    for (int64_t i = s->a->m; i > 0; i--)
        start[i] = start[i - 1];
    start[0] = 0;
    s->by_row = start;
    s->by_row_column = column;
    s->by_row_entry = entry;
    return PERI_OK;
}

/* Products of entries in one column each: what the normal matrix costs. */
static double count_products(const peri_pattern *p)
{
    double sum = 0;
    for (int64_t j = 0; j < p->cols; j++) {
        const double length = (double)(p->start[j + 1] - p->start[j]);
        sum += length * (length + 1) / 2;
    }
    return sum;
}

/* Rows k >= i of column i of A A', into index (NULL: counted alone); mark [m] has i + 1 where k was seen. */
static int64_t normal_column(const projection_system *s, int64_t i, int64_t *mark, int64_t *index)
{
    const peri_pattern *p = &s->a->pattern;
    int64_t n = 1;
    mark[i] = i + 1;
    if (index != NULL)
        index[0] = i;
    for (int64_t at = s->by_row[i]; at < s->by_row[i + 1]; at++)
        for (int64_t k = s->by_row_entry[at] + 1; k < p->start[s->by_row_column[at] + 1]; k++)
            if (mark[p->index[k]] != i + 1) {
                mark[p->index[k]] = i + 1;
                if (index != NULL)
                    index[n] = p->index[k];
                n++;
            }
    return n;
}

static void sort(int64_t *v, int64_t n, unsigned char *seen, int64_t m)
{
    if (n * 16 < m) { /* few: by insertion; many: by a pass over all rows */
        for (int64_t k = 1; k < n; k++)
            for (int64_t i = k; i > 0 && v[i - 1] > v[i]; i--) {
                const int64_t t = v[i];
                v[i] = v[i - 1];
                v[i - 1] = t;
            }
        return;
    }
    for (int64_t k = 0; k < n; k++)
        seen[v[k]] = 1;
    for (int64_t i = 0, k = 0; i < m; i++)
        if (seen[i]) {
            v[k++] = i;
            seen[i] = 0;
        }
}

static peri_status normal_pattern(projection_system *s)
{
    arena *memory = &s->run->memory;
    const int64_t m = s->a->m;
    int64_t *start = arena_array(memory, (size_t)m + 1, sizeof *start), *mark = arena_array(memory, (size_t)m, sizeof *mark);
    unsigned char *seen = arena_array(memory, (size_t)m, 1);
    if (start == NULL || mark == NULL || seen == NULL)
        return FAIL_NOMEM(s->run->ctx);
    for (int64_t i = 0; i < m; i++)
        start[i + 1] = start[i] + normal_column(s, i, mark, NULL);
    int64_t *index = arena_array(memory, (size_t)start[m], sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(s->run->ctx);
    memset(mark, 0, (size_t)m * sizeof *mark);
    for (int64_t i = 0; i < m; i++)
        sort(index + start[i], normal_column(s, i, mark, index + start[i]), seen, m);
    s->pattern = (peri_pattern){m, m, start[m], start, index};
    return PERI_OK;
}

static peri_status augmented_pattern(projection_system *s)
{
    arena *memory = &s->run->memory;
    const peri_pattern *p = &s->a->pattern;
    const int64_t n = s->a->n, m = s->a->m, nnz = n + m + p->nnz;
    int64_t *start = arena_array(memory, (size_t)(n + m) + 1, sizeof *start), *index = arena_array(memory, (size_t)nnz, sizeof *index);
    int64_t at = 0;
    if (start == NULL || index == NULL)
        return FAIL_NOMEM(s->run->ctx);
    for (int64_t j = 0; j < n + m; j++) {
        start[j] = at;
        index[at++] = j;
        for (int64_t k = j < n ? p->start[j] : 0; j < n && k < p->start[j + 1]; k++)
            index[at++] = n + p->index[k];
    }
    start[n + m] = at;
    s->pattern = (peri_pattern){n + m, n + m, nnz, start, index};
    return PERI_OK;
}

peri_status projection_system_open(projection_system *s, peri_run *run, const projection_rows *a)
{
    arena *memory = &run->memory;
    const double plain = (double)(a->pattern.nnz + a->n + a->m);
    *s = (projection_system){.run = run, .a = a};
    s->free = arena_array(memory, (size_t)a->n, 1);
    s->working = arena_array(memory, (size_t)a->m, 1);
    if (s->free == NULL || s->working == NULL)
        return FAIL_NOMEM(run->ctx);
    s->form = a->m <= 1                                                                                    ? PROJECTION_ONE_ROW
              : a->m <= NORMAL_SMALL || count_products(&a->pattern) <= NORMAL_GROWTH * plain ? PROJECTION_NORMAL
                                                                                                           : PROJECTION_AUGMENTED;
    if (s->form == PROJECTION_ONE_ROW)
        return PERI_OK;
    if (s->form == PROJECTION_NORMAL)
        TRY(by_rows(s));
    TRY(s->form == PROJECTION_NORMAL ? normal_pattern(s) : augmented_pattern(s));
    s->value = arena_array(memory, (size_t)s->pattern.nnz, sizeof *s->value);
    s->work = arena_array(memory, (size_t)s->pattern.cols, sizeof *s->work);
    if (s->value == NULL || s->work == NULL)
        return FAIL_NOMEM(run->ctx);
    return factor_open(run, NULL, &s->pattern, s->form == PROJECTION_NORMAL ? PERI_FLAG_DEFINITE : PERI_FLAG_QUASIDEFINITE, &s->factor);
}

/* ---- values ------------------------------------------------------------------------------------------------------------------- */

static void one_row(projection_system *s)
{
    const peri_pattern *p = &s->a->pattern;
    s->pivot = s->delta;
    for (int64_t j = 0; j < s->a->n; j++)
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++)
            s->pivot += s->free[j] ? s->a->value[k] * s->a->value[k] : 0;
}

static void normal_values(projection_system *s)
{
    const peri_pattern *p = &s->a->pattern, *q = &s->pattern;
    const double *value = s->a->value;
    for (int64_t i = 0; i < s->a->m; i++) {
        for (int64_t at = s->by_row[i]; s->working[i] && at < s->by_row[i + 1]; at++)
            for (int64_t k = s->by_row_entry[at], j = s->by_row_column[at]; s->free[j] && k < p->start[j + 1]; k++)
                s->work[p->index[k]] += value[s->by_row_entry[at]] * value[k];
        for (int64_t k = q->start[i]; k < q->start[i + 1]; k++) {
            const int64_t row = q->index[k];
            s->value[k] = s->working[i] && s->working[row] ? s->work[row] : 0;
            s->work[row] = 0;
        }
        s->value[q->start[i]] += s->working[i] ? s->delta : 1;
    }
}

static void augmented_values(projection_system *s)
{
    const peri_pattern *p = &s->a->pattern;
    int64_t at = 0;
    for (int64_t j = 0; j < s->a->n; j++) {
        s->value[at++] = 1;
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++)
            s->value[at++] = s->free[j] && s->working[p->index[k]] ? s->a->value[k] : 0;
    }
    for (int64_t i = 0; i < s->a->m; i++)
        s->value[at++] = s->working[i] ? -s->delta : -1;
}

static bool same(const projection_system *s, const unsigned char *free, const unsigned char *working, double delta)
{
    return s->factorised && s->delta >= delta && s->delta <= delta && memcmp(s->free, free, (size_t)s->a->n) == 0 &&
           memcmp(s->working, working, (size_t)s->a->m) == 0;
}

peri_status projection_system_factor(projection_system *s, const unsigned char *free, const unsigned char *working, double delta)
{
    if (same(s, free, working, delta))
        return PERI_OK;
    s->factorised = false;
    s->delta = delta;
    memcpy(s->free, free, (size_t)s->a->n);
    memcpy(s->working, working, (size_t)s->a->m);
    if (s->form == PROJECTION_ONE_ROW)
        one_row(s);
    else if (s->form == PROJECTION_NORMAL)
        normal_values(s);
    else
        augmented_values(s);
    if (s->factor != NULL)
        TRY(factor_values(s->factor, s->value, NULL));
    s->factorised = true;
    return PERI_OK;
}

peri_status projection_system_solve(projection_system *s, const double *e, double *d)
{
    const int64_t n = s->form == PROJECTION_AUGMENTED ? s->a->n : 0;
    double *b = s->work;
    if (s->form == PROJECTION_ONE_ROW) {
        d[0] = s->a->m > 0 && s->working[0] ? e[0] / s->pivot : 0;
        return PERI_OK;
    }
    memset(b, 0, (size_t)(n + s->a->m) * sizeof *b);
    for (int64_t i = 0; i < s->a->m; i++)
        b[n + i] = s->working[i] ? (s->form == PROJECTION_AUGMENTED ? -e[i] : e[i]) : 0;
    TRY(factor_solve(s->factor, b));
    memcpy(d, b + n, (size_t)s->a->m * sizeof *d);
    memset(b, 0, (size_t)(n + s->a->m) * sizeof *b);
    return PERI_OK;
}
