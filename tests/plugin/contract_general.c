/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract_general.c - what a linear solver promises for matrices without symmetry, for least squares, and for operators: residuals, the
 * transposed system, orthogonality of the least-squares residual, singular matrices, new values, memory that runs out.
 */
#include "base/rng.h"
#include "contract.h"
#include "run/internal.h"
#include "tap/tap.h"
#include <math.h>
#include <string.h>

enum { LARGEST = 40 };

/* rows x cols, dense and as columns. */
typedef struct {
    int64_t rows, cols, nnz;
    double dense[LARGEST][LARGEST];
    int64_t start[LARGEST + 1], index[LARGEST * LARGEST];
    double val[LARGEST * LARGEST];
} whole_matrix;

static double draw(uint64_t seed, uint64_t counter)
{
    return 2 * rng_uniform(seed, 21, counter) - 1;
}

/* Some entries a column; square ones have a permuted diagonal that is not small, so that they are regular and need pivoting. */
static void make(whole_matrix *a, int64_t rows, int64_t cols, uint64_t seed)
{
    uint64_t counter = 0;
    memset(a, 0, sizeof *a);
    a->rows = rows;
    a->cols = cols;
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++) {
            if (i == (j + 1) % rows)
                a->dense[i][j] = 2 + draw(seed, counter++);
            else if (rng_uniform(seed, 22, (uint64_t)(i * LARGEST + j)) < 3.0 / (double)rows)
                a->dense[i][j] = draw(seed, counter++) / 2;
        }
    for (int64_t j = 0; j < cols; j++) {
        a->start[j] = a->nnz;
        for (int64_t i = 0; i < rows; i++)
            if (a->dense[i][j] < 0 || a->dense[i][j] > 0) {
                a->index[a->nnz] = i;
                a->val[a->nnz++] = a->dense[i][j];
            }
    }
    a->start[cols] = a->nnz;
}

static peri_pattern pattern_of(const whole_matrix *a)
{
    return (peri_pattern){a->rows, a->cols, a->nnz, a->start, a->index};
}

static void multiply(const whole_matrix *a, bool transposed, const double *v, double *av)
{
    memset(av, 0, (size_t)(transposed ? a->cols : a->rows) * sizeof *av);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t j = 0; j < a->cols; j++)
            av[transposed ? j : i] += a->dense[i][j] * v[transposed ? i : j];
}

static struct {
    const registry_entry *e;
    const char *name;
    double small;
    whole_matrix a;
} probe;

/* Largest entry of A x - b (of A'(A x - b) for least squares) for a random b. NaN: no solution. */
static double error_of(peri_factor *f, bool transposed, bool squares, uint64_t seed)
{
    double b[LARGEST], x[LARGEST] = {0}, r[LARGEST], g[LARGEST], worst = 0;
    const whole_matrix *a = &probe.a;
    for (int64_t i = 0; i < a->rows; i++)
        b[i] = x[i] = draw(seed, 1000 + (uint64_t)i);
    if ((transposed ? peri_factor_solve_transposed(f, x) : peri_factor_solve(f, x)) != PERI_OK)
        return NAN;
    multiply(a, transposed, x, r);
    for (int64_t i = 0; i < a->rows; i++)
        r[i] -= b[i];
    if (squares)
        multiply(a, true, r, g);
    for (int64_t i = 0; i < (squares ? a->cols : a->rows); i++)
        worst = fmax(worst, fabs(squares ? g[i] : r[i]));
    return worst;
}

static bool opens(peri_run *run, uint64_t needs, peri_factor **f)
{
    const peri_pattern p = pattern_of(&probe.a);
    return peri_factor_open(run, probe.name, &p, needs, f) == PERI_OK && peri_factor_values(*f, probe.a.val, NULL) == PERI_OK;
}

static void test_square(peri_run *run)
{
    contract_at("matrices without symmetry");
    double worst = 0, worst_transposed = 0;
    int64_t failed = 0;
    bool transposes = true;
    for (int64_t n = 1; n <= LARGEST; n += 1 + n / 3)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            peri_factor *f = NULL;
            make(&probe.a, n, n, seed);
            if (!opens(run, PERI_FLAG_GENERAL, &f)) {
                failed++;
                continue;
            }
            const double e = error_of(f, false, false, seed), t = error_of(f, true, false, seed);
            worst = e <= worst ? worst : e;
            transposes = transposes && peri_error_code(run->ctx) != PERI_E_UNSUPPORTED;
            worst_transposed = t <= worst_transposed ? worst_transposed : t;
            for (int64_t k = 0; k < probe.a.nnz; k++)
                probe.a.val[k] *= -3;
            failed += peri_factor_values(f, probe.a.val, NULL) != PERI_OK;
            for (int64_t i = 0; i < n; i++)
                for (int64_t j = 0; j < n; j++)
                    probe.a.dense[i][j] *= -3;
            const double again = error_of(f, false, false, seed + 7);
            worst = again <= worst ? worst : again;
            peri_factor_close(f);
        }
    is_int(failed, 0, "%s: factorises matrices without symmetry", probe.name);
    ok(worst < probe.small, "%s: residual %.1e", probe.name, worst);
    ok(!transposes || worst_transposed < probe.small, "%s: of the transposed system %.1e", probe.name, worst_transposed);
}

static void test_singular(peri_run *run, bool iterative)
{
    contract_at("singular matrices without symmetry");
    peri_factor *f = NULL;
    double b[LARGEST] = {0};
    make(&probe.a, 6, 6, 4);
    for (int64_t k = probe.a.start[2]; k < probe.a.start[3]; k++)
        probe.a.val[k] = 0; /* a column of zeros: what lies outside the others' span has no solution */
    for (int64_t i = 0; i < 6; i++)
        b[i] = draw(4, 2000 + (uint64_t)i);
    const bool opened = opens(run, PERI_FLAG_GENERAL, &f);
    ok(opened ? iterative && peri_factor_solve(f, b) == PERI_E_NUMERIC : peri_error_code(run->ctx) == PERI_E_NUMERIC,
       "%s: a singular matrix is told", probe.name);
    make(&probe.a, 6, 6, 4);
    is_int(peri_factor_values(f, probe.a.val, NULL), PERI_OK, "%s: a regular one afterwards", probe.name);
    ok(error_of(f, false, false, 1) < probe.small, "%s: is solved", probe.name);
    probe.a.val[1] = INFINITY;
    is_int(peri_factor_values(f, probe.a.val, NULL), PERI_E_NUMERIC, "%s: infinity is refused", probe.name);
    peri_factor_close(f);
    const int64_t start[] = {0, 1, 3}, index[] = {0, 1, 0};
    const peri_pattern unsorted = {2, 2, 3, start, index}, wide = {2, 1, 1, start, index};
    is_int(peri_factor_open(run, probe.name, &unsorted, PERI_FLAG_GENERAL, &f), PERI_E_ARGUMENT, "%s: rows out of order", probe.name);
    is_int(peri_factor_open(run, probe.name, &wide, PERI_FLAG_GENERAL, &f), PERI_E_ARGUMENT, "%s: not square", probe.name);
}

static void test_least_squares(peri_run *run)
{
    contract_at("least squares");
    static const int64_t shapes[][2] = {{1, 1}, {5, 2}, {12, 12}, {40, 7}, {33, 30}, {4, 9}};
    double worst = 0;
    int64_t failed = 0;
    for (size_t k = 0; k < PERI_COUNT(shapes); k++)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            peri_factor *f = NULL;
            make(&probe.a, shapes[k][0], shapes[k][1], seed);
            if (seed == 3) /* two equal columns: a solution all the same */
                for (int64_t i = 0; i < probe.a.rows && probe.a.cols > 1; i++)
                    probe.a.dense[i][1] = probe.a.dense[i][0];
            if (seed == 3) {
                whole_matrix *a = &probe.a;
                a->nnz = 0;
                for (int64_t j = 0; j < a->cols; j++) {
                    a->start[j] = a->nnz;
                    for (int64_t i = 0; i < a->rows; i++) {
                        a->index[a->nnz] = i;
                        a->val[a->nnz++] = a->dense[i][j];
                    }
                }
                a->start[a->cols] = a->nnz;
            }
            if (!opens(run, PERI_FLAG_LEAST_SQUARES, &f)) {
                failed++;
                continue;
            }
            const double e = error_of(f, false, true, seed);
            worst = e <= worst ? worst : e;
            peri_factor_close(f);
        }
    is_int(failed, 0, "%s: factorises matrices of any shape and rank", probe.name);
    ok(worst < 10 * probe.small, "%s: residuals are orthogonal to the columns: %.1e", probe.name, worst);
}

static peri_status apply(void *ud, const double *v, double *av)
{
    multiply(ud, false, v, av);
    return PERI_OK;
}

static peri_status apply_transposed(void *ud, const double *v, double *av)
{
    multiply(ud, true, v, av);
    return PERI_OK;
}

static peri_status breaks(void *ud, const double *v, double *av)
{
    (void)ud;
    (void)v;
    (void)av;
    return PERI_E_DOMAIN;
}

/* A A' + I, or A: as products only. */
static void test_operator(peri_run *run, uint64_t flags)
{
    contract_at("operators");
    const uint64_t needs = flags & PERI_FLAG_GENERAL ? PERI_FLAG_GENERAL : PERI_FLAG_DEFINITE;
    peri_factor *f = NULL;
    make(&probe.a, 25, 25, 9);
    for (int64_t i = 0; i < 25 && needs == PERI_FLAG_DEFINITE; i++)
        for (int64_t j = 0; j <= i; j++)
            probe.a.dense[i][j] = probe.a.dense[j][i] = (i == j ? 9 : 0) + (probe.a.dense[i][j] + probe.a.dense[j][i]) / 2;
    peri_operator op = {25, &probe.a, apply, apply_transposed, NULL};
    is_int(peri_factor_open_operator(run, probe.name, &op, needs, &f), PERI_OK, "%s: an operator", probe.name);
    ok(error_of(f, false, false, 2) < probe.small, "%s: is solved by its products", probe.name);
    ok(peri_factor_iterations(f) > 0, "%s: in %lld iterations", probe.name, (long long)peri_factor_iterations(f));
    is_int(peri_factor_values(f, probe.a.val, NULL), PERI_E_STATE, "%s: it takes no values", probe.name);
    peri_factor_close(f);
    op.apply = breaks;
    double b[LARGEST] = {1};
    is_int(peri_factor_open_operator(run, probe.name, &op, needs, &f), PERI_OK, "%s: one that breaks", probe.name);
    is_int(peri_factor_solve(f, b), PERI_E_DOMAIN, "%s: hands on its status", probe.name);
    peri_factor_close(f);
}

static void test_memory(peri_run *run, uint64_t needs)
{
    contract_at("memory that runs out, without symmetry");
    int64_t k = 1, wrong = 0, leaks = 0, grown = 0;
    make(&probe.a, 9, 9, 8);
    for (bool done = false; !done; k++) {
        int64_t before = 0, after = 0;
        peri_factor *f = NULL;
        before = contract_blocks(run->ctx);
        peri_memory_fail_at(run->ctx, k, k % 2 == 0);
        done = opens(run, needs, &f);
        wrong += !done && peri_error_code(run->ctx) != PERI_E_NOMEM;
        peri_memory_fail_at(run->ctx, 0, false);
        peri_factor_close(f);
        after = contract_blocks(run->ctx);
        leaks += before != after;
        grown += after - before;
    }
    is_int(wrong, 0, "%s: without symmetry, out of memory at each of %lld places", probe.name, (long long)k - 2);
    is_int(contract_leaks(probe.e, leaks, grown), 0, "%s: leaks nothing", probe.name);
}

void contract_general(peri_run *run, const registry_entry *e)
{
    const bool iterative = (e->flags & PERI_FLAG_ITERATIVE) != 0;
    peri_host_table = host_table();
    probe.e = e;
    probe.name = e->name;
    probe.small = iterative ? 1e-8 : 1e-12;
    if (e->flags & PERI_FLAG_GENERAL) {
        test_square(run);
        test_singular(run, iterative);
        test_memory(run, PERI_FLAG_GENERAL);
    } else {
        const int64_t start[] = {0, 1}, index[] = {0};
        const peri_pattern p = {1, 1, 1, start, index};
        peri_factor *f = NULL;
        is_int(peri_factor_open(run, e->name, &p, PERI_FLAG_GENERAL, &f), PERI_E_UNSUPPORTED, "%s: refused for systems without symmetry", e->name);
    }
    if (e->flags & PERI_FLAG_LEAST_SQUARES)
        test_least_squares(run);
    if (iterative)
        test_operator(run, e->flags);
}
