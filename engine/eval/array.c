/* SPDX-License-Identifier: Apache-2.0 */
/*
 * array.c - operations on whole arrays other than products and what needs factors: running sums, the exponential, foreign functions; and the door to
 * all of them. Matrices are row-major. Workspace is planned.
 */
#include "eval/blas.h"
#include "eval/plan.h"
#include "eval/sparse.h"
#include <math.h>
#include <string.h>

static void fill(int64_t n, double value, double *out)
{
    for (int64_t k = 0; k < n; k++)
        out[k] = value;
}

static void add_identity(int64_t n, double factor, double *a)
{
    for (int64_t k = 0; k < n; k++)
        a[k * n + k] += factor;
}

/* ---- the exponential ------------------------------------------------------------------------------------------------------------------ */

static double norm_1(int64_t n, const double *a)
{
    double top = 0;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += fabs(a[i * n + j]);
        top = sum > top || isnan(sum) ? sum : top;
    }
    return top;
}

/* out = c6 a6 + c4 a4 + c2 a2 + c0 I */
static void even_part(int64_t n, const double *a2, const double *a4, const double *a6, double c6, double c4, double c2, double c0,
                      double *out)
{
    for (int64_t k = 0; k < n * n; k++)
        out[k] = c6 * a6[k] + c4 * a4[k] + c2 * a2[k];
    add_identity(n, c0, out);
}

/*
 * Scaling and squaring with the diagonal rational approximant of degree 13 (Higham 2005, SIAM J. Matrix Anal. Appl. 26, p. 1179): r = q^-1 p with
 * p, q = V +- U; good to the rounding unit while the 1-norm is below 5.37. work [7 x n x n]
 */
static void exponential(const eval_array *t)
{
    static const double b[] = {64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
                               10559470521600,    670442572800,      33522128640,      1323241920,       40840800,
                               960960,            16380,             182,              1};
    const int64_t n = t->rows, size = n * n;
    double *const a = t->work, *const a2 = a + size, *const a4 = a2 + size, *const a6 = a4 + size, *const u = a6 + size;
    double *const v = u + size, *const w = v + size;
    const double norm = norm_1(n, t->a);
    if (!isfinite(norm)) {
        fill(size, NAN, t->out);
        return;
    }
    const int squarings = norm > 5.37 ? (int)ceil(log2(norm / 5.37)) : 0;
    for (int64_t k = 0; k < size; k++)
        a[k] = ldexp(t->a[k], -squarings);
    eval_square_product(t, n, a, a, a2);
    eval_square_product(t, n, a2, a2, a4);
    eval_square_product(t, n, a4, a2, a6);
    even_part(n, a2, a4, a6, b[13], b[11], b[9], 0, w);
    eval_square_product(t, n, a6, w, u);
    even_part(n, a2, a4, a6, b[7], b[5], b[3], b[1], w);
    for (int64_t k = 0; k < size; k++)
        w[k] += u[k];
    eval_square_product(t, n, a, w, u);
    even_part(n, a2, a4, a6, b[12], b[10], b[8], 0, w);
    eval_square_product(t, n, a6, w, v);
    even_part(n, a2, a4, a6, b[6], b[4], b[2], b[0], w);
    for (int64_t k = 0; k < size; k++) {
        const double even = v[k] + w[k];
        t->out[k] = even + u[k];
        v[k] = even - u[k];
    }
    eval_factorize(t->blas, n, v, t->pivots);
    eval_solve_commuting(t->blas, n, v, t->pivots, t->out);
    for (int s = 0; s < squarings; s++) {
        eval_square_product(t, n, t->out, t->out, w);
        memcpy(t->out, w, (size_t)size * sizeof *w);
    }
}

/* ---- others ------------------------------------------------------------------------------------------------------------------------------ */

static void running_sum(const eval_array *t)
{
    memcpy(t->out, t->a, (size_t)t->cols * sizeof *t->out);
    for (int64_t k = t->cols; k < t->rows * t->cols; k++)
        t->out[k] = t->out[k - t->cols] + t->a[k];
}

static void row_max(const eval_array *t)
{
    for (int64_t i = 0; i < t->rows; i++) {
        const double *const a = t->a + i * t->cols;
        double top = a[0];
        for (int64_t j = 1; j < t->cols; j++)
            top = a[j] > top || isnan(a[j]) ? a[j] : top; /* once NaN, nothing is above */
        t->out[i] = top;
    }
}

static peri_status call(eval_program *p, const eval_array *t)
{
    return expr_call_function(p->g->ctx, &t->fn, t->op == PERI_OP_CALL, t->rows * t->cols, t->a, t->out);
}

/* Where it is undefined its entries are NaN, as an operation's are; its message is found when somebody asks for the cause. */
static peri_status apply_rule(eval_program *p, const eval_array *t)
{
    peri_context *ctx = p->g->ctx;
    const fail_record before = ctx->error;
    const peri_status status = t->rule->value(t->rule, t->a, t->out);
    if (status != PERI_E_DOMAIN)
        return status;
    ctx->error = before;
    fill(t->rule->rows * t->rule->cols, NAN, t->out);
    return PERI_OK;
}

peri_status eval_run_array(eval_program *p, const eval_array *t, int32_t threads)
{
    switch (t->op) {
    case PERI_OP_MATMUL:
        if (t->layout != NULL)
            eval_sparse_times(t->layout, t->b, t->work, t->out, p->g->ctx->pool, threads);
        else
            eval_run_product(t);
        break;
    case PERI_OP_CUMSUM:
        running_sum(t);
        break;
    case PERI_OP_BMM:
    case PERI_OP_CONV:
        eval_run_bilinear(t);
        break;
    case PERI_OP_ROWMAX:
        row_max(t);
        break;
    case PERI_OP_LOGDET:
    case PERI_OP_INV:
    case PERI_OP_SOLVE:
        eval_run_factored(t);
        break;
    case PERI_OP_EXPM:
        exponential(t);
        break;
    case PERI_OP_RULE:
        return apply_rule(p, t);
    default:
        return call(p, t);
    }
    return PERI_OK;
}

/* ---- compilation ----------------------------------------------------------------------------------------------------------------------------- */

peri_status eval_open_blas(eval_compiler *c, eval_array *out)
{
    eval_program *p = c->program;
    out->blas = NULL;
    if (c->alone)
        return PERI_OK;
    if (p->blas == NULL) {
        p->blas = arena_alloc(&p->data, sizeof *p->blas);
        if (p->blas == NULL)
            return FAIL_NOMEM(c->g->ctx);
        p->has_blas = eval_blas_open(c->g->ctx, p->blas);
    }
    out->blas = p->has_blas ? p->blas : NULL;
    return PERI_OK;
}

peri_status eval_compile_array(eval_compiler *c, expr_id e, eval_array *out)
{
    const expr_node *node = expr_at(c->g, e);
    const expr_node *arg = expr_at(c->g, node->arg[0]);
    out->node = e;
    out->op = node->op;
    out->rows = arg->rows;
    out->cols = arg->cols;
    TRY(eval_point(c, &out->out, c->place[e]));
    eval_leave(c, c->place[e], eval_size(c, e));
    out->simd = c->program->simd;
    if (node->op == PERI_OP_MATMUL)
        return eval_compile_product(c, e, out);
    if (expr_is_bilinear(node->op))
        return eval_compile_bilinear(c, e, out);
    if (node->op == PERI_OP_SOLVE || node->op == PERI_OP_INV || node->op == PERI_OP_LOGDET)
        return eval_compile_factored(c, e, out);
    TRY(eval_point(c, &out->a, c->place[eval_arg(c, node->arg[0])]));
    if (node->op == PERI_OP_CALL || node->op == PERI_OP_CALLGRAD) {
        out->fn = c->g->calls.at[node->ref];
        return PERI_OK;
    }
    if (node->op == PERI_OP_RULE) {
        out->rule = c->g->rules.at[node->ref];
        return PERI_OK;
    }
    if (node->op == PERI_OP_CUMSUM || node->op == PERI_OP_ROWMAX)
        return PERI_OK;
    out->work = arena_array(&c->program->data, (size_t)(7 * out->rows * out->rows), sizeof *out->work);
    out->pivots = arena_array(&c->program->data, (size_t)out->rows, sizeof *out->pivots);
    if (out->work == NULL || out->pivots == NULL)
        return FAIL_NOMEM(c->g->ctx);
    return out->rows >= EVAL_LARGE_MATRIX ? eval_open_blas(c, out) : PERI_OK;
}
