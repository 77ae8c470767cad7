/* SPDX-License-Identifier: Apache-2.0 */
/* rows.c - see rows.h. */
#include "rows.h"
#include <math.h>
#include <string.h>

/* ---- sorting
 * ---------------------------------------------------------------------------------------------------------------- */

peri_status rows_init(rows_of *r, peri_run *run)
{
    *r = (rows_of){.n = peri_n(run), .m = peri_m(run)};
    peri_bounds(run, &r->xl, &r->xu, &r->cl, &r->cu);
    TRY(peri_alloc_index(run, r->m, &r->equal));
    TRY(peri_alloc_index(run, r->m, &r->lower));
    TRY(peri_alloc_index(run, r->m, &r->upper));
    TRY(peri_alloc(run, r->m, &r->side));
    for (int64_t i = 0; i < r->m; i++) {
        if (r->cl[i] >= r->cu[i]) {
            r->equal[r->n_equal++] = i;
            continue;
        }
        if (isfinite(r->cl[i]))
            r->lower[r->n_lower++] = i;
        if (isfinite(r->cu[i]))
            r->upper[r->n_upper++] = i;
    }
    return PERI_OK;
}

/* ---- expressions
 * ---------------------------------------------------------------------------------------------------------------- */

/* measure(d), elementwise, for d with both signs (equalities) or its positive part. */
static peri_status measured(peri_inner *inner, rows_measure measure, bool both_signs, peri_x smoothing, peri_x d, peri_x *out)
{
    peri_x half, root;
    if (measure != ROWS_ROUNDED) {
        if (!both_signs)
            TRY(peri_x_unary(inner, "relu", d, &d));
        if (measure == ROWS_SIZE)
            return both_signs ? peri_x_unary(inner, "abs", d, out) : (*out = d, PERI_OK);
        TRY(peri_x_unary(inner, "square", d, &d));
        TRY(peri_x_number(inner, 0.5, &half));
        return peri_x_binary(inner, "mul", half, d, out);
    }
    /* |d| as sqrt(d^2 + e^2) - e, max(d, 0) as (d + sqrt(d^2 + e^2) - e) / 2 */
    TRY(peri_x_unary(inner, "square", d, &root));
    TRY(peri_x_unary(inner, "square", smoothing, out));
    TRY(peri_x_binary(inner, "add", root, *out, &root));
    TRY(peri_x_unary(inner, "sqrt", root, &root));
    TRY(peri_x_binary(inner, "sub", root, smoothing, &root));
    if (both_signs) {
        *out = root;
        return PERI_OK;
    }
    TRY(peri_x_binary(inner, "add", d, root, &d));
    TRY(peri_x_number(inner, 0.5, &half));
    return peri_x_binary(inner, "mul", half, d, out);
}

typedef struct {
    peri_inner *inner;
    peri_x c, shift, weight, smoothing;
    rows_measure measure;
} sum_of;

/* sum over the listed rows of weight * measure(sign * (c - shift - side)). */
static peri_status group_sum(rows_of *r, const sum_of *s, int64_t n, const int64_t *row, const double *sides, int sign, bool both,
                             peri_x *out)
{
    peri_inner *inner = s->inner;
    peri_x side, t, w, part;
    for (int64_t k = 0; k < n; k++)
        r->side[k] = sides[row[k]];
    TRY(peri_x_gather(inner, s->c, n, 1, row, &t));
    if (s->shift != PERI_NO_X) {
        TRY(peri_x_gather(inner, s->shift, n, 1, row, &part));
        TRY(peri_x_binary(inner, "sub", t, part, &t));
    }
    TRY(peri_x_array(inner, n, 1, r->side, &side));
    TRY(sign > 0 ? peri_x_binary(inner, "sub", t, side, &t) : peri_x_binary(inner, "sub", side, t, &t));
    TRY(measured(inner, s->measure, both, s->smoothing, t, &t));
    TRY(peri_x_gather(inner, s->weight, n, 1, row, &w));
    TRY(peri_x_binary(inner, "mul", w, t, &t));
    TRY(peri_x_unary(inner, "sum", t, &t));
    return peri_x_binary(inner, "add", *out, t, out);
}

peri_status rows_sum(rows_of *r, peri_inner *inner, peri_x c, peri_x shift, peri_x weight, rows_measure measure, peri_x smoothing,
                     peri_x *out)
{
    const sum_of s = {inner, c, shift, weight, smoothing, measure};
    TRY(peri_x_number(inner, 0, out));
    if (r->n_equal > 0)
        TRY(group_sum(r, &s, r->n_equal, r->equal, r->cl, 1, true, out));
    if (r->n_lower > 0)
        TRY(group_sum(r, &s, r->n_lower, r->lower, r->cl, -1, false, out));
    if (r->n_upper > 0)
        TRY(group_sum(r, &s, r->n_upper, r->upper, r->cu, 1, false, out));
    return PERI_OK;
}

/* ---- inner problems
 * ---------------------------------------------------------------------------------------------------------------- */

peri_status rows_inner(peri_run *run, const char *name, peri_inner **inner, peri_x *f, peri_x *c)
{
    peri_x x;
    TRY(peri_inner_new(run, name, inner));
    TRY(peri_inner_variables(*inner, &x));
    return peri_inner_problem(*inner, 0, x, f, c);
}

peri_status rows_solve(const rows_of *r, peri_run *run, peri_inner *inner, const peri_inner_request *request, double *x, double *c,
                       const peri_inner_result **result)
{
    TRY(peri_inner_solve(inner, request, result));
    if ((*result)->why == PERI_WHY_UNBOUNDED)
        return PERI_OK;
    memcpy(x, (*result)->x, (size_t)r->n * sizeof *x);
    return peri_eval_c(run, x, c);
}

peri_status rows_unbounded(peri_run *run, const double *x, peri_step *next)
{
    const peri_row row = peri_empty_row();
    TRY(peri_accept(run, x, NULL, NULL, &row, next));
    return peri_finish(run, PERI_WHY_UNBOUNDED, next);
}

/* ---- numbers
 * ---------------------------------------------------------------------------------------------------------------- */

double rows_move(const rows_of *r, int64_t i, double t)
{
    return fmin(fmax(t, r->cl[i]), r->cu[i]);
}

static double largest(int64_t n, const double *v)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++)
        most = fmax(most, fabs(v[k]));
    return most;
}

peri_status rows_gradient_size(const rows_of *r, peri_run *run, const double *x, double *g, double *size)
{
    double f;
    TRY(peri_eval_fg(run, x, &f, g));
    *size = largest(r->n, g);
    return PERI_OK;
}

peri_status rows_scale(const rows_of *r, peri_run *run, const double *x, double *scale)
{
    peri_pattern a;
    double *val;
    for (int64_t i = 0; i < r->m; i++)
        scale[i] = 1;
    if (r->m == 0 || !peri_has_trait(run, PERI_TRAIT_GRADIENT))
        return PERI_OK;
    TRY(peri_jac_pattern(run, &a));
    TRY(peri_alloc(run, a.nnz, &val));
    TRY(peri_eval_jac(run, x, val));
    for (int64_t k = 0; k < a.nnz; k++)
        scale[a.index[k]] = fmax(scale[a.index[k]], fabs(val[k]));
    for (int64_t i = 0; i < r->m; i++)
        scale[i] = 1 / scale[i];
    return PERI_OK;
}

static double sum_of_sizes(int64_t n, const double *v)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += fabs(v[k]);
    return sum;
}

static double primal_of(const rows_of *r, const double *x, const double *c)
{
    double most = 0;
    for (int64_t j = 0; j < r->n; j++)
        most = fmax(most, fmax(r->xl[j] - x[j], x[j] - r->xu[j]));
    for (int64_t i = 0; i < r->m; i++)
        most = fmax(most, fmax(r->cl[i] - c[i], c[i] - r->cu[i]));
    return most;
}

/* Largest multiplier times the distance to its side; one without a side is not in here: its sign is wrong. */
static double products(int64_t n, const double *multiplier, const double *value, const double *lower, const double *upper)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++) {
        const double side = multiplier[k] > 0 ? lower[k] : upper[k];
        if ((multiplier[k] < 0 || multiplier[k] > 0) && isfinite(side))
            most = fmax(most, fabs(multiplier[k]) * fabs(value[k] - side));
    }
    return most;
}

peri_status rows_residual(const rows_of *r, peri_run *run, const double *x, const double *c, const double *y, const double *z,
                          peri_why inner, double *g, double *jy, rows_residuals *out)
{
    const bool derivatives = peri_has_trait(run, PERI_TRAIT_GRADIENT);
    const double mean = (sum_of_sizes(r->m, y) + sum_of_sizes(r->n, z)) / (double)(r->n + r->m);
    double scale = fmax(1, mean);
    out->primal = primal_of(r, x, c);
    if (derivatives) {
        TRY(peri_eval_fg(run, x, &out->f, g));
        scale = fmax(scale, largest(r->n, g));
        TRY(peri_eval_vj(run, x, y, jy));
        for (int64_t j = 0; j < r->n; j++)
            g[j] -= jy[j] + z[j];
        out->dual = largest(r->n, g) / scale;
    } else {
        TRY(peri_eval_f(run, x, &out->f));
        out->dual = inner == PERI_WHY_CONVERGED || inner == PERI_WHY_STALLED ? 0 : INFINITY; /* all that is known */
    }
    out->complementarity = fmax(products(r->n, z, x, r->xl, r->xu), products(r->m, y, c, r->cl, r->cu)) / scale;
    out->kkt = fmax(out->primal, fmax(out->dual, out->complementarity));
    return PERI_OK;
}

peri_status rows_slope(const rows_of *r, peri_run *run, const double *x, const double *c, const double *scale, double *v, double *g,
                       double *slope)
{
    double size = 0, most = 0;
    *slope = INFINITY;
    if (!peri_has_trait(run, PERI_TRAIT_GRADIENT))
        return PERI_OK;
    for (int64_t i = 0; i < r->m; i++) {
        const double d = c[i] - rows_move(r, i, c[i]);
        v[i] = d * scale[i] * scale[i];
        size = fmax(size, fabs(d) * scale[i]);
    }
    TRY(peri_eval_vj(run, x, v, g));
    for (int64_t j = 0; j < r->n; j++) {
        const double to = fmin(fmax(x[j] - g[j], r->xl[j]), r->xu[j]);
        most = fmax(most, fabs(to - x[j]));
    }
    *slope = size > 0 ? most / size : INFINITY;
    return PERI_OK;
}

peri_status rows_watch_violation(rows_watch *w, const rows_of *r, peri_run *run, const double *x, const double *c, const double *scale,
                                 double primal, double *v, double *g, bool *infeasible)
{
    double slope;
    *infeasible = false;
    if (primal < 0.9 * w->smallest) {
        w->smallest = primal;
        w->stuck = 0;
        return PERI_OK;
    }
    if (++w->stuck < 3 || !(primal > 100 * peri_get_limits(run)->tolerance))
        return PERI_OK;
    TRY(rows_slope(r, run, x, c, scale, v, g, &slope));
    *infeasible = slope <= 1e-5;
    return PERI_OK;
}

/* ---- the best point
 * ---------------------------------------------------------------------------------------------------------------- */

peri_status rows_best_init(rows_best *b, const rows_of *r, peri_run *run)
{
    b->kkt = INFINITY;
    TRY(peri_alloc(run, r->n, &b->x));
    TRY(peri_alloc(run, r->m, &b->y));
    return peri_alloc(run, r->n, &b->z);
}

bool rows_best_keep(rows_best *b, const rows_of *r, const double *x, const double *y, const double *z, const peri_row *row, double kkt)
{
    if (!(kkt < b->kkt))
        return false;
    memcpy(b->x, x, (size_t)r->n * sizeof *x);
    memcpy(b->y, y, (size_t)r->m * sizeof *y);
    memcpy(b->z, z, (size_t)r->n * sizeof *z);
    b->row = *row;
    b->kkt = kkt;
    return true;
}
