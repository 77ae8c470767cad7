/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.c - a plan in the first line, settings KEY=VALUE in the others, as the command line has them: the plan is chosen and all settings are
 * read for a small problem, nothing is solved. Errors are one line.
 */
#include "fuzz.h"
#include "run/internal.h"
#include "unit/text_model.h"

enum { MOST_SETTINGS = 16 };

/* The next line of *at, ended by a zero; NULL: no more */
static char *line_of(char **at)
{
    char *line = *at, *end = line != NULL ? strchr(line, '\n') : NULL;
    if (end != NULL)
        *end = '\0';
    *at = end != NULL ? end + 1 : NULL;
    return line;
}

static void check_error(peri_context *ctx, peri_status status)
{
    FUZZ_CHECK(status == PERI_OK || status == PERI_E_NAME || status == PERI_E_OPTION || status == PERI_E_UNSUPPORTED ||
                   status == PERI_E_ARGUMENT || status == PERI_E_PARSE,
               "%s: %s", peri_status_name(status), peri_error(ctx));
    FUZZ_CHECK(status == PERI_OK || (peri_error(ctx)[0] != '\0' && strchr(peri_error(ctx), '\n') == NULL), "%s", peri_error(ctx));
}

static void choose(peri_model *m, const peri_solve_args *args)
{
    nlp *p = NULL;
    char *text = NULL;
    if (nlp_of(m, &p) != PERI_OK)
        return;
    run_chain *chain = calloc(1, sizeof *chain);
    const peri_status status = chain_choose(chain, p, args->plan, args);
    check_error(m->ctx, status);
    chain_release(chain);
    free(chain);
    const peri_status explained = peri_model_explain(m, args->plan, &text);
    FUZZ_CHECK(explained == PERI_OK || explained == PERI_E_NAME || explained == PERI_E_UNSUPPORTED || explained == PERI_E_OPTION,
               "%s: %s", peri_status_name(explained), peri_error(m->ctx));
    peri_free_text(m->ctx, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    peri_setting settings[MOST_SETTINGS];
    const double start[] = {1, 2};
    peri_context *ctx = peri_context_new(NULL);
    char *text = malloc(size + 1), *at = text;
    memcpy(text, data, size);
    text[size] = '\0';
    text_model t = text_new(ctx, 2, start);
    text_minimize(&t, "(x1-1)^2 + x2^2");
    peri_solve_args args = {.settings = settings, .plan = line_of(&at)};
    for (char *line = line_of(&at); line != NULL && args.n_settings < MOST_SETTINGS; line = line_of(&at)) {
        char *equals = strchr(line, '=');
        if (equals == NULL)
            continue;
        *equals = '\0';
        settings[args.n_settings++] = (peri_setting){.key = line, .type = PERI_VALUE_TEXT, .text = equals + 1};
    }
    choose(t.m, &args);
    peri_model_free(t.m);
    peri_context_free(ctx);
    free(text);
    return 0;
}
