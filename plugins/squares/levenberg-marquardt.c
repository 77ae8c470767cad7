/* SPDX-License-Identifier: Apache-2.0 */
/*
 * levenberg-marquardt.c - the Gauss-Newton step damped in the scale of the Jacobian's columns,
 *     minimize |r + J s|^2 + mu |D s|^2,   D_j = the largest |J_j| met so far,
 * for f = |r|^2 with bounds. A dense Jacobian is factorised once by QR, the damping being added to its triangle for each mu; a sparse one by
 * normal equations in a linear solver, or by a sparse QR. Variables on a bound to which the gradient pushes them are left out of the step, which
 * is then projected. Invariant: x lies within its bounds; r, jac, g = J'r and f belong to x.
 * Sources: More 1978 (scaling, QR); Nielsen 1999, IMM-REP-1999-05 (damping); Kanzow, Yamashita and Fukushima 2004 (projection).
 */
#include "squares.h"

#include <float.h>

enum { LINEAR_AUTO, LINEAR_DENSE_QR, LINEAR_SPARSE_QR, LINEAR_NORMAL };
static const char *const LINEAR[] = {"auto", "dense_qr", "sparse_qr", "normal", NULL};

typedef struct {
    double damping, step, cosine;
    int32_t linear;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("damping", options, damping, 1e-4, 1e-16, 1e16, "1", "first mu, relative to the squared column norms"),
    PERI_REAL("step", options, step, 1e-10, 0, 1, "1", "length of a step, relative to x, that counts as the end"),
    PERI_REAL("cosine", options, cosine, 1e-10, 0, 1, "1", "largest cosine between the residuals and a column that counts as orthogonal"),
    PERI_ENUM("linear", options, linear, LINEAR_AUTO, LINEAR,
              "normal: the normal equations, sparse, in the option linear_solver's solver; sparse_qr: by spqr; auto: dense_qr where J is small, else normal"),
};

typedef struct {
    options opt;
    int64_t n, m;
    const double *lower, *upper;
    double *x, *x_trial, *r, *r_trial, *g, *s, *scale, *norm; /* [n]; r, r_trial [m] */
    double *js;                                               /* [m] J s */
    unsigned char *fixed;                                     /* [n] left out of this step */
    double *jac;
    peri_pattern pattern; /* of jac, m x n */
    squares_dense *dense; /* one of the two */
    squares_sparse *sparse;
    double f, f_trial, offset; /* r'r, at the trial, what f has beside it */
    double mu, grow, residual, relative_step;
    int64_t idle, failures; /* steps without decrease; in noise, without a smaller cosine */
    double best_cosine, *x_best; /* in noise */
    bool in_noise; /* the last trial's decrease is below the rounding of f */
} state;

static const double ACCEPT = 1e-4, MU_MOST = 1e30, MU_LEAST = 1e-20;
enum { FAILURES_MOST = 5 };

/* ---- start -------------------------------------------------------------------------------------------------------- */

/* QR of a dense copy costs about m n^2: taken up to a size at which that is a moment. */
static bool fits_dense(const state *s)
{
    return s->n <= 500 && (double)s->m * (double)s->n <= 4e6;
}

static peri_status open_linear(state *s, peri_run *run)
{
    const bool dense = s->opt.linear == LINEAR_DENSE_QR || (s->opt.linear == LINEAR_AUTO && fits_dense(s));
    return dense ? squares_dense_open(run, &s->pattern, &s->dense)
                 : squares_sparse_open(run, &s->pattern, s->opt.linear == LINEAR_SPARSE_QR, &s->sparse);
}

static peri_status allocate(state *s, peri_run *run)
{
    double **const by_n[] = {&s->x, &s->x_best, &s->x_trial, &s->g, &s->s, &s->scale, &s->norm};
    double **const by_m[] = {&s->r, &s->r_trial, &s->js};
    for (size_t k = 0; k < PERI_COUNT(by_n); k++)
        TRY(peri_alloc(run, s->n, by_n[k]));
    for (size_t k = 0; k < PERI_COUNT(by_m); k++)
        TRY(peri_alloc(run, s->m, by_m[k]));
    TRY(peri_alloc(run, s->pattern.nnz, &s->jac));
    s->fixed = peri_alloc_bytes(run, (size_t)s->n, 1);
    return s->fixed != NULL ? PERI_OK : PERI_E_NOMEM;
}

static double squared(int64_t n, const double *v)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += v[k] * v[k];
    return sum;
}

/* The certificate's residual with the best multipliers of the bounds, as in plugins/local: the gradient of f is 2 g. */
static double certificate_residual(const state *s)
{
    double scale = 1, most = 0;
    for (int64_t j = 0; j < s->n; j++)
        scale = fmax(scale, fabs(2 * s->g[j]));
    for (int64_t j = 0; j < s->n; j++) {
        const double room = s->g[j] > 0 ? s->x[j] - s->lower[j] : s->upper[j] - s->x[j];
        most = fmax(most, fabs(2 * s->g[j]) * fmin(1, room));
    }
    return most / scale;
}

/* J at x, its columns' norms, g = J'r, and which variables the next step leaves out. */
static peri_status linearise(state *s, peri_run *run)
{
    TRY(peri_eval_residual_jac(run, s->x, s->jac));
    for (int64_t j = 0; j < s->n; j++) {
        double sum = 0, norm = 0;
        for (int64_t k = s->pattern.start[j]; k < s->pattern.start[j + 1]; k++) {
            sum += s->jac[k] * s->r[s->pattern.index[k]];
            norm += s->jac[k] * s->jac[k];
        }
        s->g[j] = sum;
        s->norm[j] = sqrt(norm);
        s->scale[j] = fmax(s->scale[j], s->norm[j]);
        s->fixed[j] = (sum > 0 && s->x[j] <= s->lower[j]) || (sum < 0 && s->x[j] >= s->upper[j]) || s->lower[j] >= s->upper[j];
    }
    s->residual = certificate_residual(s);
    if (s->dense != NULL)
        return squares_dense_take(s->dense, run, s->jac, s->r, s->fixed);
    squares_sparse_take(s->sparse, s->jac, s->r, s->fixed);
    return PERI_OK;
}

static peri_status tell(state *s, peri_run *run, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->f + s->offset;
    row.primal = 0;
    row.dual = s->residual;
    row.step = s->relative_step;
    row.regularization = s->mu;
    row.tag = tag;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    peri_bounds(run, &s->lower, &s->upper, NULL, NULL);
    TRY(peri_residual_count(run, &s->m));
    TRY(peri_residual_jac_pattern(run, &s->pattern));
    TRY(allocate(s, run));
    TRY(open_linear(s, run));
    TRY(peri_start(run, s->x));
    TRY(peri_eval_residuals(run, s->x, s->r));
    s->f = squared(s->m, s->r);
    TRY(peri_eval_f(run, s->x, &s->offset));
    s->offset = fabs(s->offset - s->f) > 1e-13 * s->f ? s->offset - s->f : 0; /* no more than rounding: none */
    s->mu = s->opt.damping;
    s->grow = 2;
    s->best_cosine = INFINITY;
    s->relative_step = NAN;
    TRY(linearise(s, run));
    return tell(s, run, 0, &next);
}

/* ---- one trial ------------------------------------------------------------------------------------------------------- */

static double scale_of(const state *s, int64_t j)
{
    return s->scale[j] > 0 ? s->scale[j] : 1;
}

/* x_trial = P(x + s), s := the step left; *decrease: of the model |r + J s|^2 */
static void project(state *s, double *decrease)
{
    double step = 0, size = 0;
    memset(s->js, 0, (size_t)s->m * sizeof *s->js);
    *decrease = 0;
    for (int64_t j = 0; j < s->n; j++) {
        const double to = fmin(fmax(s->x[j] + s->s[j], s->lower[j]), s->upper[j]);
        s->x_trial[j] = s->fixed[j] ? s->x[j] : to;
        s->s[j] = s->x_trial[j] - s->x[j];
        *decrease -= 2 * s->g[j] * s->s[j];
        for (int64_t k = s->pattern.start[j]; k < s->pattern.start[j + 1]; k++)
            s->js[s->pattern.index[k]] += s->jac[k] * s->s[j];
        step = fmax(step, fabs(s->s[j]) * scale_of(s, j));
        size = fmax(size, fabs(s->x[j]) * scale_of(s, j));
    }
    *decrease -= squared(s->m, s->js);
    s->relative_step = step / fmax(size, DBL_MIN);
}

/* ret PERI_E_DOMAIN: undefined there, to be answered by a shorter step */
static peri_status evaluate_trial(state *s, peri_run *run)
{
    TRY(peri_eval_residuals(run, s->x_trial, s->r_trial));
    s->f_trial = squared(s->m, s->r_trial);
    return PERI_OK;
}

static void shorten(state *s)
{
    s->mu = fmin(MU_MOST, fmax(s->mu, MU_LEAST) * s->grow);
    s->grow *= 2;
}

static void swap_points(state *s)
{
    double *const x = s->x, *const r = s->r, f = s->f;
    s->x = s->x_trial;
    s->x_trial = x;
    s->r = s->r_trial;
    s->r_trial = r;
    s->f = s->f_trial;
    s->f_trial = f;
}

static void take_step(state *s, double ratio)
{
    swap_points(s);
    const double t = 2 * ratio - 1;
    s->mu = fmax(MU_LEAST, s->mu * fmax(1.0 / 3, 1 - t * t * t));
    s->grow = 2;
}

/* The largest cosine between r and a column that may move. */
static double largest_cosine(const state *s)
{
    const double length = sqrt(s->f);
    double most = 0;
    for (int64_t j = 0; j < s->n; j++)
        if (!s->fixed[j] && s->norm[j] > 0)
            most = fmax(most, fabs(s->g[j]) / (s->norm[j] * length));
    return most;
}

static bool is_done(const state *s, const peri_run *run)
{
    if (s->residual > peri_get_limits(run)->tolerance)
        return false;
    return s->f == 0 || s->relative_step <= s->opt.step || largest_cosine(s) <= s->opt.cosine;
}

/* Decreases this small, relative to f, are lost in the rounding of f: such a step is judged by the gradient instead. */
static const double NOISE = 1e-11;

/* The decrease that s brings over what the model promises; -1 where the system is singular, nothing is promised, or r undefined. */
static peri_status try_one(state *s, peri_run *run, double *ratio)
{
    double decrease;
    *ratio = -1;
    peri_status status = s->dense != NULL ? squares_dense_solve(s->dense, run, s->mu, s->scale, s->s)
                                          : squares_sparse_solve(s->sparse, s->mu, s->scale, s->g, s->s);
    s->relative_step = 1;
    if (status == PERI_E_NUMERIC)
        return PERI_OK;
    TRY(status);
    project(s, &decrease);
    if (!(decrease > 0))
        return PERI_OK;
    status = evaluate_trial(s, run);
    s->in_noise = decrease <= NOISE * s->f;
    if (status == PERI_OK)
        *ratio = s->in_noise && s->f_trial <= s->f * (1 + NOISE) ? 1 : (s->f - s->f_trial) / decrease;
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

/* Damped steps until one is taken (*taken) or none can be: the model's decrease or the step are lost in rounding. */
static peri_status try_steps(state *s, peri_run *run, bool *taken)
{
    *taken = false;
    while (!peri_should_stop(run)) {
        double ratio;
        TRY(try_one(s, run, &ratio));
        if (ratio > ACCEPT) {
            take_step(s, ratio);
            *taken = true;
            return PERI_OK;
        }
        if (s->relative_step < DBL_EPSILON || !(s->mu < MU_MOST))
            return PERI_OK;
        shorten(s);
    }
    return PERI_OK;
}

/* In noise: whether the largest cosine has fallen within the last few steps; the point where it was least is kept. */
static bool keeps_improving(state *s)
{
    const double cosine = largest_cosine(s);
    if (!(cosine < s->best_cosine)) {
        s->failures++;
        return s->failures < FAILURES_MOST;
    }
    s->failures = 0;
    s->best_cosine = cosine;
    memcpy(s->x_best, s->x, (size_t)s->n * sizeof *s->x);
    return true;
}

static peri_status return_to_best(state *s, peri_run *run)
{
    memcpy(s->x_trial, s->x_best, (size_t)s->n * sizeof *s->x);
    TRY(evaluate_trial(s, run));
    swap_points(s);
    return linearise(s, run);
}

static peri_status finish(const state *s, peri_run *run, peri_step *next)
{
    const bool good = s->residual <= peri_get_limits(run)->tolerance;
    return peri_finish(run, good ? PERI_WHY_CONVERGED : PERI_WHY_STALLED, next);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    bool taken;
    if (is_done(s, run))
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    const double before = s->f;
    TRY(try_steps(s, run, &taken));
    if (!taken && peri_should_stop(run))
        return PERI_OK;
    if (!taken)
        return finish(s, run, next);
    TRY(linearise(s, run));
    if (s->in_noise && !keeps_improving(s)) {
        TRY(return_to_best(s, run));
        TRY(tell(s, run, 'b', next));
        return finish(s, run, next);
    }
    TRY(tell(s, run, 0, next));
    if (is_done(s, run))
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    s->idle = before - s->f > 1e-15 * before ? 0 : s->idle + 1;
    if (s->idle < 20)
        return PERI_OK;
    return finish(s, run, next);
}

/* ---- the table ---------------------------------------------------------------------------------------------------------- */

static const char PAGE[] =
    "Nonlinear least squares: minimizes a sum of squares r(x)'r(x), with bounds, from the residuals' Jacobian alone. Each iteration\n"
    "solves the linearised problem with a damping mu in the scale of the Jacobian's columns, so that units do not matter; mu falls by\n"
    "up to a third after a good step and grows after a bad one (Nielsen). Variables at a bound whose gradient pushes outwards stay;\n"
    "the step of the others is projected.\n"
    "\n"
    "The objective must be written as a sum of squares, weighted or not: ((y - f)^2):sum(), r:dot(r), peri.norm2(r)^2, sums of such\n"
    "in loops. perigee explain shows whether it was recognised.\n"
    "\n"
    "Small Jacobians (to 500 variables) are factorised by a dense QR, which keeps twice the digits of the normal equations; large sparse\n"
    "ones through the normal equations and a linear solver, chosen by linear_solver, or by a sparse QR (spqr).\n"
    "\n"
    "The end: the engine's residual is within the tolerance and, so that flat valleys are followed to their end, the last step was shorter\n"
    "than \"step\" or the residuals are orthogonal to the columns up to \"cosine\". Near the end, where the objective no longer tells\n"
    "points apart, steps are judged by that cosine and the best point is returned (tag b). Columns: regularization is mu, step is relative\n"
    "to x.";

/* Everything that the next step needs, to and from a checkpoint. */
static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    PERI_TRANSFER_REALS(run, s, x, s->n);
    PERI_TRANSFER_REALS(run, s, x_best, s->n);
    PERI_TRANSFER_REALS(run, s, scale, s->n);
    PERI_TRANSFER_REALS(run, s, r, s->m);
    PERI_TRANSFER(run, s, f);
    PERI_TRANSFER(run, s, f_trial);
    PERI_TRANSFER(run, s, offset);
    PERI_TRANSFER(run, s, mu);
    PERI_TRANSFER(run, s, grow);
    PERI_TRANSFER(run, s, residual);
    PERI_TRANSFER(run, s, relative_step);
    PERI_TRANSFER(run, s, idle);
    PERI_TRANSFER(run, s, failures);
    PERI_TRANSFER(run, s, best_cosine);
    PERI_TRANSFER(run, s, in_noise);
    return PERI_OK;
}

/* Jacobian and factors are computed again. */
static peri_status load(void *self, peri_run *run)
{
    state *s = self;
    TRY(transfer(self, run));
    const double residual = s->residual;
    TRY(linearise(s, run));
    s->residual = residual;
    return PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = load};

static const peri_plugin LEVENBERG_MARQUARDT = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "levenberg-marquardt",
    .family = "squares",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "nonlinear least squares with bounds, damped Gauss-Newton steps",
    .page = PAGE,
    .reference = "More 1978, Lecture Notes in Mathematics 630:105; Nielsen 1999, IMM-REP-1999-05, DTU; "
                 "Kanzow, Yamashita and Fukushima 2004, J. Comput. Appl. Math. 172:375",
    .needs = {PERI_NEEDS_GRADIENT | PERI_BIT(PERI_TRAIT_LEAST_SQUARES)},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 55,
};

static const peri_plugin *const ALL[] = {&LEVENBERG_MARQUARDT, NULL};
const peri_host *peri_host_table;
PERI_PLUGIN(ALL)
