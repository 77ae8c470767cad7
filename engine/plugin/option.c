/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.c - values into an options struct, from one table: defaults, and what a user sets as number, truth value or
 * text. All ways in give the same errors. Invariant: a field changes only when the new value has the option's type and
 * lies in its range; NaN lies in none.
 */
#include "plugin/option.h"
#include "plugin/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- fields
 * --------------------------------------------------------------------------------------------------------------- */

static void put(void *out, const peri_option *o, double value)
{
    unsigned char *field = (unsigned char *)out + o->offset;
    const int64_t whole = o->type == PERI_OPTION_INT ? (int64_t)value : 0;
    const int32_t small = o->type == PERI_OPTION_BOOL || o->type == PERI_OPTION_ENUM ? (int32_t)value : 0;
    if (o->type == PERI_OPTION_REAL)
        memcpy(field, &value, sizeof value);
    else if (o->type == PERI_OPTION_INT)
        memcpy(field, &whole, sizeof whole);
    else
        memcpy(field, &small, sizeof small);
}

static void put_text(void *out, const peri_option *o, const char *text)
{
    memcpy((unsigned char *)out + o->offset, &text, sizeof text);
}

peri_status option_defaults(peri_context *ctx, const peri_plugin *p, void *out)
{
    (void)ctx;
    memset(out, 0, p->size_options);
    for (uint32_t i = 0; i < p->n_options; i++) {
        if (p->options[i].type == PERI_OPTION_STRING)
            put_text(out, &p->options[i], p->options[i].text != NULL ? p->options[i].text : "");
        else
            put(out, &p->options[i], p->options[i].value);
    }
    return PERI_OK;
}

/* ---- what is wrong
 * -------------------------------------------------------------------------------------------------------- */

/* What was given, as it was typed. */
static void describe_given(const peri_setting *s, char *out, size_t size)
{
    char number[NUM_SIZE];
    if (s->type == PERI_VALUE_TEXT)
        snprintf(out, size, "\"%.80s\"", s->text != NULL ? s->text : "");
    else if (s->type == PERI_VALUE_BOOL)
        snprintf(out, size, "%s", s->number != 0 ? "true" : "false");
    else
        snprintf(out, size, "%s", num_print(s->number, number));
}

static peri_status fail_value(peri_context *ctx, const peri_plugin *p, const peri_setting *s, const char *wanted)
{
    char given[96];
    describe_given(s, given, sizeof given);
    return FAIL(ctx, PERI_E_OPTION, "%s: option \"%s\" is %s, must be %s", p->name, s->key, given, wanted);
}

static peri_status fail_range(peri_context *ctx, const peri_plugin *p, const peri_setting *s, const peri_option *o)
{
    char wanted[200], lower[NUM_SIZE], upper[NUM_SIZE];
    const char *unit = option_has_units(o) ? o->unit : "";
    snprintf(wanted, sizeof wanted, "%sin [%s, %s]%s%s", o->type == PERI_OPTION_INT ? "a whole number " : "",
             num_print(o->lower, lower), num_print(o->upper, upper), unit[0] != '\0' ? " " : "", unit);
    return fail_value(ctx, p, s,
                      o->type == PERI_OPTION_INT && floor(s->number) == s->number && s->type == PERI_VALUE_NUMBER
                          ? wanted + strlen("a whole number ")
                          : wanted);
}

static peri_status fail_choice(peri_context *ctx, const peri_plugin *p, const peri_setting *s, const peri_option *o)
{
    char wanted[512] = "one of", near[160] = "", given[96];
    size_t at = strlen(wanted);
    int64_t n = 0;
    for (; o->choices[n] != NULL && at < sizeof wanted - 1; n++) {
        const int more = snprintf(wanted + at, sizeof wanted - at, "%s \"%s\"", n > 0 ? "," : "", o->choices[n]);
        at = more > 0 && at + (size_t)more < sizeof wanted ? at + (size_t)more : sizeof wanted - 1;
    }
    if (s->type == PERI_VALUE_TEXT && s->text != NULL)
        fail_nearest(s->text, o->choices, n, near, sizeof near);
    describe_given(s, given, sizeof given);
    return FAIL(ctx, PERI_E_OPTION, "%s: option \"%s\" is %s, must be %s%s", p->name, s->key, given, wanted, near);
}

static peri_status fail_unknown(peri_context *ctx, const peri_plugin *p, const char *key)
{
    char near[160];
    const size_t n = p->n_options, all = n + (size_t)option_n_engine_names;
    const char **names = mem_array(&ctx->mem, all, sizeof *names);
    if (names == NULL)
        return FAIL_NOMEM(ctx);
    for (size_t i = 0; i < all; i++)
        names[i] = i < n ? p->options[i].name : option_engine_names[i - n];
    fail_nearest(key, names, (int64_t)all, near, sizeof near);
    mem_array_free(&ctx->mem, names);
    return FAIL(ctx, PERI_E_OPTION, "%s: no option \"%.80s\"%s", p->name, key, near);
}

/* ---- text as a value
 * ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    double factor;
} unit_name;

static const unit_name seconds[] = {{"ms", 1e-3}, {"s", 1},     {"sec", 1}, {"min", 60},
                                    {"h", 3600},  {"d", 86400}, {NULL, 0}};
static const unit_name bytes[] = {{"B", 1},         {"kB", 1e3},         {"MB", 1e6},
                                  {"GB", 1e9},      {"TB", 1e12},        {"KiB", 1024},
                                  {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776},
                                  {NULL, 0}};

static const unit_name *units_of(const peri_option *o)
{
    if (strcmp(o->unit, "s") == 0 || strcmp(o->unit, "seconds") == 0)
        return seconds;
    if (strcmp(o->unit, "B") == 0 || strcmp(o->unit, "bytes") == 0)
        return bytes;
    return NULL;
}

bool option_has_units(const peri_option *o)
{
    return units_of(o) != NULL;
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

/* A number and nothing else, but for a unit where the option has one: "1e-6", "inf", "10s", "2 GiB". */
static bool parse_number(const peri_option *o, const char *text, double *value)
{
    const char *end = NULL;
    if (text == NULL || !num_parse(skip_blanks(text), &end, value))
        return false;
    end = skip_blanks(end);
    if (*end == '\0')
        return true;
    for (const unit_name *u = units_of(o); u != NULL && u->name != NULL; u++) {
        const size_t n = strlen(u->name);
        if (strncmp(end, u->name, n) == 0 && *skip_blanks(end + n) == '\0') {
            *value *= u->factor;
            return true;
        }
    }
    return false;
}

/* 1, 0, or -1: neither. */
static int parse_truth(const char *text)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (int i = 0; text != NULL && i < (int)(sizeof words / sizeof words[0]); i++)
        if (strcasecmp(text, words[i]) == 0)
            return i % 2;
    return -1;
}

/* ---- setting
 * -------------------------------------------------------------------------------------------------------------- */

static const char *wanted_number(const peri_option *o)
{
    return units_of(o) == seconds ? "a number, as 10, 10s, 5min or 2h"
           : units_of(o) == bytes ? "a number, as 1000000, 64MB or 2GiB"
                                  : "a number";
}

static peri_status set_number(peri_context *ctx, const peri_plugin *p, const peri_option *o, const peri_setting *s,
                              void *out)
{
    double value = s->number;
    if (s->type == PERI_VALUE_BOOL || (s->type == PERI_VALUE_TEXT && !parse_number(o, s->text, &value)))
        return fail_value(ctx, p, s, wanted_number(o));
    if (!(o->lower <= value && value <= o->upper))
        return fail_range(ctx, p, s, o);
    if (o->type == PERI_OPTION_INT && !(floor(value) == value && fabs(value) <= OPTION_INT_LARGEST))
        return fail_range(ctx, p, s, o);
    put(out, o, value);
    return PERI_OK;
}

static peri_status set_truth(peri_context *ctx, const peri_plugin *p, const peri_option *o, const peri_setting *s,
                             void *out)
{
    const int truth = s->type == PERI_VALUE_TEXT                                        ? parse_truth(s->text)
                      : s->number > 0 && s->number < 2 && floor(s->number) == s->number ? 1
                      : s->number < 0 || s->number > 0 || s->number != s->number        ? -1
                                                                                        : 0;
    if (truth < 0)
        return fail_value(ctx, p, s, "true or false");
    put(out, o, truth);
    return PERI_OK;
}

static peri_status set_choice(peri_context *ctx, const peri_plugin *p, const peri_option *o, const peri_setting *s,
                              void *out)
{
    for (int32_t i = 0; s->type == PERI_VALUE_TEXT && s->text != NULL && o->choices[i] != NULL; i++) {
        if (strcmp(s->text, o->choices[i]) == 0) {
            put(out, o, i);
            return PERI_OK;
        }
    }
    return fail_choice(ctx, p, s, o);
}

static peri_status set_string(peri_context *ctx, const peri_plugin *p, const peri_option *o, const peri_setting *s,
                              void *out, arena *strings)
{
    if (s->type != PERI_VALUE_TEXT || s->text == NULL)
        return fail_value(ctx, p, s, "a text");
    const char *copy = arena_string(strings, s->text);
    if (copy == NULL)
        return FAIL_NOMEM(ctx);
    put_text(out, o, copy);
    return PERI_OK;
}

peri_status option_set(peri_context *ctx, const peri_plugin *p, const peri_setting *s, void *out, arena *strings)
{
    const peri_option *o = NULL;
    for (uint32_t i = 0; i < p->n_options && o == NULL; i++)
        if (strcmp(p->options[i].name, s->key) == 0)
            o = &p->options[i];
    if (o == NULL)
        return fail_unknown(ctx, p, s->key);
    switch (o->type) {
    case PERI_OPTION_BOOL:
        return set_truth(ctx, p, o, s, out);
    case PERI_OPTION_ENUM:
        return set_choice(ctx, p, o, s, out);
    case PERI_OPTION_STRING:
        return set_string(ctx, p, o, s, out, strings);
    default:
        return set_number(ctx, p, o, s, out);
    }
}
