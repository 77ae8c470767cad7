/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cops_elec - electrons on a sphere of stdlib/perigee/cops/shapes.lua by hand. Data: np. Variables x, y, z; f = sum_{i<j} 1 / r; rows
 * x^2 + y^2 + z^2. Loops run over the partners of one electron side by side, with partial sums, so that they become vector instructions.
 */
#include "pattern.h"

enum { LANES = 8 };

typedef struct {
    int64_t np;
    pattern jac, hess;
} elec;

static void make_patterns(elec *c)
{
    const int64_t np = c->np;
    pattern_room(&c->jac, 3 * np);
    pattern_room(&c->hess, 3 * np);
    for (int64_t v = 0; v < 3; v++)
        for (int64_t i = 0; i < np; i++) {
            pattern_row(&c->jac, i);
            pattern_column_ends(&c->jac);
            for (int64_t row = v * np + i; row < 3 * np; row++)
                pattern_row(&c->hess, row);
            pattern_column_ends(&c->hess);
        }
}

static void elec_close(family *p)
{
    elec *c = p->own;
    pattern_free(&c->jac);
    pattern_free(&c->hess);
    free(c);
}

static bool elec_open(const family_data *data, family *p)
{
    elec *c = calloc(1, sizeof *c);
    if (c == NULL || data->count < 1) {
        free(c);
        return false;
    }
    c->np = (int64_t)data->at[0][0];
    make_patterns(c);
    *p = (family){3 * c->np, c->np, c->jac.start, c->jac.index, c->hess.start, c->hess.index, c};
    if (!c->jac.failed && !c->hess.failed)
        return true;
    elec_close(p);
    return false;
}

static real total(const real *part)
{
    real sum = 0.0;
    for (int l = 0; l < LANES; l++)
        sum += part[l];
    return sum;
}

static inline real inverse_distance(const real *x, const real *y, const real *z, int64_t i, int64_t j)
{
    const real dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
    return 1.0 / sqrt(dx * dx + dy * dy + dz * dz);
}

static real elec_value(const family *p, const real *restrict x)
{
    const int64_t np = ((const elec *)p->own)->np;
    const real *y = x + np, *z = y + np;
    real part[LANES] = {0};
    for (int64_t i = 0; i < np; i++) {
        int64_t j = i + 1;
        for (; j + LANES <= np; j += LANES)
            for (int l = 0; l < LANES; l++)
                part[l] += inverse_distance(x, y, z, i, j + l);
        for (; j < np; j++)
            part[0] += inverse_distance(x, y, z, i, j);
    }
    return total(part);
}

/* Partial sums of the energy and of the force on electron i. */
typedef struct {
    real f[LANES], x[LANES], y[LANES], z[LANES];
} sums;

static inline void pull(const real *restrict x, const real *restrict y, const real *restrict z, real *restrict g, int64_t np, int64_t i, int64_t j,
                        sums *restrict s, int l)
{
    const real dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
    const real r = 1.0 / sqrt(dx * dx + dy * dy + dz * dz), q = r * r * r;
    s->f[l] += r;
    s->x[l] += q * dx, s->y[l] += q * dy, s->z[l] += q * dz;
    g[j] += q * dx, g[np + j] += q * dy, g[2 * np + j] += q * dz;
}

static real elec_gradient(const family *p, const real *restrict x, real *restrict g)
{
    const int64_t np = ((const elec *)p->own)->np;
    const real *y = x + np, *z = y + np;
    real f = 0.0;
    memset(g, 0, (size_t)p->n * sizeof *g);
    for (int64_t i = 0; i < np; i++) {
        sums s;
        memset(&s, 0, sizeof s);
        int64_t j = i + 1;
        for (; j + LANES <= np; j += LANES)
            for (int l = 0; l < LANES; l++)
                pull(x, y, z, g, np, i, j + l, &s, l);
        for (; j < np; j++)
            pull(x, y, z, g, np, i, j, &s, 0);
        f += total(s.f);
        g[i] -= total(s.x), g[np + i] -= total(s.y), g[2 * np + i] -= total(s.z);
    }
    return f;
}

static void elec_constraints(const family *p, const real *restrict x, real *restrict out)
{
    const int64_t np = ((const elec *)p->own)->np;
    const real *y = x + np, *z = y + np;
    for (int64_t i = 0; i < np; i++)
        out[i] = x[i] * x[i] + y[i] * y[i] + z[i] * z[i];
}

static void elec_jacobian(const family *p, const real *restrict x, real *restrict val)
{
    for (int64_t j = 0; j < p->n; j++)
        val[j] = 2.0 * x[j];
}

/* Where column i of each coordinate's block begins, such that row j of coordinate b is at column[b][j]. */
typedef struct {
    double *xx, *xy, *xz, *yy, *yz, *zz;
} columns;

static columns columns_of(double *val, int64_t np, int64_t i)
{
    /* the columns of x have 3 np - i rows from i on, those of y 2 np - i, those of z np - i */
    double *x = val + 3 * np * i - i * (i - 1) / 2 - i;
    double *y_block = val + 3 * np * np - np * (np - 1) / 2, *y = y_block + 2 * np * i - i * (i - 1) / 2 - i;
    double *z_block = y_block + 2 * np * np - np * (np - 1) / 2, *z = z_block + np * i - i * (i - 1) / 2 - i;
    return (columns){x, x + np, x + 2 * np, y, y + np, z};
}

/* Second derivatives of 1 / r with respect to electrons i and j: a block of 3 x 3, negative on the diagonal's side. */
typedef struct {
    double xx[LANES], xy[LANES], xz[LANES], yy[LANES], yz[LANES], zz[LANES];
} blocks;

static inline void pair_block(const double *restrict x, const double *restrict y, const double *restrict z, int64_t i, int64_t j, double sigma,
                              double *restrict b /* [6] */)
{
    const double dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
    const double r = 1.0 / sqrt(dx * dx + dy * dy + dz * dz), r2 = r * r, q = sigma * r * r2, t = 3.0 * q * r2;
    b[0] = q - t * dx * dx, b[1] = -t * dx * dy, b[2] = -t * dx * dz;
    b[3] = q - t * dy * dy, b[4] = -t * dy * dz, b[5] = q - t * dz * dz;
}

/* Partners from `first` on: those after i have entries of all six kinds, those before only the mixed ones. */
static inline void store(const columns *c, int64_t j, const double *restrict b, bool after)
{
    c->xy[j] = b[1], c->xz[j] = b[2], c->yz[j] = b[4];
    if (after)
        c->xx[j] = b[0], c->yy[j] = b[3], c->zz[j] = b[5];
}

static inline void partners(const double *x, int64_t np, int64_t i, int64_t first, int64_t last, double sigma, const columns *c, bool after,
                            blocks *restrict s)
{
    const double *y = x + np, *z = y + np;
    double *restrict xx = c->xx, *restrict xy = c->xy, *restrict xz = c->xz, *restrict yy = c->yy, *restrict yz = c->yz, *restrict zz = c->zz;
    int64_t j = first;
    for (; j + LANES <= last; j += LANES)
        for (int l = 0; l < LANES; l++) {
            double b[6];
            pair_block(x, y, z, i, j + l, sigma, b);
            s->xx[l] += b[0], s->xy[l] += b[1], s->xz[l] += b[2], s->yy[l] += b[3], s->yz[l] += b[4], s->zz[l] += b[5];
            xy[j + l] = b[1], xz[j + l] = b[2], yz[j + l] = b[4];
            if (after)
                xx[j + l] = b[0], yy[j + l] = b[3], zz[j + l] = b[5];
        }
    for (; j < last; j++) {
        double b[6];
        pair_block(x, y, z, i, j, sigma, b);
        s->xx[0] += b[0], s->xy[0] += b[1], s->xz[0] += b[2], s->yy[0] += b[3], s->yz[0] += b[4], s->zz[0] += b[5];
        store(c, j, b, after);
    }
}

static double sum_lanes(const double *part)
{
    double sum = 0.0;
    for (int l = 0; l < LANES; l++)
        sum += part[l];
    return sum;
}

static void elec_hessian(const family *p, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    const int64_t np = ((const elec *)p->own)->np;
    for (int64_t i = 0; i < np; i++) {
        const columns c = columns_of(val, np, i);
        blocks s;
        memset(&s, 0, sizeof s);
        partners(x, np, i, 0, i, sigma, &c, false, &s);
        partners(x, np, i, i + 1, np, sigma, &c, true, &s);
        c.xx[i] = 2.0 * w[i] - sum_lanes(s.xx);
        c.yy[i] = 2.0 * w[i] - sum_lanes(s.yy);
        c.zz[i] = 2.0 * w[i] - sum_lanes(s.zz);
        c.xy[i] = -sum_lanes(s.xy);
        c.xz[i] = -sum_lanes(s.xz);
        c.yz[i] = -sum_lanes(s.yz);
    }
}

const family_functions family_exported = {.open = elec_open, .close = elec_close, .value = elec_value, .gradient = elec_gradient,
    .constraints = elec_constraints, .jacobian = elec_jacobian, .hessian = elec_hessian};
