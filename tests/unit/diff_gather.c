/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff_merge, diff_gather - functions and gradients that are rewritten place by place: the same value and gradient as before by the plain interpreter, and as
 * programs for every set of instructions and any number of threads. Random sums over the cells of a grid or along a chain, whose terms read
 * neighbours at random distances with weights that are one number or a column; closed forms for a grid's edges.
 */
#include "base/context.h"
#include "diff/diff.h"
#include "eval/program.h"
#include "eval_graph.h"
#include "tap/tap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SUMS = 3 };

typedef struct {
    peri_context *ctx;
    expr_graph *g;
    expr_id x, f, gradient;
    uint64_t seed;
    int64_t rows, cols, n; /* n = rows * cols; a chain has one row */
} fixture;

static int64_t whole(fixture *t, int64_t end)
{
    return (int64_t)uniform(&t->seed, 0, (double)end);
}

/* Entry (i + down, j + right) for the cells (i, j) of all but the last rows and columns; along a chain, every `step` entries. */
static expr_id corner(fixture *t, int64_t step, int64_t down, int64_t right)
{
    const int64_t rows = t->rows > 1 ? t->rows - 1 : 1, cols = (t->cols - 3) / step;
    int32_t *list = calloc((size_t)(rows * cols), sizeof *list);
    expr_id e;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            list[i * cols + j] = (int32_t)((i + down) * t->cols + j * step + right);
    check(expr_gather_list(t->g, t->x, rows * cols, 1, rows * cols, list, &e));
    free(list);
    return e;
}

static expr_id near(fixture *t, int64_t step)
{
    return corner(t, step, t->rows > 1 ? whole(t, 2) : 0, whole(t, 3));
}

static expr_id term(fixture *t, int64_t step)
{
    const expr_id a = near(t, step), b = near(t, step);
    switch (whole(t, 5)) {
    case 0: return one(t->g, PERI_OP_SQUARE, two(t->g, PERI_OP_DIV, two(t->g, PERI_OP_SUB, a, b), number(t->g, 0.5)));
    case 1: return two(t->g, PERI_OP_MUL, a, two(t->g, PERI_OP_SUB, b, number(t->g, 2)));
    case 2: return one(t->g, PERI_OP_SQUARE, two(t->g, PERI_OP_SUB, one(t->g, PERI_OP_SQUARE, a), b));
    case 3: return a;
    default: return one(t->g, PERI_OP_NEG, one(t->g, PERI_OP_SQUARE, a));
    }
}

/* A column of weights for each row of the grid, the same in the row, or one number */
static expr_id weight(fixture *t, int64_t n)
{
    const int64_t rows = t->rows > 1 ? t->rows - 1 : 1, cols = n / rows;
    double *data = calloc((size_t)n, sizeof *data), value = uniform(&t->seed, 1, 2);
    const bool column = whole(t, 2) == 0;
    expr_id e;
    for (int64_t k = 0; k < n; k++) {
        value = column && k % cols == 0 ? uniform(&t->seed, 1, 2) : value;
        data[k] = value;
    }
    check(expr_dense(t->g, n, 1, data, &e));
    free(data);
    return e;
}

static expr_id sum_of_terms(fixture *t, int64_t step)
{
    const int64_t n_terms = 1 + whole(t, 4);
    expr_id e = term(t, step);
    const int64_t n = expr_size(t->g, e);
    for (int64_t k = 1; k < n_terms; k++)
        e = two(t->g, PERI_OP_ADD, e, two(t->g, PERI_OP_MUL, term(t, step), weight(t, n)));
    return one(t->g, PERI_OP_SUM, two(t->g, PERI_OP_MUL, weight(t, n), e));
}

static void derive(fixture *t)
{
    const expr_id unit = number(t->g, 1);
    check(diff_adjoint(t->g, 1, &t->f, &unit, 1, &t->x, &t->gradient));
}

static void fixture_init(fixture *t, int32_t threads, uint64_t seed, int64_t rows, int64_t cols)
{
    const peri_config config = {.threads = threads};
    *t = (fixture){.ctx = peri_context_new(&config), .seed = seed, .rows = rows, .cols = cols, .n = rows * cols};
    t->g = expr_graph_new(t->ctx);
    check(expr_new_var(t->g, "x", t->n, 1, &t->x));
}

static void random_function(fixture *t)
{
    const int64_t n_sums = 1 + whole(t, MOST_SUMS), step = t->rows > 1 ? 1 : 1 + whole(t, 2);
    t->f = sum_of_terms(t, step);
    for (int64_t k = 1; k < n_sums; k++)
        t->f = two(t->g, k % 2 == 0 ? PERI_OP_ADD : PERI_OP_SUB, t->f, two(t->g, PERI_OP_MUL, number(t->g, 3), sum_of_terms(t, step)));
    if (whole(t, 3) == 0) /* a linear part */
        t->f = two(t->g, PERI_OP_ADD, t->f, one(t->g, PERI_OP_SUM, two(t->g, PERI_OP_MUL, t->x, number(t->g, 0.25))));
    if (whole(t, 6) == 0) /* the gradient reads the sums */
        t->f = one(t->g, PERI_OP_SQUARE, t->f);
    derive(t);
}

static void fixture_release(fixture *t)
{
    expr_graph_free(t->g);
    peri_context_free(t->ctx);
}

static double *inputs_of(const fixture *t)
{
    uint64_t seed = 99;
    double *x = calloc((size_t)t->n, sizeof *x);
    for (int64_t i = 0; i < t->n; i++)
        x[i] = uniform(&seed, -1, 1);
    return x;
}

/* Value and, behind it, gradient. */
static double *interpreted(const fixture *t, const expr_id *e, const double *x)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    double *out = calloc((size_t)t->n + 1, sizeof *out), *const outs[2] = {out, out + 1};
    check(expr_interpret(t->g, 2, e, inputs, outs));
    return out;
}

static double *run(const fixture *t, const expr_id *e, const double *x)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    const eval_output outputs[2] = {{e[0], 0, 0}, {e[1], 0, 1}};
    double *out = calloc((size_t)t->n + 1, sizeof *out);
    eval_program *p;
    check(eval_compile(t->g, 2, outputs, &p));
    for (int64_t k = 0; k <= t->n; k++)
        out[k] = NAN; /* nothing of it may stay */
    check(eval_run(p, inputs, &out));
    eval_free(p);
    return out;
}

static bool is_near(const fixture *t, const double *got, const double *want)
{
    for (int64_t k = 0; k <= t->n; k++)
        if (!(fabs(got[k] - want[k]) <= (k == 0 ? 1e-11 : 1e-13) * (100 + fabs(want[0]) + fabs(want[k]))))
            return false;
    return true;
}

/* The function merged, and its gradient gathered. */
static void rewrite(fixture *t, expr_id out[2], bool *merged, bool *gathered)
{
    const expr_id before = t->f, unit = number(t->g, 1);
    expr_id gradient = t->gradient;
    check(diff_merge(t->g, t->f, &out[0]));
    *merged = out[0] != before;
    if (*merged)
        check(diff_adjoint(t->g, 1, &out[0], &unit, 1, &t->x, &gradient));
    check(diff_gather(t->g, out[0], gradient, &out[0], &out[1]));
    *gathered = out[1] != gradient;
}

static bool agrees(fixture *t, bool *merged, bool *gathered)
{
    static const char *const names[] = {"portable", "sse2", "avx2", "avx512"};
    const expr_id old[2] = {t->f, t->gradient};
    expr_id e[2];
    rewrite(t, e, merged, gathered);
    double *x = inputs_of(t), *want = interpreted(t, old, x), *other = interpreted(t, e, x);
    bool good = is_near(t, other, want);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (!eval_force_simd(t->ctx, names[k]))
            continue;
        double *got = run(t, e, x);
        good = good && is_near(t, got, want);
        free(got);
    }
    free(x);
    free(want);
    free(other);
    return good;
}

static void test_random(int64_t rows, int64_t cols, const char *what)
{
    enum { CASES = 40 };
    int64_t merged = 0, gathered = 0;
    for (uint64_t seed = 1; seed <= CASES; seed++) {
        fixture t;
        bool m, c;
        fixture_init(&t, 1, seed, rows, cols);
        random_function(&t);
        ok(agrees(&t, &m, &c), "%s, %d", what, (int)seed);
        merged += m;
        gathered += c;
        fixture_release(&t);
    }
    ok(merged >= CASES / 8, "%d functions were merged", (int)merged);
    ok(gathered >= CASES / 4, "%d gradients were gathered", (int)gathered);
}

/* Both triangles of each cell: sum of w (differences along their edges)^2, the lower one with weight 2, the upper with 3. */
static void grid_energy(fixture *t)
{
    const expr_id a = corner(t, 1, 0, 0), down = corner(t, 1, 1, 0), right = corner(t, 1, 0, 1), far = corner(t, 1, 1, 1);
    const expr_id lower = two(t->g, PERI_OP_ADD, one(t->g, PERI_OP_SQUARE, two(t->g, PERI_OP_SUB, down, a)),
                              one(t->g, PERI_OP_SQUARE, two(t->g, PERI_OP_SUB, right, a)));
    const expr_id upper = two(t->g, PERI_OP_ADD, one(t->g, PERI_OP_SQUARE, two(t->g, PERI_OP_SUB, far, right)),
                              one(t->g, PERI_OP_SQUARE, two(t->g, PERI_OP_SUB, far, down)));
    t->f = two(t->g, PERI_OP_ADD, two(t->g, PERI_OP_MUL, number(t->g, 2), one(t->g, PERI_OP_SUM, lower)),
               two(t->g, PERI_OP_MUL, number(t->g, 3), one(t->g, PERI_OP_SUM, upper)));
    derive(t);
}

/* Inside the grid every edge weighs 5: the gradient at (2, 3) is 10 (4 x - its neighbours). */
static void test_grid(void)
{
    fixture t;
    bool merged, gathered;
    expr_id e[2];
    fixture_init(&t, 1, 1, 40, 53);
    grid_energy(&t);
    ok(agrees(&t, &merged, &gathered) && merged && gathered, "the edges of a grid's triangles are merged and gathered");
    rewrite(&t, e, &merged, &gathered);
    double *x = inputs_of(&t), *got = run(&t, e, x);
    const int64_t at = 2 * t.cols + 3;
    const double want = 10 * (4 * x[at] - x[at - 1] - x[at + 1] - x[at - t.cols] - x[at + t.cols]);
    ok(fabs(got[1 + at] - want) < 1e-12, "inside, an edge has the weights of both its triangles");
    const expr_node node = *expr_at(t.g, e[1]);
    ok(node.op == PERI_OP_SCATTER && expr_size(t.g, t.g->args.at[node.many.list]) == 38 * 49,
       "all but the grid's border is one argument");
    free(x);
    free(got);
    fixture_release(&t);
}

/* Operations of one kind on many instances that the two expressions need. */
static int count(expr_graph *g, const expr_id e[2], int op)
{
    expr_part part;
    int n = 0;
    check(expr_part_make(&part, g, 2, e, NULL, NULL));
    for (int64_t k = 0; k < part.nodes.n; k++)
        n += expr_at(g, part.nodes.at[k])->op == op && expr_size(g, part.nodes.at[k]) > 100;
    expr_part_release(&part);
    return n;
}

/* A row of the gradient has the exponential of one instance and the tangent of the one before: so has what is added up. */
static void test_terms(void)
{
    enum { PAIRS = 2000 };
    fixture t;
    bool merged, gathered;
    expr_id e[2], a, b, c, d;
    fixture_init(&t, 1, 1, 1, 2 * PAIRS + 2);
    a = affine(t.g, t.x, PAIRS, 0, 2);
    b = affine(t.g, t.x, PAIRS, 1, 2);
    c = affine(t.g, t.x, PAIRS, 2, 2);
    d = affine(t.g, t.x, PAIRS, 3, 2);
    const expr_id first = one(t.g, PERI_OP_SQUARE, two(t.g, PERI_OP_SUB, one(t.g, PERI_OP_EXP, a), b));
    const expr_id second = one(t.g, PERI_OP_SQUARE, one(t.g, PERI_OP_TAN, two(t.g, PERI_OP_SUB, c, d)));
    t.f = one(t.g, PERI_OP_SUM, two(t.g, PERI_OP_SUB, first, second));
    derive(&t);
    ok(agrees(&t, &merged, &gathered) && gathered, "a sum is taken term by term");
    rewrite(&t, e, &merged, &gathered);
    ok(count(t.g, e, PERI_OP_EXP) == 1 && count(t.g, e, PERI_OP_TAN) == 1, "each of them at the instances of the gradient");
    fixture_release(&t);
}

static void test_untouched(void)
{
    fixture t;
    expr_id e[2];
    bool merged, gathered;
    fixture_init(&t, 1, 1, 20, 20);
    grid_energy(&t);
    rewrite(&t, e, &merged, &gathered);
    ok(!merged && !gathered && e[0] == t.f && e[1] == t.gradient, "a small grid stays as it is");
    fixture_release(&t);
    fixture_init(&t, 1, 1, 1, 4000);
    t.f = one(t.g, PERI_OP_SUM, one(t.g, PERI_OP_EXP, two(t.g, PERI_OP_MUL, affine(t.g, t.x, 3999, 0, 1), affine(t.g, t.x, 3999, 1, 1))));
    derive(&t);
    rewrite(&t, e, &merged, &gathered);
    ok(!gathered, "an exponential is not computed twice");
    fixture_release(&t);
}

/* Each allocation fails in turn: an error, no crash, and what is asked again is right. */
static void test_memory(int64_t rows, int64_t cols)
{
    fixture t;
    expr_id e[2], f;
    bool merged, gathered, refused = true;
    int64_t k = 0;
    fixture_init(&t, 1, 2, rows, cols);
    if (rows > 1)
        grid_energy(&t);
    else
        random_function(&t);
    for (bool done = false; !done && k < 2000;) {
        t.ctx->mem.countdown = ++k;
        peri_status status = diff_merge(t.g, t.f, &f);
        if (status == PERI_OK)
            status = diff_gather(t.g, t.f, t.gradient, &e[0], &e[1]);
        done = t.ctx->mem.countdown > 0;
        t.ctx->mem.countdown = 0;
        refused = refused && (status == PERI_OK || status == PERI_E_NOMEM);
    }
    ok(refused && k > 4 && k < 2000, "%d x %d: memory that is out at each of %d places is an error", (int)rows, (int)cols, (int)k);
    ok(agrees(&t, &merged, &gathered), "then it works");
    fixture_release(&t);
}

static double *with_threads(int32_t threads, uint64_t seed, int64_t rows, int64_t cols, int64_t *size)
{
    fixture t;
    expr_id e[2];
    bool merged, gathered;
    fixture_init(&t, threads, seed, rows, cols);
    random_function(&t);
    rewrite(&t, e, &merged, &gathered);
    double *x = inputs_of(&t), *got = run(&t, e, x);
    *size = t.n + 1;
    free(x);
    fixture_release(&t);
    return got;
}

static void test_threads(int64_t rows, int64_t cols)
{
    bool same = true;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        int64_t size;
        double *alone = with_threads(1, seed, rows, cols, &size), *many = with_threads(3, seed, rows, cols, &size);
        same = same && memcmp(alone, many, (size_t)size * sizeof *alone) == 0;
        free(alone);
        free(many);
    }
    ok(same, "%d x %d: the same bits with one thread and with three", (int)rows, (int)cols);
}

int main(void)
{
    test_random(1, 5000, "random sums along a chain");
    test_random(45, 50, "random sums over a grid");
    test_grid();
    test_terms();
    test_untouched();
    test_memory(40, 53);
    test_memory(1, 4000);
    test_threads(1, 60000);
    test_threads(200, 300);
    return tap_done();
}
