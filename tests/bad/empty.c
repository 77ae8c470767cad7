/* SPDX-License-Identifier: Apache-2.0 */
/* empty - an entry function that offers nothing. */
#include "bad.h"

PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host);

PERI_EXPORT const peri_plugin *const *peri_plugins(const peri_host *host)
{
    peri_host_table = host;
    return NULL;
}
