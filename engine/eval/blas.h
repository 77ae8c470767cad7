/* SPDX-License-Identifier: Apache-2.0 */
/* blas.h - inside engine/eval only: the few functions of OpenBLAS that array operations use, found at run time. */
#ifndef PERI_EVAL_BLAS_H
#define PERI_EVAL_BLAS_H

#include "base/mem.h"

typedef struct eval_blas {
    /* the C interface: order, transposition of a and b, sizes, factors */
    void (*gemm)(int order, int flip_a, int flip_b, int m, int n, int k, double alpha, const double *a, int lda, const double *b,
                 int ldb, double beta, double *c, int ldc);
    void (*gemv)(int order, int flip, int m, int n, double alpha, const double *a, int lda, const double *x, int incx, double beta,
                 double *y, int incy);
    /* the Fortran interface of LAPACK: matrices by columns */
    void (*getrf)(const int *m, const int *n, double *a, const int *lda, int *pivots, int *info);
    void (*getrs)(const char *trans, const int *n, const int *nrhs, const double *a, const int *lda, const int *pivots, double *b,
                  const int *ldb, int *info, size_t trans_length);
    void (*gesdd)(const char *vectors, const int *m, const int *n, double *a, const int *lda, double *s, double *u, const int *ldu,
                  double *vt, const int *ldvt, double *work, const int *work_size, int *integers, int *info, size_t vectors_length);
} eval_blas;

/* Filled in from the library, which stays open and is set to the context's number of threads; false: it is not there. */
bool eval_blas_open(const peri_context *ctx, eval_blas *blas);

#endif
