/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prox.c - the composite view's life and its operators. Invariant: once made it depends on the model's structure alone; weights, radii and bounds
 * are read anew for each run, and applying an operator allocates nothing.
 */
#include "oracle/prox.h"
#include <math.h>
#include <string.h>

/* ---- making ------------------------------------------------------------------------------------------------------------- */

/* max(a, 0) that is squared wherever it is used has a derivative. */
static bool is_squared(const expr_graph *g, expr_id e)
{
    for (expr_id user = e + 1; user < (expr_id)g->nodes.n; user++) {
        const expr_id *args;
        const int32_t n = expr_args(g, user, &args);
        for (int32_t k = 0; k < n; k++)
            if (args[k] == e && expr_at(g, user)->op != PERI_OP_SQUARE)
                return false;
    }
    return true;
}

/* Non-smooth operations that are left in the rest: they have no operator that is known. */
static peri_status refuse_kinks(nlp_prox *c)
{
    for (expr_id e = 0; e < (expr_id)c->g->nodes.n; e++) {
        const int op = expr_at(c->g, e)->op;
        const bool call = op == PERI_OP_CALL && c->g->calls.at[expr_at(c->g, e)->ref].nonsmooth;
        if (call || (expr_is_nonsmooth(op) && !(op == PERI_OP_RELU && is_squared(c->g, e))))
            return FAIL(c->p->ctx, PERI_E_UNSUPPORTED,
                        "the objective has a non-smooth term (%s) without a known proximal operator: those of |x_i|, norms of groups, and "
                        "nuclear norms over variables of their own are known",
                        peri_op_name((peri_op)op));
    }
    return PERI_OK;
}

static peri_status compile_smooth(nlp_prox *c, expr_id smooth)
{
    nlp *p = c->p;
    expr_id f, x, one, gradient;
    c->g = expr_graph_new(p->ctx);
    if (c->g == NULL)
        return FAIL_NOMEM(p->ctx);
    TRY(diff_roll(p->model->g, 1, &smooth, c->g, &f));
    TRY(refuse_kinks(c));
    TRY(expr_input(c->g, EXPR_IN_X, 0, p->n, 1, &x));
    TRY(expr_number(c->g, 1, &one));
    TRY(expr_reshape(c->g, f, 1, 1, &f));
    TRY(diff_adjoint(c->g, 1, &f, &one, 1, &x, &gradient));
    const eval_output out[2] = {{f, 0, 0}, {gradient, 1, 0}};
    return eval_compile(c->g, 2, out, &c->smooth);
}

static peri_status allocate(nlp_prox *c)
{
    const nlp *p = c->p;
    const size_t n = (size_t)p->n;
    int64_t work = 2 * p->n;
    for (int64_t k = 0; k < c->blocks.n; k++) {
        const prox_block *b = &c->blocks.at[k];
        if (b->kind != PROX_NUCLEAR && b->kind != PROX_NUCLEAR_BALL)
            continue;
        const int64_t need = prox_svd_work(b->rows, b->cols);
        work = need > work ? need : work;
    }
    c->weight = arena_array(&c->data, n, sizeof *c->weight);
    c->center = arena_array(&c->data, n, sizeof *c->center);
    c->v = arena_array(&c->data, n, sizeof *c->v);
    c->u = arena_array(&c->data, n, sizeof *c->u);
    c->work = arena_array(&c->data, (size_t)work, sizeof *c->work);
    return c->weight != NULL && c->center != NULL && c->v != NULL && c->u != NULL && c->work != NULL ? PERI_OK : FAIL_NOMEM(p->ctx);
}

static peri_status make(nlp_prox *c)
{
    expr_id smooth;
    c->taken = arena_array(&c->data, (size_t)c->p->n, 1);
    if (c->taken == NULL)
        return FAIL_NOMEM(c->p->ctx);
    TRY(prox_take_apart(c, &smooth));
    TRY(compile_smooth(c, smooth));
    return allocate(c);
}

void nlp_prox_free(nlp_prox *c)
{
    if (c == NULL)
        return;
    mem *m = &c->p->ctx->mem;
    if (c->smooth != NULL)
        eval_free(c->smooth);
    if (c->g != NULL)
        expr_graph_free(c->g);
    vec_free(m, &c->blocks);
    vec_free(m, &c->l1);
    arena_release(&c->data);
    mem_free(m, c, sizeof *c);
}

/* ---- what may change between solves ----------------------------------------------------------------------------------------- */

static peri_status value_of(nlp_prox *c, expr_id e, double absent, int64_t n, double *out)
{
    expr_graph *g = c->p->model->g;
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_PARAM] = g->param_value.at};
    const int64_t size = e == PERI_NO_EXPR ? 1 : expr_size(g, e);
    out[0] = absent;
    if (e != PERI_NO_EXPR)
        TRY(expr_interpret(g, 1, &e, inputs, &out));
    for (int64_t k = 1; k < n && size == 1; k++)
        out[k] = out[0];
    return PERI_OK;
}

static peri_status refresh_l1(nlp_prox *c, const prox_l1 *t)
{
    double *const weight = c->work, *const center = c->work + c->p->n;
    TRY(value_of(c, t->weight, 1, t->n, weight));
    TRY(value_of(c, t->center, 0, t->n, center));
    for (int64_t k = 0; k < t->n; k++) {
        const int64_t i = t->at[k];
        const bool elsewhere = c->weight[i] > 0 && (center[k] < c->center[i] || center[k] > c->center[i]);
        if (!(weight[k] >= 0) || elsewhere)
            return FAIL(c->p->ctx, PERI_E_UNSUPPORTED, "a term |x - c| has %s, so its proximal operator is not known",
                        elsewhere ? "two centers for one variable" : "a negative weight");
        c->weight[i] += weight[k];
        c->center[i] = center[k];
    }
    return PERI_OK;
}

static peri_status refresh_halfspace(nlp_prox *c, prox_block *b)
{
    nlp *p = c->p;
    peri_pattern j;
    double *jac = mem_array(&p->ctx->mem, (size_t)p->jac.nnz, sizeof *jac), *rows = mem_array(&p->ctx->mem, (size_t)p->m, sizeof *rows);
    peri_status status = jac != NULL && rows != NULL ? nlp_jac_pattern(p, &j) : FAIL_NOMEM(p->ctx);
    memset(c->v, 0, (size_t)p->n * sizeof *c->v);
    if (status == PERI_OK)
        status = nlp_jac(p, c->v, jac);
    if (status == PERI_OK)
        status = nlp_c(p, c->v, rows);
    int64_t count = 0;
    for (int64_t k = 0; status == PERI_OK && k < j.nnz; k++) /* columns ascend as when `at` was made */
        if (j.index[k] == b->constraint)
            b->a[count++] = jac[k];
    if (status == PERI_OK)
        b->offset = rows[b->constraint];
    mem_array_free(&p->ctx->mem, jac);
    mem_array_free(&p->ctx->mem, rows);
    return status;
}

static peri_status refresh_block(nlp_prox *c, prox_block *b)
{
    const nlp *p = c->p;
    switch (b->kind) {
    case PROX_GROUP:
    case PROX_NUCLEAR:
        TRY(value_of(c, b->weight, 1, 1, &b->size));
        return b->size >= 0 ? PERI_OK : FAIL(p->ctx, PERI_E_UNSUPPORTED, "a norm has the weight %g: with a negative one it is not convex", b->size);
    case PROX_HALFSPACE: return refresh_halfspace(c, b);
    case PROX_BALL2: b->size = b->offset > 0 ? sqrt(fmax(p->cu[b->constraint], 0)) : p->cu[b->constraint]; break;
    default: b->size = p->cu[b->constraint];
    }
    return b->size >= 0 ? PERI_OK : FAIL(p->ctx, PERI_E_UNSUPPORTED, "a norm is bounded by %g: no point satisfies that", b->size);
}

/* Linear minimisation wants bounded sets that cover every variable, and no norms. */
static void see_compact(nlp_prox *c)
{
    const nlp *p = c->p;
    c->compact = c->l1.n == 0;
    for (int64_t i = 0; i < p->n; i++)
        c->compact = c->compact && (c->taken[i] == 2 || (p->xl[i] > -INFINITY && p->xu[i] < INFINITY));
    for (int64_t k = 0; k < c->blocks.n; k++) {
        const prox_kind kind = c->blocks.at[k].kind;
        c->compact = c->compact && kind != PROX_GROUP && kind != PROX_NUCLEAR && kind != PROX_HALFSPACE;
    }
}

static peri_status refresh(nlp_prox *c)
{
    memset(c->weight, 0, (size_t)c->p->n * sizeof *c->weight);
    memset(c->center, 0, (size_t)c->p->n * sizeof *c->center);
    for (int64_t k = 0; k < c->l1.n; k++)
        TRY(refresh_l1(c, &c->l1.at[k]));
    for (int64_t k = 0; k < c->blocks.n; k++)
        TRY(refresh_block(c, &c->blocks.at[k]));
    see_compact(c);
    return PERI_OK;
}

peri_status nlp_prox_of(nlp *p, nlp_prox **out)
{
    *out = NULL;
    if (p->prox == NULL) {
        nlp_prox *c = mem_alloc(&p->ctx->mem, sizeof *c);
        if (c == NULL)
            return FAIL_NOMEM(p->ctx);
        memset(c, 0, sizeof *c);
        c->p = p;
        arena_init(&c->data, &p->ctx->mem);
        const peri_status status = make(c);
        if (status != PERI_OK) {
            nlp_prox_free(c);
            return status;
        }
        p->prox = c;
    }
    TRY(refresh(p->prox));
    *out = p->prox;
    return PERI_OK;
}

/* ---- evaluation --------------------------------------------------------------------------------------------------------------- */

peri_status nlp_prox_smooth(nlp_prox *c, const double *x, double *f, double *g)
{
    nlp *p = c->p;
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = p->model->g->param_value.at};
    double *const outs[2] = {f, g};
    TRY(eval_run(c->smooth, inputs, outs));
    p->count.objective++;
    p->count.gradient++;
    TRY(nlp_guard(p, NLP_FG, 1, f));
    return nlp_guard(p, NLP_FG, p->n, g);
}

static double soften(double v, double w)
{
    return v > w ? v - w : v < -w ? v + w : 0;
}

static double clamp(const nlp *p, int64_t i, double v)
{
    return fmin(fmax(v, p->xl[i]), p->xu[i]);
}

static void gather(const prox_block *b, const double *v, double *x)
{
    for (int64_t k = 0; k < b->n; k++)
        x[k] = v[b->at[k]];
}

static double norm_of(int64_t n, const double *x)
{
    double norm = 0;
    for (int64_t k = 0; k < n; k++)
        norm = hypot(norm, x[k]);
    return norm;
}

static void to_halfspace(const nlp *p, const prox_block *b, double *x)
{
    double value = b->offset, square = 0;
    for (int64_t k = 0; k < b->n; k++) {
        value += b->a[k] * x[k];
        square += b->a[k] * b->a[k];
    }
    const double wanted = fmin(fmax(value, p->cl[b->constraint]), p->cu[b->constraint]);
    for (int64_t k = 0; k < b->n && square > 0; k++)
        x[k] += (wanted - value) / square * b->a[k];
}

/* x [n of the block] := its operator; *h: the norm's value there */
static peri_status apply_block(nlp_prox *c, const prox_block *b, double t, double *x, double *h)
{
    double sum, norm;
    *h = 0;
    switch (b->kind) {
    case PROX_GROUP:
        prox_soften_group(t * b->size, b->n, x);
        *h = b->size * norm_of(b->n, x);
        return PERI_OK;
    case PROX_NUCLEAR:
        TRY(prox_nuclear(c->p->ctx, t * b->size, 0, b->rows, b->cols, x, &sum, c->work));
        *h = b->size * sum;
        return PERI_OK;
    case PROX_SIMPLEX: prox_to_simplex(b->size, b->n, x, c->work); return PERI_OK;
    case PROX_BALL2:
        norm = norm_of(b->n, x);
        for (int64_t k = 0; k < b->n && norm > b->size; k++)
            x[k] *= b->size / norm;
        return PERI_OK;
    case PROX_BALL1: prox_to_ball1(b->size, b->n, x, c->work); return PERI_OK;
    case PROX_NUCLEAR_BALL: return prox_nuclear(c->p->ctx, -1, b->size, b->rows, b->cols, x, &sum, c->work);
    default: to_halfspace(c->p, b, x); return PERI_OK;
    }
}

peri_status nlp_prox_apply(nlp_prox *c, double t, const double *v, double *out, double *h)
{
    const nlp *p = c->p;
    *h = 0;
    for (int64_t i = 0; i < p->n; i++) {
        if (c->taken[i] == 2) {
            out[i] = v[i];
            continue;
        }
        out[i] = clamp(p, i, c->weight[i] > 0 ? c->center[i] + soften(v[i] - c->center[i], t * c->weight[i]) : v[i]);
        *h += c->weight[i] * fabs(out[i] - c->center[i]);
    }
    for (int64_t k = 0; k < c->blocks.n; k++) {
        const prox_block *b = &c->blocks.at[k];
        double part;
        gather(b, out, c->u);
        TRY(apply_block(c, b, t, c->u, &part));
        for (int64_t q = 0; q < b->n; q++)
            out[b->at[q]] = c->u[q];
        *h += part;
    }
    return PERI_OK;
}

/* ---- linear minimisation -------------------------------------------------------------------------------------------------------- */

/* x holds the gradient; x := the set's point of least product with it */
static peri_status minimise_block(nlp_prox *c, const prox_block *b, double *x)
{
    int64_t best = 0;
    const double norm = norm_of(b->n, x);
    switch (b->kind) {
    case PROX_BALL2:
        for (int64_t k = 0; k < b->n; k++)
            x[k] = norm > 0 ? -b->size * x[k] / norm : 0;
        return PERI_OK;
    case PROX_NUCLEAR_BALL: return prox_leading(c->p->ctx, b->size, b->rows, b->cols, x, c->work);
    case PROX_BALL1:
        for (int64_t k = 1; k < b->n; k++)
            best = fabs(x[k]) > fabs(x[best]) ? k : best;
        for (int64_t k = 0; k < b->n; k++)
            x[k] = k == best ? -copysign(b->size, x[k]) : 0;
        return PERI_OK;
    default:
        for (int64_t k = 1; k < b->n; k++)
            best = x[k] < x[best] ? k : best;
        for (int64_t k = 0; k < b->n; k++)
            x[k] = k == best ? b->size : 0;
        return PERI_OK;
    }
}

peri_status nlp_prox_linear(nlp_prox *c, const double *g, double *out)
{
    const nlp *p = c->p;
    if (!c->compact)
        return FAIL(p->ctx, PERI_E_UNSUPPORTED,
                    "linear minimisation needs every variable in a bounded set (finite bounds, a simplex or a ball) and no norm in the objective");
    for (int64_t i = 0; i < p->n; i++)
        if (c->taken[i] != 2)
            out[i] = g[i] > 0 ? p->xl[i] : g[i] < 0 ? p->xu[i] : 0.5 * (p->xl[i] + p->xu[i]);
    for (int64_t k = 0; k < c->blocks.n; k++) {
        const prox_block *b = &c->blocks.at[k];
        gather(b, g, c->u);
        TRY(minimise_block(c, b, c->u));
        for (int64_t q = 0; q < b->n; q++)
            out[b->at[q]] = c->u[q];
    }
    return PERI_OK;
}
