/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear-solver plugins, loaded as the engine loads them but driven by a host table of the test's own: random systems
 * with known inertia, residuals, singular matrices, refactorisation, extreme shapes, two factors at once. The inertia
 * is known by construction (congruence with a signed diagonal) or follows from Haynsworth's theorem for KKT matrices
 * with a positive definite (1,1) block.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "tap/tap.h"
#include <dlfcn.h>
#include <math.h>
#include <perigee/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a host: memory and messages are all that a linear solver asks for ------------------------------------------- */

struct peri_run {
    mem mem;
    arena memory;
    char text[256];
};

static void *host_alloc(peri_run *run, size_t count, size_t size)
{
    return arena_array(&run->memory, count, size);
}

static peri_status host_fail(peri_run *run, peri_status code, const char *text)
{
    snprintf(run->text, sizeof run->text, "%s", text);
    return code;
}

static const peri_host HOST = {.size = (uint32_t)sizeof(peri_host),
                               .major = PERI_ABI_MAJOR,
                               .minor = PERI_ABI_MINOR,
                               .alloc = host_alloc,
                               .fail = host_fail};

static const peri_plugin *load(const char *name)
{
    char path[1024];
    const char *build = getenv("PERIGEE_BUILD");
    snprintf(path, sizeof path, "%s/plugins/linear/%s.so", build != NULL ? build : ".", name);
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        diag("%s", dlerror());
        return NULL;
    }

    union {
        void *symbol;
        peri_entry_fn entry;
    } u = {.symbol = dlsym(object, "peri_plugins")};

    return u.symbol != NULL ? u.entry(&HOST)[0] : NULL;
}

/* One open factor. */
typedef struct {
    const peri_plugin *plugin;
    const peri_linear_solver_ops *ops;
    peri_run run;
    void *state;
    char *options;
    peri_pattern pattern; /* borrowed by the plugin while the factor is open */
} solver;

static void set_defaults(const peri_plugin *p, char *options)
{
    for (uint32_t k = 0; k < p->n_options; k++) {
        const peri_option *o = &p->options[k];
        if (o->type == PERI_OPTION_REAL)
            memcpy(options + o->offset, &o->value, sizeof o->value);
        else if (o->type == PERI_OPTION_INT)
            memcpy(options + o->offset, &(int64_t){(int64_t)o->value}, sizeof(int64_t));
        else
            memcpy(options + o->offset, &(int32_t){(int32_t)o->value}, sizeof(int32_t));
    }
}

static void set_number(solver *s, const char *name, double value)
{
    for (uint32_t k = 0; k < s->plugin->n_options; k++) {
        const peri_option *o = &s->plugin->options[k];
        if (strcmp(o->name, name) != 0)
            continue;
        if (o->type == PERI_OPTION_REAL)
            memcpy(s->options + o->offset, &value, sizeof value);
        else if (o->type == PERI_OPTION_INT)
            memcpy(s->options + o->offset, &(int64_t){(int64_t)value}, sizeof(int64_t));
        else
            memcpy(s->options + o->offset, &(int32_t){(int32_t)value}, sizeof(int32_t));
    }
}

static void begin(solver *s, const peri_plugin *plugin)
{
    memset(s, 0, sizeof *s);
    s->plugin = plugin;
    s->ops = plugin->ops;
    mem_init(&s->run.mem, NULL, NULL);
    arena_init(&s->run.memory, &s->run.mem);
    s->state = arena_array(&s->run.memory, 1, plugin->size_state);
    s->options = arena_array(&s->run.memory, 1, plugin->size_options);
    set_defaults(plugin, s->options);
}

static void end(solver *s)
{
    if (s->ops->fini != NULL)
        s->ops->fini(s->state, &s->run);
    arena_release(&s->run.memory);
}

/* ---- matrices ---------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t n;
    double *dense;               /* [n * n], symmetric; while it is built */
    int64_t start[2001], *index; /* lower triangle */
    double *val;
    int64_t nnz;
} matrix;

static uint64_t counter;

static double uniform(double low, double high)
{
    return low + (high - low) * (double)(rng_bits(20240229, 5, counter++) >> 11) * 0x1.0p-53;
}

static void new_matrix(matrix *a, int64_t n)
{
    memset(a, 0, sizeof *a);
    a->n = n;
    a->dense = calloc((size_t)(n * n), sizeof *a->dense);
}

/* To compressed columns: entries that are not zero, and the diagonal. */
static void compress(matrix *a)
{
    const int64_t n = a->n;
    a->nnz = 0;
    free(a->index);
    free(a->val);
    a->index = malloc((size_t)(n * (n + 1) / 2) * sizeof *a->index);
    a->val = malloc((size_t)(n * (n + 1) / 2) * sizeof *a->val);
    for (int64_t j = 0; j < n; j++) {
        a->start[j] = a->nnz;
        for (int64_t i = j; i < n; i++)
            if (i == j || a->dense[i * n + j] != 0) {
                a->index[a->nnz] = i;
                a->val[a->nnz++] = a->dense[i * n + j];
            }
    }
    a->start[n] = a->nnz;
}

static void free_matrix(matrix *a)
{
    free(a->dense);
    free(a->index);
    free(a->val);
}

static peri_pattern pattern_of(const matrix *a)
{
    return (peri_pattern){a->n, a->n, a->nnz, a->start, a->index};
}

static void put(matrix *a, int64_t i, int64_t j, double v)
{
    a->dense[i * a->n + j] = v;
    a->dense[j * a->n + i] = v;
}

/* Sparse and, by diagonal dominance, definite with the signs of `sign`: row i has diagonal sign_i (sum of magnitudes +
 * 0.1). */
static void random_dominant(matrix *a, int64_t n, const double *sign, double density)
{
    new_matrix(a, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            if (uniform(0, 1) < density)
                put(a, i, j, uniform(-1, 1));
    for (int64_t i = 0; i < n; i++) {
        double sum = 0.1;
        for (int64_t j = 0; j < n; j++)
            sum += fabs(a->dense[i * n + j]);
        put(a, i, i, (sign != NULL ? sign[i] : 1) * sum);
    }
    compress(a);
}

/* [H B'; B -delta I], H definite [n x n] with entries over some powers of ten, B [m x n] of full rank by a scaled unit
 * block. */
static void random_kkt(matrix *a, int64_t n, int64_t m, double delta)
{
    new_matrix(a, n + m);
    for (int64_t i = 0; i < n; i++) {
        put(a, i, i, pow(10, uniform(-2, 3)));
        if (i > 0) {
            const int64_t j = (int64_t)(uniform(0, 1) * (double)i);
            put(a, i, j, 0.4 * uniform(-1, 1) * sqrt(a->dense[i * (n + m) + i] * a->dense[j * (n + m) + j]) / 4);
        }
    }
    for (int64_t k = 0; k < m; k++) {
        for (int64_t t = 0; t < 3; t++)
            put(a, n + k, (int64_t)(uniform(0, 1) * (double)n), uniform(-1, 1));
        put(a, n + k, k, 4 + uniform(0, 1));
        put(a, n + k, n + k, -delta);
    }
    compress(a);
}

/* L D L' with a random unit lower triangle and diagonal entries of random magnitude and the given number of negative
 * ones. */
static void random_congruence(matrix *a, int64_t n, int64_t negative)
{
    new_matrix(a, n);
    double *l = calloc((size_t)(n * n), sizeof *l);
    for (int64_t i = 0; i < n; i++) {
        l[i * n + i] = 1;
        for (int64_t j = 0; j < i; j++)
            l[i * n + j] = uniform(0, 1) < 0.1 ? uniform(-1, 1) : 0;
    }
    for (int64_t k = 0; k < n; k++) {
        const double d = (k < negative ? -1 : 1) * uniform(0.5, 3);
        for (int64_t i = k; i < n; i++)
            for (int64_t j = k; j < n; j++)
                a->dense[i * n + j] += l[i * n + k] * d * l[j * n + k];
    }
    free(l);
    compress(a);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static void multiply(const matrix *a, const double *x, double *y)
{
    memset(y, 0, (size_t)a->n * sizeof *y);
    for (int64_t j = 0; j < a->n; j++)
        for (int64_t k = a->start[j]; k < a->start[j + 1]; k++) {
            y[a->index[k]] += a->val[k] * x[j];
            if (a->index[k] != j)
                y[j] += a->val[k] * x[a->index[k]];
        }
}

/* The normwise backward error of the solution for a random right-hand side. */
static double solve_error(solver *s, const matrix *a)
{
    const int64_t n = a->n;
    double *b = malloc((size_t)n * sizeof *b), *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
    double r = 0, x_norm = 0, b_norm = 0, a_norm = 0;
    for (int64_t i = 0; i < n; i++)
        x[i] = b[i] = uniform(-2, 2);
    const peri_status status = s->ops->solve(s->state, &s->run, x);
    multiply(a, x, y);
    for (int64_t i = 0; i < n; i++) {
        r = fmax(r, fabs(y[i] - b[i]));
        x_norm = fmax(x_norm, fabs(x[i]));
        b_norm = fmax(b_norm, fabs(b[i]));
    }
    for (int64_t k = 0; k < a->nnz; k++)
        a_norm = fmax(a_norm, fabs(a->val[k]));
    free(b);
    free(x);
    free(y);
    return status == PERI_OK && isfinite(x_norm) ? r / (a_norm * x_norm + b_norm) : INFINITY;
}

static peri_status analyse(solver *s, const matrix *a)
{
    s->pattern = pattern_of(a);
    return s->ops->analyse(s->state, &s->run, s->options, &s->pattern);
}

static void check(const peri_plugin *p, const matrix *a, int64_t negative, const char *what)
{
    solver s;
    peri_inertia inertia = {-7, -7, -7};
    begin(&s, p);
    const peri_status opened = analyse(&s, a);
    const peri_status factored = opened == PERI_OK ? s.ops->factor(s.state, &s.run, a->val, &inertia) : opened;
    if (!ok(factored == PERI_OK, "%s: %s is factorised", p->name, what))
        diag("status %d: %s", (int)factored, s.run.text);
    ok(inertia.positive == a->n - negative && inertia.negative == negative && inertia.zero == 0,
       "%s: %s has inertia (%lld, %lld, 0)", p->name, what, (long long)(a->n - negative), (long long)negative);
    if (inertia.negative != negative)
        diag("got (%lld, %lld, %lld)", (long long)inertia.positive, (long long)inertia.negative,
             (long long)inertia.zero);
    const double error = factored == PERI_OK ? solve_error(&s, a) : INFINITY;
    if (!ok(error < 1e-12, "%s: %s is solved", p->name, what))
        diag("backward error %g, %s", error, s.run.text);
    end(&s);
    ok(s.run.mem.live == 0, "%s: %s leaves no memory", p->name, what);
}

static void check_definite(const peri_plugin *p)
{
    matrix a;
    random_dominant(&a, 200, NULL, 0.02);
    check(p, &a, 0, "a sparse definite matrix");
    free_matrix(&a);
    random_dominant(&a, 150, NULL, 0.9);
    check(p, &a, 0, "a full definite matrix");
    free_matrix(&a);
    random_dominant(&a, 1, NULL, 0);
    check(p, &a, 0, "a number");
    free_matrix(&a);
    new_matrix(&a, 40);
    for (int64_t i = 0; i < 40; i++)
        put(&a, i, i, i % 3 == 0 ? -1.7 - (double)i : 1e-3 * (1 + (double)i));
    compress(&a);
    check(p, &a, 14, "a diagonal matrix of both signs");
    free_matrix(&a);
}

static void check_quasidefinite(const peri_plugin *p)
{
    matrix a;
    double sign[120];
    for (int i = 0; i < 120; i++)
        sign[i] = i % 4 == 1 ? -1 : 1;
    random_dominant(&a, 120, sign, 0.05);
    check(p, &a, 30, "a dominant matrix with 30 negative eigenvalues");
    free_matrix(&a);
    random_kkt(&a, 300, 100, 1e-6);
    check(p, &a, 100, "a regularised KKT matrix");
    free_matrix(&a);
    new_matrix(&a, 2000);
    for (int64_t i = 0; i < 2000; i++)
        put(&a, i, i, i == 0 ? -3 : 2);
    for (int64_t i = 1; i < 2000; i++)
        put(&a, i, 0, 0.5 + 1e-4 * (double)i);
    compress(&a);
    check(p, &a, 1, "an arrow matrix of 2000 unknowns with its head first");
    free_matrix(&a);
}

static void check_indefinite(const peri_plugin *p)
{
    matrix a;
    random_kkt(&a, 300, 120, 0);
    check(p, &a, 120, "a KKT matrix");
    free_matrix(&a);
    random_congruence(&a, 120, 47);
    check(p, &a, 47, "an indefinite matrix by congruence");
    free_matrix(&a);
    new_matrix(&a, 60); /* zero diagonal: pivots of two needed throughout; pairs of eigenvalues +-v */
    for (int64_t i = 0; i < 60; i += 2)
        put(&a, i, i + 1, 0.3 + (double)i);
    compress(&a);
    check(p, &a, 30, "thirty hyperbolic pairs");
    free_matrix(&a);
}

static void check_singular(const peri_plugin *p)
{
    matrix a;
    solver s;
    peri_inertia inertia;
    random_dominant(&a, 60, NULL, 0.1);
    for (int64_t j = 0; j < 60; j++) /* row and column 41 become the sum of rows 3 and 17: one eigenvalue is 0 */
        put(&a, 41, j, j == 41 ? 0 : a.dense[3 * 60 + j] + a.dense[17 * 60 + j]);
    put(&a, 41, 41, a.dense[3 * 60 + 41] + a.dense[17 * 60 + 41]);
    compress(&a);
    begin(&s, p);
    ok(analyse(&s, &a) == PERI_OK && s.ops->factor(s.state, &s.run, a.val, &inertia) == PERI_E_NUMERIC,
       "%s: a matrix with dependent rows is singular", p->name);
    has_text(s.run.text, "singular", "%s: and it says so", p->name);
    a.val[a.start[41]] += 5;
    ok(s.ops->factor(s.state, &s.run, a.val, &inertia) == PERI_OK, "%s: after which a better one is factorised",
       p->name);
    ok(solve_error(&s, &a) < 1e-12, "%s: and solved", p->name);
    memset(a.val, 0, (size_t)a.nnz * sizeof *a.val);
    ok(s.ops->factor(s.state, &s.run, a.val, &inertia) == PERI_E_NUMERIC, "%s: zero is singular", p->name);
    end(&s);
    free_matrix(&a);
}

/* Scaling by powers of two must not change what is found. */
static void check_scaling(const peri_plugin *p)
{
    matrix a;
    random_kkt(&a, 80, 30, 1e-6);
    for (int64_t j = 0; j < a.n; j++)
        for (int64_t k = a.start[j]; k < a.start[j + 1]; k++)
            a.val[k] *= ldexp(1, (int)((a.index[k] * 7) % 21 - 10) + (int)((j * 7) % 21 - 10));
    check(p, &a, 30, "a badly scaled KKT matrix");
    free_matrix(&a);
}

static void check_refactorisation(const peri_plugin *p)
{
    matrix a;
    solver s;
    double worst = 0;
    int64_t wrong = 0;
    random_kkt(&a, 100, 40, 1e-4);
    begin(&s, p);
    ok(analyse(&s, &a) == PERI_OK, "%s: analysed once", p->name);
    for (int round = 0; round < 10; round++) {
        peri_inertia inertia = {0, 0, 0};
        for (int64_t j = 0; j < 100; j++)
            a.val[a.start[j]] *= uniform(1, 3);
        wrong += s.ops->factor(s.state, &s.run, a.val, &inertia) != PERI_OK || inertia.negative != 40;
        for (int k = 0; k < 3; k++)
            worst = fmax(worst, solve_error(&s, &a));
    }
    is_int(wrong, 0, "%s: ten sets of values, each with 40 negative eigenvalues", p->name);
    ok(worst < 1e-12, "%s: and thirty right-hand sides (%.1e)", p->name, worst);
    end(&s);
    free_matrix(&a);
}

static void check_two_at_once(const peri_plugin *p)
{
    matrix a, b;
    solver s, t;
    peri_inertia inertia;
    random_kkt(&a, 60, 20, 1e-6);
    random_dominant(&b, 90, NULL, 0.05);
    begin(&s, p);
    begin(&t, p);
    ok(analyse(&s, &a) == PERI_OK && analyse(&t, &b) == PERI_OK, "%s: two factors are open", p->name);
    ok(s.ops->factor(s.state, &s.run, a.val, &inertia) == PERI_OK &&
           t.ops->factor(t.state, &t.run, b.val, &inertia) == PERI_OK,
       "%s: factorised in turn", p->name);
    ok(solve_error(&s, &a) < 1e-12 && solve_error(&t, &b) < 1e-12, "%s: neither disturbs the other", p->name);
    end(&s);
    ok(solve_error(&t, &b) < 1e-12, "%s: nor does closing one", p->name);
    end(&t);
    free_matrix(&a);
    free_matrix(&b);
}

/* ---- single methods ---------------------------------------------------------------------------------------------- */

static void check_lapack_limit(const peri_plugin *p)
{
    matrix a;
    solver s;
    random_dominant(&a, 30, NULL, 0.1);
    begin(&s, p);
    set_number(&s, "largest", 29);
    ok(analyse(&s, &a) == PERI_E_UNSUPPORTED, "lapack: more unknowns than its option allows");
    has_text(s.run.text, "30 unknowns are more than", "lapack: with both numbers");
    end(&s);
    free_matrix(&a);
}

static void check_strengthening(const peri_plugin *p)
{
    matrix a;
    solver s;
    int times = 0;
    peri_inertia inertia;
    random_congruence(&a, 100, 50);
    begin(&s, p);
    ok(analyse(&s, &a) == PERI_OK, "%s: analysed", p->name);
    for (; times < 20 && s.ops->strengthen(s.state, &s.run) == PERI_OK; times++)
        if (s.ops->factor(s.state, &s.run, a.val, &inertia) != PERI_OK || !(solve_error(&s, &a) < 1e-12))
            break;
    ok(times >= 2 && times < 20, "%s: stronger pivoting, %d times, until there is no more", p->name, times);
    end(&s);
    free_matrix(&a);
}

static void check_mumps_options(const peri_plugin *p)
{
    matrix a;
    random_kkt(&a, 150, 60, 0);
    for (int ordering = 0; ordering < 6; ordering++)
        for (int scaling = 0; scaling < 5; scaling++) {
            solver s;
            peri_inertia inertia = {0, 0, 0};
            begin(&s, p);
            set_number(&s, "ordering", ordering);
            set_number(&s, "scaling", scaling);
            set_number(&s, "matching", scaling % 2);
            set_number(&s, "refinement", 3);
            set_number(&s, "memory", 5);
            ok(analyse(&s, &a) == PERI_OK && s.ops->factor(s.state, &s.run, a.val, &inertia) == PERI_OK &&
                   inertia.negative == 60 && solve_error(&s, &a) < 1e-13,
               "mumps: ordering %d, scaling %d", ordering, scaling);
            end(&s);
        }
    free_matrix(&a);
}

static void check_cholmod_options(const peri_plugin *p)
{
    matrix a, b;
    random_dominant(&a, 400, NULL, 0.03);
    random_kkt(&b, 90, 30, 1e-6);
    for (int ordering = 0; ordering < 4; ordering++)
        for (int form = 0; form < 3; form++) {
            solver s;
            peri_inertia inertia = {0, 0, 0};
            begin(&s, p);
            set_number(&s, "ordering", ordering);
            set_number(&s, "form", form);
            ok(analyse(&s, &a) == PERI_OK && s.ops->factor(s.state, &s.run, a.val, &inertia) == PERI_OK &&
                   inertia.positive == 400 && solve_error(&s, &a) < 1e-14,
               "cholmod: ordering %d, form %d", ordering, form);
            end(&s);
        }
    solver s;
    peri_inertia inertia;
    begin(&s, p);
    set_number(&s, "form", 2);
    ok(analyse(&s, &b) == PERI_OK && s.ops->factor(s.state, &s.run, b.val, &inertia) == PERI_E_NUMERIC,
       "cholmod: LL' of a matrix that is not definite");
    is_text(s.run.text, "the matrix is not positive definite", "cholmod: and why");
    end(&s);
    free_matrix(&a);
    free_matrix(&b);
}

/* LL' and LDL' in turn, as a condensed system goes from definite to not and back. */
static void check_cholmod_change(const peri_plugin *p)
{
    matrix a;
    solver s;
    peri_inertia inertia;
    int64_t wrong = 0;
    random_dominant(&a, 200, NULL, 0.9);
    begin(&s, p);
    ok(analyse(&s, &a) == PERI_OK, "cholmod: analysed");
    const double diagonal = a.val[a.start[7]];
    for (int round = 0; round < 8; round++) {
        a.val[a.start[7]] = round % 2 == 0 ? diagonal : 1e-4 * diagonal; /* the rest stays dominant: one sign changes */
        wrong += s.ops->factor(s.state, &s.run, a.val, &inertia) != PERI_OK || !(solve_error(&s, &a) < 1e-12) ||
                 inertia.negative != round % 2;
    }
    is_int(wrong, 0, "cholmod: definite and indefinite in turn");
    end(&s);
    free_matrix(&a);
}

/* ---- matrices of the SuiteSparse collection, where the data is -----------------------------------------------------
 */

/* Coordinate entries as they stand in the file: put(a, row + at, col + at2). False: not there. */
static bool read_matrix(const char *name, matrix *a, int64_t order, int64_t row_at, int64_t col_at)
{
    char path[1024], line[256];
    const char *source = getenv("PERIGEE_SOURCE");
    long rows = 0, cols = 0, count = 0;
    snprintf(path, sizeof path, "%s/../shared/data/suitesparse-mtx/%s.mtx", source != NULL ? source : ".", name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL && line[0] == '%')
        continue;
    if (sscanf(line, "%ld %ld %ld", &rows, &cols, &count) != 3) {
        fclose(file);
        return false;
    }
    new_matrix(a, order);
    for (long k = 0; k < count && fgets(line, sizeof line, file) != NULL; k++) {
        long i, j;
        double v = 1; /* a pattern has no value */
        if (sscanf(line, "%ld %ld %lf", &i, &j, &v) >= 2)
            put(a, i - 1 + row_at, j - 1 + col_at, v);
    }
    fclose(file);
    return true;
}

/* Eigenvalues below the shift, by another solver's factorisation. */
static int64_t count_below(const peri_plugin *p, const matrix *a)
{
    solver s;
    peri_inertia inertia = {-1, -1, -1};
    begin(&s, p);
    const bool done = analyse(&s, a) == PERI_OK && s.ops->factor(s.state, &s.run, a->val, &inertia) == PERI_OK;
    end(&s);
    return done ? inertia.negative : -1;
}

static void check_stiffness(const peri_plugin *const *all, const char *name, int64_t n, double shift)
{
    matrix a;
    if (!read_matrix(name, &a, n, 0, 0)) {
        skip(1, "no file %s", name);
        return;
    }
    compress(&a);
    for (int k = 0; k < 3; k++)
        check(all[k], &a, 0, name);
    for (int64_t i = 0; i < n; i++)
        a.dense[i * n + i] -= shift;
    compress(&a);
    const int64_t below = count_below(all[0], &a);
    ok(below > 0 && below < n, "%s has %lld eigenvalues below %g", name, (long long)below, shift);
    check(all[1], &a, below, "shifted");
    free_matrix(&a);
}

/* [I A; A' 0] of a matrix with independent columns; [0 A; A' 0] of a regular one. */
static void check_augmented(const peri_plugin *const *all, const char *name, int64_t rows, int64_t cols,
                            double identity)
{
    matrix a;
    if (!read_matrix(name, &a, rows + cols, 0, rows)) {
        skip(1, "no file %s", name);
        return;
    }
    for (int64_t i = 0; i < rows; i++)
        put(&a, i, i, identity);
    compress(&a);
    for (int k = 0; k < 2; k++)
        check(all[k], &a, cols, name);
    free_matrix(&a);
}

/* The Laplacian of a mesh plus the identity. */
static void check_mesh(const peri_plugin *const *all, const char *name, int64_t n)
{
    matrix a;
    if (!read_matrix(name, &a, n, 0, 0)) {
        skip(1, "no file %s", name);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double degree = 1;
        for (int64_t j = 0; j < n; j++)
            if (i != j && a.dense[i * n + j] > 0)
                degree += 1;
        put(&a, i, i, degree);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            if (a.dense[i * n + j] > 0)
                put(&a, i, j, -1);
    compress(&a);
    for (int k = 1; k < 3; k++)
        check(all[k], &a, 0, name);
    free_matrix(&a);
}

static void check_collection(const peri_plugin *const *all)
{
    check_stiffness(all, "bcsstk01", 48, 1e6);
    check_stiffness(all, "bcsstk02", 66, 1e3);
    check_augmented(all, "ash219", 219, 85, 1);
    check_augmented(all, "west0067", 67, 67, 0);
    check_mesh(all, "jagmesh7", 1138);
}

int main(void)
{
    const char *const names[] = {"lapack", "mumps", "cholmod"};
    const peri_plugin *all[3];
    plan_later();
    for (int k = 0; k < 3; k++) {
        const peri_plugin *p = all[k] = load(names[k]);
        if (!ok(p != NULL && p->kind == PERI_KIND_LINEAR_SOLVER, "%s is a linear solver", names[k]))
            continue;
        check_definite(p);
        check_quasidefinite(p);
        check_scaling(p);
        if (p->flags & PERI_FLAG_INDEFINITE)
            check_indefinite(p);
        check_singular(p);
        check_refactorisation(p);
        check_two_at_once(p);
        if (k == 0)
            check_lapack_limit(p);
        else if (k == 1) {
            check_strengthening(p);
            check_mumps_options(p);
        } else {
            check_cholmod_options(p);
            check_cholmod_change(p);
        }
    }
    if (all[0] != NULL && all[1] != NULL && all[2] != NULL)
        check_collection(all);
    return tap_done();
}
