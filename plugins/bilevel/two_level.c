/* SPDX-License-Identifier: Apache-2.0 */
/* two_level.c - see two_level.h. Invariant: no function here allocates outside init but the solving of the lower level. */
#include "two_level.h"

enum { POWER_STEPS = 12 };
#define FAR 1e10

double two_level_dot(int64_t n, const double *a, const double *b)
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int64_t k = 0;
    for (; k + 4 <= n; k += 4) {
        s0 += a[k] * b[k];
        s1 += a[k + 1] * b[k + 1];
        s2 += a[k + 2] * b[k + 2];
        s3 += a[k + 3] * b[k + 3];
    }
    for (; k < n; k++)
        s0 += a[k] * b[k];
    return (s0 + s1) + (s2 + s3);
}

double two_level_norm(int64_t n, const double *v)
{
    return sqrt(two_level_dot(n, v, v));
}

void two_level_clip(const two_level *t, double *v)
{
    for (int64_t j = 0; j < t->n; j++)
        v[j] = fmin(fmax(v[j], t->xl[j]), t->xu[j]);
}

static double own_length(const two_level *t, const double *v)
{
    double square = 0;
    for (int64_t k = 0; k < t->n_own; k++)
        square += v[t->own[k]] * v[t->own[k]];
    return sqrt(square);
}

bool two_level_ran_away(const two_level *t, peri_run *run, const double *v)
{
    char text[200];
    const double length = own_length(t, v);
    if (length <= FAR * (1 + t->start))
        return false;
    snprintf(text, sizeof text, "the lower level's variables have run away, to a length of %.2g: it is unbounded below, or the steps are too long for it",
             length);
    peri_note(run, 0, text);
    return true;
}

peri_status two_level_open(two_level *t, peri_run *run)
{
    const peri_level *level;
    int64_t count;
    TRY(peri_levels(run, &count, &level));
    if (count != 2)
        return peri_fail(run, PERI_E_UNSUPPORTED, "takes problems with one lower model");
    *t = (two_level){.n = peri_n(run), .n_own = level[1].n, .m_own = level[1].m, .own = level[1].variable};
    if (t->n_own == 0)
        return peri_fail(run, PERI_E_UNSUPPORTED, "the lower model has no variables of its own");
    TRY(peri_level_view(run, 1, &t->lower));
    peri_bounds(run, &t->xl, &t->xu, NULL, NULL);
    peri_bounds(t->lower, NULL, NULL, &t->cl, &t->cu);
    t->is_own = peri_alloc_bytes(run, (size_t)t->n, 1);
    TRY(peri_alloc(run, t->n, &t->spare));
    TRY(peri_alloc(run, peri_m(run), &t->rows));
    if (t->is_own == NULL)
        return PERI_E_NOMEM;
    for (int64_t k = 0; k < t->n_own; k++)
        t->is_own[t->own[k]] = 1;
    TRY(peri_start(run, t->spare));
    t->start = own_length(t, t->spare);
    return PERI_OK;
}

/* A direction whose entries depend on their place alone, of length 1; 0 outside the part. */
static bool first_direction(const two_level *t, two_level_part part, double *d)
{
    for (int64_t j = 0; j < t->n; j++) {
        const bool in = (part == TWO_LEVEL_ALL || t->is_own[j]) && t->xl[j] < t->xu[j];
        d[j] = in ? 1 + 0.5 * sin(1.7 * (double)(j % 1009) + 0.3) : 0;
    }
    const double length = two_level_norm(t->n, d);
    for (int64_t j = 0; j < t->n && length > 0; j++)
        d[j] /= length;
    return length > 0;
}

peri_status two_level_curvature(const two_level *t, peri_run *view, two_level_part part, const double *x, double *work, double *out)
{
    const int64_t n = t->n;
    double *g = work, *h = work + n, *d = work + 2 * n, *at = work + 3 * n, f;
    const double short_step = 1e-5 * (1 + two_level_norm(n, x));
    *out = 0;
    TRY(peri_eval_fg(view, x, &f, g));
    if (!first_direction(t, part, d))
        return PERI_OK;
    for (int k = 0; k < POWER_STEPS; k++) {
        for (int64_t j = 0; j < n; j++)
            at[j] = x[j] + short_step * d[j];
        const peri_status status = peri_eval_fg(view, at, &f, h);
        if (status == PERI_E_DOMAIN)
            return PERI_OK; /* with what is known so far */
        TRY(status);
        for (int64_t j = 0; j < n; j++)
            h[j] = part == TWO_LEVEL_ALL || t->is_own[j] ? (h[j] - g[j]) / short_step : 0;
        const double length = two_level_norm(n, h);
        *out = fmax(*out, length);
        if (!(length > 0))
            return PERI_OK;
        for (int64_t j = 0; j < n; j++)
            d[j] = h[j] / length;
    }
    return PERI_OK;
}

/* Largest violation of the run's rows at w; infinity where they are undefined */
static peri_status violation(const two_level *t, peri_run *run, const double *w, double *most)
{
    const double *cl, *cu;
    peri_bounds(run, NULL, NULL, &cl, &cu);
    *most = 0;
    const peri_status status = peri_m(run) > 0 ? peri_eval_c(run, w, t->rows) : PERI_OK;
    for (int64_t i = 0; i < peri_m(run) && status == PERI_OK; i++)
        *most = fmax(*most, fmax(cl[i] - t->rows[i], t->rows[i] - cu[i]));
    if (status == PERI_E_DOMAIN)
        *most = INFINITY;
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

/* The lower variables' values y into w */
static void put(const two_level *t, const double *y, double *w)
{
    for (int64_t k = 0; k < t->n_own; k++)
        w[t->own[k]] = y[k];
}

static bool is_near(const two_level *t, const double *y, const double *w, double radius)
{
    double far = 0, size = 0;
    for (int64_t k = 0; k < t->n_own; k++) {
        far = hypot(far, y[k] - w[t->own[k]]);
        size = hypot(size, w[t->own[k]]);
    }
    return far <= radius * (1 + size);
}

peri_status two_level_polish(const two_level *t, peri_run *run, double radius, double *w, bool *moved)
{
    const peri_inner_request request = {.size = (uint32_t)sizeof request, .plan = ""};
    const peri_inner_result *r;
    double before, after;
    *moved = false;
    if (!(radius > 0))
        return PERI_OK;
    const peri_status status = peri_level_solve(run, 1, w, &request, &r);
    if (status == PERI_E_DOMAIN || status == PERI_E_UNSUPPORTED)
        return PERI_OK;
    TRY(status);
    if (r->why != PERI_WHY_CONVERGED || !is_near(t, r->x, w, radius))
        return PERI_OK;
    TRY(violation(t, run, w, &before));
    memcpy(t->spare, w, (size_t)t->n * sizeof *w);
    put(t, r->x, w);
    TRY(violation(t, run, w, &after));
    *moved = after <= fmax(before, 1e-8);
    if (!*moved)
        memcpy(w, t->spare, (size_t)t->n * sizeof *w);
    return PERI_OK;
}
