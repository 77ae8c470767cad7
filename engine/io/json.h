/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - JSON written piece by piece into a text. Commas and nesting are the writer's business; errors (memory, nesting) are
 * collected and told once by json_finish. Numbers are the shortest that read back the same; infinities and NaN, which JSON lacks,
 * are the texts "inf", "-inf" and "nan".
 *
 *   json_writer w;
 *   json_init(&w, &ctx->mem);
 *   json_open_object(&w);
 *   json_key(&w, "objective");
 *   json_number(&w, 0.25);
 *   json_close(&w);
 *   return json_finish(&w, ctx, out);
 */
#ifndef PERI_IO_JSON_H
#define PERI_IO_JSON_H

#include "base/context.h"
#include "base/text.h"

enum { JSON_DEPTH = 64 };

typedef struct {
    text_buffer text;
    int depth;
    char closing[JSON_DEPTH]; /* '}' or ']' of each open level */
    bool any[JSON_DEPTH];     /* the level has an element */
    bool after_key, done, wrong;
} json_writer;

void json_init(json_writer *w, mem *m);
void json_open_object(json_writer *w);
void json_open_array(json_writer *w);
void json_close(json_writer *w); /* the innermost open object or array */
void json_key(json_writer *w, const char *key);
void json_number(json_writer *w, double x);
void json_numbers(json_writer *w, int64_t n, const double *x); /* as an array */
void json_integer(json_writer *w, int64_t i);
void json_bool(json_writer *w, bool value);
void json_null(json_writer *w);
void json_text(json_writer *w, const char *text); /* NULL: null. Bytes that are not UTF-8 become U+FFFD */
/* A key and its value. */
void json_put_number(json_writer *w, const char *key, double x);
void json_put_integer(json_writer *w, const char *key, int64_t i);
void json_put_bool(json_writer *w, const char *key, bool value);
void json_put_text(json_writer *w, const char *key, const char *text);
/*
 * json_finish - the whole text; the writer is released
 *   own  out  mem_array memory
 *   err  PERI_E_NOMEM; PERI_E_INTERNAL: opened and closed pieces do not match, or a value has no key
 */
peri_status json_finish(json_writer *w, peri_context *ctx, char **out);

#endif
