/* SPDX-License-Identifier: Apache-2.0 */
/*
 * levels.c - the levels of a problem in its view: who owns which variables and rows, and each level's objective and rows as expressions of the
 * view's graph. A level's expressions are grouped by themselves when first asked for, so that evaluating one level does no work for
 * others. Invariant: lists depend on the model's structure alone and are made with the first question; classes follow its data.
 */
#include "base/rng.h"
#include "oracle/nlp.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- lists
 * ---------------------------------------------------------------------------------------------------------------- */

static bool reserve(nlp *p, nlp_levels *all, int64_t k)
{
    mem *a = &p->ctx->mem;
    nlp_level *l = &all->at[k];
    for (int64_t i = 0; i < p->model->vars.n; i++)
        l->info.n += all->of.level[p->model->vars.at[i].level] == k ? p->model->vars.at[i].size : 0;
    for (int64_t i = 0; i < p->model->cons.n; i++)
        l->info.m += all->of.level[p->model->cons.at[i].level] == k ? p->model->cons.at[i].size : 0;
    l->variable = mem_array(a, (size_t)l->info.n, sizeof *l->variable);
    l->row = mem_array(a, (size_t)l->info.m, sizeof *l->row);
    l->class_.linear_row = mem_array(a, (size_t)l->info.m, 1);
    return l->variable != NULL && l->row != NULL && l->class_.linear_row != NULL;
}

static void fill(const nlp *p, nlp_levels *all)
{
    const peri_model *m = p->model;
    int64_t *n = all->count, *rows = all->count + all->of.n;
    for (int64_t i = 0; i < m->vars.n; i++) {
        const int32_t k = all->of.level[m->vars.at[i].level];
        for (int64_t j = 0; k >= 0 && j < m->vars.at[i].size; j++)
            all->at[k].variable[n[k]++] = m->vars.at[i].at + j;
    }
    for (int64_t i = 0; i < m->cons.n; i++) {
        const int32_t k = all->of.level[m->cons.at[i].level];
        for (int64_t j = 0; k >= 0 && j < m->cons.at[i].size; j++)
            all->at[k].row[rows[k]++] = m->cons.at[i].row + j;
    }
    for (int32_t k = 0; k < all->of.n; k++) {
        nlp_level *l = &all->at[k];
        l->info.name = all->of.model[k]->name;
        l->info.parent = all->of.parent[k];
        l->info.variable = l->variable;
        l->info.row = l->row;
        l->f = l->c = PERI_NO_EXPR;
    }
}

static peri_status make(nlp *p, nlp_levels *all)
{
    mem *a = &p->ctx->mem;
    TRY(model_levels_of(p->model, &all->of));
    all->at = mem_array(a, (size_t)all->of.n, sizeof *all->at);
    all->info = mem_array(a, (size_t)all->of.n, sizeof *all->info);
    all->count = mem_array(a, 2 * (size_t)all->of.n, sizeof *all->count);
    bool ok = all->at != NULL && all->info != NULL && all->count != NULL;
    for (int32_t k = 0; ok && k < all->of.n; k++)
        ok = reserve(p, all, k);
    if (!ok)
        return FAIL_NOMEM(p->ctx);
    fill(p, all);
    all->data = p->data - 1; /* nothing is classified yet */
    return PERI_OK;
}

void nlp_levels_free(nlp *p)
{
    nlp_levels *all = p->levels;
    if (all == NULL)
        return;
    mem *a = &p->ctx->mem;
    for (int32_t k = 0; all->at != NULL && k < all->of.n; k++) {
        mem_array_free(a, all->at[k].variable);
        mem_array_free(a, all->at[k].row);
        mem_array_free(a, all->at[k].class_.linear_row);
    }
    mem_array_free(a, all->at);
    mem_array_free(a, all->info);
    mem_array_free(a, all->count);
    model_levels_free(p->model, &all->of);
    mem_free(a, all, sizeof *all);
    p->levels = NULL;
}

static peri_status classify(nlp *p, nlp_levels *all)
{
    for (int32_t k = 0; k < all->of.n; k++) {
        nlp_level *l = &all->at[k];
        model_class fresh;
        TRY(model_classify_level(p->model, &all->of, k, l->class_.linear_row, &fresh));
        l->class_ = fresh;
        l->info.convex = (fresh.traits & PERI_BIT(PERI_TRAIT_CONVEX)) != 0;
        all->info[k] = l->info;
    }
    all->data = p->data;
    return PERI_OK;
}

peri_status nlp_get_levels(nlp *p, const nlp_levels **out)
{
    peri_status status = PERI_OK;
    if (p->levels == NULL) {
        p->levels = mem_alloc(&p->ctx->mem, sizeof *p->levels);
        if (p->levels == NULL)
            return FAIL_NOMEM(p->ctx);
        status = make(p, p->levels);
    }
    if (status != PERI_OK)
        nlp_levels_free(p);
    else if (p->levels->data != p->data)
        status = classify(p, p->levels);
    *out = p->levels;
    return status;
}

/* ---- expressions
 * ---------------------------------------------------------------------------------------------------------------- */

/* The level's rows below each other, in the model's own graph. */
static peri_status stack_rows(nlp *p, int32_t level, expr_id *out)
{
    const peri_model *m = p->model;
    expr_id *column = mem_array(m->g->m, (size_t)m->cons.n, sizeof *column);
    peri_status status = column != NULL ? PERI_OK : FAIL_NOMEM(p->ctx);
    int64_t n = 0;
    for (int64_t i = 0; i < m->cons.n && status == PERI_OK; i++)
        if (p->levels->of.level[m->cons.at[i].level] == level)
            status = expr_reshape(m->g, m->cons.at[i].body, m->cons.at[i].size, 1, &column[n++]);
    if (status == PERI_OK)
        status = expr_stack(m->g, n, column, out);
    mem_array_free(m->g->m, column);
    return status;
}

static peri_status roll(nlp *p, nlp_level *l, int32_t level)
{
    const peri_model *m = p->levels->of.model[level];
    expr_id roots[2], rolled[2] = {PERI_NO_EXPR, PERI_NO_EXPR}, f;
    int64_t n = 0;
    const bool has_f = m->objective != PERI_NO_EXPR;
    if (has_f)
        roots[n++] = m->objective;
    if (l->info.m > 0)
        TRY(stack_rows(p, level, &roots[n++]));
    if (n > 0)
        TRY(model_place(p->model, n, roots));
    if (n > 0)
        TRY(diff_roll(p->model->g, n, roots, p->g, rolled));
    f = rolled[0];
    if (!has_f)
        TRY(expr_number(p->g, 0, &f));
    else if (m->maximize)
        TRY(expr_unary(p->g, PERI_OP_NEG, f, &f));
    l->c = l->info.m > 0 ? rolled[n - 1] : PERI_NO_EXPR;
    l->f = f;
    return PERI_OK;
}

/* ---- tiny objectives
 * ---------------------------------------------------------------------------------------------------------------- */

enum { LOOKED_AT = 5 };
static const double TINY = 1e-5; /* largest magnitude of an objective that is scaled */

/* Number 0 is the start; others lie between the bounds, at most as far from the start as its size. */
static void draw(const nlp *p, int number, double *x)
{
    model_gather(p->model, p->model->start.at, x);
    for (int64_t j = 0; j < p->n && number > 0; j++) {
        const double reach = 1 + fabs(x[j]), u = rng_uniform(1, UINT64_C(0x7363616c65), (uint64_t)(number * p->n + j));
        const double lower = fmax(p->xl[j], x[j] - reach), upper = fmin(p->xu[j], x[j] + reach);
        x[j] = lower + u * (upper - lower);
    }
}

peri_status nlp_find_scale(nlp *p, expr_id f, double *scale)
{
    double most = 0, value = 0, *x = mem_array(&p->ctx->mem, (size_t)p->n, sizeof *x), *out = &value;
    const double *inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = p->model->g->param_value.at};
    peri_status status = x != NULL ? PERI_OK : FAIL_NOMEM(p->ctx);
    for (int number = 0; number < LOOKED_AT && status == PERI_OK && most <= TINY; number++) {
        draw(p, number, x);
        status = expr_interpret(p->g, 1, &f, inputs, &out);
        if (status == PERI_E_DOMAIN)
            status = PERI_OK;
        else if (status == PERI_OK && isfinite(value))
            most = fmax(most, fabs(value));
    }
    mem_array_free(&p->ctx->mem, x);
    *scale = most > 0 && most <= TINY ? ldexp(1, -ilogb(most)) : 1;
    return status;
}

static peri_status scale_objective(nlp *p, nlp_level *l)
{
    double scale;
    expr_id factor;
    TRY(nlp_find_scale(p, l->f, &scale));
    if (scale > 1) {
        TRY(expr_number(p->g, scale, &factor));
        TRY(expr_binary(p->g, PERI_OP_MUL, factor, l->f, &l->f));
    }
    l->scale = scale;
    return PERI_OK;
}

peri_status nlp_level_scale(nlp *p, int64_t level, double *scale)
{
    expr_id f, c;
    TRY(nlp_level_problem(p, level, &f, &c));
    *scale = p->levels->at[level].scale;
    return PERI_OK;
}

peri_status nlp_level_problem(nlp *p, int64_t level, expr_id *f, expr_id *c)
{
    const nlp_levels *all;
    TRY(nlp_get_levels(p, &all));
    if (level < 0 || level >= all->of.n)
        return FAIL(p->ctx, PERI_E_ARGUMENT, "model \"%s\" has no level %lld: its levels are 0 .. %d", p->model->name, (long long)level,
                    (int)all->of.n - 1);
    nlp_level *l = &p->levels->at[level];
    if (l->f == PERI_NO_EXPR)
        TRY(roll(p, l, (int32_t)level));
    if (!(l->scale > 0)) {
        l->scale = 1;
        if (level > 0)
            TRY(scale_objective(p, l));
    }
    *f = l->f;
    *c = l->c;
    return PERI_OK;
}
