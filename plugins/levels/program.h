/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h - lower levels replaced by their optimality conditions, as expressions of one inner problem (Dempe 2002, 3.1; Dempe and
 * Zemkoho 2020). A level  min f(v) : cl <= c(v) <= cu, vl <= v <= vu  becomes
 *
 *     grad_v (f - nu'c_E - sum_i lambda_i sigma_i (c_i - side_i) - sum_j lambda_j sigma_j (v_j - side_j)) = 0
 *     c_E = cl_E;  sigma_i (c_i - side_i) = s_i;  lambda, s >= 0;  lambda o s = 0
 *
 * with sigma = 1 for lower and -1 for upper sides. Levels inside go first: their conditions are rows, their multipliers and slacks variables of the
 * level that they lie in. Two rows that are one equation, c <= b and -c <= -b, count as one. Each product lambda o s is a pair;
 * pairs are rows of the inner problem in a relaxed form, or left to its caller, who holds one of the two at its side by bounds.
 */
#ifndef LEVELS_PROGRAM_H
#define LEVELS_PROGRAM_H

#ifndef PERI_PLUGIN_PARTS
#define PERI_PLUGIN_PARTS
#endif
#include <perigee/plugin.h>

typedef enum { PAIRS_RELAXED, PAIRS_PRODUCT, PAIRS_FISCHER, PAIRS_OPEN } pairs_form;

/* Variables of the inner problem that were made together. */
typedef struct {
    peri_x var;
    int64_t at, n; /* place in points */
    double *lower, *upper, *start; /* [n] */
} program_block;

/* lambda and sigma * (point[slack] - side), places in points */
typedef struct {
    int64_t multiplier, slack;
    int slack_block, multiplier_block; /* which blocks they lie in */
    double side;
    int sign;
} program_pair;

typedef struct {
    peri_run *run;
    peri_inner *inner;
    int64_t n, m, n_levels, total; /* variables and rows of the run; levels; variables of the inner problem */
    const peri_level *level;
    const double *xl, *xu, *cl, *cu; /* cl, cu: with equations that were two rows as one, the other row being free */
    pairs_form form;
    bool elastic; /* the objective is half the sum of squares of level 0's violations, whose rows are none then */
    double multiplier_limit;
    peri_x x, relaxation; /* the run's variables, block 0; the parameter t: lambda s <= t */
    program_block *block;
    int n_blocks;
    program_pair *pair;
    int64_t n_pairs, expected_pairs;
    bool nested; /* some lower level has a lower level of its own */
} program;

/* program_init - levels, bounds, whether levels lie inside lower levels, how many pairs there will be (where none do) */
PERI_CHECKED peri_status program_init(program *p, peri_run *run);
/*
 * program_build - the inner problem "kkt": objective F, level 0's rows, and the conditions of all levels below
 *   in   form, multiplier_limit  how pairs are stated; upper bound of multipliers with a sign
 *   out  p   lives as long as the run
 */
PERI_CHECKED peri_status program_build(program *p, pairs_form form, double multiplier_limit);
/* f -= weight * sum of squared violations of the level's rows c on their lower (side 0) or upper sides (1) */
PERI_CHECKED peri_status program_subtract_violation(const program *p, const peri_level *l, peri_x c, int side, double weight, peri_x *f);
/* The bounds of every block as they stand in it, to the inner problem. */
PERI_CHECKED peri_status program_set_bounds(const program *p);
/* x with a level's own variables, and those of levels inside it, replaced by the entries of `own` [n], which is 0 elsewhere */
PERI_CHECKED peri_status program_replace(const program *p, int64_t level, peri_x own, peri_x *x);

#endif
