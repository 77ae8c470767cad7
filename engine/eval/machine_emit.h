/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_emit.h - inside engine/eval only: a run while its machine code is written. machine_emit.c writes the function and its loops, machine_rows.c
 * the loop over rows, machine_items.c an item, machine_weave.c weaves; machine_values.c knows where values are.
 */
#ifndef PERI_EVAL_MACHINE_EMIT_H
#define PERI_EVAL_MACHINE_EMIT_H

#include "eval/machine_run.h"

enum { NOWHERE = -1, PINNED = -2, FREE = -1, MOST_SLOTS = 64, VECTOR_BYTES = 64, NEVER = 1 << 30, EDGE = 1, REST = 2 };
enum { ROW_AT, CHUNK_END, ROW_BASES, ROW_BYTES = (ROW_BASES + MOST_BASES + 7) / 8 * VECTOR_BYTES }; /* of a loop over rows, eight bytes each */
enum { MOST_SUMS = 8, MOST_WATCHES = 4, KEPT = 2 + MOST_CARRIES + 3 * MOST_SUMS };

/* general registers: the instructions, the next instance, the end; bases and `start`; for addresses */
enum { REG_CODE = RDI, REG_AT = RSI, REG_END = RDX, REG_ADDRESS = R10, REG_INDEX = R11 };

typedef struct {
    x86_code *x;
    const run *r;
    const int64_t *constants;
    int64_t orders[MOST_TABLES];     /* where the tables' orders of numbers are in the buffer */
    int n_regs, full;                /* vector registers; numbers of a vector */
    bool masked;                     /* this body has a part of a vector, by the mask REST */
    int width, length, part;         /* of this body: numbers, X86_ length, which of the vectors that are unrolled */
    int lane_part;                   /* the part of the partial sums that it adds to */
    bool dynamic_lanes;              /* that is not known: they are at (at - start) modulo EVAL_LANES, in memory */
    bool static_lanes;               /* no body has dynamic ones */
    bool by_rows;                    /* the function has all blocks of a chunk */
    int32_t held[32];                /* value, FREE or PINNED */
    int at[MOST_ITEMS], slot[MOST_ITEMS];
    int pinned[MOST_ITEMS];          /* register for good, of cells; or NOWHERE */
    int first_use[MOST_ITEMS + 1], use[4 * MOST_ITEMS], cursor[MOST_ITEMS];
    int general[MOST_BASES];         /* register, or NOWHERE: fetched when it is wanted */
    int n_general, start;            /* start: register that holds it */
    int pack;                        /* register: the next instance's indices, see run; or NOWHERE */
    int carry[MOST_CARRIES], distance[MOST_CARRIES];
    int row_sum[MOST_CARRIES], n_row_sums; /* first registers of sums of rows, in the order of their items */
    int n_sums, sum_item[MOST_SUMS], sum_reg[MOST_SUMS]; /* sums that are in registers, the first of them */
    int ones, n_fused;               /* sums that are 1 v more, the first of them; a register of ones */
    int large;                       /* a register of the constant of WATCHes, or NOWHERE */
    int n_watches, watch_reg[MOST_WATCHES], watch_next; /* registers of WATCHes, taken in turns; none: their lanes in memory */
    bool has_watch, has_sums, wants_start;
    int n_slots;
    uint32_t locked, reserved;       /* reserved: pinned registers */
    bool failed;
} emitter;

static inline const run_item *item(const emitter *e, int32_t v)
{
    return &e->r->item[v];
}

static inline bool is_one(const emitter *e)
{
    return e->r->k->k->n == 1;
}

static inline int32_t displacement(const emitter *e, const run_item *i)
{
    return (int32_t)(i->offset - e->r->base[i->base].origin);
}

static inline int count_uses(const emitter *e, int32_t v)
{
    return e->first_use[v + 1] - e->first_use[v];
}

static inline int vector_length(const emitter *e)
{
    return e->full == 8 ? X86_512 : X86_256;
}

/* Memory of the function's own behind the values that were given up; two vectors are a weave's, one is for each sum of rows, two for a scaled sum, one
 * for each number that scales a sum of the second of two rows. */
static inline x86_rm kept_address(int vector)
{
    return x86_mem(RSP, -1, 0, (MOST_SLOTS + vector) * VECTOR_BYTES);
}

/* Behind that. */
static inline x86_rm row_state(int number)
{
    return x86_mem(RSP, -1, 0, (MOST_SLOTS + KEPT) * VECTOR_BYTES + number * 8);
}

static inline void lock(emitter *e, int reg)
{
    e->locked |= 1u << reg;
}

/* ---- machine_values.c ---- */

void emit_find_uses(emitter *e);
bool emit_is_lazy(const emitter *e, int32_t v); /* read from memory whenever it is wanted: nothing that the run writes is there */
/* Addresses; those of entries by stride after emit_begin_strided. A base that has no register is fetched into REG_ADDRESS. */
int emit_base(emitter *e, int32_t base);
x86_rm emit_array_address(emitter *e, const run_item *i, int32_t ahead);
x86_rm emit_cell_address(emitter *e, const run_item *i);
x86_rm emit_constant_address(const emitter *e, int which);
x86_rm emit_strided_address(emitter *e, const run_item *i, int32_t stride, int32_t lane);
void emit_begin_strided(emitter *e, int32_t stride);
x86_rm emit_list_address(emitter *e, const run_item *i, int32_t lane, int32_t k); /* number k of an instance's places */
void emit_move(emitter *e, x86_op op, int reg, x86_rm rm); /* LOAD, STORE of the entries of those instances that there are */
/* Registers, for item t: a free one; a free one, locked; one that holds v, locked. */
int emit_take(emitter *e, int t);
int emit_taken(emitter *e, int t);
int emit_wanted(emitter *e, int32_t v, int t);
void emit_hold(emitter *e, int32_t v, int reg);
bool emit_stays(emitter *e, int32_t v, int t); /* v is in memory, and best read there */
x86_rm emit_memory_operand(emitter *e, int32_t v);
void emit_done(emitter *e, int t); /* gives up the registers of operands that nobody wants after item t */
void emit_choose_registers(emitter *e);
bool emit_can_mask(const emitter *e);
bool emit_has_room(const emitter *e); /* are all partial sums in registers, and all cells that every vector wants? */

/* ---- machine_items.c, machine_weave.c, machine_table.c ---- */

void emit_item(emitter *e, int t);
x86_rm emit_lanes(emitter *e, int t);                   /* where partial sums are when they are not in registers, the first */
static inline bool is_scaled(const run_item *i)
{
    return i->code == ITEM_SUM && i->arg[1] >= 0;
}
void emit_begin_carry(emitter *e, const run_item *i);   /* before the first vector */
void emit_finish_store(emitter *e, const run_item *i);  /* behind the last one */
void emit_begin_block_sums(emitter *e);                 /* sums of rows, scaled sums */
void emit_keep_row_sums(emitter *e);                    /* from registers to memory, for lanes that are not known */
void emit_finish_block_sums(emitter *e);
void emit_begin_watch(emitter *e);
void emit_finish_watch(emitter *e);                     /* behind all instances */
void emit_weave(emitter *e, int t);
void emit_keep(emitter *e, int t);
bool emit_has_heads(const emitter *e, const run_item *i); /* a weave to whose first places others bring something too */
void emit_begin_weave(emitter *e, const run_item *i);
void emit_finish_weave(emitter *e, const run_item *i);
void emit_orders(emitter *e); /* of all tables, before the function */
void emit_table(emitter *e, int t);

/* ---- machine_emit.c, machine_rows.c ---- */

void emit_block(emitter *e);                            /* instances from the next to REG_END */
bool emit_is_row_cell(const emitter *e, int t);         /* a number that changes when a row begins */
void emit_begin_rows(emitter *e);                       /* the function's arguments */
void emit_row_loop(emitter *e);

#endif
