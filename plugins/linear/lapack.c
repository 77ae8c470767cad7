/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lapack.c - dense symmetric indefinite factorisation P'AP = LDL' with Bunch-Kaufman pivoting (LAPACK's dsytrf), for
 * small systems. The matrix is first scaled on both sides so that the largest entry of each row is about 1, which makes
 * "this pivot is zero" a statement about the matrix and not about its units. Invariant: after a successful `factor`,
 * `a` and `pivot` hold the factors of the scaled matrix and `scale` its scaling.
 */
#include <lapack.h>
#include <math.h>
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>

#include "blas.h"

typedef struct {
    int64_t largest;
    double singular;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_INT("largest", options, largest, 3000, 1, 40000, "unknowns", "most unknowns; memory grows with their square"),
    PERI_REAL("singular", options, singular, 1e-14, 0, 1e-3, "1",
              "pivots up to this are zero, in a matrix whose rows are scaled to 1"),
};

typedef struct {
    options opt;
    const peri_pattern *pattern;
    lapack_int n, lwork;
    lapack_int *pivot; /* [n] */
    double *a;         /* [n * n] by columns, lower triangle */
    double *scale;     /* [n] */
    double *row_max;   /* [n] */
    double *work;      /* [lwork] */
} state;

static peri_status workspace(state *s)
{
    double size = 0;
    const lapack_int query = -1;
    lapack_int info = 0;
    LAPACK_dsytrf("L", &s->n, s->a, &s->n, s->pivot, &size, &query, &info);
    s->lwork = info == 0 && size >= 1 ? (lapack_int)size : s->n;
    return PERI_OK;
}

static peri_status analyse(void *self, peri_run *run, const void *opt, const peri_pattern *pattern)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->pattern = pattern;
    if (pattern->cols > s->opt.largest) {
        char text[160];
        snprintf(text, sizeof text,
                 "%lld unknowns are more than the option \"largest\" allows (%lld); use a sparse solver",
                 (long long)pattern->cols, (long long)s->opt.largest);
        return peri_fail(run, PERI_E_UNSUPPORTED, text);
    }
    s->n = (lapack_int)pattern->cols;
    s->pivot = peri_alloc_bytes(run, (size_t)s->n, sizeof *s->pivot);
    if (s->pivot == NULL)
        return PERI_E_NOMEM;
    TRY(peri_alloc(run, (int64_t)s->n * s->n, &s->a));
    TRY(peri_alloc(run, s->n, &s->scale));
    TRY(peri_alloc(run, s->n, &s->row_max));
    TRY(workspace(s));
    return peri_alloc(run, s->lwork, &s->work);
}

/* Rows and columns divided by the root of the row's largest entry, until all of those are near 1 (Ruiz 2001). */
static void equilibrate(state *s, const double *val)
{
    const int64_t *start = s->pattern->start, *index = s->pattern->index;
    for (int64_t j = 0; j < s->n; j++)
        s->scale[j] = 1;
    for (int pass = 0; pass < 8; pass++) {
        double worst = 0;
        memset(s->row_max, 0, (size_t)s->n * sizeof *s->row_max);
        for (int64_t j = 0; j < s->n; j++)
            for (int64_t k = start[j]; k < start[j + 1]; k++) {
                const int64_t i = index[k];
                const double v = fabs(val[k]) * s->scale[i] * s->scale[j];
                s->row_max[i] = fmax(s->row_max[i], v);
                s->row_max[j] = fmax(s->row_max[j], v);
            }
        for (int64_t j = 0; j < s->n; j++)
            if (s->row_max[j] > 0) {
                s->scale[j] /= sqrt(s->row_max[j]);
                worst = fmax(worst, fabs(1 - s->row_max[j]));
            }
        if (worst < 0.1)
            break;
    }
}

static void fill(state *s, const double *val)
{
    const int64_t *start = s->pattern->start, *index = s->pattern->index;
    const int64_t n = s->n;
    memset(s->a, 0, (size_t)(n * n) * sizeof *s->a);
    for (int64_t j = 0; j < n; j++)
        for (int64_t k = start[j]; k < start[j + 1]; k++)
            s->a[j * n + index[k]] = val[k] * s->scale[index[k]] * s->scale[j];
}

/* The signs of D's blocks, Sylvester's law. A block of two has eigenvalues p, q with p q = det and p + q = trace. */
static peri_inertia count_signs(const state *s)
{
    const int64_t n = s->n;
    const double zero = s->opt.singular;
    peri_inertia count = {0, 0, 0};
    for (int64_t k = 0; k < n; k++) {
        double p = s->a[k * n + k], q = p;
        const bool pair = s->pivot[k] < 0;
        if (pair) {
            const double off = s->a[k * n + k + 1], other = s->a[(k + 1) * n + k + 1];
            const double middle = 0.5 * (p + other), radius = hypot(0.5 * (p - other), off);
            p = middle + radius;
            q = middle - radius;
            k++;
        }
        for (int i = 0; i <= (pair ? 1 : 0); i++) {
            const double d = i == 0 ? p : q;
            *(d > zero ? &count.positive : d < -zero ? &count.negative : &count.zero) += 1;
        }
    }
    return count;
}

static peri_status factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    state *s = self;
    lapack_int info = 0;
    equilibrate(s, val);
    fill(s, val);
    const int threads = blas_enter();
    LAPACK_dsytrf("L", &s->n, s->a, &s->n, s->pivot, s->work, &s->lwork, &info);
    blas_leave(threads);
    if (info < 0)
        return peri_fail(run, PERI_E_INTERNAL, "dsytrf refused an argument");
    *inertia = count_signs(s);
    if (inertia->zero == 0)
        return PERI_OK;
    char text[96];
    snprintf(text, sizeof text, "the matrix is singular: %lld of %lld pivots are zero", (long long)inertia->zero,
             (long long)s->n);
    return peri_fail(run, PERI_E_NUMERIC, text);
}

static peri_status solve(void *self, peri_run *run, double *b)
{
    state *s = self;
    const lapack_int one = 1;
    lapack_int info = 0;
    for (int64_t i = 0; i < s->n; i++)
        b[i] *= s->scale[i];
    const int threads = blas_enter();
    LAPACK_dsytrs("L", &s->n, &one, s->a, &s->n, s->pivot, b, &s->n, &info);
    blas_leave(threads);
    for (int64_t i = 0; i < s->n; i++)
        b[i] *= s->scale[i];
    return info == 0 ? PERI_OK : peri_fail(run, PERI_E_INTERNAL, "dsytrs refused an argument");
}

static const char PAGE[] =
    "Factorises A = S^-1 P L D L' P' S^-1 with dense storage, D of blocks of one and two (Bunch and Kaufman's diagonal "
    "pivoting,\n"
    "LAPACK's dsytrf in OpenBLAS), after scaling rows and columns to a largest entry of about 1. Any symmetric matrix; "
    "the inertia\n"
    "is that of D and exact up to rounding: a pivot of size \"singular\" or less counts as zero, and the matrix as "
    "singular.\n"
    "\n"
    "Work n^3/3, memory 8 n^2 bytes: for systems of up to some hundred unknowns, or dense ones. The engine chooses it "
    "for\n"
    "small systems. It has no iterative refinement of its own; the pivoting is stable and cannot be strengthened.";

static const peri_linear_solver_ops OPS = {.analyse = analyse, .factor = factor, .solve = solve};

static const peri_plugin LAPACK = {
    PERI_LINEAR_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "lapack",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0 AND BSD-3-Clause",
    .summary = "dense symmetric indefinite factorisation with Bunch-Kaufman pivoting",
    .page = PAGE,
    .reference = "Bunch and Kaufman 1977, Math. Comp. 31:163; Anderson et al., LAPACK Users' Guide, 3rd ed. 1999; Ruiz "
                 "2001, RAL-TR-2001-034",
    .gives = PERI_GIVES_INERTIA,
    .flags = PERI_FLAG_INDEFINITE | PERI_FLAG_QUASIDEFINITE | PERI_FLAG_DEFINITE | PERI_FLAG_DENSE,
    .rank = 10,
};

static const peri_plugin *const ALL[] = {&LAPACK, NULL};
PERI_PLUGIN(ALL)
