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

int main(void)
{
    peri_context *ctx = peri_context_new(NULL);
    root(ctx);
    lower(ctx);
    peri_context_free(ctx);
    return tap_done();
}
