/* SPDX-License-Identifier: Apache-2.0 */
/*
 * levels.c - one level of a run's problem, to be evaluated or solved: inner problems of the run that are made when first asked for. A level's view
 * has the variables of all levels; its solve has those of the level and of levels inside it, which stay levels there, and the others as a
 * parameter that changes from solve to solve. Invariant: in a level's solve its own variables and rows come first, in the order of its lists.
 */
#include "run/levels.h"
#include <string.h>

peri_status levels_get(peri_run *run, int64_t *count, const peri_level **levels)
{
    const nlp_levels *all;
    TRY(nlp_get_levels(run->p, &all));
    *count = all->of.n;
    *levels = all->info;
    return PERI_OK;
}

/* The run's record of a level; level `least` is the first that is allowed. */
static peri_status find(peri_run *run, int64_t level, int64_t least, run_level **out)
{
    const nlp_levels *all;
    TRY(nlp_get_levels(run->p, &all));
    if (level < least || level >= all->of.n)
        return FAIL(run->ctx, PERI_E_ARGUMENT, "%s: level %lld of model \"%s\": there are levels %lld .. %d", run->plugin->name,
                    (long long)level, run->model->name, (long long)least, (int)all->of.n - 1);
    if (run->level == NULL)
        run->level = arena_array(&run->memory, (size_t)all->of.n, sizeof *run->level);
    if (run->level == NULL)
        return FAIL_NOMEM(run->ctx);
    *out = &run->level[level];
    return PERI_OK;
}

/* ---- views
 * ---------------------------------------------------------------------------------------------------------------- */

static void sides_of(const nlp *p, const peri_level *info, double *lower, double *upper)
{
    for (int64_t i = 0; i < info->m; i++) {
        lower[i] = p->cl[info->row[i]];
        upper[i] = p->cu[info->row[i]];
    }
}

static peri_status constrain(peri_run *run, peri_inner *inner, const peri_level *info, peri_x c)
{
    mem *a = &run->ctx->mem;
    double *lower = mem_array(a, (size_t)info->m, sizeof *lower), *upper = mem_array(a, (size_t)info->m, sizeof *upper);
    peri_status status = lower != NULL && upper != NULL ? PERI_OK : FAIL_NOMEM(run->ctx);
    if (status == PERI_OK) {
        sides_of(run->p, info, lower, upper);
        status = inner_constrain(inner, "rows", c, lower, upper, NULL);
    }
    mem_array_free(a, lower);
    mem_array_free(a, upper);
    return status;
}

static peri_status make_view(peri_run *run, int64_t level, peri_inner **out)
{
    const peri_level *info = &run->p->levels->info[level];
    peri_x x, f, c;
    TRY(INNER_TABLE.make(run, info->name, out));
    TRY(inner_variables(*out, &x));
    TRY(inner_problem(*out, level, x, &f, &c));
    TRY(inner_minimize(*out, f));
    return c != PERI_NO_X ? constrain(run, *out, info, c) : PERI_OK;
}

peri_status levels_view(peri_run *run, int64_t level, peri_run **out)
{
    run_level *l;
    *out = NULL;
    TRY(find(run, level, 0, &l));
    if (l->view == NULL) {
        peri_inner *inner = NULL;
        TRY(make_view(run, level, &inner));
        l->view = inner;
    }
    TRY(INNER_TABLE.view(l->view, out));
    (*out)->outer = run;
    (*out)->outer_level = level;
    return PERI_OK;
}

/* ---- the problem of one level
 * ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    peri_run *run;
    peri_inner *inner;
    const model_levels *of;
    int32_t level;
    peri_model **handle; /* [levels] the inner problem's model of each level that is in it; NULL: held */
    expr_id *piece;      /* [variables] in the place of each of the problem's: a variable or a part of `held`, a column */
    expr_id held;
} maker;

static const peri_model *outer(const maker *k)
{
    return k->run->model;
}

/* The level itself is the root there; levels inside it lie in it as they do here. */
static peri_status make_handles(maker *k)
{
    k->handle[k->level] = k->inner->model;
    for (int32_t i = k->level + 1; i < k->of->n; i++) { /* parents come first */
        if (!model_level_within(k->of, i, k->level))
            continue;
        k->handle[i] = peri_model_lower(k->handle[k->of->parent[i]], k->of->model[i]->name);
        if (k->handle[i] == NULL)
            return peri_error_code(k->run->ctx);
    }
    return PERI_OK;
}

static peri_status make_variable(maker *k, int64_t i)
{
    const peri_model *m = outer(k);
    const model_var *v = &m->vars.at[i];
    const expr_node *node = expr_at(m->g, v->node);
    const int64_t at = v->at;
    peri_model *to = k->handle[k->of->level[v->level]];
    peri_expr x;
    TRY(peri_model_var(to, v->name, node->rows, node->cols, &x));
    TRY(peri_model_set_lower(to, x, v->size, k->run->p->xl + at));
    TRY(peri_model_set_upper(to, x, v->size, k->run->p->xu + at));
    TRY(peri_model_set_start(to, x, v->size, k->run->start + at));
    if (v->integer)
        TRY(peri_model_set_integer(to, x));
    return expr_reshape(to->g, x, v->size, 1, &k->piece[i]);
}

static bool is_in(const maker *k, int32_t model_level, int32_t level)
{
    return k->of->level[model_level] == level;
}

/* Own variables first, then those of levels inside it. */
static peri_status make_variables(maker *k)
{
    const peri_model *m = outer(k);
    int64_t there = 0;
    for (int32_t level = k->level; level < k->of->n; level++)
        for (int64_t i = 0; k->handle[level] != NULL && i < m->vars.n; i++)
            if (is_in(k, m->vars.at[i].level, level)) {
                TRY(make_variable(k, i));
                there += m->vars.at[i].size;
            }
    if (there < m->n)
        TRY(inner_param(k->inner, "held", m->n, 1, k->run->start, &k->held));
    for (int64_t i = 0; i < m->vars.n; i++) {
        const model_var *v = &m->vars.at[i];
        const int32_t of = k->of->level[v->level];
        if (of < 0) /* nothing reads it */
            TRY(expr_full(k->inner->model->g, v->size, 1, 0, &k->piece[i]));
        else if (k->handle[of] == NULL)
            TRY(expr_gather_affine(k->inner->model->g, k->held, v->size, 1, v->at, 1, &k->piece[i]));
    }
    return PERI_OK;
}

/* All in one go, so that what they share is copied once. */
static peri_status copy(maker *k, int64_t n, const expr_id *roots, expr_id *out)
{
    expr_id input[EXPR_IN_COUNT];
    for (int i = 0; i < EXPR_IN_COUNT; i++)
        input[i] = PERI_NO_EXPR;
    TRY(inner_need_parameters(k->inner));
    TRY(expr_stack(k->inner->model->g, outer(k)->vars.n, k->piece, &input[EXPR_IN_X]));
    input[EXPR_IN_PARAM] = k->inner->outer_params;
    return expr_transplant(outer(k)->g, n, roots, k->inner->model->g, input, out);
}

/* What a level is made of, one after another: its objective, its constraints' bodies. */
static int64_t list_roots(const maker *k, expr_id *roots)
{
    const peri_model *m = outer(k);
    int64_t n = 0;
    for (int32_t level = k->level; level < k->of->n; level++) {
        if (k->handle[level] == NULL)
            continue;
        roots[n++] = k->of->model[level]->objective;
        for (int64_t i = 0; i < m->cons.n; i++)
            if (is_in(k, m->cons.at[i].level, level))
                roots[n++] = m->cons.at[i].body;
    }
    return n;
}

/* As in the level's view. */
static peri_status scaled(nlp *p, int32_t level, expr_graph *g, expr_id *f)
{
    double scale;
    expr_id factor;
    TRY(nlp_level_scale(p, level, &scale));
    if (!(scale > 1))
        return PERI_OK;
    TRY(expr_number(g, scale, &factor));
    return expr_binary(g, PERI_OP_MUL, factor, *f, f);
}

static peri_status make_level(maker *k, int32_t level, const expr_id **copied)
{
    const peri_model *m = outer(k);
    peri_model *to = k->handle[level];
    peri_constraint handle;
    expr_id f = *(*copied)++;
    if (k->of->model[level]->maximize)
        TRY(expr_unary(to->g, PERI_OP_NEG, f, &f));
    TRY(scaled(k->run->p, level, to->g, &f));
    TRY(peri_model_minimize(to, f));
    for (int64_t i = 0; i < m->cons.n; i++) {
        const model_constraint *c = &m->cons.at[i];
        if (is_in(k, c->level, level))
            TRY(peri_model_constrain(to, c->name, *(*copied)++, c->size, c->lower, c->upper, &handle));
    }
    return PERI_OK;
}

static peri_status make_functions(maker *k, expr_id *roots)
{
    const int64_t n = list_roots(k, roots);
    const expr_id *copied = roots;
    TRY(copy(k, n, roots, roots));
    for (int32_t level = k->level; level < k->of->n; level++)
        if (k->handle[level] != NULL)
            TRY(make_level(k, level, &copied));
    return PERI_OK;
}

static peri_status fill(maker *k)
{
    mem *a = &k->run->ctx->mem;
    TRY(make_handles(k));
    TRY(make_variables(k));
    expr_id *roots = mem_array(a, (size_t)(outer(k)->cons.n + k->of->n), sizeof *roots);
    if (roots == NULL)
        return FAIL_NOMEM(k->run->ctx);
    const peri_status status = make_functions(k, roots);
    mem_array_free(a, roots);
    return status;
}

static peri_status make_solve(peri_run *run, int64_t level, run_level *l)
{
    mem *a = &run->ctx->mem;
    const model_levels *of = &run->p->levels->of;
    maker k = {.run = run, .of = of, .level = (int32_t)level, .held = PERI_NO_EXPR};
    k.handle = mem_array(a, (size_t)of->n, sizeof *k.handle);
    k.piece = mem_array(a, (size_t)run->model->vars.n, sizeof *k.piece);
    peri_status status = k.handle != NULL && k.piece != NULL ? PERI_OK : FAIL_NOMEM(run->ctx);
    if (status == PERI_OK)
        status = INNER_TABLE.make(run, of->model[level]->name, &k.inner);
    if (status == PERI_OK)
        status = fill(&k);
    mem_array_free(a, k.handle);
    mem_array_free(a, k.piece);
    TRY(status);
    l->n = k.inner->model->n;
    l->m = k.inner->model->m;
    l->x = arena_array(&run->memory, (size_t)l->n, sizeof *l->x);
    l->y = arena_array(&run->memory, (size_t)l->m, sizeof *l->y);
    l->z = arena_array(&run->memory, (size_t)l->n, sizeof *l->z);
    if (l->x == NULL || l->y == NULL || l->z == NULL)
        return FAIL_NOMEM(run->ctx);
    l->held = k.held;
    l->solve = k.inner;
    return PERI_OK;
}

/* ---- solving it
 * ---------------------------------------------------------------------------------------------------------------- */

/* The variables of the level and of those inside it as they are in x, in the order of its problem. */
static void gather(const peri_run *run, int32_t level, const double *x, double *out)
{
    const nlp_levels *all = run->p->levels;
    for (int32_t i = level; i < all->of.n; i++)
        for (int64_t j = 0; model_level_within(&all->of, i, level) && j < all->info[i].n; j++)
            *out++ = x[all->info[i].variable[j]];
}

/* Start and multipliers of the level's own, filled up with x and zeros for levels inside it. */
static void complete(const peri_run *run, int32_t level, const run_level *l, const double *x, peri_inner_request *q)
{
    const peri_level *info = &run->p->levels->info[level];
    const double *own = q->x;
    gather(run, level, x, l->x);
    if (own != NULL)
        memcpy(l->x, own, (size_t)info->n * sizeof *own);
    q->x = l->x;
    if (q->y == NULL || q->z == NULL) {
        q->y = q->z = NULL;
        return;
    }
    memset(l->y, 0, (size_t)l->m * sizeof *l->y);
    memset(l->z, 0, (size_t)l->n * sizeof *l->z);
    memcpy(l->y, q->y, (size_t)info->m * sizeof *l->y);
    memcpy(l->z, q->z, (size_t)info->n * sizeof *l->z);
    q->y = l->y;
    q->z = l->z;
}

peri_status levels_solve(peri_run *run, int64_t level, const double *x, const peri_inner_request *request, const peri_inner_result **result)
{
    run_level *l;
    peri_inner_request q = inner_read_request(request);
    *result = NULL;
    TRY(find(run, level, 1, &l));
    if (l->solve == NULL)
        TRY(make_solve(run, level, l));
    complete(run, (int32_t)level, l, x, &q);
    q.plan = q.plan != NULL ? q.plan : "";
    if (l->held != PERI_NO_EXPR)
        TRY(inner_set_param(l->solve, l->held, x));
    return INNER_TABLE.solve(l->solve, &q, result);
}
