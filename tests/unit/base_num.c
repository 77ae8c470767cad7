/* SPDX-License-Identifier: Apache-2.0 */
/* base_num - numbers to text and back: chosen values, random bits, a locale with a comma. */
#include "base/num.h"
#include "base/rng.h"
#include "tap/tap.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_print(void)
{
    static const struct {
        double x;
        const char *text;
    } list[] = {{0.1, "0.1"},
                {-0.0, "-0"},
                {0.0, "0"},
                {12345.678, "12345.678"},
                {1.0 / 3.0, "0.3333333333333333"},
                {1e15, "1000000000000000"},
                {1e16, "1e16"},
                {-2.5e-5, "-2.5e-5"},
                {0.0001, "0.0001"},
                {123456789012345678.0, "1.2345678901234568e17"},
                {1.7976931348623157e308, "1.7976931348623157e308"},
                {2.2250738585072014e-308, "2.2250738585072014e-308"},
                {5e-324, "5e-324"},
                {9007199254740993.0, "9007199254740992"},
                {HUGE_VAL, "inf"},
                {-HUGE_VAL, "-inf"},
                {(double)NAN, "nan"}};
    char out[NUM_SIZE];
    for (size_t k = 0; k < sizeof list / sizeof *list; k++)
        is_text(num_print(list[k].x, out), list[k].text, "%s", list[k].text);
    is_text(num_print_digits(2.385719, 3, out), "2.39", "three digits");
    is_text(num_print_digits(99999.7, 5, out), "100000", "rounding carries");
}

static void test_parse(void)
{
    static const struct {
        const char *text;
        size_t used;
        double x;
    } list[] = {{"2.385", 5, 2.385},
                {"-.5e3;", 5, -500.0},
                {"+7.", 3, 7.0},
                {"1e", 1, 1.0},
                {"1e+", 1, 1.0},
                {"1E-5x", 4, 1e-5},
                {"0.1000000000000000055511151231257827", 36, 0.1},
                {"123456789012345678901234567890", 30, 1.2345678901234568e29},
                {"9007199254740993", 16, 9007199254740992.0},
                {"2.2250738585072011e-308", 23, 2.2250738585072011e-308},
                {"1e400", 5, HUGE_VAL},
                {"1e-400", 6, 0.0},
                {"0e999999999999", 14, 0.0},
                {"-Infinity", 9, -HUGE_VAL},
                {"inf", 3, HUGE_VAL},
                {"0x1.8p1", 7, 3.0},
                {"1,5", 1, 1.0}};
    for (size_t k = 0; k < sizeof list / sizeof *list; k++) {
        const char *end = NULL;
        double x = -1.0;
        const bool found = num_parse(list[k].text, &end, &x);
        ok(found && x == list[k].x && end == list[k].text + list[k].used, "parse %s", list[k].text);
    }
    static const char *const refused[] = {"", "-", ".", "e5", "x1", " 1", "+-1", "-.e3", "in"};
    for (size_t k = 0; k < sizeof refused / sizeof *refused; k++) {
        const char *end = NULL;
        double x = 0.0;
        ok(!num_parse(refused[k], &end, &x) && end == refused[k], "\"%s\" is no number", refused[k]);
    }
    const char *end = NULL;
    double x = 0.0;
    ok(num_parse("nan", &end, &x) && isnan(x), "nan");
}

static double random_double(uint64_t k)
{
    const uint64_t bits = rng_bits(20240229, 1, k);
    double x = 0.0;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void test_random(void)
{
    int64_t wrong_bits = 0, wrong_parse = 0;
    size_t longest = 0;
    for (uint64_t k = 0; k < 50000; k++) {
        char out[NUM_SIZE], text[64];
        const char *end = NULL;
        const double x = random_double(k);
        double back = 0.0;
        const bool read = num_parse(num_print(x, out), &end, &back) && *end == '\0';
        wrong_bits += !read || (!isnan(x) && memcmp(&x, &back, sizeof x) != 0);
        longest = strlen(out) > longest ? strlen(out) : longest;
        const uint64_t r = rng_bits(20240229, 2, k);
        snprintf(text, sizeof text, "%u.%06ue%d", (unsigned)(r % 10000000), (unsigned)((r >> 24) % 1000000),
                 (int)((r >> 48) % 60) - 30);
        wrong_parse += !num_parse(text, &end, &back) || back != strtod(text, NULL);
    }
    diag("seed 20240229");
    is_int(wrong_bits, 0, "50000 random doubles come back bit by bit");
    is_int(wrong_parse, 0, "50000 random decimals are read as the C library reads them");
    ok(longest < NUM_SIZE, "the longest text has %zu characters", longest);
}

static void test_locale(void)
{
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL && setlocale(LC_NUMERIC, "fr_FR.UTF-8") == NULL) {
        skip(2, "no locale with a decimal comma here");
        return;
    }
    char out[NUM_SIZE];
    is_text(num_print(1234.5678901234567, out), "1234.5678901234567", "printing under a comma");
    const char *end = NULL;
    double x = 0.0;
    ok(num_parse("2.2250738585072011e-308", &end, &x) && x > 0.0 && *end == '\0', "parsing under a comma");
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    plan_later();
    test_print();
    test_parse();
    test_random();
    test_locale();
    return tap_done();
}
