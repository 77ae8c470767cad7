/* SPDX-License-Identifier: Apache-2.0 */
/* complex_graph.c - see complex_graph.h. Branches are taken by real parts; functions are continued analytically by formulas that do not mix a tiny
 * imaginary part into the real one. */
#include "unit/complex_graph.h"
#include "expr/bilinear.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef complex_number number;

static const long double STEP = 1e-30L;

typedef struct {
    expr_graph *g;
    number **value; /* by node */
    const double *x, *v;
    const char *unknown;
} evaluator;

/* a + i b from its parts: a * I would spoil infinities */
static number join(long double a, long double b)
{
    const long double parts[2] = {a, b};
    number z;
    memcpy(&z, parts, sizeof z);
    return z;
}

/* f(z) = f(re) + i im f'(re), exact to the square of the step: where the library's complex function loses the tiny part */
static number along(number z, long double f, long double slope)
{
    return join(f, cimagl(z) * slope);
}

static number root(number z)
{
    const long double r = sqrtl(creall(z));
    return along(z, r, 0.5L / r);
}

static number power(number a, number b)
{
    const long double x = creall(a), y = creall(b);
    if (y == 0 && cimagl(b) == 0)
        return 1;
    if (cimagl(b) == 0 && rintl(y) == y && fabsl(y) <= 64) { /* also of negative numbers */
        number r = 1;
        for (int k = 0; k < (int)fabsl(y); k++)
            r *= a;
        return y < 0 ? 1 / r : r;
    }
    return cexpl(b * join(logl(x), cimagl(a) / x));
}

static number angle(number y, number x) /* atan2: d = (x dy - y dx) / (x^2 + y^2) */
{
    const long double a = creall(x), b = creall(y);
    return join(atan2l(b, a), (a * cimagl(y) - b * cimagl(x)) / (a * a + b * b));
}

static number unary(evaluator *t, int op, number z)
{
    const long double a = creall(z), b = cimagl(z), e = expl(a);
    switch (op) {
    case PERI_OP_NEG: return -z;
    case PERI_OP_ABS: return a < 0 ? -z : z;
    case PERI_OP_SIGN: return a > 0 ? 1 : a < 0 ? -1 : 0;
    case PERI_OP_STEP: return a > 0 ? 1 : 0;
    case PERI_OP_SQUARE: return z * z;
    case PERI_OP_RECIP: return 1 / z;
    case PERI_OP_SQRT: return root(z);
    case PERI_OP_EXP: return cexpl(z);
    case PERI_OP_EXPM1: return join(expm1l(a), e * sinl(b));
    case PERI_OP_LOG: return join(logl(a), b / a);
    case PERI_OP_LOG1P: return join(log1pl(a), b / (1 + a));
    case PERI_OP_SIN: return csinl(z);
    case PERI_OP_COS: return ccosl(z);
    case PERI_OP_TAN: return csinl(z) / ccosl(z);
    case PERI_OP_ASIN: return along(z, asinl(a), 1 / sqrtl(1 - a * a));
    case PERI_OP_ACOS: return along(z, acosl(a), -1 / sqrtl(1 - a * a));
    case PERI_OP_ATAN: return along(z, atanl(a), 1 / (1 + a * a));
    case PERI_OP_SINH: return csinhl(z);
    case PERI_OP_COSH: return ccoshl(z);
    case PERI_OP_TANH: return csinhl(z) / ccoshl(z);
    case PERI_OP_SIGMOID: return a > 0 ? 1 / (1 + cexpl(-z)) : cexpl(z) / (1 + cexpl(z));
    case PERI_OP_SOFTPLUS: return join((a > 0 ? a : 0) + log1pl(expl(-fabsl(a))), b / (1 + expl(-a)));
    case PERI_OP_RELU: return a > 0 ? z : 0;
    default: t->unknown = peri_op_name((peri_op)op); return NAN;
    }
}

static number elementwise(evaluator *t, int op, number a, number b, number c)
{
    switch (op) {
    case PERI_OP_ADD: return a + b;
    case PERI_OP_SUB: return a - b;
    case PERI_OP_MUL: return a * b;
    case PERI_OP_DIV: return a / b;
    case PERI_OP_POW: return power(a, b);
    case PERI_OP_ATAN2: return angle(a, b);
    case PERI_OP_MIN2: return creall(a) < creall(b) ? a : b;
    case PERI_OP_MAX2: return creall(a) > creall(b) ? a : b;
    case PERI_OP_FMA: return a * b + c;
    case PERI_OP_WHERE: return creall(a) > 0 ? b : c;
    default: return unary(t, op, a);
    }
}

/* ---- matrices: small ones -------------------------------------------------------------------------------------------------------- */

static void multiply(int64_t rows, int64_t inner, int64_t cols, const number *a, const number *b, number *out)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            number sum = 0;
            for (int64_t k = 0; k < inner; k++)
                sum += a[i * inner + k] * b[k * cols + j];
            out[i * cols + j] = sum;
        }
}

/* Gauss-Jordan with pivoting: a [n x n] is destroyed, b [n x cols] becomes the solution; returns the determinant. */
static number eliminate(int64_t n, number *a, int64_t cols, number *b)
{
    number det = 1;
    for (int64_t p = 0; p < n; p++) {
        int64_t best = p;
        for (int64_t i = p + 1; i < n; i++)
            best = fabsl(creall(a[i * n + p])) > fabsl(creall(a[best * n + p])) ? i : best;
        for (int64_t j = 0; j < n && best != p; j++) {
            const number swap = a[p * n + j];
            a[p * n + j] = a[best * n + j];
            a[best * n + j] = swap;
        }
        for (int64_t j = 0; j < cols && best != p; j++) {
            const number swap = b[p * cols + j];
            b[p * cols + j] = b[best * cols + j];
            b[best * cols + j] = swap;
        }
        const number pivot = a[p * n + p];
        det *= best != p ? -pivot : pivot;
        for (int64_t j = 0; j < n; j++)
            a[p * n + j] /= pivot;
        for (int64_t j = 0; j < cols; j++)
            b[p * cols + j] /= pivot;
        for (int64_t i = 0; i < n; i++) {
            const number f = i != p ? a[i * n + p] : 0;
            for (int64_t j = 0; j < n; j++)
                a[i * n + j] -= f * a[p * n + j];
            for (int64_t j = 0; j < cols; j++)
                b[i * cols + j] -= f * b[p * cols + j];
        }
    }
    return det;
}

static number *copy_of(int64_t n, const number *v)
{
    number *out = calloc((size_t)n, sizeof *out);
    if (v != NULL)
        memcpy(out, v, (size_t)n * sizeof *out);
    return out;
}

static void inverse(int64_t n, const number *a, number *out)
{
    number *work = copy_of(n * n, a);
    for (int64_t k = 0; k < n * n; k++)
        out[k] = k / n == k % n;
    (void)eliminate(n, work, n, out);
    free(work);
}

static number log_determinant(int64_t n, const number *a)
{
    number *work = copy_of(n * n, a), *none = copy_of(n, NULL);
    const number det = eliminate(n, work, 1, none);
    free(work);
    free(none);
    return join(logl(creall(det)), cimagl(det) / creall(det));
}

/* exp(a) = exp(a / 64)^64, Taylor's series */
static void exponential(int64_t n, const number *a, number *out)
{
    number *small = copy_of(n * n, a), *term = copy_of(n * n, NULL), *next = copy_of(n * n, NULL);
    for (int64_t k = 0; k < n * n; k++) {
        small[k] /= 64;
        out[k] = term[k] = k / n == k % n;
    }
    for (int p = 1; p < 40; p++) {
        multiply(n, n, n, term, small, next);
        for (int64_t k = 0; k < n * n; k++)
            out[k] += term[k] = next[k] / p;
    }
    for (int p = 0; p < 6; p++) {
        multiply(n, n, n, out, out, next);
        memcpy(out, next, (size_t)(n * n) * sizeof *out);
    }
    free(small);
    free(term);
    free(next);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------------------------ */

static void eval_const(evaluator *t, const expr_node *node, expr_id e, number *out)
{
    const int64_t n = expr_size(t->g, e);
    const expr_const *c = n > 1 ? &t->g->consts.at[node->ref] : NULL;
    for (int64_t k = 0; k < n; k++)
        out[k] = c == NULL ? node->value : c->col == NULL ? c->data[k] : 0;
    for (int64_t i = 0; c != NULL && c->col != NULL && i < c->rows; i++)
        for (int32_t k = c->row_start[i]; k < c->row_start[i + 1]; k++)
            out[i * c->cols + c->col[k]] += expr_sparse_at(c, k);
}

static void eval_input(evaluator *t, const expr_node *node, expr_id e, number *out)
{
    for (int64_t k = 0; k < expr_size(t->g, e); k++) {
        const int64_t at = node->ref + k;
        if (node->class_ == EXPR_IN_X)
            out[k] = join(t->x[at], t->v != NULL ? STEP * t->v[at] : 0);
        else if (node->class_ == EXPR_IN_PARAM)
            out[k] = t->g->param_value.at[at];
        else
            t->unknown = "an input other than variables and parameters";
    }
}

static void eval_reduction(int op, int64_t n, const number *a, number *out)
{
    number r = a[0];
    for (int64_t k = 1; k < n; k++)
        if (op == PERI_OP_SUM)
            r += a[k];
        else if (op == PERI_OP_MIN ? creall(a[k]) < creall(r) : creall(a[k]) > creall(r))
            r = a[k];
    *out = r;
}

static void eval_scatter(evaluator *t, const expr_node *node, number *const *args, number *out)
{
    for (int64_t k = 0; k < (int64_t)node->rows * node->cols; k++)
        out[k] = 0;
    for (int32_t a = 0; a < node->many.n; a++) {
        const expr_list *list = &t->g->lists.at[t->g->args.at[node->many.list + node->many.n + a]];
        for (int64_t k = 0; k < list->n; k++)
            out[expr_list_at(list, k)] += args[a][k];
    }
}

/* The function that random graphs call: sum of (k + 1) sin x_k. */
static void eval_call(evaluator *t, const expr_node *node, int64_t n, const number *a, number *out)
{
    if (strcmp(t->g->calls.at[node->ref].name, "weighted_sine") != 0)
        t->unknown = t->g->calls.at[node->ref].name;
    if (node->op == PERI_OP_CALL)
        *out = 0;
    for (int64_t k = 0; k < n; k++)
        if (node->op == PERI_OP_CALL)
            *out += csinl(a[k]) * (long double)(k + 1);
        else
            out[k] = ccosl(a[k]) * (long double)(k + 1);
}

static void solve(int64_t n, int64_t cols, const number *a, const number *b, number *out)
{
    number *work = copy_of(n * n, a);
    memcpy(out, b, (size_t)(n * cols) * sizeof *out);
    (void)eliminate(n, work, cols, out);
    free(work);
}

/* A of C = A B where the node has it transposed: entry (i, k) of an array with `rows` rows and `cols` columns that is stored the one way or the other */
static number entry(const number *a, int64_t rows, int64_t cols, bool flip, int64_t i, int64_t k)
{
    return flip ? a[k * rows + i] : a[i * cols + k];
}

static void eval_batch_of_products(evaluator *t, expr_id e, const expr_node *node, number *const *args, number *out)
{
    const expr_bmm_spec s = *expr_bmm_of(t->g, node);
    const int64_t stored_rows = expr_at(t->g, node->arg[0])->rows / s.count, stored_cols = expr_at(t->g, node->arg[0])->cols;
    const int64_t rows = s.flip_a ? stored_cols : stored_rows, inner = s.flip_a ? stored_rows : stored_cols, cols = node->cols;
    for (int64_t c = 0; c < s.count; c++)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++) {
                number sum = 0;
                for (int64_t k = 0; k < inner; k++)
                    sum += entry(args[0] + c * rows * inner, rows, inner, s.flip_a, i, k) *
                           entry(args[1] + c * inner * cols, inner, cols, s.flip_b, k, j);
                out[(c * rows + i) * cols + j] = sum;
            }
    if (s.count * rows * cols != expr_size(t->g, e))
        t->unknown = "bmm of this shape";
}

/* out[n][f][r][q] = sum image[n][c][r stride - padding + i][q stride - padding + j] kernel[f][c][i][j]; the node is one of the three. */
static void convolve(const expr_conv_spec *s, number *image, number *kernel, number *output)
{
    const int64_t height = expr_conv_height(s), width = expr_conv_width(s);
    for (int64_t k = 0, n = s->images * s->filters * height * width * s->channels * s->rows * s->cols; k < n; k++) {
        int64_t rest = k;
        const int64_t j = rest % s->cols, i = (rest /= s->cols) % s->rows, c = (rest /= s->rows) % s->channels, q = (rest /= s->channels) % width,
                      r = (rest /= width) % height, f = (rest /= height) % s->filters, m = rest / s->filters;
        const int64_t row = r * s->stride[0] - s->padding[0] + i, col = q * s->stride[1] - s->padding[1] + j;
        if (row < 0 || row >= s->height || col < 0 || col >= s->width)
            continue;
        number *const a = &image[((m * s->channels + c) * s->height + row) * s->width + col];
        number *const b = &kernel[((f * s->channels + c) * s->rows + i) * s->cols + j];
        number *const o = &output[((m * s->filters + f) * height + r) * width + q];
        if (s->result == EXPR_CONV_OUTPUT)
            *o += *a * *b;
        else if (s->result == EXPR_CONV_KERNEL)
            *b += *a * *o;
        else
            *a += *b * *o;
    }
}

static void eval_convolution(evaluator *t, const expr_node *node, int64_t size, number *const *args, number *out)
{
    const expr_conv_spec s = *expr_conv_of(t->g, node);
    number *three[3];
    for (int k = 0, used = 0; k < 3; k++)
        three[k] = k == s.result ? out : args[used++];
    for (int64_t k = 0; k < size; k++)
        out[k] = 0;
    convolve(&s, three[EXPR_CONV_IMAGE], three[EXPR_CONV_KERNEL], three[EXPR_CONV_OUTPUT]);
}

static void eval_array(evaluator *t, expr_id e, const expr_node *node, number *const *args, number *out)
{
    expr_graph *g = t->g;
    const int64_t n = expr_size(g, e), rows = expr_at(g, node->arg[0])->rows, cols = expr_at(g, node->arg[0])->cols;
    switch (node->op) {
    case PERI_OP_SUM:
    case PERI_OP_MAX:
    case PERI_OP_MIN: eval_reduction(node->op, rows * cols, args[0], out); return;
    case PERI_OP_ROWMAX:
        for (int64_t i = 0; i < rows; i++)
            eval_reduction(PERI_OP_MAX, cols, args[0] + i * cols, out + i);
        return;
    case PERI_OP_GATHER:
        for (int64_t k = 0; k < n; k++)
            out[k] = args[0][expr_gather_at(g, node, k)];
        return;
    case PERI_OP_MATMUL: multiply(node->rows, cols, node->cols, args[0], args[1], out); return;
    case PERI_OP_BMM: eval_batch_of_products(t, e, node, args, out); return;
    case PERI_OP_CONV: eval_convolution(t, node, n, args, out); return;
    case PERI_OP_SOLVE: solve(rows, node->cols, args[0], args[1], out); return;
    case PERI_OP_CUMSUM:
        for (int64_t k = 0; k < n; k++)
            out[k] = args[0][k] + (k >= cols ? out[k - cols] : 0);
        return;
    case PERI_OP_LOGDET: *out = log_determinant(rows, args[0]); return;
    case PERI_OP_INV: inverse(rows, args[0], out); return;
    case PERI_OP_EXPM: exponential(rows, args[0], out); return;
    case PERI_OP_MARK:
    case PERI_OP_STOP:
        for (int64_t k = 0; k < n; k++)
            out[k] = node->op == PERI_OP_STOP ? (number)creall(args[0][k]) : args[0][k];
        return;
    case PERI_OP_CALL:
    case PERI_OP_CALLGRAD: eval_call(t, node, rows * cols, args[0], out); return;
    default: t->unknown = peri_op_name((peri_op)node->op);
    }
}

static void eval_node(evaluator *t, expr_id e)
{
    expr_graph *g = t->g;
    const expr_node node = *expr_at(g, e);
    const expr_id *list;
    const int32_t n = expr_args(g, e, &list);
    const int64_t size = expr_size(g, e);
    number **args = calloc((size_t)n + 1, sizeof *args), *out = t->value[e] = calloc((size_t)size, sizeof *out);
    for (int32_t k = 0; k < n; k++)
        args[k] = t->value[list[k]];
    if (node.op == PERI_OP_CONST) {
        eval_const(t, &node, e, out);
    } else if (node.op == PERI_OP_INPUT) {
        eval_input(t, &node, e, out);
    } else if (expr_is_elementwise(node.op)) {
        int64_t step[3] = {0, 0, 0};
        for (int32_t k = 0; k < n; k++)
            step[k] = expr_size(g, list[k]) > 1;
        for (int64_t k = 0; k < size; k++)
            out[k] = elementwise(t, node.op, args[0][k * step[0]], n > 1 ? args[1][k * step[1]] : 0, n > 2 ? args[2][k * step[2]] : 0);
    } else if (node.op == PERI_OP_SCATTER) {
        eval_scatter(t, &node, args, out);
    } else if (node.op == PERI_OP_STACK) {
        for (int32_t a = 0, at = 0; a < n; at += (int32_t)expr_size(g, list[a]), a++)
            memcpy(out + at, args[a], (size_t)expr_size(g, list[a]) * sizeof *out);
    } else {
        eval_array(t, e, &node, args, out);
    }
    free(args);
}

const char *complex_eval(expr_graph *g, expr_id of, const double *x, const double *v, long double *value, long double *derivative)
{
    evaluator t = {.g = g, .x = x, .v = v};
    t.value = calloc((size_t)of + 1, sizeof *t.value);
    unsigned char *reach = calloc((size_t)g->nodes.n, 1);
    expr_reach(g, 1, &of, reach);
    for (expr_id e = 0; e <= of && t.unknown == NULL; e++)
        if (reach[e])
            eval_node(&t, e);
    for (int64_t k = 0; k < expr_size(g, of) && t.unknown == NULL; k++) {
        value[k] = creall(t.value[of][k]);
        if (derivative != NULL)
            derivative[k] = cimagl(t.value[of][k]) / STEP;
    }
    for (expr_id e = 0; e <= of; e++)
        free(t.value[e]);
    free(t.value);
    free(reach);
    return t.unknown;
}
