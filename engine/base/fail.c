/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail.c - the error record. It lives inside the context, has a fixed size and allocates nothing, so it can report that memory is
 * out. Messages that are too long are cut at its end. Invariant: a message is one line, whatever names and texts it quotes.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/fail.h"
#include "base/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void join_lines(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20)
            *text = ' ';
}

peri_status fail_set(peri_context *ctx, peri_status code, const char *function, const char *file, int line,
                     const char *format, ...)
{
    if (ctx == NULL)
        return code;
    fail_record *r = &ctx->error;
    char text[sizeof r->text]; /* an argument may be the record's own text */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    join_lines(text);
    memcpy(r->text, text, sizeof text);
    r->code = code;
    r->function = function;
    r->file = file;
    r->line = line;
    return code;
}

peri_status fail_prefix(peri_context *ctx, const char *format, ...)
{
    fail_record *r = &ctx->error;
    char text[sizeof r->text];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n + 3 > sizeof text)
        return r->code;
    join_lines(text);
    const size_t left = sizeof text - (size_t)n - 3, length = strnlen(r->text, sizeof r->text - 1);
    memcpy(text + n, ": ", 2);
    memcpy(text + n + 2, r->text, length < left ? length : left);
    text[(size_t)n + 2 + (length < left ? length : left)] = '\0';
    memcpy(r->text, text, sizeof text);
    return r->code;
}

/* ---- the nearest names ------------------------------------------------------------------------------------------ */

enum { NAME_MAX_LENGTH = 63 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours (Damerau 1964, restricted); lengths up to NAME_MAX_LENGTH. */
static int edit_distance(const char *a, int na, const char *b, int nb)
{
    int rows[3][NAME_MAX_LENGTH + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (int j = 0; j <= nb; j++)
        above[j] = j;
    for (int i = 1; i <= na; i++) {
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            const bool same = a[i - 1] == b[j - 1];
            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + !same);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        int *freed = before;
        before = above;
        above = row;
        row = freed;
    }
    return above[nb];
}

/* How far `name` is from what was typed; -1: too far. An abbreviation ("tol" for "tolerance") counts as near. */
static int name_distance(const char *word, const char *name)
{
    const size_t nw = strlen(word), nn = strlen(name);
    if (nw == 0 || nn == 0 || nw > NAME_MAX_LENGTH || nn > NAME_MAX_LENGTH)
        return -1;
    if (nw >= 2 && nn >= 2 && strncmp(word, name, nw < nn ? nw : nn) == 0)
        return 1;
    const int distance = edit_distance(word, (int)nw, name, (int)nn);
    const int allowed = nw < 3 ? 1 : (int)(nw + 2) / 3;
    return distance <= allowed && distance < (int)nw ? distance : -1;
}

void fail_nearest(const char *word, const char *const *names, int64_t n, char *out, size_t size)
{
    int64_t best = -1, second = -1;
    int best_distance = 0, second_distance = 0;
    for (int64_t k = 0; k < n; k++) {
        const int distance = name_distance(word, names[k]);
        if (distance < 0)
            continue;
        if (best < 0 || distance < best_distance) {
            second = best;
            second_distance = best_distance;
            best = k;
            best_distance = distance;
        } else if (second < 0 || distance < second_distance) {
            second = k;
            second_distance = distance;
        }
    }
    if (best < 0)
        snprintf(out, size, "%s", "");
    else if (second < 0)
        snprintf(out, size, " (did you mean \"%s\"?)", names[best]);
    else
        snprintf(out, size, " (did you mean \"%s\" or \"%s\"?)", names[best], names[second]);
}
