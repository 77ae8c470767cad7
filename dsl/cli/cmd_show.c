/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_show.c - what is installed: `solvers`, `show NAME`, and `index DIR`, by which the build and the installation note it down. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static int with_context(cli *c, int (*fn)(cli *c))
{
    int status = world_open_context(c);
    if (status == EXIT_SOLVED)
        status = fn(c);
    world_close(c);
    return status;
}

/* ---- solvers -------------------------------------------------------------------------------------------------------------- */

static void put_text(const char *text)
{
    putchar('"');
    for (const char *p = text != NULL ? text : ""; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            printf("\\%c", *p);
        else if ((unsigned char)*p < 0x20)
            printf("\\u%04x", (unsigned)*p);
        else
            putchar(*p);
    }
    putchar('"');
}

static void put_entry(const peri_plugin_entry *e, bool first)
{
    const char *const fields[][2] = {{"name", e->name},       {"kind", e->kind},       {"family", e->family},
                                     {"summary", e->summary}, {"license", e->license}, {"file", e->file}};
    printf("%s  {", first ? "" : ",\n");
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        printf("%s\"%s\": ", i > 0 ? ", " : "", fields[i][0]);
        put_text(fields[i][1]);
    }
    printf("}");
}

static const char *const kinds[] = {"solver", "reformulation", "linear_solver", "estimator", "curvature", "format"};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static bool known_kind(const char *kind)
{
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i], kind) == 0)
            return true;
    }
    char near[64];
    args_nearest(kind, "", kinds, sizeof kinds[0], N_KINDS, near, sizeof near);
    cli_usage("perigee solvers: no kind of plugin is called \"%s\"%s", kind, near);
    return false;
}

static int list(cli *c)
{
    int64_t n = 0;
    const peri_plugin_entry *entries = NULL;
    const char *kind = c->args.kind;
    if (peri_plugins_list(c->ctx, &n, &entries) != PERI_OK)
        return cli_engine_error(c, NULL);
    bool first = true;
    if (c->args.json)
        printf("[\n");
    for (int64_t i = 0; i < n; i++) {
        const peri_plugin_entry *e = &entries[i];
        if (kind != NULL && strcmp(e->kind, kind) != 0)
            continue;
        if (c->args.json)
            put_entry(e, first);
        else
            printf("%-22s %-14s %s\n", e->name, e->kind, e->summary);
        first = false;
    }
    if (c->args.json)
        printf("%s]\n", first ? "" : "\n");
    return EXIT_SOLVED;
}

int cmd_solvers(cli *c)
{
    if (c->args.kind != NULL && !known_kind(c->args.kind))
        return EXIT_USAGE;
    return with_context(c, list);
}

/* ---- show, index -------------------------------------------------------------------------------------------------------------- */

static int page(cli *c)
{
    char *text = NULL;
    if (peri_plugin_page(c->ctx, c->args.words[0], c->args.json, &text) != PERI_OK) {
        const int status = peri_error_code(c->ctx) == PERI_E_NAME ? EXIT_USAGE : EXIT_ERROR;
        cli_engine_error(c, NULL);
        return status;
    }
    const size_t n = strlen(text);
    fwrite(text, 1, n, stdout);
    if (n == 0 || text[n - 1] != '\n')
        putchar('\n');
    peri_free_text(c->ctx, text);
    return EXIT_SOLVED;
}

int cmd_show(cli *c)
{
    return with_context(c, page);
}

static int write_index(cli *c)
{
    return peri_plugins_write_index(c->ctx, c->args.words[0]) == PERI_OK ? EXIT_SOLVED : cli_engine_error(c, NULL);
}

int cmd_index(cli *c)
{
    return with_context(c, write_index);
}
