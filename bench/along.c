/* SPDX-License-Identifier: Apache-2.0 */
/*
 * along.c - derivatives of a family in a direction, by a complex step: Im F(x + i h v) / h has no cancellation, so h is far below rounding and the
 * result is exact but for the rounding of F itself (Squire and Trapp, SIAM Review 40, 1998). Compiled with FAMILY_COMPLEX together with the
 * family's file.
 */
#include "family.h"
#include <string.h>

static const double STEP = 1e-60;

struct family_stepper {
    family p;
    int64_t jac_nnz;
    real *x, *g, *c, *jac; /* [n], [n], [m], [jac_nnz] */
};

static real *reals(int64_t count)
{
    return calloc((size_t)count + 1, sizeof(real));
}

family_stepper *family_stepper_open(const family_data *data)
{
    family_stepper *s = calloc(1, sizeof *s);
    if (s == NULL || !family_exported.open(data, &s->p)) {
        free(s);
        return NULL;
    }
    s->jac_nnz = s->p.jac_start != NULL ? s->p.jac_start[s->p.n] : 0;
    s->x = reals(s->p.n);
    s->g = reals(s->p.n);
    s->c = reals(s->p.m);
    s->jac = reals(s->jac_nnz);
    if (s->x != NULL && s->g != NULL && s->c != NULL && s->jac != NULL)
        return s;
    family_stepper_close(s);
    return NULL;
}

void family_stepper_close(family_stepper *s)
{
    if (s == NULL)
        return;
    family_exported.close(&s->p);
    free(s->x);
    free(s->g);
    free(s->c);
    free(s->jac);
    free(s);
}

static double slope(real z)
{
    return cimag(z) / STEP;
}

static void lagrangian(family_stepper *s, double sigma, const double *w, double *dl)
{
    const family *p = &s->p;
    (void)family_exported.gradient(p, s->x, s->g);
    for (int64_t j = 0; j < p->n; j++)
        dl[j] = sigma * slope(s->g[j]);
    if (p->m == 0)
        return;
    family_exported.jacobian(p, s->x, s->jac);
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t k = p->jac_start[j]; k < p->jac_start[j + 1]; k++)
            dl[j] += w[p->jac_index[k]] * slope(s->jac[k]);
}

void family_along(family_stepper *s, const double *x, const double *v, double sigma, const double *w, double *df, double *dc,
                  double *dl)
{
    const family *p = &s->p;
    for (int64_t j = 0; j < p->n; j++)
        s->x[j] = x[j] + STEP * v[j] * (real)_Complex_I;
    if (df != NULL)
        *df = slope(family_exported.value(p, s->x));
    if (dc != NULL && p->m > 0) {
        family_exported.constraints(p, s->x, s->c);
        for (int64_t i = 0; i < p->m; i++)
            dc[i] = slope(s->c[i]);
    }
    if (dl != NULL)
        lagrangian(s, sigma, w, dl);
}
