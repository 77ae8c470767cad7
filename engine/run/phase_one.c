/* SPDX-License-Identifier: Apache-2.0 */
/*
 * phase_one.c - the first phase of the bounded simplex method: minimize the sum of the basic variables' infeasibilities over  A x - r = 0,
 * from the basis of the rows' variables r. Long steps (Maros 2003, chapter 9: breakpoints are passed while the sum still falls), Bland's
 * rule after a run of steps without progress. Rows and columns are scaled by powers of two. Invariant: what is answered was checked
 * against the system as it was given, so that drift of the inverse can cost an answer, never its truth.
 */
#include "run/phase_one.h"
#include "base/clock.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double INSIDE = 1e-8;   /* a scaled value counts as within its bounds, relative to 1 + |bound| */
static const double PRICE = 1e-9;    /* a reduced cost counts as zero */
static const double PIVOT = 1e-9;    /* an entry of the column counts as zero */
static const double EVIDENCE = 1e-9; /* least margin of a proof, relative to its terms */
enum { PATIENCE = 60, REFRESH = 50 };

typedef struct {
    double step, rate; /* where, and by how much the slope rises there */
    double bound;      /* that the basic variable reaches */
    int64_t row;       /* of the basis */
} breakpoint;

typedef struct {
    const phase_one_system *q;
    arena memory;
    int64_t m, n;
    double *row_scale, *col_scale;      /* [m], [n] */
    double *value;                      /* scaled entries of A */
    double *lower, *upper, *x;          /* [n + m] scaled */
    int64_t *basis, *place;             /* [m]; [n + m] row of the basis or -1 */
    double *inverse;                    /* [m x m] row-major: of the basis' matrix */
    double *cost, *y, *column, *rest;   /* [m] */
    breakpoint *breaks;                 /* [2 m + 1] */
    int64_t idle;                       /* steps since the sum last fell */
    double sum;                         /* of infeasibilities */
} simplex;

/* ---- set-up -------------------------------------------------------------------------------------------------------------- */

static bool allocate(simplex *s)
{
    arena *a = &s->memory;
    const size_t m = (size_t)s->m, n = (size_t)s->n;
    double **reals[] = {&s->cost, &s->y, &s->column, &s->rest, &s->row_scale};
    double **all[] = {&s->lower, &s->upper, &s->x};
    bool ok = true;
    for (size_t k = 0; k < sizeof reals / sizeof reals[0]; k++)
        ok = (*reals[k] = arena_array(a, m, sizeof(double))) != NULL && ok;
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        ok = (*all[k] = arena_array(a, n + m, sizeof(double))) != NULL && ok;
    s->col_scale = arena_array(a, n, sizeof(double));
    s->value = arena_array(a, (size_t)s->q->start[s->n], sizeof(double));
    s->basis = arena_array(a, m, sizeof *s->basis);
    s->place = arena_array(a, n + m, sizeof *s->place);
    s->inverse = arena_array(a, m * m, sizeof(double));
    s->breaks = arena_array(a, 2 * m + 1, sizeof *s->breaks);
    return ok && s->col_scale != NULL && s->value != NULL && s->basis != NULL && s->place != NULL && s->inverse != NULL &&
           s->breaks != NULL;
}

static double power_of_two(double x)
{
    int e;
    frexp(x, &e);
    return ldexp(1, e);
}

/* Factors 1 / sqrt(smallest largest) of each row, then of each column, three times. */
static void scale_once(simplex *s, bool rows, double *low, double *high)
{
    const phase_one_system *q = s->q;
    const int64_t count = rows ? s->m : s->n;
    double *scale = rows ? s->row_scale : s->col_scale;
    for (int64_t k = 0; k < count; k++) {
        low[k] = INFINITY;
        high[k] = 0;
    }
    for (int64_t j = 0; j < s->n; j++)
        for (int64_t e = q->start[j]; e < q->start[j + 1]; e++) {
            const double v = fabs(q->value[e]) * s->row_scale[q->index[e]] * s->col_scale[j];
            const int64_t k = rows ? q->index[e] : j;
            if (v > 0) {
                low[k] = fmin(low[k], v);
                high[k] = fmax(high[k], v);
            }
        }
    for (int64_t k = 0; k < count; k++)
        if (high[k] > 0)
            scale[k] = power_of_two(scale[k] / sqrt(low[k] * high[k]));
}

static void scale(simplex *s)
{
    const phase_one_system *q = s->q;
    for (int64_t i = 0; i < s->m; i++)
        s->row_scale[i] = 1;
    for (int64_t j = 0; j < s->n; j++)
        s->col_scale[j] = 1;
    for (int pass = 0; pass < 3; pass++) {
        scale_once(s, true, s->lower, s->upper); /* as scratch */
        scale_once(s, false, s->lower, s->upper);
    }
    for (int64_t j = 0; j < s->n; j++)
        for (int64_t e = q->start[j]; e < q->start[j + 1]; e++)
            s->value[e] = q->value[e] * s->row_scale[q->index[e]] * s->col_scale[j];
    for (int64_t k = 0; k < s->n + s->m; k++) { /* x = scale x', r' = scale r */
        const double factor = k < s->n ? 1 / s->col_scale[k] : s->row_scale[k - s->n];
        s->lower[k] = q->lower[k] * factor;
        s->upper[k] = q->upper[k] * factor;
    }
}

/* rest = A x - r */
static void evaluate_rest(simplex *s)
{
    const phase_one_system *q = s->q;
    for (int64_t i = 0; i < s->m; i++)
        s->rest[i] = -s->x[s->n + i];
    for (int64_t j = 0; j < s->n; j++)
        for (int64_t e = q->start[j]; e < q->start[j + 1] && s->x[j] != 0; e++)
            s->rest[q->index[e]] += s->value[e] * s->x[j];
}

static void begin(simplex *s)
{
    for (int64_t j = 0; j < s->n; j++) {
        s->x[j] = fmin(fmax(0, s->lower[j]), s->upper[j]);
        s->place[j] = -1;
    }
    for (int64_t i = 0; i < s->m; i++) {
        s->x[s->n + i] = 0;
        s->basis[i] = s->n + i;
        s->place[s->n + i] = i;
        s->inverse[i * s->m + i] = -1;
    }
    evaluate_rest(s);
    for (int64_t i = 0; i < s->m; i++)
        s->x[s->n + i] = s->rest[i];
}

/* ---- one step -------------------------------------------------------------------------------------------------------------- */

static double slack_of(double bound)
{
    return INSIDE * (1 + fabs(bound));
}

/* -1 below, 1 above, 0 within its bounds */
static int side_of(const simplex *s, int64_t k)
{
    if (s->x[k] < s->lower[k] - slack_of(s->lower[k]))
        return -1;
    return s->x[k] > s->upper[k] + slack_of(s->upper[k]);
}

/* The basic variables' costs, y = cost' inverse, and the sum of infeasibilities. False: there are none. */
static bool price(simplex *s)
{
    bool any = false;
    double sum = 0;
    memset(s->y, 0, (size_t)s->m * sizeof *s->y);
    for (int64_t p = 0; p < s->m; p++) {
        const int64_t k = s->basis[p];
        const int side = side_of(s, k);
        s->cost[p] = side;
        if (side == 0)
            continue;
        any = true;
        sum += side < 0 ? s->lower[k] - s->x[k] : s->x[k] - s->upper[k];
        for (int64_t i = 0; i < s->m; i++)
            s->y[i] += side * s->inverse[p * s->m + i];
    }
    s->idle = sum < s->sum * (1 - 1e-12) ? 0 : s->idle + 1;
    s->sum = sum;
    return any;
}

/* y'a_k for the column of variable k in [A  -I] */
static double product(const simplex *s, int64_t k)
{
    const phase_one_system *q = s->q;
    if (k >= s->n)
        return -s->y[k - s->n];
    double sum = 0;
    for (int64_t e = q->start[k]; e < q->start[k + 1]; e++)
        sum += s->value[e] * s->y[q->index[e]];
    return sum;
}

/* The variable to enter, and which way (+1, -1); -1: the sum is smallest. Its reduced cost is -y'a_k. */
static int64_t choose(const simplex *s, int *direction)
{
    int64_t best = -1;
    double most = PRICE;
    for (int64_t k = 0; k < s->n + s->m; k++) {
        if (s->place[k] >= 0 || !(s->lower[k] < s->upper[k]))
            continue;
        const double gain = product(s, k);
        const bool can = gain > 0 ? s->x[k] < s->upper[k] : s->x[k] > s->lower[k];
        if (!can || !(fabs(gain) > most))
            continue;
        best = k;
        *direction = gain > 0 ? 1 : -1;
        if (s->idle > PATIENCE)
            return k; /* Bland: the first */
        most = fabs(gain);
    }
    return best;
}

static void make_column(simplex *s, int64_t k)
{
    const phase_one_system *q = s->q;
    for (int64_t p = 0; p < s->m; p++) {
        const double *row = s->inverse + p * s->m;
        double sum = 0;
        if (k >= s->n)
            sum = -row[k - s->n];
        else
            for (int64_t e = q->start[k]; e < q->start[k + 1]; e++)
                sum += row[q->index[e]] * s->value[e];
        s->column[p] = sum;
    }
}

static int by_step(const void *a, const void *b)
{
    const double x = ((const breakpoint *)a)->step, y = ((const breakpoint *)b)->step;
    return (x > y) - (x < y);
}

static void add_break(simplex *s, int64_t *n, int64_t row, double distance, double rate, double bound)
{
    if (isfinite(bound))
        s->breaks[(*n)++] = (breakpoint){fmax(0, distance / rate), rate, bound, row};
}

/* Where basic variables reach bounds as the entering one moves by 1 in its direction. */
static int64_t find_breaks(simplex *s, int direction)
{
    int64_t n = 0;
    for (int64_t p = 0; p < s->m; p++) {
        const int64_t k = s->basis[p];
        const double rate = -direction * s->column[p], x = s->x[k];
        const int side = side_of(s, k);
        if (!(fabs(rate) > PIVOT))
            continue;
        if (rate > 0 && side < 0)
            add_break(s, &n, p, s->lower[k] - x, rate, s->lower[k]);
        if (rate > 0 && side <= 0)
            add_break(s, &n, p, s->upper[k] - x, rate, s->upper[k]);
        if (rate < 0 && side > 0)
            add_break(s, &n, p, x - s->upper[k], -rate, s->upper[k]);
        if (rate < 0 && side >= 0)
            add_break(s, &n, p, x - s->lower[k], -rate, s->lower[k]);
    }
    qsort(s->breaks, (size_t)n, sizeof *s->breaks, by_step);
    return n;
}

/* The breakpoint at which the sum stops falling, or an earlier one with a safer pivot; -1: none. */
static int64_t stop_at(const simplex *s, int64_t n, double slope)
{
    int64_t at = -1;
    double most = 0;
    for (int64_t k = 0; k < n && slope > 0; k++) {
        slope -= s->breaks[k].rate;
        most = fmax(most, s->breaks[k].rate);
        at = k;
    }
    while (at > 0 && s->breaks[at].rate < 1e-6 * most)
        at--;
    return at;
}

static void move(simplex *s, int64_t k, int direction, double step)
{
    s->x[k] += direction * step;
    for (int64_t p = 0; p < s->m; p++)
        s->x[s->basis[p]] -= direction * step * s->column[p];
}

/* Variable k takes row p of the basis. */
static void pivot(simplex *s, int64_t k, int64_t p)
{
    double *row = s->inverse + p * s->m;
    const double factor = 1 / s->column[p];
    for (int64_t i = 0; i < s->m; i++)
        row[i] *= factor;
    for (int64_t q = 0; q < s->m; q++) {
        const double c = s->column[q];
        double *other = s->inverse + q * s->m;
        if (q == p || c == 0)
            continue;
        for (int64_t i = 0; i < s->m; i++)
            other[i] -= c * row[i];
    }
    s->place[s->basis[p]] = -1;
    s->basis[p] = k;
    s->place[k] = p;
}

/* False: stuck. */
static bool step(simplex *s, int64_t k, int direction)
{
    make_column(s, k);
    const int64_t n = find_breaks(s, direction), at = stop_at(s, n, fabs(product(s, k)));
    const double flip = s->upper[k] - s->lower[k];
    if (isfinite(flip) && (at < 0 || flip <= s->breaks[at].step)) {
        move(s, k, direction, flip);
        s->x[k] = direction > 0 ? s->upper[k] : s->lower[k];
        return true;
    }
    if (at < 0)
        return false;
    const breakpoint b = s->breaks[at];
    move(s, k, direction, b.step);
    s->x[s->basis[b.row]] = b.bound;
    pivot(s, k, b.row);
    return true;
}

/* Takes the drift of the basic variables out: x_B -= inverse (A x - r). */
static void refresh(simplex *s)
{
    evaluate_rest(s);
    for (int64_t p = 0; p < s->m; p++) {
        double sum = 0;
        for (int64_t i = 0; i < s->m; i++)
            sum += s->inverse[p * s->m + i] * s->rest[i];
        s->x[s->basis[p]] -= sum;
    }
}

/* ---- evidence ------------------------------------------------------------------------------------------------------------------ */

/* r = A x anew, in the system's own numbers. */
static bool is_point(simplex *s)
{
    const phase_one_system *q = s->q;
    memset(s->rest, 0, (size_t)s->m * sizeof *s->rest);
    double *size = s->column;
    memset(size, 0, (size_t)s->m * sizeof *size);
    for (int64_t j = 0; j < s->n; j++) {
        const double x = s->x[j] * s->col_scale[j], slack = 1e-7 * (1 + fabs(x));
        if (x < q->lower[j] - slack || x > q->upper[j] + slack)
            return false;
        for (int64_t e = q->start[j]; e < q->start[j + 1]; e++) {
            s->rest[q->index[e]] += q->value[e] * x;
            size[q->index[e]] += fabs(q->value[e] * x);
        }
    }
    for (int64_t i = 0; i < s->m; i++) {
        const double slack = 1e-7 * (1 + size[i]);
        if (s->rest[i] < q->lower[s->n + i] - slack || s->rest[i] > q->upper[s->n + i] + slack)
            return false;
    }
    return true;
}

/* From y of the last pricing, with products anew; entries that are rounding are left out where their side is infinite. */
static bool is_proof(simplex *s, double *proof)
{
    const phase_one_system *q = s->q;
    double most = 0, sum = 0, terms = 0;
    for (int64_t i = 0; i < s->m; i++)
        most = fmax(most, fabs(s->y[i]));
    for (int64_t k = 0; k < s->n + s->m; k++) {
        double v = k < s->n ? 0 : -s->y[k - s->n] * s->row_scale[k - s->n];
        double size = fabs(v);
        for (int64_t e = k < s->n ? q->start[k] : 0; k < s->n && e < q->start[k + 1]; e++) {
            const double t = q->value[e] * s->y[q->index[e]] * s->row_scale[q->index[e]];
            v += t;
            size += fabs(t);
        }
        const double side = v > 0 ? q->upper[k] : q->lower[k];
        proof[k] = fabs(v) <= 1e-9 * size || size <= 1e-13 * most ? 0 : v;
        if (proof[k] == 0)
            continue;
        if (isinf(side))
            return false;
        sum += v * side;
        terms += fabs(v * side);
    }
    return sum < -EVIDENCE * terms;
}

static void run(simplex *s, double deadline, phase_one_answer *answer, double *proof)
{
    const int64_t limit = 20 * (s->m + s->n) + 1000;
    int direction = 1;
    begin(s);
    s->sum = INFINITY;
    *answer = PHASE_ONE_UNDECIDED;
    for (int64_t k = 1; k <= limit; k++) {
        if (k % REFRESH == 0)
            refresh(s);
        if (!price(s)) {
            *answer = is_point(s) ? PHASE_ONE_FEASIBLE : PHASE_ONE_UNDECIDED;
            return;
        }
        const int64_t entering = choose(s, &direction);
        if (entering < 0) {
            *answer = is_proof(s, proof) ? PHASE_ONE_INFEASIBLE : PHASE_ONE_UNDECIDED;
            return;
        }
        if (!step(s, entering, direction) || (k % 16 == 0 && clock_seconds() > deadline))
            return;
    }
}

peri_status phase_one(peri_context *ctx, const phase_one_system *system, double deadline, phase_one_answer *answer, double *proof)
{
    simplex s = {.q = system, .m = system->m, .n = system->n};
    arena_init(&s.memory, &ctx->mem);
    const bool ok = allocate(&s);
    if (ok) {
        scale(&s);
        run(&s, deadline, answer, proof);
    }
    arena_release(&s.memory);
    return ok ? PERI_OK : FAIL_NOMEM(ctx);
}
