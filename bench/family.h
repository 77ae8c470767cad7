/* SPDX-License-Identifier: Apache-2.0 */
/*
 * family.h - what a hand-written family exports: its sizes, its patterns and its functions, so that the driver can compare them with the
 * engine's entry by entry and time both. The file is compiled twice: as it is, to be timed; and with FAMILY_COMPLEX, where `real` is a complex
 * number, so that values, gradient and Jacobian give an independent derivative by a complex step (along.c). Functions of `real` must therefore be
 * analytic as written: no fabs, no comparisons but through REAL_PART. <tgmath.h> supplies exp, sin, pow, ... for both.
 *
 * Order and signs: variables and constraints in the order in which the model declares them; f is what is minimized (the negative of
 * what a model maximizes); the Jacobian's values by columns (CSC, rows ascending), the Hessian's those of the lower triangle of
 * sigma hess f + sum w_i hess c_i, likewise.
 */
#ifndef PERI_BENCH_FAMILY_H
#define PERI_BENCH_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <tgmath.h>
#undef I

#ifdef FAMILY_COMPLEX
typedef double _Complex real;
#define REAL_PART(z) creal(z)
#else
typedef double real;
#define REAL_PART(z) (z)
#endif

/* The arrays that the Lua file handed over as `data`, in its order; numbers are arrays of length 1. */
typedef struct {
    int64_t count;
    const int64_t *length;   /* [count] */
    const double *const *at; /* [count] */
} family_data;

typedef struct {
    int64_t n, m;
    const int64_t *jac_start, *jac_index;   /* [n + 1], [nnz]; NULL where there is no Jacobian */
    const int64_t *hess_start, *hess_index; /* lower triangle; NULL where there is no Hessian */
    void *own;                              /* whatever the functions need */
} family;

/* Any function but open, close and value may be NULL: it is left out. Each writes all of its output. */
typedef struct {
    bool (*open)(const family_data *data, family *p); /* false: the data do not fit, or memory is out */
    void (*close)(family *p);
    real (*value)(const family *p, const real *x);
    real (*gradient)(const family *p, const real *x, real *g); /* value and gradient */
    void (*constraints)(const family *p, const real *x, real *c);
    void (*jacobian)(const family *p, const real *x, real *val);
    void (*hessian)(const family *p, const double *x, double sigma, const double *w, double *val);
    void (*jv)(const family *p, const double *x, const double *v, double *jv);
    void (*vj)(const family *p, const double *x, const double *w, double *vj);
    void (*hv)(const family *p, const double *x, double sigma, const double *w, const double *v, double *hv);
} family_functions;

extern const family_functions family_exported;

/*
 * along.c, in the complex library: derivatives at x in the direction v, by a complex step through the functions above.
 *   df = grad f v,  dc [m] = J v,  dl [n] = (sigma hess f + sum w_i hess c_i) v, from gradient and Jacobian; any may be NULL
 */
typedef struct family_stepper family_stepper;
family_stepper *family_stepper_open(const family_data *data); /* NULL: see open */
void family_stepper_close(family_stepper *s);
void family_along(family_stepper *s, const double *x, const double *v, double sigma, const double *w, double *df, double *dc,
                  double *dl);

#endif
