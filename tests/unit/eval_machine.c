/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_machine - programs as machine code against the same programs interpreted, bit by bit: random graphs of cheap operations whose arrays are shifted,
 * strided, indexed and written to at places that meet, for all lengths around those of vectors and blocks, between pages that may not be touched;
 * with rows and threads; switched off, refused by the system, out of memory.
 */
#define _GNU_SOURCE
#include "base/context.h"
#include "eval/plan.h"
#include "eval/program.h"
#include "tap/tap.h"
#include "unit/eval_graph.h"
#include "unit/eval_random.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const levels[] = {"avx2", "avx512"};
enum { N_LEVELS = 2, POOL = 40, MARGIN = 24 };

/* ---- arrays between pages that may not be touched ------------------------------------------------------------------------------ */

typedef struct {
    unsigned char *map;
    size_t bytes;
    double *at;
} fenced;

/* n numbers that begin behind a forbidden page, or end before one. */
static fenced fence(int64_t n, bool at_end)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = ((size_t)n * sizeof(double) + page - 1) / page * page;
    fenced f = {NULL, inner + 2 * page, NULL};
    f.map = mmap(NULL, f.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f.map == MAP_FAILED || mprotect(f.map, page, PROT_NONE) != 0 || mprotect(f.map + page + inner, page, PROT_NONE) != 0)
        check(PERI_E_NOMEM);
    f.at = (double *)(void *)(f.map + page + (at_end ? inner - (size_t)n * sizeof(double) : 0));
    return f;
}

static void unfence(fenced *f)
{
    munmap(f->map, f->bytes);
}

/* ---- random graphs ---------------------------------------------------------------------------------------------------------------- */

static void open_fixture(fixture *f, const char *simd, uint64_t seed, int64_t n, int32_t threads)
{
    fixture_init(f, simd, seed, n, 4 * n + MARGIN, threads);
}

enum { ANYWHERE, NEAR, ONCE, IN_ROWS, OF_ROWS, KINDS };

/* Indices below `most`: anywhere; near the instance; each once; in rows of 60 with gaps; the row's number. */
static int32_t *new_list(fixture *f, int kind, int64_t n, int64_t most)
{
    int32_t *list = calloc((size_t)n, sizeof *list);
    const int64_t shift = below(f, 3);
    for (int64_t k = 0; k < n; k++) {
        const int64_t j = kind == ANYWHERE ? below(f, most) : kind == NEAR ? k + below(f, 4) : kind == ONCE ? 2 * n - 1 - 2 * k :
                          kind == IN_ROWS ? k + k / 60 + shift : k / 60 + shift;
        list[k] = (int32_t)(j < most ? j : most - 1);
    }
    return list;
}

static expr_id leaf(fixture *f)
{
    const int64_t what = below(f, 10), n = f->n;
    expr_id e;
    if (what < 5)
        return affine(f->g, f->x, n, below(f, 6), 1);
    if (what < 7)
        return affine(f->g, f->x, n, below(f, 6), 2 + below(f, 3));
    if (what == 7)
        return affine(f->g, f->x, 1, below(f, f->size), 1);
    if (what == 8)
        return number(f->g, uniform(&f->seed, 0.5, 2));
    int32_t *list = new_list(f, (int)below(f, KINDS), n, f->size);
    check(expr_gather_list(f->g, f->x, n, 1, n, list, &e));
    free(list);
    return e;
}

static expr_id as_array(fixture *f, expr_id e)
{
    expr_id whole;
    if (expr_size(f->g, e) == f->n)
        return e;
    check(expr_broadcast(f->g, e, f->n, 1, &whole));
    return whole;
}

static expr_id random_operation(fixture *f, const expr_id *pool, int size)
{
    static const peri_op unary[] = {PERI_OP_NEG, PERI_OP_ABS, PERI_OP_SQUARE, PERI_OP_SQUARE, PERI_OP_RECIP, PERI_OP_SQRT};
    static const peri_op binary[] = {PERI_OP_ADD, PERI_OP_SUB, PERI_OP_MUL, PERI_OP_ADD, PERI_OP_SUB, PERI_OP_MUL, PERI_OP_MUL, PERI_OP_DIV};
    static const double exponents[] = {3, 4, 7, -2, -3, 0.5, 1.5, -0.5, -2.5};
    const expr_id a = pool[below(f, size)], b = pool[below(f, size)];
    const int64_t what = below(f, 40);
    expr_id e;
    if (what < 6)
        return one(f->g, unary[what], what == 5 ? one(f->g, PERI_OP_ABS, a) : a);
    if (what == 6)
        return two(f->g, PERI_OP_POW, one(f->g, PERI_OP_ABS, a), number(f->g, exponents[below(f, 9)]));
    if (what == 7) {
        const expr_id args[3] = {as_array(f, a), as_array(f, b), as_array(f, pool[below(f, size)])};
        check(expr_op(f->g, PERI_OP_FMA, 3, args, &e));
        return e;
    }
    if (what == 8)
        return one(f->g, PERI_OP_TANH, a); /* never machine code */
    return two(f->g, binary[below(f, 8)], a, b);
}

/* A scatter of several arrays: to shifted neighbours, lanes of rows, or by lists. */
static expr_id scattered(fixture *f, const expr_id *pool, int size, int64_t *length)
{
    const int64_t n = f->n, count = 1 + below(f, 4), what = below(f, 4), stride = what == 0 ? 1 : 2 + below(f, 4), unit = below(f, 2);
    int32_t *lists[4];
    expr_id args[4], e;
    *length = n * stride + MARGIN;
    for (int64_t k = 0; k < count; k++) {
        args[k] = as_array(f, pool[size - 1 - below(f, 8)]);
        lists[k] = what == 3 ? new_list(f, (int)below(f, KINDS), n, *length) : calloc((size_t)n, sizeof **lists);
        const int64_t first = what == 2 && unit ? k : below(f, 5);
        for (int64_t i = 0; i < n && what != 3; i++)
            lists[k][i] = (int32_t)(first + i * stride);
    }
    check(expr_scatter_sum(f->g, *length, 1, (int32_t)count, args, (const int32_t *const *)lists, &e));
    for (int64_t k = 0; k < count; k++)
        free(lists[k]);
    return e;
}

static void make_graph(fixture *f)
{
    expr_id pool[POOL];
    int64_t length;
    int size = 0;
    while (size < 8)
        pool[size++] = leaf(f);
    for (; size < POOL; size++)
        pool[size] = below(f, 6) == 0 ? leaf(f) : random_operation(f, pool, size);
    add_output(f, as_array(f, pool[size - 1]));
    add_output(f, one(f->g, PERI_OP_SUM, as_array(f, pool[size - 2])));
    add_output(f, one(f->g, PERI_OP_SUM, as_array(f, two(f->g, PERI_OP_MUL, pool[size - 3], pool[size - 4]))));
    for (int k = 0; k < 3; k++)
        add_output(f, scattered(f, pool, size, &length));
}

/* ---- comparison --------------------------------------------------------------------------------------------------------------------- */

static bool same_bits(int64_t n, const double *a, const double *b)
{
    for (int64_t k = 0; k < n; k++)
        if (!(isnan(a[k]) && isnan(b[k])) && memcmp(&a[k], &b[k], sizeof *a) != 0)
            return false;
    return true;
}

typedef struct {
    fenced x, out[MOST_OUTPUTS];
    eval_stats stats;
} result;

static void evaluate(fixture *f, bool machine, bool at_end, result *r)
{
    uint64_t seed = 77;
    eval_program *p;
    double *out[MOST_OUTPUTS];
    r->x = fence(f->size, at_end);
    for (int64_t k = 0; k < f->size; k++)
        r->x.at[k] = uniform(&seed, -2, 2);
    for (int k = 0; k < f->n_outputs; k++) {
        r->out[k] = fence(f->length[k], at_end);
        out[k] = r->out[k].at;
        for (int64_t i = 0; i < f->length[k]; i++)
            out[k][i] = 1e99; /* nothing of it may stay */
    }
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = r->x.at};
    eval_allow_machine_code(f->ctx, machine);
    check(eval_compile(f->g, f->n_outputs, f->output, &p));
    eval_get_stats(p, &r->stats);
    for (int k = 0; k < 2; k++)
        check(eval_run(p, inputs, out));
    eval_free(p);
}

static void release(fixture *f, result *r)
{
    unfence(&r->x);
    for (int k = 0; k < f->n_outputs; k++)
        unfence(&r->out[k]);
}

static bool agree(fixture *f, int64_t *instructions, int64_t *in_code)
{
    bool good = true;
    for (int at_end = 0; at_end < 2 && good; at_end++) {
        result a, b;
        evaluate(f, false, at_end != 0, &a);
        evaluate(f, true, at_end != 0, &b);
        for (int k = 0; k < f->n_outputs; k++)
            if (good && !same_bits(f->length[k], a.out[k].at, b.out[k].at)) {
                diag("output %d differs", k);
                good = false;
            }
        good = good && a.stats.in_machine_code == 0;
        *instructions += b.stats.instructions;
        *in_code += b.stats.in_machine_code;
        release(f, &a);
        release(f, &b);
    }
    return good;
}

static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 61, 127, 240, 383, 384, 385, 769, 1601};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void test_random(const char *simd, int rounds)
{
    int64_t instructions = 0, in_code = 0;
    for (int k = 0; k < N_SIZES; k++) {
        bool good = true;
        for (int round = 0; round < rounds && good; round++) {
            fixture f;
            open_fixture(&f, simd, (uint64_t)(1000 * k + round) + 5, sizes[k], 1);
            make_graph(&f);
            good = agree(&f, &instructions, &in_code);
            if (!good)
                diag("size %d, round %d", (int)sizes[k], round);
            fixture_release(&f);
        }
        ok(good, "%s, %d instances: the same bits", simd, (int)sizes[k]);
    }
    ok(2 * in_code > instructions, "%s: %d of %d instructions were machine code", simd, (int)in_code, (int)instructions);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------------- */

/*
 * Instances in rows that read and write by lists: the pairs i < j of m points, whose rows have all lengths, or the cells of a grid with rows of m and
 * their four corners. lists [4]
 */
static int64_t row_lists(int64_t m, bool pairs, int32_t **lists)
{
    const int64_t n = pairs ? m * (m - 1) / 2 : m * m;
    int64_t k = 0;
    for (int q = 0; q < 4; q++)
        lists[q] = calloc((size_t)n, sizeof **lists);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = pairs ? i + 1 : 0; j < m; j++, k++)
            for (int q = 0; q < 4; q++)
                lists[q][k] = (int32_t)(pairs ? (q % 2 == 0 ? i : j) + q / 2 * m : (i + q / 2) * (m + 1) + j + q % 2);
    return n;
}

static void make_rows(fixture *f, int64_t m, bool pairs)
{
    int32_t *lists[4];
    expr_id corner[4], force[4], e;
    f->n = row_lists(m, pairs, lists);
    for (int q = 0; q < 4; q++)
        check(expr_gather_list(f->g, f->x, f->n, 1, f->n, lists[q], &corner[q]));
    const expr_id a = two(f->g, PERI_OP_SUB, corner[1], corner[0]), b = two(f->g, PERI_OP_SUB, corner[3], corner[2]);
    const expr_id size = two(f->g, PERI_OP_ADD, one(f->g, PERI_OP_SQUARE, a), one(f->g, PERI_OP_SQUARE, b));
    const expr_id inverse = two(f->g, PERI_OP_POW, size, number(f->g, -1.5));
    for (int q = 0; q < 4; q++) {
        force[q] = two(f->g, PERI_OP_MUL, q / 2 == 0 ? a : b, q < 3 ? inverse : size);
        force[q] = q % 2 == 0 ? one(f->g, PERI_OP_NEG, force[q]) : force[q];
    }
    add_output(f, one(f->g, PERI_OP_SUM, inverse));
    check(expr_scatter_sum(f->g, (m + 1) * (m + 2), 1, 4, force, (const int32_t *const *)lists, &e));
    add_output(f, e);
    for (int q = 0; q < 4; q++)
        free(lists[q]);
}

/* The last two have rows longer than blocks, and chunks that begin within a row. */
static void test_rows(const char *simd)
{
    static const int64_t points[] = {64, 66, 67, 69, 71, 73, 430, 601};
    for (int pairs = 0; pairs < 2; pairs++)
        for (int k = 0; k < 8; k++) {
            const int64_t m = points[k];
            fixture f;
            int64_t instructions = 0, in_code = 0;
            open_fixture(&f, simd, 3, 2 * m * m, m > 100 ? 3 : 1);
            make_rows(&f, m, pairs != 0);
            const bool good = agree(&f, &instructions, &in_code);
            ok(good && 10 * in_code > 9 * instructions, "%s: %s %d, %d of %d instructions as machine code", simd, pairs ? "pairs of" : "rows of", (int)m,
               (int)in_code, (int)instructions);
            fixture_release(&f);
        }
}

/* ---- networks --------------------------------------------------------------------------------------------------------------------- */

enum { ENDS = 2, ENTRIES = 6 };

/*
 * Branches between points of a network, of which some are parallel: both ends add to the same sums, and a matrix gets two entries that meet those of
 * other branches' ends, and more that meet their own kind only.
 */
static void make_network(fixture *f, int64_t points)
{
    int32_t *end[ENDS], *place[ENTRIES];
    expr_id at[ENDS], value[ENTRIES], e;
    for (int q = 0; q < ENDS; q++)
        end[q] = new_list(f, ANYWHERE, f->n, points);
    for (int q = 0; q < ENTRIES; q++) {
        place[q] = calloc((size_t)f->n, sizeof **place);
        for (int64_t k = 0; k < f->n; k++)
            place[q][k] = (int32_t)(q < ENDS ? end[q][k] : points * (q - 1) + (end[0][k] + end[q % 2][k] * (q / 2)) % points);
    }
    for (int q = 0; q < ENDS; q++)
        check(expr_gather_list(f->g, f->x, f->n, 1, f->n, end[q], &at[q]));
    const expr_id d = two(f->g, PERI_OP_SUB, at[0], at[1]), p = two(f->g, PERI_OP_MUL, at[0], at[1]);
    for (int q = 0; q < ENTRIES; q++)
        value[q] = two(f->g, q % 2 == 0 ? PERI_OP_SUB : PERI_OP_MUL, q < 3 ? p : d, two(f->g, PERI_OP_MUL, at[q % 2], number(f->g, 0.7 + q)));
    check(expr_scatter_sum(f->g, points, 1, ENDS, value, (const int32_t *const *)end, &e));
    add_output(f, e);
    check(expr_scatter_sum(f->g, points * ENTRIES, 1, ENTRIES, value, (const int32_t *const *)place, &e));
    add_output(f, e);
    for (int q = 0; q < ENDS; q++)
        free(end[q]);
    for (int q = 0; q < ENTRIES; q++)
        free(place[q]);
}

/* How many calls a kernel is. */
static int64_t count_calls(fixture *f)
{
    int64_t calls = 0;
    eval_program *p;
    eval_allow_machine_code(f->ctx, true);
    check(eval_compile(f->g, f->n_outputs, f->output, &p));
    for (int64_t k = 0; k < p->n_kernels; k++)
        calls += p->kernels[k].n_calls;
    eval_free(p);
    return calls;
}

static void test_networks(const char *simd)
{
    static const int64_t many[] = {5, 64, 400, 1201};
    bool good = true, together = true;
    for (int k = 0; k < 4; k++) {
        fixture f;
        int64_t instructions = 0, in_code = 0;
        open_fixture(&f, simd, 17, many[k], 1);
        make_network(&f, 7 + many[k] / 2);
        good = good && agree(&f, &instructions, &in_code);
        together = together && in_code == instructions && count_calls(&f) == 1;
        fixture_release(&f);
    }
    ok(good, "%s: sums of both ends of a network's branches, and a matrix's entries, have the same bits", simd);
    ok(together, "%s: and are one piece of machine code", simd);
}

/* The inner points of a grid: a sum of squares of differences with a weight for each row, and its gradient, each point of which is written once. */
static void make_stencil(fixture *f, int64_t rows, int64_t cols)
{
    enum { HERE, LEFT, RIGHT, ABOVE, BELOW, ROW, LISTS };
    const int64_t n = rows * cols, width = cols + 2, step[LISTS] = {0, -1, 1, -width, width, 0};
    int32_t *list = calloc((size_t)n, sizeof *list);
    expr_id at[LISTS], gradient;
    for (int q = 0; q < LISTS; q++) {
        for (int64_t k = 0; k < n; k++)
            list[k] = (int32_t)(q == ROW ? k / cols : (k / cols + 1) * width + k % cols + 1 + step[q]);
        check(expr_gather_list(f->g, f->x, n, 1, n, list, &at[q]));
    }
    const expr_id left = two(f->g, PERI_OP_SUB, at[HERE], at[LEFT]), above = two(f->g, PERI_OP_SUB, at[HERE], at[ABOVE]);
    const expr_id right = two(f->g, PERI_OP_SUB, at[RIGHT], at[HERE]), below = two(f->g, PERI_OP_SUB, at[BELOW], at[HERE]);
    add_output(f, one(f->g, PERI_OP_SUM, two(f->g, PERI_OP_MUL, at[ROW], one(f->g, PERI_OP_SQUARE, left))));
    add_output(f, one(f->g, PERI_OP_SUM, two(f->g, PERI_OP_MUL, number(f->g, 3), one(f->g, PERI_OP_SQUARE, above))));
    add_output(f, one(f->g, PERI_OP_SUM, at[HERE]));
    const expr_id side = two(f->g, PERI_OP_MUL, at[ROW], two(f->g, PERI_OP_SUB, left, right));
    const expr_id all = two(f->g, PERI_OP_ADD, side, two(f->g, PERI_OP_SUB, above, below));
    for (int64_t k = 0; k < n; k++)
        list[k] = (int32_t)((k / cols + 1) * width + k % cols + 1);
    check(expr_scatter_sum(f->g, (rows + 2) * width, 1, 1, &all, (const int32_t *const *)&list, &gradient));
    add_output(f, gradient);
    free(list);
}

/* An even number of rows and an odd one, whole vectors and parts; with threads, chunks of rows; rows longer than a block. */
static void test_stencils(const char *simd)
{
    static const int64_t grid[][3] = {{40, 64, 1}, {41, 67, 1}, {33, 72, 1}, {62, 79, 1}, {300, 401, 3}, {301, 250, 3}, {3, 2500, 1}, {83, 2501, 3}};
    for (size_t k = 0; k < sizeof grid / sizeof grid[0]; k++) {
        fixture f;
        int64_t instructions = 0, in_code = 0;
        open_fixture(&f, simd, 3, grid[k][0] * grid[k][1], (int32_t)grid[k][2]);
        make_stencil(&f, grid[k][0], grid[k][1]);
        const bool good = agree(&f, &instructions, &in_code);
        ok(good && 10 * in_code > 9 * instructions, "%s: a grid of %d rows of %d", simd, (int)grid[k][0], (int)grid[k][1]);
        fixture_release(&f);
    }
}

/* Several threads with machine code against one that interprets. */
static void test_threads(const char *simd)
{
    bool good = true;
    for (int round = 0; round < 6; round++) {
        fixture one_thread, more;
        result a, b;
        open_fixture(&one_thread, simd, (uint64_t)round + 300, 20000, 1);
        open_fixture(&more, simd, (uint64_t)round + 300, 20000, 3);
        make_graph(&one_thread);
        make_graph(&more);
        evaluate(&one_thread, false, true, &a);
        evaluate(&more, true, true, &b);
        for (int k = 0; k < more.n_outputs; k++)
            good = good && same_bits(more.length[k], a.out[k].at, b.out[k].at);
        release(&one_thread, &a);
        release(&more, &b);
        fixture_release(&one_thread);
        fixture_release(&more);
    }
    ok(good, "%s: three threads with machine code, one without", simd);
}

static void test_memory(const char *simd)
{
    fixture f;
    size_t before, after;
    int64_t blocks, blocks_after, failures = 0;
    bool clean = true;
    open_fixture(&f, simd, 11, 100, 1);
    make_graph(&f);
    peri_memory(f.ctx, &before, NULL, &blocks);
    for (int64_t k = 1;; k++, failures++) {
        eval_program *p;
        peri_memory_fail_at(f.ctx, k, true);
        const peri_status status = eval_compile(f.g, f.n_outputs, f.output, &p);
        peri_memory_fail_at(f.ctx, 0, false);
        eval_free(p);
        if (status == PERI_OK)
            break;
        peri_memory(f.ctx, &after, NULL, &blocks_after);
        clean = clean && status == PERI_E_NOMEM && before == after && blocks == blocks_after;
    }
    ok(clean && failures > 10, "%s: %d allocations failed, nothing lost", simd, (int)failures);
    fixture_release(&f);
}

/* Without a context's leave there is none, and the description says which instructions are machine code. */
static void test_switch(const char *simd)
{
    const peri_config config = {.threads = 1, .no_machine_code = true};
    fixture f;
    eval_program *p;
    eval_stats stats;
    char *text;
    open_fixture(&f, simd, 12, 100, 1);
    peri_context *const other = f.ctx;
    expr_graph_free(f.g);
    peri_context_free(other);
    f.ctx = peri_context_new(&config);
    eval_force_simd(f.ctx, simd);
    f.g = expr_graph_new(f.ctx);
    check(expr_new_var(f.g, "x", f.size, 1, &f.x));
    make_graph(&f);
    check(eval_compile(f.g, f.n_outputs, f.output, &p));
    eval_get_stats(p, &stats);
    check(eval_describe(p, &text));
    ok(stats.in_machine_code == 0 && stats.code_bytes == 0 && strstr(text, "machine code") == NULL, "%s: not where a host does not want it", simd);
    mem_array_free(&f.ctx->mem, text);
    eval_free(p);
    eval_allow_machine_code(f.ctx, true);
    check(eval_compile(f.g, f.n_outputs, f.output, &p));
    eval_get_stats(p, &stats);
    check(eval_describe(p, &text));
    ok(stats.in_machine_code > 0 && stats.code_bytes > 0 && strstr(text, "machine code: ") != NULL, "%s: and described", simd);
    mem_array_free(&f.ctx->mem, text);
    eval_free(p);
    fixture_release(&f);
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? atoi(argv[1]) : 12;
    plan_later();
    for (int v = 0; v < N_LEVELS; v++) {
        peri_context *ctx = peri_context_new(NULL);
        const bool is_there = eval_force_simd(ctx, levels[v]);
        peri_context_free(ctx);
        if (!is_there) {
            skip(N_SIZES + 8, "no %s here", levels[v]);
            continue;
        }
        test_random(levels[v], rounds);
        test_rows(levels[v]);
        test_stencils(levels[v]);
        test_networks(levels[v]);
        test_threads(levels[v]);
        test_memory(levels[v]);
        test_switch(levels[v]);
    }
    return tap_done();
}
