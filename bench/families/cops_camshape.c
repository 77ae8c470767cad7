/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cops_camshape - the cam of stdlib/perigee/cops/shapes.lua by hand. Data: n. Variables r; f = -pi / n sum r; rows: convexity (n - 2), two for the low
 * end, two for the high end, differences (n - 1), two for the ends.
 */
#include "pattern.h"

typedef struct {
    int64_t n;
    double area, bend; /* pi / n, 2 cos d */
    pattern jac, hess;
} cam;

/* Rows of column j: convexity j - 2, j - 1, j; of the ends; differences j - 1, j; of the ends. */
static void make_patterns(cam *c)
{
    const int64_t n = c->n, low = n - 2, high = n, slope = n + 2, ends = 2 * n + 1;
    pattern_room(&c->jac, n);
    pattern_room(&c->hess, n);
    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = j >= 2 ? j - 2 : 0; i <= j && i < low; i++)
            pattern_row(&c->jac, i);
        if (j == 0)
            pattern_row(&c->jac, low);
        if (j <= 1)
            pattern_row(&c->jac, low + 1);
        if (j >= n - 2)
            pattern_row(&c->jac, high);
        if (j == n - 1)
            pattern_row(&c->jac, high + 1);
        pattern_steps(&c->jac, slope, n - 1, j);
        if (j == 0 || j == n - 1)
            pattern_row(&c->jac, ends + (j > 0));
        pattern_column_ends(&c->jac);
        for (int64_t i = j; i <= j + 2 && i < n; i++)
            if (i != j || j == n - 1)
                pattern_row(&c->hess, i);
        pattern_column_ends(&c->hess);
    }
}

static void cam_close(family *p)
{
    cam *c = p->own;
    pattern_free(&c->jac);
    pattern_free(&c->hess);
    free(c);
}

static bool cam_open(const family_data *data, family *p)
{
    static const double pi = 3.14159265358979323846;
    cam *c = calloc(1, sizeof *c);
    if (c == NULL || data->count < 1 || data->at[0][0] < 4) {
        free(c);
        return false;
    }
    c->n = (int64_t)data->at[0][0];
    c->area = pi / (double)c->n;
    c->bend = 2.0 * cos(2.0 * pi / (5.0 * (double)(c->n + 1)));
    make_patterns(c);
    *p = (family){c->n, 2 * c->n + 3, c->jac.start, c->jac.index, c->hess.start, c->hess.index, c};
    if (!c->jac.failed && !c->hess.failed)
        return true;
    cam_close(p);
    return false;
}

/* Eight partial sums: the loop has no chain of additions. */
static real sum(int64_t n, const real *restrict r)
{
    real part[8] = {0}, total = 0.0;
    int64_t k = 0;
    for (; k + 8 <= n; k += 8)
        for (int l = 0; l < 8; l++)
            part[l] += r[k + l];
    for (; k < n; k++)
        total += r[k];
    for (int l = 0; l < 8; l++)
        total += part[l];
    return total;
}

static real cam_value(const family *p, const real *x)
{
    const cam *c = p->own;
    return -c->area * sum(c->n, x);
}

static real cam_gradient(const family *p, const real *x, real *g)
{
    const cam *c = p->own;
    for (int64_t k = 0; k < c->n; k++)
        g[k] = -c->area;
    return -c->area * sum(c->n, x);
}

static void cam_constraints(const family *p, const real *restrict r, real *restrict out)
{
    const cam *c = p->own;
    const int64_t n = c->n;
    const double b = c->bend;
    real *restrict end = out + n - 2, *restrict slope = out + n + 2;
    for (int64_t k = 0; k < n - 2; k++)
        out[k] = b * r[k] * r[k + 2] - r[k + 1] * (r[k] + r[k + 2]);
    end[0] = (b - 1.0) * r[0];
    end[1] = b * r[1] - r[0] * (1.0 + r[1]);
    end[2] = 2.0 * b * r[n - 2] - r[n - 1] * (r[n - 2] + 2.0);
    end[3] = b * r[n - 1] * r[n - 1] - 4.0 * r[n - 1];
    for (int64_t k = 0; k < n - 1; k++)
        slope[k] = r[k + 1] - r[k];
    slope[n - 1] = r[0] - 1.0;
    slope[n] = 2.0 - r[n - 1];
}

static void cam_jacobian(const family *p, const real *restrict r, real *restrict val)
{
    const cam *c = p->own;
    const int64_t n = c->n;
    const double b = c->bend;
    real *o = val;
    *o++ = b * r[2] - r[1]; /* column 0 */
    *o++ = b - 1.0;
    *o++ = -1.0 - r[1];
    *o++ = -1.0;
    *o++ = 1.0;
    *o++ = -r[0] - r[2]; /* column 1 */
    *o++ = b * r[3] - r[2];
    *o++ = b - r[0];
    *o++ = 1.0;
    *o++ = -1.0;
    for (int64_t j = 2; j < n - 2; j++, o += 5) {
        o[0] = b * r[j - 2] - r[j - 1];
        o[1] = -r[j - 1] - r[j + 1];
        o[2] = b * r[j + 2] - r[j + 1];
        o[3] = 1.0;
        o[4] = -1.0;
    }
    *o++ = b * r[n - 4] - r[n - 3]; /* column n - 2 */
    *o++ = -r[n - 3] - r[n - 1];
    *o++ = 2.0 * b - r[n - 1];
    *o++ = 1.0;
    *o++ = -1.0;
    *o++ = b * r[n - 3] - r[n - 2]; /* column n - 1 */
    *o++ = -r[n - 2] - 2.0;
    *o++ = 2.0 * b * r[n - 1] - 4.0;
    *o++ = 1.0;
    *o++ = -1.0;
}

static void cam_hessian(const family *p, const double *restrict r, double sigma, const double *restrict w, double *restrict val)
{
    const cam *c = p->own;
    const int64_t n = c->n;
    const double b = c->bend;
    (void)sigma; /* f is linear */
    (void)r;     /* and the rows are quadratic */
    val[0] = -w[0] - w[n - 1];
    val[1] = b * w[0];
    for (int64_t j = 1; j < n - 2; j++) {
        val[2 * j] = -w[j - 1] - w[j];
        val[2 * j + 1] = b * w[j];
    }
    val[2 * n - 4] = -w[n - 3] - w[n];
    val[2 * n - 3] = 2.0 * b * w[n + 1];
}

const family_functions family_exported = {.open = cam_open, .close = cam_close, .value = cam_value, .gradient = cam_gradient,
    .constraints = cam_constraints, .jacobian = cam_jacobian, .hessian = cam_hessian};
