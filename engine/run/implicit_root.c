/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_root.c - solvers of F(y, theta) = 0: Newton's method with a line search, on the linear systems that derivatives use too; iteration of a fixed
 * point, plain or mixed; a plan on min 1/2 |F|^2; the host's own. Invariant: whatever solved it, what is handed over has |F| within the tolerance.
 */
#include "base/vector.h"
#include "run/implicit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static double norm_2(int64_t n, const double *v)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

peri_status implicit_residual(implicit *f, const double *y, const double *theta, double *r)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = y, [EXPR_IN_PARAM] = theta};
    if (f->residual == NULL) {
        const eval_output out = {.node = f->F};
        TRY(eval_compile(f->g, 1, &out, &f->residual));
    }
    return eval_run(f->residual, inputs, &r);
}

static const double *start_of(const implicit *f, const double *theta)
{
    if (f->warm && f->solved)
        return f->y_at;
    return f->start_at >= 0 ? theta + f->start_at : f->start;
}

static peri_status stopped(implicit *f)
{
    return FAIL(f->ctx, PERI_E_CANCELLED, "%s: stopped inside it", f->name);
}

static peri_status undefined(implicit *f, const double *y, const double *theta)
{
    char text[200];
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = y, [EXPR_IN_PARAM] = theta};
    if (expr_explain_nonfinite(f->g, f->F, inputs, text, sizeof text))
        return FAIL(f->ctx, PERI_E_DOMAIN, "its equations are undefined: %s", text);
    return FAIL(f->ctx, PERI_E_DOMAIN, "its equations are undefined where its solver has come to");
}

/* What |F| has to be: relative to the start's, absolute where that is small */
static double target(const implicit *f, double first)
{
    return f->tolerance * (first > 1 ? first : 1);
}

static peri_status no_root(implicit *f, const char *how, int64_t iterations, double residual)
{
    return FAIL(f->ctx, PERI_E_DOMAIN, "no root was found: residual %.1e after %lld iterations of %s", residual, (long long)iterations, how);
}

/* ---- Newton -------------------------------------------------------------------------------------------------------- */

/* The longest step of y + t s, t = 1, 1/2, ..., that shortens F; ret t, 0: none. y and r are moved. */
static peri_status search(implicit *f, const double *theta, const double *s, double *y, double *r, double *t)
{
    double *const trial = f->work + 2 * f->d, *const value = trial + f->d + f->q;
    const double before = norm_2(f->d, r);
    memcpy(trial + f->d, y + f->d, (size_t)f->q * sizeof *y);
    for (*t = 1; *t > 1e-10; *t /= 2) {
        for (int64_t i = 0; i < f->d; i++)
            trial[i] = y[i] + *t * s[i];
        TRY(implicit_residual(f, trial, theta, value));
        const double length = norm_2(f->d, value);
        if (length <= (1 - 1e-4 * *t) * before) {
            memcpy(y, trial, (size_t)f->d * sizeof *y);
            memcpy(r, value, (size_t)f->d * sizeof *r);
            return PERI_OK;
        }
    }
    *t = 0;
    return PERI_OK;
}

/* Beyond the tolerance steps go on while they shorten the residual tenfold: a root up to rounding costs one or two more, and makes derivatives as exact. */
peri_status implicit_newton_from(implicit *f, const double *theta, double *y)
{
    double *const r = f->work, *const s = r + f->d;
    double t, first;
    TRY(implicit_residual(f, y, theta, r));
    if (!eval_is_finite(f->d, r))
        return undefined(f, y, theta);
    double length = first = vector_norm_inf(f->d, r);
    const double wanted = target(f, first);
    for (int64_t k = 0;; k++) {
        const double before = length;
        if (!(length > 0))
            return PERI_OK;
        if (f->ctx->interrupted)
            return stopped(f);
        if (k >= f->iterations)
            return length <= wanted ? PERI_OK : no_root(f, "newton", k, length);
        peri_status status = implicit_linear_at(f, y, theta);
        if (status == PERI_OK)
            status = implicit_linear_step(f, r, s);
        if (status == PERI_E_DOMAIN && length <= wanted)
            return PERI_OK;
        if (status == PERI_E_DOMAIN)
            return FAIL(f->ctx, PERI_E_DOMAIN, "no root was found: residual %.1e after %lld iterations of newton, where %s", length, (long long)k,
                        peri_error(f->ctx));
        if (status != PERI_OK)
            return status;
        TRY(search(f, theta, s, y, r, &t));
        length = vector_norm_inf(f->d, r);
        if (!(t > 0) || (length <= wanted && length > 0.1 * before))
            return length <= wanted ? PERI_OK : no_root(f, "newton", k, length);
    }
}

peri_status implicit_by_newton(implicit *f, const double *theta, double *y)
{
    memcpy(y, start_of(f, theta), (size_t)f->d * sizeof *y);
    return implicit_newton_from(f, theta, y);
}

/* ---- a fixed point ------------------------------------------------------------------------------------------------- */

peri_status implicit_by_iteration(implicit *f, const double *theta, double *y)
{
    double *const r = f->work;
    double first = 0;
    memcpy(y, start_of(f, theta), (size_t)f->d * sizeof *y);
    for (int64_t k = 0; k < f->iterations; k++) {
        TRY(implicit_residual(f, y, theta, r)); /* T(y) - y */
        if (!eval_is_finite(f->d, r))
            return undefined(f, y, theta);
        const double change = vector_norm_inf(f->d, r), size = vector_norm_inf(f->d, y);
        first = k == 0 ? change : first;
        for (int64_t i = 0; i < f->d; i++)
            y[i] += r[i];
        if (change <= f->tolerance * (size > 1 ? size : 1))
            return PERI_OK;
        if (k % 64 == 63 && f->ctx->interrupted)
            return stopped(f);
        if (change > 1e12 * (first > 1 ? first : 1))
            return FAIL(f->ctx, PERI_E_DOMAIN, "its iteration diverges: a change of %.1e after %lld iterations", change, (long long)k + 1);
    }
    return FAIL(f->ctx, PERI_E_DOMAIN, "its iteration has not come to rest within %lld iterations: the last change was %.1e", (long long)f->iterations,
                vector_norm_inf(f->d, r));
}

/* ---- a plan -------------------------------------------------------------------------------------------------------- */

/* min 1/2 |F(y, theta)|^2 as a model; made once */
static peri_status make_squares(implicit *f)
{
    peri_model *m = f->inner;
    expr_id y, theta, F, square, half;
    double *zeros = mem_array(&f->ctx->mem, (size_t)f->p, sizeof *zeros);
    if (zeros == NULL)
        return FAIL_NOMEM(f->ctx);
    peri_status status = peri_model_var(m, "y", f->d, 1, &y);
    if (status == PERI_OK)
        status = peri_model_param(m, "theta", f->p, 1, f->p, zeros, &theta);
    mem_array_free(&f->ctx->mem, zeros);
    TRY(status);
    const expr_id inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = y, [EXPR_IN_PARAM] = theta, [EXPR_IN_W] = PERI_NO_EXPR, [EXPR_IN_SIGMA] = PERI_NO_EXPR,
                                           [EXPR_IN_V] = PERI_NO_EXPR, [EXPR_IN_Y] = PERI_NO_EXPR};
    TRY(expr_transplant(f->g, 1, &f->F, m->g, inputs, &F));
    TRY(expr_unary(m->g, PERI_OP_SQUARE, F, &square));
    TRY(expr_unary(m->g, PERI_OP_SUM, square, &square));
    TRY(expr_number(m->g, 0.5, &half));
    TRY(expr_binary(m->g, PERI_OP_MUL, half, square, &square));
    return peri_model_minimize(m, square);
}

static peri_status need_squares(implicit *f)
{
    if (f->inner != NULL)
        return PERI_OK;
    f->inner = peri_model_new(f->ctx, f->name);
    if (f->inner == NULL)
        return PERI_E_NOMEM;
    const peri_status status = make_squares(f);
    if (status != PERI_OK) {
        peri_model_free(f->inner);
        f->inner = NULL;
    }
    return status;
}

/* The inner solve's own errors are those of the problem at this theta, unless they are the host's. */
peri_status implicit_solve_inner(implicit *f)
{
    const peri_status status = peri_model_resolve(f->inner, &f->args, &f->last);
    if (status == PERI_E_NUMERIC || status == PERI_E_DOMAIN || (status == PERI_E_STATE && f->last != NULL))
        return FAIL(f->ctx, PERI_E_DOMAIN, "its solver failed: %s", peri_error(f->ctx));
    if (status != PERI_OK)
        return fail_prefix(f->ctx, "%s", f->name);
    if (f->last->outcome == PERI_INTERRUPTED)
        return stopped(f);
    return PERI_OK;
}

peri_status implicit_by_plan(implicit *f, const double *theta, double *y)
{
    double *const r = f->work;
    TRY(need_squares(f));
    peri_model *m = f->inner;
    memcpy(m->g->param_value.at, theta, (size_t)f->p * sizeof *theta);
    m->data++;
    memcpy(m->start.at, start_of(f, theta), (size_t)f->d * sizeof *y);
    TRY(implicit_residual(f, m->start.at, theta, r));
    const double wanted = target(f, vector_norm_inf(f->d, r));
    TRY(implicit_solve_inner(f));
    memcpy(y, f->last->x, (size_t)f->d * sizeof *y);
    TRY(implicit_residual(f, y, theta, r));
    const double length = vector_norm_inf(f->d, r);
    if (length <= wanted)
        return PERI_OK;
    return no_root(f, f->last->plan, f->last->iterations, length);
}

/* ---- the host's, and the engine's choice --------------------------------------------------------------------------- */

peri_status implicit_by_host(implicit *f, const double *theta, double *y)
{
    double *const r = f->work;
    const double *start = start_of(f, theta);
    double *const from = r + f->d;
    for (int64_t k = 0; k < f->n_arguments; k++)
        f->arguments[k] = theta + f->argument_at[k];
    memcpy(from, start, (size_t)f->d * sizeof *from);
    const int code = f->host_solve(f->ud, f->arguments, from, y);
    if (code < 0)
        return fail_callback(f->ctx, f->name);
    if (code > 0)
        return FAIL(f->ctx, PERI_E_DOMAIN, "its solver has found no solution");
    if (!eval_is_finite(f->d, y))
        return FAIL(f->ctx, PERI_E_DOMAIN, "its solver returned a value that is not finite");
    TRY(implicit_residual(f, y, theta, r));
    if (!eval_is_finite(f->d, r))
        return undefined(f, y, theta);
    const double length = vector_norm_inf(f->d, r), size = vector_norm_inf(f->d, y);
    if (length <= f->tolerance * (size > 1 ? size : 1))
        return PERI_OK;
    return FAIL(f->ctx, PERI_E_DOMAIN, "its solver returned no solution: residual %.1e, and the tolerance is %.1e", length, f->tolerance);
}

/* Newton; where that fails least squares, whose steps need no invertible Jacobian, and Newton from where they end. */
peri_status implicit_by_default(implicit *f, const double *theta, double *y)
{
    const peri_status status = implicit_by_newton(f, theta, y);
    if (status != PERI_E_DOMAIN)
        return status;
    const fail_record first = f->ctx->error;
    const peri_status second = implicit_by_plan(f, theta, y);
    if (second == PERI_OK)
        return implicit_newton_from(f, theta, y);
    if (second != PERI_E_DOMAIN && second != PERI_E_UNSUPPORTED) /* of equations with kinks, say */
        return second;
    f->ctx->error = first;
    return PERI_E_DOMAIN;
}
