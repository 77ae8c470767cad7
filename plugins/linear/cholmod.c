/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cholmod.c - sparse factorisation without numerical pivoting by CHOLMOD: supernodal LL' of a positive definite matrix
 * where that pays, simplicial LDL' of any other that is strongly factorisable (quasi-definite: every ordering has an
 * LDL'). Without pivoting the factors may be inaccurate, so every solution is refined against the matrix, and pivots
 * that are nothing but rounding are called zero. Invariant: `now` is the factor (LL' or LDL') of the matrix in `a`, or
 * NULL.
 */
#include <math.h>
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>
#include <suitesparse/cholmod.h>

#include "blas.h"

typedef struct {
    int32_t ordering, form;
    double singular, growth;
    int64_t refinement;
} options;

enum { ORDER_AUTOMATIC, ORDER_AMD, ORDER_METIS, ORDER_NATURAL };

enum { FORM_AUTOMATIC, FORM_LDL, FORM_CHOLESKY };

static const char *const ORDERINGS[] = {"automatic", "amd", "metis", "natural", NULL};
static const char *const FORMS[] = {"automatic", "ldl", "cholesky", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_ENUM("ordering", options, ordering, ORDER_AUTOMATIC, ORDERINGS,
              "fill-reducing ordering; automatic: METIS where AMD's is poor"),
    PERI_ENUM("form", options, form, FORM_AUTOMATIC, FORMS,
              "ldl: LDL' always; cholesky: LL', definite matrices only; automatic: LL' where dense enough"),
    PERI_REAL("singular", options, singular, 1e-14, 0, 1e-3, "1",
              "pivots this small against the terms they are the sum of are zero"),
    PERI_REAL("growth", options, growth, 1e-6, 0, 1, "1",
              "largest backward error of a solution; above it, solving fails"),
    PERI_INT("refinement", options, refinement, 5, 0, 50, "1", "most steps of iterative refinement of each solution"),
};

typedef struct {
    options opt;
    cholmod_common common;
    cholmod_sparse a;         /* borrows the pattern; values in val */
    double *val;              /* [nnz] */
    double *terms, *r, *x;    /* [n]: sums of magnitudes, residual, best solution */
    double norm;              /* largest row sum of |a| */
    cholmod_factor *ll, *ldl; /* NULL: not (yet) analysed */
    cholmod_factor *now;
    cholmod_dense b;            /* borrows r */
    cholmod_dense *out, *y, *e; /* CHOLMOD's, kept from solution to solution */
    int failures;               /* times LL' found the matrix not to be definite, in a row */
    bool alive;
} state;

static peri_status failed(const state *s, peri_run *run, const char *what)
{
    char text[120];
    const int code = s->common.status;
    if (code == CHOLMOD_OUT_OF_MEMORY || code == CHOLMOD_TOO_LARGE)
        return peri_fail(run, PERI_E_NOMEM, "out of memory");
    snprintf(text, sizeof text, "%s failed (status %d)", what, code);
    return peri_fail(run, code == CHOLMOD_NOT_INSTALLED ? PERI_E_UNSUPPORTED : PERI_E_INTERNAL, text);
}

/* ---- analysis ---------------------------------------------------------------------------------------------------- */

static void set_ordering(state *s)
{
    cholmod_common *c = &s->common;
    static const int codes[] = {CHOLMOD_AMD, CHOLMOD_AMD, CHOLMOD_METIS, CHOLMOD_NATURAL};
    if (s->opt.ordering == ORDER_AUTOMATIC)
        return; /* the default strategy: AMD, then METIS when AMD's fill-in is high */
    c->nmethods = 1;
    c->method[0].ordering = codes[s->opt.ordering];
    c->postorder = true;
}

/* The ordering is found once, with the analysis for LL' if that may be used; LDL' then takes over its permutation. */
static peri_status order(state *s, peri_run *run)
{
    cholmod_common *c = &s->common;
    set_ordering(s);
    c->supernodal = s->opt.form == FORM_LDL ? CHOLMOD_SIMPLICIAL : CHOLMOD_AUTO;
    cholmod_factor *f = cholmod_l_analyze(&s->a, c);
    if (f == NULL)
        return failed(s, run, "analysis");
    if (s->opt.form == FORM_CHOLESKY || f->is_super)
        s->ll = f;
    else
        s->ldl = f;
    return PERI_OK;
}

static peri_status analyse(void *self, peri_run *run, const void *opt, const peri_pattern *pattern)
{
    state *s = self;
    const int64_t n = pattern->cols;
    s->opt = *(const options *)opt;
    TRY(peri_alloc(run, pattern->nnz, &s->val));
    TRY(peri_alloc(run, n, &s->terms));
    TRY(peri_alloc(run, n, &s->r));
    TRY(peri_alloc(run, n, &s->x));
    if (!cholmod_l_start(&s->common))
        return failed(s, run, "starting");
    s->alive = true;
    s->common.print = 0;
    s->common.error_handler = NULL;
    s->common.try_catch = true; /* failure is looked for, not reported */
    s->common.quick_return_if_not_posdef = true;
    s->a = (cholmod_sparse){.nrow = (size_t)n,
                            .ncol = (size_t)n,
                            .nzmax = (size_t)pattern->nnz,
                            .p = (void *)(uintptr_t)pattern->start,
                            .i = (void *)(uintptr_t)pattern->index,
                            .x = s->val,
                            .stype = -1,
                            .itype = CHOLMOD_LONG,
                            .xtype = CHOLMOD_REAL,
                            .dtype = CHOLMOD_DOUBLE,
                            .sorted = true,
                            .packed = true};
    s->b = (cholmod_dense){.nrow = (size_t)n,
                           .ncol = 1,
                           .nzmax = (size_t)n,
                           .d = (size_t)n,
                           .x = s->r,
                           .xtype = CHOLMOD_REAL,
                           .dtype = CHOLMOD_DOUBLE};
    return order(s, run);
}

/* ---- factorisation ----------------------------------------------------------------------------------------------- */

static void take_values(state *s, const double *val)
{
    const int64_t *start = s->a.p, *index = s->a.i;
    const int64_t n = (int64_t)s->a.ncol;
    memcpy(s->val, val, s->a.nzmax * sizeof *val);
    memset(s->terms, 0, (size_t)n * sizeof *s->terms);
    for (int64_t j = 0; j < n; j++)
        for (int64_t k = start[j]; k < start[j + 1]; k++) {
            const double v = fabs(val[k]);
            s->terms[j] += v;
            if (index[k] != j)
                s->terms[index[k]] += v;
        }
    s->norm = 0;
    for (int64_t j = 0; j < n; j++)
        s->norm = fmax(s->norm, s->terms[j]);
}

static bool has_positive_diagonal(const state *s)
{
    const int64_t *start = s->a.p;
    for (size_t j = 0; j < s->a.ncol; j++)
        if (!(s->val[start[j]] > 0))
            return false;
    return true;
}

static peri_status singular(peri_run *run, int64_t column)
{
    char text[96];
    snprintf(text, sizeof text, "the matrix is singular, or has no LDL' without pivoting: pivot %lld is zero",
             (long long)column);
    return peri_fail(run, PERI_E_NUMERIC, text);
}

/* LL': PERI_OK with *definite false where the matrix turned out not to be. */
static peri_status factor_definite(state *s, peri_run *run, bool *definite)
{
    cholmod_common *c = &s->common;
    c->final_ll = true;
    const int threads = blas_enter();
    const int done = cholmod_l_factorize(&s->a, s->ll, c);
    blas_leave(threads);
    *definite = done && c->status == CHOLMOD_OK && s->ll->minor == s->ll->n;
    if (*definite)
        s->now = s->ll;
    return done && c->status >= CHOLMOD_OK ? PERI_OK : failed(s, run, "factorisation");
}

static peri_status prepare_ldl(state *s, peri_run *run)
{
    cholmod_common *c = &s->common;
    if (s->ldl != NULL)
        return PERI_OK;
    c->supernodal = CHOLMOD_SIMPLICIAL;
    c->nmethods = 1;
    c->method[0].ordering = CHOLMOD_GIVEN;
    c->postorder = false; /* the permutation was postordered when it was found */
    s->ldl = cholmod_l_analyze_p(&s->a, s->ll->Perm, NULL, 0, c);
    return s->ldl != NULL ? PERI_OK : failed(s, run, "analysis");
}

/*
 * The signs of D, and its zeros: d_k = a_kk - sum_j l_kj^2 d_j is zero if it is small against the magnitudes of that
 * sum, for then it consists of their rounding errors. Independent of the scaling of the matrix.
 */
static int64_t inspect(state *s, peri_inertia *count)
{
    const cholmod_factor *f = s->ldl;
    const SuiteSparse_long *start = f->p, *index = f->i, *length = f->nz, *perm = f->Perm;
    const SuiteSparse_long *a_start = s->a.p;
    const double *l = f->x;
    int64_t first_zero = -1;
    for (size_t k = 0; k < f->n; k++)
        s->terms[k] = fabs(s->val[a_start[perm[k]]]);
    *count = (peri_inertia){0, 0, 0};
    for (size_t j = 0; j < f->n; j++) {
        const double d = l[start[j]], size = fabs(d);
        for (SuiteSparse_long k = start[j] + 1; k < start[j] + length[j]; k++)
            s->terms[index[k]] += l[k] * l[k] * size;
        const bool zero = !(size > s->opt.singular * s->terms[j]);
        *(zero ? &count->zero : d > 0 ? &count->positive : &count->negative) += 1;
        if (zero && first_zero < 0)
            first_zero = perm[j];
    }
    return first_zero;
}

static peri_status factor_ldl(state *s, peri_run *run, peri_inertia *inertia)
{
    cholmod_common *c = &s->common;
    TRY(prepare_ldl(s, run));
    c->final_ll = false;
    c->final_asis = true;
    const int threads = blas_enter();
    const int done = cholmod_l_factorize(&s->a, s->ldl, c);
    blas_leave(threads);
    if (!done || c->status < CHOLMOD_OK)
        return failed(s, run, "factorisation");
    if (s->ldl->minor < s->ldl->n) {
        *inertia = (peri_inertia){-1, -1, 1};
        return singular(run, ((const SuiteSparse_long *)s->ldl->Perm)[s->ldl->minor]);
    }
    const int64_t zero = inspect(s, inertia);
    if (zero >= 0)
        return singular(run, zero);
    s->now = s->ldl;
    return PERI_OK;
}

static peri_status factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    state *s = self;
    bool definite = false;
    s->now = NULL;
    take_values(s, val);
    const bool try_ll = s->ll != NULL && has_positive_diagonal(s) && (s->failures < 2 || s->opt.form == FORM_CHOLESKY);
    if (try_ll)
        TRY(factor_definite(s, run, &definite));
    if (definite) {
        s->failures = 0;
        *inertia = (peri_inertia){(int64_t)s->a.ncol, 0, 0};
        return PERI_OK;
    }
    if (s->opt.form == FORM_CHOLESKY) {
        *inertia = (peri_inertia){-1, -1, -1};
        return peri_fail(run, PERI_E_NUMERIC, "the matrix is not positive definite");
    }
    s->failures += try_ll;
    return factor_ldl(s, run, inertia);
}

/* ---- solution ---------------------------------------------------------------------------------------------------- */

/* r := b - A x; ret: its largest entry */
static double residual(state *s, const double *b, const double *x)
{
    const int64_t *start = s->a.p, *index = s->a.i;
    const int64_t n = (int64_t)s->a.ncol;
    double most = 0;
    memcpy(s->r, b, (size_t)n * sizeof *b);
    for (int64_t j = 0; j < n; j++) {
        double sum = s->val[start[j]] * x[j];
        for (int64_t k = start[j] + 1; k < start[j + 1]; k++) {
            sum += s->val[k] * x[index[k]];
            s->r[index[k]] -= s->val[k] * x[j];
        }
        s->r[j] -= sum;
    }
    for (int64_t i = 0; i < n; i++)
        most = fabs(s->r[i]) <= most ? most : fabs(s->r[i]); /* NaN is kept */
    return most;
}

static double largest(size_t n, const double *v)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(v[i]));
    return most;
}

/* out := A^-1 r */
static peri_status back_substitute(state *s, peri_run *run)
{
    const int threads = blas_enter();
    const int done = cholmod_l_solve2(CHOLMOD_A, s->now, &s->b, NULL, &s->out, NULL, &s->y, &s->e, &s->common);
    blas_leave(threads);
    return done ? PERI_OK : failed(s, run, "solution");
}

/* Refinement: x += A^-1 (b - A x), until the backward error is that of rounding or no longer halves; the best x is
 * kept. */
static peri_status solve(void *self, peri_run *run, double *b)
{
    state *s = self;
    const size_t n = s->a.ncol;
    const double b_norm = largest(n, b);
    double error = INFINITY;
    double *trial = s->terms;
    if (s->now == NULL)
        return peri_fail(run, PERI_E_STATE, "solution asked for without a factorisation");
    memset(s->x, 0, n * sizeof *s->x);
    memcpy(s->r, b, n * sizeof *b);
    for (int64_t step = 0; step <= s->opt.refinement; step++) {
        TRY(back_substitute(s, run));
        const double *change = s->out->x;
        for (size_t i = 0; i < n; i++)
            trial[i] = s->x[i] + change[i];
        const double r = residual(s, b, trial), scale = s->norm * largest(n, trial) + b_norm;
        const double new_error = scale > 0 ? r / scale : r;
        if (!(new_error < error))
            break;
        const bool slow = new_error > 0.5 * error;
        error = new_error;
        memcpy(s->x, trial, n * sizeof *trial);
        if (slow || error <= 4e-16)
            break;
    }
    memcpy(b, s->x, n * sizeof *b);
    if (error <= s->opt.growth)
        return PERI_OK;
    return peri_fail(run, PERI_E_NUMERIC,
                     "inaccurate solution: the matrix needs pivoting, which this method does not have");
}

static void fini(void *self, peri_run *run)
{
    state *s = self;
    cholmod_common *c = &s->common;
    (void)run;
    if (!s->alive)
        return;
    cholmod_l_free_factor(&s->ll, c);
    cholmod_l_free_factor(&s->ldl, c);
    cholmod_l_free_dense(&s->out, c);
    cholmod_l_free_dense(&s->y, c);
    cholmod_l_free_dense(&s->e, c);
    cholmod_l_finish(c);
    s->alive = false;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const char PAGE[] =
    "Factorises P'AP without numerical pivoting: as LL' where A is positive definite and its factor dense enough for "
    "blocks\n"
    "(supernodal), as LDL' with diagonal D (simplicial) otherwise. Made for positive definite and for quasi-definite "
    "matrices,\n"
    "[H B'; B -C] with H and C positive definite, for which LDL' exists whatever the permutation P. The inertia is "
    "read from the\n"
    "signs of D. An indefinite matrix may break down: a zero or tiny pivot is reported as singular, an inaccurate "
    "solution as a\n"
    "numerical breakdown; interior point methods therefore regularise the second block.\n"
    "\n"
    "Solutions are refined inside, against the matrix, until the backward error is at rounding level (\"refinement\" "
    "steps at most).\n"
    "Orderings: AMD, or METIS by nested dissection; \"automatic\" tries METIS where AMD's factor is large.\n"
    "\n"
    "Licence: CHOLMOD's Core and Cholesky modules are LGPL-2.1 or later, its Supernodal module GPL-2.0 or later, and "
    "the library as\n"
    "Debian builds it contains both: a process that loads this plugin runs a work under the GPL's terms. It can be "
    "left out.";

static const peri_linear_solver_ops OPS = {.analyse = analyse, .factor = factor, .solve = solve, .fini = fini};

static const peri_plugin CHOLMOD = {
    PERI_LINEAR_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "cholmod",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0 AND LGPL-2.1-or-later AND GPL-2.0-or-later",
    .summary = "sparse LL' and LDL' without pivoting, for definite and quasi-definite systems",
    .page = PAGE,
    .reference = "Chen, Davis, Hager and Rajamanickam 2008, ACM TOMS 35:22; Vanderbei 1995, SIAM J. Optim. 5:100",
    .gives = PERI_GIVES_INERTIA,
    .flags = PERI_FLAG_QUASIDEFINITE | PERI_FLAG_DEFINITE,
    .rank = 30,
};

static const peri_plugin *const ALL[] = {&CHOLMOD, NULL};
PERI_PLUGIN(ALL)
