/* SPDX-License-Identifier: Apache-2.0 */
/*
 * finite_sum.c - see finite_sum.h. Programs have fixed shapes, so a set of rows is cut into pieces of 2^k rows, at most one of each length but for the
 * longest: as many programs as the set's number has bits. They are made when a length is first needed. Invariant: the same rows in the same
 * order give the same bits; a piece's data are those of its rows, filled once for as long as the rows stay.
 */
#include "oracle/finite_sum.h"
#include "base/clock.h"
#include "diff/terms.h"
#include <string.h>

enum { LENGTHS = 9 }; /* up to 256 rows */
#define MOST_DATA (1 << 20) /* numbers of a piece's data */

typedef struct {
    diff_terms *terms;
    eval_program *program;
    double *data;      /* [K width] */
    int64_t of;        /* the piece whose data these are; -1: none */
} length;

struct finite_sum {
    nlp *p;
    int64_t first, n;
    length at[LENGTHS];
    int longest;           /* its index */
    expr_id rest;          /* in p->g */
    eval_program *rest_program; /* NULL: there is none */
    int64_t *rows, n_rows, room;
    double factor;
    double *part;          /* [p->n] */
};

/* ---- programs ------------------------------------------------------------------------------------------------------------------- */

static peri_status compile(expr_graph *g, expr_id f, expr_id x, eval_program **out)
{
    expr_id one, gradient;
    TRY(expr_full(g, expr_at(g, f)->rows, expr_at(g, f)->cols, 1, &one));
    TRY(diff_adjoint(g, 1, &f, &one, 1, &x, &gradient));
    const eval_output outputs[2] = {{f, 0, 0}, {gradient, 1, 0}};
    return eval_compile(g, 2, outputs, out);
}

static peri_status need(finite_sum *s, int k)
{
    length *l = &s->at[k];
    if (l->program != NULL)
        return PERI_OK;
    const double started = clock_seconds();
    context_tell(s->p->ctx, "samples", 0);
    peri_status status = PERI_OK;
    if (l->terms == NULL)
        status = diff_terms_make(s->p->g, s->p->f, s->first, s->n, s->p->n, INT64_C(1) << k, &l->terms);
    if (status == PERI_OK && l->data == NULL) {
        l->data = mem_array(&s->p->ctx->mem, (size_t)(l->terms->K * l->terms->width), sizeof *l->data);
        status = l->data != NULL ? PERI_OK : FAIL_NOMEM(s->p->ctx);
    }
    if (status == PERI_OK)
        status = compile(l->terms->to, l->terms->total, l->terms->x, &l->program);
    l->of = -1;
    s->p->seconds.building += clock_seconds() - started;
    return status;
}

static peri_status make(finite_sum *s)
{
    mem *a = &s->p->ctx->mem;
    s->part = mem_array(a, (size_t)s->p->n, sizeof *s->part);
    if (s->part == NULL)
        return FAIL_NOMEM(s->p->ctx);
    TRY(need(s, 0));
    s->rest = s->at[0].terms->rest;
    const int64_t width = s->at[0].terms->width > 0 ? s->at[0].terms->width : 1;
    while (s->longest + 1 < LENGTHS && (width << (s->longest + 1)) <= MOST_DATA)
        s->longest++;
    double value;
    if (s->rest == PERI_NO_EXPR || (expr_constant_value(s->p->g, s->rest, &value) && !(value < 0) && !(value > 0)))
        return PERI_OK;
    return compile(s->p->g, s->rest, s->p->x, &s->rest_program);
}

peri_status finite_sum_of(nlp *p, int64_t first, int64_t n, finite_sum **out)
{
    *out = p->sum;
    if (p->sum != NULL && p->sum->first == first && p->sum->n == n)
        return PERI_OK;
    finite_sum_free(p->sum);
    p->sum = NULL;
    finite_sum *s = mem_alloc(&p->ctx->mem, sizeof *s);
    if (s == NULL)
        return FAIL_NOMEM(p->ctx);
    *s = (finite_sum){.p = p, .first = first, .n = n, .factor = 1};
    const peri_status status = make(s);
    if (status == PERI_OK)
        *out = p->sum = s;
    else
        finite_sum_free(s);
    return status;
}

void finite_sum_free(finite_sum *s)
{
    if (s == NULL)
        return;
    mem *a = &s->p->ctx->mem;
    for (int k = 0; k < LENGTHS; k++) {
        if (s->at[k].program != NULL)
            eval_free(s->at[k].program);
        diff_terms_free(s->at[k].terms);
        mem_array_free(a, s->at[k].data);
    }
    if (s->rest_program != NULL)
        eval_free(s->rest_program);
    mem_array_free(a, s->rows);
    mem_array_free(a, s->part);
    mem_free(a, s, sizeof *s);
}

bool finite_sum_is_whole(const finite_sum *s)
{
    return s->at[0].terms->whole;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------------------------ */

/* The length of the next piece of so many rows */
static int next_length(const finite_sum *s, int64_t left)
{
    int k = 0;
    while (k < s->longest && (INT64_C(2) << k) <= left)
        k++;
    return k;
}

peri_status finite_sum_choose(finite_sum *s, int64_t n, const int64_t *rows, double factor)
{
    mem *a = &s->p->ctx->mem;
    if (n > s->room) {
        int64_t *more = mem_array(a, (size_t)n, sizeof *more);
        if (more == NULL)
            return FAIL_NOMEM(s->p->ctx);
        mem_array_free(a, s->rows);
        s->rows = more;
        s->room = n;
    }
    if (n > 0)
        memcpy(s->rows, rows, (size_t)n * sizeof *rows);
    s->n_rows = n;
    s->factor = factor;
    for (int k = 0; k < LENGTHS; k++)
        s->at[k].of = -1;
    for (int64_t left = n; left > 0;) {
        const int k = next_length(s, left);
        TRY(need(s, k));
        left -= INT64_C(1) << k;
    }
    return PERI_OK;
}

/* Piece number `piece`, which begins with row `begin`. */
static peri_status run_piece(finite_sum *s, int k, int64_t begin, const double *x, double *f, double *g)
{
    length *l = &s->at[k];
    const double *params = s->p->model->g->param_value.at;
    l->terms->rows = s->rows + begin;
    if (l->of != begin)
        diff_terms_fill(l->terms, params, s->factor, l->data);
    l->of = begin;
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = params, [EXPR_IN_W] = l->data};
    double *const outs[2] = {f, g};
    return eval_run(l->program, inputs, outs);
}

static peri_status run_rest(finite_sum *s, const double *x, double *f, double *g)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = s->p->model->g->param_value.at};
    double *const outs[2] = {f, g};
    if (s->rest_program != NULL)
        return eval_run(s->rest_program, inputs, outs);
    *f = 0;
    memset(g, 0, (size_t)s->p->n * sizeof *g);
    return PERI_OK;
}

static peri_status check_finite(const finite_sum *s, int64_t n, const double *v)
{
    return nlp_is_finite(n, v) ? PERI_OK : FAIL(s->p->ctx, PERI_E_DOMAIN, "objective of a sample or its gradient: a value is not finite");
}

static peri_status add_pieces(finite_sum *s, const double *x, double *f, double *g)
{
    const int64_t n = s->p->n;
    TRY(run_rest(s, x, f, g));
    for (int64_t begin = 0; begin < s->n_rows;) {
        const int k = next_length(s, s->n_rows - begin);
        double more;
        TRY(run_piece(s, k, begin, x, &more, s->part));
        *f += more;
        for (int64_t j = 0; j < n; j++)
            g[j] += s->part[j];
        begin += INT64_C(1) << k;
    }
    return PERI_OK;
}

static void count(finite_sum *s, double started)
{
    s->p->count.objective++;
    s->p->count.gradient++;
    s->p->seconds.gradient += clock_seconds() - started;
}

peri_status finite_sum_fg(finite_sum *s, const double *x, double *f, double *g)
{
    const double started = clock_seconds();
    TRY(add_pieces(s, x, f, g));
    count(s, started);
    TRY(check_finite(s, 1, f));
    return check_finite(s, s->p->n, g);
}

peri_status finite_sum_terms(finite_sum *s, const double *x, double *f, double *g)
{
    const double started = clock_seconds();
    TRY(need(s, 0));
    for (int64_t k = 0; k < s->n_rows; k++)
        TRY(run_piece(s, 0, k, x, &f[k], g != NULL ? g + k * s->p->n : s->part));
    count(s, started);
    TRY(check_finite(s, s->n_rows, f));
    return g != NULL ? check_finite(s, s->n_rows * s->p->n, g) : PERI_OK;
}

int64_t finite_sum_instances(const finite_sum *s)
{
    int64_t sum = 0;
    for (int64_t begin = 0; begin < s->n_rows;) {
        const int k = next_length(s, s->n_rows - begin);
        eval_stats stats;
        eval_get_stats(s->at[k].program, &stats);
        sum += stats.instances;
        begin += INT64_C(1) << k;
    }
    return sum;
}
