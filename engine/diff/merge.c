/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge.c - sums whose terms are partly the same. The two triangles of a cell share an edge with the next cell's, and a chain's overlapping pieces
 * have what they overlap in twice: terms c_i h(x at i) of several sums with one h, which mostly read the same entries. There h is computed once and multiplied
 * by the sum of the constants; what only one of them has stays as it was.
 * Invariant: the value is what it was, up to rounding; nothing is subtracted that was not.
 */
#include "diff/internal.h"
#include <string.h>

enum {
    FEWEST = 1024,    /* instances in common that are worth it */
    MOST_TERMS = 64,  /* of all sums */
    MOST_LEAVES = 8,  /* of a term */
    MOST_TOGETHER = 4, /* terms that are merged into one */
    DEEPEST = 32
};

/* scale * column[i] * core at i; column NULL: 1. */
typedef struct {
    expr_id core;
    int32_t sum;      /* which sum it is from */
    int64_t n;
    double scale;
    double *column;   /* arena memory */
    int32_t together; /* the class that it is merged in, -1: none */
    int32_t *merged;  /* the instances that are, ascending */
} term;

typedef struct {
    int32_t n_terms, term[MOST_TOGETHER];
    int64_t n;                    /* instances that all have */
    int32_t *at[MOST_TOGETHER];   /* [n] as each counts them */
} class_;

typedef struct {
    expr_graph *g;
    arena data;
    int32_t n_sums, n_terms, n_classes;
    double work; /* of what is put together, in operations */
    struct { expr_id node; double scale; bool opened; } sum[MOST_TERMS]; /* scalars whose sum the root is */
    term terms[MOST_TERMS];
    class_ classes[MOST_TERMS];
} merger;

/* ---- taking apart ---------------------------------------------------------------------------------------------------- */

/* The scalars whose weighted sum e is; false: too many. */
static bool find_sums(merger *m, expr_id e, double scale, int depth)
{
    const expr_node node = *expr_at(m->g, e);
    double c;
    if (m->n_sums == MOST_TERMS)
        return false;
    if (depth < DEEPEST)
        switch (node.op) {
        case PERI_OP_MARK: return find_sums(m, node.arg[0], scale, depth + 1);
        case PERI_OP_NEG: return find_sums(m, node.arg[0], -scale, depth + 1);
        case PERI_OP_ADD:
        case PERI_OP_SUB:
            return find_sums(m, node.arg[0], scale, depth + 1) &&
                   find_sums(m, node.arg[1], node.op == PERI_OP_ADD ? scale : -scale, depth + 1);
        case PERI_OP_MUL:
            for (int k = 0; k < 2; k++)
                if (expr_constant_value(m->g, node.arg[k], &c))
                    return find_sums(m, node.arg[1 - k], scale * c, depth + 1);
            break;
        default: break;
        }
    m->sum[m->n_sums].node = e;
    m->sum[m->n_sums++].scale = scale;
    return true;
}

static bool is_column(const expr_graph *g, expr_id e, int64_t n)
{
    const expr_node *node = expr_at(g, e);
    return node->op == PERI_OP_CONST && expr_size(g, e) == n && n > 1 && !expr_is_sparse(g, e);
}

/* t times the constant e (or divided by it); false: e is none, or memory is out */
static bool times_constant(merger *m, term *t, expr_id e, bool divide)
{
    double c;
    if (expr_constant_value(m->g, e, &c)) {
        t->scale = divide ? t->scale / c : t->scale * c;
        return true;
    }
    if (!is_column(m->g, e, t->n))
        return false;
    double *product = arena_array(&m->data, (size_t)t->n, sizeof *product);
    const double *by = expr_const_data(m->g, e);
    for (int64_t k = 0; k < t->n && product != NULL; k++)
        product[k] = (t->column != NULL ? t->column[k] : 1) * (divide ? 1 / by[k] : by[k]);
    t->column = product;
    return product != NULL;
}

static bool is_constant(const merger *m, const term *t, expr_id e)
{
    double c;
    return expr_constant_value(m->g, e, &c) || is_column(m->g, e, t->n);
}

/* Constant factors of the term's core go to the front: those of products, quotients, and of what is squared. */
static bool pull_constants(merger *m, term *t)
{
    for (int depth = 0; depth < DEEPEST; depth++) {
        const expr_node node = *expr_at(m->g, t->core);
        double c;
        if (node.op == PERI_OP_MARK || node.op == PERI_OP_NEG) {
            t->scale = node.op == PERI_OP_NEG ? -t->scale : t->scale;
            t->core = node.arg[0];
        } else if ((node.op == PERI_OP_MUL || node.op == PERI_OP_DIV) && is_constant(m, t, node.arg[1])) {
            if (!times_constant(m, t, node.arg[1], node.op == PERI_OP_DIV))
                return false;
            t->core = node.arg[0];
        } else if (node.op == PERI_OP_MUL && is_constant(m, t, node.arg[0])) {
            if (!times_constant(m, t, node.arg[0], false))
                return false;
            t->core = node.arg[1];
        } else if (node.op == PERI_OP_SQUARE) {
            const expr_node in = *expr_at(m->g, node.arg[0]);
            if ((in.op != PERI_OP_MUL && in.op != PERI_OP_DIV) || !expr_constant_value(m->g, in.arg[1], &c))
                return true;
            t->scale = in.op == PERI_OP_DIV ? t->scale / (c * c) : t->scale * (c * c);
            if (expr_unary(m->g, PERI_OP_SQUARE, in.arg[0], &t->core) != PERI_OK)
                return false;
        } else {
            return true;
        }
    }
    return true;
}

/* The terms of t's core, each with t's constants; false: too many, or memory is out. */
static bool open_term(merger *m, term t, int depth)
{
    if (!pull_constants(m, &t))
        return false;
    const expr_node node = *expr_at(m->g, t.core);
    if (depth < DEEPEST && (node.op == PERI_OP_ADD || node.op == PERI_OP_SUB)) {
        term left = t, right = t;
        left.core = node.arg[0];
        right.core = node.arg[1];
        right.scale = node.op == PERI_OP_ADD ? t.scale : -t.scale;
        return open_term(m, left, depth + 1) && open_term(m, right, depth + 1);
    }
    if (m->n_terms == MOST_TERMS)
        return false;
    m->terms[m->n_terms++] = t;
    return true;
}

static void open_sums(merger *m)
{
    for (int32_t k = 0; k < m->n_sums; k++) {
        const expr_node node = *expr_at(m->g, m->sum[k].node);
        const int32_t before = m->n_terms;
        if (node.op != PERI_OP_SUM || expr_size(m->g, node.arg[0]) < FEWEST)
            continue;
        const term t = {.core = node.arg[0], .sum = k, .n = expr_size(m->g, node.arg[0]), .scale = m->sum[k].scale, .together = -1};
        m->sum[k].opened = open_term(m, t, 0);
        if (!m->sum[k].opened)
            m->n_terms = before;
    }
}

/* ---- the same expression --------------------------------------------------------------------------------------------- */

typedef struct {
    int n;
    expr_id a[MOST_LEAVES], b[MOST_LEAVES];
} leaf_pairs;

static expr_id source_of(const expr_graph *g, expr_id leaf)
{
    const expr_node *node = expr_at(g, leaf);
    return node->op == PERI_OP_GATHER ? node->arg[0] : leaf;
}

static int64_t entry_of(const expr_graph *g, expr_id leaf, int64_t k)
{
    const expr_node *node = expr_at(g, leaf);
    return node->op == PERI_OP_GATHER ? expr_gather_at(g, node, k) : k;
}

static bool pair_leaves(const expr_graph *g, expr_id a, expr_id b, leaf_pairs *p)
{
    if (source_of(g, a) != source_of(g, b) || expr_at(g, a)->op == PERI_OP_CONST)
        return false;
    for (int k = 0; k < p->n; k++)
        if (p->a[k] == a || p->b[k] == b)
            return p->a[k] == a && p->b[k] == b;
    if (p->n == MOST_LEAVES)
        return false;
    p->a[p->n] = a;
    p->b[p->n++] = b;
    return true;
}

/* One expression, read at other entries of the same arrays? */
static bool is_same_form(const expr_graph *g, expr_id a, expr_id b, int depth, leaf_pairs *p)
{
    const expr_node x = *expr_at(g, a), y = *expr_at(g, b);
    double c, d;
    if (expr_size(g, a) == 1 || expr_size(g, b) == 1)
        return a == b;
    if (expr_constant_value(g, a, &c) || expr_constant_value(g, b, &c))
        return expr_constant_value(g, a, &c) && expr_constant_value(g, b, &d) && memcmp(&c, &d, sizeof c) == 0;
    if (depth == DEEPEST)
        return false;
    if (!expr_is_elementwise(x.op) || !expr_is_elementwise(y.op))
        return !expr_is_elementwise(x.op) && !expr_is_elementwise(y.op) && pair_leaves(g, a, b, p);
    bool same = x.op == y.op;
    for (int k = 0; k < 3 && same && x.arg[k] >= 0; k++)
        same = is_same_form(g, x.arg[k], y.arg[k], depth + 1, p);
    return same;
}

/* What instance i of one reads against what instance j of the other does: -1, 0, 1. */
static int compare(const expr_graph *g, const leaf_pairs *p, int64_t i, int64_t j)
{
    for (int q = 0; q < p->n; q++) {
        const int64_t x = entry_of(g, p->a[q], i), y = entry_of(g, p->b[q], j);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

static bool is_ascending(const expr_graph *g, const expr_id *leaf, int n, int64_t count)
{
    leaf_pairs p = {.n = n};
    memcpy(p.a, leaf, sizeof p.a);
    memcpy(p.b, leaf, sizeof p.b);
    for (int64_t k = 1; k < count; k++)
        if (compare(g, &p, k - 1, k) >= 0)
            return false;
    return true;
}

/* ---- classes --------------------------------------------------------------------------------------------------------- */

static peri_status all_instances(merger *m, class_ *c)
{
    if (c->at[0] != NULL)
        return PERI_OK;
    c->at[0] = arena_array(&m->data, (size_t)c->n, sizeof *c->at[0]);
    if (c->at[0] == NULL)
        return FAIL_NOMEM(m->g->ctx);
    for (int64_t k = 0; k < c->n; k++)
        c->at[0][k] = (int32_t)k;
    return PERI_OK;
}

/* Adds term t where most of its instances are the class's: those that are not are no longer. */
static peri_status try_term(merger *m, class_ *c, int32_t t)
{
    leaf_pairs p = {.n = 0};
    const term *first = &m->terms[c->term[0]], *more = &m->terms[t];
    if (c->n_terms == MOST_TOGETHER || !is_same_form(m->g, first->core, more->core, 0, &p) || p.n == 0 ||
        !is_ascending(m->g, p.a, p.n, first->n) || !is_ascending(m->g, p.b, p.n, more->n))
        return PERI_OK;
    TRY(all_instances(m, c));
    const int64_t most = c->n < more->n ? c->n : more->n;
    int32_t *old = mem_array(m->g->m, (size_t)most, sizeof *old), *at = arena_array(&m->data, (size_t)most, sizeof *at);
    int64_t n = 0;
    if (old == NULL || at == NULL) {
        mem_array_free(m->g->m, old);
        return FAIL_NOMEM(m->g->ctx);
    }
    for (int64_t i = 0, j = 0; i < c->n && j < more->n;) {
        const int order = compare(m->g, &p, c->at[0][i], j);
        if (order == 0) {
            old[n] = (int32_t)i;
            at[n++] = (int32_t)j;
        }
        i += order <= 0;
        j += order >= 0;
    }
    if (n >= FEWEST && 4 * n >= 3 * c->n && 4 * n >= 3 * more->n) {
        for (int32_t q = 0; q < c->n_terms; q++)
            for (int64_t k = 0; k < n; k++)
                c->at[q][k] = c->at[q][old[k]];
        c->at[c->n_terms] = at;
        c->term[c->n_terms++] = t;
        c->n = n;
    }
    mem_array_free(m->g->m, old);
    return PERI_OK;
}

static peri_status find_class(merger *m, int32_t t)
{
    class_ *c = &m->classes[m->n_classes];
    *c = (class_){.n_terms = 1, .term = {t}, .n = m->terms[t].n};
    for (int32_t other = t + 1; other < m->n_terms; other++)
        if (m->terms[other].together < 0)
            TRY(try_term(m, c, other));
    if (c->n_terms == 1)
        return PERI_OK;
    for (int32_t q = 0; q < c->n_terms; q++) {
        m->terms[c->term[q]].together = m->n_classes;
        m->terms[c->term[q]].merged = c->at[q];
    }
    m->n_classes++;
    return PERI_OK;
}

/* ---- putting together -------------------------------------------------------------------------------------------------- */

/* The term's constants at instance k */
static double weight(const term *t, int64_t k)
{
    return t->column != NULL ? t->scale * t->column[k] : t->scale;
}

/* The sum of weights[k] times the core at the instances, added to *sum. */
static peri_status add_weighted(merger *m, const term *t, int64_t n, const int32_t *at, const double *weights, expr_id *sum)
{
    expr_graph *g = m->g;
    const diff_instances w = diff_instances_of(n, at);
    expr_id core, factor;
    TRY(diff_restrict(g, t->core, &w, &core));
    TRY(expr_dense(g, n, 1, weights, &factor));
    TRY(expr_binary(g, PERI_OP_MUL, core, factor, &core));
    TRY(expr_broadcast(g, core, n, 1, &core));
    m->work += (double)n * (double)(1 + diff_cost(g, 1, &core));
    TRY(expr_unary(g, PERI_OP_SUM, core, &core));
    return diff_add(g, *sum, core, sum);
}

static peri_status add_class(merger *m, const class_ *c, expr_id *sum)
{
    double *weights = mem_array(m->g->m, (size_t)c->n, sizeof *weights);
    if (weights == NULL)
        return FAIL_NOMEM(m->g->ctx);
    for (int32_t q = 0; q < c->n_terms; q++)
        for (int64_t k = 0; k < c->n; k++)
            weights[k] += weight(&m->terms[c->term[q]], c->at[q][k]);
    const peri_status status = add_weighted(m, &m->terms[c->term[0]], c->n, c->at[0], weights, sum);
    mem_array_free(m->g->m, weights);
    return status;
}

/* The instances of a term that its class does not have, or all of them. */
static peri_status add_rest(merger *m, const term *t, expr_id *sum)
{
    const int64_t merged = t->together >= 0 ? m->classes[t->together].n : 0, n = t->n - merged;
    if (n == 0)
        return PERI_OK;
    int32_t *at = mem_array(m->g->m, (size_t)n, sizeof *at);
    double *weights = mem_array(m->g->m, (size_t)n, sizeof *weights);
    peri_status status = at != NULL && weights != NULL ? PERI_OK : FAIL_NOMEM(m->g->ctx);
    for (int64_t k = 0, done = 0, kept = 0; k < t->n && status == PERI_OK; k++) {
        if (done < merged && t->merged[done] == k) {
            done++;
            continue;
        }
        at[kept] = (int32_t)k;
        weights[kept++] = weight(t, k);
    }
    if (status == PERI_OK)
        status = add_weighted(m, t, n, at, weights, sum);
    mem_array_free(m->g->m, at);
    mem_array_free(m->g->m, weights);
    return status;
}

static bool has_merged(const merger *m, int32_t sum)
{
    for (int32_t t = 0; t < m->n_terms; t++)
        if (m->terms[t].sum == sum && m->terms[t].together >= 0)
            return true;
    return false;
}

/* Of the sums that were taken apart, as they were. */
static double work_before(const merger *m)
{
    double work = 0;
    for (int32_t k = 0; k < m->n_sums; k++)
        if (has_merged(m, k)) {
            const expr_id value = expr_at(m->g, m->sum[k].node)->arg[0];
            work += (double)expr_size(m->g, value) * (double)(1 + diff_cost(m->g, 1, &value));
        }
    return work;
}

static peri_status put_together(merger *m, expr_id f, expr_id *out)
{
    expr_graph *g = m->g;
    *out = PERI_NO_EXPR;
    for (int32_t k = 0; k < m->n_classes; k++)
        TRY(add_class(m, &m->classes[k], out));
    for (int32_t t = 0; t < m->n_terms; t++)
        if (has_merged(m, m->terms[t].sum))
            TRY(add_rest(m, &m->terms[t], out));
    if (m->work >= work_before(m)) { /* factors that were taken out of sums cost more than is saved */
        *out = f;
        return PERI_OK;
    }
    for (int32_t k = 0; k < m->n_sums; k++) {
        expr_id factor, value;
        if (has_merged(m, k))
            continue;
        TRY(expr_number(g, m->sum[k].scale, &factor));
        TRY(expr_binary(g, PERI_OP_MUL, m->sum[k].node, factor, &value));
        TRY(diff_add(g, *out, value, out));
    }
    return PERI_OK;
}

static peri_status merge(merger *m, expr_id f, expr_id *out)
{
    if (expr_size(m->g, f) != 1 || !find_sums(m, f, 1, 0))
        return PERI_OK;
    open_sums(m);
    for (int32_t t = 0; t < m->n_terms; t++)
        if (m->terms[t].together < 0)
            TRY(find_class(m, t));
    return m->n_classes > 0 ? put_together(m, f, out) : PERI_OK;
}

peri_status diff_merge(expr_graph *g, expr_id f, expr_id *out)
{
    merger *m = mem_alloc(g->m, sizeof *m);
    *out = f;
    if (m == NULL)
        return FAIL_NOMEM(g->ctx);
    m->g = g;
    arena_init(&m->data, g->m);
    const peri_status status = merge(m, f, out);
    arena_release(&m->data);
    mem_free(g->m, m, sizeof *m);
    return status;
}
