/* SPDX-License-Identifier: Apache-2.0 */
/*
 * surface.h - torsion and journal bearing of stdlib/perigee/cops/shapes.lua by hand: a quadratic energy of the differences along the edges of a grid of
 * (nx + 2) x (ny + 2) points, point (i, j) at i (ny + 2) + j,
 *   sum_cells lower[i] (x-edge, y-edge of the lower triangle)^2 + upper[i] (of the upper one)^2 - sum load v
 * so that inside the grid the weight of an edge depends on its row only. Data: nx, ny, 1 / hx^2, 1 / hy^2, lower [nx + 1], upper [nx + 1], and the loads of a
 * row's first point, inner points and last point, [nx + 2] each.
 */
#ifndef PERI_BENCH_SURFACE_H
#define PERI_BENCH_SURFACE_H

#include "pattern.h"

enum { LANES = 8 };

typedef struct {
    int64_t nx, ny, cols;                      /* cols = ny + 2 points a row */
    double *down_first, *down, *down_last;     /* [nx + 2]: twice the weights of the edges from row i to i + 1; 0 for the last */
    double *side;                              /* [nx + 2]: of the edges in row i */
    const double *load_first, *load, *load_last; /* [nx + 2] */
    pattern hess;
} surface;

static void surface_close(family *p)
{
    surface *s = p->own;
    free(s->down_first);
    free(s->down);
    free(s->down_last);
    free(s->side);
    free((void *)s->load);
    pattern_free(&s->hess);
    free(s);
}

static bool set_weights(surface *s, const family_data *data)
{
    const int64_t rows = s->nx + 2;
    const double x = 2.0 * data->at[2][0], y = 2.0 * data->at[3][0], *lower = data->at[4], *upper = data->at[5];
    double **all[] = {&s->down_first, &s->down, &s->down_last, &s->side};
    for (int k = 0; k < 4; k++)
        if ((*all[k] = calloc((size_t)rows, sizeof(double))) == NULL)
            return false;
    double *load = calloc((size_t)(3 * rows), sizeof *load);
    s->load = load;
    if (load == NULL)
        return false;
    for (int k = 0; k < 3; k++)
        memcpy(load + (k == 0 ? rows : k == 1 ? 0 : 2 * rows), data->at[6 + k], (size_t)rows * sizeof *load);
    s->load_first = load + rows;
    s->load_last = load + 2 * rows;
    for (int64_t i = 0; i <= s->nx; i++) {
        s->down_first[i] = x * lower[i];
        s->down[i] = x * (lower[i] + upper[i]);
        s->down_last[i] = x * upper[i];
        s->side[i] += y * lower[i];
        s->side[i + 1] += y * upper[i];
    }
    return true;
}

static void make_pattern(surface *s, int64_t n)
{
    pattern_room(&s->hess, n);
    for (int64_t k = 0; k < n; k++) {
        pattern_row(&s->hess, k);
        if (k % s->cols < s->cols - 1)
            pattern_row(&s->hess, k + 1);
        if (k + s->cols < n)
            pattern_row(&s->hess, k + s->cols);
        pattern_column_ends(&s->hess);
    }
}

static bool surface_open(const family_data *data, family *p)
{
    surface *s = data->count == 9 ? calloc(1, sizeof *s) : NULL;
    if (s == NULL)
        return false;
    s->nx = (int64_t)data->at[0][0];
    s->ny = (int64_t)data->at[1][0];
    s->cols = s->ny + 2;
    const int64_t n = (s->nx + 2) * s->cols;
    make_pattern(s, n);
    *p = (family){.n = n, .hess_start = s->hess.start, .hess_index = s->hess.index, .own = s};
    if (set_weights(s, data) && !s->hess.failed)
        return true;
    surface_close(p);
    return false;
}

static inline real square(real d)
{
    return d * d;
}

/* Half the sum over a row's points of their edges to the right and down, less the loads. */
static real row_value(const surface *s, int64_t i, const real *restrict v)
{
    const int64_t last = s->cols - 1, below = i <= s->nx ? s->cols : 0; /* below the last row: weights 0, differences 0 */
    const double down = 0.5 * s->down[i], side = 0.5 * s->side[i], load = s->load[i];
    real part[LANES] = {0};
    real sum = 0.5 * s->down_first[i] * square(v[below] - v[0]) + side * square(v[1] - v[0]) - s->load_first[i] * v[0] +
               0.5 * s->down_last[i] * square(v[last + below] - v[last]) - s->load_last[i] * v[last];
    int64_t j = 1;
    for (; j + LANES <= last; j += LANES)
        for (int l = 0; l < LANES; l++)
            part[l] += down * square(v[j + l + below] - v[j + l]) + side * square(v[j + l + 1] - v[j + l]) - load * v[j + l];
    for (; j < last; j++)
        sum += down * square(v[j + below] - v[j]) + side * square(v[j + 1] - v[j]) - load * v[j];
    for (int l = 0; l < LANES; l++)
        sum += part[l];
    return sum;
}

static real surface_value(const family *p, const real *v)
{
    const surface *s = p->own;
    real f = 0.0;
    for (int64_t i = 0; i <= s->nx + 1; i++)
        f += row_value(s, i, v + i * s->cols);
    return f;
}

/* Gradient of a row's points, and its share of the value: each difference serves both. */
static real row_gradient(const surface *s, int64_t i, const real *restrict v, real *restrict g)
{
    const int64_t last = s->cols - 1, below = i <= s->nx ? s->cols : 0, above = i > 0 ? s->cols : 0;
    const int64_t before = i > 0 ? i - 1 : i; /* above the first row the difference is 0 */
    const double up = s->down[before], down = s->down[i], side = s->side[i], load = s->load[i];
    real part[LANES] = {0};
    real d = v[0] - v[below], r = v[0] - v[1];
    real sum = 0.5 * (s->down_first[i] * d * d + side * r * r) - s->load_first[i] * v[0];
    g[0] = s->down_first[before] * (v[0] - v[-above]) + s->down_first[i] * d + side * r - s->load_first[i];
    int64_t j = 1;
    for (; j + LANES <= last; j += LANES)
        for (int l = 0; l < LANES; l++) {
            const real x = v[j + l], to_below = x - v[j + l + below], to_right = x - v[j + l + 1];
            part[l] += 0.5 * (down * to_below * to_below + side * to_right * to_right) - load * x;
            g[j + l] = up * (x - v[j + l - above]) + down * to_below + side * (to_right + (x - v[j + l - 1])) - load;
        }
    for (; j < last; j++) {
        const real x = v[j], to_below = x - v[j + below], to_right = x - v[j + 1];
        sum += 0.5 * (down * to_below * to_below + side * to_right * to_right) - load * x;
        g[j] = up * (x - v[j - above]) + down * to_below + side * (to_right + (x - v[j - 1])) - load;
    }
    d = v[last] - v[last + below];
    g[last] = s->down_last[before] * (v[last] - v[last - above]) + s->down_last[i] * d + side * (v[last] - v[last - 1]) - s->load_last[i];
    sum += 0.5 * s->down_last[i] * d * d - s->load_last[i] * v[last];
    for (int l = 0; l < LANES; l++)
        sum += part[l];
    return sum;
}

static real surface_gradient(const family *p, const real *v, real *g)
{
    const surface *s = p->own;
    real f = 0.0;
    for (int64_t i = 0; i <= s->nx + 1; i++)
        f += row_gradient(s, i, v + i * s->cols, g + i * s->cols);
    return f;
}

static void surface_hessian(const family *p, const double *v, double sigma, const double *w, double *restrict val)
{
    const surface *s = p->own;
    (void)v;
    (void)w;
    for (int64_t i = 0; i <= s->nx + 1; i++) {
        const bool inner = i <= s->nx;
        const int64_t width = inner ? 3 : 2;
        const double side = sigma * s->side[i], down = sigma * s->down[i], up = i > 0 ? sigma * s->down[i - 1] : 0.0;
        const double up_first = i > 0 ? s->down_first[i - 1] : 0.0, up_last = i > 0 ? s->down_last[i - 1] : 0.0;
        val[0] = sigma * (up_first + s->down_first[i]) + side;
        val[1] = -side;
        if (inner)
            val[2] = -sigma * s->down_first[i];
        val += width;
        for (int64_t j = 1; j <= s->ny; j++, val += width) {
            val[0] = up + down + 2.0 * side;
            val[1] = -side;
            if (inner)
                val[2] = -down;
        }
        val[0] = sigma * (up_last + s->down_last[i]) + side;
        if (inner)
            val[1] = -sigma * s->down_last[i];
        val += width - 1;
    }
}

#define SURFACE_FAMILY                                                                                                                     \
    {.open = surface_open, .close = surface_close, .value = surface_value, .gradient = surface_gradient, .hessian = surface_hessian}

#endif
