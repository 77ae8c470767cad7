/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nlp.c - the view's life: the model's expressions are grouped into a graph of its own, derivatives are derived there,
 * programs are compiled from it when first asked for. Invariant: programs and patterns depend on the model's structure
 * alone, so that bounds, integrality and parameters change between solves without anything being compiled again.
 */
#include "oracle/nlp.h"
#include "oracle/acyclic.h"
#include "oracle/dense.h"
#include "oracle/finite_sum.h"
#include "oracle/prox.h"
#include "base/clock.h"
#include "diff/batch.h"
#include <stdio.h>
#include <string.h>

/* Entries of a sparse Hessian, before equal ones are added, above which it is not offered. */
enum { HESSIAN_LIMIT = 1 << 24 };

/* ---- making
 * ------------------------------------------------------------------------------------------------------------------ */

/* The bodies below each other: one column of m rows in the model's own graph. */
static peri_status stack_constraints(peri_model *m, expr_id *out)
{
    expr_graph *g = m->g;
    expr_id *column = mem_array(g->m, (size_t)m->cons.n, sizeof *column);
    peri_status status = column != NULL ? PERI_OK : FAIL_NOMEM(m->ctx);
    int64_t n = 0;
    for (int64_t k = 0; k < m->cons.n && status == PERI_OK; k++)
        if (model_takes_part(m, m->cons.at[k].level))
            status = expr_reshape(g, m->cons.at[k].body, m->cons.at[k].size, 1, &column[n++]);
    if (status == PERI_OK)
        status = expr_stack(g, n, column, out);
    mem_array_free(g->m, column);
    return status;
}

static peri_status roll(nlp *p)
{
    peri_model *m = p->model;
    expr_id roots[2], rolled[2];
    int64_t n = 0;
    const bool has_f = m->objective != PERI_NO_EXPR;
    if (has_f)
        roots[n++] = m->objective;
    if (p->m > 0)
        TRY(stack_constraints(m, &roots[n++]));
    context_tell(m->ctx, "grouping", 0);
    TRY(model_place(m, n, roots));
    TRY(diff_roll(m->g, n, roots, p->g, rolled));
    p->g->n_x = p->n; /* variables that take no part, such as an argmin's, lie behind: points do not have them */
    TRY(expr_input(p->g, EXPR_IN_X, 0, p->n, 1, &p->x));
    if (p->m > 0)
        p->c = rolled[n - 1];
    if (!has_f)
        return expr_number(p->g, 0, &p->f);
    p->f = rolled[0];
    return m->maximize ? expr_unary(p->g, PERI_OP_NEG, p->f, &p->f) : PERI_OK;
}

static bool make_bounds(nlp *p)
{
    mem *a = &p->ctx->mem;
    p->xl = mem_array(a, (size_t)p->n, sizeof *p->xl);
    p->xu = mem_array(a, (size_t)p->n, sizeof *p->xu);
    p->cl = mem_array(a, (size_t)p->m, sizeof *p->cl);
    p->cu = mem_array(a, (size_t)p->m, sizeof *p->cu);
    p->class_.linear_row = mem_array(a, (size_t)p->m, 1);
    return p->xl != NULL && p->xu != NULL && p->cl != NULL && p->cu != NULL && p->class_.linear_row != NULL;
}

static peri_status make(peri_model *m, nlp **out)
{
    nlp *p = mem_alloc(&m->ctx->mem, sizeof *p);
    if (p == NULL)
        return FAIL_NOMEM(m->ctx);
    const double started = clock_seconds();
    p->model = m;
    p->ctx = m->ctx;
    p->structure = m->structure;
    p->data = m->data - 1; /* nothing refreshed yet */
    p->n = m->n;
    p->m = m->m;
    p->x = p->f = p->c = p->gradient = p->lagrangian = p->lagrangian_gradient = p->residuals = PERI_NO_EXPR;
    p->g = expr_graph_new(m->ctx);
    peri_status status = p->g != NULL && make_bounds(p) ? PERI_OK : FAIL_NOMEM(m->ctx);
    if (status == PERI_OK && m->lower.n != m->g->n_x)
        status =
            FAIL(m->ctx, PERI_E_UNSUPPORTED, "model \"%s\": a model inside a model has no view of its own", m->name);
    if (status == PERI_OK)
        status = roll(p);
    p->seconds.building = clock_seconds() - started;
    if (status != PERI_OK)
        nlp_free(p);
    else
        *out = p;
    return status;
}

void nlp_free(nlp *p)
{
    if (p == NULL)
        return;
    mem *a = &p->ctx->mem;
    if (p->kept != NULL)
        p->kept_free(p->kept);
    nlp_levels_free(p);
    nlp_prox_free(p->prox);
    nlp_acyclic_free(p->acyclic);
    finite_sum_free(p->sum);
    nlp_dense_free(p);
    for (int k = 0; k < NLP_PROGRAMS; k++)
        if (p->program[k] != NULL)
            eval_free(p->program[k]);
    for (int k = 0; k < NLP_BATCHES; k++)
        batch_free(p->batch[k]);
    if (p->has_jac)
        diff_sparse_free(p->g, &p->jac);
    if (p->has_hess)
        diff_sparse_free(p->g, &p->hess);
    if (p->has_residual_jac)
        diff_sparse_free(p->g, &p->residual_jac);
    mem_array_free(a, p->xl);
    mem_array_free(a, p->xu);
    mem_array_free(a, p->cl);
    mem_array_free(a, p->cu);
    mem_array_free(a, p->class_.linear_row);
    if (p->g != NULL)
        expr_graph_free(p->g);
    mem_free(a, p, sizeof *p);
}

static peri_status refresh(nlp *p)
{
    peri_model *m = p->model;
    model_class fresh;
    TRY(model_classify(m, p->class_.linear_row, &fresh)); /* where that fails it is asked again before anything is read */
    p->class_ = fresh;
    model_gather(m, m->lower.at, p->xl);
    model_gather(m, m->upper.at, p->xu);
    for (int64_t k = 0; k < m->cons.n; k++) {
        const model_constraint *c = &m->cons.at[k];
        if (!model_takes_part(m, c->level))
            continue;
        memcpy(p->cl + c->row, c->lower, (size_t)c->size * sizeof *p->cl);
        memcpy(p->cu + c->row, c->upper, (size_t)c->size * sizeof *p->cu);
    }
    p->data = m->data;
    return PERI_OK;
}

peri_status nlp_of(peri_model *m, nlp **out)
{
    nlp *p = m->nlp;
    TRY(model_validate(m));
    if (p != NULL && p->in_use > 0) {
        if (p->structure != m->structure)
            return FAIL(m->ctx, PERI_E_STATE, "model \"%s\" was changed while it is being solved", m->name);
        *out = p;
        return PERI_OK;
    }
    if (p != NULL && p->structure != m->structure) {
        nlp_free(p);
        p = m->nlp = NULL;
    }
    if (p == NULL) {
        TRY(make(m, &p));
        m->nlp = p;
        m->nlp_free = nlp_free;
    }
    if (p->data != m->data)
        TRY(refresh(p));
    *out = p;
    return PERI_OK;
}

void nlp_reset_counts(nlp *p)
{
    memset(&p->count, 0, sizeof p->count);
    memset(&p->seconds, 0, sizeof p->seconds);
}

/* ---- deriving
 * -------------------------------------------------------------------------------------------------------------------
 */

peri_status nlp_derive_gradient(nlp *p)
{
    expr_id one, out;
    if (p->gradient != PERI_NO_EXPR)
        return PERI_OK;
    TRY(expr_full(p->g, expr_at(p->g, p->f)->rows, expr_at(p->g, p->f)->cols, 1, &one));
    TRY(diff_adjoint(p->g, 1, &p->f, &one, 1, &p->x, &out));
    p->gradient = out;
    return PERI_OK;
}

static peri_status derive_lagrangian(nlp *p)
{
    expr_graph *g = p->g;
    expr_id sigma, w, top, one, gradient;
    if (p->lagrangian_gradient != PERI_NO_EXPR)
        return PERI_OK;
    TRY(expr_input(g, EXPR_IN_SIGMA, 0, 1, 1, &sigma));
    TRY(expr_binary(g, PERI_OP_MUL, sigma, p->f, &top));
    if (p->m > 0) {
        TRY(expr_input(g, EXPR_IN_W, 0, p->m, 1, &w));
        TRY(expr_binary(g, PERI_OP_MUL, w, p->c, &w));
        TRY(expr_unary(g, PERI_OP_SUM, w, &w));
        TRY(expr_binary(g, PERI_OP_ADD, top, w, &top));
    }
    TRY(expr_full(g, 1, 1, 1, &one));
    TRY(diff_adjoint(g, 1, &top, &one, 1, &p->x, &gradient));
    p->lagrangian = top;
    p->lagrangian_gradient = gradient;
    return PERI_OK;
}

/* A pattern without entries, for a problem without constraints. */
static peri_status empty_pattern(nlp *p, int64_t rows, diff_sparse *out)
{
    memset(out, 0, sizeof *out);
    out->rows = rows;
    out->cols = p->n;
    out->values = PERI_NO_EXPR;
    out->start = mem_array(&p->ctx->mem, (size_t)p->n + 1, sizeof *out->start);
    out->index = mem_array(&p->ctx->mem, 0, sizeof *out->index);
    if (out->start != NULL && out->index != NULL)
        return PERI_OK;
    mem_array_free(&p->ctx->mem, out->start);
    mem_array_free(&p->ctx->mem, out->index);
    return FAIL_NOMEM(p->ctx);
}

static peri_status derive_jacobian(nlp *p)
{
    if (p->has_jac)
        return PERI_OK;
    TRY(p->m > 0 ? diff_jacobian(p->g, p->c, 0, p->n, &p->jac) : empty_pattern(p, 0, &p->jac));
    p->has_jac = true;
    return PERI_OK;
}

static peri_status sparse_or_dense(nlp *p)
{
    char why[160];
    const peri_status status = diff_hessian(p->g, p->lagrangian, 0, p->n, HESSIAN_LIMIT, &p->hess);
    if (status != PERI_E_UNSUPPORTED)
        return status;
    snprintf(why, sizeof why, "%.150s", peri_error(p->ctx));
    return nlp_dense_make(p, why);
}

static peri_status derive_hessian(nlp *p)
{
    if (p->has_hess)
        return PERI_OK;
    if (p->hess_status != PERI_OK)
        return FAIL(p->ctx, p->hess_status, "%s", p->why_no_hess);
    peri_status status = derive_lagrangian(p);
    if (status == PERI_OK)
        status = sparse_or_dense(p);
    p->has_hess = status == PERI_OK;
    if (status == PERI_E_UNSUPPORTED) {
        p->hess_status = status;
        snprintf(p->why_no_hess, sizeof p->why_no_hess, "%.300s", peri_error(p->ctx));
    }
    return status;
}

peri_status nlp_direction(nlp *p, expr_id of, expr_id *out)
{
    expr_id v;
    TRY(expr_input(p->g, EXPR_IN_V, 0, p->n, 1, &v));
    return diff_tangent(p->g, 1, &of, 1, &p->x, &v, out);
}

peri_status nlp_find_residuals(nlp *p, int64_t *count)
{
    if (p->no_residuals)
        return FAIL(p->ctx, PERI_E_UNSUPPORTED, "the objective is not a sum of squares whose residuals can be told apart");
    if (p->residuals == PERI_NO_EXPR) {
        expr_id r;
        const peri_status status = diff_squares(p->g, p->f, &r);
        p->no_residuals = status == PERI_E_UNSUPPORTED;
        TRY(status);
        p->residuals = r;
    }
    if (count != NULL)
        *count = expr_size(p->g, p->residuals);
    return PERI_OK;
}

static peri_status derive_residual_jacobian(nlp *p)
{
    if (p->has_residual_jac)
        return PERI_OK;
    TRY(nlp_find_residuals(p, NULL));
    TRY(diff_jacobian(p->g, p->residuals, 0, p->n, &p->residual_jac));
    p->has_residual_jac = true;
    return PERI_OK;
}

static peri_status weighted_rows(nlp *p, expr_id *out)
{
    expr_id w;
    TRY(expr_input(p->g, EXPR_IN_W, 0, p->m, 1, &w));
    return diff_adjoint(p->g, 1, &p->c, &w, 1, &p->x, out);
}

/* ---- compiling
 * -------------------------------------------------------------------------------------------------------------------
 */

/* The nodes that a program computes, one a slot; fewer than there are rows: none. */
static peri_status outputs_of(nlp *p, int program, expr_id *e, int *n)
{
    *n = 1;
    switch (program) {
    case NLP_F:
        e[0] = p->f;
        return PERI_OK;
    case NLP_FG:
        TRY(nlp_derive_gradient(p));
        e[0] = p->f;
        e[1] = p->gradient;
        *n = 2;
        return PERI_OK;
    case NLP_C:
        e[0] = p->c;
        return PERI_OK;
    case NLP_JAC:
        TRY(derive_jacobian(p));
        e[0] = p->jac.values;
        return PERI_OK;
    case NLP_HESS:
        TRY(derive_hessian(p));
        e[0] = p->hess.values;
        return p->dense != NULL && p->hess.nnz > 0 ? nlp_dense_products(p, &e[0]) : PERI_OK;
    case NLP_JV:
        return nlp_direction(p, p->c, &e[0]);
    case NLP_VJ:
        return weighted_rows(p, &e[0]);
    case NLP_R:
        TRY(nlp_find_residuals(p, NULL));
        e[0] = p->residuals;
        return PERI_OK;
    case NLP_RJ:
        TRY(derive_residual_jacobian(p));
        e[0] = p->residual_jac.values;
        return PERI_OK;
    default:
        TRY(derive_lagrangian(p));
        return nlp_direction(p, p->lagrangian_gradient, &e[0]);
    }
}

static bool reads_constraints(int program)
{
    return program == NLP_C || program == NLP_JAC || program == NLP_JV || program == NLP_VJ;
}

/* The same nodes in the form that is computed fastest. */
static peri_status rewritten(nlp *p, int program, const expr_id *e, expr_id *run)
{
    expr_graph *g = p->g;
    expr_id one;
    if (program != NLP_F && program != NLP_FG)
        return diff_align(g, 1, e, run);
    TRY(diff_merge(g, e[0], &run[0]));
    if (program == NLP_F)
        return diff_align(g, 1, run, run);
    if (run[0] != e[0]) {
        TRY(expr_full(g, expr_at(g, run[0])->rows, expr_at(g, run[0])->cols, 1, &one));
        TRY(diff_adjoint(g, 1, &run[0], &one, 1, &p->x, &run[1]));
    }
    return diff_gather(g, run[0], run[1], &run[0], &run[1]);
}

peri_status nlp_compile(nlp *p, int program)
{
    if (p->program[program] != NULL)
        return PERI_OK;
    if (reads_constraints(program) && p->m == 0)
        return program == NLP_JAC ? derive_jacobian(p) : PERI_OK;
    const double started = clock_seconds();
    expr_id e[2] = {PERI_NO_EXPR, PERI_NO_EXPR}, run[2];
    int n;
    context_tell(p->model->ctx, "derivatives", 0);
    peri_status status = outputs_of(p, program, e, &n);
    memcpy(run, e, sizeof run);
    if (status == PERI_OK && e[0] != PERI_NO_EXPR)
        status = rewritten(p, program, e, run);
    if (status == PERI_OK && e[0] != PERI_NO_EXPR) {
        context_tell(p->model->ctx, "compiling", 0);
        const eval_output out[2] = {{run[0], 0, 0}, {n > 1 ? run[1] : run[0], 1, 0}};
        nlp_watched watched;
        eval_range ranges[NLP_MOST_WATCHED + 1] = {{0, 0, 1}}; /* what comes before the last is one number */
        nlp_watch(p, e[n - 1], &watched);
        for (int32_t k = 0; k < watched.n; k++)
            ranges[n - 1 + k] = (eval_range){n - 1, watched.at[k].begin, watched.at[k].end};
        status = eval_compile_watched(p->g, n, out, n - 1 + watched.n, ranges, &p->program[program]);
    }
    p->seconds.building += clock_seconds() - started;
    return status;
}

peri_status nlp_prepare(nlp *p)
{
    static const int wanted[] = {NLP_F, NLP_FG, NLP_C, NLP_JAC};
    for (size_t k = 0; k < sizeof wanted / sizeof wanted[0]; k++)
        TRY(nlp_compile(p, wanted[k]));
    const peri_status status = nlp_compile(p, NLP_HESS);
    return status == PERI_E_UNSUPPORTED ? PERI_OK : status;
}

/* Whether a derivative exists: PERI_E_UNSUPPORTED is an answer here, no error. A method may have a trait and never use it: nothing is compiled. */
static peri_status exists(nlp *p, int program, bool *yes)
{
    const double started = clock_seconds();
    expr_id e[2];
    int n;
    const peri_status status = p->program[program] != NULL ? PERI_OK : outputs_of(p, program, e, &n);
    p->seconds.building += clock_seconds() - started;
    *yes = status == PERI_OK;
    return status == PERI_E_UNSUPPORTED ? PERI_OK : status;
}

/*
 * Norms of groups of variables as terms of the objective: at the solution they often vanish, where they have no derivative. They count as not
 * smooth where the composite form has them, so that methods for that form go first; in other places norms are left to smooth methods.
 */
static peri_status see_norms(nlp *p)
{
    nlp_prox *prox;
    if (!p->class_.has_norm || !(p->class_.traits & PERI_BIT(PERI_TRAIT_PROX)))
        return PERI_OK;
    p->class_.has_norm = false;
    const peri_status status = nlp_prox_of(p, &prox);
    if (status != PERI_OK)
        return status == PERI_E_UNSUPPORTED ? PERI_OK : status;
    for (int64_t k = 0; k < prox->blocks.n; k++)
        if (prox->blocks.at[k].kind == PROX_GROUP && prox->blocks.at[k].n > 1) {
            p->class_.traits |= PERI_BIT(PERI_TRAIT_NONSMOOTH);
            snprintf(p->class_.why_nonsmooth, sizeof p->class_.why_nonsmooth, "a norm that may vanish in the objective");
        }
    return PERI_OK;
}

peri_status nlp_traits(nlp *p, uint64_t asked, uint64_t *traits)
{
    TRY(see_norms(p));
    *traits = p->class_.traits;
    if (p->hess_status != PERI_OK)
        *traits &= ~PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN);
    bool squares = p->residuals != PERI_NO_EXPR; /* one pass, so the bit is always exact; a constant beside them is fine */
    if (!squares && !p->no_residuals) {
        TRY(diff_has_squares(p->g, p->f, &squares));
        p->no_residuals = !squares;
    }
    *traits &= ~PERI_BIT(PERI_TRAIT_LEAST_SQUARES);
    if (squares)
        *traits |= PERI_BIT(PERI_TRAIT_LEAST_SQUARES);
    const uint64_t composite = PERI_BIT(PERI_TRAIT_PROX) | PERI_BIT(PERI_TRAIT_COMPACT);
    if (asked & composite & *traits) {
        nlp_prox *prox;
        const peri_status status = nlp_prox_of(p, &prox);
        if (status != PERI_OK && status != PERI_E_UNSUPPORTED)
            return status;
        if (status != PERI_OK)
            *traits &= ~composite;
        else if (!prox->compact)
            *traits &= ~PERI_BIT(PERI_TRAIT_COMPACT);
    }
    if (asked & PERI_BIT(PERI_TRAIT_ACYCLIC) & *traits) {
        nlp_acyclic *acyclic;
        const peri_status status = nlp_acyclic_of(p, &acyclic);
        if (status != PERI_OK && status != PERI_E_UNSUPPORTED)
            return status;
        if (status != PERI_OK)
            *traits &= ~PERI_BIT(PERI_TRAIT_ACYCLIC);
    }
    asked &= *traits;
    bool yes = true;
    if (asked & PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN)) {
        TRY(exists(p, NLP_HESS, &yes));
        if (yes) /* then products with it exist as well */
            return PERI_OK;
        *traits &= ~PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN);
        yes = true;
    }
    if (asked & PERI_BIT(PERI_TRAIT_HESSIAN))
        TRY(exists(p, NLP_HV, &yes));
    if (!yes)
        *traits &= ~(PERI_BIT(PERI_TRAIT_HESSIAN) | PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN));
    return PERI_OK;
}
