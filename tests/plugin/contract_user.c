/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract_user.c - a user's own function that gives NaN, infinity, "undefined here" or an error at its k-th call, as
 * value or as gradient, for k = 1, 2, ... until a run makes fewer calls. The function: (x1 - 1.3)^2 + 3 (x2 + 0.7)^2 +
 * 0.25 (x1 x2)^2, smooth, with one minimum. Asked of the solvers that need no second derivatives.
 */
#include "contract.h"
#include "tap/tap.h"
#include "unit/text_model.h"

typedef enum {
    VALUE_NAN,
    VALUE_INFINITE,
    VALUE_UNDEFINED,
    VALUE_ERROR,
    GRADIENT_NAN,
    GRADIENT_UNDEFINED,
    N_USER_FAULTS
} user_fault;

static const char *const fault_names[] = {"a NaN",          "an infinity",         "an undefined value",
                                          "a user's error", "a NaN in a gradient", "an undefined gradient"};

typedef struct {
    user_fault fault;
    int64_t at, values, gradients; /* at 0: never */
} user_state;

static int value(void *ud, int64_t n, const double *x, double *f)
{
    user_state *u = ud;
    const double a = x[0] - 1.3, b = x[1] + 0.7, c = x[0] * x[1];
    const bool hit = ++u->values == u->at && u->fault < GRADIENT_NAN;
    (void)n;
    *f = a * a + 3 * b * b + 0.25 * c * c;
    if (hit && u->fault == VALUE_NAN)
        *f = NAN;
    if (hit && u->fault == VALUE_INFINITE)
        *f = INFINITY;
    return !hit || u->fault < VALUE_UNDEFINED ? 0 : u->fault == VALUE_UNDEFINED ? 1 : -1;
}

static int gradient(void *ud, int64_t n, const double *x, double *g)
{
    user_state *u = ud;
    const bool hit = ++u->gradients == u->at && u->fault >= GRADIENT_NAN;
    (void)n;
    g[0] = 2 * (x[0] - 1.3) + 0.5 * x[0] * x[1] * x[1];
    g[1] = 6 * (x[1] + 0.7) + 0.5 * x[0] * x[0] * x[1];
    if (hit && u->fault == GRADIENT_NAN)
        g[1] = NAN;
    return hit && u->fault == GRADIENT_UNDEFINED;
}

static peri_model *user_model(peri_context *ctx, user_state *u)
{
    const peri_function fn = {.name = "user", .ud = u, .value = value, .gradient = gradient};
    const double start[] = {-1.2, 2.385};
    text_model t = text_new(ctx, 2, start);
    peri_expr f = PERI_NO_EXPR;
    text_check(&t, peri_expr_call(t.m, &fn, t.x, &f));
    text_check(&t, peri_model_minimize(t.m, f));
    return t.m;
}

static bool takes_it(peri_model *m, const registry_entry *e)
{
    nlp *p = NULL;
    uint64_t traits = 0;
    return nlp_of(m, &p) == PERI_OK && nlp_traits(p, e->needs | e->refuses, &traits) == PERI_OK &&
           match_traits(traits, e->needs, e->refuses, NULL, 0);
}

static void test_fault(peri_context *ctx, const registry_entry *e, user_fault fault, const contract_result *undisturbed)
{
    const peri_solve_args args = {.plan = e->name};
    int64_t wrong = 0, differs = 0, leaks = 0, grown = 0, tried = 0, bad = 0;
    for (int64_t k = 1, more = 1; more; k++) {
        int64_t before = 0, after = 0;
        user_state u = {.fault = fault, .at = k};
        before = contract_blocks(ctx);
        peri_model *m = user_model(ctx, &u);
        contract_at("a user's function with %s at call %lld", fault_names[fault], (long long)k);
        const contract_result r = contract_solve(m, &args);
        const bool hit = (fault < GRADIENT_NAN ? u.values : u.gradients) >= k;
        more = hit && k < 400;
        tried += hit;
        wrong += fault == VALUE_ERROR && hit ? r.status != PERI_E_CALLBACK
                                              : r.status != PERI_OK && r.status != PERI_E_DOMAIN;
        bad += r.status == PERI_OK && !(isfinite(r.x[0]) && isfinite(r.x[1]));
        u = (user_state){.fault = fault};
        const contract_result again = contract_solve(m, &args);
        differs += !contract_same(&again, undisturbed);
        peri_model_free(m);
        after = contract_blocks(ctx);
        leaks += before != after;
        grown += after - before;
    }
    ok(tried > 0, "%s: %s at %lld calls", e->name, fault_names[fault], (long long)tried);
    is_int(wrong, 0, "%s: %s ends as it should", e->name, fault_names[fault]);
    is_int(bad, 0, "%s: %s is in no solution", e->name, fault_names[fault]);
    is_int(differs, 0, "%s: after %s the next run is the undisturbed one", e->name, fault_names[fault]);
    is_int(contract_leaks(e, leaks, grown), 0, "%s: %s leaks nothing", e->name, fault_names[fault]);
}

void contract_user_faults(peri_context *ctx, const registry_entry *e)
{
    const peri_solve_args args = {.plan = e->name};
    user_state u = {0};
    peri_model *m = user_model(ctx, &u);
    const bool fits = takes_it(m, e);
    const contract_result undisturbed = fits ? contract_solve(m, &args) : (contract_result){0};
    peri_model_free(m);
    if (!fits) {
        skip(1, "%s: does not take functions without second derivatives", e->name);
        return;
    }
    ok(undisturbed.status == PERI_OK &&
           (undisturbed.outcome == PERI_OPTIMAL || undisturbed.outcome == PERI_LOCALLY_OPTIMAL),
       "%s: a user's function is minimized", e->name);
    for (user_fault fault = VALUE_NAN; fault < N_USER_FAULTS; fault++)
        test_fault(ctx, e, fault, &undisturbed);
}
