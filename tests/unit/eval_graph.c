/* SPDX-License-Identifier: Apache-2.0 */
/* eval_graph.c - see eval_graph.h. */
#include "unit/eval_graph.h"
#include "eval/program.h"
#include "tap/tap.h"
#include <math.h>
#include <stdlib.h>

void check(peri_status status)
{
    if (status == PERI_OK)
        return;
    diag("status %d", (int)status);
    exit(1);
}

double uniform(uint64_t *seed, double lo, double hi)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return lo + (hi - lo) * (double)(*seed >> 11) * 0x1p-53;
}

expr_id one(expr_graph *g, peri_op op, expr_id a)
{
    expr_id e;
    check(expr_unary(g, op, a, &e));
    return e;
}

expr_id two(expr_graph *g, peri_op op, expr_id a, expr_id b)
{
    expr_id e;
    check(expr_binary(g, op, a, b, &e));
    return e;
}

expr_id number(expr_graph *g, double v)
{
    expr_id e;
    check(expr_number(g, v, &e));
    return e;
}

expr_id affine(expr_graph *g, expr_id a, int64_t n, int64_t first, int64_t stride)
{
    expr_id e;
    check(expr_gather_affine(g, a, n, 1, first, stride, &e));
    return e;
}

double *interpreted_at(expr_graph *g, expr_id e, int64_t size, const double *x)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    double *out = calloc((size_t)size, sizeof *out);
    check(expr_interpret(g, 1, &e, inputs, &out));
    return out;
}

double *run_at(expr_graph *g, expr_id e, int64_t size, const double *x)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    const eval_output output = {e, 0, 0};
    double *out = calloc((size_t)size, sizeof *out);
    eval_program *p;
    check(eval_compile(g, 1, &output, &p));
    for (int64_t k = 0; k < size; k++)
        out[k] = NAN; /* nothing of it may stay */
    check(eval_run(p, inputs, &out));
    eval_free(p);
    return out;
}
