/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pairs.c - the limited memory of quasi-Newton pairs. What costs is reading the pairs from memory, so everything that
 * needs them at a new point is computed in one pass, blockwise, and all else works on matrices of the order of the
 * number of pairs. Invariant: ss, sy and yy hold the products of the columns 0 .. count-1, and y_i's_i > 0 for each.
 */
#include "pairs.h"

/* Entries at a time: long enough that each column is read ahead by the processor, short enough that the blocks of the
 * vectors stay in cache while those of the columns stream by. Measured. */
enum { BLOCK = 2048 };

peri_status pairs_init(pairs *p, peri_run *run, int64_t n, int64_t most)
{
    const int64_t side = most + 1;
    double **const square[] = {&p->ss, &p->sy, &p->yy, &p->part_ss, &p->part_sy, &p->part_yy};
    p->n = n;
    p->most = most;
    p->theta = 1;
    p->s = peri_alloc_bytes(run, (size_t)side, sizeof *p->s);
    p->y = peri_alloc_bytes(run, (size_t)side, sizeof *p->y);
    if (p->s == NULL || p->y == NULL)
        return PERI_E_NOMEM;
    for (int64_t i = 0; i < side; i++) {
        TRY(peri_alloc(run, n, &p->s[i]));
        TRY(peri_alloc(run, n, &p->y[i]));
    }
    for (size_t k = 0; k < PERI_COUNT(square); k++)
        TRY(peri_alloc(run, side * side, square[k]));
    p->sums = peri_alloc_bytes(run, (size_t)side, sizeof *p->sums);
    if (p->sums == NULL)
        return PERI_E_NOMEM;
    TRY(peri_alloc(run, side, &p->unit));
    TRY(peri_alloc(run, side, &p->sd));
    TRY(peri_alloc(run, side, &p->yd));
    TRY(peri_alloc(run, 4 * most * most, &p->kkt));
    TRY(peri_alloc(run, 4 * most * most, &p->part));
    TRY(peri_alloc(run, 2 * most * PAIRS_BLOCK, &p->rows));
    TRY(peri_alloc_index(run, 2 * most, &p->kkt_pivot));
    return peri_alloc_index(run, 2 * most, &p->part_pivot);
}

void pairs_clear(pairs *p)
{
    p->count = 0;
    p->theta = 1;
}

/* ---- the pass over the memory ------------------------------------------------------------------------------------ */

/* s[k] += s'b_k, y[k] += y'b_k for two vectors b: two columns at a time keep more of the memory's lines under way. */
static void dots_of_two(int64_t n, const double *s, const double *y, const double *b0, const double *b1, double *s_out,
                        double *y_out)
{
    local_two s0 = {0}, s1 = {0}, y0 = {0}, y1 = {0};
    int64_t k = 0;
    for (; k + 2 <= n; k += 2) {
        const local_two u = LOCAL_LOAD(b0, k), v = LOCAL_LOAD(b1, k);
        s0 += LOCAL_LOAD(s, k) * u;
        s1 += LOCAL_LOAD(s, k) * v;
        y0 += LOCAL_LOAD(y, k) * u;
        y1 += LOCAL_LOAD(y, k) * v;
    }
    s_out[0] += s0[0] + s0[1];
    s_out[1] += s1[0] + s1[1];
    y_out[0] += y0[0] + y0[1];
    y_out[1] += y1[0] + y1[1];
    for (; k < n; k++) {
        s_out[0] += s[k] * b0[k];
        s_out[1] += s[k] * b1[k];
        y_out[0] += y[k] * b0[k];
        y_out[1] += y[k] * b1[k];
    }
}

static void dots_of_four(int64_t n, const double *const *x, const double *b0, const double *b1, double *const *out)
{
    const double *const x0 = x[0], *const x1 = x[1], *const x2 = x[2], *const x3 = x[3];
    local_two p0 = {0}, p1 = {0}, p2 = {0}, p3 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0};
    int64_t k = 0;
    for (; k + 2 <= n; k += 2) {
        const local_two u = LOCAL_LOAD(b0, k), v = LOCAL_LOAD(b1, k);
        p0 += LOCAL_LOAD(x0, k) * u;
        q0 += LOCAL_LOAD(x0, k) * v;
        p1 += LOCAL_LOAD(x1, k) * u;
        q1 += LOCAL_LOAD(x1, k) * v;
        p2 += LOCAL_LOAD(x2, k) * u;
        q2 += LOCAL_LOAD(x2, k) * v;
        p3 += LOCAL_LOAD(x3, k) * u;
        q3 += LOCAL_LOAD(x3, k) * v;
    }
    const local_two p[] = {p0, p1, p2, p3}, q[] = {q0, q1, q2, q3};
    for (int c = 0; c < 4; c++) {
        double last[2] = {0, 0};
        for (int64_t i = k; i < n; i++) {
            last[0] += x[c][i] * b0[i];
            last[1] += x[c][i] * b1[i];
        }
        out[c][0] += p[c][0] + p[c][1] + last[0];
        out[c][1] += q[c][0] + q[c][1] + last[1];
    }
}

static void downhill(const local_box *box, int64_t first, int64_t n, const double *x, const double *g, double *d)
{
    if (!box->bounded) {
        for (int64_t k = 0; k < n; k++)
            d[k] = -g[k];
        return;
    }
    for (int64_t k = 0; k < n; k++)
        d[k] = local_room(box, first + k, x[k], g[k]) > 0 ? -g[k] : 0;
}

/* The oldest pair leaves: its columns become the free ones, the products move up. */
static void drop_oldest(pairs *p)
{
    const int64_t side = p->most + 1;
    double *const s = p->s[0], *const y = p->y[0];
    for (int64_t i = 0; i < p->most; i++) {
        p->s[i] = p->s[i + 1];
        p->y[i] = p->y[i + 1];
        p->unit[i] = p->unit[i + 1];
        p->sd[i] = p->sd[i + 1];
        p->yd[i] = p->yd[i + 1];
        for (int64_t j = 0; j < p->most; j++) {
            p->ss[i * side + j] = p->ss[(i + 1) * side + j + 1];
            p->sy[i * side + j] = p->sy[(i + 1) * side + j + 1];
            p->yy[i * side + j] = p->yy[(i + 1) * side + j + 1];
        }
    }
    p->s[p->most] = s;
    p->y[p->most] = y;
    p->count--;
}

/* The free column's products take their place in the matrices. */
static void place(pairs *p, int64_t i, const pairs_products *v)
{
    const int64_t side = p->most + 1, k = p->count;
    p->ss[i * side + k] = p->ss[k * side + i] = v->s[0];
    p->sy[k * side + i] = v->y[0];
    p->sy[i * side + k] = v->s[1]; /* last: for i = k, y[0] may not have been summed */
    p->yy[i * side + k] = p->yy[k * side + i] = v->y[1];
    p->sd[i] = v->s[2];
    p->yd[i] = v->y[2];
}

static void subtract(int64_t n, const double *a, const double *b, double *out)
{
    for (int64_t k = 0; k < n; k++)
        out[k] = a[k] - b[k];
}

/* Curvature that is positive beyond rounding. */
static bool keep(pairs *p)
{
    const int64_t side = p->most + 1, k = p->count;
    const double sy = p->sy[k * side + k], yy = p->yy[k * side + k], ss = p->ss[k * side + k];
    if (!(sy > 2.3e-16 * yy) || !(sy > 1e-30 * ss) || !isfinite(yy) || !isfinite(yy / sy))
        return false;
    p->unit[k] = 1 / sqrt(sy);
    p->theta = yy / sy;
    p->count++;
    if (p->count > p->most)
        drop_oldest(p);
    return true;
}

/* The free column's y where there is no new pair: its products are then not used. */
static void products_with_y_and_d(pairs *p, int64_t columns, int64_t at, int64_t n, const double *d)
{
    const double *y = p->y[p->count] + at;
    int64_t i = 0;
    for (; i + 2 <= columns; i += 2) {
        const double *const x[] = {p->s[i] + at, p->y[i] + at, p->s[i + 1] + at, p->y[i + 1] + at};
        double *const out[] = {p->sums[i].s + 1, p->sums[i].y + 1, p->sums[i + 1].s + 1, p->sums[i + 1].y + 1};
        dots_of_four(n, x, y, d, out);
    }
    if (i < columns)
        dots_of_two(n, p->s[i] + at, p->y[i] + at, y, d, p->sums[i].s + 1, p->sums[i].y + 1);
}

static void products_with_s(pairs *p, int64_t columns, int64_t at, int64_t n)
{
    const double *s = p->s[p->count] + at;
    for (int64_t i = 0; i < columns; i++) { /* the blocks are still in cache */
        p->sums[i].s[0] += local_dot(n, p->s[i] + at, s);
        p->sums[i].y[0] += local_dot(n, p->y[i] + at, s);
    }
}

bool pairs_update(pairs *p, const local_box *box, bool fresh, const double *x, const double *g, const double *x_old,
                  const double *g_old, double *d, double *dd)
{
    const int64_t columns = p->count + (fresh ? 1 : 0);
    double *s = p->s[p->count], *y = p->y[p->count];
    pairs_products *sums = p->sums;
    memset(sums, 0, (size_t)columns * sizeof *sums);
    *dd = 0;
    for (int64_t at = 0; at < p->n; at += BLOCK) {
        const int64_t n = p->n - at < BLOCK ? p->n - at : BLOCK;
        downhill(box, at, n, x + at, g + at, d + at);
        *dd += local_dot(n, d + at, d + at);
        if (fresh) {
            subtract(n, x + at, x_old + at, s + at);
            subtract(n, g + at, g_old + at, y + at);
        }
        products_with_y_and_d(p, columns, at, n, d + at);
        if (box->bounded && fresh)
            products_with_s(p, columns, at, n);
        else if (fresh) /* the reduced matrix of all variables needs no other */
            sums[p->count].s[0] += local_dot(n, s + at, s + at);
    }
    for (int64_t i = 0; i < columns && fresh; i++)
        place(p, i, &sums[i]);
    for (int64_t i = 0; i < columns && !fresh; i++) {
        p->sd[i] = sums[i].s[2];
        p->yd[i] = sums[i].y[2];
    }
    return fresh && keep(p);
}

/* ---- W ----------------------------------------------------------------------------------------------------------- */

void pairs_project(const pairs *p, double *w)
{
    for (int64_t i = 0; i < p->count; i++) {
        w[i] = p->unit[i] * p->yd[i];
        w[p->count + i] = p->theta * p->unit[i] * p->sd[i];
    }
}

void pairs_project_free(const pairs *p, const unsigned char *is_free, const double *v, double *w)
{
    double masked[BLOCK];
    memset(w, 0, (size_t)(2 * p->count) * sizeof *w);
    for (int64_t at = 0; at < p->n; at += BLOCK) {
        const int64_t n = p->n - at < BLOCK ? p->n - at : BLOCK;
        for (int64_t k = 0; k < n; k++)
            masked[k] = is_free[at + k] ? v[at + k] : 0;
        for (int64_t i = 0; i < p->count; i++) {
            w[i] += local_dot(n, p->y[i] + at, masked);
            w[p->count + i] += local_dot(n, p->s[i] + at, masked);
        }
    }
    for (int64_t i = 0; i < p->count; i++) {
        w[i] *= p->unit[i];
        w[p->count + i] *= p->theta * p->unit[i];
    }
}

void pairs_row(const pairs *p, int64_t i, double *w)
{
    for (int64_t k = 0; k < p->count; k++) {
        w[k] = p->unit[k] * p->y[k][i];
        w[p->count + k] = p->theta * p->unit[k] * p->s[k][i];
    }
}

/* v += a[0] x0 + a[1] x1 */
static void add_two(int64_t n, const double *a, const double *x0, const double *x1, double *v)
{
    int64_t k = 0;
    for (; k + 2 <= n; k += 2)
        *(local_two_unaligned *)(v + k) += a[0] * LOCAL_LOAD(x0, k) + a[1] * LOCAL_LOAD(x1, k);
    for (; k < n; k++)
        v[k] += a[0] * x0[k] + a[1] * x1[k];
}

static void add_four(int64_t n, const double *a, const double *const *x, double *v)
{
    const double *const x0 = x[0], *const x1 = x[1], *const x2 = x[2], *const x3 = x[3];
    int64_t k = 0;
    for (; k + 2 <= n; k += 2)
        *(local_two_unaligned *)(v + k) += (a[0] * LOCAL_LOAD(x0, k) + a[1] * LOCAL_LOAD(x1, k)) +
                                           (a[2] * LOCAL_LOAD(x2, k) + a[3] * LOCAL_LOAD(x3, k));
    for (; k < n; k++)
        v[k] += (a[0] * x0[k] + a[1] * x1[k]) + (a[2] * x2[k] + a[3] * x3[k]);
}

/* v += W z over n entries from `at`, pairs' scalings in z */
static void add_columns(const pairs *p, int64_t at, int64_t n, const double *z, double *v)
{
    int64_t i = 0;
    for (; i + 2 <= p->count; i += 2) {
        const double a[] = {z[i], z[p->count + i], z[i + 1], z[p->count + i + 1]};
        const double *const x[] = {p->y[i] + at, p->s[i] + at, p->y[i + 1] + at, p->s[i + 1] + at};
        add_four(n, a, x, v);
    }
    if (i < p->count) {
        const double a[] = {z[i], z[p->count + i]};
        add_two(n, a, p->y[i] + at, p->s[i] + at, v);
    }
}

void pairs_combine(const pairs *p, double a, double *z, double *v)
{
    for (int64_t i = 0; i < p->count; i++) {
        z[i] *= p->unit[i];
        z[p->count + i] *= p->theta * p->unit[i];
    }
    for (int64_t at = 0; at < p->n; at += BLOCK) {
        const int64_t n = p->n - at < BLOCK ? p->n - at : BLOCK;
        for (int64_t k = at; k < at + n; k++)
            v[k] *= a;
        add_columns(p, at, n, z, v + at);
    }
}

/* ---- the small matrices ------------------------------------------------------------------------------------------ */

/* LU with partial pivoting of a [n x n], row-major. */
static bool lu_factor(int64_t n, double *a, int64_t *pivot)
{
    for (int64_t k = 0; k < n; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
                best = i;
        pivot[k] = best;
        if (!(fabs(a[best * n + k]) > 1e-290) || !isfinite(a[best * n + k]))
            return false;
        for (int64_t j = 0; j < n && best != k; j++) {
            const double t = a[k * n + j];
            a[k * n + j] = a[best * n + j];
            a[best * n + j] = t;
        }
        for (int64_t i = k + 1; i < n; i++) {
            const double l = a[i * n + k] /= a[k * n + k];
            for (int64_t j = k + 1; j < n; j++)
                a[i * n + j] -= l * a[k * n + j];
        }
    }
    return true;
}

static void lu_solve(int64_t n, const double *a, const int64_t *pivot, double *b)
{
    for (int64_t k = 0; k < n; k++) {
        const double t = b[pivot[k]];
        b[pivot[k]] = b[k];
        b[k] = t;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            b[i] -= a[i * n + j] * b[j];
    for (int64_t i = n - 1; i >= 0; i--) {
        for (int64_t j = i + 1; j < n; j++)
            b[i] -= a[i * n + j] * b[j];
        b[i] /= a[i * n + i];
    }
}

static void fill_middle(const pairs *p, double *k)
{
    const int64_t c = p->count, side = p->most + 1, n = 2 * c;
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < c; j++) {
            const double unit = p->unit[i] * p->unit[j];
            k[i * n + j] = i == j ? -1 : 0;
            k[(c + i) * n + c + j] = p->theta * unit * p->ss[i * side + j];
            k[(c + i) * n + j] = i > j ? unit * p->sy[i * side + j] : 0;
            k[j * n + c + i] = k[(c + i) * n + j];
        }
}

bool pairs_factor(pairs *p)
{
    fill_middle(p, p->kkt);
    return lu_factor(2 * p->count, p->kkt, p->kkt_pivot);
}

void pairs_middle(const pairs *p, double *w)
{
    lu_solve(2 * p->count, p->kkt, p->kkt_pivot, w);
}

/* ---- products over some of the variables ------------------------------------------------------------------------- */

static void add_block(pairs *p, int64_t n)
{
    const int64_t c = p->count, side = p->most + 1;
    const double *s = p->rows, *y = p->rows + c * PAIRS_BLOCK;
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < c; j++) {
            p->part_sy[i * side + j] += local_dot(n, s + i * PAIRS_BLOCK, y + j * PAIRS_BLOCK);
            if (j > i)
                continue;
            p->part_ss[i * side + j] += local_dot(n, s + i * PAIRS_BLOCK, s + j * PAIRS_BLOCK);
            p->part_yy[i * side + j] += local_dot(n, y + i * PAIRS_BLOCK, y + j * PAIRS_BLOCK);
        }
}

/* Sums over the variables whose is_free equals `value`, gathered a block at a time. */
static void sum_over(pairs *p, const unsigned char *is_free, unsigned char value)
{
    const int64_t c = p->count, side = p->most + 1;
    const size_t bytes = (size_t)(side * side) * sizeof(double);
    int64_t list[PAIRS_BLOCK], n = 0;
    memset(p->part_ss, 0, bytes);
    memset(p->part_sy, 0, bytes);
    memset(p->part_yy, 0, bytes);
    for (int64_t at = 0; at < p->n; at++) {
        if (is_free[at] == value)
            list[n++] = at;
        if (n < PAIRS_BLOCK && at + 1 < p->n)
            continue;
        for (int64_t i = 0; i < c; i++)
            for (int64_t k = 0; k < n; k++) {
                p->rows[i * PAIRS_BLOCK + k] = p->s[i][list[k]];
                p->rows[(c + i) * PAIRS_BLOCK + k] = p->y[i][list[k]];
            }
        add_block(p, n);
        n = 0;
    }
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = i + 1; j < c; j++) {
            p->part_ss[i * side + j] = p->part_ss[j * side + i];
            p->part_yy[i * side + j] = p->part_yy[j * side + i];
        }
}

/* All minus what was summed. False where that would cancel: the few then hold most of some pair. */
static bool complement(pairs *p)
{
    const int64_t c = p->count, side = p->most + 1;
    for (int64_t i = 0; i < c; i++)
        if (p->part_ss[i * side + i] > 0.5 * p->ss[i * side + i] ||
            p->part_yy[i * side + i] > 0.5 * p->yy[i * side + i])
            return false;
    for (int64_t k = 0; k < side * side; k++) {
        p->part_ss[k] = p->ss[k] - p->part_ss[k];
        p->part_sy[k] = p->sy[k] - p->part_sy[k];
        p->part_yy[k] = p->yy[k] - p->part_yy[k];
    }
    return true;
}

static void sum_free(pairs *p, const unsigned char *is_free, int64_t n_free)
{
    const size_t bytes = (size_t)((p->most + 1) * (p->most + 1)) * sizeof(double);
    if (n_free == p->n) {
        memcpy(p->part_ss, p->ss, bytes);
        memcpy(p->part_sy, p->sy, bytes);
        memcpy(p->part_yy, p->yy, bytes);
        return;
    }
    if (n_free > p->n / 2) {
        sum_over(p, is_free, 0);
        if (complement(p))
            return;
    }
    sum_over(p, is_free, 1);
}

/* Entry (i, j) of W_F'W_F. */
static double gram_entry(const pairs *p, int64_t i, int64_t j)
{
    const int64_t c = p->count, side = p->most + 1, a = i % c, b = j % c;
    const double unit = p->unit[a] * p->unit[b];
    if (i < c && j < c)
        return unit * p->part_yy[a * side + b];
    if (i >= c && j >= c)
        return p->theta * p->theta * unit * p->part_ss[a * side + b];
    return p->theta * unit * (i < c ? p->part_sy[b * side + a] : p->part_sy[a * side + b]);
}

/* K - W'W / theta over all variables: S'S cancels, and so does the part of S'Y below its diagonal. */
static void fill_whole(const pairs *p, double *k)
{
    const int64_t c = p->count, side = p->most + 1, n = 2 * c;
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < c; j++) {
            const double unit = p->unit[i] * p->unit[j];
            k[i * n + j] = (i == j ? -1 : 0) - unit * p->yy[i * side + j] / p->theta;
            k[(c + i) * n + c + j] = 0;
            k[(c + i) * n + j] = i <= j ? -unit * p->sy[i * side + j] : 0;
            k[j * n + c + i] = k[(c + i) * n + j];
        }
}

bool pairs_reduce(pairs *p, const unsigned char *is_free, int64_t n_free)
{
    const int64_t n = 2 * p->count;
    const bool whole = is_free == NULL || n_free == p->n;
    if (is_free != NULL)
        sum_free(p, is_free, n_free);
    if (whole)
        fill_whole(p, p->part);
    else
        fill_middle(p, p->part);
    for (int64_t i = 0; i < n && !whole; i++)
        for (int64_t j = 0; j < n; j++)
            p->part[i * n + j] -= gram_entry(p, i, j) / p->theta;
    return lu_factor(n, p->part, p->part_pivot);
}

void pairs_reduced(const pairs *p, double *w)
{
    lu_solve(2 * p->count, p->part, p->part_pivot, w);
}

void pairs_gram(const pairs *p, const double *u, double *w)
{
    const int64_t n = 2 * p->count;
    for (int64_t i = 0; i < n; i++) {
        w[i] = 0;
        for (int64_t j = 0; j < n; j++)
            w[i] += gram_entry(p, i, j) * u[j];
    }
}

/* ---- checkpoints ----------------------------------------------------------------------------------------------------- */

peri_status pairs_transfer(pairs *p, peri_run *run)
{
    const int64_t columns = p->most + 1, square = columns * columns, wide = 2 * p->most;
    for (int64_t k = 0; k < columns; k++) {
        TRY(peri_transfer_reals(run, "s", p->n, p->s[k]));
        TRY(peri_transfer_reals(run, "y", p->n, p->y[k]));
    }
    double *const squares[] = {p->ss, p->sy, p->yy, p->part_ss, p->part_sy, p->part_yy};
    for (size_t k = 0; k < PERI_COUNT(squares); k++)
        TRY(peri_transfer_reals(run, "products", square, squares[k]));
    PERI_TRANSFER_REALS(run, p, unit, columns);
    PERI_TRANSFER_REALS(run, p, sd, columns);
    PERI_TRANSFER_REALS(run, p, yd, columns);
    PERI_TRANSFER_REALS(run, p, kkt, wide * wide);
    PERI_TRANSFER_REALS(run, p, part, wide * wide);
    TRY(peri_transfer(run, "kkt_pivot", p->kkt_pivot, (size_t)wide * sizeof *p->kkt_pivot));
    TRY(peri_transfer(run, "part_pivot", p->part_pivot, (size_t)wide * sizeof *p->part_pivot));
    PERI_TRANSFER(run, p, count);
    PERI_TRANSFER(run, p, theta);
    return PERI_OK;
}
