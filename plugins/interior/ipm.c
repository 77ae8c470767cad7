/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipm - primal-dual interior point with a filter line search, for general sparse nonlinear programs.
 *
 * The method of choice where second derivatives exist: thousands of variables, equality and inequality rows, bounds. For bounds only
 * and very many variables lbfgs needs less of the model. Waechter and Biegler 2006 (WB); the barrier parameter also after Nocedal,
 * Waechter, Waltz 2009. Between steps: the active phase's iterate is strictly inside its bounds, its multipliers of bounds are
 * positive, and f, h, the gradient and the Jacobian belong to it.
 */
#include "ipm.h"
#include <math.h>
#include <string.h>

const peri_host *peri_host_table;

static const char *const barriers[] = {"monotone", "adaptive", "switching", NULL};
static const char *const forms[] = {"auto", "augmented", "condensed", NULL};

static const peri_option option_list[] = {
    PERI_ENUM("barrier", ipm_options, barrier, IPM_SWITCHING, barriers, "how the barrier parameter falls"),
    PERI_REAL("barrier_start", ipm_options, barrier_start, 0.1, 1e-12, 1e6, "objective",
              "barrier parameter at the start, in units of the scaled objective"),
    PERI_REAL("barrier_decrease", ipm_options, barrier_decrease, 0.2, 1e-6, 0.99, "1",
              "monotone: linear factor on the barrier parameter"),
    PERI_REAL("barrier_power", ipm_options, barrier_power, 1.5, 1.01, 1.99, "1",
              "monotone: superlinear exponent on the barrier parameter"),
    PERI_ENUM("kkt", ipm_options, kkt, IPM_AUTO, forms,
              "matrix that is factorised: with all rows, or with the inequality rows eliminated"),
    PERI_BOOL("scaling", ipm_options, scaling, 1, "scale objective and rows by their gradients at the start point"),
    PERI_REAL("gradient_limit", ipm_options, gradient_limit, 100, 1e-3, 1e12, "1",
              "scaling: largest entry left in a gradient at the start point"),
    PERI_REAL("bound_push", ipm_options, bound_push, 1e-2, 1e-12, 1, "1",
              "start point: least distance to a bound, relative to its size"),
    PERI_REAL("bound_fraction", ipm_options, bound_fraction, 1e-2, 1e-12, 0.5, "1",
              "start point: least distance to a bound, relative to the width between both"),
    PERI_REAL("warm_push", ipm_options, warm_push, 1e-3, 1e-12, 0.5, "1",
              "as bound_push and bound_fraction, at a warm start; the barrier parameter where that is less"),
    PERI_REAL("warm_barrier", ipm_options, warm_barrier, 1e-4, 1e-12, 1e6, "objective",
              "largest barrier parameter at a warm start"),
    PERI_REAL("multiplier_limit", ipm_options, multiplier_limit, 1000, 0, 1e12, "objective",
              "first multipliers of rows: discarded when the least-squares estimate is larger; 0 for none"),
    PERI_INT("corrections", ipm_options, corrections, 4, 0, 100, "1", "second-order corrections tried for a refused full step"),
    PERI_INT("watchdog", ipm_options, watchdog, 10, 0, 1000000, "iterations",
             "successive shortened steps before steps are taken on trust; 0 for never"),
    PERI_INT("acceptable", ipm_options, acceptable, 15, 1, 1000000, "iterations",
             "successive iterations within 100 tolerances that end the run"),
    PERI_INT("refinements", ipm_options, refinements, 5, 0, 100, "1", "most steps of iterative refinement in a linear solve"),
    PERI_REAL("divergence", ipm_options, divergence, 1e15, 1e6, 1e40, "1",
              "size of a variable, or depth of the objective, that shows the problem unbounded"),
};

/* ---- one iteration ------------------------------------------------------------------------------------------------------------- */

/* Derivatives may be undefined where values are not (the root of 0): then back, half the way each time, towards the last iterate. */
static peri_status derivatives_at_new_point(ipm_state *s, peri_run *run, ipm_phase *p)
{
    peri_status e = ipm_eval_gradient(s, run, p);
    for (int k = 0; e == PERI_E_DOMAIN && k < 30; k++) {
        for (int64_t j = 0; j < p->n; j++)
            p->at.w[j] = 0.5 * (p->at.w[j] + p->trial.w[j]); /* trial holds the last iterate after a move */
        e = ipm_eval_values(s, run, p, p->at.w, &p->f, p->h);
        if (e == PERI_OK)
            e = ipm_eval_gradient(s, run, p);
    }
    return e;
}

enum { MOST_TAMED = 3 }; /* multipliers that come back are the problem's own */

/* Where rows depend on each other at one point, a step in their multipliers is as long as delta_c is small: estimate them anew. */
static peri_status tame_multipliers(ipm_state *s, peri_run *run, ipm_phase *p)
{
    if (p->restoration || p->in_watchdog || !(p->delta_c > 0.0) || s->tamed >= MOST_TAMED || !(ipm_norm_inf(p->m, p->at.y) > 1e6))
        return PERI_OK;
    s->tamed++;
    return ipm_least_squares_multipliers(s, run, p);
}

static peri_status iterate(ipm_state *s, peri_run *run, ipm_phase *p, ipm_move *move)
{
    const bool is_stuck = p->tiny && p->tiny_before;
    bool at_floor;
    *move = IPM_MOVED;
    ipm_update_barrier(s, p, is_stuck, &at_floor);
    p->at_floor = at_floor ? p->at_floor + 1 : 0;
    if (p->at_floor > 20 || (at_floor && is_stuck)) {
        *move = IPM_AT_LIMIT;
        return PERI_OK;
    }
    if (is_stuck)
        p->tiny = p->tiny_before = false;
    TRY(ipm_direction(s, run, p, move));
    if (*move == IPM_NO_STEP && p->in_watchdog)
        TRY(ipm_stop_watchdog(s, run, p));
    if (*move != IPM_MOVED)
        return PERI_OK;
    TRY(ipm_search(s, run, p, move));
    if (*move == IPM_MOVED)
        TRY(derivatives_at_new_point(s, run, p));
    if (*move == IPM_MOVED_ALL)
        *move = IPM_MOVED;
    return *move == IPM_MOVED ? tame_multipliers(s, run, p) : PERI_OK;
}

/* ---- ends ---------------------------------------------------------------------------------------------------------------------- */

/* What the engine counts as solved: 100 tolerances, but above 1e-6 only if asked for. */
static double acceptable_level(const ipm_state *s)
{
    return fmax(s->limits->tolerance, fmin(100.0 * s->limits->tolerance, 1e-6));
}

static peri_status accept_main(ipm_state *s, peri_run *run, char tag, peri_step *next)
{
    const ipm_phase *p = &s->main;
    peri_row row = peri_empty_row();
    row.objective = p->f / s->problem.f_scale;
    row.primal = s->certificate.primal;
    row.dual = s->certificate.dual;
    row.complementarity = s->certificate.complementarity;
    row.step = p->alpha;
    row.barrier = p->mu;
    row.regularization = p->delta_w;
    row.tag = tag;
    return peri_accept(run, s->problem.x, s->problem.y_out, s->problem.z_out, &row, next);
}

static void copy_point(const ipm_phase *p, ipm_point *to, const ipm_point *from)
{
    memcpy(to->w, from->w, (size_t)p->n * sizeof *to->w);
    memcpy(to->y, from->y, (size_t)p->m * sizeof *to->y);
    memcpy(to->zl, from->zl, (size_t)p->n * sizeof *to->zl);
    memcpy(to->zu, from->zu, (size_t)p->n * sizeof *to->zu);
}

/* End for want of progress: at the best point seen where that is better than the last. */
static peri_status give_up(ipm_state *s, peri_run *run, peri_why why, peri_step *next)
{
    ipm_phase *p = &s->main;
    if (s->best_kkt < INFINITY && (s->active != p || s->best_kkt < 0.5 * s->certificate.kkt)) {
        copy_point(p, &p->at, &s->best);
        TRY(ipm_eval_main(s, run, p->at.w, &p->f, p->h));
        TRY(ipm_eval_gradient(s, run, p));
        ipm_certify(s);
        s->active = p;
        TRY(accept_main(s, run, 'b', next));
    }
    const bool is_acceptable = s->active == p && s->certificate.kkt <= acceptable_level(s);
    return peri_finish(run, is_acceptable ? PERI_WHY_CONVERGED : why, next);
}

static bool is_diverging(const ipm_state *s)
{
    const ipm_phase *p = &s->main;
    const double limit = s->opt.divergence;
    const bool is_feasible = s->certificate.primal <= 1e-6 * fmax(1.0, ipm_norm_inf(s->problem.n_x, p->at.w));
    return is_feasible && p->f / s->problem.f_scale < 0.0 &&
           (p->f / s->problem.f_scale < -limit || ipm_norm_inf(s->problem.n_x, p->at.w) > limit);
}

/* Fifty feasible iterations changed the barrier function by hardly more than rounding: what is left of kkt is noise. */
static bool is_flat(ipm_state *s)
{
    const ipm_phase *p = &s->main;
    if (++s->n_window < 50)
        return false;
    const double phi = ipm_barrier_value(p, p->f, p->at.w), change = fabs(phi - s->window_phi);
    s->n_window = 0;
    s->window_phi = phi;
    return change <= 1e-12 * fmax(s->problem.f_scale, fabs(phi)) && s->certificate.primal <= acceptable_level(s);
}

/*
 * The certificate divides by the mean multiplier, so multipliers that run away while mu is large make any point look solved. Then a
 * few more iterations are made; should nothing come of them, the best point stands.
 */
static bool is_lenient(ipm_state *s)
{
    return s->certificate.strict > 100.0 * s->limits->tolerance && s->main.at_floor == 0 && ++s->n_lenient <= 20;
}

/* The tests after a main iterate was accepted. */
static peri_status conclude_main(ipm_state *s, peri_run *run, peri_step *next)
{
    const double kkt = s->certificate.kkt;
    if (kkt <= s->limits->tolerance && !is_lenient(s))
        return give_up(s, run, PERI_WHY_CONVERGED, next);
    if (is_diverging(s))
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    if (kkt <= acceptable_level(s) && kkt < s->best_kkt) {
        copy_point(&s->main, &s->best, &s->main.at);
        s->best_kkt = kkt;
    }
    if (is_flat(s))
        return give_up(s, run, PERI_WHY_STALLED, next);
    s->n_acceptable = kkt <= acceptable_level(s) ? s->n_acceptable + 1 : 0;
    if (s->n_acceptable >= s->opt.acceptable)
        return give_up(s, run, PERI_WHY_CONVERGED, next);
    return PERI_OK;
}

static peri_status report_main(ipm_state *s, peri_run *run, char tag, peri_step *next)
{
    ipm_certify(s);
    TRY(accept_main(s, run, tag, next));
    return next->why == PERI_WHY_CONTINUE ? conclude_main(s, run, next) : PERI_OK;
}

/* ---- restoration ------------------------------------------------------------------------------------------------------------------- */

static peri_status accept_restoration(ipm_state *s, peri_run *run, peri_step *next)
{
    const ipm_phase *r = &s->resto;
    peri_row row = peri_empty_row();
    row.objective = s->main.trial_f / s->problem.f_scale;
    row.primal = ipm_violation(s);
    row.step = r->alpha;
    row.barrier = r->mu;
    row.regularization = r->delta_w;
    row.tag = 'r';
    row.phase = PERI_PHASE_RESTORATION;
    return peri_accept(run, s->problem.x, NULL, NULL, &row, next);
}

/* The restoration is at a stationary point with a violation left: on from there if it can, else that is the answer. */
static peri_status judge_violated(ipm_state *s, peri_run *run, peri_step *next)
{
    bool moved, returned;
    TRY(ipm_eval_main(s, run, s->resto.at.w, NULL, s->resto.trial_h)); /* the last trial point may have been another */
    TRY(ipm_restore_further(s, run, &moved));
    if (moved)
        return PERI_OK;
    TRY(ipm_restore_return(s, run, &returned));
    if (returned)
        TRY(accept_restoration(s, run, next));
    return next->why == PERI_WHY_CONTINUE ? peri_finish(run, PERI_WHY_INFEASIBLE, next) : PERI_OK;
}

/* The restoration has converged: no way to less violation, or to a feasible point that the filter refuses. */
static peri_status restoration_converged(ipm_state *s, peri_run *run, peri_step *next)
{
    if (ipm_violation(s) > acceptable_level(s))
        return judge_violated(s, run, next);
    if (++s->n_stuck > 10 || isnan(s->main.trial_f))
        return give_up(s, run, PERI_WHY_STALLED, next);
    ipm_filter_reset(&s->main);
    return ipm_restore_end(s, run);
}

static peri_status report_restoration(ipm_state *s, peri_run *run, peri_step *next)
{
    bool is_finished;
    TRY(ipm_restore_finished(s, run, &is_finished));
    if (is_finished) {
        TRY(ipm_restore_end(s, run));
        return report_main(s, run, 'R', next);
    }
    TRY(accept_restoration(s, run, next));
    if (next->why == PERI_WHY_CONTINUE && ipm_error(&s->resto, 0.0) <= fmax(s->limits->tolerance, 1e-9))
        return restoration_converged(s, run, next);
    return PERI_OK;
}

/* ---- no step ------------------------------------------------------------------------------------------------------------------------- */

/* At a feasible point the restoration has nothing to do: a smaller barrier parameter, an empty filter, new multipliers. */
static peri_status loosen(ipm_state *s, peri_run *run)
{
    ipm_phase *p = &s->main;
    s->n_stuck++;
    ipm_set_barrier(s, p, fmax(0.1 * p->mu, 1e-3 * s->limits->tolerance));
    p->theta_max = 0.0;
    return s->n_stuck % 2 == 0 ? ipm_least_squares_multipliers(s, run, p) : PERI_OK;
}

static peri_status recover_main(ipm_state *s, peri_run *run, ipm_move move, peri_step *next)
{
    ipm_phase *p = &s->main;
    if (move == IPM_AT_LIMIT)
        return give_up(s, run, PERI_WHY_STALLED, next);
    if (ipm_leave_free_barrier(s, p) || ipm_kkt_switch(s))
        return PERI_OK;
    if (p->m > 0 && ipm_norm_inf(p->m, p->h) > 1e-2 * s->limits->tolerance)
        return ipm_restore_begin(s, run);
    if (s->n_stuck >= 10)
        return give_up(s, run, PERI_WHY_STALLED, next);
    return loosen(s, run);
}

static peri_status recover_restoration(ipm_state *s, peri_run *run, ipm_move move, peri_step *next)
{
    if (move == IPM_AT_LIMIT || s->n_stuck >= 10) {
        const bool is_stationary = ipm_error(&s->resto, s->resto.mu) <= 1e-4;
        const bool is_violated = ipm_violation(s) > acceptable_level(s);
        const bool is_judged = is_stationary && is_violated && isinf(s->best_kkt);
        return is_judged ? judge_violated(s, run, next) : give_up(s, run, PERI_WHY_STALLED, next);
    }
    s->n_stuck += !ipm_kkt_switch(s);
    return ipm_restore_again(s, run);
}

/* ---- the plugin's entry points ---------------------------------------------------------------------------------------------------------- */

/* All variables fixed: the point is the answer or there is none. */
static peri_status judge_fixed(ipm_state *s, peri_run *run, peri_step *next)
{
    s->main.f = s->problem.f_scale * s->start_f;
    ipm_certify(s);
    TRY(accept_main(s, run, 0, next));
    const bool is_feasible = s->certificate.primal <= acceptable_level(s);
    return peri_finish(run, is_feasible ? PERI_WHY_CONVERGED : PERI_WHY_INFEASIBLE, next);
}

static peri_status init(void *self, peri_run *run, const void *options)
{
    ipm_state *s = self;
    peri_step next = {PERI_WHY_CONTINUE, false};
    s->opt = *(const ipm_options *)options;
    s->limits = peri_get_limits(run);
    s->active = &s->main;
    s->best_kkt = INFINITY;
    TRY(ipm_problem_open(s, run));
    TRY(peri_start(run, s->problem.x));
    TRY(ipm_phase_open(s, run, &s->main, false));
    TRY(ipm_phase_open(s, run, &s->resto, true));
    TRY(ipm_scale(s, run));
    if (s->problem.n_x == 0)
        return judge_fixed(s, run, &next);
    TRY(ipm_kkt_open(s, run));
    s->main.free_barrier = s->opt.barrier == IPM_ADAPTIVE;
    TRY(ipm_start(s, run));
    return report_main(s, run, 0, &next); /* the start point is judged too: a warm start may be the answer */
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    ipm_state *s = self;
    ipm_move move = IPM_NO_STEP;
    next->why = PERI_WHY_CONTINUE;
    while (next->why == PERI_WHY_CONTINUE && move != IPM_MOVED) {
        TRY(iterate(s, run, s->active, &move));
        if (move == IPM_INTERRUPTED)
            return PERI_OK;
        if (move != IPM_MOVED)
            TRY(s->active == &s->main ? recover_main(s, run, move, next) : recover_restoration(s, run, move, next));
    }
    if (next->why != PERI_WHY_CONTINUE)
        return PERI_OK;
    return s->active == &s->main ? report_main(s, run, s->main.tag, next) : report_restoration(s, run, next);
}

static void fini(void *self, peri_run *run)
{
    (void)self; /* memory and factors are the engine's to release */
    (void)run;
}

static const char page[] =
    "Solves  minimize f(x)  subject to  cl <= c(x) <= cu,  xl <= x <= xu  with sparse first and second derivatives. Inequality rows\n"
    "get slacks, fixed variables and rows without bounds are taken out, objective and rows are scaled by their gradients at the\n"
    "start point, which is moved into the interior of the bounds. For a falling sequence of barrier parameters mu the method takes\n"
    "Newton steps on the primal-dual equations (WB 9-14), with multiples of the identity added to the Hessian until the matrix\n"
    "has the inertia of a minimisation (WB algorithm IC), and accepts steps by a filter of violation and barrier function with\n"
    "second-order corrections (WB algorithm A). Where no step is acceptable, a restoration phase minimises the violation by the\n"
    "same method until it can go on, or finds a point that no step nearby makes less violated; to such a point it must come\n"
    "back from one nearby.\n"
    "\n"
    "It ends when the certificate's kkt, computed in the model's own units, is within the tolerance; when kkt stays within 100\n"
    "tolerances (at most 1e-6) for `acceptable` iterations; when the restoration converges to a violated point (infeasible); or\n"
    "when objective or variables exceed `divergence` at feasible points (unbounded).\n"
    "\n"
    "Option barrier: `monotone` lowers mu when the barrier problem is solved to ten mu (WB 7); `adaptive` chooses it in each iteration\n"
    "as the minimiser of a quality function of the coming step, and falls back to the monotone rule while progress is poor\n"
    "(Nocedal, Waechter, Waltz 2009, section 4); `switching` is monotone, and turns adaptive where the watchdog's trial steps have\n"
    "failed, until that makes no progress.\n"
    "\n"
    "Linear systems: option kkt names the matrix that is factorised; `auto` eliminates the inequality rows where that adds no\n"
    "entries. Unless linear_solver names one, the run starts with a solver that does not pivot and goes on with one that does where\n"
    "iterative refinement, the inertia or the line search show that to be needed. The family's README has measurements.\n"
    "\n"
    "Warm start: multipliers are taken over, mu starts at the residual of the new problem's conditions there (at most warm_barrier),\n"
    "and the start point is moved away from its bounds by no more than that and warm_push. With barrier = switching the barrier parameter\n"
    "is then chosen adaptively from the start.\n"
    "\n"
    "History: objective, primal, dual and complementarity as in the certificate (dual and complementarity are unset in the\n"
    "restoration phase); step is the accepted step length; barrier is mu; regularization is the multiple of the identity added to\n"
    "the Hessian. Tags: f accepted for its decrease of the barrier function (Armijo), h accepted by the filter; F and H the same\n"
    "after a second-order correction; t a step below rounding; w a step taken on trust by the watchdog; s a step of the soft\n"
    "restoration, accepted because it makes the error of the barrier problem smaller; r an iteration of the restoration phase, R its\n"
    "last one; b return to the best point seen.\n"
    "\n"
    "References: A. Waechter, L. T. Biegler, On the implementation of an interior-point filter line-search algorithm for\n"
    "large-scale nonlinear programming, Mathematical Programming 106 (2006) 25-57 (WB); J. Nocedal, A. Waechter, R. A. Waltz,\n"
    "Adaptive barrier update strategies for nonlinear interior methods, SIAM J. Optimization 19 (2009) 1674-1693.";

static const peri_solver_ops ops = {.init = init, .step = step, .fini = fini, .save = ipm_transfer, .load = ipm_transfer};

static const peri_plugin ipm = {
    PERI_SOLVER(ipm_state, ipm_options, option_list),
    .ops = &ops,
    .name = "ipm",
    .family = "interior",
    .version = "1.0",
    .license = "Apache-2.0",
    .summary = "primal-dual interior point with a filter line search, for sparse nonlinear programs",
    .page = page,
    .reference = "Waechter and Biegler 2006, Mathematical Programming 106, 25-57",
    .needs = {PERI_NEEDS_GRADIENT | PERI_NEEDS_SPARSE_HESSIAN},
    .refuses = {PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    .gives = PERI_GIVES_DUALS,
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 50,
};
static const peri_plugin *const all[] = {&ipm, NULL};
PERI_PLUGIN(all)
