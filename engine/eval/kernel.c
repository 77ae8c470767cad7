/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.c - one kernel's instructions: tiles are cut out of the expressions, ordered depth first from the sinks, and given registers by when each is
 * read last. Invariant: an operation that is not cheap is part of its reader's tile only when nothing else reads it, so that it is computed once.
 */
#include "eval/plan.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORM_NONE, FORM_REG, FORM_ARRAY, FORM_CELL };

typedef struct {
    int32_t form, at;  /* REG: virtual register; CELL: number of the cell */
    eval_place place;  /* ARRAY */
} operand;

typedef struct {
    int32_t code, imm;
    operand dst, dst2, p[4];
    const int32_t *index;
    bool stays; /* the destination does not move with the block: indexed, strided, or partial sums */
    const eval_sink *scatter; /* of a WEAVE: one of them */
    int32_t there; /* of a scatter: 1 + the operand that is added to, or 0 */
} instruction;

/*
 * >= 0: a node; <= NEGATED: the constant node NEGATED - ref with the other sign; <= INVERTED: the reciprocal of the constant node INVERTED - ref; otherwise
 * operand number -1 - ref of `extra`
 */
typedef int32_t ref;
enum { NEGATED = -(1 << 30), INVERTED = -(1 << 29) };

typedef struct {
    int32_t code, imm, n;
    ref leaf[4];
} tile;

typedef struct {
    expr_id e;
    int32_t next;
    tile t;
} frame;

typedef struct {
    eval_compiler *c;
    int32_t group;
    int64_t n, stamp;
    eval_kernel *out;
    VEC(instruction) code;
    VEC(operand) extra;
    VEC(frame) stack;
    VEC(struct scalar { bool constant; double value; eval_place place; }) cells;
    hash_map cell_number; /* hash of a scalar -> its cell; equal hashes are chained by trying hash + 1 */
    VEC(const eval_sink *) sums;
    int32_t n_regs;
    ref minus_one; /* 0: not made yet */
} kernel;

static peri_status nomem(const kernel *k)
{
    return FAIL_NOMEM(k->c->g->ctx);
}

/* ---- operands ---------------------------------------------------------------------------------------------------------------- */

static bool same_place(const eval_place *a, const eval_place *b)
{
    return a->base == b->base && a->offset == b->offset && a->fixed == b->fixed;
}

static eval_place moved(eval_place place, int64_t by)
{
    if (place.base == BASE_FIXED)
        place.fixed += by;
    else
        place.offset += by;
    return place;
}

static uint64_t scalar_hash(const struct scalar *s)
{
    uint64_t bits;
    memcpy(&bits, &s->value, sizeof bits);
    return s->constant ? hash_join(1, bits) : hash_join(hash_join((uint64_t)s->place.base, (uint64_t)s->place.offset), (uint64_t)(uintptr_t)s->place.fixed);
}

static peri_status cell_of(kernel *k, struct scalar s, operand *out)
{
    int64_t i;
    uint64_t h = scalar_hash(&s);
    for (; hash_get(&k->cell_number, h, &i); h++) {
        const struct scalar *old = &k->cells.at[i];
        const bool same = s.constant ? memcmp(&old->value, &s.value, sizeof s.value) == 0 : same_place(&old->place, &s.place);
        if (old->constant == s.constant && same) {
            *out = (operand){FORM_CELL, (int32_t)i, {BASE_NONE, 0, NULL}};
            return PERI_OK;
        }
    }
    if (!vec_push(k->c->m, &k->cells, s) || !hash_put(&k->cell_number, h, k->cells.n - 1))
        return nomem(k);
    *out = (operand){FORM_CELL, (int32_t)(k->cells.n - 1), {BASE_NONE, 0, NULL}};
    return PERI_OK;
}

static peri_status scalar_operand(kernel *k, eval_place place, operand *out)
{
    if (place.base == BASE_FIXED)
        return cell_of(k, (struct scalar){true, *place.fixed, {BASE_NONE, 0, NULL}}, out);
    if (k->n == 1) {
        *out = (operand){FORM_ARRAY, 0, place};
        return PERI_OK;
    }
    return cell_of(k, (struct scalar){false, 0, place}, out);
}

static bool is_spread(const kernel *k, expr_id e)
{
    const expr_node *node = expr_at(k->c->g, e);
    return k->c->kind[e] == KIND_VIEW && (node->flags & EXPR_AFFINE) && node->stride == 0;
}

/* Does this kernel compute or load e? Otherwise it is in memory, or a scalar. */
static bool is_made_here(const kernel *k, expr_id e)
{
    const eval_compiler *c = k->c;
    if (c->kind[e] == KIND_VALUE)
        return c->home[e] == k->group;
    if (c->kind[e] != KIND_VIEW || eval_is_contiguous(c, e) || eval_size(c, e) != k->n || is_spread(k, e))
        return false;
    return c->place[e].base == BASE_NONE || c->level[e] + 1 >= c->groups.at[k->group].level;
}

static bool is_ready(const kernel *k, ref r)
{
    return r < 0 || !is_made_here(k, r) || k->c->stamp[r] == k->stamp;
}

static peri_status operand_of(kernel *k, ref r, operand *out)
{
    const eval_compiler *c = k->c;
    double value;
    if (r <= NEGATED && expr_constant_value(c->g, NEGATED - r, &value))
        return cell_of(k, (struct scalar){true, -value, {BASE_NONE, 0, NULL}}, out);
    if (r > NEGATED && r <= INVERTED && expr_constant_value(c->g, INVERTED - r, &value))
        return cell_of(k, (struct scalar){true, 1 / value, {BASE_NONE, 0, NULL}}, out);
    if (r < 0) {
        *out = k->extra.at[-1 - r];
        return PERI_OK;
    }
    if (is_made_here(k, r)) {
        *out = c->place[r].base != BASE_NONE ? (operand){FORM_ARRAY, 0, c->place[r]} : (operand){FORM_REG, c->reg[r], {BASE_NONE, 0, NULL}};
        return PERI_OK;
    }
    if (is_spread(k, r)) {
        const expr_node *node = expr_at(c->g, r);
        return scalar_operand(k, moved(c->place[eval_arg(c, node->arg[0])], node->first), out);
    }
    if (eval_size(c, r) == 1)
        return scalar_operand(k, c->place[r], out);
    *out = (operand){FORM_ARRAY, 0, c->place[r]};
    return PERI_OK;
}

static peri_status extra_ref(kernel *k, operand o, ref *out)
{
    *out = (ref)(-1 - k->extra.n);
    return vec_push(k->c->m, &k->extra, o) ? PERI_OK : nomem(k);
}

/* ---- tiles -------------------------------------------------------------------------------------------------------------------------- */

/* A division by one number is a product with its reciprocal. */
static bool is_constant_divisor(const kernel *k, expr_id e)
{
    double value;
    return e < -INVERTED && expr_constant_value(k->c->g, e, &value) && isnormal(value) && isnormal(1 / value);
}

static bool is_arithmetic(const kernel *k, expr_id e)
{
    const expr_node *node = expr_at(k->c->g, e);
    const int op = node->op;
    return (op == PERI_OP_DIV && is_constant_divisor(k, node->arg[1])) || op == PERI_OP_ADD || op == PERI_OP_SUB ||
           op == PERI_OP_MUL || op == PERI_OP_SQUARE || op == PERI_OP_NEG;
}

/* A sum or product with a scalar, or a sign: as cheap to compute again as to read. */
static bool is_cheap(const kernel *k, expr_id e)
{
    const expr_node *node = expr_at(k->c->g, e);
    if (node->op == PERI_OP_NEG)
        return true;
    return node->op != PERI_OP_SQUARE && k->n > 1 && (eval_size(k->c, node->arg[0]) == 1 || eval_size(k->c, node->arg[1]) == 1);
}

/* Part of its readers' tiles: nothing else reads it, or it costs nothing. */
static bool is_absorbed(const kernel *k, ref r)
{
    const eval_compiler *c = k->c;
    return r >= 0 && c->kind[r] == KIND_VALUE && c->home[r] == k->group && c->place[r].base == BASE_NONE &&
           is_arithmetic(k, r) && (c->uses[r] == 1 || is_cheap(k, r)) && c->stamp[r] != k->stamp;
}

typedef struct {
    int32_t o;
    ref a, b;
} pair;

/* -(x c) is x times -c. */
static pair opened_sign(const kernel *k, ref a)
{
    const expr_node *node = expr_at(k->c->g, a);
    double value;
    if (node->op == PERI_OP_MUL && is_absorbed(k, a) && expr_constant_value(k->c->g, node->arg[1], &value) && node->arg[1] < -NEGATED)
        return (pair){EVAL_MUL, eval_arg(k->c, node->arg[0]), NEGATED - node->arg[1]};
    return (pair){EVAL_MUL, a, k->minus_one};
}

static pair opened(const kernel *k, ref r)
{
    const expr_node *node = expr_at(k->c->g, r);
    const ref a = eval_arg(k->c, node->arg[0]);
    switch (node->op) {
    case PERI_OP_NEG: return opened_sign(k, a);
    case PERI_OP_SQUARE: return (pair){EVAL_MUL, a, a};
    case PERI_OP_DIV: return (pair){EVAL_MUL, a, INVERTED - node->arg[1]};
    case PERI_OP_ADD: return (pair){EVAL_ADD, a, eval_arg(k->c, node->arg[1])};
    case PERI_OP_SUB: return (pair){EVAL_SUB, a, eval_arg(k->c, node->arg[1])};
    default: return (pair){EVAL_MUL, a, eval_arg(k->c, node->arg[1])};
    }
}

static int32_t commuted(int32_t o)
{
    return o == EVAL_SUB ? EVAL_RSUB : o == EVAL_RSUB ? EVAL_SUB : o;
}

static pair flipped(pair p)
{
    return (pair){commuted(p.o), p.b, p.a};
}

/* The largest tile with root x o y. */
static tile cut(const kernel *k, pair root)
{
    if (root.o == EVAL_RSUB)
        root = flipped(root);
    const bool x = is_absorbed(k, root.a), y = is_absorbed(k, root.b);
    if (x && y) {
        const pair p = opened(k, root.a), q = opened(k, root.b);
        return (tile){EVAL_T4 + 9 * p.o + 3 * root.o + q.o, 0, 4, {p.a, p.b, q.a, q.b}};
    }
    if (!x && !y)
        return (tile){EVAL_T1 + root.o, 0, 2, {root.a, root.b, 0, 0}};
    if (y)
        root = flipped(root);
    pair p = opened(k, root.a);
    if (!is_absorbed(k, p.a) && is_absorbed(k, p.b))
        p = flipped(p);
    if (!is_absorbed(k, p.a))
        return (tile){EVAL_T2 + 4 * p.o + root.o, 0, 3, {p.a, p.b, root.b, 0}};
    const pair q = opened(k, p.a);
    return (tile){EVAL_T3 + 16 * q.o + 4 * p.o + root.o, 0, 4, {q.a, q.b, p.b, root.b}};
}

static tile cut_sum(const kernel *k, ref r)
{
    if (!is_absorbed(k, r))
        return (tile){EVAL_SUM_ACC, 0, 1, {r, 0, 0, 0}};
    pair p = opened(k, r);
    if (!is_absorbed(k, p.a) && is_absorbed(k, p.b))
        p = flipped(p);
    if (!is_absorbed(k, p.a))
        return (tile){EVAL_SUM_T1 + p.o, 0, 2, {p.a, p.b, 0, 0}};
    const pair q = opened(k, p.a);
    return (tile){EVAL_SUM_T2 + 4 * q.o + p.o, 0, 3, {q.a, q.b, p.b, 0}};
}

enum { LARGEST_POWER = 16 };

/* Twice the exponent of a power with a small whole or half exponent; else 0. */
static int32_t small_power(const kernel *k, const expr_node *node)
{
    double value;
    if (node->op != PERI_OP_POW || !expr_constant_value(k->c->g, node->arg[1], &value))
        return 0;
    const int32_t twice = value >= -LARGEST_POWER && value <= LARGEST_POWER ? (int32_t)(2 * value) : 0;
    return 2 * value < twice || 2 * value > twice ? 0 : twice;
}

static tile tile_of(const kernel *k, expr_id e)
{
    const expr_node *node = expr_at(k->c->g, e);
    tile t = {node->op, 0, 0, {0, 0, 0, 0}};
    const bool plain_unary = (node->op == PERI_OP_NEG || node->op == PERI_OP_SQUARE) && !is_absorbed(k, eval_arg(k->c, node->arg[0]));
    if (is_arithmetic(k, e) && !plain_unary)
        return cut(k, opened(k, e));
    for (; t.n < 3 && node->arg[t.n] >= 0; t.n++)
        t.leaf[t.n] = eval_arg(k->c, node->arg[t.n]);
    const int32_t twice = small_power(k, node);
    if (twice != 0) {
        t.code = twice % 2 == 0 ? EVAL_POWI : EVAL_POWH;
        t.imm = twice % 2 == 0 ? twice / 2 : twice;
        t.n = 1;
    }
    return t;
}

/* ---- emission -------------------------------------------------------------------------------------------------------------------------- */

static operand new_reg(kernel *k, expr_id e)
{
    k->c->reg[e] = k->n_regs;
    return (operand){FORM_REG, k->n_regs++, {BASE_NONE, 0, NULL}};
}

static operand target_of(kernel *k, expr_id e)
{
    k->c->stamp[e] = k->stamp;
    return k->c->place[e].base != BASE_NONE ? (operand){FORM_ARRAY, 0, k->c->place[e]} : new_reg(k, e);
}

static peri_status emit_tile(kernel *k, const tile *t, instruction i)
{
    i.code = t->code;
    i.imm = t->imm;
    for (int32_t j = 0; j < t->n; j++)
        TRY(operand_of(k, t->leaf[j], &i.p[j]));
    return vec_push(k->c->m, &k->code, i) ? PERI_OK : nomem(k);
}

static bool is_here(const kernel *k, int32_t e)
{
    return e >= 0 && k->c->home[e] == k->group;
}

/* Sine and cosine of one argument together. */
static peri_status emit_value(kernel *k, expr_id e, const tile *t)
{
    const eval_compiler *c = k->c;
    instruction i = {0};
    const bool trigonometric = t->code == PERI_OP_SIN || t->code == PERI_OP_COS;
    const expr_id sine = trigonometric ? c->sine[t->leaf[0]] : -1, cosine = trigonometric ? c->cosine[t->leaf[0]] : -1;
    /* under another name of the argument (a mark, another shape) there may be a second sine: it goes alone */
    if (!is_here(k, sine) || !is_here(k, cosine) || (e != sine && e != cosine)) {
        i.dst = target_of(k, e);
        return emit_tile(k, t, i);
    }
    tile both = *t;
    both.code = EVAL_SINCOS;
    i.dst = target_of(k, sine);
    i.dst2 = target_of(k, cosine);
    return emit_tile(k, &both, i);
}

enum { SHORTEST_ROW = 8 }; /* of a grid that is worth an instruction of its own */

/*
 * at[k] = first + k % period * inner + k / period * outer, for an index list that is not affine: entries of rows, columns, parts of matrices and
 * their transposes. grid: period, outer
 */
static bool find_grid(const expr_list *list, int32_t *inner, int32_t *grid)
{
    const int32_t *at = list->at;
    int64_t period = 2;
    *inner = at[1] - at[0];
    while (period < list->n && at[period] - at[period - 1] == *inner)
        period++;
    if (period < SHORTEST_ROW || period == list->n)
        return false;
    grid[0] = (int32_t)period;
    grid[1] = at[period] - at[0];
    for (int64_t row = period, begin = at[period]; row < list->n; row += period, begin += grid[1])
        for (int64_t j = 0; j < period && row + j < list->n; j++)
            if (at[row + j] != begin + j * *inner)
                return false;
    return true;
}

/* The list as the parameters of a grid: into imm and index. */
static peri_status as_grid(kernel *k, const expr_list *list, int32_t *imm, const int32_t **index, bool *is_grid)
{
    int32_t inner, grid[2];
    *is_grid = list->n > 2 * SHORTEST_ROW && find_grid(list, &inner, grid);
    if (!*is_grid)
        return PERI_OK;
    int32_t *kept = arena_array(&k->c->program->data, 2, sizeof *kept);
    if (kept == NULL)
        return nomem(k);
    memcpy(kept, grid, sizeof grid);
    *imm = inner;
    *index = kept;
    return PERI_OK;
}

static peri_status view_instruction(kernel *k, expr_id e, instruction *i)
{
    const eval_compiler *c = k->c;
    const expr_node *node = expr_at(c->g, e);
    eval_place from = c->place[eval_arg(c, node->arg[0])];
    i->code = node->flags & EXPR_AFFINE ? EVAL_LOAD_STRIDED : EVAL_LOAD_LIST;
    if (node->flags & EXPR_AFFINE) {
        i->imm = node->stride;
        from = moved(from, node->first);
    } else {
        const expr_list *list = &c->g->lists.at[node->index];
        bool is_grid;
        i->index = list->at;
        TRY(as_grid(k, list, &i->imm, &i->index, &is_grid));
        if (is_grid) {
            i->code = EVAL_LOAD_GRID;
            from = moved(from, list->at[0]);
        }
    }
    i->p[0] = (operand){FORM_ARRAY, 0, from};
    return PERI_OK;
}

static peri_status emit_view(kernel *k, expr_id e)
{
    instruction i = {0};
    TRY(view_instruction(k, e, &i));
    i.dst = target_of(k, e);
    return vec_push(k->c->m, &k->code, i) ? PERI_OK : nomem(k);
}

static peri_status push(kernel *k, expr_id e)
{
    frame f = {e, 0, {0, 0, 0, {0, 0, 0, 0}}};
    if (k->c->kind[e] == KIND_VALUE)
        f.t = tile_of(k, e);
    return vec_push(k->c->m, &k->stack, f) ? PERI_OK : nomem(k);
}

/* Everything that r needs, and r: depth first, without recursion. */
static peri_status make(kernel *k, ref r)
{
    if (is_ready(k, r))
        return PERI_OK;
    TRY(push(k, r));
    while (k->stack.n > 0) {
        frame *f = &k->stack.at[k->stack.n - 1];
        if (f->next < f->t.n) {
            const ref leaf = f->t.leaf[f->next++];
            if (!is_ready(k, leaf))
                TRY(push(k, leaf));
            continue;
        }
        const frame top = k->stack.at[--k->stack.n];
        if (is_ready(k, top.e)) /* made together with another one */
            continue;
        TRY(k->c->kind[top.e] == KIND_VALUE ? emit_value(k, top.e, &top.t) : emit_view(k, top.e));
    }
    return PERI_OK;
}

static peri_status make_leaves(kernel *k, const tile *t)
{
    for (int32_t j = 0; j < t->n; j++)
        TRY(make(k, t->leaf[j]));
    return PERI_OK;
}

/* ---- sinks -------------------------------------------------------------------------------------------------------------------------------- */

static peri_status emit_store(kernel *k, const eval_sink *s)
{
    const eval_compiler *c = k->c;
    instruction i = {0};
    if (is_made_here(k, s->value) && same_place(&c->place[s->value], &s->place))
        return make(k, s->value);
    if (c->kind[s->value] == KIND_VIEW && is_made_here(k, s->value) && !is_ready(k, s->value) && c->uses[s->value] == 1) {
        TRY(view_instruction(k, s->value, &i)); /* straight to where it is wanted */
        i.dst = (operand){FORM_ARRAY, 0, s->place};
        return vec_push(c->m, &k->code, i) ? PERI_OK : nomem(k);
    }
    const tile t = {EVAL_COPY, 0, 1, {s->value, 0, 0, 0}};
    TRY(make(k, s->value));
    i.dst = (operand){FORM_ARRAY, 0, s->place};
    return emit_tile(k, &t, i);
}

static peri_status emit_reduce(kernel *k, const eval_sink *s)
{
    const int op = expr_at(k->c->g, s->node)->op;
    tile t = {op == PERI_OP_MAX ? EVAL_MAX_ACC : EVAL_MIN_ACC, 0, 1, {s->value, 0, 0, 0}};
    if (op == PERI_OP_SUM)
        t = cut_sum(k, s->value);
    instruction i = {.stays = true, .imm = 0};
    i.dst = (operand){FORM_NONE, (int32_t)k->sums.n, {BASE_NONE, 0, NULL}};
    TRY(make_leaves(k, &t));
    if (!vec_push(k->c->m, &k->sums, s))
        return nomem(k);
    return emit_tile(k, &t, i);
}

/* Each index eight times in a row, on average: an addition that waits for the one before costs more than finding the runs. */
static bool has_runs(const expr_list *list)
{
    int64_t runs = 1;
    for (int64_t k = 1; k < list->n; k++)
        runs += list->at[k] != list->at[k - 1];
    return 8 * runs <= list->n;
}

static peri_status emit_scatter_list(kernel *k, const eval_sink *s)
{
    const eval_compiler *c = k->c;
    const expr_node *node = expr_at(c->g, s->node);
    instruction i = {.stays = true, .scatter = s};
    tile t = {0, s->stride, 1, {s->value, 0, 0, 0}};
    i.dst = (operand){FORM_ARRAY, 0, s->place};
    if (s->affine) {
        t.code = s->stores ? EVAL_STORE_STRIDED : EVAL_ADD_STRIDED;
        i.dst.place.offset += s->first;
    } else {
        const expr_list *list = &c->g->lists.at[c->g->args.at[node->many.list + node->many.n + s->arg]];
        bool is_grid = false;
        t.code = s->stores ? EVAL_STORE_LIST : EVAL_ADD_LIST;
        i.index = list->at;
        if (!s->stores)
            TRY(as_grid(k, list, &t.imm, &i.index, &is_grid));
        if (!s->stores && !is_grid && has_runs(list))
            t.code = EVAL_ADD_RUNS;
        if (is_grid) {
            t.code = EVAL_ADD_GRID;
            i.dst.place.offset += list->at[0];
        }
    }
    TRY(make(k, s->value));
    return emit_tile(k, &t, i);
}

/* To neighbouring entries: the last operation of the value writes, or adds, there itself. */
static peri_status emit_scatter(kernel *k, const eval_sink *s)
{
    const eval_compiler *c = k->c;
    ref there;
    if (!s->affine || s->stride != 1)
        return emit_scatter_list(k, s);
    instruction i = {.dst = {FORM_ARRAY, 0, s->place}, .scatter = s};
    i.dst.place.offset += s->first;
    TRY(extra_ref(k, i.dst, &there));
    tile t = {EVAL_COPY, 0, 1, {s->value, 0, 0, 0}};
    if (!s->stores)
        t = cut(k, (pair){EVAL_ADD, s->value, there});
    else if (is_made_here(k, s->value) && c->kind[s->value] == KIND_VALUE && c->place[s->value].base == BASE_NONE &&
             (c->uses[s->value] == 1 || is_absorbed(k, s->value)))
        t = tile_of(k, s->value);
    for (int32_t q = 0; q < t.n && !s->stores; q++)
        if (t.leaf[q] == there)
            i.there = q + 1;
    TRY(make_leaves(k, &t));
    return emit_tile(k, &t, i);
}

/* The operands in the order of eval_weave: by lane, then those furthest ahead; sinks [n], the first place of all at `low`. */
static void order_weave(int32_t n, const eval_sink *const *sinks, int32_t low, int32_t *order)
{
    for (int32_t j = 0; j < n; j++) { /* insertion */
        const int32_t ahead = sinks[j]->first - low;
        int32_t at = j;
        for (; at > 0; at--) {
            const int32_t other = sinks[order[at - 1]]->first - low;
            if (other % 2 < ahead % 2 || (other % 2 == ahead % 2 && other >= ahead))
                break;
            order[at] = order[at - 1];
        }
        order[at] = j;
    }
}

static peri_status emit_weave(kernel *k, int32_t n, const eval_sink *const *sinks)
{
    int32_t low = sinks[0]->first, order[4] = {0};
    int32_t *index = arena_array(&k->c->program->data, WEAVE_SIZE, sizeof *index);
    instruction i = {.stays = true, .scatter = sinks[0]};
    tile t = {EVAL_WEAVE, 2, n, {0, 0, 0, 0}};
    if (index == NULL)
        return nomem(k);
    for (int32_t j = 1; j < n; j++)
        low = sinks[j]->first < low ? sinks[j]->first : low;
    order_weave(n, sinks, low, order);
    index[WEAVE_TERMS] = n;
    index[WEAVE_ADDS] = !sinks[0]->stores;
    for (int32_t j = 0; j < n; j++) {
        const eval_sink *s = sinks[order[j]];
        const int32_t shift = (s->first - low) / 2;
        t.leaf[j] = s->value;
        index[WEAVE_SHIFT + j] = shift;
        index[WEAVE_EVEN] += (s->first - low) % 2 == 0;
        index[WEAVE_REACH] = shift > index[WEAVE_REACH] ? shift : index[WEAVE_REACH];
    }
    i.index = index;
    i.dst = (operand){FORM_ARRAY, 0, sinks[0]->place};
    i.dst.place.offset += low;
    TRY(make_leaves(k, &t));
    return emit_tile(k, &t, i);
}

/* ---- registers -------------------------------------------------------------------------------------------------------------------------------- */

static void note_use(const operand *o, int32_t at, int32_t *last)
{
    if (o->form == FORM_REG)
        last[o->at] = at;
}

static void drop(const operand *o, int32_t at, const int32_t *last, const int32_t *real, int32_t *free_regs, int64_t *n_free)
{
    if (o->form == FORM_REG && last[o->at] == at)
        free_regs[(*n_free)++] = real[o->at];
}

/* Virtual to real registers; one that is read last by an instruction may be what that instruction writes. */
static peri_status allocate(kernel *k)
{
    int32_t *last = mem_array(k->c->m, (size_t)k->n_regs, sizeof *last), *real = mem_array(k->c->m, (size_t)k->n_regs, sizeof *real);
    int32_t *free_regs = mem_array(k->c->m, (size_t)k->n_regs + 1, sizeof *free_regs);
    peri_status status = last != NULL && real != NULL && free_regs != NULL ? PERI_OK : nomem(k);
    int64_t n_free = 0, used = 0;
    for (int64_t j = 0; j < k->code.n && status == PERI_OK; j++) {
        const instruction *i = &k->code.at[j];
        for (int q = 0; q < 4; q++)
            note_use(&i->p[q], (int32_t)j, last);
        note_use(&i->dst, (int32_t)j, last);
        note_use(&i->dst2, (int32_t)j, last);
    }
    for (int64_t j = 0; j < k->code.n && status == PERI_OK; j++) {
        instruction *i = &k->code.at[j];
        for (int q = 0; q < 4; q++) {
            bool before = false;
            for (int r = 0; r < q; r++)
                before = before || (i->p[r].form == FORM_REG && i->p[q].form == FORM_REG && i->p[r].at == i->p[q].at);
            if (!before)
                drop(&i->p[q], (int32_t)j, last, real, free_regs, &n_free);
        }
        operand *const made[2] = {&i->dst, &i->dst2};
        for (int q = 0; q < 2; q++)
            if (made[q]->form == FORM_REG)
                real[made[q]->at] = n_free > 0 ? free_regs[--n_free] : (int32_t)used++;
        for (int q = 0; q < 2; q++)
            drop(made[q], (int32_t)j, last, real, free_regs, &n_free);
        for (int q = 0; q < 4; q++)
            if (i->p[q].form == FORM_REG)
                i->p[q].at = -1 - real[i->p[q].at]; /* renamed; negative so that it is not taken for virtual again */
        for (int q = 0; q < 2; q++)
            if (made[q]->form == FORM_REG)
                made[q]->at = -1 - real[made[q]->at];
    }
    k->out->n_regs = used;
    mem_array_free(k->c->m, last);
    mem_array_free(k->c->m, real);
    mem_array_free(k->c->m, free_regs);
    return status;
}

/* ---- the finished kernel -------------------------------------------------------------------------------------------------------------------------- */

/* numbers; the gap keeps registers from sharing cache sets */
enum { CACHE = 4096, CACHE_2 = 32768, GOOD_BLOCK = 256, SHORTEST_BLOCK = 64, REGISTER_GAP = 8 };

/* All registers in the first cache; but blocks long enough for what a call costs, as long as they are in the second. */
static int64_t block_length(int64_t n_regs)
{
    const int64_t regs = n_regs > 0 ? n_regs : 1, first = CACHE / regs, second = CACHE_2 / regs;
    int64_t block = first > GOOD_BLOCK ? first : second > GOOD_BLOCK ? GOOD_BLOCK : second;
    block = block / EVAL_BLOCK_UNIT * EVAL_BLOCK_UNIT;
    return block > EVAL_MAX_BLOCK ? EVAL_MAX_BLOCK : block < SHORTEST_BLOCK ? SHORTEST_BLOCK : block;
}

static void choose_block(kernel *k)
{
    eval_kernel *out = k->out;
    const int64_t block = block_length(out->n_regs), whole = (k->n + EVAL_BLOCK_UNIT - 1) / EVAL_BLOCK_UNIT * EVAL_BLOCK_UNIT;
    out->block = block < whole ? block : whole;
    out->lanes_at = out->n_regs * (out->block + REGISTER_GAP);
    const int64_t scratch = out->lanes_at + k->sums.n * EVAL_LANES;
    k->c->scratch = scratch > k->c->scratch ? scratch : k->c->scratch;
}

static eval_place register_place(const kernel *k, int32_t at)
{
    return (eval_place){BASE_SCRATCH, (-1 - at) * (k->out->block + REGISTER_GAP), NULL};
}

static eval_place lanes_place(const kernel *k, int64_t acc)
{
    return (eval_place){BASE_SCRATCH, k->out->lanes_at + acc * EVAL_LANES, NULL};
}

static peri_status finish_read(kernel *k, const operand *o, int q, eval_ins *ins)
{
    eval_compiler *c = k->c;
    const bool whole = ins->code == EVAL_LOAD_STRIDED || ins->code == EVAL_LOAD_LIST || ins->code == EVAL_LOAD_GRID;
    switch (o->form) {
    case FORM_REG:
        ins->flags = (uint16_t)(ins->flags | 1u << (8 + q));
        return eval_point(c, &ins->p[q], register_place(k, o->at));
    case FORM_ARRAY:
        if (!whole)
            ins->flags = (uint16_t)(ins->flags | 1u << q | 1u << (8 + q));
        k->out->bytes += 8.0 * (double)k->n;
        return eval_point(c, &ins->p[q], o->place);
    case FORM_CELL:
        ins->p[q] = k->out->cells[o->at].cell;
        return PERI_OK;
    default:
        return PERI_OK;
    }
}

static bool same_array(const operand *a, const operand *b)
{
    return a->form == b->form && ((a->form == FORM_REG && a->at == b->at) || (a->form == FORM_ARRAY && same_place(&a->place, &b->place)));
}

static void mark_same(const instruction *i, eval_ins *ins)
{
    static const struct {
        int k, of;
    } pairs[] = {{1, 0}, {2, 0}, {3, 2}};
    for (int q = 0; q < 3; q++)
        if (same_array(&i->p[pairs[q].k], &i->p[pairs[q].of]))
            ins->flags = (uint16_t)(ins->flags | 1u << (12 + q));
}

static peri_status finish_write(kernel *k, const instruction *i, eval_ins *ins)
{
    eval_compiler *c = k->c;
    switch (i->dst.form) {
    case FORM_REG:
        TRY(eval_point(c, &ins->dst, register_place(k, i->dst.at)));
        break;
    case FORM_ARRAY:
        ins->flags = (uint16_t)(ins->flags | (i->stays ? 0u : 1u << 4));
        k->out->bytes += 8.0 * (double)k->n;
        TRY(eval_point(c, &ins->dst, i->dst.place));
        break;
    default:
        TRY(eval_point(c, &ins->dst, lanes_place(k, i->dst.at)));
    }
    if (i->dst2.form == FORM_REG)
        return eval_point(c, &ins->p[3], register_place(k, i->dst2.at));
    if (i->dst2.form == FORM_ARRAY) {
        ins->flags = (uint16_t)(ins->flags | 1u << 5);
        k->out->bytes += 8.0 * (double)k->n;
        return eval_point(c, &ins->p[3], i->dst2.place);
    }
    return PERI_OK;
}

static peri_status finish_code(kernel *k)
{
    eval_kernel *out = k->out;
    out->n_ins = k->code.n;
    out->ins = arena_array(&k->c->program->data, (size_t)k->code.n, sizeof *out->ins);
    if (out->ins == NULL)
        return nomem(k);
    for (int64_t j = 0; j < k->code.n; j++) {
        const instruction *i = &k->code.at[j];
        eval_ins *ins = &out->ins[j];
        ins->code = (uint16_t)i->code;
        ins->imm = i->imm;
        ins->index = i->index;
        ins->fn = k->n == 1 && eval_one[i->code] != NULL ? eval_one[i->code] : k->c->program->simd->fn[i->code];
        for (int q = 0; q < 4; q++)
            TRY(finish_read(k, &i->p[q], q, ins));
        mark_same(i, ins);
        TRY(finish_write(k, i, ins));
    }
    return PERI_OK;
}

/* Constants are spread now; scalars that are computed or given, whenever the kernel starts. */
static peri_status finish_cells(kernel *k)
{
    eval_compiler *c = k->c;
    eval_kernel *out = k->out;
    out->cells = arena_array(&c->program->data, (size_t)k->cells.n, sizeof *out->cells);
    double *spread = arena_array(&c->program->data, (size_t)(k->cells.n * EVAL_LANES), sizeof *spread);
    if (out->cells == NULL || spread == NULL)
        return nomem(k);
    for (int64_t j = 0; j < k->cells.n; j++) {
        const struct scalar *s = &k->cells.at[j];
        out->cells[j].cell = spread + j * EVAL_LANES;
        for (int l = 0; l < EVAL_LANES; l++)
            out->cells[j].cell[l] = s->value;
        if (!s->constant)
            TRY(eval_point(c, &out->cells[j].from, s->place));
    }
    out->n_cells = k->cells.n;
    return PERI_OK;
}

static peri_status finish_sums(kernel *k)
{
    eval_compiler *c = k->c;
    eval_kernel *out = k->out;
    out->n_accs = k->sums.n;
    out->accs = arena_array(&c->program->data, (size_t)k->sums.n, sizeof *out->accs);
    if (out->accs == NULL)
        return nomem(k);
    for (int64_t j = 0; j < k->sums.n; j++) {
        TRY(eval_point(c, &out->accs[j].lanes, lanes_place(k, j)));
        out->accs[j].op = expr_at(c->g, k->sums.at[j]->node)->op;
        TRY(eval_point(c, &out->accs[j].out, k->sums.at[j]->place));
    }
    return PERI_OK;
}

/* What split.c has to know of the scatters. */
static peri_status finish_scatters(kernel *k)
{
    eval_compiler *c = k->c;
    eval_group *group = &c->groups.at[k->group];
    int64_t n = 0;
    for (int64_t j = 0; j < k->code.n; j++)
        n += k->code.at[j].scatter != NULL;
    group->scatters = arena_array(&c->data, (size_t)n, sizeof *group->scatters);
    if (group->scatters == NULL)
        return nomem(k);
    for (int64_t j = 0; j < k->code.n; j++) {
        const instruction *i = &k->code.at[j];
        const eval_sink *s = i->scatter;
        if (s == NULL)
            continue;
        const expr_node *node = expr_at(c->g, s->node);
        const int32_t *list = c->g->lists.at[c->g->args.at[node->many.list + node->many.n + s->arg]].at;
        const bool rows = i->code == EVAL_ADD_GRID && i->imm == 0, runs = i->code == EVAL_ADD_RUNS, woven = i->code == EVAL_WEAVE;
        group->scatters[group->n_scatters++] = (struct eval_scatter){
            (int32_t)j, i->there, s->stores, s->node, s->place, list, rows ? i->index[0] : runs ? k->n : 0, woven ? i->index : NULL,
            i->dst.place.offset - s->place.offset};
    }
    return PERI_OK;
}

static peri_status finish_zeros(kernel *k)
{
    eval_compiler *c = k->c;
    const eval_group *group = &c->groups.at[k->group];
    k->out->n_zeros = group->zeros.n;
    k->out->zeros = arena_array(&c->program->data, (size_t)group->zeros.n, sizeof *k->out->zeros);
    if (k->out->zeros == NULL)
        return nomem(k);
    for (int64_t j = 0; j < group->zeros.n; j++) {
        k->out->zeros[j].n = group->zeros.at[j].n;
        k->out->zeros[j].from = group->zeros.at[j].from;
        TRY(eval_point(c, &k->out->zeros[j].at, group->zeros.at[j].place));
    }
    return PERI_OK;
}

enum { LARGE = 1 << 15, MOST_STREAMS = 8 }; /* numbers of all streams together: beyond that they come from far away */

typedef struct {
    int64_t n;
    eval_place place[MOST_STREAMS];
    bool writes[MOST_STREAMS];
} stream_list;

/* Arrays that differ by a few entries are one stream. */
static void note_stream(stream_list *t, const operand *o, bool writes)
{
    int64_t j = 0;
    if (o->form != FORM_ARRAY)
        return;
    while (j < t->n && (t->place[j].base != o->place.base || t->place[j].fixed != o->place.fixed ||
                        llabs(t->place[j].offset - o->place.offset) >= EVAL_BLOCK_UNIT))
        j++;
    if (j == MOST_STREAMS)
        return;
    t->writes[j] = writes || (j < t->n && t->writes[j]);
    if (j == t->n)
        t->place[t->n++] = o->place;
}

static peri_status finish_streams(kernel *k)
{
    eval_kernel *out = k->out;
    stream_list t = {.n = 0};
    for (int64_t j = 0; j < k->code.n; j++) {
        const instruction *i = &k->code.at[j];
        if (!i->stays) {
            note_stream(&t, &i->dst, true);
            note_stream(&t, &i->dst2, true);
        }
        for (int q = 0; q < 4 && i->code != EVAL_LOAD_LIST && i->code != EVAL_LOAD_STRIDED && i->code != EVAL_LOAD_GRID; q++)
            note_stream(&t, &i->p[q], false);
    }
    if (t.n * k->n < LARGE)
        return PERI_OK;
    out->streams = arena_array(&k->c->program->data, (size_t)t.n, sizeof *out->streams);
    if (out->streams == NULL)
        return nomem(k);
    out->n_streams = t.n;
    for (int64_t j = 0; j < t.n; j++) {
        out->streams[j].writes = t.writes[j];
        TRY(eval_point(k->c, &out->streams[j].at, t.place[j]));
    }
    return PERI_OK;
}

static peri_status emit_sinks(kernel *k, int64_t n, const eval_sink *sinks)
{
    operand minus_one;
    TRY(cell_of(k, (struct scalar){true, -1, {BASE_NONE, 0, NULL}}, &minus_one));
    TRY(extra_ref(k, minus_one, &k->minus_one));
    for (int64_t j = 0; j < n; j++) {
        const eval_sink *s = &sinks[j];
        if (s->woven < 0)
            continue;
        if (s->woven > 0) {
            const eval_sink *together[4] = {s, &sinks[j + 1], &sinks[j + 2 < n ? j + 2 : j], &sinks[j + 3 < n ? j + 3 : j]};
            TRY(emit_weave(k, s->woven, together));
            continue;
        }
        TRY(s->kind == SINK_STORE ? emit_store(k, s) : s->kind == SINK_REDUCE ? emit_reduce(k, s) : emit_scatter(k, s));
    }
    return PERI_OK;
}

static peri_status finish(kernel *k)
{
    TRY(allocate(k));
    choose_block(k);
    TRY(finish_cells(k));
    TRY(finish_sums(k));
    TRY(finish_zeros(k));
    TRY(finish_streams(k));
    TRY(finish_scatters(k));
    TRY(finish_code(k));
    return eval_cut_kernel(k->c, k->out);
}

peri_status eval_compile_kernel(eval_compiler *c, int32_t group, int64_t n_sinks, const eval_sink *sinks, eval_kernel *out)
{
    kernel k = {.c = c, .group = group, .n = c->groups.at[group].size, .stamp = (int64_t)group + 1, .out = out};
    hash_init(&k.cell_number, c->m);
    out->n = k.n;
    out->level = c->groups.at[group].level;
    peri_status status = emit_sinks(&k, n_sinks, sinks);
    if (status == PERI_OK)
        status = finish(&k);
    vec_free(c->m, &k.code);
    vec_free(c->m, &k.extra);
    vec_free(c->m, &k.stack);
    vec_free(c->m, &k.cells);
    hash_release(&k.cell_number);
    vec_free(c->m, &k.sums);
    return status;
}
