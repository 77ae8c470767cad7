/* SPDX-License-Identifier: Apache-2.0 */
/* contract_all - the contract (contract.c) asked of every plugin that the registry finds. A new one is tested without another line. */
#include "contract.h"
#include "tap/tap.h"

const bool contract_strict = true;

void contract_at(const char *format, ...)
{
    (void)format;
}

peri_context *contract_context(const peri_config *config)
{
    return peri_context_new(config);
}

int64_t contract_blocks(peri_context *ctx)
{
    int64_t blocks = 0;
    peri_memory(ctx, NULL, NULL, &blocks);
    return blocks;
}

bool contract_give_host(const registry_entry *e, const peri_host *host)
{
    (void)e;
    (void)host;
    return false; /* without Lua there are shared objects only */
}

int main(void)
{
    registry *r = NULL;
    peri_context *ctx = contract_context(NULL);
    if (registry_get(ctx, &r) != PERI_OK || registry_count(r) == 0)
        skip_all("no plugin is installed");
    plan_later();
    const char *const *lines = NULL;
    const int64_t refused = registry_refused(r, &lines);
    if (!is_int(refused, 0, "no plugin is refused"))
        diag("%s", lines[0]);
    for (int64_t i = 0; i < registry_count(r); i++) {
        registry_entry *e = registry_at(r, i);
        const peri_plugin *p = NULL;
        if (!is_int(registry_load(r, e, &p), PERI_OK, "%s: is loaded", e->name))
            continue;
        for (int64_t k = 0; k < contract_n_parts; k++)
            contract_run_part(ctx, &contract_parts[k], e, p);
    }
    peri_context_free(ctx);
    return tap_done();
}
