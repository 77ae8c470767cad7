/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_new_plugin.c - `new-plugin NAME`: a folder with a complete small method of one kind, to be built outside the tree and changed step by
 * step into another one. Invariant: the files are made of the templates that are installed with the command, with nothing but
 * the name put in; a folder that is there is left alone, and one that could not be completed is removed.
 */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_LONGEST = 63, FILES_MOST = 4 };

/* A file of the folder and the template it is made of; %s: the kind, and the name. */
typedef struct {
    const char *from, *to;
} template_file;

static const template_file FILES_C[FILES_MOST] = {
    {"%s.c", "%s.c"}, {"%s-test.lua", "test.lua"}, {"make-c", "Makefile"}, {"readme-c", "README.md"}};
static const template_file FILES_LUA[FILES_MOST] = {
    {"%s.lua", "plugin/%s.lua"}, {"%s-test.lua", "test.lua"}, {"make-lua", "Makefile"}, {"readme-lua", "README.md"}};
static const char *const KINDS[] = {"solver", "reformulation", "linear_solver"};
enum { N_KINDS = sizeof KINDS / sizeof KINDS[0] };

/* ---- what was typed
 * ----------------------------------------------------------------------------------------------------------------------- */

/* As the registry has them. */
static bool is_name(const char *name)
{
    const size_t n = strlen(name);
    return n > 0 && n <= NAME_LONGEST && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n && name[0] != '-' &&
           name[0] != '_';
}

/* NULL: printed */
static const char *kind_asked(const cli_args *a)
{
    char near[64];
    if (a->kind == NULL)
        return KINDS[0];
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(KINDS[i], a->kind) == 0)
            return KINDS[i];
    args_nearest(a->kind, "", KINDS, sizeof KINDS[0], N_KINDS, near, sizeof near);
    cli_usage("perigee new-plugin: no template is for the kind \"%s\"%s; there are solver, reformulation and linear_solver", a->kind,
              near);
    return NULL;
}

/* It would hide the installed one, or be hidden. */
static int warn_taken(cli *c, const char *name)
{
    int64_t n = 0;
    const peri_plugin_entry *entries = NULL;
    if (world_open_context(c) != EXIT_SOLVED)
        return EXIT_ERROR;
    if (peri_plugins_list(c->ctx, &n, &entries) == PERI_OK)
        for (int64_t i = 0; i < n; i++)
            if (strcmp(entries[i].name, name) == 0)
                cli_say("perigee new-plugin: warning: the name \"%s\" is that of a %s in %s; of two plugins the first one found counts",
                        name, entries[i].kind, entries[i].file);
    world_close(c);
    return EXIT_SOLVED;
}

/* ---- files
 * -------------------------------------------------------------------------------------------------------------------------------- */

/* All of a file, ended by a NUL, the caller's to free; NULL: printed. */
static char *read_template(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *in = fopen(path, "re");
    if (in == NULL || getdelim(&text, &size, '\0', in) < 0) {
        cli_say("%s: reading failed: %s", path, strerror(errno));
        free(text);
        text = NULL;
    }
    if (in != NULL)
        fclose(in);
    return text;
}

/* `text` with the name in the place of every @NAME@; false: printed. */
static bool write_with_name(const char *path, const char *text, const char *name)
{
    static const char mark[] = "@NAME@";
    FILE *out = fopen(path, "wxe");
    if (out == NULL) {
        cli_say("%s: writing failed: %s", path, strerror(errno));
        return false;
    }
    for (const char *at; (at = strstr(text, mark)) != NULL; text = at + sizeof mark - 1) {
        fwrite(text, 1, (size_t)(at - text), out);
        fputs(name, out);
    }
    fputs(text, out);
    const bool failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed)
        return true;
    cli_say("%s: writing failed: %s", path, strerror(errno));
    return false;
}

typedef struct {
    const char *templates, *folder, *kind, *name;
} making;

static void target(const making *m, const template_file *f, char *path, size_t size)
{
    const int n = snprintf(path, size, "%s/", m->folder);
    snprintf(path + n, size - (size_t)n, f->to, m->name);
}

static bool make_file(const making *m, const template_file *f)
{
    char from[PATH_MAX + 128], to[PATH_MAX + 128];
    const int n = snprintf(from, sizeof from, "%s/", m->templates);
    snprintf(from + n, sizeof from - (size_t)n, f->from, m->kind);
    target(m, f, to, sizeof to);
    char *text = read_template(from);
    const bool good = text != NULL && write_with_name(to, text, m->name);
    free(text);
    return good;
}

/* Everything again that make_folder may have made; what is not there is no matter. */
static void remove_folder(const making *m, const template_file *files)
{
    char path[PATH_MAX + 128];
    for (int i = 0; i < FILES_MOST; i++) {
        target(m, &files[i], path, sizeof path);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/plugin", m->folder);
    rmdir(path);
    rmdir(m->folder);
}

static int make_folder(const making *m, bool lua)
{
    const template_file *files = lua ? FILES_LUA : FILES_C;
    char inner[PATH_MAX + 128];
    if (mkdir(m->folder, 0777) != 0)
        return errno == EEXIST ? cli_usage("perigee new-plugin: %s: is there already; nothing was changed", m->folder)
                               : cli_say("%s: making it failed: %s", m->folder, strerror(errno));
    snprintf(inner, sizeof inner, "%s/plugin", m->folder);
    bool good = !lua || mkdir(inner, 0777) == 0;
    for (int i = 0; i < FILES_MOST && good; i++)
        good = make_file(m, &files[i]);
    if (!good)
        remove_folder(m, files);
    return good ? EXIT_SOLVED : EXIT_ERROR;
}

int cmd_new_plugin(cli *c)
{
    char templates[PATH_MAX + 64], folder[PATH_MAX];
    const cli_args *a = &c->args;
    const char *name = a->words[0], *kind = kind_asked(a);
    if (kind == NULL)
        return EXIT_USAGE;
    if (!is_name(name))
        return cli_usage("perigee new-plugin: \"%s\" is no name for a plugin: at most %d lower-case letters, digits, - and _, a letter or "
                         "digit first",
                         name, NAME_LONGEST);
    const int n = snprintf(folder, sizeof folder, "%s", a->folder != NULL ? a->folder : name);
    if (n <= 0 || (size_t)n >= sizeof folder)
        return cli_usage("perigee new-plugin: --folder: the name is %s", n <= 0 ? "empty" : "too long");
    world_folder("new-plugin", PERI_TEMPLATE_DIR, templates, sizeof templates);
    const making m = {templates, folder, kind, name};
    int status = warn_taken(c, name);
    if (status == EXIT_SOLVED)
        status = make_folder(&m, a->lua);
    if (status == EXIT_SOLVED)
        printf("%s: a %s that works; \"make check\" in it builds and tests it, README.md tells what to fill in\n", folder, kind);
    return status;
}
