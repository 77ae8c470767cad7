/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bilinear.c - batches of small matrix products and convolutions: making the nodes, their terms one by one (for the interpreter and for sparse
 * derivatives), and their adjoints, which are of the same kinds.
 */
#include "expr/bilinear.h"
#include "expr/node.h"
#include <string.h>

bool expr_is_bilinear(int op)
{
    return op == PERI_OP_BMM || op == PERI_OP_CONV;
}

static peri_status make(expr_graph *g, peri_op op, expr_id a, expr_id b, int64_t rows, int64_t cols, int64_t n, const int32_t *spec, expr_id *out)
{
    if (rows * cols > INT32_MAX)
        return FAIL(g->ctx, PERI_E_SHAPE, "%s: %lld x %lld entries are too many", peri_op_name(op), (long long)rows, (long long)cols);
    expr_node node = expr_blank(op, rows, cols);
    double value;
    if ((expr_constant_value(g, a, &value) || expr_constant_value(g, b, &value)) && !(value < 0) && !(value > 0))
        return expr_full(g, rows, cols, 0, out);
    node.arg[0] = a;
    node.arg[1] = b;
    TRY(expr_intern_list_data(g, n, spec, &node.ref));
    return expr_is_const(g, a) && expr_is_const(g, b) ? expr_fold(g, &node, out) : expr_intern(g, &node, out);
}

/* ---- batches of products -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t count, rows, inner, cols; /* of one product */
} batch;

static batch batch_of(const expr_bmm_spec *s, int64_t a_rows, int64_t a_cols, int64_t b_rows, int64_t b_cols)
{
    const int64_t a = a_rows / s->count, b = b_rows / s->count;
    return (batch){s->count, s->flip_a ? a_cols : a, s->flip_a ? a : a_cols, s->flip_b ? b : b_cols};
}

peri_status expr_bmm(expr_graph *g, expr_id a, expr_id b, const expr_bmm_spec *spec, expr_id *out)
{
    TRY(expr_densify(g, a, &a));
    TRY(expr_densify(g, b, &b));
    const expr_node x = *expr_at(g, a), y = *expr_at(g, b);
    if (spec->count < 1 || x.rows % spec->count != 0 || y.rows % spec->count != 0)
        return FAIL(g->ctx, PERI_E_SHAPE, "bmm: %d and %d rows are not those of %d matrices below each other", (int)x.rows, (int)y.rows,
                    (int)spec->count);
    const batch s = batch_of(spec, x.rows, x.cols, y.rows, y.cols);
    const int64_t other = spec->flip_b ? y.cols : y.rows / spec->count;
    if (s.inner != other)
        return FAIL(g->ctx, PERI_E_SHAPE, "bmm: the %d matrices on the left have %lld columns, those on the right %lld rows", (int)spec->count,
                    (long long)s.inner, (long long)other);
    if (spec->count == 1 && !spec->flip_a && !spec->flip_b)
        return expr_binary(g, PERI_OP_MATMUL, a, b, out);
    return make(g, PERI_OP_BMM, a, b, s.count * s.rows, s.cols, 3, &spec->count, out);
}

static void each_bmm_term(const expr_graph *g, expr_id e, expr_term_fn fn, void *ud)
{
    const expr_node *node = expr_at(g, e), *x = expr_at(g, node->arg[0]), *y = expr_at(g, node->arg[1]);
    const expr_bmm_spec *spec = expr_bmm_of(g, node);
    const batch s = batch_of(spec, x->rows, x->cols, y->rows, y->cols);
    for (int64_t m = 0; m < s.count; m++)
        for (int64_t i = 0; i < s.rows; i++)
            for (int64_t k = 0; k < s.inner; k++)
                for (int64_t j = 0; j < s.cols; j++)
                    fn(ud, (m * s.rows + i) * s.cols + j, m * s.rows * s.inner + (spec->flip_a ? k * s.rows + i : i * s.inner + k),
                       m * s.inner * s.cols + (spec->flip_b ? j * s.inner + k : k * s.cols + j));
}

/* C = A B: of A it is G B', of B it is A' G; transposed where the argument is. */
static peri_status bmm_adjoint(expr_graph *g, const expr_node *node, int k, expr_id adj, expr_id *out)
{
    const expr_bmm_spec s = *expr_bmm_of(g, node);
    const int32_t fa = s.flip_a, fb = s.flip_b;
    const expr_id a = node->arg[0], b = node->arg[1];
    const expr_bmm_spec left = {s.count, fa ? fb : 0, fa ? 1 : !fb}, right = {s.count, fb ? 1 : !fa, fb ? fa : 0};
    if (k == 0)
        return fa ? expr_bmm(g, b, adj, &left, out) : expr_bmm(g, adj, b, &left, out);
    return fb ? expr_bmm(g, adj, a, &right, out) : expr_bmm(g, a, adj, &right, out);
}

/* ---- convolutions ------------------------------------------------------------------------------------------------------------------------ */

static void shape_of(const expr_conv_spec *s, int which, int64_t *rows, int64_t *cols)
{
    *rows = which == EXPR_CONV_KERNEL ? s->filters : s->images;
    *cols = which == EXPR_CONV_KERNEL  ? (int64_t)s->channels * s->rows * s->cols
            : which == EXPR_CONV_IMAGE ? (int64_t)s->channels * s->height * s->width
                                       : s->filters * expr_conv_height(s) * expr_conv_width(s);
}

static peri_status check_conv(expr_graph *g, const expr_conv_spec *s, int which, expr_id e)
{
    static const char *const names[] = {"image", "kernel", "output"};
    int64_t rows, cols;
    shape_of(s, which, &rows, &cols);
    if (expr_at(g, e)->rows != rows || expr_at(g, e)->cols != cols)
        return FAIL(g->ctx, PERI_E_SHAPE, "conv2d: the %s must be %lld x %lld, not %d x %d", names[which], (long long)rows, (long long)cols,
                    (int)expr_at(g, e)->rows, (int)expr_at(g, e)->cols);
    return PERI_OK;
}

static peri_status check_spec(expr_graph *g, const expr_conv_spec *s)
{
    for (int d = 0; d < 2; d++)
        if (s->stride[d] < 1 || s->padding[d] < 0)
            return FAIL(g->ctx, PERI_E_ARGUMENT, "conv2d: stride %d and padding %d: strides start at 1, paddings at 0", (int)s->stride[d],
                        (int)s->padding[d]);
    if (s->images < 1 || s->channels < 1 || s->height < 1 || s->width < 1 || s->filters < 1 || s->rows < 1 || s->cols < 1)
        return FAIL(g->ctx, PERI_E_ARGUMENT, "conv2d: numbers of images, channels and filters and sizes start at 1");
    if (s->rows > s->height + 2 * (int64_t)s->padding[0] || s->cols > s->width + 2 * (int64_t)s->padding[1])
        return FAIL(g->ctx, PERI_E_SHAPE, "conv2d: kernel %d x %d is larger than the image %d x %d", (int)s->rows, (int)s->cols,
                    (int)s->height, (int)s->width);
    return PERI_OK;
}

peri_status expr_conv(expr_graph *g, expr_id a, expr_id b, const expr_conv_spec *spec, expr_id *out)
{
    int64_t rows, cols;
    TRY(check_spec(g, spec));
    TRY(expr_densify(g, a, &a));
    TRY(expr_densify(g, b, &b));
    TRY(check_conv(g, spec, spec->result == EXPR_CONV_IMAGE ? EXPR_CONV_KERNEL : EXPR_CONV_IMAGE, a));
    TRY(check_conv(g, spec, spec->result == EXPR_CONV_OUTPUT ? EXPR_CONV_KERNEL : EXPR_CONV_OUTPUT, b));
    shape_of(spec, spec->result, &rows, &cols);
    return make(g, PERI_OP_CONV, a, b, rows, cols, (int64_t)(sizeof *spec / sizeof(int32_t)), &spec->result, out);
}

static void conv_term(const expr_conv_spec *s, expr_term_fn fn, void *ud, int64_t image, int64_t kernel, int64_t output)
{
    switch (s->result) {
    case EXPR_CONV_IMAGE: fn(ud, image, kernel, output); break;
    case EXPR_CONV_KERNEL: fn(ud, kernel, image, output); break;
    default: fn(ud, output, image, kernel);
    }
}

/* The terms of one entry of the output. */
static void each_tap(const expr_conv_spec *s, expr_term_fn fn, void *ud, int64_t n, int64_t f, int64_t r, int64_t q, int64_t output)
{
    for (int64_t c = 0; c < s->channels; c++)
        for (int64_t i = 0; i < s->rows; i++)
            for (int64_t j = 0; j < s->cols; j++) {
                const int64_t y = r * s->stride[0] - s->padding[0] + i, x = q * s->stride[1] - s->padding[1] + j;
                if (y >= 0 && y < s->height && x >= 0 && x < s->width)
                    conv_term(s, fn, ud, ((n * s->channels + c) * s->height + y) * s->width + x, ((f * s->channels + c) * s->rows + i) * s->cols + j,
                              output);
            }
}

static void each_conv_term(const expr_graph *g, expr_id e, expr_term_fn fn, void *ud)
{
    const expr_conv_spec *s = expr_conv_of(g, expr_at(g, e));
    const int64_t height = expr_conv_height(s), width = expr_conv_width(s);
    for (int64_t n = 0; n < s->images; n++)
        for (int64_t f = 0; f < s->filters; f++)
            for (int64_t r = 0; r < height; r++)
                for (int64_t q = 0; q < width; q++)
                    each_tap(s, fn, ud, n, f, r, q, ((n * s->filters + f) * height + r) * width + q);
}

/* The form sum image kernel output is linear in each: the adjoint of one is the form without it, adj in the result's place. */
static peri_status conv_adjoint(expr_graph *g, const expr_node *node, int k, expr_id adj, expr_id *out)
{
    expr_conv_spec s = *expr_conv_of(g, node);
    expr_id array[3];
    int at = 0;
    for (int which = 0; which < 3; which++)
        array[which] = which == s.result ? adj : node->arg[at++];
    s.result = k + (s.result <= k); /* argument k is this one of the three */
    TRY(expr_conv(g, array[s.result == 0 ? 1 : 0], array[s.result == 2 ? 1 : 2], &s, out));
    return PERI_OK;
}

/* ---- both --------------------------------------------------------------------------------------------------------------------------------- */

peri_status expr_bilinear_like(expr_graph *g, const expr_graph *from, expr_id e, const expr_id *args, expr_id *out)
{
    const expr_node *node = expr_at(from, e);
    if (node->op == PERI_OP_BMM) {
        const expr_bmm_spec spec = *expr_bmm_of(from, node);
        return expr_bmm(g, args[0], args[1], &spec, out);
    }
    const expr_conv_spec spec = *expr_conv_of(from, node);
    return expr_conv(g, args[0], args[1], &spec, out);
}

void expr_each_term(const expr_graph *g, expr_id e, expr_term_fn fn, void *ud)
{
    if (expr_at(g, e)->op == PERI_OP_BMM)
        each_bmm_term(g, e, fn, ud);
    else
        each_conv_term(g, e, fn, ud);
}

peri_status expr_bilinear_adjoint(expr_graph *g, expr_id e, int k, expr_id adj, expr_id *out)
{
    const expr_node node = *expr_at(g, e);
    return node.op == PERI_OP_BMM ? bmm_adjoint(g, &node, k, adj, out) : conv_adjoint(g, &node, k, adj, out);
}
