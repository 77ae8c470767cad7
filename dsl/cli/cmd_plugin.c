/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_plugin.c - for plugin authors: `check-plugin FILE`, which becomes the program perigee-check-plugin: that one holds the contract and
 * runs what may crash in processes of its own.
 */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cmd_check_plugin(cli *c)
{
    char folder[PATH_MAX + 64], program[PATH_MAX + 128], plugins[PATH_MAX + 64], only[512], patience[64];
    const cli_args *a = &c->args;
    const char *words[8] = {"perigee-check-plugin"};
    int n = 1;
    if (!(a->seconds > 0))
        return cli_usage("perigee check-plugin: --time-limit \"%s\": must be more than nothing", a->time_limit);
    world_folder(".", PERI_CHECK_DIR, folder, sizeof folder);
    snprintf(program, sizeof program, "%s/perigee-check-plugin", folder);
    if (world_plugin_path(plugins, sizeof plugins) != NULL && setenv("PERIGEE_PLUGIN_PATH", plugins, 1) != 0)
        return cli_say("perigee: out of memory");
    if (a->tap)
        words[n++] = "--tap";
    if (a->every)
        words[n++] = "--every";
    if (a->no_fork)
        words[n++] = "--no-fork";
    if (a->only != NULL) {
        snprintf(only, sizeof only, "--only=%s", a->only);
        words[n++] = only;
    }
    if (a->time_limit != NULL) {
        snprintf(patience, sizeof patience, "--patience=%g", a->seconds);
        words[n++] = patience;
    }
    words[n] = a->words[0];
    execv(program, (char *const *)(uintptr_t)words);
    return cli_say("%s: cannot be run: %s", program, strerror(errno));
}
