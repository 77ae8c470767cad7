/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penalty - constraints move into the objective with a weight that grows; what is left has bounds only.
 *
 *     f(x) + sum_i w_i p(d_i),   d_i = c_i(x) - (c_i(x) moved into [cl_i, cu_i])
 *     quadratic  p = d^2 / 2              y_i = -w_i d_i                                     (Fiacco and McCormick 1968)
 *     l1         p = |d|                  exact once w_i exceeds |y_i|; not smooth           (Fletcher 1987, 12.3)
 *     smoothed   p = |d| rounded off      sqrt(d^2 + e^2) - e, the width e shrinking; y_i = -w_i p'(d_i)
 *
 * Invariant between steps: x and c belong together, x within its bounds; the inner problem's parameters are those of the next solve.
 */
#include "rows.h"
#include <math.h>
#include <string.h>

enum { QUADRATIC, L1, SMOOTHED };
enum { ROUGH = 3 }; /* inner solves that need not be precise */

typedef struct {
    double penalty, growth, largest_penalty;
    int64_t inner_iterations;
    int32_t norm;
} options;

static const char *const NORMS[] = {"quadratic", "l1", "smoothed", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_ENUM("norm", options, norm, QUADRATIC, NORMS,
              "measure of the violation; l1 makes problems that are not smooth, for solvers that take those"),
    PERI_REAL("penalty", options, penalty, 0, 0, 1e12, "1", "first penalty; 0: ten times the gradient's size at the start"),
    PERI_REAL("penalty_growth", options, growth, 10, 1.1, 1e4, "1", "factor on the penalty between solves"),
    PERI_REAL("largest_penalty", options, largest_penalty, 1e14, 1, 1e20, "1", "penalty at which the method gives up"),
    PERI_INT("inner_iterations", options, inner_iterations, 2000, 1, 1e9, "1", "most iterations of one inner solve"),
};

typedef struct {
    options opt;
    rows_of rows;
    peri_inner *inner;
    peri_x weight, width;          /* parameters, m x 1 and scalar */
    double *x, *before, *start;    /* [n] last solution, the one before, where the next solve starts */
    double *c, *y, *scale, *w, *v; /* [m] */
    double *g, *jy;                /* [n] scratch */
    double penalty, rounding;      /* rounding: the width e, in the units of scaled rows */
    rows_best best;
    rows_watch watch;
    int64_t solves, stalled;
} state;

/* ---- making
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status allocate(state *s, peri_run *run)
{
    const int64_t n = s->rows.n, m = s->rows.m;
    double **of_n[] = {&s->x, &s->before, &s->start, &s->g, &s->jy}, **of_m[] = {&s->c, &s->y, &s->scale, &s->w, &s->v};
    for (size_t k = 0; k < PERI_COUNT(of_n); k++)
        TRY(peri_alloc(run, n, of_n[k]));
    for (size_t k = 0; k < PERI_COUNT(of_m); k++)
        TRY(peri_alloc(run, m, of_m[k]));
    return rows_best_init(&s->best, &s->rows, run);
}

static void set_weights(state *s)
{
    for (int64_t i = 0; i < s->rows.m; i++)
        s->w[i] = s->penalty * s->scale[i] * (s->opt.norm == QUADRATIC ? s->scale[i] : 1);
}

static peri_status build(state *s, peri_run *run)
{
    static const rows_measure measures[] = {[QUADRATIC] = ROWS_SQUARE, [L1] = ROWS_SIZE, [SMOOTHED] = ROWS_ROUNDED};
    peri_x f, c, sum;
    TRY(rows_inner(run, "penalty", &s->inner, &f, &c));
    s->width = PERI_NO_X;
    if (s->rows.m > 0) {
        set_weights(s);
        TRY(peri_inner_param(s->inner, "weight", s->rows.m, 1, s->w, &s->weight));
        if (s->opt.norm == SMOOTHED)
            TRY(peri_inner_param(s->inner, "rounding", 1, 1, &s->rounding, &s->width));
        TRY(rows_sum(&s->rows, s->inner, c, PERI_NO_X, s->weight, measures[s->opt.norm], s->width, &sum));
        TRY(peri_x_binary(s->inner, "add", f, sum, &f));
    }
    return peri_inner_minimize(s->inner, f);
}

/* Rows whose gradients have size 1 have multipliers of the size of the objective's gradient. */
static peri_status first_penalty(state *s, peri_run *run)
{
    double size = 1;
    s->penalty = s->opt.penalty;
    if (s->penalty > 0)
        return PERI_OK;
    if (peri_has_trait(run, PERI_TRAIT_GRADIENT))
        TRY(rows_gradient_size(&s->rows, run, s->x, s->g, &size));
    s->penalty = fmin(10 * fmax(1, size), 1e6);
    return PERI_OK;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    TRY(rows_init(&s->rows, run));
    TRY(allocate(s, run));
    TRY(peri_start(run, s->x));
    memcpy(s->start, s->x, (size_t)s->rows.n * sizeof *s->x);
    TRY(peri_eval_c(run, s->x, s->c));
    TRY(rows_scale(&s->rows, run, s->x, s->scale));
    TRY(first_penalty(s, run));
    s->rounding = 0.1;
    s->watch = (rows_watch){INFINITY, 0};
    return build(s, run);
}

/* ---- one solve
 * ---------------------------------------------------------------------------------------------------------------- */

/* Slope of the rounded |d|, or of the rounded max(d, 0). */
static double rounded_slope(double d, double e, bool both_signs)
{
    const double slope = d / sqrt(d * d + e * e);
    return both_signs ? slope : 0.5 * (1 + slope);
}

static double smoothed_multiplier(const state *s, int64_t i)
{
    const rows_of *r = &s->rows;
    double y = 0;
    if (r->cl[i] >= r->cu[i])
        return -s->w[i] * rounded_slope(s->c[i] - r->cl[i], s->rounding, true);
    if (isfinite(r->cl[i]))
        y += s->w[i] * rounded_slope(r->cl[i] - s->c[i], s->rounding, false);
    if (isfinite(r->cu[i]))
        y -= s->w[i] * rounded_slope(s->c[i] - r->cu[i], s->rounding, false);
    return y;
}

static void set_multipliers(state *s)
{
    for (int64_t i = 0; i < s->rows.m; i++)
        s->y[i] = s->opt.norm == SMOOTHED ? smoothed_multiplier(s, i) : s->w[i] * (rows_move(&s->rows, i, s->c[i]) - s->c[i]);
}

/*
 * The next solve: a larger penalty, or a narrower rounding once the rows are feasible within its width. Solutions of the quadratic
 * penalty lie on a path that is smooth in 1 / penalty; the start is put where a straight line through the last two leads.
 */
static peri_status prepare(state *s, double primal)
{
    const double rate = 1 / (s->opt.growth - 1);
    const bool extrapolate = s->opt.norm == QUADRATIC && s->solves > 1;
    if (s->opt.norm != SMOOTHED || primal > 10 * s->rounding)
        s->penalty *= s->opt.growth;
    if (s->opt.norm == SMOOTHED)
        s->rounding *= 0.1;
    for (int64_t j = 0; j < s->rows.n; j++)
        s->start[j] = extrapolate ? s->x[j] + rate * (s->x[j] - s->before[j]) : s->x[j];
    memcpy(s->before, s->x, (size_t)s->rows.n * sizeof *s->x);
    if (s->rows.m == 0)
        return PERI_OK;
    set_weights(s);
    TRY(peri_inner_set_param(s->inner, s->weight, s->w));
    return s->width != PERI_NO_X ? peri_inner_set_param(s->inner, s->width, &s->rounding) : PERI_OK;
}

/* The inner objective runs away: a larger penalty may hold it. */
static peri_status tighten(state *s, peri_run *run, const peri_inner_result *r, peri_step *next)
{
    if (s->penalty < s->opt.largest_penalty && s->rows.m > 0) {
        s->penalty *= s->opt.growth * s->opt.growth;
        set_weights(s);
        return peri_inner_set_param(s->inner, s->weight, s->w);
    }
    return rows_unbounded(run, r->x, next);
}

/* Rounding spoils the multipliers before the point: they are the violation, itself a difference, times the penalty. The best pair ends the
 * sequence where it is good; otherwise a feasible point goes without multipliers, and the engine finds some for it. */
static peri_status give_up(state *s, peri_run *run, const rows_residuals *e, const peri_row *row, peri_step *next)
{
    if (s->best.kkt > 1e-6 && e->primal <= peri_get_limits(run)->tolerance)
        TRY(peri_accept(run, s->x, NULL, NULL, row, next));
    else
        TRY(peri_accept(run, s->best.x, s->best.y, s->best.z, &s->best.row, next));
    return peri_finish(run, PERI_WHY_STALLED, next);
}

static peri_status conclude(state *s, peri_run *run, const rows_residuals *e, const double *z, const peri_row *row, peri_step *next)
{
    const double tolerance = peri_get_limits(run)->tolerance;
    const bool exact = s->opt.norm == L1; /* no multipliers: feasible is all that can be asked */
    bool infeasible;
    if (e->kkt <= tolerance || (exact && e->primal <= tolerance))
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    TRY(rows_watch_violation(&s->watch, &s->rows, run, s->x, s->c, s->scale, e->primal, s->v, s->g, &infeasible));
    if (infeasible)
        return peri_finish(run, PERI_WHY_INFEASIBLE, next);
    s->stalled = rows_best_keep(&s->best, &s->rows, s->x, s->y, z, row, e->kkt) || s->solves <= ROUGH ? 0 : s->stalled + 1;
    if (s->stalled >= (e->primal <= tolerance ? 2 : 8) || s->penalty > s->opt.largest_penalty)
        return give_up(s, run, e, row, next);
    return PERI_OK;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const double tolerance = peri_get_limits(run)->tolerance;
    const peri_inner_request request = {.size = (uint32_t)sizeof request,
                                        .tolerance = s->rows.m > 0 && s->solves < ROUGH ? fmax(tolerance, 1e-5) : 0.1 * tolerance,
                                        .iterations = s->opt.inner_iterations,
                                        .x = s->start};
    const peri_inner_result *r;
    rows_residuals e;
    peri_row row = peri_empty_row();
    TRY(rows_solve(&s->rows, run, s->inner, &request, s->x, s->c, &r));
    if (r->why == PERI_WHY_UNBOUNDED)
        return tighten(s, run, r, next);
    s->solves++;
    set_multipliers(s);
    TRY(rows_residual(&s->rows, run, s->x, s->c, s->y, r->z, r->why, s->g, s->jy, &e));
    row.objective = e.f;
    row.primal = e.primal;
    row.regularization = s->penalty;
    if (s->opt.norm != L1) {
        row.dual = e.dual;
        row.complementarity = e.complementarity;
    }
    TRY(peri_accept(run, s->x, s->opt.norm == L1 ? NULL : s->y, s->opt.norm == L1 ? NULL : r->z, &row, next));
    if (r->why != PERI_WHY_CONVERGED && e.f <= -ROWS_FAR)
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    TRY(conclude(s, run, &e, r->z, &row, next));
    return prepare(s, e.primal);
}

static const peri_reformulation_ops OPS = {.init = init, .step = step};

static const char PAGE[] =
    "Solves a sequence of problems that have bounds but no constraints: the violation of the constraints is added to the objective with "
    "a weight that grows tenfold from solve to solve. Simple and sturdy, but the inner problems become ill-conditioned with the "
    "weight, and seven or eight digits are the most to be had; augmented-lagrangian gives more for less and is to be preferred unless "
    "the multipliers themselves are the difficulty.\n\n"
    "norm chooses the measure. quadratic (half the squared violation) keeps problems smooth and their second derivatives sparse; "
    "each solve starts where a line through the last two solutions leads. l1 (its size) is exact for a finite weight, but "
    "makes non-smooth problems, for solvers that take those. smoothed is l1 with the corner rounded off, by a width that shrinks: "
    "exact in the limit with a bounded weight, smooth all the way.\n\n"
    "A row of the history is one inner solve; inner_iterations counts the solver's own. Column regularization is the penalty.";

extern const peri_plugin PENALTY;
const peri_plugin PENALTY = {
    PERI_REFORMULATION(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "penalty",
    .family = "reform",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "constraints into the objective by a growing penalty: quadratic, exact l1, or smoothed l1",
    .page = PAGE,
    .reference = "Fiacco and McCormick 1968, Nonlinear Programming; Fletcher 1987, Practical Methods of Optimization, 12.1 and 12.3; "
                 "Nocedal and Wright 2006, Numerical Optimization, 17.1 and 17.2",
    .refuses = {PERI_REFUSES_INTEGER},
    .removes = {PERI_BIT(PERI_TRAIT_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_EQUALITIES) | PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_ACYCLIC) |
                PERI_BIT(PERI_TRAIT_LINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_QUADRATIC_OBJECTIVE) |
                PERI_BIT(PERI_TRAIT_LEAST_SQUARES)},
    .adds = {PERI_BIT(PERI_TRAIT_NONLINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_OBJECTIVE)},
    .gives = PERI_GIVES_DUALS,
    .rank = 10,
};
