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
              "how a multiplier and its slack are kept from being positive together; auto: branch where pairs are few"),
    PERI_INT("starts", options, starts, 4, 1, 1e6, "1", "points that the search starts from"),
    PERI_INT("nodes", options, nodes, 4000, 1, 1e9, "1", "branch: most nodes"),
    PERI_REAL("relaxation", options, first_relaxation, 1, 1e-12, 1e6, "1", "first bound of the products"),
    PERI_REAL("relaxation_factor", options, relaxation_factor, 0.1, 1e-4, 0.9, "1", "factor on it between solves"),
    PERI_REAL("smallest_relaxation", options, last_relaxation, 1e-9, 1e-16, 1, "1", "bound of the products at the end"),
    PERI_REAL("multiplier_limit", options, multiplier_limit, 1e8, 1, 1e20, "1", "largest multiplier of a lower level's rows"),
    PERI_REAL("gap", options, gap, 1e-7, 1e-12, 1, "1", "a lower level is optimal when no solve of it is better by more than this, relative"),
    PERI_INT("cuts", options, cuts, 50, 0, 1e6, "1", "most inequalities against points whose lower level is not optimal"),
    PERI_INT("inner_iterations", options, inner_iterations, 500, 1, 1e9, "1", "most iterations of one inner solve"),
};

enum { FREE, MULTIPLIER_AT_0, SLACK_AT_0 };

/* A subproblem: which pairs are held, and where its solves start. */
typedef struct {
    unsigned char *held; /* [pairs] */
    double *start;       /* [total] */
    double bound;        /* objective of the subproblem above */
} node;

typedef struct {
    options opt;
    program p;
    candidates known;
    bool branch, all_infeasible;
    node *stack; /* depth first, so at most pairs + 2 */
    int64_t n_stack, solved, n_cuts, start_number;
    double relaxation;
    double *point, *found;   /* [total] where the relaxation starts; solution of the subproblem in hand */
    double *own;             /* [n] scratch */
    double **lower, **upper; /* [blocks][entries] bounds as they were built */
} state;

/* ---- making
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status allocate_stack(state *s, peri_run *run)
{
    const int64_t count = s->branch ? s->p.n_pairs + 3 : 1;
    s->stack = peri_alloc_bytes(run, (size_t)count, sizeof *s->stack);
    if (s->stack == NULL)
        return PERI_E_NOMEM;
    for (int64_t k = 0; k < count; k++) {
        s->stack[k].held = peri_alloc_bytes(run, (size_t)s->p.n_pairs + 1, 1);
        TRY(s->stack[k].held != NULL ? peri_alloc(run, s->p.total, &s->stack[k].start) : PERI_E_NOMEM);
    }
    return PERI_OK;
}

static peri_status keep_bounds(state *s, peri_run *run)
{
    s->lower = peri_alloc_bytes(run, (size_t)s->p.n_blocks, sizeof *s->lower);
    s->upper = peri_alloc_bytes(run, (size_t)s->p.n_blocks, sizeof *s->upper);
    if (s->lower == NULL || s->upper == NULL)
        return PERI_E_NOMEM;
    for (int b = 0; b < s->p.n_blocks; b++) {
        const program_block *block = &s->p.block[b];
        TRY(peri_alloc(run, block->n, &s->lower[b]));
        TRY(peri_alloc(run, block->n, &s->upper[b]));
        memcpy(s->lower[b], block->lower, (size_t)block->n * sizeof(double));
        memcpy(s->upper[b], block->upper, (size_t)block->n * sizeof(double));
    }
    return PERI_OK;
}

static peri_status allocate(state *s, peri_run *run)
{
    TRY(peri_alloc(run, s->p.n, &s->own));
    TRY(peri_alloc(run, s->p.total, &s->point));
    TRY(peri_alloc(run, s->p.total, &s->found));
    TRY(keep_bounds(s, run));
    return allocate_stack(s, run);
}

/* Number 0 is the model's start; multipliers and slacks start where they were built to. */
static void choose_start(state *s, int64_t number, double *to)
{
    for (int b = 0; b < s->p.n_blocks; b++) {
        const program_block *block = &s->p.block[b];
        for (int64_t j = 0; j < block->n; j++)
            to[block->at + j] = number == 0 || b > 0 ? block->start[j] : candidates_random(&s->known, j);
    }
}

static bool may_branch(const state *s)
{
    const int32_t form = s->opt.complementarity;
    return form == BRANCH || (form == AUTO && !s->p.nested && s->p.expected_pairs <= MOST_PAIRS);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    static const pairs_form forms[] = {PAIRS_RELAXED, PAIRS_OPEN, PAIRS_RELAXED, PAIRS_PRODUCT, PAIRS_FISCHER};
    state *s = self;
    s->opt = *(const options *)opt;
    TRY(program_init(&s->p, run));
    s->branch = may_branch(s);
    if (s->branch && s->p.nested)
        return peri_fail(run, PERI_E_UNSUPPORTED, "kkt: levels inside lower levels cannot be branched on; leave complementarity = auto");
    TRY(program_build(&s->p, s->branch ? PAIRS_OPEN : forms[s->opt.complementarity], s->opt.multiplier_limit));
    TRY(candidates_init(&s->known, run, s->opt.starts, s->opt.gap));
    TRY(allocate(s, run));
    s->all_infeasible = true;
    s->relaxation = s->opt.first_relaxation;
    choose_start(s, 0, s->point);
    if (s->branch) {
        memcpy(s->stack[0].start, s->point, (size_t)s->p.total * sizeof(double));
        s->stack[0].bound = -INFINITY;
        s->n_stack = 1;
    }
    return PERI_OK;
}

/* ---- cuts
 * ---------------------------------------------------------------------------------------------------------------- */

/* f -= weight * sum of squared violations of the rows' lower (side 0) or upper sides (1) */
static peri_status subtract_violation(state *s, peri_run *run, const peri_level *l, peri_x c, int side, double weight, peri_x *f)
{
    const double *bound = side == 0 ? s->p.cl : s->p.cu;
    peri_inner *inner = s->p.inner;
    int64_t *row, n = 0;
    double *at;
    peri_x t, v;
    TRY(peri_alloc_index(run, l->m + 1, &row));
    TRY(peri_alloc(run, l->m + 1, &at));
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

/*
 * One more row for a level that is not optimal at the point looked at:  f(x, y) - f(x, y') - w sum_i violation_i(x, y')^2 <= 0 with its
 * better answer y'. The last term leaves those x alone at which y' is not feasible.
 */
static peri_status add_cut(state *s, peri_run *run, int64_t k)
{
    program *p = &s->p;
    const peri_level *l = &p->level[k];
    const double zero = 0, none = -INFINITY;
    peri_x own, there, f, c, t;
    double best, weight;
    memset(s->own, 0, (size_t)p->n * sizeof *s->own);
    for (int64_t j = 0; j < l->n; j++)
        s->own[l->variable[j]] = s->known.answer[l->variable[j]];
    TRY(peri_eval_f(s->known.view[k], s->known.answer, &best));
    weight = 1e4 * fmax(1, fabs(best));
    TRY(peri_inner_param(p->inner, "better", p->n, 1, s->own, &own));
    TRY(program_replace(p, k, own, &there));
    TRY(peri_inner_problem(p->inner, k, p->x, &f, NULL));
    TRY(peri_inner_problem(p->inner, k, there, &t, &c));
    TRY(peri_x_binary(p->inner, "sub", f, t, &f));
    for (int side = 0; side < 2; side++)
        TRY(subtract_violation(s, run, l, c, side, weight, &f));
    s->n_cuts++;
    return peri_inner_constrain(p->inner, "cut", f, &none, &zero, NULL);
}

/* What the lower levels say of a point; against a point that all else speaks for, `cut`. */
static peri_status look_below(state *s, peri_run *run, const double *point, bool cut, bool *optimal, char *tag)
{
    bool improved;
    TRY(candidates_look(&s->known, point, optimal, &improved));
    *tag = improved ? '*' : *tag;
    for (int64_t k = 1; k < s->p.n_levels && cut && !*optimal; k++)
        if (s->known.wrong[k] && s->n_cuts < s->opt.cuts)
            TRY(add_cut(s, run, k));
    return PERI_OK;
}

/* ---- subproblems
 * ---------------------------------------------------------------------------------------------------------------- */

/* Pairs that are held: the multiplier at 0, or the slack at its side. */
static peri_status hold(state *s, const unsigned char *held)
{
    program *p = &s->p;
    for (int b = 0; b < p->n_blocks; b++) {
        memcpy(p->block[b].lower, s->lower[b], (size_t)p->block[b].n * sizeof(double));
        memcpy(p->block[b].upper, s->upper[b], (size_t)p->block[b].n * sizeof(double));
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

/* One solve of the inner problem as it stands; what is found goes to s->found. */
static peri_status solve_from(state *s, const double *start, double *objective, bool *usable)
{
    const peri_inner_request q = {.size = (uint32_t)sizeof q, .x = start, .iterations = s->opt.inner_iterations};
    const peri_inner_result *r;
    *usable = false;
    s->solved++;
    const peri_status status = peri_inner_solve(s->p.inner, &q, &r);
    if (status == PERI_E_DOMAIN)
        return PERI_OK;
    TRY(status);
    if (!has_point(r) || r->objective >= *objective)
        return PERI_OK;
    *objective = r->why == PERI_WHY_UNBOUNDED ? -INFINITY : r->objective;
    *usable = true;
    memcpy(s->found, r->x, (size_t)s->p.total * sizeof(double));
    return PERI_OK;
}

/* ---- branching
 * ---------------------------------------------------------------------------------------------------------------- */

static double distance_of(const program_pair *pair, const double *point)
{
    return pair->sign * (point[pair->slack] - pair->side);
}

/* The pair that is furthest from having a zero; -1: all have one. */
static int64_t most_violated(const state *s, const double *point, const unsigned char *held)
{
    double most = 1e-6;
    int64_t which = -1;
    for (int64_t k = 0; k < s->p.n_pairs; k++) {
        const double both = fmin(point[s->p.pair[k].multiplier], distance_of(&s->p.pair[k], point));
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
        memcpy(to->held, from->held, (size_t)s->p.n_pairs);
    if (pair >= 0)
        to->held[pair] = how;
    memcpy(to->start, s->found, (size_t)s->p.total * sizeof(double));
    to->bound = bound;
}

/* Both sides of a pair; the one that is nearer is looked at first. The slot of `from`, just popped, is the first to be written. */
static void split(state *s, const node *from, int64_t k, double bound)
{
    const bool multiplier_first = s->found[s->p.pair[k].multiplier] <= distance_of(&s->p.pair[k], s->found);
    push(s, from, k, multiplier_first ? SLACK_AT_0 : MULTIPLIER_AT_0, bound);
    push(s, from, k, multiplier_first ? MULTIPLIER_AT_0 : SLACK_AT_0, bound);
}

/* One subproblem of the tree. */
static peri_status search(state *s, peri_run *run, char *tag, double *bound)
{
    node *at = &s->stack[--s->n_stack];
    bool usable = false, optimal;
    *bound = INFINITY;
    *tag = '-';
    if (candidates_beaten(&s->known, at->bound)) {
        *tag = 'p';
        return PERI_OK;
    }
    TRY(hold(s, at->held));
    for (int64_t i = 0; i < s->opt.starts && (i == 0 || !usable || s->solved < 3 * s->opt.starts); i++) {
        bool found;
        if (i > 0)
            choose_start(s, i, s->point);
        TRY(solve_from(s, i == 0 ? at->start : s->point, bound, &found));
        usable = usable || found;
    }
    if (!usable)
        return PERI_OK;
    s->all_infeasible = false;
    if (candidates_beaten(&s->known, *bound)) {
        *tag = 'p';
        return PERI_OK;
    }
    *tag = '+';
    const int64_t cuts = s->n_cuts, pair = most_violated(s, s->found, at->held);
    TRY(look_below(s, run, s->found, pair < 0, &optimal, tag));
    if (pair >= 0)
        split(s, at, pair, *bound);
    else if (!optimal && s->n_cuts > cuts) /* the same subproblem, with the cut */
        push(s, at, -1, FREE, *bound);
    return PERI_OK;
}

/* ---- relaxation
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status next_start(state *s)
{
    s->relaxation = s->opt.first_relaxation;
    choose_start(s, ++s->start_number, s->point);
    return hold(s, s->stack[0].held);
}

/* At the end each pair is held at the side that it is nearer to: the point is then as exact as the solver makes it. */
static peri_status polish(state *s, double *f, char *tag)
{
    bool usable;
    double polished = INFINITY;
    unsigned char *held = s->stack[0].held;
    for (int64_t k = 0; k < s->p.n_pairs; k++)
        held[k] = s->point[s->p.pair[k].multiplier] <= distance_of(&s->p.pair[k], s->point) ? MULTIPLIER_AT_0 : SLACK_AT_0;
    TRY(hold(s, held));
    TRY(solve_from(s, s->point, &polished, &usable));
    memset(held, FREE, (size_t)s->p.n_pairs);
    if (usable) {
        memcpy(s->point, s->found, (size_t)s->p.total * sizeof(double));
        *f = polished;
        *tag = '+';
    }
    return hold(s, held);
}

/* One solve of the relaxed problem; a new start behind the last one. */
static peri_status relax(state *s, peri_run *run, char *tag, double *bound)
{
    bool usable, optimal;
    const int64_t cuts = s->n_cuts;
    *bound = INFINITY;
    *tag = 'r';
    TRY(peri_inner_set_param(s->p.inner, s->p.relaxation, &s->relaxation));
    TRY(solve_from(s, s->point, bound, &usable));
    if (!usable) {
        *tag = '-';
        return next_start(s);
    }
    s->all_infeasible = false;
    memcpy(s->point, s->found, (size_t)s->p.total * sizeof(double));
    if (s->relaxation > s->opt.last_relaxation) {
        s->relaxation = fmax(s->opt.last_relaxation, s->relaxation * s->opt.relaxation_factor);
        return PERI_OK;
    }
    TRY(polish(s, bound, tag));
    TRY(look_below(s, run, s->point, true, &optimal, tag));
    if (optimal || s->n_cuts == cuts)
        return next_start(s);
    s->relaxation = fmax(s->opt.last_relaxation, 1e-3 * s->opt.first_relaxation);
    return PERI_OK;
}

/* ---- the loop
 * ---------------------------------------------------------------------------------------------------------------- */

static bool is_done(const state *s)
{
    return s->branch ? s->n_stack == 0 || s->solved >= s->opt.nodes : s->start_number >= s->opt.starts;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    peri_row row = peri_empty_row();
    double bound;
    char tag;
    TRY(s->branch ? search(s, run, &tag, &bound) : relax(s, run, &tag, &bound));
    if (s->known.has_best) {
        row.objective = s->known.best_f;
        row.primal = s->known.best_violation;
    }
    row.tag = tag;
    if (!s->branch)
        row.regularization = s->relaxation;
    TRY(peri_accept(run, s->known.best, NULL, NULL, &row, next));
    return is_done(s) ? candidates_finish(&s->known, s->all_infeasible, next) : PERI_OK;
}

static const peri_reformulation_ops OPS = {.init = init, .step = step};

static const char PAGE[] =
    "Replaces every lower level, the innermost first, by its optimality conditions: its gradient condition, its rows, and for every row and bound that "
    "a multiplier and its slack are not both positive. The rest of the plan solves what comes of it; \"kkt > ipm\" is the usual one. The conditions need "
    "second derivatives of the lower levels in the gradient of the rows, and third ones in their Hessian; these are exact.\n\n"
    "complementarity = branch holds one of each pair at zero, in a tree (Bard and Moore): where the problem is linear, or convex quadratic but for the pairs, "
    "the answer is the global optimum of it. relaxation lets products be as large as t, which goes to zero; product sums them up first; fischer-burmeister "
    "rounds its function off by t. These find local optima, from as many starts as asked for, and are for many pairs. auto branches where pairs are few.\n\n"
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
    .flags = PERI_FLAG_RANDOM,
    .rank = 40,
};
