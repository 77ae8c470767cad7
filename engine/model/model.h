/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - what a problem is: variables, parameters, constraint blocks, one objective; and its classification. Knows no solver.
 * A lower model shares its root's graph and lists: it has a name, an objective and a place (levels.c); variables and constraints
 * that are made through it lie in the root's lists, in order of creation over all levels, with its number.
 */
#ifndef PERI_MODEL_MODEL_H
#define PERI_MODEL_MODEL_H

#include "expr/graph.h"
#include <perigee/plugin.h> /* the traits */

typedef struct {
    char *name;
    expr_id body;
    int64_t row, size;     /* first row among the problem's constraints (where it takes no part: of those behind it), number of rows */
    double *lower, *upper; /* [size] */
    int32_t level;         /* of the model it was made through */
} model_constraint;

typedef struct {
    char *name;
    expr_id node;
    int64_t offset, size;  /* in the class X */
    int64_t at;            /* its first entry among the problem's variables; -1: it takes no part (levels.c) */
    bool integer;
    int32_t level; /* of the model it was made through */
} model_var;

/* acyclic.c: h is a function of the weights w [d x d] that vanishes exactly where their graph has no cycle */
typedef struct {
    expr_id h, w;
    int form; /* peri_acyclic_form */
    bool absolute; /* of |w|; otherwise of w o w */
    double s; /* of the log-determinant */
} model_acyclic;

struct nlp; /* oracle/nlp.h: the view, compiled lazily, kept between solves, dropped when the model changes */

struct peri_model {
    peri_context *ctx;
    peri_model *root; /* itself for a root; a lower model has ctx, g, name, level, parent, objective, maximize, weights, projection, and nothing else */
    int32_t level;    /* 0: a root; k: its root's nested[k - 1] */
    int32_t parent;   /* the level that a lower model lies in */
    bool inside;      /* model_solve_inside was called: no level of the root's problem */
    VEC(peri_model *) nested; /* of a root, in order of making; own */
    expr_graph *g;
    char *name;
    int64_t references; /* the owner's and each solution's */
    VEC(model_var) vars;
    VEC(model_var) params;
    VEC(model_constraint) cons;
    VEC(model_acyclic) acyclic; /* of a root: expressions that say how far a graph is from having no cycle */
    int64_t n, m; /* the problem's variables and constraint rows: all that take part */
    VEC(double) lower, upper, start; /* [entries of the class X] of all variables, by their offsets */
    expr_id objective; /* as the user wrote it; PERI_NO_EXPR: none */
    bool maximize;
    struct model_weights { int64_t first, n; } weights; /* of the terms of its objective, in the class PARAM; n = 0: not told */
    struct model_projection { peri_project_fn project; void *ud; } projection; /* onto its set; project NULL: the engine's */
    uint64_t structure; /* counts changes of structure: variables, objective, constraints' bodies. Bounds and data do not count */
    uint64_t data;      /* counts changes of bounds, integrality, parameters (start values do not count) */
    hash_map names, con_names; /* hash of a name -> variable i or -1 - parameter i; -> constraint i */
    double build_started, build_seconds;
    struct model_batch { struct batch *batch; expr_id e; unsigned varying; int64_t n_x, n_param; } values; /* batch.c */
    struct quadratic_forms *forms; /* quadratic.c */
    struct nlp *nlp;
    void (*nlp_free)(struct nlp *p); /* set with nlp by the layer above */
    VEC(struct model_solved { expr_id var; expr_id value; }) solved; /* of a root: variables of models that are solved inside, and what they are */
    VEC(struct model_owned { void *object; void (*free)(void *object); }) owned; /* of a root: what its graph's rules are, freed after the graph */
};

/* model_own - object dies with the root model m;  err PERI_E_NOMEM: it remains the caller's */
peri_status model_own(peri_model *m, void *object, void (*free)(void *object));

void model_retain(peri_model *m);
void model_release(peri_model *m);
/* PERI_E_STATE with a clear line: crossed bounds (variable or constraint, entry), neither objective nor constraints, no variables. */
peri_status model_validate(peri_model *m);
const model_var *model_find_var(const peri_model *m, expr_id x); /* NULL: not a variable of this model */
const model_var *model_var_at(const peri_model *m, int64_t offset); /* that has this entry of the class X; NULL: none */
const model_var *model_find_param(const peri_model *m, expr_id p);
/* the same for the problem's variable j */
void model_variable_name(const peri_model *m, int64_t j, char *text, size_t size);
/* "x[3]" for entry k of a variable or parameter, counted from 1 */
void model_entry_name(const peri_model *m, const model_var *v, int64_t k, char *text, size_t size);
int64_t model_block_of_row(const peri_model *m, int64_t i); /* the constraint that row i belongs to */
/* "balance[3]" or "balance" when the block has one row, for row i of the constraints, counted from 1 */
void model_row_name(const peri_model *m, int64_t i, char *text, size_t size);

/*
 * levels.c: the levels of a problem. Lower models with an objective are levels, numbered 1, 2, ... in order of making; what was made through one
 * without belongs to the level around it.
 */
enum { MODEL_LEVEL_NONE = -1 }; /* of variables and constraints of a model that is solved inside */
typedef struct {
    int32_t n;           /* levels, the root's 0 included: at least 1 */
    int32_t *level;      /* [lower models + 1] the level that a model's variables and constraints belong to */
    peri_model **model;  /* [n] */
    int32_t *parent;     /* [n] levels; -1 of level 0 */
} model_levels;
/* model_levels_of - of a root;  own model_levels_free;  err PERI_E_NOMEM */
peri_status model_levels_of(peri_model *m, model_levels *out);
void model_levels_free(peri_model *m, model_levels *levels);
int32_t model_count_levels(const peri_model *m); /* as n; needs no memory */
/* model_level_within - whether level k lies inside level `outer`, or is it */
bool model_level_within(const model_levels *levels, int32_t k, int32_t outer);
/* PERI_E_ARGUMENT: e, the constraint `name` or (NULL) the objective, reads variables of a model that is neither m, nor around it, nor inside
 * it; or an objective none of its own */
peri_status model_check_level(peri_model *m, const char *name, expr_id e);
bool model_takes_part(const peri_model *m, int32_t level); /* what was made through that model */
/* Values of all variables and those of the problem's: the same but for what takes no part, which model_spread takes from the start values. */
void model_gather(const peri_model *m, const double *all, double *x);
void model_spread(const peri_model *m, const double *x, double *all);
/*
 * model_place - roots, read over the class X as it is, become expressions over the problem's variables alone
 *   err  PERI_E_STATE: one reads a variable that takes no part
 */
peri_status model_place(peri_model *m, int64_t n, expr_id *roots);
/*
 * model_solve_inside - its solution was made an expression: the lower model is no level of its root's problem any more, neither are those inside
 * it, and their variables and constraints no longer take part.  err PERI_E_ARGUMENT: no lower model
 */
peri_status model_solve_inside(peri_model *lower);
/* model_solved_inside - the same, its variables being those expressions from now on: in objectives and constraints of models that are not inside it */
peri_status model_solved_inside(peri_model *lower, int64_t n, const expr_id *var, const expr_id *value);
/* *e with variables of models that are solved inside replaced by their solutions; m: whose it is to be */
peri_status model_put_solved(const peri_model *m, expr_id *e);

/* The function of the constraint that a graph has no cycle, and its row; NULL: there is none, or more than one */
const model_acyclic *model_acyclic_of(const peri_model *m, int64_t *row);

/* classify.c: curvature by composition rules (disciplined convex programming: Grant, Boyd, Ye 2006) and by the quadratic's matrix */
typedef struct {
    uint64_t traits;           /* PERI_BIT(peri_trait) */
    unsigned char *linear_row; /* [m]; the caller's */
    int64_t linear_rows, equalities, integers, fixed;
    const char *class_name;
    bool has_norm;             /* it may be a term with a kink: the view knows (nlp_traits) */
    char why_nonsmooth[160], why_blackbox[160]; /* names the operation and where, "" if neither */
} model_class;
/* linear_row [m] is filled, and is out->linear_row then */
peri_status model_classify(peri_model *m, unsigned char *linear_row, model_class *out);
/*
 * model_classify_level - one level alone, in its own variables; those of others are held at unknown values within their bounds
 *   linear_row  [rows of that level]
 */
peri_status model_classify_level(peri_model *m, const model_levels *levels, int32_t k, unsigned char *linear_row, model_class *out);

#endif
