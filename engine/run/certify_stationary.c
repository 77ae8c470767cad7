/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certify_stationary.c - first-order stationarity of a small problem with one layer of lower levels (others: certify_held.c), in the form that the
 * lower levels' conditions of optimality give it: a mathematical program with complementarity constraints (Dempe, Foundations of Bilevel Programming,
 * 2002, ch. 5; Scheel and Scholtes, Mathematics of Operations Research 25, 2000).
 * With l_k the multipliers and L_k = f_k - l_k'g_k the Lagrangian of lower level k in its
 * variables y_k, there must be multipliers v of level 0's rows, w of lower rows, mu_k of the lower gradients, z of bounds with
 *
 *     grad F = J_0'v + J'w + sum_k (d/d(x, y) grad_{y_k} L_k)' mu_k + z
 *     grad_{y_k} g_i ' mu_k = 0    for rows i of level k that have a multiplier l_i (strongly active: held as equations, w_i free)
 *
 * v and z having the signs of their sides, w_i = 0 where row i is on no side. A row on a side without multiplier (weakly active) has w_i and
 * grad g_i'mu with the sign of the side (strong stationarity); where nothing fits, every branch must fit by itself: the row held as an equation, w_i of
 * either sign, or its multiplier held at zero, grad g_i'mu of either sign (Bouligand's stationarity). Mordukhovich's, one of the two being zero, would
 * let points pass from which the objective falls. Bounds of lower variables are rows like any other. The residual is that of signed least squares,
 * over max(1, |grad F|).
 */
#include "run/certify_levels.h"
#include "run/signed_fit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST = 600, MOST_WEAK = 5 }; /* unknowns of a dense fit; weakly active rows of which all branches are tried */
enum { MOST_SIDED = 8, MOST_VERTICES = 70 }; /* rows of which all sets are tried, C(8, 4) of them smallest ones */

typedef enum { BOTH_SIGNS, ROW_HELD, MULTIPLIER_HELD } weak_kind;

/* A row or bound of a lower level that is on a side. */
typedef struct {
    int64_t row, variable; /* of the problem; the other is -1 */
    int32_t level;
    signed char sign;      /* of its side; 0: both */
    bool strong;
    weak_kind kind;
} member;

typedef struct {
    certify_work *w;
    certify_stationarity *out;
    nlp *p;
    const double *jac;
    peri_pattern pattern;
    VEC(member) member;
    const double *gradient; /* [n] of F */
    int64_t rows, cols, most;
    double *b, *target, *q, *residual;
    signed char *sign;
    int64_t *what; /* [cols] 1 + row: its multiplier; -1 - variable: of its bound; 0: another */
    double *v;     /* [n] scratch */
} fit;

static peri_status nomem(const fit *t)
{
    return FAIL_NOMEM(t->p->ctx);
}

static void cannot(const fit *t, const char *what, const char *name)
{
    snprintf(t->out->why, sizeof t->out->why, "stationarity of the whole is not known: %s%s%s%s", what, name[0] != '\0' ? " \"" : "", name,
             name[0] != '\0' ? "\"" : "");
}

/* ---- sides
 * ---------------------------------------------------------------------------------------------------------------- */

static bool push_member(fit *t, int side, member m, double multiplier, double scale)
{
    if (side == 2)
        return true;
    m.sign = (signed char)side;
    m.strong = side == 0 || fabs(multiplier) > CERTIFY_STRONG * fmax(1, scale);
    m.kind = BOTH_SIGNS;
    return vec_push(&t->p->ctx->mem, &t->member, m);
}

/* Whether b = -a for gradients with the signs of their sides, up to a positive factor. */
static bool are_opposite(int64_t n, const double *a, int sign_a, const double *b, int sign_b)
{
    double aa = 0, bb = 0, ab = 0;
    for (int64_t j = 0; j < n; j++) {
        aa += a[j] * a[j];
        bb += b[j] * b[j];
        ab += a[j] * b[j];
    }
    return aa > 0 && bb > 0 && sign_a * sign_b * ab <= -(1 - 1e-12) * sqrt(aa) * sqrt(bb);
}

static bool is_sided_and_linear(const fit *t, const member *m)
{
    return m->row >= 0 && m->sign != 0 && t->p->class_.linear_row[m->row];
}

/* The member before k with which row k is an equation; -1: none. g [members x n] */
static int64_t other_side(const fit *t, const double *g, int64_t k)
{
    const int64_t n = t->p->n;
    const member *m = &t->member.at[k];
    for (int64_t i = 0; i < k; i++) {
        const member *first = &t->member.at[i];
        if (first->level == m->level && is_sided_and_linear(t, first) && are_opposite(n, g + k * n, m->sign, g + i * n, first->sign))
            return i;
    }
    return -1;
}

/* Two linear rows that hold each other, g <= b and -g <= -b, are one equation: the first is on both sides, the second is left out. */
static void join_equations(fit *t, double *g, int64_t *of_row)
{
    const peri_pattern *a = &t->pattern;
    const int64_t n = t->p->n;
    int64_t kept = 0;
    for (int64_t k = 0; k < t->member.n; k++)
        if (is_sided_and_linear(t, &t->member.at[k]))
            of_row[t->member.at[k].row] = 1 + k;
    for (int64_t j = 0; j < n; j++)
        for (int64_t e = a->start[j]; e < a->start[j + 1]; e++)
            if (of_row[a->index[e]] > 0)
                g[(of_row[a->index[e]] - 1) * n + j] += t->jac[e];
    for (int64_t k = 0; k < t->member.n; k++) {
        member *m = &t->member.at[k];
        const int64_t first = is_sided_and_linear(t, m) ? other_side(t, g, k) : -1;
        if (first >= 0) {
            t->member.at[first].sign = 0;
            t->member.at[first].strong = true;
            m->level = 0; /* of no lower level: left out below */
        }
    }
    for (int64_t k = 0; k < t->member.n; k++)
        if (t->member.at[k].level > 0)
            t->member.at[kept++] = t->member.at[k];
    t->member.n = kept;
}

/* Problems that are not fitted here are left as they are. */
static peri_status look_for_equations(fit *t)
{
    mem *a = &t->p->ctx->mem;
    if (t->p->n + t->member.n > 2 * LARGEST)
        return PERI_OK;
    double *g = mem_array(a, (size_t)(t->member.n * t->p->n), sizeof *g);
    int64_t *of_row = mem_array(a, (size_t)t->p->m, sizeof *of_row);
    const bool ok = g != NULL && of_row != NULL;
    if (ok)
        join_equations(t, g, of_row);
    mem_array_free(a, g);
    mem_array_free(a, of_row);
    return ok ? PERI_OK : nomem(t);
}

static peri_status list_members(fit *t)
{
    const certify_work *w = t->w;
    const nlp *p = t->p;
    for (int32_t k = 1; k < w->all->of.n; k++) {
        const peri_level *l = &w->all->info[k];
        const certify_lower *low = &w->low[k];
        const double scale = fmax(certify_largest(l->m, low->y), certify_largest(l->n, low->z));
        for (int64_t i = 0; i < l->m; i++) {
            const int64_t row = l->row[i];
            const int side = certify_side(w->run->rows[row], p->cl[row], p->cu[row]);
            if (!push_member(t, side, (member){.row = row, .variable = -1, .level = k}, low->y[i], scale))
                return nomem(t);
        }
        for (int64_t i = 0; i < l->n; i++) {
            const int64_t j = l->variable[i];
            const int side = p->xl[j] >= p->xu[j] ? 0 : certify_side(w->x[j], p->xl[j], p->xu[j]);
            if (!push_member(t, side, (member){.row = -1, .variable = j, .level = k}, low->z[i], scale))
                return nomem(t);
        }
    }
    return look_for_equations(t);
}

/* ---- columns
 * ---------------------------------------------------------------------------------------------------------------- */

static double *new_column(fit *t, int sign, int64_t what)
{
    double *column = t->b + t->cols * t->rows;
    memset(column, 0, (size_t)t->rows * sizeof *column);
    t->sign[t->cols] = (signed char)sign;
    t->what[t->cols++] = what;
    return column;
}

static void add_row(fit *t, int64_t row, int sign)
{
    const peri_pattern *a = &t->pattern;
    double *column = new_column(t, sign, 1 + row);
    for (int64_t j = 0; j < a->cols; j++)
        for (int64_t k = a->start[j]; k < a->start[j + 1]; k++)
            if (a->index[k] == row)
                column[j] += t->jac[k];
}

static void add_upper(fit *t)
{
    const certify_work *w = t->w;
    const nlp *p = t->p;
    const peri_level *l = &w->all->info[0];
    for (int64_t i = 0; i < l->m; i++) {
        const int side = certify_side(w->run->rows[l->row[i]], p->cl[l->row[i]], p->cu[l->row[i]]);
        if (side != 2)
            add_row(t, l->row[i], side);
    }
    for (int64_t i = 0; i < l->n; i++) {
        const int64_t j = l->variable[i];
        const int side = p->xl[j] >= p->xu[j] ? 0 : certify_side(w->x[j], p->xl[j], p->xu[j]);
        if (side != 2)
            new_column(t, side, -1 - j)[j] = 1;
    }
}

/* Entry j of the gradient of member m. */
static double slope(const fit *t, const member *m, int64_t j)
{
    const peri_pattern *a = &t->pattern;
    double sum = 0;
    if (m->row < 0)
        return m->variable == j ? 1 : 0;
    for (int64_t k = a->start[j]; k < a->start[j + 1]; k++)
        sum += a->index[k] == m->row ? t->jac[k] : 0;
    return sum;
}

static void add_members(fit *t)
{
    for (int64_t i = 0; i < t->member.n; i++) {
        const member *m = &t->member.at[i];
        const int sign = m->strong || m->kind == ROW_HELD ? 0 : m->sign;
        if (m->row >= 0)
            add_row(t, m->row, sign);
        else
            new_column(t, sign, -1 - m->variable)[m->variable] = 1;
        if (!m->strong) /* the product with mu may be something */
            new_column(t, m->kind == MULTIPLIER_HELD ? 0 : m->sign, 0)[t->p->n + i] = -1;
    }
}

/* mu_k: the Hessian of L_k times each axis, and the products with the members' gradients. */
static peri_status add_mu(fit *t, int32_t level)
{
    const certify_work *w = t->w;
    const peri_level *l = &w->all->info[level];
    const certify_lower *low = &w->low[level];
    double *minus = arena_array(&t->w->memory, (size_t)l->m, sizeof *minus);
    if (minus == NULL)
        return nomem(t);
    for (int64_t i = 0; i < l->m; i++)
        minus[i] = -low->y[i];
    for (int64_t i = 0; i < l->n; i++) {
        const int64_t j = l->variable[i];
        double *column = new_column(t, 0, 0);
        memset(t->v, 0, (size_t)t->p->n * sizeof *t->v);
        t->v[j] = 1;
        TRY(nlp_hv(low->view, w->x, 1, minus, t->v, column));
        for (int64_t a = 0; a < t->member.n; a++)
            if (t->member.at[a].level == level)
                column[t->p->n + a] = slope(t, &t->member.at[a], j);
    }
    return PERI_OK;
}

/* ---- one fit
 * ---------------------------------------------------------------------------------------------------------------- */

static void tell_fit(fit *t, double dual)
{
    const certify_work *w = t->w;
    const nlp *p = t->p;
    certify_stationarity *out = t->out;
    const double scale = fmax(1, certify_largest(p->n, t->gradient));
    if (!(dual / scale < out->dual))
        return;
    memset(out->z, 0, (size_t)p->n * sizeof *out->z);
    memset(out->y, 0, (size_t)p->m * sizeof *out->y);
    out->dual = dual / scale;
    out->complementarity = 0;
    for (int64_t k = 0; k < t->cols; k++) {
        const int64_t row = t->what[k] - 1, j = -1 - t->what[k];
        const double value = t->what[k] > 0 ? w->run->rows[row] : t->what[k] < 0 ? w->x[j] : 0;
        const double lower = t->what[k] > 0 ? p->cl[row] : t->what[k] < 0 ? p->xl[j] : 0;
        const double upper = t->what[k] > 0 ? p->cu[row] : t->what[k] < 0 ? p->xu[j] : 0;
        if (t->what[k] == 0)
            continue;
        *(t->what[k] > 0 ? &out->y[row] : &out->z[j]) = t->q[k];
        out->complementarity = fmax(out->complementarity, fabs(t->q[k]) * fmin(fabs(value - lower), fabs(value - upper)) / scale);
    }
}

static peri_status fit_once(fit *t, int64_t fixed)
{
    t->cols = fixed; /* those of mu and level 0 stay */
    add_members(t);
    signed_fit f = {t->rows, t->cols, t->b, t->target, t->sign, t->q, t->residual};
    if (!signed_fit_solve(&t->p->ctx->mem, &f))
        return nomem(t);
    tell_fit(t, nlp_is_finite(t->rows, t->residual) ? certify_largest(t->rows, t->residual) : INFINITY);
    return PERI_OK;
}

/*
 * Strong stationarity first. Where that fails, each branch, every weakly active row either held as an equation or its multiplier held at zero, must be
 * stationary by itself: one that is not has a direction of descent that the problem allows.
 */
static peri_status fit_all(fit *t)
{
    int64_t weak[MOST_WEAK], n = 0;
    double worst = 0;
    TRY(fit_once(t, t->cols));
    const double strong = t->out->dual;
    for (int64_t i = 0; i < t->member.n; i++)
        if (!t->member.at[i].strong) {
            if (n == MOST_WEAK)
                return PERI_OK;
            weak[n++] = i;
        }
    for (int64_t code = 0; n > 0 && code < INT64_C(1) << n && worst < strong && strong > t->w->tolerance; code++) {
        for (int64_t i = 0; i < n; i++)
            t->member.at[weak[i]].kind = (code >> i & 1) != 0 ? ROW_HELD : MULTIPLIER_HELD;
        t->out->dual = INFINITY;
        TRY(fit_once(t, t->most));
        worst = fmax(worst, t->out->dual);
    }
    t->out->dual = n > 0 && strong > t->w->tolerance ? fmin(strong, worst) : strong;
    return PERI_OK;
}

/* ---- multipliers of a lower level that are not unique
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * Where they are not, the point must be stationary with each vertex of their set: with one inside it, more rows are held than need be, and a point from
 * which the objective falls may be alone (Dempe and Dutta, Mathematical Programming 131, 2012). A vertex is a fit by a smallest set of rows.
 */
typedef struct {
    int64_t n; /* 0: unique */
    double *y[MOST_VERTICES], *z[MOST_VERTICES];
} vertices;

/* Gradients of the level's members in its own variables: equations first, then `sided` others. */
typedef struct {
    int64_t rows, cols, sided;
    const member **of; /* [cols] */
    double *b, *target, *some, *q, *residual;
    signed char *sign;
} gradients;

static peri_status get_gradients(fit *t, int32_t level, gradients *g)
{
    arena *a = &t->w->memory;
    const peri_level *l = &t->w->all->info[level];
    const size_t rows = (size_t)l->n, cols = (size_t)t->member.n;
    double f, *all = arena_array(a, (size_t)t->p->n, sizeof *all);
    *g = (gradients){.rows = l->n,
                     .of = arena_array(a, cols, sizeof *g->of),
                     .b = arena_array(a, rows * cols, sizeof(double)),
                     .some = arena_array(a, rows * cols, sizeof(double)),
                     .target = arena_array(a, rows, sizeof(double)),
                     .residual = arena_array(a, rows, sizeof(double)),
                     .q = arena_array(a, cols, sizeof(double)),
                     .sign = arena_array(a, cols, 1)};
    if (all == NULL || g->of == NULL || g->b == NULL || g->some == NULL || g->target == NULL || g->residual == NULL || g->q == NULL || g->sign == NULL)
        return nomem(t);
    for (int sided = 0; sided < 2; sided++)
        for (int64_t i = 0; i < t->member.n; i++) {
            const member *m = &t->member.at[i];
            if (m->level != level || (m->sign != 0) != sided)
                continue;
            for (int64_t r = 0; r < l->n; r++)
                g->b[g->cols * l->n + r] = slope(t, m, l->variable[r]);
            g->of[g->cols++] = m;
            g->sided += sided;
        }
    TRY(nlp_fg(t->w->low[level].view, t->w->x, &f, all));
    for (int64_t r = 0; r < l->n; r++)
        g->target[r] = all[l->variable[r]];
    return PERI_OK;
}

/* Does a sided row's gradient depend on the others'? Gram and Schmidt's process, twice for each column. */
static bool are_dependent(const gradients *g)
{
    for (int64_t k = 0; k < g->cols; k++) {
        double *v = g->some + k * g->rows, before = 0, after = 0;
        memcpy(v, g->b + k * g->rows, (size_t)g->rows * sizeof *v);
        for (int64_t r = 0; r < g->rows; r++)
            before += v[r] * v[r];
        for (int64_t pass = 0; pass < 2 * k; pass++) {
            const double *u = g->some + pass % k * g->rows;
            double dot = 0;
            for (int64_t r = 0; r < g->rows; r++)
                dot += u[r] * v[r];
            for (int64_t r = 0; r < g->rows; r++)
                v[r] -= dot * u[r];
        }
        for (int64_t r = 0; r < g->rows; r++)
            after += v[r] * v[r];
        const bool depends = !(after > 1e-16 * before);
        if (depends && k >= g->cols - g->sided)
            return true;
        for (int64_t r = 0; r < g->rows; r++)
            v[r] = depends ? 0 : v[r] / sqrt(after);
    }
    return false;
}

/* The gradient of the objective by the equations and those sided rows that are in `code`. */
static peri_status fit_some(fit *t, gradients *g, int64_t code, bool *fits)
{
    const int64_t first = g->cols - g->sided;
    for (int64_t k = 0; k < g->cols; k++) {
        const bool in = k < first || (code >> (k - first) & 1) != 0;
        for (int64_t r = 0; r < g->rows; r++)
            g->some[k * g->rows + r] = in ? g->b[k * g->rows + r] : 0;
        g->sign[k] = g->of[k]->sign;
    }
    signed_fit f = {g->rows, g->cols, g->some, g->target, g->sign, g->q, g->residual};
    if (!signed_fit_solve(&t->p->ctx->mem, &f))
        return nomem(t);
    *fits = nlp_is_finite(g->rows, g->residual) && certify_largest(g->rows, g->residual) <= 1e-6 * fmax(1, certify_largest(g->rows, g->target));
    return PERI_OK;
}

static peri_status keep_vertex(fit *t, int32_t level, const gradients *g, vertices *v)
{
    const peri_level *l = &t->w->all->info[level];
    double *y = arena_array(&t->w->memory, (size_t)l->m, sizeof *y), *z = arena_array(&t->w->memory, (size_t)l->n, sizeof *z);
    if (y == NULL || z == NULL)
        return nomem(t);
    for (int64_t k = 0; k < g->cols; k++) {
        for (int64_t i = 0; i < l->m; i++)
            y[i] += g->of[k]->row == l->row[i] ? g->q[k] : 0;
        for (int64_t i = 0; i < l->n; i++)
            z[i] += g->of[k]->variable == l->variable[i] ? g->q[k] : 0;
    }
    v->y[v->n] = y;
    v->z[v->n++] = z;
    return PERI_OK;
}

static int size_of(int64_t code)
{
    int n = 0;
    for (; code != 0; code &= code - 1)
        n++;
    return n;
}

static peri_status list_vertices(fit *t, int32_t level, vertices *v)
{
    gradients g;
    int64_t kept[MOST_VERTICES];
    bool fits = false;
    TRY(get_gradients(t, level, &g));
    if (!are_dependent(&g))
        return PERI_OK;
    if (g.sided > MOST_SIDED) {
        cannot(t, "more than one set of multipliers fits lower model", t->w->all->info[level].name);
        return PERI_OK;
    }
    for (int size = 0; size <= g.sided; size++)
        for (int64_t code = 0; code < INT64_C(1) << g.sided && v->n < MOST_VERTICES; code++) {
            bool smaller = size_of(code) != size;
            for (int64_t i = 0; i < v->n; i++)
                smaller = smaller || (kept[i] & code) == kept[i];
            if (smaller)
                continue;
            TRY(fit_some(t, &g, code, &fits));
            kept[v->n] = code;
            if (fits)
                TRY(keep_vertex(t, level, &g, v));
        }
    return PERI_OK;
}

/* ---- all of it
 * ---------------------------------------------------------------------------------------------------------------- */

/* What it takes is there? */
static bool is_possible(const fit *t)
{
    const nlp_levels *all = t->w->all;
    for (int32_t k = 1; k < all->of.n; k++) {
        if (all->at[k].class_.integers > 0)
            cannot(t, "integer variables have no conditions of first order: there are some in lower model", all->info[k].name);
        else if (!isfinite(t->w->low[k].residual))
            cannot(t, "there are no multipliers for lower model", all->info[k].name);
        if (t->out->why[0] != '\0')
            return false;
    }
    if (t->p->class_.integers > 0)
        cannot(t, "integer variables have no conditions of first order: there are some in model", t->w->all->info[0].name);
    return t->out->why[0] == '\0';
}

/* A derivative that is not there is an answer. */
static peri_status allowed(const fit *t, peri_status status, bool *there)
{
    *there = status == PERI_OK;
    if (status != PERI_E_DOMAIN && status != PERI_E_UNSUPPORTED)
        return status;
    cannot(t, "a derivative does not exist at the point", "");
    return PERI_OK;
}

static peri_status evaluate(fit *t, bool *there)
{
    arena *a = &t->w->memory;
    double f, *g = arena_array(a, (size_t)t->p->n, sizeof *g);
    if (g == NULL)
        return nomem(t);
    TRY(allowed(t, nlp_fg(t->p, t->w->x, &f, g), there));
    if (*there)
        TRY(allowed(t, nlp_jac_pattern(t->p, &t->pattern), there));
    double *jac = *there ? arena_array(a, (size_t)t->pattern.nnz, sizeof *jac) : NULL;
    if (*there && jac == NULL)
        return nomem(t);
    if (*there)
        TRY(allowed(t, nlp_jac(t->p, t->w->x, jac), there));
    t->gradient = g;
    t->jac = jac;
    return PERI_OK;
}

static bool make_room(fit *t)
{
    arena *a = &t->w->memory;
    t->rows = t->p->n + t->member.n;
    t->b = arena_array(a, (size_t)(t->rows * t->most), sizeof *t->b);
    t->target = arena_array(a, (size_t)t->rows, sizeof *t->target);
    t->residual = arena_array(a, (size_t)t->rows, sizeof *t->residual);
    t->q = arena_array(a, (size_t)t->most, sizeof *t->q);
    t->sign = arena_array(a, (size_t)t->most, 1);
    t->what = arena_array(a, (size_t)t->most, sizeof *t->what);
    t->v = arena_array(a, (size_t)t->p->n, sizeof *t->v);
    if (t->b == NULL || t->target == NULL || t->residual == NULL || t->q == NULL || t->sign == NULL || t->what == NULL || t->v == NULL)
        return false;
    memcpy(t->target, t->gradient, (size_t)t->p->n * sizeof *t->target);
    return true;
}

/* With the multipliers of the lower levels that stand in w. */
static peri_status fit_with_multipliers(fit *t)
{
    bool there = true;
    t->member.n = t->cols = 0;
    TRY(list_members(t));
    add_upper(t);
    for (int32_t k = 1; k < t->w->all->of.n && there; k++)
        TRY(allowed(t, add_mu(t, k), &there));
    t->most = t->cols; /* from here on: columns that stay */
    t->out->dual = INFINITY;
    return there ? fit_all(t) : PERI_OK;
}

/* The vertices of all levels in all combinations; the worst counts. */
static peri_status fit_vertices(fit *t, const vertices *v)
{
    const int32_t n = t->w->all->of.n;
    int64_t count = 1;
    double worst = 0;
    for (int32_t k = 1; k < n; k++) {
        count *= v[k].n > 0 ? v[k].n : 1;
        if (count > MOST_VERTICES) {
            cannot(t, "too many multipliers fit lower model", t->w->all->info[k].name);
            return PERI_OK;
        }
    }
    for (int64_t code = 0; code < count && worst <= t->w->tolerance && t->out->why[0] == '\0'; code++) {
        int64_t rest = code;
        for (int32_t k = 1; k < n; k++)
            if (v[k].n > 0) {
                t->w->low[k].y = v[k].y[rest % v[k].n];
                t->w->low[k].z = v[k].z[rest % v[k].n];
                rest /= v[k].n;
            }
        TRY(fit_with_multipliers(t));
        worst = fmax(worst, t->out->dual);
    }
    t->out->dual = worst;
    return PERI_OK;
}

static peri_status solve(fit *t)
{
    const int32_t n = t->w->all->of.n;
    bool there = false;
    TRY(evaluate(t, &there));
    if (!there)
        return PERI_OK;
    TRY(list_members(t));
    t->most = t->p->n + t->w->all->info[0].m + 2 * t->member.n;
    if (t->most > LARGEST)
        return certify_held(t->w, false, t->out);
    vertices *v = arena_array(&t->w->memory, (size_t)n, sizeof *v);
    if (v == NULL || !make_room(t))
        return nomem(t);
    for (int32_t k = 1; k < n && t->out->why[0] == '\0'; k++)
        TRY(list_vertices(t, k, &v[k]));
    return t->out->why[0] == '\0' ? fit_vertices(t, v) : PERI_OK;
}

peri_status certify_stationary(certify_work *w, certify_stationarity *out)
{
    fit t = {.w = w, .out = out, .p = w->run->p};
    out->dual = out->complementarity = INFINITY;
    out->why[0] = '\0';
    if (!is_possible(&t))
        return PERI_OK;
    for (int32_t k = 1; k < w->all->of.n; k++)
        if (w->all->of.parent[k] > 0)
            return certify_held(w, false, out);
    const peri_status status = solve(&t);
    vec_free(&t.p->ctx->mem, &t.member);
    return status;
}
