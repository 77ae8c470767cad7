/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penalty-bilevel - penalty method of first order for two levels, neither of which need be convex (Kwon, Kwon, Wright and Nowak 2024). With
 *   h(x, y) = sigma F(x, y) + f(x, y),   psi(x) = (min_y h(x, y) - min_z f(x, z)) / sigma
 * the gradient of psi is  grad_x F(x, y) + (grad_x f(x, y) - grad_x f(x, z)) / sigma  at minimizers y and z; psi is within O(sigma) of F at the lower
 * level's solution. Two ways: steps of an inexact proximal-point method for y and z between steps for x (double loop), or one gradient
 * step for each (single loop), with momentum where gradients are samples. This file: options, the ways' common parts, the end. Invariants
 * between steps: w and z lie in both sets, and have the same upper variables.
 */
#include "penalty-bilevel.h"

const peri_host *peri_host_table;

static const char *const LOOPS[] = {"double", "single", NULL};
static const char *const PROXES[] = {"auto", "on", "off", NULL};

static const peri_option OPTION_LIST[] = {
    PERI_ENUM("loop", options, loop, LOOP_DOUBLE, LOOPS, "double: y and z followed closely between steps of x; single: one step each"),
    PERI_REAL("sigma", options, sigma, 0.01, 1e-10, 1e3, "1", "penalty parameter in the end: about the accuracy of the answer"),
    PERI_REAL("sigma_start", options, sigma_start, 0, 0, 1e3, "1", "sigma_k = max(sigma, sigma_start (k + 1)^-sigma_power); 0: sigma at once"),
    PERI_REAL("sigma_power", options, sigma_power, 1.0 / 3, 0, 2, "1", "how fast sigma falls"),
    PERI_REAL("alpha", options, alpha, 0, 0, 1e10, "1", "step of the upper variables; 0: alpha_per_sigma sigma_k"),
    PERI_REAL("alpha_per_sigma", options, alpha_per_sigma, 0.15, 1e-10, 1e10, "1", "step of the upper variables relative to sigma_k"),
    PERI_REAL("gamma", options, gamma, 0, 0, 1e10, "1", "step of the lower variables; 0: by the curvature at the start"),
    PERI_ENUM("prox", options, prox, PROX_AUTO, PROXES, "proximal terms of the lower variables; auto: where the lower level is not proven convex"),
    PERI_REAL("rho", options, rho, 0, 0, 1e10, "1", "radius of the proximal terms; 0: a quarter of 1 / curvature at the start"),
    PERI_REAL("beta", options, beta, 1, 1e-6, 1, "1", "relaxation of the proximal terms' centres"),
    PERI_INT("inner", options, inner, 30, 1, 1e9, "1", "double loop: most steps of y and z for one of x"),
    PERI_INT("batch", options, batch, 0, 0, 1e15, "1", "rows of a sample of a level's sum; 0: all, no noise"),
    PERI_INT("outer_batch", options, outer_batch, 0, 0, 1e15, "1", "double loop: rows of a sample for a step of x; 0: as batch"),
    PERI_BOOL("shared", options, shared, 1, "y and z see one sample of the lower level, not each its own"),
    PERI_REAL("eta_min", options, eta_min, 0.005, 1e-6, 1, "1", "single loop with samples: least weight of the new one; 1: no momentum"),
    PERI_REAL("eta_power", options, eta_power, 2.0 / 3, 0, 2, "1", "its weight is max(eta_min, (k + 1)^-eta_power)"),
    PERI_REAL("residual", options, residual, 1e-6, 0, 1, "1", "ends the run: length of the upper step over alpha, and the lower residuals"),
    PERI_REAL("lower_residual", options, lower_residual, 1, 1e-10, 1e300, "1",
              "lower residuals end the run at residual sigma times this; large: the upper step alone decides"),
    PERI_INT("window", options, window, 100, 1, 1e9, "1", "single loop: steps over which that length is averaged"),
    PERI_REAL("polish", options, polish, 0.05, 0, 1e10, "1", "at the end the lower level's solution is taken where it is as near, relative; 0: never"),
};

/* ---- gradients, sets ---------------------------------------------------------------------------------------------------------- */

static peri_status draw(state *s, peri_run *level, uint64_t key, int64_t batch)
{
    return s->noisy && peri_sample_rows(level) > 0 ? peri_sample(level, key, batch) : PERI_OK;
}

peri_status look(state *s, uint64_t key, int64_t batch, const double *w, const double *z)
{
    peri_run *lower = s->t.lower;
    if (w != NULL) {
        TRY(draw(s, s->upper, 3 * key, batch));
        TRY(peri_eval_fg(s->upper, w, &s->F, s->g[OF_F]));
        TRY(draw(s, lower, 3 * key + 1, batch));
        TRY(peri_eval_fg(lower, w, &s->f_y, s->g[OF_Y]));
    }
    if (z == NULL)
        return PERI_OK;
    TRY(draw(s, lower, 3 * key + (s->opt.shared ? 1 : 2), batch));
    return peri_eval_fg(lower, z, &s->f_z, s->g[OF_Z]);
}

peri_status to_lower_set(state *s, double *v)
{
    if (s->set_y != NULL)
        return peri_projection_apply(s->set_y, v, v);
    two_level_clip(&s->t, v);
    return PERI_OK;
}

peri_status to_upper_set(state *s, double *v)
{
    if (s->set_x != NULL)
        return peri_projection_apply(s->set_x, v, v);
    two_level_clip(&s->t, v);
    return PERI_OK;
}

double eta_of(const state *s)
{
    return s->noisy ? fmax(s->opt.eta_min, pow((double)s->k + 1, -s->opt.eta_power)) : 1;
}

/* ---- init ----------------------------------------------------------------------------------------------------------------------- */

/* Rows of one level that are in its own variables alone leave the others where they are when points are projected onto them. */
static peri_status open_set(state *s, peri_run *level, bool lower, peri_projection **out)
{
    peri_pattern p;
    *out = NULL;
    if (peri_m(level) == 0)
        return PERI_OK;
    TRY(peri_jac_pattern(level, &p));
    for (int64_t j = 0; j < s->t.n; j++)
        if (p.start[j + 1] > p.start[j] && (s->t.is_own[j] != 0) != lower)
            return peri_fail(s->run, PERI_E_UNSUPPORTED,
                             lower ? "a constraint of the lower level has upper variables in it: lv-hba takes such problems"
                                   : "a constraint of the upper level has lower variables in it: this method takes none that couple the levels");
    return peri_projection_open(level, out);
}

static peri_status allocate(state *s, peri_run *run)
{
    double **const all[] = {&s->w, &s->z, &s->w_old, &s->z_old, &s->w_try, &s->z_try, &s->centre_y, &s->centre_z};
    for (size_t k = 0; k < PERI_COUNT(all); k++)
        TRY(peri_alloc(run, s->t.n, all[k]));
    for (int k = 0; k < ESTIMATES; k++) {
        TRY(peri_alloc(run, s->t.n, &s->g[k]));
        TRY(peri_alloc(run, s->t.n, &s->e[k]));
    }
    return peri_alloc(run, 4 * s->t.n, &s->work);
}

static bool is_convex(peri_run *run)
{
    const peri_level *level;
    int64_t count;
    return peri_levels(run, &count, &level) == PERI_OK && level[1].convex;
}

/* Lengths that the user left open, by the curvature in the lower level's own variables. */
static peri_status choose_lengths(state *s)
{
    double of_F, of_f;
    char text[160];
    TRY(two_level_curvature(&s->t, s->t.lower, TWO_LEVEL_OWN, s->w, s->work, &of_f));
    TRY(two_level_curvature(&s->t, s->upper, TWO_LEVEL_OWN, s->w, s->work, &of_F));
    const bool prox = s->opt.prox == PROX_ON || (s->opt.prox == PROX_AUTO && !is_convex(s->run));
    const double most = s->opt.sigma_start > s->opt.sigma ? s->opt.sigma_start : s->opt.sigma;
    const double curvature = of_f > 0 ? of_f : 1;
    s->rho = !prox ? INFINITY : s->opt.rho > 0 ? s->opt.rho : 0.25 / curvature;
    const double limit = 1 / (curvature + most * of_F + 1 / s->rho);
    s->gamma = s->opt.gamma > 0 ? s->opt.gamma : 0.5 * limit;
    if (s->gamma > 2 * limit) {
        snprintf(text, sizeof text, "gamma = %g is longer than the curvature at the start allows, %g: the run may diverge", s->gamma, 2 * limit);
        peri_note(s->run, 0, text);
    }
    snprintf(text, sizeof text, "curvature in the lower variables %.3g below, %.3g above; gamma = %.3g, rho = %.3g", of_f, of_F, s->gamma, s->rho);
    peri_note(s->run, 1, text);
    return PERI_OK;
}

static void set_schedule(state *s)
{
    const options *o = &s->opt;
    s->sigma = o->sigma_start > 0 ? fmax(o->sigma, o->sigma_start * pow((double)s->k + 1, -o->sigma_power)) : o->sigma;
    s->alpha = o->alpha > 0 ? o->alpha : o->alpha_per_sigma * s->sigma;
}

static peri_status tell(state *s, char tag, peri_step *next)
{
    peri_row row = peri_empty_row();
    row.objective = s->F;
    row.primal = 0;
    row.dual = s->opt.loop == LOOP_SINGLE ? s->mean : s->moved;
    row.complementarity = s->f_y - s->f_z;
    row.step = s->alpha;
    row.trust_radius = fmax(s->res_y, s->res_z);
    row.barrier = s->sigma;
    row.tag = tag;
    return peri_accept(s->run, s->w, NULL, NULL, &row, next);
}

/* No sample is larger than the sum that it is of. */
static peri_status check_rows(const state *s, const char *option, int64_t batch, const char *level, int64_t rows)
{
    char text[200];
    if (rows == 0 || batch <= rows)
        return PERI_OK;
    snprintf(text, sizeof text, "%s = %lld: the %s level's sum has %lld rows; 1 .. %lld of them make a sample, 0 takes all", option, (long long)batch,
             level, (long long)rows, (long long)rows);
    return peri_fail(s->run, PERI_E_OPTION, text);
}

static peri_status decide_noise(state *s)
{
    const int64_t above = peri_sample_rows(s->upper), below = peri_sample_rows(s->t.lower);
    if (s->opt.batch == 0 && s->opt.outer_batch > 0)
        return peri_fail(s->run, PERI_E_OPTION, "outer_batch is for samples: batch, the rows of one, is 0");
    if (s->opt.batch == 0)
        return PERI_OK;
    if (above == 0 && below == 0)
        return peri_fail(s->run, PERI_E_OPTION, "batch needs a sum to sample: give a level the weights of its terms with sampled(w)");
    TRY(check_rows(s, "batch", s->opt.batch, "upper", above));
    TRY(check_rows(s, "batch", s->opt.batch, "lower", below));
    TRY(check_rows(s, "outer_batch", s->opt.outer_batch, "upper", above));
    TRY(check_rows(s, "outer_batch", s->opt.outer_batch, "lower", below));
    s->noisy = 1;
    return PERI_OK;
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    peri_step next;
    s->opt = *(const options *)opt;
    s->run = run;
    s->mean = s->moved = s->res_y = s->res_z = NAN;
    TRY(two_level_open(&s->t, run));
    TRY(peri_level_view(run, 0, &s->upper));
    TRY(allocate(s, run));
    TRY(open_set(s, s->upper, false, &s->set_x));
    TRY(open_set(s, s->t.lower, true, &s->set_y));
    TRY(peri_start(run, s->w));
    TRY(to_upper_set(s, s->w));
    TRY(to_lower_set(s, s->w));
    double *const same[] = {s->z, s->w_old, s->z_old, s->centre_y, s->centre_z};
    for (size_t k = 0; k < PERI_COUNT(same); k++)
        memcpy(same[k], s->w, (size_t)s->t.n * sizeof *s->w);
    TRY(decide_noise(s));
    TRY(choose_lengths(s));
    set_schedule(s);
    TRY(look(s, s->sample++, 0, s->w, s->z));
    return tell(s, 0, &next);
}

/* ---- steps ------------------------------------------------------------------------------------------------------------------------ */

/* The last point: the lower level's own solution in w's place, where that is near. */
static peri_status end(state *s, char tag, peri_why why, peri_step *next)
{
    bool moved;
    if (s->noisy)
        TRY(look(s, s->sample++, 0, s->w, s->z)); /* all rows again */
    memcpy(s->w_try, s->w, (size_t)s->t.n * sizeof *s->w);
    TRY(two_level_polish(&s->t, s->run, s->opt.polish, s->w_try, &moved));
    if (moved && look(s, s->sample++, 0, s->w_try, NULL) == PERI_OK) {
        memcpy(s->w, s->w_try, (size_t)s->t.n * sizeof *s->w);
        tag = 'p';
    } else if (moved) {
        TRY(look(s, s->sample++, 0, s->w, NULL));
    }
    TRY(tell(s, tag, next));
    return peri_finish(s->run, why, next);
}

static bool is_done(const state *s)
{
    const double upper = s->opt.loop == LOOP_SINGLE ? s->mean : s->moved, lower = s->opt.lower_residual * s->sigma * s->opt.residual;
    return s->sigma <= s->opt.sigma && upper <= s->opt.residual && s->res_y <= lower && s->res_z <= lower;
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    char tag = 0;
    set_schedule(s);
    TRY(s->opt.loop == LOOP_SINGLE ? single_step(s, &tag) : double_step(s, &tag));
    s->mean = isnan(s->mean) ? s->moved : s->mean + (s->moved - s->mean) / (double)s->opt.window;
    s->k++;
    const bool done = is_done(s);
    if (two_level_ran_away(&s->t, run, s->z))
        return end(s, tag, PERI_WHY_STALLED, next);
    if (done || s->k >= peri_get_limits(run)->iterations)
        return end(s, tag, done ? PERI_WHY_CONVERGED : PERI_WHY_STALLED, next);
    return tell(s, tag, next);
}

static peri_status transfer(void *self, peri_run *run)
{
    state *s = self;
    double *const all[] = {s->w, s->z, s->w_old, s->z_old, s->centre_y, s->centre_z, s->e[OF_F], s->e[OF_Y], s->e[OF_Z]};
    for (size_t k = 0; k < PERI_COUNT(all); k++)
        TRY(peri_transfer_reals(run, "vectors", s->t.n, all[k]));
    PERI_TRANSFER(run, s, gamma);
    PERI_TRANSFER(run, s, rho);
    PERI_TRANSFER(run, s, mean);
    PERI_TRANSFER(run, s, sample);
    PERI_TRANSFER(run, s, k);
    PERI_TRANSFER(run, s, behind);
    return PERI_OK;
}

static const char PAGE[] =
    "Two levels whose lower one may be nonconvex and may have many solutions, by first derivatives alone. The constraints of each level are in its own\n"
    "variables (convex sets that points can be projected onto); lv-hba takes those that couple the levels.\n"
    "\n"
    "y follows the minimizer of sigma F + f over the lower variables, z that of f alone; x goes down F(x, y) + (f(x, y) - f(x, z)) / sigma. The answer\n"
    "is off by about sigma: solve with a sigma of the accuracy that is wanted, or let it fall (sigma_start). y and z start together and move\n"
    "by the same lengths, so that their errors largely cancel in the difference, which 1 / sigma magnifies. In the end the lower level is solved at\n"
    "the x found, and its solution taken where it is near (polish).\n"
    "\n"
    "loop = double follows y and z by proximal-point steps of `inner` gradient steps each; loop = single takes one step for each. alpha is safe where it\n"
    "is a fraction of sigma; a constant one of up to 1 is much faster where the lower level is strongly convex and solved well. Where a level's\n"
    "objective is a sum whose weights it was told (sampled(w)), batch > 0 takes random samples of its terms: the same ones for y and z and, with\n"
    "the single loop's momentum (eta_min, eta_power), for this point and the one before.\n"
    "\n"
    "A run ends when x rests (residual) and y and z do (lower_residual). Where the lower level has a line of solutions, y creeps along it long after x has\n"
    "come to rest, by 1 / (1 + rho sigma) a step; lower_residual = 1e300 does not wait for it.\n"
    "\n"
    "Columns: dual length of the upper step over alpha (single loop: its running mean); complementarity f(x, y) - f(x, z); trust_radius the larger\n"
    "residual of y and z; barrier sigma; step alpha. Of samples, objective is theirs. Tags: h shortened because a function was\n"
    "undefined, c z was worse than y and copied from it, p the lower level's solution.";

static const peri_solver_ops OPS = {.init = init, .step = step, .save = transfer, .load = transfer};

static const peri_plugin PENALTY_BILEVEL = {
    PERI_SOLVER(state, options, OPTION_LIST),
    .ops = &OPS,
    .name = "penalty-bilevel",
    .family = "bilevel",
    .version = "1",
    .license = "Apache-2.0",
    .summary = "two levels, nonconvex below too: first-order penalty steps in a double or single loop, with samples of sums",
    .page = PAGE,
    .reference = "Kwon, Kwon, Wright and Nowak 2024, On penalty methods for nonconvex bilevel optimization and first-order stochastic approximation, "
                 "ICLR, arXiv 2309.01753",
    .needs = {PERI_BIT(PERI_TRAIT_LEVELS) | PERI_NEEDS_GRADIENT},
    .refuses = {PERI_BIT(PERI_TRAIT_MULTILEVEL) | PERI_REFUSES_INTEGER},
    .flags = PERI_FLAG_RANDOM,
    .rank = 15,
};

static const peri_plugin *const ALL[] = {&PENALTY_BILEVEL, NULL};
PERI_PLUGIN(ALL)
