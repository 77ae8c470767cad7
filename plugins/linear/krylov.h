/* SPDX-License-Identifier: Apache-2.0 */
/*
 * krylov.h - what the iterative solvers share: a matrix with values or an operator, its product, its preconditioner, how a solution begins
 * and the tests that end it. Invariants: a matrix is either a lower triangle with its diagonal (symmetric) or whole, an operator has neither;
 * a method's options begin with krylov_options, its state with a krylov_system.
 */
#ifndef PERI_PLUGIN_KRYLOV_H
#define PERI_PLUGIN_KRYLOV_H

#include <math.h>
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>

enum { KRYLOV_NONE, KRYLOV_DIAGONAL, KRYLOV_SSOR };

typedef struct {
    double residual;
    int64_t products;
    int32_t preconditioner;
} krylov_options;

typedef struct {
    krylov_options opt; /* products: the number that is meant by 0 */
    int64_t n;
    peri_pattern pattern;
    double *val, *scale; /* [nnz], [n] the diagonal; NULL for an operator */
    peri_operator op;    /* apply NULL: a matrix */
    bool whole, has_values;
    int64_t iterations; /* of the last solution */
} krylov_system;

PERI_MAYBE_UNUSED static void krylov_set(krylov_system *s, const void *opt, int64_t n)
{
    s->opt = *(const krylov_options *)opt;
    s->n = n;
    if (s->opt.products == 0)
        s->opt.products = n < 10 ? 100 : 10 * n;
}

PERI_MAYBE_UNUSED static peri_status krylov_open(krylov_system *s, peri_run *run, const void *opt, const peri_pattern *pattern, bool whole)
{
    krylov_set(s, opt, pattern->cols);
    s->pattern = *pattern;
    s->whole = whole;
    TRY(peri_alloc(run, pattern->nnz, &s->val));
    return peri_alloc(run, s->n, &s->scale);
}

PERI_MAYBE_UNUSED static void krylov_attach(krylov_system *s, const void *opt, const peri_operator *op)
{
    krylov_set(s, opt, op->n);
    s->op = *op;
    s->has_values = true;
}

/* The method's vectors, of n each. */
PERI_MAYBE_UNUSED static peri_status krylov_vectors(const krylov_system *s, peri_run *run, size_t count, double **const vectors[])
{
    for (size_t k = 0; k < count; k++)
        TRY(peri_alloc(run, s->n, vectors[k]));
    return PERI_OK;
}

PERI_MAYBE_UNUSED static void krylov_values(krylov_system *s, const double *val)
{
    const int64_t *start = s->pattern.start, *index = s->pattern.index;
    memcpy(s->val, val, (size_t)s->pattern.nnz * sizeof *val);
    for (int64_t j = 0; j < s->n; j++) {
        s->scale[j] = 0;
        for (int64_t k = start[j]; k < start[j + 1]; k++)
            if (index[k] == j)
                s->scale[j] = val[k];
    }
    s->has_values = true;
}

/* `factor` of methods that cannot tell the inertia */
PERI_MAYBE_UNUSED static peri_status krylov_factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    (void)run;
    krylov_values(self, val);
    *inertia = (peri_inertia){-1, -1, -1};
    return PERI_OK;
}

PERI_MAYBE_UNUSED static int64_t krylov_iterations(const void *self)
{
    return ((const krylov_system *)self)->iterations;
}

/* av = A v, or A'v */
PERI_MAYBE_UNUSED static peri_status krylov_multiply(const krylov_system *s, bool transposed, const double *v, double *av)
{
    const int64_t *start = s->pattern.start, *index = s->pattern.index;
    if (s->op.apply != NULL) {
        peri_status (*const apply)(void *, const double *, double *) = transposed ? s->op.apply_transposed : s->op.apply;
        return apply != NULL ? apply(s->op.ud, v, av) : PERI_E_UNSUPPORTED;
    }
    memset(av, 0, (size_t)s->n * sizeof *av);
    for (int64_t j = 0; j < s->n; j++) {
        double sum = 0;
        for (int64_t k = start[j]; k < start[j + 1]; k++) {
            const int64_t i = index[k];
            if (!s->whole || transposed)
                sum += s->val[k] * v[i];
            if ((s->whole && !transposed) || (!s->whole && i != j))
                av[i] += s->val[k] * v[j];
        }
        av[j] += sum;
    }
    return PERI_OK;
}

/* z = M^-1 r with M = (D + L) D^-1 (D + L'), from the lower triangle */
PERI_MAYBE_UNUSED static void krylov_ssor(const krylov_system *s, const double *r, double *z)
{
    const int64_t *start = s->pattern.start, *index = s->pattern.index;
    memcpy(z, r, (size_t)s->n * sizeof *z);
    for (int64_t j = 0; j < s->n; j++) {
        z[j] /= s->scale[j];
        for (int64_t k = start[j] + 1; k < start[j + 1]; k++)
            z[index[k]] -= s->val[k] * z[j];
    }
    for (int64_t j = s->n; j-- > 0;) {
        double sum = s->scale[j] * z[j];
        for (int64_t k = start[j] + 1; k < start[j + 1]; k++)
            sum -= s->val[k] * z[index[k]];
        z[j] = sum / s->scale[j];
    }
}

/* z is about A^-1 r;  definite: by a symmetric positive definite matrix */
PERI_MAYBE_UNUSED static peri_status krylov_precondition(const krylov_system *s, bool definite, const double *r, double *z)
{
    if (s->op.apply != NULL && s->op.precondition != NULL)
        return s->op.precondition(s->op.ud, r, z);
    if (s->scale != NULL && s->opt.preconditioner == KRYLOV_SSOR && !s->whole) {
        krylov_ssor(s, r, z);
        return PERI_OK;
    }
    for (int64_t i = 0; i < s->n; i++) {
        const double d = s->scale != NULL && s->opt.preconditioner != KRYLOV_NONE ? s->scale[i] : 1;
        z[i] = d == 0 ? r[i] : r[i] / (definite ? fabs(d) : d);
    }
    return PERI_OK;
}

PERI_MAYBE_UNUSED static double krylov_dot(int64_t n, const double *a, const double *b)
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int64_t k = 0;
    for (; k + 4 <= n; k += 4) {
        s0 += a[k] * b[k];
        s1 += a[k + 1] * b[k + 1];
        s2 += a[k + 2] * b[k + 2];
        s3 += a[k + 3] * b[k + 3];
    }
    for (; k < n; k++)
        s0 += a[k] * b[k];
    return (s0 + s1) + (s2 + s3);
}

/* r := b - A x (transposed: A'); ret its length. r may not be x or b. */
PERI_MAYBE_UNUSED static peri_status krylov_residual(const krylov_system *s, bool transposed, const double *b, const double *x, double *r,
                                                     double *length)
{
    TRY(krylov_multiply(s, transposed, x, r));
    for (int64_t i = 0; i < s->n; i++)
        r[i] = b[i] - r[i];
    *length = sqrt(krylov_dot(s->n, r, r));
    return PERI_OK;
}

PERI_MAYBE_UNUSED static bool krylov_stopped(peri_run *run, int64_t iteration)
{
    return iteration % 32 == 31 && PERI_HOST_HAS(should_stop) && peri_should_stop(run);
}

/* A solution begins: x = 0, r = b. */
PERI_MAYBE_UNUSED static peri_status krylov_begin(krylov_system *s, peri_run *run, const double *b, double *x, double *r)
{
    if (!s->has_values)
        return peri_fail(run, PERI_E_STATE, "solution asked for without a matrix");
    s->iterations = 0;
    memset(x, 0, (size_t)s->n * sizeof *x);
    memcpy(r, b, (size_t)s->n * sizeof *r);
    return PERI_OK;
}

PERI_MAYBE_UNUSED static peri_status krylov_too_slow(const krylov_system *s, peri_run *run, double residual, double size)
{
    char text[160];
    snprintf(text, sizeof text, "no convergence: relative residual %.1e after %lld iterations", size > 0 ? residual / size : residual,
             (long long)s->iterations);
    return peri_fail(run, PERI_E_NUMERIC, text);
}

#endif
