/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value-function - two-level problems as one level, by what the lower level's optimum is worth (Outrata 1990; Ye and Zhu 1995):
 *
 *     v_k(x) = min f_k(x, .) over level k's rows        f_k(x, y) - v_k(x) = 0 instead of "y is optimal"
 *
 * The difference, never negative at feasible points, goes into the objective with a weight that grows; it is an exact penalty where the
 * problem is partially calm. v is a function whose values are solves of the level, its gradient that of the level's Lagrangian (Danskin; Gauvin and
 * Dubeau 1982), so that no second derivatives of the lower level and no complementarity are needed, and a lower level that is not convex is no harm.
 *
 * Invariant between steps: the last point accepted is the best of those whose lower levels were looked at.
 */
#include "candidates.h"
#include <math.h>
#include <string.h>

typedef struct {
    double weight, growth, largest_weight, gap;
    int64_t starts, level_starts, inner_iterations;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("weight", options, weight, 1, 1e-6, 1e12, "1", "first weight of f - v"),
    PERI_REAL("weight_growth", options, growth, 10, 1.1, 1e4, "1", "factor on the weight between solves"),
    PERI_REAL("largest_weight", options, largest_weight, 1e6, 1, 1e15, "1", "weight of the last solve from a start"),
    PERI_REAL("gap", options, gap, 1e-7, 1e-12, 1, "1", "a lower level is optimal when no solve of it is better by more than this, relative"),
    PERI_INT("starts", options, starts, 4, 1, 1e6, "1", "points that solves start from"),
    PERI_INT("level_starts", options, level_starts, 3, 0, 1e6, "1", "random starts of a lower level that is not proven convex, beside two that are known"),
    PERI_INT("inner_iterations", options, inner_iterations, 1000, 1, 1e9, "1", "most iterations of one inner solve"),
};

typedef struct state state;

/* v_k as a function of the variables that are not level k's, nor of levels inside it */
typedef struct {
    state *s;
    int64_t level, n;
    int64_t *entry;           /* [n] places of its arguments among the run's variables */
    double *x, *at, *y, *z;   /* [n of the run] a point; [n] arguments of the value in hand; its level's answer and multipliers */
    double *g, *jy, value;    /* [n of the run] */
    bool known;
    peri_call call;
} value_of;

struct state {
    options opt;
    candidates known;
    peri_inner *inner;
    peri_x x, weight;
    value_of *value; /* [levels]; entry 0 unused */
    double w, *start;
    int64_t start_number;
    bool all_infeasible, cancelled; /* cancelled: an evaluation inside a solve was, which ends the run */
};

/* ---- the value of a level
 * ---------------------------------------------------------------------------------------------------------------- */

static int refuse(value_of *v, peri_status status)
{
    v->s->cancelled = v->s->cancelled || status == PERI_E_CANCELLED;
    return status == PERI_E_DOMAIN ? 1 : (int)status;
}

/* The answer at the arguments, unless it is the one in hand. */
static int look_up(value_of *v, const double *x)
{
    candidates *c = &v->s->known;
    const peri_level *l = &c->level[v->level];
    if (v->s->cancelled)
        return PERI_E_CANCELLED;
    if (v->known && memcmp(v->at, x, (size_t)v->n * sizeof *x) == 0)
        return 0;
    v->known = false;
    for (int64_t j = 0; j < v->n; j++)
        v->x[v->entry[j]] = v->at[j] = x[j];
    for (int64_t j = 0; j < l->n; j++) /* the last answer is a good start */
        v->x[l->variable[j]] = v->y[j];
    const peri_status status = candidates_solve_level(c, v->level, v->x, &v->value, v->y, v->z);
    if (status != PERI_OK)
        return refuse(v, status);
    if (!isfinite(v->value))
        return 1;
    for (int64_t j = 0; j < l->n; j++)
        v->x[l->variable[j]] = v->y[j];
    v->known = true;
    return 0;
}

static int value_at(void *ud, int64_t n, const double *x, double *f)
{
    value_of *v = ud;
    (void)n;
    const int refused = look_up(v, x);
    *f = v->value;
    return refused;
}

static int gradient_at(void *ud, int64_t n, const double *x, double *g)
{
    value_of *v = ud;
    peri_run *view = v->s->known.view[v->level];
    double f;
    const int refused = look_up(v, x);
    if (refused != 0)
        return refused;
    peri_status status = peri_eval_fg(view, v->x, &f, v->g);
    memset(v->jy, 0, (size_t)v->s->known.n * sizeof *v->jy);
    if (status == PERI_OK && peri_m(view) > 0)
        status = peri_eval_vj(view, v->x, v->z, v->jy);
    if (status != PERI_OK)
        return refuse(v, status);
    for (int64_t j = 0; j < n; j++)
        g[j] = v->g[v->entry[j]] - v->jy[v->entry[j]];
    return 0;
}

/* Whether level k is `level` or lies inside it. */
static bool is_within(const candidates *c, int64_t k, int64_t level)
{
    while (k > level)
        k = c->level[k].parent;
    return k == level;
}

static peri_status make_value(state *s, peri_run *run, int64_t k)
{
    value_of *v = &s->value[k];
    candidates *c = &s->known;
    *v = (value_of){.s = s, .level = k};
    TRY(peri_alloc_index(run, c->n, &v->entry));
    double **of_n[] = {&v->x, &v->at, &v->y, &v->g, &v->jy};
    for (size_t i = 0; i < PERI_COUNT(of_n); i++)
        TRY(peri_alloc(run, c->n, of_n[i]));
    TRY(peri_alloc(run, c->level[k].m, &v->z));
    memcpy(v->x, c->start, (size_t)c->n * sizeof *v->x);
    for (int64_t level = 0; level < c->n_levels; level++)
        for (int64_t j = 0; j < c->level[level].n && !is_within(c, level, k); j++)
            v->entry[v->n++] = c->level[level].variable[j];
    for (int64_t j = 0; j < c->level[k].n; j++)
        v->y[j] = c->start[c->level[k].variable[j]];
    v->call = (peri_call){.name = c->level[k].name, .ud = v, .value = value_at, .gradient = gradient_at};
    return PERI_OK;
}

/* ---- making
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status add_rows(state *s, peri_run *run, int64_t k, peri_x c)
{
    const peri_level *l = &s->known.level[k];
    double *lower, *upper;
    TRY(peri_alloc(run, l->m, &lower));
    TRY(peri_alloc(run, l->m, &upper));
    for (int64_t i = 0; i < l->m; i++) {
        lower[i] = s->known.cl[l->row[i]];
        upper[i] = s->known.cu[l->row[i]];
    }
    return l->m > 0 ? peri_inner_constrain(s->inner, "rows", c, lower, upper, NULL) : PERI_OK;
}

/* F + w sum_k (f_k - v_k), with the rows of all levels */
static peri_status build(state *s, peri_run *run)
{
    peri_x f, c, total, arguments, v;
    TRY(peri_inner_new(run, "value function", &s->inner));
    TRY(peri_inner_variables(s->inner, &s->x));
    TRY(peri_inner_param(s->inner, "weight", 1, 1, &s->w, &s->weight));
    TRY(peri_inner_problem(s->inner, 0, s->x, &total, &c));
    TRY(add_rows(s, run, 0, c));
    for (int64_t k = 1; k < s->known.n_levels; k++) {
        TRY(make_value(s, run, k));
        TRY(peri_inner_problem(s->inner, k, s->x, &f, &c));
        TRY(add_rows(s, run, k, c));
        TRY(peri_x_gather(s->inner, s->x, s->value[k].n, 1, s->value[k].entry, &arguments));
        TRY(peri_x_call(s->inner, &s->value[k].call, arguments, &v));
        TRY(peri_x_binary(s->inner, "sub", f, v, &f));
        TRY(peri_x_binary(s->inner, "mul", s->weight, f, &f));
        TRY(peri_x_binary(s->inner, "add", total, f, &total));
    }
    return peri_inner_minimize(s->inner, total);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    TRY(candidates_init(&s->known, run, s->opt.level_starts, s->opt.gap));
    for (int64_t k = 1; k < s->known.n_levels; k++)
        if (s->known.level[k].n == s->known.n)
            return peri_fail(run, PERI_E_UNSUPPORTED, "the lower level has all variables, so its value is a number");
    s->value = peri_alloc_bytes(run, (size_t)s->known.n_levels, sizeof *s->value);
    TRY(s->value != NULL ? peri_alloc(run, s->known.n, &s->start) : PERI_E_NOMEM);
    memcpy(s->start, s->known.start, (size_t)s->known.n * sizeof *s->start);
    s->w = s->opt.weight;
    s->all_infeasible = true;
    return build(s, run);
}

/* ---- one solve
 * ---------------------------------------------------------------------------------------------------------------- */

static void next_start(state *s)
{
    s->start_number++;
    s->w = s->opt.weight;
    for (int64_t j = 0; j < s->known.n; j++)
        s->start[j] = candidates_random(&s->known, j);
}

/* A larger weight from where the last solve ended, until its lower levels are optimal; then another start. */
static peri_status advance(state *s, const peri_inner_result *r, bool optimal)
{
    if (r == NULL || r->why == PERI_WHY_INFEASIBLE || optimal || s->w >= s->opt.largest_weight) {
        next_start(s);
    } else {
        s->w = fmin(s->opt.largest_weight, s->w * s->opt.growth);
        memcpy(s->start, r->x, (size_t)s->known.n * sizeof *s->start);
    }
    return peri_inner_set_param(s->inner, s->weight, &s->w);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const peri_inner_request q = {.size = (uint32_t)sizeof q, .x = s->start, .iterations = s->opt.inner_iterations};
    const peri_inner_result *r = NULL;
    bool optimal = false, improved = false;
    peri_row row = peri_empty_row();
    row.regularization = s->w;
    row.tag = '-';
    const peri_status status = peri_inner_solve(s->inner, &q, &r);
    if (s->cancelled)
        return PERI_E_CANCELLED;
    TRY(status == PERI_E_DOMAIN ? PERI_OK : status);
    if (status != PERI_OK)
        r = NULL;
    if (r != NULL && r->why != PERI_WHY_INFEASIBLE) {
        s->all_infeasible = false;
        TRY(candidates_look(&s->known, r->x, &optimal, &improved));
        row.tag = improved ? '*' : '+';
    }
    TRY(candidates_accept(&s->known, run, &row, next));
    TRY(advance(s, r, optimal));
    return s->start_number >= s->opt.starts ? candidates_finish(&s->known, s->all_infeasible, next) : PERI_OK;
}

static const peri_reformulation_ops OPS = {.init = init, .step = step};

static const char PAGE[] =
    "Replaces \"y is optimal for the lower level\" by the rows of that level and f(x, y) - v(x) = 0, where v(x) is the least value of f at x; the difference "
    "is never negative, and goes into the objective with a weight that grows from solve to solve. The rest of the plan sees a problem with rows and first "
    "derivatives: \"value-function > augmented-lagrangian > lbfgs\" is the usual one. v is evaluated by solving the lower level, from several starts "
    "unless it is proven convex, so that lower levels that are not convex are taken as they are meant; it may have kinks then, at which a "
    "solver can get stuck short of an optimum.\n\n"
    "Where the problem is not partially calm the answers come nearer only as the weight grows. Each point is also offered with the lower level's own answer in "
    "it, (x, y(x)), which is exact below. The form is optimistic where that answer is unique, and as the solver happens to choose where it is not.\n\n"
    "A row of the history is one inner solve, with the best objective so far; * a better point, + solved, - no feasible point. Column "
    "regularization is the weight.";

extern const peri_plugin VALUE_FUNCTION;
const peri_plugin VALUE_FUNCTION = {
    PERI_REFORMULATION(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "value-function",
    .family = "levels",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "lower levels replaced by their rows and a growing weight on the distance from their least value",
    .page = PAGE,
    .reference = "Outrata 1990, Z. Oper. Res. 34; Ye and Zhu 1995, Optimization 33; Gauvin and Dubeau 1982, Math. Program. Study 19",
    .needs = {PERI_BIT(PERI_TRAIT_LEVELS) | PERI_NEEDS_GRADIENT},
    .refuses = {PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    .removes = {PERI_BIT(PERI_TRAIT_LEVELS) | PERI_BIT(PERI_TRAIT_MULTILEVEL) | PERI_BIT(PERI_TRAIT_CONVEX) |
                PERI_BIT(PERI_TRAIT_HESSIAN) | PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN) | PERI_BIT(PERI_TRAIT_LEAST_SQUARES) |
                PERI_BIT(PERI_TRAIT_LINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_QUADRATIC_OBJECTIVE)},
    .adds = {PERI_BIT(PERI_TRAIT_NONLINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_OBJECTIVE)},
    .flags = PERI_FLAG_RANDOM,
    .rank = 20,
};
