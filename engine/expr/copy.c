/* SPDX-License-Identifier: Apache-2.0 */
/* copy.c - a node of one graph made again in another, on arguments that are there already. */
#include "expr/bilinear.h"
#include "expr/node.h"

static peri_status copy_const(const expr_graph *from, const expr_node *node, expr_graph *to, expr_id *out)
{
    if (node->rows == 1 && node->cols == 1)
        return expr_number(to, node->value, out);
    const expr_const *c = &from->consts.at[node->ref];
    if (c->col == NULL)
        return expr_dense(to, c->rows, c->cols, c->data, out);
    return expr_sparse_rows(to, c->rows, c->cols, c->row_start, c->col, c->data, c->same, out);
}

peri_status expr_gather_like(expr_graph *g, const expr_graph *from, const expr_node *node, expr_id arg, expr_id *out)
{
    if (node->flags & EXPR_AFFINE)
        return expr_gather_affine(g, arg, node->rows, node->cols, node->first, node->stride, out);
    const expr_list list = from->lists.at[node->index];
    return expr_gather_list(g, arg, node->rows, node->cols, list.n, list.at, out);
}

peri_status expr_scatter_like(expr_graph *g, const expr_graph *from, const expr_node *node, const expr_id *args, expr_id *out)
{
    const int32_t n = node->many.n;
    int64_t *ref = mem_array(g->m, (size_t)n, sizeof *ref);
    peri_status status = ref != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int32_t k = 0; k < n && status == PERI_OK; k++) {
        const expr_list list = from->lists.at[expr_scatter_ref(from, node, k)];
        status = list.stride != 0 ? expr_list_steps(g, list.n, list.first, list.stride, &ref[k]) : expr_list_ref(g, list.n, list.at, &ref[k]);
    }
    if (status == PERI_OK)
        status = expr_scatter_lists(g, node->rows, node->cols, n, args, ref, out);
    mem_array_free(g->m, ref);
    return status;
}

static peri_status copy_call(const expr_graph *from, const expr_node *node, expr_id arg, expr_graph *to, expr_id *out)
{
    TRY(expr_call(to, &from->calls.at[node->ref], arg, out));
    return node->op == PERI_OP_CALLGRAD ? expr_callgrad(to, *out, out) : PERI_OK;
}

peri_status expr_copy(const expr_graph *from, expr_id e, const expr_id *args, expr_graph *to, expr_id *out)
{
    const expr_node *node = expr_at(from, e);
    const expr_id *list;
    switch (node->op) {
    case PERI_OP_CONST:
        return copy_const(from, node, to, out);
    case PERI_OP_INPUT:
        return expr_input(to, node->class_, node->ref, node->rows, node->cols, out);
    case PERI_OP_GATHER:
        return expr_gather_like(to, from, node, args[0], out);
    case PERI_OP_SCATTER:
        return expr_scatter_like(to, from, node, args, out);
    case PERI_OP_STACK:
        return expr_stack(to, node->many.n, args, out);
    case PERI_OP_MARK:
        return expr_mark(to, args[0], from->names.at[node->ref], out);
    case PERI_OP_CALL:
    case PERI_OP_CALLGRAD:
        return copy_call(from, node, args[0], to, out);
    case PERI_OP_RULE:
        return expr_apply_rule(to, from->rules.at[node->ref], args[0], out);
    case PERI_OP_BMM:
    case PERI_OP_CONV:
        return expr_bilinear_like(to, from, e, args, out);
    default:
        return expr_op(to, (peri_op)node->op, expr_args(from, e, &list), args, out);
    }
}
