/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draw.c - samples of a level's sum: its view has a copy of the problem's parameters, in which the weights of the sum's terms are replaced by those of
 * a sample, so that nothing is compiled again and the user's model never sees them. Invariant: weights that are not 0 belong to the
 * rows in `drawn`, or are all the user's own (n_drawn = -1); only what changed is written.
 */
#include "run/draw.h"
#include "base/rng.h"
#include "run/levels.h"
#include <math.h>
#include <string.h>

struct run_draw {
    double *weight;     /* [n] in the view's parameters */
    double *own;        /* [n] the user's */
    int64_t *drawn;     /* [n] rows */
    int64_t n, n_drawn;
    uint64_t key;
    int64_t rows;
};

static const struct model_weights *weights_of(const peri_run *view)
{
    static const struct model_weights none = {0, 0};
    if (view->outer == NULL || view->outer->p->levels == NULL)
        return &none;
    return &view->outer->p->levels->of.model[view->outer_level]->weights;
}

int64_t draw_rows(const peri_run *view)
{
    return weights_of(view)->n;
}

static peri_status begin(peri_run *view)
{
    const struct model_weights *w = weights_of(view);
    const peri_inner *inner = view->outer->level[view->outer_level].view;
    const model_var *parameters = model_find_param(inner->model, inner->outer_params);
    struct run_draw *d = arena_alloc(&view->memory, sizeof *d);
    if (d == NULL || parameters == NULL)
        return FAIL_NOMEM(view->ctx);
    d->n = w->n;
    d->n_drawn = -1;
    d->weight = inner->model->g->param_value.at + parameters->offset + w->first;
    d->own = arena_array(&view->memory, (size_t)d->n, sizeof *d->own);
    d->drawn = arena_array(&view->memory, (size_t)d->n, sizeof *d->drawn);
    if (d->own == NULL || d->drawn == NULL)
        return FAIL_NOMEM(view->ctx);
    memcpy(d->own, d->weight, (size_t)d->n * sizeof *d->own);
    view->draw = d;
    return PERI_OK;
}

static void clear(struct run_draw *d)
{
    if (d->n_drawn < 0)
        memset(d->weight, 0, (size_t)d->n * sizeof *d->weight);
    for (int64_t k = 0; k < d->n_drawn; k++)
        d->weight[d->drawn[k]] = 0;
    d->n_drawn = 0;
}

/* A row is listed when it is drawn first; one whose own weight is 0 never, so that the list has room. */
static void draw(struct run_draw *d, uint64_t seed)
{
    const double factor = (double)d->n / (double)d->rows;
    for (int64_t k = 0; k < d->rows; k++) {
        const int64_t i = rng_below(seed, UINT64_C(0x73616d706c65) + d->key, (uint64_t)k, d->n);
        if (fabs(d->own[i]) > 0 && !(fabs(d->weight[i]) > 0))
            d->drawn[d->n_drawn++] = i;
        d->weight[i] += factor * d->own[i];
    }
}

peri_status draw_sample(peri_run *view, uint64_t key, int64_t rows)
{
    if (weights_of(view)->n == 0)
        return FAIL(view->ctx, PERI_E_UNSUPPORTED, "%s: the objective of \"%s\" has no weights to sample by", view->plugin->name, view->model->name);
    if (rows < 0)
        return FAIL(view->ctx, PERI_E_ARGUMENT, "%s: a sample of %lld rows", view->plugin->name, (long long)rows);
    if (view->draw == NULL)
        TRY(begin(view));
    struct run_draw *d = view->draw;
    if (rows == 0) {
        if (d->n_drawn >= 0)
            memcpy(d->weight, d->own, (size_t)d->n * sizeof *d->weight);
        d->n_drawn = -1;
        return PERI_OK;
    }
    if (d->n_drawn >= 0 && d->key == key && d->rows == rows)
        return PERI_OK;
    clear(d);
    d->key = key;
    d->rows = rows;
    draw(d, view->limits.seed);
    return PERI_OK;
}
