/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - reverse mode within one set of instances: the elementwise nodes between some roots and some leaves, and no others. A model with many
 * different expressions has many such sets, so none may cost more than it has nodes.
 *
 * Second derivatives are pushed through the same sweep (edge pushing; Gower and Mello, Optimization Methods and Software 27, 2012): beside the adjoints
 * of the nodes that are not done yet, the sweep holds the second derivatives with respect to pairs of them. Doing node k replaces it by its arguments,
 * in its adjoint and in its pairs. So what pairs of leaves have in common is computed once.
 */
#include "diff/internal.h"
#include <stdlib.h>

/* The second derivative with respect to a node and `other`, which is done later or is a leaf: a diagonal entry, or one of the two others. */
typedef struct {
    int64_t other, next; /* next: of the same upper node, -1: none */
    expr_id weight;
} edge;

typedef struct {
    expr_part part;
    expr_id *sum;           /* [part.nodes.n] adjoint so far, -1: none */
    unsigned char *depends; /* [part.nodes.n] on a leaf that counts */
    int64_t *leaf;          /* [part.nodes.n] its number, -1: none */
    int64_t *first;         /* [part.nodes.n] of its edges, -1: none; NULL: first derivatives only */
    VEC(edge) edges;
    hash_map edge_of;       /* upper * part.nodes.n + other -> edge */
} sweep;

/* Elementwise nodes are passed through, but for leaves. */
static bool is_between(const expr_graph *g, expr_id e, const void *leaves)
{
    int64_t k;
    return expr_is_elementwise(expr_at(g, e)->op) && !hash_get(leaves, (uint64_t)e, &k);
}

static peri_status mark(sweep *s, const hash_map *leaves, int64_t least)
{
    expr_graph *g = s->part.g;
    const int64_t n = s->part.nodes.n;
    s->sum = mem_array(g->m, (size_t)n, sizeof *s->sum);
    s->depends = mem_array(g->m, (size_t)n, 1);
    s->leaf = mem_array(g->m, (size_t)n, sizeof *s->leaf);
    if (s->sum == NULL || s->depends == NULL || s->leaf == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n; k++) {
        const expr_id e = s->part.nodes.at[k];
        const expr_node *node = expr_at(g, e);
        s->sum[k] = PERI_NO_EXPR;
        if (!hash_get(leaves, (uint64_t)e, &s->leaf[k]))
            s->leaf[k] = -1;
        s->depends[k] = s->leaf[k] >= least && s->leaf[k] >= 0;
        for (int j = 0; j < 3 && s->leaf[k] < 0 && expr_is_elementwise(node->op) && node->arg[j] >= 0; j++)
            s->depends[k] |= s->depends[expr_part_at(&s->part, node->arg[j])];
    }
    return PERI_OK;
}

static peri_status add(sweep *s, int64_t at, expr_id value)
{
    if (!s->depends[at] || diff_is_zero(s->part.g, value))
        return PERI_OK;
    if (s->sum[at] >= 0 && s->leaf[at] < 0)
        return diff_plus(s->part.g, s->sum[at], value, &s->sum[at]);
    if (s->sum[at] >= 0)
        return diff_sum(s->part.g, s->sum[at], value, &s->sum[at]);
    s->sum[at] = value;
    return PERI_OK;
}

static peri_status back(sweep *s, int64_t k)
{
    expr_graph *g = s->part.g;
    const expr_id e = s->part.nodes.at[k];
    const expr_node node = *expr_at(g, e);
    for (int j = 0; j < 3 && node.arg[j] >= 0; j++) {
        const int64_t at = expr_part_at(&s->part, node.arg[j]);
        expr_id value;
        if (!s->depends[at])
            continue;
        TRY(diff_partial(g, e, j, s->sum[k], &value));
        TRY(add(s, at, value));
    }
    return PERI_OK;
}

static peri_status run(sweep *s, int64_t n_roots, const expr_id *roots, const expr_id *seeds)
{
    for (int64_t k = 0; k < n_roots; k++)
        TRY(add(s, expr_part_at(&s->part, roots[k]), seeds[k]));
    for (int64_t k = s->part.nodes.n; k-- > 0;)
        if (s->sum[k] >= 0 && s->leaf[k] < 0)
            TRY(back(s, k));
    return PERI_OK;
}

/* ---- second derivatives --------------------------------------------------------------------------------------------------- */

/* Is a done before b? Leaves never are. */
static bool is_upper(const sweep *s, int64_t a, int64_t b)
{
    const bool leaf_a = s->leaf[a] >= 0, leaf_b = s->leaf[b] >= 0;
    return leaf_a != leaf_b ? leaf_b : a > b;
}

/* The second derivative by nodes a and b, or by a twice, grows by weight. */
static peri_status add_edge(sweep *s, int64_t a, int64_t b, expr_id weight)
{
    expr_graph *g = s->part.g;
    const int64_t upper = is_upper(s, a, b) ? a : b, other = upper == a ? b : a;
    const uint64_t key = (uint64_t)(upper * s->part.nodes.n + other);
    int64_t at;
    if (diff_is_zero(g, weight))
        return PERI_OK;
    if (hash_get(&s->edge_of, key, &at)) {
        expr_id *const sum = &s->edges.at[at].weight;
        return s->leaf[upper] < 0 ? diff_plus(g, *sum, weight, sum) : diff_sum(g, *sum, weight, sum);
    }
    const edge fresh = {other, s->first[upper], weight};
    s->first[upper] = s->edges.n;
    return hash_put(&s->edge_of, key, s->edges.n) && vec_push(g->m, &s->edges, fresh) ? PERI_OK : FAIL_NOMEM(g->ctx);
}

/* As add_edge, for a term that stands for both (a, b) and (b, a). */
static peri_status add_both(sweep *s, int64_t a, int64_t b, expr_id weight)
{
    if (a == b)
        TRY(diff_twice(s->part.g, weight, &weight));
    return add_edge(s, a, b, weight);
}

typedef struct {
    int n;
    int which[3];   /* argument */
    int64_t at[3];  /* its place in the part */
} inputs;

static inputs inputs_of(const sweep *s, expr_id e)
{
    const expr_node *node = expr_at(s->part.g, e);
    inputs in = {.n = 0};
    for (int j = 0; j < 3 && node->arg[j] >= 0; j++) {
        const int64_t at = expr_part_at(&s->part, node->arg[j]);
        if (s->depends[at]) {
            in.which[in.n] = j;
            in.at[in.n++] = at;
        }
    }
    return in;
}

/* What node e's pair with itself, or with `other`, is in terms of e's arguments. */
static peri_status push_edge(sweep *s, int64_t k, const inputs *in, int64_t other, expr_id weight)
{
    expr_graph *g = s->part.g;
    const expr_id e = s->part.nodes.at[k];
    for (int i = 0; i < in->n; i++) {
        expr_id t, u;
        TRY(diff_partial(g, e, in->which[i], weight, &t));
        if (other != k)
            TRY(add_both(s, in->at[i], other, t));
        for (int j = i; j < in->n && other == k; j++) {
            TRY(diff_partial(g, e, in->which[j], t, &u));
            TRY(i == j ? add_edge(s, in->at[i], in->at[i], u) : add_both(s, in->at[i], in->at[j], u));
        }
    }
    return PERI_OK;
}

static peri_status push_node(sweep *s, int64_t k)
{
    expr_graph *g = s->part.g;
    const expr_id e = s->part.nodes.at[k];
    const inputs in = inputs_of(s, e);
    for (int64_t q = s->first[k]; q >= 0; q = s->edges.at[q].next)
        if (!diff_is_zero(g, s->edges.at[q].weight))
            TRY(push_edge(s, k, &in, s->edges.at[q].other, s->edges.at[q].weight));
    for (int i = 0; i < in.n && s->sum[k] >= 0; i++)
        for (int j = i; j < in.n; j++) {
            expr_id t;
            TRY(diff_second_partial(g, e, in.which[i], in.which[j], s->sum[k], &t));
            if (t >= 0)
                TRY(i == j ? add_edge(s, in.at[i], in.at[i], t) : add_both(s, in.at[i], in.at[j], t));
        }
    return PERI_OK;
}

/* `other` of a pair with a node that is done was pushed on: when k's turn comes, all its pairs are with nodes that are not done. */
static peri_status run_second(sweep *s, int64_t n_roots, const expr_id *roots, const expr_id *seeds)
{
    for (int64_t k = 0; k < n_roots; k++)
        TRY(add(s, expr_part_at(&s->part, roots[k]), seeds[k]));
    for (int64_t k = s->part.nodes.n; k-- > 0;) {
        if (s->leaf[k] >= 0 || !s->depends[k])
            continue;
        TRY(push_node(s, k));
        if (s->sum[k] >= 0)
            TRY(back(s, k));
    }
    return PERI_OK;
}

static int by_pair(const void *a, const void *b)
{
    const diff_pair *x = a, *y = b;
    return x->a != y->a ? (x->a > y->a) - (x->a < y->a) : (x->b > y->b) - (x->b < y->b);
}

static peri_status collect_pairs(const sweep *s, diff_pair_list *found)
{
    expr_graph *g = s->part.g;
    found->n = 0;
    for (int64_t k = 0; k < s->part.nodes.n; k++)
        for (int64_t q = s->leaf[k] >= 0 ? s->first[k] : -1; q >= 0; q = s->edges.at[q].next) {
            const int64_t x = s->leaf[k], y = s->leaf[s->edges.at[q].other];
            const diff_pair item = {x < y ? x : y, x < y ? y : x, s->edges.at[q].weight};
            if (!diff_is_zero(g, item.weight) && !vec_push(g->m, found, item))
                return FAIL_NOMEM(g->ctx);
        }
    if (found->n > 1)
        qsort(found->at, (size_t)found->n, sizeof *found->at, by_pair);
    return PERI_OK;
}

/* ---- both ------------------------------------------------------------------------------------------------------------------- */

static int by_leaf(const void *a, const void *b)
{
    const int64_t x = ((const diff_found *)a)->leaf, y = ((const diff_found *)b)->leaf;
    return (x > y) - (x < y);
}

static peri_status collect(const sweep *s, diff_found_list *found)
{
    mem *m = s->part.g->m;
    found->n = 0;
    for (int64_t k = 0; k < s->part.nodes.n; k++) {
        const diff_found item = {s->leaf[k], s->sum[k]};
        if (s->leaf[k] >= 0 && s->sum[k] >= 0 && !vec_push(m, found, item))
            return FAIL_NOMEM(s->part.g->ctx);
    }
    if (found->n > 1)
        qsort(found->at, (size_t)found->n, sizeof *found->at, by_leaf);
    return PERI_OK;
}

static void sweep_release(sweep *s)
{
    mem *m = s->part.g->m;
    mem_array_free(m, s->sum);
    mem_array_free(m, s->depends);
    mem_array_free(m, s->leaf);
    mem_array_free(m, s->first);
    vec_free(m, &s->edges);
    hash_release(&s->edge_of);
    expr_part_release(&s->part);
}

peri_status diff_adjoint_local(expr_graph *g, int64_t n_roots, const expr_id *roots, const expr_id *seeds, const hash_map *leaves,
                               int64_t least, diff_found_list *found)
{
    sweep s = {.sum = NULL};
    TRY(expr_part_make(&s.part, g, n_roots, roots, is_between, leaves));
    hash_init(&s.edge_of, g->m);
    peri_status status = mark(&s, leaves, least);
    if (status == PERI_OK)
        status = run(&s, n_roots, roots, seeds);
    if (status == PERI_OK)
        status = collect(&s, found);
    sweep_release(&s);
    return status;
}

static bool all_pushed(const sweep *s)
{
    for (int64_t k = 0; k < s->part.nodes.n; k++)
        if (s->depends[k] && s->leaf[k] < 0 && !diff_has_second_partial(s->part.g, s->part.nodes.at[k]))
            return false;
    return true;
}

peri_status diff_second_local(expr_graph *g, int64_t n_roots, const expr_id *roots, const expr_id *seeds, const hash_map *leaves,
                              diff_found_list *gradient, diff_pair_list *second, bool *done)
{
    sweep s = {.sum = NULL};
    TRY(expr_part_make(&s.part, g, n_roots, roots, is_between, leaves));
    hash_init(&s.edge_of, g->m);
    peri_status status = mark(&s, leaves, 0);
    *done = status == PERI_OK && all_pushed(&s);
    if (*done) {
        s.first = mem_array(g->m, (size_t)s.part.nodes.n, sizeof *s.first);
        status = s.first != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
        for (int64_t k = 0; k < s.part.nodes.n && status == PERI_OK; k++)
            s.first[k] = -1;
        if (status == PERI_OK)
            status = run_second(&s, n_roots, roots, seeds);
        if (status == PERI_OK)
            status = collect(&s, gradient);
        if (status == PERI_OK)
            status = collect_pairs(&s, second);
    }
    sweep_release(&s);
    return status;
}

int64_t diff_operations(expr_graph *g, int64_t n, const expr_id *roots, const hash_map *leaves)
{
    expr_part part;
    int64_t count = 0;
    if (expr_part_make(&part, g, n, roots, is_between, leaves) != PERI_OK)
        return -1;
    for (int64_t k = 0; k < part.nodes.n; k++)
        count += is_between(g, part.nodes.at[k], leaves) && expr_at(g, part.nodes.at[k])->op != PERI_OP_NEG;
    expr_part_release(&part);
    return count;
}
