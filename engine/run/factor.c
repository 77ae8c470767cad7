/* SPDX-License-Identifier: Apache-2.0 */
/*
 * factor.c - linear systems as a service of the run: which linear-solver plugin, with which options, and the
 * calls to it. What a linear solver allocates lives in its factor's own arena, so that closing a factor frees it.
 * Invariant: while one of its functions runs, the run is lent to it (memory, and the name in messages), and is the
 * solver's again afterwards. A system without unknowns never reaches a plugin, nor do values that are not finite.
 */
#include "run/factor.h"
#include "base/clock.h"
#include "run/guards.h"
#include "run/internal.h"
#include <stdio.h>
#include <string.h>

/*
 * Up to DENSE_PIVOTED unknowns a dense factorisation with pivoting is faster than a sparse one with pivoting. Without
 * pivoting the sparse one is always faster, but up to DENSE_SMALL unknowns by microseconds, for which the stability of
 * pivoting is worth more. Measured: plugins/linear/README.md.
 */
enum { DENSE_SMALL = 48, DENSE_PIVOTED = 200 };

struct peri_factor {
    peri_run *run;
    peri_factor *next;
    const peri_plugin *plugin; /* NULL where there are no unknowns */
    arena memory;
    struct run_guard *guards; /* of what lies in it */
    void *state, *options;
    peri_pattern pattern; /* a copy; of an operator: sizes alone */
    peri_operator op;     /* apply NULL: a matrix */
    uint64_t needs;
    bool analysed, factorised;
};

/* ---- lending the run --------------------------------------------------------------------------------------------- */

typedef struct {
    arena memory;
    struct run_guard *guards;
    const peri_plugin *plugin;
    double since;
    activity_mark mark;
} loan;

static loan lend(peri_factor *f)
{
    loan before = {.memory = f->run->memory, .guards = f->run->guards, .plugin = f->run->plugin, .since = clock_seconds()};
    const context_activity *watched = f->run->ctx->activity;
    activity_enter(f->run->ctx, &before.mark, f->plugin->name, watched != NULL ? watched->step : 0);
    f->run->guards = f->guards;
    f->run->memory = f->memory;
    f->run->plugin = f->plugin;
    return before;
}

static void take_back(peri_factor *f, const loan *before)
{
    if (f->run->guarded)
        (void)guards_check(f->run);
    activity_leave(f->run->ctx, &before->mark);
    f->memory = f->run->memory;
    f->guards = f->run->guards;
    f->run->memory = before->memory;
    f->run->guards = before->guards;
    f->run->plugin = before->plugin;
    f->run->times.linear_algebra += clock_seconds() - before->since;
}

static const peri_linear_solver_ops *ops_of(const peri_factor *f)
{
    return f->plugin->ops;
}

/* A slot of the plugin's own table, which may be shorter than this host's. */
#define OPS_HAVE(f, slot)                                                                                              \
    ((f)->plugin != NULL && (f)->plugin->size_ops > offsetof(peri_linear_solver_ops, slot) && ops_of(f)->slot != NULL)

/* An error that the plugin left without words. */
static peri_status told(peri_factor *f, peri_status status)
{
    peri_context *ctx = f->run->ctx;
    if (status == PERI_OK || peri_error_code(ctx) == status)
        return status;
    return FAIL(ctx, status, "%s: %s", f->plugin->name, peri_status_text(status));
}

/* ---- which plugin ------------------------------------------------------------------------------------------------ */

/* Dense solvers first for small systems, last for all others; then by rank. */
static int64_t preference(const registry_entry *e, uint64_t needs, int64_t n)
{
    const int64_t dense = e->flags & PERI_FLAG_DENSE ? INT64_C(1) << 40 : 0;
    return e->rank + (n <= (needs & PERI_FLAG_INDEFINITE ? DENSE_PIVOTED : DENSE_SMALL) ? dense : -dense);
}

/* The best entry that is worse than `after` (NULL: the best of all), ties in the registry's order; NULL: none. */
static registry_entry *candidate(registry *r, uint64_t needs, int64_t n, const registry_entry *after)
{
    registry_entry *best = NULL;
    bool seen = after == NULL;
    for (int64_t i = 0; i < registry_count(r); i++) {
        registry_entry *e = registry_at(r, i);
        if (e == after)
            seen = true;
        if (e == after || e->kind != PERI_KIND_LINEAR_SOLVER || (e->flags & needs) != needs)
            continue;
        const int64_t value = preference(e, needs, n), limit = after != NULL ? preference(after, needs, n) : INT64_MAX;
        if ((value < limit || (value == limit && seen)) && (best == NULL || value > preference(best, needs, n)))
            best = e;
    }
    return best;
}

static const char *kind_of_system(uint64_t needs)
{
    return needs & PERI_FLAG_LEAST_SQUARES   ? "least-squares systems"
           : needs & PERI_FLAG_GENERAL       ? "systems without symmetry"
           : needs & PERI_FLAG_INDEFINITE    ? "indefinite systems"
           : needs & PERI_FLAG_QUASIDEFINITE ? "quasi-definite systems"
                                             : "definite systems";
}

static peri_status choose(peri_factor *f, registry *r, uint64_t needs)
{
    peri_context *ctx = f->run->ctx;
    const int64_t n = f->pattern.cols;
    bool any = false;
    for (registry_entry *e = candidate(r, needs, n, NULL); e != NULL; e = candidate(r, needs, n, e)) {
        const peri_status status = registry_load(r, e, &f->plugin);
        if (status != PERI_E_PLUGIN)
            return status;
        any = true; /* refused, for a missing library perhaps: the next one */
    }
    if (any)
        return fail_prefix(ctx, "no linear solver could be loaded");
    return FAIL(ctx, PERI_E_UNSUPPORTED, "linear solver: none is installed for %s%s", needs & PERI_FLAG_ITERATIVE ? "operators of " : "",
                kind_of_system(needs));
}

static const uint64_t WHOLE_MATRIX = PERI_FLAG_GENERAL | PERI_FLAG_LEAST_SQUARES;

/* A name that stands for a solver without a flag that cannot be done without. */
static peri_status refuse(peri_factor *f, const registry_entry *e, uint64_t lacks)
{
    return FAIL(f->run->ctx, PERI_E_UNSUPPORTED, "%s: %s", e->name,
                lacks & PERI_FLAG_ITERATIVE ? "needs a matrix, and this one is known by its products alone"
                                            : "solves symmetric systems only, and this one is not symmetric");
}

static peri_status find_plugin(peri_factor *f, const char *name, uint64_t needs)
{
    registry *r;
    registry_entry *entry;
    const uint64_t essential = needs & (WHOLE_MATRIX | PERI_FLAG_ITERATIVE);
    const bool users = name == NULL || name[0] == '\0';
    if (users)
        name = f->run->linear_solver;
    TRY(registry_get(f->run->ctx, &r));
    if (name == NULL || name[0] == '\0')
        return choose(f, r, needs);
    TRY(registry_find(r, name, PERI_KIND_LINEAR_SOLVER, &entry));
    if ((entry->flags & essential) != essential)
        return users ? choose(f, r, needs) : refuse(f, entry, essential & ~entry->flags);
    return registry_load(r, entry, &f->plugin);
}

/* ---- options: "mumps.ordering" is an option of the linear solver mumps ------------------------------------------- */

static const char *own_key(const char *key, const char *solver)
{
    const size_t length = strlen(solver);
    return strncmp(key, solver, length) == 0 && key[length] == '.' ? key + length + 1 : NULL;
}

static bool lists_name(const char *names, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = names; at != NULL && *at != '\0'; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

peri_status factor_check_setting(peri_context *ctx, const char *key, bool *ours)
{
    registry *r;
    *ours = false;
    if (strchr(key, '.') == NULL)
        return PERI_OK;
    TRY(registry_get(ctx, &r));
    for (int64_t i = 0; i < registry_count(r); i++) {
        const registry_entry *e = registry_at(r, i);
        const char *name = e->kind == PERI_KIND_LINEAR_SOLVER ? own_key(key, e->name) : NULL;
        if (name == NULL)
            continue;
        if (!lists_name(e->options, name))
            return FAIL(ctx, PERI_E_OPTION, "%s: no option \"%s\"; its options are: %s", e->name, name, e->options);
        *ours = true;
    }
    return PERI_OK;
}

static peri_status set_options(peri_factor *f)
{
    const peri_solve_args *args = f->run->args;
    TRY(option_defaults(f->run->ctx, f->plugin, f->options));
    for (int64_t k = 0; k < args->n_settings; k++) {
        peri_setting setting = args->settings[k];
        setting.key = own_key(setting.key, f->plugin->name);
        if (setting.key != NULL)
            TRY(option_set(f->run->ctx, f->plugin, &setting, f->options, &f->memory));
    }
    return PERI_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static peri_status check_pattern(peri_run *run, const peri_pattern *p)
{
    bool good =
        p->rows == p->cols && p->cols >= 0 && p->nnz >= p->cols && p->start[0] == 0 && p->start[p->cols] == p->nnz;
    for (int64_t j = 0; good && j < p->cols; j++) {
        good = p->start[j + 1] > p->start[j] && p->start[j + 1] <= p->nnz && p->index[p->start[j]] == j;
        for (int64_t k = p->start[j] + 1; good && k < p->start[j + 1]; k++)
            good = p->index[k] > p->index[k - 1] && p->index[k] < p->rows;
        if (!good)
            return FAIL(
                run->ctx, PERI_E_ARGUMENT,
                "linear solver: column %lld of the pattern is not a lower triangle's with its diagonal entry first",
                (long long)j);
    }
    return good ? PERI_OK : FAIL(run->ctx, PERI_E_ARGUMENT, "linear solver: the pattern's sizes do not fit");
}

static peri_status check_whole_pattern(peri_run *run, const peri_pattern *p, uint64_t needs)
{
    bool good = p->cols >= 0 && p->rows >= 0 && p->start[0] == 0 && p->start[p->cols] == p->nnz;
    if (good && p->rows != p->cols && !(needs & PERI_FLAG_LEAST_SQUARES))
        return FAIL(run->ctx, PERI_E_ARGUMENT, "linear solver: the matrix is %lld x %lld, must be square", (long long)p->rows,
                    (long long)p->cols);
    for (int64_t j = 0; good && j < p->cols; j++) {
        good = p->start[j + 1] >= p->start[j] && p->start[j + 1] <= p->nnz;
        for (int64_t k = p->start[j]; good && k < p->start[j + 1]; k++)
            good = p->index[k] >= 0 && p->index[k] < p->rows && (k == p->start[j] || p->index[k] > p->index[k - 1]);
        if (!good)
            return FAIL(run->ctx, PERI_E_ARGUMENT, "linear solver: rows of column %lld of the pattern are not ascending in [0, %lld)",
                        (long long)j, (long long)p->rows);
    }
    return good ? PERI_OK : FAIL(run->ctx, PERI_E_ARGUMENT, "linear solver: the pattern's sizes do not fit");
}

static bool copy_pattern(peri_factor *f, const peri_pattern *p)
{
    const size_t n = (size_t)p->cols, nnz = (size_t)p->nnz;
    int64_t *start = arena_array(&f->memory, n + 1, sizeof *start);
    int64_t *index = arena_array(&f->memory, nnz, sizeof *index);
    if (start == NULL || index == NULL)
        return false;
    memcpy(start, p->start, (n + 1) * sizeof *start);
    if (nnz > 0)
        memcpy(index, p->index, nnz * sizeof *index);
    f->pattern = (peri_pattern){p->rows, p->cols, p->nnz, start, index};
    return true;
}

static peri_status analyse(peri_factor *f)
{
    const peri_linear_solver_ops *ops = ops_of(f);
    if (f->op.apply != NULL)
        return OPS_HAVE(f, attach) ? ops->attach(f->state, f->run, f->options, &f->op) : PERI_E_UNSUPPORTED;
    if (!(f->needs & WHOLE_MATRIX) && ops->analyse == NULL)
        return FAIL(f->run->ctx, PERI_E_UNSUPPORTED, "%s: does not take symmetric systems; another linear_solver does", f->plugin->name);
    if (!(f->needs & WHOLE_MATRIX))
        return ops->analyse(f->state, f->run, f->options, &f->pattern);
    return OPS_HAVE(f, analyse_general) ? ops->analyse_general(f->state, f->run, f->options, &f->pattern, f->needs & WHOLE_MATRIX)
                                        : PERI_E_UNSUPPORTED;
}

static peri_status prepare(peri_factor *f, const char *solver, uint64_t needs)
{
    TRY(find_plugin(f, solver, needs));
    f->state = arena_array(&f->memory, 1, f->plugin->size_state);
    f->options = arena_array(&f->memory, 1, f->plugin->size_options);
    if (f->state == NULL || f->options == NULL)
        return FAIL_NOMEM(f->run->ctx);
    if (f->plugin->initial_state != NULL)
        memcpy(f->state, f->plugin->initial_state, f->plugin->size_state);
    TRY(set_options(f));
    f->analysed = f->op.apply != NULL || (f->needs & WHOLE_MATRIX) || ops_of(f)->analyse != NULL; /* from here on fini is called */
    const loan before = lend(f);
    const peri_status status = analyse(f);
    take_back(f, &before);
    return told(f, status);
}

/* A factor with the run's, its plugin not yet chosen. */
static peri_status begin(peri_run *run, uint64_t needs, peri_factor **out)
{
    arena memory;
    arena_init(&memory, &run->ctx->mem);
    peri_factor *f = arena_alloc(&memory, sizeof *f);
    if (f == NULL)
        return FAIL_NOMEM(run->ctx);
    f->run = run;
    f->memory = memory;
    f->needs = needs;
    f->next = run->factors;
    run->factors = f;
    *out = f;
    return PERI_OK;
}

static peri_status opened(peri_factor *f, peri_status status, peri_factor **out)
{
    if (status != PERI_OK) {
        factor_close(f);
        return status;
    }
    if (f->plugin != NULL)
        log_write(f->run->ctx, 2, "linear solver %s: %lld unknowns, %lld nonzeros", f->plugin->name, (long long)f->pattern.cols,
                  (long long)f->pattern.nnz);
    *out = f;
    return PERI_OK;
}

peri_status factor_open(peri_run *run, const char *solver, const peri_pattern *pattern, uint64_t needs,
                        peri_factor **out)
{
    peri_factor *f;
    *out = NULL;
    TRY(needs & WHOLE_MATRIX ? check_whole_pattern(run, pattern, needs) : check_pattern(run, pattern));
    TRY(begin(run, needs, &f));
    peri_status status = copy_pattern(f, pattern) ? PERI_OK : FAIL_NOMEM(run->ctx);
    if (status == PERI_OK && pattern->cols > 0)
        status = prepare(f, solver, needs);
    return opened(f, status, out);
}

peri_status factor_open_operator(peri_run *run, const char *solver, const peri_operator *op, uint64_t needs, peri_factor **out)
{
    peri_factor *f;
    *out = NULL;
    if (op->n < 0 || op->apply == NULL)
        return FAIL(run->ctx, PERI_E_ARGUMENT, "linear solver: an operator needs its size and its function apply");
    TRY(begin(run, needs | PERI_FLAG_ITERATIVE, &f));
    f->op = *op;
    f->pattern = (peri_pattern){op->n, op->n, 0, NULL, NULL};
    f->factorised = true;
    return opened(f, op->n > 0 ? prepare(f, solver, f->needs) : PERI_OK, out);
}

void factor_close(peri_factor *f)
{
    if (f == NULL)
        return;
    if (f->analysed && ops_of(f)->fini != NULL) {
        const loan before = lend(f);
        ops_of(f)->fini(f->state, f->run);
        take_back(f, &before);
    }
    for (peri_factor **link = &f->run->factors; *link != NULL; link = &(*link)->next)
        if (*link == f) {
            *link = f->next;
            break;
        }
    arena memory = f->memory; /* f itself lies in it */
    arena_release(&memory);
}

void factor_close_all(peri_run *run)
{
    while (run->factors != NULL)
        factor_close(run->factors);
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

static peri_status refuse_value(peri_factor *f, const double *val)
{
    int64_t j = 0, k = 0;
    while (nlp_is_finite(1, &val[k]))
        k++;
    while (f->pattern.start[j + 1] <= k)
        j++;
    return FAIL(f->run->ctx, PERI_E_NUMERIC, "%s: entry (%lld, %lld) of the matrix is %g", f->plugin->name,
                (long long)f->pattern.index[k], (long long)j, val[k]);
}

peri_status factor_values(peri_factor *f, const double *val, peri_inertia *inertia)
{
    peri_inertia counts = {0, 0, 0};
    peri_status status = PERI_OK;
    if (f->op.apply != NULL)
        return FAIL(f->run->ctx, PERI_E_STATE, "linear solver: an operator has no values");
    f->factorised = false;
    if (f->plugin != NULL) {
        if (!nlp_is_finite(f->pattern.nnz, val))
            return refuse_value(f, val);
        const loan before = lend(f);
        status = ops_of(f)->factor(f->state, f->run, val, &counts);
        take_back(f, &before);
    }
    f->factorised = status == PERI_OK;
    if (inertia != NULL)
        *inertia = counts;
    return f->plugin != NULL ? told(f, status) : status;
}

static peri_status solve_by(peri_factor *f, peri_status (*solve)(void *, peri_run *, double *), double *b)
{
    const loan before = lend(f);
    const peri_status status = solve(f->state, f->run, b);
    take_back(f, &before);
    if (status == PERI_OK && !nlp_is_finite(f->pattern.cols, b))
        return FAIL(f->run->ctx, PERI_E_NUMERIC, "%s: the solution is not finite", f->plugin->name);
    return told(f, status);
}

static peri_status refuse_early(peri_factor *f)
{
    return FAIL(f->run->ctx, PERI_E_STATE, "linear solver: solve without a factorisation");
}

peri_status factor_solve(peri_factor *f, double *b)
{
    if (!f->factorised)
        return refuse_early(f);
    return f->plugin != NULL ? solve_by(f, ops_of(f)->solve, b) : PERI_OK;
}

peri_status factor_solve_transposed(peri_factor *f, double *b)
{
    if (!f->factorised)
        return refuse_early(f);
    if (f->plugin == NULL)
        return PERI_OK;
    if (!(f->needs & WHOLE_MATRIX))
        return solve_by(f, ops_of(f)->solve, b); /* symmetric */
    if (!OPS_HAVE(f, solve_transposed))
        return FAIL(f->run->ctx, PERI_E_UNSUPPORTED, "%s: cannot solve with the transposed matrix", f->plugin->name);
    return solve_by(f, ops_of(f)->solve_transposed, b);
}

int64_t factor_iterations(const peri_factor *f)
{
    return OPS_HAVE(f, iterations) ? ops_of(f)->iterations(f->state) : 0;
}

peri_status factor_strengthen(peri_factor *f)
{
    if (f->plugin == NULL || ops_of(f)->strengthen == NULL)
        return PERI_E_UNSUPPORTED;
    const loan before = lend(f);
    const peri_status status = ops_of(f)->strengthen(f->state, f->run);
    take_back(f, &before);
    if (status == PERI_OK)
        f->factorised = false;
    return status == PERI_E_UNSUPPORTED ? status : told(f, status);
}

const char *factor_name(const peri_factor *f)
{
    return f->plugin != NULL ? f->plugin->name : "none";
}

uint64_t factor_flags(const peri_factor *f)
{
    return f->plugin != NULL ? f->plugin->flags : PERI_FLAG_INDEFINITE | PERI_FLAG_QUASIDEFINITE | PERI_FLAG_DEFINITE;
}
