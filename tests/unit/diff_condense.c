/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff_condense - scatters of all pairs of points into a matrix, most of whose values go to a few places: what is added up in an array of its own first,
 * what stays; the same sums by the plain interpreter, and by programs of every set of instructions, with one thread and with three; memory that is out.
 */
#include "diff/diff.h"
#include "eval/program.h"
#include "eval_graph.h"
#include "tap/tap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ARGS = 6, FEW = 40 };
/* of pair i < j: to the diagonal at i, at j; to the matrix; to some places anywhere; to neighbours; to places of which most have few instances */
enum { AT_FIRST, AT_SECOND, ALL, SOME, NEIGHBOURS, MANY };

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id x, root;
    int64_t points, n, size;
} fixture;

static int32_t place(int64_t points, int kind, int64_t k, int64_t i, int64_t j)
{
    const int64_t diagonal = points * points;
    switch (kind) {
    case AT_FIRST: return (int32_t)(i * (points + 1));
    case AT_SECOND: return (int32_t)(j * (points + 1));
    case ALL: return (int32_t)(j * points + i);
    case SOME: return (int32_t)((k % FEW * 306 + 5) % diagonal);
    case NEIGHBOURS: return (int32_t)(diagonal + k % FEW);
    default: return (int32_t)(k * 7 % diagonal);
    }
}

static void fixture_init(fixture *f, int32_t threads, int64_t points)
{
    const peri_config config = {.threads = threads};
    *f = (fixture){.ctx = peri_context_new(&config), .points = points, .n = points * (points - 1) / 2, .size = points * points + FEW};
    f->g = expr_graph_new(f->ctx);
    check(expr_new_var(f->g, "x", 2 * points, 1, &f->x));
    int32_t *end[2], *lists[ARGS];
    expr_id at[2], args[ARGS];
    for (int q = 0; q < 2; q++)
        end[q] = calloc((size_t)f->n, sizeof *end[q]);
    for (int q = 0; q < ARGS; q++)
        lists[q] = calloc((size_t)f->n, sizeof *lists[q]);
    for (int64_t i = 0, k = 0; i < points; i++)
        for (int64_t j = i + 1; j < points; j++, k++) {
            end[0][k] = (int32_t)i;
            end[1][k] = (int32_t)j;
            for (int q = 0; q < ARGS; q++)
                lists[q][k] = place(points, q, k, i, j);
        }
    for (int q = 0; q < 2; q++)
        check(expr_gather_list(f->g, f->x, f->n, 1, f->n, end[q], &at[q]));
    const expr_id d = two(f->g, PERI_OP_SUB, at[0], at[1]), s = one(f->g, PERI_OP_SQUARE, d);
    for (int q = 0; q < ARGS; q++)
        args[q] = two(f->g, PERI_OP_MUL, q % 2 == 0 ? s : d, two(f->g, PERI_OP_ADD, q < 4 ? d : at[0], number(f->g, 0.3 + q)));
    check(expr_scatter_sum(f->g, f->size, 1, ARGS, args, (const int32_t *const *)lists, &f->root));
    for (int q = 0; q < 2; q++)
        free(end[q]);
    for (int q = 0; q < ARGS; q++)
        free(lists[q]);
}

static void fixture_release(fixture *f)
{
    expr_graph_free(f->g);
    peri_context_free(f->ctx);
}

static double *inputs_of(const fixture *f)
{
    uint64_t seed = 7;
    double *x = calloc((size_t)(2 * f->points), sizeof *x);
    for (int64_t i = 0; i < 2 * f->points; i++)
        x[i] = uniform(&seed, -1, 1);
    return x;
}

static bool is_near(const fixture *f, const double *got, const double *want)
{
    for (int64_t k = 0; k < f->size; k++)
        if (!(fabs(got[k] - want[k]) <= 1e-12 * (1 + fabs(want[k]))))
            return false;
    return true;
}

/* Arguments of e, and those of its arguments that are scatters; largest: places of one of these. */
static void count_arguments(const fixture *f, expr_id e, int *all, int *inner, int *members, int64_t *largest)
{
    const expr_node node = *expr_at(f->g, e);
    *all = node.many.n;
    *inner = *members = 0;
    *largest = 0;
    for (int32_t k = 0; k < node.many.n; k++) {
        const expr_id a = f->g->args.at[node.many.list + k];
        if (expr_at(f->g, a)->op != PERI_OP_SCATTER)
            continue;
        (*inner)++;
        *members += expr_at(f->g, a)->many.n;
        *largest = expr_size(f->g, a) > *largest ? expr_size(f->g, a) : *largest;
    }
}

static void test_structure(void)
{
    fixture f;
    expr_id e;
    int all, inner, members;
    int64_t largest;
    fixture_init(&f, 1, 101);
    check(diff_align(f.g, 1, &f.root, &e));
    count_arguments(&f, e, &all, &inner, &members, &largest);
    ok(all == ARGS - 1 && inner == 2 && members == 3 && largest == 101,
       "both ends share an array of %d places, another has some places, the rest stays (%d arguments, %d arrays of %d)", (int)largest, all, inner, members);
    fixture_release(&f);
    fixture_init(&f, 1, 40);
    check(diff_align(f.g, 1, &f.root, &e));
    ok(e == f.root, "a few instances stay as they are");
    fixture_release(&f);
}

static void test_values(int64_t points)
{
    static const char *const names[] = {"portable", "sse2", "avx2", "avx512"};
    fixture f;
    expr_id e;
    fixture_init(&f, 1, points);
    check(diff_align(f.g, 1, &f.root, &e));
    double *x = inputs_of(&f), *want = interpreted_at(f.g, f.root, f.size, x), *other = interpreted_at(f.g, e, f.size, x);
    ok(e != f.root && is_near(&f, other, want), "%d points: the same sums", (int)points);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (!eval_force_simd(f.ctx, names[k]))
            continue;
        double *got = run_at(f.g, e, f.size, x);
        ok(is_near(&f, got, want), "%d points, %s", (int)points, names[k]);
        free(got);
    }
    free(want);
    free(other);
    free(x);
    fixture_release(&f);
}

static void test_threads(int64_t points)
{
    double *got[2];
    int64_t size = 0;
    for (int k = 0; k < 2; k++) {
        fixture f;
        expr_id e;
        fixture_init(&f, k == 0 ? 1 : 3, points);
        check(diff_align(f.g, 1, &f.root, &e));
        double *x = inputs_of(&f);
        got[k] = run_at(f.g, e, f.size, x);
        size = f.size;
        free(x);
        fixture_release(&f);
    }
    ok(memcmp(got[0], got[1], (size_t)size * sizeof *got[0]) == 0, "%d points: the same bits with one thread and with three", (int)points);
    free(got[0]);
    free(got[1]);
}

static void test_memory(void)
{
    fixture f;
    int failures = 0;
    bool clean = true;
    peri_status status = PERI_E_NOMEM;
    for (int64_t k = 1; status != PERI_OK; k++, failures++) {
        expr_id e;
        fixture_init(&f, 1, 101);
        peri_memory_fail_at(f.ctx, k, true);
        status = diff_align(f.g, 1, &f.root, &e);
        peri_memory_fail_at(f.ctx, 0, false);
        clean = clean && (status == PERI_OK || status == PERI_E_NOMEM);
        fixture_release(&f);
    }
    ok(clean && failures > 10, "%d allocations failed, each an error", failures);
}

int main(void)
{
    test_structure();
    test_values(101);
    test_values(260);
    test_threads(260);
    test_memory();
    return tap_done();
}
