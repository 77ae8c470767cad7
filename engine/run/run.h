/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - one solve. The engine owns the loop: limits, interruption, history, events, the finite-value guard, the best point, the
 * certificate and the status are here, once for all methods; a solver owns its step. `certify` knows only the original model.
 */
#ifndef PERI_RUN_RUN_H
#define PERI_RUN_RUN_H

#include "oracle/nlp.h"
#include "plugin/registry.h"

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
    peri_evaluations evaluations;
    peri_times times;
    VEC(peri_event) history;
};

/*
 * certify - the certificate from the original model at x with multipliers y, z (see the DSL page, "Solutions")
 *   primal           largest violation of a bound, constraint or integrality, in the model's units
 *   dual             largest entry of grad f - J'y - z, and wrong signs of y and z, over max(1, |grad f|_inf, mean |y,z|)
 *   complementarity  largest |multiplier| * distance to its side, over the same
 * y or z NULL: least-squares estimates are not made; without constraints z is taken from the gradient.
 */
peri_status certify(nlp *p, const double *x, const double *y, const double *z, peri_certificate *out);

peri_status run_solve(peri_model *m, const peri_solve_args *args, peri_solution **out);

#endif
