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
    int32_t update;
} options;

typedef enum { UPDATE_ALWAYS, UPDATE_PROGRESS } update_rule;
static const char *const UPDATES[] = {"always", "progress", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_REAL("penalty", options, penalty, 0, 0, 1e12, "1", "first penalty; 0: chosen from objective and violation at the start"),
    PERI_REAL("penalty_growth", options, growth, 10, 1.1, 1e4, "1", "factor on the penalty after too little progress"),
    PERI_REAL("reduction", options, reduction, 0.5, 0.01, 0.99, "1", "share of the last violation that counts as progress"),
    PERI_REAL("largest_penalty", options, largest_penalty, 1e14, 1, 1e20, "1", "penalty at which the method gives up"),
    PERI_REAL("largest_multiplier", options, largest_multiplier, 1e12, 1, 1e20, "1",
              "multipliers are cut off there before they enter the inner problem"),
    PERI_INT("inner_iterations", options, inner_iterations, 2000, 1, 1e9, "1", "most iterations of one inner solve"),
    PERI_ENUM("update", options, update, UPDATE_ALWAYS, UPDATES,
              "multipliers after every inner solve; or after progress only, the penalty growing from the point of before until there is some"),
};

typedef struct {
    options opt;
    rows_of rows;
    peri_inner *inner;
    peri_x shift, weight; /* parameters, m x 1: y / w and w */
    double *x, *c, *y;    /* [n], [m], [m] */
    double *held_x, *held_c, *held_y; /* of the last inner solve that made progress; NULL where updates are not for progress only */
    double *scale;        /* [m] of rows: w_i = penalty * scale_i^2 */
    double *s, *w;        /* [m] values of the parameters */
    double *g, *jy, *v;   /* [n], [n], [m] scratch */
    double penalty, first, tolerance; /* first: the penalty at the start; tolerance of the next inner solve */
    bool again;                       /* started a second time */
    double progress;      /* max_i |c_i - moved t_i| * scale_i after the last solve */
    rows_best best;
    rows_watch watch;
    int64_t solves, stalled, cut_off; /* cut_off: inner solves in a row that did not converge */
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
    TRY(peri_alloc(run, m, &s->v));
    if (s->opt.update == UPDATE_PROGRESS) {
        TRY(peri_alloc(run, n, &s->held_x));
        TRY(peri_alloc(run, m, &s->held_c));
        TRY(peri_alloc(run, m, &s->held_y));
    }
    return rows_best_init(&s->best, &s->rows, run);
}

/* First penalty of a warm start, in that of a cold one. */
static const double WARM_PENALTY = 30;

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
    peri_x f, c, sum;
    TRY(rows_inner(run, "augmented lagrangian", &s->inner, &f, &c));
    if (s->rows.m > 0) {
        set_weights(s);
        TRY(peri_inner_param(s->inner, "weight", s->rows.m, 1, s->w, &s->weight));
        TRY(peri_inner_param(s->inner, "shift", s->rows.m, 1, s->s, &s->shift));
        TRY(rows_sum(&s->rows, s->inner, c, s->shift, s->weight, ROWS_SQUARE, PERI_NO_X, &sum));
        TRY(peri_x_binary(s->inner, "add", f, sum, &f));
    }
    return peri_inner_minimize(s->inner, f);
}

/*
 * Rows whose gradients have size 1 have multipliers of the size of the objective's gradient: with a penalty of ten times that the first
 * solution is off by a tenth or so. Without derivatives by the sizes of objective and violation (Birgin and Martinez 2014, 4.1).
 */
static peri_status first_penalty(state *s, peri_run *run)
{
    double f, size, sum = 0;
    s->penalty = s->opt.penalty;
    if (s->penalty > 0)
        return PERI_OK;
    if (peri_has_trait(run, PERI_TRAIT_GRADIENT)) {
        TRY(rows_gradient_size(&s->rows, run, s->x, s->g, &size));
        s->penalty = fmin(10 * fmax(1, size), 1e6);
        return PERI_OK;
    }
    TRY(peri_eval_f(run, s->x, &f));
    for (int64_t i = 0; i < s->rows.m; i++) {
        const double d = s->scale[i] * (s->c[i] - rows_move(&s->rows, i, s->c[i]));
        sum += d * d;
    }
    s->penalty = fmax(1e-6, fmin(10 * fmax(1, fabs(f)) / fmax(1, 0.5 * sum), 1e6));
    return PERI_OK;
}

static void copy_held(const state *s, double *const to[3], double *const from[3])
{
    memcpy(to[0], from[0], (size_t)s->rows.n * sizeof **to);
    memcpy(to[1], from[1], (size_t)s->rows.m * sizeof **to);
    memcpy(to[2], from[2], (size_t)s->rows.m * sizeof **to);
}

/* What the next inner solve goes on from is kept, or taken back. */
static void hold(state *s)
{
    if (s->held_x != NULL)
        copy_held(s, (double *[]){s->held_x, s->held_c, s->held_y}, (double *[]){s->x, s->c, s->y});
}

static void take_back(state *s)
{
    copy_held(s, (double *[]){s->x, s->c, s->y}, (double *[]){s->held_x, s->held_c, s->held_y});
}

/* Before the first of a sequence of inner solves. */
static void reset(state *s, peri_run *run)
{
    hold(s);
    const double tolerance = peri_get_limits(run)->tolerance;
    s->progress = s->best.kkt = INFINITY;
    s->watch = (rows_watch){INFINITY, 0};
    s->tolerance = s->rows.m > 0 ? fmax(tolerance, fmin(1e-2, sqrt(tolerance))) : tolerance;
    s->solves = s->stalled = s->cut_off = 0;
}

/* Multipliers of an earlier solution are nearly right: their error falls with the penalty, which does not hurt where the start is near too. */
static void trust_multipliers(state *s, peri_run *run)
{
    if (s->opt.penalty == 0)
        s->penalty = fmin(WARM_PENALTY * s->penalty, 1e6);
    s->tolerance = fmax(peri_get_limits(run)->tolerance, 1e-2 * s->tolerance);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    TRY(rows_init(&s->rows, run));
    TRY(allocate(s, run));
    TRY(peri_start(run, s->x));
    const bool is_warm = peri_get_limits(run)->warm_start != 0 && peri_start_duals(run, s->y, s->g);
    if (!is_warm)
        memset(s->y, 0, (size_t)s->rows.m * sizeof *s->y);
    TRY(peri_eval_c(run, s->x, s->c));
    TRY(rows_scale(&s->rows, run, s->x, s->scale));
    TRY(first_penalty(s, run));
    s->first = s->penalty;
    reset(s, run);
    if (is_warm)
        trust_multipliers(s, run);
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

/*
 * Raised after too little progress, unless the inner solve itself was cut off: a larger penalty would make the next one harder still. With updates
 * for progress only progress is that against the last solve that made some, and the others are solved again from there with more
 * penalty (Conn, Gould and Toint 1991; Zheng, Aragam, Ravikumar and Xing 2018).
 */
static char update_penalty(state *s, double progress, bool solved)
{
    const bool by_progress = s->opt.update == UPDATE_PROGRESS;
    const bool enough = s->solves <= 1 || progress <= s->opt.reduction * s->progress;
    if (enough || !by_progress)
        s->progress = progress;
    s->cut_off = solved ? 0 : s->cut_off + 1;
    if (enough || (s->cut_off % 4 != 0 && !by_progress))
        return 0;
    s->penalty *= s->opt.growth;
    return 'p';
}

static void update_tolerance(state *s, double tolerance)
{
    s->tolerance = fmax(0.1 * tolerance, 0.1 * s->tolerance);
}

/* The inner objective runs away: multipliers back to what they were, a larger penalty, the same start. */
static peri_status tighten(state *s, peri_run *run, const peri_inner_result *r, peri_step *next)
{
    if (s->penalty < s->opt.largest_penalty && s->rows.m > 0) {
        s->penalty *= s->opt.growth * s->opt.growth;
        return send_weights(s);
    }
    return rows_unbounded(run, r->x, next);
}

/* A stationary point of the violation is not the end of a problem that is not convex: once more from the start, held to the rows
 * a thousand times as hard. */
static peri_status restart(state *s, peri_run *run)
{
    s->again = true;
    s->penalty = 1000 * s->first;
    memset(s->y, 0, (size_t)s->rows.m * sizeof *s->y);
    TRY(peri_start(run, s->x));
    TRY(peri_eval_c(run, s->x, s->c));
    reset(s, run);
    return PERI_OK;
}

static peri_status conclude(state *s, peri_run *run, const rows_residuals *e, const double *z, const peri_row *row, peri_step *next)
{
    const double tolerance = peri_get_limits(run)->tolerance;
    bool infeasible;
    if (e->kkt <= tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    TRY(rows_watch_violation(&s->watch, &s->rows, run, s->x, s->c, s->scale, e->primal, s->v, s->g, &infeasible));
    if (infeasible && !s->again)
        return restart(s, run);
    if (infeasible)
        return peri_finish(run, PERI_WHY_INFEASIBLE, next);
    s->stalled = rows_best_keep(&s->best, &s->rows, s->x, s->y, z, row, e->kkt) ? 0 : s->stalled + 1;
    if (s->stalled < (s->best.kkt <= 1e-6 ? 3 : 12) && s->penalty <= s->opt.largest_penalty)
        return PERI_OK;
    if (s->stalled > 0)
        TRY(peri_accept(run, s->best.x, s->best.y, s->best.z, &s->best.row, next));
    return peri_finish(run, PERI_WHY_STALLED, next);
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
    TRY(rows_solve(&s->rows, run, s->inner, &request, s->x, s->c, &r));
    if (r->why == PERI_WHY_UNBOUNDED)
        return tighten(s, run, r, next);
    s->solves++;
    row.regularization = s->penalty;
    row.tag = update_penalty(s, update_multipliers(s), r->why == PERI_WHY_CONVERGED || r->why == PERI_WHY_STALLED);
    TRY(rows_residual(&s->rows, run, s->x, s->c, s->y, r->z, r->why, s->g, s->jy, &e));
    row.objective = e.f;
    row.primal = e.primal;
    row.dual = e.dual;
    row.complementarity = e.complementarity;
    TRY(peri_accept(run, s->x, s->y, r->z, &row, next));
    if (r->why != PERI_WHY_CONVERGED && e.f <= -ROWS_FAR)
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    if (s->held_x != NULL && row.tag == 'p' && s->penalty <= s->opt.largest_penalty && e.kkt > peri_get_limits(run)->tolerance) {
        (void)rows_best_keep(&s->best, &s->rows, s->x, s->y, r->z, &row, e.kkt);
        take_back(s);
        return send_weights(s);
    }
    TRY(conclude(s, run, &e, r->z, &row, next));
    hold(s);
    update_tolerance(s, peri_get_limits(run)->tolerance);
    return send_weights(s);
}

static const peri_reformulation_ops OPS = {.init = init, .step = step};

static const char PAGE[] =
    "Solves a sequence of problems that have bounds but no constraints. Each constraint enters the objective through half the squared "
    "distance of c_i(x) - y_i / w_i from its interval, with weight w_i; after each solve the multipliers y become -w times that "
    "distance, and where feasibility and complementarity have not halved the weights grow tenfold. Unlike a plain penalty, the weights "
    "need not go to infinity: the multipliers converge to those of the problem. With update = \"progress\" the multipliers change only where the violation has "
    "fallen enough; where it has not, that solve is done again from its start with a larger weight. Constraints whose gradient vanishes where they hold, as "
    "that of acyclic graphs, have no multipliers to converge to, and end in better local minima that way.\n\n"
    "The inner problems are once continuously differentiable (twice where constraints are equations), keep sparse second derivatives, "
    "and may be non-convex. Any method for bounds can solve them: \"augmented-lagrangian > lbfgs\" for problems without second "
    "derivatives, \"augmented-lagrangian > trust-ncg\" where there are some. Each is solved from the last point, at first roughly, then "
    "ten times as precisely each time. A warm start takes multipliers over, and begins with a penalty thirty times as large and a "
    "hundredth of the tolerance.\n\n"
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
    .removes = {PERI_BIT(PERI_TRAIT_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_EQUALITIES) | PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_ACYCLIC) |
                PERI_BIT(PERI_TRAIT_LINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_QUADRATIC_OBJECTIVE) |
                PERI_BIT(PERI_TRAIT_LEAST_SQUARES)},
    .adds = {PERI_BIT(PERI_TRAIT_NONLINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_OBJECTIVE)},
    .gives = PERI_GIVES_DUALS,
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 20,
};
