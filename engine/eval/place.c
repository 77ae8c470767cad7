/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.c - where arrays are and what leaves the kernels. A computed array is put directly where it is wanted: into the caller's output, or into the
 * stack that it is part of; a copy is made only where it is wanted twice. Places of inputs, constants and neighbouring entries cost nothing.
 */
#include "eval/plan.h"

peri_status eval_new_memory(eval_compiler *c, int64_t n, eval_place *place)
{
    *place = (eval_place){BASE_MEMORY, c->memory, NULL};
    if (!vec_push(c->m, &c->buffers, c->memory))
        return FAIL_NOMEM(c->g->ctx);
    c->memory += (n + 7) / 8 * 8; /* whole cache lines */
    return PERI_OK;
}

static bool is_computed(const eval_compiler *c, expr_id e)
{
    return c->kind[e] == KIND_VALUE || c->kind[e] == KIND_STACK || c->kind[e] == KIND_SCATTER || c->kind[e] == KIND_REDUCED ||
           c->kind[e] == KIND_ARRAY;
}

static bool has_place(const eval_compiler *c, expr_id e)
{
    return c->place[e].base != BASE_NONE;
}

static peri_status add_sink(eval_compiler *c, eval_sink sink)
{
    if (c->kind[sink.value] == KIND_VALUE)
        sink.kernel = c->home[sink.value];
    else
        TRY(eval_group_at(c, eval_size(c, sink.value), eval_sink_level(c, sink.value), &sink.kernel));
    return vec_push(c->m, &c->sinks, sink) ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

/* e is wanted at `place`: put there, or copied. */
static peri_status want(eval_compiler *c, expr_id e, eval_place place)
{
    const bool own = (is_computed(c, e) || (c->kind[e] == KIND_VIEW && (c->flags[e] & FLAG_DEMAND) && !eval_is_contiguous(c, e))) &&
                     !has_place(c, e);
    if (own)
        c->place[e] = place;
    if (own && c->kind[e] != KIND_VALUE && c->kind[e] != KIND_VIEW)
        return PERI_OK; /* made there */
    const eval_sink sink = {.kind = SINK_STORE, .value = e, .place = place};
    return add_sink(c, sink);
}

static peri_status place_stack(eval_compiler *c, expr_id e)
{
    const expr_id *args;
    const int32_t n = expr_args(c->g, e, &args);
    eval_place place = c->place[e];
    for (int32_t k = 0; k < n; k++) {
        TRY(want(c, eval_arg(c, args[k]), place));
        place.offset += eval_size(c, args[k]);
    }
    return PERI_OK;
}

static const expr_list *scatter_list(const eval_compiler *c, expr_id e, int32_t k)
{
    const expr_node *node = expr_at(c->g, e);
    return &c->g->lists.at[c->g->args.at[node->many.list + node->many.n + k]];
}

/* Made by an array operation for this scatter alone, for entries side by side. */
static bool can_be_direct(const eval_compiler *c, expr_id e, int32_t k)
{
    const expr_id a = eval_arg(c, c->g->args.at[expr_at(c->g, e)->many.list + k]);
    const expr_list *list = scatter_list(c, e, k);
    return c->kind[a] == KIND_ARRAY && !has_place(c, a) && list->unique && list->hi - list->lo + 1 == list->n &&
           expr_list_at(list, 0) == list->lo && expr_list_at(list, list->n - 1) == list->hi;
}

/* Whether no other argument of the scatter reaches the range, and none is a constant, whose entries are copied to everywhere at first. */
static bool is_alone(const eval_compiler *c, expr_id e, int32_t k)
{
    const expr_id *args;
    const int32_t n = expr_args(c->g, e, &args);
    const expr_list *own = scatter_list(c, e, k);
    for (int32_t j = 0; j < n; j++) {
        const expr_list *other = scatter_list(c, e, j);
        double value;
        if (expr_at(c->g, eval_arg(c, args[j]))->op == PERI_OP_CONST || expr_constant_value(c->g, eval_arg(c, args[j]), &value))
            return false;
        if (j == k || other->hi < own->lo || other->lo > own->hi)
            continue;
        for (int64_t i = 0; i < other->n; i++)
            if (expr_list_at(other, i) >= own->lo && expr_list_at(other, i) <= own->hi)
                return false;
    }
    return true;
}

/* What array operations make is put straight where it belongs; one sink must be left, which sees to the entries that nothing reaches. */
static peri_status place_direct(eval_compiler *c, expr_id e, bool *direct)
{
    const expr_id *args;
    const int32_t n = expr_args(c->g, e, &args);
    int32_t left = n;
    for (int32_t k = 0; k < n && left > 1; k++) {
        if (!can_be_direct(c, e, k) || !is_alone(c, e, k))
            continue;
        const expr_list *list = scatter_list(c, e, k);
        const struct eval_direct item = {list->lo, list->n, e};
        if (!vec_push(c->m, &c->direct, item))
            return FAIL_NOMEM(c->g->ctx);
        c->place[eval_arg(c, args[k])] = c->place[e];
        c->place[eval_arg(c, args[k])].offset += list->lo;
        direct[k] = true;
        left--;
    }
    return PERI_OK;
}

static peri_status scatter_sinks(eval_compiler *c, expr_id e)
{
    const expr_id *args;
    const int32_t n = expr_args(c->g, e, &args);
    bool *direct = arena_array(&c->data, (size_t)n, sizeof *direct);
    if (direct == NULL)
        return FAIL_NOMEM(c->g->ctx);
    TRY(place_direct(c, e, direct));
    for (int32_t k = 0; k < n; k++) {
        if (direct[k])
            continue;
        const eval_sink sink = {.kind = SINK_SCATTER, .value = eval_arg(c, args[k]), .node = e, .place = c->place[e], .arg = k};
        TRY(add_sink(c, sink));
    }
    return PERI_OK;
}

static peri_status place_node(eval_compiler *c, expr_id e)
{
    eval_place place;
    const expr_node *node = expr_at(c->g, e);
    const bool in_memory = is_computed(c, e) && (c->kind[e] != KIND_VALUE || (c->flags[e] & FLAG_DEMAND));
    if (in_memory && !has_place(c, e)) {
        TRY(eval_new_memory(c, eval_size(c, e), &place));
        TRY(want(c, e, place));
    }
    switch (c->kind[e]) {
    case KIND_STACK:
        return place_stack(c, e);
    case KIND_SCATTER:
        return scatter_sinks(c, e);
    case KIND_REDUCED: {
        const eval_sink sink = {.kind = SINK_REDUCE, .value = eval_arg(c, node->arg[0]), .node = e, .place = c->place[e]};
        return add_sink(c, sink);
    }
    case KIND_VIEW:
        if (!(c->flags[e] & FLAG_DEMAND) || has_place(c, e) || eval_is_contiguous(c, e))
            return PERI_OK;
        TRY(eval_new_memory(c, eval_size(c, e), &place));
        return want(c, e, place);
    case KIND_ARRAY:
        return vec_push(c->m, &c->arrays, e) ? PERI_OK : FAIL_NOMEM(c->g->ctx);
    default:
        return PERI_OK;
    }
}

/* A sparse constant outside of a product: its entries, written out once. */
static peri_status spread_sparse(eval_compiler *c, expr_id e, const double **out)
{
    const expr_const *s = &c->g->consts.at[expr_at(c->g, e)->ref];
    double *dense = arena_array(&c->program->data, (size_t)eval_size(c, e), sizeof *dense);
    if (dense == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int32_t i = 0; i < s->rows; i++)
        for (int32_t k = s->row_start[i]; k < s->row_start[i + 1]; k++)
            dense[(int64_t)i * s->cols + s->col[k]] += expr_sparse_at(s, k);
    *out = dense;
    return PERI_OK;
}

static peri_status place_source(eval_compiler *c, expr_id e)
{
    const expr_node *node = expr_at(c->g, e);
    eval_place *place = &c->place[e];
    if (node->op == PERI_OP_INPUT) {
        place->base = node->class_;
        place->offset = node->ref;
        return PERI_OK;
    }
    place->base = BASE_FIXED;
    if (eval_size(c, e) == 1) { /* the node itself may move when the graph grows */
        double *copy = arena_array(&c->program->data, 1, sizeof *copy);
        if (copy == NULL)
            return FAIL_NOMEM(c->g->ctx);
        *copy = node->value;
        place->fixed = copy;
        return PERI_OK;
    }
    const expr_const *data = &c->g->consts.at[node->ref];
    place->fixed = data->data;
    return data->col != NULL && (c->flags[e] & FLAG_OUTSIDE) ? spread_sparse(c, e, &place->fixed) : PERI_OK;
}

static peri_status place_leaves(eval_compiler *c)
{
    for (expr_id e = 0; e <= c->top; e++) {
        if (c->kind[e] == KIND_SOURCE)
            TRY(place_source(c, e));
        if (c->kind[e] == KIND_VIEW && eval_is_contiguous(c, e)) {
            c->place[e] = c->place[eval_arg(c, expr_at(c->g, e)->arg[0])];
            if (c->place[e].base == BASE_FIXED)
                c->place[e].fixed += expr_at(c->g, e)->first;
            else
                c->place[e].offset += expr_at(c->g, e)->first;
        }
    }
    return PERI_OK;
}

peri_status eval_place_all(eval_compiler *c, int64_t n, const eval_output *outputs)
{
    for (int64_t k = 0; k < n; k++) {
        const eval_place place = {BASE_OUTPUT + outputs[k].slot, outputs[k].offset, NULL};
        TRY(want(c, eval_arg(c, outputs[k].node), place));
    }
    for (expr_id e = c->top; e >= 0; e--)
        if (c->flags[e] & FLAG_NEED)
            TRY(place_node(c, e));
    return place_leaves(c);
}
