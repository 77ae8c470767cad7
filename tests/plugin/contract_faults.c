/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract_faults.c - what a solver does when something fails: its entry function is given a host table whose
 * evaluations, linear systems and allocations fail at the k-th call, for k = 1, 2, ... until a run is over before that. Whatever comes
 * out, the run ends, nothing leaks, and the next one is the undisturbed run to the last bit.
 */
#define _GNU_SOURCE
#include "contract.h"
#include "tap/tap.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum {
    FAULT_DOMAIN,
    FAULT_DOMAIN_AFTER,
    FAULT_INTERRUPT,
    FAULT_CANCELLED,
    FAULT_CALLBACK,
    FAULT_NUMERIC,
    FAULT_NUMERIC_AFTER,
    FAULT_ALLOC,
    FAULT_ALLOC_AFTER
} fault_kind;

static const char *const fault_names[] = {"a domain error",
                                          "domain errors for ever",
                                          "an interruption",
                                          "a cancelled evaluation",
                                          "an error in a user's function",
                                          "a singular linear system",
                                          "singular linear systems for ever",
                                          "a failing allocation",
                                          "failing allocations for ever"};

/* The fault to come; of the test alone, which has one thread. */
static struct {
    fault_kind kind;
    int64_t at, evaluations, allocations, systems;
    bool fired;
    peri_context *ctx;
} planned;

static const peri_host *real;

static bool is_alloc(fault_kind kind)
{
    return kind == FAULT_ALLOC || kind == FAULT_ALLOC_AFTER;
}

static bool is_numeric(fault_kind kind)
{
    return kind == FAULT_NUMERIC || kind == FAULT_NUMERIC_AFTER;
}

static bool is_due(int64_t k)
{
    const bool after =
        planned.kind == FAULT_DOMAIN_AFTER || planned.kind == FAULT_NUMERIC_AFTER || planned.kind == FAULT_ALLOC_AFTER;
    return after ? k >= planned.at : k == planned.at;
}

/* True when this evaluation is to return *status instead of a value. */
static bool strikes(peri_status *status)
{
    const int64_t k = ++planned.evaluations;
    if (is_alloc(planned.kind) || is_numeric(planned.kind) || !is_due(k))
        return false;
    planned.fired = true;
    if (planned.kind == FAULT_INTERRUPT) {
        peri_interrupt(planned.ctx);
        return false;
    }
    *status = planned.kind == FAULT_CANCELLED  ? PERI_E_CANCELLED
              : planned.kind == FAULT_CALLBACK ? PERI_E_CALLBACK
                                               : PERI_E_DOMAIN;
    return true;
}

/* True when this factorisation or solution of a linear system is to fail. */
static bool breaks_down(void)
{
    if (!is_numeric(planned.kind) || !is_due(++planned.systems))
        return false;
    planned.fired = true;
    return true;
}

static peri_status faulty_factor_values(peri_factor *factor, const double *val, peri_inertia *inertia)
{
    return breaks_down() ? PERI_E_NUMERIC : real->factor_values(factor, val, inertia);
}

static peri_status faulty_factor_solve(peri_factor *factor, double *b)
{
    return breaks_down() ? PERI_E_NUMERIC : real->factor_solve(factor, b);
}

static peri_status faulty_f(peri_run *run, const double *x, double *f)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_f(run, x, f);
}

static peri_status faulty_fg(peri_run *run, const double *x, double *f, double *g)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_fg(run, x, f, g);
}

static peri_status faulty_c(peri_run *run, const double *x, double *c)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_c(run, x, c);
}

static peri_status faulty_jac(peri_run *run, const double *x, double *val)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_jac(run, x, val);
}

static peri_status faulty_hess(peri_run *run, const double *x, double sigma, const double *w, double *val)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_hess(run, x, sigma, w, val);
}

static peri_status faulty_jv(peri_run *run, const double *x, const double *v, double *jv)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_jv(run, x, v, jv);
}

static peri_status faulty_vj(peri_run *run, const double *x, const double *w, double *vj)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_vj(run, x, w, vj);
}

static peri_status faulty_hv(peri_run *run, const double *x, double sigma, const double *w, const double *v, double *hv)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_hv(run, x, sigma, w, v, hv);
}

static peri_status faulty_residuals(peri_run *run, const double *x, double *r)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_residuals(run, x, r);
}

static peri_status faulty_residual_jac(peri_run *run, const double *x, double *val)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->eval_residual_jac(run, x, val);
}

/* Many points at once: one that is undefined is no failure. */
static peri_status faulty_f_batch(peri_run *run, int64_t points, const double *x, double *f)
{
    peri_status s = PERI_OK;
    const bool hit = strikes(&s);
    if (hit && s != PERI_E_DOMAIN)
        return s;
    s = real->eval_f_batch(run, points, x, f);
    if (hit && points > 0)
        f[0] = NAN;
    return s;
}

static peri_status faulty_inner(peri_inner *inner, const peri_inner_request *request, const peri_inner_result **result)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->inner->solve(inner, request, result);
}

static peri_status faulty_prox_smooth(peri_run *run, const double *x, double *f, double *g)
{
    peri_status s = PERI_OK;
    return strikes(&s) ? s : real->prox_smooth(run, x, f, g);
}

static void *faulty_alloc(peri_run *run, size_t count, size_t size)
{
    if (is_alloc(planned.kind) && is_due(++planned.allocations)) {
        planned.fired = true;
        return NULL;
    }
    return real->alloc(run, count, size);
}

/* The plugin's own entry function, called again, gives it another host table. */
static bool give_host(const registry_entry *e, const peri_host *host)
{
    if (!contract_is_shared_object(e))
        return contract_give_host(e, host);
    void *handle = dlopen(e->file, RTLD_NOW | RTLD_NOLOAD),
         *symbol = handle != NULL ? dlsym(handle, "peri_plugins") : NULL;
    peri_entry_fn entry = NULL;
    memcpy(&entry, &symbol, sizeof entry);
    if (entry != NULL)
        entry(host);
    return entry != NULL;
}

typedef struct {
    int64_t wrong_status, wrong_outcome, late, differs, leaks, grown, tried;
    char example[256];
} tally;

static bool is_solved(peri_outcome o)
{
    return o == PERI_OPTIMAL || o == PERI_LOCALLY_OPTIMAL;
}

/* What may come of each fault. */
static void judge(const contract_result *r, const contract_result *undisturbed, tally *t)
{
    bool status = r->status == PERI_OK, outcome = true, late = false;
    switch (planned.kind) {
    case FAULT_DOMAIN:
    case FAULT_DOMAIN_AFTER:
        status = status || r->status == PERI_E_DOMAIN;
        break;
    case FAULT_INTERRUPT:
        outcome = r->outcome == PERI_INTERRUPTED || is_solved(r->outcome) || r->outcome == undisturbed->outcome;
        late = planned.evaluations > planned.at + 100; /* one long line search at most */
        break;
    case FAULT_CANCELLED:
        outcome = r->outcome == PERI_INTERRUPTED || is_solved(r->outcome) || r->outcome == undisturbed->outcome;
        late = planned.evaluations > planned.at;
        break;
    case FAULT_CALLBACK:
        status = r->status == PERI_E_CALLBACK;
        late = planned.evaluations > planned.at;
        break;
    case FAULT_NUMERIC:
    case FAULT_NUMERIC_AFTER:
        status = status || r->status == PERI_E_NUMERIC;
        outcome = is_solved(r->outcome) || r->outcome == PERI_NUMERICAL_ERROR || r->outcome == PERI_FEASIBLE ||
                  r->outcome == PERI_ITERATION_LIMIT || r->outcome == undisturbed->outcome;
        break;
    case FAULT_ALLOC:
    case FAULT_ALLOC_AFTER:
        status = r->status == PERI_E_NOMEM;
        break;
    }
    t->wrong_status += !status;
    t->wrong_outcome += status && r->status == PERI_OK && !outcome;
    t->late += late;
    if (!status && t->example[0] == '\0')
        snprintf(t->example, sizeof t->example, "k = %lld: %s, %.150s", (long long)planned.at,
                 peri_status_name(r->status), peri_error(planned.ctx));
    else if (!outcome && t->example[0] == '\0')
        snprintf(t->example, sizeof t->example, "k = %lld: %s", (long long)planned.at, peri_outcome_name(r->outcome));
}

/* One run with the fault; false when it was over before. */
static bool one_run(peri_context *ctx, const registry_entry *e, const contract_problem *p, const peri_solve_args *args,
                    const contract_result *undisturbed, const peri_host *faulty, tally *t)
{
    int64_t before = 0, after = 0;
    before = contract_blocks(ctx);
    peri_model *m = contract_model(ctx, p);
    contract_at("%s, %s at evaluation or allocation %lld", p->name, fault_names[planned.kind], (long long)planned.at);
    give_host(e, faulty);
    const contract_result r = contract_solve(m, args);
    give_host(e, real);
    peri_clear_interrupt(ctx);
    if (planned.fired) {
        judge(&r, undisturbed, t);
        const contract_result again = contract_solve(m, args);
        t->differs += !contract_same(&again, undisturbed);
        t->tried++;
    }
    peri_model_free(m);
    after = contract_blocks(ctx);
    t->leaks += after != before;
    t->grown += after - before;
    return planned.fired;
}

static void test_kind(peri_context *ctx, const registry_entry *e, const contract_problem *p, fault_kind kind,
                      const contract_result *undisturbed)
{
    peri_host faulty = *real;
    const peri_setting setting = {.key = "iterations", .type = PERI_VALUE_NUMBER, .number = 500};
    const peri_solve_args args = {.plan = e->name, .n_settings = 1, .settings = &setting};
    tally t = {0};
    faulty.eval_f = faulty_f;
    faulty.eval_fg = faulty_fg;
    faulty.eval_c = faulty_c;
    faulty.eval_jac = faulty_jac;
    faulty.eval_hess = faulty_hess;
    faulty.eval_jv = faulty_jv;
    faulty.eval_vj = faulty_vj;
    faulty.eval_hv = faulty_hv;
    faulty.prox_smooth = faulty_prox_smooth;
    faulty.eval_residuals = faulty_residuals;
    faulty.eval_residual_jac = faulty_residual_jac;
    faulty.factor_values = faulty_factor_values;
    faulty.factor_solve = faulty_factor_solve;
    faulty.alloc = faulty_alloc;
    faulty.eval_f_batch = faulty_f_batch;
    peri_inner_table inner = *real->inner;
    inner.solve = faulty_inner;
    faulty.inner = &inner;
    for (int64_t k = 1, more = 1; more; k += tap_long() ? 1 : 1 + k / 6) {
        memset(&planned, 0, sizeof planned);
        planned.kind = kind;
        planned.at = k;
        planned.ctx = ctx;
        more = one_run(ctx, e, p, &args, undisturbed, &faulty, &t);
    }
    const char *what = fault_names[kind];
    if ((is_alloc(kind) || is_numeric(kind)) && t.tried == 0) {
        skip(1, "%s: %s: %s", e->name, p->name, is_alloc(kind) ? "allocates nothing of the run's memory" : "solves no linear systems");
        return;
    }
    ok(t.tried > 0, "%s: %s: %s at %lld places", e->name, p->name, what, (long long)t.tried);
    if (!is_int(t.wrong_status + t.wrong_outcome, 0, "%s: %s: %s ends as it should", e->name, p->name, what))
        diag("%s", t.example);
    is_int(t.late, 0, "%s: %s: %s ends the run at once", e->name, p->name, what);
    is_int(t.differs, 0, "%s: %s: after %s the next run is the undisturbed one", e->name, p->name, what);
    is_int(contract_leaks(e, t.leaks, t.grown), 0, "%s: %s: %s leaks nothing", e->name, p->name, what);
}

void contract_faults(peri_context *ctx, const registry_entry *e, const contract_problem *p)
{
    const peri_setting setting = {.key = "iterations", .type = PERI_VALUE_NUMBER, .number = 500};
    const peri_solve_args args = {.plan = e->name, .n_settings = 1, .settings = &setting};
    real = host_table();
    if (!ok(give_host(e, real), "%s: its entry function can be called again", e->name))
        return;
    peri_model *m = contract_model(ctx, p);
    const contract_result undisturbed = contract_solve(m, &args);
    peri_model_free(m);
    for (fault_kind kind = FAULT_DOMAIN; kind <= FAULT_ALLOC_AFTER; kind++)
        test_kind(ctx, e, p, kind, &undisturbed);
}
