/* SPDX-License-Identifier: Apache-2.0 */
/* kernel.h - inside engine/eval only: a kernel while it is compiled (kernel.c), its rows (rows.c), and how it is finished (finish.c). */
#ifndef PERI_EVAL_KERNEL_H
#define PERI_EVAL_KERNEL_H

#include "eval/plan.h"

enum { FORM_NONE, FORM_REG, FORM_ARRAY, FORM_CELL, FORM_ROW };

typedef struct {
    int32_t form, at;  /* REG: virtual register; CELL, ROW: number of the cell */
    eval_place place;  /* ARRAY */
    int32_t slide;     /* ARRAY: 1 + the list by which it moves when a row begins, or 0 */
} operand;

typedef struct {
    int32_t code, imm;
    operand dst, dst2, p[4];
    const int32_t *index;
    bool alone; /* of a scatter: nothing else in the kernel reaches its places */
    bool stays; /* the destination does not move with the block: indexed, strided, or partial sums */
    const eval_sink *scatter; /* of a WEAVE, of PAIRS: one of them */
    bool behind; /* of a WATCH: of what the instruction before stored */
    int32_t there; /* of a scatter: 1 + the operand that is added to, or 0 */
} instruction;

/*
 * >= 0: a node; <= NEGATED: the constant node NEGATED - ref with the other sign; <= INVERTED: the reciprocal of the constant node INVERTED - ref; otherwise
 * operand number -1 - ref of `extra`
 */
typedef int32_t ref;
enum { NEGATED = -(1 << 30), INVERTED = -(1 << 29) };

typedef struct {
    int32_t code, imm, n;
    ref leaf[4];
} tile;

typedef struct {
    expr_id e;
    int32_t next;
    tile t;
} frame;

typedef struct {
    eval_compiler *c;
    int32_t group;
    int64_t n, stamp;
    eval_kernel *out;
    VEC(instruction) code;
    VEC(operand) extra;
    VEC(frame) stack;
    VEC(struct scalar { bool constant; double value; eval_place place; }) cells;
    hash_map cell_number; /* hash of a scalar -> its cell; equal hashes are chained by trying hash + 1 */
    VEC(struct sum { const eval_sink *sink; int32_t scale; }) sums; /* scale: the cell that the sum is multiplied by, or -1 */
    int32_t n_regs;
    bool watches; /* it has a WATCH, whose lanes are behind those of sums and cells of rows */
    ref minus_one; /* 0: not made yet */
    eval_rows *rows; /* NULL: none */
    VEC(struct row_list { const int32_t *at; int32_t step; const int32_t *by; }) lists; /* of the rows; by: see eval_row_offsets */
    VEC(struct row_cell { eval_place source; const int32_t *index; }) row_cells;
    VEC(struct eval_slide) slides;
} kernel;

static inline peri_status kernel_nomem(const kernel *k)
{
    return FAIL_NOMEM(k->c->g->ctx);
}

static inline bool eval_same_place(const eval_place *a, const eval_place *b)
{
    return a->base == b->base && a->offset == b->offset && a->fixed == b->fixed;
}

/* rows.c: whether the kernel's instances are in rows, and which lists follow them */
peri_status eval_find_rows(kernel *k, int64_t n_sinks, const eval_sink *sinks);
int32_t eval_row_list(const kernel *k, const int32_t *at); /* its number, or -1 */
peri_status eval_row_offsets(kernel *k, int32_t list, const int32_t **by); /* by[row] + step * instance is the index */
peri_status eval_row_cell(kernel *k, eval_place source, const int32_t *at, int32_t *number); /* of the number source[at[row]] */
bool eval_same_in_rows(const eval_rows *r, const double *v); /* v [n]: the same number in each row */
/* zero.c: large ranges that are filled chunk by chunk; once the kernel is finished */
peri_status eval_plan_zeros(kernel *k, int64_t n_sinks, const eval_sink *sinks);
peri_status eval_watch_kernel(kernel *k); /* finite.c: instructions that watch what is stored to outputs */
/* finish.c: registers, pointers, scalars and partial results of the instructions; what split.c has to know */
peri_status eval_finish_kernel(kernel *k);

#endif
