/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write-index - the index of a plugin folder, at build and installation time: what `perigee index DIR` does, without
 * the command, so that it runs before anything is installed.
 */
#include <perigee/perigee.h>

#include <stdio.h>

static void tell(void *ud, int level, const char *text)
{
    (void)ud;
    (void)level;
    fprintf(stderr, "write-index: %s\n", text);
}

int main(int argc, char **argv)
{
    const peri_config config = {.log = tell};
    peri_context *ctx = peri_context_new(&config);
    if (argc != 2 || ctx == NULL) {
        fprintf(stderr, "usage: write-index FOLDER\n");
        return 2;
    }
    const peri_status status = peri_plugins_write_index(ctx, argv[1]);
    if (status != PERI_OK)
        fprintf(stderr, "write-index: %s\n", peri_error(ctx));
    peri_context_free(ctx);
    return status != PERI_OK;
}
