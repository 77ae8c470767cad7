/* SPDX-License-Identifier: Apache-2.0 */
/*
 * warm.c - files of portable warm starts: what is read is written and read again as the same, and a solve from it is right or an error of one
 * line that leaves the model as it was.
 */
#include "fuzz.h"
#include "unit/text_model.h"

static text_model make_model(peri_context *ctx)
{
    static const double start[] = {1, 2};
    text_model t = text_new(ctx, 2, start);
    text_bounds(&t, -10, 10);
    text_minimize(&t, "(x1-1)^2 + (x2-x1)^2");
    (void)text_constrain(&t, "c", 1, "x1 + x2", 3);
    return t;
}

static void check_error(peri_context *ctx)
{
    FUZZ_CHECK(peri_error(ctx)[0] != '\0' && strchr(peri_error(ctx), '\n') == NULL, "%s", peri_error(ctx));
}

static void walk(const peri_warm_start *ws)
{
    double sum = 0;
    for (int part = PERI_WARM_VARIABLES; part <= PERI_WARM_REDUCED_COSTS; part++)
        for (int64_t k = 0; k < peri_warm_start_count(ws, (peri_warm_part)part); k++) {
            peri_array value;
            FUZZ_CHECK(peri_warm_start_get(ws, (peri_warm_part)part, k, &value) != NULL && value.rows > 0 && value.cols > 0,
                       "number %lld", (long long)k);
            for (int64_t i = 0; i < value.rows * value.cols; i++)
                sum += value.data[i];
        }
    FUZZ_CHECK(peri_warm_start_model(ws) != NULL && (sum <= 0 || !(sum <= 0)), "no model's name");
}

static peri_warm_start *through_text(peri_context *ctx, peri_warm_start *ws)
{
    char *text;
    peri_warm_start *again;
    FUZZ_CHECK(peri_warm_start_json(ws, &text) == PERI_OK, "%s", peri_error(ctx));
    FUZZ_CHECK(peri_warm_start_parse(ctx, "again", text, strlen(text), &again) == PERI_OK, "%s: %s", peri_error(ctx), text);
    peri_free_text(ctx, text);
    return again;
}

/* Once through a text puts what is no UTF-8 right; then nothing changes. */
static void read_again(peri_context *ctx, peri_warm_start *ws)
{
    char *text, *same;
    peri_warm_start *one = through_text(ctx, ws), *two = through_text(ctx, one);
    FUZZ_CHECK(peri_warm_start_json(one, &text) == PERI_OK && peri_warm_start_json(two, &same) == PERI_OK && strcmp(text, same) == 0,
               "%s is not the same", peri_warm_start_model(ws));
    peri_warm_start_free(one);
    peri_warm_start_free(two);
    peri_free_text(ctx, text);
    peri_free_text(ctx, same);
}

static void solve_from(peri_context *ctx, peri_warm_start *ws)
{
    text_model t = make_model(ctx);
    peri_solution *s = NULL;
    const peri_solve_args args = {.plan = "ipm", .portable_start = ws}, plain = {.plan = "ipm"};
    const peri_status status = peri_model_solve(t.m, &args, &s);
    FUZZ_CHECK(status == PERI_OK || status == PERI_E_ARGUMENT, "%s: %s", peri_status_name(status), peri_error(ctx));
    if (status != PERI_OK)
        check_error(ctx);
    FUZZ_CHECK(status != PERI_OK || fabs(peri_solution_objective(s)) < 1e-6, "%s at %g", peri_outcome_name(peri_solution_outcome(s)),
               peri_solution_objective(s));
    peri_solution_free(s);
    FUZZ_CHECK(peri_model_solve(t.m, &plain, &s) == PERI_OK && fabs(peri_solution_objective(s)) < 1e-6, "the next solve: %s", peri_error(ctx));
    peri_solution_free(s);
    peri_model_free(t.m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    peri_context *ctx = peri_context_new(NULL);
    peri_warm_start *ws = NULL;
    const peri_status status = peri_warm_start_parse(ctx, "the-file", (const char *)data, size, &ws);
    FUZZ_CHECK(status == PERI_OK || status == PERI_E_PARSE || status == PERI_E_UNSUPPORTED, "%s: %s", peri_status_name(status), peri_error(ctx));
    if (status == PERI_OK) {
        walk(ws);
        read_again(ctx, ws);
        solve_from(ctx, ws);
    } else {
        check_error(ctx);
    }
    peri_warm_start_free(ws);
    peri_context_free(ctx);
    return 0;
}
