/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose_conflict.c - which linear constraints and bounds cannot hold together. A proof of infeasibility (phase_one.c) uses some sides of
 * rows and bounds; a deletion filter (Chinneck and Dravnieks 1991) takes one after the other out and leaves it out where the rest is
 * still infeasible. What remains is minimal: without any one of it the others can hold. Up to DIAGNOSE_LINEAR_ROWS linear rows and
 * DIAGNOSE_LINEAR_SIZE rows and variables, DIAGNOSE_SECONDS in all.
 */
#include "base/clock.h"
#include "run/diagnose.h"
#include "run/phase_one.h"
#include <math.h>
#include <string.h>

/* The linear part, or what of it is still in question. */
typedef struct {
    phase_one_system q;
    int64_t *start, *index; /* q's, writable */
    double *value, *lower, *upper;
    int64_t *row, *col; /* [m], [n] of the model */
} part;

static peri_status allocate(diagnose_work *w, int64_t m, int64_t n, int64_t nnz, part *out)
{
    arena *a = w->work;
    out->start = arena_array(a, (size_t)n + 1, sizeof *out->start);
    out->index = arena_array(a, (size_t)nnz, sizeof *out->index);
    out->value = arena_array(a, (size_t)nnz, sizeof *out->value);
    out->lower = arena_array(a, (size_t)(n + m), sizeof *out->lower);
    out->upper = arena_array(a, (size_t)(n + m), sizeof *out->upper);
    out->row = arena_array(a, (size_t)m, sizeof *out->row);
    out->col = arena_array(a, (size_t)n, sizeof *out->col);
    if (out->start == NULL || out->index == NULL || out->value == NULL || out->lower == NULL || out->upper == NULL ||
        out->row == NULL || out->col == NULL)
        return FAIL_NOMEM(w->s->ctx);
    out->q = (phase_one_system){m, n, out->start, out->index, out->value, out->lower, out->upper};
    return PERI_OK;
}

/* ---- the linear part -------------------------------------------------------------------------------------------------------- */

/* Values of rows that are undefined, or nonlinear, are not used; so that evaluation may fail does not matter. */
static peri_status evaluate(diagnose_work *w, double *c, double *jac)
{
    const double *x = w->trail->start; /* where rows' constants are not lost in large numbers */
    peri_status status = nlp_c(w->p, x, c);
    if (status == PERI_OK || status == PERI_E_DOMAIN)
        status = nlp_jac(w->p, x, jac);
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

static int64_t count_linear(const nlp *p, int64_t *place)
{
    int64_t m = 0;
    for (int64_t i = 0; i < p->m; i++) {
        const bool is_bounded = isfinite(p->cl[i]) || isfinite(p->cu[i]);
        place[i] = p->class_.linear_row[i] && is_bounded ? m++ : -1;
    }
    return m;
}

/* The linear rows' entries at the start point, and in the bounds their constants. */
static peri_status make_part(diagnose_work *w, const int64_t *place, int64_t m, part *out)
{
    const nlp *p = w->p;
    const peri_pattern *a = &w->pattern;
    double *c = arena_array(w->work, (size_t)p->m, sizeof *c), *jac = arena_array(w->work, (size_t)a->nnz, sizeof *jac);
    if (c == NULL || jac == NULL)
        return FAIL_NOMEM(w->s->ctx);
    if (p->m > 0)
        TRY(evaluate(w, c, jac));
    TRY(allocate(w, m, p->n, a->nnz, out));
    int64_t nnz = 0;
    for (int64_t j = 0; j < p->n; j++) {
        for (int64_t e = p->m > 0 ? a->start[j] : 0; p->m > 0 && e < a->start[j + 1]; e++) {
            const int64_t i = place[a->index[e]];
            if (i < 0 || jac[e] == 0)
                continue;
            out->index[nnz] = i;
            out->value[nnz++] = jac[e];
            c[a->index[e]] -= jac[e] * w->trail->start[j];
        }
        out->start[j + 1] = nnz;
        out->col[j] = j;
        out->lower[j] = p->xl[j];
        out->upper[j] = p->xu[j];
    }
    for (int64_t i = 0; i < p->m; i++)
        if (place[i] >= 0) {
            out->row[place[i]] = i;
            out->lower[p->n + place[i]] = p->cl[i] - c[i];
            out->upper[p->n + place[i]] = p->cu[i] - c[i];
        }
    return nlp_is_finite(nnz, out->value) ? PERI_OK : PERI_E_DOMAIN;
}

/* ---- the filter ------------------------------------------------------------------------------------------------------------------ */

/* What the proof uses: those rows, the columns in them, one side of each. */
static peri_status restrict_to(diagnose_work *w, const part *from, const double *proof, part *out)
{
    const int64_t n = from->q.n;
    int64_t *row_place = arena_array(w->work, (size_t)from->q.m, sizeof *row_place);
    int64_t m = 0, cols = 0, nnz = 0;
    if (row_place == NULL)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t i = 0; i < from->q.m; i++)
        row_place[i] = proof[n + i] != 0 ? m++ : -1;
    TRY(allocate(w, m, n, from->start[n], out));
    for (int64_t j = 0; j < n; j++) {
        const int64_t first = nnz;
        for (int64_t e = from->start[j]; e < from->start[j + 1]; e++)
            if (row_place[from->index[e]] >= 0) {
                out->index[nnz] = row_place[from->index[e]];
                out->value[nnz++] = from->value[e];
            }
        if (nnz == first && proof[j] == 0)
            continue;
        out->col[cols] = from->col[j];
        out->lower[cols] = proof[j] < 0 ? from->lower[j] : -INFINITY;
        out->upper[cols] = proof[j] > 0 ? from->upper[j] : INFINITY;
        out->start[++cols] = nnz;
    }
    for (int64_t i = 0; i < from->q.m; i++)
        if (row_place[i] >= 0) {
            const int64_t k = cols + row_place[i];
            out->row[row_place[i]] = from->row[i];
            out->lower[k] = proof[n + i] < 0 ? from->lower[n + i] : -INFINITY;
            out->upper[k] = proof[n + i] > 0 ? from->upper[n + i] : INFINITY;
        }
    out->q.n = cols;
    return PERI_OK;
}

/* Leaves out side k for good where the rest is infeasible without it, and then all that the new proof does not use. */
static peri_status try_without(diagnose_work *w, part *s, int64_t k, double *proof, bool *minimal)
{
    const double lower = s->lower[k], upper = s->upper[k];
    phase_one_answer answer;
    if (isinf(lower) && isinf(upper))
        return PERI_OK;
    s->lower[k] = -INFINITY;
    s->upper[k] = INFINITY;
    TRY(phase_one(w->s->ctx, &s->q, w->deadline, &answer, proof));
    if (answer == PHASE_ONE_INFEASIBLE) {
        for (int64_t v = 0; v < s->q.n + s->q.m; v++) {
            s->lower[v] = proof[v] < 0 ? s->lower[v] : -INFINITY;
            s->upper[v] = proof[v] > 0 ? s->upper[v] : INFINITY;
        }
        return PERI_OK;
    }
    *minimal = *minimal && answer == PHASE_ONE_FEASIBLE;
    s->lower[k] = lower;
    s->upper[k] = upper;
    return PERI_OK;
}

static peri_status list_sides(diagnose_work *w, const part *s)
{
    const int64_t all = s->q.n + s->q.m;
    int64_t n = 0;
    peri_side *list = arena_array(w->keep, (size_t)all, sizeof *list);
    if (list == NULL)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t pass = 0; pass < 2; pass++) /* constraints first */
        for (int64_t k = pass == 0 ? s->q.n : 0; k < (pass == 0 ? all : s->q.n); k++) {
            const bool is_upper = isfinite(s->upper[k]), is_bound = k < s->q.n;
            if (!is_upper && isinf(s->lower[k]))
                continue;
            const int64_t at = is_bound ? s->col[k] : s->row[k - s->q.n];
            const double *lower = is_bound ? w->p->xl : w->p->cl, *upper = is_bound ? w->p->xu : w->p->cu;
            list[n++] = (peri_side){.name = is_bound ? diagnose_variable(w, at) : diagnose_row(w, at),
                                    .is_bound = is_bound,
                                    .is_upper = is_upper,
                                    .value = is_upper ? upper[at] : lower[at]};
        }
    w->out->conflict = list;
    w->out->n_conflict = n;
    return PERI_OK;
}

/* Bounds go first, so that what remains speaks of constraints as far as it can. */
static peri_status filter(diagnose_work *w, const part *whole, double *proof)
{
    part s = {.row = NULL};
    bool minimal = true;
    TRY(restrict_to(w, whole, proof, &s));
    const int64_t all = s.q.n + s.q.m;
    for (int64_t k = 0; k < all; k++) {
        if (clock_seconds() > w->deadline) {
            minimal = false;
            break;
        }
        TRY(try_without(w, &s, k, proof, &minimal));
    }
    w->out->is_minimal = minimal;
    if (!minimal)
        diagnose_note(w, "the conflict may not be minimal: not for each of it could be decided, within %g s, whether it is needed", DIAGNOSE_SECONDS);
    return list_sides(w, &s);
}

/* ---- the question ------------------------------------------------------------------------------------------------------------------ */

static bool is_asked(const diagnose_work *w)
{
    return w->s->outcome == PERI_INFEASIBLE || w->s->certificate.primal > outcome_threshold(w->trail->tolerance);
}

peri_status diagnose_conflict(diagnose_work *w)
{
    const nlp *p = w->p;
    part s = {.row = NULL};
    phase_one_answer answer = PHASE_ONE_UNDECIDED;
    int64_t *place = arena_array(w->work, (size_t)p->m, sizeof *place);
    double *proof;
    if (place == NULL)
        return FAIL_NOMEM(w->s->ctx);
    const int64_t m = count_linear(p, place);
    if (m == 0 || !is_asked(w) || w->pattern.start == NULL)
        return PERI_OK;
    if (m > DIAGNOSE_LINEAR_ROWS || m + p->n > DIAGNOSE_LINEAR_SIZE) {
        diagnose_note(w, "the linear part was not looked at: %lld rows of %lld variables are too many", (long long)m, (long long)p->n);
        return PERI_OK;
    }
    const peri_status status = make_part(w, place, m, &s);
    if (status == PERI_E_DOMAIN)
        return PERI_OK;
    TRY(status);
    proof = arena_array(w->work, (size_t)(m + p->n), sizeof *proof);
    if (proof == NULL)
        return FAIL_NOMEM(w->s->ctx);
    TRY(phase_one(w->s->ctx, &s.q, w->deadline, &answer, proof));
    if (answer == PHASE_ONE_UNDECIDED)
        diagnose_note(w, "whether the linear constraints can hold together could not be decided within %g s", DIAGNOSE_SECONDS);
    if (answer == PHASE_ONE_FEASIBLE)
        w->out->linear_part = PERI_PART_FEASIBLE;
    if (answer != PHASE_ONE_INFEASIBLE)
        return PERI_OK;
    w->out->linear_part = PERI_PART_INFEASIBLE;
    return filter(w, &s, proof);
}
