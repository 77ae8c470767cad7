/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spg.c - the spectral projected gradient method as a plugin in C, as spg.lua has it in Lua; both take the same steps to the last bit.
 *   cc -shared -fPIC $(pkg-config --cflags perigee) -o spg.so spg.c -lm
 * E. G. Birgin, J. M. Martinez, M. Raydan: Nonmonotone spectral projected gradient methods on convex sets, 2000, algorithm SPG2.
 */
#include <perigee/plugin.h>
#include <string.h>

typedef struct {
    int64_t memory;
    double decrease;
} options;

static const peri_option option_list[] = {
    PERI_INT("memory", options, memory, 10, 1, 1000, "1", "values of the objective that a step is compared with"),
    PERI_REAL("decrease", options, decrease, 1e-4, 1e-12, 0.5, "1", "share of the predicted decrease to reach"),
};

typedef struct {
    options opt;
    int64_t n, kept;
    const double *xl, *xu;
    double *x, *g, *trial, *trial_g, *d; /* [n] */
    double *recent;                      /* [memory], of which `kept` are there, the oldest first */
    double f, length;
} state;

static double inner(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        sum += a[j] * b[j];
    return sum;
}

/* The largest entry of P(x - length g) - x, and that projected step in d. */
static double projected_step(state *s, double length)
{
    double most = 0;
    for (int64_t j = 0; j < s->n; j++) {
        const double at = fmin(fmax(s->x[j] + -length * s->g[j], s->xl[j]), s->xu[j]);
        s->d[j] = at + -1 * s->x[j];
        most = fmax(most, fabs(s->d[j]));
    }
    return most;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    peri_bounds(run, &s->xl, &s->xu, NULL, NULL);
    TRY(peri_alloc(run, s->n, &s->x));
    TRY(peri_alloc(run, s->n, &s->g));
    TRY(peri_alloc(run, s->n, &s->trial));
    TRY(peri_alloc(run, s->n, &s->trial_g));
    TRY(peri_alloc(run, s->n, &s->d));
    TRY(peri_alloc(run, s->opt.memory, &s->recent));
    TRY(peri_start(run, s->x));
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    s->recent[s->kept++] = s->f;
    const double size = projected_step(s, 1);
    s->length = size > 0 ? 1 / size : 1;
    return PERI_OK;
}

/* Shorter and shorter along d, until f is below the largest of the recent values by enough; share 0: never. */
static peri_status search(state *s, peri_run *run, double slope, double *share)
{
    double highest = -INFINITY, f;
    for (int64_t k = 0; k < s->kept; k++)
        highest = fmax(highest, s->recent[k]);
    for (*share = 1; *share > 1e-20; *share /= 2) {
        for (int64_t j = 0; j < s->n; j++)
            s->trial[j] = s->x[j] + *share * s->d[j];
        const peri_status status = peri_eval_f(run, s->trial, &f);
        if (status != PERI_OK && status != PERI_E_DOMAIN)
            return status;
        if (status == PERI_OK && f <= highest + s->opt.decrease * *share * slope)
            return PERI_OK;
    }
    *share = 0;
    return PERI_OK;
}

static void exchange(double **a, double **b)
{
    double *const old = *a;
    *a = *b;
    *b = old;
}

static void remember(state *s)
{
    if (s->kept == s->opt.memory)
        memmove(s->recent, s->recent + 1, (size_t)--s->kept * sizeof *s->recent);
    s->recent[s->kept++] = s->f;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    double share, f;
    if (projected_step(s, 1) <= peri_get_limits(run)->tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    projected_step(s, s->length);
    TRY(search(s, run, inner(s->n, s->d, s->g), &share));
    if (share <= 0)
        return peri_finish(run, PERI_WHY_STALLED, next);
    const peri_status status = peri_eval_fg(run, s->trial, &f, s->trial_g);
    if (status == PERI_E_DOMAIN)
        return peri_finish(run, PERI_WHY_FAILED, next);
    TRY(status);
    /* s = share d, y = the change of the gradient; the next length is s's / s'y */
    const double ss = share * share * inner(s->n, s->d, s->d);
    const double sy = share * (inner(s->n, s->d, s->trial_g) - inner(s->n, s->d, s->g));
    s->length = sy > 0 ? fmin(fmax(ss / sy, 1e-10), 1e10) : 1e10;
    exchange(&s->x, &s->trial);
    exchange(&s->g, &s->trial_g);
    s->f = f;
    remember(s);
    peri_row row = peri_empty_row();
    row.objective = f;
    row.step = share;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static const peri_solver_ops ops = {.init = init, .step = step};
static const peri_plugin spg = {
    PERI_SOLVER(state, options, option_list),
    .ops = &ops,
    .name = "spg-c",
    .family = "example",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "spectral projected gradient with a nonmonotone line search, in C",
    .page = "The method of spg.lua, step for step.",
    .reference = "Birgin, Martinez and Raydan 2000, SIAM J. Optim. 10 (4), algorithm SPG2",
    .needs = {PERI_NEEDS_GRADIENT | PERI_BIT(PERI_TRAIT_OBJECTIVE)},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_INTEGER},
};
static const peri_plugin *const all[] = {&spg, NULL};
PERI_PLUGIN(all)
