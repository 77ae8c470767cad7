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

/* The engine's options of one link; limits.c has their table. */
typedef struct {
    double tolerance, time_limit;
    int64_t iterations, evaluations, seed;
    int64_t threads; /* 0: the context's */
    int32_t warm_start, isolate;
    int64_t memory_limit; /* bytes that an isolated run may take; 0: what is left of the context's limit */
    double grace; /* seconds that an isolated run has to end after a limit */
    const char *linear_solver; /* "": the engine's choice */
    int64_t lower_starts; /* of the certificate, for each lower level */
    double lower_time;    /* seconds of all of them */
    int32_t form;         /* of problems with lower models: 0 optimistic */
    const char *checkpoint, *resume; /* files; "": none */
    double checkpoint_every;
} run_options;

/* What solves: link 0 the problem, link k what link k - 1 makes of it. chain.c reads all settings before anything is done. */
typedef struct {
    const peri_plugin *plugin;
    void *options; /* of the plugin */
    run_options engine;
    bool has_tolerance, has_iterations; /* set by the user for this link */
} run_link;

typedef struct {
    peri_context *ctx;
    const peri_solve_args *args; /* borrowed; never NULL */
    arena memory;
    int64_t n;
    run_link link[PLAN_LONGEST];
    char text[256]; /* as the solution tells it */
} run_chain;

/* chain_read - args' settings to the links they belong to, options checked; chain->n and the links' plugins are set. PERI_E_OPTION */
peri_status chain_read(run_chain *chain, peri_context *ctx, const peri_solve_args *args);
/* chain_choose - as plan_choose, plugins loaded and settings read. chain_release it, whatever comes back. */
peri_status chain_choose(run_chain *chain, nlp *p, const char *plan, const peri_solve_args *args);
void chain_release(run_chain *chain);
/* again.c: chain_choose, or the chain of the view's last solve where that had the same plan, settings and traits; the view's own */
peri_status chain_again(nlp *p, const peri_solve_args *args, const run_chain **chain);

struct peri_run {
    peri_context *ctx;
    peri_model *model;
    nlp *p;
    const run_chain *chain;
    int64_t link;                /* which of its links this run is of */
    int depth;                   /* runs around it */
    const peri_plugin *plugin;   /* the solver's table */
    const peri_solve_args *args; /* borrowed; never NULL */
    arena memory;                /* peri_alloc's, and all else that dies with the run */
    void *state, *options;       /* of the solver */
    struct peri_inner *inners;   /* list head, inner.c's */
    peri_run *outer;             /* of a level's view: the run, and which of its levels */
    int64_t outer_level;
    struct run_draw *draw;       /* draw.c's: what was drawn of its level's sum; NULL: nothing */
    struct run_level *level;     /* [levels] levels.c's; NULL: nothing is made yet */
    int64_t inner_iterations;    /* of inner solves, since the last event */
    peri_evaluations inner_count; /* evaluations and seconds of all inner problems */
    peri_times inner_times;
    peri_limits limits;
    const char *linear_solver; /* the engine option; "": the engine's choice */
    uint64_t traits;
    struct checkpoint *checkpoint; /* checkpoint.c's; NULL: none is written or read */
    bool resuming;               /* in init of a run that goes on from a checkpoint: what is accepted does not count */
    bool stopped_inside;         /* a step itself saw that it must end: its state is between two steps' */
    struct isolate *isolate;     /* isolate.c's, in parent and child; NULL: the run is in this process alone */
    double grace;                /* the engine option */
    int64_t memory_limit;        /* the same */
    struct run_guard *guards;    /* list head, guards.c's; of what lies in `memory` */
    bool guarded;                /* what the plugin gets has guard words */
    const double *bounds[4];     /* what the plugin sees of xl, xu, cl, cu */
    struct peri_factor *factors; /* list head, factor.c's */
    peri_times times;            /* linear_algebra: added to by factor.c */
    double started, built;       /* clock_seconds; seconds of building before that */
    peri_solution *solution;     /* being filled: history */

    double *start; /* [n] within the bounds */
    const double *start_y, *start_z; /* multipliers of a warm start or NULL */
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

/* limits.c: the engine's options: their table's defaults, one setting (false: not one of them), and the run's limits from them */
bool limits_is_option(const char *key);
peri_status limits_default(peri_context *ctx, run_options *out);
peri_status limits_set(peri_context *ctx, const peri_setting *s, run_options *out, arena *strings);
/* True once a limit is reached or an interruption asked for; sets stopped_by and message. */
bool limits_reached(peri_run *run);

/* event.c: the end of an iteration */
peri_status event_accept(peri_run *run, const double *x, const double *y, const double *z, const peri_row *row);

/* run.c: the loop and what its end means, then the answer; isolate.c has them done elsewhere */
peri_status run_work(peri_run *run);
peri_status run_conclude(peri_run *run);

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

/* One solve of a model by the links of a chain from `link` on. */
typedef struct {
    peri_model *model;
    const run_chain *chain;
    int64_t link;
    const peri_solve_args *args; /* event, warm start */
    bool is_inner;               /* then the fields below; their pointers may be NULL */
    int depth;
    const double *x, *y, *z;     /* start */
    double tolerance, time_limit; /* tolerance 0: the link's */
    int64_t iterations, evaluations; /* iterations 0: the link's */
    uint64_t seed;
    peri_solution *into;             /* an earlier solution of the model to be filled anew, or NULL: a new one is made */
} run_request;
/* On an error *out is NULL; `into`, which stays the caller's, then keeps its values. */
peri_status run_request_solve(const run_request *q, peri_solution **out);

/* Everything from a solver's table on; the registry is not asked. plan: the text for the solution. */
peri_status run_with(peri_model *m, const peri_plugin *plugin, const char *plan, const peri_solve_args *args,
                     peri_solution **out);

/*
 * certify_levels.c: the certificate of a problem with lower levels, behind `certify`: lower_gap, the lower levels' residuals and the stationarity of the
 * whole go into it; y and z become the multipliers of the latter, or 0 where there are none.
 */
peri_status certify_levels(peri_run *run, const double *x, double *y, double *z, peri_certificate *out, solution_levels *levels);

/* result.c */
peri_status solution_new(peri_model *m, peri_solution **out);
/* As new, for a solve of its model as it is now; the point and multipliers are still those of before where the sizes are. */
peri_status solution_reset(peri_solution *s);

#endif
