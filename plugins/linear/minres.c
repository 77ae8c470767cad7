/* SPDX-License-Identifier: Apache-2.0 */
/*
 * minres.c - the minimum residual method for symmetric systems, definite or not, with a positive definite preconditioner: Lanczos vectors, whose
 * tridiagonal matrix is factorised by rotations as it grows. Invariant: phi is the length of the residual in the norm of M^-1.
 * Source: Paige and Saunders 1975, SIAM J. Numer. Anal. 12:617.
 */
#include "krylov.h"

static const char *const PRECONDITIONERS[] = {"none", "diagonal", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_REAL("residual", krylov_options, residual, 1e-10, 0, 1, "1", "length of the residual, relative to the right-hand side, that counts as solved"),
    PERI_INT("products", krylov_options, products, 0, 0, 1e15, "1", "most products of a solution; 0: ten times the unknowns, at least 100"),
    PERI_ENUM("preconditioner", krylov_options, preconditioner, KRYLOV_DIAGONAL, PRECONDITIONERS,
              "for matrices, the magnitudes of the diagonal; operators bring their own"),
};

typedef struct {
    krylov_system a;
    double *x, *r, *r1, *r2, *y, *v, *w, *w1, *w2; /* [n]: of the last three Lanczos steps */
} state;

static peri_status allocate(state *s, peri_run *run)
{
    double **const vectors[] = {&s->x, &s->r, &s->r1, &s->r2, &s->y, &s->v, &s->w, &s->w1, &s->w2};
    return krylov_vectors(&s->a, run, PERI_COUNT(vectors), vectors);
}

static peri_status analyse(void *self, peri_run *run, const void *opt, const peri_pattern *pattern)
{
    state *s = self;
    TRY(krylov_open(&s->a, run, opt, pattern, false));
    return allocate(s, run);
}

static peri_status attach(void *self, peri_run *run, const void *opt, const peri_operator *op)
{
    state *s = self;
    krylov_attach(&s->a, opt, op);
    return allocate(s, run);
}

/* One sweep of the method on A d = r from d = 0, x += d: until phi has fallen by `reduction`, or the space is exhausted. */
static peri_status sweep(state *s, peri_run *run, double reduction)
{
    const int64_t n = s->a.n;
    const size_t bytes = (size_t)n * sizeof(double);
    TRY(krylov_precondition(&s->a, true, s->r, s->y));
    const double first = krylov_dot(n, s->r, s->y);
    if (!(first > 0))
        return first == 0 ? PERI_OK : peri_fail(run, PERI_E_NUMERIC, "the preconditioner is not positive definite");
    double beta = sqrt(first), old_beta = 0, dbar = 0, epsilon = 0, phi = beta, cs = -1, sn = 0;
    memcpy(s->r1, s->r, bytes);
    memcpy(s->r2, s->r, bytes);
    memset(s->w, 0, bytes);
    memset(s->w2, 0, bytes);
    for (int64_t k = 0; phi > reduction * sqrt(first) && s->a.iterations < s->a.opt.products; k++, s->a.iterations++) {
        if (krylov_stopped(run, k))
            return PERI_E_CANCELLED;
        for (int64_t i = 0; i < n; i++)
            s->v[i] = s->y[i] / beta;
        TRY(krylov_multiply(&s->a, false, s->v, s->y));
        for (int64_t i = 0; i < n && k > 0; i++)
            s->y[i] -= beta / old_beta * s->r1[i];
        const double alpha = krylov_dot(n, s->v, s->y);
        for (int64_t i = 0; i < n; i++)
            s->y[i] -= alpha / beta * s->r2[i];
        double *const spare = s->r1;
        s->r1 = s->r2;
        s->r2 = s->y;
        s->y = spare;
        TRY(krylov_precondition(&s->a, true, s->r2, s->y));
        old_beta = beta;
        const double square = krylov_dot(n, s->r2, s->y);
        if (square < 0)
            return peri_fail(run, PERI_E_NUMERIC, "the preconditioner is not positive definite");
        beta = sqrt(square);
        const double old_epsilon = epsilon, delta = cs * dbar + sn * alpha, gbar = sn * dbar - cs * alpha;
        epsilon = sn * beta;
        dbar = -cs * beta;
        const double gamma = hypot(gbar, beta);
        if (!(gamma > 0))
            return PERI_OK; /* singular: x is the least residual there is */
        cs = gbar / gamma;
        sn = beta / gamma;
        const double tau = cs * phi;
        phi *= sn;
        double *const oldest = s->w1;
        s->w1 = s->w2;
        s->w2 = s->w;
        s->w = oldest;
        for (int64_t i = 0; i < n; i++) {
            s->w[i] = (s->v[i] - old_epsilon * s->w1[i] - delta * s->w2[i]) / gamma;
            s->x[i] += tau * s->w[i];
        }
        if (beta <= 1e-300)
            return PERI_OK;
    }
    return PERI_OK;
}

/* Sweeps until the true residual is small: phi is measured in another norm, and drifts from it by rounding. */
static peri_status solve(void *self, peri_run *run, double *b)
{
    state *s = self;
    const int64_t n = s->a.n;
    const double size = sqrt(krylov_dot(n, b, b));
    double length = size, before = INFINITY;
    TRY(krylov_begin(&s->a, run, b, s->x, s->r));
    while (length > s->a.opt.residual * size && length < 0.9 * before && s->a.iterations < s->a.opt.products) {
        before = length;
        TRY(sweep(s, run, 0.5 * s->a.opt.residual * size / length));
        TRY(krylov_residual(&s->a, false, b, s->x, s->r, &length));
    }
    if (!(length <= s->a.opt.residual * size))
        return krylov_too_slow(&s->a, run, length, size);
    memcpy(b, s->x, (size_t)n * sizeof *b);
    return PERI_OK;
}

static const char PAGE[] =
    "The minimum residual method for symmetric systems that need not be definite, of a matrix or of an operator known by its products. Needs nine\n"
    "vectors and a product an iteration. The preconditioner must be positive definite. It cannot tell the inertia.";

static const peri_linear_solver_ops OPS = {
    .analyse = analyse, .factor = krylov_factor, .solve = solve, .attach = attach, .iterations = krylov_iterations};

static const peri_plugin MINRES = {
    PERI_LINEAR_SOLVER(state, krylov_options, OPTION_LIST),
    .ops = &OPS,
    .name = "minres",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "minimum residual method, for symmetric systems and operators",
    .page = PAGE,
    .reference = "Paige and Saunders 1975, SIAM J. Numer. Anal. 12:617",
    .flags = PERI_FLAG_INDEFINITE | PERI_FLAG_QUASIDEFINITE | PERI_FLAG_DEFINITE | PERI_FLAG_ITERATIVE,
    .rank = -20,
};

static const peri_plugin *const ALL[] = {&MINRES, NULL};
PERI_PLUGIN(ALL)
