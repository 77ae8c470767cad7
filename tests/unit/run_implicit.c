/* SPDX-License-Identifier: Apache-2.0 */
/* run_implicit.c - implicit functions through the C interface: a root by a host's own solver, its errors, the solution of a lower model. */
#include "tap/tap.h"
#include <math.h>
#include <perigee/perigee.h>
#include <string.h>

typedef struct {
    int calls, code;
} counter;

/* u^3 + c u = d by bisection */
static int bisect(void *ud, const double *const *arguments, const double *start, double *y)
{
    counter *count = ud;
    double low = start[0], high = 10;
    count->calls++;
    for (int k = 0; k < 200; k++) {
        const double middle = (low + high) / 2;
        *(middle * middle * middle + arguments[0][0] * middle < arguments[1][0] ? &low : &high) = middle;
    }
    y[0] = low;
    return count->code;
}

static peri_expr two(peri_model *m, peri_op op, peri_expr a, peri_expr b)
{
    const peri_expr args[2] = {a, b};
    peri_expr out;
    return peri_expr_op(m, op, 2, args, &out) == PERI_OK ? out : PERI_NO_EXPR;
}

static peri_expr number(peri_model *m, double value)
{
    peri_expr out;
    return peri_expr_number(m, value, &out) == PERI_OK ? out : PERI_NO_EXPR;
}

static void root(peri_context *ctx)
{
    peri_model *m = peri_model_new(ctx, "root");
    const double two_ = 2, three = 3;
    peri_expr c, d, u, y, g;
    counter count = {0, 0};
    double value;
    is_int(peri_model_var(m, "c", 1, 1, &c), PERI_OK, "a variable");
    is_int(peri_model_set_start(m, c, 1, &two_), PERI_OK, "its start");
    is_int(peri_model_param(m, "d", 1, 1, 1, &three, &d), PERI_OK, "a parameter");
    is_int(peri_expr_unknown(m, 1, 1, &u), PERI_OK, "an unknown");
    const peri_expr cube = two(m, PERI_OP_POW, u, number(m, 3));
    const peri_expr arguments[2] = {c, d};
    peri_implicit o = {.name = "cubic", .unknown = u, .fixed_point = PERI_NO_EXPR, .start = number(m, 0), .solve = bisect, .ud = &count,
                       .n_arguments = 2, .arguments = arguments};
    o.residual = two(m, PERI_OP_SUB, two(m, PERI_OP_ADD, cube, two(m, PERI_OP_MUL, c, u)), d);
    is_int(peri_expr_implicit(m, &o, &y), PERI_OK, "an implicit function");
    is_int(peri_expr_value(m, y, 0, NULL, NULL, &value), PERI_OK, "evaluated");
    ok(fabs(value - 1) < 1e-14, "by the host's solver: %.17g", value);
    is_int(peri_expr_gradient(m, y, c, &g), PERI_OK, "its derivative");
    is_int(peri_expr_value(m, g, 0, NULL, NULL, &value), PERI_OK, "evaluated");
    ok(fabs(value + 0.2) < 1e-13, "is that of the equation: %.17g", value);
    is_int(count.calls, 1, "with one solution for both");
    count.code = 1;
    const peri_expr vars[1] = {c};
    const double other = 1, *const values[1] = {&other};
    is_int(peri_expr_value(m, y, 1, vars, values, &value), PERI_E_DOMAIN, "a solver that finds nothing");
    has_text(peri_error(ctx), "cubic: its solver has found no solution", "is named");
    count.code = -1;
    is_int(peri_expr_value(m, y, 1, vars, values, &value), PERI_E_CALLBACK, "one that fails ends it");
    o.residual = PERI_NO_EXPR;
    is_int(peri_expr_implicit(m, &o, &y), PERI_E_ARGUMENT, "no equations");
    o.fixed_point = c;
    o.unknown = c;
    is_int(peri_expr_implicit(m, &o, &y), PERI_E_ARGUMENT, "a variable in the place of the unknown");
    o.unknown = u;
    o.linear_solver = "gmers";
    is_int(peri_expr_implicit(m, &o, &y), PERI_E_NAME, "a linear solver that is not there");
    o.linear_solver = NULL;
    o.ridge = -1;
    is_int(peri_expr_implicit(m, &o, &y), PERI_E_OPTION, "a negative ridge");
    is_int(peri_expr_value(m, u, 0, NULL, NULL, &value), PERI_E_STATE, "the unknown has no value");
    peri_model_free(m);
}

static void lower(peri_context *ctx)
{
    peri_model *m = peri_model_new(ctx, "up");
    const double start = 0.7;
    peri_expr p, w, star, g, vars[2] = {PERI_NO_EXPR, PERI_NO_EXPR};
    double value;
    is_int(peri_model_var(m, "p", 1, 1, &p), PERI_OK, "an upper variable");
    is_int(peri_model_set_start(m, p, 1, &start), PERI_OK, "its start");
    peri_model *low = peri_model_lower(m, "low");
    is_int(peri_model_var(low, "w", 1, 1, &w), PERI_OK, "a lower variable");
    const peri_expr d = two(m, PERI_OP_SUB, w, two(m, PERI_OP_MUL, number(m, 3), p));
    is_int(peri_model_minimize(low, two(m, PERI_OP_MUL, d, d)), PERI_OK, "(w - 3 p)^2");
    is_int(peri_model_own_vars(low, 2, vars), 1, "one variable");
    is_int(vars[0], w, "which is w");
    const peri_implicit kkkt = {.unknown = PERI_NO_EXPR, .residual = PERI_NO_EXPR, .fixed_point = PERI_NO_EXPR, .start = PERI_NO_EXPR, .mapping = "kkkt"};
    is_int(peri_model_argmin(low, &kkkt, &star), PERI_E_OPTION, "an unknown mapping");
    is_int(peri_model_argmin(low, NULL, &star), PERI_OK, "its solution");
    is_int(peri_expr_gradient(m, star, p, &g), PERI_OK, "by p");
    is_int(peri_expr_value(m, g, 0, NULL, NULL, &value), PERI_OK, "evaluated");
    ok(fabs(value - 3) < 1e-12, "is 3: %.17g", value);
    is_int(peri_model_argmin(low, NULL, &star), PERI_E_STATE, "once only");
    peri_solution *s = NULL;
    const peri_expr off = two(m, PERI_OP_SUB, w, number(m, 6));
    is_int(peri_model_minimize(m, two(m, PERI_OP_MUL, off, off)), PERI_OK, "an objective that reads w");
    is_int(peri_model_solve(m, NULL, &s), PERI_OK, "is that of the solution");
    is_int(peri_solution_value(s, p, &value), PERI_OK, "p");
    ok(fabs(value - 2) < 1e-6, "is 2: %.17g", value);
    is_int(peri_solution_value(s, w, &value), PERI_OK, "w");
    ok(fabs(value - 6) < 1e-6, "is 6: %.17g", value);
    peri_solution_free(s);
    peri_model_free(m);
}

/* Least squares of six instances, sin(A w) to c b: solutions and their derivatives by c, for three values of c */
enum { INSTANCES = 6, ROWS = 300, WEIGHTS = 4, VALUES = 3 };

typedef struct {
    double y[VALUES][INSTANCES * WEIGHTS], slope[VALUES];
} batch_values;

static void solve_batch(int32_t threads, batch_values *out)
{
    static double a[INSTANCES * ROWS * WEIGHTS], b[INSTANCES * ROWS];
    const peri_config config = {.threads = threads};
    peri_context *ctx = peri_context_new(&config);
    peri_model *m = peri_model_new(ctx, "batch");
    peri_expr A = PERI_NO_EXPR, B = A, c = A, u = A, held[2] = {A, A}, y, g, sum, product;
    for (int k = 0; k < INSTANCES * ROWS * WEIGHTS; k++)
        a[k] = cos(0.7 * k + 0.01 * k * (k % 7));
    for (int k = 0; k < INSTANCES * ROWS; k++)
        b[k] = sin(1.3 * k);
    bool good = peri_model_param(m, "A", INSTANCES * ROWS, WEIGHTS, INSTANCES * ROWS * WEIGHTS, a, &A) == PERI_OK;
    good = good && peri_model_param(m, "b", INSTANCES * ROWS, 1, INSTANCES * ROWS, b, &B) == PERI_OK && peri_model_var(m, "c", 1, 1, &c) == PERI_OK;
    good = good && peri_expr_unknown(m, WEIGHTS, 1, &u) == PERI_OK && peri_expr_unknown(m, ROWS, WEIGHTS, &held[0]) == PERI_OK;
    good = good && peri_expr_unknown(m, ROWS, 1, &held[1]) == PERI_OK;
    const peri_expr arguments[2] = {A, B};
    product = two(m, PERI_OP_MATMUL, held[0], u);
    good = good && peri_expr_op(m, PERI_OP_SIN, 1, &product, &product) == PERI_OK;
    const peri_implicit o = {.name = "fits", .unknown = u, .residual = two(m, PERI_OP_SUB, product, two(m, PERI_OP_MUL, c, held[1])),
                             .fixed_point = PERI_NO_EXPR, .start = PERI_NO_EXPR, .squares = true, .batch = INSTANCES, .n_arguments = 2,
                             .arguments = arguments, .placeholders = held};
    good = good && peri_expr_implicit(m, &o, &y) == PERI_OK && peri_expr_op(m, PERI_OP_SUM, 1, &y, &sum) == PERI_OK;
    good = good && peri_expr_gradient(m, sum, c, &g) == PERI_OK;
    for (int k = 0; k < VALUES && good; k++) {
        const double at = 1 + 0.1 * k, *const values[1] = {&at};
        good = peri_expr_value(m, y, 1, &c, values, out->y[k]) == PERI_OK && peri_expr_value(m, g, 1, &c, values, &out->slope[k]) == PERI_OK;
    }
    ok(good, "a batch with %d threads: %s", (int)threads, peri_error(ctx));
    peri_implicit wrong = o;
    wrong.batch = 7;
    is_int(peri_expr_implicit(m, &wrong, &y), PERI_E_SHAPE, "arguments that the instances do not divide");
    wrong = o;
    wrong.placeholders = NULL;
    is_int(peri_expr_implicit(m, &wrong, &y), PERI_E_ARGUMENT, "no placeholders");
    wrong = o;
    wrong.solver = "newton";
    is_int(peri_expr_implicit(m, &wrong, &y), PERI_E_OPTION, "least squares by Newton alone");
    peri_model_free(m);
    peri_context_free(ctx);
}

static void batch(void)
{
    static batch_values one, more;
    solve_batch(1, &one);
    for (int32_t threads = 2; threads <= 8; threads += threads / 2 + 1) {
        solve_batch(threads, &more);
        ok(memcmp(&one, &more, sizeof one) == 0, "%d threads: the bits of one thread", (int)threads);
    }
    double sums[VALUES] = {0};
    for (int k = 0; k < VALUES; k++)
        for (int i = 0; i < INSTANCES * WEIGHTS; i++)
            sums[k] += one.y[k][i];
    const double difference = (sums[2] - sums[0]) / 0.2;
    ok(fabs(difference - one.slope[1]) <= 1e-2 * fabs(difference), "the derivative is the difference's: %.6g, %.6g", one.slope[1], difference);
}

int main(void)
{
    batch();
    peri_context *ctx = peri_context_new(NULL);
    root(ctx);
    lower(ctx);
    peri_context_free(ctx);
    return tap_done();
}
