/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cops_catmix - catalyst mixing of stdlib/perigee/cops/control.lua by hand. Data: nh. Variables u (nh x 3), then collocation.h's with two states, final (2);
 * rows after collocation.h's, for each stage: dx1 - u (10 x2 - x1),  dx2 - u (x1 - 10 x2) + (1 - u) x2.
 */
#include "collocation.h"

enum { STATES = 2, COLS = STAGES * STATES };

typedef struct {
    collocation c;
    pattern jac, hess;
} catmix;

static void jacobian_pattern(catmix *p)
{
    const collocation *c = &p->c;
    const int64_t nh = c->nh;
    pattern_room(&p->jac, 23 * nh + STATES);
    for (int64_t i = 0; i < nh; i++)
        for (int64_t j = 0; j < STAGES; j++) {
            pattern_row(&p->jac, row_rate(c, j, 0) + i);
            pattern_row(&p->jac, row_rate(c, j, 1) + i);
            pattern_column_ends(&p->jac);
        }
    for (int64_t i = 0; i < nh; i++)
        for (int64_t s = 0; s < STATES; s++)
            pattern_v(c, &p->jac, i, s);
    for (int64_t i = 0; i < nh; i++)
        for (int64_t k = 0; k < COLS; k++)
            pattern_w(c, &p->jac, i, k % STATES);
    for (int64_t i = 0; i < nh; i++)
        for (int64_t k = 0; k < COLS; k++) {
            pattern_row(&p->jac, row_x(c, k / STATES, k % STATES) + i);
            pattern_row(&p->jac, row_rate(c, k / STATES, 0) + i);
            pattern_row(&p->jac, row_rate(c, k / STATES, 1) + i);
            pattern_column_ends(&p->jac);
        }
    for (int64_t i = 0; i < nh; i++)
        for (int64_t k = 0; k < COLS; k++) {
            pattern_row(&p->jac, row_dx(c, k / STATES, k % STATES) + i);
            pattern_row(&p->jac, row_rate(c, k / STATES, k % STATES) + i);
            pattern_column_ends(&p->jac);
        }
    for (int64_t s = 0; s < STATES; s++) {
        pattern_row(&p->jac, row_final(c) + s);
        pattern_column_ends(&p->jac);
    }
}

/* u with x1 and x2 of its stage */
static void hessian_pattern(catmix *p, int64_t n)
{
    const int64_t nh = p->c.nh, first_x = 3 * nh + STATES * nh + COLS * nh;
    pattern_room(&p->hess, n);
    for (int64_t col = 0; col < n; col++) {
        if (col < STAGES * nh) {
            pattern_row(&p->hess, first_x + 2 * col);
            pattern_row(&p->hess, first_x + 2 * col + 1);
        }
        pattern_column_ends(&p->hess);
    }
}

static void catmix_close(family *f)
{
    catmix *p = f->own;
    pattern_free(&p->jac);
    pattern_free(&p->hess);
    free(p);
}

static bool catmix_open(const family_data *data, family *f)
{
    catmix *p = data->count == 1 ? calloc(1, sizeof *p) : NULL;
    if (p == NULL)
        return false;
    collocation_set(&p->c, (int64_t)data->at[0][0], STATES);
    const int64_t n = 23 * p->c.nh + STATES, m = row_rate(&p->c, STAGES, 0);
    jacobian_pattern(p);
    hessian_pattern(p, n);
    *f = (family){n, m, p->jac.start, p->jac.index, p->hess.start, p->hess.index, p};
    if (!p->jac.failed && !p->hess.failed)
        return true;
    catmix_close(f);
    return false;
}

static real catmix_value(const family *f, const real *x)
{
    return x[f->n - 2] + x[f->n - 1] - 1.0;
}

static real catmix_gradient(const family *f, const real *x, real *g)
{
    memset(g, 0, (size_t)f->n * sizeof *g);
    g[f->n - 2] = g[f->n - 1] = 1.0;
    return catmix_value(f, x);
}

static collocation_point at_point(const catmix *p, const real *x)
{
    const int64_t nh = p->c.nh;
    const real *v = x + STAGES * nh, *w = v + STATES * nh;
    return (collocation_point){v, w, w + COLS * nh, w + 2 * COLS * nh, w + 3 * COLS * nh};
}

static void catmix_constraints(const family *f, const real *restrict x, real *restrict out)
{
    const catmix *p = f->own;
    const int64_t nh = p->c.nh;
    const collocation_point at = at_point(p, x);
    real *restrict rates = out + row_rate(&p->c, 0, 0);
    equations(&p->c, STATES, &at, 1.0 / (double)nh, out);
    for (int64_t i = 0; i < nh; i++)
        for (int j = 0; j < STAGES; j++) {
            const real u = x[3 * i + j], x1 = at.x[COLS * i + 2 * j], x2 = at.x[COLS * i + 2 * j + 1];
            real *block = rates + 2 * j * nh + i;
            block[0] = at.dx[COLS * i + 2 * j] - u * (10.0 * x2 - x1);
            block[nh] = at.dx[COLS * i + 2 * j + 1] - u * (x1 - 10.0 * x2) + (1.0 - u) * x2;
        }
}

static void catmix_jacobian(const family *f, const real *restrict x, real *restrict val)
{
    const catmix *p = f->own;
    const int64_t nh = p->c.nh;
    const real *restrict states = at_point(p, x).x;
    for (int64_t k = 0; k < STAGES * nh; k++) {
        val[2 * k] = states[2 * k] - 10.0 * states[2 * k + 1];
        val[2 * k + 1] = 9.0 * states[2 * k + 1] - states[2 * k];
    }
    val = values_v(&p->c, val + 2 * STAGES * nh);
    val = values_w(&p->c, 1.0 / (double)nh, val);
    for (int64_t k = 0; k < STAGES * nh; k++, val += 6) {
        const real u = x[k];
        val[0] = 1.0, val[1] = u, val[2] = -u;
        val[3] = 1.0, val[4] = -10.0 * u, val[5] = 1.0 + 9.0 * u;
    }
    for (int64_t k = 0; k < 2 * COLS * nh + STATES; k++)
        val[k] = 1.0;
}

static void catmix_hessian(const family *f, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    const catmix *p = f->own;
    const int64_t nh = p->c.nh;
    const double *restrict rates = w + row_rate(&p->c, 0, 0);
    (void)x;     /* the rows are quadratic */
    (void)sigma; /* and f is linear */
    for (int64_t i = 0; i < nh; i++)
        for (int j = 0; j < STAGES; j++) {
            const double a = rates[2 * j * nh + i], b = rates[(2 * j + 1) * nh + i];
            val[6 * i + 2 * j] = a - b;
            val[6 * i + 2 * j + 1] = 9.0 * b - 10.0 * a;
        }
}

const family_functions family_exported = {.open = catmix_open, .close = catmix_close, .value = catmix_value, .gradient = catmix_gradient,
    .constraints = catmix_constraints, .jacobian = catmix_jacobian, .hessian = catmix_hessian};
