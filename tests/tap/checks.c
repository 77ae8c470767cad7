/* SPDX-License-Identifier: Apache-2.0 */
/* checks.c - the checks of tap.h, whoever prints them: tap.c, or perigee-check-plugin. Invariant: each reports once, then says what was wrong. */
#include "tap/tap.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define REPORT(passed)                                                                                                 \
    do {                                                                                                               \
        va_list args_;                                                                                                 \
        va_start(args_, name);                                                                                         \
        tap_report((passed), name, args_);                                                                                 \
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
