/* SPDX-License-Identifier: Apache-2.0 */
/* longer - a table of a newer minor version: what this host does not know is ignored. */
#include "bad.h"

typedef struct {
    peri_plugin known;
    uint64_t news[4];
} longer_table;

static const longer_table longer = {.known = {GOOD("longer")}, .news = {1, 2, 3, 4}};

PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host);

PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host)
{
    static longer_table table;
    static const peri_plugin *list[2];
    peri_host_table = host;
    table = longer;
    table.known.stamp.size_plugin = (uint32_t)sizeof table;
    table.known.stamp.minor = PERI_ABI_MINOR + 1;
    list[0] = &table.known;
    return list;
}
