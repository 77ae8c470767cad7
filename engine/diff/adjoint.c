/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adjoint.c - reverse mode on the graph: adjoints are ordinary nodes, so derivatives nest. The nodes in `wrt` are leaves: nothing is propagated
 * through them. Contributions through gathers are collected and become one scatter a node.
 */
#include "diff/internal.h"
#include "expr/bilinear.h"
#include <string.h>

bool diff_is_zero(const expr_graph *g, expr_id e)
{
    double value;
    return expr_constant_value(g, e, &value) && !(value < 0) && !(value > 0) && value == value;
}

peri_status diff_unsupported(expr_graph *g, expr_id e, const char *what)
{
    const expr_node *node = expr_at(g, e);
    if (node->op == PERI_OP_CALL || node->op == PERI_OP_CALLGRAD)
        return FAIL(g->ctx, PERI_E_UNSUPPORTED, "function \"%s\" has no %s", g->calls.at[node->ref].name, what);
    if (node->op == PERI_OP_RULE)
        return FAIL(g->ctx, PERI_E_UNSUPPORTED, "%s has no %s", g->rules.at[node->ref]->name, what);
    return FAIL(g->ctx, PERI_E_UNSUPPORTED, "%s has no %s here", peri_op_name((peri_op)node->op), what);
}

/* ---- marking -------------------------------------------------------------------------------------------------------------- */

static bool overlaps(const expr_node *a, const expr_node *b)
{
    return a->op == PERI_OP_INPUT && b->op == PERI_OP_INPUT && a->class_ == b->class_ &&
           a->ref < b->ref + (int64_t)b->rows * b->cols && b->ref < a->ref + (int64_t)a->rows * a->cols;
}

void diff_sweep_mark(diff_sweep *s, int64_t n_wrt, const expr_id *wrt)
{
    const expr_graph *g = s->g;
    for (int64_t k = 0; k < n_wrt; k++)
        if (wrt[k] <= s->top)
            s->depends[wrt[k]] = s->leaf[wrt[k]] = 1;
    for (expr_id e = 0; e <= s->top; e++) {
        const expr_node *node = expr_at(g, e);
        for (int64_t k = 0; k < n_wrt && node->op == PERI_OP_INPUT && !s->leaf[e]; k++)
            if (overlaps(node, expr_at(g, wrt[k])))
                s->depends[e] = s->leaf[e] = 1;
        const expr_id *args;
        const int32_t n = s->leaf[e] || node->op == PERI_OP_STOP ? 0 : expr_args(g, e, &args);
        for (int32_t k = 0; k < n; k++)
            s->depends[e] |= s->depends[args[k]];
    }
}

peri_status diff_sweep_init(diff_sweep *s, expr_graph *g, int64_t n_roots, const expr_id *roots)
{
    memset(s, 0, sizeof *s);
    s->g = g;
    s->top = -1;
    arena_init(&s->data, g->m);
    for (int64_t k = 0; k < n_roots; k++)
        s->top = roots[k] > s->top ? roots[k] : s->top;
    const size_t n = (size_t)s->top + 1;
    s->depends = arena_array(&s->data, n, 1);
    s->leaf = arena_array(&s->data, n, 1);
    s->sum = arena_array(&s->data, n, sizeof *s->sum);
    s->first = arena_array(&s->data, n, sizeof *s->first);
    if (s->depends == NULL || s->leaf == NULL || s->sum == NULL || s->first == NULL)
        return FAIL_NOMEM(g->ctx);
    memset(s->sum, 0xff, n * sizeof *s->sum);
    memset(s->first, 0xff, n * sizeof *s->first);
    return PERI_OK;
}

void diff_sweep_release(diff_sweep *s)
{
    vec_free(s->g->m, &s->scatters);
    arena_release(&s->data);
}

/* ---- contributions ------------------------------------------------------------------------------------------------------------ */

peri_status diff_sweep_add(diff_sweep *s, expr_id to, expr_id value)
{
    expr_graph *g = s->g;
    if (!s->depends[to] || diff_is_zero(g, value))
        return PERI_OK;
    if (expr_size(g, to) == 1 && expr_size(g, value) > 1)
        TRY(expr_unary(g, PERI_OP_SUM, value, &value));
    if (s->sum[to] >= 0 && !s->leaf[to])
        return diff_plus(g, s->sum[to], value, &s->sum[to]);
    if (s->sum[to] >= 0)
        return expr_binary(g, PERI_OP_ADD, s->sum[to], value, &s->sum[to]);
    s->sum[to] = value;
    return PERI_OK;
}

static peri_status add_scatter(diff_sweep *s, expr_id to, expr_id value, int64_t n, int64_t list)
{
    if (!s->depends[to] || diff_is_zero(s->g, value))
        return PERI_OK;
    const diff_scatter item = {value, n, list, s->first[to]};
    if (!vec_push(s->g->m, &s->scatters, item))
        return FAIL_NOMEM(s->g->ctx);
    s->first[to] = s->scatters.n - 1;
    return PERI_OK;
}

/* Scatters of single entries are stacked into one argument. */
static peri_status join_singles(diff_sweep *s, int64_t first, int64_t n, expr_id *args, int64_t *lists, int64_t *kept)
{
    expr_graph *g = s->g;
    expr_id *single = arena_array(&s->data, (size_t)n, sizeof *single);
    int32_t *index = arena_array(&s->data, (size_t)n, sizeof *index);
    if (single == NULL || index == NULL)
        return FAIL_NOMEM(g->ctx);
    int64_t singles = 0;
    *kept = 0;
    for (int64_t k = first; k >= 0; k = s->scatters.at[k].next) {
        const diff_scatter *item = &s->scatters.at[k];
        if (item->n == 1) {
            single[singles] = item->source;
            index[singles++] = expr_list_at(&g->lists.at[item->list], 0);
        } else {
            args[*kept] = item->source;
            lists[(*kept)++] = item->list;
        }
    }
    if (singles == 0)
        return PERI_OK;
    TRY(expr_list_ref(g, singles, index, &lists[*kept]));
    return expr_stack(g, singles, single, &args[(*kept)++]);
}

static peri_status scattered(diff_sweep *s, expr_id e, expr_id *out)
{
    int64_t n = 0, kept = 0;
    for (int64_t k = s->first[e]; k >= 0; k = s->scatters.at[k].next)
        n++;
    expr_id *args = arena_array(&s->data, (size_t)n, sizeof *args);
    int64_t *lists = arena_array(&s->data, (size_t)n, sizeof *lists);
    if (args == NULL || lists == NULL)
        return FAIL_NOMEM(s->g->ctx);
    TRY(join_singles(s, s->first[e], n, args, lists, &kept));
    return expr_scatter_lists(s->g, expr_at(s->g, e)->rows, expr_at(s->g, e)->cols, kept, args, lists, out);
}

/* The whole adjoint of e, shaped as e; -1: none. */
peri_status diff_sweep_total(diff_sweep *s, expr_id e, expr_id *out)
{
    expr_graph *g = s->g;
    expr_id part;
    *out = s->sum[e];
    if (*out >= 0)
        TRY(expr_broadcast(g, *out, expr_at(g, e)->rows, expr_at(g, e)->cols, out));
    if (s->first[e] < 0)
        return PERI_OK;
    TRY(scattered(s, e, &part));
    if (*out < 0) {
        *out = part;
        return PERI_OK;
    }
    return expr_binary(g, PERI_OP_ADD, *out, part, out);
}

/* ---- rules for array operations ---------------------------------------------------------------------------------------------------- */

/* One place n times. */
static peri_status repeated(diff_sweep *s, int64_t n, int32_t place, int64_t *list)
{
    int32_t *index = arena_array(&s->data, (size_t)n, sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(s->g->ctx);
    for (int64_t k = 0; k < n; k++)
        index[k] = place;
    return expr_list_ref(s->g, n, index, list);
}

static peri_status back_gather(diff_sweep *s, const expr_node *node, expr_id adj)
{
    expr_graph *g = s->g;
    const expr_id from = node->arg[0];
    const int64_t n = (int64_t)node->rows * node->cols, size = expr_size(g, from);
    if (size == 1)
        return diff_sweep_add(s, from, adj);
    if ((node->flags & EXPR_AFFINE) && node->first == 0 && node->stride == 1 && n == size) {
        TRY(expr_reshape(g, adj, expr_at(g, from)->rows, expr_at(g, from)->cols, &adj));
        return diff_sweep_add(s, from, adj);
    }
    int64_t list = 0;
    if (!(node->flags & EXPR_AFFINE))
        list = node->index;
    else if (n > 1 && node->stride == 0)
        TRY(repeated(s, n, node->first, &list));
    else
        TRY(expr_list_steps(g, n, node->first, node->stride, &list));
    return add_scatter(s, from, adj, n, list);
}

static peri_status back_scatter(diff_sweep *s, const expr_node *node, expr_id adj)
{
    expr_graph *g = s->g;
    for (int32_t k = 0; k < node->many.n; k++) {
        const expr_id to = g->args.at[node->many.list + k];
        const expr_list list = g->lists.at[expr_scatter_ref(g, node, k)];
        const int64_t rows = expr_at(g, to)->rows, cols = expr_at(g, to)->cols;
        expr_id part;
        if (!s->depends[to])
            continue;
        TRY(list.stride != 0 ? expr_gather_affine(g, adj, rows, cols, list.first, list.stride, &part)
                             : expr_gather_list(g, adj, rows, cols, list.n, list.at, &part));
        TRY(diff_sweep_add(s, to, part));
    }
    return PERI_OK;
}

static peri_status back_stack(diff_sweep *s, const expr_node *node, expr_id adj)
{
    expr_graph *g = s->g;
    int64_t at = 0;
    for (int32_t k = 0; k < node->many.n; k++) {
        const expr_id to = g->args.at[node->many.list + k];
        expr_id part;
        if (s->depends[to]) {
            TRY(expr_gather_affine(g, adj, expr_at(g, to)->rows, expr_at(g, to)->cols, at, 1, &part));
            TRY(diff_sweep_add(s, to, part));
        }
        at += expr_size(g, to);
    }
    return PERI_OK;
}

peri_status diff_transpose(expr_graph *g, expr_id a, expr_id *out)
{
    return expr_unary(g, PERI_OP_TRANSPOSE, a, out);
}

static peri_status back_matmul(diff_sweep *s, const expr_node *node, expr_id adj)
{
    expr_graph *g = s->g;
    expr_id t;
    if (s->depends[node->arg[0]]) {
        TRY(diff_transpose(g, node->arg[1], &t));
        TRY(expr_binary(g, PERI_OP_MATMUL, adj, t, &t));
        TRY(diff_sweep_add(s, node->arg[0], t));
    }
    if (!s->depends[node->arg[1]])
        return PERI_OK;
    TRY(diff_transpose(g, node->arg[0], &t));
    TRY(expr_binary(g, PERI_OP_MATMUL, t, adj, &t));
    return diff_sweep_add(s, node->arg[1], t);
}

static peri_status back_bilinear(diff_sweep *s, expr_id e, const expr_node *node, expr_id adj)
{
    for (int k = 0; k < 2; k++) {
        expr_id part;
        if (!s->depends[node->arg[k]])
            continue;
        TRY(expr_bilinear_adjoint(s->g, e, k, adj, &part));
        TRY(diff_sweep_add(s, node->arg[k], part));
    }
    return PERI_OK;
}

/* X = A^-1 B: of B it is T = A'^-1 G, of A it is -T X'. */
static peri_status back_solve(diff_sweep *s, expr_id e, const expr_node *node, expr_id adj)
{
    expr_graph *g = s->g;
    expr_id t, part;
    TRY(diff_transpose(g, node->arg[0], &t));
    TRY(expr_binary(g, PERI_OP_SOLVE, t, adj, &t));
    TRY(diff_sweep_add(s, node->arg[1], t));
    if (!s->depends[node->arg[0]])
        return PERI_OK;
    TRY(diff_transpose(g, e, &part));
    TRY(expr_binary(g, PERI_OP_MATMUL, t, part, &part));
    TRY(expr_unary(g, PERI_OP_NEG, part, &part));
    return diff_sweep_add(s, node->arg[0], part);
}

static peri_status flipped_rows(expr_graph *g, expr_id a, expr_id *out)
{
    const int64_t rows = expr_at(g, a)->rows, cols = expr_at(g, a)->cols;
    if (cols == 1)
        return expr_gather_affine(g, a, rows, 1, rows - 1, -1, out);
    int32_t *index = mem_array(g->m, (size_t)(rows * cols), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < rows * cols; k++)
        index[k] = (int32_t)((rows - 1 - k / cols) * cols + k % cols);
    const peri_status status = expr_gather_list(g, a, rows, cols, rows * cols, index, out);
    mem_array_free(g->m, index);
    return status;
}

static peri_status back_cumsum(diff_sweep *s, const expr_node *node, expr_id adj)
{
    TRY(flipped_rows(s->g, adj, &adj));
    TRY(expr_unary(s->g, PERI_OP_CUMSUM, adj, &adj));
    TRY(flipped_rows(s->g, adj, &adj));
    return diff_sweep_add(s, node->arg[0], adj);
}

static peri_status back_inverse(diff_sweep *s, expr_id e, const expr_node *node, expr_id adj)
{
    expr_id t;
    TRY(diff_transpose(s->g, e, &t));
    TRY(expr_binary(s->g, PERI_OP_MATMUL, adj, t, &adj));
    TRY(expr_binary(s->g, PERI_OP_MATMUL, t, adj, &adj));
    TRY(expr_unary(s->g, PERI_OP_NEG, adj, &adj));
    return diff_sweep_add(s, node->arg[0], adj);
}

/* [a b] side by side */
static peri_status beside(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    expr_id both[2];
    TRY(diff_transpose(g, a, &both[0]));
    TRY(diff_transpose(g, b, &both[1]));
    TRY(expr_stack(g, 2, both, out));
    return diff_transpose(g, *out, out);
}

/* Directional derivative of the exponential at a in direction d: the upper right block of exp [a d; 0 a] (Van Loan 1978). */
peri_status diff_expm_direction(expr_graph *g, expr_id a, expr_id d, expr_id *out)
{
    const int64_t n = expr_at(g, a)->rows;
    expr_id rows[2], zero;
    TRY(expr_full(g, n, n, 0, &zero));
    TRY(beside(g, a, d, &rows[0]));
    TRY(beside(g, zero, a, &rows[1]));
    TRY(expr_stack(g, 2, rows, out));
    TRY(expr_unary(g, PERI_OP_EXPM, *out, out));
    int32_t *index = mem_array(g->m, (size_t)(n * n), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n * n; k++)
        index[k] = (int32_t)(k / n * 2 * n + n + k % n);
    const peri_status status = expr_gather_list(g, *out, n, n, n * n, index, out);
    mem_array_free(g->m, index);
    return status;
}

/* The number t with adj = t I, as the adjoint of a trace is. */
static bool is_scaled_identity(const expr_graph *g, expr_id adj, int64_t n, expr_id *t)
{
    const expr_node node = *expr_at(g, adj);
    if (node.op != PERI_OP_SCATTER || node.many.n != 1)
        return false;
    const expr_id part = g->args.at[node.many.list];
    const expr_list list = g->lists.at[g->args.at[node.many.list + 1]];
    const expr_node spread = *expr_at(g, part);
    bool diagonal = list.n == n;
    for (int64_t k = 0; k < list.n && diagonal; k++)
        diagonal = expr_list_at(&list, k) == k * (n + 1);
    *t = spread.op == PERI_OP_GATHER ? spread.arg[0] : PERI_NO_EXPR;
    return diagonal && *t != PERI_NO_EXPR && expr_size(g, *t) == 1;
}

/* tr(exp A) has the gradient exp(A)'; anything else takes the exponential of a matrix of twice the size. */
static peri_status back_expm(diff_sweep *s, expr_id e, const expr_node *node, expr_id adj)
{
    expr_id t;
    if (is_scaled_identity(s->g, adj, expr_at(s->g, e)->rows, &t)) {
        expr_id power;
        TRY(diff_transpose(s->g, e, &power));
        TRY(expr_binary(s->g, PERI_OP_MUL, t, power, &adj));
        return diff_sweep_add(s, node->arg[0], adj);
    }
    TRY(diff_transpose(s->g, node->arg[0], &t));
    TRY(diff_expm_direction(s->g, t, adj, &adj));
    return diff_sweep_add(s, node->arg[0], adj);
}

/* 1 where an entry is the largest of its row, shared evenly: a subgradient; shaped as the argument of the ROWMAX node e */
peri_status diff_row_weights(expr_graph *g, expr_id e, expr_id *out)
{
    expr_id t, one;
    TRY(expr_binary(g, PERI_OP_SUB, e, expr_at(g, e)->arg[0], &t));
    TRY(expr_unary(g, PERI_OP_STEP, t, &t));
    TRY(expr_number(g, 1, &one));
    TRY(expr_binary(g, PERI_OP_SUB, one, t, &t));
    TRY(expr_along(g, PERI_OP_SUM, t, 2, &one));
    return expr_binary(g, PERI_OP_DIV, t, one, out);
}

static peri_status back_row_max(diff_sweep *s, expr_id e, expr_id adj)
{
    const expr_id arg = expr_at(s->g, e)->arg[0];
    expr_id weights;
    TRY(diff_row_weights(s->g, e, &weights));
    TRY(expr_binary(s->g, PERI_OP_MUL, weights, adj, &adj));
    return diff_sweep_add(s, arg, adj);
}

/* 1 where x attains the extreme value e, shared evenly: a subgradient */
static peri_status extreme_weights(expr_graph *g, const expr_node *node, expr_id e, expr_id *out)
{
    expr_id t, one;
    TRY(expr_binary(g, PERI_OP_SUB, node->op == PERI_OP_MAX ? e : node->arg[0], node->op == PERI_OP_MAX ? node->arg[0] : e, &t));
    TRY(expr_unary(g, PERI_OP_STEP, t, &t));
    TRY(expr_number(g, 1, &one));
    TRY(expr_binary(g, PERI_OP_SUB, one, t, &t));
    TRY(expr_unary(g, PERI_OP_SUM, t, &one));
    return expr_binary(g, PERI_OP_DIV, t, one, out);
}

static peri_status call_gradient(expr_graph *g, expr_id e, const expr_node *node, expr_id *out)
{
    if (g->calls.at[node->ref].gradient == NULL)
        return diff_unsupported(g, e, "gradient");
    return expr_callgrad(g, e, out);
}

peri_status diff_scalar_gradient(expr_graph *g, expr_id e, expr_id seed, expr_id *out)
{
    const expr_node node = *expr_at(g, e);
    switch (node.op) {
    case PERI_OP_MAX:
    case PERI_OP_MIN:
        TRY(extreme_weights(g, &node, e, out));
        break;
    case PERI_OP_LOGDET:
        TRY(expr_unary(g, PERI_OP_INV, node.arg[0], out));
        TRY(diff_transpose(g, *out, out));
        break;
    case PERI_OP_CALL:
        TRY(call_gradient(g, e, &node, out));
        break;
    default:
        return diff_unsupported(g, e, "gradient");
    }
    return expr_binary(g, PERI_OP_MUL, seed, *out, out);
}

static peri_status back_elementwise(diff_sweep *s, expr_id e, expr_id adj)
{
    const expr_node node = *expr_at(s->g, e);
    for (int k = 0; k < 3; k++) {
        expr_id part;
        if (node.arg[k] < 0 || !s->depends[node.arg[k]])
            continue;
        TRY(diff_partial(s->g, e, k, adj, &part));
        const int64_t entries = expr_size(s->g, e);
        if (entries > 1 && expr_size(s->g, node.arg[k]) == 1 && expr_size(s->g, part) == 1) { /* the same from each entry */
            expr_id count;
            TRY(expr_number(s->g, (double)entries, &count));
            TRY(diff_times(s->g, part, count, &part));
        }
        TRY(diff_sweep_add(s, node.arg[k], part));
    }
    return PERI_OK;
}

peri_status diff_sweep_back(diff_sweep *s, expr_id e, expr_id adj)
{
    const expr_node node = *expr_at(s->g, e);
    if (expr_is_elementwise(node.op))
        return back_elementwise(s, e, adj);
    switch (node.op) {
    case PERI_OP_SUM: /* `add` spreads when the shape is needed */
    case PERI_OP_MARK:
        return diff_sweep_add(s, node.arg[0], adj);
    case PERI_OP_GATHER:
        return back_gather(s, &node, adj);
    case PERI_OP_SCATTER:
        return back_scatter(s, &node, adj);
    case PERI_OP_STACK:
        return back_stack(s, &node, adj);
    case PERI_OP_MATMUL:
        return back_matmul(s, &node, adj);
    case PERI_OP_CUMSUM:
        return back_cumsum(s, &node, adj);
    case PERI_OP_ROWMAX:
        return back_row_max(s, e, adj);
    case PERI_OP_BMM:
    case PERI_OP_CONV:
        return back_bilinear(s, e, &node, adj);
    case PERI_OP_SOLVE:
        return back_solve(s, e, &node, adj);
    case PERI_OP_INV:
        return back_inverse(s, e, &node, adj);
    case PERI_OP_EXPM:
        return back_expm(s, e, &node, adj);
    case PERI_OP_RULE: {
        expr_rule *rule = s->g->rules.at[node.ref];
        TRY(rule->adjoint(rule, s->g, e, adj, &adj));
        return diff_sweep_add(s, node.arg[0], adj);
    }
    case PERI_OP_MAX:
    case PERI_OP_MIN:
    case PERI_OP_LOGDET:
    case PERI_OP_CALL:
        TRY(diff_scalar_gradient(s->g, e, adj, &adj));
        return diff_sweep_add(s, node.arg[0], adj);
    default:
        return diff_unsupported(s->g, e, "second derivative");
    }
}

/* ---- the sweep ------------------------------------------------------------------------------------------------------------------------ */

static peri_status run_sweep(diff_sweep *s, int64_t n_roots, const expr_id *roots, const expr_id *seeds, int64_t n_wrt,
                             const expr_id *wrt)
{
    diff_sweep_mark(s, n_wrt, wrt);
    for (int64_t k = 0; k < n_roots; k++)
        TRY(diff_sweep_add(s, roots[k], seeds[k]));
    for (expr_id e = s->top; e >= 0; e--) {
        expr_id adj;
        if (!s->depends[e] || s->leaf[e] || (s->sum[e] < 0 && s->first[e] < 0))
            continue;
        TRY(diff_sweep_total(s, e, &adj));
        TRY(diff_sweep_back(s, e, adj));
    }
    return PERI_OK;
}

/* The adjoint of wrt: its own, and the parts of inputs that overlap it. */
static peri_status collect(diff_sweep *s, expr_id wrt, expr_id *out)
{
    expr_graph *g = s->g;
    const expr_node want = *expr_at(g, wrt);
    *out = -1;
    if (wrt <= s->top)
        TRY(diff_sweep_total(s, wrt, out));
    for (expr_id e = 0; e <= s->top && want.op == PERI_OP_INPUT; e++) {
        const expr_node node = *expr_at(g, e);
        expr_id part;
        if (e == wrt || !s->leaf[e] || (s->sum[e] < 0 && s->first[e] < 0) || !overlaps(&node, &want))
            continue;
        TRY(diff_sweep_total(s, e, &part));
        const int64_t n = expr_size(g, e), size = expr_size(g, wrt);
        const int64_t lo = node.ref > want.ref ? node.ref : want.ref;
        const int64_t hi = node.ref + n < want.ref + size ? node.ref + n : want.ref + size;
        int64_t list;
        TRY(expr_list_steps(g, hi - lo, lo - want.ref, 1, &list));
        TRY(expr_gather_affine(g, part, hi - lo, 1, lo - node.ref, 1, &part));
        TRY(expr_scatter_lists(g, want.rows, want.cols, 1, &part, &list, &part));
        if (*out < 0)
            *out = part;
        else
            TRY(expr_binary(g, PERI_OP_ADD, *out, part, out));
    }
    return PERI_OK;
}

peri_status diff_adjoint(expr_graph *g, int64_t n_roots, const expr_id *roots, const expr_id *seeds, int64_t n_wrt,
                         const expr_id *wrt, expr_id *out)
{
    diff_sweep s;
    peri_status status = diff_sweep_init(&s, g, n_roots, roots);
    if (status == PERI_OK)
        status = run_sweep(&s, n_roots, roots, seeds, n_wrt, wrt);
    for (int64_t k = 0; k < n_wrt && status == PERI_OK; k++) {
        status = collect(&s, wrt[k], &out[k]);
        if (status == PERI_OK && out[k] < 0)
            status = expr_full(g, expr_at(g, wrt[k])->rows, expr_at(g, wrt[k])->cols, 0, &out[k]);
    }
    diff_sweep_release(&s);
    return status;
}
