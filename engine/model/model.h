/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - what a problem is: variables, parameters, constraint blocks, one objective; and its classification. Knows no solver.
 * A lower model (two levels) will share its root's graph: `root` is where the graph hangs.
 */
#ifndef PERI_MODEL_MODEL_H
#define PERI_MODEL_MODEL_H

#include "expr/graph.h"
#include <perigee/plugin.h> /* the traits */

typedef struct {
    char *name;
    expr_id body;
    int64_t row, size;     /* first row among the constraints, number of rows */
    double *lower, *upper; /* [size] */
} model_constraint;

typedef struct {
    char *name;
    expr_id node;
    int64_t offset, size;  /* in the class X */
    bool integer;
} model_var;

struct nlp; /* oracle/nlp.h: the view, compiled lazily, kept between solves, dropped when the model changes */

struct peri_model {
    peri_context *ctx;
    peri_model *root; /* itself for a root */
    expr_graph *g;
    char *name;
    int64_t references; /* the owner's and each solution's */
    VEC(model_var) vars;
    VEC(model_var) params;
    VEC(model_constraint) cons;
    int64_t n, m; /* variables, constraint rows */
    VEC(double) lower, upper, start; /* [n] */
    expr_id objective; /* as the user wrote it; PERI_NO_EXPR: none */
    bool maximize;
    uint64_t structure; /* counts changes of structure: variables, objective, constraints' bodies. Bounds and data do not count */
    uint64_t data;      /* counts changes of bounds, integrality, parameters (start values do not count) */
    hash_map names, con_names; /* hash of a name -> variable i or -1 - parameter i; -> constraint i */
    double build_started, build_seconds;
    struct model_batch { struct batch *batch; expr_id e; unsigned varying; int64_t n_x, n_param; } values; /* batch.c */
    struct quadratic_forms *forms; /* quadratic.c */
    struct nlp *nlp;
    void (*nlp_free)(struct nlp *p); /* set with nlp by the layer above */
};

void model_retain(peri_model *m);
void model_release(peri_model *m);
/* PERI_E_STATE with a clear line: crossed bounds (variable or constraint, entry), neither objective nor constraints, no variables. */
peri_status model_validate(peri_model *m);
const model_var *model_find_var(const peri_model *m, expr_id x); /* NULL: not a variable of this model */
const model_var *model_find_param(const peri_model *m, expr_id p);
/* "x[3]" for entry k of a variable or parameter, counted from 1 */
void model_entry_name(const peri_model *m, const model_var *v, int64_t k, char *text, size_t size);
int64_t model_block_of_row(const peri_model *m, int64_t i); /* the constraint that row i belongs to */
/* "balance[3]" or "balance" when the block has one row, for row i of the constraints, counted from 1 */
void model_row_name(const peri_model *m, int64_t i, char *text, size_t size);

/* classify.c: curvature by composition rules (disciplined convex programming: Grant, Boyd, Ye 2006) and by the quadratic's matrix */
typedef struct {
    uint64_t traits;           /* PERI_BIT(peri_trait) */
    unsigned char *linear_row; /* [m]; the caller's */
    int64_t linear_rows, equalities, integers, fixed;
    const char *class_name;
    char why_nonsmooth[160], why_blackbox[160]; /* names the operation and where, "" if neither */
} model_class;
/* linear_row [m] is filled, and is out->linear_row then */
peri_status model_classify(peri_model *m, unsigned char *linear_row, model_class *out);

#endif
