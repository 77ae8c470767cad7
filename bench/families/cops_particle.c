/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cops_particle - particle steering by collocation of stdlib/perigee/cops/control.lua by hand. Data: nh. Variables tf, u (nh x 3), then
 * collocation.h's with four states, final (4); h = tf / nh; rows after collocation.h's, for each stage: dx1 - x3, dx2 - x4, dx3 - a cos u, dx4 - a sin u.
 */
#include "collocation.h"

enum { STATES = 4, COLS = STAGES * STATES };

static const double thrust = 100.0;

typedef struct {
    collocation c;
    pattern jac, hess;
} particle;

static void jacobian_pattern(particle *p)
{
    const collocation *c = &p->c;
    const int64_t nh = c->nh;
    pattern_room(&p->jac, 1 + 43 * nh + STATES);
    for (int64_t k = 0; k < COLS; k++) /* tf: the rows with h, in order */
        for (int64_t i = 0; i < nh; i++)
            pattern_row(&p->jac, row_x(c, k / STATES, k % STATES) + i);
    for (int64_t row = row_next(c, 0); row < row_final(c) + STATES; row++)
        pattern_row(&p->jac, row);
    pattern_column_ends(&p->jac);
    for (int64_t k = 0; k < STAGES * nh; k++) {
        pattern_row(&p->jac, row_rate(c, k % STAGES, 2) + k / STAGES);
        pattern_row(&p->jac, row_rate(c, k % STAGES, 3) + k / STAGES);
        pattern_column_ends(&p->jac);
    }
    for (int64_t k = 0; k < STATES * nh; k++)
        pattern_v(c, &p->jac, k / STATES, k % STATES);
    for (int64_t k = 0; k < COLS * nh; k++)
        pattern_w(c, &p->jac, k / COLS, k % STATES);
    for (int64_t k = 0; k < COLS * nh; k++) {
        const int64_t i = k / COLS, j = k % COLS / STATES, s = k % STATES;
        pattern_row(&p->jac, row_x(c, j, s) + i);
        if (s >= 2)
            pattern_row(&p->jac, row_rate(c, j, s - 2) + i);
        pattern_column_ends(&p->jac);
    }
    for (int64_t k = 0; k < COLS * nh; k++) {
        pattern_row(&p->jac, row_dx(c, k % COLS / STATES, k % STATES) + k / COLS);
        pattern_row(&p->jac, row_rate(c, k % COLS / STATES, k % STATES) + k / COLS);
        pattern_column_ends(&p->jac);
    }
    for (int64_t s = 0; s < STATES; s++) {
        pattern_row(&p->jac, row_final(c) + s);
        pattern_column_ends(&p->jac);
    }
}

/* tf with each entry of w; each u with itself */
static void hessian_pattern(particle *p, int64_t n)
{
    const int64_t nh = p->c.nh, first_w = 1 + STAGES * nh + STATES * nh;
    pattern_room(&p->hess, n);
    for (int64_t k = 0; k < COLS * nh; k++)
        pattern_row(&p->hess, first_w + k);
    pattern_column_ends(&p->hess);
    for (int64_t col = 1; col < n; col++) {
        if (col <= STAGES * nh)
            pattern_row(&p->hess, col);
        pattern_column_ends(&p->hess);
    }
}

static void particle_close(family *f)
{
    particle *p = f->own;
    pattern_free(&p->jac);
    pattern_free(&p->hess);
    free(p);
}

static bool particle_open(const family_data *data, family *f)
{
    particle *p = data->count == 1 ? calloc(1, sizeof *p) : NULL;
    if (p == NULL)
        return false;
    collocation_set(&p->c, (int64_t)data->at[0][0], STATES);
    const int64_t n = 1 + 43 * p->c.nh + STATES, m = row_rate(&p->c, STAGES, 0);
    jacobian_pattern(p);
    hessian_pattern(p, n);
    *f = (family){n, m, p->jac.start, p->jac.index, p->hess.start, p->hess.index, p};
    if (!p->jac.failed && !p->hess.failed)
        return true;
    particle_close(f);
    return false;
}

static real particle_value(const family *f, const real *x)
{
    (void)f;
    return x[0];
}

static real particle_gradient(const family *f, const real *x, real *g)
{
    memset(g, 0, (size_t)f->n * sizeof *g);
    g[0] = 1.0;
    return x[0];
}

static collocation_point at_point(const particle *p, const real *x)
{
    const int64_t nh = p->c.nh;
    const real *v = x + 1 + STAGES * nh, *w = v + STATES * nh;
    return (collocation_point){v, w, w + COLS * nh, w + 2 * COLS * nh, w + 3 * COLS * nh};
}

static void particle_constraints(const family *f, const real *restrict x, real *restrict out)
{
    const particle *p = f->own;
    const int64_t nh = p->c.nh;
    const collocation_point at = at_point(p, x);
    const real *u = x + 1;
    real *restrict rates = out + row_rate(&p->c, 0, 0);
    equations(&p->c, STATES, &at, x[0] / (double)nh, out);
    for (int64_t i = 0; i < nh; i++)
        for (int j = 0; j < STAGES; j++) {
            const real *s = at.x + COLS * i + STATES * j, *d = at.dx + COLS * i + STATES * j;
            real *block = rates + STATES * j * nh + i;
            block[0] = d[0] - s[2];
            block[nh] = d[1] - s[3];
            block[2 * nh] = d[2] - thrust * cos(u[3 * i + j]);
            block[3 * nh] = d[3] - thrust * sin(u[3 * i + j]);
        }
}

/* The column of tf: derivatives of the step's polynomials by h, over nh. */
static real *tf_column(const collocation *c, const real *restrict w, real *restrict val)
{
    const int64_t nh = c->nh;
    const double share = -1.0 / (double)nh;
    real *restrict next = val + COLS * nh, *restrict final = next + STATES * (nh - 1);
    for (int64_t i = 0; i < nh; i++)
        for (int s = 0; s < STATES; s++) {
            const real w0 = w[COLS * i + s], w1 = w[COLS * i + STATES + s], w2 = w[COLS * i + 2 * STATES + s];
            for (int j = 0; j < STAGES; j++)
                val[(STATES * j + s) * nh + i] = share * (c->point[j][0] * w0 + c->point[j][1] * w1 + c->point[j][2] * w2);
            *(i < nh - 1 ? &next[s * (nh - 1) + i] : &final[s]) = share * (c->end[0] * w0 + c->end[1] * w1 + c->end[2] * w2);
        }
    return final + STATES;
}

static void particle_jacobian(const family *f, const real *restrict x, real *restrict val)
{
    const particle *p = f->own;
    const int64_t nh = p->c.nh;
    val = tf_column(&p->c, at_point(p, x).w, val);
    for (int64_t k = 0; k < STAGES * nh; k++) {
        val[2 * k] = thrust * sin(x[1 + k]);
        val[2 * k + 1] = -thrust * cos(x[1 + k]);
    }
    val = values_v(&p->c, val + 2 * STAGES * nh);
    val = values_w(&p->c, x[0] / (double)nh, val);
    for (int64_t k = 0; k < STAGES * nh; k++, val += 6) {
        val[0] = val[1] = val[2] = 1.0;
        val[3] = -1.0, val[4] = 1.0, val[5] = -1.0;
    }
    for (int64_t k = 0; k < 2 * COLS * nh + STATES; k++)
        val[k] = 1.0;
}

static void particle_hessian(const family *f, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    const particle *p = f->own;
    const collocation *c = &p->c;
    const int64_t nh = c->nh;
    const double share = -1.0 / (double)nh, *rates = w + row_rate(c, 0, 0);
    double *restrict by_u = val + COLS * nh;
    (void)sigma; /* f is linear */
    for (int64_t i = 0; i < nh; i++)
        for (int s = 0; s < STATES; s++) {
            const double a = w[2 * s * nh + i], b = w[2 * (STATES + s) * nh + i], d = w[2 * (2 * STATES + s) * nh + i];
            const double e = w[row_next_or_final(c, i, s)];
            for (int k = 0; k < STAGES; k++)
                val[COLS * i + STATES * k + s] =
                    share * (c->point[0][k] * a + c->point[1][k] * b + c->point[2][k] * d + c->end[k] * e);
        }
    for (int64_t i = 0; i < nh; i++)
        for (int j = 0; j < STAGES; j++) {
            const double *row = rates + STATES * j * nh + i, u = x[1 + 3 * i + j];
            by_u[3 * i + j] = thrust * (row[2 * nh] * cos(u) + row[3 * nh] * sin(u));
        }
}

const family_functions family_exported = {.open = particle_open, .close = particle_close, .value = particle_value,
    .gradient = particle_gradient, .constraints = particle_constraints, .jacobian = particle_jacobian, .hessian = particle_hessian};
