/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct.h - what the methods without derivatives share: the box, its projection, and an objective that is infinite where it is undefined, so
 * that such points lose every comparison.
 */
#ifndef PERI_PLUGIN_DIRECT_H
#define PERI_PLUGIN_DIRECT_H

#include <math.h>
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    int64_t n;
    const double *lower, *upper; /* [n] */
} direct_box;

PERI_MAYBE_UNUSED static direct_box direct_box_of(const peri_run *run)
{
    direct_box box = {.n = peri_n(run)};
    peri_bounds(run, &box.lower, &box.upper, NULL, NULL);
    return box;
}

PERI_MAYBE_UNUSED static void direct_project(const direct_box *box, double *x)
{
    for (int64_t i = 0; i < box->n; i++)
        x[i] = fmin(fmax(x[i], box->lower[i]), box->upper[i]);
}

PERI_MAYBE_UNUSED static peri_status direct_value(peri_run *run, const double *x, double *f)
{
    const peri_status status = peri_eval_f(run, x, f);
    if (status == PERI_E_DOMAIN)
        *f = INFINITY;
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

/* A first length along each variable: of its size, of its box, or 1. */
PERI_MAYBE_UNUSED static double direct_length(const direct_box *box, int64_t i, double x, double share)
{
    const double width = box->upper[i] - box->lower[i];
    const double length = share * fmax(fabs(x), 1);
    return isfinite(width) ? fmin(length, 0.5 * width) : length;
}

/* Below this an objective has run away. */
static const double DIRECT_RUNAWAY = -1e100;

#endif
