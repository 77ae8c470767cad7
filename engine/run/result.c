/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result.c - a solution's life and what a host may ask of it. Invariant: x, y and z belong to the model as it was when
 * solved, with the parameters of then; variables or constraints added later are told apart by their offsets.
 * Multipliers leave here in the user's sense.
 */
#include "run/diagnose.h"
#include "run/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* An array of `n` zeros in place of one of another length; what is there stays when it is long enough. */
static bool resize(mem *a, double **v, int64_t before, int64_t n)
{
    if (*v != NULL && before == n)
        return true;
    mem_array_free(a, *v);
    *v = mem_array(a, (size_t)n, sizeof **v);
    return *v != NULL;
}

static bool fit_sizes(peri_solution *s)
{
    mem *a = &s->ctx->mem;
    const peri_model *m = s->model;
    const int64_t n = s->n, rows = s->m, n_param = s->n_param;
    s->n = s->m = s->n_param = 0; /* nobody reads what is half there */
    if (!resize(a, &s->x, n, m->n) || !resize(a, &s->z, n, m->n) || !resize(a, &s->y, rows, m->m) ||
        !resize(a, &s->param, n_param, m->g->n_param))
        return false;
    s->n = m->n;
    s->m = m->m;
    s->n_param = m->g->n_param;
    return true;
}

static void free_optima(peri_solution *s)
{
    mem *a = &s->ctx->mem;
    for (int64_t k = 0; k < s->optima.n; k++)
        mem_array_free(a, s->optima.at[k].x);
    s->optima.n = 0;
}

peri_status solution_reset(peri_solution *s)
{
    free_optima(s);
    diagnose_free(s);
    s->history.n = s->path.n = 0;
    s->levels.n = 0;
    s->message[0] = '\0';
    if (!fit_sizes(s))
        return FAIL_NOMEM(s->ctx);
    if (s->n_param > 0)
        memcpy(s->param, s->model->g->param_value.at, (size_t)s->n_param * sizeof *s->param);
    return PERI_OK;
}

peri_status solution_new(peri_model *m, peri_solution **out)
{
    peri_solution *s = mem_alloc(&m->ctx->mem, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return FAIL_NOMEM(m->ctx);
    s->ctx = m->ctx;
    s->model = m;
    model_retain(m);
    if (solution_reset(s) != PERI_OK) {
        peri_solution_free(s);
        return FAIL_NOMEM(m->ctx);
    }
    *out = s;
    return PERI_OK;
}

void peri_solution_free(peri_solution *s)
{
    if (s == NULL)
        return;
    mem *a = &s->ctx->mem;
    peri_model *model = s->model;
    mem_array_free(a, s->x);
    mem_array_free(a, s->y);
    mem_array_free(a, s->z);
    mem_array_free(a, s->param);
    vec_free(a, &s->history);
    vec_free(a, &s->path);
    free_optima(s);
    vec_free(a, &s->optima);
    diagnose_free(s);
    mem_free(a, s, sizeof *s);
    model_release(model); /* last: it may take the context with it */
}

peri_outcome peri_solution_outcome(const peri_solution *s)
{
    return s->outcome;
}

double peri_solution_objective(const peri_solution *s)
{
    return s->objective;
}

const char *peri_solution_message(const peri_solution *s)
{
    return s->message;
}

const char *peri_solution_solver(const peri_solution *s)
{
    return s->solver;
}

const char *peri_solution_plan(const peri_solution *s)
{
    return s->plan;
}

int64_t peri_solution_iterations(const peri_solution *s)
{
    return s->iterations;
}

peri_certificate peri_solution_certificate(const peri_solution *s)
{
    return s->certificate;
}

const char *peri_lower_state_name(peri_lower_state state)
{
    static const char *const names[] = {"solved", "unproven", "infeasible", "unbounded", "failed"};
    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "failed";
}

bool peri_solution_lower(const peri_solution *s, int64_t k, peri_lower_result *out)
{
    if (k < 0 || k >= s->levels.n)
        return false;
    *out = s->levels.at[k];
    return true;
}

peri_evaluations peri_solution_evaluations(const peri_solution *s)
{
    return s->evaluations;
}

peri_times peri_solution_times(const peri_solution *s)
{
    return s->times;
}

peri_model *peri_solution_model(const peri_solution *s)
{
    return s->model;
}

int64_t peri_solution_history_rows(const peri_solution *s)
{
    return s->history.n;
}

const peri_event *peri_solution_history(const peri_solution *s)
{
    return s->history.at;
}

int64_t peri_solution_variables(const peri_solution *s)
{
    return s->n;
}

const double *peri_solution_path(const peri_solution *s)
{
    return s->n == 2 && s->path.n == 2 * s->history.n ? s->path.at : NULL; /* of an isolated solve the points are gone */
}

/* ---- values
 * -------------------------------------------------------------------------------------------------------------------
 */

/* The variables and parameters of the solve, and where their values lie when the variables are x. */
static int64_t list_values(const peri_solution *s, const double *x, peri_expr *node, const double **value)
{
    const peri_model *m = s->model;
    int64_t n = 0;
    for (int64_t i = 0; i < m->vars.n; i++) {
        const int64_t at = m->vars.at[i].at;
        if (at < 0 || at >= s->n)
            continue;
        node[n] = m->vars.at[i].node;
        value[n++] = x + at;
    }
    for (int64_t i = 0; i < m->params.n && m->params.at[i].offset < s->n_param; i++) {
        node[n] = m->params.at[i].node;
        value[n++] = s->param + m->params.at[i].offset;
    }
    return n;
}

/* The commonest question, for a variable or some of its entries, costs no walk through the graph. */
static bool entries_of_variable(const peri_solution *s, const double *x, peri_expr e, double *out)
{
    const expr_graph *g = s->model->g;
    if (e < 0 || e >= g->nodes.n)
        return false;
    const expr_node *node = expr_at(g, e);
    const bool is_gather = node->op == PERI_OP_GATHER;
    const model_var *v = model_find_var(s->model, is_gather ? node->arg[0] : e);
    const int64_t begin = v != NULL ? v->at : 0;
    if (v == NULL || begin < 0 || begin + v->size > s->n)
        return false;
    for (int64_t k = 0; k < expr_size(g, e); k++)
        out[k] = x[begin + (is_gather ? expr_gather_at(g, node, k) : k)];
    return true;
}

static peri_status value_at(peri_solution *s, const double *x, peri_expr e, double *out)
{
    TRY(model_put_solved(s->model, &e));
    const model_var *var = model_find_var(s->model, e);
    if (var != NULL && var->at < 0)
        return FAIL(s->ctx, PERI_E_ARGUMENT, "value: variable \"%s\" is of a model whose solution is an expression: ask for that one", var->name);
    if (entries_of_variable(s, x, e, out))
        return PERI_OK;
    const size_t most = (size_t)(s->model->vars.n + s->model->params.n);
    mem *a = &s->ctx->mem;
    peri_expr *node = mem_array(a, most, sizeof *node);
    const double **value = mem_array(a, most, sizeof *value);
    peri_status status = node != NULL && value != NULL ? PERI_OK : FAIL_NOMEM(s->ctx);
    if (status == PERI_OK)
        status = peri_expr_value(s->model, e, list_values(s, x, node, value), node, value, out);
    mem_array_free(a, node);
    mem_array_free(a, (void *)value);
    return status;
}

peri_status peri_solution_value(peri_solution *s, peri_expr e, double *out)
{
    return value_at(s, s->x, e, out);
}

int64_t peri_solution_optima(const peri_solution *s)
{
    return s->optima.n;
}

double peri_solution_optimum(const peri_solution *s, int64_t k)
{
    return k >= 0 && k < s->optima.n ? s->optima.at[k].objective : NAN;
}

peri_status peri_solution_optimum_value(peri_solution *s, int64_t k, peri_expr e, double *out)
{
    if (k < 0 || k >= s->optima.n)
        return FAIL(s->ctx, PERI_E_ARGUMENT, "optimum %lld: the solution has %lld", (long long)k + 1, (long long)s->optima.n);
    return value_at(s, s->optima.at[k].x, e, out);
}

static double in_users_sense(const peri_solution *s, double multiplier)
{
    return s->model->maximize && multiplier != 0 ? -multiplier : multiplier;
}

peri_status peri_solution_dual(peri_solution *s, peri_constraint handle, double *out)
{
    const peri_model *m = s->model;
    if (handle < 0 || handle >= m->cons.n)
        return FAIL(s->ctx, PERI_E_ARGUMENT, "dual: not a constraint of model \"%s\"", m->name);
    const model_constraint *c = &m->cons.at[handle];
    if (!model_takes_part(m, c->level))
        return FAIL(s->ctx, PERI_E_ARGUMENT, "dual: constraint \"%s\" is of a model whose solution is an expression", c->name);
    if (c->row + c->size > s->m)
        return FAIL(s->ctx, PERI_E_STATE, "dual: constraint \"%s\" was added after this solve", c->name);
    for (int64_t k = 0; k < c->size; k++)
        out[k] = in_users_sense(s, s->y[c->row + k]);
    return PERI_OK;
}

peri_status peri_solution_reduced_cost(peri_solution *s, peri_expr x, double *out)
{
    const peri_model *m = s->model;
    const model_var *v = model_find_var(m, x);
    if (v == NULL)
        return FAIL(s->ctx, PERI_E_ARGUMENT, "reduced cost: not a variable of model \"%s\"", m->name);
    const int64_t at = v->at;
    if (at < 0)
        return FAIL(s->ctx, PERI_E_ARGUMENT, "reduced cost: variable \"%s\" is of a model whose solution is an expression", v->name);
    if (at + v->size > s->n)
        return FAIL(s->ctx, PERI_E_STATE, "reduced cost: variable \"%s\" was added after this solve", v->name);
    for (int64_t k = 0; k < v->size; k++)
        out[k] = in_users_sense(s, s->z[at + k]);
    return PERI_OK;
}
