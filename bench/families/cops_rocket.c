/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cops_rocket - Goddard's rocket of stdlib/perigee/cops/control.lua by hand. Data: nh. Variables h, v, m, T at nh + 1 points and the step s; rows by
 * block, with F = (T - D) / m - 1 / h^2 and D = 310 v^2 exp(500 (1 - h)),
 *   h[k+1] - h[k] - s/2 (v[k+1] + v[k]),  v[k+1] - v[k] - s/2 (F[k+1] + F[k]),  m[k+1] - m[k] + s (T[k+1] + T[k])
 */
#include "pattern.h"

typedef struct {
    int64_t nh, np;
    pattern jac, hess;
    real *f; /* [np] scratch: F */
} rocket;

static void jacobian_pattern(rocket *c)
{
    const int64_t nh = c->nh;
    pattern_room(&c->jac, 4 * c->np + 1);
    for (int64_t v = 0; v < 4; v++)
        for (int64_t k = 0; k <= nh; k++) {
            if (v <= 1)
                pattern_steps(&c->jac, 0, nh, k);
            pattern_steps(&c->jac, nh, nh, k);
            if (v >= 2)
                pattern_steps(&c->jac, 2 * nh, nh, k);
            pattern_column_ends(&c->jac);
        }
    for (int64_t i = 0; i < 3 * nh; i++)
        pattern_row(&c->jac, i);
    pattern_column_ends(&c->jac);
}

static void hessian_pattern(rocket *c)
{
    const int64_t np = c->np;
    pattern_room(&c->hess, 4 * np + 1);
    for (int64_t v = 0; v < 4; v++)
        for (int64_t k = 0; k < np; k++) {
            for (int64_t row = v; row < 3 && v < 3; row++) /* h, v, m among themselves */
                pattern_row(&c->hess, row * np + k);
            if (v == 2)
                pattern_row(&c->hess, 3 * np + k);
            pattern_row(&c->hess, 4 * np);
            pattern_column_ends(&c->hess);
        }
    pattern_column_ends(&c->hess);
}

static void rocket_close(family *p)
{
    rocket *c = p->own;
    pattern_free(&c->jac);
    pattern_free(&c->hess);
    free(c->f);
    free(c);
}

static bool rocket_open(const family_data *data, family *p)
{
    rocket *c = calloc(1, sizeof *c);
    if (c == NULL || data->count < 1) {
        free(c);
        return false;
    }
    c->nh = (int64_t)data->at[0][0];
    c->np = c->nh + 1;
    c->f = calloc((size_t)c->np, sizeof *c->f);
    jacobian_pattern(c);
    hessian_pattern(c);
    *p = (family){4 * c->np + 1, 3 * c->nh, c->jac.start, c->jac.index, c->hess.start, c->hess.index, c};
    if (!c->jac.failed && !c->hess.failed && c->f != NULL)
        return true;
    rocket_close(p);
    return false;
}

static real rocket_value(const family *p, const real *x)
{
    const rocket *c = p->own;
    return -x[c->nh];
}

static real rocket_gradient(const family *p, const real *x, real *g)
{
    const rocket *c = p->own;
    memset(g, 0, (size_t)p->n * sizeof *g);
    g[c->nh] = -1.0;
    return -x[c->nh];
}

static inline real drag_factor(real h)
{
    return 310.0 * exp(500.0 * (1.0 - h));
}

static void rocket_constraints(const family *p, const real *restrict x, real *restrict out)
{
    const rocket *c = p->own;
    const int64_t nh = c->nh, np = c->np;
    const real *h = x, *v = x + np, *m = x + 2 * np, *T = x + 3 * np, s = x[4 * np], half = 0.5 * s;
    real *restrict f = c->f;
    for (int64_t k = 0; k < np; k++)
        f[k] = (T[k] - drag_factor(h[k]) * v[k] * v[k]) / m[k] - 1.0 / (h[k] * h[k]);
    for (int64_t k = 0; k < nh; k++) {
        out[k] = h[k + 1] - h[k] - half * (v[k + 1] + v[k]);
        out[nh + k] = v[k + 1] - v[k] - half * (f[k + 1] + f[k]);
        out[2 * nh + k] = m[k + 1] - m[k] + s * (T[k + 1] + T[k]);
    }
}

/* F and its derivatives with respect to h, v, m, T. */
typedef struct {
    real f, h, v, m, T;
} slopes;

static inline slopes rates(real h, real v, real m, real T)
{
    const real e = drag_factor(h) * v, r = 1.0 / m, i = 1.0 / h, i2 = i * i, a = (T - e * v) * r;
    return (slopes){a - i2, 500.0 * e * v * r + 2.0 * i2 * i, -2.0 * e * r, -a * r, r};
}

/* Each block of columns has 4 entries a point but at its ends, which have 2; `at` is where point k's begin. */
static inline void jacobian_point(real *restrict val, int64_t nh, int64_t k, real half, const slopes *d)
{
    const int64_t block = 4 * nh, first = 4 * k - 2;
    real *h = val + first, *v = h + block, *m = v + block, *T = m + block;
    const real s = 2.0 * half;
    h[0] = 1.0, h[1] = -1.0, h[2] = h[3] = -half * d->h;
    v[0] = v[1] = -half, v[2] = 1.0 - half * d->v, v[3] = -1.0 - half * d->v;
    m[0] = m[1] = -half * d->m, m[2] = 1.0, m[3] = -1.0;
    T[0] = T[1] = -half * d->T, T[2] = T[3] = s;
}

/* sign: -1 at the first point, whose step is the one after; 1 at the last. */
static void jacobian_end(real *restrict val, int64_t nh, int64_t k, double sign, real half, const slopes *d)
{
    const int64_t block = 4 * nh;
    real *h = val + (k == 0 ? 0 : 4 * k - 2), *v = h + block, *m = v + block, *T = m + block;
    h[0] = sign, h[1] = -half * d->h;
    v[0] = -half, v[1] = sign - half * d->v;
    m[0] = -half * d->m, m[1] = sign;
    T[0] = -half * d->T, T[1] = 2.0 * half;
}

static void rocket_jacobian(const family *p, const real *restrict x, real *restrict val)
{
    const rocket *c = p->own;
    const int64_t nh = c->nh, np = c->np;
    const real *h = x, *v = x + np, *m = x + 2 * np, *T = x + 3 * np, half = 0.5 * x[4 * np];
    real *restrict by_s = val + 16 * nh, *restrict f = c->f;
    for (int64_t k = 0; k <= nh; k++) {
        const slopes d = rates(h[k], v[k], m[k], T[k]);
        f[k] = d.f;
        if (k > 0 && k < nh)
            jacobian_point(val, nh, k, half, &d);
        else
            jacobian_end(val, nh, k, k == 0 ? -1.0 : 1.0, half, &d);
    }
    for (int64_t k = 0; k < nh; k++) {
        by_s[k] = -0.5 * (v[k + 1] + v[k]);
        by_s[nh + k] = -0.5 * (f[k + 1] + f[k]);
        by_s[2 * nh + k] = T[k + 1] + T[k];
    }
}

/* wh, wv, wm: sums of the multipliers of the point's steps. */
static inline void hessian_point(double *restrict val, int64_t np, int64_t k, const double *x, double s, double wh, double wv, double wm)
{
    const double h = x[k], v = x[np + k], m = x[2 * np + k], T = x[3 * np + k];
    const double e = drag_factor(h), r = 1.0 / m, i = 1.0 / h, i2 = i * i, er = e * r, drag = er * v * v, force = T * r - drag;
    const double half = -0.5 * wv, a = half * s;
    double *by_h = val + 4 * k, *by_v = val + 4 * np + 3 * k, *by_m = val + 7 * np + 3 * k, *by_T = val + 10 * np + k;
    by_h[0] = a * (-250000.0 * drag - 6.0 * i2 * i2);
    by_h[1] = a * 1000.0 * er * v;
    by_h[2] = a * -500.0 * drag * r;
    by_h[3] = half * (500.0 * drag + 2.0 * i2 * i);
    by_v[0] = a * -2.0 * er;
    by_v[1] = a * 2.0 * er * v * r;
    by_v[2] = -0.5 * wh - half * 2.0 * er * v;
    by_m[0] = a * 2.0 * force * r * r;
    by_m[1] = -a * r * r;
    by_m[2] = -half * force * r;
    by_T[0] = half * r + wm;
}

static void rocket_hessian(const family *p, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    const rocket *c = p->own;
    const int64_t nh = c->nh, np = c->np;
    const double s = x[4 * np], *wv = w + nh, *wm = w + 2 * nh;
    (void)sigma; /* f is linear */
    hessian_point(val, np, 0, x, s, w[0], wv[0], wm[0]);
    for (int64_t k = 1; k < nh; k++)
        hessian_point(val, np, k, x, s, w[k - 1] + w[k], wv[k - 1] + wv[k], wm[k - 1] + wm[k]);
    hessian_point(val, np, nh, x, s, w[nh - 1], wv[nh - 1], wm[nh - 1]);
}

const family_functions family_exported = {.open = rocket_open, .close = rocket_close, .value = rocket_value, .gradient = rocket_gradient,
    .constraints = rocket_constraints, .jacobian = rocket_jacobian, .hessian = rocket_hessian};
