/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - the rewriting of a graph for many points. Entry i of a node at point k is entry i * K + k of its image, a column. Elementwise operations
 * stay what they are, slices of a range of entries stay ranges, reductions add slices of K, a constant matrix times an array is one product with K
 * times the columns. What has no such form is done point by point. Nodes that do not depend on the point are copied as they are: a scalar
 * stays a scalar, so only arrays of them are spread, where they meet others.
 */
#include "diff/batch.h"
#include <string.h>

enum {
    SLICES = 16,          /* added at once by a reduction */
    LARGEST_OUTER = 4096, /* multiplications a point above which a product of two varying matrices is done point by point */
    LARGEST_CHAIN = 64    /* rows of a running sum done by slices */
};

typedef struct {
    expr_graph *from, *to;
    int64_t points;
    unsigned char *reach, *varies; /* [top + 1] */
    expr_id *image;                /* [top + 1] */
    expr_id top;
    arena data;
} batcher;

static int64_t size_of(const batcher *b, expr_id e)
{
    return expr_size(b->from, e);
}

static peri_status batcher_init(batcher *b, expr_graph *from, int64_t n, const expr_id *roots, unsigned varying)
{
    memset(b, 0, sizeof *b);
    b->from = from;
    b->top = -1;
    arena_init(&b->data, from->m);
    for (int64_t k = 0; k < n; k++)
        b->top = roots[k] > b->top ? roots[k] : b->top;
    b->reach = arena_array(&b->data, (size_t)from->nodes.n, 1);
    b->varies = arena_array(&b->data, (size_t)b->top + 1, 1);
    b->image = arena_array(&b->data, (size_t)b->top + 1, sizeof *b->image);
    if (b->reach == NULL || b->varies == NULL || b->image == NULL)
        return FAIL_NOMEM(from->ctx);
    expr_reach(from, n, roots, b->reach);
    expr_mark_varying(from, b->top, b->reach, varying, b->varies);
    return PERI_OK;
}

/* ---- gathers over entries and points ------------------------------------------------------------------------------------------ */

typedef int64_t (*entry_fn)(const batcher *b, const void *ud, int64_t i); /* the source's entry (or its number without points) for entry i */

/* n entries a point, entry i at point k taken from entry at(i) of `source` at point k. */
static peri_status gather_entries(batcher *b, expr_id source, int64_t n, entry_fn at, const void *ud, expr_id *out)
{
    const int64_t K = b->points;
    if (n > INT32_MAX / K)
        return FAIL(b->to->ctx, PERI_E_SHAPE, "%lld entries at %lld points are too many", (long long)n, (long long)K);
    int32_t *index = mem_array(b->to->m, (size_t)(n * K), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(b->to->ctx);
    for (int64_t i = 0; i < n; i++) {
        const int64_t first = at(b, ud, i) * K;
        for (int64_t k = 0; k < K; k++)
            index[i * K + k] = (int32_t)(first + k);
    }
    const peri_status status = expr_gather_list(b->to, source, n * K, 1, n * K, index, out);
    mem_array_free(b->to->m, index);
    return status;
}

static int64_t entry_zero(const batcher *b, const void *ud, int64_t i)
{
    (void)b, (void)ud, (void)i;
    return 0;
}

/* What is the same at all points, once a point. */
static peri_status spread(batcher *b, expr_id image, int64_t n, expr_id *out)
{
    const int64_t K = b->points;
    if (n == 1)
        return expr_gather_affine(b->to, image, K, 1, 0, 0, out);
    if (n > INT32_MAX / K)
        return FAIL(b->to->ctx, PERI_E_SHAPE, "%lld entries at %lld points are too many", (long long)n, (long long)K);
    int32_t *index = mem_array(b->to->m, (size_t)(n * K), sizeof *index);
    if (index == NULL)
        return FAIL_NOMEM(b->to->ctx);
    for (int64_t k = 0; k < n * K; k++)
        index[k] = (int32_t)(k / K);
    const peri_status status = expr_gather_list(b->to, image, n * K, 1, n * K, index, out);
    mem_array_free(b->to->m, index);
    return status;
}

/* The image of e with an entry a point, whether it varies or not. */
static peri_status full_image(batcher *b, expr_id e, expr_id *out)
{
    *out = b->image[e];
    return b->varies[e] ? PERI_OK : spread(b, b->image[e], size_of(b, e), out);
}

static peri_status slice(batcher *b, expr_id v, int64_t first, int64_t n, expr_id *out)
{
    return expr_gather_affine(b->to, v, n * b->points, 1, first * b->points, 1, out);
}

/* ---- elementwise operations and reductions --------------------------------------------------------------------------------------- */

/* As an argument of an elementwise operation of n entries. */
static peri_status operand(batcher *b, expr_id a, int64_t n, expr_id *out)
{
    *out = b->image[a];
    if (!b->varies[a])
        return size_of(b, a) == 1 ? PERI_OK : spread(b, b->image[a], n, out);
    return size_of(b, a) == n ? PERI_OK : gather_entries(b, b->image[a], n, entry_zero, NULL, out);
}

static peri_status batch_elementwise(batcher *b, expr_id e, expr_id *out)
{
    const expr_id *list;
    expr_id args[3];
    const int32_t n = expr_args(b->from, e, &list);
    for (int32_t k = 0; k < n; k++)
        TRY(operand(b, list[k], size_of(b, e), &args[k]));
    return expr_op(b->to, (peri_op)expr_at(b->from, e)->op, n, args, out);
}

/* Slices first, first + h, ... of h entries, `parts` of them, joined pair by pair. */
static peri_status join_slices(batcher *b, peri_op op, expr_id v, int64_t first, int64_t h, int64_t parts, expr_id *out)
{
    expr_id left, right;
    if (parts == 1)
        return slice(b, v, first, h, out);
    TRY(join_slices(b, op, v, first, h, parts / 2, &left));
    TRY(join_slices(b, op, v, first + parts / 2 * h, h, parts - parts / 2, &right));
    return expr_binary(b->to, op, left, right, out);
}

/* v has n entries a point, out one: sixteen slices at a time. */
static peri_status reduce(batcher *b, peri_op op, expr_id v, int64_t n, expr_id *out)
{
    const int64_t parts = n < SLICES ? n : SLICES, h = n / parts, rest = n - h * parts;
    expr_id more;
    TRY(join_slices(b, op, v, 0, h, parts, out));
    if (h > 1)
        TRY(reduce(b, op, *out, h, out));
    if (rest == 0)
        return PERI_OK;
    TRY(join_slices(b, op, v, h * parts, 1, rest, &more));
    return expr_binary(b->to, op, *out, more, out);
}

static peri_status batch_reduction(batcher *b, expr_id e, expr_id *out)
{
    const expr_node *node = expr_at(b->from, e);
    const peri_op op = node->op == PERI_OP_SUM ? PERI_OP_ADD : node->op == PERI_OP_MAX ? PERI_OP_MAX2 : PERI_OP_MIN2;
    return reduce(b, op, b->image[node->arg[0]], size_of(b, node->arg[0]), out);
}

/* ---- gathers, scatters, stacks ----------------------------------------------------------------------------------------------------- */

static int64_t entry_gathered(const batcher *b, const void *ud, int64_t i)
{
    return expr_gather_at(b->from, ud, i);
}

static peri_status batch_gather(batcher *b, expr_id e, expr_id *out)
{
    const expr_node *node = expr_at(b->from, e);
    const expr_id source = b->image[node->arg[0]];
    if ((node->flags & EXPR_AFFINE) && (node->stride == 1 || size_of(b, e) == 1))
        return slice(b, source, node->first, size_of(b, e), out);
    return gather_entries(b, source, size_of(b, e), entry_gathered, node, out);
}

/* The arguments of a scatter, and where their entries go; a stack's parts are arguments of their own, so that none has to be stored on its way. */
typedef struct {
    arena data;
    VEC(expr_id) args;
    VEC(const int32_t *) lists;
} scattered;

/* Entry i of arg goes to entry begin + i of `to`. */
static peri_status add_scattered(batcher *b, scattered *s, expr_id arg, const expr_list *to, int64_t begin)
{
    const int64_t K = b->points, n = size_of(b, arg);
    const expr_id *parts;
    if (b->varies[arg] && expr_at(b->from, arg)->op == PERI_OP_STACK) {
        const int32_t n_parts = expr_args(b->from, arg, &parts);
        for (int32_t k = 0; k < n_parts; begin += size_of(b, parts[k]), k++)
            TRY(add_scattered(b, s, parts[k], to, begin));
        return PERI_OK;
    }
    int32_t *list = arena_array(&s->data, (size_t)(n * K), sizeof *list);
    expr_id image;
    if (list == NULL)
        return FAIL_NOMEM(b->to->ctx);
    for (int64_t i = 0; i < n * K; i++)
        list[i] = (int32_t)(expr_list_at(to, begin + i / K) * K + i % K);
    TRY(full_image(b, arg, &image));
    return vec_push(b->to->m, &s->args, image) && vec_push(b->to->m, &s->lists, list) ? PERI_OK : FAIL_NOMEM(b->to->ctx);
}

static peri_status batch_scatter(batcher *b, expr_id e, expr_id *out)
{
    const expr_graph *from = b->from;
    const expr_node *node = expr_at(from, e);
    const expr_id *args = from->args.at + node->many.list;
    scattered s = {.args = {NULL, 0, 0}};
    peri_status status = PERI_OK;
    arena_init(&s.data, b->to->m);
    for (int32_t a = 0; a < node->many.n && status == PERI_OK; a++)
        status = add_scattered(b, &s, args[a], &from->lists.at[args[node->many.n + a]], 0);
    if (status == PERI_OK)
        status = expr_scatter_sum(b->to, size_of(b, e) * b->points, 1, s.args.n, s.args.at, s.lists.at, out);
    vec_free(b->to->m, &s.args);
    vec_free(b->to->m, &s.lists);
    arena_release(&s.data);
    return status;
}

static peri_status batch_stack(batcher *b, expr_id e, expr_id *out)
{
    const expr_id *list;
    const int32_t n = expr_args(b->from, e, &list);
    expr_id *args = mem_array(b->to->m, (size_t)n, sizeof *args);
    peri_status status = args != NULL ? PERI_OK : FAIL_NOMEM(b->to->ctx);
    for (int32_t k = 0; k < n && status == PERI_OK; k++)
        status = full_image(b, list[k], &args[k]);
    if (status == PERI_OK)
        status = expr_stack(b->to, n, args, out);
    mem_array_free(b->to->m, args);
    return status;
}

/* ---- products and running sums ------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t rows, inner, cols;
} product;

/* Entries p, i (of rows) and, for two varying factors, j (of cols): p slowest. */
static int64_t entry_turned(const batcher *b, const void *ud, int64_t i)
{
    const product *p = ud;
    (void)b;
    return i % p->rows * p->inner + i / p->rows;
}

static int64_t entry_back(const batcher *b, const void *ud, int64_t i) /* of an array cols x rows */
{
    const product *p = ud;
    (void)b;
    return i % p->cols * p->rows + i / p->cols;
}

static int64_t entry_left(const batcher *b, const void *ud, int64_t i)
{
    const product *p = ud;
    (void)b;
    return i / p->cols % p->rows * p->inner + i / (p->rows * p->cols);
}

static int64_t entry_right(const batcher *b, const void *ud, int64_t i)
{
    const product *p = ud;
    (void)b;
    return i / (p->rows * p->cols) * p->cols + i % p->cols;
}

/* Constant matrix (rows x inner) times image `v` of inner x cols entries: a product with cols * K columns. */
static peri_status constant_times(batcher *b, expr_id matrix, expr_id v, const product *p, expr_id *out)
{
    TRY(expr_reshape(b->to, v, p->inner, p->cols * b->points, out));
    TRY(expr_binary(b->to, PERI_OP_MATMUL, matrix, *out, out));
    return expr_reshape(b->to, *out, p->rows * p->cols * b->points, 1, out);
}

/* A B = (B' A')' for a constant B: A' has its rows' entries together, and the result is turned back. */
static peri_status times_constant(batcher *b, expr_id v, expr_id matrix, const product *p, expr_id *out)
{
    const product turned = {p->cols, p->inner, p->rows};
    expr_id flipped;
    TRY(expr_unary(b->to, PERI_OP_TRANSPOSE, matrix, &flipped));
    TRY(gather_entries(b, v, p->rows * p->inner, entry_turned, p, out));
    TRY(constant_times(b, flipped, *out, &turned, out));
    return gather_entries(b, *out, p->rows * p->cols, entry_back, p, out);
}

static peri_status both_vary(batcher *b, expr_id left, expr_id right, const product *p, expr_id *out)
{
    const int64_t n = p->rows * p->cols * p->inner, result = p->rows * p->cols;
    TRY(gather_entries(b, left, n, entry_left, p, &left));
    TRY(gather_entries(b, right, n, entry_right, p, &right));
    TRY(expr_binary(b->to, PERI_OP_MUL, left, right, out));
    expr_id sum = -1, part;
    for (int64_t at = 0; at < p->inner; at += SLICES) { /* over the slowest index */
        const int64_t parts = p->inner - at < SLICES ? p->inner - at : SLICES;
        TRY(join_slices(b, PERI_OP_ADD, *out, at * result, result, parts, &part));
        if (sum >= 0)
            TRY(expr_binary(b->to, PERI_OP_ADD, sum, part, &part));
        sum = part;
    }
    *out = sum;
    return PERI_OK;
}

bool diff_batch_expands(const expr_graph *g, const expr_node *matmul)
{
    return (int64_t)matmul->rows * matmul->cols * expr_at(g, matmul->arg[0])->cols <= LARGEST_OUTER;
}

static peri_status batch_product(batcher *b, expr_id e, expr_id *out)
{
    const expr_node *node = expr_at(b->from, e);
    const expr_id left = node->arg[0], right = node->arg[1];
    const product p = {node->rows, expr_at(b->from, left)->cols, node->cols};
    if (!b->varies[left])
        return constant_times(b, b->image[left], b->image[right], &p, out);
    if (!b->varies[right])
        return times_constant(b, b->image[left], b->image[right], &p, out);
    return both_vary(b, b->image[left], b->image[right], &p, out);
}

/* A^-1 B with A the same at all points: B has K times the columns. */
static peri_status batch_solve(batcher *b, expr_id e, expr_id *out)
{
    const expr_node *node = expr_at(b->from, e);
    TRY(expr_reshape(b->to, b->image[node->arg[1]], node->rows, node->cols * b->points, out));
    TRY(expr_binary(b->to, PERI_OP_SOLVE, b->image[node->arg[0]], *out, out));
    return expr_reshape(b->to, *out, size_of(b, e) * b->points, 1, out);
}

static peri_status batch_cumsum(batcher *b, expr_id e, expr_id *out)
{
    const expr_node *node = expr_at(b->from, e);
    TRY(expr_reshape(b->to, b->image[node->arg[0]], node->rows, node->cols * b->points, out));
    TRY(expr_unary(b->to, PERI_OP_CUMSUM, *out, out));
    return expr_reshape(b->to, *out, size_of(b, e) * b->points, 1, out);
}

/* ---- point by point -------------------------------------------------------------------------------------------------------------------- */

/* Any operation: each point's arguments are taken out, and the results put together. */
static peri_status point_value(batcher *b, expr_id e, int64_t point, expr_id *args, expr_id *out)
{
    const expr_id *list;
    const int32_t n = expr_args(b->from, e, &list);
    for (int32_t k = 0; k < n; k++) {
        const expr_node *arg = expr_at(b->from, list[k]);
        args[k] = b->image[list[k]];
        if (b->varies[list[k]])
            TRY(expr_gather_affine(b->to, args[k], arg->rows, arg->cols, point, b->points, &args[k]));
    }
    TRY(expr_copy(b->from, e, args, b->to, out));
    return expr_reshape(b->to, *out, size_of(b, e), 1, out);
}

/* From a row a point to the point running fastest. */
static peri_status interleave(batcher *b, expr_id rows, int64_t n, expr_id *out)
{
    TRY(expr_reshape(b->to, rows, b->points, n, out));
    TRY(expr_unary(b->to, PERI_OP_TRANSPOSE, *out, out));
    return expr_reshape(b->to, *out, n * b->points, 1, out);
}

static peri_status batch_points(batcher *b, expr_id e, expr_id *out)
{
    const expr_id *list;
    const int32_t n = expr_args(b->from, e, &list);
    expr_id *args = mem_array(b->to->m, (size_t)n, sizeof *args);
    expr_id *values = mem_array(b->to->m, (size_t)b->points, sizeof *values);
    peri_status status = args != NULL && values != NULL ? PERI_OK : FAIL_NOMEM(b->to->ctx);
    for (int64_t k = 0; k < b->points && status == PERI_OK; k++)
        status = point_value(b, e, k, args, &values[k]);
    if (status == PERI_OK)
        status = expr_stack(b->to, b->points, values, out);
    if (status == PERI_OK)
        status = interleave(b, *out, size_of(b, e), out);
    mem_array_free(b->to->m, args);
    mem_array_free(b->to->m, values);
    return status;
}

/* ---- all together ------------------------------------------------------------------------------------------------------------------------ */

static peri_status batch_input(batcher *b, expr_id e, expr_id *out)
{
    const expr_node *node = expr_at(b->from, e);
    return expr_input(b->to, node->class_, node->ref * b->points, size_of(b, e) * b->points, 1, out);
}

static peri_status batch_node(batcher *b, expr_id e, expr_id *out)
{
    const expr_node *node = expr_at(b->from, e);
    if (expr_is_elementwise(node->op))
        return batch_elementwise(b, e, out);
    switch (node->op) {
    case PERI_OP_INPUT:
        return batch_input(b, e, out);
    case PERI_OP_SUM:
    case PERI_OP_MAX:
    case PERI_OP_MIN:
        return batch_reduction(b, e, out);
    case PERI_OP_GATHER:
        return batch_gather(b, e, out);
    case PERI_OP_SCATTER:
        return batch_scatter(b, e, out);
    case PERI_OP_STACK:
        return batch_stack(b, e, out);
    case PERI_OP_CUMSUM:
        return batch_cumsum(b, e, out);
    case PERI_OP_MARK:
    case PERI_OP_STOP:
        *out = b->image[node->arg[0]];
        return PERI_OK;
    case PERI_OP_SOLVE:
        return b->varies[node->arg[0]] ? batch_points(b, e, out) : batch_solve(b, e, out);
    case PERI_OP_MATMUL:
        if (!b->varies[node->arg[0]] || !b->varies[node->arg[1]] || diff_batch_expands(b->from, node))
            return batch_product(b, e, out);
        return batch_points(b, e, out);
    default:
        return batch_points(b, e, out);
    }
}

static peri_status copy_node(batcher *b, expr_id e, expr_id *out)
{
    const expr_id *list;
    expr_id few[3], *args = few;
    const int32_t n = expr_args(b->from, e, &list);
    if (n > 3 && (args = mem_array(b->to->m, (size_t)n, sizeof *args)) == NULL)
        return FAIL_NOMEM(b->to->ctx);
    for (int32_t k = 0; k < n; k++)
        args[k] = b->image[list[k]];
    const peri_status status = expr_copy(b->from, e, args, b->to, out);
    if (args != few)
        mem_array_free(b->to->m, args);
    return status;
}

peri_status diff_batch(expr_graph *from, int64_t n, const expr_id *roots, int64_t points, unsigned varying, expr_graph *to, expr_id *out)
{
    batcher b;
    peri_status status = batcher_init(&b, from, n, roots, varying);
    b.to = to;
    b.points = points;
    for (expr_id e = 0; e <= b.top && status == PERI_OK; e++) {
        if (!b.reach[e])
            continue;
        if (size_of(&b, e) > INT32_MAX / points)
            status = FAIL(to->ctx, PERI_E_SHAPE, "%lld entries at %lld points are too many", (long long)size_of(&b, e), (long long)points);
        else
            status = b.varies[e] ? batch_node(&b, e, &b.image[e]) : copy_node(&b, e, &b.image[e]);
    }
    for (int64_t k = 0; k < n && status == PERI_OK; k++)
        status = full_image(&b, roots[k], &out[k]);
    arena_release(&b.data);
    return status;
}

peri_status diff_batch_entries(expr_graph *from, int64_t n, const expr_id *roots, unsigned varying, int64_t *entries)
{
    batcher b;
    const peri_status status = batcher_init(&b, from, n, roots, varying);
    *entries = 0;
    for (expr_id e = 0; e <= b.top && status == PERI_OK; e++) {
        const expr_node *node = expr_at(from, e);
        if (!b.reach[e] || !b.varies[e] || node->op == PERI_OP_STOP || node->op == PERI_OP_MARK)
            continue;
        *entries += expr_size(from, e);
        if (node->op == PERI_OP_MATMUL && b.varies[node->arg[0]] && b.varies[node->arg[1]] && diff_batch_expands(from, node))
            *entries += expr_size(from, e) * expr_at(from, node->arg[0])->cols;
    }
    arena_release(&b.data);
    return status;
}
