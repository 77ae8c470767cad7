/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project.c - projections onto the feasible set of a run's problem, by what the set is: the bounds alone; a polyhedron (project_polyhedron.c);
 * anything else, as an inner problem  min |u - v|^2 / 2  in u with v as data, solved by a plan of the engine's choice from where the last
 * one ended. A polyhedron on which the dual method is lost is given to the inner problem too, whose multipliers it then starts from: what
 * comes out is the exact point of its piece. Invariant: a returned point is within the bounds exactly.
 */
#include "run/project.h"
#include "base/fail.h"
#include "run/inner.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double TOLERANCE = 1e-10; /* of the inner problem */
static const double GOOD = 1e-9;       /* a certificate that will do where the tolerance was not reached */

struct peri_projection {
    peri_run *run;
    bool polyhedron;
    projection_polyhedron q;
    peri_inner *inner; /* NULL until needed */
    peri_x at;         /* v in it */
    double *near;      /* [n] v within the bounds: where it starts the first time */
    bool solved;
};

/* ---- sets of any kind -------------------------------------------------------------------------------------------------------------- */

static peri_status make_inner(peri_projection *s)
{
    const nlp *p = s->run->p;
    peri_x u, c, f;
    TRY(INNER_TABLE.make(s->run, "projection", &s->inner));
    TRY(inner_var(s->inner, "u", p->n, 1, &u));
    TRY(inner_set_bounds(s->inner, u, p->xl, p->xu));
    TRY(inner_param(s->inner, "v", p->n, 1, s->near, &s->at));
    TRY(inner_problem(s->inner, 0, u, NULL, &c));
    TRY(inner_constrain(s->inner, "set", c, p->cl, p->cu, NULL));
    TRY(inner_x_op(s->inner, "sub", 2, (const peri_x[]){u, s->at}, &f));
    TRY(inner_x_op(s->inner, "square", 1, &f, &f));
    TRY(inner_x_op(s->inner, "sum", 1, &f, &f));
    TRY(inner_x_array(s->inner, 1, 1, &(double){0.5}, &c));
    TRY(inner_x_op(s->inner, "mul", 2, (const peri_x[]){c, f}, &f));
    return inner_minimize(s->inner, f);
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
    for (int64_t i = 0; i < p->m && s->polyhedron; i++) /* of rows that were divided by their length */
        s->q.y[i] = r->y[i] * s->q.a.scale[i];
    clip(p, r->x, x);
    return PERI_OK;
}

/* ---- polyhedra ---------------------------------------------------------------------------------------------------------------------- */

static peri_status refuse_row(peri_projection *s)
{
    char row[128];
    model_row_name(s->run->model, s->q.culprit, row, sizeof row);
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
    s->polyhedron = p->m > 0 && all_linear(p);
    if (s->polyhedron)
        TRY(projection_polyhedron_open(&s->q, run));
    else if (p->m > 0)
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
    if (p->m == 0)
        clip(p, v, x);
    else
        TRY(s->polyhedron ? by_dual(s, v, x) : by_inner(s, v, x));
    return PERI_OK;
}
