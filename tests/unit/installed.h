/* SPDX-License-Identifier: Apache-2.0 */
/* installed.h - for tests that solve with the plugins of the build: a context that has them, and the host's table for wrappers of plugin.h. */
#ifndef PERI_TESTS_INSTALLED_H
#define PERI_TESTS_INSTALLED_H

#include "plugin/registry.h"
#include "tap/tap.h"

/* Begins the test; ends it as skipped where no plugin is installed. */
static inline peri_context *installed_context(void)
{
    plan_later();
    peri_host_table = host_table();
    peri_context *ctx = peri_context_new(NULL);
    registry *r = NULL;
    if (registry_get(ctx, &r) != PERI_OK || registry_count(r) == 0)
        skip_all("no plugin is installed");
    return ctx;
}

#endif
