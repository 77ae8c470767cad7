/* SPDX-License-Identifier: Apache-2.0 */
/*
 * levels.c - models inside models: their making, which of them are levels of the problem, and what each may read. Invariant: a lower model is
 * listed by its root behind the one that it lies in, so that nesting has no circle; its objective and constraints read variables of its own, of
 * models around it and of models inside it, never of one beside it.
 */
#include "model/internal.h"
#include "model/quadratic.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- making
 * ---------------------------------------------------------------------------------------------------------------- */

static bool is_named(const peri_model *root, const char *name)
{
    for (int64_t i = 0; i < root->nested.n; i++)
        if (strcmp(root->nested.at[i]->name, name) == 0)
            return true;
    return strcmp(root->name, name) == 0;
}

static peri_model *append(peri_model *parent, const char *name)
{
    peri_model *root = parent->root;
    mem *a = &root->ctx->mem;
    peri_model *m = mem_alloc(a, sizeof *m);
    if (m == NULL)
        return NULL;
    *m = (peri_model){.ctx = root->ctx, .root = root, .g = root->g, .parent = parent->level, .inside = parent->inside, .objective = PERI_NO_EXPR};
    m->name = mem_string(a, name);
    if (m->name == NULL || !vec_push(a, &root->nested, m)) {
        mem_array_free(a, m->name);
        mem_free(a, m, sizeof *m);
        return NULL;
    }
    m->level = (int32_t)root->nested.n;
    return m;
}

peri_model *peri_model_lower(peri_model *parent, const char *name)
{
    peri_model *root = parent->root;
    if (name == NULL || name[0] == '\0') {
        (void)FAIL(root->ctx, PERI_E_NAME, "model \"%s\": a lower model needs a name", parent->name);
        return NULL;
    }
    if (is_named(root, name)) {
        (void)FAIL(root->ctx, PERI_E_NAME, "model \"%s\" has a model \"%s\" already: names of models inside each other must differ", root->name,
                   name);
        return NULL;
    }
    peri_model *m = append(parent, name);
    if (m == NULL)
        (void)FAIL_NOMEM(root->ctx);
    return m;
}

peri_model *peri_model_upper(const peri_model *m)
{
    return m->root == m ? NULL : m->parent == 0 ? m->root : m->root->nested.at[m->parent - 1];
}

peri_model *peri_model_lower_at(const peri_model *m, int64_t k)
{
    return k >= 0 && k < m->root->nested.n ? m->root->nested.at[k] : NULL;
}

/* Places among what takes part. */
static void renumber(peri_model *root)
{
    root->n = root->m = 0;
    for (int64_t i = 0; i < root->vars.n; i++) {
        model_var *v = &root->vars.at[i];
        const bool part = model_takes_part(root, v->level);
        v->at = part ? root->n : -1;
        root->n += part ? v->size : 0;
    }
    for (int64_t i = 0; i < root->cons.n; i++) {
        model_constraint *c = &root->cons.at[i];
        c->row = root->m;
        root->m += model_takes_part(root, c->level) ? c->size : 0;
    }
}

bool model_takes_part(const peri_model *m, int32_t level)
{
    return level == 0 || !m->nested.at[level - 1]->inside;
}

void model_gather(const peri_model *m, const double *all, double *x)
{
    if (m->n == m->lower.n) {
        memcpy(x, all, (size_t)m->n * sizeof *x);
        return;
    }
    for (int64_t i = 0; i < m->vars.n; i++)
        if (m->vars.at[i].at >= 0)
            memcpy(x + m->vars.at[i].at, all + (m->vars.at[i].offset - m->vars.at[0].offset), (size_t)m->vars.at[i].size * sizeof *x);
}

void model_spread(const peri_model *m, const double *x, double *all)
{
    memcpy(all, m->start.at, (size_t)m->start.n * sizeof *all);
    for (int64_t i = 0; i < m->vars.n; i++)
        if (m->vars.at[i].at >= 0)
            memcpy(all + (m->vars.at[i].offset - m->vars.at[0].offset), x + m->vars.at[i].at, (size_t)m->vars.at[i].size * sizeof *x);
}

static const peri_model *numbered(const peri_model *root, int32_t k)
{
    return k == 0 ? root : root->nested.at[k - 1];
}

static peri_status check_reads(peri_model *m, int64_t n, const expr_id *roots)
{
    peri_status status = PERI_OK;
    unsigned char *reach = mem_array(m->g->m, (size_t)m->g->nodes.n, 1);
    if (reach == NULL)
        return FAIL_NOMEM(m->ctx);
    expr_reach(m->g, n, roots, reach);
    for (int64_t i = 0; i < m->vars.n && status == PERI_OK; i++) {
        const model_var *v = &m->vars.at[i];
        if (v->at < 0 && reach[v->node])
            status = FAIL(m->ctx, PERI_E_STATE, "model \"%s\": it uses %s, a variable of model \"%s\", whose solution is an expression: use that "
                          "one in its place", m->name, v->name, numbered(m, v->level)->name);
    }
    mem_array_free(m->g->m, reach);
    return status;
}

static peri_status substitute(peri_model *m, int64_t n, expr_id *roots, expr_id *from, expr_id *to)
{
    int64_t count = 0;
    for (int64_t i = 0; i < m->vars.n; i++) {
        const model_var *v = &m->vars.at[i];
        if (v->at < 0 || v->at == v->offset)
            continue;
        const expr_node node = *expr_at(m->g, v->node);
        from[count] = v->node;
        TRY(expr_input(m->g, EXPR_IN_X, v->at, node.rows, node.cols, &to[count]));
        count++;
    }
    return count > 0 ? expr_substitute(m->g, n, roots, count, from, to, roots) : PERI_OK;
}

peri_status model_place(peri_model *m, int64_t n, expr_id *roots)
{
    mem *a = m->g->m;
    if (m->n == m->lower.n)
        return PERI_OK;
    TRY(check_reads(m, n, roots));
    expr_id *from = mem_array(a, (size_t)m->vars.n, sizeof *from), *to = mem_array(a, (size_t)m->vars.n, sizeof *to);
    const peri_status status = from != NULL && to != NULL ? substitute(m, n, roots, from, to) : FAIL_NOMEM(m->ctx);
    mem_array_free(a, from);
    mem_array_free(a, to);
    return status;
}

peri_status model_solve_inside(peri_model *lower)
{
    peri_model *root = lower->root;
    if (lower == root)
        return FAIL(root->ctx, PERI_E_ARGUMENT, "model \"%s\" lies inside no other", root->name);
    if (root->references > 1)
        return FAIL(root->ctx, PERI_E_STATE, "model \"%s\" has been solved: the solution of \"%s\" is made an expression before the first solve",
                    root->name, lower->name);
    lower->inside = true;
    for (int64_t i = 0; i < root->nested.n; i++) /* ascending: parents come first */
        if (root->nested.at[i]->parent > 0 && root->nested.at[root->nested.at[i]->parent - 1]->inside)
            root->nested.at[i]->inside = true;
    renumber(root);
    quadratic_forget(root);
    root->structure++;
    root->data++;
    return PERI_OK;
}

peri_status model_put_solved(const peri_model *m, expr_id *e)
{
    const peri_model *root = m->root;
    const int64_t n = root->solved.n;
    if (n == 0 || m->inside)
        return PERI_OK;
    expr_id *from = mem_array(&m->ctx->mem, (size_t)n, sizeof *from), *to = mem_array(&m->ctx->mem, (size_t)n, sizeof *to);
    peri_status status = from != NULL && to != NULL ? PERI_OK : FAIL_NOMEM(m->ctx);
    for (int64_t k = 0; k < n && status == PERI_OK; k++) {
        from[k] = root->solved.at[k].var;
        to[k] = root->solved.at[k].value;
    }
    if (status == PERI_OK)
        status = expr_substitute(m->g, 1, e, n, from, to, e);
    mem_array_free(&m->ctx->mem, from);
    mem_array_free(&m->ctx->mem, to);
    return status;
}

/* Constraints of models that are solved inside hold at their solutions: what is left of their rows is free. */
static peri_status free_rows(peri_model *root, model_constraint *c)
{
    const expr_node shape = *expr_at(root->g, c->body);
    for (int64_t k = 0; k < c->size; k++) {
        c->lower[k] = -INFINITY;
        c->upper[k] = INFINITY;
    }
    return expr_full(root->g, shape.rows, shape.cols, 0, &c->body);
}

static peri_status put_everywhere(peri_model *root)
{
    for (int64_t i = 0; i <= root->nested.n; i++) {
        peri_model *m = i == 0 ? root : root->nested.at[i - 1];
        if (m->objective != PERI_NO_EXPR)
            TRY(model_put_solved(m, &m->objective));
    }
    for (int64_t i = 0; i < root->cons.n; i++) {
        model_constraint *c = &root->cons.at[i];
        peri_model *m = c->level == 0 ? root : root->nested.at[c->level - 1];
        TRY(m->inside ? free_rows(root, c) : model_put_solved(m, &c->body));
    }
    return PERI_OK;
}

peri_status model_solved_inside(peri_model *lower, int64_t n, const expr_id *var, const expr_id *value)
{
    peri_model *root = lower->root;
    for (int64_t k = 0; k < n; k++) {
        const struct model_solved item = {var[k], value[k]};
        if (!vec_push(&root->ctx->mem, &root->solved, item))
            return FAIL_NOMEM(root->ctx);
    }
    TRY(model_solve_inside(lower));
    return put_everywhere(root);
}

/* ---- which are levels
 * ---------------------------------------------------------------------------------------------------------------- */

static bool is_level(const peri_model *lower)
{
    return !lower->inside && lower->objective != PERI_NO_EXPR;
}

int32_t model_count_levels(const peri_model *m)
{
    int32_t n = 1;
    for (int64_t i = 0; i < m->nested.n; i++)
        n += is_level(m->nested.at[i]);
    return n;
}

static void number(const peri_model *m, model_levels *out)
{
    int32_t n = 1;
    out->level[0] = 0;
    out->model[0] = (peri_model *)(uintptr_t)m;
    out->parent[0] = -1;
    for (int64_t i = 0; i < m->nested.n; i++) {
        peri_model *lower = m->nested.at[i];
        const int32_t around = out->level[lower->parent];
        out->level[i + 1] = lower->inside ? MODEL_LEVEL_NONE : around;
        if (!is_level(lower))
            continue;
        out->model[n] = lower;
        out->parent[n] = around;
        out->level[i + 1] = n++;
    }
}

peri_status model_levels_of(peri_model *m, model_levels *out)
{
    mem *a = &m->ctx->mem;
    out->n = model_count_levels(m);
    out->level = mem_array(a, (size_t)m->nested.n + 1, sizeof *out->level);
    out->model = mem_array(a, (size_t)out->n, sizeof *out->model);
    out->parent = mem_array(a, (size_t)out->n, sizeof *out->parent);
    if (out->level == NULL || out->model == NULL || out->parent == NULL) {
        model_levels_free(m, out);
        return FAIL_NOMEM(m->ctx);
    }
    number(m, out);
    return PERI_OK;
}

void model_levels_free(peri_model *m, model_levels *levels)
{
    mem *a = &m->ctx->mem;
    mem_array_free(a, levels->level);
    mem_array_free(a, levels->model);
    mem_array_free(a, levels->parent);
    *levels = (model_levels){0};
}

bool model_level_within(const model_levels *levels, int32_t k, int32_t outer)
{
    while (k >= 0 && k != outer)
        k = levels->parent[k];
    return k == outer;
}

/* ---- what a level may read
 * ---------------------------------------------------------------------------------------------------------------- */

/* Whether the model of number `k` lies inside that of number `outer`, or is it. */
static bool lies_within(const peri_model *root, int32_t k, int32_t outer)
{
    while (k != outer && k > 0)
        k = root->nested.at[k - 1]->parent;
    return k == outer;
}

typedef struct {
    peri_model *m;    /* the one that reads */
    const char *name; /* of the constraint; NULL: its objective */
    bool has_own;     /* a variable of its own or of a model inside it was seen */
} reading;

static peri_status look_at_input(reading *r, const expr_node *node)
{
    const peri_model *root = r->m->root;
    if (node->op != PERI_OP_INPUT || node->class_ != EXPR_IN_X)
        return PERI_OK;
    const model_var *v = model_var_at(root, node->ref);
    if (v == NULL)
        return PERI_OK;
    const bool below = lies_within(root, v->level, r->m->level);
    r->has_own = r->has_own || below;
    if (below || lies_within(root, r->m->level, v->level))
        return PERI_OK;
    return FAIL(root->ctx, PERI_E_ARGUMENT, "%s%s%sof lower model \"%s\": it uses %s, a variable of model \"%s\", which lies beside it; a model "
                "may use variables of its own, of models around it and of models inside it", r->name != NULL ? "constraint \"" : "objective ",
                r->name != NULL ? r->name : "", r->name != NULL ? "\" " : "", r->m->name, v->name, numbered(root, v->level)->name);
}

/* From e down, each node once: the marks are of the nodes up to e, so that a large model's many small expressions are walked by a stack. */
static peri_status walk(reading *r, expr_id e)
{
    const expr_graph *g = r->m->g;
    mem *a = g->m;
    VEC(expr_id) open = {0};
    hash_map seen;
    hash_init(&seen, a);
    peri_status status = vec_push(a, &open, e) ? PERI_OK : FAIL_NOMEM(g->ctx);
    while (open.n > 0 && status == PERI_OK) {
        const expr_id node = open.at[--open.n];
        const expr_id *args;
        status = look_at_input(r, expr_at(g, node));
        const int32_t n = status == PERI_OK ? expr_args(g, node, &args) : 0;
        for (int32_t k = 0; k < n && status == PERI_OK; k++) {
            int64_t before;
            const expr_id arg = args[k];
            if (hash_get(&seen, (uint64_t)arg, &before))
                continue;
            if (!hash_put(&seen, (uint64_t)arg, 1) || !vec_push(a, &open, arg))
                status = FAIL_NOMEM(g->ctx);
        }
    }
    hash_release(&seen);
    vec_free(a, &open);
    return status;
}

peri_status model_check_level(peri_model *m, const char *name, expr_id e)
{
    reading r = {.m = m, .name = name};
    char text[160];
    if (m->root == m) /* all variables are its own or inside it */
        return PERI_OK;
    TRY(walk(&r, e));
    if (r.has_own || name != NULL)
        return PERI_OK;
    model_describe(m, e, text, sizeof text);
    return FAIL(m->ctx, PERI_E_ARGUMENT, "objective of lower model \"%s\": %s has none of its variables, so that there is nothing to choose; "
                "variables of this level are made by its own var", m->name, text);
}

/* ---- what methods may be told
 * ---------------------------------------------------------------------------------------------------------------- */

peri_status peri_model_sampled(peri_model *m, peri_expr p)
{
    char text[128];
    const model_var *v = model_find_param(m->root, p);
    if (v == NULL) {
        TRY(model_check_expr(m, "weights", p));
        model_describe(m, p, text, sizeof text);
        return FAIL(m->ctx, PERI_E_ARGUMENT, "%s is not a parameter of model \"%s\": weights of a sum are one", text, m->root->name);
    }
    m->weights = (struct model_weights){v->offset, v->size};
    return PERI_OK;
}

void peri_model_project(peri_model *m, peri_project_fn project, void *ud)
{
    m->projection = (struct model_projection){project, ud};
}
