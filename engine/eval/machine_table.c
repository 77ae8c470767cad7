/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_table.c - rows that are written whole (ITEM_TABLE), one behind the other, so that eight of them are vectors without gaps: which of a run's
 * stores are such rows, with the constants between them, and the code. Of a vector each number is chosen from a register, its place in it known beforehand.
 * Invariant: nothing but a table's own items touches its places, so that they may be written together, where the last of them is.
 */
#include "eval/machine_emit.h"

/* ---- vectors ------------------------------------------------------------------------------------------------------------------ */

/* What is in a vector of the table, a source after the other: COLUMN_CONSTANT first, if any, then arguments. */
typedef struct {
    int n;
    int32_t source[8], of[8]; /* of: of each number */
    int row[8];
} mixture;

static mixture mixture_at(const run_table *t, int vector)
{
    mixture m = {.n = 0, .source = {COLUMN_CONSTANT}};
    for (int lane = 0; lane < 8; lane++) {
        m.of[lane] = t->column[(8 * vector + lane) % t->stride];
        m.row[lane] = (8 * vector + lane) / t->stride;
        m.n = m.of[lane] == COLUMN_CONSTANT ? 1 : m.n;
    }
    for (int lane = 0; lane < 8; lane++) {
        bool known = false;
        for (int k = 0; k < m.n; k++)
            known = known || m.source[k] == m.of[lane];
        if (!known)
            m.source[m.n++] = m.of[lane];
    }
    return m;
}

/* How often two registers become one for the vector. */
static int steps_of(const mixture *m)
{
    return m->n > 1 ? m->n - 1 : m->source[0] == COLUMN_CONSTANT ? 0 : 1;
}

/* ---- which items ------------------------------------------------------------------------------------------------------------ */

static int values_of(const run_item *i)
{
    if (i->code == ITEM_ROWS)
        return i->imm;
    return i->code == ITEM_STORE_STRIDED && i->list == 1 ? 1 : 0;
}

/* The column of the table at `offset` where the item's first value belongs, or -1. */
static int32_t column_of(const run_item *i, int32_t base, int32_t stride, int64_t offset)
{
    const int64_t at = (i->offset - offset) / (int64_t)sizeof(double);
    return values_of(i) > 0 && i->base == base && i->version == stride && i->offset >= offset && at + values_of(i) <= stride ? (int32_t)at : -1;
}

static int32_t argument(run_table *t, int32_t v)
{
    int32_t k = 0;
    while (k < t->n_args && t->arg[k] != v)
        k++;
    t->n_args = k == t->n_args ? k + 1 : t->n_args;
    t->arg[k] = v;
    return k;
}

enum { STEPS_A_VALUE = 4 }; /* of a row: more, and to store it by itself is faster */

/* What all items from `from` on that belong to the table bring to it; false: choosing their numbers takes too long. */
static bool add_columns(const run *r, const run_item *table, int64_t from, run_table *t)
{
    int32_t values = 0, steps = 0;
    for (int64_t j = from; j < r->n_items; j++) {
        const run_item *i = &r->item[j];
        const int32_t column = column_of(i, table->base, t->stride, table->offset);
        for (int32_t q = 0; q < values_of(i) && column >= 0; q++, values++)
            t->column[column + q] = argument(t, i->arg[q]);
    }
    for (int vector = 0; vector < t->stride; vector++) {
        const mixture m = mixture_at(t, vector);
        steps += steps_of(&m);
    }
    return steps <= STEPS_A_VALUE * values;
}

/* Takes all items from `from` on that belong to the table, which becomes the last of them; it was item `at`, or there was none before, -1. */
static void take_items(run *r, run_item table, int64_t at, int64_t from)
{
    for (int64_t j = from; j < r->n_items; j++) {
        run_item *i = &r->item[j];
        if (column_of(i, table.base, r->table[table.imm].stride, table.offset) < 0)
            continue;
        i->code = ITEM_NONE;
        for (int q = 0; q < 4; q++)
            i->arg[q] = -1;
        if (at >= 0)
            r->item[at].code = ITEM_NONE;
        at = j;
        *i = table;
    }
}

/* Rows from the item's first place on without gaps, all of them by items? */
static bool is_full(const run *r, const run_item *first)
{
    int32_t n = 0;
    for (int64_t j = 0; j < r->n_items; j++)
        if (column_of(&r->item[j], first->base, first->version, first->offset) >= 0)
            n += values_of(&r->item[j]);
    return n == first->version;
}

void run_join_tables(run *r)
{
    for (int64_t j = 0; j < r->n_items; j++)
        if (r->item[j].code == ITEM_TABLE) {
            run_table t = r->table[r->item[j].imm];
            if (!add_columns(r, &r->item[j], j + 1, &t))
                continue;
            r->table[r->item[j].imm] = t;
            take_items(r, r->item[j], j, j + 1);
        }
    for (int64_t j = 0; j < r->n_items && r->n_tables < MOST_TABLES; j++) {
        const run_item *i = &r->item[j];
        if (values_of(i) == 0 || i->version > MOST_COLUMNS || !is_full(r, i))
            continue;
        run_item table = *i;
        table.code = ITEM_TABLE;
        table.imm = (int32_t)r->n_tables;
        run_table *t = &r->table[r->n_tables];
        *t = (run_table){.stride = i->version, .constants = -1};
        if (!add_columns(r, &table, 0, t))
            continue;
        r->n_tables++;
        take_items(r, table, -1, 0);
    }
}

/* Of step k: a number of the first source (what there is so far), or 8 + one of the second. */
static void put_order(x86_code *x, const mixture *m, int k)
{
    for (int lane = 0; lane < 8; lane++) {
        const bool is_first = k == 0 && m->of[lane] == m->source[0], is_second = m->n > 1 && m->of[lane] == m->source[k + 1];
        uint64_t from = (uint64_t)lane;
        if (is_second)
            from = 8 + (uint64_t)m->row[lane];
        else if (is_first && m->source[0] != COLUMN_CONSTANT)
            from = (uint64_t)m->row[lane];
        x86_data(x, &from, sizeof from);
    }
}

void emit_orders(emitter *e)
{
    if (e->r->n_tables > 0)
        x86_align(e->x, VECTOR_BYTES);
    for (int64_t k = 0; k < e->r->n_tables; k++) {
        const run_table *t = &e->r->table[k];
        e->orders[k] = e->x->bytes.n;
        for (int vector = 0; vector < t->stride; vector++) {
            const mixture m = mixture_at(t, vector);
            for (int step = 0; step < steps_of(&m); step++)
                put_order(e->x, &m, step);
        }
    }
    x86_align(e->x, 32);
}

/* ---- code ------------------------------------------------------------------------------------------------------------------------ */

/* Number `at` of the constants that belong to the next rows. */
static x86_rm constant_address(emitter *e, const run_table *t, int32_t at)
{
    const int base = emit_base(e, t->constants);
    const int64_t first = t->first - e->r->base[t->constants].origin;
    return x86_mem(base, t->varies ? REG_INDEX : -1, 3, (int32_t)first + ((t->varies ? e->part * 8 * t->stride : 0) + at) * 8);
}

static int mixed(emitter *e, int item, const run_table *t, const mixture *m, int vector, int64_t *order)
{
    int now;
    if (m->source[0] == COLUMN_CONSTANT) {
        now = emit_taken(e, item);
        x86_vector(e->x, X86_LOAD, X86_512, now, 0, constant_address(e, t, 8 * vector), 0);
    } else
        now = emit_wanted(e, t->arg[m->source[0]], item);
    for (int k = 0; k < steps_of(m); k++) {
        const int other = m->n > 1 ? emit_wanted(e, t->arg[m->source[k + 1]], item) : now, to = emit_taken(e, item);
        x86_vector(e->x, X86_LOAD, X86_512, to, 0, x86_mem(X86_HERE, -1, 0, (int32_t)*order), 0);
        x86_vector(e->x, X86_PERMUTE_TWO, X86_512, to, now, x86_reg(other), 0);
        *order += VECTOR_BYTES;
        if (k > 0 || m->source[0] == COLUMN_CONSTANT)
            e->locked &= ~(1u << now);
        now = to;
    }
    return now;
}

static void emit_row(emitter *e, int item_number, const run_table *t)
{
    const run_item *i = item(e, item_number);
    for (int32_t c = 0; c < t->stride; c++) {
        int from;
        if (t->column[c] == COLUMN_CONSTANT) {
            from = emit_taken(e, item_number);
            x86_vector(e->x, X86_LOAD, X86_SCALAR, from, 0, constant_address(e, t, c), 0);
        } else
            from = emit_wanted(e, t->arg[t->column[c]], item_number);
        x86_rm to = emit_strided_address(e, i, t->stride, 0);
        to.disp += c * 8;
        x86_vector(e->x, X86_STORE, X86_SCALAR, from, 0, to, 0);
        e->locked = 0;
    }
}

void emit_table(emitter *e, int t)
{
    const run_item *i = item(e, t);
    const run_table *table = &e->r->table[i->imm];
    int64_t order = e->orders[i->imm];
    emit_begin_strided(e, table->stride);
    if (e->width == 1)
        emit_row(e, t, table);
    for (int vector = 0; e->width > 1 && vector < table->stride; vector++) {
        const mixture m = mixture_at(table, vector);
        const int from = mixed(e, t, table, &m, vector, &order);
        x86_rm to = emit_strided_address(e, i, table->stride, 0);
        to.disp += vector * VECTOR_BYTES;
        x86_vector(e->x, X86_STORE, X86_512, from, 0, to, 0);
        e->locked = 0;
    }
    emit_done(e, t);
}
