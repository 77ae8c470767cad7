/* SPDX-License-Identifier: Apache-2.0 */
/* duplicate - a second plugin named good. */
#include "bad.h"

static const peri_plugin duplicate = {GOOD("good")};
static const peri_plugin *const list[] = {&duplicate, NULL};
PERI_PLUGIN(list)
