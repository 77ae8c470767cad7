/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipm_search.c - the filter line search of a phase (WB algorithm A, steps 4-8): trial points between the step to the boundary and the
 * smallest useful step, second-order corrections, the watchdog, and the move to the accepted point. theta is the 1-norm of h, phi the
 * barrier function. The filter belongs to one value of mu; when it is full its oldest half is forgotten.
 */
#include "ipm.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* WB section 4 */
static const double GAMMA_THETA = 1e-5, GAMMA_PHI = 1e-8, DELTA = 1.0, S_THETA = 1.1, S_PHI = 2.3, ETA_PHI = 1e-8;
static const double GAMMA_ALPHA = 0.05, KAPPA_SOC = 0.99, KAPPA_SIGMA = 1e10, LARGEST_INCREASE = 5.0;

double ipm_norm1(int64_t n, const double *v)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs(v[i]);
    return sum;
}

double ipm_norm_inf(int64_t n, const double *v)
{
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(v[i]));
    return largest;
}

double ipm_dot(int64_t n, const double *a, const double *b)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* a <= b up to the rounding of a quantity of size `basis` */
static bool at_most(double a, double b, double basis)
{
    return a - b <= 10.0 * DBL_EPSILON * fabs(basis);
}

/* ---- filter ------------------------------------------------------------------------------------------------------------------- */

void ipm_filter_reset(ipm_phase *p)
{
    p->filter.count = 0;
}

void ipm_filter_add(ipm_filter *f, double theta, double phi)
{
    int64_t kept = 0;
    for (int64_t k = 0; k < f->count; k++)
        if (f->theta[k] < theta || f->phi[k] < phi) {
            f->theta[kept] = f->theta[k];
            f->phi[kept++] = f->phi[k];
        }
    if (kept == IPM_FILTER_CAPACITY) {
        kept /= 2;
        memmove(f->theta, f->theta + IPM_FILTER_CAPACITY - kept, (size_t)kept * sizeof *f->theta);
        memmove(f->phi, f->phi + IPM_FILTER_CAPACITY - kept, (size_t)kept * sizeof *f->phi);
    }
    f->theta[kept] = theta;
    f->phi[kept] = phi;
    f->count = kept + 1;
}

bool ipm_filter_accepts(const ipm_phase *p, double theta, double phi)
{
    if (!(theta <= p->theta_max))
        return false;
    for (int64_t k = 0; k < p->filter.count; k++)
        if (!at_most(theta, p->filter.theta[k], p->filter.theta[k]) && !at_most(phi, p->filter.phi[k], p->filter.phi[k]))
            return false;
    return true;
}

static void augment(ipm_phase *p)
{
    ipm_filter_add(&p->filter, (1.0 - GAMMA_THETA) * p->ref_theta, p->ref_phi - GAMMA_PHI * p->ref_theta);
}

/* ---- acceptance of a trial point ------------------------------------------------------------------------------------------------ */

/* the switching condition (WB 19) */
static bool is_switching(const ipm_phase *p, double alpha)
{
    return p->ref_slope < 0.0 && alpha * pow(-p->ref_slope, S_PHI) > DELTA * pow(p->ref_theta, S_THETA);
}

static bool has_armijo(const ipm_phase *p, double alpha, double phi)
{
    return at_most(phi - p->ref_phi, ETA_PHI * alpha * p->ref_slope, p->ref_phi);
}

typedef struct {
    double theta, phi;
    bool is_accepted, by_filter; /* by_filter: false where the filter alone refused it */
    bool is_capped;              /* the filter's ceiling did */
} trial;

static void judge(const ipm_phase *p, double alpha, trial *t)
{
    t->is_accepted = t->is_capped = false;
    t->by_filter = true;
    const double size = fmax(1.0, fabs(p->ref_phi) > 10.0 ? log10(fabs(p->ref_phi)) : 1.0);
    const bool is_halved = t->theta <= 0.5 * p->ref_theta;
    if (!is_halved && t->phi > p->ref_phi && log10(t->phi - p->ref_phi) > LARGEST_INCREASE + size)
        return;
    if (is_switching(p, alpha) && p->ref_theta <= p->theta_min) {
        if (!has_armijo(p, alpha, t->phi))
            return;
    } else if (!at_most(t->theta, (1.0 - GAMMA_THETA) * p->ref_theta, p->ref_theta) &&
               !at_most(t->phi - p->ref_phi, -GAMMA_PHI * p->ref_theta, p->ref_phi)) {
        return;
    }
    t->by_filter = ipm_filter_accepts(p, t->theta, t->phi);
    t->is_accepted = t->by_filter;
    t->is_capped = t->theta > p->theta_max;
}

/* Values at at.w + alpha * dw;  out t theta infinite where a function is undefined there */
static peri_status evaluate(ipm_state *s, peri_run *run, ipm_phase *p, double alpha, const double *dw, trial *t)
{
    for (int64_t j = 0; j < p->n; j++)
        p->trial.w[j] = p->at.w[j] + alpha * dw[j];
    *t = (trial){INFINITY, INFINITY, false, true, false};
    const peri_status e = ipm_eval_values(s, run, p, p->trial.w, &p->trial_f, p->trial_h);
    if (e == PERI_E_DOMAIN)
        p->trial_f = NAN; /* trial_h is of an earlier point */
    if (e == PERI_E_DOMAIN)
        return PERI_OK;
    TRY(e);
    const double theta = ipm_norm1(p->m, p->trial_h), phi = ipm_barrier_value(p, p->trial_f, p->trial.w);
    if (isfinite(theta) && isfinite(phi)) {
        t->theta = theta;
        t->phi = phi;
    }
    return PERI_OK;
}

/* WB 23 */
static double smallest_step(const ipm_phase *p)
{
    const double slope = p->ref_slope, theta = p->ref_theta;
    double alpha = GAMMA_THETA;
    if (slope < 0.0) {
        alpha = fmin(alpha, GAMMA_PHI * theta / -slope);
        if (theta <= p->theta_min)
            alpha = fmin(alpha, DELTA * pow(theta, S_THETA) / pow(-slope, S_PHI));
    }
    return GAMMA_ALPHA * alpha;
}

static void set_reference(const ipm_state *s, ipm_phase *p)
{
    (void)s;
    p->ref_theta = ipm_norm1(p->m, p->h);
    p->ref_phi = ipm_barrier_value(p, p->f, p->at.w);
    p->ref_slope = 0.0;
    for (int64_t j = 0; j < p->n; j++) /* rw = -(grad phi + (grad h) y) */
        p->ref_slope -= (p->rw[j] + p->jty[j]) * p->step.w[j];
    if (p->theta_max == 0.0) {
        p->theta_max = 1e3 * fmax(1.0, p->ref_theta); /* a tenth of WB's: fewer excursions from degenerate starts */
        p->theta_min = 1e-4 * fmax(1.0, p->ref_theta);
    }
}

/* ---- second-order correction (WB 26-28) -------------------------------------------------------------------------------------------- */

/* On success the direction is the corrected one. alpha_max: the step to the boundary that was refused. */
static peri_status correct(ipm_state *s, peri_run *run, ipm_phase *p, double alpha_max, trial *t, double *alpha)
{
    double before = p->ref_theta, theta = t->theta, shift = alpha_max, ratio;
    memcpy(p->soc_h, p->h, (size_t)p->m * sizeof *p->h);
    for (int64_t k = 0; k < s->opt.corrections && (k == 0 || theta <= KAPPA_SOC * before); k++) {
        before = k == 0 ? before : theta;
        for (int64_t i = 0; i < p->m; i++) {
            p->soc_h[i] = shift * p->soc_h[i] + p->trial_h[i];
            p->ry[i] = -p->soc_h[i];
        }
        TRY(ipm_solve_refined(s, p, p->rw, p->ry, p->soc_w, p->soc_y, &ratio));
        const double length = ipm_longest_step(p, p->tau, p->at.w, p->soc_w);
        TRY(evaluate(s, run, p, length, p->soc_w, t));
        judge(p, alpha_max, t);
        if (t->is_accepted) {
            memcpy(p->step.w, p->soc_w, (size_t)p->n * sizeof *p->soc_w);
            memcpy(p->step.y, p->soc_y, (size_t)p->m * sizeof *p->soc_y);
            ipm_bound_directions(p, p->mu, p->step.w, p->step.zl, p->step.zu);
            *alpha = length;
            return PERI_OK;
        }
        if (!isfinite(t->theta))
            break;
        theta = t->theta;
        shift = length;
    }
    return PERI_OK;
}

/* ---- the search ---------------------------------------------------------------------------------------------------------------------- */

/* A ceiling on the violation that five searches in a row have met is too low; finitely often, for convergence. */
static void raise_ceiling(ipm_phase *p, bool is_capped)
{
    p->capped = is_capped ? p->capped + 1 : 0;
    if (p->capped < 5 || p->ceiling_raises == 5)
        return;
    p->ceiling_raises++;
    p->capped = 0;
    p->theta_max *= 10.0;
}

/*
 * Trial steps alpha_max, alpha_max / 2, ... until one is accepted or too small;  out alpha, accepted. In the watchdog's trial steps
 * only the first is tried, compared with where the watchdog started.
 */
static peri_status backtrack(ipm_state *s, peri_run *run, ipm_phase *p, double alpha_max, bool skip_first, double *alpha,
                             bool *accepted)
{
    const double smallest = p->in_watchdog ? alpha_max : smallest_step(p);
    bool refused_by_filter = false, is_capped = false;
    *accepted = false;
    p->tag = 0;
    for (double a = skip_first ? 0.5 * alpha_max : alpha_max; a >= smallest && a > 0.0; a *= 0.5) {
        trial t;
        TRY(evaluate(s, run, p, a, p->step.w, &t));
        const double judged = p->in_watchdog ? p->ref_alpha : a;
        *alpha = a;
        if (isfinite(t.theta)) {
            judge(p, judged, &t);
            refused_by_filter |= !t.by_filter;
            if (!t.is_accepted && a == alpha_max && t.theta >= p->ref_theta && s->opt.corrections > 0 && p->m > 0 &&
                !p->in_watchdog) {
                TRY(correct(s, run, p, alpha_max, &t, alpha));
                p->tag = t.is_accepted ? 'S' : 0;
            }
            is_capped |= t.is_capped;
        }
        if (t.is_accepted) {
            const bool by_objective = is_switching(p, judged) && has_armijo(p, judged, t.phi);
            if (!by_objective)
                augment(p);
            if (p->tag == 'S')
                p->tag = by_objective ? 'F' : 'H';
            else
                p->tag = by_objective ? 'f' : 'h';
            *accepted = true;
            break;
        }
        if (a == alpha_max && p->in_watchdog)
            break;
        if (peri_should_stop(run))
            break;
    }
    raise_ceiling(p, is_capped);
    p->rejected_by_filter = refused_by_filter ? p->rejected_by_filter + 1 : 0;
    if (p->rejected_by_filter >= 5 && p->filter_resets < 5) { /* the filter stands in the way: forget it */
        p->filter_resets++;
        p->rejected_by_filter = 0;
        ipm_filter_reset(p);
    }
    return PERI_OK;
}

/* ---- moving --------------------------------------------------------------------------------------------------------------------------- */

/* WB 16: multipliers within kappa_sigma of mu / slack */
static double near_central(double z, double mu, double slack)
{
    return fmax(fmin(z, KAPPA_SIGMA * mu / slack), mu / (KAPPA_SIGMA * slack));
}

static void move_multipliers(ipm_phase *p, double alpha, double alpha_dual)
{
    for (int64_t i = 0; i < p->m; i++)
        p->at.y[i] += alpha * p->step.y[i];
    for (int64_t k = 0; k < p->n_lower; k++) {
        const int64_t j = p->has_lower[k];
        p->at.zl[j] = near_central(p->at.zl[j] + alpha_dual * p->step.zl[j], p->mu, ipm_slack_lower(p, p->at.w, j));
    }
    for (int64_t k = 0; k < p->n_upper; k++) {
        const int64_t j = p->has_upper[k];
        p->at.zu[j] = near_central(p->at.zu[j] + alpha_dual * p->step.zu[j], p->mu, ipm_slack_upper(p, p->at.w, j));
    }
}

/*
 * Where equations hold a variable at its bound, or rows leave no room between their sides, there is no interior: the slack vanishes
 * while mu is still large, and the multipliers run away. Such a bound is moved outwards, once, by a tenth of the tolerance, which is
 * less than the certificate sees.
 */
static void relax_forced_bounds(const ipm_state *s, ipm_phase *p)
{
    const ipm_problem *q = &s->problem;
    const double relax = 0.1 * fmin(s->limits->tolerance, 1e-6), large = 1e8;
    for (int64_t k = 0; k < p->n_lower && p->has_lower[k] < q->n; k++) {
        const int64_t j = p->has_lower[k];
        if (p->at.zl[j] > large && p->at.w[j] - p->lower[j] < relax && p->lower[j] >= ipm_model_lower(q, j))
            p->lower[j] -= fmax(relax, 1e-15 * fabs(p->lower[j]));
    }
    for (int64_t k = 0; k < p->n_upper && p->has_upper[k] < q->n; k++) {
        const int64_t j = p->has_upper[k];
        if (p->at.zu[j] > large && p->upper[j] - p->at.w[j] < relax && p->upper[j] <= ipm_model_upper(q, j))
            p->upper[j] += fmax(relax, 1e-15 * fabs(p->upper[j]));
    }
}

/* To the trial point, whose values were just computed. */
static void move(const ipm_state *s, ipm_phase *p, double alpha, double alpha_dual)
{
    double *w = p->at.w, *h = p->h;
    p->alpha = alpha;
    p->alpha_dual = alpha_dual;
    p->at.w = p->trial.w;
    p->trial.w = w;
    p->h = p->trial_h;
    p->trial_h = h;
    p->f = p->trial_f;
    move_multipliers(p, alpha, p->alpha_dual);
    relax_forced_bounds(s, p);
}

/* Is the step below the rounding of the variables? (WB 3.9) */
static bool is_tiny(const ipm_phase *p)
{
    for (int64_t j = 0; j < p->n; j++)
        if (fabs(p->step.w[j]) > 10.0 * DBL_EPSILON * (1.0 + fabs(p->at.w[j])))
            return false;
    return p->ref_theta <= 1e-4;
}

/* ---- watchdog (WB 3.4: Chamberlain and others 1982) --------------------------------------------------------------------------------------- */

static void copy_point(const ipm_phase *p, ipm_point *to, const ipm_point *from)
{
    memcpy(to->w, from->w, (size_t)p->n * sizeof *to->w);
    memcpy(to->y, from->y, (size_t)p->m * sizeof *to->y);
    memcpy(to->zl, from->zl, (size_t)p->n * sizeof *to->zl);
    memcpy(to->zu, from->zu, (size_t)p->n * sizeof *to->zu);
}

static void start_watchdog(ipm_state *s, ipm_phase *p, double alpha_max)
{
    (void)ipm_kkt_switch(s); /* steps may be short for being inaccurate */
    p->in_watchdog = true;
    p->watchdog_trials = 0;
    p->ref_alpha = alpha_max;
    copy_point(p, &p->kept_at, &p->at);
    copy_point(p, &p->kept_step, &p->step);
    memcpy(p->kept_rw, p->rw, (size_t)p->n * sizeof *p->rw);
}

/* ipm_stop_watchdog - back to where it started, with the direction of then; the factors are of another point, so no corrections. The
 * switching strategy takes its failure for a sign that mu does not fit. */
peri_status ipm_stop_watchdog(ipm_state *s, peri_run *run, ipm_phase *p)
{
    p->in_watchdog = false;
    p->shortened = 0;
    if (s->opt.barrier == IPM_SWITCHING && !p->restoration) {
        p->free_barrier = true;
        p->n_progress = 0;
    }
    copy_point(p, &p->at, &p->kept_at);
    copy_point(p, &p->step, &p->kept_step);
    memcpy(p->rw, p->kept_rw, (size_t)p->n * sizeof *p->rw);
    TRY(ipm_eval_values(s, run, p, p->at.w, &p->f, p->h));
    return ipm_eval_gradient(s, run, p);
}

static peri_status search_in_watchdog(ipm_state *s, peri_run *run, ipm_phase *p, double alpha_max, double *alpha,
                                      bool *accepted)
{
    TRY(backtrack(s, run, p, alpha_max, false, alpha, accepted));
    if (*accepted) {
        p->in_watchdog = false;
        p->shortened = 0;
        return PERI_OK;
    }
    const double theta = ipm_norm1(p->m, p->trial_h);
    if (++p->watchdog_trials <= 3 && isfinite(theta) && isfinite(p->trial_f)) {
        p->tag = 'w';
        *accepted = true; /* on trust */
        return PERI_OK;
    }
    TRY(ipm_stop_watchdog(s, run, p));
    return backtrack(s, run, p, p->ref_alpha, true, alpha, accepted);
}

/* ---- the kinds of steps --------------------------------------------------------------------------------------------------------------------- */

static peri_status take_tiny_step(ipm_state *s, peri_run *run, ipm_phase *p, double alpha_max, double *alpha, bool *accepted)
{
    trial t;
    TRY(evaluate(s, run, p, alpha_max, p->step.w, &t));
    p->tag = 't';
    *alpha = alpha_max;
    *accepted = isfinite(t.theta);
    return PERI_OK;
}

static peri_status search_steps(ipm_state *s, peri_run *run, ipm_phase *p, double alpha_max, double *alpha, bool *accepted)
{
    if (!p->in_watchdog && s->opt.watchdog > 0 && p->shortened >= s->opt.watchdog)
        start_watchdog(s, p, alpha_max);
    if (p->in_watchdog)
        return search_in_watchdog(s, run, p, alpha_max, alpha, accepted);
    TRY(backtrack(s, run, p, alpha_max, false, alpha, accepted));
    p->shortened = *accepted && *alpha < alpha_max ? p->shortened + 1 : 0;
    return PERI_OK;
}

/* ---- soft restoration (WB 3.3, at the end) ------------------------------------------------------------------------------------------------- */

/* Back to the iterate before the soft step. */
static peri_status undo(ipm_state *s, peri_run *run, ipm_phase *p, double f)
{
    double *h = p->h;
    copy_point(p, &p->at, &p->kept_at);
    p->h = p->trial_h;
    p->trial_h = h;
    p->f = f;
    return ipm_eval_gradient(s, run, p);
}

/*
 * Before the restoration phase: the same step in all variables and multipliers, accepted as long as the filter agrees or it makes the
 * error of the barrier problem smaller; ten times in a row at most.
 */
static peri_status soft_step(ipm_state *s, peri_run *run, ipm_phase *p, bool *accepted)
{
    const double before = ipm_system_error(p), f = p->f;
    const double alpha = fmin(ipm_longest_step(p, p->tau, p->at.w, p->step.w),
                              ipm_longest_dual_step(p, p->tau, p->step.zl, p->step.zu));
    trial t;
    *accepted = false;
    if (p->soft >= 10)
        return PERI_OK;
    TRY(evaluate(s, run, p, alpha, p->step.w, &t));
    if (!isfinite(t.theta))
        return PERI_OK;
    judge(p, 0.0, &t);
    copy_point(p, &p->kept_at, &p->at);
    move(s, p, alpha, alpha);
    const peri_status e = ipm_eval_gradient(s, run, p);
    if (e != PERI_OK && e != PERI_E_DOMAIN)
        return e;
    *accepted = e == PERI_OK && (t.is_accepted || ipm_system_error(p) <= 0.9999 * before);
    if (!*accepted)
        return undo(s, run, p, f);
    p->soft++;
    p->is_soft = !t.is_accepted;
    p->tag = 's';
    return PERI_OK;
}

static peri_status search_softly(ipm_state *s, peri_run *run, ipm_phase *p, bool *accepted)
{
    if (!p->is_soft)
        augment(p);
    p->is_soft = false;
    p->shortened = 0;
    return soft_step(s, run, p, accepted);
}

/*
 * ipm_search - from the iterate along `step` to the next iterate; values there are in f and h
 *   out  move  IPM_MOVED; IPM_MOVED_ALL: the same, derivatives included; IPM_NO_STEP: no trial point was acceptable
 */
peri_status ipm_search(ipm_state *s, peri_run *run, ipm_phase *p, ipm_move *out)
{
    double alpha = 0.0;
    bool accepted = false;
    const double alpha_max = ipm_longest_step(p, p->tau, p->at.w, p->step.w);
    if (!p->in_watchdog)
        set_reference(s, p);
    p->tiny_before = p->tiny;
    p->tiny = !p->in_watchdog && !p->is_soft && is_tiny(p);
    if (p->tiny)
        TRY(take_tiny_step(s, run, p, alpha_max, &alpha, &accepted));
    else if (!p->is_soft)
        TRY(search_steps(s, run, p, alpha_max, &alpha, &accepted));
    *out = IPM_MOVED;
    if (accepted) {
        p->soft = 0;
        move(s, p, alpha, ipm_longest_dual_step(p, p->tau, p->step.zl, p->step.zu));
        return PERI_OK;
    }
    if (!p->tiny && !peri_should_stop(run))
        TRY(search_softly(s, run, p, &accepted));
    *out = accepted ? IPM_MOVED_ALL : peri_should_stop(run) ? IPM_INTERRUPTED : IPM_NO_STEP;
    return PERI_OK;
}
