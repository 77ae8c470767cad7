/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prox_terms.c - taking objective and constraints apart, in the model's own graph, into terms and sets with known operators and a smooth rest.
 * Invariant: weights and centers are expressions without variables, so that parameters change them between solves; a variable belongs to one
 * block at most, and to none where it has an l1 term.
 */
#include "oracle/prox.h"
#include <string.h>

/* The sum over all entries of weight * e is still to be taken apart. */
typedef struct {
    expr_id e, weight;
} prox_item;

typedef struct {
    nlp_prox *c;
    expr_graph *g;
    int64_t first; /* of the model's variables in the class X */
    unsigned char *varies;
    expr_id top;
    VEC(prox_item) waiting;
    expr_id_list smooth; /* scalars, weighted */
} parts;

static peri_status nomem(const parts *s)
{
    return FAIL_NOMEM(s->g->ctx);
}

static bool varies(const parts *s, expr_id e)
{
    return e <= s->top && s->varies[e];
}

/* ---- views of variables: entries of x, each once ------------------------------------------------------------------------------- */

/* The places in x of the entries of e, or *at NULL where e is more than a selection of variables. */
static peri_status places(parts *s, expr_id e, int64_t **at)
{
    const expr_node *node = expr_at(s->g, e);
    const int64_t n = expr_size(s->g, e);
    const bool gather = node->op == PERI_OP_GATHER;
    const expr_node *from = gather ? expr_at(s->g, node->arg[0]) : node;
    *at = NULL;
    if (from->op != PERI_OP_INPUT || from->class_ != EXPR_IN_X)
        return PERI_OK;
    int64_t *list = arena_array(&s->c->data, (size_t)n, sizeof *list);
    if (list == NULL)
        return nomem(s);
    for (int64_t k = 0; k < n; k++)
        list[k] = from->ref - s->first + (gather ? expr_gather_at(s->g, node, k) : k);
    *at = list;
    return PERI_OK;
}

/* Marks the places as taken by an l1 term (1) or a block (2); false: they cannot be. A block wants them for itself, each once. */
static bool claim(parts *s, int64_t n, const int64_t *at, unsigned char what)
{
    unsigned char *taken = s->c->taken;
    const nlp *p = s->c->p;
    for (int64_t k = 0; k < n; k++)
        if (at[k] < 0 || at[k] >= p->n || taken[at[k]] == 2 || (what == 2 && taken[at[k]] != 0))
            return false;
    for (int64_t k = 0; k < n; k++) {
        if (what == 2 && taken[at[k]] == 2) { /* twice in the same list */
            for (int64_t q = 0; q < k; q++)
                taken[at[q]] = 0;
            return false;
        }
        taken[at[k]] = what;
    }
    return true;
}

static bool is_free(const nlp *p, int64_t n, const int64_t *at)
{
    for (int64_t k = 0; k < n; k++)
        if (p->xl[at[k]] > -INFINITY || p->xu[at[k]] < INFINITY)
            return false;
    return true;
}

/* ---- terms of the objective ------------------------------------------------------------------------------------------------------ */

static peri_status times(parts *s, expr_id a, expr_id b, expr_id *out)
{
    if (a == PERI_NO_EXPR) {
        *out = b;
        return PERI_OK;
    }
    return b == PERI_NO_EXPR ? (*out = a, PERI_OK) : expr_binary(s->g, PERI_OP_MUL, a, b, out);
}

static peri_status wait_for(parts *s, expr_id e, expr_id weight)
{
    return vec_push(s->g->m, &s->waiting, ((prox_item){e, weight})) ? PERI_OK : nomem(s);
}

/* weight * sum of |u| or |u - center|, u a selection of variables */
static peri_status take_l1(parts *s, expr_id abs, expr_id weight, bool *done)
{
    expr_id u = expr_at(s->g, abs)->arg[0], center = PERI_NO_EXPR;
    prox_l1 term = {.n = expr_size(s->g, abs)};
    const expr_node node = *expr_at(s->g, u);
    if (node.op == PERI_OP_SUB && varies(s, node.arg[0]) != varies(s, node.arg[1])) {
        const bool left = varies(s, node.arg[0]);
        u = node.arg[left ? 0 : 1];
        center = node.arg[left ? 1 : 0];
    } else if (node.op == PERI_OP_ADD && varies(s, node.arg[0]) != varies(s, node.arg[1])) {
        const bool left = varies(s, node.arg[0]);
        u = node.arg[left ? 0 : 1];
        TRY(expr_unary(s->g, PERI_OP_NEG, node.arg[left ? 1 : 0], &center));
    } else if (node.op == PERI_OP_NEG) {
        u = node.arg[0];
    }
    if (expr_size(s->g, u) != term.n)
        return PERI_OK;
    TRY(places(s, u, &term.at));
    if (term.at == NULL || !claim(s, term.n, term.at, 1))
        return PERI_OK;
    term.weight = weight;
    term.center = center;
    *done = true;
    return vec_push(s->g->m, &s->c->l1, term) ? PERI_OK : nomem(s);
}

static peri_status add_block(parts *s, prox_block block, bool *done)
{
    if (block.at == NULL || !is_free(s->c->p, block.n, block.at) || !claim(s, block.n, block.at, 2))
        return PERI_OK;
    *done = true;
    return vec_push(s->g->m, &s->c->blocks, block) ? PERI_OK : nomem(s);
}

/* weight * |u|_2 */
static peri_status take_group(parts *s, expr_id root, expr_id weight, bool *done)
{
    const expr_node sum = *expr_at(s->g, expr_at(s->g, root)->arg[0]);
    expr_id square = sum.op == PERI_OP_SUM ? sum.arg[0] : expr_at(s->g, root)->arg[0];
    if (expr_at(s->g, square)->op != PERI_OP_SQUARE)
        return PERI_OK;
    const expr_id u = expr_at(s->g, square)->arg[0];
    prox_block block = {.kind = PROX_GROUP, .n = expr_size(s->g, u), .weight = weight};
    TRY(places(s, u, &block.at));
    return add_block(s, block, done);
}

static bool is_nuclear(const parts *s, expr_id e)
{
    const expr_node *node = expr_at(s->g, e);
    return node->op == PERI_OP_CALL && s->g->calls.at[node->ref].nonsmooth &&
           strcmp(s->g->calls.at[node->ref].name, "norm_nuclear") == 0;
}

static peri_status take_nuclear(parts *s, expr_id call, expr_id weight, bool *done)
{
    const expr_id u = expr_at(s->g, call)->arg[0];
    prox_block block = {.kind = PROX_NUCLEAR, .n = expr_size(s->g, u), .rows = expr_at(s->g, u)->rows, .cols = expr_at(s->g, u)->cols,
                        .weight = weight};
    TRY(places(s, u, &block.at));
    return add_block(s, block, done);
}

/* A term that is no sum: one with an operator, or part of the smooth rest. */
static peri_status take_term(parts *s, expr_id e, expr_id weight)
{
    const int op = expr_at(s->g, e)->op;
    bool done = false;
    const bool scalar = weight == PERI_NO_EXPR || expr_size(s->g, weight) == 1;
    if (op == PERI_OP_ABS)
        TRY(take_l1(s, e, weight, &done));
    else if (op == PERI_OP_SQRT && scalar && expr_size(s->g, e) == 1)
        TRY(take_group(s, e, weight, &done));
    else if (is_nuclear(s, e) && scalar)
        TRY(take_nuclear(s, e, weight, &done));
    if (done)
        return PERI_OK;
    TRY(times(s, weight, e, &e));
    if (expr_size(s->g, e) > 1)
        TRY(expr_unary(s->g, PERI_OP_SUM, e, &e));
    TRY(expr_reshape(s->g, e, 1, 1, &e));
    return vec_push(s->g->m, &s->smooth, e) ? PERI_OK : nomem(s);
}

static peri_status negative(parts *s, expr_id weight, expr_id *out)
{
    expr_id minus;
    TRY(expr_number(s->g, -1, &minus));
    return times(s, weight, minus, out);
}

/* The sum over all entries of weight * e; sums and weights are taken apart. */
static peri_status take(parts *s, expr_id e, expr_id weight)
{
    const expr_node node = *expr_at(s->g, e);
    const int64_t size = expr_size(s->g, e);
    const bool same = node.arg[0] >= 0 && expr_size(s->g, node.arg[0]) == size;
    expr_id w;
    if (!varies(s, e))
        return take_term(s, e, weight);
    switch (node.op) {
    case PERI_OP_SUM:
        return weight == PERI_NO_EXPR || expr_size(s->g, weight) == 1 ? wait_for(s, node.arg[0], weight) : take_term(s, e, weight);
    case PERI_OP_NEG: TRY(negative(s, weight, &w)); return wait_for(s, node.arg[0], w);
    case PERI_OP_ADD:
    case PERI_OP_SUB:
        if (!same || expr_size(s->g, node.arg[1]) != size)
            return take_term(s, e, weight);
        TRY(wait_for(s, node.arg[0], weight));
        w = weight;
        if (node.op == PERI_OP_SUB)
            TRY(negative(s, weight, &w));
        return wait_for(s, node.arg[1], w);
    case PERI_OP_MUL:
        for (int k = 0; k < 2; k++)
            if (!varies(s, node.arg[k]) && expr_size(s->g, node.arg[1 - k]) == size) {
                TRY(times(s, weight, node.arg[k], &w));
                return wait_for(s, node.arg[1 - k], w);
            }
        return take_term(s, e, weight);
    case PERI_OP_DIV:
        if (varies(s, node.arg[1]) || !same)
            return take_term(s, e, weight);
        TRY(expr_unary(s->g, PERI_OP_RECIP, node.arg[1], &w));
        TRY(times(s, weight, w, &w));
        return wait_for(s, node.arg[0], w);
    default: return take_term(s, e, weight);
    }
}

/* ---- constraints --------------------------------------------------------------------------------------------------------------------- */

static peri_status refuse(parts *s, int64_t row, const char *why)
{
    char name[120];
    model_row_name(s->c->p->model, row, name, sizeof name);
    return FAIL(s->g->ctx, PERI_E_UNSUPPORTED, "constraint %s: %s", name, why);
}

/* sum(u) = s with u >= 0 */
static peri_status take_simplex(parts *s, expr_id u, int64_t row, bool *done)
{
    const nlp *p = s->c->p;
    prox_block block = {.kind = PROX_SIMPLEX, .n = expr_size(s->g, u), .constraint = row, .weight = PERI_NO_EXPR};
    TRY(places(s, u, &block.at));
    if (block.at == NULL || !(p->cl[row] == p->cu[row]))
        return PERI_OK;
    for (int64_t k = 0; k < block.n; k++)
        if (block.at[k] < 0 || block.at[k] >= p->n || p->xl[block.at[k]] != 0 || p->xu[block.at[k]] < p->cu[row])
            return PERI_OK;
    if (!claim(s, block.n, block.at, 2))
        return PERI_OK;
    *done = true;
    return vec_push(s->g->m, &s->c->blocks, block) ? PERI_OK : nomem(s);
}

static peri_status take_ball(parts *s, expr_id body, int64_t row, bool *done)
{
    const expr_node node = *expr_at(s->g, body);
    prox_block block = {.constraint = row, .weight = PERI_NO_EXPR};
    if (s->c->p->cl[row] > -INFINITY)
        return PERI_OK;
    expr_id u = PERI_NO_EXPR, inner = node.op == PERI_OP_SQRT ? node.arg[0] : body;
    if (is_nuclear(s, body)) {
        u = node.arg[0];
        block.kind = PROX_NUCLEAR_BALL;
    } else if (expr_at(s->g, inner)->op == PERI_OP_SUM) {
        const expr_id terms = expr_at(s->g, inner)->arg[0];
        const int op = expr_at(s->g, terms)->op;
        if (op == PERI_OP_SQUARE || (op == PERI_OP_ABS && inner == body))
            u = expr_at(s->g, terms)->arg[0];
        block.kind = op == PERI_OP_ABS ? PROX_BALL1 : PROX_BALL2;
    }
    if (u == PERI_NO_EXPR)
        return PERI_OK;
    block.offset = block.kind == PROX_BALL2 && inner == body; /* 1: the bound is the radius squared */
    block.n = expr_size(s->g, u);
    block.rows = expr_at(s->g, u)->rows;
    block.cols = expr_at(s->g, u)->cols;
    TRY(places(s, u, &block.at));
    return add_block(s, block, done);
}

/* a'x + constant, from the view's Jacobian at any point: the row is linear. */
static peri_status take_linear(parts *s, int64_t row, bool *done)
{
    nlp *p = s->c->p;
    peri_pattern j;
    prox_block block = {.kind = PROX_HALFSPACE, .constraint = row, .weight = PERI_NO_EXPR};
    TRY(nlp_jac_pattern(p, &j));
    for (int64_t k = 0; k < j.nnz; k++)
        block.n += j.index[k] == row;
    block.at = arena_array(&s->c->data, (size_t)block.n, sizeof *block.at);
    block.a = arena_array(&s->c->data, (size_t)block.n, sizeof *block.a);
    if (block.at == NULL || block.a == NULL)
        return nomem(s);
    int64_t count = 0;
    for (int64_t col = 0; col < p->n; col++)
        for (int64_t k = j.start[col]; k < j.start[col + 1]; k++)
            if (j.index[k] == row)
                block.at[count++] = col;
    return add_block(s, block, done);
}

static peri_status take_constraint(parts *s, const model_constraint *c)
{
    const expr_node node = *expr_at(s->g, c->body);
    for (int64_t row = c->row; row < c->row + c->size; row++) {
        bool done = false;
        if (c->size == 1 && node.op == PERI_OP_SUM)
            TRY(take_simplex(s, node.arg[0], row, &done));
        if (c->size == 1 && !done)
            TRY(take_ball(s, c->body, row, &done));
        if (!done && s->c->p->class_.linear_row[row])
            TRY(take_linear(s, row, &done));
        if (!done)
            return refuse(s, row, "not a simplex, a ball or a halfspace over variables of its own, so it has no known projection");
    }
    return PERI_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------------- */

static peri_status add_up(parts *s, expr_id *out)
{
    TRY(expr_number(s->g, 0, out));
    for (int64_t k = 0; k < s->smooth.n; k++)
        TRY(expr_binary(s->g, PERI_OP_ADD, *out, s->smooth.at[k], out));
    return PERI_OK;
}

static peri_status take_all(parts *s, expr_id *smooth)
{
    peri_model *m = s->c->p->model;
    expr_id minus = PERI_NO_EXPR;
    for (int64_t k = 0; k < m->cons.n; k++)
        TRY(take_constraint(s, &m->cons.at[k]));
    if (m->maximize)
        TRY(expr_number(s->g, -1, &minus));
    if (m->objective != PERI_NO_EXPR)
        TRY(wait_for(s, m->objective, minus));
    while (s->waiting.n > 0) {
        s->waiting.n--;
        TRY(take(s, s->waiting.at[s->waiting.n].e, s->waiting.at[s->waiting.n].weight));
    }
    return add_up(s, smooth);
}

peri_status prox_take_apart(nlp_prox *c, expr_id *smooth)
{
    peri_model *m = c->p->model;
    parts s = {.c = c, .g = m->g, .top = (expr_id)m->g->nodes.n - 1, .first = m->n > 0 ? m->vars.at[0].offset : 0};
    s.varies = mem_array(m->g->m, (size_t)m->g->nodes.n, 1);
    peri_status status = s.varies != NULL ? PERI_OK : nomem(&s);
    if (status == PERI_OK) {
        expr_mark_varying(s.g, s.top, NULL, 1u << EXPR_IN_X, s.varies);
        status = take_all(&s, smooth);
    }
    vec_free(m->g->m, &s.waiting);
    vec_free(m->g->m, &s.smooth);
    mem_array_free(m->g->m, s.varies);
    return status;
}
