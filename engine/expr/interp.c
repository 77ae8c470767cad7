/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interp.c - the plain interpreter: one node at a time, plain loops, no fusion. It folds constants, explains where a value became undefined, and is
 * the reference that compiled programs are tested against.
 */
#include "base/fence.h"
#include "expr/bilinear.h"
#include "expr/dense.h"
#include "expr/node.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- one node ---------------------------------------------------------------------------------------------------------- */

static void apply_elementwise(const expr_graph *g, const expr_node *node, const double *const *args, double *out)
{
    const int64_t n = (int64_t)node->rows * node->cols;
    const double *v[3] = {NULL, NULL, NULL};
    int64_t step[3] = {0, 0, 0};
    static const double none = 0;
    for (int k = 0; k < 3; k++) {
        v[k] = node->arg[k] >= 0 ? args[k] : &none;
        step[k] = node->arg[k] >= 0 && expr_size(g, node->arg[k]) > 1 ? 1 : 0;
    }
    for (int64_t i = 0; i < n; i++)
        out[i] = expr_scalar(node->op, v[0][i * step[0]], v[1][i * step[1]], v[2][i * step[2]]);
}

static void apply_reduction(int op, int64_t n, const double *a, double *out)
{
    double r = a[0];
    for (int64_t i = 1; i < n; i++)
        r = expr_scalar(op == PERI_OP_SUM ? PERI_OP_ADD : op == PERI_OP_MAX ? PERI_OP_MAX2 : PERI_OP_MIN2, r, a[i], 0);
    *out = r;
}

static void apply_scatter(const expr_graph *g, const expr_node *node, const double *const *args, double *out)
{
    memset(out, 0, (size_t)node->rows * (size_t)node->cols * sizeof *out);
    for (int32_t k = 0; k < node->many.n; k++) {
        const expr_list *list = &g->lists.at[g->args.at[node->many.list + node->many.n + k]];
        for (int64_t i = 0; i < list->n; i++)
            out[expr_list_at(list, i)] += args[k][i];
    }
}

static void apply_matmul(const expr_graph *g, const expr_node *node, const double *const *args, double *out)
{
    const int64_t rows = node->rows, cols = node->cols, inner = expr_at(g, node->arg[0])->cols;
    memset(out, 0, (size_t)(rows * cols) * sizeof *out);
    if (expr_is_sparse(g, node->arg[0])) {
        const expr_const *s = &g->consts.at[expr_at(g, node->arg[0])->ref];
        for (int64_t i = 0; i < rows; i++)
            for (int32_t k = s->row_start[i]; k < s->row_start[i + 1]; k++)
                for (int64_t j = 0; j < cols; j++)
                    out[i * cols + j] += expr_sparse_at(s, k) * args[1][(int64_t)s->col[k] * cols + j];
        return;
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < inner; k++)
            for (int64_t j = 0; j < cols; j++)
                out[i * cols + j] += args[0][i * inner + k] * args[1][k * cols + j];
}

static void apply_cumsum(const expr_node *node, const double *a, double *out)
{
    for (int64_t j = 0; j < node->cols; j++) {
        double sum = 0;
        for (int64_t i = 0; i < node->rows; i++)
            out[i * node->cols + j] = sum += a[i * node->cols + j];
    }
}

typedef struct {
    const double *a, *b;
    double *out;
} terms;

static void add_term(void *ud, int64_t out, int64_t left, int64_t right)
{
    const terms *t = ud;
    t->out[out] += t->a[left] * t->b[right];
}

static void apply_bilinear(const expr_graph *g, expr_id e, const double *const *args, double *out)
{
    terms t = {args[0], args[1], out};
    memset(out, 0, (size_t)expr_size(g, e) * sizeof *out);
    expr_each_term(g, e, add_term, &t);
}

static void apply_row_max(const expr_graph *g, const expr_node *node, const double *a, double *out)
{
    const int64_t cols = expr_at(g, node->arg[0])->cols;
    for (int64_t i = 0; i < node->rows; i++)
        apply_reduction(PERI_OP_MAX, cols, a + i * cols, out + i);
}

peri_status expr_call_function(peri_context *ctx, const peri_function *fn, bool value, int64_t n, const double *x, double *out)
{
    const int before = ctx->error.code;
    fence floats;
    fence_take(&floats, FENCE_CHEAP);
    activity_function(ctx, fn->name);
    ctx->error.code = PERI_OK;
    const int code = value ? fn->value(fn->ud, n, x, out) : fn->gradient(fn->ud, n, x, out);
    activity_function(ctx, NULL);
    (void)fence_restore(&floats);
    if (code < 0)
        return code == (int)ctx->error.code ? ctx->error.code : fail_callback(ctx, fn->name);
    ctx->error.code = before;
    for (int64_t k = 0; k < (value ? 1 : n) && code > 0; k++)
        out[k] = NAN;
    return PERI_OK;
}

static peri_status apply_call(const expr_graph *g, const expr_node *node, const double *x, double *out)
{
    return expr_call_function(g->ctx, &g->calls.at[node->ref], node->op == PERI_OP_CALL, expr_size(g, node->arg[0]), x, out);
}

peri_status expr_apply(const expr_graph *g, expr_id e, const double *const *args, double *out)
{
    const expr_node *node = expr_at(g, e);
    const int64_t n = (int64_t)node->rows * node->cols;
    if (expr_is_elementwise(node->op)) {
        apply_elementwise(g, node, args, out);
        return PERI_OK;
    }
    switch (node->op) {
    case PERI_OP_SUM:
    case PERI_OP_MAX:
    case PERI_OP_MIN:
        apply_reduction(node->op, expr_size(g, node->arg[0]), args[0], out);
        return PERI_OK;
    case PERI_OP_GATHER:
        for (int64_t k = 0; k < n; k++)
            out[k] = args[0][expr_gather_at(g, node, k)];
        return PERI_OK;
    case PERI_OP_SCATTER:
        apply_scatter(g, node, args, out);
        return PERI_OK;
    case PERI_OP_STACK:
        for (int32_t k = 0; k < node->many.n; k++) {
            const int64_t size = expr_size(g, g->args.at[node->many.list + k]);
            memcpy(out, args[k], (size_t)size * sizeof *out);
            out += size;
        }
        return PERI_OK;
    case PERI_OP_MATMUL:
        apply_matmul(g, node, args, out);
        return PERI_OK;
    case PERI_OP_CUMSUM:
        apply_cumsum(node, args[0], out);
        return PERI_OK;
    case PERI_OP_BMM:
    case PERI_OP_CONV:
        apply_bilinear(g, e, args, out);
        return PERI_OK;
    case PERI_OP_SOLVE:
        return dense_solve(g->ctx, node->rows, node->cols, args[0], args[1], out);
    case PERI_OP_ROWMAX:
        apply_row_max(g, node, args[0], out);
        return PERI_OK;
    case PERI_OP_LOGDET:
        return dense_logdet(g->ctx, expr_at(g, node->arg[0])->rows, args[0], out);
    case PERI_OP_INV:
        return dense_inverse(g->ctx, node->rows, args[0], out);
    case PERI_OP_EXPM:
        return dense_expm(g->ctx, node->rows, args[0], out);
    case PERI_OP_STOP:
    case PERI_OP_MARK:
        memcpy(out, args[0], (size_t)n * sizeof *out);
        return PERI_OK;
    case PERI_OP_CALL:
    case PERI_OP_CALLGRAD:
        return apply_call(g, node, args[0], out);
    case PERI_OP_RULE:
        return g->rules.at[node->ref]->value(g->rules.at[node->ref], args[0], out);
    default:
        return FAIL(g->ctx, PERI_E_INTERNAL, "operation %s cannot be applied", peri_op_name((peri_op)node->op));
    }
}

/* ---- graphs ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    expr_graph *g;
    expr_id top;          /* largest node wanted */
    unsigned char *reach; /* [top + 1] */
    const double **value; /* [top + 1] borrowed or from the arena */
    arena data;
} interpreter;

static peri_status interpreter_init(interpreter *t, expr_graph *g, int64_t n_roots, const expr_id *roots)
{
    memset(t, 0, sizeof *t);
    t->g = g;
    t->top = -1;
    arena_init(&t->data, g->m);
    for (int64_t k = 0; k < n_roots; k++)
        t->top = roots[k] > t->top ? roots[k] : t->top;
    t->reach = mem_array(g->m, (size_t)t->top + 1, 1);
    t->value = mem_array(g->m, (size_t)t->top + 1, sizeof *t->value);
    if (t->reach == NULL || t->value == NULL)
        return FAIL_NOMEM(g->ctx);
    expr_reach(g, n_roots, roots, t->reach);
    return PERI_OK;
}

static void interpreter_release(interpreter *t)
{
    mem_array_free(t->g->m, t->reach);
    mem_array_free(t->g->m, t->value);
    arena_release(&t->data);
}

static peri_status interpret_leaf(interpreter *t, expr_id e, const double *const inputs[EXPR_IN_COUNT])
{
    expr_graph *g = t->g;
    const expr_node *node = expr_at(g, e);
    if (node->op == PERI_OP_CONST) {
        t->value[e] = expr_const_data(g, e);
        return PERI_OK;
    }
    if (node->class_ == EXPR_IN_Y)
        return FAIL(g->ctx, PERI_E_STATE, "the unknown of an implicit function has no value outside its equations");
    if (inputs[node->class_] == NULL)
        return FAIL(g->ctx, PERI_E_INTERNAL, "an input class has no values");
    t->value[e] = inputs[node->class_] + node->ref;
    return PERI_OK;
}

static peri_status interpret_node(interpreter *t, expr_id e, const double *const inputs[EXPR_IN_COUNT])
{
    expr_graph *g = t->g;
    const expr_node *node = expr_at(g, e);
    if (node->op == PERI_OP_CONST || node->op == PERI_OP_INPUT)
        return interpret_leaf(t, e, inputs);
    const expr_id *list;
    const int32_t n = expr_args(g, e, &list);
    const double *few[3];
    const double **args = n <= 3 ? few : arena_array(&t->data, (size_t)n, sizeof *args);
    double *out = arena_array(&t->data, (size_t)expr_size(g, e), sizeof *out);
    if (args == NULL || out == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int32_t k = 0; k < n; k++)
        args[k] = t->value[list[k]];
    t->value[e] = out;
    return expr_apply(g, e, args, out);
}

peri_status expr_interpret(expr_graph *g, int64_t n_roots, const expr_id *roots, const double *const inputs[EXPR_IN_COUNT],
                           double *const *outs)
{
    interpreter t;
    peri_status status = interpreter_init(&t, g, n_roots, roots);
    for (expr_id e = 0; e <= t.top && status == PERI_OK; e++)
        if (t.reach[e])
            status = interpret_node(&t, e, inputs);
    for (int64_t k = 0; k < n_roots && status == PERI_OK; k++)
        memcpy(outs[k], t.value[roots[k]], (size_t)expr_size(g, roots[k]) * sizeof **outs);
    interpreter_release(&t);
    return status;
}

/* ---- where a value became undefined --------------------------------------------------------------------------------------------- */

static bool bad_elementwise(const interpreter *t, expr_id e, int64_t *entry, char *text, size_t size)
{
    const expr_node *node = expr_at(t->g, e);
    const int64_t n = expr_size(t->g, e);
    for (int64_t i = 0; i < n; i++) {
        double a[3] = {0, 0, 0};
        bool finite = true;
        int k = 0;
        for (; k < 3 && node->arg[k] >= 0; k++) {
            a[k] = t->value[node->arg[k]][expr_size(t->g, node->arg[k]) > 1 ? i : 0];
            finite = finite && isfinite(a[k]);
        }
        if (isfinite(t->value[e][i]) || !finite)
            continue;
        *entry = i;
        const char *name = peri_op_name((peri_op)node->op), *what = isnan(t->value[e][i]) ? "is not defined" : "is infinite";
        if (node->op == PERI_OP_DIV)
            snprintf(text, size, "%.6g / %.6g %s", a[0], a[1], what);
        else if (node->op == PERI_OP_RECIP)
            snprintf(text, size, "1 / %.6g %s", a[0], what);
        else if (node->op == PERI_OP_POW)
            snprintf(text, size, "%.6g ^ %.6g %s", a[0], a[1], what);
        else if (k == 2)
            snprintf(text, size, "%s(%.6g, %.6g) %s", name, a[0], a[1], what);
        else
            snprintf(text, size, "%s(%.6g) %s", name, a[0], what);
        return true;
    }
    return false;
}

static bool bad_other(const interpreter *t, expr_id e, int64_t *entry, char *text, size_t size)
{
    const expr_graph *g = t->g;
    const expr_id *list;
    const int32_t n = expr_args(g, e, &list);
    for (int32_t k = 0; k < n; k++) {
        const int64_t entries = expr_is_sparse(g, list[k]) ? 0 : expr_size(g, list[k]);
        for (int64_t i = 0; i < entries; i++)
            if (!isfinite(t->value[list[k]][i]))
                return false; /* inherited */
    }
    for (int64_t i = 0; i < expr_size(g, e); i++)
        if (!isfinite(t->value[e][i])) {
            const expr_node *node = expr_at(g, e);
            *entry = i;
            if (node->op == PERI_OP_INPUT || node->op == PERI_OP_CONST) {
                char name[96] = "a constant";
                if (node->op == PERI_OP_INPUT)
                    expr_entry_name(g, node->class_, node->ref + i, name, sizeof name);
                snprintf(text, size, "%s is %g", name, t->value[e][i]);
            } else if (node->op == PERI_OP_CALL || node->op == PERI_OP_CALLGRAD) {
                snprintf(text, size, "function \"%s\" is not defined here", g->calls.at[node->ref].name);
            } else {
                snprintf(text, size, "%s is not finite", peri_op_name((peri_op)node->op));
            }
            return true;
        }
    return false;
}

bool expr_find_nonfinite(expr_graph *g, expr_id root, const double *const inputs[EXPR_IN_COUNT], expr_fault *out)
{
    interpreter t;
    peri_status status = interpreter_init(&t, g, 1, &root);
    bool found = false;
    for (expr_id e = 0; e <= t.top && status == PERI_OK && !found; e++) {
        if (!t.reach[e] || expr_is_sparse(g, e))
            continue;
        status = interpret_node(&t, e, inputs);
        if (status == PERI_E_DOMAIN) { /* of a rule, which has said why */
            *out = (expr_fault){.node = e, .value = NAN};
            snprintf(out->text, sizeof out->text, "%.*s", (int)sizeof out->text - 1, peri_error(g->ctx));
            found = true;
        }
        if (status != PERI_OK)
            break;
        found = expr_is_elementwise(expr_at(g, e)->op) ? bad_elementwise(&t, e, &out->entry, out->text, sizeof out->text)
                                                       : bad_other(&t, e, &out->entry, out->text, sizeof out->text);
        out->node = e;
        out->value = found ? t.value[e][out->entry] : 0;
    }
    interpreter_release(&t);
    return found;
}

bool expr_explain_nonfinite(expr_graph *g, expr_id root, const double *const inputs[EXPR_IN_COUNT], char *text, size_t size)
{
    expr_fault fault;
    if (!expr_find_nonfinite(g, root, inputs, &fault))
        return false;
    snprintf(text, size, "%s", fault.text);
    return true;
}
