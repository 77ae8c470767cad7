/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_argmin.c - the solution of a lower model as an expression. The lower problem becomes a model of its own, with what it reads of the world outside
 * as a parameter; any plan solves it. Its optimality conditions are the equations: of a problem without bounds and constraints the gradient; otherwise, at
 * the active set that the solver has found, with L = f - nu'c,
 *   z_j at its bound b_j:  z_j - b_j = 0        else  dL / dz_j = 0
 *   row i at its side b_i: c_i - b_i = 0        else  nu_i = 0
 * which is the Karush-Kuhn-Tucker system divided by multipliers or distances that are not zero. Where both are (no strict complementarity) the row is left
 * out: the matrix is singular, and the message names the row. Or the equations are the host's, over the lower variables: a fixed point, say.
 * Invariant: what the solver hands over is polished by Newton on these equations, so that derivatives are those at the solution.
 */
#include "base/vector.h"
#include "run/implicit.h"
#include "run/implicit_unroll.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct implicit_problem {
    int64_t n, m;      /* variables, rows of constraints */
    bool has_bounds;   /* of variables */
    bool is_kkt;       /* else z is all of the unknown */
    bool weak;         /* at the last solution: a row without strict complementarity */
    double unit;       /* what the objective of the problem solved is multiplied by; 0: not known yet */
};

/* X is z, nu, then, all of the solver's: at-bound, off-bound, bound of each z (where there are bounds), at-side, off-side, side of each row */
enum { AT, OFF, VALUE, MARKS };

typedef struct {
    peri_model *low;
    const peri_implicit *given;
    expr_id_list vars, cons; /* nodes of the variables; bodies of the constraints */
    expr_id body;            /* the host's equations */
    implicit_frontier frontier;
    implicit *f;
    struct implicit_problem *p;
} making;

/* ---- what the lower model consists of ------------------------------------------------------------------------------ */

static peri_status find_parts(making *k)
{
    const peri_model *low = k->low, *root = low->root;
    mem *a = &low->ctx->mem;
    bool ok = true;
    for (int64_t i = 0; i < root->vars.n && ok; i++) {
        if (root->vars.at[i].level != low->level)
            continue;
        if (root->vars.at[i].integer)
            return FAIL(low->ctx, PERI_E_UNSUPPORTED, "argmin of model \"%s\": variable \"%s\" is integer, so that solutions have no derivatives",
                        low->name, root->vars.at[i].name);
        ok = vec_push(a, &k->vars, root->vars.at[i].node);
    }
    for (int64_t i = 0; i < root->cons.n && ok; i++)
        if (root->cons.at[i].level == low->level)
            ok = vec_push(a, &k->cons, root->cons.at[i].body);
    if (!ok)
        return FAIL_NOMEM(low->ctx);
    return k->vars.n > 0 ? PERI_OK : FAIL(low->ctx, PERI_E_STATE, "argmin of model \"%s\": it has no variables", low->name);
}

static peri_status check_request(making *k)
{
    const peri_model *low = k->low, *root = low->root;
    const peri_implicit *o = k->given;
    if (low == root)
        return FAIL(low->ctx, PERI_E_ARGUMENT, "argmin of model \"%s\": it lies inside no other; make it by lower", low->name);
    if (low->inside)
        return FAIL(low->ctx, PERI_E_STATE, "argmin of model \"%s\": its solution is an expression already", low->name);
    if (low->objective == PERI_NO_EXPR)
        return FAIL(low->ctx, PERI_E_STATE, "argmin of model \"%s\": it has no objective", low->name);
    for (int64_t i = 0; i < root->nested.n; i++)
        if (root->nested.at[i]->parent == low->level && !root->nested.at[i]->inside && root->nested.at[i]->objective != PERI_NO_EXPR)
            return FAIL(low->ctx, PERI_E_STATE, "argmin of model \"%s\": model \"%s\" inside it is a level; call its argmin first", low->name,
                        root->nested.at[i]->name);
    if (o->residual != PERI_NO_EXPR && o->fixed_point != PERI_NO_EXPR)
        return FAIL(low->ctx, PERI_E_ARGUMENT, "argmin of model \"%s\": one of a residual or a fixed point", low->name);
    k->body = o->residual != PERI_NO_EXPR ? o->residual : o->fixed_point;
    const char *name = o->mapping != NULL ? o->mapping : "";
    if (name[0] != '\0' && k->body != PERI_NO_EXPR)
        return FAIL(low->ctx, PERI_E_ARGUMENT, "argmin of model \"%s\": a mapping and equations of one's own were given", low->name);
    if (name[0] != '\0' && strcmp(name, "stationary") != 0 && strcmp(name, "kkt") != 0)
        return FAIL(low->ctx, PERI_E_OPTION, "argmin of model \"%s\": mapping \"%.40s\" is neither stationary nor kkt; others are given as fixed_point or "
                    "residual (see perigee.mappings)", low->name, name);
    return PERI_OK;
}

static bool has_bounds(const making *k)
{
    const peri_model *root = k->low->root;
    for (int64_t i = 0; i < root->vars.n; i++)
        for (int64_t j = 0; j < root->vars.at[i].size && root->vars.at[i].level == k->low->level; j++) {
            const int64_t at = root->vars.at[i].offset + j - root->vars.at[0].offset;
            if (isfinite(root->lower.at[at]) || isfinite(root->upper.at[at]))
                return true;
        }
    return false;
}

static int64_t entries(const expr_graph *g, const expr_id_list *list)
{
    int64_t n = 0;
    for (int64_t k = 0; k < list->n; k++)
        n += expr_size(g, list->at[k]);
    return n;
}

static peri_status find_mapping(making *k, struct implicit_problem *p)
{
    const expr_graph *g = k->low->g;
    const char *name = k->given->mapping != NULL ? k->given->mapping : "";
    p->n = entries(g, &k->vars);
    p->m = entries(g, &k->cons);
    p->has_bounds = has_bounds(k);
    p->is_kkt = k->body == PERI_NO_EXPR && strcmp(name, "stationary") != 0 && (p->m > 0 || p->has_bounds);
    if (strcmp(name, "stationary") == 0 && (p->m > 0 || p->has_bounds))
        return FAIL(k->low->ctx, PERI_E_ARGUMENT, "argmin of model \"%s\": mapping \"stationary\" is for problems without bounds and constraints; kkt "
                    "takes these", k->low->name);
    if (k->body != PERI_NO_EXPR && expr_size(g, k->body) != p->n)
        return FAIL(k->low->ctx, PERI_E_SHAPE, "argmin of model \"%s\": %lld equations for %lld variables", k->low->name,
                    (long long)expr_size(g, k->body), (long long)p->n);
    return PERI_OK;
}

/* ---- the problem as a model ---------------------------------------------------------------------------------------- */

static peri_status add_variable(making *k, const model_var *v, expr_id *image)
{
    const peri_model *root = k->low->root;
    peri_model *m = k->f->inner;
    const expr_node *node = expr_at(root->g, v->node);
    const int64_t at = v->offset - root->vars.at[0].offset;
    TRY(peri_model_var(m, v->name, node->rows, node->cols, image));
    TRY(peri_model_set_lower(m, *image, v->size, root->lower.at + at));
    TRY(peri_model_set_upper(m, *image, v->size, root->upper.at + at));
    return peri_model_set_start(m, *image, v->size, root->start.at + at);
}

/* Objective and constraints, in another graph, over images of the variables and of theta. out [1 + constraints] */
static peri_status copy_functions(making *k, const expr_id *image, expr_graph *to, expr_id theta, expr_id *out)
{
    expr_id *roots = mem_array(to->m, (size_t)k->cons.n + 1, sizeof *roots);
    if (roots == NULL)
        return FAIL_NOMEM(to->ctx);
    roots[0] = k->low->objective;
    for (int64_t i = 0; i < k->cons.n; i++)
        roots[1 + i] = k->cons.at[i];
    const peri_status status =
        implicit_transplant(k->low->g, &k->frontier, 1 + k->cons.n, roots, k->vars.n, k->vars.at, image, to, theta, out);
    mem_array_free(to->m, roots);
    return status;
}

static peri_status add_constraints(making *k, const expr_id *body)
{
    const peri_model *root = k->low->root;
    int64_t at = 0;
    for (int64_t i = 0; i < root->cons.n; i++) {
        const model_constraint *c = &root->cons.at[i];
        peri_constraint handle;
        if (c->level == k->low->level)
            TRY(peri_model_constrain(k->f->inner, c->name, body[at++], c->size, c->lower, c->upper, &handle));
    }
    return PERI_OK;
}

static peri_status fill_model(making *k, expr_id *image, expr_id *function)
{
    const peri_model *root = k->low->root;
    implicit *f = k->f;
    expr_id theta;
    char name[32] = "theta";
    int64_t at = 0;
    for (int64_t i = 0; i < root->vars.n; i++)
        if (root->vars.at[i].level == k->low->level)
            TRY(add_variable(k, &root->vars.at[i], &image[at++]));
    for (int tried = 2; peri_model_find(f->inner, name) != PERI_NO_EXPR; tried++)
        snprintf(name, sizeof name, "theta_%d", tried);
    TRY(peri_model_param(f->inner, name, f->p, 1, f->p, f->theta_at, &theta));
    TRY(copy_functions(k, image, f->inner->g, theta, function));
    TRY(add_constraints(k, function + 1));
    return (k->low->maximize ? peri_model_maximize : peri_model_minimize)(f->inner, function[0]);
}

static peri_status make_model(making *k)
{
    implicit *f = k->f;
    mem *a = &f->ctx->mem;
    f->inner = peri_model_new(f->ctx, k->low->name);
    if (f->inner == NULL)
        return PERI_E_NOMEM;
    expr_id *image = mem_array(a, (size_t)(k->vars.n + k->cons.n + 1), sizeof *image);
    const peri_status status = image != NULL ? fill_model(k, image, image + k->vars.n) : FAIL_NOMEM(f->ctx);
    mem_array_free(a, image);
    return status;
}

/* ---- its equations ------------------------------------------------------------------------------------------------- */

/* Objective and all rows (or the host's equations) as functions of f's inputs, grouped. c: PERI_NO_EXPR without rows */
static peri_status copy_raw(making *k, expr_graph *raw, expr_id *image, expr_id *function, expr_id *roots)
{
    implicit *f = k->f;
    expr_id y, theta;
    int64_t at = 0;
    TRY(expr_new_var(raw, "y", f->d + f->q, 1, &y));
    TRY(expr_new_param(raw, "theta", f->p, 1, f->theta_at, &theta));
    for (int64_t i = 0; i < k->vars.n; i++) {
        const expr_node node = *expr_at(k->low->g, k->vars.at[i]);
        TRY(expr_gather_affine(raw, y, node.rows, node.cols, at, 1, &image[i]));
        at += (int64_t)node.rows * node.cols;
    }
    if (k->body != PERI_NO_EXPR) {
        TRY(implicit_transplant(k->low->g, &k->frontier, 1, &k->body, k->vars.n, k->vars.at, image, raw, theta, roots));
        return expr_reshape(raw, roots[0], f->d, 1, &roots[0]);
    }
    TRY(copy_functions(k, image, raw, theta, function));
    roots[0] = function[0];
    roots[1] = PERI_NO_EXPR;
    for (int64_t i = 1; i <= k->cons.n; i++)
        TRY(expr_reshape(raw, function[i], expr_size(raw, function[i]), 1, &function[i]));
    return k->cons.n > 0 ? expr_stack(raw, k->cons.n, function + 1, &roots[1]) : PERI_OK;
}

static peri_status copy_grouped(making *k, expr_id *roots)
{
    implicit *f = k->f;
    expr_graph *raw = expr_graph_new(f->ctx);
    if (raw == NULL)
        return FAIL_NOMEM(f->ctx);
    expr_id *image = mem_array(&f->ctx->mem, (size_t)(k->vars.n + k->cons.n + 1), sizeof *image);
    peri_status status = image != NULL ? copy_raw(k, raw, image, image + k->vars.n, roots) : FAIL_NOMEM(f->ctx);
    if (status == PERI_OK)
        status = diff_roll(raw, k->body == PERI_NO_EXPR && k->cons.n > 0 ? 2 : 1, roots, f->g, roots);
    mem_array_free(&f->ctx->mem, image);
    expr_graph_free(raw);
    return status;
}

static peri_status part(implicit *f, int64_t at, int64_t n, expr_id *out)
{
    return expr_gather_affine(f->g, f->y, n, 1, at, 1, out);
}

/* marks[AT] (value - marks[VALUE]) + marks[OFF] other, the marks of n rows beginning at `at` in X */
static peri_status chosen(implicit *f, int64_t at, int64_t n, expr_id value, expr_id other, expr_id *out)
{
    expr_graph *g = f->g;
    expr_id mark[MARKS], t;
    for (int k = 0; k < MARKS; k++)
        TRY(part(f, at + k * n, n, &mark[k]));
    TRY(expr_binary(g, PERI_OP_SUB, value, mark[VALUE], &t));
    TRY(expr_binary(g, PERI_OP_MUL, mark[AT], t, &t));
    TRY(expr_binary(g, PERI_OP_MUL, mark[OFF], other, out));
    return expr_binary(g, PERI_OP_ADD, t, *out, out);
}

/* d (f - nu'c) / dz */
static peri_status lagrangian_gradient(making *k, const expr_id *roots, expr_id *out)
{
    implicit *f = k->f;
    expr_id seeds[2], all;
    TRY(expr_number(f->g, k->low->maximize ? -1 : 1, &seeds[0]));
    if (k->p->m > 0) {
        TRY(part(f, k->p->n, k->p->m, &seeds[1]));
        TRY(expr_unary(f->g, PERI_OP_NEG, seeds[1], &seeds[1]));
    }
    TRY(diff_adjoint(f->g, k->p->m > 0 ? 2 : 1, roots, seeds, 1, &f->y, &all));
    return expr_gather_affine(f->g, all, k->p->n, 1, 0, 1, out);
}

static peri_status make_equations(making *k)
{
    implicit *f = k->f;
    const struct implicit_problem *p = k->p;
    expr_id roots[2], F[2], nu;
    TRY(copy_grouped(k, roots));
    if (k->body != PERI_NO_EXPR) {
        F[0] = roots[0];
        if (f->is_fixed_point)
            TRY(expr_binary(f->g, PERI_OP_SUB, F[0], f->y, &F[0]));
        return implicit_finish(f, F[0]);
    }
    TRY(lagrangian_gradient(k, roots, &F[0]));
    if (p->has_bounds) {
        expr_id z;
        TRY(part(f, 0, p->n, &z));
        TRY(chosen(f, p->n + p->m, p->n, z, F[0], &F[0]));
    }
    if (p->m == 0)
        return implicit_finish(f, F[0]);
    TRY(part(f, p->n, p->m, &nu));
    TRY(chosen(f, p->n + p->m + (p->has_bounds ? MARKS * p->n : 0), p->m, roots[1], nu, &F[1]));
    TRY(expr_stack(f->g, 2, F, &F[0]));
    return implicit_finish(f, F[0]);
}

/* ---- the active set ------------------------------------------------------------------------------------------------ */

#define NEAR 1e-4 /* a multiplier and a distance up to this, of which neither is much smaller, tell no active set */

typedef struct {
    implicit *f;
    double scale;        /* of multipliers */
    char row[160];       /* of the first one without strict complementarity; "": none */
} active_set;

/* marks: at k, k + n, k + 2 n;  value v between lo and hi, multiplier u (positive at lo). ret false: it cannot be told */
static bool mark_row(active_set *s, double v, double lo, double hi, double u, int64_t n, double *marks)
{
    const bool upper = !isfinite(lo) || (isfinite(hi) && hi - v < v - lo);
    const double side = upper ? hi : lo, distance = fabs(v - side) / fmax(1, fabs(side)), size = fabs(u) / s->scale;
    const double larger = fmax(size, distance), smaller = fmin(size, distance);
    marks[0] = marks[n] = marks[2 * n] = 0;
    if (!isfinite(side)) {
        marks[n] = 1;
        return true;
    }
    marks[2 * n] = side;
    if (!(lo < hi)) { /* an equation */
        marks[0] = 1;
        return true;
    }
    if (larger < 1e-7 || (larger < NEAR && smaller > 1e-3 * larger))
        return false;
    marks[size > distance ? 0 : n] = 1;
    return true;
}

static void mark_bounds(active_set *s, const double *x, const double *z, double *marks)
{
    const peri_model *m = s->f->inner;
    const int64_t n = s->f->problem->n;
    for (int64_t j = 0; j < n; j++)
        if (!mark_row(s, x[j], m->lower.at[j], m->upper.at[j], z[j], n, marks + j) && s->row[0] == '\0')
            expr_entry_name(m->g, EXPR_IN_X, j, s->row, sizeof s->row);
}

static void mark_rows(active_set *s, const double *c, const double *nu, double *marks)
{
    const peri_model *m = s->f->inner;
    for (int64_t i = 0; i < m->m; i++) {
        const model_constraint *block = &m->cons.at[model_block_of_row(m, i)];
        const int64_t k = i - block->row;
        if (!mark_row(s, c[i], block->lower[k], block->upper[k], nu[i], m->m, marks + i) && s->row[0] == '\0')
            model_row_name(m, i, s->row, sizeof s->row);
    }
}

/* y's tail from the solution of the inner problem */
static peri_status find_active(implicit *f, const peri_solution *s, double *y)
{
    const struct implicit_problem *p = f->problem;
    double *marks = y + p->n + p->m;
    active_set set = {.f = f, .scale = fmax(1, fmax(vector_largest(p->m, s->y), vector_largest(p->n, s->z)))};
    if (p->has_bounds) {
        mark_bounds(&set, s->x, s->z, marks);
        marks += MARKS * p->n;
    }
    if (p->m > 0) {
        double *c = mem_array(&f->ctx->mem, (size_t)p->m, sizeof *c);
        nlp *view;
        peri_status status = c != NULL ? nlp_of(f->inner, &view) : FAIL_NOMEM(f->ctx);
        if (status == PERI_OK)
            status = nlp_c(view, s->x, c);
        if (status == PERI_OK)
            mark_rows(&set, c, s->y, marks);
        mem_array_free(&f->ctx->mem, c);
        TRY(status);
    }
    f->why_singular[0] = '\0';
    f->problem->weak = set.row[0] != '\0';
    if (f->problem->weak)
        snprintf(f->why_singular, sizeof f->why_singular,
                 "; %.90s is at its bound with a multiplier that is zero, so that one-sided derivatives differ", set.row);
    return PERI_OK;
}

/* ---- solving ------------------------------------------------------------------------------------------------------- */

static bool is_solved(peri_outcome outcome)
{
    return outcome == PERI_OPTIMAL || outcome == PERI_LOCALLY_OPTIMAL;
}

static peri_status not_solved(implicit *f)
{
    const peri_solution *s = f->last;
    return FAIL(f->ctx, PERI_E_DOMAIN, "its problem ended as %s after %lld iterations of %s (kkt %.1e)%s%s", peri_outcome_name(s->outcome),
                (long long)s->iterations, s->plan, s->certificate.kkt, s->message[0] != '\0' ? ": " : "", s->message);
}

/* Newton on the equations from the solver's solution, which stays where that does not help. */
static peri_status polish(implicit *f, const double *theta, double *y)
{
    const fail_record before = f->ctx->error;
    double *const kept = mem_array(&f->ctx->mem, (size_t)f->d, sizeof *kept);
    if (kept == NULL)
        return FAIL_NOMEM(f->ctx);
    memcpy(kept, y, (size_t)f->d * sizeof *y);
    peri_status status = implicit_newton_from(f, theta, y);
    double moved = 0;
    for (int64_t i = 0; i < f->problem->n; i++)
        moved = fmax(moved, fabs(y[i] - kept[i]));
    if (status == PERI_E_DOMAIN || (status == PERI_OK && moved > 0.01 * fmax(1, vector_largest(f->problem->n, kept)))) {
        memcpy(y, kept, (size_t)f->d * sizeof *y);
        f->ctx->error = before;
        status = PERI_OK;
    }
    mem_array_free(&f->ctx->mem, kept);
    return status;
}

/* The equations hold at y, as far as inner solvers go. */
static peri_status check_equations(implicit *f, const double *theta, const double *y)
{
    double *const r = f->work;
    TRY(implicit_residual(f, y, theta, r));
    const double residual = vector_largest(f->d, r), scale = fmax(1, vector_largest(f->problem->n, y));
    if (eval_is_finite(f->d, r) && residual <= (is_solved(f->last->outcome) ? 1e-3 : 1e-6) * scale)
        return PERI_OK;
    if (!is_solved(f->last->outcome))
        return not_solved(f);
    return FAIL(f->ctx, PERI_E_DOMAIN, "its solution does not fulfil the equations that are to be differentiated (residual %.1e); a problem with kinks needs a "
                "fixed point or residual of its own, see perigee.mappings", residual);
}

/* An objective that is tiny everywhere would be optimal everywhere as well. */
static peri_status scale_objective(implicit *f)
{
    peri_model *m = f->inner;
    nlp *view;
    expr_id factor, objective = m->objective;
    TRY(nlp_of(m, &view));
    TRY(nlp_find_scale(view, view->f, &f->problem->unit));
    if (!(f->problem->unit > 1))
        return PERI_OK;
    TRY(expr_number(m->g, f->problem->unit, &factor));
    TRY(expr_binary(m->g, PERI_OP_MUL, factor, objective, &objective));
    return (m->maximize ? peri_model_maximize : peri_model_minimize)(m, objective);
}

static peri_status by_argmin(implicit *f, const double *theta, double *y)
{
    const struct implicit_problem *p = f->problem;
    peri_model *m = f->inner;
    memcpy(m->g->param_value.at, theta, (size_t)f->p * sizeof *theta);
    m->data++;
    if (!(p->unit > 0))
        TRY(scale_objective(f));
    if (f->warm && f->last != NULL && f->last->n == p->n)
        memcpy(m->start.at, f->last->x, (size_t)p->n * sizeof *y);
    TRY(implicit_solve_inner(f));
    const peri_solution *s = f->last;
    const bool limited = s->outcome == PERI_ITERATION_LIMIT || s->outcome == PERI_TIME_LIMIT || s->outcome == PERI_FEASIBLE;
    if (!is_solved(s->outcome) && !limited)
        return not_solved(f);
    memcpy(y, s->x, (size_t)p->n * sizeof *y);
    if (p->is_kkt) {
        for (int64_t i = 0; i < p->m; i++)
            y[p->n + i] = s->y[i] / p->unit;
        TRY(find_active(f, s, y));
    }
    if (!p->weak)
        TRY(polish(f, theta, y));
    return p->weak ? PERI_OK : check_equations(f, theta, y);
}

/* ---- together ------------------------------------------------------------------------------------------------------ */

static peri_status find_theta(making *k)
{
    expr_graph *g = k->low->g;
    const int64_t n = 1 + k->cons.n + (k->body != PERI_NO_EXPR ? 1 : 0);
    expr_id *roots = mem_array(g->m, (size_t)n, sizeof *roots);
    if (roots == NULL)
        return FAIL_NOMEM(g->ctx);
    roots[0] = k->low->objective;
    for (int64_t i = 0; i < k->cons.n; i++)
        roots[1 + i] = k->cons.at[i];
    if (k->body != PERI_NO_EXPR)
        roots[n - 1] = k->body;
    const peri_status status = implicit_find_frontier(g, n, roots, k->vars.n, k->vars.at, 0, NULL, &k->frontier);
    mem_array_free(g->m, roots);
    return status;
}

static peri_status new_implicit(making *k, const struct implicit_problem *p)
{
    char name[160];
    const peri_implicit *o = k->given;
    const int64_t d = p->n + (p->is_kkt ? p->m : 0), q = p->is_kkt ? MARKS * (p->m + (p->has_bounds ? p->n : 0)) : 0;
    if (o->name != NULL && o->name[0] != '\0')
        snprintf(name, sizeof name, "%s", o->name);
    else
        snprintf(name, sizeof name, "argmin of model \"%.120s\"", k->low->name);
    peri_status status = implicit_new(k->low->ctx, name, d, q, k->frontier.p, &k->f);
    if (k->f == NULL)
        return status;
    const peri_status kept = implicit_keep(k->low, k->f); /* from here on the root frees it */
    TRY(kept);
    TRY(status);
    k->f->problem = arena_alloc(&k->f->data, sizeof *p);
    if (k->f->problem == NULL)
        return FAIL_NOMEM(k->f->ctx);
    *k->f->problem = *p;
    k->p = k->f->problem;
    k->f->is_fixed_point = o->fixed_point != PERI_NO_EXPR;
    k->f->solve = by_argmin;
    return PERI_OK;
}

static peri_status make_all(making *k, peri_expr *out)
{
    expr_graph *g = k->low->g;
    struct implicit_problem p = {0};
    expr_id all;
    int64_t at = 0;
    TRY(check_request(k));
    TRY(find_parts(k));
    if (k->given->unroll > 0)
        return implicit_unroll(k->low, k->given, k->vars.n, k->vars.at, k->cons.n > 0, out);
    TRY(find_mapping(k, &p));
    TRY(find_theta(k));
    TRY(new_implicit(k, &p));
    TRY(make_model(k));
    TRY(make_equations(k));
    TRY(implicit_read_options(k->f, k->given));
    TRY(implicit_read_settings(k->f, k->given->n_settings, k->given->settings, k->given->solver));
    k->f->rule.nonsmooth = k->body != PERI_NO_EXPR && implicit_has_kinks(k->f->g); /* a changing active set shows at single points only */
    TRY(expr_apply_rule(g, &k->f->rule, k->frontier.theta, &all));
    for (int64_t i = 0; i < k->vars.n; i++) {
        const expr_node node = *expr_at(g, k->vars.at[i]);
        TRY(expr_gather_affine(g, all, node.rows, node.cols, at, 1, &out[i]));
        at += (int64_t)node.rows * node.cols;
    }
    return PERI_OK;
}

int64_t peri_model_own_vars(const peri_model *m, int64_t n, peri_expr *vars)
{
    const peri_model *root = m->root;
    int64_t count = 0;
    for (int64_t i = 0; i < root->vars.n; i++) {
        if (root->vars.at[i].level != m->level)
            continue;
        if (count < n)
            vars[count] = root->vars.at[i].node;
        count++;
    }
    return count;
}

peri_status peri_model_argmin(peri_model *low, const peri_implicit *options, peri_expr *out)
{
    static const peri_implicit none = {.unknown = PERI_NO_EXPR, .residual = PERI_NO_EXPR, .fixed_point = PERI_NO_EXPR, .start = PERI_NO_EXPR};
    making k = {.low = low, .given = options != NULL ? options : &none};
    peri_status status = make_all(&k, out);
    if (status == PERI_OK)
        status = model_solved_inside(low, k.vars.n, k.vars.at, out);
    vec_free(low->g->m, &k.vars);
    vec_free(low->g->m, &k.cons);
    vec_free(low->g->m, &k.frontier.leaf);
    return status;
}
