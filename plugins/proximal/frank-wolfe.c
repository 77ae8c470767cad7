/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frank-wolfe.c - the conditional gradient method over bounded sets: the vertex where the linearised function is least, and a step towards it, or
 * away from the worst vertex in use, by a search that adapts a Lipschitz estimate. Invariant: x is the convex combination, with the weights kept, of
 * the vertices kept; f and g belong to it.
 * Sources: Frank and Wolfe 1956; Guelat and Marcotte 1986 (away steps); Jaggi 2013 (gap); Pedregosa, Negiar, Askari and Jaggi 2020 (search).
 */
#include "proximal.h"

typedef struct {
    double gap;
    int64_t vertices;
    int32_t away;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("gap", options, gap, 0, 0, 1e100, "1", "duality gap g'(x - s) that ends the run, relative to max(1, |f|); 0: the tolerance on kkt alone"),
    PERI_INT("vertices", options, vertices, 200, 2, 100000, "1", "most vertices kept for away steps; more fall back to plain steps"),
    PERI_BOOL("away", options, away, 1, "away steps, which make the method linearly convergent over polytopes"),
};

typedef struct {
    options opt;
    int64_t n, count; /* vertices in use */
    double *x, *g, *x_trial, *g_trial, *vertex, *direction, *work;
    double *kept, *weight; /* [vertices * n], [vertices] */
    bool tracked;          /* x is the combination of kept vertices */
    double f, f_trial, gap, lipschitz, residual;
    prox_progress progress;
} state;

static peri_status tell(state *s, peri_run *run, double step, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.primal = 0;
    row.dual = s->residual;
    row.complementarity = s->gap;
    row.step = step;
    row.tag = tag;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static peri_status look(state *s, peri_run *run)
{
    TRY(prox_residual(run, s->n, s->x, s->g, s->work, &s->residual));
    TRY(peri_prox_linear(run, s->g, s->vertex));
    s->gap = prox_dot(s->n, s->g, s->x) - prox_dot(s->n, s->g, s->vertex);
    return PERI_OK;
}

/* The start is moved to a vertex, from which every point to come is a combination. */
static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    double h;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    double **const vectors[] = {&s->x, &s->g, &s->x_trial, &s->g_trial, &s->vertex, &s->direction, &s->work};
    for (size_t k = 0; k < PERI_COUNT(vectors); k++)
        TRY(peri_alloc(run, s->n, vectors[k]));
    if (s->opt.away) {
        TRY(peri_alloc(run, s->opt.vertices * s->n, &s->kept));
        TRY(peri_alloc(run, s->opt.vertices, &s->weight));
    }
    TRY(peri_start(run, s->x));
    TRY(peri_prox_apply(run, 1e-12, s->x, s->x, &h));
    TRY(peri_prox_smooth(run, s->x, &s->f, s->g));
    TRY(peri_prox_linear(run, s->g, s->x));
    TRY(peri_prox_smooth(run, s->x, &s->f, s->g));
    s->tracked = s->opt.away;
    if (s->tracked) {
        memcpy(s->kept, s->x, (size_t)s->n * sizeof *s->x);
        s->weight[0] = 1;
        s->count = 1;
    }
    s->progress.best = s->f;
    s->lipschitz = 1;
    TRY(look(s, run));
    return tell(s, run, NAN, 0, &next);
}

/* ---- vertices in use ------------------------------------------------------------------------------------------------------- */

static int64_t find_vertex(const state *s)
{
    for (int64_t k = 0; k < s->count; k++)
        if (memcmp(s->kept + k * s->n, s->vertex, (size_t)s->n * sizeof *s->vertex) == 0)
            return k;
    return -1;
}

static int64_t worst_vertex(const state *s, double *value)
{
    int64_t worst = -1;
    *value = -INFINITY;
    for (int64_t k = 0; k < s->count; k++) {
        const double v = prox_dot(s->n, s->g, s->kept + k * s->n);
        if (v > *value) {
            *value = v;
            worst = k;
        }
    }
    return worst;
}

static void drop(state *s, int64_t k)
{
    s->count--;
    memmove(s->kept + k * s->n, s->kept + s->count * s->n, (size_t)s->n * sizeof *s->kept);
    s->weight[k] = s->weight[s->count];
}

/* Weights after a step of length a towards the new vertex (away < 0) or from vertex `away`. */
static void reweigh(state *s, double a, int64_t away)
{
    if (!s->tracked)
        return;
    for (int64_t k = 0; k < s->count; k++)
        s->weight[k] *= away < 0 ? 1 - a : 1 + a;
    int64_t k = away;
    if (away < 0) {
        k = find_vertex(s);
        if (k < 0 && s->count == s->opt.vertices) {
            s->tracked = false; /* no room: plain steps from here on */
            s->count = 0;
            return;
        }
        if (k < 0) {
            k = s->count++;
            memcpy(s->kept + k * s->n, s->vertex, (size_t)s->n * sizeof *s->kept);
            s->weight[k] = 0;
        }
    }
    s->weight[k] += away < 0 ? a : -a;
    for (k = s->count; k-- > 0;)
        if (s->weight[k] <= 1e-14 && s->count > 1)
            drop(s, k);
}

/* ---- a step ------------------------------------------------------------------------------------------------------------------ */

/* The larger descent of the two directions; *most: the longest step, *away: the vertex it leaves, -1: none. */
static double choose_direction(state *s, double *most, int64_t *away)
{
    double worst = -INFINITY;
    const double at = prox_dot(s->n, s->g, s->x);
    *away = s->tracked && s->count > 1 ? worst_vertex(s, &worst) : -1;
    if (*away >= 0 && !(worst - at > s->gap))
        *away = -1;
    const double *const v = *away >= 0 ? s->kept + *away * s->n : s->vertex;
    for (int64_t i = 0; i < s->n; i++)
        s->direction[i] = *away >= 0 ? s->x[i] - v[i] : v[i] - s->x[i];
    *most = *away >= 0 ? s->weight[*away] / fmax(1 - s->weight[*away], DBL_MIN) : 1;
    return *away >= 0 ? worst - at : s->gap;
}

/* f(x + a d) <= f - a descent + a^2 L |d|^2 / 2 for the a that minimises the right side; L grows until that holds. */
static peri_status search(state *s, peri_run *run, double descent, double most, double *a)
{
    const double square = prox_dot(s->n, s->direction, s->direction);
    s->lipschitz *= 0.9;
    *a = 0;
    while (square > 0 && descent > 0 && s->lipschitz < 1e100 && !peri_should_stop(run)) {
        const double t = fmin(descent / (s->lipschitz * square), most);
        for (int64_t i = 0; i < s->n; i++)
            s->x_trial[i] = s->x[i] + t * s->direction[i];
        const peri_status status = peri_prox_smooth(run, s->x_trial, &s->f_trial, s->g_trial);
        if (status != PERI_OK && status != PERI_E_DOMAIN)
            return status;
        const double bound = s->f - t * descent + 0.5 * t * t * s->lipschitz * square;
        if (status == PERI_OK && s->f_trial <= bound + 4 * DBL_EPSILON * fmax(fabs(s->f), fabs(bound))) {
            *a = t;
            return PERI_OK;
        }
        s->lipschitz *= 2;
    }
    return PERI_OK;
}

static bool is_done(const state *s, const peri_run *run)
{
    return s->residual <= peri_get_limits(run)->tolerance || (s->opt.gap > 0 && s->gap <= s->opt.gap * fmax(1, fabs(s->f)));
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    double most, a;
    int64_t away;
    if (is_done(s, run))
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    const double descent = choose_direction(s, &most, &away);
    TRY(search(s, run, descent, most, &a));
    if (!(a > 0))
        return peri_should_stop(run) ? PERI_OK : peri_finish(run, PERI_WHY_STALLED, next);
    double *const x = s->x, *const g = s->g;
    s->x = s->x_trial;
    s->x_trial = x;
    s->g = s->g_trial;
    s->g_trial = g;
    s->f = s->f_trial;
    const int64_t before = s->count;
    reweigh(s, a, away);
    TRY(look(s, run));
    TRY(tell(s, run, a, away < 0 ? 0 : s->count < before ? 'd' : 'a', next));
    return prox_end(&s->progress, run, is_done(s, run), s->f, 200, next);
}

static const char PAGE[] =
    "Conditional gradients for a smooth function over bounded sets: finite bounds, simplices (sum(x) = s with lower = 0), balls of the Euclidean,\n"
    "the sum and the nuclear norm, each over variables of its own. Instead of a projection each iteration minimises a linear function over the\n"
    "sets, which for a nuclear ball is one singular vector and for a simplex one comparison; points are combinations of few vertices.\n"
    "\n"
    "The gap g'(x - s) bounds the distance of a convex function from its optimum; it is the column complementarity. Convergence is slow, O(1 / k);\n"
    "away steps make it linear over polytopes. Where projections are cheap, projected-gradient is much faster.\n"
    "Tags: a away step, d a vertex was dropped.";

static const peri_solver_ops OPS = {.init = init, .step = step};

static const peri_plugin FRANK_WOLFE = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "frank-wolfe",
    .family = "proximal",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "conditional gradients with away steps, for smooth functions over bounded simple sets",
    .page = PAGE,
    .reference = "Frank and Wolfe 1956, Naval Res. Logist. Q. 3:95; Jaggi 2013, ICML; Pedregosa, Negiar, Askari and Jaggi 2020, AISTATS",
    .needs = {PROX_NEEDS | PERI_BIT(PERI_TRAIT_COMPACT)},
    .refuses = {PERI_REFUSES_INTEGER},
    .rank = 5,
};

static const peri_plugin *const ALL[] = {&FRANK_WOLFE, NULL};
PERI_PLUGIN(ALL)
