/* SPDX-License-Identifier: Apache-2.0 */
/* falls - dies while it is loaded, in the way that the environment's PERIGEE_TEST_FALL says: crash and exit in its constructor, entry later. */
#include "bad.h"
#include "../tap/crash.h"
#include <stdlib.h>
#include <string.h>

static int falls(const char *how)
{
    const char *wanted = getenv("PERIGEE_TEST_FALL");
    return wanted != NULL && strcmp(wanted, how) == 0;
}

__attribute__((constructor)) static void begin(void)
{
    if (falls("crash"))
        crash();
    if (falls("exit"))
        exit(0);
}

BAD_CHANGED("falls", {
    (void)p;
    if (falls("entry"))
        abort();
})
