/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_rows.c - machine code of a loop over the rows of a chunk (eval_rows_fn): what changes when a row begins is set in registers. Invariant: blocks
 * are those that the interpreter makes, and nothing of the instructions, which other calls use too, is changed.
 */
#include "eval/machine_emit.h"
#include <string.h>

static const eval_rows *rows_of(const emitter *e)
{
    return e->r->k->k->rows;
}

/* The number of a row's cell, or -1: its instruction points to it. */
static int64_t row_cell(const emitter *e, int t)
{
    const run_item *i = item(e, t);
    if (!e->by_rows || i->code != ITEM_CELL)
        return -1;
    const run_base *base = &e->r->base[i->base];
    const double *at;
    memcpy(&at, (const char *)&e->r->k->k->ins[e->r->first] + base->field, sizeof at);
    at += displacement(e, i) / (int64_t)sizeof *at;
    for (int64_t k = 0; k < rows_of(e)->n_cells; k++)
        if (rows_of(e)->cells[k].cell == at)
            return k;
    return -1;
}

bool emit_is_row_cell(const emitter *e, int t)
{
    return row_cell(e, t) >= 0;
}

static const int32_t *slide_of(const emitter *e, const run_base *base)
{
    const eval_rows *rows = rows_of(e);
    int64_t k = 0;
    while (run_pointer_field(e->r, rows->slides[k].ins, rows->slides[k].operand) != base->field)
        k++;
    return rows->slides[k].by;
}

/* The row's number in a table, unless it is there, from `last`. */
static void load_of_row(emitter *e, const int32_t *table, const int32_t *last)
{
    if (table == last)
        return;
    x86_pointer(e->x, REG_ADDRESS, table);
    x86_load64(e->x, REG_INDEX, row_state(ROW_AT));
    x86_load_index(e->x, REG_INDEX, x86_mem(REG_ADDRESS, REG_INDEX, 2, 0));
}

static void set_bases(emitter *e)
{
    const int32_t *last = NULL;
    for (int b = 0; b < e->r->n_bases; b++) {
        const run_base *base = &e->r->base[b];
        if (base->by == NULL)
            continue;
        load_of_row(e, slide_of(e, base), last);
        last = slide_of(e, base);
        x86_load64(e->x, REG_ADDRESS, x86_mem(REG_CODE, -1, 0, (int32_t)base->field));
        x86_address(e->x, e->general[b] != NOWHERE ? e->general[b] : REG_ADDRESS, x86_mem(REG_ADDRESS, REG_INDEX, 3, 0));
        if (e->general[b] == NOWHERE)
            x86_store64(e->x, REG_ADDRESS, row_state(ROW_BASES + b));
    }
}

static void set_cells(emitter *e)
{
    const int length = vector_length(e), spare = 0;
    const int32_t *last = NULL;
    for (int t = 0; t < e->r->n_items; t++) {
        const int64_t cell = row_cell(e, t);
        if (cell < 0)
            continue;
        const int32_t *const at = rows_of(e)->cells[cell].at + item(e, t)->imm;
        load_of_row(e, at, last);
        last = at;
        x86_pointer(e->x, REG_ADDRESS, &rows_of(e)->cells[cell].from);
        x86_load64(e->x, REG_ADDRESS, x86_mem(REG_ADDRESS, -1, 0, 0));
        x86_vector(e->x, X86_BROADCAST, length, e->pinned[t] != NOWHERE ? e->pinned[t] : spare, 0, x86_mem(REG_ADDRESS, REG_INDEX, 3, 0), 0);
        if (e->pinned[t] == NOWHERE)
            x86_vector(e->x, X86_STORE, length, spare, 0, emit_cell_address(e, item(e, t)), 0);
    }
}

/* rcx: the first row; r8: where its first block ends */
void emit_begin_rows(emitter *e)
{
    x86_store64(e->x, RCX, row_state(ROW_AT));
    x86_address(e->x, REG_END, x86_mem(REG_END, REG_AT, 0, 0));
    x86_store64(e->x, REG_END, row_state(CHUNK_END));
    x86_copy(e->x, REG_END, R8);
}

static bool has_long_rows(const emitter *e)
{
    for (int64_t j = 0; j < rows_of(e)->n; j++)
        if (rows_of(e)->start[j + 1] - rows_of(e)->start[j] > e->r->k->k->block)
            return true;
    return false;
}

static void end_no_later_than(emitter *e, int reg)
{
    x86_compare(e->x, reg, REG_END);
    const int64_t later = x86_jump(e->x, X86_NOT_LESS);
    x86_copy(e->x, REG_END, reg);
    x86_land(e->x, later);
}

/* REG_END is the chunk's, REG_ADDRESS the row's */
static void end_block(emitter *e, bool long_rows, int64_t next)
{
    end_no_later_than(e, REG_ADDRESS);
    if (long_rows) {
        x86_address(e->x, REG_INDEX, x86_mem(REG_AT, -1, 0, (int32_t)e->r->k->k->block));
        end_no_later_than(e, REG_INDEX);
    }
    x86_jump_back(e->x, X86_ALWAYS, next);
}

/* Two rows at once, block by block, where the run has two: the second one begins where the first ends, with the next block of both. */
void emit_row_loop(emitter *e)
{
    const int32_t *const ends = rows_of(e)->start + 1;
    const bool long_rows = has_long_rows(e), pairs = e->r->second;
    const int64_t row = e->x->bytes.n;
    int64_t over_too = 0;
    set_bases(e);
    set_cells(e);
    const int64_t block = e->x->bytes.n;
    emit_block(e);
    x86_copy(e->x, REG_AT, REG_END);
    x86_load64(e->x, REG_END, row_state(CHUNK_END));
    x86_compare(e->x, REG_AT, REG_END);
    const int64_t done = x86_jump(e->x, X86_NOT_LESS);
    load_of_row(e, ends, NULL);
    x86_copy(e->x, REG_ADDRESS, REG_INDEX);
    x86_compare(e->x, REG_AT, REG_ADDRESS);
    const int64_t over = x86_jump(e->x, X86_NOT_LESS);
    end_block(e, long_rows, block);
    x86_land(e->x, over);
    if (pairs) {
        x86_add(e->x, REG_AT, (int32_t)rows_of(e)->period);
        x86_compare(e->x, REG_AT, REG_END);
        over_too = x86_jump(e->x, X86_NOT_LESS);
    }
    x86_load64(e->x, REG_INDEX, row_state(ROW_AT));
    x86_add(e->x, REG_INDEX, pairs ? 2 : 1);
    x86_store64(e->x, REG_INDEX, row_state(ROW_AT));
    load_of_row(e, ends, NULL);
    x86_copy(e->x, REG_ADDRESS, REG_INDEX);
    end_block(e, long_rows, row);
    x86_land(e->x, done);
    if (pairs)
        x86_land(e->x, over_too);
}
