/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blas.h - one BLAS thread inside a factorisation. Systems of the size met here gain nothing from more, sums would
 * depend on their number, and a host that uses OpenBLAS for itself gets its own number back.
 */
#ifndef PERI_PLUGIN_LINEAR_BLAS_H
#define PERI_PLUGIN_LINEAR_BLAS_H

int openblas_get_num_threads(void);
void openblas_set_num_threads(int threads);

static inline int blas_enter(void)
{
    const int threads = openblas_get_num_threads();
    if (threads != 1)
        openblas_set_num_threads(1);
    return threads;
}

static inline void blas_leave(int threads)
{
    if (threads != 1)
        openblas_set_num_threads(threads);
}

#endif
