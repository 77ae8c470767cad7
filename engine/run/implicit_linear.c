/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_linear.c - systems A s = r with A = -dF/dy of an implicit function, at one point after another: the point's factors, or the point itself where
 * A is known by its products, serve all right-hand sides until the point changes. What is solved is M s = -+ r with M = F_y, or I - T_y for a fixed
 * point: M is positive definite where F is the gradient of a convex function. Small matrices are factorised here; others by linear-solver plugins:
 *   formed     the sparse Jacobian exists: sparse factors
 *   operator   products F_y v and w'F_y by the tangent and the adjoint of F: Krylov methods
 *   normal     conjugate gradients on M'M (M M' for transposed systems)
 * Invariant: a matrix that is singular to working precision is an error with its condition number; nothing is added to it but the user's ridge.
 */
#include "eval/lu.h"
#include "run/factor.h"
#include "run/implicit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Up to so many unknowns own loops factorise; up to FORMED a matrix with up to a third of its entries is formed; beyond, one with few a row. */
enum { DENSE = 128, FORMED = 1500, FEW_A_ROW = 60 };
#define SINGULAR 1e14 /* condition numbers from here on */
#define ROUGH 1e-4    /* residual of a step's system, relative */

static const char NORMAL_CG[] = "normal-cg";

/* ---- programs ------------------------------------------------------------------------------------------------------ */

static peri_status compile(implicit *f, expr_id node, eval_program **program)
{
    const eval_output out = {.node = node};
    if (*program != NULL)
        return PERI_OK;
    return eval_compile(f->g, 1, &out, program);
}

static peri_status need_product(implicit *f, bool transposed)
{
    if (transposed ? f->linear.vj != NULL : f->linear.jv != NULL)
        return PERI_OK;
    TRY(transposed ? implicit_need_y_adjoint(f) : implicit_need_y_tangent(f));
    return transposed ? compile(f, f->y_adjoint, &f->linear.vj) : compile(f, f->y_tangent, &f->linear.jv);
}

static double sign_of(const implicit *f)
{
    return f->is_fixed_point ? -1 : 1;
}

/* out = M v or M'v at the point `at`, ridge included */
static peri_status multiply(implicit *f, bool transposed, const double *v, double *out)
{
    implicit_linear *l = &f->linear;
    const double *const inputs[EXPR_IN_COUNT] = {
        [EXPR_IN_X] = l->at, [EXPR_IN_PARAM] = l->at + f->d + f->q, [EXPR_IN_W] = v, [EXPR_IN_V] = v}; /* each product reads one of the two */
    TRY(need_product(f, transposed));
    TRY(eval_run(transposed ? l->vj : l->jv, inputs, &out));
    const double ridge = l->kind == LINEAR_NORMAL ? 0 : f->ridge;
    for (int64_t i = 0; i < f->d; i++)
        out[i] = sign_of(f) * out[i] + ridge * v[i];
    return PERI_OK;
}

static peri_status apply(void *ud, const double *v, double *av)
{
    return multiply(ud, false, v, av);
}

static peri_status apply_transposed(void *ud, const double *v, double *av)
{
    return multiply(ud, true, v, av);
}

/* (M'M + ridge) v, and (M M' + ridge) v; work behind the first d, which the caller of the systems has */
static peri_status normal(implicit *f, bool transposed, const double *v, double *out)
{
    double *const half = f->linear.work + f->d;
    TRY(multiply(f, transposed, v, half));
    TRY(multiply(f, !transposed, half, out));
    for (int64_t i = 0; i < f->d; i++)
        out[i] += f->ridge * v[i];
    return PERI_OK;
}

static peri_status apply_normal(void *ud, const double *v, double *av)
{
    return normal(ud, false, v, av);
}

static peri_status apply_normal_transposed(void *ud, const double *v, double *av)
{
    return normal(ud, true, v, av);
}

/* ---- a run that lends memory to linear solvers --------------------------------------------------------------------- */

static peri_status make_run(implicit *f)
{
    implicit_linear *l = &f->linear;
    const bool normal_cg = f->linear_solver != NULL && strcmp(f->linear_solver, NORMAL_CG) == 0;
    const char *name = normal_cg ? "cg" : f->linear_solver != NULL ? f->linear_solver : "gmres";
    if (l->run != NULL)
        return PERI_OK;
    snprintf(l->keys[0], sizeof l->keys[0], "%.60s.residual", name);
    snprintf(l->keys[1], sizeof l->keys[1], "%.60s.products", name);
    l->settings[0] = (peri_setting){.key = l->keys[0], .type = PERI_VALUE_NUMBER, .number = f->linear_tolerance};
    l->settings[1] = (peri_setting){.key = l->keys[1], .type = PERI_VALUE_NUMBER, .number = (double)f->linear_iterations};
    l->args = (peri_solve_args){.n_settings = l->kind >= LINEAR_OPERATOR ? 2 : 0, .settings = l->settings};
    arena memory;
    arena_init(&memory, &f->ctx->mem);
    l->run = arena_alloc(&memory, sizeof *l->run);
    if (l->run == NULL)
        return FAIL_NOMEM(f->ctx);
    *l->run = (peri_run){.ctx = f->ctx,
                         .p = &l->idle,
                         .args = &l->args,
                         .linear_solver = "",
                         .stopped_by = PERI_OPTIMAL,
                         .limits = {.iterations = INT64_MAX, .evaluations = INT64_MAX, .time_limit = INFINITY},
                         .last = -1,
                         .best = -1,
                         .memory = memory};
    return PERI_OK;
}

static peri_status open_operator(implicit *f, bool transposed, peri_factor **factor)
{
    implicit_linear *l = &f->linear;
    if (*factor != NULL)
        return PERI_OK;
    TRY(make_run(f));
    if (l->kind == LINEAR_NORMAL) {
        const peri_operator op = {.n = f->d, .ud = f, .apply = transposed ? apply_normal_transposed : apply_normal};
        return factor_open_operator(l->run, "cg", &op, PERI_FLAG_DEFINITE, factor);
    }
    const peri_operator op = {.n = f->d, .ud = f, .apply = transposed ? apply_transposed : apply,
                              .apply_transposed = transposed ? apply : apply_transposed};
    return factor_open_operator(l->run, f->linear_solver != NULL ? f->linear_solver : "gmres", &op, 0, factor);
}

/* ---- which way ----------------------------------------------------------------------------------------------------- */

static peri_status find_solver(implicit *f, uint64_t *flags)
{
    registry *r;
    registry_entry *e;
    TRY(registry_get(f->ctx, &r));
    TRY(registry_find(r, f->linear_solver, PERI_KIND_LINEAR_SOLVER, &e));
    *flags = e->flags;
    return PERI_OK;
}

peri_status implicit_linear_check(implicit *f)
{
    uint64_t flags;
    const char *name = f->linear_solver;
    if (name == NULL || strcmp(name, NORMAL_CG) == 0 || strcmp(name, "lu") == 0)
        return PERI_OK;
    const peri_status status = find_solver(f, &flags);
    return status == PERI_OK ? PERI_OK : fail_prefix(f->ctx, "%s: linear_solver (\"lu\" and \"normal-cg\" are others)", f->name);
}

/* The sparse Jacobian of F in y; none where an operation has none. */
static peri_status find_pattern(implicit *f)
{
    implicit_linear *l = &f->linear;
    const fail_record before = f->ctx->error;
    const peri_status status = diff_jacobian(f->g, f->F, 0, f->d, &l->jac);
    if (status != PERI_E_UNSUPPORTED)
        return status;
    f->ctx->error = before;
    l->jac = (diff_sparse){.nnz = -1, .values = PERI_NO_EXPR};
    return PERI_OK;
}

static bool worth_forming(const implicit *f)
{
    const int64_t nnz = f->linear.jac.nnz, d = f->d;
    if (nnz < 0)
        return false;
    return nnz <= FEW_A_ROW * d || (d <= FORMED && nnz <= d * d / 3) || (f->linear_solver != NULL && strcmp(f->linear_solver, "lu") == 0);
}

static peri_status choose_kind(implicit *f)
{
    implicit_linear *l = &f->linear;
    const char *name = f->linear_solver;
    uint64_t flags = 0;
    const bool lu = name != NULL && strcmp(name, "lu") == 0, normal_cg = name != NULL && strcmp(name, NORMAL_CG) == 0;
    if (name != NULL && !lu && !normal_cg)
        TRY(find_solver(f, &flags));
    if (normal_cg || (flags & PERI_FLAG_ITERATIVE)) {
        l->kind = normal_cg ? LINEAR_NORMAL : LINEAR_OPERATOR;
        return PERI_OK;
    }
    TRY(find_pattern(f));
    l->symmetric = flags != 0 && !(flags & PERI_FLAG_GENERAL);
    if (f->d <= DENSE && (name == NULL || lu))
        l->kind = LINEAR_DENSE;
    else if (worth_forming(f) || (flags != 0 && l->jac.nnz >= 0))
        l->kind = LINEAR_FORMED;
    else if (flags != 0 || lu)
        return FAIL(f->ctx, PERI_E_UNSUPPORTED, "%s: linear_solver \"%s\" needs a matrix, and the equations have operations without a sparse "
                    "Jacobian; an iterative one does without", f->name, name);
    else
        l->kind = LINEAR_OPERATOR;
    return PERI_OK;
}

/* ---- condition: a lower bound of |A^-1|_1, which is nearly always of its size (Higham 1988, ACM TOMS 14:381) -------- */

static peri_status direct(implicit *f, bool transposed, double *b)
{
    implicit_linear *l = &f->linear;
    if (l->kind == LINEAR_FORMED)
        return transposed ? factor_solve_transposed(l->factor, b) : factor_solve(l->factor, b);
    (transposed ? eval_lu_solve_turned : eval_lu_solve)(f->d, 1, l->lu, l->pivot, b);
    return PERI_OK;
}

static double norm_1(int64_t n, const double *v)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs(v[i]);
    return sum;
}

static peri_status estimate_inverse(implicit *f, double *estimate)
{
    const int64_t n = f->d;
    double *const v = f->linear.work + 2 * n, *const z = v + n;
    *estimate = 0;
    for (int64_t i = 0; i < n; i++)
        v[i] = 1.0 / (double)n;
    for (int pass = 0; pass < 4; pass++) {
        TRY(direct(f, false, v));
        const double length = norm_1(n, v);
        if (!(length > *estimate))
            break;
        *estimate = length;
        for (int64_t i = 0; i < n; i++)
            z[i] = v[i] < 0 ? -1 : 1;
        TRY(direct(f, true, z));
        int64_t top = 0;
        for (int64_t i = 1; i < n; i++)
            top = fabs(z[i]) > fabs(z[top]) ? i : top;
        memset(v, 0, (size_t)n * sizeof *v);
        v[top] = 1;
    }
    for (int64_t i = 0; i < n; i++) /* another vector, for matrices that the steps above miss */
        v[i] = (i % 2 == 0 ? 1 : -1) * (1 + (double)i / (double)(n > 1 ? n - 1 : 1));
    TRY(direct(f, false, v));
    *estimate = fmax(*estimate, 2 * norm_1(n, v) / (3 * (double)n));
    return PERI_OK;
}

static peri_status check_condition(implicit *f, double norm)
{
    double inverse;
    TRY(estimate_inverse(f, &inverse));
    f->linear.condition = norm * inverse;
    if (f->linear.condition < SINGULAR)
        return PERI_OK;
    return FAIL(f->ctx, PERI_E_DOMAIN, "the Jacobian of its equations is singular (condition number %.1e); the solution is no function of what it "
                "depends on here, or not a smooth one%s", f->linear.condition, f->why_singular);
}

static peri_status singular(implicit *f, const char *why)
{
    return FAIL(f->ctx, PERI_E_DOMAIN, "the Jacobian of its equations is singular (%s)%s", why, f->why_singular);
}

/* ---- at a point ---------------------------------------------------------------------------------------------------- */

static peri_status not_finite(implicit *f)
{
    char text[200];
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = f->linear.at, [EXPR_IN_PARAM] = f->linear.at + f->d + f->q};
    if (expr_explain_nonfinite(f->g, f->F, inputs, text, sizeof text))
        return FAIL(f->ctx, PERI_E_DOMAIN, "its equations are undefined: %s", text);
    return FAIL(f->ctx, PERI_E_DOMAIN, "the Jacobian of its equations is not finite");
}

/* val [d x d]: by products with unit vectors */
static peri_status fill_by_products(implicit *f, double *a)
{
    const int64_t n = f->d;
    double *const unit = f->linear.work, *const column = unit + n;
    memset(unit, 0, (size_t)n * sizeof *unit);
    for (int64_t j = 0; j < n; j++) {
        unit[j] = 1;
        TRY(multiply(f, false, unit, column));
        unit[j] = 0;
        for (int64_t i = 0; i < n; i++)
            a[i * n + j] = column[i];
    }
    return PERI_OK;
}

static peri_status evaluate(implicit *f, double *val)
{
    implicit_linear *l = &f->linear;
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = l->at, [EXPR_IN_PARAM] = l->at + f->d + f->q};
    if (l->jac.nnz == 0)
        return PERI_OK;
    TRY(compile(f, l->jac.values, &l->values));
    return eval_run(l->values, inputs, &val);
}

static peri_status factorise_dense(implicit *f)
{
    implicit_linear *l = &f->linear;
    const int64_t n = f->d;
    double norm = 0;
    if (l->jac.nnz < 0) {
        TRY(fill_by_products(f, l->lu));
    } else {
        TRY(evaluate(f, l->val));
        memset(l->lu, 0, (size_t)(n * n) * sizeof *l->lu);
        for (int64_t j = 0; j < n; j++) {
            for (int64_t k = l->jac.start[j]; k < l->jac.start[j + 1]; k++)
                l->lu[l->jac.index[k] * n + j] = sign_of(f) * l->val[k];
            l->lu[j * n + j] += f->ridge;
        }
    }
    if (!eval_is_finite(n * n, l->lu))
        return not_finite(f);
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += fabs(l->lu[i * n + j]);
        norm = fmax(norm, sum);
    }
    eval_lu_factor(n, l->lu, l->pivot);
    for (int64_t j = 0; j < n; j++)
        if (!(fabs(l->lu[j * n + j]) > 0))
            return singular(f, "a pivot is zero");
    return check_condition(f, norm);
}

/* jac's pattern with its diagonal, of symmetric matrices the lower triangle, in l->pattern; l->place: of jac's entries in it, -1 of those above the
 * diagonal, and behind them of the diagonal */
static peri_status complete_pattern(implicit *f)
{
    implicit_linear *l = &f->linear;
    const int64_t n = f->d, nnz = l->jac.nnz;
    int64_t *start = arena_array(&f->data, (size_t)n + 1, sizeof *start), *index = arena_array(&f->data, (size_t)(nnz + n), sizeof *index);
    l->place = arena_array(&f->data, (size_t)(nnz + n), sizeof *l->place);
    if (start == NULL || index == NULL || l->place == NULL)
        return FAIL_NOMEM(f->ctx);
    int64_t at = 0;
    for (int64_t j = 0; j < n; j++) {
        int64_t k = l->jac.start[j];
        start[j] = at;
        for (; k < l->jac.start[j + 1] && l->jac.index[k] < j; k++)
            if (l->symmetric)
                l->place[k] = -1;
            else
                index[l->place[k] = at++] = l->jac.index[k];
        index[l->place[nnz + j] = at] = j;
        if (k < l->jac.start[j + 1] && l->jac.index[k] == j)
            l->place[k++] = at;
        for (at++; k < l->jac.start[j + 1]; k++, at++)
            index[l->place[k] = at] = l->jac.index[k];
    }
    start[n] = at;
    l->pattern = (peri_pattern){n, n, at, start, index};
    return PERI_OK;
}

static double weight(int64_t i)
{
    return 1 + 0.37 * (double)(i * 7919 % 101);
}

/* u'M v = v'M u for one pair of vectors */
static peri_status check_symmetry(implicit *f, const double *entries)
{
    const diff_sparse *jac = &f->linear.jac;
    double one = 0, other = 0, size = 0;
    for (int64_t j = 0; j < f->d; j++)
        for (int64_t k = jac->start[j]; k < jac->start[j + 1]; k++) {
            const int64_t i = jac->index[k];
            one += entries[k] * weight(i) / weight(j);
            other += entries[k] * weight(j) / weight(i);
            size += fabs(entries[k]) * (weight(i) / weight(j) + weight(j) / weight(i));
        }
    if (fabs(one - other) <= 1e-8 * size)
        return PERI_OK;
    return FAIL(f->ctx, PERI_E_UNSUPPORTED, "%s: linear_solver \"%s\" is for symmetric systems, and the Jacobian of its equations is not symmetric",
                f->name, f->linear_solver);
}

static peri_status factorise_formed(implicit *f)
{
    implicit_linear *l = &f->linear;
    const int64_t n = f->d, nnz = l->jac.nnz;
    double *const entries = l->val, *const matrix = l->val + nnz;
    double largest = 0;
    const bool named = f->linear_solver != NULL && strcmp(f->linear_solver, "lu") != 0;
    TRY(make_run(f));
    if (l->factor == NULL)
        TRY(factor_open(l->run, named ? f->linear_solver : NULL, &l->pattern, l->symmetric ? 0 : PERI_FLAG_GENERAL, &l->factor));
    TRY(evaluate(f, entries));
    if (!eval_is_finite(nnz, entries))
        return not_finite(f);
    if (l->symmetric)
        TRY(check_symmetry(f, entries));
    memset(matrix, 0, (size_t)l->pattern.nnz * sizeof *matrix);
    for (int64_t k = 0; k < nnz; k++)
        if (l->place[k] >= 0)
            matrix[l->place[k]] = sign_of(f) * entries[k];
    for (int64_t j = 0; j < n; j++)
        matrix[l->place[nnz + j]] += f->ridge;
    for (int64_t j = 0; j < n; j++)
        largest = fmax(largest, norm_1(l->pattern.start[j + 1] - l->pattern.start[j], matrix + l->pattern.start[j]));
    const peri_status status = factor_values(l->factor, matrix, NULL);
    if (status == PERI_E_NUMERIC)
        return singular(f, peri_error(f->ctx));
    return status == PERI_OK ? check_condition(f, largest) : status;
}

static peri_status prepare(implicit *f)
{
    implicit_linear *l = &f->linear;
    const size_t d = (size_t)f->d;
    if (f->linear_made)
        return PERI_OK;
    l->jac = (diff_sparse){.nnz = -1, .values = PERI_NO_EXPR};
    TRY(choose_kind(f));
    l->at = arena_array(&f->data, d + (size_t)(f->q + f->p), sizeof *l->at);
    l->work = arena_array(&f->data, 4 * d, sizeof *l->work);
    bool ok = l->at != NULL && l->work != NULL;
    if (ok && l->kind == LINEAR_DENSE) {
        l->lu = arena_array(&f->data, d * d, sizeof *l->lu);
        l->pivot = arena_array(&f->data, d, sizeof *l->pivot);
        l->val = arena_array(&f->data, l->jac.nnz > 0 ? (size_t)l->jac.nnz : 1, sizeof *l->val);
        ok = l->lu != NULL && l->pivot != NULL && l->val != NULL;
    } else if (ok && l->kind == LINEAR_FORMED) {
        TRY(complete_pattern(f));
        l->val = arena_array(&f->data, (size_t)(l->jac.nnz + l->pattern.nnz), sizeof *l->val);
        ok = l->val != NULL;
    }
    f->linear_made = ok;
    return ok ? PERI_OK : FAIL_NOMEM(f->ctx);
}

peri_status implicit_linear_at(implicit *f, const double *y, const double *theta)
{
    implicit_linear *l = &f->linear;
    const int64_t n = f->d + f->q;
    TRY(prepare(f));
    if (l->ready && memcmp(l->at, y, (size_t)n * sizeof *y) == 0 && memcmp(l->at + n, theta, (size_t)f->p * sizeof *theta) == 0)
        return PERI_OK;
    l->ready = false;
    memcpy(l->at, y, (size_t)n * sizeof *y);
    memcpy(l->at + n, theta, (size_t)f->p * sizeof *theta);
    if (!eval_is_finite(n + f->p, l->at))
        return FAIL(f->ctx, PERI_E_DOMAIN, "its linear system is asked for at a point that is not finite");
    if (l->kind == LINEAR_DENSE)
        TRY(factorise_dense(f));
    else if (l->kind == LINEAR_FORMED)
        TRY(factorise_formed(f));
    l->factorisations++;
    l->ready = true;
    return PERI_OK;
}

/* ---- systems ------------------------------------------------------------------------------------------------------- */

static peri_status iterate(implicit *f, bool transposed, bool roughly, double *s)
{
    implicit_linear *l = &f->linear;
    peri_factor **factor = roughly ? &l->factor_rough : transposed ? &l->factor_transposed : &l->factor;
    TRY(make_run(f));
    l->settings[0].number = roughly ? fmax(ROUGH, f->linear_tolerance) : f->linear_tolerance; /* read when it is opened */
    TRY(open_operator(f, transposed, factor));
    if (l->kind == LINEAR_NORMAL) {
        double *const b = l->work;
        memcpy(b, s, (size_t)f->d * sizeof *s);
        TRY(multiply(f, !transposed, b, s));
    }
    l->run->stopped_by = PERI_OPTIMAL;
    const peri_status status = factor_solve(*factor, s);
    if (status == PERI_E_NUMERIC)
        return FAIL(f->ctx, PERI_E_DOMAIN, "a system with the Jacobian of its equations is not solved (%s)", peri_error(f->ctx));
    return status;
}

static peri_status solve(implicit *f, bool transposed, bool roughly, const double *r, double *s)
{
    implicit_linear *l = &f->linear;
    if (!eval_is_finite(f->d, r))
        return FAIL(f->ctx, PERI_E_DOMAIN, "the right-hand side of its linear system is not finite");
    if (s != r)
        memcpy(s, r, (size_t)f->d * sizeof *s);
    l->systems++;
    for (int64_t i = 0; i < f->d; i++)
        s[i] *= -sign_of(f);
    if (l->kind >= LINEAR_OPERATOR)
        return iterate(f, transposed, roughly, s);
    const peri_status status = direct(f, transposed, s);
    return status == PERI_E_NUMERIC ? singular(f, peri_error(f->ctx)) : status;
}

peri_status implicit_linear_solve(implicit *f, bool transposed, const double *r, double *s)
{
    return solve(f, transposed, false, r, s);
}

/* Near a root r is little more than rounding: in singular systems a part of it has no solution. */
peri_status implicit_linear_step(implicit *f, const double *r, double *s)
{
    return solve(f, false, true, r, s);
}

void implicit_linear_release(implicit *f)
{
    implicit_linear *l = &f->linear;
    if (l->run != NULL) {
        factor_close_all(l->run);
        arena memory = l->run->memory; /* the run itself lies in it */
        arena_release(&memory);
    }
    eval_free(l->values);
    eval_free(l->jv);
    eval_free(l->vj);
    diff_sparse_free(f->g, &l->jac);
}
