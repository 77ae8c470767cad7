/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adam - steps along averaged gradients, each coordinate scaled by the root of its averaged square (Kingma and Ba 2015, algorithm 1):
 *
 *     m <- b1 m + (1 - b1) g       v <- b2 v + (1 - b2) g^2       x <- x - rate  m / (1 - b1^k)  /  (sqrt(v / (1 - b2^k)) + eps)
 *
 * with the gradient's norm limited first, weight decay apart from the gradient (Loshchilov and Hutter 2019), the largest v instead of v
 * (Reddi, Kale and Kumar 2018), and rates that fall. Steps end on the bounds. Invariant between steps: f and g are those of x.
 */
#include <math.h>
#include <perigee/plugin.h>
#include <string.h>

enum { CONSTANT, STEPS, COSINE };
static const char *const SCHEDULES[] = {"constant", "steps", "cosine", NULL};

typedef struct {
    double rate, beta1, beta2, epsilon, weight_decay, clip, decay, floor;
    int64_t decay_every;
    int32_t schedule, amsgrad;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("rate", options, rate, 1e-2, 1e-12, 1e6, "1", "learning rate: the length of a step in a coordinate whose gradient keeps its sign"),
    PERI_REAL("beta1", options, beta1, 0.9, 0, 0.999999, "1", "memory of the averaged gradient"),
    PERI_REAL("beta2", options, beta2, 0.999, 0, 0.99999999, "1", "memory of the averaged squared gradient"),
    PERI_REAL("epsilon", options, epsilon, 1e-8, 1e-16, 1, "1", "added to the root of the averaged square"),
    PERI_REAL("weight_decay", options, weight_decay, 0, 0, 1e6, "1", "x shrinks by rate * weight_decay a step, apart from the gradient"),
    PERI_REAL("clip", options, clip, INFINITY, 1e-300, INFINITY, "1", "gradients with a larger Euclidean norm are scaled down to it"),
    PERI_ENUM("schedule", options, schedule, CONSTANT, SCHEDULES,
              "how the rate falls: not; by steps of decay every decay_every iterations; along a cosine to the iteration limit"),
    PERI_REAL("decay", options, decay, 0.5, 1e-6, 1, "1", "steps: factor on the rate"),
    PERI_INT("decay_every", options, decay_every, 1000, 1, 1e15, "1", "steps: iterations between factors"),
    PERI_REAL("floor", options, floor, 0, 0, 1, "1", "least rate, as a part of rate"),
    PERI_BOOL("amsgrad", options, amsgrad, 0, "divide by the root of the largest averaged square so far"),
};

typedef struct {
    options opt;
    int64_t n, k;
    const double *lower, *upper;
    double *x, *g, *m, *v, *most; /* [n]; most: NULL without amsgrad */
    double f, power1, power2;     /* beta^k */
} state;

static double rate_at(const state *s, const peri_run *run)
{
    const options *o = &s->opt;
    const double limit = (double)peri_get_limits(run)->iterations;
    double part = 1;
    if (o->schedule == STEPS)
        part = pow(o->decay, (double)((s->k - 1) / o->decay_every));
    else if (o->schedule == COSINE)
        part = 0.5 * (1 + cos(3.14159265358979323846 * fmin(1, (double)(s->k - 1) / fmax(1, limit))));
    return o->rate * fmax(part, o->floor);
}

static double clamp(const state *s, int64_t i, double x)
{
    return fmin(fmax(x, s->lower[i]), s->upper[i]);
}

/* Largest entry of the gradient, those that press on a bound counted as far as there is room, over max(1, largest of all). */
static double residual(const state *s)
{
    double most = 0, scale = 1;
    for (int64_t i = 0; i < s->n; i++) {
        const double g = s->g[i], room = g > 0 ? s->x[i] - s->lower[i] : s->upper[i] - s->x[i];
        most = fmax(most, fabs(g) * fmin(1, room));
        scale = fmax(scale, fabs(g));
    }
    return most / scale;
}

static peri_status tell(state *s, peri_run *run, double rate, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.dual = residual(s);
    row.step = rate;
    TRY(peri_accept(run, s->x, NULL, NULL, &row, next));
    return row.dual <= peri_get_limits(run)->tolerance ? peri_finish(run, PERI_WHY_CONVERGED, next) : PERI_OK;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    peri_bounds(run, &s->lower, &s->upper, NULL, NULL);
    double **vectors[] = {&s->x, &s->g, &s->m, &s->v};
    for (size_t k = 0; k < PERI_COUNT(vectors); k++)
        TRY(peri_alloc(run, s->n, vectors[k]));
    if (s->opt.amsgrad)
        TRY(peri_alloc(run, s->n, &s->most));
    TRY(peri_start(run, s->x));
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    s->power1 = s->power2 = 1;
    return tell(s, run, s->opt.rate, &next);
}

/* The factor that brings the gradient's norm down to the limit. */
static double clipping(const state *s)
{
    double sum = 0;
    if (!isfinite(s->opt.clip))
        return 1;
    for (int64_t i = 0; i < s->n; i++)
        sum += s->g[i] * s->g[i];
    return sqrt(sum) > s->opt.clip ? s->opt.clip / sqrt(sum) : 1;
}

static void move(state *s, double rate)
{
    const options *o = &s->opt;
    const double part = clipping(s);
    s->power1 *= o->beta1;
    s->power2 *= o->beta2;
    for (int64_t i = 0; i < s->n; i++) {
        const double g = part * s->g[i];
        s->m[i] = o->beta1 * s->m[i] + (1 - o->beta1) * g;
        s->v[i] = o->beta2 * s->v[i] + (1 - o->beta2) * g * g;
        if (s->most != NULL)
            s->most[i] = fmax(s->most[i], s->v[i]);
        const double square = (s->most != NULL ? s->most : s->v)[i] / (1 - s->power2);
        const double step = s->m[i] / (1 - s->power1) / (sqrt(square) + o->epsilon);
        s->x[i] = clamp(s, i, s->x[i] - rate * (step + o->weight_decay * s->x[i]));
    }
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    s->k++;
    const double rate = rate_at(s, run);
    move(s, rate);
    const peri_status status = peri_eval_fg(run, s->x, &s->f, s->g);
    if (status == PERI_E_DOMAIN)
        return peri_fail(run, PERI_E_NUMERIC, "the function is not defined where a step led; a smaller rate, or bounds, may help");
    TRY(status);
    return tell(s, run, rate, next);
}

static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    PERI_TRANSFER(run, s, k);
    PERI_TRANSFER(run, s, f);
    PERI_TRANSFER(run, s, power1);
    PERI_TRANSFER(run, s, power2);
    PERI_TRANSFER_REALS(run, s, x, s->n);
    PERI_TRANSFER_REALS(run, s, g, s->n);
    PERI_TRANSFER_REALS(run, s, m, s->n);
    PERI_TRANSFER_REALS(run, s, v, s->n);
    return s->most != NULL ? peri_transfer_reals(run, "most", s->n, s->most) : PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const char PAGE[] =
    "Adam for smooth functions with bounds or none: a step's length in each coordinate is about the rate, whatever the gradient's size. It makes "
    "steady progress on losses of networks whose gradients differ by orders of magnitude between layers, and is slow to many digits: with a "
    "constant rate it ends up "
    "circling a minimum at the distance of a step. Let the rate fall (schedule) for more; the usual rate for networks trained on samples is "
    "1e-3; lbfgs is the better choice for smooth deterministic problems.\n\n"
    "Column step is the rate, dual the certificate's residual.";

static const peri_plugin ADAM = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "adam",
    .family = "gradient",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "averaged gradients scaled by their averaged squares, for networks",
    .page = PAGE,
    .reference = "Kingma and Ba 2015, Adam: a method for stochastic optimization; Loshchilov and Hutter 2019, Decoupled weight decay regularization; "
                 "Reddi, Kale and Kumar 2018, On the convergence of Adam and beyond",
    .needs = {PERI_NEEDS_GRADIENT},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_INTEGER},
};

static const peri_plugin *const ALL[] = {&ADAM, NULL};
PERI_PLUGIN(ALL)
