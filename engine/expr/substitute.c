/* SPDX-License-Identifier: Apache-2.0 */
/* substitute.c - the same expression with other arguments: one node made anew, and whole graphs with some nodes replaced. */
#include "expr/node.h"
#include <string.h>

static peri_status rebuild_scatter(expr_graph *g, const expr_node *node, const expr_id *args, expr_id *out)
{
    const int32_t n = node->many.n;
    const int32_t **lists = mem_array(g->m, (size_t)n, sizeof *lists);
    if (lists == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int32_t k = 0; k < n; k++)
        lists[k] = g->lists.at[g->args.at[node->many.list + n + k]].at;
    const peri_status status = expr_scatter_sum(g, node->rows, node->cols, n, args, lists, out);
    mem_array_free(g->m, lists);
    return status;
}

static peri_status rebuild_gather(expr_graph *g, const expr_node *node, expr_id from, expr_id *out)
{
    if (node->flags & EXPR_AFFINE)
        return expr_gather_affine(g, from, node->rows, node->cols, node->first, node->stride, out);
    const expr_list list = g->lists.at[node->index];
    return expr_gather_list(g, from, node->rows, node->cols, list.n, list.at, out);
}

peri_status expr_remake(expr_graph *g, expr_id e, const expr_id *args, expr_id *out)
{
    expr_node node = *expr_at(g, e);
    switch (node.op) {
    case PERI_OP_CONST:
    case PERI_OP_INPUT:
        *out = e;
        return PERI_OK;
    case PERI_OP_GATHER:
        return rebuild_gather(g, &node, args[0], out);
    case PERI_OP_SCATTER:
        return rebuild_scatter(g, &node, args, out);
    case PERI_OP_STACK:
        return expr_stack(g, node.many.n, args, out);
    case PERI_OP_MARK:
    case PERI_OP_CALL:
    case PERI_OP_CALLGRAD:
        TRY(expr_densify(g, args[0], &node.arg[0]));
        return expr_intern(g, &node, out);
    default: {
        const expr_id *list;
        return expr_op(g, (peri_op)node.op, expr_args(g, e, &list), args, out);
    }
    }
}

/* Replaces the arguments of e by their images; the node itself where none changed. */
peri_status expr_image(expr_graph *g, expr_id e, const expr_id *image, expr_id *out)
{
    const expr_id *list;
    expr_id few[3], *args = few;
    const int32_t n = expr_args(g, e, &list);
    bool same = true;
    for (int32_t k = 0; k < n; k++)
        same = same && image[list[k]] == list[k];
    *out = e;
    if (same)
        return PERI_OK;
    if (n > 3 && (args = mem_array(g->m, (size_t)n, sizeof *args)) == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int32_t k = 0; k < n; k++)
        args[k] = image[list[k]];
    const peri_status status = expr_remake(g, e, args, out);
    if (args != few)
        mem_array_free(g->m, args);
    return status;
}

static peri_status check_pair(expr_graph *g, expr_id from, expr_id to)
{
    const expr_node *a = expr_at(g, from), *b = expr_at(g, to);
    if (a->rows != b->rows || a->cols != b->cols)
        return FAIL(g->ctx, PERI_E_SHAPE, "substitute: %d x %d cannot take the place of %d x %d", (int)b->rows, (int)b->cols,
                    (int)a->rows, (int)a->cols);
    return PERI_OK;
}

/* A part of a replaced input (x[3] when x is replaced): a gather of an INPUT that lies within it is found by its source. */
peri_status expr_substitute(expr_graph *g, int64_t n_roots, const expr_id *roots, int64_t n, const expr_id *from,
                            const expr_id *to, expr_id *out)
{
    expr_id top = -1;
    for (int64_t k = 0; k < n_roots; k++)
        top = roots[k] > top ? roots[k] : top;
    for (int64_t k = 0; k < n; k++)
        TRY(check_pair(g, from[k], to[k]));
    unsigned char *reach = mem_array(g->m, (size_t)top + 1, 1);
    expr_id *image = mem_array(g->m, (size_t)top + 1, sizeof *image);
    peri_status status = reach != NULL && image != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    if (status == PERI_OK)
        expr_reach(g, n_roots, roots, reach);
    for (expr_id e = 0; e <= top && status == PERI_OK; e++) {
        image[e] = e;
        if (!reach[e])
            continue;
        int64_t k = 0;
        while (k < n && from[k] != e)
            k++;
        if (k < n)
            image[e] = to[k];
        else
            status = expr_image(g, e, image, &image[e]);
    }
    for (int64_t k = 0; k < n_roots && status == PERI_OK; k++)
        out[k] = image[roots[k]];
    mem_array_free(g->m, reach);
    mem_array_free(g->m, image);
    return status;
}
