/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - an expression's values at many points. The model keeps what it compiled for the expression that was asked for last, so that a
 * search that asks again and again compiles once; new values of parameters change nothing in it.
 */
#include "diff/batch.h"
#include "model/internal.h"
#include <string.h>

enum { SLAB = 1024 }; /* points whose variables are put together at a time */

typedef struct {
    peri_model *m;
    int64_t n;
    const peri_expr *vars;
    const double *const *values;
    const model_var **of; /* [n] */
    unsigned varying;
    double *x, *param;    /* [SLAB x entries of the class] */
} setting;

static peri_status find_vars(setting *s)
{
    peri_model *m = s->m;
    char text[160];
    s->of = mem_array(m->g->m, (size_t)s->n, sizeof *s->of);
    if (s->of == NULL)
        return FAIL_NOMEM(m->ctx);
    for (int64_t k = 0; k < s->n; k++) {
        TRY(model_check_expr(m, "values", s->vars[k]));
        const model_var *param = model_find_param(m, s->vars[k]);
        s->of[k] = param != NULL ? param : model_find_var(m, s->vars[k]);
        s->varying |= param != NULL ? 1u << EXPR_IN_PARAM : 0;
        if (s->of[k] != NULL)
            continue;
        model_describe(m, s->vars[k], text, sizeof text);
        return FAIL(m->ctx, PERI_E_ARGUMENT, "values: %s is neither a variable nor a parameter of model \"%s\"", text, m->name);
    }
    return PERI_OK;
}

static bool is_param(const setting *s, int64_t k)
{
    return model_find_param(s->m, s->vars[k]) != NULL;
}

static void put_points(const setting *s, int64_t first, int64_t points)
{
    const peri_model *m = s->m;
    const expr_graph *g = m->g;
    for (int64_t p = 0; p < points && m->start.n > 0; p++)
        memcpy(s->x + p * g->n_x + m->vars.at[0].offset, m->start.at, (size_t)m->start.n * sizeof *s->x);
    for (int64_t p = 0; p < points && s->param != NULL; p++)
        memcpy(s->param + p * g->n_param, g->param_value.at, (size_t)g->n_param * sizeof *s->param);
    for (int64_t k = 0; k < s->n; k++) {
        const model_var *v = s->of[k];
        const int64_t stride = is_param(s, k) ? g->n_param : g->n_x;
        double *const to = (is_param(s, k) ? s->param : s->x) + v->offset;
        for (int64_t p = 0; p < points; p++)
            memcpy(to + p * stride, s->values[k] + (first + p) * v->size, (size_t)v->size * sizeof *to);
    }
}

/* The program for e, kept from the last time where it was for the same. */
static peri_status batch_for(peri_model *m, expr_id e, unsigned varying, batch **out)
{
    struct model_batch *kept = &m->values;
    if (kept->batch == NULL || kept->e != e || kept->varying != varying || kept->n_x != m->g->n_x || kept->n_param != m->g->n_param) {
        batch_free(kept->batch);
        *kept = (struct model_batch){batch_new(m->g, 1, &e, varying, false), e, varying, m->g->n_x, m->g->n_param};
    }
    *out = kept->batch;
    return *out != NULL ? PERI_OK : FAIL_NOMEM(m->ctx);
}

static peri_status run(setting *s, expr_id e, int64_t points, double *out)
{
    expr_graph *g = s->m->g;
    const int64_t slab = points < SLAB ? points : SLAB;
    batch *b;
    TRY(find_vars(s));
    TRY(batch_for(s->m, e, s->varying, &b));
    s->x = mem_array(g->m, (size_t)(slab * g->n_x), sizeof *s->x);
    if (s->varying & 1u << EXPR_IN_PARAM)
        s->param = mem_array(g->m, (size_t)(slab * g->n_param), sizeof *s->param);
    if (s->x == NULL || ((s->varying & 1u << EXPR_IN_PARAM) && s->param == NULL))
        return FAIL_NOMEM(s->m->ctx);
    for (int64_t at = 0; at < points; at += slab) {
        const int64_t now = points - at < slab ? points - at : slab;
        double *outs[1] = {out + at * expr_size(g, e)};
        put_points(s, at, now);
        const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = s->x,
                                                     [EXPR_IN_PARAM] = s->param != NULL ? s->param : g->param_value.at};
        TRY(batch_run(b, now, inputs, outs));
    }
    return PERI_OK;
}

peri_status peri_expr_value_batch(peri_model *m, peri_expr e, int64_t points, int64_t n, const peri_expr *vars,
                                  const double *const *values, double *out)
{
    setting s = {.m = m->root, .n = n, .vars = vars, .values = values, .varying = 1u << EXPR_IN_X};
    TRY(model_check_expr(m, "values", e));
    if (points < 0)
        return FAIL(m->ctx, PERI_E_ARGUMENT, "values: %lld points", (long long)points);
    TRY(expr_reshape(m->g, e, expr_at(m->g, e)->rows, expr_at(m->g, e)->cols, &e)); /* a sparse constant becomes dense */
    const peri_status status = run(&s, e, points, out);
    mem_array_free(m->g->m, s.of);
    mem_array_free(m->g->m, s.x);
    mem_array_free(m->g->m, s.param);
    return status;
}
