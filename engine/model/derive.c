/* SPDX-License-Identifier: Apache-2.0 */
/*
 * derive.c - derivatives, substitution and values of expressions for hosts. Derivatives are expressions again, so they nest. Jacobians are dense
 * here: hosts that want sparsity have the solver's view.
 */
#include "diff/diff.h"
#include "model/internal.h"
#include <string.h>

static peri_status check_scalar(peri_model *m, const char *what, peri_expr e)
{
    char text[160];
    TRY(model_check_expr(m, what, e));
    if (expr_size(m->g, e) == 1)
        return PERI_OK;
    model_describe(m, e, text, sizeof text);
    return FAIL(m->ctx, PERI_E_SHAPE, "%s: %s is not a scalar", what, text);
}

/* *distinct: no two entries of the gather x are the same one. */
static peri_status check_distinct(expr_graph *g, const expr_node *x, bool *distinct)
{
    const int64_t n = (int64_t)x->rows * x->cols;
    unsigned char *seen = mem_array(g->m, (size_t)expr_size(g, x->arg[0]), 1);
    if (seen == NULL)
        return FAIL_NOMEM(g->ctx);
    *distinct = true;
    for (int64_t k = 0; k < n && *distinct; k++)
        *distinct = ++seen[expr_gather_at(g, x, k)] == 1;
    mem_array_free(g->m, seen);
    return PERI_OK;
}

/* What has to be differentiated by for a derivative by x: x itself, or the input whose entries it selects. */
static peri_status find_source(peri_model *m, expr_id x, expr_id *source)
{
    char text[128];
    const expr_node node = *expr_at(m->g, x);
    bool selects = node.op == PERI_OP_GATHER && expr_at(m->g, node.arg[0])->op == PERI_OP_INPUT;
    if (selects)
        TRY(check_distinct(m->g, &node, &selects));
    *source = selects ? node.arg[0] : x;
    if (selects || node.op == PERI_OP_INPUT || node.op == PERI_OP_MARK)
        return PERI_OK;
    model_describe(m, x, text, sizeof text);
    return FAIL(m->ctx, PERI_E_ARGUMENT,
                "grad: %s is neither a variable or parameter, nor entries of one, nor a marked expression", text);
}

peri_status peri_expr_gradient(peri_model *m, peri_expr e, peri_expr x, peri_expr *out)
{
    expr_id one, source;
    *out = PERI_NO_EXPR;
    TRY(check_scalar(m, "grad", e));
    TRY(model_check_expr(m, "grad", x));
    TRY(find_source(m, x, &source));
    TRY(expr_full(m->g, expr_at(m->g, e)->rows, expr_at(m->g, e)->cols, 1, &one));
    TRY(diff_adjoint(m->g, 1, &e, &one, 1, &source, out));
    return source == x ? PERI_OK : expr_remake(m->g, x, out, out);
}

/* From the sparse Jacobian: one sweep, whatever the numbers of rows and columns. */
static peri_status sparse_jacobian(peri_model *m, peri_expr e, peri_expr x, peri_expr *out)
{
    expr_graph *g = m->g;
    diff_sparse s;
    const int64_t rows = expr_size(g, e), cols = expr_size(g, x);
    TRY(diff_jacobian(g, e, expr_at(g, x)->ref, cols, &s));
    int32_t *index = mem_array(g->m, (size_t)s.nnz, sizeof *index);
    peri_status status = index != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int64_t j = 0; j < cols && status == PERI_OK; j++)
        for (int64_t k = s.start[j]; k < s.start[j + 1]; k++)
            index[k] = (int32_t)(s.index[k] * cols + j);
    const int32_t *lists[1] = {index};
    if (status == PERI_OK && s.nnz == 0)
        status = expr_full(g, rows, cols, 0, out);
    else if (status == PERI_OK)
        status = expr_scatter_sum(g, rows, cols, 1, &s.values, lists, out);
    mem_array_free(g->m, index);
    diff_sparse_free(g, &s);
    return status;
}

/* One reverse sweep a row: for derivatives with respect to parameters and inner nodes. */
static peri_status jacobian_rows(peri_model *m, peri_expr e, peri_expr x, peri_expr *out)
{
    expr_graph *g = m->g;
    const int64_t rows = expr_size(g, e), cols = expr_size(g, x);
    expr_id *row = mem_array(g->m, (size_t)rows, sizeof *row);
    peri_status status = row != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int64_t i = 0; i < rows && status == PERI_OK; i++) {
        expr_id entry;
        status = expr_gather_affine(g, e, 1, 1, i, 1, &entry);
        if (status == PERI_OK)
            status = peri_expr_gradient(m, entry, x, &row[i]);
        if (status == PERI_OK)
            status = expr_reshape(g, row[i], 1, cols, &row[i]);
    }
    if (status == PERI_OK)
        status = expr_stack(g, rows, row, out);
    mem_array_free(g->m, row);
    return status;
}

peri_status peri_expr_jacobian(peri_model *m, peri_expr e, peri_expr x, peri_expr *out)
{
    char text[160];
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "jacobian", e));
    TRY(model_check_expr(m, "jacobian", x));
    if (expr_size(m->g, e) > INT32_MAX / expr_size(m->g, x)) {
        model_describe(m, e, text, sizeof text);
        return FAIL(m->ctx, PERI_E_SHAPE, "jacobian: of %s with respect to %lld entries is too large", text,
                    (long long)expr_size(m->g, x));
    }
    if (model_find_var(m, x) != NULL && expr_size(m->g, e) > 1) {
        const peri_status status = sparse_jacobian(m, e, x, out);
        if (status != PERI_E_UNSUPPORTED)
            return status;
    }
    return jacobian_rows(m, e, x, out);
}

peri_status peri_expr_hessian(peri_model *m, peri_expr e, peri_expr x, peri_expr *out)
{
    expr_id gradient;
    *out = PERI_NO_EXPR;
    TRY(check_scalar(m, "hessian", e));
    TRY(peri_expr_gradient(m, e, x, &gradient));
    return peri_expr_jacobian(m, gradient, x, out);
}

/* v in the place of x among the entries of its source */
static peri_status spread(peri_model *m, expr_id x, expr_id source, expr_id v, expr_id *out)
{
    expr_graph *g = m->g;
    const expr_node node = *expr_at(g, x), whole = *expr_at(g, source);
    const int64_t n = expr_size(g, x);
    if (source == x)
        return expr_reshape(g, v, node.rows, node.cols, out);
    int32_t *index = mem_array(g->m, (size_t)n, sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n; k++)
        index[k] = (int32_t)expr_gather_at(g, &node, k);
    const int32_t *lists[1] = {index};
    const peri_status status = expr_scatter_sum(g, whole.rows, whole.cols, 1, &v, lists, out);
    mem_array_free(g->m, index);
    return status;
}

/* The direction, or the weights, has as many entries as what it belongs to. */
static peri_status check_entries(peri_model *m, const char *what, expr_id v, const char *of, int64_t n)
{
    TRY(model_check_expr(m, what, v));
    return expr_size(m->g, v) == n ? PERI_OK : FAIL(m->ctx, PERI_E_SHAPE, "%s: %lld entries for the %lld of %s", what,
                                                    (long long)expr_size(m->g, v), (long long)n, of);
}

peri_status peri_expr_jv(peri_model *m, peri_expr e, peri_expr x, peri_expr v, peri_expr *out)
{
    expr_id source, direction;
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "jv", e));
    TRY(model_check_expr(m, "jv", x));
    TRY(check_entries(m, "jv", v, "what it is a direction of", expr_size(m->g, x)));
    TRY(find_source(m, x, &source));
    TRY(spread(m, x, source, v, &direction));
    return diff_tangent(m->g, 1, &e, 1, &source, &direction, out);
}

peri_status peri_expr_vj(peri_model *m, peri_expr e, peri_expr x, peri_expr w, peri_expr *out)
{
    expr_id source, seed;
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "vj", e));
    TRY(model_check_expr(m, "vj", x));
    TRY(check_entries(m, "vj", w, "what it weights", expr_size(m->g, e)));
    TRY(find_source(m, x, &source));
    TRY(expr_reshape(m->g, w, expr_at(m->g, e)->rows, expr_at(m->g, e)->cols, &seed));
    TRY(diff_adjoint(m->g, 1, &e, &seed, 1, &source, out));
    return source == x ? PERI_OK : expr_remake(m->g, x, out, out);
}

peri_status peri_expr_substitute(peri_model *m, peri_expr e, int64_t n, const peri_expr *from, const peri_expr *to,
                                 peri_expr *out)
{
    char a[160], b[160];
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "substitute", e));
    for (int64_t k = 0; k < n; k++) {
        TRY(model_check_expr(m, "substitute", from[k]));
        TRY(model_check_expr(m, "substitute", to[k]));
        const expr_node *x = expr_at(m->g, from[k]), *y = expr_at(m->g, to[k]);
        if (x->rows != y->rows || x->cols != y->cols) {
            model_describe(m, from[k], a, sizeof a);
            model_describe(m, to[k], b, sizeof b);
            return FAIL(m->ctx, PERI_E_SHAPE, "substitute: %s and %s have other shapes", a, b);
        }
    }
    return expr_substitute(m->g, 1, &e, n, from, to, out);
}

/* ---- values ------------------------------------------------------------------------------------------------------------------------ */

static peri_status put_values(peri_model *m, peri_expr v, const double *value, double *x, double *param)
{
    char text[160];
    const model_var *var = model_find_var(m, v), *par = model_find_param(m, v);
    if (var != NULL) {
        memcpy(x + var->offset, value, (size_t)var->size * sizeof *x);
        return PERI_OK;
    }
    if (par != NULL) {
        memcpy(param + par->offset, value, (size_t)par->size * sizeof *param);
        return PERI_OK;
    }
    TRY(model_check_expr(m, "value", v));
    model_describe(m, v, text, sizeof text);
    return FAIL(m->ctx, PERI_E_ARGUMENT, "value: %s is neither a variable nor a parameter of model \"%s\"", text, m->name);
}

peri_status peri_expr_value(peri_model *m, peri_expr e, int64_t n, const peri_expr *vars, const double *const *values,
                            double *out)
{
    expr_graph *g = m->g;
    m = m->root;
    TRY(model_check_expr(m, "value", e));
    TRY(expr_reshape(g, e, expr_at(g, e)->rows, expr_at(g, e)->cols, &e)); /* a sparse constant becomes dense */
    double *x = mem_array(g->m, (size_t)g->n_x, sizeof *x), *param = mem_array(g->m, (size_t)g->n_param, sizeof *param);
    peri_status status = x != NULL && param != NULL ? PERI_OK : FAIL_NOMEM(m->ctx);
    if (status == PERI_OK) {
        if (m->start.n > 0)
            memcpy(x + m->vars.at[0].offset, m->start.at, (size_t)m->start.n * sizeof *x);
        if (g->n_param > 0)
            memcpy(param, g->param_value.at, (size_t)g->n_param * sizeof *param);
    }
    for (int64_t k = 0; k < n && status == PERI_OK; k++)
        status = put_values(m, vars[k], values[k], x, param);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = param};
    if (status == PERI_OK)
        status = expr_interpret(g, 1, &e, inputs, &out);
    mem_array_free(g->m, x);
    mem_array_free(g->m, param);
    return status;
}
