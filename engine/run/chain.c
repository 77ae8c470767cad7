/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.c - a plan made ready: its plugins loaded, and every setting given to the link that it belongs to. "NAME.option" is for the
 * link of that name, the engine's options included ("lbfgs.iterations"). Without a name, the engine's options are those of the whole
 * solve, and any other belongs to the first link that has it. Invariant: all settings are read and checked before anything is solved.
 */
#include "run/factor.h"
#include "run/internal.h"
#include <stdio.h>
#include <string.h>

/* ---- which link
 * ---------------------------------------------------------------------------------------------------------------- */

static bool has_option(const peri_plugin *p, const char *name)
{
    for (uint32_t i = 0; i < p->n_options; i++)
        if (strcmp(p->options[i].name, name) == 0)
            return true;
    return false;
}

/* "lbfgs (memory, ...)": no link has it; the nearest of all names of all links. */
static peri_status fail_unknown(const run_chain *chain, const char *key)
{
    char near[160], plan[160] = "";
    size_t n = (size_t)option_n_engine_names, at = 0;
    for (int64_t k = 0; k < chain->n; k++)
        n += chain->link[k].plugin->n_options;
    const char **names = mem_array(&chain->ctx->mem, n, sizeof *names);
    if (names == NULL)
        return FAIL_NOMEM(chain->ctx);
    n = 0;
    for (int64_t k = 0; k < chain->n; k++)
        for (uint32_t i = 0; i < chain->link[k].plugin->n_options; i++)
            names[n++] = chain->link[k].plugin->options[i].name;
    for (int64_t i = 0; i < option_n_engine_names; i++)
        names[n++] = option_engine_names[i];
    fail_nearest(key, names, (int64_t)n, near, sizeof near);
    mem_array_free(&chain->ctx->mem, names);
    for (int64_t k = 0; k < chain->n && at < sizeof plan; k++)
        at += (size_t)snprintf(plan + at, sizeof plan - at, "%s%s", k > 0 ? " > " : "", chain->link[k].plugin->name);
    return FAIL(chain->ctx, PERI_E_OPTION, "%s: no option \"%.80s\"%s", plan, key, near);
}

/* "NAME.option" with the name of no link and of no linear solver. */
static peri_status fail_link(const run_chain *chain, const char *key, size_t length)
{
    char near[160], name[80];
    const char *names[PLAN_LONGEST];
    for (int64_t k = 0; k < chain->n; k++)
        names[k] = chain->link[k].plugin->name;
    snprintf(name, sizeof name, "%.*s", (int)length, key);
    fail_nearest(name, names, chain->n, near, sizeof near);
    return FAIL(chain->ctx, PERI_E_OPTION, "option \"%.80s\": the plan has no link \"%s\"%s", key, name, near);
}

/* The link that a setting is for, -1 where it is a linear solver's (read when that is opened); *bare: the option's own name. */
static peri_status route(const run_chain *chain, const char *key, int64_t *link, const char **bare)
{
    const char *dot = strchr(key, '.');
    bool factor;
    *link = -1;
    *bare = key;
    for (int64_t k = 0; dot != NULL && k < chain->n && *link < 0; k++) {
        const char *name = chain->link[k].plugin->name;
        if (strlen(name) == (size_t)(dot - key) && strncmp(name, key, strlen(name)) == 0)
            *link = k;
    }
    if (*link >= 0) {
        *bare = dot + 1;
        return PERI_OK;
    }
    TRY(factor_check_setting(chain->ctx, key, &factor));
    if (factor)
        return PERI_OK;
    if (dot != NULL && chain->n > 1)
        return fail_link(chain, key, (size_t)(dot - key));
    if (limits_is_option(key)) {
        *link = 0;
        return PERI_OK;
    }
    for (int64_t k = 0; k < chain->n && *link < 0; k++)
        if (has_option(chain->link[k].plugin, key))
            *link = k;
    if (*link < 0 && chain->n > 1)
        return fail_unknown(chain, key);
    *link = *link < 0 ? 0 : *link; /* a solver alone says itself that it has no such option */
    return PERI_OK;
}

/* ---- reading
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status set(run_chain *chain, run_link *link, const peri_setting *given, const char *bare)
{
    peri_setting s = *given;
    s.key = bare;
    if (!limits_is_option(bare))
        return option_set(chain->ctx, link->plugin, &s, link->options, &chain->memory);
    link->has_tolerance = link->has_tolerance || strncmp(bare, "tol", 3) == 0;
    link->has_iterations = link->has_iterations || strcmp(bare, "iterations") == 0;
    return limits_set(chain->ctx, &s, &link->engine, &chain->memory);
}

static peri_status defaults(run_chain *chain, int64_t k)
{
    run_link *link = &chain->link[k];
    link->options = arena_array(&chain->memory, 1, link->plugin->size_options);
    if (link->options == NULL)
        return FAIL_NOMEM(chain->ctx);
    TRY(limits_default(chain->ctx, &link->engine));
    if (k > 0) {
        link->engine.seed = chain->link[k - 1].engine.seed;
        link->engine.linear_solver = chain->link[k - 1].engine.linear_solver;
    }
    return option_defaults(chain->ctx, link->plugin, link->options);
}

peri_status chain_read(run_chain *chain, peri_context *ctx, const peri_solve_args *args)
{
    chain->ctx = ctx;
    chain->args = args;
    arena_init(&chain->memory, &ctx->mem);
    for (int64_t k = 0; k < chain->n; k++) {
        TRY(defaults(chain, k));
        for (int64_t i = 0; i < args->n_settings; i++) {
            int64_t link;
            const char *bare;
            TRY(route(chain, args->settings[i].key, &link, &bare));
            if (link == k)
                TRY(set(chain, &chain->link[k], &args->settings[i], bare));
        }
    }
    return PERI_OK;
}

peri_status chain_choose(run_chain *chain, nlp *p, const char *plan, const peri_solve_args *args)
{
    registry *r;
    plan_chain chosen;
    *chain = (run_chain){.ctx = p->ctx};
    arena_init(&chain->memory, &p->ctx->mem);
    TRY(registry_get(p->ctx, &r));
    TRY(plan_choose(p, plan, NULL, &chosen));
    for (int64_t k = 0; k < chosen.n; k++)
        TRY(registry_load(r, chosen.link[k], &chain->link[k].plugin));
    chain->n = chosen.n;
    plan_text(&chosen, chain->text, sizeof chain->text);
    return chain_read(chain, p->ctx, args);
}

void chain_release(run_chain *chain)
{
    arena_release(&chain->memory);
}
