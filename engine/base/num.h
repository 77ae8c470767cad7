/* SPDX-License-Identifier: Apache-2.0 */
/* num.h - numbers as text, independent of the locale. */
#ifndef PERI_BASE_NUM_H
#define PERI_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>

#define NUM_SIZE 32
/* Shortest decimal that reads back as x; "inf", "-inf", "nan". Writes at most NUM_SIZE bytes, returns out. */
char *num_print(double x, char out[NUM_SIZE]);
/* As num_print with at most `digits` significant digits. */
char *num_print_digits(double x, int digits, char out[NUM_SIZE]);
/* Parses a number at text (C syntax, inf, nan); *end after it. False: no number there; *end = text. */
bool num_parse(const char *text, const char **end, double *x);

#endif
