/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.c - finding repeated structure in array expressions: sums and largest entries of vectors, of which loops make many with the same operations and
 * sizes, become one matrix expression, a row for each, and one operation along its rows: the product of a matrix and a vector where it is one, and where
 * rows are short, entry by entry, as scalars would have been written. What computes one row alone is not made at all. Scalars read the column of results.
 *
 * Invariant: a form has the operations, sizes, exponents and sources; its instances differ in the entries that they read and in constants.
 */
#include "diff/roll.h"
#include <stdlib.h>
#include <string.h>

enum {
    FEWEST = 16,         /* reductions of one form that are made together */
    LARGEST = 4096,      /* entries of one */
    MOST_TOKENS = 64,
    SHORT = 8,           /* entries that are added one by one, */
    SHORT_COST = 64,     /* with so many operations in all */
    MOST_ENTRIES = 1 << 24 /* of all matrices of a model */
};

/* Leaves: constants and what is read, of one entry or of a row's. READ: arg[0] is a class of inputs, or EXPR_IN_COUNT + a node of `from`. */
enum { LEAF_NUMBER = 1 << 8, LEAF_EXPONENT, LEAF_SCALAR, LEAF_DATA, LEAF_READ };

typedef struct {
    int32_t op; /* operation, or LEAF_* */
    int32_t arg[3];
    double value; /* EXPONENT */
} token;

typedef struct roll_form {
    int32_t op, size, n_tokens; /* of the reduction */
    token *tokens;              /* in post-order */
    int64_t count;
    bool taken;
} form;

/* One reduction as it is read; node[k]: what token k stands for. */
typedef struct {
    const expr_graph *g;
    int64_t size;
    int32_t n;
    token tokens[MOST_TOKENS];
    expr_id node[MOST_TOKENS];
} reading;

/* ---- forms ------------------------------------------------------------------------------------------------------------------ */

static int code_of(const expr_graph *g, expr_id e)
{
    return expr_code(g, e) & ~EXPR_WIDE;
}

static bool is_inner(const expr_graph *g, expr_id e, int64_t size)
{
    return expr_is_elementwise(code_of(g, e)) && expr_size(g, e) == size;
}

/* A scalar spread over a row is the scalar. */
static expr_id unspread(const expr_graph *g, expr_id e)
{
    while (code_of(g, e) == PERI_OP_GATHER && expr_size(g, e) > 1 && expr_size(g, expr_at(g, e)->arg[0]) == 1)
        e = expr_at(g, e)->arg[0];
    return e;
}

/* Arguments of commutative operations are taken in this order. */
static int rank_of(const expr_graph *g, expr_id e, int64_t size)
{
    e = unspread(g, e);
    const int op = code_of(g, e), scalar = expr_size(g, e) == 1 ? 1 << 8 : 0;
    return is_inner(g, e, size) ? op : (op == PERI_OP_CONST ? 1 << 10 : 1 << 9) + scalar;
}

static int32_t push(reading *p, expr_id e, token t)
{
    if (p->n == MOST_TOKENS)
        return -1;
    p->tokens[p->n] = t;
    p->node[p->n] = e;
    return p->n++;
}

static token leaf_of(const expr_graph *g, expr_id e, bool exponent)
{
    token t = {LEAF_READ, {-1, -1, -1}, 0};
    const expr_node *node = expr_at(g, e);
    const bool scalar = expr_size(g, e) == 1;
    if (node->op == PERI_OP_CONST) {
        t.op = !scalar ? LEAF_DATA : exponent ? LEAF_EXPONENT : LEAF_NUMBER;
        t.value = scalar && exponent ? node->value : 0;
    } else if (scalar) {
        t.op = LEAF_SCALAR;
    } else {
        const expr_id source = node->op == PERI_OP_GATHER ? node->arg[0] : e;
        const expr_node *from = expr_at(g, source);
        t.arg[0] = from->op == PERI_OP_INPUT ? from->class_ : EXPR_IN_COUNT + source;
    }
    return t;
}

/* The number of e's token; -1: there are too many, or something cannot be a row's entry. */
static int32_t read_node(reading *p, expr_id e, bool exponent)
{
    const expr_graph *g = p->g;
    e = unspread(g, e);
    const bool constant = code_of(g, e) == PERI_OP_CONST; /* of two constants that are equal here, the others' may differ */
    for (int32_t k = 0; k < p->n && !constant; k++)
        if (p->node[k] == e)
            return k;
    if (!is_inner(g, e, p->size))
        return (constant && expr_is_sparse(g, e)) || (expr_size(g, e) != 1 && expr_size(g, e) != p->size) ? -1
                                                                                                         : push(p, e, leaf_of(g, e, exponent));
    const expr_node node = *expr_at(g, e);
    token t = {node.op, {-1, -1, -1}, 0};
    const bool swapped = roll_is_commutative(node.op) && rank_of(g, node.arg[0], p->size) > rank_of(g, node.arg[1], p->size);
    for (int k = 0; k < 3 && node.arg[k] >= 0; k++) {
        const expr_id arg = node.arg[swapped ? 1 - k : k];
        t.arg[k] = read_node(p, arg, node.op == PERI_OP_POW && k == 1);
        if (t.arg[k] < 0)
            return -1;
    }
    return push(p, e, t);
}

/* Is e a reduction that can be one of many? Its tokens are in p then. */
static bool read_reduction(const expr_graph *g, expr_id e, reading *p)
{
    const int op = code_of(g, e);
    if (op != PERI_OP_SUM && op != PERI_OP_MAX)
        return false;
    const expr_id a = expr_at(g, e)->arg[0];
    p->g = g;
    p->size = expr_size(g, a);
    p->n = 0;
    if (p->size < 2 || p->size > LARGEST || read_node(p, a, false) < 0)
        return false;
    const token *top = &p->tokens[p->n - 1];
    return top->op < LEAF_NUMBER || (top->op == LEAF_READ && code_of(g, a) == PERI_OP_GATHER);
}

static bool same_form(const form *f, int op, const reading *p)
{
    return f->op == op && f->size == p->size && f->n_tokens == p->n && memcmp(f->tokens, p->tokens, (size_t)p->n * sizeof *p->tokens) == 0;
}

static uint64_t form_hash(int op, const reading *p)
{
    uint64_t h = hash_join((uint64_t)op, (uint64_t)p->size);
    for (int32_t k = 0; k < p->n; k++)
        h = hash_join(h, hash_bytes(&p->tokens[k], sizeof p->tokens[k]));
    return h;
}

typedef struct {
    roller *r;
    VEC(form) forms;
    VEC(roll_row) rows;
    hash_map by_hash; /* chained by trying hash + 1 */
} finder;

static peri_status find_form(finder *f, int op, const reading *p, int64_t *at)
{
    uint64_t h = form_hash(op, p);
    for (; hash_get(&f->by_hash, h, at); h++)
        if (same_form(&f->forms.at[*at], op, p))
            return PERI_OK;
    form fresh = {.op = op, .size = (int32_t)p->size, .n_tokens = p->n};
    fresh.tokens = arena_array(&f->r->data, (size_t)p->n, sizeof *fresh.tokens);
    *at = f->forms.n;
    if (fresh.tokens == NULL || !vec_push(f->r->from->m, &f->forms, fresh) || !hash_put(&f->by_hash, h, *at))
        return FAIL_NOMEM(f->r->from->ctx);
    memcpy(fresh.tokens, p->tokens, (size_t)p->n * sizeof *p->tokens);
    return PERI_OK;
}

static peri_status look_at_reductions(finder *f)
{
    reading p;
    const expr_graph *g = f->r->from;
    for (expr_id e = 0; e < g->nodes.n; e++) {
        int64_t at;
        if (!(f->r->flags[e] & ROLL_REACH) || !(expr_code(g, e) & EXPR_WIDE) || !read_reduction(g, e, &p))
            continue;
        TRY(find_form(f, code_of(g, e), &p, &at));
        f->forms.at[at].count++;
        if (!vec_push(g->m, &f->rows, ((roll_row){e, (int32_t)at})))
            return FAIL_NOMEM(g->ctx);
    }
    return PERI_OK;
}

/* ---- what is not made by itself ---------------------------------------------------------------------------------------------- */

enum { BY_ROWS = 1, BY_OTHERS = 2 };

static void mark_arguments(const roller *r, expr_id e, unsigned char how, unsigned char *used)
{
    const expr_id *args;
    const int32_t n = expr_args(r->from, e, &args);
    for (int32_t k = 0; k < n; k++)
        used[args[k]] |= how;
}

/* Rows, and what only they use, between them and what they read. used [nodes.n] zeroed */
static void mark_inside(roller *r, int64_t n, const expr_id *roots, unsigned char *used)
{
    const expr_graph *g = r->from;
    for (int64_t k = 0; k < n; k++)
        used[roots[k]] = BY_OTHERS;
    for (expr_id e = (expr_id)g->nodes.n; e-- > 0;) {
        if (!(r->flags[e] & ROLL_REACH))
            continue;
        const int op = code_of(g, e);
        const bool row = (r->flags[e] & ROLL_MATERIAL) != 0, inner = expr_is_elementwise(op);
        if (!row && used[e] == BY_ROWS && expr_size(g, e) > 1 &&
            (inner || op == PERI_OP_GATHER || op == PERI_OP_CONST || op == PERI_OP_INPUT))
            r->flags[e] |= ROLL_INSIDE;
        mark_arguments(r, e, row || (inner && (r->flags[e] & ROLL_INSIDE)) ? BY_ROWS : BY_OTHERS, used);
    }
}

/* The rows of forms that are frequent enough stay in the list. */
static peri_status take_forms(finder *f, int64_t n, const expr_id *roots)
{
    roller *r = f->r;
    int64_t entries = 0, kept = 0;
    for (int64_t k = 0; k < f->forms.n; k++) {
        form *one = &f->forms.at[k];
        one->taken = one->count >= FEWEST && entries + one->count * one->size <= MOST_ENTRIES;
        entries += one->taken ? one->count * one->size : 0;
    }
    if (entries == 0)
        return PERI_OK;
    r->forms = arena_array(&r->data, (size_t)f->forms.n, sizeof *r->forms);
    r->rows = arena_array(&r->data, (size_t)f->rows.n, sizeof *r->rows);
    unsigned char *used = mem_array(r->from->m, (size_t)r->from->nodes.n, 1);
    if (r->forms == NULL || r->rows == NULL || used == NULL) {
        mem_array_free(r->from->m, used);
        return FAIL_NOMEM(r->from->ctx);
    }
    memcpy(r->forms, f->forms.at, (size_t)f->forms.n * sizeof *r->forms);
    for (int64_t k = 0; k < f->rows.n; k++)
        if (f->forms.at[f->rows.at[k].form].taken) {
            r->rows[kept++] = f->rows.at[k];
            r->flags[f->rows.at[k].e] |= ROLL_MATERIAL;
        }
    r->n_rows = kept;
    mark_inside(r, n, roots, used);
    mem_array_free(r->from->m, used);
    return PERI_OK;
}

static bool has_reductions(const expr_graph *g)
{
    int64_t n = 0;
    for (int64_t k = 0; k < g->wide.n && n < FEWEST; k++)
        n += g->wide.at[k].op == PERI_OP_SUM || g->wide.at[k].op == PERI_OP_MAX;
    return n >= FEWEST;
}

peri_status roll_find_rows(roller *r, int64_t n, const expr_id *roots)
{
    finder f = {.r = r};
    if (!has_reductions(r->from))
        return PERI_OK;
    hash_init(&f.by_hash, r->from->m);
    peri_status status = look_at_reductions(&f);
    if (status == PERI_OK)
        status = take_forms(&f, n, roots);
    vec_free(r->from->m, &f.forms);
    vec_free(r->from->m, &f.rows);
    hash_release(&f.by_hash);
    return status;
}

/* ---- the matrix of a form's rows ----------------------------------------------------------------------------------------------- */

/* Instances of one form; what the nodes of some columns of the matrix are built from. */
typedef struct {
    roller *r;
    const form *f;
    int64_t n;
    expr_id *node;        /* [n x n_tokens] */
    int64_t first, width; /* columns */
} batch;

static expr_id node_of(const batch *b, int64_t k, int32_t t)
{
    return b->node[k * b->f->n_tokens + t];
}

static bool all_same(const batch *b, int32_t t)
{
    for (int64_t k = 1; k < b->n; k++)
        if (node_of(b, k, t) != node_of(b, 0, t))
            return false;
    return true;
}

/* Constants, one a row or all: data [n x width] */
static peri_status build_data(const batch *b, int32_t t, double *data, expr_id *out)
{
    const expr_graph *from = b->r->from;
    const int64_t n = b->n * b->width;
    bool same = true;
    for (int64_t k = 0; k < b->n; k++) {
        const expr_id e = node_of(b, k, t);
        const double *row = expr_size(from, e) > 1 ? expr_const_data(from, e) + b->first : NULL;
        const double one = row == NULL ? expr_cell_of(from, e)->value : 0;
        for (int64_t j = 0; j < b->width; j++)
            data[k * b->width + j] = row != NULL ? row[j] : one;
    }
    for (int64_t k = 1; k < n && same; k++)
        same = memcmp(&data[k], &data[0], sizeof *data) == 0;
    return same ? expr_number(b->r->to, data[0], out) : expr_dense(b->r->to, b->n, b->width, data, out);
}

/* Scalars of several arrays: a column of them. */
static peri_status stack_scalars(const batch *b, int32_t t, expr_id *out)
{
    expr_id *parts = mem_array(b->r->to->m, (size_t)b->n, sizeof *parts);
    peri_status status = parts != NULL ? PERI_OK : FAIL_NOMEM(b->r->to->ctx);
    for (int64_t k = 0; k < b->n && status == PERI_OK; k++)
        status = roll_value(b->r, node_of(b, k, t), &parts[k]);
    if (status == PERI_OK)
        status = expr_stack(b->r->to, b->n, parts, out);
    mem_array_free(b->r->to->m, parts);
    return status;
}

static peri_status build_scalars(const batch *b, int32_t t, int32_t *place, expr_id *out)
{
    expr_graph *to = b->r->to;
    expr_id array, first;
    bool one_array = true;
    if (all_same(b, t))
        return roll_value(b->r, node_of(b, 0, t), out);
    roll_locate(b->r, node_of(b, 0, t), &first, &place[0]);
    for (int64_t k = 1; k < b->n && one_array; k++) {
        roll_locate(b->r, node_of(b, k, t), &array, &place[k]);
        one_array = array == first;
    }
    if (one_array)
        TRY(expr_gather_list(to, first, b->n, 1, b->n, place, out));
    else
        TRY(stack_scalars(b, t, out));
    return b->width > 1 ? expr_broadcast(to, *out, b->n, b->width, out) : PERI_OK;
}

/* Entries of an array, at other places in each row. index [n x width] */
static peri_status build_entries(const batch *b, int32_t t, int32_t *index, expr_id *out)
{
    roller *r = b->r;
    const int32_t source = b->f->tokens[t].arg[0];
    const expr_id array = source < EXPR_IN_COUNT ? r->whole[source] : r->made[r->slot[source - EXPR_IN_COUNT]].image;
    bool same = true;
    for (int64_t k = 0; k < b->n; k++) {
        const expr_node *node = expr_at(r->from, node_of(b, k, t));
        const bool gather = node->op == PERI_OP_GATHER && source != EXPR_IN_COUNT + node_of(b, k, t);
        const expr_node *input = expr_at(r->from, gather ? node->arg[0] : node_of(b, k, t));
        const int64_t offset = source < EXPR_IN_COUNT ? input->ref : 0;
        for (int64_t j = 0; j < b->width; j++)
            index[k * b->width + j] = (int32_t)(offset + (gather ? expr_gather_at(r->from, node, b->first + j) : b->first + j));
    }
    for (int64_t k = 1; k < b->n * b->width && same; k++)
        same = index[k] == index[0];
    if (same)
        return expr_gather_affine(r->to, array, 1, 1, index[0], 1, out);
    return expr_gather_list(r->to, array, b->n, b->width, b->n * b->width, index, out);
}

static peri_status build_leaf(const batch *b, int32_t t, expr_id *out)
{
    mem *m = b->r->to->m;
    const token *leaf = &b->f->tokens[t];
    const bool constant = leaf->op == LEAF_NUMBER || leaf->op == LEAF_DATA;
    if (leaf->op == LEAF_EXPONENT)
        return expr_number(b->r->to, leaf->value, out);
    void *work = mem_array(m, (size_t)(b->n * b->width), constant ? sizeof(double) : sizeof(int32_t));
    if (work == NULL)
        return FAIL_NOMEM(b->r->to->ctx);
    const peri_status status = constant                  ? build_data(b, t, work, out)
                               : leaf->op == LEAF_SCALAR ? build_scalars(b, t, work, out)
                                                         : build_entries(b, t, work, out);
    mem_array_free(m, work);
    return status;
}

/* The columns of token `top`: n x width, or a scalar where all entries are the same. */
static peri_status build(const batch *b, int32_t top, expr_id *out)
{
    expr_id image[MOST_TOKENS];
    for (int32_t t = 0; t <= top; t++) {
        const token *at = &b->f->tokens[t];
        expr_id args[3];
        int n = 0;
        for (; n < 3 && at->op < LEAF_NUMBER && at->arg[n] >= 0; n++)
            args[n] = image[at->arg[n]];
        TRY(at->op >= LEAF_NUMBER ? build_leaf(b, t, &image[t]) : expr_op(b->r->to, (peri_op)at->op, n, args, &image[t]));
    }
    *out = image[top];
    return expr_size(b->r->to, *out) == b->n * b->width ? PERI_OK : expr_broadcast(b->r->to, *out, b->n, b->width, out);
}

/* Short rows: entry by entry, so that what is done with the sum is part of the same kernel. */
static peri_status add_columns(batch *b, expr_id *out)
{
    expr_id column;
    b->width = 1;
    for (b->first = 0; b->first < b->f->size; b->first++) {
        TRY(build(b, b->f->n_tokens - 1, b->first > 0 ? &column : out));
        if (b->first > 0)
            TRY(expr_binary(b->r->to, PERI_OP_ADD, *out, column, out));
    }
    return PERI_OK;
}

/* Rows of constants times what is the same for all: *out, or -1 */
static peri_status multiply(batch *b, expr_id *out)
{
    const token *top = &b->f->tokens[b->f->n_tokens - 1];
    expr_id args[2];
    *out = PERI_NO_EXPR;
    if (top->op != PERI_OP_MUL || b->n < 2)
        return PERI_OK;
    const int data = b->f->tokens[top->arg[0]].op == LEAF_DATA ? 0 : 1;
    if (b->f->tokens[top->arg[data]].op != LEAF_DATA || !all_same(b, top->arg[1 - data]))
        return PERI_OK;
    TRY(build_leaf(b, top->arg[data], &args[0]));
    if (expr_size(b->r->to, args[0]) == 1)
        return PERI_OK;
    const batch one = {b->r, b->f, 1, b->node, 0, b->f->size};
    TRY(build(&one, top->arg[1 - data], &args[1]));
    TRY(expr_reshape(b->r->to, args[1], b->f->size, 1, &args[1]));
    return expr_op(b->r->to, PERI_OP_MATMUL, 2, args, out);
}

static peri_status reduce(batch *b, expr_id *out)
{
    const form *f = b->f;
    const int32_t top = f->n_tokens - 1;
    if (f->op == PERI_OP_SUM && f->size <= SHORT && f->size * f->n_tokens <= SHORT_COST)
        return add_columns(b, out);
    if (f->op == PERI_OP_SUM) {
        TRY(multiply(b, out));
        if (*out != PERI_NO_EXPR)
            return PERI_OK;
    }
    TRY(build(b, top, out));
    return expr_along(b->r->to, (peri_op)f->op, *out, 2, out);
}

static peri_status make_rows(roller *r, int64_t n, const roll_row *rows)
{
    reading p;
    batch b = {.r = r, .f = &r->forms[rows[0].form], .n = n};
    const size_t n_tokens = (size_t)b.f->n_tokens;
    b.width = b.f->size;
    b.node = mem_array(r->to->m, (size_t)n * n_tokens, sizeof *b.node);
    if (b.node == NULL)
        return FAIL_NOMEM(r->to->ctx);
    for (int64_t k = 0; k < n; k++)
        if (read_reduction(r->from, rows[k].e, &p))
            memcpy(b.node + (size_t)k * n_tokens, p.node, n_tokens * sizeof *b.node);
    expr_id column = PERI_NO_EXPR;
    const peri_status status = reduce(&b, &column);
    for (int64_t k = 0; k < n && status == PERI_OK; k++) {
        roll_made *made = &r->made[r->slot[rows[k].e]];
        made->image = column;
        made->place = (int32_t)k;
    }
    mem_array_free(r->to->m, b.node);
    return status;
}

/* ---- depth by depth ---------------------------------------------------------------------------------------------------------------- */

static int by_node(const void *a, const void *b)
{
    return expr_ascending(&((const roll_row *)a)->e, &((const roll_row *)b)->e);
}

static int by_form(const void *a, const void *b)
{
    const roll_row *x = a, *y = b;
    return x->form != y->form ? (x->form > y->form) - (x->form < y->form) : by_node(a, b);
}

peri_status roll_rows(roller *r, int64_t n, const roll_made *made)
{
    roll_row *rows = n > 0 && r->n_rows > 0 ? mem_array(r->to->m, (size_t)n, sizeof *rows) : NULL;
    peri_status status = PERI_OK;
    int64_t kept = 0;
    if (r->n_rows == 0 || n == 0)
        return PERI_OK;
    if (rows == NULL)
        return FAIL_NOMEM(r->to->ctx);
    for (int64_t k = 0; k < n; k++)
        if (roll_is_row(r, made[k].e))
            rows[kept++] = *(roll_row *)bsearch(&(roll_row){made[k].e, 0}, r->rows, (size_t)r->n_rows, sizeof *rows, by_node);
    if (kept > 0)
        qsort(rows, (size_t)kept, sizeof *rows, by_form);
    for (int64_t k = 0, end; k < kept && status == PERI_OK; k = end) {
        for (end = k + 1; end < kept && rows[end].form == rows[k].form; end++)
            ;
        status = make_rows(r, end - k, &rows[k]);
    }
    mem_array_free(r->to->m, rows);
    return status;
}
