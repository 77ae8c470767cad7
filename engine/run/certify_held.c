/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certify_held.c - stationarity of the whole where levels lie inside lower levels or a dense fit would be too large: each lower level is replaced by its
 * conditions of optimality with the active set of the point held, the innermost level first, and what comes of it, an ordinary smooth problem in
 * the variables and the multipliers, is certified like any other, sparse and matrix-free. With V_k the variables of level k, its multipliers l_k and
 * those of levels inside it, L_k = f_k - l_k'g_k over its active rows and the conditions of levels inside it, the conditions of level k are
 *
 *     d L_k / d V_k = 0,   g_ki = side for rows with a multiplier,   sigma (g_ki - side) >= 0 and sigma l_ki >= 0 for rows without (strong stationarity)
 *
 * Nothing is claimed where a level's multipliers are not unique, nor where a level inside a lower level has an active row without a multiplier: the level
 * around it is not smooth there. The same problem with the violation of level 0's rows as objective tells whether that can be reduced.
 * Invariant: an estimate that has not converged makes residuals larger, never smaller. Source: Dempe 2002, Foundations of Bilevel Programming, ch. 5.
 */
#include "base/rng.h"
#include "run/certify_levels.h"
#include "run/inner.h"
#include <stdio.h>
#include <string.h>

enum { LARGEST = 200000 }; /* variables and rows */

/* Variables of a level: entries of the run's, or a column of multipliers. */
typedef struct {
    peri_x var;
    int64_t n;
    const int64_t *entry; /* [n]; NULL: all of it */
} part;

/* A row's sides, and what it is in the problem: 1 + row, -1 - variable, 0 neither. */
typedef struct {
    double lower, upper;
    int64_t what;
} row_sides;

/* A level as the levels inside it leave it: its objective and rows c_own, and rows c that are their conditions. */
typedef struct {
    peri_x f, own, c;
    VEC(row_sides) row;
    VEC(part) part;
} level_program;

typedef struct {
    peri_x var;
    int64_t n;
    double *value, *lower, *upper; /* [n] */
} multipliers;

typedef struct {
    certify_work *w;
    certify_stationarity *out;
    peri_inner *inner;
    peri_x x;
    VEC(multipliers) block;
    /* of what was evaluated */
    nlp *p;
    double *point, *y, *z;
    peri_certificate found;
} held;

static mem *mem_of(const held *h)
{
    return &h->w->run->ctx->mem;
}

static peri_status nomem(const held *h)
{
    return FAIL_NOMEM(h->w->run->ctx);
}

static void cannot(const held *h, const char *what, int32_t level)
{
    if (h->out->why[0] == '\0')
        snprintf(h->out->why, sizeof h->out->why, "stationarity of the whole is not known: %s lower model \"%.60s\"", what, h->w->all->info[level].name);
}

/* ---- expressions
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status binary(const held *h, const char *op, peri_x a, peri_x b, peri_x *out)
{
    const peri_x args[2] = {a, b};
    return inner_x_op(h->inner, op, 2, args, out);
}

/* b below a; either may be none */
static peri_status below(const held *h, peri_x a, peri_x b, peri_x *out)
{
    const peri_x both[2] = {a, b};
    *out = a != PERI_NO_X ? a : b;
    return a != PERI_NO_X && b != PERI_NO_X ? inner_x_stack(h->inner, 2, both, out) : PERI_OK;
}

static peri_status push_rows(const held *h, level_program *to, peri_x c, int64_t n, const row_sides *row)
{
    const row_sides equation = {0, 0, 0};
    for (int64_t k = 0; k < n; k++)
        if (!vec_push(mem_of(h), &to->row, row != NULL ? row[k] : equation))
            return nomem(h);
    return below(h, to->c, n > 0 ? c : PERI_NO_X, &to->c);
}

/* ---- what of a level is on a side
 * ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t n;
    int64_t *at;         /* [n] in the level's rows, or of the run's variables */
    double *side, *multiplier;
    row_sides *row;      /* [n] of value - side */
    double *lower, *upper; /* [n] of the multiplier */
    bool weak;           /* some are without multiplier */
} members;

static peri_status members_new(const held *h, int64_t most, members *m)
{
    arena *a = &h->w->memory;
    const size_t n = (size_t)most;
    *m = (members){.at = arena_array(a, n, sizeof *m->at), .row = arena_array(a, n, sizeof *m->row), .side = arena_array(a, n, sizeof(double)),
                   .multiplier = arena_array(a, n, sizeof(double)), .lower = arena_array(a, n, sizeof(double)),
                   .upper = arena_array(a, n, sizeof(double))};
    return m->at != NULL && m->row != NULL && m->side != NULL && m->multiplier != NULL && m->lower != NULL && m->upper != NULL ? PERI_OK : nomem(h);
}

/* sign 1 lower, -1 upper, 0 both, 2 none */
static void add_member(members *m, int sign, int64_t at, double lower, double upper, double multiplier, double scale, int64_t what)
{
    const bool strong = sign == 0 || fabs(multiplier) > CERTIFY_STRONG * fmax(1, scale);
    const int64_t k = m->n;
    if (sign == 2)
        return;
    m->at[k] = at;
    m->side[k] = sign < 0 ? upper : lower;
    m->multiplier[k] = strong ? multiplier : 0;
    m->row[k] = (row_sides){strong || sign > 0 ? 0 : -INFINITY, strong || sign < 0 ? 0 : INFINITY, what};
    m->lower[k] = strong || sign < 0 ? -INFINITY : 0;
    m->upper[k] = strong || sign > 0 ? INFINITY : 0;
    m->weak = m->weak || !strong;
    m->n++;
}

static peri_status list_members(const held *h, int32_t level, members *rows, members *variables)
{
    const certify_work *w = h->w;
    const nlp *p = w->run->p;
    const peri_level *l = &w->all->info[level];
    const certify_lower *low = &w->low[level];
    const double scale = fmax(certify_largest(l->m, low->y), certify_largest(l->n, low->z));
    TRY(members_new(h, l->m, rows));
    TRY(members_new(h, l->n, variables));
    for (int64_t i = 0; i < l->m; i++) {
        const int64_t r = l->row[i];
        add_member(rows, certify_side(w->run->rows[r], p->cl[r], p->cu[r]), i, p->cl[r], p->cu[r], low->y[i], scale, 1 + r);
    }
    for (int64_t i = 0; i < l->n; i++) { /* one that is fixed is no variable */
        const int64_t j = l->variable[i];
        const int side = p->xl[j] >= p->xu[j] ? 2 : certify_side(w->x[j], p->xl[j], p->xu[j]);
        add_member(variables, side, j, p->xl[j], p->xu[j], low->z[i], scale, -1 - j);
    }
    return PERI_OK;
}

/* Their values less their sides, a column; PERI_NO_X: there are none */
static peri_status distances(const held *h, peri_x e, const members *m, peri_x *out)
{
    peri_x side;
    *out = PERI_NO_X;
    if (m->n == 0)
        return PERI_OK;
    TRY(inner_x_gather(h->inner, e, m->n, 1, m->at, out));
    TRY(inner_x_array(h->inner, m->n, 1, m->side, &side));
    return binary(h, "sub", *out, side, out);
}

/* ---- the conditions of a level
 * ---------------------------------------------------------------------------------------------------------------- */

/* A column of multipliers: of rows, of variables, of the conditions inside, in this order. */
static peri_status add_multipliers(held *h, int32_t level, const members *rows, const members *variables, int64_t inside, multipliers *out)
{
    arena *a = &h->w->memory;
    const int64_t n = rows->n + variables->n + inside;
    *out = (multipliers){.n = n, .var = PERI_NO_X, .value = arena_array(a, (size_t)n, sizeof(double)),
                         .lower = arena_array(a, (size_t)n, sizeof(double)), .upper = arena_array(a, (size_t)n, sizeof(double))};
    if (out->value == NULL || out->lower == NULL || out->upper == NULL)
        return nomem(h);
    if (n == 0)
        return PERI_OK;
    for (int64_t k = 0; k < n; k++) {
        const members *m = k < rows->n ? rows : variables;
        const int64_t i = k < rows->n ? k : k - rows->n;
        const bool is_inside = k >= rows->n + variables->n;
        out->value[k] = is_inside ? h->w->low[level].inside[k - rows->n - variables->n] : m->multiplier[i];
        out->lower[k] = is_inside ? -INFINITY : m->lower[i];
        out->upper[k] = is_inside ? INFINITY : m->upper[i];
    }
    TRY(inner_var(h->inner, "multiplier", n, 1, &out->var));
    return vec_push(mem_of(h), &h->block, *out) ? PERI_OK : nomem(h);
}

static peri_status add_gradient(const held *h, peri_x lagrangian, const part *v, level_program *up)
{
    peri_x g;
    if (v->n == 0)
        return PERI_OK;
    TRY(inner_x_gradient(h->inner, lagrangian, v->var, &g));
    if (v->entry != NULL)
        TRY(inner_x_gather(h->inner, g, v->n, 1, v->entry, &g));
    return push_rows(h, up, g, v->n, NULL);
}

static peri_status make_level(held *h, int32_t level, level_program *l);

static peri_status state_conditions(held *h, int32_t level, const level_program *own, level_program *up)
{
    members rows, variables;
    multipliers nu;
    peri_x of_rows, of_variables, all, lagrangian = own->f;
    TRY(list_members(h, level, &rows, &variables));
    if ((rows.weak || variables.weak) && h->w->all->of.parent[level] > 0)
        cannot(h, "an active row has no multiplier in", level);
    TRY(add_multipliers(h, level, &rows, &variables, own->row.n, &nu));
    TRY(distances(h, own->own, &rows, &of_rows));
    TRY(distances(h, h->x, &variables, &of_variables));
    TRY(below(h, of_rows, of_variables, &all));
    TRY(below(h, all, own->c, &all));
    if (nu.n > 0) {
        TRY(binary(h, "mul", nu.var, all, &all));
        TRY(inner_x_op(h->inner, "sum", 1, &all, &all));
        TRY(binary(h, "sub", lagrangian, all, &lagrangian));
    }
    for (int64_t k = 0; k < own->part.n; k++) {
        TRY(add_gradient(h, lagrangian, &own->part.at[k], up));
        if (!vec_push(mem_of(h), &up->part, own->part.at[k]))
            return nomem(h);
    }
    TRY(push_rows(h, up, of_rows, rows.n, rows.row));
    TRY(push_rows(h, up, of_variables, variables.n, variables.row));
    TRY(push_rows(h, up, own->c, own->row.n, own->row.at));
    const part mine = {nu.var, nu.n, NULL};
    return nu.n == 0 || vec_push(mem_of(h), &up->part, mine) ? PERI_OK : nomem(h);
}

static void free_program(const held *h, level_program *l)
{
    vec_free(mem_of(h), &l->row);
    vec_free(mem_of(h), &l->part);
}

static peri_status add_conditions(held *h, int32_t level, level_program *up)
{
    level_program own = {.c = PERI_NO_X};
    peri_status status = make_level(h, level, &own);
    if (status == PERI_OK)
        status = state_conditions(h, level, &own, up);
    free_program(h, &own);
    return status;
}

/* The level's own variables but for fixed ones, its functions, and the conditions of levels inside it. */
static peri_status make_level(held *h, int32_t level, level_program *l)
{
    const nlp *p = h->w->run->p;
    const peri_level *info = &h->w->all->info[level];
    int64_t n = 0, *entry = arena_array(&h->w->memory, (size_t)info->n, sizeof *entry);
    if (entry == NULL)
        return nomem(h);
    for (int64_t i = 0; i < info->n; i++)
        if (p->xl[info->variable[i]] < p->xu[info->variable[i]])
            entry[n++] = info->variable[i];
    const part own = {h->x, n, entry};
    if (!vec_push(mem_of(h), &l->part, own))
        return nomem(h);
    TRY(inner_problem(h->inner, level, h->x, &l->f, &l->own));
    for (int32_t k = level + 1; k < h->w->all->of.n; k++)
        if (h->w->all->of.parent[k] == level)
            TRY(add_conditions(h, k, l));
    return PERI_OK;
}

/* ---- a level's problem
 * ---------------------------------------------------------------------------------------------------------------- */

static double outside(double v, double lower, double upper)
{
    return v < lower ? v - lower : v > upper ? v - upper : 0;
}

/*
 * Half the sum of squares of level 0's violated rows, over what makes its gradient about 1; *there: some are violated, by more than a share of the
 * largest. Those rows are no constraints then.
 */
static peri_status make_violation(held *h, level_program *top, double *lower, double *upper, bool *there)
{
    const certify_work *w = h->w;
    nlp *p = w->run->p;
    const peri_level *l = &w->all->info[0];
    members m;
    peri_pattern a;
    double worst = 0, slope = 0;
    TRY(members_new(h, l->m, &m));
    for (int64_t i = 0; i < l->m; i++)
        worst = fmax(worst, fabs(outside(w->run->rows[l->row[i]], lower[i], upper[i])));
    unsigned char *violated = arena_array(&h->w->memory, (size_t)p->m, 1);
    TRY(nlp_jac_pattern(p, &a));
    double *jac = arena_array(&h->w->memory, (size_t)a.nnz, sizeof *jac);
    if (violated == NULL || jac == NULL)
        return nomem(h);
    TRY(nlp_jac(p, w->x, jac));
    for (int64_t i = 0; i < l->m; i++) {
        const double v = outside(w->run->rows[l->row[i]], lower[i], upper[i]);
        if (!(fabs(v) > 1e-4 * worst))
            continue;
        add_member(&m, v > 0 ? -1 : 1, i, lower[i], upper[i], 1, 1, 0);
        violated[l->row[i]] = 1;
        lower[i] = -INFINITY;
        upper[i] = INFINITY;
    }
    for (int64_t k = 0; k < a.nnz; k++)
        slope = violated[a.index[k]] ? fmax(slope, fabs(jac[k])) : slope;
    *there = m.n > 0;
    if (m.n == 0)
        return PERI_OK;
    peri_x v, scale;
    TRY(distances(h, top->own, &m, &v));
    TRY(inner_x_op(h->inner, "square", 1, &v, &v));
    TRY(inner_x_op(h->inner, "sum", 1, &v, &v));
    const double factor = 0.5 / (worst * fmax(slope, 1e-6 * worst / fmax(1, certify_largest(p->n, w->x))));
    TRY(inner_x_array(h->inner, 1, 1, &factor, &scale));
    return binary(h, "mul", scale, v, &top->f);
}

/* Bounds of the level's own variables; those of levels inside it stand in their conditions; others are held. */
static peri_status set_bounds(const held *h, int32_t level)
{
    const certify_work *w = h->w;
    const nlp *p = w->run->p;
    double *lower = arena_array(&h->w->memory, (size_t)p->n, sizeof *lower), *upper = arena_array(&h->w->memory, (size_t)p->n, sizeof *upper);
    if (lower == NULL || upper == NULL)
        return nomem(h);
    for (int64_t j = 0; j < p->n; j++)
        lower[j] = upper[j] = w->x[j];
    for (int32_t k = level; k < w->all->of.n; k++)
        for (int64_t i = 0; i < w->all->info[k].n && model_level_within(&w->all->of, k, level); i++) {
            const int64_t j = w->all->info[k].variable[i];
            const bool own = k == level || p->xl[j] >= p->xu[j];
            lower[j] = own ? p->xl[j] : -INFINITY;
            upper[j] = own ? p->xu[j] : INFINITY;
        }
    TRY(inner_set_bounds(h->inner, h->x, lower, upper));
    for (int64_t k = 0; k < h->block.n; k++)
        TRY(inner_set_bounds(h->inner, h->block.at[k].var, h->block.at[k].lower, h->block.at[k].upper));
    return PERI_OK;
}

static peri_status state_problem(held *h, int32_t level, bool violation, level_program *top)
{
    const nlp *p = h->w->run->p;
    const peri_level *l = &h->w->all->info[level];
    const size_t m = (size_t)(l->m + top->row.n);
    double *lower = arena_array(&h->w->memory, m, sizeof *lower), *upper = arena_array(&h->w->memory, m, sizeof *upper);
    peri_x all;
    bool there = true;
    if (lower == NULL || upper == NULL)
        return nomem(h);
    for (int64_t i = 0; i < l->m; i++) {
        lower[i] = p->cl[l->row[i]];
        upper[i] = p->cu[l->row[i]];
    }
    for (int64_t i = 0; i < top->row.n; i++) {
        lower[l->m + i] = top->row.at[i].lower;
        upper[l->m + i] = top->row.at[i].upper;
    }
    if (violation)
        TRY(make_violation(h, top, lower, upper, &there));
    if (!there)
        cannot(h, "no row is violated of", level);
    TRY(inner_minimize(h->inner, top->f));
    TRY(below(h, l->m > 0 ? top->own : PERI_NO_X, top->c, &all));
    if (all != PERI_NO_X)
        TRY(inner_constrain(h->inner, "conditions", all, lower, upper, NULL));
    return set_bounds(h, level);
}

/* ---- its certificate
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status certify_point(held *h)
{
    arena *a = &h->w->memory;
    const int64_t n = h->w->run->p->n;
    double factor;
    TRY(nlp_of(h->inner->model, &h->p));
    h->point = arena_array(a, (size_t)h->p->n, sizeof *h->point);
    h->y = arena_array(a, (size_t)h->p->m, sizeof *h->y);
    h->z = arena_array(a, (size_t)h->p->n, sizeof *h->z);
    if (h->point == NULL || h->y == NULL || h->z == NULL)
        return nomem(h);
    memcpy(h->point, h->w->x, (size_t)n * sizeof *h->point);
    double *to = h->point + n;
    for (int64_t k = 0; k < h->block.n; to += h->block.at[k++].n)
        memcpy(to, h->block.at[k].value, (size_t)h->block.at[k].n * sizeof *to);
    TRY(certify_estimate(h->p, h->point, NULL, h->y, h->z));
    TRY(certify(h->p, h->point, h->y, h->z, &h->found));
    TRY(certify_factor(h->w, h->p, h->point, h->y, h->z, &factor));
    h->found.dual *= factor;
    h->found.complementarity *= factor;
    return PERI_OK;
}

/*
 * Are the active rows' gradients independent, over variables that are on no bound? A right-hand side of multipliers drawn at random, with their signs, is
 * fitted from zero: the fit is the shortest one, which is another where there are several. One that has not converged counts as several.
 */
static peri_status are_independent(const held *h, nlp *p, const double *x, bool *independent)
{
    arena *a = &h->w->memory;
    const size_t n = (size_t)p->n, m = (size_t)p->m;
    peri_pattern pattern;
    *independent = true;
    if (m == 0)
        return PERI_OK;
    TRY(nlp_jac_pattern(p, &pattern));
    double *c = arena_array(a, m, sizeof *c), *jac = arena_array(a, (size_t)pattern.nnz, sizeof *jac), *drawn = arena_array(a, m, sizeof *drawn);
    estimate_fit f = {.p = p, .x = x, .c = c, .pattern = pattern, .jac = jac, .residual = arena_array(a, n, sizeof(double)),
                      .y = arena_array(a, m, sizeof(double)), .z = arena_array(a, n, sizeof(double)), .row = arena_array(a, m, 1)};
    if (c == NULL || jac == NULL || drawn == NULL || f.residual == NULL || f.y == NULL || f.z == NULL || f.row == NULL)
        return nomem(h);
    TRY(nlp_c(p, x, c));
    TRY(nlp_jac(p, x, jac));
    for (size_t i = 0; i < m; i++) {
        const int side = certify_side(c[i], p->cl[i], p->cu[i]);
        f.row[i] = side != 2;
        drawn[i] = side == 2 ? 0 : (side < 0 ? -1 : 1) * (0.5 + rng_uniform(1, UINT64_C(0x68656c64), i));
    }
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t k = pattern.start[j]; k < pattern.start[j + 1]; k++)
            f.residual[j] += jac[k] * drawn[pattern.index[k]];
    TRY(estimate_rows(&f));
    for (size_t i = 0; i < m; i++)
        *independent = *independent && fabs(f.y[i] - drawn[i]) <= 1e-4;
    return PERI_OK;
}

/* A derivative that is not there is an answer. */
static peri_status allowed(const held *h, peri_status status)
{
    if (status != PERI_E_DOMAIN && status != PERI_E_UNSUPPORTED)
        return status;
    cannot(h, "a derivative does not exist at the point, of", h->w->all->of.n > 1 ? 1 : 0);
    return PERI_OK;
}

/* The problem of `level` with the conditions of the levels inside it, certified at the point. */
static peri_status look(held *h, int32_t level, bool violation)
{
    level_program top = {.c = PERI_NO_X};
    peri_status status = INNER_TABLE.make(h->w->run, "conditions", &h->inner);
    if (status == PERI_OK)
        status = inner_variables(h->inner, &h->x);
    if (status == PERI_OK)
        status = make_level(h, level, &top);
    if (status == PERI_OK && h->out->why[0] == '\0')
        status = state_problem(h, level, violation, &top);
    free_program(h, &top);
    if (status == PERI_OK && h->out->why[0] == '\0')
        status = certify_point(h);
    vec_free(mem_of(h), &h->block);
    return allowed(h, status);
}

peri_status certify_held_level(certify_work *w, int32_t level)
{
    certify_stationarity out = {.why = ""};
    held h = {.w = w, .out = &out};
    certify_lower *low = &w->low[level];
    const peri_level *l = &w->all->info[level];
    bool independent;
    for (int32_t k = level + 1; k < w->all->of.n; k++)
        if (w->all->of.parent[k] == level && !isfinite(w->low[k].residual))
            return PERI_OK;
    TRY(look(&h, level, false));
    memcpy(low->why, out.why, sizeof low->why);
    if (out.why[0] != '\0' || !isfinite(h.found.dual))
        return PERI_OK;
    low->inside = h.y + l->m;
    memcpy(low->y, h.y, (size_t)l->m * sizeof *low->y);
    for (int64_t i = 0; i < l->n; i++)
        low->z[i] = h.z[l->variable[i]];
    low->residual = fmax(h.found.dual, h.found.primal);
    low->complementarity = h.found.complementarity;
    TRY(are_independent(&h, h.p, h.point, &independent));
    low->several = !independent;
    return PERI_OK;
}

/* Are all lower levels' multipliers unique? */
static peri_status look_for_others(held *h)
{
    certify_work *w = h->w;
    for (int32_t k = 1; k < w->all->of.n && h->out->why[0] == '\0'; k++) {
        const peri_level *l = &w->all->info[k];
        bool independent = !w->low[k].several;
        if (!certify_has_inside(w, k)) {
            nlp *p;
            double *x = arena_array(&w->memory, (size_t)l->n, sizeof *x);
            if (x == NULL)
                return nomem(h);
            for (int64_t i = 0; i < l->n; i++)
                x[i] = w->x[l->variable[i]];
            TRY(nlp_of(w->run->level[k].solve->model, &p));
            TRY(are_independent(h, p, x, &independent));
        }
        if (!independent)
            cannot(h, "more than one set of multipliers fits", k);
    }
    return PERI_OK;
}

static void tell(const held *h)
{
    certify_stationarity *out = h->out;
    const peri_level *l = &h->w->all->info[0];
    out->dual = h->found.dual;
    out->complementarity = h->found.complementarity;
    for (int64_t i = 0; i < l->m; i++)
        out->y[l->row[i]] = h->y[i];
    for (int64_t i = 0; i < l->n; i++)
        out->z[l->variable[i]] = h->z[l->variable[i]];
}

peri_status certify_held(certify_work *w, bool violation, certify_stationarity *out)
{
    held h = {.w = w, .out = out};
    out->dual = out->complementarity = INFINITY;
    out->why[0] = '\0';
    for (int32_t k = w->all->of.n - 1; k > 0 && out->why[0] == '\0'; k--) {
        memcpy(out->why, w->low[k].why, sizeof out->why);
        if (!isfinite(w->low[k].residual))
            cannot(&h, "there are no multipliers for", k);
    }
    if (w->run->p->n + w->run->p->m > LARGEST)
        snprintf(out->why, sizeof out->why, "stationarity of the whole is not known: there are more than %d variables and constraints", (int)LARGEST);
    if (out->why[0] == '\0')
        TRY(allowed(&h, look_for_others(&h)));
    if (out->why[0] == '\0')
        TRY(look(&h, 0, violation));
    if (out->why[0] == '\0')
        tell(&h);
    return PERI_OK;
}
