/* SPDX-License-Identifier: Apache-2.0 */
/* levels.c - the entry of the reformulations that take lower levels away. */
#include "program.h"

extern const peri_plugin IMPLICIT, KKT, VALUE_FUNCTION;

const peri_host *peri_host_table;

static const peri_plugin *const ALL[] = {&KKT, &VALUE_FUNCTION, &IMPLICIT, NULL};
PERI_PLUGIN(ALL)
