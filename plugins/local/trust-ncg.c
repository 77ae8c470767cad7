/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust-ncg.c - Newton's method in a trust region for smooth problems with bounds, the model minimised by conjugate
 * gradients from Hessian-vector products. With bounds, the model's minimisation starts at a point on the projected
 * gradient path (Cauchy point) and goes from face to face: conjugate gradients over the variables that are free, then a
 * search along the projection of what they found. Invariant: x lies within its bounds, f and g belong to it; inside an
 * iteration hs = H s, x + s lies within the bounds, |s| <= radius, and the model q(s) = g's + s'Hs / 2 has never risen.
 * Sources: Steihaug 1983; Lin and More 1999 (projected searches, update of the radius); Conn, Gould and Toint 2000,
 * section 17.4 (ratios near rounding).
 */
#include "local.h"

#include <float.h>
#include <stdio.h>

enum { PRECONDITIONER_NONE, PRECONDITIONER_DIAGONAL };

static const char *const PRECONDITIONERS[] = {"none", "diagonal", NULL};

typedef struct {
    double radius, accept;
    int64_t products;
    int32_t preconditioner;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("radius", options, radius, 0, 0, 1e20, "1", "first trust radius; 0: the projected gradient's length"),
    PERI_REAL("accept", options, accept, 1e-4, 1e-8, 0.2, "1",
              "share of the predicted decrease from which a step is taken"),
    PERI_INT("products", options, products, 2000, 1, 1e9, "1", "most Hessian-vector products of one iteration"),
    PERI_ENUM("preconditioner", options, preconditioner, PRECONDITIONER_NONE, PRECONDITIONERS,
              "diagonal: that of the sparse Hessian, which then also gives the products"),
};

typedef struct {
    options opt;
    local_box box;
    double *x, *g, *x_trial, *g_trial; /* [n] */
    double *s, *hs;                    /* [n] step so far, and H s */
    double *w, *hw, *p, *hp, *r,
        *y;                  /* [n] of conjugate gradients: sum, H sum, direction, H direction, residual, scaled */
    unsigned char *is_free;  /* [n] strictly inside its bounds at x + s */
    peri_pattern pattern;    /* of the Hessian, where it is used as a matrix */
    double *hess, *diagonal; /* [nnz], [n] */
    bool has_hess;           /* hess belongs to x */
    double f, f_trial, residual, radius, q, cauchy_time;
    int64_t count;               /* products in this iteration */
    bool first, at_edge, curved; /* no step taken yet; the step ends on the region's edge; negative curvature met */
    local_progress progress;
} state;

/* Lin and More's constants: sufficient decrease of the model; ratios and factors of the radius. */
static const double SUFFICIENT = 0.01, POOR = 0.25, GOOD = 0.75, SHRINK_MOST = 0.25, SHRINK = 0.5, GROW = 4;
/* An objective this low with a radius this large, or this low at all, has run away. */
static const double DEEP = -1e10, WIDE = 1e14, VERY_DEEP = -1e100;

enum { FACES_MOST = 100, CAUCHY_MOST = 60 };

/* ---- start ------------------------------------------------------------------------------------------------------- */

static peri_status open_matrix(state *s, peri_run *run)
{
    const peri_status status = peri_hess_pattern(run, &s->pattern);
    if (status == PERI_E_UNSUPPORTED)
        return peri_fail(run, status,
                         "the diagonal preconditioner needs a sparse Hessian, which this problem does not have");
    TRY(status);
    TRY(peri_alloc(run, s->pattern.nnz, &s->hess));
    return peri_alloc(run, s->box.n, &s->diagonal);
}

static peri_status allocate(state *s, peri_run *run)
{
    double **const vectors[] = {&s->x, &s->g,  &s->x_trial, &s->g_trial, &s->s, &s->hs,
                                &s->w, &s->hw, &s->p,       &s->hp,      &s->r, &s->y};
    for (size_t i = 0; i < PERI_COUNT(vectors); i++)
        TRY(peri_alloc(run, s->box.n, vectors[i]));
    s->is_free = peri_alloc_bytes(run, (size_t)s->box.n, 1);
    if (s->is_free == NULL)
        return PERI_E_NOMEM;
    return s->opt.preconditioner == PRECONDITIONER_DIAGONAL ? open_matrix(s, run) : PERI_OK;
}

static peri_status tell(state *s, peri_run *run, double step, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.primal = 0;
    row.dual = s->residual;
    row.step = step;
    row.trust_radius = s->radius;
    row.tag = tag;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

/* The length of the part of -g that no bound stops at once. */
static double projected_length(const state *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->box.n; i++)
        if (local_room(&s->box, i, s->x[i], s->g[i]) > 0)
            sum += s->g[i] * s->g[i];
    return sqrt(sum);
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
    s->residual = local_residual(&s->box, s->x, s->g);
    s->progress = (local_progress){s->f, s->residual, 0};
    s->radius = s->opt.radius > 0 ? s->opt.radius : projected_length(s);
    s->cauchy_time = 1;
    s->first = true;
    return tell(s, run, NAN, 0, &next);
}

/* ---- the Hessian --------------------------------------------------------------------------------------------------
 */

static void multiply(const state *s, const double *v, double *hv)
{
    const int64_t *start = s->pattern.start, *index = s->pattern.index;
    memset(hv, 0, (size_t)s->box.n * sizeof *hv);
    for (int64_t j = 0; j < s->box.n; j++)
        for (int64_t k = start[j]; k < start[j + 1]; k++) {
            hv[index[k]] += s->hess[k] * v[j];
            if (index[k] != j)
                hv[j] += s->hess[k] * v[index[k]];
        }
}

/* Magnitudes of the diagonal, none less than a small part of the largest. */
static void take_diagonal(state *s)
{
    const int64_t *start = s->pattern.start, *index = s->pattern.index;
    double most = 0;
    for (int64_t j = 0; j < s->box.n; j++) {
        s->diagonal[j] = 0;
        if (start[j] < start[j + 1] && index[start[j]] == j)
            s->diagonal[j] = fabs(s->hess[start[j]]);
        most = fmax(most, s->diagonal[j]);
    }
    for (int64_t j = 0; j < s->box.n; j++)
        s->diagonal[j] = most > 0 ? fmax(s->diagonal[j], 1e-8 * most) : 1;
}

static peri_status prepare_hessian(state *s, peri_run *run)
{
    if (s->opt.preconditioner == PRECONDITIONER_NONE || s->has_hess)
        return PERI_OK;
    TRY(peri_eval_hess(run, s->x, 1, NULL, s->hess));
    take_diagonal(s);
    s->has_hess = true;
    return PERI_OK;
}

static peri_status product(state *s, peri_run *run, const double *v, double *hv)
{
    s->count++;
    if (!s->has_hess)
        return peri_eval_hv(run, s->x, 1, NULL, v, hv);
    multiply(s, v, hv);
    return PERI_OK;
}

static bool may_go_on(const state *s, peri_run *run)
{
    return s->count < s->opt.products && !peri_should_stop(run);
}

/* ---- Cauchy point -------------------------------------------------------------------------------------------------
 */

/* s := P(x - t g) - x, hs := H s, q;  ret whether it is short enough and the model has fallen enough */
static peri_status try_path(state *s, peri_run *run, double t, bool *good)
{
    const int64_t n = s->box.n;
    for (int64_t i = 0; i < n; i++)
        s->s[i] = local_clamp(&s->box, i, s->x[i] - t * s->g[i]) - s->x[i];
    *good = local_dot(n, s->s, s->s) <= s->radius * s->radius;
    if (!*good)
        return PERI_OK;
    TRY(product(s, run, s->s, s->hs));
    const double slope = local_dot(n, s->g, s->s);
    s->q = slope + 0.5 * local_dot(n, s->s, s->hs);
    *good = s->q <= SUFFICIENT * slope;
    return PERI_OK;
}

/* The path ends where every variable has met its bound. */
static double last_break(const state *s)
{
    double last = 0;
    for (int64_t i = 0; i < s->box.n; i++)
        if (s->g[i] != 0)
            last = fmax(last, local_room(&s->box, i, s->x[i], s->g[i]) / fabs(s->g[i]));
    return last;
}

/* From the last iteration's time: shorter until it is good, or longer while it stays good (Lin and More 1999, section
 * 4). */
static peri_status cauchy(state *s, peri_run *run)
{
    bool good;
    double t = s->cauchy_time;
    TRY(try_path(s, run, t, &good));
    if (!good) {
        for (int k = 0; k < CAUCHY_MOST && !good; k++) {
            t *= 0.1;
            TRY(try_path(s, run, t, &good));
        }
        s->cauchy_time = t;
        return PERI_OK;
    }
    const double last = last_break(s);
    for (int k = 0; k < CAUCHY_MOST && good && t <= last; k++) {
        s->cauchy_time = t;
        t *= 10;
        TRY(try_path(s, run, t, &good));
    }
    if (good) {
        s->cauchy_time = t;
        return PERI_OK;
    }
    return try_path(s, run, s->cauchy_time, &good);
}

/* ---- conjugate gradients over the free variables ------------------------------------------------------------------
 */

static int64_t find_free(state *s)
{
    int64_t count = 0;
    for (int64_t i = 0; i < s->box.n; i++) {
        const double at = s->x[i] + s->s[i];
        s->is_free[i] = s->box.lower[i] < at && at < s->box.upper[i];
        count += s->is_free[i];
    }
    return count;
}

/* Length of v over the free variables. */
static double free_length(const state *s, const double *v, const double *and)
{
    double sum = 0;
    for (int64_t i = 0; i < s->box.n; i++) {
        const double u = !s->is_free[i] ? 0 : and != NULL ? v[i] + and[i] : v[i];
        sum += u * u;
    }
    return sqrt(sum);
}

static void precondition(const state *s)
{
    const int64_t n = s->box.n;
    if (!s->has_hess) {
        memcpy(s->y, s->r, (size_t)n * sizeof *s->y);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        s->y[i] = s->r[i] / s->diagonal[i];
}

/* w += a p, hw += a hp */
static void advance(state *s, double a)
{
    for (int64_t i = 0; i < s->box.n; i++) {
        s->w[i] += a * s->p[i];
        s->hw[i] += a * s->hp[i];
    }
}

/* t >= 0 with |z + t p| = radius, from zz = z'z, zp, pp; without cancellation. */
static double to_edge(double zz, double zp, double pp, double radius)
{
    const double c = fmax(0, radius * radius - zz), root = sqrt(zp * zp + pp * c);
    return zp > 0 ? c / (zp + root) : (root - zp) / pp;
}

static void begin_cg(state *s)
{
    const int64_t n = s->box.n;
    memset(s->w, 0, (size_t)n * sizeof *s->w);
    memset(s->hw, 0, (size_t)n * sizeof *s->hw);
    for (int64_t i = 0; i < n; i++)
        s->r[i] = s->is_free[i] ? -(s->g[i] + s->hs[i]) : 0;
    precondition(s);
    memcpy(s->p, s->y, (size_t)n * sizeof *s->p);
}

static double step_along(const state *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->box.n; i++)
        sum += (s->s[i] + s->w[i]) * s->p[i];
    return sum;
}

/*
 * w := an approximate minimiser of q(s + w) over the free variables within the region, hw = H w: until the residual is
 * `small`, the region's edge, or negative curvature, which is followed to the edge (Steihaug 1983).
 */
static peri_status conjugate_gradients(state *s, peri_run *run, double small)
{
    const int64_t n = s->box.n;
    begin_cg(s);
    double ry = local_dot(n, s->r, s->y), zz = local_dot(n, s->s, s->s);
    while (may_go_on(s, run) && local_dot(n, s->r, s->r) > small * small) {
        TRY(product(s, run, s->p, s->hp));
        const double php = local_dot(n, s->p, s->hp), pp = local_dot(n, s->p, s->p), zp = step_along(s);
        const double edge = to_edge(zz, zp, pp, s->radius);
        const bool negative = !(php > DBL_EPSILON * pp * 1e-4);
        const double a = negative ? edge : ry / php;
        if (negative || a >= edge) {
            advance(s, edge);
            s->at_edge = true;
            s->curved = s->curved || negative;
            return PERI_OK;
        }
        advance(s, a);
        zz += a * (2 * zp + a * pp);
        for (int64_t i = 0; i < n; i++)
            s->r[i] = s->is_free[i] ? s->r[i] - a * s->hp[i] : 0;
        precondition(s);
        const double next = local_dot(n, s->r, s->y), ratio = next / ry;
        ry = next;
        if (!(ry > 0))
            break;
        for (int64_t i = 0; i < n; i++)
            s->p[i] = s->y[i] + ratio * s->p[i];
    }
    return PERI_OK;
}

/* ---- from face to face --------------------------------------------------------------------------------------------
 */

/* Largest t <= 1 for which x + s + t w is inside. */
static double first_break(const state *s)
{
    double most = 1;
    for (int64_t i = 0; i < s->box.n && s->box.bounded; i++) {
        const double w = s->w[i], at = s->x[i] + s->s[i];
        const double room = w > 0 ? s->box.upper[i] - at : at - s->box.lower[i];
        if (w != 0 && room < most * fabs(w))
            most = fmax(0, room / fabs(w));
    }
    return most;
}

/* The move to the projection of x + s + t w, in p; hp = H p; the model's change. */
static peri_status try_bent(state *s, peri_run *run, double t, double *change, double *slope)
{
    const int64_t n = s->box.n;
    for (int64_t i = 0; i < n; i++) {
        const double at = s->x[i] + s->s[i];
        s->p[i] = s->w[i] != 0 ? local_clamp(&s->box, i, at + t * s->w[i]) - at : 0;
    }
    TRY(product(s, run, s->p, s->hp));
    *slope = local_dot(n, s->g, s->p) + local_dot(n, s->hs, s->p);
    *change = *slope + 0.5 * local_dot(n, s->p, s->hp);
    return PERI_OK;
}

/* s += t a, hs += t ha, onto bounds exactly where they are met. */
static void take(state *s, double t, const double *a, const double *ha)
{
    for (int64_t i = 0; i < s->box.n; i++) {
        const double to = s->s[i] + t * a[i];
        s->s[i] = s->box.bounded ? local_clamp(&s->box, i, s->x[i] + to) - s->x[i] : to;
        s->hs[i] += t * ha[i];
    }
}

/*
 * s := s + what of w the bounds allow: all of it, or a projected part that lowers the model enough, or straight to the
 * first bound;  bent: some bound was met
 */
static peri_status projected_search(state *s, peri_run *run, bool *bent)
{
    const double straight = first_break(s);
    *bent = straight < 1;
    for (double t = 1; *bent && t > straight && may_go_on(s, run); t *= 0.5) {
        double change, slope;
        TRY(try_bent(s, run, t, &change, &slope));
        if (change <= SUFFICIENT * fmin(slope, 0)) {
            take(s, 1, s->p, s->hp);
            return PERI_OK;
        }
    }
    take(s, straight, s->w, s->hw);
    return PERI_OK;
}

/* The step s for this radius. */
static peri_status minimize_model(state *s, peri_run *run)
{
    const int64_t n = s->box.n;
    const double forcing = fmin(0.1, sqrt(s->residual));
    s->count = 0;
    s->at_edge = s->curved = false;
    memset(s->s, 0, (size_t)n * sizeof *s->s);
    memset(s->hs, 0, (size_t)n * sizeof *s->hs);
    TRY(prepare_hessian(s, run));
    if (s->box.bounded)
        TRY(cauchy(s, run));
    for (int face = 0; face < FACES_MOST; face++) {
        bool bent;
        if (find_free(s) == 0)
            break;
        const double small = forcing * free_length(s, s->g, NULL);
        if (!(free_length(s, s->g, s->hs) > small))
            break;
        TRY(conjugate_gradients(s, run, small));
        TRY(projected_search(s, run, &bent));
        if (!bent || s->at_edge || !may_go_on(s, run))
            break;
    }
    s->q = local_dot(n, s->g, s->s) + 0.5 * local_dot(n, s->s, s->hs);
    return PERI_OK;
}

/* ---- the step -----------------------------------------------------------------------------------------------------
 */

static peri_status evaluate(state *s, peri_run *run)
{
    for (int64_t i = 0; i < s->box.n; i++)
        s->x_trial[i] = s->x[i] + s->s[i];
    for (int64_t i = 0; i < s->box.n && s->box.bounded; i++)
        s->x_trial[i] = local_clamp(&s->box, i, s->x_trial[i]);
    return peri_eval_fg(run, s->x_trial, &s->f_trial, s->g_trial);
}

/* Actual over predicted decrease; where both are rounding, 1. */
static double ratio_of(const state *s)
{
    const double noise = 10 * DBL_EPSILON * fabs(s->f), actual = s->f - s->f_trial, predicted = -s->q;
    if (fabs(actual) <= noise && predicted <= noise)
        return 1;
    return (actual + noise) / (predicted + noise);
}

/* Lin and More 1999, section 4: the parabola through f, its slope and the trial tells by how much the step was too
 * long. */
static void update_radius(state *s, double ratio, double length)
{
    const double slope = local_dot(s->box.n, s->g, s->s), excess = s->f_trial - s->f - slope;
    const double factor = excess <= 0 ? GROW : fmax(SHRINK_MOST, -0.5 * slope / excess);
    if (s->first)
        s->radius = fmin(s->radius, fmax(length, DBL_MIN));
    if (!(ratio >= s->opt.accept)) /* no number either: what is refused has to shorten the next */
        s->radius = fmin(factor * length, SHRINK * s->radius);
    else if (ratio < POOR)
        s->radius = fmax(SHRINK_MOST * s->radius, fmin(factor * length, SHRINK * s->radius));
    else if (ratio < GOOD)
        s->radius = fmax(SHRINK_MOST * s->radius, fmin(factor * length, GROW * s->radius));
    else
        s->radius = fmax(s->radius, fmin(factor * length, GROW * s->radius));
}

typedef enum { TRIAL_TAKEN, TRIAL_REFUSED, TRIAL_STALLED } trial_end;

static peri_status trial(state *s, peri_run *run, double *length, bool *undefined, trial_end *end)
{
    const int64_t n = s->box.n;
    TRY(minimize_model(s, run));
    *length = sqrt(local_dot(n, s->s, s->s));
    *end = TRIAL_STALLED;
    if (!(s->q < 0) || !(*length > 0) || !isfinite(s->q) || !isfinite(*length)) /* a model that overflows predicts nothing */
        return PERI_OK;
    const peri_status status = evaluate(s, run);
    *end = TRIAL_REFUSED;
    if (status == PERI_E_DOMAIN) {
        *undefined = true;
        s->radius = SHRINK_MOST * *length;
        return PERI_OK;
    }
    TRY(status);
    const double ratio = ratio_of(s);
    update_radius(s, ratio, *length);
    if (ratio >= s->opt.accept)
        *end = TRIAL_TAKEN;
    return PERI_OK;
}

static void swap(double **a, double **b)
{
    double *t = *a;
    *a = *b;
    *b = t;
}

static bool has_run_away(const state *s)
{
    return s->f <= VERY_DEEP || (s->f <= DEEP && s->radius >= WIDE && s->at_edge);
}

static char tag_of(const state *s, bool undefined, bool refused)
{
    return undefined ? 'u' : refused ? 'r' : s->curved ? 'c' : s->at_edge ? 'e' : 'n';
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const double tolerance = peri_get_limits(run)->tolerance;
    double length;
    bool undefined = false, refused = false;
    trial_end end = TRIAL_REFUSED;
    if (s->residual <= tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    while (end == TRIAL_REFUSED) {
        if (peri_should_stop(run))
            return PERI_OK;
        const double before = s->radius;
        TRY(trial(s, run, &length, &undefined, &end));
        if (end == TRIAL_REFUSED && !(s->radius < before)) /* numbers too large to be compared: it would go on for ever */
            end = TRIAL_STALLED;
        if (end == TRIAL_STALLED || s->radius <= 1e-3 * DBL_EPSILON * local_largest(s->box.n, s->x) + DBL_MIN)
            return peri_finish(run, PERI_WHY_STALLED, next);
        refused = refused || end == TRIAL_REFUSED;
    }
    swap(&s->x, &s->x_trial);
    swap(&s->g, &s->g_trial);
    s->f = s->f_trial;
    s->has_hess = s->first = false;
    s->residual = local_residual(&s->box, s->x, s->g);
    TRY(tell(s, run, length, tag_of(s, undefined, refused), next));
    if (s->residual <= tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    if (has_run_away(s))
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    return local_progresses(&s->progress, s->f, s->residual) ? PERI_OK : peri_finish(run, PERI_WHY_STALLED, next);
}

/* ---- the table ----------------------------------------------------------------------------------------------------
 */

static const char PAGE[] = "Newton's method in a trust region for smooth problems without constraints other than "
                           "bounds. The quadratic model is\n"
                           "minimised by conjugate gradients, which need only products of the Hessian with a vector: "
                           "to a residual that falls with the\n"
                           "gradient (so that convergence is superlinear), to the region's edge, or along negative "
                           "curvature to the edge. With bounds,\n"
                           "a point on the projected gradient path comes first, then conjugate gradients over the "
                           "variables that are free, each followed\n"
                           "by a projected search which may fix further ones (Lin and More's TRON). The radius follows "
                           "from the ratio of actual to\n"
                           "predicted decrease.\n"
                           "\n"
                           "Few iterations, each with some to many products; for ill-conditioned problems, negative "
                           "curvature, and high accuracy. With\n"
                           "preconditioner = diagonal the sparse Hessian is evaluated once an iteration and serves the "
                           "products too. Steps to points\n"
                           "where the objective is undefined are refused and the radius is reduced.\n"
                           "\n"
                           "Tags in the history: n Newton step inside the region; e step to its edge; c negative "
                           "curvature followed; r steps were\n"
                           "refused before this one; u the function was undefined at one of them.";

/* Everything that the next step needs, to and from a checkpoint. */
static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    PERI_TRANSFER_REALS(run, s, x, s->box.n);
    PERI_TRANSFER_REALS(run, s, g, s->box.n);
    PERI_TRANSFER_REALS(run, s, x_trial, s->box.n);
    PERI_TRANSFER_REALS(run, s, g_trial, s->box.n);
    PERI_TRANSFER_REALS(run, s, s, s->box.n);
    PERI_TRANSFER_REALS(run, s, hs, s->box.n);
    if (s->hess != NULL) {
        PERI_TRANSFER_REALS(run, s, hess, s->pattern.nnz);
        PERI_TRANSFER_REALS(run, s, diagonal, s->box.n);
    }
    PERI_TRANSFER(run, s, has_hess);
    PERI_TRANSFER(run, s, f);
    PERI_TRANSFER(run, s, f_trial);
    PERI_TRANSFER(run, s, residual);
    PERI_TRANSFER(run, s, radius);
    PERI_TRANSFER(run, s, q);
    PERI_TRANSFER(run, s, cauchy_time);
    PERI_TRANSFER(run, s, count);
    PERI_TRANSFER(run, s, first);
    PERI_TRANSFER(run, s, at_edge);
    PERI_TRANSFER(run, s, curved);
    PERI_TRANSFER(run, s, progress);
    return PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const peri_plugin TRUST_NCG = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "trust-ncg",
    .family = "local",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "trust-region Newton method with conjugate gradients and bounds",
    .page = PAGE,
    .reference = "Steihaug 1983, SIAM J. Numer. Anal. 20:626; Lin and More 1999, SIAM J. Optim. 9:1100; Conn, Gould "
                 "and Toint 2000, "
                 "Trust-Region Methods",
    .needs = {PERI_NEEDS_GRADIENT | PERI_NEEDS_HESSIAN},
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 60,
};

static const peri_plugin *const ALL[] = {&TRUST_NCG, NULL};
PERI_PLUGIN(ALL)
