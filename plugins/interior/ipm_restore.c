/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipm_restore.c - the restoration phase (WB 3.3): from a point where the line search finds no way on, minimise
 *
 *     rho * sum (p + n) + zeta / 2 * |D_R (w - w_R)|^2   subject to   h(w) - p + n = 0,  lower <= w <= upper,  p, n >= 0
 *
 * by the same barrier method, until a point is acceptable to the main filter. Its variables are (w, p, n). Where it converges with a
 * violation left, that point is a stationary point of the violation: the problem is, locally, infeasible.
 */
#include "ipm.h"
#include <math.h>
#include <string.h>

static const double RHO = 1000.0, WANTED_REDUCTION = 0.9; /* WB section 4: rho, kappa_resto */
static const double RESET_MULTIPLIERS_ABOVE = 1000.0;

void ipm_restore_proximity(ipm_state *s, double mu)
{
    s->zeta = sqrt(mu);
}

/* WB 33: p and n that solve the barrier problem for the present w, and their multipliers. trial_h serves as h(w). */
static void split(ipm_state *s, double mu)
{
    const ipm_problem *q = &s->problem;
    ipm_phase *r = &s->resto;
    for (int64_t i = 0; i < q->m; i++) {
        const double c = r->trial_h[i], half = (mu - s->rho * c) / (2.0 * s->rho);
        const double root = hypot(half, sqrt(mu * fabs(c) / (2.0 * s->rho)));
        double n = c >= 0.0 ? half + root : half + sqrt(fmax(half * half + mu * c / (2.0 * s->rho), 0.0));
        if (c > 0.0 && half < 0.0) /* the same root without cancellation */
            n = mu * c / (2.0 * s->rho) / (root - half);
        n = fmax(n, 1e-16);
        const double p = fmax(c + n, 1e-16);
        r->at.w[q->n + i] = p;
        r->at.w[q->n + q->m + i] = n;
        r->at.zl[q->n + i] = mu / p;
        r->at.zl[q->n + q->m + i] = mu / n;
    }
}

static peri_status evaluate_all(ipm_state *s, peri_run *run)
{
    ipm_phase *r = &s->resto;
    TRY(ipm_eval_values(s, run, r, r->at.w, &r->f, r->h));
    return ipm_eval_gradient(s, run, r);
}

static void start_phase(ipm_phase *r)
{
    r->theta_max = 0.0;
    r->soft = 0;
    r->is_soft = false;
    r->shortened = r->rejected_by_filter = r->filter_resets = r->capped = r->ceiling_raises = 0;
    r->in_watchdog = r->tiny = r->tiny_before = r->free_barrier = false;
}

/* The centre w_R of the distance, and D_R. */
static void set_centre(ipm_state *s, const double *w)
{
    for (int64_t j = 0; j < s->problem.n; j++) {
        const double d = fmin(1.0, 1.0 / fabs(w[j]));
        s->ref_w[j] = w[j];
        s->ref_d2[j] = d * d;
    }
}

static void set_problem(ipm_state *s)
{
    const ipm_problem *q = &s->problem;
    const ipm_phase *p = &s->main;
    ipm_phase *r = &s->resto;
    s->rho = RHO;
    set_centre(s, p->at.w);
    for (int64_t j = 0; j < q->n; j++) {
        r->lower[j] = p->lower[j];
        r->upper[j] = p->upper[j];
        r->at.w[j] = p->at.w[j];
        r->at.zl[j] = fmin(s->rho, p->at.zl[j]);
        r->at.zu[j] = fmin(s->rho, p->at.zu[j]);
    }
    for (int64_t j = q->n; j < r->n; j++) {
        r->lower[j] = 0.0;
        r->upper[j] = INFINITY;
        r->at.zu[j] = 0.0;
    }
    memset(r->at.y, 0, (size_t)q->m * sizeof *r->at.y);
    ipm_list_bounds(r);
}

/* ipm_restore_begin - the restoration's start at the main iterate, whose entry goes into the main filter */
peri_status ipm_restore_begin(ipm_state *s, peri_run *run)
{
    ipm_phase *p = &s->main, *r = &s->resto;
    s->restorations++;
    s->n_centres = 0;
    s->active = r;
    s->entry_theta = ipm_norm1(p->m, p->h);
    ipm_filter_add(&p->filter, (1.0 - 1e-5) * s->entry_theta,
                   ipm_barrier_value(p, p->f, p->at.w) - 1e-8 * s->entry_theta);
    set_problem(s);
    start_phase(r);
    ipm_set_barrier(s, r, fmax(p->mu, ipm_norm_inf(p->m, p->h)));
    memcpy(r->trial_h, p->h, (size_t)p->m * sizeof *p->h);
    split(s, r->mu);
    r->delta_w_last = 0.0;
    return evaluate_all(s, run);
}

/* How hard the distance to w_R holds the iterate, relative to the violation's weight. */
static double pull(const ipm_state *s)
{
    double largest = 0.0;
    for (int64_t j = 0; j < s->problem.n; j++)
        largest = fmax(largest, s->zeta * s->ref_d2[j] * fabs(s->resto.at.w[j] - s->ref_w[j]));
    return largest / s->rho;
}

/* Anew from the iterate, which becomes w_R. */
static peri_status start_further(ipm_state *s, peri_run *run)
{
    ipm_phase *r = &s->resto;
    set_centre(s, r->at.w);
    TRY(ipm_eval_main(s, run, r->at.w, NULL, r->trial_h));
    ipm_set_barrier(s, r, fmax(s->main.mu, ipm_norm_inf(s->problem.m, r->trial_h)));
    return ipm_restore_again(s, run);
}

/* The iterate moved by up to a hundredth of its size in each variable, but at most half-way to its bounds. */
static void shake(ipm_state *s)
{
    const ipm_phase *p = &s->main;
    const double golden = 0.6180339887498949;
    double *w = s->resto.at.w;
    for (int64_t j = 0; j < s->problem.n_x; j++) {
        const double u = fmod(golden * (double)(j + 1), 1.0), length = 0.01 * (2.0 * u - 1.0) * fmax(1.0, fabs(w[j]));
        const double low = isfinite(p->lower[j]) ? -0.5 * (w[j] - p->lower[j]) : -INFINITY;
        const double high = isfinite(p->upper[j]) ? 0.5 * (p->upper[j] - w[j]) : INFINITY;
        w[j] += fmin(fmax(length, low), high);
    }
}

/*
 * ipm_restore_further - where the restoration has converged with a violation left. Was it the distance to w_R that held it
 *   there? Then w_R moves to the iterate, ten times in a restoration at most; the distance is relative, so that each takes it
 *   further. Is it a saddle point of the violation, or its maximum? Then it does not come back to it from a point nearby,
 *   which is tried once in a run.
 *   out  moved  the restoration goes on
 */
peri_status ipm_restore_further(ipm_state *s, peri_run *run, bool *moved)
{
    ipm_phase *r = &s->resto;
    const bool is_held = s->n_centres < 10 && pull(s) > 1e-8;
    *moved = is_held || s->n_shakes == 0;
    if (!*moved)
        return PERI_OK;
    s->n_centres += is_held;
    s->n_shakes += !is_held;
    if (is_held)
        return start_further(s, run);
    memcpy(s->unshaken_w, r->at.w, (size_t)s->problem.n * sizeof *s->unshaken_w);
    s->unshaken_violation = ipm_violation(s);
    shake(s);
    const peri_status e = start_further(s, run);
    if (e != PERI_E_DOMAIN)
        return e;
    *moved = false;
    return PERI_OK;
}

/*
 * ipm_restore_return - after the last of the restoration: to the point before the move where nothing better came of it
 *   out  main.trial_f as ipm_restore_finished
 */
peri_status ipm_restore_return(ipm_state *s, peri_run *run, bool *returned)
{
    bool is_finished;
    *returned = s->n_shakes > 0 && !(ipm_violation(s) < s->unshaken_violation);
    if (!*returned)
        return PERI_OK;
    memcpy(s->resto.at.w, s->unshaken_w, (size_t)s->problem.n * sizeof *s->unshaken_w);
    TRY(ipm_eval_main(s, run, s->resto.at.w, NULL, s->resto.trial_h));
    return ipm_restore_finished(s, run, &is_finished);
}

/* ipm_restore_again - where the restoration's own line search fails: the best p, n for the present w, multipliers anew */
peri_status ipm_restore_again(ipm_state *s, peri_run *run)
{
    const ipm_problem *q = &s->problem;
    ipm_phase *r = &s->resto;
    TRY(ipm_eval_main(s, run, r->at.w, NULL, r->trial_h));
    split(s, r->mu);
    memset(r->at.y, 0, (size_t)q->m * sizeof *r->at.y);
    start_phase(r);
    ipm_filter_reset(r);
    return evaluate_all(s, run);
}

/* Each time again the restoration must do better, so that an infeasible problem soon shows where its violation is smallest. */
static double wanted_reduction(const ipm_state *s)
{
    return fmax(WANTED_REDUCTION * pow(0.3, (double)(s->restorations - 1)), 1e-4);
}

/*
 * ipm_restore_finished - may the main phase go on from the restoration's iterate?
 *   out  main.trial_f, main.trial_h hold f and h there; trial_f is NaN where f is undefined
 */
peri_status ipm_restore_finished(ipm_state *s, peri_run *run, bool *finished)
{
    ipm_phase *p = &s->main;
    *finished = false;
    p->trial_f = NAN;
    const peri_status e = ipm_eval_main(s, run, s->resto.at.w, &p->trial_f, p->trial_h);
    if (e == PERI_E_DOMAIN)
        return PERI_OK;
    TRY(e);
    const double theta = ipm_norm1(p->m, p->trial_h);
    const double phi = ipm_barrier_value(p, p->trial_f, s->resto.at.w);
    *finished = theta <= wanted_reduction(s) * s->entry_theta && ipm_filter_accepts(p, theta, phi);
    return PERI_OK;
}

/* Multipliers of the bounds after the move from w_R: as a Newton step in them for that dw, or 1 where that is far off. */
static void carry_multipliers(ipm_state *s)
{
    ipm_phase *p = &s->main;
    const int64_t n = s->problem.n;
    for (int64_t j = 0; j < n; j++)
        p->step.w[j] = s->resto.at.w[j] - p->at.w[j];
    ipm_bound_directions(p, p->mu, p->step.w, p->step.zl, p->step.zu);
    const double alpha = ipm_longest_dual_step(p, p->tau, p->step.zl, p->step.zu);
    double largest = 0.0;
    for (int64_t k = 0; k < p->n_lower; k++) {
        const int64_t j = p->has_lower[k];
        p->at.zl[j] += alpha * p->step.zl[j];
        largest = fmax(largest, p->at.zl[j]);
    }
    for (int64_t k = 0; k < p->n_upper; k++) {
        const int64_t j = p->has_upper[k];
        p->at.zu[j] += alpha * p->step.zu[j];
        largest = fmax(largest, p->at.zu[j]);
    }
    if (largest <= RESET_MULTIPLIERS_ABOVE)
        return;
    for (int64_t k = 0; k < p->n_lower; k++)
        p->at.zl[p->has_lower[k]] = 1.0;
    for (int64_t k = 0; k < p->n_upper; k++)
        p->at.zu[p->has_upper[k]] = 1.0;
}

/* ipm_restore_end - back to the main phase at the restoration's iterate */
peri_status ipm_restore_end(ipm_state *s, peri_run *run)
{
    ipm_phase *p = &s->main;
    carry_multipliers(s);
    memcpy(p->at.w, s->resto.at.w, (size_t)p->n * sizeof *p->at.w);
    TRY(ipm_eval_main(s, run, p->at.w, &p->f, p->h));
    TRY(ipm_eval_gradient(s, run, p));
    TRY(ipm_least_squares_multipliers(s, run, p));
    p->shortened = p->rejected_by_filter = p->soft = 0;
    p->is_soft = p->tiny = p->tiny_before = false;
    p->alpha = s->resto.alpha;
    s->active = p;
    return PERI_OK;
}
