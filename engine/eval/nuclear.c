/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nuclear.c - the nuclear norm as a function called by expressions: singular values by LAPACK, gradient U V' over those that are not zero (a
 * subgradient where some are). Workspace is allotted when the expression is made. Source: Watson 1992, Linear Algebra Appl. 170:33.
 */
#include "eval/nuclear.h"
#include "eval/blas.h"
#include <float.h>
#include <string.h>

typedef struct {
    eval_blas blas;
    int m, n, k, work_size; /* of the matrix by columns: m = the expression's columns */
    double *a, *s, *u, *vt, *work;
    int *integers;
} nuclear;

/* ret LAPACK's info */
static int decompose(nuclear *d, const char *vectors, const double *x)
{
    int info = 0;
    memcpy(d->a, x, (size_t)d->m * (size_t)d->n * sizeof *x);
    d->blas.gesdd(vectors, &d->m, &d->n, d->a, &d->m, d->s, d->u, &d->m, d->vt, &d->k, d->work, &d->work_size, d->integers, &info, 1);
    return info;
}

static int value(void *ud, int64_t n, const double *x, double *f)
{
    nuclear *d = ud;
    (void)n;
    if (decompose(d, "N", x) != 0)
        return 1;
    *f = 0;
    for (int l = 0; l < d->k; l++)
        *f += d->s[l];
    return 0;
}

static int gradient(void *ud, int64_t n, const double *x, double *g)
{
    nuclear *d = ud;
    (void)n;
    if (decompose(d, "S", x) != 0)
        return 1;
    const double zero = (d->m > d->n ? d->m : d->n) * DBL_EPSILON * d->s[0];
    for (int j = 0; j < d->n; j++)
        for (int i = 0; i < d->m; i++) {
            double sum = 0;
            for (int l = 0; l < d->k && d->s[l] > zero; l++)
                sum += d->u[(size_t)l * (size_t)d->m + (size_t)i] * d->vt[(size_t)j * (size_t)d->k + (size_t)l];
            g[(size_t)j * (size_t)d->m + (size_t)i] = sum;
        }
    return 0;
}

static bool allot(expr_graph *g, nuclear *d)
{
    const size_t k = (size_t)d->k;
    d->work_size = 4 * d->k * d->k + 7 * d->k + (d->m > d->n ? d->m : d->n);
    d->a = arena_array(&g->data, (size_t)d->m * (size_t)d->n, sizeof *d->a);
    d->s = arena_array(&g->data, k, sizeof *d->s);
    d->u = arena_array(&g->data, k * (size_t)d->m, sizeof *d->u);
    d->vt = arena_array(&g->data, k * (size_t)d->n, sizeof *d->vt);
    d->work = arena_array(&g->data, (size_t)d->work_size, sizeof *d->work);
    d->integers = arena_array(&g->data, 8 * k, sizeof *d->integers);
    return d->a != NULL && d->s != NULL && d->u != NULL && d->vt != NULL && d->work != NULL && d->integers != NULL;
}

peri_status eval_norm_nuclear(expr_graph *g, expr_id e, expr_id *out)
{
    const int rows = expr_at(g, e)->rows, cols = expr_at(g, e)->cols;
    nuclear *d = arena_alloc(&g->data, sizeof *d);
    if (d == NULL)
        return FAIL_NOMEM(g->ctx);
    *d = (nuclear){.m = cols, .n = rows, .k = rows < cols ? rows : cols};
    if (d->k > 15000)
        return FAIL(g->ctx, PERI_E_SHAPE, "norm_nuclear: a %d x %d matrix is too large", rows, cols);
    if (!eval_blas_open(g->ctx, &d->blas))
        return FAIL(g->ctx, PERI_E_UNSUPPORTED, "norm_nuclear: needs the library OpenBLAS, which is not installed");
    if (!allot(g, d))
        return FAIL_NOMEM(g->ctx);
    const peri_function fn = {.name = "norm_nuclear", .ud = d, .value = value, .gradient = gradient, .nonsmooth = true};
    return expr_call(g, &fn, e, out);
}
