/* SPDX-License-Identifier: Apache-2.0 */
/*
 * squares.c - the residuals of a sum of squares: f = constant + sum of r_k^2. The sum is taken apart from the top: what is added are more
 * sums, what is multiplied in without variables becomes a weight, what is left must have a square root that is an expression. Invariant:
 * the residuals found so far, squared and added, and the items still waiting, each times its weight, make f but for a constant. Whether there are
 * any can be asked without making them: of the weights only the signs are then followed.
 */
#include "diff/internal.h"
#include <math.h>
#include <string.h>

enum { ROOT_DEPTH = 64 };

/* What is known of all entries of a weight. */
typedef enum { SIGN_POSITIVE, SIGN_NEGATIVE, SIGN_MIXED, SIGN_UNKNOWN } sign; /* none negative; none positive; both; no constants */

/* Waiting: the sum over all entries of weight * e; weight -1: one, else a scalar or shaped as e. On trial there is no weight but its sign. */
typedef struct {
    expr_id e, weight;
    sign sign;
    bool scalar; /* the weight */
} squares_item;

typedef struct {
    expr_graph *g;
    unsigned char *varies; /* [top + 1] depends on variables; later nodes are asked for through their arguments */
    expr_id top;
    VEC(squares_item) waiting;
    expr_id_list found; /* columns */
    bool failed;        /* some part is no square */
    bool trial, any, unsure; /* nothing is made; some part is a square; the signs do not tell */
} squares;

/* ---- square roots -------------------------------------------------------------------------------------------------- */

static peri_status root_of(squares *s, expr_id e, int depth, expr_id *out);

/* Of parameters: their values may change; the root of a negative one is not finite, and so is found. */
static sign sign_of(const expr_graph *g, expr_id e)
{
    double value;
    bool negative = false, positive = false;
    if (!expr_constant_value(g, e, &value) && expr_at(g, e)->op != PERI_OP_CONST)
        return SIGN_UNKNOWN;
    const bool same = expr_constant_value(g, e, &value);
    const expr_const *c = same ? NULL : &g->consts.at[expr_at(g, e)->ref];
    const double *data = same ? &value : c->data;
    const int64_t n = same || c->same ? 1 : c->nnz;
    for (int64_t k = 0; k < n; k++) {
        negative = negative || data[k] < 0;
        positive = positive || !(data[k] < 0);
    }
    return !negative ? SIGN_POSITIVE : positive ? SIGN_MIXED : SIGN_NEGATIVE;
}

static sign times_sign(squares *s, sign a, sign b)
{
    if (a == SIGN_UNKNOWN || b == SIGN_UNKNOWN)
        return SIGN_UNKNOWN;
    s->unsure = s->unsure || (a == SIGN_MIXED && b == SIGN_MIXED); /* entry by entry it may be one sign again */
    if (a == SIGN_MIXED || b == SIGN_MIXED)
        return SIGN_MIXED;
    return a == b ? SIGN_POSITIVE : SIGN_NEGATIVE;
}

static peri_status root_of_fixed(squares *s, expr_id e, expr_id *out)
{
    const sign of_all = sign_of(s->g, e);
    s->failed = s->failed || of_all == SIGN_NEGATIVE || of_all == SIGN_MIXED;
    *out = e;
    return s->failed || s->trial ? PERI_OK : expr_unary(s->g, PERI_OP_SQRT, e, out);
}

/* Of an operation through which roots pass: the same operation on the roots of its arguments. */
static peri_status root_of_arguments(squares *s, expr_id e, int depth, expr_id *out)
{
    expr_graph *g = s->g;
    const expr_id *args;
    const int32_t n = expr_args(g, e, &args);
    expr_id *roots = mem_array(g->m, (size_t)n, sizeof *roots);
    peri_status status = roots != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    for (int32_t k = 0; k < n && status == PERI_OK && !s->failed; k++) {
        expr_args(g, e, &args); /* the list may have moved */
        status = root_of(s, args[k], depth + 1, &roots[k]);
    }
    *out = e;
    if (status == PERI_OK && !s->failed && !s->trial)
        status = expr_remake(g, e, roots, out);
    mem_array_free(g->m, roots);
    return status;
}

static peri_status root_of_power(squares *s, expr_id base, expr_id exponent, expr_id *out)
{
    double power;
    expr_id half;
    if (!expr_constant_value(s->g, exponent, &power) || fmod(power, 2) != 0) {
        s->failed = true;
        return PERI_OK;
    }
    *out = base;
    if (s->trial)
        return PERI_OK;
    TRY(expr_number(s->g, power / 2, &half));
    return expr_binary(s->g, PERI_OP_POW, base, half, out);
}

/* An expression whose square is e, entry by entry; s->failed where there is none. */
static peri_status root_of(squares *s, expr_id e, int depth, expr_id *out)
{
    const expr_node node = *expr_at(s->g, e);
    if (e <= s->top && !s->varies[e])
        return root_of_fixed(s, e, out);
    s->failed = s->failed || depth > ROOT_DEPTH;
    if (s->failed)
        return PERI_OK;
    switch (node.op) {
    case PERI_OP_SQUARE: *out = node.arg[0]; return PERI_OK;
    case PERI_OP_POW: return root_of_power(s, node.arg[0], node.arg[1], out);
    case PERI_OP_MARK: return root_of(s, node.arg[0], depth + 1, out);
    case PERI_OP_MUL:
        if (node.arg[0] == node.arg[1]) {
            *out = node.arg[0];
            return PERI_OK;
        }
        return root_of_arguments(s, e, depth, out);
    case PERI_OP_DIV:
    case PERI_OP_GATHER:
    case PERI_OP_STACK: return root_of_arguments(s, e, depth, out);
    default: s->failed = true; return PERI_OK;
    }
}

/* ---- taking the sum apart -------------------------------------------------------------------------------------------- */

static peri_status wait_for(squares *s, expr_id e, const squares_item *weight)
{
    squares_item item = *weight;
    item.e = e;
    return vec_push(s->g->m, &s->waiting, item) ? PERI_OK : FAIL_NOMEM(s->g->ctx);
}

/* item's weight times `by`, or divided by it */
static peri_status weigh(squares *s, peri_op op, expr_id by, squares_item *item)
{
    item->scalar = item->scalar && expr_size(s->g, by) == 1;
    item->sign = times_sign(s, item->sign, sign_of(s->g, by));
    if (s->trial)
        return PERI_OK;
    if (item->weight != PERI_NO_EXPR)
        return expr_binary(s->g, op, item->weight, by, &item->weight);
    item->weight = by;
    return op == PERI_OP_MUL ? PERI_OK : expr_unary(s->g, PERI_OP_RECIP, by, &item->weight);
}

/* An argument of an elementwise node of `size` entries: where it is a scalar it stands for all of them, with their weights' sum. */
static peri_status wait_for_argument(squares *s, expr_id e, const squares_item *weight, int64_t size)
{
    squares_item item = *weight;
    expr_id count;
    if (expr_size(s->g, e) == size)
        return wait_for(s, e, weight);
    if (item.scalar) {
        TRY(expr_number(s->g, (double)size, &count));
        TRY(weigh(s, PERI_OP_MUL, count, &item));
    } else {
        s->unsure = s->unsure || item.sign == SIGN_MIXED;
        item.scalar = true;
        if (!s->trial)
            TRY(expr_unary(s->g, PERI_OP_SUM, item.weight, &item.weight));
    }
    return wait_for(s, e, &item);
}

static peri_status scaled(squares *s, peri_op op, expr_id e, expr_id by, const squares_item *item)
{
    squares_item more = *item;
    TRY(weigh(s, op, by, &more));
    return wait_for_argument(s, e, &more, expr_size(s->g, item->e));
}

static peri_status residual(squares *s, const squares_item *item)
{
    expr_id r = PERI_NO_EXPR, w = PERI_NO_EXPR;
    TRY(root_of(s, item->e, 0, &r));
    s->failed = s->failed || (s->trial && (item->sign == SIGN_NEGATIVE || item->sign == SIGN_MIXED));
    if (item->weight != PERI_NO_EXPR && !s->failed)
        TRY(root_of_fixed(s, item->weight, &w));
    s->any = s->any || !s->failed;
    if (s->failed || s->trial)
        return PERI_OK;
    if (w != PERI_NO_EXPR)
        TRY(expr_binary(s->g, PERI_OP_MUL, w, r, &r));
    TRY(expr_reshape(s->g, r, expr_size(s->g, r), 1, &r));
    return vec_push(s->g->m, &s->found, r) ? PERI_OK : FAIL_NOMEM(s->g->ctx);
}

static peri_status all_arguments(squares *s, const squares_item *item)
{
    const expr_id *args;
    const int32_t n = expr_args(s->g, item->e, &args);
    for (int32_t k = 0; k < n; k++)
        TRY(wait_for(s, args[k], item));
    return PERI_OK;
}

static peri_status negated(squares *s, const squares_item *item, expr_id e)
{
    expr_id minus;
    TRY(expr_number(s->g, -1, &minus));
    return scaled(s, PERI_OP_MUL, e, minus, item);
}

static peri_status take(squares *s, const squares_item *item)
{
    const expr_node node = *expr_at(s->g, item->e);
    const int64_t size = expr_size(s->g, item->e);
    if (!s->varies[item->e])
        return PERI_OK;
    switch (node.op) {
    case PERI_OP_ADD:
        TRY(wait_for_argument(s, node.arg[0], item, size));
        return wait_for_argument(s, node.arg[1], item, size);
    case PERI_OP_SUB:
        TRY(wait_for_argument(s, node.arg[0], item, size));
        return s->varies[node.arg[1]] ? negated(s, item, node.arg[1]) : PERI_OK;
    case PERI_OP_NEG: return negated(s, item, node.arg[0]);
    case PERI_OP_MUL:
        if (!s->varies[node.arg[0]])
            return scaled(s, PERI_OP_MUL, node.arg[1], node.arg[0], item);
        if (!s->varies[node.arg[1]])
            return scaled(s, PERI_OP_MUL, node.arg[0], node.arg[1], item);
        return residual(s, item);
    case PERI_OP_DIV:
        return s->varies[node.arg[1]] ? residual(s, item) : scaled(s, PERI_OP_DIV, node.arg[0], node.arg[1], item);
    case PERI_OP_SUM: return wait_for(s, node.arg[0], item);
    case PERI_OP_SQUARE: /* of a norm */
        if (expr_at(s->g, node.arg[0])->op == PERI_OP_SQRT)
            return wait_for(s, expr_at(s->g, node.arg[0])->arg[0], item);
        return residual(s, item);
    case PERI_OP_STACK:
    case PERI_OP_SCATTER: return item->scalar ? all_arguments(s, item) : residual(s, item);
    default: return residual(s, item);
    }
}

static peri_status take_all(squares *s, expr_id f)
{
    const squares_item whole = {f, PERI_NO_EXPR, SIGN_POSITIVE, true};
    s->top = f;
    s->varies = mem_array(s->g->m, (size_t)f + 1, 1);
    if (s->varies == NULL)
        return FAIL_NOMEM(s->g->ctx);
    expr_mark_varying(s->g, s->top, NULL, 1u << EXPR_IN_X, s->varies);
    TRY(wait_for(s, f, &whole));
    while (s->waiting.n > 0 && !s->failed) {
        const squares_item item = s->waiting.at[--s->waiting.n];
        TRY(take(s, &item));
    }
    return PERI_OK;
}

static void squares_release(squares *s)
{
    vec_free(s->g->m, &s->waiting);
    vec_free(s->g->m, &s->found);
    mem_array_free(s->g->m, s->varies);
}

peri_status diff_squares(expr_graph *g, expr_id f, expr_id *r)
{
    squares s = {.g = g};
    peri_status status = take_all(&s, f);
    if (status == PERI_OK && (s.failed || s.found.n == 0))
        status = FAIL(g->ctx, PERI_E_UNSUPPORTED, "the objective is not a sum of squares whose residuals can be told apart");
    if (status == PERI_OK)
        status = expr_stack(g, s.found.n, s.found.at, r);
    squares_release(&s);
    return status;
}

peri_status diff_has_squares(expr_graph *g, expr_id f, bool *has)
{
    squares s = {.g = g, .trial = true};
    expr_id r;
    peri_status status = take_all(&s, f);
    *has = !s.failed && s.any;
    if (status == PERI_OK && s.unsure) {
        status = diff_squares(g, f, &r);
        *has = status == PERI_OK;
        status = status == PERI_E_UNSUPPORTED ? PERI_OK : status;
    }
    squares_release(&s);
    return status;
}
