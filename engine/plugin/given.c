/* SPDX-License-Identifier: Apache-2.0 */
/*
 * given.c - plugins that no shared object holds: tables that the program registers, and those of files that a loader of the program's
 * reads. Invariant: such a table is copied with every text, so that it is whole as long as the registry, whatever becomes of what it
 * was made from; only the code of its operations is the program's.
 */
#include "plugin/internal.h"

#include <stdio.h>
#include <string.h>

struct peri_loading {
    registry *r;
    const char *path;
    plugin_list *found;
};

/* ---- copies
 * ------------------------------------------------------------------------------------------------------------------ */

/* The text becomes the arena's; false: out of memory. */
static bool own_text(arena *a, const char **text)
{
    if (*text != NULL)
        *text = arena_string(a, *text);
    else
        return true;
    return *text != NULL;
}

static bool own_choices(arena *a, peri_option *o)
{
    size_t n = 0;
    while (o->choices != NULL && o->choices[n] != NULL)
        n++;
    const char **mine = arena_array(a, n + 1, sizeof *mine);
    bool ok = mine != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        mine[i] = o->choices[i];
        ok = own_text(a, &mine[i]);
    }
    o->choices = mine;
    return ok;
}

static bool own_options(arena *a, peri_plugin *p)
{
    peri_option *mine = arena_array(a, p->n_options, sizeof *mine);
    bool ok = mine != NULL || p->n_options == 0;
    for (uint32_t i = 0; ok && i < p->n_options; i++) {
        peri_option *o = &mine[i];
        *o = p->options[i];
        ok = own_text(a, &o->name) && own_text(a, &o->unit) && own_text(a, &o->help) && own_text(a, &o->text) &&
             (o->type != PERI_OPTION_ENUM || own_choices(a, o));
    }
    p->options = mine;
    return ok;
}

static bool own_state(arena *a, peri_plugin *p)
{
    if (p->initial_state == NULL)
        return true;
    void *mine = arena_array(a, 1, p->size_state);
    if (mine != NULL)
        memcpy(mine, p->initial_state, p->size_state);
    p->initial_state = mine;
    return mine != NULL;
}

const peri_plugin *given_table(arena *a, const peri_plugin *theirs, char *why, size_t size)
{
    why[0] = '\0';
    const peri_plugin *copy = stamp_copy(a, theirs, why, size);
    if (copy == NULL || !table_check(copy, why, size))
        return NULL;
    peri_plugin *p = arena_alloc(a, sizeof *p);
    if (p == NULL)
        return NULL;
    *p = *copy;
    const bool whole = own_text(a, &p->name) && own_text(a, &p->family) && own_text(a, &p->version) && own_text(a, &p->license) &&
                       own_text(a, &p->summary) && own_text(a, &p->page) && own_text(a, &p->reference) && own_options(a, p) &&
                       own_state(a, p);
    return whole ? p : NULL;
}

/* ---- of the program itself
 * ------------------------------------------------------------------------------------------------------------------ */

const peri_host *peri_host_functions(void)
{
    return host_table();
}

static int64_t find_entry(const registry *r, const char *name)
{
    int64_t i = 0;
    while (i < r->entries.n && strcmp(r->entries.at[i]->name, name) != 0)
        i++;
    return i;
}

peri_status peri_context_register(peri_context *ctx, const peri_plugin *plugin, const char *origin)
{
    registry *r = NULL;
    char why[512];
    TRY(registry_get(ctx, &r));
    if (plugin == NULL)
        return FAIL(ctx, PERI_E_ARGUMENT, "register: no plugin is given");
    char *from = arena_string(&r->memory, origin != NULL ? origin : "this program");
    if (from == NULL)
        return FAIL_NOMEM(ctx);
    const peri_plugin *p = given_table(&r->memory, plugin, why, sizeof why);
    if (p == NULL)
        return why[0] == '\0' ? FAIL_NOMEM(ctx) : FAIL(ctx, PERI_E_PLUGIN, "%s: plugin refused: %s", from, why);
    const int64_t i = find_entry(r, p->name);
    if (i < r->entries.n)
        return FAIL(ctx, PERI_E_PLUGIN, "%s: the name \"%s\" is already that of a plugin in %s", from, p->name,
                    r->entries.at[i]->file);
    registry_entry *e = scan_entry(r, from, p);
    if (e == NULL)
        return FAIL_NOMEM(ctx);
    e->registered = true;
    TRY(registry_add(r, e));
    registry_sort(r);
    return PERI_OK;
}

peri_status peri_context_unregister(peri_context *ctx, const char *name)
{
    registry *r = NULL;
    TRY(registry_get(ctx, &r));
    const int64_t i = find_entry(r, name);
    if (i == r->entries.n || !r->entries.at[i]->registered)
        return FAIL(ctx, PERI_E_NAME, "unregister: no registered plugin is called \"%s\"", name);
    for (int64_t k = i; k + 1 < r->entries.n; k++)
        r->entries.at[k] = r->entries.at[k + 1];
    r->entries.n--;
    r->listed = NULL;
    r->changes++;
    return PERI_OK;
}

/* ---- files of a loader
 * ------------------------------------------------------------------------------------------------------------------ */

bool given_is_file(const peri_context *ctx, const char *path)
{
    const size_t n = strlen(path), k = strlen(ctx->loader_suffix);
    return k > 0 && n > k && strcmp(path + n - k, ctx->loader_suffix) == 0;
}

peri_status peri_loading_add(peri_loading *to, const peri_plugin *plugin)
{
    registry *r = to->r;
    char why[512];
    const peri_plugin *p = given_table(&r->memory, plugin, why, sizeof why);
    if (p == NULL)
        return why[0] == '\0' ? FAIL_NOMEM(r->ctx) : registry_refuse(r, false, to->path, "%s", why);
    return vec_push(&r->ctx->mem, to->found, p) ? PERI_OK : FAIL_NOMEM(r->ctx);
}

peri_status given_load(registry *r, const char *path, plugin_list *found)
{
    peri_loading to = {r, path, found};
    if (r->ctx->loader == NULL)
        return registry_refuse(r, false, path, "nothing in this program reads %s files", r->ctx->loader_suffix);
    const int64_t before = found->n;
    const peri_status status = r->ctx->loader(r->ctx->loader_ud, path, &to);
    if (status == PERI_OK || status == PERI_E_NOMEM)
        return status;
    found->n = before; /* a file that fails in the middle is refused as a whole */
    const char *said = peri_error_code(r->ctx) == status ? peri_error(r->ctx) : peri_status_text(status);
    const size_t n = strlen(path);
    const bool named = strncmp(said, path, n) == 0 && said[n] == ':'; /* the refusal names the file already */
    const bool has_line = named && said[n + 1] >= '0' && said[n + 1] <= '9';
    char reason[1024];
    snprintf(reason, sizeof reason, "%s%s", has_line ? "line " : "", named ? said + n + (has_line ? 1 : 2) : said);
    return registry_refuse(r, false, path, "%s", reason);
}

peri_status peri_context_set_loader(peri_context *ctx, const char *suffix, peri_loader_fn load, void *ud)
{
    registry *r = ctx->registry;
    if (load == NULL && ctx->loader_ud != ud)
        return PERI_OK; /* another one is there */
    const bool late = ctx->loader_suffix[0] == '\0' && load != NULL && r != NULL;
    if (load != NULL) {
        if (suffix == NULL || suffix[0] != '.' || strlen(suffix) >= sizeof ctx->loader_suffix || strcmp(suffix, ".so") == 0)
            return FAIL(ctx, PERI_E_ARGUMENT, "loader: the suffix must be a dot and up to %zu characters, and not .so",
                        sizeof ctx->loader_suffix - 2);
        snprintf(ctx->loader_suffix, sizeof ctx->loader_suffix, "%s", suffix);
    }
    ctx->loader = load;
    ctx->loader_ud = ud;
    if (r != NULL)
        r->changes++;
    for (int64_t i = 0; r != NULL && load == NULL && i < r->entries.n; i++)
        if (!r->entries.at[i]->registered && given_is_file(ctx, r->entries.at[i]->file))
            r->entries.at[i]->plugin = NULL; /* read again by the next loader */
    return late ? scan_loader_files(r) : PERI_OK;
}
