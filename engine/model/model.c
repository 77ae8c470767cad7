/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.c - the life of a model: made, retained by its solutions, released, and checked before a solve. Invariant: the context and the graph live as
 * long as anything that refers to them.
 */
#include "base/clock.h"
#include "diff/batch.h"
#include "model/internal.h"
#include "model/quadratic.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

peri_model *peri_model_new(peri_context *ctx, const char *name)
{
    peri_model *m = mem_alloc(&ctx->mem, sizeof *m);
    if (m == NULL) {
        (void)FAIL_NOMEM(ctx);
        return NULL;
    }
    m->ctx = ctx;
    m->root = m;
    m->objective = PERI_NO_EXPR;
    m->references = 1;
    m->build_started = clock_seconds();
    hash_init(&m->names, &ctx->mem);
    hash_init(&m->con_names, &ctx->mem);
    m->g = expr_graph_new(ctx);
    m->name = mem_string(&ctx->mem, name != NULL && name[0] != '\0' ? name : "model");
    context_retain(ctx);
    if (m->g == NULL || m->name == NULL) {
        model_release(m);
        (void)FAIL_NOMEM(ctx);
        return NULL;
    }
    return m;
}

void model_retain(peri_model *m)
{
    m->references++;
}

static void free_contents(peri_model *m)
{
    mem *a = &m->ctx->mem;
    for (int64_t i = 0; i < m->vars.n; i++)
        mem_array_free(a, m->vars.at[i].name);
    for (int64_t i = 0; i < m->params.n; i++)
        mem_array_free(a, m->params.at[i].name);
    for (int64_t i = 0; i < m->cons.n; i++) {
        mem_array_free(a, m->cons.at[i].name);
        mem_array_free(a, m->cons.at[i].lower);
        mem_array_free(a, m->cons.at[i].upper);
    }
    vec_free(a, &m->vars);
    vec_free(a, &m->params);
    vec_free(a, &m->cons);
    vec_free(a, &m->acyclic);
    vec_free(a, &m->lower);
    vec_free(a, &m->upper);
    vec_free(a, &m->start);
    for (int64_t i = 0; i < m->nested.n; i++) {
        mem_array_free(a, m->nested.at[i]->name);
        mem_free(a, m->nested.at[i], sizeof *m->nested.at[i]);
    }
    vec_free(a, &m->nested);
    hash_release(&m->names);
    hash_release(&m->con_names);
    mem_array_free(a, m->name);
}

void model_release(peri_model *m)
{
    if (m == NULL || m->root != m || --m->references > 0) /* a lower model lives as long as its root */
        return;
    peri_context *ctx = m->ctx;
    batch_free(m->values.batch);
    quadratic_forget(m);
    if (m->nlp != NULL)
        m->nlp_free(m->nlp); /* before the graph: its programs borrow constants */
    free_contents(m);
    expr_graph_free(m->g);
    for (int64_t k = m->owned.n; k-- > 0;)
        m->owned.at[k].free(m->owned.at[k].object);
    vec_free(&ctx->mem, &m->owned);
    vec_free(&ctx->mem, &m->solved);
    mem_free(&ctx->mem, m, sizeof *m);
    context_release(ctx);
}

peri_status model_own(peri_model *m, void *object, void (*free)(void *object))
{
    const struct model_owned item = {object, free};
    return vec_push(&m->ctx->mem, &m->owned, item) ? PERI_OK : FAIL_NOMEM(m->ctx);
}

void peri_model_free(peri_model *m)
{
    model_release(m);
}

peri_context *peri_model_context(const peri_model *m)
{
    return m->ctx;
}

const char *peri_model_name(const peri_model *m)
{
    return m->name;
}

/* ---- names ---------------------------------------------------------------------------------------------------------------- */

/* "" for a stale entry: its variable or parameter was not made for want of memory. */
static const char *name_at(const peri_model *m, int64_t at)
{
    if (at >= 0)
        return at < m->vars.n ? m->vars.at[at].name : "";
    return -1 - at < m->params.n ? m->params.at[-1 - at].name : "";
}

/* Two names may share a hash: then, and only then, all are compared. */
bool model_name_taken(const peri_model *m, const char *name)
{
    int64_t at;
    if (!hash_get(&m->names, hash_bytes(name, strlen(name)), &at))
        return false;
    if (strcmp(name_at(m, at), name) == 0)
        return true;
    for (int64_t i = 0; i < m->vars.n; i++)
        if (strcmp(m->vars.at[i].name, name) == 0)
            return true;
    for (int64_t i = 0; i < m->params.n; i++)
        if (strcmp(m->params.at[i].name, name) == 0)
            return true;
    return false;
}

peri_expr peri_model_find(const peri_model *m, const char *name)
{
    int64_t at;
    m = m->root;
    if (!hash_get(&m->names, hash_bytes(name, strlen(name)), &at))
        return PERI_NO_EXPR;
    if (strcmp(name_at(m, at), name) == 0)
        return at >= 0 ? m->vars.at[at].node : m->params.at[-1 - at].node;
    for (int64_t i = 0; i < m->vars.n; i++) /* two names of one hash */
        if (strcmp(m->vars.at[i].name, name) == 0)
            return m->vars.at[i].node;
    for (int64_t i = 0; i < m->params.n; i++)
        if (strcmp(m->params.at[i].name, name) == 0)
            return m->params.at[i].node;
    return PERI_NO_EXPR;
}

peri_constraint peri_model_find_constraint(const peri_model *m, const char *name)
{
    m = m->root;
    for (int64_t i = 0; i < m->cons.n; i++)
        if (strcmp(m->cons.at[i].name, name) == 0)
            return (peri_constraint)i;
    return -1;
}

/* The last that begins at or before the entry: offsets ascend. */
static const model_var *find_at(const model_var *list, int64_t n, int64_t offset)
{
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) {
        const int64_t mid = (lo + hi + 1) / 2;
        if (list[mid].offset <= offset)
            lo = mid;
        else
            hi = mid - 1;
    }
    return &list[lo];
}

static const model_var *find_in(const expr_graph *g, const model_var *list, int64_t n, int class_, expr_id x)
{
    if (x < 0 || x >= g->nodes.n || expr_at(g, x)->op != PERI_OP_INPUT || expr_at(g, x)->class_ != class_ || n == 0)
        return NULL;
    const model_var *v = find_at(list, n, expr_at(g, x)->ref);
    return v->node == x ? v : NULL;
}

const model_var *model_var_at(const peri_model *m, int64_t offset)
{
    const model_var *v = m->vars.n > 0 ? find_at(m->vars.at, m->vars.n, offset) : NULL;
    return v != NULL && offset >= v->offset && offset < v->offset + v->size ? v : NULL;
}

const model_var *model_find_var(const peri_model *m, expr_id x)
{
    return find_in(m->g, m->root->vars.at, m->root->vars.n, EXPR_IN_X, x);
}

const model_var *model_find_param(const peri_model *m, expr_id p)
{
    return find_in(m->g, m->root->params.at, m->root->params.n, EXPR_IN_PARAM, p);
}

/* The last that begins at or before the problem's variable j; those that take no part begin nowhere. */
void model_variable_name(const peri_model *m, int64_t j, char *text, size_t size)
{
    const model_var *v = NULL;
    if (m->n == m->lower.n) {
        expr_entry_name(m->g, EXPR_IN_X, m->vars.at[0].offset + j, text, size);
        return;
    }
    for (int64_t i = 0; i < m->vars.n; i++)
        if (m->vars.at[i].at >= 0 && m->vars.at[i].at <= j)
            v = &m->vars.at[i];
    model_entry_name(m, v, j - v->at, text, size);
}

void model_entry_name(const peri_model *m, const model_var *v, int64_t k, char *text, size_t size)
{
    expr_entry_name(m->g, expr_at(m->g, v->node)->class_, v->offset + k, text, size);
}

int64_t model_block_of_row(const peri_model *m, int64_t i)
{
    int64_t lo = 0, hi = m->cons.n - 1;
    while (lo < hi) {
        const int64_t mid = (lo + hi + 1) / 2;
        if (m->cons.at[mid].row <= i)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

void model_row_name(const peri_model *m, int64_t i, char *text, size_t size)
{
    const model_constraint *c = &m->cons.at[model_block_of_row(m, i)];
    const int64_t cols = expr_at(m->g, c->body)->cols, k = i - c->row;
    if (c->size == 1)
        snprintf(text, size, "%s", c->name);
    else if (cols == 1)
        snprintf(text, size, "%s[%lld]", c->name, (long long)k + 1);
    else
        snprintf(text, size, "%s[%lld][%lld]", c->name, (long long)(k / cols) + 1, (long long)(k % cols) + 1);
}

/* ---- before a solve --------------------------------------------------------------------------------------------------------- */

peri_status model_validate(peri_model *m)
{
    char name[128];
    if (m->root != m)
        return FAIL(m->ctx, PERI_E_STATE, "lower model \"%s\" is no problem of its own: its upper model \"%s\" is", m->name, m->root->name);
    if (m->n == 0)
        return FAIL(m->ctx, PERI_E_STATE, "model \"%s\" has no variables", m->name);
    if (m->objective == PERI_NO_EXPR && m->cons.n == 0 && model_count_levels(m) == 1)
        return FAIL(m->ctx, PERI_E_STATE, "model \"%s\" has neither an objective nor constraints", m->name);
    for (int64_t j = 0; j < m->lower.n; j++)
        if (!(m->lower.at[j] <= m->upper.at[j])) {
            expr_entry_name(m->g, EXPR_IN_X, m->vars.at[0].offset + j, name, sizeof name);
            return FAIL(m->ctx, PERI_E_STATE, "%s: lower bound %.12g is above upper bound %.12g", name, m->lower.at[j],
                        m->upper.at[j]);
        }
    for (int64_t k = 0; k < m->cons.n; k++) /* refused when made; kept here for models built by readers */
        for (int64_t i = 0; i < m->cons.at[k].size; i++)
            if (!(m->cons.at[k].lower[i] <= m->cons.at[k].upper[i])) {
                model_row_name(m, m->cons.at[k].row + i, name, sizeof name);
                return FAIL(m->ctx, PERI_E_STATE, "constraint \"%s\": lower side %.12g is above upper side %.12g", name,
                            m->cons.at[k].lower[i], m->cons.at[k].upper[i]);
            }
    return PERI_OK;
}
