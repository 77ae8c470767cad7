/* SPDX-License-Identifier: Apache-2.0 */
/*
 * klu.c - sparse LU of square matrices without symmetry by KLU: block triangular form, then left-looking LU of each block; a matrix with the
 * pattern of the last one is refactorised with the same pivots as long as that is stable. Invariant: good says that numeric is the
 * factorisation of the values in val.
 */
#include <math.h>
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>
#include <suitesparse/klu.h>

typedef struct {
    double pivot, growth;
    int32_t ordering, btf;
} options;

enum { ORDER_AMD, ORDER_COLAMD };
static const char *const ORDERINGS[] = {"amd", "colamd", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_REAL("pivot", options, pivot, 1e-3, 0, 1, "1", "a diagonal entry is kept as pivot from this share of its column's largest on"),
    PERI_REAL("growth", options, growth, 1e-8, 0, 1, "1", "least reciprocal pivot growth with which old pivots are used again"),
    PERI_ENUM("ordering", options, ordering, ORDER_AMD, ORDERINGS, "fill-reducing ordering of each block"),
    PERI_BOOL("btf", options, btf, 1, "permute to block triangular form first"),
};

typedef struct {
    options opt;
    const int64_t *start, *index;
    int64_t n, nnz;
    double *val, *x, *r; /* [nnz], [n], [n] */
    klu_l_common common;
    klu_l_symbolic *symbolic;
    klu_l_numeric *numeric;
    bool good;
} state;

static SuiteSparse_long *plain(const int64_t *v)
{
    return (SuiteSparse_long *)(uintptr_t)v; /* KLU reads them only */
}

static peri_status failed(const state *s, peri_run *run, const char *what)
{
    char text[120];
    if (s->common.status == KLU_OUT_OF_MEMORY || s->common.status == KLU_TOO_LARGE)
        return peri_fail(run, PERI_E_NOMEM, "out of memory");
    if (s->common.status == KLU_SINGULAR)
        return peri_fail(run, PERI_E_NUMERIC, "the matrix is singular");
    snprintf(text, sizeof text, "%s failed (status %d)", what, (int)s->common.status);
    return peri_fail(run, PERI_E_INTERNAL, text);
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
    TRY(peri_alloc(run, s->n, &s->r));
    klu_l_defaults(&s->common);
    s->common.tol = s->opt.pivot;
    s->common.btf = s->opt.btf;
    s->common.ordering = s->opt.ordering;
    s->symbolic = klu_l_analyze(s->n, plain(s->start), plain(s->index), &s->common);
    return s->symbolic != NULL ? PERI_OK : failed(s, run, "analysis");
}

/* With the pivots of the factorisation before, if they still do. */
static bool refactor(state *s)
{
    klu_l_common *c = &s->common;
    if (s->numeric == NULL || !klu_l_refactor(plain(s->start), plain(s->index), s->val, s->symbolic, s->numeric, c) || c->status != KLU_OK)
        return false;
    return klu_l_rgrowth(plain(s->start), plain(s->index), s->val, s->symbolic, s->numeric, c) && c->rgrowth >= s->opt.growth;
}

static peri_status factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    state *s = self;
    *inertia = (peri_inertia){-1, -1, -1};
    memcpy(s->val, val, (size_t)s->nnz * sizeof *val);
    s->good = refactor(s);
    if (!s->good) {
        klu_l_free_numeric(&s->numeric, &s->common);
        s->numeric = klu_l_factor(plain(s->start), plain(s->index), s->val, s->symbolic, &s->common);
        if (s->numeric == NULL || s->common.status != KLU_OK)
            return failed(s, run, "factorisation");
        s->good = true;
    }
    if (klu_l_rcond(s->symbolic, s->numeric, &s->common) && s->common.rcond > 1e-16)
        return PERI_OK;
    s->good = false;
    return peri_fail(run, PERI_E_NUMERIC, "the matrix is singular");
}

/* r := b - A x or b - A'x */
static void residual(state *s, const double *b, bool transposed)
{
    memcpy(s->r, b, (size_t)s->n * sizeof *b);
    for (int64_t j = 0; j < s->n; j++)
        for (int64_t k = s->start[j]; k < s->start[j + 1]; k++) {
            const int64_t i = s->index[k];
            if (transposed)
                s->r[j] -= s->val[k] * s->x[i];
            else
                s->r[i] -= s->val[k] * s->x[j];
        }
}

/* The solution and one step of refinement, which makes up for old pivots. */
static peri_status solve_with(state *s, peri_run *run, double *b, bool transposed)
{
    SuiteSparse_long (*const by)(klu_l_symbolic *, klu_l_numeric *, SuiteSparse_long, SuiteSparse_long, double *, klu_l_common *) =
        transposed ? klu_l_tsolve : klu_l_solve;
    if (!s->good)
        return peri_fail(run, PERI_E_STATE, "solution asked for without a factorisation");
    memcpy(s->x, b, (size_t)s->n * sizeof *b);
    if (!by(s->symbolic, s->numeric, s->n, 1, s->x, &s->common))
        return failed(s, run, "solution");
    residual(s, b, transposed);
    if (!by(s->symbolic, s->numeric, s->n, 1, s->r, &s->common))
        return failed(s, run, "solution");
    for (int64_t j = 0; j < s->n; j++)
        b[j] = s->x[j] + s->r[j];
    return PERI_OK;
}

static peri_status solve(void *self, peri_run *run, double *b)
{
    return solve_with(self, run, b, false);
}

static peri_status solve_transposed(void *self, peri_run *run, double *b)
{
    return solve_with(self, run, b, true);
}

static void fini(void *self, peri_run *run)
{
    state *s = self;
    (void)run;
    klu_l_free_numeric(&s->numeric, &s->common);
    klu_l_free_symbolic(&s->symbolic, &s->common);
}

static const char PAGE[] =
    "Factorises any square sparse matrix: permuted to block triangular form, then L U of each diagonal block by a left-looking method with\n"
    "threshold pivoting. Made for matrices so sparse that dense kernels do not pay, such as those of circuits and networks, and for many\n"
    "matrices with one pattern: pivots are used again while that is stable. Each solution is refined once. Also solves with the transpose.";

static const peri_linear_solver_ops OPS = {
    .analyse_general = analyse_general, .factor = factor, .solve = solve, .solve_transposed = solve_transposed, .fini = fini};

static const peri_plugin KLU = {
    PERI_LINEAR_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "klu",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0 AND LGPL-2.1-or-later",
    .summary = "sparse LU in block triangular form, for very sparse square systems without symmetry",
    .page = PAGE,
    .reference = "Davis and Palamadai Natarajan 2010, ACM TOMS 37:36",
    .flags = PERI_FLAG_GENERAL,
    .rank = 20,
};

static const peri_plugin *const ALL[] = {&KLU, NULL};
PERI_PLUGIN(ALL)
