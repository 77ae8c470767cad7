/* SPDX-License-Identifier: Apache-2.0 */
/* substitute.c - the same expression with other arguments: one node made anew, and whole graphs with some nodes replaced. */
#include "expr/bilinear.h"
#include "expr/node.h"

peri_status expr_remake(expr_graph *g, expr_id e, const expr_id *args, expr_id *out)
{
    expr_node node = *expr_at(g, e);
    switch (node.op) {
    case PERI_OP_CONST:
    case PERI_OP_INPUT:
        *out = e;
        return PERI_OK;
    case PERI_OP_GATHER:
        return expr_gather_like(g, g, &node, args[0], out);
    case PERI_OP_SCATTER:
        return expr_scatter_like(g, g, &node, args, out);
    case PERI_OP_STACK:
        return expr_stack(g, node.many.n, args, out);
    case PERI_OP_MARK:
    case PERI_OP_CALL:
    case PERI_OP_CALLGRAD:
    case PERI_OP_RULE:
        TRY(expr_densify(g, args[0], &node.arg[0]));
        return expr_intern(g, &node, out);
    case PERI_OP_BMM:
    case PERI_OP_CONV:
        return expr_bilinear_like(g, g, e, args, out);
    default: {
        const expr_id *list;
        return expr_op(g, (peri_op)node.op, expr_args(g, e, &list), args, out);
    }
    }
}

typedef struct {
    expr_part part;
    expr_id *image; /* [part.nodes.n] */
} image_map;

static expr_id image_of(const image_map *map, expr_id e)
{
    const int64_t at = expr_part_at(&map->part, e);
    return at < 0 ? e : map->image[at];
}

/* The node with its arguments' images; itself where none changed. */
static peri_status rebuilt(expr_graph *g, const image_map *map, expr_id e, expr_id *out)
{
    const expr_id *list;
    expr_id few[3], *args = few;
    const int32_t n = expr_args(g, e, &list);
    if (n > 3 && (args = mem_array(g->m, (size_t)n, sizeof *args)) == NULL)
        return FAIL_NOMEM(g->ctx);
    bool same = true;
    for (int32_t k = 0; k < n; k++) {
        args[k] = image_of(map, list[k]);
        same = same && args[k] == list[k];
    }
    *out = e;
    const peri_status status = same ? PERI_OK : expr_remake(g, e, args, out);
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

/* Nodes before the first replaced one cannot contain any. */
static bool can_contain(const expr_graph *g, expr_id e, const void *ud)
{
    (void)g;
    return e > *(const expr_id *)ud;
}

static peri_status make_images(image_map *map, expr_graph *g, int64_t n, const expr_id *from, const expr_id *to)
{
    const int64_t size = map->part.nodes.n;
    map->image = mem_array(g->m, (size_t)size, sizeof *map->image);
    if (map->image == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < size; k++)
        map->image[k] = PERI_NO_EXPR;
    for (int64_t k = n; k-- > 0;) { /* the first of equal ones counts */
        const int64_t at = expr_part_at(&map->part, from[k]);
        if (at >= 0)
            map->image[at] = to[k];
    }
    for (int64_t k = 0; k < size; k++)
        if (map->image[k] == PERI_NO_EXPR)
            TRY(rebuilt(g, map, map->part.nodes.at[k], &map->image[k]));
    return PERI_OK;
}

peri_status expr_substitute(expr_graph *g, int64_t n_roots, const expr_id *roots, int64_t n, const expr_id *from,
                            const expr_id *to, expr_id *out)
{
    image_map map = {.image = NULL};
    expr_id lowest = INT32_MAX;
    for (int64_t k = 0; k < n; k++) {
        TRY(check_pair(g, from[k], to[k]));
        lowest = from[k] < lowest ? from[k] : lowest;
    }
    TRY(expr_part_make(&map.part, g, n_roots, roots, can_contain, &lowest));
    const peri_status status = make_images(&map, g, n, from, to);
    for (int64_t k = 0; k < n_roots && status == PERI_OK; k++)
        out[k] = image_of(&map, roots[k]);
    mem_array_free(g->m, map.image);
    expr_part_release(&map.part);
    return status;
}
