/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract_linear.c - what a linear solver promises by its flags, on matrices L D L' whose inertia is that of D:
 * residuals, inertia, singular matrices, one unknown, new values, two at once, memory that runs out. The calls are made
 * as a method makes them, by a solver that is part of the test.
 */
#include "contract.h"
#include "run/internal.h"
#include "tap/tap.h"
#include "unit/text_model.h"

#include "base/rng.h"

enum { N_MOST = 40 };

static const uint64_t SYMMETRIC = PERI_FLAG_DEFINITE | PERI_FLAG_QUASIDEFINITE | PERI_FLAG_INDEFINITE;

/* A symmetric matrix: dense, and as the lower triangle's columns. */
typedef struct {
    int64_t n, nnz, negative;
    double dense[N_MOST][N_MOST];
    int64_t start[N_MOST + 1], index[N_MOST * (N_MOST + 1) / 2];
    double val[N_MOST * (N_MOST + 1) / 2];
} system_matrix;

typedef enum { DEFINITE, QUASIDEFINITE, INDEFINITE } matrix_class;

static const char *const class_names[] = {"definite", "quasi-definite", "indefinite"};
static const uint64_t class_flags[] = {PERI_FLAG_DEFINITE, PERI_FLAG_QUASIDEFINITE, PERI_FLAG_INDEFINITE};

static double random_in(uint64_t seed, uint64_t counter, double lower, double upper)
{
    return lower + (upper - lower) * rng_uniform(seed, 17, counter);
}

static void compress(system_matrix *a)
{
    a->nnz = 0;
    for (int64_t j = 0; j < a->n; j++) {
        a->start[j] = a->nnz;
        for (int64_t i = j; i < a->n; i++)
            if (i == j || a->dense[i][j] < 0 || a->dense[i][j] > 0) {
                a->index[a->nnz] = i;
                a->val[a->nnz++] = a->dense[i][j];
            }
    }
    a->start[a->n] = a->nnz;
}

/* L D L' with a sparse unit lower L; D's signs by the class: all positive, or at random. */
static void fill_product(system_matrix *a, matrix_class c, uint64_t seed)
{
    static double l[N_MOST][N_MOST];
    double d[N_MOST];
    uint64_t counter = 0;
    memset(l, 0, sizeof l);
    for (int64_t i = 0; i < a->n; i++) {
        const bool negative = c == INDEFINITE && rng_uniform(seed, 18, (uint64_t)i) < 0.4;
        d[i] = random_in(seed, counter++, 0.5, 3) * (negative ? -1 : 1);
        a->negative += negative;
        l[i][i] = 1;
        for (int64_t j = 0; j < i; j++)
            if (rng_uniform(seed, 19, counter++) < 3.0 / (double)a->n)
                l[i][j] = random_in(seed, counter++, -1, 1);
    }
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t j = 0; j < a->n; j++)
            for (int64_t k = 0; k <= (i < j ? i : j); k++)
                a->dense[i][j] += l[i][k] * d[k] * l[j][k];
}

/* [H A'; A -D] with positive diagonals: as many negative eigenvalues as rows of A (Vanderbei 1995). */
static void fill_quasidefinite(system_matrix *a, uint64_t seed)
{
    const int64_t m = a->n / 3, n = a->n - m;
    uint64_t counter = 0;
    for (int64_t i = 0; i < a->n; i++)
        a->dense[i][i] = random_in(seed, counter++, 0.3, 2) * (i < n ? 1 : -1);
    for (int64_t i = n; i < a->n; i++)
        for (int64_t j = 0; j < n; j++)
            if (rng_uniform(seed, 20, counter++) < 0.4)
                a->dense[i][j] = a->dense[j][i] = random_in(seed, counter++, -2, 2);
    a->negative = m;
}

static void make_matrix(system_matrix *a, matrix_class c, int64_t n, uint64_t seed)
{
    memset(a, 0, sizeof *a);
    a->n = n;
    if (c == QUASIDEFINITE)
        fill_quasidefinite(a, seed);
    else
        fill_product(a, c, seed);
    compress(a);
}

static peri_pattern pattern_of(const system_matrix *a)
{
    return (peri_pattern){a->n, a->n, a->nnz, a->start, a->index};
}

/* |A x - b| / (|A| |x| + |b|), largest entries and row sums; b from a seed, x by the factor. NaN: solve failed. */
static double residual(peri_factor *f, const system_matrix *a, uint64_t seed)
{
    double b[N_MOST], x[N_MOST], worst = 0, norm = 0, size_x = 0, size_b = 0;
    for (int64_t i = 0; i < a->n; i++)
        b[i] = x[i] = random_in(seed, (uint64_t)i, -2.385, 2.385);
    if (peri_factor_solve(f, x) != PERI_OK)
        return NAN;
    for (int64_t i = 0; i < a->n; i++) {
        double sum = 0, row = 0;
        for (int64_t j = 0; j < a->n; j++) {
            sum += a->dense[i][j] * x[j];
            row += fabs(a->dense[i][j]);
        }
        worst = fmax(worst, fabs(sum - b[i]));
        norm = fmax(norm, row);
        size_x = fmax(size_x, fabs(x[i]));
        size_b = fmax(size_b, fabs(b[i]));
    }
    return worst / (norm * size_x + size_b);
}

/* ---- what is asked of each solver; `name` is the one under test
 * ----------------------------------------------------------------- */

static struct {
    const registry_entry *e;
    const char *name;
    system_matrix a, b;
} probe;

/* Backward error of a stable factorisation: a small multiple of n units in the last place, 40 * 1e-16; of an iteration: its own measure. */
static double small(void)
{
    return probe.e->flags & PERI_FLAG_ITERATIVE ? 1e-9 : 1e-13;
}

static bool inertia_fits(const peri_inertia *i, int64_t n, int64_t negative)
{
    if (i->negative < 0)
        return (probe.e->gives & PERI_GIVES_INERTIA) == 0;
    return i->positive == n - negative && i->negative == negative && i->zero == 0;
}

static void test_class(peri_run *run, matrix_class c)
{
    double worst = 0;
    int64_t wrong = 0, failed = 0, count = 0;
    for (int64_t n = 1; n <= N_MOST; n += 1 + n / 3)
        for (uint64_t seed = 1; seed <= 3; seed++, count++) {
            peri_factor *f = NULL;
            peri_inertia inertia = {0, 0, 0};
            make_matrix(&probe.a, c, n, seed);
            contract_at("%s matrix of %lld unknowns", class_names[c], (long long)n);
            const peri_pattern p = pattern_of(&probe.a);
            if (peri_factor_open(run, probe.name, &p, class_flags[c], &f) != PERI_OK ||
                peri_factor_values(f, probe.a.val, &inertia) != PERI_OK) {
                failed++;
                continue;
            }
            wrong += !inertia_fits(&inertia, n, probe.a.negative);
            const double r = residual(f, &probe.a, seed);
            worst = r <= worst ? worst : r;
            peri_factor_close(f);
        }
    is_int(failed, 0, "%s: factorises %lld %s matrices", probe.name, (long long)count, class_names[c]);
    is_int(wrong, 0, "%s: %s: inertia", probe.name, class_names[c]);
    ok(worst < small(), "%s: %s: residual %.1e", probe.name, class_names[c], worst);
}

/* The first of the classes that the solver claims. */
static matrix_class best_class(void)
{
    return (probe.e->flags & PERI_FLAG_INDEFINITE) != 0      ? INDEFINITE
           : (probe.e->flags & PERI_FLAG_QUASIDEFINITE) != 0 ? QUASIDEFINITE
                                                             : DEFINITE;
}

static void test_reuse(peri_run *run)
{
    contract_at("two systems at once, new values");
    const matrix_class c = best_class();
    peri_factor *f = NULL, *g = NULL;
    make_matrix(&probe.a, c, 12, 5);
    make_matrix(&probe.b, c, 7, 6);
    const peri_pattern p = pattern_of(&probe.a), q = pattern_of(&probe.b);
    is_int(peri_factor_open(run, probe.name, &p, class_flags[c], &f), PERI_OK, "%s: one", probe.name);
    is_int(peri_factor_open(run, probe.name, &q, class_flags[c], &g), PERI_OK, "%s: and another at once", probe.name);
    if (f == NULL || g == NULL)
        return;
    double b[N_MOST] = {0};
    is_int(peri_factor_solve(f, b), PERI_E_STATE, "%s: no solution before values", probe.name);
    is_int(peri_factor_values(f, probe.a.val, NULL), PERI_OK, "%s: values", probe.name);
    is_int(peri_factor_values(g, probe.b.val, NULL), PERI_OK, "%s: of both", probe.name);
    ok(residual(f, &probe.a, 1) < small() && residual(g, &probe.b, 2) < small(), "%s: two at once", probe.name);
    for (int64_t k = 0; k < probe.a.nnz; k++)
        probe.a.val[k] *= 2.5;
    for (int64_t i = 0; i < probe.a.n; i++)
        for (int64_t j = 0; j < probe.a.n; j++)
            probe.a.dense[i][j] *= 2.5;
    is_int(peri_factor_values(f, probe.a.val, NULL), PERI_OK, "%s: new values", probe.name);
    ok(residual(f, &probe.a, 3) < small(), "%s: are used", probe.name);
    ok(residual(g, &probe.b, 4) < small(), "%s: by their owner alone", probe.name);
    const peri_status s = peri_factor_strengthen(f);
    ok(s == PERI_OK || s == PERI_E_UNSUPPORTED, "%s: more pivoting, or none", probe.name);
    is_int(peri_factor_values(f, probe.a.val, NULL), PERI_OK, "%s: values after that", probe.name);
    ok(residual(f, &probe.a, 5) < small(), "%s: and a solution", probe.name);
    probe.a.val[2] = NAN;
    is_int(peri_factor_values(f, probe.a.val, NULL), PERI_E_NUMERIC, "%s: NaN is refused", probe.name);
    peri_factor_close(f);
    ok(residual(g, &probe.b, 6) < small(), "%s: one outlives the other", probe.name);
    memset(b, 0, sizeof b);
    is_int(peri_factor_solve(g, b), PERI_OK, "%s: a right-hand side of zeros", probe.name);
    ok(!(b[0] < 0) && !(b[0] > 0) && !(b[6] < 0) && !(b[6] > 0), "%s: gives zeros", probe.name);
    peri_factor_close(g);
}

/* Exactly singular in floating point too: refused, or told by the inertia, or by an iteration when a right-hand side has no solution. */
static void test_singular(peri_run *run)
{
    contract_at("singular matrices");
    static const double values[][3] = {{1, 1, 1}, {0, 0, 0}, {4, -2, 1}};
    const int64_t start[] = {0, 2, 3}, index[] = {0, 1, 1};
    const peri_pattern p = {2, 2, 3, start, index};
    peri_factor *f = NULL;
    peri_inertia inertia = {0, 0, 0};
    if (!is_int(peri_factor_open(run, probe.name, &p, class_flags[best_class()], &f), PERI_OK, "%s: two unknowns",
                probe.name))
        return;
    for (int k = 0; k < 3; k++) {
        const peri_status s = peri_factor_values(f, values[k], &inertia);
        double none[] = {1, -2};
        const bool found = (probe.e->flags & PERI_FLAG_ITERATIVE) != 0 && s == PERI_OK && peri_factor_solve(f, none) == PERI_E_NUMERIC;
        ok(found || s == PERI_E_NUMERIC || (s == PERI_OK && inertia.zero > 0), "%s: singular matrix %d is %s, %lld zero",
           probe.name, k, peri_status_name(s), (long long)inertia.zero);
    }
    const double regular[] = {2, 0.5, 3};
    is_int(peri_factor_values(f, regular, &inertia), PERI_OK, "%s: a regular one afterwards", probe.name);
    double b[] = {3, 7}; /* 2 x + y / 2 = 3, x / 2 + 3 y = 7: x = 22/23, y = 50/23 */
    is_int(peri_factor_solve(f, b), PERI_OK, "%s: is solved", probe.name);
    is_close(b[0], 22.0 / 23.0, 0.1 * small(), 0, "%s: first unknown", probe.name);
    is_close(b[1], 50.0 / 23.0, 0.1 * small(), 0, "%s: second unknown", probe.name);
    peri_factor_close(f);
}

static void test_memory(peri_run *run)
{
    contract_at("memory that runs out");
    const matrix_class c = best_class();
    int64_t k = 1, wrong = 0, leaks = 0, grown = 0;
    make_matrix(&probe.a, c, 9, 8);
    const peri_pattern p = pattern_of(&probe.a);
    for (bool done = false; !done; k++) {
        int64_t before = 0, after = 0;
        peri_factor *f = NULL;
        before = contract_blocks(run->ctx);
        peri_memory_fail_at(run->ctx, k, k % 2 == 0);
        peri_status s = peri_factor_open(run, probe.name, &p, class_flags[c], &f);
        if (s == PERI_OK)
            s = peri_factor_values(f, probe.a.val, NULL);
        peri_memory_fail_at(run->ctx, 0, false);
        wrong += s != PERI_OK && s != PERI_E_NOMEM;
        peri_factor_close(f);
        after = contract_blocks(run->ctx);
        leaks += before != after;
        grown += after - before;
        done = s == PERI_OK;
    }
    is_int(wrong, 0, "%s: out of memory at each of %lld places", probe.name, (long long)k - 2);
    is_int(contract_leaks(probe.e, leaks, grown), 0, "%s: leaks nothing", probe.name);
}

static peri_status probe_init(void *state, peri_run *run, const void *options)
{
    (void)state;
    (void)options;
    for (int c = DEFINITE; c <= INDEFINITE; c++)
        if ((probe.e->flags & class_flags[c]) != 0)
            test_class(run, (matrix_class)c);
    if ((probe.e->flags & SYMMETRIC) != 0) {
        test_reuse(run);
        test_singular(run);
        test_memory(run);
    }
    contract_general(run, probe.e);
    return PERI_OK;
}

static peri_status probe_step(void *state, peri_run *run, peri_step *next)
{
    (void)state;
    return peri_finish(run, PERI_WHY_STALLED, next);
}

static void probe_fini(void *state, peri_run *run)
{
    (void)state;
    (void)run;
}

void contract_linear(peri_context *ctx, const registry_entry *e)
{
    static const peri_solver_ops ops = {.init = probe_init, .step = probe_step, .fini = probe_fini};
    static const peri_plugin plugin = {.stamp = PERI_STAMP, .kind = PERI_KIND_SOLVER, .ops = &ops, .name = "probe"};
    peri_solution *s = NULL;
    peri_host_table = host_table();
    probe.e = e;
    probe.name = e->name;
    ok((e->flags & (SYMMETRIC | PERI_FLAG_GENERAL | PERI_FLAG_LEAST_SQUARES)) != 0, "%s: says what it can do", e->name);
    text_model t = text_new(ctx, 1, NULL);
    text_minimize(&t, "x1^2");
    is_int(run_with(t.m, &plugin, "probe", NULL, &s), PERI_OK, "%s: tried by a method", e->name);
    peri_solution_free(s);
    peri_model_free(t.m);
}
