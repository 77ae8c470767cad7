/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch_cost.c - is a batch of points done faster together than one by one? Alone, a node of s entries takes as many vectors as hold
 * them, and few kernels are straight code without loops, where lists of entries are cheap; together, its entries fill vectors whatever s
 * is, but pass through memory on their way from node to node, and points are transposed on their way in and out. Costs are nanoseconds on
 * a processor with vectors of eight numbers, fitted to what values and gradients of small models took both ways (bench/README.md).
 * Invariant: they are counted in the graph, as it stands, so that the decision, and with it the bits, depend on neither machine nor threads.
 */
#include "diff/batch.h"
#include <math.h>

enum {
    VECTOR = 8,     /* numbers */
    STRAIGHT = 64,  /* entries of a node up to which it may be straight code */
    FEW_POINTS = 16 /* so few together fill two vectors only: no more than that is moved at once */
};

/* alone */
#define A_CALL 8.0          /* of a program */
#define A_STEP 20.0         /* an array operation besides its arithmetic */
#define A_VECTOR 0.1        /* of an operation that is one instruction */
#define A_LISTED 0.15       /* an entry that is read by a list */
#define A_LISTED_LONG 0.3   /* the same in long nodes */
#define A_SCATTERED 0.3     /* an entry that is added by a list */
#define A_SCATTERED_SUM 0.5 /* the same in long nodes, to a few entries */
#define A_SCATTERED_LONG 0.8
#define A_MULTIPLY 0.1      /* with each entry of a matrix */
/* together */
#define T_CALL 30.0         /* of a program */
#define T_ENTRY 0.06        /* an entry on its way */
#define T_LISTED_FEW 0.3    /* an entry that is read or added by a list, of FEW_POINTS */
#define T_TURNED 0.4        /* an input's or a result's number */
#define T_MULTIPLY 0.03     /* with each entry of a constant matrix */
/* both */
#define EXP_ENTRY 0.6       /* of a vector, which takes as long as one entry */
#define FUNCTION_ENTRY 1.0  /* another function */

typedef struct {
    const expr_graph *g;
    const unsigned char *varies;
    int64_t points;
    double alone, together;
} costs;

static double vectors(int64_t entries)
{
    return (double)((entries + VECTOR - 1) / VECTOR);
}

static void add_entries(costs *c, int64_t entries)
{
    c->alone += A_VECTOR * vectors(entries);
    c->together += T_ENTRY * (double)entries;
}

/* One instruction, or a few. */
static bool is_plain(const expr_graph *g, const expr_node *node)
{
    double exponent;
    switch (node->op) {
    case PERI_OP_NEG:
    case PERI_OP_ABS:
    case PERI_OP_SIGN:
    case PERI_OP_STEP:
    case PERI_OP_SQUARE:
    case PERI_OP_RECIP:
    case PERI_OP_SQRT:
    case PERI_OP_RELU:
    case PERI_OP_ADD:
    case PERI_OP_SUB:
    case PERI_OP_MUL:
    case PERI_OP_DIV:
    case PERI_OP_MIN2:
    case PERI_OP_MAX2:
    case PERI_OP_WHERE:
    case PERI_OP_FMA: return true;
    case PERI_OP_POW: return expr_constant_value(g, node->arg[1], &exponent) && 2 * exponent == floor(2 * exponent);
    default: return false;
    }
}

static void add_elementwise(costs *c, const expr_node *node, int64_t entries)
{
    if (is_plain(c->g, node)) {
        add_entries(c, entries);
        return;
    }
    const double each = node->op == PERI_OP_EXP ? EXP_ENTRY : FUNCTION_ENTRY;
    c->alone += each * VECTOR * vectors(entries);
    c->together += each * (double)entries;
}

static void add_listed(costs *c, double alone, int64_t entries)
{
    c->alone += alone * (double)entries;
    c->together += c->points <= FEW_POINTS ? T_LISTED_FEW * (double)entries : 0;
}

static void add_gather(costs *c, const expr_node *node, int64_t entries)
{
    add_entries(c, entries);
    if (!(node->flags & EXPR_AFFINE))
        add_listed(c, entries > STRAIGHT ? A_LISTED_LONG : A_LISTED, entries);
}

static double scattering(int64_t n, int64_t entries)
{
    if (n <= STRAIGHT && entries <= STRAIGHT)
        return A_SCATTERED;
    return entries <= VECTOR ? A_SCATTERED_SUM : A_SCATTERED_LONG;
}

static void add_scatter(costs *c, const expr_node *node, int64_t entries)
{
    const expr_id *args = c->g->args.at + node->many.list;
    for (int32_t k = 0; k < node->many.n; k++) {
        const int64_t n = expr_size(c->g, args[k]);
        add_entries(c, n);
        if (c->g->lists.at[args[node->many.n + k]].at != NULL)
            add_listed(c, scattering(n, entries), n);
    }
}

static bool is_sparse(const expr_graph *g, expr_id e)
{
    const expr_node *node = expr_at(g, e);
    return node->op == PERI_OP_CONST && expr_size(g, e) > 1 && g->consts.at[node->ref].col != NULL;
}

static void add_product(costs *c, const expr_node *node, int64_t entries)
{
    const expr_id left = node->arg[0], right = node->arg[1];
    const expr_id constant = !c->varies[left] ? left : right;
    double each = (double)entries * (double)expr_at(c->g, left)->cols;
    if (is_sparse(c->g, constant))
        each = (double)c->g->consts.at[expr_at(c->g, constant)->ref].nnz * (double)(constant == left ? node->cols : node->rows);
    c->alone += A_STEP + A_MULTIPLY * each;
    c->together += T_ENTRY * (double)(entries + expr_size(c->g, left == constant ? right : left));
    c->together += !c->varies[constant] ? T_MULTIPLY * each : diff_batch_expands(c->g, node) ? 2 * T_ENTRY * each : A_STEP + A_MULTIPLY * each;
}

/* The same arithmetic, a point after the other, between arrays that are taken apart and put together. */
static void add_points(costs *c, expr_id e)
{
    const expr_id *args;
    const int32_t n = expr_args(c->g, e, &args);
    c->alone += A_STEP;
    c->together += A_STEP + T_ENTRY * (double)expr_size(c->g, e);
    for (int32_t k = 0; k < n; k++)
        c->together += c->varies[args[k]] ? T_ENTRY * (double)expr_size(c->g, args[k]) : 0;
}

static void add_node(costs *c, expr_id e)
{
    const expr_node *node = expr_at(c->g, e);
    const int64_t entries = expr_size(c->g, e);
    if (expr_is_elementwise(node->op)) {
        add_elementwise(c, node, entries);
        return;
    }
    switch (node->op) {
    case PERI_OP_INPUT:
    case PERI_OP_MARK:
    case PERI_OP_STOP: return;
    case PERI_OP_SUM:
    case PERI_OP_MAX:
    case PERI_OP_MIN: add_entries(c, expr_size(c->g, node->arg[0])); return;
    case PERI_OP_GATHER: add_gather(c, node, entries); return;
    case PERI_OP_SCATTER: add_scatter(c, node, entries); return;
    case PERI_OP_STACK: add_entries(c, entries); return;
    case PERI_OP_CUMSUM: add_entries(c, entries); c->alone += A_STEP; return;
    case PERI_OP_MATMUL: add_product(c, node, entries); return;
    default: add_points(c, e); return;
    }
}

static double turned(const expr_graph *g, int64_t n, const expr_id *roots, unsigned varying)
{
    int64_t numbers = (varying >> EXPR_IN_X & 1 ? g->n_x : 0) + (varying >> EXPR_IN_PARAM & 1 ? g->n_param : 0);
    for (int64_t k = 0; k < n; k++)
        numbers += expr_size(g, roots[k]);
    return T_TURNED * (double)numbers;
}

peri_status diff_batch_cost(expr_graph *from, int64_t n, const expr_id *roots, unsigned varying, int64_t points, double *cost)
{
    expr_id top = -1;
    for (int64_t k = 0; k < n; k++)
        top = roots[k] > top ? roots[k] : top;
    unsigned char *reach = mem_array(from->m, (size_t)from->nodes.n, 1), *varies = mem_array(from->m, (size_t)top + 1, 1);
    const bool made = reach != NULL && varies != NULL;
    costs c = {.g = from, .varies = varies, .points = points, .alone = A_CALL, .together = turned(from, n, roots, varying)};
    if (made) {
        expr_reach(from, n, roots, reach);
        expr_mark_varying(from, top, reach, varying, varies);
        for (expr_id e = 0; e <= top; e++)
            if (reach[e] && varies[e])
                add_node(&c, e);
        *cost = points == 1 ? c.alone : T_CALL + c.together * (double)points;
    }
    mem_array_free(from->m, reach);
    mem_array_free(from->m, varies);
    return made ? PERI_OK : FAIL_NOMEM(from->ctx);
}
