/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bilinear.h - products that are neither elementwise nor one matrix product: many small matrix products at once (BMM) and convolutions (CONV).
 * Each entry of the result is a sum of products of an entry of the left and one of the right argument; which ones is told by integers kept as an
 * index list of the graph. Both kinds are closed under differentiation.
 */
#ifndef PERI_EXPR_BILINEAR_H
#define PERI_EXPR_BILINEAR_H

#include "expr/graph.h"

/* `count` matrices below each other on either side; C_i = op(A_i) op(B_i), op the transposition where flip is not 0. */
typedef struct {
    int32_t count, flip_a, flip_b;
} expr_bmm_spec;

/*
 * Cross-correlation of images with filters over channels, out[n][f][r][s] = sum image[n][c][r stride - padding + i][..] kernel[f][c][i][j]. The three
 * arrays: image: images x (channels height width), kernel: filters x (channels rows cols), output: images x (filters out_height out_width).
 * The node computes the one called result from the other two, which are its arguments in this order: the convolution itself, or the
 * adjoint of it with respect to image or kernel.
 */
enum { EXPR_CONV_IMAGE, EXPR_CONV_KERNEL, EXPR_CONV_OUTPUT };
typedef struct {
    int32_t result, images, channels, height, width, filters, rows, cols, stride[2], padding[2];
} expr_conv_spec;

static inline int64_t expr_conv_height(const expr_conv_spec *s)
{
    return (s->height + 2 * (int64_t)s->padding[0] - s->rows) / s->stride[0] + 1;
}

static inline int64_t expr_conv_width(const expr_conv_spec *s)
{
    return (s->width + 2 * (int64_t)s->padding[1] - s->cols) / s->stride[1] + 1;
}

static inline const expr_bmm_spec *expr_bmm_of(const expr_graph *g, const expr_node *node)
{
    return (const void *)g->lists.at[node->ref].at;
}

static inline const expr_conv_spec *expr_conv_of(const expr_graph *g, const expr_node *node)
{
    return (const void *)g->lists.at[node->ref].at;
}

peri_status expr_bmm(expr_graph *g, expr_id a, expr_id b, const expr_bmm_spec *spec, expr_id *out);
/* a, b: those of image, kernel, output that spec->result is not, in this order; shapes are checked */
peri_status expr_conv(expr_graph *g, expr_id a, expr_id b, const expr_conv_spec *spec, expr_id *out);
bool expr_is_bilinear(int op);
/* The same operation as e, a BMM or CONV of `from`, on arguments of g. */
peri_status expr_bilinear_like(expr_graph *g, const expr_graph *from, expr_id e, const expr_id *args, expr_id *out);

/* fn once for each term: entry `out` of the result takes entry `left` of the first argument times entry `right` of the second. */
typedef void (*expr_term_fn)(void *ud, int64_t out, int64_t left, int64_t right);
void expr_each_term(const expr_graph *g, expr_id e, expr_term_fn fn, void *ud);

/* Adjoint with respect to argument k, where adj is that of e. */
peri_status expr_bilinear_adjoint(expr_graph *g, expr_id e, int k, expr_id adj, expr_id *out);

#endif
