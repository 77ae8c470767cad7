/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipm_checkpoint.c - the method's state to and from a checkpoint, in one order for both. What init computes from the start point and the patterns
 * is not in it, but for the factors of objective and rows; linear systems are factorised again in the next step. Invariant: no pointer is
 * read from a file; structures with pointers are read into a copy, which then gets its own ones back.
 */
#include "ipm.h"
#include <string.h>

static peri_status transfer_point(peri_run *run, const ipm_phase *p, ipm_point *at)
{
    TRY(peri_transfer_reals(run, "w", p->n, at->w));
    TRY(peri_transfer_reals(run, "y", p->m, at->y));
    TRY(peri_transfer_reals(run, "zl", p->n, at->zl));
    return peri_transfer_reals(run, "zu", p->n, at->zu);
}

/* The fields from restoration to the end that are no pointers. */
static peri_status transfer_scalars(peri_run *run, ipm_phase *p)
{
    PERI_TRANSFER(run, p, f);
    PERI_TRANSFER(run, p, trial_f);
    PERI_TRANSFER(run, p, mu);
    PERI_TRANSFER(run, p, tau);
    PERI_TRANSFER(run, p, delta_w);
    PERI_TRANSFER(run, p, delta_w_last);
    PERI_TRANSFER(run, p, delta_c);
    PERI_TRANSFER(run, p, theta_max);
    PERI_TRANSFER(run, p, theta_min);
    PERI_TRANSFER(run, p, filter);
    PERI_TRANSFER(run, p, is_soft);
    PERI_TRANSFER(run, p, soft);
    PERI_TRANSFER(run, p, shortened);
    PERI_TRANSFER(run, p, watchdog_trials);
    PERI_TRANSFER(run, p, rejected_by_filter);
    PERI_TRANSFER(run, p, filter_resets);
    PERI_TRANSFER(run, p, capped);
    PERI_TRANSFER(run, p, ceiling_raises);
    PERI_TRANSFER(run, p, in_watchdog);
    PERI_TRANSFER(run, p, tiny);
    PERI_TRANSFER(run, p, tiny_before);
    PERI_TRANSFER(run, p, ref_theta);
    PERI_TRANSFER(run, p, ref_phi);
    PERI_TRANSFER(run, p, ref_slope);
    PERI_TRANSFER(run, p, ref_alpha);
    PERI_TRANSFER(run, p, free_barrier);
    PERI_TRANSFER(run, p, progress);
    PERI_TRANSFER(run, p, n_progress);
    PERI_TRANSFER(run, p, at_floor);
    PERI_TRANSFER(run, p, alpha);
    PERI_TRANSFER(run, p, alpha_dual);
    PERI_TRANSFER(run, p, tag);
    if (p->filter.count < 0 || p->filter.count > IPM_FILTER_CAPACITY || p->n_progress < 0)
        return peri_fail(run, PERI_E_PARSE, "ipm: the checkpoint's filter is none");
    return PERI_OK;
}

static peri_status transfer_phase(peri_run *run, ipm_phase *p)
{
    double *const of_n[] = {p->lower, p->upper, p->grad, p->jty, p->sigma, p->rw, p->soc_w, p->kept_rw};
    double *const of_m[] = {p->h, p->trial_h, p->ry, p->soc_y, p->soc_h};
    ipm_point *const points[] = {&p->at, &p->trial, &p->step, &p->kept_at, &p->kept_step};
    for (size_t k = 0; k < PERI_COUNT(of_n); k++)
        TRY(peri_transfer_reals(run, "phase", p->n, of_n[k]));
    for (size_t k = 0; k < PERI_COUNT(of_m); k++)
        TRY(peri_transfer_reals(run, "phase rows", p->m, of_m[k]));
    for (size_t k = 0; k < PERI_COUNT(points); k++)
        TRY(transfer_point(run, p, points[k]));
    TRY(transfer_scalars(run, p));
    ipm_list_bounds(p);
    return PERI_OK;
}

/* The model's values at the point last evaluated. */
static peri_status transfer_problem(peri_run *run, ipm_problem *q)
{
    PERI_TRANSFER(run, q, f_scale);
    PERI_TRANSFER_REALS(run, q, row_scale, q->m);
    PERI_TRANSFER_REALS(run, q, x, q->n_model);
    PERI_TRANSFER_REALS(run, q, g, q->n_model);
    PERI_TRANSFER_REALS(run, q, z_out, q->n_model);
    PERI_TRANSFER_REALS(run, q, c, q->m_model);
    PERI_TRANSFER_REALS(run, q, y_out, q->m_model);
    PERI_TRANSFER_REALS(run, q, weight, q->m_model);
    PERI_TRANSFER_REALS(run, q, jac, q->jac_nnz);
    PERI_TRANSFER_REALS(run, q, jac_model, q->m > 0 ? q->pattern.nnz : 0);
    PERI_TRANSFER_REALS(run, q, hess, q->hess_nnz);
    return PERI_OK;
}

/* Which linear solver is in use, and how strictly it pivots: done again as often as it was done. */
static peri_status transfer_linear_solver(ipm_state *s, peri_run *run)
{
    bool has_switched = s->kkt.pivoting == NULL;
    int64_t strengthened = s->n_strengthened;
    TRY(peri_transfer(run, "has_switched", &has_switched, sizeof has_switched));
    TRY(peri_transfer(run, "strengthened", &strengthened, sizeof strengthened));
    if (has_switched)
        (void)ipm_kkt_switch(s);
    for (; s->n_strengthened < strengthened && strengthened < 1000; s->n_strengthened++)
        if (peri_factor_strengthen(s->kkt.factor) != PERI_OK)
            break;
    return PERI_OK;
}

static peri_status transfer_counters(ipm_state *s, peri_run *run)
{
    PERI_TRANSFER(run, s, certificate);
    PERI_TRANSFER(run, s, rho);
    PERI_TRANSFER(run, s, zeta);
    PERI_TRANSFER(run, s, unshaken_violation);
    PERI_TRANSFER(run, s, entry_theta);
    PERI_TRANSFER(run, s, best_kkt);
    PERI_TRANSFER(run, s, start_f);
    PERI_TRANSFER(run, s, n_acceptable);
    PERI_TRANSFER(run, s, restorations);
    PERI_TRANSFER(run, s, n_stuck);
    PERI_TRANSFER(run, s, n_centres);
    PERI_TRANSFER(run, s, n_shakes);
    PERI_TRANSFER(run, s, n_jac_singular);
    PERI_TRANSFER(run, s, n_factor_failures);
    PERI_TRANSFER(run, s, n_window);
    PERI_TRANSFER(run, s, n_lenient);
    PERI_TRANSFER(run, s, window_phi);
    PERI_TRANSFER(run, s, jac_degenerate);
    PERI_TRANSFER(run, s, tamed);
    return PERI_OK;
}

peri_status ipm_transfer(void *self, peri_run *run)
{
    ipm_state *s = self;
    bool in_restoration = s->active == &s->resto;
    if (s->problem.n_x == 0)
        return PERI_OK; /* all variables fixed: there is nothing to go on with */
    TRY(transfer_problem(run, &s->problem));
    TRY(transfer_phase(run, &s->main));
    TRY(transfer_phase(run, &s->resto));
    TRY(peri_transfer(run, "in_restoration", &in_restoration, sizeof in_restoration));
    s->active = in_restoration ? &s->resto : &s->main;
    PERI_TRANSFER_REALS(run, s, ref_w, s->problem.n);
    PERI_TRANSFER_REALS(run, s, ref_d2, s->problem.n);
    PERI_TRANSFER_REALS(run, s, unshaken_w, s->problem.n);
    TRY(transfer_point(run, &s->main, &s->best));
    TRY(transfer_counters(s, run));
    return transfer_linear_solver(s, run);
}
