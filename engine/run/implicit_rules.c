/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_rules.c - the derivatives of an implicit function and of the linear systems in them, as nodes. With A = -F_y, B = F_theta at (y, theta):
 *   dy = A^-1 B u;  theta gets B' A'^-1 v
 *   s = A^-1 r:   ds = A^-1 (dr + d(F_y) s);    r gets w = A'^-1 v, and (y, theta) the derivative of w'F_y s
 *   s = A'^-1 r:  ds = A'^-1 (dr + d(F_y') s);  r gets w = A^-1 v, and (y, theta) the derivative of s'F_y w
 * Products with F_y, F_theta and their derivatives are made once in the function's graph, from inputs V (a direction or s, then directions of y
 * and theta) and W, and are copied to where they are needed.
 */
#include "run/implicit.h"
#include <string.h>

/* ---- nodes of the function's own graph ----------------------------------------------------------------------------- */

/* Inputs of the class V: 0 .. d a direction of y, or s; then d + q and p for directions of y and theta. */
static peri_status input(implicit *f, int class_, int64_t at, int64_t n, expr_id *out)
{
    return expr_input(f->g, class_, at, n, 1, out);
}

/* e, with zeros behind it: n entries in all */
static peri_status padded(expr_graph *g, expr_id e, int64_t n, expr_id *out)
{
    const int64_t more = n - expr_size(g, e);
    expr_id parts[2] = {e, PERI_NO_EXPR};
    *out = e;
    if (more == 0)
        return PERI_OK;
    TRY(expr_full(g, more, 1, 0, &parts[1]));
    return expr_stack(g, 2, parts, out);
}

/* F_y s, with s in V */
peri_status implicit_need_y_tangent(implicit *f)
{
    expr_id direction;
    if (f->y_tangent != PERI_NO_EXPR)
        return PERI_OK;
    TRY(input(f, EXPR_IN_V, 0, f->d, &direction));
    TRY(padded(f->g, direction, f->d + f->q, &direction));
    return diff_tangent(f->g, 1, &f->F, 1, &f->y, &direction, &f->y_tangent);
}

static peri_status first_entries(expr_graph *g, int64_t n, expr_id e, expr_id *out)
{
    return expr_gather_affine(g, e, n, 1, 0, 1, out);
}

/* F_y' w, with w in W */
peri_status implicit_need_y_adjoint(implicit *f)
{
    expr_id w, all;
    if (f->y_adjoint != PERI_NO_EXPR)
        return PERI_OK;
    TRY(input(f, EXPR_IN_W, 0, f->d, &w));
    TRY(diff_adjoint(f->g, 1, &f->F, &w, 1, &f->y, &all));
    return first_entries(f->g, f->d, all, &f->y_adjoint);
}

peri_status implicit_need_theta_tangent(implicit *f)
{
    expr_id u;
    if (f->theta_tangent != PERI_NO_EXPR)
        return PERI_OK;
    TRY(input(f, EXPR_IN_V, 0, f->p, &u));
    return diff_tangent(f->g, 1, &f->F, 1, &f->theta, &u, &f->theta_tangent);
}

peri_status implicit_need_theta_adjoint(implicit *f)
{
    expr_id w;
    if (f->theta_adjoint != PERI_NO_EXPR)
        return PERI_OK;
    TRY(input(f, EXPR_IN_W, 0, f->d, &w));
    return diff_adjoint(f->g, 1, &f->F, &w, 1, &f->theta, &f->theta_adjoint);
}

/* The derivatives of w'F_y s by y and by theta */
peri_status implicit_need_bend(implicit *f)
{
    expr_id w, out[2];
    const expr_id by[2] = {f->y, f->theta};
    if (f->bend_y != PERI_NO_EXPR)
        return PERI_OK;
    TRY(implicit_need_y_tangent(f));
    TRY(input(f, EXPR_IN_W, 0, f->d, &w));
    TRY(diff_adjoint(f->g, 1, &f->y_tangent, &w, 2, by, out));
    TRY(first_entries(f->g, f->d, out[0], &f->bend_y));
    f->bend_theta = out[1];
    return PERI_OK;
}

/* d(F_y) s or d(F_y') s in the directions that V has behind s */
peri_status implicit_need_turned(implicit *f, bool transposed, expr_id *out)
{
    expr_id direction[2];
    const expr_id by[2] = {f->y, f->theta};
    if (*out != PERI_NO_EXPR)
        return PERI_OK;
    TRY(transposed ? implicit_need_y_adjoint(f) : implicit_need_y_tangent(f));
    TRY(input(f, EXPR_IN_V, f->d, f->d + f->q, &direction[0]));
    TRY(input(f, EXPR_IN_V, 2 * f->d + f->q, f->p, &direction[1]));
    return diff_tangent(f->g, 1, transposed ? &f->y_adjoint : &f->y_tangent, 2, by, direction, out);
}

/* The Hessian of w'F in y and theta, w in W, times the direction that V has: d entries of y, p of theta; d + p entries */
static peri_status make_second(implicit *f)
{
    expr_id w, first[2], direction[2], parts[2];
    const expr_id by[2] = {f->y, f->theta};
    if (f->second != PERI_NO_EXPR)
        return PERI_OK;
    TRY(input(f, EXPR_IN_W, 0, f->d, &w));
    TRY(diff_adjoint(f->g, 1, &f->F, &w, 2, by, first));
    TRY(first_entries(f->g, f->d, first[0], &first[0]));
    TRY(input(f, EXPR_IN_V, 0, f->d, &direction[0]));
    TRY(padded(f->g, direction[0], f->d + f->q, &direction[0]));
    TRY(input(f, EXPR_IN_V, f->d, f->p, &direction[1]));
    TRY(diff_tangent(f->g, 2, first, 2, by, direction, parts));
    return expr_stack(f->g, 2, parts, &f->second);
}

/* ---- copies -------------------------------------------------------------------------------------------------------- */

peri_status implicit_plant(implicit *f, expr_id e, expr_graph *g, expr_id y, expr_id theta, expr_id v, expr_id w, expr_id *out)
{
    const expr_id inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = y,   [EXPR_IN_PARAM] = theta,         [EXPR_IN_W] = w,
                                           [EXPR_IN_SIGMA] = PERI_NO_EXPR, [EXPR_IN_V] = v, [EXPR_IN_Y] = PERI_NO_EXPR};
    return expr_transplant(f->g, 1, &e, g, inputs, out);
}

static peri_status stack(expr_graph *g, int n, const expr_id *parts, expr_id *out)
{
    return expr_stack(g, n, parts, out);
}

static bool is_zero(const expr_graph *g, expr_id e)
{
    double value;
    return expr_constant_value(g, e, &value) && !(value < 0) && !(value > 0);
}

/* A^-1 r or A'^-1 r at (y, theta) */
static peri_status solved(implicit *f, expr_graph *g, bool transposed, expr_id y, expr_id theta, expr_id r, expr_id *out)
{
    const expr_id parts[3] = {y, theta, r};
    expr_id arg;
    TRY(expr_reshape(g, r, f->d, 1, out));
    if (is_zero(g, *out))
        return PERI_OK;
    TRY(stack(g, 3, parts, &arg));
    return expr_apply_rule(g, transposed ? &f->backward.rule : &f->forward.rule, arg, out);
}

static peri_status part(expr_graph *g, expr_id e, int64_t at, int64_t n, expr_id *out)
{
    return expr_gather_affine(g, e, n, 1, at, 1, out);
}

/* ---- y* ------------------------------------------------------------------------------------------------------------ */

static implicit *implicit_of(expr_rule *r)
{
    return (implicit *)(void *)r;
}

static peri_status value_tangent(expr_rule *r, expr_graph *g, expr_id e, expr_id t, expr_id *out)
{
    implicit *f = implicit_of(r);
    const expr_id theta = expr_at(g, e)->arg[0];
    expr_id bu;
    TRY(implicit_need_theta_tangent(f));
    TRY(expr_reshape(g, t, f->p, 1, &t));
    TRY(implicit_plant(f, f->theta_tangent, g, e, theta, t, PERI_NO_EXPR, &bu));
    TRY(solved(f, g, false, e, theta, bu, out));
    return padded(g, *out, f->d + f->q, out);
}

static peri_status value_adjoint(expr_rule *r, expr_graph *g, expr_id e, expr_id adj, expr_id *out)
{
    implicit *f = implicit_of(r);
    const expr_id theta = expr_at(g, e)->arg[0];
    expr_id w;
    TRY(implicit_need_theta_adjoint(f));
    TRY(first_entries(g, f->d, adj, &w));
    TRY(solved(f, g, true, e, theta, w, &w));
    return implicit_plant(f, f->theta_adjoint, g, e, theta, PERI_NO_EXPR, w, out);
}

static peri_status value_jacobian(expr_rule *r, expr_graph *g, expr_id e, expr_id *out)
{
    implicit *f = implicit_of(r);
    const expr_id parts[2] = {e, expr_at(g, e)->arg[0]};
    expr_id arg;
    TRY(expr_stack(g, 2, parts, &arg));
    return expr_apply_rule(g, &f->all.rule, arg, out);
}

/* ---- the systems --------------------------------------------------------------------------------------------------- */

typedef struct {
    implicit *f;
    bool transposed;
    expr_id y, theta, r; /* parts of the argument */
} system_parts;

static peri_status read_system(expr_rule *rule, expr_graph *g, expr_id e, system_parts *s)
{
    const implicit_rule *r = (const implicit_rule *)(void *)rule;
    implicit *f = r->of;
    const expr_id arg = expr_at(g, e)->arg[0];
    s->f = f;
    s->transposed = r->transposed;
    TRY(part(g, arg, 0, f->d + f->q, &s->y));
    TRY(part(g, arg, f->d + f->q, f->p, &s->theta));
    return part(g, arg, f->d + f->q + f->p, f->d, &s->r);
}

static peri_status system_tangent(expr_rule *rule, expr_graph *g, expr_id e, expr_id t, expr_id *out)
{
    system_parts s;
    TRY(read_system(rule, g, e, &s));
    implicit *f = s.f;
    const int64_t n = f->d + f->q;
    expr_id *const node = s.transposed ? &f->y_adjoint_turned : &f->y_tangent_turned;
    expr_id dr, dyt, v, more;
    TRY(part(g, t, n + f->p, f->d, &dr));
    TRY(part(g, t, 0, n + f->p, &dyt));
    TRY(implicit_need_turned(f, s.transposed, node));
    const expr_id parts[2] = {e, dyt};
    TRY(stack(g, 2, parts, &v));
    TRY(implicit_plant(f, *node, g, s.y, s.theta, v, s.transposed ? e : PERI_NO_EXPR, &more));
    TRY(expr_binary(g, PERI_OP_ADD, dr, more, &dr));
    return solved(f, g, s.transposed, s.y, s.theta, dr, out);
}

static peri_status system_adjoint(expr_rule *rule, expr_graph *g, expr_id e, expr_id adj, expr_id *out)
{
    system_parts s;
    TRY(read_system(rule, g, e, &s));
    implicit *f = s.f;
    expr_id other, parts[3];
    TRY(implicit_need_bend(f));
    TRY(solved(f, g, !s.transposed, s.y, s.theta, adj, &other));
    const expr_id v = s.transposed ? other : e, w = s.transposed ? e : other;
    TRY(implicit_plant(f, f->bend_y, g, s.y, s.theta, v, w, &parts[0]));
    TRY(padded(g, parts[0], f->d + f->q, &parts[0]));
    TRY(implicit_plant(f, f->bend_theta, g, s.y, s.theta, v, w, &parts[1]));
    parts[2] = other;
    return stack(g, 3, parts, out);
}

static peri_status system_value(expr_rule *rule, const double *x, double *out)
{
    const implicit_rule *r = (const implicit_rule *)(void *)rule;
    implicit *f = r->of;
    const double *theta = x + f->d + f->q;
    peri_status status = implicit_linear_at(f, x, theta);
    if (status == PERI_OK)
        status = implicit_linear_solve(f, r->transposed, theta + f->p, out);
    return status == PERI_E_DOMAIN ? fail_prefix(f->ctx, "%s", f->name) : status;
}

/* ---- all of dy / dtheta at once ------------------------------------------------------------------------------------ */

static peri_status compiled(implicit *f, expr_id node, eval_program **program)
{
    if (*program != NULL)
        return PERI_OK;
    const eval_output out = {.node = node};
    return eval_compile(f->g, 1, &out, program);
}

/* By columns, one system a parameter. out [(d + q) x p], zeros at first */
static peri_status by_columns(implicit *f, const double *inputs[EXPR_IN_COUNT], double *u, double *s, double *out)
{
    TRY(implicit_need_theta_tangent(f));
    TRY(compiled(f, f->theta_tangent, &f->columns));
    inputs[EXPR_IN_V] = u;
    for (int64_t j = 0; j < f->p; j++) {
        u[j] = 1;
        TRY(eval_run(f->columns, inputs, &s));
        u[j] = 0;
        TRY(implicit_linear_solve(f, false, s, s));
        for (int64_t i = 0; i < f->d; i++)
            out[i * f->p + j] = s[i];
    }
    return PERI_OK;
}

static peri_status by_rows(implicit *f, const double *inputs[EXPR_IN_COUNT], double *u, double *s, double *out)
{
    TRY(implicit_need_theta_adjoint(f));
    TRY(compiled(f, f->theta_adjoint, &f->rows));
    inputs[EXPR_IN_W] = s;
    for (int64_t i = 0; i < f->d; i++) {
        double *row = out + i * f->p;
        memset(u, 0, (size_t)f->d * sizeof *u);
        u[i] = 1;
        TRY(implicit_linear_solve(f, true, u, s));
        TRY(eval_run(f->rows, inputs, &row));
    }
    return PERI_OK;
}

static peri_status jacobian_value(expr_rule *rule, const double *x, double *out)
{
    implicit *f = ((const implicit_rule *)(void *)rule)->of;
    const int64_t n = f->d + f->q, most = f->p > f->d ? f->p : f->d;
    const double *inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = x + n};
    double *u = mem_array(&f->ctx->mem, (size_t)(2 * most), sizeof *u);
    if (u == NULL)
        return FAIL_NOMEM(f->ctx);
    memset(out, 0, (size_t)(n * f->p) * sizeof *out);
    peri_status status = implicit_linear_at(f, x, x + n);
    if (status == PERI_OK && f->p > f->d)
        status = by_rows(f, inputs, u, u + most, out);
    if ((status == PERI_OK && f->p <= f->d) || (status == PERI_E_DOMAIN && f->linear.kind >= LINEAR_OPERATOR)) {
        memset(u, 0, (size_t)f->p * sizeof *u);
        status = by_columns(f, inputs, u, u + most, out); /* a singular matrix may have solutions for these right-hand sides alone */
    }
    mem_array_free(&f->ctx->mem, u);
    return status == PERI_E_DOMAIN ? fail_prefix(f->ctx, "%s", f->name) : status;
}

static peri_status value_hessian(expr_rule *r, expr_graph *g, expr_id e, expr_id adj, expr_id *out)
{
    implicit *f = implicit_of(r);
    expr_id v, arg;
    TRY(first_entries(g, f->d, adj, &v));
    const expr_id parts[3] = {e, expr_at(g, e)->arg[0], v};
    TRY(expr_stack(g, 3, parts, &arg));
    return expr_apply_rule(g, &f->curvature.rule, arg, out);
}

/*
 * The Hessian of v'y*(theta): with w = A'^-1 v and S = dy* / dtheta it is [S; I]' (Hessian of w'F in (y, theta)) [S; I]. Column by column.
 *   w, direction, image  [d], [d + p], [d + p];  S [d x p]
 */
static peri_status fill_hessian(implicit *f, const double *inputs[EXPR_IN_COUNT], double *w, double *direction, double *image, double *S, double *out)
{
    const int64_t d = f->d, p = f->p;
    TRY(make_second(f));
    TRY(compiled(f, f->second, &f->seconds));
    TRY(by_columns(f, inputs, direction, image, S));
    inputs[EXPR_IN_V] = direction;
    inputs[EXPR_IN_W] = w;
    for (int64_t j = 0; j < p; j++) {
        for (int64_t i = 0; i < d; i++)
            direction[i] = S[i * p + j];
        direction[d + j] = 1;
        TRY(eval_run(f->seconds, inputs, &image));
        direction[d + j] = 0;
        for (int64_t k = 0; k < p; k++) {
            double sum = image[d + k];
            for (int64_t i = 0; i < d; i++)
                sum += S[i * p + k] * image[i];
            out[k * p + j] = sum;
        }
    }
    for (int64_t j = 0; j < p; j++) /* symmetric to the last bit */
        for (int64_t k = 0; k < j; k++)
            out[k * p + j] = out[j * p + k] = 0.5 * (out[k * p + j] + out[j * p + k]);
    return PERI_OK;
}

static peri_status hessian_value(expr_rule *rule, const double *x, double *out)
{
    implicit *f = ((const implicit_rule *)(void *)rule)->of;
    const int64_t n = f->d + f->q, d = f->d, p = f->p;
    const double *inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = x + n};
    double *w = mem_array(&f->ctx->mem, (size_t)(3 * d + 2 * p + d * p), sizeof *w);
    if (w == NULL)
        return FAIL_NOMEM(f->ctx);
    double *const direction = w + d, *const image = direction + d + p, *const S = image + d + p;
    peri_status status = implicit_linear_at(f, x, x + n);
    if (status == PERI_OK)
        status = implicit_linear_solve(f, true, x + n + p, w);
    if (status == PERI_OK)
        status = fill_hessian(f, inputs, w, direction, image, S, out);
    mem_array_free(&f->ctx->mem, w);
    return status == PERI_E_DOMAIN ? fail_prefix(f->ctx, "%s", f->name) : status;
}

static peri_status no_derivative(expr_rule *rule, expr_graph *g, expr_id e, expr_id t, expr_id *out)
{
    (void)e;
    (void)t;
    *out = PERI_NO_EXPR;
    return FAIL(g->ctx, PERI_E_UNSUPPORTED, "%s: its sparse derivatives have no derivatives", rule->name);
}

/* ---- together ------------------------------------------------------------------------------------------------------ */

static peri_status value_of(expr_rule *r, const double *theta, double *out)
{
    implicit *f = implicit_of(r);
    const size_t p = (size_t)f->p * sizeof *theta, n = (size_t)(f->d + f->q) * sizeof *out;
    if (!f->solved || memcmp(f->theta_at, theta, p) != 0) {
        f->solved = false;
        const peri_status status = f->solve(f, theta, f->y_at);
        if (status == PERI_E_DOMAIN)
            return fail_prefix(f->ctx, "%s", f->name);
        if (status != PERI_OK)
            return status;
        memcpy(f->theta_at, theta, p);
        f->solved = true;
    }
    memcpy(out, f->y_at, n);
    return PERI_OK;
}

void implicit_set_rules(implicit *f)
{
    const int64_t n = f->d + f->q;
    f->rule = (expr_rule){.name = f->name, .size = f->p, .rows = n, .cols = 1, .nonsmooth = f->rule.nonsmooth, .value = value_of,
                          .tangent = value_tangent, .adjoint = value_adjoint, .jacobian = value_jacobian, .hessian = value_hessian};
    f->forward.rule = (expr_rule){.name = f->name, .size = n + f->p + f->d, .rows = f->d, .cols = 1, .value = system_value,
                                  .tangent = system_tangent, .adjoint = system_adjoint};
    f->backward.rule = f->forward.rule;
    f->all.rule = (expr_rule){.name = f->name, .size = n + f->p, .rows = n, .cols = f->p, .value = jacobian_value, .tangent = no_derivative,
                              .adjoint = no_derivative};
    f->curvature.rule = (expr_rule){.name = f->name, .size = n + f->p + f->d, .rows = f->p, .cols = f->p, .value = hessian_value,
                                    .tangent = no_derivative, .adjoint = no_derivative};
    f->forward.of = f->backward.of = f->all.of = f->curvature.of = f;
    f->backward.transposed = true;
}
