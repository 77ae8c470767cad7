/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_kernels.h - included by block_kernels.h: two or four sequences written to places that are neighbours, each row of them `stride` behind the one
 * before: rows are formed in registers, so that a row is one or two stores. What of a row is constant is written before.
 */
#include <string.h>

static void fill_rows(const eval_ins *c, int64_t start, int64_t n)
{
    const int64_t width = c->imm, period = c->index[0] * width;
    const double *const from = period > 0 ? c->p[0] : c->p[0] + start * width;
    double *d = c->dst + start * width;
    for (int64_t left = n * width, part; left > 0; left -= part, d += part) {
        part = period > 0 && period < left ? period : left;
        memcpy(d, from, (size_t)part * sizeof *d);
    }
}

/* Row i: a[i], b[i]. */
static void store_pairs(const eval_ins *c, int64_t start, int64_t n)
{
    const int64_t stride = c->imm;
    double *const d = c->dst + start * stride;
    OPERANDS2;
    int64_t i = 0;
    for (; W > 1 && i + W <= n; i += W) {
        V lo, hi;
        ONE2(load)
        interleave(a0, b0, &lo, &hi);
        put_pairs(d + i * stride, stride, lo);
        put_pairs(d + (i + W / 2) * stride, stride, hi);
    }
    for (; i < n; i++) {
        d[i * stride] = p0[i & MASK(8)];
        d[i * stride + 1] = p1[i & MASK(9)];
    }
    UNUSED2;
}

/* Row i: a[i], b[i], e[i], f[i]. */
static void store_fours(const eval_ins *c, int64_t start, int64_t n)
{
    const int64_t stride = c->imm;
    double *const d = c->dst + start * stride;
    OPERANDS4;
    int64_t i = 0;
    for (; W > 1 && i + W <= n; i += W) {
        double *const at = d + i * stride;
        V x[2], y[2];
        ONE4(load)
        if (W < 4) {
            interleave(a0, b0, &x[0], &x[1]);
            interleave(e0, f0, &y[0], &y[1]);
            for (int k = 0; k < W; k++) {
                store(at + k * stride, x[k]);
                store(at + k * stride + 2, y[k]);
            }
            continue;
        }
        interleave(a0, e0, &x[0], &x[1]);
        interleave(b0, f0, &y[0], &y[1]);
        for (int k = 0; k < 2; k++) {
            V lo, hi;
            interleave(x[k], y[k], &lo, &hi);
            put_fours(at + k * (W / 2) * stride, stride, lo);
            put_fours(at + (2 * k + 1) * (W / 4) * stride, stride, hi);
        }
    }
    for (; i < n; i++) {
        d[i * stride] = p0[i & MASK(8)];
        d[i * stride + 1] = p1[i & MASK(9)];
        d[i * stride + 2] = p2[i & MASK(10)];
        d[i * stride + 3] = p3[i & MASK(11)];
    }
    UNUSED4;
}
