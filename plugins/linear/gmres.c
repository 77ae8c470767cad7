/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gmres.c - generalised minimum residuals with restarts for square systems without symmetry, preconditioned from the right, so that the residual is
 * that of the system. Invariant: the columns of v are orthonormal, A M^-1 V_k = V_k+1 H_k, and h holds R of its QR by rotations.
 * Source: Saad and Schultz 1986, SIAM J. Sci. Stat. Comput. 7:856.
 */
#include "krylov.h"

static const char *const PRECONDITIONERS[] = {"none", "diagonal", NULL};

typedef struct {
    krylov_options krylov;
    int64_t restart;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("residual", options, krylov.residual, 1e-10, 0, 1, "1", "length of the residual, relative to the right-hand side, that counts as solved"),
    PERI_INT("products", options, krylov.products, 0, 0, 1e15, "1", "most products of a solution; 0: ten times the unknowns, at least 100"),
    PERI_INT("restart", options, restart, 60, 1, 10000, "1", "vectors kept; more need memory and fewer iterations"),
    PERI_ENUM("preconditioner", options, krylov.preconditioner, KRYLOV_DIAGONAL, PRECONDITIONERS, "for matrices; operators bring their own"),
};

typedef struct {
    krylov_system a;
    int64_t most;                     /* restart, at most n */
    double *x, *r, *z, *v;            /* [n], [n], [n], [(most + 1) n] */
    double *h, *cosine, *sine, *g;    /* [(most + 1) most] by columns, [most], [most], [most + 1] */
    bool transposed;
} state;

static peri_status allocate(state *s, peri_run *run, const options *opt)
{
    const int64_t n = s->a.n;
    s->most = opt->restart < n ? opt->restart : n;
    TRY(peri_alloc(run, n, &s->x));
    TRY(peri_alloc(run, n, &s->r));
    TRY(peri_alloc(run, n, &s->z));
    TRY(peri_alloc(run, (s->most + 1) * n, &s->v));
    TRY(peri_alloc(run, (s->most + 1) * s->most, &s->h));
    TRY(peri_alloc(run, s->most, &s->cosine));
    TRY(peri_alloc(run, s->most, &s->sine));
    return peri_alloc(run, s->most + 1, &s->g);
}

static peri_status open_matrix(state *s, peri_run *run, const void *opt, const peri_pattern *pattern, bool whole)
{
    TRY(krylov_open(&s->a, run, opt, pattern, whole));
    return allocate(s, run, opt);
}

static peri_status analyse(void *self, peri_run *run, const void *opt, const peri_pattern *pattern)
{
    return open_matrix(self, run, opt, pattern, false);
}

static peri_status analyse_general(void *self, peri_run *run, const void *opt, const peri_pattern *pattern, uint64_t needs)
{
    (void)needs;
    return open_matrix(self, run, opt, pattern, true);
}

static peri_status attach(void *self, peri_run *run, const void *opt, const peri_operator *op)
{
    state *s = self;
    krylov_attach(&s->a, opt, op);
    return allocate(s, run, opt);
}

/* The next vector, orthogonal to the first k + 1 by two passes of Gram-Schmidt; its column of h. */
static peri_status extend(state *s, int64_t k)
{
    const int64_t n = s->a.n;
    double *const next = s->v + (k + 1) * n, *const h = s->h + k * (s->most + 1);
    TRY(krylov_precondition(&s->a, false, s->v + k * n, s->z));
    TRY(krylov_multiply(&s->a, s->transposed, s->z, next));
    memset(h, 0, (size_t)(k + 1) * sizeof *h);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i <= k; i++) {
            const double *const v = s->v + i * n, along = krylov_dot(n, v, next);
            h[i] += along;
            for (int64_t j = 0; j < n; j++)
                next[j] -= along * v[j];
        }
    h[k + 1] = sqrt(krylov_dot(n, next, next));
    for (int64_t j = 0; j < n && h[k + 1] > 0; j++)
        next[j] /= h[k + 1];
    return PERI_OK;
}

/* Column k of h and the right-hand side through the rotations; ret the residual's length. */
static double rotate(state *s, int64_t k)
{
    double *const h = s->h + k * (s->most + 1);
    for (int64_t i = 0; i < k; i++) {
        const double upper = h[i];
        h[i] = s->cosine[i] * upper + s->sine[i] * h[i + 1];
        h[i + 1] = -s->sine[i] * upper + s->cosine[i] * h[i + 1];
    }
    const double length = hypot(h[k], h[k + 1]);
    s->cosine[k] = length > 0 ? h[k] / length : 1;
    s->sine[k] = length > 0 ? h[k + 1] / length : 0;
    h[k] = length;
    s->g[k + 1] = -s->sine[k] * s->g[k];
    s->g[k] *= s->cosine[k];
    return fabs(s->g[k + 1]);
}

/* x += M^-1 V y with R y = g, from `count` vectors; a zero on R's diagonal (singular) is left out */
static peri_status take(state *s, int64_t count)
{
    const int64_t n = s->a.n;
    memset(s->r, 0, (size_t)n * sizeof *s->r);
    for (int64_t i = count; i-- > 0;) {
        double sum = s->g[i];
        for (int64_t j = i + 1; j < count; j++)
            sum -= s->h[j * (s->most + 1) + i] * s->g[j];
        const double pivot = s->h[i * (s->most + 1) + i];
        s->g[i] = pivot > 0 ? sum / pivot : 0;
        for (int64_t j = 0; j < n; j++)
            s->r[j] += s->g[i] * s->v[i * n + j];
    }
    TRY(krylov_precondition(&s->a, false, s->r, s->z));
    for (int64_t j = 0; j < n; j++)
        s->x[j] += s->z[j];
    return PERI_OK;
}

static peri_status cycle(state *s, peri_run *run, double length, double target)
{
    const int64_t n = s->a.n;
    int64_t k = 0;
    memset(s->g, 0, (size_t)(s->most + 1) * sizeof *s->g);
    s->g[0] = length;
    for (int64_t j = 0; j < n; j++)
        s->v[j] = s->r[j] / length;
    while (k < s->most && length > target && s->a.iterations < s->a.opt.products) {
        if (krylov_stopped(run, s->a.iterations))
            return PERI_E_CANCELLED;
        TRY(extend(s, k));
        const bool exhausted = !(s->h[k * (s->most + 1) + k + 1] > 0);
        length = rotate(s, k++);
        s->a.iterations++;
        if (exhausted)
            break;
    }
    return take(s, k);
}

static peri_status solve_with(state *s, peri_run *run, double *b, bool transposed)
{
    const int64_t n = s->a.n;
    const double size = sqrt(krylov_dot(n, b, b)), target = s->a.opt.residual * size;
    double length = size, before = INFINITY;
    TRY(krylov_begin(&s->a, run, b, s->x, s->r));
    s->transposed = transposed;
    while (length > target && length < before * (1 - 1e-6) && s->a.iterations < s->a.opt.products) {
        before = length;
        TRY(cycle(s, run, length, 0.9 * target));
        TRY(krylov_residual(&s->a, transposed, b, s->x, s->r, &length));
    }
    if (!(length <= target))
        return krylov_too_slow(&s->a, run, length, size);
    memcpy(b, s->x, (size_t)n * sizeof *b);
    return PERI_OK;
}

static peri_status solve(void *self, peri_run *run, double *b)
{
    return solve_with(self, run, b, false);
}

static peri_status solve_transposed(void *self, peri_run *run, double *b)
{
    return solve_with(self, run, b, true);
}

static const char PAGE[] =
    "Generalised minimum residuals for square systems without symmetry, of a matrix or of an operator known by its products. Keeps \"restart\"\n"
    "vectors; when they are full it starts again from the point reached. Preconditioned from the right, so that the residual it stops by is\n"
    "the system's own. Also solves with the transpose, where the operator has one.";

static const peri_linear_solver_ops OPS = {.analyse = analyse,
                                           .analyse_general = analyse_general,
                                           .factor = krylov_factor,
                                           .solve = solve,
                                           .solve_transposed = solve_transposed,
                                           .attach = attach,
                                           .iterations = krylov_iterations};

static const peri_plugin GMRES = {
    PERI_LINEAR_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "gmres",
    .family = "linear",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "generalised minimum residuals, for square systems without symmetry and operators",
    .page = PAGE,
    .reference = "Saad and Schultz 1986, SIAM J. Sci. Stat. Comput. 7:856",
    .flags = PERI_FLAG_GENERAL | PERI_FLAG_INDEFINITE | PERI_FLAG_QUASIDEFINITE | PERI_FLAG_DEFINITE | PERI_FLAG_ITERATIVE,
    .rank = -30,
};

static const peri_plugin *const ALL[] = {&GMRES, NULL};
PERI_PLUGIN(ALL)
