/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipm_barrier.c - the barrier function, the optimality error, steps to the boundary, and the barrier parameter: monotone (WB 7, 8)
 * or adaptive (Nocedal, Waechter, Waltz 2009, called NWW: the parameter that minimises a quality function of the step to come, with
 * the monotone rule as the fall-back that makes it converge).
 */
#include "ipm.h"
#include <math.h>
#include <string.h>

static const double TAU_MIN = 0.99;          /* WB 8 */
static const double ERROR_PER_MU = 10.0;     /* kappa_epsilon of WB 6 */
static const double MEAN_MULTIPLIER = 100.0; /* s_max of WB 5 */
static const double DAMPING = 1e-5;          /* kappa_d, see ipm_direction.c */

/* WB 3b with the damping of section 3.7 */
double ipm_barrier_value(const ipm_phase *p, double f, const double *w)
{
    double logs = 0.0, linear = 0.0;
    for (int64_t k = 0; k < p->n_lower; k++) {
        const int64_t j = p->has_lower[k];
        const double slack = ipm_slack_lower(p, w, j);
        logs += log(slack);
        linear += isinf(p->upper[j]) ? slack : 0.0;
    }
    for (int64_t k = 0; k < p->n_upper; k++) {
        const int64_t j = p->has_upper[k];
        const double slack = ipm_slack_upper(p, w, j);
        logs += log(slack);
        linear += isinf(p->lower[j]) ? slack : 0.0;
    }
    return f + p->mu * (DAMPING * linear - logs);
}

typedef struct {
    double dual, primal, complementarity; /* largest entries */
    double sum_y, sum_z, sum_products, smallest_product;
} errors;

static errors measure(const ipm_phase *p, double mu)
{
    errors e = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, INFINITY};
    for (int64_t j = 0; j < p->n; j++)
        e.dual = ipm_max(e.dual, fabs(p->grad[j] + p->jty[j] - p->at.zl[j] + p->at.zu[j]));
    for (int64_t i = 0; i < p->m; i++) {
        e.primal = ipm_max(e.primal, fabs(p->h[i]));
        e.sum_y += fabs(p->at.y[i]);
    }
    for (int64_t k = 0; k < p->n_lower + p->n_upper; k++) {
        const bool is_lower = k < p->n_lower;
        const int64_t j = is_lower ? p->has_lower[k] : p->has_upper[k - p->n_lower];
        const double z = is_lower ? p->at.zl[j] : p->at.zu[j];
        const double product = z * (is_lower ? ipm_slack_lower(p, p->at.w, j) : ipm_slack_upper(p, p->at.w, j));
        e.complementarity = ipm_max(e.complementarity, fabs(product - mu));
        e.sum_z += z;
        e.sum_products += product;
        e.smallest_product = fmin(e.smallest_product, product);
    }
    return e;
}

static double scaled_error(const ipm_phase *p, const errors *e, double primal)
{
    const double bounds = (double)(p->n_lower + p->n_upper), all = bounds + (double)p->m;
    const double s_d = fmax(MEAN_MULTIPLIER, all > 0 ? (e->sum_y + e->sum_z) / all : 0.0) / MEAN_MULTIPLIER;
    const double s_c = fmax(MEAN_MULTIPLIER, bounds > 0 ? e->sum_z / bounds : 0.0) / MEAN_MULTIPLIER;
    return fmax(e->dual / s_d, fmax(primal, e->complementarity / s_c));
}

/* WB 5: E_mu */
double ipm_error(const ipm_phase *p, double mu)
{
    const errors e = measure(p, mu);
    return scaled_error(p, &e, e.primal);
}

/* Does the point solve the barrier problem (WB 6)? Where the objective's factor makes mu tiny, violations need not follow it. */
static bool is_solved(const ipm_state *s, const ipm_phase *p)
{
    const errors e = measure(p, p->mu);
    const bool is_feasible = e.primal <= 0.1 * s->limits->tolerance;
    return scaled_error(p, &e, is_feasible ? 0.0 : e.primal) <= ERROR_PER_MU * p->mu;
}

/* The barrier problem's error with each part by its mean, for the soft restoration. */
double ipm_system_error(const ipm_phase *p)
{
    double dual = 0.0, primal = 0.0, products = 0.0;
    for (int64_t j = 0; j < p->n; j++)
        dual += fabs(p->grad[j] + p->jty[j] - p->at.zl[j] + p->at.zu[j]);
    for (int64_t i = 0; i < p->m; i++)
        primal += fabs(p->h[i]);
    for (int64_t k = 0; k < p->n_lower; k++)
        products += fabs(p->at.zl[p->has_lower[k]] * ipm_slack_lower(p, p->at.w, p->has_lower[k]) - p->mu);
    for (int64_t k = 0; k < p->n_upper; k++)
        products += fabs(p->at.zu[p->has_upper[k]] * ipm_slack_upper(p, p->at.w, p->has_upper[k]) - p->mu);
    const int64_t bounds = p->n_lower + p->n_upper;
    return dual / (double)p->n + (p->m > 0 ? primal / (double)p->m : 0.0) + (bounds > 0 ? products / (double)bounds : 0.0);
}

double ipm_mean_complementarity(const ipm_phase *p)
{
    const int64_t bounds = p->n_lower + p->n_upper;
    return bounds > 0 ? measure(p, 0.0).sum_products / (double)bounds : 0.0;
}

/* ---- steps to the boundary (WB 15) ------------------------------------------------------------------------------------------ */

static double shorten(double alpha, double tau, double slack, double decrease)
{
    return decrease > 0.0 && alpha * decrease > tau * slack ? tau * slack / decrease : alpha;
}

double ipm_longest_step(const ipm_phase *p, double tau, const double *w, const double *dw)
{
    double alpha = 1.0;
    for (int64_t k = 0; k < p->n_lower; k++)
        alpha = shorten(alpha, tau, ipm_slack_lower(p, w, p->has_lower[k]), -dw[p->has_lower[k]]);
    for (int64_t k = 0; k < p->n_upper; k++)
        alpha = shorten(alpha, tau, ipm_slack_upper(p, w, p->has_upper[k]), dw[p->has_upper[k]]);
    return alpha;
}

double ipm_longest_dual_step(const ipm_phase *p, double tau, const double *dzl, const double *dzu)
{
    double alpha = 1.0;
    for (int64_t k = 0; k < p->n_lower; k++)
        alpha = shorten(alpha, tau, p->at.zl[p->has_lower[k]], -dzl[p->has_lower[k]]);
    for (int64_t k = 0; k < p->n_upper; k++)
        alpha = shorten(alpha, tau, p->at.zu[p->has_upper[k]], -dzu[p->has_upper[k]]);
    return alpha;
}

/* ---- the parameter ------------------------------------------------------------------------------------------------------------ */

void ipm_set_barrier(ipm_state *s, ipm_phase *p, double mu)
{
    p->mu = mu;
    p->tau = fmax(TAU_MIN, 1.0 - mu);
    ipm_filter_reset(p);
    if (p->restoration)
        ipm_restore_proximity(s, mu);
}

/* The parameter's floor: small enough for the tolerance in the method's units and, through the certificate's scale, in the model's. */
static double floor_of(const ipm_state *s, const ipm_phase *p)
{
    const double wanted = fmin(s->limits->tolerance, 1e-4) / (ERROR_PER_MU + 1.0);
    if (p->restoration)
        return wanted;
    return fmax(1e-9 * wanted, fmin(wanted, wanted * s->problem.f_scale * s->certificate.scale));
}

static double decreased(const ipm_state *s, const ipm_phase *p)
{
    return fmax(floor_of(s, p), fmin(s->opt.barrier_decrease * p->mu, pow(p->mu, s->opt.barrier_power)));
}

/* WB 7, as often as the point solves the barrier problem; `force`: once at least */
static void decrease_monotone(ipm_state *s, ipm_phase *p, bool force, bool *at_floor)
{
    for (;;) {
        if (!force && !is_solved(s, p))
            return;
        const double mu = decreased(s, p);
        *at_floor = !(mu < p->mu);
        if (*at_floor)
            return;
        ipm_set_barrier(s, p, mu);
        force = false;
    }
}

/* ---- adaptive ------------------------------------------------------------------------------------------------------------------ */

/* NWW section 3.3: the squared optimality error, each part by its mean */
static double progress_measure(const ipm_phase *p)
{
    const errors e = measure(p, 0.0);
    return fmax(e.dual / fmax(1.0, (e.sum_y + e.sum_z) / (double)(p->m + p->n_lower + p->n_upper) / MEAN_MULTIPLIER),
                fmax(e.primal, e.complementarity));
}

static bool has_progressed(const ipm_phase *p, double now)
{
    if (p->n_progress < IPM_PROGRESS)
        return true;
    double worst = 0.0;
    for (int64_t k = 0; k < IPM_PROGRESS; k++)
        worst = fmax(worst, p->progress[k]);
    return now <= 0.9999 * worst;
}

static void remember_progress(ipm_phase *p, double now)
{
    p->progress[p->n_progress % IPM_PROGRESS] = now;
    p->n_progress++;
}

/* The quality function (NWW 4.1): what the linear model promises after the steps to the boundary with direction affine + mu * centre. */
typedef struct {
    ipm_phase *p;
    const double *affine_w, *affine_zl, *affine_zu, *centre_w, *centre_zl, *centre_zu;
    double *dw, *dzl, *dzu;
    double dual, primal; /* squared norms at the iterate */
    double tau;
} quality;

static double quality_at(const quality *q, double mu)
{
    const ipm_phase *p = q->p;
    for (int64_t j = 0; j < p->n; j++) {
        q->dw[j] = q->affine_w[j] + mu * q->centre_w[j];
        q->dzl[j] = q->affine_zl[j] + mu * q->centre_zl[j];
        q->dzu[j] = q->affine_zu[j] + mu * q->centre_zu[j];
    }
    const double alpha = ipm_longest_step(p, q->tau, p->at.w, q->dw);
    const double alpha_dual = ipm_longest_dual_step(p, q->tau, q->dzl, q->dzu);
    double products = 0.0;
    for (int64_t k = 0; k < p->n_lower; k++) {
        const int64_t j = p->has_lower[k];
        const double product = (ipm_slack_lower(p, p->at.w, j) + alpha * q->dw[j]) * (p->at.zl[j] + alpha_dual * q->dzl[j]);
        products += product * product;
    }
    for (int64_t k = 0; k < p->n_upper; k++) {
        const int64_t j = p->has_upper[k];
        const double product = (ipm_slack_upper(p, p->at.w, j) - alpha * q->dw[j]) * (p->at.zu[j] + alpha_dual * q->dzu[j]);
        products += product * product;
    }
    return (1.0 - alpha_dual) * (1.0 - alpha_dual) * q->dual / (double)p->n +
           (p->m > 0 ? (1.0 - alpha) * (1.0 - alpha) * q->primal / (double)p->m : 0.0) +
           products / (double)(p->n_lower + p->n_upper);
}

/* The minimiser of the quality function over [low, high] by golden sections of the logarithm. */
static double golden(const quality *q, double low, double high)
{
    const double ratio = 0.5 * (sqrt(5.0) - 1.0);
    double a = log(low), b = log(high), c = b - ratio * (b - a), d = a + ratio * (b - a);
    double at_c = quality_at(q, exp(c)), at_d = quality_at(q, exp(d));
    for (int k = 0; k < 12 && b - a > 0.05; k++) {
        if (at_c < at_d) {
            b = d;
            d = c;
            at_d = at_c;
            c = b - ratio * (b - a);
            at_c = quality_at(q, exp(c));
        } else {
            a = c;
            c = d;
            at_c = at_d;
            d = a + ratio * (b - a);
            at_d = quality_at(q, exp(d));
        }
    }
    return at_c < at_d ? exp(c) : exp(d);
}

/* Centre direction: right-hand side per unit of mu. Uses rw, ry; result in soc_w, trial.zl, trial.zu. */
static peri_status centre_direction(ipm_state *s, ipm_phase *p)
{
    double ratio;
    memset(p->rw, 0, (size_t)p->n * sizeof *p->rw);
    memset(p->ry, 0, (size_t)p->m * sizeof *p->ry);
    for (int64_t k = 0; k < p->n_lower; k++)
        p->rw[p->has_lower[k]] += 1.0 / ipm_slack_lower(p, p->at.w, p->has_lower[k]);
    for (int64_t k = 0; k < p->n_upper; k++)
        p->rw[p->has_upper[k]] -= 1.0 / ipm_slack_upper(p, p->at.w, p->has_upper[k]);
    TRY(ipm_solve_refined(s, p, p->rw, p->ry, p->soc_w, p->soc_y, &ratio));
    for (int64_t k = 0; k < p->n_lower; k++) {
        const int64_t j = p->has_lower[k];
        p->trial.zl[j] = (1.0 - p->at.zl[j] * p->soc_w[j]) / ipm_slack_lower(p, p->at.w, j);
    }
    for (int64_t k = 0; k < p->n_upper; k++) {
        const int64_t j = p->has_upper[k];
        p->trial.zu[j] = (1.0 + p->at.zu[j] * p->soc_w[j]) / ipm_slack_upper(p, p->at.w, j);
    }
    return PERI_OK;
}

/*
 * ipm_probe_barrier - mu for the present factorisation, called by ipm_direction before it solves for the step
 *   Affine direction (mu = 0) and centring direction are two solves with the factors at hand.
 */
peri_status ipm_probe_barrier(ipm_state *s, ipm_phase *p)
{
    double ratio;
    const errors e = measure(p, 0.0);
    const double mean = e.sum_products / (double)(p->n_lower + p->n_upper), low = floor_of(s, p);
    ipm_right_hand_side(s, p, 0.0);
    TRY(ipm_solve_refined(s, p, p->rw, p->ry, p->step.w, p->step.y, &ratio));
    ipm_bound_directions(p, 0.0, p->step.w, p->step.zl, p->step.zu);
    TRY(centre_direction(s, p));
    quality q = {.p = p, .affine_w = p->step.w, .affine_zl = p->step.zl, .affine_zu = p->step.zu, .centre_w = p->soc_w,
                 .centre_zl = p->trial.zl, .centre_zu = p->trial.zu, .dw = p->kept_at.w, .dzl = p->kept_at.zl,
                 .dzu = p->kept_at.zu, .tau = p->tau};
    for (int64_t j = 0; j < p->n; j++) {
        const double d = p->grad[j] + p->jty[j] - p->at.zl[j] + p->at.zu[j];
        q.dual += d * d;
    }
    q.primal = ipm_dot(p->m, p->h, p->h);
    double high = fmin(s->opt.barrier_start * 1e4, 100.0 * mean), best = mean;
    if (high > low) {
        /* sigma <= 1 unless centring helps (NWW section 4.1) */
        const double top = quality_at(&q, 0.99 * mean) <= quality_at(&q, mean) ? fmin(high, mean) : high;
        const double bottom = top < high ? fmax(low, 1e-6 * mean) : fmax(low, mean);
        best = top > bottom ? golden(&q, bottom, top) : bottom;
    } else {
        best = low;
    }
    ipm_set_barrier(s, p, fmax(low, best));
    return PERI_OK;
}

/* The adaptive strategy gives up its freedom: the monotone rule from the mean complementarity on. ret false: it had none */
bool ipm_leave_free_barrier(ipm_state *s, ipm_phase *p)
{
    if (!p->free_barrier)
        return false;
    p->free_barrier = false;
    ipm_set_barrier(s, p, fmax(floor_of(s, p), 0.8 * ipm_mean_complementarity(p)));
    return true;
}

static void update_adaptive(ipm_state *s, ipm_phase *p, bool force, bool *at_floor)
{
    const double now = progress_measure(p);
    if (p->free_barrier) {
        if (!force && has_progressed(p, now)) {
            remember_progress(p, now);
            return;
        }
        (void)ipm_leave_free_barrier(s, p);
        decrease_monotone(s, p, force, at_floor);
    } else if (is_solved(s, p) || force) {
        if (has_progressed(p, now) && !force) {
            p->free_barrier = true;
            remember_progress(p, now);
        } else {
            decrease_monotone(s, p, force, at_floor);
        }
    }
}

/*
 * ipm_update_barrier - mu, tau and, with them, the filter, before a direction is computed
 *   in   force     two steps in a row were below rounding: decrease it
 *   out  at_floor  a decrease was due and mu is at its floor
 */
void ipm_update_barrier(ipm_state *s, ipm_phase *p, bool force, bool *at_floor)
{
    *at_floor = false;
    if (p->in_watchdog)
        return;
    if ((s->opt.barrier == IPM_ADAPTIVE || p->free_barrier) && !p->restoration && p->n_lower + p->n_upper > 0)
        update_adaptive(s, p, force, at_floor);
    else
        decrease_monotone(s, p, force, at_floor);
}
