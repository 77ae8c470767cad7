/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inner.c - fits of an order for any objective: variables of weights that the order forbids are fixed at zero, another plan
 * minimises over the others. Where the objective is a sum of one function for each node, of the weights into it and of variables that belong to
 * no other, each node is a problem of its own, and an exchange asks again only for the nodes between; what was found for a node and a set of nodes before
 * it is remembered. Otherwise the problem is solved whole for each order.
 * Invariant: value[j] belongs to the part of x that node j owns, fitted for the nodes before it in `order`.
 */
#include "topo.h"
#include <string.h>

enum { REMEMBERED = 1 << 16 }; /* a power of two */

typedef struct {
    uint64_t key; /* 0: empty */
    double value;
} memory_cell;

struct topo_inner {
    bool whole;
    peri_inner **problem; /* [d], or [1] of the whole */
    peri_x *v;            /* their variables */
    int64_t *owner;       /* [n] node that a variable belongs to */
    int64_t *begin, *var; /* [d + 1], [n] variables of node j at var[begin[j] ..] */
    int64_t *place;       /* [n] 0, 1, 2, ... */
    const double *xl, *xu;
    double *low, *high, *at; /* [n] bounds and point of one problem */
    double *x0, *kept;       /* [n] the run's start; an earlier x */
    double *value;           /* [d] objective of each node's problem, over `base` */
    double base;             /* objective where all variables are zero */
    unsigned char *before;   /* [d] nodes that may be parents */
    uint64_t *word;          /* [2 d] random numbers for nodes as parents and as children */
    memory_cell *memory;
};

/* ---- who owns which variable ----------------------------------------------------------------------------------------------------- */

typedef struct {
    topo *t;
    peri_run *run;
    double *x, *g, *g2; /* [n] */
} search;

/* Variables whose derivative depends on those of node j become j's; good false: one that is another's. */
static peri_status follow(search *s, int64_t j, bool *good, bool *grown)
{
    const topo *t = s->t;
    int64_t *owner = t->inner->owner;
    double f, most = 0;
    memcpy(t->inner->at, s->x, (size_t)t->n * sizeof *s->x);
    for (int64_t k = 0; k < t->n; k++)
        if (owner[k] == j)
            t->inner->at[k] += 0.5 + peri_random_uniform(s->run, 4, (uint64_t)k);
    TRY(peri_eval_fg(s->run, t->inner->at, &f, s->g2));
    for (int64_t k = 0; k < t->n; k++)
        most = fmax(most, fabs(s->g2[k] - s->g[k]));
    for (int64_t k = 0; k < t->n; k++) {
        if (!(fabs(s->g2[k] - s->g[k]) > 1e-12 * most) || owner[k] == j)
            continue;
        *good = *good && owner[k] < 0;
        *grown = *grown || owner[k] < 0;
        owner[k] = j;
    }
    return PERI_OK;
}

/* The objective is undefined or too wild at random points: nothing is known, so it counts as one that is not separable. */
static peri_status find_owners(search *s, bool *good)
{
    topo *t = s->t;
    double f;
    bool grown = true;
    for (int64_t k = 0; k < t->n; k++) {
        t->inner->owner[k] = t->graph->entry[k] < 0 ? -1 : t->graph->entry[k] % t->d;
        s->x[k] = t->inner->x0[k] + 0.3 * (peri_random_uniform(s->run, 3, (uint64_t)k) - 0.5);
    }
    peri_status status = peri_eval_fg(s->run, s->x, &f, s->g);
    for (int round = 0; round < 4 && grown && *good && status == PERI_OK; round++) {
        grown = false;
        for (int64_t j = 0; j < t->d && *good && status == PERI_OK; j++)
            status = follow(s, j, good, &grown);
    }
    for (int64_t k = 0; k < t->n; k++)
        *good = *good && t->inner->owner[k] >= 0;
    *good = *good && status == PERI_OK;
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

static void list_variables(topo *t)
{
    topo_inner *in = t->inner;
    int64_t n = 0;
    for (int64_t j = 0; j < t->d; j++) {
        in->begin[j] = n;
        for (int64_t k = 0; k < t->n; k++)
            if (in->owner[k] == j)
                in->var[n++] = k;
    }
    in->begin[t->d] = n;
}

/* ---- problems ---------------------------------------------------------------------------------------------------------------------- */

enum { MOST_PIECES = 129 };

typedef struct {
    peri_inner *problem;
    peri_x v, piece[MOST_PIECES];
    const double *zeros;  /* [n] */
    const int64_t *place; /* [n] 0, 1, 2, ... */
    int64_t pieces;
} column;

static peri_status add_zeros(column *c, int64_t count)
{
    return count > 0 ? peri_x_array(c->problem, count, 1, c->zeros, &c->piece[c->pieces++]) : PERI_OK;
}

/* Ranges of neighbours among the node's variables. */
static int64_t count_ranges(const int64_t *var, int64_t count)
{
    int64_t ranges = 1;
    for (int64_t q = 1; q < count; q++)
        ranges += var[q] != var[q - 1] + 1;
    return ranges;
}

/* All variables, zero but for the node's, as pieces below each other: what depends on the others alone is then constant, and is not evaluated. */
static peri_status stack_column(const topo *t, column *c, const int64_t *var, int64_t count, peri_x *x)
{
    int64_t behind = 0;
    for (int64_t q = 0; q < count;) {
        int64_t end = q + 1;
        while (end < count && var[end] == var[end - 1] + 1)
            end++;
        TRY(add_zeros(c, var[q] - behind));
        TRY(peri_x_gather(c->problem, c->v, end - q, 1, c->place + q, &c->piece[c->pieces++]));
        behind = var[end - 1] + 1;
        q = end;
    }
    TRY(add_zeros(c, t->n - behind));
    return peri_x_stack(c->problem, c->pieces, c->piece, x);
}

/* Node j's: the objective with all variables but j's at zero. */
static peri_status open_column(topo *t, peri_run *run, int64_t j)
{
    topo_inner *in = t->inner;
    const int64_t *var = in->var + in->begin[j], count = in->begin[j + 1] - in->begin[j];
    peri_x x, f;
    if (count == 0)
        return PERI_OK;
    TRY(peri_inner_new(run, "one node", &in->problem[j]));
    TRY(peri_inner_var(in->problem[j], "v", count, 1, &in->v[j]));
    column c = {.problem = in->problem[j], .v = in->v[j], .zeros = in->low, .place = in->place};
    if (2 * count_ranges(var, count) < MOST_PIECES)
        TRY(stack_column(t, &c, var, count, &x));
    else
        TRY(peri_x_scatter(in->problem[j], in->v[j], t->n, 1, var, &x));
    TRY(peri_inner_problem(in->problem[j], 0, x, &f, NULL));
    return peri_inner_minimize(in->problem[j], f);
}

/* f(x) - f(0) at a random point against the sum of the nodes' */
static peri_status check_sum(search *s, bool *good)
{
    topo *t = s->t;
    topo_inner *in = t->inner;
    double f, part, sum = 0, size = 0;
    peri_status status = peri_eval_f(s->run, s->x, &f);
    for (int64_t j = 0; j < t->d && status == PERI_OK; j++) {
        peri_run *view;
        if (in->problem[j] == NULL)
            continue;
        for (int64_t k = in->begin[j]; k < in->begin[j + 1]; k++)
            in->at[k - in->begin[j]] = s->x[in->var[k]];
        TRY(peri_inner_view(in->problem[j], &view));
        status = peri_eval_f(view, in->at, &part);
        sum += part - in->base;
        size += fabs(part) + fabs(in->base);
    }
    *good = status == PERI_OK && fabs(f - in->base - sum) <= 1e-9 * (fabs(f) + size);
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

static peri_status open_whole(topo *t, peri_run *run)
{
    topo_inner *in = t->inner;
    const double *cl, *cu;
    const int64_t m = peri_m(run), row = t->graph->row;
    peri_x f, c;
    in->whole = true;
    TRY(peri_inner_new(run, "one order", &in->problem[0]));
    TRY(peri_inner_variables(in->problem[0], &in->v[0]));
    TRY(peri_inner_problem(in->problem[0], 0, in->v[0], &f, &c));
    TRY(peri_inner_minimize(in->problem[0], f));
    if (m == 1)
        return PERI_OK;
    int64_t *index;
    double *side;
    TRY(peri_alloc_index(run, m, &index));
    TRY(peri_alloc(run, 2 * m, &side));
    peri_bounds(run, NULL, NULL, &cl, &cu);
    for (int64_t i = 0, k = 0; i < m; i++)
        if (i != row) {
            index[k] = i;
            side[k] = cl[i];
            side[m + k++] = cu[i];
        }
    TRY(peri_x_gather(in->problem[0], c, m - 1, 1, index, &c));
    return peri_inner_constrain(in->problem[0], "rows", c, side, side + m, NULL);
}

static peri_status allocate(topo *t, peri_run *run)
{
    topo_inner *in = t->inner;
    TRY(peri_alloc_index(run, t->n, &in->owner));
    TRY(peri_alloc_index(run, t->d + 1, &in->begin));
    TRY(peri_alloc_index(run, t->n, &in->var));
    TRY(peri_alloc_index(run, t->n, &in->place));
    double **const vectors[] = {&in->low, &in->high, &in->at, &in->x0, &in->kept};
    for (size_t k = 0; k < PERI_COUNT(vectors); k++)
        TRY(peri_alloc(run, t->n, vectors[k]));
    TRY(peri_alloc(run, t->d, &in->value));
    in->problem = peri_alloc_bytes(run, (size_t)t->d, sizeof(peri_inner *));
    in->v = peri_alloc_bytes(run, (size_t)t->d, sizeof *in->v);
    in->before = peri_alloc_bytes(run, (size_t)t->d, 1);
    in->word = peri_alloc_bytes(run, (size_t)(2 * t->d), sizeof *in->word);
    in->memory = peri_alloc_bytes(run, REMEMBERED, sizeof *in->memory);
    return in->problem != NULL && in->v != NULL && in->before != NULL && in->word != NULL && in->memory != NULL ? PERI_OK : PERI_E_NOMEM;
}

/* *good: each node is a problem of its own, and these are made */
static peri_status open_columns(topo *t, peri_run *run, bool *good)
{
    topo_inner *in = t->inner;
    search s = {.t = t, .run = run};
    TRY(peri_alloc(run, t->n, &s.x));
    TRY(peri_alloc(run, t->n, &s.g));
    TRY(peri_alloc(run, t->n, &s.g2));
    *good = peri_m(run) == 1 && peri_has_trait(run, PERI_TRAIT_GRADIENT);
    const peri_status status = *good ? peri_eval_f(run, in->at, &in->base) : PERI_OK; /* `at` is zero */
    *good = *good && status == PERI_OK;
    if (status != PERI_OK && status != PERI_E_DOMAIN)
        return status;
    if (*good)
        TRY(find_owners(&s, good));
    if (!*good)
        return PERI_OK;
    list_variables(t);
    memset(in->low, 0, (size_t)t->n * sizeof *in->low);
    for (int64_t k = 0; k < t->n; k++)
        in->place[k] = k;
    for (int64_t j = 0; j < t->d; j++)
        TRY(open_column(t, run, j));
    return check_sum(&s, good);
}

peri_status inner_open(topo *t, peri_run *run)
{
    bool columns;
    topo_inner *in = t->inner = peri_alloc_bytes(run, 1, sizeof *t->inner);
    if (in == NULL)
        return PERI_E_NOMEM;
    TRY(allocate(t, run));
    TRY(peri_start(run, in->x0));
    memcpy(t->x, in->x0, (size_t)t->n * sizeof *t->x);
    peri_bounds(run, &in->xl, &in->xu, NULL, NULL);
    for (int64_t k = 0; k < 2 * t->d; k++)
        in->word[k] = peri_host_table->random_bits(run, 2, (uint64_t)k);
    TRY(open_columns(t, run, &columns));
    return columns ? PERI_OK : open_whole(t, run);
}

bool inner_is_whole(const topo *t)
{
    return t->inner->whole;
}

/* ---- one fit ------------------------------------------------------------------------------------------------------------------------- */

/* Variable k in the problem at place `to`: as the user has it, or fixed at zero. */
static void place_variable(topo *t, int64_t k, bool allowed, int64_t to)
{
    topo_inner *in = t->inner;
    in->low[to] = allowed ? in->xl[k] : 0;
    in->high[to] = allowed ? in->xu[k] : 0;
    in->at[to] = allowed ? t->x[k] : 0;
}

static peri_status solve(topo *t, peri_run *run, int64_t which, const peri_inner_result **r, double *value)
{
    topo_inner *in = t->inner;
    const peri_inner_request request = {.size = (uint32_t)sizeof request,
                                        .tolerance = t->opt.inner_tolerance,
                                        .iterations = t->opt.inner_iterations,
                                        .x = in->at,
                                        .plan = t->opt.inner};
    TRY(peri_inner_set_bounds(in->problem[which], in->v[which], in->low, in->high));
    TRY(peri_inner_solve(in->problem[which], &request, r));
    if ((*r)->why == PERI_WHY_UNBOUNDED)
        return peri_fail(run, PERI_E_NUMERIC, "the problem that an order leaves is unbounded: a bound or a penalty on the weights is missing");
    const bool bad = (*r)->why == PERI_WHY_FAILED || (*r)->why == PERI_WHY_INFEASIBLE;
    *value = bad || isnan((*r)->objective) ? INFINITY : (*r)->objective;
    return PERI_OK;
}

/* Node j with the nodes marked in `before` as parents. */
static peri_status solve_column(topo *t, peri_run *run, int64_t j, const peri_inner_result **r, double *value)
{
    topo_inner *in = t->inner;
    for (int64_t k = in->begin[j]; k < in->begin[j + 1]; k++) {
        const int64_t e = t->graph->entry[in->var[k]];
        place_variable(t, in->var[k], e < 0 || in->before[e / t->d], k - in->begin[j]);
    }
    TRY(solve(t, run, j, r, value));
    *value -= in->base;
    return PERI_OK;
}

static peri_status solve_order(topo *t, peri_run *run, const int64_t *order, const peri_inner_result **r, double *value)
{
    for (int64_t k = 0; k < t->d; k++)
        t->place[order[k]] = k;
    for (int64_t k = 0; k < t->n; k++) {
        const int64_t e = t->graph->entry[k];
        place_variable(t, k, e < 0 || t->place[e / t->d] < t->place[e % t->d], k);
    }
    return solve(t, run, 0, r, value);
}

static peri_status refuse_fit(peri_run *run)
{
    if (peri_should_stop(run))
        return PERI_OK;
    return peri_fail(run, PERI_E_NUMERIC, "the problem that an order leaves could not be solved: see option inner");
}

static peri_status fit_columns(topo *t, peri_run *run, int64_t from, int64_t to)
{
    topo_inner *in = t->inner;
    const peri_inner_result *r;
    memset(in->before, 0, (size_t)t->d);
    for (int64_t k = 0; k < from; k++)
        in->before[t->order[k]] = 1;
    for (int64_t k = from; k <= to; k++) {
        const int64_t j = t->order[k];
        if (in->problem[j] != NULL) {
            TRY(solve_column(t, run, j, &r, &in->value[j]));
            if (isinf(in->value[j]))
                TRY(refuse_fit(run));
            for (int64_t q = in->begin[j]; q < in->begin[j + 1]; q++)
                t->x[in->var[q]] = r->x[q - in->begin[j]];
        }
        in->before[j] = 1;
    }
    t->score = in->base;
    for (int64_t j = 0; j < t->d; j++)
        t->score += in->value[j];
    return PERI_OK;
}

static peri_status fit_whole(topo *t, peri_run *run)
{
    const peri_inner_result *r;
    const int64_t m = peri_m(run), row = t->graph->row;
    TRY(solve_order(t, run, t->order, &r, &t->score));
    if (isinf(t->score))
        TRY(refuse_fit(run));
    memcpy(t->x, r->x, (size_t)t->n * sizeof *t->x);
    for (int64_t i = 0, k = 0; i < m; i++)
        t->y[i] = i == row ? 0 : r->y[k++];
    return PERI_OK;
}

peri_status inner_fit(topo *t, peri_run *run, int64_t from, int64_t to)
{
    TRY(t->inner->whole ? fit_whole(t, run) : fit_columns(t, run, from, to));
    return peri_eval_weights(run, t->x, t->w);
}

/* ---- scores --------------------------------------------------------------------------------------------------------------------------- */

static memory_cell *cell_of(topo_inner *in, uint64_t key)
{
    key |= 1;
    memory_cell *cell = &in->memory[(key >> 20) & (REMEMBERED - 1)];
    if (cell->key != key)
        *cell = (memory_cell){key, NAN};
    return cell;
}

static peri_status score_columns(topo *t, peri_run *run, int64_t a, int64_t b, double *score)
{
    topo_inner *in = t->inner;
    const peri_inner_result *r;
    uint64_t set = 0;
    *score = t->score;
    memset(in->before, 0, (size_t)t->d);
    for (int64_t k = 0; k <= b; k++) {
        const int64_t j = t->trial[k];
        if (k >= a && in->problem[j] != NULL) {
            memory_cell *cell = cell_of(in, set ^ in->word[t->d + j]);
            if (isnan(cell->value)) {
                TRY(solve_column(t, run, j, &r, &cell->value));
                if (peri_should_stop(run)) { /* cut short: worth nothing */
                    cell->value = NAN;
                    *score = INFINITY;
                    return PERI_OK;
                }
            }
            *score += cell->value - in->value[j];
        }
        in->before[j] = 1;
        set ^= in->word[j];
    }
    return PERI_OK;
}

peri_status inner_score(topo *t, peri_run *run, int64_t a, int64_t b, double enough, double *score)
{
    const peri_inner_result *r;
    order_exchange((topo_rule)t->opt.swap_rule, t->d, t->order, a, b, t->trial);
    if (t->inner->whole)
        TRY(solve_order(t, run, t->trial, &r, score));
    else
        TRY(score_columns(t, run, a, b, score));
    if (!(*score < enough) || peri_should_stop(run))
        *score = INFINITY;
    return PERI_OK;
}

/* What is remembered was fitted from the points of then, so a run that goes on needs it. */
peri_status inner_transfer(topo *t, peri_run *run)
{
    topo_inner *in = t->inner;
    TRY(peri_transfer_reals(run, "value", t->d, in->value));
    return peri_transfer(run, "memory", in->memory, REMEMBERED * sizeof *in->memory);
}
