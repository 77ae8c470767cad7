/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lv-hba - first-order method in a single loop for two levels with constraints that couple them (Yao, Yu, Zeng and Zhang 2024).
 *   min F(x, y)  over  y in argmin { f(x, y) : g(x, y) <= 0 }  is, with
 *   v(x, y, z) = min_theta max_lambda  f(x, theta) + lambda'g(x, theta) + |theta - y|^2 / (2 gamma1) - |lambda - z|^2 / (2 gamma2),
 * the minimization of F over C x Z where f - v <= 0; C = {g <= 0, bounds}, Z = multipliers up to r. A step is one of descent and ascent for (theta,
 * lambda), then one of projected descent of  F / c_k + f - v  for (x, y) and z; c_k = c0 (k + 1)^p.
 * Rows l <= c <= u of the lower level are taken as they are: lambda > 0 belongs to the upper side, lambda < 0 to the lower one. They are divided by
 * the lengths of their gradients at the start. Invariants between steps: w = (x, y) lies in C; F, f and their gradients belong to it.
 */
#include "two_level.h"

const peri_host *peri_host_table;

typedef struct {
    double gamma1, gamma2, r, alpha, beta, eta, c0, p, start_lambda, start_z, residual, gap, polish;
    int32_t scaling, cap_steps, adapt_r;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("gamma1", options, gamma1, 1, 1e-10, 1e10, "1", "proximal radius of theta about y"),
    PERI_REAL("gamma2", options, gamma2, 1, 1e-10, 1e10, "1", "proximal radius of lambda about z"),
    PERI_REAL("r", options, r, 1e3, 1e-10, 1e100, "1", "largest multiplier of the lower level; must exceed those of the solution"),
    PERI_BOOL("adapt_r", options, adapt_r, 1, "raise r tenfold where a multiplier stays on it"),
    PERI_REAL("alpha", options, alpha, 0.2, 1e-10, 1e3, "1", "step of both levels' variables"),
    PERI_REAL("beta", options, beta, 0.2, 1e-10, 1e3, "1", "step of z"),
    PERI_REAL("eta", options, eta, 0.2, 1e-10, 1e3, "1", "step of theta and lambda"),
    PERI_BOOL("cap_steps", options, cap_steps, 1, "shorten alpha, beta and eta to what the curvature at the start allows, with a warning"),
    PERI_REAL("c0", options, c0, 1, 1e-10, 1e10, "1", "penalty c_k = c0 (k + 1)^p: its first value"),
    PERI_REAL("p", options, p, 0.3, 0, 0.999, "1", "its power; the theory asks for less than 1/2"),
    PERI_BOOL("scaling", options, scaling, 1, "divide the lower level's rows by the lengths of their gradients at the start"),
    PERI_REAL("start_lambda", options, start_lambda, 0, -1e10, 1e10, "1", "multipliers of the lower level at the start, of the side they can have"),
    PERI_REAL("start_z", options, start_z, 0, -1e10, 1e10, "1", "starting value of z, likewise"),
    PERI_REAL("residual", options, residual, 1e-6, 0, 1, "1", "ends the run: both residuals, that of the outer steps times c_k"),
    PERI_REAL("gap", options, gap, 1e-6, 0, 1, "1", "ends the run: value gap of the lower level"),
    PERI_REAL("polish", options, polish, 0.05, 0, 1e10, "1", "at the end the lower level's solution is taken where it is as near, relative; 0: never"),
};

enum { PATIENCE = 500, MOST_RAISES = 3, MOST_HALVINGS = 40, POWER_STEPS = 15 };

typedef struct {
    options opt;
    two_level t;
    peri_projection *set; /* all rows and bounds */
    double *w, *next;     /* [n] (x, y) */
    double *at;           /* [n] (x, theta) */
    double *g_upper, *g_lower, *g_at, *vj; /* [n]: grad F, grad f at w; of the Lagrangian at `at`; work */
    double *lambda, *z, *c, *weight, *scale; /* [m_own] */
    int64_t *stuck; /* [m_own] steps that |lambda| was r */
    double F, f, f_at, res_in, res_out, gap, penalty, moved;
    double alpha, beta, eta, r;
    int64_t k, raises;
} state;

/* ---- rows and multipliers ---------------------------------------------------------------------------------------------------- */

static double between(double v, double low, double high)
{
    return fmin(fmax(v, low), high);
}

/* The multipliers that row i can have. */
static double most_of(const state *s, int64_t i)
{
    return isfinite(s->t.cu[i]) ? s->r : 0;
}

static double least_of(const state *s, int64_t i)
{
    return isfinite(s->t.cl[i]) ? -s->r : 0;
}

/* lambda'g: of each row the side that its multiplier belongs to */
static double product(const state *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->t.m_own; i++) {
        const double l = s->lambda[i];
        sum += l > 0 ? l * s->scale[i] * (s->c[i] - s->t.cu[i]) : l < 0 ? l * s->scale[i] * (s->c[i] - s->t.cl[i]) : 0;
    }
    return sum;
}

/* At (x, theta): f_at, c, and g_at = the gradient of f + lambda'g in all variables */
static peri_status look_at_theta(state *s)
{
    const two_level *t = &s->t;
    TRY(peri_eval_fg(t->lower, s->at, &s->f_at, s->g_at));
    if (t->m_own == 0)
        return PERI_OK;
    TRY(peri_eval_c(t->lower, s->at, s->c));
    for (int64_t i = 0; i < t->m_own; i++)
        s->weight[i] = s->lambda[i] * s->scale[i];
    TRY(peri_eval_vj(t->lower, s->at, s->weight, s->vj));
    for (int64_t j = 0; j < t->n; j++)
        s->g_at[j] += s->vj[j];
    return PERI_OK;
}

static peri_status look_at_w(state *s, peri_run *run, const double *w)
{
    TRY(peri_eval_fg(run, w, &s->F, s->g_upper));
    return peri_eval_fg(s->t.lower, w, &s->f, s->g_lower);
}

/* ---- the steps' lengths ------------------------------------------------------------------------------------------------------- */

/* |D_y g| of the scaled rows at w, by the power method */
static peri_status row_norm(state *s, double *out)
{
    const two_level *t = &s->t;
    double *d = s->weight, *v = s->vj, length = 1;
    *out = 0;
    for (int64_t i = 0; i < t->m_own; i++)
        d[i] = s->scale[i] * (1 + 0.5 * sin(1.7 * (double)(i % 1009) + 0.3));
    for (int k = 0; k < POWER_STEPS && t->m_own > 0 && length > 0; k++) {
        TRY(peri_eval_vj(t->lower, s->w, d, v));
        for (int64_t j = 0; j < t->n; j++)
            v[j] = t->is_own[j] ? v[j] : 0;
        length = two_level_norm(t->n, v);
        for (int64_t j = 0; j < t->n && length > 0; j++)
            v[j] /= length;
        TRY(peri_eval_jv(t->lower, s->w, v, d));
        for (int64_t i = 0; i < t->m_own; i++)
            d[i] *= s->scale[i];
        const double size = two_level_norm(t->m_own, d);
        *out = fmax(*out, size);
        for (int64_t i = 0; i < t->m_own && size > 0; i++)
            d[i] *= s->scale[i] / size;
    }
    return PERI_OK;
}

/*
 * Descent and ascent with step eta on [a  k; -k  b], a = l + 1/gamma1, b = 1/gamma2, contracts where eta < (a + b) / (ab + k^2) if the eigenvalues
 * are complex, eta < 2 / the larger one if they are real.
 */
static double stable(double a, double b, double k)
{
    const double d = (a - b) * (a - b) - 4 * k * k;
    return d < 0 ? (a + b) / (a * b + k * k) : 4 / (a + b + sqrt(d));
}

static void shorten(state *s, peri_run *run, const char *name, double *step, double limit)
{
    char text[160];
    if (!(*step > limit))
        return;
    snprintf(text, sizeof text, "%s = %g is longer than the curvature at the start allows: %g is taken (cap_steps = false keeps it)", name, *step,
             limit);
    if (s->opt.cap_steps)
        *step = limit;
    else
        snprintf(text, sizeof text, "%s = %g is longer than the curvature at the start allows, %g: the run may diverge", name, *step, limit);
    peri_note(run, 0, text);
}

static peri_status choose_steps(state *s, peri_run *run, double *work)
{
    const double b = 1 / s->opt.gamma2, near = 1 / s->opt.gamma1;
    double own, all, upper, kappa, limit;
    char text[160];
    TRY(two_level_curvature(&s->t, s->t.lower, TWO_LEVEL_OWN, s->w, work, &own));
    TRY(two_level_curvature(&s->t, s->t.lower, TWO_LEVEL_ALL, s->w, work, &all));
    TRY(two_level_curvature(&s->t, run, TWO_LEVEL_ALL, s->w, work, &upper));
    TRY(row_norm(s, &kappa));
    limit = fmin(fmin(stable(near, b, kappa), stable(near + own, b, kappa)), fmin(stable(near, b, 0), stable(near + own, b, 0)));
    s->alpha = s->opt.alpha;
    s->beta = s->opt.beta;
    s->eta = s->opt.eta;
    shorten(s, run, "eta", &s->eta, 0.9 * limit);
    shorten(s, run, "alpha", &s->alpha, 1 / (all + near));
    shorten(s, run, "beta", &s->beta, 1 / b);
    if (s->alpha * upper > 2 * s->opt.c0) {
        snprintf(text, sizeof text, "the upper objective is stiff: with c0 = %g the first steps may be too long; c0 >= %.2g or a shorter alpha is safe",
                 s->opt.c0, s->alpha * upper / 2);
        peri_note(run, 0, text);
    }
    snprintf(text, sizeof text, "curvature of the lower level %.3g, in its own variables %.3g; norm of its rows %.3g", all, own, kappa);
    peri_note(run, 1, text);
    return PERI_OK;
}

/* ---- init ---------------------------------------------------------------------------------------------------------------------- */

static peri_status scale_rows(state *s, peri_run *run)
{
    peri_pattern p;
    double *value;
    for (int64_t i = 0; i < s->t.m_own; i++)
        s->scale[i] = s->opt.scaling ? 0 : 1;
    if (!s->opt.scaling || s->t.m_own == 0)
        return PERI_OK;
    TRY(peri_jac_pattern(s->t.lower, &p));
    TRY(peri_alloc(run, p.nnz, &value));
    TRY(peri_eval_jac(s->t.lower, s->w, value));
    for (int64_t k = 0; k < p.nnz; k++)
        s->scale[p.index[k]] += value[k] * value[k];
    for (int64_t i = 0; i < s->t.m_own; i++)
        s->scale[i] = s->scale[i] > 0 ? 1 / sqrt(s->scale[i]) : 1;
    return PERI_OK;
}

static peri_status allocate(state *s, peri_run *run)
{
    double **const of_all[] = {&s->w, &s->next, &s->at, &s->g_upper, &s->g_lower, &s->g_at, &s->vj};
    double **const of_rows[] = {&s->lambda, &s->z, &s->c, &s->weight, &s->scale};
    for (size_t k = 0; k < PERI_COUNT(of_all); k++)
        TRY(peri_alloc(run, s->t.n, of_all[k]));
    for (size_t k = 0; k < PERI_COUNT(of_rows); k++)
        TRY(peri_alloc(run, s->t.m_own, of_rows[k]));
    return peri_alloc_index(run, s->t.m_own, &s->stuck);
}

static peri_status tell(state *s, peri_run *run, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->F;
    row.primal = 0;
    row.dual = s->penalty * s->res_out;
    row.complementarity = s->gap;
    row.step = s->moved;
    row.barrier = s->penalty;
    row.trust_radius = s->res_in;
    row.tag = tag;
    return peri_accept(run, s->w, NULL, NULL, &row, next);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    double *work;
    peri_step next;
    s->opt = *(const options *)opt;
    s->r = s->opt.r;
    s->penalty = s->opt.c0;
    s->res_in = s->res_out = s->gap = s->moved = NAN;
    TRY(two_level_open(&s->t, run));
    TRY(allocate(s, run));
    TRY(peri_alloc(run, 4 * s->t.n, &work));
    TRY(peri_projection_open(run, &s->set));
    TRY(peri_start(run, s->w));
    TRY(peri_projection_apply(s->set, s->w, s->w));
    TRY(scale_rows(s, run));
    TRY(look_at_w(s, run, s->w));
    TRY(choose_steps(s, run, work));
    memcpy(s->at, s->w, (size_t)s->t.n * sizeof *s->w);
    for (int64_t i = 0; i < s->t.m_own; i++) {
        s->lambda[i] = between(s->opt.start_lambda, least_of(s, i), most_of(s, i));
        s->z[i] = between(s->opt.start_z, least_of(s, i), most_of(s, i));
    }
    return tell(s, run, 0, &next);
}

/* ---- one step --------------------------------------------------------------------------------------------------------------------- */

/* lambda_i moved by eta up its slope c - side - (lambda - z) / gamma2; the side's part by its proximal operator, which knows the kink at 0 */
static double climb(const state *s, int64_t i)
{
    const double l = s->lambda[i] + s->eta * (s->scale[i] * s->c[i] - (s->lambda[i] - s->z[i]) / s->opt.gamma2);
    const double up = s->eta * s->scale[i] * s->t.cu[i], down = s->eta * s->scale[i] * s->t.cl[i];
    return between(l > up ? l - up : l < down ? l - down : 0, least_of(s, i), most_of(s, i));
}

/* Steps 1 and 2 of the method: theta and lambda, from their old values both. s->vj: theta before, for when f is undefined at the new one. */
static peri_status inner_step(state *s)
{
    const two_level *t = &s->t;
    double square = 0;
    TRY(look_at_theta(s));
    memcpy(s->vj, s->at, (size_t)t->n * sizeof *s->at);
    for (int64_t k = 0; k < t->n_own; k++) {
        const int64_t j = t->own[k];
        const double d = s->g_at[j] + (s->at[j] - s->w[j]) / s->opt.gamma1;
        const double to = between(s->at[j] - s->eta * d, t->xl[j], t->xu[j]);
        square += (to - s->at[j]) * (to - s->at[j]);
        s->at[j] = to;
    }
    for (int64_t i = 0; i < t->m_own; i++) {
        const double to = climb(s, i);
        square += (to - s->lambda[i]) * (to - s->lambda[i]);
        s->lambda[i] = to;
    }
    s->res_in = sqrt(square) / s->eta;
    return PERI_OK;
}

/* look_at_theta at the new theta; half as far from the old one, in t.spare, as long as f or g is undefined there. */
static peri_status look_at_new_theta(state *s, char *tag)
{
    const two_level *t = &s->t;
    memcpy(t->spare, s->vj, (size_t)t->n * sizeof *t->spare);
    for (int k = 0;; k++) {
        const peri_status status = look_at_theta(s);
        if (status != PERI_E_DOMAIN || k >= MOST_HALVINGS)
            return status;
        *tag = 'h';
        for (int64_t j = 0; j < t->n; j++)
            s->at[j] = 0.5 * (s->at[j] + t->spare[j]);
    }
}

static double value_gap(const state *s)
{
    const two_level *t = &s->t;
    double far = 0, off = 0;
    for (int64_t k = 0; k < t->n_own; k++) {
        const double d = s->at[t->own[k]] - s->w[t->own[k]];
        far += d * d;
    }
    for (int64_t i = 0; i < t->m_own; i++)
        off += (s->lambda[i] - s->z[i]) * (s->lambda[i] - s->z[i]);
    return s->f - (s->f_at + product(s) + far / (2 * s->opt.gamma1) - off / (2 * s->opt.gamma2));
}

/* Steps 3 and 4: next = the projection of w - alpha d, z moved; ret |z's step|^2 / beta^2 */
static peri_status outer_step(state *s, double *z_square)
{
    const two_level *t = &s->t;
    for (int64_t j = 0; j < t->n; j++) {
        const double of_value = t->is_own[j] ? (s->w[j] - s->at[j]) / s->opt.gamma1 : s->g_at[j];
        s->next[j] = s->w[j] - s->alpha * (s->g_upper[j] / s->penalty + s->g_lower[j] - of_value);
    }
    TRY(peri_projection_apply(s->set, s->next, s->next));
    *z_square = 0;
    for (int64_t i = 0; i < t->m_own; i++) {
        const double to = between(s->z[i] + s->beta * (s->lambda[i] - s->z[i]) / s->opt.gamma2, least_of(s, i), most_of(s, i));
        *z_square += (to - s->z[i]) * (to - s->z[i]) / (s->beta * s->beta);
        s->z[i] = to;
    }
    return PERI_OK;
}

/* w := next, or half as far from w as long as F or f is undefined there: C is convex. */
static peri_status take_next(state *s, peri_run *run, double z_square, char *tag)
{
    const int64_t n = s->t.n;
    peri_status status = look_at_w(s, run, s->next);
    for (int k = 0; status == PERI_E_DOMAIN && k < MOST_HALVINGS; k++) {
        *tag = 'h';
        for (int64_t j = 0; j < n; j++)
            s->next[j] = 0.5 * (s->next[j] + s->w[j]);
        status = look_at_w(s, run, s->next);
    }
    TRY(status);
    double square = 0;
    for (int64_t j = 0; j < n; j++) {
        square += (s->next[j] - s->w[j]) * (s->next[j] - s->w[j]);
        if (!s->t.is_own[j])
            s->at[j] = s->next[j];
    }
    s->moved = sqrt(square);
    s->res_out = sqrt(square / (s->alpha * s->alpha) + z_square);
    double *const old = s->w;
    s->w = s->next;
    s->next = old;
    return PERI_OK;
}

/* A multiplier that stays on r makes the reformulation inexact. */
static void watch_r(state *s, peri_run *run, char *tag)
{
    char text[200];
    for (int64_t i = 0; i < s->t.m_own; i++) {
        s->stuck[i] = fabs(s->lambda[i]) >= s->r ? s->stuck[i] + 1 : 0;
        if (s->stuck[i] != PATIENCE)
            continue;
        const bool raise = s->opt.adapt_r && s->raises < MOST_RAISES;
        snprintf(text, sizeof text, "r = %g is too small: the multiplier of the lower level's row %lld was on it for %d steps; %s", s->r,
                 (long long)i + 1, (int)PATIENCE, raise ? "r is raised tenfold" : "a larger r is needed, or shorter steps");
        if (s->raises <= MOST_RAISES) /* the last time that it is told */
            peri_note(run, 0, text);
        s->raises++;
        if (!raise)
            continue;
        s->r *= 10;
        *tag = 'r';
        memset(s->stuck, 0, (size_t)s->t.m_own * sizeof *s->stuck);
        return;
    }
}

/* The last point: the lower level's own solution in w's place, where that is near. */
static peri_status end(state *s, peri_run *run, char tag, peri_why why, peri_step *next)
{
    bool moved;
    memcpy(s->next, s->w, (size_t)s->t.n * sizeof *s->w);
    TRY(two_level_polish(&s->t, run, s->opt.polish, s->next, &moved));
    if (moved && look_at_w(s, run, s->next) == PERI_OK) {
        memcpy(s->w, s->next, (size_t)s->t.n * sizeof *s->w);
        tag = 'p';
    } else if (moved) {
        TRY(look_at_w(s, run, s->w));
    }
    TRY(tell(s, run, tag, next));
    return peri_finish(run, why, next);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    double z_square;
    char tag = 0;
    s->penalty = s->opt.c0 * pow((double)s->k + 1, s->opt.p);
    TRY(inner_step(s));
    TRY(look_at_new_theta(s, &tag));
    s->gap = value_gap(s);
    TRY(outer_step(s, &z_square));
    TRY(take_next(s, run, z_square, &tag));
    watch_r(s, run, &tag);
    s->k++;
    const bool done = s->penalty * s->res_out <= s->opt.residual && s->res_in <= s->opt.residual && s->gap <= s->opt.gap;
    const bool last = s->k >= peri_get_limits(run)->iterations || two_level_ran_away(&s->t, run, s->at);
    return done || last ? end(s, run, tag, done ? PERI_WHY_CONVERGED : PERI_WHY_STALLED, next) : tell(s, run, tag, next);
}

static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    PERI_TRANSFER_REALS(run, s, w, s->t.n);
    PERI_TRANSFER_REALS(run, s, at, s->t.n);
    PERI_TRANSFER_REALS(run, s, g_upper, s->t.n);
    PERI_TRANSFER_REALS(run, s, g_lower, s->t.n);
    PERI_TRANSFER_REALS(run, s, lambda, s->t.m_own);
    PERI_TRANSFER_REALS(run, s, z, s->t.m_own);
    PERI_TRANSFER_REALS(run, s, scale, s->t.m_own);
    TRY(peri_transfer(run, "stuck", s->stuck, (size_t)s->t.m_own * sizeof *s->stuck));
    PERI_TRANSFER(run, s, F);
    PERI_TRANSFER(run, s, f);
    PERI_TRANSFER(run, s, alpha);
    PERI_TRANSFER(run, s, beta);
    PERI_TRANSFER(run, s, eta);
    PERI_TRANSFER(run, s, r);
    PERI_TRANSFER(run, s, k);
    PERI_TRANSFER(run, s, raises);
    return PERI_OK;
}

static const char PAGE[] =
    "Two levels whose lower one is convex in its own variables and may have constraints that both levels' variables are in: first derivatives only,\n"
    "no solution of the lower level inside, time and memory of a step proportional to the numbers of variables and nonzeros. The lower level need\n"
    "not have a single solution.\n"
    "\n"
    "The lower level's optimality is f(x, y) <= v(x, y, z), where v is the value of a saddle problem in copies theta of y and lambda of its\n"
    "multipliers, held near y and z by proximal terms. A step moves theta and lambda once towards that saddle, then x, y and z once down\n"
    "F / c_k + f - v, and projects (x, y) onto all constraints: iterates satisfy them always. c_k = c0 (k + 1)^p grows slowly, and with it the\n"
    "accuracy: about 1 / c_k. The option iterations (10000) is what mostly ends a run; 1000 to 20000 are usual. In the end the lower level is solved\n"
    "at the x found, and its solution taken where it is near (polish).\n"
    "\n"
    "Steps: alpha, beta and eta are for problems with curvatures about 1, whose rows are scaled; longer ones than the curvature allows are shortened\n"
    "with a warning (cap_steps). gamma1 must be less than 1 / (2 rho) where f(x, .) is only weakly convex: f + rho |y|^2 / 2 convex. r must exceed the\n"
    "multipliers of the lower level: if one stays on it, that is said, and r is raised.\n"
    "Columns: dual c_k times the residual of the outer step; complementarity the value gap f - v; trust_radius the residual of the inner step;\n"
    "barrier c_k; step how far (x, y) moved. Tags: h shortened because a function was undefined, r raised r, p the lower level's solution.";

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const peri_plugin LV_HBA = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "lv-hba",
    .family = "bilevel",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "two levels with coupling constraints, convex below: first-order steps on a proximal Lagrangian value function",
    .page = PAGE,
    .reference = "Yao, Yu, Zeng and Zhang 2024, Constrained bi-level optimization: proximal Lagrangian value function approach and Hessian-free "
                 "algorithm, ICLR, arXiv 2401.16164",
    .needs = {PERI_BIT(PERI_TRAIT_LEVELS) | PERI_NEEDS_GRADIENT},
    .refuses = {PERI_BIT(PERI_TRAIT_MULTILEVEL) | PERI_REFUSES_INTEGER},
    .rank = 20,
};

static const peri_plugin *const ALL[] = {&LV_HBA, NULL};
PERI_PLUGIN(ALL)
