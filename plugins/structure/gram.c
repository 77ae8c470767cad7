/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gram.c - quadratic objectives that are one regression a column on one Gram matrix. In an order, with S = L L' there, the residual variance of the
 * k-th node given those before it is L_kk^2, so an order is worth half the weighted sum of these, and an exchange of positions a < b changes rows a .. b
 * of L alone, whose new diagonal comes from rotations of that block: O((b - a)^2) instead of a factorisation.
 * Nodes that those before them determine have L_kk = 0; they explain nothing of later ones, and their weights there are zero.
 */
#include "topo.h"
#include <float.h>
#include <string.h>

/* A residual variance below this share of the variance is rounding. */
static double negligible(const topo *t, double variance)
{
    return 16 * (double)t->d * DBL_EPSILON * variance;
}

/* ---- is it such an objective? ------------------------------------------------------------------------------------------------- */

/* place [d d] variable of each weight, -1: none; false: some weight off the diagonal has none or two, or a variable has no weight */
static bool one_each(const topo *t, int64_t *place)
{
    const int64_t d = t->d;
    for (int64_t e = 0; e < d * d; e++)
        place[e] = -1;
    for (int64_t k = 0; k < t->n; k++) {
        const int64_t e = t->graph->entry[k];
        if (e < 0 || place[e] >= 0 || !(fabs(t->slope[k]) > 0))
            return false;
        place[e] = k;
    }
    for (int64_t e = 0; e < d * d; e++)
        if (place[e] < 0 && e % (d + 1) != 0)
            return false;
    return true;
}

/* No bounds, but on loops, which are zero anyway. */
static bool is_free(const topo *t, peri_run *run)
{
    const double *xl, *xu;
    peri_bounds(run, &xl, &xu, NULL, NULL);
    for (int64_t k = 0; k < t->n; k++)
        if ((xl[k] > -INFINITY || xu[k] < INFINITY) && (t->graph->entry[k] < 0 || t->graph->entry[k] % (t->d + 1) != 0))
            return false;
    return true;
}

typedef struct {
    topo *t;
    int64_t *place;
    double *v, *hv, *g; /* [n] */
} search;

/* hv by weights: how the gradient at v, given by weights, differs from that at zero; exact, for the objective is quadratic */
static peri_status product(search *s, peri_run *run)
{
    const topo *t = s->t;
    double f;
    for (int64_t k = 0; k < t->n; k++)
        s->v[k] /= t->slope[k];
    TRY(peri_eval_fg(run, s->v, &f, s->hv));
    for (int64_t k = 0; k < t->n; k++)
        s->hv[k] = (s->hv[k] - s->g[k]) / t->slope[k];
    return PERI_OK;
}

/* Second derivatives for W_ij and W_kj as product i has them; 0 where there is no such variable. */
static double second(const search *s, int64_t k, int64_t j)
{
    const int64_t at = s->place[k * s->t->d + j];
    return at < 0 ? 0 : s->hv[at];
}

/* S and alpha from d products, each along all edges that leave one node; column 0 sets the scale. Row 0 of S, which column 0 does not have, is
 * that of the gradient at zero: -alpha_j S_ij for W_ij. */
static peri_status recover(search *s, peri_run *run)
{
    topo *t = s->t;
    const int64_t d = t->d;
    double *const gram = t->gram.s, *const alpha = t->gram.alpha;
    double f, *share = t->work; /* [d] sums of diagonals of column 0 */
    memset(share, 0, (size_t)d * sizeof *share);
    memset(alpha, 0, (size_t)d * sizeof *alpha);
    TRY(peri_eval_fg(run, t->x, &f, s->g)); /* x is zero */
    t->offset = f;
    for (int64_t i = 1; i < d; i++) {
        memset(s->v, 0, (size_t)t->n * sizeof *s->v);
        for (int64_t j = 0; j < d; j++)
            if (s->place[i * d + j] >= 0)
                s->v[s->place[i * d + j]] = 1;
        TRY(product(s, run));
        for (int64_t k = 1; k < d; k++)
            gram[i * d + k] = second(s, k, 0);
        for (int64_t j = 1; j < d; j++)
            if (j != i) {
                alpha[j] += second(s, i, j);
                share[j] += gram[i * d + i];
            }
    }
    alpha[0] = 1;
    for (int64_t k = 1; k < d; k++) {
        gram[k * d] = gram[k] = -s->g[s->place[k * d]] / t->slope[s->place[k * d]];
        const int64_t back = s->place[k];
        if (share[k] > 0)
            alpha[k] /= share[k];
        else /* two nodes: b_1 = alpha_1 S_01 */
            alpha[k] = fabs(gram[k]) > 0 ? -s->g[back] / t->slope[back] / gram[k] : 1;
    }
    return PERI_OK;
}

/* S_00, of which column 0 knows nothing: from column 1. */
static peri_status recover_corner(search *s, peri_run *run)
{
    topo *t = s->t;
    memset(s->v, 0, (size_t)t->n * sizeof *s->v);
    if (t->d < 2)
        return PERI_OK;
    s->v[s->place[1]] = 1;
    TRY(product(s, run));
    t->gram.s[0] = second(s, 0, 1) / t->gram.alpha[1];
    return PERI_OK;
}

/* One product with a random direction, and the gradient at zero, against what S and alpha say they are. */
static peri_status verify(search *s, peri_run *run, bool *good)
{
    topo *t = s->t;
    const int64_t d = t->d;
    double most = 0, worst = 0;
    for (int64_t k = 0; k < t->n; k++) {
        const bool loop = t->graph->entry[k] % (d + 1) == 0; /* never allowed: its part in the objective is not asked for */
        t->best[k] = s->v[k] = loop ? 0 : peri_random_uniform(run, 1, (uint64_t)k) - 0.5;
    }
    TRY(product(s, run));
    for (int64_t k = 0; k < t->n; k++) {
        const int64_t i = t->graph->entry[k] / d, j = t->graph->entry[k] % d;
        double sum = 0, size = 0;
        for (int64_t c = 0; c < d; c++) {
            const int64_t at = s->place[c * d + j];
            const double term = at < 0 ? 0 : t->gram.s[i * d + c] * t->best[at];
            sum += term;
            size += fabs(term);
        }
        if (i == j)
            continue;
        most = fmax(most, fabs(t->gram.alpha[j]) * size);
        worst = fmax(worst, fabs(t->gram.alpha[j] * sum - s->hv[k]));
        const double slope = s->g[k] / t->slope[k];
        most = fmax(most, fabs(slope));
        worst = fmax(worst, fabs(slope + t->gram.alpha[j] * t->gram.s[i * d + j]));
    }
    *good = worst <= 1e-9 * most;
    for (int64_t j = 0; j < d; j++)
        *good = *good && t->gram.alpha[j] > 0 && t->gram.s[j * (d + 1)] >= 0;
    return PERI_OK;
}

enum { MOST_LANES = 8 }; /* each has a matrix of scratch */

peri_status gram_find(topo *t, peri_run *run, bool *found)
{
    const int64_t d = t->d;
    search s = {.t = t};
    *found = false;
    TRY(peri_alloc_index(run, d * d, &s.place));
    if (!peri_has_trait(run, PERI_TRAIT_QUADRATIC_OBJECTIVE) || peri_m(run) != 1 ||
        !t->graph->linear || !is_free(t, run) || !one_each(t, s.place))
        return PERI_OK;
    TRY(peri_alloc(run, t->n, &s.v));
    TRY(peri_alloc(run, t->n, &s.hv));
    TRY(peri_alloc(run, t->n, &s.g));
    TRY(peri_alloc(run, d * d, &t->gram.s));
    TRY(peri_alloc(run, d, &t->gram.alpha));
    TRY(peri_alloc(run, d * d, &t->gram.factor));
    TRY(peri_alloc(run, d, &t->gram.residual));
    t->gram.lanes = peri_threads(run) < MOST_LANES ? peri_threads(run) : MOST_LANES;
    TRY(peri_alloc(run, t->gram.lanes * d * d, &t->gram.block));
    memset(t->x, 0, (size_t)t->n * sizeof *t->x);
    TRY(recover(&s, run));
    TRY(recover_corner(&s, run));
    TRY(verify(&s, run, found));
    for (int64_t j = 0; j < d; j++)
        t->offset -= 0.5 * t->gram.alpha[j] * t->gram.s[j * (d + 1)];
    return PERI_OK;
}

/* ---- fitting an order ------------------------------------------------------------------------------------------------------------ */

static double dot(int64_t n, const double *a, const double *b)
{
    double sum[4] = {0, 0, 0, 0};
    int64_t k = 0;
    for (; k + 4 <= n; k += 4)
        for (int q = 0; q < 4; q++)
            sum[q] += a[k + q] * b[k + q];
    for (; k < n; k++)
        sum[0] += a[k] * b[k];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Row k of L by those above it. */
static void factor_row(topo *t, int64_t k)
{
    topo_gram *g = &t->gram;
    const int64_t d = t->d;
    double *row = g->factor + k * d;
    const double *s = g->s + t->order[k] * d;
    for (int64_t j = 0; j < k; j++) {
        const double *above = g->factor + j * d;
        row[j] = g->residual[j] > 0 ? (s[t->order[j]] - dot(j, row, above)) / above[j] : 0;
    }
    const double variance = s[t->order[k]], left = variance - dot(k, row, row);
    g->residual[k] = left > negligible(t, variance) ? left : 0;
    row[k] = sqrt(g->residual[k]);
}

/* Weights of the node at position k: L_<k' w = row k, from the last; v [d] scratch */
static void weigh(topo *t, int64_t k, double *v)
{
    const topo_gram *g = &t->gram;
    const int64_t d = t->d, to = t->order[k];
    memcpy(v, g->factor + k * d, (size_t)k * sizeof *v);
    for (int64_t i = 0; i < d; i++)
        t->w[i * d + to] = 0;
    for (int64_t c = k - 1; c >= 0; c--) {
        const double *row = g->factor + c * d;
        const double w = g->residual[c] > 0 ? v[c] / row[c] : 0;
        t->w[t->order[c] * d + to] = w;
        for (int64_t j = 0; j < c; j++)
            v[j] -= w * row[j];
    }
}

void gram_fit(topo *t, int64_t from)
{
    topo_gram *g = &t->gram;
    double sum = 0;
    for (int64_t k = from; k < t->d; k++)
        factor_row(t, k);
    g->rank = 0;
    for (int64_t k = 0; k < t->d; k++) {
        sum += 0.5 * g->alpha[t->order[k]] * g->residual[k];
        g->rank += g->residual[k] > 0;
        if (k >= from)
            weigh(t, k, t->work);
    }
    t->score = sum;
    for (int64_t k = 0; k < t->n; k++)
        t->x[k] = t->w[t->graph->entry[k]] / t->slope[k];
}

/* ---- scoring an exchange ----------------------------------------------------------------------------------------------------------- */

/* Rows p and q of length n turned so that q[0] vanishes. */
static void rotate(int64_t n, double *p, double *q)
{
    const double r = hypot(p[0], q[0]), c = p[0] / r, s = q[0] / r;
    p[0] = r;
    q[0] = 0;
    for (int64_t k = 1; k < n; k++) {
        const double u = p[k], v = q[k];
        p[k] = c * u + s * v;
        q[k] = c * v - s * u;
    }
}

/* Where in the block the node stands now that comes to place k of m. */
static int64_t old_place(topo_rule rule, int64_t m, int64_t k)
{
    if (rule == RULE_BEHIND)
        return k < m - 1 ? k + 1 : 0;
    if (rule == RULE_BEFORE)
        return k > 0 ? k - 1 : m - 1;
    return k == 0 ? m - 1 : k == m - 1 ? 0 : k;
}

/* R = (L of the block)' with its columns in the new order, m x m by rows */
static void load_block(const topo *t, int64_t a, int64_t m, double *block)
{
    const topo_gram *g = &t->gram;
    for (int64_t k = 0; k < m; k++) {
        const int64_t from = a + old_place((topo_rule)t->opt.swap_rule, m, k);
        const double *row = g->factor + from * t->d + a;
        for (int64_t c = 0; c < m; c++)
            block[c * m + k] = c <= from - a ? row[c] : 0;
    }
}

/* Columns are reduced from the left; one that those before it determine takes no row. */
double gram_score(const topo *t, int64_t lane, int64_t a, int64_t b, double enough)
{
    const topo_gram *g = &t->gram;
    const int64_t m = b - a + 1;
    double sum = t->score, *block = g->block + lane * t->d * t->d;
    load_block(t, a, m, block);
    for (int64_t k = a; k <= b; k++)
        sum -= 0.5 * g->alpha[t->order[k]] * g->residual[k];
    int64_t row = 0;
    for (int64_t k = 0; k < m; k++) {
        int64_t last = m - 1;
        while (last > row && !(fabs(block[last * m + k]) > 0))
            last--;
        for (int64_t c = last; c > row; c--)
            rotate(m - k, block + (c - 1) * m + k, block + c * m + k);
        const int64_t node = t->order[a + old_place((topo_rule)t->opt.swap_rule, m, k)];
        const double v = row < m ? block[row * m + k] : 0;
        if (v * v <= negligible(t, g->s[node * (t->d + 1)]))
            continue;
        row++;
        sum += 0.5 * g->alpha[node] * v * v;
        if (sum >= enough)
            return INFINITY;
    }
    return sum < enough ? sum : INFINITY;
}
