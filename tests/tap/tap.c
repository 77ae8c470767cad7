/* SPDX-License-Identifier: Apache-2.0 */
/* tap.c - the Test Anything Protocol, version 12. Invariant: one line "ok" or "not ok" for each numbered test. */
#include "tap/tap.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t planned = -1, run, failed;

void plan(int64_t tests)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    planned = tests;
    printf("1..%" PRId64 "\n", tests);
}

void plan_later(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
}

void skip_all(const char *reason)
{
    printf("1..0 # SKIP %s\n", reason);
    exit(0);
}

static bool report(bool passed, const char *name, va_list args)
{
    run++;
    failed += !passed;
    printf("%s %" PRId64 " - ", passed ? "ok" : "not ok", run);
    vprintf(name, args);
    putchar('\n');
    return passed;
}

#define REPORT(passed)                                                                                                 \
    do {                                                                                                               \
        va_list args_;                                                                                                 \
        va_start(args_, name);                                                                                         \
        report((passed), name, args_);                                                                                 \
        va_end(args_);                                                                                                 \
    } while (0)

bool ok(bool passed, const char *name, ...)
{
    REPORT(passed);
    return passed;
}

bool is_int(int64_t got, int64_t want, const char *name, ...)
{
    REPORT(got == want);
    if (got != want)
        diag("got %" PRId64 ", want %" PRId64, got, want);
    return got == want;
}

bool is_text(const char *got, const char *want, const char *name, ...)
{
    const bool passed = got == want || (got != NULL && want != NULL && strcmp(got, want) == 0);
    REPORT(passed);
    if (!passed)
        diag("got  \"%s\"\nwant \"%s\"", got != NULL ? got : "(null)", want != NULL ? want : "(null)");
    return passed;
}

bool has_text(const char *got, const char *part, const char *name, ...)
{
    const bool passed = got != NULL && strstr(got, part) != NULL;
    REPORT(passed);
    if (!passed)
        diag("got  \"%s\"\nwant \"...%s...\"", got != NULL ? got : "(null)", part);
    return passed;
}

static bool near(double got, double want, double rtol, double atol)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want);
    if (isinf(got) || isinf(want))
        return isinf(got) && isinf(want) && (got > 0) == (want > 0);
    return fabs(got - want) <= atol + rtol * fabs(want);
}

bool is_close(double got, double want, double rtol, double atol, const char *name, ...)
{
    const bool passed = near(got, want, rtol, atol);
    REPORT(passed);
    if (!passed)
        diag("got %.17g, want %.17g, difference %.3g, allowed %.3g", got, want, got - want, atol + rtol * fabs(want));
    return passed;
}

bool all_close(int64_t n, const double *got, const double *want, double rtol, double atol, const char *name, ...)
{
    int64_t wrong = 0, first = -1;
    for (int64_t i = 0; i < n; i++) {
        if (near(got[i], want[i], rtol, atol))
            continue;
        wrong++;
        if (first < 0)
            first = i;
    }
    REPORT(wrong == 0);
    if (wrong > 0)
        diag("%" PRId64 " of %" PRId64 " differ, the first at %" PRId64 ": got %.17g, want %.17g", wrong, n, first,
             got[first], want[first]);
    return wrong == 0;
}

void skip(int64_t tests, const char *reason, ...)
{
    for (int64_t k = 0; k < tests; k++) {
        va_list args;
        va_start(args, reason);
        printf("ok %" PRId64 " # SKIP ", ++run);
        vprintf(reason, args);
        putchar('\n');
        va_end(args);
    }
}

void diag(const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fputs("# ", stdout);
    for (const char *at = text; *at != '\0'; at++) {
        putchar(*at);
        if (*at == '\n')
            fputs("# ", stdout);
    }
    putchar('\n');
}

bool tap_long(void)
{
    const char *value = getenv("PERI_TEST_LONG");
    return value != NULL && strcmp(value, "1") == 0;
}

int tap_done(void)
{
    if (planned < 0) {
        planned = run;
        printf("1..%" PRId64 "\n", run);
    }
    if (run != planned)
        diag("planned %" PRId64 " tests, ran %" PRId64, planned, run);
    if (failed > 0)
        diag("%" PRId64 " of %" PRId64 " failed", failed, run);
    return failed == 0 && run == planned ? 0 : 1;
}
