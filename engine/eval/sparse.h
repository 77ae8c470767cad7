/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse.h - inside engine/eval only: a sparse constant laid out for products with vectors. An entry costs two bytes where it can: the number of its
 * column, within a piece of the vector that stays in the first cache; its value is read only where it differs from the row's others. Made
 * once for each constant of a graph, in the graph's memory, and shared by all programs.
 */
#ifndef PERI_EVAL_SPARSE_H
#define PERI_EVAL_SPARSE_H

#include "base/pool.h"
#include "expr/graph.h"

/* Rows of one length, whose entries follow each other. */
typedef struct {
    int64_t at;             /* in `index` and `value` */
    int32_t first, n;       /* in `row` and `factor` */
    int64_t length;
} sparse_run;

/*
 * Some entries of all rows. A near row is added up at once. A far row has many entries in each piece of the vector: they are added up piece by piece, all
 * rows in turn.
 */
typedef struct {
    int64_t n_runs, n_windows;
    sparse_run *runs;
    int32_t *window;        /* [n_windows + 1] in `runs`: rows that are neighbours */
    int32_t *row;           /* of the runs, then of the far rows */
    double *factor;         /* as `row`; NULL: 1 */
    uint16_t *narrow;       /* columns of the near rows' entries; NULL where there are too many columns */
    int32_t *wide;          /* instead */
    double *value;          /* of the near rows' entries, then of the far rows'; NULL: 1 */
    int64_t n_near, near_entries; /* rows; entries */
    int64_t n_far, n_pieces, n_shares;
    int32_t *start;         /* [n_pieces n_far + 1] in `far`: of each piece's rows */
    uint16_t *far;          /* columns of the far rows' entries, from the piece's first one on */
    int32_t *share;         /* [n_shares + 1] far rows that one thread takes */
} sparse_part;

enum { SPARSE_PIECE = 4096 }; /* numbers of the vector */

/* out = even (scale x) + uneven x. Rows with uneven entries alone are stored by `uneven`, the others by `even` first. */
typedef struct eval_sparse {
    int64_t rows, cols, nnz;
    double *scale;          /* [cols] NULL: 1 */
    sparse_part even, uneven;
    unsigned char *adds;    /* [rows] of uneven: to what is there; NULL: none */
} eval_sparse;

/* sparse_layout.c: the layout of constant number `ref` of g. PERI_E_NOMEM */
peri_status eval_sparse_of(expr_graph *g, int64_t ref, const eval_sparse **out);

/*
 * sparse.c: out [rows] = the matrix times x [cols], on so many threads of the pool; work [cols] where there are scales. A row's sum is in one order,
 * whatever the processor and the threads: four partial sums a piece.
 */
void eval_sparse_times(const eval_sparse *a, const double *x, double *work, double *out, thread_pool *pool, int32_t threads);
int64_t eval_sparse_tasks(const eval_sparse *a); /* that could be shared out; 1: not worth it */

#endif
