/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nlp.h - the view every problem with an objective has: minimize f(x), cl <= c(x) <= cu, xl <= x <= xu. f is the user's
 * objective, negated for a maximization, and 0 for a feasibility problem. Programs are compiled when first asked for;
 * each evaluation is counted, timed, and guarded: a value that is not finite becomes PERI_E_DOMAIN. Evaluation after
 * compilation allocates nothing.
 */
#ifndef PERI_ORACLE_NLP_H
#define PERI_ORACLE_NLP_H

#include "diff/diff.h"
#include "eval/program.h"
#include "model/model.h"

enum { NLP_F, NLP_FG, NLP_C, NLP_JAC, NLP_HESS, NLP_JV, NLP_VJ, NLP_HV, NLP_R, NLP_RJ, NLP_PROGRAMS };
enum { NLP_BATCH_F, NLP_BATCH_FG, NLP_BATCH_C, NLP_BATCHES };

struct batch; /* diff/batch.h */

/* Entries that are to be tested for being finite: all, of which the others are then known to be. */
enum { NLP_MOST_WATCHED = 4 };
typedef struct {
    int32_t n;
    struct { int64_t begin, end; } at[NLP_MOST_WATCHED];
} nlp_watched;

typedef struct nlp {
    peri_model *model;
    peri_context *ctx;
    expr_graph *g;            /* its own: the model's expressions with repeated structure grouped */
    uint64_t structure, data; /* of the model when this was made, and last refreshed: stale when they differ */
    int64_t in_use;           /* runs that hold it: kept as it is meanwhile */
    int64_t n, m;
    double *xl, *xu, *cl, *cu; /* refreshed from the model by nlp_of; valid pointers for m = 0 too */
    model_class class_;
    expr_id x, f, c;                         /* the variables; c: m x 1, PERI_NO_EXPR where m = 0 */
    expr_id gradient;                        /* of f; PERI_NO_EXPR until derived */
    expr_id lagrangian, lagrangian_gradient; /* sigma f + w'c */
    expr_id residuals; /* f is a constant + their squares' sum; PERI_NO_EXPR until found */
    diff_sparse residual_jac;
    bool has_residual_jac, no_residuals; /* derived; looked for in vain */
    diff_sparse jac, hess;                   /* int64 patterns handed out as peri_pattern */
    bool has_jac, has_hess;                  /* derived */
    peri_status hess_status;                 /* PERI_E_UNSUPPORTED: not as a sparse matrix; then why_no_hess */
    char why_no_hess[320];
    eval_program *program[NLP_PROGRAMS]; /* NULL until first used */
    struct batch *batch[NLP_BATCHES];    /* the same */
    struct nlp_prox *prox;               /* prox.h; NULL until asked for */
    struct nlp_levels *levels;           /* levels.c; NULL: not asked for yet */
    struct nlp_acyclic *acyclic;         /* acyclic.h; NULL until asked for */
    struct finite_sum *sum;              /* finite_sum.h; the same */
    struct nlp_dense *dense;             /* dense.h: the Hessian is made of products; NULL: hess.values are */
    struct run_kept *kept;               /* run/again.c: the plan of the last solve; freed through kept_free */
    void (*kept_free)(struct run_kept *kept);
    peri_evaluations count;
    peri_times seconds; /* evaluation fields and building */
    struct nlp_pace { double seconds; int32_t untimed; } pace[NLP_PROGRAMS]; /* the call timed last; how many follow it without */
} nlp;

/* One level, and all of them (levels.c). */
typedef struct {
    peri_level info;         /* as plugins see it */
    int64_t *variable, *row; /* its lists; own */
    model_class class_;      /* of the level alone, in its own variables; linear_row own */
    expr_id f, c;            /* of the minimization; its rows [info.m], PERI_NO_EXPR where there are none. Until asked for: none */
    double scale;     /* what the objective is multiplied by, a power of two: 1 but for tiny ones; 0: not known yet */
} nlp_level;
typedef struct nlp_levels {
    model_levels of;  /* the model's */
    nlp_level *at;    /* [of.n] */
    peri_level *info; /* [of.n] as in `at`, for plugins */
    int64_t *count;   /* scratch */
    uint64_t data;    /* of the view when they were classified */
} nlp_levels;
/* nlp_get_levels - of a model without lower ones: one level. Borrowed */
peri_status nlp_get_levels(nlp *p, const nlp_levels **levels);
/*
 * nlp_level_problem - one level's objective and own rows in the view's graph, over the variables of all levels; err PERI_E_ARGUMENT: no such level
 * A lower objective that is tiny everywhere, as one in other units may be, is multiplied by `scale`: what is optimal stays, and tolerances mean something.
 */
peri_status nlp_level_problem(nlp *p, int64_t level, expr_id *f, expr_id *c);
/* nlp_level_scale - that factor */
peri_status nlp_level_scale(nlp *p, int64_t level, double *scale);
/* nlp_find_scale - such a factor for the scalar f of p's graph, from its values at the start and some points between the bounds */
peri_status nlp_find_scale(nlp *p, expr_id f, double *scale);
void nlp_levels_free(nlp *p);

/* nlp_of - the model's view, made or made anew when the structure changed; bounds and classification refreshed.
 * Borrowed. PERI_E_STATE: what model_validate finds, or a structure that changed while a run holds the view. */
peri_status nlp_of(peri_model *m, nlp **out);
void nlp_free(nlp *p);
/*
 * nlp_traits - the problem's traits. Whether Hessian-vector products and the sparse Hessian exist is found out only by
 * deriving them: the bits are optimistic until they were derived, and exact for those that `asked` has. err
 * PERI_E_NOMEM
 */
peri_status nlp_traits(nlp *p, uint64_t asked, uint64_t *traits);
peri_status
nlp_prepare(nlp *p); /* compiles value, gradient, constraints, Jacobian, and the Hessian where there is one */
/* nlp_compile - one program, beforehand; PERI_E_UNSUPPORTED where the problem has no such derivative */
peri_status nlp_compile(nlp *p, int program);
void nlp_reset_counts(nlp *p);

/* as in plugin.h; each compiles its program at its first call (nlp_prepare does so beforehand) */
peri_status nlp_f(nlp *p, const double *x, double *f);
peri_status nlp_fg(nlp *p, const double *x, double *f, double *g);
peri_status nlp_c(nlp *p, const double *x, double *c);
peri_status nlp_jac_pattern(nlp *p, peri_pattern *pattern);
peri_status nlp_jac(nlp *p, const double *x, double *val);
peri_status nlp_hess_pattern(nlp *p, peri_pattern *pattern);
peri_status nlp_hess(nlp *p, const double *x, double sigma, const double *w, double *val);
peri_status nlp_jv(nlp *p, const double *x, const double *v, double *jv);
peri_status nlp_vj(nlp *p, const double *x, const double *w, double *vj);
peri_status nlp_hv(nlp *p, const double *x, double sigma, const double *w, const double *v, double *hv);

/*
 * residual.c: the objective as a sum of squares, f(x) = constant + sum_k r_k(x)^2. Evaluations of r count as the objective's, those of its
 * Jacobian as Jacobian. PERI_E_UNSUPPORTED where the objective is not such a sum.
 */
peri_status nlp_find_residuals(nlp *p, int64_t *count);
peri_status nlp_r(nlp *p, const double *x, double *r);
peri_status nlp_r_jac_pattern(nlp *p, peri_pattern *pattern);
peri_status nlp_r_jac(nlp *p, const double *x, double *val);
/* Run one program: counted and timed. */
typedef struct {
    const double *x, *w, *v;
    double sigma;
} nlp_point;
peri_status nlp_run(nlp *p, int program, const nlp_point *at, double *const *outs, int64_t *count, double *seconds);
peri_status nlp_guard(nlp *p, int program, int64_t n, const double *v);
/* watch.c: what is to be watched of node e; the guard of a program's last array, which the last run has put there */
void nlp_watch(const nlp *p, expr_id e, nlp_watched *w);
peri_status nlp_guard_watched(nlp *p, int program, double *const *outs);

/*
 * At many points, the rows of x [points x n]; f [points], g [points x n], c [points x m]. What is not finite is NaN in f (of nlp_fg_batch: f or g)
 * or in c, and no failure. Counted as so many evaluations. Programs for a few numbers of points are compiled when first needed.
 */
peri_status nlp_f_batch(nlp *p, int64_t points, const double *x, double *f);
peri_status nlp_fg_batch(nlp *p, int64_t points, const double *x, double *f, double *g);
peri_status nlp_c_batch(nlp *p, int64_t points, const double *x, double *c);
/* p->gradient exists afterwards */
peri_status nlp_derive_gradient(nlp *p);

/* The derivative of `of` with respect to the variables in the direction V, as a node. */
peri_status nlp_direction(nlp *p, expr_id of, expr_id *out);

/* guard.c: all finite */
bool nlp_is_finite(int64_t n, const double *v);
/* After PERI_E_DOMAIN: names the objective or the constraint and the operation, in the context's error record; ret
 * PERI_E_DOMAIN. Slow path. */
peri_status nlp_explain_domain(nlp *p, const double *x);
/* The same as data; found false: all is finite at x, as far as it was compiled. */
typedef struct {
    char where[96], row[128]; /* row: "" or the constraint's */
    expr_graph *g;            /* of the node: the model's own, or the view's for a derivative */
    expr_fault fault;
} nlp_fault;
peri_status nlp_find_fault(nlp *p, const double *x, nlp_fault *out, bool *found);

#endif
