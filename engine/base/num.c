/* SPDX-License-Identifier: Apache-2.0 */
/*
 * num.c - numbers as text without the locale. Printing takes only the digits from the C library and sets point and exponent
 * itself; parsing computes short decimals exactly and leaves the rest to the C library in the "C" locale. Invariant: what
 * num_print writes, num_parse reads back to the same bits (a NaN to some NaN).
 */
#define _GNU_SOURCE
#include "base/num.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_DIGITS = 17 };

/* A finite number as its decimal digits d1 d2 ... dn, value 0.d1d2... * 10^exponent, without zeros at the end. */
typedef struct {
    char digits[MOST_DIGITS + 1];
    int n, exponent;
    bool negative;
} decimal;

static void to_decimal(double x, int digits, decimal *d)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", digits - 1, fabs(x));
    d->n = 0;
    const char *at = text;
    for (; *at != 'e' && *at != '\0'; at++) /* whatever the locale puts for the point is skipped */
        if (*at >= '0' && *at <= '9' && d->n < MOST_DIGITS)
            d->digits[d->n++] = *at;
    d->exponent = (*at == 'e' ? (int)strtol(at + 1, NULL, 10) : 0) + 1;
    while (d->n > 1 && d->digits[d->n - 1] == '0')
        d->n--;
    d->negative = signbit(x) != 0;
}

/* d with at most `digits` of its digits, rounded half up (a candidate: the caller reads it back). */
static decimal rounded(const decimal *d, int digits)
{
    decimal r = *d;
    if (digits >= d->n)
        return r;
    r.n = digits;
    if (d->digits[digits] >= '5') {
        while (r.n > 0 && r.digits[r.n - 1] == '9')
            r.n--;
        if (r.n > 0) {
            r.digits[r.n - 1]++;
        } else {
            r.digits[r.n++] = '1';
            r.exponent++;
        }
    }
    while (r.n > 1 && r.digits[r.n - 1] == '0')
        r.n--;
    return r;
}

static char *put(char *out, const char *text, int n)
{
    memcpy(out, text, (size_t)n);
    return out + n;
}

static char *put_zeros(char *out, int n)
{
    memset(out, '0', (size_t)n);
    return out + n;
}

static void write_decimal(const decimal *d, char *out)
{
    if (d->negative)
        *out++ = '-';
    if (d->exponent > MOST_DIGITS - 1 || d->exponent < -3) { /* d.ddde-7 */
        out = put(out, d->digits, 1);
        if (d->n > 1) {
            *out++ = '.';
            out = put(out, d->digits + 1, d->n - 1);
        }
        snprintf(out, 16, "e%d", d->exponent - 1); /* never more than "e-324" */
        return;
    }
    if (d->exponent <= 0) { /* 0.00ddd */
        out = put(out, "0.", 2);
        out = put_zeros(out, -d->exponent);
        out = put(out, d->digits, d->n);
    } else if (d->exponent >= d->n) { /* ddd000 */
        out = put(out, d->digits, d->n);
        out = put_zeros(out, d->exponent - d->n);
    } else { /* dd.ddd */
        out = put(out, d->digits, d->exponent);
        *out++ = '.';
        out = put(out, d->digits + d->exponent, d->n - d->exponent);
    }
    *out = '\0';
}

static bool print_special(double x, char *out)
{
    if (isfinite(x))
        return false;
    memcpy(out, isnan(x) ? "nan\0" : x > 0 ? "inf\0" : "-inf", 5);
    return true;
}

char *num_print_digits(double x, int digits, char out[NUM_SIZE])
{
    if (print_special(x, out))
        return out;
    decimal d;
    to_decimal(x, digits < 1 ? 1 : digits > MOST_DIGITS ? MOST_DIGITS : digits, &d);
    write_decimal(&d, out);
    return out;
}

char *num_print(double x, char out[NUM_SIZE])
{
    if (print_special(x, out))
        return out;
    if (fabs(x) < 1e15 && x == trunc(x) && !(x == 0.0 && signbit(x))) {
        snprintf(out, NUM_SIZE, "%lld", (long long)x);
        return out;
    }
    decimal all;
    to_decimal(x, MOST_DIGITS, &all);
    for (int digits = fabs(x) < DBL_MIN ? 1 : 15; digits <= MOST_DIGITS; digits++) {
        const decimal d = rounded(&all, digits);
        write_decimal(&d, out);
        const char *end = NULL;
        double back = 0.0;
        if (num_parse(out, &end, &back) && back == x)
            break;
    }
    return out;
}

/* ---- parsing ------------------------------------------------------------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal as scanned: digits * 10^exponent, `exact` when no digit was dropped. */
typedef struct {
    uint64_t digits;
    int64_t exponent;
    int n; /* digits without leading zeros */
    bool any, exact;
} scanned;

static const char *scan_digits(const char *at, int64_t exponent_step, scanned *s)
{
    for (; is_digit(*at); at++) {
        s->any = true;
        if (s->n >= 19) { /* more would not fit into 64 bits */
            s->exact = false;
            s->exponent += 1 + exponent_step;
            continue;
        }
        s->digits = s->digits * 10 + (uint64_t)(*at - '0');
        s->n += s->digits != 0;
        s->exponent += exponent_step;
    }
    return at;
}

static const char *scan_exponent(const char *at, scanned *s)
{
    if (*at != 'e' && *at != 'E')
        return at;
    const char *p = at + 1;
    const bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    if (!is_digit(*p))
        return at;
    int64_t e = 0;
    for (; is_digit(*p); p++)
        if (e < 1000000)
            e = e * 10 + (*p - '0');
    s->exponent += negative ? -e : e;
    return p;
}

/* Both factors are exact doubles, so one rounding is all there is (Clinger 1990). */
static bool fast_value(const scanned *s, double *x)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!s->exact || s->digits > (UINT64_C(1) << 53) || s->exponent < -22 || s->exponent > 22)
        return false;
    *x = s->exponent < 0 ? (double)s->digits / powers[-s->exponent] : (double)s->digits * powers[s->exponent];
    return true;
}

static double library_value(const char *text, const char **end)
{
    char *stop = NULL;
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* a constant inside the C library: allocates nothing */
    const double x = c != (locale_t)0 ? strtod_l(text, &stop, c) : strtod(text, &stop);
    if (c != (locale_t)0)
        freelocale(c);
    *end = stop;
    return x;
}

static bool parse_word(const char *at, const char **end, double *x)
{
    if (strncasecmp(at, "inf", 3) == 0) {
        *x = HUGE_VAL;
        *end = at + (strncasecmp(at, "infinity", 8) == 0 ? 8 : 3);
        return true;
    }
    if (strncasecmp(at, "nan", 3) == 0) {
        *x = (double)NAN;
        *end = at + 3;
        return true;
    }
    return false;
}

bool num_parse(const char *text, const char **end, double *x)
{
    const char *at = text + (*text == '-' || *text == '+');
    const bool negative = *text == '-';
    *end = text;
    double value = 0.0;
    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X')) {
        *x = library_value(text, end);
        return true;
    }
    if (!parse_word(at, end, &value)) {
        scanned s = {.exact = true};
        const char *p = scan_digits(at, 0, &s);
        if (*p == '.')
            p = scan_digits(p + 1, -1, &s);
        if (!s.any)
            return false;
        *end = scan_exponent(p, &s);
        if (!fast_value(&s, &value))
            value = library_value(at, &p);
    }
    *x = negative ? -value : value;
    return true;
}
