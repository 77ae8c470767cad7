/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penalty_loops.c - the two loops of penalty-bilevel. Where a function is undefined at a new point, that is drawn back to the one before by halves.
 * Invariant: gradients of one step belong to one sample, drawn again where it is needed at another point.
 */
#include "penalty-bilevel.h"

enum { MOST_HALVINGS = 40, PATIENCE = 25 };

static void halve(int64_t n, double *v, const double *towards)
{
    for (int64_t j = 0; j < n; j++)
        v[j] = 0.5 * (v[j] + towards[j]);
}

/* look at w and z, drawn back to w_old and z_old as long as a function is undefined there */
static peri_status look_here(state *s, int64_t batch, double *w, double *z, const double *w_old, const double *z_old, char *tag)
{
    const uint64_t key = s->sample++;
    for (int k = 0;; k++) {
        const peri_status status = look(s, key, batch, w, z);
        if (status != PERI_E_DOMAIN || k >= MOST_HALVINGS)
            return status;
        *tag = 'h';
        halve(s->t.n, w, w_old);
        halve(s->t.n, z, z_old);
    }
}

static double distance(const two_level *t, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t k = 0; k < t->n_own; k++) {
        const double d = a[t->own[k]] - b[t->own[k]];
        sum += d * d;
    }
    return sqrt(sum);
}

/* v, in its lower variables, moved by -gamma (sigma F' + f' + (v - centre) / rho); F' NULL: without it */
static peri_status descend(state *s, double *v, const double *of_F, const double *of_f, const double *centre)
{
    const two_level *t = &s->t;
    for (int64_t k = 0; k < t->n_own; k++) {
        const int64_t j = t->own[k];
        v[j] -= s->gamma * ((of_F != NULL ? s->sigma * of_F[j] : 0) + of_f[j] + (v[j] - centre[j]) / s->rho);
    }
    return to_lower_set(s, v);
}

/* The upper variables of w, moved down by the gradient of psi; z gets them too. */
static peri_status move_x(state *s, const double *of_F, const double *of_y, const double *of_z)
{
    const two_level *t = &s->t;
    double square = 0;
    memcpy(s->w_old, s->w, (size_t)t->n * sizeof *s->w);
    for (int64_t j = 0; j < t->n; j++)
        if (!t->is_own[j])
            s->w[j] -= s->alpha * (of_F[j] + (of_y[j] - of_z[j]) / s->sigma);
    TRY(to_upper_set(s, s->w));
    for (int64_t j = 0; j < t->n; j++)
        if (!t->is_own[j]) {
            square += (s->w[j] - s->w_old[j]) * (s->w[j] - s->w_old[j]);
            s->z[j] = s->w[j];
        }
    s->moved = sqrt(square) / s->alpha;
    return PERI_OK;
}

/* ---- double loop ------------------------------------------------------------------------------------------------------------------- */

/* u and v towards the proximal points of y and z, in w_try and z_try; as long as that is worth while. */
static peri_status follow(state *s, char *tag)
{
    const two_level *t = &s->t;
    const size_t bytes = (size_t)t->n * sizeof(double);
    const double small = 1e-3 * s->sigma * s->opt.residual * s->gamma;
    double far = INFINITY;
    memcpy(s->w_try, s->w, bytes);
    memcpy(s->z_try, s->z, bytes);
    memcpy(s->w_old, s->w, bytes);
    memcpy(s->z_old, s->z, bytes);
    for (int64_t k = 0; k < s->opt.inner && far > small; k++) {
        TRY(look_here(s, s->opt.batch, s->w_try, s->z_try, s->w_old, s->z_old, tag));
        memcpy(s->w_old, s->w_try, bytes);
        memcpy(s->z_old, s->z_try, bytes);
        TRY(descend(s, s->w_try, s->g[OF_F], s->g[OF_Y], s->centre_y));
        TRY(descend(s, s->z_try, NULL, s->g[OF_Z], s->centre_z));
        far = fmax(distance(t, s->w_try, s->w_old), distance(t, s->z_try, s->z_old));
        if (peri_should_stop(s->run))
            break;
    }
    if (isinf(s->rho)) { /* of the last gradient step, there being no proximal point */
        s->res_y = distance(t, s->w_try, s->w_old) / s->gamma;
        s->res_z = distance(t, s->z_try, s->z_old) / s->gamma;
    } else {
        s->res_y = distance(t, s->w_try, s->centre_y) / s->rho;
        s->res_z = distance(t, s->z_try, s->centre_z) / s->rho;
    }
    return PERI_OK;
}

/* v, in its lower variables, a share beta of the way to `to`; it is the centre of the next proximal term */
static void relax(const state *s, double *v, const double *to, double *centre)
{
    const two_level *t = &s->t;
    for (int64_t k = 0; k < t->n_own; k++) {
        const int64_t j = t->own[k];
        v[j] += s->opt.beta * (to[j] - v[j]);
        centre[j] = v[j];
    }
}

/*
 * Where y has a lower value than z, which is to minimize it, for many steps, z is in a worse basin and starts again from y. For a few steps that is
 * but lag behind a moving x.
 */
static void watch_basin(state *s, char *tag)
{
    const size_t bytes = (size_t)s->t.n * sizeof(double);
    const bool worse = s->f_z > s->f_y + 1e-6 * (1 + fabs(s->f_y)) && (!s->noisy || s->opt.shared);
    s->behind = worse ? s->behind + 1 : 0;
    if (s->behind < PATIENCE)
        return;
    memcpy(s->z, s->w, bytes);
    memcpy(s->centre_z, s->w, bytes);
    memcpy(s->g[OF_Z], s->g[OF_Y], bytes);
    s->f_z = s->f_y;
    s->behind = 0;
    *tag = 'c';
}

peri_status double_step(state *s, char *tag)
{
    const size_t bytes = (size_t)s->t.n * sizeof(double);
    const int64_t batch = s->opt.outer_batch > 0 ? s->opt.outer_batch : s->opt.batch;
    TRY(follow(s, tag));
    memcpy(s->w_old, s->w, bytes);
    memcpy(s->z_old, s->z, bytes);
    relax(s, s->w, s->w_try, s->centre_y);
    relax(s, s->z, s->z_try, s->centre_z);
    TRY(look_here(s, batch, s->w, s->z, s->w_old, s->z_old, tag));
    watch_basin(s, tag);
    memcpy(s->z_old, s->z, bytes);
    TRY(move_x(s, s->g[OF_F], s->g[OF_Y], s->g[OF_Z]));
    return look_here(s, s->noisy ? batch : 0, s->w, s->z, s->w_old, s->z_old, tag);
}

/* ---- single loop --------------------------------------------------------------------------------------------------------------------- */

/* e := g(now) + (1 - eta)(e - g(before)), both with one sample (recursive momentum) */
static peri_status estimate(state *s, char *tag)
{
    const int64_t n = s->t.n;
    const double eta = s->k == 0 ? 1 : eta_of(s);
    const uint64_t key = s->sample;
    TRY(look_here(s, s->opt.batch, s->w, s->z, s->w_old, s->z_old, tag));
    for (int q = 0; q < ESTIMATES; q++)
        for (int64_t j = 0; j < n; j++)
            s->e[q][j] = eta < 1 ? s->g[q][j] + (1 - eta) * s->e[q][j] : s->g[q][j];
    if (!(eta < 1))
        return PERI_OK;
    const double F = s->F, f_y = s->f_y, f_z = s->f_z;
    TRY(look(s, key, s->opt.batch, s->w_old, s->z_old));
    for (int q = 0; q < ESTIMATES; q++)
        for (int64_t j = 0; j < n; j++)
            s->e[q][j] -= (1 - eta) * s->g[q][j];
    s->F = F;
    s->f_y = f_y;
    s->f_z = f_z;
    return PERI_OK;
}

/* centre := centre + beta (v - centre) */
static void drag(const state *s, double *centre, const double *v)
{
    for (int64_t k = 0; k < s->t.n_own; k++) {
        const int64_t j = s->t.own[k];
        centre[j] += s->opt.beta * (v[j] - centre[j]);
    }
}

peri_status single_step(state *s, char *tag)
{
    const two_level *t = &s->t;
    const size_t bytes = (size_t)t->n * sizeof(double);
    TRY(estimate(s, tag));
    memcpy(s->w_try, s->w, bytes);
    memcpy(s->z_try, s->z, bytes);
    TRY(descend(s, s->w_try, s->e[OF_F], s->e[OF_Y], s->centre_y));
    TRY(descend(s, s->z_try, NULL, s->e[OF_Z], s->centre_z));
    memcpy(s->z_old, s->z, bytes);
    TRY(move_x(s, s->e[OF_F], s->e[OF_Y], s->e[OF_Z])); /* w_old is the point before */
    for (int64_t k = 0; k < t->n_own; k++) {
        s->w[t->own[k]] = s->w_try[t->own[k]];
        s->z[t->own[k]] = s->z_try[t->own[k]];
    }
    s->res_y = distance(t, s->w, s->w_old) / s->gamma;
    s->res_z = distance(t, s->z, s->z_old) / s->gamma;
    drag(s, s->centre_y, s->w);
    drag(s, s->centre_z, s->z);
    return PERI_OK;
}
