/* SPDX-License-Identifier: Apache-2.0 */
/*
 * finish.c - from the instructions that kernel.c emitted to a kernel that runs: registers by when each is read last, pointers, scalars, partial
 * results, arrays that are fetched ahead. Invariant: a register is free again only after its last reader.
 */
#include "eval/kernel.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- registers -------------------------------------------------------------------------------------------------------------------------------- */

static void note_use(const operand *o, int32_t at, int32_t *last)
{
    if (o->form == FORM_REG)
        last[o->at] = at;
}

static void drop(const operand *o, int32_t at, const int32_t *last, const int32_t *real, int32_t *free_regs, int64_t *n_free)
{
    if (o->form == FORM_REG && last[o->at] == at)
        free_regs[(*n_free)++] = real[o->at];
}

/* Virtual to real registers; one that is read last by an instruction may be what that instruction writes. */
static peri_status allocate(kernel *k)
{
    int32_t *last = mem_array(k->c->m, (size_t)k->n_regs, sizeof *last), *real = mem_array(k->c->m, (size_t)k->n_regs, sizeof *real);
    int32_t *free_regs = mem_array(k->c->m, (size_t)k->n_regs + 1, sizeof *free_regs);
    peri_status status = last != NULL && real != NULL && free_regs != NULL ? PERI_OK : kernel_nomem(k);
    int64_t n_free = 0, used = 0;
    for (int64_t j = 0; j < k->code.n && status == PERI_OK; j++) {
        const instruction *i = &k->code.at[j];
        for (int q = 0; q < 4; q++)
            note_use(&i->p[q], (int32_t)j, last);
        note_use(&i->dst, (int32_t)j, last);
        note_use(&i->dst2, (int32_t)j, last);
    }
    for (int64_t j = 0; j < k->code.n && status == PERI_OK; j++) {
        instruction *i = &k->code.at[j];
        for (int q = 0; q < 4; q++) {
            bool before = false;
            for (int r = 0; r < q; r++)
                before = before || (i->p[r].form == FORM_REG && i->p[q].form == FORM_REG && i->p[r].at == i->p[q].at);
            if (!before)
                drop(&i->p[q], (int32_t)j, last, real, free_regs, &n_free);
        }
        operand *const made[2] = {&i->dst, &i->dst2};
        for (int q = 0; q < 2; q++)
            if (made[q]->form == FORM_REG)
                real[made[q]->at] = n_free > 0 ? free_regs[--n_free] : (int32_t)used++;
        for (int q = 0; q < 2; q++)
            drop(made[q], (int32_t)j, last, real, free_regs, &n_free);
        for (int q = 0; q < 4; q++)
            if (i->p[q].form == FORM_REG)
                i->p[q].at = -1 - real[i->p[q].at]; /* renamed; negative so that it is not taken for virtual again */
        for (int q = 0; q < 2; q++)
            if (made[q]->form == FORM_REG)
                made[q]->at = -1 - real[made[q]->at];
    }
    k->out->n_regs = used;
    mem_array_free(k->c->m, last);
    mem_array_free(k->c->m, real);
    mem_array_free(k->c->m, free_regs);
    return status;
}

/* ---- the finished kernel -------------------------------------------------------------------------------------------------------------------------- */

/* numbers */
enum { CACHE = 4096, CACHE_2 = 32768, GOOD_BLOCK = 256, SHORTEST_BLOCK = 64, FILLED = 2048 };

/* All registers in the first cache; but blocks long enough for what a call costs, as long as they are in the second. */
static int64_t block_length(int64_t n_regs)
{
    const int64_t regs = n_regs > 0 ? n_regs : 1, first = CACHE / regs, second = CACHE_2 / regs;
    int64_t block = first > GOOD_BLOCK ? first : second > GOOD_BLOCK ? GOOD_BLOCK : second;
    block = block / EVAL_BLOCK_UNIT * EVAL_BLOCK_UNIT;
    return block > EVAL_MAX_BLOCK ? EVAL_MAX_BLOCK : block < SHORTEST_BLOCK ? SHORTEST_BLOCK : block;
}

enum { LONGEST_ROW = 2048 };

/* Rows of one length in blocks as long as each other, or in one, where the registers stay in the cache. */
static void fit_rows(kernel *k)
{
    eval_kernel *out = k->out;
    const int64_t period = k->rows != NULL ? k->rows->period : 0;
    if (period == 0)
        return;
    const bool whole = period <= LONGEST_ROW && period * out->n_regs <= CACHE;
    const int64_t pieces = whole ? 1 : (period + out->block - 1) / out->block, piece = (period + pieces - 1) / pieces;
    out->block = (piece + EVAL_BLOCK_UNIT - 1) / EVAL_BLOCK_UNIT * EVAL_BLOCK_UNIT;
}

/* What a block fills is still in the first cache when the lanes are stored. */
static void fit_fills(kernel *k)
{
    int64_t width = 0;
    for (int64_t j = 0; j < k->code.n; j++)
        width += k->code.at[j].code == EVAL_FILL ? k->code.at[j].imm : 0;
    const int64_t block = width > 0 ? FILLED / width / EVAL_BLOCK_UNIT * EVAL_BLOCK_UNIT : k->out->block;
    if (block < k->out->block)
        k->out->block = block < SHORTEST_BLOCK ? SHORTEST_BLOCK : block;
}

static void choose_block(kernel *k)
{
    eval_kernel *out = k->out;
    const int64_t block = block_length(out->n_regs), whole = (k->n + EVAL_BLOCK_UNIT - 1) / EVAL_BLOCK_UNIT * EVAL_BLOCK_UNIT;
    out->block = block < whole ? block : whole;
    fit_fills(k);
    fit_rows(k);
    out->lanes_at = out->n_regs * (out->block + EVAL_REGISTER_GAP);
    const int64_t scratch = out->lanes_at + (k->sums.n + k->row_cells.n + k->watches) * EVAL_LANES;
    k->c->scratch = scratch > k->c->scratch ? scratch : k->c->scratch;
}

static eval_place register_place(const kernel *k, int32_t at)
{
    return (eval_place){BASE_SCRATCH, (-1 - at) * (k->out->block + EVAL_REGISTER_GAP), NULL};
}

static eval_place lanes_place(const kernel *k, int64_t acc)
{
    return (eval_place){BASE_SCRATCH, k->out->lanes_at + acc * EVAL_LANES, NULL};
}

static eval_place row_cell_place(const kernel *k, int64_t cell)
{
    return lanes_place(k, k->sums.n + cell);
}

static eval_place watch_place(const kernel *k)
{
    return lanes_place(k, k->sums.n + k->row_cells.n);
}

static peri_status note_slide(kernel *k, const operand *o, int32_t ins, int32_t number)
{
    struct eval_slide slide = {ins, number, NULL};
    if (o->form != FORM_ARRAY || o->slide == 0)
        return PERI_OK;
    TRY(eval_row_offsets(k, o->slide - 1, &slide.by));
    return vec_push(k->c->m, &k->slides, slide) ? PERI_OK : kernel_nomem(k);
}

static peri_status finish_read(kernel *k, const operand *o, int q, eval_ins *ins)
{
    eval_compiler *c = k->c;
    const bool whole = ins->code == EVAL_LOAD_STRIDED || ins->code == EVAL_LOAD_LIST || ins->code == EVAL_LOAD_GRID || ins->code == EVAL_FILL;
    switch (o->form) {
    case FORM_REG:
        ins->flags = (uint16_t)(ins->flags | 1u << (8 + q));
        return eval_point(c, &ins->p[q], register_place(k, o->at));
    case FORM_ARRAY:
        if (!whole)
            ins->flags = (uint16_t)(ins->flags | 1u << q | 1u << (8 + q));
        k->out->bytes += ins->code != EVAL_WATCH ? 8.0 * (double)k->n : 0;
        return eval_point(c, &ins->p[q], o->place);
    case FORM_CELL:
        ins->p[q] = k->out->cells[o->at].cell;
        return PERI_OK;
    case FORM_ROW:
        return eval_point(c, &ins->p[q], row_cell_place(k, o->at));
    default:
        return PERI_OK;
    }
}

static bool same_array(const operand *a, const operand *b)
{
    if (a->form != b->form)
        return false;
    return a->form == FORM_REG ? a->at == b->at : a->form == FORM_ARRAY && a->slide == b->slide && eval_same_place(&a->place, &b->place);
}

static void mark_same(const instruction *i, eval_ins *ins)
{
    static const struct {
        int k, of;
    } pairs[] = {{1, 0}, {2, 0}, {3, 2}};
    for (int q = 0; q < 3; q++)
        if (same_array(&i->p[pairs[q].k], &i->p[pairs[q].of]))
            ins->flags = (uint16_t)(ins->flags | 1u << (12 + q));
}

static peri_status finish_write(kernel *k, const instruction *i, eval_ins *ins)
{
    eval_compiler *c = k->c;
    switch (i->dst.form) {
    case FORM_REG:
        TRY(eval_point(c, &ins->dst, register_place(k, i->dst.at)));
        break;
    case FORM_ARRAY:
        ins->flags = (uint16_t)(ins->flags | (i->stays ? 0u : 1u << 4));
        k->out->bytes += 8.0 * (double)k->n;
        TRY(eval_point(c, &ins->dst, i->dst.place));
        break;
    default:
        TRY(eval_point(c, &ins->dst, i->code == EVAL_WATCH ? watch_place(k) : lanes_place(k, i->dst.at)));
    }
    if (i->dst2.form == FORM_REG)
        return eval_point(c, &ins->p[3], register_place(k, i->dst2.at));
    if (i->dst2.form == FORM_ARRAY) {
        ins->flags = (uint16_t)(ins->flags | 1u << 5);
        k->out->bytes += 8.0 * (double)k->n;
        return eval_point(c, &ins->p[3], i->dst2.place);
    }
    return PERI_OK;
}

static peri_status finish_code(kernel *k)
{
    eval_kernel *out = k->out;
    out->n_ins = k->code.n;
    out->ins = arena_array(&k->c->program->data, (size_t)k->code.n, sizeof *out->ins);
    if (out->ins == NULL)
        return kernel_nomem(k);
    for (int64_t j = 0; j < k->code.n; j++) {
        const instruction *i = &k->code.at[j];
        eval_ins *ins = &out->ins[j];
        ins->code = (uint16_t)i->code;
        ins->imm = i->imm;
        ins->index = i->index;
        ins->fn = k->n == 1 && eval_one[i->code] != NULL ? eval_one[i->code] : k->c->program->simd->fn[i->code];
        for (int q = 0; q < 4; q++) {
            TRY(finish_read(k, &i->p[q], q, ins));
            TRY(note_slide(k, &i->p[q], (int32_t)j, q));
        }
        mark_same(i, ins);
        ins->flags = (uint16_t)(ins->flags | (i->alone ? EVAL_ALONE : 0));
        TRY(finish_write(k, i, ins));
        TRY(note_slide(k, &i->dst, (int32_t)j, SLIDE_DST));
    }
    return PERI_OK;
}

/* Pointers that move and numbers that change when a row begins. */
static peri_status finish_rows(kernel *k)
{
    eval_compiler *c = k->c;
    eval_rows *r = k->rows;
    if (r == NULL)
        return PERI_OK;
    r->slides = arena_array(&c->program->data, (size_t)k->slides.n, sizeof *r->slides);
    r->cells = arena_array(&c->program->data, (size_t)k->row_cells.n, sizeof *r->cells);
    if (r->slides == NULL || r->cells == NULL)
        return kernel_nomem(k);
    if (k->slides.n > 0)
        memcpy(r->slides, k->slides.at, (size_t)k->slides.n * sizeof *r->slides);
    r->n_slides = k->slides.n;
    r->n_cells = k->row_cells.n;
    for (int64_t j = 0; j < r->n_cells; j++) {
        r->cells[j].at = k->row_cells.at[j].index;
        TRY(eval_point(c, &r->cells[j].from, k->row_cells.at[j].source));
        TRY(eval_point(c, &r->cells[j].cell, row_cell_place(k, j)));
    }
    if (r->n_slides + r->n_cells > 0)
        k->out->rows = r;
    return PERI_OK;
}

/* Constants are spread now; scalars that are computed or given, whenever the kernel starts. */
static peri_status finish_cells(kernel *k)
{
    eval_compiler *c = k->c;
    eval_kernel *out = k->out;
    out->cells = arena_array(&c->program->data, (size_t)k->cells.n, sizeof *out->cells);
    double *spread = arena_array(&c->program->data, (size_t)(k->cells.n * EVAL_LANES), sizeof *spread);
    if (out->cells == NULL || spread == NULL)
        return kernel_nomem(k);
    for (int64_t j = 0; j < k->cells.n; j++) {
        const struct scalar *s = &k->cells.at[j];
        out->cells[j].cell = spread + j * EVAL_LANES;
        for (int l = 0; l < EVAL_LANES; l++)
            out->cells[j].cell[l] = s->value;
        if (!s->constant)
            TRY(eval_point(c, &out->cells[j].from, s->place));
    }
    out->n_cells = k->cells.n;
    return PERI_OK;
}

static peri_status finish_sums(kernel *k)
{
    eval_compiler *c = k->c;
    eval_kernel *out = k->out;
    out->n_accs = k->sums.n;
    out->accs = arena_array(&c->program->data, (size_t)k->sums.n, sizeof *out->accs);
    if (out->accs == NULL)
        return kernel_nomem(k);
    for (int64_t j = 0; j < k->sums.n; j++) {
        TRY(eval_point(c, &out->accs[j].lanes, lanes_place(k, j)));
        out->accs[j].op = expr_at(c->g, k->sums.at[j].sink->node)->op;
        out->accs[j].scale = k->sums.at[j].scale >= 0 ? out->cells[k->sums.at[j].scale].cell : NULL;
        TRY(eval_point(c, &out->accs[j].out, k->sums.at[j].sink->place));
        eval_leave(c, k->sums.at[j].sink->place, 1);
    }
    return k->watches ? eval_point(c, &out->watch, watch_place(k)) : PERI_OK;
}

/* What split.c has to know of the scatters. */
static peri_status finish_scatters(kernel *k)
{
    eval_compiler *c = k->c;
    eval_group *group = &c->groups.at[k->group];
    int64_t n = 0;
    for (int64_t j = 0; j < k->code.n; j++)
        n += k->code.at[j].scatter != NULL;
    group->scatters = arena_array(&c->data, (size_t)n, sizeof *group->scatters);
    if (group->scatters == NULL)
        return kernel_nomem(k);
    for (int64_t j = 0; j < k->code.n; j++) {
        const instruction *i = &k->code.at[j];
        const eval_sink *s = i->scatter;
        if (s == NULL)
            continue;
        const expr_node *node = expr_at(c->g, s->node);
        expr_list list = c->g->lists.at[expr_scatter_ref(c->g, node, s->arg)];
        const bool pairs = i->code == EVAL_ADD_PAIRS;
        if (pairs)
            list = (expr_list){.n = 2 * k->n, .at = (int32_t *)(uintptr_t)i->index, .first = i->index[0]};
        const bool rows = i->code == EVAL_ADD_GRID && i->imm == 0, runs = i->code == EVAL_ADD_RUNS, woven = i->code == EVAL_WEAVE;
        group->scatters[group->n_scatters++] = (struct eval_scatter){
            (int32_t)j, i->there, s->stores, s->node, s->place, list, pairs ? 2 : 1, rows ? i->index[0] : runs ? k->n : 0, woven ? i->index : NULL,
            i->dst.place.offset - s->place.offset, j + 1 < k->code.n && k->code.at[j + 1].behind};
    }
    return PERI_OK;
}

static peri_status finish_zeros(kernel *k)
{
    eval_compiler *c = k->c;
    const eval_group *group = &c->groups.at[k->group];
    k->out->n_zeros = group->zeros.n;
    k->out->zeros = arena_array(&c->program->data, (size_t)group->zeros.n, sizeof *k->out->zeros);
    if (k->out->zeros == NULL)
        return kernel_nomem(k);
    for (int64_t j = 0; j < group->zeros.n; j++) {
        k->out->zeros[j].n = group->zeros.at[j].n;
        k->out->zeros[j].period = group->zeros.at[j].period;
        k->out->zeros[j].from = group->zeros.at[j].from;
        k->out->zeros[j].set = group->zeros.at[j].set;
        TRY(eval_point(c, &k->out->zeros[j].at, group->zeros.at[j].place));
        const struct eval_zero *z = &k->out->zeros[j];
        if (z->from != NULL)
            eval_leave_constants(c, group->zeros.at[j].place, z->n, z->period > 0 ? z->period : z->n, z->from);
        eval_leave_constants(c, group->zeros.at[j].place, z->n, z->set.n, z->set.value);
    }
    return PERI_OK;
}

enum {
    LARGE = 1 << 15,  /* numbers of all streams together: beyond that they come from far away */
    MOST_STREAMS = 8,
    FARTHEST = 8      /* numbers from one instance to the next one */
};

typedef struct {
    int64_t n;
    eval_place place[MOST_STREAMS];
    bool writes[MOST_STREAMS];
    int32_t stride[MOST_STREAMS];
} stream_list;

/* Arrays that differ by a few entries are one stream. */
static void note_stream(stream_list *t, const operand *o, int32_t stride, bool writes)
{
    int64_t j = 0;
    if (o->form != FORM_ARRAY || o->slide != 0 || stride <= 0 || stride > FARTHEST)
        return;
    while (j < t->n && (t->place[j].base != o->place.base || t->place[j].fixed != o->place.fixed || t->stride[j] != stride ||
                        llabs(t->place[j].offset - o->place.offset) >= EVAL_BLOCK_UNIT))
        j++;
    if (j == MOST_STREAMS)
        return;
    t->writes[j] = writes || (j < t->n && t->writes[j]);
    t->stride[j] = stride;
    if (j == t->n)
        t->place[t->n++] = o->place;
}

/* Numbers from one instance's place to the next one's; 0: by a list, or none */
static int32_t stride_written(const instruction *i)
{
    switch (i->stays ? i->code : EVAL_COPY) {
    case EVAL_COPY: return 1;
    case EVAL_WEAVE: return 2;
    case EVAL_STORE_STRIDED:
    case EVAL_ADD_STRIDED:
    case EVAL_STORE_PAIRS:
    case EVAL_STORE_FOURS: return i->imm;
    default: return 0;
    }
}

static peri_status finish_streams(kernel *k)
{
    eval_kernel *out = k->out;
    stream_list t = {.n = 0};
    int64_t numbers = 0;
    for (int64_t j = 0; j < k->code.n; j++) {
        const instruction *i = &k->code.at[j];
        const int32_t stride = i->code == EVAL_LOAD_STRIDED ? i->imm : 1;
        note_stream(&t, &i->dst, stride_written(i), true);
        note_stream(&t, &i->dst2, i->stays ? 0 : 1, true);
        for (int q = 0; q < 4 && i->code != EVAL_LOAD_LIST && i->code != EVAL_LOAD_GRID && i->code != EVAL_FILL; q++)
            note_stream(&t, &i->p[q], stride, false);
    }
    for (int64_t j = 0; j < t.n; j++)
        numbers += t.stride[j] * k->n;
    if (numbers < LARGE)
        return PERI_OK;
    out->streams = arena_array(&k->c->program->data, (size_t)t.n, sizeof *out->streams);
    if (out->streams == NULL)
        return kernel_nomem(k);
    out->n_streams = t.n;
    for (int64_t j = 0; j < t.n; j++) {
        out->streams[j].writes = t.writes[j];
        out->streams[j].stride = t.stride[j];
        TRY(eval_point(k->c, &out->streams[j].at, t.place[j]));
    }
    return PERI_OK;
}

peri_status eval_finish_kernel(kernel *k)
{
    TRY(eval_watch_kernel(k));
    TRY(allocate(k));
    choose_block(k);
    TRY(finish_cells(k));
    TRY(finish_sums(k));
    TRY(finish_zeros(k));
    TRY(finish_streams(k));
    TRY(finish_scatters(k));
    TRY(finish_code(k));
    TRY(finish_rows(k));
    return eval_cut_kernel(k->c, k->out);
}
