/* SPDX-License-Identifier: Apache-2.0 */
/*
 * straight_emit.c - the function that a list of values and effects becomes: registers, a frame for what does not fit into them or must outlive a
 * call, bytes. Written twice, the first time to know the frame. Invariant: memory is touched as the effects say, in their order; caller's arrays nowhere
 * but in the lanes that there are.
 */
#include "eval/straight.h"
#include <string.h>

enum { NOWHERE = -1, FREE = -1, NEVER = INT32_MAX, VECTOR_BYTES = 64, SCALAR_BYTES = 8, SCALAR_SLOT = 1 << 24, MOST_SLOTS = 512, MASK_REGISTER = 1 };
enum { REG_ADDRESS = R10, REG_NUMBER = R11, MOST_BASES = 8 };
/* that calls leave alone, but for RBP, by which the frame is left; and, where nothing is called, others */
static const int KEPT_REGS[] = {RBX, R12, R13, R14, R15}, OTHER_REGS[] = {RAX, RCX, RDX, R8, R9};
enum { N_KEPT = 5 };

typedef struct {
    const straight *s;
    x86_code *x;
    int64_t n;                       /* items */
    int32_t *next, (*after)[3];      /* of a value, of an item's arguments: the item that wants it next */
    int32_t *at, *slot;              /* of a value; slot: SCALAR_SLOT + number, or the number of a vector's */
    int64_t *pool;                   /* of NUMBER and DATA: where it is in the buffer */
    int32_t held[32];
    uint32_t locked;
    int n_regs;
    int32_t n_slots[2], n_free[2], *free_slots[2]; /* of vectors, of scalars */
    int32_t vector_slots;            /* as the first time found */
    int n_bases, n_kept;
    struct { int32_t kind; int reg; } base[MOST_BASES];
    unsigned mask;                   /* what the mask register holds; 0: unknown */
    bool calls, frame, wide, saved, failed; /* saved: the two arguments are in the frame */
} emitter;

static const straight_item *item(const emitter *e, int32_t v)
{
    return straight_at(e->s, v);
}

static int length_of(int32_t lanes)
{
    return lanes == 1 ? X86_SCALAR : lanes == 2 ? X86_128 : lanes <= 4 ? X86_256 : X86_512;
}

/* Lengths of moves between registers, and of logic. */
static int whole_length(int32_t lanes)
{
    return lanes == 1 ? X86_128 : length_of(lanes);
}

static bool is_exact(int32_t lanes)
{
    return lanes == 1 || lanes == 2 || lanes == 4 || lanes == 8;
}

/* ---- addresses --------------------------------------------------------------------------------------------------------------- */

/* A kind's pointer into `reg`: from the arguments, which are in RDI and RSI or in the frame. */
static void load_base(emitter *e, int reg, int32_t kind)
{
    if (kind == BASE_MEMORY) {
        x86_pointer(e->x, reg, e->s->c->program->work);
        return;
    }
    const bool input = kind < BASE_MEMORY;
    int from = input ? RDI : RSI;
    if (e->saved) {
        x86_load64(e->x, reg, x86_mem(RSP, -1, 0, input ? 0 : 8));
        from = reg;
    }
    x86_load64(e->x, reg, x86_mem(from, -1, 0, 8 * (input ? kind : kind - BASE_OUTPUT)));
}

static x86_rm address(emitter *e, int32_t kind, int64_t offset)
{
    int reg = REG_ADDRESS;
    for (int k = 0; k < e->n_bases; k++)
        if (e->base[k].kind == kind)
            reg = e->base[k].reg;
    if (reg == REG_ADDRESS)
        load_base(e, reg, kind);
    e->failed = e->failed || offset > INT32_MAX / 2 || offset < INT32_MIN / 2;
    return x86_mem(reg, -1, 0, (int32_t)offset);
}

enum { ARGUMENTS = VECTOR_BYTES }; /* bytes at the frame's beginning */

static x86_rm slot_address(const emitter *e, int32_t slot)
{
    const int32_t at = slot >= SCALAR_SLOT ? e->vector_slots * VECTOR_BYTES + (slot - SCALAR_SLOT) * SCALAR_BYTES : slot * VECTOR_BYTES;
    return x86_mem(RSP, -1, 0, ARGUMENTS + at);
}

static bool is_constant(const emitter *e, int32_t v)
{
    return item(e, v)->code == STRAIGHT_NUMBER || item(e, v)->code == STRAIGHT_DATA;
}

/* Read from memory whenever it is wanted. */
static bool is_lazy(const emitter *e, int32_t v)
{
    return is_constant(e, v) || (item(e, v)->code == STRAIGHT_LOAD && item(e, v)->kind < BASE_MEMORY);
}

static x86_rm memory_of(emitter *e, int32_t v)
{
    if (e->slot[v] != NOWHERE)
        return slot_address(e, e->slot[v]);
    if (is_constant(e, v))
        return x86_mem(X86_HERE, -1, 0, (int32_t)e->pool[v]);
    return address(e, item(e, v)->kind, item(e, v)->offset);
}

/* ---- moves ------------------------------------------------------------------------------------------------------------------- */

static void set_mask(emitter *e, unsigned bits)
{
    if (e->mask == bits)
        return;
    x86_number(e->x, REG_NUMBER, (int32_t)bits);
    x86_mask(e->x, MASK_REGISTER, REG_NUMBER);
    e->mask = bits;
}

static int take(emitter *e);

/* Without masks, of three lanes: two and one. */
static void move_three(emitter *e, x86_op op, int reg, x86_rm rm)
{
    const int part = take(e);
    x86_rm last = rm;
    last.disp += 2 * SCALAR_BYTES;
    if (op == X86_STORE) {
        x86_vector(e->x, X86_STORE, X86_128, reg, 0, rm, 0);
        x86_vector(e->x, X86_EXTRACT_128, X86_256, reg, 0, x86_reg(part), 1);
        x86_vector(e->x, X86_STORE, X86_SCALAR, part, 0, last, 0);
        return;
    }
    x86_vector(e->x, X86_LOAD, X86_SCALAR, part, 0, last, 0);
    x86_vector(e->x, X86_LOAD, X86_128, reg, 0, rm, 0);
    x86_vector(e->x, X86_INSERT_128, X86_256, reg, reg, x86_reg(part), 1);
}

/* LOAD or STORE of a caller's or the program's array. */
static void move(emitter *e, x86_op op, int reg, x86_rm rm, int32_t lanes)
{
    if (is_exact(lanes))
        x86_vector(e->x, op, length_of(lanes), reg, 0, rm, 0);
    else if (e->x->evex) {
        set_mask(e, (1u << lanes) - 1);
        x86_vector_masked(e->x, op, length_of(lanes), reg, 0, rm, MASK_REGISTER);
    } else
        move_three(e, op, reg, rm);
}

/* ---- registers --------------------------------------------------------------------------------------------------------------- */

static void lock(emitter *e, int reg)
{
    e->locked |= 1u << reg;
}

static void drop(emitter *e, int32_t v)
{
    if (e->at[v] == NOWHERE)
        return;
    e->held[e->at[v]] = FREE;
    e->at[v] = NOWHERE;
}

static int32_t new_slot(emitter *e, bool scalar)
{
    if (e->n_free[scalar] > 0)
        return e->free_slots[scalar][--e->n_free[scalar]];
    e->failed = e->failed || e->n_slots[scalar] >= MOST_SLOTS;
    return (scalar ? SCALAR_SLOT : 0) + e->n_slots[scalar]++ % MOST_SLOTS;
}

static void spill(emitter *e, int32_t v)
{
    if (is_lazy(e, v) || e->slot[v] != NOWHERE)
        return;
    const int32_t lanes = item(e, v)->lanes;
    e->slot[v] = new_slot(e, lanes == 1);
    x86_vector(e->x, X86_STORE, length_of(lanes), e->at[v], 0, slot_address(e, e->slot[v]), 0);
}

static int take(emitter *e)
{
    int worst = -1;
    int32_t latest = -1;
    for (int k = 0; k < e->n_regs; k++) {
        if (e->locked >> k & 1)
            continue;
        if (e->held[k] == FREE) {
            lock(e, k);
            return k;
        }
        if (e->next[e->held[k]] > latest) {
            latest = e->next[e->held[k]];
            worst = k;
        }
    }
    if (worst < 0) {
        e->failed = true;
        return 0;
    }
    const int32_t v = e->held[worst];
    spill(e, v);
    drop(e, v);
    lock(e, worst);
    return worst;
}

static void hold(emitter *e, int32_t v, int reg)
{
    e->held[reg] = v;
    e->at[v] = reg;
}

/* v in a register, which is locked. */
static int wanted(emitter *e, int32_t v)
{
    if (e->at[v] == NOWHERE) {
        const int reg = take(e);
        const int32_t lanes = item(e, v)->lanes;
        if (e->slot[v] != NOWHERE || is_constant(e, v))
            x86_vector(e->x, X86_LOAD, length_of(lanes), reg, 0, memory_of(e, v), 0);
        else
            move(e, X86_LOAD, reg, memory_of(e, v), lanes);
        hold(e, v, reg);
    }
    lock(e, e->at[v]);
    return e->at[v];
}

/* As the last operand of an instruction on `lanes` numbers, which may be in memory. */
static bool stays(const emitter *e, int32_t v, int32_t t, int q, int32_t lanes)
{
    if (e->at[v] != NOWHERE)
        return false;
    if (is_constant(e, v) && e->slot[v] == NOWHERE)
        return true;
    return (e->slot[v] != NOWHERE || is_exact(lanes)) && e->after[t][q] == NEVER;
}

/* The registers of operands that nobody wants after item t are free; their slots only when the item has been written. */
static void release_registers(emitter *e, int32_t t)
{
    for (int q = 0; q < 3; q++) {
        const int32_t v = item(e, t)->arg[q];
        if (v < 0)
            continue;
        e->next[v] = e->after[t][q];
        if (e->next[v] != NEVER)
            continue;
        if (e->at[v] != NOWHERE)
            e->locked &= ~(1u << e->at[v]);
        drop(e, v);
    }
}

static void free_slot(emitter *e, int32_t v)
{
    const bool scalar = e->slot[v] >= SCALAR_SLOT;
    if (e->slot[v] == NOWHERE)
        return;
    e->free_slots[scalar][e->n_free[scalar]++] = e->slot[v];
    e->slot[v] = NOWHERE;
}

static void done(emitter *e, int32_t t)
{
    release_registers(e, t);
    for (int q = 0; q < 3; q++)
        if (item(e, t)->arg[q] >= 0 && e->next[item(e, t)->arg[q]] == NEVER)
            free_slot(e, item(e, t)->arg[q]);
}

/* ---- items ------------------------------------------------------------------------------------------------------------------- */

static void emit_binary(emitter *e, int32_t t, x86_op op, bool commutes)
{
    const straight_item *i = item(e, t);
    const bool swap = commutes && stays(e, i->arg[0], t, 0, i->lanes) && !stays(e, i->arg[1], t, 1, i->lanes);
    const int p = swap ? 1 : 0, q = 1 - p;
    const int first = wanted(e, i->arg[p]);
    const bool in_memory = i->arg[q] != i->arg[p] && stays(e, i->arg[q], t, q, i->lanes);
    const int second = in_memory ? 0 : wanted(e, i->arg[q]);
    const x86_rm from = in_memory ? memory_of(e, i->arg[q]) : x86_reg(second);
    release_registers(e, t);
    const int to = take(e);
    const bool logic = op == X86_XOR || op == X86_AND;
    x86_vector(e->x, op, logic ? whole_length(i->lanes) : length_of(i->lanes), to, first, from, 0);
    hold(e, t, to);
    done(e, t);
}

static void emit_sqrt(emitter *e, int32_t t)
{
    const int32_t lanes = item(e, t)->lanes;
    const int from = wanted(e, item(e, t)->arg[0]);
    done(e, t);
    const int to = take(e);
    x86_vector(e->x, X86_SQRT, length_of(lanes), to, lanes == 1 ? from : 0, x86_reg(from), 0);
    hold(e, t, to);
}

static void emit_fma(emitter *e, int32_t t)
{
    const straight_item *i = item(e, t);
    const int a = wanted(e, i->arg[0]), b = wanted(e, i->arg[1]), c = wanted(e, i->arg[2]), to = take(e);
    x86_vector(e->x, X86_MOVE, whole_length(i->lanes), to, 0, x86_reg(c), 0);
    x86_vector(e->x, X86_FMA231, length_of(i->lanes), to, a, x86_reg(b), 0);
    done(e, t);
    hold(e, t, to);
}

static void load_two(emitter *e, const straight_item *i, int reg, int32_t lane)
{
    const int64_t *places = &e->s->places.at[i->imm + lane];
    x86_vector(e->x, X86_LOAD, X86_SCALAR, reg, 0, address(e, i->kind, places[0]), 0);
    if (lane + 1 < i->lanes)
        x86_vector(e->x, X86_LOAD_HIGH, X86_128, reg, reg, address(e, i->kind, places[1]), 0);
}

static void load_four(emitter *e, const straight_item *i, int reg, int other, int32_t lane)
{
    load_two(e, i, reg, lane);
    if (lane + 2 >= i->lanes)
        return;
    load_two(e, i, other, lane + 2);
    x86_vector(e->x, X86_INSERT_128, X86_256, reg, reg, x86_reg(other), 1);
}

static void emit_gather(emitter *e, int32_t t)
{
    const straight_item *i = item(e, t);
    const int to = take(e), other = take(e);
    load_four(e, i, to, other, 0);
    if (i->lanes > 4) {
        const int upper = take(e);
        load_four(e, i, upper, other, 4);
        x86_vector(e->x, X86_INSERT_256, X86_512, to, to, x86_reg(upper), 1);
    }
    hold(e, t, to);
}

/* a, whole or in part, into another register */
static void emit_part(emitter *e, int32_t t)
{
    const straight_item *i = item(e, t);
    const int32_t lanes = item(e, i->arg[0])->lanes;
    const int from = wanted(e, i->arg[0]), to = take(e), full = e->x->evex ? X86_512 : X86_256;
    switch (i->code) {
    case STRAIGHT_SPREAD: x86_vector(e->x, X86_BROADCAST, full, to, 0, x86_reg(from), 0); break;
    case STRAIGHT_PAIR: x86_vector(e->x, X86_EXTRACT_128, lanes > 4 ? X86_512 : X86_256, from, 0, x86_reg(to), i->imm); break;
    case STRAIGHT_ODD: x86_vector(e->x, X86_UNPACK_HIGH, X86_128, to, from, x86_reg(from), 0); break;
    case STRAIGHT_HALF: x86_vector(e->x, X86_EXTRACT_256, X86_512, from, 0, x86_reg(to), 1); break;
    default:
        if (e->x->evex) {
            set_mask(e, (1u << i->imm) - 1);
            x86_vector_masked(e->x, X86_MOVE, X86_512, to, 0, x86_reg(from), MASK_REGISTER);
        } else {
            x86_vector(e->x, X86_XOR, X86_256, to, to, x86_reg(to), 0);
            x86_vector(e->x, X86_BLEND, X86_256, to, to, x86_reg(from), (1 << i->imm) - 1);
        }
    }
    done(e, t);
    hold(e, t, to);
}

static void emit_align(emitter *e, int32_t t)
{
    const straight_item *i = item(e, t);
    const int now = wanted(e, i->arg[0]), before = wanted(e, i->arg[1]), to = take(e);
    x86_vector(e->x, X86_ALIGN, X86_512, to, now, x86_reg(before), i->imm);
    done(e, t);
    hold(e, t, to);
}

/* ---- calls ------------------------------------------------------------------------------------------------------------------- */

/* Argument q in register q; where there are fewer lanes than a vector has, ones behind, as in the interpreter. */
static void pass(emitter *e, int32_t t, int q, x86_rm ones)
{
    const straight_item *i = item(e, t);
    const int32_t v = i->arg[q], lanes = i->lanes;
    int from = e->at[v];
    if (from == NOWHERE) {
        from = q;
        if (e->slot[v] != NOWHERE || is_constant(e, v))
            x86_vector(e->x, X86_LOAD, length_of(item(e, v)->lanes), q, 0, memory_of(e, v), 0);
        else
            move(e, X86_LOAD, q, memory_of(e, v), item(e, v)->lanes);
    }
    if (lanes == e->s->width) {
        if (from != q)
            x86_vector(e->x, X86_MOVE, e->x->evex ? X86_512 : X86_256, q, 0, x86_reg(from), 0);
    } else if (e->x->evex) {
        set_mask(e, 0xff & ~((1u << lanes) - 1));
        x86_vector_merged(e->x, X86_BLEND_MASKED, X86_512, q, from, ones, MASK_REGISTER);
    } else
        x86_vector(e->x, X86_BLEND, X86_256, q, from, ones, 0xf & ~((1 << lanes) - 1));
}

/* What is wanted afterwards must be in memory; arguments that are in the way of others too. */
static void spill_all(emitter *e, int32_t t, int n)
{
    const straight_item *i = item(e, t);
    for (int k = 0; k < e->n_regs; k++) {
        const int32_t v = e->held[k];
        int32_t next = v == FREE ? NEVER : e->next[v];
        bool argument = false;
        for (int q = 0; q < n; q++)
            if (i->arg[q] == v && v != FREE) {
                next = e->after[t][q];
                argument = true;
            }
        if (v == FREE || (!argument && next == NEVER))
            continue;
        if (next != NEVER || (n > 1 && k < n))
            spill(e, v);
        if (!argument || (n > 1 && k < n))
            drop(e, v);
    }
}

static void emit_call(emitter *e, int32_t t)
{
    const straight_item *i = item(e, t);
    const x86_rm ones = x86_mem(X86_HERE, -1, 0, (int32_t)e->pool[e->n]);
    const eval_vector_fn fn = e->s->c->program->simd->vector[i->imm];
    const void *to;
    memcpy(&to, &fn, sizeof to);
    int n = 0;
    while (n < 3 && i->arg[n] >= 0)
        n++;
    spill_all(e, t, n);
    e->locked = (1u << n) - 1;
    for (int q = 0; q < n; q++)
        if (e->at[i->arg[q]] != NOWHERE)
            lock(e, e->at[i->arg[q]]);
    for (int q = 0; q < n; q++)
        pass(e, t, q, ones);
    if (i->imm == EVAL_SINCOS) {
        e->slot[t + 1] = new_slot(e, false);
        x86_address(e->x, RDI, slot_address(e, e->slot[t + 1]));
    }
    x86_pointer(e->x, RAX, to);
    x86_call(e->x, RAX);
    e->mask = 0;
    done(e, t);
    for (int k = 0; k < e->n_regs; k++)
        if (e->held[k] != FREE)
            drop(e, e->held[k]);
    hold(e, t, 0);
}

/* Its slot is given back where nobody wants it. */
static void emit_cosine(emitter *e, int32_t t)
{
    e->failed = e->failed || e->slot[t] == NOWHERE;
    done(e, t);
    if (e->next[t] == NEVER)
        free_slot(e, t);
}

static void emit_item(emitter *e, int32_t t)
{
    const straight_item *i = item(e, t);
    e->locked = 0;
    if (!i->live)
        return;
    if (i->code == STRAIGHT_COSINE) {
        emit_cosine(e, t);
        return;
    }
    if (i->code != STRAIGHT_STORE && is_lazy(e, t))
        return;
    switch (i->code) {
    case STRAIGHT_LOAD: {
        const int to = take(e);
        move(e, X86_LOAD, to, address(e, i->kind, i->offset), i->lanes);
        hold(e, t, to);
        break;
    }
    case STRAIGHT_STORE: {
        const int from = wanted(e, i->arg[0]);
        move(e, X86_STORE, from, address(e, i->kind, i->offset), i->lanes);
        done(e, t);
        break;
    }
    case STRAIGHT_RESULT: {
        const int from = wanted(e, i->arg[0]);
        if (from != 0)
            x86_vector(e->x, X86_MOVE, X86_128, 0, 0, x86_reg(from), 0);
        break;
    }
    case STRAIGHT_ADD: emit_binary(e, t, X86_ADD, true); break;
    case STRAIGHT_SUB: emit_binary(e, t, X86_SUB, false); break;
    case STRAIGHT_MUL: emit_binary(e, t, X86_MUL, true); break;
    case STRAIGHT_DIV: emit_binary(e, t, X86_DIV, false); break;
    case STRAIGHT_NEG: emit_binary(e, t, X86_XOR, false); break;
    case STRAIGHT_ABS: emit_binary(e, t, X86_AND, false); break;
    case STRAIGHT_SQRT: emit_sqrt(e, t); break;
    case STRAIGHT_FMA: emit_fma(e, t); break;
    case STRAIGHT_GATHER: emit_gather(e, t); break;
    case STRAIGHT_ALIGN: emit_align(e, t); break;
    case STRAIGHT_CALL: emit_call(e, t); break;
    default: emit_part(e, t);
    }
}

/* ---- the function ------------------------------------------------------------------------------------------------------------ */

/* Constants, each at its own alignment; behind the last item's there are ones. */
static void emit_pool(emitter *e)
{
    const double one = 1;
    x86_align(e->x, VECTOR_BYTES);
    e->pool[e->n] = e->x->bytes.n;
    for (int l = 0; l < e->s->width; l++)
        x86_data(e->x, &one, sizeof one);
    for (int scalar = 0; scalar < 2; scalar++)
        for (int32_t v = 0; v < e->n; v++) {
            const straight_item *i = item(e, v);
            if (!i->live || !is_constant(e, v) || (i->lanes == 1) != (scalar != 0))
                continue;
            e->pool[v] = e->x->bytes.n;
            for (int l = 0; l < (scalar ? 1 : e->s->width); l++)
                x86_data(e->x, i->code == STRAIGHT_NUMBER ? (const void *)&i->offset : &e->s->data.at[i->imm + l], sizeof(double));
        }
    x86_align(e->x, 32);
}

static void find_uses(emitter *e)
{
    for (int32_t v = 0; v < e->n; v++)
        e->next[v] = NEVER;
    for (int32_t t = (int32_t)e->n - 1; t >= 0; t--) {
        const straight_item *i = item(e, t);
        for (int q = 0; q < 3; q++)
            e->after[t][q] = i->live && i->arg[q] >= 0 ? e->next[i->arg[q]] : NEVER;
        for (int q = 0; q < 3; q++)
            if (i->live && i->arg[q] >= 0)
                e->next[i->arg[q]] = t;
    }
}

static void note_kind(emitter *e, int32_t kind)
{
    for (int k = 0; k < e->n_bases; k++)
        if (e->base[k].kind == kind)
            return;
    if (e->n_bases == MOST_BASES || e->n_kept == (e->calls ? N_KEPT : 2 * N_KEPT - 2)) {
        e->saved = e->calls;
        return;
    }
    e->base[e->n_bases].kind = kind;
    e->base[e->n_bases++].reg = e->calls ? KEPT_REGS[e->n_kept] : e->n_kept < N_KEPT ? OTHER_REGS[e->n_kept] : KEPT_REGS[e->n_kept - N_KEPT];
    e->n_kept++;
}

static void choose_bases(emitter *e)
{
    for (int32_t v = 0; v < e->n; v++) {
        const straight_item *i = item(e, v);
        e->calls = e->calls || (i->live && i->code == STRAIGHT_CALL);
        e->wide = e->wide || (i->live && (i->lanes > 2 || i->code == STRAIGHT_CALL));
    }
    for (int32_t v = 0; v < e->n; v++)
        if (item(e, v)->live && item(e, v)->kind != BASE_NONE)
            note_kind(e, item(e, v)->kind);
}

static int saved_registers(const emitter *e)
{
    return e->calls ? e->n_kept : e->n_kept > N_KEPT ? e->n_kept - N_KEPT : 0;
}

static void begin_function(emitter *e)
{
    x86_entry(e->x);
    if (e->frame) {
        x86_push(e->x, RBP);
        x86_copy(e->x, RBP, RSP);
        for (int k = 0; k < saved_registers(e); k++)
            x86_push(e->x, KEPT_REGS[k]);
        x86_and(e->x, RSP, -VECTOR_BYTES);
        x86_add(e->x, RSP, -(ARGUMENTS + e->vector_slots * VECTOR_BYTES + (e->n_slots[1] * SCALAR_BYTES + VECTOR_BYTES - 1) / VECTOR_BYTES * VECTOR_BYTES));
    }
    for (int k = 0; k < e->n_bases; k++) {
        const bool saved = e->saved;
        e->saved = false;
        load_base(e, e->base[k].reg, e->base[k].kind);
        e->saved = saved;
    }
    if (e->saved) {
        x86_store64(e->x, RDI, x86_mem(RSP, -1, 0, 0));
        x86_store64(e->x, RSI, x86_mem(RSP, -1, 0, 8));
    }
}

static void end_function(emitter *e)
{
    const int saved = saved_registers(e);
    if (e->wide)
        x86_zero_upper(e->x);
    if (e->frame) {
        x86_address(e->x, RSP, x86_mem(RBP, -1, 0, -8 * saved));
        for (int k = saved - 1; k >= 0; k--)
            x86_pop(e->x, KEPT_REGS[k]);
        x86_pop(e->x, RBP);
    }
    x86_return(e->x);
}

static void emit_function(emitter *e)
{
    find_uses(e);
    for (int k = 0; k < e->n_regs; k++)
        e->held[k] = FREE;
    for (int64_t v = 0; v < e->n; v++)
        e->at[v] = e->slot[v] = NOWHERE;
    e->mask = 0;
    begin_function(e);
    e->n_slots[0] = e->n_slots[1] = e->n_free[0] = e->n_free[1] = 0;
    for (int32_t t = 0; t < e->n && !e->failed; t++)
        emit_item(e, t);
    end_function(e);
}

int64_t straight_emit(x86_code *x, const straight *s, arena *data)
{
    const int64_t begin = x->bytes.n;
    emitter e = {.s = s, .x = x, .n = s->items.n, .n_regs = x->evex ? 32 : 16};
    const size_t n = (size_t)e.n + 1;
    e.next = arena_array(data, n, sizeof *e.next);
    e.after = arena_array(data, n, sizeof *e.after);
    e.at = arena_array(data, n, sizeof *e.at);
    e.slot = arena_array(data, n, sizeof *e.slot);
    e.pool = arena_array(data, n, sizeof *e.pool);
    for (int k = 0; k < 2; k++)
        e.free_slots[k] = arena_array(data, n, sizeof *e.free_slots[k]);
    if (e.next == NULL || e.after == NULL || e.at == NULL || e.slot == NULL || e.pool == NULL || e.free_slots[0] == NULL || e.free_slots[1] == NULL) {
        x->failed = true;
        return -1;
    }
    choose_bases(&e);
    emit_pool(&e);
    const int64_t at = x->bytes.n;
    e.frame = true;
    emit_function(&e);
    e.frame = e.calls || e.n_slots[0] + e.n_slots[1] > 0 || saved_registers(&e) > 0;
    e.vector_slots = e.n_slots[0];
    const int32_t scalars = e.n_slots[1];
    x->bytes.n = x->failed ? x->bytes.n : at;
    e.n_slots[1] = scalars;
    emit_function(&e);
    if (e.failed || x->failed) {
        x->bytes.n = begin;
        return -1;
    }
    return at;
}
