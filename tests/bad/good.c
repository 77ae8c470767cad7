/* SPDX-License-Identifier: Apache-2.0 */
/* good - no fault: what the others are measured by, and the owner of the name that duplicate takes. */
#include "bad.h"

static const peri_plugin good = {GOOD("good")};
static const peri_plugin *const list[] = {&good, NULL};
PERI_PLUGIN(list)
