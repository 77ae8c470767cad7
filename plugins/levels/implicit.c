/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit - two-level problems as one level in the upper variables alone: y(x) is the lower level's answer, and F(x, y(x)) has the gradient that
 * the implicit function theorem gives for its optimality conditions (Fiacco 1983; Kolstad and Lasdon 1990):
 *
 *     [ L_yy  A' ] [u]   [F_y]          d/dx F(x, y(x)) = F_x - L_xy u - A_x' w
 *     [ A     0  ] [w] = [ 0 ]          L = f - lambda'c,  A the gradients of the active rows; entries of y at a bound have u = 0
 *
 * One sparse factorisation at each x serves the objective and every row of level 0 that has y in it.
 *
 * Invariant between steps: the last point accepted is the best of those whose lower levels were looked at.
 */
#include "candidates.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    double active, gap;
    int64_t starts, level_starts, inner_iterations;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("active", options, active, 1e-6, 0, 1, "1", "a multiplier of a lower level larger than this, relative, makes its row active"),
    PERI_REAL("gap", options, gap, 1e-7, 1e-12, 1, "1", "a lower level is optimal when no solve of it is better by more than this, relative"),
    PERI_INT("starts", options, starts, 4, 1, 1e6, "1", "points that solves start from"),
    PERI_INT("level_starts", options, level_starts, 3, 0, 1e6, "1", "random starts of a lower level that is not proven convex, beside two that are known"),
    PERI_INT("inner_iterations", options, inner_iterations, 1000, 1, 1e9, "1", "most iterations of one inner solve"),
};

/* One lower level's conditions at the point in hand, factorised. */
typedef struct {
    int64_t level, n, m;     /* its variables and rows */
    peri_run *view;
    peri_pattern hess, jac, kkt;
    double *hess_val, *jac_val, *kkt_val;
    int64_t *of_hess, *of_jac; /* place in kkt_val of an entry; -1: not level's own */
    int64_t *place;            /* [n of the run] index among the level's variables, -1 */
    int64_t *diagonal;         /* [n + m] */
    unsigned char *held;       /* [n + m] variables at a bound; rows that are not active */
    double *y, *z, *rhs;       /* [n], [m], [n + m] */
    double *minus_z;           /* [m] weights of the Lagrangian's Hessian */
    peri_factor *factor;
} lower;

typedef struct state state;

/* The objective (row -1) or a row of level 0 as a function of the upper variables. */
typedef struct {
    state *s;
    int64_t row;
    peri_call call;
} outer;

struct state {
    options opt;
    candidates known;
    peri_inner *inner;
    peri_run *top; /* level 0's view */
    peri_x x;      /* the upper variables, a column */
    const peri_level *upper;
    lower *low;    /* [levels]; entry 0 unused */
    outer *outer;  /* [1 + rows of level 0] */
    double *at, *point, *c, *w;  /* [upper->n] arguments in hand; [n] them with the answers; [rows of level 0] values; weights */
    double *g, *h, *v;           /* [n] scratch */
    double f, *start;
    bool known_at, has_factors, singular, cancelled; /* cancelled: an evaluation inside a solve was, which ends the run */
    int64_t start_number;
};

/* ---- the lower levels' answers
 * ---------------------------------------------------------------------------------------------------------------- */

static int refuse(state *s, peri_status status)
{
    s->cancelled = s->cancelled || status == PERI_E_CANCELLED;
    return status == PERI_E_DOMAIN ? 1 : (int)status;
}

/* Answers and values at x; 0, 1 where some level has none, or an error. */
static int answer(state *s, const double *x)
{
    candidates *c = &s->known;
    if (s->cancelled)
        return PERI_E_CANCELLED;
    if (s->known_at && memcmp(s->at, x, (size_t)s->upper->n * sizeof *x) == 0)
        return 0;
    s->known_at = s->has_factors = false;
    for (int64_t j = 0; j < s->upper->n; j++)
        s->point[s->upper->variable[j]] = s->at[j] = x[j];
    for (int64_t k = 1; k < c->n_levels; k++) {
        lower *l = &s->low[k];
        double f;
        const peri_status status = candidates_solve_level(c, k, s->point, &f, l->y, l->z);
        if (status != PERI_OK)
            return refuse(s, status);
        if (!isfinite(f))
            return 1;
        for (int64_t j = 0; j < l->n; j++)
            s->point[c->level[k].variable[j]] = l->y[j];
    }
    peri_status status = peri_eval_f(s->top, s->point, &s->f);
    if (status == PERI_OK && s->upper->m > 0)
        status = peri_eval_c(s->top, s->point, s->c);
    if (status != PERI_OK)
        return refuse(s, status);
    s->known_at = true;
    return 0;
}

static double largest(int64_t n, const double *v)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++)
        most = fmax(most, fabs(v[k]));
    return most;
}

/* Variables at a bound that their multiplier presses them to, and rows without a multiplier that are not equations, are taken out. */
static peri_status find_active(state *s, lower *l)
{
    const candidates *c = &s->known;
    const peri_level *level = &c->level[l->level];
    const double small = s->opt.active * fmax(1, largest(l->m, l->z));
    double f;
    TRY(peri_eval_fg(l->view, s->point, &f, s->g));
    memset(s->h, 0, (size_t)c->n * sizeof *s->h);
    if (l->m > 0)
        TRY(peri_eval_vj(l->view, s->point, l->z, s->h));
    for (int64_t j = 0; j < l->n; j++) {
        const int64_t at = level->variable[j];
        const double slope = s->g[at] - s->h[at], near = 1e-5 * fmax(1, fabs(s->point[at]));
        l->held[j] = c->xl[at] >= c->xu[at] || (slope > small && s->point[at] - c->xl[at] <= near) ||
                     (slope < -small && c->xu[at] - s->point[at] <= near);
    }
    for (int64_t i = 0; i < l->m; i++) {
        const int64_t row = level->row[i];
        l->held[l->n + i] = c->cl[row] < c->cu[row] && fabs(l->z[i]) <= small;
    }
    return PERI_OK;
}

/* An entry of the matrix, unless its row or column is held: those are rows of the identity. */
static void put(lower *l, int64_t where, int64_t a, int64_t b, double value)
{
    if (where >= 0 && !l->held[a] && !l->held[b])
        l->kkt_val[where] += value;
}

static peri_status factorise(state *s, lower *l)
{
    memset(l->kkt_val, 0, (size_t)l->kkt.nnz * sizeof *l->kkt_val);
    TRY(find_active(s, l));
    for (int64_t i = 0; i < l->m; i++)
        l->minus_z[i] = -l->z[i];
    TRY(peri_eval_hess(l->view, s->point, 1, l->minus_z, l->hess_val));
    for (int64_t j = 0; j < l->hess.cols; j++)
        for (int64_t k = l->hess.start[j]; k < l->hess.start[j + 1]; k++)
            if (l->of_hess[k] >= 0)
                put(l, l->of_hess[k], l->place[l->hess.index[k]], l->place[j], l->hess_val[k]);
    if (l->m > 0)
        TRY(peri_eval_jac(l->view, s->point, l->jac_val));
    for (int64_t j = 0; l->m > 0 && j < l->jac.cols; j++)
        for (int64_t k = l->jac.start[j]; k < l->jac.start[j + 1]; k++)
            if (l->of_jac[k] >= 0)
                put(l, l->of_jac[k], l->n + l->jac.index[k], l->place[j], l->jac_val[k]);
    for (int64_t k = 0; k < l->n + l->m; k++)
        if (l->held[k])
            l->kkt_val[l->diagonal[k]] = 1;
    return peri_factor_values(l->factor, l->kkt_val, NULL);
}

/* Factors at the point in hand; 1 where some level's matrix is singular. */
static int factorise_all(state *s)
{
    for (int64_t k = 1; k < s->known.n_levels && !s->has_factors; k++) {
        const peri_status status = factorise(s, &s->low[k]);
        if (status == PERI_E_NUMERIC) {
            char text[256];
            snprintf(text, sizeof text, "the optimality conditions of level \"%.100s\" are singular at a point: no derivative there",
                     s->known.level[k].name);
            if (!s->singular)
                peri_note(s->known.run, 0, text);
            s->singular = true;
            return 1;
        }
        if (status != PERI_OK)
            return refuse(s, status);
    }
    s->has_factors = true;
    return 0;
}

/* g [n], the gradient of a function of all variables, becomes in its upper entries that of the function of them alone. */
static peri_status through_level(state *s, lower *l, double *g)
{
    const peri_level *level = &s->known.level[l->level];
    memset(l->rhs, 0, (size_t)(l->n + l->m) * sizeof *l->rhs);
    for (int64_t j = 0; j < l->n; j++)
        l->rhs[j] = l->held[j] ? 0 : g[level->variable[j]];
    TRY(peri_factor_solve(l->factor, l->rhs));
    memset(s->v, 0, (size_t)s->known.n * sizeof *s->v);
    for (int64_t j = 0; j < l->n; j++)
        s->v[level->variable[j]] = l->held[j] ? 0 : l->rhs[j];
    TRY(peri_eval_hv(l->view, s->point, 1, l->minus_z, s->v, s->h));
    for (int64_t j = 0; j < s->upper->n; j++)
        g[s->upper->variable[j]] -= s->h[s->upper->variable[j]];
    if (l->m == 0)
        return PERI_OK;
    for (int64_t i = 0; i < l->m; i++)
        l->rhs[l->n + i] = l->held[l->n + i] ? 0 : l->rhs[l->n + i];
    TRY(peri_eval_vj(l->view, s->point, l->rhs + l->n, s->h));
    for (int64_t j = 0; j < s->upper->n; j++)
        g[s->upper->variable[j]] -= s->h[s->upper->variable[j]];
    return PERI_OK;
}

static int value_at(void *ud, int64_t n, const double *x, double *f)
{
    const outer *o = ud;
    (void)n;
    const int refused = answer(o->s, x);
    *f = o->row < 0 ? o->s->f : o->s->c[o->row];
    return refused;
}

static int gradient_at(void *ud, int64_t n, const double *x, double *g)
{
    const outer *o = ud;
    state *s = o->s;
    double f;
    int refused = answer(s, x);
    if (refused == 0)
        refused = factorise_all(s);
    if (refused != 0)
        return refused;
    peri_status status;
    if (o->row < 0) {
        status = peri_eval_fg(s->top, s->point, &f, s->g);
    } else {
        memset(s->w, 0, (size_t)s->upper->m * sizeof *s->w);
        s->w[o->row] = 1;
        status = peri_eval_vj(s->top, s->point, s->w, s->g);
    }
    for (int64_t k = 1; k < s->known.n_levels && status == PERI_OK; k++)
        status = through_level(s, &s->low[k], s->g);
    if (status != PERI_OK)
        return refuse(s, status);
    for (int64_t j = 0; j < n; j++)
        g[j] = s->g[s->upper->variable[j]];
    return 0;
}

/* ---- making
 * ---------------------------------------------------------------------------------------------------------------- */

/* The lower triangle of the matrix by columns: under each variable its second derivatives and its rows' entries; under each row its
 * diagonal. Counted in the first pass (index NULL), written in the second. */
static void walk(lower *l, const peri_level *level, int64_t *start, int64_t *index)
{
    int64_t at = 0;
    for (int64_t j = 0; j < l->n; j++) {
        const int64_t column = level->variable[j];
        start[j] = at;
        if (index != NULL)
            index[at] = j;
        l->diagonal[j] = at++;
        for (int64_t k = l->hess.start[column]; k < l->hess.start[column + 1]; k++) {
            const int64_t row = l->place[l->hess.index[k]];
            l->of_hess[k] = row < 0 ? -1 : row == j ? l->diagonal[j] : at;
            if (row < 0 || row == j)
                continue;
            if (index != NULL)
                index[at] = row;
            at++;
        }
        for (int64_t k = l->m > 0 ? l->jac.start[column] : 0; l->m > 0 && k < l->jac.start[column + 1]; k++) {
            if (index != NULL)
                index[at] = l->n + l->jac.index[k];
            l->of_jac[k] = at++;
        }
    }
    for (int64_t i = 0; i < l->m; i++) {
        start[l->n + i] = at;
        if (index != NULL)
            index[at] = l->n + i;
        l->diagonal[l->n + i] = at++;
    }
    start[l->n + l->m] = at;
}

static peri_status make_lower(state *s, peri_run *run, int64_t k)
{
    const peri_level *level = &s->known.level[k];
    lower *l = &s->low[k];
    int64_t *start, *index;
    *l = (lower){.level = k, .n = level->n, .m = level->m, .view = s->known.view[k]};
    const int64_t size = l->n + l->m;
    TRY(peri_hess_pattern(l->view, &l->hess));
    if (l->m > 0)
        TRY(peri_jac_pattern(l->view, &l->jac));
    TRY(peri_alloc(run, l->hess.nnz + 1, &l->hess_val));
    TRY(peri_alloc(run, l->jac.nnz + 1, &l->jac_val));
    TRY(peri_alloc_index(run, l->hess.nnz + 1, &l->of_hess));
    TRY(peri_alloc_index(run, l->jac.nnz + 1, &l->of_jac));
    TRY(peri_alloc_index(run, s->known.n, &l->place));
    TRY(peri_alloc_index(run, size, &l->diagonal));
    TRY(peri_alloc(run, l->n, &l->y));
    TRY(peri_alloc(run, l->m, &l->z));
    TRY(peri_alloc(run, l->m, &l->minus_z));
    TRY(peri_alloc(run, size, &l->rhs));
    TRY(peri_alloc_index(run, size + 1, &start));
    l->held = peri_alloc_bytes(run, (size_t)size, 1);
    if (l->held == NULL)
        return PERI_E_NOMEM;
    for (int64_t j = 0; j < s->known.n; j++)
        l->place[j] = -1;
    for (int64_t j = 0; j < l->n; j++)
        l->place[level->variable[j]] = j;
    memset(l->of_hess, 0xff, (size_t)l->hess.nnz * sizeof *l->of_hess); /* -1 */
    memset(l->of_jac, 0xff, (size_t)l->jac.nnz * sizeof *l->of_jac);
    walk(l, level, start, NULL);
    TRY(peri_alloc_index(run, start[size], &index));
    walk(l, level, start, index);
    l->kkt = (peri_pattern){size, size, start[size], start, index};
    TRY(peri_alloc(run, l->kkt.nnz, &l->kkt_val));
    return peri_factor_open(run, NULL, &l->kkt, PERI_FLAG_INDEFINITE, &l->factor);
}

static peri_status add_outer(state *s, int64_t row, peri_x *out)
{
    outer *o = &s->outer[1 + row];
    *o = (outer){.s = s, .row = row};
    o->call = (peri_call){.name = row < 0 ? "F(x, y(x))" : "G(x, y(x))", .ud = o, .value = value_at, .gradient = gradient_at};
    return peri_x_call(s->inner, &o->call, s->x, out);
}

/* Rows of level 0: those without lower variables stay the expressions that they are. */
static peri_status add_rows(state *s, peri_run *run)
{
    const candidates *c = &s->known;
    unsigned char *has_lower = peri_alloc_bytes(run, (size_t)s->upper->m + 1, 1);
    int64_t *row;
    peri_x all, point, f, e;
    peri_pattern a;
    TRY(has_lower != NULL ? peri_alloc_index(run, s->upper->m + 1, &row) : PERI_E_NOMEM);
    TRY(peri_jac_pattern(s->top, &a));
    for (int64_t k = 1; k < c->n_levels; k++)
        for (int64_t j = 0; j < c->level[k].n; j++)
            for (int64_t t = a.start[c->level[k].variable[j]]; t < a.start[c->level[k].variable[j] + 1]; t++)
                has_lower[a.index[t]] = 1;
    TRY(peri_x_scatter(s->inner, s->x, c->n, 1, s->upper->variable, &point));
    TRY(peri_inner_problem(s->inner, 0, point, &f, &all));
    for (int64_t i = 0; i < s->upper->m; i++) {
        row[0] = i;
        TRY(has_lower[i] ? add_outer(s, i, &e) : peri_x_gather(s->inner, all, 1, 1, row, &e));
        TRY(peri_inner_constrain(s->inner, "row", e, &c->cl[s->upper->row[i]], &c->cu[s->upper->row[i]], NULL));
    }
    return PERI_OK;
}

static peri_status build(state *s, peri_run *run)
{
    const candidates *c = &s->known;
    double *bounds[2];
    peri_x f;
    TRY(peri_inner_new(run, "implicit", &s->inner));
    TRY(peri_inner_var(s->inner, "x", s->upper->n, 1, &s->x));
    for (int k = 0; k < 2; k++) {
        TRY(peri_alloc(run, s->upper->n, &bounds[k]));
        for (int64_t j = 0; j < s->upper->n; j++)
            bounds[k][j] = (k == 0 ? c->xl : c->xu)[s->upper->variable[j]];
    }
    TRY(peri_inner_set_bounds(s->inner, s->x, bounds[0], bounds[1]));
    TRY(peri_inner_set_start(s->inner, s->x, s->start));
    if (s->upper->m > 0)
        TRY(add_rows(s, run));
    TRY(add_outer(s, -1, &f));
    return peri_inner_minimize(s->inner, f);
}

static peri_status check(const state *s, peri_run *run)
{
    for (int64_t k = 1; k < s->known.n_levels; k++)
        if (s->known.level[k].parent > 0)
            return peri_fail(run, PERI_E_UNSUPPORTED, "a level lies inside a lower level; use its argmin{} there");
    if (s->upper->n == 0)
        return peri_fail(run, PERI_E_UNSUPPORTED, "there are no upper variables");
    return PERI_OK;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    TRY(candidates_init(&s->known, run, s->opt.level_starts, s->opt.gap));
    s->upper = &s->known.level[0];
    TRY(check(s, run));
    TRY(peri_level_view(run, 0, &s->top));
    double **of_n[] = {&s->point, &s->g, &s->h, &s->v}, **of_upper[] = {&s->at, &s->start};
    for (size_t k = 0; k < PERI_COUNT(of_n); k++)
        TRY(peri_alloc(run, s->known.n, of_n[k]));
    for (size_t k = 0; k < PERI_COUNT(of_upper); k++)
        TRY(peri_alloc(run, s->upper->n, of_upper[k]));
    TRY(peri_alloc(run, s->upper->m, &s->c));
    TRY(peri_alloc(run, s->upper->m, &s->w));
    s->low = peri_alloc_bytes(run, (size_t)s->known.n_levels, sizeof *s->low);
    s->outer = peri_alloc_bytes(run, (size_t)s->upper->m + 1, sizeof *s->outer);
    if (s->low == NULL || s->outer == NULL)
        return PERI_E_NOMEM;
    memcpy(s->point, s->known.start, (size_t)s->known.n * sizeof *s->point);
    for (int64_t k = 1; k < s->known.n_levels; k++)
        TRY(make_lower(s, run, k));
    for (int64_t j = 0; j < s->upper->n; j++)
        s->start[j] = s->known.start[s->upper->variable[j]];
    return build(s, run);
}

/* ---- one solve
 * ---------------------------------------------------------------------------------------------------------------- */

/* One solve from one start; its point with the lower levels' answers is looked at like any other. */
static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const peri_inner_request q = {.size = (uint32_t)sizeof q, .x = s->start, .iterations = s->opt.inner_iterations};
    const peri_inner_result *r;
    bool optimal, improved = false;
    peri_row row = peri_empty_row();
    row.tag = '-';
    const peri_status status = peri_inner_solve(s->inner, &q, &r);
    if (s->cancelled)
        return PERI_E_CANCELLED;
    TRY(status == PERI_E_DOMAIN ? PERI_OK : status);
    if (status == PERI_OK) {
        const int refused = answer(s, r->x);
        if (refused < 0)
            return (peri_status)refused;
        if (refused == 0)
            TRY(candidates_look(&s->known, s->point, &optimal, &improved));
        row.tag = improved ? '*' : refused == 0 ? '+' : '-';
    }
    TRY(candidates_accept(&s->known, run, &row, next));
    if (++s->start_number >= s->opt.starts)
        return candidates_finish(&s->known, false, next);
    for (int64_t j = 0; j < s->upper->n; j++)
        s->start[j] = candidates_random(&s->known, s->upper->variable[j]);
    return PERI_OK;
}

static const peri_reformulation_ops OPS = {.init = init, .step = step};

static const char PAGE[] =
    "Solves the lower level inside: its answer y(x) is a function of the upper variables, and the rest of the plan minimizes F(x, y(x)) with gradients by "
    "implicit differentiation of the lower level's optimality conditions, from one factorisation of them at each x. \"implicit > lbfgs\" is the usual plan; "
    "where level 0 has rows, \"implicit > augmented-lagrangian > lbfgs\".\n\n"
    "For lower levels whose answer is unique and whose active rows are known: y(x) has a kink where an active row changes, and a jump where "
    "a lower level that is not convex changes its mind. Where the conditions are singular, as with several answers, that is noted and "
    "counts as a point without a "
    "derivative. A level inside a lower level: use its argmin{}, which has the same derivative, as an expression.\n\n"
    "A row of the history is one solve from one start, with the best objective so far; * a better point, + solved, - no answer.";

extern const peri_plugin IMPLICIT;
const peri_plugin IMPLICIT = {
    PERI_REFORMULATION(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "implicit",
    .family = "levels",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "lower levels solved inside, with gradients by implicit differentiation of their optimality conditions",
    .page = PAGE,
    .reference = "Fiacco 1983, Introduction to Sensitivity and Stability Analysis; Kolstad and Lasdon 1990, J. Optim. Theory Appl. 65; Blondel et al. 2022, "
                 "arXiv 2105.15183",
    .needs = {PERI_BIT(PERI_TRAIT_LEVELS) | PERI_NEEDS_HESSIAN},
    .refuses = {PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    /* only level 0's rows are left, which may be none: whether there are any is seen once the problem is made */
    .removes = {PERI_BIT(PERI_TRAIT_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_EQUALITIES) | PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS) |
                PERI_BIT(PERI_TRAIT_LEVELS) | PERI_BIT(PERI_TRAIT_MULTILEVEL) | PERI_BIT(PERI_TRAIT_CONVEX) |
                PERI_BIT(PERI_TRAIT_HESSIAN) | PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN) | PERI_BIT(PERI_TRAIT_LEAST_SQUARES) |
                PERI_BIT(PERI_TRAIT_LINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_QUADRATIC_OBJECTIVE)},
    .adds = {PERI_BIT(PERI_TRAIT_NONLINEAR_OBJECTIVE) | PERI_BIT(PERI_TRAIT_OBJECTIVE)},
    .flags = PERI_FLAG_RANDOM,
    .rank = 10,
};
