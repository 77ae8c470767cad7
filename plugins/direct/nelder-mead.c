/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nelder-mead.c - the simplex method of Nelder and Mead with coefficients that depend on the dimension, bounds by projection, and restarts: a
 * simplex that has become small is replaced by a fresh one around its best vertex, until that brings no more. Invariant: vertices are sorted by
 * value, all within the bounds; `sum` is the sum of all but the last.
 * Sources: Nelder and Mead 1965; Gao and Han 2012 (coefficients); Kelley 1999 (restarts).
 */
#include "direct.h"

#include <float.h>

typedef struct {
    double step, size;
    int64_t restarts;
    int32_t adaptive;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("step", options, step, 0.1, 1e-12, 1e6, "1", "first simplex: length of its edges relative to max(1, |x_i|)"),
    PERI_REAL("size", options, size, 1e-8, 0, 1, "1", "a simplex this small, relative to max(1, |x_i|), has converged"),
    PERI_INT("restarts", options, restarts, 20, 0, 1e6, "1", "most fresh simplices; the end is when one brings no decrease"),
    PERI_BOOL("adaptive", options, adaptive, 1, "coefficients by dimension (Gao and Han); otherwise Nelder and Mead's own"),
};

typedef struct {
    options opt;
    direct_box box;
    double **vertex, *value;           /* [n + 1] */
    double *sum, *reflected, *other;   /* [n] */
    double expand, contract, shrink;   /* coefficients; reflection has 1 */
    double best_before, step;          /* value at the last restart; of the present simplex */
    int64_t restarts;
} state;

static peri_status allocate(state *s, peri_run *run)
{
    const int64_t n = s->box.n;
    s->vertex = peri_alloc_bytes(run, (size_t)n + 1, sizeof *s->vertex);
    if (s->vertex == NULL)
        return PERI_E_NOMEM;
    for (int64_t k = 0; k <= n; k++)
        TRY(peri_alloc(run, n, &s->vertex[k]));
    TRY(peri_alloc(run, n + 1, &s->value));
    TRY(peri_alloc(run, n, &s->sum));
    TRY(peri_alloc(run, n, &s->reflected));
    return peri_alloc(run, n, &s->other);
}

/* Gao and Han 2012, section 4. */
static void set_coefficients(state *s)
{
    const double n = (double)(s->box.n > 2 && s->opt.adaptive ? s->box.n : 2);
    s->expand = 1 + 2 / n;
    s->contract = 0.75 - 1 / (2 * n);
    s->shrink = 1 - 1 / n;
}

/* ---- the simplex ------------------------------------------------------------------------------------------------------- */

/* Vertex `at` moves up to where its value belongs; equal values keep their order. */
static void sort_in(state *s, int64_t at)
{
    double *const x = s->vertex[at], f = s->value[at];
    for (; at > 0 && f < s->value[at - 1]; at--) {
        s->vertex[at] = s->vertex[at - 1];
        s->value[at] = s->value[at - 1];
    }
    s->vertex[at] = x;
    s->value[at] = f;
}

static void add_up(state *s)
{
    memset(s->sum, 0, (size_t)s->box.n * sizeof *s->sum);
    for (int64_t k = 0; k < s->box.n; k++)
        for (int64_t i = 0; i < s->box.n; i++)
            s->sum[i] += s->vertex[k][i];
}

/* n vertices around the first one, each away from a bound that is near. */
static peri_status spread(state *s, peri_run *run)
{
    const int64_t n = s->box.n;
    double *const x = s->vertex[0];
    for (int64_t k = 1; k <= n; k++) {
        const int64_t i = k - 1;
        const double length = direct_length(&s->box, i, x[i], s->step);
        memcpy(s->vertex[k], x, (size_t)n * sizeof *x);
        s->vertex[k][i] += x[i] + length <= s->box.upper[i] ? length : -length;
        direct_project(&s->box, s->vertex[k]);
        TRY(direct_value(run, s->vertex[k], &s->value[k]));
    }
    for (int64_t k = 1; k <= n; k++)
        sort_in(s, k);
    s->best_before = s->value[0];
    add_up(s);
    return PERI_OK;
}

/* The largest distance from the best vertex, relative to max(1, |x_i|). */
static double size_of(const state *s)
{
    double most = 0;
    for (int64_t k = 1; k <= s->box.n; k++)
        for (int64_t i = 0; i < s->box.n; i++)
            most = fmax(most, fabs(s->vertex[k][i] - s->vertex[0][i]) / fmax(1, fabs(s->vertex[0][i])));
    return most;
}

static peri_status tell(state *s, peri_run *run, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->value[0];
    row.step = size_of(s);
    row.tag = tag;
    return peri_accept(run, s->vertex[0], NULL, NULL, &row, next);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    s->opt = *(const options *)opt;
    s->box = direct_box_of(run);
    s->step = s->opt.step;
    TRY(allocate(s, run));
    set_coefficients(s);
    TRY(peri_start(run, s->vertex[0]));
    TRY(peri_eval_f(run, s->vertex[0], &s->value[0])); /* undefined here: no simplex to begin with */
    TRY(spread(s, run));
    return tell(s, run, 0, &next);
}

/* ---- an iteration -------------------------------------------------------------------------------------------------------- */

/* out := P(centroid + t (centroid - worst)) */
static peri_status try_at(state *s, peri_run *run, double t, double *out, double *f)
{
    const int64_t n = s->box.n;
    const double *const worst = s->vertex[n];
    for (int64_t i = 0; i < n; i++) {
        const double c = s->sum[i] / (double)n;
        out[i] = c + t * (c - worst[i]);
    }
    direct_project(&s->box, out);
    return direct_value(run, out, f);
}

/* x takes the worst vertex's place. */
static void replace(state *s, const double *x, double f)
{
    const int64_t n = s->box.n;
    memcpy(s->vertex[n], x, (size_t)n * sizeof *x);
    s->value[n] = f;
    sort_in(s, n);
    add_up(s);
}

static peri_status shrink(state *s, peri_run *run)
{
    const int64_t n = s->box.n;
    for (int64_t k = 1; k <= n && !peri_should_stop(run); k++) {
        for (int64_t i = 0; i < n; i++)
            s->vertex[k][i] = s->vertex[0][i] + s->shrink * (s->vertex[k][i] - s->vertex[0][i]);
        TRY(direct_value(run, s->vertex[k], &s->value[k]));
    }
    for (int64_t k = 1; k <= n; k++)
        sort_in(s, k);
    add_up(s);
    return PERI_OK;
}

/* Reflection, expansion, contraction outside or inside, or shrinking; *tag its letter. */
static peri_status move(state *s, peri_run *run, char *tag)
{
    const int64_t n = s->box.n;
    double fr, fo;
    TRY(try_at(s, run, 1, s->reflected, &fr));
    if (fr < s->value[0]) {
        TRY(try_at(s, run, s->expand, s->other, &fo));
        *tag = fo < fr ? 'e' : 'r';
        replace(s, fo < fr ? s->other : s->reflected, fmin(fo, fr));
        return PERI_OK;
    }
    if (fr < s->value[n - 1]) {
        *tag = 'r';
        replace(s, s->reflected, fr);
        return PERI_OK;
    }
    const bool outside = fr < s->value[n];
    TRY(try_at(s, run, outside ? s->contract : -s->contract, s->other, &fo));
    if (fo < fmin(fr, s->value[n])) {
        *tag = outside ? 'o' : 'i';
        replace(s, s->other, fo);
        return PERI_OK;
    }
    *tag = 's';
    return shrink(s, run);
}

/* A small simplex: a fresh one, unless the last one brought nothing. */
static peri_status end_or_restart(state *s, peri_run *run, peri_step *next)
{
    const double gain = s->best_before - s->value[0], noise = 1e-14 * fmax(1, fabs(s->value[0]));
    const bool idle = s->restarts > 0 && !(gain > noise);
    if (idle || s->restarts >= s->opt.restarts)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    s->restarts++;
    s->step = fmax(1e-4, 0.5 * s->step);
    TRY(spread(s, run));
    return tell(s, run, 'f', next);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    char tag = 0;
    if (s->value[0] < DIRECT_RUNAWAY)
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    if (size_of(s) <= s->opt.size)
        return end_or_restart(s, run, next);
    TRY(move(s, run, &tag));
    return tell(s, run, tag, next);
}

/* ---- the table ------------------------------------------------------------------------------------------------------------ */

static const char PAGE[] =
    "Downhill simplex for a few variables (to about twenty) with bounds, from values alone: for black boxes, and for functions with kinks or a\n"
    "little noise. n + 1 points are reflected, expanded, contracted or shrunk towards the best. The coefficients adapt to the dimension,\n"
    "without which the method fails from about ten variables on. When the simplex has become small, a fresh one around its best point checks\n"
    "that it has not collapsed; the run ends when that brings no decrease.\n"
    "\n"
    "There is no proof of convergence; pattern-search has one, and needs more evaluations. A point where the function is undefined counts as\n"
    "infinite. Tags: r reflection, e expansion, o and i contraction outside and inside, s shrinking, f a fresh simplex. Column step: the\n"
    "simplex's size.";

/* Everything that the next step needs, to and from a checkpoint. */
static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    for (int64_t k = 0; k <= s->box.n; k++)
        TRY(peri_transfer_reals(run, "vertex", s->box.n, s->vertex[k]));
    PERI_TRANSFER_REALS(run, s, value, s->box.n + 1);
    PERI_TRANSFER_REALS(run, s, sum, s->box.n);
    PERI_TRANSFER(run, s, best_before);
    PERI_TRANSFER(run, s, step);
    PERI_TRANSFER(run, s, restarts);
    return PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const peri_plugin NELDER_MEAD = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "nelder-mead",
    .family = "direct",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "downhill simplex with bounds, from values alone",
    .page = PAGE,
    .reference = "Nelder and Mead 1965, Computer J. 7:308; Gao and Han 2012, Comput. Optim. Appl. 51:259; Kelley 1999, SIAM J. Optim. 10:43",
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_INTEGER},
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 20,
};

static const peri_plugin *const ALL[] = {&NELDER_MEAD, NULL};
PERI_PLUGIN(ALL)
