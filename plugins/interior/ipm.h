/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipm.h - what the files of the method `ipm` share.
 *
 * The model is brought to the form   minimize f(w)  subject to  h(w) = 0,  lower <= w <= upper,   w = (x, s):
 * x are the variables that are not fixed, s one slack for each inequality row, h_i = a_i (c_i(x) - b_i) for equality rows and
 * a_i c_i(x) - s_k for the others, with row factors a; f carries an objective factor. Rows without bounds are left out. The
 * restoration problem has the same form with two more variables for each row (ipm_restore.c), so that one barrier method works on
 * both; a `phase` is one of the two with its iterate. Inside, the Lagrangian is  f + y'h - zl'(w - lower) - zu'(upper - w).
 *
 * Equation numbers are those of Waechter and Biegler, Mathematical Programming 106 (2006), 25-57, called WB.
 */
#ifndef PERI_INTERIOR_IPM_H
#define PERI_INTERIOR_IPM_H

#define PERI_PLUGIN_PARTS
#include <perigee/plugin.h>

enum { IPM_MONOTONE, IPM_ADAPTIVE, IPM_SWITCHING };
enum { IPM_AUTO, IPM_AUGMENTED, IPM_CONDENSED };
enum { IPM_FILTER_CAPACITY = 500, IPM_PROGRESS = 4 };

typedef struct {
    double barrier_start, barrier_decrease, barrier_power;
    double bound_push, bound_fraction, warm_push, warm_barrier;
    double gradient_limit, multiplier_limit, divergence;
    int64_t corrections, watchdog, acceptable, refinements;
    int32_t barrier, kkt, scaling;
} ipm_options;

/* ---- the model in the method's form (ipm_problem.c) ------------------------------------------------------------------ */

typedef struct {
    int64_t n_model, m_model;          /* of the model */
    int64_t n_x, n_s, n, m;            /* free variables, slacks, their sum, rows with bounds */
    int64_t *var;                      /* [n_x] model's index */
    int64_t *row;                      /* [m] model's index */
    int64_t *slack;                    /* [m] index into s, or -1 for an equality row */
    int64_t *slack_row;                /* [n_s] */
    const double *xl, *xu, *cl, *cu;   /* model's bounds */
    double f_scale, *row_scale;        /* [m] */
    double *x, *g, *c, *weight;        /* model's length: point, gradient, constraints, Hessian weights */
    double *y_out, *z_out;             /* model's length: multipliers as reported */
    peri_pattern pattern;              /* of the model's Jacobian, where m > 0 */
    double *jac_model, *hess_model;    /* values in the model's order */
    int64_t *jac_start, *jac_row, *jac_from;     /* compact Jacobian of a_i c_i, CSC, n_x columns */
    double *jac;
    int64_t *hess_start, *hess_row, *hess_from;  /* compact Hessian, CSC lower triangle with diagonal; from -1: structural zero */
    double *hess;
    int64_t jac_nnz, hess_nnz;
} ipm_problem;

/* ---- linear systems (ipm_kkt.c) ----------------------------------------------------------------------------------------- */

typedef struct {
    peri_factor *factor;               /* NULL where there is nothing to solve */
    peri_factor *pivoting;             /* waits to take over where factor does not pivot; else NULL */
    bool condensed, pivots;            /* pivots: no regularisation of the rows is needed for the factors to exist */
    bool counts;                       /* the last factorisation told its inertia */
    int64_t dim, nnz, n_kept;          /* n_kept rows stay in the matrix */
    int64_t *start, *index;            /* pattern */
    double *val;
    int64_t *hess_at, *jac_at;         /* positions of compact entries; jac_at -1: eliminated row; condensed: hess_at unused */
    int64_t *diag_at;                  /* [n_x + n_kept] */
    int64_t *kept, *of_kept;           /* [m] place among the kept rows or -1; [n_kept] row */
    int64_t *by_row, *by_row_col, *by_row_at; /* CSR of the compact Jacobian: starts, columns, positions in jac */
    double *slack_diag, *row_diag, *row_own; /* [n_s] a_k, [m] E_i, [m] D_y + delta_c of the present factorisation */
    double *row_w, *row_y, *b;         /* [n_s], [m], [dim] work */
    double *work;                      /* [n_x] scatter */
    int64_t factorizations;
} ipm_kkt;

/* ---- a phase: one barrier problem and its iterate ---------------------------------------------------------------------- */

typedef struct {
    double *w, *y, *zl, *zu;
} ipm_point;

typedef struct {
    int64_t count;
    double theta[IPM_FILTER_CAPACITY], phi[IPM_FILTER_CAPACITY];
} ipm_filter;

typedef struct {
    bool restoration;
    int64_t n, m;
    double *lower, *upper;             /* [n], infinite where there is none */
    int64_t n_lower, n_upper, *has_lower, *has_upper; /* lists of the bounded variables */
    ipm_point at, trial, step;         /* iterate; trial point; Newton direction */
    double f, trial_f, *grad;          /* [n] gradient of f at the iterate */
    double *h, *trial_h;               /* [m] */
    double *jty;                       /* [n] (grad h)' y at the iterate */
    double *sigma;                     /* [n] diagonal of the barrier term (WB 11) and of the proximity term */
    double *rw, *ry, *ew, *ey, *tw, *ty; /* right-hand side, residual, correction of the refinement */
    double *soc_w, *soc_y, *soc_h;     /* second-order correction */
    ipm_point kept_at, kept_step;      /* watchdog: where it started, and the direction there */
    double *kept_rw;                   /* [n] */
    double mu, tau;
    double delta_w, delta_w_last, delta_c;
    double theta_max, theta_min;       /* WB 20, 21 */
    ipm_filter filter;
    bool is_soft;                      /* in the soft restoration: no line search */
    int64_t soft;                      /* its steps since the last of the line search */
    int64_t shortened, watchdog_trials, rejected_by_filter, filter_resets, capped, ceiling_raises; /* counters of the line search */
    bool in_watchdog, tiny, tiny_before;
    double ref_theta, ref_phi, ref_slope, ref_alpha; /* what the line search compares with */
    bool free_barrier;                 /* adaptive strategy: mu chosen anew in each iteration */
    double progress[IPM_PROGRESS];     /* adaptive strategy: last accepted optimality errors */
    int64_t n_progress, at_floor;      /* at_floor: successive iterations that found mu at its floor */
    double alpha, alpha_dual;          /* steps taken */
    char tag;
} ipm_phase;

typedef struct {
    double primal, dual, complementarity, kkt, scale; /* as the engine's certificate; scale: its divisor */
    double strict;                     /* dual and complementarity over the objective's gradient alone */
} ipm_certificate;

typedef struct {
    ipm_options opt;
    const peri_limits *limits;
    ipm_problem problem;
    ipm_kkt kkt;
    ipm_phase main, resto, *active;
    ipm_certificate certificate;
    double *ref_w, *ref_d2;            /* [n] restoration: reference point, squared weights of the proximity term */
    double rho, zeta;                  /* restoration: penalty, weight of the proximity term */
    double *unshaken_w;                /* [n] restoration: where it had converged before it was moved away */
    double unshaken_violation;
    double entry_theta;                /* violation when the restoration started */
    ipm_point best;                    /* best point so far within the acceptable level */
    double best_kkt, start_f;          /* start_f: the model's objective at the start point */
    int64_t n_acceptable, restorations, n_stuck, n_centres, n_shakes, n_jac_singular, n_factor_failures, n_window, n_lenient;
    double window_phi;                 /* barrier function n_window iterations ago */
    bool jac_degenerate;
    int64_t n_strengthened;            /* how often the linear solver was made to pivot more strictly */
    int tamed;             /* how often multipliers that ran away were estimated anew */
} ipm_state;

/* what an attempt to move ended with */
typedef enum {
    IPM_MOVED,
    IPM_MOVED_ALL,    /* derivatives are those of the new point already */
    IPM_NO_STEP,      /* line search or factorisation failed: restoration */
    IPM_AT_LIMIT,     /* steps below rounding and the barrier parameter at its floor */
    IPM_INTERRUPTED
} ipm_move;

/* The larger of two finite numbers: without a call of the mathematical library in every loop. */
PERI_INLINE double ipm_max(double a, double b)
{
    return a < b ? b : a;
}

/* Distances to the bounds; rounding may make them vanish, then the smallest that the bound's size allows. */
PERI_INLINE double ipm_slack_lower(const ipm_phase *p, const double *w, int64_t j)
{
    const double slack = w[j] - p->lower[j], smallest = 2e-16 * (1.0 + (p->lower[j] < 0.0 ? -p->lower[j] : p->lower[j]));
    return ipm_max(slack, smallest);
}

PERI_INLINE double ipm_slack_upper(const ipm_phase *p, const double *w, int64_t j)
{
    const double slack = p->upper[j] - w[j], smallest = 2e-16 * (1.0 + (p->upper[j] < 0.0 ? -p->upper[j] : p->upper[j]));
    return ipm_max(slack, smallest);
}

/* ipm_problem.c */
peri_status ipm_problem_open(ipm_state *s, peri_run *run);
peri_status ipm_phase_open(ipm_state *s, peri_run *run, ipm_phase *p, bool restoration);
peri_status ipm_start(ipm_state *s, peri_run *run);
void ipm_list_bounds(ipm_phase *p);
double ipm_model_lower(const ipm_problem *q, int64_t j);
double ipm_model_upper(const ipm_problem *q, int64_t j);
peri_status ipm_scale(ipm_state *s, peri_run *run);
peri_status ipm_eval_values(ipm_state *s, peri_run *run, const ipm_phase *p, const double *w, double *f, double *h);
peri_status ipm_eval_main(ipm_state *s, peri_run *run, const double *w, double *f, double *h);
peri_status ipm_eval_gradient(ipm_state *s, peri_run *run, ipm_phase *p);
peri_status ipm_eval_hessian(ipm_state *s, peri_run *run, ipm_phase *p);
void ipm_jac_mul(const ipm_state *s, const ipm_phase *p, const double *v, double *out);
void ipm_jac_mul_t(const ipm_state *s, const ipm_phase *p, const double *v, double *out);
void ipm_hess_mul_add(const ipm_problem *q, const double *v, double *out);
void ipm_certify(ipm_state *s);
double ipm_violation(const ipm_state *s);

/* ipm_kkt.c */
peri_status ipm_kkt_open(ipm_state *s, peri_run *run);
bool ipm_kkt_switch(ipm_state *s);
peri_status ipm_kkt_factor(ipm_state *s, const double *diag_w, const double *diag_row, bool with_hess, double delta_w,
                           double delta_c, peri_inertia *inertia);
peri_status ipm_kkt_solve(ipm_state *s, const double *rw, const double *ry, double *dw, double *dy);

/* ipm_direction.c */
peri_status ipm_direction(ipm_state *s, peri_run *run, ipm_phase *p, ipm_move *move);
peri_status ipm_solve_refined(ipm_state *s, ipm_phase *p, const double *rw, const double *ry, double *dw, double *dy,
                              double *ratio);
void ipm_right_hand_side(const ipm_state *s, ipm_phase *p, double mu);
void ipm_bound_directions(ipm_phase *p, double mu, const double *dw, double *dzl, double *dzu);
peri_status ipm_least_squares_multipliers(ipm_state *s, peri_run *run, ipm_phase *p);

/* ipm_barrier.c */
double ipm_error(const ipm_phase *p, double mu);
double ipm_system_error(const ipm_phase *p);
double ipm_barrier_value(const ipm_phase *p, double f, const double *w);
double ipm_mean_complementarity(const ipm_phase *p);
void ipm_set_barrier(ipm_state *s, ipm_phase *p, double mu);
void ipm_update_barrier(ipm_state *s, ipm_phase *p, bool force, bool *at_floor);
peri_status ipm_probe_barrier(ipm_state *s, ipm_phase *p);
bool ipm_leave_free_barrier(ipm_state *s, ipm_phase *p);
double ipm_longest_step(const ipm_phase *p, double tau, const double *w, const double *dw);
double ipm_longest_dual_step(const ipm_phase *p, double tau, const double *dzl, const double *dzu);

/* ipm_search.c */
void ipm_filter_reset(ipm_phase *p);
void ipm_filter_add(ipm_filter *f, double theta, double phi);
bool ipm_filter_accepts(const ipm_phase *p, double theta, double phi);
peri_status ipm_search(ipm_state *s, peri_run *run, ipm_phase *p, ipm_move *move);
peri_status ipm_stop_watchdog(ipm_state *s, peri_run *run, ipm_phase *p);
double ipm_norm1(int64_t n, const double *v);
double ipm_norm_inf(int64_t n, const double *v);
double ipm_dot(int64_t n, const double *a, const double *b);

/* ipm_checkpoint.c */
peri_status ipm_transfer(void *self, peri_run *run);

/* ipm_restore.c */
peri_status ipm_restore_begin(ipm_state *s, peri_run *run);
peri_status ipm_restore_finished(ipm_state *s, peri_run *run, bool *finished);
peri_status ipm_restore_end(ipm_state *s, peri_run *run);
peri_status ipm_restore_again(ipm_state *s, peri_run *run);
peri_status ipm_restore_further(ipm_state *s, peri_run *run, bool *moved);
peri_status ipm_restore_return(ipm_state *s, peri_run *run, bool *returned);
void ipm_restore_proximity(ipm_state *s, double mu);

#endif
