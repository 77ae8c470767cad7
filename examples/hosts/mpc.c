/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mpc.c - a pendulum is brought to stand upright by model-predictive control: at every sample the next HORIZON torques are planned from
 * where the pendulum is, the first of them is applied, and the plan is made anew, warm from the last one. The program counts what the
 * engine asks it for: after the first plan it is nothing.
 *
 *   cc -std=c11 mpc.c -o mpc $(pkg-config --cflags --libs perigee) -lm && ./mpc
 */
#include <math.h>
#include <perigee/perigee.h>
#include <stdio.h>
#include <stdlib.h>

enum { HORIZON = 20, SAMPLES = 60 };
static const double STEP = 0.1, TORQUE = 2.0; /* seconds; largest torque, in units of gravity's at a right angle */

/* ---- the host's memory: the engine gets all of its own from here */

typedef struct {
    long requests;
} memory;

static void *allocate(void *ud, void *block, size_t old_size, size_t new_size)
{
    memory *m = ud;
    (void)old_size;
    if (new_size == 0) {
        free(block);
        return NULL;
    }
    m->requests++;
    return realloc(block, new_size);
}

/* ---- the plan: angles a[0 .. H] and speeds w[0 .. H] with a[0], w[0] given, torques u[0 .. H - 1] */

typedef struct {
    peri_context *ctx;
    peri_model *m;
    peri_expr a, w, u, a0, w0;
    peri_status status; /* the first failure; what follows it does nothing */
} planner;

static peri_expr op(planner *p, peri_op code, peri_expr x, peri_expr y)
{
    peri_expr out = PERI_NO_EXPR;
    if (p->status == PERI_OK)
        p->status = peri_expr_op(p->m, code, y == PERI_NO_EXPR ? 1 : 2, (peri_expr[]){x, y}, &out);
    return out;
}

static peri_expr number(planner *p, double value)
{
    peri_expr out = PERI_NO_EXPR;
    if (p->status == PERI_OK)
        p->status = peri_expr_number(p->m, value, &out);
    return out;
}

/* HORIZON entries of a vector from `first` on */
static peri_expr part(planner *p, peri_expr x, int64_t first)
{
    peri_expr out = PERI_NO_EXPR;
    if (p->status == PERI_OK)
        p->status = peri_expr_range(p->m, x, HORIZON, 1, first, 1, &out);
    return out;
}

static peri_expr sum_of_squares(planner *p, peri_expr x)
{
    return op(p, PERI_OP_SUM, op(p, PERI_OP_SQUARE, x, PERI_NO_EXPR), PERI_NO_EXPR);
}

static void equal_zero(planner *p, const char *name, peri_expr e)
{
    const double zero = 0;
    peri_constraint handle;
    if (p->status == PERI_OK)
        p->status = peri_model_constrain(p->m, name, e, 1, &zero, &zero, &handle);
}

/* next - (now + STEP * rate) */
static peri_expr euler(planner *p, peri_expr x, peri_expr rate)
{
    return op(p, PERI_OP_SUB, part(p, x, 1), op(p, PERI_OP_ADD, part(p, x, 0), op(p, PERI_OP_MUL, number(p, STEP), rate)));
}

static peri_expr first_of(planner *p, peri_expr x)
{
    peri_expr out = PERI_NO_EXPR;
    if (p->status == PERI_OK)
        p->status = peri_expr_range(p->m, x, 1, 1, 0, 1, &out);
    return out;
}

static void declare(planner *p)
{
    const double zero = 0, lower = -TORQUE, upper = TORQUE;
    peri_status e = peri_model_var(p->m, "angle", HORIZON + 1, 1, &p->a);
    e = e == PERI_OK ? peri_model_var(p->m, "speed", HORIZON + 1, 1, &p->w) : e;
    e = e == PERI_OK ? peri_model_var(p->m, "torque", HORIZON, 1, &p->u) : e;
    e = e == PERI_OK ? peri_model_set_lower(p->m, p->u, 1, &lower) : e;
    e = e == PERI_OK ? peri_model_set_upper(p->m, p->u, 1, &upper) : e;
    e = e == PERI_OK ? peri_model_param(p->m, "angle now", 1, 1, 1, &zero, &p->a0) : e;
    p->status = e == PERI_OK ? peri_model_param(p->m, "speed now", 1, 1, 1, &zero, &p->w0) : e;
}

/* minimize |a|^2 + |w|^2 / 10 + |u|^2 / 100 so that a' = w, w' = sin a + u, from the present state */
static void build(planner *p)
{
    declare(p);
    equal_zero(p, "from here", op(p, PERI_OP_SUB, first_of(p, p->a), p->a0));
    equal_zero(p, "at this speed", op(p, PERI_OP_SUB, first_of(p, p->w), p->w0));
    equal_zero(p, "angles", euler(p, p->a, part(p, p->w, 0)));
    equal_zero(p, "speeds", euler(p, p->w, op(p, PERI_OP_ADD, op(p, PERI_OP_SIN, part(p, p->a, 0), PERI_NO_EXPR), p->u)));
    const peri_expr effort = op(p, PERI_OP_ADD, op(p, PERI_OP_MUL, number(p, 0.1), sum_of_squares(p, p->w)),
                                op(p, PERI_OP_MUL, number(p, 0.01), sum_of_squares(p, p->u)));
    const peri_expr cost = op(p, PERI_OP_ADD, sum_of_squares(p, p->a), effort);
    if (p->status == PERI_OK)
        p->status = peri_model_minimize(p->m, cost);
}

/* ---- the loop */

static peri_status plan(planner *p, double angle, double speed, peri_solution **s, double *torque)
{
    double all[HORIZON];
    const peri_solve_args args = {.plan = "ipm", .warm_start = *s};
    peri_status e = peri_model_set_param(p->m, p->a0, 1, &angle);
    e = e == PERI_OK ? peri_model_set_param(p->m, p->w0, 1, &speed) : e;
    e = e == PERI_OK ? peri_model_resolve(p->m, &args, s) : e;
    e = e == PERI_OK ? peri_solution_value(*s, p->u, all) : e;
    *torque = e == PERI_OK ? all[0] : 0;
    return e;
}

static int drive(planner *p, memory *m)
{
    peri_solution *s = NULL;
    double angle = 1.0, speed = 0, torque;
    long first = 0;
    int unsolved = 0;
    for (int k = 0; k < SAMPLES && p->status == PERI_OK; k++) {
        p->status = plan(p, angle, speed, &s, &torque);
        if (p->status != PERI_OK)
            break;
        first = k == 0 ? m->requests : first;
        unsolved += peri_solution_outcome(s) != PERI_OPTIMAL && peri_solution_outcome(s) != PERI_LOCALLY_OPTIMAL;
        if (k % 10 == 0)
            printf("%4.1f s  angle %8.5f  speed %8.5f  torque %8.5f\n", k * STEP, angle, speed, torque);
        const double fall = sin(angle) + torque; /* the pendulum itself */
        angle += STEP * speed;
        speed += STEP * fall;
    }
    peri_solution_free(s);
    if (p->status != PERI_OK)
        return 1;
    printf("upright to %.0e; requests of memory after the first plan: %ld\n", pow(10, ceil(log10(fabs(angle)))), m->requests - first);
    return unsolved > 0 || fabs(angle) > 1e-2 || m->requests != first;
}

int main(void)
{
    memory m = {0};
    const peri_config config = {.alloc = allocate, .alloc_ud = &m, .threads = 1};
    planner p = {.ctx = peri_context_new(&config)};
    p.m = p.ctx != NULL ? peri_model_new(p.ctx, "pendulum") : NULL;
    int failed = 1;
    if (p.m != NULL) {
        build(&p);
        failed = drive(&p, &m);
        if (p.status != PERI_OK)
            fprintf(stderr, "mpc: %s\n", peri_error(p.ctx));
    }
    peri_model_free(p.m);
    peri_context_free(p.ctx);
    return failed;
}
