/* SPDX-License-Identifier: Apache-2.0 */
/*
 * property - random expressions over every operation and every broadcast shape: compiled programs at every level of instructions and the plain
 * interpreter against an evaluator of the test's own with extended precision; first derivatives against complex steps in it; Hessians, their
 * products with vectors, and Jacobians against complex steps through gradients and values.
 *     property.t [GRAPHS [FIRST_SEED]]    PERI_TEST_LONG=1: many more graphs than `make check` takes
 */
#include "diff/diff.h"
#include "eval/program.h"
#include "tap/tap.h"
#include "unit/complex_graph.h"
#include "unit/random_graph.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_RUN = 50, LONG_RUN = 2000, STEPS = 160, N = 28, MOST_ENTRIES = 8 * RANDOM_SIZE };

static const uint64_t FIRST_SEED = 90001;
static const double TOLERANCE = 1e-10; /* of values and derivatives, relative to the larger of 1 and the largest of them */
static const char *const levels[] = {"portable", "sse2", "avx2", "avx512"};

typedef struct {
    peri_context *ctx;
    random_graph *r;
    expr_graph *g;
    double x[N];
    expr_id whole;
    const char *unknown; /* an operation that the test's evaluator lacks */
    double values, gradient, hessian, product, jacobian; /* the largest errors */
    int64_t entries, kept_sparse, checked;
} property;

/* The largest difference, relative to the larger of 1 and the largest wanted. */
static double error_of(int64_t n, const double *got, const long double *want)
{
    long double top = 1, worst = 0;
    for (int64_t k = 0; k < n; k++)
        top = fabsl(want[k]) > top ? fabsl(want[k]) : top;
    for (int64_t k = 0; k < n; k++) {
        const long double error = fabsl((long double)got[k] - want[k]) / top;
        if (!(error <= worst))
            worst = isnan(error) ? INFINITY : error;
    }
    return (double)worst;
}

static void note(double *worst, double error)
{
    *worst = error > *worst ? error : *worst;
}

static bool exact(property *p, expr_id e, const double *v, long double *value, long double *derivative)
{
    const char *unknown = complex_eval(p->g, e, p->x, v, value, derivative);
    p->unknown = unknown != NULL ? unknown : p->unknown;
    p->checked += unknown == NULL ? expr_size(p->g, e) : 0;
    return unknown == NULL;
}

static bool run_program(property *p, const eval_output *output, const double *const inputs[EXPR_IN_COUNT], bool machine, double *out)
{
    eval_program *program;
    memset(out, 0x7b, (size_t)expr_size(p->g, output->node) * sizeof *out);
    eval_allow_machine_code(p->g->ctx, machine);
    bool good = eval_compile(p->g, 1, output, &program) == PERI_OK;
    if (good) {
        good = eval_run(program, inputs, &out) == PERI_OK;
        eval_free(program);
    }
    eval_allow_machine_code(p->g->ctx, true);
    return good;
}

static bool are_same(int64_t n, const double *a, const double *b)
{
    for (int64_t k = 0; k < n; k++)
        if (!(isnan(a[k]) && isnan(b[k])) && memcmp(&a[k], &b[k], sizeof *a) != 0)
            return false;
    return true;
}

/* By the interpreter and by programs of every level, with machine code and without, which must have the same bits: the largest error of all. */
static bool evaluate_all(property *p, expr_id e, const double *v, const long double *want, double *worst)
{
    const int64_t n = expr_size(p->g, e);
    double *out = calloc((size_t)n, sizeof *out), *again = calloc((size_t)n, sizeof *again);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = p->x, [EXPR_IN_V] = v};
    bool good = expr_interpret(p->g, 1, &e, inputs, &out) == PERI_OK;
    note(worst, error_of(n, out, want));
    for (size_t l = 0; l < sizeof levels / sizeof levels[0] && good; l++) {
        const eval_output output = {e, 0, 0};
        if (!eval_force_simd(p->g->ctx, levels[l]))
            continue;
        good = run_program(p, &output, inputs, true, out) && run_program(p, &output, inputs, false, again);
        note(worst, error_of(n, out, want));
        note(worst, are_same(n, out, again) ? 0 : INFINITY);
    }
    eval_force_simd(p->g->ctx, NULL);
    free(out);
    free(again);
    return good;
}

static bool check_values(property *p)
{
    bool good = true;
    for (int k = p->r->n_vars; k < p->r->n && good; k++) {
        const random_item *item = &p->r->item[k];
        long double want[RANDOM_SIZE];
        good = exact(p, item->e, NULL, want, NULL);
        note(&p->values, error_of(item->rows * item->cols, item->value, want)); /* the two evaluators of the tests */
        good = good && evaluate_all(p, item->e, NULL, want, &p->values);
    }
    return good;
}

static bool gradient_of(property *p, expr_id root, expr_id *gradient)
{
    expr_id one;
    return expr_number(p->g, 1, &one) == PERI_OK && diff_adjoint(p->g, 1, &root, &one, 1, &p->whole, gradient) == PERI_OK;
}

static bool check_gradient(property *p, expr_id root)
{
    expr_id gradient;
    long double want[N], value;
    bool good = gradient_of(p, root, &gradient);
    for (int j = 0; j < N && good; j++) {
        const double unit[N] = {[0] = 0};
        double v[N];
        memcpy(v, unit, sizeof v);
        v[j] = 1;
        good = exact(p, root, v, &value, &want[j]);
    }
    return good && evaluate_all(p, gradient, NULL, want, &p->gradient);
}

/* want[i * N + j]: d gradient_i / d x_j */
static bool exact_hessian(property *p, expr_id gradient, long double *want)
{
    bool good = true;
    for (int j = 0; j < N && good; j++) {
        long double value[N], column[N];
        double v[N] = {0};
        v[j] = 1;
        good = exact(p, gradient, v, value, column);
        for (int i = 0; i < N && good; i++)
            want[i * N + j] = column[i];
    }
    return good;
}

static bool check_product(property *p, expr_id gradient, const long double *hessian)
{
    expr_id direction, product;
    double v[N];
    long double want[N];
    for (int j = 0; j < N; j++)
        v[j] = random_number(p->r, -1, 1);
    for (int i = 0; i < N; i++) {
        want[i] = 0;
        for (int j = 0; j < N; j++)
            want[i] += hessian[i * N + j] * v[j];
    }
    return expr_input(p->g, EXPR_IN_V, 0, N, 1, &direction) == PERI_OK &&
           diff_tangent(p->g, 1, &gradient, 1, &p->whole, &direction, &product) == PERI_OK &&
           evaluate_all(p, product, v, want, &p->product);
}

static bool check_hessian(property *p, expr_id root)
{
    expr_id gradient;
    long double want[N * N], sparse[N * (N + 1) / 2];
    diff_sparse s;
    if (!gradient_of(p, root, &gradient) || !exact_hessian(p, gradient, want) || !check_product(p, gradient, want))
        return false;
    const peri_status status = diff_hessian(p->g, root, 0, N, 100000, &s);
    if (status != PERI_OK)
        return status == PERI_E_UNSUPPORTED; /* through logdet, inv, expm, calls: products only */
    p->kept_sparse++;
    bool seen[N * N] = {false};
    for (int j = 0; j < N; j++)
        for (int64_t k = s.start[j]; k < s.start[j + 1]; k++) {
            sparse[k] = want[s.index[k] * N + j];
            seen[s.index[k] * N + j] = true;
        }
    for (int j = 0; j < N; j++)
        for (int i = j; i < N; i++)
            if (!seen[i * N + j])
                note(&p->hessian, (double)fabsl(want[i * N + j])); /* not in the pattern: must vanish */
    const bool good = s.nnz == 0 || evaluate_all(p, s.values, NULL, sparse, &p->hessian);
    diff_sparse_free(p->g, &s);
    return good;
}

/* The sparse Jacobian of the newest smooth items, times random vectors. */
static bool check_jacobian(property *p)
{
    expr_id parts[8], root;
    int n = 0;
    for (int k = p->r->n - 1; k >= 0 && n < 8; k--)
        if (p->r->item[k].smooth &&
            expr_reshape(p->g, p->r->item[k].e, p->r->item[k].rows * p->r->item[k].cols, 1, &parts[n]) == PERI_OK)
            n++;
    diff_sparse s;
    if (expr_stack(p->g, n, parts, &root) != PERI_OK)
        return false;
    const peri_status status = diff_jacobian(p->g, root, 0, N, &s);
    if (status != PERI_OK)
        return status == PERI_E_UNSUPPORTED;
    static double value[MOST_ENTRIES * N];
    static long double want[MOST_ENTRIES], ignored[MOST_ENTRIES];
    double *out = value;
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = p->x};
    bool good = s.nnz == 0 || expr_interpret(p->g, 1, &s.values, inputs, &out) == PERI_OK;
    for (int round = 0; round < 3 && good; round++) {
        double v[N], got[MOST_ENTRIES] = {0};
        for (int j = 0; j < N; j++)
            v[j] = random_number(p->r, -1, 1);
        for (int j = 0; j < N; j++)
            for (int64_t k = s.start[j]; k < s.start[j + 1]; k++)
                got[s.index[k]] += value[k] * v[j];
        good = exact(p, root, v, ignored, want);
        note(&p->jacobian, error_of(expr_size(p->g, root), got, want));
    }
    diff_sparse_free(p->g, &s);
    return good;
}

static bool check_graph(property *p, uint64_t seed, int made[PERI_OP_COUNT])
{
    random_graph r;
    expr_id all, smooth;
    double value;
    bool good = random_graph_make(&r, p->ctx, seed, STEPS);
    int at = 0;
    p->r = &r;
    p->g = r.m->g;
    for (int k = 0; k < r.n_vars; k++)
        for (int i = 0; i < r.item[k].rows * r.item[k].cols; i++)
            p->x[at++] = r.item[k].value[i];
    good = good && expr_input(p->g, EXPR_IN_X, 0, N, 1, &p->whole) == PERI_OK && check_values(p) &&
           random_graph_root(&r, false, &all, &value) && check_gradient(p, all) && random_graph_root(&r, true, &smooth, &value) &&
           check_hessian(p, smooth) && check_jacobian(p);
    for (int k = 0; k < PERI_OP_COUNT; k++)
        made[k] += r.made[k];
    random_graph_free(&r);
    return good;
}

/* ---- what random graphs have found, each as small as it gets --------------------------------------------------------------------------- */

static peri_expr op2(peri_model *m, peri_op op, peri_expr a, peri_expr b)
{
    const peri_expr args[2] = {a, b};
    peri_expr e = PERI_NO_EXPR;
    return peri_expr_op(m, op, b == PERI_NO_EXPR ? 1 : 2, args, &e) == PERI_OK ? e : PERI_NO_EXPR;
}

static peri_expr op1(peri_model *m, peri_op op, peri_expr a)
{
    return op2(m, op, a, PERI_NO_EXPR);
}

static void test_empty_sparse(peri_model *m, peri_expr x)
{
    const int64_t start[3] = {0, 0, 0}, none[1] = {0};
    const double nothing[1] = {0};
    const peri_array zero = {2, 3, nothing, 0, start, none};
    peri_expr s;
    diff_sparse h;
    bool good = peri_expr_const(m, &zero, &s) == PERI_OK;
    const peri_expr product = op2(m, PERI_OP_MATMUL, s, op1(m, PERI_OP_EXP, x));
    const peri_expr f = op2(m, PERI_OP_ADD, op1(m, PERI_OP_SUM, op1(m, PERI_OP_EXP, product)), op1(m, PERI_OP_SUM, op1(m, PERI_OP_EXP, x)));
    good = good && diff_hessian(m->g, f, 0, 3, 100, &h) == PERI_OK;
    ok(good && h.nnz == 3, "a sparse matrix without entries in a Hessian");
    if (good)
        diff_sparse_free(m->g, &h);
}

static void test_two_cosines(peri_model *m, peri_expr x)
{
    peri_expr named;
    const bool good = peri_expr_mark(m, x, "angle", &named) == PERI_OK;
    const peri_expr a = op2(m, PERI_OP_MUL, op1(m, PERI_OP_COS, named), op1(m, PERI_OP_SIN, named));
    const peri_expr b = op2(m, PERI_OP_SUB, a, op2(m, PERI_OP_MUL, op1(m, PERI_OP_COS, x), op1(m, PERI_OP_EXP, x)));
    property p = {.g = m->g, .x = {0.3, -0.7, 1.9}};
    long double want[3];
    ok(good && exact(&p, b, NULL, want, NULL) && evaluate_all(&p, b, NULL, want, &p.values) && p.values < 1e-15,
       "two cosines of one argument, one of them under a name, with one sine");
}

static void test_scalar_choice(peri_model *m, peri_expr x)
{
    peri_expr s = PERI_NO_EXPR, gradient, low = PERI_NO_EXPR;
    const double at[4] = {0.3, -0.7, 1.9, 0.4};
    double got = 0;
    const double *values[1] = {at};
    bool good = peri_model_var(m, "s", 1, 1, &s) == PERI_OK && peri_expr_number(m, -3, &low) == PERI_OK &&
                peri_model_set_start(m, s, 1, &at[3]) == PERI_OK;
    const peri_expr sum = op1(m, PERI_OP_SUM, op2(m, PERI_OP_SUB, x, op1(m, PERI_OP_EXP, s)));
    const peri_expr f = op2(m, PERI_OP_MAX2, op1(m, PERI_OP_SIN, sum), low);
    good = good && peri_expr_gradient(m, f, s, &gradient) == PERI_OK &&
           peri_expr_value(m, gradient, 1, &x, (const double *const *)values, &got) == PERI_OK;
    const double inner = at[0] + at[1] + at[2] - 3 * exp(at[3]);
    ok(good && fabs(got + 3 * exp(at[3]) * cos(inner)) < 1e-14, "a choice that reaches a scalar through three entries counts three times");
}

/* Entry (i, j) of the Hessian of f, by adjoints of adjoints. */
static double twice_derived(peri_model *m, peri_expr f, peri_expr x, const double *at, int i, int j)
{
    peri_expr gradient, entry, second;
    double row[3] = {NAN, NAN, NAN};
    const bool good = peri_expr_gradient(m, f, x, &gradient) == PERI_OK && expr_gather_affine(m->g, gradient, 1, 1, i, 1, &entry) == PERI_OK &&
                      peri_expr_gradient(m, entry, x, &second) == PERI_OK && peri_expr_value(m, second, 1, &x, &at, row) == PERI_OK;
    return good ? row[j] : NAN;
}

static double worst_entry(peri_model *m, peri_expr f, peri_expr x, const double *at)
{
    diff_sparse h;
    double value[6] = {0}, *out = value, worst = 0;
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = at};
    if (diff_hessian(m->g, f, 0, 3, 100, &h) != PERI_OK)
        return INFINITY;
    if (h.nnz > 0 && expr_interpret(m->g, 1, &h.values, inputs, &out) != PERI_OK)
        worst = INFINITY;
    for (int j = 0; j < 3; j++)
        for (int i = j; i < 3; i++) {
            double got = 0;
            for (int64_t k = h.start[j]; k < h.start[j + 1]; k++)
                got = h.index[k] == i ? value[k] : got;
            const double want = twice_derived(m, f, x, at, i, j), error = fabs(got - want) / fmax(1, fabs(want));
            worst = error <= worst ? worst : error; /* a NaN counts */
        }
    diff_sparse_free(m->g, &h);
    return worst;
}

/* Each operation between others: op(u v, u + w) w + op(u w, v), and the same behind a square and a choice. */
static void test_second_rules(peri_model *m, peri_expr x)
{
    static const double at[3] = {0.4, 0.7, 0.9};
    peri_expr u[3] = {0}, limit = PERI_NO_EXPR;
    double worst = peri_expr_number(m, 0.1, &limit) == PERI_OK ? 0 : INFINITY;
    for (int k = 0; k < 3; k++)
        worst = expr_gather_affine(m->g, x, 1, 1, k, 1, &u[k]) == PERI_OK ? worst : INFINITY;
    for (int op = PERI_OP_NEG; op <= PERI_OP_MAX2; op++) {
        const bool binary = op >= PERI_OP_ADD && op <= PERI_OP_MAX2;
        if (!expr_is_elementwise(op) || op == PERI_OP_WHERE)
            continue;
        const peri_expr a = op2(m, PERI_OP_MUL, u[0], u[1]), b = op2(m, PERI_OP_ADD, u[0], u[2]), c = op2(m, PERI_OP_MUL, u[0], u[2]);
        const peri_expr first = op2(m, (peri_op)op, a, binary ? b : PERI_NO_EXPR), second = op2(m, (peri_op)op, c, binary ? u[1] : PERI_NO_EXPR);
        const peri_expr f = op2(m, PERI_OP_ADD, op2(m, PERI_OP_MUL, first, u[2]), second);
        const double plain = worst_entry(m, f, x, at);
        const double chosen = worst_entry(m, op2(m, PERI_OP_MAX2, op1(m, PERI_OP_SQUARE, op1(m, PERI_OP_SIN, f)), limit), x, at);
        if (!(plain < 1e-13 && chosen < 1e-13))
            diag("%s: %.1e, chosen %.1e", peri_op_name((peri_op)op), plain, chosen);
        worst = plain <= worst ? worst : plain;
        worst = chosen <= worst ? worst : chosen;
    }
    ok(worst < 1e-13, "second derivatives of each operation, pushed, against adjoints of adjoints: %.1e", worst);
}

static void test_found(peri_context *ctx)
{
    peri_model *m = peri_model_new(ctx, "found");
    peri_expr x;
    ok(peri_model_var(m, "x", 3, 1, &x) == PERI_OK, "a model");
    test_empty_sparse(m, x);
    test_two_cosines(m, x);
    test_second_rules(m, x);
    test_scalar_choice(m, x);
    peri_model_free(m);
}

static void report(uint64_t seed, const property *p)
{
    if (p->values > TOLERANCE || p->gradient > TOLERANCE || p->hessian > TOLERANCE || p->product > TOLERANCE || p->jacobian > TOLERANCE)
        diag("graph %llu: values %.1e gradient %.1e hessian %.1e product %.1e jacobian %.1e", (unsigned long long)seed, p->values, p->gradient,
             p->hessian, p->product, p->jacobian);
}

int main(int argc, char **argv)
{
    const int graphs = argc > 1 ? atoi(argv[1]) : tap_long() ? LONG_RUN : SHORT_RUN;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : FIRST_SEED;
    property worst = {.ctx = peri_context_new(NULL)};
    int made[PERI_OP_COUNT] = {0};
    bool all = true;
    plan_later();
    test_found(worst.ctx);
    diag("%d graphs from seed %llu", graphs, (unsigned long long)first);
    for (int k = 0; k < graphs; k++) {
        property one = {.ctx = worst.ctx};
        const uint64_t seed = first + (uint64_t)k;
        if (!check_graph(&one, seed, made)) {
            diag("graph %llu: %s", (unsigned long long)seed, one.unknown != NULL ? one.unknown : peri_error(worst.ctx));
            all = false;
        }
        report(seed, &one);
        note(&worst.values, one.values);
        note(&worst.gradient, one.gradient);
        note(&worst.hessian, one.hessian);
        note(&worst.product, one.product);
        note(&worst.jacobian, one.jacobian);
        worst.kept_sparse += one.kept_sparse;
        worst.checked += one.checked;
    }
    ok(all, "%d random graphs are built, differentiated and evaluated in all ways", graphs);
    ok(worst.values <= TOLERANCE, "values, interpreter and all levels: %.1e", worst.values);
    ok(worst.gradient <= TOLERANCE, "gradients against complex steps: %.1e", worst.gradient);
    ok(worst.hessian <= TOLERANCE, "sparse Hessians against complex steps through gradients: %.1e", worst.hessian);
    ok(worst.product <= TOLERANCE, "Hessians times vectors: %.1e", worst.product);
    ok(worst.jacobian <= TOLERANCE, "sparse Jacobians against complex steps: %.1e", worst.jacobian);
    ok(worst.kept_sparse * 4 > graphs, "sparse Hessians of %d graphs", (int)worst.kept_sparse);
    ok(worst.checked > 1000 * (int64_t)graphs, "%lld numbers were compared", (long long)worst.checked);
    for (int op = 0; op < PERI_OP_COUNT && graphs >= SHORT_RUN; op++)
        if (made[op] == 0 && expr_is_elementwise(op))
            ok(false, "%s was never made", peri_op_name((peri_op)op));
    peri_context_free(worst.ctx);
    return tap_done();
}
