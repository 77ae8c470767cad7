/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weave_kernels.h - included by block_kernels.h: sums into even and odd places, written as whole vectors. Operand k contributes to instance i + its
 * shift. Invariant: the same additions in the same order wherever a block or a vector ends.
 */

/* Place 2 (start + r) + lane, where a block begins or ends, or fewer than a vector are left. */
static void weave_at(const eval_ins *c, int64_t start, int64_t n, int64_t r, int lane)
{
    const int32_t *const t = c->index, end = lane == 0 ? t[WEAVE_EVEN] : t[WEAVE_TERMS];
    double sum = 0, *const d = c->dst + 2 * (start + r) + lane;
    bool any = false, before = t[WEAVE_ADDS] != 0;
    for (int32_t k = lane == 0 ? 0 : t[WEAVE_EVEN]; k < end; k++) {
        const int64_t i = r - t[WEAVE_SHIFT + k];
        before = before || (i < 0 && start + i >= 0);
        if (i < 0 || i >= n)
            continue;
        const double v = c->p[k][(start & MASK(k)) + (i & MASK(8 + k))];
        sum = any ? sum + v : v;
        any = true;
    }
    if (any)
        *d = before ? *d + sum : sum;
}

static void weave_ends(const eval_ins *c, int64_t start, int64_t n, int64_t from, int64_t to)
{
    for (int64_t r = from; r < to; r++) {
        weave_at(c, start, n, r, 0);
        weave_at(c, start, n, r, 1);
    }
}

static void weave(const eval_ins *c, int64_t start, int64_t n)
{
    const int32_t *const t = c->index;
    const int32_t terms = t[WEAVE_TERMS], even = t[WEAVE_EVEN];
    const int64_t reach = t[WEAVE_REACH];
    const double *p[4];
    int64_t step[4];
    for (int32_t k = 0; k < 4; k++) {
        p[k] = k < terms ? c->p[k] + (start & MASK(k)) - (t[WEAVE_SHIFT + k] & MASK(8 + k)) : NULL;
        step[k] = MASK(8 + k);
    }
    double *const d = c->dst + 2 * start;
    int64_t i = reach < n ? reach : n + reach;
    for (int k = 0; k < W / 2 && i + W < n && (uintptr_t)(d + 2 * i) % (W * sizeof *d) != 0; k++)
        i++;
    weave_ends(c, start, n, 0, i);
    while (i < n) {
        if (i + W > n && (t[WEAVE_ADDS] != 0 || n - W < reach))
            break;
        i = i + W > n ? n - W : i; /* the last ones once more */
        V a = load(p[0] + (i & step[0])), b = load(p[even] + (i & step[even])), lo, hi;
        for (int32_t k = 1; k < even; k++)
            a = a + load(p[k] + (i & step[k]));
        for (int32_t k = even + 1; k < terms; k++)
            b = b + load(p[k] + (i & step[k]));
        interleave(a, b, &lo, &hi);
        if (t[WEAVE_ADDS] != 0) {
            lo = load(d + 2 * i) + lo;
            hi = load(d + 2 * i + W) + hi;
        }
        store(d + 2 * i, lo);
        store(d + 2 * i + W, hi);
        i += W;
    }
    weave_ends(c, start, n, i, n + reach);
}

static void weave_rest(const eval_ins *c, int64_t start, int64_t n)
{
    const int64_t vectors = n / W * W, kept = vectors < EVAL_LANES ? vectors : EVAL_LANES, left = n - vectors + kept;
    weave_ends(c, start + vectors - kept, left, kept, left + c->index[WEAVE_REACH]);
}
