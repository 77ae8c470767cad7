/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_unroll.c - a lower model's solution as so many steps y := T(y) written out in the graph, to be compared with implicit differentiation: what is
 * differentiated then are the steps. T is the host's fixed point, or a gradient step within the variables' bounds.
 */
#include "run/implicit.h"
#include "run/implicit_unroll.h"
#include <math.h>
#include <string.h>

typedef struct {
    peri_model *low;
    const peri_implicit *given;
    int64_t n;
    const expr_id *vars;
    expr_id *next, *now, *after; /* [n] T's parts over the variables; the iterate, and one step on */
} unrolling;

/* The start values of a variable, or its bounds: an array. */
static peri_status values_of(const unrolling *k, const model_var *v, const double *all, expr_id *out)
{
    const peri_model *root = k->low->root;
    const expr_node *node = expr_at(root->g, v->node);
    const peri_array a = {.rows = node->rows, .cols = node->cols, .data = all + v->offset - root->vars.at[0].offset, .nnz = -1};
    return peri_expr_const(k->low->root, &a, out);
}

static bool has_finite(int64_t n, const double *v)
{
    bool any = false;
    for (int64_t i = 0; i < n; i++)
        any = any || isfinite(v[i]);
    return any;
}

/* y - step gradient, clipped */
static peri_status step_of(const unrolling *k, const model_var *v, expr_id gradient, expr_id *out)
{
    expr_graph *g = k->low->g;
    const peri_model *root = k->low->root;
    const int64_t at = v->offset - root->vars.at[0].offset;
    expr_id step, bound;
    TRY(expr_number(g, k->given->step, &step));
    TRY(expr_binary(g, PERI_OP_MUL, step, gradient, &step));
    TRY(expr_binary(g, PERI_OP_SUB, v->node, step, out));
    if (has_finite(v->size, root->lower.at + at)) {
        TRY(values_of(k, v, root->lower.at, &bound));
        TRY(expr_binary(g, PERI_OP_MAX2, *out, bound, out));
    }
    if (has_finite(v->size, root->upper.at + at)) {
        TRY(values_of(k, v, root->upper.at, &bound));
        TRY(expr_binary(g, PERI_OP_MIN2, *out, bound, out));
    }
    return PERI_OK;
}

static peri_status gradient_steps(const unrolling *k)
{
    expr_graph *g = k->low->g;
    expr_id seed;
    TRY(expr_number(g, k->low->maximize ? -1 : 1, &seed));
    TRY(diff_adjoint(g, 1, &k->low->objective, &seed, k->n, k->vars, k->next));
    for (int64_t i = 0; i < k->n; i++)
        TRY(step_of(k, model_find_var(k->low->root, k->vars[i]), k->next[i], &k->next[i]));
    return PERI_OK;
}

/* The host's fixed point is one column. */
static peri_status given_steps(const unrolling *k)
{
    expr_graph *g = k->low->g;
    int64_t at = 0;
    for (int64_t i = 0; i < k->n; i++) {
        const expr_node node = *expr_at(g, k->vars[i]);
        TRY(expr_gather_affine(g, k->given->fixed_point, node.rows, node.cols, at, 1, &k->next[i]));
        at += (int64_t)node.rows * node.cols;
    }
    return PERI_OK;
}

static peri_status repeat(const unrolling *k)
{
    for (int64_t i = 0; i < k->n; i++)
        TRY(values_of(k, model_find_var(k->low->root, k->vars[i]), k->low->root->start.at, &k->now[i]));
    for (int64_t step = 0; step < k->given->unroll; step++) {
        TRY(expr_substitute(k->low->g, k->n, k->next, k->n, k->vars, k->now, k->after));
        memcpy(k->now, k->after, (size_t)k->n * sizeof *k->now);
    }
    return PERI_OK;
}

static peri_status check(const unrolling *k, bool has_rows)
{
    const char *name = k->low->name;
    const peri_implicit *o = k->given;
    if (o->residual != PERI_NO_EXPR || o->mapping != NULL || (o->solver != NULL && o->solver[0] != '\0'))
        return FAIL(k->low->ctx, PERI_E_ARGUMENT, "argmin of model \"%s\": unroll repeats steps; it takes no solver, mapping or residual", name);
    if (o->fixed_point == PERI_NO_EXPR && has_rows)
        return FAIL(k->low->ctx, PERI_E_ARGUMENT, "argmin of model \"%s\": unroll with constraints needs a fixed_point, such as a projected step", name);
    if (o->fixed_point == PERI_NO_EXPR && !(o->step > 0))
        return FAIL(k->low->ctx, PERI_E_ARGUMENT, "argmin of model \"%s\": unroll needs a step, about 1 / (curvature of the objective), or a fixed_point",
                    name);
    return PERI_OK;
}

peri_status implicit_unroll(peri_model *low, const peri_implicit *given, int64_t n, const expr_id *vars, bool has_rows, peri_expr *out)
{
    mem *a = &low->ctx->mem;
    unrolling k = {.low = low, .given = given, .n = n, .vars = vars, .now = out};
    TRY(check(&k, has_rows));
    k.next = mem_array(a, 2 * (size_t)n + 1, sizeof *k.next);
    if (k.next == NULL)
        return FAIL_NOMEM(low->ctx);
    k.after = k.next + n;
    peri_status status = given->fixed_point != PERI_NO_EXPR ? given_steps(&k) : gradient_steps(&k);
    if (status == PERI_OK)
        status = repeat(&k);
    mem_array_free(a, k.next);
    return status;
}
