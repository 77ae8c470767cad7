/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roll.c - finding repeated structure, first half: which scalars are computed by themselves (needed by an array operation, shared, or the end of a long
 * sum) and in which order. Scalars of one depth depend on those of smaller depths only, so that each depth is grouped at once.
 */
#include "diff/roll.h"
#include <string.h>

static bool is_scalar_op(const expr_graph *g, expr_id e)
{
    return expr_is_elementwise(expr_at(g, e)->op) && expr_size(g, e) == 1;
}

bool roll_is_sum(int op)
{
    return op == PERI_OP_ADD || op == PERI_OP_SUB || op == PERI_OP_NEG;
}

bool roll_is_chain(const roller *r, expr_id e)
{
    return (r->flags[e] & ROLL_CHAIN) && !(r->flags[e] & ROLL_MATERIAL);
}

static peri_status roller_init(roller *r, expr_graph *from, expr_graph *to)
{
    memset(r, 0, sizeof *r);
    r->from = from;
    r->to = to;
    arena_init(&r->data, from->m);
    const size_t n = (size_t)from->nodes.n;
    r->flags = arena_array(&r->data, n, 1);
    r->uses = arena_array(&r->data, n, sizeof *r->uses);
    r->weight = arena_array(&r->data, n, sizeof *r->weight);
    r->terms = arena_array(&r->data, n, sizeof *r->terms);
    r->depth = arena_array(&r->data, n, sizeof *r->depth);
    r->image = arena_array(&r->data, n, sizeof *r->image);
    r->place = arena_array(&r->data, n, sizeof *r->place);
    r->local = arena_array(&r->data, n, sizeof *r->local);
    r->stamp = arena_array(&r->data, n, sizeof *r->stamp);
    const bool ok = r->flags != NULL && r->uses != NULL && r->weight != NULL && r->terms != NULL && r->depth != NULL &&
                    r->image != NULL && r->place != NULL && r->local != NULL && r->stamp != NULL;
    return ok ? PERI_OK : FAIL_NOMEM(from->ctx);
}

/* The class INPUT nodes of the new graph, as wide as the old graph's nodes reach. */
static peri_status make_inputs(roller *r)
{
    int64_t extent[EXPR_IN_COUNT] = {0};
    extent[EXPR_IN_X] = r->from->n_x;
    extent[EXPR_IN_PARAM] = r->from->n_param;
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        const expr_node *node = expr_at(r->from, e);
        if (node->op != PERI_OP_INPUT || !(r->flags[e] & ROLL_REACH))
            continue;
        const int64_t end = node->ref + expr_size(r->from, e);
        extent[node->class_] = end > extent[node->class_] ? end : extent[node->class_];
    }
    for (int c = 0; c < EXPR_IN_COUNT; c++) {
        r->whole[c] = -1;
        if (extent[c] > 0)
            TRY(expr_input(r->to, c, 0, extent[c], 1, &r->whole[c]));
    }
    r->to->n_x = r->from->n_x;
    r->to->n_param = r->from->n_param;
    return PERI_OK;
}

/* ---- what is computed by itself -------------------------------------------------------------------------------------------- */

static void count_uses(roller *r)
{
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        const expr_id *args;
        if (!(r->flags[e] & ROLL_REACH))
            continue;
        const bool scalar = is_scalar_op(r->from, e);
        r->flags[e] = (unsigned char)(r->flags[e] | (scalar ? ROLL_SCALAR : 0));
        const int32_t n = expr_args(r->from, e, &args);
        for (int32_t k = 0; k < n; k++) {
            r->uses[args[k]]++;
            if (!scalar && is_scalar_op(r->from, args[k]))
                r->flags[args[k]] |= ROLL_MATERIAL;
        }
    }
}

static int32_t capped(int64_t n)
{
    return n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

/* Long sums: of many terms, or of several large ones. `weight` holds the operations of the whole tree until `weigh` sets it. */
static void count_terms(roller *r)
{
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        if (!(r->flags[e] & ROLL_SCALAR))
            continue;
        const expr_node *node = expr_at(r->from, e);
        int64_t terms = 0, weight = 1;
        for (int k = 0; k < 3 && node->arg[k] >= 0; k++) {
            const bool scalar = (r->flags[node->arg[k]] & ROLL_SCALAR) != 0;
            terms += scalar ? r->terms[node->arg[k]] : 1;
            weight += scalar ? r->weight[node->arg[k]] : 0;
        }
        r->terms[e] = roll_is_sum(node->op) ? capped(terms) : 1;
        r->weight[e] = capped(weight);
        if (r->terms[e] > ROLL_LONG || (r->terms[e] > ROLL_SEVERAL && weight > ROLL_LARGE))
            r->flags[e] |= ROLL_CHAIN;
    }
}

/* A long sum ends where something else than one longer sum uses it. */
static void end_chains(roller *r)
{
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        const expr_node *node = expr_at(r->from, e);
        if (!(r->flags[e] & ROLL_SCALAR))
            continue;
        for (int k = 0; k < 3 && node->arg[k] >= 0; k++) {
            const expr_id a = node->arg[k];
            if ((r->flags[a] & ROLL_CHAIN) && (!(r->flags[e] & ROLL_CHAIN) || r->uses[a] > 1))
                r->flags[a] |= ROLL_MATERIAL;
        }
    }
}

static void weigh(roller *r)
{
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        if (!(r->flags[e] & ROLL_SCALAR) || (r->flags[e] & ROLL_CHAIN))
            continue;
        const expr_node *node = expr_at(r->from, e);
        int64_t weight = 1;
        for (int k = 0; k < 3 && node->arg[k] >= 0; k++)
            if ((r->flags[node->arg[k]] & (ROLL_SCALAR | ROLL_MATERIAL)) == ROLL_SCALAR)
                weight += r->weight[node->arg[k]];
        r->weight[e] = capped(weight);
        if ((weight > ROLL_SHARED && r->uses[e] > 1) || weight > ROLL_LARGE)
            r->flags[e] |= ROLL_MATERIAL;
    }
}

static int32_t find_depths(roller *r)
{
    int32_t top = 0;
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        const expr_id *args;
        if (!(r->flags[e] & ROLL_REACH))
            continue;
        const int32_t n = expr_args(r->from, e, &args);
        int32_t depth = 0;
        for (int32_t k = 0; k < n; k++)
            depth = r->depth[args[k]] > depth ? r->depth[args[k]] : depth;
        r->depth[e] = depth + (r->flags[e] & ROLL_MATERIAL ? 1 : 0);
        top = r->depth[e] > top ? r->depth[e] : top;
    }
    return top;
}

/* ---- array nodes ---------------------------------------------------------------------------------------------------------------- */

peri_status roll_value(roller *r, expr_id e, expr_id *out)
{
    if (r->flags[e] & ROLL_SCALAR)
        return expr_gather_affine(r->to, r->image[e], 1, 1, r->place[e], 1, out);
    *out = r->image[e];
    return PERI_OK;
}

static peri_status copy_const(roller *r, expr_id e, expr_id *out)
{
    const expr_node *node = expr_at(r->from, e);
    if (node->rows == 1 && node->cols == 1)
        return expr_number(r->to, node->value, out);
    const expr_const *c = &r->from->consts.at[node->ref];
    if (c->col == NULL)
        return expr_dense(r->to, c->rows, c->cols, c->data, out);
    int64_t *start = mem_array(r->from->m, (size_t)c->rows + 1, sizeof *start);
    int64_t *col = mem_array(r->from->m, (size_t)c->nnz, sizeof *col);
    peri_status status = start != NULL && col != NULL ? PERI_OK : FAIL_NOMEM(r->from->ctx);
    for (int64_t i = 0; i <= c->rows && status == PERI_OK; i++)
        start[i] = c->row_start[i];
    for (int64_t k = 0; k < c->nnz && status == PERI_OK; k++)
        col[k] = c->col[k];
    if (status == PERI_OK)
        status = expr_sparse(r->to, c->rows, c->cols, c->nnz, start, col, c->data, out);
    mem_array_free(r->from->m, start);
    mem_array_free(r->from->m, col);
    return status;
}

/* A stack with scalars: the vectors that hold them, once each, and one gather. */
static peri_status roll_stack(roller *r, const expr_node *node, expr_id *out)
{
    expr_graph *to = r->to;
    VEC(expr_id) parts = {0};
    VEC(int64_t) begin = {0};
    hash_map seen;
    hash_init(&seen, to->m);
    const int64_t size = (int64_t)node->rows * node->cols;
    int64_t at = 0, end = 0;
    int32_t *index = mem_array(to->m, (size_t)size, sizeof *index);
    peri_status status = index != NULL ? PERI_OK : FAIL_NOMEM(to->ctx);
    for (int32_t k = 0; k < node->many.n && status == PERI_OK; k++) {
        const expr_id arg = r->from->args.at[node->many.list + k];
        const bool scalar = (r->flags[arg] & ROLL_SCALAR) != 0;
        const expr_id part = r->image[arg];
        int64_t which;
        if (!hash_get(&seen, (uint64_t)part, &which)) {
            expr_id column;
            which = parts.n;
            status = expr_reshape(to, part, expr_size(to, part), 1, &column);
            if (status == PERI_OK && (!vec_push(to->m, &parts, column) || !vec_push(to->m, &begin, end) ||
                                      !hash_put(&seen, (uint64_t)part, which)))
                status = FAIL_NOMEM(to->ctx);
            end += expr_size(to, part);
        }
        const int64_t n = scalar ? 1 : expr_size(to, part);
        for (int64_t i = 0; i < n && status == PERI_OK; i++)
            index[at++] = (int32_t)(begin.at[which] + (scalar ? r->place[arg] : i));
    }
    if (status == PERI_OK)
        status = expr_stack(to, parts.n, parts.at, out);
    if (status == PERI_OK)
        status = expr_gather_list(to, *out, node->rows, node->cols, size, index, out);
    mem_array_free(to->m, index);
    vec_free(to->m, &parts);
    vec_free(to->m, &begin);
    hash_release(&seen);
    return status;
}

static peri_status roll_scatter(roller *r, const expr_node *node, expr_id *out)
{
    expr_graph *to = r->to;
    const int32_t n = node->many.n;
    expr_id *args = mem_array(to->m, (size_t)n, sizeof *args);
    const int32_t **lists = mem_array(to->m, (size_t)n, sizeof *lists);
    peri_status status = args != NULL && lists != NULL ? PERI_OK : FAIL_NOMEM(to->ctx);
    for (int32_t k = 0; k < n && status == PERI_OK; k++) {
        lists[k] = r->from->lists.at[r->from->args.at[node->many.list + n + k]].at;
        status = roll_value(r, r->from->args.at[node->many.list + k], &args[k]);
    }
    if (status == PERI_OK)
        status = expr_scatter_sum(to, node->rows, node->cols, n, args, lists, out);
    mem_array_free(to->m, args);
    mem_array_free(to->m, lists);
    return status;
}

/* x[col] times the entries, in order of column: entry k of *order. */
static peri_status picked_times(expr_graph *to, const expr_const *s, expr_id x, const int32_t *order, expr_id *out)
{
    int32_t *col = mem_array(to->m, (size_t)s->nnz, sizeof *col);
    double *data = mem_array(to->m, (size_t)s->nnz, sizeof *data);
    expr_id factor;
    peri_status status = col != NULL && data != NULL ? PERI_OK : FAIL_NOMEM(to->ctx);
    for (int64_t k = 0; k < s->nnz && status == PERI_OK; k++) {
        col[k] = s->col[order[k]];
        data[k] = s->data[order[k]];
    }
    if (status == PERI_OK)
        status = expr_gather_list(to, x, s->nnz, 1, s->nnz, col, out);
    if (status == PERI_OK)
        status = expr_dense(to, s->nnz, 1, data, &factor);
    if (status == PERI_OK)
        status = expr_binary(to, PERI_OP_MUL, *out, factor, out);
    mem_array_free(to->m, col);
    mem_array_free(to->m, data);
    return status;
}

/* Is there one entry a row? order: the entries as they are. Otherwise, one at the most a column? order: by column; row: of each in that order. */
static bool one_per_row(const expr_const *s, int32_t *order, int32_t *row)
{
    for (int32_t i = 0; i < s->rows; i++) {
        if (s->row_start[i + 1] - s->row_start[i] != 1)
            return false;
        order[i] = row[i] = i;
    }
    return true;
}

static bool one_per_column(const expr_const *s, int32_t *at, int32_t *order, int32_t *row)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < s->rows; i++)
        for (int32_t k = s->row_start[i]; k < s->row_start[i + 1]; k++) {
            if (at[2 * s->col[k]] != 0)
                return false;
            at[2 * s->col[k]] = k + 1;
            at[2 * s->col[k] + 1] = i;
        }
    for (int32_t j = 0; j < s->cols; j++)
        if (at[2 * j] != 0) {
            order[kept] = at[2 * j] - 1;
            row[kept++] = at[2 * j + 1];
        }
    return true;
}

/* The product of an incidence matrix and a vector is a gather, or a scatter: part of the kernels around it. *out = -1: another matrix. */
static peri_status roll_incidence(roller *r, expr_id a, expr_id x, expr_id *out)
{
    expr_graph *to = r->to;
    *out = -1;
    if (expr_at(to, a)->op != PERI_OP_CONST || expr_size(to, a) == 1 || expr_at(to, x)->cols != 1)
        return PERI_OK;
    const expr_const s = to->consts.at[expr_at(to, a)->ref];
    if (s.col == NULL || s.nnz == 0)
        return PERI_OK;
    int32_t *at = mem_array(to->m, 2 * (size_t)s.cols, sizeof *at);
    const size_t most = (size_t)(s.nnz > s.rows ? s.nnz : s.rows);
    int32_t *order = mem_array(to->m, most, sizeof *order), *row = mem_array(to->m, most, sizeof *row);
    peri_status status = at != NULL && order != NULL && row != NULL ? PERI_OK : FAIL_NOMEM(to->ctx);
    const int32_t *const lists[1] = {row};
    if (status == PERI_OK && one_per_row(&s, order, row)) {
        status = picked_times(to, &s, x, order, out);
    } else if (status == PERI_OK && one_per_column(&s, at, order, row)) {
        status = picked_times(to, &s, x, order, out);
        if (status == PERI_OK)
            status = expr_scatter_sum(to, s.rows, 1, 1, out, lists, out);
    }
    mem_array_free(to->m, at);
    mem_array_free(to->m, order);
    mem_array_free(to->m, row);
    return status;
}

static peri_status roll_array(roller *r, expr_id e)
{
    expr_graph *to = r->to, *from = r->from;
    const expr_node node = *expr_at(from, e);
    expr_id args[3] = {-1, -1, -1}, *out = &r->image[e];
    switch (node.op) {
    case PERI_OP_CONST:
        return copy_const(r, e, out);
    case PERI_OP_INPUT:
        return expr_gather_affine(to, r->whole[node.class_], node.rows, node.cols, node.ref, 1, out);
    case PERI_OP_STACK:
        return roll_stack(r, &node, out);
    case PERI_OP_SCATTER:
        return roll_scatter(r, &node, out);
    default:
        break;
    }
    int n = 0;
    for (; n < 3 && node.arg[n] >= 0; n++)
        TRY(roll_value(r, node.arg[n], &args[n]));
    switch (node.op) {
    case PERI_OP_GATHER:
        if (node.flags & EXPR_AFFINE)
            return expr_gather_affine(to, args[0], node.rows, node.cols, node.first, node.stride, out);
        return expr_gather_list(to, args[0], node.rows, node.cols, from->lists.at[node.index].n, from->lists.at[node.index].at, out);
    case PERI_OP_MARK:
        return expr_mark(to, args[0], from->names.at[node.ref], out);
    case PERI_OP_CALL:
        return expr_call(to, &from->calls.at[node.ref], args[0], out);
    case PERI_OP_CALLGRAD:
        TRY(expr_call(to, &from->calls.at[node.ref], args[0], out));
        return expr_callgrad(to, *out, out);
    case PERI_OP_MATMUL:
        TRY(roll_incidence(r, args[0], args[1], out));
        return *out >= 0 ? PERI_OK : expr_op(to, PERI_OP_MATMUL, n, args, out);
    default:
        return expr_op(to, (peri_op)node.op, n, args, out);
    }
}

/* ---- depth by depth ---------------------------------------------------------------------------------------------------------------- */

static peri_status roll_depth(roller *r, const expr_id *order, const int64_t *start, int32_t depth)
{
    const int64_t n = start[depth + 1] - start[depth];
    expr_id *scalars = mem_array(r->from->m, (size_t)n, sizeof *scalars);
    if (scalars == NULL)
        return FAIL_NOMEM(r->from->ctx);
    int64_t kept = 0;
    for (int64_t k = start[depth]; k < start[depth + 1]; k++)
        if ((r->flags[order[k]] & (ROLL_SCALAR | ROLL_MATERIAL)) == (ROLL_SCALAR | ROLL_MATERIAL))
            scalars[kept++] = order[k];
    peri_status status = kept > 0 ? roll_group(r, kept, scalars) : PERI_OK;
    mem_array_free(r->from->m, scalars);
    for (int64_t k = start[depth]; k < start[depth + 1] && status == PERI_OK; k++)
        if (!(r->flags[order[k]] & ROLL_SCALAR))
            status = roll_array(r, order[k]);
    return status;
}

static peri_status roll_all(roller *r, int32_t top)
{
    const int64_t n = r->from->nodes.n;
    int64_t *start = arena_array(&r->data, (size_t)top + 3, sizeof *start);
    expr_id *order = arena_array(&r->data, (size_t)n, sizeof *order);
    if (start == NULL || order == NULL)
        return FAIL_NOMEM(r->from->ctx);
    for (expr_id e = 0; e < n; e++)
        if (r->flags[e] & ROLL_REACH)
            start[r->depth[e] + 2]++;
    for (int32_t d = 0; d <= top; d++)
        start[d + 2] += start[d + 1];
    for (expr_id e = 0; e < n; e++)
        if (r->flags[e] & ROLL_REACH)
            order[start[r->depth[e] + 1]++] = e;
    for (int32_t d = 0; d <= top; d++)
        TRY(roll_depth(r, order, start, d));
    return PERI_OK;
}

peri_status diff_roll(expr_graph *from, int64_t n, const expr_id *roots, expr_graph *to, expr_id *out)
{
    roller r;
    peri_status status = roller_init(&r, from, to);
    if (status == PERI_OK) {
        expr_reach(from, n, roots, r.flags); /* sets ROLL_REACH */
        count_uses(&r);
        for (int64_t k = 0; k < n; k++)
            if (r.flags[roots[k]] & ROLL_SCALAR)
                r.flags[roots[k]] |= ROLL_MATERIAL;
        count_terms(&r);
        end_chains(&r);
        weigh(&r);
        status = make_inputs(&r);
    }
    if (status == PERI_OK)
        status = roll_all(&r, find_depths(&r));
    for (int64_t k = 0; k < n && status == PERI_OK; k++)
        status = roll_value(&r, roots[k], &out[k]);
    arena_release(&r.data);
    return status;
}
