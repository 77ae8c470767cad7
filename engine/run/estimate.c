/* SPDX-License-Identifier: Apache-2.0 */
/*
 * estimate.c - multipliers for points that came without: the bounds' share of the Lagrangian's gradient, and for
 * constraint rows a least-squares fit over those that are on a side (conjugate gradients on the normal equations:
 * Hestenes and Stiefel 1952; Bjorck, Numerical Methods for Least Squares Problems, 1996, sec. 7.4), with rows scaled to
 * length one. Rows whose multiplier comes out with the wrong sign are dropped and the fit repeated.
 */
#include "base/vector.h"
#include "run/internal.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* A side counts as active up to this distance, relative to its size; the certificate prices what is left as
 * complementarity. */
static const double ACTIVE = 1e-5;

enum { ROUNDS = 20, LEAST_ITERATIONS = 50 };

/* Entries of the Jacobian that all rounds may visit, about a second: a large problem of bad condition gets the estimate it has by then. */
static const int64_t WORK = 300000000;

/* ---- bounds
 * -------------------------------------------------------------------------------------------------------------------
 */

void estimate_bounds(const nlp *p, const double *x, double *residual, double *z)
{
    for (int64_t j = 0; j < p->n; j++) {
        const double r = residual[j];
        const double distance = p->xl[j] >= p->xu[j] ? 0 : r > 0 ? fabs(x[j] - p->xl[j]) : fabs(p->xu[j] - x[j]);
        const bool taken = distance < 1; /* |r| * distance as complementarity is then less than |r| as dual residual */
        z[j] = taken ? r : 0;
        residual[j] = taken ? 0 : r;
    }
}

/* ---- rows
 * --------------------------------------------------------------------------------------------------------------------------
 */

static bool is_on(double value, double side, double active)
{
    return isfinite(side) && fabs(value - side) <= active * (1 + fabs(side));
}

/* 1: the lower side, -1: the upper, 0: both or equal (any sign), 2: on neither */
static int side_of(const estimate_fit *f, int64_t i)
{
    const double active = f->active > 0 ? f->active : ACTIVE;
    const bool lower = is_on(f->c[i], f->p->cl[i], active), upper = is_on(f->c[i], f->p->cu[i], active);
    return lower && upper ? 0 : lower ? 1 : upper ? -1 : 2;
}

/* Variables on a bound take up any residual of the right sign: they are left out of the fit. */
static bool is_free(const nlp *p, const double *x, int64_t j)
{
    return p->xl[j] < p->xu[j] && !is_on(x[j], p->xl[j], ACTIVE) && !is_on(x[j], p->xu[j], ACTIVE);
}

typedef struct {
    estimate_fit *f;
    double *length;              /* [m] of a row over the free variables, 0: not in the fit */
    double *u, *gradient, *step; /* [m] */
    double *r, *q;               /* [n] */
    unsigned char *is_free;      /* [n] */
    int64_t work;                /* left of WORK */
} fit;

/* v = J' D u on the free variables, D = 1 / length */
static void times_rows(const fit *t, const double *u, double *v)
{
    const peri_pattern *a = &t->f->pattern;
    for (int64_t j = 0; j < a->cols; j++) {
        v[j] = 0;
        for (int64_t k = a->start[j]; t->is_free[j] && k < a->start[j + 1]; k++)
            if (t->length[a->index[k]] > 0)
                v[j] += t->f->jac[k] * u[a->index[k]] / t->length[a->index[k]];
    }
}

/* u = D J v */
static void times_columns(const fit *t, const double *v, double *u)
{
    const peri_pattern *a = &t->f->pattern;
    memset(u, 0, (size_t)a->rows * sizeof *u);
    for (int64_t j = 0; j < a->cols; j++)
        for (int64_t k = a->start[j]; t->is_free[j] && k < a->start[j + 1]; k++)
            if (t->length[a->index[k]] > 0)
                u[a->index[k]] += t->f->jac[k] * v[j] / t->length[a->index[k]];
}

/* Lengths of the rows in the fit; ret their number. */
static int64_t set_lengths(const fit *t)
{
    const peri_pattern *a = &t->f->pattern;
    int64_t count = 0;
    memset(t->length, 0, (size_t)a->rows * sizeof *t->length);
    for (int64_t j = 0; j < a->cols; j++)
        for (int64_t k = a->start[j]; t->is_free[j] && k < a->start[j + 1]; k++)
            if (t->f->row[a->index[k]])
                t->length[a->index[k]] += t->f->jac[k] * t->f->jac[k];
    for (int64_t i = 0; i < a->rows; i++) {
        t->length[i] = sqrt(t->length[i]);
        count += t->length[i] > 0;
    }
    return count;
}

/* minimize | g - J' D u | over the rows in the fit; y = D u */
static void least_squares(fit *t, int64_t rows)
{
    const int64_t n = t->f->pattern.cols, m = t->f->pattern.rows, cost = 2 * t->f->pattern.start[n] + n + m;
    const int64_t most = 4 * rows + LEAST_ITERATIONS;
    memset(t->u, 0, (size_t)m * sizeof *t->u);
    for (int64_t j = 0; j < n; j++)
        t->r[j] = t->is_free[j] ? t->f->residual[j] : 0;
    times_columns(t, t->r, t->gradient);
    memcpy(t->step, t->gradient, (size_t)m * sizeof *t->step);
    double now = vector_dot(m, t->gradient, t->gradient);
    /* below it is rounding of r, of which further steps would only make noise */
    const double small = fmax(now, vector_dot(n, t->r, t->r)) * DBL_EPSILON * DBL_EPSILON * 16;
    for (int64_t k = 0; k < most && (k < LEAST_ITERATIONS || t->work > 0) && now > small && now > 0; k++) {
        t->work -= cost;
        times_rows(t, t->step, t->q);
        const double length = vector_dot(n, t->q, t->q);
        if (!(length > 0))
            break;
        const double alpha = now / length;
        for (int64_t i = 0; i < m; i++)
            t->u[i] += alpha * t->step[i];
        for (int64_t j = 0; j < n; j++)
            t->r[j] -= alpha * t->q[j];
        times_columns(t, t->r, t->gradient);
        const double next = vector_dot(m, t->gradient, t->gradient);
        for (int64_t i = 0; i < m; i++)
            t->step[i] = t->gradient[i] + next / now * t->step[i];
        now = next;
    }
    for (int64_t i = 0; i < m; i++)
        if (t->length[i] > 0)
            t->f->y[i] = t->u[i] / t->length[i];
}

/* Rows with a multiplier of the wrong sign leave the fit; ret whether there were any. */
static bool drop_wrong(const fit *t)
{
    const nlp *p = t->f->p;
    double most = 0;
    bool any = false;
    for (int64_t i = 0; i < p->m; i++)
        if (t->length[i] > 0)
            most = fmax(most, fabs(t->f->y[i]));
    for (int64_t i = 0; i < p->m; i++) {
        const int side = side_of(t->f, i);
        if (!(t->length[i] > 0) || side == 0 || t->f->y[i] * side >= 0)
            continue;
        any = any || t->f->y[i] * side < -1e-12 * most;
        t->f->row[i] = 0;
        t->f->y[i] = 0;
    }
    return any;
}

static void subtract_rows(const estimate_fit *f)
{
    const peri_pattern *a = &f->pattern;
    for (int64_t j = 0; j < a->cols; j++)
        for (int64_t k = a->start[j]; k < a->start[j + 1]; k++)
            f->residual[j] -= f->jac[k] * f->y[a->index[k]];
}

static bool fit_allocate(fit *t, arena *memory)
{
    const size_t n = (size_t)t->f->pattern.cols, m = (size_t)t->f->pattern.rows;
    t->length = arena_array(memory, m, sizeof(double));
    t->u = arena_array(memory, m, sizeof(double));
    t->gradient = arena_array(memory, m, sizeof(double));
    t->step = arena_array(memory, m, sizeof(double));
    t->r = arena_array(memory, n, sizeof(double));
    t->q = arena_array(memory, n, sizeof(double));
    t->is_free = arena_array(memory, n, 1);
    return t->length != NULL && t->u != NULL && t->gradient != NULL && t->step != NULL && t->r != NULL &&
           t->q != NULL && t->is_free != NULL;
}

peri_status estimate_rows(estimate_fit *f)
{
    fit t = {.f = f, .work = WORK};
    arena memory;
    arena_init(&memory, &f->p->ctx->mem);
    if (!fit_allocate(&t, &memory)) {
        arena_release(&memory);
        return FAIL_NOMEM(f->p->ctx);
    }
    for (int64_t j = 0; j < f->p->n; j++)
        t.is_free[j] = is_free(f->p, f->x, j);
    for (int64_t i = 0; i < f->p->m; i++)
        f->row[i] = f->row[i] && side_of(f, i) != 2;
    for (int k = 0; k < ROUNDS; k++) {
        const int64_t rows = set_lengths(&t);
        if (rows > 0)
            least_squares(&t, rows);
        if (rows == 0 || !drop_wrong(&t))
            break;
    }
    arena_release(&memory);
    subtract_rows(f);
    estimate_bounds(f->p, f->x, f->residual, f->z);
    return PERI_OK;
}
