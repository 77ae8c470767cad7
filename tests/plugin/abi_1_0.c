/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abi_1_0 - steepest descent with Armijo backtracking, as an author would have written it against the first interface.
 * Its source stays as it is: later versions of the engine must load what was once compiled from it. Nocedal and Wright
 * 2006, algorithm 3.1. Between steps: x is the best point seen; f and g are finite and belong to x.
 */
#include <perigee/plugin.h>

typedef struct {
    double decrease, shrink;
    int64_t trials;
    int32_t patient, first;
    const char *label;
} options;

static const char *const first_lengths[] = {"unit", "gradient", NULL};
static const peri_option option_list[] = {
    PERI_REAL("decrease", options, decrease, 1e-4, 0, 0.5, "1", "share of the predicted decrease to reach"),
    PERI_REAL("shrink", options, shrink, 0.5, 0.01, 0.99, "1", "factor on the length of a refused step"),
    PERI_INT("trials", options, trials, 60, 1, 1000, "steps", "most step lengths tried in an iteration"),
    PERI_BOOL("patient", options, patient, 1, "begin each search with twice the last length"),
    PERI_ENUM("first", options, first, 1, first_lengths, "length of the first step"),
    PERI_STRING("label", options, label, "descent", "name in the log"),
};

typedef struct {
    double *x, *g, *trial; /* [n] each */
    double f, length;      /* objective at x; last accepted step length */
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

static double largest(int64_t n, const double *v)
{
    double most = 0.0;
    for (int64_t i = 0; i < n; i++)
        most = v[i] > most ? v[i] : -v[i] > most ? -v[i] : most;
    return most;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    TRY(peri_alloc(run, s->n, &s->x));
    TRY(peri_alloc(run, s->n, &s->g));
    TRY(peri_alloc(run, s->n, &s->trial));
    TRY(peri_start(run, s->x));
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    s->length = s->opt.first == 1 ? 0.5 / (1.0 + largest(s->n, s->g)) : 0.5;
    peri_note(run, 2, s->opt.label);
    return PERI_OK;
}

/* A point with sufficient decrease into trial; *found false: there was none. */
static peri_status search(state *s, peri_run *run, double gg, bool *found)
{
    double f = 0.0;
    s->length *= s->opt.patient ? 2.0 : 1.0;
    *found = false;
    for (int64_t k = 0; k < s->opt.trials && !peri_should_stop(run); k++, s->length *= s->opt.shrink) {
        for (int64_t i = 0; i < s->n; i++)
            s->trial[i] = s->x[i] - s->length * s->g[i];
        const peri_status e = peri_eval_f(run, s->trial, &f);
        if (e == PERI_E_DOMAIN)
            continue; /* undefined there: a shorter step, not a failure */
        TRY(e);
        if (f <= s->f - s->opt.decrease * s->length * gg) {
            *found = true;
            return PERI_OK;
        }
    }
    return PERI_OK;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    bool found = false;
    if (largest(s->n, s->g) <= peri_get_limits(run)->tolerance) {
        peri_row last = peri_empty_row();
        last.objective = s->f;
        TRY(peri_accept(run, s->x, NULL, s->g, &last, next));
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    }
    TRY(search(s, run, squared_norm(s->n, s->g), &found));
    if (!found)
        return peri_finish(run, peri_should_stop(run) ? PERI_WHY_LIMIT : PERI_WHY_STALLED, next);
    double *old = s->x;
    s->x = s->trial;
    s->trial = old;
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.dual = largest(s->n, s->g);
    row.step = s->length;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static void fini(void *self, peri_run *run)
{
    (void)self; /* the run owns everything */
    (void)run;
}

static const peri_solver_ops ops = {.init = init, .step = step, .fini = fini};
static const peri_plugin descent = {
    PERI_SOLVER(state, options, option_list),
    .ops = &ops,
    .name = "abi_1_0",
    .family = "test",
    .version = "1.0",
    .license = "Apache-2.0",
    .summary = "steepest descent with backtracking; a baseline",
    .page = "Steps along the negative gradient, halved until the objective has decreased enough.",
    .reference = "Nocedal and Wright 2006, algorithm 3.1",
    .needs = {PERI_NEEDS_GRADIENT},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_BOUNDS | PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    .gives = PERI_GIVES_DUALS,
};
static const peri_plugin *const all[] = {&descent, NULL};
PERI_PLUGIN(all)
