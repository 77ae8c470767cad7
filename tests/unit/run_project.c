/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_project - projections onto feasible sets: closed forms of boxes, hyperplanes, half-spaces, simplices and balls; polyhedra against the
 * interior-point method; that the residual lies in the normal cone, that a projection is its own projection and brings no points apart;
 * degenerate, redundant and empty sets; points that are not finite; memory that runs out.
 */
#include "oracle/prox.h"
#include "base/rng.h"
#include "run/inner.h"
#include "run/project.h"
#include "tap/tap.h"
#include "unit/installed.h"
#include "unit/text_model.h"
#include <math.h>

/* ---- a solver that projects ----------------------------------------------------------------------------------------------- */

static struct { /* of the test, which has one thread */
    const double *v;
    double *x;
    int64_t points;
    peri_status status;
    char message[300];
    int64_t inner; /* problems that were made for it */
} job;

static peri_status init(void *self, peri_run *run, const void *opt)
{
    const int64_t n = peri_n(run);
    peri_projection *set;
    (void)self;
    (void)opt;
    job.inner = 0;
    job.status = peri_projection_open(run, &set);
    for (int64_t k = 0; k < job.points && job.status == PERI_OK; k++)
        job.status = peri_projection_apply(set, job.v + k * n, job.x + k * n);
    for (const peri_inner *i = run->inners; i != NULL; i = i->next)
        job.inner++;
    snprintf(job.message, sizeof job.message, "%s", job.status != PERI_OK ? peri_error(run->ctx) : "");
    return job.status == PERI_E_NOMEM ? job.status : PERI_OK;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    (void)self;
    return peri_finish(run, PERI_WHY_STALLED, next);
}

typedef struct { int32_t none; } options;
static const peri_option LIST[] = {PERI_BOOL("none", options, none, 0, "nothing")};
static const peri_solver_ops OPS = {.init = init, .step = step};
static const peri_plugin PROJECTOR = {PERI_SOLVER(options, options, LIST), .ops = &OPS, .name = "projector"};

/* x := projections of the rows of v onto the model's set */
static peri_status project(peri_model *m, int64_t points, const double *v, double *x)
{
    peri_solution *s = NULL;
    job.v = v;
    job.x = x;
    job.points = points;
    const peri_status status = run_with(m, &PROJECTOR, "projector", NULL, &s);
    peri_solution_free(s);
    return status != PERI_OK ? status : job.status;
}

/* ---- sets ----------------------------------------------------------------------------------------------------------------- */

enum { MOST = 40 };

typedef struct {
    int64_t n, m;
    double *a; /* [m x n] */
    double *cl, *cu, *xl, *xu;
} polyhedron;

static uint64_t counter;

static double uniform(void)
{
    return (double)(rng_bits(20250611, 1, counter++) >> 11) * ldexp(1, -53);
}

static double normal(void)
{
    return sqrt(-2 * log(1 - uniform())) * cos(2 * 3.14159265358979 * uniform());
}

static polyhedron polyhedron_new(int64_t n, int64_t m)
{
    polyhedron p = {n, m, calloc((size_t)(n * m + 1), 8), malloc((size_t)m * 8 + 8), malloc((size_t)m * 8 + 8), malloc((size_t)n * 8),
                    malloc((size_t)n * 8)};
    for (int64_t i = 0; i < m; i++) {
        p.cl[i] = -INFINITY;
        p.cu[i] = INFINITY;
    }
    for (int64_t j = 0; j < n; j++) {
        p.xl[j] = -INFINITY;
        p.xu[j] = INFINITY;
    }
    return p;
}

static void polyhedron_free(polyhedron *p)
{
    free(p->a);
    free(p->cl);
    free(p->cu);
    free(p->xl);
    free(p->xu);
}

/* v NULL: an objective that is not looked at; else |x - v|^2 / 2 */
static peri_model *model_of(peri_context *ctx, const polyhedron *p, const double *v)
{
    peri_model *m = peri_model_new(ctx, "set");
    peri_constraint rows;
    peri_expr x, a, c, f, zero;
    bool good = peri_model_var(m, "x", p->n, 1, &x) == PERI_OK && peri_model_set_lower(m, x, p->n, p->xl) == PERI_OK &&
                peri_model_set_upper(m, x, p->n, p->xu) == PERI_OK;
    const peri_array matrix = {.rows = p->m, .cols = p->n, .data = p->a, .nnz = -1};
    const peri_array target = {.rows = p->n, .cols = 1, .data = v, .nnz = -1};
    if (p->m > 0)
        good = good && peri_expr_const(m, &matrix, &a) == PERI_OK &&
               peri_expr_op(m, PERI_OP_MATMUL, 2, (const peri_expr[]){a, x}, &c) == PERI_OK &&
               peri_model_constrain(m, "rows", c, p->m, p->cl, p->cu, &rows) == PERI_OK;
    f = x;
    if (v != NULL)
        good = good && peri_expr_const(m, &target, &a) == PERI_OK && peri_expr_op(m, PERI_OP_SUB, 2, (const peri_expr[]){x, a}, &f) == PERI_OK;
    good = good && peri_expr_op(m, PERI_OP_SQUARE, 1, &f, &f) == PERI_OK && peri_expr_op(m, PERI_OP_SUM, 1, &f, &f) == PERI_OK &&
           peri_expr_number(m, 0.5, &zero) == PERI_OK && peri_expr_op(m, PERI_OP_MUL, 2, (const peri_expr[]){zero, f}, &f) == PERI_OK &&
           peri_model_minimize(m, f) == PERI_OK;
    if (!good) {
        fprintf(stderr, "%s\n", peri_error(ctx));
        exit(2);
    }
    return m;
}

static peri_status project_onto(peri_context *ctx, const polyhedron *p, int64_t points, const double *v, double *x)
{
    peri_model *m = model_of(ctx, p, NULL);
    const peri_status status = project(m, points, v, x);
    peri_model_free(m);
    return status;
}

static double excess(double v, double lower, double upper)
{
    return fmax(0, fmax(lower - v, v - upper)) / (1 + fmin(fabs(lower), fabs(upper)));
}

static double violation(const polyhedron *p, const double *x)
{
    double most = 0;
    for (int64_t j = 0; j < p->n; j++)
        most = fmax(most, excess(x[j], p->xl[j], p->xu[j]));
    for (int64_t i = 0; i < p->m; i++) {
        double sum = 0;
        for (int64_t j = 0; j < p->n; j++)
            sum += p->a[i * p->n + j] * x[j];
        most = fmax(most, excess(sum, p->cl[i], p->cu[i]));
    }
    return most;
}

static double distance(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sqrt(sum);
}

/* ---- closed forms --------------------------------------------------------------------------------------------------------------- */

static void test_box(peri_context *ctx)
{
    polyhedron p = polyhedron_new(4, 0);
    const double v[4] = {-2.385, 0.7193, 1e30, -4}, want[4] = {-1.5, 0.7193, 2.25, -4};
    double x[4];
    p.xl[0] = -1.5;
    p.xu[2] = 2.25;
    is_int(project_onto(ctx, &p, 1, v, x), PERI_OK, "a box");
    all_close(4, x, want, 0, 0, "is clipped to");
    polyhedron_free(&p);
}

static void test_one_row(peri_context *ctx)
{
    enum { N = 1000 };
    polyhedron p = polyhedron_new(N, 1);
    double v[N], x[N], want[N], work[N], aa = 0, av = 0;
    for (int j = 0; j < N; j++) {
        v[j] = 3 * normal();
        p.a[j] = normal();
        aa += p.a[j] * p.a[j];
        av += p.a[j] * v[j];
    }
    p.cl[0] = p.cu[0] = -2.5;
    for (int j = 0; j < N; j++)
        want[j] = v[j] - (av + 2.5) / aa * p.a[j];
    is_int(project_onto(ctx, &p, 1, v, x), PERI_OK, "a hyperplane");
    all_close(N, x, want, 1e-13, 1e-13, "by its formula");
    p.cl[0] = -INFINITY;
    p.cu[0] = av - 1;
    for (int j = 0; j < N; j++)
        want[j] = v[j] - p.a[j] / aa;
    is_int(project_onto(ctx, &p, 1, v, x), PERI_OK, "a half-space");
    all_close(N, x, want, 1e-13, 1e-12, "from outside by its formula");
    p.cu[0] = av + 1;
    is_int(project_onto(ctx, &p, 1, v, x), PERI_OK, "from inside");
    all_close(N, x, v, 0, 0, "nothing changes");
    for (int j = 0; j < N; j++) {
        p.a[j] = 1;
        p.xl[j] = 0;
        want[j] = v[j];
    }
    p.cl[0] = p.cu[0] = 7.193;
    prox_to_simplex(7.193, N, want, work);
    is_int(project_onto(ctx, &p, 1, v, x), PERI_OK, "a simplex");
    all_close(N, x, want, 1e-12, 1e-13, "as sorting has it");
    ok(job.inner == 0, "without an inner problem");
    polyhedron_free(&p);
}

/* x = v - A'(A A')^-1 (A v - b), by elimination */
static void test_equations(peri_context *ctx)
{
    enum { N = 30, M = 7 };
    polyhedron p = polyhedron_new(N, M);
    double v[N], x[N], s[M][M + 1];
    for (int k = 0; k < N * M; k++)
        p.a[k] = normal() * (k / N == 2 ? 1e4 : 1);
    for (int j = 0; j < N; j++)
        v[j] = normal();
    for (int i = 0; i < M; i++) {
        p.cl[i] = p.cu[i] = normal();
        for (int k = 0; k <= M; k++)
            s[i][k] = k == M ? -p.cl[i] : 0;
        for (int j = 0; j < N; j++)
            for (int k = 0; k <= M; k++)
                s[i][k] += p.a[i * N + j] * (k == M ? v[j] : p.a[k * N + j]);
    }
    for (int i = 0; i < M; i++)
        for (int k = 0; k < M; k++) {
            const double factor = s[k][i] / s[i][i];
            for (int j = i; k != i && j <= M; j++)
                s[k][j] -= factor * s[i][j];
        }
    is_int(project_onto(ctx, &p, 1, v, x), PERI_OK, "%d equations of very different sizes", M);
    for (int j = 0; j < N; j++)
        for (int i = 0; i < M; i++)
            v[j] -= p.a[i * N + j] * s[i][M] / s[i][i];
    all_close(N, x, v, 1e-10, 1e-10, "by the normal equations");
    polyhedron_free(&p);
}

static void test_ball(peri_context *ctx)
{
    static const double v[6] = {3, -4, 0.7193, 0.3, 0.2, 0.1};
    text_model t = text_new(ctx, 3, NULL);
    double x[6];
    text_minimize(&t, "x1+x2+x3");
    text_constrain(&t, "ball", -INFINITY, "(x1-1)^2+x2^2+x3^2", 4);
    is_int(project(t.m, 2, v, x), PERI_OK, "a ball");
    const double length = sqrt(4 + 16 + 0.7193 * 0.7193), want[3] = {1 + 2 * 2 / length, -4 * 2 / length, 0.7193 * 2 / length};
    all_close(3, x, want, 0, 1e-9, "to nine digits");
    all_close(3, x + 3, v + 3, 0, 1e-9, "a point inside stays");
    ok(job.inner == 1, "by one inner problem");
    peri_model_free(t.m);
}

/* ---- polyhedra ------------------------------------------------------------------------------------------------------------------ */

/* Rows of all kinds around a point that is inside or on the border; a third of the bounds finite. */
static polyhedron random_polyhedron(int64_t n, int64_t m, double density)
{
    polyhedron p = polyhedron_new(n, m);
    double inside[MOST];
    for (int64_t j = 0; j < n; j++) {
        inside[j] = normal();
        p.xl[j] = uniform() < 0.3 ? inside[j] - uniform() : -INFINITY;
        p.xu[j] = uniform() < 0.3 ? inside[j] + uniform() : INFINITY;
    }
    for (int64_t i = 0; i < m; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) {
            p.a[i * n + j] = uniform() < density ? normal() : 0;
            sum += p.a[i * n + j] * inside[j];
        }
        const double kind = uniform();
        p.cl[i] = kind < 0.2 ? sum : kind < 0.6 ? sum - uniform() : -INFINITY;
        p.cu[i] = kind < 0.2 ? sum : kind > 0.4 ? sum + (uniform() < 0.3 ? 0 : uniform()) : INFINITY;
    }
    return p;
}

/* How far its point is from x; in a corner that is nearly flat its own error, so that *longer, by how much |x - v| exceeds its, counts too. */
static double against_ipm(peri_context *ctx, const polyhedron *p, const double *v, const double *x, double *longer)
{
    const peri_setting tight = {.key = "tolerance", .type = PERI_VALUE_NUMBER, .number = 1e-10};
    const peri_solve_args args = {.plan = "ipm", .n_settings = 1, .settings = &tight};
    peri_model *m = model_of(ctx, p, v);
    peri_solution *s = NULL;
    double far = INFINITY;
    if (peri_model_solve(m, &args, &s) == PERI_OK) {
        far = distance(p->n, x, s->x);
        *longer = fmax(*longer, distance(p->n, x, v) - distance(p->n, s->x, v));
    }
    peri_solution_free(s);
    peri_model_free(m);
    return far;
}

enum { POINTS = 6 };

static void check_laws(peri_context *ctx, const polyhedron *p, double *worst)
{
    double v[POINTS * MOST], x[POINTS * MOST], again[POINTS * MOST];
    const int64_t n = p->n;
    for (int64_t k = 0; k < POINTS * n; k++)
        v[k] = 3 * normal();
    if (!is_int(project_onto(ctx, p, POINTS, v, x), PERI_OK, "%lld x %lld: projected", (long long)p->m, (long long)n))
        diag("%s", job.message);
    (void)project_onto(ctx, p, POINTS, x, again);
    for (int64_t k = 0; k < POINTS; k++) {
        worst[0] = fmax(worst[0], violation(p, x + k * n));
        worst[1] = fmax(worst[1], distance(n, x + k * n, again + k * n));
        for (int64_t l = 0; l < POINTS; l++) {
            double product = 0;
            for (int64_t j = 0; j < n; j++)
                product += (v[k * n + j] - x[k * n + j]) * (x[l * n + j] - x[k * n + j]);
            worst[2] = fmax(worst[2], product);
            worst[3] = fmax(worst[3], distance(n, x + k * n, x + l * n) - distance(n, v + k * n, v + l * n));
        }
    }
    worst[4] = fmax(worst[4], against_ipm(ctx, p, v, x, &worst[5]));
}

static void test_random(peri_context *ctx)
{
    double worst[6] = {0};
    for (int k = 0; k < 30; k++) {
        const int64_t n = 2 + (int64_t)(uniform() * 30), m = 1 + (int64_t)(uniform() * (double)n);
        polyhedron p = random_polyhedron(n, m, k % 3 == 0 ? 1 : 0.3);
        check_laws(ctx, &p, worst);
        polyhedron_free(&p);
    }
    is_close(worst[0], 0, 0, 1e-10, "polyhedra: the points are in the set");
    is_close(worst[1], 0, 0, 1e-9, "a projection is its own");
    is_close(worst[2], 0, 0, 1e-9, "no other point of the set lies on the side of v");
    is_close(worst[3], 0, 0, 1e-10, "points come no farther apart");
    is_close(worst[4], 0, 0, 1e-4, "where the interior-point method says");
    is_close(worst[5], 0, 0, 1e-9, "and no farther from v than its point");
}

/* Margins of a classifier: a few columns are dense, rows have slacks of their own, so that the normal matrix would be dense. */
static void test_dense_columns(peri_context *ctx)
{
    enum { ROWS = 120, D = 5, N = D + ROWS, SIZE = N };
    polyhedron p = polyhedron_new(N, ROWS);
    double *v = malloc(N * 8), *x = malloc(N * 8), longer = 0;
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < D; j++)
            p.a[i * SIZE + j] = normal();
        p.a[i * SIZE + D + i] = 1;
        p.cl[i] = 1;
    }
    for (int j = 0; j < N; j++)
        v[j] = normal();
    is_int(project_onto(ctx, &p, 1, v, x), PERI_OK, "dense columns");
    is_close(violation(&p, x), 0, 0, 1e-12, "are no obstacle");
    is_close(against_ipm(ctx, &p, v, x, &longer), 0, 0, 1e-6, "and the point is the interior-point method's");
    polyhedron_free(&p);
    free(v);
    free(x);
}

/* One corner with more rows than variables, each row twice. */
static void test_degenerate(peri_context *ctx)
{
    enum { N = 5, M = 24 };
    polyhedron p = polyhedron_new(N, M);
    double v[N], x[N], want[N] = {0.25, -0.5, 2.385, 0.7193, 1};
    for (int i = 0; i < M; i += 2) {
        double sum = 0;
        for (int j = 0; j < N; j++) {
            p.a[i * N + j] = p.a[(i + 1) * N + j] = i < 2 * N ? (i / 2 == j) : uniform();
            sum += p.a[i * N + j] * want[j];
        }
        p.cu[i] = p.cu[i + 1] = sum;
    }
    for (int j = 0; j < N; j++)
        v[j] = want[j] + 1 + uniform();
    is_int(project_onto(ctx, &p, 1, v, x), PERI_OK, "a corner of many rows");
    all_close(N, x, want, 0, 1e-9, "is found");
    for (int i = 0; i < M; i++)
        p.cl[i] = p.cu[i]; /* equations: the corner alone, with redundant rows */
    is_int(project_onto(ctx, &p, 1, v, x), PERI_OK, "more equations than variables");
    all_close(N, x, want, 0, 1e-9, "that agree");
    polyhedron_free(&p);
}

/* ---- trouble ---------------------------------------------------------------------------------------------------------------------- */

static void test_empty(peri_context *ctx)
{
    text_model t = text_new(ctx, 3, NULL);
    double x[3], v[3] = {1, 2, 3};
    text_bounds(&t, 0, 1);
    text_minimize(&t, "x1+x2+x3");
    text_constrain(&t, "room", -INFINITY, "x1-x2", 5);
    text_constrain(&t, "demand", 4, "x1+x2+x3", INFINITY);
    is_int(project(t.m, 1, v, x), PERI_E_NUMERIC, "no point of the box is in a half-space");
    has_text(job.message, "\"test\": \"demand\" cannot hold", "its row is named");
    peri_model_free(t.m);
    t = text_new(ctx, 2, NULL);
    text_minimize(&t, "x1");
    text_constrain(&t, "one", 1, "x1+2*x2", 1);
    text_constrain(&t, "two", -INFINITY, "2*x1+4*x2", 1.5);
    is_int(project(t.m, 1, v, x), PERI_E_NUMERIC, "parallel rows apart");
    has_text(job.message, "cannot hold together with the others", "say so");
    peri_model_free(t.m);
    t = text_new(ctx, 2, NULL);
    text_minimize(&t, "x1");
    text_constrain(&t, "ball", -INFINITY, "x1^2+x2^2", 1);
    text_constrain(&t, "far", 3, "x1", INFINITY);
    is_int(project(t.m, 1, v, x), PERI_E_NUMERIC, "a ball and a half-space apart");
    has_text(job.message, "no point satisfies the bounds and constraints of \"test\"", "say so");
    v[1] = NAN;
    is_int(project(t.m, 1, v, x), PERI_E_NUMERIC, "a point that is not a number");
    has_text(job.message, "entry 2 of the point is nan", "is named");
    peri_model_free(t.m);
}

static void test_memory(peri_context *ctx, bool general)
{
    static const double v[4] = {2, 1, 0.5, 3};
    int64_t wrong = 0, leaks = 0, k = 1;
    for (bool done = false; !done; k += 1 + k / 10) {
        int64_t before = 0, after = 0;
        double x[4];
        peri_memory(ctx, NULL, NULL, &before);
        peri_memory_fail_at(ctx, k, k % 2 == 0);
        text_model t = text_new(ctx, 4, NULL);
        text_minimize(&t, "x1+x2");
        text_constrain(&t, "a", 1, "x1+x2+x3", 1);
        text_constrain(&t, "b", -INFINITY, general ? "x1^2+x4^2" : "x1+x4", 2);
        const peri_status status = t.failed ? PERI_E_NOMEM : project(t.m, 1, v, x);
        done = ctx->mem.countdown > 0;
        peri_memory_fail_at(ctx, 0, false);
        wrong += status != PERI_OK && status != PERI_E_NOMEM;
        peri_model_free(t.m);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += before != after;
    }
    is_int(wrong, 0, "out of memory at %lld places or so is that or nothing", (long long)k);
    is_int(leaks, 0, "and leaks nothing");
}

int main(void)
{
    peri_context *ctx = installed_context();
    test_box(ctx);
    test_one_row(ctx);
    test_equations(ctx);
    test_ball(ctx);
    test_random(ctx);
    test_dense_columns(ctx);
    test_degenerate(ctx);
    test_empty(ctx);
    test_memory(ctx, false);
    test_memory(ctx, true);
    peri_context_free(ctx);
    return tap_done();
}
