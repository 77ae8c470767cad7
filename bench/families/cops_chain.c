/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cops_chain - the hanging chain of stdlib/perigee/cops/shapes.lua by hand. Data: nh. Variables u, x1, x2, x3 at nh + 1 points; rows by block
 *   x1[k+1] - x1[k] - q (u[k+1] + u[k]),  x2[k+1] - x2[k] - q (e[k+1] + e[k]),  x3[k+1] - x3[k] - q (l[k+1] + l[k])
 * with l = sqrt(1 + u^2), e = x1 l, q = 1 / (2 nh).
 */
#include "pattern.h"

typedef struct {
    int64_t nh, np; /* steps, points */
    double q;
    pattern jac, hess;
    real *l, *e; /* [np] scratch */
} chain;

static void make_patterns(chain *c)
{
    const int64_t nh = c->nh, np = c->np;
    pattern_room(&c->jac, 4 * np);
    pattern_room(&c->hess, 4 * np);
    for (int64_t v = 0; v < 4; v++)
        for (int64_t k = 0; k < np; k++) {
            if (v <= 1)
                pattern_steps(&c->jac, 0, nh, k);
            if (v <= 2)
                pattern_steps(&c->jac, nh, nh, k);
            if (v == 0 || v == 3)
                pattern_steps(&c->jac, 2 * nh, nh, k);
            pattern_column_ends(&c->jac);
            if (v == 0) {
                pattern_row(&c->hess, k);
                pattern_row(&c->hess, np + k);
            }
            pattern_column_ends(&c->hess);
        }
}

static void chain_close(family *p)
{
    chain *c = p->own;
    pattern_free(&c->jac);
    pattern_free(&c->hess);
    free(c->l);
    free(c->e);
    free(c);
}

static bool chain_open(const family_data *data, family *p)
{
    chain *c = calloc(1, sizeof *c);
    if (c == NULL || data->count < 1) {
        free(c);
        return false;
    }
    c->nh = (int64_t)data->at[0][0];
    c->np = c->nh + 1;
    c->q = 0.5 / (double)c->nh;
    c->l = calloc((size_t)c->np, sizeof *c->l);
    c->e = calloc((size_t)c->np, sizeof *c->e);
    make_patterns(c);
    *p = (family){4 * c->np, 3 * c->nh, c->jac.start, c->jac.index, c->hess.start, c->hess.index, c};
    if (!c->jac.failed && !c->hess.failed && c->l != NULL && c->e != NULL)
        return true;
    chain_close(p);
    return false;
}

static real chain_value(const family *p, const real *x)
{
    const chain *c = p->own;
    return x[3 * c->np - 1];
}

static real chain_gradient(const family *p, const real *x, real *g)
{
    const chain *c = p->own;
    memset(g, 0, (size_t)p->n * sizeof *g);
    g[3 * c->np - 1] = 1.0;
    return x[3 * c->np - 1];
}

static void chain_constraints(const family *p, const real *restrict x, real *restrict out)
{
    const chain *c = p->own;
    const int64_t nh = c->nh, np = c->np;
    const real *u = x, *x1 = x + np, *x2 = x + 2 * np, *x3 = x + 3 * np;
    real *restrict l = c->l, *restrict e = c->e;
    const double q = c->q;
    for (int64_t k = 0; k < np; k++) {
        l[k] = sqrt(1.0 + u[k] * u[k]);
        e[k] = x1[k] * l[k];
    }
    for (int64_t k = 0; k < nh; k++) {
        out[k] = x1[k + 1] - x1[k] - q * (u[k + 1] + u[k]);
        out[nh + k] = x2[k + 1] - x2[k] - q * (e[k + 1] + e[k]);
        out[2 * nh + k] = x3[k + 1] - x3[k] - q * (l[k + 1] + l[k]);
    }
}

/* The columns of u: at a point the same value for the step before and the step after, in three blocks of rows. */
static void u_columns(const chain *c, const real *restrict u, const real *restrict x1, real *restrict val)
{
    const double q = c->q;
    const int64_t nh = c->nh;
    for (int64_t k = 1; k < nh; k++) {
        const real d = -q * u[k] / sqrt(1.0 + u[k] * u[k]);
        real *o = val + 6 * k - 3;
        o[0] = o[1] = -q;
        o[2] = o[3] = x1[k] * d;
        o[4] = o[5] = d;
    }
    for (int64_t k = 0; k <= nh; k += nh) {
        const real d = -q * u[k] / sqrt(1.0 + u[k] * u[k]);
        real *o = k == 0 ? val : val + 6 * k - 3;
        o[0] = -q;
        o[1] = x1[k] * d;
        o[2] = d;
    }
}

static void x1_columns(const chain *c, const real *restrict u, real *restrict val)
{
    const double q = c->q;
    const int64_t nh = c->nh;
    val[0] = -1.0;
    val[1] = -q * sqrt(1.0 + u[0] * u[0]);
    for (int64_t k = 1; k < nh; k++) {
        real *o = val + 4 * k - 2;
        o[0] = 1.0;
        o[1] = -1.0;
        o[2] = o[3] = -q * sqrt(1.0 + u[k] * u[k]);
    }
    val[4 * nh - 2] = 1.0;
    val[4 * nh - 1] = -q * sqrt(1.0 + u[nh] * u[nh]);
}

static void difference_columns(int64_t nh, real *restrict val)
{
    for (int64_t k = 0; k < nh; k++) {
        val[2 * k] = -1.0;
        val[2 * k + 1] = 1.0;
    }
}

static void chain_jacobian(const family *p, const real *restrict x, real *restrict val)
{
    const chain *c = p->own;
    const int64_t nh = c->nh;
    u_columns(c, x, x + c->np, val);
    x1_columns(c, x, val + 6 * nh);
    difference_columns(nh, val + 10 * nh);
    difference_columns(nh, val + 12 * nh);
}

/* a, b: the multipliers of the point's steps in the second and third block. */
static inline void curvature(double q, double u, double x1, double a, double b, double *out)
{
    const double r = 1.0 / (1.0 + u * u), s = -q * sqrt(r); /* -q / l */
    out[0] = (a * x1 + b) * s * r;
    out[1] = a * s * u;
}

static void chain_hessian(const family *p, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    const chain *c = p->own;
    const int64_t nh = c->nh;
    const double q = c->q, *x1 = x + c->np, *w2 = w + nh, *w3 = w + 2 * nh;
    (void)sigma; /* f is linear */
    curvature(q, x[0], x1[0], w2[0], w3[0], val);
    for (int64_t k = 1; k < nh; k++)
        curvature(q, x[k], x1[k], w2[k - 1] + w2[k], w3[k - 1] + w3[k], val + 2 * k);
    curvature(q, x[nh], x1[nh], w2[nh - 1], w3[nh - 1], val + 2 * nh);
}

const family_functions family_exported = {.open = chain_open, .close = chain_close, .value = chain_value, .gradient = chain_gradient,
    .constraints = chain_constraints, .jacobian = chain_jacobian, .hessian = chain_hessian};
