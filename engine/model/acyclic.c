/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acyclic.c - smooth functions of the weights of a directed graph that vanish exactly where it has no cycle, and the model's memory of which
 * expressions are such functions. All are sums of traces of powers of a matrix A >= 0, W o W or |W|, with positive weights: tr(A^k) adds up the
 * weights of closed walks of length k (Zheng, Aragam, Ravikumar and Xing 2018; Yu, Chen, Gao and Yu 2019; Bello, Aragam and Ravikumar 2022).
 * Invariant: an entry of model->acyclic names an expression that is such a function, whatever it is used for.
 */
#include "model/internal.h"
#include <math.h>
#include <string.h>

static const char *const FORMS[] = {"exponential", "log-determinant", "polynomial"};

static peri_status read_form(peri_model *m, const char *name, int *form)
{
    for (*form = 0; *form < 3; ++*form)
        if (strcmp(name, FORMS[*form]) == 0)
            return PERI_OK;
    return FAIL(m->ctx, PERI_E_ARGUMENT, "acyclic: there is no form \"%.40s\"; there are exponential, log-determinant and polynomial", name);
}

static peri_status identity(expr_graph *g, int64_t n, double value, expr_id *out)
{
    double *data = mem_array(g->m, (size_t)(n * n), sizeof *data);
    if (data == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t i = 0; i < n; i++)
        data[i * (n + 1)] = value;
    const peri_status status = expr_dense(g, n, n, data, out);
    mem_array_free(g->m, data);
    return status;
}

static peri_status minus(expr_graph *g, expr_id e, double value, expr_id *out)
{
    expr_id number;
    TRY(expr_number(g, value, &number));
    return expr_binary(g, PERI_OP_SUB, e, number, out);
}

/* tr(exp A) - d */
static peri_status exponential(expr_graph *g, int64_t d, expr_id a, expr_id *out)
{
    TRY(expr_unary(g, PERI_OP_EXPM, a, out));
    TRY(expr_unary(g, PERI_OP_TRACE, *out, out));
    return minus(g, *out, (double)d, out);
}

/* d log s - log det(s I - A) */
static peri_status log_determinant(expr_graph *g, int64_t d, double s, expr_id a, expr_id *out)
{
    expr_id eye;
    TRY(identity(g, d, s, &eye));
    TRY(expr_binary(g, PERI_OP_SUB, eye, a, out));
    TRY(expr_unary(g, PERI_OP_LOGDET, *out, out));
    TRY(minus(g, *out, (double)d * log(s), out));
    return expr_unary(g, PERI_OP_NEG, *out, out);
}

/* tr((I + A/d)^d) - d, by squaring */
static peri_status polynomial(expr_graph *g, int64_t d, expr_id a, expr_id *out)
{
    expr_id scale, base, power = PERI_NO_EXPR;
    TRY(expr_number(g, 1 / (double)d, &scale));
    TRY(identity(g, d, 1, &base));
    TRY(expr_binary(g, PERI_OP_MUL, scale, a, &scale));
    TRY(expr_binary(g, PERI_OP_ADD, base, scale, &base));
    for (int64_t k = d; k > 0; k /= 2) {
        if (k % 2 == 1 && power != PERI_NO_EXPR)
            TRY(expr_binary(g, PERI_OP_MATMUL, power, base, &power));
        else if (k % 2 == 1)
            power = base;
        if (k > 1)
            TRY(expr_binary(g, PERI_OP_MATMUL, base, base, &base));
    }
    TRY(expr_unary(g, PERI_OP_TRACE, power, out));
    return minus(g, *out, (double)d, out);
}

/* |W| or W o W; of norms of groups, square roots, what is below the root, which is smooth at zero */
static peri_status entries(expr_graph *g, expr_id w, bool absolute, expr_id *a)
{
    const expr_node node = *expr_at(g, w);
    if (!absolute && node.op == PERI_OP_SQRT) {
        *a = node.arg[0];
        return PERI_OK;
    }
    return expr_unary(g, absolute ? PERI_OP_ABS : PERI_OP_SQUARE, w, a);
}

static peri_status remember(peri_model *m, const model_acyclic *entry)
{
    peri_model *root = m->root;
    for (int64_t k = 0; k < root->acyclic.n; k++)
        if (root->acyclic.at[k].h == entry->h)
            return PERI_OK;
    return vec_push(m->g->m, &root->acyclic, *entry) ? PERI_OK : FAIL_NOMEM(m->ctx);
}

peri_status peri_expr_acyclicity(peri_model *m, peri_expr w, const char *form, bool absolute, double s, peri_expr *out)
{
    char text[160];
    model_acyclic entry = {.absolute = absolute, .s = s};
    expr_id a;
    *out = PERI_NO_EXPR;
    TRY(model_check_expr(m, "acyclic", w));
    TRY(read_form(m, form, &entry.form));
    const int64_t d = expr_at(m->g, w)->rows;
    if (d != expr_at(m->g, w)->cols) {
        model_describe(m, w, text, sizeof text);
        return FAIL(m->ctx, PERI_E_SHAPE, "acyclic: %s is not square: entry [i][j] is the weight of the edge from i to j", text);
    }
    if (!(s > 0) || isinf(s))
        return FAIL(m->ctx, PERI_E_ARGUMENT, "acyclic: s is %g, it must be positive", s);
    TRY(expr_reshape(m->g, w, d, d, &entry.w)); /* a sparse constant becomes dense */
    TRY(entries(m->g, entry.w, absolute, &a));
    if (entry.form == PERI_ACYCLIC_EXPONENTIAL)
        TRY(exponential(m->g, d, a, &entry.h));
    else if (entry.form == PERI_ACYCLIC_LOG_DETERMINANT)
        TRY(log_determinant(m->g, d, s, a, &entry.h));
    else
        TRY(polynomial(m->g, d, a, &entry.h));
    TRY(remember(m, &entry));
    *out = entry.h;
    return PERI_OK;
}

/* h is never negative, so h <= 0 says the same as h = 0. */
const model_acyclic *model_acyclic_of(const peri_model *m, int64_t *row)
{
    const model_acyclic *found = NULL;
    for (int64_t i = 0; i < m->cons.n; i++) {
        const model_constraint *c = &m->cons.at[i];
        if (!model_takes_part(m, c->level))
            continue;
        for (int64_t k = 0; k < m->root->acyclic.n; k++) {
            if (m->root->acyclic.at[k].h != c->body || c->lower[0] > 0 || c->upper[0] < 0 || c->upper[0] > 0)
                continue;
            if (found != NULL)
                return NULL; /* more than one: which is to be the graph? */
            found = &m->root->acyclic.at[k];
            *row = c->row;
        }
    }
    return found;
}
