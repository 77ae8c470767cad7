/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_values.c - where values are while a run's code is written: which item wants them next, what their addresses are, which vector register holds them.
 * The value that is wanted last goes to the stack when there are too few. Invariant: a register that is locked or reserved is not given away.
 */
#include "eval/machine_emit.h"

/* ---- uses ---------------------------------------------------------------------------------------------------------------- */

void emit_find_uses(emitter *e)
{
    const int n = (int)e->r->n_items;
    int count[MOST_ITEMS] = {0}, total = 0;
    const int32_t *arg;
    for (int t = 0; t < n; t++)
        for (int q = run_args(e->r, item(e, t), &arg) - 1; q >= 0; q--)
            count[arg[q]]++;
    for (int t = 0; t < n; t++) {
        e->first_use[t] = e->cursor[t] = total;
        total += count[t];
    }
    e->first_use[n] = total;
    for (int t = 0; t < n; t++)
        for (int q = run_args(e->r, item(e, t), &arg) - 1; q >= 0; q--)
            e->use[e->cursor[arg[q]]++] = t;
}

/* Of value v after item t: which item uses it next? */
static int next_use(emitter *e, int32_t v, int t)
{
    while (e->cursor[v] < e->first_use[v + 1] && e->use[e->cursor[v]] <= t)
        e->cursor[v]++;
    return e->cursor[v] < e->first_use[v + 1] ? e->use[e->cursor[v]] : NEVER;
}

/* Read from memory whenever it is wanted: nothing that the run writes is there. */
bool emit_is_lazy(const emitter *e, int32_t v)
{
    const run_item *i = item(e, v);
    return i->code == ITEM_CELL || i->code == ITEM_CONSTANT || (i->code == ITEM_LOAD && e->r->base[i->base].writes == 0) ||
           (i->code == ITEM_REGISTER && !e->r->changed[i->imm]);
}

/* ---- addresses ------------------------------------------------------------------------------------------------------------ */

int emit_base(emitter *e, int32_t base)
{
    if (e->general[base] != NOWHERE)
        return e->general[base];
    const bool slides = e->by_rows && e->r->base[base].by != NULL;
    x86_load64(e->x, REG_ADDRESS, slides ? row_state(ROW_BASES + base) : x86_mem(REG_CODE, -1, 0, (int32_t)e->r->base[base].field));
    return REG_ADDRESS;
}

static int index_register(const emitter *e)
{
    return is_one(e) ? -1 : REG_AT;
}

/* Of an array's entry for the first instance of this part. */
x86_rm emit_array_address(emitter *e, const run_item *i, int32_t ahead)
{
    const int base = emit_base(e, i->base);
    return x86_mem(base, index_register(e), 3, displacement(e, i) + (e->part * e->width + ahead) * 8);
}

static x86_rm second_cell(const emitter *e, const run_item *i)
{
    int number = 0;
    for (const run_item *k = e->r->item; k < i; k++)
        number += k->code == ITEM_CELL && k->imm > 0 && e->pinned[k - e->r->item] == NOWHERE;
    return kept_address(2 + MOST_CARRIES + 2 * MOST_SUMS + number);
}

/* The second of two rows has cells of its own. */
x86_rm emit_cell_address(emitter *e, const run_item *i)
{
    if (i->code == ITEM_CELL && i->imm > 0)
        return second_cell(e, i);
    const int base = emit_base(e, i->base);
    return x86_mem(base, -1, 0, displacement(e, i));
}

x86_rm emit_constant_address(const emitter *e, int which)
{
    return x86_mem(X86_HERE, -1, 0, (int32_t)e->constants[which]);
}

static x86_rm slot_address(const emitter *e, int32_t v)
{
    return x86_mem(RSP, -1, 0, e->slot[v] * VECTOR_BYTES);
}

static x86_rm lazy_address(emitter *e, int32_t v)
{
    const run_item *i = item(e, v);
    return i->code == ITEM_CONSTANT ? emit_constant_address(e, i->imm) : i->code == ITEM_CELL ? emit_cell_address(e, i) : emit_array_address(e, i, 0);
}

/* Entry of the instance `lane` behind the first one; before it, emit_begin_strided(). */
x86_rm emit_strided_address(emitter *e, const run_item *i, int32_t stride, int32_t lane)
{
    const int base = emit_base(e, i->base);
    return x86_mem(base, is_one(e) ? -1 : REG_INDEX, 3, displacement(e, i) + (e->part * e->width + lane) * stride * 8);
}

void emit_begin_strided(emitter *e, int32_t stride)
{
    if (!is_one(e))
        x86_multiply(e->x, REG_INDEX, REG_AT, stride);
}

x86_rm emit_list_address(emitter *e, const run_item *i, int32_t lane, int32_t k)
{
    const int pairs = i->code == ITEM_ADD_PAIRS, ahead = e->part * e->width + lane;
    if (e->pack != NOWHERE)
        x86_load_index(e->x, REG_INDEX, x86_mem(e->pack, -1, 0, (ahead * e->r->pack_width + e->r->base[i->list].in_pack + k) * 4));
    else {
        const int list = emit_base(e, i->list);
        x86_load_index(e->x, REG_INDEX, x86_mem(list, index_register(e), 2 + pairs, ((ahead << pairs) + k) * 4));
    }
    const int base = emit_base(e, i->base);
    return x86_mem(base, REG_INDEX, 3, displacement(e, i));
}

/* Entries of arrays and registers, for the instances that there are. */
void emit_move(emitter *e, x86_op op, int reg, x86_rm rm)
{
    if (e->masked)
        x86_vector_masked(e->x, op, e->length, reg, 0, rm, REST);
    else
        x86_vector(e->x, op, e->length, reg, 0, rm, 0);
}

/* ---- vector registers -------------------------------------------------------------------------------------------------------- */

static void drop(emitter *e, int32_t v)
{
    if (e->at[v] == NOWHERE || e->pinned[v] != NOWHERE)
        return;
    e->held[e->at[v]] = FREE;
    e->at[v] = NOWHERE;
}

static void evict(emitter *e, int32_t v)
{
    if (!emit_is_lazy(e, v) && e->slot[v] == NOWHERE) {
        e->slot[v] = e->n_slots++;
        e->failed = e->failed || e->n_slots > MOST_SLOTS;
        x86_vector(e->x, X86_STORE, e->length, e->at[v], 0, slot_address(e, v), 0);
    }
    drop(e, v);
}

/* A register that is free, or made free by giving up the value that is wanted last. */
int emit_take(emitter *e, int t)
{
    int worst = -1, latest = -1;
    for (int k = 0; k < e->n_regs; k++) {
        if ((e->locked | e->reserved) >> k & 1)
            continue;
        if (e->held[k] == FREE)
            return k;
        const int next = next_use(e, e->held[k], t - 1);
        if (next > latest) {
            latest = next;
            worst = k;
        }
    }
    if (worst < 0) {
        e->failed = true;
        return 0;
    }
    evict(e, e->held[worst]);
    return worst;
}

void emit_hold(emitter *e, int32_t v, int reg)
{
    e->held[reg] = v;
    e->at[v] = reg;
}

static bool is_in_array(const emitter *e, int32_t v)
{
    return item(e, v)->code == ITEM_LOAD || item(e, v)->code == ITEM_REGISTER;
}

/* v in a register, which is locked. */
int emit_wanted(emitter *e, int32_t v, int t)
{
    if (e->at[v] == NOWHERE) {
        const int reg = emit_take(e, t);
        if (e->slot[v] != NOWHERE || !is_in_array(e, v))
            x86_vector(e->x, X86_LOAD, e->length, reg, 0, e->slot[v] != NOWHERE ? slot_address(e, v) : lazy_address(e, v), 0);
        else
            emit_move(e, X86_LOAD, reg, lazy_address(e, v));
        emit_hold(e, v, reg);
    }
    lock(e, e->at[v]);
    return e->at[v];
}

/* As the last operand of an instruction, which may be in memory: there it stays when nobody wants it afterwards. */
bool emit_stays(emitter *e, int32_t v, int t)
{
    const int code = item(e, v)->code;
    if (e->at[v] != NOWHERE || (e->masked && is_in_array(e, v) && e->slot[v] == NOWHERE))
        return false;
    return code == ITEM_CELL || code == ITEM_CONSTANT || next_use(e, v, t) == NEVER;
}

x86_rm emit_memory_operand(emitter *e, int32_t v)
{
    return e->slot[v] != NOWHERE ? slot_address(e, v) : lazy_address(e, v);
}

void emit_done(emitter *e, int t)
{
    const int32_t *arg;
    for (int q = run_args(e->r, item(e, t), &arg) - 1; q >= 0; q--) {
        const int32_t v = arg[q];
        if (next_use(e, v, t) == NEVER) {
            if (e->at[v] != NOWHERE)
                e->locked &= ~(1u << e->at[v]);
            drop(e, v);
        }
    }
}

int emit_taken(emitter *e, int t)
{
    const int reg = emit_take(e, t);
    lock(e, reg);
    return reg;
}

/* ---- what stays in registers -------------------------------------------------------------------------------------------------------- */

/* The most values that are alive at once, cells and constants apart. */
static int count_alive(const emitter *e)
{
    int most = 0, now = 0;
    int ends[MOST_ITEMS] = {0};
    for (int t = 0; t < e->r->n_items; t++) {
        const int code = item(e, t)->code, uses = count_uses(e, t);
        now -= ends[t];
        if (code > LAST_VALUE || code == ITEM_CELL || code == ITEM_CONSTANT || uses == 0 || (emit_is_lazy(e, t) && uses == 1))
            continue;
        ends[e->use[e->first_use[t + 1] - 1]]++;
        now++;
        most = now > most ? now : most;
    }
    return most;
}

static int spare_registers(const emitter *e)
{
    int temporary = 2;
    for (int t = 0; t < e->r->n_items; t++) {
        const int code = item(e, t)->code;
        if (code == ITEM_STRIDED || code == ITEM_LIST || (code >= ITEM_STORE_STRIDED && code <= ITEM_WEAVE))
            temporary = 6;
    }
    return e->n_regs - temporary - count_alive(e);
}

static int reserve(emitter *e, int n)
{
    int first = e->n_regs - n;
    while ((e->reserved >> first & ((1u << n) - 1)) != 0)
        first--;
    e->reserved |= ((1u << n) - 1) << first;
    return first;
}

enum { FEWEST_FREE = 6 };

/* Of a cell, by each vector: what scales a sum is wanted once a block. */
static int uses_by_vectors(const emitter *e, int t)
{
    int n = item(e, t)->code == ITEM_CELL ? count_uses(e, t) : 0;
    for (int u = e->first_use[t]; u < e->first_use[t + 1] && n > 0; u++)
        n -= is_scaled(item(e, e->use[u])) && item(e, e->use[u])->arg[1] == t;
    return n;
}

static int count_pinned(const emitter *e)
{
    int n = 0;
    for (int t = 0; t < e->r->n_items; t++)
        n += uses_by_vectors(e, t) > 0;
    return n;
}

static void pin_cells(emitter *e, int spare)
{
    for (; spare > 0; spare--) {
        int best = -1;
        for (int t = 0; t < e->r->n_items; t++)
            if (e->pinned[t] == NOWHERE && uses_by_vectors(e, t) > (best < 0 ? 0 : uses_by_vectors(e, best)))
                best = t;
        if (best < 0)
            return;
        e->pinned[best] = reserve(e, 1);
    }
}

bool emit_has_room(const emitter *e)
{
    for (int t = 0; t < e->r->n_items; t++)
        if (uses_by_vectors(e, t) > 0 && e->pinned[t] == NOWHERE)
            return false;
    return e->static_lanes;
}

/* What is left as a part of a vector: entries by themselves have no masks, and before the first vector more than one entry may not be there. */
bool emit_can_mask(const emitter *e)
{
    bool can = e->x->evex;
    for (int t = 0; t < e->r->n_items; t++) {
        const int code = item(e, t)->code;
        can = can && code != ITEM_STRIDED && code != ITEM_LIST && !(code >= ITEM_STORE_STRIDED && code <= ITEM_TABLE);
    }
    for (int64_t k = 0; k < e->r->n_carries; k++)
        can = can && e->distance[k] <= 1;
    return can;
}

/* Of two kinds of units, one adds, one multiplies, both at once: how many sums are better made by the others? */
static int count_fused(const emitter *e)
{
    int adds = 0, products = 0;
    for (int t = 0; t < e->r->n_items; t++) {
        const int code = item(e, t)->code;
        adds += code == ITEM_SUM || code == ITEM_ROW_SUM || ((code == ITEM_ADD || code == ITEM_SUB) && count_uses(e, t) > 0);
        products += (code == ITEM_MUL || code == ITEM_FMA) && count_uses(e, t) > 0;
        for (int q = 0; q < 4 && code == ITEM_WATCH; q++)
            products += item(e, t)->arg[q] >= 0;
    }
    const int more = (adds - products) / 2;
    return more < 0 ? 0 : more < e->n_sums ? more : e->n_sums;
}

static void find_distances(emitter *e)
{
    for (int t = 0; t < e->r->n_items; t++) {
        const run_item *i = item(e, t);
        e->pinned[t] = NOWHERE;
        e->has_sums = e->has_sums || i->code == ITEM_SUM;
        e->wants_start = e->wants_start || emit_has_heads(e, i);
        e->has_watch = e->has_watch || i->code == ITEM_WATCH;
        if (i->code == ITEM_SHIFT && i->imm > e->distance[i->list])
            e->distance[i->list] = i->imm;
    }
}

static void reserve_sums(emitter *e, int *spare)
{
    const int parts = EVAL_LANES / e->full;
    int n = 0;
    for (int t = 0; t < e->r->n_items; t++) {
        n += item(e, t)->code == ITEM_SUM;
        if (item(e, t)->code == ITEM_SUM && *spare >= parts && e->n_sums < MOST_SUMS) {
            e->sum_item[e->n_sums] = t;
            e->sum_reg[e->n_sums++] = reserve(e, parts);
            *spare -= parts;
        }
    }
    e->static_lanes = n == e->n_sums && emit_can_mask(e);
    e->wants_start = e->wants_start || (!e->static_lanes && n + e->n_row_sums > 0);
}

/* One watch at any rate; then cells, ones for sums, what is watched by, more watches. */
static void reserve_constants(emitter *e, int *spare)
{
    const int cells = count_pinned(e), fused = count_fused(e);
    e->large = NOWHERE;
    if (e->has_watch && *spare > 0) {
        e->watch_reg[e->n_watches++] = reserve(e, 1);
        --*spare;
    }
    if (fused > 0 && *spare > cells) {
        e->n_fused = fused;
        e->ones = reserve(e, 1);
        --*spare;
    }
    if (e->n_watches > 0 && *spare > cells) {
        e->large = reserve(e, 1);
        --*spare;
    }
    for (; e->large != NOWHERE && e->n_watches < MOST_WATCHES && *spare > cells; --*spare)
        e->watch_reg[e->n_watches++] = reserve(e, 1);
}

void emit_choose_registers(emitter *e)
{
    find_distances(e);
    if (is_one(e))
        return;
    const int row_parts = EVAL_ROW_LANES / e->full;
    int spare = spare_registers(e);
    for (int k = 0; k < e->r->n_carries; k++, spare--)
        e->carry[k] = reserve(e, 1);
    for (int64_t k = 0; k < e->r->n_row_sums; k++, spare -= row_parts)
        e->row_sum[e->n_row_sums++] = reserve(e, row_parts);
    const int most = e->n_regs - FEWEST_FREE - (int)e->r->n_carries - e->n_row_sums * row_parts;
    spare = spare > most ? most : spare;
    reserve_sums(e, &spare);
    reserve_constants(e, &spare);
    pin_cells(e, spare);
}
