/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fence.h - the state of the process that foreign code must leave alone: floating-point modes (rounding, flush to zero,
 * traps), the locale, the thread's signal mask, the buffering of standard output. Taken before plugin code runs and restored after it; what was changed
 * is told.
 */
#ifndef PERI_BASE_FENCE_H
#define PERI_BASE_FENCE_H

#include <fenv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    fenv_t fp;
    uint64_t modes; /* the floating-point control bits, without the exception flags */
} fence_fp;

/* Floating point only: cheap enough for every call. fence_fp_restore is true when the modes had been changed. */
void fence_fp_take(fence_fp *f);
bool fence_fp_restore(const fence_fp *f);

enum {
    FENCE_FP = 1,
    FENCE_LOCALE = 2,
    FENCE_SIGNALS = 4,
    FENCE_OUTPUT = 8, /* how standard output is buffered */
    FENCE_ALL = 15,
    FENCE_CHEAP = FENCE_FP | FENCE_LOCALE, /* no system call: for every call of a plugin */
#ifdef PERI_DEBUG
    FENCE_CALL = FENCE_ALL
#else
    FENCE_CALL = FENCE_CHEAP
#endif
};

typedef struct {
    unsigned watched; /* of the bits above */
    fence_fp fp;
    uint64_t mask[16]; /* a sigset_t */
    int buffering;
    bool buffer_known; /* standard output has been used: its buffering is decided */
    char locale[512]; /* "" where its name does not fit: then it is not watched */
} fence;

/* What of it is watched. fence_restore returns what of that had been changed; fence_text puts it in words. */
void fence_take(fence *f, unsigned watched);
unsigned fence_restore(const fence *f);
void fence_text(unsigned changed, char *text, size_t size);

#endif
