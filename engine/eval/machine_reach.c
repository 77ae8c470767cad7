/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_reach.c - what the instructions of a run reach in memory, and whether that may be. The interpreter ends an instruction for a whole block before
 * it begins the next; a run ends a vector for all its instructions. Invariant: no result tells the difference. Of two accesses to one array, A before B among
 * the instructions, at least one of them a write, a place is reached by A for instance i + d and by B for instance i. With d >= 0 that is so in
 * both orders; where 0 < d and B reads, it is handed over in registers (ITEM_SHIFT). With d < 0 a run ends before B, unless a block is over by then.
 */
#include "eval/machine_run.h"

enum { FORWARD = 64 }; /* instances after which what was stored can be loaded in other pieces without waiting */

/* ---- a kernel's places -------------------------------------------------------------------------------------------------- */

static const double *pointer_at(const eval_ins *ins, int field)
{
    return field == RUN_DST ? ins->dst : ins->p[field];
}

static void *field_at(eval_ins *ins, int field)
{
    return field == RUN_DST ? (void *)&ins->dst : (void *)&ins->p[field];
}

static bool differ_by_one_number(const eval_rows *r, const int32_t *a, const int32_t *b, int64_t *number)
{
    *number = (int64_t)a[0] - b[0];
    for (int64_t j = 1; j < r->n; j++)
        if ((int64_t)a[j] - b[j] != *number)
            return false;
    return true;
}

static void find_slide(run_kernel *out, int64_t at, const int32_t *by)
{
    for (int64_t j = 0; j < at; j++)
        if (out->by[j] != NULL && differ_by_one_number(out->k->rows, by, out->by[j], &out->moved[at])) {
            out->by[at] = out->by[j];
            return;
        }
    out->by[at] = by;
    out->moved[at] = 0;
}

enum { DISTANCE_LIMIT = 1 << 24 };

/* From an array's entry for a row to that of the next one: the same from all rows but the last? */
static bool find_ahead(run_kernel *k, int64_t field)
{
    const eval_rows *rows = k->k->rows;
    const eval_ins *ins = &k->k->ins[field / RUN_FIELDS];
    const int q = (int)(field % RUN_FIELDS);
    const bool moves = (ins->flags >> q & 1) != 0;
    if (!moves)
        return true;
    k->ahead[field] = rows->period;
    for (int64_t row = 0; k->by[field] != NULL && row + 1 < rows->n; row++) {
        const int64_t ahead = rows->period + k->by[field][row + 1] - k->by[field][row];
        if (row > 0 && ahead != k->ahead[field])
            return false;
        k->ahead[field] = ahead;
    }
    return k->ahead[field] < DISTANCE_LIMIT && k->ahead[field] > -DISTANCE_LIMIT;
}

static void find_pairs(run_kernel *k)
{
    const eval_rows *rows = k->k->rows;
    k->has_pairs = rows != NULL && rows->period > 0 && rows->period < DISTANCE_LIMIT;
    for (int64_t field = 0; field < RUN_FIELDS * k->k->n_ins && k->has_pairs; field++)
        k->has_pairs = find_ahead(k, field);
}

peri_status run_open_kernel(eval_compiler *c, const eval_kernel *k, int64_t first_patch, int64_t last_patch, int32_t width, run_kernel *out)
{
    const size_t fields = (size_t)(RUN_FIELDS * k->n_ins);
    *out = (run_kernel){.c = c, .k = k, .width = width, .block = k->block};
    out->place = arena_array(&c->data, fields, sizeof *out->place);
    out->by = arena_array(&c->data, fields, sizeof *out->by);
    out->moved = arena_array(&c->data, fields, sizeof *out->moved);
    out->ahead = arena_array(&c->data, fields, sizeof *out->ahead);
    if (out->place == NULL || out->by == NULL || out->moved == NULL || out->ahead == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t j = 0; j < (int64_t)fields; j++)
        out->place[j] = (eval_place){BASE_FIXED, (int64_t)(uintptr_t)pointer_at(&k->ins[j / RUN_FIELDS], (int)(j % RUN_FIELDS)), NULL};
    for (int64_t j = first_patch; j < last_patch; j++) {
        const struct eval_patch *patch = &c->patches.at[j];
        const int64_t ins = ((char *)patch->where - (char *)k->ins) / (int64_t)sizeof *k->ins;
        if ((uintptr_t)patch->where < (uintptr_t)k->ins || ins >= k->n_ins || patch->base == BASE_MEMORY)
            continue;
        for (int q = 0; q < RUN_FIELDS; q++)
            if (patch->where == field_at(&k->ins[ins], q))
                out->place[RUN_FIELDS * ins + q] = (eval_place){patch->base, patch->offset * (int64_t)sizeof(double), NULL};
    }
    for (int64_t j = 0; k->rows != NULL && j < k->rows->n_slides; j++)
        find_slide(out, RUN_FIELDS * k->rows->slides[j].ins + k->rows->slides[j].operand, k->rows->slides[j].by);
    find_pairs(out);
    return PERI_OK;
}

/* ---- who reaches what, and when -------------------------------------------------------------------------------------------- */

enum { MEETS_NOT, MEETS_SAME, MEETS_BEHIND, MEETS_WRONGLY };

run_reach run_reach_of(const run *r, const run_access *a)
{
    return (run_reach){r->base[a->base].kind, a->stride, r->base[a->base].by, a->first, a->writes, a->alone};
}

bool run_are_apart(const run *r, const run_reach *a, const run_reach *b)
{
    const int64_t n = r->k->k->n, size = (int64_t)sizeof(double);
    if (a->kind != b->kind)
        return true;
    if (a->by != NULL || b->by != NULL || a->stride <= 0 || b->stride <= 0)
        return false;
    return a->first + ((n - 1) * a->stride + 1) * size <= b->first || b->first + ((n - 1) * b->stride + 1) * size <= a->first;
}

/* b is `ahead` numbers before a, strides equal. */
static int meeting(const run *r, int64_t ahead, const run_reach *a, const run_reach *b)
{
    const int64_t block = r->k->block, steps = ahead / a->stride;
    if (ahead % a->stride != 0)
        return MEETS_NOT;
    if (steps == 0)
        return MEETS_SAME;
    if (r->k->k->n == 1)
        return MEETS_NOT;
    if (steps > 0)
        return steps < block ? MEETS_WRONGLY : MEETS_NOT;
    if (steps <= -block || steps <= -FORWARD || !a->writes || b->writes)
        return MEETS_NOT;
    return MEETS_BEHIND;
}

static int worse(int a, int b)
{
    return a > b ? a : b;
}

static int64_t moved_by(const run_reach *a, int64_t row)
{
    return a->by != NULL ? a->by[row] : 0;
}

/* One of them is one place a row, the other that too, or all of the row's instances. */
static int meet_in_rows(const run *r, const run_reach *a, const run_reach *b)
{
    const eval_rows *rows = r->k->k->rows;
    const run_reach *one = a->stride == ROW_PLACE ? a : b, *other = one == a ? b : a;
    if (other->stride == ROW_PLACE)
        return MEETS_NOT; /* sums are added in the order of the instructions */
    if (other->stride != 1 || rows == NULL)
        return MEETS_WRONGLY;
    for (int64_t row = 0; row < rows->n; row++) {
        const int64_t at = (one->first - other->first) / (int64_t)sizeof(double) + moved_by(one, row) - moved_by(other, row);
        if (at >= rows->start[row] && at < rows->start[row + 1])
            return MEETS_WRONGLY;
    }
    return MEETS_NOT;
}

/* How b, of the next instruction, comes upon places that a has reached. Slides of their own: in all rows. */
static int meet(const run *r, const run_reach *a, const run_reach *b, int64_t *ahead)
{
    const eval_rows *rows = r->k->k->rows;
    const int64_t size = (int64_t)sizeof(double), apart = (b->first - a->first) / size;
    *ahead = apart;
    if ((!a->writes && !b->writes) || a->kind != b->kind)
        return MEETS_NOT;
    if (a->stride == 1 && b->stride == 1 && a->by == b->by && apart == 0)
        return MEETS_SAME; /* as what watches a store does */
    if (a->alone || b->alone || run_are_apart(r, a, b))
        return MEETS_NOT;
    if (a->stride == ROW_PLACE || b->stride == ROW_PLACE)
        return meet_in_rows(r, a, b);
    if (a->stride != b->stride || a->stride <= 0)
        return MEETS_WRONGLY;
    if (a->by == b->by)
        return meeting(r, apart, a, b);
    int all = MEETS_NOT;
    for (int64_t row = 0; row < rows->n; row++) {
        const int one = meeting(r, apart + moved_by(b, row) - moved_by(a, row), a, b);
        all = worse(all, one == MEETS_BEHIND ? MEETS_WRONGLY : one);
    }
    *ahead = INT64_MAX;
    return all;
}

/* May the next instruction reach b? last: the access whose value it finds there, or -1; ahead as above */
bool run_is_allowed(const run *r, const run_reach *b, int32_t *last, int64_t *ahead)
{
    *last = -1;
    for (int64_t k = r->n_accesses - 1; k >= 0 && !run_is_input(b->kind); k--) {
        const run_reach a = run_reach_of(r, &r->access[k]);
        int64_t by;
        const int how = meet(r, &a, b, &by);
        if (how == MEETS_WRONGLY || (how == MEETS_BEHIND && -by >= r->k->width))
            return false;
        if (how != MEETS_NOT && a.writes && *last < 0) {
            *last = (int32_t)k;
            *ahead = by;
        }
    }
    return true;
}

/* written: a value, -1: others; carry: where a read takes it from, or -1 */
void run_note(run *r, int32_t base, const run_reach *b, int32_t written, int32_t carry)
{
    if (run_is_input(b->kind))
        return;
    r->access[r->n_accesses++] = (run_access){base, b->stride, b->first, b->writes, b->alone, written, carry, (int32_t)r->n_items - 1};
    for (int64_t k = 0; k < r->n_bases && b->writes; k++)
        if (r->base[k].kind == b->kind)
            r->base[k].writes++;
}
