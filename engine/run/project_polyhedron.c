/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project_polyhedron.c - min |x - v|^2 / 2 over lower <= A x <= upper, xl <= x <= xu, by its dual. For multipliers y of the rows the minimizer over
 * the bounds is x(y) = clip(v + A'y), and
 *   phi(y) = -|x(y) - v|^2 / 2 + (A'y)'x(y) - sum_i (y_i > 0 ? lower_i : upper_i) y_i
 * is to be minimized: piecewise quadratic, convex, with the gradient A x(y) - side where y_i is not 0. Newton steps on the pieces
 * (semismooth; Qi and Sun 1993), cut where a multiplier of an inequality would change its sign (Bertsekas 1982), with backtracking along
 * that path. Near a solution the pieces no longer change and one step ends; with equations alone and no bound met there is one piece, whose
 * factor is made once. Multipliers are kept, so that a projection of a near point starts on its piece. Bounds cost nothing but a comparison:
 * boxes, half-spaces and simplices are cases of this with one row. An empty set shows as a direction of y along which phi falls for ever
 * (Farkas), which is checked before it is believed.
 */
#include "run/project.h"
#include <float.h>
#include <math.h>
#include <string.h>

static const double LEAST_DELTA = 1e-11, MOST_DELTA = 1e-2; /* rows have length 1 */
static const double ACCEPTED = 1e-11; /* a residual that is good enough where it falls no further, relative to the points */
enum { MOST_STEPS = 300, MOST_HALVINGS = 60 };

/* ---- opening ------------------------------------------------------------------------------------------------------------------- */

/* A and the sides, rows divided by their lengths. */
static peri_status read_rows(projection_polyhedron *q, peri_run *run)
{
    projection_rows *a = &q->a;
    nlp *p = run->p;
    const int64_t nnz = a->pattern.nnz;
    double *zero = q->at, *c = q->r;
    TRY(nlp_jac(p, zero, a->value));
    TRY(nlp_c(p, zero, c));
    for (int64_t k = 0; k < nnz; k++)
        a->scale[a->pattern.index[k]] = hypot(a->scale[a->pattern.index[k]], a->value[k]);
    for (int64_t i = 0; i < a->m; i++) {
        a->scale[i] = a->scale[i] > 0 ? a->scale[i] : 1;
        a->lower[i] = (p->cl[i] - c[i]) / a->scale[i];
        a->upper[i] = (p->cu[i] - c[i]) / a->scale[i];
        c[i] = 0;
    }
    for (int64_t k = 0; k < nnz; k++)
        a->value[k] /= a->scale[a->pattern.index[k]];
    return PERI_OK;
}

static bool is_equation(const projection_rows *a, int64_t i)
{
    return a->lower[i] >= a->upper[i];
}

peri_status projection_polyhedron_open(projection_polyhedron *q, peri_run *run)
{
    arena *memory = &run->memory;
    nlp *p = run->p;
    projection_rows *a = &q->a;
    *a = (projection_rows){.n = p->n, .m = p->m, .xl = p->xl, .xu = p->xu};
    TRY(nlp_jac_pattern(p, &a->pattern));
    double **const of_rows[] = {&a->lower, &a->upper, &a->scale, &q->y, &q->trial, &q->d, &q->e, &q->e_trial, &q->r};
    for (size_t k = 0; k < PERI_COUNT(of_rows); k++)
        if ((*of_rows[k] = arena_array(memory, (size_t)a->m, sizeof(double))) == NULL)
            return FAIL_NOMEM(run->ctx);
    a->value = arena_array(memory, (size_t)a->pattern.nnz, sizeof(double));
    q->x = arena_array(memory, (size_t)a->n, sizeof(double));
    q->at = arena_array(memory, (size_t)a->n, sizeof(double));
    q->free = arena_array(memory, (size_t)a->n, 1);
    q->working = arena_array(memory, (size_t)a->m, 1);
    if (a->value == NULL || q->x == NULL || q->at == NULL || q->free == NULL || q->working == NULL)
        return FAIL_NOMEM(run->ctx);
    TRY(read_rows(q, run));
    TRY(projection_system_open(&q->system, run, a));
    q->delta = LEAST_DELTA;
    for (int64_t j = 0; j < a->n; j++)
        q->free[j] = a->xl[j] < a->xu[j];
    for (int64_t i = 0; i < a->m; i++)
        q->working[i] = is_equation(a, i);
    const peri_status status = projection_system_factor(&q->system, q->free, q->working, q->delta);
    return status == PERI_E_NUMERIC ? PERI_OK : status; /* told when it is needed */
}

/* ---- the dual function -------------------------------------------------------------------------------------------------------- */

/* at = A'y, x = clip(v + at), r = A x; ret phi */
static double evaluate(projection_polyhedron *q, const double *v, const double *y)
{
    const projection_rows *a = &q->a;
    const peri_pattern *p = &a->pattern;
    double phi = 0;
    memset(q->r, 0, (size_t)a->m * sizeof *q->r);
    for (int64_t j = 0; j < a->n; j++) {
        double sum = 0;
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++)
            sum += a->value[k] * y[p->index[k]];
        const double x = fmin(fmax(v[j] + sum, a->xl[j]), a->xu[j]), step = x - v[j];
        phi += (sum - 0.5 * step) * x + 0.5 * step * v[j];
        q->at[j] = sum;
        q->x[j] = x;
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++)
            q->r[p->index[k]] += a->value[k] * x;
    }
    for (int64_t i = 0; i < a->m; i++)
        phi -= y[i] > 0 ? y[i] * a->lower[i] : y[i] < 0 ? y[i] * a->upper[i] : 0;
    return phi;
}

/* e = -phi' of the piece that y is on, 0 where y = 0 and the row holds; ret the largest violation of the conditions of optimality */
static double residual(const projection_polyhedron *q, const double *y, double *e)
{
    const projection_rows *a = &q->a;
    double most = 0;
    for (int64_t i = 0; i < a->m; i++) {
        const double below = a->lower[i] - q->r[i], above = a->upper[i] - q->r[i];
        if (is_equation(a, i) || y[i] > 0)
            e[i] = below;
        else if (y[i] < 0)
            e[i] = above;
        else
            e[i] = below > 0 ? below : above < 0 ? above : 0;
        double size = fabs(e[i]);
        if (!is_equation(a, i) && y[i] > 0 && e[i] < 0) /* the row holds with room: y_i is what is wrong */
            size = fmin(size, fmax(y[i], -above));
        if (!is_equation(a, i) && y[i] < 0 && e[i] > 0)
            size = fmin(size, fmax(-y[i], below));
        most = size > most || isnan(size) ? size : most;
    }
    return most;
}

static double length(int64_t n, const double *v)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        sum += v[j] * v[j];
    return sqrt(sum);
}

/* trial = y + step d, an inequality's multiplier stopping at 0; ret the fall of phi that its slope foretells */
static double move(projection_polyhedron *q, double step)
{
    const projection_rows *a = &q->a;
    double fall = 0;
    for (int64_t i = 0; i < a->m; i++) {
        const double y = q->y[i], to = y + step * q->d[i];
        const bool up = y > 0 || (y >= 0 && q->e[i] > 0);
        q->trial[i] = is_equation(a, i) ? to : !q->working[i] ? y : up ? fmax(to, 0) : fmin(to, 0);
        fall += q->e[i] * (q->trial[i] - y);
    }
    return fall;
}

/* ---- steps --------------------------------------------------------------------------------------------------------------------- */

/*
 * Does the direction d prove that the set is empty? With w = d / |d|: sum of w_i side_i > the largest w'A x over the bounds. Entries of A'w
 * that are rounding count as 0.
 */
static bool proves_empty(projection_polyhedron *q)
{
    const projection_rows *a = &q->a;
    const peri_pattern *p = &a->pattern;
    double largest = 0, gap = 0, size = 0;
    for (int64_t i = 0; i < a->m; i++)
        if (q->working[i] && fabs(q->d[i]) > largest) {
            largest = fabs(q->d[i]);
            q->culprit = i;
        }
    if (!(largest > 1e5 * (1 + length(a->n, q->x))))
        return false;
    for (int64_t i = 0; i < a->m; i++) {
        const double w = q->d[i] / largest, side = w > 0 ? a->lower[i] : a->upper[i];
        if (fabs(w) <= 1e-9 && !isfinite(side))
            continue;
        gap += w * side;
        size += fabs(w * side);
    }
    for (int64_t j = 0; j < a->n; j++) {
        double c = 0, terms = 0;
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
            const double t = a->value[k] * q->d[p->index[k]] / largest;
            c += t;
            terms += fabs(t);
        }
        const double bound = c > 0 ? a->xu[j] : a->xl[j];
        if (fabs(c) <= 1e-9 * terms && !isfinite(bound))
            continue;
        gap -= c * bound;
        size += fabs(c * bound);
    }
    return gap > 1e-8 * (1 + size);
}

/* y := trial for the longest of the steps 1, 1/2, 1/4, ... that leads down; 0: none */
static double search(projection_polyhedron *q, const double *v, double phi, double worst)
{
    for (double step = 1; step > ldexp(1, -MOST_HALVINGS); step *= 0.5) {
        const double fall = move(q, step), value = evaluate(q, v, q->trial);
        const bool down = value <= phi - 1e-4 * fall && value < phi;
        if (down || residual(q, q->trial, q->e_trial) <= 0.9 * worst) {
            memcpy(q->y, q->trial, (size_t)q->a.m * sizeof *q->y);
            return step;
        }
    }
    return 0;
}

static void find_piece(projection_polyhedron *q, const double *v)
{
    const projection_rows *a = &q->a;
    for (int64_t j = 0; j < a->n; j++) {
        const double t = v[j] + q->at[j];
        q->free[j] = t > a->xl[j] && t < a->xu[j];
    }
    for (int64_t i = 0; i < a->m; i++)
        q->working[i] = is_equation(a, i) || fabs(q->y[i]) > 0 || fabs(q->e[i]) > 0;
}

/* d, with more regularisation where the factorisation fails */
static peri_status direction(projection_polyhedron *q, const double *v, bool *found)
{
    peri_context *ctx = q->system.run->ctx;
    const fail_record before = ctx->error;
    find_piece(q, v);
    for (*found = false; q->delta <= MOST_DELTA; q->delta *= 100) {
        peri_status status = projection_system_factor(&q->system, q->free, q->working, q->delta);
        if (status == PERI_OK)
            status = projection_system_solve(&q->system, q->e, q->d);
        *found = status == PERI_OK;
        if (status != PERI_E_NUMERIC)
            return status;
        ctx->error = before;
    }
    return PERI_OK;
}

static int done(projection_polyhedron *q, double *x)
{
    memcpy(x, q->x, (size_t)q->a.n * sizeof *x);
    return PROJECTION_FOUND;
}

static int lost(projection_polyhedron *q)
{
    memset(q->y, 0, (size_t)q->a.m * sizeof *q->y);
    return PROJECTION_LOST;
}

peri_status projection_polyhedron_apply(projection_polyhedron *q, const double *v, double *x, int *how)
{
    const projection_rows *a = &q->a;
    const double size_v = length(a->n, v);
    double before = INFINITY;
    bool found;
    for (int k = 0; k < MOST_STEPS; k++) {
        const double phi = evaluate(q, v, q->y), worst = residual(q, q->y, q->e), size = 1 + size_v + length(a->n, q->x);
        const bool accepted = worst <= ACCEPTED * size;
        if (worst <= 4 * DBL_EPSILON * size || (accepted && worst > 0.5 * before))
            return *how = done(q, x), PERI_OK;
        before = worst;
        TRY(direction(q, v, &found));
        if (!found)
            break;
        if (proves_empty(q)) {
            (void)lost(q);
            return *how = PROJECTION_EMPTY, PERI_OK;
        }
        const double step = search(q, v, phi, worst);
        if (!(step > 0) && accepted) {
            (void)evaluate(q, v, q->y);
            return *how = done(q, x), PERI_OK;
        }
        if (!(step > 0) && q->delta >= MOST_DELTA)
            break;
        q->delta = step > 0.1 ? fmax(q->delta * 0.1, LEAST_DELTA) : fmin(q->delta * 100, MOST_DELTA);
    }
    q->delta = LEAST_DELTA;
    return *how = lost(q), PERI_OK;
}
