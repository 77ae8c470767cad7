/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hessian.c - the sparse Hessian of a scalar, lower triangle. With stages u -> phi(u) of the computation and adjoints lambda of their outputs,
 *
 *     H = sum over stages  (du/dx)' [ sum_i lambda_i hess phi_i(u) ] (du/dx)
 *
 * (the chain rule for second derivatives; Griewank and Walther 2008, ch. 3). A stage here is a set of elementwise nodes of one size: its inner Hessian
 * is a few columns of second partial derivatives, one a pair of leaves, as nodes; du/dx are the groups of coo.c. Linear nodes have no inner Hessian.
 */
#include "diff/internal.h"
#include <stdlib.h>
#include <string.h>

/* weight w [n] (or a scalar) times u_a[row_a] u_b[row_b]: one pair of leaves of a stage */
typedef struct {
    expr_id w, a, b;
    int64_t n;
    const int32_t *row_a, *row_b; /* NULL: instance i takes row i, or row 0 of a scalar */
    double terms;                 /* products of an entry of a's row and one of b's: once they are counted */
    bool blocks;                  /* made as products of matrices */
} pair;

typedef struct {
    coo_builder coo;
    diff_sweep sweep;
    int32_t *level;       /* [top + 1] */
    int64_t *level_start; /* [levels + 1] nodes of a level that depend on the variables: by_level[level_start[l] .. level_start[l + 1]), descending */
    expr_id *by_level;
    unsigned char *mark;  /* [top + 1] in the stage at hand: 1 part of it, 2 a leaf; else 0 */
    VEC(pair) pairs;
    VEC(coo_group) groups; /* of the Hessian: row >= col */
} builder;

/* ---- stages -------------------------------------------------------------------------------------------------------------- */

static bool is_inside(const expr_graph *g, expr_id e, expr_id arg)
{
    return expr_is_elementwise(expr_at(g, arg)->op) && expr_size(g, arg) == expr_size(g, e);
}

/* Elementwise nodes one level above what they read; all others on the level of their arguments. */
static void find_levels(builder *b)
{
    const expr_graph *g = b->coo.g;
    for (expr_id e = 0; e <= b->sweep.top; e++) {
        const bool elementwise = expr_is_elementwise(expr_at(g, e)->op);
        const expr_id *args;
        const int32_t n = b->coo.depends[e] ? expr_args(g, e, &args) : 0;
        for (int32_t k = 0; k < n; k++) {
            if (!b->coo.depends[args[k]])
                continue;
            const bool next = elementwise && !is_inside(g, e, args[k]) && !coo_is_direct(g, args[k]);
            const int32_t level = b->level[args[k]] + (next ? 1 : 0);
            b->level[e] = level > b->level[e] ? level : b->level[e];
        }
    }
}

static bool has_adjoint(const builder *b, expr_id e)
{
    return b->sweep.sum[e] >= 0 || b->sweep.first[e] >= 0;
}

/* A leaf of the stage: read by it and not of it. */
static bool is_leaf_of(const builder *b, expr_id e, expr_id arg)
{
    return b->coo.depends[arg] && !(is_inside(b->coo.g, e, arg) && b->level[arg] == b->level[e]);
}

typedef struct {
    expr_id_list outs, seeds, leaves, seen; /* seen: what is marked */
    int64_t size, rows, cols;
    hash_map number; /* leaf, behind its mark where it has one -> place in leaves */
} stage;

static void stage_release(builder *b, stage *s)
{
    for (int64_t k = 0; k < s->seen.n; k++)
        b->mark[s->seen.at[k]] = 0;
    vec_free(b->coo.g->m, &s->outs);
    vec_free(b->coo.g->m, &s->seeds);
    vec_free(b->coo.g->m, &s->leaves);
    vec_free(b->coo.g->m, &s->seen);
    hash_release(&s->number);
}

static peri_status mark_node(builder *b, stage *s, expr_id e, unsigned char mark)
{
    b->mark[e] = mark;
    return vec_push(b->coo.g->m, &s->seen, e) ? PERI_OK : FAIL_NOMEM(b->coo.g->ctx);
}

/* The adjoint of an output, closed to differentiation; a spread scalar as the scalar it is. */
static peri_status closed_adjoint(builder *b, expr_id e, expr_id *out)
{
    expr_graph *g = b->coo.g;
    TRY(diff_sweep_total(&b->sweep, e, out));
    const expr_node *node = expr_at(g, *out);
    if (node->op == PERI_OP_GATHER && expr_size(g, node->arg[0]) == 1)
        *out = node->arg[0];
    return expr_unary(g, PERI_OP_STOP, *out, out);
}

/*
 * In ascending order: a leaf depends on earlier ones only, so that what is differentiated with respect to a leaf and all later ones is not
 * differentiated through a leaf that is missing there.
 */
static peri_status find_leaves(builder *b, stage *s)
{
    expr_graph *g = b->coo.g;
    for (int64_t i = 0; i < s->seen.n; i++) { /* the list is the queue */
        const expr_id e = s->seen.at[i], *args;
        const int32_t n = b->mark[e] == 1 ? expr_args(g, e, &args) : 0;
        for (int32_t k = 0; k < n; k++) {
            const expr_id a = args[k];
            if (!b->coo.depends[a] || b->mark[a] != 0)
                continue;
            const bool leaf = is_leaf_of(b, e, a);
            TRY(mark_node(b, s, a, leaf ? 2 : 1));
            if (leaf && !vec_push(g->m, &s->leaves, a))
                return FAIL_NOMEM(g->ctx);
        }
    }
    if (s->leaves.n > 1)
        qsort(s->leaves.at, (size_t)s->leaves.n, sizeof *s->leaves.at, expr_ascending);
    return PERI_OK;
}

/*
 * The leaves as differentiation sees them: an elementwise leaf behind a mark, because simplification would look into it ((-u)^2 is u^2) and so lose
 * that the result depends on the leaf. The outputs are rewritten on the marks; what is derived is rewritten back by `unveiled`.
 */
static peri_status veil(builder *b, stage *s, expr_id *veiled, bool *any)
{
    expr_graph *g = b->coo.g;
    *any = false;
    for (int64_t k = 0; k < s->leaves.n; k++) {
        veiled[k] = s->leaves.at[k];
        if (expr_is_elementwise(expr_at(g, veiled[k])->op)) {
            TRY(expr_mark(g, s->leaves.at[k], "leaf", &veiled[k]));
            *any = true;
        }
        if (!hash_put(&s->number, (uint64_t)veiled[k], k))
            return FAIL_NOMEM(g->ctx);
    }
    return *any ? expr_substitute(g, s->outs.n, s->outs.at, s->leaves.n, s->leaves.at, veiled, s->outs.at) : PERI_OK;
}

/* at [n]: where the nodes are, that are rewritten */
static peri_status unveil(builder *b, const stage *s, const expr_id *veiled, int64_t n, expr_id *const *at)
{
    expr_graph *g = b->coo.g;
    expr_id *node = mem_array(g->m, (size_t)n, sizeof *node);
    if (node == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t k = 0; k < n; k++)
        node[k] = *at[k];
    const peri_status status = expr_substitute(g, n, node, s->leaves.n, veiled, s->leaves.at, node);
    for (int64_t k = 0; k < n && status == PERI_OK; k++)
        *at[k] = node[k];
    mem_array_free(g->m, node);
    return status;
}

/* What is derived of a stage: first derivatives by its leaves, second ones by pairs of them. */
typedef struct {
    diff_found_list gradient;
    diff_pair_list second;
} derived;

static void derived_release(builder *b, derived *d)
{
    vec_free(b->coo.g->m, &d->gradient);
    vec_free(b->coo.g->m, &d->second);
}

/* Where all nodes of d are. */
static expr_id **nodes_of(builder *b, derived *d, int64_t *n)
{
    expr_id **at = mem_array(b->coo.g->m, (size_t)(d->gradient.n + d->second.n), sizeof *at);
    *n = 0;
    for (int64_t k = 0; k < d->gradient.n && at != NULL; k++)
        at[(*n)++] = &d->gradient.at[k].adjoint;
    for (int64_t k = 0; k < d->second.n && at != NULL; k++)
        at[(*n)++] = &d->second.at[k].weight;
    return at;
}

/* From each leaf's gradient, those with respect to it and to the leaves after it. */
static peri_status by_leaves(builder *b, stage *s, derived *d)
{
    expr_graph *g = b->coo.g;
    diff_found_list found = {0};
    expr_id one;
    peri_status status = expr_number(g, 1, &one);
    if (status == PERI_OK)
        status = diff_adjoint_local(g, s->outs.n, s->outs.at, s->seeds.at, &s->number, 0, &d->gradient);
    for (int64_t k = 0; k < d->gradient.n && status == PERI_OK; k++) {
        const diff_found *of = &d->gradient.at[k];
        status = diff_adjoint_local(g, 1, &of->adjoint, &one, &s->number, of->leaf, &found);
        for (int64_t j = 0; j < found.n && status == PERI_OK; j++) {
            const diff_pair item = {of->leaf, found.at[j].leaf, found.at[j].adjoint};
            if (!diff_is_zero(g, item.weight) && !vec_push(g->m, &d->second, item))
                status = FAIL_NOMEM(g->ctx);
        }
    }
    vec_free(g->m, &found);
    return status;
}

static peri_status count_operations(builder *b, stage *s, derived *d, int64_t *count)
{
    int64_t n;
    expr_id **at = nodes_of(b, d, &n), *node = mem_array(b->coo.g->m, (size_t)n, sizeof *node);
    *count = -1;
    if (at != NULL && node != NULL) {
        for (int64_t k = 0; k < n; k++)
            node[k] = *at[k];
        *count = diff_operations(b->coo.g, n, node, &s->number);
    }
    mem_array_free(b->coo.g->m, at);
    mem_array_free(b->coo.g->m, node);
    return *count >= 0 ? PERI_OK : FAIL_NOMEM(b->coo.g->ctx);
}

enum { MANY = 16 }; /* instances: enough to derive a stage twice and keep what takes fewer operations */

/*
 * Two ways that agree: pairs are pushed through one sweep, which shares what they have in common; or leaf by leaf, which has fewer sums where few
 * operations couple many leaves, and works for all operations.
 */
static peri_status derive(builder *b, stage *s, derived *d)
{
    derived other = {0};
    int64_t count = 0, count_other = 0;
    bool pushed;
    peri_status status = diff_second_local(b->coo.g, s->outs.n, s->outs.at, s->seeds.at, &s->number, &d->gradient, &d->second, &pushed);
    if (status == PERI_OK && !pushed)
        return by_leaves(b, s, d);
    if (status == PERI_OK && s->size >= MANY)
        status = by_leaves(b, s, &other);
    if (status == PERI_OK && s->size >= MANY)
        status = count_operations(b, s, d, &count);
    if (status == PERI_OK && s->size >= MANY)
        status = count_operations(b, s, &other, &count_other);
    if (status == PERI_OK && count_other < count) {
        const derived swap = *d;
        *d = other;
        other = swap;
    }
    derived_release(b, &other);
    return status;
}

static peri_status pass_down(builder *b, stage *s, const diff_found_list *gradient)
{
    expr_graph *g = b->coo.g;
    for (int64_t k = 0; k < gradient->n; k++) {
        expr_id part;
        TRY(expr_broadcast(g, gradient->at[k].adjoint, s->rows, s->cols, &part)); /* each instance contributes */
        TRY(diff_sweep_add(&b->sweep, s->leaves.at[gradient->at[k].leaf], part));
    }
    return PERI_OK;
}

static peri_status note_pairs(builder *b, const stage *s, const derived *d)
{
    expr_graph *g = b->coo.g;
    for (int64_t k = 0; k < d->second.n; k++) {
        const diff_pair *of = &d->second.at[k];
        const pair p = {.w = of->weight, .a = s->leaves.at[of->a], .b = s->leaves.at[of->b], .n = s->size};
        if (!diff_is_zero(g, p.w) && !vec_push(g->m, &b->pairs, p))
            return FAIL_NOMEM(g->ctx);
    }
    return PERI_OK;
}

static peri_status differentiate_stage(builder *b, stage *s)
{
    expr_graph *g = b->coo.g;
    expr_id *veiled = mem_array(g->m, (size_t)s->leaves.n, sizeof *veiled), **nodes = NULL;
    int64_t n;
    derived d = {0};
    bool any = false;
    peri_status status = veiled != NULL ? veil(b, s, veiled, &any) : FAIL_NOMEM(g->ctx);
    if (status == PERI_OK)
        status = derive(b, s, &d);
    if (status == PERI_OK && any) {
        nodes = nodes_of(b, &d, &n);
        status = nodes != NULL ? unveil(b, s, veiled, n, nodes) : FAIL_NOMEM(g->ctx);
    }
    if (status == PERI_OK)
        status = note_pairs(b, s, &d);
    if (status == PERI_OK)
        status = pass_down(b, s, &d.gradient);
    mem_array_free(g->m, veiled);
    mem_array_free(g->m, nodes);
    derived_release(b, &d);
    return status;
}

/* The stage of all elementwise nodes of a level with the size of the one at `from` and an adjoint from outside. */
static peri_status run_stage(builder *b, int64_t from, int64_t end, unsigned char *done)
{
    expr_graph *g = b->coo.g;
    const expr_id first = b->by_level[from];
    stage s = {.size = expr_size(g, first), .rows = expr_at(g, first)->rows, .cols = expr_at(g, first)->cols};
    hash_init(&s.number, g->m);
    peri_status status = PERI_OK;
    for (int64_t k = from; k < end && status == PERI_OK; k++) {
        const expr_id e = b->by_level[k];
        expr_id seed;
        if (done[e] || !expr_is_elementwise(expr_at(g, e)->op) || !has_adjoint(b, e) || expr_at(g, e)->rows != s.rows ||
            expr_at(g, e)->cols != s.cols)
            continue;
        done[e] = 1;
        status = mark_node(b, &s, e, 1);
        if (status == PERI_OK)
            status = closed_adjoint(b, e, &seed);
        if (status == PERI_OK && (!vec_push(g->m, &s.outs, e) || !vec_push(g->m, &s.seeds, seed)))
            status = FAIL_NOMEM(g->ctx);
    }
    if (status == PERI_OK)
        status = find_leaves(b, &s);
    if (status == PERI_OK)
        status = differentiate_stage(b, &s);
    stage_release(b, &s);
    return status;
}

/* C = A B with both factors depending on the variables: C[i][j] has the pairs A[i][p], B[p][j]. */
static peri_status product_pairs(builder *b, expr_id e, expr_id adj)
{
    expr_graph *g = b->coo.g;
    const expr_node node = *expr_at(g, e);
    if (!b->coo.depends[node.arg[0]] || !b->coo.depends[node.arg[1]])
        return PERI_OK;
    const int64_t inner = expr_at(g, node.arg[0])->cols, n = (int64_t)node.rows * node.cols * inner;
    if (node.rows == 1 && node.cols == 1) {
        const pair terms = {.w = adj, .a = node.arg[0], .b = node.arg[1], .n = inner};
        return vec_push(g->m, &b->pairs, terms) ? PERI_OK : FAIL_NOMEM(g->ctx);
    }
    if (n > b->coo.limit)
        return FAIL(g->ctx, PERI_E_UNSUPPORTED, "sparse second derivatives: a matrix product has %lld terms", (long long)n);
    int32_t *a = arena_array(&b->coo.data, (size_t)n, sizeof *a), *c = arena_array(&b->coo.data, (size_t)n, sizeof *c);
    int32_t *which = arena_array(&b->coo.data, (size_t)n, sizeof *which);
    if (a == NULL || c == NULL || which == NULL)
        return FAIL_NOMEM(g->ctx);
    int64_t at = 0;
    for (int64_t i = 0; i < node.rows; i++)
        for (int64_t j = 0; j < node.cols; j++)
            for (int64_t p = 0; p < inner; p++, at++) {
                a[at] = (int32_t)(i * inner + p);
                c[at] = (int32_t)(p * node.cols + j);
                which[at] = (int32_t)(i * node.cols + j);
            }
    pair term = {.w = -1, .a = node.arg[0], .b = node.arg[1], .n = n, .row_a = a, .row_b = c};
    TRY(expr_reshape(g, adj, expr_size(g, adj), 1, &term.w));
    TRY(coo_pick(g, term.w, n, which, &term.w));
    return vec_push(g->m, &b->pairs, term) ? PERI_OK : FAIL_NOMEM(g->ctx);
}

static peri_status bilinear_pairs(builder *b, expr_id e, expr_id adj)
{
    expr_graph *g = b->coo.g;
    const expr_node node = *expr_at(g, e);
    diff_terms t;
    if (!b->coo.depends[node.arg[0]] || !b->coo.depends[node.arg[1]])
        return PERI_OK;
    TRY(diff_terms_of(g, e, b->coo.limit, &b->coo.data, &t));
    pair term = {.w = -1, .a = node.arg[0], .b = node.arg[1], .n = t.n, .row_a = t.left, .row_b = t.right};
    TRY(expr_reshape(g, adj, expr_size(g, adj), 1, &term.w));
    TRY(coo_pick(g, term.w, t.n, t.out, &term.w));
    return vec_push(g->m, &b->pairs, term) ? PERI_OK : FAIL_NOMEM(g->ctx);
}

/* Entry (i, j) of the rule's Hessian W with entries i and j of its argument: pairs i < j, which stand for both orders, and those of one with itself. */
static peri_status rule_pairs(builder *b, expr_id e, expr_id adj)
{
    expr_graph *g = b->coo.g;
    const expr_node node = *expr_at(g, e);
    expr_rule *rule = g->rules.at[node.ref];
    const int64_t p = rule->size, n = p * (p - 1) / 2;
    expr_id w;
    if (rule->hessian == NULL)
        return diff_unsupported(g, e, "sparse second derivatives");
    if (p > DIFF_LARGEST_DENSE)
        return FAIL(g->ctx, PERI_E_UNSUPPORTED, "sparse hessian: %s is a function of %lld entries, formed up to %d; products with vectors are offered",
                    rule->name, (long long)p, (int)DIFF_LARGEST_DENSE);
    TRY(rule->hessian(rule, g, e, adj, &w));
    TRY(expr_reshape(g, w, p * p, 1, &w));
    pair own = {.a = node.arg[0], .b = node.arg[0], .n = p}, both = own;
    TRY(expr_gather_affine(g, w, p, 1, 0, p + 1, &own.w));
    if (!vec_push(g->m, &b->pairs, own))
        return FAIL_NOMEM(g->ctx);
    if (n == 0)
        return PERI_OK;
    int32_t *i = arena_array(&b->coo.data, (size_t)n, sizeof *i), *j = arena_array(&b->coo.data, (size_t)n, sizeof *j);
    int32_t *which = arena_array(&b->coo.data, (size_t)n, sizeof *which);
    if (i == NULL || j == NULL || which == NULL)
        return FAIL_NOMEM(g->ctx);
    int64_t at = 0;
    for (int64_t r = 0; r < p; r++)
        for (int64_t c = r + 1; c < p; c++, at++) {
            i[at] = (int32_t)r;
            j[at] = (int32_t)c;
            which[at] = (int32_t)(r * p + c);
        }
    both.n = n;
    both.row_a = i;
    both.row_b = j;
    TRY(coo_pick(g, w, n, which, &both.w));
    return vec_push(g->m, &b->pairs, both) ? PERI_OK : FAIL_NOMEM(g->ctx);
}

static peri_status pass_other(builder *b, expr_id e)
{
    expr_graph *g = b->coo.g;
    const expr_node node = *expr_at(g, e);
    expr_id adj;
    switch (node.op) {
    case PERI_OP_LOGDET:
    case PERI_OP_INV:
    case PERI_OP_SOLVE:
    case PERI_OP_EXPM:
    case PERI_OP_CALL:
    case PERI_OP_CALLGRAD:
        return diff_unsupported(g, e, "sparse second derivatives");
    default:
        break;
    }
    TRY(diff_sweep_total(&b->sweep, e, &adj));
    if (node.op == PERI_OP_RULE)
        TRY(rule_pairs(b, e, adj));
    if (node.op == PERI_OP_MATMUL)
        TRY(product_pairs(b, e, adj));
    if (node.op == PERI_OP_BMM || node.op == PERI_OP_CONV)
        TRY(bilinear_pairs(b, e, adj));
    return diff_sweep_back(&b->sweep, e, adj);
}

static peri_status run_level(builder *b, int32_t level, unsigned char *done)
{
    const expr_graph *g = b->coo.g;
    const int64_t begin = b->level_start[level], end = b->level_start[level + 1];
    for (int64_t k = begin; k < end; k++) {
        const expr_id e = b->by_level[k];
        if (has_adjoint(b, e) && !expr_is_elementwise(expr_at(g, e)->op) && !coo_is_direct(g, e))
            TRY(pass_other(b, e));
    }
    for (int64_t k = begin; k < end; k++) {
        const expr_id e = b->by_level[k];
        if (has_adjoint(b, e) && expr_is_elementwise(expr_at(g, e)->op) && !done[e])
            TRY(run_stage(b, k, end, done));
    }
    return PERI_OK;
}

/* by_level and level_start; *levels their number */
static peri_status sort_levels(builder *b, expr_id root, int32_t *levels)
{
    int64_t n = 0;
    *levels = 1;
    for (expr_id e = 0; e <= root; e++) {
        *levels = b->level[e] + 1 > *levels ? b->level[e] + 1 : *levels;
        n += b->coo.depends[e];
    }
    b->level_start = arena_array(&b->coo.data, (size_t)*levels + 2, sizeof *b->level_start);
    b->by_level = arena_array(&b->coo.data, (size_t)n, sizeof *b->by_level);
    if (b->level_start == NULL || b->by_level == NULL)
        return FAIL_NOMEM(b->coo.g->ctx);
    for (expr_id e = 0; e <= root; e++)
        if (b->coo.depends[e])
            b->level_start[b->level[e] + 2]++;
    for (int32_t l = 0; l < *levels; l++)
        b->level_start[l + 2] += b->level_start[l + 1];
    for (expr_id e = root; e >= 0; e--)
        if (b->coo.depends[e])
            b->by_level[b->level_start[b->level[e] + 1]++] = e;
    return PERI_OK;
}

/* ---- from pairs to entries ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    VEC(int32_t) row, col, instance, first, second;
} entries;

static bool push_entry(mem *m, entries *t, int32_t p, int32_t q, int64_t instance, int64_t e1, int64_t e2)
{
    return vec_push(m, &t->row, p > q ? p : q) && vec_push(m, &t->col, p > q ? q : p) &&
           vec_push(m, &t->instance, (int32_t)instance) && vec_push(m, &t->first, (int32_t)e1) &&
           vec_push(m, &t->second, (int32_t)e2);
}

static void entries_release(mem *m, entries *t)
{
    vec_free(m, &t->row);
    vec_free(m, &t->col);
    vec_free(m, &t->instance);
    vec_free(m, &t->first);
    vec_free(m, &t->second);
}

static int64_t row_at(const expr_graph *g, expr_id leaf, const int32_t *rows, int64_t i)
{
    return rows != NULL ? rows[i] : expr_size(g, leaf) == 1 ? 0 : i;
}

/* A dense block is formed up to a size; beyond, products of the Hessian with vectors are what there is. rows, cols: variables that one instance couples. */
static peri_status check_density(const builder *b, int64_t rows, int64_t cols)
{
    if (rows * cols <= (int64_t)DIFF_LARGEST_DENSE * DIFF_LARGEST_DENSE)
        return PERI_OK;
    return FAIL(b->coo.g->ctx, PERI_E_UNSUPPORTED,
                "sparse hessian: dense in %lld variables at once, formed up to %d; products with vectors are offered",
                (long long)(rows > cols ? rows : cols), (int)DIFF_LARGEST_DENSE);
}

/* All products of an entry of ga and one of gb in the same instance; `same`: ga is gb, unordered pairs only. */
static peri_status join(builder *b, const pair *p, const coo_group *ga, const coo_group *gb, bool same, entries *t)
{
    expr_graph *g = b->coo.g;
    coo_sorted by_a, by_b;
    TRY(coo_sort_by(&b->coo, ga->n, ga->row, expr_size(g, p->a), &by_a));
    TRY(coo_sort_by(&b->coo, gb->n, gb->row, expr_size(g, p->b), &by_b));
    for (int64_t i = 0; i < p->n; i++) {
        const int64_t ra = row_at(g, p->a, p->row_a, i), rb = row_at(g, p->b, p->row_b, i);
        TRY(check_density(b, by_a.start[ra + 1] - by_a.start[ra], by_b.start[rb + 1] - by_b.start[rb]));
        for (int64_t s = by_a.start[ra]; s < by_a.start[ra + 1]; s++)
            for (int64_t u = same ? s : by_b.start[rb]; u < by_b.start[rb + 1]; u++) {
                const int32_t e1 = by_a.order[s], e2 = by_b.order[u], row = ga->col[e1], col = gb->col[e2];
                const bool twice = row == col && !(same && e1 == e2); /* both triangles fall on the diagonal */
                if (t->row.n > b->coo.limit)
                    return FAIL(g->ctx, PERI_E_UNSUPPORTED, "sparse second derivatives: more than %lld terms", (long long)b->coo.limit);
                for (int k = 0; k < 1 + twice; k++)
                    if (!push_entry(g->m, t, row, col, i, e1, e2))
                        return FAIL_NOMEM(g->ctx);
            }
    }
    return PERI_OK;
}

static bool copy_list(arena *a, int64_t n, const int32_t *from, int32_t **to)
{
    *to = arena_array(a, (size_t)n, sizeof **to);
    if (*to == NULL)
        return false;
    memcpy(*to, from, (size_t)n * sizeof **to);
    return true;
}

static peri_status finish_group(builder *b, const pair *p, const coo_group *ga, const coo_group *gb, const entries *t)
{
    expr_graph *g = b->coo.g;
    coo_group group = {.n = t->row.n};
    expr_id v;
    if (group.n == 0)
        return PERI_OK;
    if (!copy_list(&b->coo.data, group.n, t->row.at, &group.row) || !copy_list(&b->coo.data, group.n, t->col.at, &group.col))
        return FAIL_NOMEM(g->ctx);
    expr_id w = p->w;
    TRY(expr_reshape(g, w, expr_size(g, w), 1, &w));
    TRY(coo_pick(g, w, group.n, t->instance.at, &group.value));
    TRY(coo_pick(g, ga->value, group.n, t->first.at, &v));
    TRY(diff_times(g, group.value, v, &group.value));
    TRY(coo_pick(g, gb->value, group.n, t->second.at, &v));
    TRY(diff_times(g, group.value, v, &group.value));
    return vec_push(g->m, &b->groups, group) ? PERI_OK : FAIL_NOMEM(g->ctx);
}

static peri_status push_group(builder *b, const coo_group *group)
{
    return group->n == 0 || vec_push(b->coo.g->m, &b->groups, *group) ? PERI_OK : FAIL_NOMEM(b->coo.g->ctx);
}

/* Instance i takes row i of both leaves. */
static bool is_row_by_row(const builder *b, const pair *p)
{
    return p->row_a == NULL && p->row_b == NULL && p->n > 1 && expr_size(b->coo.g, p->a) == p->n && expr_size(b->coo.g, p->b) == p->n;
}

static peri_status join_listed(builder *b, const pair *p, const coo_group *ga, const coo_group *gb, bool same)
{
    entries t = {0};
    peri_status status = join(b, p, ga, gb, same, &t);
    if (status == PERI_OK)
        status = finish_group(b, p, ga, gb, &t);
    entries_release(b->coo.g->m, &t);
    return status;
}

static peri_status join_groups(builder *b, const pair *p, const coo_group *ga, const coo_group *gb, bool same)
{
    coo_group part[2], rest, group;
    bool made = false;
    if (!is_row_by_row(b, p))
        return join_listed(b, p, ga, gb, same);
    if (same) {
        TRY(diff_gram_dense(&b->coo, p->w, p->n, ga, &rest, part));
        TRY(push_group(b, &part[0]));
        TRY(push_group(b, &part[1]));
        ga = gb = &rest;
    }
    TRY(diff_gram(&b->coo, p->w, p->n, ga, gb, same, &group, &made));
    return made ? push_group(b, &group) : join_listed(b, p, ga, gb, same);
}

static int64_t entries_of(const struct coo *c)
{
    int64_t n = 0;
    for (int64_t k = 0; k < c->n; k++)
        n += c->at[k].n;
    return n;
}

/* Entries of all groups in each row. */
static int64_t *rows_counted(builder *b, const struct coo *jac, int64_t rows)
{
    int64_t *count = mem_array(b->coo.g->m, (size_t)rows, sizeof *count);
    for (int64_t j = 0; j < jac->n && count != NULL; j++)
        for (int64_t k = 0; k < jac->at[j].n; k++)
            count[jac->at[j].row[k]]++;
    return count;
}

/* p->terms: how many `expand` would make entry by entry */
static peri_status count_terms(builder *b, pair *p)
{
    expr_graph *g = b->coo.g;
    const struct coo *ja, *jb;
    TRY(coo_jacobian(&b->coo, p->a, &ja));
    TRY(coo_jacobian(&b->coo, p->b, &jb));
    int64_t *x = rows_counted(b, ja, expr_size(g, p->a)), *y = rows_counted(b, jb, expr_size(g, p->b));
    const bool ok = x != NULL && y != NULL, half = p->a == p->b && p->row_a == NULL && p->row_b == NULL;
    for (int64_t i = 0; i < p->n && ok; i++) {
        const double all = (double)x[row_at(g, p->a, p->row_a, i)] * (double)y[row_at(g, p->b, p->row_b, i)];
        p->terms += half ? all / 2 : all;
    }
    mem_array_free(g->m, x);
    mem_array_free(g->m, y);
    return ok ? PERI_OK : FAIL_NOMEM(g->ctx);
}

static diff_pair_terms terms_of(const pair *p)
{
    return (diff_pair_terms){p->w, p->a, p->b, p->n};
}

/* Blocks or terms? Too many are refused before time and memory have gone into them. */
static peri_status choose(builder *b, pair *p, double *terms)
{
    const struct coo *ja, *jb;
    int64_t widest = 0;
    TRY(count_terms(b, p));
    if (p->row_a == NULL && p->row_b == NULL) {
        const diff_pair_terms all = terms_of(p);
        TRY(diff_has_blocks(&b->coo, &all, p->terms, &widest, &p->blocks));
    }
    if (p->blocks)
        return check_density(b, widest, widest);
    TRY(coo_jacobian(&b->coo, p->a, &ja));
    TRY(coo_jacobian(&b->coo, p->b, &jb));
    if (p->n == 1)
        TRY(check_density(b, entries_of(ja), entries_of(jb)));
    *terms += p->terms;
    if (*terms > (double)b->coo.limit)
        return FAIL(b->coo.g->ctx, PERI_E_UNSUPPORTED, "sparse second derivatives: more than %lld terms", (long long)b->coo.limit);
    return PERI_OK;
}

static peri_status expand_blocks(builder *b, const pair *p)
{
    const diff_pair_terms all = terms_of(p);
    coo_group groups[DIFF_MOST_BLOCKS];
    int64_t n;
    TRY(diff_make_blocks(&b->coo, &all, p->terms, groups, &n));
    for (int64_t k = 0; k < n; k++)
        if (!vec_push(b->coo.g->m, &b->groups, groups[k]))
            return FAIL_NOMEM(b->coo.g->ctx);
    return PERI_OK;
}

static peri_status expand(builder *b, const pair *p)
{
    const struct coo *ja, *jb;
    if (p->blocks)
        return expand_blocks(b, p);
    TRY(coo_jacobian(&b->coo, p->a, &ja));
    TRY(coo_jacobian(&b->coo, p->b, &jb));
    const struct coo x = *ja, y = *jb;
    const bool same_leaf = p->a == p->b && p->row_a == NULL && p->row_b == NULL;
    for (int64_t i = 0; i < x.n; i++)
        for (int64_t j = same_leaf ? i : 0; j < y.n; j++)
            TRY(join_groups(b, p, &x.at[i], &y.at[j], same_leaf && i == j));
    return PERI_OK;
}

/* ---- all together --------------------------------------------------------------------------------------------------------------------- */

static peri_status build(builder *b, expr_id root, int64_t x0, int64_t n)
{
    expr_graph *g = b->coo.g;
    expr_id x, one;
    TRY(expr_input(g, EXPR_IN_X, x0, n, 1, &x));
    TRY(expr_number(g, 1, &one));
    diff_sweep_mark(&b->sweep, 1, &x);
    b->level = arena_array(&b->coo.data, (size_t)root + 1, sizeof *b->level);
    b->mark = arena_array(&b->coo.data, (size_t)root + 1, 1);
    unsigned char *done = arena_array(&b->coo.data, (size_t)root + 1, 1);
    if (b->level == NULL || b->mark == NULL || done == NULL)
        return FAIL_NOMEM(g->ctx);
    find_levels(b);
    int32_t levels;
    TRY(sort_levels(b, root, &levels));
    TRY(diff_sweep_add(&b->sweep, root, one));
    for (int32_t level = levels; level-- > 0;)
        TRY(run_level(b, level, done));
    double terms = 0;
    for (int64_t k = b->pairs.n; k-- > 0;) /* the deepest first, which depend on few variables */
        TRY(choose(b, &b->pairs.at[k], &terms));
    for (int64_t k = 0; k < b->pairs.n; k++)
        TRY(expand(b, &b->pairs.at[k]));
    return PERI_OK;
}

peri_status diff_hessian(expr_graph *g, expr_id root, int64_t x0, int64_t n, int64_t limit, diff_sparse *out)
{
    builder b;
    memset(&b, 0, sizeof b);
    memset(out, 0, sizeof *out);
    out->values = PERI_NO_EXPR;
    peri_status status = coo_init(&b.coo, g, root, x0, n, 8 * limit + 1000000);
    if (status == PERI_OK)
        status = diff_sweep_init(&b.sweep, g, 1, &root);
    else
        b.sweep.g = g;
    if (status == PERI_OK)
        status = build(&b, root, x0, n);
    if (status == PERI_OK)
        status = coo_assemble(g, n, n, b.groups.n, b.groups.at, out);
    if (status == PERI_OK && out->nnz > limit) {
        status = FAIL(g->ctx, PERI_E_UNSUPPORTED, "sparse Hessian: %lld entries, more than %lld", (long long)out->nnz, (long long)limit);
        diff_sparse_free(g, out);
    }
    vec_free(g->m, &b.pairs);
    vec_free(g->m, &b.groups);
    diff_sweep_release(&b.sweep);
    coo_release(&b.coo);
    return status;
}
