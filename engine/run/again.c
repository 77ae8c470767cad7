/* SPDX-License-Identifier: Apache-2.0 */
/*
 * again.c - the same model solved again and again, as in a control loop: the plan is kept with the view while what it was chosen for stays
 * the same, the solution is filled anew, and freed memory waits for the next solve. Invariant: a kept plan is the one that chain_choose
 * would find; what is kept changes no result.
 */
#include "run/internal.h"
#include <stdio.h>
#include <string.h>

/* Bytes of freed memory that wait at the most. */
static const size_t MOST_KEPT = (size_t)64 << 20;
/* Rows of history that are there from the beginning, so that a solve of some more iterations asks for nothing. */
enum { ROWS = 256 };

/* ---- the plan
 * ---------------------------------------------------------------------------------------------------------------- */

struct run_kept {
    run_chain chain;
    arena memory; /* of the copies that follow */
    const char *plan;
    int64_t n_settings;
    peri_setting *settings;
    uint64_t traits;   /* of the problem, as far as they were known when the chain had been chosen */
    int64_t installed; /* changes of the registry until then */
};

static void forget(struct run_kept *k)
{
    peri_context *ctx = k->chain.ctx;
    chain_release(&k->chain);
    arena_release(&k->memory);
    mem_free(&ctx->mem, k, sizeof *k);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_settings(const struct run_kept *k, const peri_solve_args *args)
{
    if (k->n_settings != args->n_settings)
        return false;
    for (int64_t i = 0; i < args->n_settings; i++) {
        const peri_setting *a = &k->settings[i], *b = &args->settings[i];
        if (a->type != b->type || memcmp(&a->number, &b->number, sizeof a->number) != 0 || !same_text(a->key, b->key) ||
            !same_text(a->text, b->text))
            return false;
    }
    return true;
}

static bool copy_text(arena *a, const char *text, const char **copy)
{
    *copy = text != NULL ? arena_string(a, text) : NULL;
    return (*copy == NULL) == (text == NULL);
}

static bool copy_request(struct run_kept *k, const peri_solve_args *args)
{
    k->n_settings = args->n_settings;
    k->settings = arena_array(&k->memory, (size_t)args->n_settings, sizeof *k->settings);
    bool ok = k->settings != NULL && copy_text(&k->memory, args->plan, &k->plan);
    for (int64_t i = 0; i < args->n_settings && ok; i++) {
        k->settings[i] = args->settings[i];
        ok = copy_text(&k->memory, args->settings[i].key, &k->settings[i].key) &&
             copy_text(&k->memory, args->settings[i].text, &k->settings[i].text);
    }
    return ok;
}

/* Whether a proximal form exists depends on data that traits do not tell. */
static bool rests_on_data(const run_chain *chain)
{
    return (chain->link[0].plugin->needs[0] & (PERI_BIT(PERI_TRAIT_PROX) | PERI_BIT(PERI_TRAIT_COMPACT))) != 0;
}

static peri_status choose(nlp *p, const peri_solve_args *args, struct run_kept *k)
{
    TRY(chain_choose(&k->chain, p, args->plan, args));
    if (!copy_request(k, args))
        return FAIL_NOMEM(p->ctx);
    return nlp_traits(p, 0, &k->traits); /* more is known of them now than before the choice */
}

peri_status chain_again(nlp *p, const peri_solve_args *args, const run_chain **chain)
{
    registry *r;
    uint64_t traits;
    struct run_kept *k = p->kept;
    TRY(registry_get(p->ctx, &r));
    TRY(nlp_traits(p, 0, &traits));
    if (k != NULL && k->traits == traits && k->installed == registry_changes(r) && !rests_on_data(&k->chain) &&
        same_text(k->plan, args->plan) && same_settings(k, args)) {
        *chain = &k->chain;
        return PERI_OK;
    }
    p->kept = NULL;
    if (k != NULL)
        forget(k);
    k = mem_alloc(&p->ctx->mem, sizeof *k);
    if (k == NULL)
        return FAIL_NOMEM(p->ctx);
    k->chain.ctx = p->ctx;
    k->installed = registry_changes(r);
    arena_init(&k->chain.memory, &p->ctx->mem);
    arena_init(&k->memory, &p->ctx->mem);
    const peri_status status = choose(p, args, k);
    if (status != PERI_OK) {
        forget(k);
        return status;
    }
    p->kept = k;
    p->kept_free = forget;
    *chain = &k->chain;
    return PERI_OK;
}

/* ---- the door
 * ---------------------------------------------------------------------------------------------------------------- */

peri_status peri_model_resolve(peri_model *m, const peri_solve_args *args, peri_solution **solution)
{
    peri_solution *into = *solution, *out;
    mem *a = &m->ctx->mem;
    if (into != NULL && into->model != m)
        return FAIL(m->ctx, PERI_E_ARGUMENT, "resolve: the solution is of another model, \"%s\"", into->model->name);
    mem_keep(a, MOST_KEPT);
    peri_status status = run_solve(m, args, into, &out);
    if (status == PERI_OK && (!vec_reserve(a, &out->history, ROWS) || (out->n == 2 && !vec_reserve(a, &out->path, 2 * ROWS)))) {
        status = FAIL_NOMEM(m->ctx);
        if (into == NULL)
            peri_solution_free(out);
    }
    if (status == PERI_OK)
        *solution = out;
    else if (into != NULL) {
        into->outcome = PERI_ERROR;
        snprintf(into->message, sizeof into->message, "%.255s", peri_error(m->ctx));
    }
    return status;
}
