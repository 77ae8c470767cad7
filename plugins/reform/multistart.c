/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multistart - solves from many starts and keeps the distinct optima. Points that fill the box are evaluated at once and ranked by
 * objective and violation; the best of each neighbourhood come first (single linkage, Rinnooy Kan and Timmer 1987: a point
 * with a better one within the critical distance would end in the same optimum). Each step solves from one start.
 * Invariant: optima found so far are kept best first in `found`, two of them further apart than `apart` or of other objective.
 */
#include "points.h"
#include <math.h>
#include <string.h>

typedef struct {
    int64_t points, starts;
    double box, apart;
    int32_t sampling;
} options;

static const char *const SAMPLINGS[] = {"sobol", "latin", "uniform", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_INT("points", options, points, 256, 0, 1e7, "1", "points that are evaluated to choose starts from"),
    PERI_INT("starts", options, starts, 20, 1, 1e6, "1", "most solves; the first is from the model's own start"),
    PERI_ENUM("sampling", options, sampling, POINTS_SOBOL, SAMPLINGS, "how points fill the box"),
    PERI_REAL("box", options, box, 10, 1e-6, 1e8, "1", "where a variable has no bound, how far from its start points go"),
    PERI_REAL("apart", options, apart, 1e-4, 0, 1, "1", "share of the box by which optima of one objective must differ to count as two"),
};

typedef struct {
    double *x, *y, *z; /* [n], [m], [n] */
    double objective, violation;
    peri_row row;
} optimum;

/* What a solve gave, borrowed. */
typedef struct {
    const double *x, *y, *z;
    double objective, violation;
    peri_row row;
} found_point;

typedef struct {
    options opt;
    peri_inner *inner;
    int64_t n, m, count; /* count: points, the model's start among them */
    const double *xl, *xu, *cl, *cu;
    double *lower, *width; /* [n] of the box */
    double *point;         /* [count x n] */
    double *merit;         /* [count] */
    int64_t *order;        /* [count] starts, in the order in which they are tried */
    bool kept; /* the list is the solution's */
    int64_t next, n_found, infeasible;
    optimum *found; /* [starts] */
} state;

/* ---- points
 * ---------------------------------------------------------------------------------------------------------------- */

/* A bound so far away that nothing is meant by it counts as none. */
static bool is_side(double bound)
{
    return fabs(bound) < 1e8;
}

static void set_box(state *s, const double *x)
{
    for (int64_t j = 0; j < s->n; j++) {
        const bool below = is_side(s->xl[j]), above = is_side(s->xu[j]);
        const double reach = s->opt.box;
        const double lower = below ? s->xl[j] : above ? fmin(x[j], s->xu[j]) - reach : x[j] - reach;
        const double upper = above ? s->xu[j] : below ? fmax(x[j], s->xl[j]) + reach : x[j] + reach;
        s->lower[j] = lower;
        s->width[j] = upper - lower;
    }
}

/* Point 0 is the model's start, the others fill the box. */
static peri_status make_points(state *s, peri_run *run)
{
    TRY(peri_start(run, s->point));
    set_box(s, s->point);
    TRY(points_fill(run, (points_kind)s->opt.sampling, s->count - 1, s->n, s->point + s->n));
    for (int64_t i = 1; i < s->count; i++)
        for (int64_t j = 0; j < s->n; j++)
            s->point[i * s->n + j] = s->lower[j] + s->width[j] * s->point[i * s->n + j];
    return PERI_OK;
}

static double violation_of(const state *s, const double *c)
{
    double sum = 0;
    for (int64_t i = 0; i < s->m; i++)
        sum += fmax(0, fmax(s->cl[i] - c[i], c[i] - s->cu[i]));
    return sum;
}

/* The objective plus ten times its spread for each unit of violation; infinite where something is undefined. */
static peri_status rank_points(state *s, peri_run *run)
{
    double *c, lowest = INFINITY, highest = -INFINITY;
    TRY(peri_eval_f_batch(run, s->count, s->point, s->merit));
    if (s->m == 0) {
        for (int64_t i = 0; i < s->count; i++)
            s->merit[i] = isfinite(s->merit[i]) ? s->merit[i] : INFINITY;
        return PERI_OK;
    }
    TRY(peri_alloc(run, s->count * s->m, &c));
    TRY(peri_eval_c_batch(run, s->count, s->point, c));
    for (int64_t i = 0; i < s->count; i++)
        if (isfinite(s->merit[i])) {
            lowest = fmin(lowest, s->merit[i]);
            highest = fmax(highest, s->merit[i]);
        }
    const double weight = highest > lowest ? 10 * (highest - lowest) : 1;
    for (int64_t i = 0; i < s->count; i++) {
        const double merit = s->merit[i] + weight * violation_of(s, c + i * s->m);
        s->merit[i] = isfinite(merit) ? merit : INFINITY;
    }
    return PERI_OK;
}

/* Squared distance in the box's units. */
static double distance(const state *s, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t j = 0; j < s->n; j++) {
        const double d = s->width[j] > 0 ? (a[j] - b[j]) / s->width[j] : 0;
        sum += d * d;
    }
    return sum;
}

/* r = pi^(-1/2) (Gamma(1 + n/2) sigma log(N) / N)^(1/n) with sigma = 4 (Rinnooy Kan and Timmer 1987, II, eq. 9) in the unit cube */
static double critical_distance(const state *s)
{
    const double n = (double)s->n, N = (double)s->count;
    if (s->count < 2)
        return 0;
    return exp((lgamma(1 + n / 2) + log(4 * log(N) / N)) / n) / sqrt(3.14159265358979323846);
}

static void sort_by_merit(const state *s, int64_t *order)
{
    for (int64_t gap = s->count / 2; gap > 0; gap /= 2) /* Shell's sort: stable enough, no recursion, no memory */
        for (int64_t i = gap; i < s->count; i++) {
            const int64_t kept = order[i];
            int64_t k = i;
            for (; k >= gap && (s->merit[order[k - gap]] > s->merit[kept] ||
                                (!(s->merit[order[k - gap]] < s->merit[kept]) && order[k - gap] > kept));
                 k -= gap)
                order[k] = order[k - gap];
            order[k] = kept;
        }
}

/* Whether no better point, nor the model's start, is within the critical distance of number a of the sorted ones. */
static bool is_alone(const state *s, const int64_t *sorted, int64_t a, double r)
{
    const double *x = s->point + sorted[a] * s->n;
    for (int64_t b = 0; b < a; b++)
        if (distance(s, x, s->point + sorted[b] * s->n) <= r * r)
            return false;
    return distance(s, x, s->point) > r * r;
}

/* The model's start, then the best of each neighbourhood, then the others, each by merit. */
static peri_status choose_starts(state *s, peri_run *run)
{
    const int64_t most = s->count < s->opt.starts ? s->count : s->opt.starts;
    const double r = critical_distance(s);
    int64_t *sorted, kept = 0;
    unsigned char *taken = peri_alloc_bytes(run, (size_t)s->count, 1);
    TRY(taken != NULL ? peri_alloc_index(run, s->count, &sorted) : PERI_E_NOMEM);
    for (int64_t i = 0; i < s->count; i++)
        sorted[i] = i;
    sort_by_merit(s, sorted);
    s->order[kept++] = 0;
    taken[0] = 1;
    for (int64_t a = 0; a < s->count && kept < most; a++)
        if (!taken[sorted[a]] && isfinite(s->merit[sorted[a]]) && is_alone(s, sorted, a, r)) {
            taken[sorted[a]] = 1;
            s->order[kept++] = sorted[a];
        }
    for (int64_t a = 0; a < s->count && kept < most; a++)
        if (!taken[sorted[a]] && isfinite(s->merit[sorted[a]]))
            s->order[kept++] = sorted[a];
    s->count = kept;
    return PERI_OK;
}

/* ---- making
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status build(state *s, peri_run *run)
{
    peri_x x, f, c;
    TRY(peri_inner_new(run, "multistart", &s->inner));
    TRY(peri_inner_variables(s->inner, &x));
    TRY(peri_inner_problem(s->inner, 0, x, &f, &c));
    if (s->m > 0)
        TRY(peri_inner_constrain(s->inner, "rows", c, s->cl, s->cu, NULL));
    return peri_inner_minimize(s->inner, f);
}

static peri_status allocate(state *s, peri_run *run)
{
    TRY(peri_alloc(run, s->n, &s->lower));
    TRY(peri_alloc(run, s->n, &s->width));
    TRY(peri_alloc(run, s->count * s->n, &s->point));
    TRY(peri_alloc(run, s->count, &s->merit));
    TRY(peri_alloc_index(run, s->count, &s->order));
    s->found = peri_alloc_bytes(run, (size_t)s->opt.starts, sizeof *s->found);
    TRY(s->found != NULL ? PERI_OK : PERI_E_NOMEM);
    for (int64_t k = 0; k < s->opt.starts; k++) {
        TRY(peri_alloc(run, s->n, &s->found[k].x));
        TRY(peri_alloc(run, s->m, &s->found[k].y));
        TRY(peri_alloc(run, s->n, &s->found[k].z));
    }
    return PERI_OK;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    s->n = peri_n(run);
    s->m = peri_m(run);
    s->count = 1 + (s->opt.points > s->opt.starts - 1 ? s->opt.points : s->opt.starts - 1);
    if (s->opt.starts > s->count)
        s->opt.starts = s->count;
    peri_bounds(run, &s->xl, &s->xu, &s->cl, &s->cu);
    TRY(allocate(s, run));
    TRY(make_points(s, run));
    TRY(rank_points(s, run));
    TRY(choose_starts(s, run));
    return build(s, run);
}

/* ---- one solve
 * ---------------------------------------------------------------------------------------------------------------- */

/* Less violation, as far as that exceeds the tolerance, then a lower objective. */
static bool is_better(const peri_run *run, const found_point *a, const optimum *b)
{
    const double tolerance = fmax(peri_get_limits(run)->tolerance, 1e-6);
    const double va = a->violation > tolerance ? a->violation : 0, vb = b->violation > tolerance ? b->violation : 0;
    return va < vb || (va <= vb && a->objective < b->objective);
}

static bool is_same(const state *s, const found_point *a, const optimum *b)
{
    const double close = 1e-6 * fmax(1, fabs(b->objective));
    return fabs(a->objective - b->objective) <= close && distance(s, a->x, b->x) <= s->opt.apart * s->opt.apart;
}

static void copy_optimum(const state *s, const found_point *from, optimum *to)
{
    memcpy(to->x, from->x, (size_t)s->n * sizeof *to->x);
    memcpy(to->y, from->y, (size_t)s->m * sizeof *to->y);
    memcpy(to->z, from->z, (size_t)s->n * sizeof *to->z);
    to->objective = from->objective;
    to->violation = from->violation;
    to->row = from->row;
}

/* Into its place among those found, unless it is one of them, which it then may improve; ret whether it is new. */
static bool insert(state *s, const peri_run *run, const found_point *o)
{
    int64_t k = s->n_found;
    for (int64_t i = 0; i < s->n_found; i++)
        if (is_same(s, o, &s->found[i])) {
            if (is_better(run, o, &s->found[i]))
                copy_optimum(s, o, &s->found[i]);
            return false;
        }
    const optimum spare = s->found[k];
    for (; k > 0 && is_better(run, o, &s->found[k - 1]); k--)
        s->found[k] = s->found[k - 1];
    s->found[k] = spare;
    s->n_found++;
    copy_optimum(s, o, &s->found[k]);
    return true;
}

static peri_status keep_all(state *s, peri_run *run)
{
    s->kept = true;
    for (int64_t k = 0; k < s->n_found; k++)
        if (s->found[k].violation <= fmax(peri_get_limits(run)->tolerance, 1e-6))
            TRY(peri_keep(run, s->found[k].x, s->found[k].objective));
    return PERI_OK;
}

/* Where a limit came first, what was found until then. */
static void fini(void *self, peri_run *run)
{
    state *s = self;
    if (!s->kept && keep_all(s, run) != PERI_OK)
        peri_note(run, 0, "no memory for the list of optima");
}

/* The answer is the last accepted point: the best once more, unless it is just that. All go into the solution's list. */
static peri_status conclude(state *s, peri_run *run, char tag, peri_step *next)
{
    const optimum *best = &s->found[0];
    if (s->n_found == 0)
        return peri_finish(run, s->infeasible > 0 ? PERI_WHY_INFEASIBLE : PERI_WHY_FAILED, next);
    TRY(keep_all(s, run));
    if (tag != '*')
        TRY(peri_accept(run, best->x, best->y, best->z, &best->row, next));
    return peri_finish(run, PERI_WHY_CONVERGED, next);
}

/* '+' a new optimum, '*' the best so far, '=' one that was known, '-' none */
static void note_result(state *s, const peri_run *run, const peri_inner_result *r, peri_row *row)
{
    const found_point o = {r->x, r->y, r->z, r->objective, r->primal, *row};
    row->tag = '-';
    s->infeasible += r->why == PERI_WHY_INFEASIBLE;
    if (r->why != PERI_WHY_CONVERGED && r->why != PERI_WHY_STALLED)
        return;
    const bool is_new = insert(s, run, &o);
    const bool is_best = is_new && memcmp(s->found[0].x, r->x, (size_t)s->n * sizeof *r->x) == 0;
    row->tag = !is_new ? '=' : is_best ? '*' : '+';
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const peri_inner_request request = {.size = (uint32_t)sizeof request, .x = s->point + s->order[s->next++] * s->n};
    const peri_inner_result *r;
    peri_row row = peri_empty_row();
    const peri_status status = peri_inner_solve(s->inner, &request, &r);
    if (status == PERI_E_DOMAIN && (s->next < s->count || s->n_found > 0)) /* undefined at this start: the next one */
        return s->next < s->count ? PERI_OK : conclude(s, run, 0, next);
    TRY(status);
    row.objective = r->objective;
    row.primal = r->primal;
    row.dual = r->dual;
    row.complementarity = r->complementarity;
    note_result(s, run, r, &row);
    TRY(peri_accept(run, r->x, r->y, r->z, &row, next));
    if (r->why == PERI_WHY_UNBOUNDED)
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    return s->next >= s->count ? conclude(s, run, row.tag, next) : PERI_OK;
}

static const peri_reformulation_ops OPS = {.init = init, .step = step, .fini = fini};

static const char PAGE[] =
    "Hands the problem on as it is, from many starts, and returns the best of what comes back; the distinct optima are in the solution's "
    "list of optima, best first. For problems with several local optima: \"multistart > lbfgs\", "
    "\"multistart > augmented-lagrangian > lbfgs\".\n\n"
    "The starts are chosen among `points` points that fill the box of the variables' bounds (where there is none, `box` around the "
    "model's start): objective and constraints are evaluated at all of them at once, and those without a better one nearby "
    "(single linkage) come first. The first solve is from the model's own start. Sobol's sequence fills the box most evenly; it has "
    "600 dimensions, those behind are filled as Latin hypercubes. The seed is the engine's option.\n\n"
    "The more starts, the likelier the global optimum; it is never proven, and the status says locally_optimal. A row of the history is "
    "one solve. Tags: * the best so far, + another optimum, = one that was known, - none.";

static const peri_plugin MULTISTART = {
    PERI_REFORMULATION(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "multistart",
    .family = "reform",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "the same problem from many starts; keeps the distinct optima",
    .page = PAGE,
    .reference = "Rinnooy Kan and Timmer 1987, Math. Program. 39:27 and 39:57; Joe and Kuo 2008, SIAM J. Sci. Comput. 30:2635; McKay, "
                 "Beckman and Conover 1979, Technometrics 21:239",
    .gives = PERI_GIVES_DUALS,
    .flags = PERI_FLAG_RANDOM,
    .rank = 10,
};

const peri_host *peri_host_table;

static const peri_plugin *const ALL[] = {&MULTISTART, NULL};
PERI_PLUGIN(ALL)
