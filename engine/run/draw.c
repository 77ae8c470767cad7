/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draw.c - samples of a level's sum. Where the view sees its objective as a sum over the weights (oracle/finite_sum.h), values and gradients of a sample
 * are evaluated for its rows alone. All else, and sums that are not seen, goes by the view's copy of the problem's parameters, in which the weights
 * are replaced by those of the sample; nothing is compiled again and the user's model never sees them. Invariant: weights that are not 0 belong
 * to the rows in `drawn`, or are all the user's own (n_drawn = -1); only what changed is written.
 */
#include "run/draw.h"
#include "base/rng.h"
#include "oracle/finite_sum.h"
#include "run/levels.h"
#include <math.h>
#include <string.h>

struct run_draw {
    double *weight;     /* [n] in the view's parameters */
    double *own;        /* [n] the user's */
    int64_t *drawn;     /* [n] rows */
    int64_t n, n_drawn;
    int64_t *rows, n_rows, room; /* the sample; n_rows 0: all rows */
    double factor;
    bool by_key;        /* drawn from `key` */
    uint64_t key;
    finite_sum *sum;    /* NULL: not seen */
    bool chosen;        /* by the sum */
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
    const peri_status status = finite_sum_of(view->p, parameters->offset + w->first, d->n, &d->sum);
    if (status == PERI_E_ARGUMENT)
        return FAIL(view->ctx, PERI_E_ARGUMENT, "%s: the objective of \"%s\" does not have the weights in it by which it is to be sampled",
                    view->plugin->name, view->model->name);
    if (status != PERI_OK && status != PERI_E_UNSUPPORTED)
        return status;
    if (d->sum == NULL)
        log_write(view->ctx, 0, "%s: samples of \"%s\" cost as much as all its rows: %s", view->plugin->name, view->model->name, peri_error(view->ctx));
    else if (finite_sum_is_whole(d->sum))
        log_write(view->ctx, 0, "%s: samples of \"%s\" need an operation that is evaluated for all its rows", view->plugin->name, view->model->name);
    view->draw = d;
    return PERI_OK;
}

/* ---- by weights ----------------------------------------------------------------------------------------------------------------- */

static void clear(struct run_draw *d)
{
    if (d->n_drawn < 0)
        memset(d->weight, 0, (size_t)d->n * sizeof *d->weight);
    for (int64_t k = 0; k < d->n_drawn; k++)
        d->weight[d->drawn[k]] = 0;
    d->n_drawn = 0;
}

static void restore(struct run_draw *d)
{
    if (d->n_drawn >= 0)
        memcpy(d->weight, d->own, (size_t)d->n * sizeof *d->weight);
    d->n_drawn = -1;
}

/* A row is listed when it is drawn first; one whose own weight is 0 never, so that the list has room. */
static void weigh(struct run_draw *d)
{
    clear(d);
    for (int64_t k = 0; k < d->n_rows; k++) {
        const int64_t i = d->rows[k];
        if (fabs(d->own[i]) > 0 && !(fabs(d->weight[i]) > 0))
            d->drawn[d->n_drawn++] = i;
        d->weight[i] += d->factor * d->own[i];
    }
}

void draw_settle(peri_run *view)
{
    struct run_draw *d = view->draw;
    if (d == NULL || d->n_rows == 0 || !d->chosen)
        return;
    weigh(d);
    d->chosen = false;
}

/* ---- samples ------------------------------------------------------------------------------------------------------------------------ */

static peri_status reserve(peri_run *view, int64_t rows)
{
    struct run_draw *d = view->draw;
    if (rows <= d->room)
        return PERI_OK;
    int64_t *more = arena_array(&view->memory, (size_t)rows, sizeof *more);
    if (more == NULL)
        return FAIL_NOMEM(view->ctx);
    d->rows = more;
    d->room = rows;
    return PERI_OK;
}

/* d->rows [d->n_rows] are to be evaluated */
static peri_status take(struct run_draw *d)
{
    d->chosen = false;
    if (d->sum == NULL) {
        weigh(d);
        return PERI_OK;
    }
    restore(d); /* the sum reads the user's own */
    TRY(finite_sum_choose(d->sum, d->n_rows, d->rows, d->factor));
    d->chosen = true;
    return PERI_OK;
}

static peri_status open_draw(peri_run *view, int64_t rows)
{
    if (weights_of(view)->n == 0)
        return FAIL(view->ctx, PERI_E_UNSUPPORTED, "%s: the objective of \"%s\" has no weights to sample by", view->plugin->name, view->model->name);
    if (rows < 0)
        return FAIL(view->ctx, PERI_E_ARGUMENT, "%s: a sample of %lld rows", view->plugin->name, (long long)rows);
    if (view->draw == NULL)
        TRY(begin(view));
    return reserve(view, rows);
}

peri_status draw_sample(peri_run *view, uint64_t key, int64_t rows)
{
    TRY(open_draw(view, rows));
    struct run_draw *d = view->draw;
    if (rows == 0) {
        restore(d);
        d->n_rows = 0;
        d->chosen = false;
        return PERI_OK;
    }
    if (d->n_rows == rows && d->by_key && d->key == key)
        return PERI_OK;
    d->by_key = true;
    d->key = key;
    d->n_rows = rows;
    d->factor = (double)d->n / (double)rows;
    for (int64_t k = 0; k < rows; k++)
        d->rows[k] = rng_below(view->limits.seed, UINT64_C(0x73616d706c65) + key, (uint64_t)k, d->n);
    return take(d);
}

peri_status draw_choose(peri_run *view, int64_t rows, const int64_t *index)
{
    TRY(open_draw(view, rows));
    struct run_draw *d = view->draw;
    for (int64_t k = 0; k < rows; k++)
        if (index[k] < 0 || index[k] >= d->n)
            return FAIL(view->ctx, PERI_E_ARGUMENT, "%s: row %lld of a sum with rows 0 .. %lld", view->plugin->name, (long long)index[k],
                        (long long)d->n - 1);
    if (rows == 0)
        return draw_sample(view, 0, 0);
    d->by_key = false;
    d->n_rows = rows;
    d->factor = (double)d->n / (double)rows;
    memcpy(d->rows, index, (size_t)rows * sizeof *index);
    return take(d);
}

bool draw_is_active(const peri_run *view)
{
    return view->draw != NULL && view->draw->n_rows > 0 && view->draw->sum != NULL;
}

peri_status draw_fg(peri_run *view, const double *x, double *f, double *g)
{
    struct run_draw *d = view->draw;
    if (!d->chosen) /* its weights were put in since */
        TRY(take(d));
    return finite_sum_fg(d->sum, x, f, g);
}

peri_status draw_terms(peri_run *view, const double *x, double *f, double *g)
{
    struct run_draw *d = view->draw;
    if (d == NULL || d->n_rows == 0)
        return FAIL(view->ctx, PERI_E_STATE, "%s: terms of a sample are asked for before there is one", view->plugin->name);
    if (d->sum == NULL)
        return FAIL(view->ctx, PERI_E_UNSUPPORTED, "%s: the objective of \"%s\" is not seen as a sum whose terms can be told apart", view->plugin->name,
                    view->model->name);
    if (!d->chosen)
        TRY(take(d));
    return finite_sum_terms(d->sum, x, f, g);
}
