/* SPDX-License-Identifier: Apache-2.0 */
/*
 * product.c - products of matrices. Arguments are read where they are: transposes, rows, columns and parts of matrices become distances of rows,
 * never copies. Small products are own loops over the processor's vectors, large ones OpenBLAS's, where it is installed; a product with a vector is
 * a series of inner products, or a sum of rows. Sparse constants on the left are run through by rows.
 */
#include "eval/blas.h"
#include "eval/plan.h"
#include "eval/sparse.h"

enum { LARGE_PRODUCT = 32 * 32 * 32, ROW_MAJOR = 101, NO_FLIP = 111, FLIP = 112 };

/* ---- running ---------------------------------------------------------------------------------------------------------------------- */

static void sparse_product(const eval_array *t)
{
    const expr_const *s = &t->sparse;
    const eval_rows_product p = {.rows = t->rows, .cols = t->cols, .step = s->same ? 0 : 1, .row_start = s->row_start, .col = s->col, .value = s->data,
                                 .b = t->b, .out = t->out};
    t->simd->rows_product(&p);
}

/* Rows of a, or columns of b, lie side by side: inner products. */
static void inner_products(const eval_array *t)
{
    for (int64_t i = 0; i < t->rows; i++)
        for (int64_t j = 0; j < t->cols; j++)
            t->out[i * t->cols + j] = t->simd->dot(t->inner, t->a + i * t->va.ld, t->b + j * t->vb.ld);
}

/* The columns of b as rows, into work. */
static const double *turned(const eval_array *t)
{
    for (int64_t j = 0; j < t->cols; j++)
        for (int64_t k = 0; k < t->inner; k++)
            t->work[k * t->cols + j] = t->b[j * t->vb.ld + k];
    return t->work;
}

static void own_product(const eval_array *t)
{
    const bool b_turned = t->vb.flip || (t->cols == 1 && t->vb.ld == 1); /* entries of a column are neighbours */
    if (b_turned && !t->va.flip && (t->rows <= 2 || t->cols == 1)) {
        inner_products(t);
        return;
    }
    const bool turn = t->vb.flip && t->cols > 1;
    const eval_product p = {.rows = t->rows, .inner = t->inner, .cols = t->cols, .out = t->out, .out_row = t->cols, .a = t->a,
                            .a_row = t->va.flip ? 1 : t->va.ld, .a_col = t->va.flip ? t->va.ld : 1,
                            .b = turn ? turned(t) : t->b, .b_row = turn ? t->cols : t->vb.flip ? 1 : t->vb.ld};
    if (t->cols > 1 || !t->va.flip) {
        t->simd->product(&p);
        return;
    }
    /* a' b with b a column: the row b' a */
    const eval_product row = {.rows = 1, .inner = t->inner, .cols = t->rows, .out = t->out, .out_row = t->rows, .a = t->b, .a_row = 0,
                              .a_col = p.b_row, .b = t->a, .b_row = t->va.ld};
    t->simd->product(&row);
}

static void large_product(const eval_array *t)
{
    const int flip_a = t->va.flip ? FLIP : NO_FLIP, flip_b = t->vb.flip ? FLIP : NO_FLIP;
    const int rows = (int)t->rows, cols = (int)t->cols, inner = (int)t->inner, lda = (int)t->va.ld, ldb = (int)t->vb.ld;
    if (cols == 1)
        t->blas->gemv(ROW_MAJOR, flip_a, t->va.flip ? inner : rows, t->va.flip ? rows : inner, 1, t->a, lda, t->b, t->vb.flip ? 1 : ldb, 0,
                      t->out, 1);
    else if (rows == 1)
        t->blas->gemv(ROW_MAJOR, t->vb.flip ? NO_FLIP : FLIP, t->vb.flip ? cols : inner, t->vb.flip ? inner : cols, 1, t->b, ldb, t->a,
                      t->va.flip ? lda : 1, 0, t->out, 1);
    else
        t->blas->gemm(ROW_MAJOR, flip_a, flip_b, rows, cols, inner, 1, t->a, lda, t->b, ldb, 0, t->out, cols);
}

void eval_run_product(const eval_array *t)
{
    if (t->is_sparse)
        sparse_product(t);
    else if (t->blas != NULL)
        large_product(t);
    else
        own_product(t);
}

void eval_square_product(const eval_array *t, int64_t n, const double *a, const double *b, double *out)
{
    const eval_matrix whole = {-1, 0, n, false};
    const eval_array p = {.rows = n, .inner = n, .cols = n, .a = a, .b = b, .out = out, .blas = t->blas, .simd = t->simd, .va = whole, .vb = whole};
    eval_run_product(&p);
}

/* ---- how arguments lie in memory ---------------------------------------------------------------------------------------------------- */

static bool is_sparse(const eval_compiler *c, expr_id e)
{
    const expr_node *node = expr_at(c->g, e);
    return node->op == PERI_OP_CONST && eval_size(c, e) > 1 && c->g->consts.at[node->ref].col != NULL;
}

/* at[i cols + j] = first + i row + j col */
static bool has_distances(const expr_list *list, int64_t rows, int64_t cols, int64_t row, int64_t col)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            if (list->at[i * cols + j] != list->at[0] + i * row + j * col)
                return false;
    return true;
}

/* A gather that takes a matrix with one of its distances 1, as rows x cols. */
static bool view_of(const eval_compiler *c, const expr_node *gather, int64_t rows, int64_t cols, eval_matrix *m)
{
    int64_t row, col;
    if (gather->flags & EXPR_AFFINE) {
        if ((rows > 1 && cols > 1) || gather->stride <= 1) /* of one piece, or not a matrix in memory */
            return false;
        m->first = gather->first;
        m->flip = rows == 1;
        m->ld = gather->stride;
        return true;
    }
    const expr_list *list = &c->g->lists.at[gather->index];
    if (rows == 1 || cols == 1)
        return false;
    row = list->at[cols] - list->at[0];
    col = list->at[1] - list->at[0];
    m->flip = row == 1;
    m->ld = m->flip ? col : row;
    m->first = list->at[0];
    return (row == 1 || col == 1) && m->ld >= (m->flip ? rows : cols) && has_distances(list, rows, cols, row, col);
}

eval_matrix eval_array_arg(const eval_compiler *c, expr_id e, int32_t k)
{
    const expr_node *node = expr_at(c->g, e), *logical = expr_at(c->g, node->arg[k]);
    const expr_id a = eval_arg(c, node->arg[k]);
    const expr_node *stored = expr_at(c->g, a);
    eval_matrix m = {a, 0, logical->cols, false};
    const bool solves = node->op == PERI_OP_SOLVE && k == 0;
    if ((node->op != PERI_OP_MATMUL && !solves) || stored->op != PERI_OP_GATHER || is_sparse(c, eval_arg(c, node->arg[0])))
        return m;
    if (view_of(c, stored, logical->rows, logical->cols, &m) && (!solves || (m.flip && m.ld == logical->cols)))
        m.source = eval_arg(c, stored->arg[0]);
    else
        m = (eval_matrix){a, 0, logical->cols, false};
    return m;
}

peri_status eval_point_matrix(eval_compiler *c, const double **where, const eval_matrix *m)
{
    eval_place place = c->place[m->source];
    if (place.base == BASE_FIXED)
        place.fixed += m->first;
    else
        place.offset += m->first;
    return eval_point(c, where, place);
}

/* ---- compilation ---------------------------------------------------------------------------------------------------------------------- */

static peri_status compile_layout(eval_compiler *c, eval_array *out)
{
    TRY(eval_sparse_of(c->g, expr_at(c->g, out->va.source)->ref, &out->layout));
    if (out->layout->scale == NULL)
        return PERI_OK;
    out->work = arena_array(&c->program->data, (size_t)out->inner, sizeof *out->work);
    return out->work != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

peri_status eval_compile_product(eval_compiler *c, expr_id e, eval_array *out)
{
    const expr_node *node = expr_at(c->g, e);
    out->va = eval_array_arg(c, e, 0);
    out->vb = eval_array_arg(c, e, 1);
    out->rows = node->rows;
    out->cols = node->cols;
    out->inner = expr_at(c->g, node->arg[0])->cols;
    out->is_sparse = is_sparse(c, out->va.source);
    if (out->is_sparse)
        out->sparse = c->g->consts.at[expr_at(c->g, out->va.source)->ref];
    TRY(eval_point_matrix(c, &out->a, &out->va));
    TRY(eval_point_matrix(c, &out->b, &out->vb));
    if (out->is_sparse)
        return out->cols == 1 ? compile_layout(c, out) : PERI_OK;
    if (out->rows * out->inner * out->cols >= LARGE_PRODUCT)
        TRY(eval_open_blas(c, out));
    if (out->blas != NULL || !out->vb.flip || out->cols == 1)
        return PERI_OK;
    out->work = arena_array(&c->program->data, (size_t)(out->inner * out->cols), sizeof *out->work);
    return out->work != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}
