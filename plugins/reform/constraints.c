/* SPDX-License-Identifier: Apache-2.0 */
/* constraints.c - the entry of the reformulations that take constraints away. */
#include "rows.h"

extern const peri_plugin AUGMENTED_LAGRANGIAN, PENALTY;

const peri_host *peri_host_table;

static const peri_plugin *const ALL[] = {&AUGMENTED_LAGRANGIAN, &PENALTY, NULL};
PERI_PLUGIN(ALL)
