/* SPDX-License-Identifier: Apache-2.0 */
/*
 * implicit_batch_steps.c - one instance of a batch solved, and its system factorised, on one thread. Least squares: Levenberg and Marquardt's steps
 * (J'J + mu I) d = -J'r, by one of two rules for mu, then Newton's on J'r = 0; equations: Newton's alone.
 *   jaxopt       mu from 1e-6 max diag J'J; rho the gain over the predicted one: rho > 0: mu *= max(1/3, 1 - (2 rho - 1)^3), else mu *= nu, nu *= 2
 *   optimistix   1/mu from 1: ratio > 0.99: *= 3.5, < 0.01: *= 0.25; a step is taken where ratio > 0.01; ends when step and objective hardly change
 * Invariant: its worker and its instance alone are touched, nothing is allocated and no message written; why it failed is told afterwards.
 * Source: Nielsen 1999, Damping parameter in Marquardt's method (the first rule).
 */
#include "base/vector.h"
#include "eval/lu.h"
#include "run/implicit_batch.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define SINGULAR 1e14 /* condition numbers from here on */

/* One task: instance k on a worker */
typedef struct {
    implicit_batch *b;
    batch_worker *w;
    batch_instance *at;
    int64_t d;
} task;

static int run(task *t, eval_program *program, const double *y, const double *v, double *const *outs)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = y, [EXPR_IN_PARAM] = t->w->theta, [EXPR_IN_V] = v};
    const peri_status status = t->w->alone ? eval_run_alone(program, inputs, outs) : eval_run(program, inputs, outs);
    t->at->status = status;
    return status == PERI_OK ? BATCH_FINE : BATCH_FAILED;
}

/* ---- Newton -------------------------------------------------------------------------------------------------------- */

/* a [d x d] = F_y at y, by some columns at once */
static int form(task *t, eval_program *product, const double *y, double *a)
{
    const int64_t d = t->d, width = t->b->width;
    double *const v = t->w->directions, *images = t->w->images;
    for (int64_t first = 0; first < d; first += width) {
        const int64_t n = first + width <= d ? width : d - first;
        memset(v, 0, (size_t)(d * width) * sizeof *v);
        for (int64_t j = 0; j < n; j++)
            v[(first + j) * width + j] = 1;
        if (run(t, product, y, v, &images) != BATCH_FINE)
            return BATCH_FAILED;
        for (int64_t i = 0; i < d; i++)
            memcpy(a + i * d + first, images + i * width, (size_t)n * sizeof *a);
    }
    return eval_is_finite(d * d, a) ? BATCH_FINE : BATCH_BAD_MATRIX;
}

static double norm_1(int64_t n, const double *a)
{
    double top = 0;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += fabs(a[i * n + j]);
        top = fmax(top, sum);
    }
    return top;
}

/* a becomes its factors */
static int factorise(task *t, double *a, int32_t *pivot)
{
    const int64_t d = t->d;
    double *const inverse = t->w->chol;
    const double norm = norm_1(d, a);
    eval_lu_factor(d, a, pivot);
    for (int64_t j = 0; j < d; j++)
        if (!(fabs(a[j * d + j]) > 0))
            return BATCH_NO_PIVOT;
    memcpy(inverse, t->w->unit, (size_t)(d * d) * sizeof *inverse);
    eval_lu_solve(d, d, a, pivot, inverse);
    const double condition = norm * norm_1(d, inverse);
    if (condition < SINGULAR)
        return BATCH_FINE;
    t->at->condition = condition;
    return BATCH_BAD_CONDITION;
}

/* The longest of the steps y + s, y + s / 2, ... that shortens F; false: none. y and g are moved. */
static int search(task *t, bool *found)
{
    batch_worker *w = t->w;
    const int64_t d = t->d;
    const double before = sqrt(vector_dot(d, w->g, w->g));
    *found = false;
    for (double length = 1; length > 1e-10 && !*found; length /= 2) {
        for (int64_t i = 0; i < d; i++)
            w->trial[i] = w->y[i] + length * w->step[i];
        if (run(t, w->equations, w->trial, NULL, &w->tg) != BATCH_FINE)
            return BATCH_FAILED;
        *found = sqrt(vector_dot(d, w->tg, w->tg)) <= (1 - 1e-4 * length) * before;
    }
    if (*found) {
        memcpy(w->y, w->trial, (size_t)d * sizeof *w->y);
        memcpy(w->g, w->tg, (size_t)d * sizeof *w->g);
    }
    return BATCH_FINE;
}

/* From w->y; `first` is the length of F that the tolerance is relative to. Beyond it steps go on while they shorten F tenfold. */
static int newton(task *t, double first)
{
    batch_worker *w = t->w;
    const implicit *f = t->b->one;
    const int64_t d = t->d;
    if (run(t, w->equations, w->y, NULL, &w->g) != BATCH_FINE)
        return BATCH_FAILED;
    if (!eval_is_finite(d, w->g))
        return BATCH_UNDEFINED;
    double length = vector_norm_inf(d, w->g);
    const double wanted = f->tolerance * fmax(1, fmax(first, length));
    for (;; t->at->polished++) {
        const double before = length;
        bool found;
        t->at->length = length;
        if (!(length > 0))
            return BATCH_FINE;
        if (f->ctx->interrupted)
            return BATCH_STOPPED;
        if (t->at->polished >= f->iterations)
            return length <= wanted ? BATCH_FINE : BATCH_LIMIT;
        int code = form(t, w->columns, w->y, w->lu);
        if (code == BATCH_FINE)
            code = factorise(t, w->lu, w->pivot);
        if (code != BATCH_FINE)
            return code != BATCH_FAILED && length <= wanted ? BATCH_FINE : code;
        for (int64_t i = 0; i < d; i++)
            w->step[i] = -w->g[i];
        eval_lu_solve(d, 1, w->lu, w->pivot, w->step);
        if (search(t, &found) != BATCH_FINE)
            return BATCH_FAILED;
        length = vector_norm_inf(d, w->g);
        if (!found || (length <= wanted && length > 0.1 * before)) {
            t->at->length = length;
            return length <= wanted ? BATCH_FINE : BATCH_STALLED;
        }
    }
}

/* ---- Levenberg and Marquardt --------------------------------------------------------------------------------------- */

/* chol = the lower factor of a + mu I; false: not positive definite */
static bool cholesky(int64_t n, const double *a, double mu, double *l)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            const double rest = a[i * n + j] + (i == j ? mu : 0) - vector_dot(j, l + i * n, l + j * n);
            if (i == j && !(rest > 0 && isfinite(rest)))
                return false;
            l[i * n + j] = i == j ? sqrt(rest) : rest / l[j * n + j];
        }
    return true;
}

/* L L' x = -g */
static void descend(int64_t n, const double *l, const double *g, double *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (-g[i] - vector_dot(i, l + i * n, x)) / l[i * n + i];
    for (int64_t i = n; i-- > 0;) {
        for (int64_t k = i + 1; k < n; k++)
            x[i] -= l[k * n + i] * x[k];
        x[i] /= l[i * n + i];
    }
}

/* d'J'J d */
static double curvature(int64_t n, const double *a, const double *d)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += d[i] * vector_dot(n, a + i * n, d);
    return sum;
}

static int evaluate(task *t, const double *y, double *r, double *a, double *g, double *cost)
{
    double *const outs[3] = {r, a, g};
    if (run(t, t->w->model, y, NULL, outs) != BATCH_FINE)
        return BATCH_FAILED;
    *cost = 0.5 * vector_dot(t->b->m, r, r);
    return isfinite(*cost) && eval_is_finite(t->d * t->d, a) && eval_is_finite(t->d, g) ? BATCH_FINE : BATCH_UNDEFINED;
}

static void swap(double **a, double **b)
{
    double *const c = *a;
    *a = *b;
    *b = c;
}

/* mu after a step with this gain; whether the step is taken */
static bool judge(const implicit_batch *b, double ratio, double *mu, double *nu)
{
    if (b->rule_of_steps == BATCH_OPTIMISTIX) {
        *mu *= ratio > 0.99 ? 1 / 3.5 : ratio < 0.01 || isnan(ratio) ? 4 : 1;
        return ratio > 0.01;
    }
    if (ratio > 0) {
        *mu *= fmax(1.0 / 3, 1 - pow(2 * ratio - 1, 3));
        *nu = 2;
        return true;
    }
    *mu *= *nu;
    *nu *= 2;
    return false;
}

static double first_damping(const implicit_batch *b, int64_t d, const double *a)
{
    double top = 0;
    for (int64_t j = 0; j < d; j++)
        top = fmax(top, a[j * d + j]);
    return b->rule_of_steps == BATCH_OPTIMISTIX ? 1 : fmax(1e-6 * top, DBL_MIN);
}

/* From w->y to w->y; *first: the largest entry of J'r at the start */
static int levenberg(task *t, double tolerance, double *first)
{
    implicit_batch *b = t->b;
    batch_worker *w = t->w;
    batch_instance *at = t->at;
    const int64_t d = t->d;
    double cost, trial_cost, nu = 2;
    int code = evaluate(t, w->y, w->r, w->a, w->g, &cost);
    if (code != BATCH_FINE)
        return code;
    *first = vector_norm_inf(d, w->g);
    const double wanted = tolerance * fmax(1, sqrt(vector_dot(d, w->g, w->g)));
    double mu = first_damping(b, d, w->a);
    for (int64_t k = 0;; k++, at->iterations++) {
        at->cost = cost;
        at->length = vector_norm_inf(d, w->g);
        if (b->rule_of_steps == BATCH_JAXOPT ? sqrt(vector_dot(d, w->g, w->g)) <= wanted : !(at->length > 0))
            return BATCH_FINE;
        if (b->one->ctx->interrupted)
            return BATCH_STOPPED;
        if (k >= b->iterations)
            return sqrt(vector_dot(d, w->g, w->g)) <= wanted ? BATCH_FINE : BATCH_LIMIT;
        while (isfinite(mu) && !cholesky(d, w->a, mu, w->chol))
            mu = fmax(10 * mu, DBL_MIN);
        if (!isfinite(mu)) /* no step, however short, is one that the function is defined for */
            return BATCH_STALLED;
        descend(d, w->chol, w->g, w->step);
        for (int64_t i = 0; i < d; i++)
            w->trial[i] = w->y[i] + w->step[i];
        const double size = vector_norm_inf(d, w->y), moved = vector_norm_inf(d, w->step), slope = vector_dot(d, w->g, w->step);
        if (!(moved > DBL_EPSILON * size)) /* as near as numbers are */
            return BATCH_FINE;
        code = evaluate(t, w->trial, w->tr, w->ta, w->tg, &trial_cost);
        if (code == BATCH_FAILED)
            return code;
        const double predicted = b->rule_of_steps == BATCH_OPTIMISTIX ? -slope - 0.5 * curvature(d, w->a, w->step)
                                                                      : 0.5 * (mu * vector_dot(d, w->step, w->step) - slope);
        if (!judge(b, code == BATCH_FINE ? (cost - trial_cost) / predicted : -1, &mu, &nu))
            continue;
        const double change = cost - trial_cost;
        cost = trial_cost;
        swap(&w->y, &w->trial);
        swap(&w->r, &w->tr);
        swap(&w->a, &w->ta);
        swap(&w->g, &w->tg);
        if (b->rule_of_steps == BATCH_OPTIMISTIX && moved <= tolerance * (1 + size) && fabs(change) <= tolerance * (1 + cost)) {
            at->iterations++;
            at->cost = cost;
            at->length = vector_norm_inf(d, w->g);
            return BATCH_FINE;
        }
    }
}

/* Newton's method finds any stationary point: what it has come to must be no worse than where it began. */
static int polish(task *t, double first)
{
    batch_worker *w = t->w;
    const double before = t->at->cost;
    double cost;
    int code = newton(t, first);
    if (code != BATCH_FINE)
        return code;
    code = evaluate(t, w->y, w->r, w->a, w->g, &cost);
    t->at->cost = cost;
    return code != BATCH_FINE ? code : cost <= before + 1e-8 * before + DBL_EPSILON * vector_dot(t->b->m, w->r, w->r) ? BATCH_FINE : BATCH_SADDLE;
}

/* Where Newton's steps fail, the others go on from where they ended, to a smaller tolerance. */
static int fit(task *t)
{
    batch_worker *w = t->w;
    const size_t bytes = (size_t)t->d * sizeof *w->y;
    double first = 0, again;
    int code = levenberg(t, t->b->tolerance, &first);
    if (!t->b->polish)
        return code;
    for (double tolerance = 1e-2 * t->b->tolerance; code == BATCH_FINE || code == BATCH_LIMIT; tolerance *= 1e-2) {
        memcpy(w->kept, w->y, bytes);
        const int steps = code;
        code = polish(t, first);
        if (code == BATCH_FINE || code == BATCH_FAILED || code == BATCH_STOPPED || steps == BATCH_LIMIT || !(tolerance > 1e-14))
            return code;
        memcpy(w->y, w->kept, bytes);
        const int why = code;
        code = levenberg(t, tolerance, &again);
        if (code != BATCH_FINE && code != BATCH_LIMIT)
            return why;
    }
    return code;
}

/* ---- an instance --------------------------------------------------------------------------------------------------- */

void implicit_batch_take_theta(const implicit_batch *b, const double *theta, int64_t k, double *to)
{
    memcpy(to, theta, (size_t)b->shared * sizeof *to);
    to += b->shared;
    for (int64_t i = 0; i < b->n_arguments; to += b->size[i++])
        memcpy(to, theta + b->at[i] + k * b->size[i], (size_t)b->size[i] * sizeof *to);
}

int implicit_batch_solve_one(implicit_batch *b, batch_worker *w, int64_t k)
{
    task self = {b, w, &b->instance[k], b->one->d}, *const t = &self;
    const implicit *f = b->one;
    const size_t bytes = (size_t)t->d * sizeof *w->y;
    implicit_batch_take_theta(b, b->theta_at, k, w->theta);
    const bool warm = f->warm && t->at->found;
    memcpy(w->y, warm ? b->y_at + k * t->d : f->start, bytes);
    t->at->polished = t->at->iterations = 0;
    const int code = b->squares ? fit(t) : newton(t, 0);
    memcpy(b->y_at + k * t->d, w->y, bytes);
    t->at->solved = t->at->found = code == BATCH_FINE;
    return code;
}

int implicit_batch_factorise_one(implicit_batch *b, batch_worker *w, int64_t k)
{
    task self = {b, w, &b->instance[k], b->one->d}, *const t = &self;
    const int64_t d = t->d, n = b->n * d;
    double *const a = b->lu + k * d * d;
    implicit_batch_take_theta(b, b->system_at + n, k, w->theta);
    int code = form(t, w->slope != NULL ? w->slope : w->columns, b->system_at + k * d, a);
    for (int64_t i = 0; i < d && code == BATCH_FINE; i++)
        a[i * d + i] += b->one->ridge;
    if (code == BATCH_FINE)
        code = factorise(t, a, b->pivot + k * d);
    t->at->factorised = code == BATCH_FINE;
    return code;
}
