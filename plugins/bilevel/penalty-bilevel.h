/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penalty-bilevel.h - the state of penalty-bilevel, and its two loops. Points are vectors of all n variables: w = (x, y), z = (x, z), so that the
 * lower level's two copies differ in its own variables alone.
 */
#ifndef PERI_PLUGIN_PENALTY_BILEVEL_H
#define PERI_PLUGIN_PENALTY_BILEVEL_H

#include "two_level.h"

typedef struct {
    double sigma, sigma_start, sigma_power, alpha, alpha_per_sigma, gamma, rho, beta, eta_min, eta_power, residual, lower_residual, polish;
    int64_t inner, batch, outer_batch, window;
    int32_t loop, prox, shared;
} options;

enum { LOOP_DOUBLE, LOOP_SINGLE };
enum { PROX_AUTO, PROX_ON, PROX_OFF };

/* An estimate of a gradient: of the upper objective at w, the lower one's at w, the lower one's at z. */
enum { OF_F, OF_Y, OF_Z, ESTIMATES };

typedef struct {
    options opt;
    two_level t;
    peri_run *run, *upper; /* upper: its level's view, of which samples can be taken */
    peri_projection *set_x, *set_y; /* NULL: bounds alone */
    double *w, *z;            /* [n] */
    double *w_old, *z_old;    /* [n] of the step before */
    double *w_try, *z_try;    /* [n] u and v of the double loop; the next points of the single one */
    double *centre_y, *centre_z; /* [n] of the proximal terms */
    double *g[ESTIMATES], *e[ESTIMATES]; /* [n] gradients; their running estimates */
    double *work; /* [4 n] */
    double F, f_y, f_z;       /* values where g was evaluated last */
    double sigma, alpha, gamma, rho; /* rho infinite: no proximal term */
    double moved, mean, res_y, res_z; /* |x step| / alpha, its running mean; the proximal residuals */
    uint64_t sample;          /* the number of the next one */
    int64_t k, behind;        /* behind: steps that z has been worse than y */
    int32_t noisy;            /* samples are drawn */
} state;

/* Both: one step, w and z moved; *tag is set where something happened that the page tells of. */
peri_status double_step(state *s, char *tag);
peri_status single_step(state *s, char *tag);

/* penalty-bilevel.c: gradients of F at w and of f at w and z where those pointers are not NULL, with samples `key` (the others' + 1) of `batch` rows */
peri_status look(state *s, uint64_t key, int64_t batch, const double *w, const double *z);
/* the lower level's part of v, or the upper one's, onto its set */
peri_status to_lower_set(state *s, double *v);
peri_status to_upper_set(state *s, double *v);
double eta_of(const state *s);

#endif
