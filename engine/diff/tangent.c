/* SPDX-License-Identifier: Apache-2.0 */
/* tangent.c - forward mode on the graph: the directional derivative of some nodes, as nodes. */
#include "diff/internal.h"
#include "expr/bilinear.h"
#include <string.h>

typedef struct {
    expr_graph *g;
    expr_id *tangent; /* [top + 1]; -1: zero */
} forward;

peri_status diff_add(expr_graph *g, expr_id a, expr_id b, expr_id *out)
{
    if (a < 0 || b < 0) {
        *out = a < 0 ? b : a;
        return PERI_OK;
    }
    return expr_binary(g, PERI_OP_ADD, a, b, out);
}

static peri_status elementwise(forward *f, expr_id e, const expr_node *node, expr_id *out)
{
    *out = -1;
    for (int k = 0; k < 3; k++) {
        expr_id part;
        if (node->arg[k] < 0 || f->tangent[node->arg[k]] < 0)
            continue;
        TRY(diff_partial(f->g, e, k, f->tangent[node->arg[k]], &part));
        TRY(diff_add(f->g, *out, part, out));
    }
    return *out < 0 ? PERI_OK : expr_broadcast(f->g, *out, node->rows, node->cols, out);
}

/* SCATTER and STACK: linear in their argument lists, zeros where an argument has no tangent */
static peri_status listed(forward *f, expr_id e, expr_id *out)
{
    expr_graph *g = f->g;
    const expr_id *list;
    const int32_t n = expr_args(g, e, &list);
    expr_id *args = mem_array(g->m, (size_t)n, sizeof *args);
    if (args == NULL)
        return FAIL_NOMEM(g->ctx);
    memcpy(args, list, (size_t)n * sizeof *args);
    bool any = false;
    peri_status status = PERI_OK;
    for (int32_t k = 0; k < n && status == PERI_OK; k++) {
        const expr_id a = args[k];
        any = any || f->tangent[a] >= 0;
        args[k] = f->tangent[a];
        if (args[k] < 0)
            status = expr_full(g, expr_at(g, a)->rows, expr_at(g, a)->cols, 0, &args[k]);
    }
    *out = -1;
    if (status == PERI_OK && any)
        status = expr_remake(g, e, args, out);
    mem_array_free(g->m, args);
    return status;
}

/* MATMUL, BMM, CONV: linear in each of the two arguments */
static peri_status product(forward *f, expr_id e, const expr_node *node, expr_id *out)
{
    expr_id part[2] = {-1, -1};
    for (int k = 0; k < 2; k++) {
        expr_id args[2] = {node->arg[0], node->arg[1]};
        args[k] = f->tangent[args[k]];
        if (args[k] >= 0)
            TRY(expr_remake(f->g, e, args, &part[k]));
    }
    return diff_add(f->g, part[0], part[1], out);
}

/* X = A^-1 B:  dX = A^-1 (dB - dA X) */
static peri_status solved(forward *f, expr_id e, const expr_node *node, expr_id *out)
{
    expr_graph *g = f->g;
    const expr_id da = f->tangent[node->arg[0]];
    *out = f->tangent[node->arg[1]];
    if (da >= 0) {
        expr_id part;
        TRY(expr_binary(g, PERI_OP_MATMUL, da, e, &part));
        TRY(expr_unary(g, PERI_OP_NEG, part, &part));
        TRY(diff_add(g, *out, part, out));
    }
    return *out < 0 ? PERI_OK : expr_binary(g, PERI_OP_SOLVE, node->arg[0], *out, out);
}

static peri_status inverse(forward *f, expr_id e, expr_id t, expr_id *out)
{
    TRY(expr_binary(f->g, PERI_OP_MATMUL, e, t, out));
    TRY(expr_binary(f->g, PERI_OP_MATMUL, *out, e, out));
    return expr_unary(f->g, PERI_OP_NEG, *out, out);
}

static peri_status tangent_of(forward *f, expr_id e, expr_id *out)
{
    expr_graph *g = f->g;
    const expr_node node = *expr_at(g, e);
    *out = -1;
    if (expr_is_elementwise(node.op))
        return elementwise(f, e, &node, out);
    if (node.op == PERI_OP_SCATTER || node.op == PERI_OP_STACK)
        return listed(f, e, out);
    if (node.op == PERI_OP_MATMUL || expr_is_bilinear(node.op))
        return product(f, e, &node, out);
    if (node.op == PERI_OP_SOLVE)
        return solved(f, e, &node, out);
    if (node.arg[0] < 0 || node.op == PERI_OP_STOP || f->tangent[node.arg[0]] < 0)
        return PERI_OK;
    expr_id t = f->tangent[node.arg[0]];
    switch (node.op) {
    case PERI_OP_SUM:
    case PERI_OP_CUMSUM:
    case PERI_OP_GATHER:
        return expr_remake(g, e, &t, out);
    case PERI_OP_MARK:
        *out = t;
        return PERI_OK;
    case PERI_OP_ROWMAX:
        TRY(diff_row_weights(g, e, out));
        TRY(expr_binary(g, PERI_OP_MUL, *out, t, out));
        return expr_along(g, PERI_OP_SUM, *out, 2, out);
    case PERI_OP_RULE:
        return g->rules.at[node.ref]->tangent(g->rules.at[node.ref], g, e, t, out);
    case PERI_OP_INV:
        return inverse(f, e, t, out);
    case PERI_OP_EXPM:
        return diff_expm_direction(g, node.arg[0], t, out);
    default:
        TRY(diff_scalar_gradient(g, e, t, out)); /* the tangent stands in the seed's place, entry by entry */
        return expr_unary(g, PERI_OP_SUM, *out, out);
    }
}

/* Tangent of an input that is part of, or overlaps, one of the directions' inputs; a scatter of pieces. */
static peri_status input_tangent(forward *f, expr_id e, int64_t n_wrt, const expr_id *wrt, const expr_id *direction, expr_id *out)
{
    expr_graph *g = f->g;
    const expr_node node = *expr_at(g, e);
    *out = -1;
    for (int64_t k = 0; k < n_wrt; k++) {
        const expr_node to = *expr_at(g, wrt[k]);
        if (to.op != PERI_OP_INPUT || to.class_ != node.class_)
            continue;
        const int64_t lo = node.ref > to.ref ? node.ref : to.ref, n = expr_size(g, e);
        const int64_t end = to.ref + expr_size(g, wrt[k]), hi = node.ref + n < end ? node.ref + n : end;
        expr_id part;
        if (lo >= hi)
            continue;
        TRY(expr_gather_affine(g, direction[k], hi - lo, 1, lo - to.ref, 1, &part));
        if (hi - lo == n) {
            TRY(expr_reshape(g, part, node.rows, node.cols, out));
            continue;
        }
        int64_t list;
        TRY(expr_list_steps(g, hi - lo, lo - node.ref, 1, &list));
        TRY(expr_scatter_lists(g, node.rows, node.cols, 1, &part, &list, &part));
        TRY(diff_add(g, *out, part, out));
    }
    return PERI_OK;
}

static peri_status run_forward(forward *f, expr_id top, const unsigned char *reach, int64_t n_wrt, const expr_id *wrt,
                               const expr_id *direction)
{
    for (expr_id e = 0; e <= top; e++) {
        f->tangent[e] = -1;
        if (!reach[e])
            continue;
        int64_t k = 0;
        while (k < n_wrt && wrt[k] != e)
            k++;
        if (k < n_wrt)
            f->tangent[e] = direction[k];
        else if (expr_at(f->g, e)->op == PERI_OP_INPUT)
            TRY(input_tangent(f, e, n_wrt, wrt, direction, &f->tangent[e]));
        else
            TRY(tangent_of(f, e, &f->tangent[e]));
        if (f->tangent[e] >= 0 && diff_is_zero(f->g, f->tangent[e]))
            f->tangent[e] = -1;
    }
    return PERI_OK;
}

peri_status diff_tangent(expr_graph *g, int64_t n_roots, const expr_id *roots, int64_t n_wrt, const expr_id *wrt,
                         const expr_id *direction, expr_id *out)
{
    expr_id top = -1;
    for (int64_t k = 0; k < n_roots; k++)
        top = roots[k] > top ? roots[k] : top;
    forward f = {g, mem_array(g->m, (size_t)top + 1, sizeof *f.tangent)};
    unsigned char *reach = mem_array(g->m, (size_t)top + 1, 1);
    peri_status status = f.tangent != NULL && reach != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    if (status == PERI_OK) {
        expr_reach(g, n_roots, roots, reach);
        status = run_forward(&f, top, reach, n_wrt, wrt, direction);
    }
    for (int64_t k = 0; k < n_roots && status == PERI_OK; k++) {
        out[k] = f.tangent[roots[k]];
        if (out[k] < 0)
            status = expr_full(g, expr_at(g, roots[k])->rows, expr_at(g, roots[k])->cols, 0, &out[k]);
    }
    mem_array_free(g->m, f.tangent);
    mem_array_free(g->m, reach);
    return status;
}
