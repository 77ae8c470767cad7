/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_batch_rules.c - derivatives of a batch of implicit functions: those of implicit_rules.c for each instance by itself, with one rule for all linear
 * systems. What an instance gives to the data that all have is added up.
 */
#include "run/implicit_batch.h"

static peri_status part(expr_graph *g, expr_id e, int64_t at, int64_t n, expr_id *out)
{
    return expr_gather_affine(g, e, n, 1, at, 1, out);
}

/* Parts of theta, a column of the outer graph, that instance k has: a column as the instance's theta */
static peri_status theta_of(const implicit_batch *b, expr_graph *g, expr_id theta, int64_t k, expr_id *out)
{
    expr_id *parts = mem_array(g->m, (size_t)b->n_arguments + 1, sizeof *parts);
    peri_status status = parts != NULL ? part(g, theta, 0, b->shared, &parts[0]) : FAIL_NOMEM(g->ctx);
    for (int64_t i = 0; i < b->n_arguments && status == PERI_OK; i++)
        status = part(g, theta, b->at[i] + k * b->size[i], b->size[i], &parts[1 + i]);
    if (status == PERI_OK)
        status = expr_stack(g, b->n_arguments + 1, parts, out);
    mem_array_free(g->m, parts);
    return status;
}

/* The whole theta's adjoint from the instances' [n] */
static peri_status join(const implicit_batch *b, expr_graph *g, const expr_id *of, expr_id *out)
{
    const int64_t n = 1 + b->n_arguments * b->n;
    expr_id *parts = mem_array(g->m, (size_t)n, sizeof *parts), one;
    peri_status status = parts != NULL ? part(g, of[0], 0, b->shared, &parts[0]) : FAIL_NOMEM(g->ctx);
    for (int64_t k = 1; k < b->n && status == PERI_OK; k++) {
        status = part(g, of[k], 0, b->shared, &one);
        if (status == PERI_OK)
            status = expr_binary(g, PERI_OP_ADD, parts[0], one, &parts[0]);
    }
    int64_t at = b->shared;
    for (int64_t i = 0; i < b->n_arguments && status == PERI_OK; at += b->size[i++])
        for (int64_t k = 0; k < b->n && status == PERI_OK; k++)
            status = part(g, of[k], at, b->size[i], &parts[1 + i * b->n + k]);
    if (status == PERI_OK)
        status = expr_stack(g, n, parts, out);
    mem_array_free(g->m, parts);
    return status;
}

/* ---- systems ------------------------------------------------------------------------------------------------------- */

static peri_status solved(implicit_batch *b, expr_graph *g, bool transposed, expr_id y, expr_id theta, expr_id r, expr_id *out)
{
    expr_id parts[3] = {y, theta, PERI_NO_EXPR}, arg;
    double value;
    TRY(expr_reshape(g, r, b->n * b->one->d, 1, &parts[2]));
    *out = parts[2];
    if (expr_constant_value(g, *out, &value) && !(value < 0) && !(value > 0))
        return PERI_OK;
    TRY(expr_stack(g, 3, parts, &arg));
    return expr_apply_rule(g, transposed ? &b->backward.rule : &b->forward.rule, arg, out);
}

/* A node of an instance at all of them. v, w: [n] or NULL; out [n] */
typedef struct {
    implicit_batch *b;
    expr_graph *g;
    expr_id y, theta; /* of all */
} place;

static peri_status plant(const place *at, expr_id node, int64_t k, expr_id v, expr_id w, expr_id *out)
{
    const int64_t d = at->b->one->d;
    expr_id y, theta;
    TRY(part(at->g, at->y, k * d, d, &y));
    TRY(theta_of(at->b, at->g, at->theta, k, &theta));
    return implicit_plant(at->b->one, node, at->g, y, theta, v, w, out);
}

static peri_status new_list(const implicit_batch *b, expr_graph *g, int64_t lists, expr_id **out)
{
    *out = mem_array(g->m, (size_t)(lists * b->n), sizeof **out);
    return *out != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
}

/* ---- y* ------------------------------------------------------------------------------------------------------------ */

static implicit_batch *batch_of(expr_rule *r)
{
    return (implicit_batch *)(void *)r;
}

static peri_status value_of(expr_rule *r, const double *theta, double *out)
{
    return implicit_batch_value(batch_of(r), theta, out);
}

static peri_status moved(const place *at, expr_id t, expr_id *list, expr_id *out)
{
    implicit_batch *b = at->b;
    for (int64_t k = 0; k < b->n; k++) {
        expr_id u;
        TRY(theta_of(b, at->g, t, k, &u));
        TRY(plant(at, b->one->theta_tangent, k, u, PERI_NO_EXPR, &list[k]));
    }
    TRY(expr_stack(at->g, b->n, list, out));
    return solved(b, at->g, false, at->y, at->theta, *out, out);
}

static peri_status value_tangent(expr_rule *r, expr_graph *g, expr_id e, expr_id t, expr_id *out)
{
    implicit_batch *b = batch_of(r);
    const place at = {b, g, e, expr_at(g, e)->arg[0]};
    expr_id *list;
    TRY(implicit_need_theta_tangent(b->one));
    TRY(expr_reshape(g, t, b->p, 1, &t));
    TRY(new_list(b, g, 1, &list));
    const peri_status status = moved(&at, t, list, out);
    mem_array_free(g->m, list);
    return status;
}

static peri_status pulled(const place *at, expr_id w, expr_id *list, expr_id *out)
{
    implicit_batch *b = at->b;
    const int64_t d = b->one->d;
    for (int64_t k = 0; k < b->n; k++) {
        expr_id one;
        TRY(part(at->g, w, k * d, d, &one));
        TRY(plant(at, b->one->theta_adjoint, k, PERI_NO_EXPR, one, &list[k]));
    }
    return join(b, at->g, list, out);
}

static peri_status value_adjoint(expr_rule *r, expr_graph *g, expr_id e, expr_id adj, expr_id *out)
{
    implicit_batch *b = batch_of(r);
    const place at = {b, g, e, expr_at(g, e)->arg[0]};
    expr_id w, *list;
    TRY(implicit_need_theta_adjoint(b->one));
    TRY(solved(b, g, true, e, at.theta, adj, &w));
    TRY(new_list(b, g, 1, &list));
    const peri_status status = pulled(&at, w, list, out);
    mem_array_free(g->m, list);
    return status;
}

/* ---- derivatives of systems ---------------------------------------------------------------------------------------- */

static peri_status read_system(expr_rule *rule, expr_graph *g, expr_id e, place *at, bool *transposed)
{
    const batch_rule *r = (const batch_rule *)(void *)rule;
    const int64_t n = r->of->n * r->of->one->d;
    const expr_id arg = expr_at(g, e)->arg[0];
    *at = (place){.b = r->of, .g = g};
    *transposed = r->transposed;
    TRY(part(g, arg, 0, n, &at->y));
    return part(g, arg, n, r->of->p, &at->theta);
}

/* s = e moves with r and with the matrix: what the right-hand side gets of the second, for each instance */
static peri_status turned(const place *at, bool transposed, expr_id node, expr_id e, expr_id t, expr_id *list, expr_id *out)
{
    implicit_batch *b = at->b;
    const int64_t d = b->one->d, n = b->n * d;
    expr_id dtheta;
    TRY(part(at->g, t, n, b->p, &dtheta));
    for (int64_t k = 0; k < b->n; k++) {
        expr_id parts[3], v;
        TRY(part(at->g, e, k * d, d, &parts[0]));
        TRY(part(at->g, t, k * d, d, &parts[1]));
        TRY(theta_of(b, at->g, dtheta, k, &parts[2]));
        TRY(expr_stack(at->g, 3, parts, &v));
        TRY(plant(at, node, k, v, transposed ? parts[0] : PERI_NO_EXPR, &list[k]));
    }
    return expr_stack(at->g, b->n, list, out);
}

static peri_status system_tangent(expr_rule *rule, expr_graph *g, expr_id e, expr_id t, expr_id *out)
{
    place at;
    bool transposed;
    expr_id dr, more, *list;
    TRY(read_system(rule, g, e, &at, &transposed));
    implicit_batch *b = at.b;
    expr_id *const node = transposed ? &b->one->y_adjoint_turned : &b->one->y_tangent_turned;
    const int64_t n = b->n * b->one->d;
    TRY(implicit_need_turned(b->one, transposed, node));
    TRY(part(g, t, n + b->p, n, &dr));
    TRY(new_list(b, g, 1, &list));
    const peri_status status = turned(&at, transposed, *node, e, t, list, &more);
    mem_array_free(g->m, list);
    TRY(status);
    TRY(expr_binary(g, PERI_OP_ADD, dr, more, &dr));
    return solved(b, g, transposed, at.y, at.theta, dr, out);
}

/* The derivative of w'F_y v by y and theta, for each instance. list [2 n] */
static peri_status bent(const place *at, expr_id v, expr_id w, expr_id *list, expr_id *out)
{
    implicit_batch *b = at->b;
    const int64_t d = b->one->d;
    for (int64_t k = 0; k < b->n; k++) {
        expr_id one, other;
        TRY(part(at->g, v, k * d, d, &one));
        TRY(part(at->g, w, k * d, d, &other));
        TRY(plant(at, b->one->bend_y, k, one, other, &list[k]));
        TRY(plant(at, b->one->bend_theta, k, one, other, &list[b->n + k]));
    }
    TRY(expr_stack(at->g, b->n, list, &out[0]));
    return join(b, at->g, list + b->n, &out[1]);
}

static peri_status system_adjoint(expr_rule *rule, expr_graph *g, expr_id e, expr_id adj, expr_id *out)
{
    place at;
    bool transposed;
    expr_id parts[3], *list;
    TRY(read_system(rule, g, e, &at, &transposed));
    TRY(implicit_need_bend(at.b->one));
    TRY(solved(at.b, g, !transposed, at.y, at.theta, adj, &parts[2]));
    TRY(new_list(at.b, g, 2, &list));
    const peri_status status = bent(&at, transposed ? parts[2] : e, transposed ? e : parts[2], list, parts);
    mem_array_free(g->m, list);
    TRY(status);
    return expr_stack(g, 3, parts, out);
}

static peri_status system_value(expr_rule *rule, const double *x, double *out)
{
    const batch_rule *r = (const batch_rule *)(void *)rule;
    implicit_batch *b = r->of;
    const int64_t n = b->n * b->one->d;
    for (int64_t i = 0; i < n; i++)
        out[i] = x[n + b->p + i];
    return implicit_batch_systems(b, r->transposed, x, out);
}

void implicit_batch_set_rules(implicit_batch *b)
{
    const int64_t n = b->n * b->one->d;
    b->rule = (expr_rule){.name = b->one->name, .size = b->p, .rows = n, .cols = 1, .nonsmooth = b->one->rule.nonsmooth, .value = value_of,
                          .tangent = value_tangent, .adjoint = value_adjoint};
    b->forward.rule = (expr_rule){.name = b->one->name, .size = 2 * n + b->p, .rows = n, .cols = 1, .value = system_value,
                                  .tangent = system_tangent, .adjoint = system_adjoint};
    b->backward.rule = b->forward.rule;
    b->forward.of = b->backward.of = b;
    b->backward.transposed = true;
}

const implicit_batch *implicit_batch_from(const expr_rule *rule)
{
    return rule->value == value_of ? (const implicit_batch *)(const void *)rule : NULL;
}
