/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_version.c - what the command was built from and what it runs with. OpenBLAS is opened for its own word, here only. */
#include "cli.h"

#include <dlfcn.h>
#include <dsl/cli/build-info.h>
#include <lua.h>
#include <perigee/plugin.h>

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* "OpenBLAS 0.3.21 ... Haswell ...": version, switches and the kernel chosen for this processor. */
static void print_blas(void)
{
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    char *(*config)(void) = NULL;
    if (library != NULL)
        *(void **)&config = dlsym(library, "openblas_get_config");
    printf("  BLAS           %s\n", config != NULL ? config() : "OpenBLAS is not there; plugins that need it cannot be loaded");
}

int cmd_version(cli *c)
{
    (void)c;
    printf("perigee %s%s\n", peri_version(), BUILD_COMMIT);
    printf("  plugin ABI     %d.%d\n", PERI_ABI_MAJOR, PERI_ABI_MINOR);
    printf("  compiler       %s\n", COMPILER);
    printf("  flags          %s\n", BUILD_CFLAGS);
    printf("  Lua            %s\n", LUA_RELEASE);
    print_blas();
    printf("  plugins        %s\n", PERI_PLUGIN_DIR);
    printf("  Lua files      %s\n", PERI_LUA_DIR);
    return EXIT_SOLVED;
}
