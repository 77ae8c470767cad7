/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff_align - scatters that are rewritten place by place: the same sums as before by the plain interpreter, and as programs for every set of instructions
 * and any number of threads. Families of instances at random strides, lanes and shifts, with irregular ends, values that are cheap, dear, the same for all,
 * constant, or read by lists; families that do not walk; short ones, which stay as they are.
 */
#include "diff/diff.h"
#include "eval/program.h"
#include "eval_graph.h"
#include "tap/tap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 12, LONG = 1500, LONGER = 40000, EXTRA = 64 };

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id x, root;
    uint64_t seed;
    int64_t n, size;
} fixture;

static int64_t whole(fixture *f, int64_t end)
{
    return (int64_t)uniform(&f->seed, 0, (double)end);
}

static expr_id part(fixture *f, int64_t n)
{
    return affine(f->g, f->x, n, whole(f, EXTRA), 1);
}

static expr_id constant(fixture *f, int64_t n)
{
    double *data = calloc((size_t)n, sizeof *data);
    expr_id e;
    for (int64_t i = 0; i < n; i++)
        data[i] = uniform(&f->seed, -1, 1);
    check(expr_dense(f->g, n, 1, data, &e));
    free(data);
    return e;
}

static expr_id listed(fixture *f, int64_t n)
{
    int32_t *list = calloc((size_t)n, sizeof *list);
    expr_id e;
    for (int64_t i = 0; i < n; i++)
        list[i] = (int32_t)(i * i % f->n);
    check(expr_gather_list(f->g, f->x, n, 1, n, list, &e));
    free(list);
    return e;
}

/* n values, or one number for all */
static expr_id value(fixture *f, int64_t n)
{
    expr_id e = part(f, n), marked;
    switch (whole(f, 8)) {
    case 0: return two(f->g, PERI_OP_MUL, part(f, n), two(f->g, PERI_OP_SUB, e, number(f->g, 2)));
    case 1: return one(f->g, PERI_OP_EXP, two(f->g, PERI_OP_MUL, e, part(f, n)));
    case 2: check(expr_broadcast(f->g, affine(f->g, f->x, 1, 3, 1), n, 1, &e)); return e;
    case 3: return two(f->g, PERI_OP_ADD, constant(f, n), e);
    case 4: return two(f->g, PERI_OP_MUL, listed(f, n), e);
    case 5:
        check(expr_mark(f->g, one(f->g, PERI_OP_SQUARE, e), "square", &marked));
        return two(f->g, PERI_OP_ADD, marked, number(f->g, 1));
    case 6: return two(f->g, PERI_OP_MUL, one(f->g, PERI_OP_SUM, e), e);
    default: return two(f->g, PERI_OP_ADD, number(f->g, 1), two(f->g, PERI_OP_MUL, number(f->g, 2), e));
    }
}

/* The places of one family: most of it walks, the first `bent` instances do not. */
static int32_t *places(fixture *f, int64_t n, int64_t stride, int64_t first, int64_t bent)
{
    int32_t *list = calloc((size_t)n, sizeof *list);
    for (int64_t i = 0; i < n; i++)
        list[i] = (int32_t)(first + (i < bent ? i : bent + (i - bent) * stride));
    if (first % 7 == 6) /* neither */
        for (int64_t i = 0; i < n; i += 3)
            list[i] = (int32_t)whole(f, f->size);
    return list;
}

static void fixture_init(fixture *f, int32_t threads, uint64_t seed, int64_t n)
{
    const peri_config config = {.threads = threads};
    *f = (fixture){.ctx = peri_context_new(&config), .seed = seed, .n = n};
    f->g = expr_graph_new(f->ctx);
    check(expr_new_var(f->g, "x", n + EXTRA, 1, &f->x));
    const int64_t stride = 1 + whole(f, 9), n_args = 1 + whole(f, MOST);
    expr_id args[MOST];
    int32_t *lists[MOST];
    f->size = (n + EXTRA) * stride + 8 * EXTRA;
    for (int64_t k = 0; k < n_args; k++) {
        const int64_t size = n - whole(f, 3), first = whole(f, 4 * stride) + (whole(f, 5) == 0 ? 6 * EXTRA : 0);
        args[k] = value(f, size);
        lists[k] = places(f, size, stride, first, whole(f, 2) * whole(f, 9));
    }
    check(expr_scatter_sum(f->g, f->size, 1, n_args, args, (const int32_t *const *)lists, &f->root));
    for (int64_t k = 0; k < n_args; k++)
        free(lists[k]);
}

static void fixture_release(fixture *f)
{
    expr_graph_free(f->g);
    peri_context_free(f->ctx);
}

static double *inputs_of(const fixture *f)
{
    uint64_t seed = 99;
    double *x = calloc((size_t)(f->n + EXTRA), sizeof *x);
    for (int64_t i = 0; i < f->n + EXTRA; i++)
        x[i] = uniform(&seed, -1, 1);
    return x;
}

static bool is_near(const fixture *f, const double *got, const double *want)
{
    for (int64_t k = 0; k < f->size; k++)
        if (!(fabs(got[k] - want[k]) <= 1e-13 * (10 + fabs(want[k]))))
            return false;
    return true;
}

/* All sets of instructions on one random scatter; counts those that were rewritten. */
static bool agrees(uint64_t seed, int64_t n, int64_t *rewritten)
{
    static const char *const names[] = {"portable", "sse2", "avx2", "avx512"};
    fixture f;
    expr_id e;
    fixture_init(&f, 1, seed, n);
    check(diff_align(f.g, 1, &f.root, &e));
    *rewritten += e != f.root;
    double *x = inputs_of(&f), *want = interpreted_at(f.g, f.root, f.size, x), *other = interpreted_at(f.g, e, f.size, x), *first = NULL;
    bool good = is_near(&f, other, want);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (!eval_force_simd(f.ctx, names[k]))
            continue;
        double *got = run_at(f.g, e, f.size, x);
        good = good && is_near(&f, got, want);
        free(first);
        first = got;
    }
    free(x);
    free(want);
    free(other);
    free(first);
    fixture_release(&f);
    return good;
}

static double *with_threads(int32_t threads, uint64_t seed, int64_t n, int64_t *size)
{
    fixture f;
    expr_id e;
    fixture_init(&f, threads, seed, n);
    check(diff_align(f.g, 1, &f.root, &e));
    double *x = inputs_of(&f), *got = run_at(f.g, e, f.size, x);
    *size = f.size;
    free(x);
    fixture_release(&f);
    return got;
}

static bool same_for_threads(uint64_t seed)
{
    int64_t size;
    double *alone = with_threads(1, seed, LONGER, &size), *many = with_threads(3, seed, LONGER, &size);
    const bool same = memcmp(alone, many, (size_t)size * sizeof *alone) == 0;
    free(alone);
    free(many);
    return same;
}

/* Bytes of the program of the aligned sum; entry i of value k goes to place first[k] + 2 i. */
static int64_t bytes_of(expr_graph *g, int64_t size, int64_t n, int n_values, const expr_id *values, const int32_t *first)
{
    int32_t *lists[MOST];
    expr_id e;
    eval_program *p;
    eval_stats stats;
    for (int k = 0; k < n_values; k++) {
        lists[k] = calloc((size_t)n, sizeof *lists[k]);
        for (int64_t i = 0; i < n; i++)
            lists[k][i] = (int32_t)(first[k] + 2 * i);
    }
    check(expr_scatter_sum(g, size, 1, n_values, values, (const int32_t *const *)lists, &e));
    check(diff_align(g, 1, &e, &e));
    const eval_output output = {e, 0, 0};
    check(eval_compile(g, 1, &output, &p));
    eval_get_stats(p, &stats);
    eval_free(p);
    for (int k = 0; k < n_values; k++)
        free(lists[k]);
    return stats.bytes;
}

/* Dear values that are wanted at one shift each are not stored to be read shifted; one that is wanted at several is. */
static void test_dear(void)
{
    static const int32_t first[] = {0, 1, 2, 4};
    peri_context *ctx = peri_context_new(NULL);
    expr_graph *g = expr_graph_new(ctx);
    const int64_t n = LONGER;
    expr_id x;
    check(expr_new_var(g, "x", n + 1, 1, &x));
    const expr_id e = one(g, PERI_OP_EXP, affine(g, x, n, 0, 1)), t = one(g, PERI_OP_TAN, affine(g, x, n, 1, 1));
    const expr_id once[] = {two(g, PERI_OP_MUL, e, number(g, 3)), e, t};
    ok(bytes_of(g, 2 * n + 1, n, 3, once, first) < 8 * n, "values that are wanted at one shift are not stored");
    const expr_id dear = one(g, PERI_OP_SIN, one(g, PERI_OP_EXP, t)), often[] = {dear, dear, dear, dear};
    ok(bytes_of(g, 2 * n + 3, n, 4, often, first) >= 8 * n, "one that is wanted at three, and dear, is");
    expr_graph_free(g);
    peri_context_free(ctx);
}

int main(void)
{
    enum { CASES = 60, THREADED = 12 };
    int64_t rewritten = 0, untouched = 0;
    for (uint64_t seed = 1; seed <= CASES; seed++)
        ok(agrees(seed, LONG + (int64_t)seed, &rewritten), "random families, %d", (int)seed);
    ok(2 * rewritten > CASES, "%d of them were rewritten", (int)rewritten);
    for (uint64_t seed = 1; seed <= 5; seed++)
        ok(agrees(seed, 300, &untouched), "short families, %d", (int)seed);
    ok(untouched == 0, "short families stay as they are");
    test_dear();
    bool same = true;
    for (uint64_t seed = 1; seed <= THREADED; seed++)
        same = same && same_for_threads(seed);
    ok(same, "the same bits with one thread and with three");
    return tap_done();
}
