/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curvature.c - one sweep over the nodes in topological order: degree, range and curvature of each from its arguments. Invariant: a mark is set only
 * where a rule proves it; whatever no rule covers is nonlinear without marks.
 */
#include "model/curvature.h"
#include "expr/bilinear.h"
#include "model/shapes.h"
#include <string.h>

static const uint8_t KEPT_BY_SUMS = CURV_AFFINE | CURV_LOG_CONVEX | CURV_SQUARES | CURV_NEG_SQUARES | CURV_SQUARES_AFFINE;

/* ---- pieces ------------------------------------------------------------------------------------------------------------------ */

static curvature finished(curvature c)
{
    if (c.degree == 0) {
        c.marks = CURV_AFFINE;
        if (c.range.lo > 0)
            c.marks |= CURV_LOG_CONVEX;
        if (c.range.lo >= 0)
            c.marks |= CURV_SQUARES | CURV_SQUARES_AFFINE;
        if (c.range.hi <= 0)
            c.marks |= CURV_NEG_SQUARES;
    }
    if (c.degree == 1)
        c.marks |= CURV_AFFINE;
    if (c.marks & (CURV_LOG_CONVEX | CURV_SQUARES_AFFINE))
        c.marks |= CURV_CONVEX;
    if (c.marks & (CURV_LOG_CONVEX | CURV_SQUARES))
        c.range.lo = c.range.lo > 0 ? c.range.lo : 0;
    return c;
}

curvature curvature_negated(curvature c)
{
    uint8_t marks = 0;
    if (c.marks & CURV_CONVEX)
        marks |= CURV_CONCAVE;
    if (c.marks & CURV_CONCAVE)
        marks |= CURV_CONVEX;
    if (c.marks & CURV_SQUARES)
        marks |= CURV_NEG_SQUARES;
    if (c.marks & CURV_NEG_SQUARES)
        marks |= CURV_SQUARES;
    return finished((curvature){interval_neg(c.range), c.degree, marks});
}

static bool is_affine(curvature c)
{
    return (c.marks & CURV_AFFINE) == CURV_AFFINE;
}

static uint8_t added_degree(curvature a, curvature b)
{
    return a.degree + b.degree > 2 ? CURV_NONLINEAR : (uint8_t)(a.degree + b.degree);
}

static uint8_t larger_degree(curvature a, curvature b)
{
    return a.degree > b.degree ? a.degree : b.degree;
}

static curvature added(curvature a, curvature b)
{
    return finished((curvature){interval_add(a.range, b.range), larger_degree(a, b), a.marks & b.marks & KEPT_BY_SUMS});
}

/* either of the two, entry by entry */
static curvature joined(curvature a, curvature b)
{
    return finished((curvature){interval_join(a.range, b.range), larger_degree(a, b), a.marks & b.marks & KEPT_BY_SUMS});
}

/* times a constant whose entries lie in k */
static curvature scaled(curvature c, interval k)
{
    const interval range = interval_mul(c.range, k);
    if (k.hi <= 0 && k.lo < 0)
        c = curvature_negated(c);
    else if (k.lo < 0)
        c.marks = is_affine(c) ? CURV_AFFINE : 0;
    else if (!(k.lo > 0))
        c.marks &= (uint8_t)~CURV_LOG_CONVEX;
    c.range = range;
    return finished(c);
}

static curvature summed(curvature c, double count)
{
    c.range = interval_scale(c.range, count);
    return finished(c);
}

static curvature composed(shape s, curvature a, interval range)
{
    curvature c = {range, a.degree == 0 ? 0 : CURV_NONLINEAR, 0};
    const bool rises = s.increasing, falls = s.decreasing, convex = a.marks & CURV_CONVEX, concave = a.marks & CURV_CONCAVE;
    if (s.convex && (is_affine(a) || (rises && convex) || (falls && concave)))
        c.marks |= CURV_CONVEX;
    if (s.concave && (is_affine(a) || (rises && concave) || (falls && convex)))
        c.marks |= CURV_CONCAVE;
    return c;
}

/* ---- leaves -------------------------------------------------------------------------------------------------------------------- */

static interval range_of_data(int64_t n, const double *v)
{
    interval r = n > 0 ? interval_point(v[0]) : interval_all();
    for (int64_t k = 1; k < n; k++)
        r = interval_join(r, interval_point(v[k]));
    return r;
}

static interval range_of_const(const expr_graph *g, expr_id e)
{
    const expr_node *node = expr_at(g, e);
    if (expr_size(g, e) == 1)
        return interval_point(node->value);
    const expr_const *c = &g->consts.at[node->ref];
    const interval r = range_of_data(c->same ? 1 : c->nnz, c->data);
    return c->col != NULL ? interval_join(c->nnz > 0 ? r : interval_point(0), interval_point(0)) : r;
}

/* Entry k of an INPUT. */
static interval range_of_input(const peri_model *m, const expr_node *node, int64_t k)
{
    const int64_t at = node->ref + k;
    if (node->class_ == EXPR_IN_PARAM)
        return interval_point(m->g->param_value.at[at]);
    if (node->class_ != EXPR_IN_X || m->lower.n == 0 || at < m->vars.at[0].offset || at >= m->vars.at[0].offset + m->lower.n)
        return interval_all();
    const int64_t j = at - m->vars.at[0].offset;
    return m->lower.at[j] <= m->upper.at[j] ? (interval){m->lower.at[j], m->upper.at[j]} : interval_all();
}

/* Entries of an INPUT that tell its range: one where all are variables of the model with the same bounds. */
static int64_t telling(const curvature_table *t, const peri_model *m, const expr_node *from, int64_t n)
{
    const int64_t first = m->lower.n > 0 ? m->vars.at[0].offset : 0;
    const bool own = from->class_ == EXPR_IN_X && from->ref >= first && from->ref + (int64_t)from->rows * from->cols <= first + m->lower.n;
    return own && t->same_bounds && n > 1 ? 1 : n;
}

static curvature input(const curvature_table *t, const peri_model *m, expr_id e)
{
    const expr_node *node = expr_at(m->g, e);
    interval r = range_of_input(m, node, 0);
    for (int64_t k = 1; k < telling(t, m, node, expr_size(m->g, e)); k++)
        r = interval_join(r, range_of_input(m, node, k));
    const bool held = node->class_ == EXPR_IN_X && t->held != NULL && t->held[node->ref];
    const uint8_t degree = node->class_ == EXPR_IN_PARAM || held ? 0 : node->class_ == EXPR_IN_X ? 1 : CURV_NONLINEAR;
    return finished((curvature){r, degree, 0});
}

static curvature gather(const curvature_table *t, const peri_model *m, expr_id e)
{
    const expr_node *node = expr_at(t->g, e), *from = expr_at(t->g, node->arg[0]);
    curvature c = curvature_at(t, node->arg[0]);
    if (from->op != PERI_OP_INPUT)
        return c;
    c.range = range_of_input(m, from, expr_gather_at(t->g, node, 0));
    const int64_t n = telling(t, m, from, expr_size(t->g, e));
    for (int64_t k = 1; k < n; k++)
        c.range = interval_join(c.range, range_of_input(m, from, expr_gather_at(t->g, node, k)));
    return finished(c);
}

/* ---- operations ------------------------------------------------------------------------------------------------------------------ */

static curvature square(const curvature_table *t, expr_id arg)
{
    const curvature a = curvature_at(t, arg);
    const expr_node *node = expr_at(t->g, arg);
    if (node->op == PERI_OP_SQRT && curvature_at(t, node->arg[0]).range.lo >= 0) /* norm2(r)^2 is sum(r^2) */
        return curvature_at(t, node->arg[0]);
    curvature c = composed(shape_of(PERI_OP_SQUARE, a.range), a, interval_square(a.range));
    c.degree = a.degree == 0 ? 0 : a.degree == 1 ? 2 : CURV_NONLINEAR;
    c.marks |= CURV_SQUARES;
    if (is_affine(a))
        c.marks |= CURV_SQUARES_AFFINE;
    return c;
}

static curvature unary(const curvature_table *t, int op, expr_id arg)
{
    const curvature a = curvature_at(t, arg);
    if (op == PERI_OP_NEG)
        return curvature_negated(a);
    if (op == PERI_OP_SQUARE)
        return finished(square(t, arg));
    curvature c = composed(shape_of(op, a.range), a, interval_unary(op, a.range));
    if (op == PERI_OP_SQRT && (a.marks & CURV_SQUARES_AFFINE)) /* a norm */
        c.marks |= CURV_CONVEX;
    if ((op == PERI_OP_LOG || op == PERI_OP_LOG1P) && (a.marks & CURV_LOG_CONVEX))
        c.marks |= CURV_CONVEX;
    if (op == PERI_OP_EXP && (a.marks & CURV_CONVEX))
        c.marks |= CURV_LOG_CONVEX;
    if (op == PERI_OP_RECIP && (a.marks & CURV_CONCAVE) && a.range.lo >= 0)
        c.marks |= CURV_LOG_CONVEX;
    return finished(c);
}

static bool is_log_of(const expr_graph *g, expr_id e, expr_id a)
{
    return expr_at(g, e)->op == PERI_OP_LOG && expr_at(g, e)->arg[0] == a;
}

static curvature product(const curvature_table *t, expr_id x, expr_id y)
{
    const curvature a = curvature_at(t, x), b = curvature_at(t, y);
    if (a.degree == 0 || b.degree == 0)
        return a.degree == 0 ? scaled(b, a.range) : scaled(a, b.range);
    curvature c = {interval_mul(a.range, b.range), added_degree(a, b), a.marks & b.marks & CURV_LOG_CONVEX};
    if ((is_log_of(t->g, y, x) && is_affine(a)) || (is_log_of(t->g, x, y) && is_affine(b)))
        c.marks |= CURV_CONVEX; /* a log a */
    return finished(c);
}

static curvature quotient(const curvature_table *t, expr_id x, expr_id y)
{
    const curvature a = curvature_at(t, x), b = curvature_at(t, y);
    const interval inverse = interval_recip(b.range);
    if (b.degree == 0)
        return scaled(a, inverse);
    curvature r = composed(shape_of(PERI_OP_RECIP, b.range), b, inverse);
    const bool positive = (b.marks & CURV_CONCAVE) && b.range.lo >= 0;
    if (positive)
        r.marks |= CURV_LOG_CONVEX;
    if (a.degree == 0)
        return scaled(finished(r), a.range);
    curvature c = {interval_mul(a.range, inverse), CURV_NONLINEAR, a.marks & r.marks & CURV_LOG_CONVEX};
    if (positive && expr_at(t->g, x)->op == PERI_OP_SQUARE && is_affine(curvature_at(t, expr_at(t->g, x)->arg[0])))
        c.marks |= CURV_CONVEX; /* a^2 / b over b > 0, falling in b */
    return finished(c);
}

static curvature power(curvature a, curvature b)
{
    curvature c = {interval_all(), a.degree == 0 && b.degree == 0 ? 0 : CURV_NONLINEAR, 0};
    const bool fixed_exponent = b.degree == 0 && b.range.lo == b.range.hi;
    if (fixed_exponent && b.range.lo == 1)
        return a;
    if (fixed_exponent && b.range.lo == 0)
        return finished((curvature){interval_point(1), 0, 0});
    if (fixed_exponent) {
        c = composed(shape_of_power(b.range.lo, a.range), a, interval_pow(a.range, b.range.lo));
        if (b.range.lo == 2 && a.degree == 1)
            c.degree = 2;
    } else if (a.degree == 0 && a.range.lo == a.range.hi && a.range.lo > 0) {
        c = composed(shape_of_exponential(a.range.lo), b, (interval){0, INFINITY});
    } else if (!(a.range.lo < 0)) {
        c.range.lo = 0;
    }
    return finished(c);
}

static curvature extreme(int op, curvature a, curvature b)
{
    const bool max = op == PERI_OP_MAX2 || op == PERI_OP_MAX || op == PERI_OP_ROWMAX;
    interval r = {fmax(a.range.lo, b.range.lo), fmax(a.range.hi, b.range.hi)};
    if (!max)
        r = (interval){fmin(a.range.lo, b.range.lo), fmin(a.range.hi, b.range.hi)};
    const uint8_t degree = a.degree == 0 && b.degree == 0 ? 0 : CURV_NONLINEAR;
    return finished((curvature){r, degree, a.marks & b.marks & (max ? CURV_CONVEX : CURV_CONCAVE)});
}

static curvature choice(curvature c, curvature a, curvature b)
{
    curvature r = joined(a, b);
    if (c.degree > 0) {
        r.degree = CURV_NONLINEAR;
        r.marks = 0;
    }
    return r;
}

static curvature matrix_product(const expr_graph *g, const expr_node *node, curvature a, curvature b)
{
    const double inner = expr_at(g, node->arg[1])->rows;
    if (a.degree == 0 || b.degree == 0)
        return summed(a.degree == 0 ? scaled(b, a.range) : scaled(a, b.range), inner);
    return finished((curvature){interval_scale(interval_mul(a.range, b.range), inner), added_degree(a, b), 0});
}

static curvature unproven(const curvature_table *t, expr_id e)
{
    const expr_id *args;
    const int32_t n = expr_args(t->g, e, &args);
    curvature c = {interval_all(), 0, 0};
    for (int32_t k = 0; k < n; k++)
        if (curvature_at(t, args[k]).degree > 0)
            c.degree = CURV_NONLINEAR;
    return finished(c);
}

/* Products of entries summed, at most `terms` of them for an entry: batches of matrix products, convolutions. */
static curvature bilinear(const expr_graph *g, expr_id e, curvature a, curvature b)
{
    const expr_node *node = expr_at(g, e);
    const curvature zero = finished((curvature){interval_point(0), 0, 0});
    double terms = fmin((double)expr_size(g, node->arg[0]), (double)expr_size(g, node->arg[1]));
    if (node->op == PERI_OP_BMM)
        terms = expr_bmm_of(g, node)->flip_a ? (double)expr_at(g, node->arg[0])->rows / expr_bmm_of(g, node)->count
                                             : (double)expr_at(g, node->arg[0])->cols;
    if (a.degree == 0 || b.degree == 0)
        return joined(zero, summed(a.degree == 0 ? scaled(b, a.range) : scaled(a, b.range), terms));
    return finished((curvature){interval_join(interval_point(0), interval_scale(interval_mul(a.range, b.range), terms)), added_degree(a, b), 0});
}

/* A^-1 B is linear in B. */
static curvature solved(const curvature_table *t, expr_id e)
{
    const expr_node *node = expr_at(t->g, e);
    if (curvature_at(t, node->arg[0]).degree > 0)
        return unproven(t, e);
    return scaled(curvature_at(t, node->arg[1]), interval_all());
}

static curvature listed(const curvature_table *t, expr_id e)
{
    const expr_id *args;
    const int32_t n = expr_args(t->g, e, &args);
    const bool sums = expr_at(t->g, e)->op == PERI_OP_SCATTER; /* sums of entries into zeros */
    const curvature zero = finished((curvature){interval_point(0), 0, 0});
    curvature c = sums || n == 0 ? zero : curvature_at(t, args[0]);
    for (int32_t k = sums ? 0 : 1; k < n; k++)
        c = sums ? added(c, joined(zero, summed(curvature_at(t, args[k]), (double)expr_size(t->g, args[k])))) : joined(c, curvature_at(t, args[k]));
    return c;
}

static curvature cumsum(const expr_node *node, curvature a)
{
    const curvature all = summed(a, node->rows);
    curvature c = a;
    c.range = interval_join(a.range, all.range);
    return finished(c);
}

static curvature stop(curvature a)
{
    if (a.degree > 0) { /* its derivative is a lie: nothing can be proven */
        a.degree = CURV_NONLINEAR;
        a.marks = 0;
    }
    return a;
}

curvature curvature_at(const curvature_table *t, expr_id e)
{
    if (expr_code(t->g, e) == PERI_OP_CONST)
        return finished((curvature){interval_point(expr_cell_of(t->g, e)->value), 0, 0});
    return t->kinds.at[t->kind[e]];
}

static curvature of_node(const curvature_table *t, const peri_model *m, expr_id e)
{
    const expr_node *node = expr_at(t->g, e);
    expr_id a;
    switch (node->op) {
    case PERI_OP_CONST: return finished((curvature){range_of_const(t->g, e), 0, 0});
    case PERI_OP_INPUT: return input(t, m, e);
    case PERI_OP_ADD:
        if (curvature_is_logsumexp(t->g, e, &a))
            return (curvature){interval_all(), CURV_NONLINEAR, curvature_at(t, a).marks & CURV_CONVEX};
        return added(curvature_at(t, node->arg[0]), curvature_at(t, node->arg[1]));
    case PERI_OP_SUB: return added(curvature_at(t, node->arg[0]), curvature_negated(curvature_at(t, node->arg[1])));
    case PERI_OP_MUL: return product(t, node->arg[0], node->arg[1]);
    case PERI_OP_DIV: return quotient(t, node->arg[0], node->arg[1]);
    case PERI_OP_POW: return power(curvature_at(t, node->arg[0]), curvature_at(t, node->arg[1]));
    case PERI_OP_MIN2:
    case PERI_OP_MAX2: return extreme(node->op, curvature_at(t, node->arg[0]), curvature_at(t, node->arg[1]));
    case PERI_OP_FMA: return added(product(t, node->arg[0], node->arg[1]), curvature_at(t, node->arg[2]));
    case PERI_OP_WHERE: return choice(curvature_at(t, node->arg[0]), curvature_at(t, node->arg[1]), curvature_at(t, node->arg[2]));
    case PERI_OP_SUM: return summed(curvature_at(t, node->arg[0]), (double)expr_size(t->g, node->arg[0]));
    case PERI_OP_MAX:
    case PERI_OP_ROWMAX:
    case PERI_OP_MIN: return extreme(node->op, curvature_at(t, node->arg[0]), curvature_at(t, node->arg[0]));
    case PERI_OP_GATHER: return gather(t, m, e);
    case PERI_OP_STACK:
    case PERI_OP_SCATTER: return listed(t, e);
    case PERI_OP_CUMSUM: return cumsum(node, curvature_at(t, node->arg[0]));
    case PERI_OP_MATMUL: return matrix_product(t->g, node, curvature_at(t, node->arg[0]), curvature_at(t, node->arg[1]));
    case PERI_OP_BMM:
    case PERI_OP_CONV: return bilinear(t->g, e, curvature_at(t, node->arg[0]), curvature_at(t, node->arg[1]));
    case PERI_OP_SOLVE: return solved(t, e);
    case PERI_OP_MARK: return curvature_at(t, node->arg[0]);
    case PERI_OP_STOP: return stop(curvature_at(t, node->arg[0]));
    default:
        return expr_is_elementwise(node->op) && node->arg[1] < 0 ? unary(t, node->op, node->arg[0]) : unproven(t, e);
    }
}

/* ---- the sweep ------------------------------------------------------------------------------------------------------------------- */

static bool same_kind(const curvature *a, const curvature *b)
{
    return a->degree == b->degree && a->marks == b->marks && memcmp(&a->range, &b->range, sizeof a->range) == 0;
}

static int64_t slot_of(const curvature_table *t, const curvature *c)
{
    const uint64_t mask = (uint64_t)t->n_slots - 1;
    uint64_t bits[2];
    memcpy(bits, &c->range, sizeof bits);
    uint64_t at = hash_join(hash_join(bits[0], bits[1]), (uint64_t)c->degree << 8 | c->marks) & mask;
    while (t->slots[at] != 0 && !same_kind(&t->kinds.at[t->slots[at] - 1], c))
        at = (at + 1) & mask;
    return (int64_t)at;
}

static bool grow_slots(curvature_table *t)
{
    mem *m = t->g->m;
    const int64_t before = t->n_slots, n = before == 0 ? 64 : 2 * before;
    int32_t *slots = mem_alloc(m, (size_t)n * sizeof *slots);
    if (slots == NULL)
        return false;
    mem_free(m, t->slots, (size_t)before * sizeof *slots);
    t->slots = slots;
    t->n_slots = n;
    for (int64_t k = 0; k < t->kinds.n; k++)
        t->slots[slot_of(t, &t->kinds.at[k])] = (int32_t)k + 1;
    return true;
}

static bool set_kind(curvature_table *t, expr_id e, const curvature *c)
{
    if (2 * (t->kinds.n + 1) > t->n_slots && !grow_slots(t))
        return false;
    const int64_t slot = slot_of(t, c);
    if (t->slots[slot] == 0) {
        if (!vec_push(t->g->m, &t->kinds, *c))
            return false;
        t->slots[slot] = (int32_t)t->kinds.n;
    }
    t->kind[e] = t->slots[slot] - 1;
    return true;
}

/* ---- what was found before -------------------------------------------------------------------------------------------------------- */

/*
 * Of millions of nodes that loops make few differ in operation and in the kinds of their arguments: each is looked at once. Only scalars, and only
 * where of_node does not look further down than at the arguments' kinds.
 */
enum { MEMO = 1 << 10, MANY_NODES = 1 << 13 };

struct curvature_memo {
    uint64_t a, b; /* kinds of the arguments, or values of constants */
    int32_t op;    /* with a bit for each argument that is a constant; 0: empty */
    int32_t kind;
};

static bool looks_deeper(const expr_graph *g, int op, expr_cell cell)
{
    const int a = expr_code(g, cell.arg[0]), b = cell.arg[1] >= 0 ? expr_code(g, cell.arg[1]) : 0;
    return ((a | b) & EXPR_WIDE) || (op == PERI_OP_MUL && (a == PERI_OP_LOG || b == PERI_OP_LOG)) || (op == PERI_OP_DIV && a == PERI_OP_SQUARE) ||
           (op == PERI_OP_SQUARE && a == PERI_OP_SQRT);
}

static uint64_t memo_key(const curvature_table *t, expr_id e, int32_t mark, int32_t *op)
{
    uint64_t key;
    if (expr_code(t->g, e) != PERI_OP_CONST)
        return (uint64_t)t->kind[e];
    *op |= mark;
    memcpy(&key, &expr_cell_of(t->g, e)->value, sizeof key);
    return key;
}

/* Where the kind of e is kept, or to be kept; NULL: e is not one of those. *found: it is there. */
static struct curvature_memo *memo_of(const curvature_table *t, expr_id e, bool *found)
{
    const int code = expr_code(t->g, e);
    const expr_cell cell = *expr_cell_of(t->g, e);
    *found = false;
    if (t->memo == NULL || (code & EXPR_WIDE) || !expr_is_elementwise(code) || looks_deeper(t->g, code, cell))
        return NULL;
    struct curvature_memo want = {.op = code};
    want.a = memo_key(t, cell.arg[0], 1 << 8, &want.op);
    want.b = cell.arg[1] >= 0 ? memo_key(t, cell.arg[1], 1 << 9, &want.op) : 0;
    struct curvature_memo *at = &t->memo[hash_mix(want.a * 31 + want.b * 1000003 + (uint64_t)want.op) % MEMO];
    *found = at->op == want.op && at->a == want.a && at->b == want.b;
    if (!*found)
        *at = want;
    return at;
}

static bool have_same_bounds(const peri_model *m)
{
    for (int64_t j = 1; j < m->lower.n; j++)
        if (m->lower.at[j] != m->lower.at[0] || m->upper.at[j] != m->upper.at[0])
            return false;
    return true;
}

/* As norms are built: the root of a sum of squares. */
static bool is_norm(const expr_graph *g, expr_id e)
{
    const expr_node sum = *expr_at(g, expr_at(g, e)->arg[0]);
    return sum.op == PERI_OP_SUM && expr_at(g, sum.arg[0])->op == PERI_OP_SQUARE;
}

static bool sweep(curvature_table *t, const peri_model *m)
{
    t->same_bounds = have_same_bounds(m);
    for (expr_id e = 0; e <= t->top; e++) {
        const int code = expr_code(t->g, e), op = code & ~EXPR_WIDE;
        if (!t->reach[e] || code == PERI_OP_CONST)
            continue;
        bool found;
        struct curvature_memo *memo = memo_of(t, e, &found);
        t->has_special = t->has_special || expr_is_nonsmooth(op) || op == PERI_OP_CALL || op == PERI_OP_CALLGRAD || op == PERI_OP_RULE;
        t->has_norm = t->has_norm || (op == PERI_OP_SQRT && is_norm(t->g, e));
        if (found) {
            t->kind[e] = memo->kind;
            continue;
        }
        const curvature c = of_node(t, m, e);
        if (!set_kind(t, e, &c))
            return false;
        if (memo != NULL)
            memo->kind = t->kind[e];
    }
    return true;
}

peri_status curvature_init(curvature_table *t, const peri_model *m, const unsigned char *held, int64_t n_roots, const expr_id *roots)
{
    memset(t, 0, sizeof *t);
    t->g = m->g;
    t->held = held;
    t->top = -1;
    t->cursor.stack = -1;
    for (int64_t k = 0; k < n_roots; k++)
        t->top = roots[k] > t->top ? roots[k] : t->top;
    t->kind = mem_array(m->g->m, (size_t)t->top + 1, sizeof *t->kind);
    t->reach = mem_array(m->g->m, (size_t)t->top + 1, 1);
    t->memo = t->top >= MANY_NODES ? mem_array(m->g->m, MEMO, sizeof *t->memo) : NULL;
    bool ok = t->kind != NULL && t->reach != NULL && (t->memo != NULL || t->top < MANY_NODES);
    if (ok) {
        expr_reach(m->g, n_roots, roots, t->reach);
        ok = sweep(t, m);
    }
    mem_array_free(m->g->m, t->memo);
    t->memo = NULL;
    if (ok)
        return PERI_OK;
    curvature_release(t);
    return FAIL_NOMEM(m->ctx);
}

void curvature_release(curvature_table *t)
{
    mem *m = t->g->m;
    mem_array_free(m, t->kind);
    mem_array_free(m, t->reach);
    vec_free(m, &t->kinds);
    mem_free(m, t->slots, (size_t)t->n_slots * sizeof *t->slots);
    t->kind = NULL;
    t->reach = NULL;
    t->slots = NULL;
    t->n_slots = 0;
}
