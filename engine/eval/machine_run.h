/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_run.h - inside engine/eval only: a run, consecutive instructions of a kernel that become one function. machine_run.c makes a list of items of
 * it, machine_emit.c machine code of the list. An item is a value, named by its number, or an effect; items are in the order of
 * the instructions.
 */
#ifndef PERI_EVAL_MACHINE_RUN_H
#define PERI_EVAL_MACHINE_RUN_H

#include "eval/machine_x86.h"
#include "eval/plan.h"

/* Of instance i: values, */
enum {
    ITEM_LOAD,     /* base[offset + i] */
    ITEM_REGISTER, /* the same in the block's registers, as the run finds them */
    ITEM_STRIDED,  /* base[offset + i stride] */
    ITEM_LIST,     /* base[offset + list[i]] */
    ITEM_CELL,     /* base[offset], there in all lanes of a vector; imm: 1 for the second of two rows */
    ITEM_CONSTANT, /* one of those below */
    ITEM_ADD,
    ITEM_SUB,
    ITEM_MUL,
    ITEM_DIV,
    ITEM_SQRT,
    ITEM_NEG,
    ITEM_ABS,
    ITEM_FMA,      /* a b + c, rounded once */
    ITEM_SHIFT,    /* base[offset + i], where the run itself stores value a for instance i + imm, as carry number `list` */
    ITEM_EARLIER,  /* value a of instance i - imm, -0 where that is before `start`; carry number `list` */
    LAST_VALUE = ITEM_EARLIER,
    /* and effects */
    ITEM_STORE,    /* imm > 0: overwritten but for the last imm numbers of a loop, which are in carry number `list` */
    ITEM_STORE_REGISTER,
    ITEM_STORE_STRIDED,
    ITEM_ADD_STRIDED,
    ITEM_STORE_LIST,
    ITEM_ADD_LIST,
    ITEM_ADD_PAIRS, /* base[offset + list[2 i + k]] += value k, k = 0, 1: instance by instance */
    ITEM_ROWS,     /* n = 2 or 4 values to base[offset + i stride] and behind; list: 1 */
    ITEM_TABLE,    /* whole rows, one behind the other: table number `imm` */
    ITEM_WEAVE,    /* sums of the values by two lanes, interleaved: see EVAL_WEAVE; imm: values of the first lane; list: 1 where they are added */
    ITEM_KEEP,     /* value a to a register, for the last vector and what is behind it only, see EVAL_WEAVE_REST; carry number `list`, or -1 */
    ITEM_ROW_SUM,  /* base[offset] += the sum of a, or of -a for imm < 0, over all instances of a block, in EVAL_ROW_LANES lanes */
    ITEM_SUM,      /* lane i modulo EVAL_LANES of base[offset] += a; with value b, a cell: b times the sum of a over all instances of a block */
    ITEM_NONE,     /* nothing is left of it */
    ITEM_WATCH,    /* any lane of base[offset] += a 2^64, and the same of the other values */
    ITEM_CARRY     /* the last of a run's items: value a is what the next vector finds carried, as number `list` */
};
enum { CONSTANT_ONE, CONSTANT_SIGN, CONSTANT_SIZE, CONSTANT_ZERO, CONSTANT_VOUCHED, CONSTANT_EVEN, CONSTANT_LOW, CONSTANT_HIGH, N_CONSTANTS };

typedef struct {
    int32_t code, base, list; /* base, list: numbers of bases; list: also of a carry */
    int32_t imm;              /* stride, constant, distance of a shift, number of values of ROWS, of a table */
    int32_t arg[4];           /* -1: none */
    int32_t version;          /* LOAD, CELL: of what is there */
    int64_t offset;           /* bytes */
} run_item;

enum { MOVES_NOT, MOVES_BLOCK, MOVES_WINDOW };

/*
 * What addresses are relative to: one pointer of one of the run's instructions. Arrays that lie at a known distance from each other share it, those of one
 * caller's array and one slide, say.
 */
typedef struct {
    int32_t kind;        /* BASE_..., BASE_FIXED for an address */
    const int32_t *by;   /* the slide that the others are relative to, or NULL */
    int32_t moves;       /* of registers: MOVES_BLOCK, instance `start` is at the pointer; MOVES_WINDOW: see EVAL_WEAVE_REST */
    bool is_index;       /* of an index list */
    int32_t in_pack;     /* where its entries are in an instance's indices, see `pack` */
    int64_t origin;      /* of the pointer, in bytes */
    int64_t field;       /* where it is, bytes behind the run's first instruction */
    int32_t writes;      /* so far */
} run_base;

enum { MOST_ITEMS = 512, MOST_BASES = 72, MOST_CARRIES = 8, MOST_ACCESSES = 256, MOST_TABLES = 8, MOST_COLUMNS = 32 };
enum { COLUMN_CONSTANT = -1 };

/* Row i, columns 0 .. stride - 1, is at base[offset + i stride]: constants, from rows that all are the same or row by row, and values. */
typedef struct {
    int32_t stride, n_args;
    int32_t column[MOST_COLUMNS]; /* number of the argument, or COLUMN_CONSTANT */
    int32_t arg[MOST_COLUMNS];    /* values, each once */
    int32_t constants;            /* base of them, or -1 */
    bool varies;                  /* row by row */
    int64_t first;                /* bytes, of the first constant */
} run_table;

/* Memory that the run reads or writes, from `first` on; stride 1: an entry for each instance. */
typedef struct {
    int32_t base, stride;
    int64_t first;
    bool writes, alone; /* alone: nothing else in the kernel touches its places, nor does it twice, but by a list */
    int32_t value;      /* what is written there, -1: unknown */
    int32_t carry;      /* its number, or -1; of a read: where the value comes from */
    int32_t item;       /* the effect that writes, or -1 */
} run_access;

/* A kernel, as far as all its runs are concerned. */
typedef struct {
    eval_compiler *c;
    const eval_kernel *k;
    eval_place *place;           /* [5 n_ins] of p[0 .. 3] and dst; BASE_NONE: a fixed address */
    const int32_t **by;          /* [5 n_ins] slides, relative to the first that differs by one number; NULL: none */
    int64_t *moved;              /* [5 n_ins] that number */
    int64_t *ahead;              /* [5 n_ins] numbers from a row's entries to the next row's, where rows have one length and these distances are equal */
    bool has_pairs;              /* they are, and no more than DISTANCE_LIMIT */
    int32_t width;               /* numbers of a vector */
    int64_t block;               /* instances that a call may have */
} run_kernel;

typedef struct {
    const run_kernel *k;
    int64_t first, end;          /* instructions [first, end) */
    bool second;                 /* what is appended is of the second of two rows */
    int64_t n_items, n_bases, n_accesses, n_carries, n_tables;
    run_table table[MOST_TABLES];
    run_item item[MOST_ITEMS];
    run_base base[MOST_BASES];
    run_access access[MOST_ACCESSES];
    int32_t carried[MOST_CARRIES];     /* the value */
    int32_t stored_by[MOST_CARRIES];   /* the access that stores it, or -1: before the first vector there is -0 */
    int64_t n_row_sums;
    int32_t *pack;                     /* [n x pack_width] the indices of all lists, side by side for each instance; NULL: each list is read by itself */
    int32_t pack_width;
    bool ended;                        /* nothing can follow */
    int32_t *in_register;        /* [n_regs] the value that is there now, or -1 */
    bool *changed;               /* [n_regs] by the run */
    int32_t chain[1024];         /* hash of items; 1 + number */
} run;

enum { RUN_FIELDS = 5, RUN_DST = 4 }; /* pointers of an instruction: p[0 .. 3], dst */

/* The values that an item wants. */
static inline int run_args(const run *r, const run_item *i, const int32_t **arg)
{
    int n = 0;
    if (i->code == ITEM_TABLE) {
        *arg = r->table[i->imm].arg;
        return r->table[i->imm].n_args;
    }
    while (n < 4 && i->arg[n] >= 0)
        n++;
    *arg = i->arg;
    return n;
}

int64_t run_pointer_field(const run *r, int64_t ins, int q); /* of operand q of an instruction, DST too: bytes behind the run's first one */

/* ---- machine_reach.c ---- */

/* What an access reaches: of a base's kind and slide, from `first` on; stride 0: by a list, ROW_PLACE: one for a row. */
typedef struct {
    int32_t kind, stride;
    const int32_t *by;
    int64_t first;
    bool writes, alone;
} run_reach;

enum { ROW_PLACE = -1 };

static inline bool run_is_indexed(int32_t code)
{
    return code == ITEM_LIST || code == ITEM_STORE_LIST || code == ITEM_ADD_LIST || code == ITEM_ADD_PAIRS;
}

static inline bool run_is_input(int32_t kind)
{
    return kind < BASE_MEMORY;
}

peri_status run_open_kernel(eval_compiler *c, const eval_kernel *k, int64_t first_patch, int64_t last_patch, int32_t width, run_kernel *out);
run_reach run_reach_of(const run *r, const run_access *a);
bool run_are_apart(const run *r, const run_reach *a, const run_reach *b); /* surely in different places */
/* May the next instruction reach b? last: the access whose value it finds there, or -1; ahead: numbers from that to b, INT64_MAX: they differ by rows */
bool run_is_allowed(const run *r, const run_reach *b, int32_t *last, int64_t *ahead);
/* written: a value, -1: others; carry: where a read takes it from, or -1. A write's effect is the last item. */
void run_note(run *r, int32_t base, const run_reach *b, int32_t written, int32_t carry);

/* ---- machine_run.c ---- */

void run_begin(run *r, const run_kernel *k, int64_t first);
/* Appends the next instruction. false: it cannot be part of this run; nothing has changed. */
bool run_append(run *r);
bool run_double(run *r); /* the same instructions for the next row; false: that cannot be together, and r is of no use */
void run_close(run *r); /* registers that are read later, carries */
/* One stream of indices instead of many, each with a base: the processor follows few at a time. false: no memory */
bool run_pack_lists(run *r);

/* machine_table.c: what is stored to all columns of rows becomes one item. */
void run_join_tables(run *r);

/*
 * machine_emit.c: a function for the run, by rows for all blocks of a chunk, see eval_rows_fn, behind what is in the buffer, at `entry`. `constants`: where
 * those are in it. false: no code, the buffer is as before
 */
bool run_emit(x86_code *x, const run *r, bool by_rows, const int64_t constants[N_CONSTANTS], int64_t *entry);

#endif
