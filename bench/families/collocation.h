/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collocation.h - what cops_catmix and cops_particle share: the linear equations of stdlib/perigee/cops/collocation.lua with three stages. Of nh steps,
 * S states and stages j: variables v (nh x S), w, x, dx (nh x 3 S, entry 3 * ... stage j, state s at S j + s); rows by block of nh, for each (j, s)
 *   x[i][j][s] - v[i][s] - h sum_k point[j][k] w[i][k][s],     point[j][k] = tau_j^(k+1) / (k+1)!
 *   dx[i][j][s] - sum_k rate[j][k] w[i][k][s],                 rate[j][k] = tau_j^k / k!
 * then for each s: v[i+1][s] - v[i][s] - h sum_k end[k] w[i][k][s], nh - 1 rows; then the same for final[s], one row each.
 */
#ifndef PERI_BENCH_COLLOCATION_H
#define PERI_BENCH_COLLOCATION_H

#include "pattern.h"

enum { STAGES = 3 };

typedef struct {
    int64_t nh, states;
    double point[STAGES][STAGES], rate[STAGES][STAGES], end[STAGES];
} collocation;

static void collocation_set(collocation *c, int64_t nh, int64_t states)
{
    const double tau[STAGES] = {0.5 - sqrt(0.15), 0.5, 0.5 + sqrt(0.15)};
    static const double factorial[] = {1.0, 1.0, 2.0, 6.0};
    c->nh = nh;
    c->states = states;
    for (int k = 0; k < STAGES; k++) {
        c->end[k] = 1.0 / factorial[k + 1];
        for (int j = 0; j < STAGES; j++) {
            c->rate[j][k] = pow(tau[j], k) / factorial[k];
            c->point[j][k] = pow(tau[j], k + 1) / factorial[k + 1];
        }
    }
}

/* First rows of the blocks; x and dx alternate. */
static inline int64_t row_x(const collocation *c, int64_t j, int64_t s)
{
    return 2 * (j * c->states + s) * c->nh;
}

static inline int64_t row_dx(const collocation *c, int64_t j, int64_t s)
{
    return row_x(c, j, s) + c->nh;
}

static inline int64_t row_next(const collocation *c, int64_t s)
{
    return 2 * STAGES * c->states * c->nh + s * (c->nh - 1);
}

static inline int64_t row_final(const collocation *c)
{
    return row_next(c, c->states);
}

static inline int64_t row_rate(const collocation *c, int64_t j, int64_t s)
{
    return row_final(c) + c->states + (j * c->states + s) * c->nh;
}

static inline int64_t row_next_or_final(const collocation *c, int64_t i, int64_t s)
{
    return i < c->nh - 1 ? row_next(c, s) + i : row_final(c) + s;
}

/* ---- Jacobian: patterns of the columns of v, w, and of x, dx without their rates ------------------------------------------------------- */

static void pattern_v(const collocation *c, pattern *p, int64_t i, int64_t s)
{
    for (int64_t j = 0; j < STAGES; j++)
        pattern_row(p, row_x(c, j, s) + i);
    if (i > 0)
        pattern_row(p, row_next(c, s) + i - 1);
    pattern_row(p, row_next_or_final(c, i, s));
    pattern_column_ends(p);
}

static void pattern_w(const collocation *c, pattern *p, int64_t i, int64_t s)
{
    for (int64_t j = 0; j < STAGES; j++) {
        pattern_row(p, row_x(c, j, s) + i);
        pattern_row(p, row_dx(c, j, s) + i);
    }
    pattern_row(p, row_next_or_final(c, i, s));
    pattern_column_ends(p);
}

/* The values of v's columns. */
static real *values_v(const collocation *c, real *restrict val)
{
    for (int64_t i = 0; i < c->nh; i++)
        for (int64_t s = 0; s < c->states; s++) {
            val[0] = val[1] = val[2] = -1.0;
            if (i > 0)
                *(val++ + 3) = 1.0;
            val[3] = -1.0;
            val += 4;
        }
    return val;
}

/* Of w's columns, for a step h. */
static real *values_w(const collocation *c, real h, real *restrict val)
{
    real one[STAGES][7];
    for (int k = 0; k < STAGES; k++) {
        for (int j = 0; j < STAGES; j++) {
            one[k][2 * j] = -h * c->point[j][k];
            one[k][2 * j + 1] = -c->rate[j][k];
        }
        one[k][6] = -h * c->end[k];
    }
    for (int64_t i = 0; i < c->nh; i++)
        for (int k = 0; k < STAGES; k++)
            for (int64_t s = 0; s < c->states; s++, val += 7)
                for (int e = 0; e < 7; e++)
                    val[e] = one[k][e];
    return val;
}

/* ---- constraints --------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const real *v, *w, *x, *dx, *final;
} collocation_point;

static inline void equations(const collocation *c, int64_t states, const collocation_point *at, real h, real *restrict out)
{
    const int64_t nh = c->nh, cols = STAGES * states;
    for (int64_t i = 0; i < nh; i++) {
        const real *w = at->w + i * cols, *x = at->x + i * cols, *dx = at->dx + i * cols, *v = at->v + i * states;
        for (int64_t s = 0; s < states; s++) {
            const real w0 = w[s], w1 = w[states + s], w2 = w[2 * states + s];
            for (int j = 0; j < STAGES; j++) {
                real *block = out + 2 * (j * states + s) * nh + i;
                block[0] = x[j * states + s] - v[s] - h * (c->point[j][0] * w0 + c->point[j][1] * w1 + c->point[j][2] * w2);
                block[nh] = dx[j * states + s] - (c->rate[j][0] * w0 + c->rate[j][1] * w1 + c->rate[j][2] * w2);
            }
            const real next = i < nh - 1 ? v[states + s] : at->final[s];
            out[row_next_or_final(c, i, s)] = next - v[s] - h * (c->end[0] * w0 + c->end[1] * w1 + c->end[2] * w2);
        }
    }
}

#endif
