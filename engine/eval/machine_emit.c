/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_emit.c - machine code of a run: a loop over vectors and one over what is left, each the run's items in their order. Values are given vector
 * registers as they come, the value that is wanted last goes to the stack when there are too few. Invariant: memory is touched as the items say, in
 * that order, and never outside of the instances that the function is called for.
 */
#include "eval/machine_run.h"
#include <string.h>

enum { NOWHERE = -1, PINNED = -2, FREE = -1, MOST_SLOTS = 64, VECTOR_BYTES = 64, NEVER = 1 << 30, MOST_SUMS = 4, KEPT = 2, EDGE = 1, REST = 2 };

/* general registers: the instructions, the next instance, the end; bases and `start`; for addresses */
enum { REG_CODE = RDI, REG_AT = RSI, REG_END = RDX, REG_ADDRESS = R10, REG_INDEX = R11 };
static const int BASE_REGS[] = {RAX, RCX, R8, R9, RBX, R12, R13, R14, R15};
enum { N_BASE_REGS = sizeof BASE_REGS / sizeof BASE_REGS[0], N_CLOBBERED = 4 };

typedef struct {
    x86_code *x;
    const run *r;
    const int64_t *constants;
    int n_regs, full;                /* vector registers; numbers of a vector */
    bool masked;                     /* this body has a part of a vector, by the mask REST */
    int width, length, part;         /* of this body: numbers, X86_ length, which of the vectors that are unrolled */
    bool dynamic_lanes;              /* partial sums are at (at - start) modulo EVAL_LANES */
    int32_t held[32];                /* value, FREE or PINNED */
    int at[MOST_ITEMS], slot[MOST_ITEMS];
    int pinned[MOST_ITEMS];          /* register for good, of cells; or NOWHERE */
    int first_use[MOST_ITEMS + 1], use[4 * MOST_ITEMS], cursor[MOST_ITEMS];
    int general[MOST_BASES];         /* register, or NOWHERE: fetched when it is wanted */
    int n_general, start;            /* start: register that holds it */
    int carry[MOST_CARRIES], distance[MOST_CARRIES];
    int n_sums, sum_item[MOST_SUMS], sum_reg[MOST_SUMS]; /* sums that are in registers, the first of them */
    bool has_sums, wants_start;
    int n_slots;
    uint32_t locked, reserved;       /* reserved: pinned registers */
    bool failed;
} emitter;

static const run_item *item(const emitter *e, int32_t v)
{
    return &e->r->item[v];
}

static bool is_indexed(int32_t code)
{
    return code == ITEM_LIST || code == ITEM_STORE_LIST || code == ITEM_ADD_LIST;
}

static bool is_one(const emitter *e)
{
    return e->r->k->k->n == 1;
}

/* ---- uses ---------------------------------------------------------------------------------------------------------------- */

static void find_uses(emitter *e)
{
    const int n = (int)e->r->n_items;
    int count[MOST_ITEMS] = {0}, total = 0;
    for (int t = 0; t < n; t++)
        for (int q = 0; q < 4; q++)
            if (item(e, t)->arg[q] >= 0)
                count[item(e, t)->arg[q]]++;
    for (int t = 0; t < n; t++) {
        e->first_use[t] = e->cursor[t] = total;
        total += count[t];
    }
    e->first_use[n] = total;
    for (int t = 0; t < n; t++)
        for (int q = 0; q < 4; q++)
            if (item(e, t)->arg[q] >= 0)
                e->use[e->cursor[item(e, t)->arg[q]]++] = t;
}

/* Of value v after item t: which item uses it next? */
static int next_use(emitter *e, int32_t v, int t)
{
    while (e->cursor[v] < e->first_use[v + 1] && e->use[e->cursor[v]] <= t)
        e->cursor[v]++;
    return e->cursor[v] < e->first_use[v + 1] ? e->use[e->cursor[v]] : NEVER;
}

static int count_uses(const emitter *e, int32_t v)
{
    return e->first_use[v + 1] - e->first_use[v];
}

/* Read from memory whenever it is wanted: nothing that the run writes is there. */
static bool is_lazy(const emitter *e, int32_t v)
{
    const run_item *i = item(e, v);
    return i->code == ITEM_CELL || i->code == ITEM_CONSTANT || (i->code == ITEM_LOAD && !e->r->base[i->base].written) ||
           (i->code == ITEM_REGISTER && !e->r->changed[i->imm]);
}

/* ---- addresses ------------------------------------------------------------------------------------------------------------ */

static int base_register(emitter *e, int32_t base)
{
    if (e->general[base] != NOWHERE)
        return e->general[base];
    x86_load64(e->x, REG_ADDRESS, x86_mem(REG_CODE, -1, 0, (int32_t)e->r->base[base].field));
    return REG_ADDRESS;
}

static int32_t displacement(const emitter *e, const run_item *i)
{
    return (int32_t)(i->offset - e->r->base[i->base].origin);
}

static int index_register(const emitter *e)
{
    return is_one(e) ? -1 : REG_AT;
}

/* Of an array's entry for the first instance of this part. */
static x86_rm array_address(emitter *e, const run_item *i, int32_t ahead)
{
    const int base = base_register(e, i->base);
    return x86_mem(base, index_register(e), 3, displacement(e, i) + (e->part * e->width + ahead) * 8);
}

static x86_rm cell_address(emitter *e, const run_item *i)
{
    const int base = base_register(e, i->base);
    return x86_mem(base, -1, 0, displacement(e, i));
}

static x86_rm constant_address(const emitter *e, int which)
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
    return i->code == ITEM_CONSTANT ? constant_address(e, i->imm) : i->code == ITEM_CELL ? cell_address(e, i) : array_address(e, i, 0);
}

/* Entry of the instance `lane` behind the first one; before it, begin_strided(). */
static x86_rm strided_address(emitter *e, const run_item *i, int32_t stride, int32_t lane)
{
    const int base = base_register(e, i->base);
    return x86_mem(base, is_one(e) ? -1 : REG_INDEX, 3, displacement(e, i) + (e->part * e->width + lane) * stride * 8);
}

static void begin_strided(emitter *e, int32_t stride)
{
    if (!is_one(e))
        x86_multiply(e->x, REG_INDEX, REG_AT, stride);
}

static x86_rm list_address(emitter *e, const run_item *i, int32_t lane)
{
    const int list = base_register(e, i->list);
    x86_load_index(e->x, REG_INDEX, x86_mem(list, index_register(e), 2, (e->part * e->width + lane) * 4));
    const int base = base_register(e, i->base);
    return x86_mem(base, REG_INDEX, 3, displacement(e, i));
}

/* Entries of arrays and registers, for the instances that there are. */
static void move_entries(emitter *e, x86_op op, int reg, x86_rm rm)
{
    if (e->masked)
        x86_vector_masked(e->x, op, e->length, reg, 0, rm, REST);
    else
        x86_vector(e->x, op, e->length, reg, 0, rm, 0);
}

/* ---- vector registers -------------------------------------------------------------------------------------------------------- */

static void lock(emitter *e, int reg)
{
    e->locked |= 1u << reg;
}

static void drop(emitter *e, int32_t v)
{
    if (e->at[v] == NOWHERE || e->pinned[v] != NOWHERE)
        return;
    e->held[e->at[v]] = FREE;
    e->at[v] = NOWHERE;
}

static void evict(emitter *e, int32_t v)
{
    if (!is_lazy(e, v) && e->slot[v] == NOWHERE) {
        e->slot[v] = e->n_slots++;
        e->failed = e->failed || e->n_slots > MOST_SLOTS;
        x86_vector(e->x, X86_STORE, e->length, e->at[v], 0, slot_address(e, v), 0);
    }
    drop(e, v);
}

/* A register that is free, or made free by giving up the value that is wanted last. */
static int take(emitter *e, int t)
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

static void hold(emitter *e, int32_t v, int reg)
{
    e->held[reg] = v;
    e->at[v] = reg;
}

static bool is_in_array(const emitter *e, int32_t v)
{
    return item(e, v)->code == ITEM_LOAD || item(e, v)->code == ITEM_REGISTER;
}

/* v in a register, which is locked. */
static int wanted(emitter *e, int32_t v, int t)
{
    if (e->at[v] == NOWHERE) {
        const int reg = take(e, t);
        if (e->slot[v] != NOWHERE || !is_in_array(e, v))
            x86_vector(e->x, X86_LOAD, e->length, reg, 0, e->slot[v] != NOWHERE ? slot_address(e, v) : lazy_address(e, v), 0);
        else
            move_entries(e, X86_LOAD, reg, lazy_address(e, v));
        hold(e, v, reg);
    }
    lock(e, e->at[v]);
    return e->at[v];
}

/* As the last operand of an instruction, which may be in memory: there it stays when nobody wants it afterwards. */
static bool stays_in_memory(emitter *e, int32_t v, int t)
{
    const int code = item(e, v)->code;
    if (e->at[v] != NOWHERE || (e->masked && is_in_array(e, v) && e->slot[v] == NOWHERE))
        return false;
    return code == ITEM_CELL || code == ITEM_CONSTANT || next_use(e, v, t) == NEVER;
}

static x86_rm memory_operand(emitter *e, int32_t v)
{
    return e->slot[v] != NOWHERE ? slot_address(e, v) : lazy_address(e, v);
}

static void finish_uses(emitter *e, int t)
{
    for (int q = 0; q < 4; q++) {
        const int32_t v = item(e, t)->arg[q];
        if (v >= 0 && next_use(e, v, t) == NEVER) {
            if (e->at[v] != NOWHERE)
                e->locked &= ~(1u << e->at[v]);
            drop(e, v);
        }
    }
}

static void emit_binary(emitter *e, int t, x86_op op, int32_t a, int32_t b)
{
    const bool commutes = op == X86_ADD || op == X86_MUL;
    if (commutes && stays_in_memory(e, a, t) && !stays_in_memory(e, b, t)) {
        const int32_t swapped = a;
        a = b;
        b = swapped;
    }
    const int first = wanted(e, a, t);
    const bool in_memory = b != a && stays_in_memory(e, b, t);
    const int second = in_memory ? 0 : wanted(e, b, t);
    finish_uses(e, t);
    const int to = take(e, t);
    const x86_rm from = in_memory ? memory_operand(e, b) : x86_reg(second);
    x86_vector(e->x, op, e->length, to, first, from, 0);
    hold(e, t, to);
}

static void emit_sqrt(emitter *e, int t)
{
    const int from = wanted(e, item(e, t)->arg[0], t);
    finish_uses(e, t);
    const int to = take(e, t);
    x86_vector(e->x, X86_SQRT, e->length, to, e->length == X86_SCALAR ? from : 0, x86_reg(from), 0);
    hold(e, t, to);
}

static void emit_logic(emitter *e, int t, x86_op op, int which)
{
    const int from = wanted(e, item(e, t)->arg[0], t), length = e->length == X86_SCALAR ? X86_128 : e->length;
    finish_uses(e, t);
    const int to = take(e, t);
    x86_vector(e->x, op, length, to, from, constant_address(e, which), 0);
    hold(e, t, to);
}

static void emit_fma(emitter *e, int t)
{
    const run_item *i = item(e, t);
    const int a = wanted(e, i->arg[0], t), b = wanted(e, i->arg[1], t), c = wanted(e, i->arg[2], t), to = take(e, t);
    x86_vector(e->x, X86_MOVE, e->length == X86_SCALAR ? X86_128 : e->length, to, 0, x86_reg(c), 0);
    x86_vector(e->x, X86_FMA231, e->length, to, a, x86_reg(b), 0);
    hold(e, t, to);
    finish_uses(e, t);
}

/* ---- entry by entry ------------------------------------------------------------------------------------------------------------ */

static x86_rm entry_address(emitter *e, const run_item *i, int32_t lane)
{
    return is_indexed(i->code) ? list_address(e, i, lane) : strided_address(e, i, i->code == ITEM_STRIDED ? i->imm : i->version, lane);
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

static int taken(emitter *e, int t)
{
    const int reg = take(e, t);
    lock(e, reg);
    return reg;
}

/* Every other entry: two vectors, the second of which begins with an odd entry so that nothing is read behind the last one wanted. */
static void emit_every_other(emitter *e, int t)
{
    const run_item *i = item(e, t);
    const int to = taken(e, t), a = taken(e, t);
    begin_strided(e, 2);
    x86_rm low = strided_address(e, i, 2, 0);
    x86_vector(e->x, X86_LOAD, e->length, a, 0, low, 0);
    low.disp += (e->width - 1) * 8;
    if (e->x->evex) {
        x86_vector(e->x, X86_LOAD, e->length, to, 0, constant_address(e, CONSTANT_EVEN), 0);
        x86_vector(e->x, X86_PERMUTE_TWO, e->length, to, a, low, 0);
    } else {
        x86_vector(e->x, X86_SHUFFLE, e->length, to, a, low, 0xa);
        x86_vector(e->x, X86_PERMUTE_256, e->length, to, 0, x86_reg(to), 0xd8);
    }
    hold(e, t, to);
}

static void emit_entries(emitter *e, int t)
{
    const run_item *i = item(e, t);
    if (e->width > 1 && i->code == ITEM_STRIDED && i->imm == 2) {
        emit_every_other(e, t);
        return;
    }
    const int to = taken(e, t);
    if (i->code == ITEM_STRIDED)
        begin_strided(e, i->imm);
    if (e->width == 1)
        x86_vector(e->x, X86_LOAD, X86_SCALAR, to, 0, entry_address(e, i, 0), 0);
    else {
        const int other = taken(e, t);
        load_four(e, i, to, other, 0);
        if (e->width == 8) {
            const int upper = taken(e, t);
            load_four(e, i, upper, other, 4);
            x86_vector(e->x, X86_INSERT_256, X86_512, to, to, x86_reg(upper), 1);
        }
    }
    hold(e, t, to);
}

static void store_entry(emitter *e, const run_item *i, int reg, int32_t lane, bool upper)
{
    const x86_rm to = entry_address(e, i, lane);
    x86_vector(e->x, upper ? X86_STORE_HIGH : X86_STORE, upper ? X86_128 : X86_SCALAR, reg, 0, to, 0);
}

static void add_entry(emitter *e, const run_item *i, int reg, int32_t lane, int spare)
{
    const x86_rm to = entry_address(e, i, lane);
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
    const int v = wanted(e, i->arg[0], t), part = taken(e, t), spare = adds ? taken(e, t) : 0;
    if (!is_indexed(i->code))
        begin_strided(e, i->version);
    for (int32_t lane = 0; lane < e->width; lane += 2) {
        const int two = two_of(e, v, part, lane);
        if (!adds) {
            store_entry(e, i, two, lane, false);
            if (e->width > 1)
                store_entry(e, i, two, lane + 1, true);
            continue;
        }
        add_entry(e, i, two, lane, spare);
        if (e->width == 1)
            continue;
        x86_vector(e->x, X86_UNPACK_HIGH, X86_128, part, two, x86_reg(two), 0);
        add_entry(e, i, part, lane + 1, spare);
    }
    finish_uses(e, t);
}

/* The pairs of two vectors: even rows in one register, odd rows in another, 128 bits each. */
static void store_pairs(emitter *e, const run_item *i, const int *pair, int32_t to, int part)
{
    for (int32_t row = 0; row < e->width; row++) {
        const int from = two_of(e, pair[row % 2], part, row / 2 * 2);
        x86_rm at = strided_address(e, i, i->version, row);
        at.disp += to * 8;
        x86_vector(e->x, X86_STORE, X86_128, from, 0, at, 0);
    }
}

static void emit_rows(emitter *e, int t)
{
    const run_item *i = item(e, t);
    begin_strided(e, i->version);
    for (int q = 0; q < i->imm; q += e->width == 1 ? 1 : 2) {
        const int a = wanted(e, i->arg[q], t);
        if (e->width == 1) {
            x86_rm at = strided_address(e, i, i->version, 0);
            at.disp += q * 8;
            x86_vector(e->x, X86_STORE, X86_SCALAR, a, 0, at, 0);
            continue;
        }
        const int b = wanted(e, i->arg[q + 1], t), part = taken(e, t), pair[2] = {taken(e, t), taken(e, t)};
        x86_vector(e->x, X86_UNPACK_LOW, e->length, pair[0], a, x86_reg(b), 0);
        x86_vector(e->x, X86_UNPACK_HIGH, e->length, pair[1], a, x86_reg(b), 0);
        store_pairs(e, i, pair, q, part);
        e->locked = 0;
    }
    finish_uses(e, t);
}

/* ---- stores, sums, carries ------------------------------------------------------------------------------------------------------- */

static void emit_store(emitter *e, int t)
{
    if (e->width > 1 && !e->masked && item(e, t)->code == ITEM_STORE && item(e, t)->imm > 0) {
        finish_uses(e, t);
        return;
    }
    const int v = wanted(e, item(e, t)->arg[0], t);
    move_entries(e, X86_STORE, v, array_address(e, item(e, t), 0));
    finish_uses(e, t);
}

static int sum_number(const emitter *e, int t)
{
    for (int k = 0; k < e->n_sums; k++)
        if (e->sum_item[k] == t)
            return k;
    return -1;
}

static x86_rm lanes_address(emitter *e, const run_item *i, int32_t part)
{
    const int base = base_register(e, i->base);
    if (!e->dynamic_lanes)
        return x86_mem(base, -1, 0, displacement(e, i) + part * e->full * 8);
    x86_copy(e->x, REG_INDEX, REG_AT);
    x86_subtract(e->x, REG_INDEX, e->start);
    x86_and(e->x, REG_INDEX, EVAL_LANES - 1);
    return x86_mem(base, REG_INDEX, 3, displacement(e, i));
}

static void emit_sum(emitter *e, int t)
{
    const run_item *i = item(e, t);
    const int number = sum_number(e, t);
    if (number >= 0 && !e->dynamic_lanes) {
        const int acc = e->sum_reg[number] + e->part;
        const bool in_memory = stays_in_memory(e, i->arg[0], t);
        const int v = in_memory ? 0 : wanted(e, i->arg[0], t);
        x86_vector(e->x, X86_ADD, e->length, acc, acc, in_memory ? memory_operand(e, i->arg[0]) : x86_reg(v), 0);
    } else {
        const int v = wanted(e, i->arg[0], t), sum = taken(e, t);
        const x86_rm at = lanes_address(e, i, e->part);
        x86_vector(e->x, X86_ADD, e->length, sum, v, at, 0);
        move_entries(e, X86_STORE, sum, at);
    }
    finish_uses(e, t);
}

/* What was stored for the instances before: the last `distance` of the last vector, and the first of this one. */
static void emit_shift(emitter *e, int t)
{
    const run_item *i = item(e, t);
    if (i->code == ITEM_EARLIER && (e->width == 1 || e->masked))
        return; /* for the weave, which is of whole vectors */
    if (e->width == 1) {
        const int to = taken(e, t);
        x86_vector(e->x, X86_LOAD, X86_SCALAR, to, 0, array_address(e, i, 0), 0);
        hold(e, t, to);
        return;
    }
    const int now = wanted(e, i->arg[0], t), before = e->carry[i->list], to = taken(e, t);
    if (e->x->evex)
        x86_vector(e->x, X86_ALIGN, e->length, to, now, x86_reg(before), e->width - i->imm);
    else {
        x86_vector(e->x, X86_PERMUTE_HALVES, e->length, to, before, x86_reg(now), 0x21);
        if (i->imm == 1)
            x86_vector(e->x, X86_SHUFFLE, e->length, to, to, x86_reg(now), 5);
        else if (i->imm == 3)
            x86_vector(e->x, X86_SHUFFLE, e->length, to, before, x86_reg(to), 5);
    }
    hold(e, t, to);
    finish_uses(e, t);
}

static void emit_carry(emitter *e, int t)
{
    const run_item *i = item(e, t);
    if (e->width > 1)
        x86_vector(e->x, X86_MOVE, e->length, e->carry[i->list], 0, x86_reg(wanted(e, i->arg[0], t)), 0);
    finish_uses(e, t);
}

/* The last n entries of a vector that are ahead of the next instance, from or to memory. */
static void move_last(emitter *e, const run_item *i, x86_op op, int reg, int n)
{
    const int base = base_register(e, i->base);
    const x86_rm at = x86_mem(base, REG_AT, 3, displacement(e, i) - e->full * 8);
    x86_number(e->x, REG_INDEX, (1 << e->full) - (1 << (e->full - n)));
    x86_mask(e->x, EDGE, REG_INDEX);
    x86_vector_masked(e->x, op, X86_512, reg, 0, at, EDGE);
}

/* Before the first vector: the places that would have been stored to for instances before it, as they are in memory; where nobody stores, -0. */
static void begin_carry(emitter *e, const run_item *i)
{
    const int reg = e->carry[i->list], d = e->distance[i->list];
    if (i->base < 0) {
        x86_vector(e->x, X86_LOAD, e->x->evex ? X86_512 : X86_256, reg, 0, constant_address(e, CONSTANT_SIGN), 0);
        return;
    }
    if (e->x->evex) {
        move_last(e, i, X86_LOAD, reg, d);
        return;
    }
    const int base = base_register(e, i->base);
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
static void finish_store(emitter *e, const run_item *i)
{
    const int reg = e->carry[i->list], d = i->imm, spare = 0;
    if (e->x->evex) {
        move_last(e, i, X86_STORE, reg, d);
        return;
    }
    const int base = base_register(e, i->base);
    x86_vector(e->x, X86_EXTRACT_128, X86_256, reg, 0, x86_reg(spare), 1);
    if (d == 1)
        x86_vector(e->x, X86_STORE_HIGH, X86_128, spare, 0, x86_mem(base, REG_AT, 3, displacement(e, i) - 8), 0);
    else
        x86_vector(e->x, X86_STORE, X86_128, spare, 0, x86_mem(base, REG_AT, 3, displacement(e, i) - 16), 0);
    if (d == 3)
        x86_vector(e->x, X86_STORE_HIGH, X86_128, reg, 0, x86_mem(base, REG_AT, 3, displacement(e, i) - 24), 0);
}

/* ---- weaves ----------------------------------------------------------------------------------------------------------------------- */

static int32_t shift_of(const emitter *e, const run_item *weave, int q)
{
    return item(e, weave->arg[q])->code == ITEM_EARLIER ? item(e, weave->arg[q])->imm : 0;
}

static int terms_of(const run_item *weave)
{
    int n = 0;
    while (n < 4 && weave->arg[n] >= 0)
        n++;
    return n;
}

/* The sum of operands [from, to) in a register that is locked. */
static int lane_sum(emitter *e, int t, int from, int to)
{
    const run_item *i = item(e, t);
    int sum = wanted(e, i->arg[from], t);
    if (to - from == 1)
        return sum;
    const int first = sum;
    sum = taken(e, t);
    for (int q = from + 1; q < to; q++) {
        const int v = wanted(e, i->arg[q], t);
        x86_vector(e->x, X86_ADD, e->length, sum, q == from + 1 ? first : sum, x86_reg(v), 0);
    }
    return sum;
}

static x86_rm woven_address(emitter *e, const run_item *i, bool upper)
{
    x86_rm at = strided_address(e, i, 2, 0);
    at.disp += upper ? e->width * 8 : 0;
    return at;
}

static void interleave(emitter *e, int a, int b, int lo, int hi)
{
    if (e->x->evex) {
        x86_vector(e->x, X86_LOAD, e->length, lo, 0, constant_address(e, CONSTANT_LOW), 0);
        x86_vector(e->x, X86_LOAD, e->length, hi, 0, constant_address(e, CONSTANT_HIGH), 0);
        x86_vector(e->x, X86_PERMUTE_TWO, e->length, lo, a, x86_reg(b), 0);
        x86_vector(e->x, X86_PERMUTE_TWO, e->length, hi, a, x86_reg(b), 0);
        return;
    }
    x86_vector(e->x, X86_UNPACK_LOW, e->length, lo, a, x86_reg(b), 0);
    x86_vector(e->x, X86_UNPACK_HIGH, e->length, hi, a, x86_reg(b), 0);
}

/* Rows of two; with VEX the halves of lo and hi have still to be put in order, for which `spare` is. */
static void emit_weave(emitter *e, int t)
{
    const run_item *i = item(e, t);
    if (e->width == 1 || e->masked)
        return;
    const int a = lane_sum(e, t, 0, i->imm);
    e->locked = 1u << a;
    const int b = lane_sum(e, t, i->imm, terms_of(i)), lo = taken(e, t), hi = taken(e, t), spare = e->x->evex ? 0 : taken(e, t);
    interleave(e, a, b, lo, hi);
    begin_strided(e, 2);
    for (int upper = 0; upper < 2; upper++) {
        int from = upper ? hi : lo;
        if (!e->x->evex) {
            x86_vector(e->x, X86_PERMUTE_HALVES, e->length, spare, lo, x86_reg(hi), upper ? 0x31 : 0x20);
            from = spare;
        }
        if (i->list != 0)
            x86_vector(e->x, X86_ADD, e->length, from, from, woven_address(e, i, upper != 0), 0);
        x86_vector(e->x, X86_STORE, e->length, from, 0, woven_address(e, i, upper != 0), 0);
    }
    finish_uses(e, t);
}

/* Only of what is left for the interpreter to weave. */
static void emit_keep(emitter *e, int t)
{
    if (e->width == 1 || e->masked) {
        const int v = wanted(e, item(e, t)->arg[0], t);
        move_entries(e, X86_STORE, v, array_address(e, item(e, t), 0));
    }
    finish_uses(e, t);
}

static x86_rm kept_address(int vector)
{
    return x86_mem(RSP, -1, 0, (MOST_SLOTS + vector) * VECTOR_BYTES);
}

/* Of the lane's places, how many rows from the first on lack a term when there is no block before (all terms), or when there is one (any term)? */
static int rows_kept(const emitter *e, const run_item *i, int lane, bool first_block)
{
    int most = 0, least = MOST_ITEMS;
    for (int q = lane == 0 ? 0 : i->imm; q < (lane == 0 ? i->imm : terms_of(i)); q++) {
        most = shift_of(e, i, q) > most ? shift_of(e, i, q) : most;
        least = shift_of(e, i, q) < least ? shift_of(e, i, q) : least;
    }
    return first_block ? least : most;
}

static bool has_heads(const emitter *e, const run_item *i)
{
    return i->code == ITEM_WEAVE && i->list == 0 && (rows_kept(e, i, 0, false) > 0 || rows_kept(e, i, 1, false) > 0);
}

static void keep_places(emitter *e, const run_item *i, bool first_block)
{
    for (int lane = 0; lane < 2; lane++)
        for (int row = 0; row < rows_kept(e, i, lane, first_block); row++) {
            x86_rm at = strided_address(e, i, 2, row), to = kept_address(0);
            at.disp += lane * 8;
            to.disp += (2 * row + lane) * 8;
            x86_vector(e->x, X86_LOAD, X86_SCALAR, 0, 0, at, 0);
            x86_vector(e->x, X86_STORE, X86_SCALAR, 0, 0, to, 0);
        }
}

/*
 * The first places hold what the block before has brought there, which the first vectors overwrite: it is kept, elsewhere -0, which changes no sum, and
 * added behind the loops.
 */
static void begin_weave(emitter *e, const run_item *i)
{
    const int length = e->x->evex ? X86_512 : X86_256;
    x86_vector(e->x, X86_LOAD, length, 0, 0, constant_address(e, CONSTANT_SIGN), 0);
    for (int k = 0; k < 2; k++) {
        x86_rm to = kept_address(0);
        to.disp += k * e->full * 8;
        x86_vector(e->x, X86_STORE, length, 0, 0, to, 0);
    }
    x86_number(e->x, REG_INDEX, 0);
    x86_compare(e->x, REG_AT, REG_INDEX);
    const int64_t later = x86_jump(e->x, X86_GREATER);
    begin_strided(e, 2);
    keep_places(e, i, true);
    const int64_t done = x86_jump(e->x, X86_ALWAYS);
    x86_land(e->x, later);
    begin_strided(e, 2);
    keep_places(e, i, false);
    x86_land(e->x, done);
}

static void finish_weave(emitter *e, const run_item *i)
{
    const int length = e->x->evex ? X86_512 : X86_256;
    x86_multiply(e->x, REG_INDEX, e->start, 2);
    for (int k = 0; k < 2; k++) {
        x86_rm at = strided_address(e, i, 2, 0), kept = kept_address(0);
        at.disp += k * e->full * 8;
        kept.disp += k * e->full * 8;
        x86_vector(e->x, X86_LOAD, length, 0, 0, at, 0);
        x86_vector(e->x, X86_ADD, length, 0, 0, kept, 0);
        x86_vector(e->x, X86_STORE, length, 0, 0, at, 0);
    }
}

/* Behind the last vector. */
static void finish_vectors(emitter *e)
{
    e->part = 0;
    e->width = e->full;
    for (int t = 0; t < e->r->n_items; t++) {
        const run_item *i = item(e, t);
        if (i->code == ITEM_STORE && i->imm > 0)
            finish_store(e, i);
        if (i->code == ITEM_KEEP && i->list >= 0)
            x86_vector(e->x, X86_STORE, e->x->evex ? X86_512 : X86_256, e->carry[i->list], 0, array_address(e, i, -e->full), 0);
        if (has_heads(e, i))
            finish_weave(e, i);
    }
}

/* ---- a body ---------------------------------------------------------------------------------------------------------------------- */

static void emit_load(emitter *e, int t)
{
    const int to = take(e, t);
    move_entries(e, X86_LOAD, to, array_address(e, item(e, t), 0));
    hold(e, t, to);
}

static void emit_item(emitter *e, int t)
{
    const run_item *i = item(e, t);
    e->locked = 0;
    if (i->code <= LAST_VALUE && (is_lazy(e, t) || count_uses(e, t) == 0))
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
    case ITEM_KEEP: emit_keep(e, t); break;
    case ITEM_STORE:
    case ITEM_STORE_REGISTER: emit_store(e, t); break;
    case ITEM_ROWS: emit_rows(e, t); break;
    case ITEM_SUM: emit_sum(e, t); break;
    case ITEM_CARRY: emit_carry(e, t); break;
    default: emit_scatter(e, t);
    }
}

static void emit_body(emitter *e, int width, int part, bool dynamic_lanes)
{
    e->width = width;
    e->part = part;
    e->dynamic_lanes = dynamic_lanes;
    e->length = width == 1 ? X86_SCALAR : width == 4 ? X86_256 : X86_512;
    for (int k = 0; k < e->n_regs; k++)
        e->held[k] = e->reserved >> k & 1 ? PINNED : FREE;
    for (int t = 0; t < e->r->n_items; t++) {
        e->at[t] = e->pinned[t];
        e->slot[t] = NOWHERE;
        e->cursor[t] = e->first_use[t];
    }
    e->n_slots = 0;
    for (int t = 0; t < e->r->n_items && !e->failed; t++)
        emit_item(e, t);
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
        if (code > LAST_VALUE || code == ITEM_CELL || code == ITEM_CONSTANT || uses == 0 || (is_lazy(e, t) && uses == 1))
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

static void pin_cells(emitter *e, int spare)
{
    for (; spare > 0; spare--) {
        int best = -1;
        for (int t = 0; t < e->r->n_items; t++)
            if (item(e, t)->code == ITEM_CELL && e->pinned[t] == NOWHERE && (best < 0 || count_uses(e, t) > count_uses(e, best)))
                best = t;
        if (best < 0)
            return;
        e->pinned[best] = reserve(e, 1);
    }
}

static void choose_registers(emitter *e)
{
    const int parts = EVAL_LANES / e->full;
    for (int t = 0; t < e->r->n_items; t++) {
        const run_item *i = item(e, t);
        e->pinned[t] = NOWHERE;
        e->has_sums = e->has_sums || i->code == ITEM_SUM;
        e->wants_start = e->wants_start || i->code == ITEM_SUM || has_heads(e, i);
        if (i->code == ITEM_SHIFT && i->imm > e->distance[i->list])
            e->distance[i->list] = i->imm;
    }
    if (is_one(e))
        return;
    int spare = spare_registers(e);
    for (int k = 0; k < e->r->n_carries; k++, spare--)
        e->carry[k] = reserve(e, 1);
    const int most = e->n_regs - FEWEST_FREE - (int)e->r->n_carries;
    spare = spare > most ? most : spare;
    for (int t = 0; t < e->r->n_items; t++)
        if (item(e, t)->code == ITEM_SUM && spare >= parts && e->n_sums < MOST_SUMS) {
            e->sum_item[e->n_sums] = t;
            e->sum_reg[e->n_sums++] = reserve(e, parts);
            spare -= parts;
        }
    pin_cells(e, spare);
}

/* The bases that are used most; those of registers in any case. */
static void choose_bases(emitter *e)
{
    int uses[MOST_BASES] = {0};
    for (int t = 0; t < e->r->n_items; t++) {
        if (item(e, t)->base >= 0)
            uses[item(e, t)->base]++;
        if (is_indexed(item(e, t)->code))
            uses[item(e, t)->list]++;
    }
    e->start = NOWHERE;
    if (e->wants_start && !is_one(e))
        e->start = BASE_REGS[e->n_general++];
    for (int b = 0; b < e->r->n_bases; b++) {
        e->general[b] = NOWHERE;
        uses[b] += e->r->base[b].moves && uses[b] > 0 ? NEVER : 0;
    }
    while (e->n_general < N_BASE_REGS) {
        int best = 0;
        for (int b = 1; b < e->r->n_bases; b++)
            if (uses[b] > uses[best])
                best = b;
        if (e->r->n_bases == 0 || uses[best] == 0)
            return;
        uses[best] = 0;
        e->general[best] = BASE_REGS[e->n_general++];
    }
}

/* ---- the function -------------------------------------------------------------------------------------------------------------------- */

/* The first of the last EVAL_LANES instances of whole vectors, or of all; n is in REG_END. */
static void begin_window(emitter *e)
{
    x86_copy(e->x, REG_INDEX, REG_END);
    x86_and(e->x, REG_INDEX, -e->full);
    x86_add(e->x, REG_INDEX, -EVAL_LANES);
    x86_number(e->x, REG_ADDRESS, 0);
    x86_compare(e->x, REG_INDEX, REG_ADDRESS);
    const int64_t many = x86_jump(e->x, X86_NOT_LESS);
    x86_copy(e->x, REG_INDEX, REG_ADDRESS);
    x86_land(e->x, many);
    x86_address(e->x, REG_INDEX, x86_mem(REG_INDEX, REG_AT, 0, 0));
}

static void begin_function(emitter *e)
{
    x86_code *x = e->x;
    x86_entry(x);
    x86_push(x, RBP);
    x86_copy(x, RBP, RSP);
    for (int k = N_CLOBBERED; k < e->n_general; k++)
        x86_push(x, BASE_REGS[k]);
    x86_and(x, RSP, -VECTOR_BYTES);
    x86_add(x, RSP, -(MOST_SLOTS + KEPT) * VECTOR_BYTES);
    for (int b = 0; b < e->r->n_bases; b++) {
        const run_base *base = &e->r->base[b];
        if (e->general[b] == NOWHERE)
            continue;
        x86_load64(x, e->general[b], x86_mem(REG_CODE, -1, 0, (int32_t)base->field));
        if (base->moves == MOVES_NOT || is_one(e))
            continue;
        if (base->moves == MOVES_WINDOW)
            begin_window(e);
        else
            x86_copy(x, REG_INDEX, REG_AT);
        x86_multiply(x, REG_INDEX, REG_INDEX, -8);
        x86_address(x, e->general[b], x86_mem(e->general[b], REG_INDEX, 0, 0));
    }
}

static void end_function(emitter *e)
{
    const int saved = e->n_general > N_CLOBBERED ? e->n_general - N_CLOBBERED : 0;
    x86_zero_upper(e->x);
    x86_address(e->x, RSP, x86_mem(RBP, -1, 0, -8 * saved));
    for (int k = e->n_general - 1; k >= N_CLOBBERED; k--)
        x86_pop(e->x, BASE_REGS[k]);
    x86_pop(e->x, RBP);
    x86_return(e->x);
}

/* Compares the instance `ahead` of the next with the end. */
static void compare_end(emitter *e, int ahead)
{
    x86_address(e->x, REG_INDEX, x86_mem(REG_AT, -1, 0, ahead));
    x86_compare(e->x, REG_INDEX, REG_END);
}

static void move_sums(emitter *e, bool load)
{
    const int length = e->full == 8 ? X86_512 : X86_256;
    e->dynamic_lanes = false;
    for (int k = 0; k < e->n_sums; k++)
        for (int part = 0; part < EVAL_LANES / e->full; part++) {
            const x86_rm at = lanes_address(e, item(e, e->sum_item[k]), part);
            x86_vector(e->x, load ? X86_LOAD : X86_STORE, length, e->sum_reg[k] + part, 0, at, 0);
        }
}

/* All lanes of the partial sums at once, as long as there are so many instances. */
static void emit_wide_loop(emitter *e)
{
    const int parts = EVAL_LANES / e->full;
    compare_end(e, EVAL_LANES);
    const int64_t none = x86_jump(e->x, X86_GREATER);
    move_sums(e, true);
    x86_align(e->x, 32);
    const int64_t again = e->x->bytes.n;
    for (int part = 0; part < parts; part++)
        emit_body(e, e->full, part, false);
    x86_add(e->x, REG_AT, EVAL_LANES);
    compare_end(e, EVAL_LANES);
    x86_jump_back(e->x, X86_NOT_GREATER, again);
    move_sums(e, false);
    x86_land(e->x, none);
}

/* What is left as a part of a vector: entries by themselves have no masks, and before the first vector more than one entry may not be there. */
static bool can_mask(const emitter *e)
{
    bool can = e->x->evex;
    for (int t = 0; t < e->r->n_items; t++) {
        const int code = item(e, t)->code;
        can = can && code != ITEM_STRIDED && code != ITEM_LIST && !(code >= ITEM_STORE_STRIDED && code <= ITEM_ROWS);
    }
    for (int64_t k = 0; k < e->r->n_carries; k++)
        can = can && e->distance[k] <= 1;
    return can;
}

static void begin_carries(emitter *e)
{
    for (int t = 0; t < e->r->n_items; t++)
        if (item(e, t)->code == ITEM_CARRY)
            begin_carry(e, item(e, t));
}

static void emit_rest(emitter *e, bool masked)
{
    x86_compare(e->x, REG_AT, REG_END);
    const int64_t done = x86_jump(e->x, X86_NOT_LESS);
    if (masked) {
        x86_copy(e->x, REG_INDEX, REG_END);
        x86_subtract(e->x, REG_INDEX, REG_AT);
        x86_number(e->x, REG_ADDRESS, -1);
        x86_lowest(e->x, REG_ADDRESS, REG_ADDRESS, REG_INDEX);
        x86_mask(e->x, REST, REG_ADDRESS);
        e->masked = true;
        emit_body(e, e->full, 0, true);
    } else {
        const int64_t again = e->x->bytes.n;
        emit_body(e, 1, 0, true);
        x86_add(e->x, REG_AT, 1);
        x86_compare(e->x, REG_AT, REG_END);
        x86_jump_back(e->x, X86_LESS, again);
    }
    x86_land(e->x, done);
}

static void emit_loops(emitter *e)
{
    const bool masked = can_mask(e);
    x86_address(e->x, REG_END, x86_mem(REG_END, REG_AT, 0, 0));
    if (e->start != NOWHERE)
        x86_copy(e->x, e->start, REG_AT);
    for (int t = 0; t < e->r->n_items; t++)
        if (e->pinned[t] != NOWHERE)
            x86_vector(e->x, X86_LOAD, e->full == 8 ? X86_512 : X86_256, e->pinned[t], 0, cell_address(e, item(e, t)), 0);
    if (masked)
        begin_carries(e);
    compare_end(e, e->full);
    const int64_t few = x86_jump(e->x, X86_GREATER);
    for (int t = 0; t < e->r->n_items; t++)
        if (has_heads(e, item(e, t)))
            begin_weave(e, item(e, t));
    if (!masked)
        begin_carries(e);
    if (e->has_sums)
        emit_wide_loop(e);
    compare_end(e, e->full);
    const int64_t none = x86_jump(e->x, X86_GREATER);
    x86_align(e->x, 32);
    const int64_t again = e->x->bytes.n;
    emit_body(e, e->full, 0, true);
    x86_add(e->x, REG_AT, e->full);
    compare_end(e, e->full);
    x86_jump_back(e->x, X86_NOT_GREATER, again);
    x86_land(e->x, none);
    finish_vectors(e);
    x86_land(e->x, few);
    emit_rest(e, masked);
}

bool run_emit(x86_code *x, const run *r, const int64_t constants[N_CONSTANTS])
{
    const int64_t begin = x->bytes.n;
    emitter e = {.x = x, .r = r, .constants = constants, .n_regs = x->evex ? 32 : 16, .full = x->evex ? 8 : 4};
    find_uses(&e);
    choose_registers(&e);
    choose_bases(&e);
    begin_function(&e);
    if (is_one(&e))
        emit_body(&e, 1, 0, false);
    else
        emit_loops(&e);
    end_function(&e);
    if (e.failed)
        x->bytes.n = begin;
    return !e.failed;
}
