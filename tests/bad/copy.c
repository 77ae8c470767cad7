/* SPDX-License-Identifier: Apache-2.0 */
/* copy - a plugin whose file is copied under many names; the test writes another number into the copy's name. */
#include "bad.h"

static const peri_plugin copy = {GOOD("copy_000")};
static const peri_plugin *const list[] = {&copy, NULL};
PERI_PLUGIN(list)
