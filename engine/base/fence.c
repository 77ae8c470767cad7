/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fence.c - taking and restoring the state of the process around foreign code. An object built with -ffast-math sets
 * flush-to-zero for its loader's thread, a plotting library changes the locale: neither may reach the engine or another
 * plugin. Invariant: after fence_restore the state is the one that fence_take saw, whatever it returns.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/fence.h"

#include <locale.h>
#include <pthread.h>
#include <string.h>

/* Rounding, precision, traps, flush-to-zero; not the exception flags, which any arithmetic sets. */
static uint64_t control_bits(void)
{
#if defined(__x86_64__)
    const uint64_t mxcsr_flags = 0x3f;
    uint16_t x87 = 0;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return ((uint64_t)__builtin_ia32_stmxcsr() & ~mxcsr_flags) | (uint64_t)x87 << 32;
#elif defined(__aarch64__)
    return (uint64_t)__builtin_aarch64_get_fpcr();
#else
    return (uint64_t)(unsigned)fegetround();
#endif
}

void fence_fp_take(fence_fp *f)
{
    fegetenv(&f->fp);
    f->modes = control_bits();
}

bool fence_fp_restore(const fence_fp *f)
{
    if (control_bits() == f->modes)
        return false;
    fesetenv(&f->fp);
    return true;
}

void fence_take(fence *f)
{
    fence_fp_take(&f->fp);
    pthread_sigmask(SIG_SETMASK, NULL, &f->mask);
    const char *now = setlocale(LC_ALL, NULL);
    f->locale[0] = '\0';
    if (now != NULL && strlen(now) < sizeof f->locale)
        memcpy(f->locale, now, strlen(now) + 1);
}

static bool same_mask(const sigset_t *a, const sigset_t *b)
{
    for (int s = 1; s <= SIGRTMAX; s++)
        if (sigismember(a, s) != sigismember(b, s))
            return false;
    return true;
}

unsigned fence_restore(const fence *f)
{
    unsigned changed = fence_fp_restore(&f->fp) ? FENCE_FP : 0;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (!same_mask(&mask, &f->mask)) {
        pthread_sigmask(SIG_SETMASK, &f->mask, NULL);
        changed |= FENCE_SIGNALS;
    }
    const char *now = setlocale(LC_ALL, NULL);
    if (f->locale[0] != '\0' && (now == NULL || strcmp(now, f->locale) != 0)) {
        setlocale(LC_ALL, f->locale);
        changed |= FENCE_LOCALE;
    }
    return changed;
}

const char *fence_text(unsigned changed)
{
    static const char *const words[] = {
        "nothing",
        "the floating-point modes",
        "the locale",
        "the floating-point modes and the locale",
        "the signal mask",
        "the floating-point modes and the signal mask",
        "the locale and the signal mask",
        "the floating-point modes, the locale and the signal mask",
    };
    return words[changed & 7U];
}
