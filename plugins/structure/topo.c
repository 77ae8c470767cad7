/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topo.c - structure by topological swaps: minimise f over the weights of graphs without cycles by a search over orders of the nodes. For an order
 * the weights of all edges from earlier to later nodes are fitted, a problem without the constraint; then pairs whose exchange is cheap for
 * the acyclicity function are tried, and what lowers f is done. Invariant between steps: x, w and score are the fit of `order`, and the
 * score never rises within a start. Source: Deng, Bello, Aragam and Ravikumar 2023.
 */
#include "topo.h"
#include <stdio.h>
#include <string.h>

const peri_host *peri_host_table;

static const char *const RANKINGS[] = {"exponential", "log-determinant", "polynomial", "model", NULL};
static const char *const RULES[] = {"swap", "behind", "before", NULL};
static const char *const ACCEPTANCES[] = {"greedy", "best", "first", NULL};
static const char *const ORDERS[] = {"auto", "start", "random", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_INT("s_small", topo_options, s_small, 0, 0, 1e9, "pairs", "pairs tried in each iteration; 0: by the number of nodes"),
    PERI_INT("s_large", topo_options, s_large, 0, 0, 1e9, "pairs", "pairs tried where none of the small space helps; 0: by the number of nodes"),
    PERI_INT("s0", topo_options, s0, 10, 0, 1e9, "1", "how often the large space may help before it is given up"),
    PERI_ENUM("characterisation", topo_options, characterisation, RANK_LOG_DETERMINANT, RANKINGS,
              "gradient that ranks the pairs: of this function of |W|, or of the model's own"),
    PERI_ENUM("swap_rule", topo_options, swap_rule, RULE_SWAP, RULES,
              "exchange the two nodes, move the earlier behind the later, or the later before the earlier"),
    PERI_ENUM("accept_rule", topo_options, accept_rule, ACCEPT_GREEDY, ACCEPTANCES,
              "greedy: all improving exchanges that do not overlap, best first; best: one; first: the first that improves"),
    PERI_INT("starts", topo_options, starts, 1, 1, 1e9, "1", "orders to start from; those after the first are random"),
    PERI_ENUM("order", topo_options, order, ORDER_AUTO, ORDERS,
              "first order: of the start point's weights, or random; auto: of the start point unless its weights are zero"),
    PERI_REAL("threshold", topo_options, threshold, 0, 0, 1e300, "1",
              "smaller weights of the answer become zero; 0: it stays the fit of its order"),
    PERI_REAL("decrease", topo_options, decrease, 0, 0, 0.5, "1",
              "relative decrease that an exchange must bring; 0: 1e-12 where fits are exact, else 1e-6"),
    PERI_STRING("inner", topo_options, inner, "",
                "plan for fits that are no regressions on one Gram matrix; empty: the engine's choice"),
    PERI_REAL("inner_tolerance", topo_options, inner_tolerance, 0, 0, 1, "1", "of these fits; 0: the run's own"),
    PERI_INT("inner_iterations", topo_options, inner_iterations, 0, 0, 1e9, "1", "most of one such fit; 0: the engine's default"),
};

/* ---- start ----------------------------------------------------------------------------------------------------------------------- */

/* Sizes of the search spaces (the authors' package dagrad): with c = min(sqrt(d) (d - 1) log10 d, pairs), the smaller and the larger of 1.5 d and c;
 * the large one has at least a hundred pairs, or all, so that small graphs are searched in full. */
static peri_status set_sizes(topo *t, peri_run *run)
{
    char text[160];
    const double d = (double)t->d, pairs = d * (d - 1) / 2;
    const double c = fmin(sqrt(d) * (d - 1) * log10(d), pairs);
    t->n_pairs = t->d * (t->d - 1) / 2;
    t->small = t->opt.s_small > 0 ? t->opt.s_small : (int64_t)fmax(1, fmin(1.5 * d, c));
    t->large = t->opt.s_large > 0 ? t->opt.s_large : (int64_t)fmax(fmax(1.5 * d, c), 100);
    if (t->opt.s_large > 0 && t->opt.s_small > t->opt.s_large) {
        snprintf(text, sizeof text, "s_small %lld is larger than s_large %lld", (long long)t->opt.s_small, (long long)t->opt.s_large);
        return peri_fail(run, PERI_E_OPTION, text);
    }
    t->large = t->large < t->small ? t->small : t->large;
    t->small = t->small < t->n_pairs ? t->small : t->n_pairs;
    t->large = t->large < t->n_pairs ? t->large : t->n_pairs;
    return PERI_OK;
}

static peri_status allocate(topo *t, peri_run *run)
{
    const int64_t d = t->d;
    int64_t **const orders[] = {&t->order, &t->trial, &t->place, &t->held};
    double **const squares[] = {&t->w, &t->a, &t->walks, &t->work};
    double **const points[] = {&t->slope, &t->x, &t->best, &t->held_x};
    for (size_t k = 0; k < PERI_COUNT(orders); k++)
        TRY(peri_alloc_index(run, d, orders[k]));
    for (size_t k = 0; k < PERI_COUNT(squares); k++)
        TRY(peri_alloc(run, d * d, squares[k]));
    for (size_t k = 0; k < PERI_COUNT(points); k++)
        TRY(peri_alloc(run, t->n, points[k]));
    TRY(peri_alloc(run, peri_m(run), &t->y));
    t->pair = peri_alloc_bytes(run, (size_t)t->n_pairs, sizeof *t->pair);
    t->better = peri_alloc_bytes(run, (size_t)t->n_pairs, sizeof *t->better);
    t->taken = peri_alloc_bytes(run, (size_t)d, 1);
    return t->pair != NULL && t->better != NULL && t->taken != NULL ? PERI_OK : PERI_E_NOMEM;
}

/* Weights that are linear in one variable: what they are where all variables are one. */
static peri_status find_slopes(topo *t, peri_run *run)
{
    for (int64_t k = 0; k < t->n && t->graph->linear; k++)
        t->x[k] = 1;
    TRY(peri_eval_weights(run, t->x, t->w));
    for (int64_t k = 0; k < t->n && t->graph->linear; k++)
        t->slope[k] = t->graph->entry[k] < 0 ? 0 : t->w[t->graph->entry[k]];
    return PERI_OK;
}

static peri_status first_order(topo *t, peri_run *run)
{
    double most = 0;
    TRY(peri_start(run, t->x));
    TRY(peri_eval_weights(run, t->x, t->w));
    for (int64_t e = 0; e < t->d * t->d; e++)
        most = fmax(most, fabs(t->w[e]));
    if (t->opt.order == ORDER_RANDOM || (t->opt.order == ORDER_AUTO && !(most > 0))) {
        order_random(t, run, 0, t->order);
        return PERI_OK;
    }
    if (order_of_weights(t, t->w, t->order))
        peri_note(run, 1, "the start point's graph has cycles; the lightest edges in them were left out to find its order");
    return PERI_OK;
}

/* Positions from .. to have other nodes before them than at the last fit. */
static peri_status fit(topo *t, peri_run *run, int64_t from, int64_t to)
{
    if (!t->has_gram)
        return inner_fit(t, run, from, to);
    gram_fit(t, from);
    return PERI_OK;
}

static peri_status accept(topo *t, peri_run *run, char tag, int64_t exchanges, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = t->offset + t->score;
    row.primal = 0;
    row.step = (double)exchanges;
    row.tag = tag;
    return peri_accept(run, t->x, t->y, NULL, &row, next);
}

static void tell(const topo *t, peri_run *run)
{
    char text[200];
    if (t->has_gram && t->gram.rank < t->d) {
        snprintf(text, sizeof text, "the data's Gram matrix has rank %lld of %lld: nodes that others determine explain nothing further",
                 (long long)t->gram.rank, (long long)t->d);
        peri_note(run, 0, text);
    }
    peri_note(run, 1, t->has_gram          ? "each fit is a regression on one Gram matrix"
                      : inner_is_whole(t) ? "each fit is a problem with all variables"
                                          : "each fit is one problem a node");
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    topo *t = self;
    peri_step next;
    t->opt = *(const topo_options *)opt;
    TRY(peri_get_acyclic(run, &t->graph));
    t->n = peri_n(run);
    t->d = t->graph->d;
    TRY(set_sizes(t, run));
    TRY(allocate(t, run));
    TRY(find_slopes(t, run));
    TRY(gram_find(t, run, &t->has_gram));
    if (!t->has_gram) {
        t->offset = 0;
        TRY(inner_open(t, run));
    }
    t->decrease = t->opt.decrease > 0 ? t->opt.decrease : t->has_gram ? 1e-12 : 1e-6;
    t->best_score = INFINITY;
    TRY(first_order(t, run));
    TRY(fit(t, run, 0, t->d - 1));
    tell(t, run);
    return accept(t, run, 0, 0, &next);
}

/* ---- one iteration ------------------------------------------------------------------------------------------------------------------ */

enum { ROUND_PAIRS = 512, FIRST_PAIRS = 64, WORTH_SHARING = 300000 };

typedef struct {
    topo *t;
    int64_t from, to, lanes;
    double enough;
} score_job;

/* Every lanes-th pair: wide and narrow exchanges are spread evenly. */
static void score_lane(void *ud, int32_t thread, int64_t lane)
{
    const score_job *job = ud;
    (void)thread;
    for (int64_t k = job->from + lane; k < job->to; k += job->lanes) {
        topo_pair *p = &job->t->pair[k];
        p->score = gram_score(job->t, lane, p->a, p->b, job->enough);
    }
}

/* Pairs do not know of each other, so threads give the scores of one; an exchange costs about d^2 rotations of a block. */
static peri_status score_pairs(topo *t, peri_run *run, int64_t from, int64_t to, double enough)
{
    score_job job = {t, from, to, 1, enough};
    if (t->has_gram && (to - from) * t->d * t->d >= WORTH_SHARING) {
        job.lanes = t->gram.lanes;
        return peri_parallel(run, job.lanes, score_lane, &job);
    }
    if (t->has_gram)
        score_lane(&job, 0, 0);
    for (int64_t k = from; k < to && !t->has_gram; k++)
        TRY(inner_score(t, run, t->pair[k].a, t->pair[k].b, enough, &t->pair[k].score));
    return PERI_OK;
}

/* Scores pairs from .. to of the ranking; those that improve come to `better`, in its order. */
static peri_status scan(topo *t, peri_run *run, int64_t from, int64_t to, int64_t *found)
{
    const double enough = t->score - t->decrease * fabs(t->score);
    const bool only_first = t->opt.accept_rule == ACCEPT_FIRST;
    const int64_t round = !t->has_gram ? 1 : only_first ? FIRST_PAIRS : ROUND_PAIRS;
    *found = 0;
    for (int64_t begin = from; begin < to && !peri_should_stop(run); begin += round) {
        const int64_t end = begin + round < to ? begin + round : to;
        TRY(score_pairs(t, run, begin, end, enough));
        for (int64_t k = begin; k < end; k++) {
            if (!(t->pair[k].score < INFINITY))
                continue;
            t->better[(*found)++] = t->pair[k];
            if (only_first)
                return PERI_OK;
        }
    }
    return PERI_OK;
}

/* The best exchanges first; of equal ones the first in the ranking. */
static void sort_better(topo *t, int64_t n)
{
    for (int64_t k = 1; k < n; k++) { /* mostly few */
        const topo_pair held = t->better[k];
        int64_t j = k;
        for (; j > 0 && t->better[j - 1].score > held.score; j--)
            t->better[j] = t->better[j - 1];
        t->better[j] = held;
    }
}

static void exchange(topo *t, const topo_pair *p)
{
    order_exchange((topo_rule)t->opt.swap_rule, t->d, t->order, p->a, p->b, t->trial);
    memcpy(t->order, t->trial, (size_t)t->d * sizeof *t->order);
}

/* Exchanges whose intervals of positions do not meet; *from .. *to covers them. ret how many */
static int64_t exchange_all(topo *t, int64_t n, int64_t *from, int64_t *to)
{
    int64_t done = 0;
    *from = t->d;
    *to = 0;
    memset(t->taken, 0, (size_t)t->d);
    for (int64_t k = 0; k < n; k++) {
        const topo_pair p = t->better[k];
        bool is_clear = true;
        for (int64_t q = p.a; q <= p.b; q++)
            is_clear = is_clear && !t->taken[q];
        if (!is_clear)
            continue;
        memset(t->taken + p.a, 1, (size_t)(p.b - p.a + 1));
        exchange(t, &p);
        *from = p.a < *from ? p.a : *from;
        *to = p.b > *to ? p.b : *to;
        done++;
    }
    return done;
}

/* Where functions of the nodes are not separate, or fits not exact, what was done together may not help: then the order of before, and the best
 * exchange alone; if that does not help either, that was no improvement. *done: exchanges, 0: none */
static peri_status improve(topo *t, peri_run *run, int64_t found, int64_t *done)
{
    const double before = t->score;
    const size_t bytes = (size_t)t->d * sizeof *t->order;
    int64_t from, to;
    sort_better(t, found);
    const topo_pair first = t->better[0];
    memcpy(t->held, t->order, bytes);
    memcpy(t->held_x, t->x, (size_t)t->n * sizeof *t->x);
    *done = exchange_all(t, t->opt.accept_rule == ACCEPT_GREEDY ? found : 1, &from, &to);
    TRY(fit(t, run, from, to));
    if (t->score < before)
        return PERI_OK;
    for (int attempt = *done > 1 ? 0 : 1; attempt < 2; attempt++) {
        memcpy(t->order, t->held, bytes);
        memcpy(t->x, t->held_x, (size_t)t->n * sizeof *t->x);
        *done = attempt == 0 ? 1 : 0;
        if (attempt == 0)
            exchange(t, &first);
        TRY(fit(t, run, 0, t->d - 1));
        if (t->score < before)
            break;
    }
    return PERI_OK;
}

static peri_status conclude(topo *t, peri_run *run, peri_step *next)
{
    const bool other = t->best_score < t->score;
    peri_row row = peri_empty_row();
    row.primal = 0;
    if (!other && !(t->opt.threshold > 0))
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    if (other)
        memcpy(t->x, t->best, (size_t)t->n * sizeof *t->x);
    else
        row.objective = t->offset + t->score;
    TRY(peri_eval_weights(run, t->x, t->w));
    for (int64_t k = 0; k < t->n; k++)
        if (t->graph->entry[k] >= 0 && fabs(t->w[t->graph->entry[k]]) < t->opt.threshold) {
            t->x[k] = 0;
            row.objective = NAN;
        }
    TRY(peri_accept(run, t->x, t->y, NULL, &row, next));
    return peri_finish(run, PERI_WHY_CONVERGED, next);
}

static peri_status next_start(topo *t, peri_run *run, peri_step *next)
{
    if (peri_should_stop(run))
        return PERI_OK;
    if (t->score < t->best_score) {
        t->best_score = t->score;
        memcpy(t->best, t->x, (size_t)t->n * sizeof *t->x);
    }
    if (++t->start >= t->opt.starts)
        return conclude(t, run, next);
    t->large_used = 0;
    order_random(t, run, 16 + (uint64_t)t->start, t->order);
    if (!t->has_gram)
        TRY(peri_start(run, t->x));
    TRY(fit(t, run, 0, t->d - 1));
    return accept(t, run, 'r', 0, next);
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    topo *t = self;
    int64_t found, done = 0;
    char tag = 's';
    order_rank(t);
    const int64_t small = order_ties(t, t->small);
    TRY(scan(t, run, 0, small, &found));
    if (found == 0 && t->large_used < t->opt.s0) {
        tag = 'l';
        TRY(scan(t, run, small, order_ties(t, t->large), &found));
        t->large_used += found > 0;
    }
    if (found > 0)
        TRY(improve(t, run, found, &done));
    return done > 0 ? accept(t, run, tag, done, next) : next_start(t, run, next);
}

static peri_status transfer(void *self, peri_run *run)
{
    topo *t = self;
    TRY(peri_transfer(run, "order", t->order, (size_t)t->d * sizeof *t->order));
    PERI_TRANSFER_REALS(run, t, x, t->n);
    PERI_TRANSFER_REALS(run, t, best, t->n);
    PERI_TRANSFER_REALS(run, t, y, peri_m(run));
    PERI_TRANSFER(run, t, score);
    PERI_TRANSFER(run, t, best_score);
    PERI_TRANSFER(run, t, start);
    PERI_TRANSFER(run, t, large_used);
    return t->has_gram ? PERI_OK : inner_transfer(t, run);
}

/* Weights follow from x, the factor from the order: with the same bits, for its rows depend on those above alone. */
static peri_status load(void *self, peri_run *run)
{
    topo *t = self;
    TRY(transfer(self, run));
    if (!t->has_gram)
        return peri_eval_weights(run, t->x, t->w);
    gram_fit(t, 0);
    return PERI_OK;
}

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = load};

static const char PAGE[] =
    "For problems whose only constraint is peri.acyclic(W): W_ij is the weight of the edge from i to j, and the graph of the edges must have no cycle. "
    "An order of the nodes, parents first, allows the edges from earlier to later nodes; for it the weights are fitted without the constraint, one "
    "regression a node where the objective is separable. A pair of nodes whose edge the order forbids is tried by exchanging the two; pairs come in the "
    "order of the acyclicity function's gradient, the weight of the walks that the edge would close, smallest first. The first s_small pairs "
    "are tried in each iteration, and of those that lower the objective as many are done as do not overlap. Where none does, the first s_large are tried; "
    "after s0 successes there, or none, the start is finished. With starts > 1 further orders are random, and the best answer is returned.\n\n"
    "Quadratic objectives that regress each node on the others with one Gram matrix S (least squares, ridge terms and weights of nodes included) "
    "are recognised by d gradients and one in a random direction. An order is then a Cholesky factor of S, an exchange a rotation of a block of "
    "it; exchanges are scored on all threads, with the same bits for any number of them; d = 100 takes a second at the most. Anything else "
    "is minimised by another method (option inner): "
    "one problem a node where the objective is a sum over nodes, "
    "of the weights into it and variables of its own (logistic regressions, "
    "networks), which evaluates that node's part alone where its variables are few blocks, else one with all variables. An l1 term is best "
    "written with W = P - N, P and N >= 0, as the sum of P and N. For networks, whose fits are "
    "local, decrease = 1e-3 keeps noise from looking like progress, and accept_rule = \"first\" saves fits.\n\n"
    "A start point with weights that are not zero gives the first order, so that a graph found by another method is improved: it never becomes worse, where "
    "it has no cycle. Cycles in it are broken at their lightest edges. The certificate takes edges that would close a cycle as held at zero.\n\n"
    "The answer has all edges that its order allows, most of them small: see threshold. A row of the history is one iteration, its step the number of "
    "exchanges. Tags: s found in the small space, l in the large one, r a new start.";

static const peri_plugin TOPO = {
    PERI_SOLVER(topo, topo_options, OPTION_LIST),
    .ops = &OPS,
    .name = "topo",
    .family = "structure",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "graphs without cycles, by exchanges in an order of the nodes",
    .page = PAGE,
    .reference = "Deng, Bello, Aragam and Ravikumar 2023, Optimizing NOTEARS objectives via topological swaps, ICML (arXiv 2305.17277)",
    .needs = {PERI_BIT(PERI_TRAIT_ACYCLIC) | PERI_BIT(PERI_TRAIT_OBJECTIVE)},
    .refuses = {PERI_REFUSES_INTEGER},
    .flags = PERI_FLAG_RANDOM | PERI_FLAG_AUTOMATIC,
    .rank = 60,
};
static const peri_plugin *const ALL[] = {&TOPO, NULL};
PERI_PLUGIN(ALL)
