/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c - which solver a problem gets. A plan is a chain "reformulation > ... > solver", named by the user, or the
 * automatic solver of the highest rank that fits. Nothing is loaded: traits and ranks are in the index. Whether second
 * derivatives exist as a sparse matrix is asked of the problem only when the answer decides. Invariant: each candidate
 * looked at has one line of reason.
 */
#include "plugin/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- one candidate
 * ---------------------------------------------------------------------------------------------------------- */

/* Does it fit? First by what is known without work; with `exact` the sparse Hessian is derived when all else fits. */
static peri_status try_fit(nlp *p, const registry_entry *e, bool exact, bool *good, char *why, size_t size)
{
    const uint64_t costly = PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN);
    uint64_t traits = 0;
    TRY(nlp_traits(p, 0, &traits));
    *good = match_traits(traits, e->needs, e->refuses, why, size);
    if (!*good || !exact || ((e->needs | e->refuses) & costly) == 0)
        return PERI_OK;
    TRY(nlp_traits(p, costly, &traits));
    *good = match_traits(traits, e->needs, e->refuses, why, size);
    return PERI_OK;
}

static void add_reason(text_buffer *reasons, const char *name, const char *reason)
{
    if (reasons != NULL)
        text_add(reasons, "%s: %s\n", name, reason);
}

/* ---- the engine's choice
 * ---------------------------------------------------------------------------------------------------- */

/* Of the solvers not yet looked at, the one of highest rank (then the first by name); NULL: none is left. */
static registry_entry *next_by_rank(registry *r, unsigned char *seen)
{
    int64_t best = -1;
    for (int64_t i = 0; i < registry_count(r); i++) {
        const registry_entry *e = registry_at(r, i);
        if (e->kind == PERI_KIND_SOLVER && !seen[i] && (best < 0 || e->rank > registry_at(r, best)->rank))
            best = i;
    }
    if (best < 0)
        return NULL;
    seen[best] = 1;
    return registry_at(r, best);
}

/* One candidate's line; it becomes *chosen when it is the first automatic one that fits. */
static peri_status weigh(nlp *p, registry_entry *e, text_buffer *reasons, registry_entry **chosen)
{
    char line[600], why[512];
    const bool candidate = *chosen == NULL && (e->flags & PERI_FLAG_AUTOMATIC) != 0;
    bool good = false;
    TRY(try_fit(p, e, candidate, &good, why,
                sizeof why)); /* those behind the choice are judged by what is known without work */
    if (!good)
        snprintf(line, sizeof line, "%s", why);
    else if ((e->flags & PERI_FLAG_AUTOMATIC) == 0)
        snprintf(line, sizeof line, "fits, used only when named");
    else
        snprintf(line, sizeof line, "fits, rank %d%s", (int)e->rank, candidate ? "; chosen" : "");
    add_reason(reasons, e->name, line);
    if (good && candidate)
        *chosen = e;
    return PERI_OK;
}

/* The candidates' lines as one, parted by "; ". */
static peri_status fail_nothing_fits(nlp *p, const text_buffer *lines, int64_t candidates)
{
    char text[900] = "";
    size_t at = 0;
    if (candidates == 0)
        return FAIL(p->ctx, PERI_E_UNSUPPORTED, "no solver is installed");
    for (const char *line = lines->at; line != NULL && *line != '\0' && at < sizeof text;
         line = strchr(line, '\n') + 1) {
        const int n = (int)strcspn(line, "\n");
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s", at > 0 ? "; " : "", n, line);
    }
    return FAIL(p->ctx, PERI_E_UNSUPPORTED, "no installed solver fits this %s: %s", p->class_.class_name, text);
}

static peri_status choose_automatic(nlp *p, registry *r, text_buffer *reasons, registry_entry **chosen)
{
    text_buffer own;
    peri_status status = PERI_OK;
    int64_t candidates = 0;
    unsigned char *seen = mem_array(&p->ctx->mem, (size_t)registry_count(r), 1);
    if (seen == NULL)
        return FAIL_NOMEM(p->ctx);
    text_init(&own, &p->ctx->mem);
    for (registry_entry *e = NULL; status == PERI_OK && (e = next_by_rank(r, seen)) != NULL; candidates++) {
        status = weigh(p, e, &own, chosen);
        if (*chosen != NULL && reasons == NULL)
            break;
    }
    mem_array_free(&p->ctx->mem, seen);
    if (status == PERI_OK && own.failed)
        status = FAIL_NOMEM(p->ctx);
    if (status == PERI_OK && reasons != NULL)
        text_put(reasons, own.at != NULL ? own.at : "", own.n);
    if (status == PERI_OK && *chosen == NULL)
        status = fail_nothing_fits(p, &own, candidates);
    text_release(&own);
    return status;
}

/* ---- the user's plan
 * -------------------------------------------------------------------------------------------------------- */

enum { NAME_SPACE = 128 };

/* The next name of the chain into `name`; *last true when nothing follows it. */
static peri_status next_name(peri_context *ctx, const char *plan, const char **at, char name[NAME_SPACE], bool *last)
{
    const char *start = *at + strspn(*at, " \t"), *end = start + strcspn(start, ">");
    *last = *end == '\0';
    *at = *last ? end : end + 1;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (end == start)
        return FAIL(ctx, PERI_E_NAME,
                    "plan \"%s\": a name is missing, must be \"reformulation > solver\" or \"solver\"", plan);
    snprintf(name, NAME_SPACE, "%.*s", (int)(end - start), start);
    return PERI_OK;
}

/* A name before the last must be a reformulation. */
static peri_status refuse_link(peri_context *ctx, registry *r, const char *plan, const char *name)
{
    registry_entry *e = NULL;
    const peri_status status = registry_find(r, name, 0, &e);
    if (status != PERI_OK)
        return status == PERI_E_NAME ? fail_prefix(ctx, "plan \"%s\"", plan) : status;
    return FAIL(ctx, PERI_E_UNSUPPORTED, "plan \"%s\": \"%s\" is a %s, must be a reformulation to stand before >", plan,
                name, kind_words(e->kind));
}

static peri_status choose_named(nlp *p, registry *r, const char *plan, text_buffer *reasons, registry_entry **chosen)
{
    char name[NAME_SPACE], why[512];
    const char *at = plan;
    bool last = false;
    registry_entry *e = NULL;
    TRY(next_name(p->ctx, plan, &at, name, &last));
    if (!last)
        return refuse_link(p->ctx, r, plan, name);
    TRY(registry_find(r, name, PERI_KIND_SOLVER, &e));
    bool good = false;
    TRY(try_fit(p, e, true, &good, why, sizeof why));
    add_reason(reasons, e->name, good ? "named, fits" : why);
    if (!good)
        return FAIL(p->ctx, PERI_E_UNSUPPORTED, "%s: %s", e->name, why);
    *chosen = e;
    return PERI_OK;
}

/* ---- doors
 * ------------------------------------------------------------------------------------------------------------------ */

static bool is_blank(const char *plan)
{
    return plan == NULL || plan[strspn(plan, " \t")] == '\0';
}

peri_status plan_choose(nlp *p, const char *plan, text_buffer *reasons, registry_entry **chosen)
{
    registry *r = NULL;
    *chosen = NULL;
    TRY(registry_get(p->ctx, &r));
    return is_blank(plan) ? choose_automatic(p, r, reasons, chosen) : choose_named(p, r, plan, reasons, chosen);
}

peri_status plan_explain(peri_model *m, const char *plan, char **text)
{
    nlp *p = NULL;
    registry_entry *chosen = NULL;
    text_buffer reasons, t;
    *text = NULL;
    TRY(nlp_of(m, &p));
    text_init(&reasons, &m->ctx->mem);
    text_init(&t, &m->ctx->mem);
    const peri_status status = plan_choose(p, plan, &reasons, &chosen);
    /* that nothing fits is an explanation too; an unknown name or a lack of memory is an error */
    if (status == PERI_OK || (status == PERI_E_UNSUPPORTED && reasons.n > 0)) {
        text_add(&t, "plan: %s\n", chosen != NULL ? chosen->name : "none, no installed solver fits");
        for (const char *line = reasons.at; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1)
            text_add(&t, "  %.*s\n", (int)strcspn(line, "\n"), line);
    }
    const bool failed = reasons.failed || t.failed, empty = t.n == 0;
    text_release(&reasons);
    *text = empty ? NULL : text_take(&t);
    if (empty && status != PERI_OK)
        return status;
    if (failed || *text == NULL) {
        mem_array_free(&m->ctx->mem, *text);
        *text = NULL;
        return FAIL_NOMEM(m->ctx);
    }
    return PERI_OK;
}
