/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topo.h - what the parts of topo share. An order lists the nodes, parents first; edges go from earlier to later positions only. A pair (a, b) of
 * positions, a < b, stands for the edge order[b] -> order[a], which the order forbids and which an exchange would allow.
 */
#ifndef PERI_PLUGIN_TOPO_H
#define PERI_PLUGIN_TOPO_H

#define PERI_PLUGIN_PARTS
#include <perigee/plugin.h>

typedef enum { RANK_EXPONENTIAL, RANK_LOG_DETERMINANT, RANK_POLYNOMIAL, RANK_MODEL } topo_ranking;
typedef enum { RULE_SWAP, RULE_BEHIND, RULE_BEFORE } topo_rule;
typedef enum { ACCEPT_GREEDY, ACCEPT_BEST, ACCEPT_FIRST } topo_accept;
typedef enum { ORDER_AUTO, ORDER_START, ORDER_RANDOM } topo_first;

typedef struct {
    int64_t s_small, s_large, s0, starts, inner_iterations;
    double threshold, decrease, inner_tolerance;
    int32_t characterisation, swap_rule, accept_rule, order;
    const char *inner;
} topo_options;

typedef struct {
    double key, score; /* weight of the walks that the edge would close; objective of the exchange */
    int64_t a, b;
} topo_pair;

/* One Gram matrix for all columns: f = offset + 1/2 sum_k alpha_k r_k, r_k the residual variance of node k given those before it. */
typedef struct {
    double *s;        /* [d d] Gram matrix by nodes */
    double *alpha;    /* [d] of nodes */
    double *factor;   /* [d d] L by positions, lower: L L' = S in the order */
    double *residual; /* [d] by positions: L_kk^2 */
    double *block;    /* [d d] scratch of each lane */
    int64_t lanes;    /* that score pairs side by side */
    int64_t rank;     /* of S in the last order */
} topo_gram;

typedef struct topo_inner topo_inner; /* inner.c */

typedef struct {
    topo_options opt;
    const peri_acyclic *graph;
    int64_t n, d;
    int64_t *order, *trial, *place, *held; /* [d] held: the order before an improvement */
    double *w, *a, *walks, *work;   /* [d d] weights of the order's fit by nodes; by positions: |W| or W o W, walks; scratch */
    double *slope;                  /* [n] of weights that are linear in one variable */
    double *x, *best, *held_x, *y;  /* [n] the fit; of the best start; before an improvement; [m] */
    double offset;                  /* the objective is offset + score */
    double score, best_score;       /* at x; of the best start */
    double decrease;                /* relative, that counts */
    topo_pair *pair;                /* [d (d - 1) / 2] by rank */
    int64_t n_pairs, small, large;  /* sizes of the search spaces */
    topo_pair *better;              /* [large] exchanges that improve */
    unsigned char *taken;           /* [d] positions of accepted exchanges */
    int64_t start, large_used;
    bool has_gram;
    topo_gram gram;
    topo_inner *inner;              /* NULL where has_gram */
} topo;

/* order.c */
void order_random(const topo *t, peri_run *run, uint64_t stream, int64_t *order);
/* order of the weights w [d d], the smallest of which are taken away until no cycle is left (w is changed); true: some were */
bool order_of_weights(topo *t, double *w, int64_t *order);
/* trial := order with the positions a < b exchanged by the rule */
void order_exchange(topo_rule rule, int64_t d, const int64_t *order, int64_t a, int64_t b, int64_t *trial);
/* pair [n_pairs] := all pairs by ascending walks from order[a] to order[b]; first `count` and those equal to the last of them: ret how many */
void order_rank(topo *t);
int64_t order_ties(const topo *t, int64_t count);

/* gram.c */
peri_status gram_find(topo *t, peri_run *run, bool *found); /* in init */
void gram_fit(topo *t, int64_t from); /* factor from position `from` on, score, w, x */
double gram_score(const topo *t, int64_t lane, int64_t a, int64_t b, double enough); /* INFINITY where it is not below `enough` */

/* inner.c: any other objective, by inner problems; x of the run's start point at first */
peri_status inner_open(topo *t, peri_run *run);
peri_status inner_fit(topo *t, peri_run *run, int64_t from, int64_t to); /* score, x, w; nodes at positions from .. to have others before them */
peri_status inner_score(topo *t, peri_run *run, int64_t a, int64_t b, double enough, double *score);
bool inner_is_whole(const topo *t);
peri_status inner_transfer(topo *t, peri_run *run);

#endif
