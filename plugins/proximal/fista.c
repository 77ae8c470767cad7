/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fista.c - the fast iterative shrinkage-thresholding algorithm: proximal gradient steps from an extrapolated point, the step's length by
 * backtracking, the momentum dropped when it leads up. Invariant: F = s + h at x; y = x + momentum (x - the one before), s and g at y.
 * Sources: Beck and Teboulle 2009; O'Donoghue and Candes 2015 (restart).
 */
#include "proximal.h"

enum { RESTART_NONE, RESTART_VALUE, RESTART_GRADIENT };
static const char *const RESTARTS[] = {"none", "value", "gradient", NULL};

typedef struct {
    double lipschitz, grow;
    int32_t restart, accelerate;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("lipschitz", options, lipschitz, 0, 0, 1e300, "1", "first estimate of the gradient's Lipschitz constant; 0: from two gradients"),
    PERI_REAL("grow", options, grow, 2, 1.01, 100, "1", "factor of the estimate when a step was too long"),
    PERI_ENUM("restart", options, restart, RESTART_GRADIENT, RESTARTS, "when the momentum is dropped: value rises, or gradient points against it"),
    PERI_BOOL("accelerate", options, accelerate, 1, "extrapolate; otherwise plain steps (ISTA)"),
};

typedef struct {
    options opt;
    int64_t n;
    double *x, *before, *y, *g, *trial, *work;
    double F, f_y, lipschitz, momentum, residual; /* momentum: t of the paper */
    prox_progress progress;
} state;

static peri_status tell(state *s, peri_run *run, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->F;
    row.primal = 0;
    row.dual = s->residual;
    row.step = 1 / s->lipschitz;
    row.tag = tag;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

/* |g(x') - g(x)| / |x' - x| for a short step against the gradient */
static peri_status estimate(state *s, peri_run *run)
{
    const double size = prox_largest(s->n, s->g), step = size > 0 ? 1e-4 * fmax(1, prox_largest(s->n, s->y)) / size : 0;
    double f, difference = 0, length = 0;
    for (int64_t i = 0; i < s->n; i++)
        s->trial[i] = s->y[i] - step * s->g[i];
    const peri_status status = step > 0 ? peri_prox_smooth(run, s->trial, &f, s->work) : PERI_E_DOMAIN;
    s->lipschitz = 1;
    if (status != PERI_OK)
        return status == PERI_E_DOMAIN ? PERI_OK : status;
    for (int64_t i = 0; i < s->n; i++) {
        difference = hypot(difference, s->work[i] - s->g[i]);
        length = hypot(length, s->trial[i] - s->y[i]);
    }
    s->lipschitz = fmax(difference / length, 1e-10);
    return PERI_OK;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    double h;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    double **const vectors[] = {&s->x, &s->before, &s->y, &s->g, &s->trial, &s->work};
    for (size_t k = 0; k < PERI_COUNT(vectors); k++)
        TRY(peri_alloc(run, s->n, vectors[k]));
    TRY(peri_start(run, s->x));
    TRY(peri_prox_apply(run, 1e-12, s->x, s->x, &h));
    memcpy(s->y, s->x, (size_t)s->n * sizeof *s->x);
    TRY(peri_prox_smooth(run, s->y, &s->f_y, s->g));
    s->F = s->progress.best = s->f_y + h;
    s->momentum = 1;
    s->lipschitz = s->opt.lipschitz;
    TRY(prox_residual(run, s->n, s->x, s->g, s->work, &s->residual));
    if (!(s->lipschitz > 0))
        TRY(estimate(s, run));
    return tell(s, run, 0, &next);
}

/* trial := prox(y - g / L), L grown until s lies below its quadratic bound there; *value: s + h. */
static peri_status descend(state *s, peri_run *run, double *value, bool *found)
{
    *found = false;
    while (s->lipschitz < 1e100 && !peri_should_stop(run)) {
        double h, f, bound = s->f_y, square = 0, curvature = 0;
        for (int64_t i = 0; i < s->n; i++)
            s->trial[i] = s->y[i] - s->g[i] / s->lipschitz;
        TRY(peri_prox_apply(run, 1 / s->lipschitz, s->trial, s->trial, &h));
        for (int64_t i = 0; i < s->n; i++) {
            const double d = s->trial[i] - s->y[i];
            bound += d * (s->g[i] + 0.5 * s->lipschitz * d);
        }
        const peri_status status = peri_prox_smooth(run, s->trial, &f, s->work);
        if (status != PERI_OK && status != PERI_E_DOMAIN)
            return status;
        for (int64_t i = 0; i < s->n && status == PERI_OK; i++) {
            const double d = s->trial[i] - s->y[i];
            square += d * d;
            curvature += d * (s->work[i] - s->g[i]);
        }
        const double noise = fmax(fabs(bound), fabs(f)); /* where values agree to ten digits the gradients are asked instead */
        const bool close = status == PERI_OK && fabs(f - s->f_y) <= 1e-10 * noise;
        if (status == PERI_OK && (close ? curvature <= s->lipschitz * square * (1 + 1e-10) : f <= bound + 4 * DBL_EPSILON * noise)) {
            *value = f + h;
            *found = true;
            return PERI_OK;
        }
        s->lipschitz *= s->opt.grow;
    }
    return PERI_OK;
}

/* Does the momentum lead up?  (y - trial)'(trial - x) > 0, or F rises. */
static bool leads_up(const state *s, double value)
{
    double product = 0;
    if (s->opt.restart == RESTART_VALUE)
        return value > s->F;
    if (s->opt.restart == RESTART_NONE)
        return false;
    for (int64_t i = 0; i < s->n; i++)
        product += (s->y[i] - s->trial[i]) * (s->trial[i] - s->x[i]);
    return product > 0;
}

static void extrapolate(state *s)
{
    const double t = s->momentum, next = 0.5 * (1 + sqrt(1 + 4 * t * t)), beta = s->opt.accelerate ? (t - 1) / next : 0;
    s->momentum = next;
    for (int64_t i = 0; i < s->n; i++)
        s->y[i] = s->x[i] + beta * (s->x[i] - s->before[i]);
}

/* x := trial; the next y, with s and its gradient there; from x itself where s is undefined at the extrapolated point. */
static peri_status advance(state *s, peri_run *run, double value, char *tag)
{
    double *const spare = s->before;
    if (leads_up(s, value)) {
        s->momentum = 1;
        *tag = 'r';
    }
    s->before = s->x;
    s->x = s->trial;
    s->trial = spare;
    s->F = value;
    TRY(prox_residual(run, s->n, s->x, s->work, s->trial, &s->residual)); /* work: the gradient at x */
    extrapolate(s);
    peri_status status = peri_prox_smooth(run, s->y, &s->f_y, s->g);
    if (status == PERI_E_DOMAIN) {
        memcpy(s->y, s->x, (size_t)s->n * sizeof *s->x);
        s->momentum = 1;
        status = peri_prox_smooth(run, s->y, &s->f_y, s->g);
    }
    return status;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    double value = 0;
    bool found;
    char tag = 0;
    const double tolerance = peri_get_limits(run)->tolerance;
    if (s->residual <= tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    TRY(descend(s, run, &value, &found));
    if (!found)
        return peri_should_stop(run) ? PERI_OK : peri_finish(run, PERI_WHY_STALLED, next);
    TRY(advance(s, run, value, &tag));
    TRY(tell(s, run, tag, next));
    return prox_end(&s->progress, run, s->residual <= tolerance, s->F, 500, next);
}

static const char PAGE[] =
    "Accelerated proximal gradient method for a smooth convex function plus norms, over sets, whose proximal operators are known (the same\n"
    "models as projected-gradient takes, see its page). Steps go from an extrapolated point, with a length found by backtracking; the momentum\n"
    "is dropped when it leads up, which makes the method linearly convergent where the function allows it.\n"
    "\n"
    "For convex problems the value is within O(1 / k^2) of the optimum after k steps. For smooth parts that are not convex take\n"
    "projected-gradient. accelerate = false gives the plain method (ISTA). Tag r: the momentum was dropped. Column step: 1 / Lipschitz estimate.";

/* Everything that the next step needs, to and from a checkpoint. */
static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    PERI_TRANSFER_REALS(run, s, x, s->n);
    PERI_TRANSFER_REALS(run, s, before, s->n);
    PERI_TRANSFER_REALS(run, s, y, s->n);
    PERI_TRANSFER_REALS(run, s, g, s->n);
    PERI_TRANSFER_REALS(run, s, trial, s->n);
    PERI_TRANSFER(run, s, F);
    PERI_TRANSFER(run, s, f_y);
    PERI_TRANSFER(run, s, lipschitz);
    PERI_TRANSFER(run, s, momentum);
    PERI_TRANSFER(run, s, residual);
    PERI_TRANSFER(run, s, progress);
    return PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const peri_plugin FISTA = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "fista",
    .family = "proximal",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "accelerated proximal gradient with restart, for smooth convex functions with norms and simple sets",
    .page = PAGE,
    .reference = "Beck and Teboulle 2009, SIAM J. Imaging Sci. 2:183; O'Donoghue and Candes 2015, Found. Comput. Math. 15:715",
    .needs = {PROX_NEEDS},
    .refuses = {PERI_REFUSES_INTEGER},
    .rank = 35,
};

static const peri_plugin *const ALL[] = {&FISTA, NULL};
PERI_PLUGIN(ALL)
