/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inner_expr.c - what an inner problem is made of: the run's problem copied into its graph, new variables and parameters, expressions.
 * Thin functions over the model's own. Invariant: the variables of the run's problem come first and keep their order, so that points
 * travel between the two by position.
 */
#include "run/inner.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_TRIED = 1000 };

/* ---- variables and parameters
 * ---------------------------------------------------------------------------------------------------------------- */

/* The name, or name_2, name_3 ... where the user's problem has it already. */
static peri_status new_named(peri_inner *inner, const char *name, int64_t rows, int64_t cols, const double *value, peri_x *out)
{
    peri_model *m = inner->model;
    char other[128];
    const char *tried = name;
    const fail_record before = m->ctx->error;
    for (int k = 2;; k++) {
        const peri_status status = value != NULL ? peri_model_param(m, tried, rows, cols, rows * cols, value, out)
                                                 : peri_model_var(m, tried, rows, cols, out);
        if (status != PERI_E_NAME || k > NAMES_TRIED || name == NULL || name[0] == '\0')
            return status;
        m->ctx->error = before;
        snprintf(other, sizeof other, "%.100s_%d", name, k);
        tried = other;
    }
}

static peri_status whole(peri_inner *inner, int64_t n, peri_x *x)
{
    return expr_input(inner->model->g, EXPR_IN_X, 0, n, 1, x);
}

peri_status inner_variables(peri_inner *inner, peri_x *x)
{
    const peri_run *run = inner->run;
    const peri_model *from = run->model;
    peri_model *m = inner->model;
    *x = PERI_NO_X;
    if (m->n > 0)
        return FAIL(run->ctx, PERI_E_STATE, "%s: the variables of the problem must be the first of the inner problem",
                    run->plugin->name);
    for (int64_t i = 0; i < from->vars.n; i++) {
        const model_var *v = &from->vars.at[i];
        if (v->at < 0)
            continue;
        const expr_node *node = expr_at(from->g, v->node);
        peri_x own;
        TRY(new_named(inner, v->name, node->rows, node->cols, NULL, &own));
        if (v->integer)
            TRY(peri_model_set_integer(m, own));
    }
    TRY(whole(inner, m->n, x));
    TRY(inner_set_bounds(inner, *x, run->p->xl, run->p->xu));
    return inner_set_start(inner, *x, run->start);
}

peri_status inner_var(peri_inner *inner, const char *name, int64_t rows, int64_t cols, peri_x *x)
{
    return new_named(inner, name, rows, cols, NULL, x);
}

peri_status inner_param(peri_inner *inner, const char *name, int64_t rows, int64_t cols, const double *value, peri_x *p)
{
    return new_named(inner, name, rows, cols, value, p);
}

peri_status inner_set_param(peri_inner *inner, peri_x p, const double *value)
{
    const model_var *v = model_find_param(inner->model, p);
    return peri_model_set_param(inner->model, p, v != NULL ? v->size : 0, value);
}

/* The range of the variables that x stands for. */
static peri_status find_range(peri_inner *inner, peri_x x, const char *what, int64_t *first, int64_t *size)
{
    const expr_graph *g = inner->model->g;
    const bool is_node = x >= 0 && x < g->nodes.n;
    if (!is_node || expr_at(g, x)->op != PERI_OP_INPUT || expr_at(g, x)->class_ != EXPR_IN_X)
        return FAIL(inner->run->ctx, PERI_E_ARGUMENT, "%s: %s can be set of variables only", inner->run->plugin->name, what);
    *first = expr_at(g, x)->ref;
    *size = expr_size(g, x);
    return PERI_OK;
}

static peri_status check_values(peri_inner *inner, const char *what, int64_t n, const double *v)
{
    for (int64_t k = 0; k < n; k++)
        if (isnan(v[k]))
            return FAIL(inner->run->ctx, PERI_E_ARGUMENT, "%s: %s %lld is NaN", inner->run->plugin->name, what, (long long)k + 1);
    return PERI_OK;
}

peri_status inner_set_bounds(peri_inner *inner, peri_x x, const double *lower, const double *upper)
{
    peri_model *m = inner->model;
    int64_t first, size;
    TRY(find_range(inner, x, "bounds", &first, &size));
    if (lower != NULL) {
        TRY(check_values(inner, "lower bound", size, lower));
        memcpy(m->lower.at + first, lower, (size_t)size * sizeof *lower);
    }
    if (upper != NULL) {
        TRY(check_values(inner, "upper bound", size, upper));
        memcpy(m->upper.at + first, upper, (size_t)size * sizeof *upper);
    }
    m->data++;
    return PERI_OK;
}

peri_status inner_set_start(peri_inner *inner, peri_x x, const double *start)
{
    int64_t first, size;
    TRY(find_range(inner, x, "start values", &first, &size));
    TRY(check_values(inner, "start value", size, start));
    memcpy(inner->model->start.at + first, start, (size_t)size * sizeof *start);
    return PERI_OK;
}

/* ---- the run's problem
 * ---------------------------------------------------------------------------------------------------------------- */

/* All parameters of the run's problem as one column, with their present values. */
peri_status inner_need_parameters(peri_inner *inner)
{
    const expr_graph *g = inner->run->model->g;
    if (inner->outer_params != PERI_NO_EXPR || g->n_param == 0)
        return PERI_OK;
    return new_named(inner, "parameters", g->n_param, 1, g->param_value.at, &inner->outer_params);
}

peri_status inner_problem(peri_inner *inner, int64_t level, peri_x x, peri_x *f, peri_x *c)
{
    peri_run *run = inner->run;
    nlp *p = run->p;
    expr_id roots[2] = {p->f, p->c}, out[2] = {PERI_NO_EXPR, PERI_NO_EXPR};
    const bool has_levels = (p->class_.traits & PERI_BIT(PERI_TRAIT_LEVELS)) != 0;
    expr_id input[EXPR_IN_COUNT];
    int64_t rows, cols;
    if (level != 0 || has_levels)
        TRY(nlp_level_problem(p, level, &roots[0], &roots[1]));
    const bool has_c = roots[1] != PERI_NO_EXPR && c != NULL;
    peri_expr_shape(inner->model, x, &rows, &cols);
    if (rows != p->n || cols != 1)
        return FAIL(run->ctx, PERI_E_SHAPE, "%s: %lld x %lld cannot take the place of %lld variables", run->plugin->name,
                    (long long)rows, (long long)cols, (long long)p->n);
    TRY(inner_need_parameters(inner));
    for (int k = 0; k < EXPR_IN_COUNT; k++)
        input[k] = PERI_NO_EXPR;
    input[EXPR_IN_X] = x;
    input[EXPR_IN_PARAM] = inner->outer_params;
    TRY(expr_transplant(p->g, has_c ? 2 : 1, roots, inner->model->g, input, out));
    if (f != NULL)
        *f = out[0];
    if (c != NULL)
        *c = out[1];
    return PERI_OK;
}

peri_status inner_minimize(peri_inner *inner, peri_x f)
{
    return peri_model_minimize(inner->model, f);
}

peri_status inner_constrain(peri_inner *inner, const char *name, peri_x c, const double *lower, const double *upper, int64_t *row)
{
    peri_constraint handle;
    int64_t rows, cols;
    peri_expr_shape(inner->model, c, &rows, &cols);
    TRY(peri_model_constrain(inner->model, name, c, rows * cols, lower, upper, &handle));
    if (row != NULL)
        *row = inner->model->cons.at[handle].row;
    return PERI_OK;
}

/* ---- expressions
 * ---------------------------------------------------------------------------------------------------------------- */

peri_status inner_x_array(peri_inner *inner, int64_t rows, int64_t cols, const double *value, peri_x *out)
{
    const peri_array a = {.rows = rows, .cols = cols, .data = value, .nnz = -1};
    return peri_expr_const(inner->model, &a, out);
}

peri_status inner_x_op(peri_inner *inner, const char *op, int n, const peri_x *args, peri_x *out)
{
    const peri_op found = peri_op_find(op);
    if (found == PERI_OP_COUNT)
        return FAIL(inner->run->ctx, PERI_E_NAME, "%s: no operation \"%.40s\"", inner->run->plugin->name, op);
    return peri_expr_op(inner->model, found, n, args, out);
}

peri_status inner_x_gather(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, const int64_t *index, peri_x *out)
{
    return peri_expr_gather(inner->model, e, rows, cols, index, out);
}

peri_status inner_x_scatter(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, const int64_t *index, peri_x *out)
{
    return peri_expr_scatter(inner->model, e, rows, cols, index, out);
}

peri_status inner_x_stack(peri_inner *inner, int64_t n, const peri_x *args, peri_x *out)
{
    return peri_expr_stack(inner->model, n, args, out);
}

peri_status inner_x_reshape(peri_inner *inner, peri_x e, int64_t rows, int64_t cols, peri_x *out)
{
    return peri_expr_reshape(inner->model, e, rows, cols, out);
}

peri_status inner_x_gradient(peri_inner *inner, peri_x e, peri_x x, peri_x *out)
{
    return peri_expr_gradient(inner->model, e, x, out);
}

peri_status inner_x_jacobian(peri_inner *inner, peri_x e, peri_x x, peri_x *out)
{
    return peri_expr_jacobian(inner->model, e, x, out);
}

peri_status inner_x_substitute(peri_inner *inner, peri_x e, int64_t n, const peri_x *from, const peri_x *to, peri_x *out)
{
    return peri_expr_substitute(inner->model, e, n, from, to, out);
}

/* A plugin's function answers with the engine's own codes, some of which come without a message: a cancellation, what a test makes fail. */
typedef struct {
    peri_call fn;
    peri_run *run;
} plugin_call;

static int answer(const plugin_call *c, int code)
{
    fail_record *e = &c->run->ctx->error;
    if (code < 0 && (int)e->code != code && strcmp(peri_status_name((peri_status)code), "unknown") != 0)
        (void)FAIL(c->run->ctx, (peri_status)code, "%s: %s failed", c->run->plugin->name, c->fn.name);
    return code;
}

static int call_value(void *ud, int64_t n, const double *x, double *f)
{
    const plugin_call *c = ud;
    return answer(c, c->fn.value(c->fn.ud, n, x, f));
}

static int call_gradient(void *ud, int64_t n, const double *x, double *g)
{
    const plugin_call *c = ud;
    return answer(c, c->fn.gradient(c->fn.ud, n, x, g));
}

peri_status inner_x_call(peri_inner *inner, const peri_call *fn, peri_x x, peri_x *out)
{
    plugin_call *c = arena_alloc(&inner->run->memory, sizeof *c);
    if (c == NULL)
        return FAIL_NOMEM(inner->run->ctx);
    *c = (plugin_call){.fn = *fn, .run = inner->run};
    const peri_function f = {.name = fn->name, .ud = c, .value = call_value,
                             .gradient = fn->gradient != NULL ? call_gradient : NULL};
    return peri_expr_call(inner->model, &f, x, out);
}

void inner_x_shape(const peri_inner *inner, peri_x e, int64_t *rows, int64_t *cols)
{
    peri_expr_shape(inner->model, e, rows, cols);
}
