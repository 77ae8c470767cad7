/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signed_fit.c - dense least squares in which some unknowns have a sign: the active-set method of Lawson and Hanson (Solving Least Squares
 * Problems, 1974, ch. 23), unknowns without a sign being in the passive set from the beginning. Each least-squares problem is solved by Householder
 * transformations with column pivoting (ch. 14 there); columns of length zero after the others are left out. Columns are scaled to length one.
 * Invariant: after each round q obeys its signs.
 */
#include "run/signed_fit.h"
#include <float.h>
#include <math.h>
#include <string.h>

typedef struct {
    signed_fit *f;
    double *scale;       /* [cols] 1 / length of the column, 0 where it is zero */
    unsigned char *in;   /* [cols] in the passive set */
    int64_t *order;      /* [cols] passive columns, as pivoted */
    double *a, *rhs, *y; /* [rows * cols], [rows], [cols] work */
    double *q;           /* [cols] in scaled unknowns */
} work;

static double length(int64_t n, const double *v)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += v[i] * v[i];
    return sqrt(s);
}

static void swap_columns(work *w, int64_t i, int64_t j)
{
    const int64_t n = w->f->rows, k = w->order[i];
    for (int64_t r = 0; i != j && r < n; r++) {
        const double t = w->a[i * n + r];
        w->a[i * n + r] = w->a[j * n + r];
        w->a[j * n + r] = t;
    }
    w->order[i] = w->order[j];
    w->order[j] = k;
}

/* v := v - 2 u (u'v) / u'u on entries from s on, u in column s */
static void reflect(const work *w, int64_t s, double beta, double *v)
{
    const int64_t n = w->f->rows;
    const double *u = w->a + s * n;
    double dot = 0;
    for (int64_t r = s; r < n; r++)
        dot += u[r] * v[r];
    for (int64_t r = s; r < n; r++)
        v[r] -= beta * dot * u[r];
}

/* One Householder step on column s of `cols`; false: nothing of the columns left is worth a step. */
static bool eliminate(work *w, int64_t s, int64_t cols, double *diagonal)
{
    const int64_t n = w->f->rows;
    int64_t best = s;
    double most = -1;
    for (int64_t j = s; j < cols; j++) {
        const double size = length(n - s, w->a + j * n + s);
        if (size > most) {
            most = size;
            best = j;
        }
    }
    if (!(most > 1e-12))
        return false;
    swap_columns(w, s, best);
    double *u = w->a + s * n;
    const double d = u[s] > 0 ? -most : most;
    u[s] -= d;
    const double beta = 2 / (length(n - s, u + s) * length(n - s, u + s));
    for (int64_t j = s + 1; j < cols; j++)
        reflect(w, s, beta, w->a + j * n);
    reflect(w, s, beta, w->rhs);
    *diagonal = d;
    return true;
}

/* y over the passive set; the diagonal of R is kept in place of the reflections' heads, which are done with. */
static void least_squares(work *w)
{
    const int64_t n = w->f->rows;
    int64_t cols = 0, rank = 0;
    for (int64_t j = 0; j < w->f->cols; j++) {
        w->y[j] = 0;
        if (!w->in[j] || !(w->scale[j] > 0))
            continue;
        for (int64_t r = 0; r < n; r++)
            w->a[cols * n + r] = w->f->b[j * n + r] * w->scale[j];
        w->order[cols++] = j;
    }
    memcpy(w->rhs, w->f->target, (size_t)n * sizeof *w->rhs);
    double diagonal;
    while (rank < cols && rank < n && eliminate(w, rank, cols, &diagonal)) {
        w->a[rank * n + rank] = diagonal;
        rank++;
    }
    for (int64_t s = rank - 1; s >= 0; s--) {
        double v = w->rhs[s];
        for (int64_t j = s + 1; j < rank; j++)
            v -= w->a[j * n + s] * w->y[w->order[j]];
        w->y[w->order[s]] = v / w->a[s * n + s];
    }
}

static void set_residual(const work *w)
{
    const signed_fit *f = w->f;
    memcpy(f->residual, f->target, (size_t)f->rows * sizeof *f->residual);
    for (int64_t j = 0; j < f->cols; j++)
        for (int64_t r = 0; r < f->rows; r++)
            f->residual[r] -= f->b[j * f->rows + r] * w->scale[j] * w->q[j];
}

/* The column outside that would shorten the residual most; -1: none does. */
static int64_t next_column(const work *w)
{
    const signed_fit *f = w->f;
    int64_t best = -1;
    double most = 1e-12 * (length(f->rows, f->target) + DBL_MIN);
    for (int64_t j = 0; j < f->cols; j++) {
        double slope = 0;
        for (int64_t r = 0; !w->in[j] && r < f->rows; r++)
            slope += f->b[j * f->rows + r] * w->scale[j] * f->residual[r];
        if (f->sign[j] * slope > most) {
            most = f->sign[j] * slope;
            best = j;
        }
    }
    return best;
}

/* From q towards y until a sign would change; ret whether y was reached. */
static bool advance(work *w)
{
    const signed_fit *f = w->f;
    double step = 1;
    int64_t hit = -1;
    for (int64_t j = 0; j < f->cols; j++) {
        const double from = f->sign[j] * w->q[j], to = f->sign[j] * w->y[j];
        if (!w->in[j] || f->sign[j] == 0 || to > 0)
            continue;
        const double t = from > to ? from / (from - to) : 0;
        if (hit < 0 || t < step) {
            step = t;
            hit = j;
        }
    }
    for (int64_t j = 0; j < f->cols; j++)
        w->q[j] += step * (w->y[j] - w->q[j]);
    if (hit < 0)
        return true;
    w->in[hit] = 0;
    w->q[hit] = 0;
    return false;
}

static void solve(work *w)
{
    signed_fit *f = w->f;
    least_squares(w);
    memcpy(w->q, w->y, (size_t)f->cols * sizeof *w->q);
    set_residual(w);
    for (int64_t round = 0; round < 3 * f->cols; round++) {
        const int64_t j = next_column(w);
        if (j < 0)
            break;
        w->in[j] = 1;
        least_squares(w);
        if (!(f->sign[j] * w->y[j] > 0)) { /* rounding: it would leave at once */
            w->in[j] = 0;
            break;
        }
        while (!advance(w))
            least_squares(w);
        set_residual(w);
    }
    for (int64_t j = 0; j < f->cols; j++)
        f->q[j] = w->scale[j] * w->q[j];
}

bool signed_fit_solve(mem *m, signed_fit *f)
{
    arena memory;
    arena_init(&memory, m);
    const size_t rows = (size_t)f->rows, cols = (size_t)f->cols;
    work w = {.f = f,
              .scale = arena_array(&memory, cols, sizeof(double)),
              .in = arena_array(&memory, cols, 1),
              .order = arena_array(&memory, cols, sizeof(int64_t)),
              .a = arena_array(&memory, rows * cols, sizeof(double)),
              .rhs = arena_array(&memory, rows, sizeof(double)),
              .y = arena_array(&memory, cols, sizeof(double)),
              .q = arena_array(&memory, cols, sizeof(double))};
    const bool ok = w.scale != NULL && w.in != NULL && w.order != NULL && w.a != NULL && w.rhs != NULL && w.y != NULL && w.q != NULL;
    for (int64_t j = 0; ok && j < f->cols; j++) {
        const double size = length(f->rows, f->b + j * f->rows);
        w.scale[j] = size > 0 && isfinite(size) ? 1 / size : 0;
        w.in[j] = f->sign[j] == 0;
    }
    if (ok)
        solve(&w);
    arena_release(&memory);
    return ok;
}
