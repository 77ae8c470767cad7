/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_run.c - from consecutive instructions to the items of a run. Invariant: items compute what the instructions do, with the same operations in the
 * same order, each value once.
 */
#include "eval/machine_math.h"
#include "eval/machine_run.h"
#include <string.h>

enum { DST = RUN_DST, NEAR_BASE = 1 << 30 };

static int64_t register_stride(const eval_kernel *k)
{
    return (k->block + EVAL_REGISTER_GAP) * (int64_t)sizeof(double);
}

/* ---- items -------------------------------------------------------------------------------------------------------------- */

void run_begin(run *r, const run_kernel *k, int64_t first)
{
    r->k = k;
    r->first = r->end = first;
    r->n_items = r->n_bases = r->n_accesses = r->n_carries = r->n_row_sums = r->n_tables = 0;
    r->ended = r->second = false;
    r->pack = NULL;
    r->pack_width = 0;
    memset(r->chain, 0, sizeof r->chain);
    for (int64_t j = 0; j < k->k->n_regs; j++) {
        r->in_register[j] = -1;
        r->changed[j] = false;
    }
}

static run_item item_of(int32_t code)
{
    return (run_item){.code = code, .base = -1, .list = -1, .arg = {-1, -1, -1, -1}};
}

static bool is_same_item(const run_item *a, const run_item *b)
{
    return a->code == b->code && a->base == b->base && a->list == b->list && a->imm == b->imm && a->version == b->version &&
           a->offset == b->offset && memcmp(a->arg, b->arg, sizeof a->arg) == 0;
}

static uint32_t item_hash(const run_item *i)
{
    uint64_t h = (uint64_t)i->code;
    const int32_t parts[] = {i->base, i->list, i->imm, i->version, (int32_t)i->offset, i->arg[0], i->arg[1], i->arg[2]};
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++)
        h = (h ^ (uint32_t)parts[k]) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 40);
}

static int32_t effect(run *r, run_item i)
{
    r->item[r->n_items] = i;
    return (int32_t)r->n_items++;
}

/* Equal values are computed once. */
static int32_t value(run *r, run_item i)
{
    enum { SIZE = sizeof r->chain / sizeof r->chain[0] };
    uint32_t h = item_hash(&i) % SIZE;
    for (; r->chain[h] != 0; h = (h + 1) % SIZE)
        if (is_same_item(&r->item[r->chain[h] - 1], &i))
            return r->chain[h] - 1;
    r->chain[h] = (int32_t)r->n_items + 1;
    return effect(r, i);
}

static int32_t operation(run *r, int32_t code, int32_t a, int32_t b)
{
    run_item i = item_of(code);
    i.arg[0] = a;
    i.arg[1] = b;
    return value(r, i);
}

static int32_t constant(run *r, int32_t which)
{
    run_item i = item_of(ITEM_CONSTANT);
    i.imm = which;
    return value(r, i);
}

static int32_t written(void *to, int op, int32_t lanes, int32_t a, int32_t b)
{
    static const int32_t code[] = {
        [MATH_ADD] = ITEM_ADD, [MATH_SUB] = ITEM_SUB, [MATH_MUL] = ITEM_MUL, [MATH_DIV] = ITEM_DIV, [MATH_SQRT] = ITEM_SQRT};
    (void)lanes;
    return operation(to, code[op], a, b);
}

static int32_t written_number(void *to, double v, int32_t lanes)
{
    (void)lanes;
    return constant(to, v > 0 ? CONSTANT_ONE : CONSTANT_ZERO);
}

static math_writer writer(run *r)
{
    return (math_writer){r, 0, written, written_number};
}

/* ---- bases -------------------------------------------------------------------------------------------------------------- */

static const eval_ins *ins_at(const run *r, int64_t j)
{
    return &r->k->k->ins[j];
}

static int64_t field_offset(const run *r, int64_t ins, int64_t field)
{
    return (ins - r->first) * (int64_t)sizeof(eval_ins) + field;
}

int64_t run_pointer_field(const run *r, int64_t ins, int q)
{
    return field_offset(r, ins, q == DST ? (int64_t)offsetof(eval_ins, dst) : (int64_t)(offsetof(eval_ins, p) + (size_t)q * sizeof(double *)));
}

static int32_t base_at(run *r, run_base wanted)
{
    for (int32_t k = 0; k < r->n_bases; k++) {
        const run_base *b = &r->base[k];
        const int64_t apart = wanted.origin - b->origin;
        const int64_t near = wanted.is_index ? 1 : NEAR_BASE; /* each list by itself */
        if (b->kind == wanted.kind && b->by == wanted.by && b->moves == wanted.moves && b->is_index == wanted.is_index && apart < near && apart > -near)
            return k;
    }
    r->base[r->n_bases] = wanted;
    return (int32_t)r->n_bases++;
}

/* What field q of instruction j points to, in bytes from what its base is. */
static int64_t place_of(const run *r, int64_t j, int q)
{
    const int64_t f = RUN_FIELDS * j + q;
    const int64_t moved = r->k->by[f] != NULL ? r->k->moved[f] : 0;
    return r->k->place[f].offset + (moved + (r->second ? r->k->ahead[f] : 0)) * (int64_t)sizeof(double);
}

static int32_t base_of(run *r, int64_t j, int q, int32_t moves)
{
    const int64_t f = RUN_FIELDS * j + q;
    const int64_t origin = place_of(r, j, q) - (r->second ? r->k->ahead[f] * (int64_t)sizeof(double) : 0);
    return base_at(r, (run_base){.kind = r->k->place[f].base, .by = r->k->by[f], .moves = moves, .origin = origin,
                                 .field = run_pointer_field(r, j, q)});
}

static int32_t list_of(run *r, int64_t j)
{
    return base_at(r, (run_base){.kind = BASE_FIXED, .is_index = true, .origin = (int64_t)(uintptr_t)ins_at(r, j)->index,
                                 .field = field_offset(r, j, (int64_t)offsetof(eval_ins, index))});
}

/* ---- operands ------------------------------------------------------------------------------------------------------------ */

static bool is_register(const eval_ins *i, int q)
{
    return (i->flags >> (8 + q) & 1) != 0 && (i->flags >> q & 1) == 0;
}

static bool is_array(const eval_ins *i, int q)
{
    return (i->flags >> (8 + q) & 1) != 0 && (i->flags >> q & 1) != 0;
}

static int32_t register_at(const run *r, int64_t j, int q)
{
    return (int32_t)(r->k->place[RUN_FIELDS * j + q].offset / register_stride(r->k->k));
}

static run_reach reach_at(const run *r, int64_t j, int q, int32_t stride, bool writes)
{
    const int64_t f = RUN_FIELDS * j + q;
    const bool alone = writes && (ins_at(r, j)->flags & EVAL_ALONE) != 0;
    return (run_reach){r->k->place[f].base, stride, r->k->by[f], place_of(r, j, q), writes, alone};
}

static int32_t load_item(run *r, int64_t j, int q, int32_t code, int32_t stride, int32_t list)
{
    run_item i = item_of(code);
    const run_reach b = reach_at(r, j, q, stride, false);
    i.base = base_of(r, j, q, MOVES_NOT);
    i.offset = b.first;
    i.imm = stride;
    i.list = list;
    i.version = r->base[i.base].writes;
    run_note(r, i.base, &b, -1, -1);
    return value(r, i);
}

static int32_t carry_of(run *r, int32_t v, int32_t stored_by)
{
    r->carried[r->n_carries] = v;
    r->stored_by[r->n_carries] = stored_by;
    return (int32_t)r->n_carries++;
}

/* What the run itself writes is not read again. */
static int32_t array_value(run *r, int64_t j, int q)
{
    const run_reach b = reach_at(r, j, q, 1, false);
    int32_t last;
    int64_t ahead = 0;
    run_is_allowed(r, &b, &last, &ahead);
    if (last >= 0 && ahead == 0 && r->access[last].value >= 0)
        return r->access[last].value;
    if (last < 0 || ahead == 0 || ahead == INT64_MAX)
        return load_item(r, j, q, ITEM_LOAD, 1, -1);
    run_access *from = &r->access[last];
    if (from->carry < 0)
        from->carry = carry_of(r, from->value, last);
    run_item i = item_of(ITEM_SHIFT);
    i.base = base_of(r, j, q, MOVES_NOT);
    i.offset = b.first;
    i.imm = (int32_t)-ahead;
    i.list = from->carry;
    i.arg[0] = from->value;
    i.version = r->base[i.base].writes;
    run_note(r, i.base, &b, -1, from->carry);
    return value(r, i);
}

static int32_t register_value(run *r, int64_t j, int q)
{
    const int32_t number = register_at(r, j, q);
    if (r->in_register[number] < 0) {
        run_item i = item_of(ITEM_REGISTER);
        i.base = base_of(r, j, q, MOVES_BLOCK);
        i.offset = place_of(r, j, q);
        i.imm = number;
        r->in_register[number] = value(r, i);
    }
    return r->in_register[number];
}

static bool is_row_cell(const eval_rows *rows, const double *at)
{
    for (int64_t k = 0; k < rows->n_cells; k++)
        if (rows->cells[k].cell == at)
            return true;
    return false;
}

static int32_t operand_value(run *r, int64_t j, int q)
{
    const eval_ins *i = ins_at(r, j);
    if (is_register(i, q))
        return register_value(r, j, q);
    if (is_array(i, q))
        return array_value(r, j, q);
    run_item cell = item_of(ITEM_CELL);
    cell.base = base_of(r, j, q, MOVES_NOT);
    cell.offset = place_of(r, j, q);
    cell.imm = r->second && is_row_cell(r->k->k->rows, i->p[q]);
    return value(r, cell);
}

static void set_target(run *r, int64_t j, int32_t result)
{
    const eval_ins *i = ins_at(r, j);
    if ((i->flags & 1u << DST) == 0) {
        const int32_t number = register_at(r, j, DST);
        r->in_register[number] = result;
        r->changed[number] = true;
        return;
    }
    run_item store = item_of(ITEM_STORE);
    const run_reach b = reach_at(r, j, DST, 1, true);
    store.base = base_of(r, j, DST, MOVES_NOT);
    store.offset = b.first;
    store.arg[0] = result;
    effect(r, store);
    run_note(r, store.base, &b, result, -1);
}

/* ---- instructions -------------------------------------------------------------------------------------------------------- */

static int32_t tile_value(run *r, int64_t j, int code)
{
    const math_writer w = writer(r);
    int32_t at[4] = {-1, -1, -1, -1};
    for (int q = 0; q < math_tile_operands(code); q++)
        at[q] = operand_value(r, j, q);
    return math_tile(&w, code, at);
}

static bool is_scaled(int code)
{
    return code >= EVAL_SCALED_ACC && code < EVAL_T1;
}

static int32_t summand(run *r, int64_t j)
{
    const int code = ins_at(r, j)->code;
    if (code == EVAL_SUM_ACC || code == EVAL_SCALED_ACC)
        return operand_value(r, j, 0);
    return tile_value(r, j, code - (is_scaled(code) ? EVAL_SCALED_T1 : EVAL_SUM_T1) + EVAL_T1);
}

static void add_sum(run *r, int64_t j)
{
    run_item i = item_of(ITEM_SUM);
    i.arg[0] = summand(r, j);
    i.arg[1] = is_scaled(ins_at(r, j)->code) ? operand_value(r, j, 3) : -1;
    i.base = base_of(r, j, DST, MOVES_NOT);
    i.offset = place_of(r, j, DST);
    effect(r, i);
}

static void add_watch(run *r, int64_t j)
{
    run_item i = item_of(ITEM_WATCH);
    for (int32_t q = 0; q < ins_at(r, j)->imm; q++)
        i.arg[q] = operand_value(r, j, q);
    i.base = base_of(r, j, DST, MOVES_NOT);
    i.offset = place_of(r, j, DST);
    effect(r, i);
}

static void add_row_sum(run *r, int64_t j)
{
    const run_reach b = reach_at(r, j, DST, ROW_PLACE, true);
    run_item i = item_of(ITEM_ROW_SUM);
    i.arg[0] = operand_value(r, j, 0);
    if (r->item[i.arg[0]].code == ITEM_NEG) {
        i.arg[0] = r->item[i.arg[0]].arg[0];
        i.imm = -1;
    }
    i.base = base_of(r, j, DST, MOVES_NOT);
    i.offset = b.first;
    effect(r, i);
    run_note(r, i.base, &b, -1, -1);
    r->n_row_sums++;
}

static int32_t fused(run *r, int64_t j)
{
    run_item i = item_of(ITEM_FMA);
    for (int q = 0; q < 3; q++)
        i.arg[q] = operand_value(r, j, q);
    return value(r, i);
}

static int32_t map_value(run *r, int64_t j)
{
    const eval_ins *i = ins_at(r, j);
    if (i->code >= EVAL_T1)
        return tile_value(r, j, i->code);
    if (i->code == PERI_OP_FMA)
        return fused(r, j);
    const math_writer w = writer(r);
    const int32_t a = operand_value(r, j, 0);
    switch (i->code) {
    case EVAL_POWI: return math_power(&w, a, i->imm);
    case EVAL_POWH: return math_half_power(&w, a, i->imm);
    case PERI_OP_NEG: return operation(r, ITEM_NEG, a, -1);
    case PERI_OP_ABS: return operation(r, ITEM_ABS, a, -1);
    case PERI_OP_SQRT: return operation(r, ITEM_SQRT, a, -1);
    case PERI_OP_SQUARE: return operation(r, ITEM_MUL, a, a);
    case PERI_OP_RECIP: return math_inverse(&w, a);
    case PERI_OP_DIV: return operation(r, ITEM_DIV, a, operand_value(r, j, 1));
    default: return a; /* COPY */
    }
}

static void scatter(run *r, int64_t j, int32_t code, int32_t n)
{
    const eval_ins *ins = ins_at(r, j);
    const bool list = code == ITEM_STORE_LIST || code == ITEM_ADD_LIST || code == ITEM_ADD_PAIRS;
    const run_reach b = reach_at(r, j, DST, list ? 0 : ins->imm, true);
    run_item i = item_of(code);
    for (int32_t q = 0; q < n; q++)
        i.arg[q] = operand_value(r, j, q);
    i.base = base_of(r, j, DST, MOVES_NOT);
    i.offset = b.first;
    i.imm = code == ITEM_ROWS ? n : ins->imm;
    i.version = ins->imm;
    i.list = list ? list_of(r, j) : b.alone;
    effect(r, i);
    run_note(r, i.base, &b, -1, -1);
}

/* Rows of constants; what is stored between them, by instructions behind, becomes part of the table when the run is closed. */
static void fill(run *r, int64_t j)
{
    const eval_ins *ins = ins_at(r, j);
    run_reach b = reach_at(r, j, DST, ins->imm, true);
    run_table *t = &r->table[r->n_tables];
    run_item i = item_of(ITEM_TABLE);
    b.alone = true; /* but for what is stored to it on purpose */
    *t = (run_table){.stride = ins->imm, .constants = base_of(r, j, 0, MOVES_NOT), .varies = ins->index[0] == 0, .first = place_of(r, j, 0)};
    for (int32_t c = 0; c < t->stride; c++)
        t->column[c] = COLUMN_CONSTANT;
    i.base = base_of(r, j, DST, MOVES_NOT);
    i.offset = b.first;
    i.imm = (int32_t)r->n_tables++;
    effect(r, i);
    run_note(r, i.base, &b, -1, -1);
}

/* Operand q of the weave, `shift` instances before. */
static int32_t earlier(run *r, int32_t v, int32_t shift)
{
    run_item i = item_of(ITEM_EARLIER);
    for (int32_t k = 0; k < r->n_carries && i.list < 0; k++)
        if (r->carried[k] == v && r->stored_by[k] < 0)
            i.list = k;
    i.list = i.list < 0 ? carry_of(r, v, -1) : i.list;
    i.arg[0] = v;
    i.imm = shift;
    return value(r, i);
}

/*
 * Whole vectors are woven here, what is left by the interpreter, which reads the operands in the block's registers: EVAL_WEAVE_REST. The first
 * places, where a block before may have been, are seen to by the function that is made of the run.
 */
static void weave(run *r, int64_t j)
{
    const eval_ins *ins = ins_at(r, j);
    const int32_t *const t = ins->index;
    const run_reach b = reach_at(r, j, DST, 0, true);
    run_item i = item_of(ITEM_WEAVE);
    for (int32_t q = 0; q < t[WEAVE_TERMS]; q++) {
        const int32_t v = operand_value(r, j, q);
        i.arg[q] = t[WEAVE_SHIFT + q] > 0 ? earlier(r, v, t[WEAVE_SHIFT + q]) : v;
        if (!is_register(ins, q))
            continue;
        run_item keep = item_of(ITEM_KEEP);
        keep.arg[0] = v;
        keep.base = base_of(r, j, q, MOVES_WINDOW);
        keep.offset = place_of(r, j, q);
        keep.list = t[WEAVE_SHIFT + q] > 0 ? r->item[i.arg[q]].list : -1;
        effect(r, keep);
    }
    i.base = base_of(r, j, DST, MOVES_NOT);
    i.offset = b.first;
    i.imm = t[WEAVE_EVEN];
    i.list = t[WEAVE_ADDS] != 0;
    i.version = (int32_t)(j - r->first);
    effect(r, i);
    run_note(r, i.base, &b, -1, -1);
    r->ended = true;
}

/* ---- registers that live on ----------------------------------------------------------------------------------------------- */

static int read_with_flags(const eval_ins *i)
{
    return i->code == EVAL_SINCOS ? 1 : 4;
}

/* Does instruction j write register number `number`? */
static bool sets(const run *r, int64_t j, int32_t number)
{
    const eval_ins *i = ins_at(r, j);
    const bool stays = (i->code >= EVAL_STORE_STRIDED && i->code <= EVAL_ADD_GRID) || (i->code >= EVAL_MAX_ACC && i->code < EVAL_T1);
    if (!stays && (i->flags & 1u << DST) == 0 && r->k->place[RUN_FIELDS * j + DST].base == BASE_SCRATCH && register_at(r, j, DST) == number)
        return true;
    return i->code == EVAL_SINCOS && (i->flags & 1u << 5) == 0 && register_at(r, j, 3) == number;
}

/* By instruction `from` or one behind it, before it is written again? */
static bool is_read_later(const run *r, int64_t from, int32_t number)
{
    for (int64_t j = from; j < r->k->k->n_ins; j++) {
        for (int q = 0; q < read_with_flags(ins_at(r, j)); q++)
            if (is_register(ins_at(r, j), q) && register_at(r, j, q) == number)
                return true;
        if (sets(r, j, number))
            return false;
    }
    return false;
}

/* ---- what can be in a run -------------------------------------------------------------------------------------------------- */

/* Distances in the code are of 32 bits. */
static bool is_stride(int32_t stride)
{
    return stride > 0 && stride < 1 << 20;
}

/* Operands that an instruction reads with its flags; -1: it cannot be in a run. */
static int operands_of(const eval_ins *i)
{
    switch (i->code) {
    case EVAL_LOAD_STRIDED: return is_stride(i->imm) ? 0 : -1;
    case EVAL_STORE_STRIDED:
    case EVAL_ADD_STRIDED: return is_stride(i->imm) ? 1 : -1;
    case EVAL_STORE_PAIRS: return is_stride(i->imm) ? 2 : -1;
    case EVAL_STORE_FOURS: return is_stride(i->imm) ? 4 : -1;
    case EVAL_LOAD_LIST:
    case EVAL_FILL: return 0;
    case EVAL_ADD_GRID: return i->imm == 0 && i->index[0] == INT32_MAX ? 1 : -1;
    case EVAL_WEAVE: return i->index[WEAVE_TERMS];
    case EVAL_WATCH: return i->imm;
    case EVAL_COPY:
    case PERI_OP_NEG:
    case PERI_OP_ABS:
    case PERI_OP_SQRT:
    case PERI_OP_SQUARE:
    case PERI_OP_RECIP:
    case EVAL_POWH:
    case EVAL_STORE_LIST:
    case EVAL_ADD_LIST:
    case EVAL_SUM_ACC:
    case EVAL_SCALED_ACC: return 1;
    case EVAL_ADD_PAIRS: return 2;
    case EVAL_POWI: return i->imm != 0 ? 1 : -1;
    case PERI_OP_DIV: return 2;
    case PERI_OP_FMA: return 3;
    default: break;
    }
    if (i->code < EVAL_SUM_T1)
        return -1;
    return i->code < EVAL_SUM_T2 || is_scaled(i->code) ? 2 : i->code < EVAL_T1 ? 3 : i->code < EVAL_T2 ? 2 : i->code < EVAL_T3 ? 3 : 4;
}

static bool is_sum(int code)
{
    return code >= EVAL_SUM_ACC && code < EVAL_T1;
}

/* What has a register for the whole loop: of sixteen, four, and of thirty-two eight. */
static int64_t most_carries(const run *r)
{
    return r->k->width == 8 ? MOST_CARRIES : MOST_CARRIES / 2;
}

static bool can_read(const run *r, int64_t j, int q, int32_t stride)
{
    const run_reach b = reach_at(r, j, q, stride, false);
    int32_t last;
    int64_t ahead = 0;
    if (!run_is_allowed(r, &b, &last, &ahead))
        return false;
    if (last < 0 || ahead == 0 || ahead == INT64_MAX)
        return true;
    return stride == 1 && r->access[last].value >= 0 && (r->access[last].carry >= 0 || r->n_carries + r->n_row_sums < most_carries(r));
}

static bool can_write(const run *r, int64_t j, int32_t stride)
{
    const run_reach b = reach_at(r, j, DST, stride, true);
    int32_t last;
    int64_t ahead;
    return run_is_allowed(r, &b, &last, &ahead);
}

/* What is left of the operands has a place of its own in their registers (EVAL_WEAVE_REST): they must be the run's, and nobody else's. */
static bool can_weave(const run *r, int64_t j)
{
    const eval_ins *i = ins_at(r, j);
    for (int q = 0; q < i->index[WEAVE_TERMS]; q++)
        if (is_register(i, q) && (!r->changed[register_at(r, j, q)] || is_read_later(r, j + 1, register_at(r, j, q))))
            return false;
    return i->index[WEAVE_REACH] < r->k->width && r->n_carries + r->n_row_sums + i->index[WEAVE_TERMS] <= most_carries(r);
}

/* Rows as whole vectors are written from two registers by number, which is there for vectors of eight. */
static bool is_table(const run *r, const eval_ins *i)
{
    return r->k->width == 8 && r->k->k->n > 1 && i->imm <= MOST_COLUMNS && r->n_tables < MOST_TABLES && (i->index[0] == 0 || i->index[0] >= 8);
}

static bool is_possible(const run *r, int64_t j)
{
    const eval_ins *i = ins_at(r, j);
    const int n = operands_of(i);
    if (r->second)
        return true; /* nothing that one row writes is touched by the other: run_double */
    if (n < 0 || (i->code == EVAL_LOAD_STRIDED && !can_read(r, j, 0, i->imm)) || (i->code == EVAL_LOAD_LIST && !can_read(r, j, 0, 0)))
        return false;
    for (int q = 0; q < n; q++)
        if (is_array(i, q) && !can_read(r, j, q, 1))
            return false;
    switch (i->code) {
    case EVAL_STORE_STRIDED:
    case EVAL_ADD_STRIDED:
    case EVAL_STORE_PAIRS:
    case EVAL_STORE_FOURS: return can_write(r, j, i->imm);
    case EVAL_STORE_LIST:
    case EVAL_ADD_LIST:
    case EVAL_ADD_PAIRS: return can_write(r, j, 0);
    case EVAL_FILL: return is_table(r, i);
    case EVAL_ADD_GRID: return r->k->k->n > 1 && r->n_row_sums + r->n_carries < most_carries(r) && can_write(r, j, ROW_PLACE);
    case EVAL_WEAVE: return can_weave(r, j) && can_write(r, j, 0);
    case EVAL_WATCH: return true;
    default: return is_sum(i->code) || (i->flags & 1u << DST) == 0 || can_write(r, j, 1);
    }
}

enum { ITEMS_OF_ONE = 24, ACCESSES_OF_ONE = 6, BASES_OF_ONE = 8, MOST_INSTRUCTIONS = 192 };

bool run_append(run *r)
{
    const int64_t j = r->end;
    const eval_ins *i = ins_at(r, j);
    if (r->n_items + ITEMS_OF_ONE + r->k->k->n_regs + MOST_CARRIES > MOST_ITEMS || r->n_accesses + ACCESSES_OF_ONE > MOST_ACCESSES ||
        r->n_bases + BASES_OF_ONE > MOST_BASES || r->end - r->first >= MOST_INSTRUCTIONS || r->ended || !is_possible(r, j))
        return false;
    switch (i->code) {
    case EVAL_LOAD_STRIDED: set_target(r, j, load_item(r, j, 0, ITEM_STRIDED, i->imm, -1)); break;
    case EVAL_LOAD_LIST: set_target(r, j, load_item(r, j, 0, ITEM_LIST, 0, list_of(r, j))); break;
    case EVAL_STORE_STRIDED: scatter(r, j, ITEM_STORE_STRIDED, 1); break;
    case EVAL_ADD_STRIDED: scatter(r, j, ITEM_ADD_STRIDED, 1); break;
    case EVAL_STORE_LIST: scatter(r, j, ITEM_STORE_LIST, 1); break;
    case EVAL_ADD_LIST: scatter(r, j, ITEM_ADD_LIST, 1); break;
    case EVAL_ADD_PAIRS: scatter(r, j, ITEM_ADD_PAIRS, 2); break;
    case EVAL_STORE_PAIRS: scatter(r, j, ITEM_ROWS, 2); break;
    case EVAL_STORE_FOURS: scatter(r, j, ITEM_ROWS, 4); break;
    case EVAL_FILL: fill(r, j); break;
    case EVAL_ADD_GRID: add_row_sum(r, j); break;
    case EVAL_WEAVE: weave(r, j); break;
    case EVAL_WATCH: add_watch(r, j); break;
    default:
        if (is_sum(i->code))
            add_sum(r, j);
        else
            set_target(r, j, map_value(r, j));
    }
    r->end++;
    return true;
}

/* ---- two rows ------------------------------------------------------------------------------------------------------------------ */

/*
 * Arithmetic on what the kernel does not write, stored to places of which none is touched twice: a vector of the next row may come before the last of this.
 * Sums are made block by block in the order of the blocks, so that a row must be one.
 */
static bool is_independent(const run *r)
{
    const bool one_block = r->k->k->rows->period <= r->k->k->block;
    for (int64_t j = 0; j < r->n_items; j++) {
        const run_item *i = &r->item[j];
        const bool plain = i->code == ITEM_LOAD || (i->code >= ITEM_CELL && i->code <= ITEM_FMA) || i->code == ITEM_STORE || i->code == ITEM_WATCH;
        if (!plain && !(i->code == ITEM_SUM && i->arg[1] >= 0 && one_block))
            return false;
    }
    for (int64_t j = 0; j < r->n_accesses; j++) {
        const run_reach a = run_reach_of(r, &r->access[j]);
        if (a.writes && !a.alone && a.by != NULL)
            return false;
        for (int64_t k = 0; k < r->n_accesses && a.writes; k++)
            if (k != j && r->base[r->access[k].base].kind == a.kind)
                return false;
    }
    return true;
}

static int64_t count_values(const run *r)
{
    int64_t n = 0;
    for (int64_t j = 0; j < r->n_items; j++)
        n += r->item[j].code <= LAST_VALUE && r->item[j].code != ITEM_CELL && r->item[j].code != ITEM_CONSTANT;
    return n;
}

/* Is it worth it? Where the rows have values in common. */
bool run_double(run *r)
{
    const int64_t end = r->end, once = count_values(r);
    if (!r->k->has_pairs || !is_independent(r))
        return false;
    r->second = true;
    for (r->end = r->first; r->end < end && run_append(r);)
        ;
    return r->end == end && count_values(r) < 2 * once;
}

/* ---- the end of a run -------------------------------------------------------------------------------------------------------- */

/*
 * What a stores is stored to again by the same vector or the next, and in between read only as what is carried: then it need not be stored, but for the
 * last ones where a loop ends. Their number, or 0.
 */
static int32_t overwritten(const run *r, const run_access *a)
{
    int32_t left = 0;
    if (!a->writes || a->carry < 0)
        return 0;
    for (const run_access *b = r->access; b < r->access + r->n_accesses; b++) {
        const run_reach of_a = run_reach_of(r, a), of_b = run_reach_of(r, b);
        if (b == a || (!b->writes && b->carry == a->carry) || r->base[b->base].kind != r->base[a->base].kind || run_are_apart(r, &of_a, &of_b))
            continue;
        if (b->stride != 1 || r->base[b->base].by != r->base[a->base].by || b->alone)
            return 0;
        const int64_t behind = (a->first - b->first) / (int64_t)sizeof(double);
        if (!b->writes && b->carry < 0 && behind > -r->k->block && behind < r->k->block)
            return 0;
        if (b->writes && behind > 0 && behind < r->k->width)
            left = left == 0 || behind < left ? (int32_t)behind : left;
    }
    return left;
}

void run_close(run *r)
{
    int64_t from = r->first;
    if (r->k->width == 8 && r->k->k->n > 1)
        run_join_tables(r);
    for (int32_t number = 0; number < r->k->k->n_regs; number++) {
        if (!r->changed[number] || !is_read_later(r, r->end, number))
            continue;
        for (from = r->end - 1; !sets(r, from, number);)
            from--;
        run_item i = item_of(ITEM_STORE_REGISTER);
        i.arg[0] = r->in_register[number];
        i.base = base_of(r, from, DST, MOVES_BLOCK);
        i.offset = place_of(r, from, DST);
        i.imm = number;
        effect(r, i);
    }
    for (int32_t k = 0; k < r->n_carries; k++) {
        run_item i = item_of(ITEM_CARRY);
        i.arg[0] = r->carried[k];
        i.list = k;
        if (r->stored_by[k] >= 0) {
            i.base = r->access[r->stored_by[k]].base;
            i.offset = r->access[r->stored_by[k]].first;
        }
        effect(r, i);
    }
    for (int64_t k = 0; k < r->n_accesses; k++) {
        const int32_t left = overwritten(r, &r->access[k]);
        if (left <= 0)
            continue;
        run_item *store = &r->item[r->access[k].item];
        store->imm = left;
        store->list = r->access[k].carry;
    }
}

/* ---- lists side by side ---------------------------------------------------------------------------------------------------------- */

enum { FEWEST_PACKED = 4 };

/* Indices of an instance in the list with base b. */
static int32_t list_width(const run *r, int32_t b)
{
    int32_t width = 0;
    for (int64_t t = 0; t < r->n_items; t++)
        if (run_is_indexed(r->item[t].code) && r->item[t].list == b)
            width = r->item[t].code == ITEM_ADD_PAIRS ? 2 : 1;
    return width;
}

bool run_pack_lists(run *r)
{
    const int64_t n = r->k->k->n;
    int32_t width = 0;
    for (int32_t b = 0; b < r->n_bases; b++)
        width += r->base[b].is_index ? list_width(r, b) : 0;
    if (n == 1 || width < FEWEST_PACKED)
        return true;
    r->pack = arena_array(&r->k->c->program->data, (size_t)(n * width), sizeof *r->pack);
    if (r->pack == NULL)
        return false;
    for (int32_t b = 0; b < r->n_bases; b++) {
        run_base *base = &r->base[b];
        const int32_t *const at = (const int32_t *)(uintptr_t)base->origin;
        const int32_t own = base->is_index ? list_width(r, b) : 0;
        base->in_pack = r->pack_width;
        for (int64_t i = 0; i < n; i++)
            for (int32_t k = 0; k < own; k++)
                r->pack[i * width + base->in_pack + k] = at[i * own + k];
        r->pack_width += own;
    }
    return true;
}
