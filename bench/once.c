/* SPDX-License-Identifier: Apache-2.0 */
/*
 * once - a solver plugin that evaluates objective, gradient, constraints and Jacobian once at the start point and stops: a model is grouped, derived and
 * compiled up to first derivatives, as for any first-order method, and nothing else takes memory.
 */
#include <perigee/plugin.h>

typedef struct {
    int64_t unused;
} options;

static const peri_option option_list[] = {
    PERI_INT("unused", options, unused, 0, 0, 1, "1", "nothing"),
};

typedef struct {
    double *x, *g, *c, *jac; /* [n], [n], [m], [nnz] */
} state;

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_pattern pattern = {0};
    (void)opt;
    TRY(peri_alloc(run, peri_n(run), &s->x));
    TRY(peri_alloc(run, peri_n(run), &s->g));
    TRY(peri_alloc(run, peri_m(run), &s->c));
    if (peri_m(run) > 0)
        TRY(peri_jac_pattern(run, &pattern));
    TRY(peri_alloc(run, pattern.nnz, &s->jac));
    return peri_start(run, s->x);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    double f = 0.0;
    TRY(peri_eval_fg(run, s->x, &f, s->g));
    if (peri_m(run) > 0) {
        TRY(peri_eval_c(run, s->x, s->c));
        TRY(peri_eval_jac(run, s->x, s->jac));
    }
    const peri_row row = peri_empty_row();
    TRY(peri_accept(run, s->x, NULL, NULL, &row, next));
    return peri_finish(run, PERI_WHY_LIMIT, next);
}

static void fini(void *self, peri_run *run)
{
    (void)self;
    (void)run;
}

static const peri_solver_ops ops = {.init = init, .step = step, .fini = fini};
static const peri_plugin once = {
    PERI_SOLVER(state, options, option_list),
    .ops = &ops,
    .name = "once",
    .family = "bench",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "evaluates up to first derivatives once, for what building costs",
    .page = "Evaluates objective, gradient, constraints and Jacobian once at the start point.",
    .reference = "none",
    .needs = {PERI_NEEDS_GRADIENT},
};
static const peri_plugin *const all[] = {&once, NULL};
PERI_PLUGIN(all)
