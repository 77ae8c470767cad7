/* SPDX-License-Identifier: Apache-2.0 */
/* shorter - a table of an older minor version, without its last fields: they read as zero. */
#include "bad.h"

BAD_CHANGED("shorter", {
    p->stamp.size_plugin = (uint32_t)offsetof(peri_plugin, page);
    p->n_options = 5000; /* what lies behind the end must not be read */
    p->options = NULL;
})
