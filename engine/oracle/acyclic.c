/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acyclic.c - the weights of a graph as functions of the variables. Invariant: entry[j] is the only weight that variable j has a part in; what
 * could not be shown to be so is not offered. Made once for a structure of the model; evaluation allocates nothing.
 */
#include "oracle/acyclic.h"
#include <math.h>
#include <string.h>

/* ---- making ------------------------------------------------------------------------------------------------------------- */

static peri_status refuse(nlp *p, const char *why)
{
    return FAIL(p->ctx, PERI_E_UNSUPPORTED, "the acyclicity constraint's weights %s", why);
}

static peri_status reads_variables(expr_graph *g, expr_id e, bool *yes)
{
    unsigned char *reach = mem_array(g->m, (size_t)g->nodes.n, 1);
    *yes = false;
    if (reach == NULL)
        return FAIL_NOMEM(g->ctx);
    expr_reach(g, 1, &e, reach);
    for (expr_id k = 0; k < (expr_id)g->nodes.n; k++)
        *yes = *yes || (reach[k] && expr_at(g, k)->op == PERI_OP_INPUT && expr_at(g, k)->class_ == EXPR_IN_X);
    mem_array_free(g->m, reach);
    return PERI_OK;
}

/* The weights in a graph of their own, one below the other. */
static peri_status compile(nlp_acyclic *c, expr_id w)
{
    nlp *p = c->p;
    expr_graph *from = p->model->g;
    const int64_t d = c->block.d;
    expr_id column, e;
    TRY(expr_reshape(from, w, d * d, 1, &column));
    TRY(model_place(p->model, 1, &column));
    c->g = expr_graph_new(p->ctx);
    if (c->g == NULL)
        return FAIL_NOMEM(p->ctx);
    TRY(diff_roll(from, 1, &column, c->g, &e));
    TRY(diff_jacobian(c->g, e, 0, p->n, &c->jac));
    c->has_jac = true;
    const eval_output weights = {e, 0, 0}, slopes = {c->jac.values, 0, 0};
    bool bent = false;
    TRY(eval_compile(c->g, 1, &weights, &c->weights));
    if (c->jac.nnz > 0)
        TRY(reads_variables(c->g, c->jac.values, &bent));
    c->block.linear = !bent;
    return c->block.linear && c->jac.nnz > 0 ? eval_compile(c->g, 1, &slopes, &c->slopes) : PERI_OK;
}

static peri_status map_variables(nlp_acyclic *c)
{
    const diff_sparse *a = &c->jac;
    for (int64_t j = 0; j < c->p->n; j++) {
        const int64_t count = a->start[j + 1] - a->start[j];
        if (count > 1)
            return refuse(c->p, "share variables");
        c->entry[j] = count == 1 ? a->index[a->start[j]] : -1;
    }
    return PERI_OK;
}

static peri_status run(nlp_acyclic *c, eval_program *program, const double *x, double *out)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = c->p->model->g->param_value.at};
    return eval_run(program, inputs, &out);
}

/* Weights vanish where their variables do; `slope` is scratch for the point 0, then what it says. */
static peri_status look_at_zero(nlp_acyclic *c)
{
    nlp *p = c->p;
    const int64_t d = c->block.d;
    memset(c->slope, 0, (size_t)p->n * sizeof *c->slope);
    TRY(run(c, c->weights, c->slope, c->w));
    for (int64_t k = 0; k < d * d; k++)
        if (c->w[k] < 0 || c->w[k] > 0 || isnan(c->w[k]))
            return refuse(p, "are not all zero where the variables are");
    if (c->slopes == NULL)
        return PERI_OK;
    double *value = mem_array(&p->ctx->mem, (size_t)c->jac.nnz, sizeof *value);
    if (value == NULL)
        return FAIL_NOMEM(p->ctx);
    const peri_status status = run(c, c->slopes, c->slope, value);
    for (int64_t j = 0; j < p->n && status == PERI_OK; j++)
        if (c->entry[j] >= 0)
            c->slope[j] = value[c->jac.start[j]];
    mem_array_free(&p->ctx->mem, value);
    return status;
}

static peri_status make(nlp_acyclic *c)
{
    nlp *p = c->p;
    int64_t row = 0;
    const model_acyclic *of = model_acyclic_of(p->model, &row);
    if (of == NULL)
        return FAIL(p->ctx, PERI_E_UNSUPPORTED, "the model has no acyclicity constraint, or more than one");
    const int64_t d = expr_at(p->model->g, of->w)->rows;
    c->block = (peri_acyclic){.size = (uint32_t)sizeof c->block, .form = of->form, .absolute = of->absolute, .d = d, .row = row, .s = of->s};
    c->entry = mem_array(&p->ctx->mem, (size_t)p->n, sizeof *c->entry);
    c->slope = mem_array(&p->ctx->mem, (size_t)p->n, sizeof *c->slope);
    c->w = mem_array(&p->ctx->mem, (size_t)(d * d), sizeof *c->w);
    c->stack = mem_array(&p->ctx->mem, (size_t)(2 * d), sizeof *c->stack);
    if (c->entry == NULL || c->slope == NULL || c->w == NULL || c->stack == NULL)
        return FAIL_NOMEM(p->ctx);
    c->block.entry = c->entry;
    TRY(compile(c, of->w));
    return map_variables(c);
}

void nlp_acyclic_free(nlp_acyclic *c)
{
    if (c == NULL)
        return;
    mem *m = &c->p->ctx->mem;
    if (c->weights != NULL)
        eval_free(c->weights);
    if (c->slopes != NULL)
        eval_free(c->slopes);
    if (c->has_jac)
        diff_sparse_free(c->g, &c->jac);
    if (c->g != NULL)
        expr_graph_free(c->g);
    mem_array_free(m, c->entry);
    mem_array_free(m, c->slope);
    mem_array_free(m, c->w);
    mem_array_free(m, c->stack);
    mem_free(m, c, sizeof *c);
}

peri_status nlp_acyclic_of(nlp *p, nlp_acyclic **out)
{
    nlp_acyclic *c = *out = p->acyclic;
    if (c != NULL)
        return look_at_zero(c); /* parameters may have changed */
    c = mem_alloc(&p->ctx->mem, sizeof *c);
    if (c == NULL)
        return FAIL_NOMEM(p->ctx);
    memset(c, 0, sizeof *c);
    c->p = p;
    peri_status status = make(c);
    if (status == PERI_OK)
        status = look_at_zero(c);
    if (status != PERI_OK) {
        nlp_acyclic_free(c);
        return status;
    }
    *out = p->acyclic = c;
    return PERI_OK;
}

/* ---- evaluation --------------------------------------------------------------------------------------------------------- */

peri_status nlp_weights(nlp_acyclic *c, const double *x, double *w)
{
    TRY(run(c, c->weights, x, w));
    return nlp_guard(c->p, NLP_C, c->block.d * c->block.d, w);
}

/* Nodes without an edge from a node that is left are taken away, until none is (Kahn 1962). */
bool nlp_weights_are_acyclic(const nlp_acyclic *c, const double *w)
{
    const int64_t d = c->block.d;
    int64_t *into = c->stack, *free = c->stack + d, n = 0, taken = 0;
    for (int64_t j = 0; j < d; j++) {
        into[j] = 0;
        for (int64_t i = 0; i < d; i++)
            into[j] += w[i * d + j] < 0 || w[i * d + j] > 0;
        if (into[j] == 0)
            free[n++] = j;
    }
    for (; taken < n; taken++)
        for (int64_t j = 0; j < d; j++) {
            const double edge = w[free[taken] * d + j];
            if ((edge < 0 || edge > 0) && --into[j] == 0)
                free[n++] = j;
        }
    return taken == d;
}

/* Sources come first in the order that `stack` has after the test above, so descendants of j are known before j, taken from the end. */
void nlp_acyclic_closures(const nlp_acyclic *c, const double *w, unsigned char *closes)
{
    const int64_t d = c->block.d;
    const int64_t *order = c->stack + d;
    memset(closes, 0, (size_t)(d * d));
    (void)nlp_weights_are_acyclic(c, w);
    for (int64_t p = d - 1; p >= 0; p--) {
        const int64_t j = order[p];
        closes[j * d + j] = 1; /* column j: the nodes i that j reaches */
        for (int64_t k = 0; k < d; k++) {
            if (!(w[j * d + k] < 0 || w[j * d + k] > 0))
                continue;
            for (int64_t i = 0; i < d; i++)
                closes[i * d + j] |= closes[i * d + k];
        }
    }
}
