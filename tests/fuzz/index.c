/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.c - a plugin folder's index: whatever is in it, the registry opens, what it lists is well formed, and names that it does not have are
 * errors.
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include "plugin/registry.h"

#include <string.h>
#include <unistd.h>

static void look(peri_context *ctx)
{
    registry *r = NULL;
    registry_entry *e = NULL;
    const peri_plugin *p = NULL;
    const char *const *lines = NULL;
    FUZZ_CHECK(registry_get(ctx, &r) == PERI_OK, "%s", peri_error(ctx));
    for (int64_t i = 0; i < registry_count(r); i++) {
        e = registry_at(r, i);
        FUZZ_CHECK(e->name != NULL && e->name[0] != '\0' && e->summary != NULL && e->options != NULL, "entry %lld", (long long)i);
        FUZZ_CHECK(registry_load(r, e, &p) != PERI_OK, "%s was loaded from nothing", e->name);
    }
    FUZZ_CHECK(registry_find(r, "no such plugin", 0, &e) == PERI_E_NAME, "%s", peri_error(ctx));
    registry_refused(r, &lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = "/tmp/perigee-fuzz-XXXXXX", path[64];
    if (mkdtemp(folder) == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/index", folder);
    FILE *file = fopen(path, "wb");
    if (file != NULL) {
        fwrite(data, 1, size, file);
        fclose(file);
        const peri_config config = {.plugin_path = folder};
        peri_context *ctx = peri_context_new(&config);
        look(ctx);
        peri_context_free(ctx);
    }
    unlink(path);
    rmdir(folder);
    return 0;
}
