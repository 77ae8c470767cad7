/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose_steps.c - how the last iterations went, from the history alone: nothing is evaluated, so this part is there for every solution.
 * Invariant: each finding is a count of iterations and a number, both of the history, so that a reader can check it.
 */
#include "run/diagnose.h"
#include "base/num.h"
#include <math.h>

enum { STEPS_LAST = 20, STEPS_FEW = 10, STEPS_KINDS = 7, STEPS_PERIOD = 6 };

typedef struct {
    diagnose_work *w;
    const peri_event *at; /* the last ones */
    int64_t n;
    peri_behaviour *out;
    int64_t found;
} steps;

static void add(steps *t, const char *what, int64_t iterations, double value, const char *text)
{
    t->out[t->found++] = (peri_behaviour){what, iterations, value, text};
}

static double range(const steps *t, int64_t first, int64_t end)
{
    double low = INFINITY, high = -INFINITY;
    for (int64_t k = first; k < end; k++) {
        low = fmin(low, t->at[k].objective);
        high = fmax(high, t->at[k].objective);
    }
    return high - low;
}

static double size_of(double v)
{
    return fmax(1, fabs(v));
}

static bool look_stalled(steps *t)
{
    const int64_t first = t->n - STEPS_FEW;
    char number[NUM_SIZE];
    if (first < 0)
        return false;
    const double r = range(t, first, t->n), before = t->at[first].primal, after = t->at[t->n - 1].primal;
    if (!(r <= 1e-9 * size_of(t->at[t->n - 1].objective)) || after < 0.9 * before)
        return false;
    add(t, "stalled", STEPS_FEW, r, diagnose_print(t->w, "the objective changed by %s in the last %d iterations",
                                                  num_print_digits(r, 3, number), STEPS_FEW));
    return true;
}

static bool repeats(const steps *t, int64_t period)
{
    if (t->n < 3 * period)
        return false;
    for (int64_t k = t->n - 2 * period; k < t->n; k++)
        if (!(fabs(t->at[k].objective - t->at[k - period].objective) <= 1e-9 * size_of(t->at[k].objective)))
            return false;
    return range(t, t->n - period, t->n) > 1e-6 * size_of(t->at[t->n - 1].objective);
}

static void look_cycling(steps *t)
{
    for (int64_t period = 2; period <= STEPS_PERIOD; period++) {
        if (!repeats(t, period))
            continue;
        add(t, "cycling", 3 * period, (double)period,
            diagnose_print(t->w, "the objective repeats itself every %lld iterations", (long long)period));
        return;
    }
}

static void look_restoration(steps *t)
{
    int64_t count = 0;
    for (int64_t k = 0; k < t->n; k++)
        count += t->at[k].restoration;
    if (count >= 2 && 2 * count >= t->n)
        add(t, "restoration", count, (double)count,
            diagnose_print(t->w, "%lld of the last %lld iterations only sought a feasible point", (long long)count, (long long)t->n));
}

static void look_regularised(steps *t)
{
    int64_t count = 0;
    double most = 0;
    char number[NUM_SIZE];
    for (int64_t k = 0; k < t->n; k++)
        if (t->at[k].regularization > 0) {
            count++;
            most = fmax(most, t->at[k].regularization);
        }
    if (count >= 2 && 2 * count >= t->n)
        add(t, "regularised", count, most,
            diagnose_print(t->w, "%lld of the last %lld iterations had to be regularised, by up to %s", (long long)count,
                           (long long)t->n, num_print_digits(most, 3, number)));
}

static void look_short(steps *t)
{
    int64_t count = 0;
    double least = INFINITY;
    char number[NUM_SIZE];
    for (int64_t k = 0; k < t->n; k++)
        if (t->at[k].step < 1e-6) {
            count++;
            least = fmin(least, t->at[k].step);
        }
    if (count >= 2 && 2 * count >= t->n)
        add(t, "short_steps", count, least,
            diagnose_print(t->w, "%lld of the last %lld steps were short, down to %s: the line search finds no progress", (long long)count,
                           (long long)t->n, num_print_digits(least, 3, number)));
}

/* In the user's sense, so that falling is getting better for a minimization only. */
static void look_diverging(steps *t)
{
    const int64_t first = t->n > STEPS_FEW ? t->n - STEPS_FEW : 0;
    const double sign = t->w->s->model->maximize ? -1 : 1, last = sign * t->at[t->n - 1].objective;
    char number[NUM_SIZE];
    if (t->n < 3 || !(last < -1e6) || !(last < 10 * fmin(sign * t->at[first].objective, 0)))
        return;
    add(t, "diverging", t->n - first, t->at[t->n - 1].objective,
        diagnose_print(t->w, "the objective runs away: %s after the last iteration", num_print_digits(t->at[t->n - 1].objective, 3, number)));
}

static void look_progressing(steps *t)
{
    const int64_t first = t->n > STEPS_FEW ? t->n - STEPS_FEW : 0;
    const peri_outcome outcome = t->w->s->outcome;
    char number[NUM_SIZE];
    int64_t count = 0;
    if ((outcome != PERI_ITERATION_LIMIT && outcome != PERI_TIME_LIMIT && outcome != PERI_INTERRUPTED) || t->n < 2)
        return;
    for (int64_t k = first; k < t->n; k++)
        count += t->at[k].best;
    const double change = fabs(t->at[t->n - 1].objective - t->at[first].objective);
    if (2 * count >= t->n - first)
        add(t, "progressing", count, change,
            diagnose_print(t->w, "%lld of the last %lld iterations found a better point; the objective moved by %s: a higher limit may help",
                           (long long)count, (long long)(t->n - first), num_print_digits(change, 3, number)));
}

peri_status diagnose_steps(diagnose_work *w)
{
    const peri_solution *s = w->s;
    const int64_t n = s->history.n < STEPS_LAST ? s->history.n : STEPS_LAST;
    steps t = {w, NULL, n, arena_array(w->keep, STEPS_KINDS, sizeof *t.out), 0};
    if (t.out == NULL)
        return FAIL_NOMEM(s->ctx);
    if (n > 0) {
        t.at = s->history.at + s->history.n - n;
        const bool stalled = look_stalled(&t);
        look_cycling(&t);
        look_restoration(&t);
        look_regularised(&t);
        look_short(&t);
        look_diverging(&t);
        if (!stalled)
            look_progressing(&t);
    }
    w->out->steps = t.out;
    w->out->n_steps = t.found;
    return PERI_OK;
}
