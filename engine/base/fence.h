/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fence.h - the state of the process that foreign code must leave alone: floating-point modes (rounding, flush to zero,
 * traps), the locale, the thread's signal mask. Taken before plugin code runs and restored after it; what was changed
 * is told.
 */
#ifndef PERI_BASE_FENCE_H
#define PERI_BASE_FENCE_H

#include <fenv.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    fenv_t fp;
    uint64_t modes; /* the floating-point control bits, without the exception flags */
} fence_fp;

/* Floating point only: cheap enough for every call. fence_fp_restore is true when the modes had been changed. */
void fence_fp_take(fence_fp *f);
bool fence_fp_restore(const fence_fp *f);

typedef struct {
    fence_fp fp;
    sigset_t mask;
    char locale[512]; /* "" where its name does not fit: then it is not watched */
} fence;

enum { FENCE_FP = 1, FENCE_LOCALE = 2, FENCE_SIGNALS = 4 };

/* All of it. fence_restore returns what had been changed, a set of the bits above; fence_text puts that in words. */
void fence_take(fence *f);
unsigned fence_restore(const fence *f);
const char *fence_text(unsigned changed);

/* What is watched at each call of a plugin: everything in debug builds, floating point otherwise. */
#ifdef PERI_DEBUG
typedef fence fence_call;

static inline void fence_call_take(fence_call *f)
{
    fence_take(f);
}

static inline unsigned fence_call_restore(const fence_call *f)
{
    return fence_restore(f);
}
#else
typedef fence_fp fence_call;

static inline void fence_call_take(fence_call *f)
{
    fence_fp_take(f);
}

static inline unsigned fence_call_restore(const fence_call *f)
{
    return fence_fp_restore(f) ? FENCE_FP : 0;
}
#endif

#endif
