/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repeated structure is found however it was written; and building, grouping and differentiating survive an allocation failure at every place.
 */
#include "diff/diff.h"
#include "tap/tap.h"
#include "unit/random_graph.h"
#include <math.h>

enum { N = 200 };

typedef struct {
    peri_context *ctx;
    peri_model *m;
    peri_expr x;
} fixture;

static expr_id at(const fixture *f, int64_t i)
{
    expr_id e = PERI_NO_EXPR;
    (void)!peri_expr_range(f->m, f->x, 1, 1, i, 1, &e);
    return e;
}

static expr_id two(const fixture *f, peri_op op, expr_id a, expr_id b)
{
    const expr_id args[2] = {a, b};
    expr_id e = PERI_NO_EXPR;
    (void)!peri_expr_op(f->m, op, 2, args, &e);
    return e;
}

static expr_id one(const fixture *f, peri_op op, expr_id a)
{
    expr_id e = PERI_NO_EXPR;
    (void)!peri_expr_op(f->m, op, 1, &a, &e);
    return e;
}

static expr_id number(const fixture *f, double v)
{
    expr_id e = PERI_NO_EXPR;
    (void)!peri_expr_number(f->m, v, &e);
    return e;
}

/* c exp(x_i) x_j, with the factors in one of several orders */
static expr_id term(const fixture *f, int i, int j, double c, int order)
{
    const expr_id e = one(f, PERI_OP_EXP, at(f, i)), k = number(f, c), b = at(f, j);
    switch (order % 3) {
    case 0: return two(f, PERI_OP_MUL, two(f, PERI_OP_MUL, k, e), b);
    case 1: return two(f, PERI_OP_MUL, two(f, PERI_OP_MUL, e, k), b);
    default: return two(f, PERI_OP_MUL, two(f, PERI_OP_MUL, k, e), b);
    }
}

/* Distinct operations among the nodes that the root needs, without leaves and gathers. */
static int64_t operations(expr_graph *g, expr_id root)
{
    unsigned char reach[4096] = {0};
    int64_t n = 0;
    if (g->nodes.n > (int64_t)sizeof reach)
        return -1;
    expr_reach(g, 1, &root, reach);
    for (expr_id e = 0; e < g->nodes.n; e++)
        if (reach[e] && expr_is_elementwise(expr_at(g, e)->op))
            n++;
    return n;
}

static double value(expr_graph *g, expr_id root, const double *x)
{
    double v = NAN, *outs[1] = {&v};
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    return expr_interpret(g, 1, &root, inputs, outs) == PERI_OK ? v : NAN;
}

static void is_grouped(const fixture *f, expr_id root, int64_t most, const char *name)
{
    double x[N];
    expr_graph *to = expr_graph_new(f->ctx);
    expr_id rolled;
    for (int i = 0; i < N; i++)
        x[i] = rng_uniform(3, 1, (uint64_t)i) - 0.5;
    if (ok(to != NULL && diff_roll(f->m->g, 1, &root, to, &rolled) == PERI_OK, "%s: grouped", name)) {
        const int64_t n = operations(to, rolled);
        ok(n > 0 && n <= most, "%s: %d operations, %d at the most", name, (int)n, (int)most);
        is_close(value(to, rolled, x), value(f->m->g, root, x), 1e-12, 0, "%s: the same value", name);
    }
    if (to != NULL)
        expr_graph_free(to);
}

static void test_patterns(const fixture *f)
{
    expr_id sum = number(f, 0);
    for (int i = 0; i + 1 < N; i++)
        sum = two(f, PERI_OP_ADD, sum, term(f, i, i + 1, 1, 0));
    is_grouped(f, sum, 4, "a chain in order");

    sum = number(f, 0);
    for (int k = 0; k + 1 < N; k++) {
        const int i = (k * 37) % (N - 1);
        sum = two(f, PERI_OP_ADD, term(f, i, (i * 7 + 3) % N, 1 + 0.1 * k, k), sum);
    }
    is_grouped(f, sum, 6, "terms out of order, with other constants, summed from the other side");

    sum = number(f, 0);
    for (int k = 0; k < N; k += 10) {
        expr_id inner = number(f, 0);
        for (int i = k; i + 1 < k + 10; i++)
            inner = two(f, PERI_OP_ADD, inner, term(f, i, i + 1, 0.5, 0));
        sum = two(f, PERI_OP_SUB, sum, one(f, PERI_OP_SQUARE, inner));
    }
    is_grouped(f, sum, 40, "sums inside sums");

    expr_id parts[N];
    for (int i = 0; i < N; i++)
        parts[i] = term(f, i, (i + 5) % N, 2.385, 0);
    ok(peri_expr_stack(f->m, N, parts, &sum) == PERI_OK, "a vector of scalars");
    is_grouped(f, one(f, PERI_OP_SUM, one(f, PERI_OP_SQUARE, sum)), 5, "a vector built entry by entry");
}

/* Gathers of the rolled sum that are not plain slices. */
static int64_t scattered_reads(const fixture *f, expr_id root)
{
    expr_graph *to = expr_graph_new(f->ctx);
    expr_id rolled;
    int64_t n = -1;
    if (to != NULL && diff_roll(f->m->g, 1, &root, to, &rolled) == PERI_OK) {
        n = 0;
        for (expr_id e = 0; e < to->nodes.n; e++) {
            const expr_node *node = expr_at(to, e);
            n += node->op == PERI_OP_GATHER && (int64_t)node->rows * node->cols > 1 && !((node->flags & EXPR_AFFINE) && node->stride == 1);
        }
    }
    if (to != NULL)
        expr_graph_free(to);
    return n;
}

/* sum + a + b and sum + (a + b), with a and b of kinds that the builder puts on either side of the sum */
static void test_order(const fixture *f)
{
    expr_id flat = number(f, 0), nested = number(f, 0);
    for (int i = 0; i + 1 < N; i++) {
        const expr_id a = two(f, PERI_OP_MUL, number(f, 100), one(f, PERI_OP_EXP, two(f, PERI_OP_SUB, at(f, i + 1), at(f, i))));
        const expr_id b = one(f, PERI_OP_SQUARE, two(f, PERI_OP_SUB, number(f, 1), at(f, i)));
        flat = two(f, PERI_OP_ADD, two(f, PERI_OP_ADD, flat, a), b);
        nested = two(f, PERI_OP_ADD, nested, two(f, PERI_OP_ADD, a, b));
    }
    is_int(scattered_reads(f, flat), 0, "sum + a + b reads its variables in order");
    is_int(scattered_reads(f, nested), 0, "and so does sum + (a + b)");
}

/* Everything that a solve does with expressions; the k-th allocation fails. */
static peri_status whole(peri_context *ctx, int64_t fail_at)
{
    random_graph r;
    expr_id root, rolled, whole_x, k, gradient;
    double v;
    diff_sparse s;
    peri_memory_fail_at(ctx, fail_at, false);
    peri_status status = random_graph_make(&r, ctx, 11, 60) && random_graph_root(&r, true, &root, &v) ? PERI_OK : peri_error_code(ctx);
    expr_graph *to = status == PERI_OK ? expr_graph_new(ctx) : NULL;
    if (status == PERI_OK)
        status = to != NULL ? diff_roll(r.m->g, 1, &root, to, &rolled) : PERI_E_NOMEM;
    if (status == PERI_OK)
        status = expr_input(to, EXPR_IN_X, 0, 28, 1, &whole_x);
    if (status == PERI_OK)
        status = expr_number(to, 1, &k);
    if (status == PERI_OK)
        status = diff_adjoint(to, 1, &rolled, &k, 1, &whole_x, &gradient);
    if (status == PERI_OK)
        status = diff_tangent(to, 1, &gradient, 1, &whole_x, &whole_x, &k);
    if (status == PERI_OK) {
        status = diff_hessian(to, rolled, 0, 28, 100000, &s);
        if (status == PERI_OK)
            diff_sparse_free(to, &s);
    }
    if (status == PERI_OK) {
        status = diff_jacobian(to, gradient, 0, 28, &s);
        if (status == PERI_OK)
            diff_sparse_free(to, &s);
    }
    peri_memory_fail_at(ctx, 0, false);
    if (to != NULL)
        expr_graph_free(to);
    random_graph_free(&r);
    return status;
}

static void test_memory(void)
{
    peri_context *ctx = peri_context_new(NULL);
    int64_t before, after, k = 1, failures = 0, others = 0, leaks = 0;
    peri_memory(ctx, NULL, NULL, &before);
    peri_status status;
    do {
        status = whole(ctx, k);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += after != before;
        others += status != PERI_OK && status != PERI_E_NOMEM;
        failures += status == PERI_E_NOMEM;
        k += k < 300 ? 1 : 7;
    } while (status != PERI_OK && k < 2000000);
    ok(status == PERI_OK && failures > 300, "%d failures of an allocation, then success", (int)failures);
    is_int(others, 0, "each is reported as out of memory");
    is_int(leaks, 0, "and leaks nothing");
    peri_context_free(ctx);
}

int main(void)
{
    plan_later();
    fixture f = {.ctx = peri_context_new(NULL)};
    f.m = peri_model_new(f.ctx, "repeated");
    ok(peri_model_var(f.m, "x", N, 1, &f.x) == PERI_OK, "a variable of %d entries", (int)N);
    test_patterns(&f);
    test_order(&f);
    peri_model_free(f.m);
    peri_context_free(f.ctx);
    test_memory();
    return tap_done();
}
