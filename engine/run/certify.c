/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certify.c - the certificate: residuals of the first-order conditions, from the original model, at a point with
 * multipliers. It knows no method and believes nobody: bounds, constraints and derivatives are evaluated here.
 * Invariant: whatever cannot be evaluated or is not finite makes the residual infinite, never small.
 *
 *     grad f(x) = J(x)' y + z,   y_i >= 0 where the lower side is active, y_i <= 0 where the upper is, the same for z
 */
#include "oracle/acyclic.h"
#include "oracle/prox.h"
#include "run/internal.h"
#include <float.h>
#include <math.h>
#include <string.h>

typedef struct {
    nlp *p;
    arena memory;
    double *c, *jac, *residual; /* [m], [nnz], [n]: grad f, then grad f - J'y - z */
    double f;
    peri_pattern pattern;
    bool values, derivatives; /* defined at the point */
    nlp_acyclic *graph;       /* of a point whose graph has no cycle; else NULL */
    unsigned char *closes;    /* [d d] then: edges that would close one */
} state;

/* ---- evaluation
 * ------------------------------------------------------------------------------------------------------------------ */

/* Undefined or not offered is an answer; only other failures are errors. */
static peri_status allowed(peri_status status, bool *defined)
{
    *defined = *defined && status == PERI_OK;
    return status == PERI_E_DOMAIN || status == PERI_E_UNSUPPORTED ? PERI_OK : status;
}

/* Where the graph has no cycle its row and the row's gradient are zero, whatever rounding makes of them. */
static peri_status look_at_graph(state *s, const double *x)
{
    nlp *p = s->p;
    bool there = (p->class_.traits & PERI_BIT(PERI_TRAIT_ACYCLIC)) != 0 && s->derivatives;
    nlp_acyclic *c = NULL;
    if (there)
        TRY(allowed(nlp_acyclic_of(p, &c), &there));
    if (there)
        TRY(allowed(nlp_weights(c, x, c->w), &there));
    if (!there || !nlp_weights_are_acyclic(c, c->w))
        return PERI_OK;
    s->closes = arena_array(&s->memory, (size_t)(c->block.d * c->block.d), 1);
    if (s->closes == NULL)
        return FAIL_NOMEM(p->ctx);
    nlp_acyclic_closures(c, c->w, s->closes);
    s->graph = c;
    s->c[c->block.row] = 0;
    for (int64_t k = 0; k < s->pattern.nnz; k++)
        if (s->pattern.index[k] == c->block.row)
            s->jac[k] = 0;
    return PERI_OK;
}

static peri_status evaluate(state *s, nlp *p, const double *x)
{
    *s = (state){.p = p};
    arena_init(&s->memory, &p->ctx->mem);
    s->c = arena_array(&s->memory, (size_t)p->m, sizeof *s->c);
    s->residual = arena_array(&s->memory, (size_t)p->n, sizeof *s->residual);
    if (s->c == NULL || s->residual == NULL)
        return FAIL_NOMEM(p->ctx);
    s->values = nlp_is_finite(p->n, x);
    if (s->values)
        TRY(allowed(nlp_c(p, x, s->c), &s->values));
    s->derivatives = s->values;
    if (s->derivatives)
        TRY(allowed(nlp_fg(p, x, &s->f, s->residual), &s->derivatives));
    if (s->derivatives)
        TRY(allowed(nlp_jac_pattern(p, &s->pattern), &s->derivatives));
    if (!s->derivatives)
        return PERI_OK;
    s->jac = arena_array(&s->memory, (size_t)s->pattern.nnz, sizeof *s->jac);
    if (s->jac == NULL)
        return FAIL_NOMEM(p->ctx);
    TRY(allowed(nlp_jac(p, x, s->jac), &s->derivatives));
    return look_at_graph(s, x);
}

/* ---- integer variables: fixed in the eyes of the certificate
 * ------------------------------------------------------------------------- */

/* 1 for each entry of an integer variable; NULL when there are none. */
static peri_status integer_mask(state *s, unsigned char **out)
{
    const peri_model *m = s->p->model;
    *out = NULL;
    if (s->p->class_.integers == 0)
        return PERI_OK;
    *out = arena_array(&s->memory, (size_t)s->p->n, 1);
    if (*out == NULL)
        return FAIL_NOMEM(s->p->ctx);
    for (int64_t i = 0; i < m->vars.n; i++)
        if (m->vars.at[i].integer && m->vars.at[i].at >= 0)
            memset(*out + m->vars.at[i].at, 1, (size_t)m->vars.at[i].size);
    return PERI_OK;
}

/* ---- residuals
 * -------------------------------------------------------------------------------------------------------------------------
 */

static void raise_to(double *most, double v)
{
    if (!(v <= *most)) /* NaN too */
        *most = isnan(v) ? INFINITY : v;
}

static double primal_residual(const state *s, const double *x, const unsigned char *integer)
{
    const nlp *p = s->p;
    double most = 0;
    for (int64_t j = 0; j < p->n; j++) {
        raise_to(&most, p->xl[j] - x[j]);
        raise_to(&most, x[j] - p->xu[j]);
        if (integer != NULL && integer[j])
            raise_to(&most, fabs(x[j] - nearbyint(x[j])));
    }
    for (int64_t i = 0; i < p->m; i++) {
        raise_to(&most, p->cl[i] - s->c[i]);
        raise_to(&most, s->c[i] - p->cu[i]);
    }
    return most;
}

static double largest(int64_t n, const double *v)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++)
        raise_to(&most, fabs(v[k]));
    return most;
}

static double sum_of(int64_t n, const double *v)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += fabs(v[k]);
    return sum;
}

/* A multiplier with its value and sides: a sign without a side counts as dual residual, the product as complementarity. */
static void price(double multiplier, double value, double lower, double upper, double *dual, double *complementarity, double *products)
{
    const double side = multiplier > 0 ? lower : upper;
    if (!(multiplier < 0 || multiplier > 0))
        return;
    if (isinf(side)) {
        raise_to(dual, fabs(multiplier));
    } else {
        const double product = fabs(multiplier) * fabs(value - side);
        raise_to(complementarity, product);
        *products += product;
    }
}

/*
 * What residuals are relative to. Multipliers that run away and cancel, as those of a row that is given twice can, make the mean of all as large as one
 * likes, and any residual small by it: where they are beyond the gradient and leave products as large as the objective itself, the mean does not count.
 */
static double scale_of(double gradient, double mean, double products, double objective)
{
    const double own = fmax(1, gradient);
    return mean > 100 * own && products > 1e-3 * fmax(1, fabs(objective)) ? own : fmax(own, mean);
}

static void subtract_rows(state *s, const double *y)
{
    const peri_pattern *a = &s->pattern;
    for (int64_t j = 0; j < a->cols; j++)
        for (int64_t k = a->start[j]; k < a->start[j + 1]; k++)
            s->residual[j] -= s->jac[k] * y[a->index[k]];
}

/*
 * Weights that would close a cycle are held at zero, each by a multiplier mu of its own: z_k = r_k - mu a_k must have the sign that variable k's
 * bounds allow, for all variables of the weight, where r is the gradient and a the weight's slope. That leaves an interval for mu, or half its
 * negative length as residual. A weight that is not linear vanishes where its variables do and no nearer point has it zero (a norm). held [n]
 */
static peri_status hold_closing(state *s, const double *x, unsigned char *held, double *dual)
{
    const nlp *p = s->p;
    const nlp_acyclic *c = s->graph;
    const int64_t size = c->block.d * c->block.d;
    double *low = arena_array(&s->memory, (size_t)size, sizeof *low), *high = arena_array(&s->memory, (size_t)size, sizeof *high);
    if (low == NULL || high == NULL)
        return FAIL_NOMEM(p->ctx);
    for (int64_t e = 0; e < size; e++) {
        low[e] = -INFINITY;
        high[e] = INFINITY;
    }
    for (int64_t k = 0; k < p->n; k++) {
        const int64_t e = c->entry[k];
        if (e < 0 || !s->closes[e] || (!c->block.linear && fabs(x[k]) > 0))
            continue;
        held[k] = 1;
        const double a = c->slope[k], mu = s->residual[k] / a;
        if (!(fabs(a) > 0))
            continue;
        if (a > 0 ? x[k] < p->xu[k] : x[k] > p->xl[k]) /* z a >= 0 is asked */
            high[e] = fmin(high[e], mu);
        if (a > 0 ? x[k] > p->xl[k] : x[k] < p->xu[k])
            low[e] = fmax(low[e], mu);
    }
    for (int64_t k = 0; k < p->n; k++)
        if (held[k] && low[c->entry[k]] > high[c->entry[k]])
            raise_to(dual, 0.5 * (low[c->entry[k]] - high[c->entry[k]]) * fabs(c->slope[k]));
    return PERI_OK;
}

static peri_status dual_residuals(state *s, const double *x, const double *y, const double *z, const unsigned char *integer,
                                  peri_certificate *out)
{
    const nlp *p = s->p;
    double dual = 0, complementarity = 0, products = 0;
    const double mean = (sum_of(p->m, y) + sum_of(p->n, z)) / (double)(p->m + p->n), gradient = largest(p->n, s->residual);
    if (!nlp_is_finite(p->m, y) || !nlp_is_finite(p->n, z))
        dual = complementarity = INFINITY;
    unsigned char *held = arena_array(&s->memory, (size_t)p->n, 1);
    if (held == NULL)
        return FAIL_NOMEM(p->ctx);
    subtract_rows(s, y);
    if (s->graph != NULL)
        TRY(hold_closing(s, x, held, &dual));
    for (int64_t j = 0; j < p->n; j++) {
        if ((integer != NULL && integer[j]) || held[j])
            continue;
        raise_to(&dual, fabs(s->residual[j] - z[j]));
        price(z[j], x[j], p->xl[j], p->xu[j], &dual, &complementarity, &products);
    }
    for (int64_t i = 0; i < p->m; i++)
        price(y[i], s->c[i], p->cl[i], p->cu[i], &dual, &complementarity, &products);
    const double scale = scale_of(gradient, mean, products, s->f);
    out->dual = isinf(dual) ? dual : dual / scale;
    out->complementarity = isinf(complementarity) ? complementarity : complementarity / scale;
    return PERI_OK;
}

/* ---- kinks
 * ------------------------------------------------------------------------------------------------------------------------------ */

/*
 * Stationarity of s + h where h has kinks or its sets' multipliers are none of the model's: x = prox_t(x - t grad s(x)) for any t > 0; the residual is
 * the difference over t, in the infinity norm, with t = 1 / scale. Where x is no kink and no bound is near this is the gradient.
 */
static peri_status composite_residual(state *s, const double *x, peri_certificate *out)
{
    nlp *p = s->p;
    nlp_prox *c;
    double f, h, most = 0;
    double *g = arena_array(&s->memory, (size_t)p->n, sizeof *g), *u = arena_array(&s->memory, (size_t)p->n, sizeof *u);
    if (g == NULL || u == NULL)
        return FAIL_NOMEM(p->ctx);
    bool there = true;
    TRY(allowed(nlp_prox_of(p, &c), &there));
    if (there)
        TRY(allowed(nlp_prox_smooth(c, x, &f, g), &there));
    if (!there)
        return PERI_OK;
    const double scale = fmax(1, largest(p->n, g));
    for (int64_t i = 0; i < p->n; i++)
        u[i] = x[i] - g[i] / scale;
    TRY(nlp_prox_apply(c, 1 / scale, u, u, &h));
    for (int64_t i = 0; i < p->n; i++)
        raise_to(&most, fabs(x[i] - u[i]) + 4 * DBL_EPSILON * fabs(x[i])); /* far away a step is lost in rounding */
    if (most < fmax(out->dual, out->complementarity)) { /* scale * |difference| over scale */
        out->dual = most;
        out->complementarity = 0;
    }
    return PERI_OK;
}

/* Kinks, norms that vanish (whose derivatives say nothing there), or a method that worked on this form. */
static bool is_composite(const state *s, double dual)
{
    const nlp *p = s->p;
    if (s->derivatives && isinf(dual)) /* multipliers that are none */
        return false;
    const bool kinks = (p->class_.traits & PERI_BIT(PERI_TRAIT_NONSMOOTH)) != 0;
    return p->class_.integers == 0 && (kinks || !s->derivatives || p->prox != NULL);
}

static peri_status certify_given(state *s, const double *x, const double *y, const double *z, peri_certificate *out)
{
    unsigned char *integer;
    TRY(integer_mask(s, &integer));
    if (s->values)
        out->primal = primal_residual(s, x, integer);
    if (s->derivatives)
        TRY(dual_residuals(s, x, y, z, integer, out));
    if (s->values && is_composite(s, out->dual))
        TRY(composite_residual(s, x, out));
    out->kkt = fmax(out->primal, fmax(out->dual, out->complementarity));
    return PERI_OK;
}

/* ---- estimates
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static peri_status estimate(state *s, const double *x, const double *y, double *y_out, double *z_out)
{
    nlp *p = s->p;
    memset(y_out, 0, (size_t)p->m * sizeof *y_out);
    memset(z_out, 0, (size_t)p->n * sizeof *z_out);
    if (y != NULL)
        memcpy(y_out, y, (size_t)p->m * sizeof *y_out);
    if (!s->derivatives)
        return PERI_OK;
    if (y != NULL || p->m == 0) {
        subtract_rows(s, y_out);
        estimate_bounds(p, x, s->residual, z_out);
        return PERI_OK;
    }
    estimate_fit f = {.p = p,
                      .x = x,
                      .c = s->c,
                      .pattern = s->pattern,
                      .jac = s->jac,
                      .residual = s->residual,
                      .y = y_out,
                      .z = z_out,
                      .row = arena_array(&s->memory, (size_t)p->m, 1)};
    if (f.row == NULL)
        return FAIL_NOMEM(p->ctx);
    memset(f.row, 1, (size_t)p->m);
    return estimate_rows(&f);
}

peri_status certify_estimate(nlp *p, const double *x, const double *y, double *y_out, double *z_out)
{
    state s;
    peri_status status = evaluate(&s, p, x);
    if (status == PERI_OK)
        status = estimate(&s, x, y, y_out, z_out);
    arena_release(&s.memory);
    return status;
}

static peri_status certify_with_estimate(nlp *p, const double *x, const double *y, peri_certificate *out)
{
    double *y_own = mem_array(&p->ctx->mem, (size_t)p->m, sizeof *y_own),
           *z_own = mem_array(&p->ctx->mem, (size_t)p->n, sizeof *z_own);
    peri_status status = y_own != NULL && z_own != NULL ? certify_estimate(p, x, y, y_own, z_own) : FAIL_NOMEM(p->ctx);
    if (status == PERI_OK)
        status = certify(p, x, y_own, z_own, out);
    mem_array_free(&p->ctx->mem, y_own);
    mem_array_free(&p->ctx->mem, z_own);
    return status;
}

peri_status certify(nlp *p, const double *x, const double *y, const double *z, peri_certificate *out)
{
    state s;
    *out = (peri_certificate){INFINITY, INFINITY, INFINITY, INFINITY, NAN};
    if (z == NULL || (y == NULL && p->m > 0))
        return certify_with_estimate(p, x, y, out);
    peri_status status = evaluate(&s, p, x);
    if (status == PERI_OK)
        status = certify_given(&s, x, y, z, out);
    arena_release(&s.memory);
    return status;
}

/* ---- evidence of infeasibility
 * ------------------------------------------------------------------------------------------------------------ */

/* How much row i is outside: positive below its lower side, negative above its upper. */
static double outside(const nlp *p, int64_t i, double c)
{
    return c < p->cl[i] ? p->cl[i] - c : c > p->cu[i] ? p->cu[i] - c : 0;
}

/* Violations up to this share of the largest are taken for none. */
static const double NEARLY = 1e-4;

/* Fits multipliers of the satisfied rows and of the bounds to the gradient of the violation sum_i w_i(violation_i) with
 * weights of the violated rows fixed, and returns what is left, relative to that gradient's largest row entry. */
static peri_status slope(state *s, const double *x, bool squared, double *out)
{
    nlp *p = s->p;
    estimate_fit f = {.p = p, .x = x, .c = s->c, .pattern = s->pattern, .jac = s->jac, .residual = s->residual};
    double worst = 0, scale = 0;
    f.y = arena_array(&s->memory, (size_t)p->m, sizeof *f.y);
    f.z = arena_array(&s->memory, (size_t)p->n, sizeof *f.z);
    f.row = arena_array(&s->memory, (size_t)p->m, 1);
    if (f.y == NULL || f.z == NULL || f.row == NULL)
        return FAIL_NOMEM(p->ctx);
    for (int64_t i = 0; i < p->m; i++)
        worst = fmax(worst, fabs(outside(p, i, s->c[i])));
    double *w = arena_array(&s->memory, (size_t)p->m, sizeof *w);
    if (w == NULL)
        return FAIL_NOMEM(p->ctx);
    f.active = fmax(1e-5, NEARLY * worst); /* a row that is outside by little is on its side */
    for (int64_t i = 0; i < p->m; i++) {
        const double v = outside(p, i, s->c[i]) / worst;
        const bool violated = fabs(v) > NEARLY;
        w[i] = !violated ? 0 : squared ? v : v > 0 ? 1 : -1;
        f.row[i] = !violated;
    }
    memset(s->residual, 0, (size_t)p->n * sizeof *s->residual);
    const peri_pattern *a = &s->pattern;
    for (int64_t j = 0; j < a->cols; j++)
        for (int64_t k = a->start[j]; k < a->start[j + 1]; k++) {
            s->residual[j] -= s->jac[k] * w[a->index[k]]; /* the gradient of the violation */
            scale = fmax(scale, fabs(s->jac[k] * w[a->index[k]]));
        }
    TRY(estimate_rows(&f));
    double left = largest(p->n, s->residual);
    for (int64_t j = 0; j < p->n; j++)
        if (p->xl[j] < p->xu[j] && (f.z[j] < 0 || f.z[j] > 0)) /* what a bound takes counts by the way left to it */
            raise_to(&left, fabs(f.z[j]) * fabs(x[j] - (f.z[j] > 0 ? p->xl[j] : p->xu[j])));
    /* Where the rows' own gradients vanish there is no direction left: no slope to speak of on the way that the violation asks for. */
    scale = fmax(scale, 1e-6 * worst / fmax(1, largest(p->n, x)));
    *out = scale > 0 ? left / scale : 0;
    return PERI_OK;
}

peri_status certify_violation(nlp *p, const double *x, double *out)
{
    state s;
    double plain = INFINITY, squared = INFINITY;
    *out = INFINITY;
    peri_status status = evaluate(&s, p, x);
    bool violated = false;
    for (int64_t i = 0; i < p->m && status == PERI_OK && s.derivatives; i++)
        violated = violated || fabs(outside(p, i, s.c[i])) > 0;
    if (status == PERI_OK && violated)
        status = slope(&s, x, false, &plain);
    if (status == PERI_OK && violated)
        status = slope(&s, x, true, &squared);
    if (status == PERI_OK)
        *out = fmin(plain, squared);
    arena_release(&s.memory);
    return status;
}

/* ---- feasible as far as rounding allows ---------------------------------------------------------------------------------------------------- */

static peri_status relative_residual(state *s, const double *x, double *out)
{
    const nlp *p = s->p;
    const peri_pattern *a = &s->pattern;
    double *size = arena_array(&s->memory, (size_t)p->m, sizeof *size);
    if (size == NULL)
        return FAIL_NOMEM(p->ctx);
    *out = 0;
    for (int64_t j = 0; j < p->n; j++) {
        const double scale = fmax(1, fabs(x[j]));
        raise_to(out, (p->xl[j] - x[j]) / scale);
        raise_to(out, (x[j] - p->xu[j]) / scale);
        for (int64_t k = a->start[j]; k < a->start[j + 1]; k++)
            size[a->index[k]] += fabs(s->jac[k] * x[j]);
    }
    for (int64_t i = 0; i < p->m; i++)
        raise_to(out, fabs(outside(p, i, s->c[i])) / fmax(1, size[i]));
    return PERI_OK;
}

peri_status certify_relative(nlp *p, const double *x, double *out)
{
    state s;
    *out = INFINITY;
    peri_status status = evaluate(&s, p, x);
    if (status == PERI_OK && s.derivatives)
        status = relative_residual(&s, x, out);
    arena_release(&s.memory);
    return status;
}
