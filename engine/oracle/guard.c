/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.c - the finite-value wall between the problem and the solvers: the test every evaluation passes, and the search
 * for the cause when one did not. The search looks at the user's own expressions, by the plain interpreter, so that it
 * names what the user wrote.
 */
#include "oracle/nlp.h"
#include <math.h>

/* x * 0 is 0 for finite x, NaN otherwise; four sums so that the additions do not wait for each other. */
bool nlp_is_finite(int64_t n, const double *v)
{
    return eval_is_finite(n, v);
}

typedef struct {
    nlp *p;
    const double *inputs[EXPR_IN_COUNT];
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

static peri_status explain_objective(const search *s, bool *found)
{
    char text[256];
    nlp *p = s->p;
    if (p->model->objective == PERI_NO_EXPR)
        return PERI_OK;
    *found = expr_explain_nonfinite(p->model->g, p->model->objective, s->inputs, text, sizeof text);
    return *found ? FAIL(p->ctx, PERI_E_DOMAIN, "objective: %s", text) : PERI_OK;
}

static peri_status explain_constraints(const search *s, bool *found)
{
    char text[256], name[128];
    nlp *p = s->p;
    for (int64_t k = 0; k < p->model->cons.n && !*found; k++) {
        const model_constraint *c = &p->model->cons.at[k];
        int64_t row = -1;
        TRY(bad_row(s, c, &row));
        if (row < 0)
            continue;
        *found = true;
        model_row_name(p->model, row, name, sizeof name);
        if (!expr_explain_nonfinite(p->model->g, c->body, s->inputs, text, sizeof text))
            return FAIL(p->ctx, PERI_E_DOMAIN, "constraint \"%s\": not finite", name);
        return FAIL(p->ctx, PERI_E_DOMAIN, "constraint \"%s\": %s", name, text);
    }
    return PERI_OK;
}

/* The values are finite, a derivative is not: the operation is one of the engine's own making. */
static peri_status explain_derivative(const search *s, const char *what, expr_id e, bool *found)
{
    char text[256];
    nlp *p = s->p;
    if (e == PERI_NO_EXPR)
        return PERI_OK;
    *found = expr_explain_nonfinite(p->g, e, s->inputs, text, sizeof text);
    return *found ? FAIL(p->ctx, PERI_E_DOMAIN, "%s: %s", what, text) : PERI_OK;
}

static peri_status explain(nlp *p, const double *x, const double *ones, bool *found)
{
    const double one = 1;
    const search s = {p,
                      {[EXPR_IN_X] = x,
                       [EXPR_IN_PARAM] = p->model->g->param_value.at,
                       [EXPR_IN_W] = ones,
                       [EXPR_IN_SIGMA] = &one,
                       [EXPR_IN_V] = ones}};
    TRY(explain_objective(&s, found));
    TRY(explain_constraints(&s, found));
    TRY(explain_derivative(&s, "objective: in its gradient", p->gradient, found));
    TRY(explain_derivative(&s, "constraints: in their jacobian", p->has_jac ? p->jac.values : PERI_NO_EXPR, found));
    TRY(explain_derivative(&s, "objective or constraints: in their hessian",
                           p->has_hess ? p->hess.values : PERI_NO_EXPR, found));
    expr_id product = PERI_NO_EXPR;
    if (p->lagrangian_gradient != PERI_NO_EXPR)
        TRY(nlp_direction(p, p->lagrangian_gradient, &product));
    return explain_derivative(&s, "objective or constraints: in a product with their hessian", product, found);
}

peri_status nlp_explain_domain(nlp *p, const double *x)
{
    const int64_t n = p->n > p->m ? p->n : p->m;
    bool found = false;
    double *ones = mem_array(&p->ctx->mem, (size_t)n, sizeof *ones);
    if (ones == NULL)
        return FAIL_NOMEM(p->ctx);
    for (int64_t i = 0; i < n; i++)
        ones[i] = 1;
    const peri_status status = explain(p, x, ones, &found);
    mem_array_free(&p->ctx->mem, ones);
    if (status != PERI_OK)
        return status;
    return FAIL(p->ctx, PERI_E_DOMAIN, "objective or constraints: a value is not finite here");
}
