/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - one solve. The engine owns the loop: limits, interruption, history, events, the finite-value guard, the best point, the
 * certificate and the status are here, once for all methods; a solver owns its step. `certify` knows only the original model.
 */
#ifndef PERI_RUN_RUN_H
#define PERI_RUN_RUN_H

#include "oracle/nlp.h"
#include "plugin/registry.h"

/* One of several optima that a method found. */
typedef struct {
    double *x; /* [n] */
    double objective; /* in the user's sense */
} solution_optimum;

/* What the certificate found out about lower levels; fixed in size, because it comes from isolated runs too. */
enum { SOLUTION_LEVELS = 16 }; /* told one by one; the figures are over all */
typedef struct {
    int32_t n;                     /* listed */
    peri_lower_result at[SOLUTION_LEVELS]; /* names are the model's */
    double gap;                    /* largest */
    bool answered;                 /* each has an optimum: gap can be believed */
    peri_lower_state worst;        /* of all */
    char why[240];                 /* one line: what is wrong with a level, or why stationarity is not known; "" */
    bool stationarity;             /* it was computed */
    double violation_slope;        /* as certify_violation's, of level 0's rows over points that are optimal below; INFINITY: not known */
} solution_levels;

struct peri_solution {
    peri_context *ctx;
    peri_model *model; /* retained */
    double *x, *y, *z; /* [n], [m], [n]; signs of the minimization, engine convention: grad f = J'y + z */
    double *param;     /* parameters' values at the solve */
    int64_t n, m, n_param;
    double objective;  /* in the user's sense */
    peri_outcome outcome;
    peri_why why;
    char message[256];
    char solver[64], plan[256];
    int64_t iterations;
    peri_certificate certificate;
    solution_levels levels; /* n = 0: there are none */
    peri_evaluations evaluations;
    peri_times times;
    VEC(peri_event) history;
    VEC(double) path; /* [history][2] where there are two variables */
    VEC(solution_optimum) optima; /* best first */
    struct solution_trail *trail; /* diagnose.h; NULL: solved, or of an inner problem */
};

/*
 * certify - the certificate from the original model at x with multipliers y, z (see the DSL page, "Solutions")
 *   primal           largest violation of a bound, constraint or integrality, in the model's units
 *   dual             largest entry of grad f - J'y - z, and wrong signs of y and z, over max(1, |grad f|_inf, mean |y,z|)
 *   complementarity  largest |multiplier| * distance to its side, over the same
 * y or z NULL: estimated as certify_estimate does. Undefined functions or NaN anywhere give infinite residuals, PERI_OK.
 * Integer variables count as fixed: the certificate is that of the continuous rest, plus integrality in `primal`.
 */
peri_status certify(nlp *p, const double *x, const double *y, const double *z, peri_certificate *out);
/*
 * certify_estimate - multipliers at x for a method that gives none
 *   in   y   [m] or NULL: unknown; they are then fitted to the gradient by least squares over the active rows, signs obeyed
 *   out  y_out [m] (a copy of y where given), z_out [n]
 */
peri_status certify_estimate(nlp *p, const double *x, const double *y, double *y_out, double *z_out);
/*
 * certify_violation - evidence of (local) infeasibility: how far x is from a stationary point of the constraints' violation, measured by its sum
 * and by the sum of squares, the smaller of the two; relative to the largest Jacobian entry of the violated rows, or to a millionth of
 * what it would take to remove the violation within a move of the point's size. INFINITY: no row is violated, or it cannot be told.
 */
peri_status certify_violation(nlp *p, const double *x, double *slope);
/*
 * certify_relative - the largest violation of a bound or constraint, relative to max(1, what is added up in it: |x_j| of a bound,
 * sum_j |d c_i / d x_j| |x_j| of a row). At points far away rounding alone violates a constraint in the model's units. INFINITY: undefined.
 */
peri_status certify_relative(nlp *p, const double *x, double *violation);

/* outcome_from - the status that the evidence supports (outcome.c); message: one line where the claim is not what came out, or "" */
typedef struct {
    peri_certificate certificate;
    peri_why why;            /* the method's claim */
    peri_outcome stopped_by; /* PERI_ITERATION_LIMIT, PERI_TIME_LIMIT, PERI_INTERRUPTED, PERI_NUMERICAL_ERROR or PERI_ERROR where the engine
                                ended the run; PERI_OPTIMAL: it did not */
    double tolerance;
    double objective;        /* of the minimization, at the point */
    double largest_x;        /* largest |x_j| */
    double violation_slope;  /* certify_violation at the point; NaN where not asked for */
    double relative;         /* certify_relative at the point; NaN where not asked for: only a claim of unboundedness needs it */
    uint64_t traits, flags;  /* of the problem; of the solver's plugin table */
    const solution_levels *levels; /* NULL: there are no lower levels */
    const char *breakdown;   /* what ended the run, where it was a numerical error; or NULL */
} outcome_evidence;
peri_outcome outcome_from(const outcome_evidence *e, char *message, size_t size);
/* outcome_lower_threshold - a lower gap up to this is accepted: an error of first order in the point is the square root of one in optimality
 * conditions; max(tolerance, sqrt(tolerance) / 10) */
double outcome_lower_threshold(double tolerance);
/* outcome_threshold - a point with kkt up to this is accepted as solved: 100 tolerances, but above 1e-6 only if asked for */
double outcome_threshold(double tolerance);

/* into: NULL, or a solution of the model that is filled anew and is *out then. */
peri_status run_solve(peri_model *m, const peri_solve_args *args, peri_solution *into, peri_solution **out);

#endif
