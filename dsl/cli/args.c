/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.c - from argv to cli_args by the commands' option tables. Not responsible for what the values mean, but for those numbers with
 * units that every command shares. Invariant: a wrong word is named in one line with the nearest right one, and nothing has run.
 */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool args_alloc(cli_args *a, int argc)
{
    *a = (cli_args){.seconds = INFINITY};
    a->settings = calloc((size_t)argc + 1, sizeof *a->settings);
    a->words = calloc((size_t)argc + 1, sizeof *a->words);
    if (a->settings == NULL || a->words == NULL) {
        args_free(a);
        cli_say("perigee: out of memory");
        return false;
    }
    return true;
}

void args_free(cli_args *a)
{
    free(a->settings);
    free(a->words);
    a->settings = a->words = NULL;
}

/* ---- nearest names ------------------------------------------------------------------------------------------------ */

enum { WORD_MAX = 32 };

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b (optimal string alignment). */
static int distance(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    int d[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (int)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

void args_nearest(const char *word, const char *prefix, const char *const *first, size_t stride, int count, char *out,
                  size_t size)
{
    const char *best = NULL;
    int least = (int)strlen(word) / 3 + 2; /* farther than that it is another word, not a slip */
    for (int i = 0; i < count; i++) {
        const char *name = *(const char *const *)((const char *)first + (size_t)i * stride);
        const int d = distance(word, name);
        if (d < least) {
            least = d;
            best = name;
        }
    }
    out[0] = '\0';
    if (best != NULL)
        snprintf(out, size, " (did you mean \"%s%s\"?)", prefix, best);
}

/* ---- options -------------------------------------------------------------------------------------------------------- */

static const cli_option *find_in(const cli_option *table, const char *name, size_t n, char letter)
{
    for (const cli_option *o = table; o != NULL && o->name != NULL; o++) {
        if (name != NULL ? strlen(o->name) == n && memcmp(o->name, name, n) == 0 : o->letter == letter)
            return o;
    }
    return NULL;
}

static const cli_option *find_option(const cli_command *command, const char *name, size_t n, char letter)
{
    const cli_option *o = command != NULL ? find_in(command->options, name, n, letter) : NULL;
    return o != NULL ? o : find_in(cli_global_options, name, n, letter);
}

static void unknown_option(const cli_command *command, const char *word)
{
    const char *names[32];
    int count = 0;
    for (const cli_option *o = cli_global_options; o->name != NULL; o++)
        names[count++] = o->name;
    for (const cli_option *o = command != NULL ? command->options : NULL; o != NULL && o->name != NULL; o++)
        names[count++] = o->name;
    char bare[WORD_MAX + 1], near[64];
    snprintf(bare, sizeof bare, "%s", word + strspn(word, "-"));
    bare[strcspn(bare, "=")] = '\0';
    args_nearest(bare, "--", names, sizeof names[0], count, near, sizeof near);
    cli_usage("perigee%s%s: unknown option \"%s\"%s", command != NULL ? " " : "", command != NULL ? command->name : "",
              word, near);
}

/* Stores one option; `value` is NULL where the word holds none. */
static bool store(cli_args *a, const cli_option *o, const char *value)
{
    void *field = (char *)a + o->offset;
    switch (o->kind) {
    case OPTION_SWITCH:
        *(bool *)field = true;
        return true;
    case OPTION_VALUE:
        *(const char **)field = value;
        return true;
    case OPTION_SETTING:
        if (strchr(value, '=') == NULL || value[0] == '=') {
            cli_usage("perigee: option \"-%c %s\": must be KEY=VALUE", o->letter, value);
            return false;
        }
        a->settings[a->n_settings++] = value;
        return true;
    }
    return false;
}

/* One option at argv[*at], its value perhaps in the next word; *at moves past both. */
static bool take_option(cli_args *a, const cli_command *command, int argc, char **argv, int *at)
{
    const char *word = argv[(*at)++], *value = NULL;
    const cli_option *o;
    if (word[1] == '-') {
        const size_t n = strcspn(word + 2, "=");
        o = find_option(command, word + 2, n, 0);
        value = word[2 + n] == '=' ? word + 3 + n : NULL;
    } else {
        o = find_option(command, NULL, 0, word[1]);
        value = word[2] != '\0' ? word + 2 : NULL;
    }
    if (o == NULL) {
        unknown_option(command, word);
        return false;
    }
    if (o->kind == OPTION_SWITCH && value != NULL) {
        cli_usage("perigee: option \"%s\": --%s takes no value", word, o->name);
        return false;
    }
    if (o->kind != OPTION_SWITCH && value == NULL) {
        if (*at >= argc) {
            cli_usage("perigee: option \"%s\": %s is missing", word, o->value);
            return false;
        }
        value = argv[(*at)++];
    }
    return store(a, o, value);
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

bool args_globals(cli_args *a, int argc, char **argv, int *at)
{
    while (*at < argc && is_option(argv[*at]) && strcmp(argv[*at], "--") != 0) {
        if (!take_option(a, NULL, argc, argv, at))
            return false;
    }
    return true;
}

/* ---- numbers with units ------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    double factor;
} unit;

static const unit time_units[] = {{"", 1}, {"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}, {NULL, 0}};
static const unit size_units[] = {{"", 1}, {"B", 1}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
                                  {"K", 1024}, {"M", 1048576}, {"G", 1073741824},
                                  {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {NULL, 0}};

/* A number that is not negative, in the units' base. */
static bool quantity(const char *text, const unit *units, double *x)
{
    char *end;
    *x = strtod(text, &end);
    if (end == text || !(*x >= 0.0))
        return false;
    for (; units->name != NULL; units++) {
        if (strcmp(end, units->name) == 0) {
            *x *= units->factor;
            return true;
        }
    }
    return false;
}

/* NULL leaves the number as it is. */
static bool count(const char *option, const char *text, int *n)
{
    char *end;
    if (text == NULL)
        return true;
    const long k = strtol(text, &end, 10);
    if (end != text && *end == '\0' && k >= 1 && k <= 1024) {
        *n = (int)k;
        return true;
    }
    cli_usage("perigee: --%s \"%s\": must be a number of threads from 1 to 1024", option, text);
    return false;
}

/* NULL leaves the number as it is. */
static bool size(const char *option, const char *text, size_t *n)
{
    double bytes = 0.0;
    if (text == NULL)
        return true;
    if (!quantity(text, size_units, &bytes) || !(bytes >= 1.0)) {
        cli_usage("perigee: --%s \"%s\": must be a size as 500MB, 2GiB or inf", option, text);
        return false;
    }
    *n = bytes < 0x1p62 ? (size_t)bytes : 0;
    return true;
}

static bool read_numbers(cli_args *a)
{
    if (!count("threads", a->threads_text, &a->threads) || !count("blas-threads", a->blas_threads_text, &a->blas_threads))
        return false;
    if (a->time_limit != NULL && !quantity(a->time_limit, time_units, &a->seconds)) {
        cli_usage("perigee: --time-limit \"%s\": must be a time as 10, 10s, 5min, 2h or inf", a->time_limit);
        return false;
    }
    return size("memory-limit", a->memory_limit, &a->memory) && size("file-size-limit", a->file_size_limit, &a->file_size);
}

/* ---- a command's words ------------------------------------------------------------------------------------------------------ */

static bool count_words(const cli_args *a, const cli_command *command)
{
    if (a->help)
        return true;
    if (a->n_words < command->least) {
        cli_usage("perigee %s: %s is missing; \"perigee help %s\" shows how it is used", command->name, command->words,
                  command->name);
        return false;
    }
    if (command->most >= 0 && a->n_words > command->most) {
        cli_usage("perigee %s: one word too many: \"%s\"", command->name, a->words[command->most]);
        return false;
    }
    return true;
}

bool args_command(cli_args *a, const cli_command *command, int argc, char **argv)
{
    bool options = true;
    for (int at = 0; at < argc;) {
        if (options && strcmp(argv[at], "--") == 0) {
            options = false;
            at++;
        } else if (options && is_option(argv[at])) {
            if (!take_option(a, command, argc, argv, &at))
                return false;
        } else {
            a->words[a->n_words++] = argv[at++];
            options = options && !command->script;
        }
    }
    return count_words(a, command) && read_numbers(a);
}
