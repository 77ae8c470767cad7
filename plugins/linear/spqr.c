/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spqr.c - sparse QR by SuiteSparseQR: minimize |A x - b| for A of any shape and rank, and square systems without symmetry. Columns whose
 * diagonal entry in R falls below the tolerance are dropped (a basic solution). Invariant: qr is the factorisation of the values in val, or NULL.
 */
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>
#include <suitesparse/SuiteSparseQR_C.h>

#include "blas.h"

typedef struct {
    double rank_tolerance;
    int32_t ordering;
} options;

enum { ORDER_AUTO, ORDER_COLAMD, ORDER_AMD, ORDER_METIS, ORDER_NATURAL };
static const char *const ORDERINGS[] = {"automatic", "colamd", "amd", "metis", "natural", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_REAL("rank_tolerance", options, rank_tolerance, -2, -2, 1e20, "1",
              "columns whose norm falls to this in the factorisation are dropped; -2: 20 (rows + columns) eps times the largest column norm"),
    PERI_ENUM("ordering", options, ordering, ORDER_AUTO, ORDERINGS, "fill-reducing ordering of the columns"),
};

typedef struct {
    options opt;
    uint64_t needs;
    cholmod_common common;
    cholmod_sparse a; /* borrows the pattern */
    double *val, *rhs;
    SuiteSparseQR_C_factorization *qr;
    bool alive;
} state;

static peri_status failed(const state *s, peri_run *run, const char *what)
{
    char text[120];
    if (s->common.status == CHOLMOD_OUT_OF_MEMORY || s->common.status == CHOLMOD_TOO_LARGE)
        return peri_fail(run, PERI_E_NOMEM, "out of memory");
    snprintf(text, sizeof text, "%s failed (status %d)", what, s->common.status);
    return peri_fail(run, PERI_E_INTERNAL, text);
}

static peri_status analyse_general(void *self, peri_run *run, const void *opt, const peri_pattern *pattern, uint64_t needs)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->needs = needs;
    TRY(peri_alloc(run, pattern->nnz, &s->val));
    TRY(peri_alloc(run, pattern->rows, &s->rhs));
    if (!cholmod_l_start(&s->common))
        return failed(s, run, "starting");
    s->alive = true;
    s->common.print = 0;
    s->common.error_handler = NULL;
    s->a = (cholmod_sparse){.nrow = (size_t)pattern->rows,
                            .ncol = (size_t)pattern->cols,
                            .nzmax = (size_t)pattern->nnz,
                            .p = (void *)(uintptr_t)pattern->start,
                            .i = (void *)(uintptr_t)pattern->index,
                            .x = s->val,
                            .itype = CHOLMOD_LONG,
                            .xtype = CHOLMOD_REAL,
                            .dtype = CHOLMOD_DOUBLE,
                            .sorted = true,
                            .packed = true};
    return PERI_OK;
}

static void forget(state *s)
{
    if (s->qr != NULL)
        SuiteSparseQR_C_free(&s->qr, &s->common);
}

/* With rank detection the ordering depends on the values: analysis and factorisation are one. */
static peri_status factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    static const int orderings[] = {SPQR_ORDERING_DEFAULT, SPQR_ORDERING_COLAMD, SPQR_ORDERING_AMD, SPQR_ORDERING_METIS, SPQR_ORDERING_FIXED};
    state *s = self;
    *inertia = (peri_inertia){-1, -1, -1};
    forget(s);
    memcpy(s->val, val, s->a.nzmax * sizeof *val);
    const int threads = blas_enter();
    s->qr = SuiteSparseQR_C_factorize(orderings[s->opt.ordering], s->opt.rank_tolerance, &s->a, &s->common);
    blas_leave(threads);
    if (s->qr == NULL)
        return failed(s, run, "factorisation");
    if (s->needs != PERI_FLAG_GENERAL || s->common.SPQR_istat[4] == (SuiteSparse_long)s->a.ncol)
        return PERI_OK;
    forget(s);
    return peri_fail(run, PERI_E_NUMERIC, "the matrix is singular");
}

/* x := E R^-1 Q'b, or for the transposed matrix Q R^-T E'b */
static peri_status solve_with(state *s, peri_run *run, double *b, bool transposed)
{
    cholmod_common *c = &s->common;
    cholmod_dense rhs = {.nrow = s->a.nrow, .ncol = 1, .nzmax = s->a.nrow, .d = s->a.nrow, .x = s->rhs, .xtype = CHOLMOD_REAL,
                         .dtype = CHOLMOD_DOUBLE};
    if (s->qr == NULL)
        return peri_fail(run, PERI_E_STATE, "solution asked for without a factorisation");
    memcpy(s->rhs, b, s->a.nrow * sizeof *b);
    const int threads = blas_enter();
    cholmod_dense *y = transposed ? SuiteSparseQR_C_solve(SPQR_RTX_EQUALS_ETB, s->qr, &rhs, c) : SuiteSparseQR_C_qmult(SPQR_QTX, s->qr, &rhs, c);
    cholmod_dense *x = y == NULL    ? NULL
                       : transposed ? SuiteSparseQR_C_qmult(SPQR_QX, s->qr, y, c)
                                    : SuiteSparseQR_C_solve(SPQR_RETX_EQUALS_B, s->qr, y, c);
    blas_leave(threads);
    if (x != NULL)
        memcpy(b, x->x, s->a.ncol * sizeof *b);
    const peri_status status = x != NULL ? PERI_OK : failed(s, run, "solution");
    cholmod_l_free_dense(&y, c);
    cholmod_l_free_dense(&x, c);
    return status;
}

static peri_status solve(void *self, peri_run *run, double *b)
{
    return solve_with(self, run, b, false);
}

static peri_status solve_transposed(void *self, peri_run *run, double *b)
{
    state *s = self;
    if (s->a.nrow != s->a.ncol)
        return peri_fail(run, PERI_E_UNSUPPORTED, "solves with the transpose of square matrices only");
    return solve_with(s, run, b, true);
}

static void fini(void *self, peri_run *run)
{
    state *s = self;
    (void)run;
    if (!s->alive)
        return;
    forget(s);
    cholmod_l_finish(&s->common);
    s->alive = false;
}

static const char PAGE[] =
    "Sparse QR factorisation with column ordering and rank detection: least-squares solutions of matrices of any shape, without the loss of\n"
    "digits of the normal equations. Where columns depend on others, a basic solution is returned (dropped columns are zero). Also solves\n"
    "square systems without symmetry, at several times the cost of an LU.\n"
    "\n"
    "Licence: SuiteSparseQR is GPL-2.0 or later, so a process that loads this plugin runs a work under the GPL's terms. It can be left out.";

static const peri_linear_solver_ops OPS = {
    .analyse_general = analyse_general, .factor = factor, .solve = solve, .solve_transposed = solve_transposed, .fini = fini};

static const peri_plugin SPQR = {
    PERI_LINEAR_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "spqr",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0 AND GPL-2.0-or-later",
    .summary = "sparse QR, for least-squares and other systems without symmetry",
    .page = PAGE,
    .reference = "Davis 2011, ACM TOMS 38:8",
    .flags = PERI_FLAG_GENERAL | PERI_FLAG_LEAST_SQUARES,
    .rank = 10,
};

static const peri_plugin *const ALL[] = {&SPQR, NULL};
PERI_PLUGIN(ALL)
