/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern-search.c - generating set search: the coordinate directions, scaled, are tried at a mesh size that is halved when none of them leads
 * down; after a success the search goes on around a pattern step, the last move repeated. Invariant: f = f(x), x within the bounds, and
 * every direction of the set that stays within them has been tried before the mesh is refined.
 * Sources: Hooke and Jeeves 1961; Kolda, Lewis and Torczon 2003 (convergence, bounds, sufficient decrease).
 */
#include "direct.h"

#include <float.h>

enum { POLL_IN_TURN, POLL_COMPLETE };
static const char *const POLLS[] = {"in_turn", "complete", NULL};

typedef struct {
    double step, size;
    int32_t poll, accelerate;
} options;

static const peri_option OPTION_LIST[] = {
    PERI_REAL("step", options, step, 0.25, 1e-12, 1e6, "1", "first mesh size, relative to max(1, |x_i|)"),
    PERI_REAL("size", options, size, 1e-9, 0, 1, "1", "a mesh this fine, relative to max(1, |x_i|), is the end"),
    PERI_ENUM("poll", options, poll, POLL_IN_TURN, POLLS,
              "in_turn: variables one after the other, moves add up; complete: all directions as one batch, the best is taken"),
    PERI_BOOL("accelerate", options, accelerate, 1, "after a success, go on around the last move repeated"),
};

typedef struct {
    options opt;
    direct_box box;
    double *x, *base, *y, *trial, *scale; /* [n]: point, the one before it, two trials, lengths of the directions */
    double *points, *values;          /* [2n * n], [2n] of a complete poll */
    unsigned char *down;              /* [n] the variable's last success was downwards */
    double f, mesh;
    bool moved; /* x differs from base */
} state;

static peri_status tell(state *s, peri_run *run, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->f;
    row.step = s->mesh;
    row.tag = tag;
    return peri_accept(run, s->x, NULL, NULL, &row, next);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    s->opt = *(const options *)opt;
    s->box = direct_box_of(run);
    const int64_t n = s->box.n;
    double **const vectors[] = {&s->x, &s->base, &s->y, &s->trial, &s->scale};
    for (size_t k = 0; k < PERI_COUNT(vectors); k++)
        TRY(peri_alloc(run, n, vectors[k]));
    s->down = peri_alloc_bytes(run, (size_t)n, 1);
    if (s->down == NULL)
        return PERI_E_NOMEM;
    if (s->opt.poll == POLL_COMPLETE) {
        TRY(peri_alloc(run, 2 * n * n, &s->points));
        TRY(peri_alloc(run, 2 * n, &s->values));
    }
    TRY(peri_start(run, s->x));
    TRY(peri_eval_f(run, s->x, &s->f));
    for (int64_t i = 0; i < n; i++)
        s->scale[i] = direct_length(&s->box, i, s->x[i], 1);
    memcpy(s->base, s->x, (size_t)n * sizeof *s->x);
    s->mesh = s->opt.step;
    return tell(s, run, 0, &next);
}

/* y moved along direction k, as far as the bounds let it, into `out`; false: not at all. */
static bool along(const state *s, const double *y, int64_t k, double *out)
{
    const int64_t n = s->box.n, i = k < n ? k : k - n;
    const double length = s->mesh * s->scale[i] * (k < n ? 1 : -1);
    memcpy(out, y, (size_t)n * sizeof *out);
    out[i] = fmin(fmax(y[i] + length, s->box.lower[i]), s->box.upper[i]);
    return out[i] < y[i] || out[i] > y[i];
}

/* Enough of a decrease for the convergence proof with real steps: a small multiple of the squared mesh size. */
static double wanted(const state *s, double f)
{
    return f - 1e-8 * s->mesh * s->mesh * fmin(1, fabs(f));
}

/* Each variable in turn is moved up, or else down, if that leads down; the side that did so last is tried first. */
static peri_status explore_in_turn(state *s, peri_run *run, double *y, double *f)
{
    const int64_t n = s->box.n;
    for (int64_t i = 0; i < n && !peri_should_stop(run); i++)
        for (int side = 0; side < 2; side++) {
            const int64_t k = (s->down[i] != 0) != (side != 0) ? n + i : i;
            double trial;
            if (!along(s, y, k, s->trial))
                continue;
            TRY(direct_value(run, s->trial, &trial));
            if (trial < wanted(s, *f)) {
                memcpy(y, s->trial, (size_t)n * sizeof *y);
                *f = trial;
                s->down[i] = k >= n;
                break;
            }
        }
    return PERI_OK;
}

/* The best of all directions, evaluated together. */
static peri_status explore_at_once(state *s, peri_run *run, double *y, double *f)
{
    const int64_t n = s->box.n;
    int64_t count = 0, best = -1;
    for (int64_t k = 0; k < 2 * n; k++)
        count += along(s, y, k, s->points + count * n);
    TRY(peri_eval_f_batch(run, count, s->points, s->values));
    for (int64_t k = 0; k < count; k++)
        if (s->values[k] < (best < 0 ? wanted(s, *f) : s->values[best]))
            best = k;
    if (best >= 0) {
        memcpy(y, s->points + best * n, (size_t)n * sizeof *y);
        *f = s->values[best];
    }
    return PERI_OK;
}

static peri_status explore(state *s, peri_run *run, double *y, double *f)
{
    return s->opt.poll == POLL_COMPLETE ? explore_at_once(s, run, y, f) : explore_in_turn(s, run, y, f);
}

/* y, the new point, from x, which becomes the base of the next pattern step. */
static void take(state *s, double f)
{
    double *const base = s->base;
    s->base = s->x;
    s->x = s->y;
    s->y = base;
    s->f = f;
    s->moved = true;
}

/* Around x + (x - base), where the last moves lead on. */
static peri_status pattern_step(state *s, peri_run *run, bool *success)
{
    double f;
    for (int64_t i = 0; i < s->box.n; i++)
        s->y[i] = 2 * s->x[i] - s->base[i];
    direct_project(&s->box, s->y);
    TRY(direct_value(run, s->y, &f));
    if (f < INFINITY)
        TRY(explore(s, run, s->y, &f));
    *success = f < wanted(s, s->f);
    if (*success)
        take(s, f);
    else
        s->moved = false;
    return PERI_OK;
}

static peri_status poll(state *s, peri_run *run, bool *success)
{
    double f = s->f;
    memcpy(s->y, s->x, (size_t)s->box.n * sizeof *s->y);
    TRY(explore(s, run, s->y, &f));
    *success = f < s->f;
    if (*success)
        take(s, f);
    return PERI_OK;
}

static double relative_mesh(const state *s)
{
    double most = 0;
    for (int64_t i = 0; i < s->box.n; i++)
        most = fmax(most, s->mesh * s->scale[i] / fmax(1, fabs(s->x[i])));
    return most;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    bool success = false;
    char tag = 'p';
    if (s->f < DIRECT_RUNAWAY)
        return peri_finish(run, PERI_WHY_UNBOUNDED, next);
    if (s->opt.accelerate && s->moved)
        TRY(pattern_step(s, run, &success));
    if (!success) {
        TRY(poll(s, run, &success));
        tag = success ? 'd' : 's';
    }
    if (peri_should_stop(run) && !success)
        return PERI_OK;
    s->mesh *= success ? 1 : 0.5;
    TRY(tell(s, run, tag, next));
    return relative_mesh(s) <= s->opt.size ? peri_finish(run, PERI_WHY_CONVERGED, next) : PERI_OK;
}

static const char PAGE[] =
    "Pattern search for a few variables with bounds, from values alone: the directions +- e_i, each scaled by its variable, are polled on a mesh\n"
    "that is halved when none leads down. After a success the search goes on around the last move repeated, which carries it along valleys. For\n"
    "smooth functions every limit point of the refined meshes is stationary (Kolda, Lewis and Torczon); kinks can stop it at points that are\n"
    "not, where nelder-mead may go on.\n"
    "\n"
    "poll = \"complete\" evaluates all 2 n directions as one batch and takes the best. A point where the function is undefined counts as infinite.\n"
    "Tags: p pattern step, d a poll's direction, s the mesh was halved. Column step: the mesh size.";

/* Everything that the next step needs, to and from a checkpoint. */
static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    PERI_TRANSFER_REALS(run, s, x, s->box.n);
    PERI_TRANSFER_REALS(run, s, base, s->box.n);
    PERI_TRANSFER_REALS(run, s, y, s->box.n);
    PERI_TRANSFER_REALS(run, s, trial, s->box.n);
    PERI_TRANSFER_REALS(run, s, scale, s->box.n);
    TRY(peri_transfer(run, "down", s->down, (size_t)s->box.n));
    PERI_TRANSFER(run, s, f);
    PERI_TRANSFER(run, s, mesh);
    PERI_TRANSFER(run, s, moved);
    return PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const peri_plugin PATTERN_SEARCH = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "pattern-search",
    .family = "direct",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "generating set search with bounds and pattern steps, from values alone",
    .page = PAGE,
    .reference = "Hooke and Jeeves 1961, J. ACM 8:212; Kolda, Lewis and Torczon 2003, SIAM Review 45:385",
    .refuses = {PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_INTEGER},
    .flags = PERI_FLAG_AUTOMATIC,
    .rank = 15,
};

static const peri_plugin *const ALL[] = {&PATTERN_SEARCH, NULL};
PERI_PLUGIN(ALL)
