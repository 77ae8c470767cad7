/* SPDX-License-Identifier: Apache-2.0 */
/*
 * @NAME@ - quadratic penalty: constraints move into the objective with a weight that grows (Nocedal and Wright 2006, framework 17.1).
 *
 *     minimize  f(x) + w / 2 sum_i d_i^2,   d_i = c_i(x) - (c_i(x) moved into [cl_i, cu_i]),   bounds stay bounds
 *
 * Its solutions approach those of the problem as w grows, with y_i = -w d_i as multipliers. What is left is solved by the rest of the
 * plan: lbfgs in "@NAME@ > lbfgs". Between steps x is where the next solve starts, and the inner problem's weight is the next one.
 */
#include <perigee/plugin.h>
#include <math.h>
#include <string.h>

/* ---- options: what users can set, with default, range, unit and one line of help; perigee shows, reads and checks them */

typedef struct {
    double penalty, growth, largest;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("penalty", options, penalty, 10, 1e-6, 1e10, "1", "weight of the violation in the first solve"),
    PERI_REAL("penalty_growth", options, growth, 10, 1.1, 1e4, "1", "factor on the weight between solves"),
    PERI_REAL("largest_penalty", options, largest, 1e10, 1, 1e20, "1", "weight at which the method gives up"),
};

/* ---- state: size_state bytes that perigee gives each run, zeroed; nothing is static, as several runs may be under way */

typedef struct {
    options opt;
    int64_t n, m;
    const double *cl, *cu; /* [m] borrowed */
    peri_inner *inner;
    peri_x weight;         /* a parameter of the inner problem */
    double *x, *c, *y;     /* [n], [m], [m] */
    double *g, *jy;        /* [n] */
    double penalty;
} state;

/* ---- init: memory, start, and the inner problem as expressions; changing its parameter later compiles nothing */

/* sum of squares of max(sign (c_i - side_i), 0) over the rows whose side is finite, added to *sum. */
static peri_status add_side(state *s, peri_run *run, peri_x c, const double *side, int sign, peri_x *sum)
{
    int64_t *row, count = 0;
    double *value;
    peri_x d, sides;
    TRY(peri_alloc_index(run, s->m, &row));
    TRY(peri_alloc(run, s->m, &value));
    for (int64_t i = 0; i < s->m; i++)
        if (isfinite(side[i])) {
            row[count] = i;
            value[count++] = side[i];
        }
    if (count == 0)
        return PERI_OK;
    TRY(peri_x_gather(s->inner, c, count, 1, row, &d));
    TRY(peri_x_array(s->inner, count, 1, value, &sides));
    TRY(sign > 0 ? peri_x_binary(s->inner, "sub", d, sides, &d) : peri_x_binary(s->inner, "sub", sides, d, &d));
    TRY(peri_x_unary(s->inner, "relu", d, &d)); /* its square has a derivative everywhere */
    TRY(peri_x_unary(s->inner, "square", d, &d));
    TRY(peri_x_unary(s->inner, "sum", d, &d));
    return peri_x_binary(s->inner, "add", *sum, d, sum);
}

static peri_status build(state *s, peri_run *run)
{
    const double half = 0.5 * s->penalty;
    peri_x x, f, c, sum;
    TRY(peri_inner_new(run, "@NAME@", &s->inner));
    TRY(peri_inner_variables(s->inner, &x));
    TRY(peri_inner_problem(s->inner, 0, x, &f, &c));
    if (s->m > 0) {
        TRY(peri_inner_param(s->inner, "weight", 1, 1, &half, &s->weight));
        TRY(peri_x_number(s->inner, 0, &sum));
        TRY(add_side(s, run, c, s->cl, -1, &sum));
        TRY(add_side(s, run, c, s->cu, 1, &sum));
        TRY(peri_x_binary(s->inner, "mul", s->weight, sum, &sum));
        TRY(peri_x_binary(s->inner, "add", f, sum, &f));
    }
    return peri_inner_minimize(s->inner, f);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    s->m = peri_m(run);
    s->penalty = s->opt.penalty;
    peri_bounds(run, NULL, NULL, &s->cl, &s->cu);
    TRY(peri_alloc(run, s->n, &s->x));
    TRY(peri_alloc(run, s->m, &s->c));
    TRY(peri_alloc(run, s->m, &s->y));
    TRY(peri_alloc(run, s->n, &s->g));
    TRY(peri_alloc(run, s->n, &s->jy));
    TRY(peri_start(run, s->x));
    return build(s, run);
}

/* ---- step: one inner solve; its point and multipliers are mapped to this problem's and accepted */

/* y from the violation, and the row's numbers: largest violation, largest entry of grad f - J'y - z. */
static peri_status measure(state *s, peri_run *run, const double *z, peri_row *row)
{
    TRY(peri_eval_c(run, s->x, s->c));
    row->primal = row->dual = 0;
    for (int64_t i = 0; i < s->m; i++) {
        const double d = s->c[i] - fmin(fmax(s->c[i], s->cl[i]), s->cu[i]);
        row->primal = fmax(row->primal, fabs(d));
        s->y[i] = -s->penalty * d;
    }
    TRY(peri_eval_fg(run, s->x, &row->objective, s->g));
    memset(s->jy, 0, (size_t)s->n * sizeof *s->jy);
    if (s->m > 0)
        TRY(peri_eval_vj(run, s->x, s->y, s->jy));
    for (int64_t j = 0; j < s->n; j++)
        row->dual = fmax(row->dual, fabs(s->g[j] - s->jy[j] - z[j]));
    row->regularization = s->penalty;
    return PERI_OK;
}

static peri_status grow(state *s)
{
    s->penalty *= s->opt.growth;
    const double half = 0.5 * s->penalty;
    return s->m > 0 ? peri_inner_set_param(s->inner, s->weight, &half) : PERI_OK;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const double tolerance = peri_get_limits(run)->tolerance;
    const peri_inner_request request = {.size = (uint32_t)sizeof request, .tolerance = 0.1 * tolerance, .x = s->x};
    const peri_inner_result *r;
    peri_row row = peri_empty_row();
    TRY(peri_inner_solve(s->inner, &request, &r));
    if (r->why == PERI_WHY_UNBOUNDED && s->m > 0 && s->penalty < s->opt.largest)
        return grow(s); /* a larger weight may hold it */
    memcpy(s->x, r->x, (size_t)s->n * sizeof *s->x);
    TRY(measure(s, run, r->z, &row));
    TRY(peri_accept(run, s->x, s->y, r->z, &row, next));
    if (r->why == PERI_WHY_UNBOUNDED)
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    if (r->why == PERI_WHY_CONVERGED && row.primal <= tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    if (peri_should_stop(run))
        return peri_finish(run, PERI_WHY_LIMIT, next);
    if (row.primal <= tolerance)
        return peri_finish(run, PERI_WHY_STALLED, next);
    if (s->penalty >= s->opt.largest) /* as heavy as it may be: not to be had, or only less precisely */
        return peri_finish(run, row.primal > 1e-4 ? PERI_WHY_INFEASIBLE : PERI_WHY_STALLED, next);
    return grow(s);
}

/* ---- the table: what the method is, needs and refuses, and its page for `perigee show @NAME@` */

static const char PAGE[] =
    "Solves a sequence of problems that have bounds but no constraints: half the squared violation of the constraints is added to the "
    "objective with a weight that grows from solve to solve. Simple and sturdy; the inner problems become ill-conditioned with "
    "the weight, so that seven or eight digits are the most to be had.\n\n"
    "The run ends when no constraint is violated by more than the tolerance (converged), or when the weight is its largest (infeasible "
    "or stalled). A row of the history is one inner solve: objective, primal (largest violation), dual, regularization (the weight).";

static const peri_reformulation_ops OPS = {.init = init, .step = step};

static const peri_plugin PLUGIN = {
    PERI_REFORMULATION(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "@NAME@",
    .family = "reform",
    .version = "0.1",
    .license = "Apache-2.0",
    .summary = "constraints into the objective by a growing quadratic penalty",
    .page = PAGE,
    .reference = "Nocedal and Wright 2006, Numerical Optimization, 2nd ed., section 17.1",
    .needs = {PERI_NEEDS_GRADIENT},
    .refuses = {PERI_REFUSES_INTEGER},
    .removes = {PERI_BIT(PERI_TRAIT_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_EQUALITIES) | PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS) |
                PERI_BIT(PERI_TRAIT_LINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_QUADRATIC_OBJECTIVE) |
                PERI_BIT(PERI_TRAIT_LEAST_SQUARES)},
    .adds = {PERI_BIT(PERI_TRAIT_NONLINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_OBJECTIVE)},
    .gives = PERI_GIVES_DUALS,
    .rank = 0,
};

static const peri_plugin *const ALL[] = {&PLUGIN, NULL};
PERI_PLUGIN(ALL)
