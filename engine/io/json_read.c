/* SPDX-License-Identifier: Apache-2.0 */
/* json_read.c - a recursive descent over the grammar of RFC 8259. Invariant: `at` never passes the terminating zero that json_parse puts behind the data. */
#include "io/json_read.h"
#include "base/num.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH = 64 };

typedef struct {
    peri_context *ctx;
    arena *a;
    const char *name, *data, *end, *at;
} reader;

static peri_status wrong(const reader *r, const char *expected)
{
    int64_t line = 1, column = 1;
    char found[24] = "the end";
    for (const char *p = r->data; p < r->at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    if (r->at < r->end)
        snprintf(found, sizeof found, (unsigned char)*r->at < 0x20 ? "byte %d" : "\"%c\"", *r->at);
    return FAIL(r->ctx, PERI_E_PARSE, "%s:%lld:%lld: expected %s, found %s", r->name, (long long)line, (long long)column, expected, found);
}

static void blank(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(reader *r, char c)
{
    blank(r);
    if (r->at >= r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* ---- texts ------------------------------------------------------------------------------------------------------------------- */

static bool hex4(const char *p, const char *end, unsigned *out)
{
    *out = 0;
    if (end - p < 4)
        return false;
    for (int k = 0; k < 4; k++) {
        const char c = p[k];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return false;
        *out = *out * 16 + (unsigned)digit;
    }
    return true;
}

static char *put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    return to;
}

/* \uXXXX, two of them for what is beyond the first plane. A zero would end the text early, so it is refused. */
static peri_status unicode(reader *r, char **to)
{
    unsigned c, low;
    if (!hex4(r->at, r->end, &c) || c == 0)
        return wrong(r, "four hexadecimal digits, not zero");
    r->at += 4;
    if (c >= 0xd800 && c < 0xdc00) {
        if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u' || !hex4(r->at + 2, r->end, &low) || low < 0xdc00 || low > 0xdfff)
            return wrong(r, "the second half of a character");
        r->at += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *to = put_utf8(*to, c);
    return PERI_OK;
}

static peri_status escape(reader *r, char **to)
{
    static const char from[] = "\"\\/bfnrt", is[] = "\"\\/\b\f\n\r\t";
    const char *known = r->at < r->end && *r->at != '\0' ? strchr(from, *r->at) : NULL;
    if (known != NULL) {
        *(*to)++ = is[known - from];
        r->at++;
        return PERI_OK;
    }
    if (r->at >= r->end || *r->at != 'u')
        return wrong(r, "an escaped character");
    r->at++;
    return unicode(r, to);
}

static peri_status read_text(reader *r, const char **out)
{
    const char *close = r->at;
    while (close < r->end && *close != '"')
        close += *close == '\\' && close + 1 < r->end ? 2 : 1;
    char *text = arena_alloc(r->a, (size_t)(close - r->at) + 1), *to = text;
    if (text == NULL)
        return FAIL_NOMEM(r->ctx);
    while (r->at < r->end && *r->at != '"') {
        if ((unsigned char)*r->at < 0x20)
            return wrong(r, "the end of the text");
        if (*r->at != '\\') {
            *to++ = *r->at++;
            continue;
        }
        r->at++;
        TRY(escape(r, &to));
    }
    if (!take(r, '"'))
        return wrong(r, "the end of the text");
    *to = '\0';
    *out = text;
    return PERI_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------------------ */

static peri_status read_value(reader *r, int depth, json_value **out);

static peri_status read_members(reader *r, int depth, json_value *v, char close)
{
    json_value **link = &v->first;
    if (take(r, close))
        return PERI_OK;
    do {
        const char *key = NULL;
        if (v->type == JSON_OBJECT) {
            if (!take(r, '"'))
                return wrong(r, "a key");
            TRY(read_text(r, &key));
            if (!take(r, ':'))
                return wrong(r, "\":\"");
        }
        TRY(read_value(r, depth + 1, link));
        (*link)->key = key;
        link = &(*link)->next;
        v->n++;
    } while (take(r, ','));
    return take(r, close) ? PERI_OK : wrong(r, v->type == JSON_OBJECT ? "\",\" or \"}\"" : "\",\" or \"]\"");
}

static bool word(reader *r, const char *text)
{
    const size_t n = strlen(text);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, text, n) != 0)
        return false;
    r->at += n;
    return true;
}

/* Behind one or more digits; NULL: there is none. */
static const char *digits(const char *p)
{
    const char *at = p;
    while (*at >= '0' && *at <= '9')
        at++;
    return at > p ? at : NULL;
}

/* Where a number ends by the grammar, which is stricter than num_parse: no leading zeros, digits before and behind a point. NULL: it is none */
static const char *number_end(const char *p)
{
    p += *p == '-';
    const char *end = *p == '0' ? p + 1 : digits(p);
    if (end != NULL && *end == '.')
        end = digits(end + 1);
    if (end != NULL && (*end == 'e' || *end == 'E'))
        end = digits(end + 1 + (end[1] == '+' || end[1] == '-'));
    return end;
}

static peri_status read_plain(reader *r, json_value *v)
{
    const char *end;
    if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9')) {
        if (!num_parse(r->at, &end, &v->number) || end != number_end(r->at))
            return wrong(r, "a number");
        v->type = JSON_NUMBER;
        r->at = end;
        return PERI_OK;
    }
    if (word(r, "true")) {
        v->type = JSON_BOOL;
        v->number = 1;
    } else if (word(r, "false")) {
        v->type = JSON_BOOL;
    } else if (!word(r, "null")) {
        return wrong(r, "a value");
    }
    return PERI_OK;
}

static peri_status read_value(reader *r, int depth, json_value **out)
{
    json_value *v = arena_alloc(r->a, sizeof *v);
    if (v == NULL)
        return FAIL_NOMEM(r->ctx);
    *out = v;
    if (depth >= DEPTH)
        return wrong(r, "no more than 64 levels");
    if (take(r, '{')) {
        v->type = JSON_OBJECT;
        return read_members(r, depth, v, '}');
    }
    if (take(r, '[')) {
        v->type = JSON_ARRAY;
        return read_members(r, depth, v, ']');
    }
    if (take(r, '"')) {
        v->type = JSON_TEXT;
        return read_text(r, &v->text);
    }
    return r->at < r->end ? read_plain(r, v) : wrong(r, "a value");
}

peri_status json_parse(peri_context *ctx, arena *a, const char *name, const char *data, size_t size, const json_value **out)
{
    char *copy = arena_alloc(a, size + 1);
    json_value *v = NULL;
    if (copy == NULL)
        return FAIL_NOMEM(ctx);
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    reader r = {ctx, a, name, copy, copy + size, copy};
    TRY(read_value(&r, 0, &v));
    blank(&r);
    *out = v;
    return r.at == r.end ? PERI_OK : wrong(&r, "the end");
}

const json_value *json_member(const json_value *v, const char *key)
{
    if (v == NULL || v->type != JSON_OBJECT)
        return NULL;
    for (const json_value *m = v->first; m != NULL; m = m->next)
        if (strcmp(m->key, key) == 0)
            return m;
    return NULL;
}

bool json_to_number(const json_value *v, double *x)
{
    if (v->type == JSON_NUMBER) {
        *x = v->number;
        return true;
    }
    if (v->type != JSON_TEXT)
        return false;
    *x = strcmp(v->text, "inf") == 0 ? INFINITY : strcmp(v->text, "-inf") == 0 ? -INFINITY : NAN;
    return isinf(*x) || strcmp(v->text, "nan") == 0;
}
