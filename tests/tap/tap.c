/* SPDX-License-Identifier: Apache-2.0 */
/* tap.c - the Test Anything Protocol, version 12. Invariant: one line "ok" or "not ok" for each numbered test. */
#include "tap/tap.h"

#include <inttypes.h>
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

void tap_report(bool passed, const char *name, va_list args)
{
    run++;
    failed += !passed;
    printf("%s %" PRId64 " - ", passed ? "ok" : "not ok", run);
    vprintf(name, args);
    putchar('\n');
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
