/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perigee/perigee.h - the engine for host programs.
 *
 * Conventions
 *   A peri_context owns everything made with it and is used by one thread at a time (peri_interrupt excepted). Functions that
 *   can fail return peri_status: 0 or a negative code with a one-line message, peri_error(ctx). Nothing here prints or exits.
 *   Arrays are dense, row-major doubles; a vector is a column (n x 1), a scalar is 1 x 1. Indices run from 0. Inputs are copied.
 *   An expression (peri_expr) is a number that names a node in the graph of a root model and of its lower models; it is valid as
 *   long as the model. Nodes are immutable and shared.
 *   Multipliers have the sign of the derivative of the optimal objective, as stated by the user, with respect to the
 *   constraint's right-hand side (for a maximization too).
 */
#ifndef PERIGEE_PERIGEE_H
#define PERIGEE_PERIGEE_H

#include <perigee/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PERI_API __attribute__((visibility("default")))
#define PERI_MUST_CHECK __attribute__((warn_unused_result))
#else
#define PERI_API
#define PERI_MUST_CHECK
#endif

#define PERI_VERSION "0.1.0"

typedef struct peri_context peri_context;
typedef struct peri_model peri_model;
typedef struct peri_solution peri_solution;
typedef struct peri_warm_start peri_warm_start;
typedef int32_t peri_expr;       /* a node; PERI_NO_EXPR: none */
typedef int32_t peri_constraint; /* a constraint block of a model */
#define PERI_NO_EXPR (-1)

/* ---- context ------------------------------------------------------------------------------------------------------ */

/* In the shape of lua_Alloc: new_size 0 frees; otherwise (re)allocates, NULL when out of memory. */
typedef void *(*peri_alloc_fn)(void *ud, void *ptr, size_t old_size, size_t new_size);
/* level 0 warning, 1 information, 2 detail */
typedef void (*peri_log_fn)(void *ud, int level, const char *text);

typedef struct {
    peri_alloc_fn alloc; /* NULL: the C library's */
    void *alloc_ud;
    size_t memory_limit; /* bytes; 0: none */
    peri_log_fn log;     /* NULL: silent */
    void *log_ud;
    int verbosity;           /* log lines up to this level */
    const char *plugin_path; /* folders joined by ':'; NULL: PERIGEE_PLUGIN_PATH, then the installed folder */
    int32_t threads;         /* that evaluate large models; 0: the physical cores. Results have the same bits for any number */
    int32_t blas_threads;    /* of OpenBLAS in products of large matrices; 0: one */
    bool no_machine_code;    /* expressions are interpreted, on every processor; slower, with the same bits */
} peri_config;

/* peri_context_new - config may be NULL;  ret NULL when out of memory */
PERI_API peri_context *peri_context_new(const peri_config *config);
/* peri_context_free - frees the context once its models and solutions are gone too; NULL allowed */
PERI_API void peri_context_free(peri_context *ctx);
/* peri_error - the last error's line; "" where there was none. Borrowed until the next call. */
PERI_API const char *peri_error(const peri_context *ctx);
PERI_API peri_status peri_error_code(const peri_context *ctx);
/* peri_error_origin - "function (file:line)" of the last error, for developers */
PERI_API const char *peri_error_origin(peri_context *ctx);
/* peri_interrupt - ask the running solve to stop after its iteration; callable from a signal handler or another thread */
PERI_API void peri_interrupt(peri_context *ctx);
PERI_API void peri_clear_interrupt(peri_context *ctx);
PERI_API bool peri_interrupted(const peri_context *ctx); /* asked for and not yet cleared */
/* Statistics of the context's memory, bytes and blocks; any pointer may be NULL. */
PERI_API void peri_memory(const peri_context *ctx, size_t *used, size_t *peak, int64_t *blocks);
/* For tests: the k-th allocation from now fails (k >= 1; 0 switches off); persistent: all later ones too. */
PERI_API void peri_memory_fail_at(peri_context *ctx, int64_t k, bool persistent);
PERI_API const char *peri_status_name(peri_status status); /* "nomem" */
PERI_API const char *peri_status_text(peri_status status); /* "out of memory" */
PERI_API const char *peri_version(void);
/* peri_callback_text - in a callback that is about to fail: why, for the solve's message; NULL takes it back; cut after 253 bytes */
PERI_API void peri_callback_text(peri_context *ctx, const char *why);
PERI_API void peri_free_text(peri_context *ctx, char *text); /* frees texts that functions below hand over */

/* ---- random numbers ---------------------------------------------------------------------------------------------------- */

/* Counter-based (Philox4x32-10): a number is a function of (seed, stream, counter) alone, the same on every machine. */
PERI_API double peri_draw_uniform(uint64_t seed, uint64_t stream, uint64_t counter); /* [0, 1) */
PERI_API double peri_draw_normal(uint64_t seed, uint64_t stream, uint64_t counter);  /* mean 0, variance 1 */
PERI_API int64_t peri_draw_below(uint64_t seed, uint64_t stream, uint64_t counter, int64_t n); /* 0 .. n - 1 */

/* ---- arrays' views -------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t rows, cols;
    const double *data; /* [rows * cols] row-major; or, when sparse, [nnz] */
    int64_t nnz;        /* -1: dense */
    const int64_t *row_start; /* sparse: compressed rows [rows + 1] */
    const int64_t *col;       /* sparse: [nnz] */
} peri_array;

/* ---- operations ------------------------------------------------------------------------------------------------------ */

/* PERI_OP(constant, name, arguments, flags) in one list: see perigee/op.def for the meaning of each. */
typedef enum {
#define PERI_OP(constant, name, args, kind) PERI_OP_##constant,
#include <perigee/op.def>
#undef PERI_OP
    PERI_OP_COUNT
} peri_op;

PERI_API const char *peri_op_name(peri_op op);
/* peri_op_find - operation of that name, or PERI_OP_COUNT */
PERI_API peri_op peri_op_find(const char *name);

/* ---- expressions ----------------------------------------------------------------------------------------------------- */

/*
 * peri_expr_op - node `op` applied to arguments, with broadcasting and simplification
 *   in   args  [n_args]
 *   err  PERI_E_SHAPE      shapes cannot be combined; the message names op and shapes
 *        PERI_E_ARGUMENT   wrong number of arguments, or an operation that needs a constructor of its own (below)
 */
PERI_MUST_CHECK PERI_API peri_status peri_expr_op(peri_model *m, peri_op op, int n_args, const peri_expr *args,
                                                  peri_expr *out);
/*
 * peri_expr_along - sum, mean, max, min, norm1, norm2, norminf, logsumexp, softmax or cumsum along one dimension of a matrix
 *   in   dim  1: down the columns, the result a row; 2: along the rows, the result a column; softmax and cumsum keep the shape
 *   err  PERI_E_ARGUMENT  another operation or dimension
 */
PERI_MUST_CHECK PERI_API peri_status peri_expr_along(peri_model *m, peri_op op, peri_expr e, int dim, peri_expr *out);
/* peri_expr_const - a constant; NaN refused (PERI_E_ARGUMENT), infinities allowed */
PERI_MUST_CHECK PERI_API peri_status peri_expr_const(peri_model *m, const peri_array *value, peri_expr *out);
PERI_MUST_CHECK PERI_API peri_status peri_expr_number(peri_model *m, double value, peri_expr *out);
/* peri_expr_gather - rows x cols entries of e, entry k being e's entry index[k] in row-major order */
PERI_MUST_CHECK PERI_API peri_status peri_expr_gather(peri_model *m, peri_expr e, int64_t rows, int64_t cols,
                                                      const int64_t *index, peri_expr *out);
/* peri_expr_range - the same for entries first, first + stride, ... */
PERI_MUST_CHECK PERI_API peri_status peri_expr_range(peri_model *m, peri_expr e, int64_t rows, int64_t cols,
                                                     int64_t first, int64_t stride, peri_expr *out);
/* peri_expr_scatter - rows x cols zeros, to whose entry index[k] entry k of e is added (the adjoint of gather) */
PERI_MUST_CHECK PERI_API peri_status peri_expr_scatter(peri_model *m, peri_expr e, int64_t rows, int64_t cols,
                                                       const int64_t *index, peri_expr *out);
/*
 * peri_expr_bmm - `count` matrix products at once: the matrices stand below each other in a and b, and so do the products
 *   in   a, b  (count r) x k and (count k) x c
 *   out  out   (count r) x c
 *   err  PERI_E_SHAPE
 */
PERI_MUST_CHECK PERI_API peri_status peri_expr_bmm(peri_model *m, peri_expr a, peri_expr b, int64_t count, peri_expr *out);
/*
 * A convolution (cross-correlation, as learning libraries have it). size 0: one image as a matrix and one kernel as a matrix. Otherwise each row
 * of the image array is one image, channel after channel, row after row, and each row of the kernel array one filter likewise.
 */
typedef struct {
    int64_t channels, size[2], kernel[2], stride[2], padding[2]; /* pairs: down, across */
} peri_conv2d;
/* peri_expr_conv2d - out: a matrix, or images x (filters height width);  err PERI_E_SHAPE, PERI_E_ARGUMENT */
PERI_MUST_CHECK PERI_API peri_status peri_expr_conv2d(peri_model *m, peri_expr image, peri_expr kernel, const peri_conv2d *options,
                                                      peri_expr *out);
/* peri_expr_stack - arguments below each other; same number of columns */
PERI_MUST_CHECK PERI_API peri_status peri_expr_stack(peri_model *m, int64_t n, const peri_expr *args, peri_expr *out);
/* peri_expr_hstack - arguments beside each other; same number of rows */
PERI_MUST_CHECK PERI_API peri_status peri_expr_hstack(peri_model *m, int64_t n, const peri_expr *args, peri_expr *out);
/* peri_expr_kron - the Kronecker product: each entry of a times the matrix b */
PERI_MUST_CHECK PERI_API peri_status peri_expr_kron(peri_model *m, peri_expr a, peri_expr b, peri_expr *out);
PERI_MUST_CHECK PERI_API peri_status peri_expr_reshape(peri_model *m, peri_expr e, int64_t rows, int64_t cols,
                                                       peri_expr *out);
PERI_MUST_CHECK PERI_API peri_status peri_expr_mark(peri_model *m, peri_expr e, const char *name, peri_expr *out);

/* A compiled function of an array x [n]. ud is borrowed and must outlive the model. Return non-zero to fail:
 * > 0 undefined here (recoverable), < 0 an error that ends the solve with PERI_E_CALLBACK, or with the code itself where it is that of an engine
 * function that failed inside. */
typedef struct {
    const char *name;
    void *ud;
    int (*value)(void *ud, int64_t n, const double *x, double *f);
    int (*gradient)(void *ud, int64_t n, const double *x, double *g); /* g [n]; NULL: a black box */
    bool nonsmooth; /* has kinks: solvers that need smoothness refuse it */
} peri_function;
PERI_MUST_CHECK PERI_API peri_status peri_expr_call(peri_model *m, const peri_function *fn, peri_expr x, peri_expr *out);

/* peri_expr_norm_nuclear - sum of the singular values of a matrix expression; non-smooth where one is zero */
PERI_MUST_CHECK PERI_API peri_status peri_expr_norm_nuclear(peri_model *m, peri_expr e, peri_expr *out);

/*
 * peri_expr_acyclicity - a function h >= 0 of the weights of a directed graph that vanishes exactly where it has no cycle
 *   in   w         d x d, W_ij the weight of the edge i -> j
 *   in   form      "exponential": tr(exp A) - d; "log-determinant": d log s - log det(s I - A), defined where no eigenvalue of A exceeds s;
 *                  "polynomial": tr((I + A/d)^d) - d
 *   in   absolute  A = |W|; otherwise A = W o W, entry by entry
 *   in   s         of the log-determinant, 1 for most
 *   note the constraint h = 0 (or h <= 0) makes the model one over graphs without cycles, which methods for these recognise
 *   err  PERI_E_SHAPE: w is not square; PERI_E_ARGUMENT: no such form, s not positive
 */
PERI_MUST_CHECK PERI_API peri_status peri_expr_acyclicity(peri_model *m, peri_expr w, const char *form, bool absolute, double s,
                                                          peri_expr *out);

PERI_API void peri_expr_shape(const peri_model *m, peri_expr e, int64_t *rows, int64_t *cols);
PERI_API bool peri_expr_is_const(const peri_model *m, peri_expr e);
/* peri_expr_has_variables - false where e is made of constants and parameters only. Looks at some hundred nodes at most and takes a
 * larger expression to have variables. */
PERI_API bool peri_expr_has_variables(const peri_model *m, peri_expr e);
PERI_API peri_op peri_expr_get_op(const peri_model *m, peri_expr e);
/* peri_expr_text - the expression in the DSL's notation, cut after about `limit` bytes; own: peri_free_text */
PERI_MUST_CHECK PERI_API peri_status peri_expr_text(peri_model *m, peri_expr e, size_t limit, char **out);

/* peri_expr_gradient - derivative of scalar e with respect to x (a variable, a parameter, different entries of one, or a marked
 * node), shaped as x.
 * PERI_E_UNSUPPORTED: e depends on x through a black box. Nests. */
PERI_MUST_CHECK PERI_API peri_status peri_expr_gradient(peri_model *m, peri_expr e, peri_expr x, peri_expr *out);
/* peri_expr_jacobian - (entries of e) x (entries of x), dense;  peri_expr_hessian - of scalar e, n x n, dense */
PERI_MUST_CHECK PERI_API peri_status peri_expr_jacobian(peri_model *m, peri_expr e, peri_expr x, peri_expr *out);
PERI_MUST_CHECK PERI_API peri_status peri_expr_hessian(peri_model *m, peri_expr e, peri_expr x, peri_expr *out);
/*
 * peri_expr_jv - the derivative of e, of any shape, along v, shaped as x (forward mode): shaped as e
 * peri_expr_vj - sum over the entries of e of w, shaped as e, times their derivatives (reverse mode): shaped as x
 * One sweep each, and of a solution (peri_expr_implicit) one linear system, whatever the numbers of entries. x as above.
 */
PERI_MUST_CHECK PERI_API peri_status peri_expr_jv(peri_model *m, peri_expr e, peri_expr x, peri_expr v, peri_expr *out);
PERI_MUST_CHECK PERI_API peri_status peri_expr_vj(peri_model *m, peri_expr e, peri_expr x, peri_expr w, peri_expr *out);
/* peri_expr_substitute - e with each node from[k] replaced by to[k] (same shapes) everywhere */
PERI_MUST_CHECK PERI_API peri_status peri_expr_substitute(peri_model *m, peri_expr e, int64_t n, const peri_expr *from,
                                                          const peri_expr *to, peri_expr *out);
/*
 * peri_expr_value - the entries of e at the start point, with variables (or parameters) vars[k] set to values[k]
 *   in   values  [n] pointers to arrays shaped as their variable
 *   out  out     [rows * cols of e]; NaN or infinities are returned as computed, no error
 */
PERI_MUST_CHECK PERI_API peri_status peri_expr_value(peri_model *m, peri_expr e, int64_t n, const peri_expr *vars,
                                                     const double *const *values, double *out);
/*
 * peri_expr_value_batch - the same at many points at once: much faster than as many calls where e is small
 *   in   values  [n] pointers to [points x entries of the variable], a point a row; what is not among vars is as in peri_expr_value
 *   out  out     [points x entries of e]; NaN or infinities are returned as computed
 *   The model keeps what it compiles until another expression is asked for.
 */
PERI_MUST_CHECK PERI_API peri_status peri_expr_value_batch(peri_model *m, peri_expr e, int64_t points, int64_t n,
                                                           const peri_expr *vars, const double *const *values, double *out);

/* ---- models ------------------------------------------------------------------------------------------------------------ */

PERI_API peri_model *peri_model_new(peri_context *ctx, const char *name); /* NULL: out of memory */
PERI_API void peri_model_free(peri_model *m);
/*
 * peri_model_lower - a model inside a model: its variables are to be optimal for its own objective and constraints, whatever values the variables
 * around it have. It shares the upper model's expressions, which may use variables of all levels; variables, constraints and the objective that
 * are made through it are its own. Several may lie beside each other or inside each other; names are unique over all of them. Without an objective
 * it is no level: what was made through it belongs to the model around it.
 *   ret  borrowed: it lives as long as the outermost model, which alone can be solved, explained and checked. NULL: peri_error says why
 */
PERI_API peri_model *peri_model_lower(peri_model *upper, const char *name);
PERI_API peri_model *peri_model_upper(const peri_model *m); /* the model it lies in; NULL: in none */
/* number k = 0, 1, ... of the models inside the outermost one of m, in order of making; NULL: there are no more */
PERI_API peri_model *peri_model_lower_at(const peri_model *m, int64_t k);
PERI_API peri_context *peri_model_context(const peri_model *m);
PERI_API const char *peri_model_name(const peri_model *m);

/* peri_model_var - rows x cols variables, free and starting at 0;  err PERI_E_NAME: the name is taken or empty */
PERI_MUST_CHECK PERI_API peri_status peri_model_var(peri_model *m, const char *name, int64_t rows, int64_t cols,
                                                    peri_expr *out);
/* Each sets all entries of variable `x`: n values, n = 1 or the number of entries. NaN is refused; crossed bounds are refused
 * at the latest by solve, naming variable and entry. */
PERI_MUST_CHECK PERI_API peri_status peri_model_set_lower(peri_model *m, peri_expr x, int64_t n, const double *value);
PERI_MUST_CHECK PERI_API peri_status peri_model_set_upper(peri_model *m, peri_expr x, int64_t n, const double *value);
PERI_MUST_CHECK PERI_API peri_status peri_model_set_start(peri_model *m, peri_expr x, int64_t n, const double *value);
PERI_MUST_CHECK PERI_API peri_status peri_model_set_integer(peri_model *m, peri_expr x);
PERI_MUST_CHECK PERI_API peri_status peri_model_param(peri_model *m, const char *name, int64_t rows, int64_t cols,
                                                      int64_t n, const double *value, peri_expr *out);
/*
 * What methods may be told of a model, the outermost or a lower one, or of a level of that name:
 *   peri_model_sampled  its objective is a sum whose terms are weighted by the entries of parameter p: stochastic methods evaluate random parts
 *                       of it by other weights
 *   peri_model_project  a function that projects onto the set of its bounds and constraints: x [n] the point of that set nearest to v [n], entries
 *                       those of all variables of the outermost model in order of making. It returns 0, > 0: there is no such point, < 0: an error
 *                       that ends the solve; ud is borrowed. What it returns is checked. NULL: the engine's own projection again
 */
typedef int (*peri_project_fn)(void *ud, int64_t n, const double *v, double *x);
PERI_MUST_CHECK PERI_API peri_status peri_model_sampled(peri_model *m, peri_expr p);
PERI_API void peri_model_project(peri_model *m, peri_project_fn project, void *ud);
/* peri_model_set_param - new values between solves; nothing is compiled again */
PERI_MUST_CHECK PERI_API peri_status peri_model_set_param(peri_model *m, peri_expr p, int64_t n, const double *value);
/* borrowed until the next change; [entries] */
PERI_API const double *peri_model_get_param(const peri_model *m, peri_expr p);

PERI_MUST_CHECK PERI_API peri_status peri_model_minimize(peri_model *m, peri_expr f);
PERI_MUST_CHECK PERI_API peri_status peri_model_maximize(peri_model *m, peri_expr f);
/*
 * peri_model_constrain - lower <= e <= upper, entry by entry
 *   in   name   NULL: c1, c2, ...
 *   in   lower, upper  [n], n = 1 or the entries of e; infinities allowed; NaN and crossed refused
 *   out  handle for the dual
 */
PERI_MUST_CHECK PERI_API peri_status peri_model_constrain(peri_model *m, const char *name, peri_expr e, int64_t n,
                                                          const double *lower, const double *upper,
                                                          peri_constraint *handle);

/* peri_model_find - the variable or parameter of that name;  ret PERI_NO_EXPR: there is none */
PERI_API peri_expr peri_model_find(const peri_model *m, const char *name);
/* peri_model_find_constraint - the constraint block of that name;  ret -1: there is none */
PERI_API peri_constraint peri_model_find_constraint(const peri_model *m, const char *name);

typedef struct {
    int64_t variables, constraints, parameters;
    int64_t nonzeros_jacobian, nonzeros_hessian; /* Hessian: lower triangle; -1: not offered as a sparse matrix */
    uint64_t traits;                             /* PERI_BIT(peri_trait) of plugin.h */
    int64_t integers, fixed, equalities, linear_rows;
    const char *class_name;                      /* "linear program", "quadratic program", "nonlinear program", ... */
} peri_model_info;
PERI_MUST_CHECK PERI_API peri_status peri_model_get_info(peri_model *m, peri_model_info *info);
/* peri_model_explain - classes, sizes, sparsity, templates, the plan that solve would use and why; own: peri_free_text */
PERI_MUST_CHECK PERI_API peri_status peri_model_explain(peri_model *m, const char *plan, char **out);

typedef struct {
    double gradient, jacobian, hessian; /* largest relative error against differences; NaN: not there */
    int64_t gradient_at[1], jacobian_at[2], hessian_at[2];
    double largest, smallest; /* non-zero Jacobian and gradient entries' magnitudes */
} peri_derivative_check;
/* peri_model_check - derivatives at the start point (a little moved) against central differences */
PERI_MUST_CHECK PERI_API peri_status peri_model_check(peri_model *m, peri_derivative_check *check, char **report);

/* ---- options and events ---------------------------------------------------------------------------------------------------- */

typedef enum { PERI_VALUE_NUMBER, PERI_VALUE_BOOL, PERI_VALUE_TEXT } peri_value_type;
/* TEXT is parsed by the option's type, so a command line's KEY=VALUE needs no other door. */
typedef struct {
    const char *key;
    peri_value_type type;
    double number; /* NUMBER, BOOL (0 or 1) */
    const char *text;
} peri_setting;

typedef struct {
    int64_t iteration;
    double seconds;
    double objective; /* in the user's sense */
    double primal, dual, complementarity, step, trust_radius, barrier, regularization; /* NaN: not given */
    char tag;
    bool best; /* a new best point */
    int64_t inner_iterations; /* of the problems that a reformulation had solved in it; 0 for a solver */
    bool restoration; /* the method only sought a feasible point */
} peri_event;
/* Called after each iteration on the solving thread; return non-zero to stop (status interrupted). */
typedef int (*peri_event_fn)(void *ud, const peri_event *event);

/* What the engine is about, for a host that shows it; told at the beginning of each part, and after iterations of inner problems. */
typedef struct {
    const char *phase;  /* "building", "grouping", "derivatives", "compiling", "solving"; constant text */
    const char *solver; /* solving: the link of the plan that is at work; NULL otherwise */
    int depth;          /* solving: 1 for an inner problem, 2 for one of that ... */
    int64_t count;      /* building: expressions so far; solving: iterations of the inner problem */
    double objective;   /* solving: of the inner problem, in its sense; NaN otherwise */
} peri_progress;
typedef void (*peri_progress_fn)(void *ud, const peri_progress *now);
/* fn is called on the thread that builds or solves, and must not call the engine; NULL: nobody */
PERI_API void peri_context_set_progress(peri_context *ctx, peri_progress_fn fn, void *ud);

/* ---- solutions as expressions ------------------------------------------------------------------------------------------------------ */

/*
 * Functions that an equation defines: y(theta) with F(y, theta) = 0, or y = T(y, theta), theta being all that the equations read of the model besides
 * y. First the unknown, then F or T over it as any expression, then the function, an expression like others: its derivatives, of all orders, come from
 * linear systems with dF/dy at the solution (implicit function theorem), whatever solver found it.
 *   unknown          from peri_expr_unknown of the same model; used in these equations only
 *   residual, fixed_point   one of them; the other is PERI_NO_EXPR; as many entries as the unknown
 *   start            start values, one number or as many as the unknown; an expression may vary, and has no part in derivatives; PERI_NO_EXPR: zeros
 *   warm             begin at the last solution instead: y then depends, within the tolerance, on what was evaluated before
 *   solver           "newton"; "fixed-point": y = T(y) again and again; else a plan that minimizes 1/2 |F|^2 with the settings; NULL or "": newton, then
 *                    levenberg-marquardt where that fails; fixed-point for a fixed point
 *   solve            or the host's own: arguments[k] [entries of argument k], start [entries of y], y out. Return as peri_function's value
 *   arguments        what solve is given; parts of theta in any case. [n_arguments]
 *   tolerance        largest entry of F at the solution: relative to its largest at the start, or 1; of a fixed point and a host's solver to the largest
 *                    |y|, or 1. 0: 1e-10. Newton goes on to rounding
 *   iterations       of newton and fixed-point; 0: 100 and 10000
 *   linear_solver    of the systems: a linear-solver plugin, "lu" or "normal-cg" (conjugate gradients on normal equations); NULL or "": dense or sparse
 *                    factors where the Jacobian is small or sparse, else gmres on products
 *   linear_tolerance, linear_iterations   of iterative ones; 0: 1e-10 and the plugin's own
 *   ridge            added to the diagonal of dF/dy, or I - dT/dy (normal-cg: of its normal matrix); 0: a singular matrix is an error
 * What cannot be evaluated is undefined there (PERI_E_DOMAIN), with a message that names the function: no root, singular Jacobian, NaN.
 */
typedef struct {
    const char *name; /* for messages; NULL: "implicit" */
    peri_expr unknown, residual, fixed_point, start;
    bool warm;
    const char *solver;
    int64_t n_settings;
    const peri_setting *settings;
    int (*solve)(void *ud, const double *const *arguments, const double *start, double *y);
    void *ud; /* borrowed, as peri_function's */
    int64_t n_arguments;
    const peri_expr *arguments;
    double tolerance;
    int64_t iterations;
    const char *linear_solver;
    double linear_tolerance;
    int64_t linear_iterations;
    double ridge;
    const char *mapping; /* of peri_model_argmin */
    /* a batch, or least squares; see below */
    bool squares, root_form, unpolished;
    int64_t batch;
    const peri_expr *placeholders;
    const char *const *instances;
    /* peri_model_argmin: unroll > 0 steps from the start values as expressions instead, for comparison; of the fixed point, or y - step grad f within bounds */
    int64_t unroll;
    double step;
} peri_implicit;
PERI_MUST_CHECK PERI_API peri_status peri_expr_unknown(peri_model *m, int64_t rows, int64_t cols, peri_expr *out);
/*
 * Many of one kind at once: with batch = K the residual is that of one instance, over the unknown and placeholders[k] (from peri_expr_unknown) in place of
 * arguments[k], which is K instances below each other; what else the residual reads is the same for all. Each is solved by itself, side by side on the
 * context's threads, by newton (squares: levenberg-marquardt, then newton); a message names the first that fails. Systems are dense.
 *   squares      y minimizes 1/2 |residual|^2, which may have more entries than the unknown. With batch 0 it is one instance
 *   settings     of squares: rule "jaxopt" or "optimistix" (for the damping), tolerance of the gradient relative to its start's, or 1 (1e-6), iterations (50)
 *   unpolished   of squares: without newton behind these steps
 *   root_form    of squares: derivatives with J'J instead of J'J + sum r_i Hess r_i, J fixed; right where the residuals are zero
 *   instances    names for messages [batch]; NULL: "instance 1" ...
 * Then out is the K solutions below each other. It has gradients and products of Hessians, no sparse Jacobian.
 */
/* peri_expr_implicit - out: shaped as the unknown;  err PERI_E_SHAPE, PERI_E_ARGUMENT, PERI_E_OPTION, PERI_E_NAME (linear_solver) */
PERI_MUST_CHECK PERI_API peri_status peri_expr_implicit(peri_model *m, const peri_implicit *options, peri_expr *out);
/* What became of an instance of a batch when it was last solved. */
typedef struct {
    const char *name; /* NULL: it has none. The model's */
    bool solved;      /* false too where its data have changed since and it was not reached, another having failed */
    int64_t iterations, polished; /* steps, and newton's behind those of least squares */
    double objective, residual;   /* 1/2 |residual|^2 of least squares, else 0; largest entry of the gradient, or of the equations */
} peri_instance;
/* peri_expr_instances - of the batch that e is, in order;  out instances [n], as many as fit;  ret how many there are; 0: e is no batch */
PERI_API int64_t peri_expr_instances(const peri_model *m, peri_expr e, int64_t n, peri_instance *instances);
/*
 * peri_model_argmin - the solution of a lower model, as it is now, as expressions of the models around it. The model is then no level of the problem any
 * more: what others read of its variables, before and after, is replaced by the solution.
 *   in   options  may be NULL. solver is a plan for the problem, settings its own; the fields from tolerance on are as in peri_expr_implicit; unknown,
 *                 start, solve and arguments are not read
 *                 mapping  which conditions are differentiated: "stationary" (the gradient; no bounds or constraints), "kkt" (at the active set; without
 *                          strict complementarity the Jacobian is singular); NULL or "": the one that fits
 *                 residual, fixed_point  conditions of one's own, over the lower model's variables: as many entries as these
 *   out  out      [peri_model_own_vars] shaped as the variables
 *   err  PERI_E_STATE (no objective, a level inside it, called before), PERI_E_UNSUPPORTED (integers), PERI_E_OPTION, PERI_E_ARGUMENT, PERI_E_SHAPE
 * Where the inner solve fails the expressions are undefined (PERI_E_DOMAIN), with a message that names the model and its outcome.
 */
PERI_MUST_CHECK PERI_API peri_status peri_model_argmin(peri_model *lower, const peri_implicit *options, peri_expr *out);
/* peri_model_own_vars - the variables made through m itself, in order;  out vars [n], as many as fit;  ret how many there are */
PERI_API int64_t peri_model_own_vars(const peri_model *m, int64_t n, peri_expr *vars);

/* ---- solving ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    const char *plan;             /* NULL or "": the engine picks; "ipm"; "penalty > lbfgs" */
    int64_t n_settings;
    const peri_setting *settings; /* engine options (tolerance, iterations, time_limit, evaluations, seed, linear_solver ...)
                                     and the solver's own */
    peri_event_fn event;
    void *event_ud;
    const peri_solution *warm_start; /* NULL: the model's start values. Of another model: as far as names and shapes agree */
    const peri_warm_start *portable_start; /* the same by names; goes before warm_start; NULL: none */
} peri_solve_args;

/*
 * peri_model_solve - solve and certify
 *   in   args  may be NULL
 *   out  solution  owned by the caller, peri_solution_free; made for every outcome that is a result (infeasible, limit ...)
 *   err  PERI_E_OPTION, PERI_E_UNSUPPORTED (no plan; the message says why), PERI_E_STATE (no objective and no constraint;
 *        crossed bounds), PERI_E_NOMEM, PERI_E_CALLBACK, PERI_E_DOMAIN (undefined at the start point: names the objective or
 *        constraint and the operation)
 */
PERI_MUST_CHECK PERI_API peri_status peri_model_solve(peri_model *m, const peri_solve_args *args, peri_solution **solution);
/*
 * peri_model_resolve - peri_model_solve for loops: the plan that was chosen and the memory that a solve frees are kept for the next one
 *   in,out  solution  *solution NULL: made, to be freed by the caller; otherwise an earlier solution of the model, which is filled anew:
 *                     what was borrowed from it is void. It may be args->warm_start too.
 *   err  as peri_model_solve; PERI_E_ARGUMENT: a solution of another model. A solution that was given then has the outcome PERI_ERROR
 *        and the point and multipliers of before.
 *   After the first call a call (of a plan without reformulations: those make models anew each time) with other parameters, bounds or start values asks the
 *   host for no memory, as long as it takes no more than some 250 iterations. Up to 64 MiB that were freed are kept until the context's last
 *   model and solution are freed.
 */
PERI_MUST_CHECK PERI_API peri_status peri_model_resolve(peri_model *m, const peri_solve_args *args, peri_solution **solution);

typedef enum {
    PERI_OPTIMAL, PERI_LOCALLY_OPTIMAL, PERI_FEASIBLE, PERI_INFEASIBLE, PERI_UNBOUNDED, PERI_ITERATION_LIMIT,
    PERI_TIME_LIMIT, PERI_INTERRUPTED, PERI_NUMERICAL_ERROR, PERI_ERROR
} peri_outcome;
PERI_API const char *peri_outcome_name(peri_outcome outcome); /* "locally_optimal" */
PERI_API int peri_outcome_exit_status(peri_outcome outcome);  /* 0, 1, 3, 4 or 5 */

/*
 * primal in the model's units; dual and complementarity relative (see docs); kkt the largest. With lower models primal is over all levels, dual is the
 * larger of the lower levels' own residuals and of the stationarity of the whole (docs/guide, "Two levels"), and lower_gap is the
 * largest max(0, f - best) / max(1, |best|) over lower levels, best found by independent solves with the other levels' variables held; NaN:
 * there is no lower model; infinity: none of the solves gave an answer.
 */
typedef struct {
    double primal, dual, complementarity, kkt, lower_gap;
} peri_certificate;

typedef struct {
    int64_t objective, gradient, constraints, jacobian, hessian, products; /* number of evaluations */
} peri_evaluations;

typedef struct {
    double building, objective, gradient, constraints, jacobian, hessian, products, linear_algebra, method, total;
} peri_times; /* seconds */

PERI_API void peri_solution_free(peri_solution *s); /* NULL allowed */
PERI_API peri_outcome peri_solution_outcome(const peri_solution *s);
PERI_API double peri_solution_objective(const peri_solution *s);
PERI_API const char *peri_solution_message(const peri_solution *s); /* why it stopped, one line, "" if nothing to add */
PERI_API const char *peri_solution_solver(const peri_solution *s);
PERI_API const char *peri_solution_plan(const peri_solution *s);
PERI_API int64_t peri_solution_iterations(const peri_solution *s);
PERI_API peri_certificate peri_solution_certificate(const peri_solution *s);
/* What independent solves of a lower level found at the point. */
typedef enum {
    PERI_LOWER_SOLVED,     /* an optimum: of a convex level, by a solve or by multipliers that fit, or the best of several solves */
    PERI_LOWER_UNPROVEN,   /* feasible points only: best may not be an optimum */
    PERI_LOWER_INFEASIBLE, /* no point satisfies its constraints there */
    PERI_LOWER_UNBOUNDED,
    PERI_LOWER_FAILED      /* no solve came to an end */
} peri_lower_state;
PERI_API const char *peri_lower_state_name(peri_lower_state state); /* "solved" */
typedef struct {
    const char *name;       /* of the lower model */
    peri_lower_state state;
    bool convex;            /* proven convex at the point: one solve suffices */
    int64_t solves;
    double objective, best; /* at the point; the best that was found; in the model's sense */
    double gap;             /* as lower_gap */
    double residual;        /* of its own conditions of optimality at the point */
} peri_lower_result;
/* Of a solution's lower levels, in order of making; none where there are no lower models.  ret false: there is no number k */
PERI_API bool peri_solution_lower(const peri_solution *s, int64_t k, peri_lower_result *out);
PERI_API peri_evaluations peri_solution_evaluations(const peri_solution *s);
PERI_API peri_times peri_solution_times(const peri_solution *s);
/* peri_solution_value - entries of any expression of the model at the solution;  out [entries of e] */
PERI_MUST_CHECK PERI_API peri_status peri_solution_value(peri_solution *s, peri_expr e, double *out);
/* out [entries of the constraint] */
PERI_MUST_CHECK PERI_API peri_status peri_solution_dual(peri_solution *s, peri_constraint handle, double *out);
/* out [entries of the variable] */
PERI_MUST_CHECK PERI_API peri_status peri_solution_reduced_cost(peri_solution *s, peri_expr x, double *out);
/*
 * The optima of a method that finds several (multistart), best first; their number is 0 for other methods.
 *   peri_solution_optimum        number k's objective, in the user's sense; NaN where there is no number k
 *   peri_solution_optimum_value  entries of an expression there, as peri_solution_value; PERI_E_ARGUMENT: no number k
 */
PERI_API int64_t peri_solution_optima(const peri_solution *s);
PERI_API double peri_solution_optimum(const peri_solution *s, int64_t k);
PERI_MUST_CHECK PERI_API peri_status peri_solution_optimum_value(peri_solution *s, int64_t k, peri_expr e, double *out);
PERI_API int64_t peri_solution_history_rows(const peri_solution *s);
PERI_API const peri_event *peri_solution_history(const peri_solution *s); /* borrowed; [rows] */
PERI_API int64_t peri_solution_variables(const peri_solution *s); /* entries of all variables */
/* The iterates of a model with two variables, one for each row of the history: [rows][2], borrowed; NULL for other models. */
PERI_API const double *peri_solution_path(const peri_solution *s);
/*
 * peri_solution_sample - the model at other points, with its parameters as they are now
 *   in   points     [n][variables]
 *   out  objective  [n] in the user's sense; NaN where it is undefined
 *   out  violation  [n] largest of all bounds and constraints; negative inside, -infinity without any; NaN where undefined
 *   err  PERI_E_NOMEM; PERI_E_STATE: the model has got variables since
 */
PERI_MUST_CHECK PERI_API peri_status peri_solution_sample(peri_solution *s, int64_t n, const double *points, double *objective,
                                                          double *violation);
/* peri_solution_json - the result as JSON, keys as on the DSL page; own: peri_free_text */
PERI_MUST_CHECK PERI_API peri_status peri_solution_json(peri_solution *s, char **out);
/* peri_solution_save - that JSON as a file, which is replaced whole or left as it is;  err PERI_E_IO, PERI_E_NOMEM */
PERI_MUST_CHECK PERI_API peri_status peri_solution_save(peri_solution *s, const char *path);
/* peri_solution_report - the short readable report; own: peri_free_text */
PERI_MUST_CHECK PERI_API peri_status peri_solution_report(peri_solution *s, char **out);
PERI_API peri_model *peri_solution_model(const peri_solution *s);

/* ---- portable warm starts ---------------------------------------------------------------------------------------------------------- */

/*
 * What a solution knows by the names of variables and constraints: values, multipliers of constraints and of bounds (reduced costs), both in the
 * user's sense. It belongs to no model and outlives them; its file is JSON with a version, and a result file is one too.
 *   peri_solution_warm_start  of a solution
 *   peri_warm_start_read      of a file;  err PERI_E_IO, PERI_E_PARSE with line and column or the name in question, PERI_E_UNSUPPORTED: newer
 *   peri_warm_start_parse     of a text, called `name` in messages
 *   peri_warm_start_save      replaces the file whole or leaves it
 *   peri_warm_start_json      own: peri_free_text
 *   own  ws  peri_warm_start_free
 * A model takes what has the name and shape of its own; the rest begins as the model says, and a log line of level 0 tells how much that is.
 */
typedef enum { PERI_WARM_VARIABLES, PERI_WARM_DUALS, PERI_WARM_REDUCED_COSTS } peri_warm_part;
PERI_MUST_CHECK PERI_API peri_status peri_solution_warm_start(peri_solution *s, peri_warm_start **ws);
PERI_MUST_CHECK PERI_API peri_status peri_warm_start_read(peri_context *ctx, const char *path, peri_warm_start **ws);
PERI_MUST_CHECK PERI_API peri_status peri_warm_start_parse(peri_context *ctx, const char *name, const char *text, size_t size,
                                                           peri_warm_start **ws);
PERI_MUST_CHECK PERI_API peri_status peri_warm_start_save(peri_warm_start *ws, const char *path);
PERI_MUST_CHECK PERI_API peri_status peri_warm_start_json(peri_warm_start *ws, char **out);
PERI_API void peri_warm_start_free(peri_warm_start *ws); /* NULL allowed */
PERI_API const char *peri_warm_start_model(const peri_warm_start *ws); /* its name, or "" */
PERI_API int64_t peri_warm_start_count(const peri_warm_start *ws, peri_warm_part part);
/* name and value of number k, borrowed; NULL: there is no number k */
PERI_API const char *peri_warm_start_get(const peri_warm_start *ws, peri_warm_part part, int64_t k, peri_array *value);

/* ---- why a solution is none ------------------------------------------------------------------------------------------------------ */

/* Names are those of messages: "x[3]", "balance[2]", counted from 1. What does not apply is empty: n = 0, NULL, NaN. */
typedef struct {
    const char *name;
    double value;
} peri_named;
typedef struct {
    int64_t n;
    const peri_named *at;
} peri_named_list;

/* The first operation, in the order of evaluation, whose result is no number although its arguments are. */
typedef struct {
    const char *where;      /* "objective", "constraint \"power[3]\"", "objective: in its gradient" */
    const char *row;        /* the constraint's row, or NULL */
    const char *operation;  /* "log"; NULL: all was finite wherever it was evaluated */
    const char *expression; /* that operation as the user wrote it, "log(x[1] - 3)"; NULL where it is a derivative's */
    const char *text;       /* "log(-1) is not defined" */
    peri_named_list at;     /* the variables that it reads (the first few) and their values there */
} peri_nonfinite;

/* A constraint row or a bound that is violated. */
typedef struct {
    const char *name;
    bool is_bound;
    double value, lower, upper, violation;
} peri_residual;
typedef struct {
    int64_t n;
    const peri_residual *at; /* worst first */
} peri_residual_list;

/* The gradient of this constraint row is that combination of others' gradients at the point; of none: it is zero. */
typedef struct {
    const char *name;
    peri_named_list of; /* row and factor */
} peri_dependent;

/* One side of a constraint row or of a variable's bounds. */
typedef struct {
    const char *name;
    bool is_bound, is_upper;
    double value; /* of the side */
} peri_side;

/* Largest over smallest length of the Jacobian's rows or columns, and which they are. */
typedef struct {
    double ratio; /* NaN: not looked at, or within 1e6 */
    peri_named_list largest, smallest;
} peri_scaling;

/* How the last iterations went: "stalled", "cycling", "restoration", "regularised", "short_steps", "diverging", "progressing" */
typedef struct {
    const char *what;
    int64_t iterations; /* of how many of the last ones this is said */
    double value;       /* what it is measured by; see the guide */
    const char *text;
} peri_behaviour;

typedef enum { PERI_PART_UNKNOWN, PERI_PART_FEASIBLE, PERI_PART_INFEASIBLE } peri_part;

typedef struct {
    peri_nonfinite nonfinite;
    peri_residual_list residuals;
    int64_t n_dependent;
    const peri_dependent *dependent;
    peri_named_list ray;   /* suspected: the direction in which the point ran away, largest entry 1 in size */
    double ray_slope;      /* derivative of the objective along it, in the user's sense; NaN: no ray */
    bool ray_confirmed;    /* twice as far along it the constraints hold and the objective is better still */
    peri_part linear_part; /* linear constraints and bounds alone */
    int64_t n_conflict;
    const peri_side *conflict; /* sides that cannot hold together; without any one of them the others can, where is_minimal */
    bool is_minimal;
    peri_scaling rows, columns;
    int64_t n_steps;
    const peri_behaviour *steps;
    int64_t n_notes;
    const char *const *notes; /* what was not looked at, and why */
} peri_diagnosis;

/*
 * peri_solution_diagnosis - why it is not solved: made when first asked for, which may take some seconds for large models
 *   out  diagnosis  borrowed while the solution lives; NULL where the solution is optimal or locally optimal
 *   out  text       the same as lines of text; own: peri_free_text. NULL: not wanted
 *   err  PERI_E_NOMEM, PERI_E_CALLBACK; PERI_E_STATE: the model is being solved
 */
PERI_MUST_CHECK PERI_API peri_status peri_solution_diagnosis(peri_solution *s, const peri_diagnosis **diagnosis, char **text);

/* ---- what is installed --------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name, *kind, *family, *summary, *license, *file; /* borrowed while the context lives */
} peri_plugin_entry;
/* From the index: nothing is loaded. */
PERI_MUST_CHECK PERI_API peri_status peri_plugins_list(peri_context *ctx, int64_t *n, const peri_plugin_entry **entries);
/* One line for each file or plugin that was refused, and why; borrowed while the context lives. */
PERI_MUST_CHECK PERI_API peri_status peri_plugins_refused(peri_context *ctx, int64_t *n, const char *const **lines);
/* peri_plugins_write_index - write the index of a plugin folder; loads every plugin there, so for build and install time only */
PERI_MUST_CHECK PERI_API peri_status peri_plugins_write_index(peri_context *ctx, const char *folder);
/* peri_plugin_page - method, reference, requirements, options with default and range; loads that plugin. own: peri_free_text */
PERI_MUST_CHECK PERI_API peri_status peri_plugin_page(peri_context *ctx, const char *name, bool json, char **out);

/* ---- plugins that are not shared objects ------------------------------------------------------------------------------------ */

struct peri_plugin; /* perigee/plugin.h */
struct peri_host;

/* peri_host_functions - what plugins call. A program that holds plugins of its own gives it to their entry function, or sets
 * their peri_host_table to it. */
PERI_API const struct peri_host *peri_host_functions(void);
/*
 * peri_context_register - a plugin of the program's own, which from then on is as those of files: found by name, listed, chosen, in plans
 *   in   plugin  as a file's; checked as such, and copied with its texts and options. Its operations' code must live while it is registered
 *   in   origin  what stands in the place of the file in lists and messages; NULL: "this program"
 *   err  PERI_E_PLUGIN: refused, with the reason, or the name is taken
 */
PERI_MUST_CHECK PERI_API peri_status peri_context_register(peri_context *ctx, const struct peri_plugin *plugin, const char *origin);
/* peri_context_unregister - takes a registered plugin away; no solve that uses it may be under way.  err PERI_E_NAME: none of that name */
PERI_MUST_CHECK PERI_API peri_status peri_context_unregister(peri_context *ctx, const char *name);

/*
 * Plugin files of another kind than shared objects, told by how their names end. They are looked for where those are, and an index
 * spares their loading until they are used. A loader is called when one is needed; it gives the file's plugins to peri_loading_add,
 * and where it cannot read the file returns an error, whose message (peri_error_set) becomes the reason of refusal. A file without a plugin is
 * left alone. What the plugins' operations are must live as long as the loader.
 */
typedef struct peri_loading peri_loading;
typedef peri_status (*peri_loader_fn)(void *ud, const char *path, peri_loading *to);
PERI_MUST_CHECK PERI_API peri_status peri_loading_add(peri_loading *to, const struct peri_plugin *plugin);
/* peri_context_set_loader - suffix as ".lua", at most 14 characters; load NULL: none any more, where the present one has this ud; its plugins
 * are then without operations until there is another */
PERI_MUST_CHECK PERI_API peri_status peri_context_set_loader(peri_context *ctx, const char *suffix, peri_loader_fn load, void *ud);
/* peri_error_set - record an error of the program's own, to be returned from a callback;  ret code */
PERI_API peri_status peri_error_set(peri_context *ctx, peri_status code, const char *text);

#ifdef __cplusplus
}
#endif
#endif
