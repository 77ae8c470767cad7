/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose_text.c - a diagnosis as lines of text and as JSON, both from the data and from nothing else. Each line of text begins with what it
 * is about, so that it can be searched for.
 */
#include "base/num.h"
#include "run/diagnose.h"
#include <math.h>

enum { TEXT_MOST = 12 };

static void number(text_buffer *t, double v)
{
    char text[NUM_SIZE];
    text_add(t, "%s", num_print_digits(v, 6, text));
}

/* ---- text ----------------------------------------------------------------------------------------------------------------- */

static void write_nonfinite(const peri_nonfinite *f, text_buffer *t)
{
    if (f->operation == NULL)
        return;
    text_add(t, "undefined     %s: %s", f->where, f->text);
    if (f->expression != NULL)
        text_add(t, " in %s", f->expression);
    for (int64_t k = 0; k < f->at.n; k++) {
        text_add(t, "%s%s = ", k == 0 ? ", at " : ", ", f->at.at[k].name);
        number(t, f->at.at[k].value);
    }
    text_add(t, "\n");
}

static void write_residuals(const peri_residual_list *r, text_buffer *t)
{
    for (int64_t k = 0; k < r->n; k++) {
        const peri_residual *v = &r->at[k];
        text_add(t, "violated      %s by ", v->name);
        number(t, v->violation);
        text_add(t, ": %s", v->is_bound ? "its bound; " : "");
        number(t, v->value);
        text_add(t, " is not within ");
        number(t, v->lower);
        text_add(t, " .. ");
        number(t, v->upper);
        text_add(t, "\n");
    }
}

static void write_conflict(const peri_diagnosis *d, text_buffer *t)
{
    if (d->linear_part == PERI_PART_FEASIBLE)
        text_add(t, "conflict      none among the linear constraints and bounds alone\n");
    if (d->n_conflict == 0)
        return;
    text_add(t, "conflict      these %lld cannot hold together%s:\n", (long long)d->n_conflict,
             d->is_minimal ? "; without any one of them the others can" : "");
    for (int64_t k = 0; k < d->n_conflict && k < TEXT_MOST; k++) {
        const peri_side *s = &d->conflict[k];
        text_add(t, "                %s %s %s ", s->is_bound ? "bound" : "constraint", s->name, s->is_upper ? "<=" : ">=");
        number(t, s->value);
        text_add(t, "\n");
    }
    if (d->n_conflict > TEXT_MOST)
        text_add(t, "                and %lld more\n", (long long)(d->n_conflict - TEXT_MOST));
}

static void write_dependent(const peri_diagnosis *d, text_buffer *t)
{
    for (int64_t k = 0; k < d->n_dependent && k < DIAGNOSE_SHOWN; k++) {
        const peri_dependent *r = &d->dependent[k];
        text_add(t, "dependent     the gradient of %s is %s", r->name, r->of.n == 0 ? "zero here" : "");
        for (int64_t i = 0; i < r->of.n && i < DIAGNOSE_SHOWN; i++) {
            text_add(t, "%s", i == 0 ? "" : " + ");
            number(t, r->of.at[i].value);
            text_add(t, " %s", r->of.at[i].name);
        }
        text_add(t, "%s\n", r->of.n > DIAGNOSE_SHOWN ? " + ..." : "");
    }
    if (d->n_dependent > DIAGNOSE_SHOWN)
        text_add(t, "dependent     and %lld rows more\n", (long long)(d->n_dependent - DIAGNOSE_SHOWN));
}

static void write_names(const peri_named_list *list, text_buffer *t)
{
    for (int64_t k = 0; k < list->n; k++) {
        text_add(t, "%s%s ", k == 0 ? "" : ", ", list->at[k].name);
        number(t, list->at[k].value);
    }
}

static void write_ray(const peri_diagnosis *d, text_buffer *t)
{
    if (d->ray.n == 0)
        return;
    text_add(t, "ray           the point ran away along ");
    write_names(&d->ray, t);
    text_add(t, d->ray_confirmed ? "; twice as far the constraints hold and the objective is better" : "");
    text_add(t, "\n");
}

static void write_scaling(const char *what, const peri_scaling *s, text_buffer *t)
{
    if (isnan(s->ratio))
        return;
    text_add(t, "scaling       %s of the jacobian differ by ", what);
    number(t, s->ratio);
    text_add(t, ": ");
    write_names(&s->largest, t);
    text_add(t, " against ");
    write_names(&s->smallest, t);
    text_add(t, "\n");
}

void diagnose_write(const peri_diagnosis *d, text_buffer *t)
{
    write_nonfinite(&d->nonfinite, t);
    write_residuals(&d->residuals, t);
    write_conflict(d, t);
    write_ray(d, t);
    write_dependent(d, t);
    write_scaling("rows", &d->rows, t);
    write_scaling("columns", &d->columns, t);
    for (int64_t k = 0; k < d->n_steps; k++)
        text_add(t, "steps         %s: %s\n", d->steps[k].what, d->steps[k].text);
    for (int64_t k = 0; k < d->n_notes; k++)
        text_add(t, "note          %s\n", d->notes[k]);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------------- */

/* { "x[1]": 2, ... } */
static void named(json_writer *w, const char *key, const peri_named_list *list)
{
    json_key(w, key);
    json_open_object(w);
    for (int64_t k = 0; k < list->n; k++)
        json_put_number(w, list->at[k].name, list->at[k].value);
    json_close(w);
}

static void json_nonfinite(json_writer *w, const peri_nonfinite *f)
{
    if (f->operation == NULL)
        return;
    json_key(w, "nonfinite");
    json_open_object(w);
    json_put_text(w, "where", f->where);
    if (f->row != NULL)
        json_put_text(w, "row", f->row);
    json_put_text(w, "operation", f->operation);
    if (f->expression != NULL)
        json_put_text(w, "expression", f->expression);
    json_put_text(w, "text", f->text);
    named(w, "at", &f->at);
    json_close(w);
}

static void json_residuals(json_writer *w, const peri_residual_list *r)
{
    json_key(w, "residuals");
    json_open_array(w);
    for (int64_t k = 0; k < r->n; k++) {
        json_open_object(w);
        json_put_text(w, "name", r->at[k].name);
        json_put_text(w, "kind", r->at[k].is_bound ? "bound" : "constraint");
        json_put_number(w, "value", r->at[k].value);
        json_put_number(w, "lower", r->at[k].lower);
        json_put_number(w, "upper", r->at[k].upper);
        json_put_number(w, "violation", r->at[k].violation);
        json_close(w);
    }
    json_close(w);
}

static void json_dependent(json_writer *w, const peri_diagnosis *d)
{
    json_key(w, "dependent");
    json_open_array(w);
    for (int64_t k = 0; k < d->n_dependent; k++) {
        json_open_object(w);
        json_put_text(w, "name", d->dependent[k].name);
        named(w, "of", &d->dependent[k].of);
        json_close(w);
    }
    json_close(w);
}

static void json_ray(json_writer *w, const peri_diagnosis *d)
{
    if (d->ray.n == 0)
        return;
    json_key(w, "ray");
    json_open_object(w);
    named(w, "direction", &d->ray);
    json_put_number(w, "slope", d->ray_slope);
    json_put_bool(w, "confirmed", d->ray_confirmed);
    json_close(w);
}

static void json_conflict(json_writer *w, const peri_diagnosis *d)
{
    static const char *const parts[] = {"unknown", "feasible", "infeasible"};
    json_put_text(w, "linear_part", parts[d->linear_part]);
    json_key(w, "conflict");
    json_open_array(w);
    for (int64_t k = 0; k < d->n_conflict; k++) {
        json_open_object(w);
        json_put_text(w, "name", d->conflict[k].name);
        json_put_text(w, "kind", d->conflict[k].is_bound ? "bound" : "constraint");
        json_put_text(w, "side", d->conflict[k].is_upper ? "upper" : "lower");
        json_put_number(w, "value", d->conflict[k].value);
        json_close(w);
    }
    json_close(w);
    if (d->n_conflict == 0)
        return;
    json_put_bool(w, "minimal", d->is_minimal);
}

static void json_scaling(json_writer *w, const char *key, const peri_scaling *s)
{
    if (isnan(s->ratio))
        return;
    json_key(w, key);
    json_open_object(w);
    json_put_number(w, "ratio", s->ratio);
    named(w, "largest", &s->largest);
    named(w, "smallest", &s->smallest);
    json_close(w);
}

static void json_steps(json_writer *w, const peri_diagnosis *d)
{
    json_key(w, "steps");
    json_open_array(w);
    for (int64_t k = 0; k < d->n_steps; k++) {
        json_open_object(w);
        json_put_text(w, "what", d->steps[k].what);
        json_put_integer(w, "iterations", d->steps[k].iterations);
        json_put_number(w, "value", d->steps[k].value);
        json_put_text(w, "text", d->steps[k].text);
        json_close(w);
    }
    json_close(w);
}

void diagnose_json(const peri_diagnosis *d, json_writer *w)
{
    json_open_object(w);
    json_nonfinite(w, &d->nonfinite);
    json_residuals(w, &d->residuals);
    json_conflict(w, d);
    json_ray(w, d);
    json_dependent(w, d);
    json_scaling(w, "rows", &d->rows);
    json_scaling(w, "columns", &d->columns);
    json_steps(w, d);
    json_key(w, "notes");
    json_open_array(w);
    for (int64_t k = 0; k < d->n_notes; k++)
        json_text(w, d->notes[k]);
    json_close(w);
    json_close(w);
}
