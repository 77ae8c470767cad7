/* SPDX-License-Identifier: Apache-2.0 */
/* base_fail - the error record, nearest names, status texts, the clock. */
#include "base/clock.h"
#include "base/context.h"
#include "tap/tap.h"

#include <string.h>

static peri_status inner(peri_context *ctx)
{
    return FAIL(ctx, PERI_E_OPTION, "lbfgs: option \"%s\" is %d, must be in [1, 1000]", "memory", 0);
}

static peri_status outer(peri_context *ctx)
{
    TRY(inner(ctx));
    return PERI_OK;
}

static void test_record(peri_context *ctx)
{
    is_text(peri_error(ctx), "", "no error at first");
    is_text(peri_error_origin(ctx), "", "nor an origin");
    is_int(outer(ctx), PERI_E_OPTION, "TRY passes the code on");
    is_text(peri_error(ctx), "lbfgs: option \"memory\" is 0, must be in [1, 1000]", "the message");
    is_int(peri_error_code(ctx), PERI_E_OPTION, "the code");
    has_text(peri_error_origin(ctx), "inner (", "the origin");
    is_int(fail_prefix(ctx, "%s:%d", "model.lua", 12), PERI_E_OPTION, "fail_prefix keeps the code");
    has_text(peri_error(ctx), "model.lua:12: lbfgs: option", "and puts its text before");
    (void)FAIL(ctx, PERI_E_STATE, "again: %s", peri_error(ctx));
    has_text(peri_error(ctx), "again: model.lua:12: lbfgs", "a message may quote the one before");
    char longer[3000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    (void)FAIL(ctx, PERI_E_NAME, "%s", longer);
    ok(strlen(peri_error(ctx)) == sizeof ctx->error.text - 1, "a long message is cut");
    fail_prefix(ctx, "%s", "front");
    ok(strncmp(peri_error(ctx), "front: xxx", 10) == 0 && strlen(peri_error(ctx)) < sizeof ctx->error.text,
       "and cut again behind a prefix");
    fail_prefix(ctx, "%s", longer);
    ok(strncmp(peri_error(ctx), "front: xxx", 10) == 0, "a prefix that leaves no room is left out");
    ctx->mem.countdown = -1;
    is_int(FAIL_NOMEM(ctx), PERI_E_NOMEM, "the record needs no memory");
    is_text(peri_error(ctx), "out of memory", "and says so");
    is_int(FAIL(NULL, PERI_E_IO, "nobody listens"), PERI_E_IO, "without a context there is still the code");
}

static void nearest(const char *word, const char *want)
{
    static const char *const names[] = {"tolerance", "iterations", "time_limit", "memory", "seed", "linear_solver"};
    char out[128];
    fail_nearest(word, names, 6, out, sizeof out);
    is_text(out, want, "nearest to \"%s\"", word);
}

int main(void)
{
    plan_later();
    peri_context *ctx = peri_context_new(NULL);
    if (ctx == NULL)
        return 1;
    test_record(ctx);
    nearest("tolerence", " (did you mean \"tolerance\"?)");
    nearest("tol", " (did you mean \"tolerance\"?)");
    nearest("memroy", " (did you mean \"memory\"?)");
    nearest("iteration", " (did you mean \"iterations\"?)");
    nearest("sede", " (did you mean \"seed\"?)");
    nearest("xyzzy", "");
    nearest("", "");
    nearest("a_very_long_word_that_no_name_of_an_option_could_ever_come_close_to_whatever_it_is", "");
    static const char *const pair[] = {"x1", "x2", "velocity"};
    char out[128];
    fail_nearest("x3", pair, 3, out, sizeof out);
    is_text(out, " (did you mean \"x1\" or \"x2\"?)", "two are offered");
    fail_nearest("x3", pair, 3, out, 8);
    is_text(out, " (did y", "a small buffer is respected");

    is_text(peri_status_name(PERI_E_NOMEM), "nomem", "a status has a name");
    is_text(peri_status_text(PERI_E_DOMAIN), "function undefined here", "and a text");
    is_text(peri_status_name((peri_status)-999), "unknown", "an unknown one too");
    is_text(peri_version(), PERI_VERSION, "version");
    peri_interrupt(ctx);
    ok(ctx->interrupted == 1, "an interruption is noted");
    peri_clear_interrupt(ctx);
    ok(ctx->interrupted == 0, "and cleared");
    const double start = clock_seconds();
    ok(clock_seconds() >= start, "the clock does not go back");
    ctx->mem.countdown = 0;
    peri_context_free(ctx);
    return tap_done();
}
