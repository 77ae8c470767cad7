/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars.c - variables and parameters: their making, bounds, start values and data. Invariant: entry j of lower, upper and start belongs to entry
 * vars[0].offset + j of the class X, and no NaN is ever stored. A call that fails changes nothing.
 */
#include "model/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* m: the model that it is made through; names are unique over all levels. */
static peri_status check_new_name(peri_model *m, const char *what, const char *name)
{
    if (m->inside)
        return FAIL(m->ctx, PERI_E_STATE, "%s \"%.100s\": the solution of model \"%s\" is an expression already", what, name != NULL ? name : "",
                    m->name);
    if (name == NULL || name[0] == '\0')
        return FAIL(m->ctx, PERI_E_NAME, "model \"%s\": a %s needs a name", m->name, what);
    if (model_name_taken(m->root, name))
        return FAIL(m->ctx, PERI_E_NAME, "%s \"%s\" is already in model \"%s\"", what, name, m->root->name);
    return PERI_OK;
}

/* Room first, so that nothing can fail once the graph knows the name. */
static bool reserve_var(peri_model *m, int64_t size)
{
    mem *a = m->g->m;
    return vec_reserve(a, &m->vars, m->vars.n + 1) && vec_reserve(a, &m->lower, m->lower.n + size) &&
           vec_reserve(a, &m->upper, m->lower.n + size) && vec_reserve(a, &m->start, m->lower.n + size);
}

/* Before anything else can fail: an entry for a thing that was then not made is seen as stale by model_name_taken. */
static bool put_name(peri_model *m, const char *name, int64_t at)
{
    return hash_put(&m->names, hash_bytes(name, strlen(name)), at);
}

peri_status peri_model_var(peri_model *m, const char *name, int64_t rows, int64_t cols, peri_expr *out)
{
    *out = PERI_NO_EXPR;
    TRY(check_new_name(m, "variable", name));
    TRY(model_check_shape(m, "variable", name, rows, cols));
    model_var v = {.node = -1, .offset = m->g->n_x, .size = rows * cols, .level = m->level};
    m = m->root;
    if (!reserve_var(m, v.size) || !put_name(m, name, m->vars.n) || (v.name = mem_string(m->g->m, name)) == NULL)
        return FAIL_NOMEM(m->ctx);
    const peri_status status = expr_new_var(m->g, name, rows, cols, &v.node);
    if (status != PERI_OK) {
        mem_array_free(m->g->m, v.name);
        return status;
    }
    v.at = m->n;
    m->vars.at[m->vars.n++] = v;
    for (int64_t j = m->lower.n; j < m->lower.n + v.size; j++) {
        m->lower.at[j] = -INFINITY;
        m->upper.at[j] = INFINITY;
        m->start.at[j] = 0;
    }
    m->n += v.size;
    m->lower.n += v.size;
    m->upper.n = m->start.n = m->lower.n;
    m->structure++;
    m->data++;
    *out = v.node;
    return PERI_OK;
}

/* ---- data of variables ------------------------------------------------------------------------------------------------------ */

static peri_status check_nan(peri_model *m, const model_var *v, const char *what, int64_t n, const double *value)
{
    char name[128];
    for (int64_t k = 0; k < n; k++)
        if (isnan(value[k])) {
            model_entry_name(m, v, k, name, sizeof name);
            return FAIL(m->ctx, PERI_E_ARGUMENT, "%s: %s is NaN", n == 1 ? v->name : name, what);
        }
    return PERI_OK;
}

static peri_status find_var(peri_model *m, peri_expr x, const char *what, const model_var **v)
{
    char text[128];
    m = m->root;
    *v = model_find_var(m, x);
    if (*v != NULL)
        return PERI_OK;
    TRY(model_check_expr(m, what, x));
    model_describe(m, x, text, sizeof text);
    return FAIL(m->ctx, PERI_E_ARGUMENT, "%s is not a variable of model \"%s\": no %s can be set", text, m->name, what);
}

static double *entries_of(const peri_model *m, double *all, const model_var *v)
{
    return all + (v->offset - m->vars.at[0].offset);
}

static void assign(double *to, int64_t size, int64_t n, const double *value)
{
    for (int64_t k = 0; k < size; k++)
        to[k] = value[n == 1 ? 0 : k];
}

/* Values for all entries of x: no NaN, and not the infinity of sign `refused` (0: neither). Moved in one go: a failure changes nothing. */
static peri_status set_values(peri_model *m, peri_expr x, const char *what, int refused, int64_t n, const double *value, double *all)
{
    const model_var *v;
    char name[128], whats[64];
    TRY(find_var(m, x, what, &v));
    snprintf(whats, sizeof whats, "%ss", what);
    TRY(model_check_count(m, v->name, whats, n, v->size));
    TRY(check_nan(m, v, what, n, value));
    for (int64_t k = 0; k < n; k++)
        if (isinf(value[k]) && (refused == 0 || (refused > 0) == (value[k] > 0))) {
            model_entry_name(m, v, k, name, sizeof name);
            return FAIL(m->ctx, PERI_E_ARGUMENT, "%s: %s is %s", name, what,
                        refused == 0 ? "infinite" : refused > 0 ? "+infinity" : "-infinity");
        }
    assign(entries_of(m->root, all, v), v->size, n, value);
    return PERI_OK;
}

/* Crossed bounds are found by model_validate: a pair is often moved one side after the other. */
peri_status peri_model_set_lower(peri_model *m, peri_expr x, int64_t n, const double *value)
{
    TRY(set_values(m, x, "lower bound", 1, n, value, m->root->lower.at));
    m->root->data++;
    return PERI_OK;
}

peri_status peri_model_set_upper(peri_model *m, peri_expr x, int64_t n, const double *value)
{
    TRY(set_values(m, x, "upper bound", -1, n, value, m->root->upper.at));
    m->root->data++;
    return PERI_OK;
}

peri_status peri_model_set_start(peri_model *m, peri_expr x, int64_t n, const double *value)
{
    return set_values(m, x, "start value", 0, n, value, m->root->start.at);
}

peri_status peri_model_set_integer(peri_model *m, peri_expr x)
{
    const model_var *v;
    TRY(find_var(m, x, "integrality", &v));
    m = m->root;
    m->vars.at[v - m->vars.at].integer = true;
    m->data++;
    return PERI_OK;
}

/* ---- parameters --------------------------------------------------------------------------------------------------------------- */

static peri_status check_param_data(peri_model *m, const char *name, int64_t cols, int64_t n, const double *value)
{
    for (int64_t k = 0; k < n; k++) {
        if (!isnan(value[k]))
            continue;
        if (n == 1)
            return FAIL(m->ctx, PERI_E_ARGUMENT, "%s: value is NaN", name);
        if (cols == 1)
            return FAIL(m->ctx, PERI_E_ARGUMENT, "%s[%lld]: value is NaN", name, (long long)k + 1);
        return FAIL(m->ctx, PERI_E_ARGUMENT, "%s[%lld][%lld]: value is NaN", name, (long long)(k / cols) + 1,
                    (long long)(k % cols) + 1);
    }
    return PERI_OK;
}

peri_status peri_model_param(peri_model *m, const char *name, int64_t rows, int64_t cols, int64_t n, const double *value,
                             peri_expr *out)
{
    *out = PERI_NO_EXPR;
    TRY(check_new_name(m, "parameter", name));
    TRY(model_check_shape(m, "parameter", name, rows, cols));
    TRY(model_check_count(m, name, "values", n, rows * cols));
    TRY(check_param_data(m, name, cols, n, value));
    mem *a = m->g->m;
    model_var p = {.node = -1, .offset = m->g->n_param, .size = rows * cols, .level = m->level};
    m = m->root;
    double *all = mem_array(a, (size_t)p.size, sizeof *all);
    peri_status status = PERI_OK;
    if (all == NULL || !vec_reserve(a, &m->params, m->params.n + 1) || !put_name(m, name, -1 - m->params.n) ||
        (p.name = mem_string(a, name)) == NULL)
        status = FAIL_NOMEM(m->ctx);
    if (status == PERI_OK) {
        assign(all, p.size, n, value);
        status = expr_new_param(m->g, name, rows, cols, all, &p.node);
    }
    mem_array_free(a, all);
    if (status != PERI_OK) {
        mem_array_free(a, p.name);
        return status;
    }
    m->params.at[m->params.n++] = p;
    m->data++;
    *out = p.node;
    return PERI_OK;
}

peri_status peri_model_set_param(peri_model *m, peri_expr p, int64_t n, const double *value)
{
    char text[128];
    const model_var *v = model_find_param(m, p);
    if (v == NULL) {
        TRY(model_check_expr(m, "parameter", p));
        model_describe(m, p, text, sizeof text);
        return FAIL(m->ctx, PERI_E_ARGUMENT, "%s is not a parameter of model \"%s\"", text, m->name);
    }
    TRY(model_check_count(m, v->name, "values", n, v->size));
    TRY(check_param_data(m, v->name, expr_at(m->g, p)->cols, n, value));
    assign(m->g->param_value.at + v->offset, v->size, n, value);
    m->root->data++;
    return PERI_OK;
}

const double *peri_model_get_param(const peri_model *m, peri_expr p)
{
    const model_var *v = model_find_param(m, p);
    return v != NULL ? m->g->param_value.at + v->offset : NULL;
}
