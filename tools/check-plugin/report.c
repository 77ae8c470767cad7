/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c - the printing of the checks of tests/tap/tap.h for a process of its own: the contract is written once and speaks TAP in the project's
 * tests, and this way to authors. Invariant: a line is written whole before the next thing is tried.
 */
#include "report.h"
#include "plugin/contract.h"
#include "tap/tap.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    report_page *page;
    int fd;
    bool tap, every_place;
} to;

void report_open(report_page *page, int fd, bool tap, bool every_place)
{
    to.page = page;
    to.fd = fd;
    to.tap = tap;
    to.every_place = every_place;
}

static void put(const char *text, size_t n)
{
    while (n > 0) {
        const ssize_t written = write(to.fd, text, n);
        if (written <= 0)
            return; /* nobody reads any more */
        text += written;
        n -= (size_t)written;
    }
}

/* `prefix`, the text, a line end; line ends in it are followed by `prefix` again. */
static void put_line(const char *prefix, const char *format, va_list args)
{
    char text[2048], out[4096];
    size_t n = 0;
    vsnprintf(text, sizeof text, format, args);
    n += (size_t)snprintf(out, sizeof out, "%s", prefix);
    for (const char *at = text; *at != '\0' && n + 64 < sizeof out; at++) {
        out[n++] = *at;
        if (*at == '\n')
            n += (size_t)snprintf(out + n, sizeof out - n, "%s", prefix);
    }
    out[n++] = '\n';
    put(out, n);
}

void report_line(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_line(to.tap ? "# " : "    ", format, args);
    va_end(args);
}

void tap_report(bool passed, const char *name, va_list args)
{
    char prefix[48];
    to.page->checks++;
    to.page->failed += !passed;
    to.page->number++;
    if (to.tap) {
        snprintf(prefix, sizeof prefix, "%s %" PRId64 " - ", passed ? "ok" : "not ok", to.page->number);
        put_line(prefix, name, args);
    } else if (!passed) {
        put_line("    ", name, args);
    }
}

void diag(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_line(to.tap ? "# " : "      ", format, args);
    va_end(args);
}

void skip(int64_t tests, const char *reason, ...)
{
    char prefix[48];
    for (int64_t k = 0; k < tests; k++) {
        va_list args;
        va_start(args, reason);
        to.page->skipped++;
        to.page->number++;
        snprintf(prefix, sizeof prefix, "ok %" PRId64 " # SKIP ", to.page->number);
        put_line(to.tap ? prefix : "    note: ", reason, args);
        va_end(args);
    }
}

bool tap_long(void)
{
    return to.every_place;
}

void contract_at(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(to.page->place, sizeof to.page->place, format, args);
    va_end(args);
}
