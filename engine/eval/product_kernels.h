/* SPDX-License-Identifier: Apache-2.0 */
/*
 * product_kernels.h - small products of dense matrices, and of compressed rows and dense matrices, part of block_kernels.h. A tile of the result, a few
 * rows by up to two vectors, stays in registers while the inner dimension is run through. Every entry is a sum in one fixed order.
 */

enum { TILE_ROWS = 4 };

#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 8")
#endif

/* Rows of the result from row i, columns from j on: `vectors` vectors, of the last one only `part` entries where that is above 0. */
static inline __attribute__((always_inline)) void product_tile(const eval_product *t, int64_t i, int64_t j, const int rows, const int vectors,
                                                               const bool is_part, int64_t part)
{
    const double *a[TILE_ROWS], *b = t->b + j;
    double *const out = t->out + i * t->out_row + j;
    V sum[TILE_ROWS][2];
    UNROLLED for (int r = 0; r < rows; r++) {
        a[r] = t->a + (i + r) * t->a_row;
        UNROLLED for (int u = 0; u < vectors; u++)
        {
            const double *const from = out + r * t->out_row + u * W;
            sum[r][u] = !t->adds ? spread(0) : is_part && u == vectors - 1 ? load_part(from, part) : load(from);
        }
    }
    for (int64_t k = 0; k < t->inner; k++, b += t->b_row) {
        V v[2];
        UNROLLED for (int u = 0; u < vectors; u++)
            v[u] = is_part && u == vectors - 1 ? load_part(b + u * W, part) : load(b + u * W);
        UNROLLED for (int r = 0; r < rows; r++) {
            const V factor = spread(*a[r]);
            a[r] += t->a_col;
            UNROLLED for (int u = 0; u < vectors; u++)
                sum[r][u] = multiply_add(factor, v[u], sum[r][u]);
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int u = 0; u < vectors; u++)
        {
            double *const to = out + r * t->out_row + u * W;
            if (is_part && u == vectors - 1)
                store_part(to, sum[r][u], part);
            else
                store(to, sum[r][u]);
        }
}

static inline __attribute__((always_inline)) void product_rows(const eval_product *t, int64_t i, const int rows)
{
    int64_t j = 0;
    for (; j + 2 * W <= t->cols; j += 2 * W)
        product_tile(t, i, j, rows, 2, false, 0);
    const int64_t rest = t->cols - j;
    if (W > 1 && rest > W)
        product_tile(t, i, j, rows, 2, true, rest - W);
    else if (rest == W)
        product_tile(t, i, j, rows, 1, false, 0);
    else if (W > 1 && rest > 0)
        product_tile(t, i, j, rows, 1, true, rest);
}

/* out += a b, or = : b by rows; see eval_product */
static void product(const eval_product *t)
{
    int64_t i = 0;
    for (; i + TILE_ROWS <= t->rows; i += TILE_ROWS)
        product_rows(t, i, TILE_ROWS);
    switch (t->rows - i) {
    case 3: product_rows(t, i, 3); break;
    case 2: product_rows(t, i, 2); break;
    case 1: product_rows(t, i, 1); break;
    default: break;
    }
}

/* Row i of the result, columns from j on. Products are rounded before they are added, whatever the processor. */
static inline __attribute__((always_inline)) void rows_tile(const eval_rows_product *t, int64_t i, int64_t j, const int vectors, const bool is_part,
                                                            int64_t part)
{
    V sum[2];
    UNROLLED for (int u = 0; u < vectors; u++)
        sum[u] = spread(0);
    for (int64_t k = t->row_start[i]; k < t->row_start[i + 1]; k++) {
        const double *const b = t->b + t->col[k] * t->cols + j;
        const V factor = spread(t->value[k * t->step]);
        UNROLLED for (int u = 0; u < vectors; u++)
        {
            const V product = factor * (is_part && u == vectors - 1 ? load_part(b + u * W, part) : load(b + u * W));
            sum[u] = sum[u] + product;
        }
    }
    double *const out = t->out + i * t->cols + j;
    UNROLLED for (int u = 0; u < vectors; u++)
        if (is_part && u == vectors - 1)
            store_part(out + u * W, sum[u], part);
        else
            store(out + u * W, sum[u]);
}

static void rows_product(const eval_rows_product *t)
{
    for (int64_t i = 0; i < t->rows; i++) {
        int64_t j = 0;
        for (; j + 2 * W <= t->cols; j += 2 * W)
            rows_tile(t, i, j, 2, false, 0);
        const int64_t rest = t->cols - j;
        if (W > 1 && rest > W)
            rows_tile(t, i, j, 2, true, rest - W);
        else if (rest == W)
            rows_tile(t, i, j, 1, false, 0);
        else if (W > 1 && rest > 0)
            rows_tile(t, i, j, 1, true, rest);
    }
}

/* Sum of a[k] b[k]: sixteen partial sums, whatever the width of vectors. */
static double dot(int64_t n, const double *a, const double *b)
{
    double lanes[EVAL_LANES], rest = 0;
    V sum[EVAL_LANES / W];
    int64_t k = 0;
    if (n >= EVAL_LANES) {
        for (int u = 0; u < EVAL_LANES / W; u++)
            sum[u] = spread(0);
        for (; k + EVAL_LANES <= n; k += EVAL_LANES)
            UNROLLED for (int u = 0; u < EVAL_LANES / W; u++)
                sum[u] = multiply_add(load(a + k + u * W), load(b + k + u * W), sum[u]);
        for (int u = 0; u < EVAL_LANES / W; u++)
            store(lanes + u * W, sum[u]);
        for (int width = EVAL_LANES / 2; width > 0; width /= 2)
            for (int l = 0; l < width; l++)
                lanes[l] += lanes[l + width];
        rest = lanes[0];
    }
    for (; k < n; k++)
        rest += a[k] * b[k];
    return rest;
}
