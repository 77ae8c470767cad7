/* SPDX-License-Identifier: Apache-2.0 */
/* program.c - see program.h. Invariant: block 0 is the run's variables, so the first n entries of the inner problem's points are a point of the run. */
#include "program.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS_A_LEVEL = 4 };

/* A level as the levels inside it leave it: its variables in parts of blocks, its rows in one column. */
typedef struct {
    int block;
    int64_t n;
    const int64_t *entry; /* [n] in the block; NULL: all of it */
} part;

typedef struct {
    part *part;
    int n_parts;
    peri_x f, c; /* c: [m] or PERI_NO_X */
    int64_t m;
    double *lower, *upper; /* [m] */
} level_program;

/* One side of a row or of a variable. */
typedef struct {
    int64_t at; /* row, or place in the block */
    int block, sign;
    double side;
} side_of;

/* ---- blocks and columns
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status add_block(program *p, const char *name, int64_t n, double lower, double upper, double start, int *which)
{
    program_block *b = &p->block[p->n_blocks];
    *b = (program_block){.at = p->total, .n = n};
    *which = -1;
    if (n == 0)
        return PERI_OK;
    TRY(peri_inner_var(p->inner, name, n, 1, &b->var));
    TRY(peri_alloc(p->run, n, &b->lower));
    TRY(peri_alloc(p->run, n, &b->upper));
    TRY(peri_alloc(p->run, n, &b->start));
    for (int64_t k = 0; k < n; k++) {
        b->lower[k] = lower;
        b->upper[k] = upper;
        b->start[k] = start;
    }
    TRY(peri_inner_set_start(p->inner, b->var, b->start));
    *which = p->n_blocks++;
    p->total += n;
    return PERI_OK;
}

/* One more group of rows below a column. */
static peri_status append_rows(program *p, level_program *to, peri_x c, int64_t n, double lower, double upper)
{
    double *l, *u;
    if (n == 0)
        return PERI_OK;
    TRY(peri_alloc(p->run, to->m + n, &l));
    TRY(peri_alloc(p->run, to->m + n, &u));
    for (int64_t i = 0; i < to->m + n; i++) {
        l[i] = i < to->m ? to->lower[i] : lower;
        u[i] = i < to->m ? to->upper[i] : upper;
    }
    if (to->m > 0) {
        const peri_x both[2] = {to->c, c};
        TRY(peri_x_stack(p->inner, 2, both, &c));
    }
    to->c = c;
    to->lower = l;
    to->upper = u;
    to->m += n;
    return PERI_OK;
}

static peri_status gather(const program *p, peri_x e, int64_t n, const int64_t *index, peri_x *out)
{
    return peri_x_gather(p->inner, e, n, 1, index, out);
}

static peri_status constants(const program *p, int64_t n, const double *value, peri_x *out)
{
    return peri_x_array(p->inner, n, 1, value, out);
}

/* ---- one level's conditions
 * ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    side_of *side; /* sides of inequality rows, then of variables */
    int64_t n_rows, n_vars;
    int64_t *equal, n_equal; /* rows */
} sides_of;

static void add_side(sides_of *s, int block, int64_t at, int sign, double side)
{
    if (isfinite(side))
        s->side[s->n_rows + s->n_vars++] = (side_of){at, block, sign, side};
}

/* Sides of a pair of bounds that are equal are one equation for rows; a fixed variable has no condition on its gradient but a multiplier of either
 * sign, which its two sides give together. */
static peri_status list_sides(program *p, const level_program *l, sides_of *s)
{
    int64_t most = 2 * l->m;
    for (int k = 0; k < l->n_parts; k++)
        most += 2 * l->part[k].n;
    s->side = peri_alloc_bytes(p->run, (size_t)most + 1, sizeof *s->side);
    TRY(s->side != NULL ? peri_alloc_index(p->run, l->m + 1, &s->equal) : PERI_E_NOMEM);
    for (int64_t i = 0; i < l->m; i++) {
        if (l->lower[i] >= l->upper[i]) {
            s->equal[s->n_equal++] = i;
            continue;
        }
        add_side(s, -1, i, 1, l->lower[i]);
        add_side(s, -1, i, -1, l->upper[i]);
    }
    s->n_rows = s->n_vars;
    s->n_vars = 0;
    for (int k = 0; k < l->n_parts; k++) {
        const program_block *b = &p->block[l->part[k].block];
        for (int64_t j = 0; j < l->part[k].n; j++) {
            const int64_t at = l->part[k].entry != NULL ? l->part[k].entry[j] : j;
            add_side(s, l->part[k].block, at, 1, b->lower[at]);
            add_side(s, l->part[k].block, at, -1, b->upper[at]);
        }
    }
    return PERI_OK;
}

/* sigma o (value of the sides' things - side), for sides first .. first + n - 1, all rows or all variables */
static peri_status distances(const program *p, const level_program *l, const side_of *side, int64_t n, peri_x *out)
{
    int64_t *index;
    double *sign, *at;
    peri_x all[1 + 64], source = l->c, t;
    TRY(peri_alloc_index(p->run, n, &index));
    TRY(peri_alloc(p->run, n, &sign));
    TRY(peri_alloc(p->run, n, &at));
    for (int64_t k = 0; k < n; k++) {
        index[k] = side[k].block < 0 ? side[k].at : p->block[side[k].block].at + side[k].at;
        sign[k] = side[k].sign;
        at[k] = side[k].side;
    }
    if (side[0].block >= 0) { /* blocks lie below each other in points */
        if (p->n_blocks > (int)PERI_COUNT(all))
            return peri_fail(p->run, PERI_E_UNSUPPORTED, "more lower levels than this method takes");
        for (int k = 0; k < p->n_blocks; k++)
            all[k] = p->block[k].var;
        TRY(p->n_blocks > 1 ? peri_x_stack(p->inner, p->n_blocks, all, &source) : (source = all[0], PERI_OK));
    }
    TRY(gather(p, source, n, index, &t));
    TRY(constants(p, n, at, out));
    TRY(peri_x_binary(p->inner, "sub", t, *out, &t));
    TRY(constants(p, n, sign, out));
    return peri_x_binary(p->inner, "mul", *out, t, out);
}

/* L -= lambda' d */
static peri_status subtract_dot(const program *p, peri_x lambda, peri_x d, peri_x *lagrangian)
{
    peri_x t;
    TRY(peri_x_binary(p->inner, "mul", lambda, d, &t));
    TRY(peri_x_unary(p->inner, "sum", t, &t));
    return peri_x_binary(p->inner, "sub", *lagrangian, t, lagrangian);
}

/* lambda o s in the form that was chosen, as rows of the level above. */
static peri_status add_products(program *p, level_program *up, peri_x lambda, peri_x s, int64_t n)
{
    peri_x t, u, sum;
    if (n == 0 || p->form == PAIRS_OPEN)
        return PERI_OK;
    TRY(peri_x_binary(p->inner, "mul", lambda, s, &t));
    if (p->form == PAIRS_FISCHER) { /* lambda + s - sqrt(lambda^2 + s^2 + 2 t) = 0 (Kanzow 1996) */
        TRY(peri_x_unary(p->inner, "square", lambda, &t));
        TRY(peri_x_unary(p->inner, "square", s, &u));
        TRY(peri_x_binary(p->inner, "add", t, u, &t));
        TRY(peri_x_binary(p->inner, "add", p->relaxation, p->relaxation, &u));
        TRY(peri_x_binary(p->inner, "add", t, u, &t));
        TRY(peri_x_unary(p->inner, "sqrt", t, &t));
        TRY(peri_x_binary(p->inner, "add", lambda, s, &sum));
        TRY(peri_x_binary(p->inner, "sub", sum, t, &t));
        return append_rows(p, up, t, n, 0, 0);
    }
    if (p->form == PAIRS_PRODUCT) {
        TRY(peri_x_unary(p->inner, "sum", t, &t));
        n = 1;
    }
    TRY(peri_x_binary(p->inner, "sub", t, p->relaxation, &t));
    return append_rows(p, up, t, n, -INFINITY, 0); /* Scholtes 2001 */
}

static void keep_pairs(program *p, const sides_of *s, int multipliers, int slacks, int of_vars)
{
    for (int64_t k = 0; k < s->n_rows; k++)
        p->pair[p->n_pairs++] = (program_pair){.multiplier = p->block[multipliers].at + k, .multiplier_block = multipliers,
                                               .slack = p->block[slacks].at + k, .slack_block = slacks, .side = 0, .sign = 1};
    for (int64_t k = 0; k < s->n_vars; k++) {
        const side_of *side = &s->side[s->n_rows + k];
        p->pair[p->n_pairs++] = (program_pair){.multiplier = p->block[of_vars].at + k, .multiplier_block = of_vars,
                                               .slack = p->block[side->block].at + side->at, .slack_block = side->block,
                                               .side = side->side, .sign = side->sign};
    }
}

static peri_status add_stationarity(program *p, const level_program *l, peri_x lagrangian, level_program *up)
{
    for (int k = 0; k < l->n_parts; k++) {
        peri_x g;
        TRY(peri_x_gradient(p->inner, lagrangian, p->block[l->part[k].block].var, &g));
        if (l->part[k].entry != NULL)
            TRY(gather(p, g, l->part[k].n, l->part[k].entry, &g));
        TRY(append_rows(p, up, g, l->part[k].n, 0, 0));
    }
    return PERI_OK;
}

static void add_part(level_program *to, int block, int64_t n, const int64_t *entry)
{
    if (n > 0 && block >= 0)
        to->part[to->n_parts++] = (part){block, n, entry};
}

/* The level's optimality conditions into the rows, its variables and multipliers into the variables of `up`. */
static peri_status add_conditions(program *p, level_program *l, level_program *up)
{
    sides_of s = {0};
    int nu = -1, lambda = -1, slack = -1, of_vars = -1;
    peri_x lagrangian = l->f, d, e, rows_distance = PERI_NO_X, vars_distance = PERI_NO_X;
    double *side;
    TRY(list_sides(p, l, &s));
    const int64_t n_rows = s.n_rows, n_vars = s.n_vars;
    if (n_vars > 0) /* before blocks are added: their places are those of the blocks so far */
        TRY(distances(p, l, s.side + n_rows, n_vars, &vars_distance));
    if (n_rows > 0)
        TRY(distances(p, l, s.side, n_rows, &rows_distance));
    TRY(add_block(p, "multiplier", s.n_equal, -INFINITY, INFINITY, 0, &nu));
    TRY(add_block(p, "multiplier", n_rows, 0, p->multiplier_limit, 1, &lambda));
    TRY(add_block(p, "slack", n_rows, 0, INFINITY, 1, &slack));
    TRY(add_block(p, "bound_multiplier", n_vars, 0, p->multiplier_limit, 1, &of_vars));
    if (s.n_equal > 0) {
        TRY(peri_alloc(p->run, s.n_equal, &side));
        for (int64_t k = 0; k < s.n_equal; k++)
            side[k] = l->lower[s.equal[k]];
        TRY(gather(p, l->c, s.n_equal, s.equal, &d));
        TRY(constants(p, s.n_equal, side, &e));
        TRY(peri_x_binary(p->inner, "sub", d, e, &d));
        TRY(subtract_dot(p, p->block[nu].var, d, &lagrangian));
        TRY(append_rows(p, up, d, s.n_equal, 0, 0));
    }
    if (n_rows > 0) {
        TRY(subtract_dot(p, p->block[lambda].var, rows_distance, &lagrangian));
        TRY(peri_x_binary(p->inner, "sub", rows_distance, p->block[slack].var, &d));
        TRY(append_rows(p, up, d, n_rows, 0, 0));
    }
    if (n_vars > 0)
        TRY(subtract_dot(p, p->block[of_vars].var, vars_distance, &lagrangian));
    TRY(add_stationarity(p, l, lagrangian, up));
    TRY(add_products(p, up, lambda >= 0 ? p->block[lambda].var : PERI_NO_X, slack >= 0 ? p->block[slack].var : PERI_NO_X, n_rows));
    TRY(add_products(p, up, of_vars >= 0 ? p->block[of_vars].var : PERI_NO_X, vars_distance, n_vars));
    keep_pairs(p, &s, lambda, slack, of_vars);
    for (int k = 0; k < l->n_parts; k++)
        add_part(up, l->part[k].block, l->part[k].n, l->part[k].entry);
    add_part(up, nu, s.n_equal, NULL);
    add_part(up, lambda, n_rows, NULL);
    add_part(up, slack, n_rows, NULL);
    add_part(up, of_vars, n_vars, NULL);
    return PERI_OK;
}

/* ---- all levels
 * ---------------------------------------------------------------------------------------------------------------- */

/* Half the sum of squares of what the rows are violated by, in place of objective and rows. */
static peri_status make_elastic(program *p, const peri_level *own, level_program *l)
{
    TRY(peri_x_number(p->inner, 0, &l->f));
    for (int side = 0; side < 2 && own->m > 0; side++)
        TRY(program_subtract_violation(p, own, l->c, side, -0.5, &l->f));
    l->c = PERI_NO_X;
    l->m = 0;
    return PERI_OK;
}

static peri_status make_level(program *p, int64_t k, level_program *l)
{
    const peri_level *own = &p->level[k];
    l->part = peri_alloc_bytes(p->run, (size_t)(p->n_levels * (BLOCKS_A_LEVEL + 1)), sizeof *l->part);
    if (l->part == NULL)
        return PERI_E_NOMEM;
    l->c = PERI_NO_X;
    TRY(peri_inner_problem(p->inner, k, p->x, &l->f, &l->c));
    l->m = own->m;
    TRY(peri_alloc(p->run, l->m, &l->lower));
    TRY(peri_alloc(p->run, l->m, &l->upper));
    for (int64_t i = 0; i < l->m; i++) {
        l->lower[i] = p->cl[own->row[i]];
        l->upper[i] = p->cu[own->row[i]];
    }
    if (k == 0 && p->elastic)
        TRY(make_elastic(p, own, l));
    add_part(l, 0, own->n, own->variable);
    for (int64_t child = k + 1; child < p->n_levels; child++) /* a level is made after the one it lies in */
        if (p->level[child].parent == k) {
            level_program below = {0};
            TRY(make_level(p, child, &below));
            TRY(add_conditions(p, &below, l));
        }
    return PERI_OK;
}

/* ---- equations that were written as two rows
 * ---------------------------------------------------------------------------------------------------------------- */

enum { POINTS = 6 };

/* A row with one side, and what it changes by from the start to some random points: the same, or the opposite, for rows that differ by a constant. */
typedef struct {
    int64_t row;
    int sign, of_first; /* of its side; of the first change that is not 0 */
    double side, at_start;
    double change[POINTS]; /* times of_first */
} one_sided;

static int by_change(const void *a, const void *b)
{
    const double x = ((const one_sided *)a)->change[0], y = ((const one_sided *)b)->change[0];
    return (x > y) - (x < y);
}

static bool is_near(double a, double b, double size)
{
    return fabs(a - b) <= 1e-12 * (1 + fabs(a) + fabs(b) + size);
}

static bool changes_alike(const one_sided *a, const one_sided *b)
{
    bool alike = true;
    for (int k = 0; k < POINTS; k++)
        alike = alike && is_near(a->change[k], b->change[k], fabs(a->at_start) + fabs(b->at_start));
    return alike;
}

/* c_b = turn c_a + const: whether both sides together are c_a = a->side */
static bool are_equation(const one_sided *a, const one_sided *b)
{
    const int turn = a->of_first * b->of_first;
    const double there = turn * (b->side - b->at_start) + a->at_start; /* b's side, as one of c_a */
    return turn * b->sign == -a->sign && is_near(there, a->side, fabs(a->at_start) + fabs(b->at_start));
}

/* Values of all rows at a point between the bounds, or near the start where there are none; false: undefined */
static peri_status look_at_rows(const program *p, const double *start, int number, double *x, double *c, bool *defined)
{
    for (int64_t j = 0; j < p->n; j++) {
        const double u = peri_random_uniform(p->run, 11, (uint64_t)(number * p->n + j)), reach = 1 + fabs(start[j]);
        const double lower = fmax(p->xl[j], start[j] - reach), upper = fmin(p->xu[j], start[j] + reach);
        x[j] = number == 0 ? start[j] : lower + u * (upper - lower);
    }
    const peri_status status = peri_eval_c(p->run, x, c);
    *defined = status == PERI_OK;
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

/* All rows with one side whose changes are known. */
static peri_status list_one_sided(const program *p, one_sided *list, int64_t *n)
{
    double *start, *x, *c[POINTS + 1];
    TRY(peri_alloc(p->run, p->n, &start));
    TRY(peri_alloc(p->run, p->n, &x));
    TRY(peri_start(p->run, start));
    for (int k = 0; k <= POINTS; k++) {
        bool defined;
        TRY(peri_alloc(p->run, p->m, &c[k]));
        TRY(look_at_rows(p, start, k, x, c[k], &defined));
        if (!defined)
            return PERI_OK;
    }
    for (int64_t i = 0; i < p->m; i++) {
        one_sided *r = &list[*n];
        const double first = c[1][i] - c[0][i];
        if (isfinite(p->cl[i]) == isfinite(p->cu[i]) || !(fabs(first) > 0))
            continue;
        *r = (one_sided){.row = i, .sign = isfinite(p->cl[i]) ? 1 : -1, .of_first = first > 0 ? 1 : -1,
                         .side = isfinite(p->cl[i]) ? p->cl[i] : p->cu[i], .at_start = c[0][i]};
        for (int k = 0; k < POINTS; k++)
            r->change[k] = r->of_first * (c[k + 1][i] - c[0][i]);
        *n += 1;
    }
    return PERI_OK;
}

/* level's own rows, by row */
static peri_status list_owners(const program *p, int64_t **owner)
{
    TRY(peri_alloc_index(p->run, p->m + 1, owner));
    for (int64_t k = 0; k < p->n_levels; k++)
        for (int64_t i = 0; i < p->level[k].m; i++)
            (*owner)[p->level[k].row[i]] = k;
    return PERI_OK;
}

/*
 * Two rows of a level that are one equation have multipliers of which only the difference is known, and a pair each that nothing is gained by: the first
 * becomes the equation, the second is free. Rows count as the same function where their changes over some random points are the same.
 */
static peri_status join_rows(program *p)
{
    one_sided *list = peri_alloc_bytes(p->run, (size_t)p->m + 1, sizeof *list);
    double *cl, *cu;
    int64_t n = 0, *owner;
    TRY(list != NULL ? list_one_sided(p, list, &n) : PERI_E_NOMEM);
    if (n < 2)
        return PERI_OK;
    TRY(list_owners(p, &owner));
    TRY(peri_alloc(p->run, p->m, &cl));
    TRY(peri_alloc(p->run, p->m, &cu));
    memcpy(cl, p->cl, (size_t)p->m * sizeof *cl);
    memcpy(cu, p->cu, (size_t)p->m * sizeof *cu);
    qsort(list, (size_t)n, sizeof *list, by_change);
    for (int64_t a = 0; a < n; a++)
        for (int64_t b = a + 1; b < n && is_near(list[a].change[0], list[b].change[0], fabs(list[a].at_start)); b++) {
            const int64_t i = list[a].row, k = list[b].row;
            if (owner[i] != owner[k] || cl[i] >= cu[i] || isfinite(cl[k]) == isfinite(cu[k]) || !changes_alike(&list[a], &list[b]) ||
                !are_equation(&list[a], &list[b]))
                continue;
            cl[i] = cu[i] = list[a].side;
            cl[k] = -INFINITY;
            cu[k] = INFINITY;
        }
    p->cl = cl;
    p->cu = cu;
    return PERI_OK;
}

static int64_t count_sides(int64_t n, const int64_t *at, const double *lower, const double *upper, bool equations)
{
    int64_t count = 0;
    for (int64_t k = 0; k < n; k++)
        if (!equations || lower[at[k]] < upper[at[k]])
            count += (isfinite(lower[at[k]]) ? 1 : 0) + (isfinite(upper[at[k]]) ? 1 : 0);
    return count;
}

peri_status program_init(program *p, peri_run *run)
{
    *p = (program){.run = run, .n = peri_n(run), .m = peri_m(run)};
    peri_bounds(run, &p->xl, &p->xu, &p->cl, &p->cu);
    TRY(peri_levels(run, &p->n_levels, &p->level));
    TRY(join_rows(p));
    for (int64_t k = 1; k < p->n_levels; k++) {
        const peri_level *l = &p->level[k];
        p->nested = p->nested || l->parent > 0;
        p->expected_pairs += count_sides(l->m, l->row, p->cl, p->cu, true) + count_sides(l->n, l->variable, p->xl, p->xu, false);
    }
    return PERI_OK;
}

/* A pair for each side of rows and variables below level 0; those of a level inside another are rows and variables there, at most eight times as many. */
static int64_t most_pairs(const program *p)
{
    int64_t most = 2 * (p->n + p->m) + 1;
    for (int64_t k = 1; k < p->n_levels; k++)
        most = most * (p->level[k].parent > 0 ? 8 : 1);
    return most;
}

static peri_status first_block(program *p)
{
    program_block *b = &p->block[0];
    *b = (program_block){.var = p->x, .n = p->n};
    TRY(peri_alloc(p->run, p->n, &b->lower));
    TRY(peri_alloc(p->run, p->n, &b->upper));
    TRY(peri_alloc(p->run, p->n, &b->start));
    memcpy(b->lower, p->xl, (size_t)p->n * sizeof *p->xl);
    memcpy(b->upper, p->xu, (size_t)p->n * sizeof *p->xu);
    p->n_blocks = 1;
    p->total = p->n;
    return peri_start(p->run, b->start);
}

peri_status program_build(program *p, pairs_form form, double multiplier_limit)
{
    level_program top = {0};
    const double zero = 0;
    p->form = form;
    p->multiplier_limit = multiplier_limit;
    p->block = peri_alloc_bytes(p->run, (size_t)(1 + BLOCKS_A_LEVEL * p->n_levels), sizeof *p->block);
    p->pair = peri_alloc_bytes(p->run, (size_t)most_pairs(p), sizeof *p->pair);
    if (p->block == NULL || p->pair == NULL)
        return PERI_E_NOMEM;
    TRY(peri_inner_new(p->run, "kkt", &p->inner));
    TRY(peri_inner_variables(p->inner, &p->x));
    TRY(peri_inner_param(p->inner, "relaxation", 1, 1, &zero, &p->relaxation));
    TRY(first_block(p));
    TRY(make_level(p, 0, &top));
    if (top.m > 0)
        TRY(peri_inner_constrain(p->inner, "conditions", top.c, top.lower, top.upper, NULL));
    TRY(program_set_bounds(p));
    return peri_inner_minimize(p->inner, top.f);
}

peri_status program_set_bounds(const program *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        TRY(peri_inner_set_bounds(p->inner, p->block[k].var, p->block[k].lower, p->block[k].upper));
    return PERI_OK;
}

/* x with the entries of a level's own variables (and of levels inside it) replaced by those of `own` [n]. */
peri_status program_replace(const program *p, int64_t level, peri_x own, peri_x *x)
{
    double *keep;
    peri_x mask, t;
    TRY(peri_alloc(p->run, p->n, &keep));
    for (int64_t j = 0; j < p->n; j++)
        keep[j] = 1;
    for (int64_t k = level; k < p->n_levels; k++) {
        int64_t up = k;
        while (up > level)
            up = p->level[up].parent;
        for (int64_t j = 0; up == level && j < p->level[k].n; j++)
            keep[p->level[k].variable[j]] = 0;
    }
    TRY(constants(p, p->n, keep, &mask));
    TRY(peri_x_binary(p->inner, "mul", mask, p->x, &t));
    return peri_x_binary(p->inner, "add", t, own, x);
}

peri_status program_subtract_violation(const program *p, const peri_level *l, peri_x c, int side, double weight, peri_x *f)
{
    const double *bound = side == 0 ? p->cl : p->cu;
    peri_inner *inner = p->inner;
    int64_t *row, n = 0;
    double *at;
    peri_x t, v;
    TRY(peri_alloc_index(p->run, l->m + 1, &row));
    TRY(peri_alloc(p->run, l->m + 1, &at));
    for (int64_t i = 0; i < l->m; i++)
        if (isfinite(bound[l->row[i]])) {
            at[n] = bound[l->row[i]];
            row[n++] = i;
        }
    if (n == 0)
        return PERI_OK;
    TRY(peri_x_gather(inner, c, n, 1, row, &v));
    TRY(peri_x_array(inner, n, 1, at, &t));
    TRY(side == 0 ? peri_x_binary(inner, "sub", t, v, &v) : peri_x_binary(inner, "sub", v, t, &v));
    TRY(peri_x_unary(inner, "relu", v, &v));
    TRY(peri_x_unary(inner, "square", v, &v));
    TRY(peri_x_unary(inner, "sum", v, &v));
    TRY(peri_x_number(inner, weight, &t));
    TRY(peri_x_binary(inner, "mul", t, v, &v));
    return peri_x_binary(inner, "sub", *f, v, f);
}
