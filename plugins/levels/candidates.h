/* SPDX-License-Identifier: Apache-2.0 */
/*
 * candidates.h - points of a problem with lower levels, judged: their lower levels are solved on their own, from several starts unless proven
 * convex, and the best point whose lower levels are optimal is kept.
 */
#ifndef LEVELS_CANDIDATES_H
#define LEVELS_CANDIDATES_H

#ifndef PERI_PLUGIN_PARTS
#define PERI_PLUGIN_PARTS
#endif
#include <perigee/plugin.h>

#define CANDIDATES_FEASIBLE 1e-6 /* violation of rows and bounds that counts as none */

typedef struct {
    peri_run *run;
    int64_t n, m, n_levels, starts;
    double gap; /* relative to max(1, |f|): a level with less is optimal */
    const peri_level *level;
    peri_run **view; /* [levels]; entry 0 unused */
    const double *xl, *xu, *cl, *cu;
    double *start, *lower, *upper; /* [n] the model's start; box for random points */
    uint64_t counter;
    bool *wrong;    /* [levels] of the last look: a better point of that level is in `answer` */
    double *answer; /* [n] the last point looked at, with the better points of its levels */
    double *best;   /* [n] the model's start until has_best */
    double best_f, best_violation;
    bool has_best, unbounded; /* unbounded: a lower level was, at some point */
    double *y, *from, *c; /* scratch */
} candidates;

/* candidates_init - in init; takes memory of the run.  starts: random ones beside two that are known */
PERI_CHECKED peri_status candidates_init(candidates *s, peri_run *run, int64_t starts, double gap);
/* A random entry j of points: within the box. */
double candidates_random(candidates *s, int64_t j);
/*
 * candidates_solve_level - the best point of level k that is found, the other variables held at x [n]
 *   out  f  its objective, infinity where none was found, -infinity where it has none;  y [level's n] the point; out z [level's m] its
 *        multipliers or NULL
 */
PERI_CHECKED peri_status candidates_solve_level(candidates *s, int64_t k, const double *x, double *f, double *y, double *z);
/*
 * candidates_look - solve the lower levels at x [n]; x or, where some level is not optimal, x with its answers is kept if it is the best so far
 *   out  optimal  all levels were, and `wrong` says which were not;  improved  the best is a new one
 *   note a level that cannot be solved: nothing is kept, optimal is true
 */
PERI_CHECKED peri_status candidates_look(candidates *s, const double *x, bool *optimal, bool *improved);
/* Whether the best fulfils rows and bounds. */
bool candidates_is_feasible(const candidates *s);
/* Whether the best is a point that nothing with this objective could improve. */
bool candidates_beaten(const candidates *s, double objective);
/* The best ends an iteration: with its objective and violation in `row`, once there is one. */
PERI_CHECKED peri_status candidates_accept(const candidates *s, peri_run *run, peri_row *row, peri_step *next);
/* The end of a run: why, by what was found; the best must have been accepted last. */
PERI_CHECKED peri_status candidates_finish(const candidates *s, bool all_infeasible, peri_step *next);

#endif
