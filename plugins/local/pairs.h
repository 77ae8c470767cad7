/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pairs.h - the limited memory: the last pairs s = x+ - x, y = g+ - g, and the matrix they stand for in compact form
 *     B = theta I - W inv(K) W',   W = [y_i / sqrt(y_i's_i) | theta s_i / sqrt(y_i's_i)]   [n x 2k]
 *     K = [-I, L'; L, theta S'S]   L strictly lower, S'Y, both scaled as W
 * (Byrd, Nocedal and Schnabel 1994, theorem 2.3, with columns scaled so that y_i's_i = 1).
 */
#ifndef PERI_PLUGIN_PAIRS_H
#define PERI_PLUGIN_PAIRS_H

#define PERI_PLUGIN_PARTS
#include "local.h"

typedef struct {
    double s[3], y[3]; /* products of a column of S, of Y, with the new s, the new y, and d */
} pairs_products;

typedef struct {
    int64_t n, most, count; /* most: pairs kept; count: now */
    double **s, **y;        /* [most + 1] columns [n]; 0 .. count-1 oldest first, the column `count` is free */
    double *ss, *sy, *yy;   /* [(most + 1)^2] s_i's_j, s_i'y_j, y_i'y_j; row i, column j */
    double *part_ss, *part_sy, *part_yy; /* the same over some of the variables */
    double theta;
    double *unit;                    /* [most + 1] 1 / sqrt(y_i's_i) */
    double *sd, *yd;                 /* [most + 1] s_i'd and y_i'd of the last pass */
    double *kkt, *part;              /* [(2 most)^2] K and its reduced form, factorised */
    int64_t *kkt_pivot, *part_pivot; /* [2 most] */
    pairs_products *sums;            /* [most + 1] of a pass */
    double *rows;                    /* [2 most x PAIRS_BLOCK] scratch */
} pairs;

enum { PAIRS_BLOCK = 64 };

peri_status pairs_init(pairs *p, peri_run *run, int64_t n, int64_t most);
void pairs_clear(pairs *p);
/* all of it to or from a checkpoint */
peri_status pairs_transfer(pairs *p, peri_run *run);

/*
 * pairs_update - the free column becomes the pair of two points; d is set to the downhill direction at the new one;
 * then all the products that follow from both, in one pass over the memory. The pair is kept if its curvature is
 * positive. in   fresh  false: only d and its products out  d      [n] -g, but 0 where the bound is in the way out  dd
 * d'd ret  whether the pair was kept
 */
bool pairs_update(pairs *p, const local_box *box, bool fresh, const double *x, const double *g, const double *x_old,
                  const double *g_old, double *d, double *dd);

/* w := W' d of the last pass;  [2 count] */
void pairs_project(const pairs *p, double *w);
/* w := W_F' v over the variables F with is_free */
void pairs_project_free(const pairs *p, const unsigned char *is_free, const double *v, double *w);
/* row i of W */
void pairs_row(const pairs *p, int64_t i, double *w);
/* v := a v + W z;  z is used up */
void pairs_combine(const pairs *p, double a, double *z, double *v);

/* K factorised;  false: singular */
bool pairs_factor(pairs *p);
/* w := inv(K) w */
void pairs_middle(const pairs *p, double *w);

/*
 * pairs_reduce - K - W_F'W_F / theta factorised, F the n_free variables with is_free (NULL: all)
 *   ret  false: singular
 */
bool pairs_reduce(pairs *p, const unsigned char *is_free, int64_t n_free);
/* w := inv(K - W_F'W_F / theta) w */
void pairs_reduced(const pairs *p, double *w);
/* w := W_F'W_F u for the F of pairs_reduce */
void pairs_gram(const pairs *p, const double *u, double *w);

#endif
