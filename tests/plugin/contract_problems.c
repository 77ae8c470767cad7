/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract_problems.c - tiny problems of every class. Optima are closed forms, but for HS 22 and HS 71: Hock and
 * Schittkowski 1981 (the latter's 17.0140173 is theirs). Rows of three or four numbers are padded by what is not read.
 */
#include "contract.h"
#include "unit/text_model.h"

#define ANY NAN
#define INF INFINITY
#define FREE                                                                                                           \
    {-INF, -INF, -INF, -INF},                                                                                          \
    {                                                                                                                  \
        INF, INF, INF, INF                                                                                             \
    }
#define UNKNOWN                                                                                                        \
    {                                                                                                                  \
        ANY, ANY, ANY, ANY                                                                                             \
    }
#define SOLVED PERI_LOCALLY_OPTIMAL

const contract_problem contract_problems[] = {
    {"one variable, infinite bounds",
     1,
     {2.385},
     FREE,
     "(x1+0.7193)^2 + 0.25",
     NULL,
     {{0}},
     0.25,
     1e-8,
     {-0.7193},
     ANY,
     SOLVED,
     NULL},
    {"a convex quadratic",
     3,
     {1, 1, 1},
     FREE,
     "2*x1^2 + x2^2 + 3*x3^2 + x1*x2 - x2*x3 - 4*x1",
     NULL,
     {{0}},
     -44.0 / 19.0,
     1e-8,
     {22.0 / 19.0, -12.0 / 19.0, -2.0 / 19.0},
     ANY,
     SOLVED,
     NULL},
    {"Rosenbrock's function",
     2,
     {-1.2, 1},
     FREE,
     "100*(x2-x1^2)^2 + (1-x1)^2",
     NULL,
     {{0}},
     0,
     1e-10,
     {1, 1},
     ANY,
     SOLVED,
     NULL},
    {"a logarithm, undefined on one side",
     1,
     {0.05},
     FREE,
     "x1 - 2.385*log(x1)",
     NULL,
     {{0}},
     0.311960088448374,
     1e-8,
     {2.385},
     ANY,
     SOLVED,
     NULL},
    {"a maximization",
     2,
     {0, 0},
     FREE,
     NULL,
     "1.75 - (x1-1.3)^2 - 2*(x2+x1)^2",
     {{0}},
     1.75,
     1e-8,
     {1.3, -1.3},
     ANY,
     SOLVED,
     NULL},
    {"bounds, one of them active",
     2,
     {0.5, 0.5},
     {0, 0},
     {0.75, 2},
     "(x1-2)^2 + (x2-1.25)^2",
     NULL,
     {{0}},
     1.5625,
     1e-7,
     {0.75, 1.25},
     ANY,
     SOLVED,
     NULL},
    {"a start outside the bounds",
     1,
     {10},
     {0},
     {2.385},
     "(x1-5)^2",
     NULL,
     {{0}},
     6.838225,
     1e-7,
     {2.385},
     ANY,
     SOLVED,
     NULL},
    {"one side bounded",
     2,
     {3, 3},
     {0.5, -INF},
     {INF, 1.5},
     "x1^2 + (x2-2)^2",
     NULL,
     {{0}},
     0.5,
     1e-7,
     {0.5, 1.5},
     ANY,
     SOLVED,
     NULL},
    {"a fixed variable among free ones",
     3,
     {0, 0, 0},
     {-INF, 0.7, -INF},
     {INF, 0.7, INF},
     "(x1-x2)^2 + (x3-2*x2)^2 + x1*x2",
     NULL,
     {{0}},
     0.3675,
     1e-7,
     {0.35, 0.7, 1.4},
     ANY,
     SOLVED,
     NULL},
    {"no variables left: all fixed",
     2,
     {0, 0},
     {1.5, -0.25},
     {1.5, -0.25},
     "x1^2*x2 + exp(x2)",
     NULL,
     {{0}},
     0.21630078307140488,
     1e-12,
     {1.5, -0.25},
     ANY,
     SOLVED,
     NULL},
    {"a linear objective in a box",
     2,
     {1, 0},
     {0, -1},
     {1.5, 2.385},
     "2*x1 - 3*x2",
     NULL,
     {{0}},
     -7.155,
     1e-7,
     {0, 2.385},
     ANY,
     SOLVED,
     NULL},
    {"an equality", 2, {0, 0}, FREE, "x1^2 + x2^2", NULL, {{"x1 + 2*x2", 3, 3}}, 1.8, 1e-7, {0.6, 1.2}, 1.2, SOLVED,
     NULL},
    {"a linear program",
     2,
     {1, 1},
     {0, 0},
     {INF, INF},
     "-1*x1 - 2*x2",
     NULL,
     {{"x1 + x2", -INF, 4}, {"x1 + 3*x2", -INF, 6}},
     -5,
     1e-7,
     {3, 1},
     -0.5,
     SOLVED,
     NULL},
    {"a nonlinear inequality (HS 22)",
     2,
     {2, 2},
     FREE,
     "(x1-2)^2 + (x2-1)^2",
     NULL,
     {{"x1 + x2", -INF, 2}, {"x2 - x1^2", 0, INF}},
     1,
     1e-7,
     {1, 1},
     -2.0 / 3.0,
     SOLVED,
     NULL},
    {"two levels that want the same",
     2,
     {2, 2},
     {-5, -5},
     {5, 5},
     "(x1-1)^2 + (x2-1)^2",
     NULL,
     {{0}},
     0,
     1e-9,
     {ANY},
     ANY,
     SOLVED,
     "(x2-x1)^2"},
    {"HS 71",
     4,
     {1, 5, 5, 1},
     {1, 1, 1, 1},
     {5, 5, 5, 5},
     "x1*x4*(x1+x2+x3) + x3",
     NULL,
     {{"x1*x2*x3*x4", 25, INF}, {"x1^2 + x2^2 + x3^2 + x4^2", 40, 40}},
     17.0140173,
     1e-7,
     UNKNOWN,
     ANY,
     SOLVED,
     NULL},
    {"a range of two sides",
     2,
     {0, 0},
     FREE,
     "(x1-3)^2 + x2^2",
     NULL,
     {{"x1 - x2", -1, 1.5}},
     1.125,
     1e-7,
     {2.25, 0.75},
     -1.5,
     SOLVED,
     NULL},
    {"an inequality that is not active",
     2,
     {4, 4},
     FREE,
     "(x1-1)^2 + (x2-2)^2",
     NULL,
     {{"x1^2 + x2^2", -INF, 100}},
     0,
     1e-7,
     {1, 2},
     0,
     SOLVED,
     NULL},
    {"no objective",
     2,
     {0.9, 0.2},
     FREE,
     NULL,
     NULL,
     {{"x1 + x2", 1, 1}, {"x1*x2", 0.1875, 0.1875}},
     0,
     1e-7,
     UNKNOWN,
     ANY,
     SOLVED,
     NULL},
    {"infeasible",
     2,
     {0, 0},
     {0, 0},
     {1, 1},
     "x1 + x2",
     NULL,
     {{"x1 + x2", 3, INF}},
     ANY,
     1,
     UNKNOWN,
     ANY,
     PERI_INFEASIBLE,
     NULL},
    {"unbounded",
     2,
     {1, 1},
     {0, 0},
     {INF, INF},
     "x2 - 2*x1",
     NULL,
     {{"x1 - 3*x2", -INF, 5}},
     ANY,
     1,
     UNKNOWN,
     ANY,
     PERI_UNBOUNDED,
     NULL},
    {"an integer variable",
     2,
     {0, 0},
     {0, 0},
     {5, 5},
     "(x1-1.4)^2 + x2^2",
     NULL,
     {{0}},
     ANY,
     1,
     UNKNOWN,
     ANY,
     PERI_FEASIBLE,
     NULL},
    {"a graph with two nodes and a quadratic",
     4,
     {0, 0, 0.3, 0},
     FREE,
     "(x2-1.5)^2 + 2*(x3-0.5)^2 + (x1-0.2)^2 + (x4+0.1)^2",
     NULL,
     {{"acyclic", 0, 0}},
     0.55,
     1e-8,
     {0, 1.5, 0, 0},
     ANY,
     SOLVED,
     NULL},
    {"a graph with two nodes and an exponential", /* of which the method's fits are solves by another one */
     4,
     {0, 0, 0.3, 0},
     FREE,
     "exp(x2) - 2.385*x2 + (x3-0.5)^2 + x1^2 + x4^4",
     NULL,
     {{"acyclic", 0, 0}},
     0.561960088448374,
     1e-8,
     {0, 0.869199072441107, 0, 0},
     ANY,
     SOLVED,
     NULL},
};
const int64_t contract_n_problems = (int64_t)(sizeof contract_problems / sizeof contract_problems[0]);

bool contract_is_graph(const contract_problem *p)
{
    return p->rows[0].text != NULL && strcmp(p->rows[0].text, "acyclic") == 0;
}

static void constrain_graph(text_model *t)
{
    const double zero = 0;
    peri_expr w, h;
    peri_constraint handle;
    if (!t->failed)
        text_check(t, peri_expr_reshape(t->m, t->x, 2, 2, &w));
    if (!t->failed)
        text_check(t, peri_expr_acyclicity(t->m, w, "exponential", false, 1, &h));
    if (!t->failed)
        text_check(t, peri_model_constrain(t->m, NULL, h, 1, &zero, &zero, &handle));
}

static void bound(text_model *t, peri_expr x, int64_t n, const double *lower, const double *upper)
{
    if (!t->failed)
        text_check(t, peri_model_set_lower(t->m, x, n, lower));
    if (!t->failed)
        text_check(t, peri_model_set_upper(t->m, x, n, upper));
}

/* The last variable is that of a lower model. */
static void add_lower(text_model *t, const contract_problem *p)
{
    const int64_t last = p->n - 1;
    peri_model *up = t->m, *low = t->failed ? NULL : peri_model_lower(up, "below");
    peri_expr part[2] = {t->x, PERI_NO_EXPR};
    t->failed = t->failed || low == NULL;
    if (!t->failed)
        text_check(t, peri_model_var(low, "y", 1, 1, &part[1]));
    if (!t->failed)
        text_check(t, peri_model_set_start(low, part[1], 1, p->start + last));
    bound(t, part[1], 1, p->lower + last, p->upper + last);
    if (!t->failed)
        text_check(t, peri_expr_stack(up, 2, part, &t->x));
    t->m = low;
    text_minimize(t, p->below);
    t->m = up;
}

peri_model *contract_model(peri_context *ctx, const contract_problem *p)
{
    const int64_t own = p->below != NULL ? p->n - 1 : p->n;
    text_model t = text_new(ctx, own, p->start);
    bound(&t, t.x, own, p->lower, p->upper);
    if (p->below != NULL)
        add_lower(&t, p);
    if (!t.failed && p->outcome == PERI_FEASIBLE)
        text_check(&t, peri_model_set_integer(t.m, t.x));
    if (contract_is_graph(p))
        constrain_graph(&t);
    for (int k = 0; k < 3 && p->rows[k].text != NULL && !contract_is_graph(p); k++)
        text_constrain(&t, NULL, p->rows[k].lower, p->rows[k].text, p->rows[k].upper);
    if (p->minimize != NULL)
        text_minimize(&t, p->minimize);
    if (p->maximize != NULL)
        text_maximize(&t, p->maximize);
    if (!t.failed)
        return t.m;
    peri_model_free(t.m);
    return NULL;
}

contract_result contract_solve(peri_model *m, const peri_solve_args *args)
{
    contract_result r = {.status = PERI_E_NOMEM};
    peri_solution *s = NULL;
    r.status = peri_model_solve(m, args, &s);
    if (r.status != PERI_OK)
        return r;
    r.outcome = peri_solution_outcome(s);
    r.iterations = peri_solution_iterations(s);
    r.objective = peri_solution_objective(s);
    r.n = m->n;
    peri_status status = PERI_OK;
    for (int64_t j = 0; j < m->vars.n && status == PERI_OK; j++)
        status = peri_solution_value(s, m->vars.at[j].node, r.x + m->vars.at[j].offset);
    r.status = status;
    peri_solution_free(s);
    return r;
}

bool contract_same(const contract_result *a, const contract_result *b)
{
    return a->status == b->status && a->outcome == b->outcome && a->iterations == b->iterations &&
           memcmp(&a->objective, &b->objective, sizeof a->objective) == 0 && memcmp(a->x, b->x, sizeof a->x) == 0;
}
