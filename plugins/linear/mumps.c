/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mumps.c - sparse symmetric indefinite factorisation with pivoting by MUMPS, in its sequential build. The pattern is
 * handed over once; MUMPS orders and analyses at the first factorisation, when the values are known too (its matching
 * and scaling look at them). Invariant: `id` is a live instance exactly while `alive`; nothing of MUMPS prints.
 */
#include <dmumps_c.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <perigee/plugin.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "blas.h"

/* The manual's 1-based names. */
#define ICNTL(i) icntl[(i)-1]
#define CNTL(i)  cntl[(i)-1]
#define INFOG(i) infog[(i)-1]

enum { JOB_INIT = -1, JOB_END = -2, JOB_ANALYSE = 1, JOB_FACTOR = 2, JOB_SOLVE = 3 };

enum { COMM_WORLD = -987654, SYMMETRIC = 2 };

/* INFOG(1) */
enum {
    STRUCTURALLY_SINGULAR = -6,
    NO_INTEGER_SPACE = -5,
    NO_SPACE_ANALYSIS = -7,
    SMALL_INTEGER_SPACE = -8,
    SMALL_REAL_SPACE = -9,
    SINGULAR = -10,
    SMALL_SEND_BUFFER = -17,
    NO_MEMORY = -13,
    OVER_LIMIT = -19,
    SMALL_RECEIVE_BUFFER = -20
};

typedef struct {
    int32_t ordering, matching, scaling;
    double pivot, pivot_most, singular;
    int64_t memory, refinement;
} options;

static const char *const ORDERINGS[] = {"automatic", "amd", "amf", "scotch", "pord", "qamd", NULL};
static const int ORDERING_CODES[] = {7, 0, 2, 3, 4, 6};

enum { AMD = 1, QAMD = 5 };

static const char *const SCALINGS[] = {"automatic", "none", "diagonal", "iterative", "thorough", NULL};

enum { SCALE_AUTOMATIC, SCALE_NONE, SCALE_DIAGONAL, SCALE_ITERATIVE, SCALE_THOROUGH };

static const int SCALING_CODES[] = {77, 0, 1, 7, 8};

static const peri_option OPTION_LIST[] = {
    PERI_ENUM("ordering", options, ordering, 1, ORDERINGS, "fill-reducing ordering; amd is qamd where a row is dense"),
    PERI_BOOL("matching", options, matching, 0, "look for large pairs of pivots before ordering: more stable, slower"),
    PERI_ENUM("scaling", options, scaling, 0, SCALINGS, "scaling of rows and columns before each factorisation"),
    PERI_REAL("pivot", options, pivot, 1e-6, 0, 0.5, "1",
              "relative pivot threshold; larger is more stable and fills in more"),
    PERI_REAL("pivot_most", options, pivot_most, 0.1, 0, 0.5, "1", "largest threshold when more pivoting is asked for"),
    PERI_REAL("singular", options, singular, 1e-15, 0, 1e-3, "1",
              "pivots up to this, relative to the scaled matrix, are zero"),
    PERI_INT("memory", options, memory, 50, 5, 100000, "%",
             "working space beyond the estimate; grows by itself when too small"),
    PERI_INT("refinement", options, refinement, 0, 0, 20, "1",
             "most steps of iterative refinement inside each solution"),
};

typedef struct {
    options opt;
    DMUMPS_STRUC_C id;
    const peri_pattern *pattern;
    MUMPS_INT *row, *col; /* [nnz] from 1 */
    double *val;          /* [nnz] a copy: refinement reads it */
    bool alive, analysed;
} state;

/* MUMPS's C interface keeps pointers of the call under way, and the numbers of its instances, in variables of its own: one call at a time
 * in the whole process. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void call(state *s, int job)
{
    pthread_mutex_lock(&one_at_a_time);
    const int threads = blas_enter();
    s->id.job = job;
    dmumps_c(&s->id);
    blas_leave(threads);
    pthread_mutex_unlock(&one_at_a_time);
}

static peri_status failed(const state *s, peri_run *run, const char *what)
{
    char text[160];
    const int code = s->id.INFOG(1);
    switch (code) {
    case NO_INTEGER_SPACE:
    case NO_SPACE_ANALYSIS:
    case NO_MEMORY:
    case OVER_LIMIT:
        return peri_fail(run, PERI_E_NOMEM, "out of memory");
    default:
        snprintf(text, sizeof text, "%s failed (INFOG(1) = %d, INFOG(2) = %d)", what, code, (int)s->id.INFOG(2));
        return peri_fail(run, PERI_E_NUMERIC, text);
    }
}

/* ---- analysis ---------------------------------------------------------------------------------------------------- */

static peri_status copy_pattern(state *s, peri_run *run, const peri_pattern *p)
{
    s->row = peri_alloc_bytes(run, (size_t)p->nnz, sizeof *s->row);
    s->col = peri_alloc_bytes(run, (size_t)p->nnz, sizeof *s->col);
    if (s->row == NULL || s->col == NULL)
        return PERI_E_NOMEM;
    TRY(peri_alloc(run, p->nnz, &s->val));
    for (int64_t j = 0; j < p->cols; j++)
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
            s->row[k] = (MUMPS_INT)(p->index[k] + 1);
            s->col[k] = (MUMPS_INT)(j + 1);
        }
    return PERI_OK;
}

/* A row with far more entries than the others. In the plain ordering by degree the fronts beside it are a chain, along which pivots that it makes
 * too small are delayed from front to front, each tried again in each: cubic, by the entry. */
static peri_status has_dense_row(const state *s, peri_run *run, bool *dense)
{
    const peri_pattern *p = s->pattern;
    const double most = fmax(16, 10 * sqrt((double)p->cols)); /* that of AMD's own "dense" */
    int64_t *count;
    *dense = false;
    TRY(peri_alloc_index(run, p->cols, &count));
    for (int64_t k = 0; k < p->nnz; k++) {
        count[s->row[k] - 1]++;
        count[s->col[k] - 1]++;
    }
    for (int64_t j = 0; j < p->cols; j++)
        *dense = *dense || (double)count[j] > most;
    return PERI_OK;
}

static void set_controls(state *s)
{
    DMUMPS_STRUC_C *id = &s->id;
    for (int i = 1; i <= 3; i++)
        id->ICNTL(i) = -1; /* no output unit */
    id->ICNTL(4) = 0;      /* and nothing to say */
    id->ICNTL(6) = s->opt.matching ? 7 : 0;
    id->ICNTL(12) = s->opt.matching ? 0 : 1;
    id->ICNTL(7) = ORDERING_CODES[s->opt.ordering];
    id->ICNTL(8) = SCALING_CODES[s->opt.scaling];
    /* With matching, the automatic scaling would be that of the first values for all later ones. */
    if (s->opt.matching && s->opt.scaling == SCALE_AUTOMATIC)
        id->ICNTL(8) = SCALING_CODES[SCALE_ITERATIVE];
    id->ICNTL(10) = (MUMPS_INT)s->opt.refinement;
    id->ICNTL(13) = 1; /* the root too by this code: it counts the negative pivots */
    id->ICNTL(14) = (MUMPS_INT)s->opt.memory;
    id->ICNTL(24) = 1; /* find null pivots */
    id->CNTL(1) = s->opt.pivot;
    /* Negative: absolute. Relative to the norm of a matrix that is not scaled it would say nothing. */
    id->CNTL(3) = s->opt.scaling == SCALE_NONE ? -DBL_MIN : s->opt.singular;
}

static peri_status analyse(void *self, peri_run *run, const void *opt, const peri_pattern *pattern)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->pattern = pattern;
    if (pattern->cols >= INT_MAX)
        return peri_fail(run, PERI_E_UNSUPPORTED, "more unknowns than MUMPS can number");
    TRY(copy_pattern(s, run, pattern));
    s->id.par = 1;
    s->id.sym = SYMMETRIC;
    s->id.comm_fortran = COMM_WORLD;
    call(s, JOB_INIT);
    if (s->id.INFOG(1) < 0)
        return failed(s, run, "starting");
    s->alive = true;
    bool dense = false;
    if (s->opt.ordering == AMD)
        TRY(has_dense_row(s, run, &dense));
    if (dense)
        s->opt.ordering = QAMD;
    set_controls(s);
    s->id.n = (MUMPS_INT)pattern->cols;
    s->id.nnz = pattern->nnz;
    s->id.irn = s->row;
    s->id.jcn = s->col;
    s->id.a = s->val;
    return PERI_OK;
}

/* ---- factorisation ----------------------------------------------------------------------------------------------- */

static peri_status singular(const state *s, peri_run *run, peri_inertia *inertia, int64_t zero)
{
    char text[96];
    inertia->zero = zero;
    inertia->negative = -1;
    inertia->positive = -1;
    snprintf(text, sizeof text, "the matrix is singular: %lld of %lld pivots are zero", (long long)zero,
             (long long)s->id.n);
    return peri_fail(run, PERI_E_NUMERIC, text);
}

static peri_status order(state *s, peri_run *run, peri_inertia *inertia)
{
    call(s, JOB_ANALYSE);
    if (s->id.INFOG(1) == STRUCTURALLY_SINGULAR)
        return singular(s, run, inertia, s->id.n - s->id.INFOG(2));
    if (s->id.INFOG(1) < 0)
        return failed(s, run, "analysis");
    s->analysed = true;
    return PERI_OK;
}

static bool wants_space(int code)
{
    return code == SMALL_INTEGER_SPACE || code == SMALL_REAL_SPACE || code == SMALL_SEND_BUFFER ||
           code == SMALL_RECEIVE_BUFFER;
}

/* Delayed pivots may need more than the estimate: ask for more until it is enough. */
static void factor_with_space(state *s)
{
    call(s, JOB_FACTOR);
    while (wants_space(s->id.INFOG(1)) && s->id.ICNTL(14) < 1000000) {
        s->id.ICNTL(14) *= 3;
        call(s, JOB_FACTOR);
    }
}

static peri_status factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    state *s = self;
    memcpy(s->val, val, (size_t)s->pattern->nnz * sizeof *val);
    if (!s->analysed)
        TRY(order(s, run, inertia));
    factor_with_space(s);
    if (s->id.INFOG(1) == SINGULAR)
        return singular(s, run, inertia, s->id.n - s->id.INFOG(2));
    if (s->id.INFOG(1) < 0)
        return failed(s, run, "factorisation");
    const int64_t zero = s->id.INFOG(28);
    if (zero > 0)
        return singular(s, run, inertia, zero);
    inertia->negative = s->id.INFOG(12);
    inertia->positive = s->id.n - inertia->negative;
    inertia->zero = 0;
    return PERI_OK;
}

static peri_status solve(void *self, peri_run *run, double *b)
{
    state *s = self;
    s->id.rhs = b;
    s->id.nrhs = 1;
    s->id.lrhs = s->id.n;
    call(s, JOB_SOLVE);
    s->id.rhs = NULL;
    return s->id.INFOG(1) < 0 ? failed(s, run, "solution") : PERI_OK;
}

static peri_status strengthen(void *self, peri_run *run)
{
    state *s = self;
    (void)run;
    if (s->id.CNTL(1) >= s->opt.pivot_most)
        return PERI_E_UNSUPPORTED;
    s->id.CNTL(1) = fmin(s->opt.pivot_most, fmax(sqrt(s->id.CNTL(1)), 1e-8));
    return PERI_OK;
}

static void fini(void *self, peri_run *run)
{
    state *s = self;
    (void)run;
    if (!s->alive)
        return;
    call(s, JOB_END);
    s->alive = false;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const char PAGE[] =
    "Multifrontal factorisation P'SASP = LDL' of a sparse symmetric matrix, D of blocks of one and two, with pivoting "
    "inside the\n"
    "fronts and delayed pivots, by MUMPS in its sequential build. Any symmetric matrix; the inertia is exact up to "
    "rounding.\n"
    "A pivot not larger than \"singular\" (relative to the scaled matrix) counts as zero, and the matrix as singular;\n"
    "without scaling, exact zeros alone do.\n"
    "\n"
    "\"pivot\" is the relative threshold u of partial pivoting: 1e-6 is fast and mostly enough, as the interior point "
    "method checks\n"
    "its steps, refines them, and asks for more pivoting (the root of u, up to \"pivot_most\") where that did not "
    "help. For accuracy\n"
    "first: pivot = 0.01, matching = true, scaling = thorough. Refinement is the caller's work unless \"refinement\" "
    "is set.\n"
    "Working space is the estimate and \"memory\" percent; where delayed pivots need more, it is trebled and tried "
    "again.\n"
    "\n"
    "MUMPS's sequential build brings a stand-in for MPI. In a process that has loaded a real MPI with global symbols "
    "the two would be\n"
    "mixed up; use another linear solver there. MUMPS shares memory between its instances: in a process of several "
    "threads it works\n"
    "for one of them at a time.";

static const peri_linear_solver_ops OPS = {
    .analyse = analyse, .factor = factor, .solve = solve, .strengthen = strengthen, .fini = fini};

static const peri_plugin MUMPS = {
    PERI_LINEAR_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "mumps",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0 AND CECILL-C AND BSD-3-Clause",
    .summary = "sparse symmetric indefinite factorisation with pivoting (MUMPS, sequential)",
    .page = PAGE,
    .reference = "Amestoy, Duff, L'Excellent and Koster 2001, SIAM J. Matrix Anal. Appl. 23:15; Amestoy et al. 2019, "
                 "ACM TOMS 45:2",
    .gives = PERI_GIVES_INERTIA,
    .flags = PERI_FLAG_INDEFINITE | PERI_FLAG_QUASIDEFINITE | PERI_FLAG_DEFINITE,
    .rank = 20,
};

static const peri_plugin *const ALL[] = {&MUMPS, NULL};
PERI_PLUGIN(ALL)
