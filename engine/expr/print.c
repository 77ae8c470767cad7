/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c - expressions as text in the DSL's notation, without recursion and cut at a limit, and the names of operations and inputs.
 */
#include "base/num.h"
#include "expr/node.h"
#include <stdio.h>
#include <string.h>

static const char *const op_name[] = {
#define PERI_OP(constant, name, args, kind) (name),
#include <perigee/op.def>
#undef PERI_OP
};

const char *peri_op_name(peri_op op)
{
    return (int)op >= 0 && op < PERI_OP_COUNT ? op_name[op] : "?";
}

peri_op peri_op_find(const char *name)
{
    int op = 0;
    while (op < PERI_OP_COUNT && strcmp(op_name[op], name) != 0)
        op++;
    return (peri_op)op;
}

static void name_in(const struct expr_name *names, int64_t n, int64_t k, char *text, size_t size)
{
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) { /* the last name that begins at or before k */
        const int64_t mid = (lo + hi + 1) / 2;
        if (names[mid].offset <= k)
            lo = mid;
        else
            hi = mid - 1;
    }
    if (n == 0) {
        snprintf(text, size, "input %lld", (long long)k + 1);
        return;
    }
    const struct expr_name *e = &names[lo];
    const long long at = (long long)(k - e->offset);
    if (e->rows == 1 && e->cols == 1)
        snprintf(text, size, "%s", e->name);
    else if (e->cols == 1)
        snprintf(text, size, "%s[%lld]", e->name, at + 1);
    else
        snprintf(text, size, "%s[%lld][%lld]", e->name, at / e->cols + 1, at % e->cols + 1);
}

void expr_entry_name(const expr_graph *g, int class_, int64_t k, char *text, size_t size)
{
    if (class_ == EXPR_IN_X)
        name_in(g->x_name, g->n_x_name, k, text, size);
    else if (class_ == EXPR_IN_PARAM)
        name_in(g->param_name, g->n_param_name, k, text, size);
    else
        snprintf(text, size, "%s[%lld]", class_ == EXPR_IN_W ? "weight" : class_ == EXPR_IN_SIGMA ? "sigma" : class_ == EXPR_IN_Y ? "unknown" : "direction",
                 (long long)k + 1);
}

/* ---- text: an explicit stack of pieces still to print ---------------------------------------------------------------------- */

typedef struct {
    expr_id e;        /* >= 0: a node, in a context of binding strength `level` */
    int level;
    const char *text; /* else this */
} piece;

typedef struct {
    expr_graph *g;
    char *out;
    size_t n, limit;
    VEC(piece) todo;
    const expr_graph *names; /* where inputs are named */
    int64_t entry;           /* of elementwise nodes, this one is printed; -1: the whole */
} printer;

enum { LEVEL_SUM = 1, LEVEL_PRODUCT = 2, LEVEL_SIGN = 3, LEVEL_POWER = 4, LEVEL_ATOM = 5 };

static void put(printer *p, const char *text)
{
    const size_t length = strlen(text);
    for (size_t k = 0; k < length && p->n < p->limit; k++)
        p->out[p->n++] = text[k];
}

static bool later_text(printer *p, const char *text)
{
    const piece item = {-1, 0, text};
    return vec_push(p->g->m, &p->todo, item);
}

static bool later(printer *p, expr_id e, int level)
{
    const piece item = {e, level, NULL};
    return vec_push(p->g->m, &p->todo, item);
}

static bool put_infix(printer *p, const expr_node *node, int own, int left, int right, const char *sign, int level)
{
    const bool closed = own >= level;
    bool ok = closed || later_text(p, ")");
    ok = ok && later(p, node->arg[1], right) && later_text(p, sign) && later(p, node->arg[0], left);
    return ok && (closed || later_text(p, "("));
}

static bool put_call(printer *p, const char *name, int32_t n, const expr_id *args)
{
    bool ok = later_text(p, ")");
    for (int32_t k = n; k-- > 0 && ok;)
        ok = later(p, args[k], LEVEL_SUM) && (k == 0 || later_text(p, ", "));
    put(p, name);
    return ok && later_text(p, "(");
}

/* Sums along a dimension are scatters by the row or the column that an entry is in. */
static bool is_sum_along(const expr_graph *g, const expr_node *node, int *dim)
{
    const expr_id *args = g->args.at + node->many.list;
    if (node->many.n != 1 || (node->rows != 1 && node->cols != 1))
        return false;
    const expr_list *list = &g->lists.at[args[1]];
    const int64_t rows = expr_at(g, args[0])->rows, cols = expr_at(g, args[0])->cols;
    *dim = node->cols == 1 ? 2 : 1;
    if ((*dim == 2 && node->rows != rows) || (*dim == 1 && node->cols != cols) || list->n != rows * cols)
        return false;
    for (int64_t k = 0; k < list->n; k++)
        if (list->at[k] != (*dim == 2 ? k / cols : k % cols))
            return false;
    return true;
}

static bool put_along(printer *p, const char *name, expr_id e, int dim)
{
    const bool ok = later_text(p, dim == 1 ? ", 1)" : ", 2)") && later(p, e, LEVEL_SUM);
    put(p, name);
    return ok && later_text(p, "(");
}

static void put_input(printer *p, const expr_node *node)
{
    char text[128];
    const struct expr_name *names = node->class_ == EXPR_IN_X ? p->g->x_name : p->g->param_name;
    const int64_t n = node->class_ == EXPR_IN_X       ? p->g->n_x_name
                      : node->class_ == EXPR_IN_PARAM ? p->g->n_param_name
                                                      : 0;
    for (int64_t k = 0; k < n; k++)
        if (names[k].offset == node->ref && names[k].rows == node->rows && names[k].cols == node->cols) {
            put(p, names[k].name);
            return;
        }
    expr_entry_name(p->g, node->class_, node->ref, text, sizeof text);
    put(p, text);
}

/* Every index of the gather is the one that f gives. */
static bool follows(const expr_graph *g, const expr_node *node, int64_t (*f)(int64_t k, const expr_node *node))
{
    const int64_t n = (int64_t)node->rows * node->cols;
    for (int64_t k = 0; k < n; k++)
        if (expr_gather_at(g, node, k) != f(k, node))
            return false;
    return true;
}

static int64_t at_row_of(int64_t k, const expr_node *node)
{
    return k / node->cols;
}

static int64_t at_column_of(int64_t k, const expr_node *node)
{
    return k % node->cols;
}

static int64_t at_transposed(int64_t k, const expr_node *node)
{
    return k % node->cols * node->rows + k / node->cols;
}

/* A column or row spread over a matrix reads as itself: the operation it is in spreads it. */
static bool is_spread(const expr_graph *g, const expr_node *node, const expr_node *from)
{
    if (node->rows == 1 || node->cols == 1)
        return false;
    return (from->cols == 1 && from->rows == node->rows && follows(g, node, at_row_of)) ||
           (from->rows == 1 && from->cols == node->cols && follows(g, node, at_column_of));
}

/* [2], :slice(2, 5), :t(), [{1, 3}], [40 indices] */
static void subscript(const expr_graph *g, const expr_node *node, const expr_node *from, char *text, size_t size)
{
    const int64_t first = expr_gather_at(g, node, 0), n = (int64_t)node->rows * node->cols;
    const bool straight = (node->flags & EXPR_AFFINE) && node->stride == 1;
    if (n == 1)
        snprintf(text, size, "[%lld]", (long long)first + 1);
    else if (straight && node->rows == 1 && node->cols == from->cols && from->rows > 1 && first % from->cols == 0)
        snprintf(text, size, "[%lld]", (long long)(first / from->cols) + 1);
    else if (straight && node->cols == 1 && from->cols == 1)
        snprintf(text, size, ":slice(%lld, %lld)", (long long)first + 1, (long long)(first + n));
    else if (straight && n == (int64_t)from->rows * from->cols && node->cols != 1 && node->rows != 1)
        snprintf(text, size, ":reshape(%d, %d)", (int)node->rows, (int)node->cols);
    else if (node->rows == from->cols && node->cols == from->rows && follows(g, node, at_transposed))
        snprintf(text, size, ":t()");
    else if (n == 2)
        snprintf(text, size, "[{%lld, %lld}]", (long long)first + 1, (long long)expr_gather_at(g, node, 1) + 1);
    else
        snprintf(text, size, "[%lld indices]", (long long)n);
}

static bool put_gather(printer *p, const expr_node *node, int level)
{
    char text[64];
    const expr_node *from = expr_at(p->g, node->arg[0]);
    const int64_t first = expr_gather_at(p->g, node, 0), n = (int64_t)node->rows * node->cols;
    if (from->op == PERI_OP_INPUT && n == 1 && from->class_ <= EXPR_IN_PARAM) {
        char name[128];
        expr_entry_name(p->g, from->class_, from->ref + first, name, sizeof name);
        put(p, name);
        return true;
    }
    if (expr_size(p->g, node->arg[0]) == 1) /* a spread scalar */
        return later(p, node->arg[0], level);
    if (is_spread(p->g, node, from))
        return later(p, node->arg[0], level);
    subscript(p->g, node, from, text, sizeof text);
    char *copy = arena_string(&p->g->data, text);
    return copy != NULL && later_text(p, copy) && later(p, node->arg[0], LEVEL_ATOM);
}

/* Leaves of an elementwise expression of which one entry is printed; false: no leaf. */
static bool put_entry(printer *p, expr_id e)
{
    const expr_node *node = expr_at(p->g, e);
    const int64_t k = expr_size(p->g, e) > 1 ? p->entry : 0;
    const bool gathered = node->op == PERI_OP_GATHER;
    const expr_node *from = expr_at(p->g, gathered ? node->arg[0] : e);
    const int64_t at = gathered ? expr_gather_at(p->g, node, k) : k;
    char text[128], number[NUM_SIZE];
    if (from->op == PERI_OP_INPUT)
        expr_entry_name(p->names, from->class_, from->ref + at, text, sizeof text);
    else if (from->op == PERI_OP_CONST && expr_size(p->g, gathered ? node->arg[0] : e) > 1)
        snprintf(text, sizeof text, "%s", num_print(expr_const_data(p->g, gathered ? node->arg[0] : e)[at], number));
    else if (expr_is_elementwise(node->op) || node->op == PERI_OP_CONST || (gathered && expr_size(p->g, node->arg[0]) == 1))
        return false;
    else
        snprintf(text, sizeof text, "%s(...)[%lld]", expr_is_elementwise(from->op) ? "computed" : op_name[from->op], (long long)at + 1);
    put(p, text);
    return true;
}

static bool put_node(printer *p, expr_id e, int level)
{
    if (p->entry >= 0 && put_entry(p, e))
        return true;
    const expr_node *node = expr_at(p->g, e);
    const expr_id *args;
    const int32_t n = expr_args(p->g, e, &args);
    char text[64], number[NUM_SIZE];
    switch (node->op) {
    case PERI_OP_CONST:
        if (node->rows == 1 && node->cols == 1)
            snprintf(text, sizeof text, node->value < 0 && level > LEVEL_SUM ? "(%s)" : "%s", num_print(node->value, number));
        else
            snprintf(text, sizeof text, "array(%d x %d)", (int)node->rows, (int)node->cols);
        put(p, text);
        return true;
    case PERI_OP_INPUT:
        put_input(p, node);
        return true;
    case PERI_OP_GATHER:
        return put_gather(p, node, level);
    case PERI_OP_ADD:
        return put_infix(p, node, LEVEL_SUM, LEVEL_SUM, LEVEL_SUM, " + ", level);
    case PERI_OP_SUB:
        return put_infix(p, node, LEVEL_SUM, LEVEL_SUM, LEVEL_PRODUCT, " - ", level);
    case PERI_OP_MUL:
        return put_infix(p, node, LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_PRODUCT, " * ", level);
    case PERI_OP_DIV:
        return put_infix(p, node, LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_SIGN, " / ", level);
    case PERI_OP_MATMUL:
        return put_infix(p, node, LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_SIGN, " % ", level);
    case PERI_OP_POW:
        return put_infix(p, node, LEVEL_POWER, LEVEL_ATOM, LEVEL_POWER, "^", level);
    case PERI_OP_SQUARE:
        return later_text(p, "^2") && later(p, node->arg[0], LEVEL_ATOM);
    case PERI_OP_RECIP:
        return (level <= LEVEL_PRODUCT || later_text(p, ")")) && later(p, node->arg[0], LEVEL_SIGN) &&
               later_text(p, level <= LEVEL_PRODUCT ? "1 / " : "(1 / ");
    case PERI_OP_NEG:
        return (level <= LEVEL_SUM || later_text(p, ")")) && later(p, node->arg[0], LEVEL_PRODUCT) &&
               later_text(p, level <= LEVEL_SUM ? "-" : "(-");
    case PERI_OP_ROWMAX:
        return put_along(p, "max", node->arg[0], 2);
    case PERI_OP_SCATTER: {
        int dim;
        return is_sum_along(p->g, node, &dim) ? put_along(p, "sum", args[0], dim) : put_call(p, "scatter", n, args);
    }
    case PERI_OP_MARK:
        return later(p, node->arg[0], level);
    case PERI_OP_CALL:
        return put_call(p, p->g->calls.at[node->ref].name, n, args);
    case PERI_OP_RULE:
        return put_call(p, p->g->rules.at[node->ref]->name, n, args);
    default:
        return put_call(p, peri_op_name((peri_op)node->op), n, args);
    }
}

static peri_status print(expr_graph *g, const expr_graph *names, expr_id e, int64_t entry, size_t limit, char **out)
{
    printer p = {.g = g, .limit = limit < 8 ? 8 : limit, .names = names, .entry = entry};
    p.out = mem_array(g->m, p.limit + 4, 1);
    bool ok = p.out != NULL && later(&p, e, LEVEL_SUM);
    while (ok && p.todo.n > 0 && p.n < p.limit) {
        const piece item = p.todo.at[--p.todo.n];
        if (item.e < 0)
            put(&p, item.text);
        else
            ok = put_node(&p, item.e, item.level);
    }
    if (ok && p.todo.n > 0 && p.n >= p.limit)
        memcpy(p.out + p.n, "...", 3);
    vec_free(g->m, &p.todo);
    if (!ok) {
        mem_array_free(g->m, p.out);
        return FAIL_NOMEM(g->ctx);
    }
    *out = p.out;
    return PERI_OK;
}

peri_status expr_text(expr_graph *g, expr_id e, size_t limit, char **out)
{
    return print(g, g, e, -1, limit, out);
}

peri_status expr_entry_text(expr_graph *g, const expr_graph *names, expr_id e, int64_t entry, size_t limit, char **out)
{
    return print(g, names, e, entry, limit, out);
}
