/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line_search.c - More and Thuente's line search. Invariant: the interval between best_step and other_step, once
 * bracketed, contains a step that satisfies both conditions, and best_step has the lowest value of the (at first
 * modified) function psi(t) = f(t) - f(0) - decrease t f'(0). Source: More and Thuente 1994, ACM TOMS 20:286, sections
 * 2 to 4 (the cases below are those of section 4).
 */
#include "line_search.h"
#include <math.h>

/* Relative width of a bracket at which a search ends. */
static const double NARROW = 1e-15;
/* Growth of the step while there is no bracket, least and most. */
static const double GROW_LEAST = 1.1, GROW_MOST = 4;
/* A bracket that did not shrink by this in two steps is bisected. */
static const double SHRINK = 0.66;

void line_begin(line_search *s, double f, double slope, double step, double most)
{
    s->start_f = s->best_f = s->other_f = f;
    s->start_slope = s->best_slope = s->other_slope = slope;
    s->best_step = s->other_step = 0;
    s->step = step;
    s->most = most;
    s->low = 0;
    s->high = step + GROW_MOST * step;
    s->width = most;
    s->last_width = 2 * most;
    s->bracketed = false;
    s->modified = true;
}

/* Minimum of the cubic through two values and slopes, from the end a; `sign` is that of the root taken. */
static double cubic_root(double theta, double slope_a, double slope_b, double floor)
{
    const double scale = fmax(fabs(theta), fmax(fabs(slope_a), fabs(slope_b)));
    const double inside = (theta / scale) * (theta / scale) - (slope_a / scale) * (slope_b / scale);
    return scale * sqrt(fmax(floor, inside));
}

typedef struct {
    double step, f, slope;
} trial;

/* Case 1: the value is higher. The minimum is bracketed; cubic, or its middle with the quadratic's. */
static double higher(const line_search *s, const trial *t)
{
    const double b = s->best_step, span = t->step - b;
    const double theta = 3 * (s->best_f - t->f) / span + s->best_slope + t->slope;
    double gamma = cubic_root(theta, s->best_slope, t->slope, -INFINITY);
    if (t->step < b)
        gamma = -gamma;
    const double r = ((gamma - s->best_slope) + theta) / (((gamma - s->best_slope) + gamma) + t->slope);
    const double cubic = b + r * span;
    const double quadratic = b + s->best_slope / ((s->best_f - t->f) / span + s->best_slope) / 2 * span;
    return fabs(cubic - b) < fabs(quadratic - b) ? cubic : cubic + (quadratic - cubic) / 2;
}

/* Case 2: lower, with a slope of the other sign. Bracketed; the farther of cubic and secant. */
static double turned(const line_search *s, const trial *t)
{
    const double span = s->best_step - t->step;
    const double theta = 3 * (s->best_f - t->f) / -span + s->best_slope + t->slope;
    double gamma = cubic_root(theta, s->best_slope, t->slope, -INFINITY);
    if (t->step > s->best_step)
        gamma = -gamma;
    const double r = ((gamma - t->slope) + theta) / (((gamma - t->slope) + gamma) + s->best_slope);
    const double cubic = t->step + r * span;
    const double secant = t->step + t->slope / (t->slope - s->best_slope) * span;
    return fabs(cubic - t->step) > fabs(secant - t->step) ? cubic : secant;
}

/* Case 3: lower, same sign, flatter. The cubic's minimum may not exist or lie behind: then the limit or the secant. */
static double flatter(const line_search *s, const trial *t)
{
    const double span = s->best_step - t->step;
    const double theta = 3 * (s->best_f - t->f) / -span + s->best_slope + t->slope;
    double gamma = cubic_root(theta, s->best_slope, t->slope, 0);
    if (t->step > s->best_step)
        gamma = -gamma;
    const double r = ((gamma - t->slope) + theta) / ((gamma + (s->best_slope - t->slope)) + gamma);
    const double limit = t->step > s->best_step ? s->high : s->low;
    const double cubic = r < 0 && gamma != 0 ? t->step + r * span : limit;
    const double secant = t->step + t->slope / (t->slope - s->best_slope) * span;
    const bool cubic_nearer = fabs(t->step - cubic) < fabs(t->step - secant);
    if (!s->bracketed)
        return fmax(s->low, fmin(s->high, cubic_nearer ? secant : cubic));
    const double next = cubic_nearer ? cubic : secant, far = t->step + SHRINK * (s->other_step - t->step);
    return t->step > s->best_step ? fmin(far, next) : fmax(far, next);
}

/* Case 4: lower, same sign, not flatter. Bracketed: the cubic with the other end; otherwise as far as allowed. */
static double steeper(const line_search *s, const trial *t)
{
    if (!s->bracketed)
        return t->step > s->best_step ? s->high : s->low;
    const double span = s->other_step - t->step;
    const double theta = 3 * (t->f - s->other_f) / span + s->other_slope + t->slope;
    double gamma = cubic_root(theta, s->other_slope, t->slope, -INFINITY);
    if (t->step > s->other_step)
        gamma = -gamma;
    const double r = ((gamma - t->slope) + theta) / (((gamma - t->slope) + gamma) + s->other_slope);
    return t->step + r * span;
}

/* The new interval and the next step from the trial. */
static void update(line_search *s, const trial *t)
{
    const double sign = t->slope * (s->best_slope / fabs(s->best_slope));
    double next;
    bool brackets = false;
    if (t->f > s->best_f) {
        next = higher(s, t);
        brackets = true;
    } else if (sign < 0) {
        next = turned(s, t);
        brackets = true;
    } else if (fabs(t->slope) < fabs(s->best_slope)) {
        next = flatter(s, t);
    } else {
        next = steeper(s, t);
    }
    if (t->f > s->best_f) {
        s->other_step = t->step;
        s->other_f = t->f;
        s->other_slope = t->slope;
    } else {
        if (sign < 0) {
            s->other_step = s->best_step;
            s->other_f = s->best_f;
            s->other_slope = s->best_slope;
        }
        s->best_step = t->step;
        s->best_f = t->f;
        s->best_slope = t->slope;
    }
    s->bracketed = s->bracketed || brackets;
    s->step = isfinite(next) ? next : s->best_step + 0.5 * (s->other_step - s->best_step);
}

/* In the first stage psi guides, unless f itself is already better there. */
static void update_modified(line_search *s, const trial *t)
{
    const double tilt = s->decrease * s->start_slope;
    const trial psi = {t->step, t->f - t->step * tilt, t->slope - tilt};
    s->best_f -= s->best_step * tilt;
    s->other_f -= s->other_step * tilt;
    s->best_slope -= tilt;
    s->other_slope -= tilt;
    update(s, &psi);
    s->best_f += s->best_step * tilt;
    s->other_f += s->other_step * tilt;
    s->best_slope += tilt;
    s->other_slope += tilt;
}

static void set_range(line_search *s)
{
    if (s->bracketed) {
        if (fabs(s->other_step - s->best_step) >= SHRINK * s->last_width)
            s->step = s->best_step + 0.5 * (s->other_step - s->best_step);
        s->last_width = s->width;
        s->width = fabs(s->other_step - s->best_step);
        s->low = fmin(s->best_step, s->other_step);
        s->high = fmax(s->best_step, s->other_step);
    } else {
        s->low = s->step + GROW_LEAST * (s->step - s->best_step);
        s->high = s->step + GROW_MOST * (s->step - s->best_step);
    }
    s->step = fmax(0, fmin(s->step, s->most));
}

line_state line_next(line_search *s, double f, double slope)
{
    const double target = s->start_f + s->decrease * s->step * s->start_slope;
    const trial t = {s->step, f, slope};
    if (f <= target && fabs(slope) <= -s->curvature * s->start_slope)
        return LINE_FOUND;
    if (s->step >= s->most && f <= target && slope <= s->decrease * s->start_slope)
        return LINE_AT_MOST;
    if (s->modified && f <= target && slope >= fmin(s->decrease, s->curvature) * s->start_slope)
        s->modified = false;
    if (s->modified && f <= s->best_f && f > target)
        update_modified(s, &t);
    else
        update(s, &t);
    set_range(s);
    if (s->bracketed && (s->step <= s->low || s->step >= s->high || s->high - s->low <= NARROW * s->high))
        return LINE_EXHAUSTED;
    return s->step > 0 ? LINE_MORE : LINE_EXHAUSTED;
}

void line_undefined(line_search *s)
{
    const double middle = s->best_step + 0.5 * (s->step - s->best_step);
    s->bracketed = false;
    s->other_step = s->best_step;
    s->other_f = s->best_f;
    s->other_slope = s->best_slope;
    s->most = fmax(s->best_step, fmax(middle, 0));
    s->step = middle;
    s->width = s->most;
    s->last_width = 2 * s->most;
    s->low = 0;
    s->high = s->most;
}
