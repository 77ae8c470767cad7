/* SPDX-License-Identifier: Apache-2.0 */
/* The status from the evidence, as a table: what was claimed, what was found, and what may be said. */
#include "run/run.h"
#include "tap/tap.h"
#include <math.h>

#define CONVEX      (PERI_BIT(PERI_TRAIT_CONVEX) | PERI_BIT(PERI_TRAIT_OBJECTIVE))
#define GENERAL     PERI_BIT(PERI_TRAIT_OBJECTIVE)
#define INTEGER     (PERI_BIT(PERI_TRAIT_INTEGER) | PERI_BIT(PERI_TRAIT_OBJECTIVE))
#define FEASIBILITY UINT64_C(0)
#define NOT         PERI_OPTIMAL /* the engine did not end the run */

typedef struct {
    const char *what;
    peri_why why;
    peri_outcome stopped;
    double primal, kkt, slope, objective, largest_x;
    uint64_t traits, flags;
    peri_outcome want;
    bool message;
} row;

static const row ROWS[] = {
    {"solved, convex", PERI_WHY_CONVERGED, NOT, 0, 1e-9, NAN, 1, 1, CONVEX, 0, PERI_OPTIMAL, false},
    {"solved, not proven convex", PERI_WHY_CONVERGED, NOT, 0, 1e-9, NAN, 1, 1, GENERAL, 0, PERI_LOCALLY_OPTIMAL, false},
    {"solved, by a global method", PERI_WHY_CONVERGED, NOT, 0, 1e-9, NAN, 1, 1, GENERAL, PERI_FLAG_GLOBAL, PERI_OPTIMAL,
     false},
    {"a global method that did not finish", PERI_WHY_STALLED, NOT, 0, 1e-9, NAN, 1, 1, GENERAL, PERI_FLAG_GLOBAL,
     PERI_LOCALLY_OPTIMAL, false},
    {"integer without a proof", PERI_WHY_CONVERGED, NOT, 0, 1e-9, NAN, 1, 1, INTEGER, 0, PERI_FEASIBLE, false},
    {"integer with a proof", PERI_WHY_CONVERGED, NOT, 0, 1e-9, NAN, 1, 1, INTEGER, PERI_FLAG_GLOBAL, PERI_OPTIMAL,
     false},
    {"any feasible point of a feasibility problem", PERI_WHY_CONVERGED, NOT, 0, 0, NAN, 0, 1, FEASIBILITY, 0,
     PERI_OPTIMAL, false},
    {"stalled, but close enough", PERI_WHY_STALLED, NOT, 1e-9, 9e-7, NAN, 1, 1, CONVEX, 0, PERI_OPTIMAL, false},
    {"stalled, feasible", PERI_WHY_STALLED, NOT, 1e-9, 1e-3, NAN, 1, 1, CONVEX, 0, PERI_FEASIBLE, true},
    {"converged, the objective undefined in the end", PERI_WHY_CONVERGED, NOT, 1e-9, INFINITY, NAN, NAN, 1, CONVEX, 0, PERI_NUMERICAL_ERROR, true},
    {"claims convergence, kkt is large", PERI_WHY_CONVERGED, NOT, 1e-9, 1e-3, NAN, 1, 1, CONVEX, 0, PERI_FEASIBLE,
     true},
    {"claims convergence, violates", PERI_WHY_CONVERGED, NOT, 0.1, 0.1, 0.5, 1, 1, CONVEX, 0, PERI_NUMERICAL_ERROR,
     true},
    {"claims convergence, undefined", PERI_WHY_CONVERGED, NOT, INFINITY, INFINITY, INFINITY, NAN, 1, CONVEX, 0,
     PERI_NUMERICAL_ERROR, true},
    {"claims convergence, violates and cannot do better", PERI_WHY_CONVERGED, NOT, 0.1, 0.1, 1e-9, 1, 1, CONVEX, 0,
     PERI_INFEASIBLE, false},
    {"infeasible, convex", PERI_WHY_INFEASIBLE, NOT, 0.1, 0.1, 1e-9, 1, 1, CONVEX, 0, PERI_INFEASIBLE, false},
    {"locally infeasible", PERI_WHY_INFEASIBLE, NOT, 0.1, 0.1, 1e-9, 1, 1, GENERAL, 0, PERI_INFEASIBLE, true},
    {"claims infeasible, the point is feasible", PERI_WHY_INFEASIBLE, NOT, 1e-9, 1e-3, NAN, 1, 1, GENERAL, 0,
     PERI_FEASIBLE, true},
    {"claims infeasible, the point is optimal", PERI_WHY_INFEASIBLE, NOT, 0, 1e-9, NAN, 1, 1, CONVEX, 0, PERI_OPTIMAL,
     false},
    {"claims infeasible, the violation can be reduced", PERI_WHY_INFEASIBLE, NOT, 0.1, 0.1, 0.3, 1, 1, GENERAL, 0,
     PERI_NUMERICAL_ERROR, true},
    {"unbounded", PERI_WHY_UNBOUNDED, NOT, 0, 1, NAN, -1e12, 1e12, GENERAL, 0, PERI_UNBOUNDED, false},
    {"unbounded, slowly falling", PERI_WHY_UNBOUNDED, NOT, 0, 1, NAN, -30, 1e13, GENERAL, 0, PERI_UNBOUNDED, false},
    {"claims unbounded, the objective is not low", PERI_WHY_UNBOUNDED, NOT, 0, 1, NAN, -10, 3, GENERAL, 0,
     PERI_FEASIBLE, true},
    {"unbounded, violated by rounding", PERI_WHY_UNBOUNDED, NOT, 1e-3, 1, NAN, -1e12, 1e12, GENERAL, 0, PERI_UNBOUNDED, false},
    {"claims unbounded, the point is infeasible", PERI_WHY_UNBOUNDED, NOT, 1e9, 1e9, 0.5, -1e12, 1e12, GENERAL, 0,
     PERI_NUMERICAL_ERROR, true},
    {"iteration limit", PERI_WHY_CONTINUE, PERI_ITERATION_LIMIT, 0, 1e-3, NAN, 1, 1, CONVEX, 0, PERI_ITERATION_LIMIT,
     false},
    {"iteration limit at a solution", PERI_WHY_CONTINUE, PERI_ITERATION_LIMIT, 0, 1e-9, NAN, 1, 1, CONVEX, 0,
     PERI_OPTIMAL, false},
    {"iteration limit near a solution", PERI_WHY_CONTINUE, PERI_ITERATION_LIMIT, 0, 5e-7, NAN, 1, 1, CONVEX, 0,
     PERI_ITERATION_LIMIT, false},
    {"time limit", PERI_WHY_CONTINUE, PERI_TIME_LIMIT, 0.1, 0.1, NAN, 1, 1, CONVEX, 0, PERI_TIME_LIMIT, false},
    {"interrupted", PERI_WHY_CONTINUE, PERI_INTERRUPTED, 0, 1e-3, NAN, 1, 1, CONVEX, 0, PERI_INTERRUPTED, false},
    {"interrupted at a solution", PERI_WHY_CONTINUE, PERI_INTERRUPTED, 0, 0, NAN, 1, 1, CONVEX, 0, PERI_INTERRUPTED,
     false},
    {"not a number in a step", PERI_WHY_CONTINUE, PERI_NUMERICAL_ERROR, 0, 1, NAN, 1, 1, CONVEX, 0,
     PERI_NUMERICAL_ERROR, false},
    {"a limit of the method", PERI_WHY_LIMIT, NOT, 0, 1, NAN, 1, 1, CONVEX, 0, PERI_ITERATION_LIMIT, true},
    {"breakdown", PERI_WHY_FAILED, NOT, 0, 1, NAN, 1, 1, CONVEX, 0, PERI_NUMERICAL_ERROR, true},
    {"breakdown at a solution", PERI_WHY_FAILED, NOT, 0, 1e-9, NAN, 1, 1, CONVEX, 0, PERI_OPTIMAL, false},
};

static void test_table(void)
{
    char message[256];
    for (size_t k = 0; k < sizeof ROWS / sizeof ROWS[0]; k++) {
        const row *r = &ROWS[k];
        const outcome_evidence e = {.certificate = {.primal = r->primal, .dual = r->kkt, .kkt = r->kkt},
                                    .why = r->why,
                                    .stopped_by = r->stopped,
                                    .tolerance = 1e-8,
                                    .objective = r->objective,
                                    .largest_x = r->largest_x,
                                    .violation_slope = r->slope,
                                    .relative = r->primal / fmax(1, fabs(r->largest_x)),
                                    .traits = r->traits,
                                    .flags = r->flags};
        const peri_outcome got = outcome_from(&e, message, sizeof message);
        is_text(peri_outcome_name(got), peri_outcome_name(r->want), "%s", r->what);
        is_int(message[0] != '\0', r->message, "%s: message \"%s\"", r->what, message);
    }
}

/* Whatever is claimed, a feasible point is not infeasible, and only a small kkt is optimal. */
static void test_all(void)
{
    char message[256];
    int64_t wrong = 0, tried = 0;
    static const peri_outcome stops[] = {PERI_OPTIMAL, PERI_ITERATION_LIMIT, PERI_TIME_LIMIT, PERI_INTERRUPTED,
                                         PERI_NUMERICAL_ERROR};
    for (int why = PERI_WHY_CONTINUE; why <= PERI_WHY_FAILED; why++)
        for (size_t stopped = 0; stopped < sizeof stops / sizeof stops[0]; stopped++)
            for (double primal = 1e-12; primal < 100; primal *= 10)
                for (double kkt = primal; kkt < 100; kkt *= 10)
                    for (int slope = 0; slope < 3; slope++) {
                        const outcome_evidence e = {.certificate = {.primal = primal, .dual = kkt, .kkt = kkt},
                                                    .why = (peri_why)why,
                                                    .stopped_by = stops[stopped],
                                                    .tolerance = 1e-8,
                                                    .objective = -1e20,
                                                    .largest_x = 1,
                                                    .violation_slope = slope == 0   ? 0
                                                                       : slope == 1 ? 1
                                                                                    : NAN,
                                                    .traits = CONVEX};
                        const peri_outcome got = outcome_from(&e, message, sizeof message);
                        wrong += got == PERI_INFEASIBLE && (primal <= 1e-6 || slope != 0);
                        wrong += (got == PERI_OPTIMAL || got == PERI_LOCALLY_OPTIMAL) && !(kkt <= 1.1e-6);
                        wrong += got == PERI_UNBOUNDED && why != PERI_WHY_UNBOUNDED;
                        wrong += got == PERI_FEASIBLE && !(primal <= 1.1e-6);
                        tried++;
                    }
    is_int(wrong, 0, "no claim bends the evidence in %d cases", (int)tried);
}

int main(void)
{
    plan_later();
    test_table();
    test_all();
    is_close(outcome_threshold(1e-8), 1e-6, 1e-12, 0, "hundred tolerances are accepted");
    is_close(outcome_threshold(1e-10), 1e-8, 1e-12, 0, "of tight ones too");
    is_close(outcome_threshold(1e-4), 1e-4, 1e-12, 0, "but nothing above 1e-6 that was not asked for");
    static const int exits[] = {0, 0, 0, 3, 3, 4, 4, 5, 1, 1};
    for (int k = PERI_OPTIMAL; k <= PERI_ERROR; k++)
        is_int(peri_outcome_exit_status((peri_outcome)k), exits[k], "exit status of %s",
               peri_outcome_name((peri_outcome)k));
    return tap_done();
}
