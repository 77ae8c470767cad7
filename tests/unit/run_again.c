/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models solved again through the public interface: with the same bits as solves that keep nothing, without asking the host for memory,
 * and with nothing stale: plans, settings, convexity and sizes follow what was changed in between.
 */
#include "tap/tap.h"
#include <math.h>
#include <perigee/perigee.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int64_t requests, blocks;
} counter;

static void *counting(void *ud, void *ptr, size_t old_size, size_t new_size)
{
    counter *c = ud;
    (void)old_size;
    c->requests += new_size != 0;
    c->blocks += (new_size != 0) - (ptr != NULL);
    if (new_size != 0)
        return realloc(ptr, new_size);
    free(ptr);
    return NULL;
}

enum { N = 10 };

typedef struct {
    peri_context *ctx;
    peri_model *m;
    peri_expr x, p;
    peri_constraint rows;
    peri_status status; /* of the first failure */
} again;

static void check(again *t, peri_status status)
{
    if (t->status == PERI_OK)
        t->status = status;
}

static peri_expr op(again *t, const char *name, peri_expr a, peri_expr b)
{
    const peri_expr args[2] = {a, b};
    peri_expr e = PERI_NO_EXPR;
    if (t->status == PERI_OK)
        check(t, peri_expr_op(t->m, peri_op_find(name), b == PERI_NO_EXPR ? 1 : 2, args, &e));
    return e;
}

static peri_expr number(again *t, double value)
{
    peri_expr e = PERI_NO_EXPR;
    if (t->status == PERI_OK)
        check(t, peri_expr_number(t->m, value, &e));
    return e;
}

static peri_expr range(again *t, int64_t n, int64_t first)
{
    peri_expr e = PERI_NO_EXPR;
    if (t->status == PERI_OK)
        check(t, peri_expr_range(t->m, t->x, n, 1, first, 1, &e));
    return e;
}

static again start(peri_context *ctx, const char *name)
{
    const double one = 1;
    again t = {.ctx = ctx, .m = peri_model_new(ctx, name), .x = PERI_NO_EXPR, .p = PERI_NO_EXPR, .status = PERI_OK};
    if (t.m == NULL)
        t.status = PERI_E_NOMEM;
    if (t.status == PERI_OK)
        check(&t, peri_model_var(t.m, "x", N, 1, &t.x));
    if (t.status == PERI_OK)
        check(&t, peri_model_param(t.m, "p", 1, 1, 1, &one, &t.p));
    return t;
}

/* sum (x_i - p)^2 + 10 (x_{i+1} - x_i^2)^2 */
static again valley(peri_context *ctx)
{
    again t = start(ctx, "valley");
    const peri_expr a = range(&t, N - 1, 0), b = range(&t, N - 1, 1);
    const peri_expr near = op(&t, "sum", op(&t, "square", op(&t, "sub", a, t.p), PERI_NO_EXPR), PERI_NO_EXPR);
    const peri_expr bend = op(&t, "square", op(&t, "sub", b, op(&t, "square", a, PERI_NO_EXPR)), PERI_NO_EXPR);
    const peri_expr f = op(&t, "add", near, op(&t, "mul", number(&t, 10), op(&t, "sum", bend, PERI_NO_EXPR)));
    if (t.status == PERI_OK)
        check(&t, peri_model_minimize(t.m, f));
    return t;
}

/* five states, five inputs: s_1 = p + u_1 / 10, s_{k+1} = s_k + u_{k+1} / 10, |u| <= 4; minimize |s|^2 + |u|^2 / 100 */
static again control(peri_context *ctx)
{
    again t = start(ctx, "control");
    static const double lower[N] = {-9, -9, -9, -9, -9, -4, -4, -4, -4, -4}, upper[N] = {9, 9, 9, 9, 9, 4, 4, 4, 4, 4}, zero = 0;
    const peri_expr u = op(&t, "mul", number(&t, 0.1), range(&t, 5, 5)), s = range(&t, 5, 0);
    const peri_expr head[2] = {t.p, range(&t, 4, 0)};
    peri_expr before = PERI_NO_EXPR;
    if (t.status == PERI_OK)
        check(&t, peri_expr_stack(t.m, 2, head, &before));
    const peri_expr rows = op(&t, "sub", op(&t, "sub", s, before), u);
    const peri_expr f = op(&t, "add", op(&t, "sum", op(&t, "square", s, PERI_NO_EXPR), PERI_NO_EXPR),
                           op(&t, "sum", op(&t, "square", u, PERI_NO_EXPR), PERI_NO_EXPR));
    if (t.status == PERI_OK)
        check(&t, peri_model_minimize(t.m, f));
    if (t.status == PERI_OK)
        check(&t, peri_model_constrain(t.m, "rows", rows, 1, &zero, &zero, &t.rows));
    if (t.status == PERI_OK)
        check(&t, peri_model_set_lower(t.m, t.x, N, lower));
    if (t.status == PERI_OK)
        check(&t, peri_model_set_upper(t.m, t.x, N, upper));
    return t;
}

/* x' Q x - p sum x with a matrix whose convexity only its factorisation shows */
static again dense(peri_context *ctx)
{
    again t = start(ctx, "dense");
    double q[N * N];
    for (int k = 0; k < N * N; k++)
        q[k] = (k / N == k % N ? 2.5 : 0) + 0.7 / (1 + abs(k / N - k % N));
    const peri_array array = {N, N, q, -1, NULL, NULL};
    peri_expr e = PERI_NO_EXPR;
    if (t.status == PERI_OK)
        check(&t, peri_expr_const(t.m, &array, &e));
    e = op(&t, "sum", op(&t, "mul", t.x, op(&t, "matmul", e, t.x)), PERI_NO_EXPR);
    e = op(&t, "sub", e, op(&t, "mul", t.p, op(&t, "sum", t.x, PERI_NO_EXPR)));
    if (t.status == PERI_OK)
        check(&t, peri_model_minimize(t.m, e));
    return t;
}

typedef again (*maker)(peri_context *ctx);

static double parameter(int k)
{
    return 1 + 0.13 * (k % 5) - 0.02 * (k % 3);
}

static bool same_bits(peri_solution *a, peri_solution *b, const again *ta, const again *tb)
{
    double x[N], y[N], zx[N], zy[N], u[N] = {0}, v[N] = {0};
    bool ok_ = peri_solution_value(a, ta->x, x) == PERI_OK && peri_solution_value(b, tb->x, y) == PERI_OK &&
               peri_solution_reduced_cost(a, ta->x, zx) == PERI_OK && peri_solution_reduced_cost(b, tb->x, zy) == PERI_OK;
    if (strcmp(peri_model_name(ta->m), "control") == 0)
        ok_ = ok_ && peri_solution_dual(a, ta->rows, u) == PERI_OK && peri_solution_dual(b, tb->rows, v) == PERI_OK;
    const double fa = peri_solution_objective(a), fb = peri_solution_objective(b);
    return ok_ && memcmp(x, y, sizeof x) == 0 && memcmp(zx, zy, sizeof zx) == 0 && memcmp(u, v, sizeof u) == 0 &&
           memcmp(&fa, &fb, sizeof fa) == 0 && peri_solution_outcome(a) == peri_solution_outcome(b) &&
           peri_solution_iterations(a) == peri_solution_iterations(b) &&
           peri_solution_history_rows(a) == peri_solution_history_rows(b);
}

/* Kept and not kept, side by side: two contexts, the same parameters, each warm from its last solution. After the first call at most
 * `spared` requests of memory reach the host. */
static void test_same(maker make, const char *plan, int spared)
{
    counter c = {0, 0};
    const peri_config config = {.alloc = counting, .alloc_ud = &c, .threads = 1};
    peri_context *one = peri_context_new(&config), *two = peri_context_new(NULL);
    again a = make(one), b = make(two);
    peri_solution *kept = NULL, *fresh = NULL, *next;
    int64_t wrong = 0, solved = 0, before = 0;
    for (int k = 0; k < 40; k++) {
        const double p = parameter(k);
        const peri_solve_args args_a = {.plan = plan, .warm_start = kept}, args_b = {.plan = plan, .warm_start = fresh};
        check(&a, peri_model_set_param(a.m, a.p, 1, &p));
        check(&b, peri_model_set_param(b.m, b.p, 1, &p));
        check(&a, peri_model_resolve(a.m, &args_a, &kept));
        if (k == 0)
            before = c.requests;
        check(&b, peri_model_solve(b.m, &args_b, &next));
        peri_solution_free(fresh);
        fresh = next;
        if (a.status != PERI_OK || b.status != PERI_OK)
            break;
        wrong += !same_bits(kept, fresh, &a, &b);
        solved += peri_solution_certificate(kept).kkt <= 1e-6;
    }
    ok(a.status == PERI_OK && b.status == PERI_OK, "%s by %s, 40 times", peri_model_name(a.m), plan != NULL ? plan : "the engine's choice");
    ok(c.requests - before <= spared, "%d requests of memory after the first, allowed are %d", (int)(c.requests - before), spared);
    is_int(wrong, 0, "with the same bits as solves that keep nothing");
    is_int(solved, 40, "all of them solved");
    peri_solution_free(kept);
    peri_solution_free(fresh);
    peri_model_free(a.m);
    peri_model_free(b.m);
    int64_t blocks;
    peri_memory(one, NULL, NULL, &blocks);
    ok(blocks > 0 && c.blocks <= blocks, "nothing is kept behind the last model");
    peri_context_free(one);
    peri_context_free(two);
    is_int(c.blocks, 0, "nor behind the context");
}

static void test_changes(peri_context *ctx)
{
    again t = valley(ctx);
    peri_solution *s = NULL;
    const peri_setting one = {"iterations", PERI_VALUE_NUMBER, 1, NULL}, two = {"iterations", PERI_VALUE_TEXT, 0, "2"};
    peri_solve_args args = {.plan = "lbfgs"};
    ok(t.status == PERI_OK && peri_model_resolve(t.m, &args, &s) == PERI_OK, "a solve");
    is_text(peri_solution_solver(s), "lbfgs", "by lbfgs");
    args.plan = "ipm";
    ok(peri_model_resolve(t.m, &args, &s) == PERI_OK, "another plan");
    is_text(peri_solution_solver(s), "ipm", "is taken");
    args = (peri_solve_args){.plan = "ipm", .n_settings = 1, .settings = &one};
    ok(peri_model_resolve(t.m, &args, &s) == PERI_OK, "a limit");
    is_int(peri_solution_outcome(s), PERI_ITERATION_LIMIT, "counts");
    is_int(peri_solution_iterations(s), 1, "one iteration");
    args.settings = &two;
    ok(peri_model_resolve(t.m, &args, &s) == PERI_OK, "another limit");
    is_int(peri_solution_iterations(s), 2, "counts too");
    args = (peri_solve_args){.plan = "ipm"};
    ok(peri_model_resolve(t.m, &args, &s) == PERI_OK, "none");
    is_int(peri_solution_outcome(s), PERI_LOCALLY_OPTIMAL, "is solved again");
    const peri_setting bad = {"iteration", PERI_VALUE_NUMBER, 1, NULL};
    args = (peri_solve_args){.plan = "ipm", .n_settings = 1, .settings = &bad};
    ok(peri_model_resolve(t.m, &args, &s) == PERI_E_OPTION, "an option that is not there");
    is_int(peri_solution_outcome(s), PERI_ERROR, "is an error of the solution too");
    has_text(peri_solution_message(s), "iterations", "whose message names the nearest");
    const peri_setting klu = {"linear_solver", PERI_VALUE_TEXT, 0, "klu"};
    args.settings = &klu;
    ok(peri_model_resolve(t.m, &args, &s) == PERI_E_UNSUPPORTED, "a linear solver for other systems");
    has_text(peri_error(ctx), "klu: does not take symmetric systems", "is refused");
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* p x^2 + x^4 is proven convex for p >= 0 only, and x^2 + p x y + y^2 for |p| <= 2: the status follows the parameter. */
static void test_convexity(peri_context *ctx)
{
    static const double values[] = {1, -1, 1, -0.5, 2};
    again t = start(ctx, "curved");
    peri_solution *s = NULL;
    peri_expr e = op(&t, "square", t.x, PERI_NO_EXPR);
    e = op(&t, "sum", op(&t, "add", op(&t, "mul", t.p, e), op(&t, "square", e, PERI_NO_EXPR)), PERI_NO_EXPR);
    ok(t.status == PERI_OK && peri_model_minimize(t.m, e) == PERI_OK, "a model");
    for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
        const peri_solve_args args = {.plan = "trust-ncg", .warm_start = s};
        ok(peri_model_set_param(t.m, t.p, 1, &values[k]) == PERI_OK && peri_model_resolve(t.m, &args, &s) == PERI_OK, "p = %g", values[k]);
        is_int(peri_solution_outcome(s), values[k] >= 0 ? PERI_OPTIMAL : PERI_LOCALLY_OPTIMAL, "optimal where that is proven");
    }
    peri_solution_free(s);
    peri_model_free(t.m);
}

static void test_growth(peri_context *ctx)
{
    again t = control(ctx);
    peri_solution *s = NULL;
    double z[3], dual;
    peri_expr more, sum;
    peri_constraint handle = 0;
    const double three = 3, infinity = INFINITY;
    ok(t.status == PERI_OK && peri_model_resolve(t.m, NULL, &s) == PERI_OK, "a solve");
    const double f = peri_solution_objective(s);
    ok(peri_model_var(t.m, "more", 3, 1, &more) == PERI_OK && peri_expr_op(t.m, peri_op_find("sum"), 1, &more, &sum) == PERI_OK &&
           peri_model_constrain(t.m, "cap", sum, 1, &three, &infinity, &handle) == PERI_OK &&
           peri_model_set_lower(t.m, more, 1, &(double){0}) == PERI_OK,
       "the model grows");
    const peri_solve_args warm = {.warm_start = s};
    ok(peri_model_resolve(t.m, &warm, &s) == PERI_E_STATE, "a warm start from before is refused");
    ok(peri_solution_value(s, t.x, (double[N]){0}) == PERI_OK, "and the solution still is what it was");
    ok(peri_model_resolve(t.m, NULL, &s) == PERI_OK, "without it the solution grows too");
    is_close(peri_solution_objective(s), f, 1e-7, 1e-9, "the objective is the same");
    ok(peri_solution_value(s, more, z) == PERI_OK && z[0] + z[1] + z[2] >= 3 - 1e-6, "the new variables are in it");
    ok(peri_solution_dual(s, handle, &dual) == PERI_OK && fabs(dual) < 1e-5, "and the new constraint's multiplier");
    again other = valley(ctx);
    ok(peri_model_resolve(other.m, NULL, &s) == PERI_E_ARGUMENT, "a solution of another model is refused");
    has_text(peri_error(ctx), "control", "by name");
    peri_model_free(other.m);
    peri_solution_free(s);
    peri_model_free(t.m);
}

static int solve_inside(void *ud, const peri_event *event)
{
    again *t = ud;
    peri_solution *s = NULL;
    (void)event;
    t->status = peri_model_resolve(t->m, NULL, &s);
    return 1;
}

static void test_errors(peri_context *ctx)
{
    again t = control(ctx);
    peri_solution *s = NULL;
    double x[N], y[N];
    const double high = 5, low = -9;
    ok(t.status == PERI_OK && peri_model_resolve(t.m, NULL, &s) == PERI_OK && peri_solution_value(s, t.x, x) == PERI_OK, "a solve");
    ok(peri_model_set_lower(t.m, t.x, 1, &high) == PERI_OK && peri_model_resolve(t.m, NULL, &s) == PERI_E_STATE, "crossed bounds");
    is_int(peri_solution_outcome(s), PERI_ERROR, "the solution says so");
    ok(peri_solution_value(s, t.x, y) == PERI_OK && memcmp(x, y, sizeof x) == 0, "and keeps its point");
    ok(peri_model_set_lower(t.m, t.x, 1, &low) == PERI_OK && peri_model_resolve(t.m, NULL, &s) == PERI_OK, "repaired");
    const peri_solve_args args = {.event = solve_inside, .event_ud = &t};
    ok(peri_model_resolve(t.m, &args, &s) == PERI_OK, "a solve whose event function solves the same model");
    is_int(t.status, PERI_E_STATE, "which is refused");
    is_int(peri_solution_outcome(s), PERI_INTERRUPTED, "and goes on until it is stopped");
    peri_solution_free(s);
    peri_model_free(t.m);
}

/* Two parameters; the first solve and one that keeps. */
static peri_status twice(peri_context *ctx, maker make)
{
    again t = make(ctx);
    peri_solution *s = NULL;
    for (int k = 0; k < 2 && t.status == PERI_OK; k++) {
        const double p = parameter(k);
        const peri_solve_args args = {.warm_start = s};
        check(&t, peri_model_set_param(t.m, t.p, 1, &p));
        if (t.status == PERI_OK)
            check(&t, peri_model_resolve(t.m, &args, &s));
    }
    peri_solution_free(s);
    peri_model_free(t.m);
    return t.status;
}

static void test_memory(maker make, const char *name)
{
    peri_context *ctx = peri_context_new(NULL);
    int64_t before, after, k = 0, others = 0, leaks = 0;
    ok(twice(ctx, make) == PERI_OK, "%s", name); /* plugins are loaded, which is not repeated */
    peri_memory(ctx, NULL, NULL, &before);
    peri_status status;
    do {
        peri_memory_fail_at(ctx, ++k, false);
        status = twice(ctx, make);
        peri_memory_fail_at(ctx, 0, false);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += after != before;
        others += status != PERI_OK && status != PERI_E_NOMEM;
    } while (status != PERI_OK && k < 100000);
    ok(status == PERI_OK && k > 50, "%d failures of an allocation, then success", (int)k - 1);
    is_int(others, 0, "each is told as such");
    is_int(leaks, 0, "and leaks nothing");
    peri_context_free(ctx);
}

int main(void)
{
    plan_later();
    test_same(valley, NULL, 0);
    test_same(valley, "lbfgs", 0);
    test_same(valley, "trust-ncg", 0);
    test_same(control, NULL, 0);
    test_same(control, "augmented-lagrangian > lbfgs", 20); /* of thousands: its inner model is compiled each time */
    test_same(dense, NULL, 0);
    peri_context *ctx = peri_context_new(NULL);
    test_changes(ctx);
    test_convexity(ctx);
    test_growth(ctx);
    test_errors(ctx);
    peri_context_free(ctx);
    test_memory(control, "a control problem");
    test_memory(dense, "a dense form");
    return tap_done();
}
