/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stopwatch - a solver plugin that solves nothing: it evaluates everything a problem offers, many times at the start point, and stops.
 * The run's own accounts (times and numbers of evaluations) then tell what one evaluation costs, as any solver would see it.
 * Invariant: the multipliers are ones, so that no term of the Lagrangian drops out.
 */
#include <perigee/plugin.h>

typedef struct {
    int64_t repeats;
} options;

static const peri_option option_list[] = {
    PERI_INT("repeats", options, repeats, 100, 1, 1e9, "evaluations", "evaluations of each kind"),
};

typedef struct {
    int64_t repeats;
    double *x, *g, *c, *w, *jac, *hess; /* [n], [n], [m], [m], [nnz], [nnz] */
} state;

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->repeats = ((const options *)opt)->repeats;
    TRY(peri_alloc(run, peri_n(run), &s->x));
    TRY(peri_alloc(run, peri_n(run), &s->g));
    TRY(peri_alloc(run, peri_m(run), &s->c));
    TRY(peri_alloc(run, peri_m(run), &s->w));
    peri_pattern pattern = {0};
    TRY(peri_jac_pattern(run, &pattern));
    TRY(peri_alloc(run, pattern.nnz, &s->jac));
    if (peri_has_trait(run, PERI_TRAIT_SPARSE_HESSIAN)) {
        TRY(peri_hess_pattern(run, &pattern));
        TRY(peri_alloc(run, pattern.nnz, &s->hess));
    }
    for (int64_t i = 0; i < peri_m(run); i++)
        s->w[i] = 1.0;
    return peri_start(run, s->x);
}

static peri_status evaluate(state *s, peri_run *run)
{
    double f = 0.0;
    TRY(peri_eval_f(run, s->x, &f));
    TRY(peri_eval_fg(run, s->x, &f, s->g));
    if (peri_m(run) > 0) {
        TRY(peri_eval_c(run, s->x, s->c));
        TRY(peri_eval_jac(run, s->x, s->jac));
    }
    return s->hess != NULL ? peri_eval_hess(run, s->x, 1.0, s->w, s->hess) : PERI_OK;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    for (int64_t k = 0; k < s->repeats; k++)
        TRY(evaluate(s, run));
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
static const peri_plugin stopwatch = {
    PERI_SOLVER(state, options, option_list),
    .ops = &ops,
    .name = "stopwatch",
    .family = "bench",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "evaluates at the start point, for timing",
    .page = "Evaluates objective, gradient, constraints, Jacobian and Hessian at the start point, `repeats` times each.",
    .reference = "none",
    .needs = {PERI_NEEDS_GRADIENT},
};
static const peri_plugin *const all[] = {&stopwatch, NULL};
PERI_PLUGIN(all)
