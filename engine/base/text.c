/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - growing texts. Invariant: `at` is NULL or ends with a zero at at[n], and n < cap. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(text_buffer *t, mem *m)
{
    *t = (text_buffer){.m = m};
}

void text_release(text_buffer *t)
{
    mem_array_free(t->m, t->at);
    *t = (text_buffer){.m = t->m};
}

/* Room for `more` bytes and the final zero. */
static bool reserve(text_buffer *t, size_t more)
{
    if (t->failed)
        return false;
    if (more < t->cap - t->n)
        return true;
    size_t cap = t->cap < 64 ? 128 : t->cap * 2;
    if (more >= SIZE_MAX / 4 || cap >= SIZE_MAX / 4)
        cap = 0;
    else if (cap < t->n + more + 1)
        cap = t->n + more + 1;
    char *bigger = cap != 0 ? mem_array(t->m, cap, 1) : NULL;
    if (bigger == NULL) {
        t->failed = true;
        return false;
    }
    if (t->at != NULL)
        memcpy(bigger, t->at, t->n + 1);
    mem_array_free(t->m, t->at);
    t->at = bigger;
    t->cap = cap;
    return true;
}

void text_put(text_buffer *t, const char *data, size_t n)
{
    if (n == 0 || !reserve(t, n))
        return;
    memcpy(t->at + t->n, data, n);
    t->n += n;
    t->at[t->n] = '\0';
}

void text_add(text_buffer *t, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(small, sizeof small, format, args);
    if (n >= 0 && (size_t)n < sizeof small) {
        text_put(t, small, (size_t)n);
    } else if (n >= 0 && reserve(t, (size_t)n)) {
        vsnprintf(t->at + t->n, (size_t)n + 1, format, again);
        t->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

char *text_take(text_buffer *t)
{
    reserve(t, 0);
    char *text = t->failed ? NULL : t->at;
    if (t->failed)
        mem_array_free(t->m, t->at);
    *t = (text_buffer){.m = t->m};
    return text;
}
