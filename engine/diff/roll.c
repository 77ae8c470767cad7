/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roll.c - finding repeated structure, first half: which scalars are computed by themselves (needed by an array operation, shared, or the end of a long
 * sum) and in which order. Scalars of one depth depend on those of smaller depths only, so that each depth is grouped at once.
 */
#include "diff/roll.h"
#include "expr/bilinear.h"
#include <string.h>

static bool is_scalar_op(const expr_graph *g, expr_id e)
{
    return expr_is_elementwise(expr_code(g, e) & ~EXPR_WIDE) && expr_size(g, e) == 1;
}

/* A node of one entry that needs no node in the new graph: its users read the array that it belongs to. */
static bool is_leaf(const expr_graph *g, expr_id e)
{
    const int op = expr_code(g, e) & ~EXPR_WIDE;
    return (op == PERI_OP_CONST || op == PERI_OP_GATHER || op == PERI_OP_INPUT) && expr_size(g, e) == 1;
}

bool roll_is_sum(int op)
{
    return op == PERI_OP_ADD || op == PERI_OP_SUB || op == PERI_OP_NEG;
}

bool roll_is_commutative(int op)
{
    return op == PERI_OP_ADD || op == PERI_OP_MUL || op == PERI_OP_MIN2 || op == PERI_OP_MAX2;
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
    r->slot = arena_array(&r->data, n, sizeof *r->slot + sizeof *r->shape + 3); /* one block: a large one goes back to the system */
    if (r->slot == NULL)
        return FAIL_NOMEM(from->ctx);
    r->shape = (uint16_t *)(r->slot + n);
    r->flags = (unsigned char *)(r->shape + n);
    r->weight = r->flags + n;
    r->terms = r->weight + n;
    return PERI_OK;
}

/* The class INPUT nodes of the new graph, as wide as the old graph's nodes reach. */
static peri_status make_inputs(roller *r)
{
    int64_t extent[EXPR_IN_COUNT] = {0};
    extent[EXPR_IN_X] = r->from->n_x;
    extent[EXPR_IN_PARAM] = r->from->n_param;
    for (int64_t k = 0; k < r->from->wide.n; k++) { /* inputs are never packed */
        const expr_node *node = &r->from->wide.at[k];
        if (node->op != PERI_OP_INPUT)
            continue;
        const int64_t end = node->ref + (int64_t)node->rows * node->cols;
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

static unsigned char capped(int n)
{
    return (unsigned char)(n > ROLL_MANY ? ROLL_MANY : n);
}

/* Long sums: of many terms, or of several large ones. `weight` holds the operations of the whole tree until `weigh` sets it. */
static void count_terms(roller *r, expr_id e, int op, int32_t n, const expr_id *args)
{
    int terms = 0, weight = 1;
    for (int32_t k = 0; k < n; k++) {
        const bool scalar = (r->flags[args[k]] & ROLL_SCALAR) != 0;
        terms += scalar ? r->terms[args[k]] : 1;
        weight += scalar ? r->weight[args[k]] : 0;
    }
    r->terms[e] = roll_is_sum(op) ? capped(terms) : 1;
    r->weight[e] = capped(weight);
    if (r->terms[e] > ROLL_LONG || (r->terms[e] > ROLL_SEVERAL && weight > ROLL_LARGE))
        r->flags[e] |= ROLL_CHAIN;
}

static void look_at_uses(roller *r)
{
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        const expr_id *args;
        if (!(r->flags[e] & ROLL_REACH))
            continue;
        const bool scalar = is_scalar_op(r->from, e);
        r->flags[e] = (unsigned char)(r->flags[e] | (scalar ? ROLL_SCALAR : is_leaf(r->from, e) ? ROLL_LEAF : 0));
        const int32_t n = expr_args(r->from, e, &args);
        for (int32_t k = 0; k < n; k++) {
            unsigned char *flags = &r->flags[args[k]];
            *flags = (unsigned char)(*flags | (*flags & ROLL_USED ? ROLL_REUSED : ROLL_USED));
            if (!scalar && (*flags & ROLL_SCALAR))
                *flags |= ROLL_MATERIAL;
        }
        if (scalar)
            count_terms(r, e, expr_code(r->from, e) & ~EXPR_WIDE, n, args);
    }
}

/* A long sum ends where something else than one longer sum uses it. */
static void end_chains(roller *r)
{
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        const expr_id *args;
        if (!(r->flags[e] & ROLL_SCALAR))
            continue;
        const int32_t n = expr_args(r->from, e, &args);
        for (int32_t k = 0; k < n; k++)
            if ((r->flags[args[k]] & ROLL_CHAIN) && (!(r->flags[e] & ROLL_CHAIN) || (r->flags[args[k]] & ROLL_REUSED)))
                r->flags[args[k]] |= ROLL_MATERIAL;
    }
}

/* A number for what an argument is read from, or for its form. */
static uint32_t shape_of(const roller *r, expr_id e, bool exponent)
{
    if (r->flags[e] & ROLL_MATERIAL)
        return 2;
    if (r->flags[e] & ROLL_SCALAR)
        return r->shape[e] + 16u;
    const expr_node *node = expr_at(r->from, e);
    if (node->op == PERI_OP_CONST)
        return exponent ? (uint32_t)hash_bytes(&node->value, sizeof node->value) : 1;
    const expr_node *source = expr_at(r->from, node->op == PERI_OP_GATHER ? node->arg[0] : e);
    return source->op == PERI_OP_INPUT ? 4u + source->class_ : 3;
}

static uint16_t shape_of_operation(const roller *r, int op, int32_t n, const expr_id *args)
{
    uint32_t h[3] = {0, 0, 0};
    for (int32_t k = 0; k < n; k++)
        h[k] = shape_of(r, args[k], op == PERI_OP_POW && k == 1);
    if (roll_is_commutative(op) && h[0] > h[1]) {
        const uint32_t first = h[0];
        h[0] = h[1];
        h[1] = first;
    }
    const uint64_t all = hash_mix(((uint64_t)h[0] << 32 | h[1]) + (uint64_t)op * UINT64_C(0x9e3779b97f4a7c15) + h[2] * UINT64_C(0xff51afd7ed558ccd));
    return (uint16_t)(all >> 40);
}

static void weigh(roller *r, expr_id e, int op, int32_t n, const expr_id *args)
{
    int weight = 1;
    for (int32_t k = 0; k < n; k++)
        if ((r->flags[args[k]] & (ROLL_SCALAR | ROLL_MATERIAL)) == ROLL_SCALAR)
            weight += r->weight[args[k]];
    r->weight[e] = capped(weight);
    if ((weight > ROLL_SHARED && (r->flags[e] & ROLL_REUSED)) || weight > ROLL_LARGE)
        r->flags[e] |= ROLL_MATERIAL;
    r->shape[e] = shape_of_operation(r, op, n, args);
}

/* Weights and shapes of scalars that are no long sums; depths of all. */
static int32_t weigh_all(roller *r)
{
    int32_t top = 0;
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        const expr_id *args;
        if (!(r->flags[e] & ROLL_REACH))
            continue;
        const int32_t n = expr_args(r->from, e, &args);
        int32_t depth = 0;
        if ((r->flags[e] & (ROLL_SCALAR | ROLL_CHAIN)) == ROLL_SCALAR)
            weigh(r, e, expr_code(r->from, e) & ~EXPR_WIDE, n, args);
        for (int32_t k = 0; k < n; k++)
            depth = r->slot[args[k]] > depth ? r->slot[args[k]] : depth;
        r->slot[e] = depth + (r->flags[e] & ROLL_MATERIAL ? 1 : 0);
        top = r->slot[e] > top ? r->slot[e] : top;
        r->n_made += roll_is_made(r, e);
    }
    return top;
}

/* ---- array nodes ---------------------------------------------------------------------------------------------------------------- */

/* Scalars and rows are entries of a vector. So is a row without derivative (the shift of logsumexp). */
static bool is_entry(const roller *r, expr_id e)
{
    return (r->flags[e] & (ROLL_SCALAR | ROLL_LEAF | ROLL_MATERIAL)) != 0 ||
           (expr_code(r->from, e) == (PERI_OP_STOP | EXPR_WIDE) && roll_is_row(r, expr_at(r->from, e)->arg[0]));
}

void roll_locate(const roller *r, expr_id e, expr_id *array, int32_t *place)
{
    if (!(r->flags[e] & ROLL_LEAF)) {
        *array = r->made[r->slot[e]].image;
        *place = r->made[r->slot[e]].place;
    } else {
        const expr_node *node = expr_at(r->from, e);
        const bool input = node->op == PERI_OP_INPUT;
        *array = input ? r->whole[node->class_] : r->made[r->slot[node->arg[0]]].image;
        *place = (int32_t)(input ? node->ref : expr_gather_at(r->from, node, 0));
    }
    const expr_node *view = expr_at(r->to, *array);
    if (view->op == PERI_OP_GATHER) {
        *place = (int32_t)expr_gather_at(r->to, view, *place);
        *array = view->arg[0];
    }
}

peri_status roll_value(roller *r, expr_id e, expr_id *out)
{
    expr_id array;
    int32_t place;
    if (!is_entry(r, e)) {
        *out = r->made[r->slot[e]].image;
        return PERI_OK;
    }
    if (expr_code(r->from, e) == PERI_OP_CONST)
        return expr_number(r->to, expr_cell_of(r->from, e)->value, out);
    roll_locate(r, e, &array, &place);
    return expr_gather_affine(r->to, array, 1, 1, place, 1, out);
}

/* Where an argument of a stack is: an array of `to`, and its first entry there. */
static peri_status find_part(roller *r, expr_id arg, expr_id *part, int32_t *first)
{
    *first = 0;
    if (is_entry(r, arg) && expr_code(r->from, arg) != PERI_OP_CONST) {
        roll_locate(r, arg, part, first);
        return PERI_OK;
    }
    return roll_value(r, arg, part);
}

typedef struct {
    VEC(expr_id) parts;
    VEC(int64_t) begin; /* of each part in the stack of them */
    int64_t end;
    hash_map seen;
} part_list;

static peri_status add_part(roller *r, part_list *list, expr_id part, int64_t *begin)
{
    expr_graph *to = r->to;
    int64_t which;
    if (!hash_get(&list->seen, (uint64_t)part, &which)) {
        expr_id column;
        which = list->parts.n;
        TRY(expr_reshape(to, part, expr_size(to, part), 1, &column));
        if (!vec_push(to->m, &list->parts, column) || !vec_push(to->m, &list->begin, list->end) ||
            !hash_put(&list->seen, (uint64_t)part, which))
            return FAIL_NOMEM(to->ctx);
        list->end += expr_size(to, part);
    }
    *begin = list->begin.at[which];
    return PERI_OK;
}

/* A stack with scalars: the vectors that hold them, once each, and one gather. */
static peri_status roll_stack(roller *r, const expr_node *node, expr_id *out)
{
    expr_graph *to = r->to;
    part_list list = {.end = 0};
    hash_init(&list.seen, to->m);
    const int64_t size = (int64_t)node->rows * node->cols;
    int64_t at = 0, begin = 0;
    int32_t *index = mem_array(to->m, (size_t)size, sizeof *index), first = 0;
    peri_status status = index != NULL ? PERI_OK : FAIL_NOMEM(to->ctx);
    for (int32_t k = 0; k < node->many.n && status == PERI_OK; k++) {
        const expr_id arg = r->from->args.at[node->many.list + k];
        expr_id part;
        status = find_part(r, arg, &part, &first);
        if (status == PERI_OK)
            status = add_part(r, &list, part, &begin);
        const int64_t n = expr_size(r->from, arg);
        for (int64_t i = 0; i < n && status == PERI_OK; i++)
            index[at++] = (int32_t)(begin + first + i);
    }
    if (status == PERI_OK)
        status = expr_stack(to, list.parts.n, list.parts.at, out);
    if (status == PERI_OK)
        status = expr_gather_list(to, *out, node->rows, node->cols, size, index, out);
    mem_array_free(to->m, index);
    vec_free(to->m, &list.parts);
    vec_free(to->m, &list.begin);
    hash_release(&list.seen);
    return status;
}

static peri_status roll_scatter(roller *r, const expr_node *node, expr_id *out)
{
    const int32_t n = node->many.n;
    expr_id *args = mem_array(r->to->m, (size_t)n, sizeof *args);
    peri_status status = args != NULL ? PERI_OK : FAIL_NOMEM(r->to->ctx);
    for (int32_t k = 0; k < n && status == PERI_OK; k++)
        status = roll_value(r, r->from->args.at[node->many.list + k], &args[k]);
    if (status == PERI_OK)
        status = expr_scatter_like(r->to, r->from, node, args, out);
    mem_array_free(r->to->m, args);
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
        data[k] = expr_sparse_at(s, order[k]);
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
    expr_id args[3] = {-1, -1, -1}, *out = &r->made[r->slot[e]].image;
    switch (node.op) {
    case PERI_OP_CONST:
        return expr_copy(r->from, e, NULL, r->to, out);
    case PERI_OP_INPUT:
        return expr_gather_affine(to, r->whole[node.class_], node.rows, node.cols, node.ref, 1, out);
    case PERI_OP_STACK:
        return roll_stack(r, &node, out);
    case PERI_OP_SCATTER:
        return roll_scatter(r, &node, out);
    default:
        break;
    }
    if (node.op == PERI_OP_STOP && roll_is_row(r, node.arg[0])) {
        roll_locate(r, node.arg[0], &args[0], &r->made[r->slot[e]].place);
        return expr_unary(to, PERI_OP_STOP, args[0], out);
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
    case PERI_OP_RULE:
        return expr_apply_rule(to, from->rules.at[node.ref], args[0], out);
    case PERI_OP_BMM:
    case PERI_OP_CONV:
        return expr_bilinear_like(to, from, e, args, out);
    case PERI_OP_MATMUL:
        TRY(roll_incidence(r, args[0], args[1], out));
        return *out >= 0 ? PERI_OK : expr_op(to, PERI_OP_MATMUL, n, args, out);
    default:
        return expr_op(to, (peri_op)node.op, n, args, out);
    }
}

/* ---- depth by depth ---------------------------------------------------------------------------------------------------------------- */

static peri_status roll_depth(roller *r, int64_t from, int64_t end)
{
    expr_id *scalars = mem_array(r->from->m, (size_t)(end - from), sizeof *scalars);
    if (scalars == NULL)
        return FAIL_NOMEM(r->from->ctx);
    int64_t kept = 0;
    for (int64_t k = from; k < end; k++)
        if (r->flags[r->made[k].e] & ROLL_SCALAR)
            scalars[kept++] = r->made[k].e;
    peri_status status = kept > 0 ? roll_group(r, kept, scalars) : PERI_OK;
    mem_array_free(r->from->m, scalars);
    if (status == PERI_OK)
        status = roll_rows(r, end - from, r->made + from);
    for (int64_t k = from; k < end && status == PERI_OK; k++)
        if (!(r->flags[r->made[k].e] & (ROLL_SCALAR | ROLL_MATERIAL)))
            status = roll_array(r, r->made[k].e);
    return status;
}

/* Numbers in `made`, by depth and then by node; start[d]: the first of depth d. */
static peri_status order_made(roller *r, int32_t top, int64_t **start)
{
    int64_t *at = arena_array(&r->data, (size_t)top + 3, sizeof *at);
    r->made = arena_array(&r->data, (size_t)r->n_made, sizeof *r->made);
    if (at == NULL || r->made == NULL)
        return FAIL_NOMEM(r->from->ctx);
    const expr_id n = (expr_id)r->from->nodes.n;
    for (expr_id e = 0; e < n; e++)
        if ((r->flags[e] & ROLL_REACH) && roll_is_made(r, e))
            at[r->slot[e] + 2]++;
    for (int32_t d = 0; d <= top; d++)
        at[d + 2] += at[d + 1];
    for (expr_id e = 0; e < n; e++)
        if ((r->flags[e] & ROLL_REACH) && roll_is_made(r, e)) {
            const int64_t k = at[r->slot[e] + 1]++;
            r->made[k].e = e;
            r->slot[e] = (int32_t)k;
        }
    *start = at;
    return PERI_OK;
}

static peri_status roll_all(roller *r)
{
    int64_t *start = NULL;
    int32_t top = weigh_all(r);
    TRY(roll_cut(r, &r->cut));
    if (r->cut) {
        r->n_made = 0;
        top = weigh_all(r);
    }
    TRY(order_made(r, top, &start));
    for (int32_t d = 0; d <= top; d++)
        TRY(roll_depth(r, start[d], start[d + 1]));
    return PERI_OK;
}

peri_status diff_roll(expr_graph *from, int64_t n, const expr_id *roots, expr_graph *to, expr_id *out)
{
    roller r;
    expr_forget_table(from);
    peri_status status = roller_init(&r, from, to);
    if (status == PERI_OK) {
        expr_reach(from, n, roots, r.flags); /* sets ROLL_REACH */
        status = roll_find_rows(&r, n, roots);
    }
    if (status == PERI_OK) {
        look_at_uses(&r);
        for (int64_t k = 0; k < n; k++)
            if (r.flags[roots[k]] & ROLL_SCALAR)
                r.flags[roots[k]] |= ROLL_MATERIAL;
        end_chains(&r);
        status = make_inputs(&r);
    }
    if (status == PERI_OK)
        status = roll_all(&r);
    for (int64_t k = 0; k < n && status == PERI_OK; k++)
        status = roll_value(&r, roots[k], &out[k]);
    arena_release(&r.data);
    return status;
}
