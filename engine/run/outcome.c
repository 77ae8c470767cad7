/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome.c - the status that the evidence supports. The method's claim only says what to look for: a point is called
 * optimal for its certificate, infeasible for a violation that cannot be reduced nearby, unbounded for an objective
 * that has run away at a feasible point. Invariants: a point within tolerance of feasible is never called infeasible;
 * "optimal" needs proven convexity, a solver that proves it, or an objective that is the same everywhere; a point
 * whose objective is undefined is no result; whatever ended the run and is no result keeps its own name.
 */
#include "base/num.h"
#include "run/run.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Relative slope of the violation up to which a point counts as stationary for it. */
static const double STATIONARY = 1e-4;
/* An objective below it, or a variable beyond it, has run away. */
static const double FAR = 1e10;

double outcome_lower_threshold(double tolerance)
{
    return fmax(tolerance, 0.1 * sqrt(tolerance));
}

double outcome_threshold(double tolerance)
{
    return fmax(tolerance, fmin(100 * tolerance, 1e-6));
}

const char *peri_outcome_name(peri_outcome outcome)
{
    static const char *const names[] = {
        "optimal",         "locally_optimal", "feasible",    "infeasible",      "unbounded",
        "iteration_limit", "time_limit",      "interrupted", "numerical_error", "error"};
    return (unsigned)outcome < sizeof names / sizeof names[0] ? names[outcome] : "error";
}

int peri_outcome_exit_status(peri_outcome outcome)
{
    switch (outcome) {
    case PERI_OPTIMAL:
    case PERI_LOCALLY_OPTIMAL:
    case PERI_FEASIBLE:
        return 0;
    case PERI_INFEASIBLE:
    case PERI_UNBOUNDED:
        return 3;
    case PERI_ITERATION_LIMIT:
    case PERI_TIME_LIMIT:
        return 4;
    case PERI_INTERRUPTED:
        return 5;
    default:
        return 1;
    }
}

static bool has_trait(const outcome_evidence *e, peri_trait trait)
{
    return (e->traits & PERI_BIT(trait)) != 0;
}

static peri_outcome solved(const outcome_evidence *e)
{
    const bool global = (e->flags & PERI_FLAG_GLOBAL) && e->why == PERI_WHY_CONVERGED;
    if (has_trait(e, PERI_TRAIT_CONVEX) || global)
        return PERI_OPTIMAL;
    if (!has_trait(e, PERI_TRAIT_OBJECTIVE)) /* any feasible point is as good */
        return PERI_OPTIMAL;
    return has_trait(e, PERI_TRAIT_INTEGER) ? PERI_FEASIBLE : PERI_LOCALLY_OPTIMAL;
}

static void tell(const char *claim, const char *finding, double value, char *message, size_t size)
{
    char number[NUM_SIZE];
    snprintf(message, size, "the method claims %s, but %s is %s", claim, finding, num_print_digits(value, 3, number));
}

static const char *claim_of(peri_why why)
{
    switch (why) {
    case PERI_WHY_CONVERGED:
        return "to have converged";
    case PERI_WHY_INFEASIBLE:
        return "infeasibility";
    case PERI_WHY_UNBOUNDED:
        return "unboundedness";
    default:
        return "no further progress";
    }
}

/* The claim is not what came out: say which figure speaks against it. */
static void contradict(const outcome_evidence *e, double threshold, char *message, size_t size)
{
    const peri_certificate *c = &e->certificate;
    if (e->why == PERI_WHY_INFEASIBLE && !(c->primal > threshold))
        tell(claim_of(e->why), "the largest violation", c->primal, message, size);
    else if (e->why == PERI_WHY_INFEASIBLE)
        tell(claim_of(e->why), "the violation can be reduced: its relative slope", e->violation_slope, message, size);
    else if (e->why == PERI_WHY_UNBOUNDED && !(c->primal > threshold))
        tell(claim_of(e->why), "the objective", e->objective, message, size);
    else if (c->primal > threshold)
        tell(claim_of(e->why), "the largest violation", c->primal, message, size);
    else if (isnan(e->objective))
        tell(claim_of(e->why), "the objective at the last point", e->objective, message, size);
    else
        tell(claim_of(e->why), "kkt", c->kkt, message, size);
}

/* ---- lower levels
 * ---------------------------------------------------------------------------------------------------------------- */

static bool lower_is_optimal(const outcome_evidence *e)
{
    return e->levels == NULL || (e->levels->answered && e->certificate.lower_gap <= outcome_lower_threshold(e->tolerance));
}

/* A point that would be one but for a lower level. */
static peri_outcome judge_lower(const outcome_evidence *e, double threshold, char *message, size_t size)
{
    const solution_levels *l = e->levels;
    snprintf(message, size, "%s", l->why);
    if (l->worst == PERI_LOWER_INFEASIBLE)
        return PERI_INFEASIBLE;
    if (l->worst == PERI_LOWER_UNBOUNDED)
        return PERI_UNBOUNDED;
    if (!lower_is_optimal(e) || isnan(e->objective))
        return PERI_NUMERICAL_ERROR;
    if (message[0] == '\0')
        contradict(e, threshold, message, size);
    return PERI_FEASIBLE;
}

/* A lower level that has no optimum at the point. */
static bool has_no_answer(const outcome_evidence *e)
{
    return e->levels != NULL && (e->levels->worst == PERI_LOWER_INFEASIBLE || e->levels->worst == PERI_LOWER_UNBOUNDED);
}

/* A method broke down at such a point: that is why. */
static peri_outcome judge_breakdown(const outcome_evidence *e, double threshold, char *message, size_t size)
{
    const peri_outcome outcome = judge_lower(e, threshold, message, size);
    const size_t used = strlen(message);
    if (e->breakdown != NULL && e->breakdown[0] != '\0' && used < size)
        snprintf(message + used, size - used, " (%s)", e->breakdown);
    return outcome;
}

static bool is_unbounded(const outcome_evidence *e, double threshold)
{
    const bool feasible = e->relative <= threshold;
    const bool away = e->objective <= -FAR || (e->largest_x >= FAR && e->objective < 0);
    return e->why == PERI_WHY_UNBOUNDED && feasible && away;
}

static bool is_infeasible(const outcome_evidence *e, double threshold)
{
    return e->why != PERI_WHY_CONTINUE && e->why != PERI_WHY_LIMIT && e->certificate.primal > threshold &&
           e->violation_slope <= STATIONARY;
}

peri_outcome outcome_from(const outcome_evidence *e, char *message, size_t size)
{
    const double threshold = outcome_threshold(e->tolerance);
    const peri_certificate *c = &e->certificate;
    message[0] = '\0';
    if (e->stopped_by == PERI_INTERRUPTED || e->stopped_by == PERI_ERROR)
        return e->stopped_by;
    if (lower_is_optimal(e) && (c->kkt <= e->tolerance || (c->kkt <= threshold && e->stopped_by == PERI_OPTIMAL)))
        return solved(e);
    if (has_no_answer(e) && (e->stopped_by == PERI_NUMERICAL_ERROR || (e->stopped_by == PERI_OPTIMAL && e->why == PERI_WHY_FAILED)))
        return judge_breakdown(e, threshold, message, size);
    if (e->stopped_by != PERI_OPTIMAL)
        return e->stopped_by;
    if (e->levels != NULL && (c->primal <= threshold || e->levels->worst == PERI_LOWER_INFEASIBLE) && e->why != PERI_WHY_LIMIT &&
        e->why != PERI_WHY_FAILED && e->why != PERI_WHY_CONTINUE)
        return judge_lower(e, threshold, message, size);
    if (is_unbounded(e, threshold))
        return PERI_UNBOUNDED;
    if (is_infeasible(e, threshold)) {
        if (e->levels != NULL && e->levels->violation_slope <= STATIONARY)
            snprintf(message, size, "%s", e->levels->why);
        else if (!has_trait(e, PERI_TRAIT_CONVEX))
            snprintf(message, size, "locally infeasible: the violation cannot be reduced near this point");
        return PERI_INFEASIBLE;
    }
    if (e->why == PERI_WHY_LIMIT) {
        snprintf(message, size, "the method reached a limit of its own");
        return PERI_ITERATION_LIMIT;
    }
    if (e->why == PERI_WHY_FAILED || e->why == PERI_WHY_CONTINUE) {
        snprintf(message, size, "the method broke down");
        return PERI_NUMERICAL_ERROR;
    }
    contradict(e, threshold, message, size);
    return c->primal <= threshold && !isnan(e->objective) ? PERI_FEASIBLE : PERI_NUMERICAL_ERROR;
}
