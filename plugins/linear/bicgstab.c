/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bicgstab.c - stabilised biconjugate gradients for systems with or without symmetry, preconditioned from the right: seven vectors, two products an
 * iteration. Where the recurrence breaks down it begins again from the point reached, with the true residual. Invariant: r = b - A x.
 * Source: van der Vorst 1992, SIAM J. Sci. Stat. Comput. 13:631.
 */
#include "krylov.h"

static const char *const PRECONDITIONERS[] = {"none", "diagonal", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_REAL("residual", krylov_options, residual, 1e-10, 0, 1, "1", "length of the residual, relative to the right-hand side, that counts as solved"),
    PERI_INT("products", krylov_options, products, 0, 0, 1e15, "1", "most products of a solution; 0: ten times the unknowns, at least 100"),
    PERI_ENUM("preconditioner", krylov_options, preconditioner, KRYLOV_DIAGONAL, PRECONDITIONERS, "for matrices; operators bring their own"),
};

typedef struct {
    krylov_system a;
    double *x, *r, *shadow, *p, *v, *t, *z; /* [n] */
} state;

static peri_status allocate(state *s, peri_run *run)
{
    double **const vectors[] = {&s->x, &s->r, &s->shadow, &s->p, &s->v, &s->t, &s->z};
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

/* out = A M^-1 v */
static peri_status multiply(state *s, const double *v, double *out)
{
    s->a.iterations++;
    TRY(krylov_precondition(&s->a, false, v, s->z));
    return krylov_multiply(&s->a, false, s->z, out);
}

static void add(int64_t n, double factor, const double *v, double *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += factor * v[i];
}

/* From x with its residual in r, until the recurred residual is as small as wanted, or a quantity that is divided by vanishes. */
static peri_status sweep(state *s, peri_run *run, double target)
{
    const int64_t n = s->a.n;
    const size_t bytes = (size_t)n * sizeof(double);
    double rho = krylov_dot(n, s->r, s->r), length = sqrt(rho);
    const double tiny = 1e-30 * rho;
    memcpy(s->shadow, s->r, bytes);
    memcpy(s->p, s->r, bytes);
    for (int64_t k = 0; length > target && s->a.iterations < s->a.opt.products; k++) {
        if (krylov_stopped(run, k))
            return PERI_E_CANCELLED;
        TRY(multiply(s, s->p, s->v));
        const double along = krylov_dot(n, s->shadow, s->v);
        if (!(fabs(along) > tiny))
            return PERI_OK;
        const double alpha = rho / along;
        add(n, alpha, s->z, s->x);
        add(n, -alpha, s->v, s->r);
        length = sqrt(krylov_dot(n, s->r, s->r));
        if (length <= target)
            return PERI_OK;
        TRY(multiply(s, s->r, s->t));
        const double tt = krylov_dot(n, s->t, s->t), omega = tt > 0 ? krylov_dot(n, s->t, s->r) / tt : 0;
        add(n, omega, s->z, s->x);
        add(n, -omega, s->t, s->r);
        length = sqrt(krylov_dot(n, s->r, s->r));
        const double next = krylov_dot(n, s->shadow, s->r);
        if (!(fabs(next) > tiny) || !(fabs(omega) > 0))
            return PERI_OK;
        const double beta = next / rho * (alpha / omega);
        for (int64_t i = 0; i < n; i++)
            s->p[i] = s->r[i] + beta * (s->p[i] - omega * s->v[i]);
        rho = next;
    }
    return PERI_OK;
}

static peri_status solve(void *self, peri_run *run, double *b)
{
    state *s = self;
    const int64_t n = s->a.n;
    const double size = sqrt(krylov_dot(n, b, b)), target = s->a.opt.residual * size;
    double length = size;
    int stalls = 0;
    TRY(krylov_begin(&s->a, run, b, s->x, s->r));
    while (length > target && stalls < 3 && s->a.iterations < s->a.opt.products) {
        const double before = length;
        TRY(sweep(s, run, 0.5 * target));
        TRY(krylov_residual(&s->a, false, b, s->x, s->r, &length));
        stalls = length < 0.9 * before ? 0 : stalls + 1;
    }
    if (!(length <= target))
        return krylov_too_slow(&s->a, run, length, size);
    memcpy(b, s->x, (size_t)n * sizeof *b);
    return PERI_OK;
}

static const char PAGE[] =
    "Stabilised biconjugate gradients for systems that are known by their products, symmetric or not: seven vectors whatever the number of\n"
    "iterations, where gmres keeps more with each, and two products an iteration. The residual is not monotone. Begins again from the point\n"
    "reached where its recurrence breaks down. From zero it stays in the operator's range: singular systems that have solutions get one.\n"
    "It may stall where eigenvalues lie on both sides of zero; gmres does not. Of matrices it takes positive definite ones.";

static const peri_linear_solver_ops OPS = {
    .analyse = analyse, .factor = krylov_factor, .solve = solve, .attach = attach, .iterations = krylov_iterations};

static const peri_plugin BICGSTAB = {
    PERI_LINEAR_SOLVER(state, krylov_options, OPTION_LIST),
    .ops = &OPS,
    .name = "bicgstab",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "stabilised biconjugate gradients, for operators with or without symmetry",
    .page = PAGE,
    .reference = "van der Vorst 1992, SIAM J. Sci. Stat. Comput. 13:631",
    .flags = PERI_FLAG_DEFINITE | PERI_FLAG_ITERATIVE, /* what it promises: it may stall where eigenvalues lie on both sides */
    .rank = -35,
};

static const peri_plugin *const ALL[] = {&BICGSTAB, NULL};
PERI_PLUGIN(ALL)
