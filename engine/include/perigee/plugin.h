/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perigee/plugin.h - all that a plugin author includes.
 *
 * Conventions
 *   Sizes and indices are int64_t, vectors are arrays of double, matrices are compressed sparse columns (CSC) with row
 *   indices ascending in each column. A symmetric matrix is given by its lower triangle.
 *   The problem a solver sees:  minimize f(x)  subject to  cl <= c(x) <= cu,  xl <= x <= xu;  x in R^n, c in R^m.
 *   Infinite bounds are IEEE infinities. A maximization reaches the plugin as the minimization of -f.
 *   Multipliers: y in R^m for the constraints and z in R^n for the bounds, with  grad f(x) = J(x)' y + z;  y_i >= 0 where
 *   the lower side is active, y_i <= 0 where the upper side is; the same for z. They are the derivatives of the optimal f with
 *   respect to the active side.
 *   A plugin links nothing of the engine: every call goes through the host table that its entry function receives; the
 *   wrappers below are static inline. Memory from peri_alloc lives until the run ends and is never freed by the plugin.
 *   Functions that return peri_status return 0 (PERI_OK) or a negative code, with a message in the run's error record.
 */
#ifndef PERIGEE_PLUGIN_H
#define PERIGEE_PLUGIN_H

#include <perigee/status.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the stamp ------------------------------------------------------------------------------------------------ */

#define PERI_ABI_MAGIC UINT32_C(0x49524550) /* "PERI" */
#define PERI_ABI_MAJOR 1
#define PERI_ABI_MINOR 1

typedef struct {             /* frozen in every major version */
    uint32_t magic;          /* PERI_ABI_MAGIC */
    uint16_t major, minor;   /* ABI the plugin was compiled against */
    uint16_t min_host_minor; /* oldest host minor it can live with */
    uint8_t size_int, size_real, size_ptr, reserved[3];
    uint32_t size_plugin; /* sizeof(peri_plugin) as compiled */
    uint32_t size_option; /* sizeof(peri_option) as compiled */
} peri_stamp;

/* ---- traits of a problem: what a plugin may need or refuse -------------------------------------------------------- */

typedef enum {
    PERI_TRAIT_BOUNDS,        /* some variable has a finite bound */
    PERI_TRAIT_INTEGER,       /* some variable must be integer */
    PERI_TRAIT_CONSTRAINTS,   /* m > 0 */
    PERI_TRAIT_EQUALITIES,    /* some cl_i = cu_i */
    PERI_TRAIT_NONLINEAR_CONSTRAINTS,
    PERI_TRAIT_LINEAR_OBJECTIVE,    /* constant objectives included */
    PERI_TRAIT_QUADRATIC_OBJECTIVE, /* of degree two exactly */
    PERI_TRAIT_NONLINEAR_OBJECTIVE, /* neither of the two */
    PERI_TRAIT_CONVEX,        /* proven: convex objective, convex feasible set */
    PERI_TRAIT_LEAST_SQUARES, /* the objective is a sum of squares */
    PERI_TRAIT_NONSMOOTH,     /* an operation without a derivative somewhere */
    PERI_TRAIT_BLACKBOX,      /* a foreign function without a gradient */
    PERI_TRAIT_GRADIENT,      /* first derivatives are available */
    PERI_TRAIT_HESSIAN,       /* Hessian-vector products are available */
    PERI_TRAIT_SPARSE_HESSIAN,/* the Lagrangian's Hessian is available as a sparse matrix, which may be dense in up to 1000 variables */
    PERI_TRAIT_OBJECTIVE,     /* there is an objective (a feasibility problem has none) */
    PERI_TRAIT_PROX, /* objective and constraints are a smooth function, norms and sets with known operators (ABI 1.1) */
    PERI_TRAIT_COMPACT, /* the same without norms, every variable in a bounded set: linear functions have minima (ABI 1.1) */
    PERI_TRAIT_LEVELS, /* there are lower models: some variables are to be optimal for them. Only plugins that need this trait are given such
                          a problem (ABI 1.1) */
    PERI_TRAIT_MULTILEVEL, /* more than one lower model: nested, or several beside each other (ABI 1.1) */
    PERI_TRAIT_ACYCLIC, /* one constraint says that a graph has no cycle; each of its weights has variables of its own (ABI 1.1) */
    PERI_TRAIT_COUNT
} peri_trait;

#define PERI_BIT(trait) (UINT64_C(1) << (trait))

/* ---- options ------------------------------------------------------------------------------------------------------ */

typedef enum { PERI_OPTION_REAL, PERI_OPTION_INT, PERI_OPTION_BOOL, PERI_OPTION_ENUM, PERI_OPTION_STRING } peri_option_type;

typedef struct {
    const char *name;   /* lower-case words joined by _ */
    const char *unit;   /* "1" for dimensionless */
    const char *help;   /* one line, not starting with "the" */
    const char *const *choices; /* ENUM: NULL-terminated names; the value is the index */
    const char *text;   /* STRING: the default (may be NULL) */
    double value, lower, upper; /* default and closed range; BOOL uses 0 and 1 */
    uint32_t type, offset;      /* peri_option_type; offset of the field in the options struct */
} peri_option;
/* Field types: REAL double, INT int64_t, BOOL int32_t, ENUM int32_t, STRING const char *. */

#define PERI_REAL(name, type, field, value, lower, upper, unit, help)                                                  \
    {(name), (unit), (help), NULL, NULL, (value), (lower), (upper), PERI_OPTION_REAL, (uint32_t)offsetof(type, field)}
#define PERI_INT(name, type, field, value, lower, upper, unit, help)                                                   \
    {(name), (unit), (help), NULL, NULL, (value), (lower), (upper), PERI_OPTION_INT, (uint32_t)offsetof(type, field)}
#define PERI_BOOL(name, type, field, value, help)                                                                      \
    {(name), "1", (help), NULL, NULL, (value), 0, 1, PERI_OPTION_BOOL, (uint32_t)offsetof(type, field)}
#define PERI_ENUM(name, type, field, value, choices, help)                                                             \
    {(name), "1", (help), (choices), NULL, (value), 0, 0, PERI_OPTION_ENUM, (uint32_t)offsetof(type, field)}
#define PERI_STRING(name, type, field, value, help)                                                                    \
    {(name), "1", (help), NULL, (value), 0, 0, 0, PERI_OPTION_STRING, (uint32_t)offsetof(type, field)}

/* ---- plugins ------------------------------------------------------------------------------------------------------ */

typedef enum {
    PERI_KIND_SOLVER = 1,
    PERI_KIND_REFORMULATION = 2,
    PERI_KIND_LINEAR_SOLVER = 3,
    PERI_KIND_ESTIMATOR = 4,
    PERI_KIND_CURVATURE = 5,
    PERI_KIND_FORMAT = 6
} peri_kind;

#define PERI_GIVES_DUALS UINT64_C(1)       /* solver: multipliers; linear solver: inertia by PERI_GIVES_INERTIA */
#define PERI_GIVES_INERTIA UINT64_C(2)     /* linear solver: exact counts of the eigenvalues' signs */
#define PERI_FLAG_WHOLE_RUN UINT64_C(1)    /* no step of its own: one step is the whole run; polls peri_should_stop */
#define PERI_FLAG_RANDOM UINT64_C(2)       /* uses the random stream */
#define PERI_FLAG_GLOBAL UINT64_C(4)       /* a finished run is a proof of global optimality on its problem class */
#define PERI_FLAG_INDEFINITE UINT64_C(8)   /* linear solver: symmetric indefinite systems */
#define PERI_FLAG_QUASIDEFINITE UINT64_C(16)/* linear solver: quasi-definite systems (LDL' without pivoting) */
#define PERI_FLAG_DEFINITE UINT64_C(32)    /* linear solver: symmetric positive definite systems */
#define PERI_FLAG_DENSE UINT64_C(64)       /* linear solver: works on dense storage; for small systems */
#define PERI_FLAG_AUTOMATIC UINT64_C(128)  /* solver: may be chosen when the user names none */
#define PERI_FLAG_GENERAL UINT64_C(256)    /* linear solver: square systems without symmetry (ABI 1.1) */
#define PERI_FLAG_LEAST_SQUARES UINT64_C(512) /* linear solver: minimize |A x - b|_2, A of any shape (ABI 1.1) */
#define PERI_FLAG_ITERATIVE UINT64_C(1024) /* linear solver: iterative, to a tolerance; takes operators (ABI 1.1) */

typedef struct peri_plugin {
    peri_stamp stamp;
    uint32_t kind, size_ops; /* peri_kind; sizeof of the ops table */
    const void *ops;         /* peri_solver_ops, peri_linear_solver_ops, ... */
    const char *name, *family, *version, *license; /* SPDX expression of plugin and library together */
    const char *summary, *page, *reference; /* one line; several paragraphs; literature */
    uint64_t needs[4], refuses[4];          /* PERI_BIT(trait), first word first */
    uint64_t gives, flags;
    uint32_t size_state, size_options, n_options;
    int32_t rank; /* among the plugins that fit, the automatic choice takes the highest */
    const peri_option *options;
    /* minor 1 and later append below this line */
    uint64_t removes[4], adds[4]; /* reformulation: the problem that it makes has the traits of the one that it gets without
                                     `removes`, and perhaps those of `adds`. Plans are searched by them; what the made
                                     problem really is, is looked at once it is made */
    const void *initial_state; /* [size_state] what a run's state starts as; NULL: zeros. For tables that are made while a program
                                  runs, whose operations find here which one they are called for */
} peri_plugin;

/* A piece of a method's own work, by its number (ABI 1.1); no two tasks of one thread run at once. */
typedef void (*peri_task)(void *ud, int32_t thread, int64_t task);

typedef struct peri_run peri_run;       /* one solve as its solver sees it */
typedef struct peri_factor peri_factor; /* one matrix in a linear solver, opened by a run */
typedef struct peri_inner peri_inner;   /* a problem that a reformulation makes, opened by a run */

/* ---- what a solver returns from a step ------------------------------------------------------------------------------ */

typedef enum {
    PERI_WHY_CONTINUE = 0,
    PERI_WHY_CONVERGED,  /* the method's own test is met; the engine's certificate decides the status */
    PERI_WHY_STALLED,    /* no further progress possible */
    PERI_WHY_INFEASIBLE, /* (locally) infeasible: point minimises the violation */
    PERI_WHY_UNBOUNDED,  /* objective below the limit along feasible points */
    PERI_WHY_LIMIT,      /* an internal limit of the method */
    PERI_WHY_FAILED      /* numerical breakdown */
} peri_why;

/* One row of the history and of the log: the named numbers of an iteration. Unset fields are NaN. */
typedef struct {
    double objective, primal, dual, complementarity, step, trust_radius, barrier, regularization;
    char tag;          /* one letter: what happened; explained on the method's page; 0 for none */
    char phase;        /* PERI_PHASE_RESTORATION: only a feasible point is sought; else 0 (ABI 1.1) */
    char reserved[6];
} peri_row;

#define PERI_PHASE_RESTORATION 1

typedef struct {
    peri_why why; /* PERI_WHY_CONTINUE: call step again */
    bool accepted;
} peri_step;

/* Options of the engine that every solver can read. */
typedef struct {
    double tolerance;       /* on the certificate's kkt, 1e-8 unless set */
    double time_limit;      /* seconds, infinity unless set */
    int64_t iterations;     /* limit, at least 0 */
    int64_t evaluations;    /* limit on objective evaluations */
    uint64_t seed;
    int32_t warm_start;     /* 1: start point and multipliers come from an earlier solution */
    int32_t verbosity;
} peri_limits;

typedef struct {
    peri_status (*init)(void *state, peri_run *run, const void *options);
    peri_status (*step)(void *state, peri_run *run, peri_step *next);
    void (*fini)(void *state, peri_run *run);
    peri_status (*save)(void *state, peri_run *run); /* NULL: no checkpoint */
    peri_status (*load)(void *state, peri_run *run);
} peri_solver_ops;

/* The pattern of a sparse matrix, CSC: column j holds entries start[j] .. start[j+1]-1, rows index[k] ascending. */
typedef struct {
    int64_t rows, cols, nnz;
    const int64_t *start; /* [cols + 1] */
    const int64_t *index; /* [nnz] */
} peri_pattern;

typedef struct {
    int64_t positive, negative, zero; /* eigenvalue counts; negative = -1 where the method cannot tell */
} peri_inertia;

/*
 * A square matrix known by its products alone (ABI 1.1). Functions return PERI_OK, or what ends the solution; NULL: there is none.
 *   apply  av = A v;  apply_transposed  av = A'v;  precondition  av is about A^-1 v (symmetric solvers: symmetric positive definite)
 */
typedef struct {
    int64_t n;
    void *ud;
    peri_status (*apply)(void *ud, const double *v, double *av);
    peri_status (*apply_transposed)(void *ud, const double *v, double *av);
    peri_status (*precondition)(void *ud, const double *v, double *av);
} peri_operator;

/*
 * Linear solvers. For symmetric systems: `analyse` once for a pattern (lower triangle, CSC, diagonal entries present), `factor`
 * for each set of values, `solve` in place for each right-hand side. PERI_E_NUMERIC from factor: singular (zero pivots).
 */
typedef struct {
    peri_status (*analyse)(void *state, peri_run *run, const void *options, const peri_pattern *pattern);
    peri_status (*factor)(void *state, peri_run *run, const double *val, peri_inertia *inertia);
    peri_status (*solve)(void *state, peri_run *run, double *b); /* [n], right-hand side in, solution out */
    peri_status (*strengthen)(void *state, peri_run *run);      /* more pivoting for the next factor; NULL or
                                                                   PERI_E_UNSUPPORTED: cannot */
    void (*fini)(void *state, peri_run *run);
    /*
     * minor 1. Solvers with PERI_FLAG_GENERAL or PERI_FLAG_LEAST_SQUARES have analyse_general, whose pattern is that of the whole matrix (CSC, rows x
     * cols, rows ascending in each column) and whose `needs` is the one of the two flags that was asked for; factor then takes values of that
     * pattern. solve of least squares: b [max(rows, cols)], right-hand side in the first rows entries, solution out in the first cols.
     */
    peri_status (*analyse_general)(void *state, peri_run *run, const void *options, const peri_pattern *pattern, uint64_t needs);
    peri_status (*solve_transposed)(void *state, peri_run *run, double *b); /* A'x = b; NULL: cannot */
    peri_status (*attach)(void *state, peri_run *run, const void *options, const peri_operator *op); /* PERI_FLAG_ITERATIVE; op lives
                                                                                                        until fini */
    int64_t (*iterations)(const void *state); /* PERI_FLAG_ITERATIVE: of the last solution */
} peri_linear_solver_ops;

/* ---- reformulations -------------------------------------------------------------------------------------------------- */

/*
 * A reformulation solves its problem by making others and having the rest of the plan solve those: in "penalty > lbfgs", penalty
 * makes problems without constraints, lbfgs solves them. It has a solver's operations and everything that a solver has (start,
 * evaluations of its own problem, limits, peri_accept, peri_finish), so that loop, limits, history, interruption and the certificate,
 * which is that of its own problem, are the engine's. `init` makes inner problems (peri_inner_new, peri_x_...), `step` changes their
 * parameters, bounds and start (nothing is compiled again), solves them (peri_inner_solve), maps point and multipliers back, and accepts
 * them. Steps may allocate: inner solves do. The rest of the plan may begin with a reformulation again.
 */
typedef peri_solver_ops peri_reformulation_ops;

typedef int32_t peri_x; /* an expression of an inner problem, an immutable array; PERI_NO_X: none */
#define PERI_NO_X (-1)

/* A function of an array x [n] with a scalar value; return 0, > 0: undefined there, < 0: a peri_status, which ends the run. */
typedef struct {
    const char *name;
    void *ud; /* borrowed, must live as long as the run */
    int (*value)(void *ud, int64_t n, const double *x, double *f);
    int (*gradient)(void *ud, int64_t n, const double *x, double *g); /* g [n]; NULL: a black box */
} peri_call;

typedef struct {
    uint32_t size, reserved; /* sizeof(peri_inner_request), 0 */
    double tolerance;        /* 0: the run's own; a user's "NAME.tolerance" goes before both */
    int64_t iterations;      /* 0: the engine's default */
    const double *x;         /* start, [n of the inner problem]; NULL: where its last solve ended, or its variables' start values */
    const double *y, *z;     /* multipliers to start with, [m], [n], or NULL: with x NULL those of the last solve, else none */
    const char *plan;        /* NULL: the rest of the run's plan; otherwise another one, "" for the engine's choice */
} peri_inner_request;

/* What came out of an inner solve, certified in the inner problem. */
typedef struct {
    peri_why why; /* by the evidence: CONVERGED solved, STALLED feasible only, INFEASIBLE, UNBOUNDED, LIMIT stopped by a limit or
                     interrupted (the run itself is then over or not: peri_should_stop), FAILED numerical trouble */
    int32_t reserved;
    double objective;                            /* of the minimization */
    double primal, dual, complementarity, kkt;   /* its certificate */
    int64_t iterations;
    const double *x, *y, *z; /* [n], [m], [n]; borrowed until this inner problem's next solve */
    const char *message;     /* one line, or "" */
} peri_inner_result;

/* The functions on inner problems; see the wrappers. */
typedef struct {
    uint32_t size; /* of this table, as the host was compiled; later slots are appended */
    uint32_t reserved;
    peri_status (*make)(peri_run *run, const char *name, peri_inner **out);
    peri_status (*variables)(peri_inner *inner, peri_x *x);
    peri_status (*problem)(peri_inner *inner, int64_t level, peri_x x, peri_x *f, peri_x *c);
    peri_status (*var)(peri_inner *inner, const char *name, int64_t rows, int64_t cols, peri_x *x);
    peri_status (*set_bounds)(peri_inner *inner, peri_x x, const double *lower, const double *upper);
    peri_status (*set_start)(peri_inner *inner, peri_x x, const double *start);
    peri_status (*param)(peri_inner *inner, const char *name, int64_t rows, int64_t cols, const double *value, peri_x *p);
    peri_status (*set_param)(peri_inner *inner, peri_x p, const double *value);
    peri_status (*minimize)(peri_inner *inner, peri_x f);
    peri_status (*constrain)(peri_inner *inner, const char *name, peri_x c, const double *lower, const double *upper, int64_t *row);
    peri_status (*solve)(peri_inner *inner, const peri_inner_request *request, const peri_inner_result **result);
    peri_status (*view)(peri_inner *inner, peri_run **out);
    peri_status (*x_array)(peri_inner *inner, int64_t rows, int64_t cols, const double *value, peri_x *out);
    peri_status (*x_op)(peri_inner *inner, const char *op, int n, const peri_x *args, peri_x *out);
    peri_status (*x_gather)(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, const int64_t *index, peri_x *out);
    peri_status (*x_scatter)(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, const int64_t *index, peri_x *out);
    peri_status (*x_stack)(peri_inner *inner, int64_t n, const peri_x *args, peri_x *out);
    peri_status (*x_reshape)(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, peri_x *out);
    peri_status (*x_gradient)(peri_inner *inner, peri_x e, peri_x x, peri_x *out);
    peri_status (*x_jacobian)(peri_inner *inner, peri_x e, peri_x x, peri_x *out);
    peri_status (*x_substitute)(peri_inner *inner, peri_x e, int64_t n, const peri_x *from, const peri_x *to, peri_x *out);
    peri_status (*x_call)(peri_inner *inner, const peri_call *fn, peri_x x, peri_x *out);
    void (*x_shape)(const peri_inner *inner, peri_x e, int64_t *rows, int64_t *cols);
    peri_status (*keep)(peri_run *run, const double *x, double objective);
    struct peri_model *(*model)(peri_inner *inner); /* the inner problem as perigee.h has models, for plugins of a host program, which
                                                       link the engine; a peri_x is its peri_expr. Borrowed until the run ends;
                                                       to be solved by `solve` only */
} peri_inner_table;

/* ---- levels ---------------------------------------------------------------------------------------------------------- */

/* One level of a problem with lower models (ABI 1.1). Level 0 is the problem itself, 1, 2, ... its lower models in order of their making. */
typedef struct {
    const char *name;
    int32_t parent;   /* the level it lies in; -1 for level 0 */
    int32_t convex;   /* proven: convex in its own variables, the others held (1), or not (0) */
    int64_t n, m;     /* variables and constraint rows that are this level's own */
    const int64_t *variable; /* [n], their places among the run's variables, ascending */
    const int64_t *row;      /* [m], their places among the run's constraint rows, ascending */
} peri_level;

typedef struct peri_projection peri_projection; /* onto the feasible set of a run's problem */

/* ---- graphs ---------------------------------------------------------------------------------------------------------- */

/* The function h >= 0 that vanishes exactly where the graph has no cycle; of A = W o W, or |W| */
typedef enum {
    PERI_ACYCLIC_EXPONENTIAL,     /* tr(exp A) - d */
    PERI_ACYCLIC_LOG_DETERMINANT, /* d log s - log det(s I - A) */
    PERI_ACYCLIC_POLYNOMIAL       /* tr((I + A/d)^d) - d */
} peri_acyclic_form;

/* The problem's graph, where PERI_TRAIT_ACYCLIC is set (ABI 1.1). W_ij is the weight of the edge i -> j. */
typedef struct {
    uint32_t size; /* of this struct, as the host was compiled; later fields are appended */
    int32_t form, absolute, linear; /* peri_acyclic_form; of |W|; every W_ij is linear in its variables */
    int64_t d, row;                 /* nodes; the constraint's row */
    double s;                       /* of the log-determinant */
    const int64_t *entry;           /* [n] i d + j: variable k belongs to W_ij, which is 0 where all that belong to it are; -1: to none */
} peri_acyclic;

/* ---- the host table -------------------------------------------------------------------------------------------------- */

typedef struct peri_host {
    uint32_t size;         /* of this table, as the host was compiled */
    uint16_t major, minor; /* of the host */
    /* the problem */
    int64_t (*n)(const peri_run *run);
    int64_t (*m)(const peri_run *run);
    void (*bounds)(const peri_run *run, const double **xl, const double **xu, const double **cl, const double **cu);
    bool (*has_trait)(const peri_run *run, peri_trait trait);
    const unsigned char *(*linear_rows)(const peri_run *run);
    /* memory */
    void *(*alloc)(peri_run *run, size_t count, size_t size);
    /* start */
    peri_status (*start)(peri_run *run, double *x);
    bool (*start_duals)(peri_run *run, double *y, double *z);
    /* evaluation */
    peri_status (*eval_f)(peri_run *run, const double *x, double *f);
    peri_status (*eval_fg)(peri_run *run, const double *x, double *f, double *g);
    peri_status (*eval_c)(peri_run *run, const double *x, double *c);
    peri_status (*jac_pattern)(peri_run *run, peri_pattern *pattern);
    peri_status (*eval_jac)(peri_run *run, const double *x, double *val);
    peri_status (*hess_pattern)(peri_run *run, peri_pattern *pattern);
    peri_status (*eval_hess)(peri_run *run, const double *x, double sigma, const double *w, double *val);
    peri_status (*eval_jv)(peri_run *run, const double *x, const double *v, double *jv);
    peri_status (*eval_vj)(peri_run *run, const double *x, const double *w, double *vj);
    peri_status (*eval_hv)(peri_run *run, const double *x, double sigma, const double *w, const double *v, double *hv);
    /* running */
    const peri_limits *(*limits)(const peri_run *run);
    bool (*should_stop)(peri_run *run);
    peri_status (*accept)(peri_run *run, const double *x, const double *y, const double *z, const peri_row *row,
                          peri_step *next);
    peri_status (*finish)(peri_run *run, peri_why why, peri_step *next);
    void (*note)(peri_run *run, int level, const char *text);
    peri_status (*fail)(peri_run *run, peri_status code, const char *text);
    uint64_t (*random_bits)(peri_run *run, uint64_t stream, uint64_t counter);
    double (*clock)(void);
    /* linear algebra */
    peri_status (*factor_open)(peri_run *run, const char *solver, const peri_pattern *pattern, uint64_t needs,
                               peri_factor **out);
    peri_status (*factor_values)(peri_factor *factor, const double *val, peri_inertia *inertia);
    peri_status (*factor_solve)(peri_factor *factor, double *b);
    peri_status (*factor_strengthen)(peri_factor *factor);
    const char *(*factor_name)(const peri_factor *factor);
    uint64_t (*factor_flags)(const peri_factor *factor);
    void (*factor_close)(peri_factor *factor);
    /* minor 1 */
    peri_status (*residual_count)(peri_run *run, int64_t *count);
    peri_status (*eval_residuals)(peri_run *run, const double *x, double *r);
    peri_status (*residual_jac_pattern)(peri_run *run, peri_pattern *pattern);
    peri_status (*eval_residual_jac)(peri_run *run, const double *x, double *val);
    peri_status (*eval_f_batch)(peri_run *run, int64_t points, const double *x, double *f);
    peri_status (*eval_fg_batch)(peri_run *run, int64_t points, const double *x, double *f, double *g);
    peri_status (*eval_c_batch)(peri_run *run, int64_t points, const double *x, double *c);
    peri_status (*factor_solve_transposed)(peri_factor *factor, double *b);
    peri_status (*factor_open_operator)(peri_run *run, const char *solver, const peri_operator *op, uint64_t needs, peri_factor **out);
    int64_t (*factor_iterations)(const peri_factor *factor);
    const peri_inner_table *inner; /* reformulations */
    peri_status (*prox_smooth)(peri_run *run, const double *x, double *f, double *g);
    peri_status (*prox_apply)(peri_run *run, double t, const double *v, double *x, double *h);
    peri_status (*prox_linear)(peri_run *run, const double *g, double *x);
    peri_status (*transfer)(peri_run *run, const char *name, void *data, size_t bytes);
    peri_status (*levels)(peri_run *run, int64_t *count, const peri_level **levels);
    peri_status (*level_view)(peri_run *run, int64_t level, peri_run **out);
    peri_status (*level_solve)(peri_run *run, int64_t level, const double *x, const peri_inner_request *request,
                               const peri_inner_result **result);
    peri_status (*projection_open)(peri_run *run, peri_projection **out);
    peri_status (*projection_apply)(peri_projection *set, const double *v, double *x);
    peri_status (*acyclic)(peri_run *run, const peri_acyclic **out);
    peri_status (*eval_weights)(peri_run *run, const double *x, double *w);
    int64_t (*sample_rows)(const peri_run *view);
    peri_status (*sample)(peri_run *view, uint64_t key, int64_t rows);
    peri_status (*sample_set)(peri_run *view, int64_t rows, const int64_t *index);
    peri_status (*eval_terms)(peri_run *view, const double *x, double *f, double *g);
    int32_t (*threads)(peri_run *run);
    peri_status (*parallel)(peri_run *run, int64_t tasks, peri_task task, void *ud);
    /* later ones append below this line */
} peri_host;

/* The one exported symbol: `peri_plugins`, of this type; returns a NULL-terminated list. */
typedef const peri_plugin *const *(*peri_entry_fn)(const peri_host *host);

/*
 * The host table belongs to one file, whose entry function sets it. A plugin of several files defines PERI_PLUGIN_PARTS before it
 * includes this header and, in the file with the entry function, `const peri_host *peri_host_table;`.
 */
#ifndef PERI_PLUGIN_PARTS
static const peri_host *peri_host_table;
#elif defined(__GNUC__)
extern __attribute__((visibility("hidden"))) const peri_host *peri_host_table;
#else
extern const peri_host *peri_host_table;
#endif

#ifdef __cplusplus
#define PERI_LINKAGE extern "C"
#else
#define PERI_LINKAGE
#endif
#if defined(__GNUC__)
#define PERI_EXPORT PERI_LINKAGE __attribute__((visibility("default")))
#define PERI_CHECKED __attribute__((warn_unused_result))
#define PERI_MAYBE_UNUSED __attribute__((unused))
#else
#define PERI_EXPORT PERI_LINKAGE
#define PERI_CHECKED
#define PERI_MAYBE_UNUSED
#endif
#define PERI_INLINE PERI_MAYBE_UNUSED static inline

/* PERI_PLUGIN(list): the entry function; `list` is a NULL-terminated array of const peri_plugin *. */
#define PERI_PLUGIN(list)                                                                                              \
    PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host);                                        \
    PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host)                                         \
    {                                                                                                                  \
        if (peri_host_table != host) /* another thread may be using it */                                              \
            peri_host_table = host;                                                                                    \
        return (list);                                                                                                 \
    }

#define PERI_STAMP                                                                                                     \
    {                                                                                                                  \
        PERI_ABI_MAGIC, PERI_ABI_MAJOR, PERI_ABI_MINOR, 0, (uint8_t)sizeof(int), (uint8_t)sizeof(double),              \
            (uint8_t)sizeof(void *), {0, 0, 0}, (uint32_t)sizeof(peri_plugin), (uint32_t)sizeof(peri_option)           \
    }
#define PERI_COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* The fields every solver's table starts with; `state` and `options` are types, `list` the option array. */
#define PERI_SOLVER(state, options_type, list)                                                                         \
    .stamp = PERI_STAMP, .kind = PERI_KIND_SOLVER, .size_ops = (uint32_t)sizeof(peri_solver_ops),                      \
    .size_state = (uint32_t)sizeof(state), .size_options = (uint32_t)sizeof(options_type),                             \
    .n_options = (uint32_t)PERI_COUNT(list), .options = (list)
#define PERI_LINEAR_SOLVER(state, options_type, list)                                                                  \
    .stamp = PERI_STAMP, .kind = PERI_KIND_LINEAR_SOLVER, .size_ops = (uint32_t)sizeof(peri_linear_solver_ops),        \
    .size_state = (uint32_t)sizeof(state), .size_options = (uint32_t)sizeof(options_type),                             \
    .n_options = (uint32_t)PERI_COUNT(list), .options = (list)
#define PERI_REFORMULATION(state, options_type, list)                                                                  \
    .stamp = PERI_STAMP, .kind = PERI_KIND_REFORMULATION, .size_ops = (uint32_t)sizeof(peri_reformulation_ops),        \
    .size_state = (uint32_t)sizeof(state), .size_options = (uint32_t)sizeof(options_type),                             \
    .n_options = (uint32_t)PERI_COUNT(list), .options = (list)

#define PERI_NEEDS_GRADIENT PERI_BIT(PERI_TRAIT_GRADIENT)
#define PERI_NEEDS_HESSIAN PERI_BIT(PERI_TRAIT_HESSIAN)
#define PERI_NEEDS_SPARSE_HESSIAN PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN)
#define PERI_REFUSES_CONSTRAINTS PERI_BIT(PERI_TRAIT_CONSTRAINTS)
#define PERI_REFUSES_BOUNDS PERI_BIT(PERI_TRAIT_BOUNDS)
#define PERI_REFUSES_INTEGER PERI_BIT(PERI_TRAIT_INTEGER)
#define PERI_REFUSES_NONSMOOTH PERI_BIT(PERI_TRAIT_NONSMOOTH)

#define TRY(expr)                                                                                                      \
    do {                                                                                                               \
        const peri_status try_status_ = (expr);                                                                        \
        if (try_status_ != PERI_OK)                                                                                    \
            return try_status_;                                                                                        \
    } while (0)

#define PERI_HOST_HAS(slot) (peri_host_table->size > offsetof(peri_host, slot) && peri_host_table->slot != NULL)

/* ---- what a plugin calls ----------------------------------------------------------------------------------------------- */

/* peri_n, peri_m - numbers of variables and of constraint rows */
PERI_INLINE int64_t peri_n(const peri_run *run)
{
    return peri_host_table->n(run);
}

PERI_INLINE int64_t peri_m(const peri_run *run)
{
    return peri_host_table->m(run);
}

/*
 * peri_bounds - the bounds of variables and constraints
 *   out  xl, xu  [n], out cl, cu [m]; borrowed for the run; any may be NULL where not wanted
 */
PERI_INLINE void peri_bounds(const peri_run *run, const double **xl, const double **xu, const double **cl,
                             const double **cu)
{
    peri_host_table->bounds(run, xl, xu, cl, cu);
}

PERI_INLINE bool peri_has_trait(const peri_run *run, peri_trait trait)
{
    return peri_host_table->has_trait(run, trait);
}

/* peri_linear_rows - [m], 1 where c_i is linear in x; borrowed for the run */
PERI_INLINE const unsigned char *peri_linear_rows(const peri_run *run)
{
    return peri_host_table->linear_rows(run);
}

/*
 * peri_alloc_bytes - zeroed memory that lives until the run ends, 64-byte aligned; in init only
 *   ret  NULL when memory is out (return PERI_E_NOMEM) or count * size overflows
 */
PERI_INLINE void *peri_alloc_bytes(peri_run *run, size_t count, size_t size)
{
    return peri_host_table->alloc(run, count, size);
}

/* peri_alloc - [count] zeroed doubles, as peri_alloc_bytes */
PERI_CHECKED PERI_INLINE peri_status peri_alloc(peri_run *run, int64_t count, double **out)
{
    *out = (double *)peri_host_table->alloc(run, (size_t)count, sizeof **out);
    return *out != NULL ? PERI_OK : PERI_E_NOMEM;
}

/* peri_alloc_index - [count] zeroed int64_t, as peri_alloc_bytes */
PERI_CHECKED PERI_INLINE peri_status peri_alloc_index(peri_run *run, int64_t count, int64_t **out)
{
    *out = (int64_t *)peri_host_table->alloc(run, (size_t)count, sizeof **out);
    return *out != NULL ? PERI_OK : PERI_E_NOMEM;
}

/* peri_start - the start point, projected onto the variable bounds;  out x [n] */
PERI_CHECKED PERI_INLINE peri_status peri_start(peri_run *run, double *x)
{
    return peri_host_table->start(run, x);
}

/* peri_start_duals - multipliers of a warm start;  out y [m], z [n];  ret false: there are none, y and z untouched */
PERI_INLINE bool peri_start_duals(peri_run *run, double *y, double *z)
{
    return peri_host_table->start_duals(run, y, z);
}

/*
 * Evaluations at x [n]. All return PERI_E_DOMAIN where a function is undefined or not finite (recoverable: try a shorter
 * step), PERI_E_CANCELLED where a stop was asked for inside user code (return it at once); none allocates.
 *   eval_f    f
 *   eval_fg   f and g [n], the gradient
 *   eval_c    c [m]
 *   eval_jac  val [nnz] in the order of peri_jac_pattern: d c_i / d x_j, CSC with m rows and n columns
 *   eval_hess val [nnz] in the order of peri_hess_pattern: lower triangle of  sigma * hess f + sum_i w_i * hess c_i
 *             (w [m] carries its sign: the Lagrangian f - y'c has w = -y)
 *   eval_jv   jv [m] = J v;   eval_vj  vj [n] = J' w
 *   eval_hv   hv [n] = (sigma * hess f + sum_i w_i hess c_i) v;  w may be NULL where m = 0
 * No array that is written may overlap one that is read.
 * Patterns are borrowed for the run; PERI_E_UNSUPPORTED where the problem does not offer them (see the traits).
 */
PERI_CHECKED PERI_INLINE peri_status peri_eval_f(peri_run *run, const double *x, double *f)
{
    return peri_host_table->eval_f(run, x, f);
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_fg(peri_run *run, const double *x, double *f, double *g)
{
    return peri_host_table->eval_fg(run, x, f, g);
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_c(peri_run *run, const double *x, double *c)
{
    return peri_host_table->eval_c(run, x, c);
}

PERI_CHECKED PERI_INLINE peri_status peri_jac_pattern(peri_run *run, peri_pattern *pattern)
{
    return peri_host_table->jac_pattern(run, pattern);
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_jac(peri_run *run, const double *x, double *val)
{
    return peri_host_table->eval_jac(run, x, val);
}

PERI_CHECKED PERI_INLINE peri_status peri_hess_pattern(peri_run *run, peri_pattern *pattern)
{
    return peri_host_table->hess_pattern(run, pattern);
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_hess(peri_run *run, const double *x, double sigma, const double *w,
                                                    double *val)
{
    return peri_host_table->eval_hess(run, x, sigma, w, val);
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_jv(peri_run *run, const double *x, const double *v, double *jv)
{
    return peri_host_table->eval_jv(run, x, v, jv);
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_vj(peri_run *run, const double *x, const double *w, double *vj)
{
    return peri_host_table->eval_vj(run, x, w, vj);
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_hv(peri_run *run, const double *x, double sigma, const double *w,
                                                  const double *v, double *hv)
{
    return peri_host_table->eval_hv(run, x, sigma, w, v, hv);
}

PERI_INLINE const peri_limits *peri_get_limits(const peri_run *run)
{
    return peri_host_table->limits(run);
}

/* peri_should_stop - true once a limit is reached or an interruption asked for; cheap; poll inside long steps */
PERI_INLINE bool peri_should_stop(peri_run *run)
{
    return peri_host_table->should_stop(run);
}

/* A row with every number unset. */
PERI_INLINE peri_row peri_empty_row(void)
{
    const double nan_value = __builtin_nan("");
    peri_row row = {nan_value, nan_value, nan_value, nan_value, nan_value, nan_value, nan_value, nan_value, 0, 0,
                    {0, 0, 0, 0, 0, 0}};
    return row;
}

/*
 * peri_accept - end an iteration: x [n] is the new iterate, y [m] and z [n] its multipliers or NULL, row its numbers
 *   out  next  set to continue
 *   note the engine keeps the best point (least violation, then objective), the answer where a limit ends the run; writes history, log
 *        and progress
 */
PERI_CHECKED PERI_INLINE peri_status peri_accept(peri_run *run, const double *x, const double *y, const double *z,
                                                 const peri_row *row, peri_step *next)
{
    return peri_host_table->accept(run, x, y, z, row, next);
}

/* peri_finish - end the run: the last accepted point is the answer; `why` is the method's claim */
PERI_CHECKED PERI_INLINE peri_status peri_finish(peri_run *run, peri_why why, peri_step *next)
{
    return peri_host_table->finish(run, why, next);
}

/* peri_note - one line for the log; level 0 warning, 1 information, 2 detail */
PERI_INLINE void peri_note(peri_run *run, int level, const char *text)
{
    peri_host_table->note(run, level, text);
}

/* peri_fail - record an error of the plugin's own;  ret code, to be returned */
PERI_CHECKED PERI_INLINE peri_status peri_fail(peri_run *run, peri_status code, const char *text)
{
    return peri_host_table->fail(run, code, text);
}

/* peri_random_uniform - in [0, 1): a function of the run's seed, stream and counter alone */
PERI_INLINE double peri_random_uniform(peri_run *run, uint64_t stream, uint64_t counter)
{
    return (double)(peri_host_table->random_bits(run, stream, counter) >> 11) * (1.0 / 9007199254740992.0); /* 2^-53 */
}

/* peri_clock - monotonic seconds */
PERI_INLINE double peri_clock(void)
{
    return peri_host_table->clock();
}

/*
 * Linear systems with a symmetric matrix, solved by a linear-solver plugin.
 *   peri_factor_open    solver: a plugin's name, "" or NULL for the user's option linear_solver or else the engine's choice;
 *                       pattern copied (lower triangle, CSC, every diagonal entry present); needs: what the engine's choice must
 *                       be able to factorise, one of PERI_FLAG_INDEFINITE, PERI_FLAG_QUASIDEFINITE, PERI_FLAG_DEFINITE. A solver
 *                       named by caller or user is opened whatever it can do: see peri_factor_flags. In init, or once per pattern.
 *                       Closed by the engine at the end of the run. Since ABI 1.1 also PERI_FLAG_GENERAL (square) and
 *                       PERI_FLAG_LEAST_SQUARES (any shape), for which the pattern is the whole matrix's; a named solver that cannot is
 *                       refused (PERI_E_UNSUPPORTED), and the user's option linear_solver counts only where its solver can.
 *   peri_factor_values  factorise values val [nnz]; inertia out (may be NULL). PERI_E_NUMERIC: singular.
 *   peri_factor_solve   b [n] right-hand side in, solution out
 *   peri_factor_strengthen  ask for more pivoting; PERI_E_UNSUPPORTED: there is no more
 * Their time is counted as linear algebra.
 */
PERI_CHECKED PERI_INLINE peri_status peri_factor_open(peri_run *run, const char *solver, const peri_pattern *pattern,
                                                      uint64_t needs, peri_factor **out)
{
    return peri_host_table->factor_open(run, solver, pattern, needs, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_factor_values(peri_factor *factor, const double *val, peri_inertia *inertia)
{
    return peri_host_table->factor_values(factor, val, inertia);
}

PERI_CHECKED PERI_INLINE peri_status peri_factor_solve(peri_factor *factor, double *b)
{
    return peri_host_table->factor_solve(factor, b);
}

PERI_CHECKED PERI_INLINE peri_status peri_factor_strengthen(peri_factor *factor)
{
    return peri_host_table->factor_strengthen(factor);
}

/* peri_factor_solve_transposed - A'x = b, as peri_factor_solve (ABI 1.1);  PERI_E_UNSUPPORTED: the solver cannot */
PERI_CHECKED PERI_INLINE peri_status peri_factor_solve_transposed(peri_factor *factor, double *b)
{
    return PERI_HOST_HAS(factor_solve_transposed) ? peri_host_table->factor_solve_transposed(factor, b) : PERI_E_UNSUPPORTED;
}

/*
 * peri_factor_open_operator - a matrix known by its products, for an iterative solver (ABI 1.1)
 *   in   solver  a plugin's name, or "" or NULL for the engine's choice: needs PERI_FLAG_DEFINITE cg, PERI_FLAG_INDEFINITE minres,
 *                PERI_FLAG_GENERAL gmres
 *   in   op      copied; its ud and functions must live until the factor is closed. peri_factor_values is not called: solve at once.
 */
PERI_CHECKED PERI_INLINE peri_status peri_factor_open_operator(peri_run *run, const char *solver, const peri_operator *op,
                                                               uint64_t needs, peri_factor **out)
{
    return PERI_HOST_HAS(factor_open_operator) ? peri_host_table->factor_open_operator(run, solver, op, needs, out)
                                               : PERI_E_UNSUPPORTED;
}

/* peri_factor_iterations - of the last solution by an iterative solver; 0 for others (ABI 1.1) */
PERI_INLINE int64_t peri_factor_iterations(const peri_factor *factor)
{
    return PERI_HOST_HAS(factor_iterations) ? peri_host_table->factor_iterations(factor) : 0;
}

PERI_INLINE const char *peri_factor_name(const peri_factor *factor)
{
    return peri_host_table->factor_name(factor);
}

PERI_INLINE uint64_t peri_factor_flags(const peri_factor *factor)
{
    return peri_host_table->factor_flags(factor);
}

PERI_INLINE void peri_factor_close(peri_factor *factor)
{
    peri_host_table->factor_close(factor);
}

/*
 * Least squares (ABI 1.1), where PERI_TRAIT_LEAST_SQUARES is set: f(x) = constant + sum of r_k(x)^2, k = 1 .. count. Note that there is no
 * factor 1/2: the gradient of f is 2 J'r. PERI_E_UNSUPPORTED where the objective is not such a sum; else as the evaluations above.
 *   residual_count        number of residuals
 *   eval_residuals        r [count]
 *   eval_residual_jac     val [nnz] in the order of peri_residual_jac_pattern: d r_k / d x_j, CSC with count rows and n columns
 */
PERI_CHECKED PERI_INLINE peri_status peri_residual_count(peri_run *run, int64_t *count)
{
    return PERI_HOST_HAS(residual_count) ? peri_host_table->residual_count(run, count) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_residuals(peri_run *run, const double *x, double *r)
{
    return peri_host_table->eval_residuals(run, x, r);
}

PERI_CHECKED PERI_INLINE peri_status peri_residual_jac_pattern(peri_run *run, peri_pattern *pattern)
{
    return peri_host_table->residual_jac_pattern(run, pattern);
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_residual_jac(peri_run *run, const double *x, double *val)
{
    return peri_host_table->eval_residual_jac(run, x, val);
}

/*
 * Composite problems (ABI 1.1), where PERI_TRAIT_PROX is set and the plugin's table needs it: f(x) = s(x) + h(x) with s smooth; h is a sum of weighted
 * norms, and +infinity outside the bounds and constraints, all of which are sets with known projections (Parikh and Boyd 2014).
 *   prox_smooth  s and its gradient g [n]; counted as the objective's
 *   prox_apply   x [n] = argmin_u h(u) + |u - v|^2 / (2 t), t > 0; *h its norms' value there. x may be v. Allocates nothing.
 *   prox_linear  x [n] = argmin of g'x over the sets; PERI_E_UNSUPPORTED where h has norms or the sets are not bounded
 */
PERI_CHECKED PERI_INLINE peri_status peri_prox_smooth(peri_run *run, const double *x, double *f, double *g)
{
    return PERI_HOST_HAS(prox_smooth) ? peri_host_table->prox_smooth(run, x, f, g) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_prox_apply(peri_run *run, double t, const double *v, double *x, double *h)
{
    return PERI_HOST_HAS(prox_apply) ? peri_host_table->prox_apply(run, t, v, x, h) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_prox_linear(peri_run *run, const double *g, double *x)
{
    return PERI_HOST_HAS(prox_linear) ? peri_host_table->prox_linear(run, g, x) : PERI_E_UNSUPPORTED;
}

/*
 * Graphs (ABI 1.1), where PERI_TRAIT_ACYCLIC is set and the plugin's table needs it.
 *   peri_get_acyclic   borrowed for the run
 *   peri_eval_weights  w [d d] by rows; allocates nothing
 * Where the weights that are not exactly zero have no cycle, the constraint's value is 0 without rounding, and the certificate takes variables of
 * weights whose edge would close a cycle as held at zero: their share of the gradient is the constraint's (the conditions for |W|, which W o W
 * has none of: its gradient vanishes wherever it is feasible).
 */
PERI_CHECKED PERI_INLINE peri_status peri_get_acyclic(peri_run *run, const peri_acyclic **out)
{
    return PERI_HOST_HAS(acyclic) ? peri_host_table->acyclic(run, out) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_weights(peri_run *run, const double *x, double *w)
{
    return PERI_HOST_HAS(eval_weights) ? peri_host_table->eval_weights(run, x, w) : PERI_E_UNSUPPORTED;
}

/*
 * peri_transfer - a piece of the method's state to or from a checkpoint (ABI 1.1): in `save` data is written, in `load` it is read into. One function
 * that transfers everything, in one order, can therefore be both operations. `load` comes after `init`, which has allocated; what can
 * be computed again (factors, patterns) is not transferred. Pointers must not be.
 *   in      name   in messages; the same both ways
 *   in,out  data   [bytes]
 *   err     PERI_E_PARSE: the checkpoint has something else here
 */
PERI_CHECKED PERI_INLINE peri_status peri_transfer(peri_run *run, const char *name, void *data, size_t bytes)
{
    return PERI_HOST_HAS(transfer) ? peri_host_table->transfer(run, name, data, bytes) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_transfer_reals(peri_run *run, const char *name, int64_t n, double *v)
{
    return peri_transfer(run, name, v, (size_t)n * sizeof *v);
}

/* A field of `s`, no pointer;  an array of n doubles that a field points to */
#define PERI_TRANSFER(run, s, field) TRY(peri_transfer((run), #field, &(s)->field, sizeof((s)->field)))
#define PERI_TRANSFER_REALS(run, s, field, n) TRY(peri_transfer_reals((run), #field, (n), (s)->field))

/*
 * Evaluations at many points at once (ABI 1.1), for populations, many starts, perturbed copies: for small problems ten times as fast as so many
 * calls. Points are the rows of x [points x n]; each counts as one evaluation. A point at which something is undefined or not finite is no
 * failure: its f is NaN (of eval_fg_batch also where a derivative is not finite, and its row of g is then worthless); eval_c_batch has
 * NaN in those entries of c. The first calls of a run compile, and allocate; later ones do neither.
 *   eval_f_batch   f [points]
 *   eval_fg_batch  f [points] and g [points x n], a gradient a row
 *   eval_c_batch   c [points x m]
 * Hosts of ABI 1.0 are asked point by point.
 */
PERI_CHECKED PERI_INLINE peri_status peri_eval_f_batch(peri_run *run, int64_t points, const double *x, double *f)
{
    peri_status status = PERI_OK;
    if (PERI_HOST_HAS(eval_f_batch))
        return peri_host_table->eval_f_batch(run, points, x, f);
    for (int64_t k = 0; k < points && status == PERI_OK; k++) {
        status = peri_host_table->eval_f(run, x + k * peri_n(run), &f[k]);
        if (status == PERI_E_DOMAIN) {
            f[k] = NAN;
            status = PERI_OK;
        }
    }
    return status;
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_fg_batch(peri_run *run, int64_t points, const double *x, double *f, double *g)
{
    const int64_t n = peri_n(run);
    peri_status status = PERI_OK;
    if (PERI_HOST_HAS(eval_fg_batch))
        return peri_host_table->eval_fg_batch(run, points, x, f, g);
    for (int64_t k = 0; k < points && status == PERI_OK; k++) {
        status = peri_host_table->eval_fg(run, x + k * n, &f[k], g + k * n);
        if (status == PERI_E_DOMAIN) {
            f[k] = NAN;
            status = PERI_OK;
        }
    }
    return status;
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_c_batch(peri_run *run, int64_t points, const double *x, double *c)
{
    const int64_t n = peri_n(run), m = peri_m(run);
    peri_status status = PERI_OK;
    if (PERI_HOST_HAS(eval_c_batch))
        return peri_host_table->eval_c_batch(run, points, x, c);
    for (int64_t k = 0; k < points && status == PERI_OK; k++) {
        status = peri_host_table->eval_c(run, x + k * n, c + k * m);
        for (int64_t i = 0; i < m && status == PERI_E_DOMAIN; i++)
            if (!(c[k * m + i] - c[k * m + i] == 0)) /* infinite or NaN */
                c[k * m + i] = NAN;
        status = status == PERI_E_DOMAIN ? PERI_OK : status;
    }
    return status;
}

/*
 * Problems with lower models (ABI 1.1), where PERI_TRAIT_LEVELS is set:
 *   minimize F(x)  subject to  level 0's rows and all bounds,  and for each lower level k, its own variables x_k minimize f_k(x) subject to
 *   its own rows and their bounds, all other variables but those of the levels inside it held.
 * Of several minima of a lower level the one that is best above is meant (the optimistic form). The run itself has all variables and the
 * rows of all levels; its objective is F: what is missing in it is the lower levels' optimality, which the certificate looks at.
 *   peri_levels       count, at least 1, and levels [count]; borrowed for the run
 *   peri_level_view   a run that evaluates one level: n is the whole problem's, its objective that level's (of the minimization), its
 *                     rows that level's own, in their order, the bounds those of all variables. peri_n, peri_m, peri_bounds, traits, peri_eval_...,
 *                     patterns, linear systems and projections work on it; it has no loop. Second derivatives across levels are
 *                     products: peri_eval_hv with a v that is 0 but at one level's variables. In init; borrowed for the run.
 *   peri_level_solve  solves level k by a plan of the engine's choice or request->plan, the variables of other levels held at x [n of the run];
 *                     levels inside it too, by theirs. request->x, y, z and the result's are of that level's own variables [levels[k].n]
 *                     and rows. As peri_inner_solve; start, where the request has none: the level's part of x.
 */
PERI_CHECKED PERI_INLINE peri_status peri_levels(peri_run *run, int64_t *count, const peri_level **levels)
{
    return PERI_HOST_HAS(levels) ? peri_host_table->levels(run, count, levels) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_level_view(peri_run *run, int64_t level, peri_run **out)
{
    return PERI_HOST_HAS(level_view) ? peri_host_table->level_view(run, level, out) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_level_solve(peri_run *run, int64_t level, const double *x, const peri_inner_request *request,
                                                      const peri_inner_result **result)
{
    return PERI_HOST_HAS(level_solve) ? peri_host_table->level_solve(run, level, x, request, result) : PERI_E_UNSUPPORTED;
}

/*
 * Samples of a level's sum (ABI 1.1). Where a user declared a parameter as the weights of a level's terms, its view (peri_level_view) can be told to
 * evaluate a random part of them: that many rows are drawn with equal chances and put back, and a row that was drawn weighs its own weight times
 * (number of weights) / rows for each time, so that values and derivatives are right on average. What is drawn is a function of the run's seed and the key
 * alone: the same key gives the same sample again, at whatever points and to whatever level has as many rows. Where the objective is
 * rest(x) + sum_i w_i L_i(x) as far as the engine sees, peri_eval_fg of a sample costs what its rows cost, not what all do; where it does not see that, a
 * note of the run says why, and all rows are evaluated with the sample's weights.
 *   peri_sample_rows  the number of weights of the view's level; 0: there are none
 *   peri_sample       evaluations of the view from now on: of a sample of `rows` rows; 0: of all
 *   peri_sample_set   the same of rows that the caller chose: index [rows] from 0 on, with repetitions; each weighs its own weight times (number of
 *                     weights) / rows.  err PERI_E_ARGUMENT  there is no such row
 *   peri_eval_terms   each row of the sample at hand by itself, weighed as it is there, without rest(x): f [rows], g [rows n] by rows, or NULL
 *                     err PERI_E_DOMAIN; PERI_E_STATE  no sample at hand; PERI_E_UNSUPPORTED  terms cannot be told apart
 */
PERI_INLINE int64_t peri_sample_rows(const peri_run *view)
{
    return PERI_HOST_HAS(sample_rows) ? peri_host_table->sample_rows(view) : 0;
}

PERI_CHECKED PERI_INLINE peri_status peri_sample(peri_run *view, uint64_t key, int64_t rows)
{
    return PERI_HOST_HAS(sample) ? peri_host_table->sample(view, key, rows) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_sample_set(peri_run *view, int64_t rows, const int64_t *index)
{
    return PERI_HOST_HAS(sample_set) ? peri_host_table->sample_set(view, rows, index) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_eval_terms(peri_run *view, const double *x, double *f, double *g)
{
    return PERI_HOST_HAS(eval_terms) ? peri_host_table->eval_terms(view, x, f, g) : PERI_E_UNSUPPORTED;
}

/*
 * Work of the method's own on the context's threads (ABI 1.1): tasks 0 .. tasks - 1, each once, in no order that can be relied on; returns when all have ended.
 * A task calls nothing of the engine and writes what no other task reads or writes; scratch belongs to a thread, 0 .. peri_threads(run) - 1. Results
 * have the same bits for any number of threads where no task's depends on which thread took it. Where there is only one thread, or an older engine, it
 * is a loop. A shared-out call costs some ten microseconds.
 *   err  PERI_E_NOMEM: nothing was done
 */
PERI_INLINE int32_t peri_threads(peri_run *run)
{
    return PERI_HOST_HAS(threads) ? peri_host_table->threads(run) : 1;
}

PERI_CHECKED PERI_INLINE peri_status peri_parallel(peri_run *run, int64_t tasks, peri_task task, void *ud)
{
    if (PERI_HOST_HAS(parallel))
        return peri_host_table->parallel(run, tasks, task, ud);
    for (int64_t k = 0; k < tasks; k++)
        task(ud, 0, k);
    return PERI_OK;
}

/*
 * Projection onto the feasible set of a run's or view's problem: its bounds and constraint rows (ABI 1.1). Where the rows are linear equations and
 * no bound is met, by one sparse factorisation made in open; for polyhedra by a quadratic program that starts where the last one ended; for
 * other sets by a general method, to 1e-9 where they are convex (where they are not: a local nearest point). In init; closed by the engine.
 *   apply  x [n] = argmin_u |u - v|^2 over the set; x may be v.   err PERI_E_NUMERIC: the set is empty, or the method failed, with the reason
 */
PERI_CHECKED PERI_INLINE peri_status peri_projection_open(peri_run *run, peri_projection **out)
{
    return PERI_HOST_HAS(projection_open) ? peri_host_table->projection_open(run, out) : PERI_E_UNSUPPORTED;
}

PERI_CHECKED PERI_INLINE peri_status peri_projection_apply(peri_projection *set, const double *v, double *x)
{
    return peri_host_table->projection_apply(set, v, x);
}

/* ---- inner problems: what a reformulation calls ------------------------------------------------------------------------ */

/* peri_inner_new - an empty problem, to be solved by the rest of the plan; freed by the engine at the end of the run. In init. */
PERI_CHECKED PERI_INLINE peri_status peri_inner_new(peri_run *run, const char *name, peri_inner **out)
{
    return peri_host_table->inner->make(run, name, out);
}

/*
 * peri_inner_variables - all variables of the run's problem, with names, bounds, integrality; their start is the run's
 *   out  x  n x 1, the variables below each other; may be given to peri_inner_set_bounds and peri_inner_set_start
 *   note  once, and before other variables: entries 0 .. n-1 of the inner problem's points are those of the run's
 */
PERI_CHECKED PERI_INLINE peri_status peri_inner_variables(peri_inner *inner, peri_x *x)
{
    return peri_host_table->inner->variables(inner, x);
}

/*
 * peri_inner_problem - the run's problem as expressions at x, an n x 1 expression in its variables' place
 *   in   level  0: the problem; 1, 2, ...: its lower levels (peri_levels); x has the variables of all levels
 *   out  f  the objective of the minimization, 0 where there is none;  c  that level's own rows, m x 1, PERI_NO_X where m = 0; either may be NULL
 *   err  PERI_E_ARGUMENT: no such level
 */
PERI_CHECKED PERI_INLINE peri_status peri_inner_problem(peri_inner *inner, int64_t level, peri_x x, peri_x *f, peri_x *c)
{
    return peri_host_table->inner->problem(inner, level, x, f, c);
}

/* peri_inner_var - new variables, free, starting at 0; their place in points is behind those there already */
PERI_CHECKED PERI_INLINE peri_status peri_inner_var(peri_inner *inner, const char *name, int64_t rows, int64_t cols, peri_x *x)
{
    return peri_host_table->inner->var(inner, name, rows, cols, x);
}

/* peri_inner_set_bounds - [entries of x] each, NULL: left as they are; also between solves */
PERI_CHECKED PERI_INLINE peri_status peri_inner_set_bounds(peri_inner *inner, peri_x x, const double *lower, const double *upper)
{
    return peri_host_table->inner->set_bounds(inner, x, lower, upper);
}

PERI_CHECKED PERI_INLINE peri_status peri_inner_set_start(peri_inner *inner, peri_x x, const double *start)
{
    return peri_host_table->inner->set_start(inner, x, start);
}

/* peri_inner_param - data that is changed between solves: multipliers, a penalty's weight; value [rows * cols] */
PERI_CHECKED PERI_INLINE peri_status peri_inner_param(peri_inner *inner, const char *name, int64_t rows, int64_t cols,
                                                      const double *value, peri_x *p)
{
    return peri_host_table->inner->param(inner, name, rows, cols, value, p);
}

PERI_CHECKED PERI_INLINE peri_status peri_inner_set_param(peri_inner *inner, peri_x p, const double *value)
{
    return peri_host_table->inner->set_param(inner, p, value);
}

PERI_CHECKED PERI_INLINE peri_status peri_inner_minimize(peri_inner *inner, peri_x f)
{
    return peri_host_table->inner->minimize(inner, f);
}

/* peri_inner_constrain - lower <= c <= upper, [entries of c] each;  out row  the first of its rows; may be NULL */
PERI_CHECKED PERI_INLINE peri_status peri_inner_constrain(peri_inner *inner, const char *name, peri_x c, const double *lower,
                                                          const double *upper, int64_t *row)
{
    return peri_host_table->inner->constrain(inner, name, c, lower, upper, row);
}

/*
 * peri_inner_solve - have the rest of the plan solve it, within what is left of the run's limits
 *   in   request  NULL: all of its defaults
 *   out  result   borrowed until the next solve of this inner problem
 *   err  PERI_E_UNSUPPORTED: the rest of the plan cannot take the problem, with the reason; PERI_E_DOMAIN: undefined at its start.
 *        Limits, interruption and numerical trouble are results.
 */
PERI_CHECKED PERI_INLINE peri_status peri_inner_solve(peri_inner *inner, const peri_inner_request *request,
                                                      const peri_inner_result **result)
{
    return peri_host_table->inner->solve(inner, request, result);
}

/*
 * peri_inner_view - a run that evaluates the inner problem: peri_n, peri_m, peri_bounds, peri_eval_..., patterns and linear systems work
 * on it (values of its parameters as they are at the call); it has no loop, so no start, peri_accept or peri_finish. Borrowed until the
 * inner problem gains variables, constraints or another objective; ask again then.
 */
PERI_CHECKED PERI_INLINE peri_status peri_inner_view(peri_inner *inner, peri_run **out)
{
    return peri_host_table->inner->view(inner, out);
}

/*
 * Expressions of an inner problem. They are immutable, shared, and checked for shapes; scalars, columns and rows spread.
 *   peri_x_array      rows x cols constants, row by row;  peri_x_number  one
 *   peri_x_op         an operation by its name: "add", "mul", "square", "relu", "sum", "matmul", ... (perigee/op.def)
 *   peri_x_gather     rows x cols entries of e: entry k is e's entry index[k];  peri_x_scatter  its adjoint
 *   peri_x_gradient   of scalar e with respect to x, shaped as x;  peri_x_jacobian  (entries of e) x (entries of x), dense
 *   peri_x_substitute e with from[k] replaced by to[k]
 *   peri_x_call       a function of the plugin's own, with a gradient or without
 */
PERI_CHECKED PERI_INLINE peri_status peri_x_array(peri_inner *inner, int64_t rows, int64_t cols, const double *value, peri_x *out)
{
    return peri_host_table->inner->x_array(inner, rows, cols, value, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_number(peri_inner *inner, double value, peri_x *out)
{
    return peri_host_table->inner->x_array(inner, 1, 1, &value, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_op(peri_inner *inner, const char *op, int n, const peri_x *args, peri_x *out)
{
    return peri_host_table->inner->x_op(inner, op, n, args, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_unary(peri_inner *inner, const char *op, peri_x a, peri_x *out)
{
    return peri_host_table->inner->x_op(inner, op, 1, &a, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_binary(peri_inner *inner, const char *op, peri_x a, peri_x b, peri_x *out)
{
    const peri_x args[2] = {a, b};
    return peri_host_table->inner->x_op(inner, op, 2, args, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_gather(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, const int64_t *index,
                                                   peri_x *out)
{
    return peri_host_table->inner->x_gather(inner, e, rows, cols, index, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_scatter(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, const int64_t *index,
                                                    peri_x *out)
{
    return peri_host_table->inner->x_scatter(inner, e, rows, cols, index, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_stack(peri_inner *inner, int64_t n, const peri_x *args, peri_x *out)
{
    return peri_host_table->inner->x_stack(inner, n, args, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_reshape(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, peri_x *out)
{
    return peri_host_table->inner->x_reshape(inner, e, rows, cols, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_gradient(peri_inner *inner, peri_x e, peri_x x, peri_x *out)
{
    return peri_host_table->inner->x_gradient(inner, e, x, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_jacobian(peri_inner *inner, peri_x e, peri_x x, peri_x *out)
{
    return peri_host_table->inner->x_jacobian(inner, e, x, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_substitute(peri_inner *inner, peri_x e, int64_t n, const peri_x *from, const peri_x *to,
                                                       peri_x *out)
{
    return peri_host_table->inner->x_substitute(inner, e, n, from, to, out);
}

PERI_CHECKED PERI_INLINE peri_status peri_x_call(peri_inner *inner, const peri_call *fn, peri_x x, peri_x *out)
{
    return peri_host_table->inner->x_call(inner, fn, x, out);
}

PERI_INLINE void peri_x_shape(const peri_inner *inner, peri_x e, int64_t *rows, int64_t *cols)
{
    peri_host_table->inner->x_shape(inner, e, rows, cols);
}

/*
 * peri_keep - keep x [n] in the solution's list of optima: one of several points that a method found, beside the answer itself
 *   in   objective  of the minimization, at x
 */
PERI_CHECKED PERI_INLINE peri_status peri_keep(peri_run *run, const double *x, double objective)
{
    return peri_host_table->inner->keep(run, x, objective);
}

#ifdef __cplusplus
}
#endif
#endif
