/* SPDX-License-Identifier: Apache-2.0 */
/*
 * projected-gradient.c - the proximal gradient method with spectral steps: d = prox_t(x - t g) - x, t by Barzilai and Borwein, and a search along d
 * against the largest of the last values. With sets alone and no norms it is the spectral projected gradient method. Invariant: f = s + h at x, g
 * the gradient of s there; x lies in every set.
 * Sources: Birgin, Martinez and Raydan 2000 (SPG); Wright, Nowak and Figueiredo 2009 (with norms).
 */
#include "proximal.h"

enum { MEMORY_MOST = 64, HALVINGS_MOST = 60 };

typedef struct {
    int64_t memory;
    double decrease;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_INT("memory", options, memory, 10, 1, MEMORY_MOST, "1", "values whose largest a step must stay below; 1: every step goes down"),
    PERI_REAL("decrease", options, decrease, 1e-4, 1e-12, 0.5, "1", "share of the predicted decrease that a step must bring"),
};

typedef struct {
    options opt;
    int64_t n, count; /* iterations */
    double *x, *g, *x_trial, *g_trial, *d, *work;
    double last[MEMORY_MOST];
    double f, h, f_trial, h_trial, t, residual; /* h: the norms' part of f */
    prox_progress progress;
} state;

static const double STEP_LEAST = 1e-30, STEP_MOST = 1e30;

static peri_status tell(state *s, peri_run *run, double step, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.primal = 0;
    row.dual = s->residual;
    row.step = step;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    double **const vectors[] = {&s->x, &s->g, &s->x_trial, &s->g_trial, &s->d, &s->work};
    for (size_t k = 0; k < PERI_COUNT(vectors); k++)
        TRY(peri_alloc(run, s->n, vectors[k]));
    TRY(peri_start(run, s->x));
    TRY(peri_prox_apply(run, 1e-12, s->x, s->x, &s->h)); /* into the sets */
    TRY(peri_prox_smooth(run, s->x, &s->f, s->g));
    s->f += s->h;
    s->last[0] = s->progress.best = s->f;
    TRY(prox_residual(run, s->n, s->x, s->g, s->work, &s->residual));
    s->t = 1 / fmax(1, prox_largest(s->n, s->g));
    return tell(s, run, NAN, &next);
}

static double largest_value(const state *s)
{
    double most = -INFINITY;
    for (int64_t k = 0; k <= s->count && k < s->opt.memory; k++)
        most = fmax(most, s->last[k]);
    return most;
}

/* x + a d: s is evaluated, h is bounded by convexity and then taken as it is there. ret whether it is low enough. */
static peri_status try_at(state *s, peri_run *run, double a, double h_end, double slope, bool *good)
{
    for (int64_t i = 0; i < s->n; i++)
        s->x_trial[i] = s->x[i] + a * s->d[i];
    const peri_status status = peri_prox_smooth(run, s->x_trial, &s->f_trial, s->g_trial);
    *good = false;
    if (status != PERI_OK) {
        s->f_trial = INFINITY;
        return status == PERI_E_DOMAIN ? PERI_OK : status;
    }
    s->h_trial = (1 - a) * s->h + a * h_end; /* an upper bound, exact at a = 1 and where h has no curvature */
    s->f_trial += s->h_trial;
    const double noise = 10 * DBL_EPSILON * fabs(s->f);
    *good = s->f_trial <= largest_value(s) + s->opt.decrease * a * slope + noise;
    return PERI_OK;
}

/* Barzilai and Borwein 1988: s's / s'y from the last two points. */
static double spectral_step(const state *s)
{
    double ss = 0, sy = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const double dx = s->x_trial[i] - s->x[i];
        ss += dx * dx;
        sy += dx * (s->g_trial[i] - s->g[i]);
    }
    return sy > 0 ? fmin(fmax(ss / sy, STEP_LEAST), STEP_MOST) : fmin(10 * s->t, STEP_MOST);
}

static peri_status take(state *s, peri_run *run, double h_end, bool whole)
{
    const double t = spectral_step(s);
    double *const x = s->x, *const g = s->g, exact = s->h_trial;
    s->x = s->x_trial;
    s->x_trial = x;
    s->g = s->g_trial;
    s->g_trial = g;
    s->t = t;
    if (!whole) { /* the true h: what the operator says of a point that a tiny step leaves where it is */
        memcpy(s->work, s->x, (size_t)s->n * sizeof *s->x);
        TRY(peri_prox_apply(run, 1e-300, s->work, s->work, &exact));
    } else {
        exact = h_end;
    }
    s->f = s->f_trial - s->h_trial + exact;
    s->h = exact;
    s->count++;
    s->last[s->count % s->opt.memory] = s->f;
    return prox_residual(run, s->n, s->x, s->g, s->work, &s->residual);
}

/* The decrease to come is lost in rounding: a whole step counts if it makes the residual smaller. */
static peri_status polish(state *s, peri_run *run, double h_end, double slope, double *step)
{
    bool good;
    double residual = INFINITY;
    s->f_trial = INFINITY;
    TRY(try_at(s, run, 1, h_end, slope, &good));
    if (isfinite(s->f_trial))
        TRY(prox_residual(run, s->n, s->x_trial, s->g_trial, s->work, &residual));
    *step = residual < s->residual ? 1 : 0;
    return *step > 0 ? take(s, run, h_end, true) : PERI_OK;
}

static peri_status search(state *s, peri_run *run, double *step)
{
    double h_end, slope;
    for (int64_t i = 0; i < s->n; i++)
        s->d[i] = s->x[i] - s->t * s->g[i];
    TRY(peri_prox_apply(run, s->t, s->d, s->d, &h_end));
    for (int64_t i = 0; i < s->n; i++)
        s->d[i] -= s->x[i];
    slope = prox_dot(s->n, s->g, s->d) + h_end - s->h;
    *step = 0;
    if (!(slope < -10 * DBL_EPSILON * fabs(s->f)))
        return polish(s, run, h_end, slope, step);
    double a = 1;
    for (int k = 0; k < HALVINGS_MOST && slope < 0 && !peri_should_stop(run); k++, a *= 0.5) {
        bool good;
        TRY(try_at(s, run, a, h_end, slope, &good));
        if (good) {
            *step = a;
            return take(s, run, h_end, k == 0);
        }
    }
    return PERI_OK;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    double length;
    const double tolerance = peri_get_limits(run)->tolerance;
    if (s->residual <= tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    TRY(search(s, run, &length));
    if (!(length > 0))
        return peri_should_stop(run) ? PERI_OK : peri_finish(run, PERI_WHY_STALLED, next);
    TRY(tell(s, run, length, next));
    return prox_end(&s->progress, run, s->residual <= tolerance, s->f, 500, next);
}

static const char PAGE[] =
    "Minimizes a smooth function plus norms, over sets, whose proximal operators are known: |x_i| with weights and centers, Euclidean norms of\n"
    "groups, nuclear norms (peri.norm_nuclear); boxes, simplices (sum(x) = s with lower = 0), balls of the Euclidean, the sum and the nuclear\n"
    "norm, halfspaces; each over variables of its own. perigee explain tells whether a model is of that form.\n"
    "\n"
    "Each iteration costs a gradient of the smooth part and one operator: x + a (prox_t(x - t g) - x) with the step t of Barzilai and Borwein; a\n"
    "search shortens a until the value is below the largest of the last \"memory\". The smooth part need not be convex. With bounds and sets\n"
    "alone this is the spectral projected gradient method.\n"
    "\n"
    "The residual is |x - prox_t(x - t g)|, zero exactly at stationary points, kinks included.";

/* Everything that the next step needs, to and from a checkpoint. */
static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    PERI_TRANSFER_REALS(run, s, x, s->n);
    PERI_TRANSFER_REALS(run, s, g, s->n);
    PERI_TRANSFER_REALS(run, s, x_trial, s->n);
    PERI_TRANSFER_REALS(run, s, g_trial, s->n);
    PERI_TRANSFER_REALS(run, s, d, s->n);
    PERI_TRANSFER(run, s, count);
    PERI_TRANSFER(run, s, last);
    PERI_TRANSFER(run, s, f);
    PERI_TRANSFER(run, s, h);
    PERI_TRANSFER(run, s, f_trial);
    PERI_TRANSFER(run, s, h_trial);
    PERI_TRANSFER(run, s, t);
    PERI_TRANSFER(run, s, residual);
    PERI_TRANSFER(run, s, progress);
    return PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const peri_plugin PROJECTED_GRADIENT = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "projected-gradient",
    .family = "proximal",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "proximal gradient with spectral steps, for smooth functions with norms and simple sets",
    .page = PAGE,
    .reference = "Birgin, Martinez and Raydan 2000, SIAM J. Optim. 10:1196; Wright, Nowak and Figueiredo 2009, IEEE Trans. Signal Process. 57:2479",
    .needs = {PROX_NEEDS},
    .refuses = {PERI_REFUSES_INTEGER},
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 38,
};

static const peri_plugin *const ALL[] = {&PROJECTED_GRADIENT, NULL};
PERI_PLUGIN(ALL)
