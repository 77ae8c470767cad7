/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abi_1_0_linear - dense LDL' without pivoting, as an author would have written a linear solver against the first interface. Its
 * source stays as it is: later versions of the engine must load what was once compiled from it. Golub and Van Loan 2013,
 * section 4.1.2. After `factor`: a's lower triangle holds the unit triangle L, its diagonal D.
 */
#include <math.h>
#include <perigee/plugin.h>

typedef struct {
    double singular;
} options;

static const peri_option option_list[] = {
    PERI_REAL("singular", options, singular, 1e-14, 0, 1e-3, "1", "pivots up to this share of the largest entry are zero"),
};

typedef struct {
    const peri_pattern *pattern;
    double *a, *d; /* [n n] by columns; [n] scratch */
    int64_t n;
    options opt;
} state;

static peri_status analyse(void *self, peri_run *run, const void *opt, const peri_pattern *pattern)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->pattern = pattern;
    s->n = pattern->cols;
    TRY(peri_alloc(run, s->n * s->n, &s->a));
    return peri_alloc(run, s->n, &s->d);
}

/* The values into the dense triangle; the largest of them, or NaN where one is not finite. */
static double spread(state *s, const double *val)
{
    double most = 0.0;
    bool finite = true;
    for (int64_t k = 0; k < s->n * s->n; k++)
        s->a[k] = 0.0;
    for (int64_t j = 0; j < s->n; j++)
        for (int64_t k = s->pattern->start[j]; k < s->pattern->start[j + 1]; k++) {
            s->a[s->pattern->index[k] + j * s->n] = val[k];
            finite = finite && isfinite(val[k]);
            most = fabs(val[k]) > most ? fabs(val[k]) : most;
        }
    return finite ? most : (double)NAN;
}

static peri_status factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    state *s = self;
    const int64_t n = s->n;
    double *a = s->a;
    const double most = spread(s, val);
    const peri_inertia none = {0, 0, 0};
    *inertia = none;
    if (isnan(most))
        return peri_fail(run, PERI_E_NUMERIC, "a value of the matrix is not finite");
    for (int64_t j = 0; j < n; j++) {
        const double pivot = a[j + j * n];
        if (!(fabs(pivot) > s->opt.singular * most)) {
            inertia->zero = n - j;
            return peri_fail(run, PERI_E_NUMERIC, "the matrix is singular: a pivot is zero");
        }
        inertia->positive += pivot > 0.0;
        inertia->negative += pivot < 0.0;
        for (int64_t i = j + 1; i < n; i++)
            s->d[i] = a[i + j * n] / pivot;
        for (int64_t k = j + 1; k < n; k++)
            for (int64_t i = k; i < n; i++)
                a[i + k * n] -= s->d[i] * a[k + j * n];
        for (int64_t i = j + 1; i < n; i++)
            a[i + j * n] = s->d[i];
    }
    return PERI_OK;
}

static peri_status solve(void *self, peri_run *run, double *b)
{
    const state *s = self;
    const int64_t n = s->n;
    (void)run;
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = j + 1; i < n; i++)
            b[i] -= s->a[i + j * n] * b[j];
    for (int64_t j = 0; j < n; j++)
        b[j] /= s->a[j + j * n];
    for (int64_t j = n - 1; j >= 0; j--)
        for (int64_t i = j + 1; i < n; i++)
            b[j] -= s->a[i + j * n] * b[i];
    return PERI_OK;
}

static const peri_linear_solver_ops ops = {.analyse = analyse, .factor = factor, .solve = solve};
static const peri_plugin dense = {
    PERI_LINEAR_SOLVER(state, options, option_list),
    .ops = &ops,
    .name = "abi_1_0_linear",
    .family = "test",
    .version = "1.0",
    .license = "Apache-2.0",
    .summary = "dense LDL' without pivoting; a baseline",
    .page = "Factorises A = L D L' in the order of the unknowns. The inertia is that of D.",
    .reference = "Golub and Van Loan 2013, Matrix Computations, section 4.1.2",
    .gives = PERI_GIVES_INERTIA,
    .flags = PERI_FLAG_DEFINITE | PERI_FLAG_QUASIDEFINITE | PERI_FLAG_DENSE,
};
static const peri_plugin *const all[] = {&dense, NULL};
PERI_PLUGIN(all)
