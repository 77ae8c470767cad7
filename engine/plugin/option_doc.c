/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_doc.c - a plugin's page, from its tables alone: what it is, what it needs and refuses, each option with
 * default, range and unit; as text for people and as JSON for programs.
 */
#include "io/json.h"
#include "plugin/internal.h"
#include "plugin/match.h"
#include "plugin/option.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 96 };

typedef struct {
    uint64_t bit;
    const char *name, *words;
} flag_name;

static const flag_name gives_names[] = {{PERI_GIVES_DUALS, "duals", "multipliers"},
                                        {PERI_GIVES_INERTIA, "inertia", "exact inertia"}};
static const flag_name flag_names[] = {
    {PERI_FLAG_AUTOMATIC, "automatic", "may be chosen when none is named"},
    {PERI_FLAG_WHOLE_RUN, "whole_run", "one step is the whole run"},
    {PERI_FLAG_RANDOM, "random", "uses random numbers"},
    {PERI_FLAG_GLOBAL, "global", "proves global optimality"},
    {PERI_FLAG_INDEFINITE, "indefinite", "symmetric indefinite systems"},
    {PERI_FLAG_QUASIDEFINITE, "quasidefinite", "quasi-definite systems"},
    {PERI_FLAG_DEFINITE, "definite", "positive definite systems"},
    {PERI_FLAG_GENERAL, "general", "square systems without symmetry"},
    {PERI_FLAG_LEAST_SQUARES, "least_squares", "least-squares systems"},
    {PERI_FLAG_ITERATIVE, "iterative", "operators known by their products"},
    {PERI_FLAG_DENSE, "dense", "works on dense storage"},
};

/* ---- text
 * ----------------------------------------------------------------------------------------------------------------- */

/* `words` filled into lines of WIDTH columns, each behind `indent` blanks; the first line is begun already. */
static void put_wrapped(text_buffer *t, const char *words, int indent)
{
    int column = indent;
    while (*words != '\0') {
        const int n = (int)strcspn(words, " \n");
        if (column > indent && column + 1 + n > WIDTH) {
            text_add(t, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            text_add(t, " ");
            column++;
        }
        text_put(t, words, (size_t)n);
        column += n;
        words += n;
        words += strspn(words, " \n");
    }
    text_add(t, "\n");
}

static void put_fact(text_buffer *t, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    text_add(t, "  %-12s", name);
    put_wrapped(t, value, 14);
}

/* The page's paragraphs, which blank lines part. */
static void put_paragraphs(text_buffer *t, const char *page)
{
    while (page != NULL && *page != '\0') {
        const char *end = strstr(page, "\n\n");
        const size_t n = end != NULL ? (size_t)(end - page) : strlen(page);
        char *paragraph = mem_array(t->m, n + 1, 1);
        if (paragraph == NULL) {
            t->failed = true;
            return;
        }
        memcpy(paragraph, page, n);
        text_add(t, "\n");
        put_wrapped(t, paragraph, 0);
        mem_array_free(t->m, paragraph);
        page += n;
        page += strspn(page, "\n");
    }
}

static void default_text(const peri_option *o, char *out, size_t size)
{
    char number[NUM_SIZE];
    if (o->type == PERI_OPTION_STRING)
        snprintf(out, size, "\"%.60s\"", o->text != NULL ? o->text : "");
    else if (o->type == PERI_OPTION_BOOL)
        snprintf(out, size, "%s", o->value > 0 ? "true" : "false");
    else if (o->type == PERI_OPTION_ENUM)
        snprintf(out, size, "%.60s", o->choices[(int64_t)o->value]);
    else
        snprintf(out, size, "%s", num_print(o->value, number));
}

static void range_text(const peri_option *o, char *out, size_t size)
{
    char lower[NUM_SIZE], upper[NUM_SIZE];
    size_t at = 0;
    out[0] = '\0';
    if (o->type == PERI_OPTION_BOOL)
        snprintf(out, size, "true or false");
    else if (o->type == PERI_OPTION_STRING)
        snprintf(out, size, "a text");
    else if (o->type == PERI_OPTION_ENUM)
        for (int64_t i = 0; o->choices[i] != NULL && at < size; i++) {
            const int n = snprintf(out + at, size - at, "%s%s", i > 0 ? ", " : "", o->choices[i]);
            at += n > 0 ? (size_t)n : 0;
        }
    else
        snprintf(out, size, "%s[%s, %s]%s%s", o->type == PERI_OPTION_INT ? "whole, " : "", num_print(o->lower, lower),
                 num_print(o->upper, upper), strcmp(o->unit, "1") != 0 ? " " : "",
                 strcmp(o->unit, "1") != 0 ? o->unit : "");
}

static void put_option(text_buffer *t, const peri_option *o)
{
    char value[80], range[512];
    default_text(o, value, sizeof value);
    range_text(o, range, sizeof range);
    text_add(t, "  %s = %s    ", o->name, value);
    put_wrapped(t, range, 6);
    text_add(t, "      ");
    put_wrapped(t, o->help, 6);
}

static void join_flags(const flag_name *names, size_t n, uint64_t set, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const size_t at = strlen(out);
        if ((set & names[i].bit) != 0)
            snprintf(out + at, size - at, "%s%s", at > 0 ? ", " : "", names[i].words);
    }
}

static peri_status page_text(peri_context *ctx, const registry_entry *e, const peri_plugin *p, char **out)
{
    char words[1024], rank[32];
    text_buffer t;
    text_init(&t, &ctx->mem);
    text_add(&t, "%s - %s\n\n", p->name, p->summary);
    put_fact(&t, "kind", kind_words(p->kind));
    put_fact(&t, "family", p->family);
    match_words(p->needs[0], words, sizeof words);
    put_fact(&t, "needs", words);
    match_words(p->refuses[0], words, sizeof words);
    put_fact(&t, "refuses", words);
    match_words(p->removes[0], words, sizeof words);
    put_fact(&t, "removes", words);
    match_words(p->adds[0], words, sizeof words);
    put_fact(&t, "adds", words);
    join_flags(gives_names, sizeof gives_names / sizeof gives_names[0], p->gives, words, sizeof words);
    put_fact(&t, "gives", words);
    join_flags(flag_names, sizeof flag_names / sizeof flag_names[0], p->flags, words, sizeof words);
    put_fact(&t, "properties", words);
    snprintf(rank, sizeof rank, "%d", (int)p->rank);
    put_fact(&t, "rank", rank);
    put_fact(&t, "version", p->version);
    put_fact(&t, "licence", e->license);
    put_fact(&t, "reference", p->reference);
    put_fact(&t, "file", e->file);
    put_paragraphs(&t, p->page);
    text_add(&t, p->n_options > 0 ? "\noptions\n" : "\nno options of its own\n");
    for (uint32_t i = 0; i < p->n_options; i++)
        put_option(&t, &p->options[i]);
    *out = text_take(&t);
    return *out != NULL ? PERI_OK : FAIL_NOMEM(ctx);
}

/* ---- JSON
 * ----------------------------------------------------------------------------------------------------------------- */

static void json_traits(json_writer *w, const char *key, uint64_t set)
{
    json_key(w, key);
    json_open_array(w);
    for (int t = 0; t < PERI_TRAIT_COUNT; t++)
        if ((set & PERI_BIT(t)) != 0)
            json_text(w, trait_words((peri_trait)t));
    json_close(w);
}

static void json_flags(json_writer *w, const char *key, const flag_name *names, size_t n, uint64_t set)
{
    json_key(w, key);
    json_open_array(w);
    for (size_t i = 0; i < n; i++)
        if ((set & names[i].bit) != 0)
            json_text(w, names[i].name);
    json_close(w);
}

static void json_default(json_writer *w, const peri_option *o)
{
    json_key(w, "default");
    if (o->type == PERI_OPTION_BOOL)
        json_bool(w, o->value > 0);
    else if (o->type == PERI_OPTION_STRING)
        json_text(w, o->text != NULL ? o->text : "");
    else if (o->type == PERI_OPTION_ENUM)
        json_text(w, o->choices[(int64_t)o->value]);
    else
        json_number(w, o->value);
}

static void json_option(json_writer *w, const peri_option *o)
{
    static const char *const types[] = {"real", "integer", "boolean", "choice", "text"};
    json_open_object(w);
    json_put_text(w, "name", o->name);
    json_put_text(w, "type", types[o->type]);
    json_default(w, o);
    if (o->type == PERI_OPTION_REAL || o->type == PERI_OPTION_INT) {
        json_put_number(w, "lower", o->lower);
        json_put_number(w, "upper", o->upper);
    }
    if (o->type == PERI_OPTION_ENUM) {
        json_key(w, "choices");
        json_open_array(w);
        for (int64_t i = 0; o->choices[i] != NULL; i++)
            json_text(w, o->choices[i]);
        json_close(w);
    }
    json_put_text(w, "unit", o->unit);
    json_put_text(w, "help", o->help);
    json_close(w);
}

static peri_status page_json(peri_context *ctx, const registry_entry *e, const peri_plugin *p, char **out)
{
    json_writer w;
    json_init(&w, &ctx->mem);
    json_open_object(&w);
    json_put_text(&w, "name", p->name);
    json_put_text(&w, "kind", kind_name(p->kind));
    json_put_text(&w, "family", p->family);
    json_put_text(&w, "summary", p->summary);
    json_put_text(&w, "version", p->version);
    json_put_text(&w, "license", e->license);
    json_put_text(&w, "reference", p->reference);
    json_put_text(&w, "page", p->page);
    json_put_text(&w, "file", e->file);
    json_key(&w, "rank");
    json_integer(&w, p->rank);
    json_traits(&w, "needs", p->needs[0]);
    json_traits(&w, "refuses", p->refuses[0]);
    if (p->kind == PERI_KIND_REFORMULATION) {
        json_traits(&w, "removes", p->removes[0]);
        json_traits(&w, "adds", p->adds[0]);
    }
    json_flags(&w, "gives", gives_names, sizeof gives_names / sizeof gives_names[0], p->gives);
    json_flags(&w, "flags", flag_names, sizeof flag_names / sizeof flag_names[0], p->flags);
    json_key(&w, "options");
    json_open_array(&w);
    for (uint32_t i = 0; i < p->n_options; i++)
        json_option(&w, &p->options[i]);
    json_close(&w);
    json_close(&w);
    return json_finish(&w, ctx, out);
}

peri_status option_page(peri_context *ctx, const registry_entry *e, const peri_plugin *p, bool json, char **out)
{
    *out = NULL;
    return json ? page_json(ctx, e, p, out) : page_text(ctx, e, p, out);
}
