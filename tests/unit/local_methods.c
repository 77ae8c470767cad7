/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local methods on problems given in C, behind a host table of the test's own, so that nothing of the engine's
 * evaluation takes part: classical sums of squares (More, Garbow and Hillstrom 1981, by their numbers there) with and
 * without bounds, quadratics with known solutions, undefined regions, objectives without a minimum, evaluation counts.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tap/tap.h"
#include <complex.h>
#include <dlfcn.h>
#include <math.h>
#include <perigee/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- problems: sums of squares of terms with few variables, or any function ----------------------------------------
 */

typedef struct {
    int count;
    int64_t var[4];
    double r, d[4], h[4][4]; /* value, gradient, Hessian (symmetric, both halves) */
} term;

typedef struct problem {
    const char *name;
    int64_t n, terms;
    void (*evaluate)(const struct problem *p, int64_t k, const double *x, term *t);
    /* Instead of terms: value and gradient in complex numbers, from whose imaginary part Hessian products follow
     * exactly. */
    void (*analytic)(const struct problem *p, const double complex *x, double complex *f, double complex *g);
    double *start, *lower, *upper;
    const double *data;
} problem;

static const double TINY = 1e-40; /* a complex step without cancellation: Squire and Trapp 1998 */

static double complex *complex_point(const problem *p, const double *x, const double *v)
{
    double complex *z = calloc(2 * (size_t)p->n + 1, sizeof *z);
    for (int64_t i = 0; i < p->n; i++)
        z[i] = v != NULL ? x[i] + TINY * I * v[i] : x[i];
    return z;
}

static bool evaluate_analytic(const problem *p, const double *x, double *f, double *g)
{
    double complex *z = complex_point(p, x, NULL), value = 0;
    bool good = true;
    p->analytic(p, z, &value, z + p->n);
    *f = creal(value);
    for (int64_t i = 0; i < p->n && g != NULL; i++) {
        g[i] = creal(z[p->n + i]);
        good = good && isfinite(g[i]);
    }
    free(z);
    return good && isfinite(*f);
}

static bool evaluate(const problem *p, const double *x, double *f, double *g)
{
    if (p->analytic != NULL)
        return evaluate_analytic(p, x, f, g);
    *f = 0;
    if (g != NULL)
        memset(g, 0, (size_t)p->n * sizeof *g);
    for (int64_t k = 0; k < p->terms; k++) {
        term t = {0};
        p->evaluate(p, k, x, &t);
        *f += t.r * t.r;
        for (int i = 0; i < t.count && g != NULL; i++)
            g[t.var[i]] += 2 * t.r * t.d[i];
    }
    return isfinite(*f);
}

static void hessian_product(const problem *p, const double *x, const double *v, double *hv)
{
    if (p->analytic != NULL) {
        double complex *z = complex_point(p, x, v), f = 0;
        p->analytic(p, z, &f, z + p->n);
        for (int64_t i = 0; i < p->n; i++)
            hv[i] = cimag(z[p->n + i]) / TINY;
        free(z);
        return;
    }
    memset(hv, 0, (size_t)p->n * sizeof *hv);
    for (int64_t k = 0; k < p->terms; k++) {
        term t = {0};
        double dv = 0;
        p->evaluate(p, k, x, &t);
        for (int i = 0; i < t.count; i++)
            dv += t.d[i] * v[t.var[i]];
        for (int i = 0; i < t.count; i++) {
            double sum = t.d[i] * dv;
            for (int j = 0; j < t.count; j++)
                sum += t.r * t.h[i][j] * v[t.var[j]];
            hv[t.var[i]] += 2 * sum;
        }
    }
}

/* ---- a host
 * ---------------------------------------------------------------------------------------------------------- */

struct peri_run {
    mem mem;
    arena memory;
    const problem *p;
    peri_limits limits;
    double *x; /* [n] last accepted */
    double f;
    int64_t f_count, hv_count, rows, steps;
    peri_why why;
    bool bounded, rose, outside; /* the objective rose between iterations; an evaluation left the box */
    double worst_radius;
};

static int64_t host_n(const peri_run *run)
{
    return run->p->n;
}

static int64_t host_m(const peri_run *run)
{
    (void)run;
    return 0;
}

static void host_bounds(const peri_run *run, const double **xl, const double **xu, const double **cl, const double **cu)
{
    (void)cl;
    (void)cu;
    *xl = run->p->lower;
    *xu = run->p->upper;
}

static bool host_has_trait(const peri_run *run, peri_trait trait)
{
    return trait == PERI_TRAIT_BOUNDS && run->bounded;
}

static void *host_alloc(peri_run *run, size_t count, size_t size)
{
    return arena_array(&run->memory, count, size);
}

static peri_status host_start(peri_run *run, double *x)
{
    for (int64_t i = 0; i < run->p->n; i++)
        x[i] = fmin(fmax(run->p->start[i], run->p->lower[i]), run->p->upper[i]);
    return PERI_OK;
}

static void check_inside(peri_run *run, const double *x)
{
    for (int64_t i = 0; i < run->p->n && run->bounded; i++)
        run->outside = run->outside || !(x[i] >= run->p->lower[i] && x[i] <= run->p->upper[i]);
}

static peri_status host_eval_f(peri_run *run, const double *x, double *f)
{
    run->f_count++;
    check_inside(run, x);
    return evaluate(run->p, x, f, NULL) ? PERI_OK : PERI_E_DOMAIN;
}

static peri_status host_eval_fg(peri_run *run, const double *x, double *f, double *g)
{
    run->f_count++;
    check_inside(run, x);
    return evaluate(run->p, x, f, g) ? PERI_OK : PERI_E_DOMAIN;
}

static peri_status host_eval_hv(peri_run *run, const double *x, double sigma, const double *w, const double *v,
                                double *hv)
{
    (void)w;
    run->hv_count++;
    hessian_product(run->p, x, v, hv);
    for (int64_t i = 0; i < run->p->n; i++)
        hv[i] *= sigma;
    return PERI_OK;
}

static const peri_limits *host_limits(const peri_run *run)
{
    return &run->limits;
}

static bool host_should_stop(peri_run *run)
{
    return run->f_count >= run->limits.evaluations || run->steps > run->limits.iterations;
}

static peri_status host_accept(peri_run *run, const double *x, const double *y, const double *z, const peri_row *row,
                               peri_step *next)
{
    (void)y;
    (void)z;
    if (run->rows > 0 && row->objective > run->f + 1e-12 * fabs(run->f))
        run->rose = true;
    run->f = row->objective;
    memcpy(run->x, x, (size_t)run->p->n * sizeof *x);
    run->rows++;
    next->accepted = true;
    next->why = PERI_WHY_CONTINUE;
    if (getenv("LOCAL_TRACE") != NULL)
        diag("%lld f %.15g dual %.3g step %.3g radius %.3g %c", (long long)run->rows, row->objective, row->dual,
             row->step, row->trust_radius, row->tag ? row->tag : ' ');
    return PERI_OK;
}

static peri_status host_finish(peri_run *run, peri_why why, peri_step *next)
{
    run->why = why;
    next->why = why;
    return PERI_OK;
}

static void host_note(peri_run *run, int level, const char *text)
{
    (void)run;
    (void)level;
    (void)text;
}

static peri_status host_fail(peri_run *run, peri_status code, const char *text)
{
    (void)run;
    diag("%s", text);
    return code;
}

static const peri_host HOST = {.size = (uint32_t)sizeof(peri_host),
                               .major = PERI_ABI_MAJOR,
                               .minor = PERI_ABI_MINOR,
                               .n = host_n,
                               .m = host_m,
                               .bounds = host_bounds,
                               .has_trait = host_has_trait,
                               .alloc = host_alloc,
                               .start = host_start,
                               .eval_f = host_eval_f,
                               .eval_fg = host_eval_fg,
                               .eval_hv = host_eval_hv,
                               .limits = host_limits,
                               .should_stop = host_should_stop,
                               .accept = host_accept,
                               .finish = host_finish,
                               .note = host_note,
                               .fail = host_fail,
                               .clock = clock_seconds};

static const peri_plugin *load(const char *name)
{
    char path[1024];
    const char *build = getenv("PERIGEE_BUILD");
    snprintf(path, sizeof path, "%s/plugins/local/%s.so", build != NULL ? build : ".", name);
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

/* ---- one solve
 * --------------------------------------------------------------------------------------------------------- */

typedef struct {
    peri_status status;
    peri_why why;
    double f, kkt, *x;
    int64_t evaluations, products, iterations;
    bool rose, outside;
    double seconds;
} outcome;

static double certificate(const problem *p, const double *x)
{
    double *g = malloc((size_t)p->n * sizeof *g), f, most = 0, scale = 1;
    if (!evaluate(p, x, &f, g))
        most = INFINITY;
    for (int64_t i = 0; i < p->n; i++) {
        const double room = g[i] > 0 ? x[i] - p->lower[i] : p->upper[i] - x[i];
        most = fmax(most, fabs(g[i]) * fmin(1, room));
        scale = fmax(scale, fabs(g[i]));
    }
    free(g);
    return most / scale;
}

static outcome solve(const peri_plugin *plugin, const problem *p, double tolerance, int64_t iterations)
{
    const peri_solver_ops *ops = plugin->ops;
    peri_run run = {.p = p, .limits = {.tolerance = tolerance, .iterations = iterations, .evaluations = 1000000}};
    outcome out = {0};
    mem_init(&run.mem, NULL, NULL);
    arena_init(&run.memory, &run.mem);
    for (int64_t i = 0; i < p->n; i++)
        run.bounded = run.bounded || isfinite(p->lower[i]) || isfinite(p->upper[i]);
    run.x = malloc((size_t)(p->n + 1) * sizeof *run.x);
    void *state = arena_array(&run.memory, 1, plugin->size_state);
    char *options = arena_array(&run.memory, 1, plugin->size_options);
    set_defaults(plugin, options);
    const double since = clock_seconds();
    out.status = ops->init(state, &run, options);
    while (out.status == PERI_OK && run.why == PERI_WHY_CONTINUE && run.steps < iterations) {
        peri_step next = {PERI_WHY_CONTINUE, false};
        run.steps++;
        out.status = ops->step(state, &run, &next);
    }
    out.seconds = clock_seconds() - since;
    if (ops->fini != NULL)
        ops->fini(state, &run);
    arena_release(&run.memory);
    out.why = run.why;
    out.f = run.f;
    out.x = run.x;
    out.evaluations = run.f_count;
    out.products = run.hv_count;
    out.iterations = run.rows - 1;
    out.rose = run.rose;
    out.outside = run.outside;
    out.kkt = out.status == PERI_OK ? certificate(p, run.x) : INFINITY;
    return out;
}

static void new_problem(problem *p, const char *name, int64_t n)
{
    memset(p, 0, sizeof *p);
    p->name = name;
    p->n = n;
    p->start = calloc((size_t)n + 1, sizeof *p->start);
    p->lower = malloc((size_t)(n + 1) * sizeof *p->lower);
    p->upper = malloc((size_t)(n + 1) * sizeof *p->upper);
    for (int64_t i = 0; i < n; i++) {
        p->lower[i] = -INFINITY;
        p->upper[i] = INFINITY;
    }
}

static void free_problem(problem *p)
{
    free(p->start);
    free(p->lower);
    free(p->upper);
}

static void set_start(problem *p, int64_t period, const double *values)
{
    for (int64_t i = 0; i < p->n; i++)
        p->start[i] = values[i % period];
}

/* ---- classical functions
 * -------------------------------------------------------------------------------------------------- */

/* (1), (21): 10 (x_2 - x_1^2), 1 - x_1 for each pair */
static void rosenbrock(const problem *p, int64_t k, const double *x, term *t)
{
    const int64_t i = k / 2 * 2;
    (void)p;
    t->count = k % 2 == 0 ? 2 : 1;
    t->var[0] = i;
    t->var[1] = i + 1;
    if (k % 2 == 1) {
        t->r = 1 - x[i];
        t->d[0] = -1;
        return;
    }
    t->r = 10 * (x[i + 1] - x[i] * x[i]);
    t->d[0] = -20 * x[i];
    t->d[1] = 10;
    t->h[0][0] = -20;
}

/* Each variable with the next: n - 1 overlapping pairs. */
static void chained_rosenbrock(const problem *p, int64_t k, const double *x, term *t)
{
    const int64_t i = k / 2;
    (void)p;
    t->count = k % 2 == 0 ? 2 : 1;
    t->var[0] = i;
    t->var[1] = i + 1;
    if (k % 2 == 1) {
        t->r = 1 - x[i];
        t->d[0] = -1;
        return;
    }
    t->r = 10 * (x[i + 1] - x[i] * x[i]);
    t->d[0] = -20 * x[i];
    t->d[1] = 10;
    t->h[0][0] = -20;
}

/* (13), (22) Powell's singular function: f* = 0 at 0, Hessian singular there */
static void powell_singular(const problem *p, int64_t k, const double *x, term *t)
{
    const int64_t i = k / 4 * 4;
    const double a[] = {1, sqrt(5), 1, sqrt(10)}, b[] = {10, -sqrt(5), -2, -sqrt(10)};
    const int first[] = {0, 2, 1, 0}, second[] = {1, 3, 2, 3};
    const int j = (int)(k % 4);
    (void)p;
    t->count = 2;
    t->var[0] = i + first[j];
    t->var[1] = i + second[j];
    const double linear = a[j] * x[t->var[0]] + b[j] * x[t->var[1]];
    t->r = linear;
    t->d[0] = a[j];
    t->d[1] = b[j];
    if (j < 2)
        return;
    const double u = x[t->var[0]] + (j == 2 ? -2 : -1) * x[t->var[1]], c = j == 2 ? -2 : -1, w = j == 2 ? 1 : sqrt(10);
    t->r = w * u * u;
    t->d[0] = 2 * w * u;
    t->d[1] = 2 * w * u * c;
    t->h[0][0] = 2 * w;
    t->h[0][1] = t->h[1][0] = 2 * w * c;
    t->h[1][1] = 2 * w * c * c;
}

/* (14) Wood: f* = 0 at 1 */
static void wood(const problem *p, int64_t k, const double *x, term *t)
{
    (void)p;
    t->count = 2;
    switch (k) {
    case 0:
    case 2:
        t->var[0] = k;
        t->var[1] = k + 1;
        t->d[1] = k == 0 ? 10 : sqrt(90);
        t->r = t->d[1] * (x[k + 1] - x[k] * x[k]);
        t->d[0] = -2 * t->d[1] * x[k];
        t->h[0][0] = -2 * t->d[1];
        break;
    case 1:
    case 3:
        t->count = 1;
        t->var[0] = k - 1;
        t->r = 1 - x[k - 1];
        t->d[0] = -1;
        break;
    default:
        t->var[0] = 1;
        t->var[1] = 3;
        t->d[0] = k == 4 ? sqrt(10) : 1 / sqrt(10);
        t->d[1] = k == 4 ? sqrt(10) : -1 / sqrt(10);
        t->r = t->d[0] * x[1] + t->d[1] * x[3] - (k == 4 ? 2 * sqrt(10) : 0);
    }
}

/* (5) Beale: f* = 0 at (3, 0.5) */
static void beale(const problem *p, int64_t k, const double *x, term *t)
{
    const double y[] = {1.5, 2.25, 2.625};
    const double e = (double)(k + 1);
    (void)p;
    t->count = 2;
    t->var[1] = 1;
    t->r = y[k] - x[0] * (1 - pow(x[1], e));
    t->d[0] = -(1 - pow(x[1], e));
    t->d[1] = x[0] * e * pow(x[1], e - 1);
    t->h[0][1] = t->h[1][0] = e * pow(x[1], e - 1);
    t->h[1][1] = k == 0 ? 0 : x[0] * e * (e - 1) * pow(x[1], e - 2);
}

/* (4) Brown badly scaled: f* = 0 at (1e6, 2e-6) */
static void brown_scaled(const problem *p, int64_t k, const double *x, term *t)
{
    (void)p;
    t->count = k == 2 ? 2 : 1;
    t->var[0] = k == 1 ? 1 : 0;
    t->var[1] = 1;
    t->r = k == 0 ? x[0] - 1e6 : k == 1 ? x[1] - 2e-6 : x[0] * x[1] - 2;
    t->d[0] = k == 2 ? x[1] : 1;
    t->d[1] = x[0];
    if (k == 2)
        t->h[0][1] = t->h[1][0] = 1;
}

/* (7) Helical valley: f* = 0 at (1, 0, 0) */
static void helical(const problem *p, int64_t k, const double *x, term *t)
{
    const double r2 = x[0] * x[0] + x[1] * x[1], r = sqrt(r2), a = 10 / (2 * acos(-1.0));
    const double angle = atan(x[1] / x[0]) + (x[0] < 0 ? acos(-1.0) : 0);
    (void)p;
    t->count = 3;
    t->var[1] = 1;
    t->var[2] = 2;
    if (k == 0) {
        t->r = 10 * x[2] - 10 * a * angle;
        t->d[0] = 10 * a * x[1] / r2;
        t->d[1] = -10 * a * x[0] / r2;
        t->d[2] = 10;
        t->h[0][0] = -20 * a * x[0] * x[1] / (r2 * r2);
        t->h[1][1] = -t->h[0][0];
        t->h[0][1] = t->h[1][0] = 10 * a * (x[0] * x[0] - x[1] * x[1]) / (r2 * r2);
    } else if (k == 1) {
        t->r = 10 * (r - 1);
        t->d[0] = 10 * x[0] / r;
        t->d[1] = 10 * x[1] / r;
        t->h[0][0] = 10 * x[1] * x[1] / (r2 * r);
        t->h[1][1] = 10 * x[0] * x[0] / (r2 * r);
        t->h[0][1] = t->h[1][0] = -10 * x[0] * x[1] / (r2 * r);
    } else {
        t->r = x[2];
        t->d[2] = 1;
    }
}

/* Dixon and Price: (x_1 - 1)^2 + sum i (2 x_i^2 - x_{i-1})^2;  f* = 0 */
static void dixon_price(const problem *p, int64_t k, const double *x, term *t)
{
    (void)p;
    t->count = k == 0 ? 1 : 2;
    t->var[0] = k;
    t->var[1] = k - 1;
    const double w = sqrt((double)(k + 1));
    t->r = k == 0 ? x[0] - 1 : w * (2 * x[k] * x[k] - x[k - 1]);
    t->d[0] = k == 0 ? 1 : 4 * w * x[k];
    t->d[1] = -w;
    t->h[0][0] = k == 0 ? 0 : 4 * w;
}

/* (28) discrete boundary value problem: f* = 0 */
static void boundary_value(const problem *p, int64_t k, const double *x, term *t)
{
    const double h = 1 / (double)(p->n + 1), at = (double)(k + 1) * h, left = k > 0 ? x[k - 1] : 0;
    const double right = k + 1 < p->n ? x[k + 1] : 0, u = x[k] + at + 1;
    t->count = 3;
    t->var[0] = k;
    t->var[1] = k > 0 ? k - 1 : k;
    t->var[2] = k + 1 < p->n ? k + 1 : k;
    t->r = 2 * x[k] - left - right + h * h * u * u * u / 2;
    t->d[0] = 2 + 1.5 * h * h * u * u;
    t->d[1] = k > 0 ? -1 : 0;
    t->d[2] = k + 1 < p->n ? -1 : 0;
    t->h[0][0] = 3 * h * h * u;
}

static double start_of(const problem *p)
{
    double f = NAN;
    return evaluate(p, p->start, &f, NULL) ? f : NAN;
}

static void report(const peri_plugin *plugin, const problem *p, const outcome *o)
{
    diag("%s, %s, n = %lld: %lld iterations, %lld evaluations, %lld products, f %.3g, kkt %.2g, %.3f s", plugin->name,
         p->name, (long long)p->n, (long long)o->iterations, (long long)o->evaluations, (long long)o->products, o->f,
         o->kkt, o->seconds);
}

/* Solved to 1e-8, to the value `f` (absolute within f_tol), in at most `most` evaluations. */
static void solves(const peri_plugin *plugin, const problem *p, double f, double f_tol, int64_t most)
{
    const outcome o = solve(plugin, p, 1e-8, 20000);
    ok(o.status == PERI_OK && o.why == PERI_WHY_CONVERGED && o.kkt <= 1e-8, "%s: %s, n = %lld, to 1e-8", plugin->name,
       p->name, (long long)p->n);
    ok(fabs(o.f - f) <= f_tol, "%s: %s: f = %g (got %.3g from %.3g)", plugin->name, p->name, f, o.f, start_of(p));
    ok(o.evaluations <= most, "%s: %s: %lld evaluations, at most %lld", plugin->name, p->name, (long long)o.evaluations,
       (long long)most);
    ok(!o.rose && !o.outside, "%s: %s: never higher, never outside", plugin->name, p->name);
    report(plugin, p, &o);
    free(o.x);
}

typedef struct {
    const char *name;
    int64_t n, terms;
    void (*evaluate)(const problem *p, int64_t k, const double *x, term *t);
    int period;
    double start[4];
    int64_t most[2]; /* evaluations of lbfgs, of trust-ncg */
    double tolerance;
} classical;

static const classical CLASSICAL[] = {
    {"Rosenbrock", 2, 2, rosenbrock, 2, {-1.2, 1}, {60, 60}, 1e-14},
    {"extended Rosenbrock", 10000, 10000, rosenbrock, 2, {-1.2, 1}, {80, 60}, 1e-10},
    {"chained Rosenbrock", 100, 198, chained_rosenbrock, 2, {0.5, 0.3}, {800, 300}, 1e-12},
    {"Powell singular", 4, 4, powell_singular, 4, {3, -1, 0, 1}, {150, 60}, 1e-9},
    {"extended Powell singular", 20000, 20000, powell_singular, 4, {3, -1, 0, 1}, {200, 60}, 1e-4},
    {"Wood", 4, 6, wood, 2, {-3, -1}, {150, 120}, 1e-12},
    {"Beale", 2, 3, beale, 2, {1, 1}, {40, 30}, 1e-14},
    {"Brown badly scaled", 2, 3, brown_scaled, 2, {1, 1}, {120, 120}, 1e-9},
    {"helical valley", 3, 3, helical, 3, {-1, 0, 0}, {60, 60}, 1e-13},
    {"Dixon-Price", 50, 50, dixon_price, 1, {1}, {1000, 200}, 1e-9},
    {"boundary value", 50, 50, boundary_value, 1, {-0.1}, {4500, 60}, 1e-9},
};

static void test_classical(const peri_plugin *plugin, int which)
{
    for (size_t k = 0; k < sizeof CLASSICAL / sizeof CLASSICAL[0]; k++) {
        const classical *c = &CLASSICAL[k];
        problem p;
        new_problem(&p, c->name, c->n);
        p.terms = c->terms;
        p.evaluate = c->evaluate;
        set_start(&p, c->period, c->start);
        solves(plugin, &p, 0, c->tolerance, c->most[which]);
        free_problem(&p);
    }
}

/* ---- with bounds: Hock and Schittkowski 1981, by their numbers
 * ------------------------------------------------------------ */

static void hs1(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    const double complex a = x[1] - x[0] * x[0], b = 1 - x[0];
    (void)p;
    *f = 100 * a * a + b * b;
    g[0] = -400 * a * x[0] - 2 * b;
    g[1] = 200 * a;
}

static void hs3(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    const double complex a = x[1] - x[0];
    (void)p;
    *f = x[1] + 1e-5 * a * a;
    g[0] = -2e-5 * a;
    g[1] = 1 + 2e-5 * a;
}

static void hs4(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    const double complex a = x[0] + 1;
    (void)p;
    *f = a * a * a / 3 + x[1];
    g[0] = a * a;
    g[1] = 1;
}

static void hs5(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    const double complex a = x[0] - x[1];
    (void)p;
    *f = csin(x[0] + x[1]) + a * a - 1.5 * x[0] + 2.5 * x[1] + 1;
    g[0] = ccos(x[0] + x[1]) + 2 * a - 1.5;
    g[1] = ccos(x[0] + x[1]) - 2 * a + 2.5;
}

static void hs45(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    double complex product = 1;
    for (int64_t i = 0; i < p->n; i++)
        product *= x[i];
    *f = 2 - product / 120;
    for (int64_t i = 0; i < p->n; i++) {
        double complex rest = 1;
        for (int64_t j = 0; j < p->n; j++)
            rest *= j != i ? x[j] : 1;
        g[i] = -rest / 120;
    }
}

static void hs110(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    double complex product = 1;
    *f = 0;
    for (int64_t i = 0; i < p->n; i++) {
        if (creal(x[i]) <= 2 || creal(x[i]) >= 10) {
            *f = NAN;
            return;
        }
        const double complex a = clog(x[i] - 2), b = clog(10 - x[i]);
        *f += a * a + b * b;
        product *= x[i];
        g[i] = 2 * a / (x[i] - 2) - 2 * b / (10 - x[i]);
    }
    const double complex root = cexp(0.2 * clog(product));
    *f -= root;
    for (int64_t i = 0; i < p->n; i++)
        g[i] -= 0.2 * root / x[i];
}

typedef struct {
    const char *name;
    int64_t n;
    void (*analytic)(const problem *p, const double complex *x, double complex *f, double complex *g);
    double start[10], lower[10], upper[10];
    double f, f_tol;
    int64_t most;
} bounded;

#define NONE INFINITY
static const bounded BOUNDED[] = {
    {"HS1", 2, hs1, {-2, 1}, {-NONE, -1.5}, {NONE, NONE}, 0, 1e-14, 80},
    {"HS2", 2, hs1, {2, 2}, {-NONE, 1.5}, {NONE, NONE}, 0.05042618789360708, 1e-14, 40}, /* x_1 from 400 x^3 - 598 x = 2
                                                                                          */
    {"HS2 in its other valley", 2, hs1, {-2, 1}, {-NONE, 1.5}, {NONE, NONE}, 4.941229317989186, 1e-13, 40},
    {"HS3", 2, hs3, {10, 1}, {-NONE, 0}, {NONE, NONE}, 0, 1e-8, 40},
    {"HS4", 2, hs4, {1.125, 0.125}, {1, 0}, {NONE, NONE}, 8.0 / 3, 1e-12, 10},
    {"HS5", 2, hs5, {0, 0}, {-1.5, -3}, {4, 3}, -1.9132229549810367, 1e-14, 30}, /* -sqrt(3)/2 - pi/3 */
    {"HS45", 5, hs45, {2, 2, 2, 2, 2}, {0, 0, 0, 0, 0}, {1, 2, 3, 4, 5}, 1, 1e-14, 30},
    {"HS110",
     10,
     hs110,
     {9, 9, 9, 9, 9, 9, 9, 9, 9, 9},
     {2.001, 2.001, 2.001, 2.001, 2.001, 2.001, 2.001, 2.001, 2.001, 2.001},
     {9.999, 9.999, 9.999, 9.999, 9.999, 9.999, 9.999, 9.999, 9.999, 9.999},
     -45.77846971,
     1e-8,
     30},
    {"HS110 without its bounds",
     10,
     hs110,
     {9, 9, 9, 9, 9, 9, 9, 9, 9, 9},
     {-NONE, -NONE, -NONE, -NONE, -NONE, -NONE, -NONE, -NONE, -NONE, -NONE},
     {NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
     -45.77846971,
     1e-8,
     30},
    {"Rosenbrock below 0.5", 2, hs1, {-1.2, 1}, {-NONE, -NONE}, {0.5, NONE}, 0.25, 1e-13, 80},
    {"Rosenbrock from outside", 2, hs1, {-7, 9}, {-2, -1.5}, {2, 3}, 0, 1e-13, 100},
    {"Rosenbrock with its minimum in a corner", 2, hs1, {-1.2, 1}, {-2, -2}, {1, 1}, 0, 1e-13, 80},
    {"Rosenbrock with x_1 fixed", 2, hs1, {0.3, 0.7}, {0.5, -NONE}, {0.5, NONE}, 0.25, 1e-14, 20},
    {"Rosenbrock with all fixed", 2, hs1, {0.3, 0.7}, {0.5, 0.125}, {0.5, 0.125}, 1.8125, 1e-14, 2},
    {"a single variable", 1, hs45, {0.7}, {0}, {0.9}, 2 - 0.9 / 120, 1e-14, 10},
};

static void test_bounded(const peri_plugin *plugin)
{
    for (size_t k = 0; k < sizeof BOUNDED / sizeof BOUNDED[0]; k++) {
        const bounded *b = &BOUNDED[k];
        problem p;
        new_problem(&p, b->name, b->n);
        p.analytic = b->analytic;
        memcpy(p.start, b->start, (size_t)b->n * sizeof *p.start);
        memcpy(p.lower, b->lower, (size_t)b->n * sizeof *p.lower);
        memcpy(p.upper, b->upper, (size_t)b->n * sizeof *p.upper);
        solves(plugin, &p, b->f, b->f_tol, b->most);
        free_problem(&p);
    }
}

/* ---- a convex quadratic whose minimiser, active bounds and multipliers are chosen
 * ------------------------------------------ */

/* f = (x - a)'A(x - a) / 2 + z'(x - a), A tridiagonal with a condition number of about 1e4; data: a [n], z [n] */
static void quadratic(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    const double *a = p->data, *z = p->data + p->n;
    *f = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const double complex y = x[i] - a[i];
        g[i] = (1 + (double)(i % 10) / 5) * 2.0005 * y;
        if (i > 0)
            g[i] -= x[i - 1] - a[i - 1];
        if (i + 1 < p->n)
            g[i] -= x[i + 1] - a[i + 1];
        *f += y * (g[i] / 2 + z[i]);
        g[i] += z[i];
    }
}

static void test_quadratic(const peri_plugin *plugin, int64_t n, int active, int degenerate)
{
    problem p;
    double *data = calloc(2 * (size_t)n, sizeof *data), worst = 0;
    new_problem(&p, "quadratic", n);
    p.analytic = quadratic;
    p.data = data;
    for (int64_t i = 0; i < n; i++) {
        const double u = (double)(rng_bits(7, 1, (uint64_t)i) >> 11) * 0x1.0p-53;
        const bool is_active = (i * 7) % 100 < active;
        data[i] = 4 * u - 2;
        p.start[i] = 3 * sin((double)i);
        p.lower[i] = is_active && i % 2 == 0 ? data[i] : data[i] - 1.7;
        p.upper[i] = is_active && i % 2 == 1 ? data[i] : data[i] + 0.9;
        if (is_active && (i * 7) % 100 >= degenerate)
            data[n + i] = (i % 2 == 0 ? 1 : -1) * (0.1 + u);
    }
    const outcome o = solve(plugin, &p, 1e-10, 5000);
    for (int64_t i = 0; i < n; i++)
        worst = fmax(worst, fabs(o.x[i] - data[i]));
    report(plugin, &p, &o);
    ok(o.why == PERI_WHY_CONVERGED && o.kkt <= 1e-10 && !o.rose && !o.outside,
       "%s: a quadratic of %lld variables, %d%% active, %d%% without multiplier", plugin->name, (long long)n, active,
       degenerate);
    ok(worst < 1e-6, "%s: its minimiser, to %.1e", plugin->name, worst);
    free(o.x);
    free(data);
    free_problem(&p);
}

/* ---- the edges
 * -------------------------------------------------------------------------------------------------------------- */

/* sum x_i - log x_i: undefined for x_i <= 0, minimum n at 1 */
static void barrier(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    *f = 0;
    for (int64_t i = 0; i < p->n; i++) {
        if (creal(x[i]) <= 0) {
            *f = NAN;
            return;
        }
        *f += x[i] - clog(x[i]);
        g[i] = 1 - 1 / x[i];
    }
}

static void test_domain(const peri_plugin *plugin)
{
    problem p;
    const double start[] = {30, 1e-3, 2.5};
    new_problem(&p, "barrier", 9);
    p.analytic = barrier;
    set_start(&p, 3, start);
    solves(plugin, &p, 9, 1e-12, 120);
    p.start[4] = -1;
    const outcome o = solve(plugin, &p, 1e-8, 100);
    ok(o.status == PERI_E_DOMAIN, "%s: undefined at the start point", plugin->name);
    free(o.x);
    free_problem(&p);
}

static void descending(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    (void)p;
    *f = p->data[0] * x[0] + p->data[1] * x[0] * x[0] + x[1] * x[1];
    g[0] = p->data[0] + 2 * p->data[1] * x[0];
    g[1] = 2 * x[1];
}

static void test_unbounded(const peri_plugin *plugin)
{
    const double data[3][2] = {{-1, 0}, {0.5, -1}, {1, -1e-3}};
    for (int k = 0; k < 3; k++) {
        problem p;
        new_problem(&p, "descending", 2);
        p.analytic = descending;
        p.data = data[k];
        p.start[0] = 0.3;
        p.start[1] = 2;
        if (k == 2)
            p.lower[1] = 0.5;
        const outcome o = solve(plugin, &p, 1e-8, 500);
        ok(o.why == PERI_WHY_UNBOUNDED && o.f < -1e10, "%s: no lower limit, kind %d (%g after %lld)", plugin->name, k,
           o.f, (long long)o.evaluations);
        free(o.x);
        free_problem(&p);
    }
}

/* 1e9 + Rosenbrock: values are known to 1e-7 only */
static void drowned(const problem *p, const double complex *x, double complex *f, double complex *g)
{
    hs1(p, x, f, g);
    *f = creal(*f + 1e9) + I * cimag(*f);
}

static void test_edges(const peri_plugin *plugin)
{
    problem p;
    new_problem(&p, "drowned in rounding", 2);
    p.analytic = drowned;
    p.start[0] = -1.2;
    p.start[1] = 1;
    outcome o = solve(plugin, &p, 1e-8, 2000);
    ok((o.why == PERI_WHY_CONVERGED || o.why == PERI_WHY_STALLED) && o.evaluations < 500 && o.kkt < 1e-3,
       "%s: values that are mostly rounding: ends with kkt %.1e after %lld evaluations", plugin->name, o.kkt,
       (long long)o.evaluations);
    free(o.x);
    o = solve(plugin, &p, 0, 2000);
    ok(o.why == PERI_WHY_CONVERGED || o.why == PERI_WHY_STALLED,
       "%s: a tolerance of zero ends too, after %lld evaluations", plugin->name, (long long)o.evaluations);
    free(o.x);
    o = solve(plugin, &p, 1e-8, 3);
    ok(o.status == PERI_OK && o.why == PERI_WHY_CONTINUE, "%s: three steps and no more", plugin->name);
    free(o.x);
    free_problem(&p);
    new_problem(&p, "nothing", 0);
    p.evaluate = rosenbrock;
    o = solve(plugin, &p, 1e-8, 10);
    ok(o.status == PERI_OK && o.why == PERI_WHY_CONVERGED, "%s: no variables", plugin->name);
    free(o.x);
    free_problem(&p);
}

/* Solutions do not depend on the units of the objective by powers of two, nor on the order of the variables. */
static void test_large(const peri_plugin *plugin)
{
    problem p;
    new_problem(&p, "separate Rosenbrocks", tap_long() ? 1000000 : 200000);
    p.terms = p.n;
    p.evaluate = rosenbrock;
    const double start[] = {-1.2, 1};
    set_start(&p, 2, start);
    const double since = clock_seconds();
    double f, *g = malloc((size_t)p.n * sizeof *g);
    for (int k = 0; k < 5; k++)
        ok(evaluate(&p, p.start, &f, g), "evaluated");
    const double each = (clock_seconds() - since) / 5;
    const outcome o = solve(plugin, &p, 1e-8, 200);
    report(plugin, &p, &o);
    ok(o.why == PERI_WHY_CONVERGED, "%s: %lld variables", plugin->name, (long long)p.n);
    diag("%.2f ms per iteration beside evaluations of %.2f ms",
         1e3 * (o.seconds - each * (double)o.evaluations) / (double)o.iterations, 1e3 * each);
    free(g);
    free(o.x);
    free_problem(&p);
}

int main(void)
{
    static const char *const names[] = {"lbfgs", "trust-ncg"};
    plan_later();
    for (int k = 0; k < 2; k++) {
        const peri_plugin *plugin = load(names[k]);
        if (!ok(plugin != NULL && plugin->kind == PERI_KIND_SOLVER, "%s is a solver", names[k]))
            continue;
        test_classical(plugin, k);
        test_bounded(plugin);
        test_quadratic(plugin, 1000, 0, 0);
        test_quadratic(plugin, 1000, 30, 0);
        test_quadratic(plugin, 1000, 70, 20);
        test_domain(plugin);
        test_unbounded(plugin);
        test_edges(plugin);
        test_large(plugin);
    }
    return tap_done();
}
