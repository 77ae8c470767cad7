/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_weave.c - machine code of weaves (EVAL_WEAVE): whole vectors of all sums. Operands of instances before are carried in registers. The first places
 * are put right behind the loops; what is behind the last vector is woven by the interpreter, for which operands are kept.
 */
#include "eval/machine_emit.h"

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
    int sum = emit_wanted(e, i->arg[from], t);
    if (to - from == 1)
        return sum;
    const int first = sum;
    sum = emit_taken(e, t);
    for (int q = from + 1; q < to; q++) {
        const int v = emit_wanted(e, i->arg[q], t);
        x86_vector(e->x, X86_ADD, e->length, sum, q == from + 1 ? first : sum, x86_reg(v), 0);
    }
    return sum;
}

static x86_rm woven_address(emitter *e, const run_item *i, bool upper)
{
    x86_rm at = emit_strided_address(e, i, 2, 0);
    at.disp += upper ? e->width * 8 : 0;
    return at;
}

static void interleave(emitter *e, int a, int b, int lo, int hi)
{
    if (e->x->evex) {
        x86_vector(e->x, X86_LOAD, e->length, lo, 0, emit_constant_address(e, CONSTANT_LOW), 0);
        x86_vector(e->x, X86_LOAD, e->length, hi, 0, emit_constant_address(e, CONSTANT_HIGH), 0);
        x86_vector(e->x, X86_PERMUTE_TWO, e->length, lo, a, x86_reg(b), 0);
        x86_vector(e->x, X86_PERMUTE_TWO, e->length, hi, a, x86_reg(b), 0);
        return;
    }
    x86_vector(e->x, X86_UNPACK_LOW, e->length, lo, a, x86_reg(b), 0);
    x86_vector(e->x, X86_UNPACK_HIGH, e->length, hi, a, x86_reg(b), 0);
}

/* Rows of two; with VEX the halves of lo and hi have still to be put in order, for which `spare` is. */
void emit_weave(emitter *e, int t)
{
    const run_item *i = item(e, t);
    if (e->width == 1 || e->masked)
        return;
    const int a = lane_sum(e, t, 0, i->imm);
    e->locked = 1u << a;
    const int b = lane_sum(e, t, i->imm, terms_of(i)), lo = emit_taken(e, t), hi = emit_taken(e, t), spare = e->x->evex ? 0 : emit_taken(e, t);
    interleave(e, a, b, lo, hi);
    emit_begin_strided(e, 2);
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
    emit_done(e, t);
}

/* Only of what is left for the interpreter to weave. */
void emit_keep(emitter *e, int t)
{
    if (e->width == 1 || e->masked) {
        const int v = emit_wanted(e, item(e, t)->arg[0], t);
        emit_move(e, X86_STORE, v, emit_array_address(e, item(e, t), 0));
    }
    emit_done(e, t);
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

bool emit_has_heads(const emitter *e, const run_item *i)
{
    return i->code == ITEM_WEAVE && i->list == 0 && (rows_kept(e, i, 0, false) > 0 || rows_kept(e, i, 1, false) > 0);
}

static void keep_places(emitter *e, const run_item *i, bool first_block)
{
    for (int lane = 0; lane < 2; lane++)
        for (int row = 0; row < rows_kept(e, i, lane, first_block); row++) {
            x86_rm at = emit_strided_address(e, i, 2, row), to = kept_address(0);
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
void emit_begin_weave(emitter *e, const run_item *i)
{
    const int length = e->x->evex ? X86_512 : X86_256;
    x86_vector(e->x, X86_LOAD, length, 0, 0, emit_constant_address(e, CONSTANT_SIGN), 0);
    for (int k = 0; k < 2; k++) {
        x86_rm to = kept_address(0);
        to.disp += k * e->full * 8;
        x86_vector(e->x, X86_STORE, length, 0, 0, to, 0);
    }
    x86_number(e->x, REG_INDEX, 0);
    x86_compare(e->x, REG_AT, REG_INDEX);
    const int64_t later = x86_jump(e->x, X86_GREATER);
    emit_begin_strided(e, 2);
    keep_places(e, i, true);
    const int64_t done = x86_jump(e->x, X86_ALWAYS);
    x86_land(e->x, later);
    emit_begin_strided(e, 2);
    keep_places(e, i, false);
    x86_land(e->x, done);
}

void emit_finish_weave(emitter *e, const run_item *i)
{
    const int length = e->x->evex ? X86_512 : X86_256;
    x86_multiply(e->x, REG_INDEX, e->start, 2);
    for (int k = 0; k < 2; k++) {
        x86_rm at = emit_strided_address(e, i, 2, 0), kept = kept_address(0);
        at.disp += k * e->full * 8;
        kept.disp += k * e->full * 8;
        x86_vector(e->x, X86_LOAD, length, 0, 0, at, 0);
        x86_vector(e->x, X86_ADD, length, 0, 0, kept, 0);
        x86_vector(e->x, X86_STORE, length, 0, 0, at, 0);
    }
}
