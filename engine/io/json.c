/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - the JSON writer (RFC 8259). Invariant: unless `wrong`, the text so far followed by the closings of the open levels,
 * and by a value where a key waits for one, is valid JSON.
 */
#include "io/json.h"
#include "base/num.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void json_init(json_writer *w, mem *m)
{
    *w = (json_writer){0};
    text_init(&w->text, m);
}

static bool in_object(const json_writer *w)
{
    return w->depth > 0 && w->closing[w->depth - 1] == '}';
}

static void separate(json_writer *w)
{
    if (w->depth == 0)
        return;
    if (w->any[w->depth - 1])
        text_put(&w->text, ",", 1);
    w->any[w->depth - 1] = true;
}

/* What comes before any value: a comma in an array, nothing behind a key. */
static void start_value(json_writer *w)
{
    if (in_object(w) ? !w->after_key : w->done)
        w->wrong = true;
    if (!in_object(w))
        separate(w);
    w->after_key = false;
    w->done = w->depth == 0;
}

static void open_level(json_writer *w, char opening, char closing)
{
    start_value(w);
    w->done = false;
    if (w->depth == JSON_DEPTH) {
        w->wrong = true;
        return;
    }
    text_put(&w->text, &opening, 1);
    w->closing[w->depth] = closing;
    w->any[w->depth] = false;
    w->depth++;
}

void json_open_object(json_writer *w)
{
    open_level(w, '{', '}');
}

void json_open_array(json_writer *w)
{
    open_level(w, '[', ']');
}

void json_close(json_writer *w)
{
    if (w->depth == 0 || w->after_key) {
        w->wrong = true;
        return;
    }
    w->depth--;
    text_put(&w->text, &w->closing[w->depth], 1);
    w->done = w->depth == 0;
}

/* Length of the UTF-8 sequence at s (Unicode 15, table 3-7), 0 where there is none. */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        return (s[1] & 0xC0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xE0 && s[0] <= 0xEF) {
        const unsigned char low = s[0] == 0xE0 ? 0xA0 : 0x80, high = s[0] == 0xED ? 0x9F : 0xBF;
        return s[1] >= low && s[1] <= high && (s[2] & 0xC0) == 0x80 ? 3 : 0;
    }
    if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        const unsigned char low = s[0] == 0xF0 ? 0x90 : 0x80, high = s[0] == 0xF4 ? 0x8F : 0xBF;
        return s[1] >= low && s[1] <= high && (s[2] & 0xC0) == 0x80 && (s[3] & 0xC0) == 0x80 ? 4 : 0;
    }
    return 0;
}

static void put_escape(text_buffer *t, unsigned char c)
{
    static const char letters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *found = strchr(letters, c);
    if (found != NULL)
        text_add(t, "\\%c", names[found - letters]);
    else
        text_add(t, "\\u%04x", (unsigned)c);
}

static void put_quoted(text_buffer *t, const char *text)
{
    text_put(t, "\"", 1);
    const unsigned char *s = (const unsigned char *)text, *plain = s;
    while (*s != '\0') {
        const size_t length = utf8_length(s);
        if (length != 0 && *s >= 0x20 && *s != 0x7F && *s != '"' && *s != '\\') {
            s += length;
            continue;
        }
        text_put(t, (const char *)plain, (size_t)(s - plain));
        if (length == 0)
            text_put(t, "\\ufffd", 6);
        else
            put_escape(t, *s);
        plain = ++s;
    }
    text_put(t, (const char *)plain, (size_t)(s - plain));
    text_put(t, "\"", 1);
}

void json_key(json_writer *w, const char *key)
{
    if (!in_object(w) || w->after_key)
        w->wrong = true;
    separate(w);
    put_quoted(&w->text, key);
    text_put(&w->text, ":", 1);
    w->after_key = true;
}

void json_number(json_writer *w, double x)
{
    char out[NUM_SIZE];
    num_print(x, out);
    if (!isfinite(x)) {
        json_text(w, out);
        return;
    }
    start_value(w);
    text_put(&w->text, out, strlen(out));
}

void json_numbers(json_writer *w, int64_t n, const double *x)
{
    json_open_array(w);
    for (int64_t i = 0; i < n; i++)
        json_number(w, x[i]);
    json_close(w);
}

void json_integer(json_writer *w, int64_t i)
{
    start_value(w);
    text_add(&w->text, "%" PRId64, i);
}

void json_bool(json_writer *w, bool value)
{
    start_value(w);
    text_add(&w->text, "%s", value ? "true" : "false");
}

void json_null(json_writer *w)
{
    start_value(w);
    text_put(&w->text, "null", 4);
}

void json_text(json_writer *w, const char *text)
{
    if (text == NULL) {
        json_null(w);
        return;
    }
    start_value(w);
    put_quoted(&w->text, text);
}

void json_put_number(json_writer *w, const char *key, double x)
{
    json_key(w, key);
    json_number(w, x);
}

void json_put_integer(json_writer *w, const char *key, int64_t i)
{
    json_key(w, key);
    json_integer(w, i);
}

void json_put_bool(json_writer *w, const char *key, bool value)
{
    json_key(w, key);
    json_bool(w, value);
}

void json_put_text(json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    json_text(w, text);
}

peri_status json_finish(json_writer *w, peri_context *ctx, char **out)
{
    *out = NULL;
    if (w->wrong || !w->done) {
        text_release(&w->text);
        return FAIL(ctx, PERI_E_INTERNAL, "json: pieces opened and closed do not match");
    }
    *out = text_take(&w->text);
    return *out != NULL ? PERI_OK : FAIL_NOMEM(ctx);
}
