/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit.c - implicit functions made and freed: what their equations read of the model around them becomes their argument, and the equations are copied
 * into a graph of their own, in which repeated structure is grouped. Invariant: the outer graph keeps the rule alone, which its root model owns.
 */
#include "run/implicit_batch.h"
#include "plugin/registry.h"
#include <math.h>
#include <string.h>

/* ---- what the equations read --------------------------------------------------------------------------------------- */

enum { VARIES = 1, DEPENDS = 2, TAKEN = 4, WANTED = 8, BELOW = 16, FIRST = 32 };

/* marks[k] of part's node k: whether it varies with anything, and whether with the function's own unknowns */
static void mark(const expr_graph *g, const expr_part *part, unsigned char *marks)
{
    for (int64_t k = 0; k < part->nodes.n; k++) {
        const expr_id e = part->nodes.at[k];
        const expr_id *args;
        const int op = expr_at(g, e)->op;
        const int32_t n = expr_args(g, e, &args);
        if (op == PERI_OP_INPUT)
            marks[k] |= VARIES;
        for (int32_t i = 0; i < n; i++)
            marks[k] |= marks[expr_part_at(part, args[i])] & (VARIES | DEPENDS);
    }
}

static bool take(implicit_frontier *f, expr_graph *g, const expr_part *part, unsigned char *marks, expr_id e)
{
    const int64_t at = expr_part_at(part, e);
    if ((marks[at] & DEPENDS) || !(marks[at] & VARIES) || (marks[at] & TAKEN))
        return true;
    marks[at] |= TAKEN;
    return vec_push(g->m, &f->leaf, e);
}

/* Downwards from the roots, through what depends on the unknowns. */
static bool collect(implicit_frontier *f, expr_graph *g, const expr_part *part, unsigned char *marks, int64_t n_roots, const expr_id *roots)
{
    bool ok = true;
    for (int64_t k = 0; k < n_roots && ok; k++) {
        marks[expr_part_at(part, roots[k])] |= WANTED;
        ok = take(f, g, part, marks, roots[k]);
    }
    for (int64_t k = part->nodes.n; k-- > 0 && ok;) {
        const expr_id *args;
        if (!(marks[k] & WANTED) || !(marks[k] & DEPENDS))
            continue;
        const int32_t n = expr_args(g, part->nodes.at[k], &args);
        for (int32_t i = 0; i < n && ok; i++) {
            marks[expr_part_at(part, args[i])] |= WANTED;
            ok = take(f, g, part, marks, args[i]);
        }
    }
    return ok;
}

/* Entries of the inputs that leaves from `from` on are made of, marked BELOW; -1: an operation is between that had better be evaluated once, outside, or
 * operations with more than `most` entries: a network, say */
static int64_t inputs_below(const implicit_frontier *f, const expr_graph *g, const expr_part *part, unsigned char *marks, int64_t from, int64_t most)
{
    int64_t entries = 0, between = 0;
    for (int64_t k = from; k < f->leaf.n; k++)
        marks[expr_part_at(part, f->leaf.at[k])] |= BELOW;
    for (int64_t k = part->nodes.n; k-- > 0;) {
        const expr_id *args;
        const expr_id e = part->nodes.at[k];
        if (!(marks[k] & BELOW))
            continue;
        const int op = expr_at(g, e)->op;
        if (op == PERI_OP_RULE || op == PERI_OP_CALL || op == PERI_OP_CALLGRAD)
            return -1;
        entries += op == PERI_OP_INPUT ? expr_size(g, e) : 0;
        const int32_t n = expr_args(g, e, &args);
        between += n > 0 ? expr_size(g, e) : 0;
        if (between > most)
            return -1;
        for (int32_t i = 0; i < n; i++)
            if (!(marks[expr_part_at(part, args[i])] & FIRST))
                marks[expr_part_at(part, args[i])] |= BELOW;
    }
    return entries;
}

/* Leaves themselves, and so many times as many entries between them and inputs, may be evaluated inside, at each step of the solver. */
enum { WORTHWHILE = 8 };

/* Where many leaves are made of few inputs, these are the argument: Jacobians and Hessians by it are smaller. */
static bool prefer_inputs(implicit_frontier *f, expr_graph *g, const expr_part *part, unsigned char *marks, int64_t from)
{
    int64_t entries = 0;
    for (int64_t k = from; k < f->leaf.n; k++)
        entries += expr_size(g, f->leaf.at[k]);
    const int64_t inputs = inputs_below(f, g, part, marks, from, WORTHWHILE * entries);
    if (inputs < 0 || inputs >= entries)
        return true;
    f->leaf.n = from;
    bool ok = true;
    for (int64_t k = 0; k < part->nodes.n && ok; k++)
        if ((marks[k] & BELOW) && expr_at(g, part->nodes.at[k])->op == PERI_OP_INPUT)
            ok = vec_push(g->m, &f->leaf, part->nodes.at[k]);
    return ok;
}

static peri_status stack_leaves(implicit_frontier *f, expr_graph *g)
{
    f->p = 0;
    if (f->leaf.n == 0) {
        f->p = 1;
        return expr_number(g, 0, &f->theta);
    }
    expr_id *column = mem_array(g->m, (size_t)f->leaf.n, sizeof *column);
    peri_status status = column != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < f->leaf.n && status == PERI_OK; k++) {
        const int64_t size = expr_size(g, f->leaf.at[k]);
        status = expr_reshape(g, f->leaf.at[k], size, 1, &column[k]);
        f->p += size;
    }
    if (status == PERI_OK)
        status = expr_stack(g, f->leaf.n, column, &f->theta);
    mem_array_free(g->m, column);
    return status;
}

peri_status implicit_find_frontier(expr_graph *g, int64_t n_roots, const expr_id *roots, int64_t n_own, const expr_id *own, int64_t n_first,
                                   const expr_id *first, implicit_frontier *out)
{
    expr_part part;
    unsigned char *marks = NULL;
    *out = (implicit_frontier){.theta = PERI_NO_EXPR};
    TRY(expr_part_make(&part, g, n_roots, roots, NULL, NULL));
    marks = mem_array(g->m, (size_t)part.nodes.n, 1);
    bool ok = marks != NULL;
    for (int64_t k = 0; k < n_own && ok; k++)
        if (expr_part_at(&part, own[k]) >= 0)
            marks[expr_part_at(&part, own[k])] |= DEPENDS;
    if (ok)
        mark(g, &part, marks);
    for (int64_t k = 0; k < n_first && ok; k++) {
        ok = vec_push(g->m, &out->leaf, first[k]);
        if (expr_part_at(&part, first[k]) >= 0)
            marks[expr_part_at(&part, first[k])] |= TAKEN | FIRST;
    }
    ok = ok && collect(out, g, &part, marks, n_roots, roots) && prefer_inputs(out, g, &part, marks, n_first);
    mem_array_free(g->m, marks);
    expr_part_release(&part);
    const peri_status status = ok ? stack_leaves(out, g) : FAIL_NOMEM(g->ctx);
    if (status != PERI_OK)
        vec_free(g->m, &out->leaf);
    return status;
}

peri_status implicit_transplant(expr_graph *g, const implicit_frontier *frontier, int64_t n_roots, const expr_id *roots, int64_t n_own,
                                const expr_id *own, const expr_id *own_image, expr_graph *to, expr_id theta, expr_id *out)
{
    const int64_t n = n_own + frontier->leaf.n;
    expr_id *leaf = mem_array(g->m, (size_t)n, sizeof *leaf), *image = mem_array(g->m, (size_t)n, sizeof *image);
    peri_status status = leaf != NULL && image != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    int64_t at = 0;
    for (int64_t k = 0; k < frontier->leaf.n && status == PERI_OK; k++) {
        const expr_node node = *expr_at(g, frontier->leaf.at[k]);
        leaf[k] = frontier->leaf.at[k];
        status = expr_gather_affine(to, theta, node.rows, node.cols, at, 1, &image[k]);
        at += (int64_t)node.rows * node.cols;
    }
    for (int64_t k = 0; k < n_own && status == PERI_OK; k++) {
        leaf[frontier->leaf.n + k] = own[k];
        image[frontier->leaf.n + k] = own_image[k];
    }
    if (status == PERI_OK)
        status = expr_transplant_leaves(g, n_roots, roots, to, NULL, n, leaf, image, out);
    mem_array_free(g->m, leaf);
    mem_array_free(g->m, image);
    return status;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

peri_status implicit_new(peri_context *ctx, const char *name, int64_t d, int64_t q, int64_t p, implicit **out)
{
    arena data;
    arena_init(&data, &ctx->mem);
    implicit *f = arena_alloc(&data, sizeof *f);
    *out = NULL;
    if (f == NULL)
        return FAIL_NOMEM(ctx);
    *f = (implicit){.ctx = ctx, .data = data, .d = d, .q = q, .p = p, .start_at = -1, .tolerance = 1e-10, .iterations = 100,
                    .linear_tolerance = 1e-10, .y_tangent = PERI_NO_EXPR, .y_adjoint = PERI_NO_EXPR, .theta_tangent = PERI_NO_EXPR,
                    .theta_adjoint = PERI_NO_EXPR, .bend_y = PERI_NO_EXPR, .bend_theta = PERI_NO_EXPR, .y_tangent_turned = PERI_NO_EXPR,
                    .y_adjoint_turned = PERI_NO_EXPR, .second = PERI_NO_EXPR};
    context_retain(ctx);
    const size_t n = (size_t)(d + q);
    f->name = arena_string(&f->data, name);
    f->g = expr_graph_new(ctx);
    f->theta_at = arena_array(&f->data, (size_t)p, sizeof(double));
    f->y_at = arena_array(&f->data, n, sizeof(double));
    f->start = arena_array(&f->data, (size_t)d, sizeof(double));
    f->work = arena_array(&f->data, 4 * (size_t)d + n, sizeof(double));
    bool ok = f->name != NULL && f->g != NULL && f->theta_at != NULL && f->y_at != NULL && f->start != NULL && f->work != NULL;
    const peri_status status = ok ? expr_new_var(f->g, "y", d + q, 1, &f->y) : FAIL_NOMEM(ctx);
    *out = f;
    return status == PERI_OK ? expr_new_param(f->g, "theta", p, 1, f->theta_at, &f->theta) : status;
}

void implicit_free(implicit *f)
{
    if (f == NULL)
        return;
    peri_context *ctx = f->ctx;
    implicit_linear_release(f);
    implicit_batch_release(f->batch);
    eval_free(f->residual);
    eval_free(f->columns);
    eval_free(f->rows);
    eval_free(f->seconds);
    peri_solution_free(f->last);
    peri_model_free(f->inner);
    expr_graph_free(f->g);
    arena data = f->data; /* f itself lies in it */
    arena_release(&data);
    context_release(ctx);
}

static void free_owned(void *f)
{
    implicit_free(f);
}

peri_status implicit_keep(peri_model *m, implicit *f)
{
    const peri_status status = model_own(m->root, f, free_owned);
    if (status != PERI_OK)
        implicit_free(f);
    return status;
}

peri_status implicit_finish(implicit *f, expr_id F)
{
    const int64_t size = expr_size(f->g, F);
    if (size != f->d)
        return FAIL(f->ctx, PERI_E_SHAPE, "%s: %lld equations for %lld unknowns", f->name, (long long)size, (long long)f->d);
    TRY(expr_reshape(f->g, F, f->d, 1, &f->F));
    implicit_set_rules(f);
    return PERI_OK;
}

peri_status implicit_read_settings(implicit *f, int64_t n, const peri_setting *given, const char *plan)
{
    peri_setting *s = arena_array(&f->data, (size_t)n, sizeof *s);
    bool ok = s != NULL;
    for (int64_t k = 0; k < n && ok; k++) {
        s[k] = given[k];
        s[k].key = arena_string(&f->data, given[k].key);
        s[k].text = given[k].text != NULL ? arena_string(&f->data, given[k].text) : NULL;
        ok = s[k].key != NULL && (s[k].text == NULL) == (given[k].text == NULL);
    }
    f->plan = ok && plan != NULL ? arena_string(&f->data, plan) : NULL;
    if (!ok || (f->plan == NULL) != (plan == NULL))
        return FAIL_NOMEM(f->ctx);
    f->args = (peri_solve_args){.plan = f->plan, .n_settings = n, .settings = s};
    return PERI_OK;
}

/* ---- roots and fixed points ---------------------------------------------------------------------------------------- */

typedef struct {
    peri_model *m;
    const peri_implicit *given;
    const char *name;
    expr_id body; /* residual or fixed point */
} request;

static peri_status check_request(request *r)
{
    peri_model *m = r->m;
    const peri_implicit *o = r->given;
    const bool has_residual = o->residual != PERI_NO_EXPR, has_fixed = o->fixed_point != PERI_NO_EXPR;
    r->name = o->name != NULL && o->name[0] != '\0' ? o->name : "implicit";
    r->body = has_residual ? o->residual : o->fixed_point;
    if (has_residual == has_fixed)
        return FAIL(m->ctx, PERI_E_ARGUMENT, "%s: %s a residual or a fixed point is needed", r->name, has_residual ? "one of" : "either");
    if (o->unknown < 0 || o->unknown >= m->g->nodes.n || expr_at(m->g, o->unknown)->op != PERI_OP_INPUT ||
        expr_at(m->g, o->unknown)->class_ != EXPR_IN_Y)
        return FAIL(m->ctx, PERI_E_ARGUMENT, "%s: the unknown is none of this model's", r->name);
    if (r->body < 0 || r->body >= m->g->nodes.n)
        return FAIL(m->ctx, PERI_E_ARGUMENT, "%s: the equations are no expression of model \"%s\"", r->name, m->name);
    if (expr_size(m->g, r->body) != expr_size(m->g, o->unknown))
        return FAIL(m->ctx, PERI_E_SHAPE, "%s: %lld equations for %lld unknowns", r->name, (long long)expr_size(m->g, r->body),
                    (long long)expr_size(m->g, o->unknown));
    if (o->start != PERI_NO_EXPR && expr_size(m->g, o->start) != 1 && expr_size(m->g, o->start) != expr_size(m->g, o->unknown))
        return FAIL(m->ctx, PERI_E_SHAPE, "%s: %lld start values for %lld unknowns", r->name, (long long)expr_size(m->g, o->start),
                    (long long)expr_size(m->g, o->unknown));
    return PERI_OK;
}

/* Constant start values are kept; others come with theta, behind the frontier's own. */
static peri_status read_start(request *r, implicit *f)
{
    expr_graph *g = r->m->g;
    double value;
    const double *const inputs[EXPR_IN_COUNT] = {NULL};
    if (r->given->start == PERI_NO_EXPR || f->start_at >= 0)
        return PERI_OK;
    if (expr_constant_value(g, r->given->start, &value)) {
        for (int64_t i = 0; i < f->d; i++)
            f->start[i] = value;
        return PERI_OK;
    }
    return expr_interpret(g, 1, &r->given->start, inputs, &f->start);
}

peri_status implicit_read_options(implicit *f, const peri_implicit *o)
{
    if (o->tolerance > 0)
        f->tolerance = o->tolerance;
    f->iterations = o->iterations > 0 ? o->iterations : f->is_fixed_point ? 10000 : 100;
    f->linear_tolerance = o->linear_tolerance > 0 ? o->linear_tolerance : 1e-10;
    f->linear_iterations = o->linear_iterations;
    f->ridge = o->ridge;
    f->warm = o->warm;
    if (!(o->ridge >= 0) || isinf(o->ridge))
        return FAIL(f->ctx, PERI_E_OPTION, "%s: ridge is %g, must be at least 0", f->name, o->ridge);
    if (o->linear_solver != NULL && o->linear_solver[0] != '\0') {
        f->linear_solver = arena_string(&f->data, o->linear_solver);
        if (f->linear_solver == NULL)
            return FAIL_NOMEM(f->ctx);
    }
    return implicit_linear_check(f);
}

static peri_status choose_solver(request *r, implicit *f)
{
    const peri_implicit *o = r->given;
    const char *name = o->solver != NULL ? o->solver : "";
    TRY(implicit_read_settings(f, o->n_settings, o->settings, name[0] != '\0' ? name : "levenberg-marquardt"));
    f->host_solve = o->solve;
    f->ud = o->ud;
    if (o->solve != NULL)
        f->solve = implicit_by_host;
    else if (strcmp(name, "newton") == 0)
        f->solve = implicit_by_newton;
    else if (strcmp(name, "fixed-point") == 0 && f->is_fixed_point)
        f->solve = implicit_by_iteration;
    else if (strcmp(name, "fixed-point") == 0)
        return FAIL(f->ctx, PERI_E_ARGUMENT, "%s: solver \"fixed-point\" is for fixed points, and a residual was given", f->name);
    else if (name[0] == '\0')
        f->solve = f->is_fixed_point ? implicit_by_iteration : implicit_by_default;
    else
        f->solve = implicit_by_plan;
    return PERI_OK;
}

/* Where in theta the host's solver finds its arguments: they are the first of the frontier. */
static peri_status place_arguments(request *r, implicit *f)
{
    const size_t n = (size_t)r->given->n_arguments;
    int64_t at = 0;
    f->n_arguments = r->given->n_arguments;
    f->argument_at = arena_array(&f->data, n, sizeof *f->argument_at);
    f->arguments = arena_array(&f->data, n, sizeof *f->arguments);
    if (f->argument_at == NULL || f->arguments == NULL)
        return FAIL_NOMEM(f->ctx);
    for (int64_t k = 0; k < f->n_arguments; k++) {
        f->argument_at[k] = at;
        at += expr_size(r->m->g, r->given->arguments[k]);
    }
    return PERI_OK;
}

/* The equations, in f's graph, grouped. */
static peri_status copy_equations(request *r, implicit *f, const implicit_frontier *frontier)
{
    peri_context *ctx = r->m->ctx;
    expr_graph *raw = expr_graph_new(ctx);
    expr_id y, theta, F, image;
    const expr_node shape = *expr_at(r->m->g, r->given->unknown);
    if (raw == NULL)
        return FAIL_NOMEM(ctx);
    peri_status status = expr_new_var(raw, "y", f->d, 1, &y);
    if (status == PERI_OK)
        status = expr_new_param(raw, "theta", f->p, 1, f->theta_at, &theta);
    if (status == PERI_OK)
        status = expr_reshape(raw, y, shape.rows, shape.cols, &image);
    if (status == PERI_OK)
        status = implicit_transplant(r->m->g, frontier, 1, &r->body, 1, &r->given->unknown, &image, raw, theta, &F);
    if (status == PERI_OK)
        status = expr_reshape(raw, F, f->d, 1, &F);
    if (status == PERI_OK && f->is_fixed_point)
        status = expr_binary(raw, PERI_OP_SUB, F, y, &F);
    if (status == PERI_OK)
        status = diff_roll(raw, 1, &F, f->g, &F);
    expr_graph_free(raw);
    return status == PERI_OK ? implicit_finish(f, F) : status;
}

bool implicit_has_kinks(const expr_graph *g)
{
    for (expr_id e = 0; e < g->nodes.n; e++)
        if (expr_is_nonsmooth(expr_at(g, e)->op) || (expr_at(g, e)->op == PERI_OP_RULE && g->rules.at[expr_at(g, e)->ref]->nonsmooth))
            return true;
    return false;
}

static peri_status build(request *r, implicit_frontier *frontier, implicit *f, expr_id *out)
{
    expr_graph *g = r->m->g;
    const expr_node shape = *expr_at(g, r->given->unknown);
    TRY(copy_equations(r, f, frontier));
    f->rule.nonsmooth = implicit_has_kinks(f->g);
    TRY(implicit_read_options(f, r->given));
    TRY(choose_solver(r, f));
    TRY(place_arguments(r, f));
    TRY(read_start(r, f));
    TRY(expr_apply_rule(g, &f->rule, frontier->theta, out));
    return expr_reshape(g, *out, shape.rows, shape.cols, out);
}

/* Start values that vary are arguments too, the last of the first. */
static peri_status find_theta(request *r, implicit_frontier *frontier, int64_t *start_at)
{
    expr_graph *g = r->m->g;
    const peri_implicit *o = r->given;
    const int64_t n = o->n_arguments;
    double value;
    const bool varies = o->start != PERI_NO_EXPR && expr_at(g, o->start)->op != PERI_OP_CONST && !expr_constant_value(g, o->start, &value);
    expr_id *first = mem_array(g->m, (size_t)n + 1, sizeof *first);
    if (first == NULL)
        return FAIL_NOMEM(g->ctx);
    *start_at = varies ? 0 : -1;
    for (int64_t k = 0; k < n; k++) {
        first[k] = o->arguments[k];
        *start_at += varies ? expr_size(g, first[k]) : 0;
    }
    peri_status status = PERI_OK;
    if (varies) /* a node of its own: it is where the solver begins, whatever else it is */
        status = expr_broadcast(g, o->start, expr_at(g, o->unknown)->rows, expr_at(g, o->unknown)->cols, &first[n]);
    if (status == PERI_OK && varies)
        status = expr_unary(g, PERI_OP_STOP, first[n], &first[n]);
    if (status == PERI_OK)
        status = implicit_find_frontier(g, 1, &r->body, 1, &o->unknown, n + (varies ? 1 : 0), first, frontier);
    mem_array_free(g->m, first);
    return status;
}

peri_status peri_expr_unknown(peri_model *m, int64_t rows, int64_t cols, peri_expr *out)
{
    return expr_new_unknown(m->g, rows, cols, out);
}

peri_status peri_expr_implicit(peri_model *m, const peri_implicit *options, peri_expr *out)
{
    request r = {.m = m, .given = options};
    implicit_frontier frontier;
    implicit *f = NULL;
    int64_t start_at = -1;
    *out = PERI_NO_EXPR;
    if (options->batch > 0 || options->squares)
        return implicit_batch_expr(m, options, out);
    TRY(check_request(&r));
    TRY(find_theta(&r, &frontier, &start_at));
    peri_status status = implicit_new(m->ctx, r.name, expr_size(m->g, options->unknown), 0, frontier.p, &f);
    if (f != NULL) {
        const peri_status kept = implicit_keep(m, f); /* from here on its model frees it */
        status = status == PERI_OK ? kept : status;
    }
    if (status == PERI_OK) {
        f->is_fixed_point = options->fixed_point != PERI_NO_EXPR;
        f->start_at = start_at;
        status = build(&r, &frontier, f, out);
    }
    vec_free(m->g->m, &frontier.leaf);
    return status;
}
