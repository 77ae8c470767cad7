/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.c - which parts of a program become machine code, and the pages that hold it. Consecutive simple instructions of a kernel become one function, a
 * run, that keeps what lies between them in vector registers; others, mathematical functions, say, stay calls of the interpreter's. The code is written
 * by the engine itself, in microseconds. Pages are writable first and executable afterwards, never both. Where a system
 * refuses that, on other processors and below AVX2 the interpreter does all, with the same bits.
 */
#define _GNU_SOURCE
#include "base/context.h"
#include "eval/machine_run.h"
#include "eval/straight.h"
#include <string.h>

#if defined(__x86_64__) && defined(__unix__)
#include <sys/mman.h>

enum { SHORTEST_RUN = 2, MOST_REGISTERS = 256, MOST_SCALAR = 512, LARGEST_CODE = 1 << 22 };

static bool is_possible(const eval_program *p)
{
    if (p->g->ctx->no_machine_code)
        return false;
    if (p->simd == &eval_avx512)
        return __builtin_cpu_supports("avx512vl");
    return p->simd == &eval_avx2;
}

/* ---- constants ---------------------------------------------------------------------------------------------------------------- */

static void put_constants(x86_code *x, int64_t at[N_CONSTANTS])
{
    static const uint64_t bits[N_CONSTANTS] = {0x3ff0000000000000u, 0x8000000000000000u, 0x7fffffffffffffffu, 0, 0x43f0000000000000u};
    static const uint64_t order[][8] = {
        {0, 2, 4, 6, 9, 11, 13, 15}, /* every other of two vectors, the second with an odd entry in front */
        {0, 8, 1, 9, 2, 10, 3, 11},  /* interleaved */
        {4, 12, 5, 13, 6, 14, 7, 15},
    };
    for (int k = 0; k < N_CONSTANTS; k++) {
        at[k] = x->bytes.n;
        for (int lane = 0; lane < 8; lane++)
            x86_data(x, k >= CONSTANT_EVEN ? &order[k - CONSTANT_EVEN][lane] : &bits[k], sizeof bits[k]);
    }
}

/* ---- kernels ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    eval_compiler *c;
    x86_code code;
    int64_t constants[N_CONSTANTS];
    run *r;
    int64_t n_runs;
} machine;

static bool is_worth_it(const machine *t, const eval_kernel *k)
{
    return k->n_ins > 0 && k->n_regs <= MOST_REGISTERS && (k->n > 1 || k->n_ins <= MOST_SCALAR) && t->code.bytes.n < LARGEST_CODE;
}

static peri_status open_kernel(machine *t, eval_kernel *k, int64_t number, run_kernel *open)
{
    eval_compiler *c = t->c;
    TRY(run_open_kernel(c, k, c->patch_start[number], c->patch_start[number + 1], t->code.evex ? 8 : 4, open));
    t->r->in_register = arena_array(&c->data, (size_t)k->n_regs, sizeof *t->r->in_register);
    t->r->changed = arena_array(&c->data, (size_t)k->n_regs, sizeof *t->r->changed);
    k->calls = arena_array(&c->program->data, (size_t)k->n_ins + 1, sizeof *k->calls);
    if (k->rows != NULL) {
        k->rows->read = arena_array(&c->program->data, (size_t)k->rows->n_slides, sizeof *k->rows->read);
        if (k->rows->read == NULL)
            return FAIL_NOMEM(c->g->ctx);
    }
    return t->r->in_register != NULL && t->r->changed != NULL && k->calls != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

/*
 * Where a block ends within the terms of a place, those before are summed up by themselves: does that make a difference? Not to a sum of two, nor where all
 * are of one instance.
 */
static bool knows_blocks(const int32_t *weave)
{
    for (int lane = 0; lane < 2; lane++) {
        const int32_t from = lane == 0 ? 0 : weave[WEAVE_EVEN], to = lane == 0 ? weave[WEAVE_EVEN] : weave[WEAVE_TERMS];
        bool same = true;
        for (int32_t k = from + 1; k < to; k++)
            same = same && weave[WEAVE_SHIFT + k] == weave[WEAVE_SHIFT + from];
        if (!same && to - from + weave[WEAVE_ADDS] > 2)
            return true;
    }
    return false;
}

/* May a call have more instances than a register? */
static bool is_without_blocks(const run *r)
{
    const eval_ins *last = &r->k->k->ins[r->end - 1];
    const bool rows = r->k->k->rows != NULL; /* whose function knows blocks */
    for (int64_t j = 0; j < r->n_items; j++) {
        const run_item *i = &r->item[j];
        if (i->code == ITEM_REGISTER || i->code == ITEM_STORE_REGISTER || (i->code == ITEM_SUM && i->arg[1] >= 0 && !rows))
            return false;
    }
    return last->code != EVAL_WEAVE || !knows_blocks(last->index);
}

static void add_rest(machine *t, eval_kernel *k, int64_t last)
{
    if (k->ins[last].code == EVAL_WEAVE)
        k->calls[k->n_calls++] = (struct eval_call){t->c->program->simd->fn[EVAL_WEAVE_REST], (int32_t)last, -1};
}

static bool scatters_by_list(const run *r)
{
    bool any = false;
    for (int64_t j = 0; j < r->n_items; j++)
        any = any || (run_is_indexed(r->item[j].code) && r->item[j].code != ITEM_LIST);
    return any;
}

static bool emit_run(machine *t, bool by_rows, int64_t *at)
{
    t->code.failed = t->code.failed || !run_pack_lists(t->r);
    return !t->code.failed && run_emit(&t->code, t->r, by_rows, t->constants, at);
}

static bool append_all(machine *t, const eval_kernel *k, const run_kernel *open)
{
    run_begin(t->r, open, 0);
    while (t->r->end < k->n_ins && run_append(t->r))
        ;
    return t->r->end == k->n_ins;
}

/* Two rows at once, where both read what need then be read once. */
static void emit_pairs(machine *t, const eval_kernel *k, const run_kernel *open)
{
    int64_t at;
    append_all(t, k, open);
    if (!run_double(t->r))
        return;
    run_close(t->r);
    x86_align(&t->code, 32);
    if (emit_run(t, true, &at))
        k->rows->pairs_at = at;
}

/* All instructions as one function, for any number of instances; where they are in rows, with a loop over these. */
static bool emit_whole(machine *t, eval_kernel *k, run_kernel *open)
{
    if (k->n == 1)
        return false;
    open->block = k->rows != NULL ? k->block : k->n;
    const bool all = append_all(t, k, open);
    if (all)
        run_close(t->r);
    int64_t at;
    x86_align(&t->code, 32);
    k->is_whole = all && is_without_blocks(t->r) && emit_run(t, k->rows != NULL, &at);
    if (k->is_whole && k->rows != NULL)
        emit_pairs(t, k, open);
    if (k->is_whole) {
        k->calls[k->n_calls++] = (struct eval_call){k->ins[0].fn, 0, (int32_t)at};
        add_rest(t, k, k->n_ins - 1);
    }
    open->block = k->block;
    return k->is_whole;
}

/* Does machine code of the run read the pointer that the slide moves? */
static bool reads(const run *r, const struct eval_slide *s)
{
    const int64_t field = run_pointer_field(r, s->ins, s->operand);
    for (int64_t b = 0; b < r->n_bases; b++)
        if (r->base[b].field == field)
            return true;
    return false;
}

/* Of instructions [from, to), which the run replaces, or which are called one by one where it is NULL. */
static void keep_slides(const eval_kernel *k, const run *r, int64_t from, int64_t to)
{
    for (int64_t j = 0; k->rows != NULL && j < k->rows->n_slides; j++) {
        const struct eval_slide *s = &k->rows->slides[j];
        if (s->ins >= from && s->ins < to && (r == NULL || reads(r, s)))
            k->rows->read[k->rows->n_read++] = *s;
    }
}

static peri_status emit_kernel(machine *t, eval_kernel *k, int64_t number)
{
    run_kernel open;
    int64_t runs = 0;
    TRY(open_kernel(t, k, number, &open));
    if (emit_whole(t, k, &open)) {
        t->n_runs++;
        return PERI_OK;
    }
    for (int64_t j = 0; j < k->n_ins;) {
        int64_t at = -1;
        run_begin(t->r, &open, j);
        while (t->r->end < k->n_ins && run_append(t->r))
            ;
        const bool any = t->r->end - j >= SHORTEST_RUN;
        if (any)
            run_close(t->r);
        x86_align(&t->code, 32);
        const bool emitted = any && emit_run(t, false, &at);
        const int64_t end = emitted ? t->r->end : t->r->end > j ? t->r->end : j + 1;
        for (int64_t i = j; i < (emitted ? j + 1 : end); i++)
            k->calls[k->n_calls++] = (struct eval_call){k->ins[i].fn, (int32_t)i, emitted ? (int32_t)at : -1};
        if (emitted)
            add_rest(t, k, end - 1);
        if (emitted && scatters_by_list(t->r)) /* which waits for the places; fetching other arrays ahead would delay them */
            k->n_streams = 0;
        keep_slides(k, emitted ? t->r : NULL, j, end);
        runs += emitted;
        j = end;
    }
    k->n_calls = runs > 0 ? k->n_calls : 0;
    t->n_runs += runs;
    return PERI_OK;
}

/* ---- small kernels that follow each other ---------------------------------------------------------------------------------------- */

enum { LARGEST_STRETCH = 1 << 13 }; /* items, about */

static int64_t size_of_step(const machine *t, int64_t step)
{
    const eval_program *p = t->c->program;
    return p->steps[step].is_array || p->kernels[p->steps[step].at].takes_turns ? 0 : straight_size(t->c, &p->kernels[p->steps[step].at], t->code.evex ? 8 : 4);
}

static peri_status emit_stretch(machine *t, int32_t first, int32_t end)
{
    eval_compiler *c = t->c;
    eval_program *p = c->program;
    straight s;
    peri_status status = straight_open(&s, c, t->code.evex ? 8 : 4);
    for (int32_t k = first; k < end && status == PERI_OK; k++) {
        const int32_t kernel = p->steps[k].at;
        status = straight_append(&s, &p->kernels[kernel], c->patch_start[kernel], c->patch_start[kernel + 1]);
    }
    const bool all = first == 0 && end == p->n_steps;
    status = status == PERI_OK ? straight_close(&s, all, all && p->finite->n_watched > 0) : status;
    if (status == PERI_OK) {
        const int64_t at = straight_emit(&t->code, &s, &c->data);
        if (at >= 0) {
            p->straight[p->n_straight++] = (struct eval_straight){NULL, at, first, end};
            p->is_straight = all && !p->base_used[EXPR_IN_Y];
            t->n_runs++;
            for (int32_t k = first; k < end; k++)
                p->kernels[p->steps[k].at].is_straight = true;
        }
    }
    straight_release(&s);
    return status;
}

static peri_status emit_stretches(machine *t)
{
    eval_program *p = t->c->program;
    p->straight = arena_array(&p->data, (size_t)p->n_steps, sizeof *p->straight);
    if (p->straight == NULL)
        return FAIL_NOMEM(p->g->ctx);
    for (int64_t first = 0, end; first < p->n_steps; first = end > first ? end : first + 1) {
        int64_t size = 0;
        for (end = first; end < p->n_steps; end++) {
            const int64_t more = size_of_step(t, end);
            if (more == 0 || size + more > LARGEST_STRETCH || t->code.bytes.n >= LARGEST_CODE)
                break;
            size += more;
        }
        if (end > first)
            TRY(emit_stretch(t, (int32_t)first, (int32_t)end));
    }
    return PERI_OK;
}

/* ---- pages ---------------------------------------------------------------------------------------------------------------------- */

static void interpret(eval_program *p)
{
    p->n_straight = 0;
    p->is_straight = false;
    for (int64_t k = 0; k < p->n_kernels; k++) {
        p->kernels[k].n_calls = 0;
        p->kernels[k].is_whole = p->kernels[k].is_straight = p->kernels[k].is_plain = false;
    }
}

/* One call reads as it goes, which the processor's own prefetching is better at. */
static bool is_one_pass(const eval_kernel *k)
{
    return k->n_calls == 1 || (k->n_calls == 2 && k->ins[k->calls[1].ins].code == EVAL_WEAVE);
}

static void set_row_functions(const eval_program *p, const struct eval_call *call, eval_rows *rows)
{
    const unsigned char *const at = p->machine.code + call->at, *const pairs = p->machine.code + rows->pairs_at;
    memcpy(&rows->whole, &at, sizeof rows->whole);
    if (rows->pairs_at > 0)
        memcpy(&rows->pairs, &pairs, sizeof rows->pairs);
}

static bool is_plain(const eval_kernel *k)
{
    return k->is_whole && k->n_calls == 1 && k->rows == NULL && k->n_chunks == 1;
}

static void set_functions(eval_program *p)
{
    if (p->is_straight)
        p->finite->n_left = 0; /* the function vouches for all */
    for (int64_t k = 0; k < p->n_straight; k++) {
        const unsigned char *const at = p->machine.code + p->straight[k].at;
        memcpy(&p->straight[k].fn, &at, sizeof at);
    }
    for (int64_t k = 0; k < p->n_kernels; k++) {
        if (is_one_pass(&p->kernels[k]))
            p->kernels[k].n_streams = 0;
        p->kernels[k].is_plain = is_plain(&p->kernels[k]);
        for (int64_t j = 0; j < p->kernels[k].n_calls; j++) {
            struct eval_call *call = &p->kernels[k].calls[j];
            const unsigned char *const at = call->at >= 0 ? p->machine.code + call->at : NULL;
            if (at != NULL && p->kernels[k].is_whole && p->kernels[k].rows != NULL)
                set_row_functions(p, call, p->kernels[k].rows);
            else if (at != NULL)
                memcpy(&call->fn, &at, sizeof call->fn);
        }
    }
}

static void map_code(eval_program *p, const x86_code *code)
{
    const size_t page = 4096, size = ((size_t)code->bytes.n + page - 1) / page * page;
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p->machine.refused = true;
    if (pages == MAP_FAILED) {
        interpret(p);
        return;
    }
    memcpy(pages, code->bytes.at, (size_t)code->bytes.n);
    if (mprotect(pages, size, PROT_READ | PROT_EXEC) != 0) {
        munmap(pages, size);
        interpret(p);
        return;
    }
    p->machine = (struct eval_machine){pages, size, code->bytes.n, false};
    set_functions(p);
}

static peri_status emit_all(machine *t)
{
    eval_program *p = t->c->program;
    put_constants(&t->code, t->constants);
    TRY(emit_stretches(t));
    for (int64_t k = 0; k < p->n_kernels; k++)
        if (!p->kernels[k].is_straight && is_worth_it(t, &p->kernels[k]))
            TRY(emit_kernel(t, &p->kernels[k], k));
    if (t->code.failed)
        return FAIL_NOMEM(p->g->ctx);
    if (t->n_runs > 0)
        map_code(p, &t->code);
    return PERI_OK;
}

peri_status eval_emit_machine(eval_compiler *c)
{
    if (!is_possible(c->program))
        return PERI_OK;
    machine t = {.c = c, .code = {.m = c->m, .evex = c->program->simd == &eval_avx512}};
    t.r = arena_alloc(&c->data, sizeof *t.r);
    const peri_status status = t.r != NULL ? emit_all(&t) : FAIL_NOMEM(c->g->ctx);
    vec_free(c->m, &t.code.bytes);
    return status;
}

void eval_free_machine(eval_program *p)
{
    if (p->machine.code != NULL)
        munmap(p->machine.code, p->machine.size);
}

#else

peri_status eval_emit_machine(eval_compiler *c)
{
    (void)c;
    return PERI_OK;
}

void eval_free_machine(eval_program *p)
{
    (void)p;
}

#endif
