/* SPDX-License-Identifier: Apache-2.0 */
/*
 * umfpack.c - sparse LU of square matrices without symmetry by UMFPACK: multifrontal, with partial pivoting and its own scaling, every solution
 * refined against the matrix. Invariant: numeric is the factorisation of the values in val, or NULL.
 */
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>
#include <suitesparse/umfpack.h>

#include "blas.h"

enum { ORDER_AUTO, ORDER_AMD, ORDER_METIS, ORDER_NONE };
static const char *const ORDERINGS[] = {"automatic", "amd", "metis", "none", NULL};

typedef struct {
    double pivot;
    int64_t refinement;
    int32_t ordering;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("pivot", options, pivot, 0.1, 0, 1, "1", "a pivot is at least this share of its column's largest entry"),
    PERI_INT("refinement", options, refinement, 2, 0, 50, "1", "most steps of iterative refinement of each solution"),
    PERI_ENUM("ordering", options, ordering, ORDER_AUTO, ORDERINGS, "fill-reducing ordering; automatic: COLAMD or AMD by the pattern's symmetry"),
};

typedef struct {
    options opt;
    const int64_t *start, *index;
    int64_t n, nnz;
    double *val, *x; /* [nnz], [n] */
    double control[UMFPACK_CONTROL], info[UMFPACK_INFO];
    void *symbolic, *numeric;
    SuiteSparse_long *iwork; /* [n] */
    double *work;            /* [5 n] */
} state;

static peri_status failed(const state *s, peri_run *run, const char *what)
{
    char text[120];
    const int code = (int)s->info[UMFPACK_STATUS];
    if (code == UMFPACK_ERROR_out_of_memory)
        return peri_fail(run, PERI_E_NOMEM, "out of memory");
    snprintf(text, sizeof text, "%s failed (status %d)", what, code);
    return peri_fail(run, PERI_E_INTERNAL, text);
}

static void configure(state *s)
{
    static const double orderings[] = {UMFPACK_ORDERING_AMD, UMFPACK_ORDERING_AMD, UMFPACK_ORDERING_METIS, UMFPACK_ORDERING_NONE};
    umfpack_dl_defaults(s->control);
    s->control[UMFPACK_PRL] = 0;
    s->control[UMFPACK_PIVOT_TOLERANCE] = s->opt.pivot;
    s->control[UMFPACK_IRSTEP] = (double)s->opt.refinement;
    s->control[UMFPACK_ORDERING] = orderings[s->opt.ordering];
}

static peri_status analyse_general(void *self, peri_run *run, const void *opt, const peri_pattern *pattern, uint64_t needs)
{
    state *s = self;
    (void)needs;
    s->opt = *(const options *)opt;
    s->start = pattern->start;
    s->index = pattern->index;
    s->n = pattern->cols;
    s->nnz = pattern->nnz;
    TRY(peri_alloc(run, s->nnz, &s->val));
    TRY(peri_alloc(run, s->n, &s->x));
    TRY(peri_alloc(run, 5 * s->n, &s->work));
    s->iwork = peri_alloc_bytes(run, (size_t)s->n, sizeof *s->iwork);
    if (s->iwork == NULL)
        return PERI_E_NOMEM;
    configure(s);
    const int64_t code = umfpack_dl_symbolic(s->n, s->n, (const SuiteSparse_long *)s->start, (const SuiteSparse_long *)s->index, NULL,
                                             &s->symbolic, s->control, s->info);
    return code == UMFPACK_OK ? PERI_OK : failed(s, run, "analysis");
}

static peri_status factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    state *s = self;
    *inertia = (peri_inertia){-1, -1, -1};
    umfpack_dl_free_numeric(&s->numeric);
    memcpy(s->val, val, (size_t)s->nnz * sizeof *val);
    const int threads = blas_enter();
    const int64_t code = umfpack_dl_numeric((const SuiteSparse_long *)s->start, (const SuiteSparse_long *)s->index, s->val, s->symbolic,
                                            &s->numeric, s->control, s->info);
    blas_leave(threads);
    if (code == UMFPACK_OK && s->info[UMFPACK_RCOND] > 1e-16)
        return PERI_OK;
    if (code != UMFPACK_OK && code != UMFPACK_WARNING_singular_matrix)
        return failed(s, run, "factorisation");
    umfpack_dl_free_numeric(&s->numeric);
    return peri_fail(run, PERI_E_NUMERIC, "the matrix is singular");
}

static peri_status solve_with(state *s, peri_run *run, double *b, int system)
{
    if (s->numeric == NULL)
        return peri_fail(run, PERI_E_STATE, "solution asked for without a factorisation");
    const int threads = blas_enter();
    const int64_t code = umfpack_dl_wsolve(system, (const SuiteSparse_long *)s->start, (const SuiteSparse_long *)s->index, s->val, s->x, b,
                                           s->numeric, s->control, s->info, s->iwork, s->work);
    blas_leave(threads);
    if (code != UMFPACK_OK)
        return failed(s, run, "solution");
    memcpy(b, s->x, (size_t)s->n * sizeof *b);
    return PERI_OK;
}

static peri_status solve(void *self, peri_run *run, double *b)
{
    return solve_with(self, run, b, UMFPACK_A);
}

static peri_status solve_transposed(void *self, peri_run *run, double *b)
{
    return solve_with(self, run, b, UMFPACK_At);
}

static void fini(void *self, peri_run *run)
{
    state *s = self;
    (void)run;
    umfpack_dl_free_numeric(&s->numeric);
    umfpack_dl_free_symbolic(&s->symbolic);
}

static const char PAGE[] =
    "Factorises any square sparse matrix as P R A Q = L U: multifrontal, with dense kernels of the BLAS, row scaling R and partial pivoting\n"
    "with a threshold. The first choice for systems without symmetry. Also solves with the transposed matrix.\n"
    "\n"
    "Licence: UMFPACK is GPL-2.0 or later, so a process that loads this plugin runs a work under the GPL's terms. It can be left out; klu\n"
    "solves the same systems under the LGPL.";

static const peri_linear_solver_ops OPS = {
    .analyse_general = analyse_general, .factor = factor, .solve = solve, .solve_transposed = solve_transposed, .fini = fini};

static const peri_plugin UMFPACK = {
    PERI_LINEAR_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "umfpack",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0 AND GPL-2.0-or-later",
    .summary = "sparse LU with partial pivoting, for square systems without symmetry",
    .page = PAGE,
    .reference = "Davis 2004, ACM TOMS 30:196",
    .flags = PERI_FLAG_GENERAL,
    .rank = 30,
};

static const peri_plugin *const ALL[] = {&UMFPACK, NULL};
PERI_PLUGIN(ALL)
