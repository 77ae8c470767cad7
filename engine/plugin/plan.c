/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c - which plugins solve a problem. A plan is a chain "reformulation > ... > solver", named by the user, or found: the
 * shortest chain of automatic plugins whose requirements the traits meet, of those the one of the highest rank. Nothing is
 * loaded: traits and ranks are in the index. The first link is compared with the problem as it is; what a reformulation hands
 * on is foretold from the traits that its table removes and adds, and looked at as it is once it was made (run/inner.c).
 * Whether second derivatives exist as a sparse matrix is asked of the problem only when the answer decides. Invariant: each
 * candidate looked at has one line of reason.
 */
#include "plugin/internal.h"
#include "plugin/match.h"

#include <stdio.h>
#include <string.h>

/* ---- one candidate
 * ---------------------------------------------------------------------------------------------------------- */

/* Traits that are optimistic until work was done for them. */
static const uint64_t COSTLY =
    PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN) | PERI_BIT(PERI_TRAIT_PROX) | PERI_BIT(PERI_TRAIT_COMPACT) | PERI_BIT(PERI_TRAIT_ACYCLIC);

/* Does it fit? First by what is known without work; with `exact` what has to be derived is, when all else fits. */
static peri_status try_fit(nlp *p, const registry_entry *e, bool exact, bool *good, char *why, size_t size)
{
    uint64_t traits = 0;
    TRY(nlp_traits(p, 0, &traits));
    *good = match_traits(traits, e->needs, e->refuses, why, size);
    if (!*good || !exact || ((e->needs | e->refuses) & COSTLY) == 0)
        return PERI_OK;
    TRY(nlp_traits(p, COSTLY, &traits));
    *good = match_traits(traits, e->needs, e->refuses, why, size);
    return PERI_OK;
}

static void add_reason(text_buffer *reasons, const char *name, const char *reason)
{
    if (reasons != NULL)
        text_add(reasons, "%s: %s\n", name, reason);
}

/* What level 0's own rows are as functions of answers: a reformulation that takes the rows of lower levels away leaves them. */
static uint64_t rows_above(nlp *p)
{
    const fail_record before = p->ctx->error;
    const nlp_levels *all;
    if (nlp_get_levels(p, &all) != PERI_OK) {
        p->ctx->error = before; /* out of memory: whoever needs more of it next says so */
        return 0;
    }
    const uint64_t rows = all->at[0].class_.traits & (PERI_BIT(PERI_TRAIT_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_EQUALITIES));
    return rows != 0 ? rows | PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS) : 0;
}

/* What a problem with these traits becomes by one link, as far as its table tells. */
static uint64_t made_by(nlp *p, const registry_entry *e, uint64_t traits)
{
    const uint64_t made = (traits & ~e->removes) | e->adds;
    const bool takes_rows = (traits & ~made & PERI_BIT(PERI_TRAIT_LEVELS)) != 0 && (e->removes & PERI_BIT(PERI_TRAIT_CONSTRAINTS)) != 0;
    return takes_rows ? made | rows_above(p) : made;
}

/* And by all links of the chain. */
static uint64_t foretold(nlp *p, const plan_chain *chain, uint64_t traits)
{
    for (int64_t k = 0; k < chain->n; k++)
        traits = made_by(p, chain->link[k], traits);
    return traits;
}

void plan_text(const plan_chain *chain, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (int64_t k = 0; k < chain->n && at < size; k++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", k > 0 ? " > " : "", chain->link[k]->name);
}

static int64_t rank_of(const plan_chain *chain)
{
    int64_t rank = 0;
    for (int64_t k = 0; k < chain->n; k++)
        rank += chain->link[k]->rank;
    return rank;
}

/* ---- problems with lower models
 * ---------------------------------------------------------------------------------------------------- */

static bool takes_levels(const registry_entry *e)
{
    return (e->kind == PERI_KIND_SOLVER || e->kind == PERI_KIND_REFORMULATION) && (e->needs & PERI_BIT(PERI_TRAIT_LEVELS)) != 0;
}

/* "; methods that take them: lv-hba, kkt > ..." */
static void list_methods(registry *r, char *out, size_t size)
{
    size_t at = 0;
    for (int64_t i = 0; i < registry_count(r) && at < size; i++) {
        const registry_entry *e = registry_at(r, i);
        if (takes_levels(e))
            at += (size_t)snprintf(out + at, size - at, "%s%s%s", at > 0 ? ", " : "; methods that take them: ", e->name,
                                   e->kind == PERI_KIND_REFORMULATION ? " > ..." : "");
    }
    if (at == 0)
        snprintf(out, size, "; no installed method takes them");
}

/* Behind "refuses lower models". */
static void add_methods(registry *r, uint64_t traits, const registry_entry *e, char *why, size_t size)
{
    const size_t at = strlen(why);
    if ((traits & PERI_BIT(PERI_TRAIT_LEVELS)) != 0 && !takes_levels(e))
        list_methods(r, why + at, size - at);
}

/* ---- the engine's choice: a solver alone
 * ---------------------------------------------------------------------------------------------------- */

/* Of the plugins of a kind not yet looked at, the one of highest rank (then the first by name); NULL: none is left. */
static registry_entry *next_by_rank(registry *r, uint32_t kind, unsigned char *seen)
{
    int64_t best = -1;
    for (int64_t i = 0; i < registry_count(r); i++) {
        const registry_entry *e = registry_at(r, i);
        if (e->kind == kind && !seen[i] && (best < 0 || e->rank > registry_at(r, best)->rank))
            best = i;
    }
    if (best < 0)
        return NULL;
    seen[best] = 1;
    return registry_at(r, best);
}

/* A search for the shortest chain behind `before`, which the user named, or for the whole. */
typedef struct {
    nlp *p;
    registry *r;
    uint64_t traits; /* of the problem, or foretold of what `before` makes */
    bool exact;      /* they are the problem's: the sparse Hessian may be asked for */
    bool all;        /* reasons are wanted for those behind the choice too */
    uint64_t refused, needed; /* by some automatic plugin: a reformulation that touches none of these brings no solver nearer */
    text_buffer lines;
    int64_t candidates;
    plan_chain chosen; /* n = 0: none yet */
} search;

/* One solver's line; it is chosen when it is the first automatic one that fits. */
static peri_status weigh(search *s, registry_entry *e)
{
    char line[600], why[512];
    const bool candidate = s->chosen.n == 0 && (e->flags & PERI_FLAG_AUTOMATIC) != 0;
    if ((s->traits & PERI_BIT(PERI_TRAIT_LEVELS)) != 0 && !takes_levels(e))
        return PERI_OK; /* all others alike; not worth a line each */
    bool good = match_traits(s->traits, e->needs, e->refuses, why, sizeof why);
    if (s->exact) /* those behind the choice are judged by what is known without work */
        TRY(try_fit(s->p, e, candidate, &good, why, sizeof why));
    if (!good)
        snprintf(line, sizeof line, "%s", why);
    else if ((e->flags & PERI_FLAG_AUTOMATIC) == 0)
        snprintf(line, sizeof line, "fits, used only when named");
    else
        snprintf(line, sizeof line, "fits, rank %d%s", (int)e->rank, candidate ? "; chosen" : "");
    add_reason(&s->lines, e->name, line);
    if (good && candidate)
        s->chosen = (plan_chain){1, {e}};
    return PERI_OK;
}

static peri_status weigh_solvers(search *s)
{
    peri_status status = PERI_OK;
    unsigned char *seen = mem_array(&s->p->ctx->mem, (size_t)registry_count(s->r), 1);
    if (seen == NULL)
        return FAIL_NOMEM(s->p->ctx);
    for (registry_entry *e = NULL; status == PERI_OK && (e = next_by_rank(s->r, PERI_KIND_SOLVER, seen)) != NULL;
         s->candidates++) {
        status = weigh(s, e);
        if (s->chosen.n > 0 && !s->all)
            break;
    }
    mem_array_free(&s->p->ctx->mem, seen);
    return status;
}

/* ---- the engine's choice: chains
 * ---------------------------------------------------------------------------------------------------- */

enum { SEARCHED = 3 }; /* links of the longest chain that is looked for */

/* The chain with the automatic solver of highest rank behind it: chain->n grows by one where there is one. */
static void add_solver(const search *s, uint64_t traits, plan_chain *chain)
{
    registry_entry *best = NULL;
    for (int64_t i = 0; i < registry_count(s->r); i++) {
        registry_entry *e = registry_at(s->r, i);
        const bool good = e->kind == PERI_KIND_SOLVER && (e->flags & PERI_FLAG_AUTOMATIC) != 0 &&
                          match_traits(traits, e->needs, e->refuses, NULL, 0);
        if (good && (best == NULL || e->rank > best->rank))
            best = e;
    }
    if (best != NULL)
        chain->link[chain->n++] = best;
}

static bool is_in(const plan_chain *chain, const registry_entry *e)
{
    for (int64_t k = 0; k < chain->n; k++)
        if (chain->link[k] == e)
            return true;
    return false;
}

static void compare(search *s, const plan_chain *chain, plan_chain *best)
{
    char text[256], line[96];
    const bool late = s->chosen.n > 0; /* a shorter one was chosen */
    plan_text(chain, text, sizeof text);
    snprintf(line, sizeof line, "fits, rank %lld%s", (long long)rank_of(chain), late ? ", longer than the chosen plan" : "");
    add_reason(&s->lines, text, line);
    if (best->n == 0 || rank_of(chain) > rank_of(best))
        *best = *chain;
}

/* All chains of `length` links that begin with `chain`, whose last link makes problems with `traits`. */
static peri_status extend(search *s, plan_chain *chain, uint64_t traits, int64_t length, plan_chain *best)
{
    char why[512];
    if (chain->n == length - 1) {
        plan_chain whole = *chain;
        add_solver(s, traits, &whole);
        if (whole.n == length)
            compare(s, &whole, best);
        return PERI_OK;
    }
    for (int64_t i = 0; i < registry_count(s->r); i++) {
        registry_entry *e = registry_at(s->r, i);
        if (e->kind != PERI_KIND_REFORMULATION || (e->flags & PERI_FLAG_AUTOMATIC) == 0 || is_in(chain, e))
            continue;
        bool good = match_traits(traits, e->needs, e->refuses, why, sizeof why);
        if (good && chain->n == 0 && s->exact)
            TRY(try_fit(s->p, e, true, &good, why, sizeof why));
        const bool is_told = takes_levels(e) || (s->traits & PERI_BIT(PERI_TRAIT_LEVELS)) == 0;
        if (!good && chain->n == 0 && length == 2 && s->chosen.n == 0 && is_told)
            add_reason(&s->lines, e->name, why);
        plan_chain longer = *chain;
        longer.link[longer.n++] = e;
        const uint64_t made = made_by(s->p, e, traits);
        if (good && (((traits & ~made) & s->refused) | ((made & ~traits) & s->needed)) != 0)
            TRY(extend(s, &longer, made, length, best));
    }
    return PERI_OK;
}

static peri_status choose_automatic(nlp *p, registry *r, text_buffer *reasons, plan_chain *before);

/* Reformulations of problems with lower models that are there for the asking, each with the engine's choice behind it. */
static void tell_named(search *s)
{
    for (int64_t i = 0; i < registry_count(s->r); i++) {
        registry_entry *e = registry_at(s->r, i);
        plan_chain whole = {1, {e}};
        char text[256], why[512];
        if (e->kind != PERI_KIND_REFORMULATION || (e->flags & PERI_FLAG_AUTOMATIC) != 0 || !takes_levels(e))
            continue;
        const bool good = match_traits(s->traits, e->needs, e->refuses, why, sizeof why);
        const fail_record error = s->p->ctx->error;
        if (good && choose_automatic(s->p, s->r, NULL, &whole) != PERI_OK) {
            snprintf(why, sizeof why, "fits, but nothing that is chosen automatically does behind it");
            s->p->ctx->error = error;
        } else if (good) {
            snprintf(why, sizeof why, "fits, used only when named");
        }
        plan_text(&whole, text, sizeof text);
        add_reason(&s->lines, text, why);
    }
}

static peri_status weigh_chains(search *s)
{
    s->refused = PERI_BIT(PERI_TRAIT_LEVELS) | PERI_BIT(PERI_TRAIT_MULTILEVEL); /* by all that do not ask for them */
    for (int64_t i = 0; i < registry_count(s->r); i++) {
        const registry_entry *e = registry_at(s->r, i);
        const bool counts = (e->kind == PERI_KIND_SOLVER || e->kind == PERI_KIND_REFORMULATION) && (e->flags & PERI_FLAG_AUTOMATIC);
        s->refused |= counts ? e->refuses : 0;
        s->needed |= counts ? e->needs : 0;
    }
    uint64_t known = s->traits;
    if (s->exact) /* what the search for a solver alone has found out about the Hessian is known by now */
        TRY(nlp_traits(s->p, 0, &known));
    s->traits &= known;
    if ((s->traits & PERI_BIT(PERI_TRAIT_LEVELS)) != 0 && s->all)
        tell_named(s);
    for (int64_t length = 2; length <= SEARCHED; length++) {
        plan_chain none = {0}, best = {0};
        TRY(extend(s, &none, s->traits, length, &best));
        if (s->chosen.n > 0)
            break; /* longer ones still are of no interest to anybody */
        if (best.n > 0) {
            char text[256];
            s->chosen = best;
            plan_text(&best, text, sizeof text);
            add_reason(&s->lines, text, "the highest rank of the shortest that fit; chosen");
            break;
        }
    }
    return PERI_OK;
}

/* The candidates' lines as one, parted by "; ". */
static peri_status fail_nothing_fits(const search *s)
{
    nlp *p = s->p;
    char text[900] = "";
    size_t at = 0;
    if (s->candidates == 0)
        return FAIL(p->ctx, PERI_E_UNSUPPORTED, "no solver is installed");
    if ((s->traits & PERI_BIT(PERI_TRAIT_LEVELS)) != 0 && s->lines.n == 0) {
        list_methods(s->r, text, sizeof text);
        return FAIL(p->ctx, PERI_E_UNSUPPORTED, "model \"%s\" has lower models%s", p->model->name, text);
    }
    for (const char *line = s->lines.at; line != NULL && *line != '\0' && at < sizeof text;
         line = strchr(line, '\n') + 1) {
        const int n = (int)strcspn(line, "\n");
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s", at > 0 ? "; " : "", n, line);
    }
    return FAIL(p->ctx, PERI_E_UNSUPPORTED, "no installed solver fits this %s: %s", p->class_.class_name, text);
}

static peri_status look(search *s)
{
    s->chosen.n = s->candidates = 0;
    TRY(weigh_solvers(s));
    return s->chosen.n == 0 || s->all ? weigh_chains(s) : PERI_OK;
}

/* Of the traits that are optimistic, those that the choice rests on behind a reformulation: nobody has asked for them yet. */
static uint64_t rests_on(const search *s)
{
    uint64_t needed = 0;
    for (int64_t k = s->exact ? 1 : 0; k < s->chosen.n; k++)
        needed |= s->chosen.link[k]->needs & COSTLY;
    return needed;
}

/* The best continuation of `before`, which may be empty, is put behind it. */
static peri_status choose_automatic(nlp *p, registry *r, text_buffer *reasons, plan_chain *before)
{
    search s = {.p = p, .r = r, .exact = before->n == 0, .all = reasons != NULL};
    uint64_t traits = 0, before_asking = 0;
    peri_status status = nlp_traits(p, 0, &traits);
    text_init(&s.lines, &p->ctx->mem);
    while (status == PERI_OK && traits != before_asking) { /* each round takes away a trait that is not there: few rounds */
        before_asking = traits;
        s.traits = foretold(p, before, traits);
        text_release(&s.lines);
        text_init(&s.lines, &p->ctx->mem);
        status = look(&s);
        if (status == PERI_OK && rests_on(&s) != 0) {
            uint64_t exact = 0;
            status = nlp_traits(p, rests_on(&s) & traits, &exact);
            traits &= exact | ~rests_on(&s);
        }
    }
    if (status == PERI_OK && s.lines.failed)
        status = FAIL_NOMEM(p->ctx);
    if (status == PERI_OK && reasons != NULL && (s.traits & PERI_BIT(PERI_TRAIT_LEVELS)) != 0)
        text_add(reasons, "solvers that do not ask for lower models: refuse this one\n");
    if (status == PERI_OK && reasons != NULL)
        text_put(reasons, s.lines.at != NULL ? s.lines.at : "", s.lines.n);
    if (status == PERI_OK && (s.chosen.n == 0 || before->n + s.chosen.n > PLAN_LONGEST))
        status = fail_nothing_fits(&s);
    for (int64_t k = 0; k < s.chosen.n && status == PERI_OK; k++)
        before->link[before->n++] = s.chosen.link[k];
    text_release(&s.lines);
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

/* One link more, the last of the text or not. */
static peri_status find_link(peri_context *ctx, registry *r, const char *plan, const char *name, bool last, registry_entry **e)
{
    const peri_status status = registry_find(r, name, 0, e);
    if (status != PERI_OK)
        return status == PERI_E_NAME && !last ? fail_prefix(ctx, "plan \"%s\"", plan)
               : status == PERI_E_NAME        ? registry_find(r, name, PERI_KIND_SOLVER, e)
                                              : status;
    if ((*e)->kind == PERI_KIND_REFORMULATION)
        return PERI_OK;
    if (last)
        return registry_find(r, name, PERI_KIND_SOLVER, e);
    return FAIL(ctx, PERI_E_UNSUPPORTED, "plan \"%s\": \"%s\" is a %s, must be a reformulation to stand before >", plan,
                name, kind_words((*e)->kind));
}

/* The text's links, without looking at the problem. */
static peri_status read_plan(peri_context *ctx, registry *r, const char *plan, plan_chain *chain)
{
    char name[NAME_SPACE];
    const char *at = plan;
    for (bool last = false; !last;) {
        registry_entry *e = NULL;
        TRY(next_name(ctx, plan, &at, name, &last));
        if (chain->n == PLAN_LONGEST)
            return FAIL(ctx, PERI_E_UNSUPPORTED, "plan \"%s\": more than %d links", plan, PLAN_LONGEST);
        TRY(find_link(ctx, r, plan, name, last, &e));
        if (is_in(chain, e))
            return FAIL(ctx, PERI_E_UNSUPPORTED, "plan \"%s\": \"%s\" stands there twice", plan, e->name);
        chain->link[chain->n++] = e;
    }
    return PERI_OK;
}

/* Behind a refusal of link k: what would do behind the links before it, if anything does. */
static void add_plan(nlp *p, registry *r, const plan_chain *chain, int64_t k, char *why, size_t size)
{
    const fail_record error = p->ctx->error;
    const size_t at = strlen(why);
    plan_chain other = *chain;
    char text[256];
    other.n = k;
    if (choose_automatic(p, r, NULL, &other) == PERI_OK && other.n > k) {
        plan_text(&other, text, sizeof text);
        snprintf(why + at, size - at, "; \"%s\" fits", text);
    }
    p->ctx->error = error;
}

static bool lacks_hessian(const nlp *p, const registry_entry *e)
{
    return p->hess_status != PERI_OK && (e->needs & PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN)) != 0;
}

static void add_why_no_hessian(const nlp *p, char *why, size_t size)
{
    const size_t at = strlen(why);
    snprintf(why + at, size - at, " (%s)", p->why_no_hess);
}

/* The first link against the problem, the others against what the links before them make, as far as that is certain. */
static peri_status check_named(nlp *p, registry *r, const plan_chain *chain, text_buffer *reasons)
{
    char why[900], line[1000];
    uint64_t traits = 0;
    TRY(nlp_traits(p, 0, &traits));
    for (int64_t k = 0; k < chain->n; k++) {
        const registry_entry *e = chain->link[k];
        bool good = match_traits(traits, e->needs, e->refuses, why, sizeof why);
        if (k == 0)
            TRY(try_fit(p, e, true, &good, why, sizeof why));
        const bool no_hessian = !good && k == 0 && lacks_hessian(p, e);
        if (!good)
            add_methods(r, traits, e, why, sizeof why);
        if (no_hessian)
            add_why_no_hessian(p, why, sizeof why);
        if (!good && (k > 0 || no_hessian))
            add_plan(p, r, chain, k, why, sizeof why);
        snprintf(line, sizeof line, "%s%s", k > 0 && !good ? "behind the links before it: " : "", why);
        add_reason(reasons, e->name, good ? "named, fits" : line);
        if (!good)
            return FAIL(p->ctx, PERI_E_UNSUPPORTED, "%s: %s", e->name, line);
        traits = made_by(p, e, traits);
    }
    return PERI_OK;
}

static peri_status choose_named(nlp *p, registry *r, const char *plan, text_buffer *reasons, plan_chain *chosen)
{
    plan_chain chain = {0};
    TRY(read_plan(p->ctx, r, plan, &chain));
    TRY(check_named(p, r, &chain, reasons));
    if (chain.link[chain.n - 1]->kind == PERI_KIND_REFORMULATION)
        TRY(choose_automatic(p, r, reasons, &chain));
    *chosen = chain;
    return PERI_OK;
}

/* ---- doors
 * ------------------------------------------------------------------------------------------------------------------ */

static bool is_blank(const char *plan)
{
    return plan == NULL || plan[strspn(plan, " \t")] == '\0';
}

peri_status plan_choose(nlp *p, const char *plan, text_buffer *reasons, plan_chain *chosen)
{
    registry *r = NULL;
    *chosen = (plan_chain){0};
    TRY(registry_get(p->ctx, &r));
    return is_blank(plan) ? choose_automatic(p, r, reasons, chosen) : choose_named(p, r, plan, reasons, chosen);
}

/* What each link of a chain is there for. */
static void put_steps(text_buffer *t, nlp *p, const plan_chain *chain, uint64_t traits)
{
    char gone[400];
    for (int64_t k = 0; k < chain->n && chain->n > 1; k++) {
        const registry_entry *e = chain->link[k];
        const uint64_t made = made_by(p, e, traits);
        match_words(traits & ~made, gone, sizeof gone);
        text_add(t, "  step %lld, %s: ", (long long)k + 1, e->name);
        if (e->kind == PERI_KIND_REFORMULATION)
            text_add(t, "takes the %s%s%s\n", k == 0 ? p->class_.class_name : "problem made before it",
                     gone[0] != '\0' ? " and makes problems without " : " and has it solved more than once", gone);
        else
            text_add(t, "solves the problems made before it\n");
        traits = made;
    }
}

peri_status plan_explain(peri_model *m, const char *plan, char **text)
{
    nlp *p = NULL;
    plan_chain chosen;
    text_buffer reasons, t;
    char words[256];
    uint64_t traits = 0;
    *text = NULL;
    TRY(nlp_of(m, &p));
    TRY(nlp_traits(p, 0, &traits));
    text_init(&reasons, &m->ctx->mem);
    text_init(&t, &m->ctx->mem);
    const peri_status status = plan_choose(p, plan, &reasons, &chosen);
    /* that nothing fits is an explanation too; an unknown name or a lack of memory is an error */
    if (status == PERI_OK || (status == PERI_E_UNSUPPORTED && reasons.n > 0)) {
        plan_text(&chosen, words, sizeof words);
        text_add(&t, "plan: %s\n", chosen.n > 0 ? words : "none, no installed solver fits");
        put_steps(&t, p, &chosen, traits);
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
