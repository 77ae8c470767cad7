/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project.c - projections onto the feasible set of a run's problem, by what the set is: the bounds alone; a polyhedron (project_polyhedron.c);
 * a function of the user's; anything else, as an inner problem  min |u - v|^2 / 2  in u with v as data, solved by a plan of the
 * engine's choice from where the last one ended. A polyhedron on which the dual method is lost is given to the inner problem
 * too, whose multipliers it then starts from: what comes out is the exact point of its piece. Invariant: a returned point is within the bounds exactly.
 */
#include "run/project.h"
#include "base/fail.h"
#include "run/levels.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double TOLERANCE = 1e-10; /* of the inner problem */
static const double GOOD = 1e-9;       /* a certificate that will do where the tolerance was not reached */

struct peri_projection {
    peri_run *run;
    const struct model_projection *own; /* the user's; NULL: none */
    bool polyhedron;
    projection_polyhedron q;
    peri_inner *inner; /* NULL until needed */
    peri_x at;         /* v in it */
    double *near, *rows; /* [n] v within the bounds: where it starts the first time; [m] scratch */
    bool solved;
};

/* ---- sets of any kind -------------------------------------------------------------------------------------------------------------- */

/* The rows of one level; those of a problem without lower ones are level 0's. */
static peri_status constrain(peri_projection *s, int64_t level, const peri_level *info, peri_x u)
{
    const nlp *p = s->run->p;
    mem *a = &s->run->ctx->mem;
    peri_x c;
    if (info->m == 0)
        return PERI_OK;
    TRY(inner_problem(s->inner, level, u, NULL, &c));
    double *lower = mem_array(a, (size_t)info->m, sizeof *lower), *upper = mem_array(a, (size_t)info->m, sizeof *upper);
    peri_status status = lower != NULL && upper != NULL ? PERI_OK : FAIL_NOMEM(s->run->ctx);
    for (int64_t i = 0; i < info->m && status == PERI_OK; i++) {
        lower[i] = p->cl[info->row[i]];
        upper[i] = p->cu[info->row[i]];
    }
    if (status == PERI_OK)
        status = inner_constrain(s->inner, info->name, c, lower, upper, NULL);
    mem_array_free(a, lower);
    mem_array_free(a, upper);
    return status;
}

static peri_status make_inner(peri_projection *s)
{
    const nlp *p = s->run->p;
    const peri_level *info;
    int64_t count;
    peri_x u, half, f;
    TRY(levels_get(s->run, &count, &info));
    TRY(INNER_TABLE.make(s->run, "projection", &s->inner));
    TRY(inner_var(s->inner, "u", p->n, 1, &u));
    TRY(inner_set_bounds(s->inner, u, p->xl, p->xu));
    TRY(inner_param(s->inner, "v", p->n, 1, s->near, &s->at));
    for (int64_t k = 0; k < count; k++)
        TRY(constrain(s, k, &info[k], u));
    TRY(inner_x_op(s->inner, "sub", 2, (const peri_x[]){u, s->at}, &f));
    TRY(inner_x_op(s->inner, "square", 1, &f, &f));
    TRY(inner_x_op(s->inner, "sum", 1, &f, &f));
    TRY(inner_x_array(s->inner, 1, 1, &(double){0.5}, &half));
    TRY(inner_x_op(s->inner, "mul", 2, (const peri_x[]){half, f}, &f));
    return inner_minimize(s->inner, f);
}

/* Multipliers of the inner problem's rows, level by level, to the order of the run's, which were divided by their lengths. */
static peri_status take_multipliers(peri_projection *s, const double *y)
{
    const peri_level *info;
    int64_t count;
    TRY(levels_get(s->run, &count, &info));
    for (int64_t k = 0; k < count; k++)
        for (int64_t i = 0; i < info[k].m; i++)
            s->q.y[info[k].row[i]] = *y++ * s->q.a.scale[info[k].row[i]];
    return PERI_OK;
}

static const char *name_of(const peri_projection *s)
{
    return s->run->model->name;
}

static peri_status refuse_empty(peri_projection *s)
{
    return FAIL(s->run->ctx, PERI_E_NUMERIC, "projection: no point satisfies the bounds and constraints of \"%s\"", name_of(s));
}

static void clip(const nlp *p, const double *v, double *x)
{
    for (int64_t j = 0; j < p->n; j++)
        x[j] = fmin(fmax(v[j], p->xl[j]), p->xu[j]);
}

static peri_status judge(peri_projection *s, const peri_inner_result *r)
{
    if (r->why == PERI_WHY_CONVERGED || r->kkt <= GOOD)
        return PERI_OK;
    if (r->why == PERI_WHY_INFEASIBLE)
        return refuse_empty(s);
    if (r->why == PERI_WHY_LIMIT && limits_reached(s->run))
        return PERI_E_CANCELLED;
    return FAIL(s->run->ctx, PERI_E_NUMERIC, "projection: onto the set of \"%s\" failed with a residual of %.1e%s%s", name_of(s), r->kkt,
                r->message[0] != '\0' ? ": " : "", r->message);
}

static peri_status by_inner(peri_projection *s, const double *v, double *x)
{
    const nlp *p = s->run->p;
    const peri_inner_result *r;
    peri_inner_request q = {.size = (uint32_t)sizeof q, .tolerance = TOLERANCE, .plan = ""};
    if (s->inner == NULL)
        TRY(make_inner(s));
    TRY(inner_set_param(s->inner, s->at, v));
    if (!s->solved) {
        clip(p, v, s->near);
        q.x = s->near;
    }
    TRY(INNER_TABLE.solve(s->inner, &q, &r));
    s->solved = r->why == PERI_WHY_CONVERGED;
    TRY(judge(s, r));
    if (s->polyhedron)
        TRY(take_multipliers(s, r->y));
    clip(p, r->x, x);
    return PERI_OK;
}

/* ---- polyhedra ---------------------------------------------------------------------------------------------------------------------- */

static peri_status refuse_row(peri_projection *s)
{
    const peri_run *run = s->run, *outer = run->outer;
    char row[128];
    if (outer != NULL)
        model_row_name(outer->model, outer->p->levels->info[run->outer_level].row[s->q.culprit], row, sizeof row);
    else
        model_row_name(run->model, s->q.culprit, row, sizeof row);
    return FAIL(s->run->ctx, PERI_E_NUMERIC,
                "projection: no point satisfies the bounds and constraints of \"%s\": \"%s\" cannot hold together with the others", name_of(s),
                row);
}

/* Multipliers of the wrong sign, which an inner solution has by rounding, are none. */
static void mend(projection_polyhedron *q)
{
    for (int64_t i = 0; i < q->a.m; i++)
        if ((q->y[i] > 0 && !isfinite(q->a.lower[i])) || (q->y[i] < 0 && !isfinite(q->a.upper[i])))
            q->y[i] = 0;
}

static peri_status by_dual(peri_projection *s, const double *v, double *x)
{
    int how;
    TRY(projection_polyhedron_apply(&s->q, v, x, &how));
    if (how == PROJECTION_EMPTY)
        return refuse_row(s);
    if (how == PROJECTION_FOUND)
        return PERI_OK;
    TRY(by_inner(s, v, s->near));
    mend(&s->q);
    TRY(projection_polyhedron_apply(&s->q, v, x, &how));
    if (how != PROJECTION_FOUND)
        memcpy(x, s->near, (size_t)s->run->p->n * sizeof *x);
    return PERI_OK;
}

/* ---- the user's ---------------------------------------------------------------------------------------------------------------------- */

/* Of a level's view that level's; of a run that of the one level that has rows, if it is one. */
static peri_status find_own(peri_projection *s)
{
    const peri_run *run = s->run, *whole = run->outer != NULL ? run->outer : run;
    const nlp_levels *all;
    int64_t level = run->outer_level, with_rows = 0;
    TRY(nlp_get_levels(whole->p, &all));
    for (int64_t k = 0; k < all->of.n && run->outer == NULL; k++)
        if (all->info[k].m > 0) {
            level = k;
            with_rows++;
        }
    const struct model_projection *own = &all->of.model[level]->projection;
    s->own = own->project != NULL && with_rows <= 1 ? own : NULL;
    return PERI_OK;
}

static double outside(double v, double lower, double upper)
{
    return fmax(lower - v, v - upper) / (1 + fabs(v));
}

static peri_status by_own(peri_projection *s, const double *v, double *x)
{
    nlp *p = s->run->p;
    double most = 0;
    const int answer = s->own->project(s->own->ud, p->n, v, s->near);
    if (answer != 0)
        return answer < 0 ? FAIL(s->run->ctx, PERI_E_CALLBACK, "projection: the function of \"%s\" failed", name_of(s)) : refuse_empty(s);
    if (p->m > 0)
        TRY(nlp_c(p, s->near, s->rows));
    for (int64_t i = 0; i < p->m; i++)
        most = fmax(most, outside(s->rows[i], p->cl[i], p->cu[i]));
    for (int64_t j = 0; j < p->n; j++)
        most = isfinite(s->near[j]) ? fmax(most, outside(s->near[j], p->xl[j], p->xu[j])) : INFINITY;
    if (most > 1e-6)
        return FAIL(s->run->ctx, PERI_E_NUMERIC, "projection: the function of \"%s\" returned a point that is off its set by %.1e", name_of(s), most);
    clip(p, s->near, x);
    return PERI_OK;
}

/* ---- doors -------------------------------------------------------------------------------------------------------------------------- */

static bool all_linear(const nlp *p)
{
    for (int64_t i = 0; i < p->m; i++)
        if (!p->class_.linear_row[i])
            return false;
    return true;
}

peri_status projection_open(peri_run *run, peri_projection **out)
{
    nlp *p = run->p;
    peri_projection *s = arena_alloc(&run->memory, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return FAIL_NOMEM(run->ctx);
    s->run = run;
    s->near = arena_array(&run->memory, (size_t)p->n, sizeof *s->near);
    if (s->near == NULL)
        return FAIL_NOMEM(run->ctx);
    TRY(find_own(s));
    s->rows = arena_array(&run->memory, (size_t)p->m, sizeof *s->rows);
    if (s->rows == NULL)
        return FAIL_NOMEM(run->ctx);
    s->polyhedron = s->own == NULL && p->m > 0 && all_linear(p);
    if (s->polyhedron)
        TRY(projection_polyhedron_open(&s->q, run));
    else if (s->own == NULL && p->m > 0)
        TRY(make_inner(s));
    *out = s;
    return PERI_OK;
}

peri_status projection_apply(peri_projection *s, const double *v, double *x)
{
    const nlp *p = s->run->p;
    for (int64_t j = 0; j < p->n; j++)
        if (!isfinite(v[j]))
            return FAIL(s->run->ctx, PERI_E_NUMERIC, "projection: entry %lld of the point is %g", (long long)j + 1, v[j]);
    if (s->own != NULL)
        return by_own(s, v, x);
    if (p->m == 0)
        clip(p, v, x);
    else
        TRY(s->polyhedron ? by_dual(s, v, x) : by_inner(s, v, x));
    return PERI_OK;
}
