/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose_point.c - what can be told from the functions and first derivatives at the point: where a value is no number, which rows and
 * bounds are violated most, whether rows or columns differ in size, whether the point ran away along a ray. Costs a few evaluations.
 */
#include "base/vector.h"
#include "run/diagnose.h"
#include <math.h>
#include <string.h>

/* Lengths that differ by more are told. */
static const double BAD_RATIO = 1e6;
/* A point that is so many times as far as its start has run away. */
static const double RUN_AWAY = 1e6;
/* A variable whose share of the way is less does not take part. */
static const double IN_RAY = 1e-3;

/* ---- evaluation ------------------------------------------------------------------------------------------------------------- */

/* What is undefined or does not exist is an answer here. */
static peri_status allowed(peri_status status, bool *there)
{
    *there = status == PERI_OK;
    return status == PERI_E_DOMAIN || status == PERI_E_UNSUPPORTED ? PERI_OK : status;
}

peri_status diagnose_evaluate(diagnose_work *w)
{
    nlp *p = w->p;
    const double *x = w->s->x;
    w->c = arena_array(w->work, (size_t)p->m, sizeof *w->c);
    w->g = arena_array(w->work, (size_t)p->n, sizeof *w->g);
    if (w->c == NULL || w->g == NULL)
        return FAIL_NOMEM(w->s->ctx);
    TRY(allowed(nlp_c(p, x, w->c), &w->has_c));
    TRY(allowed(nlp_f(p, x, &w->f), &w->has_f));
    if (w->has_f)
        TRY(allowed(nlp_fg(p, x, &w->f, w->g), &w->has_g));
    bool there = false;
    if (p->m > 0)
        TRY(allowed(nlp_jac_pattern(p, &w->pattern), &there));
    if (!there)
        return PERI_OK;
    w->jac = arena_array(w->work, (size_t)w->pattern.nnz, sizeof *w->jac);
    if (w->jac == NULL)
        return FAIL_NOMEM(w->s->ctx);
    return allowed(nlp_jac(p, x, w->jac), &w->has_jac);
}

/* ---- not a number ------------------------------------------------------------------------------------------------------------- */

static peri_status describe_fault(diagnose_work *w, const nlp_fault *f, const double *x)
{
    peri_nonfinite *out = &w->out->nonfinite;
    const bool own = f->g == w->s->model->g && f->fault.node != PERI_NO_EXPR;
    int64_t reads[DIAGNOSE_SHOWN + 1], n = 0;
    char *text = NULL;
    if (f->fault.node != PERI_NO_EXPR) {
        out->operation = peri_op_name((peri_op)expr_at(f->g, f->fault.node)->op);
        n = expr_reads(f->g, f->fault.node, f->fault.entry, DIAGNOSE_SHOWN + 1, reads);
    } else {
        out->operation = "unknown";
    }
    out->row = f->row[0] != '\0' ? diagnose_print(w, "%s", f->row) : NULL;
    out->where = out->row != NULL ? diagnose_print(w, "constraint \"%s\"", f->row) : diagnose_print(w, "%s", f->where);
    out->text = diagnose_print(w, "%s", f->fault.text);
    peri_named *at = arena_array(w->keep, (size_t)n, sizeof *at);
    if (at == NULL)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t k = 0; k < n; k++)
        at[k] = (peri_named){diagnose_variable(w, reads[k]), x[reads[k]]};
    out->at = (peri_named_list){n, at};
    if (!own)
        return PERI_OK;
    TRY(expr_entry_text(f->g, f->g, f->fault.node, f->fault.entry, 200, &text));
    out->expression = diagnose_print(w, "%s", text);
    mem_array_free(&w->s->ctx->mem, text);
    return PERI_OK;
}

peri_status diagnose_nonfinite(diagnose_work *w)
{
    nlp_fault fault;
    bool found = false;
    const double *x = w->trail->undefined_at;
    if (x == NULL && w->has_f && w->has_c)
        return PERI_OK;
    x = x != NULL ? x : w->s->x;
    TRY(nlp_find_fault(w->p, x, &fault, &found));
    return found ? describe_fault(w, &fault, x) : PERI_OK;
}

/* ---- residuals ------------------------------------------------------------------------------------------------------------------ */

/* A number with the place it belongs to. */
typedef struct {
    double value;
    int64_t at;
} ranked;

/* Keeps the n largest values in `list`, in falling order. */
static void rank_in(ranked *list, int64_t *n, double value, int64_t at)
{
    int64_t k = *n < DIAGNOSE_SHOWN ? (*n)++ : DIAGNOSE_SHOWN;
    while (k > 0 && list[k - 1].value < value) {
        if (k < DIAGNOSE_SHOWN)
            list[k] = list[k - 1];
        k--;
    }
    if (k < DIAGNOSE_SHOWN)
        list[k] = (ranked){value, at};
}

static double violation(double v, double lower, double upper)
{
    return fmax(0, fmax(lower - v, v - upper));
}

static peri_residual residual_of(diagnose_work *w, const ranked *r)
{
    const nlp *p = w->p;
    const bool is_bound = r->at >= p->m;
    const int64_t j = r->at - p->m, i = r->at;
    return (peri_residual){
        .name = is_bound ? diagnose_variable(w, j) : diagnose_row(w, i),
        .is_bound = is_bound,
        .value = is_bound ? w->s->x[j] : w->c[i],
        .lower = is_bound ? p->xl[j] : p->cl[i],
        .upper = is_bound ? p->xu[j] : p->cu[i],
        .violation = r->value,
    };
}

peri_status diagnose_residuals(diagnose_work *w)
{
    const nlp *p = w->p;
    ranked worst[DIAGNOSE_SHOWN];
    int64_t n = 0;
    for (int64_t i = 0; i < p->m && w->has_c; i++)
        if (violation(w->c[i], p->cl[i], p->cu[i]) > w->trail->tolerance)
            rank_in(worst, &n, violation(w->c[i], p->cl[i], p->cu[i]), i);
    for (int64_t j = 0; j < p->n; j++)
        if (violation(w->s->x[j], p->xl[j], p->xu[j]) > w->trail->tolerance)
            rank_in(worst, &n, violation(w->s->x[j], p->xl[j], p->xu[j]), p->m + j);
    peri_residual *list = arena_array(w->keep, (size_t)n, sizeof *list);
    if (list == NULL)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t k = 0; k < n; k++)
        list[k] = residual_of(w, &worst[k]);
    w->out->residuals = (peri_residual_list){n, list};
    return PERI_OK;
}

/* ---- scaling -------------------------------------------------------------------------------------------------------------------- */

static peri_status name_ranked(diagnose_work *w, const ranked *r, int64_t n, double sign, bool rows, peri_named_list *out)
{
    peri_named *list = arena_array(w->keep, (size_t)n, sizeof *list);
    if (list == NULL)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t k = 0; k < n; k++)
        list[k] = (peri_named){rows ? diagnose_row(w, r[k].at) : diagnose_variable(w, r[k].at), sign * r[k].value};
    *out = (peri_named_list){n, list};
    return PERI_OK;
}

/* length [n]: squared; lengths of zero say nothing about scaling */
static peri_status compare_lengths(diagnose_work *w, int64_t n, const double *squared, bool rows, peri_scaling *out)
{
    ranked large[DIAGNOSE_SHOWN], small[DIAGNOSE_SHOWN];
    int64_t n_large = 0, n_small = 0;
    for (int64_t k = 0; k < n; k++) {
        if (!(squared[k] > 0))
            continue;
        rank_in(large, &n_large, sqrt(squared[k]), k);
        rank_in(small, &n_small, -sqrt(squared[k]), k);
    }
    if (n_large == 0 || !(large[0].value > BAD_RATIO * -small[0].value))
        return PERI_OK;
    out->ratio = large[0].value / -small[0].value;
    const int64_t shown = n_large < 2 * 3 ? n_large / 2 : 3; /* none is in both lists */
    TRY(name_ranked(w, large, shown, 1, rows, &out->largest));
    return name_ranked(w, small, shown, -1, rows, &out->smallest);
}

peri_status diagnose_scaling(diagnose_work *w)
{
    const nlp *p = w->p;
    if (!w->has_jac)
        return PERI_OK;
    double *row = arena_array(w->work, (size_t)p->m, sizeof *row), *col = arena_array(w->work, (size_t)p->n, sizeof *col);
    if (row == NULL || col == NULL)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t k = w->pattern.start[j]; k < w->pattern.start[j + 1]; k++) {
            row[w->pattern.index[k]] += w->jac[k] * w->jac[k];
            col[j] += w->jac[k] * w->jac[k];
        }
    TRY(compare_lengths(w, p->m, row, true, &w->out->rows));
    return compare_lengths(w, p->n, col, false, &w->out->columns);
}

/* ---- a ray ------------------------------------------------------------------------------------------------------------------------ */

/* Rows hold at x as far as rounding lets them: relative to what is added up in them. */
static bool rows_hold(diagnose_work *w, const double *x, const double *c)
{
    const nlp *p = w->p;
    double *size = arena_array(w->work, (size_t)p->m, sizeof *size);
    if (size == NULL)
        return false;
    for (int64_t j = 0; j < p->n && w->has_jac; j++)
        for (int64_t k = w->pattern.start[j]; k < w->pattern.start[j + 1]; k++)
            size[w->pattern.index[k]] += fabs(w->jac[k] * x[j]);
    for (int64_t i = 0; i < p->m; i++)
        if (violation(c[i], p->cl[i], p->cu[i]) > 1e-6 * fmax(1, size[i]))
            return false;
    return true;
}

static bool bounds_hold(const nlp *p, const double *x)
{
    for (int64_t j = 0; j < p->n; j++)
        if (violation(x[j], p->xl[j], p->xu[j]) > 1e-6 * fmax(1, fabs(x[j])))
            return false;
    return true;
}

/* Twice as far as the point is; what does not take part in the ray stays within its bounds. */
static peri_status confirm(diagnose_work *w, double length)
{
    nlp *p = w->p;
    const double *x = w->s->x, *start = w->trail->start;
    double f;
    bool has_c, has_f;
    double *far = arena_array(w->work, (size_t)p->n, sizeof *far), *c = arena_array(w->work, (size_t)p->m, sizeof *c);
    if (far == NULL || c == NULL)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t j = 0; j < p->n; j++) {
        far[j] = x[j] + (x[j] - start[j]);
        if (fabs(x[j] - start[j]) <= IN_RAY * length)
            far[j] = x[j];
    }
    TRY(allowed(nlp_f(p, far, &f), &has_f));
    TRY(allowed(nlp_c(p, far, c), &has_c));
    w->out->ray_confirmed = has_f && has_c && f < w->f - 1e-6 * fabs(w->f) && rows_hold(w, far, c) && bounds_hold(p, far);
    return PERI_OK;
}

static bool has_run_away(const diagnose_work *w)
{
    const int64_t n = w->p->n;
    if (w->s->outcome == PERI_UNBOUNDED)
        return true;
    return w->has_f && vector_largest(n, w->s->x) > RUN_AWAY * fmax(1, vector_largest(n, w->trail->start)) && w->f < 0;
}

peri_status diagnose_ray(diagnose_work *w)
{
    const nlp *p = w->p;
    ranked most[DIAGNOSE_SHOWN];
    int64_t n = 0;
    double length = 0, slope = 0;
    for (int64_t j = 0; j < p->n; j++)
        length = fmax(length, fabs(w->s->x[j] - w->trail->start[j]));
    if (!has_run_away(w) || !(length > 0) || !w->has_f)
        return PERI_OK;
    for (int64_t j = 0; j < p->n; j++) {
        const double d = (w->s->x[j] - w->trail->start[j]) / length;
        slope += w->has_g ? w->g[j] * d : NAN;
        if (fabs(d) > IN_RAY)
            rank_in(most, &n, fabs(d), j);
    }
    w->out->ray_slope = w->s->model->maximize ? -slope : slope;
    peri_named *list = arena_array(w->keep, (size_t)n, sizeof *list);
    if (list == NULL)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t k = 0; k < n; k++) {
        const int64_t j = most[k].at;
        list[k] = (peri_named){diagnose_variable(w, j), (w->s->x[j] - w->trail->start[j]) / length};
    }
    w->out->ray = (peri_named_list){n, list};
    return confirm(w, length);
}
