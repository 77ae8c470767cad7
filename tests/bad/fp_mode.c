/* SPDX-License-Identifier: Apache-2.0 */
/* fp_mode - its constructor changes the rounding, as objects built with -ffast-math change flush-to-zero. */
#include "bad.h"
#include <fenv.h>

__attribute__((constructor)) static void change(void)
{
    fesetround(FE_DOWNWARD);
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040U); /* flush to zero, denormals are zero */
#endif
}

static const peri_plugin fp_mode = {GOOD("fp_mode")};
static const peri_plugin *const list[] = {&fp_mode, NULL};
PERI_PLUGIN(list)
