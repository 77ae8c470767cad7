/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_items.c - machine code of one item, for a vector, a part of one, or a single instance. Invariant: operations and roundings are those of the
 * interpreter, in its order.
 */
#include "eval/machine_emit.h"

/* ---- arithmetic ---------------------------------------------------------------------------------------------------------- */

static void emit_binary(emitter *e, int t, x86_op op, int32_t a, int32_t b)
{
    const bool commutes = op == X86_ADD || op == X86_MUL;
    if (commutes && emit_stays(e, a, t) && !emit_stays(e, b, t)) {
        const int32_t swapped = a;
        a = b;
        b = swapped;
    }
    const int first = emit_wanted(e, a, t);
    const bool in_memory = b != a && emit_stays(e, b, t);
    const int second = in_memory ? 0 : emit_wanted(e, b, t);
    emit_done(e, t);
    const int to = emit_take(e, t);
    const x86_rm from = in_memory ? emit_memory_operand(e, b) : x86_reg(second);
    x86_vector(e->x, op, e->length, to, first, from, 0);
    emit_hold(e, t, to);
}

static void emit_sqrt(emitter *e, int t)
{
    const int from = emit_wanted(e, item(e, t)->arg[0], t);
    emit_done(e, t);
    const int to = emit_take(e, t);
    x86_vector(e->x, X86_SQRT, e->length, to, e->length == X86_SCALAR ? from : 0, x86_reg(from), 0);
    emit_hold(e, t, to);
}

static void emit_logic(emitter *e, int t, x86_op op, int which)
{
    const int from = emit_wanted(e, item(e, t)->arg[0], t), length = e->length == X86_SCALAR ? X86_128 : e->length;
    emit_done(e, t);
    const int to = emit_take(e, t);
    x86_vector(e->x, op, length, to, from, emit_constant_address(e, which), 0);
    emit_hold(e, t, to);
}

static void emit_fma(emitter *e, int t)
{
    const run_item *i = item(e, t);
    const int a = emit_wanted(e, i->arg[0], t), b = emit_wanted(e, i->arg[1], t), c = emit_wanted(e, i->arg[2], t), to = emit_take(e, t);
    x86_vector(e->x, X86_MOVE, e->length == X86_SCALAR ? X86_128 : e->length, to, 0, x86_reg(c), 0);
    x86_vector(e->x, X86_FMA231, e->length, to, a, x86_reg(b), 0);
    emit_hold(e, t, to);
    emit_done(e, t);
}

/* ---- entry by entry ------------------------------------------------------------------------------------------------------------ */

static x86_rm entry_address(emitter *e, const run_item *i, int32_t lane)
{
    return run_is_indexed(i->code) ? emit_list_address(e, i, lane, 0) : emit_strided_address(e, i, i->code == ITEM_STRIDED ? i->imm : i->version, lane);
}

/* Two entries into the lower half of 128 bits and the upper. */
static void load_two(emitter *e, const run_item *i, int reg, int32_t lane)
{
    x86_vector(e->x, X86_LOAD, X86_SCALAR, reg, 0, entry_address(e, i, lane), 0);
    x86_vector(e->x, X86_LOAD_HIGH, X86_128, reg, reg, entry_address(e, i, lane + 1), 0);
}

static void load_four(emitter *e, const run_item *i, int reg, int other, int32_t lane)
{
    load_two(e, i, reg, lane);
    load_two(e, i, other, lane + 2);
    x86_vector(e->x, X86_INSERT_128, X86_256, reg, reg, x86_reg(other), 1);
}

/* Every other entry: two vectors, the second of which begins with an odd entry so that nothing is read behind the last one wanted. */
static void emit_every_other(emitter *e, int t)
{
    const run_item *i = item(e, t);
    const int to = emit_taken(e, t), a = emit_taken(e, t);
    emit_begin_strided(e, 2);
    x86_rm low = emit_strided_address(e, i, 2, 0);
    x86_vector(e->x, X86_LOAD, e->length, a, 0, low, 0);
    low.disp += (e->width - 1) * 8;
    if (e->x->evex) {
        x86_vector(e->x, X86_LOAD, e->length, to, 0, emit_constant_address(e, CONSTANT_EVEN), 0);
        x86_vector(e->x, X86_PERMUTE_TWO, e->length, to, a, low, 0);
    } else {
        x86_vector(e->x, X86_SHUFFLE, e->length, to, a, low, 0xa);
        x86_vector(e->x, X86_PERMUTE_256, e->length, to, 0, x86_reg(to), 0xd8);
    }
    emit_hold(e, t, to);
}

static void emit_entries(emitter *e, int t)
{
    const run_item *i = item(e, t);
    if (e->width > 1 && i->code == ITEM_STRIDED && i->imm == 2) {
        emit_every_other(e, t);
        return;
    }
    const int to = emit_taken(e, t);
    if (i->code == ITEM_STRIDED)
        emit_begin_strided(e, i->imm);
    if (e->width == 1)
        x86_vector(e->x, X86_LOAD, X86_SCALAR, to, 0, entry_address(e, i, 0), 0);
    else {
        const int other = emit_taken(e, t);
        load_four(e, i, to, other, 0);
        if (e->width == 8) {
            const int upper = emit_taken(e, t);
            load_four(e, i, upper, other, 4);
            x86_vector(e->x, X86_INSERT_256, X86_512, to, to, x86_reg(upper), 1);
        }
    }
    emit_hold(e, t, to);
}

static void store_entry(emitter *e, const run_item *i, int reg, int32_t lane, bool upper)
{
    const x86_rm to = entry_address(e, i, lane);
    x86_vector(e->x, upper ? X86_STORE_HIGH : X86_STORE, upper ? X86_128 : X86_SCALAR, reg, 0, to, 0);
}

static void add_to(emitter *e, x86_rm to, int reg, int spare)
{
    x86_vector(e->x, X86_ADD, X86_SCALAR, spare, reg, to, 0);
    x86_vector(e->x, X86_STORE, X86_SCALAR, spare, 0, to, 0);
}

/* Numbers `lane` and the next of a vector, as the first two of a register: that, or a copy in `part`. */
static int two_of(emitter *e, int reg, int part, int32_t lane)
{
    if (lane == 0)
        return reg;
    x86_vector(e->x, X86_EXTRACT_128, e->length, reg, 0, x86_reg(part), lane / 2);
    return part;
}

static void emit_scatter(emitter *e, int t)
{
    const run_item *i = item(e, t);
    const bool adds = i->code == ITEM_ADD_STRIDED || i->code == ITEM_ADD_LIST;
    const int v = emit_wanted(e, i->arg[0], t), part = emit_taken(e, t), spare = adds ? emit_taken(e, t) : 0;
    if (!run_is_indexed(i->code))
        emit_begin_strided(e, i->version);
    for (int32_t lane = 0; lane < e->width; lane += 2) {
        const int two = two_of(e, v, part, lane);
        if (!adds) {
            store_entry(e, i, two, lane, false);
            if (e->width > 1)
                store_entry(e, i, two, lane + 1, true);
            continue;
        }
        add_to(e, entry_address(e, i, lane), two, spare);
        if (e->width == 1)
            continue;
        x86_vector(e->x, X86_UNPACK_HIGH, X86_128, part, two, x86_reg(two), 0);
        add_to(e, entry_address(e, i, lane + 1), part, spare);
    }
    emit_done(e, t);
}

static void emit_add_pairs(emitter *e, int t)
{
    const run_item *i = item(e, t);
    const int v[2] = {emit_wanted(e, i->arg[0], t), emit_wanted(e, i->arg[1], t)};
    const int part[2] = {emit_taken(e, t), emit_taken(e, t)}, spare = emit_taken(e, t);
    for (int32_t lane = 0; lane < e->width; lane += 2) {
        int two[2];
        for (int k = 0; k < 2; k++) {
            two[k] = two_of(e, v[k], part[k], lane);
            add_to(e, emit_list_address(e, i, lane, k), two[k], spare);
        }
        for (int k = 0; k < 2 && e->width > 1; k++) {
            x86_vector(e->x, X86_UNPACK_HIGH, X86_128, part[k], two[k], x86_reg(two[k]), 0);
            add_to(e, emit_list_address(e, i, lane + 1, k), part[k], spare);
        }
    }
    emit_done(e, t);
}

/* The pairs of two vectors: even rows in one register, odd rows in another, 128 bits each. */
static void store_pairs(emitter *e, const run_item *i, const int *pair, int32_t to, int part)
{
    for (int32_t row = 0; row < e->width; row++) {
        const int from = two_of(e, pair[row % 2], part, row / 2 * 2);
        x86_rm at = emit_strided_address(e, i, i->version, row);
        at.disp += to * 8;
        x86_vector(e->x, X86_STORE, X86_128, from, 0, at, 0);
    }
}

static void emit_rows(emitter *e, int t)
{
    const run_item *i = item(e, t);
    emit_begin_strided(e, i->version);
    for (int q = 0; q < i->imm; q += e->width == 1 ? 1 : 2) {
        const int a = emit_wanted(e, i->arg[q], t);
        if (e->width == 1) {
            x86_rm at = emit_strided_address(e, i, i->version, 0);
            at.disp += q * 8;
            x86_vector(e->x, X86_STORE, X86_SCALAR, a, 0, at, 0);
            continue;
        }
        const int b = emit_wanted(e, i->arg[q + 1], t), part = emit_taken(e, t), pair[2] = {emit_taken(e, t), emit_taken(e, t)};
        x86_vector(e->x, X86_UNPACK_LOW, e->length, pair[0], a, x86_reg(b), 0);
        x86_vector(e->x, X86_UNPACK_HIGH, e->length, pair[1], a, x86_reg(b), 0);
        store_pairs(e, i, pair, q, part);
        e->locked = 0;
    }
    emit_done(e, t);
}

/* ---- stores, sums, carries ------------------------------------------------------------------------------------------------------- */

static void emit_store(emitter *e, int t)
{
    if (e->width > 1 && !e->masked && item(e, t)->code == ITEM_STORE && item(e, t)->imm > 0) {
        emit_done(e, t);
        return;
    }
    const int v = emit_wanted(e, item(e, t)->arg[0], t);
    emit_move(e, X86_STORE, v, emit_array_address(e, item(e, t), 0));
    emit_done(e, t);
}

static int sum_number(const emitter *e, int t)
{
    for (int k = 0; k < e->n_sums; k++)
        if (e->sum_item[k] == t)
            return k;
    return -1;
}

static int row_number(const emitter *e, int t)
{
    int number = 0;
    for (int k = 0; k < t; k++)
        number += item(e, k)->code == ITEM_ROW_SUM;
    return number;
}

/* Where the lanes are when they are not in registers. */
static x86_rm row_lanes(const emitter *e, int t)
{
    return kept_address(2 + row_number(e, t));
}

/* Of a scaled sum those of a block, else those of all. */
x86_rm emit_lanes(emitter *e, int t)
{
    int number = 0;
    for (int k = 0; k < t; k++)
        number += is_scaled(item(e, k));
    if (!is_scaled(item(e, t)))
        return emit_cell_address(e, item(e, t));
    e->failed = e->failed || number >= MOST_SUMS;
    return kept_address(2 + MOST_CARRIES + 2 * number);
}

/* Of n lanes, the first at `to`: lane 0 of this part, or, where parts are not known when the code is written, the lane of the next instance. */
static x86_rm lane_address(emitter *e, x86_rm to, int n)
{
    if (!e->dynamic_lanes) {
        to.disp += e->lane_part * e->full * 8;
        return to;
    }
    x86_copy(e->x, REG_INDEX, REG_AT);
    x86_subtract(e->x, REG_INDEX, e->start);
    x86_and(e->x, REG_INDEX, n - 1);
    return x86_mem(to.base, REG_INDEX, 3, to.disp);
}

static void add_to_register(emitter *e, int t, x86_op op, int sum, int first)
{
    const int32_t v = item(e, t)->arg[0];
    const x86_rm from = emit_stays(e, v, t) ? emit_memory_operand(e, v) : x86_reg(emit_wanted(e, v, t));
    if (e->masked)
        x86_vector_merged(e->x, op, e->length, sum, first, from, REST);
    else
        x86_vector(e->x, op, e->length, sum, first, from, 0);
}

static void add_to_memory(emitter *e, int t, x86_op op)
{
    const bool is_row = item(e, t)->code == ITEM_ROW_SUM;
    const int v = emit_wanted(e, item(e, t)->arg[0], t), sum = emit_taken(e, t);
    const x86_rm at = lane_address(e, is_row ? row_lanes(e, t) : emit_lanes(e, t), is_row ? EVAL_ROW_LANES : EVAL_LANES);
    emit_move(e, X86_LOAD, sum, at);
    x86_vector(e->x, op, e->length, sum, sum, x86_reg(v), 0);
    emit_move(e, X86_STORE, sum, at);
}

/* sum + 1 v is rounded as sum + v, by units that may have less to do. */
static void emit_sum(emitter *e, int t)
{
    const int number = sum_number(e, t), sum = number >= 0 ? e->sum_reg[number] + e->lane_part : 0;
    if (number < 0 || e->dynamic_lanes)
        add_to_memory(e, t, X86_ADD);
    else if (number < e->n_fused)
        add_to_register(e, t, X86_FMA231, sum, e->ones);
    else
        add_to_register(e, t, X86_ADD, sum, sum);
    emit_done(e, t);
}

/* What was stored for the instances before: the last `distance` of the last vector, and the first of this one. */
static void emit_shift(emitter *e, int t)
{
    const run_item *i = item(e, t);
    if (i->code == ITEM_EARLIER && (e->width == 1 || e->masked))
        return; /* for the weave, which is of whole vectors */
    if (e->width == 1) {
        const int to = emit_taken(e, t);
        x86_vector(e->x, X86_LOAD, X86_SCALAR, to, 0, emit_array_address(e, i, 0), 0);
        emit_hold(e, t, to);
        return;
    }
    const int now = emit_wanted(e, i->arg[0], t), before = e->carry[i->list], to = emit_taken(e, t);
    if (e->x->evex)
        x86_vector(e->x, X86_ALIGN, e->length, to, now, x86_reg(before), e->width - i->imm);
    else {
        x86_vector(e->x, X86_PERMUTE_HALVES, e->length, to, before, x86_reg(now), 0x21);
        if (i->imm == 1)
            x86_vector(e->x, X86_SHUFFLE, e->length, to, to, x86_reg(now), 5);
        else if (i->imm == 3)
            x86_vector(e->x, X86_SHUFFLE, e->length, to, before, x86_reg(to), 5);
    }
    emit_hold(e, t, to);
    emit_done(e, t);
}

static void emit_carry(emitter *e, int t)
{
    const run_item *i = item(e, t);
    if (e->width > 1)
        x86_vector(e->x, X86_MOVE, e->length, e->carry[i->list], 0, x86_reg(emit_wanted(e, i->arg[0], t)), 0);
    emit_done(e, t);
}

/* The last n entries of a vector that are ahead of the next instance, from or to memory. */
static void move_last(emitter *e, const run_item *i, x86_op op, int reg, int n)
{
    const int base = emit_base(e, i->base);
    const x86_rm at = x86_mem(base, REG_AT, 3, displacement(e, i) - e->full * 8);
    x86_number(e->x, REG_INDEX, (1 << e->full) - (1 << (e->full - n)));
    x86_mask(e->x, EDGE, REG_INDEX);
    x86_vector_masked(e->x, op, X86_512, reg, 0, at, EDGE);
}

/* Before the first vector: the places that would have been stored to for instances before it, as they are in memory; where nobody stores, -0. */
void emit_begin_carry(emitter *e, const run_item *i)
{
    const int reg = e->carry[i->list], d = e->distance[i->list];
    if (i->base < 0) {
        x86_vector(e->x, X86_LOAD, e->x->evex ? X86_512 : X86_256, reg, 0, emit_constant_address(e, CONSTANT_SIGN), 0);
        return;
    }
    if (e->x->evex) {
        move_last(e, i, X86_LOAD, reg, d);
        return;
    }
    const int base = emit_base(e, i->base);
    x86_rm at = x86_mem(base, REG_AT, 3, displacement(e, i) - d * 8);
    if (d == 1)
        x86_vector(e->x, X86_BROADCAST, X86_256, reg, 0, at, 0);
    if (d == 3) {
        x86_vector(e->x, X86_LOAD_HIGH, X86_128, reg, reg, at, 0);
        at.disp += 8;
    }
    if (d > 1)
        x86_vector(e->x, X86_INSERT_128, X86_256, reg, reg, at, 1);
}

/* Behind the last vector: what was not stored because the next vector would have stored to the same places. */
void emit_finish_store(emitter *e, const run_item *i)
{
    const int reg = e->carry[i->list], d = i->imm, spare = 0;
    if (e->x->evex) {
        move_last(e, i, X86_STORE, reg, d);
        return;
    }
    const int base = emit_base(e, i->base);
    x86_vector(e->x, X86_EXTRACT_128, X86_256, reg, 0, x86_reg(spare), 1);
    if (d == 1)
        x86_vector(e->x, X86_STORE_HIGH, X86_128, spare, 0, x86_mem(base, REG_AT, 3, displacement(e, i) - 8), 0);
    else
        x86_vector(e->x, X86_STORE, X86_128, spare, 0, x86_mem(base, REG_AT, 3, displacement(e, i) - 16), 0);
    if (d == 3)
        x86_vector(e->x, X86_STORE_HIGH, X86_128, reg, 0, x86_mem(base, REG_AT, 3, displacement(e, i) - 24), 0);
}

/* ---- sums of rows ---------------------------------------------------------------------------------------------------------- */

static void emit_row_sum(emitter *e, int t)
{
    const x86_op op = item(e, t)->imm < 0 ? X86_SUB : X86_ADD;
    const int sum = e->row_sum[row_number(e, t)] + e->lane_part % (EVAL_ROW_LANES / e->full);
    if (e->dynamic_lanes)
        add_to_memory(e, t, op);
    else
        add_to_register(e, t, op, sum, sum);
    emit_done(e, t);
}

static void move_row_sum(emitter *e, int t, x86_op op)
{
    for (int part = 0; part < EVAL_ROW_LANES / e->full; part++) {
        x86_rm at = row_lanes(e, t);
        at.disp += part * e->full * 8;
        x86_vector(e->x, op, vector_length(e), e->row_sum[row_number(e, t)] + part, 0, at, 0);
    }
}

static void begin_scaled_sum(emitter *e, int t)
{
    const int number = sum_number(e, t), length = vector_length(e);
    for (int part = 0; part < EVAL_LANES / e->full; part++) {
        const int reg = e->static_lanes ? e->sum_reg[number] + part : 0;
        x86_rm at = emit_lanes(e, t);
        at.disp += part * e->full * 8;
        x86_vector(e->x, X86_XOR, length, reg, reg, x86_reg(reg), 0);
        if (!e->static_lanes)
            x86_vector(e->x, X86_STORE, length, reg, 0, at, 0);
    }
}

static void finish_scaled_sum(emitter *e, int t)
{
    const run_item *i = item(e, t);
    const int number = sum_number(e, t), length = vector_length(e), sum = 0, scale = 1;
    if (e->pinned[i->arg[1]] == NOWHERE)
        x86_vector(e->x, X86_LOAD, length, scale, 0, emit_cell_address(e, item(e, i->arg[1])), 0);
    for (int part = 0; part < EVAL_LANES / e->full; part++) {
        x86_rm block = e->static_lanes ? x86_reg(e->sum_reg[number] + part) : emit_lanes(e, t), to = emit_cell_address(e, i);
        block.disp += e->static_lanes ? 0 : part * e->full * 8;
        to.disp += part * e->full * 8;
        x86_vector(e->x, X86_MUL, length, sum, e->pinned[i->arg[1]] != NOWHERE ? e->pinned[i->arg[1]] : scale, block, 0);
        x86_vector(e->x, X86_ADD, length, sum, sum, to, 0);
        x86_vector(e->x, X86_STORE, length, sum, 0, to, 0);
    }
}

void emit_begin_block_sums(emitter *e)
{
    for (int t = 0; t < e->r->n_items; t++) {
        if (is_scaled(item(e, t)))
            begin_scaled_sum(e, t);
        if (item(e, t)->code != ITEM_ROW_SUM)
            continue;
        for (int part = 0, first = e->row_sum[row_number(e, t)]; part < EVAL_ROW_LANES / e->full; part++)
            x86_vector(e->x, X86_XOR, vector_length(e), first + part, first + part, x86_reg(first + part), 0);
        if (!e->static_lanes)
            move_row_sum(e, t, X86_STORE);
    }
}

void emit_keep_row_sums(emitter *e)
{
    for (int t = 0; t < e->r->n_items; t++)
        if (item(e, t)->code == ITEM_ROW_SUM)
            move_row_sum(e, t, X86_STORE);
}

/* ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)) */
void emit_finish_block_sums(emitter *e)
{
    const int half = 0, odd = 1;
    for (int t = 0; t < e->r->n_items; t++) {
        if (is_scaled(item(e, t)))
            finish_scaled_sum(e, t);
        if (item(e, t)->code != ITEM_ROW_SUM)
            continue;
        const int sum = e->row_sum[row_number(e, t)];
        if (!e->static_lanes)
            move_row_sum(e, t, X86_LOAD);
        if (e->full == 8)
            x86_vector(e->x, X86_EXTRACT_256, X86_512, sum, 0, x86_reg(half), 1);
        x86_vector(e->x, X86_ADD, X86_256, half, sum, x86_reg(e->full == 8 ? half : sum + 1), 0);
        x86_vector(e->x, X86_EXTRACT_128, X86_256, half, 0, x86_reg(odd), 1);
        x86_vector(e->x, X86_ADD, X86_128, half, half, x86_reg(odd), 0);
        x86_vector(e->x, X86_UNPACK_HIGH, X86_128, odd, half, x86_reg(half), 0);
        x86_vector(e->x, X86_ADD, X86_SCALAR, half, half, x86_reg(odd), 0);
        const x86_rm to = emit_cell_address(e, item(e, t));
        x86_vector(e->x, X86_ADD, X86_SCALAR, half, half, to, 0);
        x86_vector(e->x, X86_STORE, X86_SCALAR, half, 0, to, 0);
    }
}

/* ---- watches ------------------------------------------------------------------------------------------------------------------ */

/* One instance goes to the first lane in memory. */
static void watch_in_memory(emitter *e, const run_item *i, int v, int t)
{
    const int sum = emit_taken(e, t);
    const x86_rm at = emit_cell_address(e, i);
    emit_move(e, X86_LOAD, sum, at);
    x86_vector(e->x, X86_FMA231, e->length, sum, v, emit_constant_address(e, CONSTANT_VOUCHED), 0);
    emit_move(e, X86_STORE, sum, at);
    e->locked &= ~(1u << sum);
}

static void emit_watch(emitter *e, int t)
{
    const run_item *i = item(e, t);
    for (int q = 0; q < 4 && i->arg[q] >= 0; q++) {
        const int v = emit_wanted(e, i->arg[q], t);
        if (e->n_watches == 0 || e->width != e->full) {
            watch_in_memory(e, i, v, t);
            continue;
        }
        const int sum = e->watch_reg[e->watch_next++ % e->n_watches];
        const x86_rm large = e->large != NOWHERE ? x86_reg(e->large) : emit_constant_address(e, CONSTANT_VOUCHED);
        if (e->masked)
            x86_vector_merged(e->x, X86_FMA231, e->length, sum, v, large, REST);
        else
            x86_vector(e->x, X86_FMA231, e->length, sum, v, large, 0);
    }
    emit_done(e, t);
}

void emit_begin_watch(emitter *e)
{
    if (e->n_watches > 0 && e->large != NOWHERE)
        x86_vector(e->x, X86_LOAD, vector_length(e), e->large, 0, emit_constant_address(e, CONSTANT_VOUCHED), 0);
    for (int k = 0; k < e->n_watches; k++)
        x86_vector(e->x, X86_XOR, vector_length(e), e->watch_reg[k], e->watch_reg[k], x86_reg(e->watch_reg[k]), 0);
}

/* All lanes are one kernel's. */
void emit_finish_watch(emitter *e)
{
    const int length = vector_length(e);
    int t = 0;
    if (e->n_watches == 0)
        return;
    while (item(e, t)->code != ITEM_WATCH)
        t++;
    const x86_rm at = emit_cell_address(e, item(e, t));
    for (int k = 0; k < e->n_watches; k++)
        x86_vector(e->x, X86_ADD, length, e->watch_reg[0], e->watch_reg[0], k == 0 ? at : x86_reg(e->watch_reg[k]), 0);
    x86_vector(e->x, X86_STORE, length, e->watch_reg[0], 0, at, 0);
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static void emit_load(emitter *e, int t)
{
    const int to = emit_take(e, t);
    emit_move(e, X86_LOAD, to, emit_array_address(e, item(e, t), 0));
    emit_hold(e, t, to);
}

void emit_item(emitter *e, int t)
{
    const run_item *i = item(e, t);
    e->locked = 0;
    if (i->code <= LAST_VALUE && (emit_is_lazy(e, t) || count_uses(e, t) == 0))
        return;
    switch (i->code) {
    case ITEM_LOAD:
    case ITEM_REGISTER: emit_load(e, t); break;
    case ITEM_STRIDED:
    case ITEM_LIST: emit_entries(e, t); break;
    case ITEM_ADD: emit_binary(e, t, X86_ADD, i->arg[0], i->arg[1]); break;
    case ITEM_SUB: emit_binary(e, t, X86_SUB, i->arg[0], i->arg[1]); break;
    case ITEM_MUL: emit_binary(e, t, X86_MUL, i->arg[0], i->arg[1]); break;
    case ITEM_DIV: emit_binary(e, t, X86_DIV, i->arg[0], i->arg[1]); break;
    case ITEM_SQRT: emit_sqrt(e, t); break;
    case ITEM_NEG: emit_logic(e, t, X86_XOR, CONSTANT_SIGN); break;
    case ITEM_ABS: emit_logic(e, t, X86_AND, CONSTANT_SIZE); break;
    case ITEM_FMA: emit_fma(e, t); break;
    case ITEM_SHIFT:
    case ITEM_EARLIER: emit_shift(e, t); break;
    case ITEM_WEAVE: emit_weave(e, t); break;
    case ITEM_TABLE: emit_table(e, t); break;
    case ITEM_NONE: break;
    case ITEM_KEEP: emit_keep(e, t); break;
    case ITEM_ROW_SUM: emit_row_sum(e, t); break;
    case ITEM_STORE:
    case ITEM_STORE_REGISTER: emit_store(e, t); break;
    case ITEM_ROWS: emit_rows(e, t); break;
    case ITEM_SUM: emit_sum(e, t); break;
    case ITEM_WATCH: emit_watch(e, t); break;
    case ITEM_CARRY: emit_carry(e, t); break;
    case ITEM_ADD_PAIRS: emit_add_pairs(e, t); break;
    default: emit_scatter(e, t);
    }
}
