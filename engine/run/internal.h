/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - inside engine/run only: one solve while it runs. */
#ifndef PERI_RUN_INTERNAL_H
#define PERI_RUN_INTERNAL_H

#include "run/run.h"

/* A point with its multipliers and what it is worth. y and z are meaningful where has_y, has_z. */
typedef struct {
    double *x, *y, *z; /* [n], [m], [n] */
    bool has_y, has_z;
    double objective, violation; /* of the minimization; largest of bounds and constraints */
} run_point;

struct peri_run {
    peri_context *ctx;
    peri_model *model;
    nlp *p;
    const peri_plugin *plugin;   /* the solver's table */
    const peri_solve_args *args; /* borrowed; never NULL */
    arena memory;                /* peri_alloc's, and all else that dies with the run */
    void *state, *options;       /* of the solver */
    peri_limits limits;
    const char *linear_solver; /* the engine option; "": the engine's choice */
    uint64_t traits;
    struct peri_factor *factors; /* list head, factor.c's */
    peri_times times;            /* linear_algebra: added to by factor.c */
    double started, built;       /* clock_seconds; seconds of building before that */
    peri_solution *solution;     /* being filled: history */

    double *start, *start_y, *start_z; /* [n] within the bounds; multipliers of a warm start or NULL */
    run_point point[2];                /* the last accepted one and the best so far, which may be the same */
    int last, best;                    /* which; -1: none yet */
    double *rows;                      /* [m] scratch for constraint values */
    double *undefined_at;              /* [n] where an evaluation last gave PERI_E_DOMAIN */
    bool was_undefined;
    int64_t iterations, steps; /* points accepted by steps; calls of step */
    bool in_init, warned;      /* inside init; that the plugin changed floating-point modes was told */
    peri_why why;              /* the method's claim, CONTINUE while it makes none */
    peri_outcome stopped_by;   /* PERI_OPTIMAL: the engine did not end the run */
    bool user_stop;            /* the event function asked for a stop */
    char message[256];         /* what the engine has to say about the end, or "" */
};

/* limits.c: the engine's options and the solver's, from the settings; PERI_E_OPTION */
peri_status limits_read(peri_run *run);
/* True once a limit is reached or an interruption asked for; sets stopped_by and message. */
bool limits_reached(peri_run *run);

/* event.c: the end of an iteration */
peri_status event_accept(peri_run *run, const double *x, const double *y, const double *z, const peri_row *row);

/* estimate.c: multipliers u of some rows and bounds that make the residual g - J'u - z small */
typedef struct {
    nlp *p;
    const double *x, *c; /* [n], [m] */
    peri_pattern pattern;
    const double *jac;  /* [nnz] */
    double *residual;   /* [n] in: g; out: g - J'u - z */
    double *y, *z;      /* [m] in: 0 for rows to be fitted; out: fitted values; [n] out */
    unsigned char *row; /* [m] which rows may have a multiplier: those on a side, of the sign of that side */
    double active;      /* a row is on a side up to this distance, relative to 1 + |side|; 0: 1e-5 */
} estimate_fit;

peri_status estimate_rows(estimate_fit *f);
/* The bounds' share of a residual: what makes the larger of dual and complementarity residual smallest. */
void estimate_bounds(const nlp *p, const double *x, double *residual, double *z);

/* Everything from a solver's table on; the registry is not asked. plan: the text for the solution. */
peri_status run_with(peri_model *m, const peri_plugin *plugin, const char *plan, const peri_solve_args *args,
                     peri_solution **out);

/* result.c */
peri_status solution_new(peri_model *m, peri_solution **out);

#endif
