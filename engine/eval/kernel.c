/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.c - one kernel's instructions: tiles are cut out of the expressions and ordered depth first from the sinks; finish.c gives them registers.
 * Invariant: an operation that is not cheap is part of its reader's tile only when nothing else reads it, so that it is computed once.
 */
#include "eval/kernel.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- operands ---------------------------------------------------------------------------------------------------------------- */

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
        const bool same = s.constant ? memcmp(&old->value, &s.value, sizeof s.value) == 0 : eval_same_place(&old->place, &s.place);
        if (old->constant == s.constant && same) {
            *out = (operand){FORM_CELL, (int32_t)i, {BASE_NONE, 0, NULL}, 0};
            return PERI_OK;
        }
    }
    if (!vec_push(k->c->m, &k->cells, s) || !hash_put(&k->cell_number, h, k->cells.n - 1))
        return kernel_nomem(k);
    *out = (operand){FORM_CELL, (int32_t)(k->cells.n - 1), {BASE_NONE, 0, NULL}, 0};
    return PERI_OK;
}

static peri_status scalar_operand(kernel *k, eval_place place, operand *out)
{
    if (place.base == BASE_FIXED)
        return cell_of(k, (struct scalar){true, *place.fixed, {BASE_NONE, 0, NULL}}, out);
    if (k->n == 1) {
        *out = (operand){FORM_ARRAY, 0, place, 0};
        return PERI_OK;
    }
    return cell_of(k, (struct scalar){false, 0, place}, out);
}

static bool is_spread(const kernel *k, expr_id e)
{
    const expr_node *node = expr_at(k->c->g, e);
    return k->c->kind[e] == KIND_VIEW && (node->flags & EXPR_AFFINE) && node->stride == 0;
}

/* The number of the list by which e, an indexed view, is read in place; -1: it is not. */
static int32_t list_in_rows(const kernel *k, expr_id e)
{
    const eval_compiler *c = k->c;
    const expr_node *node = expr_at(c->g, e);
    if (k->rows == NULL || c->kind[e] != KIND_VIEW || (node->flags & EXPR_AFFINE) || c->place[e].base != BASE_NONE || eval_size(c, e) != k->n)
        return -1;
    return eval_row_list(k, c->g->lists.at[node->index].at);
}

/* Does this kernel compute or load e? Otherwise it is in memory, or a scalar. */
static bool is_made_here(const kernel *k, expr_id e)
{
    const eval_compiler *c = k->c;
    if (c->kind[e] == KIND_VALUE)
        return c->home[e] == k->group;
    if (c->kind[e] != KIND_VIEW || eval_is_contiguous(c, e) || eval_size(c, e) != k->n || is_spread(k, e) || list_in_rows(k, e) >= 0)
        return false;
    return c->place[e].base == BASE_NONE || c->level[e] + 1 >= c->groups.at[k->group].level;
}

static bool is_ready(const kernel *k, ref r)
{
    return r < 0 || !is_made_here(k, r) || k->c->stamp[r] == k->stamp;
}

static peri_status row_operand(kernel *k, expr_id e, int32_t list, operand *out)
{
    const eval_place source = k->c->place[eval_arg(k->c, expr_at(k->c->g, e)->arg[0])];
    const int32_t *by;
    *out = (operand){FORM_ARRAY, 0, source, list + 1};
    if (k->lists.at[list].step == 1)
        return PERI_OK;
    TRY(eval_row_offsets(k, list, &by));
    *out = (operand){FORM_ROW, 0, {BASE_NONE, 0, NULL}, 0};
    return eval_row_cell(k, source, by, &out->at);
}

/* An array with an entry for each instance; constants that are the same in a row are one number there. */
static peri_status array_operand(kernel *k, expr_id e, operand *out)
{
    const eval_place place = k->c->place[e];
    *out = (operand){FORM_ARRAY, 0, place, 0};
    if (k->rows == NULL || place.base != BASE_FIXED || k->c->kind[e] != KIND_SOURCE || eval_size(k->c, e) != k->n ||
        !eval_same_in_rows(k->rows, place.fixed))
        return PERI_OK;
    *out = (operand){FORM_ROW, 0, {BASE_NONE, 0, NULL}, 0};
    return eval_row_cell(k, place, k->rows->start, &out->at);
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
        *out = c->place[r].base != BASE_NONE ? (operand){FORM_ARRAY, 0, c->place[r], 0} : (operand){FORM_REG, c->reg[r], {BASE_NONE, 0, NULL}, 0};
        return PERI_OK;
    }
    const int32_t list = list_in_rows(k, r);
    if (list >= 0)
        return row_operand(k, r, list, out);
    if (is_spread(k, r)) {
        const expr_node *node = expr_at(c->g, r);
        return scalar_operand(k, moved(c->place[eval_arg(c, node->arg[0])], node->first), out);
    }
    if (eval_size(c, r) == 1)
        return scalar_operand(k, c->place[r], out);
    return array_operand(k, r, out);
}

static peri_status extra_ref(kernel *k, operand o, ref *out)
{
    *out = (ref)(-1 - k->extra.n);
    return vec_push(k->c->m, &k->extra, o) ? PERI_OK : kernel_nomem(k);
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
    return (operand){FORM_REG, k->n_regs++, {BASE_NONE, 0, NULL}, 0};
}

static operand target_of(kernel *k, expr_id e)
{
    k->c->stamp[e] = k->stamp;
    return k->c->place[e].base != BASE_NONE ? (operand){FORM_ARRAY, 0, k->c->place[e], 0} : new_reg(k, e);
}

static peri_status emit_tile(kernel *k, const tile *t, instruction i)
{
    i.code = t->code;
    i.imm = t->imm;
    for (int32_t j = 0; j < t->n; j++)
        TRY(operand_of(k, t->leaf[j], &i.p[j]));
    return vec_push(k->c->m, &k->code, i) ? PERI_OK : kernel_nomem(k);
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
        return kernel_nomem(k);
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
    i->p[0] = (operand){FORM_ARRAY, 0, from, 0};
    return PERI_OK;
}

static peri_status emit_view(kernel *k, expr_id e)
{
    instruction i = {0};
    TRY(view_instruction(k, e, &i));
    i.dst = target_of(k, e);
    return vec_push(k->c->m, &k->code, i) ? PERI_OK : kernel_nomem(k);
}

static peri_status push(kernel *k, expr_id e)
{
    frame f = {e, 0, {0, 0, 0, {0, 0, 0, 0}}};
    if (k->c->kind[e] == KIND_VALUE)
        f.t = tile_of(k, e);
    return vec_push(k->c->m, &k->stack, f) ? PERI_OK : kernel_nomem(k);
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

/* A gather that nothing else reads goes straight to where it is wanted. */
static bool is_view_for_it(const kernel *k, expr_id e)
{
    return k->c->kind[e] == KIND_VIEW && is_made_here(k, e) && !is_ready(k, e) && k->c->uses[e] == 1;
}

static peri_status emit_store(kernel *k, const eval_sink *s)
{
    const eval_compiler *c = k->c;
    instruction i = {0};
    if (is_made_here(k, s->value) && eval_same_place(&c->place[s->value], &s->place))
        return make(k, s->value);
    if (is_view_for_it(k, s->value)) {
        TRY(view_instruction(k, s->value, &i));
        i.dst = (operand){FORM_ARRAY, 0, s->place, 0};
        return vec_push(c->m, &k->code, i) ? PERI_OK : kernel_nomem(k);
    }
    const tile t = {EVAL_COPY, 0, 1, {s->value, 0, 0, 0}};
    TRY(make(k, s->value));
    i.dst = (operand){FORM_ARRAY, 0, s->place, 0};
    return emit_tile(k, &t, i);
}

static bool is_factor(const operand *o)
{
    return o->form == FORM_CELL || o->form == FORM_ROW;
}

/* Operand q is left out: the others are those of `code`. */
static operand without(instruction *i, int32_t q, int32_t code)
{
    const operand factor = i->p[q];
    for (; q < 3; q++)
        i->p[q] = i->p[q + 1];
    i->code = code;
    return factor;
}

/*
 * What all terms of the sum, or all of a row, are multiplied by, the sum is instead: once for a kernel, or once for a block. Where rows have one length, sums
 * are made by blocks in any case, so that two rows can be worked on at once.
 */
static peri_status take_factor(kernel *k, instruction *i, struct sum *s)
{
    const int32_t o1 = (i->code - EVAL_SUM_T2) / 4, o2 = (i->code - EVAL_SUM_T2) % 4;
    operand factor = {0};
    if (k->n == 1)
        return PERI_OK;
    if (i->code == EVAL_SUM_T1 + EVAL_MUL && is_factor(&i->p[0]) != is_factor(&i->p[1]))
        factor = without(i, is_factor(&i->p[1]), EVAL_SUM_ACC);
    else if (i->code >= EVAL_SUM_T2 && o2 == EVAL_MUL && is_factor(&i->p[2]))
        factor = without(i, 2, EVAL_SUM_T1 + o1);
    else if (i->code >= EVAL_SUM_T2 && o1 == EVAL_MUL && o2 == EVAL_MUL && is_factor(&i->p[0]) != is_factor(&i->p[1]))
        factor = without(i, is_factor(&i->p[1]), EVAL_SUM_T1 + EVAL_MUL);
    if (factor.form == FORM_CELL)
        s->scale = factor.at;
    const bool by_blocks = factor.form == FORM_ROW || (k->rows != NULL && k->rows->period > 0 && i->code < EVAL_SUM_T2);
    if (!by_blocks)
        return PERI_OK;
    if (factor.form != FORM_ROW)
        TRY(cell_of(k, (struct scalar){true, 1, {BASE_NONE, 0, NULL}}, &factor));
    i->p[3] = factor;
    i->code = i->code == EVAL_SUM_ACC ? EVAL_SCALED_ACC : EVAL_SCALED_T1 + i->code - EVAL_SUM_T1;
    return PERI_OK;
}

static peri_status emit_reduce(kernel *k, const eval_sink *s)
{
    const int op = expr_at(k->c->g, s->node)->op;
    tile t = {op == PERI_OP_MAX ? EVAL_MAX_ACC : EVAL_MIN_ACC, 0, 1, {s->value, 0, 0, 0}};
    if (op == PERI_OP_SUM)
        t = cut_sum(k, s->value);
    instruction i = {.stays = true, .imm = 0};
    i.dst = (operand){FORM_NONE, (int32_t)k->sums.n, {BASE_NONE, 0, NULL}, 0};
    TRY(make_leaves(k, &t));
    const struct sum sum = {s, -1};
    if (!vec_push(k->c->m, &k->sums, sum))
        return kernel_nomem(k);
    TRY(emit_tile(k, &t, i));
    return op == PERI_OP_SUM ? take_factor(k, &k->code.at[k->code.n - 1], &k->sums.at[k->sums.n - 1]) : PERI_OK;
}

/* Each index eight times in a row, on average: an addition that waits for the one before costs more than finding the runs. */
static bool has_runs(const expr_list *list)
{
    int64_t runs = 1;
    for (int64_t k = 1; k < list->n; k++)
        runs += list->at[k] != list->at[k - 1];
    return 8 * runs <= list->n;
}

/* Sums by rows: each is added to one place. */
static peri_status emit_row_sums(kernel *k, const eval_sink *s, int32_t list)
{
    static const int32_t one_row[2] = {INT32_MAX, 0};
    instruction i = {.stays = true, .scatter = s, .index = one_row, .dst = {FORM_ARRAY, 0, s->place, list + 1}};
    const tile t = {EVAL_ADD_GRID, 0, 1, {s->value, 0, 0, 0}};
    TRY(make(k, s->value));
    return emit_tile(k, &t, i);
}

static peri_status emit_scatter_list(kernel *k, const eval_sink *s)
{
    const eval_compiler *c = k->c;
    const expr_node *node = expr_at(c->g, s->node);
    instruction i = {.stays = true, .scatter = s, .alone = s->alone || s->apart};
    tile t = {0, s->stride, 1, {s->value, 0, 0, 0}};
    i.dst = (operand){FORM_ARRAY, 0, s->place, 0};
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

static bool adds_by_list(const kernel *k, const eval_sink *s)
{
    int32_t inner, grid[2];
    const expr_list *list = eval_sink_list(k->c, s);
    if (s->affine || s->stores || has_runs(list) || (k->rows != NULL && eval_row_list(k, list->at) >= 0))
        return false;
    return list->n <= 2 * SHORTEST_ROW || !find_grid(list, &inner, grid);
}

/* The place of the other sink that shares places with number j, where both add by lists; -1: none. */
static int64_t partner_of(const kernel *k, int64_t n, const eval_sink *sinks, int64_t j)
{
    const eval_sink *s = &sinks[j];
    for (int64_t i = 0; i < n && s->partner > 0; i++)
        if (sinks[i].kind == SINK_SCATTER && sinks[i].node == s->node && sinks[i].arg == s->partner - 1)
            return adds_by_list(k, s) && adds_by_list(k, &sinks[i]) ? i : -1;
    return -1;
}

static peri_status emit_pair(kernel *k, const eval_sink *s, const eval_sink *other)
{
    const int32_t *const at[2] = {eval_sink_list(k->c, s)->at, eval_sink_list(k->c, other)->at};
    int32_t *index = arena_array(&k->c->program->data, 2 * (size_t)k->n, sizeof *index);
    instruction i = {.stays = true, .scatter = s, .alone = true, .index = index, .dst = {FORM_ARRAY, 0, s->place, 0}};
    const tile t = {EVAL_ADD_PAIRS, 0, 2, {s->value, other->value, 0, 0}};
    if (index == NULL)
        return kernel_nomem(k);
    for (int64_t q = 0; q < 2 * k->n; q++)
        index[q] = at[q % 2][q / 2];
    TRY(make_leaves(k, &t));
    return emit_tile(k, &t, i);
}

/* To neighbouring entries, of all or in each row: the last operation of the value writes, or adds, there itself. */
static peri_status emit_scatter(kernel *k, const eval_sink *s)
{
    const eval_compiler *c = k->c;
    ref there;
    const int32_t list = s->affine || k->rows == NULL ? -1 : eval_row_list(k, eval_sink_list(c, s)->at);
    if (list >= 0 && k->lists.at[list].step == 0 && !s->stores)
        return emit_row_sums(k, s, list);
    if (list < 0 ? !s->affine || s->stride != 1 : k->lists.at[list].step == 0)
        return emit_scatter_list(k, s);
    instruction i = {.dst = {FORM_ARRAY, 0, s->place, list + 1}, .scatter = s, .alone = s->alone};
    i.dst.place.offset += list >= 0 ? 0 : s->first;
    if (s->stores && list < 0 && is_view_for_it(k, s->value)) {
        const operand to = i.dst;
        TRY(view_instruction(k, s->value, &i));
        i.dst = to;
        return vec_push(c->m, &k->code, i) ? PERI_OK : kernel_nomem(k);
    }
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
        return kernel_nomem(k);
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
    i.dst = (operand){FORM_ARRAY, 0, sinks[0]->place, 0};
    i.dst.place.offset += low;
    TRY(make_leaves(k, &t));
    return emit_tile(k, &t, i);
}

/* How many sinks from the first on are neighbouring lanes, the last place first: 4, 2 or 1. */
static int32_t count_lanes(int64_t n, const eval_sink *s)
{
    int32_t lanes = 1;
    if (s->kind != SINK_SCATTER || !s->alone || !s->affine || s->stride < 2)
        return 1;
    while (lanes < 4 && lanes < s->stride && lanes < n && s[lanes].kind == SINK_SCATTER && s[lanes].node == s->node && s[lanes].alone &&
           s[lanes].affine && s[lanes].stride == s->stride && s[lanes].first == s->first - lanes)
        lanes++;
    return lanes == 3 ? 2 : lanes;
}

static peri_status emit_lanes(kernel *k, int32_t n, const eval_sink *s)
{
    instruction i = {.stays = true, .alone = true, .dst = {FORM_ARRAY, 0, s->place, 0}};
    tile t = {n == 2 ? EVAL_STORE_PAIRS : EVAL_STORE_FOURS, s->stride, n, {0, 0, 0, 0}};
    for (int32_t q = 0; q < n; q++)
        t.leaf[q] = s[n - 1 - q].value;
    i.dst.place.offset += s[n - 1].first;
    TRY(make_leaves(k, &t));
    return emit_tile(k, &t, i);
}

/* Constants between what the kernel stores. */
static peri_status emit_fills(kernel *k)
{
    const eval_group *group = &k->c->groups.at[k->group];
    for (int64_t j = 0; j < group->fills.n; j++) {
        const struct eval_fill *f = &group->fills.at[j];
        int32_t *rows = arena_array(&k->c->program->data, 1, sizeof *rows);
        if (rows == NULL)
            return kernel_nomem(k);
        *rows = f->rows;
        instruction i = {.code = EVAL_FILL, .imm = f->stride, .index = rows, .stays = true, .dst = {FORM_ARRAY, 0, f->place, 0}};
        i.p[0] = (operand){FORM_ARRAY, 0, {BASE_FIXED, 0, f->from}, 0};
        if (!vec_push(k->c->m, &k->code, i))
            return kernel_nomem(k);
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
        const int32_t lanes = count_lanes(n - j, s);
        if (lanes > 1) {
            TRY(emit_lanes(k, lanes, s));
            j += lanes - 1;
            continue;
        }
        const int64_t other = s->kind == SINK_SCATTER ? partner_of(k, n, sinks, j) : -1;
        if (other >= 0) {
            if (other > j)
                TRY(emit_pair(k, s, &sinks[other]));
            continue;
        }
        TRY(s->kind == SINK_STORE ? emit_store(k, s) : s->kind == SINK_REDUCE ? emit_reduce(k, s) : emit_scatter(k, s));
    }
    return PERI_OK;
}

peri_status eval_compile_kernel(eval_compiler *c, int32_t group, int64_t n_sinks, const eval_sink *sinks, eval_kernel *out)
{
    kernel k = {.c = c, .group = group, .n = c->groups.at[group].size, .stamp = (int64_t)group + 1, .out = out};
    hash_init(&k.cell_number, c->m);
    out->n = k.n;
    out->level = c->groups.at[group].level;
    peri_status status = eval_find_rows(&k, n_sinks, sinks);
    if (status == PERI_OK)
        status = emit_fills(&k);
    if (status == PERI_OK)
        status = emit_sinks(&k, n_sinks, sinks);
    if (status == PERI_OK)
        status = eval_finish_kernel(&k);
    if (status == PERI_OK)
        status = eval_plan_zeros(&k, n_sinks, sinks);
    vec_free(c->m, &k.code);
    vec_free(c->m, &k.extra);
    vec_free(c->m, &k.stack);
    vec_free(c->m, &k.cells);
    hash_release(&k.cell_number);
    vec_free(c->m, &k.sums);
    vec_free(c->m, &k.lists);
    vec_free(c->m, &k.row_cells);
    vec_free(c->m, &k.slides);
    return status;
}
