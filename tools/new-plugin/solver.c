/* SPDX-License-Identifier: Apache-2.0 */
/*
 * @NAME@ - gradient descent: the step length of Barzilai and Borwein, shortened until the objective is below the largest of the last few by
 * a share of what the gradient predicts (Raydan 1997). Between steps f and g are finite and belong to x.
 */
#include <perigee/plugin.h>
#include <math.h>

/* ---- options: what users can set, with default, range, unit and one line of help; perigee shows, reads and checks them */

typedef struct {
    double decrease, shrink;
    int64_t memory;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("decrease", options, decrease, 1e-4, 0, 0.5, "1", "share of the predicted decrease to reach"),
    PERI_REAL("shrink", options, shrink, 0.5, 0.01, 0.99, "1", "factor on the length of a refused step"),
    PERI_INT("memory", options, memory, 10, 1, 1000, "iterations", "objectives of which a new one must be below the largest"),
};

/* ---- state: size_state bytes that perigee gives each run, zeroed; nothing is static, as several runs may be under way */

typedef struct {
    options opt;
    int64_t n, iteration;
    double *x, *g, *trial, *trial_g; /* [n] */
    double *recent;                  /* [memory] the last objectives */
    double f, length;                /* objective at x; length that the next step tries first */
} state;

static double largest(int64_t n, const double *v)
{
    double most = 0;
    for (int64_t j = 0; j < n; j++)
        most = fmax(most, fabs(v[j]));
    return most;
}

static double dot(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        sum += a[j] * b[j];
    return sum;
}

/* ---- init: all memory of the run, and the start point. TRY returns a failure at once; perigee frees what was allocated. */

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    TRY(peri_alloc(run, s->n, &s->x));
    TRY(peri_alloc(run, s->n, &s->g));
    TRY(peri_alloc(run, s->n, &s->trial));
    TRY(peri_alloc(run, s->n, &s->trial_g));
    TRY(peri_alloc(run, s->opt.memory, &s->recent));
    TRY(peri_start(run, s->x));
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    for (int64_t k = 0; k < s->opt.memory; k++)
        s->recent[k] = s->f;
    s->length = 1 / fmax(1, largest(s->n, s->g));
    return PERI_OK;
}

/* ---- step: one iteration; perigee calls it until it finishes or a limit does */

/* A point that is low enough into trial, with *f and trial_g; *found false: there is none, or the run is to end. */
static peri_status search(state *s, peri_run *run, double *f, bool *found)
{
    const double gg = dot(s->n, s->g, s->g), size = 1 + largest(s->n, s->x);
    double reference = -INFINITY;
    for (int64_t k = 0; k < s->opt.memory; k++)
        reference = fmax(reference, s->recent[k]);
    *found = false;
    for (; s->length * sqrt(gg) > 1e-16 * size && !peri_should_stop(run); s->length *= s->opt.shrink) {
        for (int64_t j = 0; j < s->n; j++)
            s->trial[j] = s->x[j] - s->length * s->g[j];
        const peri_status status = peri_eval_fg(run, s->trial, f, s->trial_g);
        if (status == PERI_E_DOMAIN)
            continue; /* undefined there: a shorter step, no failure */
        TRY(status);
        if (*f <= reference - s->opt.decrease * s->length * gg) {
            *found = true;
            return PERI_OK;
        }
    }
    return PERI_OK;
}

/* The length for the next step: (dx'dx) / (dx'dg), in a range that is never left (Barzilai and Borwein 1988). */
static double next_length(const state *s)
{
    double dxdx = 0, dxdg = 0;
    for (int64_t j = 0; j < s->n; j++) {
        const double dx = s->trial[j] - s->x[j];
        dxdx += dx * dx;
        dxdg += dx * (s->trial_g[j] - s->g[j]);
    }
    return dxdg > 0 ? fmin(fmax(dxdx / dxdg, 1e-10), 1e10) : fmin(10 * s->length, 1e10);
}

static void swap(double **a, double **b)
{
    double *t = *a;
    *a = *b;
    *b = t;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    bool found;
    double f = s->f;
    if (largest(s->n, s->g) <= peri_get_limits(run)->tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    TRY(search(s, run, &f, &found));
    if (!found)
        return peri_finish(run, peri_should_stop(run) ? PERI_WHY_LIMIT : PERI_WHY_STALLED, next);

    peri_row row = peri_empty_row();
    row.step = s->length;
    s->length = next_length(s);
    swap(&s->x, &s->trial);
    swap(&s->g, &s->trial_g);
    s->f = f;
    s->recent[++s->iteration % s->opt.memory] = f;
    row.objective = f;
    row.dual = largest(s->n, s->g);
    return peri_accept(run, s->x, NULL, NULL, &row, next); /* no multipliers: perigee estimates those it needs */
}

/* ---- the table: what the method is, needs and refuses, and its page for `perigee show @NAME@` */

static const char PAGE[] =
    "Minimises a smooth function without bounds and constraints by steps along its negative gradient. The length of a step comes from "
    "the last change of point and gradient; it is shortened until the objective is below the largest of the last \"memory\" ones. "
    "Cheap steps and little memory, but many steps where the problem is badly scaled.\n\n"
    "The run ends when no entry of the gradient exceeds the tolerance (converged), or when a step would be too short to change the "
    "point (stalled). History: objective, step (the accepted length), dual (the gradient's largest entry).";

static const peri_solver_ops OPS = {.init = init, .step = step};

static const peri_plugin PLUGIN = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "@NAME@",
    .family = "local",
    .version = "0.1",
    .license = "Apache-2.0",
    .summary = "gradient descent with spectral step lengths",
    .page = PAGE,
    .reference = "Barzilai and Borwein 1988, IMA J. Numer. Anal. 8:141; Raydan 1997, SIAM J. Optim. 7:26",
    .needs = {PERI_NEEDS_GRADIENT},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_BOUNDS | PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    .rank = 0,
};

static const peri_plugin *const ALL[] = {&PLUGIN, NULL};
PERI_PLUGIN(ALL)
