/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nlp.h - the view every problem with an objective has: minimize f(x), cl <= c(x) <= cu, xl <= x <= xu. f is the user's objective,
 * negated for a maximization. Programs are compiled when first asked for; each evaluation is counted, timed, and guarded: a value that
 * is not finite becomes PERI_E_DOMAIN. Evaluation after compilation allocates nothing.
 */
#ifndef PERI_ORACLE_NLP_H
#define PERI_ORACLE_NLP_H

#include "diff/diff.h"
#include "eval/program.h"
#include "model/model.h"

typedef struct nlp {
    peri_model *model;
    peri_context *ctx;
    expr_graph *g;
    uint64_t structure; /* of the model when this was made: stale when it differs */
    int64_t n, m;
    double *xl, *xu, *cl, *cu; /* refreshed from the model by nlp_refresh; scalar m = 0 gives valid pointers */
    model_class class_;
    expr_id f, c;              /* rolled, f negated for a maximization; PERI_NO_EXPR where absent (f: constant 0 then) */
    expr_id gradient, lagrangian, lagrangian_gradient;
    diff_sparse jac, hess;     /* int64 patterns handed out as peri_pattern */
    bool has_jac, has_hess;    /* compiled */
    peri_status hess_status;   /* PERI_E_UNSUPPORTED: not as a sparse matrix */
    eval_program *p_f, *p_fg, *p_c, *p_jac, *p_hess, *p_jv, *p_vj, *p_hv; /* NULL until first used */
    peri_evaluations count;
    peri_times seconds;        /* evaluation fields and building */
} nlp;

/* nlp_of - the model's view, made or made anew when the structure changed; bounds and classification refreshed. Borrowed. */
peri_status nlp_of(peri_model *m, nlp **out);
void nlp_free(nlp *p);
/*
 * nlp_traits - the problem's traits. Whether the Hessian exists as a sparse matrix is found out only by deriving it: the bit is
 * optimistic until nlp_hess_pattern was called, and exact when `asked` has it.
 */
uint64_t nlp_traits(nlp *p, uint64_t asked);
peri_status nlp_prepare(nlp *p); /* compiles value, gradient, constraints, Jacobian, and the Hessian where there is one */
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

/* After PERI_E_DOMAIN: names the objective or the constraint and the operation, in the context's error record. Slow path. */
peri_status nlp_explain_domain(nlp *p, const double *x);

#endif
