/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_read.h - JSON (RFC 8259) from memory into a tree that lives in an arena. For files of modest size that the engine wrote or a user
 * edited: every mistake is told with its line and column, nesting is limited, nothing is executed.
 */
#ifndef PERI_IO_JSON_READ_H
#define PERI_IO_JSON_READ_H

#include "base/context.h"

typedef enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT } json_type;

typedef struct json_value {
    json_type type;
    double number;            /* NUMBER; BOOL: 0 or 1 */
    const char *text;         /* TEXT, zero-terminated */
    const char *key;          /* of a member of an object, else NULL */
    int64_t n;                /* ARRAY, OBJECT: how many */
    struct json_value *first; /* of these, in the file's order */
    struct json_value *next;  /* in the array or object that this is in */
} json_value;

/* json_parse - data [size], called `name` in messages;  err PERI_E_PARSE "name:line:column: ...", PERI_E_NOMEM */
peri_status json_parse(peri_context *ctx, arena *a, const char *name, const char *data, size_t size, const json_value **out);
/* The member of that key, or NULL; also where v is no object or NULL. */
const json_value *json_member(const json_value *v, const char *key);
/* A NUMBER, or one of the texts "inf", "-inf", "nan" that json.h writes; false: neither */
bool json_to_number(const json_value *v, double *x);

#endif
