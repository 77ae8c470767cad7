/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - how checks get from the process that runs the plugin to the one that reports. The checks themselves (tests/tap/tap.h) write
 * lines into a pipe and counts into a page of shared memory, which is there still when the process has crashed.
 */
#ifndef PERI_CHECK_REPORT_H
#define PERI_CHECK_REPORT_H

#include <stdbool.h>
#include <stdint.h>

enum { REPORT_PLUGINS = 64 }; /* most of one file */

typedef struct {
    char name[64], kind[16];
} report_plugin;

typedef struct {
    char place[320];                 /* what is being done */
    int64_t checks, failed, skipped; /* of the part */
    int64_t number;                  /* of the last TAP line */
    bool done;                       /* the part came to its end */
    int64_t n_plugins;               /* found by the part that loads */
    report_plugin plugin[REPORT_PLUGINS];
} report_page;

/* In the process that checks: lines go to fd, TAP or, where not, failures and what was left out only. */
void report_open(report_page *page, int fd, bool tap, bool every_place);
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2))); /* one that is no check */

#endif
