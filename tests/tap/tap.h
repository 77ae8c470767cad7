/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tap.h - tests that speak TAP. A program calls plan once, then one of the checks per test point, and returns tap_done().
 * Each check prints its line, returns whether it passed, and says what it got and wanted when it did not.
 */
#ifndef PERI_TAP_H
#define PERI_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

void plan(int64_t tests);          /* or plan_later(): the plan is printed by tap_done */
void plan_later(void);
void skip_all(const char *reason); /* prints the plan 1..0 and ends the program */

bool ok(bool passed, const char *name, ...) __attribute__((format(printf, 2, 3)));
bool is_int(int64_t got, int64_t want, const char *name, ...) __attribute__((format(printf, 3, 4)));
bool is_text(const char *got, const char *want, const char *name, ...) __attribute__((format(printf, 3, 4)));
/* `part` occurs in got */
bool has_text(const char *got, const char *part, const char *name, ...) __attribute__((format(printf, 3, 4)));
/* |got - want| <= atol + rtol |want|; equal infinities pass, NaN only against NaN */
bool is_close(double got, double want, double rtol, double atol, const char *name, ...)
    __attribute__((format(printf, 5, 6)));
bool all_close(int64_t n, const double *got, const double *want, double rtol, double atol, const char *name, ...)
    __attribute__((format(printf, 6, 7)));

void skip(int64_t tests, const char *reason, ...) __attribute__((format(printf, 2, 3)));
void diag(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool tap_long(void); /* PERI_TEST_LONG=1: tests that take more than some seconds are wanted */
void tap_report(bool passed, const char *name, va_list args); /* a check's line; what the checks are made of */
int tap_done(void);  /* the exit status: 0 when all planned tests ran and passed */

#endif
