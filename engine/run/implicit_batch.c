/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_batch.c - batches of implicit functions made: the equations, which have placeholders for their arguments, become those of one instance in a graph
 * of their own; residuals whose squares are least also have J'J and J'r there, and J'r = 0 as equations, whose Jacobian is
 *   exact      H = J'J + sum r_i (Hessian of r_i)
 *   root form  J'J, with J held fixed in the derivatives by the data too: dy = -J^+ dr, as if r were zero
 */
#include "diff/batch.h"
#include "run/implicit_batch.h"
#include <math.h>
#include <string.h>

typedef struct {
    peri_model *m;
    const peri_implicit *given;
    const char *name;
    int64_t n; /* instances */
    implicit_frontier frontier;
    implicit *f;
    implicit_batch *b;
    expr_id *own, *image; /* [1 + arguments] unknown and placeholders; what they become */
} making;

static bool is_unknown(const expr_graph *g, expr_id e)
{
    return e >= 0 && e < g->nodes.n && expr_at(g, e)->op == PERI_OP_INPUT && expr_at(g, e)->class_ == EXPR_IN_Y;
}

static peri_status check_arguments(const making *k)
{
    const expr_graph *g = k->m->g;
    const peri_implicit *o = k->given;
    for (int64_t i = 0; i < o->n_arguments; i++) {
        if (o->placeholders == NULL || !is_unknown(g, o->placeholders[i]))
            return FAIL(k->m->ctx, PERI_E_ARGUMENT, "%s: argument %lld of a batch has no placeholder of this model's", k->name, (long long)(i + 1));
        const int64_t whole = expr_size(g, o->arguments[i]), own = expr_size(g, o->placeholders[i]);
        if (whole != k->n * own)
            return FAIL(k->m->ctx, PERI_E_SHAPE, "%s: argument %lld has %lld entries for %lld instances of %lld", k->name, (long long)(i + 1),
                        (long long)whole, (long long)k->n, (long long)own);
    }
    return PERI_OK;
}

static peri_status check_request(making *k)
{
    const expr_graph *g = k->m->g;
    const peri_implicit *o = k->given;
    peri_context *ctx = k->m->ctx;
    k->name = o->name != NULL && o->name[0] != '\0' ? o->name : "implicit";
    if (o->residual == PERI_NO_EXPR || o->fixed_point != PERI_NO_EXPR || o->residual >= g->nodes.n)
        return FAIL(ctx, PERI_E_ARGUMENT, "%s: a batch and least squares take a residual; of a fixed point y = T(y) it is y - T(y)", k->name);
    if (k->n < 1)
        return FAIL(ctx, PERI_E_ARGUMENT, "%s: a batch has at least one instance, not %lld", k->name, (long long)k->n);
    if (!is_unknown(g, o->unknown))
        return FAIL(ctx, PERI_E_ARGUMENT, "%s: the unknown is none of this model's", k->name);
    if (o->solve != NULL || (o->solver != NULL && o->solver[0] != '\0' && strcmp(o->solver, o->squares ? "levenberg-marquardt" : "newton") != 0))
        return FAIL(ctx, PERI_E_OPTION, "%s: %s solved by %s alone", k->name, o->squares ? "least squares are" : "a batch is",
                    o->squares ? "levenberg-marquardt" : "newton");
    if (o->linear_solver != NULL && o->linear_solver[0] != '\0')
        return FAIL(ctx, PERI_E_OPTION, "%s: a batch has dense factors, no linear_solver", k->name);
    if (o->squares && expr_size(g, o->residual) < expr_size(g, o->unknown))
        return FAIL(ctx, PERI_E_SHAPE, "%s: %lld residuals do not determine %lld unknowns", k->name, (long long)expr_size(g, o->residual),
                    (long long)expr_size(g, o->unknown));
    if (!o->squares && expr_size(g, o->residual) != expr_size(g, o->unknown))
        return FAIL(ctx, PERI_E_SHAPE, "%s: %lld equations for %lld unknowns", k->name, (long long)expr_size(g, o->residual),
                    (long long)expr_size(g, o->unknown));
    if (!o->squares && (o->root_form || o->n_settings > 0))
        return FAIL(ctx, PERI_E_OPTION, "%s: root form and options of steps are for least squares", k->name);
    return check_arguments(k);
}

/* ---- options ------------------------------------------------------------------------------------------------------- */

static peri_status read_setting(making *k, const peri_setting *s)
{
    implicit_batch *b = k->b;
    if (strcmp(s->key, "rule") == 0 && s->type == PERI_VALUE_TEXT) {
        if (strcmp(s->text, "jaxopt") != 0 && strcmp(s->text, "optimistix") != 0)
            return FAIL(k->m->ctx, PERI_E_OPTION, "%s: rule \"%.40s\" is neither \"jaxopt\" nor \"optimistix\"", k->name, s->text);
        b->rule_of_steps = s->text[0] == 'j' ? BATCH_JAXOPT : BATCH_OPTIMISTIX;
        return PERI_OK;
    }
    const bool tolerance = strcmp(s->key, "tolerance") == 0, rule = strcmp(s->key, "rule") == 0;
    if (!tolerance && !rule && strcmp(s->key, "iterations") != 0)
        return FAIL(k->m->ctx, PERI_E_OPTION, "%s: its options are rule, tolerance and iterations, not %.40s", k->name, s->key);
    if (rule || s->type != PERI_VALUE_NUMBER)
        return FAIL(k->m->ctx, PERI_E_OPTION, "%s: option %s must be a %s", k->name, s->key, rule ? "name" : "number");
    if (!(s->number >= (tolerance ? 0 : 1)) || !(s->number < 1e15))
        return FAIL(k->m->ctx, PERI_E_OPTION, "%s: option %s is %g, must be at least %d", k->name, s->key, s->number, tolerance ? 0 : 1);
    if (tolerance)
        b->tolerance = s->number;
    else
        b->iterations = (int64_t)s->number;
    return PERI_OK;
}

static peri_status read_names(making *k)
{
    implicit_batch *b = k->b;
    if (k->given->instances == NULL)
        return PERI_OK;
    b->names = arena_array(&k->f->data, (size_t)b->n, sizeof *b->names);
    bool ok = b->names != NULL;
    for (int64_t i = 0; i < b->n && ok; i++)
        ok = (b->names[i] = arena_string(&k->f->data, k->given->instances[i])) != NULL;
    return ok ? PERI_OK : FAIL_NOMEM(k->f->ctx);
}

static peri_status read_start(making *k)
{
    expr_graph *g = k->m->g;
    implicit *f = k->f;
    const expr_id start = k->given->start;
    const double *const inputs[EXPR_IN_COUNT] = {NULL};
    double value;
    if (start == PERI_NO_EXPR)
        return PERI_OK;
    if (expr_constant_value(g, start, &value)) {
        for (int64_t i = 0; i < f->d; i++)
            f->start[i] = value;
        return PERI_OK;
    }
    if (expr_size(g, start) != f->d || expr_at(g, start)->op != PERI_OP_CONST)
        return FAIL(f->ctx, PERI_E_ARGUMENT, "%s: start values of a batch are constants, one number or those of one instance", f->name);
    return expr_interpret(g, 1, &start, inputs, &f->start);
}

static peri_status read_options(making *k)
{
    const peri_implicit *o = k->given;
    implicit_batch *b = k->b;
    b->squares = o->squares;
    b->root_form = o->root_form;
    b->polish = !o->unpolished;
    b->tolerance = 1e-6;
    b->iterations = 50;
    TRY(implicit_read_options(k->f, o));
    for (int64_t i = 0; i < o->n_settings; i++)
        TRY(read_setting(k, &o->settings[i]));
    TRY(read_names(k));
    return read_start(k);
}

/* ---- the graph of an instance -------------------------------------------------------------------------------------- */

/* The residual in another graph, over the unknown and the instance's theta there. */
static peri_status copy_raw(making *k, expr_graph *raw, expr_id *out)
{
    expr_graph *g = k->m->g;
    const peri_implicit *o = k->given;
    implicit *f = k->f;
    expr_id y, theta;
    int64_t at = k->frontier.p;
    TRY(expr_new_var(raw, "y", f->d, 1, &y));
    TRY(expr_new_param(raw, "theta", f->p, 1, f->theta_at, &theta));
    for (int64_t i = 0; i <= o->n_arguments; i++) {
        const expr_node shape = *expr_at(g, k->own[i]);
        if (i == 0)
            TRY(expr_reshape(raw, y, shape.rows, shape.cols, &k->image[0]));
        else
            TRY(expr_gather_affine(raw, theta, shape.rows, shape.cols, at, 1, &k->image[i]));
        at += i == 0 ? 0 : (int64_t)shape.rows * shape.cols;
    }
    TRY(implicit_transplant(g, &k->frontier, 1, &o->residual, 1 + o->n_arguments, k->own, k->image, raw, theta, out));
    return expr_reshape(raw, *out, expr_size(raw, *out), 1, out);
}

/* J' from the sparse Jacobian */
static peri_status turned_jacobian(implicit_batch *b, const diff_sparse *jac, expr_id *out)
{
    expr_graph *g = b->one->g;
    const int64_t d = b->one->d, m = b->m;
    expr_id values = jac->values;
    if (jac->nnz == 0)
        return expr_full(g, d, m, 0, out);
    TRY(diff_align(g, 1, &values, &values));
    if (jac->nnz == d * m)
        return expr_reshape(g, values, d, m, out);
    if (d * m > INT32_MAX)
        return FAIL(g->ctx, PERI_E_UNSUPPORTED, "%s: %lld residuals of %lld unknowns are too many", b->one->name, (long long)m, (long long)d);
    int32_t *index = mem_array(g->m, (size_t)jac->nnz, sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t j = 0; j < d; j++)
        for (int64_t i = jac->start[j]; i < jac->start[j + 1]; i++)
            index[i] = (int32_t)(j * m + jac->index[i]);
    const int32_t *const lists[1] = {index};
    const peri_status status = expr_scatter_sum(g, d, m, 1, &values, lists, out);
    mem_array_free(g->m, index);
    return status;
}

static peri_status make_normal(implicit_batch *b)
{
    implicit *f = b->one;
    expr_graph *g = f->g;
    diff_sparse jac = {.nnz = 0};
    expr_id pair[2];
    const peri_status status = diff_jacobian(g, b->r, 0, f->d, &jac);
    if (status != PERI_OK)
        return fail_prefix(f->ctx, "%s", f->name);
    const peri_status made = turned_jacobian(b, &jac, &pair[0]);
    diff_sparse_free(g, &jac);
    TRY(made);
    TRY(expr_op(g, PERI_OP_TRANSPOSE, 1, &pair[0], &pair[1]));
    TRY(expr_op(g, PERI_OP_MATMUL, 2, pair, &b->normal));
    pair[1] = b->r;
    return expr_op(g, PERI_OP_MATMUL, 2, pair, &b->projected);
}

/* J'r with J held fixed */
static peri_status hold_jacobian(implicit_batch *b, expr_id *out)
{
    implicit *f = b->one;
    const expr_id from[2] = {f->y, f->theta};
    expr_id to[2], held;
    for (int k = 0; k < 2; k++)
        TRY(expr_unary(f->g, PERI_OP_STOP, from[k], &to[k]));
    TRY(expr_substitute(f->g, 1, &b->r, 2, from, to, &held));
    return diff_adjoint(f->g, 1, &held, &b->r, 1, &to[0], out);
}

static peri_status make_equations(implicit_batch *b)
{
    implicit *f = b->one;
    expr_id direction;
    b->equations = b->r;
    if (b->squares) {
        TRY(make_normal(b));
        TRY(diff_adjoint(f->g, 1, &b->r, &b->r, 1, &f->y, &b->equations));
    }
    f->F = b->equations;
    if (b->root_form)
        TRY(hold_jacobian(b, &f->F));
    TRY(expr_reshape(f->g, f->F, f->d, 1, &f->F));
    TRY(expr_input(f->g, EXPR_IN_V, 0, f->d, 1, &direction));
    return diff_tangent(f->g, 1, &b->equations, 1, &f->y, &direction, &b->product);
}

enum { MOST_COLUMNS = 16 }; /* of F_y at once: what lies between is so many times as large */

/* F_y V for a V of some columns, in a graph of its own */
static peri_status widen(implicit_batch *b)
{
    implicit *f = b->one;
    expr_id roots[2] = {b->product, PERI_NO_EXPR}, images[2];
    TRY(implicit_need_y_tangent(f));
    roots[1] = f->y_tangent;
    b->width = f->d < MOST_COLUMNS ? f->d : MOST_COLUMNS;
    b->wide = expr_graph_new(f->ctx);
    if (b->wide == NULL)
        return FAIL_NOMEM(f->ctx);
    TRY(diff_batch(f->g, b->root_form ? 2 : 1, roots, b->width, 1u << EXPR_IN_V, b->wide, images));
    b->wide_product = images[0];
    b->wide_slope = b->root_form ? images[1] : PERI_NO_EXPR;
    return PERI_OK;
}

static peri_status make_graph(making *k)
{
    implicit *f = k->f;
    expr_graph *raw = expr_graph_new(f->ctx);
    if (raw == NULL)
        return FAIL_NOMEM(f->ctx);
    peri_status status = copy_raw(k, raw, &k->b->r);
    if (status == PERI_OK)
        status = diff_roll(raw, 1, &k->b->r, f->g, &k->b->r);
    expr_graph_free(raw);
    TRY(status);
    TRY(expr_reshape(f->g, k->b->r, k->b->m, 1, &k->b->r));
    f->rule.nonsmooth = implicit_has_kinks(f->g);
    TRY(make_equations(k->b));
    return widen(k->b);
}

/* ---- together ------------------------------------------------------------------------------------------------------ */

/* What all read, then the arguments. */
static peri_status stack_theta(making *k, expr_id *out)
{
    expr_graph *g = k->m->g;
    const peri_implicit *o = k->given;
    expr_id *parts = mem_array(g->m, (size_t)o->n_arguments + 1, sizeof *parts);
    peri_status status = parts != NULL ? expr_reshape(g, k->frontier.theta, k->frontier.p, 1, &parts[0]) : FAIL_NOMEM(g->ctx);
    for (int64_t i = 0; i < o->n_arguments && status == PERI_OK; i++)
        status = expr_reshape(g, o->arguments[i], expr_size(g, o->arguments[i]), 1, &parts[1 + i]);
    if (status == PERI_OK)
        status = expr_stack(g, o->n_arguments + 1, parts, out);
    mem_array_free(g->m, parts);
    return status;
}

static peri_status make_batch(making *k)
{
    const peri_implicit *o = k->given;
    arena *data = &k->f->data;
    implicit_batch *b = k->b = k->f->batch = arena_alloc(data, sizeof *b);
    if (b == NULL)
        return FAIL_NOMEM(k->f->ctx);
    const size_t n = (size_t)k->n, d = (size_t)k->f->d, n_arguments = (size_t)o->n_arguments;
    *b = (implicit_batch){.one = k->f, .n = k->n, .shared = k->frontier.p, .p = k->frontier.p, .n_arguments = o->n_arguments,
                          .m = expr_size(k->m->g, o->residual)};
    b->size = arena_array(data, n_arguments, sizeof *b->size);
    b->at = arena_array(data, n_arguments, sizeof *b->at);
    if (b->size == NULL || b->at == NULL)
        return FAIL_NOMEM(k->f->ctx);
    for (int64_t i = 0; i < o->n_arguments; i++) {
        b->at[i] = b->p;
        b->size[i] = expr_size(k->m->g, o->placeholders[i]);
        b->p += k->n * b->size[i];
    }
    b->instance = arena_array(data, n, sizeof *b->instance);
    b->theta_at = arena_array(data, (size_t)b->p, sizeof *b->theta_at);
    b->y_at = arena_array(data, n * d, sizeof *b->y_at);
    b->system_at = arena_array(data, n * d + (size_t)b->p, sizeof *b->system_at);
    b->lu = arena_array(data, n * d * d, sizeof *b->lu);
    b->pivot = arena_array(data, n * d, sizeof *b->pivot);
    b->which = arena_array(data, n, sizeof *b->which);
    b->code = arena_array(data, n, sizeof *b->code);
    const bool ok = b->instance != NULL && b->theta_at != NULL && b->y_at != NULL && b->system_at != NULL && b->lu != NULL && b->pivot != NULL &&
                    b->which != NULL && b->code != NULL;
    return ok ? PERI_OK : FAIL_NOMEM(k->f->ctx);
}

static peri_status new_instance(making *k)
{
    const peri_implicit *o = k->given;
    int64_t p = k->frontier.p;
    for (int64_t i = 0; i < o->n_arguments; i++)
        p += expr_size(k->m->g, o->placeholders[i]);
    const peri_status status = implicit_new(k->m->ctx, k->name, expr_size(k->m->g, o->unknown), 0, p, &k->f);
    if (k->f == NULL)
        return status;
    TRY(implicit_keep(k->m, k->f)); /* from here on its model frees it */
    return status;
}

static peri_status make_all(making *k, expr_id *out)
{
    expr_graph *g = k->m->g;
    const peri_implicit *o = k->given;
    const expr_node shape = *expr_at(g, o->unknown);
    expr_id theta;
    k->own[0] = o->unknown;
    for (int64_t i = 0; i < o->n_arguments; i++)
        k->own[1 + i] = o->placeholders[i];
    TRY(implicit_find_frontier(g, 1, &o->residual, 1 + o->n_arguments, k->own, 0, NULL, &k->frontier));
    TRY(new_instance(k));
    TRY(make_batch(k));
    TRY(read_options(k));
    TRY(make_graph(k));
    implicit_batch_set_rules(k->b);
    TRY(stack_theta(k, &theta));
    TRY(expr_apply_rule(g, &k->b->rule, theta, out));
    return expr_reshape(g, *out, k->n * shape.rows, shape.cols, out);
}

peri_status implicit_batch_expr(peri_model *m, const peri_implicit *options, expr_id *out)
{
    mem *const a = &m->ctx->mem;
    making k = {.m = m, .given = options, .n = options->batch != 0 ? options->batch : 1, .frontier.theta = PERI_NO_EXPR};
    *out = PERI_NO_EXPR;
    TRY(check_request(&k));
    k.own = mem_array(a, (size_t)options->n_arguments + 1, sizeof *k.own);
    k.image = mem_array(a, (size_t)options->n_arguments + 1, sizeof *k.image);
    const peri_status status = k.own != NULL && k.image != NULL ? make_all(&k, out) : FAIL_NOMEM(m->ctx);
    vec_free(a, &k.frontier.leaf);
    mem_array_free(a, k.own);
    mem_array_free(a, k.image);
    return status;
}

/* ---- what is told of it -------------------------------------------------------------------------------------------- */

static const implicit_batch *batch_of(const expr_graph *g, expr_id e)
{
    while (e >= 0 && e < g->nodes.n && expr_at(g, e)->op == PERI_OP_GATHER)
        e = expr_at(g, e)->arg[0];
    if (e < 0 || e >= g->nodes.n || expr_at(g, e)->op != PERI_OP_RULE)
        return NULL;
    return implicit_batch_from(g->rules.at[expr_at(g, e)->ref]);
}

int64_t peri_expr_instances(const peri_model *m, peri_expr e, int64_t n, peri_instance *instances)
{
    const implicit_batch *b = batch_of(m->g, e);
    for (int64_t k = 0; b != NULL && k < b->n && k < n; k++) {
        const batch_instance *at = &b->instance[k];
        instances[k] = (peri_instance){.name = b->names != NULL ? b->names[k] : NULL, .solved = at->solved, .iterations = at->iterations,
                                       .polished = at->polished, .objective = at->cost, .residual = at->length};
    }
    return b != NULL ? b->n : 0;
}

void implicit_batch_release(implicit_batch *b)
{
    if (b == NULL)
        return;
    for (int32_t t = 0; t < b->n_workers; t++)
        implicit_batch_release_worker(&b->workers[t]);
    expr_graph_free(b->wide);
}
