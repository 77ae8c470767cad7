/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - a text that grows. Running out of memory is remembered inside, so a long report is written without a test at each
 * line; text_take tells. What it hands over is mem_array memory (peri_free_text frees it).
 */
#ifndef PERI_BASE_TEXT_H
#define PERI_BASE_TEXT_H

#include "base/mem.h"

typedef struct {
    mem *m;
    char *at; /* [n] and a final zero; NULL while empty */
    size_t n, cap;
    bool failed; /* out of memory: nothing more is added */
} text_buffer;

void text_init(text_buffer *t, mem *m);
void text_put(text_buffer *t, const char *data, size_t n);
void text_add(text_buffer *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text, "" if nothing was added; own: the caller. NULL: memory ran out on the way. Leaves t empty. */
char *text_take(text_buffer *t);
void text_release(text_buffer *t);

#endif
