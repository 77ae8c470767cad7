/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models without repetition: random trees, of which hardly two have the same form, are made in pieces that have. Values, gradient, Jacobian and Hessian are
 * those of the ungrouped graph; the grouped one is small; expressions that use their parts many times do not grow by it; memory may run out anywhere.
 */
#include "base/rng.h"
#include "diff/diff.h"
#include "eval/program.h"
#include "model/model.h"
#include "tap/tap.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 40, TERMS = 300, ROWS = 350 };

typedef struct {
    peri_model *m;
    expr_graph *g;
    peri_expr x[N];
    uint64_t seed, drawn;
    double at[N];
    expr_id root[2], rolled[2]; /* a sum of terms; rows below each other */
    expr_graph *to;
} model;

static void give_up(const char *why)
{
    printf("Bail out! %s\n", why);
    exit(1);
}

static int below(model *t, int n)
{
    return (int)rng_below(t->seed, 0, t->drawn++, n);
}

static expr_id op(model *t, peri_op code, expr_id a, expr_id b)
{
    const expr_id args[2] = {a, b};
    expr_id e = 0;
    if (expr_op(t->g, code, b == PERI_NO_EXPR ? 1 : 2, args, &e) != PERI_OK)
        give_up("an expression cannot be made");
    return e;
}

static expr_id number(model *t, double v)
{
    expr_id e = 0;
    if (expr_number(t->g, v, &e) != PERI_OK)
        give_up("a number cannot be made");
    return e;
}

/* Operations are defined everywhere and harmless; `a` of a root or a logarithm is used twice. */
static expr_id tree(model *t, int size)
{
    static const peri_op binary[] = {PERI_OP_ADD, PERI_OP_SUB, PERI_OP_MUL};
    static const peri_op unary[] = {PERI_OP_SIN, PERI_OP_COS, PERI_OP_TANH, PERI_OP_SQRT, PERI_OP_LOG, PERI_OP_RECIP};
    if (size <= 0)
        return below(t, 4) == 0 ? number(t, 0.5 + below(t, 1000) / 1000.0) : t->x[below(t, N)];
    if (size == 1 || below(t, 5) < 3) {
        const int left = below(t, size);
        const expr_id a = tree(t, left);
        return op(t, binary[below(t, 3)], a, tree(t, size - 1 - left));
    }
    const int which = below(t, 6);
    const expr_id a = tree(t, which < 3 ? size - 1 : size - 2);
    return op(t, unary[which], which < 3 ? a : op(t, PERI_OP_ADD, op(t, PERI_OP_MUL, a, a), number(t, 1.5)), PERI_NO_EXPR);
}

/* y <- sin(y) y + x_j, with y twice in each: as many paths as 2^depth */
static expr_id braid(model *t, int depth)
{
    expr_id y = t->x[below(t, N)];
    for (int k = 0; k < depth; k++)
        y = op(t, below(t, 2) ? PERI_OP_ADD : PERI_OP_SUB, op(t, PERI_OP_MUL, op(t, below(t, 2) ? PERI_OP_SIN : PERI_OP_COS, y, PERI_NO_EXPR), y),
               t->x[below(t, N)]);
    return y;
}

static void start(model *t, peri_context *ctx, uint64_t seed)
{
    peri_expr x;
    memset(t, 0, sizeof *t);
    t->m = peri_model_new(ctx, "irregular");
    t->g = t->m->g;
    t->seed = seed;
    if (peri_model_var(t->m, "x", N, 1, &x) != PERI_OK)
        give_up("no variables");
    for (int j = 0; j < N; j++) {
        t->at[j] = 2 * rng_uniform(seed, 1, (uint64_t)j) - 1;
        if (expr_gather_affine(t->g, x, 1, 1, j, 1, &t->x[j]) != PERI_OK)
            give_up("no entries");
    }
}

static void grow(model *t, int terms, int rows, int depth)
{
    expr_id *row = calloc((size_t)rows, sizeof *row), sum = number(t, 0);
    for (int k = 0; k < terms; k++)
        sum = op(t, PERI_OP_ADD, sum, depth > 0 ? braid(t, depth) : tree(t, 6 + below(t, 9)));
    for (int k = 0; k < rows; k++)
        row[k] = depth > 0 ? braid(t, depth) : tree(t, 6 + below(t, 9));
    t->root[0] = sum;
    if (expr_stack(t->g, rows, row, &t->root[1]) != PERI_OK)
        give_up("no rows");
    free(row);
}

static void finish(model *t)
{
    expr_graph_free(t->to);
    peri_model_free(t->m);
}

/* By the interpreter where `program` is not set; size entries, to be freed. */
static double *values_of(model *t, expr_graph *g, expr_id e, bool program)
{
    const double w[ROWS] = {0};
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = t->at, [EXPR_IN_W] = w};
    double *out = calloc((size_t)expr_size(g, e), sizeof *out);
    const eval_output output = {e, 0, 0};
    eval_program *p = NULL;
    const bool good = program ? eval_compile(g, 1, &output, &p) == PERI_OK && eval_run(p, inputs, &out) == PERI_OK
                              : expr_interpret(g, 1, &e, inputs, &out) == PERI_OK;
    if (!good)
        give_up("values cannot be computed");
    if (p != NULL)
        eval_free(p);
    return out;
}

static double difference(int64_t n, const double *a, const double *b)
{
    double top = 1, worst = 0;
    for (int64_t k = 0; k < n; k++)
        top = fmax(top, fabs(b[k]));
    for (int64_t k = 0; k < n; k++)
        worst = fabs(a[k] - b[k]) <= worst * top ? worst : fabs(a[k] - b[k]) / top;
    return worst;
}

static double same_values(model *t, int k)
{
    double *want = values_of(t, t->g, t->root[k], false), *got = values_of(t, t->to, t->rolled[k], true);
    const double error = difference(expr_size(t->g, t->root[k]), got, want);
    free(want);
    free(got);
    return error;
}

static double *gradient_of(model *t, expr_graph *g, expr_id root, bool program)
{
    expr_id x, one, gradient = PERI_NO_EXPR;
    if (expr_input(g, EXPR_IN_X, 0, N, 1, &x) != PERI_OK || expr_number(g, 1, &one) != PERI_OK ||
        diff_adjoint(g, 1, &root, &one, 1, &x, &gradient) != PERI_OK)
        give_up("no gradient");
    return values_of(t, g, gradient, program);
}

static double same_gradient(model *t)
{
    double *want = gradient_of(t, t->g, t->root[0], false), *got = gradient_of(t, t->to, t->rolled[0], true);
    const double error = difference(N, got, want);
    free(want);
    free(got);
    return error;
}

/* rows x N, of a sparse matrix */
static double *written_out(model *t, expr_graph *g, const diff_sparse *s, int64_t rows, bool program)
{
    double *dense = calloc((size_t)(rows * N), sizeof *dense), *value = values_of(t, g, s->values, program);
    for (int64_t j = 0; j < N; j++)
        for (int64_t k = s->start[j]; k < s->start[j + 1]; k++)
            dense[s->index[k] * N + j] += value[k];
    free(value);
    return dense;
}

static double same_matrix(model *t, bool hessian)
{
    double *dense[2];
    const int64_t rows = hessian ? N : expr_size(t->g, t->root[1]);
    for (int k = 0; k < 2; k++) {
        expr_graph *g = k == 0 ? t->g : t->to;
        const expr_id root = (k == 0 ? t->root : t->rolled)[hessian ? 0 : 1];
        diff_sparse s;
        if ((hessian ? diff_hessian(g, root, 0, N, 1 << 20, &s) : diff_jacobian(g, root, 0, N, &s)) != PERI_OK)
            give_up("no matrix");
        dense[k] = written_out(t, g, &s, rows, k == 1);
        diff_sparse_free(g, &s);
    }
    const double error = difference(rows * N, dense[1], dense[0]);
    free(dense[0]);
    free(dense[1]);
    return error;
}

static bool group(model *t)
{
    t->to = expr_graph_new(t->g->ctx);
    return t->to != NULL && diff_roll(t->g, 2, t->root, t->to, t->rolled) == PERI_OK;
}

static void test_same(peri_context *ctx, uint64_t seed)
{
    model t;
    start(&t, ctx, seed);
    grow(&t, TERMS, ROWS, 0);
    const int64_t before = t.g->nodes.n;
    const bool grouped = group(&t);
    ok(grouped && 4 * t.to->nodes.n < before, "seed %d: grouped, %d nodes of %d", (int)seed, (int)t.to->nodes.n, (int)before);
    ok(same_values(&t, 0) < 1e-13 && same_values(&t, 1) < 1e-13, "seed %d: values", (int)seed);
    ok(same_gradient(&t) < 1e-12, "seed %d: gradient", (int)seed);
    ok(same_matrix(&t, false) < 1e-12, "seed %d: Jacobian", (int)seed);
    ok(same_matrix(&t, true) < 1e-11, "seed %d: Hessian", (int)seed);
    finish(&t);
}

/* 2^14 paths from a result to the variables, of which there are at most 15. */
static void test_braids(peri_context *ctx)
{
    model t;
    diff_sparse s;
    start(&t, ctx, 7);
    grow(&t, 100, 120, 14);
    ok(group(&t), "expressions that use their parts twice: grouped");
    ok(same_values(&t, 1) < 1e-12 && same_gradient(&t) < 1e-10, "their values and gradient");
    const bool good = diff_jacobian(t.to, t.rolled[1], 0, N, &s) == PERI_OK;
    ok(good && s.nnz <= 120 * 15, "their Jacobian: %d entries", good ? (int)s.nnz : -1);
    ok(good && t.to->nodes.n < t.g->nodes.n && t.to->lists.n < 50000, "and no more nodes than before");
    if (good)
        diff_sparse_free(t.to, &s);
    const bool second = diff_hessian(t.to, t.rolled[0], 0, N, 1 << 20, &s) == PERI_OK;
    ok(second && s.nnz <= N * (N + 1) / 2, "their Hessian: %d entries", second ? (int)s.nnz : -1);
    if (second)
        diff_sparse_free(t.to, &s);
    finish(&t);
}

static void test_memory(void)
{
    peri_context *ctx = peri_context_new(NULL);
    model t;
    int64_t failed = 0;
    bool clean = true, through = false;
    start(&t, ctx, 11);
    grow(&t, 150, 170, 0);
    for (int64_t k = 1; !through && k < 1000000; k += 1 + k / 8) {
        diff_sparse s;
        const int64_t live = ctx->mem.live;
        expr_forget_table(t.g);
        ctx->mem.countdown = k;
        peri_status status = group(&t) ? PERI_OK : PERI_E_NOMEM;
        if (status == PERI_OK)
            status = diff_jacobian(t.to, t.rolled[1], 0, N, &s);
        through = ctx->mem.countdown > 0;
        ctx->mem.countdown = 0;
        if (status == PERI_OK)
            diff_sparse_free(t.to, &s);
        failed += status != PERI_OK;
        clean = clean && (status == PERI_OK || status == PERI_E_NOMEM);
        expr_graph_free(t.to);
        t.to = NULL;
        clean = clean && ctx->mem.live <= live + 2; /* the first graph may have grown its own tables */
    }
    ok(through && failed > 20 && clean, "memory runs out at %d places: an error, and nothing is left", (int)failed);
    peri_model_free(t.m);
    peri_context_free(ctx);
}

int main(void)
{
    peri_context *ctx = peri_context_new(NULL);
    plan_later();
    test_same(ctx, 1);
    test_same(ctx, 2);
    test_braids(ctx);
    test_memory();
    peri_context_free(ctx);
    return tap_done();
}
