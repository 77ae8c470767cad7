/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - inside engine/run only: one solve while it runs. */
#ifndef PERI_RUN_INTERNAL_H
#define PERI_RUN_INTERNAL_H

#include "run/run.h"

/* A point with its multipliers and what it is worth. y and z are meaningful where has_y, has_z. */
typedef struct {
    double *x, *y, *z; /* [n], [m], [n] */
    bool exists, has_y, has_z;
    double objective, violation; /* of the minimization; largest of bounds and constraints */
} run_point;

struct peri_run {
    peri_context *ctx;
    peri_model *model;
    nlp *p;
    const peri_plugin *plugin;   /* the solver's table */
    const peri_solve_args *args; /* borrowed */
    arena memory;                /* peri_alloc's, and all else that dies with the run */
    void *state, *options;       /* of the solver */
    peri_limits limits;
    const char *linear_solver;   /* the engine option; "": the engine's choice */
    uint64_t traits;
    struct peri_factor *factors; /* list head, factor.c's */
    peri_times times;            /* linear_algebra: added to by factor.c */
    double started;              /* clock_seconds */

    run_point last, best;        /* the last accepted point; the best so far */
    int64_t iterations;          /* accepted points after the first */
    peri_why why;                /* the method's claim, CONTINUE while it makes none */
    peri_outcome stopped_by;     /* PERI_OPTIMAL: the engine did not end the run */
    bool accepting, user_stop;   /* inside `accept`; the event function asked for a stop */
    char message[256];
    peri_solution *solution;     /* being filled: history */
};

#endif
