/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_check.c - is an option table one that all its uses can rely on? Invariant: in a table that passed, each name
 * is there once, each default lies in its range, and each field lies inside the options struct and in no other option's
 * field.
 */
#include "plugin/internal.h"
#include "plugin/option.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const option_engine_names[] = {"tolerance", "iterations",    "time_limit", "evaluations",
                                           "seed",      "linear_solver", "warm_start", "tol",        "threads",
                                           "isolate",   "grace",         "memory_limit", "checkpoint", "checkpoint_every", "lower_starts", "lower_time",
                                           "resume"};
const int64_t option_n_engine_names = (int64_t)(sizeof option_engine_names / sizeof option_engine_names[0]);

size_t option_field_size(uint32_t type)
{
    switch (type) {
    case PERI_OPTION_REAL:
        return sizeof(double);
    case PERI_OPTION_INT:
        return sizeof(int64_t);
    case PERI_OPTION_STRING:
        return sizeof(const char *);
    default:
        return sizeof(int32_t);
    }
}

static bool is_option_name(const char *name)
{
    size_t n = 0;
    for (; name[n] != '\0'; n++) {
        const char c = name[n];
        const bool digit = c >= '0' && c <= '9';
        if (n == 63 || !((c >= 'a' && c <= 'z') || (n > 0 && (digit || c == '_'))))
            return false;
    }
    return n > 0;
}

static const char *engine_name(const char *name)
{
    for (int64_t i = 0; i < option_n_engine_names; i++)
        if (strcmp(name, option_engine_names[i]) == 0)
            return name;
    return NULL;
}

static int64_t choices(const peri_option *o)
{
    int64_t n = 0;
    while (o->choices[n] != NULL)
        n++;
    return n;
}

/* The default and the range; `why` gets what is wrong, behind the option's name. */
static bool check_range(const peri_option *o, char *why, size_t size)
{
    char lower[NUM_SIZE], upper[NUM_SIZE], value[NUM_SIZE];
    double lo = o->lower, hi = o->upper;
    if (o->type == PERI_OPTION_STRING)
        return true;
    if (o->type == PERI_OPTION_ENUM) {
        if (o->choices == NULL || o->choices[0] == NULL) {
            snprintf(why, size, "has no choices");
            return false;
        }
        lo = 0;
        hi = (double)(choices(o) - 1);
    } else if (o->type == PERI_OPTION_BOOL) {
        lo = 0;
        hi = 1;
    }
    if (!(lo <= o->value && o->value <= hi))
        snprintf(why, size, "has the default %s outside [%s, %s]", num_print(o->value, value), num_print(lo, lower),
                 num_print(hi, upper));
    else if (o->type != PERI_OPTION_REAL && !(floor(o->value) == o->value && fabs(o->value) <= OPTION_INT_LARGEST))
        snprintf(why, size, "has the default %s, must be a whole number up to 2^53", num_print(o->value, value));
    else
        return true;
    return false;
}

static bool check_one(const peri_plugin *p, const peri_option *o, char *why, size_t size)
{
    const size_t field = option_field_size(o->type);
    if (!is_option_name(o->name))
        snprintf(why, size, "must have a name of lower-case letters, digits and _");
    else if (engine_name(o->name) != NULL)
        snprintf(why, size, "is the engine's own, must have another name");
    else if (o->type > PERI_OPTION_STRING)
        snprintf(why, size, "has type %u, must be in [%d, %d]", o->type, PERI_OPTION_REAL, PERI_OPTION_STRING);
    else if (o->unit == NULL || o->unit[0] == '\0')
        snprintf(why, size, "has no unit, must be \"1\" where it has none");
    else if (o->help == NULL || o->help[0] == '\0')
        snprintf(why, size, "has no help");
    else if (strncmp(o->help, "the ", 4) == 0 || strpbrk(o->help, "\n\t") != NULL)
        snprintf(why, size, "has a help of several lines or one that starts with \"the\"");
    else if ((size_t)o->offset + field > p->size_options)
        snprintf(why, size, "ends at byte %zu, size_options is %u", (size_t)o->offset + field, p->size_options);
    else if (o->offset % field != 0)
        snprintf(why, size, "is at offset %u, must be a multiple of %zu", o->offset, field);
    else
        return check_range(o, why, size);
    return false;
}

static bool is_apart(const peri_option *a, const peri_option *b)
{
    return a->offset + option_field_size(a->type) <= b->offset || b->offset + option_field_size(b->type) <= a->offset;
}

/* Against the options before it. */
static bool check_others(const peri_plugin *p, uint32_t i, char *why, size_t size)
{
    const peri_option *o = &p->options[i];
    for (uint32_t k = 0; k < i; k++) {
        if (strcmp(p->options[k].name, o->name) == 0) {
            snprintf(why, size, "is there twice, as number %u and %u", k + 1, i + 1);
            return false;
        }
        if (!is_apart(&p->options[k], o)) {
            snprintf(why, size, "shares its field with \"%s\"", p->options[k].name);
            return false;
        }
    }
    return true;
}

bool option_table_check(const peri_plugin *p, char *why, size_t size)
{
    char reason[256];
    if (p->n_options > 0 && p->options == NULL) {
        snprintf(why, size, "%s: n_options is %u, options is missing", p->name, p->n_options);
        return false;
    }
    for (uint32_t i = 0; i < p->n_options; i++) {
        const peri_option *o = &p->options[i];
        if (o->name == NULL) {
            snprintf(why, size, "%s: option number %u has no name", p->name, i + 1);
            return false;
        }
        if (!check_one(p, o, reason, sizeof reason) || !check_others(p, i, reason, sizeof reason)) {
            snprintf(why, size, "%s: option \"%.80s\" %s", p->name, o->name, reason);
            return false;
        }
    }
    return true;
}
