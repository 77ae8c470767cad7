/* SPDX-License-Identifier: Apache-2.0 */
/*
 * augmented-lagrangian - constraints move into the objective with multipliers and a penalty; what is left has bounds only.
 *
 *     L(x; y, w) = f(x) + sum_i w_i/2 d_i^2,   t_i = c_i(x) - y_i / w_i,   d_i = t_i - (t_i moved into [cl_i, cu_i])
 *     y_i <- -w_i d_i                                               (Powell, Hestenes; Rockafellar for inequalities)
 *
 * Updates, safeguards and the first penalty are those of ALGENCAN (Andreani, Birgin, Martinez and Schuverdt 2007; Birgin and Martinez
 * 2014, alg. 4.1); the tolerance of the inner problems shrinks from solve to solve as in LANCELOT (Conn, Gould and Toint 1991).
 * Invariant between steps: x, c, y belong together, x within its bounds; y is what the inner problem's parameters were made of.
 */
#include "rows.h"
#include <math.h>
#include <string.h>

typedef struct {
    double penalty, growth, reduction, largest_penalty, largest_multiplier;
    int64_t inner_iterations;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("penalty", options, penalty, 0, 0, 1e12, "1", "first penalty; 0: chosen from objective and violation at the start"),
    PERI_REAL("penalty_growth", options, growth, 10, 1.1, 1e4, "1", "factor on the penalty after too little progress"),
    PERI_REAL("reduction", options, reduction, 0.5, 0.01, 0.99, "1", "share of the last violation that counts as progress"),
    PERI_REAL("largest_penalty", options, largest_penalty, 1e14, 1, 1e20, "1", "penalty at which the method gives up"),
    PERI_REAL("largest_multiplier", options, largest_multiplier, 1e12, 1, 1e20, "1",
              "multipliers are cut off there before they enter the inner problem"),
    PERI_INT("inner_iterations", options, inner_iterations, 2000, 1, 1e9, "1", "most iterations of one inner solve"),
};

typedef struct {
    options opt;
    rows_of rows;
    peri_inner *inner;
    peri_x shift, weight; /* parameters, m x 1: y / w and w */
    double *x, *c, *y;    /* [n], [m], [m] */
    double *scale;        /* [m] of rows: w_i = penalty * scale_i^2 */
    double *s, *w;        /* [m] values of the parameters */
    double *g, *jy, *v;   /* [n], [n], [m] scratch */
    double penalty, tolerance, last_tolerance; /* of the next inner solve; of the last ones */
    double progress;      /* max_i |c_i - moved t_i| * scale_i after the last solve */
    double best_kkt, worst_primal; /* smallest so far; violation three solves ago and later */
    int64_t solves, stalled, stuck;
} state;

/* ---- making
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status allocate(state *s, peri_run *run)
{
    const int64_t n = s->rows.n, m = s->rows.m;
    TRY(peri_alloc(run, n, &s->x));
    TRY(peri_alloc(run, m, &s->c));
    TRY(peri_alloc(run, m, &s->y));
    TRY(peri_alloc(run, m, &s->scale));
    TRY(peri_alloc(run, m, &s->s));
    TRY(peri_alloc(run, m, &s->w));
    TRY(peri_alloc(run, n, &s->g));
    TRY(peri_alloc(run, n, &s->jy));
    return peri_alloc(run, m, &s->v);
}

/* w and the shift from penalty and multipliers, which are cut off first. */
static void set_weights(state *s)
{
    for (int64_t i = 0; i < s->rows.m; i++) {
        s->y[i] = fmin(fmax(s->y[i], -s->opt.largest_multiplier), s->opt.largest_multiplier);
        s->w[i] = s->penalty * s->scale[i] * s->scale[i];
        s->s[i] = s->y[i] / s->w[i];
    }
}

static peri_status send_weights(state *s)
{
    if (s->rows.m == 0)
        return PERI_OK;
    set_weights(s);
    TRY(peri_inner_set_param(s->inner, s->weight, s->w));
    return peri_inner_set_param(s->inner, s->shift, s->s);
}

static peri_status build(state *s, peri_run *run)
{
    peri_x x, f, c, sum;
    TRY(peri_inner_new(run, "augmented lagrangian", &s->inner));
    TRY(peri_inner_variables(s->inner, &x));
    TRY(peri_inner_problem(s->inner, 0, x, &f, &c));
    if (s->rows.m > 0) {
        set_weights(s);
        TRY(peri_inner_param(s->inner, "weight", s->rows.m, 1, s->w, &s->weight));
        TRY(peri_inner_param(s->inner, "shift", s->rows.m, 1, s->s, &s->shift));
        TRY(rows_sum(&s->rows, s->inner, c, s->shift, s->weight, ROWS_SQUARE, PERI_NO_X, &sum));
        TRY(peri_x_binary(s->inner, "add", f, sum, &f));
    }
    return peri_inner_minimize(s->inner, f);
}

/* Birgin and Martinez 2014, 4.1: objective and penalty of one size at the start. */
static peri_status first_penalty(state *s, peri_run *run)
{
    double f, sum = 0;
    TRY(peri_eval_f(run, s->x, &f));
    for (int64_t i = 0; i < s->rows.m; i++) {
        const double d = s->scale[i] * (s->c[i] - rows_move(&s->rows, i, s->c[i]));
        sum += d * d;
    }
    s->penalty = s->opt.penalty;
    if (!(s->penalty > 0))
        s->penalty = fmax(1e-6, fmin(10 * fmax(1, fabs(f)) / fmax(1, 0.5 * sum), 1e8));
    return PERI_OK;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    const peri_limits *limits = peri_get_limits(run);
    s->opt = *(const options *)opt;
    TRY(rows_init(&s->rows, run));
    TRY(allocate(s, run));
    TRY(peri_start(run, s->x));
    if (!peri_start_duals(run, s->y, s->g))
        memset(s->y, 0, (size_t)s->rows.m * sizeof *s->y);
    TRY(peri_eval_c(run, s->x, s->c));
    TRY(rows_scale(&s->rows, run, s->x, s->scale));
    TRY(first_penalty(s, run));
    s->progress = s->best_kkt = s->worst_primal = INFINITY;
    s->last_tolerance = INFINITY;
    s->tolerance = s->rows.m > 0 ? fmax(limits->tolerance, fmin(1e-2, sqrt(limits->tolerance))) : limits->tolerance;
    return build(s, run);
}

/* ---- one solve
 * ---------------------------------------------------------------------------------------------------------------- */

/* y <- -w d; how far the rows are from feasible and complementary: max |c - moved t| (Birgin and Martinez 2014, 4.2), in the rows' scale. */
static double update_multipliers(state *s)
{
    double most = 0;
    for (int64_t i = 0; i < s->rows.m; i++) {
        const double t = s->c[i] - s->s[i], moved = rows_move(&s->rows, i, t);
        s->y[i] = s->w[i] * (moved - t);
        most = fmax(most, s->scale[i] * fabs(s->c[i] - moved));
    }
    return most;
}

static char update_penalty(state *s, double progress)
{
    const bool enough = s->solves <= 1 || progress <= s->opt.reduction * s->progress;
    s->progress = progress;
    if (enough)
        return 0;
    s->penalty *= s->opt.growth;
    return 'p';
}

static void update_tolerance(state *s, double tolerance)
{
    s->last_tolerance = s->tolerance;
    s->tolerance = fmax(0.1 * tolerance, 0.1 * s->tolerance);
}

/* The violation no longer shrinks although the penalty has grown: is the point stationary for it? */
static peri_status is_infeasible(state *s, peri_run *run, double primal, double tolerance, bool *yes)
{
    double slope;
    *yes = false;
    if (primal < 0.9 * s->worst_primal) {
        s->worst_primal = primal;
        s->stuck = 0;
        return PERI_OK;
    }
    if (++s->stuck < 3 || !(primal > 100 * tolerance))
        return PERI_OK;
    TRY(rows_slope(&s->rows, run, s->x, s->c, s->scale, s->v, s->g, &slope));
    *yes = slope <= 1e-5;
    return PERI_OK;
}

/* The inner objective runs away: multipliers back to what they were, a larger penalty, the same start. */
static peri_status tighten(state *s, peri_run *run, const peri_inner_result *r, peri_step *next)
{
    if (s->penalty < s->opt.largest_penalty && s->rows.m > 0) {
        s->penalty *= s->opt.growth * s->opt.growth;
        return send_weights(s);
    }
    peri_row row = peri_empty_row();
    TRY(peri_accept(run, r->x, NULL, NULL, &row, next));
    return peri_finish(run, PERI_WHY_UNBOUNDED, next);
}

static peri_status conclude(state *s, peri_run *run, const rows_residuals *e, peri_step *next)
{
    const double tolerance = peri_get_limits(run)->tolerance;
    bool infeasible;
    if (e->kkt <= tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    TRY(is_infeasible(s, run, e->primal, tolerance, &infeasible));
    if (infeasible)
        return peri_finish(run, PERI_WHY_INFEASIBLE, next);
    s->stalled = e->kkt < 0.9 * s->best_kkt ? 0 : s->stalled + 1;
    s->best_kkt = fmin(s->best_kkt, e->kkt);
    if (s->stalled >= (s->best_kkt <= 1e-6 ? 3 : 12) || s->penalty > s->opt.largest_penalty)
        return peri_finish(run, PERI_WHY_STALLED, next);
    return PERI_OK;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const peri_inner_request request = {.size = (uint32_t)sizeof request,
                                        .tolerance = s->tolerance,
                                        .iterations = s->opt.inner_iterations,
                                        .x = s->x};
    const peri_inner_result *r;
    rows_residuals e;
    peri_row row = peri_empty_row();
    TRY(peri_inner_solve(s->inner, &request, &r));
    if (r->why == PERI_WHY_UNBOUNDED)
        return tighten(s, run, r, next);
    s->solves++;
    memcpy(s->x, r->x, (size_t)s->rows.n * sizeof *s->x);
    TRY(peri_eval_c(run, s->x, s->c));
    row.regularization = s->penalty;
    row.tag = update_penalty(s, update_multipliers(s));
    TRY(rows_residual(&s->rows, run, s->x, s->c, s->y, r->z, r->dual, s->g, s->jy, &e));
    row.objective = e.f;
    row.primal = e.primal;
    row.dual = e.dual;
    row.complementarity = e.complementarity;
    TRY(peri_accept(run, s->x, s->y, r->z, &row, next));
    TRY(conclude(s, run, &e, next));
    update_tolerance(s, peri_get_limits(run)->tolerance);
    return send_weights(s);
}

static const peri_reformulation_ops OPS = {.init = init, .step = step};

static const char PAGE[] =
    "Solves a sequence of problems that have bounds but no constraints. Each constraint enters the objective through half the squared "
    "distance of c_i(x) - y_i / w_i from its interval, with weight w_i; after each solve the multipliers y become -w times that "
    "distance, and where feasibility and complementarity have not halved the weights grow tenfold. Unlike a plain penalty, the weights "
    "need not go to infinity: the multipliers converge to those of the problem.\n\n"
    "The inner problems are once continuously differentiable (twice where constraints are equations), keep sparse second derivatives, "
    "and may be non-convex. Any method for bounds can solve them: \"augmented-lagrangian > lbfgs\" for problems without second "
    "derivatives, \"augmented-lagrangian > trust-ncg\" where there are some. Each is solved from the last point, at first roughly, then "
    "ten times as precisely each time.\n\n"
    "A row of the history is one inner solve; inner_iterations counts the solver's own. Tag p: the penalty was raised. Column "
    "regularization is the penalty.";

extern const peri_plugin AUGMENTED_LAGRANGIAN;
const peri_plugin AUGMENTED_LAGRANGIAN = {
    PERI_REFORMULATION(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "augmented-lagrangian",
    .family = "reform",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "constraints into the objective by multipliers and a penalty",
    .page = PAGE,
    .reference = "Andreani, Birgin, Martinez and Schuverdt 2007, SIAM J. Optim. 18:1286; Birgin and Martinez 2014, Practical Augmented "
                 "Lagrangian Methods; Conn, Gould and Toint 1991, SIAM J. Numer. Anal. 28:545; Rockafellar 1973, J. Optim. Theory "
                 "Appl. 12:555",
    .refuses = {PERI_REFUSES_INTEGER},
    .removes = {PERI_BIT(PERI_TRAIT_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_EQUALITIES) | PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS) |
                PERI_BIT(PERI_TRAIT_LINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_QUADRATIC_OBJECTIVE) |
                PERI_BIT(PERI_TRAIT_LEAST_SQUARES)},
    .adds = {PERI_BIT(PERI_TRAIT_NONLINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_OBJECTIVE)},
    .gives = PERI_GIVES_DUALS,
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 20,
};
