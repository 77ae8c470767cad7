/* SPDX-License-Identifier: Apache-2.0 */
/* candidates.c - see candidates.h. */
#include "candidates.h"
#include <math.h>
#include <string.h>

/* Bounds, and rows that are the bounds of one variable, narrow the box that random points are from; where there is none it reaches 10 from
 * the nearest side or the start. */
static peri_status narrow_box(candidates *s)
{
    peri_pattern a;
    double *val, *c;
    int64_t *entries, *first;
    const unsigned char *linear = peri_linear_rows(s->run);
    TRY(peri_jac_pattern(s->run, &a));
    TRY(peri_alloc(s->run, a.nnz + 1, &val));
    TRY(peri_alloc(s->run, s->m, &c));
    TRY(peri_alloc_index(s->run, s->m + 1, &entries));
    TRY(peri_alloc_index(s->run, s->m + 1, &first));
    if (peri_eval_jac(s->run, s->start, val) != PERI_OK || peri_eval_c(s->run, s->start, c) != PERI_OK)
        return PERI_OK; /* undefined at the start: the box stays as it is */
    for (int64_t k = 0; k < a.nnz; k++) {
        entries[a.index[k]]++;
        first[a.index[k]] = k;
    }
    for (int64_t j = 0; j < s->n; j++)
        for (int64_t k = a.start[j]; k < a.start[j + 1]; k++) {
            const int64_t i = a.index[k];
            if (!linear[i] || entries[i] != 1 || val[k] == 0)
                continue;
            const double at = s->start[j] - c[i] / val[k]; /* where the row is 0 */
            const double one = at + s->cl[i] / val[k], two = at + s->cu[i] / val[k];
            s->lower[j] = fmax(s->lower[j], fmin(one, two));
            s->upper[j] = fmin(s->upper[j], fmax(one, two));
        }
    return PERI_OK;
}

static void close_box(candidates *s)
{
    const double reach = 10;
    for (int64_t j = 0; j < s->n; j++) {
        const bool below = s->lower[j] > -1e7, above = s->upper[j] < 1e7;
        const double x = s->start[j], l = s->lower[j], u = s->upper[j];
        s->lower[j] = below ? l : above ? fmin(x, u) - reach : x - reach;
        s->upper[j] = above ? u : below ? fmax(x, l) + reach : x + reach;
    }
}

static peri_status allocate(candidates *s)
{
    double **of_n[] = {&s->start, &s->lower, &s->upper, &s->answer, &s->best, &s->y, &s->from};
    for (size_t k = 0; k < PERI_COUNT(of_n); k++)
        TRY(peri_alloc(s->run, s->n, of_n[k]));
    TRY(peri_alloc(s->run, s->m, &s->c));
    s->view = peri_alloc_bytes(s->run, (size_t)s->n_levels, sizeof *s->view);
    s->wrong = peri_alloc_bytes(s->run, (size_t)s->n_levels, sizeof *s->wrong);
    return s->view != NULL && s->wrong != NULL ? PERI_OK : PERI_E_NOMEM;
}

peri_status candidates_init(candidates *s, peri_run *run, int64_t starts, double gap)
{
    *s = (candidates){.run = run, .n = peri_n(run), .m = peri_m(run), .starts = starts, .gap = gap,
                      .best_f = INFINITY, .best_violation = INFINITY};
    peri_bounds(run, &s->xl, &s->xu, &s->cl, &s->cu);
    TRY(peri_levels(run, &s->n_levels, &s->level));
    TRY(allocate(s));
    TRY(peri_start(run, s->start));
    memcpy(s->best, s->start, (size_t)s->n * sizeof *s->best);
    memcpy(s->lower, s->xl, (size_t)s->n * sizeof *s->lower);
    memcpy(s->upper, s->xu, (size_t)s->n * sizeof *s->upper);
    if (s->m > 0 && peri_has_trait(run, PERI_TRAIT_GRADIENT))
        TRY(narrow_box(s));
    close_box(s);
    for (int64_t k = 1; k < s->n_levels; k++)
        TRY(peri_level_view(run, k, &s->view[k]));
    return PERI_OK;
}

double candidates_random(candidates *s, int64_t j)
{
    const double u = peri_random_uniform(s->run, 7, s->counter++);
    return fmin(fmax(s->lower[j] + u * (s->upper[j] - s->lower[j]), s->xl[j]), s->xu[j]);
}

peri_status candidates_solve_level(candidates *s, int64_t k, const double *x, double *f, double *y, double *z)
{
    const peri_level *l = &s->level[k];
    const int64_t starts = 2 + s->starts;
    const peri_inner_request q = {.size = (uint32_t)sizeof q, .x = s->from, .tolerance = 1e-9};
    *f = INFINITY;
    for (int64_t i = 0; i < starts && !(l->convex && isfinite(*f)); i++) { /* where it is convex, others for starts at which it is undefined */
        const peri_inner_result *r;
        for (int64_t j = 0; j < l->n; j++) {
            const int64_t at = l->variable[j];
            s->from[j] = i == 0 ? x[at] : i == 1 ? s->start[at] : candidates_random(s, at);
        }
        const peri_status status = peri_level_solve(s->run, k, x, &q, &r);
        if (status == PERI_E_DOMAIN)
            continue;
        TRY(status);
        if (r->why == PERI_WHY_UNBOUNDED)
            *f = -INFINITY;
        if (r->why == PERI_WHY_UNBOUNDED || peri_should_stop(s->run))
            return PERI_OK;
        if (l->convex && r->why == PERI_WHY_INFEASIBLE)
            return PERI_OK;
        if (r->primal > CANDIDATES_FEASIBLE || !(r->objective < *f))
            continue;
        *f = r->objective;
        memcpy(y, r->x, (size_t)l->n * sizeof *y);
        if (z != NULL)
            memcpy(z, r->y, (size_t)l->m * sizeof *z);
    }
    return PERI_OK;
}

static double violation(const candidates *s, const double *x)
{
    double most = 0;
    for (int64_t j = 0; j < s->n; j++)
        most = fmax(most, fmax(s->xl[j] - x[j], x[j] - s->xu[j]));
    for (int64_t i = 0; i < s->m; i++)
        most = fmax(most, fmax(s->cl[i] - s->c[i], s->c[i] - s->cu[i]));
    return most;
}

/* The answer against the best so far: less violation as far as it matters, then the objective. */
static peri_status propose(candidates *s, bool *improved)
{
    double f;
    peri_status status = peri_eval_f(s->run, s->answer, &f);
    if (status == PERI_OK && s->m > 0)
        status = peri_eval_c(s->run, s->answer, s->c);
    if (status != PERI_OK)
        return status == PERI_E_DOMAIN ? PERI_OK : status;
    const double v = violation(s, s->answer), now = v > CANDIDATES_FEASIBLE ? v : 0;
    const double before = s->best_violation > CANDIDATES_FEASIBLE ? s->best_violation : 0;
    if (s->has_best && (now > before || (now >= before && f >= s->best_f)))
        return PERI_OK;
    s->has_best = *improved = true;
    s->best_f = f;
    s->best_violation = v;
    memcpy(s->best, s->answer, (size_t)s->n * sizeof *s->best);
    return PERI_OK;
}

peri_status candidates_look(candidates *s, const double *x, bool *optimal, bool *improved)
{
    *optimal = true;
    *improved = false;
    memcpy(s->answer, x, (size_t)s->n * sizeof *x);
    for (int64_t k = s->n_levels - 1; k >= 1; k--) {
        const peri_level *l = &s->level[k];
        double f, best;
        const peri_status status = peri_eval_f(s->view[k], x, &f);
        TRY(status == PERI_E_DOMAIN ? PERI_OK : status);
        TRY(candidates_solve_level(s, k, x, &best, s->y, NULL));
        s->unbounded = s->unbounded || best == -INFINITY;
        if (!isfinite(best))
            return PERI_OK;
        s->wrong[k] = status != PERI_OK || f - best > s->gap * fmax(1, fabs(best));
        if (!s->wrong[k])
            continue;
        *optimal = false;
        for (int64_t j = 0; j < l->n; j++)
            s->answer[l->variable[j]] = s->y[j];
    }
    return propose(s, improved);
}

bool candidates_is_feasible(const candidates *s)
{
    return s->has_best && s->best_violation <= CANDIDATES_FEASIBLE;
}

bool candidates_beaten(const candidates *s, double objective)
{
    return candidates_is_feasible(s) && objective >= s->best_f - 1e-9 * fmax(1, fabs(s->best_f));
}

peri_status candidates_accept(const candidates *s, peri_run *run, peri_row *row, peri_step *next)
{
    if (s->has_best) {
        row->objective = s->best_f;
        row->primal = s->best_violation;
    }
    return peri_accept(run, s->best, NULL, NULL, row, next);
}

peri_status candidates_finish(const candidates *s, bool all_infeasible, peri_step *next)
{
    const bool feasible = candidates_is_feasible(s);
    if (s->unbounded && !feasible)
        return peri_finish(s->run, PERI_WHY_UNBOUNDED, next);
    if (feasible)
        return peri_finish(s->run, PERI_WHY_CONVERGED, next);
    return peri_finish(s->run, all_infeasible ? PERI_WHY_INFEASIBLE : s->has_best ? PERI_WHY_STALLED : PERI_WHY_FAILED, next);
}
