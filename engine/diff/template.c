/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.c - finds the templates of a graph: an elementwise node of several entries that something else than an elementwise node of its size uses (a
 * sum, a scatter, a stack, a reader of single entries, the caller) ends one; what it is computed from, down to gathers and constants, belongs to it.
 * Invariant: every elementwise node belongs to exactly one template, the first that needs it.
 */
#include "diff/template.h"
#include <stdlib.h>
#include <string.h>

enum { REACH = 1, ENDS = 2, TAKEN = 4 };

typedef struct {
    expr_graph *g;
    diff_templates *out;
    unsigned char *flags; /* [nodes.n] */
    unsigned char *lists; /* [lists.n] counted already */
    VEC(expr_id) todo;
} finder;

static bool is_elementwise(const expr_graph *g, expr_id e)
{
    return expr_is_elementwise(expr_code(g, e) & ~EXPR_WIDE);
}

static void find_ends(finder *f, int64_t n_roots, const expr_id *roots)
{
    const expr_graph *g = f->g;
    expr_reach(g, n_roots, roots, f->flags);
    for (int64_t k = 0; k < n_roots; k++)
        f->flags[roots[k]] |= ENDS;
    for (expr_id e = 0; e < g->nodes.n; e++) {
        const expr_id *args;
        if (!(f->flags[e] & REACH))
            continue;
        const int32_t n = expr_args(g, e, &args);
        for (int32_t k = 0; k < n; k++)
            if (!is_elementwise(g, e) || expr_size(g, e) != expr_size(g, args[k]))
                f->flags[args[k]] |= ENDS;
    }
}

static void add_gather(finder *f, const expr_node *node, diff_template *t)
{
    if (node->flags & EXPR_AFFINE) {
        t->strided++;
        return;
    }
    t->gathered++;
    if (!f->lists[node->index])
        t->index_bytes += f->g->lists.at[node->index].n * (int64_t)sizeof(int32_t);
    f->lists[node->index] = 1;
}

/* A node that the template needs: an operation of its own, or something that it reads. */
static bool add_node(finder *f, expr_id e, diff_template *t)
{
    const expr_graph *g = f->g;
    const expr_node *node = expr_at(g, e);
    const bool again = f->flags[e] & TAKEN;
    if (expr_size(g, e) != t->instances || (again && is_elementwise(g, e)))
        return true; /* scalars are the same for all */
    f->flags[e] |= TAKEN;
    if (is_elementwise(g, e)) {
        t->operations++;
        return vec_push(g->m, &f->todo, e);
    }
    if (node->op == PERI_OP_GATHER) {
        double value;
        if (!expr_constant_value(g, e, &value) && expr_size(g, node->arg[0]) > 1)
            add_gather(f, node, t);
    } else if (node->op == PERI_OP_CONST) {
        t->columns++;
        t->data_bytes += again ? 0 : t->instances * (int64_t)sizeof(double);
    } else {
        t->strided++; /* an array as it is */
    }
    return true;
}

static bool read_template(finder *f, expr_id root)
{
    diff_template t = {.root = root, .instances = expr_size(f->g, root)};
    f->todo.n = 0;
    bool ok = add_node(f, root, &t);
    for (int64_t k = 0; k < f->todo.n && ok; k++) {
        const expr_id *args;
        const int32_t n = expr_args(f->g, f->todo.at[k], &args);
        for (int32_t j = 0; j < n && ok; j++) {
            bool seen = false;
            for (int32_t i = 0; i < j; i++)
                seen = seen || args[i] == args[j];
            ok = seen || add_node(f, args[j], &t);
        }
    }
    return ok && (t.operations == 0 || vec_push(f->g->m, &f->out->all, t));
}

static int by_work(const void *a, const void *b)
{
    const diff_template *x = a, *y = b;
    const int64_t p = x->instances * x->operations, q = y->instances * y->operations;
    return p != q ? (p < q ? 1 : -1) : (x->root > y->root) - (x->root < y->root);
}

peri_status diff_find_templates(expr_graph *g, int64_t n_roots, const expr_id *roots, diff_templates *out)
{
    finder f = {.g = g, .out = out};
    memset(out, 0, sizeof *out);
    out->m = g->m;
    f.flags = mem_array(g->m, (size_t)g->nodes.n, 1);
    f.lists = mem_array(g->m, (size_t)g->lists.n, 1);
    bool ok = f.flags != NULL && f.lists != NULL;
    if (ok)
        find_ends(&f, n_roots, roots);
    for (expr_id e = 0; e < g->nodes.n && ok; e++) {
        if (!(f.flags[e] & REACH) || !is_elementwise(g, e))
            continue;
        if (expr_size(g, e) == 1)
            out->singles++;
        else if (f.flags[e] & ENDS)
            ok = read_template(&f, e);
    }
    mem_array_free(g->m, f.flags);
    mem_array_free(g->m, f.lists);
    vec_free(g->m, &f.todo);
    if (!ok) {
        diff_templates_release(out);
        return FAIL_NOMEM(g->ctx);
    }
    if (out->all.n > 1)
        qsort(out->all.at, (size_t)out->all.n, sizeof *out->all.at, by_work);
    return PERI_OK;
}

void diff_templates_release(diff_templates *t)
{
    vec_free(t->m, &t->all);
}
