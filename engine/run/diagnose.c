/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose.c - a diagnosis' life: the trail that a solve leaves, the parts in order, the answer kept in the solution. Invariant: parameters
 * and bounds are those of the solve while the parts evaluate, whatever the model was given since, and the model's own afterwards.
 */
#include "run/diagnose.h"
#include "base/clock.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- the trail ----------------------------------------------------------------------------------------------------------- */

static void copy(double **to, double **next, const double *from, int64_t n)
{
    *to = *next;
    *next += n;
    if (n > 0)
        memcpy(*to, from, (size_t)n * sizeof **to);
}

peri_status diagnose_keep(peri_run *run)
{
    const nlp *p = run->p;
    mem *a = &run->ctx->mem;
    const size_t vectors = run->was_undefined ? 4 : 3;
    struct solution_trail *t = mem_alloc(a, sizeof *t);
    if (t == NULL)
        return FAIL_NOMEM(run->ctx);
    double *next = mem_array(a, vectors * (size_t)p->n + 2 * (size_t)p->m, sizeof *next);
    if (next == NULL) {
        mem_free(a, t, sizeof *t);
        return FAIL_NOMEM(run->ctx);
    }
    copy(&t->start, &next, run->start, p->n);
    copy(&t->xl, &next, p->xl, p->n);
    copy(&t->xu, &next, p->xu, p->n);
    copy(&t->cl, &next, p->cl, p->m);
    copy(&t->cu, &next, p->cu, p->m);
    if (run->was_undefined)
        copy(&t->undefined_at, &next, run->undefined_at, p->n);
    t->structure = run->model->structure;
    t->isolated = run->isolate != NULL && run->model->g->calls.n > 0;
    t->tolerance = run->limits.tolerance;
    run->solution->trail = t;
    return PERI_OK;
}

void diagnose_free(peri_solution *s)
{
    struct solution_trail *t = s->trail;
    mem *a = &s->ctx->mem;
    if (t == NULL)
        return;
    if (t->diagnosis != NULL) {
        arena_release(&t->diagnosis->memory);
        mem_free(a, t->diagnosis, sizeof *t->diagnosis);
    }
    mem_array_free(a, t->start);
    mem_free(a, t, sizeof *t);
    s->trail = NULL;
}

/* ---- names and notes --------------------------------------------------------------------------------------------------------- */

static const char *kept(diagnose_work *w, const char *text)
{
    const char *name = arena_string(w->keep, text);
    w->nomem = w->nomem || name == NULL;
    return name != NULL ? name : "";
}

const char *diagnose_row(diagnose_work *w, int64_t i)
{
    char name[160];
    model_row_name(w->s->model, i, name, sizeof name);
    return kept(w, name);
}

const char *diagnose_variable(diagnose_work *w, int64_t j)
{
    char name[160];
    model_variable_name(w->s->model, j, name, sizeof name);
    return kept(w, name);
}

const char *diagnose_print(diagnose_work *w, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return kept(w, text);
}

void diagnose_note(diagnose_work *w, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    w->nomem = !vec_push(&w->s->ctx->mem, &w->notes, kept(w, text)) || w->nomem;
}

/* ---- the parts ------------------------------------------------------------------------------------------------------------------ */

static peri_status look(diagnose_work *w)
{
    TRY(diagnose_evaluate(w));
    TRY(diagnose_nonfinite(w));
    TRY(diagnose_residuals(w));
    TRY(diagnose_ray(w));
    TRY(diagnose_conflict(w));
    TRY(diagnose_rank(w));
    return diagnose_scaling(w);
}

static void exchange(double *a, double *b, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        const double t = a[k];
        a[k] = b[k];
        b[k] = t;
    }
}

/* The values of the solve and those of now change places. */
static void exchange_data(diagnose_work *w)
{
    const struct solution_trail *t = w->trail;
    nlp *p = w->p;
    exchange(p->xl, t->xl, p->n);
    exchange(p->xu, t->xu, p->n);
    exchange(p->cl, t->cl, p->m);
    exchange(p->cu, t->cu, p->m);
    exchange(w->s->model->g->param_value.at, w->s->param, w->s->n_param);
}

/* The parts that evaluate. While they do, w->p has the bounds of the solve and the trail those of now. */
static peri_status look_at_model(diagnose_work *w)
{
    peri_model *m = w->s->model;
    if (m->structure != w->trail->structure) {
        diagnose_note(w, "model \"%s\" has changed since this solve: only its iterations were looked at", m->name);
        return PERI_OK;
    }
    if (w->trail->isolated) {
        diagnose_note(w, "the run was isolated, and the model calls functions that may end this process: only its iterations were looked at");
        return PERI_OK;
    }
    if (m->nlp != NULL && m->nlp->in_use > 0)
        return FAIL(w->s->ctx, PERI_E_STATE, "diagnosis: model \"%s\" is being solved", m->name);
    TRY(nlp_of(m, &w->p));
    w->p->in_use++;
    exchange_data(w);
    const peri_status status = look(w);
    exchange_data(w);
    w->p->in_use--;
    nlp_reset_counts(w->p);
    return status;
}

static peri_status make(diagnose_work *w)
{
    TRY(diagnose_steps(w));
    TRY(look_at_model(w));
    diagnose_levels(w);
    const char **notes = arena_array(w->keep, (size_t)w->notes.n, sizeof *notes);
    if (notes == NULL || w->nomem)
        return FAIL_NOMEM(w->s->ctx);
    for (int64_t k = 0; k < w->notes.n; k++)
        notes[k] = w->notes.at[k];
    w->out->notes = notes;
    w->out->n_notes = w->notes.n;
    return PERI_OK;
}

static peri_status diagnose(peri_solution *s)
{
    mem *a = &s->ctx->mem;
    arena work;
    struct diagnosis *d = mem_alloc(a, sizeof *d);
    if (d == NULL)
        return FAIL_NOMEM(s->ctx);
    arena_init(&d->memory, a);
    arena_init(&work, a);
    d->data.ray_slope = d->data.rows.ratio = d->data.columns.ratio = NAN;
    diagnose_work w = {.s = s,
                       .trail = s->trail,
                       .out = &d->data,
                       .keep = &d->memory,
                       .work = &work,
                       .deadline = clock_seconds() + DIAGNOSE_SECONDS};
    const peri_status status = make(&w);
    vec_free(a, &w.notes);
    arena_release(&work);
    if (status == PERI_OK) {
        s->trail->diagnosis = d;
        return PERI_OK;
    }
    arena_release(&d->memory);
    mem_free(a, d, sizeof *d);
    return status;
}

peri_status peri_solution_diagnosis(peri_solution *s, const peri_diagnosis **diagnosis, char **text)
{
    text_buffer t;
    *diagnosis = NULL;
    if (text != NULL)
        *text = NULL;
    if (s->trail != NULL && s->trail->diagnosis == NULL)
        TRY(diagnose(s));
    if (s->trail != NULL)
        *diagnosis = &s->trail->diagnosis->data;
    if (text == NULL)
        return PERI_OK;
    text_init(&t, &s->ctx->mem);
    if (*diagnosis != NULL)
        diagnose_write(*diagnosis, &t);
    *text = text_take(&t);
    return *text != NULL ? PERI_OK : FAIL_NOMEM(s->ctx);
}
