/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fence.c - taking and restoring the state of the process around foreign code. An object built with -ffast-math sets
 * flush-to-zero for its loader's thread, a plotting library changes the locale: neither may reach the engine or another
 * plugin. Invariant: after fence_restore the state is the one that fence_take saw, whatever it returns.
 */
#define _GNU_SOURCE
#include "base/fence.h"

#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#ifdef __GLIBC__
#include <stdio_ext.h>
#endif
#include <string.h>
#include <unistd.h>

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

/* ---- standard output ------------------------------------------------------------------------------------------------ */

/* _IONBF, _IOLBF or _IOFBF. The C library decides between the last two at the first use, by whether it is a terminal. */
static int buffering(void)
{
#ifdef __GLIBC__
    const int unbuffered = 2; /* of the flags; there is no function that tells it */
    return stdout->_flags & unbuffered ? _IONBF : __flbf(stdout) ? _IOLBF : _IOFBF;
#else
    return _IOFBF;
#endif
}

static bool buffer_is_known(void)
{
#ifdef __GLIBC__
    return __fbufsize(stdout) > 0;
#else
    return false;
#endif
}

static bool restore_buffering(const fence *f)
{
    const int now = buffering();
    if (now == f->buffering || (!f->buffer_known && now == _IOLBF && isatty(STDOUT_FILENO) == 1))
        return false;
    return setvbuf(stdout, NULL, f->buffering, f->buffering == _IONBF ? 0 : BUFSIZ) == 0;
}

/* ---- the signal mask ------------------------------------------------------------------------------------------------ */

_Static_assert(sizeof(sigset_t) <= sizeof((fence *)0)->mask, "a signal set fits");

static void take_mask(fence *f)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    memcpy(f->mask, &mask, sizeof mask);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------ */

void fence_take(fence *f, unsigned watched)
{
    f->watched = watched;
    fence_fp_take(&f->fp);
    if (watched & FENCE_SIGNALS)
        take_mask(f);
    if (watched & FENCE_OUTPUT) {
        f->buffering = buffering();
        f->buffer_known = buffer_is_known();
    }
    const char *now = watched & FENCE_LOCALE ? setlocale(LC_ALL, NULL) : NULL;
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

static bool restore_mask(const fence *f)
{
    sigset_t now, before;
    memcpy(&before, f->mask, sizeof before);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    if (same_mask(&now, &before))
        return false;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return true;
}

static bool restore_locale(const fence *f)
{
    const char *now = setlocale(LC_ALL, NULL);
    if (f->locale[0] == '\0' || (now != NULL && strcmp(now, f->locale) == 0))
        return false;
    setlocale(LC_ALL, f->locale);
    return true;
}

unsigned fence_restore(const fence *f)
{
    unsigned changed = fence_fp_restore(&f->fp) ? FENCE_FP : 0;
    if ((f->watched & FENCE_SIGNALS) && restore_mask(f))
        changed |= FENCE_SIGNALS;
    if ((f->watched & FENCE_LOCALE) && restore_locale(f))
        changed |= FENCE_LOCALE;
    if ((f->watched & FENCE_OUTPUT) && restore_buffering(f))
        changed |= FENCE_OUTPUT;
    return changed;
}

/* "a, b and c" */
void fence_text(unsigned changed, char *text, size_t size)
{
    static const char *const words[] = {"the floating-point modes", "the locale", "the signal mask",
                                        "the buffering of standard output"};
    size_t at = 0;
    snprintf(text, size, "nothing");
    for (unsigned k = 0; k < 4 && at < size; k++) {
        if (!(changed >> k & 1U))
            continue;
        const char *between = at == 0 ? "" : changed >> (k + 1) ? ", " : " and ";
        at += (size_t)snprintf(text + at, size - at, "%s%s", between, words[k]);
    }
}
