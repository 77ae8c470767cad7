/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cg.c - preconditioned conjugate gradients for symmetric positive definite systems. Invariant: r = b - A x, z = M^-1 r.
 * Source: Hestenes and Stiefel 1952, J. Res. Nat. Bur. Stand. 49:409.
 */
#include "krylov.h"

static const char *const PRECONDITIONERS[] = {"none", "diagonal", "ssor", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_REAL("residual", krylov_options, residual, 1e-10, 0, 1, "1", "length of the residual, relative to the right-hand side, that counts as solved"),
    PERI_INT("products", krylov_options, products, 0, 0, 1e15, "1", "most products of a solution; 0: ten times the unknowns, at least 100"),
    PERI_ENUM("preconditioner", krylov_options, preconditioner, KRYLOV_SSOR, PRECONDITIONERS,
              "for matrices; operators bring their own. ssor: a symmetric Gauss-Seidel sweep"),
};

typedef struct {
    krylov_system a;
    double *x, *r, *z, *p, *ap; /* [n] */
} state;

static peri_status allocate(state *s, peri_run *run)
{
    double **const vectors[] = {&s->x, &s->r, &s->z, &s->p, &s->ap};
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

/* Definite matrices have positive diagonals; the rest shows when it is solved. */
static peri_status factor(void *self, peri_run *run, const double *val, peri_inertia *inertia)
{
    state *s = self;
    krylov_values(&s->a, val);
    *inertia = (peri_inertia){s->a.n, -1, -1};
    for (int64_t j = 0; j < s->a.n; j++)
        if (!(s->a.scale[j] > 0)) {
            s->a.has_values = false;
            return peri_fail(run, PERI_E_NUMERIC, "the matrix is not positive definite");
        }
    return PERI_OK;
}

static peri_status solve(void *self, peri_run *run, double *b)
{
    state *s = self;
    const int64_t n = s->a.n;
    const double size = sqrt(krylov_dot(n, b, b));
    TRY(krylov_begin(&s->a, run, b, s->x, s->r));
    TRY(krylov_precondition(&s->a, true, s->r, s->z));
    memcpy(s->p, s->z, (size_t)n * sizeof *s->p);
    double rz = krylov_dot(n, s->r, s->z), rr = size;
    for (; rr > s->a.opt.residual * size; s->a.iterations++) {
        if (s->a.iterations >= s->a.opt.products)
            return krylov_too_slow(&s->a, run, rr, size);
        if (krylov_stopped(run, s->a.iterations))
            return PERI_E_CANCELLED;
        TRY(krylov_multiply(&s->a, false, s->p, s->ap));
        const double pap = krylov_dot(n, s->p, s->ap);
        if (!(pap > 0))
            return peri_fail(run, PERI_E_NUMERIC, "the matrix is not positive definite");
        const double alpha = rz / pap;
        for (int64_t i = 0; i < n; i++) {
            s->x[i] += alpha * s->p[i];
            s->r[i] -= alpha * s->ap[i];
        }
        rr = sqrt(krylov_dot(n, s->r, s->r));
        TRY(krylov_precondition(&s->a, true, s->r, s->z));
        const double next = krylov_dot(n, s->r, s->z), beta = next / rz;
        rz = next;
        for (int64_t i = 0; i < n; i++)
            s->p[i] = s->z[i] + beta * s->p[i];
    }
    memcpy(b, s->x, (size_t)n * sizeof *b);
    return PERI_OK;
}

static const char PAGE[] =
    "Conjugate gradients for symmetric positive definite systems, of a matrix or of an operator known by its products. Needs five vectors and\n"
    "a product an iteration, no factorisation; the number of iterations grows with the square root of the condition number after\n"
    "preconditioning. A direction of negative curvature ends it: the matrix is not positive definite.";

static const peri_linear_solver_ops OPS = {
    .analyse = analyse, .factor = factor, .solve = solve, .attach = attach, .iterations = krylov_iterations};

static const peri_plugin CG = {
    PERI_LINEAR_SOLVER(state, krylov_options, OPTION_LIST),
    .ops = &OPS,
    .name = "cg",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "preconditioned conjugate gradients, for positive definite systems and operators",
    .page = PAGE,
    .reference = "Hestenes and Stiefel 1952, J. Res. Nat. Bur. Stand. 49:409; Saad 2003, Iterative Methods for Sparse Linear Systems",
    .flags = PERI_FLAG_DEFINITE | PERI_FLAG_ITERATIVE,
    .rank = -10,
};

static const peri_plugin *const ALL[] = {&CG, NULL};
PERI_PLUGIN(ALL)
