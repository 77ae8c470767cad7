/* SPDX-License-Identifier: Apache-2.0 */
/*
 * @NAME@ - dense LDL' without pivoting, for symmetric matrices that have that factorisation in every order: definite and quasi-definite
 * ones (Golub and Van Loan 2013, section 4.1.2; Vanderbei 1995). After `factor`: the lower triangle of a is the unit triangle
 * L below the diagonal and D on it.
 */
#include <perigee/plugin.h>
#include <math.h>
#include <stdio.h>

/* ---- options: what users can set, with default, range, unit and one line of help; perigee shows, reads and checks them */

typedef struct {
    double singular;
    int64_t largest;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("singular", options, singular, 1e-15, 0, 1e-3, "1", "pivots up to this share of the largest entry are zero"),
    PERI_INT("largest", options, largest, 2000, 1, 20000, "unknowns", "most unknowns; memory grows with their square"),
};

/* ---- state: size_state bytes that perigee gives each system, zeroed; nothing is static, as several may be open at once */

typedef struct {
    options opt;
    const peri_pattern *pattern; /* lower triangle, borrowed */
    int64_t n;
    double *a;      /* [n n] by columns */
    double *column; /* [n] */
} state;

/* ---- analyse: once for a pattern; all memory */

static peri_status analyse(void *self, peri_run *run, const void *opt, const peri_pattern *pattern)
{
    state *s = self;
    char text[128];
    s->opt = *(const options *)opt;
    s->pattern = pattern;
    s->n = pattern->cols;
    if (s->n > s->opt.largest) {
        snprintf(text, sizeof text, "%lld unknowns are more than the option \"largest\" allows (%lld)", (long long)s->n,
                 (long long)s->opt.largest);
        return peri_fail(run, PERI_E_UNSUPPORTED, text);
    }
    TRY(peri_alloc(run, s->n * s->n, &s->a));
    return peri_alloc(run, s->n, &s->column);
}

/* ---- factor: for each set of values. A matrix that cannot be factorised is PERI_E_NUMERIC, with the reason. */

/* The values into the dense triangle; *most the largest of them. false: one is not finite. */
static bool spread(state *s, const double *val, double *most)
{
    const peri_pattern *p = s->pattern;
    *most = 0;
    for (int64_t k = 0; k < s->n * s->n; k++)
        s->a[k] = 0;
    for (int64_t j = 0; j < s->n; j++)
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
            if (!isfinite(val[k]))
                return false;
            s->a[p->index[k] + j * s->n] = val[k];
            *most = fmax(*most, fabs(val[k]));
        }
    return true;
}

/* a -= l d l' for the column l that has been found, below and right of row j. */
static void eliminate(state *s, int64_t j, double pivot)
{
    const int64_t n = s->n;
    double *l = s->column;
    for (int64_t i = j + 1; i < n; i++)
        l[i] = s->a[i + j * n] / pivot;
    for (int64_t k = j + 1; k < n; k++) {
        const double factor = s->a[k + j * n];
        for (int64_t i = k; i < n; i++)
            s->a[i + k * n] -= l[i] * factor;
    }
    for (int64_t i = j + 1; i < n; i++)
        s->a[i + j * n] = l[i];
}

static peri_status factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    state *s = self;
    double most;
    *inertia = (peri_inertia){0, 0, 0};
    if (!spread(s, val, &most))
        return peri_fail(run, PERI_E_NUMERIC, "a value of the matrix is not finite");
    for (int64_t j = 0; j < s->n; j++) {
        const double pivot = s->a[j + j * s->n];
        if (!(fabs(pivot) > s->opt.singular * most)) {
            inertia->zero = s->n - j;
            return peri_fail(run, PERI_E_NUMERIC, "the matrix is singular: a pivot is zero");
        }
        inertia->positive += pivot > 0; /* Sylvester: the signs of D are those of the eigenvalues */
        inertia->negative += pivot < 0;
        eliminate(s, j, pivot);
    }
    return PERI_OK;
}

/* ---- solve: for each right-hand side, in place */

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

/* ---- the table: what it can factorise is said by its flags; its page is for `perigee show @NAME@` */

static const char PAGE[] =
    "Factorises a symmetric matrix as L D L' in the order of the unknowns, with dense storage: work n^3/3, memory 8 n^2 bytes, for systems of "
    "up to some hundred unknowns. Definite and quasi-definite matrices have this factorisation; for indefinite ones a solver "
    "that pivots is needed. The inertia is that of D. A pivot up to \"singular\" times the largest entry counts as zero.";

static const peri_linear_solver_ops OPS = {.analyse = analyse, .factor = factor, .solve = solve};

static const peri_plugin PLUGIN = {
    PERI_LINEAR_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "@NAME@",
    .family = "linear",
    .version = "0.1",
    .license = "Apache-2.0",
    .summary = "dense LDL' without pivoting, for definite and quasi-definite systems",
    .page = PAGE,
    .reference = "Golub and Van Loan 2013, Matrix Computations, 4th ed., section 4.1.2; Vanderbei 1995, SIAM J. Optim. 5:100",
    .gives = PERI_GIVES_INERTIA,
    .flags = PERI_FLAG_DEFINITE | PERI_FLAG_QUASIDEFINITE | PERI_FLAG_DENSE,
    .rank = 0,
};

static const peri_plugin *const ALL[] = {&PLUGIN, NULL};
PERI_PLUGIN(ALL)
