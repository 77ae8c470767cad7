/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipm_direction.c - the primal-dual Newton direction of a phase (WB 9, 11-13): right-hand sides, the factorisation with the
 * regularisation that gives it the right inertia (WB algorithm IC), iterative refinement against the system that was meant, and the
 * directions of the bound multipliers. The restoration problem's own variables p, n have diagonal blocks and are eliminated here,
 * so that both phases factorise the same matrix.
 */
#include "ipm.h"
#include <math.h>
#include <string.h>

/* delta_w: smallest, first, largest; its growth after the first success, before it, its decrease (WB table in section 3.1) */
static const double DELTA_MIN = 1e-20, DELTA_FIRST = 1e-4, DELTA_MAX = 1e20;
static const double DELTA_GROWTH = 8.0, DELTA_FIRST_GROWTH = 100.0, DELTA_SHRINK = 1.0 / 3.0;
static const double RATIO_GOOD = 1e-10, RATIO_BAD = 1e-5, RATIO_SWITCH = 1e-10, RATIO_WANTED = 1e-12;

/* ---- right-hand sides ---------------------------------------------------------------------------------------------------- */

/* kappa_d of WB 3.7: keeps variables with one bound from drifting away where nothing else holds them */
static const double DAMPING = 1e-5;

static double damping(const ipm_phase *p, int64_t j, double mu)
{
    const bool has_lower = isfinite(p->lower[j]), has_upper = isfinite(p->upper[j]);
    return has_lower == has_upper ? 0.0 : (has_lower ? DAMPING * mu : -DAMPING * mu);
}

/* rw = -(grad f - mu / (w - l) + mu / (u - w) + damping + (grad h) y),  ry = -h */
void ipm_right_hand_side(const ipm_state *s, ipm_phase *p, double mu)
{
    (void)s;
    for (int64_t j = 0; j < p->n; j++)
        p->rw[j] = -(p->grad[j] + p->jty[j] + damping(p, j, mu));
    for (int64_t k = 0; k < p->n_lower; k++)
        p->rw[p->has_lower[k]] += mu / ipm_slack_lower(p, p->at.w, p->has_lower[k]);
    for (int64_t k = 0; k < p->n_upper; k++)
        p->rw[p->has_upper[k]] -= mu / ipm_slack_upper(p, p->at.w, p->has_upper[k]);
    for (int64_t i = 0; i < p->m; i++)
        p->ry[i] = -p->h[i];
}

/* WB 12 */
void ipm_bound_directions(ipm_phase *p, double mu, const double *dw, double *dzl, double *dzu)
{
    for (int64_t k = 0; k < p->n_lower; k++) {
        const int64_t j = p->has_lower[k];
        const double slack = ipm_slack_lower(p, p->at.w, j);
        dzl[j] = (mu - p->at.zl[j] * dw[j]) / slack - p->at.zl[j];
    }
    for (int64_t k = 0; k < p->n_upper; k++) {
        const int64_t j = p->has_upper[k];
        const double slack = ipm_slack_upper(p, p->at.w, j);
        dzu[j] = (mu + p->at.zu[j] * dw[j]) / slack - p->at.zu[j];
    }
}

static void set_sigma(const ipm_state *s, ipm_phase *p)
{
    memset(p->sigma, 0, (size_t)p->n * sizeof *p->sigma);
    for (int64_t k = 0; k < p->n_lower; k++) {
        const int64_t j = p->has_lower[k];
        p->sigma[j] += p->at.zl[j] / ipm_slack_lower(p, p->at.w, j);
    }
    for (int64_t k = 0; k < p->n_upper; k++) {
        const int64_t j = p->has_upper[k];
        p->sigma[j] += p->at.zu[j] / ipm_slack_upper(p, p->at.w, j);
    }
    for (int64_t j = 0; p->restoration && j < s->problem.n; j++)
        p->sigma[j] += s->zeta * s->ref_d2[j];
}

/* ---- the phase's system ----------------------------------------------------------------------------------------------------- */

/* D_y of the restoration: 1 / a_p + 1 / a_n with the diagonals of p and n. In ty. */
static const double *row_diagonal(const ipm_state *s, ipm_phase *p, double delta_w)
{
    const int64_t n = s->problem.n, m = s->problem.m;
    if (!p->restoration)
        return NULL;
    for (int64_t i = 0; i < m; i++)
        p->ty[i] = 1.0 / (p->sigma[n + i] + delta_w) + 1.0 / (p->sigma[n + m + i] + delta_w);
    return p->ty;
}

/* The rows' regularisation of WB algorithm IC, step IC-3. */
static double row_regularization(const ipm_phase *p)
{
    return 1e-8 * pow(p->mu, 0.25);
}

/*
 * A solver that does not pivot gets regularised rows; the residual below does not know of that, so that the refinement goes for the
 * solution of the system as it is, and shows where it cannot.
 */
static peri_status factor(ipm_state *s, ipm_phase *p, bool with_hess, peri_inertia *inertia)
{
    const double delta_c = s->kkt.pivots ? p->delta_c : fmax(p->delta_c, row_regularization(p));
    return ipm_kkt_factor(s, p->sigma, row_diagonal(s, p, p->delta_w), with_hess, p->delta_w, delta_c, inertia);
}

/* One solve without refinement. Restoration: dp = (dy + rp) / a_p, dn = (rn - dy) / a_n. ew, ey may be rw, ry. */
static peri_status solve_once(ipm_state *s, ipm_phase *p, const double *rw, double *ry, double *dw, double *dy)
{
    const int64_t n = s->problem.n, m = s->problem.m;
    if (!p->restoration)
        return ipm_kkt_solve(s, rw, ry, dw, dy);
    const double *ap = p->sigma + n, *an = p->sigma + n + m;
    for (int64_t i = 0; i < m; i++)
        ry[i] += rw[n + i] / (ap[i] + p->delta_w) - rw[n + m + i] / (an[i] + p->delta_w);
    TRY(ipm_kkt_solve(s, rw, ry, dw, dy));
    for (int64_t i = 0; i < m; i++) {
        dw[n + i] = (dy[i] + rw[n + i]) / (ap[i] + p->delta_w);
        dw[n + m + i] = (rw[n + m + i] - dy[i]) / (an[i] + p->delta_w);
    }
    return PERI_OK;
}

/* ew = rw - (H + sigma + delta_w) dw - (grad h) dy,  ey = ry - (grad h)' dw + delta_c dy;  ret the residual over its scale */
static double residual(ipm_state *s, ipm_phase *p, const double *rw, const double *ry, const double *dw, const double *dy)
{
    ipm_jac_mul_t(s, p, dy, p->ew);
    ipm_jac_mul(s, p, dw, p->ey);
    ipm_hess_mul_add(&s->problem, dw, p->ew);
    double error = 0.0, solution = 0.0, right = 0.0, sum = 0.0; /* sum: a NaN does not show in the others */
    for (int64_t j = 0; j < p->n; j++) {
        p->ew[j] = rw[j] - p->ew[j] - (p->sigma[j] + p->delta_w) * dw[j];
        error = ipm_max(error, fabs(p->ew[j]));
        solution = ipm_max(solution, fabs(dw[j]));
        right = ipm_max(right, fabs(rw[j]));
        sum += fabs(dw[j]) + fabs(p->ew[j]);
    }
    for (int64_t i = 0; i < p->m; i++) {
        p->ey[i] = ry[i] - p->ey[i] + p->delta_c * dy[i];
        error = ipm_max(error, fabs(p->ey[i]));
        solution = ipm_max(solution, fabs(dy[i]));
        right = ipm_max(right, fabs(ry[i]));
        sum += fabs(dy[i]) + fabs(p->ey[i]);
    }
    if (!isfinite(sum))
        return INFINITY;
    return error > 0.0 ? error / (fmin(solution, 1e6 * right) + right) : 0.0;
}

static void add(int64_t n, const double *v, double *out, double factor)
{
    for (int64_t k = 0; k < n; k++)
        out[k] += factor * v[k];
}

/*
 * ipm_solve_refined - dw, dy of the phase's system for rw, ry, by the present factorisation and iterative refinement
 *   out  ratio  the last residual over its scale
 */
peri_status ipm_solve_refined(ipm_state *s, ipm_phase *p, const double *rw, const double *ry, double *dw, double *dy,
                              double *ratio)
{
    memcpy(p->ey, ry, (size_t)p->m * sizeof *ry);
    TRY(solve_once(s, p, rw, p->ey, dw, dy));
    *ratio = residual(s, p, rw, ry, dw, dy);
    for (int64_t k = 0; k < s->opt.refinements && *ratio > RATIO_WANTED; k++) {
        const double before = *ratio;
        TRY(solve_once(s, p, p->ew, p->ey, p->tw, p->ty));
        add(p->n, p->tw, dw, 1.0);
        add(p->m, p->ty, dy, 1.0);
        *ratio = residual(s, p, rw, ry, dw, dy);
        if (!(*ratio < before)) { /* no better: take the correction back */
            add(p->n, p->tw, dw, -1.0);
            add(p->m, p->ty, dy, -1.0);
            *ratio = residual(s, p, rw, ry, dw, dy);
            break;
        }
        if (*ratio <= RATIO_GOOD && *ratio > 0.1 * before)
            break;
    }
    return PERI_OK;
}

/* ---- inertia ---------------------------------------------------------------------------------------------------------------- */

typedef enum { RIGHT, WRONG, SINGULAR } verdict;

static peri_status try_factor(ipm_state *s, ipm_phase *p, verdict *out)
{
    const ipm_kkt *kkt = &s->kkt;
    peri_inertia inertia;
    peri_status e = factor(s, p, true, &inertia);
    if (e == PERI_E_NUMERIC && kkt->n_kept > 0 && ipm_kkt_switch(s))
        e = factor(s, p, true, &inertia);
    if (e != PERI_OK && e != PERI_E_NUMERIC)
        return e;
    s->kkt.counts = e != PERI_OK || inertia.negative >= 0;
    if (e == PERI_E_NUMERIC || inertia.zero > 0)
        *out = kkt->n_kept > 0 ? SINGULAR : WRONG;
    else if (!s->kkt.counts || (inertia.negative == kkt->n_kept && inertia.positive == s->problem.n_x))
        *out = RIGHT; /* a solver that cannot count is checked by the direction's curvature */
    else
        *out = inertia.negative < kkt->n_kept ? SINGULAR : WRONG; /* too few: rows depend on each other */
    return PERI_OK;
}

/* Raise delta_w as algorithm IC does;  ret false: there is no end to it */
static bool raise_delta(ipm_phase *p)
{
    if (p->delta_w == 0.0)
        p->delta_w = p->delta_w_last == 0.0 ? DELTA_FIRST : fmax(DELTA_MIN, DELTA_SHRINK * p->delta_w_last);
    else
        p->delta_w *= p->delta_w_last == 0.0 || 1e5 * p->delta_w_last < p->delta_w ? DELTA_FIRST_GROWTH : DELTA_GROWTH;
    return p->delta_w <= DELTA_MAX;
}

/* A factorisation of the right inertia;  out found false: none, or a stop was asked for */
static peri_status factor_with_inertia(ipm_state *s, peri_run *run, ipm_phase *p, bool *found)
{
    verdict v;
    p->delta_w = 0.0;
    p->delta_c = s->jac_degenerate ? row_regularization(p) : 0.0;
    TRY(try_factor(s, p, &v));
    if (v == SINGULAR && p->delta_c == 0.0 && s->problem.m > 0) {
        p->delta_c = row_regularization(p);
        TRY(try_factor(s, p, &v));
        if (v == RIGHT && ++s->n_jac_singular >= 3)
            s->jac_degenerate = true;
    }
    if (v == SINGULAR && s->kkt.condensed) { /* 1 / E may be too large for the rest of the matrix to be seen beside it */
        p->delta_c *= 1e3;
        TRY(try_factor(s, p, &v));
    }
    for (int raised = 0; v != RIGHT && raise_delta(p); raised++) {
        if (peri_should_stop(run))
            break;
        if (raised == 2 && ipm_kkt_switch(s)) /* the signs of factors that do not pivot may deceive */
            p->delta_w = 0.0;
        TRY(try_factor(s, p, &v));
    }
    if (v == RIGHT && p->delta_w > 0.0)
        p->delta_w_last = p->delta_w;
    *found = v == RIGHT;
    return PERI_OK;
}

/* Where the linear solver gives no inertia: is d' (H + sigma + delta_w) d positive enough? (Chiang and Zavala 2016) */
static bool has_curvature(ipm_state *s, ipm_phase *p)
{
    double curvature = 0.0, square = 0.0;
    memset(p->tw, 0, (size_t)p->n * sizeof *p->tw);
    ipm_hess_mul_add(&s->problem, p->step.w, p->tw);
    for (int64_t j = 0; j < p->n; j++) {
        curvature += p->step.w[j] * (p->tw[j] + (p->sigma[j] + p->delta_w) * p->step.w[j]);
        square += p->step.w[j] * p->step.w[j];
    }
    return curvature >= 1e-12 * square;
}

/* Solve; where the factors are too inaccurate ask for more pivoting, then treat the matrix as singular. */
static peri_status solve_or_regularize(ipm_state *s, peri_run *run, ipm_phase *p, bool *found)
{
    double ratio;
    verdict v = RIGHT;
    for (;;) {
        if (v == RIGHT) {
            TRY(ipm_solve_refined(s, p, p->rw, p->ry, p->step.w, p->step.y, &ratio));
            if (ratio > RATIO_SWITCH && ipm_kkt_switch(s)) {
                TRY(factor_with_inertia(s, run, p, found));
                if (!*found)
                    return PERI_OK;
                continue;
            }
            if (ratio <= RATIO_BAD && (s->kkt.counts || has_curvature(s, p)))
                break;
            if (ratio > RATIO_BAD && s->n_factor_failures < 20 && peri_factor_strengthen(s->kkt.factor) == PERI_OK) {
                s->n_factor_failures++;
                s->n_strengthened++;
                TRY(try_factor(s, p, &v));
                continue;
            }
        }
        if (peri_should_stop(run) || !raise_delta(p)) {
            *found = false;
            return PERI_OK;
        }
        if (p->delta_c == 0.0)
            p->delta_c = row_regularization(p);
        TRY(try_factor(s, p, &v));
        p->delta_w_last = p->delta_w;
    }
    return PERI_OK;
}

/*
 * ipm_direction - step := the primal-dual direction at the iterate for the present mu
 *   out  move  IPM_NO_STEP: no factorisation serves; IPM_INTERRUPTED; else untouched
 */
peri_status ipm_direction(ipm_state *s, peri_run *run, ipm_phase *p, ipm_move *move)
{
    bool found;
    TRY(ipm_eval_hessian(s, run, p));
    set_sigma(s, p);
    TRY(factor_with_inertia(s, run, p, &found));
    if (found && p->free_barrier && !p->in_watchdog && p->n_lower + p->n_upper > 0)
        TRY(ipm_probe_barrier(s, p));
    ipm_right_hand_side(s, p, p->mu);
    if (found)
        TRY(solve_or_regularize(s, run, p, &found));
    if (!found)
        *move = peri_should_stop(run) ? IPM_INTERRUPTED : IPM_NO_STEP;
    else
        ipm_bound_directions(p, p->mu, p->step.w, p->step.zl, p->step.zu);
    return PERI_OK;
}

/*
 * ipm_least_squares_multipliers - y that makes the Lagrangian's gradient smallest (WB 36); zero where that is not to be had or
 * larger than multiplier_limit. Uses sigma, rw, ry, step.
 */
peri_status ipm_least_squares_multipliers(ipm_state *s, peri_run *run, ipm_phase *p)
{
    peri_inertia inertia;
    memset(p->at.y, 0, (size_t)p->m * sizeof *p->at.y);
    memset(p->jty, 0, (size_t)p->n * sizeof *p->jty);
    (void)run;
    if (p->m == 0 || !(s->opt.multiplier_limit > 0.0))
        return PERI_OK;
    for (int64_t j = 0; j < p->n; j++) {
        p->sigma[j] = 1.0;
        p->rw[j] = -(p->grad[j] - p->at.zl[j] + p->at.zu[j]);
    }
    memset(p->ry, 0, (size_t)p->m * sizeof *p->ry);
    p->delta_w = 0.0;
    p->delta_c = s->jac_degenerate ? 1e-8 : 0.0;
    peri_status e = factor(s, p, false, &inertia);
    if (p->delta_c == 0.0 && (e == PERI_E_NUMERIC || (e == PERI_OK && inertia.zero > 0))) {
        p->delta_c = 1e-8; /* rows depend on each other */
        e = factor(s, p, false, &inertia);
    }
    if (e == PERI_E_NUMERIC)
        return PERI_OK;
    TRY(e);
    TRY(ipm_kkt_solve(s, p->rw, p->ry, p->step.w, p->step.y));
    double largest = 0.0;
    for (int64_t i = 0; i < p->m; i++)
        largest = isfinite(p->step.y[i]) ? fmax(largest, fabs(p->step.y[i])) : INFINITY;
    if (largest > s->opt.multiplier_limit)
        return PERI_OK;
    memcpy(p->at.y, p->step.y, (size_t)p->m * sizeof *p->at.y);
    ipm_jac_mul_t(s, p, p->at.y, p->jty);
    return PERI_OK;
}
