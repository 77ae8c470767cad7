/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_emit.c - the function that a run becomes: a loop over vectors and what is left behind the last of them, each the run's items in their
 * order. Invariant: memory is touched as the items say, in that order, and never outside of the instances that the function is called for.
 */
#include "eval/machine_emit.h"

/* for bases and `start` */
static const int BASE_REGS[] = {RAX, RCX, R8, R9, RBX, R12, R13, R14, R15};
enum { N_BASE_REGS = sizeof BASE_REGS / sizeof BASE_REGS[0], N_CLOBBERED = 4 };

/* ---- a body ---------------------------------------------------------------------------------------------------------------------- */

static void emit_body(emitter *e, int width, int part, int lane_part, bool dynamic_lanes)
{
    e->width = width;
    e->part = part;
    e->lane_part = lane_part;
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

/* Behind the last vector. */
static void finish_vectors(emitter *e)
{
    e->part = 0;
    e->width = e->full;
    for (int t = 0; t < e->r->n_items; t++) {
        const run_item *i = item(e, t);
        if (i->code == ITEM_STORE && i->imm > 0)
            emit_finish_store(e, i);
        if (i->code == ITEM_KEEP && i->list >= 0)
            x86_vector(e->x, X86_STORE, e->x->evex ? X86_512 : X86_256, e->carry[i->list], 0, emit_array_address(e, i, -e->full), 0);
        if (emit_has_heads(e, i))
            emit_finish_weave(e, i);
    }
}

/* ---- the function -------------------------------------------------------------------------------------------------------------------- */

/* The bases that are used most; those of registers in any case. */
static void choose_bases(emitter *e)
{
    int uses[MOST_BASES] = {0};
    for (int t = 0; t < e->r->n_items; t++) {
        if (item(e, t)->base >= 0)
            uses[item(e, t)->base]++;
        if (run_is_indexed(item(e, t)->code) && e->r->pack == NULL)
            uses[item(e, t)->list]++;
        if (item(e, t)->code == ITEM_TABLE && e->r->table[item(e, t)->imm].constants >= 0)
            uses[e->r->table[item(e, t)->imm].constants]++;
    }
    e->start = NOWHERE;
    if (e->wants_start && !is_one(e))
        e->start = BASE_REGS[e->n_general++];
    e->pack = e->r->pack != NULL ? BASE_REGS[e->n_general++] : NOWHERE;
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
    x86_add(x, RSP, -(MOST_SLOTS + KEPT) * VECTOR_BYTES - ROW_BYTES);
    if (e->by_rows)
        emit_begin_rows(e);
    for (int b = 0; b < e->r->n_bases; b++) {
        const run_base *base = &e->r->base[b];
        if (e->general[b] == NOWHERE || (e->by_rows && base->by != NULL))
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

static void begin_pack(emitter *e)
{
    if (e->pack == NOWHERE)
        return;
    x86_pointer(e->x, e->pack, e->r->pack);
    x86_multiply(e->x, REG_INDEX, REG_AT, e->r->pack_width * (int32_t)sizeof *e->r->pack);
    x86_address(e->x, e->pack, x86_mem(e->pack, REG_INDEX, 0, 0));
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

/* ---- loops ---------------------------------------------------------------------------------------------------------------------------- */

/* By n instances. */
static void advance(emitter *e, int32_t n)
{
    x86_add(e->x, REG_AT, n);
    if (e->pack != NOWHERE)
        x86_add(e->x, e->pack, n * e->r->pack_width * (int32_t)sizeof *e->r->pack);
}

/* Compares the instance `ahead` of the next with the end. */
static void compare_end(emitter *e, int ahead)
{
    x86_address(e->x, REG_INDEX, x86_mem(REG_AT, -1, 0, ahead));
    x86_compare(e->x, REG_INDEX, REG_END);
}

static void move_sums(emitter *e, x86_op op)
{
    for (int k = 0; k < e->n_sums; k++)
        for (int part = 0; part < EVAL_LANES / e->full && !(e->static_lanes && is_scaled(item(e, e->sum_item[k]))); part++) {
            x86_rm at = emit_lanes(e, e->sum_item[k]);
            at.disp += part * e->full * 8;
            x86_vector(e->x, op, vector_length(e), e->sum_reg[k] + part, 0, at, 0);
        }
}

/* All lanes of the partial sums at once, as long as there are so many instances. */
static void emit_wide_loop(emitter *e)
{
    compare_end(e, EVAL_LANES);
    const int64_t none = x86_jump(e->x, X86_GREATER);
    if (!e->static_lanes)
        move_sums(e, X86_LOAD);
    x86_align(e->x, 32);
    const int64_t again = e->x->bytes.n;
    for (int part = 0; part < EVAL_LANES / e->full; part++)
        emit_body(e, e->full, part, part, false);
    advance(e, EVAL_LANES);
    compare_end(e, EVAL_LANES);
    x86_jump_back(e->x, X86_NOT_GREATER, again);
    if (!e->static_lanes) {
        move_sums(e, X86_STORE);
        emit_keep_row_sums(e);
    }
    x86_land(e->x, none);
}

static void emit_narrow_loop(emitter *e)
{
    compare_end(e, e->full);
    const int64_t none = x86_jump(e->x, X86_GREATER);
    x86_align(e->x, 32);
    const int64_t again = e->x->bytes.n;
    emit_body(e, e->full, 0, 0, !e->static_lanes);
    advance(e, e->full);
    compare_end(e, e->full);
    x86_jump_back(e->x, X86_NOT_GREATER, again);
    x86_land(e->x, none);
}

static void begin_carries(emitter *e)
{
    for (int t = 0; t < e->r->n_items; t++)
        if (item(e, t)->code == ITEM_CARRY)
            emit_begin_carry(e, item(e, t));
}

/* What is less than a vector, by a mask. */
static void emit_part(emitter *e, int lane_part)
{
    x86_copy(e->x, REG_INDEX, REG_END);
    x86_subtract(e->x, REG_INDEX, REG_AT);
    x86_number(e->x, REG_ADDRESS, -1);
    x86_lowest(e->x, REG_ADDRESS, REG_ADDRESS, REG_INDEX);
    x86_mask(e->x, REST, REG_ADDRESS);
    e->masked = true;
    emit_body(e, e->full, 0, lane_part, !e->static_lanes);
    e->masked = false;
}

static void emit_rest(emitter *e, bool masked, int lane_part)
{
    x86_compare(e->x, REG_AT, REG_END);
    const int64_t done = x86_jump(e->x, X86_NOT_LESS);
    if (masked)
        emit_part(e, lane_part);
    else {
        const int64_t again = e->x->bytes.n;
        emit_body(e, 1, 0, 0, true);
        advance(e, 1);
        x86_compare(e->x, REG_AT, REG_END);
        x86_jump_back(e->x, X86_LESS, again);
    }
    x86_land(e->x, done);
}

/* Behind all whole groups of EVAL_LANES instances, when each part of the partial sums is in registers. */
static void emit_static_rest(emitter *e, int64_t few)
{
    compare_end(e, e->full);
    const int64_t none = x86_jump(e->x, X86_GREATER);
    emit_body(e, e->full, 0, 0, false);
    advance(e, e->full);
    finish_vectors(e);
    emit_rest(e, true, 1);
    const int64_t done = x86_jump(e->x, X86_ALWAYS);
    x86_land(e->x, none);
    finish_vectors(e);
    x86_land(e->x, few);
    emit_rest(e, true, 0);
    x86_land(e->x, done);
}

void emit_block(emitter *e)
{
    const bool masked = emit_can_mask(e);
    emit_begin_block_sums(e);
    if (e->start != NOWHERE)
        x86_copy(e->x, e->start, REG_AT);
    if (masked)
        begin_carries(e);
    compare_end(e, e->full);
    const int64_t few = x86_jump(e->x, X86_GREATER);
    for (int t = 0; t < e->r->n_items; t++)
        if (emit_has_heads(e, item(e, t)))
            emit_begin_weave(e, item(e, t));
    if (!masked)
        begin_carries(e);
    if (e->has_sums || (e->n_row_sums > 0 && !e->static_lanes))
        emit_wide_loop(e);
    if (e->has_sums && e->static_lanes)
        emit_static_rest(e, few);
    else {
        emit_narrow_loop(e);
        finish_vectors(e);
        x86_land(e->x, few);
        emit_rest(e, masked, 0);
    }
    emit_finish_block_sums(e);
}

static void emit_loops(emitter *e)
{
    if (!e->by_rows)
        x86_address(e->x, REG_END, x86_mem(REG_END, REG_AT, 0, 0));
    for (int t = 0; t < e->r->n_items; t++)
        if (e->pinned[t] != NOWHERE && !emit_is_row_cell(e, t))
            x86_vector(e->x, X86_LOAD, vector_length(e), e->pinned[t], 0, emit_cell_address(e, item(e, t)), 0);
    if (e->n_fused > 0)
        x86_vector(e->x, X86_LOAD, vector_length(e), e->ones, 0, emit_constant_address(e, CONSTANT_ONE), 0);
    if (e->static_lanes)
        move_sums(e, X86_LOAD);
    emit_begin_watch(e);
    if (e->by_rows)
        emit_row_loop(e);
    else
        emit_block(e);
    emit_finish_watch(e);
    if (e->static_lanes)
        move_sums(e, X86_STORE);
}

bool run_emit(x86_code *x, const run *r, bool by_rows, const int64_t constants[N_CONSTANTS], int64_t *entry)
{
    const int64_t begin = x->bytes.n;
    emitter e = {.x = x, .r = r, .by_rows = by_rows, .constants = constants, .n_regs = x->evex ? 32 : 16, .full = x->evex ? 8 : 4};
    emit_find_uses(&e);
    emit_choose_registers(&e);
    if (r->second && !emit_has_room(&e))
        return false;
    choose_bases(&e);
    emit_orders(&e);
    *entry = x->bytes.n;
    begin_function(&e);
    begin_pack(&e);
    if (is_one(&e))
        emit_body(&e, 1, 0, 0, false);
    else
        emit_loops(&e);
    end_function(&e);
    if (e.failed)
        x->bytes.n = begin;
    return !e.failed;
}
