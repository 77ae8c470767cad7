/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose_rank.c - constraint rows whose gradients at the point are combinations of others'. Of the rows that hold the point (equalities,
 * violated and active ones) and the variables that are not fixed, by a dense QR factorisation with column pivoting of the transposed
 * Jacobian, rows brought to length 1 first (Businger and Golub 1965, here by Gram-Schmidt with one repetition, which is enough: Giraud,
 * Langou, Rozloznik 2005). Up to DIAGNOSE_RANK_ROWS rows and DIAGNOSE_RANK_WORK for rows^2 columns.
 */
#include "base/vector.h"
#include "run/diagnose.h"
#include <math.h>
#include <string.h>

/* What is left of a row of length 1 after projection counts as nothing below it. */
static const double NOTHING = 1e-9;

/* The active rows as vectors. After factorisation q[0 .. rank-1] are orthonormal and r holds the factor. */
typedef struct {
    int64_t n, k, rank; /* length, number of vectors, rank */
    int64_t *row;       /* [k] constraint row of each, in pivoting order */
    double **q;         /* [k] vectors [n] */
    double *r;          /* [k x k] r[i * k + j]: vector j's share of q_i */
    double *length;     /* [k] before scaling */
} basis;

static bool holds_point(const diagnose_work *w, int64_t i)
{
    const nlp *p = w->p;
    const double lower = p->cl[i], upper = p->cu[i], c = w->c[i];
    if (lower >= upper)
        return true;
    return c <= lower + 1e-6 * fmax(1, fabs(lower)) || c >= upper - 1e-6 * fmax(1, fabs(upper));
}

static peri_status open_basis(diagnose_work *w, basis *b)
{
    const nlp *p = w->p;
    int64_t *place = arena_array(w->work, (size_t)p->m, sizeof *place);
    const size_t k = (size_t)b->k;
    b->row = arena_array(w->work, k, sizeof *b->row);
    b->q = arena_array(w->work, k, sizeof *b->q);
    b->r = arena_array(w->work, k * k, sizeof *b->r);
    b->length = arena_array(w->work, k, sizeof *b->length);
    double *values = arena_array(w->work, k * (size_t)b->n, sizeof *values);
    if (place == NULL || b->row == NULL || b->q == NULL || b->r == NULL || b->length == NULL || values == NULL)
        return FAIL_NOMEM(w->s->ctx);
    int64_t next = 0;
    for (int64_t i = 0; i < p->m; i++) {
        place[i] = holds_point(w, i) ? next : -1;
        if (place[i] < 0)
            continue;
        b->row[next] = i;
        b->q[next] = values + next * b->n;
        next++;
    }
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t e = w->pattern.start[j]; e < w->pattern.start[j + 1] && p->xl[j] < p->xu[j]; e++)
            if (place[w->pattern.index[e]] >= 0)
                b->q[place[w->pattern.index[e]]][j] = w->jac[e];
    return PERI_OK;
}

static void scale_rows(basis *b)
{
    for (int64_t j = 0; j < b->k; j++) {
        b->length[j] = sqrt(vector_dot(b->n, b->q[j], b->q[j]));
        for (int64_t i = 0; i < b->n && b->length[j] > 0; i++)
            b->q[j][i] /= b->length[j];
    }
}

static void exchange(basis *b, int64_t i, int64_t j)
{
    double *q = b->q[i];
    const int64_t row = b->row[i];
    const double length = b->length[i];
    b->q[i] = b->q[j];
    b->q[j] = q;
    b->row[i] = b->row[j];
    b->row[j] = row;
    b->length[i] = b->length[j];
    b->length[j] = length;
    for (int64_t e = 0; e < b->rank; e++) {
        const double r = b->r[e * b->k + i];
        b->r[e * b->k + i] = b->r[e * b->k + j];
        b->r[e * b->k + j] = r;
    }
}

/* The vector with the most left comes next; the others lose their share of it, twice. */
static bool eliminate(basis *b)
{
    const int64_t at = b->rank;
    int64_t best = at;
    double most = -1;
    for (int64_t j = at; j < b->k; j++) {
        const double left = vector_dot(b->n, b->q[j], b->q[j]);
        if (left > most * (1 + 1e-12)) { /* of equal ones the first in the user's order */
            most = left;
            best = j;
        }
    }
    if (!(sqrt(most) > NOTHING))
        return false;
    exchange(b, at, best);
    const double length = sqrt(most);
    b->r[at * b->k + at] = length;
    for (int64_t i = 0; i < b->n; i++)
        b->q[at][i] /= length;
    b->rank++;
    for (int64_t j = at + 1; j < b->k; j++)
        for (int pass = 0; pass < 2; pass++) {
            const double share = vector_dot(b->n, b->q[at], b->q[j]);
            b->r[at * b->k + j] += share;
            for (int64_t i = 0; i < b->n; i++)
                b->q[j][i] -= share * b->q[at][i];
        }
    return true;
}

/* Dependent vector j: R factor = column j of r, solved backwards; factors of the rows as they were before scaling. */
static peri_status describe(diagnose_work *w, const basis *b, int64_t j, peri_dependent *out)
{
    double *factor = arena_array(w->work, (size_t)b->rank, sizeof *factor);
    if (factor == NULL)
        return FAIL_NOMEM(w->s->ctx);
    int64_t n = 0;
    for (int64_t i = b->rank - 1; i >= 0; i--) {
        double sum = b->r[i * b->k + j];
        for (int64_t e = i + 1; e < b->rank; e++)
            sum -= b->r[i * b->k + e] * factor[e];
        factor[i] = sum / b->r[i * b->k + i];
        n += fabs(factor[i]) > 1e-7;
    }
    peri_named *of = arena_array(w->keep, (size_t)n, sizeof *of);
    if (of == NULL)
        return FAIL_NOMEM(w->s->ctx);
    out->name = diagnose_row(w, b->row[j]);
    out->of = (peri_named_list){0, of};
    for (int64_t i = 0; i < b->rank && b->length[j] > 0; i++)
        if (fabs(factor[i]) > 1e-7)
            of[out->of.n++] = (peri_named){diagnose_row(w, b->row[i]), factor[i] * b->length[j] / b->length[i]};
    return PERI_OK;
}

peri_status diagnose_rank(diagnose_work *w)
{
    const nlp *p = w->p;
    basis b = {.n = p->n};
    if (!w->has_jac || !w->has_c)
        return PERI_OK;
    for (int64_t i = 0; i < p->m; i++)
        b.k += holds_point(w, i);
    if (b.k == 0)
        return PERI_OK;
    const double work = (double)b.k * (double)b.k * (double)b.n;
    if (b.k > DIAGNOSE_RANK_ROWS || work > DIAGNOSE_RANK_WORK) {
        diagnose_note(w, "dependent rows were not looked for: %lld active rows of %lld variables are too many", (long long)b.k,
                      (long long)b.n);
        return PERI_OK;
    }
    TRY(open_basis(w, &b));
    scale_rows(&b);
    while (b.rank < b.k && eliminate(&b))
        ;
    peri_dependent *list = arena_array(w->keep, (size_t)(b.k - b.rank), sizeof *list);
    if (list == NULL)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t j = b.rank; j < b.k; j++)
        TRY(describe(w, &b, j, &list[j - b.rank]));
    w->out->dependent = list;
    w->out->n_dependent = b.k - b.rank;
    return PERI_OK;
}
