/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.c - the finite-value wall between the problem and the solvers: the test every evaluation passes, and the search
 * for the cause when one did not. The search looks at the user's own expressions, by the plain interpreter, so that it
 * names what the user wrote.
 */
#include "oracle/nlp.h"
#include <math.h>
#include <stdio.h>

/* x * 0 is 0 for finite x, NaN otherwise; four sums so that the additions do not wait for each other. */
bool nlp_is_finite(int64_t n, const double *v)
{
    return eval_is_finite(n, v);
}

typedef struct {
    nlp *p;
    const double *inputs[EXPR_IN_COUNT]; /* of the model's graph */
    const double *own[EXPR_IN_COUNT];    /* of the view's */
} search;

/* The row of block c that is not finite first, or -1. */
static peri_status bad_row(const search *s, const model_constraint *c, int64_t *row)
{
    expr_graph *g = s->p->model->g;
    double *value = mem_array(g->m, (size_t)c->size, sizeof *value);
    if (value == NULL)
        return FAIL_NOMEM(g->ctx);
    const peri_status status = expr_interpret(g, 1, &c->body, s->inputs, &value);
    *row = -1;
    for (int64_t k = 0; k < c->size && status == PERI_OK && *row < 0; k++)
        if (!isfinite(value[k]))
            *row = c->row + k;
    mem_array_free(g->m, value);
    return status;
}

static void name_fault(nlp_fault *out, expr_graph *g, const char *where)
{
    snprintf(out->where, sizeof out->where, "%s", where);
    out->g = g;
}

static peri_status look_at_objective(const search *s, nlp_fault *out, bool *found)
{
    nlp *p = s->p;
    if (p->model->objective == PERI_NO_EXPR)
        return PERI_OK;
    *found = expr_find_nonfinite(p->model->g, p->model->objective, s->inputs, &out->fault);
    if (*found)
        name_fault(out, p->model->g, "objective");
    return PERI_OK;
}

static peri_status look_at_lower_objectives(const search *s, nlp_fault *out, bool *found)
{
    const nlp_levels *all;
    if ((s->p->class_.traits & PERI_BIT(PERI_TRAIT_LEVELS)) == 0)
        return PERI_OK;
    TRY(nlp_get_levels(s->p, &all));
    for (int32_t k = 1; k < all->of.n && !*found; k++) {
        const peri_model *m = all->of.model[k];
        char where[96];
        *found = m->objective != PERI_NO_EXPR && expr_find_nonfinite(m->g, m->objective, s->inputs, &out->fault);
        snprintf(where, sizeof where, "objective of lower model \"%.60s\"", m->name);
        if (*found)
            name_fault(out, m->g, where);
    }
    return PERI_OK;
}

static peri_status look_at_constraints(const search *s, nlp_fault *out, bool *found)
{
    nlp *p = s->p;
    for (int64_t k = 0; k < p->model->cons.n && !*found; k++) {
        const model_constraint *c = &p->model->cons.at[k];
        int64_t row = -1;
        TRY(bad_row(s, c, &row));
        if (row < 0)
            continue;
        *found = true;
        model_row_name(p->model, row, out->row, sizeof out->row);
        if (!expr_find_nonfinite(p->model->g, c->body, s->inputs, &out->fault)) {
            out->fault = (expr_fault){.node = PERI_NO_EXPR, .text = "not finite"};
        }
        name_fault(out, p->model->g, "constraint");
    }
    return PERI_OK;
}

/* The values are finite, a derivative is not: the operation is one of the engine's own making. */
static void look_at_derivative(const search *s, const char *what, expr_id e, nlp_fault *out, bool *found)
{
    nlp *p = s->p;
    if (*found || e == PERI_NO_EXPR)
        return;
    *found = expr_find_nonfinite(p->g, e, s->own, &out->fault);
    if (*found)
        name_fault(out, p->g, what);
}

static peri_status look(nlp *p, const double *x, const double *all, const double *ones, nlp_fault *out, bool *found)
{
    const double one = 1;
    const search s = {p,
                      {[EXPR_IN_X] = all, [EXPR_IN_PARAM] = p->model->g->param_value.at},
                      {[EXPR_IN_X] = x,
                       [EXPR_IN_PARAM] = p->model->g->param_value.at,
                       [EXPR_IN_W] = ones,
                       [EXPR_IN_SIGMA] = &one,
                       [EXPR_IN_V] = ones}};
    TRY(look_at_objective(&s, out, found));
    if (!*found)
        TRY(look_at_constraints(&s, out, found));
    if (!*found)
        TRY(look_at_lower_objectives(&s, out, found));
    look_at_derivative(&s, "objective: in its gradient", p->gradient, out, found);
    look_at_derivative(&s, "constraints: in their jacobian", p->has_jac ? p->jac.values : PERI_NO_EXPR, out, found);
    look_at_derivative(&s, "objective or constraints: in their hessian", p->has_hess ? p->hess.values : PERI_NO_EXPR, out,
                       found);
    expr_id product = PERI_NO_EXPR;
    if (!*found && p->lagrangian_gradient != PERI_NO_EXPR)
        TRY(nlp_direction(p, p->lagrangian_gradient, &product));
    look_at_derivative(&s, "objective or constraints: in a product with their hessian", product, out, found);
    return PERI_OK;
}

peri_status nlp_find_fault(nlp *p, const double *x, nlp_fault *out, bool *found)
{
    const int64_t n = p->n > p->m ? p->n : p->m;
    double *ones = mem_array(&p->ctx->mem, (size_t)n, sizeof *ones);
    double *all = mem_array(&p->ctx->mem, (size_t)p->model->start.n, sizeof *all);
    *found = false;
    *out = (nlp_fault){.g = NULL};
    for (int64_t i = 0; ones != NULL && i < n; i++)
        ones[i] = 1;
    if (all != NULL)
        model_spread(p->model, x, all);
    const peri_status status = ones != NULL && all != NULL ? look(p, x, all, ones, out, found) : FAIL_NOMEM(p->ctx);
    mem_array_free(&p->ctx->mem, all);
    mem_array_free(&p->ctx->mem, ones);
    return status;
}

peri_status nlp_explain_domain(nlp *p, const double *x)
{
    nlp_fault fault;
    bool found;
    TRY(nlp_find_fault(p, x, &fault, &found));
    if (!found)
        return FAIL(p->ctx, PERI_E_DOMAIN, "objective or constraints: a value is not finite here");
    if (fault.row[0] != '\0')
        return FAIL(p->ctx, PERI_E_DOMAIN, "constraint \"%s\": %s", fault.row, fault.fault.text);
    return FAIL(p->ctx, PERI_E_DOMAIN, "%s: %s", fault.where, fault.fault.text);
}
