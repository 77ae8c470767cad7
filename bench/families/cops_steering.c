/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cops_steering - particle steering of stdlib/perigee/cops/control.lua by hand. Data: nh. Variables u, x1 ... x4 at nh + 1 points and tf; rows by block,
 * with q = tf / (2 nh) and a = 100,
 *   x1: rate x3,  x2: rate x4,  x3: rate a cos u,  x4: rate a sin u;   x[k+1] - x[k] - q (rate[k+1] + rate[k])
 */
#include "pattern.h"

typedef struct {
    int64_t nh, np;
    pattern jac, hess;
    real *cosine, *sine; /* [np] scratch: a cos u, a sin u */
} steering;

static const double thrust = 100.0;

static void make_patterns(steering *c)
{
    /* rows that the columns of a variable meet: blocks, ascending */
    static const int blocks[5][2] = {{2, 3}, {0, -1}, {1, -1}, {0, 2}, {1, 3}};
    const int64_t nh = c->nh, np = c->np;
    pattern_room(&c->jac, 5 * np + 1);
    pattern_room(&c->hess, 5 * np + 1);
    for (int64_t v = 0; v < 5; v++)
        for (int64_t k = 0; k < np; k++) {
            for (int b = 0; b < 2 && blocks[v][b] >= 0; b++)
                pattern_steps(&c->jac, blocks[v][b] * nh, nh, k);
            pattern_column_ends(&c->jac);
            if (v == 0)
                pattern_row(&c->hess, k);
            if (v == 0 || v >= 3)
                pattern_row(&c->hess, 5 * np);
            pattern_column_ends(&c->hess);
        }
    for (int64_t i = 0; i < 4 * nh; i++)
        pattern_row(&c->jac, i);
    pattern_column_ends(&c->jac);
    pattern_column_ends(&c->hess);
}

static void steering_close(family *p)
{
    steering *c = p->own;
    pattern_free(&c->jac);
    pattern_free(&c->hess);
    free(c->cosine);
    free(c->sine);
    free(c);
}

static bool steering_open(const family_data *data, family *p)
{
    steering *c = calloc(1, sizeof *c);
    if (c == NULL || data->count < 1) {
        free(c);
        return false;
    }
    c->nh = (int64_t)data->at[0][0];
    c->np = c->nh + 1;
    c->cosine = calloc((size_t)c->np, sizeof *c->cosine);
    c->sine = calloc((size_t)c->np, sizeof *c->sine);
    make_patterns(c);
    *p = (family){5 * c->np + 1, 4 * c->nh, c->jac.start, c->jac.index, c->hess.start, c->hess.index, c};
    if (!c->jac.failed && !c->hess.failed && c->cosine != NULL && c->sine != NULL)
        return true;
    steering_close(p);
    return false;
}

static real steering_value(const family *p, const real *x)
{
    return x[p->n - 1];
}

static real steering_gradient(const family *p, const real *x, real *g)
{
    memset(g, 0, (size_t)p->n * sizeof *g);
    g[p->n - 1] = 1.0;
    return x[p->n - 1];
}

static void controls(const steering *c, const real *restrict u, real *restrict cosine, real *restrict sine)
{
    for (int64_t k = 0; k < c->np; k++) {
        cosine[k] = thrust * cos(u[k]);
        sine[k] = thrust * sin(u[k]);
    }
}

static void steering_constraints(const family *p, const real *restrict x, real *restrict out)
{
    const steering *c = p->own;
    const int64_t nh = c->nh, np = c->np;
    const real *x1 = x + np, *x2 = x1 + np, *x3 = x2 + np, *x4 = x3 + np, q = 0.5 * x[5 * np] / (double)nh;
    const real *cosine = c->cosine, *sine = c->sine;
    controls(c, x, c->cosine, c->sine);
    for (int64_t k = 0; k < nh; k++) {
        out[k] = x1[k + 1] - x1[k] - q * (x3[k + 1] + x3[k]);
        out[nh + k] = x2[k + 1] - x2[k] - q * (x4[k + 1] + x4[k]);
        out[2 * nh + k] = x3[k + 1] - x3[k] - q * (cosine[k + 1] + cosine[k]);
        out[3 * nh + k] = x4[k + 1] - x4[k] - q * (sine[k + 1] + sine[k]);
    }
}

static void difference_columns(int64_t nh, real *restrict val)
{
    for (int64_t k = 0; k < nh; k++) {
        val[2 * k] = -1.0;
        val[2 * k + 1] = 1.0;
    }
}

/* The columns of x3 or x4: in their rate's block -q, in their own 1 and -1. */
static void velocity_columns(int64_t nh, real q, real *restrict val)
{
    val[0] = -q;
    val[1] = -1.0;
    for (int64_t k = 1; k < nh; k++) {
        real *o = val + 4 * k - 2;
        o[0] = o[1] = -q;
        o[2] = 1.0;
        o[3] = -1.0;
    }
    val[4 * nh - 2] = -q;
    val[4 * nh - 1] = 1.0;
}

static void steering_jacobian(const family *p, const real *restrict x, real *restrict val)
{
    const steering *c = p->own;
    const int64_t nh = c->nh, np = c->np;
    const double share = 0.5 / (double)nh;
    const real *x3 = x + 3 * np, *x4 = x3 + np, q = x[5 * np] * share;
    const real *cosine = c->cosine, *sine = c->sine;
    real *restrict by_tf = val + 16 * nh;
    controls(c, x, c->cosine, c->sine);
    val[0] = q * sine[0];
    val[1] = -q * cosine[0];
    for (int64_t k = 1; k < nh; k++) {
        real *o = val + 4 * k - 2;
        o[0] = o[1] = q * sine[k];
        o[2] = o[3] = -q * cosine[k];
    }
    val[4 * nh - 2] = q * sine[nh];
    val[4 * nh - 1] = -q * cosine[nh];
    difference_columns(nh, val + 4 * nh);
    difference_columns(nh, val + 6 * nh);
    velocity_columns(nh, q, val + 8 * nh);
    velocity_columns(nh, q, val + 12 * nh);
    for (int64_t k = 0; k < nh; k++) {
        by_tf[k] = -share * (x3[k + 1] + x3[k]);
        by_tf[nh + k] = -share * (x4[k + 1] + x4[k]);
        by_tf[2 * nh + k] = -share * (cosine[k + 1] + cosine[k]);
        by_tf[3 * nh + k] = -share * (sine[k + 1] + sine[k]);
    }
}

/* w1 ... w4: sums of the multipliers of the point's steps. */
static inline void hessian_point(double *restrict val, int64_t np, int64_t k, double u, double tf, double share, double w1, double w2,
                                 double w3, double w4)
{
    const double c = thrust * cos(u), s = thrust * sin(u);
    val[2 * k] = share * tf * (w3 * c + w4 * s);
    val[2 * k + 1] = share * (w3 * s - w4 * c);
    val[2 * np + k] = -share * w1;
    val[3 * np + k] = -share * w2;
}

static void steering_hessian(const family *p, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    const steering *c = p->own;
    const int64_t nh = c->nh, np = c->np;
    const double tf = x[5 * np], share = 0.5 / (double)nh, *w2 = w + nh, *w3 = w2 + nh, *w4 = w3 + nh;
    (void)sigma; /* f is linear */
    hessian_point(val, np, 0, x[0], tf, share, w[0], w2[0], w3[0], w4[0]);
    for (int64_t k = 1; k < nh; k++)
        hessian_point(val, np, k, x[k], tf, share, w[k - 1] + w[k], w2[k - 1] + w2[k], w3[k - 1] + w3[k], w4[k - 1] + w4[k]);
    hessian_point(val, np, nh, x[nh], tf, share, w[nh - 1], w2[nh - 1], w3[nh - 1], w4[nh - 1]);
}

const family_functions family_exported = {.open = steering_open, .close = steering_close, .value = steering_value,
    .gradient = steering_gradient, .constraints = steering_constraints, .jacobian = steering_jacobian, .hessian = steering_hessian};
