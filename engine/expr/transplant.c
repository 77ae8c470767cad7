/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transplant.c - expressions of one graph made again in another, with the variables and parameters replaced by expressions there.
 * Invariant: the copies share nothing with the graph they come from, so that it may go first.
 */
#include "expr/node.h"

typedef struct {
    const expr_graph *from;
    expr_graph *to;
    expr_part part;
    const expr_id *input; /* [EXPR_IN_COUNT] what stands for a whole class, a column; PERI_NO_EXPR: it does not occur */
    expr_id *image;       /* [part.nodes.n] */
    hash_map leaves;      /* node of `from` -> node of `to` */
} transplant;

static expr_id image_of(const transplant *c, expr_id e)
{
    return c->image[expr_part_at(&c->part, e)];
}

/* The whole class where it is wider than what is given for it: nothing that is copied reads variables that take no part. */
static peri_status widen(transplant *c, expr_id given, int64_t missing, expr_id *out)
{
    expr_id parts[2] = {given, PERI_NO_EXPR};
    TRY(expr_full(c->to, missing, 1, 0, &parts[1]));
    return expr_stack(c->to, 2, parts, out);
}

static peri_status plant_input(transplant *c, expr_id e, expr_id *out)
{
    const expr_node node = *expr_at(c->from, e);
    const expr_id whole = c->input != NULL ? c->input[node.class_] : PERI_NO_EXPR;
    if (whole == PERI_NO_EXPR)
        return FAIL(c->to->ctx, PERI_E_ARGUMENT, "copy: nothing was given for an input of class %d", (int)node.class_);
    const expr_node to = *expr_at(c->to, whole);
    if (node.class_ == EXPR_IN_X && node.ref == 0 && node.cols == 1 && to.cols == 1 && node.rows > to.rows)
        return widen(c, whole, node.rows - to.rows, out);
    if (node.ref == 0 && node.rows == to.rows && node.cols == to.cols) {
        *out = whole;
        return PERI_OK;
    }
    return expr_gather_affine(c->to, whole, node.rows, node.cols, node.ref, 1, out);
}

static peri_status plant(transplant *c, expr_id e, expr_id *out)
{
    const expr_id *list;
    expr_id few[3], *args = few;
    int64_t leaf;
    if (hash_get(&c->leaves, (uint64_t)e, &leaf)) {
        *out = (expr_id)leaf;
        return PERI_OK;
    }
    if (expr_at(c->from, e)->op == PERI_OP_INPUT)
        return plant_input(c, e, out);
    const int32_t n = expr_args(c->from, e, &list);
    if (n > 3 && (args = mem_array(c->to->m, (size_t)n, sizeof *args)) == NULL)
        return FAIL_NOMEM(c->to->ctx);
    for (int32_t k = 0; k < n; k++)
        args[k] = image_of(c, list[k]);
    const peri_status status = expr_copy(c->from, e, args, c->to, out);
    if (args != few)
        mem_array_free(c->to->m, args);
    return status;
}

static bool is_no_leaf(const expr_graph *g, expr_id e, const void *ud)
{
    const transplant *c = ud;
    int64_t leaf;
    (void)g;
    return !hash_get(&c->leaves, (uint64_t)e, &leaf);
}

static peri_status plant_all(transplant *c, int64_t n_roots, const expr_id *roots, expr_id *out)
{
    TRY(expr_part_make(&c->part, (expr_graph *)(uintptr_t)c->from, n_roots, roots, is_no_leaf, c));
    const int64_t size = c->part.nodes.n;
    c->image = mem_array(c->to->m, (size_t)size, sizeof *c->image);
    peri_status status = c->image != NULL ? PERI_OK : FAIL_NOMEM(c->to->ctx);
    for (int64_t k = 0; k < size && status == PERI_OK; k++)
        status = plant(c, c->part.nodes.at[k], &c->image[k]);
    for (int64_t k = 0; k < n_roots && status == PERI_OK; k++)
        out[k] = image_of(c, roots[k]);
    mem_array_free(c->to->m, c->image);
    expr_part_release(&c->part);
    return status;
}

peri_status expr_transplant_leaves(expr_graph *from, int64_t n_roots, const expr_id *roots, expr_graph *to, const expr_id *input, int64_t n,
                                   const expr_id *leaf, const expr_id *image, expr_id *out)
{
    transplant c = {.from = from, .to = to, .input = input};
    peri_status status = PERI_OK;
    hash_init(&c.leaves, to->m);
    for (int64_t k = 0; k < n && status == PERI_OK; k++)
        if (!hash_put(&c.leaves, (uint64_t)leaf[k], image[k]))
            status = FAIL_NOMEM(to->ctx);
    if (status == PERI_OK)
        status = plant_all(&c, n_roots, roots, out);
    hash_release(&c.leaves);
    return status;
}

peri_status expr_transplant(expr_graph *from, int64_t n_roots, const expr_id *roots, expr_graph *to, const expr_id *input,
                            expr_id *out)
{
    return expr_transplant_leaves(from, n_roots, roots, to, input, 0, NULL, NULL, out);
}
