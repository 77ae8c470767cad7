/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipm_problem.c - the model in the method's form: fixed variables and free rows taken out, slacks for inequality rows, factors on
 * the objective and the rows; its evaluation, for the model and for the restoration problem; and the certificate in the model's own
 * units. All else in the method sees w, h and f only. Bounds are relaxed only where that is seen to be needed (ipm_search.c), so that as a
 * rule no function is evaluated outside of them.
 */
#include "ipm.h"
#include <math.h>
#include <string.h>

/* ---- sizes, maps, patterns ------------------------------------------------------------------------------------------- */

static peri_status alloc_index(peri_run *run, int64_t count, int64_t **out)
{
    return peri_alloc_index(run, count > 0 ? count : 1, out);
}

static peri_status alloc_real(peri_run *run, int64_t count, double **out)
{
    return peri_alloc(run, count > 0 ? count : 1, out);
}

static peri_status map_variables(ipm_problem *q, peri_run *run, int64_t *of_model)
{
    for (int64_t j = 0; j < q->n_model; j++) {
        of_model[j] = q->xl[j] < q->xu[j] ? q->n_x : -1;
        q->n_x += q->xl[j] < q->xu[j];
    }
    TRY(alloc_index(run, q->n_x, &q->var));
    for (int64_t j = 0; j < q->n_model; j++)
        if (of_model[j] >= 0)
            q->var[of_model[j]] = j;
    return PERI_OK;
}

static peri_status map_rows(ipm_problem *q, peri_run *run, int64_t *of_model)
{
    for (int64_t i = 0; i < q->m_model; i++) {
        const bool is_bounded = isfinite(q->cl[i]) || isfinite(q->cu[i]);
        of_model[i] = is_bounded ? q->m : -1;
        q->m += is_bounded;
        q->n_s += is_bounded && q->cl[i] < q->cu[i];
    }
    TRY(alloc_index(run, q->m, &q->row));
    TRY(alloc_index(run, q->m, &q->slack));
    TRY(alloc_index(run, q->n_s, &q->slack_row));
    int64_t k = 0;
    for (int64_t i = 0; i < q->m_model; i++) {
        const int64_t r = of_model[i];
        if (r < 0)
            continue;
        q->row[r] = i;
        q->slack[r] = q->cl[i] < q->cu[i] ? k : -1;
        if (q->slack[r] >= 0)
            q->slack_row[k++] = r;
    }
    q->n = q->n_x + q->n_s;
    return PERI_OK;
}

/* The Jacobian's entries in the columns of free variables and the rows with bounds. */
static peri_status compact_jacobian(ipm_problem *q, peri_run *run, const int64_t *of_row)
{
    peri_pattern jac = {0, 0, 0, NULL, NULL};
    if (q->m > 0)
        TRY(peri_jac_pattern(run, &jac));
    TRY(alloc_index(run, q->n_x + 1, &q->jac_start));
    TRY(alloc_index(run, jac.nnz, &q->jac_row));
    TRY(alloc_index(run, jac.nnz, &q->jac_from));
    TRY(alloc_real(run, jac.nnz, &q->jac));
    TRY(alloc_real(run, jac.nnz, &q->jac_model));
    q->pattern = jac;
    int64_t nnz = 0;
    for (int64_t j = 0; j < q->n_x; j++) {
        const int64_t c = q->var[j];
        for (int64_t k = q->m > 0 ? jac.start[c] : 0; q->m > 0 && k < jac.start[c + 1]; k++)
            if (of_row[jac.index[k]] >= 0) {
                q->jac_row[nnz] = of_row[jac.index[k]];
                q->jac_from[nnz++] = k;
            }
        q->jac_start[j + 1] = nnz;
    }
    q->jac_nnz = nnz;
    return PERI_OK;
}

/* The Hessian's lower triangle in the free variables, each diagonal entry present and first in its column. */
static peri_status compact_hessian(ipm_problem *q, peri_run *run, const int64_t *of_var)
{
    peri_pattern hess;
    TRY(peri_hess_pattern(run, &hess));
    TRY(alloc_index(run, q->n_x + 1, &q->hess_start));
    TRY(alloc_index(run, hess.nnz + q->n_x, &q->hess_row));
    TRY(alloc_index(run, hess.nnz + q->n_x, &q->hess_from));
    TRY(alloc_real(run, hess.nnz + q->n_x, &q->hess));
    TRY(alloc_real(run, hess.nnz, &q->hess_model));
    int64_t nnz = 0;
    for (int64_t j = 0; j < q->n_x; j++) {
        const int64_t c = q->var[j], diag = nnz;
        q->hess_row[nnz] = j;
        q->hess_from[nnz++] = -1;
        for (int64_t k = hess.start[c]; k < hess.start[c + 1]; k++) {
            const int64_t i = of_var[hess.index[k]];
            if (i == j) {
                q->hess_from[diag] = k;
            } else if (i > j) {
                q->hess_row[nnz] = i;
                q->hess_from[nnz++] = k;
            }
        }
        q->hess_start[j + 1] = nnz;
    }
    q->hess_nnz = nnz;
    return PERI_OK;
}

peri_status ipm_problem_open(ipm_state *s, peri_run *run)
{
    ipm_problem *q = &s->problem;
    int64_t *of_var, *of_row;
    q->n_model = peri_n(run);
    q->m_model = peri_m(run);
    peri_bounds(run, &q->xl, &q->xu, &q->cl, &q->cu);
    TRY(alloc_index(run, q->n_model, &of_var));
    TRY(alloc_index(run, q->m_model, &of_row));
    TRY(map_variables(q, run, of_var));
    TRY(map_rows(q, run, of_row));
    TRY(compact_jacobian(q, run, of_row));
    TRY(compact_hessian(q, run, of_var));
    TRY(alloc_real(run, q->n_model, &q->x));
    TRY(alloc_real(run, q->n_model, &q->g));
    TRY(alloc_real(run, q->n_model, &q->z_out));
    TRY(alloc_real(run, q->m_model, &q->c));
    TRY(alloc_real(run, q->m_model, &q->weight));
    TRY(alloc_real(run, q->m_model, &q->y_out));
    TRY(alloc_real(run, q->n, &s->ref_w));
    TRY(alloc_real(run, q->n, &s->unshaken_w));
    TRY(alloc_real(run, q->n, &s->ref_d2));
    return alloc_real(run, q->m, &q->row_scale);
}

static peri_status alloc_point(peri_run *run, int64_t n, int64_t m, ipm_point *out)
{
    TRY(alloc_real(run, n, &out->w));
    TRY(alloc_real(run, m, &out->y));
    TRY(alloc_real(run, n, &out->zl));
    return alloc_real(run, n, &out->zu);
}

peri_status ipm_phase_open(ipm_state *s, peri_run *run, ipm_phase *p, bool restoration)
{
    const ipm_problem *q = &s->problem;
    p->restoration = restoration;
    p->n = q->n + (restoration ? 2 * q->m : 0);
    p->m = q->m;
    double **of_n[] = {&p->lower, &p->upper, &p->grad, &p->jty, &p->sigma, &p->rw, &p->ew, &p->tw, &p->soc_w, &p->kept_rw};
    double **of_m[] = {&p->h, &p->trial_h, &p->ry, &p->ey, &p->ty, &p->soc_y, &p->soc_h};
    ipm_point *points[] = {&p->at, &p->trial, &p->step, &p->kept_at, &p->kept_step};
    for (size_t k = 0; k < PERI_COUNT(of_n); k++)
        TRY(alloc_real(run, p->n, of_n[k]));
    for (size_t k = 0; k < PERI_COUNT(of_m); k++)
        TRY(alloc_real(run, p->m, of_m[k]));
    for (size_t k = 0; k < PERI_COUNT(points); k++)
        TRY(alloc_point(run, p->n, p->m, points[k]));
    TRY(alloc_index(run, p->n, &p->has_lower));
    TRY(alloc_index(run, p->n, &p->has_upper));
    return restoration ? PERI_OK : alloc_point(run, p->n, p->m, &s->best);
}

void ipm_list_bounds(ipm_phase *p)
{
    p->n_lower = p->n_upper = 0;
    for (int64_t j = 0; j < p->n; j++) {
        if (isfinite(p->lower[j]))
            p->has_lower[p->n_lower++] = j;
        if (isfinite(p->upper[j]))
            p->has_upper[p->n_upper++] = j;
    }
}

/* ---- evaluation --------------------------------------------------------------------------------------------------------- */

static void set_point(ipm_problem *q, const double *w)
{
    for (int64_t j = 0; j < q->n_x; j++)
        q->x[q->var[j]] = w[j];
}

static void rows_from_model(const ipm_problem *q, const double *w, double *h)
{
    for (int64_t i = 0; i < q->m; i++) {
        const double c = q->c[q->row[i]];
        h[i] = q->slack[i] < 0 ? q->row_scale[i] * (c - q->cl[q->row[i]])
                               : q->row_scale[i] * c - w[q->n_x + q->slack[i]];
    }
}

/* f and h of the model's problem at w; f NULL: h only */
peri_status ipm_eval_main(ipm_state *s, peri_run *run, const double *w, double *f, double *h)
{
    ipm_problem *q = &s->problem;
    set_point(q, w);
    if (f != NULL) {
        TRY(peri_eval_f(run, q->x, f));
        *f *= q->f_scale;
    }
    if (q->m > 0)
        TRY(peri_eval_c(run, q->x, q->c));
    rows_from_model(q, w, h);
    return PERI_OK;
}

/* WB 30: rho * sum (p + n) + zeta / 2 * |D_R (w - w_R)|^2,  rows h - p + n */
static double restoration_objective(const ipm_state *s, const double *w)
{
    const ipm_problem *q = &s->problem;
    double violation = 0.0, distance = 0.0;
    for (int64_t i = q->n; i < q->n + 2 * q->m; i++)
        violation += w[i];
    for (int64_t j = 0; j < q->n; j++)
        distance += s->ref_d2[j] * (w[j] - s->ref_w[j]) * (w[j] - s->ref_w[j]);
    return s->rho * violation + 0.5 * s->zeta * distance;
}

peri_status ipm_eval_values(ipm_state *s, peri_run *run, const ipm_phase *p, const double *w, double *f, double *h)
{
    const ipm_problem *q = &s->problem;
    if (!p->restoration)
        return ipm_eval_main(s, run, w, f, h);
    TRY(ipm_eval_main(s, run, w, NULL, h));
    for (int64_t i = 0; i < q->m; i++)
        h[i] += w[q->n + q->m + i] - w[q->n + i];
    *f = restoration_objective(s, w);
    return PERI_OK;
}

static peri_status eval_jacobian(ipm_problem *q, peri_run *run)
{
    if (q->m == 0)
        return PERI_OK;
    TRY(peri_eval_jac(run, q->x, q->jac_model));
    for (int64_t k = 0; k < q->jac_nnz; k++)
        q->jac[k] = q->row_scale[q->jac_row[k]] * q->jac_model[q->jac_from[k]];
    return PERI_OK;
}

static void restoration_gradient(const ipm_state *s, ipm_phase *p)
{
    const int64_t n = s->problem.n;
    for (int64_t j = 0; j < n; j++)
        p->grad[j] = s->zeta * s->ref_d2[j] * (p->at.w[j] - s->ref_w[j]);
    for (int64_t j = n; j < p->n; j++)
        p->grad[j] = s->rho;
}

/* gradient of f and the Jacobian at the iterate, and (grad h)' y */
peri_status ipm_eval_gradient(ipm_state *s, peri_run *run, ipm_phase *p)
{
    ipm_problem *q = &s->problem;
    set_point(q, p->at.w);
    if (p->restoration) {
        restoration_gradient(s, p);
    } else {
        double f;
        TRY(peri_eval_fg(run, q->x, &f, q->g));
        for (int64_t j = 0; j < q->n_x; j++)
            p->grad[j] = q->f_scale * q->g[q->var[j]];
    }
    TRY(eval_jacobian(q, run));
    ipm_jac_mul_t(s, p, p->at.y, p->jty);
    return PERI_OK;
}

peri_status ipm_eval_hessian(ipm_state *s, peri_run *run, ipm_phase *p)
{
    ipm_problem *q = &s->problem;
    set_point(q, p->at.w);
    for (int64_t i = 0; i < q->m; i++)
        q->weight[q->row[i]] = q->row_scale[i] * p->at.y[i];
    TRY(peri_eval_hess(run, q->x, p->restoration ? 0.0 : q->f_scale, q->weight, q->hess_model));
    for (int64_t k = 0; k < q->hess_nnz; k++)
        q->hess[k] = q->hess_from[k] >= 0 ? q->hess_model[q->hess_from[k]] : 0.0;
    return PERI_OK;
}

/* ---- products ----------------------------------------------------------------------------------------------------------- */

/* out [m] = (grad h)' v */
void ipm_jac_mul(const ipm_state *s, const ipm_phase *p, const double *v, double *out)
{
    const ipm_problem *q = &s->problem;
    for (int64_t i = 0; i < q->m; i++)
        out[i] = q->slack[i] >= 0 ? -v[q->n_x + q->slack[i]] : 0.0;
    for (int64_t j = 0; j < q->n_x; j++)
        for (int64_t k = q->jac_start[j]; k < q->jac_start[j + 1]; k++)
            out[q->jac_row[k]] += q->jac[k] * v[j];
    if (p->restoration)
        for (int64_t i = 0; i < q->m; i++)
            out[i] += v[q->n + q->m + i] - v[q->n + i];
}

/* out [n] = (grad h) v */
void ipm_jac_mul_t(const ipm_state *s, const ipm_phase *p, const double *v, double *out)
{
    const ipm_problem *q = &s->problem;
    for (int64_t j = 0; j < q->n_x; j++) {
        double sum = 0.0;
        for (int64_t k = q->jac_start[j]; k < q->jac_start[j + 1]; k++)
            sum += q->jac[k] * v[q->jac_row[k]];
        out[j] = sum;
    }
    for (int64_t k = 0; k < q->n_s; k++)
        out[q->n_x + k] = -v[q->slack_row[k]];
    if (p->restoration)
        for (int64_t i = 0; i < q->m; i++) {
            out[q->n + i] = -v[i];
            out[q->n + q->m + i] = v[i];
        }
}

/* out [n_x] += hess v */
void ipm_hess_mul_add(const ipm_problem *q, const double *v, double *out)
{
    for (int64_t j = 0; j < q->n_x; j++) {
        const int64_t first = q->hess_start[j];
        double sum = q->hess[first] * v[j];
        for (int64_t k = first + 1; k < q->hess_start[j + 1]; k++) {
            sum += q->hess[k] * v[q->hess_row[k]];
            out[q->hess_row[k]] += q->hess[k] * v[j];
        }
        out[j] += sum;
    }
}

/* ---- what the engine will measure -------------------------------------------------------------------------------------------- */

/* Multipliers of the model from those of w: signs and factors of plugin.h. */
static void report_multipliers(ipm_state *s)
{
    ipm_problem *q = &s->problem;
    const ipm_phase *p = &s->main;
    for (int64_t i = 0; i < q->m; i++) {
        double y = -p->at.y[i] * q->row_scale[i] / q->f_scale;
        if ((isinf(q->cl[q->row[i]]) && y > 0.0) || (isinf(q->cu[q->row[i]]) && y < 0.0))
            y = 0.0;
        q->y_out[q->row[i]] = y;
    }
    for (int64_t j = 0; j < q->n_x; j++)
        q->z_out[q->var[j]] = (p->at.zl[j] - p->at.zu[j]) / q->f_scale;
}

typedef struct {
    double primal, dual, complementarity, largest_gradient, sum, products;
} residuals;

/* One variable or row: value, its sides, its multiplier. */
static void add_side(residuals *r, double value, double lower, double upper, double multiplier)
{
    r->primal = ipm_max(r->primal, ipm_max(lower - value, value - upper));
    r->sum += fabs(multiplier);
    const double side = multiplier >= 0.0 ? lower : upper;
    if (isinf(side))
        r->dual = ipm_max(r->dual, fabs(multiplier));
    else
        r->complementarity = ipm_max(r->complementarity, fabs(multiplier * (value - side)));
    r->products += isinf(side) ? 0.0 : fabs(multiplier * (value - side));
}

/* What the multipliers of the rows leave of the objective's gradient: column j of the model. */
static double gradient_rest(const ipm_problem *q, int64_t j)
{
    double r = q->g[j];
    for (int64_t k = q->m > 0 ? q->pattern.start[j] : 0; q->m > 0 && k < q->pattern.start[j + 1]; k++)
        r -= q->jac_model[k] * q->y_out[q->pattern.index[k]];
    return r;
}

/*
 * The engine's measure in the model's units, from the model's values at hand (x, c, g, jac_model, y_out, z_out); fixed variables take
 * the multiplier that closes their row of the gradient.
 */
static void measure(ipm_state *s)
{
    ipm_problem *q = &s->problem;
    residuals r = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    for (int64_t j = 0; j < q->n_model; j++) {
        const double rest = gradient_rest(q, j);
        r.largest_gradient = ipm_max(r.largest_gradient, fabs(q->g[j]));
        if (q->xl[j] < q->xu[j])
            r.dual = ipm_max(r.dual, fabs(rest - q->z_out[j]));
        else
            q->z_out[j] = rest;
        add_side(&r, q->x[j], q->xl[j], q->xu[j], q->z_out[j]);
    }
    for (int64_t i = 0; i < q->m; i++) {
        const int64_t c = q->row[i];
        add_side(&r, q->c[c], q->cl[c], q->cu[c], q->y_out[c]);
    }
    const double count = (double)(q->n_model + q->m_model);
    const double own = ipm_max(1.0, r.largest_gradient), mean = count > 0.0 ? r.sum / count : 0.0;
    const bool runaway = mean > 100.0 * own && r.products > 1e-3 * ipm_max(1.0, fabs(s->main.f / q->f_scale)); /* as the engine's */
    const double scale = runaway ? own : ipm_max(own, mean);
    s->certificate.primal = r.primal;
    s->certificate.dual = r.dual / scale;
    s->certificate.complementarity = r.complementarity / scale;
    s->certificate.scale = scale;
    s->certificate.strict = ipm_max(r.dual, r.complementarity) / own;
    s->certificate.kkt = ipm_max(r.primal, ipm_max(s->certificate.dual, s->certificate.complementarity));
}

/* ipm_certify - the certificate at the main iterate, with y_out and z_out as they are reported */
void ipm_certify(ipm_state *s)
{
    report_multipliers(s);
    measure(s);
}

/* ipm_violation - largest violation at the point last evaluated, in the model's units */
double ipm_violation(const ipm_state *s)
{
    const ipm_problem *q = &s->problem;
    double largest = 0.0;
    for (int64_t i = 0; i < q->m; i++) {
        const int64_t c = q->row[i];
        largest = fmax(largest, fmax(q->cl[c] - q->c[c], q->c[c] - q->cu[c]));
    }
    return largest;
}

/* ---- start -------------------------------------------------------------------------------------------------------------- */

static double factor_for(double largest, double limit)
{
    return largest > limit ? fmax(limit / largest, 1e-8) : 1.0;
}

/* A row's side as its slack's bound. */
static double slack_bound(const ipm_problem *q, int64_t k, const double *side)
{
    const int64_t i = q->slack_row[k];
    return q->row_scale[i] * side[q->row[i]];
}

/* The model's bound of entry j of w, before any relaxation. */
double ipm_model_lower(const ipm_problem *q, int64_t j)
{
    return j < q->n_x ? q->xl[q->var[j]] : slack_bound(q, j - q->n_x, q->cl);
}

double ipm_model_upper(const ipm_problem *q, int64_t j)
{
    return j < q->n_x ? q->xu[q->var[j]] : slack_bound(q, j - q->n_x, q->cu);
}

static void set_bounds(ipm_state *s)
{
    for (int64_t j = 0; j < s->problem.n; j++) {
        s->main.lower[j] = ipm_model_lower(&s->problem, j);
        s->main.upper[j] = ipm_model_upper(&s->problem, j);
    }
    ipm_list_bounds(&s->main);
}

/* WB 3.6: into the interior of [lower, upper] by a margin */
static double push(double w, double lower, double upper, double absolute, double fraction)
{
    const double width = upper - lower;
    const double below = fmin(absolute * fmax(1.0, fabs(lower)), fraction * width);
    const double above = fmin(absolute * fmax(1.0, fabs(upper)), fraction * width);
    if (isfinite(lower) && !(w > lower + below))
        w = lower + below;
    if (isfinite(upper) && !(w < upper - above))
        w = upper - above;
    if ((isfinite(lower) && !(w > lower)) || (isfinite(upper) && !(w < upper)))
        w = 0.5 * (lower + upper); /* bounds so close that the margins are below rounding */
    return w;
}

static peri_status eval_for_scale(ipm_state *s, peri_run *run)
{
    ipm_problem *q = &s->problem;
    TRY(peri_eval_fg(run, q->x, &s->start_f, q->g));
    if (q->m == 0)
        return PERI_OK;
    TRY(peri_eval_c(run, q->x, q->c));
    return peri_eval_jac(run, q->x, q->jac_model);
}

/* A start point on a bound may be where a logarithm ends: then the functions are looked at inside. */
static peri_status eval_inside(ipm_state *s, peri_run *run)
{
    ipm_problem *q = &s->problem;
    for (int64_t j = 0; j < q->n_x; j++) {
        const int64_t v = q->var[j];
        q->x[v] = push(q->x[v], q->xl[v], q->xu[v], s->opt.bound_push, s->opt.bound_fraction);
    }
    return eval_for_scale(s, run);
}

/* WB 3.8: factors that bring the largest entry of each gradient at the start point down to gradient_limit */
peri_status ipm_scale(ipm_state *s, peri_run *run)
{
    ipm_problem *q = &s->problem;
    double largest = 0.0;
    peri_status e = eval_for_scale(s, run);
    if (e == PERI_E_DOMAIN)
        e = eval_inside(s, run);
    TRY(e);
    q->f_scale = 1.0;
    for (int64_t i = 0; i < q->m; i++)
        q->row_scale[i] = 0.0;
    if (s->opt.scaling) {
        for (int64_t j = 0; j < q->n_x; j++)
            largest = fmax(largest, fabs(q->g[q->var[j]]));
        q->f_scale = factor_for(largest, s->opt.gradient_limit);
        for (int64_t k = 0; k < q->jac_nnz; k++)
            q->row_scale[q->jac_row[k]] = fmax(q->row_scale[q->jac_row[k]], fabs(q->jac_model[q->jac_from[k]]));
    }
    for (int64_t i = 0; i < q->m; i++)
        q->row_scale[i] = factor_for(q->row_scale[i], s->opt.gradient_limit);
    return PERI_OK;
}

static void push_range(ipm_phase *p, int64_t first, int64_t last, double absolute, double fraction)
{
    for (int64_t j = first; j < last; j++)
        p->at.w[j] = push(p->at.w[j], p->lower[j], p->upper[j], absolute, fraction);
}

/*
 * With multipliers of an earlier solution in y_out and z_out: the barrier parameter that fits how far the start point is from the
 * new problem's solution, by the certificate there in the method's units.
 */
static double warm_barrier(ipm_state *s)
{
    const ipm_certificate *c = &s->certificate;
    measure(s);
    const double relative = fmax(c->dual, c->complementarity) * c->scale * s->problem.f_scale;
    return fmax(fmin(fmax(relative, c->primal), s->opt.warm_barrier), 0.1 * s->limits->tolerance);
}

/* Multipliers of an earlier solution, brought to at least mu / slack so that no product with a slack is far below mu. */
static void take_duals(ipm_state *s, double mu)
{
    const ipm_problem *q = &s->problem;
    ipm_phase *p = &s->main;
    for (int64_t i = 0; i < q->m; i++)
        p->at.y[i] = -q->y_out[q->row[i]] * q->f_scale / q->row_scale[i];
    for (int64_t j = 0; j < q->n; j++) {
        const double z = j < q->n_x ? q->f_scale * q->z_out[q->var[j]] : -p->at.y[q->slack_row[j - q->n_x]];
        if (isfinite(p->lower[j]))
            p->at.zl[j] = fmax(z, mu / ipm_slack_lower(p, p->at.w, j));
        if (isfinite(p->upper[j]))
            p->at.zu[j] = fmax(-z, mu / ipm_slack_upper(p, p->at.w, j));
    }
}

static void unit_duals(ipm_phase *p)
{
    for (int64_t k = 0; k < p->n_lower; k++)
        p->at.zl[p->has_lower[k]] = 1.0;
    for (int64_t k = 0; k < p->n_upper; k++)
        p->at.zu[p->has_upper[k]] = 1.0;
}

/* The start point in the interior, slacks at the rows' values, multipliers 1 for bounds and by least squares for rows. */
peri_status ipm_start(ipm_state *s, peri_run *run)
{
    ipm_problem *q = &s->problem;
    ipm_phase *p = &s->main;
    const bool is_warm = s->limits->warm_start != 0 && peri_start_duals(run, q->y_out, q->z_out);
    const double mu = is_warm ? warm_barrier(s) : s->opt.barrier_start;
    const double absolute = is_warm ? fmin(s->opt.warm_push, mu) : s->opt.bound_push;
    const double fraction = is_warm ? fmin(s->opt.warm_push, mu) : s->opt.bound_fraction;
    set_bounds(s);
    for (int64_t j = 0; j < q->n_x; j++)
        p->at.w[j] = q->x[q->var[j]];
    push_range(p, 0, q->n_x, absolute, fraction);
    TRY(ipm_eval_main(s, run, p->at.w, &p->f, p->h));
    for (int64_t k = 0; k < q->n_s; k++)
        p->at.w[q->n_x + k] = q->row_scale[q->slack_row[k]] * q->c[q->row[q->slack_row[k]]];
    push_range(p, q->n_x, q->n, absolute, fraction);
    rows_from_model(q, p->at.w, p->h);
    p->free_barrier = p->free_barrier || (is_warm && s->opt.barrier == IPM_SWITCHING);
    if (is_warm)
        take_duals(s, mu);
    else
        unit_duals(p);
    TRY(ipm_eval_gradient(s, run, p));
    if (!is_warm)
        TRY(ipm_least_squares_multipliers(s, run, p));
    ipm_set_barrier(s, p, mu);
    return PERI_OK;
}
