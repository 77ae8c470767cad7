/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.c - a C program built outside the tree with the installed library: minimizes (x1 - 1)^2 + 3 (x2 + 2)^2, whose minimum is 0 at
 * (1, -2), with the solver named in its first argument, and prints status, solver and point.
 */
#include <perigee/perigee.h>
#include <stdio.h>

/* weight * (x[k] - at)^2 */
static peri_status square(peri_model *m, peri_expr x, int64_t k, double at, double weight, peri_expr *out)
{
    peri_expr part, number;
    peri_status e = peri_expr_range(m, x, 1, 1, k, 1, &part);
    if (e == PERI_OK)
        e = peri_expr_number(m, at, &number);
    if (e == PERI_OK)
        e = peri_expr_op(m, peri_op_find("sub"), 2, (peri_expr[]){part, number}, &part);
    if (e == PERI_OK)
        e = peri_expr_op(m, peri_op_find("mul"), 2, (peri_expr[]){part, part}, &part);
    if (e == PERI_OK)
        e = peri_expr_number(m, weight, &number);
    if (e == PERI_OK)
        e = peri_expr_op(m, peri_op_find("mul"), 2, (peri_expr[]){number, part}, out);
    return e;
}

static peri_status build(peri_model *m, peri_expr *x)
{
    peri_expr a, b, f;
    peri_status e = peri_model_var(m, "x", 2, 1, x);
    if (e == PERI_OK)
        e = square(m, *x, 0, 1.0, 1.0, &a);
    if (e == PERI_OK)
        e = square(m, *x, 1, -2.0, 3.0, &b);
    if (e == PERI_OK)
        e = peri_expr_op(m, peri_op_find("add"), 2, (peri_expr[]){a, b}, &f);
    return e == PERI_OK ? peri_model_minimize(m, f) : e;
}

int main(int argc, char **argv)
{
    peri_context *ctx = peri_context_new(NULL);
    peri_model *m = ctx != NULL ? peri_model_new(ctx, "host") : NULL;
    peri_solution *s = NULL;
    peri_expr x;
    double at[2] = {0, 0};
    int failed = 1;
    if (m == NULL)
        return 1;
    const peri_solve_args args = {.plan = argc > 1 ? argv[1] : NULL};
    if (build(m, &x) == PERI_OK && peri_model_solve(m, &args, &s) == PERI_OK && peri_solution_value(s, x, at) == PERI_OK) {
        printf("%s %s %.4f %.4f\n", peri_outcome_name(peri_solution_outcome(s)), peri_solution_solver(s), at[0], at[1]);
        failed = 0;
    } else {
        fprintf(stderr, "host: %s\n", peri_error(ctx));
    }
    peri_solution_free(s);
    peri_model_free(m);
    peri_context_free(ctx);
    return failed;
}
