/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kkt - two-level problems as one level: each lower level is replaced by its optimality conditions (Dempe 2002; see program.h). What makes
 * such problems hard are the pairs lambda o s = 0; they are branched on (Bard and Moore 1990), or relaxed to lambda o s <= t with t going to 0
 * (Scholtes 2001), or stated by a smoothed Fischer-Burmeister function (Kanzow 1996).
 *
 * Conditions are necessary, and where a lower level is not convex they are not sufficient: each point found is compared with independent
 * solves of its lower levels. A point that is not optimal there is cut off by  f(x, y) <= f(x, y')  with the better y' held (Mitsos, Lemonidis
 * and Barton 2008), and (x, y') is a candidate itself.
 *
 * Invariant between steps: the last point accepted is the best of those whose lower levels were looked at.
 */
#include "candidates.h"
#include "program.h"
#include <math.h>
#include <string.h>

enum { AUTO, BRANCH, RELAXATION, PRODUCT, FISCHER_BURMEISTER };
enum { MOST_PAIRS = 48 }; /* that auto branches on */

typedef struct {
    double first_relaxation, relaxation_factor, last_relaxation, multiplier_limit, gap;
    int64_t starts, nodes, cuts, inner_iterations;
    int32_t complementarity;
} options;

static const char *const FORMS[] = {"auto", "branch", "relaxation", "product", "fischer-burmeister", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_ENUM("complementarity", options, complementarity, AUTO, FORMS,
              "how a multiplier and its slack are kept from being positive together; auto: relaxation, then branch where pairs are few"),
    PERI_INT("starts", options, starts, 4, 1, 1e6, "1", "points that solves start from"),
    PERI_INT("nodes", options, nodes, 4000, 1, 1e9, "1", "branch: most nodes"),
    PERI_REAL("relaxation", options, first_relaxation, 1, 1e-12, 1e6, "1", "first bound of the products"),
    PERI_REAL("relaxation_factor", options, relaxation_factor, 0.1, 1e-4, 0.9, "1", "factor on it between solves"),
    PERI_REAL("smallest_relaxation", options, last_relaxation, 1e-9, 1e-16, 1, "1", "bound of the products at the end"),
    PERI_REAL("multiplier_limit", options, multiplier_limit, 1e8, 1, 1e20, "1", "largest multiplier of a lower level's rows"),
    PERI_REAL("gap", options, gap, 1e-7, 1e-12, 1, "1", "a lower level is optimal when no solve of it is better by more than this, relative"),
    PERI_INT("cuts", options, cuts, 50, 0, 1e6, "1", "most inequalities against points whose lower level is not optimal"),
    PERI_INT("inner_iterations", options, inner_iterations, 200, 1, 1e9, "1", "most iterations of one inner solve"),
};

enum { FREE, MULTIPLIER_AT_0, SLACK_AT_0 };

/* A subproblem: which pairs are held, and where its solves start. */
typedef struct {
    unsigned char *held; /* [pairs] */
    double *start;       /* [total] */
    double bound;        /* objective of the subproblem above */
} node;

typedef struct {
    program p;
    double **lower, **upper; /* [blocks][entries] bounds as they were built */
    double *point, *found;   /* [total] where the next solve starts; solution of the last */
    unsigned char *held;     /* [pairs] all FREE */
} stated; /* the problem with its pairs in one form */

typedef struct {
    options opt;
    program base; /* what all three begin with */
    stated relaxed, open, elastic;
    candidates known;
    bool relaxes, branches, all_infeasible;
    bool is_elastic; /* nothing was feasible: the violation of level 0's rows is what is made small now */
    node *stack; /* branching, depth first: at most pairs + 2 */
    int64_t n_stack, solved, n_cuts, start_number;
    double relaxation;
    double *own; /* [n] scratch */
} state;

/* ---- making
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status allocate_stack(state *s, peri_run *run)
{
    const program *p = &s->open.p;
    const int64_t count = p->n_pairs + 3;
    s->stack = peri_alloc_bytes(run, (size_t)count, sizeof *s->stack);
    if (s->stack == NULL)
        return PERI_E_NOMEM;
    for (int64_t k = 0; k < count; k++) {
        s->stack[k].held = peri_alloc_bytes(run, (size_t)p->n_pairs + 1, 1);
        TRY(s->stack[k].held != NULL ? peri_alloc(run, p->total, &s->stack[k].start) : PERI_E_NOMEM);
    }
    memcpy(s->stack[0].start, s->open.point, (size_t)p->total * sizeof(double));
    s->stack[0].bound = -INFINITY;
    s->n_stack = 1;
    return PERI_OK;
}

static peri_status keep_bounds(stated *t, peri_run *run)
{
    t->lower = peri_alloc_bytes(run, (size_t)t->p.n_blocks, sizeof *t->lower);
    t->upper = peri_alloc_bytes(run, (size_t)t->p.n_blocks, sizeof *t->upper);
    if (t->lower == NULL || t->upper == NULL)
        return PERI_E_NOMEM;
    for (int b = 0; b < t->p.n_blocks; b++) {
        const program_block *block = &t->p.block[b];
        TRY(peri_alloc(run, block->n, &t->lower[b]));
        TRY(peri_alloc(run, block->n, &t->upper[b]));
        memcpy(t->lower[b], block->lower, (size_t)block->n * sizeof(double));
        memcpy(t->upper[b], block->upper, (size_t)block->n * sizeof(double));
    }
    return PERI_OK;
}

/* Number 0 is the model's start; multipliers and slacks start where they were built to. */
static void choose_start(state *s, stated *t, int64_t number)
{
    for (int b = 0; b < t->p.n_blocks; b++) {
        const program_block *block = &t->p.block[b];
        for (int64_t j = 0; j < block->n; j++)
            t->point[block->at + j] = number == 0 || b > 0 ? block->start[j] : candidates_random(&s->known, j);
    }
}

static peri_status make(state *s, peri_run *run, stated *t, pairs_form form)
{
    t->p = s->base;
    t->p.elastic = t == &s->elastic;
    TRY(program_build(&t->p, form, s->opt.multiplier_limit));
    TRY(peri_alloc(run, t->p.total, &t->point));
    TRY(peri_alloc(run, t->p.total, &t->found));
    t->held = peri_alloc_bytes(run, (size_t)t->p.n_pairs + 1, 1);
    TRY(t->held != NULL ? keep_bounds(t, run) : PERI_E_NOMEM);
    choose_start(s, t, 0);
    return PERI_OK;
}

/* Which searches are made: relaxation finds good points, branching looks for better ones as long as its tree may have any. */
static peri_status plan_searches(state *s, peri_run *run)
{
    const program *p = &s->base;
    TRY(program_init(&s->base, run));
    const int32_t form = s->opt.complementarity;
    s->relaxes = form != BRANCH;
    s->branches = form == BRANCH || (form == AUTO && !p->nested && p->expected_pairs <= MOST_PAIRS);
    if (s->branches && p->nested)
        return peri_fail(run, PERI_E_UNSUPPORTED, "levels inside lower levels cannot be branched on; leave complementarity = auto");
    return PERI_OK;
}

static pairs_form form_of(const state *s)
{
    static const pairs_form forms[] = {PAIRS_RELAXED, PAIRS_RELAXED, PAIRS_RELAXED, PAIRS_PRODUCT, PAIRS_FISCHER};
    return forms[s->opt.complementarity];
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = *(const options *)opt;
    TRY(plan_searches(s, run));
    TRY(candidates_init(&s->known, run, s->opt.starts, s->opt.gap));
    TRY(peri_alloc(run, s->known.n, &s->own));
    if (s->relaxes)
        TRY(make(s, run, &s->relaxed, form_of(s)));
    if (s->branches) {
        TRY(make(s, run, &s->open, PAIRS_OPEN));
        TRY(allocate_stack(s, run));
    }
    s->all_infeasible = true;
    s->relaxation = s->opt.first_relaxation;
    return PERI_OK;
}

/* ---- cuts
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * One more row for a level that is not optimal at the point looked at:  f(x, y) - f(x, y') - w sum_i violation_i(x, y')^2 <= 0 with its
 * better answer y'. The last term leaves those x alone at which y' is not feasible.
 */
static peri_status add_cut(state *s, program *p, int64_t k)
{
    const peri_level *l = &p->level[k];
    const double zero = 0, none = -INFINITY;
    peri_x own, there, f, c, t;
    double best;
    memset(s->own, 0, (size_t)p->n * sizeof *s->own);
    for (int64_t j = 0; j < l->n; j++)
        s->own[l->variable[j]] = s->known.answer[l->variable[j]];
    TRY(peri_eval_f(s->known.view[k], s->known.answer, &best));
    TRY(peri_inner_param(p->inner, "better", p->n, 1, s->own, &own));
    TRY(program_replace(p, k, own, &there));
    TRY(peri_inner_problem(p->inner, k, p->x, &f, NULL));
    TRY(peri_inner_problem(p->inner, k, there, &t, &c));
    TRY(peri_x_binary(p->inner, "sub", f, t, &f));
    for (int side = 0; side < 2; side++)
        TRY(program_subtract_violation(p, l, c, side, 1e4 * fmax(1, fabs(best)), &f));
    return peri_inner_constrain(p->inner, "cut", f, &none, &zero, NULL);
}

/* What the lower levels say of a point; against a point that all else speaks for, `cut`. */
static peri_status look_below(state *s, const double *point, bool cut, bool *optimal, char *tag)
{
    bool improved;
    TRY(candidates_look(&s->known, point, optimal, &improved));
    *tag = improved ? '*' : *tag;
    for (int64_t k = 1; k < s->known.n_levels && cut && !*optimal; k++) {
        if (!s->known.wrong[k] || s->n_cuts >= s->opt.cuts)
            continue;
        s->n_cuts++;
        if (s->relaxes)
            TRY(add_cut(s, &s->relaxed.p, k));
        if (s->branches)
            TRY(add_cut(s, &s->open.p, k));
        if (s->is_elastic)
            TRY(add_cut(s, &s->elastic.p, k));
    }
    return PERI_OK;
}

/* ---- subproblems
 * ---------------------------------------------------------------------------------------------------------------- */

/* Pairs that are held: the multiplier at 0, or the slack at its side. */
static peri_status hold(stated *t, const unsigned char *held)
{
    program *p = &t->p;
    for (int b = 0; b < p->n_blocks; b++) {
        memcpy(p->block[b].lower, t->lower[b], (size_t)p->block[b].n * sizeof(double));
        memcpy(p->block[b].upper, t->upper[b], (size_t)p->block[b].n * sizeof(double));
    }
    for (int64_t k = 0; k < p->n_pairs; k++) {
        const program_pair *pair = &p->pair[k];
        program_block *multipliers = &p->block[pair->multiplier_block], *slacks = &p->block[pair->slack_block];
        if (held[k] == MULTIPLIER_AT_0)
            multipliers->upper[pair->multiplier - multipliers->at] = 0;
        if (held[k] == SLACK_AT_0)
            slacks->lower[pair->slack - slacks->at] = slacks->upper[pair->slack - slacks->at] = pair->side;
    }
    return program_set_bounds(p);
}

/* ret whether the solve has a point: feasible, or running away along feasible ones */
static bool has_point(const peri_inner_result *r)
{
    return r->why == PERI_WHY_UNBOUNDED || (r->why != PERI_WHY_INFEASIBLE && r->why != PERI_WHY_FAILED && r->primal <= 1e-6);
}

/* One solve of the problem as it stands; a point that is better than *objective goes to t->found. */
static peri_status solve_from(state *s, stated *t, const double *start, double *objective, bool *usable)
{
    const peri_inner_request q = {.size = (uint32_t)sizeof q, .x = start, .iterations = s->opt.inner_iterations};
    const peri_inner_result *r;
    *usable = false;
    s->solved++;
    const peri_status status = peri_inner_solve(t->p.inner, &q, &r);
    if (status == PERI_E_DOMAIN)
        return PERI_OK;
    TRY(status);
    if (!has_point(r) || r->objective >= *objective)
        return PERI_OK;
    *objective = r->why == PERI_WHY_UNBOUNDED ? -INFINITY : r->objective;
    *usable = true;
    memcpy(t->found, r->x, (size_t)t->p.total * sizeof(double));
    return PERI_OK;
}

/* ---- branching
 * ---------------------------------------------------------------------------------------------------------------- */

static double distance_of(const program_pair *pair, const double *point)
{
    return pair->sign * (point[pair->slack] - pair->side);
}

/* The pair that is furthest from having a zero; -1: all have one. */
static int64_t most_violated(const stated *t, const unsigned char *held)
{
    double most = 1e-6;
    int64_t which = -1;
    for (int64_t k = 0; k < t->p.n_pairs; k++) {
        const double both = fmin(t->found[t->p.pair[k].multiplier], distance_of(&t->p.pair[k], t->found));
        if (held[k] == FREE && both > most) {
            most = both;
            which = k;
        }
    }
    return which;
}

static void push(state *s, const node *from, int64_t pair, unsigned char how, double bound)
{
    node *to = &s->stack[s->n_stack++];
    if (to != from)
        memcpy(to->held, from->held, (size_t)s->open.p.n_pairs);
    if (pair >= 0)
        to->held[pair] = how;
    memcpy(to->start, s->open.found, (size_t)s->open.p.total * sizeof(double));
    to->bound = bound;
}

/* Both sides of a pair; the one that is nearer is looked at first. The slot of `from`, just popped, is the first to be written. */
static void split(state *s, const node *from, int64_t k, double bound)
{
    const program_pair *pair = &s->open.p.pair[k];
    const bool multiplier_first = s->open.found[pair->multiplier] <= distance_of(pair, s->open.found);
    push(s, from, k, multiplier_first ? SLACK_AT_0 : MULTIPLIER_AT_0, bound);
    push(s, from, k, multiplier_first ? MULTIPLIER_AT_0 : SLACK_AT_0, bound);
}

/* From where the subproblem above ended; where that finds nothing, and for the first ones of the tree, from random points too. */
static peri_status solve_node(state *s, const node *at, double *bound, bool *usable)
{
    *usable = false;
    *bound = INFINITY;
    TRY(hold(&s->open, at->held));
    for (int64_t i = 0; i < s->opt.starts && (!*usable || at->bound == -INFINITY); i++) {
        bool found;
        if (i > 0)
            choose_start(s, &s->open, i);
        TRY(solve_from(s, &s->open, i == 0 ? at->start : s->open.point, bound, &found));
        *usable = *usable || found;
    }
    return PERI_OK;
}

/* One subproblem of the tree. */
static peri_status search(state *s, char *tag)
{
    node *at = &s->stack[--s->n_stack];
    bool usable = false, optimal;
    double bound = at->bound;
    *tag = 'p';
    if (candidates_beaten(&s->known, bound))
        return PERI_OK;
    TRY(solve_node(s, at, &bound, &usable));
    *tag = '-';
    if (!usable)
        return PERI_OK;
    s->all_infeasible = false;
    *tag = 'p';
    if (candidates_beaten(&s->known, bound))
        return PERI_OK;
    *tag = '+';
    const int64_t cuts = s->n_cuts, pair = most_violated(&s->open, at->held);
    TRY(look_below(s, s->open.found, pair < 0, &optimal, tag));
    if (pair >= 0)
        split(s, at, pair, bound);
    else if (!optimal && s->n_cuts > cuts) /* the same subproblem, with the cut */
        push(s, at, -1, FREE, bound);
    return PERI_OK;
}

/* ---- relaxation
 * ---------------------------------------------------------------------------------------------------------------- */

/* The problem that is relaxed now. */
static stated *current(state *s)
{
    return s->is_elastic ? &s->elastic : &s->relaxed;
}

static peri_status next_start(state *s)
{
    s->relaxation = s->opt.first_relaxation;
    choose_start(s, current(s), ++s->start_number);
    return PERI_OK;
}

/* At the end each pair is held at the side that it is nearer to: the point is then as exact as the solver makes it. */
static peri_status polish(state *s, char *tag)
{
    stated *t = current(s);
    bool usable;
    double f = INFINITY;
    for (int64_t k = 0; k < t->p.n_pairs; k++)
        t->held[k] = t->point[t->p.pair[k].multiplier] <= distance_of(&t->p.pair[k], t->point) ? MULTIPLIER_AT_0 : SLACK_AT_0;
    TRY(hold(t, t->held));
    TRY(solve_from(s, t, t->point, &f, &usable));
    memset(t->held, FREE, (size_t)t->p.n_pairs);
    if (usable) {
        memcpy(t->point, t->found, (size_t)t->p.total * sizeof(double));
        *tag = '+';
    }
    return hold(t, t->held);
}

/* One solve of the relaxed problem; at the end of a sequence the point is looked at, and the next start chosen. */
static peri_status relax(state *s, char *tag)
{
    stated *t = current(s);
    bool usable, optimal;
    double f = INFINITY;
    const int64_t cuts = s->n_cuts;
    TRY(peri_inner_set_param(t->p.inner, t->p.relaxation, &s->relaxation));
    TRY(solve_from(s, t, t->point, &f, &usable));
    *tag = usable ? 'r' : '-';
    if (!usable)
        return next_start(s);
    s->all_infeasible = s->all_infeasible && s->is_elastic;
    memcpy(t->point, t->found, (size_t)t->p.total * sizeof(double));
    if (s->relaxation > s->opt.last_relaxation) {
        s->relaxation = fmax(s->opt.last_relaxation, s->relaxation * s->opt.relaxation_factor);
        return PERI_OK;
    }
    TRY(polish(s, tag));
    TRY(look_below(s, t->point, true, &optimal, tag));
    if (optimal || s->n_cuts == cuts)
        return next_start(s);
    s->relaxation = fmax(s->opt.last_relaxation, 1e-3 * s->opt.first_relaxation);
    return PERI_OK;
}

/* ---- the loop
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * No subproblem had a point: what is looked for now is one whose lower levels are optimal and whose violation of level 0's rows cannot be reduced nearby,
 * which is evidence that there is none; or one that fulfils them, from which the search goes on.
 */
static peri_status search_violation(state *s, peri_run *run)
{
    s->is_elastic = true;
    s->start_number = 0;
    s->relaxation = s->opt.first_relaxation;
    return make(s, run, &s->elastic, form_of(s));
}

static peri_status leave_violation(state *s)
{
    s->is_elastic = s->all_infeasible = false;
    s->start_number = s->opt.starts - 1;
    s->relaxation = 1e-3 * s->opt.first_relaxation;
    memcpy(s->relaxed.point, s->elastic.point, (size_t)s->relaxed.p.total * sizeof(double));
    return PERI_OK;
}

static bool is_searching(const state *s)
{
    if ((s->relaxes || s->is_elastic) && s->start_number < s->opt.starts)
        return true;
    return s->branches && !s->is_elastic && s->n_stack > 0 && s->solved < s->opt.nodes;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    const bool relaxes = (s->relaxes || s->is_elastic) && s->start_number < s->opt.starts;
    peri_row row = peri_empty_row();
    row.regularization = relaxes ? s->relaxation : NAN;
    TRY(relaxes ? relax(s, &row.tag) : search(s, &row.tag));
    TRY(candidates_accept(&s->known, run, &row, next));
    if (s->is_elastic && s->relaxes && candidates_is_feasible(&s->known))
        return leave_violation(s);
    if (is_searching(s))
        return PERI_OK;
    if (s->all_infeasible && !s->known.has_best && !s->is_elastic && s->known.level[0].m > 0)
        return search_violation(s, run);
    return candidates_finish(&s->known, s->all_infeasible, next);
}

static const peri_reformulation_ops OPS = {.init = init, .step = step};

static const char PAGE[] =
    "Replaces every lower level, the innermost first, by its optimality conditions: its gradient condition, its rows, and for every row and bound that "
    "a multiplier and its slack are not both positive. The rest of the plan solves what comes of it; \"kkt > ipm\" is the usual one. The conditions need "
    "second derivatives of the lower levels in the gradient of the rows, and third ones in their Hessian; these are exact.\n\n"
    "complementarity = branch holds one of each pair at zero, in a tree (Bard and Moore): where the problem is linear, or convex quadratic but for the pairs, "
    "the answer is the global optimum of it. relaxation lets products be as large as t, which goes to zero; product sums them up first; fischer-burmeister "
    "rounds its function off by t. These find local optima, from as many starts as asked for, and are for many pairs. auto relaxes, and "
    "where pairs are few branches then.\n\n"
    "Each point found is compared with solves of the lower levels on their own, from several starts unless they are proven convex. Where a "
    "better one is known, the point is cut off, and the pair of x and the better y is a candidate. The form is optimistic.\n\n"
    "A row of the history is one subproblem, with the best objective so far. Tags: * a better point, + solved, p cut off by its bound, - no feasible point, "
    "r a relaxation. Column regularization is t.";

extern const peri_plugin KKT;
const peri_plugin KKT = {
    PERI_REFORMULATION(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "kkt",
    .family = "levels",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "lower levels replaced by their optimality conditions; complementarity by branching, relaxation or a smoothed function",
    .page = PAGE,
    .reference = "Bard and Moore 1990, SIAM J. Sci. Stat. Comput. 11; Scholtes 2001, SIAM J. Optim. 11; Dempe 2002, Foundations of Bilevel Programming; "
                 "Mitsos, Lemonidis and Barton 2008, J. Glob. Optim. 42",
    .needs = {PERI_BIT(PERI_TRAIT_LEVELS) | PERI_NEEDS_HESSIAN},
    .refuses = {PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH},
    .removes = {PERI_BIT(PERI_TRAIT_LEVELS) | PERI_BIT(PERI_TRAIT_MULTILEVEL) | PERI_BIT(PERI_TRAIT_CONVEX)},
    .adds = {PERI_BIT(PERI_TRAIT_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_EQUALITIES) | PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS) |
             PERI_BIT(PERI_TRAIT_BOUNDS)},
    .flags = PERI_FLAG_RANDOM | PERI_FLAG_AUTOMATIC,
    .rank = 40,
};
