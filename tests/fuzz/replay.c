/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - gives every file of tests/fuzz/corpus/NAME to the target NAME.t, and each once more cut in the middle. */
#include "fuzz.h"
#include "tap/tap.h"

#include <dirent.h>
#include <string.h>

static void replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(1 << 20);
    const size_t n = file != NULL && data != NULL ? fread(data, 1, 1 << 20, file) : 0;
    diag("%s", path); /* the one that crashes is the last that is named */
    LLVMFuzzerTestOneInput(data, n);
    LLVMFuzzerTestOneInput(data, n / 2);
    free(data);
    if (file != NULL)
        fclose(file);
}

int main(int argc, char **argv)
{
    char folder[600], path[900], name[64];
    const char *source = getenv("PERIGEE_SOURCE"), *slash = strrchr(argv[0], '/');
    int64_t count = 0;
    (void)argc;
    plan(1);
    snprintf(name, sizeof name, "%s", slash != NULL ? slash + 1 : argv[0]);
    name[strcspn(name, ".")] = '\0';
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", source != NULL ? source : ".", name);
    DIR *d = opendir(folder);
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        replay(path);
        count++;
    }
    if (d != NULL)
        closedir(d);
    ok(count >= 4, "%s: %lld files of the corpus", name, (long long)count);
    return tap_done();
}
