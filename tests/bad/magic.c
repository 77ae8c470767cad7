/* SPDX-License-Identifier: Apache-2.0 */
/* magic - a stamp that is none; everything behind it is unreadable, as the loader must not read it. */
#include "bad.h"

PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host);

PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host)
{
    static const peri_stamp stamp = {.magic = UINT32_C(0x0badcafe)}; /* the table ends with its stamp */
    static const peri_plugin *list[2];
    peri_host_table = host;
    list[0] = (const peri_plugin *)(const void *)&stamp;
    return list;
}
