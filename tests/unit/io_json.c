/* SPDX-License-Identifier: Apache-2.0 */
/* io_json - the writer: nesting, numbers, escapes, misuse, running out of memory. */
#include "io/json.h"
#include "tap/tap.h"

#include <math.h>

static void write_result(json_writer *w)
{
    json_open_object(w);
    json_key(w, "status");
    json_text(w, "locally_optimal");
    json_key(w, "objective");
    json_number(w, 8081.5247);
    json_key(w, "x");
    json_numbers(w, 3, (const double[]){0.1, -HUGE_VAL, (double)NAN});
    json_key(w, "certificate");
    json_open_object(w);
    json_close(w);
    json_key(w, "iterations");
    json_integer(w, -12);
    json_key(w, "rows");
    json_open_array(w);
    json_bool(w, true);
    json_bool(w, false);
    json_null(w);
    json_text(w, NULL);
    json_open_array(w);
    json_close(w);
    json_close(w);
    json_close(w);
}

static const char result[] = "{\"status\":\"locally_optimal\",\"objective\":8081.5247,\"x\":[0.1,\"-inf\",\"nan\"],"
                             "\"certificate\":{},\"iterations\":-12,\"rows\":[true,false,null,null,[]]}";

static void test_texts(peri_context *ctx)
{
    static const struct {
        const char *text, *json;
    } list[] = {{"", "\"\""},
                {"a\"b\\c/\b\f\n\r\t", "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\""},
                {"\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\""},
                {"\xce\xbb \xe2\x88\x87 \xf0\x9d\x94\xbd", "\"\xce\xbb \xe2\x88\x87 \xf0\x9d\x94\xbd\""},
                {"\x80x\xc3", "\"\\ufffdx\\ufffd\""},
                {"\xc0\xaf", "\"\\ufffd\\ufffd\""},           /* overlong */
                {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* a surrogate */
                {"\xf5\x80\x80\x80!", "\"\\ufffd\\ufffd\\ufffd\\ufffd!\""}};
    for (size_t k = 0; k < sizeof list / sizeof *list; k++) {
        json_writer w;
        char *out = NULL;
        json_init(&w, &ctx->mem);
        json_text(&w, list[k].text);
        ok(json_finish(&w, ctx, &out) == PERI_OK, "a text alone is JSON");
        is_text(out, list[k].json, "text %zu", k);
        peri_free_text(ctx, out);
    }
}

static void refuse(peri_context *ctx, const char *what, void (*write)(json_writer *w))
{
    json_writer w;
    char *out = NULL;
    json_init(&w, &ctx->mem);
    write(&w);
    ok(json_finish(&w, ctx, &out) == PERI_E_INTERNAL && out == NULL, "refused: %s", what);
}

static void nothing(json_writer *w)
{
    (void)w;
}

static void left_open(json_writer *w)
{
    json_open_array(w);
}

static void closed_twice(json_writer *w)
{
    json_open_array(w);
    json_close(w);
    json_close(w);
}

static void no_key(json_writer *w)
{
    json_open_object(w);
    json_number(w, 1.0);
    json_close(w);
}

static void no_value(json_writer *w)
{
    json_open_object(w);
    json_key(w, "a");
    json_close(w);
}

static void key_in_array(json_writer *w)
{
    json_open_array(w);
    json_key(w, "a");
    json_null(w);
    json_close(w);
}

static void two_values(json_writer *w)
{
    json_null(w);
    json_null(w);
}

static void too_deep(json_writer *w)
{
    for (int k = 0; k <= JSON_DEPTH; k++)
        json_open_array(w);
    for (int k = 0; k <= JSON_DEPTH; k++)
        json_close(w);
}

int main(void)
{
    plan_later();
    peri_context *ctx = peri_context_new(NULL);
    if (ctx == NULL)
        return 1;
    json_writer w;
    char *out = NULL;
    json_init(&w, &ctx->mem);
    write_result(&w);
    is_int(json_finish(&w, ctx, &out), PERI_OK, "a result");
    is_text(out, result, "its text");
    peri_free_text(ctx, out);
    test_texts(ctx);
    refuse(ctx, "nothing", nothing);
    refuse(ctx, "left open", left_open);
    refuse(ctx, "closed twice", closed_twice);
    refuse(ctx, "a value without a key", no_key);
    refuse(ctx, "a key without a value", no_value);
    refuse(ctx, "a key in an array", key_in_array);
    refuse(ctx, "two values", two_values);
    refuse(ctx, "too deep", too_deep);

    int64_t before = 0, after = 0, k = 0;
    peri_status status = PERI_E_NOMEM;
    peri_memory(ctx, NULL, NULL, &before);
    bool clean = true;
    while (status == PERI_E_NOMEM && k < 100) {
        k++;
        peri_memory_fail_at(ctx, k, k % 2 == 0);
        json_init(&w, &ctx->mem);
        write_result(&w);
        status = json_finish(&w, ctx, &out);
        peri_memory_fail_at(ctx, 0, false);
        peri_free_text(ctx, out);
        peri_memory(ctx, NULL, NULL, &after);
        clean = clean && after == before;
    }
    ok(status == PERI_OK && k > 1 && clean, "each of %d allocations may fail, nothing is left", (int)k - 1);
    peri_context_free(ctx);
    return tap_done();
}
