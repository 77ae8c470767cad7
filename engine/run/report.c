/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c - a solution as JSON and as a short text. JSON numbers read back to the same bits; arrays have the shape
 * that the user gave them: a scalar is a number, a vector a list, a matrix a list of rows.
 */
#include "base/num.h"
#include "base/text.h"
#include "io/json.h"
#include "io/token.h"
#include "run/diagnose.h"
#include <math.h>
#include <string.h>

/* While the model is being solved, from its callback, there is none. */
static peri_status diagnosis_of(peri_solution *s, const peri_diagnosis **d)
{
    const peri_status status = peri_solution_diagnosis(s, d, NULL);
    return status == PERI_E_STATE ? PERI_OK : status;
}

/* ---- JSON
 * ---------------------------------------------------------------------------------------------------------------------
 */

static void json_array_of(json_writer *w, int64_t rows, int64_t cols, const double *v, double sign)
{
    const bool matrix = cols > 1;
    if (rows == 1 && cols == 1) {
        json_number(w, sign * v[0]);
        return;
    }
    json_open_array(w);
    for (int64_t i = 0; i < rows; i++) {
        if (matrix)
            json_open_array(w);
        for (int64_t j = 0; j < cols; j++) {
            const double value = v[i * cols + j];
            json_number(w, value != 0 ? sign * value : value);
        }
        if (matrix)
            json_close(w);
    }
    json_close(w);
}

static void json_given(json_writer *w, const char *key, double v)
{
    if (!isnan(v))
        json_put_number(w, key, v);
}

static void json_evaluations(json_writer *w, const peri_evaluations *e)
{
    json_key(w, "evaluations");
    json_open_object(w);
    json_put_integer(w, "objective", e->objective);
    json_put_integer(w, "gradient", e->gradient);
    json_put_integer(w, "constraints", e->constraints);
    json_put_integer(w, "jacobian", e->jacobian);
    json_put_integer(w, "hessian", e->hessian);
    json_put_integer(w, "products", e->products);
    json_close(w);
}

static void json_times(json_writer *w, const peri_times *t)
{
    json_key(w, "times");
    json_open_object(w);
    json_put_number(w, "building", t->building);
    json_put_number(w, "objective", t->objective);
    json_put_number(w, "gradient", t->gradient);
    json_put_number(w, "constraints", t->constraints);
    json_put_number(w, "jacobian", t->jacobian);
    json_put_number(w, "hessian", t->hessian);
    json_put_number(w, "products", t->products);
    json_put_number(w, "linear_algebra", t->linear_algebra);
    json_put_number(w, "method", t->method);
    json_put_number(w, "total", t->total);
    json_close(w);
}

static void json_certificate(json_writer *w, const peri_certificate *c)
{
    json_key(w, "certificate");
    json_open_object(w);
    json_put_number(w, "primal", c->primal);
    json_put_number(w, "dual", c->dual);
    json_put_number(w, "complementarity", c->complementarity);
    json_put_number(w, "kkt", c->kkt);
    json_given(w, "lower_gap", c->lower_gap);
    json_close(w);
}

/* Of problems with lower models: which of several minima below is meant, and what was found of each level. */
static void json_levels(json_writer *w, const peri_solution *s)
{
    if (s->levels.n == 0)
        return;
    json_put_text(w, "form", "optimistic");
    json_key(w, "levels");
    json_open_array(w);
    for (int32_t k = 0; k < s->levels.n; k++) {
        const peri_lower_result *r = &s->levels.at[k];
        json_open_object(w);
        json_put_text(w, "name", r->name);
        json_put_text(w, "state", peri_lower_state_name(r->state));
        json_put_bool(w, "convex", r->convex);
        json_put_integer(w, "solves", r->solves);
        json_given(w, "objective", r->objective);
        json_given(w, "best", r->best);
        json_put_number(w, "gap", r->gap);
        json_put_number(w, "residual", r->residual);
        json_close(w);
    }
    json_close(w);
}

static void json_variables(json_writer *w, const peri_solution *s, const double *x)
{
    const peri_model *m = s->model;
    json_key(w, "variables");
    json_open_object(w);
    for (int64_t i = 0; i < m->vars.n; i++) {
        const model_var *v = &m->vars.at[i];
        const int64_t at = v->at;
        if (at < 0 || at >= s->n)
            continue;
        json_key(w, v->name);
        json_array_of(w, expr_at(m->g, v->node)->rows, expr_at(m->g, v->node)->cols, x + at, 1);
    }
    json_close(w);
}

static void json_duals(json_writer *w, const peri_solution *s)
{
    const peri_model *m = s->model;
    json_key(w, "duals");
    json_open_object(w);
    for (int64_t i = 0; i < m->cons.n && m->cons.at[i].row < s->m; i++) {
        const model_constraint *c = &m->cons.at[i];
        if (!model_takes_part(m, c->level))
            continue;
        json_key(w, c->name);
        json_array_of(w, expr_at(m->g, c->body)->rows, expr_at(m->g, c->body)->cols, s->y + c->row,
                      m->maximize ? -1 : 1);
    }
    json_close(w);
}

static void json_reduced_costs(json_writer *w, const peri_solution *s)
{
    const peri_model *m = s->model;
    json_key(w, "reduced_costs");
    json_open_object(w);
    for (int64_t i = 0; i < m->vars.n; i++) {
        const model_var *v = &m->vars.at[i];
        if (v->at < 0 || v->at >= s->n)
            continue;
        json_key(w, v->name);
        json_array_of(w, expr_at(m->g, v->node)->rows, expr_at(m->g, v->node)->cols, s->z + v->at,
                      m->maximize ? -1 : 1);
    }
    json_close(w);
}

static void json_event(json_writer *w, const peri_event *e)
{
    const char tag[2] = {e->tag, '\0'};
    json_open_object(w);
    json_put_integer(w, "iteration", e->iteration);
    json_put_number(w, "seconds", e->seconds);
    json_given(w, "objective", e->objective);
    json_given(w, "primal", e->primal);
    json_given(w, "dual", e->dual);
    json_given(w, "complementarity", e->complementarity);
    json_given(w, "step", e->step);
    json_given(w, "trust_radius", e->trust_radius);
    json_given(w, "barrier", e->barrier);
    json_given(w, "regularization", e->regularization);
    if (e->inner_iterations > 0)
        json_put_integer(w, "inner_iterations", e->inner_iterations);
    if (e->tag != 0)
        json_put_text(w, "tag", tag);
    json_close(w);
}

/* Of a method that finds several; other methods have no such key. */
static void json_optima(json_writer *w, const peri_solution *s)
{
    if (s->optima.n == 0)
        return;
    json_key(w, "optima");
    json_open_array(w);
    for (int64_t k = 0; k < s->optima.n; k++) {
        json_open_object(w);
        json_put_number(w, "objective", s->optima.at[k].objective);
        json_variables(w, s, s->optima.at[k].x);
        json_close(w);
    }
    json_close(w);
}

peri_status peri_solution_json(peri_solution *s, char **out)
{
    json_writer w;
    const peri_diagnosis *d;
    TRY(diagnosis_of(s, &d));
    json_init(&w, &s->ctx->mem);
    json_open_object(&w);
    json_put_text(&w, "model", s->model->name);
    json_put_text(&w, "status", peri_outcome_name(s->outcome));
    if (s->message[0] != '\0')
        json_put_text(&w, "message", s->message);
    json_put_number(&w, "objective", s->objective);
    json_put_text(&w, "solver", s->solver);
    json_put_text(&w, "plan", s->plan);
    json_put_integer(&w, "iterations", s->iterations);
    json_evaluations(&w, &s->evaluations);
    json_put_number(&w, "seconds", s->times.total);
    json_times(&w, &s->times);
    json_certificate(&w, &s->certificate);
    json_levels(&w, s);
    json_variables(&w, s, s->x);
    json_duals(&w, s);
    json_reduced_costs(&w, s);
    json_optima(&w, s);
    if (d != NULL) {
        json_key(&w, "diagnosis");
        diagnose_json(d, &w);
    }
    json_key(&w, "front"); /* of several objectives: there is one */
    json_null(&w);
    json_key(&w, "history");
    json_open_array(&w);
    for (int64_t k = 0; k < s->history.n; k++)
        json_event(&w, &s->history.at[k]);
    json_close(&w);
    json_close(&w);
    return json_finish(&w, s->ctx, out);
}

peri_status peri_solution_save(peri_solution *s, const char *path)
{
    char *json;
    text_buffer text;
    TRY(peri_solution_json(s, &json));
    text_init(&text, &s->ctx->mem);
    text_add(&text, "%s\n", json);
    peri_free_text(s->ctx, json);
    const peri_status status = text.failed ? FAIL_NOMEM(s->ctx) : io_replace(s->ctx, NULL, path, text.at, text.n);
    text_release(&text);
    return status;
}

/* ---- text
 * -------------------------------------------------------------------------------------------------------------------------
 */

static void put(text_buffer *t, double v, int digits)
{
    char number[NUM_SIZE];
    text_add(t, "%s", num_print_digits(v, digits, number));
}

static void put_residual(text_buffer *t, const char *name, double v, const char *what)
{
    char number[NUM_SIZE];
    text_add(t, "\n  %-16s%-12s%s", name, num_print_digits(v, 3, number), what);
}

static void put_count(text_buffer *t, const char *name, int64_t count, bool *any)
{
    if (count == 0)
        return;
    text_add(t, "%s%lld %s", *any ? ", " : "", (long long)count, name);
    *any = true;
}

static void put_evaluations(text_buffer *t, const peri_evaluations *e)
{
    bool any = false;
    text_add(t, "evaluations   ");
    put_count(t, "objective", e->objective, &any);
    put_count(t, "gradient", e->gradient, &any);
    put_count(t, "constraints", e->constraints, &any);
    put_count(t, "jacobian", e->jacobian, &any);
    put_count(t, "hessian", e->hessian, &any);
    put_count(t, "products", e->products, &any);
    text_add(t, "%s\n", any ? "" : "none");
}

peri_status peri_solution_report(peri_solution *s, char **out)
{
    const peri_certificate *c = &s->certificate;
    const peri_diagnosis *d;
    text_buffer t;
    TRY(diagnosis_of(s, &d));
    text_init(&t, &s->ctx->mem);
    text_add(&t, "status        %s%s%s%s\n", peri_outcome_name(s->outcome), s->message[0] != '\0' ? " (" : "",
             s->message, s->message[0] != '\0' ? ")" : "");
    text_add(&t, "objective     ");
    put(&t, s->objective, 12);
    text_add(&t, "\nsolver        %s%s%s%s, %lld iteration%s, ", s->solver,
             strcmp(s->plan, s->solver) != 0 ? " (plan: " : "", strcmp(s->plan, s->solver) != 0 ? s->plan : "",
             strcmp(s->plan, s->solver) != 0 ? ")" : "", (long long)s->iterations, s->iterations == 1 ? "" : "s");
    put(&t, s->times.total < 1 ? 1000 * s->times.total : s->times.total, 3);
    text_add(&t, s->times.total < 1 ? " ms\n" : " s\n");
    put_evaluations(&t, &s->evaluations);
    text_add(&t, "certificate");
    put_residual(&t, "primal", c->primal, "largest violation, in the model's units");
    put_residual(&t, "dual", c->dual, "gradient of the Lagrangian, relative");
    put_residual(&t, "complementarity", c->complementarity, "relative");
    put_residual(&t, "kkt", c->kkt, "the largest of these");
    if (!isnan(c->lower_gap))
        put_residual(&t, "lower gap", c->lower_gap, "objectives of lower models above the best found; optimistic form");
    if (d != NULL) {
        text_add(&t, "\n");
        diagnose_write(d, &t);
    }
    *out = text_take(&t);
    return *out != NULL ? PERI_OK : FAIL_NOMEM(s->ctx);
}
