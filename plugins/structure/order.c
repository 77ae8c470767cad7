/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order.c - orders of nodes, exchanges in them, and the ranking of exchanges by the gradient of the acyclicity function: entry (i, j) is the weight
 * of all walks from j to i, which the edge i -> j would close. In an order the matrix is strictly upper triangular, and all sums are finite.
 */
#include "topo.h"
#include <string.h>

/* ---- orders ------------------------------------------------------------------------------------------------------------------ */

void order_random(const topo *t, peri_run *run, uint64_t stream, int64_t *order)
{
    for (int64_t k = 0; k < t->d; k++)
        order[k] = k;
    for (int64_t k = t->d - 1; k > 0; k--) { /* Fisher and Yates */
        const int64_t other = (int64_t)(peri_random_uniform(run, stream, (uint64_t)k) * (double)(k + 1));
        const int64_t held = order[k];
        order[k] = order[other];
        order[other] = held;
    }
}

/* Sources first, of several the lowest number; ret how many nodes could be placed. */
static int64_t sort_nodes(topo *t, const double *w, int64_t *order)
{
    const int64_t d = t->d;
    int64_t *into = t->place, n = 0;
    for (int64_t j = 0; j < d; j++) {
        into[j] = 0;
        for (int64_t i = 0; i < d; i++)
            into[j] += fabs(w[i * d + j]) > 0;
    }
    for (bool found = true; found;) {
        found = false;
        for (int64_t j = 0; j < d && !found; j++) {
            if (into[j] != 0)
                continue;
            into[j] = -1;
            order[n++] = j;
            for (int64_t k = 0; k < d; k++)
                into[k] -= fabs(w[j * d + k]) > 0;
            found = true;
        }
    }
    return n;
}

/* Nodes that are left without an edge to another of them are on no cycle. */
static void drop_sinks(topo *t, const double *w)
{
    const int64_t d = t->d;
    for (bool found = true; found;) {
        found = false;
        for (int64_t i = 0; i < d; i++) {
            bool out = false;
            for (int64_t j = 0; j < d && t->place[i] >= 0; j++)
                out = out || (t->place[j] >= 0 && fabs(w[i * d + j]) > 0);
            if (t->place[i] < 0 || out)
                continue;
            t->place[i] = -1;
            found = true;
        }
    }
}

/* Edges among the nodes that are left hold all cycles: the lightest of these goes. */
static bool drop_lightest(const topo *t, double *w)
{
    const int64_t d = t->d;
    int64_t lightest = -1;
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) {
            const int64_t e = i * d + j;
            if (t->place[i] < 0 || t->place[j] < 0 || !(fabs(w[e]) > 0))
                continue;
            if (lightest < 0 || fabs(w[e]) < fabs(w[lightest]))
                lightest = e;
        }
    if (lightest >= 0)
        w[lightest] = 0;
    return lightest >= 0;
}

bool order_of_weights(topo *t, double *w, int64_t *order)
{
    bool dropped = false;
    for (int64_t i = 0; i < t->d; i++) {
        dropped = dropped || fabs(w[i * (t->d + 1)]) > 0;
        w[i * (t->d + 1)] = 0;
    }
    while (sort_nodes(t, w, order) < t->d) {
        drop_sinks(t, w);
        dropped = drop_lightest(t, w) || dropped;
    }
    return dropped;
}

void order_exchange(topo_rule rule, int64_t d, const int64_t *order, int64_t a, int64_t b, int64_t *trial)
{
    memcpy(trial, order, (size_t)d * sizeof *trial);
    if (rule == RULE_BEHIND) { /* the earlier node goes behind the later one */
        memcpy(trial + a, order + a + 1, (size_t)(b - a) * sizeof *trial);
        trial[b] = order[a];
    } else if (rule == RULE_BEFORE) {
        memcpy(trial + a + 1, order + a, (size_t)(b - a) * sizeof *trial);
        trial[a] = order[b];
    } else {
        trial[a] = order[b];
        trial[b] = order[a];
    }
}

/* ---- walks: upper triangular matrices by positions ---------------------------------------------------------------------------- */

/* c = a b */
static void multiply(int64_t d, const double *a, const double *b, double *c)
{
    memset(c, 0, (size_t)(d * d) * sizeof *c);
    for (int64_t i = 0; i < d; i++)
        for (int64_t k = i; k < d; k++) {
            const double v = a[i * d + k];
            for (int64_t j = k; j < d && v > 0; j++)
                c[i * d + j] += v * b[k * d + j];
        }
}

/* (I - A)^-1, row by row from the last: row i is e_i + sum_k A_ik row k */
static void all_walks(int64_t d, const double *a, double *n)
{
    memset(n, 0, (size_t)(d * d) * sizeof *n);
    for (int64_t i = d - 1; i >= 0; i--) {
        n[i * (d + 1)] = 1;
        for (int64_t k = i + 1; k < d; k++) {
            const double v = a[i * d + k];
            for (int64_t j = k; j < d && v > 0; j++)
                n[i * d + j] += v * n[k * d + j];
        }
    }
}

static void add_identity(int64_t d, double *m)
{
    for (int64_t i = 0; i < d; i++)
        m[i * (d + 1)] += 1;
}

/* (I + A/d)^(d-1); a and work are overwritten */
static void polynomial_walks(int64_t d, double *a, double *n, double *work)
{
    const size_t bytes = (size_t)(d * d) * sizeof *n;
    for (int64_t k = 0; k < d * d; k++)
        a[k] /= (double)d;
    add_identity(d, a);
    memset(n, 0, bytes);
    add_identity(d, n);
    for (int64_t k = d - 1; k > 0; k /= 2) {
        if (k % 2 == 1) {
            multiply(d, n, a, work);
            memcpy(n, work, bytes);
        }
        multiply(d, a, a, work);
        memcpy(a, work, bytes);
    }
}

enum { SQUARINGS = 30 };

/* exp A = exp(A / 2^30)^(2^30): of the small matrix two terms are exact to the last digit, and nothing cancels, for no entry is negative */
static void exponential_walks(int64_t d, double *a, double *n, double *work)
{
    const double scale = 1.0 / (double)(INT64_C(1) << SQUARINGS);
    for (int64_t k = 0; k < d * d; k++)
        a[k] *= scale;
    multiply(d, a, a, n);
    for (int64_t k = 0; k < d * d; k++)
        n[k] = a[k] + 0.5 * n[k]; /* exp - I, which squares to (I + n)^2 - I = 2 n + n n */
    for (int s = 0; s < SQUARINGS; s++) {
        multiply(d, n, n, work);
        for (int64_t k = 0; k < d * d; k++)
            n[k] = 2 * n[k] + work[k];
    }
    add_identity(d, n);
}

static void find_walks(topo *t)
{
    const int64_t d = t->d;
    int form = t->opt.characterisation;
    bool absolute = true;
    if (form == RANK_MODEL) {
        form = t->graph->form;
        absolute = t->graph->absolute != 0;
    }
    for (int64_t a = 0; a < d; a++)
        for (int64_t b = 0; b < d; b++) {
            const double v = b > a ? fabs(t->w[t->order[a] * d + t->order[b]]) : 0;
            t->a[a * d + b] = absolute ? v : v * v;
        }
    if (form == RANK_EXPONENTIAL)
        exponential_walks(d, t->a, t->walks, t->work);
    else if (form == RANK_POLYNOMIAL)
        polynomial_walks(d, t->a, t->walks, t->work);
    else
        all_walks(d, t->a, t->walks);
}

/* ---- ranking: heapsort, ties by position, so that equal walks come in one order everywhere -------------------------------------- */

static bool comes_after(const topo_pair *p, const topo_pair *q)
{
    if (p->key < q->key || p->key > q->key)
        return p->key > q->key;
    return p->a > q->a || (p->a == q->a && p->b > q->b);
}

static void sift(topo_pair *heap, int64_t n, int64_t k)
{
    const topo_pair held = heap[k];
    for (int64_t child = 2 * k + 1; child < n; child = 2 * k + 1) {
        if (child + 1 < n && comes_after(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_after(&heap[child], &held))
            break;
        heap[k] = heap[child];
        k = child;
    }
    heap[k] = held;
}

void order_rank(topo *t)
{
    topo_pair *pair = t->pair;
    int64_t n = 0;
    find_walks(t);
    for (int64_t a = 0; a < t->d; a++)
        for (int64_t b = a + 1; b < t->d; b++) {
            const double key = t->walks[a * t->d + b];
            pair[n++] = (topo_pair){.key = isnan(key) ? INFINITY : key, .a = a, .b = b};
        }
    for (int64_t k = n / 2 - 1; k >= 0; k--)
        sift(pair, n, k);
    for (int64_t k = n - 1; k > 0; k--) {
        const topo_pair held = pair[0];
        pair[0] = pair[k];
        pair[k] = held;
        sift(pair, k, 0);
    }
}

int64_t order_ties(const topo *t, int64_t count)
{
    while (count > 0 && count < t->n_pairs && t->pair[count].key <= t->pair[count - 1].key)
        count++;
    return count;
}
