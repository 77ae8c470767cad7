/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_folder.h - temporary plugin folders for the tests of the registry. */
#ifndef PERI_TESTS_PLUGIN_FOLDER_H
#define PERI_TESTS_PLUGIN_FOLDER_H

#include "base/context.h"
#include <perigee/plugin.h>

/* this host's ABI as messages and indexes write it: "1.1" */
#define HOST_ABI_TEXT(number) #number
#define HOST_ABI_JOIN(major, minor) HOST_ABI_TEXT(major) "." HOST_ABI_TEXT(minor)
#define HOST_ABI HOST_ABI_JOIN(PERI_ABI_MAJOR, PERI_ABI_MINOR)

typedef struct {
    char path[512];
} folder;

folder folder_new(void);             /* empty, under $TMPDIR */
void folder_remove(const folder *f); /* with all that is in it */
const char *built(const char *name); /* $PERIGEE_BUILD/name; borrowed until the next call */
void folder_link(const folder *f, const char *name, const char *target); /* f/name, a symbolic link */
char *file_bytes(const char *path, size_t *size);                        /* malloc'd; ends the program on failure */
void folder_write(const folder *f, const char *name, const char *data, size_t size);
/* A context that looks in the folders (joined by ':') only; its log lines are added to `log` [size] where not NULL. */
peri_context *context_for(const char *path, char *log, size_t size);
bool is_mapped(const char *part); /* some file whose path contains `part` is mapped into this process */

#endif
