/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cg.c - preconditioned conjugate gradients for symmetric positive definite systems. Invariant: r = b - A x, z = M^-1 r.
 * Source: Hestenes and Stiefel 1952, J. Res. Nat. Bur. Stand. 49:409.
 */
#include "krylov.h"

static const char *const PRECONDITIONERS[] = {"none", "diagonal", "ssor", NULL};

typedef struct {
    double residual;
    int64_t products;
    int32_t preconditioner;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("residual", options, residual, 1e-10, 0, 1, "1", "length of the residual, relative to the right-hand side, that counts as solved"),
    PERI_INT("products", options, products, 0, 0, 1e15, "1", "most products of a solution; 0: ten times the unknowns, at least 100"),
    PERI_ENUM("preconditioner", options, preconditioner, KRYLOV_SSOR, PRECONDITIONERS,
              "for matrices; operators bring their own. ssor: a symmetric Gauss-Seidel sweep"),
};

typedef struct {
    options opt;
    krylov_system a;
    double *x, *r, *z, *p, *ap; /* [n] */
} state;

static peri_status allocate(state *s, peri_run *run)
{
    double **const vectors[] = {&s->x, &s->r, &s->z, &s->p, &s->ap};
    for (size_t k = 0; k < PERI_COUNT(vectors); k++)
        TRY(peri_alloc(run, s->a.n, vectors[k]));
    s->a.preconditioner = s->opt.preconditioner;
    if (s->opt.products == 0)
        s->opt.products = s->a.n < 10 ? 100 : 10 * s->a.n;
    return PERI_OK;
}

static peri_status analyse(void *self, peri_run *run, const void *opt, const peri_pattern *pattern)
{
    state *s = self;
    s->opt = *(const options *)opt;
    TRY(krylov_open(&s->a, run, pattern, false));
    return allocate(s, run);
}

static peri_status attach(void *self, peri_run *run, const void *opt, const peri_operator *op)
{
    state *s = self;
    s->opt = *(const options *)opt;
    krylov_attach(&s->a, op);
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
    if (!s->a.has_values)
        return krylov_no_values(run);
    memset(s->x, 0, (size_t)n * sizeof *s->x);
    memcpy(s->r, b, (size_t)n * sizeof *b);
    TRY(krylov_precondition(&s->a, true, s->r, s->z));
    memcpy(s->p, s->z, (size_t)n * sizeof *s->p);
    double rz = krylov_dot(n, s->r, s->z), rr = size;
    for (s->a.iterations = 0; rr > s->opt.residual * size; s->a.iterations++) {
        if (s->a.iterations >= s->opt.products)
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

static int64_t iterations(const void *self)
{
    return ((const state *)self)->a.iterations;
}

static const char PAGE[] =
    "Conjugate gradients for symmetric positive definite systems, of a matrix or of an operator known by its products. Needs five vectors and\n"
    "a product an iteration, no factorisation; the number of iterations grows with the square root of the condition number after\n"
    "preconditioning. A direction of negative curvature ends it: the matrix is not positive definite.";

static const peri_linear_solver_ops OPS = {
    .analyse = analyse, .factor = factor, .solve = solve, .attach = attach, .iterations = iterations};

static const peri_plugin CG = {
    PERI_LINEAR_SOLVER(state, options, OPTION_LIST),
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
