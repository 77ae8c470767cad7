/* SPDX-License-Identifier: Apache-2.0 */
/*
 * newton.c - Newton's method with a factorised sparse Hessian for smooth problems with bounds. Variables near a bound to which the gradient pushes
 * them are held (two-metric projection); on the others (H + delta I) d = -g, with delta the least of a growing series that makes the matrix
 * positive definite; then a search along the projection of x + t d. Invariant: x lies within its bounds, f and g belong to it.
 * Sources: Bertsekas 1982, SIAM J. Control Optim. 20:221; Nocedal and Wright 2006, algorithm 3.3 and section 3.4; the series of Waechter and
 * Biegler 2006, section 3.1.
 */
#include "local.h"

#include <float.h>
#include <stdio.h>

typedef struct {
    double regularization, decrease;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("regularization", options, regularization, 1e-4, 1e-16, 1e16, "1",
              "first multiple of the identity added to a Hessian that is not positive definite, relative to its largest entry"),
    PERI_REAL("decrease", options, decrease, 1e-4, 1e-12, 0.4, "1", "share of the predicted decrease that a step must bring (Armijo)"),
};

typedef struct {
    options opt;
    local_box box;
    double *x, *g, *x_trial, *g_trial, *d; /* [n] */
    unsigned char *held;                   /* [n] not moved by the Newton step: steepest descent takes it to its bound */
    peri_pattern pattern;                  /* of the Hessian */
    peri_pattern whole;                    /* with every diagonal entry */
    int64_t *place;                        /* [nnz of pattern] where its values go in `whole` */
    double *hess, *val;                    /* values of the two */
    peri_factor *factor;
    double f, f_trial, residual, delta, last_delta, step_size;
    local_progress progress;
} state;

static const double DELTA_MOST = 1e40, GROW_FIRST = 100, GROW = 8, SHRINK = 1.0 / 3;
static const double RUNAWAY = -1e100;
enum { HALVINGS_MOST = 60 };

/* ---- start ----------------------------------------------------------------------------------------------------------- */

/* The Hessian's pattern with its diagonal complete, as linear solvers want it. */
static peri_status complete_pattern(state *s, peri_run *run)
{
    const peri_pattern *p = &s->pattern;
    const int64_t n = p->cols;
    int64_t *start, *index, count = 0;
    TRY(peri_alloc_index(run, n + 1, &start));
    TRY(peri_alloc_index(run, p->nnz + n, &index));
    TRY(peri_alloc_index(run, p->nnz, &s->place));
    for (int64_t j = 0; j < n; j++) {
        start[j] = count;
        index[count++] = j;
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
            s->place[k] = p->index[k] == j ? start[j] : count;
            if (p->index[k] != j)
                index[count++] = p->index[k];
        }
    }
    start[n] = count;
    s->whole = (peri_pattern){n, n, count, start, index};
    TRY(peri_alloc(run, p->nnz, &s->hess));
    return peri_alloc(run, count, &s->val);
}

static peri_status tell(state *s, peri_run *run, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.primal = 0;
    row.dual = s->residual;
    row.step = s->step_size;
    row.regularization = s->delta;
    row.tag = tag;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    s->opt = *(const options *)opt;
    s->box = local_box_of(run);
    double **const vectors[] = {&s->x, &s->g, &s->x_trial, &s->g_trial, &s->d};
    for (size_t k = 0; k < PERI_COUNT(vectors); k++)
        TRY(peri_alloc(run, s->box.n, vectors[k]));
    s->held = peri_alloc_bytes(run, (size_t)s->box.n, 1);
    if (s->held == NULL)
        return PERI_E_NOMEM;
    TRY(peri_hess_pattern(run, &s->pattern));
    TRY(complete_pattern(s, run));
    TRY(peri_factor_open(run, NULL, &s->whole, PERI_FLAG_DEFINITE, &s->factor));
    TRY(peri_start(run, s->x));
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    s->residual = local_residual(&s->box, s->x, s->g);
    s->progress = (local_progress){s->f, s->residual, 0};
    s->step_size = NAN;
    return tell(s, run, 0, &next);
}

/* ---- the direction ------------------------------------------------------------------------------------------------------ */

/* Bertsekas 1982: within epsilon of a bound that the gradient pushes to; epsilon shrinks with the distance to the projected point. */
static void hold(state *s)
{
    double distance = 0;
    for (int64_t i = 0; i < s->box.n; i++) {
        const double change = s->x[i] - local_clamp(&s->box, i, s->x[i] - s->g[i]);
        distance += change * change;
    }
    const double epsilon = fmin(1e-3, sqrt(distance));
    for (int64_t i = 0; i < s->box.n; i++)
        s->held[i] = s->box.lower[i] >= s->box.upper[i] || (s->g[i] > 0 && s->x[i] - s->box.lower[i] <= epsilon) ||
                     (s->g[i] < 0 && s->box.upper[i] - s->x[i] <= epsilon);
}

/* H with held rows and columns replaced by the identity's; ret its largest entry. */
static double place_values(state *s)
{
    double most = 0;
    memset(s->val, 0, (size_t)s->whole.nnz * sizeof *s->val);
    for (int64_t j = 0; j < s->box.n; j++)
        for (int64_t k = s->pattern.start[j]; k < s->pattern.start[j + 1]; k++)
            if (!s->held[j] && !s->held[s->pattern.index[k]]) {
                s->val[s->place[k]] = s->hess[k];
                most = fmax(most, fabs(s->hess[k]));
            }
    for (int64_t j = 0; j < s->box.n; j++)
        if (s->held[j])
            s->val[s->whole.start[j]] = 1;
    return most;
}

static void add_to_diagonal(state *s, double delta)
{
    for (int64_t j = 0; j < s->box.n; j++)
        if (!s->held[j])
            s->val[s->whole.start[j]] += delta;
}

static bool is_definite(peri_status status, const peri_inertia *inertia, int64_t n)
{
    return status == PERI_OK && (inertia->negative < 0 || inertia->positive == n);
}

/* A factorisation of H + delta I that is positive definite; delta 0 where H is. */
static peri_status factorise(state *s, peri_run *run)
{
    const double largest = place_values(s), size = largest > 0 ? largest : 1; /* of a linear function it is zero */
    double added = 0;
    s->delta = 0;
    for (;;) {
        peri_inertia inertia;
        const peri_status status = peri_factor_values(s->factor, s->val, &inertia);
        if (status != PERI_OK && status != PERI_E_NUMERIC)
            return status;
        if (is_definite(status, &inertia, s->box.n))
            break;
        if (s->delta > 0)
            s->delta *= s->last_delta > 0 ? GROW : GROW_FIRST;
        else
            s->delta = fmax(s->last_delta > 0 ? fmax(SHRINK * s->last_delta, 1e-20 * size) : s->opt.regularization * size, DBL_MIN);
        if (!(s->delta < DELTA_MOST) || peri_should_stop(run))
            return PERI_E_NUMERIC;
        add_to_diagonal(s, s->delta - added);
        added = s->delta;
    }
    if (s->delta > 0)
        s->last_delta = s->delta;
    return PERI_OK;
}

/* d: Newton's on the free variables, -g on the held ones. A solver that cannot tell the inertia may give an ascent: then -g on all. */
static peri_status find_direction(state *s, peri_run *run, char *tag)
{
    const int64_t n = s->box.n;
    hold(s);
    TRY(peri_eval_hess(run, s->x, 1, NULL, s->hess));
    peri_status status = factorise(s, run);
    *tag = s->delta > 0 ? 'r' : 0;
    for (int64_t i = 0; i < n; i++)
        s->d[i] = s->held[i] ? 0 : -s->g[i];
    if (status == PERI_OK)
        status = peri_factor_solve(s->factor, s->d);
    if (status != PERI_OK && status != PERI_E_NUMERIC)
        return status;
    double slope = 0, size = 0;
    for (int64_t i = 0; i < n; i++)
        if (!s->held[i]) {
            slope += s->g[i] * s->d[i];
            size += s->g[i] * s->g[i];
        }
    const bool good = status == PERI_OK && (slope < 0 || size == 0);
    if (!good)
        *tag = 'g';
    for (int64_t i = 0; i < n; i++)
        if (s->held[i] || !good)
            s->d[i] = -s->g[i];
    return PERI_OK;
}

/* ---- the search ------------------------------------------------------------------------------------------------------------ */

typedef enum { SEARCH_FOUND, SEARCH_STALLED, SEARCH_STOPPED } search_end;

/* x_trial = P(x + t d); the decrease the slope promises: t |g'd| of free variables, the way of held ones (Bertsekas 1982, (12)). */
static double move_to(state *s, double t)
{
    double promise = 0;
    for (int64_t i = 0; i < s->box.n; i++) {
        s->x_trial[i] = local_clamp(&s->box, i, s->x[i] + t * s->d[i]);
        promise -= s->held[i] ? s->g[i] * (s->x_trial[i] - s->x[i]) : t * s->g[i] * s->d[i];
    }
    return promise;
}

/* Near the end the objective no longer tells points apart: a smaller residual then counts. */
static bool is_better(state *s, double promise)
{
    const double noise = 10 * DBL_EPSILON * fmax(fabs(s->f), fabs(s->f_trial));
    if (s->f - s->f_trial >= s->opt.decrease * promise && s->f_trial <= s->f)
        return true;
    return promise <= 100 * noise && s->f_trial <= s->f + noise && local_residual(&s->box, s->x_trial, s->g_trial) < s->residual;
}

static peri_status search(state *s, peri_run *run, char *tag, search_end *end)
{
    double t = 1;
    *end = SEARCH_STALLED;
    for (int k = 0; k < HALVINGS_MOST; k++) {
        if (peri_should_stop(run)) {
            *end = SEARCH_STOPPED;
            return PERI_OK;
        }
        const double promise = move_to(s, t);
        const peri_status status = peri_eval_fg(run, s->x_trial, &s->f_trial, s->g_trial);
        if (status != PERI_OK && status != PERI_E_DOMAIN)
            return status;
        if (status == PERI_OK && is_better(s, promise)) {
            s->step_size = t;
            *end = SEARCH_FOUND;
            return PERI_OK;
        }
        if (status == PERI_E_DOMAIN)
            *tag = 'u';
        const double curve = s->f_trial - s->f + promise; /* the parabola's minimum, kept within a tenth and a half */
        const double next = status == PERI_OK && curve > 0 ? 0.5 * promise / curve : 0.1;
        t *= fmin(0.5, fmax(0.1, next));
    }
    return PERI_OK;
}

static void take(state *s)
{
    double *const x = s->x, *const g = s->g;
    s->x = s->x_trial;
    s->x_trial = x;
    s->g = s->g_trial;
    s->g_trial = g;
    s->f = s->f_trial;
    s->residual = local_residual(&s->box, s->x, s->g);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    search_end end;
    char tag;
    const double tolerance = peri_get_limits(run)->tolerance;
    if (s->residual <= tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    TRY(find_direction(s, run, &tag));
    TRY(search(s, run, &tag, &end));
    if (end == SEARCH_STOPPED)
        return PERI_OK;
    if (end == SEARCH_STALLED)
        return peri_finish(run, PERI_WHY_STALLED, next);
    take(s);
    TRY(tell(s, run, tag, next));
    if (s->residual <= tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    if (s->f < RUNAWAY)
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    return local_progresses(&s->progress, s->f, s->residual) ? PERI_OK : peri_finish(run, PERI_WHY_STALLED, next);
}

/* ---- the table ------------------------------------------------------------------------------------------------------------------ */

static const char PAGE[] =
    "Newton's method for smooth problems without constraints other than bounds, with the sparse Hessian factorised by a linear solver. Where the\n"
    "Hessian is not positive definite, the least of a growing series of multiples of the identity that makes it so is added. Variables near a\n"
    "bound to which the gradient pushes them go there; the others take Newton's step; a backtracking search follows the projection of the two.\n"
    "\n"
    "Few iterations where the Hessian is sparse and second derivatives are cheap; trust-ncg handles negative curvature better, and large\n"
    "Hessians that fill in. Tags: r the Hessian was regularised, g a gradient step, u the function was undefined on the way. Columns: step is\n"
    "the share of the full step, regularization what was added.";

/* Everything that the next step needs, to and from a checkpoint. */
static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    PERI_TRANSFER_REALS(run, s, x, s->box.n);
    PERI_TRANSFER_REALS(run, s, g, s->box.n);
    PERI_TRANSFER_REALS(run, s, d, s->box.n);
    PERI_TRANSFER(run, s, f);
    PERI_TRANSFER(run, s, f_trial);
    PERI_TRANSFER(run, s, residual);
    PERI_TRANSFER(run, s, delta);
    PERI_TRANSFER(run, s, last_delta);
    PERI_TRANSFER(run, s, step_size);
    PERI_TRANSFER(run, s, progress);
    return PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const peri_plugin NEWTON = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "newton",
    .family = "local",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "Newton's method with a regularised sparse Hessian, bounds and a line search",
    .page = PAGE,
    .reference = "Bertsekas 1982, SIAM J. Control Optim. 20:221; Nocedal and Wright 2006, Numerical Optimization, 2nd ed.",
    .needs = {PERI_NEEDS_GRADIENT | PERI_NEEDS_SPARSE_HESSIAN | PERI_NEEDS_HESSIAN},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 30,
};

static const peri_plugin *const ALL[] = {&NEWTON, NULL};
PERI_PLUGIN(ALL)
