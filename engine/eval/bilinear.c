/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bilinear.c - batches of small matrix products, and convolutions: one image at a time as a matrix product with its patches, which are laid out
 * in workspace that stays in the cache (and added back from there, for the adjoint with respect to the image).
 */
#include "eval/blas.h"
#include "eval/plan.h"
#include <string.h>

/* out = a b, or out += a b: rows x inner and inner x cols, stored as flips say; b never turned where it is small. */
typedef struct {
    int64_t rows, inner, cols;
    bool flip_a, flip_b, adds;
} form;

static void multiply(const eval_array *t, const form *f, const double *a, const double *b, double *out)
{
    enum { ROW_MAJOR = 101, NO_FLIP = 111, FLIP = 112 };
    const int64_t lda = f->flip_a ? f->rows : f->inner;
    if (t->blas != NULL) {
        t->blas->gemm(ROW_MAJOR, f->flip_a ? FLIP : NO_FLIP, f->flip_b ? FLIP : NO_FLIP, (int)f->rows, (int)f->cols, (int)f->inner, 1, a,
                      (int)lda, b, (int)(f->flip_b ? f->inner : f->cols), f->adds ? 1 : 0, out, (int)f->cols);
        return;
    }
    if (f->flip_b) { /* the columns as rows */
        for (int64_t j = 0; j < f->cols; j++)
            for (int64_t k = 0; k < f->inner; k++)
                t->work[k * f->cols + j] = b[j * f->inner + k];
        b = t->work;
    }
    const eval_product p = {.rows = f->rows, .inner = f->inner, .cols = f->cols, .a_row = f->flip_a ? 1 : lda, .a_col = f->flip_a ? lda : 1,
                            .b_row = f->cols, .out_row = f->cols, .a = a, .b = b, .out = out, .adds = f->adds};
    t->simd->product(&p);
}

/* ---- batches ------------------------------------------------------------------------------------------------------------------------------- */

static form batch_form(const eval_array *t)
{
    return (form){t->rows, t->inner, t->cols, t->bmm->flip_a != 0, t->bmm->flip_b != 0, false};
}

static void run_bmm(const eval_array *t)
{
    const form f = batch_form(t);
    for (int64_t m = 0; m < t->bmm->count; m++)
        multiply(t, &f, t->a + m * f.rows * f.inner, t->b + m * f.inner * f.cols, t->out + m * f.rows * f.cols);
}

/* ---- convolutions ---------------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const expr_conv_spec *s;
    int64_t height, width, taps, places; /* of the output; entries of a patch; patches of an image */
} geometry;

static geometry geometry_of(const expr_conv_spec *s)
{
    const int64_t height = expr_conv_height(s), width = expr_conv_width(s);
    return (geometry){s, height, width, (int64_t)s->channels * s->rows * s->cols, height * width};
}

/* Row r of the output takes, for row i of the kernel, row y of the image; columns [begin, end) of it lie inside. */
static int64_t inside(const geometry *g, int64_t j, int64_t *end)
{
    const expr_conv_spec *s = g->s;
    const int64_t off = s->padding[1] - j, stride = s->stride[1];
    const int64_t begin = off > 0 ? (off + stride - 1) / stride : 0, last = s->width - 1 + off;
    *end = last < 0 ? 0 : last / stride + 1 < g->width ? last / stride + 1 : g->width;
    return begin < *end ? begin : *end;
}

/* patches [taps x places] of one image; `back`: added to the image instead */
static void move_patches(const geometry *g, double *image, double *patches, bool back)
{
    const expr_conv_spec *s = g->s;
    for (int64_t t = 0; t < g->taps; t++) {
        const int64_t j = t % s->cols, i = t / s->cols % s->rows, c = t / ((int64_t)s->cols * s->rows);
        int64_t end;
        const int64_t begin = inside(g, j, &end);
        for (int64_t r = 0; r < g->height; r++) {
            double *const row = patches + t * g->places + r * g->width;
            const int64_t y = r * s->stride[0] - s->padding[0] + i;
            const bool outside = y < 0 || y >= s->height;
            const int64_t first = (c * s->height + y) * s->width - s->padding[1] + j; /* of column 0, which may lie outside */
            if (back) {
                for (int64_t q = begin; q < end && !outside; q++)
                    image[first + q * s->stride[1]] += row[q];
                continue;
            }
            if (outside || begin > 0 || end < g->width)
                memset(row, 0, (size_t)g->width * sizeof *row);
            for (int64_t q = begin; q < end && !outside; q++)
                row[q] = image[first + q * s->stride[1]];
        }
    }
}

static void run_conv(const eval_array *t)
{
    const expr_conv_spec *s = t->conv;
    const geometry g = geometry_of(s);
    const int64_t pixels = (int64_t)s->channels * s->height * s->width, outs = s->filters * g.places;
    double *const patches = t->patches;
    if (s->result == EXPR_CONV_IMAGE)
        memset(t->out, 0, (size_t)(s->images * pixels) * sizeof *t->out);
    for (int64_t n = 0; n < s->images; n++) {
        const form value = {s->filters, g.taps, g.places, false, false, false}, of_image = {g.taps, s->filters, g.places, true, false, false};
        const form of_kernel = {s->filters, g.places, g.taps, false, true, n > 0};
        if (s->result == EXPR_CONV_IMAGE) {
            multiply(t, &of_image, t->a, t->b + n * outs, patches);
            move_patches(&g, t->out + n * pixels, patches, true);
            continue;
        }
        move_patches(&g, (double *)(uintptr_t)t->a + n * pixels, patches, false); /* read only */
        if (s->result == EXPR_CONV_OUTPUT)
            multiply(t, &value, t->b, patches, t->out + n * outs);
        else
            multiply(t, &of_kernel, t->b + n * outs, patches, t->out);
    }
}

void eval_run_bilinear(const eval_array *t)
{
    if (t->op == PERI_OP_BMM)
        run_bmm(t);
    else
        run_conv(t);
}

/* ---- compilation -------------------------------------------------------------------------------------------------------------------------------- */

enum { LARGE_PRODUCT = 32 * 32 * 32 };

/* Own loops turn the right factor into work. */
static peri_status choose(eval_compiler *c, int64_t rows, int64_t inner, int64_t cols, bool turned, eval_array *out)
{
    if (rows * inner * cols >= LARGE_PRODUCT)
        TRY(eval_open_blas(c, out));
    if (out->blas != NULL || !turned)
        return PERI_OK;
    out->work = arena_array(&c->program->data, (size_t)(inner * cols), sizeof *out->work);
    return out->work != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

static peri_status compile_conv(eval_compiler *c, eval_array *out)
{
    const geometry g = geometry_of(out->conv);
    out->patches = arena_array(&c->program->data, (size_t)(g.taps * g.places), sizeof *out->patches);
    if (out->patches == NULL)
        return FAIL_NOMEM(c->g->ctx);
    return choose(c, out->conv->filters, g.places, g.taps, out->conv->result == EXPR_CONV_KERNEL, out);
}

peri_status eval_compile_bilinear(eval_compiler *c, expr_id e, eval_array *out)
{
    const expr_node *node = expr_at(c->g, e);
    TRY(eval_point(c, &out->a, c->place[eval_arg(c, node->arg[0])]));
    TRY(eval_point(c, &out->b, c->place[eval_arg(c, node->arg[1])]));
    if (node->op == PERI_OP_CONV) {
        out->conv = expr_conv_of(c->g, node);
        return compile_conv(c, out);
    }
    const expr_node *a = expr_at(c->g, node->arg[0]);
    out->bmm = expr_bmm_of(c->g, node);
    out->rows = node->rows / out->bmm->count;
    out->cols = node->cols;
    out->inner = out->bmm->flip_a ? a->rows / out->bmm->count : a->cols;
    return choose(c, out->rows, out->inner, out->cols, out->bmm->flip_b != 0, out);
}
