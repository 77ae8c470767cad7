/* SPDX-License-Identifier: Apache-2.0 */
/* tokens.c - the engine's tokeniser and number parser: the first byte chooses the rules, the rest is the text. */
#include "base/num.h"
#include "fuzz.h"
#include "io/token.h"

#include <math.h>
#include <string.h>

static const token_rules rules[] = {
    {.marks = ";[]=", .quotes = "'\"", .comment = '%', .line_ends = true},
    {.marks = NULL, .quotes = NULL, .comment = 0, .line_ends = false},
    {.marks = ",", .quotes = "\"", .comment = 0, .line_ends = true},
    {.marks = "{}:", .quotes = "'", .comment = '#', .line_ends = false},
};

static void check_token(token_reader *r, int64_t line, int64_t column, size_t size)
{
    double x = 0;
    int64_t i = 0;
    const token *t = &r->now;
    FUZZ_CHECK(t->line > line || (t->line == line && t->column >= column), "at %lld:%lld", (long long)t->line, (long long)t->column);
    FUZZ_CHECK(t->n <= size && t->text[t->n] == '\0', "%zu of %zu", t->n, size);
    if (token_number(r, &x) == PERI_OK) {
        char number[NUM_SIZE];
        const char *end = NULL;
        double back = 0;
        num_print(x, number);
        FUZZ_CHECK(num_parse(number, &end, &back) && *end == '\0', "%s", number);
        FUZZ_CHECK(memcmp(&x, &back, sizeof x) == 0 || (isnan(x) && isnan(back)), "%s", number);
    }
    if (token_integer(r, &i) == PERI_OK)
        FUZZ_CHECK(token_number(r, &x) == PERI_OK && fabs(x - (double)i) <= 1e-15 * fabs(x), "%lld", (long long)i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    token_reader r;
    if (size == 0)
        return 0;
    peri_context *ctx = peri_context_new(NULL);
    const char *text = (const char *)data + 1;
    if (token_open_memory(&r, ctx, "text", text, size - 1, &rules[data[0] % 4]) == PERI_OK) {
        int64_t line = 1, column = 1;
        while (token_next(&r) == PERI_OK && r.now.kind != TOKEN_END) {
            check_token(&r, line, column, size);
            line = r.now.line;
            column = r.now.column;
        }
        token_close(&r);
    }
    peri_context_free(ctx);
    return 0;
}
