/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail.h - the error record of a context. FAIL(ctx, code, fmt, ...) writes it and is the code; TRY(expr) returns on error.
 * Messages: lower case, no full stop, the named thing first. The record has fixed size and works when memory is out.
 */
#ifndef PERI_BASE_FAIL_H
#define PERI_BASE_FAIL_H

#include <perigee/perigee.h>

typedef struct {
    peri_status code;
    char text[1024];
    const char *function, *file; /* where it was first raised */
    int line;
    char origin[256]; /* "function (file:line)", filled when asked for */
} fail_record;

peri_status fail_set(peri_context *ctx, peri_status code, const char *function, const char *file, int line,
                     const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Put "prefix: " before the message in the record; returns the record's code. */
peri_status fail_prefix(peri_context *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The nearest names to `word` by edit distance, as ` (did you mean "a" or "b"?)` or "" when none is near. */
void fail_nearest(const char *word, const char *const *names, int64_t n, char *out, size_t size);

#define FAIL(ctx, code, ...) fail_set((ctx), (code), __func__, __FILE__, __LINE__, __VA_ARGS__)
#define FAIL_NOMEM(ctx) FAIL((ctx), PERI_E_NOMEM, "out of memory")
#ifndef TRY
#define TRY(expr)                                                                                                      \
    do {                                                                                                               \
        const peri_status try_status_ = (expr);                                                                        \
        if (try_status_ != PERI_OK)                                                                                    \
            return try_status_;                                                                                        \
    } while (0)
#endif

#endif
