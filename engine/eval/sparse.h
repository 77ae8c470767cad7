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
    int64_t at;       /* in `col` and `value` */
    int32_t first, n; /* in `row` */
    int64_t length;
} sparse_run;

/* Runs in blocks; within a block, rows are in order of their lengths, so that the processor foresees the ends of its loops. */
typedef struct {
    int64_t n_blocks, n_runs, n_rows, n;
    int32_t *block;   /* [n_blocks + 1] in `runs` */
    sparse_run *runs;
    int32_t *row;     /* [n_rows] */
    uint16_t *narrow; /* [n] columns */
    int32_t *wide;    /* instead, where two bytes do not count them */
    double *value;    /* [n] NULL: 1 */
} sparse_runs;

/*
 * Some entries of all rows. A near row is added up at once: a block is some neighbouring rows. A far row has many entries in each piece of the
 * vector and is added up piece by piece: a block is a share of the far rows in one piece, columns count from the piece's first one.
 */
typedef struct {
    sparse_runs near, far;  /* far: block [share n_pieces + piece] */
    double *near_factor;    /* as near.row; NULL: 1 */
    int64_t n_far, n_pieces, n_shares;
    int32_t *far_row;       /* [n_far] */
    double *far_factor;     /* [n_far] NULL: 1 */
    int32_t *share;         /* [n_shares + 1] in far_row */
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
