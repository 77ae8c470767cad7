/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipopt - Ipopt (Waechter and Biegler 2006) as a solver plugin, for comparison: it gets the engine's own evaluations, so that the two
 * differ in method and linear algebra only. Built by bench/run where coinor-libipopt-dev is installed; never installed itself.
 * Ipopt's Lagrangian is f + lambda'c - zl'(x - xl) + zu'(x - xu), hence y = -lambda and z = zl - zu.
 */
#include <IpStdCInterface.h>
#include <perigee/plugin.h>

typedef struct {
    int64_t print_level;
} options;

static const peri_option option_list[] = {
    PERI_INT("print_level", options, print_level, 0, 0, 12, "1", "how much Ipopt prints"),
};

typedef struct {
    peri_run *run;
    peri_status status; /* of the last evaluation */
    int64_t print_level;
    peri_pattern jac, hess;
    double *x, *y, *z, *zl, *zu; /* [n], [m], [n], [n], [n] */
    IpoptProblem problem;
} state;

static Bool done(state *s, peri_status status)
{
    s->status = status;
    return status == PERI_OK ? TRUE : FALSE;
}

static Bool eval_f(Index n, Number *x, Bool is_new, Number *f, UserDataPtr ud)
{
    (void)n;
    (void)is_new;
    state *s = ud;
    return done(s, peri_eval_f(s->run, x, f));
}

static Bool eval_gradient(Index n, Number *x, Bool is_new, Number *g, UserDataPtr ud)
{
    (void)n;
    (void)is_new;
    state *s = ud;
    double f = 0.0;
    return done(s, peri_eval_fg(s->run, x, &f, g));
}

static Bool eval_constraints(Index n, Number *x, Bool is_new, Index m, Number *c, UserDataPtr ud)
{
    (void)n;
    (void)m;
    (void)is_new;
    state *s = ud;
    return done(s, peri_eval_c(s->run, x, c));
}

static void triplets(const peri_pattern *p, Index *row, Index *col)
{
    for (int64_t j = 0; j < p->cols; j++) {
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
            row[k] = (Index)p->index[k];
            col[k] = (Index)j;
        }
    }
}

static Bool eval_jacobian(Index n, Number *x, Bool is_new, Index m, Index nnz, Index *row, Index *col, Number *val, UserDataPtr ud)
{
    (void)n;
    (void)m;
    (void)nnz;
    (void)is_new;
    state *s = ud;
    if (val == NULL) {
        triplets(&s->jac, row, col);
        return TRUE;
    }
    return done(s, peri_eval_jac(s->run, x, val));
}

static Bool eval_hessian(Index n, Number *x, Bool is_new, Number sigma, Index m, Number *lambda, Bool is_new_lambda, Index nnz,
                         Index *row, Index *col, Number *val, UserDataPtr ud)
{
    (void)n;
    (void)m;
    (void)nnz;
    (void)is_new;
    (void)is_new_lambda;
    state *s = ud;
    if (val == NULL) {
        triplets(&s->hess, row, col);
        return TRUE;
    }
    return done(s, peri_eval_hess(s->run, x, sigma, lambda, val));
}

/* A copy of bounds in which infinities are Ipopt's. */
static peri_status bounds_for_ipopt(peri_run *run, int64_t n, const double *bound, double **out)
{
    TRY(peri_alloc(run, n, out));
    for (int64_t i = 0; i < n; i++)
        (*out)[i] = bound[i] < -1e20 ? -2e19 : bound[i] > 1e20 ? 2e19 : bound[i];
    return PERI_OK;
}

static peri_status open_problem(state *s, peri_run *run)
{
    const double *bound[4];
    double *copy[4];
    peri_bounds(run, &bound[0], &bound[1], &bound[2], &bound[3]);
    for (int k = 0; k < 4; k++)
        TRY(bounds_for_ipopt(run, k < 2 ? peri_n(run) : peri_m(run), bound[k], &copy[k]));
    s->problem = CreateIpoptProblem((Index)peri_n(run), copy[0], copy[1], (Index)peri_m(run), copy[2], copy[3],
                                    (Index)s->jac.nnz, (Index)s->hess.nnz, 0, eval_f, eval_constraints, eval_gradient,
                                    eval_jacobian, eval_hessian);
    return s->problem != NULL ? PERI_OK : peri_fail(run, PERI_E_ARGUMENT, "ipopt refuses the problem");
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->print_level = ((const options *)opt)->print_level;
    TRY(peri_jac_pattern(run, &s->jac));
    TRY(peri_hess_pattern(run, &s->hess));
    TRY(peri_alloc(run, peri_n(run), &s->x));
    TRY(peri_alloc(run, peri_m(run), &s->y));
    TRY(peri_alloc(run, peri_n(run), &s->z));
    TRY(peri_alloc(run, peri_n(run), &s->zl));
    TRY(peri_alloc(run, peri_n(run), &s->zu));
    TRY(peri_start(run, s->x));
    return open_problem(s, run);
}

static peri_why why_of(enum ApplicationReturnStatus status)
{
    switch (status) {
    case Solve_Succeeded:
    case Solved_To_Acceptable_Level:
        return PERI_WHY_CONVERGED;
    case Infeasible_Problem_Detected:
        return PERI_WHY_INFEASIBLE;
    case Maximum_Iterations_Exceeded:
        return PERI_WHY_LIMIT;
    default:
        return PERI_WHY_FAILED;
    }
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    s->run = run;
    AddIpoptIntOption(s->problem, (char[]){"print_level"}, (Index)s->print_level);
    AddIpoptStrOption(s->problem, (char[]){"sb"}, (char[]){"yes"});
    AddIpoptNumOption(s->problem, (char[]){"tol"}, peri_get_limits(run)->tolerance);
    peri_row row = peri_empty_row();
    const enum ApplicationReturnStatus status =
        IpoptSolve(s->problem, s->x, NULL, &row.objective, s->y, s->zl, s->zu, s);
    if (s->status < 0 && s->status != PERI_E_DOMAIN)
        return s->status;
    for (int64_t i = 0; i < peri_m(run); i++)
        s->y[i] = -s->y[i];
    for (int64_t j = 0; j < peri_n(run); j++)
        s->z[j] = s->zl[j] - s->zu[j];
    TRY(peri_accept(run, s->x, s->y, s->z, &row, next));
    return peri_finish(run, why_of(status), next);
}

static void fini(void *self, peri_run *run)
{
    (void)run;
    state *s = self;
    if (s->problem != NULL)
        FreeIpoptProblem(s->problem);
}

static const peri_solver_ops ops = {.init = init, .step = step, .fini = fini};
static const peri_plugin ipopt = {
    PERI_SOLVER(state, options, option_list),
    .ops = &ops,
    .name = "ipopt",
    .family = "bench",
    .version = "1",
    .license = "Apache-2.0 AND EPL-2.0",
    .summary = "Ipopt with its own linear solver, for comparison",
    .page = "Ipopt through its C interface, on the engine's evaluations.",
    .reference = "Waechter and Biegler 2006, Mathematical Programming 106",
    .needs = {PERI_NEEDS_GRADIENT | PERI_NEEDS_SPARSE_HESSIAN},
    .gives = PERI_GIVES_DUALS,
    .flags = PERI_FLAG_WHOLE_RUN,
};
static const peri_plugin *const all[] = {&ipopt, NULL};
PERI_PLUGIN(all)
