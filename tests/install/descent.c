/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descent.c - a plugin built outside the tree, by the installed headers alone: steepest descent with backtracking until the decrease is
 * a share of the predicted one (Nocedal and Wright 2006, alg. 3.1). Between steps x is the best point seen, f and g belong to it.
 */
#include <perigee/plugin.h>

typedef struct {
    double decrease, shrink;
} options;

static const peri_option option_list[] = {
    PERI_REAL("decrease", options, decrease, 1e-4, 0, 0.5, "1", "share of the predicted decrease to reach"),
    PERI_REAL("shrink", options, shrink, 0.5, 0.01, 0.99, "1", "factor on the length of a refused step"),
};

typedef struct {
    double *x, *g, *trial; /* [n] each */
    double f, length;
    int64_t n;
    options opt;
} state;

static double squared_norm(int64_t n, const double *v)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sum;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    s->length = 1.0;
    TRY(peri_alloc(run, s->n, &s->x));
    TRY(peri_alloc(run, s->n, &s->g));
    TRY(peri_alloc(run, s->n, &s->trial));
    TRY(peri_start(run, s->x));
    return peri_eval_fg(run, s->x, &s->f, s->g);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const double gg = squared_norm(s->n, s->g);
    const double tolerance = peri_get_limits(run)->tolerance;
    if (gg <= tolerance * tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    double length = 2.0 * s->length, f = s->f;
    for (;; length *= s->opt.shrink) {
        if (length < 1e-20)
            return peri_finish(run, PERI_WHY_STALLED, next);
        for (int64_t i = 0; i < s->n; i++)
            s->trial[i] = s->x[i] - length * s->g[i];
        const peri_status e = peri_eval_f(run, s->trial, &f);
        if (e == PERI_E_DOMAIN)
            continue; /* undefined there: a shorter step */
        TRY(e);
        if (f <= s->f - s->opt.decrease * length * gg)
            break;
    }
    double *old = s->x;
    s->x = s->trial;
    s->trial = old;
    s->length = length;
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.step = length;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static void fini(void *self, peri_run *run)
{
    (void)self; /* the run owns all memory */
    (void)run;
}

static const peri_solver_ops ops = {.init = init, .step = step, .fini = fini};
static const peri_plugin descent = {
    PERI_SOLVER(state, options, option_list),
    .ops = &ops,
    .name = "descent",
    .family = "test",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "steepest descent with backtracking",
    .page = "A baseline for smooth problems without constraints and bounds.",
    .reference = "Nocedal and Wright 2006, alg. 3.1",
    .needs = {PERI_NEEDS_GRADIENT},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_BOUNDS | PERI_REFUSES_INTEGER},
};
static const peri_plugin *const all[] = {&descent, NULL};
PERI_PLUGIN(all)
