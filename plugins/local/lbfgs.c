/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lbfgs.c - limited-memory BFGS for smooth problems with bounds: generalised Cauchy point, minimisation over the
 * variables that are free there, projection, and a line search between the two points. Invariant: x lies within its
 * bounds, f and g are the function and gradient there, d is the downhill direction and its products with the pairs are
 * those of the last pass. Sources: Byrd, Lu, Nocedal and Zhu 1995; Morales and Nocedal 2011 (projection of the subspace
 * step); Hager and Zhang 2005 (the approximate Wolfe conditions, for steps whose decrease drowns in rounding).
 */
#include "line_search.h"
#include "pairs.h"

const peri_host *peri_host_table;

typedef struct {
    int64_t memory;
    double decrease, curvature;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_INT("memory", options, memory, 10, 1, 100, "pairs",
             "correction pairs kept; more cost memory and save iterations"),
    PERI_REAL("decrease", options, decrease, 1e-4, 1e-10, 0.49, "1",
              "line search: share of the decrease that the slope predicts"),
    PERI_REAL("curvature", options, curvature, 0.9, 1e-3, 0.9999, "1",
              "line search: share of the slope that may remain"),
};

typedef struct {
    options opt;
    local_box box;
    pairs memory;
    double *x, *g, *x_trial, *g_trial, *d; /* [n] */
    double f, f_trial, dd, residual;
    double slope, step;
    unsigned char *is_free; /* [n]; bounded problems only, as the two below */
    double *time;           /* [n] heap of breakpoints */
    int64_t *which;         /* [n] their variables */
    int64_t heap, n_free;
    double *p, *c, *w, *u, *so_far; /* [2 memory] each */
    local_progress progress;
    bool undefined; /* met in this line search */
} state;

/* Evaluations of one line search. */
enum { TRIALS_MOST = 60 };

/* The longest step where no bound limits it, and objectives that count as minus infinity at its end. */
static const double FAR = 1e20, DEEP = -1e10, WIDE = 1e14, VERY_DEEP = -1e100;

/* ---- start ------------------------------------------------------------------------------------------------------- */

static peri_status allocate(state *s, peri_run *run)
{
    const int64_t n = s->box.n, k = 2 * s->opt.memory;
    double **const vectors[] = {&s->x, &s->g, &s->x_trial, &s->g_trial, &s->d};
    double **const small[] = {&s->p, &s->c, &s->w, &s->u, &s->so_far};
    for (size_t i = 0; i < PERI_COUNT(vectors); i++)
        TRY(peri_alloc(run, n, vectors[i]));
    for (size_t i = 0; i < PERI_COUNT(small); i++)
        TRY(peri_alloc(run, k, small[i]));
    if (s->box.bounded) {
        s->is_free = peri_alloc_bytes(run, (size_t)n, 1);
        if (s->is_free == NULL)
            return PERI_E_NOMEM;
        TRY(peri_alloc(run, n, &s->time));
        TRY(peri_alloc_index(run, n, &s->which));
    }
    return pairs_init(&s->memory, run, n, s->opt.memory);
}

static peri_status tell(state *s, peri_run *run, double step, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.primal = 0;
    row.dual = s->residual;
    row.step = step;
    row.tag = tag;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    s->opt = *(const options *)opt;
    s->box = local_box_of(run);
    TRY(allocate(s, run));
    TRY(peri_start(run, s->x));
    TRY(peri_eval_fg(run, s->x, &s->f, s->g));
    (void)pairs_update(&s->memory, &s->box, false, s->x, s->g, NULL, NULL, s->d, &s->dd);
    s->residual = local_residual(&s->box, s->x, s->g);
    s->progress = (local_progress){s->f, s->residual, 0};
    return tell(s, run, NAN, 0, &next);
}

/* ---- breakpoints of the projected path: a heap, earliest first --------------------------------------------------- */

static void swap_break(state *s, int64_t i, int64_t j)
{
    const double t = s->time[i];
    const int64_t k = s->which[i];
    s->time[i] = s->time[j];
    s->which[i] = s->which[j];
    s->time[j] = t;
    s->which[j] = k;
}

static void sift(state *s, int64_t i)
{
    for (;;) {
        int64_t least = i;
        for (int64_t child = 2 * i + 1; child <= 2 * i + 2; child++)
            if (child < s->heap && s->time[child] < s->time[least])
                least = child;
        if (least == i)
            return;
        swap_break(s, i, least);
        i = least;
    }
}

static void collect_breaks(state *s)
{
    s->heap = 0;
    for (int64_t i = 0; i < s->box.n; i++) {
        const double room = local_room(&s->box, i, s->x[i], s->g[i]);
        if (s->is_free[i] && s->g[i] != 0 && isfinite(room)) {
            s->time[s->heap] = room / fabs(s->g[i]);
            s->which[s->heap++] = i;
        }
    }
    for (int64_t i = s->heap / 2 - 1; i >= 0; i--)
        sift(s, i);
}

static void pop_break(state *s)
{
    s->heap--;
    swap_break(s, 0, s->heap);
    sift(s, 0);
}

/* ---- generalised Cauchy point ------------------------------------------------------------------------------------ */

static double bound_ahead(const local_box *box, int64_t i, double x, double g)
{
    return g > 0 ? box->lower[i] : g < 0 ? box->upper[i] : x;
}

static void find_free(state *s)
{
    const local_box *b = &s->box;
    s->n_free = 0;
    for (int64_t i = 0; i < b->n; i++) {
        const bool held = b->lower[i] >= b->upper[i] || (s->x[i] <= b->lower[i] && s->g[i] >= 0) ||
                          (s->x[i] >= b->upper[i] && s->g[i] <= 0);
        s->is_free[i] = !held;
        s->n_free += !held;
    }
}

static double small_dot(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += a[k] * b[k];
    return sum;
}

/* First and second derivative of the model along the path; both change where a variable meets its bound. */
typedef struct {
    double slope, curvature, floor, at;
} path;

/* p'inv(K)p, by way of w */
static double middle_square(state *s, const double *p)
{
    const size_t bytes = (size_t)(2 * s->memory.count) * sizeof *p;
    memcpy(s->w, p, bytes);
    pairs_middle(&s->memory, s->w);
    return small_dot(2 * s->memory.count, p, s->w);
}

/* Variable i meets its bound after `dt`: so_far = W'(x_c - x), p = W'd; see Byrd et al. 1995, section 4. */
static void pass_break(state *s, path *t, int64_t i, double dt)
{
    const int64_t k = 2 * s->memory.count;
    const double theta = s->memory.theta, g = s->g[i];
    const double z = bound_ahead(&s->box, i, s->x[i], g) - s->x[i];
    double wc = 0, wp = 0, ww = 0;
    for (int64_t j = 0; j < k; j++)
        s->so_far[j] += dt * s->p[j];
    if (k > 0) {
        pairs_row(&s->memory, i, s->u);
        ww = middle_square(s, s->u); /* w is now inv(K) u */
        wc = small_dot(k, s->w, s->so_far);
        wp = small_dot(k, s->w, s->p);
    }
    t->slope += dt * t->curvature + g * g + theta * g * z - g * wc;
    t->curvature += -theta * g * g - 2 * g * wp - g * g * ww;
    t->curvature = fmax(t->curvature, t->floor);
    for (int64_t j = 0; j < k; j++) {
        s->p[j] += g * s->u[j];
        s->c[j] += z * s->u[j];
    }
    s->is_free[i] = 0;
    s->d[i] = 0;
    s->n_free--;
}

/*
 * Along x - t g, bent at the bounds, to the first minimum of the model. On return is_free tells the variables that did
 * not meet a bound, d is 0 for the others, c = W_A'(x_c - x)_A for those others. ret  t of the Cauchy point; passed:
 * some variable met its bound
 */
static double cauchy(state *s, bool *passed)
{
    path t = {.slope = -s->dd, .curvature = s->memory.theta * s->dd};
    const int64_t k = 2 * s->memory.count;
    *passed = false;
    memset(s->c, 0, (size_t)k * sizeof *s->c);
    memset(s->so_far, 0, (size_t)k * sizeof *s->so_far);
    if (k > 0) {
        pairs_project(&s->memory, s->p);
        t.curvature -= middle_square(s, s->p);
    }
    t.floor = 2.2e-16 * fabs(s->memory.theta * s->dd);
    t.curvature = fmax(t.curvature, t.floor);
    collect_breaks(s);
    while (s->heap > 0 && t.slope < 0) {
        const double dt = s->time[0] - t.at;
        if (-t.slope / t.curvature < dt)
            break;
        pass_break(s, &t, s->which[0], dt);
        t.at = s->time[0];
        pop_break(s);
        *passed = true;
    }
    return t.at + (s->n_free > 0 && t.slope < 0 ? -t.slope / t.curvature : 0);
}

/* ---- direction ----------------------------------------------------------------------------------------------------
 */

/* Without bounds: d := -H g. */
static bool newton_direction(state *s)
{
    pairs *m = &s->memory;
    if (m->count == 0)
        return true;
    if (!pairs_reduce(m, NULL, s->box.n))
        return false;
    pairs_project(m, s->w); /* W'd = -W'g */
    pairs_reduced(m, s->w);
    for (int64_t k = 0; k < 2 * m->count; k++)
        s->w[k] /= m->theta * m->theta;
    pairs_combine(m, 1 / m->theta, s->w, s->d);
    return true;
}

/*
 * d_F := the model's minimiser over the free variables, the others being at the Cauchy point, from x:
 *     -inv(B_FF) r,  r = g_F - W_F u,  u = inv(K) W_A'(x_c - x)_A
 *     inv(B_FF) = I / theta + W_F inv(K - W_F'W_F / theta) W_F' / theta^2
 */
static bool subspace_minimum(state *s, bool passed)
{
    pairs *m = &s->memory;
    const int64_t k = 2 * m->count;
    if (k == 0 || s->n_free == 0)
        return true;
    if (!pairs_reduce(m, s->is_free, s->n_free))
        return false;
    if (passed)
        pairs_project_free(m, s->is_free, s->g, s->w);
    else
        for (int64_t j = 0; j < k; j++)
            s->w[j] = -s->p[j];
    pairs_middle(m, s->c); /* u */
    pairs_gram(m, s->c, s->u);
    for (int64_t j = 0; j < k; j++)
        s->w[j] -= s->u[j];
    pairs_reduced(m, s->w);
    for (int64_t j = 0; j < k; j++)
        s->w[j] = s->c[j] / m->theta - s->w[j] / (m->theta * m->theta);
    pairs_combine(m, 1 / m->theta, s->w, s->d);
    return true;
}

/* The change of variable i to the Cauchy point. */
static double cauchy_change(const state *s, int64_t i, double t)
{
    if (!s->is_free[i])
        return bound_ahead(&s->box, i, s->x[i], s->g[i]) - s->x[i];
    return local_clamp(&s->box, i, s->x[i] - t * s->g[i]) - s->x[i];
}

/* The slope towards the projection of x + d, which is taken if it leads down. */
static bool project(state *s, double t)
{
    double slope = 0;
    for (int64_t i = 0; i < s->box.n; i++) {
        if (!s->is_free[i])
            s->d[i] = cauchy_change(s, i, t);
        slope += s->g[i] * (local_clamp(&s->box, i, s->x[i] + s->d[i]) - s->x[i]);
    }
    if (!(slope < 0))
        return false;
    for (int64_t i = 0; i < s->box.n; i++)
        s->d[i] = local_clamp(&s->box, i, s->x[i] + s->d[i]) - s->x[i];
    return true;
}

/* Otherwise from the Cauchy point towards x + d as far as the bounds allow: the model falls all the way. */
static void truncate(state *s, double t)
{
    double most = 1;
    for (int64_t i = 0; i < s->box.n; i++) {
        if (!s->is_free[i])
            continue;
        const double first = cauchy_change(s, i, t), rest = s->d[i] - first, x = s->x[i] + first;
        const double room = rest > 0 ? s->box.upper[i] - x : x - s->box.lower[i];
        if (room < most * fabs(rest))
            most = fmax(0, room / fabs(rest));
    }
    for (int64_t i = 0; i < s->box.n; i++) {
        const double first = cauchy_change(s, i, t);
        const double d = s->is_free[i] ? first + most * (s->d[i] - first) : first;
        s->d[i] = local_clamp(&s->box, i, s->x[i] + d) - s->x[i];
    }
}

/* d := the search direction. False: the memory is of no use. */
static bool direction(state *s)
{
    bool passed;
    if (!s->box.bounded)
        return newton_direction(s);
    find_free(s);
    if (s->memory.count > 0 && !pairs_factor(&s->memory))
        return false;
    const double t = cauchy(s, &passed);
    if (!subspace_minimum(s, passed))
        return false;
    if (!project(s, t))
        truncate(s, t);
    return true;
}

/* ---- line search --------------------------------------------------------------------------------------------------
 */

/* How far along d the bounds allow, at least 1. */
static double longest_step(const state *s)
{
    double most = FAR / fmax(1, local_largest(s->box.n, s->d));
    for (int64_t i = 0; i < s->box.n && s->box.bounded; i++) {
        const double d = s->d[i];
        if (d == 0)
            continue;
        const double room = d > 0 ? s->box.upper[i] - s->x[i] : s->x[i] - s->box.lower[i];
        if (room < most * fabs(d))
            most = room / fabs(d);
    }
    return fmax(most, 1);
}

static peri_status evaluate(state *s, peri_run *run, double step)
{
    const int64_t n = s->box.n;
    for (int64_t i = 0; i < n; i++)
        s->x_trial[i] = s->x[i] + step * s->d[i];
    for (int64_t i = 0; i < n && s->box.bounded; i++)
        s->x_trial[i] = local_clamp(&s->box, i, s->x_trial[i]);
    return peri_eval_fg(run, s->x_trial, &s->f_trial, s->g_trial);
}

/* The Wolfe conditions in slopes alone, where values differ by rounding only; which they do not where a lower one was seen on this line. */
static bool is_level(const state *s, double slope)
{
    return s->f_trial <= s->f + LOCAL_NOISE * fabs(s->f) && fabs(s->f_trial - s->f) <= LOCAL_NOISE * fabs(s->f) &&
           slope >= s->opt.curvature * s->slope && slope <= (2 * s->opt.decrease - 1) * s->slope;
}

typedef enum { SEARCH_FOUND, SEARCH_AT_MOST, SEARCH_FAILED, SEARCH_STOPPED } search_end;

/* The bracket has collapsed: the best step is taken if it is any good. */
static peri_status take_best(state *s, peri_run *run, const line_search *line, search_end *end)
{
    *end = SEARCH_FAILED;
    if (!(line->best_step > 0) || !(line->best_f < s->f))
        return PERI_OK;
    s->step = line->best_step;
    const peri_status status = evaluate(s, run, s->step);
    *end = status == PERI_OK ? SEARCH_FOUND : SEARCH_FAILED;
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

static peri_status search(state *s, peri_run *run, double first, search_end *end)
{
    line_search line = {.decrease = s->opt.decrease, .curvature = s->opt.curvature};
    const double most = longest_step(s);
    line_begin(&line, s->f, s->slope, fmin(first, most), most);
    s->undefined = false;
    for (int trial = 0; trial < TRIALS_MOST; trial++) {
        *end = SEARCH_STOPPED;
        if (peri_should_stop(run))
            return PERI_OK;
        s->step = line.step;
        const peri_status status = evaluate(s, run, s->step);
        if (status == PERI_E_DOMAIN) {
            s->undefined = true;
            line_undefined(&line);
            continue;
        }
        TRY(status);
        const double slope = local_dot(s->box.n, s->g_trial, s->d);
        *end = SEARCH_FOUND;
        if (is_level(s, slope) && s->f_trial <= line.best_f + LOCAL_NOISE * fabs(line.best_f))
            return PERI_OK;
        const line_state next = line_next(&line, s->f_trial, slope);
        if (next == LINE_FOUND)
            return PERI_OK;
        *end = SEARCH_AT_MOST;
        if (next == LINE_AT_MOST)
            return PERI_OK;
        if (next == LINE_EXHAUSTED)
            break;
    }
    return take_best(s, run, &line, end);
}

/* ---- the step -----------------------------------------------------------------------------------------------------
 */

static void restart(state *s)
{
    pairs_clear(&s->memory);
    (void)pairs_update(&s->memory, &s->box, false, s->x, s->g, NULL, NULL, s->d, &s->dd);
}

static bool has_direction(state *s)
{
    if (!direction(s))
        return false;
    s->slope = local_dot(s->box.n, s->g, s->d);
    return s->slope < 0 && isfinite(s->slope);
}

/* Quasi-Newton direction and line search; again with an empty memory if either fails. */
static peri_status move(state *s, peri_run *run, search_end *end, char *tag)
{
    *tag = s->memory.count > 0 ? 'n' : 'g';
    for (;;) {
        *end = SEARCH_FAILED;
        if (has_direction(s)) {
            const double first = s->memory.count > 0 ? 1 : fmin(1, 1 / local_largest(s->box.n, s->d));
            TRY(search(s, run, first, end));
        }
        if (*end != SEARCH_FAILED || s->memory.count == 0)
            return PERI_OK;
        restart(s);
        *tag = 'r';
    }
}

static void swap(double **a, double **b)
{
    double *t = *a;
    *a = *b;
    *b = t;
}

static bool has_run_away(const state *s, search_end end)
{
    return end == SEARCH_AT_MOST && (s->f <= VERY_DEEP || (s->f <= DEEP && !s->undefined));
}

/* Far down and so far away that a step is lost in rounding. */
static bool is_lost(const state *s)
{
    return s->f <= DEEP && !s->undefined && local_largest(s->box.n, s->x) >= WIDE;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    search_end end;
    char tag;
    if (s->residual <= peri_get_limits(run)->tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    TRY(move(s, run, &end, &tag));
    if (end == SEARCH_STOPPED)
        return PERI_OK;
    if (end == SEARCH_FAILED)
        return peri_finish(run, is_lost(s) ? PERI_WHY_UNBOUNDED : PERI_WHY_STALLED, next);
    swap(&s->x, &s->x_trial);
    swap(&s->g, &s->g_trial);
    s->f = s->f_trial;
    if (!pairs_update(&s->memory, &s->box, true, s->x, s->g, s->x_trial, s->g_trial, s->d, &s->dd))
        tag = 's';
    s->residual = local_residual(&s->box, s->x, s->g);
    TRY(tell(s, run, s->step, s->undefined ? 'u' : tag, next));
    if (s->residual <= peri_get_limits(run)->tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    if (has_run_away(s, end))
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    return local_progresses(&s->progress, s->f, s->residual) ? PERI_OK : peri_finish(run, PERI_WHY_STALLED, next);
}

/* ---- the table ----------------------------------------------------------------------------------------------------
 */

static const char PAGE[] =
    "Quasi-Newton method with limited memory for smooth problems without constraints other than bounds: the Hessian "
    "is\n"
    "approximated by a multiple of the identity and the last \"memory\" pairs of steps and gradient changes (BFGS in "
    "compact\n"
    "form). With bounds, the model is first minimised along the projected gradient path (generalised Cauchy point), "
    "then over\n"
    "the variables that are free there, and the result is projected onto the box. A line search after More and Thuente "
    "then\n"
    "meets the strong Wolfe conditions; near the end, where values differ by rounding alone, slopes decide.\n"
    "\n"
    "Each iteration costs usually one evaluation of objective and gradient, and four passes over memory * variables "
    "numbers. Good\n"
    "for many variables and cheap gradients; on ill-conditioned problems trust-ncg, which uses second derivatives, "
    "needs far\n"
    "fewer iterations. Points where the objective is undefined are avoided by shorter steps. The method stops when the "
    "residual of\n"
    "the engine's certificate is within the tolerance, or stalls after 25 iterations without progress in objective or "
    "residual.\n"
    "\n"
    "Tags in the history: n quasi-Newton step; g the memory was empty, a gradient step; r the memory was emptied "
    "because its\n"
    "direction failed; s the pair was left out, its curvature not being positive; u the function was undefined on the "
    "way.";

/* Everything that the next step needs, to and from a checkpoint. */
static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    PERI_TRANSFER_REALS(run, s, x, s->box.n);
    PERI_TRANSFER_REALS(run, s, g, s->box.n);
    PERI_TRANSFER_REALS(run, s, x_trial, s->box.n);
    PERI_TRANSFER_REALS(run, s, g_trial, s->box.n);
    PERI_TRANSFER_REALS(run, s, d, s->box.n);
    TRY(pairs_transfer(&s->memory, run));
    PERI_TRANSFER(run, s, f);
    PERI_TRANSFER(run, s, f_trial);
    PERI_TRANSFER(run, s, dd);
    PERI_TRANSFER(run, s, residual);
    PERI_TRANSFER(run, s, slope);
    PERI_TRANSFER(run, s, step);
    PERI_TRANSFER(run, s, progress);
    PERI_TRANSFER(run, s, undefined);
    return PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const peri_plugin LBFGS = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "lbfgs",
    .family = "local",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "limited-memory BFGS with bounds, strong Wolfe line search",
    .page = PAGE,
    .reference =
        "Byrd, Lu, Nocedal and Zhu 1995, SIAM J. Sci. Comput. 16:1190; Morales and Nocedal 2011, ACM TOMS 38:7; "
        "More and Thuente 1994, ACM TOMS 20:286",
    .needs = {PERI_NEEDS_GRADIENT},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 40,
};

static const peri_plugin *const ALL[] = {&LBFGS, NULL};
PERI_PLUGIN(ALL)
