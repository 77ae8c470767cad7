/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certify_levels.c - is a point of a problem with lower levels what it is said to be? Each lower level is solved again, the variables of the other
 * levels held, from the point's own part, from the user's start and from points drawn within its bounds: whatever is found there must not be better
 * than the point. Its own conditions of optimality are evaluated at the point with the multipliers of those solves or of a fit. Invariant: a level
 * that gave no answer has an infinite gap, never a small one.
 */
#include "run/certify_levels.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/rng.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* An answer counts as an optimum up to this kkt, whatever its method says of it. */
static const double SOLVED = 1e-5;

/* A residual of a level's own conditions beyond which they are said not to hold. */
static const double MISFIT = 1e-4;

typedef struct {
    int64_t solves, solved, infeasible, unbounded;
    double best;
    bool any, convex;     /* a feasible point; proven convex there */
    double *x, *y, *z;    /* [n, m, n of the level] the best optimum's */
    bool has_multipliers;
    char text[120];       /* what the last solve that failed says */
} search;

/* ---- starts
 * ---------------------------------------------------------------------------------------------------------------- */

/* A range for a variable's start: its bounds, or what lies around where it is. */
static double draw(const certify_work *w, int64_t j, double u)
{
    const nlp *p = w->run->p;
    const double reach = fmax(1, 2 * fmax(fabs(w->x[j]), fabs(w->run->start[j])));
    const double lo = isfinite(p->xl[j]) ? p->xl[j] : isfinite(p->xu[j]) ? p->xu[j] - 2 * reach : w->x[j] - reach;
    const double up = isfinite(p->xu[j]) ? p->xu[j] : isfinite(p->xl[j]) ? p->xl[j] + 2 * reach : w->x[j] + reach;
    return lo + u * (up - lo);
}

static void make_start(const certify_work *w, int32_t level, int64_t number, double *start)
{
    const peri_level *l = &w->all->info[level];
    for (int64_t i = 0; i < l->n; i++) {
        const int64_t j = l->variable[i];
        const double u = rng_uniform(w->run->limits.seed, UINT64_C(0x6c6f776572) + (uint64_t)level, (uint64_t)(number * l->n + i));
        start[i] = number == 0 ? w->x[j] : number == 1 ? w->run->start[j] : draw(w, j, u);
    }
}

/* ---- solving again
 * ---------------------------------------------------------------------------------------------------------------- */

static void take(const certify_work *w, int32_t level, const peri_inner_result *r, search *s)
{
    const peri_level *l = &w->all->info[level];
    const bool feasible = r->primal <= outcome_threshold(w->tolerance);
    const bool solved = r->why == PERI_WHY_CONVERGED || (feasible && r->kkt <= SOLVED);
    s->infeasible += r->why == PERI_WHY_INFEASIBLE;
    s->unbounded += r->why == PERI_WHY_UNBOUNDED;
    s->solved += solved;
    if (!solved)
        snprintf(s->text, sizeof s->text, "%.110s", r->message);
    if (!(solved || (feasible && isfinite(r->objective))) || (s->any && !(r->objective < s->best)))
        return;
    s->any = true;
    s->best = r->objective;
    memcpy(s->x, r->x, (size_t)l->n * sizeof *s->x);
    memcpy(s->z, r->z, (size_t)l->n * sizeof *s->z);
    if (l->m > 0)
        memcpy(s->y, r->y, (size_t)l->m * sizeof *s->y);
    s->has_multipliers = solved;
}

/* PERI_E_NAME: the plan of a method that is not in the registry. */
static bool is_answer(peri_status status)
{
    return status == PERI_E_NAME || status == PERI_E_DOMAIN || status == PERI_E_NUMERIC || status == PERI_E_UNSUPPORTED || status == PERI_E_CANCELLED;
}

/* By the engine's choice; where no method is chosen for a level with levels inside, by the plan that solved the whole. */
static peri_status solve_once(const certify_work *w, int32_t level, const double *start, const peri_inner_result **r)
{
    peri_inner_request q = {.size = (uint32_t)sizeof q, .x = start};
    const peri_status status = levels_solve(w->run, level, w->x, &q, r);
    if (status != PERI_E_UNSUPPORTED || !certify_has_inside(w, level))
        return status;
    q.plan = w->run->chain->text;
    return levels_solve(w->run, level, w->x, &q, r);
}

static bool is_proven_convex(const certify_work *w, int32_t level)
{
    const peri_inner *inner = w->run->level[level].solve;
    return inner != NULL && inner->model->nlp != NULL && (inner->model->nlp->class_.traits & PERI_BIT(PERI_TRAIT_CONVEX)) != 0;
}

static peri_status look_for_better(const certify_work *w, int32_t level, double *start, search *s)
{
    const int64_t most = w->run->chain->link[w->run->link].engine.lower_starts;
    for (int64_t number = 0; number < most && s->unbounded == 0; number++) {
        const peri_inner_result *r;
        make_start(w, level, number, start);
        const peri_status status = solve_once(w, level, start, &r);
        if (status != PERI_OK && !is_answer(status))
            return status;
        s->solves++;
        if (status != PERI_OK)
            snprintf(s->text, sizeof s->text, "%.110s", peri_error(w->run->ctx));
        else
            take(w, level, r, s);
        s->convex = is_proven_convex(w, level);
        if ((s->convex && (s->solved > 0 || s->infeasible > 0)) || w->run->ctx->interrupted ||
            clock_seconds() - w->run->started >= w->run->limits.time_limit)
            break;
    }
    return PERI_OK;
}

static peri_lower_state state_of(const search *s, double violation, double threshold)
{
    if (s->unbounded > 0)
        return PERI_LOWER_UNBOUNDED;
    if (s->any)
        return s->solved > 0 ? PERI_LOWER_SOLVED : PERI_LOWER_UNPROVEN;
    return s->infeasible > 0 && violation > threshold ? PERI_LOWER_INFEASIBLE : PERI_LOWER_FAILED;
}

/* A convex level whose conditions hold at the point is optimal there, whatever solves do at a set without an interior, say. */
static bool is_proven_by_conditions(const certify_work *w, const search *s, const certify_lower *low, double violation)
{
    const double most = outcome_threshold(w->tolerance);
    return s->convex && s->unbounded == 0 && violation <= most && fmax(low->residual, low->complementarity) <= most;
}

/* ---- its own conditions
 * ---------------------------------------------------------------------------------------------------------------- */

peri_status certify_factor(certify_work *w, nlp *p, const double *x, const double *y, const double *z, double *factor)
{
    double f, sum = 0, most = 1, *g = arena_array(&w->memory, (size_t)p->n, sizeof *g);
    *factor = 1;
    if (g == NULL)
        return FAIL_NOMEM(p->ctx);
    const peri_status status = nlp_fg(p, x, &f, g);
    if (status != PERI_OK)
        return is_answer(status) ? PERI_OK : status;
    for (int64_t j = 0; j < p->n; j++) {
        most = fmax(most, fabs(g[j]));
        sum += fabs(z[j]);
    }
    for (int64_t i = 0; i < p->m; i++)
        sum += fabs(y[i]);
    *factor = fmax(1, sum / (double)(p->n + p->m) / most);
    return PERI_OK;
}

static peri_status try_multipliers(certify_work *w, nlp *p, const double *x, const double *y, const double *z, certify_lower *low)
{
    peri_certificate c;
    double factor;
    TRY(certify(p, x, y, z, &c));
    TRY(certify_factor(w, p, x, y, z, &factor));
    c.dual *= factor;
    c.complementarity *= factor;
    /* as good is better: the fit at the point is tried after a barrier's multipliers, which are not zero on weakly active rows */
    if (!(fmax(c.dual, c.complementarity) <= fmax(low->residual, low->complementarity)))
        return PERI_OK;
    low->residual = c.dual;
    low->complementarity = c.complementarity;
    memcpy(low->z, z, (size_t)p->n * sizeof *z);
    if (p->m > 0)
        memcpy(low->y, y, (size_t)p->m * sizeof *y);
    return PERI_OK;
}

/* At the point itself, with the multipliers of the best solve, or with a fit. */
static peri_status look_at_conditions(certify_work *w, int32_t level, const search *s, certify_lower *low)
{
    const peri_level *l = &w->all->info[level];
    const peri_inner *inner = w->run->level[level].solve;
    nlp *p;
    if (inner == NULL || w->all->at[level].class_.integers > 0)
        return PERI_OK;
    if (certify_has_inside(w, level))
        return certify_held_level(w, level);
    TRY(nlp_of(inner->model, &p));
    double *x = arena_array(&w->memory, (size_t)l->n, sizeof *x), *y = arena_array(&w->memory, (size_t)l->m, sizeof *y),
           *z = arena_array(&w->memory, (size_t)l->n, sizeof *z);
    if (x == NULL || y == NULL || z == NULL)
        return FAIL_NOMEM(w->run->ctx);
    for (int64_t i = 0; i < l->n; i++)
        x[i] = w->x[l->variable[i]];
    if (s->has_multipliers)
        TRY(try_multipliers(w, p, x, s->y, s->z, low));
    TRY(certify_estimate(p, x, NULL, y, z));
    return try_multipliers(w, p, x, y, z, low);
}

/* ---- one level
 * ---------------------------------------------------------------------------------------------------------------- */

static double violation_of(const certify_work *w, int32_t level)
{
    const peri_level *l = &w->all->info[level];
    const nlp *p = w->run->p;
    double most = 0;
    for (int64_t i = 0; i < l->n; i++) {
        const int64_t j = l->variable[i];
        most = fmax(most, fmax(p->xl[j] - w->x[j], w->x[j] - p->xu[j]));
    }
    double *c = w->run->rows;
    for (int64_t i = 0; i < l->m; i++) {
        const int64_t row = l->row[i];
        most = fmax(most, fmax(p->cl[row] - c[row], c[row] - p->cu[row]));
    }
    return most;
}

static void tell_level(const certify_work *w, const peri_lower_result *r, const search *s, solution_levels *out)
{
    char a[NUM_SIZE], b[NUM_SIZE];
    const double most = outcome_lower_threshold(w->tolerance);
    if (out->why[0] != '\0')
        return;
    if (r->state == PERI_LOWER_INFEASIBLE)
        snprintf(out->why, sizeof out->why, "lower model \"%.60s\" has no feasible point where the variables around it are", r->name);
    else if (r->state == PERI_LOWER_UNBOUNDED)
        snprintf(out->why, sizeof out->why, "lower model \"%.60s\" is unbounded where the variables around it are", r->name);
    else if (r->state != PERI_LOWER_SOLVED)
        snprintf(out->why, sizeof out->why, "lower model \"%.60s\": none of %lld independent solves came to an end: %.80s", r->name,
                 (long long)s->solves, s->text);
    else if (r->gap > most)
        snprintf(out->why, sizeof out->why, "lower model \"%.60s\" is not optimal at the point: its objective is %s, an independent solve found %s",
                 r->name, num_print_digits(r->objective, 6, a), num_print_digits(r->best, 6, b));
    else if (r->residual > MISFIT && isfinite(r->residual))
        snprintf(out->why, sizeof out->why, "lower model \"%.60s\": no multipliers fit its conditions of optimality at the point (residual %s): its "
                 "constraints meet no qualification there, or the point is not accurate enough", r->name, num_print_digits(r->residual, 3, a));
}

static void add(peri_lower_result r, int32_t level, double gap, solution_levels *out)
{
    static const int badness[] = {0, 1, 4, 3, 2}; /* of states */
    out->gap = fmax(out->gap, gap);
    out->answered = out->answered && r.state == PERI_LOWER_SOLVED;
    if (badness[r.state] > badness[out->worst])
        out->worst = r.state;
    if (level <= SOLUTION_LEVELS)
        out->at[level - 1] = r;
}

static peri_status look_at_level(certify_work *w, int32_t level, double violation, solution_levels *out)
{
    const peri_level *l = &w->all->info[level];
    const peri_model *m = w->all->of.model[level];
    certify_lower *low = &w->low[level];
    arena *a = &w->memory;
    peri_run *view;
    double f, scale, *start = arena_array(a, (size_t)l->n, sizeof *start);
    search s = {.best = INFINITY,
                .x = arena_array(a, (size_t)l->n, sizeof(double)),
                .y = arena_array(a, (size_t)l->m, sizeof(double)),
                .z = arena_array(a, (size_t)l->n, sizeof(double))};
    low->y = arena_array(a, (size_t)l->m, sizeof(double));
    low->z = arena_array(a, (size_t)l->n, sizeof(double));
    low->residual = low->complementarity = INFINITY;
    if (start == NULL || s.x == NULL || s.y == NULL || s.z == NULL || low->y == NULL || low->z == NULL)
        return FAIL_NOMEM(w->run->ctx);
    TRY(levels_view(w->run, level, &view));
    low->view = view->p;
    peri_status status = nlp_f(low->view, w->x, &f);
    if (status == PERI_E_DOMAIN)
        f = NAN;
    else
        TRY(status);
    TRY(look_for_better(w, level, start, &s));
    TRY(look_at_conditions(w, level, &s, low));
    peri_lower_result r = {.name = m->name, .convex = s.convex, .solves = s.solves, .gap = INFINITY, .residual = low->residual};
    r.state = state_of(&s, violation, outcome_threshold(w->tolerance));
    if ((r.state == PERI_LOWER_UNPROVEN || r.state == PERI_LOWER_FAILED) && is_proven_by_conditions(w, &s, low, violation))
        r.state = PERI_LOWER_SOLVED;
    if ((r.state == PERI_LOWER_SOLVED || r.state == PERI_LOWER_UNPROVEN) && !isnan(f))
        r.gap = fmax(0, f - s.best) / fmax(1, fabs(s.best));
    if (r.state == PERI_LOWER_UNPROVEN && r.gap <= outcome_lower_threshold(w->tolerance))
        r.gap = INFINITY; /* nothing better was found by solves that did not end: that tells nothing */
    TRY(nlp_level_scale(w->run->p, level, &scale));
    r.objective = (m->maximize ? -f : f) / scale;
    r.best = !s.any ? NAN : (m->maximize ? -s.best : s.best) / scale;
    tell_level(w, &r, &s, out);
    add(r, level, r.gap, out);
    return PERI_OK;
}

/* ---- all of it
 * ---------------------------------------------------------------------------------------------------------------- */

/* The whole's stationarity with the levels' own residuals. Without it y and z are none. */
static peri_status whole(certify_work *w, double *y, double *z, peri_certificate *out, solution_levels *levels)
{
    const nlp *p = w->run->p;
    certify_stationarity s = {.y = y, .z = z, .dual = INFINITY, .complementarity = INFINITY};
    memset(z, 0, (size_t)p->n * sizeof *z);
    if (p->m > 0)
        memset(y, 0, (size_t)p->m * sizeof *y);
    out->dual = out->complementarity = 0;
    if (levels->answered)
        TRY(certify_stationary(w, &s));
    levels->stationarity = levels->answered && s.why[0] == '\0';
    if (!levels->stationarity)
        out->dual = INFINITY;
    else {
        out->dual = s.dual;
        out->complementarity = s.complementarity;
    }
    for (int32_t k = 1; k < w->all->of.n; k++) {
        out->dual = fmax(out->dual, w->low[k].residual);
        out->complementarity = fmax(out->complementarity, isinf(w->low[k].complementarity) ? 0 : w->low[k].complementarity);
    }
    if (levels->why[0] == '\0' && s.why[0] != '\0')
        snprintf(levels->why, sizeof levels->why, "%s", s.why);
    return PERI_OK;
}

/* Level 0's row that is violated most; -1: none is by more than counts. */
static int64_t worst_row(const certify_work *w)
{
    const peri_level *l = &w->all->info[0];
    const nlp *p = w->run->p;
    double most = outcome_threshold(w->tolerance);
    int64_t worst = -1;
    for (int64_t i = 0; i < l->m; i++) {
        const double c = w->run->rows[l->row[i]], v = fmax(p->cl[l->row[i]] - c, c - p->cu[l->row[i]]);
        worst = v > most ? l->row[i] : worst;
        most = fmax(most, v);
    }
    return worst;
}

/* Where the lower levels are optimal and level 0's rows are not fulfilled: can the violation be reduced with the lower levels optimal? */
static peri_status look_at_violation(certify_work *w, solution_levels *levels)
{
    const nlp *p = w->run->p;
    const peri_model *m = w->run->model;
    const int64_t row = worst_row(w);
    levels->violation_slope = INFINITY;
    if (row < 0 || !levels->answered || levels->gap > outcome_lower_threshold(w->tolerance))
        return PERI_OK;
    certify_stationarity s = {.y = arena_array(&w->memory, (size_t)p->m, sizeof(double)), .z = arena_array(&w->memory, (size_t)p->n, sizeof(double))};
    if (s.y == NULL || s.z == NULL)
        return FAIL_NOMEM(w->run->ctx);
    TRY(certify_held(w, true, &s));
    if (s.why[0] != '\0')
        return PERI_OK;
    levels->violation_slope = fmax(s.dual, s.complementarity);
    for (int64_t i = 0; i < m->cons.n; i++)
        if (row >= m->cons.at[i].row && row < m->cons.at[i].row + m->cons.at[i].size)
            snprintf(levels->why, sizeof levels->why, "locally infeasible: near this point no optimum of the lower models comes nearer to constraint "
                     "\"%.60s\" of model \"%.60s\"", m->cons.at[i].name, m->name);
    return PERI_OK;
}

static peri_status look(certify_work *w, double *y, double *z, peri_certificate *out, solution_levels *levels)
{
    TRY(nlp_get_levels(w->run->p, &w->all));
    w->low = arena_array(&w->memory, (size_t)w->all->of.n, sizeof *w->low);
    if (w->low == NULL)
        return FAIL_NOMEM(w->run->ctx);
    const peri_status status = nlp_c(w->run->p, w->x, w->run->rows);
    if (status == PERI_E_DOMAIN) {
        snprintf(levels->why, sizeof levels->why, "a constraint is undefined at the point");
        levels->answered = false;
        levels->gap = INFINITY;
        return PERI_OK;
    }
    TRY(status);
    levels->n = w->all->of.n - 1 < SOLUTION_LEVELS ? w->all->of.n - 1 : SOLUTION_LEVELS;
    for (int32_t k = w->all->of.n - 1; k > 0; k--) /* conditions of levels inside come before those of the one around them */
        TRY(look_at_level(w, k, violation_of(w, k), levels));
    TRY(whole(w, y, z, out, levels));
    return look_at_violation(w, levels);
}

peri_status certify_levels(peri_run *run, const double *x, double *y, double *z, peri_certificate *out, solution_levels *levels)
{
    const peri_limits limits = run->limits;
    certify_work w = {.run = run, .x = x, .tolerance = run->limits.tolerance};
    *levels = (solution_levels){.answered = true, .violation_slope = INFINITY};
    out->lower_gap = INFINITY;
    if (!nlp_is_finite(run->p->n, x)) {
        levels->answered = false;
        return PERI_OK;
    }
    arena_init(&w.memory, &run->ctx->mem);
    run->limits.time_limit = clock_seconds() - run->started + run->chain->link[run->link].engine.lower_time;
    run->limits.evaluations = INT64_MAX;
    run->limits.tolerance = fmin(run->limits.tolerance, 1e-8);
    const peri_status status = look(&w, y, z, out, levels);
    inner_close_all(run);
    run->limits = limits;
    arena_release(&w.memory);
    out->lower_gap = levels->gap;
    out->kkt = fmax(out->primal, fmax(out->dual, out->complementarity));
    return status;
}
