/* SPDX-License-Identifier: Apache-2.0 */
/* compare.h - how far arrays and sparse matrices are apart, and reading of the data that a family was handed. Includes nothing of the engine. */
#ifndef PERI_BENCH_COMPARE_H
#define PERI_BENCH_COMPARE_H

#include "family.h"

/* A sparse matrix by columns, rows ascending. */
typedef struct {
    int64_t cols;
    const int64_t *start, *index;
    const double *val;
} sparse_view;

/*
 * The largest difference of two entries, relative to the larger of them and the mean magnitude of b's: an entry that is small because
 * larger ones cancel in it is not asked for digits that it cannot have. Not finite: infinity.
 */
double compare_arrays(int64_t n, const double *a, const double *b);
/* The same for two matrices whose patterns may differ: what is not stored is 0. */
double compare_sparse(const sparse_view *a, const sparse_view *b);
/*
 * A v, or (symmetric: A is a lower triangle) all of it, and in `size` the same sums of magnitudes, against which errors are measured:
 * the largest |product - want| / size.
 */
double compare_product(const sparse_view *a, bool symmetric, const double *v, int64_t rows, const double *want, double *product,
                       double *size);

/* The file that main.lua writes: the number of arrays, then each one's length and entries. NULL: it cannot be read. */
family_data *data_read(const char *path);
void data_free(family_data *data);

#endif
